//! Text from outside neither acts on a terminal nor hides on it: labels, prompts, answers, errors,
//! names of files and models, sources of flows and plans.
//!
//! The output of every command is checked on a terminal and in a pipe, byte by byte.
#![allow(clippy::unwrap_used, missing_docs)]

#[allow(dead_code, reason = "other tests use the rest")]
mod support;

use divisi_mock::{Config, Reply, Rule, When, http, serve_raw};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};
use std::ffi::OsStr;
use std::fs::{File, OpenOptions};
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::process::{Command, Stdio};
use std::thread;
use support::Machine;

/// Title, clipboard, colour, conceal, a C1 sequence, reading direction, tags, blanks
/// without width, separators of lines, a selector, a beginning without an end.
const HOSTILE: &str = "p\u{1b}]0;T\u{7}\u{1b}]52;c;eA==\u{1b}\\\u{1b}[31337m\u{1b}[8m\u{9b}8m\u{8}\r\u{202e}\u{61c}\
    \u{2066}\u{e0041}\u{e007f}\u{200b}\u{ad}\u{2028}\u{feff}\u{fe01}a\u{200d}b\u{3164}\u{1b}Pq";

/// Characters that no page of divisi contains.
fn is_hostile(c: char) -> bool {
    match c {
        '\n' | '\t' => false,
        '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' => true,
        '\u{ad}' | '\u{61c}' | '\u{3164}' | '\u{feff}' | '\u{fe00}'..='\u{fe0d}' => true,
        '\u{e0000}'..='\u{e0fff}' => true,
        c => c.is_control(),
    }
}

/// A colour or a weight of letters, and not what conceals them.
fn is_ordinary(number: &str) -> bool {
    let number = number.parse::<u32>().unwrap_or(0);
    matches!(number, 0..=4 | 22..=27 | 30..=39 | 90..=97)
}

/// The text without what our own display writes: colours, and moves within a frame.
fn without_ours(text: &str) -> String {
    let mut plain = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('\u{1b}') {
        plain += &rest[..at];
        rest = &rest[at + 1..];
        let Some(inner) = rest.strip_prefix('[') else {
            plain.push('\u{1b}');
            continue;
        };
        let end = inner
            .find(|c: char| !matches!(c, '0'..='9' | ';' | '?'))
            .unwrap_or(inner.len());
        let (numbers, last) = (&inner[..end], inner[end..].chars().next());
        let is_ours = match last {
            Some('m') => numbers.split(';').all(is_ordinary) || numbers.starts_with("38;"),
            Some('A' | 'B' | 'C' | 'D' | 'G' | 'H' | 'J' | 'K') => true,
            Some('h' | 'l') => numbers == "?25",
            _ => false,
        };
        if !is_ours {
            plain.push('\u{1b}');
            continue;
        }
        rest = &inner[end + 1..];
    }
    (plain + rest).replace('\r', "")
}

fn check(what: &str, shown: &[u8]) {
    let text = String::from_utf8(shown.to_vec()).unwrap_or_else(|error| panic!("{what}: {error}"));
    let plain = without_ours(&text);
    let bad: Vec<String> = plain
        .chars()
        .filter(|c| is_hostile(*c))
        .map(|c| c.escape_unicode().to_string())
        .collect();
    assert!(bad.is_empty(), "{what} shows {bad:?} in {plain:?}");
}

/// Runs a command in a pipe; `is_result` says that its stdout is a text for programs.
fn in_a_pipe(mut command: Command, what: &str, is_result: bool) {
    let output = command.output().unwrap();
    assert!(
        !output.stdout.contains(&0x1b) || is_result,
        "{what}: colours in a pipe"
    );
    check(&format!("{what}, stderr in a pipe"), &output.stderr);
    if !is_result {
        check(&format!("{what}, stdout in a pipe"), &output.stdout);
    }
    let said = [output.stdout, output.stderr].concat();
    assert!(
        !said.windows(8).any(|part| part == b"panicked"),
        "{what}: {}",
        String::from_utf8_lossy(&said)
    );
}

fn on_a_terminal(mut command: Command, what: &str) {
    let terminal = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&terminal).unwrap();
    unlockpt(&terminal).unwrap();
    let size = Winsize {
        ws_row: 40,
        ws_col: 100,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    tcsetwinsize(&terminal, size).unwrap();
    let path = ptsname(&terminal, vec![]).unwrap();
    let open = || {
        OpenOptions::new()
            .read(true)
            .write(true)
            .open(OsStr::from_bytes(path.as_bytes()))
            .unwrap()
    };
    command
        .env("TERM", "xterm-256color")
        .stdin(Stdio::null())
        .stdout(open())
        .stderr(open());
    let mut child = command.spawn().unwrap();
    drop(command);
    let mut terminal = File::from(terminal);
    let reader = thread::spawn(move || {
        let mut shown = vec![];
        // Reading fails once the other end is closed everywhere.
        let _ = terminal.read_to_end(&mut shown);
        shown
    });
    child.wait().unwrap();
    let shown = reader.join().unwrap();
    assert!(!shown.is_empty(), "{what} shows nothing");
    check(&format!("{what}, on a terminal"), &shown);
}

