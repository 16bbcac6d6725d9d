// SPDX-License-Identifier: Apache-2.0
//! Data files: made before they are needed, pre-written and synced once, and used again when nothing in them lives.
//!
//! A commit thereby only overwrites blocks that the file system has allotted and written before, which syncs about
//! twice as fast as growing a file. A file is used again only within the epoch that made it.

use crate::format::file::{self, FileHeader, HEADER_LEN, Seal};
use crate::format::{Place, StoreId};
use sabir_sdk::disk::{Disk, DiskFile};
use std::collections::VecDeque;
use std::io::{self, IoSlice};
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
    /// Its name.
    pub name: String,
    /// The file itself.
    pub handle: Arc<dyn DiskFile>,
}

impl DataFile {
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

// Data files are whole pages.
const PAGE: u64 = 4096;

struct Making {
    // The number of the next file.
    next_number: u32,
    // The size of the next file, if nobody needs more.
    next_size: u64,
    // Emptied files: number and size.
    spares: Vec<Arc<DataFile>>,
}

/// The files that wait to be written, and the making of more.
pub struct Supply {
    disk: Arc<dyn Disk>,
    identity: Identity,
    smallest: u64,
    largest: u64,
    spare_files: usize,
    ready: Mutex<VecDeque<Arc<DataFile>>>,
    making: Mutex<Making>,
}

impl Supply {
    /// A supply that makes files from `next_number` on, the first of `smallest` bytes, later ones up to `largest`.
    pub fn new(
        disk: Arc<dyn Disk>,
        identity: Identity,
        next_number: u32,
        [smallest, largest]: [u64; 2],
        spare_files: usize,
    ) -> Self {
        let making = Making { next_number, next_size: smallest, spares: Vec::new() };
        let ready = Mutex::new(VecDeque::new());
        Supply { disk, identity, smallest, largest, spare_files, ready, making: Mutex::new(making) }
    }

    /// Bytes of the files that are ready.
    pub fn ready_bytes(&self) -> u64 {
        locked(&self.ready).iter().map(|file| file.size_bytes - HEADER_LEN).sum()
    }

    /// A number for a file that is none of the log's.
    pub fn take_number(&self) -> u32 {
        let mut making = locked(&self.making);
        making.next_number += 1;
        making.next_number - 1
    }

    /// Makes a file ready, unless one is.
    pub fn provide(&self) -> io::Result<()> {
        let mut making = locked(&self.making);
        if locked(&self.ready).is_empty() {
            let file = self.make(&mut making, 0)?;
            locked(&self.ready).push_back(file);
        }
        Ok(())
    }

    /// Makes one more file ready.
    pub fn provide_more(&self) -> io::Result<()> {
        let mut making = locked(&self.making);
        let file = self.make(&mut making, 0)?;
        locked(&self.ready).push_back(file);
        Ok(())
    }

    /// Takes the next file with at least `room` bytes for batches, making it if there is none.
    pub fn take(&self, room: u64) -> io::Result<Arc<DataFile>> {
        if let Some(file) = self.take_ready(room, &mut None) {
            return Ok(file);
        }
        // Whoever is making one has the lock: what it makes may be what is needed.
        let mut making = locked(&self.making);
        if let Some(file) = self.take_ready(room, &mut Some(&mut making)) {
            return Ok(file);
        }
        self.make(&mut making, room)
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
        let number = making.next_number;
        let epoch = self.identity.epoch;
        let name = file::data_name(epoch, number);
        let spare = making.spares.iter().position(|spare| spare.size_bytes >= least.max(making.next_size));
        let (handle, size_bytes, from) = match spare.map(|at| making.spares.swap_remove(at)) {
            Some(spare) => (spare.handle.clone(), spare.size_bytes, spare.name.clone()),
            None => {
                let from = file::name("making", epoch, number);
                let size = self.affordable(making.next_size, least)?;
                (self.pre_write(&from, size)?, size, from)
            }
        };
        let header = FileHeader {
            store: self.identity.store,
            epoch,
            file: number,
            size_bytes,
            seals: self.identity.seals.clone(),
        };
        handle.write_at(&[IoSlice::new(&header.encode())], 0)?;
        handle.sync_data()?;
        self.disk.rename(&from, &name)?;
        self.disk.sync_dir()?;
        making.next_number += 1;
        making.next_size = (making.next_size * 4).min(self.largest);
        Ok(Arc::new(DataFile {
            number,
            epoch,
            store: self.identity.store,
            size_bytes,
            temporary: false,
            name,
            handle,
        }))
    }

    // The size wanted, or a smaller one where there is no room for it.
    fn affordable(&self, wanted: u64, least: u64) -> io::Result<u64> {
        let free = self.disk.free_bytes()?;
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

    /// Takes back a data file in which nothing lives and which no reader has open: keeps it, or removes it.
    pub fn give_back(&self, file: &DataFile) -> io::Result<()> {
        let mut making = locked(&self.making);
        let keep = file.epoch == self.identity.epoch
            && file.size_bytes <= self.largest
            && making.spares.len() < self.spare_files;
        if !keep {
            return self.disk.remove(&file.name);
        }
        let name = file::name("spare", file.epoch, file.number);
        self.disk.rename(&file.name, &name)?;
        let DataFile { number, epoch, store, size_bytes, .. } = *file;
        let handle = file.handle.clone();
        making.spares.push(Arc::new(DataFile {
            number,
            epoch,
            store,
            size_bytes,
            temporary: false,
            name,
            handle,
        }));
        // A spare that is smaller than what is made now is of no use.
        let next_size = making.next_size;
        let (small, rest) = making.spares.drain(..).partition(|spare| spare.size_bytes < next_size);
        making.spares = rest;
        let small: Vec<Arc<DataFile>> = small;
        small.iter().try_for_each(|spare| self.disk.remove(&spare.name))
    }

    /// Removes what waits: the next run cannot use it.
    pub fn clear(&self) -> io::Result<()> {
        let mut making = locked(&self.making);
        let ready: Vec<_> = locked(&self.ready).drain(..).collect();
        making.spares.drain(..).chain(ready).try_for_each(|file| self.disk.remove(&file.name))
    }

    /// Bytes of the files that wait.
    pub fn waiting_bytes(&self) -> u64 {
        let spares: u64 =
            self.making.try_lock().map_or(0, |making| making.spares.iter().map(|s| s.size_bytes).sum());
        spares + locked(&self.ready).iter().map(|file| file.size_bytes).sum::<u64>()
    }
}
