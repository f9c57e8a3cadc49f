//! What can be done with a run later: go on with it, look at it, list it.

use crate::home::{FLOW, HALF, Home};
use divisi_mock::{Config, MockThread};
use serde_json::Value;

fn json(home: &Home, args: &[&str]) -> Value {
    serde_json::from_str(&home.ends(0, &[args, &["--json"]].concat()).stdout).unwrap()
}

#[test]
fn after_an_edit_only_what_it_touches_runs() {
    let home = Home::with("flow.js", FLOW);
    home.ends(0, &["run", "flow.js", "--demo"]);
    home.write("flow.js", &FLOW.replace("Write a report", "Write a poem"));
    let said = home.ends(0, &["resume", "last"]);
    assert!(
        said.stderr.contains("3 reused ($") && said.stderr.contains("), at least 1 to run"),
        "{}",
        said.stderr
    );
    assert!(!said.stderr.contains("nothing to run"), "{}", said.stderr);
}

#[test]
fn a_run_goes_on_from_another_folder_without_its_file() {
    let home = Home::with("flow.js", FLOW);
    let first = home.ends(0, &["run", "flow.js", "--demo"]);
    std::fs::remove_file(home.folder().join("flow.js")).unwrap();
    let mut command = home.divisi(&["resume", &home.last()[..4], "--again"]);
    let output = command.current_dir("/").output().unwrap();
    assert_eq!(
        String::from_utf8_lossy(&output.stdout).trim_end(),
        first.stdout
    );
    assert!(
        String::from_utf8_lossy(&output.stderr)
            .contains("going on with the flow as the run knows it")
    );
}

#[test]
fn failed_tasks_are_tried_again_when_asked() {
    let home = Home::with("flow.js", HALF);
    home.ends(3, &["run", "flow.js", "--demo"]);
    let resumed = home.ends(3, &["resume", "last"]);
    let said = resumed.stderr.replace(&home.last(), "ID");
    insta::assert_snapshot!(said, @"
    DEMO · answers are scripted, and dollars an example
    note: nothing to run: 1 task of ID failed before, and a resume keeps that; `divisi rerun ID --failed` tries again what failed
    ");
    assert!(
        resumed.stdout.contains("Say something"),
        "{}",
        resumed.stdout
    );
    home.write("divisi.toml", "[executors.echo]\ncommand = ['cat']\n");
    home.ends(0, &["trust"]);
    let rerun = home.ends(0, &["rerun", "last", "--failed", "-q"]);
    insta::assert_snapshot!(rerun.stdout, @r#"
    {
      "good": "[scripted demo-sonnet] Say something",
      "bad": "Say it again"
    }
    "#);
}

#[test]
fn what_an_agent_writes_to_the_settings_gives_a_resume_no_more_rights() {
    let flow =
        "export const meta = { name: 'a', description: 'd' };\nreturn shell('echo hello');\n";
    let home = Home::with("flow.js", flow);
    home.ends(1, &["run", "flow.js", "--demo"]);
    home.write("divisi.toml", "allow = ['run']\n");
    home.ends(1, &["rerun", "last", "--failed"]);
    home.ends(0, &["rerun", "last", "--failed", "--allow", "run"]);
}

#[test]
fn runs_are_listed_latest_first() {
    let home = Home::with("flow.js", FLOW);
    insta::assert_snapshot!(home.ends(0, &["runs"]).stdout, @r#"
    no runs yet
      divisi run <flow>  starts one; `divisi init` writes an example flow
    "#);
    home.ends(0, &["run", "flow.js", "--demo"]);
    home.ends(0, &["pipe", "Build", "--demo"]);
    let listed = home.ends(0, &["runs"]).stdout;
    let flows: Vec<&str> = listed
        .lines()
        .map(|line| line.split_whitespace().nth(1).unwrap())
        .collect();
    assert_eq!(flows, ["flow", "pipe", "audit"]);
    assert_eq!(
        home.ends(0, &["runs", "--limit", "1"])
            .stdout
            .lines()
            .count(),
        2
    );
}

#[test]
fn a_run_and_its_tasks_can_be_looked_at() {
    let home = Home::with("flow.js", FLOW);
    home.ends(0, &["run", "flow.js", "--demo"]);
    let run = home.ends(0, &["show", "last"]).stdout;
    for part in ["DEMO", "Audit  3 ok", "payment", "demo-sonnet"] {
        assert!(run.contains(part), "{part}\n{run}");
    }
    let by_label = home.ends(0, &["show", "last", "payment"]).stdout;
    assert_eq!(by_label, home.ends(0, &["show", "last", "t1"]).stdout);
    assert!(by_label.contains("Audit payment"), "{by_label}");
    let task: serde_json::Value =
        serde_json::from_str(&home.ends(0, &["show", "last", "t1", "--json"]).stdout).unwrap();
    assert_eq!(task["spec"]["prompt"], "Audit payment");
    insta::assert_snapshot!(home.ends(2, &["show", "last", "t9"]).stderr, @r#"
    error: the run has no task `t9`
      hint: `divisi show <run>` lists its tasks with their numbers
    "#);
}

#[test]
fn what_a_refused_key_prevented_is_tried_again_by_a_resume() {
    let vendor = MockThread::start(Config {
        keys: vec!["right".to_owned()],
        ..Config::default()
    });
    let flow = HALF.replace("Half of it", "All of it");
    let home = Home::with("flow.js", &flow)
        .variable("ANTHROPIC_BASE_URL", vendor.url())
        .variable("ANTHROPIC_API_KEY", "wrong");
    let said = home.ends(1, &["run", "flow.js"]).stderr;
    assert!(
        said.contains("try again what a refused key prevented"),
        "{said}"
    );
    assert!(
        said.contains("rerun"),
        "the other failure is of another kind: {said}"
    );
    let why = &json(&home, &["resume", "last", "--explain"])["runs"][0]["why"];
    assert!(why.as_str().unwrap().contains("not authorised"), "{why}");
    // With the same key it is the same failure, and costs nothing.
    home.ends(1, &["resume", "last"]);

    let home = home.variable("ANTHROPIC_API_KEY", "right");
    let said = home.ends(3, &["resume", "last"]).stderr;
    let told = "1 task failed because a key was refused; a resume tries that again";
    assert!(said.contains(told), "{said}");
    assert!(said.contains("1 ok · 1 failed"), "{said}");
    // What is left needs a word.
    let said = home.ends(3, &["resume", "last"]).stderr;
    assert!(said.contains("a resume keeps that"), "{said}");
}
