// SPDX-License-Identifier: Apache-2.0
//! How a batch begins, how damage of that is mended, and how batches follow each other.
//!
//! The header is there twice. The operations have a *guard*, columns of exclusive ors over them: with it, and their
//! checksum to tell when it is right, one damaged stretch that is no longer than half the guard is made good.

use super::{BATCH_ALIGN, Place, SECTOR, align, checksum, u32_at, u64_at};
use std::borrow::Cow;

/// Bytes of a batch's header.
pub const HEADER_LEN: usize = 48;

/// First bytes of a batch.
pub const MAGIC: [u8; 4] = *b"SjB1";

/// Bytes of the header and its copy.
pub const FRONT_LEN: usize = 2 * HEADER_LEN;

// A guard is at least so long, unless there are fewer operations; and at most so many rows of it are compared.
const GUARD_LEAST: u64 = 256;
const GUARD_ROWS: u64 = 256;

/// Bytes of the guard of so many bytes of operations.
pub const fn guard_len(ops_len: u64) -> u64 {
    let wide = ops_len.div_ceil(GUARD_ROWS);
    let wide = if wide < GUARD_LEAST { GUARD_LEAST } else { wide };
    if wide < ops_len { wide } else { ops_len }
}

/// Upper bound of what comes before the operations, given one of their length.
pub const fn front_bound(ops_len: u64) -> u64 {
    FRONT_LEN as u64 + GUARD_LEAST + ops_len.div_ceil(GUARD_ROWS)
}

/// Flag: a checkpoint begins with this batch.
pub const FLAG_STATE_BEGIN: u32 = 1;
/// Flag: a checkpoint ends with this batch.
pub const FLAG_STATE_END: u32 = 2;
/// Flag: this batch is a part of a checkpoint, and so changes nothing for a replay that began before.
pub const FLAG_STATE: u32 = 4;

/// How a batch begins. After it come its copy, the guard, `ops_len` bytes of operations, then `records_len` bytes of records.
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

    /// What comes before the operations: the header, its copy, and their guard.
    pub fn front(&self, seed: u32, ops: &[u8]) -> Vec<u8> {
        let header = self.encode(seed);
        let mut out = Vec::with_capacity(self.ops_at() as usize);
        out.extend_from_slice(&header);
        out.extend_from_slice(&header);
        guard(ops, &mut out);
        out
    }

    /// Reads the header at the start of `bytes`, or its copy behind it; `None`: neither is whole and belongs here.
    pub fn decode(bytes: &[u8], place: Place) -> Option<Self> {
        Self::decode_one(bytes, place).or_else(|| Self::decode_one(bytes.get(HEADER_LEN..)?, place))
    }

    fn decode_one(bytes: &[u8], place: Place) -> Option<Self> {
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
        align(self.records_at().saturating_add(self.records_len).min(1 << 62), BATCH_ALIGN)
    }

    /// Where the operations begin, counted from the batch's first byte.
    pub fn ops_at(&self) -> u64 {
        FRONT_LEN as u64 + guard_len(u64::from(self.ops_len))
    }

    /// Where the records begin, counted from the batch's first byte.
    pub fn records_at(&self) -> u64 {
        self.ops_at() + u64::from(self.ops_len)
    }

    /// The operations of the batch at the start of `bytes`, and whether all before the records is as it was written;
    /// if not, what could be mended is. `None`: the operations are cut off or damaged.
    pub fn ops<'a>(&self, bytes: &'a [u8], seed: u32) -> Option<(Cow<'a, [u8]>, bool)> {
        let (from, to) = (usize::try_from(self.ops_at()).ok()?, usize::try_from(self.records_at()).ok()?);
        let ops = bytes.get(from..to)?;
        let guard = bytes.get(FRONT_LEN..from)?;
        if checksum(seed, ops) == self.ops_crc {
            return Some((Cow::Borrowed(ops), bytes.get(..HEADER_LEN) == bytes.get(HEADER_LEN..FRONT_LEN)));
        }
        let mut mended = ops.to_vec();
        mend(&mut mended, guard, seed, self.ops_crc).then_some((Cow::Owned(mended), false))
    }
}

