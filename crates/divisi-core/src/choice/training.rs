//! Trains the vote, and measures the accuracy of the choice.
//!
//! `scripts/train-tiers` runs this. It consists of tests, so that it uses the shipped code: the
//! weights depend on how the features are computed.

#![allow(
    clippy::print_stdout,
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a tool that runs on demand: it prints tables, writes the weights, uses all processors"
)]

use super::gist::Gist;
use super::together::{self, Found, Together};
use super::vote::{self, BUCKETS, ONE, SCALE, Vote, WEIGHTS_BYTES};
use super::{Choice, Evidence, Kinds};
use crate::tier::Tier;
use std::collections::BTreeMap;
use std::fmt::Write;

/// A text with its acceptable tiers, the best one first.
#[derive(Clone, Debug)]
pub(super) struct Example {
    pub(super) text: String,
    pub(super) right: Vec<Tier>,
    pub(super) family: &'static str,
    pub(super) language: &'static str,
    source: &'static str,
}

impl Example {
    pub(super) fn label(&self) -> Tier {
        self.right[0]
    }
}

macro_rules! texts {
    ($($name:literal),*) => {
        [$(include_str!(concat!("../../tests/data/tiers/", $name, ".txt"))),*]
    };
}

const TRAINING: [&str; 15] = texts![
    "training/english-small",
    "training/english-middle",
    "training/english-large",
    "training/english-workflows",
    "training/english-more",
    "training/long",
    "training/german",
    "training/french",
    "training/spanish",
    "training/portuguese",
    "training/chinese",
    "training/japanese",
    "training/korean",
    "training/russian",
    "dev"
];

/// The texts of one file.
fn read(file: &'static str) -> Vec<Example> {
    let (mut family, mut language) = ("", "");
    let mut examples = vec![];
    for line in file.lines().filter(|line| !line.starts_with('#')) {
        if let Some(header) = line.strip_prefix("@ ") {
            (family, language) = header.split_once(' ').unwrap();
            continue;
        }
        let (right, text) = line.split_once(' ').unwrap_or_else(|| panic!("{line}"));
        let tier = |letter| match letter {
            'h' => Tier::Haiku,
            's' => Tier::Sonnet,
            'o' => Tier::Opus,
            _ => panic!("{line}"),
        };
        examples.push(Example {
            text: text.replace("\\n", "\n"),
            right: right.chars().map(tier).collect(),
            family,
            language,
            source: "",
        });
    }
    examples
}

pub(super) fn training() -> Vec<Example> {
    let mut examples: Vec<Example> = TRAINING.into_iter().flat_map(read).collect();
    let lines = include_str!("../../tests/data/prompts.tsv").lines();
    for line in lines.filter(|line| !line.starts_with('#')) {
        let [_, tier, kind, text] = line.split('\t').collect::<Vec<_>>()[..] else {
            panic!("{line}")
        };
        examples.push(Example {
            text: text.replace("\\n", "\n"),
            right: vec![tier.parse().unwrap()],
            family: kind,
            language: "en",
            source: "prompts",
        });
    }
    examples
}

pub(super) fn evaluation() -> Vec<Example> {
    read(include_str!("../../tests/data/tiers/evaluation.txt"))
}

pub(super) fn dev() -> Vec<Example> {
    read(include_str!("../../tests/data/tiers/dev.txt"))
}

/// A text as a training point.
struct Point {
    features: Vec<(usize, f32)>,
    target: [f32; 3],
}

impl Point {
    fn of(text: &str, right: &[Tier], weight: f32) -> Self {
        let mut counts: BTreeMap<usize, i32> = BTreeMap::new();
        let mut squares = 0;
        vote::features(&Gist::of(text), &mut |bucket, value, _| {
            *counts.entry(bucket).or_default() += value;
            squares += value * value;
        });
        let length = squares.isqrt().max(1) as f32;
        let mut target = [0.0; 3];
        for (index, tier) in right.iter().enumerate() {
            target[*tier as usize] = weight
                * match (right.len(), index) {
                    (1, _) => 1.0,
                    (_, 0) => 0.65,
                    _ => 0.35,
                };
        }
        Self {
            features: counts
                .into_iter()
                .map(|(b, v)| (b, v as f32 / length))
                .collect(),
            target,
        }
    }
}

/// Sentences around an instruction, before it (`<`) or after it (`>`).
fn frames(sign: &str) -> Vec<String> {
    let lines = include_str!("../../tests/data/tiers/frames.txt").lines();
    lines
        .filter_map(|line| Some(line.strip_prefix(sign)?.trim_start().replace("\\n", "\n")))
        .collect()
}

