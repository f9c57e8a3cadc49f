//! Protects files that decide over runs from agents with write permission: those of the command
//! line and of the settings, wherever they are.

use crate::settings::{Settings, Untrusted, limits_folder, user_file};
use crate::{App, FlowInput, Problem, RunRequest};
use divisi_engine::Setup;
use divisi_engine::flow::Library;
use std::path::{Path, PathBuf};

/// Suffixes of the files that SQLite keeps for a store.
const BESIDE_THE_STORE: [&str; 4] = ["", "-wal", "-shm", "-journal"];

/// Protects in `setup` the files that decide over this run.
pub(crate) fn what_decides(
    setup: &Setup,
    settings: &Settings,
    request: &RunRequest,
    input: &FlowInput,
    app: &App,
) -> Result<(), Problem> {
    let protected = &setup.protected;
    let mut paths: Vec<PathBuf> = Library::new(app.folder()).folders();
    // The engine protects the flow's own file; a plan is only an argument of its script.
    if let FlowInput::Plan(plan) = input {
        paths.push(app.folder().join(plan.path()));
    }
    // The store is that of the command's folder, not of the workspace.
    let store = app.settings(Untrusted::LookedAt)?.settings.store;
    paths.extend(
        BESIDE_THE_STORE
            .iter()
            .map(|end| PathBuf::from(format!("{}{end}", store.display()))),
    );
    paths.extend(user_file());
    paths.extend(limits_folder());
    paths.extend(settings.framing.clone());
    paths.extend(request.replay.iter().chain(&request.record).cloned());
    for executor in settings.executors.values() {
        paths.extend(
            executor
                .command
                .iter()
                .filter_map(|word| program_file(&setup.workspace, word)),
        );
    }
    paths.iter().for_each(|path| protected.add(path));
    Ok(())
}

/// The file named by a word of a command line: the program, or a script that it runs.
fn program_file(workspace: &Path, word: &str) -> Option<PathBuf> {
    let path = workspace.join(word);
    path.is_file().then_some(path)
}
