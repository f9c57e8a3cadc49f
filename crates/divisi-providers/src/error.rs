//! Why a request brought no reply.

use crate::dialect::{Again, Objection};
use crate::rate::RateLimits;
use divisi_core::{Failure, FailureClass, Millis};
use std::error::Error;

/// Why a request brought no reply, in words without secrets.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{message}")]
pub struct ProviderError {
    /// What sort of failure it is, which decides what is done about it.
    pub class: FailureClass,
    /// What failed and which one: a lower-case phrase.
    pub message: String,
    /// What the user can do about it.
    pub hint: Option<String>,
    /// The HTTP status, if there was a response.
    pub status: Option<u16>,
    /// The vendor's most specific word for it, such as `enforced_spend_limit_reached`.
    pub code: Option<String>,
    /// How long the vendor asks us to wait.
    pub retry_after: Option<Millis>,
    /// What the vendor says about trying again; it overrides `class`.
    pub should_retry: Option<bool>,
    /// Whether the vendor may have worked, and may charge for it, all the same.
    pub maybe_billed: bool,
    /// Names the request in the vendor's logs.
    pub request_id: Option<String>,
    /// What may be sent next.
    pub rate: RateLimits,
    /// What of the request was refused, where the same can be asked without it.
    pub objection: Option<Objection>,
    /// Set where the same request can be sent again at once, because from now on it
    /// is written without what was refused. The refused one costs nothing.
    pub again: Option<Again>,
}

impl ProviderError {
    /// A failure of which nothing more is known, and for which nobody charges.
    pub fn new(class: FailureClass, message: impl Into<String>) -> Self {
        Self {
            class,
            message: message.into(),
            hint: None,
            status: None,
            code: None,
            retry_after: None,
            should_retry: None,
            maybe_billed: false,
            request_id: None,
            rate: RateLimits::default(),
            objection: None,
            again: None,
        }
    }

    /// The same with advice.
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The same after the vendor has begun to work.
    pub fn maybe_billed(mut self) -> Self {
        self.maybe_billed = true;
        self
    }
}

impl From<ProviderError> for Failure {
    fn from(error: ProviderError) -> Self {
        Self {
            class: error.class,
            message: error.message,
            hint: error.hint,
            partial: None,
        }
    }
}

/// What is at the bottom of an error. The layers above it repeat the address,
/// in which a key may stand.
pub(crate) fn innermost(error: &dyn Error) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}