/// The texts, and English ones a second time between other sentences.
fn points<'a>(
    examples: impl Iterator<Item = &'a Example>,
    random: &mut fastrand::Rng,
) -> Vec<Point> {
    let (before, after) = (frames("<"), frames(">"));
    let mut points = vec![];
    for example in examples {
        let is_seed = example.family == "dev-seed";
        points.push(Point::of(
            &example.text,
            &example.right,
            if is_seed { 4.0 } else { 1.0 },
        ));
        if example.language == "en" && !is_seed {
            let mut text = String::new();
            for _ in 0..random.usize(0..3) {
                _ = writeln!(text, "{}", before[random.usize(0..before.len())]);
            }
            text += &example.text;
            for _ in 0..random.usize(0..4) {
                _ = write!(text, " {}", after[random.usize(0..after.len())]);
            }
            points.push(Point::of(&text, &example.right, 0.5));
        }
    }
    points
}

const SEED: u64 = 12;

pub(super) struct Settings {
    pub(super) epochs: usize,
    pub(super) decay: f32,
    pub(super) rate: f32,
}

pub(super) const SETTINGS: Settings = Settings {
    epochs: 30,
    decay: 3e-4,
    rate: 0.2,
};

/// Logistic regression with AdaGrad.
fn train(
    points: &[Point],
    settings: &Settings,
    random: &mut fastrand::Rng,
) -> Box<[u8; WEIGHTS_BYTES]> {
    let mut weights = vec![[0.0_f32; 3]; BUCKETS + 1];
    let mut squares = vec![[1e-4_f32; 3]; BUCKETS + 1];
    let mut order: Vec<usize> = (0..points.len()).collect();
    for _ in 0..settings.epochs {
        random.shuffle(&mut order);
        for &index in &order {
            let point = &points[index];
            let mut scores = weights[BUCKETS];
            for &(bucket, value) in &point.features {
                for class in 0..3 {
                    scores[class] += weights[bucket][class] * value;
                }
            }
            let top = scores.iter().copied().fold(f32::MIN, f32::max);
            let exps = scores.map(|score| (score - top).exp());
            let sum: f32 = exps.iter().sum();
            let total: f32 = point.target.iter().sum();
            for class in 0..3 {
                let error = total * exps[class] / sum - point.target[class];
                let mut step = |bucket: usize, value: f32| {
                    let slope = error * value + settings.decay * weights[bucket][class];
                    squares[bucket][class] += slope * slope;
                    weights[bucket][class] -= settings.rate * slope / squares[bucket][class].sqrt();
                };
                step(BUCKETS, 0.1);
                for &(bucket, value) in &point.features {
                    step(bucket, value);
                }
            }
        }
    }
    let mut bytes: Box<[u8; WEIGHTS_BYTES]> = vec![0; WEIGHTS_BYTES].try_into().unwrap();
    let (haiku, sonnet, opus) = (0, 1, 2);
    for (score, class) in [haiku, opus].into_iter().enumerate() {
        let bias = (weights[BUCKETS][class] - weights[BUCKETS][sonnet]) * ONE as f32;
        bytes[2 * score..2 * score + 2].copy_from_slice(&(bias.round() as i16).to_le_bytes());
        for bucket in 0..BUCKETS {
            let weight =
                (weights[bucket][class] - weights[bucket][sonnet]) * ONE as f32 / SCALE as f32;
            bytes[4 + 2 * bucket + score] = weight.round().clamp(-127.0, 127.0) as i8 as u8;
        }
    }
    bytes
}

/// The results of one way to choose.
#[derive(Default)]
struct Tally {
    texts: usize,
    strict: usize,
    acceptable: usize,
    /// By label: number of texts, and of acceptable choices.
    by_label: [(usize, usize); 3],
    /// Complex work on the cheapest tier, and trivial work on the strongest.
    complex_low: usize,
    trivial_high: usize,
    middle_low: usize,
    paid: u32,
    wrong: String,
}

/// Relative prices of the tiers.
const PRICES: [u32; 3] = [1, 20, 40];

impl Tally {
    fn add(&mut self, example: &Example, chosen: Tier, note: &str) {
        let (label, fits) = (example.label() as usize, example.right.contains(&chosen));
        self.texts += 1;
        self.strict += usize::from(example.label() == chosen);
        self.acceptable += usize::from(fits);
        self.by_label[label].0 += 1;
        self.by_label[label].1 += usize::from(fits);
        self.complex_low += usize::from(label == 2 && chosen == Tier::Haiku);
        self.middle_low += usize::from(label == 1 && chosen == Tier::Haiku && !fits);
        self.trivial_high += usize::from(label == 0 && chosen == Tier::Opus);
        self.paid += PRICES[chosen as usize];
        if !fits {
            _ = writeln!(
                self.wrong,
                "{} for {} [{} {}] {note} {}",
                chosen,
                example.label(),
                example.language,
                example.family,
                example
                    .text
                    .replace('\n', "/")
                    .chars()
                    .take(150)
                    .collect::<String>()
            );
        }
    }

