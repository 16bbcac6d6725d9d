// SPDX-License-Identifier: Apache-2.0
//! The rows of the Java client.

use super::load::{JavaLoad, Order, Seen};
use crate::bench::broker::{Broker, Launched};
use crate::bench::process::Cpu;
use crate::bench::rows::{Figure, Kind, Metric, Promise, Row, Times, Unit, is_warm};
use anyhow::{Context, Result};
use std::path::Path;

/// What a producer may have unconfirmed where its sends return early: what ActiveMQ's documentation shows.
const WINDOW_BYTES: usize = 1_024_000;
const SIZE_BYTES: usize = 1024;
/// The most rounds of warming up. Compilers of two virtual machines are at work in them.
const WARM_UP_ROUNDS: usize = 12;
/// Paced rows are measured that much longer: percentiles take many messages.
const PACED_TIMES: u64 = 3;

/// A row of the Java client.
#[derive(Clone, Copy, Debug)]
pub struct JmsRow {
    /// Connections that send.
    pub producers: usize,
    /// Connections that receive.
    pub consumers: usize,
    pub persistent: bool,
    /// Sends of persistent messages return before they are confirmed.
    pub asynchronous: bool,
    /// 0: as fast as it goes.
    pub per_s: u64,
}

const SYNC_1: &str = "jms-sync-1x1-1k";
const SYNC_4: &str = "jms-sync-4x4-1k";
const ASYNC_1: &str = "jms-async-1x1-1k";
const ASYNC_4: &str = "jms-async-4x4-1k";
const TRANSIENT_1: &str = "jms-transient-1x1-1k";
const TRANSIENT_4: &str = "jms-transient-4x4-1k";
const LATENCY: &str = "jms-latency-2000";
const LATENCY_ASYNC: &str = "jms-latency-async-2000";
/// So many senders that each has time for its confirmation on a slow disk too.
const PACED_PRODUCERS: usize = 16;

const BACKLOG: &str = "jms-backlog-1m-1k";
const BACKLOG_MESSAGES: u64 = 1_000_000;

/// Times ActiveMQ's throughput.
const FASTER: f64 = 3.0;
/// Of ActiveMQ's CPU time per message, and of its p99.
const A_TENTH: f64 = 0.1;

const fn beside_activemq(row: &'static str, metric: Metric, at_least: f64) -> Promise {
    Promise { row, metric, at_least, aim: None, unit: Unit::OfBestPeer }
}

/// What Sabir is held to. Where the client or the disk is the bound, the throughput gives way to the CPU per message.
pub const PROMISES: &[Promise] = &[
    beside_activemq(SYNC_1, Metric::MessagesPerS, FASTER),
    beside_activemq(SYNC_1, Metric::CpuUsPerMessage, A_TENTH),
    beside_activemq(SYNC_4, Metric::MessagesPerS, FASTER),
    beside_activemq(SYNC_4, Metric::CpuUsPerMessage, A_TENTH),
    beside_activemq(ASYNC_1, Metric::MessagesPerS, FASTER),
    beside_activemq(ASYNC_1, Metric::CpuUsPerMessage, A_TENTH),
    beside_activemq(ASYNC_4, Metric::MessagesPerS, FASTER),
    beside_activemq(ASYNC_4, Metric::CpuUsPerMessage, A_TENTH),
    beside_activemq(TRANSIENT_1, Metric::MessagesPerS, FASTER),
    beside_activemq(TRANSIENT_1, Metric::CpuUsPerMessage, A_TENTH),
    beside_activemq(TRANSIENT_4, Metric::MessagesPerS, FASTER),
    beside_activemq(TRANSIENT_4, Metric::CpuUsPerMessage, A_TENTH),
    beside_activemq(LATENCY, Metric::P99Us, A_TENTH),
    beside_activemq(BACKLOG, Metric::FillPerS, FASTER),
    beside_activemq(BACKLOG, Metric::DrainPerS, FASTER),
    beside_activemq(BACKLOG, Metric::RestartMs, A_TENTH),
    Promise { row: BACKLOG, metric: Metric::RestartMs, at_least: 2000.0, aim: None, unit: Unit::Own },
];

