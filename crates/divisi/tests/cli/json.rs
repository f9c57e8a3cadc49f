//! JSON output of every command, against its published schema.

use crate::home::Home;
use crate::worktrees::Place;
use divisi_mock::{Config, ErrorKind, MockThread, Reply, Rule, When};
use jsonschema::Validator;
use serde_json::{Value, json};
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Stdio;

/// Tools, a ladder with a check, a failure, a timer, groups, a log line and a phase with a cap.
const WIDE: &str = "\
export const meta = { name: 'wide', description: 'Some of everything',
  phases: [{ title: 'Read', maxCost: 2 }, { title: 'Write' }] };
phase('Read');
log('begins');
const read = await parallel(['a', 'b'].map((n) => () =>
  agent(`Study ${n}`, { label: n, model: 'haiku', maxCost: 0.5 })));
await agent('Run it', { label: 'run it' });
const schema = { type: 'object', properties: { n: { type: 'integer' } }, required: ['n'] };
await agent('Count', { schema, tools: [], model: ['haiku', 'opus'], check: { judge: 'It is right.' } });
phase('Write');
await agent('Fail', { label: 'bad', executor: 'none' });
await new Promise((done) => setTimeout(done, 1));
await pipeline(['x'], (item) => agent(`First ${item}`, { tools: [] }), (text) => agent(`Then ${text}`, { tools: [] }));
return gather('Make one of it', read, { tools: [] });
";

const ASK: &str = "\
export const meta = { name: 'ask', description: 'Asks a person' };
await agent('Say something', { label: 'beside', tools: [] });
return approve('Deploy?', { choices: ['now', 'never'] });
";

const HELD: &str = "\
export const meta = { name: 'held', description: 'One task that is held' };
await shell('until [ -e go ]; do sleep 0.05; done', { label: 'held' });
";

/// Every command, and the schemas of what it prints.
struct Machine {
    home: Home,
    schemas: BTreeMap<String, Validator>,
    /// What was run: the words of a row of docs/json.md, and the name of the schema.
    seen: RefCell<BTreeSet<(String, String)>>,
    _mock: MockThread,
}

impl Machine {
    fn new() -> Self {
        let study = When::prompt("Study");
        let called = Reply::tool_call("read_file", json!({ "path": "notes.txt" }));
        let forbidden = Reply::tool_call("run_command", json!({ "command": "true" }));
        let goal = When {
            schema: Some(true),
            ..When::prompt("Find out")
        };
        let plan = json!({ "tasks": [
            { "id": "a", "prompt": "Look.", "needs": [], "label": null, "model": null },
            { "id": "b", "prompt": "Sum up {{a}}.", "needs": ["a"], "label": "b", "model": "opus" },
        ] });
        let refused = json!({ "findings": "It is wrong.", "score": 1 });
        let mock = MockThread::start(Config {
            rules: vec![
                Rule::fault(When::prompt("First x"), ErrorKind::Overloaded).times(1),
                Rule::fault(When::prompt("First x"), ErrorKind::Internal).times(1),
                Rule::new(goal, Reply::Json(plan)),
                Rule::new(study.tool_result(false), called),
                Rule::new(When::prompt("Run it").tool_result(false), forbidden),
                Rule::new(When::prompt("It is right."), Reply::Json(refused)).times(1),
            ],
            ..Config::default()
        });
        let home = Home::with("wide.js", WIDE)
            .variable("ANTHROPIC_API_KEY", "sk-ant-hush")
            .variable("ANTHROPIC_BASE_URL", mock.url());
        home.write("divisi.toml", "[retry]\nrest_first = '1ms'\n");
        home.write("ask.js", ASK);
        home.write("held.js", HELD);
        home.write("notes.txt", "one\ntwo\n");
        let read = |path: &Path| {
            let text = std::fs::read_to_string(path).unwrap();
            let mut schema: Value = serde_json::from_str(&text).unwrap();
            close(&mut schema, true);
            jsonschema::validator_for(&schema).unwrap()
        };
        let names = rows().into_iter().map(|(_, name)| name);
        let schemas = names.map(|name| {
            let path = docs().join(format!("json/{name}.schema.json"));
            (name, read(&path))
        });
        Self {
            schemas: schemas.collect(),
            home,
            seen: RefCell::default(),
            _mock: mock,
        }
    }

