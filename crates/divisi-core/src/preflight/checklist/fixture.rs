//! Graphs built by hand.

use super::{Checklist, KindRule, Money, Settings, Total, Verdict, checklist};
use crate::event::GroupKind;
use crate::preflight::{Assigned, AttemptCost, Bounds, Graph, Group, Node, Rung, Site, Use};
use crate::{Millis, PicoUsd, Task, Tier};
use std::fmt::Write;

/// A rung with the model of a tier.
pub(super) fn rung(tier: Tier) -> Rung {
    Rung {
        provider: "main".into(),
        model: format!("model-{tier}").into(),
        tier: Some(tier),
        price: None,
    }
}

/// A graph that grows by one task at a time.
#[derive(Default)]
pub(super) struct Builder {
    pub(super) graph: Graph,
}

impl Builder {
    pub(super) fn new() -> Self {
        Self::default()
    }

    /// Adds a task of this kind and tier on a new line, which reads all results it waits for.
    pub(super) fn task(
        &mut self,
        label: &str,
        kind: &str,
        tier: Tier,
        waits: &[usize],
    ) -> &mut Node {
        let place = self.graph.tasks.len();
        let reads = waits.to_vec();
        for &read in &reads {
            self.graph.tasks[read].used = Use::Read;
        }
        self.graph.tasks.push(Node {
            task: Task::new(format!("prompt of {label}")).label(label),
            site: Some(Site {
                script: "x.js".into(),
                line: place as u32 + 1,
            }),
            waits: waits.to_vec(),
            reads,
            group: None,
            used: Use::Read,
            decides_from: None,
            assigned: Ok(Assigned {
                executor: "api".into(),
                is_program: false,
                writes: false,
                attempt_cost: AttemptCost::Free,
                kind: kind.into(),
                kind_declared: false,
                suffices: None,
                rungs: vec![rung(tier)],
                why: "named".into(),
                checked: false,
                prompt_tokens: 100,
                shared_tokens: 0,
                has_tools: true,
                rights: Default::default(),
                reply_tokens_max: 1_000,
                turns_max: 10,
                retries_max: 3,
                hedge: false,
                timeout: Millis::from_secs(600),
            }),
        });
        &mut self.graph.tasks[place]
    }

    /// A group, and its place.
    pub(super) fn group(&mut self, kind: GroupKind, width: usize, parent: Option<usize>) -> usize {
        self.graph.groups.push(Group {
            kind,
            width,
            site: None,
            parent,
            guessed: false,
            by_result: false,
        });
        self.graph.groups.len() - 1
    }

    pub(super) fn checked(&self) -> Checklist {
        self.checked_with(Some(PicoUsd::DOLLAR))
    }

    pub(super) fn checked_with(&self, cap: Option<PicoUsd>) -> Checklist {
        self.checked_within(cap, Bounds::default())
    }

    pub(super) fn checked_within(&self, cap: Option<PicoUsd>, bounds: Bounds) -> Checklist {
        let kinds = [
            ("search", Tier::Haiku, false),
            ("read", Tier::Haiku, false),
            ("format", Tier::Haiku, false),
            ("simple-edit", Tier::Haiku, true),
            ("feature", Tier::Sonnet, true),
            ("review", Tier::Sonnet, false),
            ("architecture", Tier::Opus, false),
            ("algorithm", Tier::Opus, false),
        ];
        let rule = |(kind, tier, writes): (&str, _, _)| (kind.into(), KindRule { tier, writes });
        let kinds = kinds.into_iter().map(rule).collect();
        let settings = Settings {
            cap,
            kinds,
            bounds,
            ..Settings::default()
        };
        let money = Flat { graph: &self.graph };
        checklist(&self.graph, Some(&money), &settings)
    }
}

/// Every task takes a minute; haiku costs a cent, and each tier three times the one below.
struct Flat<'a> {
    graph: &'a Graph,
}

fn cents(tier: Tier) -> PicoUsd {
    PicoUsd(3u64.pow(tier as u32) * PicoUsd::DOLLAR.0 / 100)
}

impl Money for Flat<'_> {
    fn cost(&self, place: usize) -> Option<PicoUsd> {
        let assigned = self.graph.tasks[place].assigned.as_ref().ok()?;
        assigned.rungs.first()?.tier.map(cents)
    }

    fn cost_on(&self, _: usize, tier: Tier) -> Option<PicoUsd> {
        Some(cents(tier))
    }

    fn time(&self, _: usize) -> Option<Millis> {
        Some(Millis::from_secs(60))
    }

    fn total(&self) -> Option<Total> {
        let p50: PicoUsd = (0..self.graph.tasks.len())
            .filter_map(|place| self.cost(place))
            .sum();
        let times = |n| PicoUsd(p50.0 * n / 2);
        Some(Total {
            p10: times(1),
            p50,
            p90: times(4),
            ceiling: times(20),
            budget: times(4).enough(),
        })
    }
}

/// The list as text, for tests.
pub(super) fn told(list: &Checklist) -> String {
    let mut text = String::new();
    for item in &list.items {
        let sign = sign(item.verdict);
        let _ = writeln!(
            text,
            "{sign} {}  {}",
            item.question.text(),
            item.evidence.join("; ")
        );
        for finding in &item.findings {
            let site = finding
                .site
                .as_ref()
                .map(|site| format!("{site} "))
                .unwrap_or_default();
            let about: String = finding
                .money
                .map(|money| format!(" [{money}]"))
                .unwrap_or_default();
            let time = finding
                .time
                .map(|time| format!(" [{} s]", time.0 / 1_000))
                .unwrap_or_default();
            let _ = writeln!(
                text,
                "  {} {site}{}{about}{time}",
                self::sign(finding.verdict),
                finding.what
            );
            let _ = writeln!(text, "    {}", finding.change);
        }
    }
    text
}

fn sign(verdict: Verdict) -> char {
    match verdict {
        Verdict::Ok => '✓',
        Verdict::Unknown => '–',
        Verdict::Warning => '!',
        Verdict::Wrong => '✗',
    }
}
