//! What the application finds around it, and whom it speaks to.

use crate::Problem;
use crate::place::Place;
use crate::settings::{self, Environment, Leaf, Loaded, Project, SettingsError, Untrusted};
use divisi_core::RunId;
use divisi_engine::store::{RunSummary, SqliteStore, Store};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

/// Runs among which the beginning of an id is looked for, latest first.
pub const RUNS_SEARCHED_MAX: usize = 10_000;

/// Runs that are named when the beginning of an id fits several.
const RUNS_NAMED_MAX: usize = 5;

/// Whoever the application speaks to while it works: a terminal, a log, the client
/// of a server.
pub trait Listener: Send + Sync {
    /// Says something that is worth knowing and keeps nothing from going on. The
    /// phrase may hold what a stranger has written.
    fn note(&self, note: &str);

    /// Asks whether a project's settings are trusted from now on. Who has nobody to
    /// ask says no.
    fn ask_for_trust(&self, project: &Project) -> Result<TrustAnswer, Problem> {
        let _ = project;
        Ok(TrustAnswer::No)
    }
}

/// Whether a project's settings are trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TrustAnswer {
    /// They are, until the file changes.
    Yes,
    /// They are not, and nothing is carried out.
    No,
    /// They are not, and what needs no trust of them is enough.
    Without,
}

/// What the application finds around it: variables, a folder, what was said for
/// this once, and the store that these lead to.
pub struct App {
    environment: Environment,
    folder: PathBuf,
    given: Vec<Leaf>,
    listener: Box<dyn Listener>,
    store: OnceLock<Arc<SqliteStore>>,
}

impl fmt::Debug for App {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("App")
            .field("folder", &self.folder)
            .field("given", &self.given)
            .finish_non_exhaustive()
    }
}

impl App {
    /// An application in `folder`, with settings that are `given` for all that it does.
    pub fn new(
        environment: Environment,
        folder: PathBuf,
        given: Vec<Leaf>,
        listener: impl Listener + 'static,
    ) -> Self {
        Self {
            environment,
            folder,
            given,
            listener: Box::new(listener),
            store: OnceLock::new(),
        }
    }

    /// The variables.
    pub fn environment(&self) -> &Environment {
        &self.environment
    }

    /// The folder from which files are named.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The settings that hold in the folder, for those who carry nothing out.
    pub fn settings(&self, untrusted: Untrusted) -> Result<Loaded, SettingsError> {
        self.settings_with(vec![], untrusted)
    }

    /// The same with what is said for this once.
    pub fn settings_with(
        &self,
        said: Vec<Leaf>,
        untrusted: Untrusted,
    ) -> Result<Loaded, SettingsError> {
        self.settings_in(&self.folder, said, untrusted)
    }

    /// The same in another folder.
    pub(crate) fn settings_in(
        &self,
        folder: &Path,
        said: Vec<Leaf>,
        untrusted: Untrusted,
    ) -> Result<Loaded, SettingsError> {
        let said = said.into_iter().chain(self.given.clone()).collect();
        settings::load(&self.environment, folder, said, untrusted)
    }

    /// The settings for something that is carried out in `workspace`.
    ///
    /// Where the project's file needs trust that it does not have, the listener is
    /// asked; without a yes that is the error.
    pub(crate) fn settings_to_act(
        &self,
        workspace: &Path,
        said: &[Leaf],
    ) -> Result<Loaded, Problem> {
        let load = |untrusted| self.settings_in(workspace, said.to_vec(), untrusted);
        loop {
            let project = match load(Untrusted::Refused) {
                Err(SettingsError::Untrusted(project)) => project,
                loaded => return Ok(loaded?),
            };
            match self.listener.ask_for_trust(&project)? {
                // What was trusted is what was shown: if the file has changed meanwhile, it asks
                // again.
                TrustAnswer::Yes => project.trust()?,
                TrustAnswer::Without => return Ok(load(Untrusted::LeftOut)?),
                TrustAnswer::No => return Err(SettingsError::Untrusted(project).into()),
            }
        }
    }

