//! HTTP requests to a vendor, and failures of its connections.
//!
//! One client per provider keeps connections open between requests, with HTTP/2 where the vendor
//! offers it. It follows no redirect, because that would send the key to another address, and never
//! repeats a request, because a repeated one is paid for twice.

use crate::classify;
use crate::endpoint::{Endpoint, EndpointError, EndpointPart};
use crate::error::{ProviderError, innermost};
use crate::provider::Progress;
use crate::reply::Reply;
use crate::secret::Secret;
use crate::stream::{self, Assembler};
use divisi_core::FailureClass;
use divisi_core::governor::IN_FLIGHT_MAX;
use reqwest::header::{ACCEPT_ENCODING, CONNECTION, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Client, RequestBuilder, Response, Url, Version, redirect, retry};
use rustls::crypto::CryptoProvider;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::error::Error;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::time::timeout;

/// Time limit for connecting. Vendors accept within a second or not at all.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Most requests of one model family in flight to a vendor without HTTP/2, where each takes a
/// connection, unless the user sets more: with more, a call takes up to twice as long. A few below
/// 256, because a connection can be reused only a moment after its reply.
///
/// The limit is per family: a run on three of them may open three times as many connections.
const CONNECTIONS_MAX: u32 = 250;

/// Requests that share one HTTP/2 connection: the number that RFC 9113 recommends servers to accept
/// at least. Requests beyond a server's limit would wait within the connection, where they count as
/// sent.
const STREAMS_MAX: usize = 100;

/// How long an idle connection is kept. Vendors close theirs after a minute or two.
const IDLE_TIMEOUT: Duration = Duration::from_secs(60);

/// Interval of keep-alive pings on a silent connection. A model may think for minutes, and nothing
/// else would show that the connection is dead.
const KEEP_ALIVE: Duration = Duration::from_secs(30);

/// Time within which a request fails on a connection that is already closed. No vendor has started
/// working by then, so it is not billed.
const DEAD_WITHIN: Duration = Duration::from_secs(1);

/// Time limit for the rest of a body where no stream is expected. Some servers keep the connection
/// open after an error.
const BODY_WAIT: Duration = Duration::from_secs(10);

/// Largest body where no stream is expected: an error, a list of models.
const BODY_BYTES_MAX: usize = 4 << 20;

/// The connections to one vendor.
pub(crate) struct Http {
    /// At least one client, each with connections of its own.
    clients: Mutex<Vec<SharedClient>>,
    /// Sent with every request.
    headers: HeaderMap,
    pub(crate) endpoint: Endpoint,
    /// The base address.
    base: Url,
    /// Whether the latest response came over HTTP/2.
    multiplexes: AtomicBool,
    /// Begin of the latest response whose connection is kept.
    answered: Mutex<Option<Instant>>,
}

