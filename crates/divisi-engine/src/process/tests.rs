// These tests look for remaining processes in `/proc`.
#![cfg(target_os = "linux")]

use super::*;
use std::time::Instant;

fn within(timeout_ms: u64) -> Limits {
    Limits {
        timeout: Some(Duration::from_millis(timeout_ms)),
        ..Limits::default()
    }
}

async fn sh(line: &str) -> Exit {
    Program::shell(line)
        .limits(within(30_000))
        .run(&CancellationToken::new())
        .await
        .unwrap()
}

/// The reason why `line` was stopped, and what it had said.
async fn stopped(line: &str, limits: Limits, cancel: &CancellationToken) -> (Stop, String) {
    match Program::shell(line).limits(limits).run(cancel).await {
        Err(ProcessError::Stopped { why, said, .. }) => (why, said.stdout.text()),
        other => panic!("not stopped: {other:?}"),
    }
}

async fn wait_until_gone(seconds: u32) {
    wait_until(seconds, false).await;
}

async fn wait_until_there(seconds: u32) {
    wait_until(seconds, true).await;
}

async fn wait_until(seconds: u32, there: bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while sleeping(seconds) != there {
        assert!(
            Instant::now() < deadline,
            "`sleep {seconds}` should be {}",
            if there { "there" } else { "gone" }
        );
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Whether a process runs `sleep` with this argument.
fn sleeping(seconds: u32) -> bool {
    let wanted = format!("sleep\0{seconds}\0");
    std::fs::read_dir("/proc").unwrap().flatten().any(|entry| {
        std::fs::read(entry.path().join("cmdline"))
            .is_ok_and(|cmdline| cmdline == wanted.as_bytes())
    })
}

/// Seconds to sleep that no other test and no other test run uses.
fn unique_seconds() -> u32 {
    use std::sync::atomic::{AtomicU32, Ordering};
    static NEXT: AtomicU32 = AtomicU32::new(0);
    100_000_000 + std::process::id() * 100 + NEXT.fetch_add(1, Ordering::Relaxed)
}

#[tokio::test]
async fn input_goes_in_and_both_outputs_come_out() {
    let exit = Program::shell("cat; echo problem >&2; exit 3")
        .stdin("hello")
        .run(&CancellationToken::new())
        .await
        .unwrap();
    assert_eq!(exit.status, Status::Code(3));
    assert_eq!(exit.stdout.text(), "hello");
    assert_eq!(exit.stderr.text(), "problem\n");
}

#[tokio::test]
async fn input_that_nobody_reads_is_no_error() {
    let exit = Program::new("true")
        .stdin(vec![b'x'; 1024 * 1024])
        .run(&CancellationToken::new())
        .await
        .unwrap();
    assert!(exit.status.is_ok());
}

#[tokio::test]
async fn environment_and_folder_are_the_given_ones() {
    let folder = tempfile::tempdir().unwrap();
    let exit = Program::new("/bin/sh")
        .args(["-c", "echo $A-$HOME-$B; pwd"])
        .with_empty_env()
        .env("A", "1")
        .env("B", "2")
        .without_env("B")
        .cwd(folder.path())
        .run(&CancellationToken::new())
        .await
        .unwrap();
    let folder = folder.path().canonicalize().unwrap();
    assert_eq!(exit.stdout.text(), format!("1--\n{}\n", folder.display()));
}

#[tokio::test]
async fn death_by_signal_is_told() {
    assert_eq!(sh("kill -9 $$").await.status, Status::Signal(9));
}

#[tokio::test]
async fn more_output_than_the_limit_does_not_block_the_program() {
    let limits = Limits {
        output_bytes_max: 1000,
        ..within(30_000)
    };
    let exit = Program::shell("yes | head -c 1000000; echo; echo end")
        .limits(limits)
        .run(&CancellationToken::new())
        .await
        .unwrap();
    assert_eq!(exit.stdout.bytes_omitted(), 1_000_005 - 1000);
    assert!(exit.stdout.text().ends_with("end\n"));
}

#[tokio::test]
async fn what_cannot_start_is_told_apart() {
    let cancel = CancellationToken::new();
    let missing = Program::new("no-such-program")
        .run(&cancel)
        .await
        .unwrap_err();
    assert_eq!(
        missing.to_string(),
        "program `no-such-program` was not found"
    );
    let folder = Program::new("true")
        .cwd("/no/such/folder")
        .run(&cancel)
        .await
        .unwrap_err();
    assert_eq!(
        folder.to_string(),
        "program `true` cannot run in `/no/such/folder`: no such folder"
    );
    let refused = Program::new("/").run(&cancel).await.unwrap_err();
    assert!(
        matches!(refused, ProcessError::NotStarted { .. }),
        "{refused:?}"
    );
}

#[tokio::test]
async fn timeout_stops_it_and_keeps_what_it_said() {
    let (why, said) = stopped(
        "echo early; sleep 1000",
        within(2_000),
        &CancellationToken::new(),
    )
    .await;
    assert_eq!(why, Stop::Timeout(Duration::from_secs(2)));
    assert_eq!(why.to_string(), "timeout after 2s");
    assert_eq!(said, "early\n");
}

#[tokio::test]
async fn silence_is_stalling_but_talk_is_not() {
    let limits = Limits {
        idle_timeout: Some(Duration::from_millis(1_500)),
        ..within(30_000)
    };
    let line = "for i in 1 2 3 4 5 6; do echo $i; sleep 0.3; done; sleep 1000";
    let (why, said) = stopped(line, limits, &CancellationToken::new()).await;
    assert_eq!(why, Stop::Stalled(Duration::from_millis(1_500)));
    assert_eq!(said, "1\n2\n3\n4\n5\n6\n");
}

#[tokio::test]
async fn who_tidies_up_in_time_is_heard() {
    let line = "trap 'echo tidy; exit 0' TERM; echo ready; while :; do sleep 0.02; done";
    let (why, said) = stopped(line, within(2_000), &CancellationToken::new()).await;
    assert_eq!(why, Stop::Timeout(Duration::from_secs(2)));
    assert_eq!(said, "ready\ntidy\n");
}

#[tokio::test]
async fn who_ignores_the_request_is_killed() {
    let seconds = unique_seconds();
    let line = format!("trap '' TERM; sleep {seconds}; sleep {seconds}");
    let started = Instant::now();
    stopped(&line, within(2_000), &CancellationToken::new()).await;
    assert!(started.elapsed() >= GRACE);
    wait_until_gone(seconds).await;
}

#[tokio::test]
async fn cancelling_takes_descendants_in_other_sessions_along() {
    let (child, bare) = (unique_seconds(), unique_seconds());
    // The second hides from the environment mark and is found by its parent.
    let line = format!("setsid sh -c 'sleep {child} & env -i sleep {bare} & wait' & wait");
    let cancel = CancellationToken::new();
    let all_there = async {
        wait_until_there(child).await;
        wait_until_there(bare).await;
        cancel.cancel();
    };
    let ((why, _), ()) = tokio::join!(stopped(&line, Limits::default(), &cancel), all_there);
    assert_eq!(why, Stop::Cancelled);
    wait_until_gone(child).await;
    wait_until_gone(bare).await;
}

#[tokio::test]
async fn a_daemon_does_not_outlive_a_normal_end() {
    let seconds = unique_seconds();
    let line = format!("(setsid sleep {seconds} >/dev/null 2>&1 &); echo done");
    assert_eq!(sh(&line).await.stdout.text(), "done\n");
    wait_until_gone(seconds).await;
}

#[tokio::test]
async fn a_background_child_that_holds_the_pipe_delays_the_end_only_a_little() {
    let seconds = unique_seconds();
    let exit = sh(&format!("sleep {seconds} & echo done")).await;
    assert_eq!(
        (exit.status, exit.stdout.text()),
        (Status::Code(0), "done\n".to_owned())
    );
    wait_until_gone(seconds).await;
}

#[tokio::test]
async fn dropping_the_future_kills_the_tree() {
    let seconds = unique_seconds();
    let line = format!("setsid sleep {seconds} & wait");
    let cancel = CancellationToken::new();
    tokio::select! {
        exit = Program::shell(line).run(&cancel) => panic!("ended by itself: {exit:?}"),
        () = wait_until_there(seconds) => {}
    }
    wait_until_gone(seconds).await;
}
