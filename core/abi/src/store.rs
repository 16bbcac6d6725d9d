// SPDX-License-Identifier: Apache-2.0
//! Stores: logs, sequence numbers, batches, keys. A store knows nothing of consumers, acknowledgements or topics.
//!
//! A **log** is a sequence of entries. Every entry has a sequence number, chosen by the host, growing within the log
//! (gaps are allowed), and points at a **record**: bytes that live until their last entry is removed. `append` makes
//! a record and an entry; `link` makes another entry for the same record, in the same or another log. Each entry has
//! a **label**: a few bytes of its own, which its record's other entries do not share. Logs exist from their first
//! entry on and need no declaration. **Keys** are ordered byte strings with values.
//!
//! Logs with the top bit of their number set (`SABIR_LOG_TEMPORARY`) need not survive the process: they are empty
//! after `open`, and their operations are never synced.

use crate::{sabir_bytes, sabir_error, sabir_host, sabir_slice};
use core::ffi::c_void;

/// Bit of a log's number: the log is forgotten when the store is opened. Since 1.0.
pub const SABIR_LOG_TEMPORARY: u64 = 1 << 63;

/// Operation: make a record and its entry `(log, seq)`. Fields: log, seq, span, format, label, pieces. Since 1.0.
pub const SABIR_STORE_APPEND: u32 = 1;
/// Operation: make the entry `(log, seq)` for the record of the entry `(from_log, from_seq)`, which exists or is
/// made earlier in the same batch. Fields: log, seq, from_log, from_seq, label. Since 1.0.
pub const SABIR_STORE_LINK: u32 = 2;
/// Operation: remove the entries `seq` to `last` of `log`, those that exist. Since 1.0.
pub const SABIR_STORE_REMOVE: u32 = 3;
/// Operation: remove the entries of `log` below `seq`. With `seq` `UINT64_MAX` the log is forgotten altogether: its
/// numbers begin anew, and it has no summary any more. Since 1.0.
pub const SABIR_STORE_TRIM: u32 = 4;
/// Operation: replace the entries `seq` to `last` of `log` by one record at `seq` with `span`; no pieces: by nothing.
/// Only stores with `SABIR_CAP_STORE_REPLACE`. Since 1.0.
pub const SABIR_STORE_REPLACE: u32 = 5;
/// Operation: set the key `label` to the value `pieces`. Since 1.0.
pub const SABIR_STORE_PUT: u32 = 6;
/// Operation: remove the key `label`, if it exists. Since 1.0.
pub const SABIR_STORE_DELETE: u32 = 7;

/// Level: the batch is visible to `read` and `scan` when `submit` returns; it reaches the medium with some later
/// sync, or never. Since 1.0.
pub const SABIR_LEVEL_WRITTEN: u32 = 0;
/// Level: somebody will `sync` this batch's ticket. Since 1.0.
pub const SABIR_LEVEL_DURABLE: u32 = 1;

/// What `read` gives of each record: everything. Since 1.0.
pub const SABIR_READ_ALL: u32 = 0;
/// What `read` gives of each record: at least its first `piece_len` bytes (`sabir_read.piece_len`). Since 1.0.
pub const SABIR_READ_HEAD: u32 = 1;
/// What `read` gives: the bytes `piece_offset` and following, at most `piece_len`, of the first record. Since 1.0.
pub const SABIR_READ_RANGE: u32 = 2;

/// What `read` gives of each record: no byte of it, but some that are the same for all entries of one record and differ
/// between records, as long as the store is open and nothing is submitted. Stores that cannot tell answer
/// `SABIR_ERR_UNSUPPORTED`. Since 1.2.
pub const SABIR_READ_IDENTITY: u32 = 3;

/// Verb of `maintain`: look at everything that is stored, and change nothing. Since 1.2.
pub const SABIR_MAINTAIN_CHECK: u32 = 1;
/// Verb of `maintain`: make a store that cannot be opened, or that has damaged records, whole again without what is
/// lost. Changes nothing unless the options say `"accept_loss": true`. Since 1.2.
pub const SABIR_MAINTAIN_REPAIR: u32 = 2;
/// Verb of `maintain`: give back the room that nothing living needs. Since 1.2.
pub const SABIR_MAINTAIN_COMPACT: u32 = 3;

