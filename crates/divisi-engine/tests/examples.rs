//! The programs of `examples/`, run as users run them, against a mock of the vendor.

#![expect(
    clippy::unwrap_used,
    reason = "a test fails where there is nothing to unwrap"
)]

use divisi_mock::{Breakage, Config, MockThread, Reply, Rule, When};
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// The built program. Tests are built together with the examples.
fn example(name: &str) -> Command {
    let tests = std::env::current_exe().unwrap();
    let built: PathBuf = tests
        .parent()
        .unwrap()
        .parent()
        .unwrap()
        .join("examples")
        .join(name);
    assert!(
        built.exists(),
        "build the examples first: cargo build -p divisi-engine --examples"
    );
    Command::new(built)
}

/// The same with no vendor but the mock.
fn asking(name: &str, mock: &MockThread) -> Command {
    let mut command = example(name);
    for other in ["OPENAI_API_KEY", "OPENROUTER_API_KEY"] {
        command.env_remove(other);
    }
    command
        .env("ANTHROPIC_API_KEY", "test-key-of-examples")
        .env("ANTHROPIC_BASE_URL", mock.url());
    command
}

fn printed(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn fan_out_asks_about_each_and_tells_what_it_cost() {
    let answer = Rule::new(
        When::prompt("`auth`"),
        Reply::text("tokens that never expire"),
    );
    let mock = MockThread::start(Config::default().rule(answer));
    let mut command = asking("fan_out", &mock);
    let printed = printed(command.args(["auth", "payment"]));
    let lines: Vec<&str> = printed.lines().collect();
    assert!(
        lines[0].starts_with("auth: tokens that never expire ("),
        "{printed}"
    );
    assert!(lines[1].starts_with("payment: "), "{printed}");
    assert_eq!((lines.len(), mock.stats().completed), (2, 2));
}

#[test]
fn a_story_that_was_killed_goes_on_and_asks_for_nothing_twice() {
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("runs.db");
    let chapters = ["the harbour", "the storm", "the island", "the way home"];
    let told = |chapter: &str| {
        Rule::new(
            When::prompt(format!("about {chapter}")),
            Reply::text(format!("told of {chapter}")),
        )
    };
    let hangs = Rule::fault(When::prompt("about the island"), Breakage::Hang).times(1);
    let config = Config::default().rule(hangs);
    let config = chapters
        .iter()
        .fold(config, |config, chapter| config.rule(told(chapter)));
    let mock = MockThread::start(config);

    let mut first = asking("resume", &mock)
        .arg(&store)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(first.stdout.take().unwrap()).lines();
    let before: Vec<String> = lines.by_ref().take(3).map(Result::unwrap).collect();
    // The third request has left, and hangs.
    let begun = Instant::now();
    while mock.requests().len() < 3 {
        assert!(
            begun.elapsed() < Duration::from_secs(30),
            "the third request does not leave"
        );
        std::thread::sleep(Duration::from_millis(5));
    }
    first.kill().unwrap();
    first.wait().unwrap();
    assert_eq!(
        before[1..],
        [
            "the harbour: told of the harbour",
            "the storm: told of the storm"
        ]
    );

    let after = printed(asking("resume", &mock).arg(&store));
    let after: Vec<&str> = after.lines().collect();
    assert_eq!(after[0], format!("{}, again", before[0]));
    assert_eq!(
        after[1..],
        chapters.map(|chapter| format!("{chapter}: told of {chapter}"))
    );
    assert_eq!(mock.stats().completed, 4);
}

#[test]
fn a_provider_of_ones_own_answers() {
    let mut command = example("own_provider");
    assert_eq!(
        printed(command.args(["what", "is", "asked"])),
        "WHAT IS ASKED\n"
    );
}

#[test]
fn a_run_can_be_watched() {
    let printed = printed(&mut example("watch_events"));
    let mut lines: Vec<&str> = printed
        .lines()
        .filter(|line| !line.starts_with('"'))
        .collect();
    // Which of the first two ends first is open.
    lines[3..5].sort_unstable_by_key(|line| line.split(' ').nth(2));
    insta::assert_snapshot!(lines.join("\n"), @"
    Look
      t0 is asked for
      t1 is asked for
      t0 has ended
      t1 has ended
    Sum up
      t2 is asked for
      t2 has ended
    ");
}

#[test]
fn a_job_is_polled_by_the_next_process_after_a_kill_and_submitted_once() {
    let folder = tempfile::tempdir().unwrap();
    let (service, store) = (folder.path().join("service"), folder.path().join("runs.db"));
    let tickets = || {
        let mut command = example("tickets");
        command.args([&service, &store]);
        command
    };
    let mut first = tickets().stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(first.stdout.take().unwrap()).lines();
    assert_eq!(lines.next().unwrap().unwrap(), "polled \"job-0\"");
    first.kill().unwrap();
    first.wait().unwrap();
    // A second submission would write it again.
    std::fs::remove_file(service.join("job-0.request")).unwrap();
    std::fs::write(service.join("job-0.result"), "a fine text\n").unwrap();
    assert_eq!(
        printed(&mut tickets()),
        "polled \"job-0\"\na fine text in attempt 1\n"
    );
    assert!(!service.join("job-0.request").exists());
}
