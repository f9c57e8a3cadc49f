//! Watches the run of a script: every event as it becomes durable, and signals in between.
//!
//! ```sh
//! cargo run -p divisi-engine --example watch_events
//! ```

#![allow(clippy::print_stdout, reason = "a program that writes to stdout")]

use divisi_engine::core::{Event, Position, Run};
use divisi_engine::store::MemoryStore;
use divisi_engine::{Engine, Flow, Models, RunOptions, Setup};
use divisi_providers::Scripted;
use std::error::Error;
use std::sync::Arc;

const FLOW: &str = "
phase('Look')
const found = await parallel(['auth', 'payment'].map((name) => () => agent(`Look at ${name}`)))
phase('Sum up')
return agent(`Sum up: ${found.join(' ')}`)
";

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let models = Models::one(
        Arc::new(Scripted::demo()),
        &[("sonnet", "demo-sonnet")],
        &["*"],
    );
    let engine = Engine::new(Arc::new(MemoryStore::new()));
    let options = RunOptions::default();
    let run = engine
        .start(Flow::script("look", FLOW), Setup::new(models, "."), options)
        .await?;

    // Applying the same events elsewhere gives the same state.
    let mut seen = Run::new();
    let mut subscription = engine.subscribe(run.id(), Position::default());
    while let Some(events) = subscription.next().await? {
        for recorded in &events[..] {
            seen.apply(recorded.at, &recorded.event)?;
            match &recorded.event {
                Event::PhaseStarted { title, .. } => println!("{title}"),
                Event::TaskSubmitted(submitted) => println!("  {} is asked for", submitted.task),
                Event::TaskEnded { task, .. } => println!("  {task} has ended"),
                _ => {}
            }
        }
    }
    let finished = run.finished().await?;
    assert_eq!(seen.counts(), finished.run.counts(), "it is the same run");
    println!("{}", finished.result.ok_or("it has no result")??);
    Ok(())
}
