//! Asks the questions of a run on the terminal while it goes on.
//!
//! One question is asked at a time; the display leaves the terminal to it and shows afterwards what
//! happened meanwhile. The answer is read on a thread of its own. A question that gets its answer
//! from elsewhere, or whose run parks, is withdrawn. Its thread may have an editor open then, so the
//! terminal is used for something else only when the thread has ended.

use crate::context::Context;
use crate::display::{Line, Look, Reporter, Tone, look, number};
use crate::output::{self, Keyboard, Typed};
use crate::plan_approval::{self, Waiting};
use crate::problem;
use crate::text;
use divisi_app::{Problem, clock};
use divisi_core::run::Stage;
use divisi_core::{Approval, Content, Event, Recorded, RunId, Task, TaskId};
use divisi_engine::store::{ControlMessage, Receipt};
use divisi_engine::{Control, Engine, RunHandle};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::oneshot;

/// Lines shown of a question and of what belongs to it; `divisi show` shows all.
const SHOWN_LINES_MAX: usize = 60;

/// How often a question is asked after replies that are no answer. Then it is put off.
const ASKED_MAX: u32 = 3;

/// The questions of one run.
pub(crate) struct Questions<'a> {
    id: RunId,
    engine: Engine,
    control: Control,
    context: &'a Context,
    /// The recorded tasks that ask, as far as they were seen.
    specs: BTreeMap<TaskId, Content>,
    put_off: BTreeSet<TaskId>,
    /// Plans that the user has edited, by the task that asks for their approval.
    edited: BTreeMap<TaskId, Value>,
    open: Option<Open>,
}

/// The question that is being asked.
struct Open {
    task: TaskId,
    /// Sent to, or closed, when the thread uses the terminal no more.
    said: oneshot::Receiver<Said>,
    /// Set when it is withdrawn.
    stop: Arc<AtomicBool>,
}

