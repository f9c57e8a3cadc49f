//! Finds what a missing result does to the tasks that read it.
//!
//! The flow is run again with failing tasks: all of them, those of one line after the other, and
//! the first of each group. What these runs do not reach is not reported.

use super::play::{Asked, End, Played, Way};
use super::{Tracer, mark};
use divisi_core::Site;
use divisi_core::preflight::NullRead;
use divisi_script::ScriptError;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Most lines whose tasks are made to fail separately. Flows with more are long lists of tasks that
/// do not read each other.
const SITES_MAX: usize = 24;

/// Characters of text shown around a word.
const EXCERPT_CHARS: usize = 40;

/// Words in a text in place of a missing value.
const WORDS: [&str; 4] = ["null", "undefined", "[object Object]", "NaN"];

/// Words in a prompt that mention a missing part.
const TELLING: [&str; 11] = [
    "missing",
    "failed",
    "null",
    "not available",
    "unavailable",
    "no result",
    "could not",
    "skipped",
    "incomplete",
    "undefined",
    "absent",
];

/// What failures would spoil.
#[derive(Default)]
pub(super) struct Spoiled {
    pub(super) nulls: Vec<NullRead>,
    /// Tasks whose prompt would not mention a missing part.
    pub(super) uninformed: Vec<usize>,
    /// Lines at which a failure changes what the flow does.
    pub(super) felt: BTreeSet<Site>,
    /// For lines whose tasks decide whether others are requested: the first such task.
    pub(super) gates: BTreeMap<Site, usize>,
}

pub(super) fn look(
    tracer: &mut Tracer<'_>,
    main: &Played,
    usual: &Way<'_>,
) -> Result<Spoiled, ScriptError> {
    let mut spoiled = Spoiled::default();
    if matches!(main.end, End::TooMany(_) | End::Refused(_) | End::Busy(_)) {
        return Ok(spoiled);
    }
    let before = Before::of(main, tracer.stage.script.source());
    if let Some(played) = tracer.again(&Way {
        fails: &|_| true,
        ..*usual
    })? {
        before.nulls(&played, &mut spoiled.nulls);
    }
    for site in sites(main) {
        let fails = |asked: &Asked| asked.site.as_ref() == Some(&site);
        if let Some(played) = tracer.again(&Way {
            fails: &fails,
            ..*usual
        })? {
            before.nulls(&played, &mut spoiled.nulls);
            if let Some(first) = gated(main, &played, &site) {
                spoiled.gates.insert(site.clone(), first);
            }
            if shape(&played) != before.shape {
                spoiled.felt.insert(site);
            }
        }
    }
    if main.tasks.iter().any(|asked| asked.is_first)
        && let Some(played) = tracer.again(&Way {
            fails: &|asked| asked.is_first,
            ..*usual
        })?
    {
        spoiled.uninformed = uninformed(main, &played);
    }
    Ok(spoiled)
}

/// The lines of tasks that may fail, those with most tasks first.
fn sites(main: &Played) -> Vec<Site> {
    let mut tasks: BTreeMap<&Site, usize> = BTreeMap::new();
    for site in main
        .tasks
        .iter()
        .filter(|asked| asked.may_fail())
        .filter_map(|asked| asked.site.as_ref())
    {
        *tasks.entry(site).or_default() += 1;
    }
    let mut sites: Vec<_> = tasks.into_iter().collect();
    sites.sort_by_key(|(_, tasks)| std::cmp::Reverse(*tasks));
    sites
        .into_iter()
        .take(SITES_MAX)
        .map(|(site, _)| site.clone())
        .collect()
}

/// The first task that is not requested when those of `site` fail and the flow reaches its end.
fn gated(main: &Played, failed: &Played, site: &Site) -> Option<usize> {
    if !matches!(failed.end, End::Returned(_)) {
        return None;
    }
    let mut left: BTreeMap<Option<&Site>, usize> = BTreeMap::new();
    for asked in &failed.tasks {
        *left.entry(asked.site.as_ref()).or_default() += 1;
    }
    let mut kept = vec![];
    for asked in &main.tasks {
        let here = left.entry(asked.site.as_ref()).or_default();
        kept.push(*here > 0);
        *here = here.saturating_sub(1);
    }
    let other = |place: &usize| !kept[*place] && main.tasks[*place].site.as_ref() != Some(site);
    (0..kept.len()).find(other)
}

