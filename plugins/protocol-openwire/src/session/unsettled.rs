// SPDX-License-Identifier: Apache-2.0
//! What a consumer was sent and has not settled, in the order in which it was sent, and how much of its credit is used.
//!
//! Each message's credit comes back once: when the client says that it has it (a *delivered* acknowledgement), or when it
//! settles it, also within a transaction that has yet to be committed.

use std::collections::VecDeque;
use std::ops::Range;

/// A message that was sent.
#[derive(Clone, Copy, Debug)]
struct Entry {
    tag: u64,
    /// Of the message's id.
    hash: u64,
    /// Its credit came back.
    credited: bool,
    /// It was acknowledged in this transaction, which is open; 0: in none.
    kept: u64,
    /// The broker knows nothing of it: it was made up here, and bears the tag of the message before it.
    made_up: bool,
}

/// The messages of one consumer.
#[derive(Debug, Default)]
pub struct Unsettled {
    entries: VecDeque<Entry>,
    last_tag: u64,
    /// The credit of those up to this tag came back.
    told: u64,
}

/// What becomes of a range of messages.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// First and last tags of the runs that are settled.
    pub runs: Vec<(u64, u64)>,
    /// How much credit comes back.
    pub credit: u64,
}

/// Entries kept allocated while nothing is unsettled.
const KEPT_ENTRIES: usize = 16;

impl Unsettled {
    /// A message was sent.
    pub fn sent(&mut self, tag: u64, hash: u64) {
        self.last_tag = tag;
        self.entries.push_back(Entry { tag, hash, credited: false, kept: 0, made_up: false });
    }

