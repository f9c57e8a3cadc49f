//! What a script looks at in the results of a dry run.
//!
//! With [`HostOptions::mark`](crate::HostOptions::mark) the results that a script is given tell
//! which of their fields it reads, and built-in functions tell which texts of results it tests. So
//! a plan knows which results decide what the script does, and what would satisfy its tests.

use crate::CallId;

/// One look of a script at a result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Look {
    /// The calls made before it: the next call has this id.
    pub before: CallId,
    /// What was looked at.
    pub at: LookAt,
}

/// What a script looks at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LookAt {
    /// A field of a result that is neither an object nor a list, or the length of a list.
    Field {
        /// The call whose result it is.
        call: CallId,
        /// Property names joined by dots. An element of a list has the path of the list.
        path: String,
        /// Whether it has no mark, so that the script can only decide something by it.
        decides: bool,
    },
    /// A text with a mark, which a built-in function compares with others.
    Text {
        /// The text.
        text: String,
        /// The comparison.
        test: TextTest,
    },
}

/// A comparison of a text.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum TextTest {
    /// Whether it begins with this.
    Starts(String),
    /// Whether it ends with this.
    Ends(String),
    /// Whether it contains this.
    Contains(String),
    /// Whether this regular expression matches.
    Matches(String),
    /// Whether it is one of these.
    Among(Vec<String>),
}
