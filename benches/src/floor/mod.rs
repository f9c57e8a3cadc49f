//! The same work without an engine: what nobody can be faster than.

pub(crate) mod disk;
pub(crate) mod http;
pub(crate) mod tasks;
