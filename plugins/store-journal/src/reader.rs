// SPDX-License-Identifier: Apache-2.0
//! Reading entries back.
//!
//! The index says in which region of which file a run of entries lies. A reader fetches that region with one call,
//! walks its batches, verifies what it gives, and gives slices of what it fetched. It never holds a lock while it
//! reads from the disk.

use crate::files::DataFile;
use crate::format::batch::{self, BatchHeader};
use crate::format::op::{Entry, FarPlace, Op, Ops, Target};
use crate::format::record::{BLOCK, Located, stored_len, table_len};
use crate::format::{BATCH_ALIGN, align};
use crate::index::extent::Region;
use crate::shared::Shared;
use crate::walk::Walk;
use bytes::Bytes;
use sabir_model::store::{Read, Record, Want};
use sabir_sdk::{Error, ErrorCode, Result};
use std::sync::Arc;

/// Regions up to this length are fetched whole; of longer ones, which are single batches, the operations come first.
const WHOLE_BYTES: u64 = 128 * 1024;

/// What is fetched first of a long batch: usually all its operations.
const FRONT_BYTES: u64 = 16 * 1024;

/// Records of one batch that lie so near each other are fetched together, with what lies between.
const GAP_BYTES: u64 = 16 * 1024;

/// And together are at most this, save for a single longer one.
const RUN_BYTES: u64 = 1024 * 1024;

/// Length of what tells records apart: a file's number, and a place in it.
const IDENTITY_BYTES: u64 = 12;

/// An entry, with where its record lies.
#[derive(Clone, Debug)]
pub struct Found {
    /// Its number.
    pub seq: u64,
    /// Numbers covered.
    pub span: u64,
    /// Format of the record.
    pub format: u32,
    /// Its label.
    pub label: Bytes,
    /// Length of the record.
    pub len: u64,
    /// Checksum of the record.
    pub crc: u32,
    /// Where the record is.
    pub place: FarPlace,
}

impl Found {
    fn start(&self) -> u64 {
        self.place.batch_offset + self.place.records_at + self.place.at
    }

    fn end(&self) -> u64 {
        self.start() + stored_len(self.len)
    }

    // What no other record has: the place where it lies.
    fn identity(&self) -> Bytes {
        let (file, start) = (self.place.file.to_le_bytes(), self.start().to_le_bytes());
        Bytes::from([&file[..], &start[..]].concat())
    }

    fn located(&self, file: &DataFile) -> Located {
        let seed = file.place(self.place.batch_offset).seed();
        Located { seed, at: self.place.at, len: self.len, crc: self.crc }
    }
}

/// A part of a file, in memory.
struct Chunk {
    file: u32,
    start: u64,
    bytes: Bytes,
}

impl Chunk {
    fn slice(&self, file: u32, from: u64, to: u64) -> Option<Bytes> {
        let (from, to) = (from.checked_sub(self.start)?, to.checked_sub(self.start)?);
        (file == self.file && to <= self.bytes.len() as u64)
            .then(|| self.bytes.slice(from as usize..to as usize))
    }
}

/// Entries of one extent that are wanted.
struct Wanted {
    file: Arc<DataFile>,
    region: Region,
    seqs: Vec<u64>,
    // Whether nothing beyond these is wanted.
    last: bool,
}

/// How giving entries ended.
enum Given {
    /// All were.
    All,
    /// The visitor has had enough.
    Stopped,
    /// From this one on they were moved while they were being read: they are looked for anew.
    Moved(u64),
}

/// What is left of a read's bounds.
#[derive(Clone, Copy)]
struct Budget {
    records: u64,
    bytes: u64,
    given: bool,
}

impl Budget {
    fn of(what: &Read) -> Self {
        let bound = |max: u64| if max == 0 { u64::MAX } else { max };
        Budget { records: bound(what.max_records), bytes: bound(what.max_bytes), given: false }
    }

