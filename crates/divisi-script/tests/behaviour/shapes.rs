//! Whole scripts in the shapes that people write, each in three moods of the
//! agent. The snapshots hold every call and how it ended.

use crate::play::{Order, Play, failed, ok, play};
use divisi_core::FailureClass;
use divisi_script::{Script, TaskAnswer};

const MOODS: [Mood; 3] = [Mood::Obliging, Mood::Flaky, Mood::Wordy];

/// How agents answer.
#[derive(Clone, Copy, Debug)]
enum Mood {
    /// Every result fits its schema.
    Obliging,
    /// Every third task fails.
    Flaky,
    /// A text, even if there is a schema.
    Wordy,
}

fn in_mood(source: &str, mood: Mood) -> Play {
    play(source)
        .library("area", include_str!("../scripts/nested-area.js"))
        .agent(move |turn, task| match mood {
            Mood::Flaky if turn % 3 == 2 => failed(FailureClass::Server, "boom"),
            Mood::Wordy => TaskAnswer {
                output_tokens: 10,
                ..TaskAnswer::ok("\"no, just words\"")
            },
            Mood::Obliging | Mood::Flaky => ok(task),
        })
}

fn in_all_moods(name: &str, source: &str) {
    let told: Vec<String> = MOODS
        .iter()
        .map(|&mood| format!("## {mood:?}\n{}", in_mood(source, mood).run()))
        .collect();
    insta::assert_snapshot!(name, told.join("\n\n"));
}

macro_rules! shapes {
    ($($test:ident: $file:literal,)*) => {
        $(#[test]
        fn $test() {
            in_all_moods(stringify!($test), include_str!(concat!("../scripts/", $file)));
        })*
    };
}

shapes! {
    fan_out_then_verify_each_finding: "fan-out-verify.js",
    loop_until_dry: "loop-until-dry.js",
    judge_panel: "judge-panel.js",
    per_item_pipeline: "per-item-pipeline.js",
    nested_flow: "nested.js",
    schema_heavy: "schema-heavy.js",
    one_reader_per_lens_union_and_sceptic: "lenses-and-sceptic.js",
    sequential_implement_then_check: "implement-then-check.js",
    big_team_with_literal_prompts: "big-team.js",
    semaphore_of_its_own: "own-semaphore.js",
    then_chains: "then-chains.js",
}

/// What is left of a script when it is cut anywhere is a script, or it is
/// refused with the line.
#[test]
fn a_script_that_is_cut_off_is_refused_with_the_line() {
    let source = include_str!("../scripts/schema-heavy.js");
    let cut = (0..source.len())
        .step_by(61)
        .map(|end| Script::parse("cut.js", &source[..end]));
    let refused: Vec<_> = cut.filter_map(Result::err).collect();
    assert!(!refused.is_empty());
    assert!(
        refused.iter().all(|error| error.site().is_some()),
        "{refused:?}"
    );
}

#[test]
fn the_order_of_answers_does_not_change_what_is_asked() {
    for source in [
        include_str!("../scripts/fan-out-verify.js"),
        include_str!("../scripts/judge-panel.js"),
        include_str!("../scripts/per-item-pipeline.js"),
        include_str!("../scripts/lenses-and-sceptic.js"),
        include_str!("../scripts/big-team.js"),
        include_str!("../scripts/then-chains.js"),
    ] {
        let asked = |order| {
            let played = in_mood(source, Mood::Obliging).order(order).run();
            let mut prompts: Vec<String> =
                played.prompts().into_iter().map(str::to_owned).collect();
            prompts.sort();
            (prompts, played.result())
        };
        let first = asked(Order::First);
        for order in [
            Order::Last,
            Order::Shuffled(1),
            Order::Shuffled(2),
            Order::Shuffled(3),
        ] {
            assert_eq!(asked(order), first);
        }
    }
}
