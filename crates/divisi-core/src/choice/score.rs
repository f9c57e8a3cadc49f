//! Weighs the evidence.

use super::kinds::{GENERAL, Kind, Kinds, Needs, UnknownKind};
use super::words::{Hit, Role};
use super::{CONFIDENCE_MIN, Choice, Evidence, HEAD_BYTES_MAX, Reason, TAIL_BYTES_MAX, What};
use crate::task::Effort;
use crate::tier::Tier;
use serde_json::Value;
use std::sync::Arc;

/// The first instruction of a prompt, which states what is wanted.
const FIRST_ASK: f32 = 5.0;
/// Any other instruction.
const LATER_ASK: f32 = 2.0;
/// A verb of instructions, used elsewhere in a sentence.
const MENTIONED_ASK: f32 = 0.5;
/// A phrase of the kind.
const PHRASE: f32 = 1.5;
/// All phrases together: a long text in the middle of a prompt is weak evidence.
const PHRASES_MAX: f32 = 4.5;
/// A word that tasks of the kind do not have.
const AGAINST: f32 = -2.0;
/// The name of the agent definition.
const AGENT: f32 = 4.0;
/// Words of its description.
const AGENT_PHRASE: f32 = 1.0;
/// The schema fits what such tasks return.
const SCHEMA: f32 = 1.0;
/// Tools it cannot do without are missing.
const NO_TOOLS: f32 = -3.0;
/// The effort of the task, where it does not match the tier of the kind.
const EFFORT: f32 = 1.5;
/// A long prompt is rarely a simple task.
const LENGTH: f32 = -0.5;
/// Bytes from which a prompt is long.
const LONG_BYTES: usize = 3_000;
/// Added to the divisor, so that little evidence gives a low confidence.
const DOUBT: f32 = 3.0;
/// Score at which a further instruction makes the task as hard as that instruction's kind. To leave
/// the cheapest tier, any instruction suffices.
const HARDER_MIN: f32 = 3.5;
/// Most reasons in a choice.
const REASONS_MAX: usize = 8;
/// Most properties of a schema that counts as small.
const SMALL_SCHEMA_MAX: usize = 4;

impl Kinds {
    /// Chooses the kind of a task and the tier that suffices for it.
    ///
    /// Takes a few microseconds per kilobyte of prompt. Fails only if the declared kind is unknown.
    pub fn choose(&self, evidence: &Evidence<'_>) -> Result<Choice, UnknownKind> {
        if let Some(name) = evidence.declared {
            let kind = self.get(name)?;
            return Ok(Choice {
                kind: kind.name.clone(),
                tier: self.tier(kind, evidence.provider),
                confidence: 1.0,
                declared: true,
                reasons: vec![],
            });
        }
        let mut weighing = Weighing::new(self, evidence.provider);
        weighing.prompt(evidence.prompt);
        weighing.surroundings(evidence);
        Ok(weighing.choice())
    }
}

/// The evidence for all kinds, while it is collected.
struct Weighing<'a> {
    kinds: &'a Kinds,
    provider: Option<&'a str>,
    scores: Vec<Score>,
    reasons: Vec<(usize, What, f32)>,
    /// The first words of a hard kind, which keep the task from the cheapest tier.
    hard: Option<Arc<str>>,
}

#[derive(Clone, Copy, Default)]
struct Score {
    asks: f32,
    phrases: f32,
    against: f32,
    other: f32,
    is_ordered: bool,
}

impl Score {
    fn total(&self) -> f32 {
        self.asks + self.phrases.min(PHRASES_MAX) + self.against.max(2.0 * AGAINST) + self.other
    }
}

impl<'a> Weighing<'a> {
    fn new(kinds: &'a Kinds, provider: Option<&'a str>) -> Self {
        let scores = vec![Score::default(); kinds.all().len()];
        Self {
            kinds,
            provider,
            scores,
            reasons: vec![],
            hard: None,
        }
    }

    fn tier(&self, kind: usize) -> Tier {
        self.kinds.tier(&self.kinds.all()[kind], self.provider)
    }

    fn prompt(&mut self, prompt: &str) {
        let (head, tail) = edges(prompt);
        let lexicon = &self.kinds.lexicon;
        let mut hits = lexicon.hits(head);
        let first = hits
            .iter()
            .find(|hit| hit.role == Role::Ask && hit.opens && !hit.covered)
            .map(|hit| hit.at);
        for hit in &hits {
            self.hit(hit, first == Some(hit.at));
        }
        hits = lexicon.hits(tail);
        for hit in &hits {
            self.hit(hit, false);
        }
        if prompt.len() > LONG_BYTES {
            self.all_of(|tier| tier == Tier::Haiku, LENGTH, &What::Length);
        }
    }

