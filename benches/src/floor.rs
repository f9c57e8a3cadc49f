//! The same work without an engine: what nobody can be faster than.

use futures::StreamExt;
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::sync::mpsc;

/// Starts `tasks` tokio tasks, `at_once` at a time, and collects their results.
pub(crate) async fn in_memory(tasks: usize, at_once: usize) {
    let (results, mut collected) = mpsc::unbounded_channel();
    let mut started = 0;
    let start = |i: usize| {
        let results = results.clone();
        tokio::spawn(async move { results.send(format!("result of task {i}")).is_ok() });
    };
    while started < tasks.min(at_once) {
        start(started);
        started += 1;
    }
    for _ in 0..tasks {
        collected.recv().await;
        if started < tasks {
            start(started);
            started += 1;
        }
    }
}

/// The same with each result written to a log that is synced in groups.
pub(crate) async fn durable(tasks: usize, at_once: usize, folder: &std::path::Path) {
    let Ok(mut log) = tokio::fs::File::create(folder.join("log")).await else { return };
    let (results, mut collected) = mpsc::unbounded_channel();
    let mut started = 0;
    let start = |i: usize| {
        let results = results.clone();
        tokio::spawn(async move {
            results.send(format!("{{\"task\":{i},\"result\":\"result of task {i}\"}}\n")).is_ok()
        });
    };
    while started < tasks.min(at_once) {
        start(started);
        started += 1;
    }
    let (mut done, mut group) = (0, vec![]);
    while done < tasks {
        let got = collected.recv_many(&mut group, at_once).await;
        let text: String = group.drain(..).collect();
        if log.write_all(text.as_bytes()).await.is_err() || log.sync_data().await.is_err() {
            return;
        }
        done += got;
        for _ in 0..got.min(tasks - started) {
            start(started);
            started += 1;
        }
    }
}

/// Sends `requests` streamed requests to a Messages server, `at_once` at a time.
pub(crate) async fn over_http(url: &str, requests: usize, at_once: usize) -> Duration {
    let client = reqwest::Client::new();
    let send = |i: usize| {
        let request = client
            .post(format!("{url}/v1/messages"))
            .header("anthropic-version", "2023-06-01")
            .header("x-api-key", "bench")
            .json(&serde_json::json!({
                "model": "claude-haiku-5-5", "max_tokens": 1024, "stream": true,
                "messages": [{"role": "user", "content": format!("task {i}")}],
            }));
        async move {
            let response = request.send().await.ok()?;
            response.bytes().await.ok()
        }
    };
    let start = std::time::Instant::now();
    futures::stream::iter((0..requests).map(send)).buffer_unordered(at_once).count().await;
    start.elapsed()
}
