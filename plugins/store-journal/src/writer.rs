// SPDX-License-Identifier: Apache-2.0
//! Taking batches, and bringing them to the medium.
//!
//! `submit` serialises a batch into the pending buffer, where readers see it, and `sync` writes the buffer with one
//! call and syncs once, whatever number of batches it covers. Large batches are written from where they lie.

use crate::config::SyncPolicy;
use crate::files::{DataFile, is_full, locked};
use crate::format::batch::{self, BatchHeader};
use crate::format::file::{self, HEADER_LEN};
use crate::format::op::Ops as StoredOps;
use crate::format::{BATCH_ALIGN, SECTOR, align, checksum};
use crate::index::extent::Region;
use crate::plan::{Body, Encoded};
use crate::reader::Found;
use crate::seeded::seeded;
use crate::shared::{Class, Shared};
use sabir_sdk::store::Ops;
use sabir_sdk::{Error, ErrorCode, Result};
use std::collections::HashMap;
use std::io::{self, IoSlice};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

/// What is written covers whole pages, so that the kernel never has to read one first.
const PAGE: u64 = 4096;

/// Padding comes from here.
static ZEROS: [u8; 2 * PAGE as usize] = [0; 2 * PAGE as usize];

/// What only the thread that writes needs.
pub struct Writer {
    /// The last batch's ticket.
    pub ticket: u64,
    /// The last ticket that was reported durable.
    pub durable_ticket: u64,
    /// Number of the next batch in the log.
    pub next_batch: u64,
    /// Number of the last batch that the medium has.
    pub durable_batch: u64,
    /// Files with writes that were not synced.
    pub unsynced: Vec<Arc<DataFile>>,
    /// When that last was.
    pub synced_at: Instant,
    /// Bytes of log since the last checkpoint began.
    pub since_checkpoint: u64,
    /// Highest numbers of the logs of the batch at hand: memory that is used again.
    pub next_seqs: HashMap<u64, u64>,
    /// The entries around the last one that was linked to.
    pub linked: Option<(u64, Vec<Found>)>,
    /// By class.
    pub encoded: [Encoded; 2],
    buffers: Vec<Vec<u8>>,
}

impl Writer {
    /// A writer that goes on after this batch.
    pub fn after(last_batch: u64) -> Self {
        Writer {
            ticket: 0,
            durable_ticket: 0,
            next_batch: last_batch + u64::from(!seeded("batch number used again")),
            durable_batch: last_batch,
            unsynced: Vec::new(),
            synced_at: Instant::now(),
            since_checkpoint: 0,
            next_seqs: HashMap::new(),
            linked: None,
            encoded: Default::default(),
            buffers: Vec::new(),
        }
    }
}

/// Where a batch came to lie.
#[derive(Clone, Copy, Debug)]
pub struct Written {
    /// Its number.
    pub number: u64,
    /// Where it is.
    pub region: Region,
}

impl Shared {
    /// Takes a batch; answers its ticket.
    pub fn submit(&self, ops: Ops<'_>) -> Result<u64> {
        let ticket = self.submit_batch(ops)?;
        if self.reserve_used.load(Relaxed) {
            // The file before this one holds removals at the most: a checkpoint now keeps the reserve from running
            // out, whatever the keeper is busy with.
            self.relieve()?;
        }
        Ok(ticket)
    }

    fn submit_batch(&self, ops: Ops<'_>) -> Result<u64> {
        let mut writer = locked(&self.writer);
        self.check()?;
        let plan = self.plan(&mut writer, ops)?;
        if plan.has(Class::Temporary) {
            self.make_temporary_room(&mut writer)?;
        }
        if plan.has(Class::Lasting) {
            self.make_room(&mut writer, plan.bound(Class::Lasting), plan.only_removes)?;
        }
        for class in [Class::Temporary, Class::Lasting] {
            if plan.has(class) {
                let direct = plan.bound(class) >= self.options.direct_bytes;
                if direct {
                    self.write_out(&mut writer, class)?;
                }
                let (seed, _) = self.next_place(class)?;
                let mut encoded = std::mem::take(&mut writer.encoded[class as usize]);
                let bodies = plan.encode(ops, class, seed, &mut encoded);
                let written = self.put(&mut writer, class, &encoded, &bodies, 0, direct);
                encoded.clear();
                writer.encoded[class as usize] = encoded;
                written?;
            }
        }
        if plan.moves {
            writer.linked = None;
        }
        writer.ticket += 1;
        for class in [Class::Temporary, Class::Lasting] {
            let waits = self.state().tails[class as usize].pending.len() as u64;
            if waits >= self.options.write_buffer_bytes && class == Class::Lasting {
                self.write_out(&mut writer, class)?;
            }
        }
        Ok(writer.ticket)
    }

