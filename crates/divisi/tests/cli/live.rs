//! What a user at a terminal sees while a run is under way.

use crate::home::Home;
use crate::terminal::Screen;
use divisi_mock::{Config, Latency, MockThread};
use rustix::process::Signal;

fn home(vendor: &MockThread) -> Home {
    Home::new()
        .variable("ANTHROPIC_API_KEY", "sk-ant-1")
        .variable("ANTHROPIC_BASE_URL", vendor.url())
}

#[test]
fn the_result_comes_before_the_last_lines() {
    let vendor = MockThread::start(Config::default());
    let home = home(&vendor);
    let args = ["map", "Review {}", "auth", "user", "--model", "haiku"];
    let mut screen = Screen::of(home.divisi(&args));
    assert_eq!(screen.ends(), Some(0));
    let shown = screen.contents();
    let place = |what: &str| {
        shown
            .find(what)
            .unwrap_or_else(|| panic!("no {what}\n{shown}"))
    };
    assert!(place("## auth") < place("## user"), "{shown}");
    assert!(place("## user") < place("2 ok"), "{shown}");
    assert!(!shown.contains("to go"), "a frame stays:\n{shown}");
}

/// Two agents whose replies take longer than a test looks at them. Of two models, so that neither waits
/// for the prefix that the other one writes to the cache.
fn slow() -> (MockThread, Home) {
    let vendor = MockThread::start(Config {
        latency: Latency {
            first_byte_ms: 600_000,
            ..Latency::default()
        },
        ..Config::default()
    });
    let home = home(&vendor);
    home.write(
        "slow.js",
        "export const meta = { name: 'slow', description: 'd' };\n\
         const review = (label, model) =>\n  \
           agent(`Review ${label} for holes`, { label, model, phase: 'Map', tools: [] });\n\
         await Promise.all([review('auth', 'haiku'), review('user', 'sonnet')]);\n",
    );
    (vendor, home)
}

const SLOW: [&str; 2] = ["run", "slow.js"];

#[test]
fn keys_look_into_a_task_and_park_the_run() {
    let (_vendor, home) = slow();
    let mut screen = Screen::of(home.divisi(&SLOW));
    screen.wait_for_keys();
    screen.wait_for("2 running");
    screen.types("\x1b[B\x1b[B");
    screen.wait_for("› Map           user");
    assert!(!screen.is_usual());
    screen.types("\r");
    screen.wait_for("prompt  Review user for holes");
    screen.types("?");
    screen.wait_for("esc back, p park");
    screen.types("\x1b");
    screen.wait_for("› Map           user");
    screen.types("-");
    screen.wait_for("tasks at a time from now on 1");
    screen.types("+");
    screen.wait_for("tasks at a time from now on 2");
    // Pressed twice, it is no request to stop at once.
    screen.types("pp");
    screen.wait_for("parking: waiting for 2 requests to finish");
    screen.types("q");
    screen.wait_for("stopping: ");
    assert_eq!(screen.ends(), Some(130));
    assert!(screen.is_usual(), "{}", screen.contents());
    assert!(!screen.contents().contains("^["), "{}", screen.contents());
}

#[test]
fn the_terminal_is_as_before_after_a_signal() {
    let (_vendor, home) = slow();
    let mut screen = Screen::of(home.divisi(&SLOW));
    screen.wait_for("2 running");
    screen.wait_for_keys();
    screen.signals(Signal::QUIT);
    assert_eq!(screen.ends(), Some(128 + 3));
    assert!(screen.is_usual());
    let shown = screen.contents();
    assert!(!shown.contains("2 running"), "a frame stays:\n{shown}");
}

#[test]
fn a_key_sets_the_cap_of_the_run() {
    let (_vendor, home) = slow();
    let mut screen = Screen::of(home.divisi(&SLOW));
    screen.wait_for("2 running");
    screen.wait_for_keys();
    // Keys that mean something else meanwhile are not obeyed.
    screen.types("cp25\x7f.5");
    screen.wait_for("cap in dollars: 2.5_  enter sets it, esc leaves it as it is");
    screen.types("\r");
    screen.wait_for("cap from now on $2.50");
    screen.wait_for(", cap $2.50");
    screen.types("c9\x1b");
    screen.types("c..\r");
    screen.wait_for("warning: `..` is no amount of dollars");
    assert!(
        !screen.contents().contains("parking"),
        "{}",
        screen.contents()
    );
    let said = home.ends(0, &["cap", "last", "3"]).stderr;
    assert!(said.ends_with("is $3.00 from now on"), "{said}");
    screen.wait_for(", cap $3.00");
    screen.types("q");
    screen.wait_for("parking: ");
    screen.types("q");
    assert_eq!(screen.ends(), Some(130), "{}", screen.contents());
    let said = home.ends(2, &["cap", "last", "4"]).stderr;
    assert!(said.contains("no process drives run"), "{said}");
    assert!(said.contains("--max-cost 4.00"), "{said}");
}

#[test]
fn a_cap_below_what_is_spent_is_refused() {
    let vendor = MockThread::start(Config::default());
    let home = home(&vendor);
    home.write(
        "held.js",
        "export const meta = { name: 'held', description: 'd' };\n\
         await agent('Say something', { label: 'first', tools: [] });\n\
         await shell('until [ -e go ]; do sleep 0.05; done');\n",
    );
    let mut screen = Screen::of(home.divisi(&["run", "held.js", "--allow", "run"]));
    screen.wait_for("1 ok");
    screen.wait_for_keys();
    screen.types("c0\r");
    screen.wait_for("warning: the cap cannot be $0.0000: $0.0");
    let said = home.ends(2, &["cap", "last", "0"]).stderr;
    assert!(said.contains("are spent already"), "{said}");
    assert!(said.contains("`divisi park"), "{said}");
    home.write("go", "");
    assert_eq!(screen.ends(), Some(0), "{}", screen.contents());
}