    fn line(&self) -> String {
        let share = |(all, right): (usize, usize)| 100.0 * right as f32 / all.max(1) as f32;
        format!(
            "{:5} {:6.1} {:6.1} | {:5.1} {:5.1} {:5.1} | {:3} {:3} {:3} | {:5.1}",
            self.texts,
            share((self.texts, self.strict)),
            share((self.texts, self.acceptable)),
            share(self.by_label[0]),
            share(self.by_label[1]),
            share(self.by_label[2]),
            self.complex_low,
            self.middle_low,
            self.trivial_high,
            100.0 - 100.0 * self.paid as f32 / (20 * self.texts.max(1)) as f32,
        )
    }
}

const HEAD: &str =
    "                          texts strict accept | haiku  sonn  opus | o>h s>h h>o | saves %";

fn by_vote(vote: &Vote) -> Tier {
    together::tier([vote.haiku, vote.opus])
}

/// The choice of the rules alone.
fn by_rules(example: &Example) -> Choice {
    let evidence = Evidence {
        prompt: &example.text,
        ..Evidence::default()
    };
    Kinds::built_in().weigh(&evidence, &Gist::of(&example.text), None)
}

fn found(choice: &Choice) -> Found<'_> {
    Found {
        kind: &choice.kind,
        tier: choice.tier,
        confidence: choice.confidence,
    }
}

/// Number of texts that the prior of zero counts for in the weight of a finding.
const RARE: f32 = 20.0;

/// Fits the weights of rules and votes: logistic regression with few features.
fn weigh(examples: &[Example], votes: &[Vote]) -> Together {
    const ROUNDS: usize = 200;
    let choices: Vec<Choice> = examples.iter().map(by_rules).collect();
    let mut names: BTreeMap<String, usize> = BTreeMap::new();
    let mut rows: Vec<([f32; 2], [usize; 2], [f32; 3])> = vec![];
    for ((example, vote), choice) in examples.iter().zip(votes).zip(&choices) {
        let found = found(choice);
        let features = [found.sure(), format!("= {}", found.found())].map(|name| {
            let next = names.len();
            *names.entry(name).or_insert(next)
        });
        let target = Point::of("", &example.right, 1.0).target;
        let scores = [vote.haiku, vote.opus].map(|score| score as f32 / ONE as f32);
        rows.push((scores, features, target));
    }
    let mut times = vec![0.0_f32; names.len()];
    rows.iter()
        .for_each(|(_, features, _)| features.iter().for_each(|&f| times[f] += 1.0));
    let (mut bias, mut factors) = ([0.0_f32; 2], [[1.0_f32, 0.0], [0.0, 1.0]]);
    let mut added = vec![[0.0_f32; 2]; names.len()];
    for _ in 0..ROUNDS {
        let (mut of_bias, mut of_factors) = ([0.0_f32; 2], [[0.0_f32; 2]; 2]);
        let mut of_added = vec![[0.0_f32; 2]; names.len()];
        for (votes, features, target) in &rows {
            let score = |score: usize| {
                let rules: f32 = features.iter().map(|&f| added[f][score]).sum();
                bias[score] + factors[score][0] * votes[0] + factors[score][1] * votes[1] + rules
            };
            let exps = [score(0).exp(), score(1).exp()];
            let sum = 1.0 + exps[0] + exps[1];
            for score in 0..2 {
                let error = exps[score] / sum - target[2 * score];
                of_bias[score] += error;
                for other in 0..2 {
                    of_factors[score][other] += error * votes[other];
                }
                features.iter().for_each(|&f| of_added[f][score] += error);
            }
        }
        let texts = rows.len() as f32;
        for score in 0..2 {
            bias[score] -= 0.5 * of_bias[score] / texts;
            for other in 0..2 {
                factors[score][other] -= 0.5 * of_factors[score][other] / texts;
            }
            for feature in 0..names.len() {
                let slope = of_added[feature][score] + 3.0 * added[feature][score];
                added[feature][score] -= slope / (times[feature] + RARE);
            }
        }
    }
    let one = |value: f32| (value * ONE as f32).round() as i32;
    let mut together = Together {
        bias: bias.map(one),
        votes: factors.map(|of| of.map(|factor| (100.0 * factor).round() as i32)),
        ..Together::default()
    };
    for (name, feature) in names {
        let added = added[feature].map(one);
        match name.strip_prefix("= ") {
            Some(found) => together.found.insert(found.to_owned(), added),
            None => together.sure.insert(name, added),
        };
    }
    together
}

