// SPDX-License-Identifier: Apache-2.0
//! The file that says where the last checkpoint is. It only saves time: the log says the same.

use super::file::HeaderError;
use super::{StoreId, VERSION, checksum, u32_at, u64_at};

/// Length of the file in bytes: all is there twice.
pub const LEN: usize = 256;

const COPY_LEN: usize = LEN / 2;

const MAGIC: [u8; 8] = *b"SABIRCKP";
const CRC_AT: usize = COPY_LEN - 4;

/// Where the last checkpoint is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pointer {
    /// The store.
    pub store: StoreId,
    /// The epoch that wrote this.
    pub epoch: u64,
    /// Number of the batch with which the checkpoint begins.
    pub begin_batch: u64,
    /// Where that batch is in its file.
    pub begin_offset: u64,
    /// The file.
    pub begin_file: u32,
    /// The epoch of that file.
    pub begin_epoch: u64,
    /// Number of the last batch that was durable.
    pub durable: u64,
    /// Whether the store was closed then: no batch follows.
    pub closed: bool,
}

impl Pointer {
    /// The file's bytes.
    pub fn encode(&self) -> [u8; LEN] {
        let mut out = [0u8; LEN];
        out[..8].copy_from_slice(&MAGIC);
        out[8..12].copy_from_slice(&VERSION.to_le_bytes());
        out[12..16].copy_from_slice(&self.begin_file.to_le_bytes());
        out[16..32].copy_from_slice(&self.store);
        out[32..40].copy_from_slice(&self.epoch.to_le_bytes());
        out[40..48].copy_from_slice(&self.begin_batch.to_le_bytes());
        out[48..56].copy_from_slice(&self.begin_offset.to_le_bytes());
        out[56..64].copy_from_slice(&self.begin_epoch.to_le_bytes());
        out[64..72].copy_from_slice(&self.durable.to_le_bytes());
        out[72] = u8::from(self.closed);
        let crc = checksum(0, &out[..CRC_AT]);
        out[CRC_AT..COPY_LEN].copy_from_slice(&crc.to_le_bytes());
        out.copy_within(..COPY_LEN, COPY_LEN);
        out
    }

    /// Reads the file; answers too whether both copies are as they were written.
    pub fn decode(bytes: &[u8]) -> Result<(Self, bool), HeaderError> {
        let (first, copy) = bytes.split_at_checked(COPY_LEN).unwrap_or((bytes, &[]));
        match Self::decode_one(first) {
            Ok(pointer) => Ok((pointer, first == copy)),
            Err(error) => Self::decode_one(copy).map_or(Err(error), |pointer| Ok((pointer, false))),
        }
    }

    fn decode_one(bytes: &[u8]) -> Result<Self, HeaderError> {
        if bytes.get(..8) != Some(&MAGIC) {
            return Err(HeaderError::NotAJournal);
        }
        match u32_at(bytes, 8) {
            Some(VERSION) => {}
            Some(version) => return Err(HeaderError::Version(version)),
            None => return Err(HeaderError::Damaged),
        }
        Self::fields(bytes).ok_or(HeaderError::Damaged)
    }

    fn fields(bytes: &[u8]) -> Option<Self> {
        if bytes.len() != COPY_LEN || u32_at(bytes, CRC_AT)? != checksum(0, bytes.get(..CRC_AT)?) {
            return None;
        }
        Some(Pointer {
            begin_file: u32_at(bytes, 12)?,
            store: bytes.get(16..32)?.try_into().ok()?,
            epoch: u64_at(bytes, 32)?,
            begin_batch: u64_at(bytes, 40)?,
            begin_offset: u64_at(bytes, 48)?,
            begin_epoch: u64_at(bytes, 56)?,
            durable: u64_at(bytes, 64)?,
            closed: *bytes.get(72)? == 1,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pointer_comes_back_as_it_went_in_and_any_flipped_bit_is_noticed_and_does_no_harm() {
        let pointer = Pointer {
            store: [3; 16],
            epoch: 4,
            begin_batch: 5,
            begin_offset: 6,
            begin_file: 7,
            begin_epoch: 2,
            durable: 8,
            closed: true,
        };
        let bytes = pointer.encode();
        assert_eq!(Pointer::decode(&bytes), Ok((pointer, true)));
        for bit in 0..LEN * 8 {
            let mut flipped = bytes;
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Pointer::decode(&flipped), Ok((pointer, false)), "bit {bit}");
            flipped[(bit / 8 + COPY_LEN) % LEN] ^= 1;
            assert!(Pointer::decode(&flipped).is_err(), "bit {bit} of both");
        }
        assert_eq!(Pointer::decode(&bytes[..COPY_LEN]), Ok((pointer, false)));
        assert!(Pointer::decode(&bytes[..COPY_LEN - 1]).is_err());
    }
}
