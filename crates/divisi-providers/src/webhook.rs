//! Sends a JSON text to an address of the user's choice: not a vendor, and without any key.

use crate::http;
use reqwest::Url;
use std::time::Duration;

/// Why a text was not delivered.
#[derive(Debug, thiserror::Error)]
pub enum WebhookError {
    /// It is no address of HTTP.
    #[error("the address is none of http or https")]
    Address,
    /// The server does not accept it.
    #[error("{host} answered with {status}")]
    Refused {
        /// The server, without path and query, which may contain a secret.
        host: String,
        /// The HTTP status.
        status: u16,
    },
    /// The server cannot be reached, or not in time.
    #[error("{host} cannot be reached")]
    Unreachable {
        /// The server.
        host: String,
    },
}

/// Sends `json` to `address` with a POST request. The address appears in no error, because it may
/// contain a secret.
pub async fn post(address: &str, json: String, timeout: Duration) -> Result<(), WebhookError> {
    let url = Url::parse(address).map_err(|_| WebhookError::Address)?;
    let host = match (url.scheme(), url.host_str()) {
        ("http" | "https", Some(host)) => host.to_owned(),
        _ => return Err(WebhookError::Address),
    };
    let unreachable = || WebhookError::Unreachable { host: host.clone() };
    let client = http::builder(http::is_on_this_machine(&url))
        .timeout(timeout)
        .build()
        .map_err(|_| unreachable())?;
    let sent = client
        .post(url)
        .header("content-type", "application/json")
        .body(json)
        .send()
        .await
        .map_err(|_| unreachable())?;
    match sent.status() {
        status if status.is_success() => Ok(()),
        status => Err(WebhookError::Refused {
            host,
            status: status.as_u16(),
        }),
    }
}
