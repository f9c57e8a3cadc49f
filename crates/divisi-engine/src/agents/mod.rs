//! Agent definitions: a role with its own prompt, tools and model.
//!
//! They are Markdown files with a head, in the form that other agent programs
//! use, so that the ones a team already has work here unchanged. A file that
//! cannot be used is never passed over in silence: it is listed with the
//! reason, for `doctor` to show.
//!
//! Only data is taken from a file. Keys that would make something run, such as
//! `hooks` or `mcpServers`, are ignored like every other key we do not know.

mod definition;
mod front_matter;

pub use definition::{AgentDefinition, Source};

use ignore::WalkBuilder;
use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Folders that hold definitions, ours before those of Claude Code.
const FOLDERS: [&str; 2] = [".divisi/agents", ".claude/agents"];

/// Largest file that is read; the largest known definition has 44 kB.
const FILE_BYTES_MAX: u64 = 256 * 1024;

/// Files read from one folder. The largest known collection has 370.
const FILES_MAX: usize = 2_000;

/// Levels of folders below the folder of definitions.
const DEPTH_MAX: usize = 8;

/// How alike two names must be, from 0 to 1, for one to be a slip of the other.
const LIKENESS_MIN: f64 = 0.8;

/// What everybody has, unless a file of the same name replaces it.
const BUILT_IN: [&str; 3] = [
    include_str!("built_in/general-purpose.md"),
    include_str!("built_in/Explore.md"),
    include_str!("built_in/Plan.md"),
];

/// The agents that tasks can name.
#[derive(Clone, Debug, Default)]
pub struct Agents {
    definitions: BTreeMap<String, Arc<AgentDefinition>>,
    problems: Vec<Problem>,
}

/// Something about a file that does not work as its author meant it.
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
    /// The agents that need no file.
    pub fn built_in() -> Self {
        let mut agents = Self::default();
        for text in BUILT_IN {
            agents.add(text, Source::BuiltIn);
        }
        agents
    }

    /// All agents that can be named in the workspace at `root`.
    ///
    /// The nearest definition of a name counts: those of the workspace, then
    /// of each folder above it up to the root of the repository, then those in
    /// `home`, then the built-in ones. Reads files; unreadable ones are problems.
    pub fn load(root: &Path, home: Option<&Path>) -> Self {
        let mut agents = Self::default();
        for place in up_to_repository(root).into_iter().chain(home) {
            for folder in FOLDERS {
                agents.add_folder(&place.join(folder));
            }
        }
        for (name, definition) in Self::built_in().definitions {
            agents.definitions.entry(name).or_insert(definition);
        }
        agents
    }

    /// The agent of this name.
    pub fn get(&self, name: &str) -> Result<&Arc<AgentDefinition>, UnknownAgent> {
        self.definitions.get(name).ok_or_else(|| self.unknown(name))
    }

    /// All agents, by name.
    pub fn iter(&self) -> impl Iterator<Item = &AgentDefinition> {
        self.definitions.values().map(|definition| &**definition)
    }

    /// What is wrong with files that were found, in the order of reading.
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    fn unknown(&self, name: &str) -> UnknownAgent {
        let likeness = |known: &&String| strsim::jaro_winkler(&known.to_lowercase(), &name.to_lowercase());
        let nearest = self.definitions.keys().max_by(|a, b| likeness(a).total_cmp(&likeness(b)));
        UnknownAgent {
            name: name.to_owned(),
            meant: nearest.filter(|known| likeness(known) >= LIKENESS_MIN).cloned(),
            known: self.definitions.keys().cloned().collect(),
        }
    }

    fn add_folder(&mut self, folder: &Path) {
        if !folder.is_dir() {
            return;
        }
        let files = WalkBuilder::new(folder)
            .standard_filters(false)
            .follow_links(true)
            .max_depth(Some(DEPTH_MAX))
            .sort_by_file_name(std::ffi::OsStr::cmp)
            .build();
        let mut count = 0;
        for file in files {
            let path = match file {
                Ok(file) => file.into_path(),
                Err(error) => {
                    self.skip(folder.to_owned(), error.to_string());
                    continue;
                }
            };
            if path.extension().is_none_or(|extension| extension != "md") {
                continue;
            }
            if count == FILES_MAX {
                return self.skip(path, format!("only the first {FILES_MAX} files of a folder are read"));
            }
            count += 1;
            match read(&path) {
                Ok(text) => self.add(&text, Source::File(path)),
                Err(reason) => self.skip(path, reason),
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
                let problem = |reason| Problem { path: path.clone(), reason, skipped: false };
                self.problems.extend(remarks.into_iter().map(problem));
                if let Some(nearer) = self.definitions.get(&definition.name) {
                    return self
                        .skip(path, format!("`{}` is already defined by {}", nearer.name, nearer.source));
                }
                self.definitions.insert(definition.name.clone(), Arc::new(definition));
            }
            Err(reason) => self.skip(path, reason),
        }
    }

    fn skip(&mut self, path: PathBuf, reason: String) {
        self.problems.push(Problem { path, reason, skipped: true });
    }
}

