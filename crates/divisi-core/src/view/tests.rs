use super::*;
use crate::event::{
    Caps, Edges, FlowSource, RunLabel, RunStarted, TaskFacts, TaskSubmitted, Times, Turn, Wait,
    WaitCause,
};
use crate::{AttemptId, Digest, Event, Key, Limits, Millis, Outcome};

/// Bytes of facts of a task with one attempt and one reply, apart from its label.
const FACTS_OF_A_TASK_BYTES_MAX: usize = 384;

fn recorded(events: Vec<Event>) -> Vec<Recorded> {
    let at = |place: usize| (Position(place as u64), Timestamp(place as u64));
    events
        .into_iter()
        .enumerate()
        .map(|(i, event)| Recorded {
            position: at(i).0,
            at: at(i).1,
            event,
        })
        .collect()
}

/// A run of so many tasks that all end well.
fn journal(tasks: u32) -> Vec<Recorded> {
    let flow = FlowSource {
        label: RunLabel::default(),
        path: None,
        source: Content::Inline("".into()),
        args: None,
        folder: Some("/work".into()),
        options: None,
    };
    let started = RunStarted {
        format: 1,
        name: "many".into(),
        flow,
        limits: Limits::default(),
        caps: Caps::default(),
    };
    let mut events = vec![Event::RunStarted(Box::new(started))];
    for task in (0..tasks).map(TaskId) {
        let facts = TaskFacts {
            label: "review".into(),
            phase: Some("Review".into()),
            executor: "api".into(),
            models: vec!["haiku".into()],
            ..TaskFacts::default()
        };
        let (key, facts) = (Key(Digest::of(&task.0.to_le_bytes())), Arc::new(facts));
        let spec = Content::Inline("{}".into());
        events.push(Event::TaskSubmitted(Box::new(TaskSubmitted {
            task,
            key,
            occurrence: 0,
            facts,
            spec,
            edges: Edges::default(),
        })));
        let attempt = AttemptId { task, number: 1 };
        let (model, reserved) = (Some("haiku".into()), PicoUsd(9));
        events.push(Event::AttemptScheduled {
            attempt,
            model,
            reserved,
            reply_tokens: None,
        });
        let turn = Turn {
            request: Digest::of(b""),
            reply: Content::Inline("a long text".into()),
            model: "haiku".into(),
            judges: false,
            usage: Usage {
                input: 10,
                output: 1,
                ..Usage::default()
            },
            cost: PicoUsd(4),
            estimated: false,
            took: Millis(3),
            times: Times::default(),
        };
        events.push(Event::TurnEnded {
            attempt,
            turn: Box::new(turn),
        });
        events.push(Event::attempt_ended(
            attempt,
            None,
            PicoUsd::ZERO,
            PicoUsd::ZERO,
        ));
        events.push(Event::TaskEnded {
            task,
            outcome: Outcome::Ok {
                value: Content::Inline("\"x\"".into()),
            },
        });
    }
    recorded(events)
}

#[test]
fn a_task_takes_little_memory_and_keeps_no_text() {
    let view = RunView::of(&journal(1));
    let ladder = std::mem::size_of_val(&*view.tasks[0].ladder);
    let bytes = size_of::<TaskView>() + ladder + size_of::<AttemptView>() + size_of::<TurnView>();
    assert!(bytes <= FACTS_OF_A_TASK_BYTES_MAX, "{bytes} bytes");
    assert!(
        size_of::<TaskView>() <= 264,
        "{} bytes",
        size_of::<TaskView>()
    );
    assert!(
        !serde_json::to_string(&view)
            .unwrap()
            .contains("a long text")
    );
}

#[test]
fn names_are_kept_once_for_ten_thousand_tasks() {
    let view = RunView::of(&journal(10_000));
    assert_eq!(
        (
            view.tasks.len(),
            view.phases.iter().len(),
            view.words.iter().len()
        ),
        (10_000, 1, 1)
    );
    let model = view.models.iter().next().unwrap();
    assert_eq!(
        (model.replies, model.usage.input, model.spent.billed),
        (10_000, 100_000, PicoUsd(40_000))
    );
    assert_eq!(view.phases.iter().next().unwrap().money, view.money);
    assert_eq!(
        (view.counts.ok, view.money.settled),
        (10_000, PicoUsd(40_000))
    );
    let again: RunView = serde_json::from_str(&serde_json::to_string(&view).unwrap()).unwrap();
    assert_eq!(again, view);
}

