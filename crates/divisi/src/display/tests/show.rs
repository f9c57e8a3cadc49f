//! The tree of a run, a task's page, the list of runs.

use super::{look, over, under_way};
use crate::display::look::{Look, page};
use crate::display::runs::runs;
use crate::display::show::{RunForm, TaskPage, TaskPageForm, Texts, tree};
use crate::display::story::Story;
use divisi_app::Place;
use divisi_core::{Failure, FailureClass, Input, Millis, PicoUsd, RunId, TaskId, Timestamp};
use divisi_engine::store::{RunSummary, status_word};
use insta::{assert_json_snapshot, assert_snapshot};
use std::path::Path;

fn tree_of(story: &Story, width: usize, all: bool) -> String {
    let look = look(width);
    page(
        &tree(
            &Story::id(),
            (&story.view(), &[]),
            status_word(story.run.stage()),
            all,
            story.now() + Millis(180_000),
            &look,
        ),
        &look,
    )
}

fn page_of(story: &Story, task: u32, look: &Look) -> String {
    let (id, texts) = (Story::id(), Texts::default());
    let view = story.view();
    let shown = TaskPage {
        id: &id,
        view: &view,
        task: TaskId(task),
        events: &story.events,
    };
    assert!(!shown.contents().is_empty());
    page(&shown.render(&texts, false, story.now(), look), look)
}

