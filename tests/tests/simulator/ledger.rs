// SPDX-License-Identifier: Apache-2.0
//! What the clients of a simulated broker were promised, and whether it was kept.
//!
//! Knows nothing of the engine: it is told what clients did and saw, and finds contradictions. Each message has a
//! unique number; where it waits (a queue, or a durable subscription) is a *place*.

use crate::scene::{PASSING, SUBSCRIPTIONS};
use std::collections::{BTreeMap, BTreeSet};

/// Number of a message.
pub type Id = u64;
/// A queue, or a durable subscription.
pub type Place = u16;
/// A transaction; never used twice.
pub type Tx = u64;

/// The place where dead letters wait.
pub const DEAD_LETTERS: Place = u16::MAX;

/// What is known of a publish.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sent {
    /// No answer came: it may be there or not.
    Unknown,
    /// The broker said yes.
    Confirmed,
    /// The broker said no: it must never appear.
    Refused,
    /// It waits for its transaction.
    Pending(Tx),
}

/// What is known of an acceptance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Accepted {
    No,
    /// Asked for, not answered, in this incarnation of the broker.
    Asked(u32),
    /// The broker said yes.
    Confirmed,
    /// Part of a transaction.
    Pending(Tx),
}

/// What is known of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Neither commit nor rollback was asked for.
    Open,
    /// A commit was asked for and not answered, in this incarnation.
    CommitAsked(u32),
    /// The broker said yes.
    Committed,
    /// Prepared, and neither committed nor rolled back: nothing of it may show, and nothing that it consumed come back.
    Prepared,
    /// That was asked for and not answered.
    PrepareAsked,
    /// It was rolled back, or its session ended before a commit was asked for.
    RolledBack,
}

#[derive(Clone, Debug)]
struct Copy {
    accepted: Accepted,
    rejected: bool,
    holder: Option<u64>,
    seen: u32,
    drained: bool,
    /// A dead letter with this number was there: this copy's, or another's.
    may_be_dead: bool,
}

#[derive(Clone, Debug)]
struct Message {
    sent: Sent,
    persistent: bool,
    may_expire: bool,
    /// Messages of one producer to one place that keep their order have the same lane; `None`: no promise.
    lane: Option<(u32, u16)>,
    incarnation: u32,
    copies: BTreeMap<Place, Copy>,
}

/// A promise that was broken, told for people.
pub type Violation = String;

/// What a publish promised.
#[derive(Clone, Debug)]
pub struct Publish {
    pub id: Id,
    pub places: Vec<Place>,
    pub persistent: bool,
    pub may_expire: bool,
    pub lane: Option<(u32, u16)>,
    pub tx: Option<Tx>,
}

#[derive(Debug, Default)]
pub struct Ledger {
    messages: BTreeMap<Id, Message>,
    transactions: BTreeMap<Tx, Outcome>,
    last_first_seen: BTreeMap<(u32, u16, Place), Id>,
    incarnation: u32,
    clock_went_back: bool,
    pub violations: Vec<Violation>,
}

impl Ledger {
    fn wrong(&mut self, text: String) {
        self.violations.push(text);
    }

    /// The broker has ended, by crash or stop, and comes back.
    pub fn restarted(&mut self) {
        self.incarnation += 1;
        for message in self.messages.values_mut() {
            for copy in message.copies.values_mut() {
                copy.holder = None;
            }
        }
    }

    /// What had expired may be valid again.
    pub fn clock_went_back(&mut self) {
        self.clock_went_back = true;
    }

    pub fn published(&mut self, publish: Publish) {
        let copy = Copy {
            accepted: Accepted::No,
            rejected: false,
            holder: None,
            seen: 0,
            drained: false,
            may_be_dead: false,
        };
        let message = Message {
            sent: publish.tx.map_or(Sent::Unknown, Sent::Pending),
            persistent: publish.persistent,
            may_expire: publish.may_expire,
            lane: publish.lane,
            incarnation: self.incarnation,
            copies: publish.places.iter().map(|place| (*place, copy.clone())).collect(),
        };
        self.messages.insert(publish.id, message);
    }

    /// Nothing is promised any more of when it comes.
    pub fn lost_order(&mut self, id: Id) {
        if let Some(message) = self.messages.get_mut(&id) {
            message.lane = None;
        }
    }

    pub fn publish_answered(&mut self, id: Id, yes: bool) {
        let Some(message) = self.messages.get_mut(&id) else { return };
        // Inside a transaction the answer only says that the message was taken in.
        if !matches!(message.sent, Sent::Pending(_)) || !yes {
            message.sent = if yes { Sent::Confirmed } else { Sent::Refused };
        }
    }

