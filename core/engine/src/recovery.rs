// SPDX-License-Identifier: Apache-2.0
//! From what the store has kept to an engine: keys say what there is, summaries say what is in it.
//!
//! No record is read. Entries below a lane's delivery mark may have been delivered before, and are said to be.

use crate::config::Config;
use crate::definition::{BindingDefinition, ExchangeDefinition, QueueDefinition};
use crate::duplicates::Remembered;
use crate::engine::Engine;
use crate::keys::{self, KeyKind, LogKind};
use crate::output::CommitNeed;
use crate::prepared::{Kept, needed_logs};
use crate::queue::lane::Lane;
use crate::routing::Exchange;
use bytes::Bytes;
use sabir_model::selector::Selector;
use sabir_model::store::{LogId, LogSummary, TEMPORARY};
use sabir_model::stored::{STORED_AT_BYTES, StoredAt};
use sabir_model::verb::Bind;
use sabir_model::{Destination, DestinationKind, Now};
use std::collections::BTreeSet;
use std::sync::Arc;

/// Why nothing can be made of what the store has kept.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecoverError {
    /// It was written by a newer broker.
    #[error("the store was written with version {0} of the key space; this broker knows version {version}", version = keys::VERSION)]
    Version(u8),
    /// A key's value cannot be read.
    #[error("the value of the key {0} is damaged")]
    Damaged(String),
    /// Messages lie in a log of which no key says what it is.
    #[error("the log {log:#x} holds {count} messages, but no key says of which queue")]
    Orphans {
        /// The log.
        log: LogId,
        /// Its messages.
        count: u64,
    },
}

/// What the keys say, by kind.
#[derive(Default)]
struct Found {
    queues: Vec<(u64, QueueDefinition)>,
    exchanges: Vec<(u64, ExchangeDefinition)>,
    bindings: Vec<(u64, BindingDefinition)>,
    marks: Vec<(LogId, u64)>,
    attempts: Vec<(LogId, u64, u32)>,
    producers: Vec<Remembered>,
    prepared: Vec<(u64, u32, Bytes)>,
    bodies: Vec<(LogId, u64, StoredAt)>,
    reserved: u64,
}

impl Engine {
    /// The keys that `recover` needs: ranges from (inclusive) to (exclusive).
    pub fn key_ranges() -> Vec<(Bytes, Bytes)> {
        vec![keys::range()]
    }

    /// Makes an engine of what the store has kept: the summaries of all logs, and the keys in `key_ranges`, in
    /// order. The caller sends a first `Input::Tick` then, whose outputs say what is to be done.
    pub fn recover(
        config: Config,
        now: Now,
        logs: Vec<LogSummary>,
        keys: Vec<(Bytes, Bytes)>,
    ) -> Result<Engine, RecoverError> {
        let mut engine = Engine::empty(config, now);
        let found = sort_keys(&keys)?;
        engine.number_next = found.reserved.max(1);
        engine.number_reserved = engine.number_next;
        engine.recover_queues(found.queues)?;
        for (number, definition) in found.exchanges {
            let host = engine.routing.add_host(&definition.host);
            let exchange = Exchange::new(number, &definition.name, definition.kind, definition.auto_delete);
            engine.place_exchange(host, exchange);
        }
        engine.recover_bindings(found.bindings);
        let prepared = Kept::collect(found.prepared)?;
        let needed = needed_logs(&prepared);
        for log in logs {
            engine.recover_log(log, &needed)?;
        }
        for (log, mark) in found.marks {
            match engine.lane_of(log) {
                Some(lane) => lane.recover_mark(mark),
                None => engine.drop_key(keys::key(KeyKind::Mark(log))),
            }
        }
        for (log, seq, attempts) in found.attempts {
            match engine.lane_of(log).filter(|lane| lane.ready.contains(seq)) {
                Some(lane) => {
                    lane.attempts.insert(seq, attempts);
                }
                None => engine.drop_key(keys::key(KeyKind::Attempts(log, seq))),
            }
        }
        for (log, seq, at) in found.bodies {
            if !engine.recover_body(log, seq, at) {
                engine.drop_key(keys::key(KeyKind::Body(log, seq)));
            }
        }
        engine.delayed.recovered(engine.number_next);
        found.producers.into_iter().for_each(|producer| engine.duplicates.recover(producer));
        let max = engine.config.limits.max_remembered_producers;
        engine.duplicates.shrink(max, &mut engine.pending);
        prepared.into_iter().for_each(|kept| engine.recover_prepared(kept));
        engine.bodies.recovered(&mut engine.pending);
        Ok(engine)
    }

    fn recover_queues(&mut self, queues: Vec<(u64, QueueDefinition)>) -> Result<(), RecoverError> {
        for (number, definition) in queues {
            let host = self.routing.add_host(&definition.host);
            let damaged = |_| RecoverError::Damaged(format!("of the queue {number}"));
            match definition.subscription {
                Some(subscription) => {
                    self.place_subscription(host, number, subscription, definition.traits)
                        .map_err(damaged)?;
                }
                None => {
                    let queue = self
                        .place_queue(host, number, &definition.destination, definition.traits)
                        .map_err(damaged)?;
                    self.bind_virtual(queue);
                }
            }
        }
        Ok(())
    }

