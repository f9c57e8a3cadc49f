//! What a person reads when a script fails.

use crate::play::{play, result_of};
use miette::{Diagnostic, SourceSpan};

fn told(source: &str) -> String {
    let played = play(source).run();
    let error = played.error();
    let mut told = format!("error: {error}\n");
    for frame in error.frames() {
        told += &format!("  {frame}\n");
    }
    if let Some(hint) = error.hint() {
        told += &format!("  hint: {hint}\n");
    }
    told
}

#[test]
fn an_exception_tells_its_way_through_the_script() {
    insta::assert_snapshot!(told("const check = (x) => x.y.z\nasync function all() {\n  await agent('x')\n  return [1].map(check)\n}\nreturn all()"), @r"
    error: script `flow.js` failed at line 1: TypeError: cannot read property 'z' of undefined
      at check (flow.js:1:22)
      at all (flow.js:4:18)
    ");
}

#[test]
fn columns_of_the_first_line_are_those_of_the_file() {
    insta::assert_snapshot!(told("null.x"), @r"
    error: script `flow.js` failed at line 1: TypeError: cannot read property 'x' of null
      at (script) (flow.js:1:1)
    ");
}

#[test]
fn frames_of_our_own_helpers_are_not_shown() {
    insta::assert_snapshot!(told("const run = () => parallel(3)\nawait run()"), @r"
    error: script `flow.js` failed at line 1: TypeError: parallel() takes an array of functions, not a value of type number
      at run (flow.js:1:18)
      at (script) (flow.js:2:7)
    ");
    insta::assert_snapshot!(told("\nawait gather('', [])"), @r"
    error: script `flow.js` failed at line 2: TypeError: gather() takes a prompt first
      at (script) (flow.js:2:7)
    ");
}

#[test]
fn what_is_not_there_comes_with_advice() {
    insta::assert_snapshot!(told("await new Promise(done => setImmediate(done))"), @r"
    error: script `flow.js` failed at line 1: ReferenceError: setImmediate is not defined
      at (script) (flow.js:1:27)
      at (script) (flow.js:1:11)
      hint: `queueMicrotask` runs a function soon, `setTimeout` later
    ");
    insta::assert_snapshot!(told("await fetch('https://example.org')"), @r"
    error: script `flow.js` failed at line 1: ReferenceError: fetch is not defined
      at (script) (flow.js:1:7)
      hint: a script reaches neither files nor the network; let agent() or shell() do it
    ");
}

#[test]
fn anything_can_be_thrown() {
    insta::assert_snapshot!(told("throw 'just a text'"), @r#"error: script `flow.js` failed: "just a text""#);
    insta::assert_snapshot!(told("throw { code: 3 }"), @r#"error: script `flow.js` failed: {"code":3}"#);
    insta::assert_snapshot!(told("\nstructuredClone(() => 1)"), @r"
    error: script `flow.js` failed at line 2: DataCloneError: a function cannot be cloned
      at (script) (flow.js:2:1)
    ");
    insta::assert_snapshot!(told("throw undefined"), @"error: script `flow.js` failed: undefined");
    insta::assert_snapshot!(told("class Own extends Error { name = 'Own' }\nthrow new Own('x')"), @r"
    error: script `flow.js` failed at line 1: Own: x
      at Own (flow.js:1:1)
      at (script) (flow.js:2:11)
    ");
}

#[test]
fn long_messages_are_kept_whole() {
    let source = "try { await agent('x', { effort: 'y'.repeat(50) }) } catch (e) { return e.message.length > 80 }";
    assert_eq!(result_of(source), "true");
}

#[test]
fn the_line_is_marked_for_reports() {
    let played = play("// ü\n  null.x // here").run();
    let error = played.error();
    let label = error.labels().unwrap().next().unwrap();
    let span: SourceSpan = *label.inner();
    let marked = error.source_code().unwrap().read_span(&span, 0, 0).unwrap();
    assert_eq!(
        std::str::from_utf8(marked.data()).unwrap().trim(),
        "null.x // here"
    );
    assert_eq!(error.code().unwrap().to_string(), "script::runtime");
}

#[test]
fn a_rejection_that_nothing_handles_is_told_with_its_line() {
    let uncaught = |source: &str| play(source).run().uncaught();
    insta::assert_snapshot!(
        uncaught("const lost = async () => {\n  throw new Error('lost')\n}\nlost()\nreturn await agent('x')"),
        @"uncaught flow.js:2 Error: lost, 1 in all"
    );
    insta::assert_snapshot!(
        uncaught("Promise.reject('a')\nnew Promise((_, no) => no(2))\nagent('').catch(() => { throw 3 })\nreturn await agent('x')"),
        @r#"uncaught "a", 3 in all"#
    );
    insta::assert_snapshot!(
        uncaught("agent('x').then((x) => x.y.z)\nreturn await agent('x')"),
        @"uncaught flow.js:1 TypeError: cannot read property 'z' of undefined, 1 in all"
    );
}

#[test]
fn a_rejection_that_is_handled_in_time_is_none() {
    for source in [
        "const p = Promise.reject(new Error('no')); await agent('x'); try { await p } catch {} return 1",
        "const ps = [1, 2, 3].map((n) => Promise.reject(n)); await agent('x'); await Promise.allSettled(ps); return 1",
        "const ps = [1, 2, 3].map((n) => Promise.reject(n)); for (const p of ps.reverse()) p.catch(() => {}); return 1",
        "await parallel([() => Promise.reject(new Error('no')), async () => { throw 1 }]); return 1",
        "await pipeline([1, 2], async () => { throw new Error('no') }, (x) => x); return 1",
        "await Promise.race([agent('x'), Promise.reject(1)]).catch(() => {}); return 1",
        "await Promise.all([Promise.reject(1), Promise.reject(2)]).catch(() => {}); return 1",
        "await agent('').catch(() => {}); await agent.outcome(''); return 1",
    ] {
        let played = play(source).run();
        assert_eq!(
            (played.result(), played.uncaught()),
            ("1".to_owned(), String::new()),
            "{source}"
        );
    }
}

#[test]
fn a_misspelt_global_is_named() {
    let hint = |source: &str| play(source).run().error().hint().map(str::to_owned);
    let meant = |source: &str| hint(source).unwrap_or_default();
    assert_eq!(meant("await agnet('x')"), "did you mean `agent`?");
    assert_eq!(meant("await paralel([])"), "did you mean `parallel`?");
    assert_eq!(hint("return nothingLikeIt"), None);
}
