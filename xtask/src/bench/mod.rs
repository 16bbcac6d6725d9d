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
//!   java       another load: the stock ActiveMQ client, beside the ActiveMQ of Maven Central
//!   table      the results
//! ```

pub mod broker;
mod interface;
mod java;
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
use java::{JavaLoad, JavaPrograms};
use limits::SyncProbe;
use peers::Peer;
use rows::{Figure, Metric, Place, Programs, Row, Times, rows};
use std::path::{Path, PathBuf};
use std::time::Duration;
use table::Samples;

/// How long the disk is asked before and after a row.
const SYNCS_FOR: Duration = Duration::from_millis(400);

/// And how long at the pace of a row that has one: percentiles take many syncs.
const PACED_SYNCS_FOR: Duration = Duration::from_millis(1500);

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
    /// What sends and receives
    #[arg(long, value_enum, default_value_t = Client::Stomp)]
    client: Client,
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

/// What sends and receives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Client {
    /// A lean client of our own
    Stomp,
    /// The stock ActiveMQ client over OpenWire, on Sabir and on the ActiveMQ of Maven Central
    Java,
}

/// Measures and prints.
pub fn bench(arguments: &BenchArguments) -> Result<()> {
    let chosen = choose(arguments);
    ensure!(!chosen.is_empty(), "no row has such a name; --list shows all");
    if arguments.list {
        chosen.iter().for_each(|row| println!("{}", row.name));
        return Ok(());
    }
    ensure!(
        arguments.client == Client::Stomp || arguments.peers.is_empty(),
        "peers from Debian's packages take the load that speaks STOMP; the Java client has its ActiveMQ already"
    );
    // Before minutes are spent on building.
    arguments.peers.iter().try_for_each(|peer| peer.check())?;
    let metadata = Metadata::read()?;
    let (built, programs) = build(arguments, &metadata)?;
    raise_file_limit()?;
    // On the same disk as the sources: a folder in memory would make every sync free.
    let under = metadata.target_directory.join("bench");
    let probe = SyncProbe::new(&under)?;
    let mut samples = Samples::default();
    let java = java_load(arguments)?;
    let brokers = start(arguments, built.as_ref(), java.as_ref(), &under)?;
    let times = match arguments.quick {
        true => Times { warm_up_ms: 400, measure_ms: 1200 },
        false => Times { warm_up_ms: 500, measure_ms: 2000 },
    };
    let costs_us = match &java {
        Some((_, load)) => java::warm_up(&brokers, load, times.measure_ms)?,
        None => {
            let warm_up = |broker| rows::warm_up(broker, &programs.load, times.measure_ms);
            brokers.iter().map(warm_up).collect::<Result<_>>()?
        }
    };
    for (broker, costs_us) in brokers.iter().zip(costs_us) {
        let costs_us: Vec<String> = costs_us.iter().map(|cost| format!("{cost:.0}")).collect();
        eprintln!("{} is warm: CPU µs a message {}", broker.name, costs_us.join(", "));
        samples.add_broker(broker.about());
    }
    let place = |round| Place {
        programs: &programs,
        under: &under,
        built: built.as_ref(),
        java: java.as_ref(),
        times,
        round,
    };
    for round in 0..arguments.repeat {
        samples.add_limits(limits::measure(&probe, Duration::from_millis(times.measure_ms / 2))?);
        for row in &chosen {
            // Brokers take turns row by row, so that a busy moment of the machine meets them all.
            for broker in brokers.iter().filter(|broker| takes_part(broker, row, round, arguments.quick)) {
                eprintln!("round {} of {}: {} on {}", round + 1, arguments.repeat, row.name, broker.name);
                for figure in measure(row, broker, &place(round), &probe)? {
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

/// Some rows are Sabir's alone. Those repeat within themselves, and so are measured once where time is short; long ones
/// always are.
fn takes_part(broker: &Broker, row: &Row, round: u32, quick: bool) -> bool {
    let again = round == 0 || !(row.is_long() || (quick && !row.is_shared()));
    again && (row.is_shared() || broker.name == "sabir")
}

/// Measures a row on a broker, and where the disk bears on it, the disk right before and right after.
fn measure(row: &Row, broker: &Broker, place: &Place<'_>, probe: &SyncProbe) -> Result<Vec<Figure>> {
    if !row.syncs() {
        return row.measure(broker, place);
    }
    let before = probe.syncs(SYNCS_FOR)?;
    let mut figures = row.measure(broker, place)?;
    let after = probe.syncs(SYNCS_FOR)?;
    rows::beside_syncs(&mut figures, before, after);
    if let Some(senders) = row.waiting() {
        let round_trips_per_s = limits::round_trips(SYNCS_FOR)?;
        rows::beside_waiting(&mut figures, senders, [before, after], round_trips_per_s);
    }
    if let Some(per_s) = row.pace() {
        let value = probe.paced_p99_us(per_s, PACED_SYNCS_FOR)?;
        figures.push(Figure { metric: Metric::DiskP99Us, value });
    }
    Ok(figures)
}

/// The Java client and its programs, if it is the load.
fn java_load(arguments: &BenchArguments) -> Result<Option<(JavaPrograms, JavaLoad)>> {
    if arguments.client != Client::Java {
        return Ok(None);
    }
    let programs = JavaPrograms::build(!arguments.no_build)?;
    let load = programs.start_load()?;
    eprintln!("the load is activemq-client {}", load.client);
    Ok(Some((programs, load)))
}

/// Sabir, and the peers that were asked for; for the Java client, the ActiveMQ that Maven brought.
fn start(
    arguments: &BenchArguments,
    built: Option<&Built>,
    java: Option<&(JavaPrograms, JavaLoad)>,
    under: &Path,
) -> Result<Vec<Broker>> {
    let mut brokers = Vec::new();
    if let Some(built) = built {
        brokers.push(Broker::sabir(built, under)?);
    }
    if let Some((programs, _)) = java {
        eprintln!("starting ActiveMQ");
        brokers.push(programs.start_activemq(under)?);
    }
    for peer in &arguments.peers {
        eprintln!("starting {peer:?}");
        brokers.push(peer.start(under)?);
    }
    Ok(brokers)
}

fn choose(arguments: &BenchArguments) -> Vec<Row> {
    let rows = match arguments.client {
        Client::Stomp => rows(),
        Client::Java => java::rows(),
    };
    rows.into_iter()
        .filter(|row| match arguments.rows.as_slice() {
            [] => !arguments.quick || row.is_quick(),
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
