// SPDX-License-Identifier: Apache-2.0
//! What was measured, as a table for people and as JSON for programs.

use super::limits::Limits;
use super::rows::{Metric, Promise, Unit, median, promises};
use comfy_table::{CellAlignment, Table, presets};
use serde::Serialize;
use std::collections::BTreeMap;

/// All samples: by row in the order of measuring, by metric, by broker.
#[derive(Default)]
pub struct Samples {
    rows: Vec<String>,
    brokers: Vec<About>,
    values: BTreeMap<(usize, Metric), ByBroker>,
    limits: Vec<Limits>,
}

/// One metric of one row on one broker, for programs.
#[derive(Serialize)]
struct Line<'a> {
    row: &'a str,
    metric: &'static str,
    broker: &'static str,
    median: f64,
    samples: &'a [f64],
}

/// A broker of this run.
#[derive(Clone, Debug, Serialize)]
pub struct About {
    pub name: &'static str,
    pub version: String,
    pub settings: &'static str,
}

/// A promise beside what was measured.
#[derive(Debug, Serialize)]
struct Held {
    row: &'static str,
    metric: String,
    sabir: Option<f64>,
    at_least: f64,
    aim: Option<f64>,
    verdict: Verdict,
}

/// How a promise stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Verdict {
    MetAim,
    Met,
    Missed,
    /// More than can be true: the disk was another before and after than during the row.
    Unfit,
    /// There is no peer to hold it against.
    Open,
    /// Nobody could be faster beside this load or this disk: the CPU per message is what counts.
    Bound,
    /// A bare sync takes more than what is asked for.
    BelowSync,
    /// Asked for only where the throughput is not reached.
    Spared,
}

impl Verdict {
    fn text(self) -> &'static str {
        match self {
            Verdict::MetAim => "met, with the aim",
            Verdict::Met => "met",
            Verdict::Missed => "MISSED",
            Verdict::Unfit => "the disk changed meanwhile: run it again",
            Verdict::Open => "no peer in this run",
            Verdict::Bound => "the load or the disk is the bound: see the CPU",
            Verdict::BelowSync => "less than what a bare sync takes",
            Verdict::Spared => "not asked for: the throughput is met",
        }
    }
}

/// Nobody who waits for each confirmation gets more of them than the disk syncs; a little more is the clock's.
const MOST_PER_SYNC: f64 = 1.1;

/// Samples of each broker, round by round.
type ByBroker = BTreeMap<&'static str, Vec<f64>>;

impl Samples {
    pub fn add_broker(&mut self, about: About) {
        self.brokers.push(about);
    }

    pub fn add(&mut self, row: &str, metric: Metric, broker: &'static str, value: f64) {
        let index = self.rows.iter().position(|name| name == row).unwrap_or_else(|| {
            self.rows.push(row.to_owned());
            self.rows.len() - 1
        });
        self.values.entry((index, metric)).or_default().entry(broker).or_default().push(value);
    }

    pub fn add_limits(&mut self, limits: Limits) {
        self.limits.push(limits);
    }

    fn limit(&self, of: impl Fn(&Limits) -> f64) -> f64 {
        median(&mut self.limits.iter().map(of).collect::<Vec<_>>())
    }

    fn find(&self, row: &str, metric: Metric) -> Option<&ByBroker> {
        let index = self.rows.iter().position(|name| name == row)?;
        self.values.get(&(index, metric))
    }

    /// The median of Sabir in the promise's unit.
    fn kept(&self, promise: &Promise) -> Option<f64> {
        let brokers = self.find(promise.row, promise.metric)?;
        let own = median(&mut brokers.get("sabir")?.clone());
        match promise.unit {
            Unit::Own => Some(own),
            Unit::OfBestPeer => against_peers(promise.metric, brokers).map(|(_, ratio)| ratio),
        }
    }

    /// Prints everything.
    pub fn print(&self) {
        println!("\n{}", self.brokers_table());
        println!("\n{}", self.limits_table());
        println!("\n{}", self.rows_table());
        println!("\n{}", self.promises_table());
    }

    fn brokers_table(&self) -> Table {
        let mut table = table(&["broker", "version", "set up with"]);
        for about in &self.brokers {
            table.add_row([about.name, &about.version, about.settings]);
        }
        table
    }

