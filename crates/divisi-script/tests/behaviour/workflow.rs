//! `workflow()`: scripts in scripts.

use crate::play::{Play, play};

const CHILD: &str = "export const meta = { name: 'child', description: 'd' }\nphase('Deep')\nconst a = await agent(`child of ${args.parent}`)\nreturn { a, own: await agent('own', { phase: 'Own' }) }";

fn parent(source: &str) -> Play {
    play(source).library("child", CHILD)
}

#[test]
fn a_child_has_its_own_args_and_group() {
    let source = "phase('Top'); const r = await workflow('child', { parent: 'p' }); await agent('after'); return [r, typeof args]";
    insta::assert_snapshot!(parent(source).run(), @r#"
    warning flow.js:1 the script has no `meta`
    phase Top
    c0 load child
    phase ▸ child: Deep
    c1 child.js:3 child of p {"phase":"▸ child: Deep"}
    c2 child.js:4 own {"phase":"▸ child: Own"}
    c3 flow.js:1 after {"phase":"Top"}
    = [{"a":"child of p","own":"own"},"undefined"]
    "#);
}

#[test]
fn a_child_may_be_named_by_its_path() {
    assert!(
        parent("return await workflow({ scriptPath: 'child' }, { parent: 1 })")
            .run()
            .result()
            .contains("child of 1")
    );
}

#[test]
fn an_unknown_child_throws() {
    insta::assert_snapshot!(parent("\nawait workflow('other')").run().error(), @"script `flow.js` failed at line 2: Error: there is no flow `other`");
    insta::assert_snapshot!(parent("await workflow(7)").run().error(), @"script `flow.js` failed at line 1: TypeError: workflow() takes the name of a saved flow, or {scriptPath}");
}

#[test]
fn a_child_that_cannot_be_read_throws() {
    let played = play("return await workflow('bad').catch(error => error.message)")
        .library("bad", "\nreturn ]")
        .run();
    insta::assert_snapshot!(played.result(), @r#""script `bad.js` cannot be read at line 2: `]` closes nothing""#);
}

#[test]
fn what_a_child_throws_reaches_the_parent_with_its_line() {
    let played = play("await workflow('bad')")
        .library("bad", "await agent('x')\nnull.y")
        .run();
    insta::assert_snapshot!(played.error(), @"script `bad.js` failed at line 2: TypeError: cannot read property 'y' of null");
}

#[test]
fn a_child_has_no_children() {
    let played = parent("await workflow('nest')")
        .library("nest", "return await workflow('child')")
        .run();
    insta::assert_snapshot!(played.error(), @"script `nest.js` failed at line 1: Error: workflow() can be nested 1 deep, no deeper");
}

#[test]
fn the_budget_is_shared() {
    let source = "await workflow('child', {}); return budget.spent()";
    assert_eq!(parent(source).run().result(), "20");
}

#[test]
fn args_of_a_child_are_a_copy() {
    let played = play("const list = [1]; await workflow('push', list); return list")
        .library("push", "args.push(2)")
        .run();
    assert_eq!(played.result(), "[1]");
}
