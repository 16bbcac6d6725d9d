// SPDX-License-Identifier: Apache-2.0
//! Message groups: all messages of a group go to one consumer, in their order, for as long as it is there.
//!
//! A group gets its consumer with the first of its messages: of those that could take it the one with the fewest
//! groups, in turn. It keeps it until the consumer goes, until a message closes the group, or until groups are spread
//! anew. A message whose consumer has no credit stays where it is and is *set aside*: its number is noted with that
//! consumer, and what lies behind it goes on. So every message is looked at once, and again only when something has
//! changed for it. The messages that are set aside lie in memory: a queue looks no further than its
//! `resident_bytes` reach.
//!
//! What is kept of a group is a number made of its name. Of more groups than `max_groups` several share an
//! assignment, so that memory is bounded and the promise holds: those are not closed, and not told apart.
//!
//! A message whose redelivery is put off keeps its place, and its group waits for it.
//!
//! A queue that has never seen a group has none of this. Nothing here knows what a consumer is.

use super::dispatch::{Choice, Consumers};
use super::entry::Entry;
use super::view::PLAIN;
use super::{Memory, Queue};
use crate::slab::Key;
use crate::subscription::Subscription;
use sabir_model::message::{Field, Message};
use sabir_model::{DestinationKind, Now};
use std::collections::BTreeMap;

/// The position in its group with which a message closes it.
const CLOSING: u32 = u32::MAX;

/// The number of a message's group; 0: it has none.
pub(crate) fn group_of(message: &Message) -> u32 {
    match message.head().field(Field::Group) {
        Some(name) if !name.is_empty() => number_of(name),
        _ => 0,
    }
}

/// FNV-1a, folded: the same for the same name, everywhere and always. Two names with one number share an assignment.
/// With more bits an entry would no longer be moved without a call, which every message would pay for.
fn number_of(name: &[u8]) -> u32 {
    let step = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
    let hash = name.iter().fold(0xcbf2_9ce4_8422_2325, step);
    ((hash >> 32) as u32 ^ hash as u32).max(1)
}

fn closes(message: &Message) -> bool {
    let sequence = message.head().field(Field::GroupSequence).and_then(|bytes| bytes.try_into().ok());
    sequence.map(u32::from_le_bytes) == Some(CLOSING)
}

/// What is assigned: one group, or the many that fall into one place when there are too many.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Slot {
    Group(u32),
    Bucket(u32),
}

#[derive(Debug)]
struct Assignment {
    consumer: Key<Subscription>,
    in_flight: u64,
    /// It goes to another consumer once nothing of it is in flight.
    leaving: bool,
}

/// Where an entry stands in its queue, in the order of delivery.
type Position = (u8, u64);

fn position(priority: u8, seq: u64) -> Position {
    (u8::MAX - priority, seq)
}

/// A consumer that has groups.
#[derive(Debug, Default)]
struct Member {
    groups: usize,
    /// Entries that wait for it alone.
    aside: BTreeMap<Position, Slot>,
}

/// The groups of a queue.
#[derive(Debug)]
pub(crate) struct Groups {
    max: usize,
    assigned: BTreeMap<Slot, Assignment>,
    /// Of `assigned`: buckets.
    buckets: usize,
    members: BTreeMap<Key<Subscription>, Member>,
    /// Groups of which a message is put off, and until when: nothing of them may overtake it.
    paused: BTreeMap<u32, u64>,
    /// Everything is to be looked at again.
    pub stale: bool,
}

impl Groups {
    fn new(max: usize) -> Groups {
        Groups {
            max: max.max(1),
            assigned: BTreeMap::new(),
            buckets: 0,
            members: BTreeMap::new(),
            paused: BTreeMap::new(),
            stale: false,
        }
    }

    fn slot(&self, group: u32) -> Slot {
        let bucket = Slot::Bucket(group % u32::try_from(self.max).unwrap_or(u32::MAX));
        let exact = Slot::Group(group);
        if self.buckets == 0 && self.assigned.len() < self.max || self.assigned.contains_key(&exact) {
            return exact;
        }
        let full = self.assigned.len() - self.buckets >= self.max;
        if full || self.assigned.contains_key(&bucket) { bucket } else { exact }
    }

    /// Whose the group is, and whether it waits to become another's.
    fn owner(&self, group: u32) -> Option<(Key<Subscription>, bool)> {
        self.assigned.get(&self.slot(group)).map(|found| (found.consumer, found.leaving))
    }

    fn count(&self, consumer: Key<Subscription>) -> usize {
        self.members.get(&consumer).map_or(0, |member| member.groups)
    }

