//! What the doctor finds.

use crate::context::Context;
use divisi_app::Problem;
use divisi_app::agent_programs::{self, AgentProgramFound, Login, agent_programs};
use divisi_app::clock;
use divisi_app::mcp_servers::{McpServerFound, mcp_servers};
use divisi_app::prices;
use divisi_app::providers::{AnswerMode, Candidate, Found, candidates, choose, local_candidates};
use divisi_app::settings::{Claim, Leaf, Loaded, Origin, Project, Settings, Standing, Untrusted};
use divisi_core::{Failure, FailureClass};
use divisi_engine::agents::{Agents, Source};
use divisi_engine::store::FORMAT;
use divisi_engine::store::{SqliteStore, Store};
use divisi_engine::{Models, setup::TIERS};
use divisi_providers::discover;
use schemars::JsonSchema;
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

/// Longest wait for the list of models of a vendor.
const TRY_MAX: Duration = Duration::from_secs(10);

/// Runs are counted up to this number; the exact count beyond it helps no user.
const RUNS_COUNTED_MAX: usize = 100_000;

/// Below this a run of some thousand tasks may not find room for its journal.
const FREE_BYTES_MIN: u64 = 200 * 1024 * 1024;

/// What the doctor finds.
#[derive(Serialize, JsonSchema)]
pub(in crate::commands) struct Report {
    /// The version of divisi.
    pub(super) version: &'static str,
    /// Whether there is any way to run a flow besides `--demo`.
    pub(super) can_run: bool,
    /// The agent program that carries out tasks because there is no model to ask.
    pub(super) executor: Option<&'static str>,
    /// The variables that may hold keys.
    pub(super) keys: Vec<Key>,
    /// The providers that could be used.
    pub(super) providers: Vec<ProviderFound>,
    /// Whether model servers on this machine were looked for.
    pub(super) local: bool,
    /// What the tiers mean.
    pub(super) models: Vec<ModelFound>,
    /// The settings in effect, without those that are defaults.
    pub(super) settings: Vec<SettingFound>,
    /// Whether the project's file is trusted, if it has settings that need trust.
    pub(super) trust: Option<TrustFound>,
    /// The file in which runs are kept.
    pub(super) store: StoreFound,
    /// The agent definitions.
    pub(super) agents: Vec<AgentFound>,
    /// The agent programs that are installed or not.
    pub(super) agent_programs: Vec<ProgramFound>,
    /// The MCP servers of the settings and of the project's `.mcp.json`. None is started.
    pub(super) mcp_servers: Vec<ServerFound>,
    /// What should be mended.
    pub(super) findings: Vec<Finding>,
}

/// A variable that may hold a key; never what it holds.
#[derive(Serialize, JsonSchema)]
pub(super) struct Key {
    /// Its name.
    pub(super) variable: String,
    /// Whether it is set.
    pub(super) set: bool,
}

/// A provider that could be used.
#[derive(Serialize, JsonSchema)]
pub(super) struct ProviderFound {
    /// Its name.
    pub(super) name: String,
    /// Where it is from: `settings`, `known` by its name, or a `local` server.
    pub(super) found: &'static str,
    /// Its address.
    pub(super) url: String,
    /// Whether it can be used: it needs no key, or its key is set.
    pub(super) ready: bool,
    /// Whether it is the provider of models that name none.
    pub(super) default: bool,
    /// The variable in which its key is missing.
    pub(super) needs: Option<String>,
    /// Whether it listed its models, if it was asked to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) answers: Option<bool>,
    /// The models that it is known to have.
    pub(super) models: Vec<String>,
    /// Settings that it does not support.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) omits: Vec<&'static str>,
}

/// What a tier means.
#[derive(Serialize, JsonSchema)]
pub(super) struct ModelFound {
    /// The tier.
    pub(super) tier: &'static str,
    /// Its provider and model: `anthropic:claude-haiku`.
    pub(super) model: String,
    /// Whether it is the model of tasks that name none.
    pub(super) default: bool,
}

/// A setting in effect.
#[derive(Serialize, JsonSchema)]
pub(super) struct SettingFound {
    /// Its name.
    pub(super) name: String,
    /// Its value, without secrets.
    pub(super) value: String,
    /// Where it is from.
    pub(super) origin: String,
}