    // Takes an entry of which so many bytes will be given; answers whether it is within bounds.
    fn take(&mut self, bytes: u64) -> bool {
        if self.records == 0 || (self.given && bytes > self.bytes) {
            return false;
        }
        self.records -= 1;
        self.bytes = self.bytes.saturating_sub(bytes);
        self.given = true;
        true
    }
}

// What was found of the wanted entries, by their place among them.
struct Slots<'a> {
    seqs: &'a [u64],
    found: Vec<Option<Found>>,
    missing: usize,
}

impl<'a> Slots<'a> {
    fn of(seqs: &'a [u64]) -> Self {
        let mut found = Vec::new();
        found.resize_with(seqs.len(), || None);
        Slots { seqs, found, missing: seqs.len() }
    }

    // Takes an entry, if it is wanted.
    fn take(&mut self, file: &DataFile, header: &BatchHeader, offset: u64, entry: &Entry<'_>) {
        // Mostly there are no gaps, and the number tells the place at once.
        let guess = entry.seq.wrapping_sub(self.seqs.first().copied().unwrap_or(0)) as usize;
        let at = match self.seqs.get(guess) {
            Some(seq) if *seq == entry.seq => Some(guess),
            _ => self.seqs.binary_search(&entry.seq).ok(),
        };
        if let Some(slot) = at.and_then(|at| self.found.get_mut(at)) {
            self.missing -= usize::from(slot.is_none());
            *slot = Some(locate(file, header, offset, entry));
        }
    }

    // Takes what the walk finds.
    fn fill_from(&mut self, walk: &mut Walk, wanted: &Wanted) {
        let header = *walk.header();
        walk.show(self.seqs.first().copied().unwrap_or(0), |entry| {
            self.take(&wanted.file, &header, wanted.region.offset, entry);
            self.missing > 0
        });
    }

    // What was found, up to the first that was not.
    fn found(self) -> Vec<Found> {
        self.found.into_iter().map_while(|found| found).collect()
    }
}

impl Shared {
    /// Shows entries; see the store's contract.
    pub fn read(&self, what: &Read, visit: &mut dyn FnMut(Record) -> bool) -> Result<()> {
        if let Want::Range { offset, len } = what.want {
            return self.read_range(what, offset, len, visit);
        }
        let mut budget = Budget::of(what);
        let mut from = what.from;
        loop {
            let before = budget;
            let Some(wanted) = self.want(what, from, &mut budget)? else {
                return Ok(());
            };
            let (chunk, found) = self.find_all(what.log, &wanted)?;
            match self.give(what, wanted.region, &chunk, &found, visit)? {
                Given::All => {}
                Given::Stopped => return Ok(()),
                Given::Moved(seq) => {
                    budget = before;
                    for entry in found.iter().take_while(|entry| entry.seq < seq) {
                        budget.take(given_bytes(what, entry.len));
                    }
                    from = seq;
                    continue;
                }
            }
            // What is missing was not where the index says: the batch is damaged.
            if let Some(seq) = wanted.seqs.get(found.len()) {
                return Err(damaged(what.log, *seq, &wanted.file, wanted.region.offset));
            }
            match wanted.seqs.last().and_then(|seq| seq.checked_add(1)) {
                Some(next) if !wanted.last => from = next,
                _ => return Ok(()),
            }
        }
    }

    // The next entries that lie in one extent.
    fn want(&self, what: &Read, from: u64, budget: &mut Budget) -> Result<Option<Wanted>> {
        let state = self.state();
        let Some((seq, first, extent)) = state.index.next(what.log, from) else {
            return Ok(None);
        };
        if seq > what.last {
            return Ok(None);
        }
        let (mut seqs, mut last) = (Vec::new(), false);
        let mut place = seq - first;
        while let Some(at) = extent.next(place) {
            let size = u64::from(extent.sizes.get(at as usize));
            if first + at > what.last || !budget.take(given_bytes(what, size)) {
                last = true;
                break;
            }
            seqs.push(first + at);
            place = at + 1;
        }
        if seqs.is_empty() {
            return Ok(None);
        }
        let file = self.file(&state, extent.region.file)?;
        Ok(Some(Wanted { file, region: extent.region, seqs, last }))
    }

