//! What agents with tools of their own may touch, for those that ask before they do.

use super::command_rules::CommandRules;
use super::path::Root;
use super::{NoRoot, Protected};
use std::path::Path;

/// The rules of divisi's own tools, without the tools: a path stays in the workspace, a write also
/// off what decides over rights, and a command within its patterns.
///
/// The agent acts later and by itself, so what changes in between is not seen: a link that is put
/// there after the question is followed.
pub(crate) struct Fence {
    root: Root,
    commands: CommandRules,
}

impl Fence {
    /// The fence of the workspace at `root`. With `allowed` patterns one of them must match a
    /// command, and of `forbidden` ones none may.
    pub(crate) fn new(
        root: &Path,
        protected: &Protected,
        allowed: Option<&[String]>,
        forbidden: &[String],
    ) -> Result<Self, NoRoot> {
        let mut commands = CommandRules::default();
        if let Some(patterns) = allowed {
            commands.allow_only(patterns.to_vec());
        }
        for pattern in forbidden {
            commands.deny(pattern.clone());
        }
        Ok(Self {
            root: Root::open(root, protected.clone())?,
            commands,
        })
    }

    /// Why `path` may not be read, if so.
    pub(crate) fn may_read(&self, path: &str) -> Result<(), String> {
        self.root.locate(path).map(drop)
    }

    /// Why `path` may not be written to, if so.
    pub(crate) fn may_write(&self, path: &str) -> Result<(), String> {
        self.root.locate_writable(path).map(drop)
    }

    /// Why `command` may not run, if so. `None` is a command that is not known, which may run only
    /// where all may.
    pub(crate) fn may_run(&self, command: Option<&str>) -> Result<(), String> {
        match (command, self.commands.describe()) {
            (Some(command), _) => self.commands.check(command),
            (None, None) => Ok(()),
            (None, Some(rules)) => Err(format!("it does not say which command. {rules}")),
        }
    }
}
