//! One attempt at a task, as a state machine without IO.
//!
//! It takes inputs ([`Attempt::handle`]) and gives outputs to be performed ([`Attempt::poll`]):
//! build a request, order it from the run, wait for a shared prefix to be cached, wait for a
//! permit, send, use tools, check the result, end. It sees no text: the caller performs the
//! outputs, builds the requests, reads the replies and classifies them ([`Reading`]). The caller
//! also passes the time; [`Attempt::timeout`] is the next moment at which an [`Input::Tick`] is
//! due.
//!
//! The engine performs its outputs with a vendor, tools and a clock; the simulator with seeded
//! ones. So the simulator covers every rule in this module.
//!
//! Its parts: `conversation` decides what follows from a reply, `exchange` tracks the two copies of
//! a request, `clock` the current activity and its duration, `durations` how long requests take.

mod clock;
mod conversation;
mod durations;
mod exchange;

#[cfg(test)]
mod tests;

pub use clock::{Doing, Owed, Signs};
pub use conversation::{Reading, SCHEMA_TRIES_MAX, Say, Stop};
pub use durations::Durations;
pub use exchange::Slot;

use crate::budget::TurnBound;
use crate::check::CheckKind;
use crate::climb::{last_is_kept, needs_check};
use crate::event::{Wait, WaitCause};
use crate::run::KeptTurn;
use crate::{Digest, Millis, Timestamp};
use clock::Clock;
use conversation::{Conversation, Follow};
use exchange::{Exchange, First, Second};
use std::collections::VecDeque;

/// Longest time that a request with a short prompt waits for a request under way that writes the
/// same prefix to the cache. Replies to short prompts begin within two seconds, so after this time
/// a reply is unlikely to begin soon.
const HOLD_MIN: Millis = Millis::from_secs(5);

/// The same for a prompt of [`PROMPT_TOKENS_MAX`] tokens, whose reply begins within half of it.
const HOLD_MAX: Millis = Millis::from_secs(20);

/// The length of the longest prompt, in tokens.
const PROMPT_TOKENS_MAX: u64 = 1_000_000;

/// How long a request with a prompt of this many tokens waits for a request under way that writes
/// the same prefix to the cache: to wait costs time, and not to wait costs the prefix once more.
pub fn hold_max(prompt_tokens: u64) -> Millis {
    let share = (HOLD_MAX.0 - HOLD_MIN.0) * prompt_tokens.min(PROMPT_TOKENS_MAX);
    Millis(HOLD_MIN.0 + share / PROMPT_TOKENS_MAX)
}

/// How often a request that waits for a prefix checks it again.
const HOLD_LOOK_EVERY: Millis = Millis::from_secs(1);

/// How often an attempt compares its request with those answered meanwhile, to decide whether to
/// hedge.
const PATIENCE_LOOK_EVERY: Millis = Millis(250);

/// Crashes in a row during the same tool calls after which these are not executed again. The first
/// may have any cause, such as a kill; a second one at the same place makes the calls the likely
/// cause.
const DEATHS_MAX: u32 = 2;

/// Verdicts of one judge that may miss their form; the last of them counts as a refusal.
pub const VERDICT_TRIES_MAX: u32 = 3;

/// Configuration of an attempt.
#[derive(Clone, Debug)]
pub struct Spec {
    /// What makes the result.
    pub work: Work,
    /// Most requests of its conversation.
    pub turns_max: u32,
    /// Checks the result must pass, in this order.
    pub checks: Vec<CheckKind>,
    /// Place on the ladder: the number of results already refused.
    pub rung: usize,
    /// Whether a stronger model follows if this result is refused.
    pub can_climb: bool,
    /// Longest time the attempt may take, waits for a permit excluded.
    pub timeout: Millis,
    /// Longest time a request may be out without receiving anything.
    pub idle_timeout: Millis,
    /// Whether a slow request is sent a second time.
    pub hedges: bool,
    /// Longest reply to its first request in tokens, where the budget allows less than was asked
    /// for.
    pub room: Option<u32>,
    /// Recorded replies of earlier attempts, used instead of new requests.
    pub kept: Vec<Known>,
}

/// What makes the result of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// A conversation with a model.
    Conversation,
    /// A program, started once.
    Program,
}

