//! Depth before breadth: results come early, and no slot stays empty for that.

use super::{ended, facts, key, started, step, text};
use crate::event::TaskFacts;
use crate::run::Submission;
use crate::{AttemptId, Event, Input, Limits, PicoUsd, TaskId};
use proptest::prelude::*;
use std::collections::BTreeMap;

/// A pipeline of so many items through so many stages, as a script executes it: each next stage is
/// requested as soon as the one before has ended. The attempt at `choose` of those under way ends
/// next.
struct Pipeline {
    items: u32,
    stages: u32,
    slots: u32,
}

/// What was under way at each end: the item and the stage of each task.
#[derive(Debug)]
struct Seen {
    /// Items that are through all stages, by the number of tasks that had ended by then.
    through: Vec<u32>,
    /// Tasks under way, and tasks waiting, after each decision.
    widths: Vec<(u32, u32)>,
    /// Stages of the tasks that were started, and the deepest stage that waited then.
    starts: Vec<(u32, u32)>,
}

impl Pipeline {
    fn play(&self, mut choose: impl FnMut(usize) -> usize) -> Seen {
        let limits = Limits {
            in_flight_max: self.slots,
            ..Limits::default()
        };
        let mut run = started(limits);
        let (mut places, mut under_way) = (BTreeMap::new(), vec![]);
        let mut waiting: BTreeMap<TaskId, u32> = BTreeMap::new();
        let (mut seen, mut ends) = (
            Seen {
                through: vec![],
                widths: vec![],
                starts: vec![],
            },
            0,
        );
        let submit = |run: &mut _, item: u32, stage: u32| {
            let label = format!("{item}.{stage}");
            let facts = TaskFacts {
                depth: stage,
                ..facts(&label, 0, PicoUsd::ZERO)
            };
            let submission = Submission::new(key(&label), facts, text("{}"), None);
            let events = step(run, Input::Submit(Box::new(submission)));
            let Some(Event::TaskSubmitted(submitted)) = events.first() else {
                panic!("a new task: {events:?}");
            };
            submitted.task
        };
        for item in 0..self.items {
            let task = submit(&mut run, item, 0);
            places.insert(task, (item, 0));
            waiting.insert(task, 0);
        }
        loop {
            for event in step(&mut run, Input::Tick) {
                if let Event::AttemptScheduled { attempt, .. } = event {
                    let deepest = waiting.values().copied().max().expect("it waited");
                    let stage = waiting.remove(&attempt.task).expect("it waited");
                    seen.starts.push((stage, deepest));
                    under_way.push(attempt);
                }
            }
            seen.widths
                .push((under_way.len() as u32, waiting.len() as u32));
            if under_way.is_empty() {
                return seen;
            }
            let attempt: AttemptId = under_way.remove(choose(under_way.len()));
            step(&mut run, ended(attempt, Ok(text("1"))));
            ends += 1;
            let (item, stage) = places[&attempt.task];
            if stage + 1 == self.stages {
                seen.through.push(ends);
            } else {
                let task = submit(&mut run, item, stage + 1);
                places.insert(task, (item, stage + 1));
                waiting.insert(task, stage + 1);
            }
        }
    }
}

#[test]
fn the_first_items_are_through_before_the_last_begin() {
    let pipeline = Pipeline {
        items: 35,
        stages: 2,
        slots: 16,
    };
    let seen = pipeline.play(|_| 0);
    // Breadth first, it would be the 36th.
    assert_eq!(seen.through[0], 17);
    assert_eq!((seen.through.len(), seen.through[34]), (35, 70));
}

proptest! {
    /// In whatever order attempts end: whenever a task waits, all slots are taken, and what starts
    /// is of the deepest stage that waits.
    #[test]
    fn deeper_tasks_start_first_and_no_slot_stays_empty(
        (items, stages, slots) in (1u32..20, 1u32..5, 1u32..8),
        choices in prop::collection::vec(any::<prop::sample::Index>(), 1..20),
    ) {
        let mut turn = 0;
        let seen = Pipeline { items, stages, slots }.play(|under_way| {
            turn += 1;
            choices[turn % choices.len()].index(under_way)
        });
        prop_assert_eq!(seen.through.len(), items as usize);
        for (under_way, waiting) in seen.widths {
            prop_assert!(waiting == 0 || under_way == slots, "{under_way} of {slots}, {waiting} wait");
        }
        for (stage, deepest) in seen.starts {
            prop_assert_eq!(stage, deepest);
        }
    }
}
