//! One session with an agent: greeting, new session, mode and model, prompt, answer.
//!
//! The client offers neither files nor terminals, so an agent uses tools of its own, and asks. All
//! that it sends is read leniently: agents differ in what they add to the protocol, and leave out.

use super::agents::Known;
use super::permission::{self, Refusal};
use super::said::{Note, Said};
use crate::executor::agent_program::shown;
use crate::executor::claude::class;
use crate::executor::lines::Lines;
use crate::executor::{Context, Progress};
use crate::tools::Fence;
use acp::{Agent, Client, UntypedMessage};
use agent_client_protocol as acp;
use agent_client_protocol::schema::ProtocolVersion;
use agent_client_protocol::v1::ConnectionTo;
use agent_client_protocol::v1::schema::{
    CancelNotification, ContentBlock, Implementation, InitializeRequest, NewSessionRequest,
    PromptRequest, RequestPermissionRequest, RequestPermissionResponse, SetSessionModeRequest,
    TextContent, ToolKind,
};
use divisi_core::{Effort, Failure, FailureClass, PicoUsd, Tier};
use divisi_providers::vendors;
use futures::stream;
use serde_json::{Value, json};
use std::collections::{BTreeSet, VecDeque};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

/// Longest time from the start to the prompt. The slowest agent takes some seconds; one that is read
/// from a slow disk for the first time, or looks for a server, takes many more.
const START_MAX: Duration = Duration::from_secs(90);

/// Longest wait for the answer to a prompt that was cancelled. With it come the tokens used.
const CANCEL_MAX: Duration = Duration::from_secs(2);

/// Most refusals told of an attempt.
const REFUSALS_MAX: usize = 20;

/// The ends of the program's input and output.
pub(super) struct Wires {
    pub(super) to: mpsc::Sender<Vec<u8>>,
    pub(super) from: mpsc::Receiver<Vec<u8>>,
}

/// What a session needs.
pub(super) struct Plan<'a> {
    /// The executor's name, for messages.
    pub(super) name: &'a str,
    pub(super) known: Option<&'static Known>,
    /// The mode that the settings name.
    pub(super) mode: Option<&'a str>,
    pub(super) context: &'a Context,
    pub(super) prompt: String,
    pub(super) has_cost: bool,
    /// When it is cancelled, so that it has time to say what it used.
    pub(super) deadline: Instant,
}

/// How a session went.
#[derive(Debug, Default)]
pub(super) struct Talked {
    /// Whether the prompt was sent: from then on it may cost.
    pub(super) is_asked: bool,
    /// The answer to the prompt; `Null` for an error. `None` if there was none.
    pub(super) answer: Option<Value>,
    /// Why there is no result. Without it, and without an answer, the agent has ended.
    pub(super) failure: Option<Failure>,
    /// Its model, as asked for.
    pub(super) model: Option<String>,
    pub(super) said: Said,
    /// What it wanted to use and was refused.
    pub(super) refused: Vec<String>,
    /// The first line that is not of the protocol.
    pub(super) noise: Option<String>,
}

/// State shared with the handlers of messages.
struct Shared {
    context: Context,
    name: String,
    fence: Fence,
    heard: Mutex<Heard>,
    /// Cancelled when the prompt must be: `failure` says why.
    halt: CancellationToken,
}

#[derive(Default)]
struct Heard {
    said: Said,
    refused: BTreeSet<String>,
    noise: Option<String>,
    failure: Option<Failure>,
}

/// The parts of a session that follow each other.
#[derive(Default)]
struct Progressed {
    is_asked: bool,
    answer: Option<Value>,
    failure: Option<Failure>,
    model: Option<String>,
}

