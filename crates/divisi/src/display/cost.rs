//! What a run cost, and the cost without savings.

mod expected;
mod ladders;

use super::look::{Line, Look, Tone};
use super::number;
use super::table::{Column, Table};
use divisi_core::budget::Spent;
use divisi_core::ledger::{
    ClassCost, Entry, Instead, LadderRecord, Ledger, Review, Substitution, Total, Try,
};
use divisi_core::price::TokenClass;
use divisi_core::{PicoUsd, RunId, TaskId, Usage};
use expected::Expected;
use ladders::Ladder;
use schemars::JsonSchema;
use serde::Serialize;
use std::collections::BTreeMap;

/// A run's bill.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Bill {
    /// The run.
    run: RunId,
    /// The whole run.
    total: Total,
    /// The total by certainty.
    spent: Spent,
    /// Estimate and actual cost, if the run was estimated as it started.
    #[serde(skip_serializing_if = "Option::is_none")]
    plan_against_actual: Option<Expected>,
    /// By phase, dearest first.
    phases: Vec<Part>,
    /// The dearest tasks.
    tasks: Vec<Part>,
    /// Further tasks with costs, beyond those.
    tasks_left_out: usize,
    /// By model, dearest first.
    models: Vec<Part>,
    /// By first and further tries, dearest first.
    attempts: Vec<Part>,
    /// Ladders of models, rung by rung.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    ladders: Vec<Ladder>,
    /// Replies by a model other than the requested one.
    substitutions: Vec<Substituted>,
    /// By class of tokens, at list prices of today.
    classes: BTreeMap<TokenClass, ClassCost>,
    /// Tokens of models without a price.
    unpriced: Usage,
    /// Tokens of replies that cost nothing.
    free: Usage,
    /// Recorded cost of priced replies, less their list price.
    beside_the_list: Difference,
    /// The savings.
    saved: Saved,
}

/// The sum of some entries.
#[derive(Serialize, JsonSchema)]
struct Part {
    /// The name of the phase, task or model.
    name: String,
    #[serde(flatten)]
    total: Total,
}

/// Replies by a model other than the requested one.
#[derive(Serialize, JsonSchema)]
struct Substituted {
    #[serde(flatten)]
    models: Substitution,
    /// Their number.
    replies: u64,
}

/// The savings.
#[derive(Serialize, JsonSchema)]
struct Saved {
    /// By the cache: the lower price of cached reads, less the surcharge of writes.
    caching: Difference,
    /// By taking results from earlier executions.
    reuse: PicoUsd,
    /// The number of those results.
    results_reused: u64,
    /// Compared with the same tokens on the strongest model.
    #[serde(skip_serializing_if = "Option::is_none")]
    models: Option<Against>,
    /// By starting with weaker models.
    #[serde(skip_serializing_if = "Option::is_none")]
    ladders: Option<Climbed>,
}

/// The savings of ladders.
#[derive(Serialize, JsonSchema)]
struct Climbed {
    #[serde(flatten)]
    instead: Instead,
    /// What the last model alone would have cost, less what the ladders cost.
    saved: Difference,
}

/// The same tokens on the strongest model.
#[derive(Serialize, JsonSchema)]
struct Against {
    /// That model.
    strongest: String,
    /// What those tokens would have cost there.
    cost: PicoUsd,
    /// That, less what they cost at list prices.
    saved: Difference,
}

/// An amount that may be negative: `more` less `less`, one of which is zero.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
struct Difference {
    /// The amount, if it is positive.
    more: PicoUsd,
    /// The amount without its sign, if it is negative.
    less: PicoUsd,
}

impl Difference {
    fn of(amount: PicoUsd, than: PicoUsd) -> Self {
        Self {
            more: amount.saturating_sub(than),
            less: than.saturating_sub(amount),
        }
    }

    fn shown(self) -> String {
        match self.less {
            PicoUsd::ZERO => self.more.to_string(),
            less => format!("-{less}"),
        }
    }
}

