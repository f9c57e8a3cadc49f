//! How the tests are done.

use crate::support::{Machine, SECRET};
use divisi_mock::Config;
use serde_json::Value;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A machine with a mock that answers everything.
pub(crate) fn machine() -> Machine {
    Machine::new(Config::default())
}

/// A file in the folder where commands are typed.
pub(crate) fn file(machine: &Machine, name: &str, text: impl AsRef<[u8]>) {
    std::fs::write(machine.home().join(name), text).unwrap();
}

/// A flow with its `meta` on its first line.
pub(crate) fn flow(machine: &Machine, name: &str, body: impl AsRef<str>) {
    let meta = format!("export const meta = {{name: '{name}', description: 'a test'}}");
    file(
        machine,
        &format!("{name}.js"),
        format!("{meta}\n{}", body.as_ref()),
    );
}

/// A command typed at home, where no settings are but those of the test.
pub(crate) fn divisi(machine: &Machine, args: &[&str]) -> Command {
    let mut command = machine.divisi(args);
    command.current_dir(machine.home());
    command
}

/// What a command says, and what it ends with.
pub(crate) fn told(machine: &Machine, args: &[&str]) -> String {
    tell(machine, &mut divisi(machine, args))
}

/// The same for a command that was changed.
pub(crate) fn tell(machine: &Machine, command: &mut Command) -> String {
    tell_of(machine, &command.output().unwrap())
}

/// The exit code, stderr and stdout, without what differs from run to run.
///
/// Fails if the output contains secrets or signs of a panic.
pub(crate) fn tell_of(machine: &Machine, output: &Output) -> String {
    let [out, err] = [&output.stdout, &output.stderr].map(|bytes| {
        assert!(!shows_secret(bytes), "{}", String::from_utf8_lossy(bytes));
        String::from_utf8(bytes.clone()).unwrap()
    });
    assert!(!err.contains("panicked"), "{err}");
    let mut told = format!(
        "exit {}\n",
        output.status.code().expect("no signal ended it")
    );
    told += &steady(machine, &err);
    if !out.is_empty() {
        told += "stdout:\n";
        told += &steady(machine, &out);
    }
    told
}

pub(crate) fn shows_secret(bytes: &[u8]) -> bool {
    [SECRET, "hush"].iter().any(|secret| {
        bytes
            .windows(secret.len())
            .any(|part| part == secret.as_bytes())
    })
}

/// The text with the same word for every run, place, time and amount.
pub(crate) fn steady(machine: &Machine, text: &str) -> String {
    let home = machine.home().canonicalize().unwrap();
    let mut text = text.replace(&*home.to_string_lossy(), "[home]");
    // Where a long message is broken depends on the length of the place.
    text = text.replace("\n  │ ", " ");
    for store in [machine.store(), machine.home().join("disk/divisi.db")] {
        for id in ids(&store) {
            text = text.replace(&id, "[run-id]");
        }
    }
    let mut steady = String::new();
    for line in text.lines() {
        let line = match line.split_once("] ") {
            Some((clock, rest)) if clock.starts_with('[') && clock.contains(':') => {
                format!("[m:ss] {rest}")
            }
            _ => line.to_owned(),
        };
        let parts: Vec<&str> = line.split(" · ").map(amount).collect();
        writeln!(steady, "{}", parts.join(" · ")).unwrap();
    }
    steady
}

/// The word for an amount of time, money or tokens; any other text as it is.
pub(crate) fn amount(part: &str) -> &str {
    let counts = |unit| {
        part.strip_suffix(unit)
            .is_some_and(|n| n.starts_with(|c: char| c.is_ascii_digit()))
    };
    let is_clock = part
        .split_once(':')
        .is_some_and(|(m, s)| [m, s].iter().all(|n| n.parse::<u32>().is_ok()));
    match part {
        _ if counts(" tokens") => "[tokens]",
        _ if counts(" ms") || counts(" s") || is_clock => "[time]",
        _ if part.starts_with('$') => "[cost]",
        other => other,
    }
}

pub(crate) fn ids(store: &Path) -> Vec<String> {
    if !store.is_file() {
        return vec![];
    }
    let read = || -> rusqlite::Result<Vec<String>> {
        let store = rusqlite::Connection::open(store)?;
        // Names that a test has given itself are steady.
        store
            .prepare("SELECT id FROM runs WHERE id NOT LIKE 'k3f9%'")?
            .query_map([], |row| row.get(0))?
            .collect()
    };
    // What is no store has no runs.
    read().unwrap_or_default()
}

/// The runs as the store has them, latest first: flow, status and counts.
pub(crate) fn runs(machine: &Machine) -> Vec<String> {
    let output = divisi(machine, &["runs", "--json"]).output().unwrap();
    assert_eq!(
        output.status.code(),
        Some(0),
        "{}",
        tell_of(machine, &output)
    );
    let runs: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap();
    let told = |run: &Value| {
        let word = |name: &str| run[name].as_str().unwrap().to_owned();
        let mut told = format!("{} {}", word("flow"), word("status"));
        for name in ["ok", "failed"] {
            let count = run[name].as_u64().unwrap();
            if count > 0 {
                write!(told, ", {count} {name}").unwrap();
            }
        }
        told
    };
    runs.iter().map(told).collect()
}

/// Nothing was written: neither a store nor anything else.
pub(crate) fn assert_untouched(machine: &Machine, expected: &[&str]) {
    assert_eq!(files(machine), expected);
    assert_eq!(machine.requests(), 0);
}

/// The files at home, by their paths.
pub(crate) fn files(machine: &Machine) -> Vec<String> {
    fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() && !path.is_symlink() {
                true => collect(&path, files),
                false => files.push(path),
            }
        }
    }
    let mut files = vec![];
    collect(machine.home(), &mut files);
    let relative = |path: &PathBuf| {
        path.strip_prefix(machine.home())
            .unwrap()
            .display()
            .to_string()
    };
    let mut files: Vec<String> = files.iter().map(relative).collect();
    files.sort();
    files
}

/// A small separate disk.
#[cfg(target_os = "linux")]
pub(crate) struct Disk {
    pub(crate) path: PathBuf,
}

#[cfg(target_os = "linux")]
impl Disk {
    /// Mounts a disk of this size; `None`, said loudly, where that is not allowed.
    pub(crate) fn mount(path: PathBuf, size: &str) -> Option<Self> {
        std::fs::create_dir(&path).unwrap();
        let options = format!("size={size}");
        let mount = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &options, "none"])
            .arg(&path)
            .output();
        match mount {
            Ok(output) if output.status.success() => Some(Self { path }),
            refused => {
                // Past the capture of the test runner, which hides what a passing test prints.
                use std::io::Write;
                let mut stderr = std::io::stderr().lock();
                writeln!(
                    stderr,
                    "\nSKIPPED: a_full_disk cannot mount a small disk: {refused:?}\n"
                )
                .unwrap();
                None
            }
        }
    }

    pub(crate) fn grow(&self, size: &str) {
        let options = format!("remount,size={size}");
        let mount = Command::new("mount")
            .args(["-o", &options])
            .arg(&self.path)
            .status();
        assert!(mount.unwrap().success());
    }
}

#[cfg(target_os = "linux")]
impl Drop for Disk {
    fn drop(&mut self) {
        // A failing test may hold a file; then the disk goes with its last user.
        let _ = Command::new("umount")
            .arg("--lazy")
            .arg(&self.path)
            .status();
    }
}