/// A project's file that has settings that need trust.
#[derive(Serialize, JsonSchema)]
pub(super) struct TrustFound {
    /// The file.
    pub(super) file: String,
    /// Whether it is trusted in its current state.
    pub(super) trusted: bool,
    /// The settings that need it.
    pub(super) needed_by: Vec<String>,
}

/// The file in which runs are kept.
#[derive(Serialize, JsonSchema)]
pub(super) struct StoreFound {
    /// Its path.
    pub(super) path: String,
    /// Whether it exists.
    pub(super) exists: bool,
    /// The version of its content that this divisi reads and writes.
    pub(super) format: u32,
    /// The number of its runs, 100,000 at most.
    pub(super) runs: usize,
    /// Room on its disk.
    pub(super) free_bytes: Option<u64>,
}

/// An agent definition.
#[derive(Serialize, JsonSchema)]
pub(super) struct AgentFound {
    /// Its name.
    pub(super) name: String,
    /// Its file; `None` for one that is built in.
    pub(super) file: Option<String>,
}

/// An agent program.
#[derive(Serialize, JsonSchema)]
pub(super) struct ProgramFound {
    /// Its name.
    pub(super) name: String,
    /// `None` if it is not installed, or does not start.
    pub(super) version: Option<String>,
    /// Whether it has a login of its own or a key.
    pub(super) ready: bool,
    /// The state in words.
    pub(super) state: String,
}

/// An MCP server.
#[derive(Serialize, JsonSchema)]
pub(super) struct ServerFound {
    /// Its name.
    pub(super) name: String,
    /// Whether a run would start it for a task that selects its tools.
    pub(super) ready: bool,
    /// Whether `allow` permits its tools.
    pub(super) permitted: bool,
    /// Whether its file has the trust that it needs.
    pub(super) trusted: bool,
    /// The state in words.
    pub(super) state: String,
}

/// Something to mend, and how.
#[derive(Clone, Serialize, JsonSchema)]
pub(super) struct Finding {
    /// What is wrong, as a phrase.
    pub(super) what: String,
    /// What to do about it.
    pub(super) hint: Option<String>,
}

impl Finding {
    fn new(what: impl Into<String>, hint: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            hint: Some(hint.into()),
        }
    }
}

impl SettingFound {
    pub(super) fn is_default(&self) -> bool {
        self.origin == Origin::Default.to_string()
    }
}

/// Checks everything that a run would use. With `tries` each vendor is asked for its list of
/// models; otherwise nothing is sent to any vendor.
pub(super) async fn examine(context: &Context, tries: bool) -> Result<Report, Problem> {
    let loaded = context.app.settings(Untrusted::LookedAt)?;
    let mut findings = vec![];
    let mcp_servers = servers(&loaded, context, &mut findings);
    let Loaded {
        settings,
        leaves,
        project,
        ..
    } = loaded;
    let trust = project
        .filter(|project| !project.claims.is_empty())
        .map(|project| trust(&project, &mut findings));
    let mut candidates = candidates(&settings, context.app.environment());
    if settings.local {
        candidates.extend(local_candidates(&discover().await, &settings));
    }
    let mut executor = None;
    let models = match choose(&settings, context.app.environment(), AnswerMode::default()).await {
        Ok(models) => Some(models),
        Err(problem) => {
            executor = agent_programs::instead(&settings, context.app.environment());
            if executor.is_none() {
                findings.push(Finding {
                    what: problem.to_string(),
                    hint: Some(problem.hints().join("\n")),
                });
            }
            None
        }
    };
    let tried = match &models {
        Some(models) if tries => try_all(models).await,
        _ => BTreeMap::new(),
    };
    let mut default_answers = true;
    for (name, error) in tried
        .iter()
        .filter_map(|(name, error)| Some((name, error.as_ref()?)))
    {
        let is_default = models
            .as_ref()
            .is_some_and(|models| models.provider == *name);
        default_answers &= !is_default;
        findings.push(error.clone());
    }
    let default = models.as_ref().map(|models| usable(models, &settings));
    if let Some(Err(failure)) = &default {
        findings.push(Finding {
            what: failure.message.clone(),
            hint: failure.hint.clone(),
        });
    }
    for name in context.app.environment().unknown() {
        findings.push(Finding::new(
            format!("{name} is set, but no setting has that name"),
            "unset it, or correct its name",
        ));
    }
    let store = store(&settings, &mut findings).await;
    let agents = agents(context.app.folder(), &mut findings);
    Ok(Report {
        version: env!("CARGO_PKG_VERSION"),
        can_run: executor.is_some()
            || (default_answers && default.is_some_and(|default| default.is_ok())),
        executor,
        keys: keys(&candidates),
        providers: candidates
            .iter()
            .map(|candidate| provider(candidate, models.as_ref(), &tried))
            .collect(),
        local: settings.local,
        models: models.as_ref().map(tiers).unwrap_or_default(),
        settings: leaves.iter().map(setting).collect(),
        trust,
        store,
        agents,
        agent_programs: programs(context)?,
        mcp_servers,
        findings,
    })
}

