//! Keys are placed everywhere a key may be, and all output is searched for them: the screen, the
//! log, the journal, and requests to models.

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::{Arc, Mutex, mpsc};
use tempfile::TempDir;

/// The key in use, under the usual name.
const KEY: &str = "sk-ant-PLANTED-0a1b2c3d4e5f6g7h8i9j";
/// The key of a provider that is not used, in a variable with a neutral name.
const OTHER: &str = "corp-PLANTED-1k2l3m4n5o6p";
/// A password in an address of the environment.
const PASSWORD: &str = "pass-PLANTED+2q3r/4s5t";
/// A password in an address of the settings, a parameter there, and what a program is given.
const GATE: &str = "gate-PLANTED-3u4v5w6x";
const QUERY: &str = "query-PLANTED-4y5z6a7b";
const GIVEN: &str = "given-PLANTED-5c6d7e8f";

const ALL: [&str; 6] = [KEY, OTHER, PASSWORD, GATE, QUERY, GIVEN];

/// Forms of a secret that say it all, made here without the code under test.
fn forms(secret: &str) -> Vec<String> {
    let hex = secret
        .bytes()
        .map(|byte| format!("{byte:02x}"))
        .collect::<String>();
    let percent = secret.replace('+', "%2B").replace('/', "%2F");
    let base64 = (0..3).map(|before| {
        let encoded =
            STANDARD_NO_PAD.encode([&b"xyz"[..before], secret.as_bytes(), b"xyz"].concat());
        encoded[4..encoded.len() - 5].to_owned()
    });
    [
        secret.to_owned(),
        percent,
        hex,
        secret.chars().rev().collect(),
    ]
    .into_iter()
    .chain(base64)
    .collect()
}

/// Fails if one of the secrets is in `bytes`, regardless of blanks and line breaks within.
fn assert_clean(what: &str, bytes: &[u8]) {
    let squeezed = String::from_utf8_lossy(bytes)
        .split_ascii_whitespace()
        .collect::<String>();
    let squeezed = squeezed.to_ascii_lowercase();
    for form in ALL.iter().flat_map(|secret| forms(secret)) {
        if let Some(at) = squeezed.find(&form.to_ascii_lowercase()) {
            let begin = squeezed.floor_char_boundary(at.saturating_sub(200));
            let end = squeezed.ceil_char_boundary((at + 200).min(squeezed.len()));
            panic!("{what} shows {form}: {}", &squeezed[begin..end]);
        }
    }
}

/// A vendor that gives configured answers, and keeps the bodies of requests.
struct Vendor {
    url: String,
    bodies: Arc<Mutex<Vec<String>>>,
}

impl Vendor {
    /// `answer` is given the body and how often the model has spoken in it.
    fn start(answer: impl Fn(&Value, usize) -> String + Send + Sync + 'static) -> Self {
        let bodies = Arc::new(Mutex::new(vec![]));
        let kept = bodies.clone();
        let url = divisi_mock::serve_raw(move |body| {
            let json: Value = serde_json::from_str(body).unwrap_or_default();
            kept.lock().expect("no panic").push(body.to_owned());
            let by_model = |message: &&Value| message["role"] == "assistant";
            let messages = json["messages"].as_array();
            let said = messages.map_or(0, |messages| messages.iter().filter(by_model).count());
            answer(&json, said)
        });
        Self { url, bodies }
    }

    fn requests(&self) -> usize {
        self.bodies.lock().expect("no panic").len()
    }

    fn assert_clean(&self) {
        for body in self.bodies.lock().expect("no panic").iter() {
            assert_clean("a request", body.as_bytes());
        }
    }
}

