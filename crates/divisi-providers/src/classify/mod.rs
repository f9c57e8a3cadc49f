//! Classifies refusals of vendors.
//!
//! The body decides before the HTTP status: quota errors come with status 400, 401, 402, 403 and
//! 429, and one status may mean a quota or a short wait. [`told`] extracts all that a body says in
//! any form, [`shapes`] is the table of its meanings, [`waits`] extracts the time to wait, and
//! [`objections`] finds parts of the request that could be left out.

mod told;

mod shapes;

mod objections;
mod waits;

use crate::dialect::{Objection, Part};
use crate::endpoint::Endpoint;
use crate::error::ProviderError;
use crate::rate;
use divisi_core::FailureClass::{self, *};
use divisi_core::Millis;
use divisi_core::retry::BELIEVED_FOR;
use jiff::Timestamp;
use reqwest::header::HeaderMap;
use serde_json::Value;
use shapes::Verdict;
use told::Told;

/// Longest wait up to which a limit over hours or days counts as a rate limit: its window slides,
/// so a request is accepted as soon as an old one leaves the window.
const SOON_MAX: Millis = Millis::from_secs(60);

/// Hours east of Greenwich, for the moments without a time zone of GLM's vendors.
const BEIJING: i8 = 8;

/// Classifies a response without a reply.
pub(crate) fn response(
    endpoint: &Endpoint,
    status: u16,
    headers: &HeaderMap,
    body: &str,
) -> ProviderError {
    let now = told::now(headers);
    let told = Told::read(body, now);
    // A body under HTTP 200 may have a status of its own.
    let status_meant = if status < 300 {
        told.status.unwrap_or(status)
    } else {
        status
    };
    let exhausted = || {
        (status_meant == 429)
            .then(|| rate::exhausted_for(headers))
            .flatten()
    };
    let read = Reading::of(
        endpoint,
        &told,
        status_meant,
        rate::retry_after(headers).or_else(exhausted),
        now,
    );
    let message = match told.reason().map(|reason| endpoint.quoted(reason)) {
        Some(reason) if !reason.is_empty() => {
            format!("provider `{}` answered {status}: {reason}", endpoint.name)
        }
        _ => format!(
            "provider `{}` answered {status} without a reason",
            endpoint.name
        ),
    };
    ProviderError {
        hint: hint(endpoint, &read, status_meant),
        status: Some(status),
        code: read.code.map(|code| endpoint.quoted(&code)),
        retry_after: read.wait,
        should_retry: header(headers, "x-should-retry").and_then(|text| text.parse().ok()),
        maybe_billed: is_from_a_gateway(status) || read.has_worked,
        request_id: request_id(headers).or(told.request_id),
        rate: rate::read(headers),
        objection: read.objection,
        ..ProviderError::new(read.class, message)
    }
}

/// Classifies an error in the middle of a reply.
pub(crate) fn event(endpoint: &Endpoint, error: &Value) -> ProviderError {
    let now = Timestamp::now();
    let told = Told::of(error, now);
    let read = Reading::of(endpoint, &told, told.status.unwrap_or_default(), None, now);
    let reason = told.reason().unwrap_or("it gave no reason");
    let message = format!(
        "provider `{}` broke off its reply: {}",
        endpoint.name,
        endpoint.quoted(reason)
    );
    ProviderError {
        code: read.code.map(|code| endpoint.quoted(&code)),
        retry_after: read.wait,
        ..ProviderError::new(read.class, message).maybe_billed()
    }
}

/// The request's id in the vendor's logs.
pub(crate) fn request_id(headers: &HeaderMap) -> Option<String> {
    header(headers, "request-id")
        .or_else(|| header(headers, "x-request-id"))
        .map(str::to_owned)
}

/// The classification of a refusal.
struct Reading {
    class: FailureClass,
    /// The error code that decided, or else the first.
    code: Option<String>,
    wait: Option<Millis>,
    /// Whether a model has produced output, which may be billed.
    has_worked: bool,
    /// Whether the model does not exist.
    no_model: bool,
    /// Amount requested at once and amount allowed, if the request can never be accepted.
    too_much: Option<(u64, u64)>,
    objection: Option<Objection>,
}