    /// A message of the group goes to this consumer. True: it is the first since the group was another's or nobody's.
    fn claim(&mut self, group: u32, consumer: Key<Subscription>) -> bool {
        let slot = self.slot(group);
        if let Some(found) = self.assigned.get_mut(&slot) {
            found.in_flight += 1;
            let before = std::mem::replace(&mut found.consumer, consumer);
            if before == consumer {
                return false;
            }
            found.leaving = false;
            if let Some(member) = self.members.get_mut(&before) {
                member.groups -= 1;
            }
        } else {
            self.buckets += usize::from(matches!(slot, Slot::Bucket(_)));
            self.assigned.insert(slot, Assignment { consumer, in_flight: 1, leaving: false });
        }
        self.members.entry(consumer).or_default().groups += 1;
        true
    }

    fn unassign(&mut self, slot: Slot) {
        let Some(found) = self.assigned.remove(&slot) else { return };
        self.buckets -= usize::from(matches!(slot, Slot::Bucket(_)));
        if let Some(member) = self.members.get_mut(&found.consumer) {
            member.groups -= 1;
        }
    }

    /// A message of the group is in flight no more.
    #[inline(never)]
    fn settled(&mut self, group: u32) {
        let slot = self.slot(group);
        let Some(found) = self.assigned.get_mut(&slot) else { return };
        found.in_flight = found.in_flight.saturating_sub(1);
        if found.leaving && found.in_flight == 0 {
            self.unassign(slot);
            self.stale = true;
        }
    }

    /// The group is nobody's any more. Answers what was set aside for its consumer.
    fn close(&mut self, group: u32) -> Vec<Position> {
        let slot = self.slot(group);
        let Some(found) = self.assigned.get(&slot).filter(|_| matches!(slot, Slot::Group(_))) else {
            return Vec::new();
        };
        let consumer = found.consumer;
        self.unassign(slot);
        let Some(member) = self.members.get_mut(&consumer) else { return Vec::new() };
        let mut freed = Vec::new();
        member.aside.retain(|at, of| {
            if *of == slot {
                freed.push(*at);
            }
            *of != slot
        });
        freed
    }

    /// The consumer goes, and gives up its groups.
    pub fn leave(&mut self, consumer: Key<Subscription>) {
        self.members.remove(&consumer);
        self.assigned.retain(|_, found| found.consumer != consumer);
        self.buckets = self.assigned.keys().filter(|slot| matches!(slot, Slot::Bucket(_))).count();
        self.stale = true;
    }

    /// Spreads the groups over so many consumers: who has more than its share gives some up, each once nothing of it
    /// is in flight.
    pub fn spread(&mut self, consumers: usize) {
        let share = self.assigned.len().div_ceil(consumers.max(1));
        let mut kept: BTreeMap<Key<Subscription>, usize> = BTreeMap::new();
        let mut idle = Vec::new();
        for (slot, found) in &mut self.assigned {
            let kept = kept.entry(found.consumer).or_default();
            if found.leaving || *kept < share {
                *kept += usize::from(!found.leaving);
            } else if found.in_flight == 0 {
                idle.push(*slot);
            } else {
                found.leaving = true;
            }
        }
        idle.into_iter().for_each(|slot| self.unassign(slot));
        self.stale = true;
    }

    /// Nothing of the group is delivered until then. False: too many groups are paused already.
    fn pause(&mut self, group: u32, until_ms: u64) -> bool {
        if self.paused.len() >= self.max && !self.paused.contains_key(&group) {
            return false;
        }
        let until = self.paused.entry(group).or_default();
        *until = until_ms.max(*until);
        true
    }

    fn is_paused(&self, group: u32) -> bool {
        self.paused.contains_key(&group)
    }

    /// Lets groups go on whose time has come.
    pub fn wake(&mut self, now_ms: u64) {
        let before = self.paused.len();
        self.paused.retain(|_, until_ms| *until_ms > now_ms);
        self.stale |= self.paused.len() < before;
    }

    /// How many groups wait until a message of theirs may be delivered again.
    pub fn paused(&self) -> usize {
        self.paused.len()
    }

    /// How many messages wait for the consumers of their groups.
    pub fn waiting(&self) -> usize {
        self.members.values().map(|member| member.aside.len()).sum()
    }
}

/// What a look at an entry has come to.
enum Look {
    /// It can go to this consumer.
    For(Key<Subscription>),
    /// It waits for this one.
    Aside(Key<Subscription>),
    /// It is seen through another view, or another time.
    Elsewhere,
    /// It cannot be delivered yet, and nothing behind it.
    Wait,
}

