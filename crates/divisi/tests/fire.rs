//! Walls and hopeless cases, end to end: the built binary against the mock over HTTP.
#![allow(clippy::unwrap_used, missing_docs)]

#[allow(dead_code, reason = "other tests use the rest")]
mod support;

use divisi_mock::{Breakage, Config, ErrorKind, Latency, Quota, QuotaAnswer, Rule, When};
use rustix::process::{Pid, Signal, kill_process};
use std::io::{BufRead, BufReader};
use std::process::{Child, Output, Stdio};
use support::Machine;

/// Most requests under way at once, by default and without HTTP/2.
const AT_ONCE: u64 = 250;
const TASKS: u64 = 500;
/// Requests that the account pays for before the wall.
const PAID: u64 = 100;

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&[&*output.stdout, &*output.stderr].concat()).into_owned()
}

/// A vendor whose quota ends after some requests, for `closed_ms`, as it reports.
fn walled(closed_ms: Option<u64>) -> Machine {
    let answer = QuotaAnswer::SpendLimit;
    let quota = Quota {
        after: PAID,
        answer,
        closed_ms,
        told: true,
    };
    let latency = Latency {
        first_byte_ms: 20,
        ..Latency::default()
    };
    Machine::new(Config {
        quota: Some(quota),
        latency,
        requests_kept_max: 0,
        ..Config::default()
    })
}

fn map(items: u64, more: &[&str]) -> Vec<String> {
    let words = ["map", "Look at {}", "--model", "haiku"]
        .into_iter()
        .map(str::to_owned);
    words
        .chain((0..items).map(|item| format!("part-{item}")))
        .chain(more.iter().map(|&word| word.into()))
        .collect()
}

fn run(machine: &Machine, args: &[String]) -> Output {
    machine.run(&args.iter().map(String::as_str).collect::<Vec<_>>())
}

fn answered(machine: &Machine, status: u16) -> u64 {
    machine
        .mock
        .stats()
        .statuses
        .get(&status)
        .copied()
        .unwrap_or(0)
}

/// Most requests that were under way at once in a run of many, of `first_byte_ms` each: long
/// enough for all of them to leave, however slow the machine is.
fn most_at_once(encrypted: bool, jobs: Option<&str>, first_byte_ms: u64) -> u64 {
    let latency = Latency {
        first_byte_ms,
        ..Latency::default()
    };
    let machine = Machine::new(Config {
        latency,
        encrypted,
        requests_kept_max: 0,
        ..Config::default()
    });
    let jobs = jobs.map(|jobs| ["--jobs", jobs]);
    let args = map(TASKS, jobs.as_ref().map_or(&[][..], |jobs| jobs));
    let mut command = machine.divisi(&args.iter().map(String::as_str).collect::<Vec<_>>());
    if let Some((url, certificate)) = machine.mock.encrypted_url().zip(machine.mock.certificate()) {
        let path = machine.home().join("certificate.pem");
        std::fs::write(&path, certificate).unwrap();
        command
            .env("ANTHROPIC_BASE_URL", url)
            .env("SSL_CERT_FILE", path);
    }
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    machine.mock.stats().in_flight_max
}

#[test]
fn requests_at_once_are_as_many_as_the_vendor_takes_or_the_user_says() {
    let by_default = most_at_once(false, None, 500);
    assert!(
        (65..=AT_ONCE).contains(&by_default),
        "{by_default} over HTTP/1.1"
    );
    assert_eq!(most_at_once(false, Some("8"), 20), 8);
    let said = most_at_once(false, Some("400"), 4_000);
    assert!(
        (AT_ONCE + 1..=400).contains(&said),
        "{said} where the user says 400"
    );
    let multiplexed = most_at_once(true, None, 4_000);
    assert!(
        (AT_ONCE + 1..=TASKS).contains(&multiplexed),
        "{multiplexed} over HTTP/2"
    );
}

#[test]
fn a_quota_wall_parks_the_run_and_says_until_when() {
    let machine = walled(Some(3_600_000));
    let output = run(&machine, &map(TASKS, &[]));
    assert_eq!(output.status.code(), Some(4), "{}", said(&output));
    assert!(
        (1..=AT_ONCE).contains(&answered(&machine, 429)),
        "{} reached it",
        answered(&machine, 429)
    );
    assert_eq!(answered(&machine, 200), PAID);
    let said = said(&output);
    assert!(said.contains("100 ok · 400 waiting"), "{said}");
    let line = said
        .lines()
        .find(|line| line.contains("divisi resume ") && !line.contains("--wait"))
        .unwrap();
    assert!(
        line.contains("go on once there is quota again: at ") && line.contains(" UTC, in 60 min"),
        "{line}"
    );

    // A resume that is too early sends one request to find out.
    let refused = answered(&machine, 429);
    assert_eq!(machine.run(&["resume", "last"]).status.code(), Some(4));
    assert_eq!(answered(&machine, 429), refused + 1);
}

