// SPDX-License-Identifier: Apache-2.0
//! Messages that are not to be delivered yet.
//!
//! They lie in hidden logs, one for each stretch of 16 seconds in which messages become due. So recovery learns from
//! the logs' summaries what there is, and only the labels of the near future are ever in memory. A label says when,
//! and where to. What is due is linked into its lane and removed here, in one batch; what goes to a topic or exchange
//! is routed then, to those who are subscribed then.

use crate::commit::{CommitId, Commits, Pending};
use crate::engine::Engine;
use crate::keys::{self, BUCKET_SHIFT, KeyKind};
use crate::output::{CommitNeed, Outputs};
use crate::publish::{DEFAULT_EXCHANGE, missing};
use crate::queue::entry::{Entry, Place};
use crate::queue::{Origin, Queue};
use crate::reads::{Answered, Purpose};
use crate::routing::{Publisher, VirtualHost, exchange_and_key};
use crate::session::Session;
use crate::slab::Key;
use bytes::Bytes;
use sabir_model::store::FORMAT_BODY_APART;
use sabir_model::store::{LogId, Read, Record, TEMPORARY, Want};
use sabir_model::stored::{STORED_AT_BYTES, StoredBody};
use sabir_model::verb::{Reason, Refusal, SessionId};
use sabir_model::{Destination, DestinationKind, Message, fields};
use std::collections::BTreeMap;
use std::sync::Arc;

/// How long before they are due messages are looked at, in milliseconds: two buckets.
const HORIZON_MS: i64 = 2 << BUCKET_SHIFT;
/// Labels that are read at once.
const LABELS_PER_READ: u64 = 4_096;

const DUE: u16 = 1;
const TARGET_QUEUE: u16 = 2;
const TARGET_HOST: u16 = 3;
const TARGET: u16 = 4;
const PRIORITY: u16 = 5;
const EXPIRATION: u16 = 6;
const ATTEMPTS: u16 = 7;
const LABEL: u16 = 8;
const SENDER_SESSION: u16 = 9;
const SENDER_CLIENT: u16 = 10;

/// Names a delayed message, in the order in which they become due.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct DueKey {
    pub due_ms: i64,
    pub log: LogId,
    pub seq: u64,
}

/// Where a message goes when it is due.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Target {
    /// The queue with this number.
    Queue(u64),
    /// What the destinations stand for then: all of a composite, so that a queue which several lead to gets one.
    Routed { host: Box<str>, destinations: Vec<Destination> },
}

/// Who has sent a message that goes to a topic: subscriptions may want nothing of their own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Sender {
    /// Its session, and when the engine began that knew it by this number.
    session: Option<(u64, i64)>,
    client_id: Option<Box<str>>,
}

/// Whose publish is put off.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SentBy<'s> {
    pub session: Option<Key<Session>>,
    /// Its client id, if the session may have gone.
    pub client_id: Option<&'s str>,
}

/// What the label of a delayed message says.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Plan {
    due_ms: i64,
    target: Target,
    priority: u8,
    expiration_ms: i64,
    attempts: u32,
    sender: Sender,
    /// The label that the entry has in its queue.
    label: Bytes,
}

impl Plan {
    fn encode(&self) -> Bytes {
        let mut out = Vec::with_capacity(96);
        fields::put(&mut out, DUE, &self.due_ms.to_le_bytes());
        match &self.target {
            Target::Queue(number) => fields::put(&mut out, TARGET_QUEUE, &number.to_le_bytes()),
            Target::Routed { host, destinations } => {
                fields::put(&mut out, TARGET_HOST, host.as_bytes());
                for destination in destinations {
                    fields::put(&mut out, TARGET, destination.to_string().as_bytes());
                }
            }
        }
        fields::put(&mut out, PRIORITY, &[self.priority]);
        if self.expiration_ms != 0 {
            fields::put(&mut out, EXPIRATION, &self.expiration_ms.to_le_bytes());
        }
        if self.attempts != 0 {
            fields::put(&mut out, ATTEMPTS, &self.attempts.to_le_bytes());
        }
        if let Some((session, began_ms)) = self.sender.session {
            let mut value = session.to_le_bytes().to_vec();
            value.extend_from_slice(&began_ms.to_le_bytes());
            fields::put(&mut out, SENDER_SESSION, &value);
        }
        if let Some(client_id) = &self.sender.client_id {
            fields::put(&mut out, SENDER_CLIENT, client_id.as_bytes());
        }
        if !self.label.is_empty() {
            fields::put(&mut out, LABEL, &self.label);
        }
        out.into()
    }

