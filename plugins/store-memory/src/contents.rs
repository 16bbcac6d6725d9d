// SPDX-License-Identifier: Apache-2.0
//! Logs and keys as maps. Every rule of the contract in as few words as there are.

use bytes::Bytes;
use sabir_model::store::{FORGET, LogRange, LogSummary, Read, Record, TEMPORARY, Want};
use sabir_sdk::store::{OpRef, Ops, Pieces};
use sabir_sdk::{Error, ErrorCode, Result};
use std::collections::{BTreeMap, HashMap};
use std::ops::Bound;
use std::sync::Arc;

/// About what an entry takes besides its label.
pub const ENTRY_BYTES: u64 = 96;

const LABEL_MAX: usize = 65_535;
const KEY_MAX: usize = 1024;

// A record, shared by its entries: it lives until the last of them goes.
struct Body {
    span: u64,
    format: u32,
    bytes: Bytes,
}

struct Entry {
    body: Arc<Body>,
    label: Bytes,
}

#[derive(Default)]
struct Log {
    next_seq: u64,
    entries: BTreeMap<u64, Entry>,
}

/// What the store holds.
#[derive(Default)]
pub struct Contents {
    /// The last batch's ticket.
    pub ticket: u64,
    logs: BTreeMap<u64, Log>,
    keys: BTreeMap<Bytes, Bytes>,
    entries: u64,
    record_bytes: u64,
    other_bytes: u64,
}

/// What a batch that was checked will do.
#[derive(Clone, Copy, Default)]
pub struct Checked {
    /// Bytes that it adds; what it removes is not counted.
    pub grows_bytes: u64,
}

fn refuse<T>(text: String) -> Result<T> {
    Err(Error::new(ErrorCode::Invalid, text))
}

fn check_entry(log: u64, seq: u64, span: u64, label: &[u8]) -> Result<u64> {
    if label.len() > LABEL_MAX {
        return refuse(format!("entry {seq} of log {log}: its label is longer than {LABEL_MAX} bytes"));
    }
    match seq.checked_add(span) {
        Some(next) if span > 0 => Ok(next),
        _ => refuse(format!("entry {seq} of log {log}: a span of {span} does not fit")),
    }
}

fn check_key(key: &[u8]) -> Result<()> {
    if key.is_empty() || key.len() > KEY_MAX {
        return refuse(format!("a key has {} bytes: 1 to {KEY_MAX} are allowed", key.len()));
    }
    Ok(())
}

// What the checked part of a batch leaves behind.
#[derive(Default)]
struct Ahead {
    next_seqs: HashMap<u64, u64>,
    // Entries that it makes, with the span of their records.
    made: HashMap<(u64, u64), u64>,
}

impl Contents {
    /// Checks a batch. Nothing has happened when it is refused.
    pub fn check(&self, ops: Ops<'_>) -> Result<Checked> {
        let (mut ahead, mut checked) = (Ahead::default(), Checked::default());
        for op in ops.iter() {
            checked.grows_bytes += self.check_op(op, &mut ahead)?;
        }
        Ok(checked)
    }

    fn check_op(&self, op: OpRef<'_>, ahead: &mut Ahead) -> Result<u64> {
        match op {
            OpRef::Append { log, seq, span, label, record, .. } => {
                self.check_new(ahead, log, seq, span, label)?;
                Ok((record.len_bytes() + label.len()) as u64)
            }
            OpRef::Link { log, seq, from_log, from_seq, label } => {
                let there = self.logs.get(&from_log).and_then(|log| log.entries.get(&from_seq));
                let made = ahead.made.get(&(from_log, from_seq)).copied();
                let Some(span) = made.or(there.map(|entry| entry.body.span)) else {
                    return refuse(format!(
                        "a link leads to entry {from_seq} of log {from_log}, which does not exist"
                    ));
                };
                self.check_new(ahead, log, seq, span, label)?;
                Ok(label.len() as u64)
            }
            OpRef::Remove { log, first, last } if first > last => {
                refuse(format!("remove in log {log}: entry {first} comes after {last}"))
            }
            OpRef::Replace { log, first, last, .. } if first > last => {
                refuse(format!("replace in log {log}: entry {first} comes after {last}"))
            }
            OpRef::Replace { log, first, last, span, record: Some(record), .. } => {
                let next = check_entry(log, first, span.max(1), &[])?.max(last.saturating_add(1));
                let next = next.max(self.next_seq(ahead, log));
                ahead.next_seqs.insert(log, next);
                ahead.made.insert((log, first), span.max(1));
                Ok(record.len_bytes() as u64)
            }
            OpRef::Trim { log, before: FORGET } => {
                ahead.next_seqs.insert(log, 0);
                ahead.made.retain(|(of, _), _| *of != log);
                Ok(0)
            }
            OpRef::Remove { .. } | OpRef::Trim { .. } | OpRef::Replace { .. } => Ok(0),
            OpRef::Put { key, value } => {
                check_key(key)?;
                Ok((key.len() + value.len_bytes()) as u64)
            }
            OpRef::Delete { key } => check_key(key).map(|()| 0),
            OpRef::Invalid(kind) => {
                Err(Error::new(ErrorCode::Unsupported, format!("an operation of an unknown kind: {kind}")))
            }
        }
    }

