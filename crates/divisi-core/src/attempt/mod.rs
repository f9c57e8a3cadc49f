//! One attempt at a task, as a machine without IO: what it does next, and what it
//! waits for.
//!
//! It takes inputs ([`Attempt::handle`]) and gives outputs that are to be performed
//! ([`Attempt::poll`]): build a request, ask the run for it, wait for the prefix that
//! it shares with others, wait for a permit, send, use tools, check the result, end.
//! It knows no text: its caller performs the outputs, builds the requests, reads the
//! replies and says what they are ([`Reading`]). Time is what the caller passes;
//! [`Attempt::timeout`] says when it wants to be asked again.
//!
//! The engine performs its outputs with a vendor, tools and a clock; the simulator
//! performs them with seeded ones. So every rule here is one that the simulator plays.
//!
//! Conversation, checks and requests are each a state of their own: `conversation`
//! says what follows from a reply, `exchange` which of two requests for the same is
//! out, `clock` what it is doing and for how long, `durations` how long others take.

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

/// Longest time one request waits for others that write the prefix it shares with
/// them and are under way. A reply to a prompt of a million tokens begins within half of it.
pub const HOLD_MAX: Millis = Millis::from_secs(20);

/// How often a request that waits for a prefix looks whether it still has to.
const HOLD_LOOK_EVERY: Millis = Millis::from_secs(1);

/// How often an attempt looks whether others have been answered meanwhile, where
/// that decides whether its request is sent again.
const PATIENCE_LOOK_EVERY: Millis = Millis(250);

/// Deaths of the process in a row after which the calls that were under way are
/// not carried out again. The first may have any reason, such as a kill; twice at
/// the same place is a reason not to try a third time.
const DEATHS_MAX: u32 = 2;

/// Verdicts that may miss their form before the judge is given up.
pub const VERDICT_TRIES_MAX: u32 = 3;

/// What an attempt is made of.
#[derive(Clone, Debug)]
pub struct Spec {
    /// What makes the result.
    pub work: Work,
    /// Most requests of its conversation.
    pub turns_max: u32,
    /// What decides about the result, in this order.
    pub checks: Vec<CheckKind>,
    /// How many results of the task have been refused.
    pub rung: usize,
    /// Whether another model is asked if this result is refused, too.
    pub can_climb: bool,
    /// Longest time it may take, without what it waits for its turn to send a request.
    pub timeout: Millis,
    /// Longest time a request may be out without a sign of life.
    pub idle_timeout: Millis,
    /// Whether a request that takes far longer than others is sent a second time.
    pub hedges: bool,
    /// Longest reply to its first request, where the budget leaves less than was wanted.
    pub room: Option<u32>,
    /// Replies of earlier attempts that need not be asked for again.
    pub kept: Vec<Known>,
}

/// What makes the result of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// A conversation with a model.
    Conversation,
    /// A program, which is started once.
    Program,
}

/// A recorded reply of an earlier attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Known {
    /// Identity of the request it answers.
    pub request: Digest,
    /// Whether the results of the tools it called are recorded, too.
    pub has_results: bool,
    /// How often in a row the process has died before there were any.
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