/// Carries out a session. The program's input is closed when it is over.
pub(super) async fn talk(wires: Wires, fence: Fence, plan: &Plan<'_>) -> Talked {
    let shared = Arc::new(Shared {
        context: plan.context.clone(),
        name: plan.name.to_owned(),
        fence,
        heard: Mutex::default(),
        halt: CancellationToken::new(),
    });
    let (on_message, on_request) = (shared.clone(), shared.clone());
    let mut progressed = Progressed::default();
    let client = Client
        .v1()
        .name("divisi")
        .on_receive_notification(
            async move |message: UntypedMessage, _| {
                on_message.hears(&message);
                Ok(())
            },
            acp::on_receive_notification!(),
        )
        .on_receive_request(
            async move |asked: RequestPermissionRequest, responder, _| {
                let outcome = permission::answer(&asked, on_request.allows(&asked));
                responder.respond(RequestPermissionResponse::new(outcome))
            },
            acp::on_receive_request!(),
        );
    let transport = acp::Lines::new(outgoing(wires.to), incoming(wires.from, shared.clone()));
    // An error is one of the connection: the program has ended, or does not read.
    let _ = client
        .connect_with(transport, async |agent: ConnectionTo<Agent>| {
            proceed(&agent, plan, &shared, &mut progressed).await
        })
        .await;
    let mut heard = shared.heard();
    Talked {
        is_asked: progressed.is_asked,
        answer: progressed.answer,
        failure: heard.failure.take().or(progressed.failure),
        model: progressed.model,
        said: std::mem::take(&mut heard.said),
        refused: std::mem::take(&mut heard.refused).into_iter().collect(),
        noise: heard.noise.take(),
    }
}

/// All of a session. What happened is in `progressed`, also if this fails.
async fn proceed(
    agent: &ConnectionTo<Agent>,
    plan: &Plan<'_>,
    shared: &Shared,
    progressed: &mut Progressed,
) -> Result<(), acp::Error> {
    let until = plan.deadline.min(Instant::now() + START_MAX);
    let started = tokio::select! {
        started = start(agent, plan, progressed) => started?,
        () = sleep_until(until) => {
            let message = format!("`{}` did not start a session in time", plan.name);
            Err(Failure::new(FailureClass::Timeout, message))
        }
        () = shared.halt.cancelled() => return Ok(()),
    };
    let session = match started {
        Ok(session) => session,
        Err(failure) => {
            progressed.failure = Some(failure);
            return Ok(());
        }
    };
    let text = ContentBlock::Text(TextContent::new(plan.prompt.clone()));
    let request = PromptRequest::new(session.clone(), vec![text]);
    progressed.is_asked = true;
    let mut reply = std::pin::pin!(ask(agent, "session/prompt", request));
    let mut answer = tokio::select! {
        answer = &mut reply => Some(answer),
        () = shared.halt.cancelled() => None,
        () = sleep_until(plan.deadline) => {
            let message = format!("`{}` took longer than the task may take", plan.name);
            progressed.failure = Some(Failure::new(FailureClass::Timeout, message));
            None
        }
    };
    if answer.is_none() {
        agent.send_notification(CancelNotification::new(session))?;
        answer = timeout(CANCEL_MAX, reply).await.ok();
    }
    match answer {
        Some(Ok(answer)) => progressed.answer = Some(answer),
        Some(Err(error)) if !is_end(&error) => {
            progressed.answer = Some(Value::Null);
            progressed
                .failure
                .get_or_insert_with(|| plan.refusal(&error));
        }
        Some(Err(error)) => return Err(error),
        None => {}
    }
    Ok(())
}

/// Greets the agent and opens a session in its mode and with its model; returns its id.
async fn start(
    agent: &ConnectionTo<Agent>,
    plan: &Plan<'_>,
    progressed: &mut Progressed,
) -> Result<Result<String, Failure>, acp::Error> {
    let us = Implementation::new("divisi", env!("CARGO_PKG_VERSION"));
    let greeting = InitializeRequest::new(ProtocolVersion::V1).client_info(us);
    if let Err(error) = agent.send_request(greeting).block_task().await {
        if is_end(&error) {
            return Err(error);
        }
        let message = format!(
            "`{}` does not speak version 1 of the Agent Client Protocol: {}",
            plan.name,
            text_of(&error)
        );
        return Ok(Err(Failure::new(FailureClass::Unavailable, message).hint(
            "install a version of it that speaks version 1, or use another agent",
        )));
    }
    let mut request = NewSessionRequest::new(plan.context.root());
    if let Some(known) = plan.known
        && let Some(Value::Object(meta)) = known.session(plan.context, plan.has_cost)
    {
        request = request.meta(meta);
    }
    let opened = match ask(agent, "session/new", request).await {
        Ok(opened) => opened,
        Err(error) if is_end(&error) => return Err(error),
        Err(error) => return Ok(Err(plan.refusal(&error))),
    };
    let Some(session) = opened.get("sessionId").and_then(Value::as_str) else {
        let message = format!("`{}` opened a session without an id", plan.name);
        return Ok(Err(Failure::new(FailureClass::Program, message)));
    };
    let settings = async {
        set_mode(agent, plan, session, &opened).await?;
        progressed.model = set_model(agent, plan, session, &opened).await?;
        set_effort(agent, plan, session, &opened).await
    };
    match settings.await {
        Ok(()) => Ok(Ok(session.to_owned())),
        Err(Setting::Refused(failure)) => Ok(Err(failure)),
        Err(Setting::Ended(error)) => Err(error),
    }
}

