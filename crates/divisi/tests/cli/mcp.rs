//! Tools of MCP servers: who may have them started, and what is left of them.

use crate::home::Home;
use divisi_mock::{Config, MockThread, Reply, Rule, When};
use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use serde_json::json;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

/// A stand-in for a server, shared with the tests of the engine.
const SERVER: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../divisi-engine/tests/mcp/server.py"
);

const SECRET: &str = "sk-ant-must-not-be-seen";

/// One task with the tools of one server.
const FLOW: &str = "\
export const meta = { name: 'asks', description: 'Asks a server' };
return agent('Use it', { label: 'asks', tools: ['mcp__it__*'], required: true });
";

/// A project with a server of `.mcp.json`, and a model that calls one of its tools.
struct Project {
    home: Home,
    mock: MockThread,
}

impl Project {
    fn new(tool: &str) -> Self {
        let call = Rule::new(
            When::any().tool_result(false),
            Reply::tool_call(format!("mcp__it__{tool}"), json!({"text": "hi"})),
        );
        let mock = MockThread::start(
            Config::default()
                .rule(call)
                .rule(Rule::new(When::any(), Reply::text("done"))),
        );
        let home = Home::with("flow.js", FLOW)
            .variable("ANTHROPIC_API_KEY", SECRET)
            .variable("ANTHROPIC_BASE_URL", mock.url())
            .variable("FOR_THE_SERVER", "given-to-the-server-4711");
        let servers = json!({"mcpServers": {"it": {
            "command": "python3", "args": [SERVER],
            "env": {"SERVER_TOKEN": "${FOR_THE_SERVER}"},
        }}});
        home.write(".mcp.json", &servers.to_string());
        Self { home, mock }
    }

    /// The lines of the server's log.
    fn log(&self) -> Vec<String> {
        let text = std::fs::read_to_string(self.home.folder().join("mcp.log"));
        text.unwrap_or_default()
            .lines()
            .map(str::to_owned)
            .collect()
    }

    /// All that the model was sent.
    fn sent(&self) -> String {
        format!("{:?}", self.mock.requests())
    }

    fn requests(&self) -> u64 {
        self.mock.stats().requests.values().sum()
    }
}

const RUN: [&str; 4] = ["run", "flow.js", "--allow", "mcp:it"];

