//! `divisi plan`: what a flow would request, without sending a request.

mod frozen;

use crate::context::Context;
use crate::display::plan::json::PlanForm;
use crate::display::plan::simulated::SimulationForm;
use crate::display::plan::{dot, money, simulated, svg, tree};
use crate::display::{self, Look};
use crate::exit::Exit;
use crate::flags::{FlowArgs, RunFlags};
use crate::output;
use anyhow::Context as _;
use divisi_app::preflight::{self, Looked};
use divisi_app::{FlowInput, Problem, plan_file, what_if};
use divisi_core::preflight::Graph;
use divisi_engine::private;
use divisi_providers::redact;
use std::path::{Path, PathBuf};

/// Show what a flow would run, without sending a request: its tasks, models and waits
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  divisi plan flows/audit.js
  divisi plan flows/audit.js --arg modules='[\"auth\", \"payment\"]' --tasks
  divisi plan flows/audit.js --svg audit.svg
  divisi plan flows/audit.js --dot | dot -Tpng > audit.png

The script runs, and every agent is answered with a placeholder that fits its schema. Lists whose length \
only a result tells have three elements, or as many as the flow says: `agent(…, { expect: { files: 12 } })`. \
No key is needed. Exits with 3 where the plan ends early: the flow breaks off on placeholders, computes without \
an end, or asks for more than 2,000 tasks.", mut_arg("wait", |wait| wait.hide(true)))]
pub(crate) struct Args {
    #[command(flatten)]
    flow: FlowArgs,
    #[command(flatten)]
    form: Form,
    #[command(flatten)]
    flags: RunFlags,
}

/// How much is found out, and how it is shown.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct Form {
    /// Ask the vendor how many tokens the prompts have; this sends them there, and costs nothing
    #[arg(long)]
    exact: bool,
    /// Simulate many runs under your limits: how long they take, which limit holds them back, and
    /// what raising it would bring
    #[arg(long, conflicts_with = "dot")]
    simulate: bool,
    /// List every task
    #[arg(long, help_heading = "Form")]
    tasks: bool,
    /// Write it in the language of Graphviz
    #[arg(long, help_heading = "Form", conflicts_with_all = ["tasks", "json"])]
    dot: bool,
    /// Draw it into FILE
    #[arg(long, value_name = "FILE", help_heading = "Form")]
    svg: Option<PathBuf>,
    /// Write it as a plan into FILE (.json, .yaml), which can be edited and run
    #[arg(long, value_name = "FILE", help_heading = "Form")]
    save: Option<PathBuf>,
}

pub(crate) async fn run(args: Args, context: &Context) -> Result<Exit, Problem> {
    let input = args.flow.find(&context.app)?;
    show(input, args.flags, args.form, context).await
}

/// Shows what a flow would run.
pub(crate) async fn show(
    input: FlowInput,
    flags: RunFlags,
    form: Form,
    context: &Context,
) -> Result<Exit, Problem> {
    let demo = flags.demo;
    let looked = preflight::look(input, flags.into(), form.exact, &context.app).await?;
    let Looked {
        graph, forecast, ..
    } = &looked;
    if let Some(path) = &form.svg {
        let drawing = svg::render(graph).context("cannot draw the plan")?;
        private::write(path, &redact(&drawing))
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    if let Some(path) = &form.save {
        save(graph, path)?;
    }
    let look = Look::of_stdout(demo);
    let simulation = (form.simulate && !graph.ends_early).then(|| what_if::simulate(&looked));
    let text = match (context.global.json, form.dot) {
        (true, _) => {
            let forecast = Some(forecast).filter(|_| !graph.ends_early);
            let simulation = simulation.as_ref().map(SimulationForm::new);
            let plan = PlanForm::new(graph, forecast, simulation);
            display::json::line(&plan).context("cannot write the plan as JSON")?
        }
        (false, true) => dot::render(graph),
        (false, false) => {
            let mut money = money::lines(&looked, &look, context.global.verbose > 0);
            if let (Some(lines), Some(simulation)) = (&mut money, &simulation) {
                lines.extend(simulated::lines(simulation, &look));
            }
            tree::render(graph, money, form.tasks, &look)
        }
    };
    output::print(text.trim_end()).context("cannot write to stdout")?;
    Ok(if graph.ends_early {
        Exit::Partial
    } else {
        Exit::Ok
    })
}

/// Writes the tasks as a plan file.
fn save(graph: &Graph, path: &Path) -> Result<(), Problem> {
    if !plan_file::is_plan(&path.to_string_lossy()) {
        let message = format!("{} is no name of a plan file", path.display());
        return Err(
            Problem::usage(message).hint("let it end in .yaml or .json, so that it can be run")
        );
    }
    if graph.ends_early {
        return Err(Problem::usage("a plan that ends early is not written"));
    }
    let plan = frozen::plan(graph).context("this flow makes no plan file")?;
    let text = plan_file::write(path, &plan)?;
    private::write(path, &redact(&text))
        .with_context(|| format!("cannot write {}", path.display()))?;
    if !graph.open.is_empty() {
        let message = "what only results tell stands in the plan as it was assumed";
        output::say(&format!("note: {message}: see {}", path.display()));
    }
    for lost in frozen::lost(graph) {
        output::say(&format!("note: a plan cannot have {lost}"));
    }
    Ok(())
}
