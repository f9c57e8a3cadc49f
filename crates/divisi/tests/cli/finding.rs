//! Runs found again: by name, tag, flow, folder, and by what was asked and answered.

use crate::home::{FLOW, HALF, Home};
use serde_json::Value;

fn json(home: &Home, args: &[&str]) -> Value {
    serde_json::from_str(&home.ends(0, &[args, &["--json"]].concat()).stdout).unwrap()
}

/// The values of a field of all rows.
fn all(rows: &Value, field: &str) -> Vec<String> {
    let rows = rows.as_array().unwrap().iter();
    rows.map(|row| row[field].as_str().unwrap_or("-").to_owned())
        .collect()
}

#[test]
fn a_run_is_found_by_its_name_its_tags_and_its_flow() {
    let home = Home::with("flow.js", FLOW);
    let run = |args: &[&str]| {
        home.ends(0, &[args, &["--demo", "-q"]].concat());
        home.last()
    };
    let first = run(&["run", "flow.js", "--name", "nightly", "--tag", "ci"]);
    let second = run(&[
        "run", "flow.js", "--name", "nightly", "--tag", "ci", "--tag", "main",
    ]);
    let asked = run(&["ask", "Which module parses\nthe settings?", "--tag", "ci"]);
    home.write("half.js", HALF);
    home.ends(3, &["run", "half.js", "--demo", "-q", "--arg", "depth=2"]);

    let runs = json(&home, &["runs"]);
    assert_eq!(all(&runs, "flow"), ["half", "ask", "audit", "audit"]);
    assert_eq!(all(&runs, "name"), ["-", "-", "nightly", "nightly"]);
    let about = all(&runs, "about");
    assert_eq!(
        about[..2],
        [r#"{"depth":2}"#, "Which module parses the settings?"]
    );
    assert_eq!(runs[2]["tags"], serde_json::json!(["ci", "main"]));
    let listed = home.ends(0, &["runs"]).stdout;
    for part in ["nightly", "Which module", "about", "folder"] {
        assert!(listed.contains(part), "{part}\n{listed}");
    }

    let selected = |args: &[&str]| all(&json(&home, &[&["runs"], args].concat()), "id");
    assert_eq!(selected(&["--tag", "ci"]), [&*asked, &second, &first]);
    assert_eq!(selected(&["--tag", "ci", "--tag", "main"]), [&*second]);
    assert_eq!(selected(&["--flow", "audit", "--limit", "1"]), [&*second]);
    assert_eq!(selected(&["--status", "partial"]).len(), 1);
    assert_eq!(selected(&["--since", "2d", "--here"]).len(), 4);
    let cut = home
        .ends(0, &["runs", "--flow", "audit", "--limit", "1"])
        .stderr;
    assert!(cut.contains("1 more are not listed"), "{cut}");
    assert_eq!(
        home.ends(0, &["runs", "--flow", "none"]).stdout,
        "no run fits"
    );
    for wrong in [&["--since", "yesterday"][..], &["--status", "good"]] {
        home.ends(2, &[&["runs"], wrong].concat());
    }

    // The latest one, and there are two.
    let shown = home.ends(0, &["show", "nightly", "--json"]);
    assert!(shown.stdout.contains(&second), "{}", shown.stdout);
    let told = format!("2 runs of this folder are called `nightly`; {second} is the latest");
    assert!(shown.stderr.contains(&told), "{}", shown.stderr);
    let resumed = home.ends(0, &["resume", "ask"]).stderr;
    assert!(resumed.contains(&asked), "{resumed}");

    // From elsewhere it can be looked at, but not gone on with.
    let other = tempfile::tempdir().unwrap();
    let seen = home
        .ends_in(other.path(), 0, &["results", "nightly"])
        .stderr;
    assert!(seen.contains("2 runs are called `nightly`"), "{seen}");
    let refused = home.ends_in(other.path(), 2, &["resume", "nightly"]).stderr;
    assert!(
        refused.contains("no runs of this folder are called `nightly`"),
        "{refused}"
    );
    for wrong in ["last", "", "-x"] {
        home.ends(2, &["ask", "x", "--demo", &format!("--name={wrong}")]);
    }
}

#[test]
fn a_text_is_found_in_names_prompts_and_results() {
    let home = Home::with("flow.js", FLOW);
    home.ends(
        0,
        &[
            "run",
            "flow.js",
            "--demo",
            "-q",
            "--name",
            "payments of march",
        ],
    );
    let first = home.last();
    home.ends(0, &["map", "Look at {}", "alpha", "beta", "--demo", "-q"]);
    let second = home.last();

    let found = json(&home, &["search", "PAYMENT"]);
    assert!(
        all(&found, "run").iter().all(|run| *run == first),
        "{found}"
    );
    let parts = all(&found, "part");
    assert_eq!(parts[0], "name");
    assert!(parts.contains(&"prompt".to_owned()) && parts.contains(&"result".to_owned()));
    let of_task = found
        .as_array()
        .unwrap()
        .iter()
        .find(|hit| hit["part"] == "prompt");
    assert_eq!(of_task.unwrap()["label"], "payment");
    assert_eq!(of_task.unwrap()["excerpt"], "Audit payment");

    let found = json(&home, &["search", "look at beta"]);
    assert_eq!(all(&found, "task"), ["t1"]);
    assert_eq!(all(&found, "run"), [&*second]);
    let text = home.ends(0, &["search", "scripted", "--limit", "2"]);
    assert!(text.stdout.starts_with(&second), "{}", text.stdout);
    assert!(text.stderr.contains("there are more"), "{}", text.stderr);
    let none = home.ends(0, &["search", "no such text"]);
    assert_eq!(none.stdout, "");
    assert_eq!(none.stderr, "note: nothing found in 2 runs");
    let other = tempfile::tempdir().unwrap();
    let none = home.ends_in(other.path(), 0, &["search", "payment", "--here"]);
    assert_eq!(none.stdout, "");
    home.ends(2, &["search", " "]);
}

#[test]
fn two_runs_are_compared_task_by_task() {
    let home = Home::with("flow.js", FLOW);
    home.ends(0, &["run", "flow.js", "--demo", "-q", "--name", "before"]);
    home.write(
        "flow.js",
        &FLOW
            .replace("'payment', 'user'", "'payment', 'order'")
            .replace("Audit ${m}", "Audit ${m}${m === 'auth' ? ' well' : ''}"),
    );
    home.ends(0, &["run", "flow.js", "--demo", "-q", "--name", "after"]);
    let diff = json(&home, &["diff", "before", "after"]);
    let tasks = diff["tasks"].as_array().unwrap();
    let said: Vec<_> = tasks
        .iter()
        .map(|task| {
            (
                task["label"].as_str().unwrap(),
                task["result"].as_str().unwrap(),
            )
        })
        .collect();
    assert_eq!(said[..2], [("auth", "changed"), ("payment", "same")]);
    // The label has changed, but it stands at the same place.
    assert_eq!(said[2], ("order", "changed"));
    assert_eq!(
        tasks[0]["diff"],
        "-[scripted demo-sonnet] Audit auth\n+[scripted demo-sonnet] Audit auth well\n"
    );
    let text = home.ends(0, &["diff", "before", "after"]).stdout;
    let ids = home.ends(0, &["runs", "--jq", ".[].id"]).stdout;
    let ids: Vec<&str> = ids.lines().collect();
    let text = text.replace(ids[1], "BEFORE").replace(ids[0], "AFTER");
    insta::assert_snapshot!(text, @"
    BEFORE ok · 4 tasks · $0.0024
    AFTER ok · 4 tasks · $0.0024
    ~ t0 auth
        -[scripted demo-sonnet] Audit auth
        +[scripted demo-sonnet] Audit auth well
    ~ t2 order
        -[scripted demo-sonnet] Audit user
        +[scripted demo-sonnet] Audit order
    2 tasks have the same result
    ");
    let same = home.ends(0, &["diff", "before", "before"]).stdout;
    assert!(
        same.contains("4 tasks have the same result") && !same.contains('~'),
        "{same}"
    );
    home.ends(2, &["diff", "before", "after", "nonesuch"]);
}