    fn limits_table(&self) -> Table {
        let mut table = table(&["this machine", "per second"]);
        let mut row = |name: &str, value: String| {
            table.add_row([name.to_owned(), value]);
        };
        row("4 KiB overwritten and synced", number(self.limit(|limits| limits.overwrite_syncs_per_s)));
        row("4 KiB appended and synced", number(self.limit(|limits| limits.append_syncs_per_s)));
        row("loopback round trips", number(self.limit(|limits| limits.round_trips_per_s)));
        row("loopback MiB", number(self.limit(|limits| limits.loopback_bytes_per_s) / 1024.0 / 1024.0));
        right(table, 1)
    }

    fn rows_table(&self) -> Table {
        let mut head = vec!["row", "metric"];
        head.extend(self.brokers.iter().flat_map(|broker| [broker.name, "from .. to"]));
        head.push("sabir against the better peer");
        let mut table = table(&head);
        for ((row, metric), values) in &self.values {
            let mut cells = vec![self.rows[*row].clone(), metric.name().to_owned()];
            for broker in &self.brokers {
                match values.get(broker.name) {
                    Some(values) => cells.extend([number(median(&mut values.clone())), spread(values)]),
                    None => cells.extend(["".to_owned(), "".to_owned()]),
                }
            }
            let against = (!metric.is_beside()).then(|| against_peers(*metric, values)).flatten();
            cells.push(against.map_or_else(String::new, |(peer, ratio)| format!("{ratio:.2} x {peer}")));
            table.add_row(cells);
        }
        right(table, 2)
    }

    fn promises_table(&self) -> Table {
        let mut table = table(&["promise", "metric", "sabir", "at least", "aim", "verdict"]);
        for held in self.held() {
            table.add_row([
                held.row.to_owned(),
                held.metric,
                held.sabir.map_or_else(String::new, number),
                number(held.at_least),
                held.aim.map_or_else(String::new, number),
                held.verdict.text().to_owned(),
            ]);
        }
        right(table, 2)
    }

    /// The promises whose rows were measured, and how they stand.
    fn held(&self) -> Vec<Held> {
        let measured = promises().filter(|promise| {
            self.find(promise.row, promise.metric).is_some_and(|brokers| brokers.contains_key("sabir"))
        });
        let held = measured.map(|promise| {
            let kept = self.kept(promise);
            let metric = match promise.unit {
                Unit::Own => promise.metric.name().to_owned(),
                Unit::OfBestPeer => format!("{} against the better peer", promise.metric.name()),
            };
            let (at_least, aim) = (promise.at_least, promise.aim);
            Held {
                row: promise.row,
                metric,
                sabir: kept,
                at_least,
                aim,
                verdict: self.verdict(promise, kept),
            }
        });
        held.collect()
    }

    /// How a promise stands, with what bounds its row. Of a row with a promise of throughput and one of CPU time, both
    /// against peers, the second is asked for where the first lies beyond what the load or the disk allows.
    fn verdict(&self, promise: &Promise, kept: Option<f64>) -> Verdict {
        let alone = verdict(promise, kept);
        if alone != Verdict::Missed || promise.unit != Unit::OfBestPeer {
            return alone;
        }
        match promise.metric {
            Metric::MessagesPerS if self.has_fickle_disk(promise) => Verdict::Unfit,
            Metric::MessagesPerS if self.is_out_of_reach(promise) => Verdict::Bound,
            Metric::P99Us if self.is_below_a_sync(promise, Metric::DiskP99Us) => Verdict::BelowSync,
            Metric::CpuUsPerMessage if self.is_below_a_sync(promise, Metric::SyncCpuUs) => Verdict::BelowSync,
            Metric::CpuUsPerMessage => {
                let mut rates = promises().filter(|other| {
                    (other.row, other.metric, other.unit) == (promise.row, Metric::MessagesPerS, promise.unit)
                });
                let is_met = |rate: &Promise| verdict(rate, self.kept(rate)) == Verdict::Met;
                if rates.any(is_met) { Verdict::Spared } else { alone }
            }
            _ => alone,
        }
    }

    fn own(&self, row: &str, metric: Metric) -> Option<f64> {
        Some(median(&mut self.find(row, metric)?.get("sabir")?.clone()))
    }

