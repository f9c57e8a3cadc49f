//! Common parts of OpenAI's two APIs.

mod schema;

pub(crate) use schema::{answer_format, enforceable};

use crate::endpoint::Endpoint;
use crate::error::ProviderError;
use crate::http::Http;
use crate::secret::Secret;
use crate::turns::output;
use divisi_core::price::{Billing, Service};
use serde::Deserialize;

/// The host of OpenAI itself.
pub(crate) const HOST: &str = "api.openai.com";

/// The shortest prefix that OpenAI caches, without being asked.
pub(crate) const CACHED_TOKENS_MIN: u64 = 1_024;

/// OpenAI's name of the service at list prices. Without it, the project's settings decide, and a
/// request's reservation may not cover its price.
pub(crate) const USUAL_SERVICE: &str = "default";

/// Adds advice if nothing answers at an address without a version.
pub(crate) fn advised(error: ProviderError, endpoint: &Endpoint) -> ProviderError {
    if error.status != Some(404) || !endpoint.lacks_a_version() {
        return error;
    }
    let url = endpoint.shown_url();
    error.hint(format!(
        "check the model's id and the address {url}: most servers answer under {url}/v1"
    ))
}

/// The header with the key, in all OpenAI APIs.
pub(crate) fn bearer(endpoint: &Endpoint) -> Option<(&'static str, Secret)> {
    endpoint.key.as_ref().map(|key| {
        (
            "authorization",
            Secret::new(format!("Bearer {}", key.expose())),
        )
    })
}

/// The meaning of a reply's service tier, which is the same in both APIs.
pub(crate) fn service(tier: &str) -> Service {
    match &*tier.to_ascii_lowercase() {
        "flex" => Service::Flex,
        "priority" => Service::Priority,
        "fast" => Service::Fast,
        "ultrafast" => Service::Ultrafast,
        "batch" | "batches" => Service::Batch,
        _ => Service::Standard,
    }
}

/// How a reply was billed: by the service that it names, else as its usage says.
pub(crate) fn billing(named: Option<Service>, counted: Billing) -> Billing {
    Billing {
        service: named.unwrap_or(counted.service),
        ..counted
    }
}

/// The result of a tool, for an API without a mark for errors.
pub(crate) fn result_text(content: &str, is_error: bool) -> String {
    let content = output(content);
    if is_error {
        format!("error: {content}")
    } else {
        content.to_owned()
    }
}

/// The models of a server with one of OpenAI's APIs.
pub(crate) async fn models(http: &Http) -> Result<Vec<String>, ProviderError> {
    let list: Models = http.get("/models").await?;
    Ok(list.data.into_iter().map(|model| model.id).collect())
}

#[derive(Deserialize)]
struct Models {
    data: Vec<Model>,
}

#[derive(Deserialize)]
struct Model {
    id: String,
}