    fn decode(bytes: &[u8]) -> Option<Plan> {
        let (mut due_ms, mut queue, mut host, mut destinations) = (None, None, None, Vec::new());
        let mut plan = Plan {
            due_ms: 0,
            target: Target::Queue(0),
            priority: 4,
            expiration_ms: 0,
            attempts: 0,
            sender: Sender::default(),
            label: Bytes::new(),
        };
        for field in fields::iter(bytes) {
            let (field, value) = field.ok()?;
            match field {
                DUE => due_ms = Some(i64::from_le_bytes(value.try_into().ok()?)),
                TARGET_QUEUE => queue = Some(u64::from_le_bytes(value.try_into().ok()?)),
                TARGET_HOST => host = Some(std::str::from_utf8(value).ok()?.into()),
                TARGET => destinations.push(Destination::parse(std::str::from_utf8(value).ok()?).ok()?),
                PRIORITY => plan.priority = *value.first()?,
                EXPIRATION => plan.expiration_ms = i64::from_le_bytes(value.try_into().ok()?),
                ATTEMPTS => plan.attempts = u32::from_le_bytes(value.try_into().ok()?),
                SENDER_SESSION => {
                    let (session, began_ms) = value.split_at_checked(8)?;
                    let session = u64::from_le_bytes(session.try_into().ok()?);
                    plan.sender.session = Some((session, i64::from_le_bytes(began_ms.try_into().ok()?)));
                }
                SENDER_CLIENT => plan.sender.client_id = Some(std::str::from_utf8(value).ok()?.into()),
                LABEL => plan.label = Bytes::copy_from_slice(value),
                _ => {}
            }
        }
        plan.due_ms = due_ms?;
        plan.target = match (queue, host) {
            (Some(number), _) => Target::Queue(number),
            (None, Some(host)) if !destinations.is_empty() => Target::Routed { host, destinations },
            _ => return None,
        };
        Some(plan)
    }
}

/// A delayed message of the near future.
#[derive(Debug)]
struct Near {
    plan: Plan,
    size: u32,
    /// The batch with which it was written.
    commit: CommitId,
    /// It is being read.
    reading: bool,
}

/// Messages that become due within one stretch of time.
#[derive(Debug)]
struct Bucket {
    next_seq: u64,
    /// Entries below were looked at.
    read_to: u64,
    /// Entries from here on were noted when they were made.
    read_end: u64,
    count: u64,
    /// The last batch that put something in before it was looked at.
    commit: CommitId,
    reading: bool,
    /// Everything in it is noted.
    near: bool,
}

/// All delayed messages.
#[derive(Debug, Default)]
pub(crate) struct Delayed {
    /// By bucket number, the temporary one behind the other.
    buckets: BTreeMap<(u64, bool), Bucket>,
    near: BTreeMap<DueKey, Near>,
    pub count: u64,
    /// How many go to each queue, by its number, of those put in since the start.
    by_queue: BTreeMap<u64, u64>,
    /// Bodies of those of them that lie in the store in pieces.
    bodies: BTreeMap<(LogId, u64), Arc<StoredBody>>,
    /// Of queues with numbers below, more may wait in the store, of which only the labels would tell.
    unknown_below: u64,
}

fn bucket_key(log: LogId) -> (u64, bool) {
    let number = log & !TEMPORARY & ((1 << 60) - 1);
    (number, log & TEMPORARY != 0)
}

fn bucket_log(key: (u64, bool)) -> LogId {
    keys::delayed_log((key.0 << BUCKET_SHIFT) as i64) | if key.1 { TEMPORARY } else { 0 }
}

impl Delayed {
    /// Recovery has found a bucket.
    pub fn recover(&mut self, log: LogId, first: u64, next_seq: u64, count: u64) {
        self.count += count;
        self.buckets.insert(
            bucket_key(log),
            Bucket {
                next_seq,
                read_to: first,
                read_end: next_seq,
                count,
                commit: CommitId(0),
                reading: false,
                near: false,
            },
        );
    }

    /// All buckets are known: they may hold something for any of the queues with numbers below.
    pub fn recovered(&mut self, number_next: u64) {
        self.unknown_below = if self.count > 0 { number_next } else { 0 };
    }