/// All prompts and log lines of a run, without texts from results.
fn shape(played: &Played) -> Vec<String> {
    let blank = |text: &str| mark::replaced(text, |_| String::new());
    let tasks = played
        .tasks
        .iter()
        .map(|asked| format!("{:?} {}", asked.site, blank(&asked.task.prompt)));
    let end = match &played.end {
        End::Returned(json) => blank(json),
        End::Threw(error) => error.to_string(),
        End::Not | End::Busy(_) | End::TooMany(_) | End::Refused(_) | End::TooOften => {
            String::new()
        }
    };
    tasks
        .chain(played.told.iter().map(|line| blank(line)))
        .chain([end])
        .collect()
}

/// The prompts of the run without failures.
struct Before<'s> {
    /// The text of the script: a word that stands in it is meant.
    source: &'s str,
    /// For each line and word, the largest number of occurrences in one prompt.
    counts: BTreeMap<(Option<Site>, &'static str), usize>,
    shape: Vec<String>,
}

impl<'s> Before<'s> {
    fn of(main: &Played, source: &'s str) -> Self {
        let mut counts = BTreeMap::new();
        for asked in &main.tasks {
            for word in WORDS {
                let most: &mut usize = counts.entry((asked.site.clone(), word)).or_default();
                *most = count(&asked.task.prompt, word).max(*most);
            }
        }
        Self {
            source,
            counts,
            shape: shape(main),
        }
    }

    /// Adds the words in prompts of `played` that did not occur before.
    fn nulls(&self, played: &Played, nulls: &mut Vec<NullRead>) {
        for asked in &played.tasks {
            for word in WORDS {
                let prompt = &asked.task.prompt;
                let is_new = match self.counts.get(&(asked.site.clone(), word)) {
                    Some(before) => count(prompt, word) > *before,
                    // A line reached only after failures has no earlier prompt to compare with.
                    None => word == "[object Object]" && count(prompt, word) > 0,
                };
                let is_new = is_new && stray(prompt, &[word], self.source).is_some();
                let is_known = nulls.iter().any(|null| null.site == asked.site);
                if is_new && !is_known {
                    nulls.push(NullRead {
                        label: mark::replaced(&asked.task.title(), |_| "…".to_owned()),
                        site: asked.site.clone(),
                        word: word.to_owned(),
                        excerpt: excerpt(prompt, word),
                    });
                }
            }
        }
    }
}

/// Tasks that read several results of one group and are still requested when one is missing,
/// without mentioning it.
fn uninformed(main: &Played, failed: &Played) -> Vec<usize> {
    let mut there = by_name(failed);
    let mut uninformed = vec![];
    for (place, asked) in main.tasks.iter().enumerate() {
        let Some(other) = there.get_mut(&name(asked)).and_then(VecDeque::pop_front) else {
            continue;
        };
        let other = &failed.tasks[other];
        let is_short = (1..asked.reads.len()).contains(&other.reads.len());
        if reads_several(main, asked)
            && is_short
            && !other.is_informed
            && !tells(&other.task.prompt)
        {
            uninformed.push(place);
        }
    }
    uninformed
}

/// Whether it reads two results that were requested together.
fn reads_several(main: &Played, asked: &Asked) -> bool {
    let mut seen = BTreeSet::new();
    asked
        .reads
        .iter()
        .filter_map(|place| main.tasks.get(*place))
        .any(|read| {
            let groups = std::iter::successors(read.group, |group| main.groups[*group].parent);
            let mut is_second = false;
            for group in groups {
                is_second |= !seen.insert((Some(group), None));
            }
            if read.group.is_none() {
                is_second |= !seen.insert((None, Some((read.made, read.site.clone()))));
            }
            is_second
        })
}

fn by_name(played: &Played) -> BTreeMap<(Option<Site>, String), VecDeque<usize>> {
    let mut by_name: BTreeMap<_, VecDeque<usize>> = BTreeMap::new();
    for (place, asked) in played.tasks.iter().enumerate() {
        by_name.entry(name(asked)).or_default().push_back(place);
    }
    by_name
}

