//! Stories of a run in a few lines, played and printed as the resulting events.
//!
//! A story is a flow together with its circumstances:
//!
//! ```text
//! cap $1.00                        what may be spent
//! warn at 80 %                     of it
//! Audit may spend $0.50            a phase
//! 2 at once                        how many attempts may be under way
//! waits for quota                  the process, when the run is parked for want of it
//! hopeless after 3                 tasks that fail alike
//! flow never returns               or it does once all tasks have an outcome
//! a ($0.40): server after 120 ms, then success $0.10 after 180 ms
//! b (priority 3): turn $0.02 after 50 ms; success $0.02 after 50 ms
//! c needs a b: declined after 10 ms
//! d asks a: success after 10 ms    has the prompt of `a`, so also its key
//! at 200 ms: park                  cancel, kill, resume, flow returns, flow fails,
//!                                  resume reopening failed, edit a, cap $2.00, log x
//! ```
//!
//! `($0.40)` is the bound of one turn's cost; `($0.10 + 3000 at $0.0001)` contains a reply of up to
//! 3000 tokens. `own $0.50`, `in Audit`, `on haiku opus`, `else sonnet` and `overloaded 5 s` are a
//! task's own budget, phase, ladder, fallbacks and longest wait for an overloaded vendor. A task's
//! attempts are separated by `, then`; the last is repeated. The turns of an attempt are separated
//! by `;`, and those with a kept reply are not requested again. A failure is a failure class, `for
//! 2 s` the vendor's retry-after, `silence` a request without a reply, `cut` a reply cut for lack
//! of room, `done` the result of a program that does not report its turns.

use super::{facts, flow_source, key, text, turn};
use crate::budget::{TurnBound, Unanswered};
use crate::event::{Caps, ParkReason, TaskFacts};
use crate::retry::QuotaWait;
use crate::run::{AttemptEnd, Stage, Submission, TaskStage};
use crate::{
    AttemptId, Event, Failure, FailureClass, Input, Limits, Millis, Outcome, PicoUsd, RetryPolicy,
    Run, TaskId, Timestamp,
};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

/// Plays the story and prints the recorded events, with times.
pub(super) fn trace(story: &str) -> String {
    let mut stand = Stand::new(Story::read(story));
    stand.play();
    stand.told
}

/// The same, and the run as it is in the end.
pub(super) fn traced(story: &str) -> (String, Run) {
    let mut stand = Stand::new(Story::read(story));
    stand.play();
    (stand.told, stand.run)
}

#[derive(Clone, Debug, Default)]
struct Story {
    caps: Caps,
    limits: Limits,
    endless: bool,
    waits: bool,
    parts: Vec<Part>,
    asides: Vec<(u64, String)>,
}

/// A task of the story.
#[derive(Clone, Debug, Default)]
struct Part {
    name: String,
    prompt: String,
    needs: Vec<String>,
    bound: TurnBound,
    own: Option<PicoUsd>,
    patience: Option<Millis>,
    phase: Option<String>,
    models: Vec<String>,
    fallbacks: Vec<String>,
    priority: u32,
    attempts: Vec<Vec<Step>>,
}

/// What becomes of one request.
#[derive(Clone, Debug)]
struct Step {
    what: String,
    wish: Option<Millis>,
    cost: PicoUsd,
    after: u64,
}

impl Story {
    fn read(story: &str) -> Self {
        let mut told = Self {
            limits: Limits {
                in_flight_max: 8,
                ..Limits::default()
            },
            ..Self::default()
        };
        for line in story.lines().map(str::trim).filter(|line| !line.is_empty()) {
            if let Some(cap) = line.strip_prefix("cap ") {
                told.caps.run = Some(dollars(cap));
            } else if let Some(percent) = line.strip_prefix("warn at ") {
                told.caps.warn_percent = Some(number(percent.trim_end_matches(" %")) as u8);
            } else if let Some((phase, cap)) = line.split_once(" may spend ") {
                told.caps.phases.insert(phase.into(), dollars(cap));
            } else if let Some(most) = line.strip_suffix(" at once") {
                told.limits.in_flight_max = number(most) as u32;
            } else if let Some(most) = line.strip_suffix(" tasks at most") {
                told.limits.tasks_max = number(most) as u32;
            } else if line == "waits for quota" {
                told.waits = true;
            } else if let Some(first) = line.strip_prefix("hopeless after ") {
                told.limits.hopeless_after = number(first) as u32;
            } else if line == "flow never returns" {
                told.endless = true;
            } else if let Some(aside) = line.strip_prefix("at ") {
                let (when, what) = aside.split_once(": ").expect("`at 10 ms: what`");
                told.asides.push((millis(when), what.to_owned()));
            } else {
                told.parts.push(Part::read(line));
            }
        }
        told
    }
}

