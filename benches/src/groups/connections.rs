//! The cost of a call at growing numbers of connections, and the most connections opened.

use crate::bench::{Bench, best_of_both};
use crate::groups::FAN_OUT;
use crate::stand::connections::Connections;
use crate::stand::machine::{Body, Machine};
use crate::stand::mock::MockProcess;
use crate::table::{Aim, Figure};
use anyhow::Result;
use divisi_mock::{Config, Latency};

/// Most connections of a process to a vendor.
const CONNECTIONS_MAX: f64 = 256.0;

pub(crate) fn measure(bench: &mut Bench) -> Result<()> {
    let body = Body::of(bench, FAN_OUT)?;
    most_open(bench, &body)?;
    const CALLS: usize = 4_000;
    let mock = MockProcess::start(&Config {
        requests_kept_max: 0,
        ..Config::default()
    })?;
    for at_once in [64, 256, 1_000] {
        let jobs = at_once.to_string();
        let (bare, ours) = best_of_both(bench.rounds, || {
            let bare = body.send(&mock.url(), &[CALLS], at_once)?;
            mock.reset()?;
            let ours = Machine::new(bench, mock.url())?.run(FAN_OUT, CALLS, &["--jobs", &jobs])?;
            mock.reset()?;
            Ok(((bare.wall, bare.cpu), (ours.wall, ours.cpu)))
        })?;
        let call = |total| Figure::micros_each(total, CALLS);
        bench.table.row(
            &format!("time of a call, {at_once} at once"),
            call(ours.0),
            Some(call(bare.0)),
            Aim::Open,
        );
        let what = format!("processor time of a call, {at_once} at once");
        bench
            .table
            .row(&what, call(ours.1), Some(call(bare.1)), Aim::Open);
    }
    Ok(())
}

/// The most connections for 2,000 calls, which the loop makes all at once.
fn most_open(bench: &mut Bench, body: &Body) -> Result<()> {
    const CALLS: usize = 2_000;
    let latency = Latency {
        first_byte_ms: 200,
        ..Latency::default()
    };
    let mock = MockProcess::start(&Config {
        latency,
        requests_kept_max: 0,
        ..Config::default()
    })?;
    let bare = {
        let connections = Connections::to(mock.address());
        body.send(&mock.url(), &[CALLS], CALLS)?;
        connections.most()
    };
    let connections = Connections::to(mock.address());
    let ours = Machine::new(bench, mock.url())?.run(FAN_OUT, CALLS, &[])?;
    let [most, bare] = [connections.most(), bare].map(|count| Figure::count(count as u64));
    let what = "most connections, 2,000 calls, by default";
    bench
        .table
        .row(what, most, Some(bare), Aim::AtMost(CONNECTIONS_MAX));
    bench.table.row(
        "2,000 × 200 ms, by default",
        Figure::seconds(ours.wall),
        None,
        Aim::Open,
    );
    Ok(())
}
