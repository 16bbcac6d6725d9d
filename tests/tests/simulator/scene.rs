// SPDX-License-Identifier: Apache-2.0
//! What a simulated world consists of: its queues, topics, subscriptions and targets, and who hears what.
//!
//! Which subscription hears which topic is written here by hand, so that the engine's own routing is not its judge.

use crate::ledger::{Id, Place};
use sabir_model::Destination;

/// Queues that clients use; the place of a queue is its index.
pub const QUEUES: [&str; 4] = ["orders", "payments.eu", "payments.us", "audit"];
/// The one of them that refuses what it has no room for.
pub const REFUSING: usize = 2;
/// Topics that clients publish to.
pub const TOPICS: [&str; 4] = ["prices.de", "prices.fr", "news.de.berlin", "prices"];
/// The queue for dead letters.
pub const DEAD_LETTER_QUEUE: &str = "ActiveMQ.DLQ";
/// The place of the first durable subscription.
pub const SUBSCRIPTIONS: Place = 100;
/// Where subscriptions wait that go with their session: nothing is promised of them but that they hear no more than
/// they may.
pub const PASSING: Place = 1_000;

/// What a subscription to topics asks for, and what that means.
#[derive(Debug)]
pub struct Desk {
    pub topics: &'static [&'static str],
    pub selector: Option<&'static str>,
    /// Which of [`TOPICS`] it hears.
    pub hears: [bool; TOPICS.len()],
    /// Numbers of messages, modulo 2, that its selector lets pass.
    pub parity: Option<u64>,
}

/// The durable subscription of each of the first clients; whoever has none takes up a passing one of the same kinds.
pub const DESKS: [Desk; 4] = [
    Desk { topics: &["prices.de"], selector: None, hears: [true, false, false, false], parity: None },
    Desk {
        topics: &["prices.*"],
        selector: Some("parity = 1 AND number > 0"),
        hears: [true, true, false, false],
        parity: Some(1),
    },
    Desk { topics: &["prices.#"], selector: None, hears: [true, true, false, true], parity: None },
    Desk {
        topics: &["*.de.#", "prices.fr"],
        selector: Some("number BETWEEN 0 AND 99999999 AND NOT (parity <> 0) AND missing IS NULL"),
        hears: [true, true, true, false],
        parity: Some(0),
    },
];

impl Desk {
    /// Whether it gets this message.
    pub fn wants(&self, target: &Target, id: Id) -> bool {
        target.topics.iter().any(|topic| self.hears[*topic])
            && self.parity.is_none_or(|parity| id % 2 == parity)
    }
}

/// Where a producer sends: queues and topics by their index. More than one make a composite.
pub struct Target {
    pub queues: &'static [usize],
    pub topics: &'static [usize],
}

const fn target(queues: &'static [usize], topics: &'static [usize]) -> Target {
    Target { queues, topics }
}

/// The targets; the number of a producer is the index and one.
pub const TARGETS: [Target; 12] = [
    target(&[0], &[]),
    target(&[1], &[]),
    target(&[2], &[]),
    target(&[3], &[]),
    target(&[], &[0]),
    target(&[], &[1]),
    target(&[], &[2]),
    target(&[], &[3]),
    target(&[0, 1], &[]),
    target(&[2], &[0]),
    target(&[], &[0, 2]),
    target(&[3], &[1]),
];

impl Target {
    pub fn destinations(&self) -> Vec<Destination> {
        let queues = self.queues.iter().map(|queue| Destination::queue(QUEUES[*queue]));
        let topics = self.topics.iter().map(|topic| Destination::topic(TOPICS[*topic]));
        queues.chain(topics).map(|one| one.expect("the names are names")).collect()
    }

    /// Where a message that is sent there waits.
    pub fn places(&self, id: Id) -> Vec<Place> {
        let queues = self.queues.iter().map(|queue| *queue as Place);
        let desks = DESKS.iter().enumerate().filter(|(_, desk)| desk.wants(self, id));
        queues.chain(desks.map(|(index, _)| SUBSCRIPTIONS + index as Place)).collect()
    }
}

/// What a consumer of queues asks for, and which queues that are. No target has two queues of one of them, so that
/// the message tells the queue.
pub const SOURCES: [(&[&str], &[Place]); 6] = [
    (&["orders"], &[0]),
    (&["payments.eu"], &[1]),
    (&["payments.us"], &[2]),
    (&["audit"], &[3]),
    (&["orders", "audit"], &[0, 3]),
    (&["payments.*"], &[1, 2]),
];

/// The place that a dead letter names as its origin, if it names one place.
pub fn origin_place(origin: &str) -> Option<Place> {
    let name = origin.strip_prefix("queue://")?;
    QUEUES.iter().position(|queue| *queue == name).map(|index| index as Place)
}
