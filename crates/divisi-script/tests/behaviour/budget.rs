//! Money: `budget.usd`, and what phases may cost.

use crate::play::{error_of, ok, play};
use divisi_core::PicoUsd;
use divisi_script::TaskAnswer;

#[test]
fn dollars_are_the_sum_of_all_answers_so_far() {
    let source = "const { usd } = budget; const seen = [usd.total, usd.spent(), usd.remaining()]\n\
        await agent('a'); seen.push(usd.spent()); await agent.outcome('b'); return [...seen, usd.spent(), usd.remaining()]";
    let tenth = PicoUsd(PicoUsd::DOLLAR.0 / 10);
    let played = play(source)
        .options(|options| options.usd_total = Some(PicoUsd(PicoUsd::DOLLAR.0 / 2)))
        .agent(move |_, task| TaskAnswer {
            cost: tenth,
            ..ok(task)
        })
        .run();
    assert_eq!(played.result(), "[0.5,0,0.5,0.1,0.2,0.3]");
}

#[test]
fn three_dimes_are_thirty_cents() {
    // As floats they are 0.30000000000000004.
    let played = play("for (const n of [1, 2, 3]) await agent(`${n}`); return budget.usd.spent()")
        .agent(|_, task| TaskAnswer {
            cost: PicoUsd(PicoUsd::DOLLAR.0 / 10),
            ..ok(task)
        })
        .run();
    assert_eq!(played.result(), "0.3");
}

#[test]
fn without_a_cap_there_is_no_end_of_dollars() {
    let played = play("return [budget.usd.total, budget.usd.remaining() === Infinity]").run();
    assert_eq!(played.result(), "[null,true]");
}

#[test]
fn what_is_overspent_is_not_less_than_nothing() {
    let played = play("await agent('a'); return [budget.usd.remaining(), budget.total]")
        .options(|options| options.usd_total = Some(PicoUsd(1)))
        .run();
    assert_eq!(played.result(), "[0,null]");
}

#[test]
fn a_phase_may_have_a_cap() {
    let played = play(
        "phase('Scan', { maxCost: 2 }); phase('Fix', { maxCost: '$0.50', colour: 1 }); phase('Rest', {})",
    )
    .run();
    insta::assert_snapshot!(played, @r"
    warning flow.js:1 the script has no `meta`
    phase Scan for $2.00
    warning flow.js:1 `colour` is no option of phase() and does nothing
    phase Fix for $0.5000
    phase Rest
    = null
    ");
    insta::assert_snapshot!(error_of("phase('Scan', { maxCost: -2 })"), @"script `flow.js` failed at line 1: TypeError: the option `maxCost` has to be dollars, a number from 0 to 18 million or a text such as '$0.50', not -2");
}

#[test]
fn what_scripts_of_the_dialect_give_a_phase_beside_its_title_does_nothing() {
    let played = play("['A', 'B'].forEach(phase)").run();
    insta::assert_snapshot!(played, @r"
    warning flow.js:1 the script has no `meta`
    warning flow.js:1 the second argument of phase() is no object of options and does nothing
    phase A
    phase B
    = null
    ");
}

#[test]
fn caps_of_meta_are_there_from_the_start() {
    let meta = |cap: &str| {
        format!(
            "export const meta = {{ name: 'n', description: 'd', phases: ['A', {{ title: 'B', maxCost: {cap} }}] }}\nphase('A'); phase('B')"
        )
    };
    insta::assert_snapshot!(play(&meta("'$1.5'")).run(), @r"
    phase B for $1.50
    phase A
    phase B
    = null
    ");
    insta::assert_snapshot!(error_of(&meta("'much'")), @r#"script `flow.js` cannot be read at line 1: `maxCost` of a phase in `meta` is no amount of dollars: "much""#);
}

#[test]
fn a_cap_is_told_when_messages_are_too_many() {
    let played = play("log('a'); log('b'); phase('Quiet'); phase('Capped', { maxCost: 1 })")
        .options(|options| options.limits.messages_max = 1)
        .run();
    insta::assert_snapshot!(played, @r"
    warning flow.js:1 the script has no `meta`
    warning more than 1 messages: the others are dropped
    phase Capped for $1.00
    = null
    ");
}