/// An entry that could be delivered.
#[derive(Clone, Copy)]
struct Candidate {
    seq: u64,
    released: bool,
    consumer: Key<Subscription>,
}

impl Queue {
    /// Whether its messages can belong to groups: where several consumers compete.
    pub(crate) fn can_group(&self) -> bool {
        self.kind != DestinationKind::Topic
            || self.durable_subscription.as_ref().is_some_and(|one| one.shared)
    }

    /// An entry of a group is there: from now on the queue minds them.
    pub(crate) fn begin_groups(&mut self) {
        if self.groups.is_some() {
            return;
        }
        self.groups = Some(Box::new(Groups::new(self.policy.max_groups)));
        for view in &mut self.views {
            view.grouped = true;
        }
        self.look_again();
    }

    /// Has every view look at everything again.
    fn look_again(&mut self) {
        for (index, view) in self.views.iter_mut().enumerate() {
            let wants = view.selector.clone();
            for (lane, feed) in self.lanes.iter().zip(&mut view.feeds) {
                feed.seen_to = 0;
                feed.returned = lane
                    .released
                    .iter()
                    .filter(|(_, entry)| match &wants {
                        Some(selector) => entry.satisfies(selector),
                        None => index == PLAIN,
                    })
                    .map(|(seq, _)| *seq)
                    .collect();
            }
        }
        if let Some(groups) = &mut self.groups {
            groups.stale = false;
            groups.members.values_mut().for_each(|member| member.aside.clear());
        }
    }

    /// Something has changed for entries that were looked at, and dispatch is due.
    pub(crate) fn must_look_again(&self) -> bool {
        self.groups.as_ref().is_some_and(|groups| groups.stale)
    }

    /// The redelivery of an entry is to be put off: has its group wait for it, if it has one that can. An exclusive consumer
    /// is served whatever groups there are.
    pub(crate) fn pause_group(&mut self, entry: &Entry, until_ms: u64) -> bool {
        let waits = entry.group != 0 && self.exclusive.is_empty();
        waits && self.groups.as_mut().is_some_and(|groups| groups.pause(entry.group, until_ms))
    }

    /// An entry that was given to a consumer has been settled, or comes back.
    #[inline]
    pub(super) fn group_settled(&mut self, entry: &Entry) {
        if entry.group != 0
            && let Some(groups) = &mut self.groups
        {
            groups.settled(entry.group);
        }
    }

    /// A message goes to a consumer. True: it is the first of its group there.
    #[inline(never)]
    pub(super) fn claim_group(&mut self, choice: &Choice, group: u32, message: &Message) -> bool {
        let Some(groups) = &mut self.groups else { return false };
        let first = groups.claim(group, choice.consumer);
        if closes(message) {
            let freed = groups.close(group);
            // Through other views entries of the group may have been passed over.
            groups.stale |= self.views.len() > 1;
            for (rank, seq) in freed {
                if let Some(at) = self.find_lane(u8::MAX - rank) {
                    self.views[choice.view].feeds[at].returned.insert(seq);
                }
            }
        }
        first
    }

    /// What is delivered next: of the highest lane the lowest number that can go to the consumer it is for.
    #[inline(never)]
    pub(super) fn choose_grouped(
        &mut self,
        own: Key<Queue>,
        consumers: &mut Consumers<'_>,
        memory: &mut Memory,
        now: Now,
    ) -> Option<Choice> {
        if self.must_look_again() {
            self.look_again();
        }
        let turns: Vec<_> = (0..self.views.len()).map(|view| consumers.turn(own, self, view)).collect();
        for lane in 0..self.lanes.len() {
            let mut best: Option<(Choice, i8)> = None;
            for (view, turn) in turns.iter().enumerate() {
                let Some((turn, priority)) = *turn else { continue };
                self.drop_stale(view, lane, memory);
                let woken = self.woken(own, view, lane, consumers);
                let unseen = self.unseen(own, view, lane, turn, consumers, now);
                let found = match (woken, unseen) {
                    (Some(woken), Some(unseen)) if unseen.seq < woken.seq => Some(unseen),
                    (woken, unseen) => woken.or(unseen),
                };
                let Some(Candidate { seq, released, consumer }) = found else { continue };
                let better = best.is_none_or(|(other, other_priority)| {
                    seq < other.seq || (seq == other.seq && priority > other_priority)
                });
                if better {
                    best = Some((Choice { view, lane, seq, released, consumer }, priority));
                }
            }
            if let Some((choice, _)) = best {
                return Some(choice);
            }
        }
        None
    }

