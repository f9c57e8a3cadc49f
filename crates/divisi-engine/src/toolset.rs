//! The tools of a task, selected once and offered to a model in every request.

use crate::setup::Setup;
use crate::tools::{Selection, ToolLimits, Toolbox};
use divisi_core::{Failure, FailureClass};
use divisi_providers::{ToolDefinition, Tools, redact};
use std::path::Path;
use std::sync::Arc;

/// The tools of a task.
pub struct Toolset {
    selection: Selection,
    toolbox: Toolbox,
    offered: Tools,
    names: Vec<Arc<str>>,
}

impl Toolset {
    /// All tools that the setup permits.
    pub fn all(setup: &Setup) -> Result<Self, Failure> {
        let selection = Selection::all();
        let toolbox = open(&setup.workspace, &selection, setup)?;
        Ok(Self::of(toolbox, selection))
    }

    /// The selected tools that the setup permits.
    pub fn reselect(&self, setup: &Setup, selection: Selection) -> Self {
        Self::of(
            self.toolbox.reselect(&selection, setup.permissions),
            selection,
        )
    }

    fn of(toolbox: Toolbox, selection: Selection) -> Self {
        let definition = |tool: crate::tools::ToolDefinition| ToolDefinition {
            name: tool.name.to_owned(),
            description: redact(&tool.description).into_owned(),
            input_schema: tool.input_schema,
        };
        let offered: Tools = toolbox
            .definitions()
            .into_iter()
            .map(definition)
            .collect::<Vec<_>>()
            .into();
        let names = offered
            .iter()
            .map(|tool| tool.name.as_str().into())
            .collect();
        Self {
            selection,
            toolbox,
            offered,
            names,
        }
    }

    /// The definitions for the model.
    pub fn offered(&self) -> &Tools {
        &self.offered
    }

    /// Whether it selects a tool that changes files for which there is no permission.
    pub fn withholds_writing(&self) -> bool {
        self.toolbox.withholds(&["write_file", "edit_file"])
    }

    /// Whether it selects the tool that runs commands, for which there is no permission.
    pub fn withholds_running(&self) -> bool {
        self.toolbox.withholds(&["run_command"])
    }

    /// Requested tools that do not exist. Worth a warning: the agent was written for them.
    pub fn missing(&self) -> &[String] {
        self.selection.missing()
    }

    /// The patterns of allowed commands, if not all are, and of denied ones.
    pub fn command_patterns(&self) -> (Option<&[String]>, &[String]) {
        self.selection.command_patterns()
    }

    /// Their names, sorted, which are part of a task's identity.
    pub fn names(&self) -> &[Arc<str>] {
        &self.names
    }

    /// The tools bound to the folder `root`.
    pub fn at(&self, root: &Path, setup: &Setup) -> Result<Toolbox, Failure> {
        match root == setup.workspace {
            true => Ok(self.toolbox.clone()),
            false => open(root, &self.selection, setup),
        }
    }
}

fn open(root: &Path, selection: &Selection, setup: &Setup) -> Result<Toolbox, Failure> {
    Toolbox::new(
        root,
        selection,
        setup.permissions,
        ToolLimits::default(),
        &setup.protected,
    )
    .map_err(|error| Failure::new(FailureClass::Unavailable, error.to_string()))
}
