//! The connection to one server: started at the first use, once more if it dies, ended with the
//! run.

use super::definitions::{McpTool, TOOLS_MAX, usable};
use super::pipe::{Lines, MESSAGE_BYTES_MAX};
use super::{McpServer, Reached, result};
use crate::process::{Program, Running};
use divisi_providers::redact;
use rmcp::ServiceExt;
use rmcp::model::{
    CallToolRequestParams, ClientCapabilities, ClientConfig, Implementation, PaginatedRequestParams,
};
use rmcp::service::{ClientInitializeError, RoleClient, RunningService, ServiceError};
use rmcp::transport::async_rw::AsyncRwTransport;
use rmcp::transport::streamable_http_client::{
    StreamableHttpClientTransport, StreamableHttpClientTransportConfig,
};
use serde_json::{Map, Value};
use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;
use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard};

/// Starts of a server in one run. It may die once for any reason, such as too little memory; one
/// that dies again would do so in a thousand tasks.
const STARTS_MAX: u32 = 2;

/// Time for a server to end once its input is closed, and again after SIGTERM: the end of a run
/// waits for it.
const PATIENCE: Duration = Duration::from_secs(1);

/// The client as servers see it. It declares nothing that they could ask of it.
fn client_info() -> ClientConfig {
    ClientConfig::new(
        ClientCapabilities::default(),
        Implementation::new("divisi", env!("CARGO_PKG_VERSION")),
    )
}

/// A server of a run.
pub(super) struct Connection(Arc<Inner>);

struct Inner {
    name: Arc<str>,
    server: McpServer,
    folder: PathBuf,
    state: Arc<AsyncMutex<State>>,
    /// Its tools, as listed at its first start.
    tools: OnceLock<Result<Arc<[McpTool]>, String>>,
}

#[derive(Default)]
struct State {
    live: Option<Arc<Live>>,
    starts: u32,
    /// Why the last start failed, or how the last process ended.
    why: Option<String>,
    is_stopped: bool,
}

/// A running server.
struct Live {
    client: RunningService<RoleClient, ClientConfig>,
    program: Mutex<Option<Running>>,
    /// Whether it sent a message that is too long.
    flooded: Arc<AtomicBool>,
}

impl Connection {
    pub(super) fn new(name: Arc<str>, server: McpServer, folder: &Path) -> Self {
        Self(Arc::new(Inner {
            name,
            server,
            folder: folder.to_owned(),
            state: Arc::default(),
            tools: OnceLock::new(),
        }))
    }

    pub(super) fn server(&self) -> &McpServer {
        &self.0.server
    }

    /// Its tools. Starts it if it is not running, so that no task is begun, and paid for, whose
    /// tools would all fail. Remarks about tools that cannot be offered are added to `notes`.
    pub(super) async fn tools(&self, notes: &Mutex<Vec<String>>) -> Result<Arc<[McpTool]>, String> {
        let live = self.live().await?;
        if let Some(tools) = self.0.tools.get() {
            return tools.clone();
        }
        // Held while they are listed, so that many tasks list them once.
        let mut state = self.0.state.lock().await;
        if let Some(tools) = self.0.tools.get() {
            return tools.clone();
        }
        let (name, most) = (&self.0.name, self.0.server.start_timeout);
        let is_same = |now: &Arc<Live>| Arc::ptr_eq(now, &live);
        if !state.live.as_ref().is_some_and(is_same) {
            let why = state.why.as_deref().unwrap_or("it has ended");
            return Err(format!("the MCP server `{name}` does not start: {why}"));
        }
        let why = match tokio::time::timeout(most, list(&live)).await {
            Ok(Ok(listed)) => return self.keep(listed, notes),
            Ok(Err(error)) => short(&loss(&error)),
            Err(_) => format!("no answer within {most:?}"),
        };
        // One that does not list its tools has not started: the next task starts it once more.
        let why = format!("it does not list its tools: {why}");
        let message = format!("the MCP server `{name}` does not start: {why}");
        state.why = Some(why);
        if let Some(live) = state.live.take() {
            live.end().await;
        }
        Err(message)
    }

    /// Keeps the tools that can be offered, for the whole run.
    fn keep(
        &self,
        listed: Vec<rmcp::model::Tool>,
        notes: &Mutex<Vec<String>>,
    ) -> Result<Arc<[McpTool]>, String> {
        let name = &self.0.name;
        let tools = usable(name, &self.0.server, listed).map(|(tools, remarks)| {
            notes
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .extend(remarks);
            Arc::from(tools)
        });
        self.0.tools.get_or_init(|| tools).clone()
    }

