//! Tokio tasks over a channel, and the same with their results in a log.

use anyhow::{Result, ensure};
use std::path::Path;
use tokio::io::AsyncWriteExt;
use tokio::sync::mpsc;

/// Starts `tasks` tokio tasks, `at_once` at a time, and collects their results.
pub(crate) async fn in_memory(tasks: usize, at_once: usize) -> Result<()> {
    let (results, mut collected) = mpsc::unbounded_channel();
    let start = |i: usize| {
        let results = results.clone();
        tokio::spawn(async move { results.send(format!("result of task {i}")).is_ok() });
    };
    let mut started = tasks.min(at_once);
    (0..started).for_each(start);
    for _ in 0..tasks {
        ensure!(collected.recv().await.is_some(), "a task has not ended");
        if started < tasks {
            start(started);
            started += 1;
        }
    }
    Ok(())
}

/// The same with each result appended to a file that is synced in groups.
pub(crate) async fn durable(tasks: usize, at_once: usize, folder: &Path) -> Result<()> {
    let mut log = tokio::fs::File::create(folder.join("log")).await?;
    let (results, mut collected) = mpsc::unbounded_channel();
    let start = |i: usize| {
        let results = results.clone();
        tokio::spawn(async move {
            results
                .send(format!(
                    "{{\"task\":{i},\"result\":\"result of task {i}\"}}\n"
                ))
                .is_ok()
        });
    };
    let mut started = tasks.min(at_once);
    (0..started).for_each(start);
    let (mut done, mut group) = (0, vec![]);
    while done < tasks {
        let got = collected.recv_many(&mut group, at_once).await;
        let text: String = group.drain(..).collect();
        log.write_all(text.as_bytes()).await?;
        log.sync_data().await?;
        done += got;
        let next = started + got.min(tasks - started);
        (started..next).for_each(start);
        started = next;
    }
    Ok(())
}
