//! Tells apart why a vendor refuses.
//!
//! The vendor's most specific word decides, then the HTTP status. What a message
//! says decides only where the vendor has no word for the case, because messages
//! change without notice.

use crate::endpoint::Endpoint;
use crate::error::ProviderError;
use crate::rate;
use divisi_core::FailureClass::{self, *};
use reqwest::header::HeaderMap;
use serde_json::Value;

/// The failure that a response without a reply stands for.
pub(crate) fn response(endpoint: &Endpoint, status: u16, headers: &HeaderMap, body: &str) -> ProviderError {
    let told = Told::read(body);
    let class = told.class().unwrap_or_else(|| told.class_of_status(status));
    let message = match told.message.as_deref().map(|message| endpoint.quoted(message)) {
        Some(message) if !message.is_empty() => {
            format!("provider `{}` answered {status}: {message}", endpoint.name)
        }
        _ => format!("provider `{}` answered {status} without a reason", endpoint.name),
    };
    ProviderError {
        hint: hint(endpoint, class, status),
        status: Some(status),
        code: told.code(endpoint),
        retry_after: rate::retry_after(headers),
        should_retry: header(headers, "x-should-retry").and_then(|text| text.parse().ok()),
        maybe_billed: is_from_a_gateway(status),
        request_id: request_id(headers).or(told.request_id),
        rate: rate::read(headers),
        ..ProviderError::new(class, message)
    }
}

/// The failure that an error in the middle of a reply stands for.
pub(crate) fn event(endpoint: &Endpoint, error: &Value) -> ProviderError {
    let told = Told::of(error);
    let class = told
        .class()
        .or_else(|| told.kinds.iter().find_map(|kind| class_of_kind(kind)))
        .or_else(|| told.status.map(|status| told.class_of_status(status)))
        .unwrap_or(Server);
    let message = told.message.as_deref().unwrap_or("it gave no reason");
    let message = format!("provider `{}` broke off its reply: {}", endpoint.name, endpoint.quoted(message));
    ProviderError { code: told.code(endpoint), ..ProviderError::new(class, message).maybe_billed() }
}

/// How vendors name the request in their logs.
pub(crate) fn request_id(headers: &HeaderMap) -> Option<String> {
    header(headers, "request-id").or_else(|| header(headers, "x-request-id")).map(str::to_owned)
}

/// What a vendor's error body says, in whichever of the usual shapes.
#[derive(Default)]
struct Told {
    /// Its words for the case, most specific first.
    kinds: Vec<String>,
    message: Option<String>,
    /// A status inside the body: gateways pass on errors in replies under HTTP 200.
    status: Option<u16>,
    /// Whether it names what in the prompt it objects to.
    is_flagged: bool,
    request_id: Option<String>,
}

impl Told {
    fn read(body: &str) -> Self {
        match serde_json::from_str(body) {
            Ok(json) => Self::of(&json),
            Err(_) if body.trim_start().starts_with('<') => Self::default(),
            Err(_) => Self { message: Some(body.to_owned()), ..Self::default() },
        }
    }

    fn of(body: &Value) -> Self {
        // Google's gateway wraps its errors into a list.
        let body = body.get(0).unwrap_or(body);
        let error = body.get("error").filter(|error| !error.is_null()).unwrap_or(body);
        let text = |value: Option<&Value>| value.and_then(Value::as_str).map(str::to_owned);
        let kinds =
            [error.pointer("/details/error_code"), error.get("code"), error.get("type"), error.get("status")];
        let flags = ["/metadata/reasons", "/metadata/flagged_input"];
        Self {
            kinds: kinds.into_iter().filter_map(text).collect(),
            message: text(Some(error))
                .or_else(|| text(error.get("message")))
                .or_else(|| text(error.get("detail"))),
            status: error.get("code").and_then(Value::as_u64).and_then(|code| u16::try_from(code).ok()),
            is_flagged: flags.iter().any(|flag| error.pointer(flag).is_some_and(|value| !value.is_null())),
            request_id: text(body.get("request_id")),
        }
    }

    fn code(&self, endpoint: &Endpoint) -> Option<String> {
        self.kinds.first().map(|kind| endpoint.quoted(kind))
    }

    fn class(&self) -> Option<FailureClass> {
        self.kinds.iter().find_map(|kind| class_of_code(kind))
    }

    fn class_of_status(&self, status: u16) -> FailureClass {
        let by_message = || self.message.as_deref().and_then(class_of_message);
        match status {
            401 => Auth,
            403 => by_message().unwrap_or_else(|| self.class_of_forbidden()),
            402 => Quota,
            408 | 409 => Server,
            413 => TooLong,
            429 => RateLimited,
            503 | 529 => Overloaded,
            500.. => Server,
            _ => by_message().unwrap_or(BadRequest),
        }
    }