/// A reply of the Messages API, with keys in its ids and its name.
fn reply(blocks: &[Value]) -> String {
    let event = |kind: &str, mut fields: Value| {
        fields["type"] = kind.into();
        format!("event: {kind}\ndata: {fields}\n\n")
    };
    let usage = json!({"input_tokens": 10, "output_tokens": 5});
    let message = json!({"id": format!("msg-{KEY}"), "type": "message", "role": "assistant",
        "model": format!("claude-{KEY}"), "content": [], "usage": usage});
    let mut text = event("message_start", json!({"message": message}));
    let mut stop = "end_turn";
    for (index, block) in blocks.iter().enumerate() {
        let (begun, delta) = match block {
            Value::String(said) => (
                json!({"type": "text", "text": ""}),
                json!({"type": "text_delta", "text": said}),
            ),
            call => {
                stop = "tool_use";
                let begun = json!({"type": "tool_use", "id": format!("call-{KEY}-{index}"),
                    "name": call["name"], "input": {}});
                (
                    begun,
                    json!({"type": "input_json_delta", "partial_json": call["input"].to_string()}),
                )
            }
        };
        text += &event(
            "content_block_start",
            json!({"index": index, "content_block": begun}),
        );
        text += &event(
            "content_block_delta",
            json!({"index": index, "delta": delta}),
        );
        text += &event("content_block_stop", json!({"index": index}));
    }
    text += &event(
        "message_delta",
        json!({"delta": {"stop_reason": stop}, "usage": {"output_tokens": 5}}),
    );
    text += &event("message_stop", json!({}));
    format!(
        "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nrequest-id: req-{KEY}\r\n\
         connection: close\r\ncontent-length: {}\r\n\r\n{text}",
        text.len()
    )
}

fn refusal(status: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "HTTP/1.1 {status}\r\nx-request-id: {KEY}\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}"
    )
}

fn call(name: &str, input: Value) -> Value {
    json!({"name": name, "input": input})
}

/// A workspace full of keys, and a home.
struct Planted {
    folder: TempDir,
}

/// Files in the workspace that the user has put there.
const OWN: [&str; 4] = [".env", "divisi.toml", "leak.js", "plan.js"];

impl Planted {
    fn new() -> Self {
        let planted = Self::untrusted();
        assert!(
            planted
                .run("http://127.0.0.1:1", &["trust"])
                .status
                .success()
        );
        planted
    }

    fn untrusted() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let planted = Self { folder };
        let lines: Vec<String> = ALL
            .iter()
            .map(|secret| format!("MY_KEY={secret}"))
            .collect();
        planted.file(".env", &lines.join("\n"));
        planted.file(&format!("named-{KEY}.txt"), "a name");
        planted.file(
            "divisi.toml",
            &format!(
                "provider = 'anthropic'\n[providers.other]\nkind = 'openai-chat'\nkey_env = 'CORP_LLM'\n\
                 base_url = 'http://me:{GATE}@127.0.0.1:1/v1?api-key={QUERY}'\n\
                 [executors.teller]\ncommand = ['sh', '-c', 'cat > /dev/null; env']\nenv = {{ MY_TOKEN = '{GIVEN}' }}\n"
            ),
        );
        planted
    }

    fn file(&self, name: &str, text: &str) {
        fs::write(self.folder.path().join(name), text).expect("a file");
    }

    fn home(&self) -> std::path::PathBuf {
        self.folder.path().join("home")
    }

    fn divisi(&self, url: &str, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_divisi"));
        let database = format!(
            "postgres://me:{}@db/x",
            PASSWORD.replace('+', "%2B").replace('/', "%2F")
        );
        command
            .args(args)
            .current_dir(self.folder.path())
            .env_clear()
            .env("HOME", self.home())
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("DIVISI_LOCAL", "false")
            .env("DIVISI_LOG", "trace")
            .env("ANTHROPIC_API_KEY", KEY)
            .env("ANTHROPIC_BASE_URL", url)
            .env("CORP_LLM", OTHER)
            .env("COPY_OF_IT", format!("Bearer {OTHER}"))
            .env("DATABASE", database)
            .stdin(Stdio::null());
        command
    }

    /// Runs it to its end, and looks at all it says.
    fn run(&self, url: &str, args: &[&str]) -> Output {
        self.look(args, self.divisi(url, args).output().expect("divisi runs"))
    }

    fn look(&self, args: &[&str], output: Output) -> Output {
        assert_clean(&format!("stdout of {args:?}"), &output.stdout);
        assert_clean(&format!("stderr of {args:?}"), &output.stderr);
        self.assert_clean();
        output
    }

    /// Checks every file except the user's own, and its mode.
    fn assert_clean(&self) {
        let mut folders = vec![self.folder.path().to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(&folder).expect("a folder") {
                let path = entry.expect("an entry").path();
                let name = path
                    .file_name()
                    .expect("a name")
                    .to_string_lossy()
                    .into_owned();
                if path.is_dir() {
                    folders.push(path);
                } else if !OWN.contains(&&*name) && !name.starts_with("named-") {
                    // A journal that SQLite takes away at this moment is as good as clean.
                    let Ok(bytes) = fs::read(&path) else { continue };
                    assert_clean(&path.display().to_string(), &bytes);
                    let mode = path
                        .metadata()
                        .map_or(0o600, |metadata| metadata.permissions().mode());
                    assert_eq!(mode & 0o077, 0, "{} has mode {mode:o}", path.display());
                }
            }
        }
    }
}

