// SPDX-License-Identifier: Apache-2.0
//! The table of stores.

use super::{invalid, open, stopped};
use crate::guard::{self, Guarded};
use crate::store::{LogSummary, Maintenance, Ops, Read, Record, Store, Want};
use crate::{Error, ErrorCode, Host, Result};
use bytes::Bytes;
use sabir_abi::*;
use sabir_boundary::{batch, owned, slices};
use std::ffi::c_void;
use std::marker::PhantomData;
use std::os::fd::{AsFd, AsRawFd};
use std::path::Path;
use std::ptr;
use std::sync::Arc;

/// The table of the store `S`.
#[derive(Debug)]
pub struct StoreShim<S>(PhantomData<S>);

impl<S: Store> StoreShim<S> {
    /// The table.
    pub const VTABLE: sabir_store_vtable = sabir_store_vtable {
        struct_size: size_of::<sabir_store_vtable>() as u32,
        reserved: 0,
        open: Some(Self::open),
        recover: Some(Self::recover),
        submit: Some(Self::submit),
        sync: Some(Self::sync),
        read: Some(Self::read),
        scan: Some(Self::scan),
        stats: Some(Self::stats),
        close: Some(Self::close),
        lock_acquire: if Self::can(SABIR_CAP_STORE_LOCK) { Some(Self::lock_acquire) } else { None },
        lock_keep: if Self::can(SABIR_CAP_STORE_LOCK) { Some(Self::lock_keep) } else { None },
        region: if Self::can(SABIR_CAP_STORE_REGION) { Some(Self::region) } else { None },
        unpin: if Self::can(SABIR_CAP_STORE_REGION) { Some(Self::unpin) } else { None },
        backup: if Self::can(SABIR_CAP_STORE_BACKUP) { Some(Self::backup) } else { None },
        maintain: if Self::can(SABIR_CAP_STORE_MAINTAIN) { Some(Self::maintain) } else { None },
    };

    const fn can(capability: u64) -> bool {
        S::CAPABILITIES & capability != 0
    }

    unsafe extern "C" fn open(
        host: *const sabir_host,
        config: sabir_slice,
        out: *mut *mut c_void,
        error: *mut sabir_error,
    ) -> i64 {
        // SAFETY: the contract of `open`.
        unsafe { open("open", host, config, out, error, S::open) }
    }

    unsafe extern "C" fn recover(
        store: *mut c_void,
        visit: sabir_store_visit_log,
        arg: *mut c_void,
        error: *mut sabir_error,
    ) -> i64 {
        // SAFETY: the contract of `recover`.
        unsafe {
            Guarded::<S>::shared(store, "recover", error, |store| {
                let mut ranges = Vec::new();
                store.recover(&mut |summary| {
                    let raw = log_summary(summary, &mut ranges);
                    match visit(arg, &raw) {
                        SABIR_OK => Ok(()),
                        status => Err(stopped(status)),
                    }
                })?;
                Ok(SABIR_OK)
            })
        }
    }

    unsafe extern "C" fn submit(
        store: *mut c_void,
        ops: *const sabir_store_op,
        count: usize,
        stride: usize,
        level: u32,
        ticket: *mut u64,
        error: *mut sabir_error,
    ) -> i64 {
        // SAFETY: the contract of `submit`.
        unsafe {
            Guarded::<S>::shared(store, "submit", error, |store| {
                if ticket.is_null() || (count != 0 && stride < size_of::<sabir_store_op>()) {
                    return Err(invalid("nowhere to put the ticket, or operations that are too short"));
                }
                let ops = Ops::from_abi(ops, count, stride);
                ticket.write(store.submit(ops, batch::level_from_number(level))?);
                Ok(SABIR_OK)
            })
        }
    }

    unsafe extern "C" fn sync(
        store: *mut c_void,
        ticket: u64,
        durable: *mut u64,
        error: *mut sabir_error,
    ) -> i64 {
        // SAFETY: the contract of `sync`.
        unsafe {
            Guarded::<S>::shared(store, "sync", error, |store| {
                let reached = store.sync(ticket)?;
                if !durable.is_null() {
                    durable.write(reached);
                }
                Ok(SABIR_OK)
            })
        }
    }

    unsafe extern "C" fn read(
        store: *mut c_void,
        what: *const sabir_read,
        visit: sabir_store_visit,
        arg: *mut c_void,
        error: *mut sabir_error,
    ) -> i64 {
        // SAFETY: the contract of `read`.
        unsafe {
            Guarded::<S>::shared(store, "read", error, |store| {
                let what = read_of(what)?;
                let mut lender = Lender::default();
                let mut refused = None;
                store.read(&what, &mut |record| match lender.lend(record, |raw| visit(arg, raw)) {
                    SABIR_OK => true,
                    status => {
                        refused = Some(status);
                        false
                    }
                })?;
                ended(refused)
            })
        }
    }