    // Where the next batch of a class will lie: its place's seed, and the place.
    fn next_place(&self, class: Class) -> Result<(u32, Region)> {
        let state = self.state();
        let tail = &state.tails[class as usize];
        match &tail.file {
            Some(file) => {
                let region = Region { file: file.number, offset: tail.end(), len: 0 };
                Ok((file.place(tail.end()).seed(), region))
            }
            None => Err(Error::new(ErrorCode::Other, "the journal has no file to write to")),
        }
    }

    /// Appends a batch of the store's own; `applies` says whether it changes the index. `make` is told where it will
    /// lie.
    pub fn put_own(
        &self,
        writer: &mut Writer,
        bound: u64,
        applies: bool,
        make: impl FnOnce(u64, Region, &mut Vec<u8>) -> u32,
    ) -> Result<Written> {
        self.make_room(writer, bound, true)?;
        let (_, region) = self.next_place(Class::Lasting)?;
        let mut encoded = std::mem::take(&mut writer.encoded[Class::Lasting as usize]);
        encoded.clear();
        let flags = make(writer.next_batch, region, &mut encoded.ops);
        encoded.state = !applies;
        let written = self.put(writer, Class::Lasting, &encoded, &[], flags, false);
        encoded.clear();
        writer.encoded[Class::Lasting as usize] = encoded;
        written
    }

