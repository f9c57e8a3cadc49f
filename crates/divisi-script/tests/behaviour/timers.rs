//! `setTimeout()` and its relatives. In what order timers fire among the answers is the caller's
//! choice; the engine records it.

use crate::play::{Order, error_of, play};
use divisi_script::Call;

const SLEEP: &str = "const sleep = ms => new Promise(done => setTimeout(done, ms))\n";

fn with_sleep(body: &str) -> String {
    format!("{SLEEP}{body}")
}

#[test]
fn a_script_can_sleep() {
    let played = play(&with_sleep("await sleep(1500); return await agent('x')")).run();
    insta::assert_snapshot!(played, @r#"
    warning flow.js:1 the script has no `meta`
    c0 timer of 1s 500ms
    c1 flow.js:2 x {}
    = "x"
    "#);
}

#[test]
fn a_race_goes_to_what_is_answered_first() {
    let race = with_sleep(
        "return await Promise.race([agent('slow'), sleep(60_000).then(() => 'too late')])",
    );
    assert_eq!(play(&race).order(Order::First).run().result(), r#""slow""#);
    assert_eq!(
        play(&race).order(Order::Last).run().result(),
        r#""too late""#
    );
}

#[test]
fn retries_can_wait_longer_each_time() {
    let source = with_sleep(
        "for (let n = 0; n < 3; n++) { if (await agent('try ' + n) === 'never') return n; await sleep(1000 * 2 ** n) }\nreturn 'gave up'",
    );
    let played = play(&source).run();
    let delays = played.calls.iter().filter_map(|call| match call {
        Call::Timer { delay, .. } => Some(delay.0),
        _ => None,
    });
    assert_eq!(delays.collect::<Vec<_>>(), [1_000, 2_000, 4_000]);
}

#[test]
fn what_is_cleared_does_not_fire() {
    let source = "const out = []\nconst id = setTimeout(() => out.push('cleared'), 5)\nsetTimeout((...given) => out.push(...given), 10, 'a', 'b')\nclearTimeout(id); clearTimeout(undefined); clearTimeout(99)\nawait new Promise(done => setTimeout(done, 20))\nreturn [typeof id, ...out]";
    assert_eq!(play(source).run().result(), r#"["number","a","b"]"#);
}

#[test]
fn an_interval_fires_until_it_is_cleared() {
    let source = "let n = 0\nawait new Promise(done => { const id = setInterval(() => { if (++n === 3) { clearInterval(id); done() } }, 100) })\nreturn n";
    assert_eq!(play(source).run().result(), "3");
}

#[test]
fn delays_are_read_as_in_node() {
    let source =
        "for (const ms of [0, -5, NaN, undefined, '30', 2.9, 1e12]) setTimeout(() => {}, ms)";
    let played = play(source).run();
    let delays = played.calls.iter().filter_map(|call| match call {
        Call::Timer { delay, .. } => Some(delay.0),
        _ => None,
    });
    assert_eq!(
        delays.collect::<Vec<_>>(),
        [1, 1, 1, 1, 30, 2, 2_147_483_647]
    );
}

#[test]
fn an_exception_of_a_callback_is_told() {
    let source = "setTimeout(() => { throw new Error('lost') }, 1)\nawait new Promise(done => setTimeout(done, 2))";
    insta::assert_snapshot!(play(source).run().uncaught(), @"uncaught flow.js:1 Error: lost, 1 in all");
}

#[test]
fn a_timer_takes_a_function() {
    insta::assert_snapshot!(error_of("setTimeout('x', 5)"), @"script `flow.js` failed at line 1: TypeError: setTimeout() takes a function first, not string");
}

#[test]
fn timers_are_limited_apart_from_calls() {
    let source = with_sleep("await agent('x'); while (true) await sleep(1)");
    let played = play(&source)
        .options(|options| {
            options.limits.agents_max = 1;
            options.limits.timers_max = 4;
        })
        .run();
    assert_eq!(
        played
            .calls
            .iter()
            .filter(|call| call.id().is_some())
            .count(),
        5
    );
    insta::assert_snapshot!(played.error().to_string(), @"script `flow.js` failed at line 1: RangeError: this run has started 4 timers, which is as many as it may start");
}
