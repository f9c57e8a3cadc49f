//! A public judge as the vendor: `llmock` breaks its answers in every way that it knows, over all
//! wire formats, and its verdict on the client must stay clean.
//!
//! `scripts/llmock` installs it; `./test` runs this afterwards.
#![allow(clippy::unwrap_used, missing_docs)]

use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

/// Longest time the judge may take to start on a busy machine.
const STARTING_MAX: Duration = Duration::from_secs(120);

/// The judge; it ends with the test.
struct Judge {
    process: Child,
    address: String,
}

impl Judge {
    fn start() -> Self {
        let packages =
            PathBuf::from(std::env::var_os("DIVISI_LLMOCK").expect("`scripts/llmock` says how"));
        let port = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let process = Command::new("python3")
            .env("PYTHONPATH", &packages)
            .args([
                "-c",
                "from llmock.cli import app; app()",
                "serve",
                "--log-level",
                "error",
            ])
            // So slow that the judge sees where a client has stopped reading.
            .args(["--port", &port.to_string(), "--stream-chunk-delay-ms", "20"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut judge = Self {
            process,
            address: format!("127.0.0.1:{port}"),
        };
        let start = Instant::now();
        while judge.ask("GET", "/health", "").is_none() {
            assert!(
                judge.process.try_wait().unwrap().is_none(),
                "the judge ended by itself"
            );
            assert!(start.elapsed() < STARTING_MAX, "the judge does not answer");
            std::thread::sleep(Duration::from_millis(100));
        }
        judge
    }

    /// The body of its answer, if it answers well.
    fn ask(&self, method: &str, path: &str, body: &str) -> Option<String> {
        let mut stream = TcpStream::connect(&self.address).ok()?;
        let head = format!(
            "{method} {path} HTTP/1.0\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(head.as_bytes()).ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        let (head, body) = answer.split_once("\r\n\r\n")?;
        head.lines()
            .next()?
            .contains(" 20")
            .then(|| body.to_owned())
    }

    /// Resets the server, and then sets its behaviour.
    fn behave(&self, behaviors: &Value) {
        self.ask("POST", "/_llmock/reset", "").unwrap();
        let scenario = json!({"behaviors": behaviors}).to_string();
        self.ask("POST", "/_llmock/scenario", &scenario)
            .unwrap_or_else(|| panic!("{scenario}"));
    }

    fn verdict(&self) -> Value {
        serde_json::from_str(&self.ask("GET", "/_llmock/verdict", "").unwrap()).unwrap()
    }
}

impl Drop for Judge {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn run(folder: &Path, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_divisi"))
        .args(args)
        .current_dir(folder)
        .env_clear()
        .env("HOME", folder)
        .env("XDG_STATE_HOME", folder.join("state"))
        .env("DIVISI_STORE", folder.join("divisi.db"))
        .env("JUDGE_KEY", "a-key-for-the-judge")
        .output()
        .unwrap()
}

/// What a run has to come to.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Right {
    Ok,
    NotOk,
}

fn behaviors() -> Vec<(String, Value, Right)> {
    let fail =
        |status: u16, times: u32| json!([{"type": "fail", "status": status, "times": times}]);
    let broken = |kind: &str, after: u32| json!([{"type": "stream_fault", "kind": kind, "after_chunks": after, "stall_seconds": 20}]);
    let mut all: Vec<_> = [400, 401, 403, 404, 413, 422]
        .into_iter()
        .map(|status| (format!("status {status}"), fail(status, 1), Right::NotOk))
        .collect();
    all.extend(
        [408, 409, 500, 502, 503, 504, 529]
            .into_iter()
            .map(|status| (format!("status {status} twice"), fail(status, 2), Right::Ok)),
    );
    all.push((
        "down".into(),
        json!([{"type": "fail", "status": 500, "times": null}]),
        Right::NotOk,
    ));
    all.push((
        "rate limit".into(),
        json!([{"type": "fail", "status": 429, "retry_after": 1, "times": 2}]),
        Right::Ok,
    ));
    for kind in ["disconnect", "truncate", "malformed", "stall"] {
        all.extend([0, 1, 3].map(|after| {
            (
                format!("{kind} after {after}"),
                broken(kind, after),
                Right::Ok,
            )
        }));
    }
    all.extend([
        (
            "delay".into(),
            json!([{"type": "delay", "seconds": 0.3}]),
            Right::Ok,
        ),
        (
            "slow first token".into(),
            json!([{"type": "slow_first_token", "seconds": 0.3}]),
            Right::Ok,
        ),
        (
            "a scripted reply".into(),
            json!([{"type": "reply", "text": "scripted"}]),
            Right::Ok,
        ),
        (
            "a scripted call".into(),
            json!([{"type": "reply", "tool_calls": [{"name": "list_files", "arguments": {}}]}]),
            Right::Ok,
        ),
        (
            "broken arguments".into(),
            json!([{"type": "tool_fault", "kind": "malformed_arguments"}]),
            Right::Ok,
        ),
        (
            "an unknown tool".into(),
            json!([{"type": "tool_fault", "kind": "unknown_tool"}]),
            Right::Ok,
        ),
        (
            "a call that is cut off".into(),
            json!([{"type": "reply", "tool_calls": [{"name": "list_files", "arguments": {}}]},
                {"type": "stream_fault", "kind": "truncate", "after_chunks": 2}]),
            Right::Ok,
        ),
    ]);
    all
}

#[test]
#[ignore = "needs the judge that scripts/llmock installs"]
fn a_public_judge_has_nothing_against_the_client() {
    let judge = Judge::start();
    for (kind, path) in [
        ("anthropic", "/anthropic"),
        ("openai-chat", "/v1"),
        ("openai", "/v1"),
    ] {
        for (name, behaviors, right) in behaviors() {
            let folder = tempfile::tempdir().unwrap();
            let settings = format!(
                "provider = \"judge\"\nlocal = false\nestimate = false\nmodel = \"lab-model\"\nidle_timeout = \"3s\"\n\
                 [retry]\nrest_first = \"100ms\"\noverload_wait_max = \"20s\"\n\
                 [prices.\"lab-model\"]\ninput = 1\noutput = 1\n\
                 [providers.judge]\nkind = \"{kind}\"\nbase_url = \"http://{}{path}\"\nkey_env = \"JUDGE_KEY\"\n",
                judge.address
            );
            // Among the user's own settings, which need no trust.
            let own = folder.path().join(".config/divisi");
            std::fs::create_dir_all(&own).unwrap();
            std::fs::write(own.join("config.toml"), settings).unwrap();
            judge.behave(&behaviors);
            let output = run(
                folder.path(),
                &["map", "Say something about {}.", "colours"],
            );
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            let verdict = judge.verdict();
            assert_eq!(
                verdict["findings"],
                json!([]),
                "{kind}, {name}: {verdict:#}\n{said}"
            );
            assert_ne!(verdict["attempts"], 0, "{kind}, {name}: {said}");
            let came_to = if output.status.success() {
                Right::Ok
            } else {
                Right::NotOk
            };
            assert_eq!(came_to, right, "{kind}, {name}: {said}");
        }
    }
}