/// One operation of a batch. *Borrowed* during `submit`. Fields that an operation does not use are zero. Since 1.0.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct sabir_store_op {
    /// `SABIR_STORE_*`.
    pub kind: u32,
    /// Number of the record's format: 0 is a canonical message, 1 the head of one whose body lies elsewhere, 2 a piece of such
    /// a body, others are codecs'. Kept with the record.
    pub format: u32,
    /// The log.
    pub log: u64,
    /// The entry, or the first of a range.
    pub seq: u64,
    /// The last entry of a range, inclusive.
    pub last: u64,
    /// Sequence numbers that the record covers, at least 1; 1 for messages, more for batches of a stream.
    pub span: u64,
    /// With `LINK`: the log of the entry that has the record.
    pub from_log: u64,
    /// With `LINK`: the number of the entry that has the record.
    pub from_seq: u64,
    /// The entry's label (at most 65,535 bytes), or the key (1 to 1,024 bytes).
    pub label: sabir_slice,
    /// The record's or value's bytes, to be joined: first piece.
    pub pieces: *const sabir_slice,
    /// Number of pieces.
    pub piece_count: u64,
}

/// What to read. Since 1.0.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct sabir_read {
    /// Size of this struct in bytes, set by the caller.
    pub struct_size: u32,
    /// `SABIR_READ_*`.
    pub want: u32,
    /// The log.
    pub log: u64,
    /// The first entry wanted, or the next one that exists.
    pub from_seq: u64,
    /// Entries beyond this number are not given.
    pub last_seq: u64,
    /// At most so many entries; 0: no bound.
    pub max_records: u64,
    /// Stop before the entry with which the bytes given would exceed this, but give at least one. 0: no bound.
    pub max_bytes: u64,
    /// See `SABIR_READ_RANGE`.
    pub piece_offset: u64,
    /// See `SABIR_READ_HEAD`, `SABIR_READ_RANGE`.
    pub piece_len: u64,
}

/// An entry as `read` gives it. *Borrowed* by the visitor during its call. Since 1.0.
#[repr(C)]
#[derive(Debug)]
pub struct sabir_store_record {
    /// Size of this struct in bytes, set by the store.
    pub struct_size: u32,
    /// As it was appended.
    pub format: u32,
    /// The entry's number.
    pub seq: u64,
    /// As it was appended.
    pub span: u64,
    /// Length of the whole record in bytes, however much of it is given.
    pub total_len: u64,
    /// The entry's label.
    pub label: sabir_slice,
    /// The record, or the part that was wanted. The visitor may `retain` it and so keep it without a copy.
    pub data: sabir_bytes,
}

/// Receives records in order; answers `SABIR_OK` to go on, anything else to stop. Since 1.0.
pub type sabir_store_visit = unsafe extern "C" fn(arg: *mut c_void, record: *const sabir_store_record) -> i64;

/// Receives keys in order; answers `SABIR_OK` to go on, anything else to stop. Since 1.0.
pub type sabir_store_visit_key =
    unsafe extern "C" fn(arg: *mut c_void, key: sabir_slice, value: sabir_slice) -> i64;

/// A run of entries that exist, without a gap other than spans. Since 1.0.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct sabir_log_range {
    /// First entry.
    pub first: u64,
    /// Last sequence number covered, inclusive.
    pub last: u64,
    /// Entries in the run.
    pub count: u64,
    /// Bytes of their records.
    pub bytes: u64,
}

/// What recovery tells of one log. *Borrowed* by the visitor during its call. Since 1.0.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct sabir_log_summary {
    /// Size of this struct in bytes, set by the store.
    pub struct_size: u32,
    /// Zero.
    pub flags: u32,
    /// The log.
    pub log: u64,
    /// One more than the highest sequence number that the log ever had, removed entries included.
    pub next_seq: u64,
    /// First of the runs, in order.
    pub ranges: *const sabir_log_range,
    /// Number of runs.
    pub range_count: u64,
    /// Bytes from one run to the next.
    pub range_stride: u64,
}

