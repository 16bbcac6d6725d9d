// SPDX-License-Identifier: Apache-2.0
//! Messages that are sent again: what the broker has from a producer already is confirmed, and not stored again.
//!
//! A producer with a name counts its messages. Of each name the highest count taken in is remembered, and which ones
//! below it were not: those that were refused, wait, or belong to a transaction. It is written with the batch that
//! has the messages, one key per producer and batch, so that it survives exactly as they do. Names belong to their
//! user: nobody can make the messages of others look like repetitions. Knows nothing of where messages go.

use crate::commit::{CommitId, Pending};
use crate::engine::Engine;
use crate::keys::{self, KeyKind};
use crate::output::{CommitNeed, Outputs};
use crate::publish::PublishMeta;
use crate::session::{Kind, Session};
use crate::slab::{Key, Slab};
use bytes::Bytes;
use sabir_model::fields::{self, number as field};
use sabir_model::verb::{Answer, Attach};
use sabir_model::{Destination, Message};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Runs of counts that came and were not taken in, of one producer; of more, the lowest are given up.
const MAX_OPEN_RUNS: usize = 256;

/// Fields of the value in the store, besides those of the contract.
const SEQUENCE: u16 = 64;
const USED_MS: u16 = 65;
const OPEN_RUN: u16 = 66;

/// Whose count it is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ProducerName {
    pub name: Box<str>,
    pub user: Option<Box<str>>,
    /// Name of the virtual host.
    pub host: Box<str>,
}

/// A message's place in the count of its producer.
#[derive(Clone, Debug)]
pub(crate) struct Sequenced {
    pub producer: Arc<ProducerName>,
    /// Where the producer is remembered, unless that was forgotten meanwhile.
    key: Key<Remembered>,
    pub sequence: u64,
}

/// A producer of a session that has a name.
#[derive(Debug)]
pub(crate) struct Named {
    producer: Arc<ProducerName>,
    key: Key<Remembered>,
}

/// Counts that came and were not taken in, as runs, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Open(Vec<(u64, u64)>);

impl Open {
    fn at(&self, sequence: u64) -> usize {
        self.0.partition_point(|(_, last)| *last < sequence)
    }

    fn contains(&self, sequence: u64) -> bool {
        self.0.get(self.at(sequence)).is_some_and(|(first, _)| *first <= sequence)
    }

    fn insert(&mut self, sequence: u64) {
        if self.contains(sequence) {
            return;
        }
        let at = self.at(sequence);
        let joins_before = at > 0 && self.0[at - 1].1.checked_add(1) == Some(sequence);
        let joins_behind = self.0.get(at).is_some_and(|(first, _)| sequence.checked_add(1) == Some(*first));
        match (joins_before, joins_behind) {
            (true, true) => {
                self.0[at - 1].1 = self.0[at].1;
                self.0.remove(at);
            }
            (true, false) => self.0[at - 1].1 = sequence,
            (false, true) => self.0[at].0 = sequence,
            (false, false) => self.0.insert(at, (sequence, sequence)),
        }
        if self.0.len() > MAX_OPEN_RUNS {
            self.0.remove(0);
        }
    }

    /// Adds all counts from `first` to `last`.
    fn insert_run(&mut self, first: u64, last: u64) {
        let from = self.0.partition_point(|(_, end)| end.checked_add(1).is_some_and(|next| next < first));
        let to = self.0.partition_point(|(begin, _)| *begin <= last.saturating_add(1));
        let joined = self.0.get(from..to).unwrap_or_default();
        let first = joined.first().map_or(first, |(begin, _)| first.min(*begin));
        let last = joined.last().map_or(last, |(_, end)| last.max(*end));
        self.0.splice(from..to, [(first, last)]);
        if self.0.len() > MAX_OPEN_RUNS {
            self.0.remove(0);
        }
    }

    fn remove(&mut self, sequence: u64) {
        let at = self.at(sequence);
        let Some((first, last)) = self.0.get(at).copied().filter(|(first, _)| *first <= sequence) else {
            return;
        };
        match (first == sequence, last == sequence) {
            (true, true) => {
                self.0.remove(at);
            }
            (true, false) => self.0[at].0 = sequence + 1,
            (false, true) => self.0[at].1 = sequence - 1,
            (false, false) => {
                self.0[at].1 = sequence - 1;
                self.0.insert(at + 1, (sequence + 1, last));
            }
        }
    }
}