    unsafe extern "C" fn scan(
        store: *mut c_void,
        from: sabir_slice,
        to: sabir_slice,
        limit: u64,
        visit: sabir_store_visit_key,
        arg: *mut c_void,
        error: *mut sabir_error,
    ) -> i64 {
        // SAFETY: the contract of `scan`.
        unsafe {
            Guarded::<S>::shared(store, "scan", error, |store| {
                let mut refused = None;
                store.scan(slices::bytes(from), slices::bytes(to), limit, &mut |key, value| match visit(
                    arg,
                    slices::slice(key),
                    slices::slice(value),
                ) {
                    SABIR_OK => true,
                    status => {
                        refused = Some(status);
                        false
                    }
                })?;
                ended(refused)
            })
        }
    }

    unsafe extern "C" fn stats(
        store: *mut c_void,
        out: *mut sabir_store_stats,
        error: *mut sabir_error,
    ) -> i64 {
        // SAFETY: the contract of `stats`; the size comes first and is read before anything else is written.
        unsafe {
            Guarded::<S>::shared(store, "stats", error, |store| {
                if out.is_null() || ((*out).struct_size as usize) < size_of::<sabir_store_stats>() {
                    return Err(invalid("nowhere to put the figures"));
                }
                let struct_size = (*out).struct_size;
                out.write(sabir_store_stats { struct_size, ..store.stats().to_abi() });
                Ok(SABIR_OK)
            })
        }
    }

    unsafe extern "C" fn lock_acquire(store: *mut c_void, epoch: *mut u64, error: *mut sabir_error) -> i64 {
        // SAFETY: the contract of `lock_acquire`.
        unsafe {
            Guarded::<S>::shared(store, "lock_acquire", error, |store| {
                if epoch.is_null() {
                    return Err(invalid("nowhere to put the epoch"));
                }
                let Some(acquired) = store.lock_acquire()? else { return Ok(SABIR_PENDING) };
                epoch.write(acquired);
                Ok(SABIR_OK)
            })
        }
    }

    unsafe extern "C" fn lock_keep(store: *mut c_void, error: *mut sabir_error) -> i64 {
        // SAFETY: the contract of `lock_keep`.
        unsafe {
            Guarded::<S>::shared(store, "lock_keep", error, |store| store.lock_keep().map(|()| SABIR_OK))
        }
    }

    unsafe extern "C" fn region(
        store: *mut c_void,
        log: u64,
        seq: u64,
        fd: *mut i32,
        offset: *mut u64,
        len: *mut u64,
        pin: *mut u64,
        error: *mut sabir_error,
    ) -> i64 {
        // SAFETY: the contract of `region`.
        unsafe {
            Guarded::<S>::shared(store, "region", error, |store| {
                if fd.is_null() || offset.is_null() || len.is_null() || pin.is_null() {
                    return Err(invalid("nowhere to put the region"));
                }
                let region = store.region(log, seq)?;
                fd.write(region.file.as_fd().as_raw_fd());
                offset.write(region.offset);
                len.write(region.len_bytes);
                pin.write(pinned(region.file));
                Ok(SABIR_OK)
            })
        }
    }

    unsafe extern "C" fn unpin(store: *mut c_void, pin: u64) {
        // SAFETY: the contract of `unpin`: the pin came from `region`, and is given back once.
        unsafe {
            let host = (*store.cast::<Guarded<S>>()).host;
            guard::quietly(host, "unpin", || drop(unpinned(pin)));
        }
    }

    unsafe extern "C" fn backup(store: *mut c_void, path: sabir_slice, error: *mut sabir_error) -> i64 {
        // SAFETY: the contract of `backup`.
        unsafe {
            Guarded::<S>::shared(store, "backup", error, |store| {
                let path = slices::str(path).ok_or_else(|| invalid("a path that is no UTF-8"))?;
                store.backup(Path::new(path)).map(|()| SABIR_OK)
            })
        }
    }

