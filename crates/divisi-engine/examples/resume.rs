//! A run that continues after a kill: answered requests are not sent again.
//!
//! ```sh
//! ANTHROPIC_API_KEY=… cargo run -p divisi-engine --example resume -- runs.db
//! # kill it with Ctrl-C or `kill -9`, and run the same line again
//! ```

#![allow(clippy::print_stdout, reason = "a program that writes to stdout")]

use divisi_engine::core::Task;
use divisi_engine::store::{SqliteStore, Store};
use divisi_engine::{Engine, Models, RunOptions, Setup};
use std::error::Error;
use std::sync::Arc;

const CHAPTERS: [&str; 4] = ["the harbour", "the storm", "the island", "the way home"];

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let path = std::env::args()
        .nth(1)
        .ok_or("name the file in which runs are kept")?;
    let store = Arc::new(SqliteStore::open(path)?);
    // A run without an end was interrupted, or is parked.
    let unfinished = |status: &str| matches!(status, "running" | "parked");
    let earlier = store
        .runs(1)
        .await?
        .into_iter()
        .find(|run| unfinished(&run.status));

    let engine = Engine::new(store);
    let setup = Setup::new(Models::from_env()?, ".");
    let options = RunOptions::default();
    let job = match &earlier {
        Some(run) => engine.reopen_job(&run.id, setup, options).await?,
        None => engine.open("story", setup, options).await?,
    };
    println!(
        "run {}{}",
        job.handle().id(),
        if earlier.is_some() { ", again" } else { "" }
    );

    let mut story = String::new();
    for chapter in CHAPTERS {
        // A task that was answered before gets its answer at once and free.
        let prompt = format!("Go on with this story by one sentence, about {chapter}: {story}");
        let sentence = job
            .run(Task::new(prompt).model("haiku").label(chapter))
            .await
            .text()?;
        println!("{chapter}: {sentence}");
        story = format!("{story} {sentence}");
    }
    job.finish(story.into()).await?;
    Ok(())
}
