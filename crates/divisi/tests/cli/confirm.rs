//! The question before a run that may be dear, and looks at the patterns before they run.

use crate::home::Home;
use crate::terminal::at_a_terminal;
use divisi_mock::{Config, MockThread, Reply, Rule, When};
use std::process::Command;

/// Steps on opus that are expected to cost more than ten dollars together.
const STEPS: usize = 34;

/// A home whose vendor is a mock.
pub(crate) struct Place {
    pub(crate) home: Home,
    vendor: MockThread,
}

impl Place {
    fn new() -> Self {
        Self::of(Config::default())
    }

    fn of(config: Config) -> Self {
        let vendor = MockThread::start(config);
        let home = Home::new()
            .variable("ANTHROPIC_API_KEY", "sk-ant-1")
            .variable("ANTHROPIC_BASE_URL", vendor.url());
        Self { home, vendor }
    }

    pub(crate) fn requests(&self) -> u64 {
        self.vendor.stats().requests.values().sum()
    }

    /// Types `answer` where a pipe of opus steps is started with further arguments.
    fn ask(&self, steps: usize, more: &[&str], answer: &str) -> (Option<i32>, String) {
        let mut args = vec!["pipe", "--model", "opus"];
        args.extend(more);
        args.extend(["Go on"; STEPS].iter().take(steps));
        at_a_terminal(self.home.divisi(&args), answer)
    }
}

#[test]
fn a_dear_run_starts_only_after_a_yes() {
    let place = Place::new();
    let (code, shown) = place.ask(STEPS, &[], "no");
    assert_eq!((code, place.requests()), (Some(130), 0), "{shown}");
    for part in [
        "pipe · 34 tasks",
        "cost       about $",
        "budget     --max-cost ",
        "time       about ",
        "start it? [yes/no]",
        "not started; nothing was sent",
    ] {
        assert!(shown.contains(part), "{part}\n{shown}");
    }
    assert_eq!(place.ask(STEPS, &[], "").0, Some(130), "no is the default");
    assert_eq!(place.requests(), 0);
    assert_eq!(place.ask(STEPS, &[], "yes").0, Some(0));
    assert_eq!(place.requests(), STEPS as u64);
}

#[test]
fn nothing_is_asked_where_the_answer_is_known() {
    let place = Place::new();
    assert!(!place.ask(2, &[], "no").1.contains("start it?"));
    place.home.write("divisi.toml", "confirm_above = 0.01");
    for more in [
        &["--yes"][..],
        &["--max-cost", "0.01"],
        &["--quiet"],
        &["--demo"],
    ] {
        let (_, shown) = place.ask(1, more, "no");
        assert!(!shown.contains("start it?"), "{more:?}\n{shown}");
    }
    let runs = place.home.ends(0, &["runs"]).stdout;
    assert_eq!(runs.matches("pipe").count(), 5, "{runs}");
    // Not at a terminal.
    place.home.ends(0, &["pipe", "Go on", "--model", "opus"]);
}

#[test]
fn a_script_that_ends_early_in_its_dry_run_is_not_asked_about() {
    let place = Place::new();
    let flow = "export const meta = { name: 'f', description: 'd' };\n\
        const said = await agent('Judge this', { model: 'haiku' });\n\
        if (!said.startsWith('echo')) throw new Error(said);\nreturn said;\n";
    place.home.write("f.js", flow);
    let (code, shown) = at_a_terminal(place.home.divisi(&["run", "f.js"]), "no");
    assert_eq!((code, place.requests()), (Some(0), 1), "{shown}");
}

#[test]
fn the_amount_is_a_setting() {
    let place = Place::new();
    place.home.write("divisi.toml", "confirm_above = 0.01");
    let (code, shown) = place.ask(1, &[], "no");
    assert_eq!((code, place.requests()), (Some(130), 0), "{shown}");
}

#[test]
fn a_list_on_stdin_leaves_the_terminal_for_the_answer() {
    let place = Place::new();
    let divisi = place
        .home
        .divisi(&["map", "Look at {}", "-", "--model", "haiku"]);
    let mut command = Command::new("setsid");
    command
        .args(["-w", "-c", "sh", "-c", "seq 1500 | \"$0\" \"$@\""])
        .arg(divisi.get_program())
        .args(divisi.get_args())
        .current_dir(place.home.folder())
        .env_clear();
    command.envs(
        divisi
            .get_envs()
            .filter_map(|(name, value)| Some((name, value?))),
    );
    let (code, shown) = at_a_terminal(command, "no");
    assert!(shown.contains("map · 1,500 tasks"), "{shown}");
    assert_eq!((code, place.requests()), (Some(130), 0), "{shown}");
}

#[test]
fn a_pattern_is_planned_and_checked_without_a_request() {
    let place = Place::new();
    let shown = |args: &[&str]| place.home.ends(0, args).stdout;
    let map = ["map", "Analyze {}", "auth", "user", "--model", "haiku"];
    let planned = shown(&[&map[..], &["--plan"]].concat());
    assert!(planned.starts_with("map · 2 tasks · 1 wave"), "{planned}");
    assert!(planned.contains("cost       about $"), "{planned}");
    assert!(!planned.contains("map:"), "lines of our script: {planned}");
    assert!(
        !planned.contains("Gather"),
        "nothing is to be gathered: {planned}"
    );
    let checked = shown(&[&map[..], &["--check"]].concat());
    assert!(checked.contains("fan-out of 2"), "{checked}");
    let steps = shown(&["pipe", "Build", "Test", "Deploy", "--plan", "--json"]);
    let steps: serde_json::Value = serde_json::from_str(&steps).unwrap();
    assert_eq!(steps["waves"].as_array().unwrap().len(), 3);
    let goal = ["decompose", "Find the worst module", "--gather", "Sum up"];
    let planned = shown(&[&goal[..], &["--plan"]].concat());
    assert!(
        planned.contains("an agent plans the tasks: 3 assumed"),
        "{planned}"
    );
    assert!(shown(&[&goal[..], &["--check"]].concat()).contains("hierarchy"));
    assert_eq!(place.requests(), 0);
}