fn read(path: &Path) -> Result<String, String> {
    let size = fs::metadata(path).map_err(|error| error.to_string())?.len();
    if size > FILE_BYTES_MAX {
        return Err(format!("larger than {FILE_BYTES_MAX} bytes"));
    }
    fs::read_to_string(path).map_err(|error| error.to_string())
}

/// The folders from `root` up to the one that holds `.git`; only `root` itself
/// outside of a repository.
fn up_to_repository(root: &Path) -> Vec<&Path> {
    match root.ancestors().position(|folder| folder.join(".git").exists()) {
        Some(steps) => root.ancestors().take(steps + 1).collect(),
        None => vec![root],
    }
}

/// A name that no agent has.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no agent `{name}`")]
pub struct UnknownAgent {
    /// The name.
    pub name: String,
    /// A name that it may be a slip of.
    pub meant: Option<String>,
    /// The names there are.
    pub known: Vec<String>,
}

impl UnknownAgent {
    /// What the user can do about it.
    pub fn hint(&self) -> String {
        match &self.meant {
            Some(meant) => format!("did you mean `{meant}`?"),
            None => format!("known agents: {}", self.known.join(", ")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
            Agents::load(&self.0.path().join("repo/package"), Some(&self.0.path().join("home")))
        }

        fn problems(&self) -> Vec<String> {
            let prefix = format!("{}/", self.0.path().display());
            self.load().problems().iter().map(|p| p.to_string().replace(&prefix, "")).collect()
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
            assert!(agent.prompt.split_whitespace().count() < 120, "{}", agent.name);
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
        let prompts: Vec<_> = agents.iter().map(|a| format!("{}: {}", a.name, a.prompt)).collect();
        let without_long = |line: &&String| !line.starts_with("Explore") && !line.starts_with("general");
        assert_eq!(
            prompts.iter().filter(without_long).collect::<Vec<_>>(),
            ["Plan: my own plan", "a: package", "b: repository", "c: ours", "d: home"]
        );
    }

    #[test]
    fn unused_files_are_listed_with_the_reason() {
        let machine = Machine::new(&[
            ("repo/.claude/agents/a.md", "repository"),
            ("repo/.claude/agents/again.md", "---\nname: a\ndescription: d\n---\n"),
            ("repo/.claude/agents/empty.md", "---\ndescription: d\n---\n"),
            ("repo/.claude/agents/odd.md", "---\nname: odd\ndescription: d\neffort: turbo\n---\n"),
            ("repo/.claude/agents/script.sh", "---\n"),
        ]);
        fs::write(machine.0.path().join("repo/.claude/agents/README.md"), "Our agents.").unwrap();
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
        assert_eq!(agents.get("x").unwrap_err().to_string(), "there is no agent `x`");
        assert_eq!(hint("explore"), "did you mean `Explore`?");
        assert_eq!(hint("general_purpose"), "did you mean `general-purpose`?");
        assert_eq!(hint("x"), "known agents: Explore, Plan, general-purpose");
    }
}
