// SPDX-License-Identifier: Apache-2.0
//! Data files: made before they are needed, pre-written and synced once, and used again when nothing in them lives.
//!
//! A commit thereby only overwrites blocks that the file system has allotted and written before, which syncs about
//! twice as fast as growing a file. A file is used again only within the epoch that made it.

use crate::format::file::{self, FileHeader, HEADER_LEN, Seal};
use crate::format::{Place, StoreId};
use crate::seeded::seeded;
use sabir_sdk::disk::{Disk, DiskFile};
use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A file with batches.
pub struct DataFile {
    /// Its number.
    pub number: u32,
    /// The epoch that writes or wrote it.
    pub epoch: u64,
    /// The store it belongs to.
    pub store: StoreId,
    /// Its length in bytes; of a file that grows: where it ends at the latest.
    pub size_bytes: u64,
    /// Whether it holds temporary logs, and so grows, and is never synced.
    pub temporary: bool,
    /// Whether it holds entries that were moved there: it grows, and its batches are none of the log's.
    pub moved: bool,
    /// Of a file that grows: bytes so far.
    pub grown: AtomicU64,
    /// Of a file with moved entries: what lived in it when it was written, as the choice of files counts it; 0: unknown.
    pub filled: AtomicU64,
    /// Its name.
    pub name: String,
    /// The file itself.
    pub handle: Arc<dyn DiskFile>,
}

impl DataFile {
    /// A file of a fixed length that holds a part of the log.
    pub fn of_log(
        Identity { store, epoch, .. }: &Identity,
        number: u32,
        size_bytes: u64,
        name: String,
        handle: Arc<dyn DiskFile>,
    ) -> Self {
        let (grown, filled) = (AtomicU64::new(0), AtomicU64::new(0));
        let (store, epoch, temporary, moved) = (*store, *epoch, false, false);
        DataFile { number, epoch, store, size_bytes, temporary, moved, grown, filled, name, handle }
    }

    /// A file that grows.
    pub fn growing(
        identity: &Identity,
        number: u32,
        [temporary, moved]: [bool; 2],
        name: String,
        handle: Arc<dyn DiskFile>,
    ) -> Self {
        let file = Self::of_log(identity, number, ENDLESS, name, handle);
        DataFile { temporary, moved, grown: AtomicU64::new(HEADER_LEN), ..file }
    }

    /// Bytes that it takes on the medium.
    pub fn disk_bytes(&self) -> u64 {
        if self.temporary || self.moved { self.grown.load(Relaxed) } else { self.size_bytes }
    }

    /// The place of a batch in this file.
    pub fn place(&self, offset: u64) -> Place {
        Place { store: self.store, epoch: self.epoch, file: self.number, offset }
    }
}

/// Who writes: what all files of one run have in common.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The store.
    pub store: StoreId,
    /// The epoch, one more than any before.
    pub epoch: u64,
    /// Where earlier epochs ended.
    pub seals: Vec<Seal>,
}

/// Takes a lock whose holder may have panicked: what it guards is changed in single steps.
pub fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether this error means that there is no room, rather than that the medium failed.
pub fn is_full(error: &io::Error) -> bool {
    use io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
    // Too many open files: of this process, of the system.
    const NO_DESCRIPTORS: [i32; 2] = [24, 23];
    matches!(error.kind(), StorageFull | QuotaExceeded | FileTooLarge)
        || error.raw_os_error().is_some_and(|number| NO_DESCRIPTORS.contains(&number))
}

/// Where files that grow end at the latest.
pub const ENDLESS: u64 = 1 << 50;

// Data files are whole pages.
const PAGE: u64 = 4096;

struct Making {
    // The number of the next file.
    next_number: u32,
    // The size of the next file, if nobody needs more.
    next_size: u64,
    // Emptied files.
    spares: Vec<Arc<DataFile>>,
    // Files that only those who free room may use.
    reserve: Vec<Arc<DataFile>>,
}

/// Files in the reserve: while one fills with removals, a checkpoint in the other makes it free again.
const RESERVE_FILES: usize = 2;

/// The files that wait to be written, and the making of more.
pub struct Supply {
    disk: Arc<dyn Disk>,
    identity: Identity,
    smallest: u64,
    largest: u64,
    spare_files: usize,
    // What must stay free beside a new file, so that entries can be moved when the disk is full.
    headroom: u64,
    ready: Mutex<VecDeque<Arc<DataFile>>>,
    making: Mutex<Making>,
    // Length of the shortest file of the reserve; 0 while it is not whole.
    reserved: AtomicU64,
}