    fn recover_bindings(&mut self, bindings: Vec<(u64, BindingDefinition)>) {
        for (number, definition) in bindings {
            let host = self.routing.add_host(&definition.host);
            let exists = |one: &Destination| match one.kind {
                DestinationKind::Queue => {
                    self.routing.hosts.get(host).is_some_and(|host| host.queues.contains_key(&one.name))
                }
                _ => true,
            };
            let bind = Bind {
                source: definition.source,
                target: definition.target,
                key: definition.key.into(),
                selector: definition.selector,
            };
            let selector = bind.selector.as_deref().map(Selector::parse).transpose();
            let ends = if exists(&bind.target) { self.bind_ends(host, &bind).ok() } else { None };
            match (ends, selector) {
                (Some((source, target, key)), Ok(selector)) => {
                    self.place_binding(source, target, key, number, selector.map(Arc::new));
                }
                _ => self.drop_key(keys::key(KeyKind::Binding(number))),
            }
        }
    }

    fn recover_log(&mut self, summary: LogSummary, needed: &BTreeSet<u64>) -> Result<(), RecoverError> {
        let LogSummary { log, next_seq, ranges } = summary;
        let count = ranges.iter().map(|range| range.count).sum();
        if log & TEMPORARY != 0 {
            return Ok(());
        }
        match keys::log_kind(log) {
            Some(LogKind::Lane { queue: number, priority }) => {
                let Some(queue) = self.numbers.get(&number).and_then(|key| self.queues.get_mut(*key)) else {
                    return if count == 0 { Ok(()) } else { Err(RecoverError::Orphans { log, count }) };
                };
                let at = queue.lane_exactly(priority);
                let lane = &mut queue.lanes[at];
                lane.next_seq = next_seq;
                lane.committed = next_seq;
                for range in &ranges {
                    lane.ready.push_back(range.first, range.last);
                    queue.messages += range.count;
                    queue.bytes += range.bytes;
                }
                if count > 0 {
                    // Nobody knows before it is looked at.
                    lane.earliest_expiry_ms = 0;
                    self.expiring = true;
                }
            }
            Some(LogKind::Transaction(number)) => {
                self.next_transaction_log = self.next_transaction_log.max(number + 1);
                if !needed.contains(&number) {
                    self.pending.forget(log);
                    self.pending.want(CommitNeed::Lazy);
                }
            }
            Some(LogKind::Delayed(_)) => {
                let first = ranges.first().map_or(next_seq, |range| range.first);
                self.delayed.recover(log, first, next_seq, count);
            }
            Some(LogKind::Body(number)) => self.bodies.recover_log(log, number),
            None if count > 0 => return Err(RecoverError::Orphans { log, count }),
            None => {}
        }
        Ok(())
    }

    /// An entry has its body in the store. `false`: there is no such entry.
    fn recover_body(&mut self, log: LogId, seq: u64, at: StoredAt) -> bool {
        if matches!(keys::log_kind(log), Some(LogKind::Delayed(_))) {
            let body = self.bodies.recover(at);
            return self.delayed.recover_body(log, seq, body);
        }
        let Some(LogKind::Lane { queue, priority }) = keys::log_kind(log) else { return false };
        let Some(queue) = self.numbers.get(&queue).and_then(|key| self.queues.get_mut(*key)) else {
            return false;
        };
        let Some(lane) = queue.find_lane(priority).and_then(|at| queue.lanes.get_mut(at)) else {
            return false;
        };
        if !lane.ready.contains(seq) {
            return false;
        }
        lane.bodies.insert(seq, self.bodies.recover(at));
        // The log's summary counts what names the body instead.
        queue.bytes = (queue.bytes + at.len).saturating_sub(STORED_AT_BYTES as u64);
        true
    }

    fn lane_of(&mut self, log: LogId) -> Option<&mut Lane> {
        let Some(LogKind::Lane { queue, priority }) = keys::log_kind(log) else { return None };
        let queue = self.queues.get_mut(*self.numbers.get(&queue)?)?;
        let at = queue.find_lane(priority)?;
        queue.lanes.get_mut(at)
    }
}

/// Reads all keys.
fn sort_keys(keys: &[(Bytes, Bytes)]) -> Result<Found, RecoverError> {
    let mut found = Found::default();
    for (key, value) in keys {
        let damaged = || RecoverError::Damaged(format!("{key:?}"));
        match keys::parse(key) {
            Some(KeyKind::Meta) => {
                let (version, rest) = value.split_first().ok_or_else(damaged)?;
                if *version != keys::VERSION {
                    return Err(RecoverError::Version(*version));
                }
                found.reserved = u64::from_le_bytes(rest.try_into().map_err(|_| damaged())?);
            }
            Some(KeyKind::Queue(number)) => {
                found.queues.push((number, QueueDefinition::decode(value).ok_or_else(damaged)?));
            }
            Some(KeyKind::Exchange(number)) => {
                found.exchanges.push((number, ExchangeDefinition::decode(value).ok_or_else(damaged)?));
            }
            Some(KeyKind::Binding(number)) => {
                found.bindings.push((number, BindingDefinition::decode(value).ok_or_else(damaged)?));
            }
            Some(KeyKind::Mark(log)) => {
                let mark = value.as_ref().try_into().map_err(|_| damaged())?;
                found.marks.push((log, u64::from_le_bytes(mark)));
            }
            Some(KeyKind::Attempts(log, seq)) => {
                let attempts = value.as_ref().try_into().map_err(|_| damaged())?;
                found.attempts.push((log, seq, u32::from_le_bytes(attempts)));
            }
            Some(KeyKind::Producer(number)) => {
                found.producers.push(Remembered::decode(number, value).ok_or_else(damaged)?);
            }
            Some(KeyKind::Prepared(number, chunk)) => found.prepared.push((number, chunk, value.clone())),
            Some(KeyKind::Body(log, seq)) => {
                found.bodies.push((log, seq, StoredAt::decode(value).ok_or_else(damaged)?));
            }
            None => return Err(damaged()),
        }
    }
    Ok(found)
}
