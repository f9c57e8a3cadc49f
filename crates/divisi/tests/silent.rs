//! Nothing is silent: whatever is refused, thrown, lost, overcharged or only reserved is reported,
//! and affects the exit code.
#![allow(clippy::unwrap_used, missing_docs)]

#[allow(dead_code, reason = "other tests use the rest")]
mod support;

use divisi_mock::{Config, ErrorKind, Latency, Reply, Rule, When, http, serve_raw};
use serde_json::Value;
use std::path::Path;
use std::process::{Command, Output};
use std::time::SystemTime;
use support::Machine;

/// What a command ended with and said.
struct Said {
    code: Option<i32>,
    out: String,
    err: String,
}

impl From<Output> for Said {
    fn from(output: Output) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Self {
            code: output.status.code(),
            out: text(&output.stdout),
            err: text(&output.stderr),
        }
    }
}

impl Said {
    #[track_caller]
    fn with(self, code: i32, words: &[&str]) -> Self {
        assert_eq!(self.code, Some(code), "{}\n{}", self.out, self.err);
        for word in words {
            assert!(self.err.contains(word), "`{word}` is not in\n{}", self.err);
        }
        self
    }
}

/// A machine, and a folder with a flow in it.
struct Place {
    machine: Machine,
    folder: tempfile::TempDir,
}

const META: &str = "export const meta = { name: 'f', description: 'd' }\n";
const SIX: &str =
    "return await parallel(Array.from({ length: 6 }, (_, i) => () => agent('t' + i)))";

impl Place {
    fn new(config: Config, flow: &str) -> Self {
        let (machine, folder) = (Machine::new(config), tempfile::tempdir().unwrap());
        std::fs::write(folder.path().join("f.js"), format!("{META}{flow}\n")).unwrap();
        Self { machine, folder }
    }

    fn user_settings(self, settings: &str) -> Self {
        let config = self.machine.home().join(".config/divisi");
        std::fs::create_dir_all(&config).unwrap();
        std::fs::write(config.join("config.toml"), settings).unwrap();
        self
    }

    /// Writes another flow, at a time that is after all that has been run by the clock
    /// of the file system too, which lags behind by some milliseconds.
    fn edit(&self, flow: &str) {
        let (file, now) = (self.folder.path().join("f.js"), SystemTime::now());
        while std::fs::metadata(&file).unwrap().modified().unwrap() <= now {
            std::fs::write(&file, format!("{META}{flow}\n")).unwrap();
        }
    }

    fn divisi(&self, args: &[&str]) -> Command {
        let mut command = self.machine.divisi(args);
        command.current_dir(self.folder.path());
        command
    }

    fn run(&self, args: &[&str]) -> Said {
        self.divisi(args).output().unwrap().into()
    }

    fn listed(&self) -> Value {
        let listed: Value = serde_json::from_str(&self.run(&["runs", "--json"]).out).unwrap();
        listed[0].clone()
    }
}

fn slow() -> Config {
    Config {
        latency: Latency {
            first_byte_ms: 100,
            ..Latency::default()
        },
        ..Config::default()
    }
}

