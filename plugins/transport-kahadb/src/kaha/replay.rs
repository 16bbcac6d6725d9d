// SPDX-License-Identifier: Apache-2.0
//! All records in order: what is left is what the broker would have served.
//!
//! Kept in memory for each message that is left: where it lies, and a fingerprint of its id. The messages themselves stay in
//! their files.

use super::entry::{Add, Entry, EntryError, Job, Named, Remove, Transaction};
use super::files::{self, Damage, Location, LogFile};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io;
use std::path::Path;

/// A destination.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Name {
    /// As in [`Named::kind`].
    pub kind: u64,
    /// Its name.
    pub name: String,
}

impl Name {
    /// Whether it is a topic.
    pub fn is_topic(&self) -> bool {
        self.kind == 1
    }

    /// Whether it belongs to a connection that is gone.
    pub fn is_temporary(&self) -> bool {
        self.kind > 1
    }

    fn of(named: Named<'_>) -> Self {
        Name { kind: named.kind, name: named.name.to_owned() }
    }
}

/// A message that is left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stored {
    /// The record that has it.
    pub location: Location,
    /// The file in which it was first stored.
    first_file: u32,
    /// See [`fingerprint`].
    pub id: u128,
}

/// A durable subscription.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscription {
    /// What OpenWire wrote of it.
    pub info: Vec<u8>,
    /// The messages that it has not acknowledged, by their order.
    pub pending: BTreeSet<u64>,
}

/// What a destination holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Held {
    /// By the order in which they came.
    pub messages: BTreeMap<u64, Stored>,
    ids: HashMap<u128, u64>,
    /// By their keys.
    pub subscriptions: BTreeMap<String, Subscription>,
}

/// What a transaction will do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Store a message.
    Add {
        /// Where.
        destination: Name,
        /// Which.
        id: u128,
        /// The record.
        location: Location,
    },
    /// Acknowledge one.
    Remove {
        /// Where.
        destination: Name,
        /// Which.
        id: u128,
        /// By which subscription.
        subscription: Option<String>,
        /// The file that it was copied from, if it was.
        copied_from: Option<u32>,
    },
}

/// A transaction that has not ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Open {
    steps: Vec<Step>,
    /// The how manieth record has prepared it.
    prepared: Option<u64>,
}

/// A message that is put off.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PutOff {
    /// The record that has it.
    pub location: Location,
    /// When it is due next, in milliseconds since 1970.
    pub next_ms: i64,
    /// Whether it would come again.
    pub repeats: bool,
}

/// A record that cannot be understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Strange {
    /// Where.
    pub location: Location,
    /// Why.
    pub error: EntryError,
}

/// What the log says.
#[derive(Clone, Debug, Default)]
pub struct Replay {
    /// The destinations.
    pub held: BTreeMap<Name, Held>,
    /// Messages that are put off, by the ids of their jobs.
    pub put_off: BTreeMap<String, PutOff>,
    open: BTreeMap<Transaction, Open>,
    /// What cannot be read.
    pub damages: Vec<Damage>,
    /// What cannot be understood.
    pub strange: Vec<Strange>,
    /// Records that were read.
    pub records: u64,
    next_order: u64,
    /// What follows in the file at hand was copied from this one.
    copied_from: Option<u32>,
}

/// Told how many bytes were read, and of how many.
pub type Progress<'a> = dyn FnMut(u64, u64) + 'a;

/// The fingerprint of a message's id: two ids have the same about never.
pub fn fingerprint(id: &str) -> u128 {
    // FNV-1a of 128 bits: the same in every run, so that a plan can be compared with an earlier one.
    const PRIME: u128 = (1 << 88) + 0x13b;
    let start = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d_u128;
    id.bytes().fold(start, |hash, byte| (hash ^ u128::from(byte)).wrapping_mul(PRIME))
}

