//! Looks for results with which a flow reaches the phases that it names.
//!
//! If the usual placeholders leave a phase without tasks, the flow is run again with others: texts
//! that pass the tests it was seen to make, ids of the prompt, long texts, and results that say the
//! opposite, one request after the other. Whatever reaches more phases becomes the plan. A phase
//! that only another result reaches is noted with that result.

use super::learnt::Learnt;
use super::mood::{Mood, Turn};
use super::play::{Asked, End, Played, Way};
use super::spoiled::count;
use super::{Ending, Tracer, mark};
use divisi_core::Site;
use divisi_core::preflight::Unreached;
use divisi_script::{Outline, ScriptError, TextTest};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Most runs. The gate of a flow is mostly among its last decisions, which are tried first.
const PLAYS_MAX: usize = 40;

/// Most tasks answered in these runs together.
const ANSWERS_MAX: usize = 6_000;

/// Most repeated requests whose results are turned around.
const TURNED_MAX: usize = 12;

/// Most values of a choice that are tried.
const CHOICES_MAX: usize = 4;

/// Most names of a prompt that a result repeats.
const NAMES_MAX: usize = 16;

/// Characters of a task's name in a reason.
const LABEL_CHARS_MAX: usize = 40;

/// Which phases the plan does not contain, and the placeholders with which it contains most.
#[derive(Default)]
pub(super) struct Explored {
    pub(super) mood: Mood,
    detours: Vec<Detour>,
}

/// Phases that another result reaches.
struct Detour {
    phases: BTreeSet<String>,
    /// The result, in words.
    when: String,
}

pub(super) fn look(
    tracer: &mut Tracer<'_>,
    main: &Played,
    ending: &Ending,
) -> Result<Explored, ScriptError> {
    let mut explorer = Explorer::new(tracer, ending);
    let mut best = explorer.missing(main);
    explorer.learn(main);
    let mut next = explorer.tries(main);
    while !best.is_empty() && explorer.may_play() {
        let Some((mood, when)) = next.pop_front() else {
            break;
        };
        let played = explorer.play(&mood)?;
        let missing = explorer.missing(&played);
        let phases: BTreeSet<String> = best.difference(&missing).cloned().collect();
        let is_wiser = explorer.learn(&played);
        // A flow is not planned as if a task had failed.
        let is_sound = mood.turns.values().all(|turn| *turn != Turn::Fails);
        if missing.len() < best.len() && is_sound {
            best = missing;
            explorer.found.mood = mood;
            next = explorer.tries(&played);
            continue;
        }
        if !phases.is_empty() {
            explorer.found.detours.push(Detour { phases, when });
        }
        if is_wiser {
            next = explorer.tries(&played);
        }
    }
    Ok(explorer.found)
}

struct Explorer<'a, 't> {
    tracer: &'a mut Tracer<'t>,
    outline: Outline,
    ending: &'a Ending,
    plays: usize,
    answers: usize,
    /// What texts have to be like to pass the tests of all runs so far.
    texts: Mood,
    tried: Vec<Mood>,
    found: Explored,
}

impl<'a, 't> Explorer<'a, 't> {
    fn new(tracer: &'a mut Tracer<'t>, ending: &'a Ending) -> Self {
        Self {
            outline: tracer.stage.script.outline(),
            tracer,
            ending,
            plays: 0,
            answers: 0,
            texts: Mood::default(),
            tried: vec![Mood::default()],
            found: Explored::default(),
        }
    }

    fn may_play(&self) -> bool {
        self.plays < PLAYS_MAX && self.answers < ANSWERS_MAX
    }

    /// Learns from the tests of a run; whether there was something new.
    fn learn(&mut self, played: &Played) -> bool {
        let before = self.texts.clone();
        self.texts.learn(played);
        self.texts != before
    }

    fn play(&mut self, mood: &Mood) -> Result<Played, ScriptError> {
        let learnt = Learnt::default();
        let rounds_max = self.tracer.stage.limits.rounds_max;
        let played = self.tracer.stage.play(&Way {
            mood,
            ..self.tracer.usual(&self.ending.all, &learnt, rounds_max)
        })?;
        self.plays += 1;
        self.tried.push(mood.clone());
        self.answers += played.tasks.len();
        Ok(played)
    }

    /// The phases of the outline in which this run requests no task.
    fn missing(&self, played: &Played) -> BTreeSet<String> {
        missing(&self.outline, played)
    }

