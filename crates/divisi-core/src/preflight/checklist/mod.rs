//! The pre-flight checklist: six questions about a flow before it runs.
//!
//! The answers are based on the [`Graph`] and, for dollars and minutes, on a forecast of the caller
//! ([`Money`]). There is one finding for each line of the flow, however many tasks the line has.
//! Choices that may be intended are evidence and not findings: a list that always warns is not
//! read.

mod cost;
mod dependencies;
mod errors;
mod models;
mod pattern;
mod rights;
mod waits;

use super::{Bounds, Graph, Node, Site};
use crate::{Millis, PicoUsd, Tier};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Answers the six questions for a flow.
///
/// Without `money` the answers have no dollars and no minutes, and the question about the cost is
/// not answered well.
pub fn checklist(graph: &Graph, money: Option<&dyn Money>, settings: &Settings) -> Checklist {
    let flow = Flow {
        graph,
        money,
        settings,
    };
    let items = [
        pattern::item(&flow),
        dependencies::item(&flow),
        waits::item(&flow),
        models::item(&flow),
        cost::item(&flow),
        errors::item(&flow),
    ];
    match graph.ends_early {
        true => Checklist {
            items: items.map(Item::of_a_part),
        },
        false => Checklist { items },
    }
}

/// The six questions with their answers, in order.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Checklist {
    /// One for each [`Question`].
    pub items: [Item; 6],
}

impl Checklist {
    /// The list for a flow without a graph: these findings belong to its dependencies, and no other
    /// question can be answered.
    pub fn refused(findings: Vec<Finding>) -> Self {
        let unanswered = |question| Item {
            question,
            verdict: Verdict::Unknown,
            evidence: vec![],
            findings: vec![],
        };
        let mut items = Question::ALL.map(unanswered);
        items[1] = Item::new(Question::Dependencies, vec![], findings);
        Self { items }
    }

    /// What models would save that suffice and are far cheaper than the chosen ones; zero if there
    /// are none, or without money.
    pub fn saving(&self) -> PicoUsd {
        let models = self
            .items
            .iter()
            .filter(|item| item.question == Question::Models);
        models
            .flat_map(|item| &item.findings)
            .filter_map(|finding| finding.money)
            .sum()
    }

    /// The worst answer.
    pub fn verdict(&self) -> Verdict {
        self.items
            .iter()
            .map(|item| item.verdict)
            .max()
            .unwrap_or(Verdict::Ok)
    }
}

/// One question with its answer.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Item {
    /// The question.
    pub question: Question,
    /// How bad the worst finding is.
    pub verdict: Verdict,
    /// Short phrases for the evidence, best first.
    pub evidence: Vec<String>,
    /// What should be changed, worst first.
    pub findings: Vec<Finding>,
}

impl Item {
    fn new(question: Question, evidence: Vec<String>, mut findings: Vec<Finding>) -> Self {
        findings.sort_by_key(|finding| std::cmp::Reverse(finding.verdict));
        let verdict = findings.first().map_or(Verdict::Ok, |worst| worst.verdict);
        Self {
            question,
            verdict,
            evidence,
            findings,
        }
    }

    /// The same answer if only the beginning of the flow is known: its problems are certain, but
    /// its merits are no evidence about the rest.
    fn of_a_part(self) -> Self {
        match self.verdict {
            Verdict::Ok => Self {
                verdict: Verdict::Unknown,
                evidence: vec![],
                ..self
            },
            Verdict::Unknown | Verdict::Warning | Verdict::Wrong => self,
        }
    }
}

/// A question about a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Question {
    /// Which of the four patterns is it made of?
    Pattern,
    /// Is everything that tasks need available in time, and used?
    Dependencies,
    /// Does a task wait for another one without need?
    Parallel,
    /// Does each agent have the cheapest model that does its work well?
    Models,
    /// Is it known what the run will cost, and is it bounded?
    Cost,
    /// What happens when a task fails?
    Errors,
}

impl Question {
    /// All questions, in order.
    pub const ALL: [Self; 6] = [
        Self::Pattern,
        Self::Dependencies,
        Self::Parallel,
        Self::Models,
        Self::Cost,
        Self::Errors,
    ];

