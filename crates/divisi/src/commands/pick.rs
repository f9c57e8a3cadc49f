//! `divisi pick`: which model suffices for a task, and why.

use crate::context::Context;
use crate::display::pick::{self, Pick, TASKS, TierPrice};
use crate::display::{Look, json, look};
use crate::exit::Exit;
use crate::output;
use anyhow::Context as _;
use divisi_app::Problem;
use divisi_app::prices;
use divisi_app::providers::{self, AnswerMode};
use divisi_app::settings::{Leaf, Loaded, Untrusted};
use divisi_core::choice::Kind;
use divisi_core::{Effort, PicoUsd, Task, Tier};
use divisi_engine::Setup;
use divisi_engine::agents::Agents;
use divisi_engine::choose::choose;
use divisi_files::Refusal;
use serde_json::Value;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

/// Longest prompt that is read from stdin: far more than any model reads.
const PROMPT_BYTES_MAX: u64 = 64 << 20;

/// Longest schema; vendors take only shorter ones.
const SCHEMA_BYTES_MAX: u64 = 4 << 20;

/// Show which kind of task a prompt is, the model that suffices, and why
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  divisi pick \"Find all callers of parse_header\"
  divisi pick \"Summarise\" --agent Explore --tools read_file
  divisi pick - --json < prompt.txt

It is what the model `auto` does. Nothing is sent to anyone.")]
pub(crate) struct Args {
    /// The prompt of the task; `-` reads it from stdin
    prompt: String,
    /// The kind that the task names
    #[arg(long, value_name = "KIND")]
    kind: Option<String>,
    /// The JSON Schema of its result: a file, or the schema itself
    #[arg(long, value_name = "FILE|JSON")]
    schema: Option<String>,
    /// The tools of the task
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    tools: Option<Vec<String>>,
    /// The agent definition that the task names
    #[arg(long, value_name = "NAME")]
    agent: Option<String>,
    /// How hard the model should think: low, medium, high, xhigh, max
    #[arg(long, value_name = "EFFORT")]
    effort: Option<Effort>,
    /// The provider: anthropic, openai, openrouter, a local server, or a name from the settings
    #[arg(long, value_name = "NAME")]
    provider: Option<String>,
}

pub(crate) async fn run(args: Args, context: &Context) -> Result<Exit, Problem> {
    let flag = |name: String| Leaf::of_flag("--provider", name);
    let said = args.provider.clone().and_then(flag).into_iter().collect();
    let untrusted = Untrusted::LookedAt;
    let Loaded {
        settings, project, ..
    } = context.app.settings_with(said, untrusted)?;
    context.app.note_trust(project.as_ref(), untrusted);
    let (models, note) =
        providers::choose_ahead(&settings, context.app.environment(), AnswerMode::default())
            .await?;
    let (kinds, prices) = (settings.kinds()?, Arc::new(prices::of(&settings)?));
    let setup = Setup::new(models, context.app.folder())
        .kinds(kinds)
        .prices(prices);
    let page = picked(&setup, &args.task()?, note.is_none())?;
    let text = match context.global.json {
        true => json::pretty(&page).context("cannot write it as JSON")?,
        false => {
            let look = Look::of_stdout(false);
            look::page(&pick::pick(&page, &look), &look)
        }
    };
    output::print(text.trim_end()).context("cannot write to stdout")?;
    Ok(Exit::Ok)
}

impl Args {
    /// The task as a flow would request it.
    fn task(self) -> Result<Task, Problem> {
        let prompt = match self.prompt.as_str() {
            "-" => stdin()?,
            _ => self.prompt,
        };
        if prompt.trim().is_empty() {
            return Err(Problem::usage("the prompt is empty"));
        }
        Ok(Task {
            kind: self.kind.map(Into::into),
            schema: self
                .schema
                .map(|schema| read_schema(&schema))
                .transpose()?
                .map(Arc::new),
            tools: self
                .tools
                .map(|tools| tools.into_iter().map(Into::into).collect()),
            agent_type: self.agent.map(Into::into),
            effort: self.effort,
            ..Task::new(prompt)
        })
    }
}

fn stdin() -> Result<String, Problem> {
    let mut prompt = Vec::new();
    let read = std::io::stdin()
        .lock()
        .take(PROMPT_BYTES_MAX)
        .read_to_end(&mut prompt);
    let text = read
        .map_err(Refusal::from)
        .and_then(|_| divisi_files::text(prompt));
    Ok(text.context("cannot read the prompt from stdin")?)
}

fn read_schema(given: &str) -> Result<Value, Problem> {
    let text = match given.trim_start().starts_with('{') {
        true => given.to_owned(),
        false => divisi_files::read_typed(Path::new(given), SCHEMA_BYTES_MAX)
            .and_then(divisi_files::text)
            .with_context(|| format!("cannot read the schema {given}"))?,
    };
    serde_json::from_str(&text)
        .map_err(|error| Problem::usage(format!("the schema is no JSON: {error}")))
}

fn picked(setup: &Setup, task: &Task, ready: bool) -> Result<Pick, Problem> {
    let agents = Agents::load(&setup.workspace, etcetera::home_dir().ok().as_deref());
    let agent = task
        .agent_type
        .as_deref()
        .map(|name| agents.get(name))
        .transpose();
    let agent =
        agent.map_err(|unknown| Problem::usage(unknown.to_string()).hint(unknown.hint()))?;
    let provider = &setup.models.provider;
    let choice = choose(&setup.kinds, task, agent.map(|agent| &**agent), provider)
        .map_err(|failure| Problem::usage(failure.message).with_hints(failure.hint))?;
    let kind = setup
        .kinds
        .get(&choice.kind)
        .map_err(|unknown| Problem::usage(unknown.to_string()))?;
    let own = setup.models.providers.get(provider);
    let id = |tier: Tier| {
        own.and_then(|models| models.tiers.get(tier.as_str()))
            .map(ToString::to_string)
    };
    let priced = |tier| {
        let model = id(tier)?;
        let thousand = thousand(setup, tier, kind);
        Some(TierPrice {
            tier,
            thousand,
            model,
        })
    };
    Ok(Pick {
        about: kind.about.clone(),
        provider: provider.clone(),
        model: id(choice.tier),
        ready,
        tokens: kind.tokens,
        tiers: Tier::ALL.into_iter().filter_map(priced).collect(),
        choice,
    })
}

/// The price today of a thousand tasks of this kind on this tier.
fn thousand(setup: &Setup, tier: Tier, kind: &Kind) -> Option<PicoUsd> {
    let model = setup.models.find(Some(tier.as_str())).ok()?;
    // The figures sum all turns, but tiered prices depend on the size of one request.
    let (usage, turns) = (kind.tokens.usage(), u64::from(kind.tokens.turns).max(1));
    let price = setup.prices.price_of(&model, divisi_app::clock::now())?;
    let PicoUsd(one) = price.rates(usage.prompt() / turns).cost(&usage);
    Some(PicoUsd(one.saturating_mul(TASKS)))
}
