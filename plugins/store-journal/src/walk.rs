// SPDX-License-Identifier: Apache-2.0
//! Walking over the operations of batches, to find out where entries are.
//!
//! A long batch is read in many pages. So that each page need not fetch, verify and walk all of the batch's operations
//! again, the last few walks are remembered: the operations, and how far the walk had come. Files are never written
//! in place under the same number, so what is remembered of a place stays true. Knows nothing of records.

use crate::files::DataFile;
use crate::format::batch::BatchHeader;
use crate::format::op::{Entry, Op, OpPlace, Ops};
use crate::index::extent::Region;
use bytes::Bytes;
use std::borrow::Cow;
use std::sync::{Mutex, PoisonError};

/// Walks that are remembered: as many logs can be read at the same time.
const KEPT_WALKS: usize = 4;

/// Operations longer than this are not remembered, in bytes: together with `KEPT_WALKS` that bounds the memory.
const KEPT_OPS_BYTES: usize = 1 << 20;

/// The operations of one batch, verified, and how far the entries of one log were looked at.
#[derive(Clone, Debug)]
pub struct Walk {
    file: u32,
    region: Region,
    log: u64,
    header: BatchHeader,
    ops: Bytes,
    // Whether the log's entries are in order, each once: only then a walk can go on, and end early.
    in_order: bool,
    // Entries of the log below this number lie before `place`.
    next: u64,
    place: OpPlace,
}

impl Walk {
    /// A walk over the batch at the start of `bytes`, which has at least its operations. `None`: they are damaged.
    pub fn begin(file: &DataFile, region: Region, log: u64, bytes: &Bytes) -> Option<Walk> {
        let place = file.place(region.offset);
        let header = BatchHeader::decode(bytes, place)?;
        let ops = match header.ops(bytes, place.seed())?.0 {
            // What is kept must not pin what else was fetched.
            Cow::Borrowed(ops) if bytes.len() > 2 * ops.len() => Bytes::copy_from_slice(ops),
            Cow::Borrowed(ops) => bytes.slice_ref(ops),
            Cow::Owned(mended) => Bytes::from(mended),
        };
        let place = Ops::new(&ops).place();
        let mut walk = Walk { file: file.number, region, log, header, ops, in_order: false, next: 0, place };
        walk.in_order = walk.is_in_order();
        Some(walk)
    }

    fn is_in_order(&self) -> bool {
        let mut next = 0;
        Ops::new(&self.ops).map_while(|op| op.ok()).all(|op| match op {
            Op::Replace { entry, .. } if entry.log == self.log => false,
            Op::Entry(entry) if entry.log == self.log => {
                let after = entry.seq >= next;
                next = entry.seq.saturating_add(1);
                after
            }
            _ => true,
        })
    }

    /// The batch's header.
    pub fn header(&self) -> &BatchHeader {
        &self.header
    }

    /// Shows the log's entries from `from` on: all of them at least until `visit` says `false`, and perhaps others.
    pub fn show(&mut self, from: u64, mut visit: impl FnMut(&Entry<'_>) -> bool) {
        if from < self.next || !self.in_order {
            (self.next, self.place) = (0, Ops::new(&self.ops).place());
        }
        let mut ops = Ops::resume(&self.ops, self.place);
        while let Some(Ok(op)) = ops.next() {
            if let Op::Entry(entry) | Op::Replace { entry, .. } = op
                && entry.log == self.log
            {
                let more = visit(&entry);
                (self.next, self.place) = (entry.seq.saturating_add(1), ops.place());
                if !more && self.in_order {
                    return;
                }
            }
        }
    }
}

/// The walks of the last reads.
#[derive(Debug, Default)]
pub struct Walks {
    // The one used last at the end.
    kept: Mutex<Vec<Walk>>,
}

impl Walks {
    /// Takes the walk over this batch for this log out, if it is remembered.
    pub fn take(&self, file: u32, offset: u64, log: u64) -> Option<Walk> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let at =
            kept.iter().position(|walk| (walk.file, walk.region.offset, walk.log) == (file, offset, log))?;
        Some(kept.remove(at))
    }