/// Reads a directory.
pub fn replay(directory: &Path, progress: &mut Progress<'_>) -> io::Result<(Replay, Vec<LogFile>)> {
    let logs = files::files(directory)?;
    let mut sizes = Vec::new();
    for log in &logs {
        sizes.push(std::fs::metadata(&log.path)?.len());
    }
    let (total, mut done) = (sizes.iter().sum(), 0);
    let mut replay = Replay::default();
    for (index, log) in logs.iter().enumerate() {
        replay.copied_from = None;
        let last = index + 1 == logs.len();
        let damages = files::read(log, last, &mut |location, record| replay.record(location, record))?;
        replay.damages.extend(damages);
        done += sizes.get(index).copied().unwrap_or(0);
        progress(done, total);
    }
    Ok((replay, logs))
}

impl Replay {
    /// The branches that were prepared and not ended, in that order, with what they will do.
    pub fn prepared(&self) -> impl Iterator<Item = (&Transaction, &[Step])> {
        // What is local ends with its connection, whatever was said of it.
        let branches = self.open.iter().filter(|(id, _)| matches!(id, Transaction::Xa { .. }));
        let mut prepared: Vec<_> =
            branches.filter_map(|(id, open)| Some((open.prepared?, id, &open.steps[..]))).collect();
        prepared.sort_by_key(|(at, ..)| *at);
        prepared.into_iter().map(|(_, id, steps)| (id, steps))
    }

    fn record(&mut self, location: Location, record: &[u8]) {
        self.records += 1;
        match Entry::parse(record) {
            Ok(entry) => self.entry(location, entry),
            Err(error) => self.strange.push(Strange { location, error }),
        }
    }

    fn entry(&mut self, location: Location, entry: Entry<'_>) {
        match entry {
            Entry::Add(add) => self.add(location, &add),
            Entry::Update(add) => self.update(location, &add),
            Entry::Remove(remove) => self.remove(&remove),
            Entry::Prepare(id) => self.open.entry(id).or_default().prepared = Some(self.records),
            Entry::Commit(id) => {
                let steps = self.open.remove(&id).unwrap_or_default().steps;
                steps.into_iter().for_each(|step| self.step(step));
            }
            Entry::Rollback(id) => {
                self.open.remove(&id);
            }
            Entry::RemoveDestination(named) => {
                self.held.remove(&Name::of(named));
            }
            Entry::Subscription { destination, key, retroactive, info } => {
                self.subscription(Name::of(destination), key, retroactive, info);
            }
            Entry::Rewritten { source } => self.copied_from = Some(source),
            Entry::AddJob(job) => self.put_off(location, &job),
            Entry::Reschedule { id, next_ms } => {
                if let Some(job) = self.put_off.get_mut(id) {
                    job.next_ms = next_ms;
                }
            }
            Entry::RemoveJob { id } => {
                self.put_off.remove(id);
            }
            Entry::RemoveJobs { from_ms, to_ms } => {
                self.put_off.retain(|_, job| !(from_ms..=to_ms).contains(&job.next_ms));
            }
            Entry::RemoveAllJobs => self.put_off.clear(),
            Entry::Other(_) => {}
        }
    }

    fn add(&mut self, location: Location, add: &Add<'_>) {
        let (destination, id) = (Name::of(add.destination), fingerprint(add.id));
        let step = Step::Add { destination, id, location };
        self.now_or_later(add.transaction.as_ref(), step);
    }

    fn remove(&mut self, remove: &Remove<'_>) {
        let step = Step::Remove {
            destination: Name::of(remove.destination),
            id: fingerprint(remove.id),
            subscription: remove.subscription.map(str::to_owned),
            copied_from: self.copied_from,
        };
        self.now_or_later(remove.transaction.as_ref(), step);
    }

