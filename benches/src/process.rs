//! The built binary against the mock over HTTP.

use crate::floor;
use crate::measure::{Table, best};
use divisi_mock::{Config, Latency, MockThread};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// The `divisi` that was built together with this program.
pub(crate) fn beside() -> PathBuf {
    let mut path = std::env::current_exe().unwrap_or_default();
    path.set_file_name("divisi");
    path
}

/// 1,000 tasks of 200 ms at once.
pub(crate) fn fan_out_over_http(table: &mut Table, divisi: &Path, rounds: u32) {
    const TASKS: usize = 1_000;
    let latency = Latency { first_byte_ms: 200, ..Latency::default() };
    let mock = MockThread::start(Config { latency, requests_kept_max: 0, ..Config::default() });
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let bare = best(rounds, || runtime.block_on(floor::over_http(&mock.url(), TASKS, TASKS)));
    let ours = best(rounds, || {
        let folder = tempfile::tempdir().expect("a folder");
        let mut run = command(divisi, &mock.url(), folder.path());
        run.args(["map", "task {}", "--jobs", "1000", "--quiet"]).args((0..TASKS).map(|i| i.to_string()));
        let start = Instant::now();
        assert!(run.status().is_ok_and(|status| status.success()), "the run failed");
        start.elapsed()
    });
    let seconds = |span: Duration| format!("{:.2} s", span.as_secs_f64());
    table.row(
        "1,000 tasks × 200 ms over HTTP at once, whole process",
        seconds(ours),
        Some(seconds(bare)),
        "≤ 0.50 s",
    );
}

/// From the start of the process to the arrival of its first request.
pub(crate) fn start(table: &mut Table, divisi: &Path, rounds: u32) {
    let mock = MockThread::start(Config::default());
    let ours = best(rounds * 4, || {
        let folder = tempfile::tempdir().expect("a folder");
        // A store that is there already: the first run ever makes its tables.
        let warm = command(divisi, &mock.url(), folder.path()).args(["runs"]).stderr(Stdio::null()).status();
        assert!(warm.is_ok(), "divisi did not start");
        let before = requests(&mock);
        let mut run = command(divisi, &mock.url(), folder.path());
        let start = Instant::now();
        let mut child = run.args(["map", "say {}", "one", "--quiet"]).spawn().expect("divisi did not start");
        while requests(&mock) == before {
            std::thread::yield_now();
        }
        let took = start.elapsed();
        assert!(child.wait().is_ok_and(|status| status.success()), "the run failed");
        took
    });
    let figure = format!("{:.1} ms", ours.as_secs_f64() * 1e3);
    table.row("start of the process to its first request", figure, None, "≤ 20 ms");
}

fn requests(mock: &MockThread) -> u64 {
    mock.stats().requests.values().sum()
}

fn command(divisi: &Path, url: &str, folder: &Path) -> Command {
    let mut command = Command::new(divisi);
    command
        .env_clear()
        .env("HOME", folder)
        .env("ANTHROPIC_API_KEY", "bench")
        .env("ANTHROPIC_BASE_URL", url)
        .env("DIVISI_STORE", folder.join("divisi.db"))
        .env("DIVISI_LOCAL", "false")
        .current_dir(folder)
        .stdout(Stdio::null());
    command
}
