// SPDX-License-Identifier: Apache-2.0
//! Reading the batches of a data file one after the other, and finding them where the order is broken.

use crate::files::DataFile;
use crate::format::BATCH_ALIGN;
use crate::format::batch::{self, BatchHeader, MAGIC};
use crate::format::op::{Op, Ops, Target};
use crate::format::record::{BLOCK, Located, stored_len, table_len};
use bytes::Bytes;
use sabir_sdk::{Error, ErrorCode, Result};
use std::sync::Arc;

/// Bytes read at a time.
const WINDOW: u64 = 1 << 20;

/// Bytes of a record that are looked at though they may be damaged.
const GLIMPSE_BYTES: u64 = 1024;

/// Shown where a batch is, its header, and its operations if they are whole; answers whether to go on.
type VisitPlace<'a> = dyn FnMut(u64, &BatchHeader, Option<&[u8]>) -> bool + 'a;

/// What comes next in a file.
pub enum Step {
    /// No batch with the number that was asked for.
    End,
    /// A batch.
    Batch {
        /// Where it is.
        offset: u64,
        /// Its header.
        header: BatchHeader,
        /// Its operations.
        ops: Vec<u8>,
        /// Whether all before its records is as it was written; if not, it was mended.
        whole: bool,
        /// Log and number of entries whose records do not fit their checksums, and where those are.
        damaged: Vec<(u64, u64, u64)>,
    },
    /// A batch whose operations are cut off, or damaged beyond mending.
    Lost {
        /// Where it is.
        offset: u64,
        /// Its header.
        header: BatchHeader,
    },
}

/// Reads a file through a window.
pub struct Scanner {
    file: Arc<DataFile>,
    // Where the last batch ended.
    position: u64,
    start: u64,
    window: Vec<u8>,
}

impl Scanner {
    /// Begins at an offset.
    pub fn new(file: &Arc<DataFile>, offset: u64) -> Self {
        Scanner { file: file.clone(), position: offset, start: 0, window: Vec::new() }
    }

    /// Where the last batch ended.
    pub fn position(&self) -> u64 {
        self.position
    }

    // Some bytes of the file; fewer only where it ends.
    fn bytes(&mut self, offset: u64, len: u64) -> Result<&[u8]> {
        let have = self.start + self.window.len() as u64;
        if offset < self.start || offset + len > have {
            self.window.resize(len.max(WINDOW) as usize, 0);
            self.start = offset;
            let read = self.file.handle.read_at(&mut self.window, offset).map_err(|error| {
                Error::new(ErrorCode::Io, format!("reading {} at byte {offset}: {error}", self.file.name))
            })?;
            self.window.truncate(read);
        }
        let from = (offset - self.start) as usize;
        let to = self.window.len().min(from + len as usize);
        Ok(self.window.get(from..to).unwrap_or_default())
    }

    /// The header of a batch that begins right there, if one does.
    pub fn header_at(&mut self, offset: u64) -> Result<Option<BatchHeader>> {
        let place = self.file.place(offset);
        let end = self.file.size_bytes;
        let bytes = self.bytes(offset, batch::FRONT_LEN as u64)?;
        Ok(BatchHeader::decode(bytes, place)
            .filter(|header| header.total_len() <= end.saturating_sub(offset)))
    }

    /// The next batch, if it has this number and the number is within the limit.
    pub fn step(&mut self, number: u64, limit: u64) -> Result<Step> {
        if number > limit {
            return Ok(Step::End);
        }
        for offset in batch::next_starts(self.position) {
            let Some(header) = self.header_at(offset)?.filter(|header| header.number == number) else {
                continue;
            };
            let Some((ops, whole)) = self.ops_of(offset, &header)? else {
                return Ok(Step::Lost { offset, header });
            };
            let damaged = self.damaged(offset, &header, &ops)?;
            self.position = offset + header.total_len();
            return Ok(Step::Batch { offset, header, ops, whole, damaged });
        }
        Ok(Step::End)
    }

    /// Goes on at an offset.
    pub fn go_on_at(&mut self, offset: u64) {
        self.position = offset;
    }

    /// Goes to the next batch from here on, wherever it is, that has this number or a higher one within the limit and whose
    /// header and operations are whole or can be mended; answers its number.
    pub fn seek(&mut self, number: u64, limit: u64) -> Result<Option<u64>> {
        let mut found = None;
        self.search_places(&mut |offset, header, ops| {
            let fits = (number..=limit).contains(&header.number) && ops.is_some();
            found = fits.then_some((offset, header.number));
            !fits
        })?;
        if let Some((offset, _)) = found {
            self.position = offset;
        }
        Ok(found.map(|(_, number)| number))
    }

