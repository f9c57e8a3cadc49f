//! Agent programs as executors of the whole command, with a stand-in for Claude Code.

use crate::home::{Home, Said};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

const FLOW: &str = "\
export const meta = { name: 'by-claude', description: 'Asks an agent program' };
return agent('success please', { label: 'one', model: 'haiku' });
";

const STAND_IN: &str = "../divisi-engine/tests/agents/stand_in.py";

const ACP_STAND_IN: &str = "../divisi-engine/tests/agents/acp_stand_in.py";

/// A home in whose `PATH` the stand-in is called `claude`.
fn home() -> Home {
    with_program("claude", STAND_IN)
}

/// A home in whose `PATH` this stand-in has this name.
fn with_program(name: &str, stand_in: &str) -> Home {
    let home = Home::with("flow.js", FLOW);
    let bin = home.folder().join("bin");
    std::fs::create_dir(&bin).unwrap();
    let stand_in = Path::new(env!("CARGO_MANIFEST_DIR")).join(stand_in);
    symlink(stand_in.canonicalize().unwrap(), bin.join(name)).unwrap();
    let usual = std::env::var_os("PATH").unwrap_or_default();
    let path = std::env::join_paths(
        [bin]
            .into_iter()
            .chain(std::env::split_paths(&usual))
            .collect::<Vec<PathBuf>>(),
    );
    home.variable("PATH", path.unwrap().into_string().unwrap())
}

fn cost(home: &Home) -> serde_json::Value {
    let listed: serde_json::Value =
        serde_json::from_str(&home.ends(0, &["runs", "--json"]).stdout).unwrap();
    listed[0]["cost"].clone()
}

fn run(home: &Home, code: i32, more: &[&str]) -> Said {
    home.ends(code, &[&["run", "flow.js"], more].concat())
}

#[test]
fn no_key_is_needed_and_the_hint_says_so() {
    let home = home();
    let said = run(&home, 1, &[]).stderr;
    assert!(
        said.contains(
            "hint: or add `--executor claude`: Claude Code is installed, and uses its own login"
        ),
        "{said}"
    );
    let said = run(&home, 0, &["--executor", "claude", "--max-cost", "5"]);
    assert_eq!(said.stdout, "the answer");
    assert!(
        said.stderr
            .contains("note: claude is not logged in, as far as divisi can see"),
        "{}",
        said.stderr
    );
    assert_eq!(cost(&home), 0.01);
    let bill = home.ends(0, &["cost", "last"]).stdout;
    assert!(
        bill.contains("claude-haiku-5-5"),
        "the model that answered: {bill}"
    );
    // What is done is not done again, and the run keeps its executor.
    let said = home.ends(0, &["resume", "last"]);
    assert_eq!(said.stdout, "the answer");
    assert_eq!(cost(&home), 0.01);
}

#[test]
fn where_no_model_can_be_asked_one_that_is_logged_in_carries_out_the_tasks() {
    let home = home().variable("CLAUDE_CODE_OAUTH_TOKEN", "oauth-0123456789abcdef");
    let doctor = home.ends(0, &["doctor"]).stdout;
    assert!(
        doctor.contains("runs can start, carried out by claude"),
        "{doctor}"
    );
    let said = run(&home, 0, &[]);
    assert_eq!(said.stdout, "the answer");
    assert!(
        said.stderr
            .contains("note: there is no key and no local model, so claude carries out the tasks"),
        "{}",
        said.stderr
    );
    // A key that is there later changes nothing about the run.
    let home = home.variable("ANTHROPIC_API_KEY", "sk-ant-0123456789abcdef");
    let again = home.ends(0, &["resume", "last", "--again"]);
    assert!(again.stderr.contains("1 reused"), "{}", again.stderr);
    // What is chosen is chosen.
    let home = home.variable("ANTHROPIC_API_KEY", "");
    let said = run(&home, 1, &["--executor", "api"]).stderr;
    assert!(said.contains("there is no model to ask"), "{said}");
}

#[test]
fn the_settings_choose_it_for_all_tasks_or_by_tier() {
    let home = home();
    home.write("divisi.toml", "executor = 'claude'\n");
    assert_eq!(run(&home, 0, &[]).stdout, "the answer");
    home.write("divisi.toml", "[tier_executors]\nhaiku = 'claude'\n");
    let home = home.variable("ANTHROPIC_API_KEY", "sk-ant-0123456789abcdef");
    assert_eq!(run(&home, 0, &[]).stdout, "the answer");
    let seen: serde_json::Value = serde_json::from_str(&home.read("seen.json")).unwrap();
    let variables = seen["variables"].to_string();
    assert!(
        variables.contains("ANTHROPIC_API_KEY"),
        "its own key: {variables}"
    );
}

#[test]
fn keys_of_others_are_not_passed_on_unless_it_asks_its_models_there() {
    let keys = [
        ("OPENAI_API_KEY", "sk-0123456789abcdef0123"),
        ("AWS_SECRET_ACCESS_KEY", "aws-0123456789abcdef0123"),
        ("ANTHROPIC_FOUNDRY_API_KEY", "azure-0123456789abcdef01"),
    ];
    let with_keys = || {
        keys.iter()
            .fold(home(), |home, (name, value)| home.variable(name, *value))
    };
    let passed = |home: Home| {
        let said = run(&home, 0, &["--executor", "claude"]);
        assert_eq!(said.stdout, "the answer");
        let seen = home.read("seen.json");
        let names = keys.iter().map(|(name, _)| *name);
        names.filter(|name| seen.contains(name)).collect::<Vec<_>>()
    };
    assert_eq!(passed(with_keys()), Vec::<&str>::new());
    let off = with_keys().variable("CLAUDE_CODE_USE_BEDROCK", "0");
    assert_eq!(passed(off), Vec::<&str>::new());
    let on = with_keys().variable("CLAUDE_CODE_USE_BEDROCK", "1");
    assert_eq!(passed(on), ["AWS_SECRET_ACCESS_KEY"]);
}

