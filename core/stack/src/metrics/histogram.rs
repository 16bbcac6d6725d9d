// SPDX-License-Identifier: Apache-2.0
//! How times are distributed: counts of them below fixed bounds, in the text form of Prometheus.

use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering};

/// Upper bounds of the buckets, in microseconds; one more bucket takes what lies beyond.
const BOUNDS_US: [u64; 17] = [
    100,
    250,
    500,
    1_000,
    2_500,
    5_000,
    10_000,
    25_000,
    50_000,
    100_000,
    250_000,
    500_000,
    1_000_000,
    2_500_000,
    10_000_000,
    60_000_000,
    600_000_000,
];
const BUCKETS: usize = BOUNDS_US.len() + 1;

/// A distribution that many threads add to.
#[derive(Debug, Default)]
pub struct Histogram {
    buckets: [AtomicU64; BUCKETS],
    sum_us: AtomicU64,
}

/// What one thread has seen since it last added it: an atomic addition for each time would cost more than the rest.
#[derive(Debug, Default)]
pub struct Tally {
    buckets: [u64; BUCKETS],
    sum_us: u64,
}

impl Tally {
    /// So many times of this length.
    pub fn note(&mut self, time_us: u64, count: u64) {
        let bucket = BOUNDS_US.partition_point(|bound| *bound < time_us);
        if let Some(bucket) = self.buckets.get_mut(bucket) {
            *bucket += count;
        }
        self.sum_us = self.sum_us.saturating_add(time_us.saturating_mul(count));
    }
}

impl Histogram {
    /// Adds what was seen.
    pub fn add(&self, tally: &Tally) {
        for (bucket, count) in self.buckets.iter().zip(tally.buckets) {
            super::counters::add(bucket, count);
        }
        super::counters::add(&self.sum_us, tally.sum_us);
    }

    /// Adds one time.
    pub fn observe(&self, time: std::time::Duration) {
        let mut tally = Tally::default();
        tally.note(u64::try_from(time.as_micros()).unwrap_or(u64::MAX), 1);
        self.add(&tally);
    }

    /// How many times there were.
    pub fn count(&self) -> u64 {
        self.buckets.iter().map(|bucket| bucket.load(Ordering::Relaxed)).sum()
    }

    /// Appends the series. `labels`: `name="value"` pairs with commas between them, or nothing.
    pub fn render(&self, name: &str, labels: &str, text: &mut String) {
        let comma = if labels.is_empty() { "" } else { "," };
        let mut count = 0;
        let bounds = BOUNDS_US.iter().map(|bound| seconds(*bound)).chain(["+Inf".to_owned()]);
        for (bucket, bound) in self.buckets.iter().zip(bounds) {
            count += bucket.load(Ordering::Relaxed);
            let _ = writeln!(text, "{name}_bucket{{{labels}{comma}le=\"{bound}\"}} {count}");
        }
        let braces = if labels.is_empty() { String::new() } else { format!("{{{labels}}}") };
        let sum = seconds(self.sum_us.load(Ordering::Relaxed));
        let _ = write!(text, "{name}_sum{braces} {sum}\n{name}_count{braces} {count}\n");
    }
}

/// As a number of seconds, exactly.
fn seconds(time_us: u64) -> String {
    let text = format!("{}.{:06}", time_us / 1_000_000, time_us % 1_000_000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_time_is_counted_below_every_bound_that_it_does_not_pass() {
        let histogram = Histogram::default();
        let mut tally = Tally::default();
        tally.note(0, 2);
        tally.note(100, 1);
        tally.note(101, 1);
        tally.note(u64::MAX, 1);
        histogram.add(&tally);
        histogram.observe(std::time::Duration::from_millis(3));
        assert_eq!(histogram.count(), 6);
        let mut text = String::new();
        histogram.render("x", "a=\"b\"", &mut text);
        for line in [
            "x_bucket{a=\"b\",le=\"0.0001\"} 3",
            "x_bucket{a=\"b\",le=\"0.00025\"} 4",
            "x_bucket{a=\"b\",le=\"0.0025\"} 4",
            "x_bucket{a=\"b\",le=\"0.005\"} 5",
            "x_bucket{a=\"b\",le=\"600\"} 5",
            "x_bucket{a=\"b\",le=\"+Inf\"} 6",
            "x_count{a=\"b\"} 6",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is not in {text}");
        }
    }

    #[test]
    fn seconds_are_told_exactly() {
        for (time_us, text) in [(0, "0"), (1, "0.000001"), (2_500_000, "2.5"), (60_000_000, "60")] {
            assert_eq!(seconds(time_us), text);
        }
    }
}