    fn hit(&mut self, hit: &Hit<'a>, is_first: bool) {
        let kind = &self.kinds.all()[hit.kind];
        let is_order = hit.role == Role::Ask && hit.opens;
        if kind.hard && (hit.role == Role::Phrase || is_order) && self.tier(hit.kind) > Tier::Haiku
        {
            self.hard.get_or_insert_with(|| hit.words.clone());
        }
        if hit.covered {
            return;
        }
        let (what, weight): (fn(Arc<str>) -> What, f32) = match hit.role {
            Role::Ask if hit.opens && is_first => (What::FirstAsk, FIRST_ASK),
            Role::Ask if hit.opens => (What::Ask, LATER_ASK),
            Role::Ask => (What::Phrase, MENTIONED_ASK),
            Role::Phrase => (What::Phrase, PHRASE),
            Role::Against => (What::Phrase, AGAINST),
        };
        let what = what(hit.words.clone());
        // Repeated words count once.
        if self
            .reasons
            .iter()
            .any(|(kind, known, _)| *kind == hit.kind && *known == what)
        {
            return;
        }
        let score = &mut self.scores[hit.kind];
        match hit.role {
            Role::Ask => score.asks += weight,
            Role::Phrase => score.phrases += weight,
            Role::Against => score.against += weight,
        }
        score.is_ordered |= is_order;
        self.reasons.push((hit.kind, what, weight));
    }

    /// Weighs everything but the prompt.
    fn surroundings(&mut self, evidence: &Evidence<'_>) {
        if let Some(name) = evidence.agent {
            self.agent(name);
        }
        if let Some(about) = evidence.agent_about {
            let (head, _) = edges(about);
            for hit in self.kinds.lexicon.hits(head) {
                if hit.role == Role::Phrase && !hit.covered {
                    self.add(hit.kind, AGENT_PHRASE, What::AgentAbout(hit.words.clone()));
                }
            }
        }
        if let Some(schema) = evidence.schema {
            let (names, size): (&[&str], _) = match properties(schema) {
                0..=SMALL_SCHEMA_MAX => (&["classify", "extract"], "small"),
                _ => (&["extract"], "large"),
            };
            for index in self.indices(|kind| names.contains(&&*kind.name)) {
                self.add(index, SCHEMA, What::Schema(size));
            }
        }
        if let Some(tools) = evidence.tools {
            let what = match tools {
                Needs::None => "it has no tools",
                Needs::Read => "its tools only read",
                Needs::Write => "its tools can write",
            };
            for index in self.indices(|kind| kind.needs > tools) {
                self.add(index, NO_TOOLS, What::Tools(what));
            }
        }
        if let Some(effort) = evidence.effort {
            let what = What::Effort(effort);
            match effort {
                Effort::Low => self.all_of(|tier| tier > Tier::Sonnet, -EFFORT, &what),
                Effort::Medium | Effort::High => {}
                Effort::Xhigh | Effort::Max => {
                    self.all_of(|tier| tier == Tier::Haiku, -EFFORT, &what);
                }
            }
        }
    }

    fn agent(&mut self, name: &str) {
        let is_meant = |kind: &Kind| kind.agents.iter().any(|agent| is_agent(name, agent));
        for index in self.indices(is_meant) {
            self.add(index, AGENT, What::Agent(name.into()));
        }
    }

    fn indices(&self, meant: impl Fn(&Kind) -> bool) -> Vec<usize> {
        let kinds = self.kinds.all().iter().enumerate();
        kinds
            .filter(|(_, kind)| meant(kind))
            .map(|(index, _)| index)
            .collect()
    }

    fn add(&mut self, kind: usize, weight: f32, what: What) {
        self.scores[kind].other += weight;
        self.reasons.push((kind, what, weight));
    }

    /// Adds to every kind of these tiers that has a positive score.
    fn all_of(&mut self, meant: impl Fn(Tier) -> bool, weight: f32, what: &What) {
        for index in 0..self.scores.len() {
            if meant(self.tier(index)) && self.scores[index].total() > 0.0 {
                self.add(index, weight, what.clone());
            }
        }
    }

    /// Turns an instruction such as "build" or "fix" into work of a hard kind, if the prompt has
    /// phrases of that kind.
    fn take(&mut self) {
        for (index, kind) in self.kinds.all().iter().enumerate() {
            if kind.takes.is_empty() || self.scores[index].phrases < PHRASE {
                continue;
            }
            let taken = self.indices(|other| kind.takes.iter().any(|name| *name == *other.name));
            let strongest = taken
                .into_iter()
                .max_by(|&a, &b| self.scores[a].asks.total_cmp(&self.scores[b].asks));
            if let Some(other) = strongest.filter(|&other| self.scores[other].is_ordered) {
                self.scores[index].asks += self.scores[other].asks;
                self.scores[index].is_ordered = true;
                let is_order = |what: &What| matches!(what, What::FirstAsk(_) | What::Ask(_));
                let orders = self
                    .reasons
                    .iter()
                    .filter(|(kind, what, _)| *kind == other && is_order(what));
                let taken: Vec<_> = orders
                    .map(|(_, what, weight)| (index, what.clone(), *weight))
                    .collect();
                self.reasons.extend(taken);
            }
        }
    }

