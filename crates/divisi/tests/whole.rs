//! The whole, end to end: the built binary against the mock over HTTP.
#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use divisi_mock::{Breakage, Config, Rule, When};
use serde_json::Value;
use std::process::Output;
use support::{FILES, Machine, SECRET, files, repository, whole_args, whole_flow};

const FLOW: &str = "crates/divisi/tests/flows/whole.js";

fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", said(output)))
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&[&*output.stdout, &*output.stderr].concat()).into_owned()
}

/// Every task of the flow: three per file, a planner, its three parts, a report.
const TASKS: usize = FILES * 3 + 1 + 3 + 1;
/// Every request: each audit sends two.
const REQUESTS: u64 = TASKS as u64 + FILES as u64;

#[test]
fn a_flow_of_all_four_patterns_runs_and_is_told_of() {
    let machine = Machine::new(whole_flow(0));
    let output = machine.run(&["run", FLOW, "--args", &whole_args()]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let result = json(&output);
    assert_eq!(result["audited"], FILES);
    assert_eq!(result["parts"].as_object().unwrap().len(), 3);
    assert_eq!(machine.requests(), REQUESTS);
    assert!(
        said(&output).contains(&format!("{TASKS} ok")),
        "{}",
        said(&output)
    );

    // The auditors have been given the files as they are.
    let requests = machine.mock.requests();
    let given: Vec<&Value> = requests
        .iter()
        .filter_map(|request| request.body.pointer("/messages/2/content"))
        .collect();
    for file in files() {
        let text = std::fs::read_to_string(repository().join(&file)).unwrap();
        let line = text
            .lines()
            .find(|line| line.len() > 20 && !line.contains(['"', '\\']))
            .unwrap();
        assert!(
            given.iter().any(|given| given.to_string().contains(line)),
            "{file} has not been read"
        );
    }

    let tree = machine.run(&["show", "last"]);
    for phase in ["Audit", "Extract", "Verify", "Decompose", "Report"] {
        assert!(said(&tree).contains(phase), "{}", said(&tree));
    }
    let runs = machine.run(&["runs"]);
    assert!(said(&runs).contains("whole"), "{}", said(&runs));
    for output in [output, tree, runs] {
        assert!(!said(&output).contains(SECRET));
    }
    let store = std::fs::read(machine.store()).unwrap();
    assert!(
        !store
            .windows(SECRET.len())
            .any(|bytes| bytes == SECRET.as_bytes()),
        "the key is in the store"
    );
}

/// Kills the run at 20 points and resumes it. No recorded reply is requested again, and the result
/// is equal byte for byte.
#[test]
fn a_killed_run_is_resumed_without_asking_again() {
    let machine = Machine::new(whole_flow(0));
    let whole = machine.run(&["run", FLOW, "--args", &whole_args()]);
    assert_eq!(whole.status.code(), Some(0), "{}", said(&whole));

    let mut machine = Machine::new(whole_flow(5));
    for point in 0..20u64 {
        machine.fresh_home();
        machine.mock.reset();
        let mut run = machine.spawn(&["run", FLOW, "--args", &whole_args(), "--jobs", "8"]);
        let killed_at = REQUESTS * point / 20;
        // The store says when the run exists, the mock how far it has come.
        while machine.count("SELECT count(*) FROM runs") == 0
            || machine.mock.stats().completed < killed_at
        {
            if let Some(status) = run.try_wait().unwrap() {
                panic!("the run ended by itself with {status} before point {point}");
            }
            std::thread::yield_now();
        }
        run.kill().unwrap();
        run.wait().unwrap();
        wait_until_idle(&machine);
        let (recorded, asked) = (machine.replies_recorded(), machine.requests());
        let resumed = machine.run(&["resume", "last"]);
        assert_eq!(
            resumed.status.code(),
            Some(0),
            "point {point}: {}",
            said(&resumed)
        );
        assert_eq!(
            resumed.stdout,
            whole.stdout,
            "point {point}: {}",
            said(&resumed)
        );
        let asked_again = machine.requests() - asked;
        assert_eq!(
            asked_again,
            REQUESTS - recorded,
            "point {point}: {recorded} replies were written"
        );
    }
}

/// Until no request of a dead process is being answered.
fn wait_until_idle(machine: &Machine) {
    while machine.mock.stats().in_flight > 0 {
        std::thread::yield_now();
    }
}

#[test]
fn an_edited_prompt_runs_again_with_what_depends_on_it() {
    let machine = Machine::new(whole_flow(0));
    let flow = machine.home().join("flow.js");
    let script = std::fs::read_to_string(repository().join(FLOW)).unwrap();
    std::fs::write(&flow, &script).unwrap();
    let flow = flow.display().to_string();
    let first = machine.run(&["run", &flow, "--args", &whole_args()]);
    assert_eq!(first.status.code(), Some(0), "{}", said(&first));

    let before = machine.requests();
    let unchanged = machine.run(&["resume", "last"]);
    assert_eq!(unchanged.stdout, first.stdout);
    assert_eq!(machine.requests(), before);

    std::fs::write(&flow, script.replace("Make one report", "Write one report")).unwrap();
    let edited = machine.run(&["resume", "last"]);
    assert_eq!(edited.status.code(), Some(0), "{}", said(&edited));
    assert_eq!(machine.requests(), before + 1);
    assert!(
        said(&edited).contains(&format!("{} reused", TASKS - 1)),
        "{}",
        said(&edited)
    );
    assert!(said(&edited).contains("1 to run"), "{}", said(&edited));
}

/// The same, but a request with this in its prompt is never answered.
fn hanging(mut config: Config, prompt: &str) -> Config {
    config
        .rules
        .insert(0, Rule::fault(When::prompt(prompt), Breakage::Hang));
    config
}

#[test]
fn a_second_process_is_refused() {
    let machine = Machine::new(hanging(whole_flow(0), "Make one report"));
    let mut run = machine.spawn(&["run", FLOW, "--args", &whole_args()]);
    // All but the report, which hangs.
    let ended = "SELECT coalesce(max(ok), 0) FROM runs";
    while machine.count(ended) < TASKS as u64 - 1 {
        assert!(run.try_wait().unwrap().is_none(), "the run ended by itself");
        std::thread::yield_now();
    }
    let second = machine.run(&["resume", "last"]);
    assert_eq!(second.status.code(), Some(1));
    assert!(
        said(&second).contains("is being driven by process"),
        "{}",
        said(&second)
    );
    let listed = machine.run(&["runs"]);
    assert!(said(&listed).contains("running"), "{}", said(&listed));
    run.kill().unwrap();
    run.wait().unwrap();
    assert_eq!(machine.count(ended), TASKS as u64 - 1);
    let listed = machine.run(&["runs"]);
    assert!(said(&listed).contains("interrupted"), "{}", said(&listed));
    let shown = said(&machine.run(&["show"]));
    assert!(
        shown.lines().any(|line| line.ends_with("interrupted")),
        "{shown}"
    );
}

#[test]
fn ctrl_c_parks_and_a_second_one_cancels() {
    let machine = Machine::new(hanging(Config::default(), "forever"));
    let mut run = machine.spawn(&["map", "work on {}", "one", "forever", "--jobs", "1"]);
    while machine.count("SELECT coalesce(max(ok), 0) FROM runs") < 1 {
        std::thread::yield_now();
    }
    let process = run.id().to_string();
    let interrupt = || {
        let kill = std::process::Command::new("kill")
            .args(["-INT", &process])
            .status();
        assert!(kill.unwrap().success());
    };
    interrupt();
    let parking =
        "SELECT count(*) FROM events WHERE json_extract(event, '$.event') = 'parking_started'";
    while machine.count(parking) == 0 {
        std::thread::yield_now();
    }
    interrupt();
    assert_eq!(run.wait().unwrap().code(), Some(130));
    let runs = machine.run(&["runs"]);
    assert!(said(&runs).contains("cancelled"), "{}", said(&runs));
}
