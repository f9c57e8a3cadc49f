//! The state of a running script: calls made, answers awaited.
//!
//! Shared by the host and the functions that scripts call. It is borrowed briefly and never across
//! a call into the engine, which may call back into this module.

use crate::groups::Groups;
use crate::looks::Look;
use crate::rejections::Rejections;
use crate::source::{Columns, callee};
use crate::stack;
use crate::trial::Trial;
use crate::{Call, CallId, GroupId, HostLimits, HostOptions, Script, Site, TaskAnswer};
use divisi_core::PicoUsd;
use divisi_core::event::Refusal;
use rquickjs::{Ctx, Function, Persistent};
use serde_json::Value;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::rc::Rc;
use std::sync::Arc;

pub(crate) type Shared = Rc<RefCell<State>>;

pub(crate) struct State {
    pub(crate) options: HostOptions,
    /// Calls not yet returned to the caller.
    calls: Vec<Call>,
    /// By call id; `None` once answered.
    waiting: Vec<Option<Waiting>>,
    open: usize,
    /// Timers requested so far.
    timers: u32,
    /// Calls of the script since it was last given an answer, and the most of them so far.
    at_once: u32,
    widest: u32,
    /// Refused calls not yet reported, by reason.
    refused: BTreeMap<Refusal, u32>,
    pub(crate) rejections: Rejections,
    messages: u32,
    /// Keys of warnings already sent, so that a loop sends each once.
    warned: HashSet<String>,
    /// Output tokens and dollars of all answers given.
    spent: u64,
    spent_usd: PicoUsd,
    /// The texts of all scripts of the run by name, for messages, and their columns.
    sources: HashMap<Arc<str>, (Arc<str>, Columns)>,
    /// Schemas by their text: thousands of calls mostly share one.
    schemas: HashMap<String, Arc<Value>>,
    /// The prelude's helper for checks, once it was needed.
    pub(crate) checker: Option<Persistent<Function<'static>>>,
    /// Makes results tell what is looked at in them, in a dry run.
    pub(crate) watcher: Option<Persistent<Function<'static>>>,
    pub(crate) looks: Vec<Look>,
    /// Those of [`CONVERTED`] that may be meant.
    quoted: BTreeSet<&'static str>,
    pub(crate) groups: Groups,
    /// Facts from the prelude about the next task.
    pub(crate) next: Next,
}

/// Texts of objects that a prompt cannot mean, with advice.
const CONVERTED: [(&str, &str); 2] = [
    (
        "[object Promise]",
        "write `await` before the call whose result it needs",
    ),
    (
        "[object Object]",
        "put a field of the object into it, or the text of `JSON.stringify()`",
    ),
];

/// Facts from the prelude about a task, set before its request.
#[derive(Default)]
pub(crate) struct Next {
    /// Its prompt mentions missing results.
    pub(crate) is_informed: bool,
    /// The longest list that its result may contain.
    pub(crate) elements_max: Option<usize>,
}

/// A promise that an answer will settle.
pub(crate) struct Waiting {
    pub(crate) resolve: Persistent<Function<'static>>,
    pub(crate) reject: Persistent<Function<'static>>,
    pub(crate) site: Option<Site>,
    pub(crate) asked: Asked,
    /// The group in which the call was made.
    pub(crate) group: Option<GroupId>,
}

/// What is awaited.
pub(crate) enum Asked {
    Task {
        /// Its name in messages.
        title: String,
        /// Whether a failure throws.
        required: bool,
        form: Form,
    },
    /// One try of a task whose result is checked by functions of the script.
    Try(Rc<RefCell<Trial>>),
    /// A time that passes.
    Timer,
    Load {
        /// JSON text for the other script.
        args: Option<String>,
        /// How deep the other script is nested.
        depth: u32,
    },
}

/// How the end of a task is passed to the script.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// The value, or `null`.
    Value,
    /// The whole outcome; never an exception.
    Outcome,
}

impl State {
    pub(crate) fn new(options: HostOptions) -> Shared {
        Rc::new(RefCell::new(Self {
            options,
            calls: Vec::new(),
            waiting: Vec::new(),
            open: 0,
            timers: 0,
            at_once: 0,
            widest: 0,
            refused: BTreeMap::new(),
            rejections: Rejections::default(),
            messages: 0,
            warned: HashSet::new(),
            spent: 0,
            spent_usd: PicoUsd::ZERO,
            sources: HashMap::new(),
            schemas: HashMap::new(),
            checker: None,
            watcher: None,
            looks: Vec::new(),
            quoted: BTreeSet::new(),
            groups: Groups::default(),
            next: Next::default(),
        }))
    }

