//! Questions to a person: where they are asked, who may answer, and what holds without an answer.

use crate::answer::wait_for_question;
use crate::home::Home;
use crate::stopping::wait_until;
use crate::terminal::at_a_terminal;
use std::process::{Child, Stdio};

const HEAD: &str = "export const meta = { name: 'gate', description: 'Asks a person' };\n";

/// A flow that asks with these options, and does something beside it.
fn flow(options: &str) -> String {
    format!(
        "{HEAD}const [go] = await Promise.all([\n  \
           approve('Deploy to production?', {{ label: 'deploy', {options} }}),\n  \
           agent('Say something', {{ label: 'beside', tools: [] }}),\n]);\n\
         return typeof go === 'boolean' ? (go ? 'deployed' : 'left') : `chose ${{go}}`;\n"
    )
}

const RUN: [&str; 3] = ["run", "gate.js", "--demo"];
const RESUME: [&str; 2] = ["resume", "last"];

/// A home with a run that waits for the answer of `deploy`.
fn parked(options: &str) -> Home {
    let home = Home::with("gate.js", &flow(options));
    home.ends(4, &RUN);
    home
}

/// A run of the gate whose other task goes on until there is a file `go`.
struct Driven {
    home: Home,
    child: Child,
}

impl Driven {
    fn new(options: &str) -> Self {
        let flow = flow(options).replace(
            "agent('Say something', { label: 'beside', tools: [] })",
            "shell('until [ -e go ]; do sleep 0.05; done')",
        );
        let home = Home::with("gate.js", &flow);
        let child = Self::start(&home, &[&RUN[..], &["--allow", "run"]].concat());
        Self { home, child }
    }

    fn start(home: &Home, args: &[&str]) -> Child {
        let child = home
            .divisi(args)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        wait_for_question(home);
        child
    }

    /// Lets the other task end; returns the exit code and what the run has printed.
    fn goes(self) -> (Option<i32>, String, String) {
        self.home.write("go", "");
        let output = self.child.wait_with_output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim_end().to_owned();
        (
            output.status.code(),
            text(&output.stdout),
            text(&output.stderr),
        )
    }
}

#[test]
fn in_a_pipe_the_run_parks_and_says_how_to_answer() {
    let home = Home::with("gate.js", &flow(""));
    let said = home.ends(4, &RUN).stderr;
    let id = home.last();
    for part in [
        "? deploy · waits for an answer (yes, no): ",
        &format!("`divisi answer {id} t0 VALUE`"),
        "1 task waits for an answer, and nothing else is left to do",
        "answer `deploy`: yes, no",
    ] {
        assert!(said.contains(part), "{part}\n{said}");
    }
    let said = home
        .ends(2, &["answer", "last", "deploy", "perhaps"])
        .stderr;
    assert!(said.contains("it is none of yes, no"), "{said}");
    let said = home.ends(0, &["answer", "last", "deploy", "yes"]).stderr;
    assert!(said.contains("`divisi resume"), "{said}");
    assert_eq!(home.ends(0, &RESUME).stdout, "deployed");
}

#[test]
fn in_a_pipe_and_in_ci_a_default_holds_at_once() {
    let home = Home::with("gate.js", &flow("default: false, timeout: '1h'"));
    let said = home.ends(0, &RUN);
    assert_eq!(said.stdout, "left");
    let told = "deploy · no person can be asked here; its default holds: no";
    assert!(said.stderr.contains(told), "{}", said.stderr);
    let said = home.ends(1, &["answer", "last", "deploy", "yes"]).stderr;
    assert!(said.contains("has taken its default already"), "{said}");
    // A CI system may have a terminal that no person looks at.
    let mut command = home.divisi(&RUN);
    command.env("CI", "true");
    let (code, shown) = at_a_terminal(command, "yes");
    assert_eq!(code, Some(0), "{shown}");
    assert!(shown.contains(told), "{shown}");
}

