//! Plan files as a person meets them: run, resumed, refused, checked.

use crate::home::Home;

const RELEASE: &str = "\
name: release
tasks:
  - id: build
    prompt: Build it
    tools: []
  - id: test
    prompt: Test {{build}}
    tools: []
  - id: lint
    prompt: Lint it
    tools: []
  - id: notes
    label: release notes
    prompt: Write notes from {{ test }} and {{lint}}
    needs: [test]
    tools: []
";

const CYCLE: &str = "\
tasks:
  - id: build
    prompt: Build it
    needs: [deploy]
  - id: deploy
    prompt: Deploy {{build}}
";

#[test]
fn a_plan_is_run_in_its_order_and_resumed_from_the_journal() {
    let home = Home::with("release.yaml", RELEASE);
    let said = home.ends(0, &["run", "release.yaml", "--demo", "-q"]);
    assert!(
        said.stdout.starts_with("[scripted demo-sonnet] "),
        "{}",
        said.stdout
    );
    let runs = home.ends(0, &["runs"]).stdout;
    assert!(runs.contains("release"), "{runs}");
    let notes = home.ends(0, &["show", "last", "t3"]).stdout;
    assert!(notes.contains("release notes"), "{notes}");
    assert!(
        notes.contains("Write notes from [scripted demo-sonnet]"),
        "{notes}"
    );

    std::fs::remove_file(home.folder().join("release.yaml")).unwrap();
    let resumed = home.ends(0, &["resume", "last"]);
    assert_eq!(resumed.stdout, said.stdout);
    assert!(
        resumed.stderr.contains("nothing to run"),
        "{}",
        resumed.stderr
    );

    home.write("release.yaml", RELEASE);
    let first = home.last();
    home.ends(0, &["run", "release.yaml", "--demo", "-q"]);
    assert_ne!(home.last(), first);
}

#[test]
fn checks_and_caps_of_a_plan_reach_the_run() {
    let plan = "\
phases: [{title: Fix, maxCost: 0.5}]
tasks:
  - {id: a, prompt: A, tools: [], check: 'test -n \"$(cat)\"'}
  - {id: b, prompt: B, phase: Fix, tools: [], model: [haiku, opus], check: {judge: Is it short?, model: haiku, threshold: 1}}
";
    let home = Home::with("checked.yaml", plan);
    let events = home
        .ends(
            0,
            &["run", "checked.yaml", "--demo", "--allow", "run", "--json"],
        )
        .events();
    let capped = events
        .iter()
        .find(|event| event["event"] == "phase_started")
        .unwrap();
    assert_eq!(
        (capped["title"].as_str(), capped["cap"].as_f64()),
        (Some("Fix"), Some(0.5))
    );
    let judged = events
        .iter()
        .filter(|event| event["turn"]["judges"] == true)
        .count();
    assert_eq!(judged, 1);
}

#[test]
fn several_last_tasks_are_told_under_their_names() {
    let plan = r#"{"tasks": [{"id": "a", "prompt": "Say a", "tools": []}, {"id": "b", "label": "bee", "prompt": "Say b", "tools": []}]}"#;
    let home = Home::with("two.json", plan);
    let said = home.ends(0, &["run", "two.json", "--demo", "-q"]).stdout;
    assert!(said.starts_with("## a\n\n[scripted"), "{said}");
    assert!(said.contains("\n\n## bee\n\n[scripted"), "{said}");
}

