//! What every command finds: the environment, the folder it was typed in, the
//! flags that all commands take, and the store these lead to.

use crate::cli::GlobalFlags;
use crate::output;
use crate::place::Place;
use crate::problem::Problem;
use crate::settings::{self, Environment, Loaded, Project, Untrusted};
use crate::trust;
use anyhow::Context as _;
use divisi_core::RunId;
use divisi_engine::store::{RunSummary, SqliteStore, Store};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

/// Runs among which the beginning of an id is looked for, latest first.
pub(crate) const RUNS_SEARCHED_MAX: usize = 10_000;

/// Runs that are named when the beginning of an id fits several.
const RUNS_NAMED_MAX: usize = 5;

/// What every command finds.
pub(crate) struct Context {
    pub(crate) global: GlobalFlags,
    pub(crate) environment: Environment,
    folder: PathBuf,
    store: OnceLock<Arc<SqliteStore>>,
}

impl Context {
    /// The surroundings of this process.
    pub(crate) fn new(global: GlobalFlags) -> Result<Self, Problem> {
        let folder = std::env::current_dir().context("cannot tell which folder this is")?;
        Ok(Self { global, environment: Environment::of_process(), folder, store: OnceLock::new() })
    }

    /// The folder in which the command was typed.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// The settings that hold in the folder of the command, for those who carry
    /// nothing out.
    pub(crate) fn settings(&self, untrusted: Untrusted) -> Result<Loaded, Problem> {
        Ok(settings::load(&self.environment, &self.folder, self.global.leaves()?, untrusted)?)
    }

    /// The project's file of settings that holds in `folder`.
    pub(crate) fn project(&self, folder: &Path) -> Result<Option<Project>, Problem> {
        Ok(settings::load(&self.environment, folder, vec![], Untrusted::LeftOut)?.project)
    }

    /// The store, opened when first asked for.
    pub(crate) fn store(&self) -> Result<Arc<dyn Store>, Problem> {
        if let Some(store) = self.store.get() {
            return Ok(store.clone());
        }
        let Loaded { settings, project, .. } = self.settings(Untrusted::LeftOut)?;
        if project.iter().flat_map(Project::untrusted).any(|claim| claim.name() == "store") {
            trust::note(project.as_ref(), self, Untrusted::LeftOut);
        }
        let opened = Arc::new(SqliteStore::open(settings.store)?);
        Ok(self.store.get_or_init(|| opened).clone())
    }

    /// The same, and which runs belong to it.
    pub(crate) fn place(&self) -> Place {
        Place::of(&self.folder)
    }

    /// Says something on stderr, unless only results are wanted.
    pub(crate) fn note(&self, text: &str) {
        if !self.global.quiet {
            output::say(&format!("note: {text}"));
        }
    }

    /// The run that `word` names: an id, the beginning of one, or `last`, which is
    /// the last one of this folder. Where there is none, only a command that
    /// looks takes the last one of another folder.
    pub(crate) async fn find_run(&self, word: &str, intent: Intent) -> Result<RunId, Problem> {
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
            (_, []) => {
                Err(Problem::usage(format!("there is no run `{word}`")).hint("`divisi runs` lists them"))
            }
            (_, several) => {
                let names =
                    several.iter().take(RUNS_NAMED_MAX).map(|run| format!("{} ({})", run.id, run.name));
                let names: Vec<String> = names.collect();
                Err(Problem::usage(format!("{} runs begin with `{word}`", several.len()))
                    .hint(format!("say more of the id: {}", names.join(", "))))
            }
        }
    }
}

/// What a run is named for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Intent {
    /// To look at it.
    Look,
    /// To go on with it, which acts and costs.
    Act,
}

impl Context {
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
    runs.iter().filter(|run| run.id.as_str().starts_with(word)).collect()
}
