//! Reads a reply as it arrives.
//!
//! Vendors differ in their events, but replies fail in the same ways: they break off, contain an
//! error, are malformed, or never end. That is handled here; an [`Assembler`] interprets the
//! events.
//!
//! The content of a body decides what it is, not its content type: events, a whole reply, an error,
//! or none of these.

use crate::classify;
use crate::end::Unfinished;
use crate::endpoint::Endpoint;
use crate::error::{ProviderError, innermost};
use crate::estimate;
use crate::fault;
use crate::frames::{Event, Frames, is_done};
use crate::provider::{BEGINNING_BYTES_MAX, Progress, beginning};
use crate::rate;
use crate::repair;
use crate::reply::Reply;
use bytes::Bytes;
use divisi_core::{FailureClass, Usage};
use futures::{Stream, StreamExt};
use reqwest::Response;
use reqwest::header::{CONTENT_TYPE, HeaderMap};
use serde_json::{Value, json};
use std::error::Error;
use std::pin::pin;
use std::time::Duration;
use tokio::time::{Instant, timeout, timeout_at};

/// Longest stream. The longest reply, 128,000 tokens sent one by one, has about 20 MB with all
/// framing.
const STREAM_BYTES_MAX: usize = 64 << 20;

/// Time to wait for the end of the stream after the end of the reply. Reading up to it allows
/// reusing the connection, but a server that keeps the stream open must not cause a delay.
const DRAIN: Duration = Duration::from_millis(50);

/// Time to wait after the stop reason for what may follow: the usage, and the end mark. Both come
/// at once or never.
const TAIL: Duration = Duration::from_secs(5);

/// Bytes kept of a body that is not a reply, to identify it.
const HEAD_BYTES_MAX: usize = 2 << 10;

/// Assembles a reply from a vendor's events.
pub(crate) trait Assembler {
    /// Applies the next event; `name` may be empty. Returns whether it adds anything; fails only if
    /// `data` is not a JSON object, or is an error.
    fn take(&mut self, name: &str, data: &str) -> Result<bool, Trouble>;
    /// Applies the end mark of a stream.
    fn done(&mut self) {}
    /// Tokens that the vendor has counted so far.
    fn usage(&self) -> Usage;
    /// Bytes of output received.
    fn written(&self) -> usize;
    /// The text of the reply so far.
    fn said(&self) -> &str;
    /// Whether the stop reason has arrived, so that little may follow.
    fn has_ended(&self) -> bool;
    /// Whether nothing that follows would change the reply.
    fn is_complete(&self) -> bool;
    /// The reply, if it is complete.
    fn finish(self) -> Result<Reply, Unfinished>;
}

/// An invalid event.
#[derive(Debug)]
pub(crate) enum Trouble {
    /// An error in the vendor's form.
    Vendor(Value),
    /// It violates the protocol.
    Malformed(String),
}

impl From<serde_json::Error> for Trouble {
    fn from(error: serde_json::Error) -> Self {
        Self::Malformed(error.to_string())
    }
}

/// Reads the reply in `response`.
pub(crate) async fn reply(
    endpoint: &Endpoint,
    response: Response,
    assembler: impl Assembler,
    progress: &(dyn Fn(Progress) + Send + Sync),
) -> Result<Reply, ProviderError> {
    let headers = response.headers().clone();
    let (request_id, rate) = (classify::request_id(&headers), rate::read(&headers));
    match read(
        endpoint,
        &headers,
        response.bytes_stream(),
        assembler,
        progress,
    )
    .await
    {
        Ok(reply) => Ok(Reply {
            request_id,
            rate,
            ..reply
        }),
        Err(error) => Err(ProviderError {
            request_id: request_id.or(error.request_id),
            rate,
            ..error
        }),
    }
}

