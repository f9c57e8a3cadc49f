//! Plays scripts against a fake engine: the only place that touches the API.

use divisi_core::{FailureClass, PicoUsd, Task};
use divisi_script::{Answer, Call, Host, HostOptions, Script, ScriptError, ScriptRef, TaskAnswer};
use serde_json::{Value, json};
use std::collections::{BTreeMap, VecDeque};
use std::fmt;

/// How a script is to be played.
pub(crate) struct Play {
    source: String,
    args: Option<Value>,
    options: HostOptions,
    agent: Agent,
    library: BTreeMap<String, String>,
    order: Order,
}

/// Answers the nth task.
type Agent = Box<dyn FnMut(usize, &Task) -> TaskAnswer>;

/// Which of the waiting calls is answered next.
#[derive(Clone, Copy)]
pub(crate) enum Order {
    First,
    Last,
    /// Some other, always the same one.
    Shuffled(usize),
}

/// What came of it.
pub(crate) struct Played {
    pub(crate) calls: Vec<Call>,
    pub(crate) result: Result<String, ScriptError>,
}

/// A play with an agent that repeats its prompt, or answers from the schema.
pub(crate) fn play(source: &str) -> Play {
    Play {
        source: source.to_owned(),
        args: None,
        options: HostOptions::default(),
        agent: Box::new(|_, task| ok(task)),
        library: BTreeMap::new(),
        order: Order::First,
    }
}

/// What a script comes to with the obliging agent: its result, or its error.
pub(crate) fn result_of(source: &str) -> String {
    play(source).run().result()
}

/// What a script without calls throws.
pub(crate) fn error_of(source: &str) -> String {
    play(source).run().error().to_string()
}

impl Play {
    pub(crate) fn args(mut self, args: Value) -> Self {
        self.args = Some(args);
        self
    }

    pub(crate) fn options(mut self, change: impl FnOnce(&mut HostOptions)) -> Self {
        change(&mut self.options);
        self
    }

    /// The agent function gets the number of the task, from 0 in the order of answers.
    pub(crate) fn agent(mut self, agent: impl FnMut(usize, &Task) -> TaskAnswer + 'static) -> Self {
        self.agent = Box::new(agent);
        self
    }

    pub(crate) fn library(mut self, name: &str, source: &str) -> Self {
        self.library.insert(name.to_owned(), source.to_owned());
        self
    }

    pub(crate) fn order(mut self, order: Order) -> Self {
        self.order = order;
        self
    }

    pub(crate) fn run(mut self) -> Played {
        let mut played = Played {
            calls: Vec::new(),
            result: Ok(String::new()),
        };
        let started = Script::parse("flow.js", &self.source)
            .and_then(|script| Host::start(&script, self.args.take(), self.options.clone()));
        let (mut host, calls) = match started {
            Ok(started) => started,
            Err(error) => {
                return Played {
                    result: Err(error),
                    ..played
                };
            }
        };
        let mut waiting = VecDeque::new();
        played.take(calls, &mut waiting);
        for turn in 0.. {
            if let Some(result) = host.finished() {
                played.result = result.map(|json| json.to_string());
                break;
            }
            let call = self
                .order
                .pick(&mut waiting, turn)
                .expect("a script that waits has open calls");
            let id = call.id().expect("only calls with an id wait");
            let answer = self.answer(turn, &call);
            let calls = host.resolve(id, answer).expect("the call is open");
            played.take(calls, &mut waiting);
        }
        played
    }

    fn answer(&mut self, turn: usize, call: &Call) -> Answer {
        match call {
            Call::Task { task, .. } => Answer::Task((self.agent)(turn, task)),
            Call::Load {
                reference: ScriptRef::Name(name) | ScriptRef::Path(name),
                ..
            } => match self.library.get(name) {
                Some(source) => Answer::Source {
                    name: format!("{name}.js"),
                    source: source.clone(),
                },
                None => Answer::LoadFailed {
                    message: format!("there is no flow `{name}`"),
                },
            },
            Call::Timer { .. } => Answer::Task(TaskAnswer::ok("null")),
            other => panic!("{other:?} needs no answer"),
        }
    }
}