    pub(crate) fn next_id(&self) -> CallId {
        CallId(self.waiting.len() as u32)
    }

    /// Hands out `call`, which must have the next id, and stores its promise.
    pub(crate) fn ask(&mut self, call: Call, waiting: Waiting) {
        self.calls.push(call);
        self.waiting.push(Some(waiting));
        self.open += 1;
    }

    /// Hands out a timer with the next id; `false` if the run has had as many as it may have.
    pub(crate) fn ask_timer(&mut self, timer: Call, waiting: Waiting) -> bool {
        let may = self.timers < self.options.limits.timers_max;
        if may {
            self.timers += 1;
            self.ask(timer, waiting);
        }
        may
    }

    pub(crate) fn answered(&mut self, id: CallId) -> Option<Waiting> {
        let waiting = self.waiting.get_mut(id.0 as usize)?.take();
        self.at_once = 0;
        self.open -= usize::from(waiting.is_some());
        waiting
    }

    /// Notes a text in which the words of [`CONVERTED`] may be meant: a script, an argument, a
    /// result.
    pub(crate) fn quote(&mut self, text: &str) {
        for (word, _) in CONVERTED {
            if text.contains(word) {
                self.quoted.insert(word);
            }
        }
    }

    /// Why no model should be paid for this prompt: it contains an object that was converted to a
    /// text, and neither the scripts nor their arguments nor a result have these words.
    pub(crate) fn spoils(&self, what: &str, text: &str) -> Option<String> {
        // A dry run reports it.
        if self.options.mark.is_some() {
            return None;
        }
        let is_spoiled =
            |(word, _): &&(&str, &str)| text.contains(*word) && !self.quoted.contains(*word);
        let (word, advice) = CONVERTED.iter().find(is_spoiled)?;
        Some(format!("{what} says `{word}`: {advice}"))
    }

    /// Begins a group and makes it current.
    pub(crate) fn begin_group(&mut self, id: GroupId, width: usize) {
        if let Some((kind, parent, site)) = self.groups.begin(id) {
            self.calls.push(Call::GroupBegan {
                id,
                kind,
                width,
                parent,
                site,
            });
        }
    }

    /// Ends a group.
    pub(crate) fn end_group(&mut self, id: GroupId) {
        if self.groups.end(id) {
            self.calls.push(Call::GroupEnded { id });
        }
    }

    /// Number of calls that wait for an answer.
    pub(crate) fn open(&self) -> usize {
        self.open
    }

    pub(crate) fn is_open(&self, id: CallId) -> bool {
        self.waiting.get(id.0 as usize).is_some_and(Option::is_some)
    }

    pub(crate) fn take_calls(&mut self) -> Vec<Call> {
        let refused = std::mem::take(&mut self.refused).into_iter();
        self.calls
            .extend(refused.map(|(refusal, count)| Call::Refused { refusal, count }));
        std::mem::take(&mut self.calls)
    }

    /// Hands out a notification.
    pub(crate) fn tell(&mut self, call: Call) {
        self.calls.push(call);
    }

    /// Most calls in the whole run, as far as its fan-outs are known.
    pub(crate) fn calls_max(&self) -> u32 {
        let limits = &self.options.limits;
        let wide = self.widest.saturating_mul(HostLimits::FURTHER);
        limits.agents_max.max(wide.min(limits.agents_wide_max))
    }

    /// The limit that refuses the next task, if any; the refusal is counted.
    pub(crate) fn refuse(&mut self) -> Option<Refusal> {
        self.at_once = self.at_once.saturating_add(1);
        self.widest = self.widest.max(self.at_once);
        let calls_max = self.calls_max();
        let refusal = match self.options.budget_total {
            _ if self.next_id().0 - self.timers >= calls_max => Refusal::Call { calls_max },
            Some(total) if self.spent() >= total => Refusal::Tokens { total },
            Some(_) | None => return None,
        };
        let count = self.refused.entry(refusal.clone()).or_default();
        *count = count.saturating_add(1);
        Some(refusal)
    }

    /// Drops all values of the engine, which must go before the engine.
    pub(crate) fn forget_waiting(&mut self) {
        self.waiting.iter_mut().for_each(|waiting| *waiting = None);
        self.rejections.clear();
        self.open = 0;
        self.checker = None;
        self.watcher = None;
    }