    fn now_or_later(&mut self, transaction: Option<&Transaction>, step: Step) {
        match transaction {
            Some(id) => self.open.entry(id.clone()).or_default().steps.push(step),
            None => self.step(step),
        }
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Add { destination, id, location } => {
                let order = self.next_order;
                self.next_order += 1;
                self.held.entry(destination.clone()).or_default().add(&destination, order, id, location);
            }
            Step::Remove { destination, id, subscription, copied_from } => {
                if let Some(held) = self.held.get_mut(&destination) {
                    held.remove(id, subscription.as_deref(), copied_from);
                }
            }
        }
    }

    /// A message that is there has other bytes now, and keeps its place; one that is not comes.
    fn update(&mut self, location: Location, add: &Add<'_>) {
        let (destination, id) = (Name::of(add.destination), fingerprint(add.id));
        let held = self.held.entry(destination.clone()).or_default();
        let known = held.ids.get(&id).and_then(|order| held.messages.get_mut(order));
        match known {
            Some(stored) => stored.location = location,
            None => self.step(Step::Add { destination, id, location }),
        }
    }

    fn subscription(&mut self, topic: Name, key: &str, retroactive: bool, info: Option<&[u8]>) {
        let held = self.held.entry(topic).or_default();
        let Some(info) = info else {
            held.subscriptions.remove(key);
            held.forget_acknowledged();
            return;
        };
        if let Some(known) = held.subscriptions.get_mut(key) {
            known.info = info.to_vec();
            return;
        }
        let pending = if retroactive { held.messages.keys().copied().collect() } else { BTreeSet::new() };
        held.subscriptions.insert(key.to_owned(), Subscription { info: info.to_vec(), pending });
    }

    fn put_off(&mut self, location: Location, job: &Job<'_>) {
        let repeats = !job.cron.is_empty() || job.repeat != 0;
        self.put_off.insert(job.id.to_owned(), PutOff { location, next_ms: job.next_ms, repeats });
    }
}

impl Held {
    fn add(&mut self, name: &Name, order: u64, id: u128, location: Location) {
        if self.ids.contains_key(&id) {
            // Stored twice: the first one counts.
            return;
        }
        if name.is_topic() {
            if self.subscriptions.is_empty() {
                return;
            }
            self.subscriptions.values_mut().for_each(|one| {
                one.pending.insert(order);
            });
        }
        self.messages.insert(order, Stored { location, first_file: location.file, id });
        self.ids.insert(id, order);
    }

    /// The order of a message.
    pub fn order_of(&self, id: u128) -> Option<u64> {
        self.ids.get(&id).copied()
    }

    fn remove(&mut self, id: u128, subscription: Option<&str>, copied_from: Option<u32>) {
        let Some(order) = self.order_of(id) else { return };
        let Some(stored) = self.messages.get(&order) else { return };
        // A copy of an old acknowledgement says nothing of a message that came again since.
        if copied_from.is_some_and(|source| source < stored.first_file) {
            return;
        }
        if let Some(key) = subscription {
            if let Some(one) = self.subscriptions.get_mut(key) {
                one.pending.remove(&order);
            }
            if self.subscriptions.values().any(|one| one.pending.contains(&order)) {
                return;
            }
        }
        self.messages.remove(&order);
        self.ids.remove(&id);
    }

    /// Messages of a topic live as long as a subscription has not acknowledged them.
    fn forget_acknowledged(&mut self) {
        let Held { messages, ids, subscriptions } = self;
        messages.retain(|order, stored| {
            let kept = subscriptions.values().any(|one| one.pending.contains(order));
            if !kept {
                ids.remove(&stored.id);
            }
            kept
        });
    }
}

#[cfg(test)]
mod tests {
    use super::super::entry::written::{add, local, message, named, record, remove, xa};
    use super::super::proto::Value;
    use super::*;

    /// A log, record by record.
    struct Log {
        replay: Replay,
        file: u32,
        at: u64,
    }

    impl Log {
        fn new() -> Log {
            Log { replay: Replay::default(), file: 1, at: 0 }
        }