/// Receives the summaries of all logs; answers `SABIR_OK` to go on, anything else to stop. Since 1.0.
pub type sabir_store_visit_log = unsafe extern "C" fn(arg: *mut c_void, log: *const sabir_log_summary) -> i64;

/// Told how far `maintain` has come: what it is doing, in a word or two, and how much of it is done, in bytes or entries;
/// `total` 0: unknown. Answers `SABIR_OK` to go on, anything else to stop as soon as that leaves nothing half done.
/// Since 1.2.
pub type sabir_store_progress =
    unsafe extern "C" fn(arg: *mut c_void, phase: sabir_slice, done: u64, total: u64) -> i64;

/// Figures of a store. Since 1.0.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct sabir_store_stats {
    /// Size of this struct in bytes, set by the caller.
    pub struct_size: u32,
    /// Zero.
    pub flags: u32,
    /// Entries that exist.
    pub live_records: u64,
    /// Bytes of the records that exist, each once.
    pub live_bytes: u64,
    /// Bytes that the store occupies on its medium.
    pub used_bytes: u64,
    /// Bytes that it may still occupy; `u64::MAX`: unknown.
    pub free_bytes: u64,
    /// Syncs since `open`.
    pub syncs: u64,
    /// Bytes written since `open`.
    pub written_bytes: u64,
    /// Memory that the store's index takes, in bytes.
    pub index_bytes: u64,
}

/// Functions of a store.
///
/// The host calls `submit` and `sync` from one thread at a time, and the others from any thread at any time. All of
/// them may block: the host never calls them on a reactor thread, save for `submit` and `sync` where it has
/// decided to pay for it.
///
/// **Atomic**: after a crash a batch is there whole or not at all. **Ordered**: batches take effect in the order
/// of their tickets; when a batch survived, all before it did. **Durable**: what `sync` reported stays.
///
/// **A failed write or sync is final.** The store never tries it again (after a failed fsync the page cache lies);
/// it answers `SABIR_ERR_IO` to every later `submit` and `sync`. Running out of space while reserving it is not a
/// failure: `submit` answers `SABIR_ERR_FULL`, had no effect, and may be tried again; batches that only remove are
/// never refused so. Since 1.0.
#[repr(C)]
#[derive(Debug)]
pub struct sabir_store_vtable {
    /// Size of this struct in bytes, as the plugin knew it.
    pub struct_size: u32,
    /// Zero.
    pub reserved: u32,
    /// Opens the store, recovering from an unclean end. `config` is a JSON object, *borrowed*. `SABIR_ERR_LOCKED`
    /// when another process has it. `out` is *owned* by the caller until `close`.
    pub open: Option<
        unsafe extern "C" fn(
            host: *const sabir_host,
            config: sabir_slice,
            out: *mut *mut c_void,
            error: *mut sabir_error,
        ) -> i64,
    >,
    /// Shows the summary of every log. Called before the first `submit`.
    pub recover: Option<
        unsafe extern "C" fn(
            store: *mut c_void,
            visit: sabir_store_visit_log,
            arg: *mut c_void,
            error: *mut sabir_error,
        ) -> i64,
    >,
    /// Takes a batch of `count` operations, `stride` bytes apart. `ticket` receives its number: 1 for the first
    /// batch after `open`, growing. The batch is visible to `read` and `scan` when this returns.
    pub submit: Option<
        unsafe extern "C" fn(
            store: *mut c_void,
            ops: *const sabir_store_op,
            count: usize,
            stride: usize,
            level: u32,
            ticket: *mut u64,
            error: *mut sabir_error,
        ) -> i64,
    >,
    /// Returns when all batches up to `ticket` are durable by the store's configured meaning; `durable` receives
    /// the highest ticket that is.
    pub sync: Option<
        unsafe extern "C" fn(
            store: *mut c_void,
            ticket: u64,
            durable: *mut u64,
            error: *mut sabir_error,
        ) -> i64,
    >,
    /// Shows entries in order. An entry whose record is damaged is reported as `SABIR_ERR_CORRUPT` after those
    /// before it were shown; the message says which.
    pub read: Option<
        unsafe extern "C" fn(
            store: *mut c_void,
            what: *const sabir_read,
            visit: sabir_store_visit,
            arg: *mut c_void,
            error: *mut sabir_error,
        ) -> i64,
    >,
    /// Shows the keys from `from` (inclusive) to `to` (exclusive; empty: no end) in byte order, at most `limit`
    /// (0: no bound). The visitor must not call the store.
    pub scan: Option<
        unsafe extern "C" fn(
            store: *mut c_void,
            from: sabir_slice,
            to: sabir_slice,
            limit: u64,
            visit: sabir_store_visit_key,
            arg: *mut c_void,
            error: *mut sabir_error,
        ) -> i64,
    >,
    /// Fills in figures.
    pub stats: Option<
        unsafe extern "C" fn(store: *mut c_void, out: *mut sabir_store_stats, error: *mut sabir_error) -> i64,
    >,
    /// Makes everything submitted durable, ends the store's threads and frees it, whatever it answers. Called
    /// exactly once, and last.
    pub close: Option<unsafe extern "C" fn(store: *mut c_void, error: *mut sabir_error) -> i64>,