#[test]
fn on_a_terminal_it_is_asked_while_the_run_goes_on() {
    let home = Home::with("gate.js", &flow("show: { version: 3 }, default: false"));
    let (code, shown) = at_a_terminal(home.divisi(&RUN), "yes");
    assert_eq!(code, Some(0), "{shown}");
    for part in [
        "? deploy",
        "  Deploy to production?",
        "\"version\": 3",
        "your answer [yes/no/later] ",
        "deploy · answered: yes",
    ] {
        assert!(shown.contains(part), "{part}\n{shown}");
    }
    assert!(home.ends(0, &["show", "last"]).stdout.contains("2 ok"));
}

#[test]
fn several_questions_are_asked_one_after_the_other() {
    let flow = format!(
        "{HEAD}const all = await Promise.all(['a', 'b', 'c'].map((label) => approve('Go on?', {{ label }})));\n\
         return all.join(' ');\n"
    );
    let home = Home::with("gate.js", &flow);
    let (code, shown) = at_a_terminal(home.divisi(&RUN), "yes\nno\ny");
    assert_eq!(code, Some(0), "{shown}");
    let asked: Vec<_> = ["? a", "? b", "? c"]
        .iter()
        .map(|part| shown.find(part))
        .collect();
    assert!(asked.is_sorted() && asked[0].is_some(), "{shown}");
    assert_eq!(home.ends(0, &RESUME).stdout, "true false true");
}

#[test]
fn what_is_put_off_parks_and_is_asked_again_by_a_resume() {
    let home = Home::with("gate.js", &flow("choices: ['staging', 'production']"));
    let (code, shown) = at_a_terminal(home.divisi(&RUN), "later");
    assert_eq!(code, Some(4), "{shown}");
    assert!(shown.contains("[staging/production/later]"), "{shown}");
    let (code, shown) = at_a_terminal(home.divisi(&RESUME), "nowhere\nst");
    assert_eq!(code, Some(0), "{shown}");
    assert!(
        shown.contains("please answer with one of [staging/production/later]"),
        "{shown}"
    );
    assert_eq!(home.ends(0, &RESUME).stdout, "chose staging");
}

#[test]
fn a_process_that_drives_the_run_goes_on_with_an_answer_from_another() {
    let driven = Driven::new("");
    let said = driven
        .home
        .ends(0, &["answer", "last", "deploy", "yes"])
        .stderr;
    assert_eq!(said, "t0 is answered; the run goes on with it");
    let said = driven
        .home
        .ends(1, &["answer", "last", "deploy", "no"])
        .stderr;
    assert!(said.contains("is answered already"), "{said}");
    let (code, stdout, stderr) = driven.goes();
    assert_eq!((code, &*stdout), (Some(0), "deployed"), "{stderr}");
    assert!(stderr.contains("deploy · answered: yes"), "{stderr}");
}

#[test]
fn of_many_who_answer_at_once_one_is_heard() {
    let answers = |home: &Home| {
        let start = |word: &str| {
            home.divisi(&["answer", "last", "deploy", word])
                .stderr(Stdio::null())
                .spawn()
                .unwrap()
        };
        let mut all: Vec<Child> = ["yes", "no", "yes", "no"].map(start).into();
        let mut codes: Vec<_> = all
            .iter_mut()
            .map(|child| child.wait().unwrap().code())
            .collect();
        codes.sort_unstable();
        codes
    };
    let one = [Some(0), Some(1), Some(1), Some(1)];
    let driven = Driven::new("");
    assert_eq!(answers(&driven.home), one, "another process drives it");
    let (code, stdout, stderr) = driven.goes();
    assert_eq!(code, Some(0), "{stderr}");
    assert!(["deployed", "left"].contains(&&*stdout), "{stdout}");
    let home = parked("");
    assert_eq!(answers(&home), one, "nothing drives it");
    home.ends(0, &RESUME);
}

