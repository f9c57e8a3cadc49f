//! A permit to send one request.

use super::Gate;
use divisi_core::governor::{Ending, PermitId, RateLimits};
use divisi_core::retry::Told;
use divisi_core::{Failure, FailureClass};
use divisi_providers::{ProviderError, Reply};
use std::sync::Arc;

/// A permit to send one request. Dropping it without a report abandons the request; before sending,
/// that costs nothing.
pub(crate) struct Permit {
    gate: Arc<Gate>,
    id: Option<PermitId>,
    is_sent: bool,
}

impl Permit {
    pub(super) fn new(gate: Arc<Gate>, id: PermitId) -> Self {
        Self {
            gate,
            id: Some(id),
            is_sent: false,
        }
    }

    /// Marks the request as sent.
    pub(crate) fn sends(&mut self) {
        self.is_sent = true;
    }

    /// Reports that the reply has begun, with the limits in its headers and the number of requests
    /// that its connection is worth having under way.
    pub(crate) fn begun(&self, limits: &RateLimits, in_flight_max: u32) {
        self.gate.limit_in_flight(in_flight_max);
        if let Some(id) = self.id {
            self.gate.begun(id, limits);
        }
    }

    /// Reports how the request ended. After an error it returns once other processes can read it,
    /// so that they do even if this process ends now.
    pub(crate) async fn report(mut self, result: &Result<Reply, ProviderError>) {
        let Some(id) = self.id.take() else { return };
        match result {
            Ok(reply) => {
                _ = self
                    .gate
                    .done(id, Some(&reply.usage), |_| Ending::Ok, &reply.rate, None);
            }
            Err(error) => {
                let closes = matches!(error.class, FailureClass::Quota | FailureClass::Auth);
                let failure = closes.then(|| Failure::from(error.clone()));
                let told = Told {
                    retry_after: error.retry_after,
                    should_retry: error.should_retry,
                };
                let ending = |now| Ending::of(error.class, told, now);
                self.gate
                    .done(id, None, ending, &error.rate, failure)
                    .done()
                    .await;
            }
        }
    }

    /// Takes its id, for callers that return it themselves.
    pub(super) fn take(mut self) -> Option<PermitId> {
        self.id.take()
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        match self.id.take() {
            Some(id) if self.is_sent => {
                self.gate
                    .done(id, None, |_| Ending::Other, &RateLimits::default(), None);
            }
            Some(id) => self.gate.withdraw(id),
            None => {}
        }
    }
}
