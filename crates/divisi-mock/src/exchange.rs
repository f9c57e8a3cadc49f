//! One request from its arrival to the end of its answer.

use crate::answer::{Answer, Stop, parts};
use crate::ask::Ask;
use crate::cache::Plan;
use crate::config::Config;
use crate::dialect::{Dialect, Vendor, set};
use crate::digest::Digest;
use crate::fault::{Breakage, ErrorKind, Failure, Fault, Oddity};
use crate::frames::Frames;
use crate::latency::Latency;
use crate::limits::Meters;
use crate::oddity::compressed;
use crate::playback::{Ending, break_off, play};
use crate::session::{Memory, Session, Ticket};
use crate::stats::Tokens;
use axum::body::{Body, to_bytes};
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::Response;
use serde_json::Value;
use std::borrow::Cow;
use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

/// The size Anthropic documents for a request.
pub(crate) const REQUEST_BYTES_MAX: usize = 32 * 1024 * 1024;

/// Answers one request in the dialect `D`.
pub(crate) async fn serve<D: Dialect>(
    State(memory): State<Arc<Memory>>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let session = memory.session();
    let Ok(bytes) = to_bytes(body, REQUEST_BYTES_MAX).await else {
        return failure_response::<D::Vendor>(&too_large(), "req_too_large", None);
    };
    let body: Option<Value> = serde_json::from_slice(&bytes).ok();
    let digest = body
        .as_ref()
        .map_or_else(|| Digest::of(&bytes), Digest::of_body);
    let ticket = session.arrive(D::ENDPOINT, digest, &headers, &bytes);
    let decision = decide::<D>(&session, &ticket, &headers, body.as_ref());
    perform::<D>(&session, ticket, decision).await
}

fn too_large() -> Failure {
    Failure::new(
        ErrorKind::TooLarge,
        format!("Request exceeds the maximum size of {REQUEST_BYTES_MAX} bytes"),
    )
}

/// The answer to a request, and its delay.
struct Decision {
    wait: Duration,
    /// Empty if the request was refused before it was read.
    model: String,
    deed: Deed,
}

enum Deed {
    Refuse(Failure),
    /// Refuses with a status of success.
    Pretend(Failure),
    /// Refuses with the words and status of another server.
    RefuseAs(u16, Value),
    Ignore,
    Answer(Box<Reply>),
}

/// An answer in bytes, and what to record when it begins.
struct Reply {
    stream: bool,
    oddity: Option<Oddity>,
    frames: Frames,
    gap: Duration,
    ending: Ending,
    plan: Plan,
    usage: Tokens,
}

fn decide<D: Dialect>(
    session: &Session,
    ticket: &Ticket,
    headers: &HeaderMap,
    body: Option<&Value>,
) -> Decision {
    let mut model = String::new();
    let decision = authenticate(&session.config, headers)
        .and_then(|()| {
            body.ok_or_else(|| Failure::bad_request("the request body is not valid JSON"))
        })
        .and_then(|body| {
            let ask = D::read(headers, body)?;
            model = ask.model.to_owned();
            session.count_model(ask.model);
            check_model(&session.config, ask.model)?;
            if let Some((status, words)) = session
                .config
                .refuses
                .iter()
                .find_map(|refusal| refusal.of(body))
            {
                return Ok((Duration::ZERO, Deed::RefuseAs(status, words)));
            }
            let plan = session.admit(&ask)?;
            Ok(answer::<D>(session, ticket, &ask, plan))
        });
    let (wait, deed) = decision.unwrap_or_else(|failure| (Duration::ZERO, Deed::Refuse(failure)));
    Decision { wait, model, deed }
}

pub(crate) fn authenticate(config: &Config, headers: &HeaderMap) -> Result<(), Failure> {
    if config.keys.is_empty() {
        return Ok(());
    }
    let header = |name| {
        headers
            .get(name)
            .and_then(|value: &header::HeaderValue| value.to_str().ok())
    };
    let bearer = header("authorization").and_then(|value| value.strip_prefix("Bearer "));
    match header("x-api-key").or(bearer) {
        Some(key) if config.keys.iter().any(|accepted| accepted == key) => Ok(()),
        Some(_) => Err(Failure::new(ErrorKind::Authentication, "invalid API key")),
        None => Err(Failure::new(
            ErrorKind::Authentication,
            "an API key is required",
        )),
    }
}

