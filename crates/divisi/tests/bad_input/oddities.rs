//! Vendors that answer oddly.

use crate::support::Machine;
use crate::tools::{runs, told};
use divisi_mock::{Config, Oddity, Reply, Rule, When};
use insta::assert_snapshot;

/// A machine whose vendor answers with this oddity, `times` times.
fn odd(oddity: Oddity, times: Option<u32>) -> Machine {
    let rule = Rule {
        times,
        ..Rule::fault(When::any(), oddity)
    };
    Machine::new(Config {
        retry_after_ms: 1,
        ..Config::default().rule(rule)
    })
}

/// Attempts that cost something beside the replies that were used.
const BOOKED: &str = "SELECT count(*) FROM events
    WHERE json_extract(event, '$.event') = 'attempt_ended' AND json_extract(event, '$.cost') > 0";

#[test]
fn an_empty_answer_is_asked_for_once_more_and_then_no_success() {
    for oddity in [Oddity::Empty, Oddity::Blank] {
        let machine = odd(oddity, Some(1));
        let said = told(&machine, &["map", "look at {}", "a"]);
        assert!(
            said.starts_with("exit 0") && said.contains("echo"),
            "{said}"
        );
        assert_eq!(machine.requests(), 2, "{oddity:?}");
    }
    let machine = odd(Oddity::Empty, None);
    assert_snapshot!(told(&machine, &["map", "look at {}", "a"]), @r"
    exit 1
    [m:ss] map [run-id] started
    [m:ss] phase Map
    [m:ss] ✗ a · empty answer: the answer was empty, and again when the model was asked once more

    error: task `a` failed
      caused by: empty answer: the answer was empty, and again when the model was asked once more
      hint: ask another model, or raise `reply_tokens_max` for one that thinks at length

    map [run-id] failed: no task succeeded
    0 ok · 1 failed · [time] · [tokens] · [cost]
      divisi show [run-id]            what each task did
      divisi rerun [run-id] --failed  try the failed tasks again, keep the others
    stdout:
    ## a

    (no result: the answer was empty, and again when the model was asked once more)
    ");
    assert_eq!(machine.requests(), 2);
    assert_eq!(runs(&machine), ["map failed, 1 failed"]);
}

#[test]
fn a_stop_for_tools_without_a_call_is_said_once() {
    let machine = odd(Oddity::ToolStopWithoutCall, None);
    let said = told(&machine, &["map", "look at {}", "a"]);
    assert!(
        said.starts_with("exit 1") && said.contains("called none"),
        "{said}"
    );
    assert_eq!(machine.requests(), 2);
}

#[test]
fn an_error_under_the_status_of_success_is_one() {
    let machine = odd(Oddity::ErrorUnderOk, Some(1));
    let said = told(&machine, &["map", "look at {}", "a"]);
    assert!(
        said.starts_with("exit 0") && said.contains("waits: rate limited"),
        "{said}"
    );
    assert_eq!(machine.requests(), 2);
    assert_eq!(
        machine.count(BOOKED),
        0,
        "nothing was sent that costs anything"
    );
}

#[test]
fn an_odd_end_is_tried_again() {
    for oddity in [Oddity::OddStopReason, Oddity::NoStopReason] {
        let machine = odd(oddity, Some(1));
        let said = told(&machine, &["map", "look at {}", "a"]);
        assert!(
            said.starts_with("exit 0") && said.contains("2 attempts"),
            "{said}"
        );
        assert_eq!(
            (machine.requests(), machine.count(BOOKED)),
            (2, 1),
            "{oddity:?}"
        );
    }
}

#[test]
fn comments_for_ever_do_not_keep_a_task_alive() {
    let machine = odd(Oddity::CommentsForEver, None);
    std::fs::create_dir_all(machine.home().join(".config/divisi")).unwrap();
    let settings = "idle_timeout = \"200ms\"\n[retry]\nretries_max = 0\n";
    std::fs::write(machine.home().join(".config/divisi/config.toml"), settings).unwrap();
    let said = told(&machine, &["map", "look at {}", "a"]);
    assert!(
        said.starts_with("exit 1") && said.contains("stalled: no sign of progress"),
        "{said}"
    );
}

#[test]
fn zeros_are_no_bill() {
    let rule = Rule {
        fault: Some(Oddity::ZeroUsage.into()),
        ..Rule::new(When::any(), Reply::text("word ".repeat(2_000)))
    };
    let machine = Machine::new(Config::default().rule(rule));
    let tasks: Vec<String> = (0..20).map(|n| format!("t{n}")).collect();
    let mut args = vec!["map", "look at {}", "--max-cost", "0.10", "--jobs", "1"];
    args.extend(tasks.iter().map(String::as_str));
    let said = told(&machine, &args);
    assert!(
        said.starts_with("exit 4"),
        "the cap holds although nothing is counted: {said}"
    );
    assert!(machine.requests() < 20);
}