    fn file(&self, state: &crate::shared::State, number: u32) -> Result<Arc<DataFile>> {
        state.files.get(&number).cloned().ok_or_else(|| {
            Error::new(ErrorCode::Corrupt, format!("the journal's file number {number} is missing"))
        })
    }

    // Fetches what has the operations of a region, and if that is little, the records too.
    fn fetch(&self, file: &DataFile, region: Region) -> Result<Chunk> {
        let mut bytes = self.fetch_bytes(
            file,
            region.offset,
            region.len.min(if region.len <= WHOLE_BYTES { WHOLE_BYTES } else { FRONT_BYTES }),
        )?;
        if region.len > WHOLE_BYTES
            && let Some(header) = BatchHeader::decode(&bytes, file.place(region.offset))
            && header.records_at() > FRONT_BYTES
        {
            bytes = self.fetch_bytes(file, region.offset, header.records_at().min(region.len))?;
        }
        Ok(Chunk { file: file.number, start: region.offset, bytes })
    }

    fn fetch_bytes(&self, file: &DataFile, offset: u64, len: u64) -> Result<Bytes> {
        let mut bytes = vec![0u8; len as usize];
        self.fill(file, offset, &mut bytes).map_err(|error| {
            let code = match error.kind() {
                std::io::ErrorKind::UnexpectedEof => ErrorCode::Corrupt,
                _ => ErrorCode::Io,
            };
            Error::new(code, format!("reading {} bytes at {offset} of {}: {error}", len, file.name))
        })?;
        Ok(Bytes::from(bytes))
    }

    // The wanted entries, up to the first that is not where it should be.
    fn find_all(&self, log: u64, wanted: &Wanted) -> Result<(Chunk, Vec<Found>)> {
        let mut slots = Slots::of(&wanted.seqs);
        let region = wanted.region;
        if region.len > WHOLE_BYTES
            && let Some(mut walk) = self.walks.take(region.file, region.offset, log)
        {
            slots.fill_from(&mut walk, wanted);
            self.walks.keep(walk);
            let nothing = Chunk { file: region.file, start: region.offset, bytes: Bytes::new() };
            return Ok((nothing, slots.found()));
        }
        let chunk = self.fetch(&wanted.file, region)?;
        if region.len > WHOLE_BYTES {
            if let Some(mut walk) = Walk::begin(&wanted.file, region, log, &chunk.bytes) {
                slots.fill_from(&mut walk, wanted);
                self.walks.keep(walk);
            }
            return Ok((chunk, slots.found()));
        }
        walk(&wanted.file, &chunk, region, |header, offset, op| {
            if let Op::Entry(entry) | Op::Replace { entry, .. } = op
                && entry.log == log
            {
                slots.take(&wanted.file, header, offset, &entry);
            }
        });
        Ok((chunk, slots.found()))
    }

    // Shows entries of a region.
    fn give(
        &self,
        what: &Read,
        region: Region,
        chunk: &Chunk,
        found: &[Found],
        visit: &mut dyn FnMut(Record) -> bool,
    ) -> Result<Given> {
        let wanted: u64 = found.iter().map(|entry| entry.len).sum();
        // What is given pins what was fetched: where that is mostly something else, a copy is cheaper.
        let copy = wanted < chunk.bytes.len() as u64 / 2;
        let (mut run, mut file) = (None, None);
        for (index, entry) in found.iter().enumerate() {
            let rest = found.get(index..).unwrap_or_default();
            let data = match self.data_of(what, entry, rest, chunk, &mut run, &mut file) {
                Ok(data) if copy => Bytes::copy_from_slice(&data),
                Ok(data) => data,
                Err(error) => match self.is_at(what.log, entry.seq, region) {
                    Some(true) => return Err(error),
                    Some(false) => return Ok(Given::Moved(entry.seq)),
                    // Removed since the index was asked, and its file given back: then it need not be shown.
                    None => continue,
                },
            };
            if !visit(record(entry, data)) {
                return Ok(Given::Stopped);
            }
        }
        Ok(Given::All)
    }