/// Ways of a program to show what is in a file, and what it can find of its parent.
const SHOW: &str = "cat .env; base64 .env; base64 -w 0 .env; base64 -w 19 .env; od -An -v -tx1 .env; \
    fold -w 7 .env; tr a-z A-Z < .env; tac .env; cat .env >&2; env; tr '\\0' '\\n' < /proc/$PPID/environ; \
    tr '\\0' '\\n' < /proc/$PPID/environ | base64";

fn text_of(output: &Output) -> String {
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

#[test]
fn no_key_comes_out_of_a_run() {
    let vendor = Vendor::start(|body, said| {
        let is_leak = body["messages"][0].to_string().contains("look around");
        match (is_leak, said) {
            (true, 0) => reply(&[
                json!("I look."),
                call("read_file", json!({"path": ".env"})),
                call("search_files", json!({"pattern": "PLANTED|MY_KEY"})),
                call("list_files", json!({"path": "."})),
                call(KEY, json!({KEY: KEY})),
                call("run_command", json!({"command": SHOW})),
                call("read_file", json!({"path": format!("missing-{KEY}")})),
            ]),
            // Cut in two, as streams cut it.
            (true, _) => reply(&[
                json!(format!("it is {}", &KEY[..13])),
                json!(format!("{} indeed", &KEY[13..])),
            ]),
            (false, _) => reply(&[json!(format!(
                "you said {KEY} and {}",
                STANDARD_NO_PAD.encode(OTHER)
            ))]),
        }
    });
    let planted = Planted::new();
    planted.file(
        "leak.js",
        &format!(
            "export const meta = {{name: 'leak', description: 'a test'}}\n\
             const literal = '{OTHER}'\n\
             phase('Phase ' + args.key)\n\
             const looked = await agent('look around')\n\
             const asked = await agent('use ' + args.key + ' and ' + literal, {{label: 'with ' + literal}})\n\
             const shown = await shell({SHOW:?})\n\
             const told = await agent('x', {{executor: 'teller'}})\n\
             log('log ' + ['sk-ant', '{}'].join('-') + literal)\n\
             if (args.fails) throw new Error('failed with ' + literal)\n\
             return [looked, asked, shown.stdout, shown.stderr, told, literal]",
            &KEY[7..]
        ),
    );
    let ok = json!({"key": KEY}).to_string();
    let fails = json!({"key": KEY, "fails": true}).to_string();
    for (args, code) in [(&ok, 0), (&fails, 1)] {
        let flags = [
            "run",
            "leak.js",
            "--allow",
            "run,write",
            "--model",
            "haiku",
            "--args",
            args,
        ];
        let output = planted.run(&vendor.url, &[&flags[..], &["-vv"]].concat());
        let text = text_of(&output);
        assert_eq!(output.status.code(), Some(code), "{text}");
        assert!(text.contains("***"), "{text}");
        planted.run(
            &vendor.url,
            &[&flags[..], &["--json", "--record", "tape.jsonl"]].concat(),
        );
        planted.run(
            &vendor.url,
            &[&flags[..], &["--json", "--replay", "tape.jsonl"]].concat(),
        );
    }
    let requests = vendor.requests();
    assert!(requests > 6);
    vendor.assert_clean();
    let results = vendor
        .bodies
        .lock()
        .unwrap()
        .iter()
        .filter(|body| body.contains("MY_KEY=***"))
        .count();
    assert!(results > 0, "no tool has shown the file");

    for args in [
        &["show", "last"][..],
        &["show", "last", "--json"],
        &["show", "last", "t0"],
        &["show", "last", "t1"],
        &["runs", "--json"],
        &["cost", "last"],
        &["resume", "last"],
        &["doctor"],
        &["doctor", "--json"],
        &["plan", "leak.js", "--args", &ok],
        &["plan", "leak.js", "--args", &ok, "--json"],
        &[
            "plan",
            "leak.js",
            "--args",
            &ok,
            "--save",
            "saved.yaml",
            "--svg",
            "saved.svg",
        ],
        &["run", "--no-such-flag", KEY],
        &["run", KEY],
        &["map", "{}", "a", "--model", KEY],
        &["show", KEY],
    ] {
        planted.run(&vendor.url, args);
    }
    assert_eq!(vendor.requests(), requests, "somebody was asked again");
}

#[test]
fn no_key_comes_out_of_a_refusal() {
    let planted = Planted::new();
    for status in [
        "400 Bad Request",
        "401 Unauthorized",
        "404 Not Found",
        "500 Internal Server Error",
        "302 Found",
    ] {
        let vendor = Vendor::start(move |_, _| {
            let said = format!(
                "{KEY} {OTHER} {} {PASSWORD}",
                STANDARD_NO_PAD.encode(format!("a{KEY}"))
            );
            let padding = "x".repeat(480);
            let error = json!({"type": "error", "error": {"type": KEY, "message": format!("{padding} {said}")}});
            refusal(status, &error.to_string())
        });
        let args = ["map", "look at {}", "a", "--retries", "0", "-vv"];
        let text = text_of(&planted.run(&vendor.url, &args));
        assert!(text.contains("***") || text.contains("302"), "{text}");
        planted.run(&vendor.url, &["show", "last", "t0"]);
    }
    for url in [
        "http://127.0.0.1:1",
        "https://127.0.0.1:1",
        "ftp://x",
        "not an address",
    ] {
        let url = url.replace("://", &format!("://me:{KEY}@")) + &format!("/v1?token={KEY}");
        planted.run(&url, &["map", "look at {}", "a", "--retries", "0", "-vv"]);
        planted.run(&url, &["doctor"]);
    }
    planted.run(
        "http://127.0.0.1:1",
        &[
            "map",
            "look at {}",
            "a",
            "--model",
            "other:x",
            "--retries",
            "0",
        ],
    );
}

#[test]
fn settings_that_are_wrong_are_quoted_without_keys() {
    let planted = Planted::new();
    for line in [
        "api_key = 'KEY'",
        "timeout = 'KEY'",
        "[providers.x]\nrate = 'KEY'",
        "KEY = 1",
        "cost_max = 'KEY",
    ] {
        planted.file("divisi.toml", &line.replace("KEY", KEY));
        let output = planted.run("http://127.0.0.1:1", &["doctor"]);
        let text = text_of(&output);
        assert!(text.contains("divisi.toml"), "{text}");
    }
}

#[test]
fn another_key_after_a_crash_pays_for_nothing_twice() {
    let planted = Planted::new();
    let (reached, waits) = mpsc::channel();
    let hangs = Arc::new(Mutex::new(true));
    let (first, reached) = (hangs.clone(), Mutex::new(reached));
    let vendor = Vendor::start(move |_, said| match said {
        0 => reply(&[call("read_file", json!({"path": ".env"}))]),
        1 => reply(&[call("run_command", json!({"command": "cat .env"}))]),
        _ if *first.lock().unwrap() => {
            reached.lock().unwrap().send(()).unwrap();
            // Never answered: the process is killed first.
            loop {
                std::thread::park();
            }
        }
        // The earlier key is not in use any more, and not known.
        _ => reply(&[json!("done")]).replace(KEY, &"x".repeat(KEY.len())),
    });
    let prompt = format!("use {KEY} for {{}}");
    let mut run = planted
        .divisi(
            &vendor.url,
            &["map", &prompt, "a", "--allow", "run", "--model", "haiku"],
        )
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    waits
        .recv_timeout(std::time::Duration::from_secs(60))
        .expect("the third request comes");
    run.kill().unwrap();
    run.wait().unwrap();
    planted.assert_clean();
    *hangs.lock().unwrap() = false;
    let before = vendor.requests();
    assert_eq!(before, 3);

    let args = ["resume", "last"];
    let mut resume = planted.divisi(&vendor.url, &args);
    let output = resume
        .env("ANTHROPIC_API_KEY", "sk-ant-another-9z8y7x6w5v4u")
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", text_of(&output));
    // Only the unanswered request is sent again.
    assert_eq!(vendor.requests(), before + 1);
    planted.assert_clean();
    vendor.assert_clean();
}

#[test]
#[cfg(target_os = "linux")]
fn programs_cannot_read_the_process_that_starts_them() {
    let planted = Planted::untrusted();
    // The parent is what watches over the program; its parent is the one with keys.
    let line = "keys=$(cut -d' ' -f4 /proc/$PPID/stat); for file in environ mem; do head -c 1 /proc/$keys/$file > /dev/null 2>&1 && echo $file; done; echo end";
    planted.file(
        "leak.js",
        &format!("export const meta = {{name: 'leak', description: 'a test'}}\nreturn (await shell({line:?})).stdout"),
    );
    let args = ["run", "leak.js", "--demo", "--allow", "run"];
    let is_root = is_root();
    let mut command = planted.divisi("http://127.0.0.1:1", &args);
    if is_root {
        // Root may read everything, so another user is used if possible.
        let nobody = ["--reuid=65534", "--regid=65534", "--clear-groups"];
        let can = Command::new("setpriv")
            .args(nobody)
            .arg(env!("CARGO_BIN_EXE_divisi"))
            .arg("--version")
            .output();
        if !can.is_ok_and(|output| output.status.success()) {
            return;
        }
        open(planted.folder.path());
        let mut as_nobody = Command::new("setpriv");
        as_nobody
            .args(nobody)
            .arg(env!("CARGO_BIN_EXE_divisi"))
            .args(args)
            .current_dir(planted.folder.path());
        as_nobody.env_clear().envs(
            command
                .get_envs()
                .filter_map(|(name, value)| Some((name, value?))),
        );
        command = as_nobody;
    }
    let output = command.output().unwrap();
    assert_eq!(
        String::from_utf8_lossy(&output.stdout),
        "end\n\n",
        "{}",
        text_of(&output)
    );
}

#[cfg(target_os = "linux")]
fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt;
    fs::metadata("/proc/self").expect("/proc").uid() == 0
}

