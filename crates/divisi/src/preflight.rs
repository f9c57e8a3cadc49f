//! What commands that spend nothing find out about a flow.

use crate::cli::{Found, RunFlags};
use crate::context::Context;
use crate::launch::{Prepared, prepare};
use crate::problem::Problem;
use divisi_core::preflight::checklist::Settings;
use divisi_core::preflight::{Assigned, Graph, Money, Rung, of_plan};
use divisi_core::{Failure, FailureClass, Outcome, Site, Task};
use divisi_engine::resolve::Resolver;
use std::path::Path;
use std::sync::Arc;

/// What is known of a flow before it runs.
pub(crate) struct Looked {
    pub(crate) graph: Graph,
    /// What it is expected to cost, if anything is known of that.
    pub(crate) money: Option<Box<dyn Money>>,
    pub(crate) settings: Settings,
}

/// Looks at a flow as it would run under these flags.
pub(crate) async fn look(found: Found, flags: RunFlags, context: &Context) -> Result<Looked, Problem> {
    let max_cost = found.max_cost(flags.max_cost, context)?;
    let Prepared { settings, setup, .. } = prepare(RunFlags { max_cost, ..flags }, context).await?;
    let cap = settings.max_cost.map(|dollars| dollars.0);
    let agents_write = setup.permissions.write || setup.permissions.run;
    let resolver = Resolver::new(Arc::new(setup), cap.is_some());
    let mut graph = graph_of(found, &resolver)?;
    for site in sites(&mut graph) {
        *site = near(site, context.folder());
    }
    Ok(Looked { graph, money: None, settings: Settings { cap, agents_write, ..Settings::default() } })
}

/// Every line of a flow that a graph names.
fn sites(graph: &mut Graph) -> impl Iterator<Item = &mut Site> {
    let tasks = graph.tasks.iter_mut().map(|task| &mut task.site);
    let groups = graph.groups.iter_mut().map(|group| &mut group.site);
    let open = graph.open.iter_mut().map(|open| &mut open.site);
    let nulls = graph.nulls.iter_mut().map(|null| &mut null.site);
    tasks.chain(groups).chain(open).chain(nulls).flatten()
}

/// The line as somebody in this folder would name it.
fn near(site: &Site, folder: &Path) -> Site {
    let below = Path::new(&*site.script).strip_prefix(folder).ok();
    match below.map(|path| path.display().to_string()) {
        Some(script) => Site { script: script.into(), line: site.line },
        None => site.clone(),
    }
}

fn graph_of(found: Found, resolver: &Resolver) -> Result<Graph, Problem> {
    match found {
        Found::Plan(file) => {
            Ok(of_plan(file.name(), &file.plan, |task| assigned(task, resolver), |place| file.site(place)))
        }
        Found::Script(flow) => {
            flow.parse().map_err(Problem::script)?;
            Err(Problem::usage("only plans can be looked at, and this is a script"))
        }
    }
}

/// What a task's words mean here.
fn assigned(task: &Task, resolver: &Resolver) -> Result<Assigned, Failure> {
    /// Bytes of English that make a token.
    const TOKEN_BYTES: usize = 4;
    let resolved = resolver.resolve(task.clone(), 0);
    let Some(assignment) = resolved.assignment else {
        return Err(match resolved.submission.outcome {
            Some(Outcome::Failed(failure)) => failure,
            _ => Failure::new(FailureClass::Unavailable, "it would not be tried"),
        });
    };
    let setup = resolver.setup();
    let word = task.model.first().unwrap_or(&setup.models.default);
    let rung =
        |model: &divisi_engine::Model| Rung { model: model.id.clone(), tier: word.parse().ok(), price: None };
    let shared = task.context.as_ref().map_or(0, |context| context.len() / TOKEN_BYTES) as u64;
    Ok(Assigned {
        executor: resolved.submission.facts.executor,
        kind: task.kind.clone().unwrap_or_else(|| "general".into()),
        kind_declared: task.kind.is_some(),
        rungs: assignment.model.iter().map(rung).collect(),
        why: "it is named".to_owned(),
        checked: !task.check.is_empty(),
        prompt_tokens: (task.prompt.len() / TOKEN_BYTES) as u64 + shared,
        shared_tokens: shared,
        has_tools: !assignment.tools.names().is_empty(),
        reply_tokens_max: setup.reply_tokens_max,
        turns_max: assignment.turns_max,
        retries_max: task.retries.unwrap_or(setup.retry.retries_max),
        timeout: assignment.timeout,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_named_from_where_one_is() {
        let named =
            |script: &str| near(&Site { script: script.into(), line: 3 }, Path::new("/home/me")).to_string();
        assert_eq!(named("/home/me/flows/x.js"), "flows/x.js:3");
        assert_eq!(named("/elsewhere/x.js"), "/elsewhere/x.js:3");
        assert_eq!(named("x.yaml"), "x.yaml:3");
    }
}
