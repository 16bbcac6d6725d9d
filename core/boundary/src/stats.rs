// SPDX-License-Identifier: Apache-2.0
//! Figures of a store, in both forms.

use sabir_abi::sabir_store_stats;

/// Figures of a store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Entries that exist.
    pub live_records: u64,
    /// Bytes of the records that exist, each once.
    pub live_bytes: u64,
    /// Bytes that the store occupies on its medium.
    pub used_bytes: u64,
    /// Bytes that it may still occupy; `u64::MAX`: unknown.
    pub free_bytes: u64,
    /// Syncs since it was opened.
    pub syncs: u64,
    /// Bytes written since it was opened.
    pub written_bytes: u64,
    /// Memory that the store's index takes, in bytes.
    pub index_bytes: u64,
}

impl Stats {
    /// The C form.
    pub fn to_abi(self) -> sabir_store_stats {
        sabir_store_stats {
            struct_size: size_of::<sabir_store_stats>() as u32,
            flags: 0,
            live_records: self.live_records,
            live_bytes: self.live_bytes,
            used_bytes: self.used_bytes,
            free_bytes: self.free_bytes,
            syncs: self.syncs,
            written_bytes: self.written_bytes,
            index_bytes: self.index_bytes,
        }
    }

    /// The Rust form.
    pub fn from_abi(raw: &sabir_store_stats) -> Self {
        Stats {
            live_records: raw.live_records,
            live_bytes: raw.live_bytes,
            used_bytes: raw.used_bytes,
            free_bytes: raw.free_bytes,
            syncs: raw.syncs,
            written_bytes: raw.written_bytes,
            index_bytes: raw.index_bytes,
        }
    }
}
