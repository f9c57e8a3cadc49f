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
        .agent(move |_, task| TaskAnswer { cost: tenth, ..ok(task) })
        .run();
    assert_eq!(played.result(), "[0.5,0,0.5,0.1,0.2,0.3]");
}

#[test]
fn three_dimes_are_thirty_cents() {
    // As floats they are 0.30000000000000004.
    let played = play("for (const n of [1, 2, 3]) await agent(`${n}`); return budget.usd.spent()")
        .agent(|_, task| TaskAnswer { cost: PicoUsd(PicoUsd::DOLLAR.0 / 10), ..ok(task) })
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
    insta::assert_snapshot!(played, @"");
    insta::assert_snapshot!(error_of("phase('Scan', { maxCost: -2 })"), @"");
    insta::assert_snapshot!(error_of("phase('Scan', 2)"), @"");
}

#[test]
fn caps_of_meta_are_there_from_the_start() {
    let meta = |cap: &str| {
        format!(
            "export const meta = {{ name: 'n', description: 'd', phases: ['A', {{ title: 'B', maxCost: {cap} }}] }}\nphase('A'); phase('B')"
        )
    };
    insta::assert_snapshot!(play(&meta("'$1.5'")).run(), @"");
    insta::assert_snapshot!(error_of(&meta("'much'")), @"");
}

#[test]
fn a_cap_is_told_when_messages_are_too_many() {
    let played = play("log('a'); log('b'); phase('Quiet'); phase('Capped', { maxCost: 1 })")
        .options(|options| options.limits.messages_max = 1)
        .run();
    insta::assert_snapshot!(played, @"");
}