/// A recorded reply of an earlier attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Known {
    /// Identity of the request it answers.
    pub request: Digest,
    /// Whether the results of the tools it called are recorded, too.
    pub has_results: bool,
    /// Crashes in a row before those results were recorded.
    pub deaths: u32,
}

impl From<&KeptTurn> for Known {
    fn from(kept: &KeptTurn) -> Self {
        Self {
            request: kept.request,
            has_results: kept.tool_results.is_some(),
            deaths: kept.deaths,
        }
    }
}

/// What a request is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// The next turn of the conversation.
    Turn,
    /// A judge's verdict on the result, for the check at this place.
    Verdict(usize),
}

/// Something that happened to an attempt.
#[derive(Clone, Debug)]
pub enum Input {
    /// It begins. The first input.
    Begin,
    /// The working folder has been prepared, or could not be.
    Opened {
        /// Whether it has been prepared.
        ok: bool,
    },
    /// Answers [`Output::Build`]: identity of the request and bound of its cost.
    Built {
        /// Its identity, which does not depend on the longest reply.
        request: Digest,
        /// What it may cost.
        bound: TurnBound,
    },
    /// The request cannot be built.
    Unbuilt,
    /// What the reply of [`Output::Reuse`] says; `None` where it cannot be read any more.
    Reused(Option<Reading>),
    /// The order of the request is durable; it may be sent.
    Granted {
        /// Longest reply in tokens, where the budget allows less than was asked for.
        room: Option<u32>,
    },
    /// The run refuses the request.
    Denied,
    /// The prefix is cached, or this request is to write it.
    PrefixReady,
    /// Another request is to write the prefix.
    PrefixHeld {
        /// Whether that request has been sent.
        has_left: bool,
        /// How long this one waits in all for requests under way: see [`hold_max`].
        most: Millis,
    },
    /// The request that writes the prefix has ended, or its reply has begun.
    PrefixNews,
    /// The first copy may not be sent yet, for this reason.
    Held(WaitCause),
    /// This copy may be sent.
    Permit(Slot),
    /// The vendor accepts no more requests.
    Closed(Slot),
    /// The whole reply has arrived.
    Replied {
        /// Which copy was answered.
        slot: Slot,
        /// What it says.
        reading: Reading,
    },
    /// The request failed.
    Failed {
        /// Which of the two.
        slot: Slot,
        /// Whether it may be billed nevertheless.
        maybe_billed: bool,
        /// Whether the same request can be sent in another form, at no further cost.
        again: bool,
    },
    /// The order of the hedge is durable.
    HedgeGranted,
    /// The run refuses the hedge.
    HedgeDenied,
    /// The reply of [`Output::Record`] is queued for the journal: if the attempt ends now, the
    /// reply settles its reservation.
    HandedOver,
    /// The reply is durable.
    Recorded,
    /// The tools of [`Output::UseTools`] have results.
    ToolsDone,
    /// The check of [`Output::Check`] has a verdict; `None` where it could not be made.
    Checked(Option<bool>),
    /// The program of [`Output::Work`] has ended, with a result or not.
    Worked {
        /// Whether there is a result.
        ok: bool,
    },
    /// The program starts or ends a wait for a permit, which is not counted as its own time.
    Waits(bool),
    /// The program suspends: it waits for something outside of the process.
    Suspended,
    /// The run parks: requests that have not been sent are withdrawn.
    Park,
    /// Time has passed: [`Attempt::timeout`] is due.
    Tick {
        /// When the request under way last received bytes.
        signs: Signs,
        /// How long requests to this model may take before they count as slow.
        patience: Option<Millis>,
    },
}

