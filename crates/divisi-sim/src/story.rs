//! The story of a simulation: one line per event.

use divisi_core::budget::TurnBound;
use divisi_core::event::{Caps, ParkReason};
use divisi_core::{Event, Outcome, PicoUsd, Timestamp};
use std::cell::RefCell;
use std::fmt::Write;
use std::rc::Rc;

/// Lines shown of a long story, at its beginning and at its end.
const FIRST_LINES: usize = 1_500;
const LAST_LINES: usize = 100;

/// A story being written, or a disabled one.
#[derive(Clone, Debug)]
pub(crate) struct Story(Option<Rc<RefCell<String>>>);

impl Story {
    pub(crate) fn told() -> Self {
        Self(Some(Rc::default()))
    }

    pub(crate) fn untold() -> Self {
        Self(None)
    }

    /// The text so far; of an endless story its beginning and its end.
    pub(crate) fn text(&self) -> String {
        let Some(text) = &self.0 else {
            return String::new();
        };
        let text = text.borrow();
        let lines: Vec<&str> = text.lines().collect();
        let Some(left_out) = lines
            .len()
            .checked_sub(FIRST_LINES + LAST_LINES)
            .filter(|more| *more > 0)
        else {
            return text.clone();
        };
        let (first, last) = (
            lines[..FIRST_LINES].join("\n"),
            lines[lines.len() - LAST_LINES..].join("\n"),
        );
        format!("{first}\n          … {left_out} lines …\n{last}\n")
    }

    /// Adds a line, which is formatted only if the story is enabled.
    pub(crate) fn tell(&self, at: Timestamp, line: impl FnOnce() -> String) {
        if let Some(text) = &self.0 {
            // Cannot fail: the target is a string.
            let _ = writeln!(text.borrow_mut(), "{:>7} ms  {}", at.0, line());
        }
    }
}

/// An event as one line.
pub(crate) fn line(event: &Event) -> String {
    match event {
        Event::RunStarted(started) => format!("started   {}", caps(&started.caps)),
        Event::RunResumed(resumed) => {
            let failed = if resumed.reopen_failed {
                ", failed tasks again"
            } else {
                ""
            };
            format!("resumed   {}{failed}", caps(&resumed.caps))
        }
        Event::CaughtUp { reused, to_run, .. } => {
            format!("caught up {reused} reused, {to_run} to run")
        }
        Event::PhaseStarted { title, cap: most } => {
            format!("phase     {title}, cap {}", cap(*most))
        }
        Event::Refused { refusal, count } => format!("refused   {count}: {refusal:?}"),
        Event::Uncaught { message, .. } => format!("uncaught  {message}"),
        Event::Logged { message } => format!("logged    {message}"),
        Event::TaskSubmitted(task) => {
            let first = task
                .facts
                .first_turns
                .first()
                .map(bound)
                .unwrap_or_default();
            let own = task
                .facts
                .cost_max
                .map(|most| format!(", own {}", most.0))
                .unwrap_or_default();
            let phase = task
                .facts
                .phase
                .as_ref()
                .map(|phase| format!(", in {phase}"))
                .unwrap_or_default();
            format!(
                "submitted {} {}/{} up to {first}{own}{phase}",
                task.task, task.key, task.occurrence
            )
        }
        Event::TaskClaimed { task, .. } => format!("claimed   {task}"),
        Event::AttemptScheduled {
            attempt,
            model,
            reserved,
            reply_tokens,
        } => {
            let on = model
                .as_ref()
                .map(|model| format!(" on {model}"))
                .unwrap_or_default();
            format!(
                "scheduled {attempt}{on} for {}{}",
                reserved.0,
                room(*reply_tokens)
            )
        }
        Event::TurnScheduled {
            attempt,
            reserved,
            reply_tokens,
            ..
        } => {
            format!(
                "turn      {attempt} for {}{}",
                reserved.0,
                room(*reply_tokens)
            )
        }
        Event::TurnHedged { attempt, reserved } => {
            format!("hedged    {attempt} for {}", reserved.0)
        }
        Event::AttemptSuspended {
            attempt,
            suspension,
        } => {
            format!("suspended {attempt}, {} kept", suspension.reserved.0)
        }
        Event::AttemptReported { attempt, cost, .. } => {
            format!("reported  {attempt} cost {}", cost.0)
        }
        Event::SuspensionAnswered { attempt, .. } => format!("answered  {attempt}"),
        Event::HedgeEnded { attempt, cost } => format!("given up  {attempt} cost {}", cost.0),
        Event::TurnEnded { attempt, turn } => format!("reply     {attempt} cost {}", turn.cost.0),
        Event::AttemptEnded {
            attempt,
            failure,
            cost,
            next_turn,
            ..
        } => {
            let how = failure
                .as_ref()
                .map_or("success", |failure| failure.class.as_str());
            let next = next_turn
                .as_ref()
                .map(|next| format!(", next {}", bound(next)))
                .unwrap_or_default();
            format!("ended     {attempt} {how}, cost {}{next}", cost.0)
        }
        Event::RetryPlanned { task, due } => format!("retry     {task} at {} ms", due.0),
        Event::TaskEnded { task, outcome } => match outcome {
            Outcome::Failed(failure) => format!("outcome   {task} failed: {}", failure.class),
            Outcome::Ok { .. } | Outcome::Skipped { .. } | Outcome::Cancelled => {
                format!("outcome   {task} {}", outcome.status())
            }
        },
        Event::Estimated { estimate } => format!("estimated {}", estimate.cost.p50.0),
        Event::SoftLimitReached { spent, cap } => {
            format!("warned    {} of {} spent", spent.0, cap.0)
        }
        Event::CapChanged { cap } => format!("capped    at {}", cap.0),
        Event::WidthChanged { in_flight_max } => format!("width     {in_flight_max}"),
        Event::ParkingStarted { reason } => format!("parking   {}", why(reason)),
        Event::RunParked { reason } => format!("parked    {}", why(reason)),
        Event::WaitStarted { until } => format!("waits     until {} ms", until.0),
        Event::RunWoken => "woken".into(),
        Event::FlowEnded { result } => {
            format!(
                "flow      {}",
                if result.is_ok() { "returned" } else { "failed" }
            )
        }
        Event::RunEnded { status } => format!("over      {status:?}"),
    }
}

