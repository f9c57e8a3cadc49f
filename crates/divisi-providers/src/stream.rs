//! Reads a reply that arrives as a stream of events.
//!
//! Vendors differ in their events but not in how a stream can fail: it breaks
//! off, it carries an error, it holds nonsense, or it never ends. All of that is
//! here; what the events mean is the business of an [`Assembler`].

use crate::classify;
use crate::endpoint::Endpoint;
use crate::error::ProviderError;
use crate::estimate;
use crate::provider::Progress;
use crate::rate;
use crate::reply::Reply;
use bytes::Bytes;
use divisi_core::FailureClass;
use futures::{Stream, StreamExt};
use reqwest::Response;
use serde_json::Value;
use sse_stream::SseByteStream;
use std::error::Error;
use std::io;
use std::pin::pin;
use std::time::Duration;

/// Longest stream. The longest reply, 128,000 tokens sent one by one, is about
/// 20 MB with all that is around them.
const STREAM_BYTES_MAX: usize = 64 << 20;

/// How long to wait for the end of a stream after the end of the reply. Reading
/// up to it is what lets the connection be used again; a server that keeps the
/// stream open must not keep us.
const DRAIN: Duration = Duration::from_millis(50);

/// Puts a reply together from a vendor's events.
pub(crate) trait Assembler {
    /// Takes in the next event.
    fn take(&mut self, data: &str) -> Result<(), Trouble>;
    /// How many bytes of output have arrived.
    fn written(&self) -> usize;
    /// Whether nothing follows that would change the reply.
    fn is_complete(&self) -> bool;
    /// The reply, or `None` when its end is missing.
    fn finish(self) -> Option<Reply>;
}

/// What can be wrong with an event.
#[derive(Debug)]
pub(crate) enum Trouble {
    /// It is an error, in the vendor's shape.
    Vendor(Value),
    /// It is not what the protocol says.
    Malformed(String),
}

impl From<serde_json::Error> for Trouble {
    fn from(error: serde_json::Error) -> Self {
        Self::Malformed(error.to_string())
    }
}

/// Reads the reply that `response` streams.
pub(crate) async fn reply(
    endpoint: &Endpoint,
    response: Response,
    assembler: impl Assembler,
    progress: &(dyn Fn(Progress) + Send + Sync),
) -> Result<Reply, ProviderError> {
    let request_id = classify::request_id(response.headers());
    let rate = rate::read(response.headers());
    match read(endpoint, response.bytes_stream(), assembler, progress).await {
        Ok(reply) => Ok(Reply { request_id, rate, ..reply }),
        Err(error) => Err(ProviderError { request_id, rate, ..error }),
    }
}

async fn read<E: Error>(
    endpoint: &Endpoint,
    bytes: impl Stream<Item = Result<Bytes, E>>,
    mut assembler: impl Assembler,
    progress: &(dyn Fn(Progress) + Send + Sync),
) -> Result<Reply, ProviderError> {
    let mut received = 0;
    let watched = bytes.map(|chunk| {
        let chunk = chunk.map_err(|error| io::Error::other(crate::http::innermost(&error)))?;
        progress(Progress::Alive);
        received += chunk.len();
        if received > STREAM_BYTES_MAX {
            Err(io::Error::other(format!("it is longer than {STREAM_BYTES_MAX} bytes")))
        } else {
            Ok(chunk)
        }
    });
    let mut events = pin!(SseByteStream::new(watched));
    let mut cause = None;
    let mut has_started = false;
    while !assembler.is_complete() {
        let event = match events.next().await {
            Some(Ok(event)) => event,
            Some(Err(error)) => {
                cause = Some(crate::http::innermost(&error));
                break;
            }
            None => break,
        };
        let Some(data) = event.data.filter(|data| !data.is_empty()) else { continue };
        let before = assembler.written();
        assembler.take(&data).map_err(|trouble| failure(endpoint, trouble))?;
        if !has_started {
            has_started = true;
            progress(Progress::Started);
        }
        if assembler.written() > before {
            progress(Progress::OutputTokens(estimate::tokens(assembler.written())));
        }
    }
    let is_complete = assembler.is_complete();
    let reply = assembler.finish().ok_or_else(|| broken_off(endpoint, cause))?;
    if is_complete {
        // Whatever comes now, the reply is whole.
        let _ = tokio::time::timeout(DRAIN, async { while let Some(Ok(_)) = events.next().await {} }).await;
    }
    Ok(reply)
}

fn failure(endpoint: &Endpoint, trouble: Trouble) -> ProviderError {
    match trouble {
        Trouble::Vendor(error) => classify::event(endpoint, &error),
        Trouble::Malformed(what) => {
            let what = endpoint.quoted(&what);
            let message = format!("provider `{}` sent an event that cannot be read: {what}", endpoint.name);
            ProviderError::new(FailureClass::Server, message).maybe_billed()
        }
    }
}

fn broken_off(endpoint: &Endpoint, cause: Option<String>) -> ProviderError {
    let mut message = format!("the reply of provider `{}` broke off before its end", endpoint.name);
    if let Some(cause) = cause {
        message.push_str(": ");
        message.push_str(&endpoint.quoted(&cause));
    }
    ProviderError::new(FailureClass::Network, message).maybe_billed()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use std::sync::Mutex;

    /// Reads `pieces` as if they had come over the network one after the other.
    pub(crate) fn read_pieces(
        pieces: &[&[u8]],
        assembler: impl Assembler,
    ) -> (Result<Reply, ProviderError>, Vec<Progress>) {
        let seen = Mutex::new(Vec::new());
        let chunks: Vec<_> =
            pieces.iter().map(|piece| Ok::<_, io::Error>(Bytes::copy_from_slice(piece))).collect();
        let endpoint = Endpoint::new("main", "https://example.com");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let progress = |sign| seen.lock().unwrap().push(sign);
        let result = runtime.block_on(read(&endpoint, futures::stream::iter(chunks), assembler, &progress));
        (result, seen.into_inner().unwrap())
    }

    /// The reply in `stream`, which must be the same wherever the network cuts it.
    pub(crate) fn read_cut_anywhere<A: Assembler>(stream: &str, assembler: impl Fn() -> A) -> Reply {
        let whole = read_pieces(&[stream.as_bytes()], assembler()).0.unwrap();
        for cut in 1..stream.len() {
            let (left, right) = stream.as_bytes().split_at(cut);
            assert_eq!(read_pieces(&[left, right], assembler()).0.unwrap(), whole, "cut at byte {cut}");
        }
        let bytes: Vec<_> = stream.as_bytes().chunks(1).collect();
        assert_eq!(read_pieces(&bytes, assembler()).0.unwrap(), whole, "byte by byte");
        whole
    }
}
