// SPDX-License-Identifier: Apache-2.0
//! How prepared branches are kept: keys that say what each one does, beside the hidden logs with what it publishes.
//!
//! The first key has what is known of the branch, the others its publishes and settles, some hundred each. Recovery
//! makes of them what was there before, without what was never to outlive the broker.

use crate::branch::{BranchName, Prepared};
use crate::delayed::Facts;
use crate::duplicates::ProducerName;
use crate::engine::Engine;
use crate::keys::{self, KeyKind, LogKind};
use crate::queue::entry::{Entry, Place};
use crate::recovery::RecoverError;
use crate::subscription::Unsettled;
use crate::transaction::{Hidden, Item, Settled, Spilled, Transaction};
use bytes::Bytes;
use sabir_model::fields::{self, number as field};
use sabir_model::store::LogId;
use sabir_model::stored::StoredAt;
use sabir_model::verb::Outcome;
use sabir_model::{Branch, Destination};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Bytes after which the next key begins.
const CHUNK_BYTES: usize = 32 << 10;

/// Fields of the first key, besides those of the contract.
const SINCE_MS: u16 = 64;
const CHUNKS: u16 = 65;
const LOG: u16 = 66;
const BYTES: u16 = 67;
/// Fields of the others.
const ITEM: u16 = 68;
const SETTLED: u16 = 69;
/// Fields of an item.
const FACTS: u16 = 1;
const AT: u16 = 2;
const ROUTES: u16 = 3;
const DELAYED: u16 = 4;
const SEQUENCE: u16 = 5;
const PRODUCER: u16 = 6;
const PRODUCER_USER: u16 = 7;
const BODY: u16 = 8;

/// What the store has kept of one branch, before the queues are looked up.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Kept {
    pub name: BranchName,
    number: u64,
    chunks: u32,
    since_ms: i64,
    client_id: Option<String>,
    bytes: usize,
    pub logs: Vec<u64>,
    items: Vec<KeptItem>,
    settled: Vec<KeptSettled>,
}

/// A publish.
#[derive(Clone, Debug, PartialEq, Eq)]
struct KeptItem {
    facts: Facts,
    at: (LogId, u64),
    /// Numbers of queues.
    routes: Vec<u64>,
    delayed: Vec<Destination>,
    /// Its place in the count of its producer: the name and the user of that, and the count.
    sequenced: Option<(Box<str>, Option<Box<str>>, u64)>,
    /// Where its body lies, if that came in pieces: this key holds it, as those of lanes hold theirs.
    body: Option<StoredAt>,
}

/// A settled entry.
#[derive(Clone, Debug, PartialEq, Eq)]
struct KeptSettled {
    log: LogId,
    seq: u64,
    size: u32,
    expiration_ms: i64,
    outcome: Outcome,
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

fn text(value: &[u8]) -> Option<Box<str>> {
    std::str::from_utf8(value).ok().map(Into::into)
}

impl KeptItem {
    fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(128);
        let mut facts = Vec::with_capacity(22);
        facts.extend_from_slice(&self.facts.due_ms.to_le_bytes());
        facts.extend_from_slice(&self.facts.expiration_ms.to_le_bytes());
        facts.extend_from_slice(&self.facts.size.to_le_bytes());
        facts.extend_from_slice(&[self.facts.priority, u8::from(self.facts.persistent)]);
        fields::put(&mut out, FACTS, &facts);
        fields::put(&mut out, AT, &[self.at.0.to_le_bytes(), self.at.1.to_le_bytes()].concat());
        let routes: Vec<u8> = self.routes.iter().flat_map(|number| number.to_le_bytes()).collect();
        fields::put(&mut out, ROUTES, &routes);
        for destination in &self.delayed {
            fields::put(&mut out, DELAYED, destination.to_string().as_bytes());
        }
        if let Some((producer, user, sequence)) = &self.sequenced {
            fields::put(&mut out, SEQUENCE, &sequence.to_le_bytes());
            fields::put(&mut out, PRODUCER, producer.as_bytes());
            if let Some(user) = user {
                fields::put(&mut out, PRODUCER_USER, user.as_bytes());
            }
        }
        if let Some(body) = self.body {
            fields::put(&mut out, BODY, &body.encode());
        }
        out
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let (mut facts, mut at, mut routes, mut delayed) = (None, None, Vec::new(), Vec::new());
        let (mut producer, mut user, mut sequence, mut body) = (None, None, None, None);
        for one in fields::iter(bytes) {
            let (number, value) = one.ok()?;
            match number {
                FACTS => {
                    facts = Some(Facts {
                        due_ms: u64_at(value, 0)?.cast_signed(),
                        expiration_ms: u64_at(value, 8)?.cast_signed(),
                        size: u32_at(value, 16)?,
                        priority: *value.get(20)?,
                        persistent: *value.get(21)? != 0,
                    });
                }
                AT => at = Some((u64_at(value, 0)?, u64_at(value, 8)?)),
                ROUTES => {
                    routes = (0..value.len() / 8).map(|n| u64_at(value, n * 8)).collect::<Option<_>>()?;
                }
                DELAYED => delayed.push(Destination::parse(std::str::from_utf8(value).ok()?).ok()?),
                SEQUENCE => sequence = Some(u64_at(value, 0)?),
                PRODUCER => producer = Some(text(value)?),
                PRODUCER_USER => user = Some(text(value)?),
                BODY => body = Some(StoredAt::decode(value)?),
                _ => {}
            }
        }
        let sequenced = match (producer, sequence) {
            (Some(producer), Some(sequence)) => Some((producer, user, sequence)),
            _ => None,
        };
        Some(KeptItem { facts: facts?, at: at?, routes, delayed, sequenced, body })
    }
}

