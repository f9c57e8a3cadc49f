//! Tasks that wait for a person.

use crate::home::Home;
use crate::stopping::wait_until;
use std::process::Stdio;

const FLOW: &str = "\
export const meta = { name: 'ask', description: 'Asks a person' };
const [answer, beside] = await Promise.all([
  agent('Deploy to production?', { executor: 'person', label: 'deploy' }),
  agent('Say something', { label: 'beside', tools: [] }),
]);
return answer === 'yes' ? 'deployed' : `left: ${answer}`;
";

/// Waits until the last run has one question without an answer.
pub(crate) fn wait_for_question(home: &Home) {
    wait_until(|| {
        let shown = home.divisi(&["show", "last"]).output().unwrap();
        String::from_utf8_lossy(&shown.stdout).contains("1 waiting for an answer")
    });
}

#[test]
fn the_run_rests_until_it_is_answered_and_goes_on_with_the_answer() {
    let home = Home::with("ask.js", FLOW);
    let said = home.ends(4, &["run", "ask.js", "--demo"]).stderr;
    assert!(
        said.contains("1 task waits for an answer, and nothing else is left to do"),
        "{said}"
    );
    let id = home.last();
    assert!(
        said.contains(&format!("divisi answer {id} t0 VALUE")),
        "{said}"
    );
    assert!(
        home.ends(0, &["show", "last"])
            .stdout
            .contains("1 waiting for an answer")
    );
    assert!(
        home.ends(0, &["show", "last", "deploy"])
            .stdout
            .contains("· waiting for an answer")
    );
    let said = home.ends(4, &["resume", "last"]).stderr;
    assert!(
        said.contains("1 reused"),
        "what was done beside it is kept: {said}"
    );

    let said = home.ends(0, &["answer", "last", "deploy", "yes"]).stderr;
    assert_eq!(
        said,
        format!("t0 is answered; `divisi resume {id}` goes on with it")
    );
    let said = home.ends(1, &["answer", "last", "deploy", "no"]).stderr;
    assert!(
        said.contains(&format!("t0 of run {id} is answered already")),
        "{said}"
    );
    assert_eq!(home.ends(0, &["resume", "last"]).stdout, "deployed");
    assert_eq!(
        home.ends(0, &["resume", "last"]).stdout,
        "deployed",
        "from the journal"
    );
}

#[test]
fn an_answer_has_to_fit_the_schema() {
    let schema =
        "{ type: 'object', properties: { approved: { type: 'boolean' } }, required: ['approved'] }";
    let flow = FLOW.replace(
        "label: 'deploy'",
        &format!("label: 'deploy', schema: {schema}"),
    );
    let flow = flow.replace("answer === 'yes'", "answer.approved");
    let home = Home::with("ask.js", &flow);
    home.ends(4, &["run", "ask.js", "--demo"]);
    for wrong in ["perhaps", "{\"approved\": 1}"] {
        let said = home.ends(2, &["answer", "last", "deploy", wrong]).stderr;
        assert!(said.contains("the answer does not fit: "), "{said}");
    }
    home.ends(0, &["answer", "last", "deploy", "{\"approved\": true}"]);
    assert_eq!(home.ends(0, &["resume", "last"]).stdout, "deployed");
}

#[test]
fn a_process_that_is_killed_while_a_person_is_asked_loses_neither_question_nor_answer() {
    let flow = FLOW.replace(
        "agent('Say something', { label: 'beside', tools: [] })",
        "shell('until [ -e go ]; do sleep 0.05; done')",
    );
    let home = Home::with("ask.js", &flow);
    let run = ["run", "ask.js", "--demo", "--allow", "run"];
    let mut child = home
        .divisi(&run)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    wait_for_question(&home);
    child.kill().unwrap();
    child.wait().unwrap();
    home.ends(0, &["answer", "last", "deploy", "yes"]);
    home.write("go", "");
    assert_eq!(
        home.ends(0, &["resume", "last", "--allow", "run"]).stdout,
        "deployed"
    );
    let asked = home.ends(0, &["show", "last", "deploy"]).stdout;
    assert_eq!(asked.matches("attempt 1").count(), 1, "{asked}");
    assert!(
        !asked.contains("attempt 2"),
        "it is not called lost: {asked}"
    );
}

#[test]
fn what_a_person_answers_is_not_checked() {
    let home = Home::with(
        "ask.js",
        &FLOW.replace("label: 'deploy'", "label: 'deploy', check: { schema: {} }"),
    );
    let said = home.ends(3, &["run", "ask.js", "--demo"]).stderr;
    assert!(
        said.contains("what a person answers is not checked"),
        "{said}"
    );
}

#[test]
fn the_task_may_be_left_out_if_only_one_waits_and_show_has_the_command() {
    let both = "\
export const meta = { name: 'ask', description: 'Asks a person twice' };
return Promise.all(['first', 'second'].map((label) => agent('Deploy?', { executor: 'person', label })));
";
    let home = Home::with("ask.js", both);
    home.ends(4, &["run", "ask.js", "--demo"]);
    let page = home.ends(0, &["show", "last"]).stdout;
    let commands = |page: &str| page.matches("divisi answer ").count();
    assert_eq!(commands(&page), 2, "{page}");
    let said = home.ends(2, &["answer", "last", "yes"]).stderr;
    assert!(
        said.contains("wait for an answer: t0 (first), t1 (second)"),
        "{said}"
    );
    home.ends(0, &["answer", "last", "first", "yes"]);
    home.ends(0, &["answer", "last", "no"]);
    let said = home.ends(2, &["answer", "last", "no"]).stderr;
    assert!(said.contains("no task of run"), "{said}");
    let result = home.ends(0, &["resume", "last"]).stdout;
    let result: Vec<String> = serde_json::from_str(&result).unwrap();
    assert_eq!(result, ["yes", "no"]);
}
