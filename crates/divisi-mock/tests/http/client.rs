//! The only file that touches the API: starts a mock and talks to it.

use divisi_mock::{Config, Mock};
use reqwest::RequestBuilder;
use serde_json::{Value, json};

/// A mock and a client for it.
pub(crate) struct Api {
    pub(crate) mock: Mock,
    pub(crate) http: reqwest::Client,
}

/// What a request got.
#[derive(Debug)]
pub(crate) struct Got {
    pub(crate) status: u16,
    pub(crate) body: String,
    /// Whether the body broke off.
    pub(crate) broken: bool,
    headers: reqwest::header::HeaderMap,
}

impl Api {
    pub(crate) async fn start(config: Config) -> Self {
        divisi_mock::choose_encryption();
        Self {
            mock: Mock::start(config).await,
            http: reqwest::Client::new(),
        }
    }

    /// Starts a mock from the JSON of a configuration.
    pub(crate) async fn start_json(config: Value) -> Self {
        Self::start(serde_json::from_value(config).unwrap()).await
    }

    pub(crate) fn post(&self, path: &str, body: &Value) -> RequestBuilder {
        let request = self.http.post(self.mock.url() + path).json(body);
        request.header("anthropic-version", "2023-06-01")
    }

    pub(crate) async fn send(&self, path: &str, body: Value) -> Got {
        read(self.post(path, &body)).await
    }

    pub(crate) async fn get(&self, path: &str) -> Value {
        read(self.http.get(self.mock.url() + path)).await.json()
    }

    /// Asks the Messages API with the usual options and those in `more`.
    pub(crate) async fn messages(&self, prompt: &str, more: Value) -> Got {
        self.send("/v1/messages", messages(prompt, more)).await
    }

    pub(crate) async fn chat(&self, prompt: &str, more: Value) -> Got {
        let body =
            json!({"model": "gpt-6-luna", "messages": [{"role": "user", "content": prompt}]});
        self.send("/v1/chat/completions", merged(body, more)).await
    }

    pub(crate) async fn responses(&self, prompt: &str, more: Value) -> Got {
        self.send(
            "/v1/responses",
            merged(json!({"model": "gpt-6-luna", "input": prompt}), more),
        )
        .await
    }

    /// Waits until `condition` holds for the numbers of the mock.
    pub(crate) async fn wait_until(&self, condition: impl Fn(&divisi_mock::Stats) -> bool) {
        while !condition(&self.mock.stats()) {
            tokio::task::yield_now().await;
        }
    }
}

/// The body of a usual Messages request.
pub(crate) fn messages(prompt: &str, more: Value) -> Value {
    let messages = json!([{"role": "user", "content": prompt}]);
    merged(
        json!({"model": "claude-haiku-5-5", "max_tokens": 1000, "messages": messages}),
        more,
    )
}

fn merged(mut body: Value, more: Value) -> Value {
    for (name, value) in more.as_object().unwrap() {
        body[name] = value.clone();
    }
    body
}

pub(crate) async fn read(request: RequestBuilder) -> Got {
    let mut response = request.send().await.unwrap();
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    let (mut body, mut broken) = (Vec::new(), false);
    loop {
        match response.chunk().await {
            Ok(Some(chunk)) => body.extend_from_slice(&chunk),
            Ok(None) => break,
            Err(_) => {
                broken = true;
                break;
            }
        }
    }
    Got {
        status,
        body: String::from_utf8(body).unwrap(),
        broken,
        headers,
    }
}

impl Got {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }

    /// The data of the events of a stream, `[DONE]` left out.
    pub(crate) fn events(&self) -> Vec<Value> {
        let data = self
            .body
            .lines()
            .filter_map(|line| line.strip_prefix("data: "));
        data.filter(|data| *data != "[DONE]")
            .map(|data| serde_json::from_str(data).unwrap())
            .collect()
    }

    /// The types of the events, repeated ones once.
    pub(crate) fn types(&self) -> Vec<String> {
        let mut types: Vec<_> = self
            .events()
            .iter()
            .map(|event| event["type"].as_str().unwrap().to_owned())
            .collect();
        types.dedup();
        types
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    /// The joined strings at `pointer` of all events.
    pub(crate) fn joined(&self, pointer: &str) -> String {
        self.events()
            .iter()
            .filter_map(|event| event.pointer(pointer)?.as_str().map(str::to_owned))
            .collect()
    }
}