async fn read<E: Error>(
    endpoint: &Endpoint,
    headers: &HeaderMap,
    bytes: impl Stream<Item = Result<Bytes, E>>,
    assembler: impl Assembler,
    progress: &(dyn Fn(Progress) + Send + Sync),
) -> Result<Reply, ProviderError> {
    let mut bytes = pin!(bytes);
    let mut reading = Reading::new(endpoint, headers, assembler, progress);
    let mut received = 0;
    let mut cause = None;
    let mut tail: Option<Instant> = None;
    while !reading.assembler.is_complete() {
        let chunk = match tail {
            None => bytes.next().await,
            Some(until) => match timeout_at(until, bytes.next()).await {
                Ok(chunk) => chunk,
                Err(_) => break,
            },
        };
        let has_added = match chunk {
            Some(Ok(chunk)) => {
                received += chunk.len();
                if received > STREAM_BYTES_MAX {
                    cause = Some(format!("it is longer than {STREAM_BYTES_MAX} bytes"));
                    break;
                }
                progress(Progress::Alive);
                reading
                    .push(&chunk)
                    .map_err(|trouble| reading.failure(trouble))?
            }
            Some(Err(error)) => {
                cause = Some(innermost(&error));
                break;
            }
            None => {
                reading.end().map_err(|trouble| reading.failure(trouble))?;
                break;
            }
        };
        // Only content extends the wait: comments could keep a finished stream open for ever.
        if reading.assembler.has_ended() && (has_added || tail.is_none()) {
            tail = Some(Instant::now() + TAIL);
        }
    }
    let is_complete = reading.assembler.is_complete();
    let reply = reading.finish(cause)?;
    if is_complete {
        // The reply is complete, whatever follows.
        let _ = timeout(DRAIN, async {
            while let Some(Ok(_)) = bytes.next().await {}
        })
        .await;
    }
    Ok(reply)
}

/// A reply while it is read.
struct Reading<'a, A> {
    endpoint: &'a Endpoint,
    headers: &'a HeaderMap,
    progress: &'a (dyn Fn(Progress) + Send + Sync),
    assembler: A,
    frames: Frames,
    /// The beginning of the body.
    head: Vec<u8>,
    /// Whether anything but errors has arrived.
    has_started: bool,
    /// Whether the body ended within an event.
    is_cut: bool,
    /// The prompt as counted so far.
    prompt: Usage,
    /// Bytes of the text's beginning that were reported.
    shown: usize,
}

impl<'a, A: Assembler> Reading<'a, A> {
    fn new(
        endpoint: &'a Endpoint,
        headers: &'a HeaderMap,
        assembler: A,
        progress: &'a (dyn Fn(Progress) + Send + Sync),
    ) -> Self {
        let (frames, head) = (Frames::default(), Vec::new());
        Self {
            endpoint,
            headers,
            progress,
            assembler,
            frames,
            head,
            has_started: false,
            is_cut: false,
            prompt: Usage::default(),
            shown: 0,
        }
    }

    /// Adds received bytes. Returns whether they add anything to the reply.
    fn push(&mut self, chunk: &[u8]) -> Result<bool, Trouble> {
        let room = HEAD_BYTES_MAX - self.head.len();
        self.head.extend_from_slice(&chunk[..chunk.len().min(room)]);
        self.frames.push(chunk);
        self.events()
    }

    /// Handles the rest at the end of the body. An incomplete event only shows that the reply was
    /// cut off.
    fn end(&mut self) -> Result<(), Trouble> {
        self.frames.end();
        match self.events() {
            Ok(_) => Ok(()),
            Err(Trouble::Malformed(_)) => {
                self.is_cut = true;
                Ok(())
            }
            Err(trouble) => Err(trouble),
        }
    }

    fn events(&mut self) -> Result<bool, Trouble> {
        let mut has_added = false;
        while !self.assembler.is_complete()
            && let Some(event) = self.frames.next()
        {
            if !take(&mut self.assembler, &event)? {
                continue;
            }
            has_added = true;
            if !std::mem::replace(&mut self.has_started, true) {
                (self.progress)(Progress::Started(rate::read(self.headers)));
            }
            let prompt = Usage {
                output: 0,
                thinking: 0,
                ..self.assembler.usage()
            };
            if std::mem::replace(&mut self.prompt, prompt) != prompt {
                (self.progress)(Progress::Prompt(prompt));
            }
            (self.progress)(Progress::OutputTokens(estimate::tokens(
                self.assembler.written(),
            )));
            self.begins();
        }
        Ok(has_added)
    }