/// The MCP servers, trusted and permitted or not.
fn servers(loaded: &Loaded, context: &Context, findings: &mut Vec<Finding>) -> Vec<ServerFound> {
    let found = mcp_servers(loaded, &context.app).unwrap_or_else(|error| {
        let problem = Problem::from(error);
        findings.push(Finding {
            what: problem.to_string(),
            hint: Some(problem.hints().join("\n")),
        });
        vec![]
    });
    let server = |found: McpServerFound| ServerFound {
        ready: found.is_trusted && found.is_permitted && found.problem.is_none(),
        state: match (&found.problem, found.is_trusted, found.is_permitted) {
            (Some(problem), _, _) => problem.clone(),
            (None, false, _) => "its file is not trusted: `divisi trust`".to_owned(),
            (None, true, false) => format!("not permitted: `--allow mcp:{}`", found.name),
            (None, true, true) => "ready".to_owned(),
        },
        permitted: found.is_permitted,
        trusted: found.is_trusted,
        name: found.name,
    };
    found.into_iter().map(server).collect()
}

/// The agent programs, by the settings that may run something.
fn programs(context: &Context) -> Result<Vec<ProgramFound>, Problem> {
    let settings = context.app.settings(Untrusted::LeftOut)?.settings;
    let found = agent_programs(&settings, context.app.environment());
    let program = |found: AgentProgramFound| {
        let state = match (&found.version, found.login) {
            (Err(why), _) => why.clone(),
            (Ok(_), Login::Key) => "a key is set".to_owned(),
            (Ok(_), Login::Own) => "logged in".to_owned(),
            (Ok(_), Login::None) => "not logged in".to_owned(),
            (Ok(_), Login::Unknown) => "installed, and has its own login".to_owned(),
        };
        ProgramFound {
            name: found.name,
            ready: found.version.is_ok() && matches!(found.login, Login::Key | Login::Own),
            version: found.version.ok().filter(|version| !version.is_empty()),
            state,
        }
    };
    Ok(found.into_iter().map(program).collect())
}

/// Fails unless the default model is available and has a price.
fn usable(models: &Models, settings: &Settings) -> Result<(), Failure> {
    let prices = prices::of(settings)
        .map_err(|problem| Failure::new(FailureClass::Unavailable, problem.to_string()))?;
    prices.known(&models.find(None)?, clock::now())
}

fn keys(candidates: &[Candidate]) -> Vec<Key> {
    let key = |candidate: &Candidate| {
        Some(Key {
            variable: candidate.key_env.clone()?,
            set: candidate.is_ready(),
        })
    };
    candidates.iter().filter_map(key).collect()
}

/// Asks each provider for its list of models; `None` for those that answered.
async fn try_all(models: &Models) -> BTreeMap<String, Option<Finding>> {
    let tries = models.providers.iter().map(async |(name, models)| {
        let answer = tokio::time::timeout(TRY_MAX, models.provider.models()).await;
        let finding = match answer {
            Ok(Ok(_)) => None,
            Ok(Err(error)) => {
                let failure = Failure::from(error);
                Some(Finding {
                    what: failure.message,
                    hint: failure.hint,
                })
            }
            Err(_) => Some(Finding::new(
                format!("`{name}` did not answer within {TRY_MAX:?}"),
                "look at its address, and at proxies and firewalls on the way",
            )),
        };
        (name.clone(), finding)
    });
    futures::future::join_all(tries).await.into_iter().collect()
}

