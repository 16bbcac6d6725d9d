// SPDX-License-Identifier: Apache-2.0
//! Moving the last living entries out of files that are mostly dead, so that the files can be given back.
//!
//! Entries are copied, operation and record, into files of their own, which hold nothing else and are therefore dense;
//! nobody waits for that. When the copies are on the medium, a small batch in the log says that they count from now on:
//! commits wait for that one alone. A crash before it leaves copies that nothing leads to, a crash after it the old
//! entries, to which nothing leads any more. Links that lead to one record lead to one copy afterwards.

use crate::files::{DataFile, is_full, locked};
use crate::format::batch::BatchHeader;
use crate::format::file::HEADER_LEN;
use crate::format::op::{Entry, FarPlace, Op, Target, op_bound, put_op};
use crate::format::record::{stored_len, sum};
use crate::format::{SECTOR, align, checksum};
use crate::index::extent::Region;
use crate::index::space::{Copied, ENTRY_BYTES, Held};
use crate::keeper::Keeping;
use crate::plan::{Body, Encoded};
use crate::reader::Found;
use crate::say;
use crate::shared::{Class, Shared};
use bytes::Bytes;
use sabir_sdk::{Error, ErrorCode, Result};
use std::collections::HashMap;
use std::io::IoSlice;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

/// Bytes of records that are copied together: what is held in memory at a time, save for a longer record.
const PIECE_BYTES: u64 = 1 << 20;

/// Copies are gathered in batches of about this many bytes, so that reading one needs little.
const BLOCK_BYTES: u64 = 64 * 1024;

/// Files that are emptied at the same time.
const MOST_FILES: usize = 16;

/// After room for copies was not found it is not looked for again for so long.
const FULL_FOR: Duration = Duration::from_secs(2);

/// A file that moved entries go to.
pub struct Kept {
    file: Arc<DataFile>,
    end: u64,
}

/// Where a record was: file, offset of its batch, place among the batch's records; and its length, since one of no
/// length is at the place of the next.
type Place = (u32, u64, u64, u64);

/// Files that are being emptied.
pub struct Moving {
    class: Class,
    files: Vec<u32>,
    todo: Vec<Held>,
    next: usize,
    // Whether links lead to records in these files, so that the places of their copies must be remembered.
    has_links: bool,
    // The copies of records, with their checksums.
    copies: HashMap<Place, (FarPlace, u32)>,
    // The files with those copies: they must not go while links may still be made to lead there.
    into: Vec<Arc<DataFile>>,
}

/// What is being copied: batches that are whole, and the one being filled.
struct Piece {
    out: Vec<u8>,
    copied: Vec<Copied>,
    encoded: Encoded,
    bodies: Vec<Body<'static>>,
    // The entries of the batch being filled.
    open: Vec<Copied>,
    // The records of the batch being filled that links may lead to.
    here: HashMap<Place, (u64, u32)>,
    bytes: u64,
}

/// What emptying files has come to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Step {
    /// Bytes that were copied.
    pub copied_bytes: u64,
    /// Whether files have been emptied, as far as they can be.
    pub done: bool,
    /// Whether that ended because there is no room for copies.
    pub full: bool,
}

impl Shared {
    /// Moves something if room is short. Answers how long to wait before the next piece, if there is more.
    pub fn move_when_due(&self, keeping: &mut Keeping) -> Result<Option<Duration>> {
        let percent = self.options.move_below_percent;
        let short = self.short.load(Relaxed);
        let full = keeping.full_at.is_some_and(|at| at.elapsed() < FULL_FOR);
        if percent == 0 || full {
            return Ok(None);
        }
        if keeping.moving.is_none() && !self.choose_when_due(keeping, percent, short) {
            return Ok(None);
        }
        // Without a thread of its own everything is done at once.
        let mut step = self.move_piece(keeping)?;
        while !self.options.background && !step.done {
            step = self.move_piece(keeping)?;
        }
        if step.done {
            if self.options.move_always || self.checkpoint_is_due(keeping) {
                self.checkpoint_if_room(keeping)?;
            }
            return Ok(None);
        }
        let rate = self.options.move_bytes_per_second.max(1);
        let pause = if short { 0 } else { step.copied_bytes * 1_000_000 / rate };
        Ok(Some(Duration::from_micros(pause)))
    }