fn fold(ops: &[u8], guard: &mut [u8]) {
    for row in ops.chunks(guard.len().max(1)) {
        guard.iter_mut().zip(row).for_each(|(column, byte)| *column ^= byte);
    }
}

/// Appends the guard of these operations.
fn guard(ops: &[u8], out: &mut Vec<u8>) {
    let start = out.len();
    out.resize(start + guard_len(ops.len() as u64) as usize, 0);
    fold(ops, out.get_mut(start..).unwrap_or_default());
}

// Makes one damaged stretch good. What differs in the guard tells the damaged columns and how they differ; which row they
// are in, the checksum tells.
fn mend(ops: &mut [u8], guard: &[u8], seed: u32, crc: u32) -> bool {
    let mut differs = guard.to_vec();
    fold(ops, &mut differs);
    let width = differs.len();
    let damaged: Vec<usize> = (0..width).filter(|column| differs.get(*column) != Some(&0)).collect();
    let (Some(first), Some(last)) = (damaged.first().copied(), damaged.last().copied()) else {
        return false;
    };
    // Of a short stretch the longest gap is what it leaves free: it begins behind that; columns before that are in the row after it.
    let mut start = first;
    let mut longest = first + width - last;
    for pair in damaged.windows(2) {
        if let [before, after] = pair
            && after - before > longest
        {
            (start, longest) = (*after, after - before);
        }
    }
    let one_row = width == ops.len();
    for row in 0..ops.len().div_ceil(width) {
        let flip = |ops: &mut [u8]| {
            for column in &damaged {
                let row = if *column < start && !one_row { row + 1 } else { row };
                if let (Some(byte), Some(differs)) = (ops.get_mut(row * width + column), differs.get(*column))
                {
                    *byte ^= differs;
                }
            }
        };
        flip(ops);
        if checksum(seed, ops) == crc {
            return true;
        }
        flip(ops);
    }
    false
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

    fn batch(ops: &[u8]) -> (BatchHeader, Vec<u8>) {
        let seed = place().seed();
        let header = BatchHeader {
            ops_len: ops.len() as u32,
            ops_crc: checksum(seed, ops),
            records_len: 0,
            ..header()
        };
        let mut bytes = header.front(seed, ops);
        bytes.extend_from_slice(ops);
        (header, bytes)
    }

    #[test]
    fn any_damaged_byte_before_the_records_is_mended() {
        for len in [1, 7, 255, 256, 257, 600, 3000] {
            let ops: Vec<u8> = (0..len).map(|n| (n * 37 % 251) as u8).collect();
            let (header, bytes) = batch(&ops);
            assert_eq!(bytes.len() as u64, header.records_at());
            for at in 0..bytes.len() {
                let mut damaged = bytes.clone();
                damaged[at] ^= 0x5a;
                let found = BatchHeader::decode(&damaged, place()).expect("the header or its copy");
                assert_eq!(found, header, "byte {at} of {len}");
                let (mended, _) = found.ops(&damaged, place().seed()).expect("operations");
                assert_eq!(mended, ops, "byte {at} of {len}");
            }
        }
    }

    #[test]
    fn a_damaged_stretch_half_as_long_as_the_guard_is_mended_wherever_it_is_and_two_are_noticed() {
        let ops: Vec<u8> = (0..5000u32).map(|n| (n * n % 253) as u8).collect();
        let (header, bytes) = batch(&ops);
        let from = header.ops_at() as usize;
        for at in (from..bytes.len() - 128).step_by(61) {
            let mut damaged = bytes.clone();
            damaged[at..at + 128].iter_mut().enumerate().for_each(|(n, byte)| *byte ^= n as u8 | 1);
            let (mended, whole) = header.ops(&damaged, place().seed()).expect("operations");
            assert!(mended == ops && !whole, "byte {at}");
            damaged[if at > from + 1000 { from } else { bytes.len() - 300 }] ^= 1;
            assert!(header.ops(&damaged, place().seed()).is_none(), "byte {at} and another");
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
