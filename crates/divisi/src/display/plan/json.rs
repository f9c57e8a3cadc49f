//! A plan as JSON.

use super::order;
use super::simulated::SimulationForm;
use divisi_core::event::GroupKind;
use divisi_core::preflight::graph::{Assigned, NullRead, Unreached, Use};
use divisi_core::preflight::{Forecast, Graph, Group, Node, Remark};
use divisi_core::{Failure, PicoUsd, Site, Task};
use schemars::JsonSchema;
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Incremented when a field changes its meaning or is removed.
const VERSION: u32 = 3;

/// What a flow would run. Tasks are named `t0`, `t1` …, as in their prompts; groups `g0`, `g1` ….
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PlanForm<'a> {
    /// The version of this form; a higher one has changed or removed a field.
    version: u32,
    /// The flow's name.
    name: &'a str,
    /// The tasks, in the order of their requests.
    tasks: Vec<TaskForm<'a>>,
    /// Tasks that the flow requests together.
    groups: Vec<GroupForm<'a>>,
    /// The tasks that may run at the same time, one list after the other.
    waves: Vec<Vec<String>>,
    /// The longest chain of tasks that wait for one another.
    longest_chain: Vec<String>,
    /// The tasks whose results the flow returns.
    returned: Vec<String>,
    /// Places at which the plan depends on results.
    open: &'a [Remark],
    /// Phases that the flow names and in which no task is planned.
    unreached: &'a [Unreached],
    /// Prompts with words that result from an unintended conversion, such as `undefined`.
    strays: &'a [Remark],
    /// Prompts that a missing result would spoil.
    nulls: &'a [NullRead],
    /// Tasks that read several results without information on which are missing.
    uninformed: Vec<String>,
    /// The tasks whose results are checked by functions of the flow.
    checked_by_functions: Vec<String>,
    /// Caps of phases that the flow sets.
    phase_caps: &'a BTreeMap<Arc<str>, PicoUsd>,
    /// Probable mistakes of its author.
    warnings: &'a [Remark],
    /// The flow's error on placeholders, if that ended the plan early.
    broke_off: Option<&'a Remark>,
    /// What it is expected to cost; `null` if the plan ends early. Tasks are numbers here.
    forecast: Option<&'a Forecast>,
    /// The outcome of simulated runs; `null` without `--simulate`.
    simulation: Option<SimulationForm<'a>>,
}

/// The flow's request, and what it resolves to here.
#[derive(Serialize, JsonSchema)]
struct TaskForm<'a> {
    /// `t0`, `t1` ….
    id: String,
    /// Its label, or the beginning of its prompt.
    title: String,
    #[serde(flatten)]
    task: &'a Task,
    /// Its place in the flow.
    site: Option<&'a Site>,
    /// Its wave, from 0.
    wave: usize,
    /// The tasks that must end before it is requested.
    waits: Vec<String>,
    /// The tasks whose results its prompt or context contains.
    reads: Vec<String>,
    /// The innermost group that contains it.
    group: Option<String>,
    /// Whether its result is used.
    used: Use,
    /// Its executor, models and limits.
    #[serde(skip_serializing_if = "Option::is_none")]
    assigned: Option<&'a Assigned>,
    /// Why it cannot be assigned.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a Failure>,
}

/// Tasks that the flow requests together.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct GroupForm<'a> {
    /// `g0`, `g1` ….
    id: String,
    /// The function that requests them.
    kind: GroupKind,
    /// Number of functions or items it was given.
    width: usize,
    /// Whether the width is a guess, because it depends on a result.
    guessed: bool,
    /// Whether a result decides the width, even if the flow declares an expectation.
    by_result: bool,
    /// Its place in the flow.
    site: Option<&'a Site>,
    /// The group that contains this one.
    parent: Option<String>,
}

impl<'a> PlanForm<'a> {
    /// The form of a graph.
    pub(crate) fn new(
        graph: &'a Graph,
        forecast: Option<&'a Forecast>,
        simulation: Option<SimulationForm<'a>>,
    ) -> Self {
        let depths = order::depths(graph);
        let nodes = graph.tasks.iter().zip(depths).enumerate();
        let groups = graph.groups.iter().enumerate();
        Self {
            version: VERSION,
            name: &graph.name,
            tasks: nodes
                .map(|(place, (node, wave))| TaskForm::new(place, node, wave))
                .collect(),
            groups: groups
                .map(|(place, found)| GroupForm::new(place, found))
                .collect(),
            waves: order::waves(graph).iter().map(|wave| tasks(wave)).collect(),
            longest_chain: tasks(&order::longest(graph)),
            returned: tasks(&graph.returned),
            open: &graph.open,
            unreached: &graph.unreached,
            strays: &graph.strays,
            nulls: &graph.nulls,
            uninformed: tasks(&graph.uninformed),
            checked_by_functions: tasks(&graph.checked_by_functions),
            phase_caps: &graph.phase_caps,
            warnings: &graph.warnings,
            broke_off: graph.broke_off.as_ref(),
            forecast,
            simulation,
        }
    }
}

impl<'a> TaskForm<'a> {
    fn new(place: usize, node: &'a Node, wave: usize) -> Self {
        Self {
            id: format!("t{place}"),
            title: node.label(),
            task: &node.task,
            site: node.site.as_ref(),
            wave,
            waits: tasks(&node.waits),
            reads: tasks(&node.reads),
            group: node.group.map(|group| format!("g{group}")),
            used: node.used,
            assigned: node.assigned.as_ref().ok(),
            error: node.assigned.as_ref().err(),
        }
    }
}

impl<'a> GroupForm<'a> {
    fn new(place: usize, group: &'a Group) -> Self {
        Self {
            id: format!("g{place}"),
            kind: group.kind,
            width: group.width,
            guessed: group.guessed,
            by_result: group.by_result,
            site: group.site.as_ref(),
            parent: group.parent.map(|parent| format!("g{parent}")),
        }
    }
}

fn tasks(places: &[usize]) -> Vec<String> {
    places.iter().map(|place| format!("t{place}")).collect()
}