fn why(reason: &ParkReason) -> String {
    match reason {
        ParkReason::Asked => "asked".into(),
        ParkReason::Budget { phase: None } => "budget".into(),
        ParkReason::Budget { phase: Some(phase) } => format!("budget of {phase}"),
        ParkReason::Overcharged {
            task,
            reserved,
            cost,
            ..
        } => {
            format!("{task} cost {} of {}", cost.0, reserved.0)
        }
        ParkReason::Hopeless { failed, class, .. } => format!("hopeless: {failed}, {class}"),
        ParkReason::Suspended { tasks } => format!("{tasks} wait for answers"),
        ParkReason::Quota { .. } => "quota".into(),
    }
}

fn caps(caps: &Caps) -> String {
    let phases = caps
        .phases
        .iter()
        .map(|(phase, most)| format!(", {phase} {}", most.0));
    format!("cap {}{}", cap(caps.run), phases.collect::<String>())
}

fn cap(cap: Option<PicoUsd>) -> String {
    cap.map_or_else(|| "none".into(), |cap| cap.0.to_string())
}

fn bound(bound: &TurnBound) -> String {
    let TurnBound {
        prompt,
        reply_token,
        reply_tokens_max,
        reply_tokens_min,
    } = bound;
    format!(
        "{} + {reply_tokens_min}..{reply_tokens_max} at {}",
        prompt.0, reply_token.0
    )
}

fn room(reply_tokens: Option<u32>) -> String {
    reply_tokens
        .map(|tokens| format!(", {tokens} tokens"))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_story_without_end_is_told_from_both_ends() {
        let told = |lines: usize| {
            let story = Story::told();
            (0..lines).for_each(|line| story.tell(Timestamp(0), || format!("line {line}")));
            story.text()
        };
        let whole = told(FIRST_LINES + LAST_LINES);
        assert_eq!(whole.lines().count(), FIRST_LINES + LAST_LINES);
        let cut = told(FIRST_LINES + LAST_LINES + 7);
        assert_eq!(
            cut.lines().nth(FIRST_LINES).map(str::trim),
            Some("… 7 lines …")
        );
        assert!(cut.starts_with("      0 ms  line 0\n") && cut.ends_with("line 1606\n"));
    }
}
