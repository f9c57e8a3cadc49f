//! What a user at a terminal sees while a run is under way.

use crate::home::Home;
use crate::terminal::Screen;
use divisi_mock::{Config, MockThread};

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
