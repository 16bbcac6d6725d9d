// SPDX-License-Identifier: Apache-2.0
//! What is measured: the rows of the table, and what Sabir promises in some of them.

use super::broker::{Broker, Running, run};
use super::java::{self, JavaLoad, JavaPrograms, JmsRow};
use super::limits::Syncs;
use super::load::{Load, Pace};
use crate::workspace::Built;
use anyhow::{Context, Result, ensure};
use std::path::{Path, PathBuf};
use std::time::Duration;

const MB: f64 = 1e6;
/// Messages of the backlog, and bytes of each.
const BACKLOG_MESSAGES: u64 = 1_000_000;
const BACKLOG_SIZE_BYTES: usize = 256;
/// Messages of the deep backlog.
const DEEP_MESSAGES: u64 = 10_000_000;
/// How often it is looked at how much memory there is, and how long apart: what is given back is given back late.
const LOOKS: u32 = 5;
const LOOK_EVERY: Duration = Duration::from_millis(300);
/// Connections that do nothing.
const IDLE_CONNECTIONS: usize = 10_000;
/// The most rounds of warming up.
const WARM_UP_ROUNDS: usize = 10;
/// Starts whose time is taken.
const STARTS: usize = 5;

/// A row, or a few that one run gives together.
#[derive(Clone, Debug)]
pub struct Row {
    pub name: String,
    pub kind: Kind,
    /// Whether it is one of the rows that Sabir is held to; `--quick` runs these alone, save for one that takes minutes.
    pub promised: bool,
}

/// How a row is measured.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    Flood {
        producers: usize,
        consumers: usize,
        size_bytes: usize,
        window: usize,
        persistent: bool,
    },
    Paced {
        per_s: u64,
    },
    Backlog,
    /// Ten times as many messages, in the memory of the others.
    DeepBacklog,
    Start,
    Idle,
    Interface,
    /// By the Java client.
    Jms(JmsRow),
    /// By the Java client, on brokers of their own.
    JmsBacklog,
}

/// A figure of a row.
#[derive(Clone, Copy, Debug)]
pub struct Figure {
    pub metric: Metric,
    pub value: f64,
}

/// What a figure counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Metric {
    MessagesPerS,
    MessagesPerSync,
    SyncsBefore,
    SyncsAfter,
    CpuUsPerMessage,
    KernelUsPerMessage,
    LoadCpuUsPerMessage,
    LoadBusyPercent,
    DiskAllowsPerS,
    SyncCpuUs,
    DiskP99Us,
    P50Us,
    P99Us,
    P999Us,
    FillPerS,
    FilledMb,
    PeakMb,
    DrainPerS,
    ReadyMs,
    RestartMs,
    IdleMb,
    ConnectionKib,
    AgainstDirect,
    AgainstMillion,
}