    /// The project's file of settings that holds in `folder`.
    pub fn project(&self, folder: &Path) -> Result<Option<Project>, SettingsError> {
        Ok(settings::load(&self.environment, folder, vec![], Untrusted::LeftOut)?.project)
    }

    /// The store, opened when first asked for.
    pub fn store(&self) -> Result<Arc<dyn Store>, Problem> {
        if let Some(store) = self.store.get() {
            return Ok(store.clone());
        }
        let Loaded {
            settings, project, ..
        } = self.settings(Untrusted::LeftOut)?;
        if project
            .iter()
            .flat_map(Project::untrusted)
            .any(|claim| claim.name() == "store")
        {
            self.note_trust(project.as_ref(), Untrusted::LeftOut);
        }
        let opened = Arc::new(SqliteStore::open(settings.store)?);
        Ok(self.store.get_or_init(|| opened).clone())
    }

    /// Which runs belong to the folder.
    pub fn place(&self) -> Place {
        Place::of(&self.folder)
    }

    /// Says something to the listener.
    pub fn note(&self, note: &str) {
        self.listener.note(note);
    }

    /// Says what of a project's file does not count for want of trust.
    pub fn note_trust(&self, project: Option<&Project>, untrusted: Untrusted) {
        if let Some(note) = project.and_then(|project| project.note(untrusted)) {
            self.note(&note);
        }
    }

    /// The run that `word` names: an id, the beginning of one, or `last`, which is
    /// the last one of this folder. Where there is none, only a command that
    /// looks takes the last one of another folder.
    pub async fn find_run(&self, word: &str, intent: Intent) -> Result<RunId, Problem> {
        let store = self.store()?;
        if let Ok(id) = RunId::new(word)
            && store.run(&id).await?.is_some()
        {
            return Ok(id);
        }
        let runs = store.runs(RUNS_SEARCHED_MAX).await?;
        match (word, &fitting(word, &runs)[..]) {
            ("last", _) => self.last(&runs, intent),
            (_, [one]) => Ok(one.id.clone()),
            (_, []) => Err(Problem::usage(format!("there is no run `{word}`"))
                .hint("`divisi runs` lists them")),
            (_, several) => {
                let names = several
                    .iter()
                    .take(RUNS_NAMED_MAX)
                    .map(|run| format!("{} ({})", run.id, run.name));
                let names: Vec<String> = names.collect();
                Err(
                    Problem::usage(format!("{} runs begin with `{word}`", several.len()))
                        .hint(format!("say more of the id: {}", names.join(", "))),
                )
            }
        }
    }
}

/// What a run is named for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Intent {
    /// To look at it.
    Look,
    /// To go on with it, which acts and costs.
    Act,
}

impl App {
    fn last(&self, runs: &[RunSummary], intent: Intent) -> Result<RunId, Problem> {
        let place = self.place();
        let here = runs.iter().find(|run| place.has(run.folder.as_deref()));
        let elsewhere = |run: &RunSummary| place.shown(run.folder.as_deref());
        match (here, runs.first(), intent) {
            (Some(run), ..) => {
                if run.folder.as_ref() != Some(&place.name()) {
                    self.note(&format!("the last run of this project is {} of {}", run.id, elsewhere(run)));
                }
                Ok(run.id.clone())
            }
            (None, Some(run), Intent::Look) => {
                self.note(&format!(
                    "there is no run of this folder; {} is the last one of {}",
                    run.id,
                    elsewhere(run)
                ));
                Ok(run.id.clone())
            }
            (None, Some(run), Intent::Act) => {
                Err(Problem::usage("there is no run of this folder, so `last` names none").hint(format!(
                    "the last one of another folder is {} ({}) of {}: name it by its id to go on with it",
                    run.id,
                    run.name,
                    elsewhere(run)
                )))
            }
            (None, None, _) => {
                Err(Problem::usage("there are no runs yet").hint("start one with `divisi run`"))
            }
        }
    }
}

fn fitting<'a>(word: &str, runs: &'a [RunSummary]) -> Vec<&'a RunSummary> {
    runs.iter()
        .filter(|run| run.id.as_str().starts_with(word))
        .collect()
}