/// All of them.
pub fn rows() -> Vec<Row> {
    let plain = JmsRow { producers: 1, consumers: 1, persistent: true, asynchronous: true, per_s: 0 };
    let paced = JmsRow { per_s: 2000, ..plain };
    let four = JmsRow { producers: 4, consumers: 4, ..plain };
    let rows = [
        (LATENCY, JmsRow { producers: PACED_PRODUCERS, asynchronous: false, ..paced }),
        (LATENCY_ASYNC, paced),
        (SYNC_1, JmsRow { asynchronous: false, ..plain }),
        (SYNC_4, JmsRow { asynchronous: false, ..four }),
        (ASYNC_1, plain),
        (ASYNC_4, four),
        (TRANSIENT_1, JmsRow { persistent: false, ..plain }),
        (TRANSIENT_4, JmsRow { persistent: false, ..four }),
    ];
    let rows = rows.into_iter().map(|(name, row)| {
        let promised = PROMISES.iter().any(|promise| promise.row == name);
        Row { name: name.to_owned(), kind: Kind::Jms(row), promised }
    });
    // Minutes of ActiveMQ: not for a quick run.
    let backlog = Row { name: BACKLOG.to_owned(), kind: Kind::JmsBacklog, promised: false };
    rows.chain([backlog]).collect()
}

impl JmsRow {
    fn order(self, broker: &Broker, queue: &str, times: Times) -> Order {
        let measure_ms = if self.per_s > 0 { PACED_TIMES * times.measure_ms } else { times.measure_ms };
        let window_bytes = if self.asynchronous { WINDOW_BYTES } else { 0 };
        Order {
            address: broker.address,
            queue: queue.to_owned(),
            producers: self.producers,
            consumers: self.consumers,
            size_bytes: SIZE_BYTES,
            persistent: self.persistent,
            asynchronous: self.asynchronous,
            window_bytes,
            messages: 0,
            per_s: self.per_s,
            warm_up_ms: times.warm_up_ms,
            measure_ms,
        }
    }
}

/// Measures a row once on a broker.
pub fn measure(
    row: JmsRow,
    broker: &Broker,
    load: &JavaLoad,
    queue: &str,
    times: Times,
) -> Result<Vec<Figure>> {
    let before = broker.cpu()?;
    let seen = load.run(&row.order(broker, queue, times))?;
    Ok(figures(row, &seen, broker.cpu()?.since(before)))
}

/// A backlog sent while nobody receives, to a broker of its own, which is then killed, started again, and asked for all
/// of it. `restart` starts it on what it left.
pub fn backlog(
    mut broker: Broker,
    load: &JavaLoad,
    queue: &str,
    times: Times,
    restart: impl FnOnce(&Path) -> Result<Launched>,
) -> Result<Vec<Figure>> {
    let row = JmsRow { producers: 4, consumers: 0, persistent: true, asynchronous: true, per_s: 0 };
    let fill = Order { messages: BACKLOG_MESSAGES, ..row.order(&broker, queue, times) };
    let filled = load.run(&fill)?;
    let (full, _) = broker.memory_bytes()?;
    broker.crash_and_start(restart)?;
    let row = JmsRow { producers: 0, consumers: 4, ..row };
    let drained = load.run(&Order { messages: BACKLOG_MESSAGES, ..row.order(&broker, queue, times) })?;
    let (_, peak) = broker.memory_bytes()?;
    let figure = |metric, value| Figure { metric, value };
    Ok(vec![
        figure(Metric::FillPerS, filled.sent_per_s),
        figure(Metric::FilledMb, full as f64 / 1e6),
        figure(Metric::RestartMs, broker.ready.as_secs_f64() * 1e3 + drained.first_ms),
        figure(Metric::DrainPerS, drained.received_per_s),
        figure(Metric::PeakMb, peak as f64 / 1e6),
    ])
}

