// SPDX-License-Identifier: Apache-2.0
//! The counters, and their text for Prometheus.

use super::Histogram;
use crate::verb_kind::VerbKind;
use sabir_model::verb::Reason;
use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// Counters of all protocols.
#[derive(Debug, Default)]
pub struct Metrics {
    /// A handful, looked through when a session begins.
    protocols: Mutex<Vec<Arc<ProtocolMetrics>>>,
}

/// Counters of one protocol. They only grow.
#[derive(Debug, Default)]
pub struct ProtocolMetrics {
    name: String,
    pub(super) requests: [AtomicU64; VerbKind::ALL.len()],
    pub(super) refusals: [AtomicU64; Reason::ALL.len()],
    pub(super) published_bytes: AtomicU64,
    pub(super) confirmations: AtomicU64,
    pub(super) deliveries: AtomicU64,
    pub(super) delivered_bytes: AtomicU64,
    pub(super) publish_latency: Histogram,
    pub(super) end_to_end_latency: Histogram,
}

pub(super) fn add(counter: &AtomicU64, amount: u64) {
    if amount > 0 {
        counter.fetch_add(amount, Ordering::Relaxed);
    }
}

impl ProtocolMetrics {
    /// How often this was asked, refused or not.
    pub fn requests(&self, kind: VerbKind) -> u64 {
        self.requests.get(kind as usize).map_or(0, |counter| counter.load(Ordering::Relaxed))
    }

    /// How often something was refused for this reason, by the stack or by the engine.
    pub fn refusals(&self, reason: Reason) -> u64 {
        let index = (reason as usize).wrapping_sub(1);
        self.refusals.get(index).map_or(0, |counter| counter.load(Ordering::Relaxed))
    }

    /// How long publishes took until they were answered, those that wanted to be.
    pub fn publish_latency(&self) -> &Histogram {
        &self.publish_latency
    }

    /// How old messages were, by their own timestamps, when they were sent to consumers.
    pub fn end_to_end_latency(&self) -> &Histogram {
        &self.end_to_end_latency
    }

    /// The name as the value of a label.
    fn label(&self) -> String {
        self.name.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
    }

    /// Messages sent to consumers.
    pub fn deliveries(&self) -> u64 {
        self.deliveries.load(Ordering::Relaxed)
    }
}

impl Metrics {
    /// Without any protocol.
    pub fn new() -> Self {
        Metrics::default()
    }

    /// The counters of a protocol, made when it is first asked for.
    pub fn protocol(&self, name: &str) -> Arc<ProtocolMetrics> {
        let mut protocols = self.protocols.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = protocols.iter().find(|known| known.name == name) {
            return known.clone();
        }
        let new = Arc::new(ProtocolMetrics { name: name.to_owned(), ..ProtocolMetrics::default() });
        protocols.push(new.clone());
        new
    }

    /// Appends all counters in the text form of Prometheus.
    pub fn render(&self, text: &mut String) {
        let protocols = self.protocols.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let mut family =
            |name: &str, help: &str, samples: &dyn Fn(&ProtocolMetrics) -> Vec<(String, u64)>| {
                let _ = write!(text, "# HELP {name} {help}\n# TYPE {name} counter\n");
                for protocol in &protocols {
                    let label = protocol.label();
                    for (labels, value) in samples(protocol) {
                        let _ = writeln!(text, "{name}{{protocol=\"{label}\"{labels}}} {value}");
                    }
                }
            };
        family("sabir_requests_total", "Verbs that sessions asked.", &|protocol| {
            let sample = |kind: &VerbKind| (format!(",verb=\"{}\"", kind.name()), protocol.requests(*kind));
            VerbKind::ALL.iter().map(sample).collect()
        });
        family("sabir_refusals_total", "Verbs that were refused.", &|protocol| {
            let sample = |reason: &Reason| {
                (format!(",reason=\"{}\"", format!("{reason:?}").to_lowercase()), protocol.refusals(*reason))
            };
            Reason::ALL.iter().map(sample).collect()
        });
        let one = |counter: &AtomicU64| vec![(String::new(), counter.load(Ordering::Relaxed))];
        let help = "Heads and bodies of messages that were sent to the broker.";
        family("sabir_published_bytes_total", help, &|protocol| one(&protocol.published_bytes));
        let help = "Verbs that were answered with success.";
        family("sabir_confirmations_total", help, &|protocol| one(&protocol.confirmations));
        let help = "Messages that were sent to consumers.";
        family("sabir_deliveries_total", help, &|protocol| one(&protocol.deliveries));
        let help = "Heads and bodies of messages that were sent to consumers.";
        family("sabir_delivered_bytes_total", help, &|protocol| one(&protocol.delivered_bytes));
        type Times = fn(&ProtocolMetrics) -> &Histogram;
        let families: [(&str, &str, Times); 2] = [
            (
                "sabir_publish_latency_seconds",
                "From a publish that wants an answer to the answer, to a millisecond.",
                ProtocolMetrics::publish_latency,
            ),
            (
                "sabir_end_to_end_latency_seconds",
                "Age of messages, by their own timestamps, when they are sent to a consumer.",
                ProtocolMetrics::end_to_end_latency,
            ),
        ];
        for (name, help, times) in families {
            let _ = write!(text, "# HELP {name} {help}\n# TYPE {name} histogram\n");
            for protocol in &protocols {
                times(protocol).render(name, &format!("protocol=\"{}\"", protocol.label()), text);
            }
        }
    }
}