    /// Whether something may come to the queue with this number.
    pub fn may_come_to(&self, number: u64) -> bool {
        number < self.unknown_below || self.by_queue.contains_key(&number)
    }

    /// Takes a number in a bucket for a new entry, and notes it if it is near.
    fn add(&mut self, log: LogId, plan: Plan, size: u32, commit: CommitId, now_ms: i64) -> u64 {
        let key = bucket_key(log);
        let starts_ms = (key.0 << BUCKET_SHIFT) as i64;
        let bucket = self.buckets.entry(key).or_insert_with(|| Bucket {
            next_seq: 0,
            read_to: 0,
            read_end: 0,
            count: 0,
            commit: CommitId(0),
            reading: false,
            near: starts_ms <= now_ms + HORIZON_MS,
        });
        let seq = bucket.next_seq;
        bucket.next_seq += 1;
        bucket.count += 1;
        self.count += 1;
        if let Target::Queue(number) = plan.target {
            *self.by_queue.entry(number).or_default() += 1;
        }
        if bucket.near || bucket.reading {
            let key = DueKey { due_ms: plan.due_ms, log, seq };
            self.near.insert(key, Near { plan, size, commit, reading: false });
        } else {
            bucket.commit = commit;
            bucket.read_end = bucket.next_seq;
        }
        seq
    }

    /// The body of this one lies in the store.
    fn hold_body(&mut self, log: LogId, seq: u64, body: &Arc<StoredBody>, pending: &mut Pending) {
        if log & TEMPORARY == 0 {
            let value = Bytes::copy_from_slice(&body.at().encode());
            pending.put(keys::key(KeyKind::Body(log, seq)), value);
        }
        body.touch(pending.id.0);
        self.bodies.insert((log, seq), body.clone());
    }

    /// Recovery has found where the body of this one lies. `false`: there is no such entry.
    pub fn recover_body(&mut self, log: LogId, seq: u64, body: Arc<StoredBody>) -> bool {
        let known = self
            .buckets
            .get(&bucket_key(log))
            .is_some_and(|bucket| (bucket.read_to..bucket.next_seq).contains(&seq) && bucket.count > 0);
        if known {
            self.bodies.insert((log, seq), body);
        }
        known
    }

    /// This one goes with the batch, and needs its body no longer.
    fn let_go_of_body(&mut self, key: DueKey, pending: &mut Pending) {
        let Some(body) = self.bodies.remove(&(key.log, key.seq)) else { return };
        if key.log & TEMPORARY == 0 {
            pending.delete(keys::key(KeyKind::Body(key.log, key.seq)));
        }
        body.touch(pending.id.0);
    }

    /// An entry has gone. A bucket that is empty goes once its time is over: until then its numbers count.
    fn remove(&mut self, key: DueKey) {
        let near = self.near.remove(&key);
        self.count -= 1;
        if let Some(Near { plan: Plan { target: Target::Queue(number), .. }, .. }) = near
            && let Some(count) = self.by_queue.get_mut(&number)
        {
            *count = count.saturating_sub(1);
            if *count == 0 {
                self.by_queue.remove(&number);
            }
        }
        if self.count == 0 {
            self.by_queue.clear();
            self.unknown_below = 0;
        }
        let bucket_key = bucket_key(key.log);
        if let Some(bucket) = self.buckets.get_mut(&bucket_key) {
            bucket.count -= 1;
        }
    }

    /// What was to go with the batch `from` goes with the batch `to`.
    pub fn put_off(&mut self, from: CommitId, to: CommitId) {
        let near = self.near.values_mut().map(|near| &mut near.commit);
        let buckets = self.buckets.values_mut().map(|bucket| &mut bucket.commit);
        for commit in near.chain(buckets).filter(|commit| **commit == from) {
            *commit = to;
        }
    }

    /// Forgets empty buckets whose time is over, and has the store forget them: a clock that goes back begins anew.
    fn prune(&mut self, now_ms: i64, pending: &mut Pending) {
        let current = (now_ms.max(0) as u64) >> BUCKET_SHIFT;
        while let Some(first) = self.buckets.first_entry()
            && first.key().0 < current
            && first.get().count == 0
        {
            pending.forget(bucket_log(*first.key()));
            pending.want(CommitNeed::Lazy);
            first.remove();
        }
    }