fn figures(row: JmsRow, seen: &Seen, cpu: Cpu) -> Vec<Figure> {
    let messages = seen.sent.max(1) as f64;
    let figure = |metric, value| Figure { metric, value };
    let mut figures = if row.per_s > 0 {
        vec![
            figure(Metric::P50Us, seen.p50_us),
            figure(Metric::P99Us, seen.p99_us),
            figure(Metric::P999Us, seen.p999_us),
        ]
    } else {
        // What is only sent, or only received, is not yet through.
        vec![figure(Metric::MessagesPerS, seen.sent_per_s.min(seen.received_per_s))]
    };
    figures.push(figure(Metric::CpuUsPerMessage, cpu.all_s * 1e6 / messages));
    figures.push(figure(Metric::KernelUsPerMessage, cpu.kernel_s * 1e6 / messages));
    figures.push(figure(Metric::LoadCpuUsPerMessage, seen.cpu_s * 1e6 / messages));
    // Of one processor by its busiest thread, or of all by all its threads, whichever is nearer to its end.
    figures.push(figure(Metric::LoadBusyPercent, 100.0 * seen.thread_share.max(seen.process_share)));
    figures
}

/// Warms up all brokers and the client in turn, until nothing gets cheaper. Answers the CPU µs per message of each broker
/// and of the client with it, for each round.
pub fn warm_up(brokers: &[Broker], load: &JavaLoad, measure_ms: u64) -> Result<Vec<Vec<f64>>> {
    let mut costs_us = vec![Vec::new(); brokers.len()];
    let mut rounds = 0;
    while rounds < WARM_UP_ROUNDS && !costs_us.iter().all(|costs_us| is_warm(costs_us)) {
        for (broker, costs_us) in brokers.iter().zip(&mut costs_us) {
            costs_us.push(
                warm_up_round(broker, load, measure_ms)
                    .with_context(|| format!("warming up {}", broker.name))?,
            );
        }
        rounds += 1;
    }
    Ok(costs_us)
}

fn warm_up_round(broker: &Broker, load: &JavaLoad, measure_ms: u64) -> Result<f64> {
    let times = Times { warm_up_ms: 0, measure_ms };
    let mut cost_us = 0.0;
    for (persistent, asynchronous) in [(false, true), (true, true), (true, false)] {
        let row = JmsRow { producers: 4, consumers: 4, persistent, asynchronous, per_s: 0 };
        let before = broker.cpu()?;
        let seen = load.run(&row.order(broker, "bench.warm-up", times))?;
        cost_us += (broker.cpu()?.since(before).all_s + seen.cpu_s) * 1e6 / seen.sent.max(1) as f64;
    }
    Ok(cost_us)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_promise_about_the_java_client_stands_on_a_row() {
        let rows = rows();
        for promise in PROMISES {
            let row = rows.iter().find(|row| row.name == promise.row);
            assert!(row.is_some_and(|row| row.promised || row.name == BACKLOG), "{}", promise.row);
        }
    }

    #[test]
    fn the_disk_stands_beside_the_persistent_rows_of_the_java_client() {
        let syncs: Vec<(String, bool)> = rows().iter().map(|row| (row.name.clone(), row.syncs())).collect();
        for (name, syncs) in syncs {
            assert_eq!(syncs, !name.contains("transient"), "{name}");
        }
    }

    #[test]
    fn what_is_not_received_is_not_through() {
        let seen = Seen {
            sent: 10,
            sent_per_s: 5.0,
            received_per_s: 4.0,
            cpu_s: 1e-5,
            process_share: 0.25,
            thread_share: 0.5,
            p50_us: 1.0,
            p99_us: 2.0,
            p999_us: 3.0,
            first_ms: 0.0,
        };
        let row = JmsRow { producers: 1, consumers: 1, persistent: true, asynchronous: false, per_s: 0 };
        let value = |row, metric| {
            let figures = figures(row, &seen, Cpu { all_s: 2e-5, kernel_s: 5e-6 });
            figures.iter().find(|figure| figure.metric == metric).map(|figure| figure.value)
        };
        assert_eq!(value(row, Metric::MessagesPerS), Some(4.0));
        assert_eq!(value(row, Metric::CpuUsPerMessage), Some(2.0));
        assert_eq!(value(row, Metric::KernelUsPerMessage), Some(0.5));
        assert_eq!(value(row, Metric::LoadCpuUsPerMessage), Some(1.0));
        assert_eq!(value(row, Metric::LoadBusyPercent), Some(50.0));
        let paced = JmsRow { per_s: 5, ..row };
        assert_eq!((value(paced, Metric::P99Us), value(paced, Metric::MessagesPerS)), (Some(2.0), None));
    }
}