        fn add(&mut self, bytes: Vec<u8>) -> &mut Log {
            let location = Location { file: self.file, offset: self.at, len: bytes.len() as u32 };
            self.at += 1;
            self.replay.record(location, &bytes);
            self
        }

        fn next_file(&mut self) -> &mut Log {
            (self.file, self.replay.copied_from) = (self.file + 1, None);
            self
        }

        /// The offsets of what a destination holds.
        fn held(&self, kind: u64, name: &str) -> Vec<u64> {
            let name = Name { kind, name: name.to_owned() };
            let held = self.replay.held.get(&name);
            held.map_or_else(Vec::new, |held| {
                held.messages.values().map(|stored| stored.location.offset).collect()
            })
        }

        fn pending(&self, name: &str, key: &str) -> usize {
            self.replay.held[&Name { kind: 1, name: name.to_owned() }].subscriptions[key].pending.len()
        }
    }

    fn subscription(topic: &str, key: &str, retroactive: bool, info: Option<&[u8]>) -> Vec<u8> {
        let topic = named(1, topic);
        let mut fields = vec![(1, Value::Bytes(&topic[..])), (2, Value::Bytes(key.as_bytes()))];
        fields.push((3, Value::Number(retroactive.into())));
        fields.extend(info.map(|info| (4, Value::Bytes(info))));
        record(7, &message(&fields))
    }

    fn ended(kind: u8, transaction: &[u8]) -> Vec<u8> {
        record(kind, &message(&[(1, Value::Bytes(transaction))]))
    }

    #[test]
    fn a_queue_holds_what_was_not_acknowledged_in_the_order_in_which_it_came() {
        let queue = named(0, "q");
        let mut log = Log::new();
        for id in ["a", "b", "c"] {
            log.add(add(None, &queue, id, b"m"));
        }
        log.add(remove(None, &queue, "b", None)).add(add(None, &queue, "d", b"m"));
        // Another message of the same name is another's.
        log.add(remove(None, &named(0, "other"), "a", None));
        let update = record(10, &message(&[(1, Value::Bytes(&add(None, &queue, "a", b"changed")[2..]))]));
        log.add(update);
        assert_eq!(log.held(0, "q"), [6, 2, 4], "the first one has other bytes now, and its old place");
        log.add(record(6, &message(&[(1, Value::Bytes(&queue))])));
        assert_eq!(log.held(0, "q"), [] as [u64; 0]);
    }

    #[test]
    fn a_transaction_counts_when_it_is_committed_and_a_branch_waits_when_it_is_prepared() {
        let (queue, one, two, three) =
            (named(0, "q"), local("c", 1), xa(1, b"g", b"b"), xa(1, b"g", b"other"));
        let mut log = Log::new();
        log.add(add(None, &queue, "old", b"m"));
        log.add(add(Some(&one), &queue, "a", b"m")).add(remove(Some(&one), &queue, "old", None));
        assert_eq!(log.held(0, "q"), [0]);
        log.add(ended(4, &one));
        assert_eq!(log.held(0, "q"), [1]);
        log.add(add(Some(&two), &queue, "x", b"m")).add(remove(Some(&two), &queue, "a", None));
        log.add(add(Some(&three), &queue, "y", b"m")).add(ended(3, &two));
        let prepared: Vec<usize> = log.replay.prepared().map(|(_, steps)| steps.len()).collect();
        assert_eq!((prepared, log.held(0, "q")), (vec![2], vec![1]));
        log.add(ended(5, &two)).add(ended(4, &three));
        assert_eq!((log.replay.prepared().count(), log.held(0, "q")), (0, vec![1, 6]));
    }