/// Tabulates the choices of the rules, of the vote and of both.
fn table(examples: &[Example], votes: &[Vote], together: &Together, verbose: bool) -> String {
    let mut tallies: BTreeMap<(u8, String, &str), Tally> = BTreeMap::new();
    for (example, vote) in examples.iter().zip(votes) {
        let rules = by_rules(example);
        let both = together::tier(together.scores(found(&rules), vote));
        let note = format!(
            "(rules {} {} {:.2}, vote h{:+} o{:+})",
            rules.kind, rules.tier, rules.confidence, vote.haiku, vote.opus
        );
        let english = if example.language == "en" {
            "english"
        } else {
            "others"
        };
        let slices = [
            (0, "all".to_owned()),
            (1, english.to_owned()),
            (2, example.language.to_owned()),
            (3, example.family.to_owned()),
        ];
        for (order, slice) in slices {
            for (way, tier) in [
                ("1 rules", rules.tier),
                ("2 vote", by_vote(vote)),
                ("3 both", both),
            ] {
                if order < 2
                    || (order < 4
                        && way == "3 both"
                        && std::env::var("VERBOSE").is_ok_and(|v| v.contains('s')))
                {
                    tallies
                        .entry((order, slice.clone(), way))
                        .or_default()
                        .add(example, tier, &note);
                }
            }
        }
    }
    let mut text = format!("{HEAD}\n");
    for ((_, slice, way), tally) in &tallies {
        _ = writeln!(text, "{:14} {:10} {}", slice, &way[2..], tally.line());
    }
    if verbose {
        text += &tallies[&(0, "all".to_owned(), "3 both")].wrong;
    }
    text
}

/// Votes on examples with weights trained without their fold.
fn cross_votes(
    examples: &[Example],
    fold_of: impl Fn(usize) -> usize,
    folds: usize,
    settings: &Settings,
) -> Vec<Vote> {
    let mut votes = vec![Vote::default(); examples.len()];
    let mut runs: Vec<std::thread::JoinHandle<Vec<(usize, Vote)>>> = vec![];
    for fold in 0..folds {
        let held: Vec<usize> = (0..examples.len())
            .filter(|&index| fold_of(index) == fold)
            .collect();
        let trained: Vec<Example> = (0..examples.len())
            .filter(|&index| fold_of(index) != fold)
            .map(|index| examples[index].clone())
            .collect();
        let held_texts: Vec<(usize, String)> = held
            .iter()
            .map(|&index| (index, examples[index].text.clone()))
            .collect();
        let Settings {
            epochs,
            decay,
            rate,
        } = *settings;
        runs.push(std::thread::spawn(move || {
            let mut random = fastrand::Rng::with_seed(SEED);
            let points = points(trained.iter(), &mut random);
            let weights = train(
                &points,
                &Settings {
                    epochs,
                    decay,
                    rate,
                },
                &mut random,
            );
            held_texts
                .into_iter()
                .map(|(index, text)| (index, Vote::by(&weights, &Gist::of(&text))))
                .collect()
        }));
    }
    for run in runs {
        for (index, vote) in run.join().unwrap() {
            votes[index] = vote;
        }
    }
    votes
}

/// Checks the documented accuracy on the evaluation texts, and that the weights are the documented
/// ones.
#[test]
fn texts_that_were_never_trained_on_get_their_tier() {
    let mut tally = Tally::default();
    let mut others = Tally::default();
    let mut sum = 0xcbf2_9ce4_8422_2325_u64;
    for example in &evaluation() {
        let evidence = Evidence {
            prompt: &example.text,
            ..Evidence::default()
        };
        let choice = Kinds::built_in().choose(&evidence).unwrap();
        tally.add(example, choice.tier, &choice.why());
        if example.language != "en" {
            others.add(example, choice.tier, &choice.why());
        }
        let vote = Vote::of(&Gist::of(&example.text));
        for byte in [vote.haiku, vote.opus]
            .iter()
            .flat_map(|score| score.to_le_bytes())
        {
            sum = (sum ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3);
        }
    }
    let share = |(all, right): (usize, usize)| 100 * right / all;
    let figures = [
        share((tally.texts, tally.acceptable)),
        share(tally.by_label[0]),
        share((others.texts, others.acceptable)),
    ];
    let saved = 100 - 100 * tally.paid as usize / (20 * tally.texts);
    println!("{HEAD}\n{:25} {}", "both", tally.line());
    assert!(
        figures[0] >= 90 && figures[1] >= 85 && figures[2] >= 90,
        "{figures:?}\n{}",
        tally.wrong
    );
    assert!(
        tally.complex_low <= 2 && tally.trivial_high <= 2 && saved >= 14,
        "{}",
        tally.wrong
    );
    assert_eq!(
        format!("{sum:x}"),
        SCORES,
        "train again, or take over what is new"
    );
}