    /// Checks what `printed` by a row of docs/json.md against its schema.
    fn fits(&self, row: &str, name: &str, printed: &[Value]) {
        let validator = &self.schemas[name];
        assert!(!printed.is_empty(), "`{row}` prints nothing");
        for value in printed {
            let errors = validator.iter_errors(value);
            let errors: Vec<String> = errors
                .map(|error| format!("{}: {error}", error.instance_path()))
                .collect();
            assert_eq!(errors, [""; 0], "`{row}` against `{name}`: {value:#}");
        }
        self.seen
            .borrow_mut()
            .insert((row.to_owned(), name.to_owned()));
    }

    /// Runs a command, which prints one value.
    fn prints(&self, row: &str, name: &str, code: i32, args: &[&str]) -> Value {
        let said = self.home.ends(code, &[args, &["--json"]].concat());
        let value: Value = serde_json::from_str(&said.stdout).unwrap();
        self.fits(row, name, std::slice::from_ref(&value));
        value
    }

    /// Runs a command, which prints the lines of a run. Returns them.
    fn runs(&self, code: i32, args: &[&str]) -> Vec<Value> {
        let lines = self.home.ends(code, &[args, &["--json"]].concat()).events();
        self.fits(args[0], "run", &lines);
        assert_eq!(lines.last().unwrap()["event"], "run_result");
        lines
    }
}

fn docs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs")
}

/// The rows of docs/json.md: a command line, and the name of its schema.
fn rows() -> BTreeSet<(String, String)> {
    let page = std::fs::read_to_string(docs().join("json.md")).unwrap();
    let mut rows = BTreeSet::new();
    for line in page.lines().filter(|line| line.starts_with("| `")) {
        let (commands, rest) = line.split_once(" | [").unwrap();
        let (name, _) = rest.split_once(']').unwrap();
        let commands = commands.trim_start_matches("| ").split(", ");
        rows.extend(commands.map(|words| (words.trim_matches('`').to_owned(), name.to_owned())));
    }
    rows
}

/// Lets a schema refuse fields that it does not name, at each place where a value stands.
///
/// A value may be described in several parts (`oneOf`, `$ref`), none of which knows the fields of
/// the others. So it is closed where they come together.
fn close(schema: &mut Value, is_value: bool) {
    let Value::Object(fields) = schema else {
        return;
    };
    for (name, inner) in fields.iter_mut() {
        match (&**name, inner) {
            ("properties" | "patternProperties", Value::Object(inner)) => {
                inner.values_mut().for_each(|inner| close(inner, true));
            }
            ("$defs", Value::Object(inner)) => {
                for inner in inner.values_mut() {
                    close(inner, false);
                    // Any value: its fields are all known.
                    if ["type", "$ref", "oneOf", "anyOf", "enum"]
                        .iter()
                        .all(|part| inner.get(*part).is_none())
                    {
                        inner["additionalProperties"] = true.into();
                    }
                }
            }
            ("prefixItems", Value::Array(inner)) => {
                inner.iter_mut().for_each(|inner| close(inner, true));
            }
            ("allOf" | "anyOf" | "oneOf", Value::Array(inner)) => {
                inner.iter_mut().for_each(|inner| close(inner, false));
            }
            ("items" | "additionalProperties", inner) => close(inner, true),
            _ => {}
        }
    }
    let has_parts = ["$ref", "properties", "allOf", "anyOf", "oneOf"];
    if is_value && has_parts.iter().any(|part| fields.contains_key(*part)) {
        fields.insert("unevaluatedProperties".into(), false.into());
    }
}

