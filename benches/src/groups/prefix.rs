//! 100 tasks over one prefix of 20,000 tokens, with a second to the first byte.

use crate::bench::{Bench, best};
use crate::stand::machine::{Body, Machine};
use crate::stand::mock::MockProcess;
use crate::table::{Aim, Figure};
use anyhow::Result;
use divisi_mock::{Config, Latency, Price, Reply, Rule, Stats, Tokens, When};

const SHARED_CONTEXT: &str = include_str!("../../flows/shared_context.js");

const TASKS: usize = 100;

/// The model, and its list prices in picodollars per token.
const MODEL: &str = "claude-sonnet-5-5";
const PRICE: Price = Price {
    input: 2_000_000,
    cache_write_short: 2_500_000,
    cache_write_long: 4_000_000,
    cache_read: 100_000,
    output: 10_000_000,
};

pub(crate) fn measure(bench: &mut Bench) -> Result<()> {
    let latency = Latency {
        first_byte_ms: 1_000,
        ..Latency::default()
    };
    let config = Config {
        latency,
        prices: [(MODEL.to_owned(), PRICE)].into(),
        requests_kept_max: 0,
        ..Config::default()
    };
    let config = config.rule(Rule::new(When::any(), Reply::text("At dawn.")));
    let mock = MockProcess::start(&config)?;
    let body = Body::of(bench, SHARED_CONTEXT)?;
    let bare = body.send(&mock.url(), &[TASKS], TASKS)?;
    let bare_bill = mock.stats()?.cost_pico;

    let mut bill = (0, 0);
    let wall = best(bench.rounds, || {
        mock.reset()?;
        let args = ["--model", MODEL];
        let ours = Machine::new(bench, mock.url())?.run(SHARED_CONTEXT, TASKS, &args)?;
        let stats = mock.stats()?;
        bill = (stats.cost_pico, optimum(&stats));
        Ok(ours.wall)
    })?;
    let [paid, optimum, bare_bill] = [bill.0, bill.1, bare_bill].map(Figure::pico_dollars);
    bench.table.row("bill", paid, Some(bare_bill), Aim::Open);
    bench.table.row(
        "bill over the optimum",
        paid.over(optimum),
        Some(bare_bill.over(optimum)),
        Aim::AtMost(1.02),
    );
    bench.table.row(
        "makespan",
        Figure::seconds(wall),
        Some(Figure::seconds(bare.wall)),
        Aim::AtMost(2.1),
    );
    Ok(())
}

/// The cost of the same tokens if the common part is written once and read by all other requests.
/// Only the question of each task is not common.
fn optimum(stats: &Stats) -> u128 {
    let Tokens {
        input,
        cache_write_short,
        cache_read,
        output,
        ..
    } = stats.tokens;
    let question = |i: usize| {
        format!("About task {i}: when does the gate open?")
            .len()
            .div_ceil(4) as u64
    };
    let own: u64 = (0..TASKS).map(question).sum();
    let shared = (input + cache_write_short + cache_read - own) / TASKS as u64;
    let reads = TASKS as u64 - 1;
    let rest = own * PRICE.input + output * PRICE.output;
    u128::from(rest + shared * PRICE.cache_write_short + shared * reads * PRICE.cache_read)
}