    fn choice(mut self) -> Choice {
        self.take();
        let totals: Vec<f32> = self.scores.iter().map(Score::total).collect();
        let best_of = |candidates: &mut dyn Iterator<Item = usize>| {
            candidates.max_by(|&a, &b| totals[a].total_cmp(&totals[b]).then(b.cmp(&a)))
        };
        let best = best_of(&mut (0..totals.len()).filter(|&kind| totals[kind] > 0.0));
        let Some(best) = best else {
            return self.nothing_known();
        };
        // The hardest instruction decides how hard the task is.
        let harder = |&kind: &usize| {
            let min = if self.tier(kind) > Tier::Sonnet {
                HARDER_MIN
            } else {
                LATER_ASK
            };
            self.tier(kind) > self.tier(best) && self.scores[kind].is_ordered && totals[kind] >= min
        };
        let harder = (0..totals.len()).filter(harder).max_by(|&a, &b| {
            self.tier(a)
                .cmp(&self.tier(b))
                .then(totals[a].total_cmp(&totals[b]))
                .then(b.cmp(&a))
        });
        let best = harder.unwrap_or(best);
        let tier = self.tier(best);
        // An easier kind is no evidence against an instruction.
        let rival = |&kind: &usize| {
            self.tier(kind) > tier || (self.tier(kind) < tier && !self.scores[best].is_ordered)
        };
        let other = (0..totals.len()).filter(rival);
        let other =
            best_of(&mut other.filter(|&kind| totals[kind] > 0.0)).map_or(0.0, |kind| totals[kind]);
        let confidence = totals[best] / (totals[best] + other + DOUBT);
        let kind = self.kinds.all()[best].name.clone();
        let rule = match &self.hard {
            _ if tier != Tier::Sonnet && confidence < CONFIDENCE_MIN => Some(What::Unsure),
            Some(words) if tier == Tier::Haiku => Some(What::NeverCheapest(words.clone())),
            _ => None,
        };
        let tier = if rule.is_some() { Tier::Sonnet } else { tier };
        let rule = rule.map(|what| Reason {
            what,
            kind: kind.clone(),
            weight: 0.0,
        });
        Choice {
            tier,
            confidence,
            declared: false,
            reasons: self.told(best, rule),
            kind,
        }
    }

    fn nothing_known(self) -> Choice {
        let index = self
            .indices(|kind| &*kind.name == GENERAL)
            .into_iter()
            .next()
            .unwrap_or_default();
        let tier = match self.tier(index) {
            Tier::Haiku if self.hard.is_some() => Tier::Sonnet,
            tier => tier,
        };
        let kind = self.kinds.all()[index].name.clone();
        Choice {
            kind,
            tier,
            confidence: 0.0,
            declared: false,
            reasons: self.told(index, None),
        }
    }

    /// The reasons of the choice: the rule that decided, then evidence about the chosen kind, then
    /// evidence for others. Evidence against other kinds is left out.
    fn told(mut self, chosen: usize, rule: Option<Reason>) -> Vec<Reason> {
        self.reasons
            .retain(|&(kind, _, weight)| kind == chosen || weight > 0.0);
        self.reasons.sort_by(|a, b| {
            (a.0 != chosen)
                .cmp(&(b.0 != chosen))
                .then(b.2.abs().total_cmp(&a.2.abs()))
        });
        let kinds = self.kinds.all();
        let reasons = self.reasons.into_iter().map(|(kind, what, weight)| Reason {
            what,
            kind: kinds[kind].name.clone(),
            weight,
        });
        rule.into_iter().chain(reasons).take(REASONS_MAX).collect()
    }
}

/// The parts of a text that are searched: its beginning and its end.
fn edges(text: &str) -> (&str, &str) {
    let head = text.floor_char_boundary(HEAD_BYTES_MAX);
    let tail = text
        .ceil_char_boundary(text.len().saturating_sub(TAIL_BYTES_MAX))
        .max(head);
    (&text[..head], &text[tail..])
}

/// Whether any word of the name matches `pattern`, which may end with `*`.
fn is_agent(name: &str, pattern: &str) -> bool {
    let (pattern, open) = pattern
        .strip_suffix('*')
        .map_or((pattern, false), |stem| (stem, true));
    let begins = |start: usize| {
        let rest = &name.as_bytes()[start..];
        rest.len() >= pattern.len()
            && rest[..pattern.len()].eq_ignore_ascii_case(pattern.as_bytes())
            && (open || rest.len() == pattern.len() || !rest[pattern.len()].is_ascii_alphanumeric())
    };
    let is_start =
        |&start: &usize| start == 0 || !name.as_bytes()[start - 1].is_ascii_alphanumeric();
    (0..name.len()).filter(is_start).any(begins)
}

/// The least number of values in a result of this schema.
fn properties(schema: &Value) -> usize {
    let below = match schema.get("properties").and_then(Value::as_object) {
        Some(properties) => properties.values().map(properties_of_value).sum(),
        None => 0,
    };
    // A list counts as several of its items.
    let items = schema
        .get("items")
        .map_or(0, |items| 3 * properties_of_value(items));
    below + items
}

fn properties_of_value(schema: &Value) -> usize {
    properties(schema).max(1)
}
