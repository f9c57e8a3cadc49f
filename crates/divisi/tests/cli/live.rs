//! What a user at a terminal sees while a run is under way.

use crate::home::Home;
use crate::terminal::Screen;
use divisi_mock::{Config, Latency, MockThread};
use rustix::process::Signal;
use rustix::termios::LocalModes;

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

/// Two agents whose replies take longer than a test looks at them.
fn slow() -> (MockThread, Home) {
    let vendor = MockThread::start(Config {
        latency: Latency {
            first_byte_ms: 60_000,
            ..Latency::default()
        },
        ..Config::default()
    });
    let home = home(&vendor);
    (vendor, home)
}

const SLOW: [&str; 6] = [
    "map",
    "Review {} for holes",
    "auth",
    "user",
    "--model",
    "haiku",
];

/// Whether the terminal prints what is typed and passes it on line by line.
fn is_usual(screen: &Screen) -> bool {
    let usual = LocalModes::ICANON | LocalModes::ECHO;
    screen.modes().local_modes.contains(usual)
}

#[test]
fn keys_look_into_a_task_and_park_the_run() {
    let (_vendor, home) = slow();
    let mut screen = Screen::of(home.divisi(&SLOW));
    screen.wait_for("? keys");
    screen.wait_for("2 running");
    screen.types("\x1b[B\x1b[B");
    screen.wait_for("› Map           user");
    assert!(!is_usual(&screen));
    screen.types("\r");
    screen.wait_for("prompt  Review user for holes");
    screen.types("?");
    screen.wait_for("esc back, p park");
    screen.types("\x1b");
    screen.wait_for("› Map           user");
    screen.types("p");
    screen.wait_for("parking: waiting for 2 requests to finish");
    screen.types("p");
    screen.types("q");
    screen.wait_for("stopping: ");
    assert_eq!(screen.ends(), Some(130));
    assert!(is_usual(&screen), "{}", screen.contents());
    assert!(!screen.contents().contains("^["), "{}", screen.contents());
}

#[test]
fn the_terminal_is_as_before_after_a_signal() {
    let (_vendor, home) = slow();
    let mut screen = Screen::of(home.divisi(&SLOW));
    screen.wait_for("2 running");
    while is_usual(&screen) {
        std::thread::yield_now();
    }
    screen.signals(Signal::QUIT);
    assert_eq!(screen.ends(), Some(128 + 3));
    assert!(is_usual(&screen));
    let shown = screen.contents();
    assert!(!shown.contains("2 running"), "a frame stays:\n{shown}");
}