fn check_model(config: &Config, model: &str) -> Result<(), Failure> {
    if config.models.is_empty() || config.models.iter().any(|known| known == model) {
        return Ok(());
    }
    Err(Failure::new(ErrorKind::NotFound, format!("model: {model}")))
}

/// The answer to an accepted request, with its fault.
fn answer<D: Dialect>(
    session: &Session,
    ticket: &Ticket,
    ask: &Ask<'_>,
    plan: Plan,
) -> (Duration, Deed) {
    let config = &session.config;
    let random = ticket.random_fault();
    let rule = if random.is_some() {
        None
    } else {
        session.rule(ask)
    };
    let latency = rule.and_then(|rule| rule.latency).unwrap_or(config.latency);
    let fault = random.or(rule.and_then(|rule| rule.fault));
    let oddity = match fault {
        Some(Fault::Bend(oddity)) => Some(oddity),
        Some(Fault::Refuse(_) | Fault::Break(_)) | None => None,
    };
    let breakage = match fault {
        Some(Fault::Bend(Oddity::ErrorUnderOk)) => {
            let failure = Failure::usual(
                ErrorKind::RateLimit,
                Duration::from_millis(config.retry_after_ms),
            );
            return (latency.first_byte(), Deed::Pretend(failure));
        }
        Some(Fault::Refuse(kind)) => return (latency.first_byte(), refusal(config, kind)),
        Some(Fault::Break(Breakage::ErrorMidStream)) if !ask.stream => {
            return (latency.first_byte(), refusal(config, ErrorKind::Overloaded));
        }
        Some(Fault::Break(Breakage::Hang)) => return (Duration::ZERO, Deed::Ignore),
        Some(Fault::Break(breakage)) => Some(breakage),
        Some(Fault::Bend(_)) | None => None,
    };
    let model = match breakage {
        Some(Breakage::WrongModel) => Cow::Owned(format!("not-{}", ask.model)),
        _ => Cow::Borrowed(ask.model),
    };
    let mut answer = Answer {
        digest: ticket.digest,
        model: &model,
        parts: parts(ask, rule),
        stop: Stop::End,
        usage: plan.usage,
        stream_usage: ask.stream_usage,
        chunk_chars: config.chunk_chars,
    };
    answer.fit(ask.output_tokens_max);
    let usage = answer.usage;
    oddity
        .into_iter()
        .for_each(|oddity| oddity.bend(&mut answer));
    let stream = ask.stream && !oddity.is_some_and(Oddity::is_whole);
    let mut frames = frames::<D>(stream, &answer);
    let (wait, gap) = pace(&latency, stream, &frames, &answer);
    let mut ending = breakage.map_or(Ending::Whole, |breakage| {
        break_off::<D>(&mut frames, breakage)
    });
    if let Some(oddity) = oddity.filter(|_| stream) {
        frames = oddity.twist::<D>(frames);
        ending = match oddity {
            Oddity::KeptOpen => Ending::Open,
            Oddity::CommentsForEver => {
                frames.halve();
                Ending::Comments
            }
            _ => ending,
        };
    }
    (
        wait,
        Deed::Answer(Box::new(Reply {
            stream,
            oddity,
            frames,
            gap,
            ending,
            plan,
            usage,
        })),
    )
}

fn refusal(config: &Config, kind: ErrorKind) -> Deed {
    Deed::Refuse(Failure::usual(
        kind,
        Duration::from_millis(config.retry_after_ms),
    ))
}

fn frames<D: Dialect>(stream: bool, answer: &Answer<'_>) -> Frames {
    if stream {
        D::stream(answer)
    } else {
        Frames::document(D::document(answer).to_string().into_bytes())
    }
}

