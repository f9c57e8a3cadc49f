//! One request of an attempt: kept replies first, then the budget, then the vendor.

use super::{AttemptResult, Durations, Kept, Line, Signal, Stopped};
use crate::driver::wall_clock;
use crate::governor::{Admission, Closed, Outlook, Permit};
use crate::setup::{Model, Setup};
use divisi_core::budget::TurnBound;
use divisi_core::content::Content;
use divisi_core::event::Turn;
use divisi_core::governor::Estimate;
use divisi_core::{Failure, FailureClass, Millis, ModelPrice, PicoUsd};
use divisi_providers::redact;
use divisi_providers::{Again, Block, Message, Progress, ProviderError, Reply, Request, Stop};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::time::Instant;

/// What vendors add to a request of their own: marks of roles and turns, and
/// the text that introduces tools and schemas, of some hundred tokens.
const VENDOR_TOKENS_MAX: u64 = 2_048;

/// How many bytes of a prompt make a token, for pacing only: rather too few,
/// so that too much is set aside. What was not used is given back.
const BYTES_PER_TOKEN: u64 = 3;

/// How many times the idle timeout a server may keep a connection alive without
/// adding to the reply. Models think for minutes, in which some servers send
/// comments; a server that is stuck sends them for ever.
const KEPT_ALIVE_MAX: u32 = 3;

/// Asks for replies on behalf of one attempt.
pub(super) struct Asker {
    pub(super) line: Line,
    pub(super) setup: Arc<Setup>,
    /// Replies of earlier attempts that have not been used yet.
    pub(super) kept: Vec<Kept>,
    /// How long others have taken, where what takes far longer may be sent twice.
    pub(super) hedge: Option<Arc<Durations>>,
    /// How long a request may be out without a sign of life.
    pub(super) idle_timeout: Millis,
}

/// A request on its way out.
pub(super) struct Wanted<'a> {
    pub(super) request: &'a Request,
    pub(super) model: &'a Model,
    /// Bytes of all texts in the request.
    pub(super) bytes: u64,
    /// Where the order to start the attempt covers this request: the room that
    /// it leaves for the reply.
    pub(super) ordered: Option<Option<u32>>,
    /// Results of tools that ran since the last request: JSON text.
    pub(super) tool_results: Option<Arc<str>>,
    /// Whether it judges the attempt's result.
    pub(super) judges: bool,
}

/// A request that is paid for.
pub(super) struct Sending<'a> {
    pub(super) request: &'a Request,
    pub(super) model: &'a Model,
    pub(super) bytes: u64,
    pub(super) admission: &'a Admission,
}

/// A reply, and what is to be recorded of it if it is new.
pub(super) struct Answer {
    pub(super) reply: Reply,
    pub(super) turn: Option<(Turn, Arc<str>)>,
    /// Results of the tools it called, if they ran in an earlier attempt.
    pub(super) tool_results: Option<Arc<str>>,
    /// How often in a row the process has died before there were any.
    pub(super) deaths: u32,
    /// What the request may cost with all the room it wants, where the reply
    /// was cut off for want of money.
    pub(super) cut: Option<TurnBound>,
}

/// Why an attempt goes no further.
pub(super) enum Halt {
    Stopped,
    Failed(Box<AttemptResult>),
}

impl From<Closed> for Halt {
    fn from(Closed { failure, reopens_in }: Closed) -> Self {
        Self::Failed(Box::new(AttemptResult { retry_after: reopens_in, ..failure.into() }))
    }
}

impl From<Closed> for ProviderError {
    fn from(Closed { failure, reopens_in }: Closed) -> Self {
        let error = Self { retry_after: reopens_in, ..Self::new(failure.class, failure.message) };
        Self { hint: failure.hint, ..error }
    }
}

impl From<Stopped> for ProviderError {
    fn from(_: Stopped) -> Self {
        Self::new(FailureClass::Interrupted, "the run stopped")
    }
}

impl From<Stopped> for Halt {
    fn from(_: Stopped) -> Self {
        Self::Stopped
    }
}

