// SPDX-License-Identifier: Apache-2.0
//! Stores of plugins.

use crate::runtime;
use crate::transport::{checked, open_instance};
use bytes::{Bytes, BytesMut};
use sabir_abi::*;
use sabir_boundary::batch::{BatchOps, level_number};
use sabir_boundary::{Error, ErrorCode, Result, error, owned, slices};
pub use sabir_boundary::{Maintenance, Stats};
use sabir_model::store::{Batch, LogRange, LogSummary, Read, Record, Want};
use std::ffi::c_void;
use std::os::fd::{AsFd, BorrowedFd, RawFd};
use std::sync::{Arc, Mutex};

/// A store. All calls may block; any thread may make them, but `submit` and `sync` one thread at a time.
#[derive(Debug)]
pub struct Store {
    table: &'static sabir_store_vtable,
    object: *mut c_void,
    name: String,
    capabilities: u64,
    closed: bool,
    /// Held during `submit` and `sync`, which must not overlap. Empty between calls; kept for its memory.
    ops: Mutex<BatchOps<'static>>,
}

// SAFETY: the contract lets any thread call a store.
unsafe impl Send for Store {}
// SAFETY: as above; a lock keeps `submit` and `sync` from overlapping.
unsafe impl Sync for Store {}

impl Drop for Store {
    fn drop(&mut self) {
        if let Err(failure) = self.end() {
            tracing::error!(store = %self.name, "closing the store failed: {failure}");
        }
    }
}

/// Records below this length are copied behind each other, larger ones are kept where the store has them: a small
/// record must not pin a large buffer.
const SMALL_RECORD_BYTES: usize = 4 * 1024;
/// Small records are copied into runs of at most this length.
const RUN_BYTES: usize = 32 * 1024;

