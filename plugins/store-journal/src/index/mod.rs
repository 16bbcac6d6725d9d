// SPDX-License-Identifier: Apache-2.0
//! Which entries and keys exist, and where they lie. It is what replaying the journal yields.
//!
//! The index knows no disk: it is changed by stored operations alone, by the same function when a batch is submitted
//! and when it is recovered, so that both come to the same.

pub mod extent;
mod extents;
pub mod space;
pub mod state;

use crate::format::op::{Entry, Op, Ops, Target};
use extent::{Extent, Region, Removed};
use extents::Extents;
use sabir_model::store::{FORGET, LogRange, LogSummary, TEMPORARY};
use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::ops::Bound;

/// A log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Log {
    // One more than the highest number that it ever had.
    next_seq: u64,
    extents: Extents,
}

/// Entries and keys.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Index {
    logs: BTreeMap<u64, Log>,
    keys: BTreeMap<Box<[u8]>, Box<[u8]>>,
    pins: HashMap<u32, Pins>,
    key_bytes: u64,
    live_records: u64,
    // Of lasting and of temporary logs: bytes of the records that the entry lives on that made them.
    owned_bytes: [u64; 2],
}

/// What keeps a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pins {
    /// Entries whose operation or whose record is in it.
    pub entries: u64,
    /// Bytes of the records in it whose own entry exists.
    pub owned_bytes: u64,
    /// Bytes of the records in it that links lead to, as often as one does.
    pub linked_bytes: u64,
}

impl Pins {
    fn add(&mut self, linked: bool, bytes: u64) {
        let sum = if linked { &mut self.linked_bytes } else { &mut self.owned_bytes };
        *sum += bytes;
    }

    fn take(&mut self, linked: bool, bytes: u64) {
        let sum = if linked { &mut self.linked_bytes } else { &mut self.owned_bytes };
        *sum = sum.saturating_sub(bytes);
    }
}

/// Figures of an index.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct IndexStats {
    /// Entries.
    pub live_records: u64,
    /// Bytes of the records, each once. Of records that are in one file and that links alone lead to, those of the
    /// log are counted that links to most of them: a lower bound, exact unless logs link to different ones.
    pub live_bytes: u64,
    /// Memory in bytes.
    pub memory_bytes: u64,
}

// 0: lasting, 1: temporary.
fn class_of(log: u64) -> usize {
    usize::from(log & TEMPORARY != 0)
}

impl Index {
    /// What an operation of the batch in `region` does.
    ///
    /// It needs no earlier state: operations on what is not there do nothing. So a replay may begin at a checkpoint.
    pub fn apply(&mut self, op: &Op<'_>, region: Region) -> Result<(), state::BadState> {
        match *op {
            Op::Entry(entry) => self.insert(&entry, region),
            Op::Replace { entry, last } => {
                self.remove(entry.log, entry.seq, last);
                self.insert(&entry, region);
                self.raise(entry.log, last.saturating_add(1));
            }
            Op::Remove { log, first, last } => self.remove(log, first, last),
            Op::Trim { log, before } => {
                if let Some(last) = before.checked_sub(1) {
                    self.remove(log, 0, last);
                }
                if before == FORGET {
                    self.logs.remove(&log);
                }
            }
            Op::Put { key, value } => self.put(key, value),
            Op::Delete { key } => self.delete(key),
            Op::StateLog(body) => self.load_log(body)?,
            Op::StateKeys(body) => self.load_keys(body)?,
            Op::StateBegin | Op::StateEnd { .. } => {}
        }
        Ok(())
    }

    /// Applies operations of the store's own that belong to no batch.
    pub fn apply_all(&mut self, ops: &[u8]) {
        let nowhere = Region { file: 0, offset: 0, len: 0 };
        for op in Ops::new(ops).map_while(|op| op.ok()) {
            // Only pieces can be refused, and they were made from this index.
            let _ = self.apply(&op, nowhere);
        }
    }

    fn put(&mut self, key: &[u8], value: &[u8]) {
        self.key_bytes += (key.len() + value.len()) as u64;
        if let Some(old) = self.keys.insert(key.into(), value.into()) {
            self.key_bytes -= (key.len() + old.len()) as u64;
        }
    }

    fn delete(&mut self, key: &[u8]) {
        if let Some(old) = self.keys.remove(key) {
            self.key_bytes -= (key.len() + old.len()) as u64;
        }
    }

    fn raise(&mut self, log: u64, next_seq: u64) {
        let log = self.logs.entry(log).or_default();
        log.next_seq = log.next_seq.max(next_seq);
    }

    fn insert(&mut self, entry: &Entry<'_>, region: Region) {
        let (record_file, linked) = match entry.target {
            Target::Here { linked, .. } => (region.file, linked),
            Target::There(far) => (far.file, true),
        };
        let size = u32::try_from(entry.len).unwrap_or(u32::MAX);
        let one = Extent::new(region, record_file, linked, entry.span, size);
        self.pin(entry.log, &one);
        let log = self.logs.entry(entry.log).or_default();
        let end = entry.seq.saturating_add(entry.span.max(1));
        let newest = entry.seq >= log.next_seq;
        log.next_seq = log.next_seq.max(end);
        if newest {
            if let Some((first, last)) = log.extents.last_mut()
                && last.join(entry.seq - first, region, &one)
            {
                return;
            }
        } else {
            log.extents.make_room(entry.seq);
        }
        log.extents.insert(entry.seq, one);
        if newest {
            log.extents.close_before(entry.seq);
        }
    }

