//! Leave to send one request.

use super::Gate;
use divisi_core::governor::{Ending, PermitId, RateLimits};
use divisi_core::{Failure, FailureClass};
use divisi_providers::{ProviderError, Reply};
use std::sync::Arc;

/// Leave to send one request. Whoever drops it without a report has given the
/// request up; before it is sent, that costs nothing.
pub(crate) struct Permit {
    gate: Arc<Gate>,
    id: Option<PermitId>,
    is_sent: bool,
}

impl Permit {
    pub(super) fn new(gate: Arc<Gate>, id: PermitId) -> Self {
        Self { gate, id: Some(id), is_sent: false }
    }

    /// Says that the request leaves now.
    pub(crate) fn sends(&mut self) {
        self.is_sent = true;
    }

    /// Says that the reply has begun.
    pub(crate) fn begun(&self) {
        if let Some(id) = self.id {
            self.gate.begun(id);
        }
    }

    /// Reports how the request ended.
    pub(crate) fn report(mut self, result: &Result<Reply, ProviderError>) {
        let Some(id) = self.id.take() else { return };
        match result {
            Ok(reply) => self.gate.done(id, Some(&reply.usage), |_| Ending::Ok, &reply.rate, None),
            Err(error) => {
                let closes = matches!(error.class, FailureClass::Quota | FailureClass::Auth);
                let failure = closes.then(|| Failure::from(error.clone()));
                self.gate.done(id, None, |now| ending(error, now), &error.rate, failure);
            }
        }
    }

    /// What it is called, for those who give it back themselves.
    pub(super) fn take(mut self) -> Option<PermitId> {
        self.id.take()
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        match self.id.take() {
            Some(id) if self.is_sent => {
                self.gate.done(id, None, |_| Ending::Other, &RateLimits::default(), None);
            }
            Some(id) => self.gate.withdraw(id),
            None => {}
        }
    }
}

fn ending(error: &ProviderError, now: divisi_core::Timestamp) -> Ending {
    match error.class {
        // The vendor says that pace has nothing to do with it.
        FailureClass::RateLimited if error.should_retry == Some(false) => Ending::Other,
        FailureClass::RateLimited => Ending::RateLimited { retry_after: error.retry_after },
        FailureClass::Overloaded => Ending::Overloaded,
        FailureClass::Quota => Ending::Quota { until: error.retry_after.map(|wait| now + wait) },
        FailureClass::Auth if error.should_retry == Some(true) => Ending::Other,
        FailureClass::Auth => Ending::Auth,
        FailureClass::Server
        | FailureClass::Network
        | FailureClass::Timeout
        | FailureClass::Stalled
        | FailureClass::Lost
        | FailureClass::Interrupted
        | FailureClass::BadRequest
        | FailureClass::TooLong
        | FailureClass::Declined
        | FailureClass::Truncated
        | FailureClass::Schema
        | FailureClass::Empty
        | FailureClass::Turns
        | FailureClass::Check
        | FailureClass::Budget
        | FailureClass::Program
        | FailureClass::Unavailable
        | FailureClass::Flow => Ending::Other,
    }
}