impl Store {
    pub(crate) fn open(
        table: &'static sabir_store_vtable,
        name: &str,
        capabilities: u64,
        config: &str,
    ) -> Result<Self> {
        // SAFETY: the table was checked when the plugin was loaded.
        let object = unsafe { open_instance(table.open, config) }?;
        Ok(Store { table, object, name: name.to_owned(), capabilities, closed: false, ops: Mutex::default() })
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// `SABIR_CAP_STORE_*`.
    pub fn capabilities(&self) -> u64 {
        self.capabilities
    }

    /// The summary of every log. Call it before the first `submit`.
    pub fn recover(&self) -> Result<Vec<LogSummary>> {
        let recover = self.table.recover.ok_or_else(|| Error::unsupported("recover"))?;
        let mut found: Vec<LogSummary> = Vec::new();
        let mut detail = error::empty();
        // SAFETY: the store is ours; `visit_log` gets the vector that it expects.
        let status = unsafe { recover(self.object, visit_log, (&raw mut found).cast(), &mut detail) };
        // SAFETY: zeroed by us, filled by the callee, read once.
        unsafe { checked(status, detail) }?;
        Ok(found)
    }

    /// Hands a batch over; answers its ticket. It is visible to `read` and `scan` when this returns.
    ///
    /// [`ErrorCode::Full`]: there was no room; the batch had no effect and may be tried again. Any other error is
    /// final.
    pub fn submit(&self, batch: &Batch) -> Result<u64> {
        let submit = self.table.submit.ok_or_else(|| Error::unsupported("submit"))?;
        let mut memory = self.ops.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let ops = std::mem::take(&mut *memory).refill(batch);
        let (first, count, stride) = ops.raw();
        let mut ticket = 0;
        let mut detail = error::empty();
        let level = level_number(batch.level);
        // SAFETY: the store is ours; the arguments are valid during the call.
        let status = unsafe { submit(self.object, first, count, stride, level, &mut ticket, &mut detail) };
        static EMPTY: Batch = Batch { ops: Vec::new(), level: sabir_model::store::Level::Written };
        *memory = ops.refill(&EMPTY);
        // SAFETY: zeroed by us, filled by the callee, read once.
        unsafe { checked(status, detail) }?;
        Ok(ticket)
    }

    /// Returns when all batches up to `ticket` are durable; answers the highest ticket that is. An error is final.
    pub fn sync(&self, ticket: u64) -> Result<u64> {
        let sync = self.table.sync.ok_or_else(|| Error::unsupported("sync"))?;
        let _sequence = self.ops.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let mut durable = 0;
        let mut detail = error::empty();
        // SAFETY: the store is ours; the arguments are valid during the call.
        let status = unsafe { sync(self.object, ticket, &mut durable, &mut detail) };
        // SAFETY: zeroed by us, filled by the callee, read once.
        unsafe { checked(status, detail) }?;
        if durable < ticket {
            let text =
                format!("the store {:?} answered that {ticket} is durable, but {durable} is", self.name);
            return Err(Error::new(ErrorCode::Invalid, text));
        }
        Ok(durable)
    }

    /// Entries in order.
    pub fn read(&self, what: &Read) -> Result<Vec<Record>> {
        let mut records = Vec::new();
        self.read_into(what, &mut records)?;
        Ok(records)
    }

    /// Entries in order, appended to `records`. With an error ([`ErrorCode::Corrupt`]: a damaged record) those before
    /// it are there.
    pub fn read_into(&self, what: &Read, records: &mut Vec<Record>) -> Result<()> {
        let read = self.table.read.ok_or_else(|| Error::unsupported("read"))?;
        let (want, piece_offset, piece_len) = match what.want {
            Want::All => (SABIR_READ_ALL, 0, 0),
            Want::Head { len } => (SABIR_READ_HEAD, 0, len),
            Want::Range { offset, len } => (SABIR_READ_RANGE, offset, len),
            Want::Identity => (SABIR_READ_IDENTITY, 0, 0),
        };
        let raw = sabir_read {
            struct_size: size_of::<sabir_read>() as u32,
            want,
            log: what.log,
            from_seq: what.from,
            last_seq: what.last,
            max_records: what.max_records,
            max_bytes: what.max_bytes,
            piece_offset,
            piece_len,
        };
        let mut reader = Reader { records, run: BytesMut::new() };
        let mut detail = error::empty();
        // SAFETY: the store is ours; `visit_record` gets the reader that it expects.
        let status = unsafe { read(self.object, &raw, visit_record, (&raw mut reader).cast(), &mut detail) };
        // SAFETY: zeroed by us, filled by the callee, read once.
        unsafe { checked(status, detail) }.map(|_| ())
    }

    /// The keys from `from` (inclusive) to `to` (exclusive; empty: no end) with their values, in byte order, at most
    /// `limit` (0: no bound).
    pub fn scan(&self, from: &[u8], to: &[u8], limit: u64) -> Result<Vec<(Bytes, Bytes)>> {
        let scan = self.table.scan.ok_or_else(|| Error::unsupported("scan"))?;
        let mut found: Vec<(Bytes, Bytes)> = Vec::new();
        let mut detail = error::empty();
        let (from, to) = (slices::slice(from), slices::slice(to));
        // SAFETY: the store is ours; `visit_key` gets the vector that it expects.
        let status =
            unsafe { scan(self.object, from, to, limit, visit_key, (&raw mut found).cast(), &mut detail) };
        // SAFETY: zeroed by us, filled by the callee, read once.
        unsafe { checked(status, detail) }?;
        Ok(found)
    }

    /// Figures; a store without them gives zeros, and no bound.
    pub fn stats(&self) -> Result<Stats> {
        let mut raw = Stats { free_bytes: u64::MAX, ..Stats::default() }.to_abi();
        if let Some(stats) = self.table.stats {
            let mut detail = error::empty();
            // SAFETY: the store is ours; the arguments are valid during the call.
            let status = unsafe { stats(self.object, &mut raw, &mut detail) };
            // SAFETY: zeroed by us, filled by the callee, read once.
            unsafe { checked(status, detail) }?;
        }
        Ok(Stats::from_abi(&raw))
    }

    /// Writes a consistent copy into the directory `path`, while the store goes on.
    pub fn backup(&self, path: &str) -> Result<()> {
        let backup = self.table.backup.ok_or_else(|| Error::unsupported("backup"))?;
        let mut detail = error::empty();
        // SAFETY: the store is ours; the arguments are valid during the call.
        let status = unsafe { backup(self.object, slices::text(path), &mut detail) };
        // SAFETY: zeroed by us, filled by the callee, read once.
        unsafe { checked(status, detail) }.map(|_| ())
    }

    /// Becomes the store's only writer: answers the new epoch, or nothing while another is the writer, and then is to
    /// be asked again. Only with `SABIR_CAP_STORE_LOCK`.
    pub fn lock_acquire(&self) -> Result<Option<u64>> {
        let lock_acquire = self.table.lock_acquire.ok_or_else(|| Error::unsupported("lock_acquire"))?;
        let mut epoch = 0;
        let mut detail = error::empty();
        // SAFETY: the store is ours; the arguments are valid during the call.
        let status = unsafe { lock_acquire(self.object, &mut epoch, &mut detail) };
        if status == SABIR_PENDING {
            return Ok(None);
        }
        // SAFETY: zeroed by us, filled by the callee, read once.
        unsafe { checked(status, detail) }?;
        Ok(Some(epoch))
    }

    /// Shows that this process is still alive. [`ErrorCode::Locked`]: it has lost the store, and must stop at once. Only
    /// with `SABIR_CAP_STORE_LOCK`.
    pub fn lock_keep(&self) -> Result<()> {
        let lock_keep = self.table.lock_keep.ok_or_else(|| Error::unsupported("lock_keep"))?;
        let mut detail = error::empty();
        // SAFETY: the store is ours; the arguments are valid during the call.
        let status = unsafe { lock_keep(self.object, &mut detail) };
        // SAFETY: zeroed by us, filled by the callee, read once.
        unsafe { checked(status, detail) }.map(|_| ())
    }

    /// Finds the file that holds the record of an entry, which stays there until the answer is dropped. Only with
    /// `SABIR_CAP_STORE_REGION`.
    pub fn region(self: &Arc<Self>, log: u64, seq: u64) -> Result<Region> {
        let region = self.table.region.ok_or_else(|| Error::unsupported("region"))?;
        let (mut fd, mut offset, mut len_bytes, mut pin) = (-1, 0, 0, 0);
        let mut detail = error::empty();
        // SAFETY: the store is ours; the arguments are valid during the call.
        let status = unsafe {
            region(self.object, log, seq, &mut fd, &mut offset, &mut len_bytes, &mut pin, &mut detail)
        };
        // SAFETY: zeroed by us, filled by the callee, read once.
        unsafe { checked(status, detail) }?;
        let region = Region { store: Arc::clone(self), fd, offset, len_bytes, pin };
        if fd < 0 {
            let text = format!("the store {:?} answered with the descriptor {fd}", self.name);
            return Err(Error::new(ErrorCode::Invalid, text));
        }
        Ok(region)
    }

    /// Makes everything submitted durable, ends the store's threads and frees it, whatever it answers.
    pub fn close(mut self) -> Result<()> {
        self.end()
    }

    fn end(&mut self) -> Result<()> {
        if std::mem::replace(&mut self.closed, true) {
            return Ok(());
        }
        let close = self.table.close.ok_or_else(|| Error::unsupported("close"))?;
        let mut detail = error::empty();
        // SAFETY: the store is ours, and this is the last call.
        let status = unsafe { close(self.object, &mut detail) };
        // SAFETY: zeroed by us, filled by the callee, read once.
        unsafe { checked(status, detail) }.map(|_| ())
    }
}

/// Told what maintenance is doing, how much of it is done, and how much there is (0: unknown); false: stop.
pub type Progress<'a> = dyn FnMut(&str, u64, u64) -> bool + 'a;

/// Looks after a store that is not open. Answers the store's report, as JSON.
pub(crate) fn maintain(
    table: &'static sabir_store_vtable,
    config: &str,
    verb: Maintenance,
    options: &str,
    mut progress: &mut Progress<'_>,
) -> Result<String> {
    let maintain = table.maintain.ok_or_else(|| Error::unsupported("looking after this store"))?;
    let (config, options) = (slices::text(config), slices::text(options));
    let (mut report, mut detail) = (owned::none(), error::empty());
    let arg: *mut &mut Progress<'_> = &raw mut progress;
    // SAFETY: the table was checked when the plugin was loaded; `tell` gets the function that it expects; the arguments
    // are valid during the call.
    let status = unsafe {
        maintain(
            runtime::table(),
            config,
            verb.number(),
            options,
            Some(tell),
            arg.cast(),
            &mut report,
            &mut detail,
        )
    };
    // SAFETY: zeroed by us, filled by the callee, read once; after a success the report is ours.
    let report = unsafe {
        checked(status, detail)?;
        owned::into_bytes(report)
    };
    String::from_utf8(report.into())
        .map_err(|_| Error::new(ErrorCode::Invalid, "the store's report is no UTF-8".to_owned()))
}

unsafe extern "C" fn tell(arg: *mut c_void, phase: sabir_slice, done: u64, total: u64) -> i64 {
    // A panic must not unwind into the plugin.
    let told = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        // SAFETY: `arg` is of the function that `maintain` lends; the phase is the store's, during the call.
        let (progress, phase) =
            unsafe { (&mut *arg.cast::<&mut Progress<'_>>(), slices::str(phase).unwrap_or_default()) };
        progress(phase, done, total)
    }));
    if told.unwrap_or(false) { SABIR_OK } else { SABIR_ERR_CLOSED }
}

