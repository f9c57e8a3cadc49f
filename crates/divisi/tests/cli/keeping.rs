//! Runs removed, exported and imported.

use crate::home::{FLOW, Home};
use crate::stopping::wait_until;
use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::process::Stdio;

fn json(home: &Home, args: &[&str]) -> Value {
    serde_json::from_str(&home.ends(0, &[args, &["--json"]].concat()).stdout).unwrap()
}

fn count(home: &Home) -> usize {
    json(home, &["runs"]).as_array().unwrap().len()
}

#[test]
fn a_removed_run_is_gone_and_one_that_is_driven_stays() {
    let home = Home::with("flow.js", FLOW);
    for name in ["one", "two", "three"] {
        home.ends(0, &["run", "flow.js", "--demo", "-q", "--name", name]);
    }
    let said = home.ends(0, &["rm", "one"]).stderr;
    assert!(
        said.contains("(one)") && said.contains("of disk are free again"),
        "{said}"
    );
    home.ends(2, &["show", "one"]);
    assert_eq!(count(&home), 2);
    home.ends(0, &["results", "two"]);

    let held = "export const meta = { name: 'held', description: 'd' };\n\
                await agent('Say', { label: 'first', tools: [] });\n\
                await shell('until [ -e go ]; do sleep 0.05; done');\nreturn 1;\n";
    home.write("held.js", held);
    let mut run = home
        .divisi(&["run", "held.js", "--demo", "--allow", "run"])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(run.stderr.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap().contains("✓ first")));
    let refused = home.ends(1, &["rm", "two", "held", "--force"]).stderr;
    assert!(refused.contains("is being driven by process"), "{refused}");
    assert_eq!(count(&home), 3, "none of them is removed");
    // Everything but that one, while it goes on in the same store.
    let report = json(&home, &["gc", "--keep", "0", "--unfinished", "--yes"]);
    assert_eq!(
        (
            &report["removed"],
            report["selected"].as_array().unwrap().len()
        ),
        (&true.into(), 2)
    );
    home.write("go", "");
    lines.for_each(drop);
    assert!(run.wait().unwrap().success());
    assert_eq!(json(&home, &["runs"])[0]["status"], "ok");
    assert_eq!(count(&home), 1);
}

#[test]
fn old_runs_are_shown_before_they_are_removed_and_what_can_go_on_stays() {
    let home = Home::with("flow.js", FLOW);
    for _ in 0..3 {
        home.ends(0, &["run", "flow.js", "--demo", "-q"]);
    }
    let waits = "export const meta = { name: 'asks', description: 'd' };\n\
                 return agent('Deploy?', { executor: 'person' });\n";
    home.write("asks.js", waits);
    home.ends(4, &["run", "asks.js", "--demo", "-q"]);
    let refused = home.ends(2, &["rm", "asks"]).stderr;
    assert!(
        refused.contains("is parked, and nothing was removed"),
        "{refused}"
    );

    let shown = home.ends(0, &["gc"]).stdout;
    assert!(
        shown.contains("on disk for 4 runs") && shown.contains("asks"),
        "{shown}"
    );
    let dry = home.ends(0, &["gc", "--keep", "1"]);
    assert!(dry.stdout.contains("3 runs to remove"), "{}", dry.stdout);
    assert_eq!(dry.stderr, "note: nothing is removed; `--yes` removes them");
    assert_eq!(count(&home), 4);
    assert_eq!(
        json(&home, &["gc", "--older-than", "1h"])["selected"],
        serde_json::json!([])
    );
    let report = json(&home, &["gc", "--max-size", "0", "--yes"]);
    let selected = report["selected"].as_array().unwrap();
    assert_eq!(selected.len(), 3, "the parked run stays: {report}");
    let bytes: u64 = selected
        .iter()
        .map(|run| run["bytes"].as_u64().unwrap())
        .sum();
    assert_eq!(report["selected_bytes"], bytes);
    assert!(report["freed_bytes"].as_u64().unwrap() > 0, "{report}");
    assert_eq!(
        json(&home, &["gc"])["total_bytes"].as_u64().unwrap()
            + report["freed_bytes"].as_u64().unwrap(),
        report["total_bytes"].as_u64().unwrap()
    );
    assert_eq!(count(&home), 1);
    home.ends(0, &["answer", "last", "t0", "yes"]);
    home.ends(0, &["resume", "last"]);
    let report = json(&home, &["gc", "--keep", "0", "--yes"]);
    assert_eq!(report["selected"][0]["removed"], true, "{report}");
}