    fn next_seq(&self, ahead: &Ahead, log: u64) -> u64 {
        let known = ahead.next_seqs.get(&log).copied();
        known.unwrap_or_else(|| self.logs.get(&log).map_or(0, |log| log.next_seq))
    }

    fn check_new(&self, ahead: &mut Ahead, log: u64, seq: u64, span: u64, label: &[u8]) -> Result<()> {
        let next = check_entry(log, seq, span, label)?;
        let before = self.next_seq(ahead, log);
        if seq < before {
            return refuse(format!(
                "entry {seq} of log {log}: numbers grow, and {} was given before",
                before - 1
            ));
        }
        ahead.next_seqs.insert(log, next);
        ahead.made.insert((log, seq), span);
        Ok(())
    }

    /// Does what a batch that was checked says.
    pub fn apply(&mut self, ops: Ops<'_>) {
        ops.iter().for_each(|op| self.apply_op(op));
    }

    fn apply_op(&mut self, op: OpRef<'_>) {
        match op {
            OpRef::Append { log, seq, span, format, label, record } => {
                self.append(log, seq, span, format, label, record);
            }
            OpRef::Link { log, seq, from_log, from_seq, label } => {
                let from = self.logs.get(&from_log).and_then(|log| log.entries.get(&from_seq));
                if let Some(body) = from.map(|entry| entry.body.clone()) {
                    self.insert(log, seq, body, label);
                }
            }
            OpRef::Remove { log, first, last } => self.remove(log, first, last),
            OpRef::Trim { log, before } => {
                if let Some(last) = before.checked_sub(1) {
                    self.remove(log, 0, last);
                }
                if before == FORGET {
                    self.logs.remove(&log);
                }
            }
            OpRef::Replace { log, first, last, span, format, record } => {
                self.remove(log, first, last);
                if let Some(record) = record {
                    self.append(log, first, span.max(1), format, &[], record);
                    let log = self.logs.entry(log).or_default();
                    log.next_seq = log.next_seq.max(last.saturating_add(1));
                }
            }
            OpRef::Put { key, value } => {
                self.delete(key);
                self.other_bytes += (key.len() + value.len_bytes()) as u64;
                self.keys.insert(Bytes::copy_from_slice(key), Bytes::from(value.to_vec()));
            }
            OpRef::Delete { key } => self.delete(key),
            OpRef::Invalid(_) => {}
        }
    }

    fn append(&mut self, log: u64, seq: u64, span: u64, format: u32, label: &[u8], record: Pieces<'_>) {
        let bytes = Bytes::from(record.to_vec());
        self.record_bytes += bytes.len() as u64;
        self.insert(log, seq, Arc::new(Body { span, format, bytes }), label);
    }

    fn insert(&mut self, log: u64, seq: u64, body: Arc<Body>, label: &[u8]) {
        let log = self.logs.entry(log).or_default();
        log.next_seq = log.next_seq.max(seq.saturating_add(body.span));
        log.entries.insert(seq, Entry { body, label: Bytes::copy_from_slice(label) });
        self.entries += 1;
        self.other_bytes += label.len() as u64;
    }