#[test]
fn tasks_that_a_limit_refuses_are_counted_aloud() {
    let place = Place::new(Config::default(), SIX).user_settings("[limits]\ntasks_max = 3\n");
    let refused = "3 tasks were refused: the run has 3 tasks, which is as many as it may have";
    let said = place
        .run(&["run", "f.js"])
        .with(3, &[refused, "partial: calls of the flow were refused"]);
    assert!(said.out.contains("null"), "{}", said.out);
    let refusals = "SELECT sum(json_extract(event, '$.count')) FROM events \
                    WHERE json_extract(event, '$.event') = 'refused'";
    assert_eq!(place.machine.count(refusals), 3);
    assert_eq!(place.listed()["refused"], 3);
    assert!(place.run(&["show", "last"]).out.contains(refused));
    let shown: Value = serde_json::from_str(&place.run(&["show", "last", "--json"]).out).unwrap();
    assert_eq!(
        (&shown["refused"][0]["what"], &shown["refused"][0]["count"]),
        (&"task".into(), &3.into())
    );
    place.run(&["run", "f.js", "-q"]).with(3, &[refused]);
    let json = place.run(&["run", "f.js", "--json"]).with(3, &[]);
    assert!(
        json.out
            .contains(r#""event":"refused","refusal":{"what":"task","tasks_max":3}"#),
        "{}",
        json.out
    );
}

#[test]
fn a_run_whose_gather_was_refused_or_failed_says_that_there_is_no_result() {
    let map = ["map", "x {}", "a", "b", "c", "d", "--gather", "Sum up"];
    let place = Place::new(Config::default(), SIX).user_settings("[limits]\ntasks_max = 3\n");
    let said = place.run(&map).with(
        3,
        &["there is no result, because 2 calls of the flow were refused"],
    );
    assert_eq!(said.out, "");
    let fails = Rule::fault(When::prompt("Sum up"), ErrorKind::BadRequest);
    let place = Place::new(Config::default().rule(fails), SIX);
    let said = place
        .run(&map)
        .with(3, &["there is no result, because `gather` failed: "]);
    assert_eq!(said.out, "");
    assert!(
        place
            .run(&["show", "last"])
            .out
            .contains("there is no result, because `gather` failed: ")
    );
}

#[test]
fn calls_beyond_the_token_budget_are_counted() {
    let flow = "await agent('a'); await parallel([() => agent('b'), () => agent('c')])";
    let place = Place::new(Config::default(), flow);
    let words = [
        "2 calls were refused: the 1 output tokens that the flow may spend are spent",
        "there is no result",
    ];
    place
        .run(&["run", "f.js", "--token-budget", "1"])
        .with(3, &words);
    place
        .run(&["run", "f.js"])
        .with(0, &["there is no result: the flow returned nothing"]);
}

#[test]
fn an_exception_that_nothing_handles_fails_the_run_and_keeps_its_result() {
    let flow = ";(async () => {\n  throw new Error('lost')\n})()\nreturn await agent('x')";
    let place = Place::new(Config::default(), flow);
    let told = "f.js:3: Error: lost (in a promise that nothing awaits or catches)";
    let said = place.run(&["run", "f.js"]).with(
        1,
        &[told, "failed: an exception in the flow had no handler"],
    );
    assert!(!said.out.is_empty());
    assert!(place.run(&["show", "last"]).out.contains(told));
    place.run(&["run", "f.js", "-q"]).with(1, &[told]);
}

#[test]
fn a_tool_that_the_run_does_not_permit_is_heard_by_the_user() {
    let wants = |tool: &str, input| {
        Rule::new(
            When::any().tool_result(false),
            Reply::tool_call(tool, input),
        )
    };
    let write = wants(
        "write_file",
        serde_json::json!({"path": "a", "content": "b"}),
    );
    let place = Place::new(Config::default().rule(write), "return 1");
    let words = [
        "called `write_file`, which the run does not permit; `--allow write` does",
        "takes `--allow write`",
    ];
    place.run(&["map", "Write {}", "a"]).with(0, &words);
    assert!(
        place
            .run(&["show", "last", "t0"])
            .out
            .contains("write_file (1, takes --allow write)")
    );
    place
        .run(&["map", "Write {}", "a", "-q"])
        .with(0, &["`--allow write`"]);
    // By the name that other programs have for it.
    let bash = wants("Bash", serde_json::json!({"command": "ls"}));
    let place = Place::new(Config::default().rule(bash), "return 1");
    place
        .run(&["map", "Build {}", "a"])
        .with(0, &["`--allow run`"]);
}

#[test]
fn a_run_stops_when_its_store_goes_away() {
    let flow = "return (await parallel(Array.from({ length: 60 }, (_, i) => () => agent('t' + i)))).length";
    for replaced in [false, true] {
        let place = Place::new(slow(), flow);
        let mut run = place.divisi(&["run", "f.js", "--jobs", "2"]);
        let run = run
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        while place.machine.replies_recorded() < 2 {
            std::thread::yield_now();
        }
        let store = place.machine.store();
        let beside = store.with_extension("moved");
        if replaced {
            // In one step: without a file for a moment, the store would count as deleted.
            std::fs::copy(&store, &beside).unwrap();
            std::fs::rename(&beside, &store).unwrap();
        } else {
            std::fs::rename(&store, &beside).unwrap();
        }
        let how = if replaced {
            "was replaced"
        } else {
            "was deleted or renamed"
        };
        Said::from(run.wait_with_output().unwrap()).with(1, &["the store has gone: ", how]);
        assert!(place.machine.requests() < 60);
    }
}

#[test]
fn a_second_name_of_the_store_is_the_same_lock() {
    let place = Place::new(
        slow(),
        "return (await parallel(Array.from({ length: 40 }, (_, i) => () => agent('t' + i)))).length",
    );
    let mut first = place.divisi(&["run", "f.js", "--jobs", "2"]);
    let mut first = first
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    while place.machine.replies_recorded() < 1 {
        std::thread::yield_now();
    }
    let resume_by = |name: &Path| -> Said {
        place
            .divisi(&["resume", "last"])
            .env("DIVISI_STORE", name)
            .output()
            .unwrap()
            .into()
    };
    let link = place.folder.path().join("link.db");
    std::os::unix::fs::symlink(place.machine.store(), &link).unwrap();
    resume_by(&link).with(1, &["is being driven by process"]);
    let hard = place.folder.path().join("hard.db");
    std::fs::hard_link(place.machine.store(), &hard).unwrap();
    resume_by(&hard).with(1, &["has 2 names (hard links)"]);
    std::fs::remove_file(hard).unwrap();
    assert_eq!(first.wait().unwrap().code(), Some(0));
}

#[test]
fn the_time_zone_of_a_resume_changes_nothing() {
    let place = Place::new(
        Config::default(),
        "return await agent('it is ' + new Date(0) + new Date(2024, 5, 1).getTime())",
    );
    let in_zone = |zone: &str, args: &[&str]| -> Said {
        place.divisi(args).env("TZ", zone).output().unwrap().into()
    };
    in_zone("America/New_York", &["run", "f.js"]).with(0, &[]);
    in_zone("Asia/Tokyo", &["resume", "last", "--again"]).with(0, &["1 reused"]);
    assert_eq!(place.machine.requests(), 1);
}

#[test]
fn what_is_only_set_aside_is_shown_apart() {
    let cut = Rule::fault(When::prompt("Say one"), divisi_mock::Breakage::DropStream).times(1);
    let place = Place::new(Config::default().rule(cut), "return 1");
    place
        .run(&["map", "Say {}", "one", "--model", "haiku"])
        .with(0, &[" + at most $", " unconfirmed"]);
    let listed = place.listed();
    let number = |name: &str| listed[name].as_f64().unwrap();
    assert!(
        number("unconfirmed") > 0.0 && number("cost") > number("unconfirmed"),
        "{listed}"
    );
    for command in [
        &["runs"][..],
        &["show", "last"],
        &["show", "last", "t0"],
        &["cost", "last"],
    ] {
        let shown = place.run(command).out;
        assert!(shown.contains(" + at most $"), "{shown}");
    }
    let bill: Value = serde_json::from_str(&place.run(&["cost", "last", "--json"]).out).unwrap();
    assert_eq!(bill["spent"]["unconfirmed"], listed["unconfirmed"]);
}

/// A vendor of the Messages API that answers everything alike.
fn vendor(model: &'static str, usage: &'static str) -> String {
    let events = [
        format!(
            r#"{{"type":"message_start","message":{{"id":"m","type":"message","role":"assistant","model":"{model}","content":[],"usage":{usage}}}}}"#
        ),
        r#"{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}"#
            .into(),
        r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"hi"}}"#
            .into(),
        r#"{"type":"content_block_stop","index":0}"#.into(),
        format!(
            r#"{{"type":"message_delta","delta":{{"stop_reason":"end_turn"}},"usage":{usage}}}"#
        ),
        r#"{"type":"message_stop"}"#.into(),
    ];
    let body: String = events
        .iter()
        .map(|event| format!("data: {event}\n\n"))
        .collect();
    serve_raw(move |_| http("200 OK", "text/event-stream", &body))
}