    /// Lets go of what other views have taken.
    fn drop_stale(&mut self, view: usize, at: usize, memory: &mut Memory) {
        let (lane, feed) = (&self.lanes[at], &mut self.views[view].feeds[at]);
        while view != PLAIN
            && let Some(seq) = feed.front().map(|entry| entry.seq)
            && !lane.ready.contains(seq)
        {
            if let Some(stale) = feed.pop() {
                self.budget.discharge(memory, stale.cost());
            }
        }
    }

    /// An entry that waits and that this view has in memory, and whether it has come back.
    fn waiting_entry(&self, view: usize, at: usize, seq: u64) -> Option<(&Entry, bool)> {
        let lane = &self.lanes[at];
        if let Some(entry) = lane.released.get(&seq) {
            return Some((entry, true));
        }
        let entry = self.views[view].feeds[at].find(seq)?;
        lane.ready.contains(seq).then_some((entry, false))
    }

    /// The first of what was set aside for consumers that can take more now.
    fn woken(
        &mut self,
        own: Key<Queue>,
        view: usize,
        at: usize,
        consumers: &mut Consumers<'_>,
    ) -> Option<Candidate> {
        let priority = self.lanes[at].priority;
        let mut best: Option<Candidate> = None;
        for consumer in self.views[view].woken.iter().copied().collect::<Vec<_>>() {
            let has_any = self
                .groups
                .as_ref()
                .and_then(|groups| groups.members.get(&consumer))
                .is_some_and(|member| !member.aside.is_empty());
            if !has_any || !consumers.ready(consumer) {
                self.views[view].woken.remove(&consumer);
                if has_any {
                    consumers.leave_ring(own, self, view, consumer);
                }
                continue;
            }
            if let Some(found) = self.first_aside(view, at, priority, consumer)
                && best.is_none_or(|best| found.seq < best.seq)
            {
                best = Some(found);
            }
        }
        best
    }

    fn first_aside(
        &mut self,
        view: usize,
        at: usize,
        priority: u8,
        consumer: Key<Subscription>,
    ) -> Option<Candidate> {
        loop {
            let member = self.groups.as_ref()?.members.get(&consumer)?;
            let range = position(priority, 0)..=position(priority, u64::MAX);
            let (_, seq) = *member.aside.range(range).next()?.0;
            let entry = self.waiting_entry(view, at, seq).map(|(entry, released)| {
                let groups = self.groups.as_ref().filter(|groups| !groups.is_paused(entry.group));
                let owner = groups.map(|groups| groups.owner(entry.group));
                (entry.message.is_some(), released, owner)
            });
            match entry {
                Some((true, released, Some(Some((owner, false))))) if owner == consumer => {
                    return Some(Candidate { seq, released, consumer });
                }
                // It is being fetched, or its group is on its way to another.
                Some((_, _, Some(Some((owner, _))))) if owner == consumer => return None,
                // All is looked at again when its group goes on.
                Some((_, _, None)) => {}
                Some(_) => {
                    self.views[view].feeds[at].returned.insert(seq);
                }
                // It expired, or was dropped.
                None => {}
            }
            let member = self.groups.as_mut()?.members.get_mut(&consumer)?;
            member.aside.remove(&position(priority, seq));
        }
    }

    /// The first of what was not looked at yet that can be delivered; what waits for its consumer is set aside.
    fn unseen(
        &mut self,
        own: Key<Queue>,
        view: usize,
        at: usize,
        turn: Key<Subscription>,
        consumers: &mut Consumers<'_>,
        now: Now,
    ) -> Option<Candidate> {
        loop {
            let feed = &self.views[view].feeds[at];
            let (again, fresh) = (feed.returned.first().copied(), feed.next_unseen());
            let seq = again.into_iter().chain(fresh).min()?;
            let group = match self.waiting_entry(view, at, seq) {
                None => None,
                Some((entry, released)) => {
                    let look = self.look_at(own, view, at, entry, turn, consumers, now);
                    match look {
                        Look::Wait => return None,
                        Look::For(consumer) => return Some(Candidate { seq, released, consumer }),
                        Look::Aside(consumer) => Some((entry.group, consumer)),
                        Look::Elsewhere => None,
                    }
                }
            };
            self.views[view].feeds[at].saw(seq);
            let Some((group, consumer)) = group else { continue };
            if !consumers.ready(consumer) {
                consumers.leave_ring(own, self, view, consumer);
            }
            let priority = self.lanes[at].priority;
            if let Some(groups) = &mut self.groups {
                let slot = groups.slot(group);
                let member = groups.members.entry(consumer).or_default();
                member.aside.insert(position(priority, seq), slot);
            }
        }
    }