impl Metric {
    /// Its name in the table.
    pub fn name(self) -> &'static str {
        match self {
            Metric::MessagesPerS => "messages/s",
            Metric::MessagesPerSync => "messages per 4 KiB sync",
            Metric::SyncsBefore => "4 KiB syncs/s just before",
            Metric::SyncsAfter => "4 KiB syncs/s just after",
            Metric::CpuUsPerMessage => "CPU µs/message",
            Metric::KernelUsPerMessage => "CPU µs/message in the kernel",
            Metric::LoadCpuUsPerMessage => "CPU µs/message of the load",
            Metric::LoadBusyPercent => "% that the load was busy",
            Metric::DiskAllowsPerS => "messages/s that disk and loopback allow",
            Metric::SyncCpuUs => "CPU µs of a bare sync for each sender",
            Metric::DiskP99Us => "p99 µs of a 4 KiB sync at this pace",
            Metric::P50Us => "p50 µs",
            Metric::P99Us => "p99 µs",
            Metric::P999Us => "p99.9 µs",
            Metric::FillPerS => "fill messages/s",
            Metric::FilledMb => "memory when full MB",
            Metric::PeakMb => "memory peak MB",
            Metric::DrainPerS => "drain messages/s",
            Metric::ReadyMs => "start to ready ms",
            Metric::RestartMs => "crash to first message ms",
            Metric::IdleMb => "memory idle MB",
            Metric::ConnectionKib => "memory per connection KiB",
            Metric::AgainstDirect => "CPU per round trip against tokio directly",
            Metric::AgainstMillion => "memory when full against 1,000,000",
        }
    }

    /// Whether more is better.
    pub fn is_rate(self) -> bool {
        match self {
            Metric::MessagesPerS | Metric::MessagesPerSync | Metric::FillPerS | Metric::DrainPerS => true,
            Metric::SyncsBefore | Metric::SyncsAfter => true,
            Metric::CpuUsPerMessage | Metric::KernelUsPerMessage | Metric::LoadCpuUsPerMessage => false,
            Metric::LoadBusyPercent => false,
            Metric::DiskAllowsPerS => true,
            Metric::SyncCpuUs | Metric::DiskP99Us | Metric::P50Us | Metric::P99Us | Metric::P999Us => false,
            Metric::FilledMb | Metric::PeakMb | Metric::IdleMb | Metric::ConnectionKib => false,
            Metric::ReadyMs | Metric::RestartMs => false,
            Metric::AgainstDirect | Metric::AgainstMillion => false,
        }
    }

    /// Whether it tells of the machine or the load, so that brokers cannot be compared by it.
    pub fn is_beside(self) -> bool {
        let of_load = [Metric::LoadCpuUsPerMessage, Metric::LoadBusyPercent];
        let of_disk = [Metric::SyncsBefore, Metric::SyncsAfter, Metric::DiskP99Us];
        let of_both = [Metric::DiskAllowsPerS, Metric::SyncCpuUs];
        of_load.contains(&self) || of_disk.contains(&self) || of_both.contains(&self)
    }
}

/// A row that Sabir is held to.
#[derive(Clone, Copy)]
pub struct Promise {
    pub row: &'static str,
    pub metric: Metric,
    pub at_least: f64,
    /// `None`: the least is all that is promised.
    pub aim: Option<f64>,
    pub unit: Unit,
}

/// What a promise's numbers are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// The metric's own.
    Own,
    /// Times the better peer of the same run.
    OfBestPeer,
}

const fn promise(row: &'static str, metric: Metric, at_least: f64, aim: f64) -> Promise {
    Promise { row, metric, at_least, aim: Some(aim), unit: Unit::Own }
}

/// The row by which brokers are compared.
const MAIN: &str = "persistent-4x4-1k-w256";

/// What Sabir is held to.
const PROMISES: &[Promise] = &[
    promise(MAIN, Metric::MessagesPerS, 150_000.0, 400_000.0),
    Promise { row: MAIN, metric: Metric::MessagesPerS, at_least: 8.0, aim: None, unit: Unit::OfBestPeer },
    promise(MAIN, Metric::CpuUsPerMessage, 6.0, 2.5),
    promise("persistent-1x0-1k-w1", Metric::MessagesPerSync, 0.4, 0.65),
    promise("transient-1x1-1k-w256", Metric::MessagesPerS, 250_000.0, 600_000.0),
    promise("latency-2000", Metric::P99Us, 3000.0, 1000.0),
    promise("backlog-1m-256", Metric::PeakMb, 64.0, 24.0),
    promise("backlog-1m-256", Metric::FillPerS, 150_000.0, 300_000.0),
    promise("backlog-1m-256", Metric::DrainPerS, 150_000.0, 400_000.0),
    Promise {
        row: "backlog-10m-256",
        metric: Metric::AgainstMillion,
        at_least: 1.1,
        aim: None,
        unit: Unit::Own,
    },
    promise("start", Metric::ReadyMs, 100.0, 20.0),
    promise("start", Metric::IdleMb, 24.0, 12.0),
    promise("idle-10000", Metric::ConnectionKib, 12.0, 4.0),
    promise("interface", Metric::AgainstDirect, 1.25, 1.1),
];

