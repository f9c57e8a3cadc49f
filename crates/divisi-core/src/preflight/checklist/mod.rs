//! The pre-flight checklist: six questions that are asked of a flow before it runs.
//!
//! Every answer rests on the [`Graph`] and, for dollars and minutes, on what
//! somebody else expects of it ([`Money`]). A finding is told once for each line
//! of the flow, however many tasks that line asks for. What may be on purpose
//! is evidence and no finding: a list that is always yellow is not read.

mod cost;
mod dependencies;
mod errors;
mod models;
mod pattern;
mod waits;

use super::{Graph, Node, Site};
use crate::{Millis, PicoUsd, Tier};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Asks the six questions of a flow.
///
/// Without `money` there are no dollars and no minutes in the answers, and the
/// question for the cost is not answered well.
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

/// Six questions with their answers, in the order in which they are asked.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Checklist {
    /// One for each [`Question`].
    pub items: [Item; 6],
}

impl Checklist {
    /// The list of a flow that is no graph: these findings stand under its
    /// dependencies, and nothing else can be answered.
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
pub struct Item {
    /// What is asked.
    pub question: Question,
    /// How bad the worst finding is.
    pub verdict: Verdict,
    /// Short phrases that say what the answer rests on, best first.
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

    /// The same answer where only the beginning of the flow is known: what is
    /// wrong there is wrong, and what is right there says nothing of the rest.
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

/// What is asked of a flow before it runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Question {
    /// Which of the four patterns is it made of?
    Pattern,
    /// Is all that tasks need there when they need it, and used?
    Dependencies,
    /// Does anything wait for nothing?
    Parallel,
    /// Has each agent the cheapest model that does its work well?
    Models,
    /// Is it known what the run will cost, and is it bounded?
    Cost,
    /// What happens when a task fails?
    Errors,
}

impl Question {
    /// All of them, in the order in which they are asked.
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

/// How good an answer is; later ones are worse.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// Nothing is to be changed.
    Ok,
    /// It could not be looked at.
    Unknown,
    /// It works, and something would work better.
    Warning,
    /// It does not do what it is meant to do.
    Wrong,
}

/// Something that should be changed.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Finding {
    /// How bad it is.
    pub verdict: Verdict,
    /// The line of the flow.
    pub site: Option<Site>,
    /// What is wrong, as a phrase.
    pub what: String,
    /// What to do about it, as an order.
    pub change: String,
    /// The money it is about, where that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub money: Option<PicoUsd>,
    /// The time it is about, where that is known.
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

/// What is expected of a graph before it runs. Tasks are named by their places
/// in it.
pub trait Money {
    /// What a task is expected to cost as it is assigned.
    fn cost(&self, place: usize) -> Option<PicoUsd>;
    /// What it is expected to cost on the model that stands for `tier`.
    fn cost_on(&self, place: usize, tier: Tier) -> Option<PicoUsd>;
    /// How long it is expected to take.
    fn time(&self, place: usize) -> Option<Millis>;
    /// What all of it is expected to cost.
    fn total(&self) -> Option<Total>;
}

/// What a whole run is expected to cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Total {
    /// One run of ten costs less.
    pub p10: PicoUsd,
    /// One of two costs less.
    pub p50: PicoUsd,
    /// Nine of ten cost less.
    pub p90: PicoUsd,
    /// No run costs more, cap aside.
    pub ceiling: PicoUsd,
    /// A cap that holds nine of ten, and as many tasks at once as there are without.
    pub budget: PicoUsd,
}

/// What the run would be started with.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// Most it may cost.
    pub cap: Option<PicoUsd>,
    /// Most that the tasks of a phase may cost, of those that the flow itself gives no cap.
    pub phase_caps: BTreeMap<Arc<str>, PicoUsd>,
    /// What is known of each kind of work.
    pub kinds: BTreeMap<Arc<str>, KindRule>,
    /// Whether agents that name no tools of their own may change files.
    pub agents_write: bool,
}

impl Settings {
    /// The caps of phases that hold in a run of this flow: tasks are in them.
    pub fn phase_caps<'a>(&'a self, graph: &'a Graph) -> BTreeMap<&'a str, PicoUsd> {
        let phases = phases(graph);
        let all = self.phase_caps.iter().chain(&graph.phase_caps);
        all.map(|(phase, cap)| (&**phase, *cap))
            .filter(|(phase, _)| phases.contains(phase))
            .collect()
    }
}

/// The phases that tasks are in.
fn phases(graph: &Graph) -> BTreeSet<&str> {
    graph
        .tasks
        .iter()
        .filter_map(|node| node.task.phase.as_deref())
        .collect()
}

/// What the table of kinds says of one of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KindRule {
    /// The tier that suffices for it.
    pub tier: Tier,
    /// Whether it is done by changing files.
    pub writes: bool,
}

/// What every question is asked of.
struct Flow<'a> {
    graph: &'a Graph,
    money: Option<&'a dyn Money>,
    settings: &'a Settings,
}

/// Tasks that a finding names; the others are counted.
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

    /// Whether a task may change what others see without saying so in its result.
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

    /// Tasks by the line that asks for them, in the order of the first of each.
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

/// What people call a task, with dots in the place of results.
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

/// `waits`, `wait`: the form of a verb after so many subjects.
fn verb(n: usize, one: &'static str, many: &'static str) -> &'static str {
    if n == 1 { one } else { many }
}

/// A span as people say it: `40 s`, `3 min`, `5 h`.
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
