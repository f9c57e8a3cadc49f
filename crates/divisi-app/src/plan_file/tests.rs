//! The contents of plan files, and the errors for wrong ones.

use super::{PlanFile, is_plan, looks_like_plan};
use insta::assert_snapshot;
use miette::{GraphicalReportHandler, GraphicalTheme};

/// The error as it is shown, without the blanks at the ends of its lines.
fn refused(path: &str, text: &str) -> String {
    let error = PlanFile::read(path, text).expect_err("this is no plan");
    let mut shown = String::new();
    let handler =
        GraphicalReportHandler::new_themed(GraphicalTheme::unicode_nocolor()).with_width(80);
    handler
        .render_report(&mut shown, &error)
        .expect("it can be shown");
    shown
        .lines()
        .map(str::trim_end)
        .collect::<Vec<_>>()
        .join("\n")
}

fn yaml(text: &str) -> String {
    refused("p.yaml", text)
}

#[test]
fn yaml_and_json_are_the_same_plan() {
    let yaml = "\
name: release
maxCost: 2.5
tasks:
  - id: build
    prompt: Build it
    timeout: 10m
    model: [haiku, opus]
    check: {command: cargo test}
  - id: notes
    prompt: |
      Write notes from: {{build}}
    maxCost: 0.35
";
    let json = r#"{"name": "release", "maxCost": "2.5", "tasks": [
      {"id": "build", "prompt": "Build it", "timeout": 600000, "model": ["haiku", "opus"], "check": [{"command": "cargo test"}]},
      {"id": "notes", "prompt": "Write notes from: {{build}}\n", "maxCost": 0.35}]}"#;
    let (yaml, json) = (
        PlanFile::read("p.yaml", yaml).unwrap(),
        PlanFile::read("p.json", json).unwrap(),
    );
    assert_eq!(yaml.plan, json.plan);
    assert_eq!(&*yaml.name(), "release");
    assert_eq!(yaml.site(1).unwrap().to_string(), "p.yaml:9");
    assert_eq!(json.site(1).unwrap().to_string(), "p.json:3");
    assert!(is_plan("a/b.YML") && !is_plan("a.js") && !is_plan("json"));
    assert!(looks_like_plan("\n{\"tasks\": []}") && looks_like_plan("name: x\ntasks:\n  - id: a"));
    assert!(!looks_like_plan(
        "const tasks = [];\nreturn { tasks: tasks }"
    ));
    for script in [
        "export const meta = { name: 'x' };\nreturn await agent(`Plan:\ntasks:\n - one`)",
        "{\n  log('begins');\n}\nreturn 1",
    ] {
        assert!(!looks_like_plan(script), "{script}");
    }
    assert!(looks_like_plan(
        "tasks:\n  - id: a\n    prompt: |\n      export const x = 1\n"
    ));
}