/// All promises.
pub fn promises() -> impl Iterator<Item = &'static Promise> {
    PROMISES.iter().chain(java::PROMISES)
}

/// All rows of the load that speaks STOMP, and those that need none.
pub fn rows() -> Vec<Row> {
    let mut rows = Vec::new();
    let mut add = |name: String, kind: Kind| {
        let promised = PROMISES.iter().any(|promise| promise.row == name);
        rows.push(Row { name, kind, promised });
    };
    add("start".to_owned(), Kind::Start);
    add("idle-10000".to_owned(), Kind::Idle);
    add("interface".to_owned(), Kind::Interface);
    add("latency-2000".to_owned(), Kind::Paced { per_s: 2000 });
    for (durability, persistent) in [("persistent", true), ("transient", false)] {
        for (producers, consumers) in [(1, 0), (1, 1), (4, 4)] {
            for (size, size_bytes) in [("100", 100), ("1k", 1024), ("64k", 65_536)] {
                for window in [1, 256] {
                    if consumers == 0 && (window, size_bytes, persistent) != (1, 1024, true) {
                        continue;
                    }
                    let name = format!("{durability}-{producers}x{consumers}-{size}-w{window}");
                    add(name, Kind::Flood { producers, consumers, size_bytes, window, persistent });
                }
            }
        }
    }
    add("backlog-1m-256".to_owned(), Kind::Backlog);
    add("backlog-10m-256".to_owned(), Kind::DeepBacklog);
    rows
}

/// How long each measurement takes.
#[derive(Clone, Copy, Debug)]
pub struct Times {
    pub warm_up_ms: u64,
    pub measure_ms: u64,
}

/// Programs beside the broker.
pub struct Programs {
    /// The load: this program, in release.
    pub load: PathBuf,
    /// Echo servers on tokio and through the plugin interface.
    pub echo: PathBuf,
}

/// What measuring needs.
pub struct Place<'a> {
    pub programs: &'a Programs,
    /// Where brokers' folders go.
    pub under: &'a Path,
    /// For rows that want a broker of their own.
    pub built: Option<&'a Built>,
    /// The Java client, where its rows are measured.
    pub java: Option<&'a (JavaPrograms, JavaLoad)>,
    pub times: Times,
    /// Makes destinations' names differ.
    pub round: u32,
}

impl Row {
    /// Whether any broker is measured; else Sabir alone, started for it.
    pub fn is_shared(&self) -> bool {
        matches!(self.kind, Kind::Flood { .. } | Kind::Paced { .. } | Kind::Jms(_) | Kind::JmsBacklog)
    }

    /// Whether once is enough, because it takes minutes.
    pub fn is_long(&self) -> bool {
        matches!(self.kind, Kind::JmsBacklog | Kind::DeepBacklog)
    }

    /// Whether `--quick` has it.
    pub fn is_quick(&self) -> bool {
        self.promised && !matches!(self.kind, Kind::DeepBacklog)
    }

    /// Whether the disk's rate bears on it.
    pub fn syncs(&self) -> bool {
        match self.kind {
            Kind::Flood { persistent, .. } | Kind::Jms(JmsRow { persistent, .. }) => persistent,
            Kind::Paced { .. } | Kind::Backlog | Kind::DeepBacklog | Kind::JmsBacklog => true,
            Kind::Start | Kind::Idle | Kind::Interface => false,
        }
    }

    /// How many persistent messages a second it sends, if that is fixed.
    pub fn pace(&self) -> Option<u64> {
        match self.kind {
            Kind::Paced { per_s } | Kind::Jms(JmsRow { persistent: true, per_s: per_s @ 1.., .. }) => {
                Some(per_s)
            }
            _ => None,
        }
    }

