// SPDX-License-Identifier: Apache-2.0
//! A peak: for a while ten times as much comes in as is taken out.

use crate::data;
use sabir_tests::process::{Broker, full};
use sabir_tests::stomp::{Client, Frame};
use std::time::{Duration, Instant};

const MIB: u64 = 1024 * 1024;
/// How much faster the producer is.
const TIMES: u64 = 10;
/// Messages that the consumer takes at a time.
const TAKEN: u64 = 50;
/// By how much memory may grow once the peak has begun: what is kept at hand of two queues, and the noise of an
/// allocator.
const GROWTH_BYTES: u64 = 24 * MIB;
const BODY_BYTES: usize = 1024;

/// A queue with its producer and its consumer.
struct Flow {
    destination: &'static str,
    persistent: bool,
    producer: Client,
    consumer: Client,
    sent: u64,
    taken: u64,
}

impl Flow {
    fn open(broker: &Broker, destination: &'static str, persistent: bool) -> Flow {
        let connect = || Client::connect(broker.address).expect("the broker is there");
        let (producer, mut consumer) = (connect(), connect());
        consumer.subscribe("0", destination, "client", TAKEN as usize).expect("a subscription");
        Flow { destination, persistent, producer, consumer, sent: 0, taken: 0 }
    }

    /// Sends as many as the consumer takes in ten rounds; every one is confirmed by the receipt for the last.
    fn send(&mut self) {
        let end = self.sent + TIMES * TAKEN;
        for number in self.sent..end {
            let mut body = format!("{number:010} ").into_bytes();
            body.resize(BODY_BYTES, b'x');
            let persistent = if self.persistent { "true" } else { "false" };
            let headers = [("destination", self.destination), ("persistent", persistent)];
            let frame = Frame::new("SEND", &headers).with_body(&body);
            if number + 1 == end {
                self.producer.confirm(frame).expect("nothing is refused");
            } else {
                self.producer.send(&frame).expect("a living connection");
            }
        }
        self.sent = end;
    }

    /// Takes one round, in order.
    fn take(&mut self) {
        let end = self.taken + TAKEN;
        let mut last = None;
        for number in self.taken..end {
            let frame = self.consumer.receive().expect("nothing is lost");
            assert!(frame.text().starts_with(&format!("{number:010} ")), "{number}: {frame:?}");
            last = frame.header("ack").map(str::to_owned);
        }
        let ack = last.expect("an ack header");
        self.consumer.send(&Frame::new("ACK", &[("id", &ack)])).expect("a living connection");
        self.taken = end;
    }
}

#[test]
fn ten_times_the_consumers_rate_is_taken_in_while_memory_stays_flat_and_nothing_is_lost_or_refused() {
    let (_folder, data) = data();
    let broker = Broker::start(&data);
    let mut flows = [
        Flow::open(&broker, "/queue/peak.persistent", true),
        Flow::open(&broker, "/queue/peak.fleeting", false),
    ];
    let length = Duration::from_secs(if full() { 60 } else { 8 });
    let start = Instant::now();
    let mut early = None;
    while start.elapsed() < length {
        for flow in &mut flows {
            flow.send();
            flow.take();
        }
        if early.is_none() && start.elapsed() > length / 8 {
            early = Some((broker.memory_bytes().0, flows[0].sent));
        }
    }
    let (before, sent_before) = early.expect("several rounds fit into the time");
    let (_, peak) = broker.memory_bytes();
    let sent = flows[0].sent;
    println!("{sent} messages of each kind, memory {} to {} MiB", before / MIB, peak / MIB);
    let came_bytes = 2 * (sent - sent_before) * BODY_BYTES as u64;
    assert!(came_bytes > GROWTH_BYTES, "{came_bytes} bytes are too few to prove anything");
    assert!(peak < before + GROWTH_BYTES, "memory grew from {} to {} MiB", before / MIB, peak / MIB);
    for flow in &mut flows {
        while flow.taken < flow.sent {
            flow.take();
        }
    }
    let (_, peak) = broker.memory_bytes();
    assert!(peak < before + GROWTH_BYTES, "memory grew to {} MiB while the peak went down", peak / MIB);
}
