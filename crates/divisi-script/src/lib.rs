//! The JavaScript host of divisi: flows in, calls out, no IO.
//!
//! A [`Script`] is read and checked once. A [`Host`] runs it up to the point
//! where it waits, hands out the [`Call`]s it has made, and goes on with each
//! [`Answer`]:
//!
//! ```
//! use divisi_script::{Answer, Call, Host, HostOptions, Script, TaskAnswer};
//!
//! let script = Script::parse("greet.js", "return await agent('Say hello')")?;
//! let (mut host, calls) = Host::start(&script, None, HostOptions::default())?;
//! for call in calls {
//!     if let Call::Task { id, .. } = call {
//!         host.resolve(id, Answer::Task(TaskAnswer::ok("\"hello\"")))?;
//!     }
//! }
//! assert_eq!(host.finished().unwrap()?.as_ref(), "\"hello\"");
//! # Ok::<(), divisi_script::ScriptError>(())
//! ```
//!
//! The same script with the same arguments and the same answers in the same order makes the same
//! calls: there is no clock, no randomness and no IO in this crate. The engine carries out the
//! calls and records the answers.

#[cfg(not(unix))]
compile_error!(
    "divisi needs a Unix system, such as Linux or macOS; on Windows, build it within WSL"
);

mod call;
mod convert;
mod error;
mod globals;
mod groups;
mod host;
mod limits;
mod looks;
mod names;
mod options;
mod pulse;
mod refusal;
mod rejections;
mod schema;
mod source;
mod stack;
mod state;
mod trial;
mod watch;

pub use call::{Answer, Call, CallId, Expect, ScriptRef, TaskAnswer, TaskStatus};
pub use divisi_core::Site;
pub use divisi_core::event::GroupKind;
pub use error::{ErrorKind, Frame, ScriptError};
pub use groups::GroupId;
pub use host::Host;
pub use limits::{HostLimits, HostOptions};
pub use looks::{Look, LookAt, TextTest};
pub use pulse::Pulse;
pub use source::{Meta, NO_META, Outline, Phase, Script, Warning};

/// Checks the schema of a result: an object at its root, without contradictions. Returns what is
/// wrong with it.
pub fn check_schema(schema: &serde_json::Value) -> Result<(), String> {
    schema::check(schema).map_err(|wrong| wrong.to_string())
}

/// TypeScript declarations of everything that a script can use, for editors.
pub fn types() -> &'static str {
    include_str!("divisi.d.ts")
}