impl Asker {
    /// The reply to a request: a kept one, or a new one.
    ///
    /// A request is named by what it asks, not by how long the reply may be:
    /// so a reply that had less room and was long enough is found again.
    pub(super) async fn ask(&mut self, wanted: Wanted<'_>) -> Result<Answer, Halt> {
        let Wanted { request, model, bytes, ordered, tool_results, judges } = wanted;
        let mut digest = request.digest();
        if let Some(found) = self.kept.iter().position(|kept| kept.request == digest) {
            let kept = self.kept.remove(found);
            if let Ok(reply) = serde_json::from_str(&kept.reply) {
                let Kept { tool_results, deaths, .. } = kept;
                return Ok(Answer { reply, turn: None, tool_results, deaths, cut: None });
            }
        }
        let bound = bound(model.price.as_deref(), bytes, request.max_tokens);
        let room = match ordered {
            Some(room) => room,
            None => self.line.turn_wanted(tool_results, bound).await?,
        };
        let shortened = room.map(|max_tokens| Request { max_tokens, ..request.clone() });
        let sent = shortened.as_ref().unwrap_or(request);
        let admission = self.admitted(sent, model).await?;
        let (reply, took) =
            self.send(&Sending { request: sent, model, bytes, admission: &admission }).await?;
        let cut = (shortened.is_some() && reply.stop == Stop::MaxTokens).then(|| {
            // Half an answer is no answer to the whole question.
            digest = sent.digest();
            bound.whole()
        });
        let json = json(&reply);
        let turn = Turn {
            request: digest,
            reply: Content::of(json.clone()).0,
            model: reply.model.as_str().into(),
            judges,
            usage: reply.usage,
            cost: self.cost(model, &reply),
            took: Millis(took.as_millis() as u64),
        };
        Ok(Answer { reply, turn: Some((turn, json)), tool_results: None, deaths: 0, cut })
    }

    /// Waits until the prefix that the request shares with others is cached.
    async fn admitted(&self, request: &Request, model: &Model) -> Result<Admission, Stopped> {
        let held = |left| {
            let until = wall_clock() + left;
            self.line.begin_waiting(|attempt| Signal::Held { attempt, until });
        };
        let admission = self.line.unless_parking(model.governors.admit(model, request, held)).await?;
        if admission.was_held {
            self.line.end_waiting();
        }
        Ok(admission)
    }

    /// Sends a request as soon as the vendor takes one more: the reply, and how
    /// long it took from then on.
    async fn send(&self, sending: &Sending<'_>) -> Result<(Reply, Duration), Halt> {
        let line = &self.line;
        let waits = |outlook| line.begin_waiting(|attempt| Signal::waiting(attempt, outlook));
        let entered = line.unless_parking(self.permit(sending, waits)).await?;
        line.end_waiting();
        let permit = entered?;
        line.asks()?;
        let first = self.settled(sending, permit);
        let sent_at = Instant::now();
        let reply = match &self.hedge {
            None => first.await,
            Some(durations) => self.hedged(sending, first, durations).await,
        };
        line.answered(reply.is_ok());
        let reply = reply.map_err(|error| Halt::Failed(Box::new(unanswered(error))))?;
        Ok((reply, sent_at.elapsed()))
    }

    /// Leave to send a request; `waits` is called while it has to be waited for.
    pub(super) async fn permit(
        &self,
        Sending { request, model, bytes, .. }: &Sending<'_>,
        waits: impl Fn(Outlook) + Send,
    ) -> Result<Permit, Closed> {
        let estimate = Estimate { input: bytes / BYTES_PER_TOKEN, output: request.max_tokens.into() };
        let gate = model.governors.of(&model.id);
        gate.limit_in_flight(model.provider.in_flight_max());
        let (run, priority) = self.line.turn();
        gate.enter(run, priority, estimate, waits).await
    }

    /// Sends a request that may leave; and once more, with a permit of its own, whenever it is
    /// refused for a part that it can do without. Refused requests cost nothing, so the
    /// reservation is still there, and no try of the task is used up. Each time the provider
    /// leaves out more, of the few parts that there are, so this ends.
    async fn settled(&self, sending: &Sending<'_>, mut permit: Permit) -> Result<Reply, ProviderError> {
        loop {
            let notice = match self.exchange(sending, permit).await {
                Err(ProviderError { again: Some(Again { notice }), .. }) => notice,
                settled => return settled,
            };
            if let Some(notice) = notice {
                self.line.log(format!("warning: {notice}"));
            }
            let waits = |outlook| self.line.begin_waiting(|attempt| Signal::waiting(attempt, outlook));
            self.line.answered(false);
            let entered = self.line.unless_parking(self.permit(sending, waits)).await?;
            self.line.end_waiting();
            permit = entered?;
            self.line.asks()?;
        }
    }