/// The time before the first byte and between events.
fn pace(
    latency: &Latency,
    stream: bool,
    frames: &Frames,
    answer: &Answer<'_>,
) -> (Duration, Duration) {
    if stream {
        return (latency.first_byte(), latency.gap(frames.len()));
    }
    let events = 1 + (4 * answer.usage.output as usize).div_ceil(answer.chunk_chars.max(1));
    (latency.whole(events), Duration::ZERO)
}

async fn perform<D: Dialect>(session: &Session, ticket: Ticket, decision: Decision) -> Response {
    let Decision { wait, model, deed } = decision;
    if !wait.is_zero() {
        tokio::time::sleep(wait).await;
    }
    let request_id = ticket.request_id();
    match deed {
        Deed::Ignore => pending().await,
        Deed::Refuse(failure) => {
            ticket.refuse(D::Vendor::status(failure.kind));
            failure_response::<D::Vendor>(&failure, &request_id, session.meters(&model))
        }
        Deed::Pretend(failure) => {
            ticket.refuse(StatusCode::OK.as_u16());
            let mut body = D::Vendor::error(&failure, &request_id);
            body["error"]["code"] = D::Vendor::status(failure.kind).into();
            let mut response = Response::new(body.to_string().into());
            head::<D::Vendor>(response.headers_mut(), &request_id, session.meters(&model));
            set(response.headers_mut(), "content-type", "application/json");
            response
        }
        Deed::RefuseAs(status, words) => {
            ticket.refuse(status);
            let mut response = Response::new(words.to_string().into());
            *response.status_mut() =
                StatusCode::from_u16(status).expect("refusals use valid statuses");
            head::<D::Vendor>(response.headers_mut(), &request_id, None);
            set(response.headers_mut(), "content-type", "application/json");
            response
        }
        Deed::Answer(reply) => {
            session.begin(&model, &reply.plan, &reply.usage);
            let mut response = Response::default();
            head::<D::Vendor>(response.headers_mut(), &request_id, session.meters(&model));
            let kind = match (reply.oddity, reply.stream) {
                (Some(Oddity::PlainLabel), _) => "text/plain",
                (_, true) => "text/event-stream; charset=utf-8",
                (_, false) => "application/json",
            };
            set(response.headers_mut(), "content-type", kind);
            if reply.oddity == Some(Oddity::Compressed) {
                set(response.headers_mut(), "content-encoding", "gzip");
            }
            *response.body_mut() = body(*reply, ticket);
            response
        }
    }
}

fn body(reply: Reply, ticket: Ticket) -> Body {
    if reply.oddity == Some(Oddity::Compressed) {
        ticket.complete();
        return compressed(&reply.frames.into_bytes()).into();
    }
    if !reply.stream && reply.ending == Ending::Whole {
        ticket.complete();
        return reply.frames.into_bytes().into();
    }
    play(reply.frames, reply.gap, reply.ending, ticket)
}

fn head<V: Vendor>(headers: &mut HeaderMap, request_id: &str, meters: Option<Meters>) {
    set(headers, V::REQUEST_ID, request_id);
    if let Some(meters) = meters {
        V::show_meters(&meters, headers);
    }
}

pub(crate) fn failure_response<V: Vendor>(
    failure: &Failure,
    request_id: &str,
    meters: Option<Meters>,
) -> Response {
    let mut response = Response::new(V::error(failure, request_id).to_string().into());
    *response.status_mut() =
        StatusCode::from_u16(V::status(failure.kind)).expect("vendors use valid statuses");
    let headers = response.headers_mut();
    set(headers, "content-type", "application/json");
    let limited = failure.kind == ErrorKind::RateLimit;
    let ordered = || limited.then(|| Meters::exhausted(failure.retry_after.unwrap_or_default()));
    head::<V>(headers, request_id, meters.or_else(ordered));
    if let Some(wait) = failure.retry_after {
        set(headers, "retry-after", wait.as_secs_f64().ceil());
        set(
            headers,
            "retry-after-ms",
            wait.as_nanos().div_ceil(1_000_000),
        );
    }
    response
}
