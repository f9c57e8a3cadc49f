//! One request to a vendor.

use crate::executor::{Arriving, Line, Signal};
use crate::governor::{Admission, Closed, Gate, Leave, Pending, Permit};
use crate::models::Model;
use divisi_core::attempt::{Durations, Slot};
use divisi_core::budget::TurnBound;
use divisi_core::governor::Estimate;
use divisi_core::tokens::BYTES_OF_DENSE;
use divisi_core::{Millis, ModelPrice, Timestamp};
use divisi_providers::redact::{self, Cut};
use divisi_providers::{Progress, ProviderError, Reply, Request};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use tokio::time::Instant;

/// Tokens that vendors add to a request: marks of roles and turns, and the text that introduces
/// tools and schemas. These are some hundred.
const VENDOR_TOKENS_MAX: u64 = 2_048;

/// Durations of a run's requests, shared by its attempts.
#[derive(Debug, Default)]
pub struct SharedDurations(Mutex<Durations>);

impl SharedDurations {
    fn learn(&self, model: &Arc<str>, took: Millis) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .learn(model, took);
    }

    /// How long a request to this model may take before it is hedged.
    pub(super) fn patience(&self, model: &str) -> Option<Millis> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .patience(model)
    }
}

/// A request whose cost is reserved.
#[derive(Clone)]
pub(super) struct Sending {
    pub(super) request: Arc<Request>,
    pub(super) model: Model,
    /// Bytes of all texts in the request.
    pub(super) bytes: u64,
    pub(super) admission: Arc<Admission>,
    /// Records its duration, if requests may be hedged.
    pub(super) durations: Option<Arc<SharedDurations>>,
    pub(super) line: Line,
}

impl From<Closed> for ProviderError {
    fn from(
        Closed {
            failure,
            reopens_in,
        }: Closed,
    ) -> Self {
        let error = Self {
            retry_after: reopens_in,
            ..Self::new(failure.class, failure.message)
        };
        Self {
            hint: failure.hint,
            ..error
        }
    }
}

impl Sending {
    /// Asks the gate for a permit.
    pub(super) fn ask(&self) -> Leave {
        let Self {
            request,
            model,
            bytes,
            line,
            ..
        } = self;
        let estimate = Estimate {
            input: bytes / BYTES_OF_DENSE,
            output: request.max_tokens.into(),
        };
        let gate = self.gate();
        gate.limit_in_flight(model.provider.in_flight_max());
        let (run, priority) = line.turn();
        gate.ask(run, priority, estimate)
    }

    /// Waits for a permit; `shows` says whether displays show the wait.
    pub(super) async fn permit(&self, pending: Pending, shows: bool) -> Result<Permit, Closed> {
        let waits = |outlook| {
            if shows {
                self.line.held(outlook);
                self.line
                    .shows_waiting(|attempt| Signal::waiting(attempt, outlook));
            }
        };
        self.gate().wait(pending, waits).await
    }

    fn gate(&self) -> Arc<Gate> {
        self.model.governors.of(&self.model.id)
    }

    /// Sends it with a permit; returns the reply, and when that began.
    pub(super) async fn exchange(
        self,
        slot: Slot,
        mut permit: Permit,
    ) -> (Result<Reply, ProviderError>, Option<Timestamp>) {
        let Self {
            request,
            model,
            bytes,
            admission,
            durations,
            line,
        } = self;
        line.sends(
            slot,
            Arriving::new(model.price.as_ref(), bytes, request.max_tokens),
        );
        let sent_at = Instant::now();
        permit.sends();
        admission.leaves();
        let begun = OnceLock::new();
        let progress = |progress| match progress {
            Progress::Started(limits) => {
                admission.begun();
                permit.begun(&limits, model.provider.in_flight_max());
                // Only the first call counts.
                let _ = begun.set(line.now());
                line.grows();
            }
            Progress::Alive => line.sign_of_life(),
            Progress::Prompt(prompt) => line.arriving(slot).counts(prompt),
            Progress::OutputTokens(tokens) => {
                line.arriving(slot).grows(tokens);
                line.grows();
                line.show(|attempt| Signal::Writing { attempt, tokens });
            }
            Progress::Begins(words) => line.show(|attempt| Signal::Begins {
                attempt,
                // They end where the reply or the limit has cut them.
                words: redact::known().part(&words, Cut::End).into(),
            }),
        };
        // The digest is that of the request before redaction, so that it does not depend on the
        // secrets known now.
        let known = redact::known();
        let reply = model
            .provider
            .send(&known.request(&request), &progress)
            .await;
        let reply = reply
            .map(|reply| known.reply(reply))
            .map_err(|error| known.error(error));
        permit.report(&reply).await;
        if reply.is_ok() {
            admission.begun();
            let took = Millis(sent_at.elapsed().as_millis() as u64);
            durations
                .iter()
                .for_each(|durations| durations.learn(&model.id, took));
        }
        (reply, begun.get().copied())
    }
}

/// A reply as JSON text.
pub(super) fn json(reply: &Reply) -> Arc<str> {
    /// Bytes of a short reply's JSON besides its texts.
    const FRAME_BYTES: usize = 512;
    let mut json = Vec::with_capacity(FRAME_BYTES);
    // Made of texts, numbers and JSON, so serialisation cannot fail.
    let _ = serde_json::to_writer(&mut json, reply);
    String::from_utf8(json).unwrap_or_default().into()
}

/// The bound of a request with this many bytes of text: no tokeniser gives more tokens than bytes.
/// Zero for an unpriced model.
pub(crate) fn bound(price: Option<&ModelPrice>, bytes: u64, reply_tokens_max: u32) -> TurnBound {
    price.map_or_else(TurnBound::default, |price| {
        TurnBound::of(
            price,
            bytes.saturating_add(VENDOR_TOKENS_MAX),
            reply_tokens_max,
        )
    })
}