    #[allow(clippy::too_many_arguments, reason = "what an entry is looked at with")]
    fn look_at(
        &self,
        own: Key<Queue>,
        view: usize,
        at: usize,
        entry: &Entry,
        turn: Key<Subscription>,
        consumers: &Consumers<'_>,
        now: Now,
    ) -> Look {
        let owner = match &self.groups {
            Some(groups) if entry.group != 0 => groups.owner(entry.group),
            _ => None,
        };
        if !entry.visible(self.lanes[at].committed) {
            return Look::Wait;
        }
        if self.groups.as_ref().is_some_and(|groups| groups.is_paused(entry.group)) {
            return Look::Elsewhere;
        }
        if let Some((consumer, leaving)) = owner {
            if consumers.view_of(consumer, own) != Some(self.views[view].id) {
                return Look::Elsewhere;
            }
            if leaving || !consumers.ready(consumer) {
                return Look::Aside(consumer);
            }
        }
        if entry.message.is_none() {
            return Look::Wait;
        }
        match owner {
            Some((consumer, _)) => Look::For(consumer),
            None if entry.group == 0 || entry.expired(now) => Look::For(turn),
            None => {
                let count = |consumer| self.groups.as_ref().map_or(0, |groups| groups.count(consumer));
                let ready = |consumer: Key<Subscription>| consumers.ready(consumer).then(|| count(consumer));
                Look::For(self.views[view].least(ready).unwrap_or(turn))
            }
        }
    }

    /// Takes the entry that `choose_grouped` has chosen, wherever it stands. It stays charged.
    #[inline(never)]
    pub(super) fn take_chosen(&mut self, choice: &Choice, memory: &mut Memory) -> Option<Entry> {
        let Choice { view, lane: at, seq, released, consumer } = *choice;
        let priority = self.lanes[at].priority;
        if let Some(member) = self.groups.as_mut().and_then(|groups| groups.members.get_mut(&consumer)) {
            member.aside.remove(&position(priority, seq));
        }
        self.views[view].feeds[at].saw(seq);
        if released {
            return self.lanes[at].released.remove(&seq);
        }
        let feed = &mut self.views[view].feeds[at];
        let is_front = feed.front().is_some_and(|front| front.seq == seq);
        let entry = if is_front { feed.pop() } else { feed.take(seq) }?;
        self.lanes[at].ready.remove(seq);
        if view != PLAIN
            && let Some(twin) = self.views[PLAIN].feeds[at].take(seq)
        {
            self.budget.discharge(memory, twin.cost());
        }
        Some(entry)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_groups_than_allowed_share_assignments_and_each_keeps_its_consumer() {
        let mut groups = Groups::new(4);
        let consumers = [Key::of_place(1), Key::of_place(2)];
        let mut first: BTreeMap<u32, Key<Subscription>> = BTreeMap::new();
        for round in 0..3 {
            for number in 1..=1_000u64 {
                let group = number_of(&number.to_be_bytes());
                let owner = groups.owner(group).map(|(consumer, _)| consumer);
                let consumer = owner.unwrap_or(consumers[(number % 2) as usize]);
                let is_first = groups.claim(group, consumer);
                assert_eq!(is_first, owner.is_none());
                assert_eq!(*first.entry(group).or_insert(consumer), consumer, "in round {round}");
                // A group that shares its assignment is not closed by itself.
                if round == 1 && number > 8 {
                    groups.close(group);
                }
            }
            assert!(groups.assigned.len() <= 8, "{}", groups.assigned.len());
        }
        let counted: usize = groups.members.values().map(|member| member.groups).sum();
        assert_eq!(counted, groups.assigned.len());
        groups.leave(consumers[0]);
        groups.leave(consumers[1]);
        assert!(groups.assigned.is_empty() && groups.members.is_empty() && groups.buckets == 0);
    }

    #[test]
    fn spreading_moves_only_what_nothing_is_in_flight_of() {
        let mut groups = Groups::new(16);
        let old = Key::of_place(1);
        for group in 1..=4 {
            groups.claim(group, old);
        }
        groups.settled(1);
        groups.spread(2);
        assert_eq!(groups.owner(1), Some((old, false)), "it is within its consumer's share");
        let leaving: Vec<u32> =
            (1..=4).filter(|group| groups.owner(*group).is_some_and(|one| one.1)).collect();
        assert_eq!(leaving.len(), 2);
        for group in leaving {
            groups.settled(group);
            assert_eq!(groups.owner(group), None);
        }
        assert_eq!(groups.count(old), 2);
    }
}
