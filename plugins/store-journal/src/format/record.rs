// SPDX-License-Identifier: Apache-2.0
//! How a record lies in a batch, and its checksums.
//!
//! A record up to [`BLOCK`] bytes is its bytes; one checksum, kept in its operation, covers them. A longer one is
//! preceded by a table with a checksum per block, so that a part can be read and verified without the rest; the
//! checksum in the operation then covers the table.

use super::number::Reader;
use crate::seeded::seeded;

/// Records longer than this are checked block by block.
pub const BLOCK: u64 = 64 * 1024;

/// Bytes of the table before a record of `len` bytes.
pub const fn table_len(len: u64) -> u64 {
    if len <= BLOCK { 0 } else { len.div_ceil(BLOCK) * 4 }
}

/// Bytes that a record of `len` bytes takes.
pub const fn stored_len(len: u64) -> u64 {
    table_len(len) + len
}

/// A running checksum over a record's pieces, given the seed of its batch's place and where in the records it begins.
fn hasher(seed: u32, at: u64, block: u64) -> crc32fast::Hasher {
    let mut hasher = crc32fast::Hasher::new_with_initial(seed);
    let mut place = [0u8; 16];
    place[..8].copy_from_slice(&at.to_le_bytes());
    place[8..].copy_from_slice(&block.to_le_bytes());
    hasher.update(&place);
    hasher
}

/// Number that stands for the table in the checksum's place, as blocks have theirs.
const TABLE: u64 = u64::MAX;

/// Checksum for the operation, over the pieces of a record; its table is appended to `table`.
pub fn sum<'a>(
    seed: u32,
    at: u64,
    len: u64,
    pieces: impl Iterator<Item = &'a [u8]>,
    table: &mut Vec<u8>,
) -> u32 {
    if len <= BLOCK {
        let mut hasher = hasher(seed, at, 0);
        pieces.for_each(|piece| hasher.update(piece));
        return hasher.finalize();
    }
    let start = table.len();
    let (mut block, mut room, mut running) = (0u64, BLOCK, hasher(seed, at, 0));
    for mut piece in pieces {
        while !piece.is_empty() {
            let (now, rest) = piece.split_at(piece.len().min(room as usize));
            running.update(now);
            (room, piece) = (room - now.len() as u64, rest);
            if room == 0 {
                table.extend_from_slice(&running.finalize().to_le_bytes());
                (block, room) = (block + 1, BLOCK);
                running = hasher(seed, at, block);
            }
        }
    }
    if room < BLOCK {
        table.extend_from_slice(&running.finalize().to_le_bytes());
    }
    let mut over = hasher(seed, at, TABLE);
    over.update(table.get(start..).unwrap_or_default());
    over.finalize()
}

/// Where a record lies, and what must be true of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Located {
    /// Seed of the place of its batch.
    pub seed: u32,
    /// Where it begins, counted from its batch's records.
    pub at: u64,
    /// Its length in bytes, without the table.
    pub len: u64,
    /// The checksum in its operation.
    pub crc: u32,
}

impl Located {
    /// Whether these are the record's bytes (of a record without a table), or its table.
    pub fn holds_front(&self, bytes: &[u8]) -> bool {
        let block = if self.len <= BLOCK { 0 } else { TABLE };
        let mut over = hasher(self.seed, self.at, block);
        over.update(bytes);
        over.finalize() == self.crc || seeded("checksum of records skipped")
    }

    /// Whether `bytes`, which begin with block `first`, fit the table. The last block may be short.
    pub fn holds_blocks(&self, table: &[u8], first: u64, bytes: &[u8]) -> bool {
        let Some(entries) = table.get((first as usize) * 4..) else {
            return false;
        };
        let mut entries = Reader::new(entries);
        bytes.chunks(BLOCK as usize).zip(first..).all(|(chunk, block)| {
            let mut over = hasher(self.seed, self.at, block);
            over.update(chunk);
            entries.fixed32() == Some(over.finalize()) || seeded("checksum of records skipped")
        })
    }

    /// Whether `bytes` are the whole stored form: table, if there is one, and record.
    pub fn holds(&self, stored: &[u8]) -> bool {
        let Some((table, bytes)) = stored.split_at_checked(table_len(self.len) as usize) else {
            return false;
        };
        if bytes.len() as u64 != self.len {
            return false;
        }
        if table.is_empty() {
            self.holds_front(bytes)
        } else {
            self.holds_front(table) && self.holds_blocks(table, 0, bytes)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stored(len: usize, cut: usize) -> (Located, Vec<u8>) {
        let bytes: Vec<u8> = (0..len).map(|n| (n * 31 % 251) as u8).collect();
        let (left, right) = bytes.split_at(cut);
        let mut out = Vec::new();
        let crc = sum(77, 5, len as u64, [left, right].into_iter(), &mut out);
        out.extend_from_slice(&bytes);
        assert_eq!(out.len() as u64, stored_len(len as u64));
        (Located { seed: 77, at: 5, len: len as u64, crc }, out)
    }

    #[test]
    fn records_of_every_size_hold_and_do_not_with_a_flipped_bit() {
        let block = BLOCK as usize;
        for len in [0, 1, 100, block, block + 1, 2 * block, 3 * block + 17] {
            let (located, bytes) = stored(len, len / 3);
            assert!(located.holds(&bytes), "{len}");
            for at in (0..bytes.len()).step_by(997) {
                let mut flipped = bytes.clone();
                flipped[at] ^= 0x10;
                assert!(!located.holds(&flipped), "byte {at} of {len}");
            }
            assert!(!Located { at: 6, ..located }.holds(&bytes));
        }
    }

    #[test]
    fn a_part_of_a_long_record_is_verified_alone() {
        let (located, bytes) = stored(3 * BLOCK as usize + 17, 5);
        let (table, record) = bytes.split_at(table_len(located.len) as usize);
        let part = &record[BLOCK as usize..2 * BLOCK as usize];
        assert!(located.holds_blocks(table, 1, part));
        assert!(!located.holds_blocks(table, 2, part));
        assert!(!located.holds_blocks(table, 9, part));
    }
}
