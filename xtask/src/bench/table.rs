// SPDX-License-Identifier: Apache-2.0
//! What was measured, as a table for people and as JSON for programs.

use super::limits::Limits;
use super::rows::{Metric, PROMISES, Promise, Unit, median};
use comfy_table::{CellAlignment, Table, presets};
use serde::Serialize;
use std::collections::BTreeMap;

/// All samples: by row in the order of measuring, by metric, by broker.
#[derive(Default)]
pub struct Samples {
    rows: Vec<String>,
    values: BTreeMap<(usize, Metric), BTreeMap<&'static str, Vec<f64>>>,
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

/// How a promise stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Aim,
    Pass,
    Miss,
    /// There is nothing to hold it against.
    Open,
}

impl Samples {
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

    fn find(&self, row: &str, metric: Metric) -> Option<&BTreeMap<&'static str, Vec<f64>>> {
        let index = self.rows.iter().position(|name| name == row)?;
        self.values.get(&(index, metric))
    }

    /// The median of Sabir in the promise's unit.
    fn kept(&self, promise: &Promise) -> Option<f64> {
        let brokers = self.find(promise.row, promise.metric)?;
        let own = median(&mut brokers.get("sabir")?.clone());
        match promise.unit {
            Unit::Own => Some(own),
            Unit::OfOverwriteSyncs => {
                (!self.limits.is_empty()).then(|| own / self.limit(|limits| limits.overwrite_syncs_per_s))
            }
            Unit::OfBestPeer => against_peers(promise.metric, brokers),
        }
    }

    /// Prints everything.
    pub fn print(&self, brokers: &[&'static str]) {
        println!("\n{}", self.limits_table());
        println!("\n{}", self.rows_table(brokers));
        println!("\n{}", self.promises_table());
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

    fn rows_table(&self, brokers: &[&'static str]) -> Table {
        let mut head = vec!["row", "metric"];
        head.extend(brokers.iter().flat_map(|broker| [*broker, "from .. to"]));
        head.push("against the best peer");
        head.push("per 4 KiB sync");
        let mut table = table(&head);
        for ((row, metric), values) in &self.values {
            let mut cells = vec![self.rows[*row].clone(), metric.name().to_owned()];
            for broker in brokers {
                match values.get(broker) {
                    Some(values) => cells.extend([number(median(&mut values.clone())), spread(values)]),
                    None => cells.extend(["".to_owned(), "".to_owned()]),
                }
            }
            cells.push(
                against_peers(*metric, values).map_or_else(String::new, |ratio| format!("{ratio:.2} x")),
            );
            cells.push(self.per_sync(&self.rows[*row], *metric, values).unwrap_or_default());
            table.add_row(cells);
        }
        right(table, 2)
    }

    fn per_sync(
        &self,
        row: &str,
        metric: Metric,
        values: &BTreeMap<&'static str, Vec<f64>>,
    ) -> Option<String> {
        if !metric.is_rate() || !row.starts_with("persistent") || self.limits.is_empty() {
            return None;
        }
        let own = median(&mut values.get("sabir")?.clone());
        Some(format!("{:.2}", own / self.limit(|limits| limits.overwrite_syncs_per_s)))
    }

    fn promises_table(&self) -> Table {
        let mut table = table(&["promise", "metric", "sabir", "at least", "aim", "verdict"]);
        for promise in PROMISES {
            let kept = self.kept(promise);
            if kept.is_none() && promise.unit != Unit::OfBestPeer {
                continue;
            }
            let unit = match promise.unit {
                Unit::Own => promise.metric.name().to_owned(),
                Unit::OfOverwriteSyncs => format!("{} per 4 KiB overwrite sync", promise.metric.name()),
                Unit::OfBestPeer => format!("{} against the best peer", promise.metric.name()),
            };
            let verdict = match verdict(promise, kept) {
                Verdict::Aim => "aim",
                Verdict::Pass => "pass",
                Verdict::Miss => "MISS",
                Verdict::Open => "no peer in this run",
            };
            table.add_row([
                promise.row.to_owned(),
                unit,
                kept.map_or_else(String::new, number),
                number(promise.at_least),
                number(promise.aim),
                verdict.to_owned(),
            ]);
        }
        right(table, 2)
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
        serde_json::json!({ "limits": self.limits, "figures": lines })
    }
}

fn verdict(promise: &Promise, kept: Option<f64>) -> Verdict {
    let Some(kept) = kept else { return Verdict::Open };
    let reaches = |bound: f64| if promise.metric.is_rate() { kept >= bound } else { kept <= bound };
    match (reaches(promise.aim), reaches(promise.at_least)) {
        (true, _) => Verdict::Aim,
        (false, true) => Verdict::Pass,
        (false, false) => Verdict::Miss,
    }
}

/// Sabir against the peer that is best in this metric.
fn against_peers(metric: Metric, values: &BTreeMap<&'static str, Vec<f64>>) -> Option<f64> {
    let own = median(&mut values.get("sabir")?.clone());
    let peers = values.iter().filter(|(name, _)| **name != "sabir");
    let peers = peers.map(|(_, values)| median(&mut values.clone()));
    let best = if metric.is_rate() { peers.max_by(f64::total_cmp) } else { peers.min_by(f64::total_cmp) };
    Some(own / best?)
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

    #[test]
    fn promises_are_weighed_in_their_direction() {
        let rate =
            Promise { row: "a", metric: Metric::MessagesPerS, at_least: 10.0, aim: 20.0, unit: Unit::Own };
        assert_eq!(
            [25.0, 15.0, 5.0].map(|kept| verdict(&rate, Some(kept))),
            [Verdict::Aim, Verdict::Pass, Verdict::Miss]
        );
        let cost = Promise { row: "a", metric: Metric::P99Us, at_least: 20.0, aim: 10.0, unit: Unit::Own };
        assert_eq!(
            [25.0, 15.0, 5.0].map(|kept| verdict(&cost, Some(kept))),
            [Verdict::Miss, Verdict::Pass, Verdict::Aim]
        );
        assert_eq!(verdict(&rate, None), Verdict::Open);
    }

    #[test]
    fn a_promise_against_peers_takes_the_best_of_the_same_run() {
        let mut samples = Samples::default();
        let promise = PROMISES.iter().find(|promise| promise.unit == Unit::OfBestPeer).expect("there is one");
        samples.add(promise.row, promise.metric, "sabir", 90.0);
        assert_eq!(samples.kept(promise), None);
        samples.add(promise.row, promise.metric, "rabbitmq", 10.0);
        samples.add(promise.row, promise.metric, "activemq", 9.0);
        assert_eq!(samples.kept(promise), Some(9.0));
    }
}
