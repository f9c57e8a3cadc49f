//! The same question about several things at once, with the vendor whose key is set.
//!
//! ```sh
//! ANTHROPIC_API_KEY=… cargo run -p divisi-engine --example fan_out -- auth payment user
//! ```

#![allow(clippy::print_stdout, reason = "a program that writes to stdout")]

use divisi_engine::core::event::Caps;
use divisi_engine::core::{PicoUsd, Task};
use divisi_engine::patterns::fan_out;
use divisi_engine::store::MemoryStore;
use divisi_engine::{Engine, Models, RunOptions, Setup};
use std::error::Error;
use std::sync::Arc;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let modules: Vec<String> = std::env::args().skip(1).collect();
    let engine = Engine::new(Arc::new(MemoryStore::new()));
    let setup = Setup::new(Models::from_env()?, ".");
    // At half a dollar the run parks, and nothing more is sent.
    let options = RunOptions::default().caps(Caps::of(PicoUsd::parse_dollars("0.50")));
    let job = engine.open("audit", setup, options).await?;

    let tasks = modules.iter().map(|module| {
        let prompt = format!("What could go wrong in a module called `{module}`? One sentence.");
        Task::new(prompt).model("haiku").label(module.as_str())
    });
    let reports = fan_out(&job, tasks).await;
    for (module, report) in modules.iter().zip(&reports) {
        match report.text() {
            Ok(answer) => println!("{module}: {answer} ({})", report.cost),
            // A failed task does not affect the others.
            Err(failure) => println!("{module}: {failure}"),
        }
    }
    let done = reports
        .iter()
        .filter(|report| report.value().is_ok())
        .count();
    job.finish(done.into()).await?;
    Ok(())
}
