//! OpenAI's Chat Completions API, which nearly every other server speaks too.
//!
//! OpenRouter, vLLM, llama.cpp, Ollama and LM Studio differ from it in small
//! things, which a [`Dialect`] names. What all of them may leave out is not
//! missed: the key, the usage, the ids of tool calls, the closing `[DONE]`. Only a
//! reply without a reason for its end counts as broken off.

mod body;
pub(crate) mod chunks;

use crate::dialect::{Manners, Part};
use crate::endpoint::{Endpoint, EndpointError};
use crate::error::ProviderError;
use crate::http::Http;
use crate::provider::{Progress, Provider};
use crate::reply::Reply;
use crate::request::Request;
use crate::secret::Secret;
use crate::{calls, estimate};
use async_trait::async_trait;
use divisi_core::price::Service;
use serde::Deserialize;

pub(crate) use body::{USUAL_SERVICE, answer_format, result_text};

/// OpenAI's Chat Completions API, which nearly every other server speaks too.
pub struct OpenAiChat {
    http: Http,
    dialect: Dialect,
    manners: Manners,
}

/// What a server that speaks it may not take.
const PARTS: &[Part] = &[
    Part::StreamOptions,
    Part::MaxTokensName,
    Part::MaxOutputTokens,
    Part::Schema,
    Part::Strict,
    Part::SchemaWithTools,
    Part::Tools,
    Part::Effort,
    Part::CacheControl,
    Part::SystemRole,
];

/// The shortest prefix that OpenAI caches, which it does unasked.
pub(crate) const CACHED_TOKENS_MIN: u64 = 1_024;

/// Whose variant of the API it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// OpenAI's own.
    OpenAi,
    /// OpenRouter's: can pass on marks for caches, and has its own word for effort.
    OpenRouter,
    /// The one of everyone else, which stayed with the older words.
    Compatible,
}

impl OpenAiChat {
    /// Prepares `endpoint`, in the dialect that its address suggests; fails only
    /// when it cannot be an endpoint.
    pub fn new(endpoint: Endpoint) -> Result<Self, EndpointError> {
        let dialect = Dialect::at(&endpoint.base_url);
        let manners = Manners::new(endpoint.name.clone(), endpoint.dialect.clone(), PARTS);
        Ok(Self { http: Http::new(endpoint.clone(), bearer(&endpoint))?, dialect, manners })
    }

    /// The same in a dialect that its address does not tell.
    pub fn dialect(mut self, dialect: Dialect) -> Self {
        self.dialect = dialect;
        self
    }
}

/// Whether this is the address of OpenAI itself.
pub(crate) fn is_openai(base_url: &str) -> bool {
    Dialect::at(base_url) == Dialect::OpenAi
}

impl Dialect {
    fn at(base_url: &str) -> Self {
        let host = reqwest::Url::parse(base_url).ok().and_then(|url| url.host_str().map(str::to_owned));
        match host.as_deref() {
            Some("api.openai.com") => Self::OpenAi,
            Some("openrouter.ai") => Self::OpenRouter,
            _ => Self::Compatible,
        }
    }
}

#[async_trait]
impl Provider for OpenAiChat {
    fn name(&self) -> &str {
        &self.http.endpoint.name
    }

    fn cached_tokens_min(&self) -> Option<u64> {
        match self.dialect {
            Dialect::OpenAi | Dialect::OpenRouter => Some(CACHED_TOKENS_MIN),
            Dialect::Compatible => None,
        }
    }

    fn in_flight_max(&self) -> u32 {
        self.http.in_flight_max()
    }

    async fn send(
        &self,
        request: &Request,
        progress: &(dyn Fn(Progress) + Send + Sync),
    ) -> Result<Reply, ProviderError> {
        let manner = self.manners.of(request);
        let body = body::Body::of(request, self.dialect, &manner);
        match self.http.reply("/chat/completions", &body, chunks::Chunks::default(), progress).await {
            Ok(reply) => Ok(calls::settle(estimate::counted(reply, request), request)),
            Err(error) => Err(self.manners.adapt(advised(error, &self.http.endpoint), request, &manner)),
        }
    }

    async fn models(&self) -> Result<Vec<String>, ProviderError> {
        models(&self.http).await
    }
}

/// The error with better advice where nothing answers under an address without a version.
pub(crate) fn advised(error: ProviderError, endpoint: &Endpoint) -> ProviderError {
    if error.status != Some(404) || !endpoint.lacks_a_version() {
        return error;
    }
    let url = endpoint.shown_url();
    error.hint(format!("check the model's id and the address {url}: most servers answer under {url}/v1"))
}

/// The header with the key, as every OpenAI API wants it.
pub(crate) fn bearer(endpoint: &Endpoint) -> Option<(&'static str, Secret)> {
    endpoint.key.as_ref().map(|key| ("authorization", Secret::new(format!("Bearer {}", key.expose()))))
}

/// What a service tier of a reply means; both of OpenAI's APIs name them alike.
pub(crate) fn service(tier: &str) -> Service {
    match tier {
        "flex" => Service::Flex,
        "priority" => Service::Priority,
        "fast" => Service::Fast,
        "batch" => Service::Batch,
        _ => Service::Standard,
    }
}

/// The models of a server that speaks either of OpenAI's APIs.
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
