// SPDX-License-Identifier: Apache-2.0
//! The index, written into the log in pieces.
//!
//! A piece says what one range of a log's numbers, or of the keys, *exactly* holds at its place in the log. Pieces of
//! one checkpoint may stand between ordinary batches: whoever replays the log from the checkpoint's first batch on
//! has, after its last piece, the whole state, whatever came before. So a checkpoint never stops the store.

use super::extent::{Extent, Region, Sizes};
use super::extents::Extents;
use super::{Index, Log};
use crate::format::number::{Reader, put, put_bytes};
use crate::format::op::{Op, put_op};
use sabir_model::store::TEMPORARY;

/// The body of a checkpoint's piece is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadState;

/// How far a checkpoint has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Progress {
    /// The next piece begins with this log, at this number.
    Log(u64, u64),
    /// The next piece begins with this key.
    Keys(Vec<u8>),
    /// All has been written.
    Done,
}

impl Progress {
    /// Nothing has been written.
    pub const START: Progress = Progress::Log(0, 0);
}

const LINKED: u8 = 1;
const FAR: u8 = 2;
const SPANS: u8 = 4;
const HOLES: u8 = 8;
const OWN_SIZES: u8 = 16;

fn put_extent(out: &mut Vec<u8>, first: u64, extent: &Extent) {
    let far = extent.record_file != extent.region.file;
    let own_sizes = !matches!(extent.sizes, Sizes::Same(_));
    let mut flags = 0;
    for (flag, on) in [
        (LINKED, extent.linked),
        (FAR, far),
        (SPANS, extent.span != 1),
        (HOLES, !extent.present.is_empty()),
        (OWN_SIZES, own_sizes),
    ] {
        flags |= if on { flag } else { 0 };
    }
    out.push(flags);
    put(out, first);
    put(out, u64::from(extent.width));
    put(out, u64::from(extent.region.file));
    put(out, extent.region.offset);
    put(out, extent.region.len);
    if far {
        put(out, u64::from(extent.record_file));
    }
    if extent.span != 1 {
        put(out, extent.span);
    }
    extent.present.iter().for_each(|word| out.extend_from_slice(&word.to_le_bytes()));
    let sizes = if own_sizes { extent.width } else { 1 };
    (0..sizes).for_each(|at| put(out, u64::from(extent.sizes.get(at as usize))));
}

fn read_extent(reader: &mut Reader<'_>) -> Option<(u64, Extent)> {
    let flags = reader.byte()?;
    let (first, width) = (reader.number()?, reader.small()?);
    let region = Region { file: reader.small()?, offset: reader.number()?, len: reader.number()? };
    let record_file = if flags & FAR == 0 { region.file } else { reader.small()? };
    let span = if flags & SPANS == 0 { 1 } else { reader.number()? };
    if width == 0 || u64::from(width) > super::extent::MAX_WIDTH {
        return None;
    }
    let mut present = Vec::new();
    let mut live = width;
    if flags & HOLES != 0 {
        for _ in 0..width.div_ceil(64) {
            present.push(u64::from_le_bytes(reader.take(8)?.try_into().ok()?));
        }
        live = present.iter().map(|word: &u64| word.count_ones()).sum();
    }
    let sizes = if flags & OWN_SIZES == 0 {
        Sizes::Same(reader.small()?)
    } else {
        let sizes = (0..width).map(|_| reader.small()).collect::<Option<Vec<u32>>>()?;
        match sizes.iter().map(|size| u16::try_from(*size).ok()).collect::<Option<Vec<u16>>>() {
            Some(short) => Sizes::Short(short),
            None => Sizes::Long(sizes),
        }
    };
    let linked = flags & LINKED != 0;
    Some((first, Extent { region, record_file, linked, span, width, live, sizes, present }))
}

impl Index {
    /// Appends the next pieces, as operations, until there are about `budget` bytes of them.
    pub fn put_state(&self, progress: Progress, budget: usize, out: &mut Vec<u8>) -> Progress {
        let mut body = Vec::new();
        let start = out.len();
        let (mut log, mut from) = match progress {
            Progress::Log(log, from) => (log, from),
            Progress::Keys(key) => return self.put_keys(&key, budget, out),
            Progress::Done => return Progress::Done,
        };
        while let Some((id, found)) = self.logs.range(log..TEMPORARY).next() {
            if *id != log {
                (log, from) = (*id, 0);
            }
            body.clear();
            let left = budget.saturating_sub(out.len() - start);
            let next = found.put_piece(log, from, left, &mut body);
            put_op(out, &Op::StateLog(&body));
            (log, from) = match next {
                Some(next) => (log, next),
                None => (log + 1, 0),
            };
            if out.len() - start >= budget {
                return Progress::Log(log, from);
            }
        }
        self.put_keys(&[], budget.saturating_sub(out.len() - start), out)
    }

