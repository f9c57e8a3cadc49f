//! What is refused before a run exists, with what is said and the exit code.

use crate::home::{FLOW, Home};

/// What is said of a call that is refused with `code`, and that no run came of it.
fn refused(code: i32, home: &Home, args: &[&str]) -> String {
    let said = home.ends(code, args);
    assert_eq!(said.stdout, "");
    assert_eq!(home.ends(0, &["runs", "--json"]).stdout, "[]", "a run came of {args:?}");
    said.stderr
}

fn with_flow(source: &str) -> Home {
    Home::with("flow.js", source)
}

#[test]
fn flags_that_make_no_sense() {
    let home = with_flow(FLOW);
    insta::assert_snapshot!(refused(2, &home, &["run", "flow.js", "--jobs", "0"]), @"");
    insta::assert_snapshot!(refused(2, &home, &["run", "flow.js", "--max-cost", "lots"]), @"");
    insta::assert_snapshot!(refused(2, &home, &["run", "flow.js", "--timeout", "5"]), @"");
    insta::assert_snapshot!(refused(2, &home, &["run", "flow.js", "--arg", "x"]), @"");
    insta::assert_snapshot!(refused(2, &home, &["run", "flow.js", "--demo", "--workspace", "nowhere"]), @"");
    insta::assert_snapshot!(refused(2, &home, &["rerun", "last"]), @"");
    insta::assert_snapshot!(refused(2, &home, &["runn"]), @"");
}

#[test]
fn flows_that_are_not_there_or_cannot_be_read() {
    insta::assert_snapshot!(refused(2, &Home::new(), &["run", "flow.js", "--demo"]), @"");
    insta::assert_snapshot!(refused(2, &Home::new(), &["run", "audit", "--demo"]), @"");
    insta::assert_snapshot!(refused(2, &with_flow("const a = 1\nconst a = 2\n"), &["run", "flow.js", "--demo"]), @"");
    insta::assert_snapshot!(refused(2, &with_flow("import fs from 'fs'\n"), &["run", "flow.js", "--demo"]), @"");
}

#[test]
fn prompts_and_items_that_are_empty_or_too_many() {
    let home = Home::new();
    insta::assert_snapshot!(refused(2, &home, &["map", " ", "a", "--demo"]), @"");
    insta::assert_snapshot!(refused(2, &home, &["map", "Look at {}", "-", "--demo"]), @"");
    insta::assert_snapshot!(refused(2, &home, &["pipe", "Build", "", "--demo"]), @"");
    insta::assert_snapshot!(refused(2, &home, &["decompose", "", "--demo"]), @"");
    insta::assert_snapshot!(refused(1, &home, &["map", "Look at {}", "nowhere.txt", "--files", "--demo"]), @"");
    let items = "item\n".repeat(5_000);
    insta::assert_snapshot!(home.ends_with(2, &["map", "Look at {}", "-", "--demo"], &items).stderr, @"");
}

#[test]
fn schemas_that_are_none() {
    let home = Home::with("schema.json", "{");
    insta::assert_snapshot!(refused(1, &home, &["map", "x", "a", "--schema", "none.json", "--demo"]), @"");
    insta::assert_snapshot!(refused(2, &home, &["map", "x", "a", "--schema", "schema.json", "--demo"]), @"");
}

#[test]
fn no_key_and_no_server() {
    insta::assert_snapshot!(refused(1, &with_flow(FLOW), &["run", "flow.js"]), @"");
    let one = with_flow(FLOW).variable("ANTHROPIC_API_KEY", "sk-hush");
    insta::assert_snapshot!(refused(1, &one, &["run", "flow.js", "--provider", "openai"]), @"");
    insta::assert_snapshot!(refused(2, &one, &["run", "flow.js", "--provider", "nobody"]), @"");
}

#[test]
fn a_model_that_nobody_knows() {
    let home = with_flow(FLOW).variable("ANTHROPIC_API_KEY", "sk-hush");
    insta::assert_snapshot!(refused(2, &home, &["run", "flow.js", "--model", "haiku-9"]), @"");
}

#[test]
fn runs_that_are_not_there() {
    let home = Home::new();
    insta::assert_snapshot!(refused(2, &home, &["resume", "last"]), @"");
    insta::assert_snapshot!(refused(2, &home, &["resume", "k3f9"]), @"");
    insta::assert_snapshot!(refused(2, &home, &["show", "k3f9"]), @"");
}

#[test]
fn stores_that_are_none_or_too_new() {
    let home = with_flow(FLOW);
    home.write("letter.txt", "this is no database, but it is long enough to be taken for one at first sight");
    insta::assert_snapshot!(home.ends(1, &["run", "flow.js", "--demo", "--store", "letter.txt"]).stderr, @"");
    insta::assert_snapshot!(home.ends(1, &["run", "flow.js", "--demo", "--store", "letter.txt/runs.db"]).stderr, @"");
    assert!(home.read("letter.txt").starts_with("this is no database"));
}
