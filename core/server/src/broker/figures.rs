// SPDX-License-Identifier: Apache-2.0
//! All metrics in the text form of Prometheus, taken when somebody asks.

use super::committer::Committer;
use super::room::Room;
use crate::link::admission::Connections;
use sabir_engine::{Engine, QueueFigures};
use sabir_host::Store;
use sabir_stack::Metrics;
use std::fmt::Write;
use std::sync::Arc;

/// Whatever there is to be told of.
#[derive(Clone, Debug)]
pub struct Figures {
    /// The engine.
    room: Arc<Room>,
    /// The store.
    store: Arc<Store>,
    /// Whoever commits to it.
    committer: Arc<Committer>,
    /// The links.
    connections: Arc<Connections>,
    /// What sessions ask, and are answered.
    metrics: Arc<Metrics>,
    /// Destinations that have figures of their own.
    max_destinations: usize,
}

impl Figures {
    /// Of a broker made of these.
    pub fn new(
        room: &Arc<Room>,
        store: &Arc<Store>,
        committer: &Arc<Committer>,
        connections: &Arc<Connections>,
        metrics: Arc<Metrics>,
        max_destinations: usize,
    ) -> Self {
        let (room, store, committer) = (room.clone(), store.clone(), committer.clone());
        Figures { room, store, committer, connections: connections.clone(), metrics, max_destinations }
    }

    /// All metrics: of plugins, of sessions, of engine and store. Takes the engine's lock for a time in proportion to the
    /// number of queues.
    pub fn render(&self) -> String {
        let mut text = sabir_host::metrics::render();
        build_info(&mut text);
        self.metrics.render(&mut text);
        render(&self.room, &self.store, self.connections.total(), &mut text);
        destinations(&self.room.inspect(|engine| engine.largest_queues(self.max_destinations)), &mut text);
        let (name, help) =
            ("sabir_storage_commit_seconds", "From a batch to its being durable in the store.");
        let _ = write!(text, "# HELP {name} {help}\n# TYPE {name} histogram\n");
        self.committer.durations().render(name, "", &mut text);
        text
    }

    /// The time.
    pub fn now_ms(&self) -> u64 {
        self.room.now().monotonic_ms
    }
}

fn build_info(text: &mut String) {
    let (name, version) = ("sabir_build_info", env!("CARGO_PKG_VERSION"));
    let (major, minor) = (sabir_abi::SABIR_ABI_MAJOR, sabir_abi::SABIR_ABI_MINOR);
    let _ = write!(
        text,
        "# HELP {name} Always 1; what runs is in the labels.\n# TYPE {name} gauge\n\
         {name}{{version=\"{version}\",abi=\"{major}.{minor}\"}} 1\n"
    );
}

