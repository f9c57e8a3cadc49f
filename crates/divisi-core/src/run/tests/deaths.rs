//! How often the process has died where tools of a reply were under way.

use super::{ended, facts, flow_source, key, resumed, started, step, text, turn};
use crate::budget::TurnBound;
use crate::run::{AttemptEnd, Submission, TaskStage};
use crate::{
    AttemptId, Event, Failure, FailureClass, Input, Limits, PicoUsd, Run, TaskId, Timestamp,
};
use proptest::prelude::*;

/// What can happen to an attempt that carries out the calls of its last reply.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fate {
    /// The process is killed.
    Dies,
    /// The attempt is ended by its own process.
    Ends,
    /// The calls have results, and the next reply calls again.
    GoesOn,
}

/// A run that keeps what it decides.
struct Told {
    run: Run,
    events: Vec<Event>,
}

impl Told {
    fn input(&mut self, input: Input) {
        self.events.extend(step(&mut self.run, input));
    }

    fn submit(&mut self) {
        let submission = Submission::new(key("a"), facts("a", 0, PicoUsd::ZERO), text("{}"), None);
        self.input(Input::Submit(Box::new(submission)));
        self.input(Input::CaughtUp);
        self.input(Input::Tick);
    }

    fn attempt(&self) -> AttemptId {
        match self.run.task(TaskId(0)).expect("a").stage() {
            TaskStage::InFlight(attempt) => *attempt,
            stage => panic!("{stage:?}"),
        }
    }

    fn deaths(&self) -> u32 {
        self.run
            .task(TaskId(0))
            .expect("a")
            .kept_turns()
            .last()
            .expect("a turn")
            .deaths
    }
}

proptest! {
    #[test]
    fn deaths_in_a_row_are_counted_and_told_again_by_the_journal(
        fates in prop::collection::vec(prop::sample::select(vec![Fate::Dies, Fate::Ends, Fate::GoesOn]), 0..12)
    ) {
        let mut told = Told { run: started(Limits::default()), events: vec![] };
        told.submit();
        let mut turns = 0;
        let mut say = |told: &mut Told| {
            turns += 1;
            let turn = Box::new(turn(&format!("turn {turns}"), PicoUsd::ZERO));
            told.input(Input::TurnEnded { attempt: told.attempt(), turn });
        };
        say(&mut told);
        let mut expected = 0;
        for fate in fates {
            let attempt = told.attempt();
            let bound = TurnBound::fixed(PicoUsd::ZERO);
            match fate {
                Fate::Dies => {
                    expected += 1;
                    let limits = told.run.limits().clone();
                    let (flow, caps) = (flow_source(), Default::default());
                    told.input(Input::Resume { flow, limits, caps, reopen_failed: false, reopen: vec![] });
                    told.submit();
                }
                Fate::Ends => {
                    expected = 0;
                    let failure = Failure::new(FailureClass::Interrupted, "no money for the next turn");
                    let end = AttemptEnd { next_turn: Some(bound), ..AttemptEnd::of(Err(failure)) };
                    told.input(Input::AttemptEnded { attempt, end: Box::new(end) });
                    told.input(Input::Tick);
                }
                Fate::GoesOn => {
                    expected = 0;
                    told.input(Input::TurnWanted { attempt, tool_results: Some(text("results")), bound, tools: vec![] });
                    say(&mut told);
                }
            }
            prop_assert_eq!(told.deaths(), expected);
        }
        let mut replayed = started(Limits::default());
        for event in &told.events {
            replayed.apply(Timestamp(0), event).expect("it has been applied before");
        }
        prop_assert_eq!(replayed, told.run);
    }
}

#[test]
fn who_dies_while_the_next_request_is_out_counts_nothing() {
    let mut told = Told {
        run: started(Limits::default()),
        events: vec![],
    };
    told.submit();
    let attempt = told.attempt();
    told.input(Input::TurnEnded {
        attempt,
        turn: Box::new(turn("first", PicoUsd::ZERO)),
    });
    let bound = TurnBound::fixed(PicoUsd::ZERO);
    told.input(Input::TurnWanted {
        attempt,
        tool_results: Some(text("results")),
        bound,
        tools: vec![],
    });
    told.run = resumed(told.run);
    assert_eq!(told.deaths(), 0);
    told.submit();
    let attempt = told.attempt();
    told.input(ended(attempt, Ok(text("{}"))));
}