    /// The question in words.
    pub fn text(self) -> &'static str {
        match self {
            Self::Pattern => "pattern identified?",
            Self::Dependencies => "dependencies mapped?",
            Self::Parallel => "parallelisation opportunities?",
            Self::Models => "right model per agent?",
            Self::Cost => "cost estimated?",
            Self::Errors => "error handling planned?",
        }
    }
}

/// How good an answer is, from best to worst.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// Nothing needs to be changed.
    Ok,
    /// It could not be examined.
    Unknown,
    /// It works, but could work better.
    Warning,
    /// It does not do what is intended.
    Wrong,
}

/// Something that should be changed.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Finding {
    /// How bad it is.
    pub verdict: Verdict,
    /// The line of the flow.
    pub site: Option<Site>,
    /// The problem, as a phrase.
    pub what: String,
    /// The advice, as an instruction.
    pub change: String,
    /// The money at stake, if known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub money: Option<PicoUsd>,
    /// The time at stake, if known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time: Option<Millis>,
}

impl Finding {
    /// Something that would work better.
    pub fn warning(site: Option<Site>, what: impl Into<String>, change: impl Into<String>) -> Self {
        Self {
            verdict: Verdict::Warning,
            site,
            what: what.into(),
            change: change.into(),
            money: None,
            time: None,
        }
    }

    /// Something that does not do what it is meant to do.
    pub fn wrong(site: Option<Site>, what: impl Into<String>, change: impl Into<String>) -> Self {
        Self {
            verdict: Verdict::Wrong,
            ..Self::warning(site, what, change)
        }
    }

    fn money(self, money: Option<PicoUsd>) -> Self {
        Self { money, ..self }
    }

    fn time(self, time: Option<Millis>) -> Self {
        Self { time, ..self }
    }
}

/// A forecast for the tasks of a graph, by their index.
pub trait Money {
    /// Expected cost of a task as assigned.
    fn cost(&self, place: usize) -> Option<PicoUsd>;
    /// Expected cost on the model of `tier`.
    fn cost_on(&self, place: usize, tier: Tier) -> Option<PicoUsd>;
    /// Expected duration.
    fn time(&self, place: usize) -> Option<Millis>;
    /// Expected cost of the whole graph.
    fn total(&self) -> Option<Total>;
}

/// What a whole run is expected to cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Total {
    /// One run of ten costs less.
    pub p10: PicoUsd,
    /// One of two costs less.
    pub p50: PicoUsd,
    /// Nine of ten cost less.
    pub p90: PicoUsd,
    /// No run costs more, apart from the cap.
    pub ceiling: PicoUsd,
    /// A cap that nine of ten runs stay below, with room for as many tasks at once as without a
    /// cap.
    pub budget: PicoUsd,
}

/// Settings of the intended run.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// Most it may cost.
    pub cap: Option<PicoUsd>,
    /// Caps of phases that the flow itself does not cap.
    pub phase_caps: BTreeMap<Arc<str>, PicoUsd>,
    /// The table of kinds.
    pub kinds: BTreeMap<Arc<str>, KindRule>,
    /// Whether agents without tools of their own may change files.
    pub agents_write: bool,
    /// Whether the workspace is in a git repository, if known.
    pub has_repository: Option<bool>,
    /// Its limits.
    pub bounds: Bounds,
}

impl Settings {
    /// The caps of phases that have tasks in this flow.
    pub fn phase_caps<'a>(&'a self, graph: &'a Graph) -> BTreeMap<&'a str, PicoUsd> {
        let phases = phases(graph);
        let all = self.phase_caps.iter().chain(&graph.phase_caps);
        all.map(|(phase, cap)| (&**phase, *cap))
            .filter(|(phase, _)| phases.contains(phase))
            .collect()
    }
}

/// The phases that have tasks.
fn phases(graph: &Graph) -> BTreeSet<&str> {
    graph
        .tasks
        .iter()
        .filter_map(|node| node.task.phase.as_deref())
        .collect()
}

/// A kind in the table of kinds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KindRule {
    /// The tier that suffices for it.
    pub tier: Tier,
    /// Whether such work changes files.
    pub writes: bool,
}

