//! What a group is measured on: the binary with a home of its own, the mock,
//! and what a process has taken.

pub(crate) mod connections;
pub(crate) mod doorbell;
pub(crate) mod machine;
pub(crate) mod mock;
pub(crate) mod process;