/// A hash of the scores of the evaluation texts, which is the same on every machine.
const SCORES: &str = "344777b0f673f6eb";

#[test]
fn the_missions_own_examples_get_the_missions_tier() {
    for example in dev().iter().filter(|example| example.family == "dev-seed") {
        let evidence = Evidence {
            prompt: &example.text,
            ..Evidence::default()
        };
        let choice = Kinds::built_in().choose(&evidence).unwrap();
        assert_eq!(choice.tier, example.label(), "{}: {choice:?}", example.text);
    }
}

/// Trains, writes the weights to the folder in `TIERS_WEIGHTS` if it is set, and prints the tables.
#[test]
#[ignore = "takes minutes; scripts/train-tiers runs it"]
fn train_the_vote() {
    let number =
        |name: &str, default: f32| std::env::var(name).map_or(default, |v| v.parse().unwrap());
    let settings = Settings {
        epochs: number("EPOCHS", SETTINGS.epochs as f32) as usize,
        decay: number("DECAY", SETTINGS.decay),
        rate: number("RATE", SETTINGS.rate),
    };
    let examples = training();
    let verbose = std::env::var("VERBOSE").unwrap_or_default();
    let random_fold = |index: usize| index.wrapping_mul(2_654_435_761) >> 7 & 7;
    let votes = cross_votes(&examples, |index| random_fold(index) % 5, 5, &settings);
    let together = weigh(&examples, &votes);
    println!(
        "cross-validated, random folds\n{}",
        table(&examples, &votes, &together, verbose.contains('c'))
    );
    let is_given = |index: usize| examples[index].family.starts_with("dev-");
    let is_older = |index: usize| examples[index].source == "prompts";
    for (name, held) in [
        ("dev", &is_given as &dyn Fn(usize) -> bool),
        ("prompts.tsv", &is_older),
    ] {
        let votes = cross_votes(&examples, |index| usize::from(!held(index)), 1, &settings);
        let (held, votes): (Vec<_>, Vec<_>) = (0..examples.len())
            .filter(|&i| held(i))
            .map(|i| (examples[i].clone(), votes[i].clone()))
            .unzip();
        println!(
            "{name}, not trained on\n{}",
            table(&held, &votes, &together, verbose.contains('d'))
        );
    }
    if verbose.contains('f') {
        let families: Vec<_> = {
            let mut all: Vec<_> = examples.iter().map(|e| (e.family, e.language)).collect();
            all.sort();
            all.dedup();
            all
        };
        let family_fold = |index: usize| {
            families
                .iter()
                .position(|f| *f == (examples[index].family, examples[index].language))
                .unwrap()
                % 8
        };
        let votes = cross_votes(&examples, family_fold, 8, &settings);
        println!(
            "cross-validated, whole families held out\n{}",
            table(&examples, &votes, &together, false)
        );
    }
    let mut random = fastrand::Rng::with_seed(SEED);
    let points = points(examples.iter(), &mut random);
    let weights = train(&points, &settings, &mut random);
    if let Ok(path) = std::env::var("TIERS_WEIGHTS") {
        let path = std::path::Path::new(&path);
        std::fs::write(path.join("vote.weights"), &weights[..]).unwrap();
        let head =
            "# How rules and vote are weighed (together.rs). Written by scripts/train-tiers.\n\n";
        std::fs::write(
            path.join("together.toml"),
            format!("{head}{}", toml::to_string(&together).unwrap()),
        )
        .unwrap();
    }
    let used = weights[4..].iter().filter(|b| **b != 0).count();
    println!("{} points, {used} weights that are not zero", points.len());
    for (name, examples) in [("evaluation", evaluation()), ("dev (trained on)", dev())] {
        let votes: Vec<Vote> = examples
            .iter()
            .map(|e| Vote::by(&weights, &Gist::of(&e.text)))
            .collect();
        println!(
            "{name}\n{}",
            table(&examples, &votes, &together, verbose.contains('e'))
        );
    }
}
