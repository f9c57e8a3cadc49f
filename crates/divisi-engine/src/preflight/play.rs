//! One run of a flow on placeholders: what it requested, and when.

use super::mood::{Mood, Turn};
use super::placeholder::{self, Looks};
use super::{TraceLimits, mark};
use crate::flow::Library;
use crate::setup::AGENTS_MAX;
use divisi_core::event::GroupKind;
use divisi_core::preflight::Remark;
use divisi_core::{FailureClass, Millis, PicoUsd, Site, Task};
use divisi_script::{
    Answer, Call, CallId, ErrorKind, Expect, GroupId, Host, HostLimits, HostOptions, LookAt,
    NO_META, Script, ScriptError, TaskAnswer, TextTest,
};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

/// Most comparisons of texts that are kept of one run.
const TESTS_MAX: usize = 1_000;

/// What all runs of a flow have in common.
pub(super) struct Stage<'a> {
    pub(super) script: &'a Script,
    pub(super) args: Option<&'a Value>,
    pub(super) options: &'a HostOptions,
    pub(super) library: &'a Library,
    pub(super) limits: &'a TraceLimits,
    /// Most calls of a run, if the script or the settings state that.
    pub(super) calls_max: Option<usize>,
}

/// The options of one run.
pub(super) struct Way<'a> {
    pub(super) order: Order,
    /// Length of lists without an expectation.
    pub(super) width: usize,
    /// Elements of the lists that tasks of a line return, as past runs have shown.
    pub(super) widths: &'a BTreeMap<Site, usize>,
    /// Rounds of repeated requests that results end, as past runs have shown.
    pub(super) rounds: &'a BTreeMap<Arc<str>, usize>,
    /// Whether lists have the length that the flow expects.
    pub(super) heeds_expect: bool,
    /// Requests whose repetition ends after some rounds.
    pub(super) ending: &'a BTreeSet<Arc<str>>,
    /// The run is stopped after this number of equal rounds.
    pub(super) rounds_max: usize,
    /// Most tasks.
    pub(super) tasks_max: usize,
    /// Selects the tasks that fail.
    pub(super) fails: &'a dyn Fn(&Asked) -> bool,
    /// How placeholders differ from usual ones.
    pub(super) mood: &'a Mood,
}

impl Way<'_> {
    /// The number of rounds after which results say that nothing is left to do.
    fn rounds_of(&self, same: &str) -> usize {
        self.rounds.get(same).copied().unwrap_or(super::ROUNDS)
    }
}

/// Which waiting task is answered next.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    /// The one that has waited longest, as if all took equally long.
    Oldest,
    /// The first of those requested last, so that the first chain reaches its end before others.
    FirstToEnd,
    /// The last of those, so that the last chain reaches its end before others.
    LastToEnd,
}

/// What a run requested.
#[derive(Default)]
pub(super) struct Played {
    pub(super) tasks: Vec<Asked>,
    pub(super) groups: Vec<Together>,
    /// Its log lines.
    pub(super) told: Vec<String>,
    /// The caps it set for phases.
    pub(super) phase_caps: BTreeMap<Arc<str>, PicoUsd>,
    /// Probable mistakes of its author.
    pub(super) warnings: Vec<Remark>,
    /// The comparisons it made of texts with marks.
    pub(super) tests: Vec<(String, TextTest)>,
    pub(super) end: End,
}

/// A requested task.
pub(super) struct Asked {
    pub(super) task: Task,
    pub(super) site: Option<Site>,
    pub(super) group: Option<usize>,
    pub(super) is_informed: bool,
    /// Whether functions of the script check its result.
    pub(super) is_checked: bool,
    expect: Expect,
    id: CallId,
    /// The tasks whose marks are in its prompt or context, ascending.
    pub(super) reads: Vec<usize>,
    /// The task after whose answer the script requested it.
    pub(super) after: Option<usize>,
    /// Number of answers at the time of the request.
    pub(super) made: usize,
    /// Number of its own answer, from 1.
    pub(super) answered: Option<usize>,
    /// Whether the use of its placeholder can be traced: by marks, or by looks at its fields.
    pub(super) is_traced: bool,
    /// The fields of its result that the script has looked at, in order.
    pub(super) fields: Vec<Field>,
    /// Number of tasks requested before the script first looked at its result.
    pub(super) looked_from: Option<usize>,
    /// The same for a look that can only decide what the script does next.
    pub(super) decides_from: Option<usize>,
    /// Identifies equal tasks of a loop.
    pub(super) same: Arc<str>,
    /// Number of equal tasks before it, one after the other.
    pub(super) round: usize,
    /// Whether it is the first of several requested together.
    pub(super) is_first: bool,
}