/// An action to be performed for an attempt.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Output {
    /// Prepare the working folder. Answered by [`Input::Opened`].
    Open,
    /// Build the next request. Answered at once by [`Input::Built`]
    /// or [`Input::Unbuilt`].
    Build(Purpose),
    /// Read the recorded reply at this place of [`Spec::kept`]. Answered at once by
    /// [`Input::Reused`].
    Reuse(usize),
    /// Order a further request from the run. Answered by [`Input::Granted`] or [`Input::Denied`].
    Order(TurnBound),
    /// Ask whether the prefix of the request is cached. Answered by [`Input::PrefixReady`];
    /// or, where it may wait, [`Input::PrefixHeld`], and later [`Input::PrefixNews`].
    AskPrefix {
        /// Whether it may wait.
        patient: bool,
    },
    /// Wait for a permit. Answered by [`Input::Permit`] or [`Input::Closed`].
    AwaitPermit(Slot),
    /// Leave the queue, or give the permit back.
    Withdraw(Slot),
    /// Send the request, with this longest reply where that is less than was asked for. Answered by
    /// [`Input::Replied`] or [`Input::Failed`].
    Send(Slot, Option<u32>),
    /// Cancel the request under way.
    Abandon(Slot),
    /// Order a hedge from the run. Answered by [`Input::HedgeGranted`] or [`Input::HedgeDenied`].
    Hedge,
    /// Report that one of the two copies has ended and its reply is not used.
    HedgeEnded {
        /// Whether it may be billed.
        billed: bool,
    },
    /// Have the reply recorded. Answered by [`Input::HandedOver`], then [`Input::Recorded`]
    /// or [`Input::Denied`].
    Record,
    /// Carry out the calls of the reply. Answered by [`Input::ToolsDone`].
    UseTools {
        /// The place in [`Spec::kept`] of the reply whose recorded results are used.
        kept: Option<usize>,
        /// Whether they may be executed; if not, each call gets an error as its result.
        may_run: bool,
    },
    /// Append to the conversation what follows its last reply.
    Say(Say),
    /// Start the program. Answered by [`Input::Worked`] or [`Input::Suspended`].
    Work,
    /// Run the check at this place, a schema or a command. Answered by [`Input::Checked`].
    Check(usize),
    /// The attempt has ended: no further output follows.
    End(Ended),
}

/// How an attempt has ended.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ended {
    /// How.
    pub end: End,
    /// Whether its last reply is not recorded yet, and must be recorded with the outcome.
    pub unrecorded: bool,
    /// Whether a request without a reply may be billed.
    pub unanswered: bool,
}

/// Why an attempt has ended.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum End {
    /// The last answer, or the program's output, is the result.
    Done,
    /// The working folder could not be prepared.
    NoPlace,
    /// The next request could not be built.
    Unbuilt,
    /// The program gave no result.
    NoResult,
    /// It is suspended: it waits for something outside of the process.
    Suspended,
    /// A check refused the result.
    Refused,
    /// The judge of the check at this place gave no verdict, which counts as refused.
    NoVerdict(usize),
    /// A check could not be made.
    CheckFailed,
    /// The conversation has used all its turns.
    Turns,
    /// No answer fitted the schema.
    Schema,
    /// The answer was empty, and empty again after a hint.
    Empty,
    /// The model stopped to call a tool without calling one, and did so again after a hint.
    NoCall,
    /// The answer was longer than it may be.
    Truncated,
    /// The budget had too little room for the whole answer or verdict. Holds the bound of the
    /// request with its full room.
    Cut(Purpose, TurnBound),
    /// The model declined.
    Declined,
    /// The conversation filled the model's context.
    TooLong,
    /// This copy of the request failed, or was refused by the gate.
    NoReply(Slot),
    /// The run parks or is cancelled, or refuses the request.
    Stopped,
    /// It exceeded its timeout.
    Timeout,
    /// A request received nothing for too long.
    Stalled,
}

/// One attempt: its state and its queue of outputs.
#[derive(Clone, Debug)]
pub struct Attempt {
    spec: Spec,
    stage: Stage,
    clock: Clock,
    owed: Owed,
    conversation: Conversation,
    purpose: Purpose,
    /// Verdicts of the current judge that missed their form.
    verdict_misses: u32,
    exchange: Exchange,
    /// Whether the last reply is new and not queued for the journal.
    unrecorded: bool,
    /// The recorded reply in use.
    reused: Option<usize>,
    /// Recorded replies that have been used.
    used: Vec<bool>,
    is_parking: bool,
    /// Whether requests that have not been sent stay unsent.
    is_withdrawn: bool,
    outputs: VecDeque<Output>,
}

