//! A placeholder for a provider that cannot be used any more.
//!
//! Its recorded replies are found under the names of its models; only new requests fail, with the
//! reason.

use crate::error::ProviderError;
use crate::provider::{Progress, Provider};
use crate::reply::Reply;
use crate::request::Request;
use async_trait::async_trait;
use divisi_core::FailureClass;

/// A provider that cannot be used.
#[derive(Clone, Debug)]
pub struct Absent {
    /// Its name.
    pub name: String,
    /// The reason, as a lower-case phrase.
    pub reason: String,
    /// What the user can do about it.
    pub hint: String,
}

impl Absent {
    fn error(&self) -> ProviderError {
        ProviderError::new(FailureClass::Unavailable, &self.reason).hint(&self.hint)
    }
}

#[async_trait]
impl Provider for Absent {
    fn name(&self) -> &str {
        &self.name
    }

    /// Not billed, because nothing is sent.
    fn is_free(&self) -> bool {
        true
    }

    async fn send(
        &self,
        _request: &Request,
        _progress: &(dyn Fn(Progress) + Send + Sync),
    ) -> Result<Reply, ProviderError> {
        Err(self.error())
    }

    async fn models(&self) -> Result<Vec<String>, ProviderError> {
        Err(self.error())
    }
}
