//! Two processes with one key keep to its limits together.
#![allow(clippy::unwrap_used, missing_docs)]

#[allow(dead_code, reason = "other tests use the rest")]
mod support;

use divisi_mock::{Config, Latency, Limits, Quota, QuotaAnswer};
use std::process::{Child, Output, Stdio};
use support::Machine;

const PER_SECOND: u32 = 50;
const BURST: u32 = 20;

/// Tasks of each of two processes at a time: what is left after the burst takes two seconds.
const TASKS: u32 = 60;

/// Requests of a process under way, where there should be so few that none leaves
/// before the first are answered, however long a busy machine takes to send them.
const FEW: u32 = 8;

/// Agents without tools share nothing that would hold them until the first is answered.
const FLOW: &str = "return parallel(args.parts.map((part) => () => agent(args.what + ' ' + part, {tools: [], required: true})))";

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&[&*output.stdout, &*output.stderr].concat()).into_owned()
}

/// Starts a fan-out over so many parts, in a folder with these settings.
fn fan_out(machine: &Machine, what: &str, tasks: u32, jobs: u32, settings: &str) -> Child {
    let folder = machine.home().join(what);
    std::fs::create_dir_all(&folder).unwrap();
    let provider = format!(
        "[providers.main]\nkind = 'anthropic'\nbase_url = '{}'\nkey_env = 'ANTHROPIC_API_KEY'\n{settings}",
        machine.mock.url()
    );
    std::fs::write(
        folder.join("divisi.toml"),
        format!("provider = 'main'\n{provider}"),
    )
    .unwrap();
    std::fs::write(folder.join("flow.js"), FLOW).unwrap();
    assert!(
        machine
            .divisi(&["trust", "-q"])
            .current_dir(&folder)
            .status()
            .unwrap()
            .success()
    );
    let parts: Vec<u32> = (0..tasks).collect();
    let args = serde_json::json!({ "what": what, "parts": parts }).to_string();
    let mut command = machine.divisi(&[
        "run",
        "flow.js",
        "--args",
        &args,
        "--model",
        "claude-haiku-5-5",
    ]);
    command
        .current_dir(&folder)
        .env("DIVISI_JOBS", jobs.to_string())
        .env("DIVISI_STORE", folder.join("runs.db"))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command.spawn().unwrap()
}

fn limited() -> Config {
    let limits = Limits {
        requests_per_second: Some(PER_SECOND.into()),
        requests_burst: BURST,
        ..Limits::default()
    };
    Config {
        limits,
        ..Config::default()
    }
}

#[test]
fn two_processes_with_one_key_are_within_the_limit_together() {
    let machine = Machine::new(limited());
    let settings = format!("rate = {{ requests_per_second = {PER_SECOND}, burst = {BURST} }}");
    let both = ["first", "second"].map(|what| fan_out(&machine, what, TASKS, FEW, &settings));
    for child in both {
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", said(&output));
        assert!(!said(&output).contains("WARN"), "{}", said(&output));
    }
    let stats = machine.mock.stats();
    let refused = stats.statuses.get(&429).copied().unwrap_or(0);
    assert_eq!(stats.completed, u64::from(2 * TASKS));
    assert!(refused * 100 <= u64::from(2 * TASKS), "{refused} refused");
}

#[test]
fn a_limit_that_one_process_was_told_of_is_known_to_the_next() {
    // So slow that all leave before the first answer reports the limit.
    let latency = Latency {
        first_byte_ms: 200,
        ..Latency::default()
    };
    let machine = Machine::new(Config {
        latency,
        ..limited()
    });
    let output = fan_out(&machine, "first", 36, 36, "")
        .wait_with_output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let refused = || {
        machine
            .mock
            .stats()
            .statuses
            .get(&429)
            .copied()
            .unwrap_or(0)
    };
    let before = refused();
    let output = fan_out(&machine, "second", 36, 36, "")
        .wait_with_output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    // Without that, all would leave at once, and 16 be refused.
    assert!(refused() - before <= 6, "{} refused", refused() - before);
}

#[test]
fn a_wall_that_one_process_has_hit_costs_the_next_one_request() {
    let quota = Quota {
        after: 10,
        answer: QuotaAnswer::SpendLimit,
        closed_ms: None,
        told: false,
    };
    let latency = Latency {
        first_byte_ms: 20,
        ..Latency::default()
    };
    let machine = Machine::new(Config {
        quota: Some(quota),
        latency,
        ..Config::default()
    });
    let first = fan_out(&machine, "first", 36, 36, "")
        .wait_with_output()
        .unwrap();
    assert_ne!(first.status.code(), Some(0), "{}", said(&first));
    let before = machine.requests();
    assert!(before > 10);
    let second = fan_out(&machine, "second", 36, 36, "")
        .wait_with_output()
        .unwrap();
    assert_ne!(second.status.code(), Some(0), "{}", said(&second));
    assert_eq!(machine.requests() - before, 1, "{}", said(&second));

    // After a payment the run goes on at once.
    machine.mock.set_quota(true);
    let third = fan_out(&machine, "third", 36, 36, "")
        .wait_with_output()
        .unwrap();
    assert_eq!(third.status.code(), Some(0), "{}", said(&third));
}