impl Reading {
    /// `status` is zero if there is none.
    fn of(
        endpoint: &Endpoint,
        told: &Told,
        status: u16,
        asked: Option<Millis>,
        now: Timestamp,
    ) -> Self {
        let said = told.said();
        let shape = shapes::find(told, &said, &endpoint.host());
        let (verdict, word) = shape.unzip();
        let is_beijing = ["z.ai", "bigmodel"]
            .iter()
            .any(|name| endpoint.host().contains(name))
            || told
                .kinds
                .iter()
                .any(|kind| matches!(&**kind, "1308" | "1310"));
        let in_body = told
            .wait
            .or_else(|| waits::in_words(&said, now, if is_beijing { BEIJING } else { 0 }));
        // The longest wait counts, because some headers are about limits other than the one
        // reached.
        let wait = asked.max(in_body);
        let too_much = too_much(&said).filter(|_| matches!(status, 0 | 413 | 429));
        let objection = objections::find(told, &said).filter(|_| is_about_the_request(status));
        let of_status = || told.class_of_status(status, &said);
        let class = match verdict {
            _ if too_much.is_some() => TooLong,
            Some(Verdict::Class(class)) => class,
            Some(Verdict::Window) if !matches!(status, 0 | 200..=299 | 401..=403 | 429) => {
                of_status()
            }
            Some(Verdict::Window) if wait.is_some_and(|wait| wait <= SOON_MAX) => RateLimited,
            Some(Verdict::Window) => Quota,
            _ if objection.is_some() => BadRequest,
            Some(Verdict::NoModel) if status != 403 => BadRequest,
            Some(Verdict::NoModel) | None => of_status(),
        };
        let class = match class {
            // A rate limit with a longer wait is treated as a quota, whatever its name.
            RateLimited if wait.is_some_and(|wait| wait > BELIEVED_FOR) => Quota,
            class => class,
        };
        let word = word.flatten().and_then(|word| {
            told.kinds
                .iter()
                .find(|kind| kind.eq_ignore_ascii_case(word))
        });
        Self {
            has_worked: matches!(
                word.map(String::as_str),
                Some("tool_use_failed" | "json_validate_failed")
            ),
            code: word.or(told.kinds.first()).cloned(),
            // Google gives some seconds where the wait is until the next day.
            wait: wait.filter(|wait| class != Quota || *wait > SOON_MAX || asked.is_some()),
            no_model: verdict == Some(Verdict::NoModel),
            objection: objection.filter(|_| class == BadRequest),
            too_much,
            class,
        }
    }
}

/// Whether a response with this status may be about the request's content. Some servers answer 500
/// for parts they do not accept.
fn is_about_the_request(status: u16) -> bool {
    matches!(status, 200..=299 | 400 | 404 | 405 | 415 | 422 | 500 | 501)
}

/// Tokens requested at once and tokens allowed per minute, if the former are more: `Limit 6000,
/// Used 0, Requested 12328`.
fn too_much(said: &str) -> Option<(u64, u64)> {
    let number =
        |rest: &str| number(rest.trim_start_matches([' ', ':', '~'])).map(|(number, _)| number);
    let after = |cue: &str| {
        said.match_indices(cue)
            .find_map(|(at, _)| number(&said[at + cue.len()..]))
    };
    let (requested, limit) = (after("requested")?, after("limit")?);
    (requested > limit).then_some((requested, limit))
}

/// The integer at the beginning of `text`, possibly with thousands separators, and the rest.
fn number(text: &str) -> Option<(u64, &str)> {
    let text = text.trim_start_matches([' ', '`', '\'', '"', '=', ':']);
    let digits =
        |text: &str| text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let mut end = digits(text);
    while text[end..].starts_with([',', '_']) && digits(&text[end + 1..]) == 3 {
        end += 4;
    }
    let (number, rest) = text.split_at(end);
    Some((number.replace([',', '_'], "").parse().ok()?, rest))
}

