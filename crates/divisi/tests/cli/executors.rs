//! Programs of the settings that carry out tasks, and what they cost.

use crate::home::{Home, Said};

const FLOW: &str = "\
export const meta = { name: 'agents', description: 'Asks another program' };
return agent('Say something', { label: 'say', executor: 'agent' });
";

/// A home whose trusted settings name this executor.
fn with(executor: &str) -> Home {
    let home = Home::with("flow.js", FLOW);
    home.write(
        "divisi.toml",
        &format!("[executors.agent]\n{executor}\n[retry]\nretries_max = 0\n"),
    );
    home.ends(0, &["trust"]);
    home
}

/// An executor that leaves a file when it has run.
const LEAVES_A_MARK: &str = "command = ['sh', '-c', 'cat; touch ran']";

/// An executor that reports its cost.
const REPORTS: &str = r#"command = ['sh', '-c', '''cat > /dev/null; echo '{"cost": 0.02}'; echo '{"cost": 0.05, "tokens": 7, "said": "done"}' ''']
reports = { cost = "cost", output_tokens = "tokens", result = "said" }"#;

fn run(home: &Home, code: i32, more: &[&str]) -> Said {
    home.ends(code, &[&["run", "flow.js", "--demo"], more].concat())
}

fn spent(home: &Home) -> String {
    let listed: serde_json::Value =
        serde_json::from_str(&home.ends(0, &["runs", "--json"]).stdout).unwrap();
    format!(
        "{} of which unconfirmed {}",
        listed[0]["cost"], listed[0]["unconfirmed"]
    )
}

#[test]
fn one_without_a_bill_runs_under_any_cap() {
    for said in ["", "\ncost = 'free'"] {
        let home = with(&format!("{LEAVES_A_MARK}{said}"));
        assert_eq!(
            run(&home, 0, &["--max-cost", "0.000001"]).stdout,
            "Say something"
        );
        assert_eq!(spent(&home), "0 of which unconfirmed 0");
    }
}

#[test]
fn what_an_attempt_may_cost_is_set_aside_before_it_starts() {
    let home = with(&format!("{LEAVES_A_MARK}\ncost = '$0.50'"));
    let said = run(&home, 4, &["--max-cost", "0.49"]).stderr;
    assert!(
        said.contains("what is left of the budget holds none of the waiting tasks"),
        "{said}"
    );
    assert!(!home.folder().join("ran").exists());
    let said = home.ends(0, &["resume", "last", "--max-cost", "0.50"]);
    assert_eq!(said.stdout, "Say something");
    assert!(
        said.stderr.contains("$0.50"),
        "it may have cost that: {}",
        said.stderr
    );
    assert_eq!(spent(&home), "0.5 of which unconfirmed 0.5");
}

#[test]
fn what_it_reports_is_booked_and_its_result_is_read() {
    let home = with(&format!("{REPORTS}\ncost = 0.5"));
    assert_eq!(run(&home, 0, &["--max-cost", "1"]).stdout, "done");
    assert_eq!(spent(&home), "0.05 of which unconfirmed 0");
    let shown = home.ends(0, &["show", "last", "say"]).stdout;
    assert!(
        shown.contains("7 tokens") && shown.contains("$0.05"),
        "{shown}"
    );
    let bill = home.ends(0, &["cost", "last"]).stdout;
    assert!(bill.contains("$0.05"), "{bill}");
}

#[test]
fn one_that_may_cost_anything_is_refused_under_a_cap_before_the_run_exists() {
    let home = with(REPORTS);
    let said = run(&home, 2, &["--max-cost", "1"]).stderr;
    assert!(
        said.contains("what `agent` may cost has no bound, and the cap is"),
        "{said}"
    );
    assert!(
        said.contains("hint: say what one attempt costs at most"),
        "{said}"
    );
    assert_eq!(home.ends(0, &["runs", "--json"]).stdout, "[]");
    assert_eq!(
        run(&home, 0, &[]).stdout,
        "done",
        "without a cap there is nothing to hold"
    );
    home.write("flow.js", &FLOW.replace("label: 'say'", "maxCost: 0.10"));
    assert_eq!(
        run(&home, 0, &["--max-cost", "1"]).stdout,
        "done",
        "its own budget is a bound"
    );
    home.write("flow.js", &FLOW.replace("label: 'say'", "maxCost: 0.03"));
    let said = run(&home, 4, &["--max-cost", "1"]).stderr;
    assert!(
        said.contains("what others may cost is not known either"),
        "{said}"
    );
}

#[test]
fn a_plan_counts_the_bound_and_says_where_there_is_none() {
    let plan = |executor: &str| {
        let home = with(executor);
        let plan = home
            .ends(0, &["plan", "flow.js", "--demo", "--json"])
            .stdout;
        let plan: serde_json::Value = serde_json::from_str(&plan).unwrap();
        (
            plan["forecast"]["ceiling"].clone(),
            home.ends(0, &["check", "flow.js", "--demo"]).stdout,
        )
    };
    let (ceiling, _) = plan(&format!("{LEAVES_A_MARK}\ncost = '$0.50'"));
    assert_eq!(ceiling, 0.5);
    let (_, checked) = plan(REPORTS);
    assert!(checked.contains("1 task may cost anything"), "{checked}");
    assert!(checked.contains("[executors.agent]"), "{checked}");
}

#[test]
fn settings_that_make_no_sense_are_refused() {
    let refused = |settings: &str| {
        let home = Home::with("flow.js", FLOW);
        home.write("divisi.toml", settings);
        home.ends(0, &["trust"]);
        run(&home, 2, &[]).stderr
    };
    let said = refused("[executors.shell]\ncommand = ['x']\n");
    assert!(
        said.contains("there is an executor `shell` already"),
        "{said}"
    );
    let free = format!("[executors.agent]\n{REPORTS}\ncost = 'free'\n");
    let home = Home::with("flow.js", FLOW);
    home.write("divisi.toml", &free);
    let said = home.ends(2, &["run", "flow.js"]).stderr;
    assert!(
        said.contains("a program is not free that says in `cost` what it costs"),
        "{said}"
    );
}
