//! Which run is meant, by the current folder; and repeated commands for a finished run.

use crate::home::{FLOW, HALF, Home, Said};
use std::fs;

/// A home with the flow in each of these folders, of which `.git` makes one a project.
fn folders<const N: usize>(folders: [&str; N]) -> Home {
    let home = Home::new();
    folders
        .iter()
        .for_each(|folder| home.write(&format!("{folder}/flow.js"), FLOW));
    home
}

fn at(home: &Home, folder: &str, code: i32, args: &[&str]) -> Said {
    home.ends_in(&home.folder().join(folder), code, args)
}

fn run(home: &Home, folder: &str) -> String {
    at(home, folder, 0, &["run", "flow.js", "--demo", "-q"]);
    let listed = at(home, folder, 0, &["runs", "--json"]).stdout;
    serde_json::from_str::<serde_json::Value>(&listed).unwrap()[0]["id"]
        .as_str()
        .unwrap()
        .to_owned()
}

#[test]
fn the_last_run_is_the_last_one_of_this_folder() {
    let home = folders(["one", "two"]);
    let one = run(&home, "one");
    for command in [&["resume"][..], &["resume", "last"], &["rerun", "--failed"]] {
        let refused = at(&home, "two", 2, command).stderr.replace(&one, "ID");
        insta::allow_duplicates! { insta::assert_snapshot!(refused, @r"
        error: there is no run of this folder, so `last` names none
          hint: the last one of another folder is ID (audit) of ~/work/one: name it by its id to go on with it
        ") }
    }
    for command in [&["show"][..], &["cost", "last"]] {
        let shown = at(&home, "two", 0, command).stderr.replace(&one, "ID");
        insta::allow_duplicates! { insta::assert_snapshot!(shown, @"note: there is no run of this folder; ID is the last one of ~/work/one") }
        assert_eq!(at(&home, "two", 0, &[command, &["-q"]].concat()).stderr, "");
    }
    let two = run(&home, "two");
    for (folder, id) in [("one", &one), ("two", &two)] {
        let shown = at(&home, folder, 0, &["show", "--json"]);
        assert_eq!(
            (shown.stderr.as_str(), shown.stdout.contains(id.as_str())),
            ("", true)
        );
    }
    // By its id it is found from everywhere.
    assert!(
        at(&home, "two", 0, &["resume", &one])
            .stderr
            .contains("is finished")
    );
}

#[test]
fn in_a_project_the_runs_above_and_below_count_and_say_so() {
    let home = folders(["p", "p/sub", "p/beside"]);
    home.write("p/.git/HEAD", "");
    let id = run(&home, "p");
    let said = at(&home, "p/sub", 0, &["resume"]).stderr.replace(&id, "ID");
    assert!(
        said.contains("note: the last run of this project is ID of ~/work/p"),
        "{said}"
    );
    let below = run(&home, "p/sub");
    let said = at(&home, "p", 0, &["show"]).stderr.replace(&below, "ID");
    assert_eq!(said, "note: the last run of this project is ID of sub");
    assert!(
        at(&home, "p/beside", 0, &["show", "--json"])
            .stdout
            .contains(&id)
    );
}

#[test]
fn runs_are_listed_with_their_folders_and_none_is_left_out_in_silence() {
    let home = folders(["one", "two"]);
    run(&home, "one");
    run(&home, "one");
    run(&home, "two");
    let listed = |args: &[&str]| {
        let said = at(&home, "one", 0, args);
        let folders = said
            .stdout
            .lines()
            .map(|line| line.split_whitespace().last().unwrap().to_owned());
        (folders.collect::<Vec<_>>(), said.stderr)
    };
    assert_eq!(
        listed(&["runs"]),
        (
            ["folder", ".", ".", "~/work/two"]
                .map(str::to_owned)
                .to_vec(),
            String::new()
        )
    );
    let (folders, said) = listed(&["runs", "--limit", "1"]);
    assert_eq!(folders, ["folder", "."]);
    assert_eq!(
        said,
        "note: 2 more are not listed, 1 of this folder; `--limit 3` lists all"
    );
    let json: serde_json::Value =
        serde_json::from_str(&at(&home, "two", 0, &["runs", "--json"]).stdout).unwrap();
    let folders: Vec<_> = json
        .as_array()
        .unwrap()
        .iter()
        .map(|run| run["folder"].as_str().unwrap())
        .collect();
    assert_eq!(folders, ["~/work/two", "~/work/one", "~/work/one"]);
}

#[test]
fn a_finished_run_gives_its_result_again_and_is_not_executed() {
    let home = folders(["."]);
    let first = home.ends(0, &["run", "flow.js", "--demo"]);
    let before = home.ends(0, &["runs", "--json"]).stdout;
    for command in [
        &["resume"][..],
        &["rerun", "--failed"],
        &["resume", "--max-cost", "3"],
    ] {
        let again = home.ends(0, command);
        assert_eq!(again.stdout, first.stdout);
        let said = again.stderr.replace(&home.last(), "ID");
        insta::allow_duplicates! { insta::assert_snapshot!(said, @r"
        DEMO · answers are scripted, and dollars an example
        note: nothing to run: ID is finished, and its flow has not changed; this is its result
              `divisi resume ID --again` executes it again, after a change of what else it uses
        ") }
    }
    let events = home.ends(0, &["resume", "--json"]).events();
    let names: Vec<_> = events
        .iter()
        .map(|event| event["event"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["flow_ended", "run_ended", "run_result"]);
    assert_eq!(events[0]["result"]["Ok"], first.stdout);
    assert_eq!(events[2]["result"], first.stdout);
    assert_eq!(home.ends(0, &["runs", "--json"]).stdout, before);
    let again = home.ends(0, &["resume", "--again"]);
    assert_eq!(again.stdout, first.stdout);
    assert!(
        again.stderr.contains("4 reused ($") && again.stderr.contains("), 0 to run"),
        "{}",
        again.stderr
    );
    assert_ne!(home.ends(0, &["runs", "--json"]).stdout, before);
}

#[test]
fn a_changed_input_of_a_finished_run_is_a_reason_to_execute_it() {
    let home = Home::with("a.txt", "one");
    home.ends(0, &["map", "Read {}", "a.txt", "--demo"]);
    assert!(home.ends(0, &["resume"]).stderr.contains("nothing to run"));
    let later = std::time::SystemTime::now() + std::time::Duration::from_secs(60);
    home.write("a.txt", "two");
    fs::File::options()
        .append(true)
        .open(home.folder().join("a.txt"))
        .unwrap()
        .set_modified(later)
        .unwrap();
    let said = home.ends(0, &["resume"]).stderr.replace(&home.last(), "ID");
    assert!(
        said.contains(
            "note: ~/work/a.txt has changed since ID was last executed; what depends on it runs"
        ),
        "{said}"
    );
    assert!(said.contains("0 reused, at least 1 to run"), "{said}");
}

#[test]
fn what_a_resume_replaces_stays_listed_and_readable() {
    let home = folders(["."]);
    home.ends(0, &["run", "flow.js", "--demo"]);
    home.write(
        "flow.js",
        &FLOW
            .replace("Write a report", "Write a poem")
            .replace("'user'", "'order'"),
    );
    let said = home.ends(0, &["resume"]).stderr.replace(&home.last(), "ID");
    assert!(
        said.contains("note: ~/work/flow.js differs from the flow that run ID knows"),
        "{said}"
    );
    let shown = home.ends(0, &["show"]).stdout;
    let earlier = shown.split("tasks of earlier executions").nth(1).unwrap();
    assert!(
        earlier.contains("earlier  2 ok") && earlier.contains("t2    user"),
        "{shown}"
    );
    assert!(earlier.contains("execution 1 ended ok"), "{shown}");
    assert!(
        home.ends(0, &["show", "last", "user"])
            .stdout
            .contains("Audit user")
    );
    let json: serde_json::Value =
        serde_json::from_str(&home.ends(0, &["show", "--json"]).stdout).unwrap();
    let labels = |of: &str| -> Vec<String> {
        json[of]
            .as_array()
            .unwrap()
            .iter()
            .map(|task| task["label"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(
        (labels("tasks").len(), labels("earlier")),
        (4, vec!["user".to_owned(), "gather".to_owned()])
    );
    assert_eq!(json["earlier_results"][0]["status"], "ok");
    assert_eq!(
        json["earlier_results"][0]["result"],
        "[scripted demo-sonnet] Write a report"
    );
}

#[test]
fn what_came_of_a_task_before_it_was_tried_again_stays_readable() {
    let home = Home::with("flow.js", HALF);
    home.write(
        "divisi.toml",
        "[executors.echo]\ncommand = ['sh', '-c', 'cat answer']\n[retry]\nretries_max = 0\n",
    );
    home.ends(0, &["trust"]);
    home.ends(3, &["run", "flow.js", "--demo"]);
    home.write("answer", "found");
    home.ends(0, &["rerun", "--failed"]);
    let shown = home.ends(0, &["show", "last", "bad"]).stdout;
    assert!(
        shown.contains("earlier: failed\n  program failed: `sh` ended with exit code 1"),
        "{shown}"
    );
    assert!(shown.ends_with("result\n  found"), "{shown}");
    let json: serde_json::Value =
        serde_json::from_str(&home.ends(0, &["show", "last", "bad", "--json"]).stdout).unwrap();
    assert_eq!(json["earlier_outcomes"][0]["status"], "failed");
}

#[test]
fn a_demo_and_a_run_do_not_become_each_other() {
    let home = folders(["."]).variable("ANTHROPIC_API_KEY", "sk-hush");
    home.ends(0, &["run", "flow.js", "--demo"]);
    let refused = home
        .ends(2, &["resume", "--again", "--provider", "anthropic"])
        .stderr;
    insta::assert_snapshot!(refused.replace(&home.last(), "ID"), @r"
    error: run ID is a demo: its answers are scripted, and no model goes on with it
      hint: start the flow anew, without `--demo`
    ");
}

#[test]
fn a_flow_that_has_results_is_said_to_have_them() {
    let home = folders(["one", "two"]);
    let said = |folder: &str, args: &[&str]| {
        at(
            &home,
            folder,
            0,
            &[&["run", "flow.js", "--demo"], args].concat(),
        )
        .stderr
    };
    let has = |said: &str| {
        said.contains("4 of 4 results exist in run ") && said.contains("costs nothing")
    };
    assert!(!has(&said("one", &[])));
    assert!(has(&said("one", &[])));
    let other = said("one", &["--model", "opus"]);
    assert!(
        other.contains("4 of 4 results exist in run ")
            && other.contains(", with another model: `divisi resume "),
        "{other}"
    );
    assert!(!has(&said("one", &["--args", "x"])));
    assert!(!has(&said("two", &[])));
    fs::write(
        home.folder().join("two/flow.js"),
        FLOW.replace("report", "poem"),
    )
    .unwrap();
    assert!(!has(&said("two", &[])));
}

#[test]
fn a_run_that_is_started_by_a_hook_works_in_its_own_copy() {
    let home = Home::with(
        "flow.js",
        "export const meta = { name: 'a', description: 'd' };\n\
         return agent('git rev-parse --show-toplevel', { executor: 'shell', isolation: 'worktree' });\n",
    );
    let git = |args: &[&str]| {
        let identity = [
            "-c",
            "user.name=T",
            "-c",
            "user.email=t@example.org",
            "-c",
            "maintenance.auto=false",
        ];
        let mut command = std::process::Command::new("git");
        assert!(
            command
                .args(identity)
                .args(args)
                .current_dir(home.folder())
                .status()
                .unwrap()
                .success()
        );
    };
    git(&["init", "--quiet"]);
    git(&["add", "."]);
    git(&["commit", "--quiet", "-m", "first"]);
    let mut command = home.divisi(&["run", "flow.js", "--demo", "--allow", "run"]);
    command
        .env("GIT_DIR", home.folder().join(".git"))
        .env("GIT_WORK_TREE", home.folder());
    let output = command
        .env("GIT_INDEX_FILE", home.folder().join("elsewhere"))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned()
        + &String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("/.divisi/worktrees/"), "{said}");
    // What was not changed is not kept, what was is named.
    assert!(!home.ends(0, &["show"]).stdout.contains("worktree"));
    home.write(
        "flow.js",
        "export const meta = { name: 'a', description: 'd' };\n\
         return agent('echo new > made', { executor: 'shell', isolation: 'worktree' });\n",
    );
    home.ends(0, &["run", "flow.js", "--demo", "--allow", "run"]);
    let shown: serde_json::Value =
        serde_json::from_str(&home.ends(0, &["show", "--json"]).stdout).unwrap();
    let kept = &shown["tasks"][0]["worktrees"][0];
    let path = kept["path"].as_str().unwrap();
    assert!(
        path.contains("/.divisi/worktrees/") && kept["base"].as_str().unwrap().len() == 40,
        "{kept}"
    );
    for args in [&["show"][..], &["show", "last", "t0"]] {
        let page = home.ends(0, args).stdout;
        let named = format!(
            "1 file changed in {path} (from commit {}, on no branch)",
            &kept["base"].as_str().unwrap()[..10]
        );
        assert!(page.contains(&named), "{page}");
    }
    assert!(!home.folder().join("elsewhere").exists());
}

#[test]
fn a_git_that_is_missing_or_too_old_is_named() {
    use std::os::unix::fs::PermissionsExt;
    let home = Home::with(
        "flow.js",
        "export const meta = { name: 'a', description: 'd' };\n\
         return agent('Look', { isolation: 'worktree', tools: [] });\n",
    );
    let programs = home.folder().join("programs");
    fs::create_dir(&programs).unwrap();
    let says = |advice: &str| {
        let output = home
            .divisi(&["run", "flow.js", "--demo"])
            .env("PATH", &programs)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(
            output.status.code() == Some(1) && said.contains(advice),
            "{said}"
        );
    };
    says("install git");
    let git = programs.join("git");
    fs::write(
        &git,
        "#!/bin/sh\necho \"error: unknown option 'show-toplevel'\" >&2\nexit 129\n",
    )
    .unwrap();
    fs::set_permissions(&git, fs::Permissions::from_mode(0o755)).unwrap();
    says("git 2.26 or newer is needed");
    assert!(!home.folder().join(".divisi").exists());
}
