//! The result of a script as JSON text.

use super::failure::Failure;
use crate::{convert, globals};
use rquickjs::{Ctx, Value};

/// The JSON text of `value`; `null` for `undefined`.
pub(super) fn encode<'js>(ctx: &Ctx<'js>, value: Value<'js>) -> Result<String, Failure> {
    if value.is_undefined() {
        return Ok("null".to_owned());
    }
    match convert::json(ctx, value.clone()) {
        Ok(Some(json)) => Ok(json),
        Ok(None) => Err(Failure::of_result(format!("it is a {}", value.type_name()))),
        Err(error) => {
            let failure = Failure::of_error(ctx, error);
            match globals::json_culprit(ctx, value) {
                Ok(Some(culprit)) => Err(Failure::of_result(culprit)),
                Ok(None) | Err(_) => Err(failure),
            }
        }
    }
}