impl KeptSettled {
    fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(40);
        out.extend_from_slice(&self.log.to_le_bytes());
        out.extend_from_slice(&self.seq.to_le_bytes());
        out.extend_from_slice(&self.size.to_le_bytes());
        out.extend_from_slice(&self.expiration_ms.to_le_bytes());
        match &self.outcome {
            Outcome::Accept => out.push(1),
            Outcome::Reject { reason } => {
                out.push(2);
                out.extend_from_slice(reason.as_bytes());
            }
            Outcome::Release { delay_ms: None } => out.push(3),
            Outcome::Release { delay_ms: Some(delay_ms) } => {
                out.push(4);
                out.extend_from_slice(&delay_ms.to_le_bytes());
            }
            Outcome::Return => out.push(5),
        }
        out
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let outcome = match bytes.get(28)? {
            1 => Outcome::Accept,
            2 => Outcome::Reject { reason: String::from_utf8(bytes.get(29..)?.to_vec()).ok()? },
            3 => Outcome::Release { delay_ms: None },
            4 => Outcome::Release { delay_ms: Some(u32_at(bytes, 29)?) },
            5 => Outcome::Return,
            _ => return None,
        };
        Some(KeptSettled {
            log: u64_at(bytes, 0)?,
            seq: u64_at(bytes, 8)?,
            size: u32_at(bytes, 16)?,
            expiration_ms: u64_at(bytes, 20)?.cast_signed(),
            outcome,
        })
    }
}

impl Kept {
    fn encode_head(&self) -> Bytes {
        let mut out = Vec::with_capacity(256);
        fields::put(&mut out, field::VIRTUAL_HOST, self.name.host.as_bytes());
        fields::put(&mut out, field::BRANCH, &self.name.branch.to_bytes());
        if let Some(user) = &self.name.user {
            fields::put(&mut out, field::USER, user.as_bytes());
        }
        if let Some(client_id) = &self.client_id {
            fields::put(&mut out, field::CLIENT_ID, client_id.as_bytes());
        }
        fields::put(&mut out, SINCE_MS, &self.since_ms.to_le_bytes());
        fields::put(&mut out, CHUNKS, &self.chunks.to_le_bytes());
        fields::put(&mut out, BYTES, &(self.bytes as u64).to_le_bytes());
        for log in &self.logs {
            fields::put(&mut out, LOG, &log.to_le_bytes());
        }
        out.into()
    }

