//! Signals, and what is left of a process that they end.

use crate::home::Home;
use rustix::io::ioctl_fionread;
use rustix::process::{Pid, Signal, kill_process};
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A task that goes on until there is a file `go`, one beside it, one after both.
const SLOW: &str = "\
export const meta = { name: 'slow', description: 'One task that is held, and two that are not' };
const held = shell('until [ -e go ]; do sleep 0.05; done', { label: 'held' });
await agent('Say something', { label: 'one', tools: [] });
await held;
await agent('Say the end', { label: 'end', tools: [] });
return 'done';
";

const RUN: [&str; 5] = ["run", "slow.js", "--demo", "--allow", "run"];

/// A run of which one task is done, and one is held.
struct UnderWay {
    child: Child,
    stderr: BufReader<std::process::ChildStderr>,
}

impl UnderWay {
    fn new(home: &Home) -> Self {
        let mut run = Self::of(home.divisi(&RUN));
        run.wait_for("✓ one");
        run
    }

    fn of(mut command: Command) -> Self {
        let mut child = command
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        Self { child, stderr }
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Reads on until something is said.
    fn wait_for(&mut self, part: &str) {
        let mut line = String::new();
        while !line.contains(part) {
            line.clear();
            assert!(
                self.stderr.read_line(&mut line).unwrap() > 0,
                "it never said {part}"
            );
        }
    }

    fn code(mut self) -> Option<i32> {
        self.child.wait().unwrap().code()
    }
}

#[test]
fn once_parks_the_run_and_it_can_be_resumed() {
    for (signal, most) in [
        (Signal::INT, ""),
        (Signal::TERM, " at most 25 s"),
        (Signal::HUP, " at most 10 s"),
    ] {
        let home = Home::with("slow.js", SLOW);
        let mut run = UnderWay::new(&home);
        run.signal(signal);
        run.wait_for(&format!(
            "parking: waiting{most} for 1 tool or program to finish; Ctrl-C again to stop now"
        ));
        home.write("go", "");
        run.wait_for(&format!("divisi resume {}", home.last()));
        assert_eq!(run.code(), Some(4));
        let said = home.ends(0, &["resume", "last"]);
        assert_eq!(said.stdout, "done");
        assert!(
            said.stderr.contains("2 reused ($") && said.stderr.contains("), at least 1 to run"),
            "{}",
            said.stderr
        );
    }
}

#[test]
fn twice_ends_the_run_at_once() {
    let home = Home::with("slow.js", SLOW);
    let mut run = UnderWay::new(&home);
    run.signal(Signal::INT);
    run.wait_for("parking: ");
    run.signal(Signal::INT);
    run.wait_for("stopping: what is under way is lost");
    assert_eq!(run.code(), Some(130));
    home.write("go", "");
    assert_eq!(home.ends(0, &["resume", "last"]).stdout, "done");
}

#[test]
fn a_hang_up_is_taken_for_two_requests_after_a_while() {
    let home = Home::with("slow.js", SLOW);
    let mut run = UnderWay::new(&home);
    run.signal(Signal::HUP);
    run.wait_for("stopping: what is under way is lost");
    assert_eq!(run.code(), Some(130));
    home.write("go", "");
    assert_eq!(home.ends(0, &["resume", "last"]).stdout, "done");
}

#[test]
fn a_hang_up_that_nohup_has_said_to_ignore_stops_nothing() {
    let home = Home::with("slow.js", SLOW);
    let divisi = home.divisi(&RUN);
    let mut shell = Command::new("sh");
    shell
        .args(["-c", "trap '' HUP; exec \"$@\"", "sh"])
        .arg(divisi.get_program())
        .args(divisi.get_args());
    shell.env_clear().envs(
        divisi
            .get_envs()
            .filter_map(|(name, value)| Some((name, value?))),
    );
    shell.current_dir(home.folder());
    let mut run = UnderWay::of(shell);
    run.wait_for("✓ one");
    run.signal(Signal::HUP);
    home.write("go", "");
    assert_eq!(run.code(), Some(0));
}

#[test]
fn twice_ends_the_process_though_its_store_is_locked() {
    let home = Home::with("slow.js", SLOW);
    let store = home.folder().join("runs.db");
    let home = home.variable("DIVISI_STORE", store.display().to_string());
    let mut run = UnderWay::new(&home);
    let lock = rusqlite::Connection::open(&store).unwrap();
    lock.execute_batch("BEGIN IMMEDIATE").unwrap();
    run.signal(Signal::INT);
    run.wait_for("parking: ");
    run.signal(Signal::INT);
    run.wait_for("stopped: not everything could be written down in time");
    assert_eq!(run.code(), Some(130));
    drop(lock);
    assert!(home.ends(0, &["runs"]).stdout.contains("interrupted"));
    home.write("go", "");
    assert_eq!(home.ends(0, &["resume", "last"]).stdout, "done");
}

#[test]
fn once_ends_a_command_that_has_no_run() {
    let home = Home::with(
        "endless.js",
        "export const meta = { name: 'e', description: 'd' };\nfor (;;) {}\n",
    );
    for (signal, code) in [
        (Signal::INT, 130),
        (Signal::TERM, 143),
        (Signal::HUP, 129),
        (Signal::QUIT, 131),
    ] {
        let child = home
            .divisi(&["plan", "endless.js"])
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        wait_until(|| catches(&child, signal));
        kill_process(Pid::from_child(&child), signal).unwrap();
        let code_of = |mut child: Child| child.wait().unwrap().code();
        assert_eq!(code_of(child), Some(code), "{signal:?}");
    }
}

#[test]
fn a_script_that_its_engine_cannot_stop_is_left_behind() {
    let script = "export const meta = { name: 'huge', description: 'd' };\nreturn Array(2 ** 32 - 1).join('')\n";
    let home = Home::with("huge.js", script);
    let said = "script `huge.js` was stopped: it computed for more than 5s without waiting";
    for (args, code) in [
        (&["plan", "huge.js"][..], 3),
        (&["run", "huge.js", "--demo"], 1),
    ] {
        let stderr = home.ends(code, args).stderr.replace("\n  │ ", " ");
        assert!(
            stderr.contains(said) || stderr.contains("it computed for more than 5s"),
            "{args:?} {stderr}"
        );
    }
    assert!(home.ends(0, &["runs"]).stdout.contains("failed"));
}

/// A flow whose command leaves a daemon behind that has removed all marks.
fn daemon(seconds: u32, then: &str) -> String {
    let command = format!("env -i setsid sleep {seconds} >/dev/null 2>&1 & echo ready; {then}");
    format!(
        "export const meta = {{ name: 'slow', description: 'd' }};\n\
         const said = await Promise.all([shell({command:?}), shell('echo other')]);\n\
         return said[0].stdout;\n"
    )
}

#[test]
fn no_daemon_outlives_the_command_that_has_started_it() {
    let seconds = unique_seconds();
    let home = Home::with("slow.js", &daemon(seconds, "true"));
    assert_eq!(home.ends(0, &RUN).stdout.trim(), "ready");
    assert!(!is_sleeping(seconds));
}

#[test]
fn nothing_outlives_a_process_that_is_killed() {
    let seconds = unique_seconds();
    let home = Home::with(
        "slow.js",
        &daemon(seconds, &format!("sleep {}", seconds + 1)),
    );
    let mut run = UnderWay::of(home.divisi(&RUN));
    wait_until(|| is_sleeping(seconds) && is_sleeping(seconds + 1));
    run.child.kill().unwrap();
    run.child.wait().unwrap();
    wait_until(|| !is_sleeping(seconds) && !is_sleeping(seconds + 1));
}

#[test]
fn the_end_of_a_supervised_program_is_told_as_it_is() {
    let script = "\
export const meta = { name: 'slow', description: 'd' };
const codes = [];
for (const line of ['exit 7', 'kill -9 $$', 'kill -SEGV $$', 'kill -TERM $$', 'cat; echo $0; exit 0'])
  codes.push((await shell(line)).code);
return codes.join(' ');
";
    let home = Home::with("slow.js", script);
    assert_eq!(home.ends(0, &RUN).stdout, "7 137 139 143 0");
}

#[test]
fn output_that_nothing_reads_does_not_stop_the_run() {
    let parts: Vec<String> = (0..400).map(|part| format!("part {part}")).collect();
    let mut args = vec!["map", "Look at {}", "--demo", "--json"];
    args.extend(parts.iter().map(String::as_str));
    let home = Home::new();
    let mut child = home
        .divisi(&args)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    // Four tasks fill a pipe; this is about all of them.
    wait_until(|| home.ends(0, &["runs"]).stdout.contains(" ok "));
    assert!(
        child.try_wait().unwrap().is_none(),
        "it waits until its reader has read all"
    );
    let stdout = BufReader::new(child.stdout.take().unwrap());
    let last = stdout.lines().last().unwrap().unwrap();
    assert!(last.contains("\"event\":\"run_result\""), "{last}");
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn once_ends_a_process_that_only_waits_for_its_reader() {
    let text = "x".repeat(300_000);
    let home = Home::with(
        "long.js",
        &format!("export const meta = {{ name: 'l', description: 'd' }};\nreturn {text:?}\n"),
    );
    let mut child = home
        .divisi(&["run", "long.js", "--demo"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    // What the run has come to is printed once it is over, and the pipe is full by then.
    let stdout = child.stdout.take().unwrap();
    wait_until(|| ioctl_fionread(&stdout).unwrap() > 0);
    kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(143));
}

/// Whether the process has a handler for the signal by now.
fn catches(child: &Child, signal: Signal) -> bool {
    let status =
        std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap_or_default();
    let mask = status
        .lines()
        .find_map(|line| line.strip_prefix("SigCgt:"))
        .unwrap_or("0");
    u64::from_str_radix(mask.trim(), 16).unwrap() >> (signal.as_raw() - 1) & 1 == 1
}

pub(crate) fn wait_until(mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !holds() {
        assert!(Instant::now() < deadline, "it never happens");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Whether a process runs `sleep` with this argument.
fn is_sleeping(seconds: u32) -> bool {
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
    200_000_000 + std::process::id() * 100 + NEXT.fetch_add(2, Ordering::Relaxed)
}