    /// Begins a phase. With a cap it is sent even beyond the limit of messages.
    pub(crate) fn phase(&mut self, title: String, cap: Option<PicoUsd>) {
        if self.may_speak() || cap.is_some() {
            let title = self.cut(title);
            self.calls.push(Call::Phase { title, cap });
        }
    }

    pub(crate) fn log(&mut self, message: String) {
        if self.may_speak() {
            let message = self.cut(message);
            self.calls.push(Call::Log { message });
        }
    }

    /// Sends a warning unless one with this `key` was sent.
    pub(crate) fn warn_once(&mut self, key: String, message: String, site: Option<Site>) {
        if self.warned.insert(key) && self.may_speak() {
            let message = self.cut(message);
            self.calls.push(Call::Warning { message, site });
        }
    }

    /// Whether a warning with this `key` was sent.
    pub(crate) fn has_warned(&self, key: &str) -> bool {
        self.warned.contains(key)
    }

    /// Counts a message; the first one beyond the limit becomes a note that no more follow.
    fn may_speak(&mut self) -> bool {
        let messages_max = self.options.limits.messages_max;
        self.messages = self.messages.saturating_add(1);
        if self.messages == messages_max.saturating_add(1) {
            let message = format!("more than {messages_max} messages: the others are dropped");
            self.calls.push(Call::Warning {
                message,
                site: None,
            });
        }
        self.messages <= messages_max
    }

    /// The message, cut to the permitted length.
    pub(crate) fn cut(&self, message: String) -> String {
        match message
            .char_indices()
            .nth(self.options.limits.message_chars_max)
        {
            Some((end, _)) => format!("{}…", &message[..end]),
            None => message,
        }
    }

    pub(crate) fn spend(&mut self, answer: &TaskAnswer) {
        self.spent = self.spent.saturating_add(answer.output_tokens);
        self.spent_usd += answer.cost;
    }

    pub(crate) fn spent(&self) -> u64 {
        self.spent
    }

    pub(crate) fn spent_usd(&self) -> PicoUsd {
        self.spent_usd
    }

    pub(crate) fn add_source(&mut self, script: &Script) {
        self.quote(script.source());
        let source = (script.source().clone(), script.columns().clone());
        self.sources.insert(script.name().clone(), source);
    }

    /// The name and the text of a script of this run.
    pub(crate) fn source(&self, name: &str) -> Option<(Arc<str>, Arc<str>)> {
        self.sources
            .get_key_value(name)
            .map(|(name, (text, _))| (name.clone(), text.clone()))
    }

    /// A column that the engine reports for a line of a script, as the script has it.
    pub(crate) fn column(&self, script: &str, line: u32, column: u32) -> u32 {
        self.sources
            .get(script)
            .map_or(column, |(_, columns)| columns.original(line, column))
    }

    /// The message of an exception, with the name of what was called where the engine says only
    /// `not a function`.
    pub(crate) fn naming_callee(&self, message: String, stack: &str) -> String {
        let Some(kind) = ["TypeError: not a function", "TypeError: not a constructor"]
            .iter()
            .find(|known| **known == message)
            .and_then(|known| known.strip_prefix("TypeError: "))
        else {
            return message;
        };
        let named = stack::frames(stack).next().and_then(|frame| {
            let (_, text) = self.source(frame.file)?;
            let column = self.column(frame.file, frame.line, frame.column);
            callee(&text, frame.line, column)
        });
        match named {
            Some(named) => format!("TypeError: {named} is {kind}"),
            None => message,
        }
    }

    /// The schema with this text, if already parsed.
    pub(crate) fn schema(&self, text: &str) -> Option<Arc<Value>> {
        self.schemas.get(text).cloned()
    }

    pub(crate) fn add_schema(&mut self, text: String, schema: Arc<Value>) {
        self.schemas.insert(text, schema);
    }
}

impl Waiting {
    pub(crate) fn new<'js>(
        ctx: &Ctx<'js>,
        resolve: Function<'js>,
        reject: Function<'js>,
        site: Option<Site>,
        asked: Asked,
        group: Option<GroupId>,
    ) -> Self {
        let (resolve, reject) = (
            Persistent::save(ctx, resolve),
            Persistent::save(ctx, reject),
        );
        Self {
            resolve,
            reject,
            site,
            asked,
            group,
        }
    }
}