    /// When something is to be done next, in milliseconds since 1970.
    pub fn next_ms(&self) -> Option<i64> {
        let due = self.near.iter().find(|(_, near)| !near.reading).map(|(key, _)| key.due_ms);
        let look = self
            .buckets
            .iter()
            .find(|(_, bucket)| !bucket.near && !bucket.reading)
            .map(|((number, _), _)| (number << BUCKET_SHIFT) as i64 - HORIZON_MS);
        match (due, look) {
            (Some(due), Some(look)) => Some(due.min(look)),
            (due, look) => due.or(look),
        }
    }

    /// Something that is due and committed.
    fn due(&self, now_ms: i64, commits: &Commits) -> Option<DueKey> {
        self.near
            .iter()
            .take_while(|(key, _)| key.due_ms <= now_ms)
            .find(|(_, near)| !near.reading && commits.has(near.commit))
            .map(|(key, _)| *key)
    }

    /// The next read of labels that is needed.
    fn next_read(&mut self, now_ms: i64, commits: &Commits) -> Option<Read> {
        let horizon = ((now_ms + HORIZON_MS).max(0) as u64) >> BUCKET_SHIFT;
        let (key, bucket) = self
            .buckets
            .range_mut(..=(horizon, true))
            .find(|(_, bucket)| !bucket.near && !bucket.reading && commits.has(bucket.commit))?;
        if bucket.read_to >= bucket.read_end {
            bucket.near = true;
            return self.next_read(now_ms, commits);
        }
        bucket.reading = true;
        Some(Read {
            log: bucket_log(*key),
            from: bucket.read_to,
            last: bucket.read_end - 1,
            max_records: LABELS_PER_READ,
            max_bytes: 0,
            want: Want::Head { len: 0 },
        })
    }

    /// Labels have come.
    fn labels(&mut self, log: LogId, records: Vec<Record>, failed: bool) {
        let Some(bucket) = self.buckets.get_mut(&bucket_key(log)) else { return };
        let got = records.len();
        for record in records {
            bucket.read_to = record.seq + 1;
            let Some(plan) = Plan::decode(&record.label) else { continue };
            let key = DueKey { due_ms: plan.due_ms, log, seq: record.seq };
            let size = match self.bodies.get(&(log, record.seq)) {
                Some(body) => (record.total_len + body.at().len).saturating_sub(STORED_AT_BYTES as u64),
                None => record.total_len,
            };
            let size = u32::try_from(size).unwrap_or(u32::MAX);
            self.near.insert(key, Near { plan, size, commit: CommitId(0), reading: false });
        }
        if failed {
            // A damaged entry is passed over; it stays in the store, and in the count.
            bucket.read_to += 1;
        }
        // New entries are noted by themselves from the first read on, so all reads end at the same place.
        bucket.near = bucket.read_to >= bucket.read_end || (got == 0 && !failed);
        bucket.reading = !bucket.near;
    }

    /// The message of a record.
    fn message_of(&self, key: DueKey, record: Record) -> Option<Message> {
        if record.format != FORMAT_BODY_APART {
            return Message::trusted(record.data).ok();
        }
        Message::trusted_apart(&record.data, self.bodies.get(&(key.log, key.seq))?.clone()).ok()
    }

    /// The read that goes on after `labels`.
    fn continue_read(&self, log: LogId) -> Option<Read> {
        let bucket = self.buckets.get(&bucket_key(log)).filter(|bucket| bucket.reading)?;
        Some(Read {
            log,
            from: bucket.read_to,
            last: bucket.read_end - 1,
            max_records: LABELS_PER_READ,
            max_bytes: 0,
            want: Want::Head { len: 0 },
        })
    }
}

/// What must be known of a message to put it off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Facts {
    pub due_ms: i64,
    pub priority: u8,
    pub expiration_ms: i64,
    pub persistent: bool,
    pub size: u32,
}

impl Facts {
    pub fn of(message: &Message) -> Facts {
        let head = message.head();
        Facts {
            due_ms: head.deliver_at_ms(),
            priority: head.priority(),
            expiration_ms: head.expiration_ms(),
            persistent: head.persistent(),
            size: u32::try_from(message.size_bytes()).unwrap_or(u32::MAX),
        }
    }
}

