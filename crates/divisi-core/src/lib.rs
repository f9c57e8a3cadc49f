//! What a run of many agents is, and what follows next.
//!
//! Everything here is a value: no clock, no IO, no threads, no environment, no hash-ordered
//! iteration. The rule that the rest of divisi depends on: a [`Run`] changes only by applying
//! recorded [`Event`]s, so a run replayed from its journal equals the live run.
//!
//! Read in this order: [`id`], [`time`], [`money`] and [`usage`] are the basic types; [`task`] is
//! what is to be done, [`key`] its identity, [`outcome`] its end, [`event`] what is recorded,
//! [`run`] what follows; [`retry`] and [`budget`] are the rules, and [`governor`] decides when
//! requests may be sent. [`tier`] and [`price`] describe models, [`view`] what is shown of a run,
//! [`reads`] whose results a prompt contains, [`ledger`] where the money went, [`preflight`] what
//! can be known of a flow before it runs.

pub mod approval;
pub mod attempt;
pub mod budget;
pub mod check;
pub mod choice;
pub mod climb;
pub mod content;
pub mod estimate;
pub mod event;
pub mod governor;
pub mod history;
pub mod id;
pub mod key;
pub mod ledger;
pub mod limits;
pub mod money;
pub mod nearest;
pub mod outcome;
pub mod patterns;
pub mod plan;
pub mod preflight;
pub mod price;
pub mod reads;
pub mod retry;
pub mod run;
pub mod run_loop;
pub mod task;
pub mod tier;
pub mod time;
pub mod tokens;
pub mod usage;
pub mod view;

pub use approval::Approval;
pub use budget::Budget;
pub use choice::{Choice, Kinds};
pub use climb::{Climb, climb};
pub use content::{Blob, Content, Digest};
pub use event::{Event, Recorded};
pub use history::History;
pub use id::{AttemptId, Position, RunId, TaskId};
pub use key::Key;
pub use ledger::Ledger;
pub use limits::Limits;
pub use money::PicoUsd;
pub use outcome::{Failure, FailureClass, Outcome};
pub use plan::Plan;
pub use preflight::Site;
pub use price::ModelPrice;
pub use retry::RetryPolicy;
pub use run::{IllegalEvent, Input, Run};
pub use task::{Effort, Isolation, Task};
pub use tier::Tier;
pub use time::{Millis, Timestamp};
pub use usage::Usage;
pub use view::RunView;
