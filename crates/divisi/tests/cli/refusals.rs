//! What is refused before a run exists, with what is said and the exit code.

use crate::home::{FLOW, Home};

/// What is said of a call that is refused with `code`, and that no run came of it.
fn refused(code: i32, home: &Home, args: &[&str]) -> String {
    let said = home.ends(code, args);
    assert_eq!(said.stdout, "");
    assert_eq!(
        home.ends(0, &["runs", "--json"]).stdout,
        "[]",
        "a run came of {args:?}"
    );
    said.stderr
}

fn with_flow(source: &str) -> Home {
    Home::with("flow.js", source)
}

#[test]
fn flags_that_make_no_sense() {
    let home = with_flow(FLOW);
    insta::assert_snapshot!(refused(2, &home, &["run", "flow.js", "--jobs", "0"]), @r#"
    error: invalid value '0' for '--jobs <N>': 0 is not in 1..=4294967295

    For more information, try '--help'.
    "#);
    insta::assert_snapshot!(refused(2, &home, &["run", "flow.js", "--max-cost", "lots"]), @r#"
    error: invalid value 'lots' for '--max-cost <DOLLARS>': `lots` is no amount of dollars: write it like 5 or 0.35

    For more information, try '--help'.
    "#);
    insta::assert_snapshot!(refused(2, &home, &["run", "flow.js", "--timeout", "5"]), @r#"
    error: invalid value '5' for '--timeout <TIME>': `5` is no span of time: write it with its unit, like 90s, 10m or 1h30m

    For more information, try '--help'.
    "#);
    insta::assert_snapshot!(refused(2, &home, &["run", "flow.js", "--arg", "x"]), @r#"
    error: invalid value 'x' for '--arg <KEY=VALUE>': it must look like KEY=VALUE

    For more information, try '--help'.
    "#);
    insta::assert_snapshot!(refused(2, &home, &["run", "flow.js", "--demo", "--workspace", "nowhere"]), @"error: the workspace ~/work/nowhere is no folder");
    insta::assert_snapshot!(refused(2, &home, &["rerun", "last"]), @r#"
    error: the following required arguments were not provided:
      <TASKS>...

    Usage: divisi rerun <RUN> <TASKS>...

    For more information, try '--help'.
    "#);
    insta::assert_snapshot!(refused(2, &home, &["runn"]), @r#"
    error: unrecognized subcommand 'runn'

      tip: some similar subcommands exist: 'runs', 'run'

    Usage: divisi [OPTIONS] <COMMAND>

    For more information, try '--help'.
    "#);
}

#[test]
fn flows_that_are_not_there_or_cannot_be_read() {
    insta::assert_snapshot!(refused(2, &Home::new(), &["run", "flow.js", "--demo"]), @"error: there is no file flow.js");
    let saved = Home::with("flows/audit.js", crate::home::FLOW);
    assert!(
        refused(2, &saved, &["run", "audti", "--demo"]).ends_with("hint: did you mean `audit`?")
    );
    let broken = saved
        .ends(2, &["plan", "audit", "--demo", "--args", "{bad"])
        .stderr;
    insta::assert_snapshot!(broken, @r#"
    error: `--args` begins like JSON and cannot be read as JSON: key must be a string at line 1 column 2
      hint: put it in single quotes, so that the shell leaves it whole: '{"modules": ["auth"]}'
      hint: a text that begins with `{` is given as a JSON string: '"a text"'
    "#);
    insta::assert_snapshot!(refused(2, &Home::new(), &["run", "audit", "--demo"]), @"error: there is no flow `audit` in flows, .divisi/flows, .claude/workflows here, further up, or in your home folder");
    insta::assert_snapshot!(refused(2, &with_flow("const a = 1\nconst a = 2\n"), &["run", "flow.js", "--demo"]), @r#"
    script::syntax

      × script `~/work/flow.js` cannot be read at line 2: invalid redefinition of lexical identifier
       ╭─[~/work/flow.js:2:1]
     1 │ const a = 1
     2 │ const a = 2
       · ─────┬─────
       ·      ╰── invalid redefinition of lexical identifier
       ╰────
    "#);
    insta::assert_snapshot!(refused(2, &with_flow("import fs from 'fs'\n"), &["run", "flow.js", "--demo"]), @r#"
    script::import

      × script `~/work/flow.js` cannot be read at line 1: `import` loads a module
       ╭─[~/work/flow.js:1:1]
     1 │ import fs from 'fs'
       · ─────────┬─────────
       ·          ╰── `import` loads a module
       ╰────
      help: a script is one file; let an agent do what the module would have done
    "#);
}

#[test]
fn prompts_and_items_that_are_empty_or_too_many() {
    let home = Home::new();
    insta::assert_snapshot!(refused(2, &home, &["map", " ", "a", "--demo"]), @"error: the prompt is empty");
    insta::assert_snapshot!(refused(2, &home, &["map", "Look at {}", "-", "--demo"]), @"error: there are no items");
    insta::assert_snapshot!(refused(2, &home, &["pipe", "Build", "", "--demo"]), @"error: step 2 is empty");
    insta::assert_snapshot!(refused(2, &home, &["decompose", "", "--demo"]), @"error: the goal is empty");
    insta::assert_snapshot!(refused(1, &home, &["map", "Look at {}", "nowhere.txt", "--files", "--demo"]), @r#"
    error: cannot read nowhere.txt, which --files asks for
      caused by: No such file or directory (os error 2)
    "#);
    let items = "item\n".repeat(5_000);
    insta::assert_snapshot!(home.ends_with(2, &["map", "Look at {}", "-", "--demo"], &items).stderr, @"
    error: there are 5000 items; 4096 are the most for one run
      hint: divide them into several runs, or write a flow with several calls of `parallel`
    ");
}

#[test]
fn schemas_that_are_none() {
    let home = Home::with("schema.json", "{");
    insta::assert_snapshot!(refused(1, &home, &["map", "x", "a", "--schema", "none.json", "--demo"]), @r#"
    error: cannot read the schema none.json
      caused by: No such file or directory (os error 2)
    "#);
    insta::assert_snapshot!(refused(2, &home, &["map", "x", "a", "--schema", "schema.json", "--demo"]), @"error: the schema schema.json is no JSON: EOF while parsing an object at line 1 column 1");
}

#[test]
fn no_key_and_no_server() {
    insta::assert_snapshot!(refused(1, &with_flow(FLOW), &["run", "flow.js"]), @r#"
    error: there is no model to ask
      caused by: no key is set, and the settings say not to look for a model server on this machine
      hint: set one of ANTHROPIC_API_KEY, OPENAI_API_KEY, OPENROUTER_API_KEY
      hint: or add `--demo` to see the same run without a model: its answers are scripted
    "#);
    let one = with_flow(FLOW).variable("ANTHROPIC_API_KEY", "sk-hush");
    insta::assert_snapshot!(refused(1, &one, &["run", "flow.js", "--provider", "openai"]), @r#"
    error: provider `openai` has no key
      hint: set OPENAI_API_KEY, or add `--demo` to see the same run without a model
    "#);
    insta::assert_snapshot!(refused(2, &one, &["run", "flow.js", "--provider", "nobody"]), @r#"
    error: there is no provider `nobody`
      hint: there are anthropic, openai, openrouter, and others can be added as [providers.NAME] in divisi.toml
    "#);
}

#[test]
fn an_unknown_model() {
    let home = with_flow(FLOW).variable("ANTHROPIC_API_KEY", "sk-hush");
    insta::assert_snapshot!(refused(2, &home, &["run", "flow.js", "--model", "haiku-9"]), @r#"
    error: provider `anthropic` knows no model `haiku-9`
      hint: did you mean `haiku`? it has fable (claude-fable-5-2), haiku (claude-haiku-5-5), opus (claude-opus-5-5), sonnet (claude-sonnet-5-5), and ids like claude-*
    "#);
}

#[test]
fn an_unknown_model_is_found_before_anything_is_sent() {
    let source = "export const meta = { name: 'm', description: 'd' }\n\
        await agent('first')\n\
        return agent('x', { model: ['haiku', 'sonet'] })";
    let home = with_flow(source).variable("ANTHROPIC_API_KEY", "sk-hush");
    home.write(
        "plan.yaml",
        "tasks:\n  - id: a\n    prompt: look\n  - id: b\n    prompt: look\n    model: sonet\n",
    );
    for args in [
        &["pipe", "a", "b", "--models", "haiku,sonet"][..],
        &[
            "map",
            "a {}",
            "b",
            "--gather",
            "c",
            "--gather-model",
            "sonet",
        ],
        &["decompose", "a", "--planner", "sonet"],
        &["run", "flow.js"],
        &["run", "plan.yaml"],
    ] {
        let said = refused(2, &home, args);
        for part in ["knows no model `sonet`", "did you mean `sonnet`?"] {
            assert!(said.contains(part), "{args:?}: {said}");
        }
    }
}

#[test]
fn a_schema_of_no_object_is_refused_before_anything_is_sent() {
    let home =
        Home::with("list.json", r#"{"type": "array"}"#).variable("ANTHROPIC_API_KEY", "sk-hush");
    let said = refused(2, &home, &["ask", "a", "--schema", "list.json"]);
    assert!(said.contains("has to describe an object"), "{said}");
}

#[test]
fn runs_that_are_not_there() {
    let home = Home::new();
    insta::assert_snapshot!(refused(2, &home, &["resume", "last"]), @r#"
    error: there are no runs yet
      hint: start one with `divisi run`
    "#);
    insta::assert_snapshot!(refused(2, &home, &["resume", "k3f9"]), @r#"
    error: there is no run `k3f9`
      hint: `divisi runs` lists them
    "#);
    insta::assert_snapshot!(refused(2, &home, &["show", "k3f9"]), @r#"
    error: there is no run `k3f9`
      hint: `divisi runs` lists them
    "#);
}

#[test]
fn stores_that_are_none_or_too_new() {
    let home = with_flow(FLOW);
    home.write(
        "letter.txt",
        "this is no database, but it is long enough to be taken for one at first sight",
    );
    insta::assert_snapshot!(home.ends(1, &["run", "flow.js", "--demo", "--store", "letter.txt"]).stderr, @"
    error: ~/work/letter.txt is not a divisi store
      hint: name another file with `--store`
    ");
    insta::assert_snapshot!(home.ends(1, &["run", "flow.js", "--demo", "--store", "letter.txt/runs.db"]).stderr, @r#"
    error: cannot open the store letter.txt/runs.db
      caused by: File exists (os error 17)
      hint: name another file with `--store`
    "#);
    assert!(home.read("letter.txt").starts_with("this is no database"));
}

#[test]
fn arguments_that_begin_like_json_and_are_none() {
    let home = with_flow(FLOW);
    let said = |args: &[&str]| refused(2, &home, &[&["run", "flow.js", "--demo"], args].concat());
    insta::assert_snapshot!(said(&["--args", "{modules: [auth]}"]), @r#"
    error: `--args` begins like JSON and cannot be read as JSON: key must be a string at line 1 column 2
      hint: put it in single quotes, so that the shell leaves it whole: '{"modules": ["auth"]}'
      hint: a text that begins with `{` is given as a JSON string: '"a text"'
    "#);
    insta::assert_snapshot!(said(&["--args", r#"{"modules": ["auth"}"#]), @r#"
    error: `--args` begins like JSON and cannot be read as JSON: expected `,` or `]` at line 1 column 20
      hint: put it in single quotes, so that the shell leaves it whole: '{"modules": ["auth"]}'
      hint: a text that begins with `{` is given as a JSON string: '"a text"'
    "#);
    insta::assert_snapshot!(said(&["--arg", "depth=2", "--arg", "modules=[auth]"]), @r#"
    error: `--arg modules` begins like JSON and cannot be read as JSON: expected value at line 1 column 2
      hint: put it in single quotes, so that the shell leaves it whole: '{"modules": ["auth"]}'
      hint: a text that begins with `[` is given as a JSON string: '"a text"'
    "#);
    insta::assert_snapshot!(said(&["--args", r#""draft" of a text"#]), @r#"
    error: `--args` begins like JSON and cannot be read as JSON: trailing characters at line 1 column 9
      hint: put it in single quotes, so that the shell leaves it whole: '{"modules": ["auth"]}'
      hint: a text that begins with `"` is given as a JSON string: '"a text"'
    "#);
}

#[test]
fn a_check_says_what_it_found_and_one_that_cannot_run_climbs_no_ladder() {
    let flow = |check: &str| {
        format!(
            "export const meta = {{ name: 'checked', description: 'd' }};\n\
             return agent.outcome('Do it', {{ model: ['haiku', 'opus'], check: '{check}' }});\n"
        )
    };
    let home = Home::with(
        "flow.js",
        &flow("echo first; echo two are missing >&2; exit 1"),
    );
    let args = ["run", "flow.js", "--demo", "--allow", "run"];
    let said = home.ends(1, &args).stderr;
    assert!(
        said.contains("ended with exit code 1: two are missing"),
        "{said}"
    );

    home.write("flow.js", &flow("no-such-command --now"));
    let said = home.ends(1, &args);
    assert!(
        said.stderr
            .contains("not available: the check `no-such-command --now` cannot run: "),
        "{}",
        said.stderr
    );
    let outcome: serde_json::Value = serde_json::from_str(&said.stdout).unwrap();
    assert_eq!(
        (&outcome["model"], &outcome["attempts"]),
        (&"demo-haiku".into(), &1.into()),
        "{outcome}"
    );
}

#[test]
fn an_executor_that_is_not_there_is_found_before_a_run() {
    let home = Home::with("flow.js", FLOW);
    for args in [
        &["run", "flow.js", "--demo", "--executor", "cluade"][..],
        &["plan", "flow.js", "--executor", "cluade"],
    ] {
        let said = refused(2, &home, args);
        assert!(
            said.contains("there is no executor `cluade`")
                && said.contains("did you mean `claude`?"),
            "{said}"
        );
    }
}
