//! `parallel()`, `pipeline()`, `phase()` and `log()`.

use crate::play::{Order, error_of, failed, ok, play, result_of};
use divisi_core::FailureClass;

#[test]
fn parallel_returns_results_in_the_order_of_its_input() {
    let source = "return await parallel(['a', 'b', 'c'].map(x => () => agent(x)))";
    for order in [Order::First, Order::Last, Order::Shuffled(3)] {
        assert_eq!(play(source).order(order).run().result(), r#"["a","b","c"]"#);
    }
}

#[test]
fn parallel_starts_everything_at_once() {
    let played = play(
        "await parallel(['a', 'b'].map(x => async () => { await agent(x); log('done ' + x) })); log('all')",
    )
    .run();
    assert_eq!(
        played.calls[2..4]
            .iter()
            .filter_map(|call| call.id())
            .count(),
        2
    );
    assert_eq!(played.logs(), ["done a", "done b", "all"]);
}

#[test]
fn parallel_turns_what_throws_into_null() {
    let source = "return await parallel([\n  () => { throw new Error('at once') },\n  async () => { await agent('a'); throw 'later' },\n  () => agent('b', { required: true }),\n  () => agent('c'),\n  () => undefined,\n])";
    let played = play(source)
        .agent(|_, task| {
            if task.required {
                failed(FailureClass::Server, "boom")
            } else {
                ok(task)
            }
        })
        .run();
    assert_eq!(played.result(), r#"[null,null,null,"c",null]"#);
    insta::assert_snapshot!(played.warnings().join("\n"), @r"
    warning flow.js:2 item 0 of `parallel` is null because it threw Error: at once
    warning item 1 of `parallel` is null because it threw later
    warning flow.js:4 item 2 of `parallel` is null because it threw Error: `b` failed: boom
    ");
}

#[test]
fn parallel_says_once_what_many_items_throw() {
    let played =
        play("await parallel(Array.from({ length: 100 }, () => () => {\n  null.x\n}))").run();
    insta::assert_snapshot!(played.warnings().join("\n"), @"warning flow.js:2 item 0 of `parallel` is null because it threw TypeError: cannot read property 'x' of null");
}

#[test]
fn parallel_takes_functions() {
    insta::assert_snapshot!(error_of("await parallel('x')"), @"script `flow.js` failed at line 1: TypeError: parallel() takes an array of functions, not a value of type string");
    insta::assert_snapshot!(error_of("\nawait parallel([() => 1, 'x'])"), @"script `flow.js` failed at line 2: TypeError: item 1 of parallel() is a value of type string, not a function: write () => agent(…)");
    insta::assert_snapshot!(error_of("await parallel(agent('x'))"), @"script `flow.js` failed at line 1: TypeError: parallel() takes an array of functions, not a promise");
}

#[test]
fn parallel_awaits_promises_with_a_warning() {
    let played = play("return await parallel([agent('a'), agent('b')])").run();
    assert_eq!(played.result(), r#"["a","b"]"#);
    insta::assert_snapshot!(played.warnings().join("\n"), @"warning flow.js:1 parallel() was given promises: write () => agent(…), so that it starts them itself");
}

#[test]
fn nothing_in_parallel_is_an_empty_list() {
    assert_eq!(
        result_of("return [await parallel([]), await pipeline([], x => x)]"),
        "[[],[]]"
    );
}

#[test]
fn pipeline_hands_on_the_result_the_item_and_the_index() {
    let source = "return await pipeline(['a', 'b'], (prev, item, i) => agent(`${prev} ${item} ${i}`), (prev, item, i) => [prev, item, i])";
    assert_eq!(result_of(source), r#"[["a a 0","a",0],["b b 1","b",1]]"#);
}

#[test]
fn pipeline_has_no_barrier() {
    let source = "await pipeline(['a', 'b'], x => agent(`1 ${x}`), x => agent(`2 ${x}`))";
    assert_eq!(
        play(source).order(Order::Last).run().prompts(),
        ["1 a", "1 b", "2 1 b", "2 1 a"]
    );
}

#[test]
fn pipeline_drops_what_throws_and_skips_the_rest() {
    let source = "return await pipeline([1, 2, 3], x => { if (x === 2) throw new Error('no two'); return x }, x => { log(x); return x * 10 })";
    let played = play(source).run();
    assert_eq!(played.result(), "[10,null,30]");
    assert_eq!(played.logs(), ["1", "3"]);
}

#[test]
fn pipeline_takes_a_list_and_functions() {
    insta::assert_snapshot!(error_of("await pipeline({}, x => x)"), @"script `flow.js` failed at line 1: TypeError: pipeline() takes an array of items, not a value of type object");
    insta::assert_snapshot!(error_of("await pipeline([1], x => x, 'x')"), @"script `flow.js` failed at line 1: TypeError: stage 1 of pipeline() is a value of type string, not a function");
}

#[test]
fn more_than_4096_items_are_an_error_never_a_cut() {
    assert_eq!(
        result_of("return (await parallel(Array(4096).fill(() => 1))).length"),
        "4096"
    );
    insta::assert_snapshot!(error_of("await parallel(Array(4097).fill(() => 1))"), @"script `flow.js` failed at line 1: RangeError: parallel() takes 4096 functions at most, not 4097");
    insta::assert_snapshot!(error_of("await pipeline(Array(4097).fill(1), x => x)"), @"script `flow.js` failed at line 1: RangeError: pipeline() takes 4096 items at most, not 4097");
}

#[test]
fn log_takes_anything() {
    let played = play("log('a'); log({ b: 1 }); log(); console.log('c', [1], null); console.error(new TypeError('d')); log(10n)").run();
    assert_eq!(
        played.logs(),
        [
            "a",
            r#"{"b":1}"#,
            "undefined",
            "c [1] null",
            "TypeError: d",
            "10"
        ]
    );
}