/// Where a file has the record of an entry. Keeps the record there, and the store open, until it is dropped.
#[derive(Debug)]
pub struct Region {
    store: Arc<Store>,
    fd: RawFd,
    offset: u64,
    len_bytes: u64,
    pin: u64,
}

impl Region {
    /// Where in the file the record begins.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Length of the record in bytes.
    pub fn len_bytes(&self) -> u64 {
        self.len_bytes
    }
}

impl AsFd for Region {
    fn as_fd(&self) -> BorrowedFd<'_> {
        // SAFETY: the store keeps the descriptor open until `unpin`; it was checked to be one.
        unsafe { BorrowedFd::borrow_raw(self.fd) }
    }
}

impl Drop for Region {
    fn drop(&mut self) {
        if let Some(unpin) = self.store.table.unpin {
            // SAFETY: the store is open, and the pin is given back once.
            unsafe { unpin(self.store.object, self.pin) }
        }
    }
}

/// Collects records.
struct Reader<'a> {
    records: &'a mut Vec<Record>,
    run: BytesMut,
}

impl Reader<'_> {
    fn small(&mut self, bytes: &[u8]) -> Bytes {
        if bytes.is_empty() {
            return Bytes::new();
        }
        if self.run.capacity() - self.run.len() < bytes.len() {
            self.run = BytesMut::with_capacity(RUN_BYTES.max(bytes.len()));
        }
        self.run.extend_from_slice(bytes);
        self.run.split().freeze()
    }
}