/// Why a setting could not be made.
enum Setting {
    Refused(Failure),
    Ended(acp::Error),
}

impl Setting {
    fn of(error: acp::Error, refused: impl FnOnce(&acp::Error) -> Failure) -> Self {
        match is_end(&error) {
            true => Self::Ended(error),
            false => Self::Refused(refused(&error)),
        }
    }
}

/// The mode in which it asks before it changes anything, or that of the settings. An agent that
/// lacks it is not asked: in another mode it could do what it likes.
async fn set_mode(
    agent: &ConnectionTo<Agent>,
    plan: &Plan<'_>,
    session: &str,
    opened: &Value,
) -> Result<(), Setting> {
    let Some(mode) = plan.mode.or(plan.known.and_then(|known| known.mode)) else {
        return Ok(());
    };
    let request = SetSessionModeRequest::new(session.to_owned(), mode.to_owned());
    let set = match option(opened, "mode") {
        Some(option) => set_option(agent, session, option, mode).await,
        None => ask(agent, "session/set_mode", request).await,
    };
    set.map(drop).map_err(|error| {
        Setting::of(error, |error| {
            let message = format!(
                "`{}` does not take the mode `{mode}`: {}",
                plan.name,
                text_of(error)
            );
            Failure::new(FailureClass::Unavailable, message)
                .hint("name one of its modes in `mode` of its executor, in divisi.toml")
        })
    })
}

/// Chooses the model that the task asks for; returns its name, or that of the agent's own.
async fn set_model(
    agent: &ConnectionTo<Agent>,
    plan: &Plan<'_>,
    session: &str,
    opened: &Value,
) -> Result<Option<String>, Setting> {
    let option = option(opened, "model");
    let offered = match option {
        Some(option) => values(option),
        None => listed(opened),
    };
    let own = option
        .and_then(|option| option.get("currentValue"))
        .or_else(|| opened.pointer("/models/currentModelId"))
        .and_then(Value::as_str)
        .map(str::to_owned);
    let word = plan.context.model().unwrap_or_default();
    if ["", "auto", "inherit"].contains(&word) {
        return Ok(own);
    }
    let vendor = plan.known.and_then(|known| known.vendor);
    let Some(model) = choose(word, &offered, vendor) else {
        let own_name = own.as_deref().unwrap_or("its own");
        plan.context.log(format!(
            "{}: `{}` offers no model for `{word}` and uses {own_name}",
            plan.context.task().title(),
            plan.name
        ));
        return Ok(own);
    };
    let set = match option {
        Some(option) => set_option(agent, session, option, &model).await,
        None => {
            let params = json!({ "sessionId": session, "modelId": model });
            ask(agent, "session/set_model", params).await
        }
    };
    match set {
        Ok(_) => Ok(Some(model)),
        Err(error) => Err(Setting::of(error, |error| {
            let message = format!("`{}` has no model `{word}`: {}", plan.name, text_of(error));
            let failure = Failure::new(FailureClass::Unavailable, message);
            match offered.is_empty() {
                true => failure.hint("leave the model out: it offers no choice"),
                false => failure.hint(format!("it offers {}", some(&offered))),
            }
        })),
    }
}

