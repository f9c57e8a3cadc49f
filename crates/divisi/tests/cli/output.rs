//! Where results go: into files, to stdout while they come, through a filter.

use crate::home::{FLOW, HALF, Home};
use rustix::fs::{CWD, FileType, Mode};
use serde_json::Value;

#[test]
fn a_result_is_written_into_a_file_or_a_folder() {
    let home = Home::with("flow.js", FLOW);
    let said = home.ends(0, &["run", "flow.js", "--demo", "-q", "--out", "report.md"]);
    assert_eq!(said.stdout, "");
    assert!(
        home.read("report.md")
            .starts_with("[scripted demo-sonnet] Write a report")
    );
    home.ends(
        0,
        &["run", "flow.js", "--demo", "-q", "--out", "deep/answers/"],
    );
    assert_eq!(
        home.read("deep/answers/auth.md"),
        "[scripted demo-sonnet] Audit auth\n"
    );
    home.ends(0, &["resume", "--out", "again.md"]);
    assert_eq!(home.read("again.md"), home.read("report.md"));
    assert!(
        !home
            .ends(0, &["ask", "Hello", "--demo", "-q", "--out", "-"])
            .stdout
            .is_empty()
    );

    // Values are JSON; a flow that fails leaves the file as it was.
    home.write("half.js", HALF);
    home.ends(3, &["run", "half.js", "--demo", "-q", "--out", "half.json"]);
    let value: Value = serde_json::from_str(&home.read("half.json")).unwrap();
    assert_eq!(value["bad"], Value::Null);
    home.write(
        "throws.js",
        "export const meta = { name: 'a', description: 'd' };\nthrow new Error('no');\n",
    );
    let said = home
        .ends(1, &["run", "throws.js", "--demo", "--out", "half.json"])
        .stderr;
    assert!(said.contains("half.json is not written"), "{said}");
    assert!(home.read("half.json").contains("good"));

    // What cannot be written is said before anything is spent.
    let runs = || home.ends(0, &["runs", "--json"]).stdout;
    let before = runs();
    let refused = home
        .ends(2, &["run", "flow.js", "--demo", "--out", "none/report.md"])
        .stderr;
    assert!(refused.contains("cannot write none/report.md"), "{refused}");
    assert_eq!(runs(), before);

    let pipe = home.folder().join("pipe");
    rustix::fs::mknodat(CWD, &pipe, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    let reader = std::thread::spawn(move || std::fs::read_to_string(pipe).unwrap());
    home.ends(0, &["run", "flow.js", "--demo", "-q", "--out", "pipe"]);
    assert!(reader.join().unwrap().starts_with("[scripted"));
}

#[test]
fn results_are_printed_as_they_come() {
    let home = Home::with("half.js", HALF);
    let text = home
        .ends(3, &["run", "half.js", "--demo", "-q", "--stream"])
        .stdout;
    assert!(
        text.starts_with("## good\n\n[scripted demo-sonnet] Say something"),
        "{text}"
    );
    assert!(text.contains("## bad\n\n(no result: "), "{text}");
    let lines = home
        .ends(3, &["run", "half.js", "--demo", "-q", "--stream=ndjson"])
        .events();
    let said: Vec<_> = lines
        .iter()
        .map(|row| {
            (
                row["label"].as_str().unwrap(),
                row["status"].as_str().unwrap(),
            )
        })
        .collect();
    assert_eq!(said, [("good", "ok"), ("bad", "failed")]);
}

#[test]
fn the_last_line_of_the_events_says_how_it_ended() {
    let home = Home::with("half.js", HALF);
    for command in [&["run", "half.js", "--demo"][..], &["resume"], &["watch"]] {
        let events = home.ends(3, &[command, &["--json"]].concat()).events();
        let last = events.last().unwrap();
        assert_eq!(
            (&last["event"], &last["status"]),
            (&"run_result".into(), &"partial".into())
        );
        assert_eq!(
            last["result"]["good"],
            "[scripted demo-sonnet] Say something"
        );
        assert_eq!((&last["ok"], &last["failed"]), (&1.into(), &1.into()));
        assert!(last["cost"].as_f64().unwrap() > 0.0, "{last}");
        // What tasks have answered is a value, not a text of JSON.
        for event in &events {
            assert_eq!(event.pointer("/outcome/value/inline"), None, "{event}");
        }
    }
}

#[test]
fn json_goes_through_a_filter_of_jq() {
    let home = Home::with("flow.js", FLOW);
    home.ends(0, &["run", "flow.js", "--demo", "-q", "--name", "nightly"]);
    let filtered =
        |args: &[&str], filter: &str| home.ends(0, &[args, &["--jq", filter]].concat()).stdout;
    assert_eq!(filtered(&["runs"], ".[].name"), "nightly");
    assert_eq!(
        filtered(
            &["results", "last"],
            r#"map(select(.phase == "Audit")) | length"#
        ),
        "3"
    );
    assert_eq!(
        filtered(
            &["results", "last"],
            r#".[] | select(.status != "ok") | .label"#
        ),
        ""
    );
    assert_eq!(
        filtered(&["show", "last"], "{status, ok}"),
        r#"{"status":"ok","ok":4}"#
    );
    let spent: f64 = filtered(&["cost", "last"], ".total.cost").parse().unwrap();
    assert!(spent > 0.0, "{spent}");
    let status = filtered(
        &["run", "flow.js", "--demo"],
        r#"select(.event == "run_result") | .status"#,
    );
    assert_eq!(status, "ok");
    let said = home.ends(2, &["runs", "--jq", ".[] | nonesuch"]).stderr;
    assert!(said.contains("`nonesuch`, which is not defined"), "{said}");
    home.ends(1, &["runs", "--jq", ".[].id + 1"]);
}

#[test]
fn a_form_is_honoured_in_a_folder_and_a_dash_is_stdout() {
    let home = Home::with("flow.js", FLOW);
    home.ends(0, &["run", "flow.js", "--demo", "-q"]);
    home.ends(
        0,
        &["results", "last", "-o", "answers/", "--format", "json"],
    );
    let row: Value = serde_json::from_str(&home.read("answers/auth.json")).unwrap();
    assert_eq!(row[0]["label"], "auth");
    home.ends(0, &["results", "last", "-o", "answers/", "--format", "csv"]);
    assert!(home.read("answers/auth.csv").starts_with("task,label,"));
    let said = home.ends(0, &["results", "last", "-o", "-"]).stdout;
    assert!(said.starts_with("## auth"), "{said}");
    assert!(!home.folder().join("-").exists());
}

#[test]
fn the_filters_of_the_readme_work() {
    let home = Home::with("flows/audit.js", FLOW);
    home.ends(0, &["run", "flows/audit.js", "--demo", "-q"]);
    let readme = include_str!("../../../../README.md");
    let lines: Vec<&str> = readme
        .lines()
        .filter(|line| line.contains(" --jq '"))
        .collect();
    assert_eq!(lines.len(), 4, "{lines:?}");
    let binary = std::path::Path::new(env!("CARGO_BIN_EXE_divisi"));
    let path = format!(
        "{}:{}",
        binary.parent().unwrap().display(),
        std::env::var("PATH").unwrap()
    );
    let said: Vec<String> = lines
        .iter()
        .map(|line| {
            // Without a key the answers are scripted.
            let line = line.replace("divisi run ", "divisi run --demo ");
            let mut command = std::process::Command::new("sh");
            command
                .args(["-c", &line])
                .current_dir(home.folder())
                .env_clear();
            let of_home = home.divisi(&[]);
            command.envs(
                of_home
                    .get_envs()
                    .filter_map(|(name, value)| Some((name, value?))),
            );
            let output = command.env("PATH", &path).output().unwrap();
            assert!(
                output.status.success(),
                "{line}: {}",
                String::from_utf8_lossy(&output.stderr)
            );
            String::from_utf8(output.stdout).unwrap()
        })
        .collect();
    // What a demo costs depends on the length of its prompts.
    let spent = said[2]
        .split_once("\"cost\":")
        .unwrap()
        .1
        .trim_end_matches("}\n");
    assert!(spent.parse::<f64>().unwrap() > 0.0, "{spent}");
    let result = "[scripted demo-sonnet] Write a report";
    let shown = format!("{{\"status\":\"ok\",\"ok\":4,\"cost\":{spent}}}\n");
    let ran = format!("{{\"status\":\"ok\",\"cost\":{spent},\"result\":\"{result}\"}}\n");
    assert_eq!(said, [String::new(), String::new(), shown, ran]);
}

#[test]
fn a_filter_that_fails_on_events_costs_no_result() {
    let home = Home::with("flow.js", FLOW);
    let filter = "if .event == \"task_ended\" then error(\"no\") else .event end";
    let said = home.ends(
        0,
        &[
            "run",
            "flow.js",
            "--demo",
            "--jq",
            filter,
            "--out",
            "report.md",
        ],
    );
    let warning = "the filter failed: \"no\"; events `task_ended` on which it fails are left out";
    assert_eq!(said.stderr.matches(warning).count(), 1, "{}", said.stderr);
    let printed: Vec<&str> = said.stdout.lines().collect();
    assert!(
        printed.ends_with(&["run_ended", "run_result"]),
        "{printed:?}"
    );
    assert!(!printed.contains(&"task_ended"), "{printed:?}");
    assert!(home.read("report.md").contains("Write a report"));
}

#[test]
fn a_finished_run_gives_its_result_again_in_the_form_that_is_asked_for() {
    let home = Home::with("flow.js", FLOW);
    let first = home
        .ends(0, &["run", "flow.js", "--demo", "-q", "--out", "-"])
        .stdout;
    let again = |more: &[&str]| {
        let args = [&["resume", "last", "-q"], more].concat();
        home.ends(0, &args).stdout
    };
    assert!(
        first.starts_with("[scripted demo-sonnet] Write a report"),
        "{first}"
    );
    assert_eq!(again(&["--out", "-"]), first);
    let streamed = again(&["--stream"]);
    assert!(streamed.starts_with("## auth\n\n[scripted"), "{streamed}");
    assert!(streamed.contains("## user\n\n[scripted"), "{streamed}");
    assert_eq!(again(&["--stream=ndjson"]).lines().count(), 4);
}

#[test]
fn forms_of_output_that_contradict_each_other_are_refused_wherever_they_stand() {
    let home = Home::with("flow.js", FLOW);
    let run = ["--json", "run", "flow.js", "--demo", "--stream"];
    let said = home.ends(2, &run).stderr;
    assert!(said.contains("--stream"), "{said}");
    home.ends(0, &["run", "flow.js", "--demo", "-q"]);
    for args in [
        &["--json", "resume", "last", "--stream"][..],
        &["results", "last", "--format", "csv", "--jq", "."],
        &["--jq", ".", "results", "last", "--format", "csv"],
    ] {
        let said = home.ends(2, args).stderr;
        assert!(said.contains("cannot be used with"), "{args:?}: {said}");
    }
}

#[test]
fn a_place_that_cannot_be_written_is_found_before_anything_is_paid() {
    let home = Home::with("flow.js", FLOW);
    home.write("file", "");
    for out in ["file/result.md", "file/answers/", "nowhere/result.md"] {
        let said = home
            .ends(2, &["run", "flow.js", "--demo", "--out", out])
            .stderr;
        assert!(said.contains("nothing was started"), "{out}: {said}");
    }
    // A link is written where it leads to.
    std::fs::create_dir(home.folder().join("there")).unwrap();
    home.write("there/result.md", "");
    std::os::unix::fs::symlink("there/result.md", home.folder().join("link.md")).unwrap();
    home.ends(0, &["run", "flow.js", "--demo", "-q", "--out", "link.md"]);
    assert!(home.read("there/result.md").contains("Write a report"));
}

#[test]
fn a_file_that_is_replaced_keeps_its_mode() {
    use std::os::unix::fs::PermissionsExt;
    let home = Home::with("flow.js", FLOW);
    home.write("mine.md", "");
    let path = home.folder().join("mine.md");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    home.ends(0, &["run", "flow.js", "--demo", "-q", "--out", "mine.md"]);
    assert!(home.read("mine.md").contains("Write a report"));
    assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o666)).unwrap();
    home.ends(0, &["results", "last", "-o", "mine.md"]);
    assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o666);
    // What only its owner may read is not shown to others by an older file.
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
    home.ends(0, &["export", "last", "-o", "mine.md"]);
    assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
}