impl Http {
    /// Prepares the connections; nothing is sent yet. `headers` are the vendor's own.
    pub(crate) fn new(
        endpoint: Endpoint,
        headers: impl IntoIterator<Item = (&'static str, Secret)>,
    ) -> Result<Self, EndpointError> {
        endpoint.make_known();
        let wrong = |part, what| EndpointError {
            name: endpoint.name.clone(),
            part,
            what,
        };
        let unusable = |what: String| wrong(EndpointPart::Other, what);
        let elsewhere = |what: String| wrong(EndpointPart::Address, what);
        // `localhost:8080` would be parsed as a scheme and a path.
        if !endpoint.base_url.contains("://") {
            return Err(elsewhere(
                "its address does not begin with http:// or https://".to_owned(),
            ));
        }
        let url = Url::parse(&endpoint.base_url)
            .map_err(|error| elsewhere(format!("its address is wrong: {error}")))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(elsewhere(format!(
                "its address begins with `{}:`, and only http and https are spoken",
                url.scheme()
            )));
        }
        if let (Some(flaw), env) = (
            endpoint.key.as_ref().and_then(Secret::flaw),
            &endpoint.key_env,
        ) {
            let place = env
                .as_deref()
                .map(|env| format!(" in {env}"))
                .unwrap_or_default();
            return Err(unusable(format!(
                "the key{place} has {flaw} in it: copy it again"
            )));
        }
        let vendor = headers
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value));
        let mut map = HeaderMap::new();
        // Compressed bodies arrive late. One that is compressed nevertheless is decoded.
        map.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        for (name, value) in vendor.chain(endpoint.headers.iter().cloned()) {
            let mut sent = HeaderValue::from_str(value.expose()).map_err(|_| {
                unusable(format!(
                    "the header `{name}` has characters that cannot be sent"
                ))
            })?;
            sent.set_sensitive(true);
            let name = HeaderName::from_bytes(name.as_bytes())
                .map_err(|_| unusable(format!("`{name}` cannot be the name of a header")))?;
            map.insert(name, sent);
        }
        let client = client(&url, map.clone()).map_err(|error| unusable(innermost(&error)))?;
        Ok(Self {
            clients: Mutex::new(vec![client.into()]),
            headers: map,
            base: url,
            endpoint,
            multiplexes: AtomicBool::new(false),
            answered: Mutex::default(),
        })
    }

    /// Number of requests of one model family worth having in flight. If providers with one key
    /// share a gate, the latest request decides.
    pub(crate) fn in_flight_max(&self) -> u32 {
        match self.multiplexes.load(Ordering::Relaxed) {
            true => IN_FLIGHT_MAX,
            false => CONNECTIONS_MAX,
        }
    }

    /// Sends `body` and reads the reply as it arrives.
    pub(crate) async fn reply(
        &self,
        path: &str,
        body: &impl Serialize,
        assembler: impl Assembler,
        progress: &(dyn Fn(Progress) + Send + Sync),
    ) -> Result<Reply, ProviderError> {
        let (client, _in_flight) = self.client();
        let response = self.call(client.post(self.url(path)).json(body)).await?;
        stream::reply(&self.endpoint, response, assembler, progress).await
    }

    /// Fetches what is at `path`.
    pub(crate) async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, ProviderError> {
        let (client, _in_flight) = self.client();
        self.value(path, client.get(self.url(path))).await
    }

    /// Sends `body` to `path` and returns the whole answer.
    pub(crate) async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, ProviderError> {
        let (client, _in_flight) = self.client();
        self.value(path, client.post(self.url(path)).json(body))
            .await
    }

    /// The client for a further request: the first with room, so that connections are reused.
    fn client(&self) -> (Client, InFlight) {
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        // Without encryption HTTP/2 is not negotiated, and one client has any number of
        // connections.
        let is_plain = self.base.scheme() == "http";
        if let Some(free) = clients.iter().find(|client| is_plain || client.is_free()) {
            return free.takes_one();
        }
        if let Ok(another) = client(&self.base, self.headers.clone()) {
            clients.push(another.into());
        }
        // The list is never empty.
        let emptiest = clients
            .iter()
            .min_by_key(|client| client.in_flight.load(Ordering::Relaxed));
        emptiest.unwrap_or(&clients[0]).takes_one()
    }

    async fn value<T: DeserializeOwned>(
        &self,
        path: &str,
        request: RequestBuilder,
    ) -> Result<T, ProviderError> {
        let response = self.call(request).await?;
        let body = body(response).await;
        serde_json::from_str(&body).map_err(|error| {
            let Endpoint { name, .. } = &self.endpoint;
            let what = self.endpoint.quoted(&error.to_string());
            ProviderError::new(
                FailureClass::Server,
                format!("provider `{name}` answered {path} with something else: {what}"),
            )
        })
    }

    /// The address of `path`, which begins with a slash. Built without parsing for every request.
    fn url(&self, path: &str) -> Url {
        let (path, query) = path
            .split_once('?')
            .map_or((path, None), |(path, query)| (path, Some(query)));
        let mut url = self.base.clone();
        url.set_path(&format!("{}{path}", self.base.path().trim_end_matches('/')));
        // The query of the base address is kept, such as the version of Azure's API.
        if let Some(query) = query {
            let both = self.base.query().map(|own| format!("{own}&{query}"));
            url.set_query(Some(both.as_deref().unwrap_or(query)));
        }
        url
    }

    async fn call(&self, request: RequestBuilder) -> Result<Response, ProviderError> {
        let (sent_at, is_kept) = (Instant::now(), self.keeps_connections());
        let response = request.send().await.map_err(|error| {
            // The vendor had closed the connection before the request arrived, so nothing read it.
            let is_dead = is_kept && sent_at.elapsed() < DEAD_WITHIN;
            self.unreached(&error, is_dead)
        })?;
        self.multiplexes
            .store(response.version() == Version::HTTP_2, Ordering::Relaxed);
        let is_kept = response
            .headers()
            .get(CONNECTION)
            .is_none_or(|value| value != "close");
        *self.answered() = is_kept.then(Instant::now);
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let headers = response.headers().clone();
        Err(classify::response(
            &self.endpoint,
            status.as_u16(),
            &headers,
            &body(response).await,
        ))
    }

    /// Whether a connection of an earlier request may still be open.
    fn keeps_connections(&self) -> bool {
        self.answered()
            .is_some_and(|at| at.elapsed() < IDLE_TIMEOUT)
    }

    fn answered(&self) -> MutexGuard<'_, Option<Instant>> {
        self.answered.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The failure of a request without a response. `is_dead` says that it was sent on a kept
    /// connection that had been closed.
    fn unreached(&self, error: &reqwest::Error, is_dead: bool) -> ProviderError {
        let Endpoint { name, .. } = &self.endpoint;
        let cause = self.endpoint.quoted(&innermost(error));
        let url = self.endpoint.shown_url();
        if error.is_connect() {
            let message = format!("provider `{name}` cannot be reached: {cause}");
            return ProviderError::new(FailureClass::Network, message).hint(format!(
                "is a server running at {url}, and is this machine online?"
            ));
        }
        let message = format!("provider `{name}` closed the connection without an answer: {cause}");
        let is_unread = is_dead || is_unsent(error);
        let error = ProviderError::new(FailureClass::Network, message);
        if is_unread {
            error
        } else {
            error.maybe_billed()
        }
    }
}

