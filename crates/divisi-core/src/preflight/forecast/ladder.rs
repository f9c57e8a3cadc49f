//! Whether a ladder pays, by the results of its lower rung.

use super::draws::{Tiers, around};
use super::task::{Forecaster, Shapes};
use crate::check::LadderWorth;
use crate::preflight::{Graph, Node, Rung};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

/// Advice on one step of a ladder: from one model to the next, for one kind of task.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct LadderAdvice {
    /// The kind of task.
    pub kind: Arc<str>,
    /// The lower rung: its tier, or its model where it has none.
    pub weak: Arc<str>,
    /// The rung above it.
    pub strong: Arc<str>,
    /// Results of the lower rung that were accepted.
    pub accepted: u64,
    /// Results of the lower rung that were checked.
    pub tried: u64,
    /// The share that must be accepted for the step to pay; above 1 it never does.
    pub break_even: f64,
}

impl LadderAdvice {
    /// Advice on all ladders of a graph, once for each kind and pair of models.
    pub(super) fn all(forecaster: &Forecaster, graph: &Graph, tiers: Tiers<'_>) -> Vec<Self> {
        let mut told = BTreeSet::new();
        let mut advice = Vec::new();
        for node in &graph.tasks {
            let Ok(task) = &node.assigned else { continue };
            for pair in task.rungs.windows(2).filter(|_| task.checked) {
                let [weak, strong] = pair else { continue };
                if told.insert((task.kind.clone(), weak.model.clone(), strong.model.clone())) {
                    advice.extend(step(forecaster, &graph.name, node, [weak, strong], tiers));
                }
            }
        }
        advice
    }

    /// What the step is worth; `None` without checked results.
    pub fn worth(&self) -> Option<LadderWorth> {
        let share = self.accepted as f64 / self.tried as f64;
        (self.tried > 0).then_some(LadderWorth {
            accepted: share,
            break_even: self.break_even,
        })
    }
}

/// Advice on the step from the first rung to the second.
fn step(
    forecaster: &Forecaster,
    flow: &str,
    node: &Node,
    rungs: [&Rung; 2],
    tiers: Tiers<'_>,
) -> Option<LadderAdvice> {
    let task = node.assigned.as_ref().ok()?;
    let mut shapes = Shapes::default();
    let around = around(forecaster, node, task, &task.rungs, tiers, false);
    let [weak, strong] =
        rungs.map(|rung| forecaster.outlook(&mut shapes, flow, node, rung, &around));
    let (weak, strong) = (weak?, strong?);
    let weak_and_check = weak.mean() + weak.accepts.cost.0 as f64;
    let name = |rung: &Rung| {
        rung.tier
            .map_or_else(|| rung.model.clone(), |tier| tier.as_str().into())
    };
    (strong.mean() > 0.0).then(|| LadderAdvice {
        kind: task.kind.clone(),
        weak: name(rungs[0]),
        strong: name(rungs[1]),
        accepted: weak.accepts.accepted,
        tried: weak.accepts.tried,
        break_even: weak_and_check / strong.mean(),
    })
}

/// One line: what was observed, and whether the step pays.
impl fmt::Display for LadderAdvice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            kind,
            weak,
            accepted,
            tried,
            break_even,
            ..
        } = self;
        let needed = (break_even * 100.0).ceil();
        let Some(worth) = self.worth() else {
            return write!(
                f,
                "{kind}: nothing known on {weak} yet: pays if more than {needed} % are accepted"
            );
        };
        write!(f, "{kind}: accepted {accepted} of {tried} on {weak}: ")?;
        if worth.pays() {
            write!(f, "saves {:.0} %", worth.saving() * 100.0)
        } else if needed >= 100.0 {
            write!(
                f,
                "does not pay: with its check it costs as much as {}",
                self.strong
            )
        } else {
            write!(f, "does not pay: needs more than {needed} %")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(accepted: u64, tried: u64, break_even: f64) -> String {
        let (kind, weak, strong) = ("bug".into(), "haiku".into(), "opus".into());
        LadderAdvice {
            kind,
            weak,
            strong,
            accepted,
            tried,
            break_even,
        }
        .to_string()
    }

    #[test]
    fn says_what_a_ladder_is_worth() {
        insta::assert_snapshot!(line(62, 80, 0.395), @"bug: accepted 62 of 80 on haiku: saves 38 %");
        insta::assert_snapshot!(line(20, 80, 0.395), @"bug: accepted 20 of 80 on haiku: does not pay: needs more than 40 %");
        insta::assert_snapshot!(line(79, 80, 1.2), @"bug: accepted 79 of 80 on haiku: does not pay: with its check it costs as much as opus");
        insta::assert_snapshot!(line(0, 0, 0.114), @"bug: nothing known on haiku yet: pays if more than 12 % are accepted");
    }
}
