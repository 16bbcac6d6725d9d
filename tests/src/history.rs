// SPDX-License-Identifier: Apache-2.0
//! What clients did and saw, and whether the broker kept its word.
//!
//! Clients note every step; at the end, when all queues have been drained, `check` looks for contradictions. A
//! *life* is the time from one start of the broker to its next.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;

/// A message: its producer and its number there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Id {
    pub producer: u32,
    pub number: u64,
}

impl fmt::Display for Id {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}:{}", self.producer, self.number)
    }
}

impl Id {
    /// Reads what `Display` wrote, at the start of a body.
    pub fn parse(text: &str) -> Option<Id> {
        let mut words = text.split([':', ' ']);
        Some(Id { producer: words.next()?.parse().ok()?, number: words.next()?.parse().ok()? })
    }
}

/// A step that a client took, or something that it saw.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// A message is about to be sent to a queue, perhaps in a transaction.
    Send { id: Id, queue: u32, transaction: Option<u64> },
    /// Its receipt came.
    Sent { id: Id },
    /// A commit is about to be asked for.
    Commit { transaction: u64 },
    /// Its receipt came.
    Committed { transaction: u64 },
    /// The transaction was given up.
    Abort { transaction: u64 },
    /// A message came to a consumer, that is to one subscription of one connection.
    Received { id: Id, queue: u32, consumer: u64, life: u32, redelivered: bool },
    /// The receipt of its acknowledgement came.
    Accepted { id: Id, queue: u32, life: u32 },
}

/// A word that was not kept.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Violation {
    /// It was confirmed and never came.
    Lost(Id),
    /// It came and was never sent, or not to that queue, or its transaction was given up.
    Phantom(Id),
    /// It came after its acceptance was confirmed.
    AfterAccept(Id),
    /// It came again in the same life without being marked as redelivered.
    Unmarked(Id),
    /// A consumer got it before an earlier one of the same producer.
    Order { earlier: Id, later: Id },
    /// Some of its messages came and some did not.
    Torn(u64),
}

#[derive(Default)]
struct Message {
    queue: u32,
    transaction: Option<u64>,
    confirmed: bool,
    received: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Open,
    Asked,
    Committed,
    Aborted,
}

/// Finds what the broker did not keep. All queues must have been drained.
pub fn check(events: &[Event]) -> Vec<Violation> {
    let mut check = Check::default();
    for event in events {
        check.take(event);
    }
    check.end()
}

#[derive(Default)]
struct Check {
    messages: BTreeMap<Id, Message>,
    transactions: BTreeMap<u64, Outcome>,
    /// The life in which an acceptance was confirmed.
    accepted: HashMap<Id, u32>,
    /// The life in which a message last came.
    last_life: HashMap<Id, u32>,
    /// The highest number that a consumer got from a producer, redelivered ones aside.
    highest: HashMap<(u64, u32), u64>,
    violations: BTreeSet<Violation>,
}

impl Check {
    fn take(&mut self, event: &Event) {
        match *event {
            Event::Send { id, queue, transaction } => {
                self.messages.insert(id, Message { queue, transaction, ..Message::default() });
                if let Some(transaction) = transaction {
                    self.transactions.entry(transaction).or_insert(Outcome::Open);
                }
            }
            Event::Sent { id } => {
                if let Some(message) = self.messages.get_mut(&id) {
                    message.confirmed = true;
                }
            }
            Event::Commit { transaction } => {
                self.transactions.insert(transaction, Outcome::Asked);
            }
            Event::Committed { transaction } => {
                self.transactions.insert(transaction, Outcome::Committed);
            }
            Event::Abort { transaction } => {
                self.transactions.insert(transaction, Outcome::Aborted);
            }
            Event::Accepted { id, life, .. } => {
                self.accepted.insert(id, life);
            }
            Event::Received { id, queue, consumer, life, redelivered } => {
                self.received(id, queue, life, redelivered);
                if !redelivered {
                    self.in_order(id, consumer);
                }
            }
        }
    }

    fn received(&mut self, id: Id, queue: u32, life: u32, redelivered: bool) {
        match self.messages.get_mut(&id) {
            Some(message) if message.queue == queue => message.received = true,
            _ => {
                self.violations.insert(Violation::Phantom(id));
            }
        }
        // What a connection had received when the broker died may be read, and noted, in the next life.
        if self.accepted.get(&id).is_some_and(|accepted| *accepted <= life) {
            self.violations.insert(Violation::AfterAccept(id));
        }
        if self.last_life.insert(id, life) == Some(life) && !redelivered {
            self.violations.insert(Violation::Unmarked(id));
        }
    }

    fn in_order(&mut self, id: Id, consumer: u64) {
        let highest = self.highest.entry((consumer, id.producer)).or_insert(id.number);
        if id.number < *highest {
            let later = Id { producer: id.producer, number: *highest };
            self.violations.insert(Violation::Order { earlier: id, later });
        }
        *highest = (*highest).max(id.number);
    }

