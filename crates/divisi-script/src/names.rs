//! The names of a script's globals, as `globals` defines them.

/// The names that a script can use in addition to JavaScript's own.
pub(crate) const GLOBALS: [&str; 18] = [
    "agent",
    "parallel",
    "pipeline",
    "phase",
    "log",
    "workflow",
    "args",
    "budget",
    "gather",
    "decompose",
    "shell",
    "approve",
    "console",
    "process",
    "setTimeout",
    "clearTimeout",
    "setInterval",
    "clearInterval",
];
