// SPDX-License-Identifier: Apache-2.0
//! The operations of a batch, as they are stored.
//!
//! An operation begins with a byte: its kind in the low four bits, and which of the usual fields follow in the high
//! ones. Records lie behind the operations, in the order of the operations that made them.

use super::number::{Reader, put, put_bytes};
use super::record::stored_len;

const APPEND: u8 = 1;
const LINK: u8 = 2;
const REMOVE: u8 = 3;
const TRIM: u8 = 4;
const REPLACE: u8 = 5;
const PUT: u8 = 6;
const DELETE: u8 = 7;
const LINK_FAR: u8 = 8;
const STATE_BEGIN: u8 = 10;
const STATE_LOG: u8 = 11;
const STATE_KEYS: u8 = 12;
const STATE_END: u8 = 13;

const HAS_SPAN: u8 = 0x10;
const HAS_FORMAT: u8 = 0x20;
const HAS_LABEL: u8 = 0x40;

/// Where a record lies that an entry points at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// Behind the operations of the same batch; made by this operation or an earlier one.
    Here {
        /// Where it begins, counted from the batch's records.
        at: u64,
        /// Whether an earlier operation made it.
        linked: bool,
    },
    /// In an earlier batch.
    There(FarPlace),
}

/// Where a record lies that is not in the batch at hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FarPlace {
    /// The epoch of the file.
    pub epoch: u64,
    /// The file.
    pub file: u32,
    /// First byte of the record's batch in the file.
    pub batch_offset: u64,
    /// Where that batch's records begin, counted from its first byte.
    pub records_at: u64,
    /// Where the record begins, counted from there.
    pub at: u64,
}

/// An entry that an operation makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry<'a> {
    /// The log.
    pub log: u64,
    /// The entry's number.
    pub seq: u64,
    /// Numbers covered.
    pub span: u64,
    /// Format of the record.
    pub format: u32,
    /// The entry's own bytes.
    pub label: &'a [u8],
    /// Length of the record in bytes.
    pub len: u64,
    /// Checksum of the record; see [`super::record`].
    pub crc: u32,
    /// Where the record lies.
    pub target: Target,
}