    /// Further placeholders to try after this run, the most promising first, with the difference in
    /// words.
    fn tries(&self, played: &Played) -> VecDeque<(Mood, String)> {
        let mood = &self.found.mood;
        let mut tries: Vec<(Mood, String)> = vec![];
        let learnt = Mood {
            texts: self.texts.texts.clone(),
            ..mood.clone()
        };
        let mut obliging = learnt.clone();
        obliging.echoes = true;
        for asked in &played.tasks {
            obliging.compare(asked, &self.outline.compared);
        }
        let when = "the texts in results pass the tests of the script".to_owned();
        for first in 0..3 {
            for mood in [&obliging, &learnt] {
                let mood = Mood {
                    first,
                    ..mood.clone()
                };
                tries.push((mood, when.clone()));
            }
        }
        let mut naming = obliging.clone();
        for asked in &played.tasks {
            naming.name(asked, &self.outline.names);
        }
        tries.push((
            naming,
            "the texts in results are names of the prompt".to_owned(),
        ));
        let long = Mood {
            is_long: true,
            ..obliging
        };
        tries.push((long, "the texts in results are long".to_owned()));
        for asked in turned(played) {
            for (turn, when) in turns(asked) {
                let mut mood = learnt.clone();
                mood.turns.insert(asked.same.clone(), turn);
                tries.push((mood, when));
            }
        }
        let mut seen = self.tried.clone();
        tries.retain(|(mood, _)| {
            let is_new = !seen.contains(mood);
            seen.push(mood.clone());
            is_new
        });
        tries.into()
    }
}

impl Mood {
    /// Adds what the tests of a run ask of texts.
    pub(super) fn learn(&mut self, played: &Played) {
        for (text, test) in &played.tests {
            let Some((place, name)) = mark::named(text) else {
                continue;
            };
            if let Some(asked) = played.tasks.get(place) {
                let key = (asked.same.clone(), name.to_owned());
                self.texts.entry(key).or_default().add(test);
            }
        }
    }

    /// Adds the names of the script that the prompt of `asked` contains, for its texts, and makes its
    /// lists long enough for all of them.
    pub(super) fn name(&mut self, asked: &Asked, names: &[String]) {
        let prompt = &asked.task.prompt;
        let is_in = |name: &&String| count(prompt, name) > 0;
        let here: Vec<String> = names
            .iter()
            .filter(is_in)
            .take(NAMES_MAX)
            .cloned()
            .collect();
        if here.len() < 2 {
            return;
        }
        for field in asked.fields.iter().filter(|field| !field.decides) {
            let name = field.path.rsplit('.').next().unwrap_or_default();
            let key = (asked.same.clone(), name.to_owned());
            let among = TextTest::Among(here.clone());
            self.texts.entry(key).or_default().add(&among);
            self.widths.insert(asked.same.clone(), here.len());
        }
    }

    /// Adds the words with which the script compares fields, for the properties of `asked`.
    pub(super) fn compare(&mut self, asked: &Asked, compared: &BTreeMap<String, Vec<String>>) {
        for field in &asked.fields {
            let name = field.path.rsplit('.').next().unwrap_or_default();
            if let (false, Some(words)) = (field.decides, compared.get(name)) {
                let key = (asked.same.clone(), name.to_owned());
                self.texts
                    .entry(key)
                    .or_default()
                    .add(&TextTest::Among(words.clone()));
            }
        }
    }
}

/// The phases of the outline in which a run requests no task. A phase without tasks of its own
/// counts once it has begun.
fn missing(outline: &Outline, played: &Played) -> BTreeSet<String> {
    let of_tasks = played
        .tasks
        .iter()
        .filter_map(|asked| asked.task.phase.as_deref());
    let reached: BTreeSet<&str> = of_tasks.collect();
    let begun: BTreeSet<&str> = played.told.iter().map(String::as_str).collect();
    let is_missing = |title: &&String| {
        let is_begun = !outline.of_tasks.contains(*title) && begun.contains(title.as_str());
        !reached.contains(title.as_str()) && !is_begun
    };
    outline.phases.keys().filter(is_missing).cloned().collect()
}

/// The tasks whose results the script has looked at, one for each repeated request, the last first.
fn turned(played: &Played) -> Vec<&Asked> {
    let mut known = BTreeSet::new();
    let looked = played.tasks.iter().rev();
    looked
        .filter(|asked| asked.looked_from.is_some() || asked.task.schema.is_none())
        .filter(|asked| known.insert(asked.same.clone()))
        .take(TURNED_MAX)
        .collect()
}

/// The ways to turn a result around, by the fields that the script looks at, in words.
fn turns(asked: &Asked) -> Vec<(Turn, String)> {
    let label = short(asked);
    let schema = asked.task.schema.as_deref();
    let of = |kind: Kind| -> Vec<String> {
        let fields = asked.fields.iter();
        let paths = fields.map(|field| field.path.as_str());
        let alike =
            paths.filter(|path| schema.and_then(|schema| Kind::at(schema, path)) == Some(kind));
        let mut names: Vec<String> = alike.map(|path| format!("`{path}`")).collect();
        names.dedup();
        names.truncate(2);
        names
    };
    let mut turns = vec![];
    let mut add = |turn: Turn, kind: Kind, says: &str| {
        let names = of(kind);
        if !names.is_empty() {
            turns.push((turn, format!("`{label}` {says} {}", names.join(" and "))));
        }
    };
    add(Turn::Otherwise, Kind::Boolean, "says otherwise in");
    for step in 1..CHOICES_MAX {
        add(Turn::Choice(step), Kind::Choice, "makes another choice in");
    }
    add(Turn::Empty, Kind::List, "finds nothing for");
    add(Turn::Low, Kind::Number, "gives a low number in");
    if asked.may_fail() {
        turns.push((Turn::Fails, format!("`{label}` fails")));
    }
    turns
}

