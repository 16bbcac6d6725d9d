// SPDX-License-Identifier: Apache-2.0
//! A store to frames, log after log, then the keys.

use super::frame::{PIECE_BYTES, Totals, Writer};
use super::{MARK, Progress, each_key};
use sabir_host::{ErrorCode, Store};
use sabir_model::store::{LogId, LogSummary, Read, Record, Want};
use std::collections::{HashMap, VecDeque};
use std::io::{self, Write};

/// Entries that are asked for at a time, and bytes of them.
const PAGE_ENTRIES: u64 = 2_048;
const PAGE_BYTES: u64 = 4 << 20;

/// Records that are remembered, to know when another entry has the same. An entry that shares the record of one further
/// back gets a copy of its own.
const REMEMBERED: usize = 1_000_000;

/// Why a store could not be exported.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The store does not give what it holds.
    #[error("{0}")]
    Store(#[from] sabir_host::Error),
    /// The file cannot be written.
    #[error("writing failed: {0}")]
    Write(#[from] io::Error),
    /// An entry went while it was looked at.
    #[error("entry {seq} of log {log} changed while it was exported")]
    Changed {
        /// The log.
        log: LogId,
        /// The entry.
        seq: u64,
    },
    /// The store is only half of what it should be.
    #[error("an import into this store has not finished: import it again before it is exported")]
    Unfinished,
}

/// The records that have been written: by identity, where.
#[derive(Default)]
struct Written {
    places: HashMap<Box<[u8]>, Place>,
    order: VecDeque<Box<[u8]>>,
}

#[derive(Clone, Copy)]
struct Place {
    log: LogId,
    seq: u64,
    len: u64,
    front: u32,
}

impl Written {
    fn note(&mut self, identity: &[u8], place: Place) {
        if self.order.len() >= REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.places.remove(&oldest);
        }
        if self.places.insert(identity.into(), place).is_none() {
            self.order.push_back(identity.into());
        }
    }
}

struct Export<'a, W> {
    store: &'a Store,
    writer: Writer<W>,
    written: Written,
    /// Whether any two entries may share a record.
    shares: bool,
    done: u64,
    total: u64,
    progress: &'a mut Progress<'a>,
}

/// Writes all that a store holds, which nobody changes meanwhile.
pub fn export<'a, W: Write>(
    store: &'a Store,
    to: W,
    progress: &'a mut Progress<'a>,
) -> Result<(W, Totals), ExportError> {
    let logs = store.recover()?;
    if super::is_unfinished(store)? {
        return Err(ExportError::Unfinished);
    }
    let ranges = || logs.iter().flat_map(|log| &log.ranges);
    let total = ranges().map(|range| range.count).sum();
    let bytes: u64 = ranges().map(|range| range.bytes).sum();
    // Where entries together have no more bytes than records, none is shared.
    let shares = store.stats()?.live_bytes != bytes;
    let writer = Writer::new(to)?;
    let mut export = Export { store, writer, written: Written::default(), shares, done: 0, total, progress };
    logs.iter().try_for_each(|log| export.log(log))?;
    let writer = &mut export.writer;
    each_key(store, &mut |key, value| match key == MARK {
        true => Ok(()),
        false => writer.key(key, value).map_err(ExportError::Write),
    })?;
    Ok(export.writer.finish()?)
}

impl<W: Write> Export<'_, W> {
    fn log(&mut self, summary: &LogSummary) -> Result<(), ExportError> {
        self.writer.log(summary.log, summary.next_seq)?;
        let (log, mut from) = (summary.log, 0);
        loop {
            let want = Want::Head { len: PIECE_BYTES as u64 };
            let what =
                Read { log, from, last: u64::MAX, max_records: PAGE_ENTRIES, max_bytes: PAGE_BYTES, want };
            let page = self.store.read(&what)?;
            let Some(last) = page.last().map(|record| record.seq) else { return Ok(()) };
            let identities = self.identities(Read { last, max_bytes: 0, want: Want::Identity, ..what })?;
            for (index, record) in page.iter().enumerate() {
                let identity = identities.get(index).filter(|other| other.seq == record.seq);
                self.entry(log, record, identity.map(|other| &other.data[..]))?;
            }
            self.done += page.len() as u64;
            (self.progress)(self.done, self.total);
            from = match last.checked_add(1) {
                Some(next) => next,
                None => return Ok(()),
            };
        }
    }

    /// What tells the records of a page apart; nothing where none is shared, or the store cannot tell.
    fn identities(&mut self, what: Read) -> Result<Vec<Record>, ExportError> {
        if !self.shares {
            return Ok(Vec::new());
        }
        match self.store.read(&what) {
            Err(error) if error.code == ErrorCode::Unsupported => {
                self.shares = false;
                Ok(Vec::new())
            }
            found => Ok(found?),
        }
    }

    fn entry(&mut self, log: LogId, record: &Record, identity: Option<&[u8]>) -> Result<(), ExportError> {
        let Record { seq, span, format, total_len, ref label, ref data } = *record;
        let place = Place { log, seq, len: total_len, front: crc32fast::hash(data) };
        let known = identity.and_then(|identity| self.written.places.get(identity));
        // A record that was moved may have left its place to another.
        if let Some(known) = known.filter(|known| (known.len, known.front) == (place.len, place.front)) {
            self.writer.link(seq, span, (known.log, known.seq), label)?;
            return Ok(());
        }
        self.writer.entry(seq, span, format, label, total_len, data)?;
        while self.writer.missing() > 0 {
            let offset = total_len - self.writer.missing();
            let want = Want::Range { offset, len: PIECE_BYTES as u64 };
            let what = Read { log, from: seq, last: seq, max_records: 1, max_bytes: 0, want };
            let piece = self.store.read(&what)?.pop().filter(|piece| !piece.data.is_empty());
            self.writer.more(&piece.ok_or(ExportError::Changed { log, seq })?.data)?;
        }
        if let Some(identity) = identity {
            self.written.note(identity, place);
        }
        Ok(())
    }
}