/// An operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op<'a> {
    /// An entry is made.
    Entry(Entry<'a>),
    /// The entries from that of `entry` to `last` give way to it.
    Replace {
        /// What takes their place.
        entry: Entry<'a>,
        /// The last one that goes, inclusive.
        last: u64,
    },
    /// Entries are removed. Also a replacement by nothing.
    Remove {
        /// The log.
        log: u64,
        /// First.
        first: u64,
        /// Last, inclusive.
        last: u64,
    },
    /// Entries below a number are removed.
    Trim {
        /// The log.
        log: u64,
        /// The first that stays.
        before: u64,
    },
    /// A key is set.
    Put {
        /// The key.
        key: &'a [u8],
        /// Its value.
        value: &'a [u8],
    },
    /// A key is removed.
    Delete {
        /// The key.
        key: &'a [u8],
    },
    /// A checkpoint begins.
    StateBegin,
    /// A part of a checkpoint: entries of a log, exactly. Its body is the index's.
    StateLog(&'a [u8]),
    /// A part of a checkpoint: keys, exactly. Its body is the index's.
    StateKeys(&'a [u8]),
    /// A checkpoint is complete.
    StateEnd {
        /// Number of the batch with which it began.
        begin_batch: u64,
        /// The epoch and file of that batch.
        begin_epoch: u64,
        /// The file of that batch.
        begin_file: u32,
        /// Where in the file.
        begin_offset: u64,
    },
}

fn put_entry(out: &mut Vec<u8>, kind: u8, entry: &Entry<'_>) {
    let mut tag = kind;
    tag |= if entry.span != 1 { HAS_SPAN } else { 0 };
    tag |= if entry.format != 0 { HAS_FORMAT } else { 0 };
    tag |= if entry.label.is_empty() { 0 } else { HAS_LABEL };
    out.push(tag);
    put(out, entry.log);
    put(out, entry.seq);
    if entry.span != 1 {
        put(out, entry.span);
    }
    if entry.format != 0 {
        put(out, u64::from(entry.format));
    }
    if !entry.label.is_empty() {
        put_bytes(out, entry.label);
    }
    put(out, entry.len);
    out.extend_from_slice(&entry.crc.to_le_bytes());
}

/// Appends an operation.
pub fn put_op(out: &mut Vec<u8>, op: &Op<'_>) {
    match *op {
        Op::Entry(entry) => match entry.target {
            Target::Here { linked: false, .. } => put_entry(out, APPEND, &entry),
            Target::Here { at, linked: true } => {
                put_entry(out, LINK, &entry);
                put(out, at);
            }
            Target::There(far) => {
                put_entry(out, LINK_FAR, &entry);
                for number in [far.epoch, u64::from(far.file), far.batch_offset, far.records_at, far.at] {
                    put(out, number);
                }
            }
        },
        Op::Replace { entry, last } => {
            put_entry(out, REPLACE, &entry);
            put(out, last.saturating_sub(entry.seq));
        }
        Op::Remove { log, first, last } => {
            put_numbers(out, REMOVE, &[log, first, last.saturating_sub(first)])
        }
        Op::Trim { log, before } => put_numbers(out, TRIM, &[log, before]),
        Op::Put { key, value } => {
            out.push(PUT);
            put_bytes(out, key);
            put_bytes(out, value);
        }
        Op::Delete { key } => {
            out.push(DELETE);
            put_bytes(out, key);
        }
        Op::StateBegin => out.push(STATE_BEGIN),
        Op::StateLog(body) => {
            out.push(STATE_LOG);
            put_bytes(out, body);
        }
        Op::StateKeys(body) => {
            out.push(STATE_KEYS);
            put_bytes(out, body);
        }
        Op::StateEnd { begin_batch, begin_epoch, begin_file, begin_offset } => {
            put_numbers(out, STATE_END, &[begin_batch, begin_epoch, u64::from(begin_file), begin_offset]);
        }
    }
}

fn put_numbers(out: &mut Vec<u8>, kind: u8, numbers: &[u64]) {
    out.push(kind);
    numbers.iter().for_each(|number| put(out, *number));
}

/// Upper bound of what [`put_op`] appends for an operation with so many bytes of label, key and value.
pub const fn op_bound(bytes: u64) -> u64 {
    // Tag, nine numbers of up to ten bytes, a checksum, two lengths.
    bytes + 1 + 9 * 10 + 4 + 2 * 10
}

/// Where an operation begins among those of its batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpPlace {
    // Bytes from there to the end.
    left: usize,
    // Where the next record lies among the batch's records.
    records: u64,
}

/// The operations of a batch, one after the other.
#[derive(Clone, Debug)]
pub struct Ops<'a> {
    reader: Reader<'a>,
    records: u64,
    failed: bool,
}