/// What happens to an attempt.
#[derive(Clone, Debug)]
pub enum Input {
    /// It begins. The first input.
    Begin,
    /// The place where it works is there, or not.
    Opened {
        /// Whether it is.
        ok: bool,
    },
    /// The request for [`Output::Build`] stands: its identity, and what it may cost.
    Built {
        /// Its identity, which the longest reply is no part of.
        request: Digest,
        /// What it may cost.
        bound: TurnBound,
    },
    /// It cannot be built.
    Unbuilt,
    /// What the reply of [`Output::Reuse`] says; `None` where it cannot be read any more.
    Reused(Option<Reading>),
    /// The run has recorded that the request is sent, with room for a reply of so many
    /// tokens where that is less than was wanted.
    Granted {
        /// The longest reply.
        room: Option<u32>,
    },
    /// The run does not let the request be sent.
    Denied,
    /// The prefix of the request is cached, or this request may write it.
    PrefixReady,
    /// Another request is to write it, which is under way or not.
    PrefixHeld {
        /// Whether that has left.
        has_left: bool,
    },
    /// The other request has ended, or its reply has begun.
    PrefixNews,
    /// The first request may not leave yet, for this reason.
    Held(WaitCause),
    /// The request may leave.
    Permit(Slot),
    /// The vendor takes no more requests.
    Closed(Slot),
    /// The reply is there, whole.
    Replied {
        /// Which of the two has brought it.
        slot: Slot,
        /// What it says.
        reading: Reading,
    },
    /// The request came to nothing.
    Failed {
        /// Which of the two.
        slot: Slot,
        /// Whether it may be billed all the same.
        maybe_billed: bool,
        /// Whether the same request can be put in another way, which costs nothing more.
        again: bool,
    },
    /// The run has recorded that the request is sent a second time.
    HedgeGranted,
    /// It may not be.
    HedgeDenied,
    /// The reply of [`Output::Record`] is on its way to the journal: if the attempt
    /// ends now, it is settled by the reply.
    HandedOver,
    /// It is durable.
    Recorded,
    /// The tools of [`Output::UseTools`] have results.
    ToolsDone,
    /// The check of [`Output::Check`] has decided; `None` where it came to nothing.
    Checked(Option<bool>),
    /// The program of [`Output::Work`] has ended, with a result or not.
    Worked {
        /// Whether there is a result.
        ok: bool,
    },
    /// The program waits for its turn to do something, or no longer: that is not its own time.
    Waits(bool),
    /// The program waits from now on for something outside of the process.
    Suspended,
    /// The run parks: what has not left stays.
    Park,
    /// Time has passed.
    Tick {
        /// When the request under way last showed signs of life.
        signs: Signs,
        /// How long requests to this model may take before they are called slow.
        patience: Option<Millis>,
    },
}

/// What is to be done for an attempt.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Output {
    /// Prepare the place where it works. Answered by [`Input::Opened`].
    Open,
    /// Build the next request. Answered at once by [`Input::Built`]
    /// or [`Input::Unbuilt`].
    Build(Purpose),
    /// Read the recorded reply at this place of [`Spec::kept`]. Answered at once by
    /// [`Input::Reused`].
    Reuse(usize),
    /// Ask the run for a further request. Answered by [`Input::Granted`] or [`Input::Denied`].
    Order(TurnBound),
    /// Ask whether the prefix of the request is cached. Answered by [`Input::PrefixReady`];
    /// or, where it may wait, [`Input::PrefixHeld`], and later [`Input::PrefixNews`].
    AskPrefix {
        /// Whether it may wait.
        patient: bool,
    },
    /// Wait for a permit. Answered by [`Input::Permit`] or [`Input::Closed`].
    AwaitPermit(Slot),
    /// Wait no longer, or give the permit back.
    Withdraw(Slot),
    /// Send the request, with this longest reply if that is less than was wanted.
    /// Answered by [`Input::Replied`] or [`Input::Failed`].
    Send(Slot, Option<u32>),
    /// Give the request up that is under way.
    Abandon(Slot),
    /// Ask the run whether the request may be sent a second time. Answered by
    /// [`Input::HedgeGranted`] or [`Input::HedgeDenied`].
    Hedge,
    /// Tell the run that one of the two requests is over, and its reply not used.
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
        /// Whether they may be carried out; where not, each has an error as its result.
        may_run: bool,
    },
    /// Add to the conversation what the model is told after its reply.
    Say(Say),
    /// Start the program. Answered by [`Input::Worked`] or [`Input::Suspended`].
    Work,
    /// Make the check at this place, which is a fact. Answered by [`Input::Checked`].
    Check(usize),
    /// It has ended: there is no further output.
    End(Ended),
}

/// How an attempt has ended.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ended {
    /// How.
    pub end: End,
    /// Whether its last reply is not recorded yet, and has to be with the outcome.
    pub unrecorded: bool,
    /// Whether a request may be billed whose reply never came.
    pub unanswered: bool,
}