/// The effort, if the agent offers it for the model.
async fn set_effort(
    agent: &ConnectionTo<Agent>,
    plan: &Plan<'_>,
    session: &str,
    opened: &Value,
) -> Result<(), Setting> {
    let (Some(effort), Some(option)) = (plan.context.effort(), option(opened, "thought_level"))
    else {
        return Ok(());
    };
    let offered = values(option);
    let words = [
        effort.as_str(),
        Effort::Xhigh.as_str(),
        Effort::High.as_str(),
    ];
    // The highest of a few agents is not called the highest.
    let words = match effort {
        Effort::Max => &words[..],
        _ => &words[..1],
    };
    let Some(word) = words.iter().find(|word| offered.iter().any(|o| o == *word)) else {
        return Ok(());
    };
    match set_option(agent, session, option, word).await {
        Err(error) if is_end(&error) => Err(Setting::Ended(error)),
        // The choices depend on the model, and an effort is only a wish.
        Ok(_) | Err(_) => Ok(()),
    }
}

async fn set_option(
    agent: &ConnectionTo<Agent>,
    session: &str,
    option: &Value,
    value: &str,
) -> Result<Value, acp::Error> {
    let params = json!({ "sessionId": session, "configId": option["id"], "value": value });
    ask(agent, "session/set_config_option", params).await
}

async fn ask(
    agent: &ConnectionTo<Agent>,
    method: &str,
    params: impl serde::Serialize,
) -> Result<Value, acp::Error> {
    agent
        .send_request(UntypedMessage::new(method, params)?)
        .block_task()
        .await
}

impl Plan<'_> {
    /// The failure of an error answer.
    fn refusal(&self, error: &acp::Error) -> Failure {
        let text = text_of(error);
        if error.code == acp::ErrorCode::AUTH_REQUIRED {
            return self.not_logged_in(&text);
        }
        let lower = text.to_lowercase();
        if lower.contains("maximum number of turns") {
            let message = format!("did not finish in {} turns", self.context.turns_max());
            return Failure::new(FailureClass::Turns, message).hint(
                "raise `maxTurns` of the task or `turns_max` of the settings, or ask for less",
            );
        }
        if lower.contains("maximum budget") {
            return over_budget(&text);
        }
        let kind = error.data.as_ref().and_then(|data| data.get("errorKind"));
        // Some agents put the status of the vendor in the place of the code.
        let code = u64::try_from(error.code.value()).ok();
        let status = code.filter(|code| (400..600).contains(code));
        let status = status.or_else(|| status_in(&text));
        match class(kind.and_then(Value::as_str), status, &text) {
            FailureClass::Auth => self.not_logged_in(&text),
            class => Failure::new(class, format!("`{}`: {text}", self.name)),
        }
    }

    fn not_logged_in(&self, text: &str) -> Failure {
        let message = format!("`{}` is not logged in: {text}", self.name);
        let failure = Failure::new(FailureClass::Auth, message);
        match self.known {
            Some(known) => failure.hint(known.login),
            None => failure.hint("log in with its own command, or set its key in `env`"),
        }
    }
}

/// The failure of an attempt that costs more than it may.
fn over_budget(text: &str) -> Failure {
    Failure::new(FailureClass::Budget, text).hint(
        "raise `maxCost` of the task or `cost` of its executor in divisi.toml, or ask for less",
    )
}

impl Shared {
    fn heard(&self) -> MutexGuard<'_, Heard> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn hears(&self, message: &UntypedMessage) {
        let mut heard = self.heard();
        match heard.said.read(message) {
            Ok(notes) => notes.into_iter().for_each(|note| {
                self.context.shows(match note {
                    Note::Tool(what) => Progress::Tool(what),
                    Note::Says(what) => Progress::Says(what),
                    Note::Writes(tokens) => Progress::Writes(tokens),
                });
            }),
            Err(flood) => {
                let message = format!("`{}` floods: {flood}", self.name);
                self.halts(&mut heard, Failure::new(FailureClass::Program, message));
            }
        }
        let (cost, most) = (heard.said.cost.unwrap_or_default(), self.context.reserved());
        if most > PicoUsd::ZERO && cost > most {
            let text = format!("`{}` has cost {cost} of {most}", self.name);
            self.halts(&mut heard, over_budget(&text));
        }
    }

    /// Has the prompt cancelled.
    fn halts(&self, heard: &mut Heard, failure: Failure) {
        heard.failure.get_or_insert(failure);
        self.halt.cancel();
    }

    /// Whether it may use the tool. What is refused is recorded or logged.
    fn allows(&self, asked: &RequestPermissionRequest) -> bool {
        let rights = self.context.rights();
        let Err(refusal) = permission::decide(asked, rights, &self.fence) else {
            return true;
        };
        let call = &asked.tool_call.fields;
        let what = shown(call.title.as_deref().unwrap_or("a tool"));
        let mut heard = self.heard();
        if heard.refused.len() >= REFUSALS_MAX || !heard.refused.insert(what.clone()) {
            return false;
        }
        match refusal {
            Refusal::Needs(permission) => {
                let kind = match call.kind.unwrap_or_default() {
                    ToolKind::Execute => "execute",
                    ToolKind::Delete => "delete",
                    ToolKind::Move => "move",
                    _ => "edit",
                };
                let tool = call.name.as_deref().unwrap_or(kind);
                self.context.refused(&shown(tool), permission);
            }
            Refusal::Not(why) => {
                let title = self.context.task().title();
                self.context.log(format!(
                    "{title}: `{}` was refused {what}: {why}",
                    self.name
                ));
            }
        }
        false
    }
}