#[cfg(target_os = "linux")]
fn open(folder: &Path) {
    fs::set_permissions(folder, fs::Permissions::from_mode(0o777)).expect("a folder of ours");
}

#[test]
fn what_an_older_divisi_left_open_is_closed() {
    let planted = Planted::new();
    let args = ["map", "look at {}", "a", "--demo"];
    planted.run("http://127.0.0.1:1", &args);
    let ours = planted.home().join(".local/share/divisi");
    let mut widened = vec![ours.clone()];
    for entry in fs::read_dir(&ours).unwrap() {
        widened.push(entry.unwrap().path());
    }
    for path in &widened {
        let mode = if path.is_dir() { 0o755 } else { 0o644 };
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }
    planted.run("http://127.0.0.1:1", &args);
    for path in widened.iter().filter(|path| path.exists()) {
        let mode = path.metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{} has mode {mode:o}", path.display());
    }
    // The folder that the person has chosen is theirs.
    let project = planted.folder.path().join("project");
    fs::create_dir(&project).unwrap();
    fs::set_permissions(&project, fs::Permissions::from_mode(0o755)).unwrap();
    planted.run(
        "http://127.0.0.1:1",
        &[&args[..], &["--store", "project/runs.db"]].concat(),
    );
    assert_eq!(
        project.metadata().unwrap().permissions().mode() & 0o777,
        0o755
    );
}
