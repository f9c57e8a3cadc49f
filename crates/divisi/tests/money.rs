//! Money, end to end: what the ledger says is what the mock would bill.
#![allow(clippy::unwrap_used, missing_docs)]

#[allow(dead_code, reason = "other tests use the rest")]
mod support;
#[path = "support/money.rs"]
mod ledger;

use divisi_core::check::{Check, Judge};
use divisi_core::event::{Caps, RunStatus};
use divisi_core::{PicoUsd, Task};
use divisi_engine::store::SqliteStore;
use divisi_engine::{Engine, Models, RunOptions, Setup};
use divisi_mock::{Breakage, Config, ErrorKind, Latency, Reply, Rule, When};
use divisi_providers::{Anthropic, Endpoint, Secret};
use ledger::{bill, pico, prices, said};
use serde_json::Value;
use std::process::Stdio;
use std::sync::Arc;
use support::{FILES, Machine, SECRET, whole_args, whole_flow};

#[test]
fn the_ledger_equals_the_bill_to_the_last_unit() {
    let mut config = whole_flow(0);
    let refusals = [
        ("Extract the finding", ErrorKind::Overloaded),
        ("Verify about", ErrorKind::RateLimit),
    ];
    for (prompt, kind) in refusals {
        config
            .rules
            .insert(0, Rule::fault(When::prompt(prompt), kind).times(3));
    }
    let machine = Machine::new(prices(config));
    let run = machine.run(&[
        "run",
        "crates/divisi/tests/flows/whole.js",
        "--args",
        &whole_args(),
    ]);
    assert_eq!(run.status.code(), Some(0), "{}", said(&run));

    let stats = machine.mock.stats();
    assert!(
        stats.tokens.cache_read > 0 && stats.tokens.cache_write_short > 0,
        "{:?}",
        stats.tokens
    );
    assert_eq!(
        stats
            .statuses
            .iter()
            .filter(|(status, _)| **status != 200)
            .map(|(_, n)| n)
            .sum::<u64>(),
        6
    );
    let bill = bill(&machine);
    assert!(stats.cost_pico > 0);
    assert_eq!(pico(&bill["total"]["cost"]), stats.cost_pico);
    assert_eq!(
        bill["total"]["usage"]["cache_read"],
        stats.tokens.cache_read
    );

    // Every breakdown is of the same money.
    let sum = |parts: &Value| {
        parts
            .as_array()
            .unwrap()
            .iter()
            .map(|part| pico(&part["cost"]))
            .sum::<u128>()
    };
    for breakdown in ["phases", "models", "attempts"] {
        assert_eq!(sum(&bill[breakdown]), stats.cost_pico, "{breakdown}");
    }
    let classes = bill["classes"].as_object().unwrap();
    assert_eq!(
        classes
            .values()
            .map(|class| pico(&class["cost"]))
            .sum::<u128>(),
        stats.cost_pico
    );
    assert_eq!(
        bill["beside_the_list"],
        serde_json::json!({"more": 0, "less": 0})
    );
    assert_eq!(bill["tasks"].as_array().unwrap().len(), 10);
    assert_eq!(bill["tasks_left_out"], FILES * 3 + 5 - 10);
    assert_eq!(bill["saved"]["models"]["strongest"], "claude-opus-5-5");

    let shown = said(&machine.run(&["cost"]));
    for words in ["by caching", "cache reads", "claude-haiku-5-5", "Audit"] {
        assert!(shown.contains(words), "{shown}");
    }
}

