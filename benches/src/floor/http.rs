//! A bare loop of reqwest calls, as a separate process.

use anyhow::{Context, Result, bail};
use futures::StreamExt;
use std::collections::BTreeMap;
use std::io::Write;
use std::path::PathBuf;

/// Placeholder in the body for the number of the request.
pub(crate) const NUMBER: &str = "{number}";

/// Used as the status of an incomplete answer.
pub(crate) const BROKEN: u16 = 0;

/// A bare loop over HTTP.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The server
    #[arg(long)]
    url: String,
    /// A file with the body of every request
    #[arg(long)]
    body: PathBuf,
    /// Requests of each stage; a stage begins when the previous one has ended
    #[arg(long, value_delimiter = ',')]
    stages: Vec<usize>,
    /// Requests at once
    #[arg(long)]
    at_once: usize,
}

/// Sends all requests, reads every answer to its end, and prints the number of answers by status.
pub(crate) fn run(args: &Args) -> Result<()> {
    let body = std::fs::read_to_string(&args.body)
        .with_context(|| format!("cannot read {}", args.body.display()))?;
    let statuses = tokio::runtime::Runtime::new()?.block_on(send(args, &body))?;
    writeln!(std::io::stdout(), "{}", serde_json::to_string(&statuses)?)?;
    Ok(())
}

async fn send(args: &Args, body: &str) -> Result<BTreeMap<u16, u64>> {
    let Some((before, after)) = body.split_once(NUMBER) else {
        bail!("the body has no {NUMBER} in it")
    };
    divisi_mock::choose_encryption();
    let client = reqwest::Client::new();
    let url = format!("{}/v1/messages", args.url);
    let mut statuses = BTreeMap::new();
    let mut first = 0;
    for requests in &args.stages {
        let one = |i: usize| {
            let request = client
                .post(&url)
                .header("content-type", "application/json")
                .header("anthropic-version", "2023-06-01")
                .header("x-api-key", "bench")
                .body(format!("{before}{i}{after}"));
            async move {
                let Ok(response) = request.send().await else {
                    return BROKEN;
                };
                let status = response.status().as_u16();
                response.bytes().await.map_or(BROKEN, |_| status)
            }
        };
        let mut answers = futures::stream::iter((first..first + requests).map(one))
            .buffer_unordered(args.at_once);
        while let Some(status) = answers.next().await {
            *statuses.entry(status).or_default() += 1;
        }
        first += requests;
    }
    Ok(statuses)
}
