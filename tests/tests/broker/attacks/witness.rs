// SPDX-License-Identifier: Apache-2.0
//! A client that works beside an attack: it must go on working, and the broker's memory must stay within a bound.

use sabir_tests::process::Broker;
use sabir_tests::stomp::{Client, message};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// The longest that a message of the witness may take, there and back, on a machine that is busy with the attack too.
const ROUND_TRIP_BOUND: Duration = Duration::from_secs(3);
/// Between two messages.
const PAUSE: Duration = Duration::from_millis(5);

/// Sends itself messages without pause, until it is dropped.
pub struct Witness<'b> {
    broker: &'b Broker,
    rounds: Arc<AtomicU64>,
    ends: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl<'b> Witness<'b> {
    /// Begins to work.
    pub fn beside(broker: &'b Broker) -> Witness<'b> {
        let mut client = Client::connect(broker.address).expect("the broker is there");
        client.subscribe("0", "/queue/witness", "auto", 10).expect("a subscription");
        let (rounds, ends) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let (count, end) = (rounds.clone(), ends.clone());
        let thread = std::thread::spawn(move || {
            while !end.load(Ordering::Relaxed) {
                work(&mut client, count.load(Ordering::Relaxed));
                count.fetch_add(1, Ordering::Relaxed);
            }
        });
        let witness = Witness { broker, rounds, ends, thread: Some(thread) };
        // The first messages make the broker reserve what it needs anyway.
        witness.expect_rounds(50, "nothing yet");
        witness
    }

    /// Expects that during the attack the witness works on, and that memory grows by less than `bound_bytes`.
    pub fn during(&mut self, what: &str, bound_bytes: u64, attack: impl FnOnce()) {
        self.broker.forget_peak_memory();
        let (before, _) = self.broker.memory_bytes();
        attack();
        self.expect_rounds(3, what);
        let (_, peak) = self.broker.memory_bytes();
        let grown = peak.saturating_sub(before);
        assert!(grown < bound_bytes, "{what}: memory grew by {grown} bytes, the bound is {bound_bytes}");
    }

    fn expect_rounds(&self, count: u64, what: &str) {
        let wanted = self.rounds.load(Ordering::Relaxed) + count;
        let deadline = Instant::now() + ROUND_TRIP_BOUND * count as u32;
        while self.rounds.load(Ordering::Relaxed) < wanted {
            let works = self.thread.as_ref().is_some_and(|thread| !thread.is_finished());
            assert!(works && Instant::now() < deadline, "{what}: the witness stands still");
            std::thread::yield_now();
        }
    }
}

fn work(client: &mut Client, number: u64) {
    let body = number.to_string();
    let start = Instant::now();
    client.send(&message("/queue/witness", body.as_bytes())).expect("a living connection");
    let frame = client.receive().expect("the witness's own message");
    assert_eq!(frame.text(), body, "messages of the witness are neither lost nor mixed up");
    assert!(start.elapsed() < ROUND_TRIP_BOUND, "the witness has waited for {:?}", start.elapsed());
    let nothing = client.receive_within(PAUSE).expect("a living connection");
    assert_eq!(nothing, None, "nothing is delivered twice");
}

impl Drop for Witness<'_> {
    fn drop(&mut self) {
        self.ends.store(true, Ordering::Relaxed);
        let ended = self.thread.take().map(JoinHandle::join);
        if !std::thread::panicking() {
            assert!(matches!(ended, Some(Ok(()))), "the witness has failed");
        }
    }
}