    /// Whether more was confirmed than the disk synced before and after.
    fn has_fickle_disk(&self, promise: &Promise) -> bool {
        let rate = self.own(promise.row, promise.metric);
        let allowed = self.own(promise.row, Metric::DiskAllowsPerS);
        rate.zip(allowed).is_some_and(|(rate, allowed)| rate > MOST_PER_SYNC * allowed)
    }

    /// Whether a rate that is promised in times of the best peer is more than the load would take or the disk would sync.
    fn is_out_of_reach(&self, promise: &Promise) -> bool {
        let own = |metric| self.own(promise.row, metric);
        let Some((rate, ratio)) = own(promise.metric).zip(self.kept(promise)) else { return false };
        let wanted = promise.at_least * rate / ratio;
        let load = own(Metric::LoadBusyPercent).map(|busy| rate * 100.0 / busy);
        [load, own(Metric::DiskAllowsPerS)].into_iter().flatten().any(|allowed| wanted > allowed)
    }

    /// Whether a cost that is promised in parts of the best peer's is less than what a bare sync takes, which is measured
    /// beside it.
    fn is_below_a_sync(&self, promise: &Promise, sync: Metric) -> bool {
        let own = |metric| self.own(promise.row, metric);
        let Some((cost, ratio)) = own(promise.metric).zip(self.kept(promise)) else { return false };
        own(sync).is_some_and(|sync| promise.at_least * cost / ratio < sync)
    }

    /// What Sabir promised in the rows measured and did not keep.
    pub fn missed(&self) -> Vec<String> {
        let held = self.held().into_iter().filter(|held| held.verdict == Verdict::Missed);
        held.map(|held| format!("{} of {}", held.metric, held.row)).collect()
    }

    /// Everything, for programs.
    pub fn json(&self) -> serde_json::Value {
        let lines: Vec<Line<'_>> = self
            .values
            .iter()
            .flat_map(|((row, metric), brokers)| {
                brokers.iter().map(|(broker, samples)| Line {
                    row: &self.rows[*row],
                    metric: metric.name(),
                    broker,
                    median: median(&mut samples.clone()),
                    samples,
                })
            })
            .collect();
        serde_json::json!({
            "brokers": self.brokers,
            "limits": self.limits,
            "figures": lines,
            "promises": self.held(),
        })
    }
}

fn verdict(promise: &Promise, kept: Option<f64>) -> Verdict {
    let Some(kept) = kept else { return Verdict::Open };
    if promise.metric == Metric::MessagesPerSync && kept > MOST_PER_SYNC {
        return Verdict::Unfit;
    }
    let reaches = |bound: f64| if promise.metric.is_rate() { kept >= bound } else { kept <= bound };
    match (promise.aim.is_some_and(reaches), reaches(promise.at_least)) {
        (true, _) => Verdict::MetAim,
        (false, true) => Verdict::Met,
        (false, false) => Verdict::Missed,
    }
}

/// Sabir against the peer that is best in this metric, and that peer. Brokers take turns, so that each round gives a
/// ratio of its own; the median of those says more than the ratio of medians, when the machine changes between rounds.
fn against_peers(metric: Metric, values: &ByBroker) -> Option<(&'static str, f64)> {
    let own = values.get("sabir")?;
    let peers = values.iter().filter(|(name, _)| **name != "sabir");
    let peers = peers.map(|(name, samples)| (*name, samples, median(&mut samples.clone())));
    let by_median = |a: &(_, _, f64), b: &(_, _, f64)| a.2.total_cmp(&b.2);
    let (name, peer, middle) =
        if metric.is_rate() { peers.max_by(by_median) } else { peers.min_by(by_median) }?;
    let ratio = if own.len() == peer.len() {
        median(&mut own.iter().zip(peer).map(|(own, peer)| own / peer).collect::<Vec<_>>())
    } else {
        median(&mut own.clone()) / middle
    };
    Some((name, ratio))
}

fn table(head: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::ASCII_MARKDOWN).set_header(head.iter().copied());
    table
}

