//! Anthropic's Messages API, also as offered by other servers.
//!
//! Every reply is streamed, which keeps the connection alive while a model thinks. Tools are never
//! forced and sampling is never set, because the models refuse both; a schema is enforced by
//! `output_config.format` where possible.

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
use crate::usage::Habits;
use crate::{calls, estimate};
use async_trait::async_trait;
use serde::Deserialize;
use std::sync::Arc;

/// The properties of this wire format.
pub(crate) const SPEC: Spec = Spec {
    name: "anthropic",
    // Only Anthropic documents that cached prompt tokens do not count towards its limits.
    counts_cached: false,
    connect: |endpoint| Ok(Arc::new(Anthropic::new(endpoint)?)),
};

/// The API version that this module is written for.
const VERSION: &str = "2023-06-01";

/// The shortest cached prefix of current models; older ones need up to 4,096 tokens.
const CACHED_TOKENS_MIN: u64 = 512;

/// A provider with the Messages API.
pub struct Anthropic {
    http: Http,
    manners: Manners,
}

/// Parts of a request that servers with this API may not accept.
const PARTS: &[Part] = &[
    Part::Schema,
    Part::SchemaWithTools,
    Part::Tools,
    Part::Effort,
    Part::CacheControl,
    Part::SystemRole,
];

impl Anthropic {
    /// Prepares `endpoint`; fails only if it is invalid.
    pub fn new(mut endpoint: Endpoint) -> Result<Self, EndpointError> {
        // Addresses are often copied with the version.
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
            .reply(
                "/v1/messages",
                &body,
                events::Events::by(Habits::at(&self.http.endpoint)),
                progress,
            )
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