impl Part {
    fn read(line: &str) -> Self {
        let (head, fates) = line.split_once(": ").expect("`name: fate`");
        let (head, options) = match head.split_once(" (") {
            Some((head, options)) => (head.to_owned(), options),
            None => (head.to_owned(), ")"),
        };
        let (options, more) = options.split_once(')').expect("a closing parenthesis");
        let head = head + more;
        let (head, asks) = head.split_once(" asks ").unwrap_or((&head, ""));
        let (name, needs) = head.split_once(" needs ").unwrap_or((head, ""));
        let mut part = Self {
            name: name.trim().to_owned(),
            prompt: if asks.is_empty() { name } else { asks }.trim().to_owned(),
            needs: needs.split_whitespace().map(str::to_owned).collect(),
            attempts: fates
                .split(", then ")
                .map(|attempt| attempt.split("; ").map(Step::read).collect())
                .collect(),
            ..Self::default()
        };
        for option in options.split(", ").filter(|option| !option.is_empty()) {
            let words = |list: &str| list.split(' ').map(str::to_owned).collect();
            match option.split_once(' ') {
                Some(("priority", priority)) => part.priority = number(priority) as u32,
                Some(("own", most)) => part.own = Some(dollars(most)),
                Some(("overloaded", span)) => part.patience = Some(Millis(millis(span))),
                Some(("in", phase)) => part.phase = Some(phase.to_owned()),
                Some(("on", models)) => part.models = words(models),
                Some(("else", models)) => part.fallbacks = words(models),
                _ => part.bound = bound(option),
            }
        }
        part
    }
}

impl Step {
    fn read(step: &str) -> Self {
        let (what, after) = step.split_once(" after ").expect("`success after 10 ms`");
        let (what, cost) = what.split_once(" $").unwrap_or((what, "0"));
        let (what, wish) = match what.split_once(" for ") {
            Some((what, wish)) => (what, Some(Millis(millis(wish)))),
            None => (what, None),
        };
        Self {
            what: what.to_owned(),
            wish,
            cost: dollars(cost),
            after: millis(after),
        }
    }
}

/// Where the story is played: the flow, the vendor, the driver and the store.
struct Stand {
    story: Story,
    run: Run,
    journal: Vec<(Timestamp, Event)>,
    now: Timestamp,
    alive: bool,
    /// What will happen, by moment and in the order in which it was planned.
    agenda: BTreeMap<(Timestamp, usize), Happening>,
    planned: usize,
    inbox: Vec<Input>,
    /// The flow: its requested tasks, and the outcomes given to it.
    asked: BTreeSet<String>,
    answered: BTreeSet<String>,
    /// Outcomes on their way to the flow, in order.
    answers: BTreeMap<u32, TaskId>,
    told: String,
}

#[derive(Clone, Debug)]
enum Happening {
    Aside(String),
    Step(AttemptId, usize),
}

impl Stand {
    fn new(story: Story) -> Self {
        let Story { limits, caps, .. } = story.clone();
        let mut stand = Self {
            run: Run::new(),
            journal: vec![],
            now: Timestamp(0),
            alive: true,
            agenda: BTreeMap::new(),
            planned: 0,
            inbox: vec![Input::Start {
                name: "story".into(),
                flow: flow_source(),
                limits,
                caps,
            }],
            asked: BTreeSet::new(),
            answered: BTreeSet::new(),
            answers: BTreeMap::new(),
            told: String::new(),
            story,
        };
        for (when, what) in stand.story.asides.clone() {
            stand.plan(when, Happening::Aside(what));
        }
        stand
    }

    fn plan(&mut self, after: u64, happening: Happening) {
        self.agenda
            .insert((self.now + Millis(after), self.planned), happening);
        self.planned += 1;
    }

