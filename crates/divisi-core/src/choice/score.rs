//! Weighs the evidence.

use super::gist::{Gist, Part, edges};
use super::kinds::{GENERAL, Kind, Kinds, Needs, UnknownKind};
use super::together::{self, Found, Together};
use super::vote::{ONE, Vote};
use super::words::{Hit, Role};
use super::{CONFIDENCE_MIN, Choice, Evidence, Reason, What};
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
/// The role that the prompt gives the agent.
const ROLE: f32 = 2.0;
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
    /// Only a bounded part of the prompt is searched, so the time is bounded (`benches/choice.rs`).
    /// Fails only if the declared kind is unknown.
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
        let gist = Gist::of(evidence.prompt);
        let vote = Vote::of(&gist);
        let mut choice = self.weigh(evidence, &gist, Some((&vote, Together::built_in())));
        if !self.is_said(self.get(&choice.kind)?, evidence.provider) {
            choice.tell(&vote, &gist);
        }
        Ok(choice)
    }

    /// Weighs the evidence, with a vote or by the rules alone.
    pub(super) fn weigh(
        &self,
        evidence: &Evidence<'_>,
        gist: &Gist,
        vote: Option<(&Vote, &Together)>,
    ) -> Choice {
        let mut weighing = Weighing::new(self, evidence.provider);
        weighing.prompt(gist, evidence.prompt.len());
        weighing.surroundings(evidence);
        weighing.choice(vote)
    }
}

impl Choice {
    /// Adds the vote to the reasons, after the rule that decided and before the evidence by weight.
    fn tell(&mut self, vote: &Vote, gist: &Gist) {
        let (tier, lead) = vote.tier();
        let at = self
            .reasons
            .iter()
            .take_while(|reason| reason.weight == 0.0)
            .count();
        let reason = Reason {
            what: What::Vote(tier, Vote::telling(gist, tier)),
            kind: "vote".into(),
            weight: ((10 * lead + ONE / 2) / ONE).max(1) as f32 / 10.0,
        };
        self.reasons.insert(at, reason);
        self.reasons.truncate(REASONS_MAX);
    }
}

/// Kinds that a role alone decides, whatever the instructions are.
const JUDGES: [&str; 2] = ["review", "security-review"];

/// The position of a hit, which decides its weight.
struct Sign {
    is_first: bool,
    is_order: bool,
    is_about: bool,
}