    /// Sends a request that may leave, and waits for the reply.
    pub(super) async fn exchange(
        &self,
        Sending { request, model, admission, .. }: &Sending<'_>,
        mut permit: Permit,
    ) -> Result<Reply, ProviderError> {
        let (line, sent_at) = (&self.line, Instant::now());
        permit.sends();
        admission.leaves();
        // When the reply last grew, in milliseconds since the request left.
        let grown = AtomicU64::new(0);
        let silent_max = self.idle_timeout.0.saturating_mul(KEPT_ALIVE_MAX.into());
        let progress = |progress| {
            let now = sent_at.elapsed().as_millis() as u64;
            if progress != Progress::Alive {
                grown.store(now, Ordering::Relaxed);
            }
            match progress {
                Progress::Started => {
                    admission.begun();
                    permit.begun();
                    line.sign_of_life();
                }
                Progress::Alive if now - grown.load(Ordering::Relaxed) < silent_max => line.sign_of_life(),
                Progress::Alive => {}
                Progress::OutputTokens(tokens) => line.signal(|attempt| Signal::Writing { attempt, tokens }),
            }
        };
        // Digests name the request as it was built, from recorded texts: so it is
        // found again whatever keys are known by then.
        let known = redact::known();
        let reply = model.provider.send(&known.request(request), &progress).await;
        let reply = reply.map(|reply| known.reply(reply)).map_err(|error| known.error(error));
        permit.report(&reply);
        if reply.is_ok() {
            admission.begun();
            self.hedge.iter().for_each(|durations| durations.learn(&model.id, sent_at.elapsed()));
        }
        reply
    }

    fn cost(&self, model: &Model, reply: &Reply) -> PicoUsd {
        self.setup.prices.cost(model, reply, wall_clock()).unwrap_or_default()
    }

    /// Makes a reply durable before anything is done because of it.
    pub(super) async fn record(&self, turn: Option<(Turn, Arc<str>)>) -> Result<(), Stopped> {
        match turn {
            Some((turn, json)) => self.line.turn_ended(turn, json).await,
            None => Ok(()),
        }
    }
}

/// A reply as JSON text.
fn json(reply: &Reply) -> Arc<str> {
    /// What stands around the texts of a short reply.
    const FRAME_BYTES: usize = 512;
    let mut json = Vec::with_capacity(FRAME_BYTES);
    // Made of texts, numbers and JSON: nothing that cannot be written, or is no text.
    let _ = serde_json::to_writer(&mut json, reply);
    String::from_utf8(json).unwrap_or_default().into()
}

/// What a request may cost whose texts have so many bytes: no tokeniser makes
/// more tokens than bytes. Nothing for a model that nobody sends a bill for.
pub(crate) fn bound(price: Option<&ModelPrice>, bytes: u64, reply_tokens_max: u32) -> TurnBound {
    price.map_or_else(TurnBound::default, |price| {
        TurnBound::of(price, bytes.saturating_add(VENDOR_TOKENS_MAX), reply_tokens_max)
    })
}

/// An attempt that got no reply.
fn unanswered(error: ProviderError) -> AttemptResult {
    let (retry_after, should_retry) = (error.retry_after, error.should_retry);
    let unanswered = error.maybe_billed;
    AttemptResult { retry_after, should_retry, unanswered, ..Failure::from(error).into() }
}

/// Bytes of all texts in a request.
pub(super) fn request_bytes(request: &Request) -> u64 {
    let system: usize = request.system.iter().map(|block| block.text.len()).sum();
    let schema = request.schema.as_ref().map_or(0, |schema| schema.to_string().len());
    (system + request.tools.bytes() + schema) as u64 + request.messages.iter().map(message_bytes).sum::<u64>()
}

/// Bytes of all texts in a message.
pub(super) fn message_bytes(message: &Message) -> u64 {
    let bytes = |block: &Block| match block {
        Block::Text { text, .. } => text.len(),
        Block::ToolUse { name, input, .. } => name.len() + input.to_string().len(),
        Block::ToolResult { content, .. } => content.len(),
        Block::Opaque(value) => value.to_string().len(),
    };
    message.blocks.iter().map(bytes).sum::<usize>() as u64
}