    /// What the batch with this number, which should be next and is damaged, seems to have stored: log, number and the
    /// first bytes of each record. Nothing of it is verified but the batch's header.
    pub fn glimpse(&mut self, number: u64) -> Result<Vec<(u64, u64, Bytes)>> {
        for offset in batch::next_starts(self.position) {
            let Some(header) = self.header_at(offset)?.filter(|header| header.number == number) else {
                continue;
            };
            let from = offset + header.ops_at();
            let ops = self.bytes(from, u64::from(header.ops_len))?.to_vec();
            let base = offset + header.records_at();
            let mut seen = Vec::new();
            for op in Ops::new(&ops).map_while(|op| op.ok()) {
                let Op::Entry(entry) = op else { continue };
                let Target::Here { at, linked: false } = entry.target else { continue };
                let inside =
                    at.checked_add(stored_len(entry.len)).is_some_and(|end| end <= header.records_len);
                if inside {
                    let front = entry.len.min(GLIMPSE_BYTES);
                    let bytes = self.bytes(base + at + table_len(entry.len), front)?;
                    seen.push((entry.log, entry.seq, Bytes::copy_from_slice(bytes)));
                }
            }
            return Ok(seen);
        }
        Ok(Vec::new())
    }

    // The operations of a batch, if they are whole or can be mended; and which of the two.
    fn ops_of(&mut self, offset: u64, header: &BatchHeader) -> Result<Option<(Vec<u8>, bool)>> {
        let seed = self.file.place(offset).seed();
        let bytes = self.bytes(offset, header.records_at())?;
        Ok(header.ops(bytes, seed).map(|(ops, whole)| (ops.into_owned(), whole)))
    }

    // The entries whose records do not fit.
    fn damaged(&mut self, offset: u64, header: &BatchHeader, ops: &[u8]) -> Result<Vec<(u64, u64, u64)>> {
        let mut damaged = Vec::new();
        let seed = self.file.place(offset).seed();
        let base = offset + header.records_at();
        for op in Ops::new(ops).map_while(|op| op.ok()) {
            let (Op::Entry(entry) | Op::Replace { entry, .. }) = op else {
                continue;
            };
            let Target::Here { at, linked: false } = entry.target else {
                continue;
            };
            let located = Located { seed, at, len: entry.len, crc: entry.crc };
            let inside = at + stored_len(entry.len) <= header.records_len;
            if !inside || !self.holds(&located, base + at)? {
                damaged.push((entry.log, entry.seq, base + at));
            }
        }
        Ok(damaged)
    }

    // Long records are looked at some blocks at a time.
    fn holds(&mut self, located: &Located, start: u64) -> Result<bool> {
        let stored = stored_len(located.len);
        if stored <= WINDOW {
            let bytes = self.bytes(start, stored)?;
            return Ok(located.holds(bytes));
        }
        let table = self.bytes(start, table_len(located.len))?.to_vec();
        if !located.holds_front(&table) {
            return Ok(false);
        }
        let base = start + table.len() as u64;
        let mut at = 0;
        while at < located.len {
            let len = (located.len - at).min(WINDOW);
            let bytes = self.bytes(base + at, len)?;
            if bytes.len() as u64 != len || !located.holds_blocks(&table, at / BLOCK, bytes) {
                return Ok(false);
            }
            at += len;
        }
        Ok(true)
    }

    /// Shows every batch from here to the file's end that has a whole header, wherever it is, with its operations if
    /// they are whole or can be mended.
    pub fn search(&mut self, visit: &mut dyn FnMut(&BatchHeader, &[u8])) -> Result<()> {
        self.search_places(&mut |_, header, ops| {
            visit(header, ops.unwrap_or_default());
            true
        })
    }

    // Until the visitor has had enough. A batch may be shown twice, if its operations are damaged.
    fn search_places(&mut self, visit: &mut VisitPlace<'_>) -> Result<()> {
        let begin = self.position;
        let mut at = begin.next_multiple_of(BATCH_ALIGN);
        loop {
            let bytes = self.bytes(at, WINDOW)?;
            let len = bytes.len() as u64;
            if len < batch::HEADER_LEN as u64 {
                return Ok(());
            }
            let step = BATCH_ALIGN as usize;
            let next = bytes.chunks(step).position(|chunk| chunk.starts_with(&MAGIC));
            let Some(offset) = next.map(|index| at + (index * step) as u64) else {
                at += len.next_multiple_of(BATCH_ALIGN);
                continue;
            };
            at = offset + BATCH_ALIGN;
            // What was found may be the copy of a header that is damaged.
            for start in [Some(offset), offset.checked_sub(batch::HEADER_LEN as u64)] {
                let Some(start) = start.filter(|start| *start >= begin) else { continue };
                let Some(header) = self.header_at(start)? else { continue };
                let ops = self.ops_of(start, &header)?;
                if !visit(start, &header, ops.as_ref().map(|(ops, _)| &ops[..])) {
                    return Ok(());
                }
                if ops.is_some() {
                    at = start + header.total_len();
                }
                break;
            }
        }
    }
}