#[test]
fn a_reply_that_costs_more_than_was_set_aside_stops_the_run() {
    let cases = [
        (
            "claude-opus-5-5",
            r#"{"input_tokens":2000,"output_tokens":16000}"#,
        ),
        (
            "claude-haiku-5-5",
            r#"{"input_tokens":10,"output_tokens":800000}"#,
        ),
        (
            "claude-haiku-5-5",
            r#"{"input_tokens":9223372036854775808,"output_tokens":1}"#,
        ),
        (
            "claude-haiku-5-5",
            r#"{"input_tokens":10,"cache_read_input_tokens":18446744073709551615,"output_tokens":1}"#,
        ),
        (
            "claude-haiku-5-5",
            r#"{"input_tokens":10,"output_tokens":16000,"speed":"fast","inference_geo":"us"}"#,
        ),
    ];
    for (model, usage) in cases {
        let place = Place::new(Config::default(), "return 1");
        let args = [
            "map",
            "x {}",
            "a",
            "b",
            "c",
            "d",
            "--model",
            "haiku",
            "--max-cost",
            "1.00",
            "--jobs",
            "1",
        ];
        let run = place
            .divisi(&args)
            .env("ANTHROPIC_BASE_URL", vendor(model, usage))
            .output()
            .unwrap();
        let words = [
            "parked: a reply of `claude-",
            "was the most its request could cost",
            "above what was set aside",
        ];
        Said::from(run).with(4, &words);
        let listed = place.listed();
        let dollars = |name: &str| listed[name].as_f64().unwrap();
        assert!(dollars("over") > 0.0, "{listed}");
        assert!((0.0..=1.0).contains(&dollars("cost")), "{listed}");
        assert_eq!(
            (&listed["ok"], &listed["open"]),
            (&1.into(), &3.into()),
            "nothing new has started: {listed}"
        );
        assert!(place.run(&["runs"]).out.contains(" over"));
        assert_eq!(
            place
                .machine
                .count("SELECT count(*) FROM runs WHERE over_pico_usd < 0 OR tokens < 0"),
            0
        );
    }
}