    /// What a 403 is about: this prompt, the key, or this request alone, which a
    /// gateway, a firewall or a rule of the account keeps out. A refused key
    /// stops every request that would carry it, so only the vendor's own word
    /// for that counts.
    fn class_of_forbidden(&self) -> FailureClass {
        match self.kinds.iter().find_map(|kind| class_of_kind(kind)) {
            _ if self.is_flagged => Declined,
            Some(Auth) => Auth,
            _ => Unavailable,
        }
    }
}

/// Words that say more than the status they come with.
fn class_of_code(code: &str) -> Option<FailureClass> {
    Some(match code {
        "enforced_spend_limit_reached"
        | "contract_spend_limit_reached"
        | "linked_organization_spend_limit_reached"
        | "billing_error"
        | "billing_not_active"
        | "billing_hard_limit_reached"
        | "insufficient_quota" => Quota,
        "rate_limit_exceeded" | "ramp_limit_exceeded" => RateLimited,
        "overloaded_error" | "server_is_overloaded" | "slow_down" => Overloaded,
        "context_length_exceeded" | "exceed_context_size_error" | "request_too_large" => TooLong,
        "content_filter" | "content_policy_violation" | "cyber_policy" => Declined,
        _ => return None,
    })
}

/// Words that say no more than the status would, for errors that come without one.
fn class_of_kind(kind: &str) -> Option<FailureClass> {
    Some(match kind {
        "authentication_error"
        | "permission_error"
        | "permission_denied"
        | "PERMISSION_DENIED"
        | "invalid_api_key" => Auth,
        "invalid_request_error" | "not_found_error" | "invalid_prompt" | "model_not_found" => BadRequest,
        "rate_limit_error" => RateLimited,
        "api_error" | "timeout_error" | "server_error" | "internal_server_error" => Server,
        _ => return None,
    })
}

/// Messages of plain refusals that stand for something else, in lower case.
const TELLING: [(&str, FailureClass); 7] = [
    ("prompt is too long", TooLong),
    ("maximum context length", TooLong),
    ("exceeds the available context size", TooLong),
    ("exceed context limit", TooLong),
    ("credit balance is too low", Quota),
    ("reached your specified api usage limits", Quota),
    ("key limit exceeded", Quota),
];

fn class_of_message(message: &str) -> Option<FailureClass> {
    let message = message.to_lowercase();
    TELLING.iter().find(|(phrase, _)| message.contains(phrase)).map(|(_, class)| *class)
}

/// Whether the response comes from something that gave up waiting for a model
/// which may have gone on.
fn is_from_a_gateway(status: u16) -> bool {
    matches!(status, 502 | 504 | 520..=524)
}