/// Numbers stand to the right.
fn right(mut table: Table, from: usize) -> Table {
    for column in table.column_iter_mut().skip(from) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

fn spread(values: &[f64]) -> String {
    let least = values.iter().copied().fold(f64::INFINITY, f64::min);
    let most = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    format!("{} .. {}", number(least), number(most))
}

/// Three digits that matter, or whole thousands with their commas.
fn number(value: f64) -> String {
    if !value.is_finite() {
        return String::new();
    }
    if value.abs() < 10.0 {
        return format!("{value:.2}");
    }
    if value.abs() < 100.0 {
        return format!("{value:.1}");
    }
    let digits = format!("{value:.0}");
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_readable() {
        assert_eq!(number(1_234_567.8), "1,234,568");
        assert_eq!(
            (number(0.456), number(45.67), number(456.7)),
            ("0.46".to_owned(), "45.7".to_owned(), "457".to_owned())
        );
    }

    const fn a_promise(metric: Metric, at_least: f64, aim: Option<f64>) -> Promise {
        Promise { row: "a", metric, at_least, aim, unit: Unit::Own }
    }

    #[test]
    fn promises_are_weighed_in_their_direction() {
        let rate = a_promise(Metric::MessagesPerS, 10.0, Some(20.0));
        assert_eq!(
            [25.0, 15.0, 5.0].map(|kept| verdict(&rate, Some(kept))),
            [Verdict::MetAim, Verdict::Met, Verdict::Missed]
        );
        let cost = a_promise(Metric::P99Us, 20.0, Some(10.0));
        assert_eq!(
            [25.0, 15.0, 5.0].map(|kept| verdict(&cost, Some(kept))),
            [Verdict::Missed, Verdict::Met, Verdict::MetAim]
        );
        let least = a_promise(Metric::MessagesPerS, 10.0, None);
        assert_eq!([25.0, 5.0].map(|kept| verdict(&least, Some(kept))), [Verdict::Met, Verdict::Missed]);
        assert_eq!(verdict(&rate, None), Verdict::Open);
    }

    #[test]
    fn a_bound_that_is_just_reached_is_met() {
        let rate = a_promise(Metric::MessagesPerS, 10.0, Some(20.0));
        assert_eq!([20.0, 10.0].map(|kept| verdict(&rate, Some(kept))), [Verdict::MetAim, Verdict::Met]);
        assert_eq!(verdict(&rate, Some(f64::NAN)), Verdict::Missed);
    }

    #[test]
    fn more_confirmations_than_syncs_are_no_figure() {
        let share = a_promise(Metric::MessagesPerSync, 0.4, Some(0.65));
        assert_eq!(
            [2.96, 1.05, 0.5, 0.3].map(|kept| verdict(&share, Some(kept))),
            [Verdict::Unfit, Verdict::MetAim, Verdict::Met, Verdict::Missed]
        );
    }

    fn samples_of_the_main_row(own: &[f64], peers: &[(&'static str, &[f64])]) -> (Samples, &'static Promise) {
        let promise = promises().find(|promise| promise.unit == Unit::OfBestPeer).expect("there is one");
        let mut samples = Samples::default();
        for (name, values) in [("sabir", own)].iter().chain(peers) {
            samples.add_broker(About { name, version: "1".to_owned(), settings: "as it is" });
            values.iter().for_each(|value| samples.add(promise.row, promise.metric, name, *value));
        }
        (samples, promise)
    }

    #[test]
    fn a_promise_against_peers_takes_the_better_one_of_the_same_run() {
        let (samples, promise) = samples_of_the_main_row(&[90.0], &[]);
        assert_eq!(samples.kept(promise), None);
        let (samples, promise) =
            samples_of_the_main_row(&[90.0], &[("rabbitmq", &[10.0]), ("activemq", &[9.0])]);
        assert_eq!(samples.kept(promise), Some(9.0));
        assert!(samples.rows_table().to_string().contains("9.00 x rabbitmq"), "{}", samples.rows_table());
    }

    #[test]
    fn rounds_are_compared_with_themselves() {
        // The machine got ten times faster after the first round, and slower again.
        let own = [80.0, 800.0, 160.0];
        let (samples, promise) = samples_of_the_main_row(&own, &[("rabbitmq", &[10.0, 90.0, 16.0])]);
        assert_eq!(samples.kept(promise), Some(800.0 / 90.0));
        let (samples, promise) = samples_of_the_main_row(&own, &[("rabbitmq", &[10.0, 20.0])]);
        assert_eq!(samples.kept(promise), Some(160.0 / 15.0));
    }

    #[test]
    fn what_costs_least_is_the_better_peer_of_a_cost() {
        let values = ByBroker::from([("sabir", vec![2.0]), ("activemq", vec![8.0]), ("rabbitmq", vec![4.0])]);
        assert_eq!(against_peers(Metric::CpuUsPerMessage, &values), Some(("rabbitmq", 0.5)));
        assert_eq!(against_peers(Metric::MessagesPerS, &values), Some(("activemq", 0.25)));
    }

    #[test]
    fn missed_promises_are_named_and_open_ones_are_not() {
        let (samples, promise) = samples_of_the_main_row(&[promise_of_the_main_row() - 1.0], &[]);
        assert_eq!(samples.missed(), [format!("messages/s of {}", promise.row)]);
        let table = samples.promises_table().to_string();
        assert!(table.contains("MISSED") && table.contains("no peer in this run"), "{table}");
        let (samples, _) = samples_of_the_main_row(&[promise_of_the_main_row()], &[]);
        assert!(samples.missed().is_empty(), "{:?}", samples.missed());
        assert_eq!(samples.json()["promises"][0]["verdict"], "met");
    }

    fn promise_of_the_main_row() -> f64 {
        promises().find(|promise| promise.metric == Metric::MessagesPerS).expect("there is one").at_least
    }

    /// Rate and CPU of the row whose promises both are against peers; the load's share; what the disk allows.
    fn verdicts(rates: [f64; 2], costs: [f64; 2], busy: f64, disk: f64) -> Vec<Verdict> {
        let row = "jms-sync-1x1-1k";
        let mut samples = Samples::default();
        for (index, name) in ["sabir", "activemq"].into_iter().enumerate() {
            samples.add(row, Metric::MessagesPerS, name, rates[index]);
            samples.add(row, Metric::CpuUsPerMessage, name, costs[index]);
        }
        samples.add(row, Metric::LoadBusyPercent, "sabir", busy);
        samples.add(row, Metric::DiskAllowsPerS, "sabir", disk);
        samples.held().iter().map(|held| held.verdict).collect()
    }

    #[test]
    fn cpu_time_counts_where_the_load_or_the_disk_is_the_bound() {
        use Verdict::{Bound, Met, Missed, Spared, Unfit};
        assert_eq!(verdicts([30.0, 10.0], [5.0, 10.0], 50.0, 40.0), [Met, Spared]);
        assert_eq!(verdicts([20.0, 10.0], [1.0, 10.0], 50.0, 40.0), [Missed, Met]);
        assert_eq!(verdicts([20.0, 10.0], [1.0, 10.0], 50.0, 29.0), [Bound, Met]);
        assert_eq!(verdicts([20.0, 10.0], [2.0, 10.0], 70.0, 40.0), [Bound, Missed]);
        assert_eq!(verdicts([20.0, 10.0], [1.0, 10.0], 50.0, 10.0), [Unfit, Met]);
    }

    #[test]
    fn no_latency_is_asked_for_that_the_disk_alone_exceeds() {
        let verdict = |sync_us| {
            let mut samples = Samples::default();
            for (name, p99_us) in [("sabir", 500.0), ("activemq", 2000.0)] {
                samples.add("jms-latency-2000", Metric::P99Us, name, p99_us);
            }
            samples.add("jms-latency-2000", Metric::DiskP99Us, "sabir", sync_us);
            samples.held()[0].verdict
        };
        assert_eq!((verdict(201.0), verdict(199.0)), (Verdict::BelowSync, Verdict::Missed));
    }

    #[test]
    fn no_cpu_time_is_asked_for_that_a_bare_sync_exceeds() {
        let verdict = |sync_us| {
            let mut samples = Samples::default();
            for (name, rate, cost_us) in [("sabir", 15.0, 100.0), ("activemq", 10.0, 300.0)] {
                samples.add("jms-sync-1x1-1k", Metric::MessagesPerS, name, rate);
                samples.add("jms-sync-1x1-1k", Metric::CpuUsPerMessage, name, cost_us);
            }
            samples.add("jms-sync-1x1-1k", Metric::SyncCpuUs, "sabir", sync_us);
            samples.held()[1].verdict
        };
        assert_eq!((verdict(31.0), verdict(29.0)), (Verdict::BelowSync, Verdict::Missed));
    }

    #[test]
    fn what_was_not_measured_is_not_held_against_anyone() {
        let mut samples = Samples::default();
        samples.add("start", Metric::ReadyMs, "sabir", 1.0);
        assert_eq!(samples.held().len(), 1);
        assert_eq!(Samples::default().held().len(), 0);
    }
}
