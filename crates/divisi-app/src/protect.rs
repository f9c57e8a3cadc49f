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
    // Executors run in the workspace, notices in the command's folder.
    paths.extend(programs(settings, &[&setup.workspace, app.folder()]));
    paths.iter().for_each(|path| protected.add(path));
    Ok(())
}

/// The files of the programs that the settings name, as they are found from these folders.
fn programs(settings: &Settings, folders: &[&Path]) -> Vec<PathBuf> {
    let executors = settings.executors.values().map(|known| &known.command);
    let servers = settings.mcp.values().map(|server| &server.command);
    let commands = executors.chain(servers).chain([&settings.notify.command]);
    commands
        .flatten()
        .flat_map(|word| {
            folders
                .iter()
                .filter_map(move |folder| program_file(folder, word))
        })
        .collect()
}

/// The file that a word of a command line may name: the program, or a script that it runs. What
/// looks like a file need not exist, because the next call would run what an agent creates there.
fn program_file(folder: &Path, word: &str) -> Option<PathBuf> {
    let path = folder.join(word);
    let looks_like_one = word.contains(['/', '.']) && !word.starts_with('-');
    (looks_like_one || path.is_file()).then_some(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_of_executors_and_notices_are_protected_from_each_folder() {
        let folder = tempfile::tempdir().unwrap();
        let (workspace, here) = (folder.path().join("workspace"), folder.path().join("here"));
        for folder in [&workspace, &here] {
            std::fs::create_dir(folder).unwrap();
            std::fs::write(folder.join("agent"), "").unwrap();
        }
        let mut settings = Settings::default();
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
        settings.notify.command = words(&["sh", "tell.sh", "--from=a/b", "{text}"]);
        let executor = crate::settings::ExecutorSettings {
            command: words(&["python3", "agent", "tools/not-yet", "/opt/agent"]),
            ..Default::default()
        };
        settings.executors.insert("mine".into(), executor);
        let found = programs(&settings, &[&workspace, &here]);
        let named = |path: &PathBuf| {
            let path = path.strip_prefix(folder.path()).unwrap_or(path);
            path.display().to_string()
        };
        let mut found: Vec<_> = found.iter().map(named).collect();
        found.sort();
        found.dedup();
        assert_eq!(
            found,
            [
                "/opt/agent",
                "here/agent",
                "here/tell.sh",
                "here/tools/not-yet",
                "workspace/agent",
                "workspace/tell.sh",
                "workspace/tools/not-yet",
            ]
        );
    }
}