    fn choose_when_due(&self, keeping: &mut Keeping, percent: u64, short: bool) -> bool {
        let eager = self.options.move_always || short;
        let space = self.space(0);
        // What is dead already comes free when it is worth a checkpoint.
        let worth = (keeping.checkpoint_bytes + 1).saturating_sub(space.dead);
        let excess = match space.is_pressed(false) {
            _ if eager => u64::MAX,
            true => space.excess().max(worth),
            false => 0,
        };
        if excess > 0 && self.choose(keeping, Class::Lasting, percent, excess) {
            return true;
        }
        let pressed = eager || self.temporary_is_pressed();
        pressed && self.choose(keeping, Class::Temporary, percent, u64::MAX)
    }

    /// Chooses files to be emptied, the emptiest first, until `wanted` bytes come free. Answers whether there are any.
    pub fn choose(&self, keeping: &mut Keeping, class: Class, percent: u64, wanted: u64) -> bool {
        // What was moved may die too, in the end.
        let is_sparse = |kept: &Kept| {
            let pins = self.state().index.pins_of(kept.file.number);
            let live = pins.owned_bytes.max(pins.linked_bytes) + pins.entries * ENTRY_BYTES;
            live * 100 < full_bytes(&kept.file) * percent
        };
        let kept = &mut keeping.kept[class as usize];
        if kept.as_ref().is_some_and(is_sparse) {
            *kept = None;
        }
        let mut files = self.candidates(keeping, class, percent);
        files.sort_by_key(|(file, live)| (live * 1000 / file.disk_bytes().max(1), file.number));
        let (mut chosen, mut freed, mut copied) = (Vec::new(), 0, 0);
        for (file, live) in files.into_iter().take(MOST_FILES) {
            if freed >= wanted || (copied > 0 && copied + live > self.options.file_bytes) {
                break;
            }
            if class == Class::Lasting && !self.has_room_for(copied + live) {
                continue;
            }
            freed += file.disk_bytes().saturating_sub(live);
            copied += live;
            chosen.push(file.number);
        }
        if chosen.is_empty() {
            return false;
        }
        let mut todo = Vec::new();
        let mut from = Some((0, 0));
        while let Some(start) = from {
            from = self.state().index.held(class as usize, &chosen, start, &mut todo);
        }
        // Records are copied with the entry that made them, if that exists, so that its links stay links.
        todo.sort_by_key(|held| (held.linked, held.log, held.first));
        let has_links = todo.iter().any(|held| held.linked && chosen.contains(&held.record_file));
        let (copies, into) = (HashMap::new(), Vec::new());
        keeping.moving = Some(Moving { class, files: chosen, todo, next: 0, has_links, copies, into });
        true
    }

    // The files of which less than so many percent live, and how many bytes that are.
    fn candidates(&self, keeping: &Keeping, class: Class, percent: u64) -> Vec<(Arc<DataFile>, u64)> {
        let state = self.state();
        let current = state.tails[class as usize].file.as_ref().map(|file| file.number);
        let kept = keeping.kept[class as usize].as_ref().map(|kept| kept.file.number);
        let mine = state.files.values().filter(|file| {
            let in_use = current == Some(file.number) || kept == Some(file.number);
            file.temporary == (class == Class::Temporary) && !in_use && !keeping.stuck.contains(&file.number)
        });
        let mut found: Vec<(Arc<DataFile>, u64)> = Vec::new();
        for file in mine {
            let pins = state.index.pins_of(file.number);
            let live = pins.owned_bytes + pins.entries * ENTRY_BYTES;
            if pins.entries > 0 && live * 100 < full_bytes(file) * percent {
                found.push((file.clone(), live));
            }
        }
        let linked = |file: &Arc<DataFile>| state.index.pins_of(file.number).linked_bytes > 0;
        if found.iter().any(|(file, _)| linked(file)) {
            let orphans: HashMap<u32, u64> = state.index.orphans().collect();
            found
                .iter_mut()
                .for_each(|(file, live)| *live += orphans.get(&file.number).copied().unwrap_or(0));
            found.retain(|(file, live)| live * 100 < full_bytes(file) * percent);
        }
        found
    }

