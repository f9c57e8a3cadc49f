//! OpenAI's Chat Completions API, which nearly every other server also offers.
//!
//! OpenRouter, vLLM, llama.cpp, Ollama and LM Studio differ in details, which a [`Dialect`] covers.
//! Parts that some of them omit are optional here: the key, the usage, the ids of tool calls, the
//! closing `[DONE]`. Only a reply without a stop reason counts as cut off.

mod body;
pub(crate) mod chunks;

use crate::dialect::Part;
use crate::endpoint::{Endpoint, EndpointError};
use crate::error::ProviderError;
use crate::http::Http;
use crate::manners::Manners;
use crate::provider::{Progress, Provider, Spec};
use crate::reply::Reply;
use crate::request::Request;
use crate::usage::Habits;
use crate::{calls, estimate, openai};
use async_trait::async_trait;
use std::sync::Arc;

/// The properties of this wire format.
pub(crate) const SPEC: Spec = Spec {
    name: "openai-chat",
    counts_cached: true,
    connect: |endpoint| Ok(Arc::new(OpenAiChat::new(endpoint)?)),
};

/// A provider with the Chat Completions API.
pub struct OpenAiChat {
    http: Http,
    dialect: Dialect,
    manners: Manners,
}

/// Parts of a request that servers with this API may not accept.
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

/// A variant of the API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// OpenAI's own.
    OpenAi,
    /// OpenRouter's: passes on cache marks, and has its own field for effort.
    OpenRouter,
    /// The variant of all others, with the older names.
    Compatible,
}

impl OpenAiChat {
    /// Prepares `endpoint`, with the dialect that its address suggests; fails only if it is
    /// invalid.
    pub fn new(endpoint: Endpoint) -> Result<Self, EndpointError> {
        let dialect = Dialect::at(&endpoint.host());
        let manners = Manners::new(endpoint.name.clone(), endpoint.dialect.clone(), PARTS);
        Ok(Self {
            http: Http::new(endpoint.clone(), openai::bearer(&endpoint))?,
            dialect,
            manners,
        })
    }

    /// Sets another dialect.
    pub fn dialect(mut self, dialect: Dialect) -> Self {
        self.dialect = dialect;
        self
    }
}

impl Dialect {
    fn at(host: &str) -> Self {
        match host {
            openai::HOST => Self::OpenAi,
            "openrouter.ai" => Self::OpenRouter,
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
            Dialect::OpenAi | Dialect::OpenRouter => Some(openai::CACHED_TOKENS_MIN),
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
        match self
            .http
            .reply(
                "/chat/completions",
                &body,
                chunks::Chunks::by(Habits::at(&self.http.endpoint)),
                progress,
            )
            .await
        {
            Ok(reply) => Ok(calls::settle(estimate::counted(reply, request), request)),
            Err(error) => Err(self.manners.adapt(
                openai::advised(error, &self.http.endpoint),
                request,
                &manner,
            )),
        }
    }

    async fn models(&self) -> Result<Vec<String>, ProviderError> {
        openai::models(&self.http).await
    }
}