    fn decode_head(number: u64, bytes: &[u8]) -> Option<Self> {
        let (mut host, mut branch, mut user, mut client_id) = (None, None, None, None);
        let (mut since_ms, mut chunks, mut total, mut logs) = (0, None, 0, Vec::new());
        for one in fields::iter(bytes) {
            let (number, value) = one.ok()?;
            match number {
                field::VIRTUAL_HOST => host = Some(text(value)?),
                field::BRANCH => branch = Some(Branch::from_bytes(value)?),
                field::USER => user = Some(text(value)?),
                field::CLIENT_ID => client_id = Some(text(value)?.into()),
                SINCE_MS => since_ms = u64_at(value, 0)?.cast_signed(),
                CHUNKS => chunks = Some(u32_at(value, 0)?),
                BYTES => total = u64_at(value, 0)?,
                LOG => logs.push(u64_at(value, 0)?),
                _ => {}
            }
        }
        Some(Kept {
            name: BranchName { host: host?, branch: branch?, user },
            number,
            chunks: chunks?,
            since_ms,
            client_id,
            bytes: usize::try_from(total).ok()?,
            logs,
            items: Vec::new(),
            settled: Vec::new(),
        })
    }

    /// The values of the keys behind the first.
    fn encode_chunks(&self) -> Vec<Bytes> {
        let items = self.items.iter().map(|item| (ITEM, item.encode()));
        let settled = self.settled.iter().map(|settled| (SETTLED, settled.encode()));
        let mut chunks = Vec::new();
        let mut chunk = Vec::new();
        for (number, value) in items.chain(settled) {
            fields::put(&mut chunk, number, &value);
            if chunk.len() >= CHUNK_BYTES {
                chunks.push(std::mem::take(&mut chunk).into());
            }
        }
        if !chunk.is_empty() {
            chunks.push(chunk.into());
        }
        chunks
    }

    fn decode_chunk(&mut self, bytes: &[u8]) -> Option<()> {
        for one in fields::iter(bytes) {
            let (number, value) = one.ok()?;
            match number {
                ITEM => self.items.push(KeptItem::decode(value)?),
                SETTLED => self.settled.push(KeptSettled::decode(value)?),
                _ => {}
            }
        }
        Some(())
    }

    /// Puts the branches together again whose keys were found, in the keys' order.
    pub fn collect(found: Vec<(u64, u32, Bytes)>) -> Result<Vec<Kept>, RecoverError> {
        let damaged = |number| RecoverError::Damaged(format!("of the prepared branch {number}"));
        let mut all: BTreeMap<u64, (Kept, u32)> = BTreeMap::new();
        for (number, chunk, value) in found {
            if chunk == 0 {
                let kept = Kept::decode_head(number, &value).ok_or_else(|| damaged(number))?;
                all.insert(number, (kept, 0));
                continue;
            }
            let (kept, seen) = all.get_mut(&number).ok_or_else(|| damaged(number))?;
            *seen += 1;
            kept.decode_chunk(&value).filter(|()| *seen == chunk).ok_or_else(|| damaged(number))?;
        }
        all.into_values()
            .map(|(kept, seen)| if seen == kept.chunks { Ok(kept) } else { Err(damaged(kept.number)) })
            .collect()
    }
}

impl Engine {
    /// Puts a branch's keys into the pending batch, which must be durable before it is said to be prepared.
    pub(crate) fn write_prepared(&mut self, name: &BranchName, prepared: &mut Prepared) {
        let mut kept = self.kept(name, prepared);
        let chunks = kept.encode_chunks();
        kept.chunks = chunks.len() as u32;
        prepared.chunks = kept.chunks;
        self.pending.put(keys::key(KeyKind::Prepared(prepared.number, 0)), kept.encode_head());
        for (at, chunk) in (1..).zip(chunks) {
            self.pending.put(keys::key(KeyKind::Prepared(prepared.number, at)), chunk);
        }
        self.pending.want_durable();
    }

    /// Removes them.
    pub(crate) fn delete_prepared(&mut self, prepared: &Prepared) {
        for at in 0..=prepared.chunks {
            self.pending.delete(keys::key(KeyKind::Prepared(prepared.number, at)));
        }
        for item in &prepared.transaction.items {
            if let Item::Spilled(Spilled { body: Some(body), .. }) = item {
                body.touch(self.pending.id.0);
            }
        }
        self.pending.want_durable();
    }