/// Whether no byte of a request has been sent, because its connection was gone before, or the
/// server says that it has processed nothing of it (RFC 9113, section 8.7).
fn is_unsent(error: &(dyn Error + 'static)) -> bool {
    let is_cancelled = error
        .downcast_ref::<hyper::Error>()
        .is_some_and(hyper::Error::is_canceled);
    let is_refused = error
        .downcast_ref::<h2::Error>()
        .is_some_and(|error| error.reason() == Some(h2::Reason::REFUSED_STREAM));
    // The source of an `io::Error` is that of the error in it.
    let within = error
        .downcast_ref::<io::Error>()
        .and_then(io::Error::get_ref);
    is_cancelled
        || is_refused
        || within.is_some_and(|within| is_unsent(within))
        || error.source().is_some_and(is_unsent)
}

/// A client, with the number of its requests under way.
#[derive(Clone)]
struct SharedClient {
    client: Client,
    in_flight: Arc<AtomicUsize>,
}

/// Counts as a request under way until dropped.
struct InFlight(Arc<AtomicUsize>);

impl SharedClient {
    fn is_free(&self) -> bool {
        // Relaxed: an outdated count leads at most to one more client.
        self.in_flight.load(Ordering::Relaxed) < STREAMS_MAX
    }

    fn takes_one(&self) -> (Client, InFlight) {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        (self.client.clone(), InFlight(self.in_flight.clone()))
    }
}

impl From<Client> for SharedClient {
    fn from(client: Client) -> Self {
        Self {
            client,
            in_flight: Arc::default(),
        }
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A client that sends `headers` to `url`.
fn client(url: &Url, headers: HeaderMap) -> reqwest::Result<Client> {
    let builder = match is_on_this_machine(url) {
        // Loading the system's certificates takes as long as the rest of the start.
        true if url.scheme() == "http" => builder(true).tls_certs_only([]),
        on_this_machine => builder(on_this_machine),
    };
    builder.default_headers(headers).build()
}

/// A client for requests that are none to a vendor.
#[doc(hidden)]
pub type HttpClient = Client;

/// A client for `url` without any key; the error is a phrase that does not contain the address.
#[doc(hidden)]
pub fn http_client(url: &str) -> Result<HttpClient, String> {
    let wrong = || "its address is none of http or https".to_owned();
    let url = Url::parse(url).map_err(|_| wrong())?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(wrong());
    }
    client(&url, HeaderMap::new()).map_err(|error| error.without_url().to_string())
}

/// A client builder without vendor-specific options.
pub(crate) fn builder(on_this_machine: bool) -> reqwest::ClientBuilder {
    // Not aws-lc, which takes as long to compile as the whole workspace. A program that uses this
    // library may have installed another one.
    if CryptoProvider::get_default().is_none() {
        // Fails if another thread was faster, with the same result.
        let _ = rustls::crypto::ring::default_provider().install_default();
    }
    let builder = Client::builder()
        .user_agent(concat!("divisi/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(CONNECT_TIMEOUT)
        .pool_max_idle_per_host(IN_FLIGHT_MAX as usize)
        .pool_idle_timeout(IDLE_TIMEOUT)
        .tcp_keepalive(KEEP_ALIVE)
        .http2_keep_alive_interval(KEEP_ALIVE)
        .http2_adaptive_window(true)
        .redirect(redirect::Policy::none())
        .retry(retry::never());
    // A proxy would connect these addresses to its own machine.
    if on_this_machine {
        builder.no_proxy()
    } else {
        builder
    }
}

pub(crate) fn is_on_this_machine(url: &Url) -> bool {
    matches!(url.host_str(), Some("localhost" | "127.0.0.1" | "[::1]"))
}

/// As much of the body as arrives; the rest could only have explained more.
pub(crate) async fn body(mut response: Response) -> String {
    let mut bytes = Vec::new();
    while let Ok(Ok(Some(chunk))) = timeout(BODY_WAIT, response.chunk()).await {
        bytes.extend_from_slice(&chunk);
        if bytes.len() > BODY_BYTES_MAX {
            break;
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_that_the_server_refused_to_begin_is_unsent() {
        let told = |reason| io::Error::other(h2::Error::from(reason));
        assert!(is_unsent(&told(h2::Reason::REFUSED_STREAM)));
        assert!(!is_unsent(&told(h2::Reason::INTERNAL_ERROR)));
        assert!(!is_unsent(&io::Error::other("reset")));
    }

    #[test]
    fn only_http_is_spoken() {
        let set_up = |url: &str| {
            Http::new(Endpoint::new("main", url), [])
                .err()
                .map(|error| error.to_string())
        };
        assert_eq!(set_up("https://example.com"), None);
        insta::assert_snapshot!(set_up("ftp://example.com").unwrap(), @"provider `main` cannot be set up: its address begins with `ftp:`, and only http and https are spoken");
    }
}
