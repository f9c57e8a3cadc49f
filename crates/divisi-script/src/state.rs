//! What a host remembers while a script runs: calls made, answers awaited.
//!
//! Shared by the host and by the functions that scripts call. It is borrowed
//! for a moment at a time and never across a call into the engine, which may
//! come back here.

use crate::groups::Groups;
use crate::rejections::Rejections;
use crate::trial::Trial;
use crate::{Call, CallId, GroupId, HostOptions, Site, TaskAnswer};
use divisi_core::PicoUsd;
use divisi_core::event::Refusal;
use rquickjs::{Ctx, Function, Persistent};
use serde_json::Value;
use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::rc::Rc;
use std::sync::Arc;

pub(crate) type Shared = Rc<RefCell<State>>;

pub(crate) struct State {
    pub(crate) options: HostOptions,
    /// Made since the engine was last told.
    calls: Vec<Call>,
    /// By call id; answered ones are gone.
    waiting: Vec<Option<Waiting>>,
    open: usize,
    /// Calls that a limit has refused since the engine was last told.
    refused: BTreeMap<Refusal, u32>,
    pub(crate) rejections: Rejections,
    messages: u32,
    /// Warnings that were given, so that a loop gives each once.
    warned: HashSet<String>,
    /// Output tokens and dollars of all answers given.
    spent: u64,
    spent_usd: PicoUsd,
    /// The texts of all scripts of the run by name, for messages.
    sources: HashMap<Arc<str>, Arc<str>>,
    /// Schemas by their text: a thousand calls mostly share one.
    schemas: HashMap<String, Arc<Value>>,
    /// Our helper that lets functions of scripts check results, once it was needed.
    pub(crate) checker: Option<Persistent<Function<'static>>>,
    pub(crate) groups: Groups,
    /// What our helpers have said of the next task.
    pub(crate) next: Next,
}

/// What our helpers say of a task before they ask for it.
#[derive(Default)]
pub(crate) struct Next {
    /// It is told what is missing.
    pub(crate) is_informed: bool,
    /// The longest list that its result may hold.
    pub(crate) elements_max: Option<usize>,
}

/// A promise that an answer will settle.
pub(crate) struct Waiting {
    pub(crate) resolve: Persistent<Function<'static>>,
    pub(crate) reject: Persistent<Function<'static>>,
    pub(crate) site: Option<Site>,
    pub(crate) asked: Asked,
    /// What the script was in when it asked.
    pub(crate) group: Option<GroupId>,
}

/// What is awaited.
pub(crate) enum Asked {
    Task {
        /// What messages call it.
        title: String,
        /// Whether a failure throws.
        required: bool,
        form: Form,
    },
    /// One try of a task whose result functions of the script check.
    Try(Rc<RefCell<Trial>>),
    Load {
        /// JSON text for the other script.
        args: Option<String>,
        /// How deep the other script is nested.
        depth: u32,
    },
}

/// How a script is told how a task ended.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// The value, or `null`.
    Value,
    /// All that is known, and never an exception.
    Outcome,
}

impl State {
    pub(crate) fn new(options: HostOptions) -> Shared {
        Rc::new(RefCell::new(Self {
            options,
            calls: Vec::new(),
            waiting: Vec::new(),
            open: 0,
            refused: BTreeMap::new(),
            rejections: Rejections::default(),
            messages: 0,
            warned: HashSet::new(),
            spent: 0,
            spent_usd: PicoUsd::ZERO,
            sources: HashMap::new(),
            schemas: HashMap::new(),
            checker: None,
            groups: Groups::default(),
            next: Next::default(),
        }))
    }

    pub(crate) fn next_id(&self) -> CallId {
        CallId(self.waiting.len() as u32)
    }

    /// Hands out `call`, which has the next id, and remembers who waits for it.
    pub(crate) fn ask(&mut self, call: Call, waiting: Waiting) {
        self.calls.push(call);
        self.waiting.push(Some(waiting));
        self.open += 1;
    }

    pub(crate) fn answered(&mut self, id: CallId) -> Option<Waiting> {
        let waiting = self.waiting.get_mut(id.0 as usize)?.take();
        self.open -= usize::from(waiting.is_some());
        waiting
    }

    /// Tells that a group begins, and puts the script into it.
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

    /// Tells that a group is over.
    pub(crate) fn end_group(&mut self, id: GroupId) {
        if self.groups.end(id) {
            self.calls.push(Call::GroupEnded { id });
        }
    }

    /// How many calls wait for an answer.
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

    /// Hands out what waits for no answer.
    pub(crate) fn tell(&mut self, call: Call) {
        self.calls.push(call);
    }

    /// The limit that keeps the next task from being asked for; counted.
    pub(crate) fn refuse(&mut self) -> Option<Refusal> {
        let calls_max = self.options.limits.agents_max;
        let refusal = match self.options.budget_total {
            _ if self.next_id().0 >= calls_max => Refusal::Call { calls_max },
            Some(total) if self.spent() >= total => Refusal::Tokens { total },
            Some(_) | None => return None,
        };
        let count = self.refused.entry(refusal.clone()).or_default();
        *count = count.saturating_add(1);
        Some(refusal)
    }

    /// Lets go of everything that belongs to the engine, before the engine goes.
    pub(crate) fn forget_waiting(&mut self) {
        self.waiting.iter_mut().for_each(|waiting| *waiting = None);
        self.rejections.clear();
        self.open = 0;
        self.checker = None;
    }

    /// Tells that a phase begins. One with a cap is no mere message.
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

    /// Warns once of what has the same `key`.
    pub(crate) fn warn_once(&mut self, key: String, message: String, site: Option<Site>) {
        if self.warned.insert(key) && self.may_speak() {
            let message = self.cut(message);
            self.calls.push(Call::Warning { message, site });
        }
    }

    /// Counts a message; says once that there will be no more.
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

    /// As much of a message as may be said.
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

    pub(crate) fn add_source(&mut self, name: Arc<str>, text: Arc<str>) {
        self.sources.insert(name, text);
    }

    /// The name and the text of a script of this run.
    pub(crate) fn source(&self, name: &str) -> Option<(Arc<str>, Arc<str>)> {
        self.sources
            .get_key_value(name)
            .map(|(name, text)| (name.clone(), text.clone()))
    }

    /// The schema with this text, if it was seen before.
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
