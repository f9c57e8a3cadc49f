//! Runs for tests: written by hand, recorded through the real state machine.

use divisi_core::budget::TurnBound;
use divisi_core::event::{Caps, FlowSource, RunLabel, TaskFacts, Times, Turn};
use divisi_core::run::{AttemptEnd, Submission};
use divisi_core::{
    AttemptId, Content, Digest, Failure, FailureClass, Input, Key, Limits, Millis, Outcome,
    PicoUsd, Position, Recorded, Run, RunId, RunView, Task, TaskId, Timestamp, Usage,
};
use std::collections::BTreeMap;

/// A run whose events the test decides.
pub(super) struct Story {
    pub(super) run: Run,
    pub(super) events: Vec<Recorded>,
    now: Timestamp,
    known: BTreeMap<Key, TaskId>,
}

impl Story {
    /// The time at which stories begin.
    pub(super) const BEGIN: Timestamp = Timestamp(1_700_000_000_000);

    /// The cost of each reply, and the least reservation for it.
    const REPLY_COST: PicoUsd = PicoUsd(3_300_000_000);

    pub(super) fn id() -> RunId {
        RunId::new("k3f97a2m").expect("an id")
    }

    pub(super) fn begin(at_once: u32) -> Self {
        let mut story = Self {
            run: Run::new(),
            events: vec![],
            now: Self::BEGIN,
            known: BTreeMap::new(),
        };
        let limits = Limits {
            in_flight_max: at_once,
            ..Limits::default()
        };
        story.input(Input::Start {
            name: "audit".into(),
            flow: flow(),
            limits,
            caps: Caps::default(),
        });
        story
    }

    pub(super) fn with_cap(dollars: &str) -> Self {
        let mut story = Self {
            run: Run::new(),
            events: vec![],
            now: Self::BEGIN,
            known: BTreeMap::new(),
        };
        let cap = PicoUsd::parse_dollars(dollars);
        story.input(Input::Start {
            name: "audit".into(),
            flow: flow(),
            limits: Limits::default(),
            caps: Caps::of(cap),
        });
        story
    }

    /// Decides, records and applies; then starts every task that can start.
    pub(super) fn input(&mut self, input: Input) {
        for input in [input, Input::Tick] {
            loop {
                let events = self.run.decide(self.now, input.clone());
                for event in &events {
                    let position = Position(self.events.len() as u64);
                    self.run
                        .apply(self.now, event)
                        .expect("what was decided can follow");
                    self.events.push(Recorded {
                        position,
                        at: self.now,
                        event: event.clone(),
                    });
                }
                if !matches!(input, Input::Tick) || events.is_empty() {
                    break;
                }
            }
        }
    }

    /// Sets the clock to this many milliseconds after the beginning.
    pub(super) fn at(&mut self, ms: u64) -> &mut Self {
        self.now = Self::BEGIN + Millis(ms);
        self.input(Input::Tick);
        self
    }

    /// The view of its events.
    pub(super) fn view(&self) -> RunView {
        RunView::of(&self.events)
    }

    pub(super) fn now(&self) -> Timestamp {
        self.now
    }

    pub(super) fn task(&mut self, label: &str, phase: &str, model: &str) -> TaskId {
        self.submit(label, phase, model, PicoUsd::ZERO, None)
    }

    pub(super) fn submit(
        &mut self,
        label: &str,
        phase: &str,
        model: &str,
        first_turn_max: PicoUsd,
        outcome: Option<Outcome>,
    ) -> TaskId {
        let spec = Task::new(format!("Do {label}.\nAnswer in one line."))
            .label(label)
            .model("haiku");
        let facts = TaskFacts {
            label: label.into(),
            phase: Some(phase)
                .filter(|phase| !phase.is_empty())
                .map(Into::into),
            executor: "api".into(),
            models: vec![model.into()],
            first_turns: vec![TurnBound::fixed(first_turn_max.max(Self::REPLY_COST))],
            ..TaskFacts::default()
        };
        let spec = text(&serde_json::to_string(&spec).expect("JSON"));
        let key = Key(Digest::of(label.as_bytes()));
        let next = TaskId(self.known.len() as u32);
        let id = *self.known.entry(key).or_insert(next);
        self.input(Input::Submit(Box::new(Submission::new(
            key, facts, spec, outcome,
        ))));
        id
    }