    fn piece_bytes(&self) -> u64 {
        PIECE_BYTES.min(self.options.file_bytes / 4)
    }

    // Whether copies of so many bytes can be written without taking what acknowledgements need.
    fn has_room_for(&self, bytes: u64) -> bool {
        let needed = bytes + bytes / 8 + 2 * self.reserve_bytes() + self.piece_bytes();
        let free = || self.disk.free_bytes().unwrap_or(0);
        if free() >= needed {
            return true;
        }
        // What is kept for speed alone makes room.
        self.supply.shed().is_ok() && free() >= needed
    }

    /// Moves some entries of the chosen files.
    pub fn move_piece(&self, keeping: &mut Keeping) -> Result<Step> {
        self.check()?;
        let Some(mut moving) = keeping.moving.take() else {
            return Ok(Step { done: true, ..Step::default() });
        };
        let moved = self.move_piece_of(keeping, &mut moving);
        match moved {
            Ok(copied_bytes) => {
                let done = moving.next >= moving.todo.len();
                if !done {
                    keeping.moving = Some(moving);
                }
                Ok(Step { copied_bytes, done, full: false })
            }
            // There is no room: what was moved so far stays moved.
            Err(error) if error.code == ErrorCode::Full => {
                say::warn(&self.host, &error.message);
                keeping.full_at = Some(Instant::now());
                Ok(Step { copied_bytes: 0, done: true, full: true })
            }
            Err(error) => Err(error),
        }
    }

    fn move_piece_of(&self, keeping: &mut Keeping, moving: &mut Moving) -> Result<u64> {
        let class = moving.class;
        let mut kept = self.kept(keeping, class)?;
        if !moving.into.iter().any(|file| file.number == kept.file.number) {
            moving.into.push(kept.file.clone());
        }
        let mut piece = Piece::new();
        let most = self.piece_bytes();
        while piece.bytes < most {
            let Some(held) = moving.todo.get(moving.next).copied() else { break };
            match self.copy_extent(keeping, moving, &kept, &mut piece, &held)? {
                // Full: the rest of the extent is next.
                Some(seq) => {
                    if let Some(held) = moving.todo.get_mut(moving.next) {
                        held.first = seq;
                    }
                    break;
                }
                None => moving.next += 1,
            }
        }
        piece.close(&kept, moving)?;
        // Two writes share no sector.
        piece.out.resize(align(piece.out.len() as u64, SECTOR) as usize, 0);
        let result = self.write_copies(class, &mut kept, &piece);
        let end = kept.end;
        keeping.kept[class as usize] = (end < self.options.file_bytes).then_some(kept);
        result?;
        self.make_count(keeping, class, &piece.copied)?;
        Ok(piece.bytes)
    }

    // The file that moved entries go to.
    fn kept(&self, keeping: &mut Keeping, class: Class) -> Result<Kept> {
        if let Some(kept) = keeping.kept[class as usize].take() {
            return Ok(kept);
        }
        let file = self.supply.make_for_moved(class == Class::Temporary).map_err(|error| {
            if is_full(&error) {
                return no_room(&error);
            }
            self.fail("making a file for moved entries", &error)
        })?;
        self.state_mut().files.insert(file.number, file.clone());
        Ok(Kept { file, end: HEADER_LEN })
    }