#[test]
fn what_was_cancelled_can_go_on_and_stays() {
    let held = "export const meta = { name: 'held', description: 'd' };\n\
                await shell('touch begun; until [ -e go ]; do sleep 0.05; done');\nreturn 1;\n";
    let home = Home::with("held.js", held);
    let mut run = home
        .divisi(&["run", "held.js", "--demo", "--allow", "run"])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(run.stderr.take().unwrap()).lines();
    wait_until(|| home.folder().join("begun").exists());
    let pid = rustix::process::Pid::from_child(&run);
    let interrupt = || rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    interrupt();
    assert!(lines.any(|line| line.unwrap().contains("parking: ")));
    interrupt();
    lines.for_each(drop);
    run.wait().unwrap();
    assert_eq!(json(&home, &["runs"])[0]["status"], "cancelled");
    let refused = home.ends(2, &["rm", "last"]).stderr;
    assert!(
        refused.contains("is cancelled, and nothing was removed"),
        "{refused}"
    );
    let gc = |more: &[&str]| json(&home, &[&["gc", "--keep", "0", "--yes"], more].concat());
    assert_eq!(gc(&[])["removed"], false);
    assert_eq!(gc(&["--unfinished"])["removed"], true);
}

#[test]
fn a_run_moves_to_another_machine_as_one_file() {
    let home = Home::with("flow.js", FLOW);
    home.ends(
        0,
        &[
            "run", "flow.js", "--demo", "-q", "--name", "moved", "--allow", "write",
        ],
    );
    home.ends(0, &["export", "moved", "-o", "moved.divisi"]);
    let file = home.read("moved.divisi");
    let root = home.folder().parent().unwrap().display().to_string();
    let shown = file.trim_end().replace(&root, "~");
    assert!(home.ends(0, &["export", "moved", "-o", "-"]).stdout == shown);

    let other = Home::with("moved.divisi", &file);
    other.ends(0, &["import", "moved.divisi"]);
    for command in [&["results", "moved"][..], &["cost", "moved"]] {
        let [here, there] =
            [&home, &other].map(|home| home.ends(0, &[command, &["--json"]].concat()).stdout);
        assert_eq!(here, there, "{command:?}");
    }
    let shown = other.ends(0, &["show", "moved"]).stdout;
    assert!(shown.contains("payment"), "{shown}");
    // Once is enough.
    let again = other.ends(2, &["import", "moved.divisi"]).stderr;
    assert!(again.contains("already"), "{again}");
    // It goes on there, with its own flow, and its agents may only read.
    let resumed = other.ends(0, &["resume", "moved", "--again"]);
    assert!(resumed.stderr.contains("4 reused"), "{}", resumed.stderr);
    other.ends(0, &["rerun", "moved", "payment", "--model", "opus", "-q"]);
    let options = other.ends(0, &["export", "moved", "-o", "-"]).stdout;
    let allowed: Vec<Value> = options
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .filter_map(|line| {
            line["event"]["flow"]["options"]["inline"]
                .as_str()
                .map(str::to_owned)
        })
        .map(|options| serde_json::from_str::<Value>(&options).unwrap()["allow"].clone())
        .collect();
    assert!(
        allowed.len() >= 2 && allowed.iter().all(|allow| *allow == serde_json::json!([])),
        "{allowed:?}"
    );
}

#[test]
fn a_damaged_or_hostile_file_is_refused_and_leaves_nothing() {
    let long = format!(
        "export const meta = {{ name: 'long', description: 'd' }};\n// {}\nreturn 'x'.repeat(2000);\n",
        "x".repeat(900)
    );
    let home = Home::with("flow.js", &long);
    home.ends(0, &["run", "flow.js", "--demo", "-q"]);
    home.ends(0, &["export", "last", "-o", "run.divisi"]);
    let file = home.read("run.divisi");
    let lines: Vec<&str> = file.lines().collect();
    let without = |place: usize| {
        let mut lines = lines.clone();
        lines.remove(place);
        lines.join("\n") + "\n"
    };
    let last = lines.len() - 1;
    let cases = [
        (String::new(), "no run that divisi has exported"),
        ("hello\n".to_owned(), "line 1"),
        (file[..file.len() - 1].to_owned(), "a part of it is missing"),
        (without(last), "a part of it is missing"),
        (without(1), "is missing"),
        (
            file.replacen("xxxxx", "yyyyy", 1),
            "does not have its digest",
        ),
        (
            file.replace(r#""format":1"#, r#""format":99"#),
            "a later divisi",
        ),
        (
            file.replacen(r#""name":"long""#, r#""name":"lang""#, 1),
            "was changed after it was written",
        ),
        (file.clone() + lines[0] + "\n", "after the last line"),
        (
            lines[0].to_owned() + "\n" + lines[last] + "\n",
            "was changed after",
        ),
    ];
    let other = Home::new();
    for (text, expected) in cases {
        other.write("bad.divisi", &text);
        let said = other.ends(2, &["import", "bad.divisi"]).stderr;
        assert!(said.contains(expected), "{expected}\n{said}");
    }
    assert_eq!(count(&other), 0);
    other.ends(1, &["import", "none.divisi"]);
}