impl Open {
    fn withdraw(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    fn is_withdrawn(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}

/// What the user has said.
pub(crate) enum Said {
    Answer(String),
    /// This plan instead of the one that was shown.
    Edited(Value),
    Later,
}

/// What is asked.
struct Asked {
    /// What is shown before the prompt.
    shown: String,
    /// The words of the prompt; none where any text is an answer.
    words: Vec<String>,
    how: How,
}

/// How a reply is understood.
enum How {
    /// As a choice.
    Choice(Arc<Approval>),
    /// As an approval of this plan, which may have been edited.
    Plan { plan: Value, is_edited: bool },
    /// As it is.
    Text,
}

/// Waits for the reply to the open question; for ever, if there is none.
pub(crate) async fn said(questions: &mut Option<Questions<'_>>) -> Option<Said> {
    let open = questions
        .as_mut()
        .and_then(|questions| questions.open.as_mut());
    match open {
        Some(open) => (&mut open.said).await.ok(),
        None => std::future::pending().await,
    }
}

impl<'a> Questions<'a> {
    /// The questions of a run that this process drives.
    pub(crate) fn new(handle: &RunHandle, context: &'a Context) -> Self {
        Self {
            id: handle.id().clone(),
            engine: handle.engine().clone(),
            control: handle.control(),
            context,
            specs: BTreeMap::new(),
            put_off: BTreeSet::new(),
            edited: BTreeMap::new(),
            open: None,
        }
    }

    /// Remembers the tasks that will ask something.
    pub(crate) fn heed(&mut self, events: &[Recorded]) {
        for recorded in events {
            if let Event::TaskSubmitted(submitted) = &recorded.event
                && &*submitted.facts.executor == Task::PERSON
            {
                self.specs.insert(submitted.task, submitted.spec.clone());
            }
        }
    }

    /// Withdraws a question that is no longer open; asks the next one if none is asked.
    pub(crate) async fn go_on(&mut self, reporter: &mut Reporter) {
        match &self.open {
            Some(open) if waiting(reporter).contains(&open.task) => {}
            // The next one follows when its thread has ended.
            Some(open) => open.withdraw(),
            None => self.ask_next(None, reporter).await,
        }
    }

    /// Takes the reply to the open question; `None` if its thread has ended without one.
    pub(crate) async fn take(&mut self, said: Option<Said>, reporter: &mut Reporter) {
        let Some(open) = self.open.take() else {
            return;
        };
        let task = open.task;
        match said {
            // The cursor is still behind the prompt.
            _ if open.is_withdrawn() => output::say(""),
            Some(Said::Answer(answer)) => {
                let answer = answer.into();
                let message = ControlMessage::Answer { task, answer };
                if let Some(Receipt::Misfit { message }) = self.control.tell(message).await {
                    return self.ask(task, Some(&message), reporter).await;
                }
            }
            Some(Said::Edited(plan)) => {
                self.edited.insert(task, plan);
                return self.ask(task, None, reporter).await;
            }
            Some(Said::Later) | None => self.put_off(task),
        }
        reporter.release();
        // The next question comes with the events that follow, or is here already.
        self.ask_next(Some(task), reporter).await;
    }

    /// Withdraws the open question, and waits until nothing of it uses the terminal.
    pub(crate) async fn close(self, reporter: &mut Reporter) {
        if let Some(open) = self.open {
            open.withdraw();
            // What is said now comes too late.
            let _ = open.said.await;
            output::say("");
            reporter.release();
        }
    }

    fn put_off(&mut self, task: TaskId) {
        self.put_off.insert(task);
        self.control.put_off(task);
    }

    /// Asks the first question that waits, besides that of `other`.
    async fn ask_next(&mut self, other: Option<TaskId>, reporter: &mut Reporter) {
        for task in waiting(reporter) {
            if Some(task) == other || self.put_off.contains(&task) {
                continue;
            }
            self.ask(task, None, reporter).await;
            if self.open.is_some() {
                return;
            }
        }
    }

    async fn ask(&mut self, task: TaskId, misfit: Option<&str>, reporter: &mut Reporter) {
        let asked = loop {
            let problem = match self.asked(task, reporter).await {
                Ok(asked) => break asked,
                Err(problem) => problem,
            };
            reporter.suspended(|| problem::print(&problem));
            // An edited plan may fail where the one before it did not.
            if self.edited.remove(&task).is_none() {
                // It can still be answered from elsewhere.
                self.put_off(task);
                reporter.release();
                return;
            }
        };
        reporter.hold();
        match misfit {
            None => output::say(&asked.shown),
            Some(message) => output::say(&format!("that is no answer: {}", text::line(message))),
        }
        let stop = Arc::new(AtomicBool::new(false));
        let (sender, said) = oneshot::channel();
        let stopped = stop.clone();
        let dialogue = move || {
            if let Ok(Some(said)) = reply(&asked, &stopped) {
                // Fails if the run is no longer followed.
                let _ = sender.send(said);
            }
        };
        // If no thread can be started, the sender is dropped, and the question is put off.
        let _ = std::thread::Builder::new()
            .name("divisi-question".into())
            .spawn(dialogue);
        self.open = Some(Open { task, said, stop });
    }

    async fn asked(&self, task: TaskId, reporter: &Reporter) -> Result<Asked, Problem> {
        let view = reporter.run();
        let look = Look::of_stderr(false);
        if plan_approval::is_it(view, task) {
            let waiting = Waiting::of(&self.engine, &self.id).await?;
            let edited = self.edited.get(&task);
            let plan = edited.unwrap_or(&waiting.plan);
            return Ok(Asked {
                shown: waiting.shown(plan, self.context).await?,
                words: plan_approval::WORDS.map(str::to_owned).to_vec(),
                how: How::Plan {
                    plan: plan.clone(),
                    is_edited: edited.is_some(),
                },
            });
        }
        let spec = self.spec(task).await?;
        let suspension = view.task(task).and_then(|task| task.suspension());
        let question = suspension
            .and_then(|suspension| suspension.question.as_deref())
            .unwrap_or(&spec.prompt);
        let mut lines = vec![];
        lines.push(Line::of(Tone::Strong, "? ").put(Tone::Strong, spec.title()));
        if question.trim() != spec.title() {
            lines.extend(block(question));
        }
        lines.extend(spec.context.iter().flat_map(|shown| block(shown)));
        if lines.len() > SHOWN_LINES_MAX {
            lines.truncate(SHOWN_LINES_MAX);
            lines.push(Line::of(
                Tone::Dim,
                format!("  … the rest: `divisi show {} {task}`", self.id),
            ));
        }
        let asked_at = view.suspended.get(&task).map(|wait| wait.since);
        let timeout = suspension.and_then(|suspension| suspension.timeout);
        if let (Some(asked_at), Some(timeout)) = (asked_at, timeout) {
            let until = number::moment(clock::now(), asked_at + timeout);
            let then = match default_of(&spec) {
                Some(word) => format!("then the answer is {word}"),
                None => "then it fails".to_owned(),
            };
            lines.push(Line::of(Tone::Dim, format!("  until {until}; {then}")));
        }
        let how = match &spec.approval {
            Some(approval) => How::Choice(approval.clone()),
            None => How::Text,
        };
        let words = spec.approval.iter().flat_map(|approval| approval.words());
        Ok(Asked {
            shown: look::page(&lines, &look).trim_end().to_owned(),
            words: words.map(str::to_owned).collect(),
            how,
        })
    }

    /// The task, as recorded.
    async fn spec(&self, task: TaskId) -> Result<Task, Problem> {
        let spec = match self.specs.get(&task) {
            Some(spec) => spec.clone(),
            // It was recorded by an earlier execution.
            None => match self.engine.load(&self.id).await?.task(task) {
                Some(state) => state.spec().clone(),
                None => return Err(Problem::usage(format!("there is no task {task}"))),
            },
        };
        serde_json::from_str(&self.engine.read(&spec).await?).map_err(Problem::failed)
    }
}

/// The questions of a running run that wait for an answer.
fn waiting(reporter: &Reporter) -> Vec<TaskId> {
    let run = reporter.run();
    let is_running = run.stage == Stage::Running;
    run.questions().filter(|_| is_running).collect()
}

/// The lines of a text below a question.
fn block(shown: &str) -> Vec<Line> {
    text::block(shown)
        .lines()
        .map(|line| Line::new().plain(format!("  {line}")))
        .collect()
}

/// The word of the default of a task.
fn default_of(spec: &Task) -> Option<String> {
    let default = spec.approval.as_ref()?.default.as_ref()?;
    Some(text::line(&Approval::word(default)))
}

/// Reads replies until one is an answer; `None` if the question was withdrawn. Blocks.
fn reply(asked: &Asked, stop: &AtomicBool) -> io::Result<Option<Said>> {
    let mut keyboard = Keyboard::open()?;
    let mut words = asked.words.clone();
    words.push(Approval::LATER.to_owned());
    let words = words.join("/");
    let one_of = format!("please answer with one of [{words}] ");
    let (prompt, again) = match &asked.how {
        How::Plan { .. } => (format!("{} [{words}] ", plan_approval::QUESTION), one_of),
        How::Choice(_) => (format!("your answer [{words}] "), one_of),
        How::Text => (
            format!("your answer (or `{words}`): "),
            format!("please type an answer, or `{words}`: "),
        ),
    };
    output::put(&prompt);
    for asked_times in 1..=ASKED_MAX {
        let said = match keyboard.line(stop)? {
            Typed::Line(said) => said,
            Typed::TooLong if asked_times < ASKED_MAX => {
                output::put(&format!("{}; {again}", output::TOO_LONG));
                continue;
            }
            Typed::Stopped => return Ok(None),
            Typed::TooLong | Typed::End => break,
        };
        let said = said.trim();
        if said.eq_ignore_ascii_case(Approval::LATER) {
            break;
        }
        let answer = match &asked.how {
            How::Text => Some(said.to_owned()).filter(|said| !said.is_empty()),
            How::Choice(approval) => approval.answer(said).map(|meant| Approval::word(&meant)),
            How::Plan { plan, .. } if matches!(said, "edit" | "e") => {
                match plan_approval::edit(plan, |problem| try_again(&problem, &mut keyboard, stop))
                {
                    Ok(Some(edited)) => return Ok(Some(Said::Edited(edited))),
                    _ if stop.load(Ordering::Relaxed) => return Ok(None),
                    Ok(None) => output::say("the plan stays as it is"),
                    Err(problem) => problem::print(&problem),
                }
                None
            }
            How::Plan { plan, is_edited } => {
                let edited = Some(plan).filter(|_| *is_edited);
                plan_approval::answer(&said.to_lowercase(), edited)
            }
        };
        match answer {
            Some(answer) => return Ok(Some(Said::Answer(answer))),
            None if asked_times < ASKED_MAX => output::put(&again),
            None => {}
        }
    }
    Ok(Some(Said::Later))
}

/// Says what is wrong with an edited plan, and asks whether to go on editing.
fn try_again(problem: &Problem, keyboard: &mut Keyboard, stop: &AtomicBool) -> bool {
    problem::print(problem);
    output::put("edit it again? [yes/no] ");
    match keyboard.line(stop) {
        Ok(Typed::Line(said)) => !said.trim().to_lowercase().starts_with('n'),
        Ok(Typed::TooLong | Typed::Stopped | Typed::End) | Err(_) => false,
    }
}