#[test]
fn every_command_prints_what_its_schema_says() {
    let machine = Machine::new();
    let home = &machine.home;
    let prints = |row: &str, name: &str, code, args: &[&str]| machine.prints(row, name, code, args);

    prints(
        "plan",
        "plan",
        0,
        &["plan", "wide.js", "--simulate", "--max-cost", "3"],
    );
    prints("check", "check", 0, &["check", "wide.js"]);
    let lines = machine.runs(3, &["run", "wide.js", "--name", "first", "--tag", "ci"]);
    let events: BTreeSet<&str> = lines
        .iter()
        .map(|line| line["event"].as_str().unwrap())
        .collect();
    for event in [
        "retry_planned",
        "refused",
        "phase_started",
        "turn_ended",
        "logged",
    ] {
        assert!(events.contains(event), "{event} is not among {events:?}");
    }
    let submitted = lines.iter().find(|line| line["event"] == "task_submitted");
    let submitted = submitted.unwrap();
    assert_eq!(submitted["task"], "t0");
    assert_eq!(submitted["spec"]["maxCost"], 0.5, "dollars");

    let shown = prints("show", "show", 0, &["show", "first"]);
    assert_eq!(
        (&shown["flow"], &shown["name"]),
        (&json!("wide"), &json!("first"))
    );
    assert!(shown["cost"].as_f64().unwrap() > 0.0, "{shown}");
    for task in shown["tasks"].as_array().unwrap() {
        let task = task["task"].as_str().unwrap();
        let page = prints("show RUN TASK", "show-task", 0, &["show", "first", task]);
        assert_eq!(page["task"], task);
    }
    prints("cost", "cost", 0, &["cost", "first"]);
    prints("results", "results", 0, &["results", "first"]);
    prints("runs", "runs", 0, &["runs"]);
    prints("search", "search", 0, &["search", "begin"]);
    prints("search", "search", 0, &["search", "Study"]);

    home.write("wide.js", &WIDE.replace("Make one of it", "Make two of it"));
    prints(
        "resume --explain",
        "explain",
        0,
        &["resume", "first", "--explain"],
    );
    prints(
        "rerun --explain",
        "explain",
        0,
        &["rerun", "first", "t0", "--explain"],
    );
    machine.runs(3, &["resume", "first"]);
    machine.runs(3, &["rerun", "first", "--failed"]);
    machine.runs(3, &["watch", "first"]);
    prints("show", "show", 0, &["show", "first"]);
    prints("show RUN TASK", "show-task", 0, &["show", "first", "bad"]);
    prints("cost", "cost", 0, &["cost", "first"]);

    let patterns: [&[&str]; 4] = [
        &["ask", "Say something"],
        &["map", "Look at {}", "a", "b"],
        &["pipe", "Build it", "Test it"],
        &["decompose", "Find out"],
    ];
    for args in patterns {
        machine.runs(0, args);
        for (flag, name) in [("--plan", "plan"), ("--check", "check")] {
            let row = format!("{} {flag}", args[0]);
            prints(&row, name, 0, &[args, &[flag]].concat());
        }
    }
    prints("diff", "diff", 0, &["diff", "first", "ask"]);
    prints(
        "pick",
        "pick",
        0,
        &["pick", "Find all callers of parse_header"],
    );

    machine.runs(4, &["run", "ask.js"]);
    prints("show", "show", 0, &["show"]);
    prints("show RUN TASK", "show-task", 0, &["show", "last", "t1"]);
    prints("answer", "answer", 0, &["answer", "last", "t1", "now"]);
    machine.runs(0, &["resume"]);
    wait_for_held(&machine);

    prints(
        "export --out FILE",
        "export",
        0,
        &["export", "first", "-o", "first.divisi"],
    );
    prints("rm", "rm", 0, &["rm", "first"]);
    prints("import", "import", 0, &["import", "first.divisi"]);
    home.write("../.claude/projects/shop/s1.jsonl", &session());
    prints(
        "import PROGRAM",
        "import-sessions",
        0,
        &["import", "claude"],
    );
    prints(
        "gc",
        "gc",
        0,
        &["gc", "--keep", "3", "--unfinished", "--yes"],
    );
    prints("init", "init", 0, &["init", "--force"]);
    prints("models", "models", 0, &["models"]);
    prints("models", "models", 0, &["models", "--all", "gpt"]);
    prints("doctor", "doctor", 0, &["doctor"]);
    home.write("divisi.toml", "provider = 'lab'\n[providers.lab]\nbase_url = 'http://127.0.0.1:1'\nkind = 'openai-chat'\n");
    prints("trust", "trust", 0, &["trust"]);
    prints("doctor", "doctor", 1, &["doctor"]);
    prints("trust --list", "trust", 0, &["trust", "--list"]);
    prints("trust --revoke", "trust", 0, &["trust", "--revoke"]);

    let place = Place::new(".");
    place.run(&[("one", "echo 1 > new"), ("two", "echo 2 > new")]);
    let machine = Machine {
        home: place.home,
        ..machine
    };
    let prints = |row: &str, name: &str, code, args: &[&str]| machine.prints(row, name, code, args);
    prints("worktrees", "worktrees", 0, &["worktrees"]);
    prints("changes", "changes", 0, &["changes", "last", "--patch"]);
    prints("merge", "merge", 1, &["merge", "last"]);
    prints("merge --abort", "merge", 0, &["merge", "last", "--abort"]);
    prints("merge", "merge", 0, &["merge", "last", "one"]);
    prints(
        "worktrees --remove",
        "worktrees",
        0,
        &["worktrees", "--remove", "last"],
    );

    assert_eq!(*machine.seen.borrow(), rows());
}

