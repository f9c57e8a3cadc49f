//! What commands take from stdin and from files, and words in the wrong place.

use crate::home::Home;

const DECLARED: &str = "\
export const meta = {
  name: 'find', description: 'Finds a number of things',
  args: { type: 'object', properties: { count: { type: 'number' } }, required: ['count'] },
}
return agent(`Find ${args.count} things`, { tools: [] })
";

#[test]
fn a_script_comes_from_stdin_and_is_resumed_without_it() {
    let home = Home::new();
    let script = "return agent('Say something', { tools: [] })";
    let first = home.ends_with(0, &["run", "-", "--demo", "-q"], script);
    assert!(
        first.stdout.starts_with("[scripted demo-sonnet]"),
        "{}",
        first.stdout
    );
    let again = home.ends(0, &["resume", "last", "-q"]);
    assert_eq!(again.stdout, first.stdout);
    let checked = home.ends_with(0, &["check", "-", "--demo"], script).stdout;
    assert!(checked.contains("pattern identified?"), "{checked}");
    let none = home.ends(2, &["run", "-", "--demo"]).stderr;
    assert!(none.contains("there is nothing on stdin"), "{none}");
}

#[test]
fn a_plan_comes_from_stdin_too() {
    let home = Home::new();
    let plan = "tasks:\n  - id: a\n    prompt: Say something\n";
    home.ends_with(0, &["run", "-", "--demo"], plan);
    let json = r#"{"tasks": [{"id": "a", "prompt": "Say something"}]}"#;
    home.ends_with(0, &["run", "-", "--demo"], json);
    let wrong = home
        .ends_with(2, &["run", "-", "--demo"], "tasks:\n  - id: a\n")
        .stderr;
    assert!(
        wrong.contains("stdin") && wrong.contains("prompt"),
        "{wrong}"
    );
}

#[test]
fn rows_of_a_file_fill_the_prompt() {
    let home = Home::with(
        "tickets.csv",
        "name,question\nanna,why?\nbob,\"how, then?\"\n",
    );
    home.ends(
        0,
        &[
            "map",
            "Answer {name}: {question}",
            "@tickets.csv",
            "--label",
            "for {name}",
            "--demo",
        ],
    );
    let task = home.ends(0, &["show", "last", "for bob"]).stdout;
    assert!(task.contains("  Answer bob: how, then?\n"), "{task}");
    let wrong = home
        .ends(2, &["map", "{qestion}", "@tickets.csv", "--demo"])
        .stderr;
    insta::assert_snapshot!(wrong, @"
    error: there is no field `qestion` in the items
      hint: did you mean `{question}`?
    ");
}

#[test]
fn items_without_a_file_are_refused_before_they_are_paid() {
    let home = Home::with("a.py", "");
    let none = home
        .ends(2, &["map", "Review {}", "nofile*.rs", "--demo"])
        .stderr;
    assert!(none.contains("no file matches nofile*.rs"), "{none}");
    let none = home
        .ends(2, &["map", "Review {}", "@list.txt", "--demo"])
        .stderr;
    assert!(
        none.contains("cannot read the items from list.txt"),
        "{none}"
    );
    home.ends(0, &["map", "Review {}", "*.py", "@@types/node", "--demo"]);
    home.ends_with(
        0,
        &["map", "Explain", "-", "--items", "whole", "--demo"],
        "fn a() {}\nfn b() {}\n",
    );
    let task = home.ends(0, &["show", "last", "t0"]).stdout;
    assert!(task.contains("  fn a() {}\n  fn b() {}"), "{task}");
}

#[test]
fn arguments_come_from_a_file_and_fit_what_the_flow_declares() {
    let home = Home::with("find.js", DECLARED);
    home.write("args.json", r#"{"count": 3}"#);
    home.ends(0, &["run", "find.js", "--args", "@args.json", "--demo"]);
    let task = home.ends(0, &["show", "last", "t0"]).stdout;
    assert!(task.contains("Find 3 things"), "{task}");
    insta::assert_snapshot!(home.ends(2, &["run", "find.js", "--demo"]).stderr, @r#"
    error: the flow needs arguments: "count" is a required property
      hint: it takes count (number, required)
    "#);
    insta::assert_snapshot!(home.ends(2, &["plan", "find.js", "--arg", "count=many", "--demo"]).stderr, @r#"
    error: the arguments do not fit the flow: at /count: "many" is not of type "number"
      hint: it takes count (number, required)
    "#);
    let warned = home.ends(
        0,
        &[
            "run", "find.js", "--arg", "count=1", "--arg", "cuont=2", "--demo",
        ],
    );
    assert!(
        warned
            .stderr
            .contains("note: the flow names no argument `cuont`; did you mean `count`?"),
        "{}",
        warned.stderr
    );
    let missing = home
        .ends(2, &["run", "find.js", "--args", "@no.json", "--demo"])
        .stderr;
    assert!(
        missing.contains("cannot read no.json for `--args`"),
        "{missing}"
    );
}

#[test]
fn other_languages_get_a_word_of_help() {
    let home = Home::with(
        "fan.py",
        "from divisi import Task\nTask('Find', model='haiku')\n",
    );
    home.write("typed.js", "const name: string = 'a'\nreturn agent(name)\n");
    let python = home.ends(2, &["run", "fan.py", "--demo"]).stderr;
    assert!(python.contains("this looks like Python"), "{python}");
    let typescript = home.ends(2, &["run", "typed.js", "--demo"]).stderr;
    assert!(
        typescript.contains("this looks like TypeScript"),
        "{typescript}"
    );
}

#[test]
fn a_shell_completes_runs_models_and_flows() {
    let home = Home::with("flows/audit.js", DECLARED);
    home.ends(0, &["ask", "Say something", "--demo", "-q"]);
    let run = home.last();
    let completed = |words: &[&str]| {
        let mut args = vec!["--", "divisi"];
        args.extend(words);
        let mut command = home.divisi(&args);
        command
            .env("COMPLETE", "fish")
            .env("ANTHROPIC_API_KEY", "k");
        let output = command.output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let runs = completed(&["show", ""]);
    assert!(runs.contains(&run) && runs.contains("last"), "{runs}");
    assert!(completed(&["ask", "--model", "claude-h"]).contains("claude-haiku-5-5"));
    assert!(completed(&["ask", "--model", "so"]).contains("sonnet"));
    let flows = completed(&["check", "au"]);
    assert!(flows.contains("audit"), "{flows}");
    // A home without a store gets none.
    let empty = Home::new();
    let mut command = empty.divisi(&["--", "divisi", "show", ""]);
    let output = command.env("COMPLETE", "fish").output().unwrap();
    assert!(
        output.status.success() && output.stderr.is_empty(),
        "{output:?}"
    );
    assert!(!empty.folder().join("../.local").exists());
}
