// SPDX-License-Identifier: Apache-2.0
//! The process's metrics: one registry for the broker and its plugins, rendered as Prometheus text.
//!
//! Series live for ever, so that recording needs no look-up: it is one atomic operation. Names and labels come from
//! plugins, so their number is bounded.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

/// What stands in front of every name.
pub const PREFIX: &str = "sabir_";
/// Most metrics by name.
pub const MAX_FAMILIES: usize = 512;
/// Most series of one metric.
pub const MAX_SERIES: usize = 4096;
/// Longest name, label or label's value, in bytes.
pub const MAX_TEXT_BYTES: usize = 256;

/// Kinds of metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A value that only grows.
    Counter,
    /// A value that is set.
    Gauge,
    /// A distribution of observed values, in base units.
    Histogram,
}

impl Kind {
    /// From `SABIR_METRIC_*`.
    pub fn from_number(number: u32) -> Option<Self> {
        match number {
            sabir_abi::SABIR_METRIC_COUNTER => Some(Kind::Counter),
            sabir_abi::SABIR_METRIC_GAUGE => Some(Kind::Gauge),
            sabir_abi::SABIR_METRIC_HISTOGRAM => Some(Kind::Histogram),
            _ => None,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        }
    }
}

/// Upper bounds of the buckets of times, in seconds.
const SECONDS: &[f64] = &[
    0.000_01, 0.000_025, 0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1,
    0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
];
/// Upper bounds of the buckets of sizes and counts.
const SIZES: &[f64] = &[
    1.0,
    4.0,
    16.0,
    64.0,
    256.0,
    1024.0,
    4096.0,
    16384.0,
    65536.0,
    262_144.0,
    1_048_576.0,
    4_194_304.0,
    16_777_216.0,
];

/// One metric with one set of labels.
#[derive(Debug)]
pub struct Series {
    kind: Kind,
    /// Counter, gauge, or the sum of a histogram, as the bits of an f64.
    value: AtomicU64,
    /// Of a histogram: observations by bucket; the last one is beyond all bounds.
    buckets: Vec<AtomicU64>,
    bounds: &'static [f64],
}

impl Series {
    fn new(kind: Kind, name: &str) -> Self {
        let bounds = match kind {
            Kind::Histogram if name.ends_with("_seconds") => SECONDS,
            Kind::Histogram => SIZES,
            Kind::Counter | Kind::Gauge => &[],
        };
        let buckets = match kind {
            Kind::Histogram => (0..=bounds.len()).map(|_| AtomicU64::new(0)).collect(),
            Kind::Counter | Kind::Gauge => Vec::new(),
        };
        Series { kind, value: AtomicU64::new(0f64.to_bits()), buckets, bounds }
    }

    /// Adds to a counter, sets a gauge, or observes a value of a histogram. What is no number is skipped, and so is
    /// what would make a counter fall.
    pub fn record(&self, value: f64) {
        if value.is_nan() || (self.kind == Kind::Counter && value < 0.0) {
            return;
        }
        match self.kind {
            Kind::Gauge => self.value.store(value.to_bits(), Ordering::Relaxed),
            Kind::Counter => self.add(value),
            Kind::Histogram => {
                let bucket = self.bounds.partition_point(|bound| *bound < value);
                if let Some(bucket) = self.buckets.get(bucket) {
                    bucket.fetch_add(1, Ordering::Relaxed);
                }
                self.add(value);
            }
        }
    }

    fn add(&self, value: f64) {
        let mut seen = self.value.load(Ordering::Relaxed);
        loop {
            let sum = (f64::from_bits(seen) + value).to_bits();
            match self.value.compare_exchange_weak(seen, sum, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return,
                Err(now) => seen = now,
            }
        }
    }

    /// The counter's or gauge's value, or the sum of a histogram's observations.
    pub fn value(&self) -> f64 {
        f64::from_bits(self.value.load(Ordering::Relaxed))
    }
}

/// A metric's series, by their labels as they are rendered.
struct Family {
    kind: Kind,
    help: String,
    series: BTreeMap<String, &'static Series>,
}

static FAMILIES: Mutex<BTreeMap<String, Family>> = Mutex::new(BTreeMap::new());

/// The series of this name (`[a-z][a-z0-9_]*`, without the prefix) and these labels, made on first use. `None`: the
/// name or a label is not allowed, the name is taken by another kind, or there are too many.
pub fn find_or_make(kind: Kind, name: &str, help: &str, labels: &[(&str, &str)]) -> Option<&'static Series> {
    if !is_name(name) || !labels.iter().all(|(name, value)| is_name(name) && value.len() <= MAX_TEXT_BYTES) {
        return None;
    }
    // The name as Prometheus spells it: counters end in `_total`.
    let suffix = if kind == Kind::Counter && !name.ends_with("_total") { "_total" } else { "" };
    let full = format!("{PREFIX}{name}{suffix}");
    let mut families = FAMILIES.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    if families.len() >= MAX_FAMILIES && !families.contains_key(&full) {
        return None;
    }
    let family = families.entry(full).or_insert_with(|| Family {
        kind,
        help: help.to_owned(),
        series: BTreeMap::new(),
    });
    if family.kind != kind {
        return None;
    }
    let key = render_labels(labels);
    if let Some(series) = family.series.get(&key) {
        return Some(series);
    }
    if family.series.len() >= MAX_SERIES {
        return None;
    }
    // For ever: whoever holds the pointer needs no count, and the number is bounded.
    let series: &'static Series = Box::leak(Box::new(Series::new(kind, name)));
    family.series.insert(key, series);
    Some(series)
}