impl Told {
    fn class_of_status(&self, status: u16, said: &str) -> FailureClass {
        let of_kind = || self.kinds.iter().find_map(|kind| class_of_kind(kind));
        match status {
            401 => Auth,
            403 => self.class_of_forbidden(),
            402 => Quota,
            408 | 409 => Server,
            413 => TooLong,
            429 => RateLimited,
            503 | 529 => Overloaded,
            500.. => Server,
            300.. => BadRequest,
            // No status, or one of success.
            _ => of_kind().unwrap_or(match said.contains("rate limit") {
                true => RateLimited,
                false => Server,
            }),
        }
    }

    /// Whether a 403 concerns the prompt, the key, or only this request (rejected by a gateway, a
    /// firewall or an account rule). A refused key blocks all its requests, so only the vendor's
    /// own error code counts as one.
    fn class_of_forbidden(&self) -> FailureClass {
        match self.kinds.iter().find_map(|kind| class_of_kind(kind)) {
            _ if self.is_flagged => Declined,
            Some(Auth) => Auth,
            _ => Unavailable,
        }
    }
}

/// General error codes, for errors without a status.
fn class_of_kind(kind: &str) -> Option<FailureClass> {
    Some(match kind.to_ascii_lowercase().as_str() {
        "authentication_error" | "permission_error" | "permission_denied" | "invalid_api_key" => {
            Auth
        }
        "invalid_request_error" | "not_found_error" | "invalid_prompt" | "badrequesterror" => {
            BadRequest
        }
        "rate_limit_error" | "resource_exhausted" => RateLimited,
        "unavailable" => Overloaded,
        "api_error" | "timeout_error" | "server_error" | "internal_server_error" => Server,
        _ => return None,
    })
}

/// Whether a gateway sent the response after waiting for a model that may still have worked.
fn is_from_a_gateway(status: u16) -> bool {
    matches!(status, 502 | 504 | 520..=524)
}

fn hint(endpoint: &Endpoint, read: &Reading, status: u16) -> Option<String> {
    let Endpoint {
        name, key, key_env, ..
    } = endpoint;
    Some(match (read.class, key_env, key) {
        (Auth, Some(env), None) => format!("set {env} to a key of `{name}`"),
        (Auth, Some(env), Some(_)) => format!("check {env}: the key in it was refused"),
        (Auth, None, _) => format!("give provider `{name}` a key in the settings"),
        (Quota, ..) => format!("add credit or raise the spending limit of the account behind `{name}`"),
        (TooLong, ..) => match read.too_much {
            Some((requested, limit)) => format!(
                "`{name}` lets in {limit} tokens a minute, prompt and longest reply together, and this request counts as {requested}: shorten the prompt, lower `reply_tokens_max`, or raise the account's limit"
            ),
            None => "shorten the prompt or split the task, lower `reply_tokens_max` where prompt and reply together are too long, or take a model with a longer context".to_owned(),
        },
        (Declined, ..) => "change the task's prompt, or give it a model that is not moderated".to_owned(),
        (Unavailable, ..) => format!(
            "see whether `{name}` gives your account and region this model, and whether a proxy or firewall is in the way"
        ),
        (BadRequest, ..) if read.objection.is_some() => objected(name, read.objection.as_ref()?)?,
        (BadRequest, ..) if status == 404 || read.no_model => {
            format!("check the model's id and the address {}", endpoint.shown_url())
        }
        (BadRequest, ..) if (300..400).contains(&status) => {
            format!("the address {} redirects: name the one it leads to", endpoint.shown_url())
        }
        _ => return None,
    })
}

