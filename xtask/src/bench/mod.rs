// SPDX-License-Identifier: Apache-2.0
//! `cargo xtask bench`: Sabir in release, under load from another process, beside the machine's own limits and, where
//! asked, beside real peers. `docs/bench.md` says how to read the table.
//!
//! ```text
//!   rows       what is measured, and what Sabir promises
//!   limits     what the machine can do at best
//!   broker     Sabir or a peer as a process; the load as a process
//!   interface  what the plugin interface costs
//!   process    CPU time and memory of a process
//!   peers      how each peer is started
//!   load       the load itself
//!   table      the results
//! ```

pub mod broker;
mod interface;
mod limits;
mod load;
mod peers;
mod process;
mod rows;
mod table;

pub use load::load;

use crate::workspace::{Built, Metadata, Profile, build_broker, cargo, gather, succeed};
use anyhow::{Context, Result, ensure};
use broker::Broker;
use limits::SyncProbe;
use peers::Peer;
use rows::{Figure, Place, Programs, Row, Times, rows};
use std::path::PathBuf;
use std::time::Duration;
use table::Samples;

/// How long the disk is asked before and after a row.
const SYNCS_FOR: Duration = Duration::from_millis(400);

/// What `cargo xtask bench` takes.
#[derive(clap::Args)]
pub struct BenchArguments {
    /// Only the rows that Sabir is held to, and short
    #[arg(long)]
    quick: bool,
    /// Only rows whose name contains this; repeatable
    #[arg(long = "row", value_name = "NAME")]
    rows: Vec<String>,
    /// Also this peer, from Debian's packages; repeatable
    #[arg(long = "peer", value_enum)]
    peers: Vec<Peer>,
    /// Rounds, of which medians are taken
    #[arg(long, value_name = "COUNT", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    repeat: u32,
    /// Write all figures to this file as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// List the rows and do nothing
    #[arg(long)]
    list: bool,
    /// Take what was built before
    #[arg(long)]
    no_build: bool,
    /// Only peers, without Sabir: to try the load itself
    #[arg(long, requires = "peers")]
    only_peers: bool,
}

/// Measures and prints.
pub fn bench(arguments: &BenchArguments) -> Result<()> {
    let chosen = choose(arguments);
    ensure!(!chosen.is_empty(), "no row has such a name; --list shows all");
    if arguments.list {
        chosen.iter().for_each(|row| println!("{}", row.name));
        return Ok(());
    }
    // Before minutes are spent on building.
    arguments.peers.iter().try_for_each(|peer| peer.check())?;
    let metadata = Metadata::read()?;
    let (built, programs) = build(arguments, &metadata)?;
    raise_file_limit()?;
    // On the same disk as the sources: a folder in memory would make every sync free.
    let under = metadata.target_directory.join("bench");
    let probe = SyncProbe::new(&under)?;
    let mut samples = Samples::default();
    let mut brokers = Vec::new();
    if let Some(built) = &built {
        brokers.push(Broker::sabir(built, &under)?);
    }
    for peer in &arguments.peers {
        eprintln!("starting {peer:?}");
        brokers.push(peer.start(&under)?);
    }
    let times = match arguments.quick {
        true => Times { warm_up_ms: 400, measure_ms: 1200 },
        false => Times { warm_up_ms: 500, measure_ms: 2000 },
    };
    for broker in &brokers {
        let costs_us = rows::warm_up(broker, &programs.load, times.measure_ms)?;
        let costs_us: Vec<String> = costs_us.iter().map(|cost| format!("{cost:.0}")).collect();
        eprintln!("{} is warm: CPU µs a message {}", broker.name, costs_us.join(", "));
        samples.add_broker(broker.about());
    }
    for round in 0..arguments.repeat {
        samples.add_limits(limits::measure(&probe, Duration::from_millis(times.measure_ms / 2))?);
        for row in &chosen {
            // Brokers take turns row by row, so that a busy moment of the machine meets them all.
            for broker in brokers.iter().filter(|broker| takes_part(broker, row, round, arguments.quick)) {
                eprintln!("round {} of {}: {} on {}", round + 1, arguments.repeat, row.name, broker.name);
                let place = Place { programs: &programs, under: &under, built: built.as_ref(), times, round };
                for figure in measure(row, broker, &place, &probe)? {
                    samples.add(&row.name, figure.metric, broker.name, figure.value);
                }
            }
        }
    }
    samples.print();
    if let Some(path) = &arguments.json {
        std::fs::write(path, serde_json::to_vec_pretty(&samples.json())?)
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    let missed = samples.missed();
    ensure!(missed.is_empty(), "less than promised: {}", missed.join("; "));
    Ok(())
}

/// Rows that start brokers of their own are Sabir's, repeat within themselves, and so are measured once where time is short.
fn takes_part(broker: &Broker, row: &Row, round: u32, quick: bool) -> bool {
    row.is_shared() || (broker.name == "sabir" && (round == 0 || !quick))
}

/// Measures a row on a broker, and where the disk bears on it, the disk right before and right after.
fn measure(row: &Row, broker: &Broker, place: &Place<'_>, probe: &SyncProbe) -> Result<Vec<Figure>> {
    if !row.syncs() {
        return row.measure(broker, place);
    }
    let before_per_s = probe.rate(SYNCS_FOR)?;
    let mut figures = row.measure(broker, place)?;
    rows::beside_syncs(&mut figures, before_per_s, probe.rate(SYNCS_FOR)?);
    Ok(figures)
}

fn choose(arguments: &BenchArguments) -> Vec<Row> {
    rows()
        .into_iter()
        .filter(|row| match arguments.rows.as_slice() {
            [] => !arguments.quick || row.promised,
            names => names.iter().any(|name| row.name.contains(name.as_str())),
        })
        .collect()
}

/// The broker and the other programs in release.
fn build(arguments: &BenchArguments, metadata: &Metadata) -> Result<(Option<Built>, Programs)> {
    let release = metadata.target_directory.join("release");
    let programs = Programs { load: release.join("xtask"), echo: release.join("transport-cost") };
    if !arguments.no_build {
        succeed(cargo().args(["build", "--locked", "--release", "--package", "xtask"]))?;
    }
    if arguments.only_peers {
        return Ok((None, programs));
    }
    if !arguments.no_build {
        succeed(cargo().args([
            "build",
            "--locked",
            "--release",
            "--package",
            "sabir-tests",
            "--bin",
            "transport-cost",
        ]))?;
    }
    let built = match arguments.no_build {
        true => gather(metadata, Profile::Release)?,
        false => build_broker(metadata, Profile::Release)?,
    };
    Ok((Some(built), programs))
}

/// Ten thousand connections need as many files, on both sides; children inherit the limit.
fn raise_file_limit() -> Result<()> {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit).context("cannot raise the number of open files")
}