    // Whether an entry lies in a region; `None`: it does not exist.
    fn is_at(&self, log: u64, seq: u64, region: Region) -> Option<bool> {
        let state = self.state();
        let (_, extent) = state.index.find(log, seq)?;
        Some((extent.region.file, extent.region.offset) == (region.file, region.offset))
    }

    /// Shows entries of a log that lie in a region of a file, in order, or what is wrong with each; `whole` says of
    /// which the record is wanted.
    pub fn each_in(
        &self,
        log: u64,
        (file, region): (&Arc<DataFile>, Region),
        mut seqs: &[u64],
        whole: impl Fn(&Found) -> bool,
        visit: &mut dyn FnMut(u64, Result<(Found, Bytes)>) -> bool,
    ) -> Result<()> {
        let what = Read { log, from: 0, last: u64::MAX, max_records: 0, max_bytes: 0, want: Want::All };
        while let Some(first) = seqs.first() {
            let wanted = Wanted { file: file.clone(), region, seqs: seqs.to_vec(), last: true };
            let (chunk, found) = self.find_all(log, &wanted)?;
            let (mut run, mut last) = (None, None);
            for (index, entry) in found.iter().enumerate() {
                let rest = found.get(index..).unwrap_or_default();
                let data = match whole(entry) {
                    true => self.data_of(&what, entry, rest, &chunk, &mut run, &mut last),
                    false => Ok(Bytes::new()),
                };
                if !visit(entry.seq, data.map(|data| (entry.clone(), data))) {
                    return Ok(());
                }
            }
            let missing = seqs.get(found.len()).copied();
            if let Some(seq) = missing
                && !visit(seq, Err(damaged(log, seq, file, region.offset)))
            {
                return Ok(());
            }
            debug_assert!(missing.is_none_or(|seq| seq >= *first));
            seqs = seqs.get(found.len() + 1..).unwrap_or_default();
        }
        Ok(())
    }

    // The bytes of an entry that are wanted. `run` is what was fetched last besides the chunk, `file` the last file.
    fn data_of(
        &self,
        what: &Read,
        entry: &Found,
        rest: &[Found],
        chunk: &Chunk,
        run: &mut Option<Chunk>,
        file: &mut Option<Arc<DataFile>>,
    ) -> Result<Bytes> {
        let head = match what.want {
            Want::Head { len } => len.min(entry.len),
            Want::Identity => return Ok(entry.identity()),
            _ => entry.len,
        };
        if head < entry.len && entry.len > BLOCK {
            return self.read_part(what.log, entry, 0, head);
        }
        let number = entry.place.file;
        let stored = match chunk.slice(number, entry.start(), entry.end()) {
            Some(stored) => stored,
            None => match run.as_ref().and_then(|run| run.slice(number, entry.start(), entry.end())) {
                Some(stored) => stored,
                None => {
                    let next = run.insert(self.fetch_run(rest)?);
                    next.slice(number, entry.start(), entry.end()).unwrap_or_default()
                }
            },
        };
        if file.as_ref().is_none_or(|file| file.number != number) {
            *file = Some(self.file(&self.state(), number)?);
        }
        let data = match file {
            Some(file) => verify(what.log, entry, file, stored)?,
            None => Bytes::new(),
        };
        Ok(data.slice(..head as usize))
    }

