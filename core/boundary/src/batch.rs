// SPDX-License-Identifier: Apache-2.0
//! Store operations as C arrays, in memory that is used again for every batch, and read back.

use crate::slices;
use bytes::Bytes;
use sabir_abi::*;
use sabir_model::store::{Batch, Level, Op};
use std::marker::PhantomData;
use std::ptr;

/// A level in the contract.
pub fn level_number(level: Level) -> u32 {
    match level {
        Level::Written => SABIR_LEVEL_WRITTEN,
        Level::Durable => SABIR_LEVEL_DURABLE,
    }
}

/// The level with this number; what this side does not know is the stronger one.
pub fn level_from_number(number: u32) -> Level {
    if number == SABIR_LEVEL_WRITTEN { Level::Written } else { Level::Durable }
}

/// A batch as a C array. It borrows what it was filled from.
#[derive(Debug, Default)]
pub struct BatchOps<'a> {
    ops: Vec<sabir_store_op>,
    pieces: Vec<sabir_slice>,
    borrowed: PhantomData<&'a Batch>,
}

// SAFETY: the pointers are into `&'a Batch`, and into `pieces`, which may be sent.
unsafe impl Send for BatchOps<'_> {}

impl<'a> BatchOps<'a> {
    /// The array of this batch's operations.
    pub fn of(batch: &'a Batch) -> Self {
        BatchOps::default().refill(batch)
    }

    /// The same memory, for another batch.
    pub fn refill<'b>(self, batch: &'b Batch) -> BatchOps<'b> {
        let BatchOps { mut ops, mut pieces, .. } = self;
        ops.clear();
        pieces.clear();
        ops.extend(batch.ops.iter().map(|op| raw_op(op, &mut pieces)));
        // The pieces have moved while they grew: only now do they lie where they stay.
        let mut next = pieces.as_ptr();
        for op in &mut ops {
            if op.piece_count != 0 {
                op.pieces = next;
                // SAFETY: the counts add up to the length of `pieces`.
                next = unsafe { next.add(op.piece_count as usize) };
            }
        }
        BatchOps { ops, pieces, borrowed: PhantomData }
    }

    /// First element, count, stride.
    pub fn raw(&self) -> (*const sabir_store_op, usize, usize) {
        (self.ops.as_ptr(), self.ops.len(), size_of::<sabir_store_op>())
    }

    /// Lends the operations as a store reads them.
    pub fn lend(&self) -> Ops<'_> {
        let (first, count, stride) = self.raw();
        // SAFETY: the array, and the batch that it borrows, live while it is lent.
        unsafe { Ops::from_abi(first, count, stride) }
    }
}

const NO_OP: sabir_store_op = sabir_store_op {
    kind: 0,
    format: 0,
    log: 0,
    seq: 0,
    last: 0,
    span: 0,
    from_log: 0,
    from_seq: 0,
    label: slices::EMPTY,
    pieces: ptr::null(),
    piece_count: 0,
};

fn push_pieces(pieces: &mut Vec<sabir_slice>, parts: &[Bytes]) -> u64 {
    let before = pieces.len();
    pieces.extend(parts.iter().filter(|part| !part.is_empty()).map(|part| slices::slice(part)));
    (pieces.len() - before) as u64
}

fn raw_op(op: &Op, pieces: &mut Vec<sabir_slice>) -> sabir_store_op {
    match op {
        Op::Append { log, seq, span, format, label, record } => sabir_store_op {
            kind: SABIR_STORE_APPEND,
            format: *format,
            log: *log,
            seq: *seq,
            span: *span,
            label: slices::slice(label),
            piece_count: push_pieces(pieces, record),
            ..NO_OP
        },
        Op::Link { log, seq, from_log, from_seq, label } => sabir_store_op {
            kind: SABIR_STORE_LINK,
            log: *log,
            seq: *seq,
            from_log: *from_log,
            from_seq: *from_seq,
            label: slices::slice(label),
            ..NO_OP
        },
        Op::Remove { log, first, last } => {
            sabir_store_op { kind: SABIR_STORE_REMOVE, log: *log, seq: *first, last: *last, ..NO_OP }
        }
        Op::Trim { log, before } => {
            sabir_store_op { kind: SABIR_STORE_TRIM, log: *log, seq: *before, ..NO_OP }
        }
        Op::Replace { log, first, last, span, format, record } => sabir_store_op {
            kind: SABIR_STORE_REPLACE,
            format: *format,
            log: *log,
            seq: *first,
            last: *last,
            span: *span,
            piece_count: match record {
                Some(record) => {
                    pieces.push(slices::slice(record));
                    1
                }
                None => 0,
            },
            ..NO_OP
        },
        Op::Put { key, value } => sabir_store_op {
            kind: SABIR_STORE_PUT,
            label: slices::slice(key),
            piece_count: push_pieces(pieces, std::slice::from_ref(value)),
            ..NO_OP
        },
        Op::Delete { key } => sabir_store_op { kind: SABIR_STORE_DELETE, label: slices::slice(key), ..NO_OP },
    }
}

/// Runs of bytes to be joined.
#[derive(Clone, Copy, Debug)]
pub struct Pieces<'a> {
    first: *const sabir_slice,
    count: usize,
    borrowed: PhantomData<&'a [u8]>,
}