/// What is remembered of a producer.
#[derive(Debug)]
pub(crate) struct Remembered {
    producer: Arc<ProducerName>,
    /// Number of its key; 0: none was written yet.
    number: u64,
    /// The highest count that was taken in.
    highest: Option<u64>,
    open: Open,
    /// The batch with which the last persistent one of them is stored.
    need: CommitId,
    /// The batch for which it is noted to be written.
    noted: CommitId,
    /// When it was last used, in milliseconds since 1970.
    used_ms: u64,
}

impl Remembered {
    fn has(&self, sequence: u64) -> bool {
        self.highest.is_some_and(|highest| sequence <= highest) && !self.open.contains(sequence)
    }

    fn encode(&self) -> Bytes {
        let mut out = Vec::with_capacity(96 + self.producer.name.len());
        let highest = self.highest.unwrap_or(0);
        fields::put(&mut out, field::VIRTUAL_HOST, self.producer.host.as_bytes());
        fields::put(&mut out, field::PRODUCER_NAME, self.producer.name.as_bytes());
        if let Some(user) = &self.producer.user {
            fields::put(&mut out, field::USER, user.as_bytes());
        }
        fields::put(&mut out, SEQUENCE, &highest.to_le_bytes());
        fields::put(&mut out, USED_MS, &self.used_ms.to_le_bytes());
        for (first, last) in self.open.0.iter().take_while(|(first, _)| *first < highest) {
            let mut run = [0; 16];
            run[..8].copy_from_slice(&first.to_le_bytes());
            run[8..].copy_from_slice(&last.to_le_bytes());
            fields::put(&mut out, OPEN_RUN, &run);
        }
        out.into()
    }

    /// What a value in the store says.
    pub fn decode(number: u64, bytes: &[u8]) -> Option<Self> {
        let (mut host, mut name, mut user) = (None, None, None);
        let (mut highest, mut used_ms, mut open) = (None, 0, Open::default());
        for one in fields::iter(bytes) {
            let (number, value) = one.ok()?;
            match number {
                field::VIRTUAL_HOST => host = Some(text(value)?),
                field::PRODUCER_NAME => name = Some(text(value)?),
                field::USER => user = Some(text(value)?),
                SEQUENCE => highest = Some(u64::from_le_bytes(value.try_into().ok()?)),
                USED_MS => used_ms = u64::from_le_bytes(value.try_into().ok()?),
                OPEN_RUN => {
                    let (first, last) = value.split_first_chunk::<8>()?;
                    let run = (u64::from_le_bytes(*first), u64::from_le_bytes(last.try_into().ok()?));
                    let in_order = open.0.last().is_none_or(|(_, before)| *before < run.0);
                    if run.0 > run.1 || !in_order {
                        return None;
                    }
                    open.0.push(run);
                }
                _ => {}
            }
        }
        let producer = Arc::new(ProducerName { name: name?, user, host: host? });
        let (need, noted) = (CommitId(0), CommitId(0));
        Some(Remembered { producer, number, highest: Some(highest?), open, need, noted, used_ms })
    }
}

fn text(value: &[u8]) -> Option<Box<str>> {
    std::str::from_utf8(value).ok().map(Into::into)
}

/// What is remembered of all producers.
#[derive(Debug, Default)]
pub(crate) struct Duplicates {
    producers: Slab<Remembered>,
    by_name: BTreeMap<Arc<ProducerName>, Key<Remembered>>,
    /// The least recently used one first.
    by_use: BTreeSet<(u64, Key<Remembered>)>,
    /// To be written with the pending batch.
    changed: Vec<Key<Remembered>>,
}

impl Duplicates {
    fn keep(&mut self, remembered: Remembered) -> Key<Remembered> {
        let (name, used_ms) = (remembered.producer.clone(), remembered.used_ms);
        let key = self.producers.insert(remembered);
        self.by_name.insert(name, key);
        self.by_use.insert((used_ms, key));
        key
    }

    fn touch(&mut self, key: Key<Remembered>, now_ms: u64) {
        let Some(remembered) = self.producers.get_mut(key) else { return };
        if remembered.used_ms != now_ms {
            self.by_use.remove(&(remembered.used_ms, key));
            remembered.used_ms = now_ms;
            self.by_use.insert((now_ms, key));
        }
    }

    /// Forgets the least recently used ones beyond `max`.
    pub fn shrink(&mut self, max: usize, pending: &mut Pending) {
        while self.producers.len() > max
            && let Some((_, key)) = self.by_use.pop_first()
        {
            let Some(gone) = self.producers.remove(key) else { continue };
            self.by_name.remove(&gone.producer);
            if gone.number != 0 {
                pending.delete(keys::key(KeyKind::Producer(gone.number)));
                pending.want(CommitNeed::Lazy);
            }
        }
    }