    // Fetches the record of the first of these entries, and of those that lie right behind it.
    fn fetch_run(&self, found: &[Found]) -> Result<Chunk> {
        let Some(first) = found.first() else {
            return Err(Error::new(ErrorCode::Other, "an empty run"));
        };
        let (start, mut end) = (first.start(), first.end());
        for entry in found.iter().skip(1) {
            let near = entry.place.file == first.place.file
                && entry.start() >= end
                && entry.start() - end <= GAP_BYTES
                && entry.end() - start <= RUN_BYTES;
            if !near {
                break;
            }
            end = entry.end();
        }
        let file = self.file(&self.state(), first.place.file)?;
        Ok(Chunk { file: file.number, start, bytes: self.fetch_bytes(&file, start, end - start)? })
    }

    fn verified(&self, log: u64, entry: &Found, stored: Bytes) -> Result<Bytes> {
        let file = self.file(&self.state(), entry.place.file)?;
        verify(log, entry, &file, stored)
    }

    // Some bytes of a record of several blocks: only the blocks that have them are fetched.
    fn read_part(&self, log: u64, entry: &Found, offset: u64, len: u64) -> Result<Bytes> {
        let file = self.file(&self.state(), entry.place.file)?;
        let offset = offset.min(entry.len);
        let end = offset.saturating_add(len).min(entry.len);
        let table_len = table_len(entry.len);
        let table = self.fetch_bytes(&file, entry.start(), table_len)?;
        let first = offset / BLOCK;
        let from = first * BLOCK;
        let to = end.next_multiple_of(BLOCK).min(entry.len).max(from);
        let mut bytes = self.fetch_bytes(&file, entry.start() + table_len + from, to - from)?;
        let located = entry.located(&file);
        if !located.holds_front(&table) || !located.holds_blocks(&table, first, &bytes) {
            return Err(damaged(log, entry.seq, &file, entry.start()));
        }
        bytes.truncate((end - from) as usize);
        Ok(bytes.split_off((offset - from) as usize))
    }

    fn read_range(
        &self,
        what: &Read,
        offset: u64,
        len: u64,
        visit: &mut dyn FnMut(Record) -> bool,
    ) -> Result<()> {
        let only_one = Read { max_records: 1, ..*what };
        while let Some(wanted) = self.want(&only_one, what.from, &mut Budget::of(&only_one))? {
            let seq = wanted.seqs.first().copied().unwrap_or(0);
            match self.part_of(what.log, seq, &wanted, [offset, len]) {
                Ok((entry, data)) => {
                    visit(record(&entry, data));
                    return Ok(());
                }
                Err(error) if self.is_at(what.log, seq, wanted.region) == Some(true) => return Err(error),
                // It was moved or removed while it was being read.
                Err(_) => {}
            }
        }
        Ok(())
    }

    fn part_of(
        &self,
        log: u64,
        seq: u64,
        wanted: &Wanted,
        [offset, len]: [u64; 2],
    ) -> Result<(Found, Bytes)> {
        let (chunk, mut found) = self.find_all(log, wanted)?;
        let Some(entry) = found.pop() else {
            return Err(damaged(log, seq, &wanted.file, wanted.region.offset));
        };
        if entry.len > BLOCK {
            let data = self.read_part(log, &entry, offset, len)?;
            return Ok((entry, data));
        }
        let stored = match chunk.slice(entry.place.file, entry.start(), entry.end()) {
            Some(stored) => stored,
            None => self.fetch_run(std::slice::from_ref(&entry))?.bytes,
        };
        let record = self.verified(log, &entry, stored)?;
        let (from, to) = (offset.min(entry.len), offset.saturating_add(len).min(entry.len));
        let data = Bytes::copy_from_slice(&record.slice(from as usize..to as usize));
        Ok((entry, data))
    }

    /// All entries of the extent that has `(log, seq)`; `None`: there is no such entry.
    pub fn locate_around(&self, log: u64, seq: u64) -> Result<Option<Vec<Found>>> {
        let wanted = {
            let state = self.state();
            let Some((first, extent)) = state.index.find(log, seq) else {
                return Ok(None);
            };
            let seqs = extent.places().map(|place| first + place).collect();
            let file = self.file(&state, extent.region.file)?;
            Wanted { file, region: extent.region, seqs, last: true }
        };
        let (_, found) = self.find_all(log, &wanted)?;
        if !found.iter().any(|entry| entry.seq == seq) {
            return Err(damaged(log, seq, &wanted.file, wanted.region.offset));
        }
        Ok(Some(found))
    }