impl Order {
    fn pick(self, waiting: &mut VecDeque<Call>, turn: usize) -> Option<Call> {
        match self {
            Self::First => waiting.pop_front(),
            Self::Last => waiting.pop_back(),
            Self::Shuffled(seed) => {
                let at = (turn * 31 + seed * 17) % waiting.len().max(1);
                waiting.remove(at)
            }
        }
    }
}

impl Played {
    fn take(&mut self, calls: Vec<Call>, waiting: &mut VecDeque<Call>) {
        waiting.extend(calls.iter().filter(|call| call.id().is_some()).cloned());
        self.calls.extend(calls);
    }

    /// What was thrown where nothing listens; empty when nothing was.
    pub(crate) fn uncaught(&self) -> String {
        let uncaught = self
            .calls
            .iter()
            .filter(|call| matches!(call, Call::Uncaught { .. }));
        uncaught.map(call_line).collect()
    }

    /// What limits have refused.
    pub(crate) fn refused(&self) -> Vec<String> {
        let refused = self
            .calls
            .iter()
            .filter(|call| matches!(call, Call::Refused { .. }));
        refused.map(call_line).collect()
    }

    /// The result as JSON text; panics when the script failed.
    pub(crate) fn result(&self) -> String {
        match &self.result {
            Ok(json) => json.clone(),
            Err(error) => panic!("{error}"),
        }
    }

    pub(crate) fn error(&self) -> &ScriptError {
        self.result
            .as_ref()
            .expect_err("the script should have failed")
    }

    pub(crate) fn tasks(&self) -> Vec<&Task> {
        self.calls
            .iter()
            .filter_map(|call| match call {
                Call::Task { task, .. } => Some(&**task),
                _ => None,
            })
            .collect()
    }

    pub(crate) fn task(&self) -> &Task {
        self.tasks()[0]
    }

    pub(crate) fn prompts(&self) -> Vec<&str> {
        self.tasks()
            .into_iter()
            .map(|task| task.prompt.as_ref())
            .collect()
    }

    pub(crate) fn logs(&self) -> Vec<&str> {
        let log = |call: &Call| matches!(call, Call::Log { .. });
        self.calls
            .iter()
            .filter(|call| log(call))
            .map(text)
            .collect()
    }

    /// Tasks with their groups, and where groups begin and end.
    pub(crate) fn groups(&self) -> String {
        let line = |call: &Call| match call {
            Call::Task {
                id, task, group, ..
            } => Some(format!(
                "{id} {} in {}",
                short(&task.prompt),
                group.map_or("none".into(), |g| g.to_string())
            )),
            Call::GroupBegan { .. } | Call::GroupEnded { .. } => Some(call_line(call)),
            Call::Timer { .. }
            | Call::Load { .. }
            | Call::Refused { .. }
            | Call::Uncaught { .. }
            | Call::Phase { .. }
            | Call::Log { .. }
            | Call::Warning { .. } => None,
        };
        self.calls
            .iter()
            .filter_map(line)
            .collect::<Vec<_>>()
            .join("\n")
    }

    /// Warnings with their lines, except the one about a missing `meta`.
    pub(crate) fn warnings(&self) -> Vec<String> {
        let warning = |call: &&Call| matches!(call, Call::Warning { .. });
        let warnings = self.calls.iter().filter(warning).map(call_line);
        warnings
            .filter(|line| !line.ends_with("the script has no `meta`"))
            .collect()
    }
}

fn text(call: &Call) -> &str {
    match call {
        Call::Log { message } | Call::Warning { message, .. } => message,
        Call::Phase { title, .. } => title,
        Call::Task { .. }
        | Call::Load { .. }
        | Call::Timer { .. }
        | Call::Refused { .. }
        | Call::Uncaught { .. }
        | Call::GroupBegan { .. }
        | Call::GroupEnded { .. } => "",
    }
}

