//! Converts the graph of a flow to a plan file.
//!
//! Requests of the flow are kept unchanged. What only a script can do is lost: functions that check
//! results, and computations on them.

use crate::display::plan::readable;
use divisi_core::plan::{Head, PhaseCap, PlanError, PlanTask, Question};
use divisi_core::preflight::{Graph, Node};
use divisi_core::{Approval, Plan};
use std::collections::BTreeSet;

/// The tasks as a plan, in which `{{t3}}` is the whole result of task `t3`.
///
/// Each task depends on the tasks that it waits for in the flow and on those it reads.
pub(super) fn plan(graph: &Graph) -> Result<Plan, PlanError> {
    let tasks = graph
        .tasks
        .iter()
        .enumerate()
        .map(|(place, node)| task(place, node));
    let is_in = |title: &str| {
        graph
            .tasks
            .iter()
            .any(|node| node.task.phase.as_deref() == Some(title))
    };
    let phases = graph.phase_caps.iter().filter(|(title, _)| is_in(title));
    let head = Head {
        name: Some(graph.name.to_string()),
        phases: phases
            .map(|(title, cap)| PhaseCap {
                title: title.to_string(),
                max_cost: *cap,
            })
            .collect(),
        ..Head::default()
    };
    Ok(Plan::new(None, tasks.collect())?.with_head(head))
}

/// What a plan cannot express of the flow, as phrases.
pub(super) fn lost(graph: &Graph) -> Vec<String> {
    let checked = graph
        .checked_by_functions
        .iter()
        .map(|&place| graph.tasks[place].label());
    let mut lost: Vec<String> = checked
        .map(|label| {
            format!(
                "functions that check `{}`: its first result is taken",
                readable(&label)
            )
        })
        .collect();
    lost.dedup();
    lost
}

fn task(place: usize, node: &Node) -> PlanTask {
    let needs: BTreeSet<usize> = node.waits.iter().chain(&node.reads).copied().collect();
    let asked = &node.task;
    let text = |text: &std::sync::Arc<str>| text.to_string();
    if let Some(approval) = &asked.approval {
        return PlanTask {
            id: format!("t{place}"),
            needs: needs.into_iter().map(|need| format!("t{need}")).collect(),
            label: Some(readable(&node.label())),
            phase: asked.phase.as_ref().map(text),
            approve: Some(Question {
                question: asked.prompt.to_string(),
                approval: Approval::clone(approval),
                timeout: asked.timeout,
                show: asked.context.as_ref().map(text),
            }),
            ..PlanTask::default()
        };
    }
    PlanTask {
        id: format!("t{place}"),
        prompt: asked.prompt.to_string(),
        needs: needs.into_iter().map(|need| format!("t{need}")).collect(),
        label: Some(readable(&node.label())),
        kind: asked.kind.as_ref().map(text),
        model: asked.model.clone(),
        fallback: asked.fallback.iter().map(text).collect(),
        check: asked.check.clone(),
        max_cost: asked.max_cost,
        executor: asked.executor.as_ref().map(text),
        disallowed_tools: asked.disallowed_tools.iter().map(text).collect(),
        inputs: asked.inputs.iter().map(text).collect(),
        isolation: asked.isolation,
        effort: asked.effort,
        schema: asked.schema.as_deref().cloned(),
        agent_type: asked.agent_type.as_ref().map(text),
        tools: asked
            .tools
            .as_ref()
            .map(|tools| tools.iter().map(text).collect()),
        phase: asked.phase.as_ref().map(text),
        context: asked.context.as_ref().map(text),
        timeout: asked.timeout,
        idle_timeout: asked.idle_timeout,
        retries: asked.retries,
        overload_wait: asked.overload_wait,
        hedge: asked.hedge,
        max_turns: asked.max_turns,
        approve: None,
    }
}