#[test]
fn what_needs_a_failed_task_is_skipped_and_the_rest_goes_on() {
    let plan = "\
tasks:
  - {id: good, prompt: Say it, tools: []}
  - {id: bad, prompt: Say it too, executor: echo}
  - {id: after, prompt: 'Go on with {{bad}}', tools: []}
  - {id: end, prompt: End it, needs: [after], tools: []}
  - {id: other, prompt: 'Go on with {{good}}', tools: []}
";
    let home = Home::with("half.yaml", plan);
    let said = home.ends(3, &["run", "half.yaml", "--demo"]);
    insta::assert_snapshot!(said.stdout.replace("[scripted demo-sonnet]", "…"), @r"
    ## end

    (no result: it needs `after`, which has no result)

    ## other

    … Go on with … Say it
    ");
    for skipped in [
        "`after` is skipped: it needs `bad`",
        "`end` is skipped: it needs `after`",
    ] {
        assert!(said.stderr.contains(skipped), "{}", said.stderr);
    }
}

#[test]
fn a_synthesis_is_told_what_is_missing() {
    let plan = "\
gather: {prompt: Sum it up, model: opus}
tasks:
  - {id: good, prompt: Say it, tools: []}
  - {id: bad, prompt: Say it too, executor: echo}
";
    let home = Home::with("sum.yaml", plan);
    let said = home.ends(3, &["run", "sum.yaml", "--demo", "-q"]);
    assert!(
        said.stdout.starts_with("[scripted demo-opus] "),
        "{}",
        said.stdout
    );
    let prompt = home.ends(0, &["show", "last", "t2"]).stdout;
    assert!(prompt.contains("## Missing"), "{prompt}");
    assert!(prompt.contains("- bad: "), "{prompt}");
}

#[test]
fn a_long_chain_needs_no_stack_even_backwards() {
    const TASKS: usize = 4_000;
    let task = |n: usize| match n {
        0 => "  - {id: t0, prompt: Fail, executor: echo}\n".to_owned(),
        n => format!("  - {{id: t{n}, prompt: Go on, needs: [t{}]}}\n", n - 1),
    };
    let plan: String = "tasks:\n".to_owned() + &(0..TASKS).rev().map(task).collect::<String>();
    let home = Home::with("chain.yaml", &plan);
    let said = home.ends(1, &["run", "chain.yaml", "--demo"]).stderr;
    assert!(
        said.contains("`t3999` is skipped"),
        "{}",
        said.lines().last().unwrap_or_default()
    );
}

#[test]
fn what_is_wrong_is_said_before_there_is_a_run() {
    let home = Home::with("cycle.yaml", CYCLE);
    insta::assert_snapshot!(home.ends(2, &["run", "cycle.yaml", "--demo"]).stderr, @r"
    plan::dependencies

      × plan `cycle.yaml` cannot be used at line 4, column 13: tasks wait for each other: build → deploy → build
       ╭─[cycle.yaml:4:13]
     3 │     prompt: Build it
     4 │     needs: [deploy]
       ·             ───┬──
       ·                ╰── `build` needs `deploy`
     5 │   - id: deploy
     6 │     prompt: Deploy {{build}}
       ·                    ────┬────
       ·                        ╰── `deploy` needs `build`
       ╰────
      help: take out the need that matters least
    ");
    insta::assert_snapshot!(home.ends(2, &["run", "cycle.yaml", "--demo", "--arg", "a=1"]).stderr, @r"
    error: a plan takes no arguments
      hint: write what they say into its prompts, or write a script, which has `args`
    ");
    assert_eq!(home.ends(0, &["runs", "--json"]).stdout, "[]");
}

#[test]
fn a_plan_says_what_it_may_cost() {
    let plan = format!("maxCost: 0.5\n{RELEASE}");
    let home = Home::with("release.yaml", &plan);
    let cost = |args: &[&str]| {
        let args = [&["check", "release.yaml", "--demo"], args].concat();
        let said = home.ends(0, &args).stdout;
        said.lines()
            .find(|line| line.contains("capped"))
            .map(|line| line.trim().to_owned())
            .unwrap_or(said)
    };
    assert!(cost(&[]).ends_with("capped at $0.5000"), "{}", cost(&[]));
    assert!(
        cost(&["--max-cost", "2"]).ends_with("capped at $2.00"),
        "{}",
        cost(&[])
    );
    home.write("divisi.toml", "cost_max = 0.1\n");
    assert!(cost(&[]).ends_with("capped at $0.1000"), "{}", cost(&[]));
}

#[test]
fn check_asks_six_questions_of_a_plan() {
    let home = Home::with("release.yaml", RELEASE);
    insta::assert_snapshot!(home.ends(0, &["check", "release.yaml", "--demo", "--max-cost", "1"]).stdout, @r"
    ✓ pattern identified?             graph of 4 tasks in 3 waves (2, 1, 1)
    ✓ dependencies mapped?            4 tasks, 3 results go from one to another
    ✓ parallelisation opportunities?  up to 2 tasks at the same time
    ✓ right model per agent?          4 on sonnet
                                      1 task stands one tier above the table
    ✓ cost estimated?                 no vendor bills it
                                      capped at $1.00
    ✓ error handling planned?         timeout 30 min, retries 4
    ");
    home.write(
        "release.yaml",
        &RELEASE.replace("    label: release notes", "    executor: echo"),
    );
    insta::assert_snapshot!(home.ends(0, &["check", "release.yaml", "--demo", "--max-cost", "1"]).stdout, @"
    ✓ pattern identified?             graph of 4 tasks in 3 waves (2, 1, 1)
    ✓ dependencies mapped?            4 tasks, 3 results go from one to another
    ✓ parallelisation opportunities?  up to 2 tasks at the same time
    ✗ right model per agent?          3 on sonnet, 1 cannot run like this
                                      1 task stands one tier above the table
      ✗ release.yaml:12  there is no executor `echo`
        there are acp:claude, acp:codex, acp:gemini, acp:goose, acp:opencode, api, claude, codex, person, shell; add others as [executors.NAME] in divisi.toml
    ✗ cost estimated?                 capped at $1.00
      ✗ 1 task cannot be priced
        see the findings on models
    ✓ error handling planned?         timeout 30 min, retries 4
    ");
    assert_eq!(home.ends(0, &["runs", "--json"]).stdout, "[]");
}

#[test]
fn check_names_a_cycle_with_its_lines() {
    let home = Home::with("cycle.yaml", CYCLE);
    insta::assert_snapshot!(home.ends(0, &["check", "cycle.yaml", "--demo"]).stdout, @r"
    – pattern identified?             cannot be said
    ✗ dependencies mapped?
      ✗ cycle.yaml:4  tasks wait for each other: build → deploy → build (`build` needs `deploy`)
        take out the need that matters least
      ✗ cycle.yaml:6  `deploy` needs `build`
    – parallelisation opportunities?  cannot be said
    – right model per agent?          cannot be said
    – cost estimated?                 cannot be said
    – error handling planned?         cannot be said
    ");
    home.ends(1, &["check", "cycle.yaml", "--demo", "--strict"]);
    let json: serde_json::Value =
        serde_json::from_str(&home.ends(0, &["check", "cycle.yaml", "--json"]).stdout).unwrap();
    insta::assert_snapshot!(json["items"][1]["findings"][0], @r#"{"verdict":"wrong","site":{"script":"cycle.yaml","line":4},"what":"tasks wait for each other: build → deploy → build (`build` needs `deploy`)","change":"take out the need that matters least"}"#);
    home.write("cycle.yaml", "tasks: [\n");
    home.ends(2, &["check", "cycle.yaml", "--demo"]);
}