#[test]
fn a_tree_on_80_columns() {
    assert_snapshot!(tree_of(&over(), 80, false), @r"
    audit k3f97a2m partial
    5 ok · 2 failed · 1 skipped
    started 3 min ago · took 0:41 · 15 k tokens · $0.0198

         task  label              model             attempts  tokens   took     cost
      –  t7    plan
          `user` has failed, and it needs its result
    find  2 ok · 1 failed · 5.2 k tokens · $0.0066
      ✓  t0    auth               claude-haiku-4-5         1   2.6 k  4.2 s  $0.0033
      ✓  t1    payment            claude-haiku-4-5         1   2.6 k  4.9 s  $0.0033
      ✗  t2    user               claude-haiku-4-5         1          6.0 s
          too long: prompt and files do not fit the model
    verify  3 ok · 1 failed · 10 k tokens · $0.0132
      ✓  t3    payment finding …  claude-sonnet-5          1   5.2 k  7.1 s  $0.0066
      ✓  t4    payment finding …  claude-sonnet-5          2   2.6 k   0 ms  $0.0033
      ✗  t5    payment finding …  claude-sonnet-5          5           0 ms
          server error: the server answered 500
      ✓  t6    payment finding …  claude-sonnet-5          1   2.6 k   0:36  $0.0033
    ");
}

#[test]
fn a_tree_on_120_columns() {
    assert_snapshot!(tree_of(&over(), 120, false), @r"
    audit k3f97a2m partial
    5 ok · 2 failed · 1 skipped
    started 3 min ago · took 0:41 · 15 k tokens · $0.0198

         task  label                                                      model             attempts  tokens   took     cost
      –  t7    plan
          `user` has failed, and it needs its result
    find  2 ok · 1 failed · 5.2 k tokens · $0.0066
      ✓  t0    auth                                                       claude-haiku-4-5         1   2.6 k  4.2 s  $0.0033
      ✓  t1    payment                                                    claude-haiku-4-5         1   2.6 k  4.9 s  $0.0033
      ✗  t2    user                                                       claude-haiku-4-5         1          6.0 s
          too long: prompt and files do not fit the model
    verify  3 ok · 1 failed · 10 k tokens · $0.0132
      ✓  t3    payment finding 0: sums are rounded before they are added  claude-sonnet-5          1   5.2 k  7.1 s  $0.0066
      ✓  t4    payment finding 1: sums are rounded before they are added  claude-sonnet-5          2   2.6 k   0 ms  $0.0033
      ✗  t5    payment finding 2: sums are rounded before they are added  claude-sonnet-5          5           0 ms
          server error: the server answered 500
      ✓  t6    payment finding 3: sums are rounded before they are added  claude-sonnet-5          1   2.6 k   0:36  $0.0033
    ");
}

#[test]
fn a_tree_on_60_columns_of_a_run_under_way() {
    assert_snapshot!(tree_of(&under_way(), 60, false), @r"
    audit k3f97a2m running
    2 ok · 1 failed · 4 waiting
    started 3 min ago · took 3:12 · 7.7 k tokens · $0.0099

         task  label         model        tokens   took     cost
    find  2 ok · 1 failed · 5.2 k tokens · $0.0066
      ✓  t0    auth          claude-hai…   2.6 k  4.2 s  $0.0033
      ✓  t1    payment       claude-hai…   2.6 k  4.9 s  $0.0033
      ✗  t2    user          claude-hai…          6.0 s
          too long: prompt and files do not fit the model
    verify  3 running · 1 resting · 2.6 k tokens · $0.0033
      ◐  t3    payment fin…  claude-son…   2.6 k   3:07  $0.0033
      ○  t4    payment fin…  claude-son…
      ◐  t5    payment fin…  claude-son…           3:07
      ◐  t6    payment fin…  claude-son…           3:07
    ");
}

#[test]
fn a_large_phase_is_summed_up() {
    let mut story = Story::begin(64);
    story.input(Input::Phase {
        title: "find".into(),
        cap: None,
    });
    story.input(Input::Phase {
        title: "verify".into(),
        cap: None,
    });
    for i in 0..120 {
        let task = story.task(&format!("module {i}"), "find", "haiku");
        match i % 40 {
            7 => story.fail(task, FailureClass::Declined, "the model declined to answer"),
            8 => {}
            _ => story.ok(task, "fine"),
        }
    }
    assert_snapshot!(tree_of(&story, 80, false), @r"
    audit k3f97a2m running
    114 ok · 3 failed · 3 waiting
    started 3 min ago · took 3:00 · 294 k tokens · $0.3762

         task  label      model  attempts  tokens  took  cost
    find  114 ok · 3 failed · 3 running · 294 k tokens · $0.3762
      ✗  t7    module 7   haiku         1          0 ms
          declined: the model declined to answer
      ◐  t8    module 8   haiku         1          3:00
      ✗  t47   module 47  haiku         1          0 ms
          declined: the model declined to answer
      ◐  t48   module 48  haiku         1          3:00
      ✗  t87   module 87  haiku         1          0 ms
          declined: the model declined to answer
      ◐  t88   module 88  haiku         1          3:00
      … and 114 more; --all lists them
    verify  no tasks
    ");
    assert_eq!(tree_of(&story, 80, true).matches("module ").count(), 120);
}

#[test]
fn a_flow_that_threw_is_told_below_the_tree() {
    let mut story = Story::begin(64);
    story.throws("TypeError: cannot read property `x` of null");
    assert_snapshot!(tree_of(&story, 80, false), @r"
    audit k3f97a2m failed
    0 ok
    started 3 min ago · took 0 ms · 0 tokens · $0.0000

    error: flow `audit` failed
      caused by: flow failed: TypeError: cannot read property `x` of null
      hint: mend line 3
    ");
}

#[test]
fn the_page_of_a_task_with_a_result() {
    assert_snapshot!(page_of(&over(), 3, &look(80)), @r#"
    ✓ t3 payment finding 0: sums are rounded before they are added  ok
      run      audit k3f97a2m
      phase    verify
      model    claude-sonnet-5
      executor api
      key      3e74d0339dd2896872df8102bdec5d40beed87044e94a23af4b71289a523041b
      used     5.2 k tokens · $0.0066

    prompt
      Do payment finding 0: sums are rounded before they are added.
      Answer in one line.

    attempt 1 · claude-sonnet-5 · 7.1 s · 5.2 k tokens · $0.0066 · ok
      turn 1 · claude-sonnet-5 · 2.4 k in, 180 out · 1.9 s · $0.0033
        I look at it.
        read_file {"path":"src/auth.rs"}
      turn 2 · claude-sonnet-5 · 2.4 k in, 180 out · 1.9 s · $0.0033
        Done.

    result
      confirmed
    "#);
}

#[test]
fn the_page_of_a_task_that_failed() {
    let mut story = Story::begin(1);
    let task = story.task("auth", "find", "claude-haiku-4-5");
    story.turn(
        task,
        "One.\nTwo.\nThree.\nFour.\nFive.\nSix.\nSeven.\nEight.",
        "search_files",
    );
    story
        .at(2_500)
        .fail(task, FailureClass::Server, "the server answered 500");
    story.at(9_000);
    let failure = Failure::new(FailureClass::Declined, "the model declined to answer")
        .hint("ask it otherwise");
    story.fail_with(task, failure, None);
    assert_snapshot!(page_of(&story, 0, &Look { demo: true, ..look(100) }), @r#"
    DEMO · answers are scripted, and dollars an example
    ✗ t0 auth  failed after 2 attempts
      run      audit k3f97a2m
      phase    find
      model    claude-haiku-4-5
      executor api
      waited   378 ms for its next try
      key      2c1a84e492d297d537cb918eb40953f9e7bbad7a7a4ecc70b5cb82687153d0aa
      used     2.6 k tokens · $0.0033

    prompt
      Do auth.
      Answer in one line.

    attempt 1 · claude-haiku-4-5 · 2.5 s · 2.6 k tokens · $0.0033 · server error
      turn 1 · claude-haiku-4-5 · 2.4 k in, 180 out · 1.9 s · $0.0033
        One.
        Two.
        Three.
        Four.
        Five.
        Six.
        … 2 more lines; --all shows them
        search_files {"path":"src/auth.rs"}
      the server answered 500

    attempt 2 · claude-haiku-4-5 · 0 ms · 0 tokens · $0.0000 · declined

    error: task `auth` failed
      caused by: declined: the model declined to answer
      hint: ask it otherwise
    "#);
}

#[test]
fn the_page_of_a_task_that_was_skipped() {
    assert_snapshot!(page_of(&over(), 7, &look(80)), @r"
    – t7 plan  skipped
      run      audit k3f97a2m
      model    claude-opus-4-8
      executor api
      key      29fde71e3ef298312227db745efc78ceb1c4e97c3a45f8e1f3f8680fa8a8f9ac
      used     0 tokens · $0.0000

    prompt
      Do plan.
      Answer in one line.

    skipped
      `user` has failed, and it needs its result
    ");
}

#[test]
fn forms_for_programs() {
    let (story, id, texts) = (over(), Story::id(), Texts::default());
    let view = story.view();
    let mut form = serde_json::to_value(RunForm::new(
        &id,
        &view,
        status_word(story.run.stage()),
        &[],
        &texts,
    ))
    .expect("JSON");
    let tasks = form["tasks"].as_array_mut().expect("tasks");
    tasks.retain(|task| matches!(task["task"].as_u64(), Some(2 | 7)));
    assert_json_snapshot!(form, @r#"
    {
      "id": "k3f97a2m",
      "flow": "audit",
      "name": null,
      "status": "partial",
      "ok": 5,
      "failed": 2,
      "skipped": 1,
      "cancelled": 0,
      "open": 0,
      "reused": 0,
      "usage": {
        "input": 14400,
        "output": 1080
      },
      "cost": 19800000000,
      "unconfirmed": 0,
      "over": 0,
      "started_at": 1700000000000,
      "ended_at": 1700000041000,
      "took": 41000,
      "rested": 0,
      "result": "one hole",
      "tasks": [
        {
          "task": 2,
          "label": "user",
          "phase": "find",
          "status": "failed",
          "failure": {
            "class": "too_long",
            "message": "prompt and files do not fit the model"
          },
          "model": "claude-haiku-4-5",
          "attempts": 1,
          "turns": 0,
          "usage": {
            "input": 0,
            "output": 0
          },
          "cost": 0,
          "unconfirmed": 0,
          "started_at": 1700000000000,
          "ended_at": 1700000006000
        },
        {
          "task": 7,
          "label": "plan",
          "status": "skipped",
          "skipped": "`user` has failed, and it needs its result",
          "model": null,
          "attempts": 0,
          "turns": 0,
          "usage": {
            "input": 0,
            "output": 0
          },
          "cost": 0,
          "unconfirmed": 0,
          "started_at": null,
          "ended_at": 1700000041000
        }
      ]
    }
    "#);
    let view = story.view();
    let page = TaskPage {
        id: &id,
        view: &view,
        task: TaskId(3),
        events: &story.events,
    };
    assert_json_snapshot!(TaskPageForm::new(&page, &texts).expect("a task"), @r#"
    {
      "run": "k3f97a2m",
      "task": 3,
      "label": "payment finding 0: sums are rounded before they are added",
      "phase": "verify",
      "status": "ok",
      "model": "claude-sonnet-5",
      "attempts": 1,
      "turns": 2,
      "usage": {
        "input": 4800,
        "output": 360
      },
      "cost": 6600000000,
      "unconfirmed": 0,
      "started_at": 1700000004900,
      "ended_at": 1700000012000,
      "key": "3e74d0339dd2896872df8102bdec5d40beed87044e94a23af4b71289a523041b",
      "occurrence": 0,
      "executor": "api",
      "models": [
        "claude-sonnet-5"
      ],
      "spec": {
        "prompt": "Do payment finding 0: sums are rounded before they are added.\nAnswer in one line.",
        "label": "payment finding 0: sums are rounded before they are added",
        "model": "haiku"
      },
      "history": [
        {
          "number": 1,
          "model": "claude-sonnet-5",
          "started_at": 1700000004900,
          "ended_at": 1700000012000,
          "usage": {
            "input": 4800,
            "output": 360
          },
          "cost": 6600000000,
          "turns": [
            {
              "model": "claude-sonnet-5",
              "usage": {
                "input": 2400,
                "output": 180
              },
              "cost": 3300000000,
              "took": 1900,
              "text": "I look at it.",
              "tools": [
                {
                  "name": "read_file",
                  "input": {
                    "path": "src/auth.rs"
                  }
                }
              ]
            },
            {
              "model": "claude-sonnet-5",
              "usage": {
                "input": 2400,
                "output": 180
              },
              "cost": 3300000000,
              "took": 1900,
              "text": "Done.",
              "tools": []
            }
          ]
        }
      ],
      "result": "confirmed"
    }
    "#);
    assert!(
        TaskPageForm::new(
            &TaskPage {
                task: TaskId(99),
                ..page
            },
            &texts
        )
        .is_none()
    );
}

fn summaries() -> Vec<RunSummary> {
    let row = |id: &str, flow: &str, status: &str, failed, started: u64| RunSummary {
        id: RunId::new(id).expect("an id"),
        flow: flow.to_owned(),
        name: (status == "ok").then(|| "nightly".to_owned()),
        tags: vec![],
        about: Some("Review the parser for every error that it hides".to_owned()),
        folder: Some("/elsewhere/project".to_owned()),
        status: status.to_owned(),
        ok: 41,
        failed,
        skipped: 1,
        open: if status == "parked" { 12 } else { 0 },
        tokens: 1_240_000,
        cost: PicoUsd(840_000_000_000),
        unconfirmed: PicoUsd::ZERO,
        over: PicoUsd::ZERO,
        estimated: PicoUsd::ZERO,
        refused: 0,
        started_at: Timestamp(started),
        updated_at: Timestamp(started + 41_300),
    };
    vec![
        row(
            "9xw0c4tt",
            "migrate everything from the old world to the new",
            "parked",
            0,
            90_000_000,
        ),
        row("aaaabbbb", "日本語の監査", "ok", 0, 89_000_000),
        row("k3f97a2m", "audit", "partial", 2, 1_000_000),
    ]
}

#[test]
fn the_list_of_runs() {
    let told = |width| {
        let look = look(width);
        page(
            &runs(
                &summaries(),
                false,
                &Place::of(Path::new("/")),
                Timestamp(90_200_000),
                &look,
            ),
            &look,
        )
    };
    assert_snapshot!(told(120), @"
    run       flow        about             status   ok  failed  skipped  tokens     cost  started     latest      folder
    9xw0c4tt  migrate e…  Review the pars…  parked   41       -        1   1.2 M  $0.8400  3 min ago   2 min ago   elsewher…
    aaaabbbb  日本語の…   nightly           ok       41       -        1   1.2 M  $0.8400  20 min ago  19 min ago  elsewher…
    k3f97a2m  audit       Review the pars…  partial  41       2        1   1.2 M  $0.8400  1 day ago   1 day ago   elsewher…
    ");
    assert_snapshot!(told(80), @"
    run       flow      about             status   ok     cost  started     folder
    9xw0c4tt  migrate…  Review the pars…  parked   41  $0.8400  3 min ago   elsewhe…
    aaaabbbb  日本語…   nightly           ok       41  $0.8400  20 min ago  elsewhe…
    k3f97a2m  audit     Review the pars…  partial  41  $0.8400  1 day ago   elsewhe…
    ");
    assert_snapshot!(told(60), @"
    run       flow                about              status   ok
    9xw0c4tt  migrate everythin…  Review the parse…  parked   41
    aaaabbbb  日本語の監査        nightly            ok       41
    k3f97a2m  audit               Review the parse…  partial  41
    ");
}

#[test]
fn the_list_of_no_runs() {
    assert_snapshot!(page(&runs(&[], false, &Place::of(Path::new("/")), Timestamp(0), &look(80)), &look(80)), @r"
    no runs yet
      divisi run <flow>  starts one; `divisi init` writes an example flow
    ");
}
