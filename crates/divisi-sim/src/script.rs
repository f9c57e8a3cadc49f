//! A flow under execution: deterministic, and executed again from its start at every resume.

use crate::ask::{Ask, PHASES};
use crate::flow::Flow;
use divisi_core::{Key, Millis};
use std::collections::BTreeMap;

/// One execution of a flow.
pub(crate) struct Script<'f> {
    frames: Vec<Frame<'f>>,
    said: Vec<Said<'f>>,
    result: Option<Result<u64, ()>>,
}

/// A part of the flow under execution.
struct Frame<'f> {
    part: &'f Flow,
    parent: Option<(usize, usize)>,
    input: u64,
    values: Vec<Option<u64>>,
}

/// A message of a script.
#[derive(Clone, Debug)]
pub(crate) enum Said<'f> {
    /// It requests a task, and waits for the answer to this call.
    Call {
        call: usize,
        ask: &'f Ask,
        prompt: String,
    },
    /// It sets a timer, and waits for it as for this call.
    Timer { call: usize, delay: Millis },
    /// It begins a phase.
    Phase(&'static str),
    /// It logs a message.
    Log(String),
}

impl<'f> Script<'f> {
    /// Starts the flow.
    pub(crate) fn start(flow: &'f Flow) -> Self {
        let mut script = Self {
            frames: vec![],
            said: vec![],
            result: None,
        };
        script.begin(flow, None, 0);
        script
    }

    /// Answers a call; without a value if the task failed.
    pub(crate) fn resolve(&mut self, call: usize, value: Option<u64>) {
        if self.result.is_some() {
            return;
        }
        match self.frames[call].part {
            Flow::Task(ask) if ask.required && ask.awaited && value.is_none() => {
                self.result = Some(Err(()));
            }
            Flow::Task(ask) if ask.awaited => self.end(call, value.unwrap_or(0)),
            Flow::Task(_) => {}
            // A timer has no result.
            Flow::Sleep(_) => self.end(call, self.frames[call].input),
            Flow::Race { .. } => self.wins(call, None),
            Flow::Decompose {
                worker, parts_max, ..
            } => {
                let value = value.unwrap_or(0);
                let count = value % (parts_max + 1);
                self.frames[call].values = vec![None; count as usize];
                for part in 0..count {
                    self.begin(worker, Some((call, part as usize)), mix(value, part));
                }
                if count == 0 {
                    self.end(call, value);
                }
            }
            Flow::Gather { .. } | Flow::Chain(_) | Flow::All(_) => {
                self.end(call, value.unwrap_or(0));
            }
        }
    }

