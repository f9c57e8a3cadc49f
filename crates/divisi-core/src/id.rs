//! Names of runs, tasks and attempts, and places in a journal.

use serde::{Deserialize, Serialize};
use std::fmt;

/// The name of a run, chosen once when it starts.
///
/// Lower-case letters and digits, short enough to type: `k3f97a2m` is valid, `k3f9-audit` is not.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(try_from = "String", into = "String")]
pub struct RunId(String);

impl RunId {
    /// Longest accepted name; more would not fit a terminal column.
    pub const LEN_MAX: usize = 32;

    /// Takes `name` if it is made of lower-case letters and digits only.
    pub fn new(name: impl Into<String>) -> Result<Self, InvalidRunId> {
        let name = name.into();
        let well_formed = !name.is_empty()
            && name.len() <= Self::LEN_MAX
            && name
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
        if well_formed {
            Ok(Self(name))
        } else {
            Err(InvalidRunId(name))
        }
    }

    /// Makes a name of eight characters out of `entropy`.
    ///
    /// The alphabet leaves out letters that read alike (`i l o u`).
    pub fn from_entropy(entropy: u64) -> Self {
        const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
        let name = (0..8)
            .map(|i| ALPHABET[(entropy >> (i * 5)) as usize & 31] as char)
            .collect();
        Self(name)
    }

    /// The name itself.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for RunId {
    type Error = InvalidRunId;
    fn try_from(name: String) -> Result<Self, InvalidRunId> {
        Self::new(name)
    }
}

impl From<RunId> for String {
    fn from(id: RunId) -> Self {
        id.0
    }
}

/// A text that cannot name a run.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a run id: it has lower-case letters and digits only, 32 at most")]
pub struct InvalidRunId(pub String);

/// A task of one run, numbered from 0 in the order of submission.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct TaskId(pub u32);

impl TaskId {
    /// Index of the task in a list of all tasks.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

impl fmt::Display for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "t{}", self.0)
    }
}

/// One attempt at a task, numbered from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct AttemptId {
    /// The task.
    pub task: TaskId,
    /// Number of the attempt, from 1.
    pub number: u32,
}

impl fmt::Display for AttemptId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}#{}", self.task, self.number)
    }
}

/// A place in a journal: the number of events before it.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(transparent)]
pub struct Position(pub u64);

impl Position {
    /// The place after `count` further events.
    pub fn after(self, count: usize) -> Self {
        Self(self.0 + count as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn run_ids_are_short_and_typable() {
        assert!(RunId::new("k3f97a2m").is_ok());
        assert!(RunId::new("").is_err());
        assert!(RunId::new("../etc").is_err());
        assert!(RunId::new("A").is_err());
        assert_eq!(RunId::from_entropy(0).as_str(), "00000000");
        assert_eq!(RunId::from_entropy(u64::MAX).as_str(), "zzzzzzzz");
    }
}