    pub fn began(&mut self, tx: Tx) {
        self.transactions.insert(tx, Outcome::Open);
    }

    pub fn commit_asked(&mut self, tx: Tx) {
        self.transactions.insert(tx, Outcome::CommitAsked(self.incarnation));
    }

    pub fn prepare_asked(&mut self, tx: Tx) {
        self.transactions.insert(tx, Outcome::PrepareAsked);
    }

    pub fn prepared(&mut self, tx: Tx) {
        self.transactions.insert(tx, Outcome::Prepared);
    }

    pub fn committed(&mut self, tx: Tx) {
        self.transactions.insert(tx, Outcome::Committed);
    }

    /// Its effects must never show.
    pub fn rolled_back(&mut self, tx: Tx) {
        self.transactions.insert(tx, Outcome::RolledBack);
        for message in self.messages.values_mut() {
            for copy in message.copies.values_mut() {
                if copy.accepted == Accepted::Pending(tx) {
                    copy.accepted = Accepted::No;
                }
            }
        }
    }

    fn outcome(&self, tx: Tx) -> Outcome {
        self.transactions.get(&tx).copied().unwrap_or(Outcome::Open)
    }

    pub fn has_clock_gone_back(&self) -> bool {
        self.clock_went_back
    }

    /// A browser was shown a message that waits in a place.
    pub fn looked_at(&mut self, id: Id, place: Place) {
        if self.check_sent(id, place) {
            self.check_free(id, place);
        }
    }

    /// A message has reached a consumer of a place. `holder` is a number for the delivery's owner.
    pub fn delivered(&mut self, id: Id, place: Place, holder: u64, redelivered: bool) {
        // Copies of dead letters and of passing subscriptions are not counted.
        if self.check_sent(id, place) && place != DEAD_LETTERS && place != PASSING {
            self.check_copy(id, place, holder, redelivered);
        }
    }

    /// Whether there is such a message; if it must not be seen, that is noted.
    fn check_sent(&mut self, id: Id, place: Place) -> bool {
        let Some(message) = self.messages.get(&id) else {
            self.wrong(format!("message {id} was delivered from place {place} but never sent"));
            return false;
        };
        match message.sent {
            Sent::Refused => {
                self.wrong(format!("message {id} was refused, and then delivered from place {place}"))
            }
            Sent::Pending(tx) => match self.outcome(tx) {
                Outcome::Open | Outcome::Prepared | Outcome::PrepareAsked => self
                    .wrong(format!("message {id} was delivered before its transaction {tx} was committed")),
                Outcome::RolledBack => {
                    self.wrong(format!("message {id} of the rolled back transaction {tx} was delivered"))
                }
                Outcome::CommitAsked(_) | Outcome::Committed => {}
            },
            Sent::Unknown | Sent::Confirmed => {}
        }
        true
    }

    /// Whether there is such a copy; if somebody has it or has accepted it, that is noted.
    fn check_free(&mut self, id: Id, place: Place) -> bool {
        let incarnation = self.incarnation;
        let Some(copy) = self.messages.get(&id).and_then(|message| message.copies.get(&place)).cloned()
        else {
            self.wrong(format!("message {id} was delivered from place {place}, where it was never sent"));
            return false;
        };
        if let Some(other) = copy.holder {
            self.wrong(format!("message {id} was delivered from place {place} while {other} had it"));
        }
        match copy.accepted {
            Accepted::Confirmed => self.wrong(format!(
                "message {id} was delivered from place {place} after its accept was confirmed"
            )),
            Accepted::Asked(at) if at == incarnation => {
                self.wrong(format!(
                    "message {id} was delivered from place {place} after it was accepted, without a restart"
                ));
            }
            Accepted::Pending(tx) => match self.outcome(tx) {
                Outcome::Committed => self.wrong(format!(
                    "message {id} was delivered from place {place} after transaction {tx} consumed it"
                )),
                Outcome::Prepared => self.wrong(format!(
                    "message {id} was delivered from place {place} while the prepared transaction {tx} withheld it"
                )),
                Outcome::CommitAsked(at) if at == incarnation => {
                    self.wrong(format!("message {id} was delivered from place {place} while transaction {tx} that consumed it was committing"));
                }
                _ => {}
            },
            _ => {}
        }
        true
    }