#[test]
fn neither_question_nor_answer_is_lost_with_the_process() {
    // Asked, and killed.
    let mut driven = Driven::new("timeout: '24h'");
    driven.child.kill().unwrap();
    driven.child.wait().unwrap();
    let asked = driven.home.ends(0, &["show", "last", "deploy"]).stdout;
    assert_eq!(asked.matches("attempt 1").count(), 1, "{asked}");
    // Answered while nothing drives it, and taken up by a process that is killed, too.
    driven.home.ends(0, &["answer", "last", "deploy", "yes"]);
    let resume = [&RESUME[..], &["--allow", "run"]].concat();
    let mut again = driven
        .home
        .divisi(&resume)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let is_driven = || {
        let parked = driven.home.divisi(&["show", "last"]).output().unwrap();
        String::from_utf8_lossy(&parked.stdout).contains("running")
    };
    wait_until(is_driven);
    again.kill().unwrap();
    again.wait().unwrap();
    driven.home.write("go", "");
    let home = &driven.home;
    assert_eq!(home.ends(0, &resume).stdout, "deployed");
    let asked = home.ends(0, &["show", "last", "deploy"]).stdout;
    assert!(!asked.contains("attempt 2"), "it was asked once: {asked}");
}

#[test]
fn an_answer_whose_sender_and_driver_have_died_counts() {
    let mut driven = Driven::new("");
    // Stopped, so that the message stays in the inbox.
    let pid = rustix::process::Pid::from_child(&driven.child);
    rustix::process::kill_process(pid, rustix::process::Signal::STOP).unwrap();
    let mut sender = driven
        .home
        .divisi(&["answer", "last", "deploy", "yes"])
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let store = driven.home.folder().join("../.local/share/divisi/runs.db");
    let sent = || {
        let store = rusqlite::Connection::open(&store).unwrap();
        let count = store.query_row("SELECT count(*) FROM inbox", [], |row| row.get::<_, i64>(0));
        count.is_ok_and(|count| count == 1)
    };
    wait_until(sent);
    sender.kill().unwrap();
    sender.wait().unwrap();
    driven.child.kill().unwrap();
    driven.child.wait().unwrap();
    driven.home.write("go", "");
    let resume = [&RESUME[..], &["--allow", "run"]].concat();
    assert_eq!(driven.home.ends(0, &resume).stdout, "deployed");
    let said = driven
        .home
        .ends(1, &["answer", "last", "deploy", "no"])
        .stderr;
    assert!(said.contains("is answered already"), "{said}");
}

#[test]
fn the_end_of_its_time_is_kept_over_a_resume() {
    let home = parked("timeout: '6s'");
    // Until then the run parks again.
    let mut said = String::new();
    wait_until(|| {
        let resumed = home.divisi(&RESUME).output().unwrap();
        said = String::from_utf8_lossy(&resumed.stderr).into_owned();
        resumed.status.code() == Some(1)
    });
    assert!(
        said.contains("there was no answer within 6s, and it has no default"),
        "{said}"
    );
    let said = home.ends(1, &["answer", "last", "deploy", "yes"]).stderr;
    assert!(said.contains("was not answered in time"), "{said}");
}

#[test]
fn on_a_terminal_it_waits_no_longer_than_its_time() {
    let home = Home::with("gate.js", &flow("timeout: '4s', default: false"));
    // A line that is no answer: the question stays open until its time is over.
    let (code, shown) = at_a_terminal(home.divisi(&RUN), "hm");
    assert_eq!(code, Some(0), "{shown}");
    assert!(shown.contains("then the answer is no"), "{shown}");
    assert!(
        shown.contains("deploy · no answer came in time; its default holds: no"),
        "{shown}"
    );
}

#[test]
fn a_run_can_be_parked_from_elsewhere() {
    let driven = Driven::new("");
    let said = driven.home.ends(0, &["park"]).stderr;
    assert!(
        said.contains("parks: what is under way is finished first"),
        "{said}"
    );
    let said = driven.home.ends(0, &["park"]).stderr;
    assert!(said.contains("parks already"), "{said}");
    let Driven { home, child } = driven;
    home.write("go", "");
    assert_eq!(child.wait_with_output().unwrap().status.code(), Some(4));
    assert!(home.ends(0, &["park"]).stderr.contains("is parked already"));
    home.ends(0, &["answer", "last", "deploy", "yes"]);
    let resume = [&RESUME[..], &["--allow", "run"]].concat();
    assert_eq!(home.ends(0, &resume).stdout, "deployed");
    let said = home.ends(2, &["park"]).stderr;
    assert!(said.contains("no process drives run"), "{said}");
}

