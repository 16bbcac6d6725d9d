// SPDX-License-Identifier: Apache-2.0
//! Whether a commit waits a moment for senders that will be back soon.
//!
//! A sender that waits for each confirmation comes back as soon as it has one. Where four of them meet a committer
//! that syncs for whoever is there first, one has a sync of its own and three share the next: all of them wait for
//! two syncs per message. If the committer waits for the three until they are back, four share one. That pays while
//! they come back faster than a sync takes, and well when they take half of that, so nobody is awaited for longer, and
//! not at all after it was in vain. It knows no clock and no thread: times are arguments.

use std::time::Duration;

/// Where a sync is faster than this nobody is awaited: what senders cost the processor on their way back is then better done
/// during somebody else's sync.
const WORTH_IT: Duration = Duration::from_micros(400);

/// After so many attempts in a row that were in vain, this many more commits pass than after one.
const MOST_DOUBLINGS: u32 = 7;

/// How many are awaited, and how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expected {
    /// So many senders, those that are there already included.
    pub senders: u32,
    /// From when the first of them is there.
    pub patience: Duration,
}

/// What came of waiting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Waited {
    /// All that were expected came.
    AllCame,
    /// Somebody came who sends on without waiting for confirmations: groups form by themselves.
    Crowded,
    /// The time was over first.
    InVain,
}

/// What the committer remembers of its last commits.
#[derive(Debug)]
pub struct Grouping {
    most: Duration,
    // How long a sync takes, smoothed.
    sync: Duration,
    // Senders whose only message is in the commit at hand.
    inside: u32,
    // How many are known to be on their way, or there, for the next one.
    coming: u32,
    in_vain: u32,
    passes: u32,
}

impl Grouping {
    /// Nobody is known yet. `most` bounds the waiting (`store.commit_delay_us`); zero: there is none.
    pub fn new(most: Duration) -> Self {
        Grouping { most, sync: Duration::ZERO, inside: 0, coming: 0, in_vain: 0, passes: 0 }
    }

    /// Who should be awaited before the next commit.
    pub fn expected(&mut self) -> Option<Expected> {
        let patience = self.most.min(self.sync / 2);
        if self.coming < 2 || patience.is_zero() || self.sync < WORTH_IT {
            return None;
        }
        if self.passes > 0 {
            self.passes -= 1;
            return None;
        }
        Some(Expected { senders: self.coming, patience })
    }

    /// They were awaited.
    pub fn waited(&mut self, waited: Waited) {
        match waited {
            Waited::AllCame => self.in_vain = 0,
            Waited::Crowded | Waited::InVain => {
                self.in_vain = (self.in_vain + 1).min(MOST_DOUBLINGS);
                self.passes = 1 << self.in_vain;
            }
        }
    }

    /// A batch was taken, with the only messages of so many senders.
    pub fn taken(&mut self, senders: u32) {
        self.inside = senders;
    }

    /// It is durable, and `there` senders came meanwhile: those in it are about to hear so and to come back.
    pub fn synced(&mut self, took: Duration, there: u32) {
        // Disks stall now and then: one sync of 10 ms among hundreds of 0.5 ms says nothing about the next.
        self.sync = match self.sync {
            Duration::ZERO => took,
            sync => (sync * 15 + took.min(sync * 2)) / 16,
        };
        self.coming = std::mem::take(&mut self.inside).saturating_add(there);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SYNC: Duration = Duration::from_micros(800);
    const MOST: Duration = Duration::from_millis(1);

    fn synced(inside: u32, there: u32) -> Grouping {
        let mut grouping = Grouping::new(MOST);
        grouping.taken(inside);
        grouping.synced(SYNC, there);
        grouping
    }

    #[test]
    fn those_that_hear_of_a_commit_are_awaited_beside_those_that_came_meanwhile() {
        let expected = Expected { senders: 4, patience: SYNC / 2 };
        assert_eq!(synced(1, 3).expected(), Some(expected));
        assert_eq!(synced(4, 0).expected(), Some(expected));
    }

    #[test]
    fn a_stall_of_the_disk_says_little_and_a_slow_disk_is_believed_in_time() {
        let mut grouping = synced(4, 0);
        let mut next = |took| {
            grouping.taken(4);
            grouping.synced(took, 0);
            grouping.expected().map(|expected| expected.patience)
        };
        assert!(next(Duration::from_millis(10)).is_some_and(|patience| patience < SYNC * 6 / 10));
        assert!((0..20).all(|_| next(SYNC).is_some()));
        assert!(next(SYNC).is_some_and(|patience| patience < SYNC * 52 / 100));
        let slow = Duration::from_millis(10);
        assert!((0..100).any(|_| next(slow) == Some(MOST)));
    }

    #[test]
    fn nobody_waits_for_one_sender_alone_nor_where_it_is_switched_off() {
        assert_eq!(synced(1, 0).expected(), None);
        assert_eq!(synced(0, 1).expected(), None);
        let mut off = Grouping::new(Duration::ZERO);
        off.taken(4);
        off.synced(SYNC, 0);
        assert_eq!(off.expected(), None);
    }

    #[test]
    fn nobody_waits_where_a_sync_is_as_fast_as_the_way_back() {
        let mut grouping = Grouping::new(MOST);
        grouping.taken(4);
        grouping.synced(Duration::from_micros(200), 0);
        assert_eq!(grouping.expected(), None);
    }

    #[test]
    fn nobody_is_awaited_for_longer_than_the_setting_says() {
        let mut grouping = Grouping::new(MOST);
        grouping.taken(4);
        grouping.synced(Duration::from_secs(1), 0);
        assert_eq!(grouping.expected().map(|expected| expected.patience), Some(MOST));
    }

    #[test]
    fn what_was_in_vain_is_tried_less_and_less_often_until_it_pays_again() {
        let mut grouping = synced(4, 0);
        let mut pauses = Vec::new();
        for _ in 0..9 {
            grouping.waited(Waited::InVain);
            pauses.push((0..).take_while(|_| grouping.expected().is_none()).count());
        }
        assert_eq!(pauses, [2, 4, 8, 16, 32, 64, 128, 128, 128]);
        grouping.waited(Waited::AllCame);
        assert!(grouping.expected().is_some());
        grouping.waited(Waited::Crowded);
        assert_eq!((0..).take_while(|_| grouping.expected().is_none()).count(), 2);
    }
}