    /// Puts what has changed into the batch that is to be closed.
    pub fn write(&mut self, pending: &mut Pending) {
        for key in self.changed.drain(..) {
            if let Some(remembered) = self.producers.get(key) {
                pending.put(keys::key(KeyKind::Producer(remembered.number)), remembered.encode());
            }
        }
    }

    /// What was to go with the batch `from` goes with the batch `to`.
    pub fn put_off(&mut self, from: CommitId, to: CommitId) {
        for key in &self.changed {
            if let Some(remembered) = self.producers.get_mut(*key)
                && remembered.need == from
            {
                remembered.need = to;
            }
        }
    }

    /// What the store has kept. The caller bounds it, with `shrink`, once all are there.
    pub fn recover(&mut self, remembered: Remembered) {
        self.keep(remembered);
    }

    fn find(&self, one: &Sequenced) -> Option<Key<Remembered>> {
        if self.producers.get(one.key).is_some() {
            return Some(one.key);
        }
        self.by_name.get(&one.producer).copied()
    }
}

impl Engine {
    /// Notes whether a new producer of a session counts its messages, as far as policies want that looked at.
    pub(crate) fn name_producer(&mut self, session: Key<Session>, id: u64, attach: &Attach) {
        let Some(found) = self.sessions.get_mut(session) else { return };
        found.named.remove(&id);
        let max = self.config.limits.max_remembered_producers;
        let Some(name) = attach.producer_name.as_deref().filter(|name| !name.is_empty() && max > 0) else {
            return;
        };
        let Some(host) = self.routing.hosts.get(found.virtual_host) else { return };
        let config = &self.config;
        let wanted = |one: &Destination| config.policy(&host.name, one.kind, &one.name).detect_duplicates;
        if !attach.destinations.iter().all(wanted) {
            return;
        }
        let producer = Arc::new(ProducerName {
            name: name.into(),
            user: found.client.user.as_deref().map(Into::into),
            host: host.name.clone(),
        });
        let key = self.producer_key(&producer);
        if let Some(found) = self.sessions.get_mut(session) {
            found.named.insert(id, Named { producer, key });
        }
    }

    /// Where this producer is remembered, from now on if it was not.
    fn producer_key(&mut self, producer: &Arc<ProducerName>) -> Key<Remembered> {
        if let Some(key) = self.duplicates.by_name.get(producer) {
            return *key;
        }
        let key = self.duplicates.keep(Remembered {
            producer: producer.clone(),
            number: 0,
            highest: None,
            open: Open::default(),
            need: CommitId(0),
            noted: CommitId(0),
            used_ms: self.now.unix_ms.max(0) as u64,
        });
        let max = self.config.limits.max_remembered_producers;
        self.duplicates.shrink(max, &mut self.pending);
        key
    }

    /// The message's place in the count of its producer, if that counts.
    pub(crate) fn sequenced(&self, session: Key<Session>, id: u64, message: &Message) -> Option<Sequenced> {
        let named = &self.sessions.get(session)?.named;
        if named.is_empty() {
            return None;
        }
        let Named { producer, key } = named.get(&id)?;
        let sequence = message.head().producer_sequence()?;
        Some(Sequenced { producer: producer.clone(), key: *key, sequence })
    }

    /// The place of a message of a prepared branch, known from an earlier life of the broker.
    pub(crate) fn sequenced_again(&mut self, producer: Arc<ProducerName>, sequence: u64) -> Sequenced {
        let key = self.producer_key(&producer);
        Sequenced { producer, key, sequence }
    }

    /// Whether the broker has this message already: then the batch with which it counts.
    pub(crate) fn repeated(&mut self, one: &Sequenced) -> Option<CommitId> {
        let key = self.duplicates.find(one)?;
        let remembered = self.duplicates.producers.get(key)?;
        let need = remembered.has(one.sequence).then_some(remembered.need)?;
        self.duplicates.touch(key, self.now.unix_ms.max(0) as u64);
        Some(need)
    }

    /// A message has come that is not taken in, or not yet: it is no repetition when it comes again, whatever else has
    /// been taken in by then.
    pub(crate) fn leave_open(&mut self, one: &Sequenced) {
        let key = self.producer_key(&one.producer);
        if let Some(remembered) = self.duplicates.producers.get_mut(key) {
            remembered.open.insert(one.sequence);
        }
    }

    /// A message of a prepared branch is about to be taken in. What its producer has sent since the last one that was
    /// taken in may have been lost by a restart that the branch has outlived.
    pub(crate) fn leave_open_below(&mut self, one: &Sequenced) {
        let key = self.producer_key(&one.producer);
        let Some(remembered) = self.duplicates.producers.get_mut(key) else { return };
        let first = remembered.highest.map_or(0, |highest| highest.saturating_add(1));
        if let Some(last) = one.sequence.checked_sub(1).filter(|last| first <= *last) {
            remembered.open.insert_run(first, last);
        }
    }