    /// What of a branch is to stay.
    fn kept(&self, name: &BranchName, prepared: &Prepared) -> Kept {
        let transaction = &prepared.transaction;
        let mut sequenced = transaction.sequenced.iter().peekable();
        let mut items = Vec::new();
        for (at, item) in transaction.items.iter().enumerate() {
            let one = sequenced.next_if(|(of, _)| *of == at).map(|(_, one)| one);
            let Item::Spilled(spilled) = item else { continue };
            // What is in a temporary log alone goes with the broker.
            let Some(place) = spilled.durable else { continue };
            let number =
                |key| self.queues.get(key).filter(|queue| queue.traits.durable).map(|one| one.number);
            items.push(KeptItem {
                facts: spilled.facts,
                at: place,
                routes: spilled.routes.iter().filter_map(|key| number(*key)).collect(),
                delayed: spilled.delayed.as_deref().unwrap_or_default().to_vec(),
                sequenced: one
                    .map(|one| (one.producer.name.clone(), one.producer.user.clone(), one.sequence)),
                body: spilled.body.as_ref().map(|body| body.at()),
            });
        }
        let logs = transaction.hidden.iter().filter(|hidden| hidden.durable_next > 0);
        Kept {
            name: name.clone(),
            number: prepared.number,
            chunks: 0,
            since_ms: prepared.since_ms,
            client_id: prepared.client_id.clone(),
            bytes: transaction.bytes,
            logs: logs.map(|hidden| hidden.number).collect(),
            items,
            settled: transaction.settled.iter().filter_map(|one| self.kept_settled(one)).collect(),
        }
    }

    fn kept_settled(&self, one: &Settled) -> Option<KeptSettled> {
        let entry = one.unsettled.entry.as_ref().filter(|entry| entry.place == Place::Durable)?;
        let queue = self.queues.get(one.unsettled.queue)?;
        Some(KeptSettled {
            log: keys::lane_log(queue.number, one.unsettled.priority),
            seq: entry.seq,
            size: entry.size,
            expiration_ms: one.expiration_ms,
            outcome: one.outcome.clone(),
        })
    }

    /// A branch is prepared again, after lanes, attempts and producers were recovered.
    pub(crate) fn recover_prepared(&mut self, kept: Kept) {
        self.routing.add_host(&kept.name.host);
        let mut transaction = Transaction { bytes: kept.bytes, ..Transaction::default() };
        // Nothing is added to these logs any more: that there is something in them is enough to know.
        let hidden = |number: &u64| Hidden { number: *number, durable_next: 1, temporary_next: 0 };
        transaction.hidden = kept.logs.iter().map(hidden).collect();
        for item in kept.items {
            if let Some((name, user, sequence)) = item.sequenced.clone() {
                let producer = ProducerName { name, user, host: kept.name.host.clone() };
                let one = self.sequenced_again(Arc::new(producer), sequence);
                self.leave_open(&one);
                transaction.sequenced.push((transaction.items.len(), one));
            }
            transaction.items.push(self.recover_item(item));
        }
        for settled in kept.settled {
            transaction.settled.extend(self.recover_settled(settled));
        }
        let prepared = Prepared {
            number: kept.number,
            chunks: kept.chunks,
            since_ms: kept.since_ms,
            client_id: kept.client_id,
            transaction,
            resident: 0,
            awaiting: Vec::new(),
        };
        self.branches.keep(Arc::new(kept.name), prepared);
    }

    fn recover_item(&mut self, item: KeptItem) -> Item {
        let routes: Vec<_> =
            item.routes.iter().filter_map(|number| self.numbers.get(number).copied()).collect();
        for queue in &routes {
            *self.promised.entry(*queue).or_default() += 1;
        }
        Item::Spilled(Spilled {
            facts: item.facts,
            durable: Some(item.at),
            temporary: None,
            routes,
            delayed: (!item.delayed.is_empty()).then(|| item.delayed.into()),
            body: item.body.map(|at| self.bodies.recover(at)),
            message: None,
        })
    }