/// The input that an attempt expects next.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Stage {
    Unstarted,
    Opening,
    Building,
    Reusing,
    Ordering,
    Prefix {
        patience: Millis,
        /// Since when another request writes the prefix, and whether that one has been sent.
        held: Option<(Timestamp, bool)>,
    },
    Asking,
    Recording(Next),
    UsingTools,
    Working,
    Checking(usize),
    Ended,
}

/// What follows once the reply is durable.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Next {
    Tools,
    Say(Say),
    Check(usize),
    End(End),
}

impl Attempt {
    /// Creates an attempt that has not begun.
    pub fn new(spec: Spec) -> Self {
        Self {
            stage: Stage::Unstarted,
            clock: Clock::default(),
            owed: Owed::default(),
            conversation: Conversation::new(spec.turns_max),
            purpose: Purpose::Turn,
            verdict_misses: 0,
            exchange: Exchange::default(),
            unrecorded: false,
            reused: None,
            used: vec![false; spec.kept.len()],
            is_parking: false,
            is_withdrawn: false,
            outputs: VecDeque::new(),
            spec,
        }
    }

    /// Applies an input. One that does not fit the current state is out of date and is ignored.
    pub fn handle(&mut self, now: Timestamp, input: Input) {
        match (self.stage, input) {
            (Stage::Ended, _) => {}
            (Stage::Unstarted, Input::Begin) => {
                self.clock.begin(now);
                self.perform(Stage::Opening, Output::Open);
            }
            (Stage::Opening, Input::Opened { ok: true }) => self.begin(now),
            (Stage::Opening, Input::Opened { ok: false }) => self.end(End::NoPlace),
            (_, Input::Park) => self.park(now),
            (_, Input::Tick { signs, patience }) => self.tick(now, signs, patience),
            (Stage::Building, Input::Built { request, bound }) => self.built(now, request, bound),
            (Stage::Building, Input::Unbuilt) => self.end(End::Unbuilt),
            (Stage::Reusing, Input::Reused(Some(reading))) => self.read(now, reading),
            (Stage::Reusing, Input::Reused(None)) => self.order(now),
            (Stage::Ordering, Input::Granted { room }) => self.await_prefix(now, room),
            (Stage::Ordering, Input::Denied) => self.end(End::Stopped),
            (Stage::Prefix { .. }, Input::PrefixReady) => self.await_permit(now),
            (Stage::Prefix { patience, .. }, Input::PrefixHeld { has_left, most }) => {
                self.clock.wait(now, WaitCause::Prefix);
                self.stage = Stage::Prefix {
                    patience: patience.min(most),
                    held: Some((now, has_left)),
                };
            }
            (Stage::Prefix { .. }, Input::PrefixNews) => self.ask_prefix(now),
            (Stage::Asking, Input::Held(cause)) if self.clock.cause().is_some() => {
                self.clock.wait(now, cause);
            }
            (Stage::Asking, Input::Permit(slot)) => self.send(now, slot),
            (Stage::Asking, Input::Closed(slot)) => self.failed(now, slot, false, false),
            (
                Stage::Asking,
                Input::Failed {
                    slot,
                    maybe_billed,
                    again,
                },
            ) => {
                self.failed(now, slot, maybe_billed, again);
            }
            (Stage::Asking, Input::Replied { slot, reading }) => self.replied(now, slot, reading),
            (Stage::Asking, Input::HedgeGranted) => self.hedge_granted(),
            (Stage::Asking, Input::HedgeDenied) => self.give_up_second(false),
            (Stage::Recording(_), Input::HandedOver) => self.handed_over(),
            (Stage::Recording(next), Input::Recorded) => {
                self.handed_over();
                self.proceed(now, next);
            }
            (Stage::Recording(_), Input::Denied) => self.end(End::Stopped),
            (Stage::UsingTools, Input::ToolsDone) => self.build(now),
            (Stage::Working, Input::Waits(true)) => self.clock.wait(now, WaitCause::Limit),
            (Stage::Working, Input::Waits(false)) => self.clock.work(now),
            (Stage::Working, Input::Worked { ok }) => {
                self.clock.work(now);
                self.owed = Owed::default();
                if ok {
                    self.check(now, 0);
                } else {
                    self.end(End::NoResult);
                }
            }
            (Stage::Working, Input::Suspended) => {
                self.owed = Owed::default();
                self.end(End::Suspended);
            }
            (Stage::Checking(place), Input::Checked(Some(true))) => self.check(now, place + 1),
            (Stage::Checking(_), Input::Checked(Some(false))) => self.end(End::Refused),
            (Stage::Checking(_), Input::Checked(None)) => self.end(End::CheckFailed),
            _ => {}
        }
    }

