//! The options of `agent()` and `phase()`, from a JavaScript object to a task.
//!
//! Scripts pass their own metadata along and were written for engines with more or fewer options.
//! So an unknown option is a warning. A known option with an invalid value is an error: to run
//! anyway would spend money on something else than requested.

mod check;
mod given;

use crate::refusal::Refusal;
use crate::state::Shared;
use crate::{Expect, Site};
use divisi_core::approval::{Approval, Choices};
use divisi_core::nearest::nearest;
use divisi_core::{PicoUsd, Task};
use given::Given;
use rquickjs::{Ctx, Function, Object, Value};

type Result<T> = std::result::Result<T, Refusal>;

/// The options of `agent()`.
const OPTIONS: [&str; 25] = [
    "label",
    "phase",
    "kind",
    "context",
    "model",
    "fallback",
    "check",
    "maxCost",
    "agentType",
    "executor",
    "effort",
    "isolation",
    "schema",
    "tools",
    "disallowedTools",
    "inputs",
    "timeout",
    "stallMs",
    "retries",
    "overloadWait",
    "hedge",
    "maxTurns",
    "required",
    "priority",
    "expect",
];

/// The options of `approve()`.
const QUESTION_OPTIONS: [&str; 8] = [
    "choices", "default", "timeout", "show", "label", "phase", "required", "priority",
];

const NO_CLAMP: &str = "the option `bashCommandClamp` is not supported, so the agent does not \
    start: write `tools: ['Read', 'Bash(npm test)']` to allow only some commands";

/// A script's request for an agent.
pub(crate) struct Wanted<'js> {
    pub(crate) task: Task,
    pub(crate) expect: Expect,
    /// Length of the longest chain of tasks that waits for it.
    pub(crate) priority: u32,
    /// Functions of the script that check its result.
    pub(crate) functions: Vec<Function<'js>>,
}

impl Wanted<'_> {
    /// A request with this task and no further facts.
    pub(crate) fn new(task: Task) -> Self {
        Self {
            task,
            expect: Expect::default(),
            priority: 0,
            functions: Vec::new(),
        }
    }
}

/// Reads the options of `agent()` into `wanted`.
pub(crate) fn read<'js>(
    ctx: &Ctx<'js>,
    shared: &Shared,
    site: &Option<Site>,
    options: &Object<'js>,
    wanted: &mut Wanted<'js>,
) -> Result<()> {
    let task = &mut wanted.task;
    for option in options.props::<String, Value<'js>>() {
        let (name, value) = option?;
        if value.is_undefined() || value.is_null() {
            continue;
        }
        let given = Given {
            ctx,
            name: &name,
            value,
        };
        match name.as_str() {
            "label" => task.label = Some(given.words()?),
            "phase" => task.phase = Some(given.words()?),
            "kind" => task.kind = Some(given.string()?),
            "context" => task.context = Some(given.string()?),
            "model" => task.model = given.ladder()?,
            "fallback" => task.fallback = given.models()?,
            "check" => given.checks(&mut task.check, &mut wanted.functions)?,
            "maxCost" => task.max_cost = given.dollars()?,
            "agentType" => task.agent_type = Some(given.string()?),
            "executor" => task.executor = Some(given.string()?),
            "effort" => task.effort = Some(given.effort()?),
            "isolation" => task.isolation = given.isolation()?,
            "schema" => task.schema = Some(given.schema(shared)?),
            "tools" => task.tools = Some(given.names()?),
            "disallowedTools" => task.disallowed_tools = given.names()?,
            "inputs" => task.inputs = given.names()?,
            "timeout" => task.timeout = Some(given.span()?),
            "stallMs" => task.idle_timeout = Some(given.span()?),
            "retries" => task.retries = Some(given.count(0)?),
            "overloadWait" => task.overload_wait = Some(given.span()?),
            "hedge" => task.hedge = Some(given.switch()?),
            "maxTurns" => task.max_turns = Some(given.count(1)?),
            "required" => task.required = given.switch()?,
            "priority" => wanted.priority = given.count(0)?,
            "expect" => wanted.expect = given.expect()?,
            // To ignore it would let the agent run commands that its author ruled out.
            "bashCommandClamp" => return Err(Refusal::Type(NO_CLAMP.to_owned())),
            _ => {
                let message = unknown(&name, "agent()", &OPTIONS);
                warn(shared, site, &name, message);
            }
        }
    }
    Ok(())
}