    /// How many senders wait for each confirmation, where the client is the Java one.
    pub fn waiting(&self) -> Option<usize> {
        match self.kind {
            Kind::Jms(JmsRow { persistent: true, asynchronous: false, per_s: 0, producers, .. }) => {
                Some(producers)
            }
            _ => None,
        }
    }

    /// Measures this row once on a broker. Rows that need a fresh broker are measured on Sabir alone.
    pub fn measure(&self, broker: &Broker, place: &Place<'_>) -> Result<Vec<Figure>> {
        let destination = format!("bench.{}.{}", self.name, place.round);
        let figures = match self.kind {
            Kind::Flood { producers, consumers, size_bytes, window, persistent } => {
                let pace =
                    Pace::Time { warm_up_ms: place.times.warm_up_ms, measure_ms: place.times.measure_ms };
                let load = broker.load(&destination, pace);
                flood(broker, place, &Load { producers, consumers, size_bytes, window, persistent, ..load })
            }
            Kind::Paced { per_s } => {
                let measure_ms = 3 * place.times.measure_ms;
                let pace = Pace::Rate { per_s, warm_up_ms: place.times.warm_up_ms, measure_ms };
                paced(place, &broker.load(&destination, pace))
            }
            Kind::Jms(row) => match place.java {
                Some((_, load)) => java::measure(row, broker, load, &destination, place.times),
                None => Ok(Vec::new()),
            },
            Kind::JmsBacklog => match (place.java, place.built) {
                (Some(java), Some(built)) => jms_backlog(broker.name, java, built, &destination, place),
                _ => Ok(Vec::new()),
            },
            Kind::Backlog | Kind::DeepBacklog | Kind::Start | Kind::Idle | Kind::Interface => {
                match place.built {
                    Some(built) if broker.name == "sabir" => own_broker(self.kind, built, place),
                    _ => Ok(Vec::new()),
                }
            }
        };
        figures.with_context(|| format!("{} on {}", self.name, broker.name))
    }
}

/// Lets a broker reach its stride: a virtual machine first compiles what is hot. Answers what a message cost in CPU µs
/// in each round, persistent and transient together; unlike a rate, that does not follow the disk.
pub fn warm_up(broker: &Broker, generator: &Path, measure_ms: u64) -> Result<Vec<f64>> {
    let pace = Pace::Time { warm_up_ms: 0, measure_ms };
    let mut costs_us = Vec::new();
    while costs_us.len() < WARM_UP_ROUNDS && !is_warm(&costs_us) {
        let mut cost_us = 0.0;
        for persistent in [false, true] {
            let load = broker.load("bench.warm-up", pace);
            let load = Load { producers: 4, consumers: 4, persistent, ..load };
            let before = broker.cpu()?;
            let seen = run(generator, &load).with_context(|| format!("warming up {}", broker.name))?;
            cost_us += broker.cpu()?.since(before).all_s * 1e6 / seen.sent.max(1) as f64;
        }
        costs_us.push(cost_us);
    }
    Ok(costs_us)
}

/// Whether the last round was hardly cheaper than the one before it.
pub fn is_warm(costs_us: &[f64]) -> bool {
    match costs_us {
        [.., before, last] => *last > 0.9 * *before,
        _ => false,
    }
}

/// The rate of syncs just before and just after a row, and what came through for each sync.
pub fn beside_syncs(figures: &mut Vec<Figure>, before: Syncs, after: Syncs) {
    let rate = figures.iter().find(|figure| figure.metric == Metric::MessagesPerS).map(|figure| figure.value);
    if let Some(rate) = rate {
        let value = rate / f64::midpoint(before.per_s, after.per_s);
        figures.push(Figure { metric: Metric::MessagesPerSync, value });
    }
    figures.push(Figure { metric: Metric::SyncsBefore, value: before.per_s });
    figures.push(Figure { metric: Metric::SyncsAfter, value: after.per_s });
}