/// A field of a result that the script has looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Field {
    /// Its path, of property names joined by dots.
    pub(super) path: String,
    /// Whether it has no mark, so that the script can only decide something by it.
    pub(super) decides: bool,
}

/// A group that has begun.
pub(super) struct Together {
    pub(super) kind: GroupKind,
    pub(super) width: usize,
    pub(super) site: Option<Site>,
    pub(super) parent: Option<usize>,
    /// Whether its tasks come from a planner that may plan any number.
    pub(super) is_planned: bool,
}

/// How a run ended.
#[derive(Default)]
pub(super) enum End {
    /// It still runs.
    #[default]
    Not,
    /// The flow returned this.
    Returned(Arc<str>),
    /// The script failed.
    Threw(ScriptError),
    /// It computed for too long; where.
    Busy(Option<Site>),
    /// It requests more than a plan shows; where.
    TooMany(Option<Site>),
    /// It requests more than a run may: from here on a run refuses its calls.
    Refused(Option<Site>),
    /// It repeats the same request too often.
    TooOften,
}

/// Timers of less than this are pauses, and fire before agents answer; longer ones are limits on how
/// long an agent may take, and fire after them. No agent takes less than some seconds.
const LONG: Millis = Millis(30_000);

/// The answer to a timer.
fn fired() -> Answer {
    Answer::Task(TaskAnswer::ok("null"))
}

impl Stage<'_> {
    /// Runs the flow with these options. Fails only without a script engine.
    pub(super) fn play(&self, way: &Way<'_>) -> Result<Played, ScriptError> {
        let (mut host, calls) = Host::start(self.script, self.args.cloned(), self.options.clone())?;
        let mut player = Player {
            stage: self,
            way,
            played: Played::default(),
            groups: BTreeMap::new(),
            waiting: VecDeque::new(),
            timers: VecDeque::new(),
            at_once: 0,
            widest: 0,
            answers: 0,
            answered: None,
            together: BTreeMap::new(),
            latest: BTreeMap::new(),
        };
        player.take(&mut host, calls)?;
        player.looked(&mut host);
        while player.goes_on(&host) {
            let next = match way.order {
                Order::Oldest => player.waiting.pop_front(),
                Order::FirstToEnd | Order::LastToEnd => player.waiting.pop_back(),
            };
            let (id, answer) = match next {
                Some(place) => {
                    let answer = player.answer(place);
                    (player.played.tasks[place].id, Answer::Task(answer))
                }
                None => match player.timers.pop_front() {
                    Some(timer) => (timer, fired()),
                    // A script that waits for nothing has ended.
                    None => break,
                },
            };
            let calls = host.resolve(id, answer)?;
            player.take(&mut host, calls)?;
            player.looked(&mut host);
        }
        Ok(player.played)
    }
}

struct Player<'a> {
    stage: &'a Stage<'a>,
    way: &'a Way<'a>,
    played: Played,
    groups: BTreeMap<GroupId, usize>,
    /// Unanswered tasks, in the order of their requests.
    waiting: VecDeque<usize>,
    /// Long timers, which fire once nothing else is left to answer.
    timers: VecDeque<CallId>,
    /// Number of the latest tasks that were requested together, and the largest such number.
    at_once: usize,
    widest: usize,
    /// Number of answers, and the task of the last one.
    answers: usize,
    answered: Option<usize>,
    /// For tasks requested together: the first one, and their number.
    together: BTreeMap<Bunch, (usize, usize)>,
    /// The last of equal tasks in each group, and of those requested together without one.
    latest: BTreeMap<(Barrier, Arc<str>), usize>,
}