    /// Calls its tool of this name.
    pub(super) async fn call(
        &self,
        tool: &str,
        input: Map<String, Value>,
    ) -> Result<String, String> {
        let live = self.live().await?;
        let request = CallToolRequestParams::new(tool.to_owned()).with_arguments(input);
        let (name, most) = (&self.0.name, self.0.server.timeout);
        match tokio::time::timeout(most, live.client.call_tool(request)).await {
            Ok(Ok(result)) => result::text(&result),
            Ok(Err(ServiceError::McpError(error))) => Err(format!(
                "the MCP server `{name}` refuses the call: {}",
                error.message
            )),
            Ok(Err(error)) => {
                let why = live.why(&loss(&error));
                Err(format!(
                    "the MCP server `{name}` was lost during the call ({why}); whether it was \
                     carried out is not known"
                ))
            }
            Err(_) => Err(format!(
                "the MCP server `{name}` gave no result within {most:?}; the call may still be \
                 under way there"
            )),
        }
    }

    /// The running server, started if it is not running.
    async fn live(&self) -> Result<Arc<Live>, String> {
        let state = self.0.state.clone().lock_owned().await;
        if let Some(live) = state.live.as_ref().filter(|live| !live.is_over()) {
            return Ok(live.clone());
        }
        // In a task of its own, because a start that one attempt gives up is needed by others.
        let inner = self.0.clone();
        let started = tokio::spawn(async move { inner.started(state).await });
        started
            .await
            .unwrap_or_else(|_| Err("divisi is being stopped".to_owned()))
    }

    /// Ends it for good.
    pub(super) async fn stop(&self) {
        let live = {
            let mut state = self.0.state.lock().await;
            state.is_stopped = true;
            state.live.take()
        };
        if let Some(live) = live {
            live.end().await;
        }
    }
}

impl Inner {
    async fn started(&self, mut state: OwnedMutexGuard<State>) -> Result<Arc<Live>, String> {
        let name = &self.name;
        if state.is_stopped {
            return Err(format!("the MCP server `{name}` is ended with the run"));
        }
        if let Some(dead) = state.live.take() {
            state.why = Some(dead.why("its connection has ended"));
            dead.end().await;
        }
        if state.starts == STARTS_MAX {
            let why = state.why.as_deref().unwrap_or("it has ended");
            return Err(format!(
                "the MCP server `{name}` is not available in this run any more: {why}, and it \
                 is not started a third time"
            ));
        }
        state.starts += 1;
        match self.start().await {
            Ok(live) => {
                let live = Arc::new(live);
                state.live = Some(live.clone());
                Ok(live)
            }
            Err(why) => {
                let message = format!("the MCP server `{name}` does not start: {why}");
                state.why = Some(why);
                Err(message)
            }
        }
    }

    async fn start(&self) -> Result<Live, String> {
        let flooded = Arc::new(AtomicBool::new(false));
        let most = self.server.start_timeout;
        let late = || format!("no answer within {most:?}");
        match &self.server.reached {
            Reached::Program { command, env } => {
                let (running, pipes) = program(command, env, &self.folder)?
                    .start()
                    .map_err(|error| error.to_string())?;
                let stdout = Lines::new(pipes.stdout, flooded.clone());
                let transport = AsyncRwTransport::new_client(stdout, pipes.stdin)
                    .with_max_line_length(MESSAGE_BYTES_MAX);
                let served = tokio::time::timeout(most, client_info().serve(transport)).await;
                let why = match served {
                    Ok(Ok(client)) => {
                        return Ok(Live {
                            client,
                            program: Mutex::new(Some(running)),
                            flooded,
                        });
                    }
                    Ok(Err(error)) => refusal(&error),
                    Err(_) => late(),
                };
                let said = running.complaint();
                running.end(Duration::ZERO).await;
                Err(with_complaint(&why, said))
            }
            Reached::Http { url, headers } => {
                let transport = http(url, headers)?;
                match tokio::time::timeout(most, client_info().serve(transport)).await {
                    Ok(Ok(client)) => Ok(Live {
                        client,
                        program: Mutex::new(None),
                        flooded,
                    }),
                    Ok(Err(error)) => Err(short(&refusal(&error))),
                    Err(_) => Err(late()),
                }
            }
            Reached::Not(why) => Err(why.clone()),
        }
    }
}