    fn check_copy(&mut self, id: Id, place: Place, holder: u64, redelivered: bool) {
        if !self.check_free(id, place) {
            return;
        }
        let Some(copy) = self.copy(id, place).cloned() else { return };
        if copy.seen > 0 && !redelivered && copy.drained {
            self.wrong(format!("message {id} came twice from place {place} without the redelivered flag"));
        }
        if copy.seen == 0 {
            self.check_order(id, place);
        }
        if let Some(copy) = self.messages.get_mut(&id).and_then(|message| message.copies.get_mut(&place)) {
            copy.holder = Some(holder);
            copy.seen += 1;
        }
    }

    fn check_order(&mut self, id: Id, place: Place) {
        let Some(message) = self.messages.get(&id) else { return };
        // What was found expired goes without anybody being told. A crash may bring it back, and a clock that has
        // gone back makes it valid again, while those behind it were delivered.
        if message.may_expire && self.clock_went_back {
            return;
        }
        let Some((producer, lane)) = message.lane else { return };
        let last = self.last_first_seen.insert((producer, lane, place), id);
        if let Some(last) = last.filter(|last| *last > id) {
            self.wrong(format!(
                "place {place} gave message {id} of producer {producer} after its later message {last}"
            ));
        }
    }

    fn copy(&mut self, id: Id, place: Place) -> Option<&mut Copy> {
        self.messages.get_mut(&id)?.copies.get_mut(&place)
    }

    pub fn accept_asked(&mut self, id: Id, place: Place, tx: Option<Tx>) {
        let incarnation = self.incarnation;
        if let Some(copy) = self.copy(id, place) {
            copy.accepted = tx.map_or(Accepted::Asked(incarnation), Accepted::Pending);
            copy.holder = None;
        }
    }

    pub fn accept_confirmed(&mut self, id: Id, place: Place) {
        if let Some(copy) = self.copy(id, place) {
            copy.accepted = Accepted::Confirmed;
        }
    }

    /// The broker refused to settle: the delivery is not this consumer's any more.
    pub fn accept_refused(&mut self, id: Id, place: Place) {
        if let Some(copy) = self.copy(id, place) {
            copy.accepted = Accepted::No;
        }
    }

    pub fn given_back(&mut self, id: Id, place: Place, rejected: bool) {
        if let Some(copy) = self.copy(id, place) {
            copy.holder = None;
            copy.rejected |= rejected;
        }
    }

    /// A consumer that had accepted a message has it again: that was in a branch, which was rolled back.
    pub fn regained(&mut self, id: Id, place: Place, holder: u64) {
        if let Some(copy) = self.copy(id, place) {
            copy.holder = Some(holder);
        }
    }

    /// All that `holder` had is free again: its session has ended.
    pub fn holder_gone(&mut self, is_its: impl Fn(u64) -> bool) {
        for message in self.messages.values_mut() {
            for copy in message.copies.values_mut() {
                if copy.holder.is_some_and(&is_its) {
                    copy.holder = None;
                }
            }
        }
    }

    /// The final drain saw this.
    pub fn drained(&mut self, id: Id, place: Place) {
        if let Some(copy) = self.copy(id, place) {
            copy.drained = true;
        }
    }

    /// The final drain found a dead letter that comes from this place; `None`: from some subscription.
    pub fn died(&mut self, id: Id, origin: Option<Place>) {
        let Some(origin) = origin else {
            let Some(message) = self.messages.get_mut(&id) else { return };
            let subscriptions = message.copies.iter_mut().filter(|(place, _)| **place >= SUBSCRIPTIONS);
            return subscriptions.for_each(|(_, copy)| copy.may_be_dead = true);
        };
        let Some(copy) = self.copy(id, origin) else {
            return self
                .wrong(format!("dead letter {id} comes from place {origin}, where it was never sent"));
        };
        let twice = copy.drained || copy.may_be_dead;
        let confirmed = copy.accepted == Accepted::Confirmed;
        copy.may_be_dead = true;
        if twice {
            self.wrong(format!("message {id} of place {origin} is a dead letter, and there once more"));
        }
        if confirmed {
            self.wrong(format!(
                "message {id} of place {origin} is a dead letter, and its accept was confirmed"
            ));
        }
    }