/// Tasks that have all ended when the script goes on after them: those of a group, or those
/// requested together, by the number of answers before.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Barrier {
    Group(usize),
    Step(usize),
}

/// Identifies tasks requested together: by group, or without one by step and line.
type Bunch = (Option<usize>, Option<(usize, Option<Site>)>);

impl Player<'_> {
    /// Whether the run continues; notes how it ended otherwise.
    fn goes_on(&mut self, host: &Host) -> bool {
        if let Some(result) = host.finished() {
            self.played.end = match result {
                Ok(json) => End::Returned(json),
                Err(error) if error.kind() == ErrorKind::Busy => End::Busy(error.site().cloned()),
                Err(error) => End::Threw(error),
            };
        }
        matches!(self.played.end, End::Not)
    }

    fn answer(&mut self, place: usize) -> TaskAnswer {
        self.answers += 1;
        self.answered = Some(place);
        self.played.tasks[place].is_first = self.is_first(place);
        let asked = &self.played.tasks[place];
        let is_lost =
            (self.way.fails)(asked) || self.way.mood.turn(&asked.same) == Some(Turn::Fails);
        if asked.may_fail() && is_lost {
            self.played.tasks[place].answered = Some(self.answers);
            return TaskAnswer::failed(FailureClass::Lost, "no result");
        }
        let own = Expect {
            max: asked.expect.max,
            ..Expect::default()
        };
        let looks = Looks {
            place,
            same: &asked.same,
            prompt: &asked.task.prompt,
            mood: self.way.mood,
            expect: if self.way.heeds_expect {
                &asked.expect
            } else {
                &own
            },
            width: asked
                .site
                .as_ref()
                .and_then(|site| self.way.widths.get(site).copied())
                .unwrap_or(self.way.width),
            round: asked.round,
            is_last: asked.round >= self.way.rounds_of(&asked.same)
                && self.way.ending.contains(&asked.same),
        };
        let placeholder = match asked.is_command() {
            true => placeholder::of_command(&looks),
            false => match &asked.task.approval {
                Some(approval) => placeholder::of_question(approval, &looks),
                None => placeholder::of(asked.task.schema.as_deref(), &looks),
            },
        };
        let asked = &mut self.played.tasks[place];
        asked.answered = Some(self.answers);
        asked.is_traced = placeholder.is_marked || placeholder.has_fields();
        placeholder.answer
    }

    /// Notes what the script has looked at since the last time.
    fn looked(&mut self, host: &mut Host) {
        for look in host.take_looks() {
            let tasks = &self.played.tasks;
            let from = tasks.partition_point(|asked| asked.id < look.before);
            match look.at {
                LookAt::Field {
                    call,
                    path,
                    decides,
                } => {
                    let found = tasks.binary_search_by_key(&call, |asked| asked.id);
                    if let Ok(place) = found {
                        self.played.tasks[place].looked(Field { path, decides }, from);
                    }
                }
                LookAt::Text { text, test } => {
                    if self.played.tests.len() < TESTS_MAX {
                        self.played.tests.push((text.clone(), test));
                    }
                    for place in mark::found(&text) {
                        if let Some(asked) = self.played.tasks.get_mut(place) {
                            asked.looked_from.get_or_insert(from);
                            asked.decides_from.get_or_insert(from);
                        }
                    }
                }
            }
        }
    }

    /// Handles calls. Other scripts are loaded at once, as in a run.
    fn take(&mut self, host: &mut Host, calls: Vec<Call>) -> Result<(), ScriptError> {
        let before = self.waiting.len();
        self.note(host, calls)?;
        if self.way.order == Order::FirstToEnd {
            self.waiting.make_contiguous()[before..].reverse();
        }
        Ok(())
    }

    fn note(&mut self, host: &mut Host, calls: Vec<Call>) -> Result<(), ScriptError> {
        let mut calls = VecDeque::from(calls);
        while let Some(call) = calls.pop_front() {
            match call {
                Call::Task {
                    id,
                    task,
                    site,
                    group,
                    expect,
                    is_informed,
                    is_checked,
                    ..
                } => {
                    if let Some(end) = self.is_full(&site) {
                        self.played.end = end;
                        return Ok(());
                    }
                    let group = group.and_then(|id| self.groups.get(&id).copied());
                    let asked = Asked::new(id, *task, site);
                    self.asked(Asked {
                        group,
                        expect,
                        is_informed,
                        is_checked,
                        ..asked
                    });
                }
                Call::Timer { id, delay, .. } if delay < LONG => {
                    calls.extend(host.resolve(id, fired())?);
                }
                Call::Timer { id, .. } => self.timers.push_back(id),
                Call::Load { id, reference, .. } => {
                    let answer = match self.stage.library.load(&reference) {
                        Ok(file) => Answer::Source {
                            name: file.path,
                            source: file.source,
                        },
                        Err(message) => Answer::LoadFailed { message },
                    };
                    calls.extend(host.resolve(id, answer)?);
                }
                Call::GroupBegan {
                    id,
                    kind,
                    width,
                    parent,
                    site,
                } => {
                    let parent = parent.and_then(|id| self.groups.get(&id).copied());
                    let place = self.played.groups.len();
                    self.groups.insert(id, place);
                    let is_planned = kind == GroupKind::Decompose && self.planner_is_free();
                    self.played.groups.push(Together {
                        kind,
                        width,
                        site,
                        parent,
                        is_planned,
                    });
                }
                Call::GroupEnded { .. } => {}
                // Ignored: limits belong to the run, and an exception may be caused by the
                // placeholder.
                Call::Refused { .. } | Call::Uncaught { .. } => {}
                Call::Phase { title, cap } => {
                    if let Some(cap) = cap {
                        self.played.phase_caps.insert(title.as_str().into(), cap);
                    }
                    self.played.told.push(title);
                }
                Call::Log { message } => self.played.told.push(message),
                // A missing `meta` is no problem of a plan.
                Call::Warning { message, .. } if message == NO_META => {}
                Call::Warning {
                    message: what,
                    site,
                } => self.played.warnings.push(Remark { what, site }),
            }
        }
        Ok(())
    }

    /// Whether the last answer was a planner's, without an expected number of tasks.
    fn planner_is_free(&self) -> bool {
        let planner = self
            .answered
            .map(|place| &self.played.tasks[place])
            .filter(|asked| asked.is_planner());
        planner.is_some_and(|planner| planner.expect.elements("tasks").is_none())
    }

    /// The end of the dry run, if it shows no further task.
    fn is_full(&self, site: &Option<Site>) -> Option<End> {
        let tasks = self.played.tasks.len();
        let refused = match self.stage.calls_max {
            Some(stated) => stated,
            None => (AGENTS_MAX as usize).max(self.widest * HostLimits::FURTHER as usize),
        };
        match () {
            () if tasks >= refused => Some(End::Refused(site.clone())),
            () if tasks >= self.way.tasks_max => Some(End::TooMany(site.clone())),
            () => None,
        }
    }

    fn asked(&mut self, asked: Asked) {
        let place = self.played.tasks.len();
        let after = self.answered;
        let tasks = &self.played.tasks;
        // The nearest equal task among those before it in the chain of answers.
        let mut before = std::iter::successors(after, |place| tasks[*place].after);
        let round = before
            .find_map(|place| self.equal(place, &asked))
            .map_or(0, |place| tasks[place].round + 1);
        if round >= self.way.rounds_max {
            self.played.end = End::TooOften;
        }
        let made = self.answers;
        let last = self.played.tasks.last().map(|asked| asked.made);
        self.at_once = match last == Some(made) {
            true => self.at_once + 1,
            false => 1,
        };
        self.widest = self.widest.max(self.at_once);
        self.played.tasks.push(Asked {
            after,
            made,
            round,
            ..asked
        });
        self.waiting.push_back(place);
        for barrier in self.barriers(place).collect::<Vec<_>>() {
            let same = self.played.tasks[place].same.clone();
            self.latest.insert((barrier, same), place);
        }
        self.together
            .entry(self.played.tasks[place].together())
            .or_insert((place, 0))
            .1 += 1;
    }

    /// The task equal to `asked` that is `place`, or has ended together with it.
    fn equal(&self, place: usize, asked: &Asked) -> Option<usize> {
        if self.played.tasks[place].same == asked.same {
            return Some(place);
        }
        let around: Vec<usize> = self.groups_around(asked.group).collect();
        let is_over = |barrier: &Barrier| match barrier {
            Barrier::Group(group) => !around.contains(group),
            Barrier::Step(_) => true,
        };
        self.barriers(place)
            .filter(is_over)
            .find_map(|barrier| self.latest.get(&(barrier, asked.same.clone())).copied())
    }

    /// What a task ends together with.
    fn barriers(&self, place: usize) -> impl Iterator<Item = Barrier> + '_ {
        let asked = &self.played.tasks[place];
        let step = asked.group.is_none().then_some(Barrier::Step(asked.made));
        self.groups_around(asked.group)
            .map(Barrier::Group)
            .chain(step)
    }

    /// A group and those that contain it, the innermost first.
    fn groups_around(&self, group: Option<usize>) -> impl Iterator<Item = usize> + '_ {
        std::iter::successors(group, |group| self.played.groups[*group].parent)
    }

    /// Whether it is the first of several requested together.
    fn is_first(&self, place: usize) -> bool {
        let together = self.together.get(&self.played.tasks[place].together());
        together.is_some_and(|(first, count)| *first == place && *count > 1)
    }
}

