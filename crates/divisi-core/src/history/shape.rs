//! How many tasks a run asked for at each line of its flow.

use super::History;
use crate::Timestamp;
use crate::event::{CallSite, Edges};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A line of a flow: its script, where it is another than the flow's own, and the number.
pub type Line = (Option<Arc<str>>, u32);

/// How many tasks one run asked for where.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RunShape {
    /// When it started.
    pub at: Timestamp,
    /// Name of the flow.
    pub flow: Arc<str>,
    /// Functions or items that groups of each line were given, in their order.
    groups: Vec<(Line, u32)>,
    /// Tasks of each line.
    tasks: Vec<(Line, u32)>,
}

/// Gathers the shape of a run that is being read.
#[derive(Debug, Default)]
pub(super) struct Shaping {
    groups: BTreeMap<u32, (Line, u32)>,
    tasks: BTreeMap<Line, u32>,
}

impl Shaping {
    /// A new task has been asked for.
    pub(super) fn add(&mut self, edges: &Edges) {
        for group in &edges.groups {
            if let Some(site) = &group.site {
                self.groups.insert(group.group, (line(site), group.width));
            }
        }
        if let Some(site) = &edges.site {
            *self.tasks.entry(line(site)).or_default() += 1;
        }
    }

    /// The flow has come to its end.
    pub(super) fn done(&mut self, flow: Arc<str>, at: Timestamp) -> RunShape {
        let Self { groups, tasks } = std::mem::take(self);
        RunShape {
            at,
            flow,
            groups: groups.into_values().collect(),
            tasks: tasks.into_iter().collect(),
        }
    }
}

fn line(site: &CallSite) -> Line {
    (site.script.clone(), site.line)
}

impl History {
    /// Most runs of which the shape is kept.
    const SHAPES_MAX: usize = 1_000;

    /// Adds the shape of a run. Where that makes too many, the oldest go.
    pub fn add_shape(&mut self, shape: RunShape) {
        self.shapes.push(shape);
        if self.shapes.len() >= 2 * Self::SHAPES_MAX {
            self.shapes.sort_by_key(|shape| std::cmp::Reverse(shape.at));
            self.shapes.truncate(Self::SHAPES_MAX);
        }
    }

    /// How wide groups at this line were, in all runs of which the shape is known.
    pub fn widths(&self, line: &Line) -> Vec<u32> {
        self.shapes
            .iter()
            .flat_map(|run| &run.groups)
            .filter(|(at, _)| at == line)
            .map(|(_, width)| *width)
            .collect()
    }

    /// How many tasks runs asked for at this line, each run in all.
    pub fn tasks_at(&self, line: &Line) -> Vec<u32> {
        let at_line = |run: &RunShape| run.tasks.iter().find(|(at, _)| at == line).map(|at| at.1);
        self.shapes.iter().filter_map(at_line).collect()
    }

    /// The shapes of the runs of one flow, oldest first, without anything else.
    pub fn shapes_of(&self, flow: &str) -> Self {
        let mut shapes: Vec<RunShape> = self
            .shapes
            .iter()
            .filter(|run| *run.flow == *flow)
            .cloned()
            .collect();
        shapes.sort_by_key(|shape| shape.at);
        Self {
            shapes,
            ..Self::default()
        }
    }

    /// Whether the shape of no run is known.
    pub fn is_shapeless(&self) -> bool {
        self.shapes.is_empty()
    }
}
