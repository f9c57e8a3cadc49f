//! What a task costs in the pure core: submitted, scheduled, ended.
//!
//! `cargo bench -p divisi-core`; divide by the number of tasks. It should not
//! grow with it, and stay below two microseconds per task.

use divisi_core::budget::TurnBound;
use divisi_core::event::{Caps, FlowSource, RunLabel, TaskFacts};
use divisi_core::run::{AttemptEnd, Submission};
use divisi_core::{AttemptId, Content, Digest, Event, Input, Key, Limits, PicoUsd, Run, Timestamp};
use std::collections::VecDeque;
use std::sync::Arc;

fn main() {
    divan::main();
}

#[divan::bench(
    args = [(1_000, 64), (10_000, 64), (100_000, 64), (10_000, 10_000), (100_000, 10_000)],
    sample_count = 10
)]
fn submit_schedule_end(bencher: divan::Bencher<'_, '_>, (tasks, in_flight_max): (u32, u32)) {
    let keys: Vec<Key> = (0..tasks)
        .map(|i| Key(Digest::of(&i.to_le_bytes())))
        .collect();
    bencher
        .counter(divan::counter::ItemsCount::new(tasks))
        .bench_local(|| all(&keys, in_flight_max, None));
}

/// The same with a cap that leaves room for one attempt at a time.
#[divan::bench(args = [1_000, 10_000, 100_000], sample_count = 10)]
fn under_a_tight_cap(bencher: divan::Bencher<'_, '_>, tasks: u32) {
    let keys: Vec<Key> = (0..tasks)
        .map(|i| Key(Digest::of(&i.to_le_bytes())))
        .collect();
    bencher
        .counter(divan::counter::ItemsCount::new(tasks))
        .bench_local(|| all(&keys, 64, Some(PicoUsd(1))));
}

/// Runs a fan-out to its end, each attempt answered as soon as there is no
/// more to schedule.
fn all(keys: &[Key], in_flight_max: u32, cap: Option<PicoUsd>) -> Run {
    let now = Timestamp(0);
    let text = Content::Inline("\"done\"".into());
    let facts = TaskFacts {
        label: "task".into(),
        executor: "api".into(),
        models: vec!["haiku".into()],
        first_turns: vec![TurnBound::fixed(PicoUsd(1))],
        ..TaskFacts::default()
    };
    let mut run = Run::new();
    let mut under_way = VecDeque::new();
    let flow = FlowSource {
        label: RunLabel::default(),
        path: None,
        source: text.clone(),
        args: None,
        folder: None,
        options: None,
    };
    let limits = Limits {
        in_flight_max,
        ..Limits::default()
    };
    drive(
        &mut run,
        now,
        Input::Start {
            name: Arc::from("bench"),
            flow,
            limits,
            caps: Caps::of(cap),
        },
        &mut under_way,
    );
    for &key in keys {
        let submission = Submission::new(key, facts.clone(), text.clone(), None);
        drive(
            &mut run,
            now,
            Input::Submit(Box::new(submission)),
            &mut under_way,
        );
    }
    drive(&mut run, now, Input::Tick, &mut under_way);
    while let Some(attempt) = under_way.pop_front() {
        let end = AttemptEnd::of(Ok(text.clone()));
        drive(
            &mut run,
            now,
            Input::AttemptEnded {
                attempt,
                end: Box::new(end),
            },
            &mut under_way,
        );
        drive(&mut run, now, Input::Tick, &mut under_way);
    }
    assert_eq!(run.counts().ok as usize, keys.len());
    run
}

fn drive(run: &mut Run, now: Timestamp, input: Input, under_way: &mut VecDeque<AttemptId>) {
    for event in run.decide(now, input) {
        run.apply(now, &event).expect("what was decided follows");
        if let Event::AttemptScheduled { attempt, .. } = event {
            under_way.push_back(attempt);
        }
    }
}
