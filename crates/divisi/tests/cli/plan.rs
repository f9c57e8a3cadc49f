//! `divisi plan`, as it is typed.

use crate::home::{FLOW, HALF, Home};

#[test]
fn a_plan_needs_no_key_and_leaves_nothing_behind() {
    let home = Home::with("flows/audit.js", FLOW);
    let said = home.ends(0, &["plan", "audit"]);
    insta::assert_snapshot!(said.stdout, @"
    audit · 4 tasks · 2 waves

    Audit
      parallel ×3  audit.js:3
        auth, … ×3  claude-sonnet-5-5 (the run's model)
    Report
      gather        claude-sonnet-5-5 (the run's model) · reads auth, … ×3

    Waves  3, 1
    Longest chain  2 steps: auth → gather

      cost       about $0.0690 · $0.0338 to $0.1456 in eight runs of ten · $0.0820 on average
      budget     --max-cost 0.25 holds nine runs of ten, as wide as without a cap
      time       about 0:24, 0:42 in one of ten · 2 waves, the longest chain has 2 tasks
      tokens     2.8 k fresh · 6.1 k out
      by phase   Report $0.0502, Audit $0.0318 on average
      strongest  all of it on claude-opus-5-5: $0.1640 on average; this saves 50 %
      from       rough figures per kind, as there is no history
    ");
    insta::assert_snapshot!(said.stderr, @"note: planned with the models of `anthropic`; there is no model to ask: no key is set, and the settings say not to look for a model server on this machine");
    assert_eq!(
        home.ends(0, &["plan", "audit", "--demo", "--quiet"]).stderr,
        ""
    );
    assert_eq!(
        home.ends(0, &["runs"]).stdout,
        Home::new().ends(0, &["runs"]).stdout
    );
}

#[test]
fn a_plan_has_a_form_for_each_reader() {
    let home = Home::with("flows/audit.js", FLOW);
    let plan: serde_json::Value = serde_json::from_str(
        &home
            .ends(0, &["plan", "audit", "--json", "--model", "haiku"])
            .stdout,
    )
    .unwrap();
    assert_eq!(
        plan["tasks"][3]["reads"],
        serde_json::json!(["t0", "t1", "t2"])
    );
    assert_eq!(plan["tasks"][0]["assigned"]["rungs"][0]["tier"], "haiku");
    assert!(
        home.ends(0, &["plan", "audit", "--dot"])
            .stdout
            .starts_with("digraph \"audit\" {")
    );
    assert!(
        home.ends(0, &["plan", "audit", "--tasks"])
            .stdout
            .contains("t3")
    );
    home.ends(0, &["plan", "audit", "--svg", "audit.svg"]);
    assert!(home.read("audit.svg").starts_with("<svg "));
    home.ends(2, &["plan", "audit", "--dot", "--json"]);
}

#[test]
fn arguments_reach_the_flow() {
    let home = Home::with(
        "f.js",
        "return parallel(args.files.map(f => () => agent(`Read ${f}`)))",
    );
    let said = home.ends(0, &["plan", "f.js", "--arg", "files=[\"a\", \"b\"]"]);
    assert!(said.stdout.contains("parallel ×2"), "{}", said.stdout);
}

#[test]
fn what_is_wrong_is_said() {
    let home = Home::with("f.js", "await agent('a')\nawait agent(args.files[0])");
    assert!(
        home.ends(3, &["plan", "f.js"])
            .stdout
            .contains("The plan ends early: script `~/work/f.js` failed at line 2")
    );
    home.write("f.js", "await agent('a'");
    assert!(
        home.ends(2, &["plan", "f.js"])
            .stderr
            .contains("never closed")
    );
    home.write("f.js", HALF);
    assert!(
        home.ends(0, &["plan", "f.js"])
            .stdout
            .contains("✗ there is no executor `echo`")
    );
    assert!(
        home.ends(
            1,
            &[
                "plan",
                "f.js",
                "--provider",
                "openai",
                "--replay",
                "none.jsonl"
            ]
        )
        .stderr
        .contains("none.jsonl")
    );
    home.ends(2, &["plan", "f.js", "--provider", "nobody"]);
}

/// A cap, an option that is none, and a function that checks.
const RICH: &str = "\
export const meta = { name: 'rich', description: 'Says more than a plan can', phases: [{ title: 'Fix', maxCost: 0.5 }] };
phase('Fix');
const mended = await agent('Mend it', { label: 'mend', modle: 'opus', tools: [], model: ['haiku', 'opus'], check: (text) => text.length > 3 });
return mended;
";

#[test]
fn caps_warnings_and_what_cannot_be_saved_are_said() {
    let home = Home::with("rich.js", RICH);
    let said = home.ends(0, &["plan", "rich.js", "--demo", "--save", "rich.yaml"]);
    insta::assert_snapshot!(said.stderr, @"note: a plan cannot have functions that check `mend`: its first result is taken");
    insta::assert_snapshot!(said.stdout, @"
    rich · 1 task · 1 wave

    Fix
      mend  demo-haiku → demo-opus (the flow's ladder begins with haiku)

      cost       about $0.0000
      phase caps Fix $0.5000
      time       about 7.7 s, 0:30 in one of ten · 1 wave, the longest chain has 1 task
      tokens     268 fresh · 1.2 k out
      from       rough figures per kind, as there is no history

    Warnings
      `modle` is no option of agent() and does nothing; did you mean `model`?  rich.js:3
    ");
    insta::assert_snapshot!(home.read("rich.yaml"), @r"
    name: rich
    phases:
    - title: Fix
      maxCost: 0.5
    tasks:
    - id: t0
      prompt: Mend it
      label: mend
      model:
      - haiku
      - opus
      tools: []
      phase: Fix
    ");
    insta::assert_snapshot!(home.ends(0, &["check", "rich.js", "--demo"]).stdout, @r"
    ✓ pattern identified?             Fix: single task `mend`
    ! dependencies mapped?            1 task, no result goes from one to another
      ! rich.js:3  `modle` is no option of agent() and does nothing; did you mean `model`?
        mend the flow: `divisi types` writes down all that it may say
    ✓ parallelisation opportunities?  nothing runs at the same time
    ✓ right model per agent?          1 on haiku
    ✓ cost estimated?                 no vendor bills it
                                      phases are capped: Fix at $0.5000
    ✓ error handling planned?         timeout 30 min, retries 4
                                      1 on a ladder with a check
    ");
    let refused = home.ends(2, &["plan", "rich.js", "--demo", "--save", "rich.txt"]);
    insta::assert_snapshot!(refused.stderr, @r"
    error: rich.txt is no name of a plan file
      hint: let it end in .yaml or .json, so that it can be run
    ");
    assert!(!home.folder().join("rich.txt").exists());
}

#[test]
fn of_a_flow_that_breaks_off_only_its_beginning_is_judged() {
    let home = Home::with(
        "f.js",
        "const a = await agent('a', { tools: [] })\nreturn agent(args.files[0] + a)",
    );
    insta::assert_snapshot!(home.ends(0, &["check", "f.js", "--demo"]).stdout, @r"
    ✗ pattern identified?             single task `a`
      ✗ f.js:2  it did not get to its end on placeholders: script `~/work/f.js` failed at line 2: TypeError: cannot read property 'files' of undefined
        if it needs arguments, give them with `--args`, and make it bear any result
    – dependencies mapped?            cannot be said
    – parallelisation opportunities?  cannot be said
    – right model per agent?          cannot be said
    ! cost estimated?
      ! no cap
        run it with `--max-cost`, or set `cost_max` in the settings
    – error handling planned?         cannot be said
    ");
}

#[test]
fn a_plan_can_be_saved_and_run() {
    let home = Home::with("flows/audit.js", FLOW);
    for file in ["plan.json", "plan.yaml"] {
        home.ends(0, &["plan", "audit", "--save", file]);
        let again = home.ends(0, &["plan", file, "--tasks"]).stdout;
        assert!(again.contains("4 tasks · 2 waves"), "{again}");
        let said = home.ends(0, &["run", file, "--demo", "--quiet"]);
        assert!(!said.stdout.is_empty());
    }
    insta::assert_snapshot!(home.read("plan.yaml"), @r"
    name: audit
    tasks:
    - id: t0
      prompt: Audit auth
      label: auth
      tools: []
      phase: Audit
    - id: t1
      prompt: Audit payment
      label: payment
      tools: []
      phase: Audit
    - id: t2
      prompt: Audit user
      label: user
      tools: []
      phase: Audit
    - id: t3
      prompt: |-
        Write a report

        ## part 1

        {{t0}}

        ## part 2

        {{t1}}

        ## part 3

        {{t2}}
      needs:
      - t0
      - t1
      - t2
      label: gather
      tools: []
      phase: Report
    ");
    home.ends(2, &["run", "plan.json", "--arg", "a=1"]);
}

#[test]
fn what_is_wrong_with_a_plan_file_is_shown_where_it_stands() {
    let home = Home::with(
        "p.yaml",
        "tasks:\n  - id: a\n    prompt: use {{b}}\n  - id: b\n    prompt: use {{a}}\n",
    );
    insta::assert_snapshot!(home.ends(2, &["run", "p.yaml"]).stderr, @r"
    plan::dependencies

      × plan `p.yaml` cannot be used at line 3, column 17: tasks wait for each other: a → b → a
       ╭─[p.yaml:3:17]
     2 │   - id: a
     3 │     prompt: use {{b}}
       ·                 ──┬──
       ·                   ╰── `a` needs `b`
     4 │   - id: b
     5 │     prompt: use {{a}}
       ·                 ──┬──
       ·                   ╰── `b` needs `a`
       ╰────
      help: take out the need that matters least
    ");
}

const MANY: &str = "\
export const meta = { name: 'many', description: 'Many at once', maxAgents: 5000 };
const items = Array.from({ length: args.count }, (_, i) => i);
return parallel(items.map((i) => () => agent(`Search for ${i}`, { label: `item ${i}`, tools: [] })));
";

#[test]
fn a_flow_too_large_to_be_planned_has_no_price() {
    let home = Home::with("many.js", MANY);
    let large = |command: &[&str]| {
        home.ends(3, &[command, &["--arg", "count=2001"]].concat())
            .stdout
    };
    let plan = large(&["plan", "many.js", "--simulate"]);
    assert!(
        plan.contains("cost       cannot be said: the plan ends early"),
        "{plan}"
    );
    assert!(plan.contains("asks for more than 2000 tasks"), "{plan}");
    assert!(!plan.contains('$') && !plan.contains("simulated"), "{plan}");
    let json: serde_json::Value =
        serde_json::from_str(&large(&["--json", "plan", "many.js"])).unwrap();
    assert_eq!(json["forecast"], serde_json::Value::Null);
    let check = home
        .ends(0, &["check", "many.js", "--arg", "count=2001"])
        .stdout;
    assert!(
        !check.contains('$') && check.contains("right model per agent?          cannot be said"),
        "{check}"
    );
}

#[test]
fn a_simulation_says_what_holds_a_run_back() {
    let home = Home::with("many.js", MANY);
    home.write(
        "divisi.toml",
        "[providers.anthropic]\nkind = 'anthropic'\nrate = { requests_per_minute = 60, burst = 1, input_tokens_per_minute = 100000 }\n",
    );
    let plan = |more: &[&str]| {
        home.ends(
            0,
            &[
                &["plan", "many.js", "--arg", "count=60", "--simulate"],
                more,
            ]
            .concat(),
        )
    };
    let part = |said: &str| said.split("  simulated").nth(1).unwrap_or(said).to_owned();
    insta::assert_snapshot!(part(&plan(&[]).stdout), @"
    200 runs · 1,000 tasks at once · 60 requests, 100,000 input tokens a minute to anthropic
    run time   about 1:24 · 1:07 to 2:12 in eight runs of ten
    run cost   about $0.3850 · $0.1821 to $0.8894 in eight runs of ten
    held up by requests a minute to anthropic: with twice as many 0:51 instead of 1:24
    doubled    input tokens a minute to anthropic no gain, tasks at once no gain
    no limits  0:26 if nothing but tasks had to be waited for
    ");
    insta::assert_snapshot!(part(&plan(&["--max-cost", "0.50", "--jobs", "4"]).stdout), @"
    200 runs · 4 tasks at once · 60 requests, 100,000 input tokens a minute to anthropic
    run time   about 2:29 · 1:30 to 3:06 in eight runs of ten
    run cost   about $0.3850 · $0.1821 to $0.4913 in eight runs of ten
    cap        $0.5000 stops 75 of 200 runs, with about 44 of 60 tasks done; all of it costs about $0.3850, $0.8894 in one of ten
    held up by tasks at once: with twice as many 1:32 instead of 2:36
    doubled    requests a minute to anthropic 2:32 instead of 2:36, input tokens a minute to anthropic no gain (without the cap)
    no limits  0:26 if nothing but tasks had to be waited for
    ");
    insta::assert_snapshot!(part(&plan(&["--max-cost", "3", "--jobs", "16"]).stdout), @"
    200 runs · 16 tasks at once · 60 requests, 100,000 input tokens a minute to anthropic
    run time   about 1:24 · 1:07 to 2:14 in eight runs of ten
    run cost   about $0.3850 · $0.1821 to $0.8894 in eight runs of ten
    held up by requests a minute to anthropic: with twice as many 0:54 instead of 1:24
    doubled    tasks at once no gain, input tokens a minute to anthropic no gain (without the cap)
    no limits  0:26 if nothing but tasks had to be waited for
    ");
    let json: serde_json::Value = serde_json::from_str(&plan(&["--json"]).stdout).unwrap();
    insta::assert_snapshot!(json["simulation"]["holds"], @r#"{"by":"one","limit":"requestsPerMinute","provider":"anthropic"}"#);
    insta::assert_snapshot!(json["simulation"]["under"], @r#"{"tasksAtOnce":1000,"programsAtOnce":64,"cap":null,"rates":[{"provider":"anthropic","requestsPerMinute":60,"inputTokensPerMinute":100000,"outputTokensPerMinute":null}]}"#);
}

/// A fan-out of commands: more than there are slots for programs.
const COMMANDS: &str = "\
const items = Array.from({ length: 200 }, (_, i) => i);
return parallel(items.map((i) => () => agent(`wc -l ${i}.txt`, { executor: 'shell', label: `count ${i}` })));
";

#[test]
fn a_fan_out_of_programs_takes_as_many_rounds_as_their_slots_allow() {
    let home = Home::with("count.js", COMMANDS);
    let plan = |more: &[&str]| {
        let typed = ["plan", "count.js", "--allow", "run", "--simulate"];
        home.ends(0, &[&typed, more].concat()).stdout
    };
    let time = |said: &str| {
        let line = said.lines().find(|line| line.contains("  time  "));
        line.unwrap_or(said).to_owned()
    };
    let part = |said: &str| said.split("  simulated").nth(1).unwrap_or(said).to_owned();
    let said = plan(&[]);
    insta::assert_snapshot!(time(&said), @"  time       about 3:40, 7:10 in one of ten · 1 wave, the longest chain has 1 task");
    insta::assert_snapshot!(part(&said), @"
    200 runs · 1,000 tasks at once, at most 64 of them programs
    run time   about 3:41 · 2:02 to 7:21 in eight runs of ten
    held up by programs at once (limits.programs_max): with twice as many 3:09 instead of 3:41
    doubled    tasks at once no gain
    no limits  3:07 if nothing but tasks had to be waited for
    ");
    let json: serde_json::Value = serde_json::from_str(&plan(&["--json"])).unwrap();
    assert_eq!(json["tasks"][0]["assigned"]["is_program"], true);
    insta::assert_snapshot!(json["simulation"]["holds"], @r#"{"by":"one","limit":"programsAtOnce"}"#);
    insta::assert_snapshot!(json["simulation"]["gains"], @r#"[{"limit":"programsAtOnce","from":221057,"to":189492},{"limit":"tasksAtOnce","from":221057,"to":221057}]"#);
    insta::assert_snapshot!(json["simulation"]["under"], @r#"{"tasksAtOnce":1000,"programsAtOnce":64,"cap":null,"rates":[]}"#);
    // A limit on all tasks applies to programs, too.
    let few = plan(&["--jobs", "16"]);
    insta::assert_snapshot!(time(&few), @"  time       about 7:14, 13:02 in one of ten · 1 wave, the longest chain has 1 task");
    insta::assert_snapshot!(part(&few), @"
    200 runs · 16 tasks at once
    run time   about 7:11 · 3:50 to 13:21 in eight runs of ten
    held up by tasks at once: with twice as many 4:47 instead of 7:11
    no limits  3:07 if nothing but tasks had to be waited for
    ");
    home.write("divisi.toml", "[limits]\nprograms_max = 200\n");
    let all = plan(&[]);
    insta::assert_snapshot!(time(&all), @"  time       about 3:12, 6:32 in one of ten · 1 wave, the longest chain has 1 task");
    insta::assert_snapshot!(part(&all), @"
    200 runs · 1,000 tasks at once, at most 200 of them programs
    run time   about 3:07 · 1:35 to 6:53 in eight runs of ten
    held up by the longest chain of tasks: no limit makes it longer
    doubled    tasks at once no gain, programs at once (limits.programs_max) no gain
    no limits  3:07 if nothing but tasks had to be waited for
    ");
}

#[test]
fn a_check_says_how_many_programs_run_at_the_same_time() {
    let home = Home::with("count.js", COMMANDS);
    let check = |more: &[&str]| {
        let typed = ["check", "count.js", "--allow", "run"];
        let said = home.ends(0, &[&typed, more].concat()).stdout;
        let line = said.lines().find(|line| line.contains("parallelisation"));
        line.unwrap_or(&said).to_owned()
    };
    insta::assert_snapshot!(check(&[]), @"✓ parallelisation opportunities?  up to 64 tasks at the same time, without `limits.programs_max` up to 200");
    insta::assert_snapshot!(check(&["--jobs", "8"]), @"✓ parallelisation opportunities?  up to 8 tasks at the same time, without `limits.in_flight_max` up to 200");
}

#[test]
fn a_simulation_asks_each_provider_for_its_own_models() {
    let many = MANY.replace("tools: []", "tools: [], model: 'gateway:claude-haiku-5-5'");
    let home = Home::with("many.js", &many);
    home.write(
        "divisi.toml",
        "provider = 'anthropic'\nprices.claude-haiku-5-5 = { input = 1.0, output = 5.0 }\n[providers.gateway]\nkind = 'anthropic'\nbase_url = 'http://localhost:9/v1'\nrate = { requests_per_minute = 60, burst = 1 }\n",
    );
    let said = home
        .ends(0, &["plan", "many.js", "--arg", "count=60", "--simulate"])
        .stdout;
    let held = said
        .lines()
        .find(|line| line.contains("held up by"))
        .unwrap_or(&said);
    insta::assert_snapshot!(held, @"  held up by requests a minute to gateway: with twice as many 0:51 instead of 1:24");
}

#[test]
fn a_simulation_of_a_chain_says_that_no_limit_matters() {
    let home = Home::with(
        "f.js",
        "let last\nfor (let i = 0; i < 4; i++) last = await agent(`Go on from ${last}`, { tools: [] })\nreturn last",
    );
    let said = home.ends(0, &["plan", "f.js", "--simulate"]).stdout;
    insta::assert_snapshot!(said.split("  simulated").nth(1).unwrap_or(&said), @"
      200 runs · 1,000 tasks at once · no rates set for anthropic
      run time   about 0:40 · 0:19 to 1:20 in eight runs of ten
      run cost   about $0.0460 · $0.0203 to $0.1200 in eight runs of ten
      held up by the longest chain of tasks: no limit makes it longer
      doubled    tasks at once no gain
      no limits  0:40 if nothing but tasks had to be waited for

    Warnings
      its prompt says `undefined` where something else is meant, it seems  f.js:2
    ");
}