/// A planner that plans two tasks, one of which needs the other.
pub(crate) fn planner() -> Place {
    let task = |id: &str, prompt: &str, needs: &[&str]| {
        let (label, model) = (None::<&str>, (id == "design").then_some("opus"));
        serde_json::json!({"id": id, "prompt": prompt, "needs": needs, "label": label, "model": model})
    };
    let plan = serde_json::json!({"tasks": [
        task("find", "Find the files that parse input", &[]),
        task("design", "Design an async parser for {{find}}", &["find"]),
    ]});
    let planned = Rule::new(When::prompt("Split this goal"), Reply::Json(plan));
    Place::of(Config::default().rule(planned))
}

pub(crate) const APPROVE: [&str; 3] = ["decompose", "Port the parser", "--approve"];

#[test]
fn a_plan_is_carried_out_once_it_is_approved() {
    let place = planner();
    let (code, shown) = at_a_terminal(place.home.divisi(&APPROVE), "yes");
    assert_eq!((code, place.requests()), (Some(0), 3), "{shown}");
    for part in [
        "plan · 2 tasks · 2 waves",
        "claude-haiku-5-5 (it looks like search)",
        "claude-opus-5-5 (the flow asks for opus)",
        "cost       about $",
        "carry out this plan? [yes/no/edit/later]",
    ] {
        assert!(shown.contains(part), "{part}\n{shown}");
    }
    let (code, shown) = at_a_terminal(place.home.divisi(&APPROVE), "no");
    assert_eq!((code, place.requests()), (Some(1), 4), "{shown}");
    assert!(shown.contains("the plan was not approved"), "{shown}");
}

#[test]
fn a_plan_can_be_approved_later_and_from_elsewhere() {
    let place = planner();
    let parked = place.home.ends(4, &APPROVE).stderr;
    assert!(parked.contains("plan · 2 tasks · 2 waves"), "{parked}");
    assert_eq!(place.requests(), 1);
    let asked = place.home.ends(0, &["show", "last", "approval"]).stdout;
    assert!(
        asked.contains("- design (after find): Design an async"),
        "{asked}"
    );
    let answer = |said: &str| place.home.ends(0, &["answer", "last", "approval", said]);
    answer("yes");
    let done = place.home.ends(0, &["resume", "last"]).stdout;
    assert!(done.contains("## design"), "{done}");
    assert_eq!(place.requests(), 3);

    place.home.ends(4, &APPROVE);
    answer("no");
    let refused = place.home.ends(1, &["resume", "last"]).stderr;
    assert!(refused.contains("the plan was not approved"), "{refused}");
    assert_eq!(place.requests(), 4);
}

/// An editor that does this to the file with the plan.
pub(crate) fn editor(place: &Place, script: &str) -> String {
    place.home.write("edit.sh", script);
    format!("sh {}", place.home.folder().join("edit.sh").display())
}

#[test]
fn a_plan_can_be_edited_before_it_is_approved() {
    let place = planner();
    // The first try has a mistake in line 7; the second one mends it.
    let editor = editor(
        &place,
        "if grep -q nowhere \"$1\"; then sed -i 's/nowhere/find/' \"$1\"; exit; fi\n\
         cat > \"$1\" <<'END'\n\
         tasks:\n  - id: find\n    prompt: Find the parser\n  - id: port\n\
         \x20   prompt: 'Port it: {{find}}'\n    model: haiku\n    needs: [nowhere]\nEND\n",
    );
    let mut command = place.home.divisi(&APPROVE);
    command.env("EDITOR", &editor);
    let (code, shown) = at_a_terminal(command, "edit\nyes\nyes");
    assert_eq!((code, place.requests()), (Some(0), 3), "{shown}");
    for part in [
        "carry out this plan? [yes/no/edit/later]",
        "plan.yaml:7:13",
        "task `port` needs `nowhere`, which is not in the plan",
        "edit it again? [yes/no]",
    ] {
        assert!(shown.contains(part), "{part}\n{shown}");
    }
    let done = place.home.ends(0, &["resume", "last", "--again"]).stdout;
    assert!(
        done.contains("## port") && !done.contains("## design"),
        "{done}"
    );
    assert_eq!(place.requests(), 3, "a resume uses the edited plan");
}

#[test]
fn a_plan_can_be_edited_from_elsewhere() {
    let place = planner();
    place.home.ends(4, &APPROVE);
    let editor = editor(
        &place,
        "sed -i 's/Design an async parser/Sketch a parser/' \"$1\"\n",
    );
    let mut command = place.home.divisi(&["answer", "last", "approval", "edit"]);
    command.env("VISUAL", &editor);
    assert_eq!(command.status().unwrap().code(), Some(0));
    place.home.ends(0, &["resume", "last"]);
    let asked = place.home.ends(0, &["show", "last", "design"]).stdout;
    assert!(asked.contains("Sketch a parser"), "{asked}");
}