/// The evidence for all kinds, while it is collected.
struct Weighing<'a> {
    kinds: &'a Kinds,
    provider: Option<&'a str>,
    scores: Vec<Score>,
    reasons: Vec<(usize, What, f32)>,
    /// The first words of a hard kind, which keep the task from the cheapest tier.
    hard: Option<Arc<str>>,
    /// Whether an instruction asks for hard work.
    asks_hard: bool,
    /// Whether an instruction of a hard kind is for a small thing.
    asks_small: bool,
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
            asks_hard: false,
            asks_small: false,
        }
    }

    fn tier(&self, kind: usize) -> Tier {
        self.kinds.tier(&self.kinds.all()[kind], self.provider)
    }

    fn prompt(&mut self, gist: &Gist, bytes: usize) {
        let hits = self.kinds.lexicon.hits(&gist.text);
        let excepts: Vec<(usize, usize, usize)> = hits
            .iter()
            .filter(|hit| hit.role == Role::Except)
            .map(|hit| (hit.kind, hit.at, gist.sentence_at(hit.at)))
            .collect();
        let opens = |hit: &Hit<'_>| {
            hit.role == Role::Ask && hit.opens && gist.part_at(hit.at) == Part::Plain
        };
        let is_excepted = |hit: &Hit<'_>| {
            let sentence = gist.sentence_at(hit.at);
            excepts
                .iter()
                .any(|&(kind, at, of)| kind == hit.kind && of == sentence && at >= hit.at)
        };
        let is_order = |hit: &Hit<'_>| opens(hit) && !is_excepted(hit);
        self.asks_small = hits
            .iter()
            .any(|hit| self.kinds.all()[hit.kind].hard && opens(hit) && is_excepted(hit));
        let first = hits
            .iter()
            .find(|hit| is_order(hit) && !hit.covered)
            .map(|hit| (hit.at, self.tier(hit.kind)));
        let is_easy = first.is_some_and(|(_, tier)| tier == Tier::Haiku);
        for hit in &hits {
            let part = gist.part_at(hit.at);
            if part == Part::Ban || hit.role == Role::Except {
                continue;
            }
            let sign = Sign {
                is_first: first.is_some_and(|(at, _)| at == hit.at),
                is_order: is_order(hit),
                // A word that only describes a document or a name is no work to do.
                is_about: part == Part::Plain
                    && !(is_easy && is_carried(&gist.text, hit.at, hit.end)),
            };
            self.hit(hit, &sign);
        }
        for (_, role) in gist.iter().filter(|(part, _)| *part == Part::Role) {
            self.role(role);
        }
        if bytes > LONG_BYTES {
            self.all_of(|tier| tier == Tier::Haiku, LENGTH, &What::Length);
        }
    }

    fn hit(&mut self, hit: &Hit<'a>, sign: &Sign) {
        let kind = &self.kinds.all()[hit.kind];
        let speaks = (hit.role == Role::Phrase && sign.is_about) || sign.is_order;
        if kind.hard && speaks && self.tier(hit.kind) > Tier::Haiku {
            self.hard.get_or_insert_with(|| hit.words.clone());
            self.asks_hard |= sign.is_order;
        }
        if hit.covered {
            return;
        }
        let (what, weight): (fn(Arc<str>) -> What, f32) = match hit.role {
            Role::Ask if sign.is_order && sign.is_first => (What::FirstAsk, FIRST_ASK),
            Role::Ask if sign.is_order => (What::Ask, LATER_ASK),
            Role::Ask => (What::Phrase, MENTIONED_ASK),
            Role::Phrase if kind.hard && !sign.is_about => (What::Phrase, MENTIONED_ASK),
            Role::Phrase => (What::Phrase, PHRASE),
            Role::Against => (What::Phrase, AGAINST),
            Role::Except => return,
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
            Role::Phrase | Role::Except => score.phrases += weight,
            Role::Against => score.against += weight,
        }
        score.is_ordered |= sign.is_order;
        self.reasons.push((hit.kind, what, weight));
    }

    /// Weighs the agent's role, by the names of agent definitions for each kind.
    fn role(&mut self, role: &str) {
        let is_meant = |kind: &Kind| kind.agents.iter().any(|agent| is_agent(role, agent));
        for index in self.indices(is_meant) {
            // A judge's instructions to read or search serve the judgement.
            self.scores[index].is_ordered |= JUDGES.contains(&&*self.kinds.all()[index].name);
            let words = role.trim().trim_end_matches('.').into();
            self.add(index, ROLE, What::Role(words));
        }
    }

    /// Weighs everything but the prompt.
    fn surroundings(&mut self, evidence: &Evidence<'_>) {
        if let Some(name) = evidence.agent {
            self.agent(name);
        }
        if let Some(about) = evidence.agent_about {
            let (head, _) = edges(about);
            for hit in self.kinds.lexicon.hits(&head.to_lowercase()) {
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

    fn choice(mut self, vote: Option<(&Vote, &Together)>) -> Choice {
        self.take();
        let (kind, confidence) = self.by_rules();
        let tier = self.tier(kind);
        let is_unsure = tier != Tier::Sonnet && confidence < CONFIDENCE_MIN && confidence > 0.0;
        let mut rule = is_unsure.then_some(What::Unsure);
        let is_hard = self.asks_hard || self.hard.is_some();
        if let Some(words) = self.hard.clone().filter(|_| is_hard && tier == Tier::Haiku) {
            rule.get_or_insert(What::NeverCheapest(words));
        }
        let by_rules = if rule.is_some() { Tier::Sonnet } else { tier };
        let name = self.kinds.all()[kind].name.clone();
        // The vote does not apply to tiers set by the user.
        let is_said = self.kinds.is_said(&self.kinds.all()[kind], self.provider);
        let scores = vote.filter(|_| !is_said).map(|(vote, together)| {
            let found = Found {
                kind: &name,
                tier: by_rules,
                confidence,
            };
            together.scores(found, vote)
        });
        let mut tier = scores.map_or(by_rules, together::tier);
        let is_too_low = tier == Tier::Haiku && self.asks_hard;
        let is_too_high = tier == Tier::Opus && self.asks_small && self.hard.is_none();
        if !is_said && (is_too_low || is_too_high) {
            tier = Tier::Sonnet;
        }
        let rule = rule.filter(|_| tier == by_rules).map(|what| Reason {
            what,
            kind: name.clone(),
            weight: 0.0,
        });
        let kind = self.kind_at(tier, kind);
        Choice {
            kind: self.kinds.all()[kind].name.clone(),
            tier,
            confidence: scores.map_or(confidence, together::lead),
            declared: false,
            reasons: self.told(kind, rule),
        }
    }

    /// The kind with most evidence at this tier, if the kind found by the rules is at the other end
    /// of the tiers: estimates use what a kind typically takes, and a proof is not a search.
    fn kind_at(&self, tier: Tier, found: usize) -> usize {
        let ends = [self.tier(found), tier];
        if !ends.contains(&Tier::Haiku) || !ends.iter().any(|tier| *tier > Tier::Sonnet) {
            return found;
        }
        let total = |kind: usize| self.scores[kind].total();
        (0..self.scores.len())
            .filter(|&kind| self.tier(kind) == tier && total(kind) > 0.0)
            .max_by(|&a, &b| total(a).total_cmp(&total(b)).then(b.cmp(&a)))
            .unwrap_or(found)
    }

    /// The kind found by the rules, and its confidence.
    fn by_rules(&self) -> (usize, f32) {
        let totals: Vec<f32> = self.scores.iter().map(Score::total).collect();
        let best_of = |candidates: &mut dyn Iterator<Item = usize>| {
            candidates.max_by(|&a, &b| totals[a].total_cmp(&totals[b]).then(b.cmp(&a)))
        };
        let best = best_of(&mut (0..totals.len()).filter(|&kind| totals[kind] > 0.0));
        let Some(best) = best else {
            let general = self.indices(|kind| &*kind.name == GENERAL);
            return (general.first().copied().unwrap_or_default(), 0.0);
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
        (best, totals[best] / (totals[best] + other + DOUBT))
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

/// Nouns for documents, names and the like: words about a topic next to them only describe them.
const CARRIERS: [&str; 32] = [
    "document",
    "documents",
    "doc",
    "docs",
    "file",
    "files",
    "folder",
    "folders",
    "directory",
    "paper",
    "page",
    "pages",
    "diagram",
    "section",
    "chapter",
    "heading",
    "headings",
    "title",
    "label",
    "labels",
    "name",
    "names",
    "word",
    "notes",
    "comments",
    "docstring",
    "table",
    "log",
    "logs",
    "list",
    "library",
    "handbook",
];

/// Words before a topic that is only mentioned.
const NAMING: [&str; 9] = [
    "mention",
    "mentions",
    "mentioning",
    "named",
    "called",
    "about",
    "word",
    "on",
    "for",
];

/// Whether the words at this place only describe a document or a name.
fn is_carried(text: &str, start: usize, end: usize) -> bool {
    let clean = |word: &str| word.trim_matches(|c: char| !c.is_alphanumeric()).to_owned();
    let mut after = text[end..].split_whitespace().take(3).map(clean);
    let mut before = text[..start].split_whitespace().rev().take(3).map(clean);
    after.any(|word| CARRIERS.contains(&&*word))
        || before.any(|word| CARRIERS.contains(&&*word) || NAMING.contains(&&*word))
        || text[..start].ends_with(['"', '\'', '`', '“', '„', '«'])
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
