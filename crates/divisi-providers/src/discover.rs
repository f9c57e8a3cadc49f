//! Finds model servers on this machine.
//!
//! Only the loopback address is tried, without a proxy and without following redirects, at the
//! default ports of known servers.

use crate::http;
use futures::future::join_all;
use reqwest::Client;
use serde::Deserialize;
use std::fmt;
use std::time::Duration;

/// Default ports of known servers.
const PORTS: [(u16, ServerKind); 4] = [
    (11434, ServerKind::Ollama),
    (8080, ServerKind::LlamaServer),
    (1234, ServerKind::LmStudio),
    (8000, ServerKind::Vllm),
];

/// Time limit for an answer. A running server answers at once; a longer limit would delay every
/// start without one.
const TIMEOUT: Duration = Duration::from_millis(300);

/// A model server on this machine, with the Chat Completions API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalServer {
    /// Which program it is.
    pub kind: ServerKind,
    /// Base address of its API.
    pub base_url: String,
    /// The ids of its models.
    pub models: Vec<String>,
}

/// The programs that serve models.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServerKind {
    /// Ollama.
    Ollama,
    /// The server of llama.cpp.
    LlamaServer,
    /// LM Studio.
    LmStudio,
    /// vLLM.
    Vllm,
}

impl fmt::Display for ServerKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ollama => "Ollama",
            Self::LlamaServer => "llama-server",
            Self::LmStudio => "LM Studio",
            Self::Vllm => "vLLM",
        })
    }
}

/// Returns the model servers on this machine that answer, in a fixed order.
pub async fn discover() -> Vec<LocalServer> {
    let Ok(client) = http::builder(true).timeout(TIMEOUT).build() else {
        return Vec::new();
    };
    let found = join_all(PORTS.map(|(port, usual)| ask(&client, port, usual))).await;
    found.into_iter().flatten().collect()
}

/// The server at `port`; `None` if there is none, or another program.
async fn ask(client: &Client, port: u16, usual: ServerKind) -> Option<LocalServer> {
    let base_url = format!("http://127.0.0.1:{port}/v1");
    let response = client.get(format!("{base_url}/models")).send().await.ok()?;
    if !response.status().is_success() {
        return None;
    }
    let list: Models = serde_json::from_str(&http::body(response).await).ok()?;
    let owner = list
        .data
        .first()
        .and_then(|model| model.owned_by.as_deref());
    Some(LocalServer {
        kind: match owner {
            Some("library") => ServerKind::Ollama,
            Some("llamacpp") => ServerKind::LlamaServer,
            Some("organization_owner") => ServerKind::LmStudio,
            Some("vllm") => ServerKind::Vllm,
            _ => usual,
        },
        base_url,
        models: list.data.into_iter().map(|model| model.id).collect(),
    })
}

#[derive(Deserialize)]
struct Models {
    data: Vec<Model>,
}

#[derive(Deserialize)]
struct Model {
    id: String,
    owned_by: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use divisi_mock::{Config, Mock};

    async fn at(port: u16) -> Option<LocalServer> {
        ask(
            &http::builder(true).build().unwrap(),
            port,
            ServerKind::Ollama,
        )
        .await
    }

    #[tokio::test]
    async fn finds_a_server_and_its_models() {
        let models = vec!["small".to_owned(), "large".to_owned()];
        let mock = Mock::start(Config {
            models: models.clone(),
            ..Config::default()
        })
        .await;
        let port = mock.url().rsplit(':').next().unwrap().parse().unwrap();
        let base_url = format!("http://127.0.0.1:{port}/v1");
        assert_eq!(
            at(port).await,
            Some(LocalServer {
                kind: ServerKind::Ollama,
                base_url,
                models
            })
        );
    }

    #[tokio::test]
    async fn finds_nothing_where_nothing_is() {
        let free = std::net::TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap();
        assert_eq!(at(free.port()).await, None);
    }
}