unsafe extern "C" fn visit_record(arg: *mut c_void, record: *const sabir_store_record) -> i64 {
    // SAFETY: `arg` is of the reader that `read_into` lends; the record is the store's, during the call.
    unsafe {
        let reader = &mut *arg.cast::<Reader<'_>>();
        if record.is_null() || ((*record).struct_size as usize) < size_of::<sabir_store_record>() {
            return SABIR_ERR_INVALID;
        }
        let record = &*record;
        let label = reader.small(slices::bytes(record.label));
        let data = match slices::raw(record.data.ptr, record.data.len) {
            small if small.len() < SMALL_RECORD_BYTES => reader.small(small),
            _ => owned::keep(&record.data),
        };
        reader.records.push(Record {
            seq: record.seq,
            span: record.span,
            format: record.format,
            total_len: record.total_len,
            label,
            data,
        });
    }
    SABIR_OK
}

unsafe extern "C" fn visit_log(arg: *mut c_void, log: *const sabir_log_summary) -> i64 {
    // SAFETY: `arg` is of the vector that `recover` lends; the summary is the store's, during the call.
    unsafe {
        let found = &mut *arg.cast::<Vec<LogSummary>>();
        if log.is_null() || ((*log).struct_size as usize) < size_of::<sabir_log_summary>() {
            return SABIR_ERR_INVALID;
        }
        let log = &*log;
        let (Ok(count), Ok(stride)) = (usize::try_from(log.range_count), usize::try_from(log.range_stride))
        else {
            return SABIR_ERR_INVALID;
        };
        let mut ranges = Vec::new();
        for index in 0..count {
            let Some(range) = slices::element(log.ranges, index, stride) else { return SABIR_ERR_INVALID };
            let sabir_log_range { first, last, count, bytes } = *range;
            ranges.push(LogRange { first, last, count, bytes });
        }
        found.push(LogSummary { log: log.log, next_seq: log.next_seq, ranges });
    }
    SABIR_OK
}

unsafe extern "C" fn visit_key(arg: *mut c_void, key: sabir_slice, value: sabir_slice) -> i64 {
    // SAFETY: `arg` is of the vector that `scan` lends; key and value are the store's, during the call.
    unsafe {
        let found = &mut *arg.cast::<Vec<(Bytes, Bytes)>>();
        let copy = |slice| Bytes::copy_from_slice(slices::bytes(slice));
        found.push((copy(key), copy(value)));
    }
    SABIR_OK
}