#[test]
fn a_reservation_covers_what_an_account_may_be_set_up_for() {
    let usage = r#"{"input_tokens":300,"output_tokens":1024,"inference_geo":"us"}"#;
    let place = Place::new(Config::default(), "return 1");
    let items: Vec<String> = (0..30).map(|i| i.to_string()).collect();
    let mut args = vec!["map", "x {}", "--model", "haiku", "--max-cost", "0.01"];
    args.extend(items.iter().map(String::as_str));
    let run = place
        .divisi(&args)
        .env("ANTHROPIC_BASE_URL", vendor("claude-haiku-5-5", usage))
        .output()
        .unwrap();
    Said::from(run).with(4, &["what is left of the budget holds none"]);
    let listed = place.listed();
    assert_eq!(listed["over"], 0);
    assert!(listed["cost"].as_f64().unwrap() <= 0.01, "{listed}");
}

#[test]
fn another_program_or_model_is_another_task() {
    let executor =
        |word: &str| format!("[executors.echo]\ncommand = [\"echo\", \"{word}\", \"{{model}}\"]\n");
    let flow =
        |model: &str| format!("return await agent('x', {{ executor: 'echo', model: '{model}' }})");
    let mut place = Place::new(Config::default(), &flow("haiku")).user_settings(&executor("one"));
    assert_eq!(
        place.run(&["run", "f.js"]).with(0, &[]).out.trim(),
        "one haiku"
    );
    place.edit(&flow("opus"));
    assert_eq!(
        place
            .run(&["resume", "last"])
            .with(0, &["0 reused"])
            .out
            .trim(),
        "one opus"
    );
    place = place.user_settings(&executor("two"));
    assert_eq!(
        place
            .run(&["resume", "last", "--again"])
            .with(0, &["0 reused"])
            .out
            .trim(),
        "two opus"
    );
    // A program climbs its ladder as well.
    let ladder = "return await agent('x', { executor: 'echo', model: ['haiku', 'opus'], check: { command: 'grep opus' } })";
    place.edit(ladder);
    assert_eq!(
        place
            .run(&["run", "f.js", "--allow", "run"])
            .with(0, &[])
            .out
            .trim(),
        "two opus"
    );
}