/// Where a record is taken from: it is at hand, or it lies in the store already.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Body<'m> {
    Message(&'m Message),
    Stored {
        durable: Option<(LogId, u64)>,
        temporary: Option<(LogId, u64)>,
        /// Its body, if that came in pieces.
        apart: Option<&'m Arc<StoredBody>>,
    },
}

impl Engine {
    /// Puts a publish off. Answers the batch that must be committed before it is confirmed.
    pub(crate) fn delay(
        &mut self,
        host: Key<VirtualHost>,
        destinations: &[Destination],
        message: &Message,
        sent_by: SentBy<'_>,
    ) -> Result<Option<CommitId>, Refusal> {
        self.delay_body(host, destinations, &Facts::of(message), Body::Message(message), sent_by)
    }

    fn sender(&self, sent_by: SentBy<'_>) -> Sender {
        let session = sent_by.session.and_then(|key| self.sessions.get(key));
        let client_id = session.and_then(|session| session.client.client_id.as_deref()).or(sent_by.client_id);
        Sender {
            session: session.map(|session| (session.id.0, self.started_unix_ms)),
            client_id: client_id.map(Into::into),
        }
    }

    /// Refuses delays that are too long.
    pub(crate) fn check_delay(&self, due_ms: i64) -> Result<(), Refusal> {
        let delay_ms = due_ms.saturating_sub(self.now.unix_ms).max(0) as u64;
        let max = self.config.limits.max_delay_ms;
        if delay_ms > max {
            let text = format!("a delay of {delay_ms} ms is longer than {max} (limits.max_delay_ms)");
            return Err(Refusal::new(Reason::Limit, text));
        }
        let max = self.config.limits.max_delayed;
        if delay_ms > 0 && self.delayed.count >= max {
            let text = format!("there are {max} delayed messages already (limits.max_delayed)");
            return Err(Refusal::new(Reason::Limit, text));
        }
        Ok(())
    }

    /// As `delay`, for a record that may lie in the store already.
    pub(crate) fn delay_body(
        &mut self,
        host: Key<VirtualHost>,
        destinations: &[Destination],
        facts: &Facts,
        body: Body<'_>,
        sent_by: SentBy<'_>,
    ) -> Result<Option<CommitId>, Refusal> {
        self.check_delay(facts.due_ms)?;
        let mut targets = Vec::with_capacity(destinations.len());
        for destination in destinations {
            targets.push(self.delay_target(host, destination)?);
        }
        if targets.len() > 1
            && let Some((Target::Routed { host, .. }, _)) =
                targets.iter().find(|(target, _)| matches!(target, Target::Routed { .. }))
        {
            let all = Target::Routed { host: host.clone(), destinations: destinations.to_vec() };
            targets = vec![(all, true)];
        }
        let (mut durable_at, mut temporary_at) = match body {
            Body::Message(_) => (None, None),
            Body::Stored { durable, temporary, .. } => (durable, temporary),
        };
        let mut need = None;
        for (target, durable) in targets {
            let durable = durable && facts.persistent;
            let sender = match target {
                Target::Queue(_) => Sender::default(),
                Target::Routed { .. } => self.sender(sent_by),
            };
            let plan = Plan {
                due_ms: facts.due_ms,
                target,
                sender,
                priority: facts.priority,
                expiration_ms: facts.expiration_ms,
                attempts: 0,
                label: Bytes::new(),
            };
            let log = keys::delayed_log(facts.due_ms) | if durable { 0 } else { TEMPORARY };
            let label = plan.encode();
            let seq = self.delayed.add(log, plan, facts.size, self.pending.id, self.now.unix_ms);
            let at = if durable { &mut durable_at } else { &mut temporary_at };
            match (*at, body) {
                (Some(from), _) => self.pending.link(log, seq, from, label),
                (None, Body::Message(message)) => {
                    *at = Some((log, seq));
                    self.pending.append(log, seq, label, message);
                }
                (None, Body::Stored { .. }) => continue,
            }
            let apart = match body {
                Body::Message(message) => message.stored_body(),
                Body::Stored { apart, .. } => apart,
            };
            if let Some(apart) = apart {
                self.delayed.hold_body(log, seq, apart, &mut self.pending);
            }
            if durable {
                self.pending.want_durable();
                need = Some(self.pending.id);
            } else {
                self.pending.want(CommitNeed::Lazy);
            }
        }
        Ok(need)
    }