    /// A reply of the latest attempt that calls a tool, and the next request.
    pub(super) fn turn(&mut self, task: TaskId, said: &str, tool: &str) {
        let attempt = self.attempt(task);
        let turn = Box::new(self.reply(task, said, Some(tool)));
        self.input(Input::TurnEnded { attempt, turn });
        self.input(Input::TurnWanted {
            attempt,
            tool_results: Some(text("[]")),
            bound: TurnBound::fixed(Self::REPLY_COST),
            tools: vec![],
        });
    }

    pub(super) fn ok(&mut self, task: TaskId, value: &str) {
        let value = serde_json::to_string(value).expect("JSON");
        let last = self.reply(task, "Done.", None);
        self.end(task, Ok(text(&value)), Some(last), None);
    }

    pub(super) fn fail(&mut self, task: TaskId, class: FailureClass, message: &str) {
        self.end(task, Err(Failure::new(class, message)), None, None);
    }

    pub(super) fn fail_with(
        &mut self,
        task: TaskId,
        failure: Failure,
        retry_after: Option<Millis>,
    ) {
        self.end(task, Err(failure), None, retry_after);
    }

    pub(super) fn returns(&mut self, value: &str) {
        self.input(Input::FlowEnded(Ok(text(value))));
    }

    pub(super) fn throws(&mut self, message: &str) {
        let failure = Failure::new(FailureClass::Flow, message).hint("mend line 3");
        self.input(Input::FlowEnded(Err(Box::new(failure))));
    }

    pub(super) fn resume(&mut self, cap: Option<PicoUsd>) {
        let limits = self.run.limits().clone();
        self.input(Input::Resume {
            flow: flow(),
            limits,
            caps: Caps::of(cap),
            reopen_failed: true,
            reopen: vec![],
        });
    }

    pub(super) fn attempt(&self, task: TaskId) -> AttemptId {
        AttemptId {
            task,
            number: self.run.task(task).expect("a task").attempts(),
        }
    }

    fn reply(&self, task: TaskId, said: &str, tool: Option<&str>) -> Turn {
        let state = self.run.task(task).expect("a task");
        let model = state.facts().models[0].clone();
        let mut blocks = vec![serde_json::json!({"text": {"text": said}})];
        if let Some(tool) = tool {
            let input = serde_json::json!({"path": "src/auth.rs"});
            blocks
                .push(serde_json::json!({"tool_use": {"id": "u1", "name": tool, "input": input}}));
        }
        let usage = Usage {
            input: 2_400,
            output: 180,
            ..Usage::default()
        };
        let stop = if tool.is_some() {
            "tool_use"
        } else {
            "end_turn"
        };
        let reply =
            serde_json::json!({"model": &*model, "blocks": blocks, "stop": stop, "usage": usage});
        Turn {
            request: Digest::of(
                format!("{task} {} {}", state.attempts(), state.turns_total()).as_bytes(),
            ),
            reply: text(&reply.to_string()),
            model,
            judges: false,
            usage,
            cost: Self::REPLY_COST,
            estimated: false,
            took: Millis(1_900),
            times: Times::default(),
        }
    }

    fn end(
        &mut self,
        task: TaskId,
        result: Result<Content, Failure>,
        last: Option<Turn>,
        retry_after: Option<Millis>,
    ) {
        let last_turn = last.map(Box::new);
        let end = Box::new(AttemptEnd {
            last_turn,
            retry_after,
            ..AttemptEnd::of(result)
        });
        self.input(Input::AttemptEnded {
            attempt: self.attempt(task),
            end,
        });
    }
}

fn flow() -> FlowSource {
    FlowSource {
        label: RunLabel::default(),
        path: None,
        source: text("// a story"),
        args: None,
        folder: None,
        options: None,
    }
}

fn text(text: &str) -> Content {
    Content::Inline(text.into())
}