    #[test]
    fn a_topic_keeps_a_message_until_every_subscription_of_its_time_has_had_it() {
        let topic = named(1, "t");
        let mut log = Log::new();
        log.add(add(None, &topic, "before", b"m"));
        log.add(subscription("t", "one", false, Some(b"info"))).add(add(None, &topic, "a", b"m"));
        log.add(subscription("t", "two", false, Some(b"info"))).add(add(None, &topic, "b", b"m"));
        log.add(subscription("t", "three", true, Some(b"info")));
        assert_eq!([log.pending("t", "one"), log.pending("t", "two"), log.pending("t", "three")], [2, 1, 2]);
        log.add(remove(None, &topic, "a", Some("one")));
        assert_eq!(log.held(1, "t"), [2, 4]);
        log.add(remove(None, &topic, "a", Some("three")));
        assert_eq!(log.held(1, "t"), [4]);
        // What is known of it changes; what waits for it stays.
        log.add(subscription("t", "one", false, Some(b"other")));
        assert_eq!(log.pending("t", "one"), 1);
        log.add(subscription("t", "one", false, None)).add(subscription("t", "two", false, None));
        assert_eq!(log.held(1, "t"), [4]);
        log.add(subscription("t", "three", false, None));
        assert_eq!(log.held(1, "t"), [] as [u64; 0]);
    }

    #[test]
    fn an_old_acknowledgement_that_was_copied_forward_does_not_take_a_message_that_came_again() {
        let queue = named(0, "q");
        let mut log = Log::new();
        log.add(add(None, &queue, "a", b"m")).add(add(None, &queue, "b", b"m"));
        log.add(remove(None, &queue, "a", None));
        log.next_file().add(add(None, &queue, "a", b"m"));
        let rewritten = record(16, &message(&[(1, Value::Number(1))]));
        log.next_file()
            .add(rewritten)
            .add(remove(None, &queue, "a", None))
            .add(remove(None, &queue, "b", None));
        assert_eq!(log.held(0, "q"), [3]);
        log.next_file().add(remove(None, &queue, "a", None));
        assert_eq!(log.held(0, "q"), [] as [u64; 0]);
    }

    #[test]
    fn what_the_scheduler_has_is_what_is_still_to_come() {
        let job = |id: &str, next: u64, cron: &str, repeat: u64| {
            let fields = [
                (1, Value::Bytes(&b"JMS"[..])),
                (2, Value::Bytes(id.as_bytes())),
                (3, Value::Number(1)),
                (4, Value::Bytes(cron.as_bytes())),
                (5, Value::Number(1)),
                (6, Value::Number(0)),
                (7, Value::Number(repeat)),
                (8, Value::Bytes(b"m")),
                (9, Value::Number(next)),
            ];
            record(11, &message(&fields))
        };
        let of = |kind: u8, id: &str, numbers: &[(u32, u64)]| {
            let mut fields = vec![(1, Value::Bytes(&b"JMS"[..])), (2, Value::Bytes(id.as_bytes()))];
            fields.extend(numbers.iter().map(|(field, number)| (*field, Value::Number(*number))));
            record(kind, &message(&fields))
        };
        let mut log = Log::new();
        log.add(job("a", 1000, "", 0)).add(job("b", 2000, "* * * * *", 0)).add(job("c", 3000, "", 5));
        log.add(of(12, "b", &[(3, 1), (4, 2500), (5, 1)])).add(of(13, "c", &[(3, 3000)]));
        let left: Vec<(&str, i64, bool)> =
            log.replay.put_off.iter().map(|(id, job)| (&id[..], job.next_ms, job.repeats)).collect();
        assert_eq!(left, [("a", 1000, false), ("b", 2500, true)]);
        log.add(record(15, &message(&[(1, Value::Bytes(b"JMS"))])));
        assert!(log.replay.put_off.is_empty());
    }

    #[test]
    fn what_cannot_be_understood_is_kept_apart() {
        let mut log = Log::new();
        log.add(vec![99, 0]).add(vec![1, 200]);
        let errors: Vec<EntryError> = log.replay.strange.iter().map(|strange| strange.error).collect();
        assert_eq!(errors, [EntryError::Unknown(99), EntryError::Bad]);
    }
}