impl<'a> Ops<'a> {
    /// Reads from the operations of a batch.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { reader: Reader::new(bytes), records: 0, failed: false }
    }

    /// Reads on from a place that [`Ops::place`] has given for the same bytes.
    pub fn resume(bytes: &'a [u8], place: OpPlace) -> Self {
        let rest = bytes.get(bytes.len().saturating_sub(place.left)..).unwrap_or_default();
        Self { reader: Reader::new(rest), records: place.records, failed: false }
    }

    /// Where the next operation begins.
    pub fn place(&self) -> OpPlace {
        OpPlace { left: self.reader.left(), records: self.records }
    }

    fn entry(&mut self, tag: u8) -> Option<Entry<'a>> {
        let reader = &mut self.reader;
        let (log, seq) = (reader.number()?, reader.number()?);
        let span = if tag & HAS_SPAN == 0 { 1 } else { reader.number()? };
        let format = if tag & HAS_FORMAT == 0 { 0 } else { reader.small()? };
        let label = if tag & HAS_LABEL == 0 { &[][..] } else { reader.bytes()? };
        let (len, crc) = (reader.number()?, reader.fixed32()?);
        let target = match tag & 0x0f {
            LINK => Target::Here { at: reader.number()?, linked: true },
            LINK_FAR => Target::There(FarPlace {
                epoch: reader.number()?,
                file: reader.small()?,
                batch_offset: reader.number()?,
                records_at: reader.number()?,
                at: reader.number()?,
            }),
            _ => {
                let at = self.records;
                // Lengths near the top of the range are no real record's; refusing them keeps the sums safe.
                let stored = if len < 1 << 40 { stored_len(len) } else { return None };
                self.records = at.checked_add(stored)?;
                Target::Here { at, linked: false }
            }
        };
        Some(Entry { log, seq, span, format, label, len, crc, target })
    }

    fn read(&mut self) -> Option<Op<'a>> {
        let tag = self.reader.byte()?;
        Some(match tag & 0x0f {
            APPEND | LINK | LINK_FAR => Op::Entry(self.entry(tag)?),
            REPLACE => {
                let entry = self.entry(tag)?;
                Op::Replace { entry, last: entry.seq.checked_add(self.reader.number()?)? }
            }
            REMOVE => {
                let (log, first) = (self.reader.number()?, self.reader.number()?);
                Op::Remove { log, first, last: first.checked_add(self.reader.number()?)? }
            }
            TRIM => Op::Trim { log: self.reader.number()?, before: self.reader.number()? },
            PUT => Op::Put { key: self.reader.bytes()?, value: self.reader.bytes()? },
            DELETE => Op::Delete { key: self.reader.bytes()? },
            STATE_BEGIN => Op::StateBegin,
            STATE_LOG => Op::StateLog(self.reader.bytes()?),
            STATE_KEYS => Op::StateKeys(self.reader.bytes()?),
            STATE_END => Op::StateEnd {
                begin_batch: self.reader.number()?,
                begin_epoch: self.reader.number()?,
                begin_file: self.reader.small()?,
                begin_offset: self.reader.number()?,
            },
            _ => return None,
        })
    }
}

impl<'a> Iterator for Ops<'a> {
    /// `Err`: the bytes are no operations; nothing follows.
    type Item = Result<Op<'a>, BadOp>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed || self.reader.is_empty() {
            return None;
        }
        let op = self.read().ok_or(BadOp);
        self.failed = op.is_err();
        Some(op)
    }
}

/// The bytes are no operation, though their checksum fits: another program wrote them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadOp;

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(target: Target) -> Entry<'static> {
        Entry { log: 3, seq: 1 << 40, span: 1, format: 0, label: b"", len: 70_000, crc: 0xdead_beef, target }
    }

    #[test]
    fn operations_come_back_as_they_went_in() {
        let here = entry(Target::Here { at: 0, linked: false });
        let next = Target::Here { at: stored_len(70_000), linked: false };
        let far = FarPlace { epoch: 1, file: 2, batch_offset: 4096, records_at: 99, at: 5 };
        let ops = [
            Op::Entry(Entry { span: 9, format: 7, label: b"label", ..here }),
            Op::Entry(entry(Target::Here { at: 0, linked: true })),
            Op::Entry(Entry { label: b"x", ..entry(Target::There(far)) }),
            Op::Replace { entry: entry(next), last: (1 << 40) + 5 },
            Op::Remove { log: 3, first: 0, last: u64::MAX },
            Op::Trim { log: 3, before: 77 },
            Op::Put { key: b"k", value: b"" },
            Op::Delete { key: b"k" },
            Op::StateBegin,
            Op::StateLog(b"body"),
            Op::StateKeys(b"keys"),
            Op::StateEnd { begin_batch: 5, begin_epoch: 1, begin_file: 2, begin_offset: 4096 },
        ];
        let mut bytes = Vec::new();
        for op in &ops {
            let before = bytes.len();
            put_op(&mut bytes, op);
            assert!((bytes.len() - before) as u64 <= op_bound(16), "{op:?}");
        }
        assert_eq!(Ops::new(&bytes).collect::<Result<Vec<_>, _>>(), Ok(ops.to_vec()));
    }

    #[test]
    fn bytes_that_are_no_operations_end_the_list_with_an_error() {
        for bytes in [&[0u8][..], &[APPEND], &[15, 1, 2], &[PUT, 9, 1], &[REMOVE, 1, 5, 0xff]] {
            let found: Vec<_> = Ops::new(bytes).collect();
            assert_eq!(found, [Err(BadOp)], "{bytes:?}");
        }
    }
}