#[test]
fn a_mistake_in_a_question_is_told_before_anything_is_asked() {
    for (options, said) in [
        (
            "choices: ['a'], default: 'b'",
            "the default \"b\" is none of a",
        ),
        ("choices: []", "there is nothing to choose from"),
        ("choices: ['Later']", "`later` puts the question off"),
        ("timeout: 'soon'", "the option `timeout`"),
    ] {
        let home = Home::with("gate.js", &flow(options));
        let told = home.ends(1, &RUN).stderr;
        assert!(told.contains(said), "{options}: {told}");
    }
}

const PLAN: &str = "\
tasks:
  - id: draft
    prompt: Draft a migration
  - id: go
    approve:
      question: Carry it out?
      show: '{{draft}}'
  - id: migrate
    needs: [go]
    prompt: Carry out {{draft}}
  - id: notes
    prompt: Write notes of {{draft}}
";

#[test]
fn in_a_plan_what_needs_a_refused_approval_does_not_run() {
    let home = Home::with("plan.yaml", PLAN);
    let run = ["run", "plan.yaml", "--demo"];
    let (code, shown) = at_a_terminal(home.divisi(&run), "no");
    assert_eq!(code, Some(3), "{shown}");
    assert!(
        shown.contains("1 task did not run: `go` was not approved"),
        "{shown}"
    );
    let result = home.ends(3, &["resume", "last", "--again"]).stdout;
    assert!(
        result.contains("## migrate\n\n(no result: `go` was not approved)"),
        "{result}"
    );
    assert!(result.contains("## notes"), "{result}");
    let (code, shown) = at_a_terminal(home.divisi(&run), "yes");
    assert_eq!(code, Some(0), "{shown}");
}

#[test]
fn in_a_plan_a_question_has_no_options_of_an_agent() {
    let home = Home::with(
        "plan.yaml",
        &PLAN.replace("  - id: go\n", "  - id: go\n    model: opus\n"),
    );
    let said = home.ends(2, &["run", "plan.yaml", "--demo"]).stderr;
    assert!(said.contains("options that only an agent has"), "{said}");
    assert!(said.contains("plan.yaml:5:"), "{said}");
    let home = Home::with(
        "plan.yaml",
        &PLAN.replace("question: Carry it out?", "ask: Carry it out?"),
    );
    let said = home.ends(2, &["run", "plan.yaml", "--demo"]).stderr;
    assert!(said.contains("there is no field `ask`"), "{said}");
}

#[test]
fn a_plan_shows_the_question_and_what_follows_a_yes() {
    let home = Home::with("plan.yaml", PLAN);
    let planned = home.ends(0, &["plan", "plan.yaml"]).stdout;
    assert!(planned.contains("4 tasks"), "{planned}");
    let flow = format!(
        "{HEAD}if (await approve('Go on?', {{ default: false }})) await agent('Do it', {{ tools: [] }});\n"
    );
    home.write("gate.js", &flow);
    let planned = home.ends(0, &["plan", "gate.js"]).stdout;
    assert!(planned.contains("2 tasks"), "{planned}");
    home.ends(0, &["check", "gate.js"]);
}

const SETTINGS: &str = "../.config/divisi/config.toml";

/// A server that takes one request and answers with `status`; its address, and what it was sent.
fn webhook(status: &'static str) -> (String, std::thread::JoinHandle<String>) {
    use std::io::{Read, Write};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!(
        "http://{}/hook?token=s3cret",
        listener.local_addr().unwrap()
    );
    let served = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut request = vec![];
        let mut piece = [0; 4096];
        loop {
            let read = stream.read(&mut piece).unwrap();
            request.extend_from_slice(&piece[..read]);
            let text = String::from_utf8_lossy(&request).into_owned();
            let is_whole = text.split_once("\r\n\r\n").is_some_and(|(head, body)| {
                let length = head.to_lowercase();
                let length = length.split("content-length: ").nth(1).unwrap_or("0");
                let length = length
                    .lines()
                    .next()
                    .unwrap_or("0")
                    .trim()
                    .parse()
                    .unwrap_or(0);
                body.len() >= length
            });
            if is_whole || read == 0 {
                write!(
                    stream,
                    "HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
                )
                .unwrap();
                return text;
            }
        }
    });
    (address, served)
}

