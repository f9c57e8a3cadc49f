//! A run from its start to its result.

use crate::home::{FLOW, HALF, Home};
use std::process::Stdio;

#[test]
fn the_result_goes_to_stdout_and_everything_else_to_stderr() {
    let home = Home::with("flow.js", FLOW);
    let said = home.ends(0, &["run", "flow.js", "--demo"]);
    insta::assert_snapshot!(said.stdout, @"[scripted demo-sonnet] Write a report");
    for part in [
        "DEMO",
        "answers are scripted",
        "✓ payment",
        "4 ok",
        &format!("divisi show {}", home.last()),
    ] {
        assert!(said.stderr.contains(part), "{part}\n{}", said.stderr);
    }
}

#[test]
fn quiet_says_nothing_but_the_result() {
    let said = Home::with("flow.js", FLOW).ends(0, &["run", "flow.js", "--demo", "--quiet"]);
    assert_eq!((said.stderr.as_str(), said.stdout.is_empty()), ("", false));
}

#[test]
fn json_is_one_event_a_line_and_holds_the_result() {
    let said = Home::with("flow.js", FLOW).ends(0, &["run", "flow.js", "--demo", "--json"]);
    let events = said.events();
    let names: Vec<&str> = events
        .iter()
        .map(|event| event["event"].as_str().unwrap())
        .collect();
    assert_eq!(
        (names[0], names[names.len() - 1]),
        ("run_started", "run_result")
    );
    assert!(names.contains(&"flow_ended"));
    assert_eq!(said.stderr, "");
}

#[test]
fn a_long_result_stands_in_the_events_as_well() {
    let home = Home::with(
        "flow.js",
        "export const meta = { name: 'a', description: 'd' };\nreturn 'x'.repeat(5000);\n",
    );
    let events = home
        .ends(0, &["run", "flow.js", "--demo", "--json"])
        .events();
    let ended = events
        .iter()
        .find(|event| event["event"] == "flow_ended")
        .unwrap();
    assert_eq!(ended["result"]["Ok"].as_str().unwrap().len(), 5_000);
}

#[test]
fn arguments_reach_the_script_as_what_they_mean() {
    let home = Home::with(
        "flow.js",
        "export const meta = { name: 'a', description: 'd' };\nreturn args;\n",
    );
    let result = |args: &[&str]| {
        home.ends(0, &[&["run", "flow.js", "--demo", "-q"], args].concat())
            .stdout
    };
    assert_eq!(result(&[]), "");
    assert_eq!(result(&["--args", "just a text"]), "just a text");
    insta::assert_snapshot!(result(&["--args", r#"{"modules": ["auth"]}"#]), @r#"
    {
      "modules": [
        "auth"
      ]
    }
    "#);
    insta::assert_snapshot!(result(&["--arg", "depth=2", "--arg", "name=auth"]), @r#"
    {
      "depth": 2,
      "name": "auth"
    }
    "#);
}

#[test]
fn flows_are_found_by_name() {
    let home = Home::with(".claude/workflows/audit.js", FLOW);
    assert!(!home.ends(0, &["run", "audit", "--demo"]).stdout.is_empty());
}

#[test]
fn a_part_that_fails_makes_the_run_partial() {
    let home = Home::with("flow.js", HALF);
    let said = home.ends(3, &["run", "flow.js", "--demo"]);
    insta::assert_snapshot!(said.stdout, @r#"
    {
      "good": "[scripted demo-sonnet] Say something",
      "bad": null
    }
    "#);
    for part in [
        "there is no executor `echo`",
        "1 ok",
        "1 failed",
        &format!("divisi rerun {} --failed", home.last()),
    ] {
        assert!(said.stderr.contains(part), "{part}\n{}", said.stderr);
    }
}

#[test]
fn an_error_of_the_script_shows_its_line() {
    let home = Home::with(
        "flow.js",
        "export const meta = { name: 'a', description: 'd' };\nconst a = null;\nreturn a.b;\n",
    );
    let said = home.ends(1, &["run", "flow.js", "--demo", "-q"]);
    assert_eq!(said.stdout, "");
    insta::assert_snapshot!(said.stderr, @r#"
    script::runtime

      × script `~/work/flow.js` failed at line 3: TypeError: cannot read property 'b' of null
       ╭─[~/work/flow.js:3:1]
     2 │ const a = null;
     3 │ return a.b;
       · ─────┬─────
       ·      ╰── TypeError: cannot read property 'b' of null
       ╰────
    "#);
}

#[test]
fn a_reader_that_goes_away_takes_nothing_from_the_run() {
    let home = Home::with("flow.js", FLOW);
    for flags in [&["--quiet"][..], &["--json"]] {
        let args = [&["run", "flow.js", "--demo"], flags].concat();
        let mut child = home
            .divisi(&args)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{flags:?}");
        assert_eq!(output.status.code(), Some(0), "{flags:?}");
        let run: serde_json::Value =
            serde_json::from_str(&home.ends(0, &["show", "last", "--json"]).stdout).unwrap();
        assert_eq!(
            (run["status"].as_str(), run["ok"].as_u64()),
            (Some("ok"), Some(4)),
            "{flags:?}"
        );
    }
}

#[test]
fn a_recording_is_replayed_without_anyone_to_ask() {
    let home = Home::with("flow.js", FLOW);
    let recorded = home
        .ends(0, &["run", "flow.js", "--demo", "--record", "tape.jsonl"])
        .stdout;
    let replayed = home
        .ends(0, &["run", "flow.js", "--replay", "tape.jsonl"])
        .stdout;
    assert_eq!(recorded, replayed);
}
