// SPDX-License-Identifier: Apache-2.0
//! A store in memory that is stricter than any real one: what the contract forbids, it panics at.

use bytes::Bytes;
use sabir_model::store::{Batch, FORGET, LogId, LogRange, LogSummary, Op, Read, Record, TEMPORARY, Want};
use sabir_model::stored::StoredAt;
use std::collections::BTreeMap;

#[derive(Clone, Debug)]
struct Entry {
    label: Bytes,
    data: Bytes,
    format: u32,
}

/// Logs and keys.
#[derive(Clone, Debug, Default)]
pub struct Store {
    logs: BTreeMap<LogId, BTreeMap<u64, Entry>>,
    next: BTreeMap<LogId, u64>,
    pub keys: BTreeMap<Bytes, Bytes>,
    /// Reads answered.
    pub reads: usize,
    /// The number of an entry whose record cannot be read.
    pub damaged: Option<u64>,
    /// Removal operations seen.
    pub removals: usize,
}

impl Store {
    pub fn apply(&mut self, batch: &Batch) {
        for op in &batch.ops {
            self.apply_op(op);
        }
    }

    fn apply_op(&mut self, op: &Op) {
        match op {
            Op::Append { log, seq, label, record, span, format } => {
                assert_eq!(*span, 1);
                let (data, format) = (Bytes::from(record.concat()), *format);
                self.insert(*log, *seq, Entry { label: label.clone(), data, format });
            }
            Op::Link { log, seq, from_log, from_seq, label } => {
                assert_eq!(log & TEMPORARY, from_log & TEMPORARY, "links stay within their class");
                let source = self.logs.get(from_log).and_then(|log| log.get(from_seq));
                let source = source.unwrap_or_else(|| panic!("link from {from_log:#x}/{from_seq}: none"));
                let (data, format) = (source.data.clone(), source.format);
                self.insert(*log, *seq, Entry { label: label.clone(), data, format });
            }
            Op::Remove { log, first, last } => {
                self.removals += 1;
                let entries = self.logs.entry(*log).or_default();
                let gone: Vec<u64> = entries.range(first..=last).map(|(seq, _)| *seq).collect();
                assert!(!gone.is_empty(), "nothing to remove at {log:#x}/{first}..={last}");
                for seq in gone {
                    entries.remove(&seq);
                }
            }
            Op::Trim { log, before: FORGET } => {
                self.logs.remove(log);
                self.next.remove(log);
            }
            Op::Trim { log, before } => {
                self.logs.entry(*log).or_default().retain(|seq, _| seq >= before);
            }
            Op::Put { key, value } => {
                self.keys.insert(key.clone(), value.clone());
            }
            Op::Delete { key } => {
                self.keys.remove(key);
            }
            Op::Replace { .. } => panic!("the engine does not replace"),
        }
    }

    fn insert(&mut self, log: LogId, seq: u64, entry: Entry) {
        let next = self.next.entry(log).or_default();
        assert!(seq >= *next, "{log:#x}/{seq} does not grow beyond {next}");
        *next = seq + 1;
        self.logs.entry(log).or_default().insert(seq, entry);
    }

    /// Records, and whether the next one is damaged.
    pub fn read(&mut self, read: &Read) -> (Vec<Record>, bool) {
        self.reads += 1;
        let mut records = Vec::new();
        let mut bytes = 0;
        let Some(log) = self.logs.get(&read.log) else { return (records, false) };
        for (seq, entry) in log.range(read.from..=read.last) {
            let len = entry.data.len() as u64;
            if self.damaged == Some(*seq) {
                return (records, true);
            }
            let full = read.max_records != 0 && records.len() as u64 == read.max_records;
            let heavy = read.max_bytes != 0 && !records.is_empty() && bytes + len > read.max_bytes;
            if full || heavy {
                break;
            }
            bytes += len;
            let data = match read.want {
                Want::All => entry.data.clone(),
                Want::Head { len } => entry.data.slice(..entry.data.len().min(len as usize)),
                Want::Range { .. } | Want::Identity => panic!("not asked for"),
            };
            records.push(Record {
                seq: *seq,
                span: 1,
                format: entry.format,
                total_len: len,
                label: entry.label.clone(),
                data,
            });
        }
        (records, false)
    }

    /// What is left when the process has gone.
    pub fn reopened(mut self) -> Store {
        self.logs.retain(|log, _| log & TEMPORARY == 0);
        self.next.retain(|log, _| log & TEMPORARY == 0);
        self
    }

    pub fn summaries(&self) -> Vec<LogSummary> {
        let summary = |(log, next): (&LogId, &u64)| {
            let mut ranges: Vec<LogRange> = Vec::new();
            for (seq, entry) in self.logs.get(log).into_iter().flatten() {
                let bytes = entry.data.len() as u64;
                match ranges.last_mut() {
                    Some(range) if range.last + 1 == *seq => {
                        range.last = *seq;
                        range.count += 1;
                        range.bytes += bytes;
                    }
                    _ => ranges.push(LogRange { first: *seq, last: *seq, count: 1, bytes }),
                }
            }
            LogSummary { log: *log, next_seq: *next, ranges }
        };
        self.next.iter().map(summary).collect()
    }

    /// Entries in all logs that stay.
    pub fn durable_entries(&self) -> usize {
        self.logs.iter().filter(|(log, _)| *log & TEMPORARY == 0).map(|(_, log)| log.len()).sum()
    }

    /// Entries in all logs that do not stay.
    pub fn temporary_entries(&self) -> usize {
        self.logs.iter().filter(|(log, _)| *log & TEMPORARY != 0).map(|(_, log)| log.len()).sum()
    }

    /// Different records in the logs that stay: links share theirs.
    pub fn durable_records(&self) -> usize {
        let mut records: Vec<*const u8> = self
            .logs
            .iter()
            .filter(|(log, _)| *log & TEMPORARY == 0)
            .flat_map(|(_, log)| log.values().map(|entry| entry.data.as_ptr()))
            .collect();
        records.sort_unstable();
        records.dedup();
        records.len()
    }

    /// Pieces of bodies, and keys that name bodies.
    pub fn bodies(&self) -> (usize, usize) {
        let is_body = |log: &LogId| log >> 60 == 3;
        let pieces = self.logs.iter().filter(|(log, _)| is_body(log)).map(|(_, log)| log.len()).sum();
        (pieces, self.keys.keys().filter(|key| key.starts_with(b"e\x80")).count())
    }

    /// The body that lies there.
    pub fn body(&self, at: StoredAt) -> Vec<u8> {
        let pieces = self.logs.get(&at.log).into_iter().flat_map(BTreeMap::values);
        pieces.flat_map(|entry| entry.data.to_vec()).collect()
    }

    /// Keys that count attempts.
    pub fn attempt_keys(&self) -> usize {
        self.keys.keys().filter(|key| key.starts_with(b"e\x50")).count()
    }
}