    // Appends an encoded batch to the tail, or writes it from where it lies, and applies it.
    fn put(
        &self,
        writer: &mut Writer,
        class: Class,
        encoded: &Encoded,
        bodies: &[Body<'_>],
        flags: u32,
        direct: bool,
    ) -> Result<Written> {
        let (seed, mut region) = self.next_place(class)?;
        let lasting = class == Class::Lasting;
        let header = BatchHeader {
            number: if lasting { writer.next_batch } else { 0 },
            durable: if lasting { writer.durable_batch } else { 0 },
            ops_len: u32::try_from(encoded.ops.len())
                .map_err(|_| Error::new(ErrorCode::Limit, "a batch has more than 4 GiB of operations"))?,
            ops_crc: checksum(seed, &encoded.ops),
            records_len: encoded.records_len,
            flags,
        };
        let head = header.front(seed, &encoded.ops);
        region.len = header.total_len();
        if direct {
            self.write_direct(writer, class, region, &head, encoded, bodies)?;
        }
        let mut state = self.state_mut();
        let state = &mut *state;
        if !direct {
            let pending = &mut state.tails[class as usize].pending;
            let start = pending.len();
            pending.reserve(region.len as usize);
            pending.extend_from_slice(&head);
            pending.extend_from_slice(&encoded.ops);
            encoded.each_piece(bodies, &mut |piece| pending.extend_from_slice(piece));
            pending.resize(start + region.len as usize, 0);
        }
        if !encoded.state {
            for op in StoredOps::new(&encoded.ops).map_while(|op| op.ok()) {
                // Only pieces can be refused, and they were made from the index itself.
                let _ = state.index.apply(&op, region);
            }
        }
        let number = header.number;
        if lasting {
            writer.next_batch += 1;
            writer.since_checkpoint += region.len;
        }
        Ok(Written { number, region })
    }

    fn write_direct(
        &self,
        writer: &mut Writer,
        class: Class,
        region: Region,
        head: &[u8],
        encoded: &Encoded,
        bodies: &[Body<'_>],
    ) -> Result<()> {
        let Some(file) = self.state().tails[class as usize].file.clone() else {
            return Err(Error::new(ErrorCode::Other, "the journal has no file to write to"));
        };
        let end = region.offset + region.len;
        let mut pieces = vec![IoSlice::new(head), IoSlice::new(&encoded.ops)];
        let mut len = (head.len() + encoded.ops.len()) as u64;
        encoded.each_piece(bodies, &mut |piece| {
            pieces.push(IoSlice::new(piece));
            len += piece.len() as u64;
        });
        let pad = align(end, PAGE) - region.offset - len;
        pieces.push(IoSlice::new(ZEROS.get(..pad as usize).unwrap_or(&ZEROS)));
        file.handle.write_at(&pieces, region.offset).map_err(|error| self.write_failed(class, &error))?;
        self.wrote(writer, class, &file, len + pad);
        self.state_mut().tails[class as usize].start = align(end, SECTOR);
        Ok(())
    }

    fn write_failed(&self, class: Class, error: &io::Error) -> Error {
        if class == Class::Temporary && is_full(error) {
            return full("no room for temporary messages", error);
        }
        self.fail("a write", error)
    }

    fn wrote(&self, writer: &mut Writer, class: Class, file: &Arc<DataFile>, bytes: u64) {
        self.counters.written_bytes.fetch_add(bytes, Relaxed);
        if class == Class::Lasting && !writer.unsynced.iter().any(|other| other.number == file.number) {
            writer.unsynced.push(file.clone());
        }
    }

    /// Writes what waits.
    pub fn write_out(&self, writer: &mut Writer, class: Class) -> Result<()> {
        let (file, start, len, buffer) = {
            let mut state = self.state_mut();
            let tail = &mut state.tails[class as usize];
            let Some(file) = tail.file.clone().filter(|_| !tail.pending.is_empty()) else {
                return Ok(());
            };
            let (start, len) = (tail.start, tail.pending.len());
            let end = align(tail.end(), SECTOR);
            let mut buffer = std::mem::replace(&mut tail.pending, writer.buffers.pop().unwrap_or_default());
            buffer.resize((align(end, PAGE).min(file.size_bytes) - start) as usize, 0);
            let buffer = Arc::new(buffer);
            tail.start = end;
            tail.writing = Some((start, buffer.clone()));
            (file, start, len, buffer)
        };
        let result = file.handle.write_at(&[IoSlice::new(&buffer)], start);
        let mut state = self.state_mut();
        let tail = &mut state.tails[class as usize];
        tail.writing = None;
        let mut buffer = Arc::try_unwrap(buffer).unwrap_or_default();
        if let Err(error) = result
            && !seeded("failed write taken as whole")
        {
            if class == Class::Temporary {
                // Nothing was promised of it but that readers see it: it goes on waiting.
                buffer.truncate(len);
                (tail.start, tail.pending) = (start, buffer);
            }
            drop(state);
            return Err(self.write_failed(class, &error));
        }
        drop(state);
        self.wrote(writer, class, &file, buffer.len() as u64);
        if buffer.capacity() as u64 <= 2 * self.options.write_buffer_bytes.max(self.options.direct_bytes) {
            buffer.clear();
            writer.buffers.push(buffer);
            writer.buffers.truncate(2);
        }
        Ok(())
    }

    /// Syncs whatever was written, whatever the policy says.
    pub fn sync_files(&self, writer: &mut Writer) -> Result<()> {
        self.write_out(writer, Class::Lasting)?;
        for file in writer.unsynced.drain(..) {
            self.counters.syncs.fetch_add(1, Relaxed);
            let mut synced = file.handle.sync_data();
            if seeded("failed sync tried again") {
                synced = synced.or_else(|_| file.handle.sync_data());
            }
            synced.map_err(|error| self.fail("a sync", &error))?;
        }
        writer.durable_batch = writer.next_batch - 1;
        writer.synced_at = Instant::now();
        Ok(())
    }

    /// Makes all batches up to a ticket durable, by the configured meaning.
    pub fn sync(&self, ticket: u64) -> Result<u64> {
        let mut writer = locked(&self.writer);
        self.check()?;
        if ticket > writer.ticket {
            let text = format!("ticket {ticket} was never given: the last one is {}", writer.ticket);
            return Err(Error::new(ErrorCode::Invalid, text));
        }
        if ticket <= writer.durable_ticket {
            return Ok(writer.durable_ticket);
        }
        let interval = Duration::from_millis(self.options.sync_interval_ms);
        match self.options.sync {
            SyncPolicy::Always if !seeded("confirmed before the sync") => self.sync_files(&mut writer)?,
            SyncPolicy::Periodic if writer.synced_at.elapsed() >= interval => self.sync_files(&mut writer)?,
            SyncPolicy::Always | SyncPolicy::Periodic | SyncPolicy::Never => {
                self.write_out(&mut writer, Class::Lasting)?
            }
        }
        writer.durable_ticket = writer.ticket;
        Ok(writer.durable_ticket)
    }

    /// How long a file of the reserve must be: a checkpoint has to find room in it, and removals beside it.
    pub fn reserve_bytes(&self) -> u64 {
        self.options.reserve_bytes.max(2 * self.state_bytes.load(Relaxed))
    }

    // Sees to it that a batch finds room in the current file, and that the reserve stays for those who free room.
    fn make_room(&self, writer: &mut Writer, bound: u64, may_use_reserve: bool) -> Result<()> {
        let need = align(bound + batch::front_bound(bound), BATCH_ALIGN);
        let may_use_reserve = may_use_reserve || seeded("reserve given to everybody");
        if !may_use_reserve {
            self.supply.provide_reserve(self.reserve_bytes()).map_err(|error| self.no_file(&error))?;
        }
        let room = {
            let state = self.state();
            let tail = &state.tails[Class::Lasting as usize];
            tail.file.as_ref().map_or(0, |file| file.size_bytes.saturating_sub(align(tail.end(), SECTOR)))
        };
        if need <= room {
            return Ok(());
        }
        let (file, from_reserve) =
            self.supply.take(need, may_use_reserve).map_err(|error| self.no_file(&error))?;
        self.begin_file(writer, file)?;
        if from_reserve {
            self.reserve_used.store(true, Relaxed);
        }
        self.poke();
        Ok(())
    }

    fn no_file(&self, error: &io::Error) -> Error {
        if !is_full(error) {
            return self.fail("making a data file", error);
        }
        // Files in which nothing lives may be waiting for a checkpoint.
        self.short.store(true, Relaxed);
        self.poke();
        full(&format!("the journal in {} finds no room for another file", self.disk.describe()), error)
    }

    /// Goes on in another file.
    pub fn begin_file(&self, writer: &mut Writer, file: Arc<DataFile>) -> Result<()> {
        self.write_out(writer, Class::Lasting)?;
        let mut state = self.state_mut();
        let tail = &mut state.tails[Class::Lasting as usize];
        (tail.file, tail.start) = (Some(file.clone()), HEADER_LEN);
        state.files.insert(file.number, file);
        Ok(())
    }

    // Sees to it that there is a file for temporary logs, that little waits for it, and that it can be removed some day.
    fn make_temporary_room(&self, writer: &mut Writer) -> Result<()> {
        let (waits, begin) = {
            let state = self.state();
            let tail = &state.tails[Class::Temporary as usize];
            let begin = tail.file.as_ref().is_none_or(|file| {
                let len = tail.end() - HEADER_LEN;
                let unused = state.index.is_free(file.number) && len > self.options.write_buffer_bytes;
                unused || len > self.options.file_bytes
            });
            (tail.pending.len() as u64, begin)
        };
        if begin || waits >= self.options.write_buffer_bytes {
            self.write_out(writer, Class::Temporary)?;
        }
        if begin {
            self.begin_temporary_file()?;
            self.sweep_temporary();
        }
        Ok(())
    }

    fn begin_temporary_file(&self) -> Result<()> {
        let number = self.supply.take_number();
        let epoch = self.identity.epoch;
        let name = file::name("temp", epoch, number);
        let handle = self.disk.create(&name).map_err(|error| {
            if is_full(&error) {
                full("no room for temporary messages", &error)
            } else {
                self.fail("making a file", &error)
            }
        })?;
        let file = Arc::new(DataFile::growing(&self.identity, number, [true, false], name, handle));
        let mut state = self.state_mut();
        let tail = &mut state.tails[Class::Temporary as usize];
        if let Some(last) = &tail.file {
            last.grown.store(tail.end(), Relaxed);
        }
        (tail.file, tail.start) = (Some(file.clone()), HEADER_LEN);
        state.files.insert(number, file);
        Ok(())
    }

    /// Removes the files of temporary logs in which nothing lives.
    pub fn sweep_temporary(&self) {
        let mut state = self.state_mut();
        let state = &mut *state;
        let current = state.tails[Class::Temporary as usize].file.as_ref().map(|file| file.number);
        state.files.retain(|number, file| {
            let in_use = current == Some(*number) || Arc::strong_count(file) > 1;
            let dead = file.temporary && !in_use && state.index.is_free(*number);
            // One that cannot be removed now is removed by the next start.
            !(dead && self.disk.remove(&file.name).is_ok())
        });
    }
}

/// An error that says that there is no room, and that trying again may help.
fn full(what: &str, error: &io::Error) -> Error {
    let mut full = Error::new(ErrorCode::Full, format!("{what}: {error}"));
    full.retryable = true;
    full
}