#[test]
fn a_program_and_an_address_are_told_and_get_no_prompt() {
    let home = Home::with("gate.js", &flow("")).variable("ANTHROPIC_API_KEY", "sk-ant-secret-1");
    let (address, served) = webhook("204 No Content");
    home.write(
        "told.sh",
        "cat >> ../told; env >> ../told; echo \"$1\" >> ../told",
    );
    let settings = format!(
        "[notify]\ncommand = ['sh', 'told.sh', '{{text}}']\nwebhook = '{address}'\non = ['question']\n"
    );
    home.write(SETTINGS, &settings);
    let said = home.ends(4, &RUN).stderr;
    assert!(!said.contains("warning"), "{said}");
    let told = home.read("../told");
    let id = home.last();
    let text = format!("gate {id} asks: deploy");
    assert!(told.contains(&format!("\"text\":\"{text}\"")), "{told}");
    assert!(told.lines().any(|line| line == text), "{told}");
    for secret in ["sk-ant-secret-1", "Deploy to production?"] {
        assert!(!told.contains(secret), "{told}");
    }
    let request = served.join().unwrap();
    assert!(request.starts_with("POST /hook?token=s3cret "), "{request}");
    assert!(request.contains("\"occasion\":\"question\""), "{request}");
}

#[test]
fn a_notice_that_fails_is_warned_of_once_and_fails_nothing() {
    let home = Home::with("gate.js", &flow("default: true"));
    let (address, served) = webhook("500 Oh");
    home.write(SETTINGS, &format!("[notify]\nwebhook = '{address}'\n"));
    let said = home.ends(0, &RUN).stderr;
    served.join().unwrap();
    assert_eq!(
        said.matches("you may not be told of this run").count(),
        1,
        "{said}"
    );
    assert!(said.contains("127.0.0.1 answered with 500"), "{said}");
    assert!(!said.contains("s3cret"), "{said}");
    home.write(
        SETTINGS,
        "[notify]\ncommand = ['sh', '-c', 'sleep 600']\ntimeout = '100ms'\n",
    );
    let said = home.ends(0, &RUN).stderr;
    assert!(said.contains("you may not be told of this run"), "{said}");
}

#[test]
fn a_terminal_rings_and_a_pipe_gets_no_escapes() {
    let home = Home::with("gate.js", &flow(""));
    home.write(SETTINGS, "[notify]\nbell = true\ndesktop = true\n");
    let (code, shown) = at_a_terminal(home.divisi(&RUN), "yes");
    assert_eq!(code, Some(0), "{shown}");
    let id = home.last();
    let desktop = format!("\u{1b}]777;notify;divisi;gate {id} asks: deploy\u{7}");
    assert!(shown.contains(&desktop), "{shown:?}");
    assert!(
        shown.contains(&format!("\u{1b}]9;gate {id}: ok\u{7}")),
        "{shown:?}"
    );
    let said = home.ends(4, &RUN).stderr;
    assert!(!said.contains(['\u{7}', '\u{1b}']), "{said:?}");
}

#[test]
fn a_project_sends_no_notice_without_trust() {
    for setting in [
        "command = ['touch', '../told']",
        "webhook = 'http://127.0.0.1:9/'",
        "webhook_env = 'HOME'",
    ] {
        let home = Home::with("gate.js", &flow("default: true"));
        home.write("divisi.toml", &format!("[notify]\n{setting}\n"));
        let said = home.ends(2, &["run", "gate.js"]).stderr;
        assert!(said.contains("need your trust"), "{setting}: {said}");
        // A demo needs no trust.
        let said = home.ends(0, &RUN).stderr;
        assert!(
            said.contains("so this of it does not count: notify."),
            "{said}"
        );
        assert!(!said.contains("you may not be told"), "{said}");
        assert!(!home.folder().join("../told").exists());
    }
    let home = Home::with("gate.js", &flow("default: true"));
    home.write("divisi.toml", "[notify]\nbell = true\n");
    home.ends(0, &RUN);
}