#[test]
fn a_run_that_waits_goes_on_by_itself_after_the_reset() {
    let machine = walled(Some(1_000));
    let output = run(&machine, &map(TASKS, &["--wait", "--json"]));
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let stats = machine.mock.stats();
    assert_eq!(
        (stats.completed, stats.answered.values().copied().max()),
        (TASKS, Some(1))
    );
    assert!(
        (1..=AT_ONCE).contains(&answered(&machine, 429)),
        "{} reached it",
        answered(&machine, 429)
    );
    let told = said(&output);
    let parked = told
        .lines()
        .find(|line| line.contains(r#""event":"run_parked""#))
        .unwrap();
    assert!(
        parked.contains(r#""why":"quota""#) && parked.contains(r#""until":"#),
        "{parked}"
    );
    for event in ["wait_started", "run_woken"] {
        assert_eq!(
            told.matches(&format!(r#""event":"{event}""#)).count(),
            1,
            "{event}"
        );
    }
    assert!(!told.contains("run_resumed"), "it is the same execution");
}

/// A run that waits for quota whose return is not known.
struct Waiting {
    child: Child,
    stderr: BufReader<std::process::ChildStderr>,
}

impl Waiting {
    fn new(machine: &Machine) -> Self {
        let args = map(PAID * 2, &["--wait"]);
        let args: Vec<_> = args.iter().map(String::as_str).collect();
        let mut command = machine.divisi(&args);
        let mut child = command
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let mut run = Self { child, stderr };
        run.wait_for("waiting until");
        run
    }

    fn wait_for(&mut self, part: &str) -> String {
        let mut line = String::new();
        while !line.contains(part) {
            line.clear();
            assert!(
                self.stderr.read_line(&mut line).unwrap() > 0,
                "it never said {part}"
            );
        }
        line
    }
}

#[test]
fn ctrl_c_leaves_a_run_that_waits_parked() {
    let machine = walled(None);
    let mut run = Waiting::new(&machine);
    kill_process(Pid::from_child(&run.child), Signal::INT).unwrap();
    run.wait_for("divisi resume ");
    assert_eq!(run.child.wait().unwrap().code(), Some(4));
    machine.mock.set_quota(true);
    let output = machine.run(&["resume", "last"]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    assert!(said(&output).contains("100 reused"), "{}", said(&output));
}

#[test]
fn a_process_that_dies_while_it_waits_leaves_a_parked_run() {
    let machine = walled(None);
    let mut run = Waiting::new(&machine);
    run.child.kill().unwrap();
    run.child.wait().unwrap();
    let runs = machine.run(&["runs", "--json"]);
    assert!(
        said(&runs).contains(r#""status": "parked""#),
        "{}",
        said(&runs)
    );
    machine.mock.set_quota(true);
    assert_eq!(
        machine.run(&["resume", "last", "--wait"]).status.code(),
        Some(0)
    );
    assert_eq!(machine.mock.stats().completed, PAID * 2);
}

#[test]
fn what_is_hopeless_is_asked_about_and_not_burnt() {
    let all = Rule::fault(When::any(), ErrorKind::BadRequest);
    let latency = Latency {
        first_byte_ms: 20,
        ..Latency::default()
    };
    let machine = Machine::new(Config {
        rules: vec![all],
        latency,
        ..Config::default()
    });
    let output = run(&machine, &map(200, &["--jobs", "8"]));
    assert_eq!(output.status.code(), Some(4), "{}", said(&output));
    // The run parks after five failures, or when the failed outnumber those in flight by five.
    let first = answered(&machine, 400);
    assert!((5..5 + 8 + 8).contains(&first), "{first} were sent");
    let waiting = 200 - first;
    let said_then = said(&output);
    for part in [
        "failed alike",
        "parked: the first tasks of Map have all failed alike: bad request: ",
        &format!("question: is it worth trying the rest, {waiting} tasks?"),
        "--keep-going  try all of the rest, come what may",
        "--failed",
    ] {
        assert!(said_then.contains(part), "{part}: {said_then}");
    }

    // A resume begins the count anew.
    assert_eq!(machine.run(&["resume", "last"]).status.code(), Some(4));
    let second = answered(&machine, 400) - first;
    assert!((5..5 + 8 + 8).contains(&second), "{second} were sent");

    // With `--keep-going` all are tried; failed ones only if that is requested.
    assert_eq!(
        machine
            .run(&["resume", "last", "--keep-going"])
            .status
            .code(),
        Some(1)
    );
    assert_eq!(answered(&machine, 400), 200);
    assert_eq!(
        machine.run(&["rerun", "last", "--failed"]).status.code(),
        Some(1)
    );
    assert_eq!(
        answered(&machine, 400),
        400,
        "it keeps going when it is resumed, too"
    );
}

#[test]
fn a_request_that_hangs_is_sent_again_where_that_is_allowed() {
    let hangs = Rule::fault(When::prompt("part-17"), Breakage::Hang).times(1);
    // A request is sent again after three times this latency: longer than any of the others stalls
    // on a busy machine.
    let latency = Latency {
        first_byte_ms: 500,
        ..Latency::default()
    };
    let machine = Machine::new(Config {
        rules: vec![hangs],
        latency,
        ..Config::default()
    });
    let output = run(&machine, &map(40, &["--hedge", "--json"]));
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let told = said(&output);
    assert!(
        told.contains(r#""event":"turn_hedged""#) && told.contains(r#""event":"hedge_ended""#),
        "{told}"
    );
    let stats = machine.mock.stats();
    assert_eq!(stats.answered.values().max(), Some(&1));
    assert!(stats.dropped >= 1 && stats.completed >= 40, "{stats:?}");
}