#[test]
fn a_request_that_was_never_answered_is_settled_above_its_bill() {
    let cut = Rule::fault(When::prompt("Say one"), Breakage::DropStream).times(1);
    let machine = Machine::new(prices(Config::default().rule(cut)));
    let run = machine.run(&["map", "Say {}", "one", "two", "--model", "haiku"]);
    assert_eq!(run.status.code(), Some(0), "{}", said(&run));
    let bill = bill(&machine);
    let (cost, unconfirmed) = (
        pico(&bill["total"]["cost"]),
        pico(&bill["total"]["unconfirmed"]),
    );
    let billed = machine.mock.stats().cost_pico;
    assert!(
        cost <= billed && billed <= cost + unconfirmed,
        "{cost} + {unconfirmed}: {billed}"
    );
    let attempts = bill["attempts"].as_array().unwrap();
    let names: Vec<&str> = attempts
        .iter()
        .map(|attempt| attempt["name"].as_str().unwrap())
        .collect();
    assert!(names.contains(&"without a reply"), "{names:?}");
}

/// A mock that takes a second to begin each answer, so that a fan-out is in flight at once.
fn slow() -> Config {
    Config {
        latency: Latency {
            first_byte_ms: 1_000,
            ..Latency::default()
        },
        ..Config::default()
    }
}

/// All the room that a reply may want costs eight tenths of a cent, so that this cap would
/// hold seven requests at a time.
#[test]
fn a_cap_near_the_cost_leaves_a_fan_out_its_width() {
    let machine = Machine::new(prices(
        slow().rule(Rule::new(When::any(), Reply::text("fine"))),
    ));
    let items: Vec<String> = (0..40).map(|i| i.to_string()).collect();
    let mut args = vec!["map", "Say {}", "--model", "haiku", "--max-cost", "0.06"];
    args.extend(items.iter().map(String::as_str));
    let run = machine.run(&args);
    assert_eq!(run.status.code(), Some(0), "{}", said(&run));
    let stats = machine.mock.stats();
    assert_eq!(stats.completed, 40);
    assert!(stats.in_flight_max >= 20, "{}", stats.in_flight_max);
    assert_eq!(pico(&bill(&machine)["total"]["cost"]), stats.cost_pico);
}

#[test]
fn a_reply_that_is_cut_off_under_a_cap_is_requested_again_with_more_room() {
    let long = "word ".repeat(3_500);
    let config = slow()
        .rule(Rule::new(When::prompt("Say long"), Reply::text(&long)))
        .rule(Rule::new(When::any(), Reply::text("fine")));
    let machine = Machine::new(prices(config));
    let mut args = vec!["map", "Say {}", "--model", "haiku", "--max-cost", "0.03"];
    args.extend(["a", "b", "c", "d", "e", "f", "g", "h", "i", "long"]);
    let run = machine.run(&args);
    assert_eq!(run.status.code(), Some(0), "{}", said(&run));
    assert!(said(&run).contains(long.trim()), "the whole answer is used");
    let rooms: Vec<u64> = machine
        .mock
        .requests()
        .iter()
        .filter(|request| request.body.to_string().contains("Say long"))
        .map(|request| request.body["max_tokens"].as_u64().unwrap())
        .collect();
    assert!(
        matches!(rooms[..], [first, second] if second >= 4 * first),
        "{rooms:?}"
    );
    let (cost, billed) = (
        pico(&bill(&machine)["total"]["cost"]),
        machine.mock.stats().cost_pico,
    );
    assert_eq!(cost, billed, "both replies are paid for");
    assert!(billed <= 30_000_000_000, "{billed}");
}

#[test]
fn another_model_than_the_one_asked_is_told_of() {
    let other = Rule::fault(When::any(), Breakage::WrongModel);
    let machine = Machine::new(prices(Config::default().rule(other)));
    let run = said(&machine.run(&["map", "Say {}", "one", "two", "three", "--model", "haiku"]));
    let warning = "warning: claude-haiku-5-5 was asked, but not-claude-haiku-5-5 answered";
    assert_eq!(run.matches(warning).count(), 1, "{run}");
    assert!(
        run.contains("other model: not-claude-haiku-5-5 answered 3 tasks"),
        "{run}"
    );
    let shown = said(&machine.run(&["show", "last"]));
    assert!(
        shown.contains("not-claude-haiku-5-5, not claude-haiku-5-5"),
        "{shown}"
    );
    let substitution = &bill(&machine)["substitutions"][0];
    assert_eq!(
        (&substitution["asked"], &substitution["replies"]),
        (&"claude-haiku-5-5".into(), &3.into())
    );
}

