//! The last requests, for tests that inspect what was sent.

use crate::digest::Digest;
use axum::body::Bytes;
use axum::http::HeaderMap;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::{BTreeMap, VecDeque};

/// One request as reported by `/requests`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Received {
    /// The path.
    pub endpoint: String,
    /// The [digest](crate::body_digest) under which it is counted.
    pub digest: String,
    /// The headers by lower-case name. Keys are replaced by `[redacted]`.
    pub headers: BTreeMap<String, String>,
    /// The body; null if it was not JSON.
    pub body: Value,
}

/// The last requests, oldest first.
pub(crate) struct Kept {
    requests_max: usize,
    requests: VecDeque<Raw>,
}

struct Raw {
    endpoint: &'static str,
    digest: Digest,
    headers: HeaderMap,
    body: Bytes,
}

impl Kept {
    pub(crate) fn new(requests_max: usize) -> Self {
        Self {
            requests_max,
            requests: VecDeque::new(),
        }
    }

    pub(crate) fn keep(
        &mut self,
        endpoint: &'static str,
        digest: Digest,
        headers: &HeaderMap,
        body: &Bytes,
    ) {
        if self.requests_max == 0 {
            return;
        }
        if self.requests.len() == self.requests_max {
            self.requests.pop_front();
        }
        self.requests.push_back(Raw {
            endpoint,
            digest,
            headers: headers.clone(),
            body: body.clone(),
        });
    }

    pub(crate) fn report(&self) -> Vec<Received> {
        self.requests.iter().map(Raw::show).collect()
    }
}

impl Raw {
    fn show(&self) -> Received {
        let headers = self.headers.iter().map(|(name, value)| {
            let shown = match name.as_str() {
                "authorization" | "x-api-key" | "api-key" => "[redacted]".into(),
                _ => String::from_utf8_lossy(value.as_bytes()),
            };
            (name.to_string(), shown.into_owned())
        });
        Received {
            endpoint: self.endpoint.to_owned(),
            digest: self.digest.to_string(),
            headers: headers.collect(),
            body: serde_json::from_slice(&self.body).unwrap_or_default(),
        }
    }
}