impl Bill {
    /// The bill of `ledger`, with at most `top` of its tasks.
    pub(crate) fn new(
        run: &RunId,
        ledger: &Ledger,
        review: Review,
        ladders: Vec<LadderRecord>,
        strongest: Option<String>,
        top: usize,
    ) -> Self {
        let phase = |entry: &Entry| {
            ledger
                .phase(entry)
                .map_or("(no phase)".to_owned(), |phase| phase.to_string())
        };
        let model = |entry: &Entry| {
            entry
                .model()
                .map_or("(no model)".to_owned(), |model| model.to_string())
        };
        let mut tasks = named(ledger.by(|entry| entry.attempt.task), |task| {
            label(ledger, *task)
        });
        let tasks_left_out = tasks.len().saturating_sub(top);
        tasks.truncate(top);
        let (results_reused, reuse) = ledger.reused();
        let models = strongest
            .filter(|_| review.comparable > PicoUsd::ZERO)
            .map(|strongest| Against {
                strongest,
                cost: review.strongest,
                saved: Difference::of(review.strongest, review.comparable),
            });
        let climbed = ladders::instead(&ladders).map(|instead| Climbed {
            saved: Difference::of(instead.last_model, instead.ladder),
            instead,
        });
        Self {
            run: run.clone(),
            total: ledger.total(),
            spent: ledger.spent(),
            plan_against_actual: Expected::of(ledger),
            ladders: ladders.into_iter().map(Ladder::new).collect(),
            phases: named(ledger.by(phase), String::clone),
            tasks,
            tasks_left_out,
            models: named(ledger.by(model), String::clone),
            attempts: named(ledger.by(Entry::attempt), |attempt| {
                tried(*attempt).to_owned()
            }),
            substitutions: substituted(ledger),
            saved: Saved {
                caching: Difference::of(review.uncached, review.list),
                reuse,
                results_reused,
                models,
                ladders: climbed,
            },
            beside_the_list: Difference::of(review.recorded, review.list),
            classes: review.classes,
            unpriced: review.unpriced,
            free: review.free,
        }
    }
}

/// Totals by name, dearest first.
fn named<K>(totals: BTreeMap<K, Total>, name: impl Fn(&K) -> String) -> Vec<Part> {
    let mut parts: Vec<Part> = totals
        .into_iter()
        .map(|(key, total)| Part {
            name: name(&key),
            total,
        })
        .collect();
    parts.sort_by_key(|part| {
        std::cmp::Reverse((
            part.total.cost,
            part.total.unconfirmed,
            part.total.usage.total(),
        ))
    });
    parts
}

fn label(ledger: &Ledger, task: TaskId) -> String {
    match ledger.facts(task) {
        Some(facts) => format!("{task} {}", facts.label),
        None => task.to_string(),
    }
}

fn tried(attempt: Try) -> &'static str {
    match attempt {
        Try::First => "first tries",
        Try::Again => "further tries",
        Try::Unanswered => "without a reply",
    }
}

fn substituted(ledger: &Ledger) -> Vec<Substituted> {
    let found = ledger.substitutions().into_iter();
    found
        .map(|(models, replies)| Substituted { models, replies })
        .collect()
}

/// The bill as text.
pub(crate) fn cost(bill: &Bill, look: &Look) -> Vec<Line> {
    let replies = number::counted(bill.total.replies, "reply", "replies");
    let tokens = format!("{} tokens", number::tokens(bill.total.usage.total()));
    let mut lines = vec![
        Line::of(Tone::Strong, format!("{} ", bill.run))
            .put(Tone::Strong, number::spent(bill.spent))
            .plain(format!("{}{replies}{}{tokens}", look.dot(), look.dot())),
    ];
    lines.extend(
        bill.substitutions
            .iter()
            .map(|Substituted { models, replies }| {
                let replies = number::counted(*replies, "reply", "replies");
                let told = format!("{} gave {replies} for {}", models.answered, models.asked);
                Line::of(Tone::Warn, "other model: ").plain(crate::text::line(&told))
            }),
    );
    lines.extend(bill.plan_against_actual.iter().flat_map(expected::lines));
    let parts = [
        ("phase", &bill.phases),
        ("model", &bill.models),
        ("attempt", &bill.attempts),
        ("task", &bill.tasks),
    ];
    for (title, parts) in parts.into_iter().filter(|(_, parts)| !parts.is_empty()) {
        lines.push(Line::new());
        lines.extend(table(title, parts, bill.total.cost, look));
    }
    if bill.tasks_left_out > 0 {
        let more = number::count(bill.tasks_left_out as u64);
        lines.push(Line::of(
            Tone::Dim,
            format!("  {} and {more} more; --top lists them", look.ellipsis()),
        ));
    }
    lines.extend(ladders::lines(&bill.ladders, look));
    lines.extend(classes(bill, look));
    lines.extend(saved(bill));
    lines
}