fn provider(
    candidate: &Candidate,
    models: Option<&Models>,
    tried: &BTreeMap<String, Option<Finding>>,
) -> ProviderFound {
    ProviderFound {
        name: candidate.name.clone(),
        found: match candidate.found {
            Found::Settings => "settings",
            Found::Known => "known",
            Found::Local => "local",
        },
        url: candidate.shown_url(),
        ready: candidate.is_ready(),
        default: models.is_some_and(|models| models.provider == candidate.name),
        needs: candidate.key_env.clone().filter(|_| !candidate.is_ready()),
        answers: tried.get(&candidate.name).map(Option::is_none),
        models: candidate.models.clone(),
        omits: candidate
            .dialect
            .omit
            .iter()
            .map(|part| part.as_str())
            .collect(),
    }
}

fn tiers(models: &Models) -> Vec<ModelFound> {
    let default = models.find(None).ok();
    let found = TIERS
        .into_iter()
        .filter_map(|tier| Some((tier, models.find(Some(tier)).ok()?)));
    found
        .map(|(tier, model)| ModelFound {
            tier,
            model: format!("{}:{}", models.provider, model.id),
            default: default
                .as_ref()
                .is_some_and(|default| default.id == model.id),
        })
        .collect()
}

fn setting(leaf: &Leaf) -> SettingFound {
    SettingFound {
        name: leaf.name(),
        value: shown(leaf),
        origin: leaf.origin.to_string(),
    }
}

fn trust(project: &Project, findings: &mut Vec<Finding>) -> TrustFound {
    let found = TrustFound {
        file: project.path.display().to_string(),
        trusted: project.standing == Standing::Trusted,
        needed_by: project.claims.iter().map(Claim::name).collect(),
    };
    if !found.trusted {
        let what = format!(
            "{} is not trusted, so a run asks about {} first",
            found.file,
            found.needed_by.join(", ")
        );
        findings.push(Finding::new(
            what,
            format!("read it, then: {}", project.trust_command()),
        ));
    }
    found
}

/// The value without possible secrets: of settings of programs and providers only the names are
/// shown.
fn shown(leaf: &Leaf) -> String {
    match (leaf.path.first().map(String::as_str), &leaf.value) {
        (Some("providers"), toml::Value::Table(provider)) => {
            let what = || {
                provider
                    .keys()
                    .map(String::as_str)
                    .collect::<Vec<_>>()
                    .join(", ")
            };
            provider.get("kind").map_or_else(what, ToString::to_string)
        }
        (Some("executors" | "mcp"), toml::Value::Table(found)) => {
            let program = found.get("command").and_then(|command| command.get(0));
            program.map(ToString::to_string).unwrap_or_default()
        }
        (_, value) => value.to_string(),
    }
}

/// Opens the store only if it exists: the doctor creates no files.
async fn store(settings: &Settings, findings: &mut Vec<Finding>) -> StoreFound {
    let path = &settings.store;
    let mut found = StoreFound {
        path: path.display().to_string(),
        exists: path.exists(),
        format: FORMAT,
        runs: 0,
        free_bytes: free_bytes(path),
    };
    if found.exists {
        let runs = async { SqliteStore::open(path)?.runs(RUNS_COUNTED_MAX).await };
        match runs.await {
            Ok(runs) => found.runs = runs.len(),
            Err(error) => {
                let problem = Problem::from(error);
                findings.push(Finding {
                    what: problem.to_string(),
                    hint: Some(problem.hints().join("\n")),
                });
            }
        }
    }
    if found.free_bytes.is_some_and(|free| free < FREE_BYTES_MIN) {
        let what = format!("there is little room left for the store {}", found.path);
        findings.push(Finding::new(
            what,
            "make room, or name another store with `--store`",
        ));
    }
    found
}

/// Room on the disk that `path` is on, or will be on.
fn free_bytes(path: &Path) -> Option<u64> {
    let folder = path.ancestors().skip(1).find(|folder| folder.is_dir())?;
    let disk = rustix::fs::statvfs(folder).ok()?;
    Some(disk.f_bavail.saturating_mul(disk.f_frsize))
}

fn agents(folder: &Path, findings: &mut Vec<Finding>) -> Vec<AgentFound> {
    let agents = Agents::load(folder, etcetera::home_dir().ok().as_deref());
    for problem in agents.problems() {
        findings.push(Finding {
            what: format!("agent definition {problem}"),
            hint: None,
        });
    }
    let found = agents.iter().map(|agent| AgentFound {
        name: agent.name.clone(),
        file: match &agent.source {
            Source::BuiltIn => None,
            Source::File(path) => Some(path.display().to_string()),
        },
    });
    found.collect()
}
