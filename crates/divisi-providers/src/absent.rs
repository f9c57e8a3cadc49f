//! A provider that cannot be asked: its place is kept.
//!
//! What it has answered is found again under the names that its models had; only
//! what would have to be asked now fails, and says why.

use crate::error::ProviderError;
use crate::provider::{Progress, Provider};
use crate::reply::Reply;
use crate::request::Request;
use async_trait::async_trait;
use divisi_core::FailureClass;

/// A provider that cannot be asked.
#[derive(Clone, Debug)]
pub struct Absent {
    /// What it is called.
    pub name: String,
    /// Why it cannot be asked: a lower-case phrase.
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

    /// Nothing is sent.
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