fn table(title: &'static str, parts: &[Part], whole: PicoUsd, look: &Look) -> Vec<Line> {
    // Without lost replies there is nothing unconfirmed.
    let is_unsure = parts
        .iter()
        .any(|part| part.total.unconfirmed > PicoUsd::ZERO);
    let mut columns = vec![
        Column::left(title).at_least(12),
        Column::right("replies").rank(2),
        Column::right("tokens").rank(1),
        Column::right("cost"),
        Column::right("share"),
    ];
    columns.extend(is_unsure.then(|| Column::right("unconfirmed")));
    let mut table = Table::new(columns, 2);
    table.titles();
    for Part { name, total } in parts {
        let amount = number::maybe_estimated(total.cost, total.estimated > PicoUsd::ZERO);
        let mut row = vec![
            (Tone::Plain, name.clone()),
            (Tone::Dim, number::count(total.replies)),
            (Tone::Dim, number::tokens(total.usage.total())),
            (Tone::Plain, amount),
            (Tone::Dim, share(total.cost, whole)),
        ];
        row.extend(is_unsure.then(|| match total.unconfirmed {
            PicoUsd::ZERO => (Tone::Dim, String::new()),
            most => (Tone::Warn, format!("at most {most}")),
        }));
        table.row(row);
    }
    table.render(look)
}

/// A part of the whole in percent; empty if the whole is zero.
fn share(part: PicoUsd, whole: PicoUsd) -> String {
    match u128::from(whole.0) {
        0 => String::new(),
        whole => format!("{} %", (u128::from(part.0) * 100 + whole / 2) / whole),
    }
}

fn classes(bill: &Bill, look: &Look) -> Vec<Line> {
    let columns = vec![
        Column::left("tokens at list prices"),
        Column::right("tokens"),
        Column::right("cost"),
    ];
    let mut table = Table::new(columns, 2);
    table.titles();
    let row = |name: &str, tokens: u64, cost: String| {
        vec![
            (Tone::Plain, name.to_owned()),
            (Tone::Dim, number::tokens(tokens)),
            (Tone::Plain, cost),
        ]
    };
    for (class, ClassCost { tokens, cost }) in
        bill.classes.iter().filter(|(_, class)| class.tokens > 0)
    {
        table.row(row(class_name(*class), *tokens, cost.to_string()));
    }
    if bill.unpriced != Usage::default() {
        table.row(row(
            "of models without a price",
            bill.unpriced.total(),
            "-".to_owned(),
        ));
    }
    if bill.free != Usage::default() {
        table.row(row(
            "of models without a bill",
            bill.free.total(),
            "free".to_owned(),
        ));
    }
    if bill.total.replies == 0 {
        return vec![];
    }
    let mut lines = vec![Line::new()];
    lines.extend(table.render(look));
    if bill.beside_the_list != Difference::default() {
        lines.push(
            Line::of(
                Tone::Warn,
                format!("  {} beside the list", bill.beside_the_list.shown()),
            )
            .put(
                Tone::Dim,
                ": served otherwise (batch, fast, region), or prices have changed since",
            ),
        );
    }
    lines
}

fn class_name(class: TokenClass) -> &'static str {
    match class {
        TokenClass::Input => "fresh input",
        TokenClass::CacheWrite5m => "cache writes, 5 minutes",
        TokenClass::CacheWrite1h => "cache writes, 1 hour",
        TokenClass::CacheRead => "cache reads",
        TokenClass::Output => "output",
    }
}

fn saved(bill: &Bill) -> Vec<Line> {
    let Saved {
        caching,
        reuse,
        results_reused,
        models,
        ladders,
    } = &bill.saved;
    let mut lines = vec![];
    let mut say = |amount: String, what: String| {
        lines.push(
            Line::new()
                .plain(format!("  {amount:>9}  "))
                .put(Tone::Dim, what),
        );
    };
    if *caching != Difference::default() {
        say(
            caching.shown(),
            "by caching, what writes cost more taken off".into(),
        );
    }
    if *results_reused > 0 {
        let results = number::counted(*results_reused, "result", "results");
        say(
            reuse.to_string(),
            format!("by reusing {results} of earlier executions"),
        );
    }
    if let Some(Against {
        strongest,
        cost,
        saved,
    }) = models
    {
        let what = format!(
            "against {cost} for the same tokens on {}",
            crate::text::line(strongest)
        );
        say(saved.shown(), what);
    }
    if let Some(Climbed {
        instead: Instead {
            tasks,
            ladder,
            last_model,
        },
        saved,
    }) = ladders
    {
        let tasks = number::counted(*tasks, "task", "tasks");
        let what = format!(
            "by ladders: {ladder} for {tasks}, against {last_model} for the same tokens on the last model, unchecked"
        );
        say(saved.shown(), what);
    }
    if !lines.is_empty() {
        lines.splice(0..0, [Line::new(), Line::of(Tone::Dim, "  saved")]);
    }
    lines
}

#[cfg(test)]
mod tests;