#[test]
fn a_server_of_a_folder_is_not_started_without_trust() {
    let project = Project::new("echo");
    insta::assert_snapshot!(project.home.ends(2, &RUN).stderr, @"
    error: the settings of this folder need your trust: ~/work/.mcp.json
      hint: `mcp.it` runs `python3` on this machine, with what is in FOR_THE_SERVER
      hint: if that is what you want: divisi trust ~/work
      hint: or add `--untrusted` to run without these settings
    ");
    // What only looks ahead starts nothing, trusted or not.
    let check = |code| {
        let said = project
            .home
            .ends(code, &["check", "flow.js", "--allow", "mcp"]);
        assert!(
            said.stdout.contains("`mcp__it__*`") && said.stdout.contains("known only once"),
            "{}",
            said.stdout
        );
    };
    check(0);
    project.home.ends(0, &["plan", "flow.js", "--allow", "mcp"]);
    assert_eq!((project.log().len(), project.requests()), (0, 0));
    // Without its servers the run has no such tools.
    project.home.ends(0, &[&RUN[..], &["--untrusted"]].concat());
    assert_eq!(project.log().len(), 0);
    assert!(!project.sent().contains("Does echo"));

    let said = project.home.ends(0, &["trust"]).stderr;
    assert!(
        said.starts_with("~/work/.mcp.json is trusted now, until it changes. It says:")
            && said.contains(r#"mcp.it = {"command":["python3","#)
            && said.contains("runs `python3` on this machine, with what is in FOR_THE_SERVER"),
        "{said}"
    );
    check(0);
    project.home.ends(0, &["doctor"]);
    assert_eq!(project.log().len(), 0);
    project.home.ends(0, &RUN);
    assert_eq!(project.log(), ["start", "call echo hi", "end"]);
    assert!(project.sent().contains("echo says hi"));
    // Every result is found again, so the server is not needed.
    project.home.ends(0, &["resume", "last", "--again"]);
    assert_eq!(project.log().len(), 3);
    project.home.write(
        ".mcp.json",
        &format!("{}\n", project.home.read(".mcp.json")),
    );
    let said = project.home.ends(2, &RUN).stderr;
    assert!(
        said.contains("it has changed since you trusted it"),
        "{said}"
    );
}

#[test]
fn nothing_in_a_folder_permits_a_server() {
    let project = Project::new("echo");
    project.home.write(
        ".claude/agents/all.md",
        "---\nname: all\ndescription: d\ntools: '*, mcp__it__*'\n---\nDo it.\n",
    );
    project.home.write(
        "flow.js",
        &FLOW.replace(
            "tools: ['mcp__it__*']",
            "agentType: 'all', tools: ['*', 'mcp__it__echo']",
        ),
    );
    project.home.ends(0, &["trust"]);
    for allow in [
        &["run", "flow.js"][..],
        &["run", "flow.js", "--allow", "mcp:other"],
    ] {
        let said = project.home.ends(0, allow).stderr;
        assert!(said.contains("`mcp__it__echo`, which"), "{said}");
    }
    assert_eq!(project.log().len(), 0);
    project.home.write("divisi.toml", "allow = ['mcp']\n");
    let said = project.home.ends(2, &["run", "flow.js"]).stderr;
    assert!(
        said.contains("`allow` lets agents use the tools of all MCP servers"),
        "{said}"
    );
    assert_eq!(project.log().len(), 0);
}

#[test]
fn a_server_gets_no_secret_but_those_it_is_given_and_none_comes_back() {
    let project = Project::new("environment");
    project.home.ends(0, &["trust"]);
    let said = project.home.ends(0, &RUN);
    let sent = project.sent();
    assert!(sent.contains("SERVER_TOKEN"), "{sent}");
    assert!(!sent.contains("ANTHROPIC_API_KEY"), "{sent}");
    let shown = project.home.ends(0, &["show", "last", "t0"]).stdout;
    for text in [sent, said.stdout, said.stderr, shown] {
        assert!(
            !text.contains("given-to-the-server") && !text.contains(SECRET),
            "{text}"
        );
    }
}

#[test]
fn the_doctor_lists_servers_and_says_what_they_need() {
    let project = Project::new("echo");
    project.home.write(
        "../.config/divisi/config.toml",
        "allow = ['mcp:mine']\n[mcp.mine]\nurl = 'http://127.0.0.1:1/mcp'\n\
         headers = { Authorization = 'Bearer ${NOT_SET}' }\n[mcp.none]\ncommand = ['no-such-program']\n",
    );
    let servers = || {
        let doctor = project.home.ends(0, &["doctor"]).stdout;
        let servers = doctor.split("MCP servers\n").nth(1).unwrap();
        servers.split("\n\n").next().unwrap().to_owned()
    };
    insta::assert_snapshot!(servers(), @"
    it    its file is not trusted: `divisi trust`
    mine  the variable NOT_SET, which it needs, is not set
    none  program `no-such-program` was not found
    ");
    project.home.ends(0, &["trust"]);
    insta::assert_snapshot!(servers(), @"
    it    not permitted: `--allow mcp:it`
    mine  the variable NOT_SET, which it needs, is not set
    none  program `no-such-program` was not found
    ");
    assert_eq!(project.log().len(), 0);
}

/// Whether a process is alive.
fn is_alive(id: i32) -> bool {
    test_kill_process(Pid::from_raw(id).unwrap()).is_ok()
}

/// The processes that run the server in this folder.
fn servers_in(folder: &Path) -> Vec<i32> {
    let processes = std::fs::read_dir("/proc").unwrap();
    let id = |path: PathBuf| path.file_name()?.to_str()?.parse::<i32>().ok();
    let runs = |path: &PathBuf| {
        let words = std::fs::read(path.join("cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&words).contains("mcp/server.py")
            && path.join("cwd").read_link().is_ok_and(|cwd| cwd == folder)
    };
    let found = processes.map(|entry| entry.unwrap().path()).filter(runs);
    found.filter_map(id).collect()
}

#[test]
fn no_server_outlives_a_divisi_that_is_killed() {
    let project = Project::new("hang");
    project.home.ends(0, &["trust"]);
    let mut divisi = project
        .home
        .divisi(&RUN)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let wait_until = |what: &str, is: &dyn Fn() -> bool| {
        for _ in 0..6_000 {
            if is() {
                return;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        panic!("{what}");
    };
    wait_until("the tool was never called", &|| {
        project.log().contains(&"call hang hi".to_owned())
    });
    let folder = project.home.folder().canonicalize().unwrap();
    let servers = servers_in(&folder);
    assert!(!servers.is_empty());
    kill_process(Pid::from_child(&divisi), Signal::KILL).unwrap();
    divisi.wait().unwrap();
    wait_until("a server was left running", &|| {
        servers_in(&folder).is_empty() && !servers.iter().copied().any(is_alive)
    });
}
