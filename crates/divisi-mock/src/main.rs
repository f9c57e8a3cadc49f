//! The mock as a program, for benchmarks and for experiments by hand.

use clap::Parser;
use divisi_mock::{Config, Fault, FaultRate, Mock, Quota, QuotaAnswer};
use std::error::Error;
use std::path::PathBuf;

/// A mock of the Anthropic and OpenAI APIs over real HTTP.
///
/// Prints its address, then answers until it is stopped. Without options it
/// answers every valid request at once with a text that depends on the prompt.
#[derive(Parser)]
#[command(name = "divisi-mock", version, max_term_width = 100)]
struct Arguments {
    /// The port on the loopback interface; 0 takes a free one
    #[arg(long, default_value_t = 0)]
    port: u16,

    /// A JSON file with rules, limits and everything else; the options below change it
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,

    /// The time until an answer begins
    #[arg(long, value_name = "MS")]
    latency_ms: Option<u64>,

    /// The time between two events of a stream
    #[arg(long, value_name = "MS")]
    chunk_ms: Option<u64>,

    /// The time until an answer ends, instead of --chunk-ms
    #[arg(long, value_name = "MS")]
    total_ms: Option<u64>,

    /// A key that is let in; can be repeated. Without it every key is, and none is needed
    #[arg(long = "key", value_name = "KEY")]
    keys: Vec<String>,

    /// A fault and the share of requests it strikes, such as overloaded=0.05; can be repeated
    #[arg(long = "fault", value_name = "NAME=RATE", value_parser = fault_rate)]
    faults: Vec<FaultRate>,

    /// Decides which requests faults strike
    #[arg(long, value_name = "N")]
    seed: Option<u64>,

    /// The rate limit of each model, in requests
    #[arg(long, value_name = "N")]
    requests_per_second: Option<f64>,

    /// How many requests may come at once under --requests-per-second
    #[arg(long, value_name = "N")]
    requests_burst: Option<u32>,

    /// The rate limit of each model, in input tokens
    #[arg(long, value_name = "N")]
    input_tokens_per_minute: Option<u64>,

    /// The rate limit of each model, in output tokens
    #[arg(long, value_name = "N")]
    output_tokens_per_minute: Option<u64>,

    /// Money runs out after this many requests, until POST /control/quota {"open": true}
    #[arg(long, value_name = "N")]
    quota_after: Option<u64>,

    /// How many requests GET /requests shows; 0 keeps no bodies, for benchmarks
    #[arg(long, value_name = "N")]
    requests_kept_max: Option<usize>,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments = Arguments::parse();
    let port = arguments.port;
    let mock = Mock::bind(port, arguments.into_config()?).await?;
    announce(&mock.url());
    mock.serve().await;
    Ok(())
}

#[expect(
    clippy::print_stdout,
    reason = "the address is the result of this program"
)]
fn announce(url: &str) {
    println!("listening on {url}");
}

fn fault_rate(text: &str) -> Result<FaultRate, Box<dyn Error + Send + Sync>> {
    let (fault, rate) = text.split_once('=').ok_or("write it as NAME=RATE")?;
    let rate: f64 = rate.parse()?;
    if !(0.0..=1.0).contains(&rate) {
        return Err("the rate is a number from 0 to 1".into());
    }
    Ok(FaultRate {
        fault: fault.parse::<Fault>()?,
        rate,
    })
}

impl Arguments {
    /// The file's configuration with the options that were given.
    fn into_config(self) -> Result<Config, Box<dyn Error>> {
        let mut config = match &self.config {
            Some(path) => {
                read(path).map_err(|error| format!("cannot read {}: {error}", path.display()))?
            }
            None => Config::default(),
        };
        config.keys.extend(self.keys);
        config.fault_rates.faults.extend(self.faults);
        replace(&mut config.fault_rates.seed, self.seed);
        replace(&mut config.latency.first_byte_ms, self.latency_ms);
        replace(&mut config.latency.chunk_ms, self.chunk_ms);
        replace(&mut config.limits.requests_burst, self.requests_burst);
        replace(&mut config.requests_kept_max, self.requests_kept_max);
        config.latency.total_ms = self.total_ms.or(config.latency.total_ms);
        let limits = &mut config.limits;
        limits.requests_per_second = self.requests_per_second.or(limits.requests_per_second);
        limits.input_tokens_per_minute = self
            .input_tokens_per_minute
            .or(limits.input_tokens_per_minute);
        limits.output_tokens_per_minute = self
            .output_tokens_per_minute
            .or(limits.output_tokens_per_minute);
        let quota = self.quota_after.map(|after| Quota {
            after,
            answer: QuotaAnswer::default(),
            closed_ms: None,
            told: false,
        });
        config.quota = quota.or(config.quota);
        Ok(config)
    }
}

fn read(path: &PathBuf) -> Result<Config, Box<dyn Error>> {
    Ok(serde_json::from_slice(&std::fs::read(path)?)?)
}

fn replace<T>(value: &mut T, given: Option<T>) {
    if let Some(given) = given {
        *value = given;
    }
}
