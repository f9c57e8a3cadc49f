//! Agent definitions: a role with its own prompt, tools and model.
//!
//! They are Markdown files with front matter, in the form of other agent programs, so that existing
//! ones work unchanged. A file that cannot be used is always reported with the reason, for `doctor`
//! to show.
//!
//! Only data is taken from a file. Keys that would execute something, such as `hooks` or
//! `mcpServers`, are ignored like all unknown keys.

mod definition;
mod front_matter;

pub use definition::{AgentDefinition, Source};

use divisi_core::nearest::nearest;
use divisi_files::{Limits, Refusal, files_below, up_to_repository};
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Folders with definitions; divisi's own folder comes before Claude Code's.
const FOLDERS: [&str; 2] = [".divisi/agents", ".claude/agents"];

/// Largest file read; the largest known definition has 44 kB.
const FILE_BYTES_MAX: u64 = 256 * 1024;

/// Bytes of all files together, because all of them are kept in memory.
const BYTES_MAX: u64 = 32 << 20;

/// Files read from one folder. The largest known collection has 370.
const FILES_MAX: usize = 2_000;

/// Limits on walking a folder: several times the largest known collection.
const LIMITS: Limits = Limits {
    depth_max: 8,
    entries_max: 10_000,
};

/// Definitions that exist everywhere, unless a file with the same name replaces them.
const BUILT_IN: [&str; 3] = [
    include_str!("built_in/general-purpose.md"),
    include_str!("built_in/Explore.md"),
    include_str!("built_in/Plan.md"),
];

/// The agents that tasks can name.
#[derive(Clone, Debug, Default)]
pub struct Agents {
    definitions: BTreeMap<String, Arc<AgentDefinition>>,
    /// Files that cannot be used, by the name they would define. A definition farther away does not
    /// replace one, because it could have more tools.
    broken: BTreeMap<String, Problem>,
    /// Bytes read so far.
    bytes: u64,
    problems: Vec<Problem>,
}

/// A file that does not work as its author intended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The file.
    pub path: PathBuf,
    /// What is wrong, as a lower-case phrase.
    pub reason: String,
    /// Whether the file is not used at all.
    pub skipped: bool,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let skipped = if self.skipped { " (not used)" } else { "" };
        write!(f, "{}: {}{skipped}", self.path.display(), self.reason)
    }
}

impl Agents {
    /// The built-in agents only.
    pub fn built_in() -> Self {
        let mut agents = Self::default();
        for text in BUILT_IN {
            agents.add(text, Source::BuiltIn);
        }
        agents
    }

    /// All agents of the workspace at `root`.
    ///
    /// The nearest definition of a name is used: in the workspace, then in each folder above it up
    /// to the root of the repository, then in `home`, then built in. Reads files; unreadable ones
    /// become problems.
    ///
    /// Links out of a repository are not followed; those in `home` belong to the user and may lead
    /// anywhere.
    pub fn load(root: &Path, home: Option<&Path>) -> Self {
        let mut agents = Self::default();
        let top = up_to_repository(root).last();
        let places = up_to_repository(root)
            .map(|place| (place, top))
            .chain(home.map(|home| (home, None)));
        for (place, within) in places {
            for folder in FOLDERS {
                agents.add_folder(&place.join(folder), within);
            }
        }
        for (name, definition) in Self::built_in().definitions {
            agents.definitions.entry(name).or_insert(definition);
        }
        agents
    }

    /// The agent of this name.
    pub fn get(&self, name: &str) -> Result<&Arc<AgentDefinition>, UnknownAgent> {
        match (self.broken.get(name), self.definitions.get(name)) {
            (None, Some(definition)) => Ok(definition),
            (broken, _) => Err(self.unknown(name, broken)),
        }
    }

    /// All agents, by name.
    pub fn iter(&self) -> impl Iterator<Item = &AgentDefinition> {
        self.definitions.values().map(|definition| &**definition)
    }

    /// Problems with files, in the order of reading.
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    fn unknown(&self, name: &str, broken: Option<&Problem>) -> UnknownAgent {
        UnknownAgent {
            name: name.to_owned(),
            broken: broken.cloned().map(Box::new),
            meant: nearest(name, self.definitions.keys().map(String::as_str)).map(str::to_owned),
            known: self.definitions.keys().cloned().collect(),
        }
    }