/// What nobody can do better where so many senders wait for each confirmation: a message goes to and fro, and between the
/// two it is synced, at best together with one of each other sender.
pub fn beside_waiting(
    figures: &mut Vec<Figure>,
    senders: usize,
    [before, after]: [Syncs; 2],
    round_trips_per_s: f64,
) {
    let senders = senders as f64;
    let turn_s = 1.0 / f64::midpoint(before.per_s, after.per_s) + 1.0 / round_trips_per_s;
    figures.push(Figure { metric: Metric::DiskAllowsPerS, value: senders / turn_s });
    let value = f64::midpoint(before.cpu_us, after.cpu_us) / senders;
    figures.push(Figure { metric: Metric::SyncCpuUs, value });
}

/// The same on a broker of either kind that did nothing else.
fn jms_backlog(
    name: &str,
    (programs, load): &(JavaPrograms, JavaLoad),
    built: &Built,
    queue: &str,
    place: &Place<'_>,
) -> Result<Vec<Figure>> {
    if name == "sabir" {
        let broker = Broker::sabir(built, place.under)?;
        return java::backlog(broker, load, queue, place.times, |folder| Broker::launch_sabir(built, folder));
    }
    let broker = programs.start_activemq(place.under)?;
    java::backlog(broker, load, queue, place.times, |folder| programs.launch_activemq(folder))
}

fn own_broker(kind: Kind, built: &Built, place: &Place<'_>) -> Result<Vec<Figure>> {
    match kind {
        Kind::Start => start(built, place),
        Kind::Idle => idle(built, place),
        Kind::Interface => interface(built, place),
        Kind::DeepBacklog => deep_backlog(built, place),
        _ => backlog(built, place),
    }
}

fn flood(broker: &Broker, place: &Place<'_>, load: &Load) -> Result<Vec<Figure>> {
    let before = broker.cpu()?;
    let seen = run(&place.programs.load, load)?;
    let cpu = broker.cpu()?.since(before);
    if load.consumers == 0 && seen.sent > 0 {
        // What nobody received must not weigh on the rows that follow.
        let pace = Pace::Count { messages: seen.sent };
        run(&place.programs.load, &Load { producers: 0, consumers: 1, window: 256, pace, ..load.clone() })
            .context("receiving what was only sent")?;
    }
    // What is only sent, or only received, is not yet through.
    let rate = if load.consumers == 0 {
        seen.confirmed_per_s
    } else {
        seen.confirmed_per_s.min(seen.received_per_s)
    };
    let per_message = |metric, cpu_s: f64| Figure { metric, value: cpu_s * 1e6 / seen.sent.max(1) as f64 };
    Ok(vec![
        Figure { metric: Metric::MessagesPerS, value: rate },
        per_message(Metric::CpuUsPerMessage, cpu.all_s),
        per_message(Metric::KernelUsPerMessage, cpu.kernel_s),
        per_message(Metric::LoadCpuUsPerMessage, seen.load_cpu_s),
    ])
}

fn paced(place: &Place<'_>, load: &Load) -> Result<Vec<Figure>> {
    let latency = run(&place.programs.load, load)?.latency_us.context("the load saw no latencies")?;
    Ok(vec![
        Figure { metric: Metric::P50Us, value: latency.p50 },
        Figure { metric: Metric::P99Us, value: latency.p99 },
        Figure { metric: Metric::P999Us, value: latency.p999 },
    ])
}

/// A million messages in.
fn fill(broker: &Broker) -> Load {
    let load = broker.load("bench.backlog", Pace::Count { messages: BACKLOG_MESSAGES });
    Load { producers: 4, consumers: 0, size_bytes: BACKLOG_SIZE_BYTES, ..load }
}