/// A session of Claude Code: a prompt for dear work that is easy, and its reply.
fn session() -> String {
    let line = |kind: &str, message: Value| {
        json!({ "type": kind, "message": message, "sessionId": "s1", "cwd": "/home/user/shop",
            "timestamp": "2026-11-23T10:00:00.000Z" })
        .to_string()
    };
    let asked = json!({ "role": "user", "content": "Find all callers of parse_header" });
    let said = json!({ "type": "text", "text": "There are two." });
    let usage = json!({ "input_tokens": 100_000, "output_tokens": 500 });
    let reply = json!({ "id": "m1", "role": "assistant", "model": "claude-opus-5-5", "content": [said], "usage": usage });
    [line("user", asked), line("assistant", reply)].join("\n") + "\n"
}

/// Parks a run that another process drives.
fn wait_for_held(machine: &Machine) {
    let home = &machine.home;
    let mut command = home.divisi(&["run", "held.js", "--allow", "run", "--json"]);
    let mut run = command
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let stdout = run.stdout.take().unwrap();
    let mut lines = std::io::BufRead::lines(std::io::BufReader::new(stdout)).map(Result::unwrap);
    assert!(lines.any(|line| line.contains("attempt_scheduled")));
    machine.prints("cap", "cap", 0, &["cap", "last", "5"]);
    let parked = machine.prints("park", "park", 0, &["park"]);
    assert_eq!(parked["parks"], true);
    home.write("go", "");
    lines.for_each(drop);
    run.wait().unwrap();
}

#[test]
fn a_field_that_no_schema_names_is_found() {
    let machine = Machine::new();
    machine.home.ends(0, &["ask", "Say something", "-q"]);
    let mut runs = machine.prints("runs", "runs", 0, &["runs"]);
    runs[0]["surprise"] = 1.into();
    assert!(!machine.schemas["runs"].is_valid(&runs));
    let mut lines = machine.runs(0, &["ask", "Say more"]);
    for line in &mut lines {
        line["surprise"] = 1.into();
        assert!(!machine.schemas["run"].is_valid(line), "{line}");
    }
}

#[test]
fn commands_that_write_a_text_refuse_json() {
    let home = Home::new();
    for command in ["settings", "types", "man", "schema"] {
        let said = home.ends(2, &[command, "--json"]).stderr;
        assert!(said.contains("this command has no JSON output"), "{said}");
    }
    home.ends(2, &["completions", "bash", "--jq", "."]);
}

#[test]
fn schemas_are_printed_by_their_names() {
    let home = Home::new();
    let listed = home.ends(0, &["schema"]).stdout;
    for (_, name) in rows() {
        assert!(
            listed.lines().any(|line| line.starts_with(&name)),
            "{name}\n{listed}"
        );
        let printed: Value =
            serde_json::from_str(&home.ends(0, &["schema", &name]).stdout).unwrap();
        let kept =
            std::fs::read_to_string(docs().join(format!("json/{name}.schema.json"))).unwrap();
        assert_eq!(printed, serde_json::from_str::<Value>(&kept).unwrap());
    }
    assert_eq!(
        home.ends(0, &["schema", "show RUN TASK"]).stdout,
        home.ends(0, &["schema", "show-task"]).stdout
    );
    home.ends(2, &["schema", "nonesuch"]);
}

#[test]
fn the_filters_of_the_page_give_what_they_say() {
    let home = Home::with(
        "wide.js",
        "export const meta = { name: 'wide', description: 'd' };\nreturn agent('Say something', { label: 'say', tools: [] });\n",
    );
    home.ends(0, &["run", "wide.js", "--demo", "-q"]);
    home.ends(0, &["ask", "Say more", "--demo", "-q"]);
    let page = std::fs::read_to_string(docs().join("json.md")).unwrap();
    let (_, block) = page.split_once("```sh\n").unwrap();
    let (block, _) = block.split_once("```").unwrap();
    let path = Path::new(env!("CARGO_BIN_EXE_divisi")).parent().unwrap();
    let path = format!("{}:{}", path.display(), std::env::var("PATH").unwrap());
    for line in block.lines() {
        let line = line.replace("flows/audit.js", "wide.js --demo");
        let mut command = home.divisi(&[]);
        let variables: Vec<_> = command
            .get_envs()
            .filter_map(|(name, value)| Some((name.to_owned(), value?.to_owned())))
            .collect();
        command = std::process::Command::new("sh");
        command
            .args(["-c", &line])
            .current_dir(home.folder())
            .env_clear()
            .envs(variables)
            .env("PATH", &path);
        let output = command.output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{line}: {said}");
        assert!(!output.stdout.is_empty(), "{line} prints nothing: {said}");
    }
}
