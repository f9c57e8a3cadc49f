//! The length of results that later prompts contain.

use super::conversation::Conversation;
use super::fit::Fit;
use super::task::Forecaster;
use crate::preflight::{Graph, Node};

/// Most tasks for which the mean of a kind counts: many tasks of one flow say no more about other
/// places than a few.
const STRANGERS_MAX: f64 = 6.0;

impl Forecaster {
    /// Adds the lengths of results to the prompts of `graph`, which contain them as marks such as
    /// `{{t3}}`. A length is that of past tasks at the same place, else that of tasks of the same
    /// kind.
    pub fn count_results(&self, graph: &mut Graph) {
        let flow = graph.name.clone();
        let result = |node: &Node| self.result_tokens(&flow, node).round() as u64;
        let results: Vec<u64> = graph.tasks.iter().map(result).collect();
        for node in &mut graph.tasks {
            let read: u64 = node.reads.iter().map(|read| results[*read]).sum();
            if let Ok(assigned) = &mut node.assigned {
                assigned.prompt_tokens += read;
            }
        }
    }

    fn result_tokens(&self, flow: &str, node: &Node) -> f64 {
        let Ok(task) = &node.assigned else { return 0.0 };
        // The result is the reply of the last turn.
        let prior = self.priors.kind(&task.kind);
        let assumed = Conversation::reply(prior, task.has_tools).max(1.0).ln();
        let Fit { answers, .. } = &self.fit;
        let by_kind = answers.of_kind(&task.kind);
        let of_kind = by_kind.drawn_to(assumed, STRANGERS_MAX);
        let own = answers.at(flow, node.task.phase.as_deref(), &task.kind);
        own.drawn_to(of_kind, f64::INFINITY).exp()
    }
}
