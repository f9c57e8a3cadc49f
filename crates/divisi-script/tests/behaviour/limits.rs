//! What a script may use, and how it is stopped.

use crate::play::{Play, play};
use divisi_script::{ErrorKind, HostLimits, Script};
use std::time::Duration;

fn limited(source: &str, change: impl FnOnce(&mut HostLimits)) -> Play {
    play(source).options(|options| change(&mut options.limits))
}

fn hurried(source: &str) -> Play {
    limited(source, |limits| limits.busy_max = Duration::from_millis(50))
}

#[test]
fn an_endless_loop_is_stopped_at_its_line() {
    let played = hurried("let n = 0\nwhile (true) {\n  n++\n}").run();
    assert_eq!(played.error().kind(), ErrorKind::Busy);
    assert_eq!(played.error().site().unwrap().line, 2);
    assert!(
        played
            .error()
            .to_string()
            .ends_with("it computed for more than 50ms without waiting")
    );
}

#[test]
fn an_endless_loop_after_an_await_is_stopped_at_its_line() {
    let played = hurried("await agent('x')\n\nfor (;;) { }").run();
    insta::assert_snapshot!(played.error(), @"script `flow.js` was stopped at line 3: it computed for more than 50ms without waiting");
}

#[test]
fn an_endless_loop_cannot_be_caught() {
    let played =
        hurried("try {\n  for (;;) {}\n} catch {} finally { log('never') }\nreturn 1").run();
    assert_eq!(
        (played.error().kind(), played.error().site().unwrap().line),
        (ErrorKind::Busy, 2)
    );
    let played =
        hurried("return await parallel([() => agent('x').then(() => {\n  for (;;) {}\n})])").run();
    assert_eq!(
        (played.error().kind(), played.error().site().unwrap().line),
        (ErrorKind::Busy, 2)
    );
}

/// Converting values that a script throws, returns, logs or passes on may run code of the script,
/// which counts as its computing time.
#[test]
fn endless_answers_to_our_own_questions_are_stopped() {
    let error = |name: &str| {
        format!(
            "const e = new Error('x'); Object.defineProperty(e, '{name}', {{get() {{ for (;;) {{}} }}}});\n"
        )
    };
    let endless = "{ for (;;) {} }";
    for source in [
        error("message") + "throw e",
        error("name") + "throw e",
        error("stack") + "throw e",
        error("message") + "Promise.reject(e); await agent('x')",
        error("message") + "queueMicrotask(() => { throw e }); await agent('x'); await agent('y')",
        error("stack") + "return await parallel([() => { throw e }])",
        error("message") + "return await parallel([() => { throw e }])",
        error("message") + "log(e)",
        error("message") + "console.error(e)",
        format!("return await parallel([() => {{ throw {{toString() {endless}}} }}])"),
        format!(
            "return await pipeline([1], () => {{ throw {{[Symbol.toPrimitive]() {endless}}} }})"
        ),
        format!("throw {{toJSON() {endless}}}"),
        format!("return {{toJSON() {endless}}}"),
        format!("return {{get a() {endless}}}"),
        format!("log({{toJSON() {endless}}})"),
        format!("throw new Proxy({{}}, {{has() {endless}}})"),
        format!("throw new Proxy(new Error('x'), {{get() {endless}}})"),
        format!("return new Proxy({{}}, {{ownKeys() {endless}}})"),
        format!("await agent('x', {{get label() {endless}}})"),
        format!("throw {{get stack() {{ return {{toString() {endless}}} }}}}"),
    ] {
        let played = hurried(&source).run();
        assert_eq!(played.error().kind(), ErrorKind::Busy, "{source}");
    }
}

#[test]
fn what_is_thrown_is_cut_to_what_can_be_read() {
    for field in ["message", "stack"] {
        let source =
            format!("const e = new Error('x'); e.{field} = 'é'.repeat(5_000_000); throw e");
        let error = play(&source).run().error().to_string();
        assert!(error.len() < 100_000, "{field}: {}", error.len());
    }
}

#[test]
fn endless_small_steps_are_stopped_too() {
    let played = hurried("while (true) await null").run();
    assert_eq!(played.error().kind(), ErrorKind::Busy);
}

#[test]
fn an_endless_regex_is_stopped() {
    let played = hurried("\nreturn /^(a+)+$/.test('a'.repeat(40) + 'b')").run();
    assert_eq!(
        (played.error().kind(), played.error().site().unwrap().line),
        (ErrorKind::Busy, 2)
    );
}

#[test]
fn a_hog_of_memory_is_stopped() {
    let small = |limits: &mut HostLimits| limits.memory_bytes_max = 16 << 20;
    // Pieces so large that what the last one does not fit into is room to say where.
    let played = limited(
        "const all = []\nfor (;;) all.push('x'.repeat(100_000) + all.length)",
        small,
    )
    .run();
    insta::assert_snapshot!(played.error(), @"script `flow.js` was stopped at line 2: it used more than 16 MiB of memory");
    let played = limited(
        "await agent('x')\nconst all = []\nfor (;;) all.push({})",
        small,
    )
    .run();
    assert_eq!(played.error().kind(), ErrorKind::Memory);
    let played = limited(
        "await parallel([async () => { const all = []; for (;;) all.push('x'.repeat(9999) + all.length) }])",
        small,
    )
    .run();
    assert_eq!(played.error().kind(), ErrorKind::Memory);
}