    /// A message was taken in; `need`: the batch with which it is stored, if it is.
    pub(crate) fn remember(&mut self, one: &Sequenced, need: Option<CommitId>) {
        let found = self.duplicates.producers.get(one.key).is_some();
        let key = if found { one.key } else { self.producer_key(&one.producer) };
        self.duplicates.touch(key, self.now.unix_ms.max(0) as u64);
        let Some(remembered) = self.duplicates.producers.get_mut(key) else { return };
        remembered.highest = remembered.highest.max(Some(one.sequence));
        if !remembered.open.0.is_empty() {
            remembered.open.remove(one.sequence);
        }
        let Some(need) = need else { return };
        remembered.need = remembered.need.max(need);
        if remembered.noted == self.pending.id {
            return;
        }
        remembered.noted = self.pending.id;
        self.duplicates.changed.push(key);
        if remembered.number == 0 {
            let number = self.next_number();
            if let Some(remembered) = self.duplicates.producers.get_mut(key) {
                remembered.number = number;
            }
        }
    }

    /// Confirms a repetition, once the message itself counts: never earlier.
    pub(crate) fn confirm_repeated(
        &mut self,
        key: Key<Session>,
        meta: PublishMeta,
        need: CommitId,
        out: &mut Outputs,
    ) {
        self.counters.duplicates += 1;
        let PublishMeta { token, confirm: true, .. } = meta else { return };
        self.watch(key, need);
        if need == self.pending.id {
            return self.answer(key, token, Some(need), Answer::Done, Kind::Publish, out);
        }
        let Some(session) = self.sessions.get_mut(key) else { return };
        session.line.push(token, need, Answer::Done, Kind::Publish, self.commits.is_full());
        session.line.flush(session.id, &self.commits, out);
    }

    /// An answer to this session is about to wait for a batch that others have filled.
    pub(crate) fn watch(&mut self, key: Key<Session>, need: CommitId) {
        if need == self.pending.id {
            self.pending.want_durable();
        } else if !self.commits.has(need) {
            self.commits.watch(need, key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn open_counts_join_part_and_are_bounded() {
        let mut open = Open::default();
        for sequence in [5, 7, 6, 9, 4, 9] {
            open.insert(sequence);
        }
        assert_eq!(open.0, [(4, 7), (9, 9)]);
        assert!(open.contains(4) && open.contains(9) && !open.contains(8) && !open.contains(10));
        for sequence in [5, 9, 1, 7] {
            open.remove(sequence);
        }
        assert_eq!(open.0, [(4, 4), (6, 6)]);
        open.insert(u64::MAX);
        open.insert(0);
        assert_eq!(open.0, [(0, 0), (4, 4), (6, 6), (u64::MAX, u64::MAX)]);
        open.insert_run(5, 5);
        open.insert_run(2, 3);
        assert_eq!(open.0, [(0, 0), (2, 6), (u64::MAX, u64::MAX)]);
        open.insert_run(1, 8);
        assert_eq!(open.0, [(0, 8), (u64::MAX, u64::MAX)]);
        open.insert_run(20, u64::MAX - 2);
        open.insert_run(22, u64::MAX);
        assert_eq!(open.0, [(0, 8), (20, u64::MAX)]);
        open = Open(vec![(0, 0), (4, 4), (6, 6), (u64::MAX, u64::MAX)]);
        (0..2_000).for_each(|at| open.insert(10 + 2 * at));
        assert_eq!(open.0.len(), MAX_OPEN_RUNS);
        assert!(open.contains(u64::MAX) && !open.contains(0));
    }

    #[test]
    fn what_is_remembered_is_read_back_as_it_was_written_without_what_lies_above() {
        let mut open = Open::default();
        [3, 4, 8, 20].into_iter().for_each(|sequence| open.insert(sequence));
        let producer = ProducerName { name: "p".into(), user: Some("ann".into()), host: "h".into() };
        let written = Remembered {
            producer: Arc::new(producer),
            number: 7,
            highest: Some(10),
            open,
            need: CommitId(3),
            noted: CommitId(3),
            used_ms: 99,
        };
        let read = Remembered::decode(7, &written.encode()).unwrap();
        assert_eq!(
            (read.producer, read.number, read.highest, read.used_ms),
            (written.producer, 7, Some(10), 99)
        );
        assert_eq!(read.open.0, [(3, 4), (8, 8)]);
        assert!(Remembered::decode(7, b"").is_none());
    }
}