/// The input of every question.
struct Flow<'a> {
    graph: &'a Graph,
    money: Option<&'a dyn Money>,
    settings: &'a Settings,
}

/// Most tasks that a finding names; the others are counted.
const NAMED_MAX: usize = 3;

impl<'a> Flow<'a> {
    fn tasks(&self) -> impl Iterator<Item = (usize, &'a Node)> {
        self.graph.tasks.iter().enumerate()
    }

    fn node(&self, place: usize) -> &'a Node {
        &self.graph.tasks[place]
    }

    fn time(&self, place: usize) -> Option<Millis> {
        self.money?.time(place)
    }

    /// Whether a task may have effects besides its result.
    fn may_write(&self, place: usize) -> bool {
        let node = self.node(place);
        let Ok(assigned) = &node.assigned else {
            return false;
        };
        let kind = self
            .settings
            .kinds
            .get(&assigned.kind)
            .is_some_and(|kind| kind.writes);
        kind || assigned.writes || (assigned.has_tools && self.has_writing_tools(node))
    }

    fn has_writing_tools(&self, node: &Node) -> bool {
        let Some(tools) = &node.task.tools else {
            return self.settings.agents_write;
        };
        tools.iter().any(|tool| {
            let tool = tool.to_ascii_lowercase();
            ["write", "edit", "run", "bash", "shell"]
                .iter()
                .any(|word| tool.contains(word))
        })
    }

    /// Tasks grouped by the line that requests them, in order of first use.
    fn by_site(&self, places: impl IntoIterator<Item = usize>) -> Vec<(Option<Site>, Vec<usize>)> {
        let mut lines: Vec<(Option<Site>, Vec<usize>)> = vec![];
        let mut known: BTreeMap<&Site, usize> = BTreeMap::new();
        for place in places {
            let site = self.node(place).site.as_ref();
            match site.and_then(|site| known.get(site)) {
                Some(&line) => lines[line].1.push(place),
                None => {
                    known.extend(site.map(|site| (site, lines.len())));
                    lines.push((site.cloned(), vec![place]));
                }
            }
        }
        lines
    }

    /// The names of tasks, as the subject of a sentence.
    fn names(&self, places: &[usize]) -> String {
        let mut names: Vec<String> = vec![];
        for &place in places {
            let name = format!("`{}`", spoken_label(self.node(place)));
            if !names.contains(&name) {
                names.push(name);
            }
            if names.len() > NAMED_MAX {
                break;
            }
        }
        match names.len() {
            0 | 1 if places.len() > 1 => format!("{} ({} tasks)", names.concat(), places.len()),
            0 | 1 => names.concat(),
            n if n <= NAMED_MAX => {
                let (last, first) = names
                    .split_last()
                    .map_or(("", &[][..]), |(last, first)| (last.as_str(), first));
                format!("{} and {last}", first.join(", "))
            }
            _ => format!(
                "{} and {} more",
                names[..NAMED_MAX].join(", "),
                places.len() - NAMED_MAX
            ),
        }
    }
}

/// The label of a task, with dots in the place of results.
fn spoken_label(node: &Node) -> String {
    let is_result = |id: &str| {
        id.strip_prefix('t')
            .is_some_and(|place| place.parse::<usize>().is_ok())
    };
    crate::plan::render(&node.label(), |id| is_result(id).then_some("…"))
}

/// `1 task`, `3 tasks`.
fn counted(n: usize, one: &str, many: &str) -> String {
    match n {
        1 => format!("1 {one}"),
        n => format!("{n} {many}"),
    }
}

/// The form of a verb for a number of subjects: `waits`, `wait`.
fn verb(n: usize, one: &'static str, many: &'static str) -> &'static str {
    if n == 1 { one } else { many }
}

/// A time span in words: `40 s`, `3 min`, `5 h`.
fn spoken(span: Millis) -> String {
    match span.0 / 1_000 {
        0 => format!("{} ms", span.0),
        secs @ 1..=119 => format!("{secs} s"),
        secs @ 120..=7_199 => format!("{} min", (secs + 30) / 60),
        secs => format!("{} h", (secs + 1_800) / 3_600),
    }
}

#[cfg(test)]
mod fixture;
#[cfg(test)]
mod tests;