#[test]
fn endless_recursion_is_an_error() {
    let played = play("function f() {\n  return f() + 1\n}\nf()").run();
    insta::assert_snapshot!(played.error(), @"script `flow.js` was stopped at line 2: its calls are nested too deeply");
    let played = play("async function f() {\n  return await f()\n}\nawait f()").run();
    assert_eq!(played.error().kind(), ErrorKind::Stack);
}

#[test]
fn waiting_for_nothing_is_an_error() {
    insta::assert_snapshot!(play("await agent('x'); await new Promise(() => {})").run().error(), @"script `flow.js` waits for something that will never come");
}

#[test]
fn more_calls_than_allowed_throw() {
    let played = limited(
        "return await parallel([1, 2, 3].map(n => () => agent(`${n}`)))",
        |l| l.agents_max = 2,
    )
    .run();
    assert_eq!(played.result(), r#"["1","2",null]"#);
    insta::assert_snapshot!(played.warnings().join("\n"), @"warning flow.js:1 item 2 of `parallel` is null because it threw RangeError: this run has made 2 calls, which is as many as it may make; if it is meant to make more, write for example `maxAgents: 20` in `meta`, or raise `agents_max` in the settings");
}

#[test]
fn a_wide_fan_out_may_make_calls_beyond_the_limit_of_loops() {
    let wide = |l: &mut HostLimits| (l.agents_max, l.agents_wide_max) = (2, 100);
    let twice = "const all = [1, 2, 3, 4, 5]
        const first = await parallel(all.map(n => () => agent(`${n}`)))
        return await parallel(first.map(n => () => agent(`again ${n}`)))";
    let played = limited(twice, wide).run();
    assert_eq!(played.result().matches("again").count(), 5);
    let endless = "for (let n = 0; ; n++) await agent(`${n}`)";
    let stopped = limited(endless, wide).run().error().to_string();
    assert!(stopped.contains("made 10 calls"), "{stopped}");
}

#[test]
fn messages_are_counted_and_cut() {
    let played = limited(
        "for (let n = 0; n < 9; n++) log('message ' + n)",
        |limits| {
            limits.messages_max = 3;
            limits.message_chars_max = 7;
        },
    )
    .run();
    insta::assert_snapshot!(played, @r"
    warning flow.js:1 the scr…
    log message…
    log message…
    warning more than 3 messages: the others are dropped
    = null
    ");
}

#[test]
fn what_json_cannot_hold_is_named() {
    insta::assert_snapshot!(play("return { a: [1, 2n] }").run().error(), @"script `flow.js` returned what JSON cannot hold: `result.a[1]` is a BigInt");
    insta::assert_snapshot!(play("const a = { b: {} }; a.b.c = a; return a").run().error(), @"script `flow.js` returned what JSON cannot hold: `result.b.c` contains itself");
    insta::assert_snapshot!(play("return () => 1").run().error(), @"script `flow.js` returned what JSON cannot hold: it is a function");
}

#[test]
fn texts_without_sense_are_refused_in_time() {
    for source in [
        "[".repeat(200_000),
        "(".repeat(200_000),
        "`${".repeat(100_000),
        "a".repeat(900_000) + "(",
        "-".repeat(200_000) + "1",
        format!("export const meta = {}", "[".repeat(200_000)),
        "}); for (;;) {} (() => {".to_owned(),
        "}, (() => { for (;;) {} })(), async () => {".to_owned(),
    ] {
        let limits = HostLimits {
            busy_max: Duration::from_millis(50),
            ..HostLimits::default()
        };
        assert!(
            Script::parse_within("flow.js", &source, &limits).is_err(),
            "{}",
            &source[..20]
        );
    }
}

#[test]
fn fatal_errors_end_nothing_but_the_script() {
    for _ in 0..3 {
        hurried("for (;;) {}").run();
        play("(function f() { f() })()").run();
    }
    assert_eq!(play("return 1").run().result(), "1");
}

#[test]
fn calls_that_a_limit_refuses_are_counted() {
    let asks = "await parallel([1, 2, 3].map((n) => () => agent(`${n}`))); await agent.outcome('4'); return 1";
    let played = limited(asks, |limits| limits.agents_max = 1).run();
    assert_eq!(
        played.refused(),
        [
            "refused 2: Call { calls_max: 1 }",
            "refused 1: Call { calls_max: 1 }"
        ]
    );
    let checked = "return await agent('x', { check: (x) => 'no', model: ['haiku', 'opus'] }).catch(() => 'refused')";
    let played = limited(checked, |limits| limits.agents_max = 1).run();
    assert_eq!(
        (played.result(), played.refused().len()),
        ("\"refused\"".to_owned(), 1)
    );
    let played =
        play("await agent('1'); return await parallel([() => agent('2'), () => agent('3')])")
            .options(|options| options.budget_total = Some(1))
            .run();
    assert_eq!(played.refused(), ["refused 2: Tokens { total: 1 }"]);
    assert_eq!(limited(asks, |_| ()).run().refused(), [""; 0]);
}
