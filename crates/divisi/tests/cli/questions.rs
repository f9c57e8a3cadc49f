//! Questions on a terminal that something else uses, too: an editor, the display, results.

use crate::confirm::{APPROVE, editor, planner};
use crate::home::Home;
use crate::stopping::wait_until;
use crate::terminal::{Screen, at_a_terminal};
use std::process::Command;

#[test]
fn an_open_editor_keeps_the_terminal_although_its_question_is_withdrawn() {
    let place = planner();
    let script = "touch ../opened; read line; echo \"$line\" > ../typed\n";
    let mut command = place.home.divisi(&APPROVE);
    command.env("EDITOR", editor(&place, script));
    let mut screen = Screen::of(command);
    screen.wait_for("carry out this plan? [yes/no/edit/later]");
    screen.types("edit\n");
    wait_until(|| place.home.folder().join("../opened").exists());
    place.home.ends(0, &["answer", "last", "approval", "yes"]);
    // The run is over, but neither its report nor its keys get in the way of the editor.
    wait_until(|| {
        let runs = place
            .home
            .ends(0, &["runs", "--json", "--jq", ".[].status"]);
        runs.stdout == "ok"
    });
    screen.types("still mine\n");
    assert_eq!(screen.ends(), Some(0), "{}", screen.contents());
    assert_eq!(place.home.read("../typed"), "still mine\n");
    let shown = screen.contents();
    let place = |what: &str| {
        shown
            .find(what)
            .unwrap_or_else(|| panic!("no {what}\n{shown}"))
    };
    assert!(
        place("still mine") < place("approval · answered"),
        "{shown}"
    );
}

#[test]
fn an_edited_plan_that_cannot_be_shown_is_dropped_and_the_question_asked_again() {
    let place = planner();
    let script = "sed -i 's/model: opus/model: no-such-model/' \"$1\"\n";
    let mut command = place.home.divisi(&APPROVE);
    command.env("EDITOR", editor(&place, script));
    let (code, shown) = at_a_terminal(command, "edit\nno");
    assert_eq!(code, Some(1), "{shown}");
    assert!(shown.contains("no-such-model"), "{shown}");
    assert_eq!(shown.matches("carry out this plan?").count(), 2, "{shown}");
    assert!(shown.contains("the plan was not approved"), "{shown}");
}

#[test]
fn an_editor_gets_the_terminal_where_results_go_into_a_file() {
    let place = planner();
    let script = "test -t 0 && test -t 1 && touch ../has_terminal\n";
    let given = place.home.divisi(&APPROVE);
    let mut command = Command::new("sh");
    command
        .args(["-c", "exec \"$0\" \"$@\" > ../result"])
        .arg(given.get_program())
        .args(given.get_args())
        .current_dir(place.home.folder());
    for (name, value) in given.get_envs() {
        command.env(name, value.unwrap());
    }
    command.env("EDITOR", editor(&place, script));
    let mut screen = Screen::of(command);
    screen.wait_for("carry out this plan? [yes/no/edit/later]");
    screen.types("edit\nyes\n");
    assert_eq!(screen.ends(), Some(0), "{}", screen.contents());
    assert!(place.home.folder().join("../has_terminal").exists());
    assert!(place.home.read("../result").contains("## design"));
}

/// Asks, and does something beside it.
const BESIDE: &str = "\
export const meta = { name: 'gate', description: 'Asks a person' };
const [go] = await Promise.all([
  approve('Deploy to production?', { label: 'deploy' }),
  shell('until [ -e go ]; do sleep 0.05; done; echo built', { label: 'beside' }),
]);
return go;
";

#[test]
fn streamed_results_wait_for_the_answer() {
    let home = Home::with("gate.js", BESIDE);
    let mut screen =
        Screen::of(home.divisi(&["run", "gate.js", "--demo", "--stream", "--allow", "run"]));
    let prompt = "your answer [yes/no/later]";
    screen.wait_for(prompt);
    home.write("go", "");
    wait_until(|| {
        home.ends(0, &["show", "last", "--json", "--jq", ".ok"])
            .stdout
            == "1"
    });
    screen.types("yes\n");
    assert_eq!(screen.ends(), Some(0), "{}", screen.contents());
    let shown = screen.contents();
    let answered = shown.find(&format!("{prompt} yes\n"));
    let answered = answered.unwrap_or_else(|| panic!("something is within it\n{shown}"));
    assert!(shown.find("## beside").unwrap() > answered, "{shown}");
}

#[test]
fn an_answer_that_is_too_long_is_refused_as_a_whole() {
    let home = Home::with(
        "ask.js",
        "export const meta = { name: 'ask', description: 'Asks a person' };\n\
         return await agent('What is its name?', { executor: 'person', label: 'name' });\n",
    );
    let mut screen = Screen::of(home.divisi(&["run", "ask.js", "--demo"]));
    screen.wait_for("your answer (or `later`):");
    screen.types(&format!("{}\n", "x".repeat(5_000)));
    screen.wait_for("please type an answer, or `later`:");
    let long = "y".repeat(2_000);
    screen.types(&format!("{long}\n"));
    assert_eq!(screen.ends(), Some(0), "{}", screen.contents());
    assert_eq!(home.ends(0, &["resume", "last"]).stdout, long);
}