#[test]
fn a_demo_asks_no_agent_program() {
    let home = home();
    home.write(
        "flow.js",
        &FLOW.replace("label: 'one'", "executor: 'claude'"),
    );
    run(&home, 0, &["--demo", "--executor", "claude"]);
    assert!(!home.folder().join("seen.json").exists());
}

#[test]
fn a_plan_and_a_check_start_nothing() {
    let home = home();
    for command in ["plan", "check"] {
        home.divisi(&[command, "flow.js", "--executor", "claude"])
            .output()
            .unwrap();
    }
    assert!(!home.folder().join("seen.json").exists());
}

#[test]
fn the_doctor_lists_it_with_its_version_and_login() {
    let home = home();
    let line = |home: &Home, code: i32| {
        let page = home.ends(code, &["doctor"]).stdout;
        let line = page
            .lines()
            .find(|line| line.trim().starts_with("claude  "));
        line.unwrap_or(&page).trim().to_owned()
    };
    insta::assert_snapshot!(line(&home, 1), @"claude  not logged in  9.9.9 (Stand-in)");
    std::fs::create_dir_all(home.folder().join("../.claude")).unwrap();
    std::fs::write(home.folder().join("../.claude/.credentials.json"), "{}").unwrap();
    insta::assert_snapshot!(line(&home, 0), @"claude  logged in  9.9.9 (Stand-in)");
    let home = home.variable("ANTHROPIC_API_KEY", "sk-ant-0123456789abcdef");
    insta::assert_snapshot!(line(&home, 0), @"claude  a key is set  9.9.9 (Stand-in)");
}

#[test]
fn settings_that_claude_does_not_need_are_refused_with_the_way_out() {
    for settings in [
        "command = ['claude', '{model}']",
        "reports = { cost = 'x' }",
    ] {
        let home = Home::with("flow.js", FLOW);
        home.write("divisi.toml", &format!("[executors.claude]\n{settings}\n"));
        let said = home.ends(2, &["run", "flow.js"]).stderr;
        assert!(said.contains(r#"or say `kind = "command"`"#), "{said}");
    }
}

#[test]
fn an_agent_of_the_protocol_is_an_executor_by_its_name() {
    let home = with_program("claude-agent-acp", ACP_STAND_IN)
        .variable("OPENAI_API_KEY", "sk-0123456789abcdef0123");
    let flags = ["--executor", "acp:claude", "--max-cost", "5"];
    assert_eq!(run(&home, 0, &flags).stdout, "the answer");
    assert_eq!(cost(&home), 0.01);
    let bill = home.ends(0, &["cost", "last"]).stdout;
    assert!(bill.contains("claude-haiku-5-5"), "{bill}");
    let seen = home.read("seen.json");
    assert!(!seen.contains("OPENAI_API_KEY"), "{seen}");
    assert_eq!(home.ends(0, &["resume", "last"]).stdout, "the answer");
    assert_eq!(cost(&home), 0.01, "what is done is not done again");
}

#[test]
fn what_an_agent_of_the_protocol_is_refused_is_told_with_the_flag_that_allows_it() {
    let home = with_program("claude-agent-acp", ACP_STAND_IN);
    let writes = FLOW.replace("success please", "writes made.txt");
    home.write("flow.js", &writes);
    let said = run(&home, 0, &["--executor", "acp:claude"]);
    assert_eq!(said.stdout, "refused");
    assert!(said.stderr.contains("--allow write"), "{}", said.stderr);
    let said = run(&home, 0, &["--executor", "acp:claude", "--allow", "write"]);
    assert_eq!(said.stdout, "allowed");
}

#[test]
fn a_plan_prices_an_agent_of_the_protocol_like_other_agent_programs() {
    let home = with_program("claude-agent-acp", ACP_STAND_IN);
    let plan = |name: &str| {
        let flags = ["plan", "flow.js", "--executor", name, "--max-cost", "1"];
        home.divisi(&flags).output().unwrap().stdout
    };
    let of_protocol = String::from_utf8(plan("acp:claude")).unwrap();
    assert!(of_protocol.contains("acp:claude"), "{of_protocol}");
    let other = String::from_utf8(plan("claude")).unwrap();
    assert_eq!(of_protocol.replace("acp:claude", "claude"), other);
    assert!(!home.folder().join("seen.json").exists());
}

#[test]
fn the_doctor_lists_agents_of_the_protocol_that_are_installed() {
    let home = with_program("claude-agent-acp", ACP_STAND_IN);
    let page = home.ends(1, &["doctor"]).stdout;
    let lines: Vec<_> = page
        .lines()
        .filter(|line| line.trim().starts_with("acp:"))
        .map(str::trim)
        .collect();
    insta::assert_snapshot!(lines.join("\n"), @"acp:claude  installed, and has its own login  9.9.9");
}

#[test]
fn settings_of_an_agent_of_the_protocol_name_its_command_and_only_it_has_a_mode() {
    for (settings, why) in [
        ("[executors.mine]\nkind = 'acp'", "has no `command`"),
        ("[executors.'acp:mine']", "has no `command`"),
        ("[executors.claude]\nmode = 'plan'", "has no `mode`"),
    ] {
        let home = Home::with("flow.js", FLOW);
        home.write("divisi.toml", settings);
        let said = home.ends(2, &["run", "flow.js"]).stderr;
        assert!(said.contains(why), "{said}");
    }
}