/// Reads the options of `approve()`, and makes the task that asks `question`.
pub(crate) fn read_question<'js>(
    ctx: &Ctx<'js>,
    shared: &Shared,
    site: &Option<Site>,
    question: String,
    options: Option<&Object<'js>>,
) -> Result<Wanted<'js>> {
    let (mut choices, mut default) = (Choices::YesOrNo, None);
    let mut wanted = Wanted::new(Task {
        required: true,
        ..Task::default()
    });
    let task = &mut wanted.task;
    for option in options
        .iter()
        .flat_map(|options| options.props::<String, Value<'js>>())
    {
        let (name, value) = option?;
        // Any text is an answer.
        if name == "choices" && value.is_null() {
            choices = Choices::Any;
            continue;
        }
        if value.is_undefined() || value.is_null() {
            continue;
        }
        let given = Given {
            ctx,
            name: &name,
            value,
        };
        match name.as_str() {
            "choices" => choices = Choices::OneOf(given.choices()?),
            "default" => default = Some(given.answer()?),
            "timeout" => task.timeout = Some(given.span()?),
            "show" => task.context = Some(given.shown()?),
            "label" => task.label = Some(given.words()?),
            "phase" => task.phase = Some(given.words()?),
            "required" => task.required = given.switch()?,
            "priority" => wanted.priority = given.count(0)?,
            _ => {
                let message = unknown(&name, "approve()", &QUESTION_OPTIONS);
                warn(shared, site, &format!("approve {name}"), message);
            }
        }
    }
    let approval = Approval::new(choices, default).map_err(|bad| Refusal::Type(bad.to_string()))?;
    let task = Task {
        label: wanted.task.label.take(),
        phase: wanted.task.phase.take(),
        context: wanted.task.context.take(),
        timeout: wanted.task.timeout,
        required: wanted.task.required,
        ..Task::question(question, approval)
    };
    Ok(Wanted { task, ..wanted })
}

/// Reads the options of `phase()`: the cap of its tasks' cost.
pub(crate) fn read_phase<'js>(
    ctx: &Ctx<'js>,
    shared: &Shared,
    site: &Option<Site>,
    options: &Value<'js>,
) -> Result<Option<PicoUsd>> {
    let mut cap = None;
    let Some(options) = options.as_object() else {
        // Scripts pass indices and other values, as in `titles.forEach(phase)`.
        if !options.is_undefined() && !options.is_null() {
            let message = "the second argument of phase() is no object of options and does nothing";
            warn(shared, site, "phase", message.to_owned());
        }
        return Ok(cap);
    };
    for option in options.props::<String, Value<'js>>() {
        let (name, value) = option?;
        if value.is_undefined() || value.is_null() {
            continue;
        }
        match name.as_str() {
            "maxCost" => {
                cap = Given {
                    ctx,
                    name: &name,
                    value,
                }
                .dollars()?;
            }
            _ => {
                let message = unknown(&name, "phase()", &["maxCost"]);
                warn(shared, site, &format!("phase {name}"), message);
            }
        }
    }
    Ok(cap)
}

/// What is said of an option that does not exist, with the one that was probably meant.
fn unknown(name: &str, function: &str, known: &[&str]) -> String {
    let said = format!("`{name}` is no option of {function} and does nothing");
    match nearest(name, known.iter().copied()) {
        Some(meant) => format!("{said}; did you mean `{meant}`?"),
        None => said,
    }
}

/// Warns once for each option and script.
fn warn(shared: &Shared, site: &Option<Site>, name: &str, message: String) {
    let script = site.as_ref().map_or("", |site| &site.script);
    shared
        .borrow_mut()
        .warn_once(format!("option {name} {script}"), message, site.clone());
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The names that the arms of a function of this file read.
    fn arms(function: &str) -> Vec<&'static str> {
        let text = include_str!("options.rs");
        let (_, after) = text
            .split_once(&format!("pub(crate) fn {function}<"))
            .unwrap();
        let (body, _) = after.split_once("\n}\n").unwrap();
        let names = body.lines().filter_map(|line| {
            let (name, arm) = line.trim().strip_prefix('"')?.split_once('"')?;
            arm.starts_with(" =>").then_some(name)
        });
        names.filter(|name| *name != "bashCommandClamp").collect()
    }

    #[test]
    fn what_is_read_is_what_is_proposed() {
        assert_eq!(arms("read"), OPTIONS);
        assert_eq!(arms("read_question"), QUESTION_OPTIONS);
    }
}
