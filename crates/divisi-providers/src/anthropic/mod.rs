//! Anthropic's Messages API, and servers that speak it.
//!
//! Every reply is streamed, which is what keeps a connection alive while a model
//! thinks. Tools are never forced and sampling is never set, because the models
//! refuse both; a schema is enforced by `output_config.format` where it can be.

mod body;
pub(crate) mod events;
mod schema;
mod usage;

use crate::dialect::Part;
use crate::endpoint::{Endpoint, EndpointError};
use crate::error::ProviderError;
use crate::http::Http;
use crate::manners::Manners;
use crate::provider::{Progress, Provider, Spec};
use crate::reply::Reply;
use crate::request::Request;
use crate::secret::Secret;
use crate::{calls, estimate};
use async_trait::async_trait;
use serde::Deserialize;
use std::sync::Arc;

/// What is particular to this wire format.
pub(crate) const SPEC: Spec = Spec {
    name: "anthropic",
    // Only Anthropic says that what is read from its cache does not count.
    counts_cached: false,
    connect: |endpoint| Ok(Arc::new(Anthropic::new(endpoint)?)),
};

/// The version of the API that all of this is written for.
const VERSION: &str = "2023-06-01";

/// The shortest prefix that is cached. That of the current models; older ones
/// want up to 4,096 tokens.
const CACHED_TOKENS_MIN: u64 = 512;

/// Anthropic's Messages API, and servers that speak it.
pub struct Anthropic {
    http: Http,
    manners: Manners,
}

/// What a server that speaks it may not take.
const PARTS: &[Part] = &[
    Part::Schema,
    Part::SchemaWithTools,
    Part::Tools,
    Part::Effort,
    Part::CacheControl,
    Part::SystemRole,
];

impl Anthropic {
    /// Prepares `endpoint`; fails only when it cannot be one.
    pub fn new(mut endpoint: Endpoint) -> Result<Self, EndpointError> {
        // People copy addresses with and without the version.
        if let Some(base) = endpoint.base_url.trim_end_matches('/').strip_suffix("/v1") {
            endpoint.base_url = base.to_owned();
        }
        let key = endpoint.key.clone().map(|key| ("x-api-key", key));
        let headers = [("anthropic-version", Secret::new(VERSION))];
        let manners = Manners::new(endpoint.name.clone(), endpoint.dialect.clone(), PARTS);
        Ok(Self {
            http: Http::new(endpoint, headers.into_iter().chain(key))?,
            manners,
        })
    }
}

#[async_trait]
impl Provider for Anthropic {
    fn name(&self) -> &str {
        &self.http.endpoint.name
    }

    fn cached_tokens_min(&self) -> Option<u64> {
        Some(CACHED_TOKENS_MIN)
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
        let body = body::Body::of(request, &manner);
        match self
            .http
            .reply("/v1/messages", &body, events::Events::default(), progress)
            .await
        {
            Ok(reply) => Ok(calls::settle(estimate::counted(reply, request), request)),
            Err(error) => Err(self.manners.adapt(error, request, &manner)),
        }
    }

    async fn models(&self) -> Result<Vec<String>, ProviderError> {
        let list: Models = self.http.get("/v1/models?limit=1000").await?;
        Ok(list.data.into_iter().map(|model| model.id).collect())
    }

    async fn count_tokens(&self, request: &Request) -> Result<Option<u64>, ProviderError> {
        let body = body::Body::prompt_of(request, &self.manners.of(request));
        let counted: Counted = self.http.post("/v1/messages/count_tokens", &body).await?;
        Ok(Some(counted.input_tokens))
    }
}

#[derive(Deserialize)]
struct Counted {
    input_tokens: u64,
}

#[derive(Deserialize)]
struct Models {
    data: Vec<Model>,
}

#[derive(Deserialize)]
struct Model {
    id: String,
}