    fn add_folder(&mut self, folder: &Path, within: Option<&Path>) {
        let is_definition = |name: &OsStr| {
            Path::new(name)
                .extension()
                .is_some_and(|ending| ending == "md")
        };
        let found = files_below(folder, within, LIMITS, is_definition);
        for (path, reason) in found.left_out {
            self.refuse(path, reason);
        }
        for (count, path) in found.files.into_iter().enumerate() {
            if count == FILES_MAX {
                return self.skip(
                    path,
                    format!("only the first {FILES_MAX} files of a folder are read"),
                );
            }
            if self.bytes >= BYTES_MAX {
                return self.skip(
                    path,
                    format!("only {BYTES_MAX} bytes of definitions are read"),
                );
            }
            match read(&path, within) {
                Ok(text) => {
                    self.bytes += text.len() as u64;
                    self.add(&text, Source::File(path));
                }
                Err(refusal) => self.refuse(path, refusal.to_string()),
            }
        }
    }

    fn add(&mut self, text: &str, source: Source) {
        let path = match &source {
            Source::BuiltIn => PathBuf::new(),
            Source::File(path) => path.clone(),
        };
        match AgentDefinition::parse(text, source) {
            Ok((definition, remarks)) => {
                let problem = |reason| Problem {
                    path: path.clone(),
                    reason,
                    skipped: false,
                };
                self.problems.extend(remarks.into_iter().map(problem));
                if let Some(nearer) = self.definitions.get(&definition.name) {
                    return self.skip(
                        path,
                        format!("`{}` is already defined by {}", nearer.name, nearer.source),
                    );
                }
                self.definitions
                    .insert(definition.name.clone(), Arc::new(definition));
            }
            Err(reason) => self.refuse(path, reason),
        }
    }

    /// Notes a file that cannot be used but would define an agent of its name.
    fn refuse(&mut self, path: PathBuf, reason: String) {
        let name = path
            .file_stem()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        if !self.definitions.contains_key(&name) {
            let problem = Problem {
                path: path.clone(),
                reason: reason.clone(),
                skipped: true,
            };
            self.broken.entry(name).or_insert(problem);
        }
        self.skip(path, reason);
    }

    fn skip(&mut self, path: PathBuf, reason: String) {
        self.problems.push(Problem {
            path,
            reason,
            skipped: true,
        });
    }
}

fn read(path: &Path, within: Option<&Path>) -> Result<String, Refusal> {
    let bytes = match within {
        Some(folder) => divisi_files::read_below(folder, path, FILE_BYTES_MAX),
        None => divisi_files::read(path, FILE_BYTES_MAX),
    };
    divisi_files::text(bytes?)
}

/// A name without an agent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no agent `{name}`")]
pub struct UnknownAgent {
    /// The name.
    pub name: String,
    /// The unusable file that would define it, if there is one.
    pub broken: Option<Box<Problem>>,
    /// A similar name.
    pub meant: Option<String>,
    /// All names.
    pub known: Vec<String>,
}