fn call_line(call: &Call) -> String {
    match call {
        Call::Task { id, task, site, .. } => {
            let mut asked = json!(task);
            let prompt = asked
                .as_object_mut()
                .and_then(|asked| asked.shift_remove("prompt"));
            let prompt = prompt
                .and_then(|prompt| prompt.as_str().map(short))
                .unwrap_or_default();
            if let Some(schema) = asked.get_mut("schema") {
                *schema = schema["properties"]
                    .as_object()
                    .map(|all| all.keys().cloned().collect())
                    .unwrap_or_default();
            }
            let line = site.as_ref().map_or("?".to_owned(), ToString::to_string);
            format!("{id} {line} {prompt} {asked}")
        }
        Call::Load { id, reference, .. } => format!("{id} load {reference}"),
        Call::Timer { id, delay, .. } => format!("{id} timer of {delay}"),
        Call::GroupBegan {
            id,
            kind,
            width,
            parent,
            site,
        } => {
            let line = site.as_ref().map_or("?".to_owned(), ToString::to_string);
            let parent = parent
                .map(|parent| format!(" in {parent}"))
                .unwrap_or_default();
            format!("{id} {line} {kind:?} of {width}{parent}")
        }
        Call::GroupEnded { id } => format!("{id} ended"),
        Call::Uncaught {
            message,
            site,
            count,
        } => {
            let site = site
                .as_ref()
                .map(|site| format!("{site} "))
                .unwrap_or_default();
            format!("uncaught {site}{message}, {count} in all")
        }
        Call::Refused { refusal, count } => format!("refused {count}: {refusal:?}"),
        Call::Phase { title, cap: None } => format!("phase {title}"),
        Call::Phase {
            title,
            cap: Some(cap),
        } => format!("phase {title} for {cap}"),
        Call::Log { message } => format!("log {}", short(message)),
        Call::Warning {
            message,
            site: Some(site),
        } => format!("warning {site} {message}"),
        Call::Warning {
            message,
            site: None,
        } => format!("warning {message}"),
    }
}

fn short(text: &str) -> String {
    const SHOWN_CHARS_MAX: usize = 160;
    let line = text.replace('\n', "⏎");
    match line.char_indices().nth(SHOWN_CHARS_MAX) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

/// The calls in order, then how it ended.
impl fmt::Display for Played {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_group =
            |call: &&Call| matches!(call, Call::GroupBegan { .. } | Call::GroupEnded { .. });
        for call in self.calls.iter().filter(|call| !is_group(call)) {
            writeln!(f, "{}", call_line(call))?;
        }
        match &self.result {
            Ok(json) => write!(f, "= {json}"),
            Err(error) => write!(f, "! {error}"),
        }
    }
}

/// An answer that fits: a sample of the schema, or the prompt again.
pub(crate) fn ok(task: &Task) -> TaskAnswer {
    let value = task.schema.as_ref().map_or_else(
        || json!(short(&task.prompt)),
        |schema| sample(schema, "value"),
    );
    TaskAnswer {
        model: Some("fake".into()),
        cost: PicoUsd(PicoUsd::DOLLAR.0 / 100),
        output_tokens: 10,
        ..TaskAnswer::ok(value.to_string())
    }
}

pub(crate) fn failed(class: FailureClass, reason: &str) -> TaskAnswer {
    TaskAnswer::failed(class, reason)
}

/// A small value that fits `schema`.
pub(crate) fn sample(schema: &Value, name: &str) -> Value {
    if let Some(value) = schema.get("const").or_else(|| schema["enum"].get(0)) {
        return value.clone();
    }
    let kind = schema["type"]
        .as_str()
        .or_else(|| schema["type"][0].as_str());
    match kind.unwrap_or("object") {
        "array" => {
            let count = schema["minItems"].as_u64().unwrap_or(2).max(1);
            (0..count)
                .map(|i| sample(&schema["items"], &format!("{name}-{i}")))
                .collect()
        }
        "object" => {
            let fields = schema["properties"].as_object().into_iter().flatten();
            Value::Object(
                fields
                    .map(|(key, schema)| (key.clone(), sample(schema, key)))
                    .collect(),
            )
        }
        "integer" | "number" => schema["minimum"]
            .as_f64()
            .map_or(json!(7), |least| json!(least)),
        "boolean" => json!(true),
        "null" => Value::Null,
        _ => json!(format!("<{name}>")),
    }
}