impl Live {
    fn is_over(&self) -> bool {
        self.client.is_transport_closed() || self.client.is_closed()
    }

    /// How it ended: the limit that it exceeded, or `error` and the last line that it said.
    fn why(&self, error: &str) -> String {
        if self.flooded.load(Ordering::Relaxed) {
            return format!("it sent a message of more than {MESSAGE_BYTES_MAX} bytes");
        }
        let program = self.program.lock().unwrap_or_else(PoisonError::into_inner);
        with_complaint(error, program.as_ref().and_then(Running::complaint))
    }

    /// Closes its input, and ends its program, even if the connection is still in use.
    async fn end(&self) {
        self.client.cancellation_token().cancel();
        let program = {
            let mut program = self.program.lock().unwrap_or_else(PoisonError::into_inner);
            program.take()
        };
        if let Some(program) = program {
            program.end(PATIENCE).await;
        }
    }
}

/// The reason, with the last line of a program's standard error.
fn with_complaint(why: &str, said: Option<String>) -> String {
    match said {
        Some(said) => format!("{}; its last line on stderr: {}", short(why), short(&said)),
        None => short(why),
    }
}

/// The beginning of a reason, without secrets: some repeat a whole message of the server.
fn short(why: &str) -> String {
    /// Some lines of a terminal.
    const BYTES_MAX: usize = 300;
    let why = redact(why);
    why[..why.floor_char_boundary(BYTES_MAX)].trim().to_owned()
}

/// Why a server was not greeted, without the client's names of types.
fn refusal(error: &ClientInitializeError) -> String {
    match error {
        ClientInitializeError::TransportError { error, .. } => error.error.to_string(),
        ClientInitializeError::JsonRpcError(error) => error.message.to_string(),
        other => other.to_string(),
    }
}

/// Why a request has no answer, without the client's names of types.
fn loss(error: &ServiceError) -> String {
    match error {
        ServiceError::TransportSend(error) => error.error.to_string(),
        ServiceError::TransportClosed => "its connection has ended".to_owned(),
        ServiceError::McpError(error) => error.message.to_string(),
        other => other.to_string(),
    }
}

/// The program of a server. Its environment has no secret but those given to it.
pub(super) fn program(
    command: &[String],
    env: &BTreeMap<String, String>,
    folder: &Path,
) -> Result<Program, String> {
    let [program, args @ ..] = command else {
        return Err("it has no command".to_owned());
    };
    let program = Program::new(program)
        .args(args)
        .cwd(folder)
        .without_secrets();
    Ok(env
        .iter()
        .fold(program, |program, (name, value)| program.env(name, value)))
}

/// The transport to an address.
fn http(
    url: &str,
    headers: &BTreeMap<String, String>,
) -> Result<StreamableHttpClientTransport<divisi_providers::HttpClient>, String> {
    let client = divisi_providers::http_client(url)?;
    let mut sent = HashMap::new();
    for (name, value) in headers {
        // The value is in no message: it may be a key.
        let wrong = || format!("its header `{name}` is none of HTTP");
        sent.insert(
            name.parse().map_err(|_| wrong())?,
            value.parse().map_err(|_| wrong())?,
        );
    }
    let config = StreamableHttpClientTransportConfig::with_uri(url)
        .custom_headers(sent)
        .max_sse_event_size(MESSAGE_BYTES_MAX)
        .max_json_response_size(MESSAGE_BYTES_MAX);
    Ok(StreamableHttpClientTransport::with_client(client, config))
}

/// All its tools, up to a number that no task can have.
async fn list(live: &Live) -> Result<Vec<rmcp::model::Tool>, ServiceError> {
    let (mut tools, mut cursor) = (vec![], None);
    loop {
        let params = PaginatedRequestParams::default().with_cursor(cursor);
        let page = live.client.list_tools(Some(params)).await?;
        let is_empty = page.tools.is_empty();
        tools.extend(page.tools);
        tools.truncate(TOOLS_MAX);
        match page.next_cursor {
            Some(next) if tools.len() < TOOLS_MAX && !is_empty => cursor = Some(next),
            Some(_) | None => return Ok(tools),
        }
    }
}