    fn end(mut self) -> Vec<Violation> {
        let mut parts: BTreeMap<u64, (bool, bool)> = BTreeMap::new();
        for (id, message) in &self.messages {
            let Some(transaction) = message.transaction else {
                if message.confirmed && !message.received {
                    self.violations.insert(Violation::Lost(*id));
                }
                continue;
            };
            let (some, missing) = parts.entry(transaction).or_default();
            *some |= message.received;
            *missing |= !message.received;
            match self.transactions[&transaction] {
                Outcome::Committed if !message.received => {
                    self.violations.insert(Violation::Lost(*id));
                }
                Outcome::Aborted | Outcome::Open if message.received => {
                    self.violations.insert(Violation::Phantom(*id));
                }
                _ => {}
            }
        }
        let torn = parts.into_iter().filter(|(_, (some, missing))| *some && *missing);
        self.violations.extend(torn.map(|(transaction, _)| Violation::Torn(transaction)));
        self.violations.into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: u64) -> Id {
        Id { producer: 1, number }
    }

    fn received(number: u64) -> Event {
        Event::Received { id: id(number), queue: 0, consumer: 1, life: 1, redelivered: false }
    }

    /// Two messages, and a transaction of two, all of which arrive and are accepted.
    fn good() -> Vec<Event> {
        let mut events = Vec::new();
        for number in 0..2 {
            events.push(Event::Send { id: id(number), queue: 0, transaction: None });
            events.push(Event::Sent { id: id(number) });
        }
        for number in 2..4 {
            events.push(Event::Send { id: id(number), queue: 0, transaction: Some(7) });
        }
        events.extend([Event::Commit { transaction: 7 }, Event::Committed { transaction: 7 }]);
        for number in 0..4 {
            events.push(received(number));
            events.push(Event::Accepted { id: id(number), queue: 0, life: 1 });
        }
        events
    }

    fn without(unwanted: Event) -> Vec<Event> {
        good().into_iter().filter(|event| *event != unwanted).collect()
    }

    #[test]
    fn a_good_history_has_no_contradiction() {
        assert_eq!(check(&good()), []);
    }

    #[test]
    fn a_dropped_message_is_reported() {
        assert_eq!(check(&without(received(0))), [Violation::Lost(id(0))]);
    }

    #[test]
    fn a_dropped_message_of_a_transaction_is_reported_as_torn() {
        assert_eq!(check(&without(received(3))), [Violation::Lost(id(3)), Violation::Torn(7)]);
    }

    #[test]
    fn a_duplicated_message_is_reported() {
        let mut events = good();
        events.push(received(3));
        assert_eq!(check(&events), [Violation::AfterAccept(id(3)), Violation::Unmarked(id(3))]);
        let before_accept = events.iter().position(|event| *event == received(3)).expect("it is there");
        events.pop();
        events.insert(before_accept, received(3));
        assert_eq!(check(&events), [Violation::Unmarked(id(3))]);
    }

    #[test]
    fn two_swapped_messages_are_reported() {
        let mut events = good();
        let places: Vec<usize> = [0, 1]
            .map(|number| events.iter().position(|event| *event == received(number)).expect("it is there"))
            .to_vec();
        events.swap(places[0], places[1]);
        let order = Violation::Order { earlier: id(0), later: id(1) };
        assert!(check(&events).contains(&order), "{:?}", check(&events));
    }

    #[test]
    fn a_message_that_nobody_sent_is_reported() {
        let mut events = good();
        events.push(received(99));
        assert_eq!(check(&events), [Violation::Phantom(id(99))]);
    }

    #[test]
    fn a_message_of_an_aborted_or_open_transaction_is_reported() {
        let without_commit = good()
            .into_iter()
            .filter(|event| !matches!(event, Event::Commit { .. } | Event::Committed { .. }));
        let mut events: Vec<Event> = without_commit.collect();
        assert_eq!(check(&events), [Violation::Phantom(id(2)), Violation::Phantom(id(3))]);
        events.push(Event::Abort { transaction: 7 });
        assert_eq!(check(&events), [Violation::Phantom(id(2)), Violation::Phantom(id(3))]);
    }

    #[test]
    fn what_was_not_confirmed_may_come_or_not_but_whole() {
        let asked: Vec<Event> = good()
            .into_iter()
            .filter(|event| !matches!(event, Event::Committed { .. } | Event::Sent { .. }))
            .collect();
        assert_eq!(check(&asked), []);
        let none: Vec<Event> =
            asked.into_iter().filter(|event| !matches!(event, Event::Received { .. })).collect();
        assert_eq!(check(&none), []);
    }

    #[test]
    fn a_message_may_come_again_in_the_next_life_if_its_acceptance_was_not_confirmed() {
        let mut events = without(Event::Accepted { id: id(1), queue: 0, life: 1 });
        events.push(Event::Received { id: id(1), queue: 0, consumer: 2, life: 2, redelivered: true });
        assert_eq!(check(&events), []);
        let late = Event::Received { id: id(0), queue: 0, consumer: 2, life: 2, redelivered: true };
        events.push(late);
        assert_eq!(check(&events), [Violation::AfterAccept(id(0))]);
    }
}