    /// Becomes the store's only writer: answers `SABIR_OK` with the new epoch, or `SABIR_PENDING` while another
    /// is (the host asks again). Only with `SABIR_CAP_STORE_LOCK`.
    pub lock_acquire:
        Option<unsafe extern "C" fn(store: *mut c_void, epoch: *mut u64, error: *mut sabir_error) -> i64>,
    /// Shows that this process is still alive; `SABIR_ERR_LOCKED`: it has lost the store and must stop at once.
    pub lock_keep: Option<unsafe extern "C" fn(store: *mut c_void, error: *mut sabir_error) -> i64>,
    /// Finds the file that holds the record of an entry: descriptor, offset, length. The file stays until `unpin`.
    /// Only with `SABIR_CAP_STORE_REGION`.
    pub region: Option<
        unsafe extern "C" fn(
            store: *mut c_void,
            log: u64,
            seq: u64,
            fd: *mut i32,
            offset: *mut u64,
            len: *mut u64,
            pin: *mut u64,
            error: *mut sabir_error,
        ) -> i64,
    >,
    /// Gives back what `region` pinned.
    pub unpin: Option<unsafe extern "C" fn(store: *mut c_void, pin: u64)>,
    /// Writes a consistent copy into the directory `path`, while the store goes on. Only with
    /// `SABIR_CAP_STORE_BACKUP`.
    pub backup:
        Option<unsafe extern "C" fn(store: *mut c_void, path: sabir_slice, error: *mut sabir_error) -> i64>,

    /// Looks after a store that is *not* open: `config` is what `open` takes, and `SABIR_ERR_LOCKED` the answer while
    /// anybody has the store. `verb` is one of `SABIR_MAINTAIN_*`, `SABIR_ERR_UNSUPPORTED` the answer to those that the
    /// store does not have. `options` is a JSON object, or empty. `report` receives a JSON object, *owned* by the caller;
    /// `docs/plugin-abi.md` says what is in it. That something is damaged is no failure of this call but stands in the
    /// report. Called on a thread that may block, for as long as it takes. Only with `SABIR_CAP_STORE_MAINTAIN`.
    /// Since 1.2.
    pub maintain: Option<
        unsafe extern "C" fn(
            host: *const sabir_host,
            config: sabir_slice,
            verb: u32,
            options: sabir_slice,
            progress: Option<sabir_store_progress>,
            arg: *mut c_void,
            report: *mut sabir_bytes,
            error: *mut sabir_error,
        ) -> i64,
    >,
}