/// A vendor that refuses everything with a hostile reason.
fn refusing_vendor() -> String {
    let error = serde_json::json!({"type": HOSTILE, "message": HOSTILE});
    let body = serde_json::json!({"type": "error", "error": error}).to_string();
    serve_raw(move |_| http("400 Bad", "application/json", &body))
}

#[test]
fn nothing_that_others_write_acts_on_a_terminal() {
    let say = |prompt: &str, reply| Rule::new(When::prompt(prompt).tool_result(false), reply);
    let call = Reply::tool_call(
        HOSTILE,
        serde_json::json!({"path": HOSTILE, HOSTILE: HOSTILE}),
    );
    let machine = Machine::new(
        Config::default()
            .rule(say("calls", call))
            .rule(Rule::new(When::any(), Reply::text(HOSTILE))),
    );
    let home = machine.home().to_owned();
    let file = |name: &str, text: String| std::fs::write(home.join(name), text).unwrap();
    let js = serde_json::to_string(HOSTILE).unwrap();
    let meta = format!(
        "export const meta = {{name: {js}, description: {js}, phases: [{{title: {js}}}]}};\n"
    );
    let asks = format!(
        "{meta}phase({js}); log({js}); console.warn({js});\n\
         const first = await agent('calls ' + {js}, {{label: {js}, phase: {js}, model: 'haiku'}});\n\
         const second = await agent.outcome({js}, {{label: {js}, model: {js}, agentType: {js}}});\n"
    );
    file("flow.js", format!("{asks}return [first, second, {js}];\n"));
    file(
        "throws.js",
        format!("{asks}throw new Error('unexpected: ' + first + {js}); // {HOSTILE}\n"),
    );
    file(
        "broken.js",
        format!("{meta}const a = 1 // {HOSTILE}\nconst a = '{HOSTILE}'\n"),
    );
    let name = format!("{}.js", HOSTILE.replace('/', ""));
    file(&name, "const a = 1\nconst a = 2\n".to_owned());
    file(
        "plan.yaml",
        format!(
            "name: {js}\ntasks:\n  - id: a\n    prompt: {js}\n    label: {js}\n    model: haiku\n"
        ),
    );
    file(
        "bad.yaml",
        format!(
            "tasks:\n  - id: a\n    prompt: b\n    model: {js}\n    nothing: {js} # {HOSTILE}\n"
        ),
    );
    std::fs::create_dir_all(home.join(".claude/agents")).unwrap();
    file(
        ".claude/agents/a.md",
        format!("---\nname: {js}\ndescription: {js}\nmodel: {js}\ntools: {js}\n---\n{HOSTILE}\n"),
    );
    file(
        ".claude/agents/b.md",
        format!("---\nname: {HOSTILE}\n---\n"),
    );

    let divisi = |args: &[&str]| {
        let mut command = machine.divisi(args);
        command.current_dir(&home);
        command
    };
    let commands: [(&[&str], bool); 28] = [
        (&["run", "flow.js"], false),
        (&["run", "flow.js", "-v"], false),
        (&["--json", "run", "flow.js"], false),
        (&["run", "throws.js"], true),
        (&["run", "broken.js"], false),
        (&["run", &name], false),
        (&["run", "plan.yaml"], true),
        (&["run", "bad.yaml"], false),
        (&["map", "{}", HOSTILE, "--model", "haiku"], true),
        (&["pipe", HOSTILE, "--model", "haiku"], true),
        (&["resume", "last"], true),
        (&["plan", "flow.js", "--tasks"], false),
        (&["plan", "flow.js", "--dot"], false),
        (&["plan", "flow.js", "--json"], false),
        (&["plan", "broken.js"], false),
        (&["plan", "plan.yaml"], false),
        (&["check", "flow.js"], false),
        (&["check", "bad.yaml"], false),
        (&["runs"], false),
        (&["runs", "--json"], false),
        (&["show", "last"], false),
        (&["show", "last", "t0"], false),
        (&["show", "last", "t0", "--json"], false),
        (&["show", HOSTILE], false),
        (&["cost", "last"], false),
        (&["pick", HOSTILE], false),
        (&["doctor"], false),
        (&[HOSTILE, "--unknown"], false),
    ];
    for (args, is_result) in commands {
        let what = args.join(" ").escape_default().to_string();
        in_a_pipe(divisi(args), &what, is_result);
        on_a_terminal(divisi(args), &what);
    }

    let refusing = refusing_vendor();
    let refused = |args: &[&str]| {
        let mut command = divisi(args);
        command.env("ANTHROPIC_BASE_URL", &refusing);
        command
    };
    let args = ["run", "flow.js", "-v"];
    in_a_pipe(refused(&args), "a refusal", false);
    on_a_terminal(refused(&args), "a refusal");
    for args in [
        &["show", "last", "t0"][..],
        &["show", "last"],
        &["cost", "last"],
    ] {
        in_a_pipe(divisi(args), "a refusal, shown", false);
        on_a_terminal(divisi(args), "a refusal, shown");
    }

    divisi(&["plan", "flow.js", "--svg", "plan.svg"])
        .output()
        .unwrap();
    check(
        "the drawing",
        &std::fs::read(home.join("plan.svg")).unwrap(),
    );
}