impl UnknownAgent {
    /// What the user can do about it.
    pub fn hint(&self) -> String {
        match (&self.broken, &self.meant) {
            (Some(broken), _) => format!(
                "{} cannot be used: {}",
                broken.path.display(),
                broken.reason
            ),
            (None, Some(meant)) => format!("did you mean `{meant}`?"),
            (None, None) => format!("known agents: {}", self.known.join(", ")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    /// A repository with a package in it, and a home beside it.
    struct Machine(tempfile::TempDir);

    impl Machine {
        fn new(files: &[(&str, &str)]) -> Self {
            let machine = Self(tempfile::tempdir().unwrap());
            fs::create_dir_all(machine.0.path().join("repo/.git")).unwrap();
            fs::create_dir_all(machine.0.path().join("repo/package")).unwrap();
            for (path, prompt) in files {
                let path = machine.0.path().join(path);
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                let name = path.file_stem().unwrap().to_str().unwrap();
                let text = match prompt.starts_with("---") {
                    true => (*prompt).to_owned(),
                    false => format!("---\nname: {name}\ndescription: d\n---\n{prompt}"),
                };
                fs::write(path, text).unwrap();
            }
            machine
        }

        fn load(&self) -> Agents {
            Agents::load(
                &self.0.path().join("repo/package"),
                Some(&self.0.path().join("home")),
            )
        }

        fn problems(&self) -> Vec<String> {
            let prefix = format!("{}/", self.0.path().display());
            self.load()
                .problems()
                .iter()
                .map(|p| p.to_string().replace(&prefix, ""))
                .collect()
        }
    }

    #[test]
    fn built_in_agents_are_valid_and_short() {
        let agents = Agents::built_in();
        assert_eq!(agents.problems(), []);
        assert_eq!(
            agents.iter().map(|a| a.name.as_str()).collect::<Vec<_>>(),
            ["Explore", "Plan", "general-purpose"]
        );
        for agent in agents.iter() {
            assert!(
                agent.prompt.split_whitespace().count() < 120,
                "{}",
                agent.name
            );
        }
    }

    #[test]
    fn the_nearest_definition_counts() {
        let machine = Machine::new(&[
            ("repo/package/.claude/agents/a.md", "package"),
            ("repo/.claude/agents/a.md", "repository"),
            ("repo/.claude/agents/deep/er/b.md", "repository"),
            ("repo/.divisi/agents/c.md", "ours"),
            ("repo/.claude/agents/c.md", "theirs"),
            ("home/.claude/agents/b.md", "home"),
            ("home/.claude/agents/d.md", "home"),
            ("home/.claude/agents/Plan.md", "my own plan"),
            (".claude/agents/e.md", "above the repository"),
        ]);
        let agents = machine.load();
        let prompts: Vec<_> = agents
            .iter()
            .map(|a| format!("{}: {}", a.name, a.prompt))
            .collect();
        let without_long =
            |line: &&String| !line.starts_with("Explore") && !line.starts_with("general");
        assert_eq!(
            prompts.iter().filter(without_long).collect::<Vec<_>>(),
            [
                "Plan: my own plan",
                "a: package",
                "b: repository",
                "c: ours",
                "d: home"
            ]
        );
    }

    #[test]
    fn unused_files_are_listed_with_the_reason() {
        let machine = Machine::new(&[
            ("repo/.claude/agents/a.md", "repository"),
            (
                "repo/.claude/agents/again.md",
                "---\nname: a\ndescription: d\n---\n",
            ),
            ("repo/.claude/agents/empty.md", "---\ndescription: d\n---\n"),
            (
                "repo/.claude/agents/odd.md",
                "---\nname: odd\ndescription: d\neffort: turbo\n---\n",
            ),
            ("repo/.claude/agents/script.sh", "---\n"),
        ]);
        fs::write(
            machine.0.path().join("repo/.claude/agents/README.md"),
            "Our agents.",
        )
        .unwrap();
        assert_eq!(
            machine.problems(),
            [
                "repo/.claude/agents/README.md: no front matter (not used)",
                "repo/.claude/agents/again.md: `a` is already defined by repo/.claude/agents/a.md (not used)",
                "repo/.claude/agents/empty.md: no `name` (not used)",
                "repo/.claude/agents/odd.md: `effort`: `turbo` is no effort: it is one of low, medium, high, \
                 xhigh, max; ignored",
            ]
        );
    }

    #[test]
    fn what_a_clone_can_hold_is_passed_over_with_the_reason() {
        let machine = Machine::new(&[
            ("repo/.claude/agents/a.md", "works"),
            ("elsewhere/b.md", "elsewhere"),
        ]);
        let folder = machine.0.path().join("repo/.claude/agents");
        let mode = rustix::fs::Mode::from_raw_mode(0o600);
        let pipe = rustix::fs::FileType::Fifo;
        rustix::fs::mknodat(rustix::fs::CWD, folder.join("pipe.md"), pipe, mode, 0).unwrap();
        fs::write(folder.join("large.md"), " ".repeat(300_000)).unwrap();
        fs::write(
            folder.join("latin.md"),
            b"---\nname: latin\ndescription: caf\xe9\n---\n",
        )
        .unwrap();
        fs::write(folder.join("wide.md"), b"\xff\xfe-\0-\0-\0").unwrap();
        for (link, to) in [
            ("endless.md", "/dev/zero"),
            ("all", "/"),
            ("far.md", "../../../elsewhere/b.md"),
        ] {
            symlink(to, folder.join(link)).unwrap();
        }
        fs::create_dir_all(machine.0.path().join("repo/.divisi")).unwrap();
        symlink(
            "../../elsewhere",
            machine.0.path().join("repo/.divisi/agents"),
        )
        .unwrap();
        fs::create_dir_all(machine.0.path().join("home/.claude")).unwrap();
        symlink(
            "../../elsewhere",
            machine.0.path().join("home/.claude/agents"),
        )
        .unwrap();
        let problems: Vec<_> = machine
            .problems()
            .iter()
            .map(|line| line.split(" (not used)").next().unwrap().to_owned())
            .collect();
        let outside = format!(
            "it leads out of {}",
            machine.0.path().join("repo").display()
        );
        let outside = outside.replace(&format!("{}/", machine.0.path().display()), "");
        assert_eq!(
            problems,
            [
                format!("repo/.divisi/agents: {outside}"),
                format!("repo/.claude/agents/all: {outside}"),
                format!("repo/.claude/agents/endless.md: {outside}"),
                format!("repo/.claude/agents/far.md: {outside}"),
                "repo/.claude/agents/large.md: it is larger than 262144 bytes".to_owned(),
                "repo/.claude/agents/latin.md: it is not UTF-8: byte 0xe9 in line 3".to_owned(),
                "repo/.claude/agents/pipe.md: it is a named pipe, not a regular file".to_owned(),
                "repo/.claude/agents/wide.md: it is UTF-16, not UTF-8: save it as UTF-8".to_owned(),
            ]
        );
        // The user may keep the contents of the home folder elsewhere.
        let agents = machine.load();
        assert_eq!(
            (agents.get("a").is_ok(), agents.get("b").is_ok()),
            (true, true)
        );
        assert!(
            agents
                .get("latin")
                .unwrap_err()
                .hint()
                .ends_with("latin.md cannot be used: it is not UTF-8: byte 0xe9 in line 3")
        );
    }

    #[test]
    fn no_more_is_kept_than_may_be() {
        let machine = Machine::new(&[]);
        let folder = machine.0.path().join("repo/.claude/agents");
        fs::create_dir_all(&folder).unwrap();
        let prompt = "x".repeat(255 * 1024);
        for n in 0..140 {
            fs::write(
                folder.join(format!("{n:03}.md")),
                format!("---\nname: a{n}\ndescription: d\n---\n{prompt}"),
            )
            .unwrap();
        }
        let agents = machine.load();
        assert!(agents.bytes <= BYTES_MAX + FILE_BYTES_MAX);
        assert_eq!(agents.problems().len(), 1);
        assert_eq!(
            agents.problems()[0].reason,
            "only 33554432 bytes of definitions are read"
        );
    }

    #[test]
    fn nothing_farther_away_stands_in_for_a_definition_that_cannot_be_used() {
        let machine = Machine::new(&[
            ("repo/package/.claude/agents/near.md", "near"),
            ("repo/.claude/agents/near.md", "---\nname: near\n---\n"),
            (
                "repo/.claude/agents/Explore.md",
                "---\nname: Explore\ndescription: d\ntools: {read: true}\n---\n",
            ),
            ("home/.claude/agents/Explore.md", "more tools"),
        ]);
        let agents = machine.load();
        assert!(agents.get("near").is_ok());
        assert!(
            agents
                .get("Explore")
                .unwrap_err()
                .hint()
                .contains("Explore.md cannot be used: `tools` is no list of names")
        );
    }

    #[test]
    fn outside_of_a_repository_only_the_workspace_counts() {
        let machine = Machine::new(&[
            ("repo/.claude/agents/a.md", "above"),
            ("repo/package/.claude/agents/b.md", "here"),
        ]);
        fs::remove_dir(machine.0.path().join("repo/.git")).unwrap();
        assert!(machine.load().get("a").is_err());
        assert!(machine.load().get("b").is_ok());
    }

    #[test]
    fn an_unknown_name_gets_a_proposal() {
        let agents = Agents::built_in();
        let hint = |name| agents.get(name).unwrap_err().hint();
        assert_eq!(
            agents.get("x").unwrap_err().to_string(),
            "there is no agent `x`"
        );
        assert_eq!(hint("explore"), "did you mean `Explore`?");
        assert_eq!(hint("general_purpose"), "did you mean `general-purpose`?");
        assert_eq!(hint("x"), "known agents: Explore, Plan, general-purpose");
    }
}