    // Counts all entries of an extent that comes.
    fn pin(&mut self, log: u64, extent: &Extent) {
        let (count, bytes) = (u64::from(extent.live), extent.bytes());
        let record_pins = self.pins.entry(extent.record_file).or_default();
        record_pins.entries += count;
        record_pins.add(extent.linked, bytes);
        if extent.record_file != extent.region.file {
            self.pins.entry(extent.region.file).or_default().entries += count;
        }
        self.live_records += count;
        if !extent.linked {
            self.owned_bytes[class_of(log)] += bytes;
        }
    }

    fn unpin(&mut self, log: u64, [file, record_file]: [u32; 2], linked: bool, removed: Removed) {
        self.live_records -= removed.count;
        if !linked {
            self.owned_bytes[class_of(log)] -= removed.bytes;
        }
        if let Some(pins) = self.pins.get_mut(&record_file) {
            pins.take(linked, removed.bytes);
        }
        let both = if file == record_file { 1 } else { 2 };
        for file in &[file, record_file][..both] {
            if let Some(pins) = self.pins.get_mut(file) {
                pins.entries = pins.entries.saturating_sub(removed.count);
                if pins.entries == 0 {
                    self.pins.remove(file);
                }
            }
        }
    }

    fn remove(&mut self, log: u64, first: u64, last: u64) {
        let Some(found) = self.logs.get_mut(&log) else {
            return;
        };
        let mut gone = Vec::new();
        found.extents.remove(first, last, |files, linked, removed| gone.push((files, linked, removed)));
        for (files, linked, removed) in gone {
            self.unpin(log, files, linked, removed);
        }
    }

    /// One more than the highest number that a log ever had.
    pub fn next_seq(&self, log: u64) -> u64 {
        self.logs.get(&log).map_or(0, |log| log.next_seq)
    }

    /// The extent that has the entry `seq` of `log`, with the number of its first place.
    pub fn find(&self, log: u64, seq: u64) -> Option<(u64, Cow<'_, Extent>)> {
        let (first, extent) = self.logs.get(&log)?.extents.reaching(seq).next()?;
        extent.has(seq.checked_sub(first)?).then_some((first, extent))
    }

    /// The first entry of `log` from `from` on, and its extent with the number of that one's first place.
    pub fn next(&self, log: u64, from: u64) -> Option<(u64, u64, Cow<'_, Extent>)> {
        self.logs.get(&log)?.extents.reaching(from).find_map(|(first, extent)| {
            let place = extent.next(from.saturating_sub(first))?;
            Some((first + place, first, extent))
        })
    }

    /// Whether nothing needs a file.
    pub fn is_free(&self, file: u32) -> bool {
        !self.pins.contains_key(&file)
    }

    /// What keeps a file.
    pub fn pins_of(&self, file: u32) -> Pins {
        self.pins.get(&file).copied().unwrap_or_default()
    }

    /// The files that something needs, with how many entries do.
    pub fn pins(&self) -> impl Iterator<Item = (u32, u64)> + '_ {
        self.pins.iter().map(|(file, pins)| (*file, pins.entries))
    }

    /// The entries that need a file: their log and number.
    pub fn pinned_by(&self, file: u32) -> Vec<(u64, u64)> {
        let mut found = Vec::new();
        for (id, log) in &self.logs {
            for (first, extent) in log.extents.iter() {
                if [extent.region.file, extent.record_file].contains(&file) {
                    found.extend(extent.places().map(|place| (*id, first + place)));
                }
            }
        }
        found
    }

    /// The keys of a range, in order; an empty `to` means no end.
    pub fn scan<'a>(&'a self, from: &[u8], to: &[u8]) -> impl Iterator<Item = (&'a [u8], &'a [u8])> {
        let end = if to.is_empty() { Bound::Unbounded } else { Bound::Excluded(to) };
        // A range that ends before it begins would panic.
        let empty = !to.is_empty() && from >= to;
        let range = (!empty).then(|| self.keys.range::<[u8], _>((Bound::Included(from), end)));
        range.into_iter().flatten().map(|(key, value)| (&**key, &**value))
    }

    /// The summary of every log that survives.
    pub fn summaries(&self) -> impl Iterator<Item = LogSummary> + '_ {
        self.logs.range(..TEMPORARY).map(|(id, log)| LogSummary {
            log: *id,
            next_seq: log.next_seq,
            ranges: log.ranges(),
        })
    }

    /// Figures. Walks the whole index.
    pub fn stats(&self) -> IndexStats {
        // What a map's node costs besides its values, and how full nodes usually are.
        const SLACK: u64 = 3;
        let mut memory = self.key_bytes + self.keys.len() as u64 * 32 * SLACK / 2;
        for log in self.logs.values() {
            memory += (size_of::<Log>() as u64 + 8) * SLACK / 2;
            memory += log.extents.memory_bytes();
        }
        let owned: u64 = self.owned_bytes.iter().sum();
        let by_links: u64 = self.orphans().map(|(_, bytes)| bytes).sum();
        let live_bytes = owned + by_links;
        IndexStats { live_records: self.live_records, live_bytes, memory_bytes: memory }
    }
}

impl Log {
    fn ranges(&self) -> Vec<LogRange> {
        let mut ranges: Vec<LogRange> = Vec::new();
        for (first, extent) in self.extents.iter() {
            for place in extent.places() {
                let (seq, bytes) = (first + place, u64::from(extent.sizes.get(place as usize)));
                let last = seq.saturating_add(extent.span.max(1) - 1);
                match ranges.last_mut() {
                    Some(range) if range.last.checked_add(1) == Some(seq) => {
                        (range.last, range.count, range.bytes) = (last, range.count + 1, range.bytes + bytes);
                    }
                    _ => ranges.push(LogRange { first: seq, last, count: 1, bytes }),
                }
            }
        }
        ranges
    }
}