#[test]
fn texts_that_are_neither() {
    assert_snapshot!(yaml("tasks:\n  - id: a\n   prompt: x\n"), @r"
    plan::syntax

      × plan `p.yaml` cannot be used at line 3, column 4: while parsing a block
      │ collection, did not find expected '-' indicator
       ╭─[p.yaml:3:4]
     2 │   - id: a
     3 │    prompt: x
       ·    ┬
       ·    ╰── while parsing a block collection, did not find expected '-' indicator
       ╰────
    ");
    assert_snapshot!(refused("p.json", "{\n  \"tasks\": [\n    {\"id\": \"a\", \"prompt\": \"x\"}\n"), @r#"
    plan::syntax

      × plan `p.json` cannot be used at line 2, column 12: unclosed bracket '['
       ╭─[p.json:2:12]
     1 │ {
     2 │   "tasks": [
       ·            ┬
       ·            ╰── unclosed bracket '['
     3 │     {"id": "a", "prompt": "x"}
       ╰────
    "#);
    assert_snapshot!(yaml("name: a\nname: b\n"), @r"
    plan::syntax

      × plan `p.yaml` cannot be used at line 2, column 1: duplicate mapping key
      │ `name` is not allowed here
       ╭─[p.yaml:2:1]
     1 │ name: a
     2 │ name: b
       · ──┬─
       ·   ╰── duplicate mapping key `name` is not allowed here
       ╰────
    ");
}

#[test]
fn plans_of_another_form() {
    assert_snapshot!(yaml(""), @r"
    plan::form

      × plan `p.yaml` cannot be used at line 1, column 1: this is no plan
       ╭─[p.yaml:1:1]
       ╰────
      help: a plan has `tasks`, a list with an `id` and a `prompt` each
    ");
    assert_snapshot!(yaml("name: x\n"), @r"
    plan::form

      × plan `p.yaml` cannot be used at line 1, column 1: the plan has no `tasks`
       ╭─[p.yaml:1:1]
     1 │ name: x
       · ──┬─
       ·   ╰── the plan has no `tasks`
       ╰────
      help: name at least one task with an `id` and a `prompt`
    ");
    assert_snapshot!(yaml("tasks: later\n"), @r"
    plan::form

      × plan `p.yaml` cannot be used at line 1, column 1: `tasks` is no list
       ╭─[p.yaml:1:1]
     1 │ tasks: later
       · ──┬──
       ·   ╰── `tasks` is no list
       ╰────
    ");
    assert_snapshot!(yaml("tasks: []\n"), @r"
    plan::form

      × plan `p.yaml` cannot be used at line 1, column 1: the plan has no tasks
       ╭─[p.yaml:1:1]
     1 │ tasks: []
       · ──┬──
       ·   ╰── the plan has no tasks
       ╰────
      help: name at least one task with an `id` and a `prompt`
    ");
    assert_snapshot!(yaml("tasks:\n  - just text\n"), @r"
    plan::form

      × plan `p.yaml` cannot be used at line 2, column 5: this is no task
       ╭─[p.yaml:2:5]
     1 │ tasks:
     2 │   - just text
       ·     ────┬────
       ·         ╰── this is no task
       ╰────
      help: a task has an `id` and a `prompt`
    ");
    assert_snapshot!(yaml("gather: ''\ntasks:\n  - {id: a, prompt: x}\n"), @r"
    plan::form

      × plan `p.yaml` cannot be used at line 1, column 1: the prompt of `gather`
      │ is empty
       ╭─[p.yaml:1:1]
     1 │ gather: ''
       · ───┬──
       ·    ╰── the prompt of `gather` is empty
     2 │ tasks:
       ╰────
    ");
}

#[test]
fn unknown_keys_have_a_nearest_one() {
    assert_snapshot!(yaml("task:\n  - {id: a, prompt: x}\n"), @r"
    plan::form

      × plan `p.yaml` cannot be used at line 1, column 1: there is no field `task`
       ╭─[p.yaml:1:1]
     1 │ task:
       · ──┬─
       ·   ╰── there is no field `task`
     2 │   - {id: a, prompt: x}
       ╰────
      help: did you mean `tasks`?
    ");
    assert_snapshot!(refused("p.json", r#"{"tasks": [{"id": "a", "prompt": "x", "need": ["b"]}]}"#), @r#"
    plan::form

      × plan `p.json` cannot be used at line 1, column 39: there is no field
      │ `need`
       ╭─[p.json:1:39]
     1 │ {"tasks": [{"id": "a", "prompt": "x", "need": ["b"]}]}
       ·                                       ───┬──
       ·                                          ╰── there is no field `need`
       ╰────
      help: did you mean `needs`?
    "#);
    assert_snapshot!(yaml("gather:\n  prompt: sum\n  modell: opus\ntasks:\n  - {id: a, prompt: x}\n"), @r"
    plan::form

      × plan `p.yaml` cannot be used at line 3, column 3: there is no field
      │ `modell`
       ╭─[p.yaml:3:3]
     2 │   prompt: sum
     3 │   modell: opus
       ·   ───┬──
       ·      ╰── there is no field `modell`
     4 │ tasks:
       ╰────
      help: did you mean `model`?
    ");
}

#[test]
fn wrong_types_and_values() {
    assert_snapshot!(yaml("tasks:\n  - id: 7\n    prompt: x\n"), @r"
    plan::form

      × plan `p.yaml` cannot be used at line 2, column 9: `id`: invalid type:
      │ integer `7`, expected a string
       ╭─[p.yaml:2:9]
     1 │ tasks:
     2 │   - id: 7
       ·         ┬
       ·         ╰── `id`: invalid type: integer `7`, expected a string
     3 │     prompt: x
       ╰────
    ");
    assert_snapshot!(yaml("tasks:\n  - id: a\n    prompt: x\n    needs: 7\n"), @r"
    plan::form

      × plan `p.yaml` cannot be used at line 4, column 12: `needs`: invalid type:
      │ integer `7`, expected a name or a list of names
       ╭─[p.yaml:4:12]
     3 │     prompt: x
     4 │     needs: 7
       ·            ┬
       ·            ╰── `needs`: invalid type: integer `7`, expected a name or a list of names
       ╰────
    ");
    assert_snapshot!(yaml("tasks:\n  - id: a\n    prompt: x\n    timeout: 5 days\n"), @r"
    plan::form

      × plan `p.yaml` cannot be used at line 4, column 14: `timeout`: `5 days` is
      │ no span of time: write it with its unit, like 90s, 10m or 1h30m
       ╭─[p.yaml:4:14]
     3 │     prompt: x
     4 │     timeout: 5 days
       ·              ───┬──
       ·                 ╰── `timeout`: `5 days` is no span of time: write it with its unit, like 90s, 10m or 1h30m
       ╰────
    ");
    assert_snapshot!(yaml("maxCost: lots\ntasks:\n  - {id: a, prompt: x}\n"), @r"
    plan::form

      × plan `p.yaml` cannot be used at line 1, column 10: `maxCost`: `lots` is no
      │ amount of dollars: write it like 5 or 0.35
       ╭─[p.yaml:1:10]
     1 │ maxCost: lots
       ·          ──┬─
       ·            ╰── `maxCost`: `lots` is no amount of dollars: write it like 5 or 0.35
     2 │ tasks:
       ╰────
    ");
    assert_snapshot!(yaml("tasks:\n  - id: a\n    prompt: x\n    effort: huge\n"), @"
    plan::form

      × plan `p.yaml` cannot be used at line 4, column 13: `effort`: `huge` is
      │ none of `low`, `medium`, `high`, `xhigh`, `max`
       ╭─[p.yaml:4:13]
     3 │     prompt: x
     4 │     effort: huge
       ·             ──┬─
       ·               ╰── `effort`: `huge` is none of `low`, `medium`, `high`, `xhigh`, `max`
       ╰────
    ");
    assert_snapshot!(yaml("tasks:\n  - id: a\n    prompt: x\n    check: {comand: 'true'}\n"), @"
    plan::form

      × plan `p.yaml` cannot be used at line 4, column 5: `check`: there is no
      │ field `comand`
       ╭─[p.yaml:4:5]
     3 │     prompt: x
     4 │     check: {comand: 'true'}
       ·     ──┬──
       ·       ╰── `check`: there is no field `comand`
       ╰────
      help: did you mean `command`?
    ");
}

#[test]
fn tasks_without_what_they_need() {
    assert_snapshot!(yaml("tasks:\n  - prompt: x\n"), @r"
    plan::form

      × plan `p.yaml` cannot be used at line 2, column 5: the task has no `id`
       ╭─[p.yaml:2:5]
     1 │ tasks:
     2 │   - prompt: x
       ·     ───┬──
       ·        ╰── the task has no `id`
       ╰────
    ");
    assert_snapshot!(yaml("tasks:\n  - id: a b\n    prompt: x\n"), @r"
    plan::form

      × plan `p.yaml` cannot be used at line 2, column 9: `a b` is no id
       ╭─[p.yaml:2:9]
     1 │ tasks:
     2 │   - id: a b
       ·         ─┬─
       ·          ╰── `a b` is no id
     3 │     prompt: x
       ╰────
      help: an id has letters, digits, `-` and `_`, 64 at most
    ");
    assert_snapshot!(yaml("tasks:\n  - id: a\n    prompt: ' '\n"), @r"
    plan::form

      × plan `p.yaml` cannot be used at line 3, column 5: task `a` has an empty
      │ prompt
       ╭─[p.yaml:3:5]
     2 │   - id: a
     3 │     prompt: ' '
       ·     ───┬──
       ·        ╰── task `a` has an empty prompt
       ╰────
      help: say what the agent is to do: it knows nothing else
    ");
}

#[test]
fn tasks_that_do_not_fit_together() {
    assert_snapshot!(yaml("tasks:\n  - id: a\n    prompt: x\n  - id: b\n    prompt: x\n  - id: a\n    prompt: y\n"), @r"
    plan::dependencies

      × plan `p.yaml` cannot be used at line 2, column 9: two tasks have the id
      │ `a`
       ╭─[p.yaml:2:9]
     1 │ tasks:
     2 │   - id: a
       ·         ┬
       ·         ╰── first here
     3 │     prompt: x
       ╰────
       ╭─[p.yaml:6:9]
     5 │     prompt: x
     6 │   - id: a
       ·         ┬
       ·         ╰── and here again
     7 │     prompt: y
       ╰────
      help: give each task an id of its own
    ");
    assert_snapshot!(yaml("tasks:\n  - id: build\n    prompt: x\n  - id: test\n    prompt: x\n    needs: [biuld]\n"), @r"
    plan::dependencies

      × plan `p.yaml` cannot be used at line 6, column 13: task `test` needs
      │ `biuld`, which is not in the plan
       ╭─[p.yaml:6:13]
     5 │     prompt: x
     6 │     needs: [biuld]
       ·             ──┬──
       ·               ╰── task `test` needs `biuld`, which is not in the plan
       ╰────
      help: did you mean `build`?
    ");
    assert_snapshot!(yaml("tasks:\n  - id: build\n    prompt: x\n  - id: test\n    prompt: |\n      Test this:\n      {{ biuld }}\n"), @r"
    plan::dependencies

      × plan `p.yaml` cannot be used at line 7, column 7: task `test` needs
      │ `biuld`, which is not in the plan
       ╭─[p.yaml:7:7]
     6 │       Test this:
     7 │       {{ biuld }}
       ·       ─────┬─────
       ·            ╰── task `test` needs `biuld`, which is not in the plan
       ╰────
      help: did you mean `build`?
    ");
    assert_snapshot!(yaml("tasks:\n  - id: a\n    prompt: é {{a}}\n"), @r"
    plan::dependencies

      × plan `p.yaml` cannot be used at line 3, column 15: task `a` needs itself
       ╭─[p.yaml:3:16]
     2 │   - id: a
     3 │     prompt: é {{a}}
       ·               ──┬──
       ·                 ╰── task `a` needs itself
       ╰────
      help: take `a` out of its `needs` and `{{a}}` out of its prompt
    ");
    let cycle = "\
tasks:
  - id: build
    prompt: Build it
    needs:
      - deploy
  - id: test
    prompt: Test {{build}}
  - id: deploy
    prompt: Deploy
    needs: [test]
";
    assert_snapshot!(yaml(cycle), @r"
    plan::dependencies

      × plan `p.yaml` cannot be used at line 5, column 9: tasks wait for each
      │ other: build → deploy → test → build
        ╭─[p.yaml:5:9]
      4 │     needs:
      5 │       - deploy
        ·         ───┬──
        ·            ╰── `build` needs `deploy`
      6 │   - id: test
      7 │     prompt: Test {{build}}
        ·                  ────┬────
        ·                      ╰── `test` needs `build`
      8 │   - id: deploy
      9 │     prompt: Deploy
     10 │     needs: [test]
        ·             ──┬─
        ·               ╰── `deploy` needs `test`
        ╰────
      help: take out the need that matters least
    ");
}

/// A task with every kind of check, as an author writes it.
const CHECKS: &str = r#"
name: checked
phases:
  - {title: Fix, maxCost: 0.5}
tasks:
  - id: a
    prompt: A
    check: cargo test -q
    stallMs: 90s
  - id: b
    prompt: B
    phase: Fix
    check:
      - {command: make}
      - {schema: {type: string}}
      - {judge: short?, model: opus, threshold: 9}
      - {judge: "kind: enough?"}
"#;

#[test]
fn what_is_written_is_read_as_the_same_plan() {
    let plan = PlanFile::read("p.yaml", CHECKS).unwrap().plan;
    assert_snapshot!(super::write("p.yaml".as_ref(), &plan).unwrap(), @r#"
    name: checked
    phases:
    - title: Fix
      maxCost: 0.5
    tasks:
    - id: a
      prompt: A
      check:
        command: cargo test -q
      stallMs: 1m 30s
    - id: b
      prompt: B
      check:
      - command: make
      - schema:
          type: string
      - judge: short?
        model: opus
        threshold: 9
      - judge: "kind: enough?"
        threshold: 7
      phase: Fix
    "#);
    for path in ["p.yaml", "p.json"] {
        let written = super::write(path.as_ref(), &plan).unwrap();
        assert_eq!(
            PlanFile::read(path, &written).unwrap().plan,
            plan,
            "{written}"
        );
    }
}

#[test]
fn a_check_that_says_two_things_or_nothing_is_none() {
    for check in [
        "{command: a, schema: {}}",
        "{command: a, threshold: 3}",
        "{judge: ' '}",
        "''",
        "3",
        "{}",
    ] {
        let refused = yaml(&format!("tasks: [{{id: a, prompt: x, check: {check}}}]"));
        assert!(
            refused.contains("a check is a shell command, or one of"),
            "{check}: {refused}"
        );
    }
    let refused = yaml("tasks: [{id: a, prompt: x, check: {judge: good, threshold: 11}}]");
    assert!(
        refused.contains("the threshold is 11 of 10 marks"),
        "{refused}"
    );
}
