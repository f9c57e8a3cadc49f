//! The environment of the application, and its listener.

use crate::Problem;
use crate::place::Place;
use crate::settings::{
    self, Environment, Leaf, Loaded, McpFile, Project, SettingsError, Untrusted,
};
use divisi_core::RunId;
use divisi_engine::store::{RunSummary, SqliteStore, Store};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

/// Most runs searched for the beginning of an id, latest first.
pub const RUNS_SEARCHED_MAX: usize = 10_000;

/// Most runs listed when the beginning of an id fits several.
const RUNS_NAMED_MAX: usize = 5;

/// Receives messages while the application works: a terminal, a log, the client of a server.
pub trait Listener: Send + Sync {
    /// A message that does not prevent further work. It may contain text from outside.
    fn note(&self, note: &str);

    /// Asks whether a project's settings are trusted from now on. By default the answer is no.
    fn ask_for_trust(&self, project: &Project) -> Result<TrustAnswer, Problem> {
        let _ = project;
        Ok(TrustAnswer::No)
    }
}

/// Whether a project's settings are trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TrustAnswer {
    /// Yes, until the file changes.
    Yes,
    /// No, and nothing is executed.
    No,
    /// No, but the command continues without the settings that need trust.
    Without,
}

/// The environment of the application: variables, the working folder, settings of this invocation,
/// and the store they lead to.
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
    /// An application in `folder`, with settings that are `given` for this invocation.
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

    /// The working folder, on which relative paths are based.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The settings that apply in the folder, for commands that execute nothing.
    pub fn settings(&self, untrusted: Untrusted) -> Result<Loaded, SettingsError> {
        self.settings_with(vec![], untrusted)
    }

    /// The same with further settings of this invocation.
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

    /// The settings for executing something in `workspace`.
    ///
    /// If the project's file needs trust that it does not have, the listener is asked; any answer
    /// but yes is an error.
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
                // Trust is for the content that was shown: if the file has changed meanwhile, the
                // loop asks again.
                TrustAnswer::Yes => project.trust()?,
                TrustAnswer::Without => return Ok(load(Untrusted::LeftOut)?),
                TrustAnswer::No => return Err(SettingsError::Untrusted(project).into()),
            }
        }
    }

    /// The project's settings file for `folder`.
    pub fn project(&self, folder: &Path) -> Result<Option<Project>, SettingsError> {
        Ok(settings::load(&self.environment, folder, vec![], Untrusted::LeftOut)?.project)
    }

    /// The project's file of MCP servers for `folder`.
    pub fn mcp_file(&self, folder: &Path) -> Result<Option<McpFile>, SettingsError> {
        settings::mcp_file(folder)
    }

    /// The store, opened at the first call.
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

    /// Selects the runs that belong to the folder.
    pub fn place(&self) -> Place {
        Place::of(&self.folder)
    }

    /// Sends a message to the listener.
    pub fn note(&self, note: &str) {
        self.listener.note(note);
    }

    /// Reports which settings of a project's file are ignored for lack of trust.
    pub fn note_trust(&self, project: Option<&Project>, untrusted: Untrusted) {
        if let Some(note) = project.and_then(|project| project.note(untrusted)) {
            self.note(&note);
        }
    }

    /// Finds the run that `word` means: an id, `last` for the last run of this folder, the name of a
    /// run, the name of a flow, or the beginning of an id. Of several runs with the name the latest
    /// of this folder is meant. If this folder has none, only commands that show runs use one of
    /// another folder.
    pub async fn find_run(&self, word: &str, intent: Intent) -> Result<RunId, Problem> {
        let store = self.store()?;
        if let Ok(id) = RunId::new(word)
            && store.run(&id).await?.is_some()
        {
            return Ok(id);
        }
        let runs = store.runs(RUNS_SEARCHED_MAX).await?;
        if word == "last" {
            return self.last(&runs, intent);
        }
        let named = |is_it: &dyn Fn(&RunSummary) -> bool| {
            let found: Vec<_> = runs.iter().filter(|run| is_it(run)).collect();
            (!found.is_empty()).then_some(found)
        };
        if let Some(found) = named(&|run| run.name.as_deref() == Some(word)) {
            return self.latest_of(&found, &format!("are called `{word}`"), intent);
        }
        let beginning = fitting(word, &runs);
        if let [one] = &beginning[..] {
            return Ok(one.id.clone());
        }
        if let Some(found) = named(&|run| run.flow == word) {
            return self.latest_of(&found, &format!("are of the flow `{word}`"), intent);
        }
        match &beginning[..] {
            [] => Err(Problem::usage(format!("there is no run `{word}`"))
                .hint("`divisi runs` lists them")),
            several => {
                let names = several
                    .iter()
                    .take(RUNS_NAMED_MAX)
                    .map(|run| format!("{} ({})", run.id, run.flow));
                let names: Vec<String> = names.collect();
                Err(
                    Problem::usage(format!("{} runs begin with `{word}`", several.len()))
                        .hint(format!("say more of the id: {}", names.join(", "))),
                )
            }
        }
    }
}

/// What a run is needed for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Intent {
    /// To show it.
    Look,
    /// To continue it, which executes something and costs money.
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
                    run.flow,
                    elsewhere(run)
                )))
            }
            (None, None, _) => {
                Err(Problem::usage("there are no runs yet").hint("start one with `divisi run`"))
            }
        }
    }
}

impl App {
    /// The latest of several runs of one name, of this folder if it has one. `are` says what they
    /// have in common.
    fn latest_of(
        &self,
        found: &[&RunSummary],
        are: &str,
        intent: Intent,
    ) -> Result<RunId, Problem> {
        let place = self.place();
        let here: Vec<_> = found
            .iter()
            .filter(|run| place.has(run.folder.as_deref()))
            .collect();
        let elsewhere = |run: &RunSummary| place.shown(run.folder.as_deref());
        match (here.first(), found.first(), intent) {
            (Some(run), ..) => {
                if here.len() > 1 {
                    self.note(&format!(
                        "{} runs of this folder {are}; {} is the latest",
                        here.len(),
                        run.id
                    ));
                }
                Ok(run.id.clone())
            }
            (None, Some(run), Intent::Look) => {
                let (id, folder) = (&run.id, elsewhere(run));
                self.note(&match found.len() {
                    1 => format!("{id} is a run of {folder}"),
                    count => format!("{count} runs {are}; {id} of {folder} is the latest"),
                });
                Ok(run.id.clone())
            }
            (None, run, _) => {
                let hint = run.map(|run| {
                    let (id, folder) = (&run.id, elsewhere(run));
                    format!("the latest is {id} of {folder}: name it by its id to go on with it")
                });
                Err(Problem::usage(format!("no runs of this folder {are}")).with_hints(hint))
            }
        }
    }
}

fn fitting<'a>(word: &str, runs: &'a [RunSummary]) -> Vec<&'a RunSummary> {
    runs.iter()
        .filter(|run| run.id.as_str().starts_with(word))
        .collect()
}