    /// Checks, after everything that was left has been drained, that nothing is missing and that transactions were
    /// whole.
    pub fn finish(&mut self) {
        let shown = self.transactions_that_show();
        let mut wrong = Vec::new();
        for (id, message) in &self.messages {
            let sent = match message.sent {
                Sent::Confirmed => true,
                Sent::Pending(tx) => match self.outcome(tx) {
                    Outcome::Committed => true,
                    Outcome::CommitAsked(_) => shown.contains(&tx),
                    Outcome::Open | Outcome::RolledBack | Outcome::Prepared | Outcome::PrepareAsked => false,
                },
                // Nobody was told, but somebody has seen it: what was delivered had been committed, everywhere.
                Sent::Unknown => message.copies.values().any(|copy| copy.seen > 0),
                Sent::Refused => false,
            };
            let kept = message.persistent || message.incarnation == self.incarnation;
            // An expired message that is persistent is a dead letter; another one is gone.
            if !sent || !kept || (message.may_expire && !message.persistent) {
                continue;
            }
            for (place, copy) in &message.copies {
                let consumed = match copy.accepted {
                    Accepted::No => false,
                    Accepted::Asked(_) | Accepted::Confirmed => true,
                    Accepted::Pending(tx) => {
                        matches!(self.outcome(tx), Outcome::Committed | Outcome::CommitAsked(_))
                    }
                };
                // Rejected messages that are not persistent are not kept as dead letters.
                let dropped = copy.rejected && !message.persistent;
                if !consumed && !copy.drained && !copy.may_be_dead && !dropped {
                    wrong.push(format!("message {id} was confirmed or seen, never accepted, and is missing in place {place}: {copy:?}"));
                }
            }
        }
        wrong.extend(self.torn_transactions(&shown));
        self.violations.extend(wrong);
    }

    /// Transactions of which no answer came but some effect was seen.
    fn transactions_that_show(&self) -> BTreeSet<Tx> {
        let published = self.messages.values().filter_map(|message| match message.sent {
            Sent::Pending(tx) if message.copies.values().any(|copy| copy.seen > 0 || copy.drained) => {
                Some(tx)
            }
            _ => None,
        });
        published.collect()
    }

    /// Transactions that show one effect and lack another: what they consumed came back though what they sent is
    /// there, or the other way about.
    fn torn_transactions(&self, shown: &BTreeSet<Tx>) -> Vec<Violation> {
        let mut torn = self.senders_without_effect(shown);
        for (id, message) in &self.messages {
            for (place, copy) in &message.copies {
                if let Accepted::Pending(tx) = copy.accepted
                    && shown.contains(&tx)
                    && copy.drained
                {
                    torn.push(format!(
                        "transaction {tx} is torn: what it sent is there, but message {id} that it consumed came back to place {place}"
                    ));
                }
            }
        }
        torn
    }