    // Copies the entries of an extent that are still there. Answers where to go on, if the piece is full before.
    fn copy_extent(
        &self,
        keeping: &mut Keeping,
        moving: &mut Moving,
        kept: &Kept,
        piece: &mut Piece,
        held: &Held,
    ) -> Result<Option<u64>> {
        let (file, seqs) = {
            let state = self.state();
            (state.files.get(&held.region.file).cloned(), state.index.still(held))
        };
        let Some(file) = file.filter(|_| !seqs.is_empty()) else {
            return Ok(None);
        };
        let mut go_on = None;
        let mut failed = None;
        let (files, known) = (moving.files.clone(), &moving.copies);
        let wanted =
            |found: &Found| files.contains(&found.place.file) && !known.contains_key(&place_of(found));
        let mut taken: Vec<(Found, Bytes)> = Vec::new();
        let mut bytes = piece.bytes;
        self.each_in(held.log, (&file, held.region), &seqs, wanted, &mut |seq, read| match read {
            Ok((found, data)) => {
                bytes += data.len() as u64 + ENTRY_BYTES;
                taken.push((found, data));
                if bytes >= self.piece_bytes() {
                    go_on = seq.checked_add(1);
                }
                go_on.is_none()
            }
            Err(error) => {
                failed = Some(error);
                true
            }
        })?;
        if let Some(error) = failed
            && self.still_fails(held, &seqs)
            && keeping.stuck.insert(file.number)
        {
            let text = format!("{} cannot be emptied: {}", file.name, error.message);
            say::warn(&self.host, &text);
        }
        for (found, data) in taken {
            piece.take(moving, kept, held, found, data)?;
        }
        Ok(go_on.filter(|seq| *seq <= held.last))
    }

    // Entries that were removed while they were being read are no failure.
    fn still_fails(&self, held: &Held, seqs: &[u64]) -> bool {
        let still = self.state().index.still(held);
        seqs.iter().any(|seq| still.contains(seq))
    }

    fn write_copies(&self, class: Class, kept: &mut Kept, piece: &Piece) -> Result<()> {
        if piece.out.is_empty() {
            return Ok(());
        }
        let write = || {
            kept.file.handle.write_at(&[IoSlice::new(&piece.out)], kept.end)?;
            self.counters.written_bytes.fetch_add(piece.out.len() as u64, Relaxed);
            if class == Class::Lasting {
                self.counters.syncs.fetch_add(1, Relaxed);
                kept.file.handle.sync_data()?;
            }
            Ok(())
        };
        write().map_err(|error| match is_full(&error) {
            true => no_room(&error),
            false => self.fail("moving entries", &error),
        })?;
        kept.end += piece.out.len() as u64;
        kept.file.grown.store(kept.end, Relaxed);
        let own = piece.copied.iter().filter(|copied| !copied.linked);
        let records: u64 = own.map(|copied| u64::from(copied.size)).sum();
        kept.file.filled.fetch_add(records + piece.copied.len() as u64 * ENTRY_BYTES, Relaxed);
        Ok(())
    }

    // Says in the log that the copies count. Entries that have gone since they were copied stay gone.
    fn make_count(&self, keeping: &mut Keeping, class: Class, copied: &[Copied]) -> Result<()> {
        let mut ops = Vec::new();
        {
            let mut writer = locked(&self.writer);
            self.check()?;
            if self.state().index.put_moves(copied, &mut ops) == 0 {
                return Ok(());
            }
            // What was remembered of entries leads to where they were.
            writer.linked = None;
            if class == Class::Temporary {
                self.state_mut().index.apply_all(&ops);
                return Ok(());
            }
            let bound = ops.len() as u64 + op_bound(0);
            self.put_own(&mut writer, bound, true, |_, _, out| {
                out.extend_from_slice(&ops);
                0
            })?;
        }
        if self.reserve_used.load(Relaxed) {
            self.checkpoint_if_room(keeping)?;
        }
        Ok(())
    }
}

// What would live in a file in which nothing is dead. Entries that take more than they seem to, by long labels, would
// be moved again and again if only the length of the file counted.
fn full_bytes(file: &DataFile) -> u64 {
    match file.filled.load(Relaxed) {
        0 => file.disk_bytes(),
        filled => filled,
    }
}

fn no_room(error: &std::io::Error) -> Error {
    Error::new(ErrorCode::Full, format!("no room to move entries to: {error}"))
}

