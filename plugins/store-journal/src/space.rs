// SPDX-License-Identifier: Apache-2.0
//! How much the files take, beside how much of it lives.
//!
//! The promise: the store takes no more than twice what lives, two files and the reserve. One of the two is the file
//! being written, the other one the next.

use crate::shared::{Class, Shared};

/// The store takes at most so many times what lives, besides its two files.
const FACTOR: u64 = 2;

/// Something is done when less than this part of a file is left of what was promised: doing it takes a little room too.
const EARLY: u64 = 16;

/// What lasting logs take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Space {
    /// Bytes of files, those that wait included.
    pub used: u64,
    /// Of those, bytes of files that the next checkpoint gives back.
    pub dead: u64,
    /// The size of the next file, if none waits.
    pub next: u64,
    /// What it may take.
    pub promised: u64,
    /// From where on something must be done.
    pub bound: u64,
}

impl Space {
    /// Whether the store takes more than was promised, or will with the next file; `after`: when the next checkpoint
    /// has given back what is dead.
    pub fn is_pressed(&self, after: bool) -> bool {
        self.used + self.next - if after { self.dead.min(self.used) } else { 0 } > self.bound
    }

    /// Whether the promise is kept.
    pub fn is_kept(&self) -> bool {
        self.used <= self.promised
    }

    /// Whether it will be when the next file is there.
    pub fn has_room_for_next(&self) -> bool {
        self.used + self.next <= self.promised
    }

    /// Bytes that are too many.
    pub fn excess(&self) -> u64 {
        (self.used + self.next).saturating_sub(self.dead).saturating_sub(self.bound)
    }
}

impl Shared {
    /// What lasting logs take, with `more` bytes that no list has.
    pub fn space(&self, more: u64) -> Space {
        let (next, waits) = self.supply.next_file();
        let (files, owned, dead) = {
            let state = self.state();
            let lasting = state.files.values().filter(|file| !file.temporary);
            let dead = state.dead_files(u32::MAX).filter_map(|number| state.files.get(&number));
            let sum: u64 = lasting.map(|file| file.disk_bytes()).sum();
            (
                sum,
                state.index.owned_bytes()[Class::Lasting as usize],
                dead.map(|file| file.disk_bytes()).sum(),
            )
        };
        let reserve =
            2 * (self.options.reserve_bytes + crate::format::file::HEADER_LEN).next_multiple_of(4096);
        let promised = FACTOR * owned + 2 * self.options.file_bytes + reserve;
        Space {
            used: files + more + self.supply.waiting_bytes(),
            dead,
            next: if waits { 0 } else { next },
            promised,
            bound: promised - self.options.file_bytes / EARLY,
        }
    }

    /// Whether temporary logs take more than twice what lives in them and two files.
    pub fn temporary_is_pressed(&self) -> bool {
        let state = self.state();
        let files = state.files.values().filter(|file| file.temporary);
        let closed: u64 = files.map(|file| file.disk_bytes()).sum();
        let owned = state.index.owned_bytes()[Class::Temporary as usize];
        closed + state.tails[Class::Temporary as usize].end() > FACTOR * owned + 2 * self.options.file_bytes
    }

    /// Whether another file may be made before it is needed: when the one being written is half full, or the promise
    /// allows it anyway.
    pub fn may_make_ahead(&self) -> bool {
        let half_full = {
            let state = self.state();
            let tail = &state.tails[Class::Lasting as usize];
            tail.file.as_ref().is_none_or(|file| tail.end() >= file.size_bytes / 2)
        };
        half_full || self.space(0).has_room_for_next()
    }
}