/// A million messages in, then out, by a broker that did nothing else.
fn backlog(built: &Built, place: &Place<'_>) -> Result<Vec<Figure>> {
    let broker = Broker::sabir(built, place.under)?;
    let fill = fill(&broker);
    let filled = run(&place.programs.load, &fill)?;
    let (full, _) = broker.memory_bytes()?;
    let drained = run(&place.programs.load, &Load { producers: 0, consumers: 4, ..fill })?;
    let (_, peak) = broker.memory_bytes()?;
    Ok(vec![
        Figure { metric: Metric::FillPerS, value: filled.confirmed_per_s },
        Figure { metric: Metric::FilledMb, value: full as f64 / MB },
        Figure { metric: Metric::DrainPerS, value: drained.received_per_s },
        Figure { metric: Metric::PeakMb, value: peak as f64 / MB },
    ])
}

/// A million messages in, then nine million more, then all of them out. First as many go through while somebody receives: the
/// allocator's share grows with what a broker has done, whatever waits there, and is not to be taken for the backlog's.
fn deep_backlog(built: &Built, place: &Place<'_>) -> Result<Vec<Figure>> {
    let broker = Broker::sabir(built, place.under)?;
    let fill = fill(&broker);
    let pace = Pace::Count { messages: DEEP_MESSAGES };
    run(&place.programs.load, &Load { consumers: 4, pace, ..fill.clone() })?;
    run(&place.programs.load, &fill)?;
    let million = settled_bytes(&broker)?;
    let pace = Pace::Count { messages: DEEP_MESSAGES - BACKLOG_MESSAGES };
    let filled = run(&place.programs.load, &Load { pace, ..fill.clone() })?;
    let full = settled_bytes(&broker)?;
    let pace = Pace::Count { messages: DEEP_MESSAGES };
    let drained = run(&place.programs.load, &Load { producers: 0, consumers: 4, pace, ..fill })?;
    let (_, peak) = broker.memory_bytes()?;
    Ok(vec![
        Figure { metric: Metric::FillPerS, value: filled.confirmed_per_s },
        Figure { metric: Metric::FilledMb, value: full as f64 / MB },
        Figure { metric: Metric::AgainstMillion, value: full as f64 / million.max(1) as f64 },
        Figure { metric: Metric::DrainPerS, value: drained.received_per_s },
        Figure { metric: Metric::PeakMb, value: peak as f64 / MB },
    ])
}

/// The least memory that a broker is seen to have within a moment.
fn settled_bytes(broker: &Broker) -> Result<u64> {
    let mut least = u64::MAX;
    for _ in 0..LOOKS {
        std::thread::sleep(LOOK_EVERY);
        least = least.min(broker.memory_bytes()?.0);
    }
    Ok(least)
}

/// Starts on empty stores: how long it takes, and what the broker then occupies.
fn start(built: &Built, place: &Place<'_>) -> Result<Vec<Figure>> {
    let mut ready = Vec::new();
    let mut memory = Vec::new();
    for _ in 0..STARTS {
        let broker = Broker::sabir(built, place.under)?;
        ready.push(broker.ready.as_secs_f64() * 1000.0);
        std::thread::sleep(Duration::from_millis(200));
        memory.push(broker.memory_bytes()?.0 as f64 / MB);
    }
    Ok(vec![
        Figure { metric: Metric::ReadyMs, value: median(&mut ready) },
        Figure { metric: Metric::IdleMb, value: median(&mut memory) },
    ])
}

/// What a connection costs that has logged in and does nothing.
fn idle(built: &Built, place: &Place<'_>) -> Result<Vec<Figure>> {
    let broker = Broker::sabir(built, place.under)?;
    let (before, _) = broker.memory_bytes()?;
    let load = Load { producers: IDLE_CONNECTIONS, consumers: 0, ..broker.load("bench.idle", Pace::Idle) };
    let mut connections = Running::start(&place.programs.load, &load)?;
    let seen = connections.seen()?;
    ensure!(seen.connections == IDLE_CONNECTIONS as u64, "{} connections are open", seen.connections);
    let (after, _) = broker.memory_bytes()?;
    connections.end()?;
    let each_kib = after.saturating_sub(before) as f64 / 1024.0 / IDLE_CONNECTIONS as f64;
    Ok(vec![Figure { metric: Metric::ConnectionKib, value: each_kib }])
}

