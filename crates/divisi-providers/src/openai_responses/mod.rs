//! OpenAI's Responses API.
//!
//! The vendor stores nothing: the whole conversation is sent each time, with the model's reasoning
//! in encrypted form, sent back unchanged.

mod body;
pub(crate) mod events;

use crate::dialect::Part;
use crate::endpoint::{Endpoint, EndpointError};
use crate::error::ProviderError;
use crate::http::Http;
use crate::manners::Manners;
use crate::openai::{CACHED_TOKENS_MIN, HOST, USUAL_SERVICE, advised, bearer, models};
use crate::provider::{Progress, Provider, Spec};
use crate::reply::Reply;
use crate::request::Request;
use crate::usage::Habits;
use crate::{calls, estimate};
use async_trait::async_trait;
use std::sync::Arc;

/// The properties of this wire format.
pub(crate) const SPEC: Spec = Spec {
    name: "openai",
    counts_cached: true,
    connect: |endpoint| Ok(Arc::new(OpenAiResponses::new(endpoint)?)),
};

/// A provider with the Responses API.
pub struct OpenAiResponses {
    http: Http,
    manners: Manners,
}

/// Parts of a request that servers with this API may not accept.
const PARTS: &[Part] = &[
    Part::Schema,
    Part::Strict,
    Part::SchemaWithTools,
    Part::Tools,
    Part::Effort,
    Part::Include,
    Part::SystemRole,
    Part::Store,
    Part::MaxOutputTokens,
];

impl OpenAiResponses {
    /// Prepares `endpoint`; fails only if it is invalid.
    pub fn new(endpoint: Endpoint) -> Result<Self, EndpointError> {
        let manners = Manners::new(endpoint.name.clone(), endpoint.dialect.clone(), PARTS);
        Ok(Self {
            http: Http::new(endpoint.clone(), bearer(&endpoint))?,
            manners,
        })
    }
}

#[async_trait]
impl Provider for OpenAiResponses {
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
        // Other servers with this API may not know the field.
        let service_tier = (self.http.endpoint.host() == HOST).then_some(USUAL_SERVICE);
        let body = body::Body::of(request, &manner).by(service_tier);
        match self
            .http
            .reply(
                "/responses",
                &body,
                events::Events::by(Habits::at(&self.http.endpoint)),
                progress,
            )
            .await
        {
            Ok(reply) => Ok(calls::settle(estimate::counted(reply, request), request)),
            Err(error) => {
                Err(self
                    .manners
                    .adapt(advised(error, &self.http.endpoint), request, &manner))
            }
        }
    }

    async fn models(&self) -> Result<Vec<String>, ProviderError> {
        models(&self.http).await
    }
}
