//! The number of tasks that a run requested at each line of its flow.

use super::History;
use crate::Timestamp;
use crate::event::{CallSite, Edges};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A line of a flow: the script, if it is not the flow's own, and the line number.
pub type Line = (Option<Arc<str>>, u32);

/// The number of tasks that one run requested at each line.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RunShape {
    /// When it started.
    pub at: Timestamp,
    /// Name of the flow.
    pub flow: Arc<str>,
    /// Width of each group by line, in order: the number of its functions or items.
    groups: Vec<(Line, u32)>,
    /// Number of tasks by line.
    tasks: Vec<(Line, u32)>,
}

/// Collects the shape of a run while its journal is read.
#[derive(Debug, Default)]
pub(super) struct Shaping {
    groups: BTreeMap<u32, (Line, u32)>,
    tasks: BTreeMap<Line, u32>,
}

impl Shaping {
    /// Adds a new task.
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

    /// Ends the collection when the flow has ended.
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
    /// Most runs whose shape is kept.
    const SHAPES_MAX: usize = 1_000;

    /// Adds the shape of a run. Above the limit the oldest are removed.
    pub fn add_shape(&mut self, shape: RunShape) {
        self.shapes.push(shape);
        if self.shapes.len() >= 2 * Self::SHAPES_MAX {
            self.shapes.sort_by_key(|shape| std::cmp::Reverse(shape.at));
            self.shapes.truncate(Self::SHAPES_MAX);
        }
    }

    /// Widths of the groups at this line, in all runs with a known shape.
    pub fn widths(&self, line: &Line) -> Vec<u32> {
        self.shapes
            .iter()
            .flat_map(|run| &run.groups)
            .filter(|(at, _)| at == line)
            .map(|(_, width)| *width)
            .collect()
    }

    /// Numbers of tasks that runs requested at this line: one number per run.
    pub fn tasks_at(&self, line: &Line) -> Vec<u32> {
        let at_line = |run: &RunShape| run.tasks.iter().find(|(at, _)| at == line).map(|at| at.1);
        self.shapes.iter().filter_map(at_line).collect()
    }

    /// A history with the shapes of one flow's runs, oldest first, and nothing else.
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

    /// Whether it has no shapes.
    pub fn is_shapeless(&self) -> bool {
        self.shapes.is_empty()
    }
}