impl Asked {
    fn new(id: CallId, task: Task, site: Option<Site>) -> Self {
        let mut reads = mark::found(&task.prompt);
        reads.extend(task.context.iter().flat_map(|context| mark::found(context)));
        reads.sort_unstable();
        reads.dedup();
        Self {
            same: same(&task, site.as_ref()),
            reads,
            task,
            site,
            group: None,
            is_informed: false,
            is_checked: false,
            expect: Expect::default(),
            id,
            after: None,
            made: 0,
            answered: None,
            is_traced: false,
            fields: vec![],
            looked_from: None,
            decides_from: None,
            round: 0,
            is_first: false,
        }
    }

    /// Notes a look at its result after `from` tasks were requested.
    fn looked(&mut self, field: Field, from: usize) {
        self.looked_from.get_or_insert(from);
        if field.decides {
            self.decides_from.get_or_insert(from);
        }
        if !self.fields.contains(&field) {
            self.fields.push(field);
        }
    }

    fn together(&self) -> Bunch {
        match self.group {
            Some(group) => (Some(group), None),
            None => (None, Some((self.made, self.site.clone()))),
        }
    }

    /// Whether the flow declares the lengths of lists in its result.
    pub(super) fn is_expected(&self) -> bool {
        self.expect.all.is_some() || !self.expect.by_path.is_empty()
    }

    /// Whether the script continues if it has no result.
    pub(super) fn may_fail(&self) -> bool {
        !self.task.required && !self.is_command()
    }

    fn is_planner(&self) -> bool {
        self.task
            .schema
            .as_deref()
            .is_some_and(placeholder::is_of_plans)
    }

    fn is_command(&self) -> bool {
        self.task.is_shell()
    }
}

/// Identifies equal tasks of a loop: by line, and by label or beginning of the prompt, without
/// numbers and marks.
fn same(task: &Task, site: Option<&Site>) -> Arc<str> {
    /// Prompts made in a loop have longer common beginnings than this.
    const CHARS: usize = 40;
    let text = task.label.as_deref().unwrap_or(&task.prompt);
    let text = mark::replaced(text, |_| String::new());
    let stem: String = text
        .chars()
        .filter(|c| !c.is_ascii_digit())
        .take(CHARS)
        .collect();
    let site = site.map(ToString::to_string).unwrap_or_default();
    format!("{site} {stem}").into()
}