    /// Of transactions that show nothing of what they sent: messages that they consumed, and that are gone.
    fn senders_without_effect(&self, shown: &BTreeSet<Tx>) -> Vec<Violation> {
        let unanswered =
            |tx: &Tx| matches!(self.outcome(*tx), Outcome::CommitAsked(_)) && !shown.contains(tx);
        // What nobody is subscribed to goes nowhere.
        let lasting = self
            .messages
            .values()
            .filter(|message| message.persistent && !message.may_expire && !message.copies.is_empty());
        let senders: BTreeSet<Tx> = lasting
            .filter_map(|message| match message.sent {
                Sent::Pending(tx) => Some(tx),
                _ => None,
            })
            .filter(unanswered)
            .collect();
        let mut torn = Vec::new();
        for (id, message) in &self.messages {
            if message.sent != Sent::Confirmed || !message.persistent || message.may_expire {
                continue;
            }
            for (place, copy) in &message.copies {
                if let Accepted::Pending(tx) = copy.accepted
                    && senders.contains(&tx)
                    && !copy.drained
                    && !copy.may_be_dead
                {
                    torn.push(format!(
                        "transaction {tx} is torn: message {id} that it consumed is gone from place {place}, but nothing that it sent is there"
                    ));
                }
            }
        }
        torn
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUEUE: Place = 1;

    fn sent(ledger: &mut Ledger, id: Id, tx: Option<Tx>) {
        let lane = Some((1, 4));
        ledger.published(Publish { id, places: vec![QUEUE], persistent: true, may_expire: false, lane, tx });
        ledger.publish_answered(id, true);
    }

    fn violations(play: impl FnOnce(&mut Ledger)) -> Vec<Violation> {
        let mut ledger = Ledger::default();
        play(&mut ledger);
        ledger.finish();
        ledger.violations
    }

    fn one(play: impl FnOnce(&mut Ledger), text: &str) {
        let violations = violations(play);
        assert_eq!(violations.len(), 1, "{violations:?}");
        assert!(violations[0].contains(text), "{violations:?}");
    }

    #[test]
    fn a_history_without_a_fault_is_accepted() {
        let found = violations(|ledger| {
            for id in 1..=3 {
                sent(ledger, id, None);
                ledger.delivered(id, QUEUE, 7, false);
            }
            ledger.accept_asked(1, QUEUE, None);
            ledger.accept_confirmed(1, QUEUE);
            ledger.accept_asked(2, QUEUE, None);
            ledger.restarted();
            ledger.delivered(2, QUEUE, 8, true);
            ledger.drained(2, QUEUE);
            ledger.delivered(3, QUEUE, 8, true);
            ledger.drained(3, QUEUE);
        });
        assert_eq!(found, Vec::<String>::new());
    }

    #[test]
    fn a_lost_message_is_found() {
        one(|ledger| sent(ledger, 1, None), "is missing");
    }

    #[test]
    fn a_message_that_vanishes_after_somebody_saw_it_is_found() {
        one(
            |ledger| {
                let lane = Some((1, 4));
                let places = vec![QUEUE];
                ledger.published(Publish {
                    id: 1,
                    places,
                    persistent: true,
                    may_expire: false,
                    lane,
                    tx: None,
                });
                ledger.delivered(1, QUEUE, 1, false);
                ledger.restarted();
            },
            "is missing",
        );
    }

    #[test]
    fn a_phantom_and_a_refused_message_are_found() {
        one(|ledger| ledger.delivered(9, QUEUE, 1, false), "never sent");
        one(
            |ledger| {
                sent(ledger, 1, None);
                ledger.publish_answered(1, false);
                ledger.delivered(1, QUEUE, 1, false);
            },
            "was refused",
        );
    }

    #[test]
    fn a_delivery_after_a_confirmed_accept_is_found() {
        one(
            |ledger| {
                sent(ledger, 1, None);
                ledger.delivered(1, QUEUE, 1, false);
                ledger.accept_asked(1, QUEUE, None);
                ledger.accept_confirmed(1, QUEUE);
                ledger.restarted();
                ledger.delivered(1, QUEUE, 1, true);
            },
            "after its accept was confirmed",
        );
    }

    #[test]
    fn two_holders_at_once_are_found() {
        one(
            |ledger| {
                sent(ledger, 1, None);
                ledger.delivered(1, QUEUE, 1, false);
                ledger.delivered(1, QUEUE, 2, true);
                ledger.drained(1, QUEUE);
            },
            "while 1 had it",
        );
    }

    #[test]
    fn two_swapped_messages_are_found() {
        one(
            |ledger| {
                for id in [1, 2] {
                    sent(ledger, id, None);
                }
                for id in [2, 1] {
                    ledger.delivered(id, QUEUE, 1, false);
                    ledger.drained(id, QUEUE);
                }
            },
            "after its later message",
        );
    }

    #[test]
    fn a_prepared_transaction_that_shows_or_gives_back_anything_is_found() {
        one(
            |ledger| {
                ledger.began(5);
                sent(ledger, 1, Some(5));
                ledger.prepare_asked(5);
                ledger.prepared(5);
                ledger.restarted();
                ledger.delivered(1, QUEUE, 1, false);
            },
            "before its transaction",
        );
        one(
            |ledger| {
                sent(ledger, 1, None);
                ledger.delivered(1, QUEUE, 1, false);
                ledger.began(5);
                ledger.accept_asked(1, QUEUE, Some(5));
                ledger.prepared(5);
                ledger.restarted();
                ledger.delivered(1, QUEUE, 2, true);
                ledger.drained(1, QUEUE);
            },
            "withheld it",
        );
    }

    #[test]
    fn a_transaction_seen_too_early_rolled_back_or_torn_is_found() {
        one(
            |ledger| {
                ledger.began(5);
                sent(ledger, 1, Some(5));
                ledger.delivered(1, QUEUE, 1, false);
                ledger.drained(1, QUEUE);
            },
            "before its transaction",
        );
        one(
            |ledger| {
                ledger.began(5);
                sent(ledger, 1, Some(5));
                ledger.rolled_back(5);
                ledger.delivered(1, QUEUE, 1, false);
            },
            "rolled back transaction",
        );
        for came_back in [true, false] {
            one(
                |ledger| {
                    sent(ledger, 1, None);
                    ledger.delivered(1, QUEUE, 1, false);
                    ledger.began(5);
                    ledger.accept_asked(1, QUEUE, Some(5));
                    sent(ledger, 2, Some(5));
                    ledger.commit_asked(5);
                    ledger.restarted();
                    let id = if came_back { 1 } else { 3 };
                    if came_back {
                        ledger.delivered(2, QUEUE, 1, false);
                        ledger.drained(2, QUEUE);
                    } else {
                        sent(ledger, 3, None);
                    }
                    ledger.delivered(id, QUEUE, 1, true);
                    ledger.drained(id, QUEUE);
                },
                "is torn",
            );
        }
    }
}