    /// Reports the beginning of the text when it has doubled, so that a reply is reported a few
    /// times, however small its pieces are.
    fn begins(&mut self) {
        let said = self.assembler.said();
        if self.shown >= BEGINNING_BYTES_MAX || said.len() < 2 * self.shown {
            return;
        }
        let beginning = beginning(said);
        if beginning.len() > self.shown {
            self.shown = match said.len() > BEGINNING_BYTES_MAX {
                true => BEGINNING_BYTES_MAX,
                false => beginning.len(),
            };
            (self.progress)(Progress::Begins(beginning.into()));
        }
    }

    #[expect(clippy::result_large_err, reason = "once for each reply")]
    fn finish(self, cause: Option<String>) -> Result<Reply, ProviderError> {
        let Self {
            endpoint,
            headers,
            assembler,
            head,
            has_started,
            is_cut,
            ..
        } = self;
        match assembler.finish() {
            Ok(reply) => Ok(reply),
            Err(_) if !has_started && !is_cut && cause.is_none() => {
                Err(no_reply(endpoint, headers, &head))
            }
            Err(Unfinished { reason }) => Err(broken_off(endpoint, reason, cause)),
        }
    }

    fn failure(&self, trouble: Trouble) -> ProviderError {
        match trouble {
            Trouble::Vendor(error) if self.has_started => classify::event(self.endpoint, &error),
            Trouble::Vendor(error) => instead_of_a_reply(self.endpoint, self.headers, &error),
            Trouble::Malformed(what) => {
                let Endpoint { name, .. } = self.endpoint;
                let what = self.endpoint.quoted(&what);
                let message =
                    format!("provider `{name}` sent an event that cannot be read: {what}");
                // The model may have written the rest of the reply.
                ProviderError::new(FailureClass::Server, message).maybe_billed()
            }
        }
    }
}

/// Applies an event, repaired if it is nearly valid. Returns whether it adds anything.
fn take(assembler: &mut impl Assembler, Event { name, data }: &Event) -> Result<bool, Trouble> {
    let data = data.trim();
    if is_done(data) {
        assembler.done();
        return Ok(false);
    }
    if data.is_empty() {
        return Ok(false);
    }
    if name.eq_ignore_ascii_case("error") {
        let error = repair::value(data).ok().filter(Value::is_object);
        return Err(Trouble::Vendor(
            error.unwrap_or_else(|| json!({"message": data})),
        ));
    }
    if !data.contains(['{', '}', '"']) {
        // A message that only keeps the connection open.
        return Ok(false);
    }
    match assembler.take(name, data) {
        Err(Trouble::Malformed(what)) => {
            let values = repair::values(data).ok_or(Trouble::Malformed(what))?;
            let mut has_added = false;
            for value in values.into_iter().flat_map(items) {
                has_added |= match value.is_object() {
                    true => assembler.take(name, &value.to_string())?,
                    false => false,
                };
            }
            Ok(has_added)
        }
        taken => taken,
    }
}

/// The events in a list, as sent by Google.
fn items(value: Value) -> Vec<Value> {
    match value {
        Value::Array(items) => items,
        other => vec![other],
    }
}

/// Classifies an error in place of a reply: nothing was generated, so it is not billed, unless a
/// gateway sent it after waiting for a model.
fn instead_of_a_reply(endpoint: &Endpoint, headers: &HeaderMap, error: &Value) -> ProviderError {
    match fault::status(error) {
        Some(status) => classify::response(endpoint, status, headers, &error.to_string()),
        None => ProviderError {
            maybe_billed: false,
            retry_after: rate::retry_after(headers),
            ..classify::event(endpoint, error)
        },
    }
}