fn render(room: &Room, store: &Store, connections: usize, text: &mut String) {
    let engine = room.inspect(Engine::stats);
    let mut gauge = |name, help, value| family(text, name, "gauge", help, value);
    gauge("sabir_connections", "Links that there are.", connections as u64);
    gauge("sabir_sessions", "Sessions that have logged in.", engine.sessions);
    gauge("sabir_queues", "Queues, those of subscriptions included.", engine.queues);
    gauge("sabir_consumers", "Consumers.", engine.subscriptions);
    gauge(
        "sabir_prepared_branches",
        "Branches of distributed transactions that are prepared.",
        engine.prepared,
    );
    gauge("sabir_transactions", "Open transactions.", engine.transactions);
    gauge("sabir_queue_depth", "Messages in all queues.", engine.messages);
    gauge("sabir_queue_bytes", "Bytes of messages in all queues.", engine.bytes);
    gauge("sabir_queue_unacked", "Messages delivered and not settled.", engine.in_flight);
    gauge("sabir_messages_delayed", "Messages put off.", engine.delayed);
    gauge("sabir_messages_parked", "Publishes that wait for room.", engine.parked);
    gauge("sabir_memory_used_bytes", "Bytes of messages charged to memory.", engine.resident_bytes);
    gauge("sabir_storage_uncommitted_bytes", "Bytes on their way to the store.", engine.uncommitted_bytes);
    let mut counter = |name, help, value| family(text, name, "counter", help, value);
    counter("sabir_messages_received_total", "Messages published.", engine.published);
    let help = "Messages that were sent again, and not taken again.";
    counter("sabir_messages_repeated_total", help, engine.duplicates);
    counter("sabir_messages_delivered_total", "Messages delivered to consumers.", engine.delivered);
    counter("sabir_messages_acknowledged_total", "Deliveries accepted.", engine.accepted);
    counter("sabir_messages_rejected_total", "Deliveries rejected.", engine.rejected);
    let help = "Deliveries released, by consumers or by their going.";
    counter("sabir_messages_released_total", help, engine.released);
    counter("sabir_messages_expired_total", "Messages that expired.", engine.expired);
    counter("sabir_messages_dead_lettered_total", "Messages moved to dead letters.", engine.dead_lettered);
    let (name, help) = ("sabir_dead_letters_total", "Messages moved to dead letters, by why.");
    let _ = write!(text, "# HELP {name} {help}\n# TYPE {name} counter\n");
    for (reason, count) in [
        ("rejected", engine.dead_lettered_rejected),
        ("attempts", engine.dead_lettered_attempts),
        ("expired", engine.dead_lettered_expired),
        ("unroutable", engine.dead_lettered_unroutable),
    ] {
        let _ = writeln!(text, "{name}{{reason=\"{reason}\"}} {count}");
    }
    let mut counter = |name, help, value| family(text, name, "counter", help, value);
    counter(
        "sabir_messages_dropped_total",
        "Messages removed by policy: to make room, or as they had nowhere to go.",
        engine.dropped,
    );
    counter("sabir_storage_damaged_reads_total", "Reads that found a damaged record.", engine.damaged);
    // A store that cannot tell is no reason to tell nothing of the rest.
    let Ok(stats) = store.stats() else { return };
    let mut gauge = |name, help, value| family(text, name, "gauge", help, value);
    gauge("sabir_store_records", "Entries that exist.", stats.live_records);
    gauge("sabir_store_live_bytes", "Bytes of the records that exist, each once.", stats.live_bytes);
    gauge("sabir_store_used_bytes", "Bytes that the store occupies on its medium.", stats.used_bytes);
    if stats.free_bytes != u64::MAX {
        gauge("sabir_store_free_bytes", "Bytes that the store may still occupy.", stats.free_bytes);
    }
    gauge("sabir_store_index_bytes", "Memory that the store's index takes.", stats.index_bytes);
    let mut counter = |name, help, value| family(text, name, "counter", help, value);
    counter("sabir_storage_syncs_total", "Syncs of the store.", stats.syncs);
    counter("sabir_storage_written_bytes_total", "Bytes that the store has written.", stats.written_bytes);
}

/// A figure that each of the largest destinations has.
type DestinationFigure = (&'static str, &'static str, fn(&QueueFigures) -> Option<f64>);

const DESTINATION_FIGURES: [DestinationFigure; 5] = [
    ("sabir_destination_messages", "Messages in one of the largest queues.", |one| Some(one.messages as f64)),
    ("sabir_destination_bytes", "Their bytes.", |one| Some(one.bytes as f64)),
    ("sabir_destination_unacked", "Of these, delivered and not settled.", |one| Some(one.in_flight as f64)),
    ("sabir_destination_consumers", "Its consumers.", |one| Some(one.consumers as f64)),
    ("sabir_destination_oldest_age_seconds", "Since the message that waits longest was sent.", |one| {
        one.oldest_age_ms.map(|ms| ms as f64 / 1000.0)
    }),
];

fn destinations(largest: &[QueueFigures], text: &mut String) {
    for (name, help, value) in DESTINATION_FIGURES {
        let _ = write!(text, "# HELP {name} {help}\n# TYPE {name} gauge\n");
        for one in largest {
            let Some(value) = value(one) else { continue };
            let (host, destination) = (escaped(&one.virtual_host), escaped(&one.destination.to_string()));
            let _ = write!(text, "{name}{{virtual_host=\"{host}\",destination=\"{destination}\"");
            if let Some(subscription) = &one.subscription {
                let _ = write!(text, ",subscription=\"{}\"", escaped(subscription));
            }
            let _ = writeln!(text, "}} {value}");
        }
    }
}

/// A text as the value of a label.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

fn family(text: &mut String, name: &str, kind: &str, help: &str, value: u64) {
    let _ = write!(text, "# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {value}\n");
}
