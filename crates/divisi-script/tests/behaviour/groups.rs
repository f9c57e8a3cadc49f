//! The notifications of a host about groups.

use crate::play::{failed, ok, play};
use divisi_core::FailureClass;
use divisi_script::{Call, Expect};
use serde_json::json;

fn groups_of(source: &str) -> String {
    play(source).run().groups()
}

#[test]
fn a_group_has_the_tasks_of_its_functions() {
    insta::assert_snapshot!(groups_of("await agent('before')\nawait parallel(['a', 'b'].map(x => () => agent(x)))\nawait agent('after')"), @r"
    c0 before in none
    g0 flow.js:2 Parallel of 2
    c1 a in g0
    c2 b in g0
    g0 ended
    c3 after in none
    ");
}

#[test]
fn what_follows_an_await_inside_belongs_to_the_group_still() {
    insta::assert_snapshot!(groups_of("await parallel(['a', 'b'].map(x => async () => { await agent(x); await agent(x + '2') }))\nawait agent('after')"), @r"
    g0 flow.js:1 Parallel of 2
    c0 a in g0
    c1 b in g0
    c2 a2 in g0
    c3 b2 in g0
    g0 ended
    c4 after in none
    ");
}

#[test]
fn groups_stand_in_groups() {
    insta::assert_snapshot!(groups_of("await pipeline(['a', 'b'],\n  x => agent(x),\n  (_, x) => parallel([1, 2].map(i => () => agent(x + i))),\n  (_, x) => agent('join ' + x))\nawait agent('after')"), @r"
    g0 flow.js:1 Pipeline of 2
    c0 a in g0
    c1 b in g0
    g1 flow.js:3 Parallel of 2 in g0
    c2 a1 in g1
    c3 a2 in g1
    g2 flow.js:3 Parallel of 2 in g0
    c4 b1 in g2
    c5 b2 in g2
    g1 ended
    c6 join a in g0
    g2 ended
    c7 join b in g0
    g0 ended
    c8 after in none
    ");
}

#[test]
fn what_runs_beside_a_group_is_not_part_of_it() {
    insta::assert_snapshot!(groups_of("const beside = agent('beside').then(() => agent('then'))\nawait Promise.all([parallel([() => agent('a')]), beside])"), @r"
    c0 beside in none
    g0 flow.js:2 Parallel of 1
    c1 a in g0
    c2 then in none
    g0 ended
    ");
}

#[test]
fn a_group_of_nothing_and_one_that_fails_have_an_end() {
    insta::assert_snapshot!(groups_of("await parallel([])\nawait pipeline([])\nawait parallel([() => { throw 1 }])\nawait pipeline([1], () => { throw 1 })\nawait agent('after')"), @r"
    g0 flow.js:1 Parallel of 0
    g0 ended
    g1 flow.js:2 Pipeline of 0
    g1 ended
    g2 flow.js:3 Parallel of 1
    g2 ended
    g3 flow.js:4 Pipeline of 1
    g3 ended
    c0 after in none
    ");
}

#[test]
fn a_planners_tasks_are_a_group() {
    let plan = json!({"tasks": [
        {"id": "a", "prompt": "do a", "needs": []}, {"id": "b", "prompt": "use {{a}}", "needs": []},
    ]});
    let played = play("\nawait decompose('goal', { gather: 'join' })")
        .agent(move |_, task| match task.schema {
            Some(_) => divisi_script::TaskAnswer::ok(plan.to_string()),
            None => ok(task),
        })
        .run();
    insta::assert_snapshot!(played.groups().lines().skip(1).collect::<Vec<_>>().join("\n"), @r"
    g0 flow.js:2 Decompose of 2
    c1 do a in g0
    c2 use do a in g0
    g0 ended
    c3 join⏎⏎## a⏎⏎do a⏎⏎## b⏎⏎use do a in none
    ");
}

#[test]
fn a_nested_flow_is_part_of_the_group_it_is_called_in() {
    let played =
        play("await parallel([() => workflow('inner'), () => agent('a')])\nawait agent('after')")
            .library(
                "inner",
                "await agent('x')\nawait parallel([() => agent('y')])\nawait agent('z')",
            )
            .run();
    insta::assert_snapshot!(played.groups(), @r"
    g0 flow.js:1 Parallel of 2
    c1 a in g0
    c2 x in g0
    g1 inner.js:2 Parallel of 1 in g0
    c3 y in g1
    g1 ended
    c4 z in g0
    g0 ended
    c5 after in none
    ");
}

#[test]
fn gather_says_that_it_tells_what_is_missing() {
    let informed = |source: &str| -> Vec<bool> {
        let calls = play(source)
            .agent(|_, _| failed(FailureClass::Server, "no"))
            .run()
            .calls;
        let informed = |call: &Call| match call {
            Call::Task { is_informed, .. } => Some(*is_informed),
            _ => None,
        };
        calls.iter().filter_map(informed).collect()
    };
    assert_eq!(
        informed("await agent('a')\nawait gather('b', ['x'])\nawait agent('c')"),
        [false, true, false]
    );
    // A refused gather does not mark the next task.
    assert_eq!(
        informed("await gather('b', ['x'], { effort: 'none' }).catch(() => 0)\nawait agent('c')"),
        [false]
    );
}

#[test]
fn widths_are_read_and_change_nothing_else() {
    let expected = |expect: &str| {
        let played = play(&format!("await agent('a', {{ expect: {expect} }})")).run();
        assert_eq!(played.warnings(), [""; 0]);
        assert_eq!(played.task(), &divisi_core::Task::new("a"));
        played.calls.iter().find_map(|call| match call {
            Call::Task { expect, .. } => Some(expect.clone()),
            _ => None,
        })
    };
    assert_eq!(
        expected("12"),
        Some(Expect {
            all: Some(12),
            ..Expect::default()
        })
    );
    let by_path = [("files".to_owned(), 2), ("report.files".to_owned(), 0)].into();
    assert_eq!(
        expected("{ files: 2, 'report.files': 0 }"),
        Some(Expect {
            by_path,
            ..Expect::default()
        })
    );
    insta::assert_snapshot!(crate::play::error_of("await agent('a', { expect: { files: 'many' } })"), @r#"script `flow.js` failed at line 1: TypeError: the option `expect.files` has to be a whole number from 0, not "many""#);
}