#[test]
fn a_model_without_a_price_is_refused_until_the_user_gives_one() {
    let machine = Machine::new(Config {
        rules: vec![Rule::new(When::any(), Reply::text("fine"))],
        ..Config::default()
    });
    let map = ["map", "Say {}", "one", "--model", "claude-unheard-of"];
    let refused = machine.run(&map);
    assert_eq!(refused.status.code(), Some(2), "{}", said(&refused));
    assert!(
        said(&refused).contains("has no price"),
        "{}",
        said(&refused)
    );
    assert!(
        said(&refused).contains("prices.\"claude-unheard-of\" = { input = 1.0, output = 2.0 }"),
        "{}",
        said(&refused)
    );
    assert_eq!(machine.requests(), 0);

    let config = machine.home().join(".config/divisi");
    std::fs::create_dir_all(&config).unwrap();
    std::fs::write(
        config.join("config.toml"),
        "prices.\"claude-unheard-*\" = { input = 1.0, output = '2.5' }",
    )
    .unwrap();
    let run = machine.run(&map);
    assert_eq!(run.status.code(), Some(0), "{}", said(&run));
    let tokens = machine.mock.stats().tokens;
    let prompt = tokens.input + tokens.cache_write_short + tokens.cache_read;
    let cost = u128::from(prompt) * 1_000_000 + u128::from(tokens.output) * 2_500_000;
    assert_eq!(pico(&bill(&machine)["total"]["cost"]), cost);
}

/// What a dry run finds before the start: a task's own model, a fallback, a judge.
#[test]
fn a_task_on_a_model_without_a_price_is_refused_before_anything_is_sent() {
    let machine = Machine::new(Config {
        rules: vec![Rule::new(When::any(), Reply::text("fine"))],
        ..Config::default()
    });
    for options in [
        "model: 'claude-unheard-of'",
        "model: ['haiku', 'claude-unheard-of'], check: 'true'",
        "fallback: 'claude-unheard-of'",
        "check: { judge: 'it is fine', model: 'claude-unheard-of' }",
    ] {
        let flow = format!(
            "await agent('first', {{ model: 'haiku' }})\n\
             return agent('second', {{ label: 'weigh', {options} }})"
        );
        let path = machine.home().join("flow.js");
        std::fs::write(&path, flow).unwrap();
        let refused = machine.run(&["run", path.to_str().unwrap(), "--allow", "run"]);
        let told = said(&refused);
        assert_eq!(refused.status.code(), Some(2), "{options}: {told}");
        assert!(told.contains("task `weigh` at "), "{options}: {told}");
        assert!(
            told.contains("flow.js:2: model `claude-unheard-of` of"),
            "{options}: {told}"
        );
        assert!(
            told.contains("prices.\"claude-unheard-of\" = "),
            "{options}: {told}"
        );
    }
    let plan = "tasks:\n  - {id: a, prompt: x, model: haiku}\n  - {id: b, prompt: y, model: claude-unheard-of}\n";
    let path = machine.home().join("plan.yaml");
    std::fs::write(&path, plan).unwrap();
    let told = said(&machine.run(&["run", path.to_str().unwrap()]));
    assert!(told.contains("task `b` at "), "{told}");
    assert!(
        told.contains("plan.yaml:3: model `claude-unheard-of` of"),
        "{told}"
    );
    assert_eq!(machine.requests(), 0);
}

