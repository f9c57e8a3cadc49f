//! Machines that fail.

use crate::tools::{Disk, divisi, files, flow, machine, runs, shows_secret, tell, tell_of, told};
use insta::assert_snapshot;
use std::io::{BufRead, BufReader};
use std::process::Stdio;

#[test]
fn a_reader_that_has_gone() {
    let machine = machine();
    flow(&machine, "ok", "return (await agent('hello')).length > 0");
    let gone = |args: &[&str]| {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        tell(&machine, divisi(&machine, args).stdout(writer))
    };
    assert_snapshot!(gone(&["run", "ok.js"]), @"
    exit 0
    [m:ss] ok [run-id] started
    [m:ss] ✓ hello · claude-sonnet-5-5 · [time] · [tokens] · [cost]

    ok [run-id] ok
    1 ok · [time] · [tokens] · [cost]
      divisi show [run-id]  what each task did
    ");
    assert_snapshot!(gone(&["run", "ok.js", "--json"]), @"exit 0");
    assert_eq!(runs(&machine), ["ok ok, 1 ok", "ok ok, 1 ok"]);
    for quiet in [
        &["runs"][..],
        &["runs", "--json"],
        &["show", "last"],
        &["show", "last", "--json"],
        &["show", "last", "t0"],
        &["--help"],
        &["run", "--help"],
        &["--version"],
        &["types"],
        &["completions", "bash"],
        &["man"],
    ] {
        assert_eq!(gone(quiet), "exit 0\n", "{quiet:?}");
    }

    // A reader that has had enough in the middle of it.
    let run = ["run", "ok.js", "--json"];
    let mut run = divisi(&machine, &run)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(run.stdout.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    assert!(line.contains("run_started"), "{line}");
    assert_eq!(
        tell_of(&machine, &run.wait_with_output().unwrap()),
        "exit 0\n"
    );

    // With stderr closed as well.
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    assert_snapshot!(tell(&machine, divisi(&machine, &["run", "ok.js"]).stderr(writer)), @"
    exit 0
    stdout:
    true
    ");
    assert_eq!(runs(&machine), ["ok ok, 1 ok"; 4]);
}

#[test]
#[cfg(target_os = "linux")]
fn a_full_disk() {
    let machine = machine();
    let Some(disk) = Disk::mount(machine.home().join("disk"), "20k") else {
        return;
    };
    let on_disk = |args: &[&str]| {
        tell(
            &machine,
            divisi(&machine, args).env("DIVISI_STORE", disk.path.join("divisi.db")),
        )
    };
    let steps = 300;
    flow(
        &machine,
        "fill",
        format!(
            "for (let i = 0; i < {steps}; i++) await agent('step ' + i + ' x'.repeat(4000), {{label: 'step ' + i}})"
        ),
    );

    // Not even room for a store.
    assert_snapshot!(on_disk(&["run", "fill.js"]), @"
    exit 1
    error: no room left to write the store [home]/disk/divisi.db
      hint: make room, then resume the run; what had been written is kept
    ");
    assert_eq!(machine.requests(), 0);

    // Room for a part of the run.
    disk.grow("800k");
    let told = on_disk(&["run", "fill.js"]);
    assert!(told.starts_with("exit 1\n"), "{told}");
    assert_snapshot!(told[told.find("error: ").unwrap()..], @"
    error: no room left to write the store [home]/disk/divisi.db
      hint: make room, then resume the run; what had been written is kept
    ");
    let store = rusqlite::Connection::open(disk.path.join("divisi.db")).unwrap();
    let number = |sql| {
        store
            .query_row(sql, [], |row| row.get::<_, i64>(0))
            .unwrap() as u64
    };
    let kept = number("SELECT ok FROM runs");
    assert!((1..steps).contains(&kept), "{kept} steps were kept");
    // The disk was full before a request was written down, or before its reply was.
    let lost = machine.requests() - kept;
    assert!(lost <= 1, "{lost} replies were lost");
    assert!(on_disk(&["runs"]).contains("fill"));
    assert!(on_disk(&["show", "last"]).contains(&format!("{kept} ok")));

    // With room again it goes on where it was.
    disk.grow("40m");
    let resumed = on_disk(&["resume", "last"]);
    assert!(resumed.starts_with("exit 0\n"), "{resumed}");
    assert_eq!(number("SELECT ok FROM runs"), steps);
    assert_eq!(machine.requests(), steps + lost);
}

#[test]
fn a_secret_is_shown_nowhere() {
    let machine = machine();
    flow(
        &machine,
        "leak",
        "const {stdout} = await shell('env')\nreturn stdout.includes('PATH=')",
    );
    // `tell` searches all output of a command for secrets.
    assert_snapshot!(told(&machine, &["run", "leak.js", "--allow", "run"]), @"
    exit 0
    [m:ss] leak [run-id] started
    [m:ss] ✓ env · [time]

    leak [run-id] ok
    1 ok · [time] · [tokens] · [cost]
      divisi show [run-id]  what each task did
    stdout:
    true
    ");
    for args in [
        &["-vv", "map", "look at {}", "a"][..],
        &["map", "look at {}", "a", "--json"],
        &["doctor"],
    ] {
        let told = tell(&machine, divisi(&machine, args).env("DIVISI_LOG", "trace"));
        assert!(told.starts_with("exit 0\n"), "{told}");
    }
    let unreachable = "http://me:hush@127.0.0.1:1/?token=hush";
    let command = &mut divisi(&machine, &["map", "look at {}", "a", "--retries", "0"]);
    assert_snapshot!(tell(&machine, command.env("ANTHROPIC_BASE_URL", unreachable)), @"
    exit 1
    note: 1 of 1 result exists in run [run-id]: `divisi resume [run-id]` costs nothing
    [m:ss] map [run-id] started
    [m:ss] phase Map
    [m:ss] ✗ a · connection lost: provider `anthropic` cannot be reached: Connection refused (os error 111)

    error: task `a` failed
      caused by: connection lost: provider `anthropic` cannot be reached: Connection refused (os error 111)
      hint: is a server running at http://127.0.0.1:1, and is this machine online?

    map [run-id] failed: no task succeeded
    0 ok · 1 failed · [time] · [tokens] · [cost]
      divisi show [run-id]            what each task did
      divisi rerun [run-id] --failed  try the failed tasks again, keep the others
    stdout:
    ## a

    (no result: provider `anthropic` cannot be reached: Connection refused (os error 111))
    ");
    told(&machine, &["show", "last", "t0"]);
    for path in files(&machine) {
        let bytes = std::fs::read(machine.home().join(&path)).unwrap();
        assert!(!shows_secret(&bytes), "a secret is in {path}");
    }
}
