// SPDX-License-Identifier: Apache-2.0
//! What a store should hold, in the simplest form there is, and batches from a seed to hold it against.

#![allow(dead_code)]

use bytes::Bytes;
use sabir_model::store::{Batch, Level, LogRange, LogSummary, Op, Read, Record, TEMPORARY, Want};
use sabir_sdk::store::{Ops, Store};
use sabir_sdk::{Error, ErrorCode, Host};
use sabir_store_journal::{Journal, Options};
use sabir_testkit::disk::{Dice, SimDisk};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The key under which every batch of [`Model::next_batch`] leaves its number.
pub const COUNT: &[u8] = b"count";

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Log {
    pub next_seq: u64,
    pub entries: BTreeMap<u64, Record>,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Model {
    pub logs: BTreeMap<u64, Log>,
    pub keys: BTreeMap<Bytes, Bytes>,
    pub batches: u64,
}

impl Model {
    pub fn apply(&mut self, batch: &Batch) {
        batch.ops.iter().for_each(|op| self.apply_op(op));
        self.batches += 1;
    }

    fn entry(&mut self, log: u64, record: Record) {
        let log = self.logs.entry(log).or_default();
        log.next_seq = log.next_seq.max(record.seq + record.span);
        log.entries.insert(record.seq, record);
    }

    fn apply_op(&mut self, op: &Op) {
        match op.clone() {
            Op::Append { log, seq, span, format, label, record } => {
                let data = Bytes::from(record.concat());
                self.entry(log, Record { seq, span, format, total_len: data.len() as u64, label, data });
            }
            Op::Link { log, seq, from_log, from_seq, label } => {
                let record = self.logs[&from_log].entries[&from_seq].clone();
                self.entry(log, Record { seq, label, ..record });
            }
            Op::Remove { log, first, last } => self.remove(log, first, last),
            Op::Trim { log, before: 0 } => self.remove(log, 1, 0),
            Op::Trim { log, before } => self.remove(log, 0, before - 1),
            Op::Replace { log, first, last, span, format, record } => {
                self.remove(log, first, last);
                if let Some(data) = record {
                    let total_len = data.len() as u64;
                    self.entry(
                        log,
                        Record { seq: first, span, format, total_len, label: Bytes::new(), data },
                    );
                    let log = self.logs.entry(log).or_default();
                    log.next_seq = log.next_seq.max(last + 1);
                }
            }
            Op::Put { key, value } => {
                self.keys.insert(key, value);
            }
            Op::Delete { key } => {
                self.keys.remove(&key);
            }
        }
    }

    fn remove(&mut self, log: u64, first: u64, last: u64) {
        if let Some(log) = self.logs.get_mut(&log) {
            log.entries.retain(|seq, _| *seq < first || *seq > last);
        }
    }

    pub fn summaries(&self) -> Vec<LogSummary> {
        let lasting = self.logs.range(..TEMPORARY);
        lasting
            .map(|(id, log)| LogSummary { log: *id, next_seq: log.next_seq, ranges: log.ranges() })
            .collect()
    }

    /// What is left after the store was opened again.
    pub fn reopened(&self) -> Model {
        let mut model = self.clone();
        model.logs.retain(|log, _| log & TEMPORARY == 0);
        model
    }

    /// A batch that fits, ending with its own number under [`COUNT`].
    pub fn next_batch(&self, dice: &mut Dice) -> Batch {
        let mut ahead = self.clone();
        let mut batch = Batch { ops: Vec::new(), level: Level::Durable };
        for _ in 0..1 + dice.below(6) {
            let op = ahead.next_op(dice);
            ahead.apply_op(&op);
            batch.ops.push(op);
        }
        let value = Bytes::from((self.batches + 1).to_string());
        batch.ops.push(Op::Put { key: Bytes::from_static(COUNT), value });
        batch
    }

    fn next_op(&self, dice: &mut Dice) -> Op {
        let log = 1 + dice.below(4) + if dice.chance(10) { TEMPORARY } else { 0 };
        let next = self.logs.get(&log).map_or(0, |log| log.next_seq);
        let seq = next + if dice.chance(10) { dice.below(20) } else { 0 };
        let some = |dice: &mut Dice| dice.below(next + 1);
        match dice.below(20) {
            0..=9 => {
                let span = if dice.chance(10) { 1 + dice.below(10) } else { 1 };
                let sizes: &[u64] =
                    if dice.chance(10) { &[20_000, 70_000, 140_000] } else { &[0, 10, 100, 100, 1000, 3000] };
                let size = sizes[dice.below(sizes.len() as u64) as usize];
                let record = [some_noise(dice, 40), noise(dice, size)];
                let format = dice.below(2) as u32;
                Op::Append { log, seq, span, format, label: some_noise(dice, 9), record }
            }
            10..=12 => match self.some_entry(dice) {
                Some((from_log, from_seq)) => {
                    Op::Link { log, seq, from_log, from_seq, label: some_noise(dice, 9) }
                }
                None => self.next_op(dice),
            },
            13..=15 => {
                let first = some(dice);
                Op::Remove { log, first, last: first + dice.below(10) }
            }
            16 => Op::Trim { log, before: some(dice) / 2 },
            17 => {
                let first = some(dice);
                let record = dice.chance(70).then(|| noise(dice, 500));
                Op::Replace { log, first, last: first + dice.below(5), span: 1, format: 3, record }
            }
            18 => Op::Put { key: key(dice), value: some_noise(dice, 300) },
            _ => Op::Delete { key: key(dice) },
        }
    }

    fn some_entry(&self, dice: &mut Dice) -> Option<(u64, u64)> {
        let all: Vec<(u64, u64)> =
            self.logs.iter().flat_map(|(id, log)| log.entries.keys().map(|seq| (*id, *seq))).collect();
        all.get(dice.below(all.len() as u64) as usize).copied()
    }

    /// Compares with a store, entry by entry.
    pub fn compare(&self, store: &Journal) -> Result<(), String> {
        for (id, log) in &self.logs {
            let found = read_all(store, *id).map_err(|error| format!("log {id}: {error:?}"))?;
            let expected: Vec<&Record> = log.entries.values().collect();
            if found.len() != expected.len() {
                let seqs: Vec<u64> = found.iter().map(|record| record.seq).collect();
                return Err(format!("log {id}: {seqs:?} found, {:?} expected", log.entries.keys()));
            }
            for (found, expected) in found.iter().zip(expected) {
                if found != expected {
                    let short = |r: &Record| {
                        format!("{} {} {} {} {:?}", r.seq, r.span, r.format, r.total_len, r.label)
                    };
                    return Err(format!("log {id}: {} found, {} expected", short(found), short(expected)));
                }
            }
        }
        let mut keys = BTreeMap::new();
        let mut visit = |key: &[u8], value: &[u8]| {
            keys.insert(Bytes::copy_from_slice(key), Bytes::copy_from_slice(value));
            true
        };
        store.scan(&[], &[], 0, &mut visit).map_err(|error| format!("{error:?}"))?;
        if keys == self.keys { Ok(()) } else { Err(format!("keys {keys:?} found, {:?} expected", self.keys)) }
    }
}

impl Log {
    fn ranges(&self) -> Vec<LogRange> {
        let mut ranges: Vec<LogRange> = Vec::new();
        for record in self.entries.values() {
            let (first, last) = (record.seq, record.seq + record.span - 1);
            match ranges.last_mut() {
                Some(range) if range.last + 1 == first => {
                    (range.last, range.count, range.bytes) =
                        (last, range.count + 1, range.bytes + record.total_len);
                }
                _ => ranges.push(LogRange { first, last, count: 1, bytes: record.total_len }),
            }
        }
        ranges
    }
}

fn noise(dice: &mut Dice, len: u64) -> Bytes {
    (0..len).map(|_| dice.roll() as u8).collect()
}

fn some_noise(dice: &mut Dice, bound: u64) -> Bytes {
    let len = dice.below(bound);
    noise(dice, len)
}

fn key(dice: &mut Dice) -> Bytes {
    Bytes::from(format!("key-{}", dice.below(20)))
}

pub fn everything(log: u64) -> Read {
    Read { log, from: 0, last: u64::MAX, max_records: 0, max_bytes: 0, want: Want::All }
}

pub fn read(store: &Journal, what: &Read) -> Result<Vec<Record>, Error> {
    let mut found = Vec::new();
    store.read(what, &mut |record| {
        found.push(record);
        true
    })?;
    Ok(found)
}

pub fn read_all(store: &Journal, log: u64) -> Result<Vec<Record>, Error> {
    read(store, &everything(log))
}

pub fn submit(store: &Journal, batch: &Batch) -> Result<u64, Error> {
    Ops::with_batch(batch, |ops| store.submit(ops, batch.level))
}

/// Small files, and every operation in its place.
pub fn small() -> Options {
    Options {
        path: "-".to_owned(),
        file_bytes: 256 << 10,
        first_file_bytes: 64 << 10,
        write_buffer_bytes: 8 << 10,
        direct_bytes: 16 << 10,
        checkpoint_bytes: 48 << 10,
        checkpoint_interval_ms: 86_400_000,
        reserve_bytes: 16 << 10,
        spare_files: 2,
        background: false,
        ..Options::default()
    }
}

/// As [`small`], and whatever can be moved is moved, at every sync.
pub fn eager() -> Options {
    Options { move_below_percent: 90, move_always: true, ..small() }
}

pub fn open(disk: &SimDisk, options: &Options) -> Result<Journal, Error> {
    Journal::open_on(Arc::new(disk.clone()), options.clone(), Host::none())
}

/// What a run left behind.
pub struct Ran {
    pub batches: Vec<Batch>,
    /// How many of them were reported durable.
    pub durable: usize,
    /// Why it ended early.
    pub error: Option<Error>,
}

/// Submits and syncs batches from a seed until there were `most`, or something fails.
pub fn run(store: &Journal, model: &mut Model, most: usize, dice: &mut Dice) -> Ran {
    let mut ran = Ran { batches: Vec::new(), durable: 0, error: None };
    while ran.batches.len() < most {
        let batch = model.next_batch(dice);
        ran.batches.push(batch.clone());
        let ticket = match submit(store, &batch) {
            Ok(ticket) => ticket,
            Err(error) if error.code == ErrorCode::Full => {
                ran.batches.pop();
                ran.error = Some(error);
                return ran;
            }
            Err(error) => {
                ran.error = Some(error);
                return ran;
            }
        };
        model.apply(&batch);
        if dice.chance(40) {
            match store.sync(ticket) {
                Ok(_) => ran.durable = ran.batches.len(),
                Err(error) => {
                    ran.error = Some(error);
                    return ran;
                }
            }
        }
    }
    ran
}

/// The number under [`COUNT`].
pub fn count(store: &Journal) -> u64 {
    let mut count = 0;
    let end = [COUNT, &[0]].concat();
    store
        .scan(COUNT, &end, 1, &mut |_, value| {
            count = std::str::from_utf8(value).unwrap().parse().unwrap();
            true
        })
        .unwrap();
    count
}