#[test]
fn models_are_listed_with_their_prices() {
    let machine = Machine::new(Config::default());
    let listed = said(&machine.run(&["models"]));
    for words in [
        "anthropic  ready",
        "openai  no key",
        "claude-fable-5-2",
        "prompt over 272,000",
        "2026-11-30",
    ] {
        assert!(listed.contains(words), "{listed}");
    }
    let all = machine.run(&["models", "--all", "gemini-4-argon", "--json"]);
    let all: Value = serde_json::from_slice(&all.stdout).unwrap();
    let models = all["models"].as_array().unwrap();
    assert!(
        models
            .iter()
            .any(|row| row["provider"] == "google" && pico(&row["price"]["base"]["input"]) > 0),
        "{all}"
    );
}

#[test]
fn a_run_is_estimated_beside_it_and_held_against_what_it_cost() {
    // The first answer never comes, so the estimate has all the time it needs; the other
    // task waits for the cache that the first one writes.
    let slow = Latency {
        first_byte_ms: 3_600_000,
        ..Latency::default()
    };
    let late = Rule::new(When::any(), Reply::text("late"))
        .times(1)
        .latency(slow);
    let machine = Machine::new(prices(Config::default().rule(late)));
    let log = machine.home().join("stderr");
    let mut command = machine.divisi(&["map", "Say {}", "one", "two", "--model", "haiku"]);
    let mut run = command
        .env("DIVISI_ESTIMATE", "true")
        .stdout(Stdio::null())
        .stderr(std::fs::File::create(&log).unwrap())
        .spawn()
        .unwrap();
    let told = || std::fs::read_to_string(&log).unwrap();
    while !told().contains("plan: about $") || machine.requests() < 1 {
        assert_eq!(run.try_wait().unwrap(), None, "{}", told());
        std::thread::yield_now();
    }
    run.kill().unwrap();
    run.wait().unwrap();
    let dead = bill(&machine);
    assert_eq!(dead["plan_against_actual"]["so_far"], true);
    let told = "so far   $0.0000 confirmed, 0 % of the estimate; at most $";
    assert!(
        said(&machine.run(&["cost"])).contains(told),
        "{}",
        said(&machine.run(&["cost"]))
    );
    // Requests in flight may be billed, and every command reports that at once.
    let lost = pico(&dead["total"]["unconfirmed"]);
    assert!(lost > 0);
    let json = |args: &[&str]| serde_json::from_slice::<Value>(&machine.run(args).stdout).unwrap();
    let (shown, listed) = (json(&["show", "last", "--json"]), json(&["runs", "--json"]));
    assert_eq!(pico(&shown["unconfirmed"]), lost);
    let tasks = shown["tasks"].as_array().unwrap();
    assert_eq!(
        tasks
            .iter()
            .map(|task| pico(&task["unconfirmed"]))
            .sum::<u128>(),
        lost
    );
    assert_eq!(tasks[0]["status"], "interrupted");
    assert_eq!(
        (pico(&listed[0]["unconfirmed"]), &listed[0]["status"]),
        (lost, &"interrupted".into())
    );

    let resumed = machine.run(&["resume", "last"]);
    assert_eq!(resumed.status.code(), Some(0), "{}", said(&resumed));
    let estimates =
        "SELECT count(*) FROM events WHERE json_extract(event, '$.event') = 'estimated'";
    assert_eq!(machine.count(estimates), 1);
    let bill = bill(&machine);
    let plan = &bill["plan_against_actual"];
    assert_eq!(
        (&plan["so_far"], &plan["estimate"]["tasks"]),
        (&false.into(), &2.into())
    );
    assert_eq!(plan["actual"], bill["total"]["cost"]);
    assert_eq!(
        (
            pico(&bill["total"]["unconfirmed"]),
            pico(&plan["unconfirmed"])
        ),
        (lost, lost)
    );
    assert!(
        plan["error"].is_null(),
        "what is not confirmed says nothing of the estimate: {plan}"
    );
    let shown = said(&machine.run(&["cost"]));
    for words in [
        "plan against actual",
        "confirmed, ",
        "without a reply",
        "at most $",
    ] {
        assert!(shown.contains(words), "{shown}");
    }
}

