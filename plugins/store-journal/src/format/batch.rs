// SPDX-License-Identifier: Apache-2.0
//! The header of a batch, and how batches follow each other.

use super::{BATCH_ALIGN, Place, SECTOR, align, checksum, u32_at, u64_at};

/// Bytes of a batch's header.
pub const HEADER_LEN: usize = 48;

/// First bytes of a batch.
pub const MAGIC: [u8; 4] = *b"SjB1";

/// Flag: a checkpoint begins with this batch.
pub const FLAG_STATE_BEGIN: u32 = 1;
/// Flag: a checkpoint ends with this batch.
pub const FLAG_STATE_END: u32 = 2;

/// How a batch begins. After it come `ops_len` bytes of operations, then `records_len` bytes of records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchHeader {
    /// Number of the batch: 1 for the first of the store, growing by 1.
    pub number: u64,
    /// Number of the last batch that was durable when this one was written.
    pub durable: u64,
    /// Bytes of operations.
    pub ops_len: u32,
    /// Checksum of the operations.
    pub ops_crc: u32,
    /// Bytes of records.
    pub records_len: u64,
    /// `FLAG_*`.
    pub flags: u32,
}

impl BatchHeader {
    /// The header's bytes, for a place with this seed.
    pub fn encode(&self, seed: u32) -> [u8; HEADER_LEN] {
        let mut out = [0u8; HEADER_LEN];
        out[..4].copy_from_slice(&MAGIC);
        out[8..16].copy_from_slice(&self.number.to_le_bytes());
        out[16..24].copy_from_slice(&self.durable.to_le_bytes());
        out[24..28].copy_from_slice(&self.ops_len.to_le_bytes());
        out[28..32].copy_from_slice(&self.ops_crc.to_le_bytes());
        out[32..40].copy_from_slice(&self.records_len.to_le_bytes());
        out[40..44].copy_from_slice(&self.flags.to_le_bytes());
        let crc = checksum(seed, &out[8..]);
        out[4..8].copy_from_slice(&crc.to_le_bytes());
        out
    }

    /// Reads the header at the start of `bytes`; `None`: there is none that is whole and belongs here.
    pub fn decode(bytes: &[u8], place: Place) -> Option<Self> {
        let bytes = bytes.get(..HEADER_LEN)?;
        if !bytes.starts_with(&MAGIC) || u32_at(bytes, 4)? != checksum(place.seed(), bytes.get(8..)?) {
            return None;
        }
        Some(BatchHeader {
            number: u64_at(bytes, 8)?,
            durable: u64_at(bytes, 16)?,
            ops_len: u32_at(bytes, 24)?,
            ops_crc: u32_at(bytes, 28)?,
            records_len: u64_at(bytes, 32)?,
            flags: u32_at(bytes, 40)?,
        })
    }

    /// Bytes of the whole batch, to where the next one may begin.
    pub fn total_len(&self) -> u64 {
        align(HEADER_LEN as u64 + u64::from(self.ops_len) + self.records_len, BATCH_ALIGN)
    }

    /// Where the records begin, counted from the batch's first byte.
    pub fn records_at(&self) -> u64 {
        HEADER_LEN as u64 + u64::from(self.ops_len)
    }
}

/// The places where the batch after one that ends at `end` may begin: right there, or, where a write ended, at the
/// next sector.
pub fn next_starts(end: u64) -> [u64; 2] {
    [end, align(end, SECTOR)]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place() -> Place {
        Place { store: [1; 16], epoch: 2, file: 3, offset: 4096 }
    }

    fn header() -> BatchHeader {
        BatchHeader { number: 9, durable: 7, ops_len: 100, ops_crc: 5, records_len: 1000, flags: 1 }
    }

    #[test]
    fn a_header_counts_only_at_its_own_place() {
        let bytes = header().encode(place().seed());
        assert_eq!(BatchHeader::decode(&bytes, place()), Some(header()));
        let elsewhere = [
            Place { offset: 4104, ..place() },
            Place { file: 4, ..place() },
            Place { epoch: 1, ..place() },
            Place { store: [2; 16], ..place() },
        ];
        for place in elsewhere {
            assert_eq!(BatchHeader::decode(&bytes, place), None);
        }
    }

    #[test]
    fn any_flipped_bit_of_a_header_is_noticed() {
        let bytes = header().encode(place().seed());
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes;
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(BatchHeader::decode(&flipped, place()), None, "bit {bit}");
        }
    }
}