/// The name of a task on part of a line.
fn short(asked: &Asked) -> String {
    let label = mark::replaced(&asked.task.title(), |_| "…".to_owned());
    match label.char_indices().nth(LABEL_CHARS_MAX) {
        Some((end, _)) => format!("{}…", &label[..end]),
        None => label,
    }
}

/// The kind of a field.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Boolean,
    Choice,
    List,
    Number,
}

impl Kind {
    /// The kind of the field at `path` of results with this schema.
    fn at(schema: &Value, path: &str) -> Option<Self> {
        let mut here = schema;
        for name in path.split('.') {
            while let Some(items) = here.get("items") {
                here = items;
            }
            here = here.get("properties")?.get(name)?;
        }
        if here.get("enum").is_some() {
            return Some(Self::Choice);
        }
        match here.get("type")?.as_str()? {
            "boolean" => Some(Self::Boolean),
            "array" => Some(Self::List),
            "integer" | "number" => Some(Self::Number),
            _ => None,
        }
    }
}

impl Explored {
    /// The phases that the plan of `main` does not contain, with the reason.
    pub(super) fn unreached(&self, tracer: &Tracer<'_>, main: &Played) -> Vec<Unreached> {
        let outline = tracer.stage.script.outline();
        let reached = main
            .tasks
            .iter()
            .filter_map(|asked| asked.task.phase.as_deref());
        let last = reached.filter_map(|phase| outline.phases.get(phase)).max();
        let is_whole = matches!(main.end, End::Returned(_));
        let is_passed = |title: &str| is_whole && outline.phases.get(title) < last;
        let why = |title: &str| match (is_passed(title), outline.has_args) {
            (true, true) => "only with other arguments, it seems".to_owned(),
            (true, false) => "no placeholder tried leads there".to_owned(),
            (false, true) if tracer.stage.args.is_none() => {
                format!("{}; it may need arguments", ends_after(main))
            }
            (false, _) => ends_after(main),
        };
        let unreached = |title: String| {
            let detour = self
                .detours
                .iter()
                .find(|detour| detour.phases.contains(&title));
            Unreached {
                site: outline.phases.get(&title).map(|line| Site {
                    script: tracer.stage.script.name().clone(),
                    line: *line,
                }),
                is_other_branch: detour.is_some() || (is_passed(&title) && outline.has_args),
                why: detour
                    .map_or_else(|| why(&title), |detour| format!("only if {}", detour.when)),
                phase: title.into(),
            }
        };
        let missing = missing(&outline, main);
        missing.into_iter().map(unreached).collect()
    }
}

/// Where a run ended, as a reason why it went no further.
fn ends_after(main: &Played) -> String {
    match main.end {
        End::Threw(_) => return "the script fails before".to_owned(),
        End::TooMany(_) | End::Refused(_) | End::TooOften | End::Busy(_) => {
            return "the plan ends before".to_owned();
        }
        End::Not | End::Returned(_) => {}
    }
    let Some(last) = main.tasks.iter().max_by_key(|asked| asked.answered) else {
        return "the script requests no task".to_owned();
    };
    let label = short(last);
    let mut names: Vec<String> = vec![];
    for field in &last.fields {
        let name = format!("`{}`", field.path);
        if !names.contains(&name) && names.len() < 2 && !field.path.is_empty() {
            names.push(name);
        }
    }
    match names.is_empty() {
        true => format!("the script ends after `{label}`, whatever placeholder it gets"),
        false => format!(
            "the script ends after `{label}`, whatever placeholders it gets for {}",
            names.join(" and ")
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_kind_of_a_field_is_found_within_lists() {
        let schema = json!({"type": "object", "properties": {"rulings": {"type": "array", "items": {
            "type": "object", "properties": {"holds": {"type": "boolean"}, "grade": {"enum": ["a"]}},
        }}}});
        assert!(Kind::at(&schema, "rulings") == Some(Kind::List));
        assert!(Kind::at(&schema, "rulings.holds") == Some(Kind::Boolean));
        assert!(Kind::at(&schema, "rulings.grade") == Some(Kind::Choice));
        assert!(Kind::at(&schema, "other").is_none());
    }
}