    fn put_keys(&self, from: &[u8], budget: usize, out: &mut Vec<u8>) -> Progress {
        let (mut pairs, mut count) = (Vec::new(), 0u64);
        let mut next: &[u8] = &[];
        for (key, value) in self.scan(from, &[]) {
            if pairs.len() >= budget && count > 0 {
                next = key;
                break;
            }
            put_bytes(&mut pairs, key);
            put_bytes(&mut pairs, value);
            count += 1;
        }
        let mut body = Vec::with_capacity(pairs.len() + 64);
        put_bytes(&mut body, from);
        put_bytes(&mut body, next);
        put(&mut body, count);
        body.extend_from_slice(&pairs);
        put_op(out, &Op::StateKeys(&body));
        if next.is_empty() { Progress::Done } else { Progress::Keys(next.to_vec()) }
    }

    /// About how many bytes a whole checkpoint would take.
    pub fn state_bytes(&self) -> u64 {
        let extents: u64 =
            self.logs.range(..TEMPORARY).map(|(_, log)| 32 + log.extents.len() as u64 * 48).sum();
        extents + self.key_bytes + self.keys.len() as u64 * 4 + 64
    }

    pub(super) fn load_log(&mut self, body: &[u8]) -> Result<(), BadState> {
        let mut reader = Reader::new(body);
        let mut head = || {
            Some((reader.number()?, reader.number()?, reader.number()?, reader.number()?, reader.number()?))
        };
        let (id, next_seq, from, to, count) = head().ok_or(BadState)?;
        // What the replay has found since the checkpoint began may lie in extents that reach beyond the piece: they
        // must not overlap with what the piece brings.
        if let Some(log) = self.logs.get_mut(&id) {
            log.extents.cut(from);
            to.checked_add(1).into_iter().for_each(|end| log.extents.cut(end));
        }
        self.remove(id, from, to);
        self.raise(id, next_seq);
        for _ in 0..count {
            let (first, extent) = read_extent(&mut reader).ok_or(BadState)?;
            self.pin(id, &extent);
            let extents = &mut self.logs.entry(id).or_default().extents;
            extents.insert(first, extent);
            extents.close_before(first);
        }
        Ok(())
    }

    pub(super) fn load_keys(&mut self, body: &[u8]) -> Result<(), BadState> {
        let mut reader = Reader::new(body);
        let mut head = || Some((reader.bytes()?, reader.bytes()?, reader.number()?));
        let (from, to, count) = head().ok_or(BadState)?;
        let old: Vec<Box<[u8]>> = self.scan(from, to).map(|(key, _)| key.into()).collect();
        old.iter().for_each(|key| self.delete(key));
        for _ in 0..count {
            let (key, value) = reader.bytes().zip(reader.bytes()).ok_or(BadState)?;
            self.put(key, value);
        }
        Ok(())
    }
}

impl Log {
    // One piece; answers where the next one begins, if it does not reach the log's end.
    fn put_piece(&self, id: u64, from: u64, budget: usize, body: &mut Vec<u8>) -> Option<u64> {
        let (mut extents, mut count, mut next) = (Vec::new(), 0u64, None);
        for (first, extent) in self.extents.since(from) {
            if extents.len() >= budget && count > 0 {
                next = Some(first);
                break;
            }
            put_extent(&mut extents, first, &extent);
            count += 1;
        }
        // The last extent may grow before the next piece is written, so its piece must reach to the end.
        let to = next.map_or(u64::MAX, |next| next - 1);
        put_head([id, self.next_seq, from, to, count], &extents, body);
        next
    }
}

fn put_head(head: [u64; 5], extents: &[u8], body: &mut Vec<u8>) {
    head.iter().for_each(|number| put(body, *number));
    body.extend_from_slice(extents);
}

/// A piece that says that a range of a log holds just these extents.
pub(super) fn put_range(log: u64, next_seq: u64, [from, to]: [u64; 2], found: &Extents, body: &mut Vec<u8>) {
    let mut extents = Vec::new();
    found.iter().for_each(|(first, extent)| put_extent(&mut extents, first, &extent));
    put_head([log, next_seq, from, to, found.len() as u64], &extents, body);
}