impl Supply {
    /// A supply that makes files from `next_number` on, the first of `smallest` bytes, later ones up to `largest`.
    pub fn new(
        disk: Arc<dyn Disk>,
        identity: Identity,
        next_number: u32,
        [smallest, largest]: [u64; 2],
        spare_files: usize,
        headroom: u64,
    ) -> Self {
        let making = Making { next_number, next_size: smallest, spares: Vec::new(), reserve: Vec::new() };
        let ready = Mutex::new(VecDeque::new());
        let (making, reserved) = (Mutex::new(making), AtomicU64::new(0));
        Supply { disk, identity, smallest, largest, spare_files, headroom, ready, making, reserved }
    }

    /// A number for a file that is none of the log's.
    pub fn take_number(&self) -> u32 {
        let mut making = locked(&self.making);
        making.next_number += 1;
        making.next_number - 1
    }

    /// The size of the next file, and whether one waits already.
    pub fn next_file(&self) -> (u64, bool) {
        let making = locked(&self.making);
        let waits = making.spares.iter().any(|spare| spare.size_bytes >= making.next_size);
        (making.next_size, waits || !locked(&self.ready).is_empty())
    }

    /// Makes a file ready, unless one is: of one that was used before, or, if that is allowed, another one.
    pub fn provide(&self, may_grow: bool) -> io::Result<()> {
        let mut making = locked(&self.making);
        let spare = making.spares.iter().any(|spare| spare.size_bytes >= making.next_size);
        if locked(&self.ready).is_empty() && (spare || may_grow) {
            let file = self.make(&mut making, 0)?;
            locked(&self.ready).push_back(file);
        }
        Ok(())
    }

    /// Sees to it that the reserve is whole, with files of at least this length.
    pub fn provide_reserve(&self, size: u64) -> io::Result<()> {
        let size = (size + HEADER_LEN).next_multiple_of(PAGE);
        if self.reserved.load(Relaxed) >= size {
            return Ok(());
        }
        let mut making = locked(&self.making);
        let (mut kept, short): (Vec<_>, Vec<_>) =
            making.reserve.drain(..).partition(|file: &Arc<DataFile>| file.size_bytes >= size);
        let mut result = short.iter().try_for_each(|file| self.disk.remove(&file.name));
        while kept.len() < RESERVE_FILES && result.is_ok() {
            result = self.make_reserve(&mut making, size).map(|file| kept.push(file));
        }
        self.reserved.store(if result.is_ok() { size } else { 0 }, Relaxed);
        making.reserve = kept;
        result
    }

