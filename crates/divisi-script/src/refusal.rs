//! Why a global function refuses its arguments.

use rquickjs::{Constructor, Ctx, Object, Result, Value};

/// The exception to throw.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// An argument is invalid.
    Type(String),
    /// A limit is exceeded.
    Range(String),
    /// Anything else.
    Other(String),
    /// An exception from the engine, passed on.
    Thrown(rquickjs::Error),
}

impl From<rquickjs::Error> for Refusal {
    fn from(error: rquickjs::Error) -> Self {
        Self::Thrown(error)
    }
}

impl Refusal {
    /// The exception, with the script's line in its stack.
    pub(crate) fn into_js<'js>(self, ctx: &Ctx<'js>) -> Result<Value<'js>> {
        match self {
            Self::Type(message) => error_object(ctx, "TypeError", &message),
            Self::Range(message) => error_object(ctx, "RangeError", &message),
            Self::Other(message) => error_object(ctx, "Error", &message),
            Self::Thrown(rquickjs::Error::Exception) => Ok(ctx.catch()),
            Self::Thrown(error) => error_object(ctx, "Error", &error.to_string()),
        }
    }
}

/// An exception of `class`. Not built by the engine's own function, which cuts messages at 255
/// bytes.
pub(crate) fn error_object<'js>(ctx: &Ctx<'js>, class: &str, message: &str) -> Result<Value<'js>> {
    let constructor: Constructor<'js> = ctx.globals().get(class)?;
    constructor
        .construct::<_, Object<'js>>((message,))
        .map(Object::into_value)
}
