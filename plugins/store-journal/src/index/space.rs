// SPDX-License-Identifier: Apache-2.0
//! What lives in which file, and what becomes of the index when records are moved to another one.
//!
//! A move is written into the log as a checkpoint's piece is: it says what a range of a log holds exactly, only that
//! the extents lie elsewhere now. So whoever replays the log needs to know nothing of moving.

use super::extent::{Extent, Region};
use super::state::put_range;
use super::{Index, Log, class_of};
use crate::format::op::{Op, put_op};
use std::collections::HashMap;

/// About what an entry takes in a file besides its record, in bytes: its operation, without a label.
pub const ENTRY_BYTES: u64 = 20;

/// Extents are looked at so many at a time while others wait for the index.
const LOOK_EXTENTS: usize = 4096;

/// An extent that keeps a file: its log, and the numbers of its first and last place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Held {
    /// The log.
    pub log: u64,
    /// The number of the first place.
    pub first: u64,
    /// The number of the last place.
    pub last: u64,
    /// Where its operations are.
    pub region: Region,
    /// Where its records are.
    pub record_file: u32,
    /// Whether its entries are links.
    pub linked: bool,
}

/// An entry that was copied to another place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Copied {
    /// The log.
    pub log: u64,
    /// The entry's number.
    pub seq: u64,
    /// Numbers covered.
    pub span: u64,
    /// Length of its record.
    pub size: u32,
    /// Where its operation was, and the file that had its record.
    pub from: (Region, u32),
    /// Where its operation is.
    pub region: Region,
    /// The file that has its record.
    pub record_file: u32,
    /// Whether it is a link.
    pub linked: bool,
}

impl Index {
    /// Bytes of the records of lasting and of temporary logs whose own entry exists.
    pub fn owned_bytes(&self) -> [u64; 2] {
        self.owned_bytes
    }

    /// By file, bytes of the records to which links alone lead: a lower bound, since records are not counted one by
    /// one. It is exact when no two logs link to different records of a file. Walks the whole index.
    pub fn orphans(&self) -> impl Iterator<Item = (u32, u64)> + '_ {
        let mut most: HashMap<u32, u64> = HashMap::new();
        if self.pins.values().any(|pins| pins.linked_bytes > pins.owned_bytes) {
            for log in self.logs.values() {
                let mut of_log: HashMap<u32, u64> = HashMap::new();
                for extent in log.extents.linked() {
                    *of_log.entry(extent.record_file).or_default() += extent.bytes();
                }
                for (file, bytes) in of_log {
                    let known = most.entry(file).or_default();
                    *known = (*known).max(bytes);
                }
            }
        }
        most.into_iter().filter_map(|(file, bytes)| {
            let more = bytes.saturating_sub(self.pins_of(file).owned_bytes);
            (more > 0).then_some((file, more))
        })
    }

    /// The extents that keep one of these files, of lasting logs (0) or of temporary ones (1), from an extent on; and
    /// where to go on, until all were looked at.
    pub fn held(
        &self,
        class: usize,
        files: &[u32],
        from: (u64, u64),
        found: &mut Vec<Held>,
    ) -> Option<(u64, u64)> {
        let mut looked = 0;
        for (log, held) in self.logs.range(from.0..).filter(|(log, _)| class_of(**log) == class) {
            let start = if *log == from.0 { from.1 } else { 0 };
            for (first, extent) in held.extents.since(start) {
                if looked == LOOK_EXTENTS {
                    return Some((*log, first));
                }
                looked += 1;
                if files.contains(&extent.region.file) || files.contains(&extent.record_file) {
                    found.push(Held {
                        log: *log,
                        first,
                        last: first.saturating_add(u64::from(extent.width) - 1),
                        region: extent.region,
                        record_file: extent.record_file,
                        linked: extent.linked,
                    });
                }
            }
        }
        None
    }

    /// The numbers of the entries of an extent that are still where it said.
    pub fn still(&self, held: &Held) -> Vec<u64> {
        let mut seqs = Vec::new();
        let mut from = held.first;
        while let Some((seq, _, extent)) = self.next(held.log, from).filter(|(seq, ..)| *seq <= held.last) {
            if is_in(&extent, (held.region, held.record_file)) {
                seqs.push(seq);
            }
            match seq.checked_add(1) {
                Some(next) => from = next,
                None => break,
            }
        }
        seqs
    }

    /// Appends the operations that say where entries are now; those that have gone meanwhile are left out. The
    /// entries are of one class, and those of one log in order. Answers how many entries they move.
    pub fn put_moves(&self, copied: &[Copied], out: &mut Vec<u8>) -> u64 {
        let (mut run, mut moved) = (Log::default(), 0);
        let mut range: Option<(u64, u64, u64)> = None;
        for copy in copied {
            let there = self.find(copy.log, copy.seq);
            if !there.is_some_and(|(_, extent)| is_in(&extent, copy.from)) {
                continue;
            }
            let follows = range.is_some_and(|(log, _, last)| {
                // A piece says all that its range holds: nothing that stays where it is may lie in it.
                log == copy.log
                    && last < copy.seq
                    && self.next(log, last + 1).is_some_and(|(seq, ..)| seq == copy.seq)
            });
            range = match range.filter(|_| follows) {
                Some((log, first, _)) => Some((log, first, copy.seq)),
                None => {
                    self.put_run(range, &mut run, out);
                    Some((copy.log, copy.seq, copy.seq))
                }
            };
            run.take_last(copy);
            moved += 1;
        }
        self.put_run(range, &mut run, out);
        moved
    }

    fn put_run(&self, range: Option<(u64, u64, u64)>, run: &mut Log, out: &mut Vec<u8>) {
        let Some((log, first, last)) = range else {
            return;
        };
        let extents = std::mem::take(&mut run.extents);
        let mut body = Vec::new();
        put_range(log, self.next_seq(log), [first, last], &extents, &mut body);
        put_op(out, &Op::StateLog(&body));
    }
}

fn is_in(extent: &Extent, (region, record_file): (Region, u32)) -> bool {
    // An extent's region grows while it is the newest.
    extent.region.file == region.file
        && extent.region.offset >= region.offset
        && extent.region.offset < region.offset + region.len.max(1)
        && extent.record_file == record_file
}

impl Log {
    // Takes an entry in behind all others.
    fn take_last(&mut self, copy: &Copied) {
        let one = Extent::new(copy.region, copy.record_file, copy.linked, copy.span, copy.size);
        if let Some((first, last)) = self.extents.last_mut()
            && last.join(copy.seq - first, copy.region, &one)
        {
            return;
        }
        self.extents.insert(copy.seq, one);
    }
}
