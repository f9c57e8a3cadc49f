//! A workspace for tests of the tools.

use super::{Permissions, Protected, Selection, ToolLimits, Toolbox};
use serde_json::Value;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// A temporary workspace with every tool and every permission.
#[derive(Clone)]
pub(super) struct Fixture {
    _folder: Arc<tempfile::TempDir>,
    root: PathBuf,
    selection: Selection,
    permissions: Permissions,
    limits: ToolLimits,
    pub(super) protected: Protected,
    pub(super) cancel: CancellationToken,
}

impl Fixture {
    pub(super) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self {
            root: folder.path().to_owned(),
            _folder: Arc::new(folder),
            selection: Selection::all(),
            permissions: Permissions {
                write: true,
                run: true,
            },
            limits: ToolLimits::default(),
            protected: Protected::default(),
            cancel: CancellationToken::new(),
        }
    }

    pub(super) fn file(self, path: &str, content: &str) -> Self {
        self.bytes(path, content.as_bytes())
    }

    pub(super) fn bytes(self, path: &str, content: &[u8]) -> Self {
        let path = self.root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
        self
    }

    pub(super) fn link(self, target: &str, path: &str) -> Self {
        std::os::unix::fs::symlink(target, self.root.join(path)).unwrap();
        self
    }

    pub(super) fn at(mut self, path: &str) -> Self {
        self.root.push(path);
        self
    }

    pub(super) fn select(mut self, selection: Selection) -> Self {
        self.selection = selection;
        self
    }

    pub(super) fn permit(mut self, permissions: Permissions) -> Self {
        self.permissions = permissions;
        self
    }

    pub(super) fn entries_max(mut self, entries_max: usize) -> Self {
        self.limits.entries_max = entries_max;
        self
    }

    pub(super) fn output_bytes_max(mut self, output_bytes_max: usize) -> Self {
        self.limits.output_bytes_max = output_bytes_max;
        self
    }

    pub(super) fn path(&self, path: &str) -> PathBuf {
        self.root.join(path)
    }

    pub(super) fn toolbox(&self) -> Toolbox {
        Toolbox::new(
            &self.root,
            &self.selection,
            self.permissions,
            self.limits,
            &self.protected,
        )
        .unwrap()
    }

    pub(super) fn read(&self, path: &str) -> String {
        fs::read_to_string(self.root.join(path)).unwrap()
    }

    pub(super) async fn ok(&self, tool: &str, input: Value) -> String {
        let output = self.toolbox().call(tool, &input, &self.cancel).await;
        assert!(!output.is_error, "{}", output.text);
        output.text
    }

    pub(super) async fn error(&self, tool: &str, input: Value) -> String {
        let output = self.toolbox().call(tool, &input, &self.cancel).await;
        assert!(output.is_error, "{}", output.text);
        output.text
    }
}