    fn make_reserve(&self, making: &mut Making, size: u64) -> io::Result<Arc<DataFile>> {
        let number = making.next_number;
        let name = file::name("spare", self.identity.epoch, number);
        if self.disk.free_bytes()? < size {
            // What is kept for speed alone makes room.
            making.spares.drain(..).try_for_each(|spare| self.disk.remove(&spare.name))?;
        }
        if self.disk.free_bytes()? < size {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let handle = self.pre_write(&name, size)?;
        making.next_number += 1;
        Ok(Arc::new(DataFile::of_log(&self.identity, number, size, name, handle)))
    }

    /// Takes the next file with at least `room` bytes for batches, making it if there is none; from the reserve if
    /// there is no room and the caller may. Answers whether it did.
    pub fn take(&self, room: u64, may_use_reserve: bool) -> io::Result<(Arc<DataFile>, bool)> {
        if let Some(file) = self.take_ready(room, &mut None) {
            return Ok((file, false));
        }
        // Whoever is making one has the lock: what it makes may be what is needed.
        let mut making = locked(&self.making);
        if let Some(file) = self.take_ready(room, &mut Some(&mut making)) {
            return Ok((file, false));
        }
        match self.make(&mut making, room) {
            Err(error) if may_use_reserve && is_full(&error) => {
                let at = making.reserve.iter().position(|file| file.size_bytes - HEADER_LEN >= room);
                let file = making.reserve.swap_remove(at.ok_or(error)?);
                self.reserved.store(0, Relaxed);
                Ok((self.dedicate(&mut making, &file.name, file.size_bytes, file.handle.clone())?, true))
            }
            made => Ok((made?, false)),
        }
    }

    // Files are written in the order of their numbers: those passed over wait to be given new ones.
    fn take_ready(&self, room: u64, making: &mut Option<&mut Making>) -> Option<Arc<DataFile>> {
        let mut ready = locked(&self.ready);
        let at = ready.iter().position(|file| file.size_bytes - HEADER_LEN >= room);
        match (at, making) {
            (Some(0), _) => ready.pop_front(),
            (_, None) => None,
            (at, Some(making)) => {
                let skip = at.unwrap_or(ready.len());
                making.spares.extend(ready.drain(..skip));
                ready.pop_front()
            }
        }
    }

    fn make(&self, making: &mut Making, room: u64) -> io::Result<Arc<DataFile>> {
        let least = (room + HEADER_LEN).next_multiple_of(PAGE);
        let wanted = least.max(making.next_size);
        let spare = |making: &mut Making, size: u64| {
            let at = making.spares.iter().position(|spare| spare.size_bytes >= size)?;
            Some(making.spares.swap_remove(at))
        };
        let mut found = spare(making, wanted);
        let mut size = 0;
        if found.is_none() {
            match self.affordable(wanted, least) {
                Ok(affordable) => size = affordable,
                // A smaller one than wanted is better than none.
                Err(error) => found = Some(spare(making, least).ok_or(error)?),
            }
        }
        if let Some(spare) = found {
            return self.dedicate(making, &spare.name, spare.size_bytes, spare.handle.clone());
        }
        let from = file::name("making", self.identity.epoch, making.next_number);
        let handle = self.pre_write(&from, size)?;
        making.next_size = (making.next_size * 4).min(self.largest);
        self.dedicate(making, &from, size, handle)
    }

    // Makes a pre-written file the next data file.
    fn dedicate(
        &self,
        making: &mut Making,
        from: &str,
        size_bytes: u64,
        handle: Arc<dyn DiskFile>,
    ) -> io::Result<Arc<DataFile>> {
        let Identity { store, epoch, .. } = self.identity;
        let (number, seals) = (making.next_number, self.identity.seals.clone());
        let name = file::data_name(epoch, number);
        let header = FileHeader { store, epoch, file: number, flags: 0, size_bytes, seals };
        let aside = file::name("making", epoch, number);
        let from = if from.starts_with("data-") {
            // It was passed over. A header that is torn while it is written must not be found under a data file's name.
            self.disk.rename(from, &aside)?;
            self.disk.sync_dir()?;
            &aside
        } else {
            from
        };
        if !(seeded("file used again under its old header") && from.starts_with("spare")) {
            handle.write_at(&[IoSlice::new(&header.encode())], 0)?;
            handle.sync_data()?;
        }
        self.disk.rename(from, &name)?;
        if !seeded("no sync of the directory") {
            self.disk.sync_dir()?;
        }
        making.next_number += 1;
        Ok(Arc::new(DataFile::of_log(&self.identity, number, size_bytes, name, handle)))
    }

    /// Makes a file for entries that are moved, lasting or temporary ones.
    pub fn make_for_moved(&self, temporary: bool) -> io::Result<Arc<DataFile>> {
        let number = self.take_number();
        let Identity { store, epoch, ref seals } = self.identity;
        let role = if temporary { "temp" } else { "making" };
        let from = file::name(role, epoch, number);
        let handle = self.disk.create(&from)?;
        let header = FileHeader {
            store,
            epoch,
            file: number,
            flags: file::FLAG_MOVED,
            size_bytes: ENDLESS,
            seals: seals.clone(),
        };
        if temporary {
            return Ok(Arc::new(DataFile::growing(&self.identity, number, [true, true], from, handle)));
        }
        let name = file::data_name(epoch, number);
        let made = (|| {
            handle.write_at(&[IoSlice::new(&header.encode())], 0)?;
            handle.sync_data()?;
            self.disk.rename(&from, &name)?;
            self.disk.sync_dir()
        })();
        if let Err(error) = made {
            // A name that stays is removed by the next start.
            let _ = self.disk.remove(&from);
            return Err(error);
        }
        Ok(Arc::new(DataFile::growing(&self.identity, number, [false, true], name, handle)))
    }

    /// Removes what waits for speed's sake alone.
    pub fn shed(&self) -> io::Result<()> {
        locked(&self.making).spares.drain(..).try_for_each(|spare| self.disk.remove(&spare.name))
    }

    /// Removes one of those. Answers whether there was one.
    pub fn shed_one(&self) -> io::Result<bool> {
        let spare = locked(&self.making).spares.pop();
        spare.map_or(Ok(false), |spare| self.disk.remove(&spare.name).map(|()| true))
    }

    // The size wanted, or a smaller one where there is no room for it.
    fn affordable(&self, wanted: u64, least: u64) -> io::Result<u64> {
        let free = self.disk.free_bytes()?.saturating_sub(self.headroom);
        let mut size = wanted.max(least).next_multiple_of(PAGE);
        while size > free {
            if size / 4 < least.max(self.smallest) {
                return Err(io::ErrorKind::StorageFull.into());
            }
            size = (size / 4).next_multiple_of(PAGE);
        }
        Ok(size)
    }

    fn pre_write(&self, name: &str, size: u64) -> io::Result<Arc<dyn DiskFile>> {
        // In steps that are synced one by one, so that commits to another file wait for little.
        const CHUNK: u64 = 1 << 20;
        const SYNC_EVERY: u64 = 8 << 20;
        let handle = self.disk.create(name)?;
        let zeros = vec![0u8; CHUNK.min(size) as usize];
        let mut offset = 0;
        let mut fill = || {
            while offset < size {
                let chunk = zeros.get(..(size - offset) as usize).unwrap_or(&zeros);
                handle.write_at(&[IoSlice::new(chunk)], offset)?;
                offset += chunk.len() as u64;
                if offset % SYNC_EVERY == 0 {
                    handle.sync_data()?;
                }
            }
            handle.sync_data()
        };
        match fill() {
            Ok(()) => Ok(handle),
            Err(error) => {
                // Whatever it has taken is given back; a name that stays is removed by the next start.
                drop(handle);
                let _ = self.disk.remove(name);
                Err(error)
            }
        }
    }

    /// Takes back a data file in which nothing lives and which no reader has open: keeps it, or removes it. `reserve`
    /// is how long a file of the reserve must be; `may_keep` whether there may be a spare more.
    pub fn give_back(&self, file: &DataFile, reserve: u64, may_keep: bool) -> io::Result<()> {
        let mut making = locked(&self.making);
        let mine = file.epoch == self.identity.epoch && file.size_bytes <= self.largest && !file.moved;
        // A large file in the reserve would be a waste, a spare smaller than what is made now of no use.
        let fits_reserve = (reserve + HEADER_LEN..=4 * reserve + HEADER_LEN).contains(&file.size_bytes);
        let to_reserve = mine && fits_reserve && making.reserve.len() < RESERVE_FILES;
        let long_enough = file.size_bytes >= making.next_size;
        let to_spares = mine && may_keep && long_enough && making.spares.len() < self.spare_files;
        if !to_reserve && !to_spares {
            return self.disk.remove(&file.name);
        }
        let name = file::name("spare", file.epoch, file.number);
        self.disk.rename(&file.name, &name)?;
        let handle = file.handle.clone();
        let spare = DataFile::of_log(&self.identity, file.number, file.size_bytes, name, handle);
        let spare = Arc::new(spare);
        if to_reserve {
            making.reserve.push(spare)
        } else {
            making.spares.push(spare)
        }
        Ok(())
    }

    /// Removes what waits: the next run cannot use it.
    pub fn clear(&self) -> io::Result<()> {
        let mut making = locked(&self.making);
        let ready: Vec<_> = locked(&self.ready).drain(..).collect();
        self.reserved.store(0, Relaxed);
        let reserve: Vec<_> = making.reserve.drain(..).collect();
        let mut all = making.spares.drain(..).chain(reserve).chain(ready);
        all.try_for_each(|file| self.disk.remove(&file.name))
    }

    /// Bytes of the files that wait.
    pub fn waiting_bytes(&self) -> u64 {
        let spares: u64 = self
            .making
            .try_lock()
            .map_or(0, |making| making.spares.iter().chain(&making.reserve).map(|s| s.size_bytes).sum());
        spares + locked(&self.ready).iter().map(|file| file.size_bytes).sum::<u64>()
    }
}