fn is_name(name: &str) -> bool {
    let mut bytes = name.bytes();
    name.len() <= MAX_TEXT_BYTES
        && bytes.next().is_some_and(|first| first.is_ascii_lowercase())
        && bytes.all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
}

fn render_labels(labels: &[(&str, &str)]) -> String {
    let mut sorted: Vec<_> = labels.to_vec();
    sorted.sort_unstable();
    sorted.dedup_by_key(|(name, _)| *name);
    let mut rendered = String::new();
    for (name, value) in sorted {
        let separator = if rendered.is_empty() { "" } else { "," };
        let value = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
        // Writing to a string cannot fail.
        let _ = write!(rendered, "{separator}{name}=\"{value}\"");
    }
    rendered
}

/// All metrics in the text format of Prometheus.
pub fn render() -> String {
    let mut out = String::new();
    let families = FAMILIES.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    for (name, family) in families.iter() {
        let help = family.help.replace('\\', "\\\\").replace('\n', "\\n");
        // Writing to a string cannot fail.
        let _ = write!(out, "# HELP {name} {help}\n# TYPE {name} {}\n", family.kind.name());
        for (labels, series) in &family.series {
            render_series(&mut out, name, labels, series);
        }
    }
    out
}

fn render_series(out: &mut String, name: &str, labels: &str, series: &Series) {
    let braces = if labels.is_empty() { String::new() } else { format!("{{{labels}}}") };
    if series.kind != Kind::Histogram {
        // Writing to a string cannot fail.
        let _ = writeln!(out, "{name}{braces} {}", series.value());
        return;
    }
    let comma = if labels.is_empty() { "" } else { "," };
    let mut count = 0;
    for (index, bucket) in series.buckets.iter().enumerate() {
        count += bucket.load(Ordering::Relaxed);
        let bound = series.bounds.get(index).map_or_else(|| String::from("+Inf"), ToString::to_string);
        let _ = writeln!(out, "{name}_bucket{{{labels}{comma}le=\"{bound}\"}} {count}");
    }
    let _ = writeln!(out, "{name}_sum{braces} {}\n{name}_count{braces} {count}", series.value());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_gauges_and_histograms_are_rendered_as_prometheus_reads_them() {
        let counter =
            find_or_make(Kind::Counter, "test_things", "Things.", &[("b", "2\"\n"), ("a", "1")]).unwrap();
        counter.record(2.0);
        counter.record(0.5);
        counter.record(-1.0);
        find_or_make(Kind::Gauge, "test_level", "Level.", &[]).unwrap().record(7.0);
        let times = find_or_make(Kind::Histogram, "test_wait_seconds", "Wait.", &[]).unwrap();
        times.record(0.003);
        times.record(100.0);
        let text = render();
        for line in [
            "# TYPE sabir_test_things_total counter",
            "sabir_test_things_total{a=\"1\",b=\"2\\\"\\n\"} 2.5",
            "sabir_test_level 7",
            "sabir_test_wait_seconds_bucket{le=\"0.0025\"} 0",
            "sabir_test_wait_seconds_bucket{le=\"0.005\"} 1",
            "sabir_test_wait_seconds_bucket{le=\"+Inf\"} 2",
            "sabir_test_wait_seconds_count 2",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is missing in\n{text}");
        }
    }

    #[test]
    fn bad_names_other_kinds_and_too_many_series_are_refused() {
        assert!(find_or_make(Kind::Gauge, "Bad", "", &[]).is_none());
        assert!(find_or_make(Kind::Gauge, "bad-name", "", &[]).is_none());
        assert!(find_or_make(Kind::Gauge, "test_bad", "", &[("le{}", "x")]).is_none());
        assert!(find_or_make(Kind::Gauge, "test_kind", "", &[]).is_some());
        assert!(find_or_make(Kind::Histogram, "test_kind", "", &[]).is_none());
        for index in 0..MAX_SERIES {
            assert!(find_or_make(Kind::Gauge, "test_many", "", &[("n", &index.to_string())]).is_some());
        }
        assert!(find_or_make(Kind::Gauge, "test_many", "", &[("n", "one more")]).is_none());
        assert!(find_or_make(Kind::Gauge, "test_many", "", &[("n", "7")]).is_some());
    }

    #[test]
    fn the_same_labels_in_another_order_are_the_same_series() {
        let one = find_or_make(Kind::Gauge, "test_order", "", &[("a", "1"), ("b", "2")]).unwrap();
        let two = find_or_make(Kind::Gauge, "test_order", "", &[("b", "2"), ("a", "1")]).unwrap();
        assert!(std::ptr::eq(one, two));
    }
}