    fn play(&mut self) {
        self.handle();
        loop {
            let next = self.agenda.keys().next().map(|(due, _)| *due);
            let wake = if self.alive { self.run.wake_at() } else { None };
            if let Some(wake) = wake {
                assert!(
                    wake > self.now,
                    "it wants to be woken at {}, which is past",
                    wake.0
                );
            }
            self.now = match (next, wake) {
                (Some(next), Some(wake)) if wake < next => wake,
                (None, Some(wake)) => wake,
                (Some(next), _) => next,
                (None, None) => break,
            };
            if next == Some(self.now) {
                let (_, happening) = self.agenda.pop_first().expect("there is a next");
                match happening {
                    Happening::Aside(what) => self.aside(&what),
                    Happening::Step(attempt, number) => self.step(attempt, number),
                }
            }
            self.handle();
        }
        if !matches!(self.run.stage(), Stage::Parked(_) | Stage::Ended(_)) {
            let waits = format!("waits     {:?}", self.run.stage()).to_lowercase();
            self.say(&waits);
        }
    }

    /// What a driver does: decides, applies, and once all is written, reacts.
    fn handle(&mut self) {
        while self.alive {
            let before = self.journal.len();
            for input in std::mem::take(&mut self.inbox) {
                let asks = match &input {
                    Input::Submit(submission) => Some(submission.facts.label.to_string()),
                    _ => None,
                };
                let tasks = self.run.all_tasks().count() + self.run.counts().total() as usize;
                self.decide(input);
                let asked = self.run.all_tasks().count() + self.run.counts().total() as usize;
                if let (true, Some(name)) = (asked == tasks, asks) {
                    self.answered.insert(name);
                }
            }
            while self.decide(Input::Tick) {}
            if self.story.waits {
                self.decide(Input::Wait(QuotaWait::default()));
            }
            for at in before..self.journal.len() {
                let event = self.journal[at].1.clone();
                self.react(&event);
            }
            self.flow_goes_on();
            if self.inbox.is_empty() {
                return;
            }
        }
    }

    fn decide(&mut self, input: Input) -> bool {
        let events = self.run.decide(self.now, input);
        for event in &events {
            self.run
                .apply(self.now, event)
                .expect("what was decided can follow");
            self.tell(event);
            self.journal.push((self.now, event.clone()));
        }
        !events.is_empty()
    }

    fn react(&mut self, event: &Event) {
        match event {
            Event::AttemptScheduled { attempt, .. } => self.begin(*attempt),
            Event::TurnScheduled { attempt, .. } => self.send(*attempt),
            Event::AttemptEnded { attempt, .. } => {
                self.agenda
                    .retain(|_, next| !matches!(next, Happening::Step(of, _) if of == attempt));
            }
            Event::TaskEnded { task, .. } | Event::TaskClaimed { task, .. } => {
                let task_state = self.run.task(*task).expect("a task");
                if let TaskStage::Ended { order, .. } = task_state.stage() {
                    self.answers.insert(*order, *task);
                }
            }
            _ => {}
        }
    }

    /// The flow requests every task that it can, then gets one outcome, and so on.
    fn flow_goes_on(&mut self) {
        if matches!(
            self.run.stage(),
            Stage::Unstarted | Stage::Parked(_) | Stage::Ended(_)
        ) {
            return;
        }
        loop {
            for part in &self.story.parts {
                let ready = part.needs.iter().all(|need| self.answered.contains(need));
                if ready && self.asked.insert(part.name.clone()) {
                    let facts = TaskFacts {
                        phase: part.phase.as_deref().map(Into::into),
                        models: part
                            .models
                            .iter()
                            .map(|model| model.as_str().into())
                            .collect(),
                        fallbacks: part
                            .fallbacks
                            .iter()
                            .map(|model| model.as_str().into())
                            .collect(),
                        first_turns: vec![part.bound],
                        cost_max: part.own,
                        retry: part.patience.map(|overload_wait_max| {
                            RetryPolicy {
                                overload_wait_max,
                                ..RetryPolicy::default()
                            }
                            .into()
                        }),
                        ..facts(&part.name, part.priority, PicoUsd::ZERO)
                    };
                    let submission = Submission::new(key(&part.prompt), facts, text("{}"), None);
                    self.inbox.push(Input::Submit(Box::new(submission)));
                }
            }
            if !self.inbox.is_empty() {
                return;
            }
            let Some((_, task)) = self.answers.pop_first() else {
                break;
            };
            self.answered.insert(self.name(task));
        }
        let done = self
            .story
            .parts
            .iter()
            .all(|part| self.answered.contains(&part.name));
        if done && !self.story.endless && self.run.result().is_none() {
            self.inbox.push(Input::FlowEnded(Ok(text("null"))));
        } else if *self.run.stage() == Stage::Replaying {
            self.inbox.push(Input::CaughtUp);
        }
    }