    /// A message was made up and sent.
    pub fn made_up(&mut self, hash: u64) {
        let tag = self.last_tag;
        self.entries.push_back(Entry { tag, hash, credited: true, kept: 0, made_up: true });
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// How many count against the credit.
    pub fn uncredited(&self) -> u64 {
        self.entries.iter().filter(|entry| !entry.credited).count() as u64
    }

    /// Where a message is: by its tag, which must go with its id; else by its id, which a client may know from an earlier
    /// connection.
    pub fn find(&self, tag: u64, hash: u64) -> Option<usize> {
        let from = self.entries.partition_point(|entry| entry.tag < tag);
        let same_tag = self.entries.range(from..).take_while(|entry| entry.tag == tag);
        let by_tag = same_tag.enumerate().find(|(_, entry)| entry.hash == hash).map(|(at, _)| from + at);
        by_tag.or_else(|| self.entries.iter().position(|entry| entry.hash == hash))
    }

    /// Whether a message with this tag is among them.
    pub fn has_tag(&self, tag: u64) -> bool {
        self.entries.binary_search_by_key(&tag, |entry| entry.tag).is_ok()
    }

    /// The range from the first one to the one with this tag, inclusive, or to the last before it.
    pub fn up_to_tag(&self, tag: u64) -> Range<usize> {
        0..self.entries.partition_point(|entry| entry.tag <= tag)
    }

    /// The client has the messages of a range. Answers how much credit comes back.
    pub fn delivered(&mut self, range: Range<usize>) -> u64 {
        // Clients tell of all from the start, each time; those that were told of before are passed over.
        let told = self.told;
        let from = self.entries.partition_point(|entry| entry.tag <= told).max(range.start).min(range.end);
        let mut credit = 0;
        for entry in self.entries.range_mut(from..range.end) {
            credit += u64::from(!entry.credited);
            entry.credited = true;
        }
        if range.start == 0
            && let Some(last) = range.end.checked_sub(1).and_then(|at| self.entries.get(at))
        {
            self.told = last.tag;
        }
        credit
    }

    /// What settling a range comes to. What a transaction keeps is left out.
    pub fn plan(&self, range: Range<usize>) -> Plan {
        let mut plan = Plan::default();
        let mut run: Option<(u64, u64)> = None;
        for entry in self.entries.range(range) {
            plan.credit += u64::from(!entry.credited && entry.kept == 0);
            if entry.kept != 0 {
                plan.runs.extend(run.take());
            } else if !entry.made_up {
                run = Some((run.map_or(entry.tag, |(first, _)| first), entry.tag));
            }
        }
        plan.runs.extend(run);
        plan
    }

    /// A range was settled, as planned.
    pub fn settled(&mut self, range: Range<usize>) {
        self.remove(range, 0);
    }

    /// Removes those of a range that this transaction keeps.
    fn remove(&mut self, range: Range<usize>, kept: u64) {
        if self.entries.range(range.clone()).all(|entry| entry.kept == kept) {
            self.entries.drain(range);
        } else {
            let mut at = 0;
            self.entries.retain(|entry| {
                let goes = range.contains(&at) && entry.kept == kept;
                at += 1;
                !goes
            });
        }
        if self.entries.is_empty() && self.entries.capacity() > KEPT_ENTRIES {
            self.entries = VecDeque::new();
        }
    }

    /// A range was acknowledged in a transaction.
    pub fn keep(&mut self, range: Range<usize>, transaction: u64) {
        for entry in self.entries.range_mut(range).filter(|entry| entry.kept == 0) {
            entry.kept = transaction;
            entry.credited = true;
        }
    }

    /// A transaction that has kept the messages with these tags has ended: they are settled if it counts, and are as
    /// before if not.
    pub fn transaction_ended(&mut self, transaction: u64, tags: (u64, u64), counts: bool) {
        let from = self.entries.partition_point(|entry| entry.tag < tags.0);
        let range = from..self.entries.partition_point(|entry| entry.tag <= tags.1);
        if counts {
            self.remove(range, transaction);
        } else {
            for entry in self.entries.range_mut(range).filter(|entry| entry.kept == transaction) {
                entry.kept = 0;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn five() -> Unsettled {
        let mut unsettled = Unsettled::default();
        for tag in [10, 11, 15, 16, 20] {
            unsettled.sent(tag, tag * 100);
        }
        unsettled
    }

    #[test]
    fn a_message_is_found_by_its_tag_if_that_goes_with_its_id() {
        let unsettled = five();
        assert_eq!(unsettled.find(15, 1500), Some(2));
        assert_eq!(unsettled.find(3, 1500), Some(2));
        assert_eq!(unsettled.find(15, 1600), Some(3));
        assert_eq!(unsettled.find(15, 7), None);
    }

    #[test]
    fn credit_comes_back_once() {
        let mut unsettled = five();
        assert_eq!(unsettled.delivered(0..2), 2);
        assert_eq!(unsettled.delivered(0..3), 1);
        assert_eq!(unsettled.delivered(0..3), 0);
        assert_eq!(unsettled.plan(0..4), Plan { runs: vec![(10, 16)], credit: 1 });
        unsettled.settled(0..4);
        assert_eq!((unsettled.len(), unsettled.uncredited()), (1, 1));
    }

    #[test]
    fn delivered_after_one_was_settled_in_a_transaction_counts_the_others() {
        let mut unsettled = five();
        assert_eq!(unsettled.plan(2..3).credit, 1);
        unsettled.keep(2..3, 9);
        assert_eq!(unsettled.delivered(0..5), 4);
        assert_eq!(unsettled.uncredited(), 0);
    }

    #[test]
    fn what_a_transaction_keeps_is_settled_by_it_alone() {
        let mut unsettled = five();
        unsettled.keep(1..3, 9);
        let plan = unsettled.plan(0..5);
        assert_eq!(plan, Plan { runs: vec![(10, 10), (16, 20)], credit: 3 });
        unsettled.settled(0..5);
        assert_eq!(unsettled.len(), 2);
        unsettled.transaction_ended(8, (1, 99), true);
        assert_eq!(unsettled.len(), 2);
        unsettled.transaction_ended(9, (11, 15), false);
        assert_eq!(unsettled.plan(0..2), Plan { runs: vec![(11, 15)], credit: 0 });
        unsettled.keep(0..2, 10);
        unsettled.transaction_ended(10, (11, 15), true);
        assert_eq!(unsettled.len(), 0);
    }

    #[test]
    fn what_was_made_up_is_acknowledged_with_what_is_real() {
        let mut unsettled = Unsettled::default();
        unsettled.made_up(1);
        unsettled.sent(4, 400);
        unsettled.made_up(2);
        let all = 0..unsettled.find(0, 2).unwrap() + 1;
        assert_eq!(unsettled.plan(all.clone()), Plan { runs: vec![(4, 4)], credit: 1 });
        unsettled.settled(all);
        assert_eq!(unsettled.len(), 0);
    }
}