    /// Where a delayed message goes, and whether what goes there may be durable.
    fn delay_target(
        &mut self,
        host: Key<VirtualHost>,
        destination: &Destination,
    ) -> Result<(Target, bool), Refusal> {
        let found = self.routing.hosts.get(host).ok_or_else(|| missing(destination))?;
        let key = match destination.kind {
            DestinationKind::Queue => self.queue_in_use(host, &destination.name)?,
            DestinationKind::TempQueue => {
                *found.temporary_queues.get(&destination.name).ok_or_else(|| missing(destination))?
            }
            DestinationKind::Exchange if exchange_and_key(&destination.name).0 == DEFAULT_EXCHANGE => {
                self.queue_in_use(host, exchange_and_key(&destination.name).1)?
            }
            _ => {
                let destinations = vec![destination.clone()];
                let target = Target::Routed { host: found.name.clone(), destinations };
                return Ok((target, true));
            }
        };
        let queue = self.queues.get(key).ok_or_else(|| missing(destination))?;
        Ok((Target::Queue(queue.number), queue.traits.durable))
    }

    /// Puts the redelivery of an entry in flight off.
    pub(crate) fn delay_entry(&mut self, key: Key<Queue>, priority: u8, entry: Entry, delay_ms: u64) {
        let delay_ms = i64::try_from(delay_ms.min(self.config.limits.max_delay_ms)).unwrap_or(i64::MAX);
        let Some(queue) = self.queues.get_mut(key) else { return };
        let Some(at) = queue.find_lane(priority) else { return };
        let plan = Plan {
            due_ms: self.now.unix_ms.saturating_add(delay_ms),
            target: Target::Queue(queue.number),
            priority,
            expiration_ms: entry.message.as_ref().map_or(0, |message| message.head().expiration_ms()),
            attempts: entry.attempts,
            sender: Sender::default(),
            label: entry.label(),
        };
        let durable = entry.place == Place::Durable;
        let log = keys::delayed_log(plan.due_ms) | if durable { 0 } else { TEMPORARY };
        let label = plan.encode();
        let seq = self.delayed.add(log, plan, entry.size, self.pending.id, self.now.unix_ms);
        match (entry.place, &entry.message) {
            (Place::Memory, Some(message)) => self.pending.append(log, seq, label, message),
            _ => self.pending.link(log, seq, (queue.lanes[at].log_of(entry.place), entry.seq), label),
        }
        if let Some(body) = queue.lanes[at].bodies.get(&entry.seq) {
            self.delayed.hold_body(log, seq, body, &mut self.pending);
        }
        self.pending.want(CommitNeed::Lazy);
        queue.finish_now(priority, &entry, &mut self.pending, &mut self.memory);
        if queue.must_look_again() {
            self.schedule(key);
        }
    }

    /// Looks at the near future, and brings in what is due.
    pub(crate) fn run_delayed(&mut self, out: &mut Outputs) {
        while let Some(read) = self.delayed.next_read(self.now.unix_ms, &self.commits) {
            self.reads.single(read, Purpose::Bucket(read.log), out);
        }
        while !self.store_is_busy()
            && let Some(key) = self.delayed.due(self.now.unix_ms, &self.commits)
        {
            self.bring_in(key, out);
        }
        self.delayed.prune(self.now.unix_ms, &mut self.pending);
    }

    fn bring_in(&mut self, key: DueKey, out: &mut Outputs) {
        let Some(near) = self.delayed.near.get_mut(&key) else { return };
        let number = match near.plan.target {
            Target::Queue(number) => number,
            Target::Routed { .. } => {
                near.reading = true;
                let read = Read {
                    log: key.log,
                    from: key.seq,
                    last: key.seq,
                    max_records: 1,
                    max_bytes: 0,
                    want: Want::All,
                };
                self.reads.single(read, Purpose::Due(key), out);
                return;
            }
        };
        if let Some(to) = self.numbers.get(&number).copied()
            && let Some(queue) = self.queues.get_mut(to)
        {
            let plan = &near.plan;
            let at = queue.lane(plan.priority);
            let temporary = key.log & TEMPORARY;
            let place = if temporary == 0 { Place::Durable } else { Place::Temporary };
            let body = self.delayed.bodies.get(&(key.log, key.seq));
            let seq = queue.admit_stored(to, at, near.size, place, body, &mut self.pending);
            let lane = &mut queue.lanes[at];
            if plan.expiration_ms != 0 {
                self.expiring = true;
                lane.earliest_expiry_ms = lane.earliest_expiry_ms.min(plan.expiration_ms);
            }
            self.pending.link(lane.log | temporary, seq, (key.log, key.seq), plan.label.clone());
            if plan.attempts > 0 {
                lane.attempts.insert(seq, plan.attempts);
                if place == Place::Durable {
                    let value = Bytes::copy_from_slice(&plan.attempts.to_le_bytes());
                    self.pending.put(keys::key(KeyKind::Attempts(lane.log, seq)), value);
                }
            }
            self.pending.want(CommitNeed::Now);
            self.schedule(to);
        }
        // The messages of a queue that is gone go with it.
        self.delayed.let_go_of_body(key, &mut self.pending);
        self.pending.remove(key.log, key.seq, key.seq);
        self.pending.want(CommitNeed::Lazy);
        self.delayed.remove(key);
    }