    /// Kept replies are not requested again.
    fn begin(&mut self, attempt: AttemptId) {
        let part = self.part(attempt.task);
        let kept = self
            .run
            .task(attempt.task)
            .expect("a task")
            .kept_turns()
            .len();
        if kept == 0 {
            self.send(attempt);
        } else {
            let bound = part.bound;
            self.inbox.push(Input::TurnWanted {
                attempt,
                tool_results: None,
                bound,
                tools: vec![],
            });
        }
    }

    fn send(&mut self, attempt: AttemptId) {
        let number = self
            .run
            .task(attempt.task)
            .expect("a task")
            .kept_turns()
            .len();
        let after = self.fate(attempt, number).after;
        self.plan(after, Happening::Step(attempt, number));
    }

    fn step(&mut self, attempt: AttemptId, number: usize) {
        let step = self.fate(attempt, number);
        let name = self.name(attempt.task);
        let mut reply = Box::new(turn(&format!("{name} {number}"), step.cost));
        let bound = self.part(attempt.task).bound;
        let of_reply = step.cost.saturating_sub(bound.prompt).0;
        reply.usage.output = of_reply.checked_div(bound.reply_token.0).unwrap_or(0);
        if step.what == "turn" {
            let bound = self.part(attempt.task).bound;
            let tool_results = Some(text(&format!("results {number}")));
            self.inbox.push(Input::TurnEnded {
                attempt,
                turn: reply,
            });
            self.inbox.push(Input::TurnWanted {
                attempt,
                tool_results,
                bound,
                tools: vec![],
            });
            return;
        }
        let cut = step.what == "cut";
        let class = class(&step.what);
        let result = class.map_or_else(
            || Ok(text(&name)),
            |class| Err(Failure::new(class, step.what.clone())),
        );
        let end = AttemptEnd {
            last_turn: (cut || step.what == "success").then_some(reply),
            next_turn: cut.then(|| self.part(attempt.task).bound.whole()),
            findings: (step.what == "refused").then(|| text("it is wrong")),
            unanswered: (step.what == "silence").then_some(Unanswered::UNKNOWN),
            retry_after: step.wish,
            ..AttemptEnd::of(result)
        };
        self.inbox.push(Input::AttemptEnded {
            attempt,
            end: Box::new(end),
        });
    }

    fn aside(&mut self, aside: &str) {
        match aside.split_once(' ').unwrap_or((aside, "")) {
            ("park", _) => {
                self.story.waits = false;
                self.inbox.push(Input::Park);
            }
            ("cancel", _) => self.inbox.push(Input::Cancel),
            ("kill", _) => self.kill(),
            ("resume", how) => self.resume(how == "reopening failed"),
            ("flow", "returns") => self.inbox.push(Input::FlowEnded(Ok(text("null")))),
            ("flow", "fails") => {
                let failure = Failure::new(FailureClass::Program, "x is not a function");
                self.inbox.push(Input::FlowEnded(Err(Box::new(failure))));
            }
            ("log", line) => self.inbox.push(Input::Log(line.into())),
            ("phase", title) => self.inbox.push(Input::Phase {
                title: title.into(),
                cap: None,
            }),
            ("cap", cap) => self.story.caps.run = Some(dollars(cap)),
            ("edit", name) => {
                let part = self
                    .story
                    .parts
                    .iter_mut()
                    .find(|part| part.name == name)
                    .expect("a task to edit");
                part.prompt += ", please";
            }
            _ => panic!("nobody knows how to {aside}"),
        }
    }