/// Classifies a body without a reply.
fn no_reply(endpoint: &Endpoint, headers: &HeaderMap, head: &[u8]) -> ProviderError {
    let body = String::from_utf8_lossy(head);
    let body = body.trim();
    if body.is_empty() {
        return broken_off(endpoint, None, None);
    }
    let name = &endpoint.name;
    let kind = headers
        .get(CONTENT_TYPE)
        .and_then(|kind| kind.to_str().ok())
        .unwrap_or("nothing");
    let kind = endpoint.quoted(kind);
    if body.starts_with('<') || body.starts_with(['{', '[']) {
        let message =
            format!("provider `{name}` answered with {kind} instead of a stream of events");
        return ProviderError::new(FailureClass::BadRequest, message)
            .hint(format!(
                "check that {} is the address of such an API",
                endpoint.shown_url()
            ))
            .maybe_billed();
    }
    let is_events = body
        .lines()
        .any(|line| line.starts_with(':') || line.starts_with("data") || line.starts_with("event"));
    if is_events {
        return broken_off(endpoint, None, None);
    }
    let message = format!(
        "provider `{name}` answered with no reply: {}",
        endpoint.quoted(body)
    );
    ProviderError::new(FailureClass::Server, message).maybe_billed()
}

/// DeepSeek's stop reason of an overloaded inference server.
const OVERLOADED: &str = "insufficient_system_resource";

fn broken_off(endpoint: &Endpoint, reason: Option<String>, cause: Option<String>) -> ProviderError {
    let mut message = format!(
        "the reply of provider `{}` broke off before its end",
        endpoint.name
    );
    if let Some(reason) = &reason {
        message.push_str(&format!(", for the reason `{}`", endpoint.quoted(reason)));
    }
    if let Some(cause) = cause {
        message.push_str(": ");
        message.push_str(&endpoint.quoted(&cause));
    }
    let class = match reason.as_deref() {
        Some(OVERLOADED) => FailureClass::Overloaded,
        Some(_) => FailureClass::Server,
        None => FailureClass::Network,
    };
    ProviderError::new(class, message).maybe_billed()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use std::io;
    use std::sync::Mutex;

    /// Reads replies that are in memory.
    pub(crate) struct Reader {
        runtime: tokio::runtime::Runtime,
        endpoint: Endpoint,
        headers: HeaderMap,
    }

    impl Reader {
        pub(crate) fn new() -> Self {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_time()
                .build()
                .unwrap();
            Self {
                runtime,
                endpoint: Endpoint::new("main", "https://example.com"),
                headers: HeaderMap::new(),
            }
        }

        /// Reads `pieces` as if they had arrived one after the other.
        pub(crate) fn read(
            &self,
            pieces: &[&[u8]],
            assembler: impl Assembler,
        ) -> (Result<Reply, ProviderError>, Vec<Progress>) {
            let seen = Mutex::new(Vec::new());
            let chunks: Vec<_> = pieces
                .iter()
                .map(|piece| Ok::<_, io::Error>(Bytes::copy_from_slice(piece)))
                .collect();
            let progress = |sign| seen.lock().unwrap().push(sign);
            let stream = futures::stream::iter(chunks);
            let reading = read(&self.endpoint, &self.headers, stream, assembler, &progress);
            (self.runtime.block_on(reading), seen.into_inner().unwrap())
        }
    }

    /// Reads `pieces` as if they had arrived one after the other.
    pub(crate) fn read_pieces(
        pieces: &[&[u8]],
        assembler: impl Assembler,
    ) -> (Result<Reply, ProviderError>, Vec<Progress>) {
        Reader::new().read(pieces, assembler)
    }

    /// The reply in `stream`, which must be the same for every way to split it.
    pub(crate) fn read_cut_anywhere<A: Assembler>(
        stream: &str,
        assembler: impl Fn() -> A,
    ) -> Reply {
        let reader = Reader::new();
        let read = |pieces: &[&[u8]]| reader.read(pieces, assembler()).0.unwrap();
        let whole = read(&[stream.as_bytes()]);
        for cut in 1..stream.len() {
            let (left, right) = stream.as_bytes().split_at(cut);
            assert_eq!(read(&[left, right]), whole, "cut at byte {cut}");
        }
        let bytes: Vec<_> = stream.as_bytes().chunks(1).collect();
        assert_eq!(read(&bytes), whole, "byte by byte");
        whole
    }
}