    /// Returns the next action to perform.
    pub fn poll(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// The moment at which the next [`Input::Tick`] is due, if nothing else happens.
    pub fn timeout(&self) -> Option<Timestamp> {
        if matches!(self.stage, Stage::Unstarted | Stage::Ended) {
            return None;
        }
        let held = match self.stage {
            Stage::Prefix {
                patience,
                held: Some((since, _)),
            } => Some(since + patience.min(HOLD_LOOK_EVERY)),
            _ => None,
        };
        let overdue = self.clock.overdue_at(self.spec.timeout);
        let silent = self.clock.silent_at(self.spec.idle_timeout);
        [held, overdue, silent, self.exchange.look_at]
            .into_iter()
            .flatten()
            .min()
    }

    /// The current activity.
    pub fn doing(&self) -> Doing {
        self.clock.doing()
    }

    /// Total time spent waiting for permits.
    pub fn waited(&self, now: Timestamp) -> Millis {
        self.clock.waited(now)
    }

    /// When its latest request was sent, counted from its beginning; `None` before that.
    pub fn sent(&self) -> Option<Millis> {
        self.exchange.sent_at.map(|at| self.clock.since_begin(at))
    }

    /// Returns the waits since the last call, to be recorded with the next reply or with the end.
    /// Their number is bounded.
    pub fn take_waits(&mut self, now: Timestamp) -> Vec<Wait> {
        self.clock.take_waits(now)
    }

    /// Requests that may be billed although the run has no reply for them.
    pub fn owed(&self) -> Owed {
        self.owed
    }

    /// Prevents any further request. Returns the requests that have been sent and may be billed; if
    /// there is none, the attempt ends here without an output.
    pub fn withdraw(&mut self) -> Owed {
        self.is_withdrawn = true;
        if !self.owed.first {
            self.stage = Stage::Ended;
            self.outputs.clear();
        }
        self.owed
    }

    fn begin(&mut self, now: Timestamp) {
        match self.spec.work {
            Work::Conversation => self.build(now),
            // A program may spend from its first moment, and its report may never come.
            Work::Program => {
                self.owed.first = true;
                self.perform(Stage::Working, Output::Work);
            }
        }
    }

    /// Builds the next request of the conversation or of the judge.
    fn build(&mut self, now: Timestamp) {
        self.clock.work(now);
        let is_over = self.purpose == Purpose::Turn && !self.conversation.takes_turn();
        match is_over {
            true => self.end(End::Turns),
            false => self.perform(Stage::Building, Output::Build(self.purpose)),
        }
    }

    fn built(&mut self, now: Timestamp, request: Digest, bound: TurnBound) {
        self.exchange = Exchange::new(bound);
        let is_kept =
            |(place, kept): &(usize, &Known)| !self.used[*place] && kept.request == request;
        match self.spec.kept.iter().enumerate().find(is_kept) {
            Some((place, _)) => {
                self.used[place] = true;
                self.reused = Some(place);
                self.perform(Stage::Reusing, Output::Reuse(place));
            }
            None => self.order(now),
        }
    }

    /// Orders the request from the run. The order to start covers the first one.
    fn order(&mut self, now: Timestamp) {
        self.reused = None;
        match self.purpose == Purpose::Turn && self.conversation.is_first_turn() {
            true => self.await_prefix(now, self.spec.room),
            false => self.perform(Stage::Ordering, Output::Order(self.exchange.bound)),
        }
    }

    fn await_prefix(&mut self, now: Timestamp, room: Option<u32>) {
        self.exchange.room = room;
        self.stage = Stage::Prefix {
            patience: HOLD_MAX,
            held: None,
        };
        self.ask_prefix(now);
    }

    /// Asks whether the prefix is cached. Patience is used up only while the request that writes it
    /// is under way: while that one waits for a permit, this one could not be sent either.
    fn ask_prefix(&mut self, now: Timestamp) {
        let Stage::Prefix { patience, held } = self.stage else {
            return;
        };
        if self.is_parking {
            return self.end(End::Stopped);
        }
        let patience = match held {
            Some((since, true)) => Millis(patience.0.saturating_sub(now.since(since).0)),
            _ => patience,
        };
        let patient = patience > Millis(0);
        self.perform(
            Stage::Prefix {
                patience,
                held: None,
            },
            Output::AskPrefix { patient },
        );
    }

    fn await_permit(&mut self, now: Timestamp) {
        if self.is_parking || self.is_withdrawn {
            return self.end(End::Stopped);
        }
        self.clock.wait(now, WaitCause::Limit);
        self.exchange.first = First::Waiting;
        self.perform(Stage::Asking, Output::AwaitPermit(Slot::First));
    }

    fn send(&mut self, now: Timestamp, slot: Slot) {
        let must_stay = self.is_withdrawn || self.is_parking;
        match (slot, self.exchange.first, self.exchange.second) {
            (Slot::First, First::Waiting, _) if must_stay => self.withdraw_first(),
            (Slot::First, First::Waiting, _) => {
                self.exchange.first = First::Out;
                // Kept from the first time, also if the request is sent again in another form.
                self.exchange.sent_at.get_or_insert(now);
                if self.spec.hedges
                    && self.purpose == Purpose::Turn
                    && self.exchange.second == Second::None
                {
                    self.exchange.look_at = Some(now);
                }
                self.owed.first = true;
                self.clock.ask(now);
                self.outputs
                    .push_back(Output::Send(slot, self.exchange.room));
            }
            (Slot::Second, _, Second::Waiting) if must_stay => self.give_up_second(true),
            (Slot::Second, _, Second::Waiting) => {
                self.exchange.second = Second::Out;
                self.owed.second = true;
                self.outputs
                    .push_back(Output::Send(slot, self.exchange.room));
            }
            // The permit came just after the request was given up.
            _ => self.outputs.push_back(Output::Withdraw(slot)),
        }
    }

    fn failed(&mut self, now: Timestamp, slot: Slot, maybe_billed: bool, again: bool) {
        match slot {
            Slot::First if again && self.exchange.first == First::Out => {
                self.owed.first = false;
                self.exchange.first = First::Waiting;
                if self.is_parking || self.is_withdrawn {
                    return self.withdraw_first();
                }
                if self.exchange.second != Second::Out {
                    self.clock.wait(now, WaitCause::Limit);
                }
                self.outputs.push_back(Output::AwaitPermit(Slot::First));
            }
            Slot::First if matches!(self.exchange.first, First::Waiting | First::Out) => {
                // If the hedge was sent, wait for its answer. If it is still queued, give up: it
                // might be sent long after the retry-after of the error.
                if self.exchange.second == Second::Out {
                    self.exchange.first = First::Failed { maybe_billed };
                    return;
                }
                self.give_up_second(true);
                self.no_reply(Slot::First, maybe_billed);
            }
            Slot::Second if matches!(self.exchange.second, Second::Waiting | Second::Out) => {
                self.exchange.second = Second::Over;
                self.owed.second = false;
                self.outputs.push_back(Output::HedgeEnded {
                    billed: maybe_billed,
                });
                if let First::Failed { maybe_billed } = self.exchange.first {
                    self.no_reply(Slot::First, maybe_billed);
                }
            }
            Slot::First | Slot::Second => {}
        }
    }

    fn replied(&mut self, now: Timestamp, slot: Slot, reading: Reading) {
        match slot {
            Slot::First if self.exchange.first == First::Out => self.give_up_second(true),
            Slot::Second if self.exchange.second == Second::Out => {
                let billed = match self.exchange.first {
                    First::Out => true,
                    First::Failed { maybe_billed } => maybe_billed,
                    First::None | First::Waiting => false,
                };
                match self.exchange.first {
                    First::Out => self.outputs.push_back(Output::Abandon(Slot::First)),
                    First::Waiting => self.outputs.push_back(Output::Withdraw(Slot::First)),
                    First::None | First::Failed { .. } => {}
                }
                self.exchange.second = Second::Over;
                self.outputs.push_back(Output::HedgeEnded { billed });
            }
            Slot::First | Slot::Second => return,
        }
        self.exchange.look_at = None;
        self.owed = Owed {
            first: true,
            second: false,
        };
        // Owed until `handed_over`: before that the journal may never get the reply.
        self.unrecorded = true;
        self.clock.work(now);
        self.read(now, reading);
    }

    fn hedge_granted(&mut self) {
        match self.exchange.second {
            Second::Wanted if self.is_parking || self.is_withdrawn => self.give_up_second(true),
            Second::Wanted => {
                self.exchange.second = Second::Waiting;
                self.outputs.push_back(Output::AwaitPermit(Slot::Second));
            }
            Second::None | Second::Waiting | Second::Out | Second::Over => {}
        }
    }

    /// Gives up the hedge. The run is notified unless it has denied the hedge.
    fn give_up_second(&mut self, is_granted: bool) {
        let billed = self.exchange.second == Second::Out;
        match self.exchange.second {
            Second::None | Second::Over => return,
            Second::Wanted => {}
            Second::Waiting => self.outputs.push_back(Output::Withdraw(Slot::Second)),
            Second::Out => self.outputs.push_back(Output::Abandon(Slot::Second)),
        }
        self.exchange.second = Second::Over;
        self.exchange.look_at = None;
        self.owed.second = false;
        if is_granted {
            self.outputs.push_back(Output::HedgeEnded { billed });
        }
    }

    /// Withdraws the first copy, which has not been sent.
    fn withdraw_first(&mut self) {
        self.outputs.push_back(Output::Withdraw(Slot::First));
        match self.exchange.second {
            Second::Out => {
                self.exchange.first = First::Failed {
                    maybe_billed: false,
                }
            }
            _ => self.end(End::Stopped),
        }
    }

    fn park(&mut self, now: Timestamp) {
        self.is_parking = true;
        match self.stage {
            Stage::Prefix { .. } => self.ask_prefix(now),
            Stage::Asking => {
                if matches!(self.exchange.second, Second::Wanted | Second::Waiting) {
                    self.give_up_second(true);
                }
                if self.exchange.first == First::Waiting {
                    self.withdraw_first();
                }
            }
            _ => {}
        }
    }

    fn tick(&mut self, now: Timestamp, signs: Signs, patience: Option<Millis>) {
        self.clock.note(signs, self.spec.idle_timeout);
        if self
            .clock
            .overdue_at(self.spec.timeout)
            .is_some_and(|due| due <= now)
        {
            return self.end(End::Timeout);
        }
        if self
            .clock
            .silent_at(self.spec.idle_timeout)
            .is_some_and(|due| due <= now)
        {
            return self.end(End::Stalled);
        }
        match self.stage {
            Stage::Prefix {
                patience,
                held: Some((since, _)),
            } if since + patience.min(HOLD_LOOK_EVERY) <= now => {
                self.ask_prefix(now);
            }
            Stage::Asking if self.exchange.look_at.is_some_and(|due| due <= now) => {
                self.look(now, patience);
            }
            _ => {}
        }
    }

    /// Hedges the request if it is slow.
    fn look(&mut self, now: Timestamp, patience: Option<Millis>) {
        let Some(sent_at) = self.exchange.sent_at else {
            return;
        };
        let due = patience.map(|patience| sent_at + patience);
        if self.exchange.first == First::Out && due.is_some_and(|due| due <= now) {
            self.exchange.second = Second::Wanted;
            self.exchange.look_at = None;
            self.outputs.push_back(Output::Hedge);
        } else {
            let later = now + PATIENCE_LOOK_EVERY;
            self.exchange.look_at = Some(
                due.filter(|due| *due > now)
                    .map_or(later, |due| due.min(later)),
            );
        }
    }

    /// Acts on a reply.
    fn read(&mut self, now: Timestamp, reading: Reading) {
        let is_cut = reading.is_truncated() && self.unrecorded && self.exchange.room.is_some();
        if is_cut {
            // Half an answer is no answer to the whole question.
            let room = self.exchange.room.unwrap_or_default();
            let cut = End::Cut(self.purpose, self.exchange.bound.widened(room));
            return match self.purpose {
                Purpose::Turn => self.end(cut),
                Purpose::Verdict(_) => self.then(now, Next::End(cut)),
            };
        }
        match self.purpose {
            Purpose::Turn => match self.conversation.follow(reading) {
                Follow::Tools => self.then(now, Next::Tools),
                Follow::Say(say) => self.then(now, Next::Say(say)),
                Follow::Answer if self.spec.checks.is_empty() => self.end(End::Done),
                // Checks may take long, so the paid reply is recorded first.
                Follow::Answer => self.then(now, Next::Check(0)),
                Follow::End(end) => self.end(end),
            },
            Purpose::Verdict(place) => match reading {
                Reading::Passes => self.then(now, Next::Check(place + 1)),
                Reading::Refuses => self.then(now, Next::End(End::Refused)),
                _ => {
                    self.verdict_misses += 1;
                    let next = match self.verdict_misses == VERDICT_TRIES_MAX {
                        true => Next::End(End::NoVerdict(place)),
                        false => Next::Say(Say::VerdictForm),
                    };
                    self.then(now, next);
                }
            },
        }
    }

    /// Continues with `next`, once the reply is durable.
    fn then(&mut self, now: Timestamp, next: Next) {
        match self.unrecorded {
            true => self.perform(Stage::Recording(next), Output::Record),
            false => self.proceed(now, next),
        }
    }

    /// From here on the recorded reply settles the reservation.
    fn handed_over(&mut self) {
        (self.owed, self.unrecorded) = (Owed::default(), false);
    }

    fn proceed(&mut self, now: Timestamp, next: Next) {
        self.clock.work(now);
        match next {
            Next::Tools => {
                let known = self.reused.map(|place| (place, self.spec.kept[place]));
                let kept = known
                    .filter(|(_, kept)| kept.has_results)
                    .map(|(place, _)| place);
                let may_run = known.is_none_or(|(_, kept)| kept.deaths < DEATHS_MAX);
                self.perform(Stage::UsingTools, Output::UseTools { kept, may_run });
            }
            Next::Say(say) => {
                self.outputs.push_back(Output::Say(say));
                self.build(now);
            }
            Next::Check(place) => self.check(now, place),
            Next::End(end) => self.end(end),
        }
    }

    /// Runs the check at this place, or the next one whose verdict matters.
    fn check(&mut self, now: Timestamp, place: usize) {
        let Some(kind) = self.spec.checks.get(place) else {
            return self.end(End::Done);
        };
        match kind {
            CheckKind::Fact => self.perform(Stage::Checking(place), Output::Check(place)),
            CheckKind::Opinion if self.is_taken_anyway() => self.check(now, place + 1),
            CheckKind::Opinion => {
                self.purpose = Purpose::Verdict(place);
                self.verdict_misses = 0;
                self.build(now);
            }
        }
    }

    /// Whether the result is kept whatever a judge says.
    fn is_taken_anyway(&self) -> bool {
        let Spec {
            checks,
            rung,
            can_climb,
            ..
        } = &self.spec;
        let rungs = rung + 1 + usize::from(*can_climb);
        !needs_check(*rung, rungs, last_is_kept(checks.iter().copied(), rungs))
    }

    fn no_reply(&mut self, slot: Slot, unanswered: bool) {
        self.owed = Owed {
            first: unanswered,
            second: false,
        };
        self.end(End::NoReply(slot));
    }

    fn end(&mut self, end: End) {
        // The hedge is settled first: the attempt's end settles whatever is still reserved.
        match (self.exchange.first, self.exchange.second) {
            (First::Failed { maybe_billed }, Second::Out) => {
                self.owed.first = maybe_billed;
                self.give_up_second(true);
            }
            _ => self.give_up_second(true),
        }
        let unanswered = self.owed.first && !self.unrecorded;
        let ended = Ended {
            end,
            unrecorded: self.unrecorded,
            unanswered,
        };
        self.perform(Stage::Ended, Output::End(ended));
    }

    fn perform(&mut self, stage: Stage, output: Output) {
        self.stage = stage;
        self.outputs.push_back(output);
    }
}