    /// The run must be equal to one rebuilt from its journal alone.
    fn kill(&mut self) {
        let mut run = Run::new();
        for (at, event) in &self.journal {
            run.apply(*at, event).expect("a journal can be replayed");
        }
        assert_eq!(run, self.run);
        self.run = run;
        self.alive = false;
        self.inbox.clear();
        self.agenda
            .retain(|_, next| matches!(next, Happening::Aside(_)));
        self.say("killed");
    }

    fn resume(&mut self, reopen_failed: bool) {
        self.alive = true;
        self.asked.clear();
        self.answered.clear();
        self.answers.clear();
        let Story { limits, caps, .. } = self.story.clone();
        self.inbox.push(Input::Resume {
            flow: flow_source(),
            limits,
            caps,
            reopen_failed,
            reopen: vec![],
        });
    }

    fn fate(&self, attempt: AttemptId, number: usize) -> Step {
        let attempts = self.part(attempt.task).attempts;
        let steps = &attempts[(attempt.number as usize - 1).min(attempts.len() - 1)];
        steps[number.min(steps.len() - 1)].clone()
    }

    fn part(&self, task: TaskId) -> Part {
        let name = self.name(task);
        self.story
            .parts
            .iter()
            .find(|part| part.name == name)
            .expect("a part")
            .clone()
    }

    fn name(&self, task: TaskId) -> String {
        self.run
            .task(task)
            .expect("a task")
            .facts()
            .label
            .to_string()
    }

    fn say(&mut self, what: &str) {
        writeln!(self.told, "{:>5} ms  {}", self.now.0, what.trim_end())
            .expect("a string takes it");
    }

    fn tell(&mut self, event: &Event) {
        let of = |attempt: &AttemptId| format!("{}#{}", self.name(attempt.task), attempt.number);
        let line = match event {
            // These events are in the story itself.
            Event::RunStarted(_) => return,
            Event::TaskSubmitted(_) if self.run.execution() == 1 => return,
            Event::FlowEnded { result: Ok(_) } => return,
            Event::FlowEnded { result: Err(_) } => "flow      failed".into(),
            Event::TaskSubmitted(submitted) => format!("submitted {}", submitted.facts.label),
            Event::RunResumed(_) => format!("resumed   execution {}", self.run.execution()),
            Event::CaughtUp {
                reused,
                saved,
                to_run,
            } => {
                format!(
                    "caught up {reused} reused{}, {to_run} to run",
                    amount(*saved)
                )
            }
            Event::PhaseStarted { title, .. } => format!("phase     {title}"),
            Event::SoftLimitReached { spent, cap } => format!("warned    {spent} of {cap}"),
            Event::Estimated { estimate } => format!("estimated {}", estimate.cost.p50),
            Event::Logged { message } => format!("logged    {message}"),
            Event::Uncaught { message, count } => format!("uncaught  {count}: {message}"),
            Event::Refused { refusal, count } => format!("refused   {count}: {refusal:?}"),
            Event::TaskClaimed { task, facts } => {
                let changed = if facts.is_some() { ", changed" } else { "" };
                format!("claimed   {}{changed}", self.name(*task))
            }
            Event::AttemptScheduled {
                attempt,
                model,
                reserved,
                reply_tokens,
            } => {
                let on = model
                    .as_ref()
                    .map(|model| format!(" on {model}"))
                    .unwrap_or_default();
                format!(
                    "scheduled {}{on}{}{}",
                    of(attempt),
                    amount(*reserved),
                    room(*reply_tokens)
                )
            }
            Event::TurnScheduled {
                attempt,
                reserved,
                reply_tokens,
                ..
            } => {
                format!(
                    "turn      {}{}{}",
                    of(attempt),
                    amount(*reserved),
                    room(*reply_tokens)
                )
            }
            Event::TurnHedged { attempt, reserved } => {
                format!("hedged    {}{}", of(attempt), amount(*reserved))
            }
            Event::AttemptSuspended {
                attempt,
                suspension,
            } => {
                format!("suspended {} for a {}", of(attempt), suspension.kind)
            }
            Event::AttemptReported { attempt, cost, .. } => {
                format!("reported  {}{}", of(attempt), amount(*cost))
            }
            Event::SuspensionAnswered { attempt, .. } => format!("answered  {}", of(attempt)),
            Event::HedgeEnded { attempt, cost } => {
                format!("given up  {}{}", of(attempt), amount(*cost))
            }
            Event::TurnEnded { attempt, turn } => {
                format!("reply     {}{}", of(attempt), amount(turn.cost))
            }
            Event::AttemptEnded {
                attempt,
                failure,
                cost,
                ..
            } => {
                let how = failure
                    .as_ref()
                    .map_or("success", |failure| failure.class.as_str());
                format!("ended     {} {how}{}", of(attempt), amount(*cost))
            }
            Event::RetryPlanned { task, due } => {
                format!("retry     {} at {} ms", self.name(*task), due.0)
            }
            Event::TaskEnded { task, outcome } => {
                let how = match outcome {
                    Outcome::Ok { .. } | Outcome::Cancelled => outcome.status().to_owned(),
                    Outcome::Failed(failure) => format!("failed: {}", failure.class),
                    Outcome::Skipped { reason } => format!("skipped: {reason}"),
                };
                format!("outcome   {} {how}", self.name(*task))
            }
            Event::ParkingStarted { reason } => format!("parking   {}", why(reason)),
            Event::RunParked { reason } => format!("parked    {}", why(reason)),
            Event::WaitStarted { until } => format!("waits     until {} ms", until.0),
            Event::CapChanged { cap } => format!("capped    at {}", cap.0),
            Event::WidthChanged { in_flight_max } => format!("width     {in_flight_max}"),
            Event::RunWoken => "woken".into(),
            Event::RunEnded { status } => format!("finished  {status:?}").to_lowercase(),
        };
        self.say(&line);
    }
}

