//! Single tasks carried out again, and what a resume would run.

use crate::home::{FLOW, Home};
use serde_json::Value;

fn json(home: &Home, args: &[&str]) -> Value {
    serde_json::from_str(&home.ends(0, &[args, &["--json"]].concat()).stdout).unwrap()
}

fn result_of(home: &Home, label: &str) -> String {
    let row = home.ends(0, &["results", "last", label, "--json"]).stdout;
    let row: Value = serde_json::from_str(&row).unwrap();
    row[0]["result"].as_str().unwrap().to_owned()
}

#[test]
fn a_task_that_was_ok_runs_again_on_another_model_and_so_does_what_reads_it() {
    let home = Home::with("flow.js", FLOW);
    home.ends(0, &["run", "flow.js", "--demo", "-q"]);
    let told = home
        .ends(0, &["rerun", "last", "payment", "--model", "opus"])
        .stderr;
    // Two audits are used again; the report has another prompt now.
    assert!(told.contains("2 reused"), "{told}");
    assert_eq!(
        result_of(&home, "payment"),
        "[scripted demo-opus] Audit payment"
    );
    assert_eq!(
        result_of(&home, "auth"),
        "[scripted demo-sonnet] Audit auth"
    );
    let page = home.ends(0, &["show", "last", "payment"]).stdout;
    assert!(page.contains("earlier: ok"), "{page}");
    for model in ["demo-sonnet", "demo-opus"] {
        assert!(
            page.contains(&format!("[scripted {model}] Audit payment")),
            "{page}"
        );
    }
    // The report over the new result is another task, and the old one is still listed.
    let shown = json(&home, &["show", "last"]);
    assert_eq!(shown["ok"], 4, "{shown}");

    // A resume keeps that, even after an edit elsewhere.
    home.write("flow.js", &FLOW.replace("Write a report", "Write a poem"));
    home.ends(0, &["resume", "last", "-q"]);
    assert_eq!(
        result_of(&home, "payment"),
        "[scripted demo-opus] Audit payment"
    );

    // The same again without a model: as it was with.
    home.ends(0, &["rerun", "last", "t0", "t1", "-q"]);
    assert_eq!(
        result_of(&home, "payment"),
        "[scripted demo-opus] Audit payment"
    );
    let page = home.ends(0, &["show", "last", "auth"]).stdout;
    assert!(page.contains("earlier: ok"), "{page}");
    home.ends(2, &["rerun", "last", "nonesuch"]);
    home.ends(2, &["rerun", "last", "t1", "--failed"]);
    home.ends(2, &["rerun", "last"]);
    // The first report is no longer asked for.
    let refused = home.ends(2, &["rerun", "last", "t3"]).stderr;
    assert!(
        refused.contains("t3 is of an earlier execution"),
        "{refused}"
    );
}

#[test]
fn what_would_run_and_why_is_said_without_running_it() {
    let home = Home::with("flow.js", FLOW);
    home.ends(0, &["run", "flow.js", "--demo", "-q"]);
    let events = || json(&home, &["show", "last"])["took"].clone();
    let before = (events(), home.ends(0, &["runs", "--json"]).stdout);

    let said = json(
        &home,
        &["rerun", "last", "t1", "--model", "opus", "--explain"],
    );
    assert_eq!(said["reused"], 2, "{said}");
    assert_eq!(said["runs"][0]["task"], "t1");
    assert_eq!(said["runs"][0]["why"], "you have named it, on opus");
    assert_eq!(said["runs"].as_array().unwrap().len(), 1);
    assert_eq!(said["may_run"][0]["task"], "t3");

    home.write(
        "flow.js",
        &FLOW.replace("Audit ${m}", "Audit ${m}${m === 'user' ? ' twice' : ''}"),
    );
    let said = home
        .ends(0, &["resume", "last", "--explain"])
        .stdout
        .replace(&home.last(), "ID");
    let (head, said) = said.split_once('\n').unwrap();
    assert!(
        head.starts_with("ID: 2 results are used again, which had cost $"),
        "{head}"
    );
    insta::assert_snapshot!(said, @"
    would run: 1 task
      t4 user  in place of t2: its prompt has changed
    may run: 1 task
      t3 gather  if the result of t2 becomes another one
    what the flow asks for after these is not known yet; nothing was sent
    ");
    assert_eq!((events(), home.ends(0, &["runs", "--json"]).stdout), before);
}

#[test]
fn what_waited_for_a_task_runs_again_where_agents_may_change_files() {
    let flow = "\
export const meta = { name: 'release', description: 'Build, then test' };
await agent('Build', { label: 'build', tools: [] });
await agent('Test', { label: 'test', tools: [] });
return 'done';
";
    let home = Home::with("release.js", flow);
    for (allow, expected) in [(&[][..], 1), (&["--allow", "write"][..], 2)] {
        home.ends(0, &[&["run", "release.js", "--demo", "-q"], allow].concat());
        let said = json(&home, &["rerun", "last", "build", "--explain"]);
        assert_eq!(said["runs"].as_array().unwrap().len(), expected, "{said}");
    }
    let said = json(&home, &["rerun", "last", "build", "--explain"]);
    assert_eq!(
        said["runs"][1]["why"],
        "it waited for t0, and agents may change files"
    );
    let told = home.ends(0, &["rerun", "last", "build"]).stderr;
    assert!(told.contains("0 reused"), "{told}");
}

#[test]
fn what_waited_for_a_program_that_runs_again_runs_again_too() {
    let flow = "export const meta = { name: 'built', description: 'd' };\n\
                const built = await shell('echo built', { label: 'build' });\n\
                await agent('Look at it', { label: 'look', tools: [] });\n\
                return built;\n";
    let home = Home::with("flow.js", flow);
    home.write("divisi.toml", "allow = ['run']\n");
    home.ends(0, &["trust"]);
    home.ends(0, &["run", "flow.js", "--demo", "-q"]);
    // Named twice, it is one; and no flag of the run says that programs may write.
    let said = json(&home, &["rerun", "last", "build", "t0", "--explain"]);
    let whys: Vec<&str> = said["runs"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| row["why"].as_str().unwrap())
        .collect();
    assert_eq!(
        whys,
        [
            "you have named it",
            "it waited for t0, and agents may change files"
        ],
        "{said}"
    );
}

#[test]
fn a_model_for_a_task_that_was_edited_is_said_to_be_lost() {
    let home = Home::with("flow.js", FLOW);
    home.ends(0, &["run", "flow.js", "--demo", "-q"]);
    home.write("flow.js", &FLOW.replace("Audit ${m}", "Review ${m}"));
    let said = home
        .ends(0, &["rerun", "last", "payment", "--model", "opus"])
        .stderr;
    assert!(
        said.contains("--model holds for a named task as the run knows it"),
        "{said}"
    );
}