    /// The entry is in flight again, and nobody has it.
    fn recover_settled(&mut self, settled: KeptSettled) -> Option<Settled> {
        let Some(LogKind::Lane { queue: number, priority }) = keys::log_kind(settled.log) else {
            return None;
        };
        let key = *self.numbers.get(&number)?;
        let queue = self.queues.get_mut(key)?;
        let at = queue.find_lane(priority)?;
        let lane = queue.lanes.get_mut(at)?;
        if !lane.ready.remove(settled.seq) {
            return None;
        }
        let attempts = lane.attempts.get(&settled.seq).copied();
        queue.in_flight += 1;
        let entry = Entry {
            seq: settled.seq,
            message: None,
            label: None,
            size: settled.size,
            attempts: attempts.unwrap_or(0),
            place: Place::Durable,
            redelivered: true,
            counted: attempts.is_some(),
            together: false,
            group: 0,
        };
        let unsettled = Unsettled { tag: settled.seq, queue: key, priority, entry: Some(entry), open: true };
        Some(Settled {
            unsettled,
            outcome: settled.outcome,
            from: None,
            expiration_ms: settled.expiration_ms,
        })
    }
}

/// The numbers of the hidden logs that prepared branches need.
pub(crate) fn needed_logs(kept: &[Kept]) -> BTreeSet<u64> {
    kept.iter().flat_map(|kept| kept.logs.iter().copied()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(items: usize) -> Kept {
        let facts = Facts { due_ms: -1, priority: 7, expiration_ms: 99, persistent: true, size: 17 };
        let item = KeptItem {
            facts,
            at: (5, 6),
            routes: vec![1, 2],
            delayed: vec![Destination::queue("q").unwrap(), Destination::topic("t").unwrap()],
            sequenced: Some(("p".into(), Some("ann".into()), 4)),
            body: Some(StoredAt { log: 3 << 60 | 5, len: 100 << 20 }),
        };
        let plain =
            KeptItem { routes: Vec::new(), delayed: Vec::new(), sequenced: None, body: None, ..item.clone() };
        let outcomes = [
            Outcome::Accept,
            Outcome::Reject { reason: "no".to_owned() },
            Outcome::Release { delay_ms: None },
            Outcome::Release { delay_ms: Some(3) },
            Outcome::Return,
        ];
        let settled = |outcome| KeptSettled { log: 8, seq: 9, size: 10, expiration_ms: -11, outcome };
        Kept {
            name: BranchName {
                host: "h".into(),
                branch: Branch::new(1, &[2, 3], &[4]).unwrap(),
                user: Some("u".into()),
            },
            number: 12,
            chunks: 0,
            since_ms: 13,
            client_id: Some("c".to_owned()),
            bytes: 14,
            logs: vec![15, 16],
            items: (0..items).map(|n| if n % 2 == 0 { item.clone() } else { plain.clone() }).collect(),
            settled: outcomes.into_iter().map(settled).collect(),
        }
    }

    fn found(kept: &mut Kept) -> Vec<(u64, u32, Bytes)> {
        let chunks = kept.encode_chunks();
        kept.chunks = chunks.len() as u32;
        let head = std::iter::once((12, 0, kept.encode_head()));
        head.chain((1..).zip(chunks).map(|(at, chunk)| (12, at, chunk))).collect()
    }

    #[test]
    fn what_is_kept_of_a_branch_is_read_back_from_as_many_keys_as_it_needs() {
        for items in [0, 2, 1_000] {
            let mut kept = kept(items);
            let found = found(&mut kept);
            assert_eq!(kept.chunks > 1, items > 100);
            assert_eq!(Kept::collect(found).unwrap(), [kept]);
        }
    }

    #[test]
    fn a_branch_of_which_a_key_is_missing_or_damaged_is_not_taken_for_whole() {
        let found = found(&mut kept(1_000));
        for gone in 0..found.len() {
            let mut rest = found.clone();
            rest.remove(gone);
            assert!(Kept::collect(rest).is_err(), "without key {gone}");
        }
        for (at, (number, chunk, value)) in found.iter().enumerate() {
            let mut cut = found.clone();
            cut[at] = (*number, *chunk, value.slice(..value.len() - 1));
            assert!(Kept::collect(cut).is_err());
        }
    }
}