fn name(asked: &Asked) -> (Option<Site>, String) {
    let label = asked.task.label.as_deref().unwrap_or_default();
    (asked.site.clone(), mark::replaced(label, |_| String::new()))
}

/// Whether a prompt mentions a missing part: in words, or as `4 of 5`.
fn tells(prompt: &str) -> bool {
    let prompt = mark::replaced(prompt, |_| String::new()).to_lowercase();
    let words: Vec<&str> = prompt.split_whitespace().collect();
    let number = |word: &str| {
        word.trim_matches(|c: char| !c.is_ascii_digit())
            .parse::<u64>()
            .ok()
    };
    let is_share = words.windows(3).any(|three| {
        let shown = number(three[0]).zip(number(three[2]));
        matches!(three[1], "of" | "/") && shown.is_some_and(|(some, all)| some < all)
    });
    is_share || TELLING.iter().any(|word| prompt.contains(word))
}

/// Number of occurrences of `word` in `text` as a word of its own.
pub(super) fn count(text: &str, word: &str) -> usize {
    places(text, word).count()
}

fn places<'t>(text: &'t str, word: &'t str) -> impl Iterator<Item = usize> + 't {
    let is_apart = |c: Option<char>| !c.is_some_and(|c| c.is_alphanumeric() || c == '_');
    text.match_indices(word)
        .map(|(at, _)| at)
        .filter(move |at| {
            is_apart(text[..*at].chars().next_back())
                && is_apart(text[at + word.len()..].chars().next())
        })
}

/// The last occurrence of `word` in a prompt with some text around it, on one line.
fn excerpt(prompt: &str, word: &str) -> String {
    let Some(at) = places(prompt, word).last() else {
        return String::new();
    };
    let end = at + word.len();
    let start = prompt[..at]
        .char_indices()
        .rev()
        .nth(EXCERPT_CHARS - 1)
        .map_or(0, |(at, _)| at);
    let stop = prompt[end..]
        .char_indices()
        .nth(EXCERPT_CHARS)
        .map_or(prompt.len(), |(at, _)| end + at);
    let shown = mark::replaced(&prompt[start..stop], |_| "…".to_owned());
    shown.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The first `word` of a prompt that is not written like this in the script, so that it comes from
/// a value.
pub(super) fn stray<'w>(prompt: &str, words: &[&'w str], source: &str) -> Option<&'w str> {
    /// Characters before a word that are compared with the script.
    const BEFORE_CHARS: usize = 6;
    let is_stray = |word: &str| {
        places(prompt, word).any(|at| {
            let start = prompt[..at]
                .char_indices()
                .rev()
                .nth(BEFORE_CHARS - 1)
                .map_or(0, |(at, _)| at);
            let written = &prompt[start..at + word.len()];
            let line = written.rsplit('\n').next().unwrap_or(written);
            !source.contains(line)
        })
    };
    words.iter().copied().find(|word| is_stray(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_stand_on_their_own() {
        assert_eq!(count("null, nullable, not_null (null)", "null"), 2);
        assert_eq!(count("a [object Object] b", "[object Object]"), 1);
    }

    #[test]
    fn what_is_written_in_the_script_is_no_stray() {
        let source = "agent(`Look for undefined behaviour in ${args.file}`)";
        let stray = |prompt| stray(prompt, &["undefined"], source);
        assert_eq!(stray("Look for undefined behaviour in a.c"), None);
        assert_eq!(
            stray("Look for undefined behaviour in undefined"),
            Some("undefined")
        );
    }

    #[test]
    fn a_prompt_tells_in_words_or_numbers() {
        assert!(tells("Parts that failed: a"));
        assert!(tells("Join these 4 of 5 reviews"));
        assert!(!tells("Join these 5 of 5 reviews"));
        assert!(!tells("Join these ⟦t1·missing⟧"));
    }

    #[test]
    fn an_excerpt_is_one_line() {
        assert_eq!(
            excerpt("Join\n\n⟦t0·a⟧ and\n null", "null"),
            "Join … and null"
        );
    }
}