/// Lines for the program.
fn outgoing(
    to: mpsc::Sender<Vec<u8>>,
) -> impl futures::Sink<String, Error = io::Error> + Send + 'static {
    futures::sink::unfold(to, async |to: mpsc::Sender<Vec<u8>>, line: String| {
        let mut line = line.into_bytes();
        line.push(b'\n');
        match to.send(line).await {
            Ok(()) => Ok(to),
            Err(_) => Err(io::ErrorKind::BrokenPipe.into()),
        }
    })
}

/// Lines of the program that may be messages. Others, such as logs, are passed over; the first is
/// kept to explain a failure.
fn incoming(
    from: mpsc::Receiver<Vec<u8>>,
    shared: Arc<Shared>,
) -> impl futures::Stream<Item = io::Result<String>> + Send + 'static {
    let state = (from, Lines::default(), VecDeque::new(), shared);
    stream::unfold(state, async |(mut from, mut lines, mut ready, shared)| {
        loop {
            let Some(line) = ready.pop_front() else {
                let chunk: Vec<u8> = from.recv().await?;
                ready.extend(lines.take(&chunk));
                continue;
            };
            let line: Vec<u8> = line;
            let line = String::from_utf8_lossy(&line);
            if line.trim_start().starts_with('{') {
                let line = line.into_owned();
                return Some((Ok(line), (from, lines, ready, shared)));
            }
            shared.heard().noise.get_or_insert_with(|| shown(&line));
        }
    })
}

/// Whether this error says that the program has ended, and not what it answered.
fn is_end(error: &acp::Error) -> bool {
    acp::is_connection_terminated(error) || acp::is_incoming_transport_closed(error)
}

/// What an error says, with its details.
fn text_of(error: &acp::Error) -> String {
    let message = error
        .message
        .strip_prefix("Internal error: ")
        .unwrap_or(&error.message);
    let details = error.data.as_ref().and_then(|data| match data {
        Value::String(text) => Some(text.as_str()),
        data => ["details", "message"]
            .iter()
            .find_map(|name| data.get(name)?.as_str()),
    });
    match details {
        Some(details) if !message.contains(details) => format!("{message}: {details}"),
        _ => message.to_owned(),
    }
}

/// An HTTP status of a refusal that stands alone in a text: `API Error: 529 Overloaded`.
pub(super) fn status_in(text: &str) -> Option<u64> {
    text.split(|c: char| !c.is_ascii_alphanumeric())
        .filter(|word| word.len() == 3)
        .filter_map(|word| word.parse().ok())
        .find(|status| (400..600).contains(status))
}

/// The option of a session in this category.
fn option<'v>(opened: &'v Value, category: &str) -> Option<&'v Value> {
    let options = opened.get("configOptions")?.as_array()?;
    let of = |name: &str| options.iter().find(|option| option[name] == category);
    of("category").or_else(|| of("id"))
}

/// The values of an option, which may be in groups.
fn values(option: &Value) -> Vec<String> {
    let entries = option.get("options").and_then(Value::as_array);
    let flat = entries.into_iter().flatten().flat_map(|entry| {
        match entry.get("options").and_then(Value::as_array) {
            Some(group) => group.iter().collect(),
            None => vec![entry],
        }
    });
    flat.filter_map(|entry| Some(entry.get("value")?.as_str()?.to_owned()))
        .collect()
}