    unsafe extern "C" fn maintain(
        host: *const sabir_host,
        config: sabir_slice,
        verb: u32,
        options: sabir_slice,
        progress: Option<sabir_store_progress>,
        arg: *mut c_void,
        report: *mut sabir_bytes,
        error: *mut sabir_error,
    ) -> i64 {
        // SAFETY: the contract of `maintain`.
        unsafe {
            let host = match Host::from_abi(host) {
                Ok(host) => host,
                Err(failure) => return failure.write(error),
            };
            guard::unbound(host, "maintain", error, || {
                if report.is_null() {
                    return Err(invalid("nowhere to put the report"));
                }
                let [config, options] = [config, options].map(|text| slices::str(text));
                let (config, options) =
                    config.zip(options).ok_or_else(|| invalid("a configuration that is no UTF-8"))?;
                let verb = Maintenance::from_number(verb)
                    .ok_or_else(|| Error::unsupported(&format!("the maintenance {verb}")))?;
                let mut tell = |phase: &str, done: u64, total: u64| match progress {
                    None => true,
                    Some(progress) => progress(arg, slices::text(phase), done, total) == SABIR_OK,
                };
                let text = S::maintain(host, config, verb, options, &mut tell)?;
                report.write(owned::from_bytes(text.into()));
                Ok(SABIR_OK)
            })
        }
    }

    unsafe extern "C" fn close(store: *mut c_void, error: *mut sabir_error) -> i64 {
        // SAFETY: the contract of `close`: the last call.
        unsafe {
            match Guarded::<S>::take(store, "close") {
                Some((store, host)) => {
                    guard::unbound(host, "close", error, || store.close().map(|()| SABIR_OK))
                }
                None => Error::new(ErrorCode::Panic, "the store is poisoned, and was dropped").write(error),
            }
        }
    }
}

type PinnedFile = Box<dyn AsFd + Send + Sync>;

/// The number under which the host gives a file back.
fn pinned(file: PinnedFile) -> u64 {
    Box::into_raw(Box::new(file)).expose_provenance() as u64
}

/// # Safety
/// `pin` came from [`pinned`], and is used once.
unsafe fn unpinned(pin: u64) -> PinnedFile {
    // SAFETY: the caller promises it.
    unsafe { *Box::from_raw(ptr::with_exposed_provenance_mut::<PinnedFile>(pin as usize)) }
}

/// What a call comes to whose visitor wanted no more: an end if it was content, its failure otherwise.
fn ended(refused: Option<i64>) -> Result<i64> {
    match refused {
        Some(status) if status < 0 => Err(stopped(status)),
        _ => Ok(SABIR_OK),
    }
}

/// The C form of a summary. The runs live in `ranges`.
fn log_summary(summary: &LogSummary, ranges: &mut Vec<sabir_log_range>) -> sabir_log_summary {
    ranges.clear();
    ranges.extend(summary.ranges.iter().map(|range| sabir_log_range {
        first: range.first,
        last: range.last,
        count: range.count,
        bytes: range.bytes,
    }));
    sabir_log_summary {
        struct_size: size_of::<sabir_log_summary>() as u32,
        flags: 0,
        log: summary.log,
        next_seq: summary.next_seq,
        ranges: ranges.as_ptr(),
        range_count: ranges.len() as u64,
        range_stride: size_of::<sabir_log_range>() as u64,
    }
}

/// # Safety
/// `what` is NULL, or points at a struct of the contract.
unsafe fn read_of(what: *const sabir_read) -> Result<Read> {
    // SAFETY: the caller promises it; the size comes first and is read before anything else.
    let raw = unsafe {
        if what.is_null() || ((*what).struct_size as usize) < size_of::<sabir_read>() {
            return Err(invalid("a read that is missing or too short"));
        }
        &*what
    };
    let want = match raw.want {
        SABIR_READ_ALL => Want::All,
        SABIR_READ_HEAD => Want::Head { len: raw.piece_len },
        SABIR_READ_RANGE => Want::Range { offset: raw.piece_offset, len: raw.piece_len },
        SABIR_READ_IDENTITY => Want::Identity,
        other => return Err(Error::unsupported(&format!("the read {other}"))),
    };
    Ok(Read {
        log: raw.log,
        from: raw.from_seq,
        last: raw.last_seq,
        max_records: raw.max_records,
        max_bytes: raw.max_bytes,
        want,
    })
}

/// Lends records to the visitor, who may keep their bytes. As long as nobody does, one count serves all of them.
#[derive(Default)]
struct Lender {
    shared: Option<Arc<Bytes>>,
}

impl Lender {
    fn lend(&mut self, record: Record, visit: impl FnOnce(*const sabir_store_record) -> i64) -> i64 {
        let Record { seq, span, format, total_len, label, data } = record;
        let shared = match self.shared.take().map(|mut shared| (Arc::get_mut(&mut shared).is_some(), shared))
        {
            Some((true, mut shared)) => {
                if let Some(slot) = Arc::get_mut(&mut shared) {
                    *slot = data;
                }
                shared
            }
            _ => Arc::new(data),
        };
        let raw = sabir_store_record {
            struct_size: size_of::<sabir_store_record>() as u32,
            format,
            seq,
            span,
            total_len,
            label: slices::slice(&label),
            data: owned::lend(&shared),
        };
        let status = visit(&raw);
        self.shared = Some(shared);
        status
    }
}
