//! Failures of requests.

use crate::dialect::{Again, Objection};
use crate::rate::RateLimits;
use divisi_core::{Failure, FailureClass, Millis};
use std::error::Error;

/// The failure of a request, without secrets.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{message}")]
pub struct ProviderError {
    /// The class of the failure, which decides what follows.
    pub class: FailureClass,
    /// What failed and which one: a lower-case phrase.
    pub message: String,
    /// What the user can do about it.
    pub hint: Option<String>,
    /// The HTTP status, if there was a response.
    pub status: Option<u16>,
    /// The vendor's most specific error code, such as `enforced_spend_limit_reached`.
    pub code: Option<String>,
    /// Time that the vendor asks to wait.
    pub retry_after: Option<Millis>,
    /// The vendor's statement on whether to retry; it overrides `class`.
    pub should_retry: Option<bool>,
    /// Whether the vendor may have worked and may bill the request nevertheless.
    pub maybe_billed: bool,
    /// The request's id in the vendor's logs.
    pub request_id: Option<String>,
    /// The rate limits in the response.
    pub rate: RateLimits,
    /// The refused part of the request, if it can be left out.
    pub objection: Option<Objection>,
    /// Set if the same request can be sent again at once, because it will now be sent without the
    /// refused part. The refused request costs nothing.
    pub again: Option<Again>,
}

impl ProviderError {
    /// A failure without details, which is not billed.
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

    /// Adds advice.
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Marks it as possibly billed.
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

/// The innermost cause of an error. The outer ones repeat the address, which may contain a key.
pub(crate) fn innermost(error: &dyn Error) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}