/// A run under a cap of two tasks on a ladder, fed by this program: the first
/// is taken on its first rung, the second climbs. Judged in both cases.
async fn climb(machine: &Machine) {
    let endpoint =
        Endpoint::new("anthropic", machine.mock.url()).key(Some(Secret::new(SECRET)), "KEY");
    let tiers = [
        ("haiku", "claude-haiku-5-5"),
        ("sonnet", "claude-sonnet-5-5"),
        ("opus", "claude-opus-5-5"),
    ];
    let models = Models::one(
        Arc::new(Anthropic::new(endpoint).unwrap()),
        &tiers,
        &["claude-*"],
    );
    let engine = Engine::new(Arc::new(SqliteStore::open(machine.store()).unwrap()));
    let caps = Caps::of(Some(PicoUsd::DOLLAR));
    let options = RunOptions::default().caps(caps);
    let job = engine
        .open("ladder", Setup::new(models, machine.home()), options)
        .await
        .unwrap();
    let judge = Judge {
        rubric: "as good as it gets".into(),
        model: None,
        threshold: 7,
    };
    for prompt in ["Mend the easy one", "Mend the hard one"] {
        let task = Task {
            model: ["haiku", "opus"].into_iter().map(str::to_owned).collect(),
            check: vec![Check::Judge(judge.clone())],
            kind: Some("bug".into()),
            tools: Some(vec![]),
            ..Task::new(prompt)
        };
        job.run(task).await.value().unwrap();
    }
    assert_eq!(
        job.finish(Value::Null).await.unwrap().status(),
        Some(RunStatus::Ok)
    );
}

#[test]
fn a_ladder_is_held_against_its_last_model() {
    let judged = |of: &str, score: u32| {
        let when = When {
            any_contains: Some(of.to_owned()),
            ..When::prompt("# Rubric")
        };
        Rule::new(
            when,
            Reply::text(format!(r#"{{"findings": "so", "score": {score}}}"#)),
        )
    };
    let config = Config {
        rules: vec![judged("the easy one", 9), judged("the hard one", 3)],
        ..Config::default()
    };
    let machine = Machine::new(prices(config));
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(climb(&machine));

    let bill = bill(&machine);
    let stats = machine.mock.stats();
    assert_eq!(pico(&bill["total"]["cost"]), stats.cost_pico);
    let rungs = &bill["ladders"][0]["rungs"];
    let seen = |rung: &Value| {
        (
            rung["tried"].as_u64().unwrap(),
            rung["accepted"].as_u64().unwrap(),
        )
    };
    assert_eq!(
        (seen(&rungs[0]), seen(&rungs[1])),
        ((2, 1), (1, 1)),
        "{bill:#}"
    );
    assert!(
        pico(&rungs[0]["checks"]) > 0 && pico(&rungs[1]["checks"]) == 0,
        "{bill:#}"
    );
    let parts = [&rungs[0]["cost"], &rungs[0]["checks"], &rungs[1]["cost"]];
    assert_eq!(parts.into_iter().map(pico).sum::<u128>(), stats.cost_pico);
    assert_eq!(
        bill["substitutions"],
        serde_json::json!([]),
        "a judge stands in for nobody"
    );
    // Each token costs forty times as much on the last model.
    assert_eq!(pico(&rungs[0]["above"]), 40 * pico(&rungs[0]["cost"]));
    let saved = &bill["saved"]["ladders"];
    assert_eq!(
        (&saved["tasks"], pico(&saved["ladder"])),
        (&2.into(), stats.cost_pico)
    );
    let difference = &saved["saved"];
    assert_eq!(
        pico(&saved["last_model"]) + pico(&difference["less"]),
        pico(&saved["ladder"]) + pico(&difference["more"])
    );
    let shown = said(&machine.run(&["cost"]));
    for words in ["bug: accepted 1 of 2 on claude-haiku-5-5: ", "by ladders: "] {
        assert!(shown.contains(words), "{shown}");
    }
}