/// The models of a session, for agents that have no option for them.
fn listed(opened: &Value) -> Vec<String> {
    let models = opened.pointer("/models/availableModels");
    let models = models.and_then(Value::as_array).into_iter().flatten();
    models
        .filter_map(|model| Some(model.get("modelId")?.as_str()?.to_owned()))
        .collect()
}

/// The offered model that a word means: its name, or that of the vendor's model for a tier, also
/// behind the vendor's name. Another name is passed on as it is; `None` for a tier without a model.
fn choose(word: &str, offered: &[String], vendor: Option<&str>) -> Option<String> {
    let find = |id: &str| {
        let is_it = |value: &&String| {
            **value == id
                || value
                    .strip_suffix(id)
                    .is_some_and(|rest| rest.ends_with('/'))
        };
        offered.iter().find(is_it).cloned()
    };
    if let Some(model) = find(word) {
        return Some(model);
    }
    match word.parse::<Tier>() {
        Ok(tier) => vendors()
            .iter()
            .filter(|known| vendor.is_none_or(|vendor| vendor == known.name))
            .filter_map(|vendor| vendor.tiers.get(&tier))
            .find_map(|id| find(id)),
        Err(_) => {
            let prefix = vendor.map(|vendor| format!("{vendor}:"));
            let id = prefix.and_then(|prefix| word.strip_prefix(&prefix));
            let id = id.unwrap_or(word);
            Some(find(id).unwrap_or_else(|| id.to_owned()))
        }
    }
}

/// A few of many names.
fn some(names: &[String]) -> String {
    const SHOWN: usize = 8;
    let first = names[..names.len().min(SHOWN)].join(", ");
    match names.len() {
        ..=SHOWN => first,
        all => format!("{first} and {} more", all - SHOWN),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_a_model_that_is_offered_or_the_vendors_for_a_tier() {
        let offered = |names: &[&str]| names.iter().map(|&n| n.to_owned()).collect::<Vec<_>>();
        let claude = offered(&["default", "opus", "haiku"]);
        assert_eq!(
            choose("haiku", &claude, Some("anthropic")).as_deref(),
            Some("haiku")
        );
        let codex = offered(&["gpt-6-luna", "gpt-6-sol"]);
        assert_eq!(
            choose("haiku", &codex, Some("openai")).as_deref(),
            Some("gpt-6-luna")
        );
        assert_eq!(choose("fable", &codex, Some("openai")), None);
        assert_eq!(
            choose("gpt-x", &codex, Some("openai")).as_deref(),
            Some("gpt-x")
        );
        assert_eq!(
            choose("openai:gpt-6-sol", &codex, Some("openai")).as_deref(),
            Some("gpt-6-sol")
        );
        let many = offered(&["openai/gpt-6-luna", "anthropic/claude-haiku-5-5"]);
        assert_eq!(
            choose("haiku", &many, None).as_deref(),
            Some("anthropic/claude-haiku-5-5")
        );
        assert_eq!(
            choose("gpt-6-luna", &many, None).as_deref(),
            Some("openai/gpt-6-luna")
        );
        assert_eq!(choose("haiku", &many, Some("google")), None);
    }

    #[test]
    fn a_status_stands_alone() {
        for (text, expected) in [
            ("API Error: 529 Overloaded. See 127.0.0.1:4777", Some(529)),
            ("Request rejected (429) · The rate limit", Some(429)),
            (
                "last status: 429 Too Many Requests, id: req_500a",
                Some(429),
            ),
            ("took 5290 ms in 200 steps", None),
        ] {
            assert_eq!(status_in(text), expected, "{text}");
        }
    }

    #[test]
    fn options_are_found_by_category_and_may_be_in_groups() {
        let opened = json!({"configOptions": [
            {"id": "m", "category": "model", "options": [{"name": "G", "options": [
                {"value": "a"}, {"value": "b"}]}, {"value": "c"}]},
            {"id": "mode", "options": []}]});
        assert_eq!(values(option(&opened, "model").unwrap()), ["a", "b", "c"]);
        assert!(option(&opened, "mode").is_some());
        assert!(option(&opened, "thought_level").is_none());
        assert_eq!(some(&["a", "b"].map(str::to_owned)), "a, b");
    }
}