fn hint(endpoint: &Endpoint, class: FailureClass, status: u16) -> Option<String> {
    let Endpoint { name, key, key_env, .. } = endpoint;
    Some(match (class, key_env, key) {
        (Auth, Some(env), None) => format!("set {env} to a key of `{name}`"),
        (Auth, Some(env), Some(_)) => format!("check {env}: the key in it was refused"),
        (Auth, None, _) => format!("give provider `{name}` a key in the settings"),
        (Quota, ..) => format!("add credit or raise the spending limit of the account behind `{name}`"),
        (Declined, ..) if status == 403 => {
            "change the task's prompt, or give it a model that is not moderated".to_owned()
        }
        (Unavailable, ..) => format!(
            "see whether `{name}` gives your account and region this model, and whether a proxy or firewall is in the way"
        ),
        (BadRequest, ..) if status == 404 => {
            format!("check the model's id and the address {}", endpoint.shown_url())
        }
        (BadRequest, ..) if (300..400).contains(&status) => {
            format!("the address {} redirects: name the one it leads to", endpoint.shown_url())
        }
        _ => return None,
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
        let mut endpoint =
            Endpoint::new("main", "https://example.com").key(Some(Secret::new(KEY)), "MAIN_API_KEY");
        endpoint.headers.push(("x-gateway".into(), Secret::new("gate-secret")));
        endpoint
    }

    fn answered(status: u16, body: Value) -> ProviderError {
        response(&endpoint(), status, &HeaderMap::new(), &body.to_string())
    }

    fn anthropic(kind: &str, message: &str) -> Value {
        json!({"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_1"})
    }

    #[test]
    fn every_class_is_told_apart() {
        let limit = |code: &str| {
            json!({"type": "error", "error": {
                "type": "rate_limit_error", "message": "no", "details": {"error_code": code}
            }})
        };
        let openai =
            |code: &str| json!({"error": {"message": "no", "type": "invalid_request_error", "code": code}});
        let flagged = |metadata: Value| json!({"error": {"code": 403, "message": "your input was flagged", "metadata": metadata}});
        for (status, body, class) in [
            (400, anthropic("invalid_request_error", "max_tokens: wrong"), BadRequest),
            (400, anthropic("invalid_request_error", "prompt is too long: 9 tokens > 8 maximum"), TooLong),
            (400, anthropic("invalid_request_error", "Your credit balance is too low to go on"), Quota),
            (
                400,
                anthropic("invalid_request_error", "You have reached your specified API usage limits."),
                Quota,
            ),
            (400, openai("context_length_exceeded"), TooLong),
            (
                400,
                json!({"error": {"code": 400, "message": "no", "type": "exceed_context_size_error"}}),
                TooLong,
            ),
            (400, openai("content_filter"), Declined),
            (401, anthropic("authentication_error", "invalid x-api-key"), Auth),
            (402, anthropic("billing_error", "no"), Quota),
            (402, limit("linked_organization_spend_limit_reached"), Quota),
            (403, anthropic("permission_error", "no"), Auth),
            (403, openai("permission_denied"), Auth),
            (403, openai("invalid_api_key"), Auth),
            (403, json!([{"error": {"code": 403, "message": "no", "status": "PERMISSION_DENIED"}}]), Auth),
            (403, flagged(json!({"reasons": ["violence"], "flagged_input": "no"})), Declined),
            (403, flagged(json!({"flagged_input": "no"})), Declined),
            (403, flagged(json!({"reasons": null})), Unavailable),
            (
                403,
                json!({"error": {"code": 403, "message": "Key limit exceeded (monthly limit). Raise it."}}),
                Quota,
            ),
            (403, openai("unsupported_country_region_territory"), Unavailable),
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
            (429, json!({"error": {"type": "insufficient_quota", "code": "insufficient_quota"}}), Quota),
            (429, json!({"error": {"type": "tokens", "code": "rate_limit_exceeded"}}), RateLimited),
            (500, anthropic("api_error", "no"), Server),
            (400, json!([{"error": {"code": 400, "message": "exceed context limit"}}]), TooLong),
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
            assert_eq!(answered(status, body.clone()).class, class, "{status} {body}");
        }
    }

    #[test]
    fn errors_inside_of_replies_are_told_apart_too() {
        for (body, class) in [
            (json!({"type": "overloaded_error", "message": "Overloaded"}), Overloaded),
            (json!({"type": "rate_limit_error", "message": "no"}), RateLimited),
            (json!({"type": "api_error", "message": "no"}), Server),
            (json!({"type": "invalid_request_error", "message": "no"}), BadRequest),
            (json!({"error": {"code": 429, "message": "no"}}), RateLimited),
            (json!({"error": {"code": 403, "message": "no", "metadata": {"reasons": ["x"]}}}), Declined),
            (json!({"error": {"code": 403, "message": "no"}}), Unavailable),
            (json!({"code": "context_length_exceeded", "message": "no"}), TooLong),
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
        assert_eq!((error.status, error.code.as_deref()), (Some(429), Some("rate_limit_error")));
        assert_eq!((error.retry_after, error.should_retry), (Some(Millis(7_000)), Some(false)));
        assert_eq!((error.request_id.as_deref(), error.rate.requests.remaining), (Some("req_2"), Some(0)));
        assert!(!error.maybe_billed);
        assert_eq!(answered(500, anthropic("api_error", "")).request_id.as_deref(), Some("req_1"));
        assert!(answered(504, json!(null)).maybe_billed);
    }

    #[test]
    fn advises_what_to_do() {
        let mut endpoint = endpoint();
        let mut advice = |status, key: bool, env: bool| {
            endpoint.key = key.then(|| Secret::new(KEY));
            endpoint.key_env = env.then(|| "MAIN_API_KEY".into());
            response(&endpoint, status, &HeaderMap::new(), "").hint.unwrap_or_default()
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
        let echoed =
            anthropic("authentication_error", &format!("{} key {KEY} via gate-secret", "x ".repeat(245)));
        for error in [
            answered(401, echoed.clone()),
            event(&endpoint(), &echoed),
            response(&endpoint(), 400, &HeaderMap::new(), &format!("plain {KEY}")),
        ] {
            let shown = format!("{error} {error:?}");
            assert!(!shown.contains("sk-ant") && !shown.contains("gate-secret"), "{shown}");
        }
    }

    #[test]
    fn shows_neither_pages_nor_endless_messages() {
        let page = response(&endpoint(), 502, &HeaderMap::new(), "<html><body>Bad gateway</body></html>");
        assert_eq!(page.message, "provider `main` answered 502 without a reason");
        assert!(answered(400, anthropic("x", &"long ".repeat(1_000))).message.len() < 600);
    }
}
