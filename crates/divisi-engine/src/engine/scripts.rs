//! Runs that are fed by a script.

use super::{Engine, Opened, RunHandle, RunOptions, Source, StartError};
use crate::driver::{FlowNews, Message};
use crate::flow::{self, Flow, Library};
use crate::resolve::Resolver;
use crate::setup::Setup;
use crate::tools::Protected;
use divisi_core::{Run, RunId};
use divisi_script::{HostLimits, HostOptions, Script};
use std::path::Path;
use std::sync::Arc;
use tokio::sync::mpsc;

impl Engine {
    /// Starts a script. Nothing is written if it cannot be parsed.
    pub async fn start(
        &self,
        flow: Flow,
        setup: Setup,
        options: RunOptions,
    ) -> Result<RunHandle, StartError> {
        let script = flow.parse().map_err(Box::new)?;
        let opened = Opened::new(self.new_id().await?, Run::new());
        let (flow, is_cut) = flow.with_args_redacted();
        let handle = self
            .drive_script(opened, flow, script, setup, options)
            .await?;
        if is_cut {
            let line = "warning: the arguments hold a key; `***` stands in its place";
            // Cannot fail: the driver lives as long as the handle.
            let _ = handle.inbox.send(Message::Flow(FlowNews::Log(line.into())));
        }
        Ok(handle)
    }

    /// Resumes a run, however it ended. `flow` is the flow to execute now, the recorded one or an
    /// edited one; see [`Engine::flow_of`].
    pub async fn resume(
        &self,
        id: &RunId,
        flow: Flow,
        setup: Setup,
        options: RunOptions,
    ) -> Result<RunHandle, StartError> {
        let script = flow.parse().map_err(Box::new)?;
        let opened = self.reopen_with_messages(id).await?;
        self.drive_script(opened, flow, script, setup, options)
            .await
    }

    async fn drive_script(
        &self,
        opened: Opened,
        flow: Flow,
        script: Script,
        setup: Setup,
        options: RunOptions,
    ) -> Result<RunHandle, StartError> {
        let (answers, answered) = mpsc::unbounded_channel();
        // A resume must not refuse what an earlier execution was allowed.
        let known = u32::try_from(opened.run.tasks().count()).unwrap_or(u32::MAX);
        let (agents_max, agents_wide_max) = flow::agents_max(&script, &setup);
        let host = HostOptions {
            limits: HostLimits {
                agents_max: agents_max.max(known),
                agents_wide_max,
                ..HostLimits::default()
            },
            budget_total: options.token_budget,
            usd_total: options.caps.run,
            cwd: Some(setup.workspace.display().to_string()),
            ..HostOptions::default()
        };
        let resolver = Arc::new(Resolver::new(Arc::new(setup)).replacing(options.replaced.clone()));
        let name = match flow.path {
            None => flow.name.clone(),
            Some(_) => script.meta().name.as_str().into(),
        };
        let source = Source {
            name,
            path: flow.path,
            text: flow.source,
            args: flow.args.clone(),
        };
        let (mut handle, inbox) = self
            .drive(opened, source, resolver.clone(), options, Some(answers))
            .await?;
        let end = flow::start(script, flow.args, host, resolver, inbox, answered)
            .map_err(StartError::Thread)?;
        handle.script_end = Some(end);
        Ok(handle)
    }
}

/// Prevents agents from writing to flows: this one, those that it calls, and saved ones.
pub(super) fn protect(protected: &Protected, source: &Source, workspace: &Path) {
    flow::protect(protected, source.path.as_deref(), &source.text, workspace);
    Library::new(workspace)
        .folders()
        .iter()
        .for_each(|folder| protected.add(folder));
}