/// The advice when a part of the request is not accepted.
fn objected(name: &str, objection: &Objection) -> Option<String> {
    let part = match objection {
        Objection {
            reply_tokens_max: Some(most),
            ..
        } => {
            return Some(format!("set `reply_tokens_max` to {most} or less"));
        }
        Objection {
            to_this_schema: true,
            ..
        } => Part::Schema,
        objection => *objection.parts.first()?,
    };
    Some(match part {
        Part::MaxTokensName => {
            format!("set `max_tokens` under [providers.{name}.dialect] to the name that it wants")
        }
        part => {
            format!(
                "leave it out with `omit = [\"{}\"]` under [providers.{name}.dialect]",
                part.as_str()
            )
        }
    })
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::Secret;
    use divisi_core::Millis;
    use reqwest::header::HeaderValue;
    use serde_json::json;

    const KEY: &str = "sk-ant-very-secret-0123";

    fn endpoint() -> Endpoint {
        let mut endpoint = Endpoint::new("main", "https://example.com")
            .key(Some(Secret::new(KEY)), "MAIN_API_KEY");
        endpoint
            .headers
            .push(("x-gateway".into(), Secret::new("gate-secret")));
        endpoint
    }

    fn answered(status: u16, body: Value) -> ProviderError {
        response(&endpoint(), status, &HeaderMap::new(), &body.to_string())
    }

    fn anthropic(kind: &str, message: &str) -> Value {
        json!({"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_1"})
    }

    #[derive(serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Report {
        of: String,
        from: String,
        #[serde(default)]
        host: Option<String>,
        status: u16,
        class: FailureClass,
        body: String,
        #[serde(default)]
        wait: Option<u64>,
        #[serde(default)]
        says: Option<String>,
        #[serde(default)]
        omits: Vec<String>,
        #[serde(default)]
        this_schema: bool,
        #[serde(default)]
        reply_tokens_max: Option<u32>,
        #[serde(default)]
        billed: bool,
    }

    fn reports() -> Vec<Report> {
        serde_saphyr::from_str(include_str!("reports.yaml")).unwrap()
    }

    #[test]
    fn every_report_is_read_as_it_was_meant() {
        let headers: HeaderMap = [(
            "date".parse().unwrap(),
            HeaderValue::from_static("Sun, 29 Nov 2026 12:00:00 GMT"),
        )]
        .into_iter()
        .collect();
        let mut wrong = vec![];
        for report in reports() {
            let mut endpoint = endpoint();
            report
                .host
                .iter()
                .for_each(|host| endpoint.base_url = format!("https://{host}/v1"));
            let error = response(&endpoint, report.status, &headers, &report.body);
            let objection = error.objection.unwrap_or_default();
            let omits: Vec<String> = objection
                .parts
                .iter()
                .map(|part| part.as_str().to_owned())
                .collect();
            let found = (
                error.class,
                error.retry_after.map(|wait| wait.0),
                omits,
                objection.to_this_schema,
                objection.reply_tokens_max,
                error.maybe_billed,
            );
            let wanted = (
                report.class,
                report.wait.or(found.1.filter(|_| report.class == TooLong)),
                report.omits,
                report.this_schema,
                report.reply_tokens_max,
                report.billed,
            );
            let shown = format!("{}, {}: {}", report.of, report.from, error.message);
            if found != wanted {
                wrong.push(format!("{shown}\n  is {found:?}\n  not {wanted:?}"));
            }
            if error.message.ends_with("without a reason")
                || !error
                    .message
                    .contains(report.says.as_deref().unwrap_or_default())
            {
                wrong.push(format!("{shown}\n  does not say {:?}", report.says));
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }

    #[test]
    fn there_is_a_report_for_every_shape() {
        let mut places = vec![];
        for report in reports() {
            let told = Told::read(&report.body, Timestamp::now());
            places.extend(shapes::place(
                &told,
                &told.said(),
                report.host.as_deref().unwrap_or_default(),
            ));
        }
        let shapes: Vec<_> = shapes::rows().collect();
        let missing: Vec<_> = (0..shapes.len())
            .filter(|place| !places.contains(place))
            .map(|place| &shapes[place])
            .collect();
        assert!(missing.is_empty(), "{missing:#?}");
        assert!(shapes.len() >= 80, "{}", shapes.len());
    }

    #[test]
    fn a_wait_is_believed_as_a_wait_up_to_an_hour() {
        let after = |seconds: &'static str| {
            let headers: HeaderMap = [(
                "retry-after".parse().unwrap(),
                HeaderValue::from_static(seconds),
            )]
            .into_iter()
            .collect();
            let error = response(
                &endpoint(),
                429,
                &headers,
                r#"{"error": {"message": "slow down"}}"#,
            );
            (error.class, error.retry_after)
        };
        assert_eq!(after("3600"), (RateLimited, Some(Millis::from_secs(3_600))));
        assert_eq!(after("3601"), (Quota, Some(Millis::from_secs(3_601))));
    }

    #[test]
    fn every_class_is_told_apart() {
        let limit = |code: &str| {
            json!({"type": "error", "error": {
                "type": "rate_limit_error", "message": "no", "details": {"error_code": code}
            }})
        };
        let openai = |code: &str| json!({"error": {"message": "no", "type": "invalid_request_error", "code": code}});
        let flagged = |metadata: Value| json!({"error": {"code": 403, "message": "your input was flagged", "metadata": metadata}});
        for (status, body, class) in [
            (
                400,
                anthropic("invalid_request_error", "max_tokens: wrong"),
                BadRequest,
            ),
            (
                400,
                anthropic(
                    "invalid_request_error",
                    "prompt is too long: 9 tokens > 8 maximum",
                ),
                TooLong,
            ),
            (
                400,
                anthropic(
                    "invalid_request_error",
                    "Your credit balance is too low to go on",
                ),
                Quota,
            ),
            (
                400,
                anthropic(
                    "invalid_request_error",
                    "You have reached your specified API usage limits.",
                ),
                Quota,
            ),
            (400, openai("context_length_exceeded"), TooLong),
            (
                400,
                json!({"error": {"code": 400, "message": "no", "type": "exceed_context_size_error"}}),
                TooLong,
            ),
            (400, openai("content_filter"), Declined),
            (
                401,
                anthropic("authentication_error", "invalid x-api-key"),
                Auth,
            ),
            (402, anthropic("billing_error", "no"), Quota),
            (402, limit("linked_organization_spend_limit_reached"), Quota),
            (403, anthropic("permission_error", "no"), Auth),
            (403, openai("permission_denied"), Auth),
            (403, openai("invalid_api_key"), Auth),
            (
                403,
                json!([{"error": {"code": 403, "message": "no", "status": "PERMISSION_DENIED"}}]),
                Auth,
            ),
            (
                403,
                flagged(json!({"reasons": ["violence"], "flagged_input": "no"})),
                Declined,
            ),
            (403, flagged(json!({"flagged_input": "no"})), Declined),
            (403, flagged(json!({"reasons": null})), Unavailable),
            (
                403,
                json!({"error": {"code": 403, "message": "Key limit exceeded (monthly limit). Raise it."}}),
                Quota,
            ),
            (
                403,
                openai("unsupported_country_region_territory"),
                Unavailable,
            ),
            (403, openai("model_not_found"), Unavailable),
            (403, json!(null), Unavailable),
            (404, anthropic("not_found_error", "model: nope"), BadRequest),
            (404, openai("model_not_found"), BadRequest),
            (408, anthropic("timeout_error", "no"), Server),
            (409, anthropic("conflict_error", "no"), Server),
            (413, anthropic("request_too_large", "no"), TooLong),
            (422, json!({"detail": "no"}), BadRequest),
            (429, anthropic("rate_limit_error", "no"), RateLimited),
            (429, limit("ramp_limit_exceeded"), RateLimited),
            (429, limit("enforced_spend_limit_reached"), Quota),
            (429, limit("contract_spend_limit_reached"), Quota),
            (
                429,
                json!({"error": {"type": "insufficient_quota", "code": "insufficient_quota"}}),
                Quota,
            ),
            (
                429,
                json!({"error": {"type": "tokens", "code": "rate_limit_exceeded"}}),
                RateLimited,
            ),
            (500, anthropic("api_error", "no"), Server),
            (
                400,
                json!([{"error": {"code": 400, "message": "exceed context limit"}}]),
                TooLong,
            ),
            (500, json!({"error": "model needs more memory"}), Server),
            (502, json!(null), Server),
            (
                503,
                json!({"error": {"message": "Loading model", "type": "unavailable_error", "code": 503}}),
                Overloaded,
            ),
            (504, anthropic("timeout_error", "no"), Server),
            (529, anthropic("overloaded_error", "Overloaded"), Overloaded),
            (302, json!(null), BadRequest),
        ] {
            assert_eq!(
                answered(status, body.clone()).class,
                class,
                "{status} {body}"
            );
        }
    }

    #[test]
    fn errors_inside_of_replies_are_told_apart_too() {
        for (body, class) in [
            (
                json!({"type": "overloaded_error", "message": "Overloaded"}),
                Overloaded,
            ),
            (
                json!({"type": "rate_limit_error", "message": "no"}),
                RateLimited,
            ),
            (json!({"type": "api_error", "message": "no"}), Server),
            (
                json!({"type": "invalid_request_error", "message": "no"}),
                BadRequest,
            ),
            (
                json!({"error": {"code": 429, "message": "no"}}),
                RateLimited,
            ),
            (
                json!({"error": {"code": 403, "message": "no", "metadata": {"reasons": ["x"]}}}),
                Declined,
            ),
            (
                json!({"error": {"code": 403, "message": "no"}}),
                Unavailable,
            ),
            (
                json!({"code": "context_length_exceeded", "message": "no"}),
                TooLong,
            ),
            (json!({"type": "something_new"}), Server),
            (json!(null), Server),
        ] {
            let error = event(&endpoint(), &body);
            assert_eq!(error.class, class, "{body}");
            assert!(error.maybe_billed);
        }
    }

    #[test]
    fn reports_everything_the_vendor_said() {
        let headers: HeaderMap = [
            ("retry-after", "7"),
            ("x-should-retry", "false"),
            ("request-id", "req_2"),
            ("anthropic-ratelimit-requests-remaining", "0"),
        ]
        .into_iter()
        .map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_static(value)))
        .collect();
        let body = anthropic("rate_limit_error", "Slow\n down.").to_string();
        let error = response(&endpoint(), 429, &headers, &body);
        assert_eq!(error.message, "provider `main` answered 429: Slow down.");
        assert_eq!(
            (error.status, error.code.as_deref()),
            (Some(429), Some("rate_limit_error"))
        );
        assert_eq!(
            (error.retry_after, error.should_retry),
            (Some(Millis(7_000)), Some(false))
        );
        assert_eq!(
            (error.request_id.as_deref(), error.rate.requests.remaining),
            (Some("req_2"), Some(0))
        );
        assert!(!error.maybe_billed);
        assert_eq!(
            answered(500, anthropic("api_error", ""))
                .request_id
                .as_deref(),
            Some("req_1")
        );
        assert!(answered(504, json!(null)).maybe_billed);
    }

    #[test]
    fn advises_what_to_do() {
        let mut endpoint = endpoint();
        let mut advice = |status, key: bool, env: bool| {
            endpoint.key = key.then(|| Secret::new(KEY));
            endpoint.key_env = env.then(|| "MAIN_API_KEY".into());
            response(&endpoint, status, &HeaderMap::new(), "")
                .hint
                .unwrap_or_default()
        };
        let all = [
            advice(401, false, true),
            advice(401, true, true),
            advice(401, false, false),
            advice(403, true, true),
            advice(402, true, true),
            advice(404, true, true),
            advice(307, true, true),
            advice(529, true, true),
        ];
        insta::assert_snapshot!(all.join("\n"), @r#"
        set MAIN_API_KEY to a key of `main`
        check MAIN_API_KEY: the key in it was refused
        give provider `main` a key in the settings
        see whether `main` gives your account and region this model, and whether a proxy or firewall is in the way
        add credit or raise the spending limit of the account behind `main`
        check the model's id and the address https://example.com
        the address https://example.com redirects: name the one it leads to
        "#);
    }

    #[test]
    fn never_shows_a_secret() {
        let echoed = anthropic(
            "authentication_error",
            &format!("{} key {KEY} via gate-secret", "x ".repeat(245)),
        );
        for error in [
            answered(401, echoed.clone()),
            event(&endpoint(), &echoed),
            response(&endpoint(), 400, &HeaderMap::new(), &format!("plain {KEY}")),
        ] {
            let shown = format!("{error} {error:?}");
            assert!(
                !shown.contains("sk-ant") && !shown.contains("gate-secret"),
                "{shown}"
            );
        }
    }

    #[test]
    fn shows_neither_pages_nor_endless_messages() {
        let page = response(
            &endpoint(),
            502,
            &HeaderMap::new(),
            "<html><body>Bad gateway</body></html>",
        );
        assert_eq!(
            page.message,
            "provider `main` answered 502 without a reason"
        );
        assert!(
            answered(400, anthropic("x", &"long ".repeat(1_000)))
                .message
                .len()
                < 600
        );
    }
}
