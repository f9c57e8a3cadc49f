//! The same work without an engine: a lower bound for every figure.

pub(crate) mod disk;
pub(crate) mod http;
pub(crate) mod tasks;