/// Pairs of echo servers, with and without the plugin interface between.
fn interface(built: &Built, place: &Place<'_>) -> Result<Vec<Figure>> {
    let library = built.plugins.join("libsabir_transport_tcp_plugin.so");
    let time = Duration::from_millis(place.times.measure_ms / 2);
    let mut ratios = super::interface::ratios(&place.programs.echo, &library, time)?;
    Ok(vec![Figure { metric: Metric::AgainstDirect, value: median(&mut ratios) }])
}

/// The value in the middle.
pub fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    match values.len() {
        0 => f64::NAN,
        count if count % 2 == 1 => values[count / 2],
        count => f64::midpoint(values[count / 2 - 1], values[count / 2]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_promise_stands_on_a_row() {
        let rows = rows();
        for promise in PROMISES {
            assert!(rows.iter().any(|row| row.name == promise.row && row.promised), "{}", promise.row);
        }
    }

    #[test]
    fn a_persistent_row_is_weighed_by_the_syncs_around_it() {
        let [before, after] = [100.0, 500.0].map(|per_s| Syncs { per_s, cpu_us: per_s / 10.0 });
        let value = |figures: &[Figure], metric| {
            figures.iter().find(|figure| figure.metric == metric).map(|figure| figure.value)
        };
        let mut figures = vec![Figure { metric: Metric::MessagesPerS, value: 900.0 }];
        beside_syncs(&mut figures, before, after);
        assert_eq!(value(&figures, Metric::MessagesPerSync), Some(3.0));
        assert_eq!(value(&figures, Metric::SyncsBefore), Some(100.0));
        assert_eq!(value(&figures, Metric::SyncsAfter), Some(500.0));
        let mut figures = vec![Figure { metric: Metric::P99Us, value: 900.0 }];
        beside_syncs(&mut figures, before, after);
        assert_eq!(value(&figures, Metric::MessagesPerSync), None);
        // A sync takes 1/300 s and a round trip 1/600 s.
        beside_waiting(&mut figures, 4, [before, after], 600.0);
        assert_eq!(value(&figures, Metric::DiskAllowsPerS).map(f64::round), Some(800.0));
        assert_eq!(value(&figures, Metric::SyncCpuUs), Some(7.5));
    }

    #[test]
    fn a_broker_is_warm_when_its_messages_get_no_cheaper() {
        assert!(!is_warm(&[]) && !is_warm(&[500.0]) && !is_warm(&[500.0, 400.0]));
        assert!(is_warm(&[500.0, 400.0, 390.0]) && is_warm(&[400.0, 410.0]));
    }

    #[test]
    fn the_disk_stands_beside_persistent_rows_alone() {
        let rows = rows();
        let syncs = |name: &str| rows.iter().find(|row| row.name == name).is_some_and(Row::syncs);
        assert!(syncs(MAIN) && syncs("latency-2000") && syncs("backlog-1m-256"));
        assert!(!syncs("transient-1x1-1k-w256") && !syncs("idle-10000"));
    }

    #[test]
    fn the_deep_backlog_is_promised_and_too_long_for_a_quick_run() {
        let deep = rows().into_iter().find(|row| row.name == "backlog-10m-256");
        assert!(deep.is_some_and(|row| row.promised && !row.is_quick() && row.is_long()));
        assert!(rows().iter().any(|row| row.name == "backlog-1m-256" && row.is_quick()));
    }

    #[test]
    fn the_median_is_in_the_middle() {
        assert_eq!(median(&mut [3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&mut [4.0, 1.0]), 2.5);
    }
}
