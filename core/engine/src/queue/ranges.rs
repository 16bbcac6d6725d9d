// SPDX-License-Identifier: Apache-2.0
//! A set of sequence numbers, as runs. What is dense costs nothing, however much it is.

use std::collections::BTreeMap;

/// A set of sequence numbers that mostly grows at its end and shrinks at its front.
#[derive(Clone, Debug, Default)]
pub(crate) struct RangeSet {
    /// Runs before the last one: first to last.
    older: BTreeMap<u64, u64>,
    /// The last run. Kept apart because nearly everything happens here.
    tail: Option<(u64, u64)>,
    count: u64,
}

impl RangeSet {
    /// How many numbers there are.
    #[cfg(test)]
    pub fn count(&self) -> u64 {
        self.count
    }

    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Adds the numbers `first` to `last`, all beyond those that are there.
    pub fn push_back(&mut self, first: u64, last: u64) {
        self.count += last - first + 1;
        match &mut self.tail {
            Some((_, end)) if *end + 1 == first => *end = last,
            tail => {
                if let Some((old_first, old_last)) = tail.replace((first, last)) {
                    self.older.insert(old_first, old_last);
                }
            }
        }
    }

    /// The lowest number.
    pub fn first(&self) -> Option<u64> {
        match self.older.first_key_value() {
            Some((first, _)) => Some(*first),
            None => self.tail.map(|(first, _)| first),
        }
    }

    /// The lowest number that is at least `from`.
    pub fn next_from(&self, from: u64) -> Option<u64> {
        if let Some((_, last)) = self.older.range(..=from).next_back()
            && *last >= from
        {
            return Some(from);
        }
        if let Some((first, _)) = self.older.range(from..).next() {
            return Some(*first);
        }
        self.tail.and_then(|(first, last)| (from <= last).then(|| from.max(first)))
    }

    pub fn contains(&self, seq: u64) -> bool {
        self.next_from(seq) == Some(seq)
    }

    /// Takes a number out; false when it is not there.
    pub fn remove(&mut self, seq: u64) -> bool {
        if let Some((first, last)) = self.tail
            && (first..=last).contains(&seq)
        {
            self.count -= 1;
            self.tail = match (seq == first, seq == last) {
                (true, true) => self.older.pop_last(),
                (true, false) => Some((seq + 1, last)),
                (false, true) => Some((first, seq - 1)),
                (false, false) => {
                    self.older.insert(first, seq - 1);
                    Some((seq + 1, last))
                }
            };
            return true;
        }
        let Some((first, last)) = self.older.range(..=seq).next_back().map(|(first, last)| (*first, *last))
        else {
            return false;
        };
        if seq > last {
            return false;
        }
        self.count -= 1;
        self.older.remove(&first);
        if first < seq {
            self.older.insert(first, seq - 1);
        }
        if seq < last {
            self.older.insert(seq + 1, last);
        }
        true
    }

    /// The runs, in order.
    #[cfg(test)]
    pub fn runs(&self) -> Vec<(u64, u64)> {
        self.older.iter().map(|(first, last)| (*first, *last)).chain(self.tail).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn ten_million_numbers_in_a_row_are_one_run() {
        let mut set = RangeSet::default();
        for seq in 0..1000 {
            set.push_back(seq, seq);
        }
        set.push_back(1000, 9_999_999);
        assert_eq!(set.runs(), [(0, 9_999_999)]);
        assert_eq!(set.count(), 10_000_000);
    }

    #[test]
    fn it_holds_what_a_plain_set_holds_through_any_removals() {
        let mut set = RangeSet::default();
        let mut plain = BTreeSet::new();
        for seq in (10..200).filter(|seq| seq % 7 != 0) {
            set.push_back(seq, seq);
            plain.insert(seq);
        }
        let mut state = 1u64;
        while !plain.is_empty() {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let seq = (state >> 33) % 210;
            assert_eq!(set.remove(seq), plain.remove(&seq), "removing {seq}");
            assert_eq!(set.count(), plain.len() as u64);
            assert_eq!(set.first(), plain.first().copied());
            for from in [0, seq, 100, 199, 250] {
                assert_eq!(set.next_from(from), plain.range(from..).next().copied(), "from {from}");
            }
        }
        assert!(set.is_empty() && set.runs().is_empty());
    }
}