    /// The labels of a bucket have come.
    pub(crate) fn bucket_read(&mut self, log: LogId, answered: Answered, out: &mut Outputs) {
        let failed = answered.parts.iter().any(|part| part.failed);
        let records = answered.parts.into_iter().flat_map(|part| part.records).collect();
        self.delayed.labels(log, records, failed);
        if let Some(read) = self.delayed.continue_read(log) {
            self.reads.single(read, Purpose::Bucket(log), out);
        }
    }

    /// A message for a topic or exchange is due and here: it is routed.
    pub(crate) fn due_read(&mut self, key: DueKey, answered: Answered) {
        let Some(near) = self.delayed.near.get(&key) else { return };
        let record = answered.parts.into_iter().flat_map(|part| part.records).next();
        let Target::Routed { host, destinations } = near.plan.target.clone() else { return };
        let sender = near.plan.sender.clone();
        // A damaged record stays where it is, marked as being read, until somebody looks at the store.
        let Some(message) = record.and_then(|record| self.delayed.message_of(key, record)) else { return };
        // So does one whose virtual host is no longer configured: where it belongs is known when that is back.
        let Some(host) = self.routing.by_name.get(&host).copied() else { return };
        let session = sender.session.filter(|(_, began_ms)| *began_ms == self.started_unix_ms);
        let session = session.and_then(|(id, _)| self.by_session.get(&SessionId(id)).copied());
        let client_id = sender.client_id.as_deref();
        let publisher = Publisher { head: message.head(), session, client_id };
        let (mut routes, mut refused) = (Vec::new(), Vec::new());
        for destination in &destinations {
            let one = std::slice::from_ref(destination);
            if let Err(why) = self.find_routes(host, one, &publisher, &mut routes) {
                refused.push((destination, why));
            }
        }
        let mut body_at = (key.log & TEMPORARY == 0).then_some((key.log, key.seq));
        self.admit_linked(&message, &Origin::default(), &routes, &mut body_at);
        for (destination, why) in refused {
            // Temporary destinations take with them what was on its way.
            if !matches!(destination.kind, DestinationKind::TempQueue | DestinationKind::TempTopic) {
                self.dead_letter_unroutable(host, destination, &message, &mut body_at, &why);
            }
        }
        self.delayed.let_go_of_body(key, &mut self.pending);
        self.pending.remove(key.log, key.seq, key.seq);
        self.pending.want(CommitNeed::Lazy);
        self.delayed.remove(key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_is_read_back_from_its_label() {
        let queue = Plan {
            due_ms: 17,
            target: Target::Queue(9),
            priority: 7,
            expiration_ms: 99,
            attempts: 3,
            sender: Sender::default(),
            label: Bytes::from_static(b"label"),
        };
        let topic = Plan {
            due_ms: 17,
            target: Target::Routed {
                host: "h".into(),
                destinations: vec![Destination::topic("a.b").unwrap(), Destination::queue("c").unwrap()],
            },
            priority: 0,
            expiration_ms: 0,
            attempts: 0,
            sender: Sender { session: Some((5, -6)), client_id: Some("c".into()) },
            label: Bytes::new(),
        };
        for plan in [queue, topic] {
            assert_eq!(Plan::decode(&plan.encode()), Some(plan));
        }
        assert_eq!(Plan::decode(b""), None);
        assert_eq!(Plan::decode(b"rubbish"), None);
    }
}