/// Why an attempt has ended.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum End {
    /// The last answer, or what the program made, is the result.
    Done,
    /// There is no place where it can work.
    NoPlace,
    /// The next request could not be built.
    Unbuilt,
    /// The program came to no result.
    NoResult,
    /// It waits for something outside of the process.
    Suspended,
    /// A check has refused the result.
    Refused,
    /// The judge of the check at this place gave no verdict, which counts as refused.
    NoVerdict(usize),
    /// A check could not be made.
    CheckFailed,
    /// The conversation has as many turns as it may have.
    Turns,
    /// No answer fitted the schema.
    Schema,
    /// The answer was empty, again.
    Empty,
    /// The model wanted to call a tool and called none, again.
    NoCall,
    /// The answer was longer than it may be.
    Truncated,
    /// The budget had no room for all of the answer, or of a verdict: what the request
    /// may cost with all the room it wants.
    Cut(Purpose, TurnBound),
    /// The model declined.
    Declined,
    /// The conversation filled the model's context.
    TooLong,
    /// The request of this slot failed, or was turned away.
    NoReply(Slot),
    /// The run parks or is cancelled, or lets no further request be sent.
    Stopped,
    /// It took longer than it may.
    Timeout,
    /// A request was out for too long without a sign of life.
    Stalled,
}

/// One attempt.
#[derive(Clone, Debug)]
pub struct Attempt {
    spec: Spec,
    stage: Stage,
    clock: Clock,
    owed: Owed,
    conversation: Conversation,
    purpose: Purpose,
    /// Verdicts of the current judge that have missed their form.
    verdict_misses: u32,
    exchange: Exchange,
    /// Whether the last reply is new, and not handed over.
    unrecorded: bool,
    /// The recorded reply that is being followed.
    reused: Option<usize>,
    /// Recorded replies that have been used.
    used: Vec<bool>,
    is_parking: bool,
    /// Whether no request may leave any more.
    is_withdrawn: bool,
    outputs: VecDeque<Output>,
}

/// What an attempt waits for.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Stage {
    Unstarted,
    Opening,
    Building,
    Reusing,
    Ordering,
    Prefix {
        patience: Millis,
        /// Since when it is held, and whether the one that it waits for has left.
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
    /// An attempt that has not begun.
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

    /// Takes in what has happened. What does not fit its state is out of date, and
    /// changes nothing.
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
            (Stage::Prefix { patience, .. }, Input::PrefixHeld { has_left }) => {
                self.clock.wait(now, WaitCause::Prefix);
                self.stage = Stage::Prefix {
                    patience,
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

    /// The next thing that is to be done.
    pub fn poll(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When it wants an [`Input::Tick`], if only time has to pass.
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

    /// What it does.
    pub fn doing(&self) -> Doing {
        self.clock.doing()
    }

    /// How long it has waited for its turn to send a request.
    pub fn waited(&self, now: Timestamp) -> Millis {
        self.clock.waited(now)
    }

    /// When its latest request left, counted from its beginning; `None` where that has not.
    pub fn sent(&self) -> Option<Millis> {
        self.exchange.sent_at.map(|at| self.clock.since_begin(at))
    }

    /// What it has waited for since this was last asked for: it is recorded with the next
    /// reply, or with the end. No more than is of use is kept.
    pub fn take_waits(&mut self, now: Timestamp) -> Vec<Wait> {
        self.clock.take_waits(now)
    }

    /// What may be billed of which the run does not know.
    pub fn owed(&self) -> Owed {
        self.owed
    }

    /// From now on no request leaves. Returns what has left and may be billed; an
    /// attempt of which nothing has, ends here without an output.
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
            // What a program spends, it says at its end.
            Work::Program => {
                self.owed.first = true;
                self.perform(Stage::Working, Output::Work);
            }
        }
    }

    /// The next request of the conversation or of the judge.
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

    /// The run is asked for the request, unless its order to start covers it.
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

    /// Asks whether the prefix is cached. Patience is used up only while the request
    /// that writes it is under way: where that waits for a permit, this one would, too.
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
            // Granted at the moment at which it was given up.
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
                // A second one that has left may still answer. One that has not would
                // leave when its turn comes, which may be long after the error's wish.
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

    /// The second request is of no use any more. The run records that, unless it has
    /// denied the request.
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

    /// The first request waits and is not sent.
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

    /// Whether the request takes so long that it is sent again.
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

    /// What follows from a reply.
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
                // Checks may take their time: what has been paid for is written down first.
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

    /// Goes on once the reply is durable.
    fn then(&mut self, now: Timestamp, next: Next) {
        match self.unrecorded {
            true => self.perform(Stage::Recording(next), Output::Record),
            false => self.proceed(now, next),
        }
    }

    /// From now on the reply settles what its request may cost.
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

    /// Makes the check at this place, or the next one that decides anything.
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

    /// Whether the result stands whatever a judge says of it.
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
        // Its reservation may be lowered by what is known before it is settled.
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
