// SPDX-License-Identifier: Apache-2.0
//! What the engine asks of a store: batches of operations, and reads.
//!
//! The meaning of logs, entries, records, links, labels and keys is that of `sabir_abi`'s store module.

use bytes::Bytes;

/// Number of a log.
pub type LogId = u64;

/// Bit of a [`LogId`]: the log is forgotten when the store is opened.
pub const TEMPORARY: LogId = 1 << 63;

/// Format of a record: a canonical message.
pub const FORMAT_MESSAGE: u32 = 0;
/// Format of a record: the head of a canonical message, and where its body lies ([`crate::stored::StoredAt`]).
pub const FORMAT_BODY_APART: u32 = 1;
/// Format of a record: a piece of a body, of which the log holds all, in order.
pub const FORMAT_BODY_PIECE: u32 = 2;

/// As the number below which [`Op::Trim`] removes: the log is forgotten altogether.
pub const FORGET: u64 = u64::MAX;

/// One operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Op {
    /// Make a record and its entry.
    Append {
        /// The log.
        log: LogId,
        /// The entry's number.
        seq: u64,
        /// Sequence numbers covered: 1 for a message.
        span: u64,
        /// Format of the record: `FORMAT_*`, or a codec's.
        format: u32,
        /// The entry's own bytes.
        label: Bytes,
        /// The record, in two pieces to be joined (head and body).
        record: [Bytes; 2],
    },
    /// Make another entry for the record of `(from_log, from_seq)`.
    Link {
        /// The log of the new entry.
        log: LogId,
        /// Its number.
        seq: u64,
        /// The log of the entry that has the record.
        from_log: LogId,
        /// Its number.
        from_seq: u64,
        /// The new entry's own bytes.
        label: Bytes,
    },
    /// Remove the entries `first` to `last`, those that exist.
    Remove {
        /// The log.
        log: LogId,
        /// First entry.
        first: u64,
        /// Last entry, inclusive.
        last: u64,
    },
    /// Remove the entries below `before`; with [`FORGET`] the log itself, whose numbers then begin anew.
    Trim {
        /// The log.
        log: LogId,
        /// First entry that stays.
        before: u64,
    },
    /// Replace the entries `first` to `last` by one record at `first`, or by nothing.
    Replace {
        /// The log.
        log: LogId,
        /// First entry.
        first: u64,
        /// Last entry, inclusive.
        last: u64,
        /// Sequence numbers the new record covers.
        span: u64,
        /// Format of the record.
        format: u32,
        /// The record; `None`: nothing takes the place.
        record: Option<Bytes>,
    },
    /// Set a key.
    Put {
        /// The key, 1 to 1,024 bytes.
        key: Bytes,
        /// Its value.
        value: Bytes,
    },
    /// Remove a key, if it exists.
    Delete {
        /// The key.
        key: Bytes,
    },
}

/// How far a batch must have come before its ticket counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// It is enough that the store has it.
    #[default]
    Written,
    /// Somebody waits until it is durable.
    Durable,
}

/// Operations that take effect together or not at all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    /// The operations, in order.
    pub ops: Vec<Op>,
    /// How far it must come.
    pub level: Level,
}

impl Batch {
    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.ops.is_empty()
    }

    /// Forgets the operations and keeps the memory.
    pub fn clear(&mut self) {
        self.ops.clear();
        self.level = Level::Written;
    }
}

/// A run of entries that exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogRange {
    /// First entry.
    pub first: u64,
    /// Last sequence number covered, inclusive.
    pub last: u64,
    /// Entries in the run.
    pub count: u64,
    /// Bytes of their records.
    pub bytes: u64,
}

/// What recovery tells of one log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogSummary {
    /// The log.
    pub log: LogId,
    /// One more than the highest sequence number it ever had.
    pub next_seq: u64,
    /// The runs of entries, in order.
    pub ranges: Vec<LogRange>,
}

/// How much of each record a read wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Want {
    /// All of it.
    All,
    /// At least its first bytes.
    Head {
        /// How many.
        len: u64,
    },
    /// Some bytes of the first record.
    Range {
        /// First byte.
        offset: u64,
        /// How many at the most.
        len: u64,
    },
    /// Nothing of it, but bytes that entries of the same record share, and no others have. They mean something only while
    /// nothing is submitted.
    Identity,
}

/// What to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Read {
    /// The log.
    pub log: LogId,
    /// First entry wanted, or the next one that exists.
    pub from: u64,
    /// Last entry wanted, inclusive.
    pub last: u64,
    /// At most so many entries; 0: no bound.
    pub max_records: u64,
    /// Stop before the entry that would exceed this, after at least one; 0: no bound.
    pub max_bytes: u64,
    /// How much of each record.
    pub want: Want,
}

/// An entry that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The entry's number.
    pub seq: u64,
    /// As it was appended.
    pub span: u64,
    /// As it was appended.
    pub format: u32,
    /// Length of the whole record in bytes.
    pub total_len: u64,
    /// The entry's label.
    pub label: Bytes,
    /// The record, or the part that was wanted.
    pub data: Bytes,
}