fn why(reason: &ParkReason) -> String {
    match reason {
        ParkReason::Asked => "asked".into(),
        ParkReason::Budget { phase: None } => "budget".into(),
        ParkReason::Budget { phase: Some(phase) } => format!("budget of {phase}"),
        ParkReason::Suspended { tasks } => format!("{tasks} wait for an answer"),
        ParkReason::Overcharged {
            task,
            model,
            reserved,
            cost,
        } => {
            let model = model.as_deref().unwrap_or("nobody");
            format!("{task} of {model}: {cost} of {reserved}")
        }
        ParkReason::Hopeless { class, failed, .. } => format!("hopeless: {failed} tasks, {class}"),
        ParkReason::Quota {
            message,
            until: None,
        } => format!("quota: {message}"),
        ParkReason::Quota {
            message,
            until: Some(until),
        } => {
            format!("quota: {message}, until {} ms", until.0)
        }
    }
}

fn amount(amount: PicoUsd) -> String {
    if amount == PicoUsd::ZERO {
        String::new()
    } else {
        format!(" {amount}")
    }
}

fn room(reply_tokens: Option<u32>) -> String {
    reply_tokens
        .map(|tokens| format!(", {tokens} tokens"))
        .unwrap_or_default()
}

/// `$0.40`, or `$0.10 + 3000 at $0.0001`.
fn bound(text: &str) -> TurnBound {
    match text.split_once(" + ") {
        None => TurnBound::fixed(dollars(text)),
        Some((prompt, reply)) => {
            let (tokens, price) = reply.split_once(" at ").expect("`3000 at $0.0001`");
            TurnBound::new(dollars(prompt), dollars(price), number(tokens) as u32)
        }
    }
}

fn class(what: &str) -> Option<FailureClass> {
    Some(match what {
        "success" | "done" => return None,
        "server" => FailureClass::Server,
        "limited" => FailureClass::RateLimited,
        "quota" => FailureClass::Quota,
        "silence" => FailureClass::Network,
        "overloaded" => FailureClass::Overloaded,
        "refused" => FailureClass::Check,
        "declined" => FailureClass::Declined,
        "cut" => FailureClass::Interrupted,
        "auth" => FailureClass::Auth,
        _ => panic!("nobody knows the fate `{what}`"),
    })
}

fn millis(text: &str) -> u64 {
    match text.strip_suffix(" ms") {
        Some(millis) => number(millis),
        None => number(text.strip_suffix(" s").expect("`10 ms` or `10 s`")) * 1_000,
    }
}

fn dollars(text: &str) -> PicoUsd {
    PicoUsd::parse_dollars(text).expect("an amount")
}

fn number(text: &str) -> u64 {
    text.parse().expect("a number")
}
