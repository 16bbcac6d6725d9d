// SPDX-License-Identifier: Apache-2.0
//! The bytes of a journal: `docs/journal-format.md`, in code.
//!
//! Everything here is pure: it turns values into bytes and bytes into values, and knows no disk, index or thread.
//! Whatever is read is untrusted: it may be cut, flipped, of another epoch or of another store.

pub mod batch;
pub mod file;
pub mod number;
pub mod op;
pub mod pointer;
pub mod record;

/// Version of the format that this code writes, and the only one that it reads.
pub const VERSION: u32 = 2;

/// Batches start at multiples of this.
pub const BATCH_ALIGN: u64 = 8;

/// What one write covers starts at a multiple of this, so that two writes share no sector.
pub const SECTOR: u64 = 512;

/// Rounds up to a multiple of `to`, a power of two.
pub const fn align(value: u64, to: u64) -> u64 {
    (value + to - 1) & !(to - 1)
}

/// Reads a little-endian number at `at`, if it is there.
pub(crate) fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..at.checked_add(4)?)?.try_into().ok().map(u32::from_le_bytes)
}

/// Reads a little-endian number at `at`, if it is there.
pub(crate) fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..at.checked_add(8)?)?.try_into().ok().map(u64::from_le_bytes)
}

/// Identity of a store, made when it is created: files of another one are told apart.
pub type StoreId = [u8; 16];

/// Where a batch lies: everything that its checksums cover besides its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The store.
    pub store: StoreId,
    /// The epoch that wrote it.
    pub epoch: u64,
    /// The file's number.
    pub file: u32,
    /// The batch's first byte in the file.
    pub offset: u64,
}

impl Place {
    /// The checksum's state before the first byte.
    pub fn seed(&self) -> u32 {
        let mut bytes = [0u8; 36];
        bytes[..16].copy_from_slice(&self.store);
        bytes[16..24].copy_from_slice(&self.epoch.to_le_bytes());
        bytes[24..28].copy_from_slice(&self.file.to_le_bytes());
        bytes[28..36].copy_from_slice(&self.offset.to_le_bytes());
        crc32fast::hash(&bytes)
    }
}

/// Checksum of `bytes` at a place.
pub fn checksum(seed: u32, bytes: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new_with_initial(seed);
    hasher.update(bytes);
    hasher.finalize()
}