    /// Remembers a walk that has not come to its end, instead of the one that was used least lately.
    pub fn keep(&self, walk: Walk) {
        let ended = Ops::resume(&walk.ops, walk.place).next().is_none();
        if ended || !walk.in_order || walk.ops.len() > KEPT_OPS_BYTES {
            return;
        }
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= KEPT_WALKS {
            kept.remove(0);
        }
        kept.push(walk);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::op::{Target, put_op};

    const FILE: u32 = 3;
    const OFFSET: u64 = 4096;

    fn walk(log: u64, seqs: &[(u64, u64)], last: Option<Op<'_>>) -> Walk {
        let mut ops = Vec::new();
        for (log, seq) in seqs {
            put_op(&mut ops, &Op::Entry(entry(*log, *seq)));
        }
        last.iter().for_each(|op| put_op(&mut ops, op));
        let region = Region { file: FILE, offset: OFFSET, len: 1 << 20 };
        let header = BatchHeader {
            number: 1,
            durable: 0,
            ops_len: ops.len() as u32,
            ops_crc: 0,
            records_len: 0,
            flags: 0,
        };
        let ops = Bytes::from(ops);
        let place = Ops::new(&ops).place();
        let mut walk = Walk { file: FILE, region, log, header, ops, in_order: false, next: 0, place };
        walk.in_order = walk.is_in_order();
        walk
    }

    fn entry(log: u64, seq: u64) -> Entry<'static> {
        Entry {
            log,
            seq,
            span: 1,
            format: 0,
            label: b"",
            len: 10,
            crc: 0,
            target: Target::Here { at: 0, linked: false },
        }
    }

    /// What a walk shows from a number on, until it has shown `last`.
    fn shown(walk: &mut Walk, from: u64, last: u64) -> Vec<(u64, u64)> {
        let mut shown = Vec::new();
        walk.show(from, |entry| {
            let Target::Here { at, .. } = entry.target else { return true };
            shown.push((entry.seq, at));
            entry.seq != last
        });
        shown
    }

    #[test]
    fn a_walk_goes_on_where_it_was_and_knows_where_the_records_are() {
        let entries: Vec<(u64, u64)> = (0..10).flat_map(|seq| [(7, seq), (8, seq)]).collect();
        let mut walk = walk(7, &entries, None);
        let all = shown(&mut walk.clone(), 0, 9);
        assert_eq!(all.iter().map(|(seq, _)| *seq).collect::<Vec<_>>(), (0..10).collect::<Vec<_>>());
        assert_eq!(shown(&mut walk, 0, 3), all[..4]);
        assert_eq!(shown(&mut walk, 4, 6), all[4..7], "from where it was, with the places of before");
        assert_eq!(shown(&mut walk, 2, 2), all[..3], "and back again");
    }

    #[test]
    fn a_batch_that_replaces_or_mixes_its_entries_is_walked_whole() {
        let replaced = Op::Replace { entry: entry(7, 1), last: 1 };
        for mut walk in [walk(7, &[(7, 1), (7, 2)], Some(replaced)), walk(7, &[(7, 2), (7, 1), (7, 3)], None)]
        {
            assert_eq!(shown(&mut walk, 1, 1).len(), 3);
            let walks = Walks::default();
            walks.keep(walk);
            assert!(walks.take(FILE, OFFSET, 7).is_none(), "and is not remembered");
        }
    }

    #[test]
    fn only_the_last_few_walks_that_have_not_ended_are_remembered() {
        let walks = Walks::default();
        for log in 0..=KEPT_WALKS as u64 {
            let mut walk = walk(log, &[(log, 1), (log, 2)], None);
            shown(&mut walk, 1, 1);
            walks.keep(walk);
        }
        assert!(walks.take(FILE, OFFSET, 0).is_none());
        assert!(walks.take(FILE, OFFSET + 1, 1).is_none() && walks.take(FILE + 1, OFFSET, 1).is_none());
        let mut walk = walks.take(FILE, OFFSET, 1).expect("it is remembered");
        assert!(walks.take(FILE, OFFSET, 1).is_none(), "one reader has it");
        assert_eq!(shown(&mut walk, 2, 2).len(), 1);
        walks.keep(walk);
        assert!(walks.take(FILE, OFFSET, 1).is_none(), "it has come to its end");
    }
}