    /// The first bytes of an entry's record as they lie there, damaged or not; `None`: not even its place is known.
    pub fn front_unverified(&self, log: u64, seq: u64, len: u64) -> Option<Bytes> {
        let found = self.locate_around(log, seq).ok()??.into_iter().find(|entry| entry.seq == seq)?;
        let file = self.file(&self.state(), found.place.file).ok()?;
        let start = found.start() + table_len(found.len);
        self.fetch_bytes(&file, start, len.min(found.len)).ok()
    }

    /// The whole record of an entry.
    pub fn read_record(&self, log: u64, entry: &Found) -> Result<Bytes> {
        let run = self.fetch_run(std::slice::from_ref(entry))?;
        self.verified(log, entry, run.bytes)
    }
}

// How many bytes a read gives of a record of so many.
fn given_bytes(what: &Read, size: u64) -> u64 {
    match what.want {
        Want::Head { len } => size.min(len),
        Want::Identity => IDENTITY_BYTES,
        _ => size,
    }
}

// The record out of its stored form.
fn verify(log: u64, entry: &Found, file: &DataFile, mut stored: Bytes) -> Result<Bytes> {
    if !entry.located(file).holds(&stored) {
        return Err(damaged(log, entry.seq, file, entry.start()));
    }
    Ok(stored.split_off(table_len(entry.len) as usize))
}

fn record(entry: &Found, data: Bytes) -> Record {
    let Found { seq, span, format, len, .. } = *entry;
    Record { seq, span, format, total_len: len, label: entry.label.clone(), data }
}

fn damaged(log: u64, seq: u64, file: &DataFile, offset: u64) -> Error {
    Error::new(
        ErrorCode::Corrupt,
        format!(
            "entry {seq} of log {log} is damaged: its checksum does not fit, in {} near byte {offset}",
            file.name
        ),
    )
}

fn locate(file: &DataFile, header: &BatchHeader, offset: u64, entry: &Entry<'_>) -> Found {
    let place = match entry.target {
        Target::There(far) => far,
        Target::Here { at, .. } => FarPlace {
            epoch: file.epoch,
            file: file.number,
            batch_offset: offset,
            records_at: header.records_at(),
            at,
        },
    };
    // Labels are small: a copy pins nothing.
    let label = Bytes::copy_from_slice(entry.label);
    Found {
        seq: entry.seq,
        span: entry.span,
        format: entry.format,
        label,
        len: entry.len,
        crc: entry.crc,
        place,
    }
}

// Shows the operations of the batches of a region, as far as they are whole.
fn walk(file: &DataFile, chunk: &Chunk, region: Region, mut visit: impl FnMut(&BatchHeader, u64, Op<'_>)) {
    let mut end = region.offset;
    while end < region.offset + region.len {
        let begins = |start: u64| {
            let bytes = chunk.bytes.get((start - chunk.start) as usize..)?;
            Some((start, BatchHeader::decode(bytes, file.place(start))?, bytes))
        };
        // A batch whose header is damaged hides its own entries and no others: the next one is looked for.
        let mut further = (align(end, BATCH_ALIGN)..region.offset + region.len).step_by(BATCH_ALIGN as usize);
        let next = batch::next_starts(end).into_iter().find_map(begins).or_else(|| further.find_map(begins));
        let Some((start, header, bytes)) = next else {
            return;
        };
        end = start + header.total_len();
        let Some((ops, _)) = header.ops(bytes, file.place(start).seed()) else {
            continue;
        };
        for op in Ops::new(&ops).map_while(|op| op.ok()) {
            visit(&header, start, op);
        }
    }
}