#[test]
fn what_an_agent_program_reports_belongs_to_the_model_that_it_names() {
    let mut journal = journal(1);
    let attempt = AttemptId {
        task: TaskId(0),
        number: 1,
    };
    let replied = journal
        .iter_mut()
        .find(|recorded| matches!(recorded.event, Event::TurnEnded { .. }))
        .expect("a reply");
    replied.event = Event::AttemptReported {
        attempt,
        model: Some("opus".into()),
        usage: Usage {
            input: 7,
            ..Usage::default()
        },
        cost: PicoUsd(5),
        unconfirmed: PicoUsd(0),
        handle: None,
    };
    let view = RunView::of(&journal);
    let of = |id: &str| {
        let model = view.models.iter().find(|model| &*model.id == id).unwrap();
        (model.usage.input, model.spent.billed)
    };
    assert_eq!(of("opus"), (7, PicoUsd(5)));
    assert_eq!(of("haiku"), (0, PicoUsd(0)), "it was asked for, not used");
}

#[test]
fn a_view_that_was_read_goes_on_where_it_was() {
    let journal = journal(3);
    for cut in 0..journal.len() {
        let written = serde_json::to_string(&RunView::of(&journal[..cut])).unwrap();
        let mut view: RunView = serde_json::from_str(&written).unwrap();
        // What it has taken in already does no harm.
        journal[cut.saturating_sub(2)..]
            .iter()
            .for_each(|recorded| view.apply(recorded));
        assert_eq!(view, RunView::of(&journal), "cut at {cut}");
    }
}

/// A run of two tasks within these limits, the first of which takes a second.
fn one_after_the_other(limits: Limits, are_programs: bool, waits: Vec<Wait>) -> RunView {
    let mut events: Vec<_> = journal(2)
        .into_iter()
        .map(|recorded| recorded.event)
        .collect();
    let Event::RunStarted(started) = &mut events[0] else {
        panic!("it begins otherwise")
    };
    started.limits = limits;
    for event in &mut events {
        if let Event::TaskSubmitted(submitted) = event {
            Arc::make_mut(&mut submitted.facts).is_program = are_programs;
        }
    }
    let Event::AttemptEnded { waits: told, .. } = &mut events[4] else {
        panic!("it ends otherwise")
    };
    *told = waits;
    let at = |event: &Event| match event {
        Event::AttemptScheduled { attempt, .. } => u64::from(attempt.task.0) * 1_000,
        Event::TurnEnded { attempt, .. } | Event::AttemptEnded { attempt, .. } => {
            1_000 + u64::from(attempt.task.0)
        }
        Event::TaskEnded { task, .. } => 1_000 + u64::from(task.0),
        _ => 0,
    };
    let mut events: Vec<_> = events
        .into_iter()
        .map(|event| (at(&event), event))
        .collect();
    events.sort_by_key(|(at, _)| *at);
    let mut view = RunView::default();
    for (place, (at, event)) in events.into_iter().enumerate() {
        view.apply(&Recorded {
            position: Position(place as u64),
            at: Timestamp(at),
            event,
        });
    }
    view
}

#[test]
fn waits_have_a_cause_a_beginning_and_an_end() {
    let told = Wait {
        cause: WaitCause::Limit,
        from: Millis(20),
        took: Millis(70),
    };
    let one_slot = Limits {
        in_flight_max: 1,
        ..Limits::default()
    };
    let view = one_after_the_other(one_slot, false, vec![told]);
    assert_eq!(
        waits(&view),
        [(0, Cause::Limit, 20, 90), (1, Cause::Slot, 0, 1_000)]
    );
}

#[test]
fn a_program_waits_for_a_slot_of_programs() {
    let one_program = || Limits {
        programs_max: 1,
        ..Limits::default()
    };
    let view = one_after_the_other(one_program(), true, vec![]);
    assert_eq!(waits(&view), [(1, Cause::Slot, 0, 1_000)]);
    assert_eq!(
        waits(&one_after_the_other(one_program(), false, vec![])),
        []
    );
    let one_slot = Limits {
        in_flight_max: 1,
        ..Limits::default()
    };
    assert_eq!(
        waits(&one_after_the_other(one_slot, true, vec![])),
        [(1, Cause::Slot, 0, 1_000)]
    );
}

fn waits(view: &RunView) -> Vec<(u32, Cause, u64, u64)> {
    view.waits
        .iter()
        .map(|wait| (wait.task.0, wait.cause, wait.from.0, wait.until.0))
        .collect()
}
