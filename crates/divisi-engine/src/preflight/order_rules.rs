//! Tests the derived order on random flows.

use super::order;
use super::play::{Order, Stage, Way};
use super::{TraceLimits, USUAL, WIDTH, never};
use crate::flow::Library;
use divisi_script::HostOptions;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

/// A flow with a known order.
#[derive(Clone, Debug)]
enum Shape {
    Task,
    /// One after the other.
    Then(Vec<Shape>),
    /// `parallel()`.
    Parallel(Vec<Shape>),
    /// `Promise.all()` over the script's own functions.
    All(Vec<Shape>),
}

fn shapes() -> impl Strategy<Value = Shape> {
    Just(Shape::Task).prop_recursive(4, 14, 3, |inner| {
        let some = prop::collection::vec(inner, 1..4);
        prop_oneof![
            some.clone().prop_map(Shape::Then),
            some.clone().prop_map(Shape::Parallel),
            some.prop_map(Shape::All)
        ]
    })
}

impl Shape {
    /// The script, with tasks numbered in the order of writing.
    fn script(&self, next: &mut usize) -> String {
        let mut parts = |shapes: &[Shape], wrap: fn(String) -> String, between: &str| {
            let parts: Vec<String> = shapes
                .iter()
                .map(|shape| wrap(shape.script(next)))
                .collect();
            parts.join(between)
        };
        match self {
            Self::Then(shapes) => parts(shapes, |part| part, "\n"),
            Self::Parallel(shapes) => {
                format!(
                    "await parallel([{}])",
                    parts(shapes, |part| format!("async () => {{ {part} }}"), ", ")
                )
            }
            Self::All(shapes) => {
                format!(
                    "await Promise.all([{}])",
                    parts(shapes, |part| format!("(async () => {{ {part} }})()"), ", ")
                )
            }
            Self::Task => {
                *next += 1;
                format!("await agent('task {}')", *next - 1)
            }
        }
    }

    /// Notes what each task waits for, if `before` comes before all of this; returns what later
    /// parts wait for.
    fn waits(&self, before: &[usize], waits: &mut Vec<Vec<usize>>) -> Vec<usize> {
        match self {
            Self::Task => {
                waits.push(before.to_vec());
                vec![waits.len() - 1]
            }
            Self::Then(shapes) => shapes
                .iter()
                .fold(before.to_vec(), |before, shape| shape.waits(&before, waits)),
            Self::Parallel(shapes) | Self::All(shapes) => shapes
                .iter()
                .flat_map(|shape| shape.waits(before, waits))
                .collect(),
        }
    }
}

/// The prompts of a flow, and what each task waits for.
fn traced(source: &str) -> (Vec<String>, Vec<Vec<usize>>) {
    let script = divisi_script::Script::parse("flow.js", source).unwrap();
    let (options, limits) = (HostOptions::default(), TraceLimits::default());
    let library = Library::new(".");
    let stage = Stage {
        script: &script,
        args: None,
        options: &options,
        library: &library,
        limits: &limits,
        calls_max: None,
    };
    let [main, first, last] = [Order::Oldest, Order::FirstToEnd, Order::LastToEnd].map(|order| {
        let ending = &BTreeSet::new();
        let way = Way {
            order,
            width: WIDTH,
            widths: &BTreeMap::new(),
            rounds: &BTreeMap::new(),
            heeds_expect: true,
            ending,
            rounds_max: usize::MAX,
            tasks_max: 1_000,
            fails: &never,
            mood: &USUAL,
        };
        stage.play(&way).unwrap()
    });
    let prompts = main
        .tasks
        .iter()
        .map(|asked| asked.task.prompt.to_string())
        .collect();
    (prompts, order::waits(&main, &[first, last]))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_a_flow_awaits_is_what_its_tasks_wait_for(shape in shapes()) {
        let source = shape.script(&mut 0);
        let mut expected = vec![];
        shape.waits(&[], &mut expected);
        // The graph has tasks in the order of requests.
        let (prompts, waits) = traced(&source);
        let number = |place: usize| -> usize { prompts[place].trim_start_matches("task ").parse().unwrap() };
        prop_assert_eq!(prompts.len(), expected.len());
        for (place, waits) in waits.iter().enumerate() {
            let mut found: Vec<usize> = waits.iter().map(|before| number(*before)).collect();
            found.sort_unstable();
            let mut wanted = expected[number(place)].clone();
            wanted.sort_unstable();
            prop_assert_eq!(found, wanted, "{} in\n{}", prompts[place], source);
            prop_assert!(waits.iter().all(|before| *before < place));
        }
    }
}