    fn delete(&mut self, key: &[u8]) {
        if let Some(value) = self.keys.remove(key) {
            self.other_bytes -= (key.len() + value.len()) as u64;
        }
    }

    fn remove(&mut self, log: u64, first: u64, last: u64) {
        let Some(log) = self.logs.get_mut(&log) else {
            return;
        };
        let gone: Vec<u64> = log.entries.range(first..=last).map(|(seq, _)| *seq).collect();
        for entry in gone.iter().filter_map(|seq| log.entries.remove(seq)) {
            self.entries -= 1;
            self.other_bytes -= entry.label.len() as u64;
            if let Ok(body) = Arc::try_unwrap(entry.body) {
                self.record_bytes -= body.bytes.len() as u64;
            }
        }
    }

    /// The summary of every log.
    pub fn summaries(&self) -> Vec<LogSummary> {
        let lasting = self.logs.range(..TEMPORARY);
        lasting
            .map(|(id, log)| LogSummary { log: *id, next_seq: log.next_seq, ranges: log.ranges() })
            .collect()
    }

    /// Entries in order.
    pub fn read(&self, what: &Read) -> Vec<Record> {
        let mut found = Vec::new();
        let Some(log) = self.logs.get(&what.log).filter(|_| what.from <= what.last) else {
            return found;
        };
        let bound = |max: u64| if max == 0 { u64::MAX } else { max };
        let (mut records, mut bytes) = (bound(what.max_records), bound(what.max_bytes));
        if let Want::Range { .. } = what.want {
            records = records.min(1);
        }
        for (seq, entry) in log.entries.range(what.from..=what.last) {
            let data = part(&entry.body, what.want);
            let len = data.len() as u64;
            if records == 0 || (len > bytes && !found.is_empty()) {
                break;
            }
            (records, bytes) = (records - 1, bytes.saturating_sub(len));
            let Body { span, format, ref bytes } = *entry.body;
            let total_len = bytes.len() as u64;
            found.push(Record { seq: *seq, span, format, total_len, label: entry.label.clone(), data });
        }
        found
    }

    /// Keys in order.
    pub fn scan(&self, from: &[u8], to: &[u8], limit: u64, visit: &mut dyn FnMut(&[u8], &[u8]) -> bool) {
        if !to.is_empty() && from >= to {
            return;
        }
        let end = if to.is_empty() { Bound::Unbounded } else { Bound::Excluded(to) };
        let limit = if limit == 0 { usize::MAX } else { usize::try_from(limit).unwrap_or(usize::MAX) };
        for (key, value) in self.keys.range::<[u8], _>((Bound::Included(from), end)).take(limit) {
            if !visit(key, value) {
                break;
            }
        }
    }

    /// Entries that exist.
    pub fn entries(&self) -> u64 {
        self.entries
    }

    /// Bytes of the records that exist, each once.
    pub fn record_bytes(&self) -> u64 {
        self.record_bytes
    }

    /// Bytes of records, labels and keys.
    pub fn bytes(&self) -> u64 {
        self.record_bytes + self.other_bytes
    }
}

fn part(body: &Arc<Body>, want: Want) -> Bytes {
    let bytes = &body.bytes;
    let len = bytes.len() as u64;
    let (from, to) = match want {
        Want::Identity => {
            let address = Arc::as_ptr(body).addr() as u64;
            return Bytes::copy_from_slice(&address.to_ne_bytes());
        }
        Want::All => (0, len),
        Want::Head { len: head } => (0, head.min(len)),
        Want::Range { offset, len: part } => (offset.min(len), offset.saturating_add(part).min(len)),
    };
    bytes.slice(from as usize..to as usize)
}

impl Log {
    fn ranges(&self) -> Vec<LogRange> {
        let mut ranges: Vec<LogRange> = Vec::new();
        for (seq, entry) in &self.entries {
            let last = seq.saturating_add(entry.body.span - 1);
            let bytes = entry.body.bytes.len() as u64;
            match ranges.last_mut() {
                Some(range) if range.last.checked_add(1) == Some(*seq) => {
                    (range.last, range.count, range.bytes) = (last, range.count + 1, range.bytes + bytes);
                }
                _ => ranges.push(LogRange { first: *seq, last, count: 1, bytes }),
            }
        }
        ranges
    }
}
