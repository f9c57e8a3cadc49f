//! The measured processes: the binary with a separate home directory, the mock, and their use of
//! resources.

pub(crate) mod connections;
pub(crate) mod doorbell;
pub(crate) mod machine;
pub(crate) mod mock;
pub(crate) mod process;