impl<'a> Pieces<'a> {
    /// The runs in order.
    pub fn iter(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let Pieces { first, count, .. } = *self;
        (0..count).map_while(move |index| {
            // SAFETY: the batch's owner promised the array and what it points at.
            unsafe {
                slices::element(first, index, size_of::<sabir_slice>()).map(|piece| slices::bytes(*piece))
            }
        })
    }

    /// Bytes of all runs.
    pub fn len_bytes(&self) -> usize {
        self.iter().map(<[u8]>::len).sum()
    }

    /// One copy of all of them.
    pub fn to_vec(&self) -> Vec<u8> {
        let mut joined = Vec::with_capacity(self.len_bytes());
        self.iter().for_each(|piece| joined.extend_from_slice(piece));
        joined
    }
}

/// One operation of a batch, borrowed. The meanings are those of [`Op`].
#[derive(Clone, Copy, Debug)]
pub enum OpRef<'a> {
    /// Make a record and its entry.
    Append {
        /// The log.
        log: u64,
        /// The entry's number.
        seq: u64,
        /// Sequence numbers covered.
        span: u64,
        /// Format of the record.
        format: u32,
        /// The entry's own bytes.
        label: &'a [u8],
        /// The record.
        record: Pieces<'a>,
    },
    /// Make another entry for the record of `(from_log, from_seq)`.
    Link {
        /// The log of the new entry.
        log: u64,
        /// Its number.
        seq: u64,
        /// The log of the entry that has the record.
        from_log: u64,
        /// Its number.
        from_seq: u64,
        /// The new entry's own bytes.
        label: &'a [u8],
    },
    /// Remove the entries `first` to `last`, those that exist.
    Remove {
        /// The log.
        log: u64,
        /// First entry.
        first: u64,
        /// Last entry, inclusive.
        last: u64,
    },
    /// Remove the entries below `before`.
    Trim {
        /// The log.
        log: u64,
        /// First entry that stays.
        before: u64,
    },
    /// Replace the entries `first` to `last` by one record at `first`, or by nothing.
    Replace {
        /// The log.
        log: u64,
        /// First entry.
        first: u64,
        /// Last entry, inclusive.
        last: u64,
        /// Sequence numbers the new record covers.
        span: u64,
        /// Format of the record.
        format: u32,
        /// The record; `None`: nothing takes the place.
        record: Option<Pieces<'a>>,
    },
    /// Set a key.
    Put {
        /// The key.
        key: &'a [u8],
        /// Its value.
        value: Pieces<'a>,
    },
    /// Remove a key, if it exists.
    Delete {
        /// The key.
        key: &'a [u8],
    },
    /// A kind that this side does not know: the batch must be refused.
    Invalid(u32),
}

/// The operations of a batch, borrowed.
#[derive(Clone, Copy, Debug)]
pub struct Ops<'a> {
    first: *const sabir_store_op,
    count: usize,
    stride: usize,
    borrowed: PhantomData<&'a [u8]>,
}

// SAFETY: operations and what they point at are borrowed and never change; any thread may read them.
unsafe impl Send for Ops<'_> {}
// SAFETY: as above.
unsafe impl Sync for Ops<'_> {}

impl<'a> Ops<'a> {
    /// Those of the contract's array.
    ///
    /// # Safety
    /// `count` operations lie at `first`, `stride` bytes apart; they and what they point at stay during `'a`.
    pub unsafe fn from_abi(first: *const sabir_store_op, count: usize, stride: usize) -> Self {
        Ops { first, count, stride, borrowed: PhantomData }
    }

    /// Lends a batch as operations: for tests and simulators that drive a store without the contract between.
    pub fn with_batch<R>(batch: &Batch, use_it: impl FnOnce(Ops<'_>) -> R) -> R {
        use_it(BatchOps::of(batch).lend())
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// All of them in order.
    pub fn iter(&self) -> impl Iterator<Item = OpRef<'a>> + use<'a> {
        let Ops { first, count, stride, .. } = *self;
        (0..count).map_while(move |index| {
            // SAFETY: `from_abi`'s caller promised the array.
            unsafe { slices::element(first, index, stride) }.map(OpRef::read)
        })
    }
}

impl<'a> OpRef<'a> {
    fn read(raw: &'a sabir_store_op) -> Self {
        // SAFETY: the batch's owner promised what its operations point at.
        let label = unsafe { slices::bytes(raw.label) };
        let count = usize::try_from(raw.piece_count).unwrap_or(0);
        let pieces = Pieces { first: raw.pieces, count, borrowed: PhantomData };
        let sabir_store_op { log, seq, last, span, format, from_log, from_seq, .. } = *raw;
        match raw.kind {
            SABIR_STORE_APPEND => OpRef::Append { log, seq, span, format, label, record: pieces },
            SABIR_STORE_LINK => OpRef::Link { log, seq, from_log, from_seq, label },
            SABIR_STORE_REMOVE => OpRef::Remove { log, first: seq, last },
            SABIR_STORE_TRIM => OpRef::Trim { log, before: seq },
            SABIR_STORE_REPLACE => {
                let record = (count != 0).then_some(pieces);
                OpRef::Replace { log, first: seq, last, span, format, record }
            }
            SABIR_STORE_PUT => OpRef::Put { key: label, value: pieces },
            SABIR_STORE_DELETE => OpRef::Delete { key: label },
            kind => OpRef::Invalid(kind),
        }
    }
}
