//! What follows from the replies of a conversation.

use super::End;
use serde::{Deserialize, Serialize};

/// Answers that may miss the schema before the task fails. The workflow dialect defines this
/// number.
pub const SCHEMA_TRIES_MAX: u32 = 5;

/// Empty replies in a row that are answered with a hint before the task fails. After one hint most
/// models go on; after a second most do not.
const STALLS_MAX: u32 = 1;

/// Why a reply ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stop {
    /// The model has finished its answer.
    EndTurn,
    /// The reply has reached the longest allowed length.
    MaxTokens,
    /// The model waits for the results of tools.
    ToolUse,
    /// The reply has reached a stop sequence.
    StopSequence,
    /// The model, or a filter of the vendor, declined.
    Refusal,
    /// The vendor interrupted a long turn; sending the conversation again continues it.
    PauseTurn,
    /// Prompt and reply filled the model's context.
    ContextExceeded,
}

/// What a reply says, as far as that decides what follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading {
    /// It calls tools.
    Calls,
    /// It is not finished, and continues when the conversation is sent again.
    Pauses,
    /// It is an answer, and fits the schema if there is one.
    Answers,
    /// It is an answer that misses the schema.
    Misses,
    /// There is nothing in it.
    Empty,
    /// It stopped to call a tool, and calls none.
    NoCall,
    /// It is as long as it may be, and not finished.
    Truncated,
    /// The model declines.
    Declines,
    /// The conversation is as long as it may be.
    TooLong,
    /// Of a judge: the result is good enough.
    Passes,
    /// Of a judge: it is not.
    Refuses,
    /// Of a judge: neither of them, and not because it was cut off.
    NoVerdict,
}

impl Reading {
    /// Classifies a reply. `fits` says whether its text fits the schema; it is called only where
    /// that decides.
    pub fn of(
        stop: Stop,
        has_calls: bool,
        has_blocks: bool,
        has_text: bool,
        fits: impl FnOnce() -> bool,
    ) -> Self {
        match stop {
            Stop::ToolUse if has_calls => Self::Calls,
            Stop::ToolUse if has_text => Self::NoCall,
            Stop::ToolUse => Self::Empty,
            Stop::EndTurn | Stop::StopSequence if !has_text => Self::Empty,
            Stop::EndTurn | Stop::StopSequence => match fits() {
                true => Self::Answers,
                false => Self::Misses,
            },
            Stop::PauseTurn if has_blocks => Self::Pauses,
            Stop::PauseTurn => Self::Empty,
            Stop::MaxTokens => Self::Truncated,
            Stop::Refusal => Self::Declines,
            Stop::ContextExceeded => Self::TooLong,
        }
    }

    /// Whether the reply was cut off.
    pub fn is_truncated(self) -> bool {
        self == Self::Truncated
    }
}

/// What is added to the conversation after a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Say {
    /// Nothing: the model continues.
    GoOn,
    /// Where the answer misses the schema.
    Repair,
    /// A note that the answer was empty.
    Empty,
    /// A note that no tool was called.
    NoCall,
    /// For a judge: the form its verdict must have.
    VerdictForm,
}

/// What follows from a reply.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Follow {
    Tools,
    Say(Say),
    /// The result, if the checks accept it.
    Answer,
    End(End),
}

/// How far a conversation is.
#[derive(Clone, Debug)]
pub(super) struct Conversation {
    turns: u32,
    turns_max: u32,
    schema_misses: u32,
    /// Replies in a row without content.
    stalls: u32,
}

impl Conversation {
    pub(super) fn new(turns_max: u32) -> Self {
        Self {
            turns: 0,
            turns_max,
            schema_misses: 0,
            stalls: 0,
        }
    }

    /// Counts one more turn. Returns `false` once `turns_max` are used.
    pub(super) fn takes_turn(&mut self) -> bool {
        let may = self.turns < self.turns_max;
        self.turns += u32::from(may);
        may
    }

    pub(super) fn is_first_turn(&self) -> bool {
        self.turns == 1
    }

    pub(super) fn follow(&mut self, reading: Reading) -> Follow {
        match reading {
            Reading::Calls => {
                self.stalls = 0;
                Follow::Tools
            }
            Reading::Pauses => Follow::Say(Say::GoOn),
            Reading::Answers | Reading::Passes => Follow::Answer,
            Reading::Misses | Reading::Refuses | Reading::NoVerdict => {
                self.schema_misses += 1;
                match self.schema_misses == SCHEMA_TRIES_MAX {
                    true => Follow::End(End::Schema),
                    false => Follow::Say(Say::Repair),
                }
            }
            Reading::Empty => self.stall(Say::Empty, End::Empty),
            Reading::NoCall => self.stall(Say::NoCall, End::NoCall),
            Reading::Truncated => Follow::End(End::Truncated),
            Reading::Declines => Follow::End(End::Declined),
            Reading::TooLong => Follow::End(End::TooLong),
        }
    }

    fn stall(&mut self, say: Say, end: End) -> Follow {
        self.stalls += 1;
        match self.stalls > STALLS_MAX {
            true => Follow::End(end),
            false => Follow::Say(say),
        }
    }
}