    /// Its messages since the last call.
    pub(crate) fn listen(&mut self) -> Vec<Said<'f>> {
        std::mem::take(&mut self.said)
    }

    /// Its result, or that it has thrown; `None` while it waits.
    pub(crate) fn result(&self) -> Option<Result<u64, ()>> {
        self.result
    }

    /// Whether this call is the timer of a race that is not decided yet.
    pub(crate) fn is_undecided_race(&self, call: usize) -> bool {
        let Frame { part, values, .. } = &self.frames[call];
        matches!(part, Flow::Race { .. }) && values[0].is_none() && self.result.is_none()
    }

    fn begin(&mut self, part: &'f Flow, parent: Option<(usize, usize)>, input: u64) {
        let frame = self.frames.len();
        let parts: &'f [Flow] = match part {
            Flow::Chain(parts) | Flow::All(parts) | Flow::Gather { parts, .. } => parts,
            Flow::Task(_) | Flow::Sleep(_) | Flow::Race { .. } | Flow::Decompose { .. } => &[],
        };
        let values = match part {
            Flow::Race { .. } => 1,
            _ => parts.len(),
        };
        self.frames.push(Frame {
            part,
            parent,
            input,
            values: vec![None; values],
        });
        match part {
            Flow::Task(ask) => {
                self.call(frame, ask, input);
                if !ask.awaited {
                    self.end(frame, 0);
                }
            }
            Flow::Sleep(delay) => self.set_timer(frame, *delay),
            Flow::Race { part, limit } => {
                self.set_timer(frame, *limit);
                self.begin(part, Some((frame, 0)), input);
            }
            Flow::Decompose { planner, .. } => self.call(frame, planner, input),
            Flow::Chain(_) => self.begin(&parts[0], Some((frame, 0)), input),
            Flow::All(_) | Flow::Gather { .. } => {
                self.said
                    .push(Said::Phase(PHASES[parts.len() % PHASES.len()]));
                for (place, part) in parts.iter().enumerate() {
                    self.begin(part, Some((frame, place)), input);
                }
            }
        }
    }

    fn call(&mut self, call: usize, ask: &'f Ask, input: u64) {
        self.said.push(Said::Call {
            call,
            ask,
            prompt: format!("{:x} {input:x}", ask.text),
        });
    }

    fn set_timer(&mut self, call: usize, delay: Millis) {
        self.said.push(Said::Timer { call, delay });
    }

    /// A race is won by its part, with this value, or by its timer. Only the first one counts.
    fn wins(&mut self, race: usize, value: Option<u64>) {
        let frame = &mut self.frames[race];
        if frame.values[0].is_none() {
            let value = value.unwrap_or_else(|| mix(frame.input, 1));
            frame.values[0] = Some(value);
            self.end(race, value);
        }
    }

    /// A part has its value.
    fn end(&mut self, frame: usize, value: u64) {
        let Some((parent, place)) = self.frames[frame].parent else {
            self.result.get_or_insert(Ok(value));
            return;
        };
        if let Flow::Race { .. } = self.frames[parent].part {
            return self.wins(parent, Some(value));
        }
        let above = &mut self.frames[parent];
        above.values[place] = Some(value);
        let all = above
            .values
            .iter()
            .try_fold(above.input, |sum, value| Some(mix(sum, (*value)?)));
        match (above.part, all) {
            (Flow::Chain(parts), None) => {
                self.begin(&parts[place + 1], Some((parent, place + 1)), value);
            }
            (Flow::Chain(_), Some(_)) => {
                self.said
                    .push(Said::Log(format!("a chain came to {value:x}")));
                self.end(parent, value);
            }
            (Flow::Gather { synthesis, .. }, Some(all)) => self.call(parent, synthesis, all),
            (Flow::All(_) | Flow::Decompose { .. }, Some(all)) => self.end(parent, all),
            (
                Flow::All(_)
                | Flow::Decompose { .. }
                | Flow::Gather { .. }
                | Flow::Task(_)
                | Flow::Sleep(_)
                | Flow::Race { .. },
                _,
            ) => {}
        }
    }
}

/// The result of the flow in an undisturbed run that answers its calls in this order, which decides
/// its races. `None` if it needs more answers.
pub(crate) fn ideal(flow: &Flow, order: &[usize]) -> Option<Result<u64, ()>> {
    let mut script = Script::start(flow);
    let mut calls = BTreeMap::new();
    for call in order {
        for said in script.listen() {
            match said {
                Said::Call { call, ask, prompt } => {
                    let value = ask.succeeds().then(|| value_of(&ask.key(&prompt)));
                    calls.insert(call, value);
                }
                Said::Timer { call, .. } => _ = calls.insert(call, None),
                Said::Phase(_) | Said::Log(_) => {}
            }
        }
        script.resolve(*call, calls.remove(call)?);
    }
    script.result()
}

/// The result of the task with this key, the same for every model.
pub(crate) fn value_of(key: &Key) -> u64 {
    key.0
        .as_bytes()
        .iter()
        .take(8)
        .fold(0, |value, byte| value << 8 | u64::from(*byte))
}

fn mix(sum: u64, value: u64) -> u64 {
    (sum ^ value)
        .wrapping_mul(0x9e37_79b9_7f4a_7c15)
        .rotate_left(29)
}