fn place_of(found: &Found) -> Place {
    (found.place.file, found.place.batch_offset, found.place.at, found.len)
}

impl Piece {
    fn new() -> Piece {
        Piece {
            out: Vec::new(),
            copied: Vec::new(),
            encoded: Encoded::default(),
            bodies: Vec::new(),
            open: Vec::new(),
            here: HashMap::new(),
            bytes: 0,
        }
    }

    // Takes an entry in, with its record if that lies in one of the files and has no copy yet.
    fn take(
        &mut self,
        moving: &mut Moving,
        kept: &Kept,
        held: &Held,
        found: Found,
        data: Bytes,
    ) -> Result<()> {
        let place = place_of(&found);
        let seed = kept.file.place(kept.end + self.out.len() as u64).seed();
        let mut linked = true;
        let mut crc = found.crc;
        let mut record_file = kept.file.number;
        let target = if let Some((far, sum)) = moving.copies.get(&place) {
            (crc, record_file) = (*sum, far.file);
            Target::There(*far)
        } else if let Some((at, sum)) = self.here.get(&place) {
            crc = *sum;
            Target::Here { at: *at, linked: true }
        } else if moving.files.contains(&place.0) {
            linked = false;
            let at = self.encoded.records_len;
            crc = sum(seed, at, found.len, std::iter::once(&data[..]), &mut self.encoded.tables);
            self.encoded.records_len += stored_len(found.len);
            if moving.has_links {
                self.here.insert(place, (at, crc));
            }
            Target::Here { at, linked: false }
        } else {
            record_file = found.place.file;
            Target::There(found.place)
        };
        let Found { seq, span, format, ref label, len, .. } = found;
        let entry = Entry { log: held.log, seq, span, format, label, len, crc, target };
        put_op(&mut self.encoded.ops, &Op::Entry(entry));
        self.bytes += data.len() as u64 + label.len() as u64 + ENTRY_BYTES;
        if !linked {
            self.bodies.push(Body::Bytes(data));
        }
        let region = Region { file: kept.file.number, offset: 0, len: 0 };
        let from = (held.region, held.record_file);
        let size = u32::try_from(len).unwrap_or(u32::MAX);
        self.open.push(Copied { log: held.log, seq, span, size, from, region, record_file, linked });
        if self.encoded.records_len + self.encoded.ops.len() as u64 >= BLOCK_BYTES {
            self.close(kept, moving)?;
        }
        Ok(())
    }

    // Ends the batch being filled.
    fn close(&mut self, kept: &Kept, moving: &mut Moving) -> Result<()> {
        let offset = kept.end + self.out.len() as u64;
        if !self.open.is_empty() {
            let seed = kept.file.place(offset).seed();
            let header = BatchHeader {
                number: 0,
                durable: 0,
                ops_len: u32::try_from(self.encoded.ops.len())
                    .map_err(|_| Error::new(ErrorCode::Limit, "more than 4 GiB of operations"))?,
                ops_crc: checksum(seed, &self.encoded.ops),
                records_len: self.encoded.records_len,
                flags: 0,
            };
            let start = self.out.len();
            self.out.extend_from_slice(&header.front(seed, &self.encoded.ops));
            self.out.extend_from_slice(&self.encoded.ops);
            let out = &mut self.out;
            self.encoded.each_piece(&self.bodies, &mut |piece| out.extend_from_slice(piece));
            let len = header.total_len();
            self.out.resize(start + len as usize, 0);
            let region = Region { file: kept.file.number, offset, len };
            self.copied.extend(self.open.drain(..).map(|copied| Copied { region, ..copied }));
            for (place, (at, crc)) in self.here.drain() {
                let (epoch, file) = (kept.file.epoch, kept.file.number);
                let records_at = header.records_at();
                moving
                    .copies
                    .insert(place, (FarPlace { epoch, file, batch_offset: offset, records_at, at }, crc));
            }
            self.encoded.clear();
            self.bodies.clear();
        }
        Ok(())
    }
}
