// SPDX-License-Identifier: Apache-2.0
//! Names of the files of a journal, and the header with which a data file begins.

use super::{StoreId, VERSION, checksum, u32_at, u64_at};

/// Bytes of a data file before its first batch.
pub const HEADER_LEN: u64 = 4096;

/// First bytes of a data file.
pub const MAGIC: [u8; 8] = *b"SABIRJNL";

// The header is there twice.
const COPY_LEN: usize = HEADER_LEN as usize / 2;

// Where the seals begin, and how many find room before the checksum.
const SEALS_AT: usize = 96;
const SEALS_MAX: usize = 120;
const CRC_AT: usize = COPY_LEN - 4;

/// Flag of a file: it holds entries that were moved there. Its batches are none of the log's, and it grows.
pub const FLAG_MOVED: u32 = 1;

/// Name of the file that is locked.
pub const LOCK: &str = "lock";
/// Name of the file that says where the last checkpoint is.
pub const POINTER: &str = "checkpoint";
/// How names begin of what was put aside because it is damaged: never read, never removed.
pub const ASIDE: &str = "damaged-";
/// Name under which the next [`POINTER`] is written.
pub const POINTER_NEW: &str = "checkpoint.new";

/// What a file is, by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Batches.
    Data {
        /// The epoch that writes it.
        epoch: u64,
        /// Its number.
        file: u32,
    },
    /// Being made; means nothing until it is renamed.
    Making,
    /// Emptied, waiting to become a data file again.
    Spare,
    /// Batches of temporary logs.
    Temporary,
    /// One of the fixed names.
    Fixed,
}

impl Role {
    /// What the name says; `None`: it is none of a journal's.
    pub fn of(name: &str) -> Option<Role> {
        if [LOCK, POINTER, POINTER_NEW].contains(&name) {
            return Some(Role::Fixed);
        }
        let (role, numbers) = name.strip_suffix(".sjl")?.split_once('-')?;
        let (epoch, file) = numbers.split_once('-')?;
        if epoch.len() != 16 || file.len() != 8 {
            return None;
        }
        let (epoch, file) = (u64::from_str_radix(epoch, 16).ok()?, u32::from_str_radix(file, 16).ok()?);
        match role {
            "data" => Some(Role::Data { epoch, file }),
            "making" => Some(Role::Making),
            "spare" => Some(Role::Spare),
            "temp" => Some(Role::Temporary),
            _ => None,
        }
    }
}

/// Name of a file with a role, an epoch and a number.
pub fn name(role: &str, epoch: u64, file: u32) -> String {
    format!("{role}-{epoch:016x}-{file:08x}.sjl")
}

/// Name of a data file.
pub fn data_name(epoch: u64, file: u32) -> String {
    name("data", epoch, file)
}

/// Where an epoch ended: its batches beyond this number never counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seal {
    /// The epoch.
    pub epoch: u64,
    /// Number of the last batch that counts.
    pub last_batch: u64,
}

/// How a data file begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileHeader {
    /// The store it belongs to.
    pub store: StoreId,
    /// The epoch that writes it.
    pub epoch: u64,
    /// Its number: files are written in the order of their numbers.
    pub file: u32,
    /// `FLAG_*`.
    pub flags: u32,
    /// Its length in bytes; where it ends at the latest, if it grows.
    pub size_bytes: u64,
    /// Ends of earlier epochs that still have files, oldest first.
    pub seals: Vec<Seal>,
}

/// Why a header was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HeaderError {
    /// It does not begin as a data file does.
    NotAJournal,
    /// It was written by another version of the format.
    Version(u32),
    /// Its checksum does not fit.
    Damaged,
}

impl FileHeader {
    /// The header's bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = vec![0u8; COPY_LEN];
        out[..8].copy_from_slice(&MAGIC);
        out[8..12].copy_from_slice(&VERSION.to_le_bytes());
        out[12..16].copy_from_slice(&(HEADER_LEN as u32).to_le_bytes());
        out[16..32].copy_from_slice(&self.store);
        out[32..40].copy_from_slice(&self.epoch.to_le_bytes());
        out[40..44].copy_from_slice(&self.file.to_le_bytes());
        out[44..48].copy_from_slice(&self.flags.to_le_bytes());
        out[48..56].copy_from_slice(&self.size_bytes.to_le_bytes());
        // More epochs than find room have files only after hundreds of starts without a checkpoint; an older
        // epoch's end is then bounded by its successors'.
        let seals = &self.seals[self.seals.len().saturating_sub(SEALS_MAX)..];
        out[56..60].copy_from_slice(&(seals.len() as u32).to_le_bytes());
        for (slot, seal) in out[SEALS_AT..CRC_AT].chunks_exact_mut(16).zip(seals) {
            slot[..8].copy_from_slice(&seal.epoch.to_le_bytes());
            slot[8..].copy_from_slice(&seal.last_batch.to_le_bytes());
        }
        let crc = checksum(0, &out[..CRC_AT]);
        out[CRC_AT..].copy_from_slice(&crc.to_le_bytes());
        out.extend_from_within(..);
        out
    }

    /// Reads a header, or its copy; answers too whether both are as they were written.
    pub fn decode(bytes: &[u8]) -> Result<(Self, bool), HeaderError> {
        let copy = bytes.get(COPY_LEN..HEADER_LEN as usize);
        let whole = bytes.get(..COPY_LEN) == copy;
        match Self::decode_one(bytes) {
            Ok(header) => Ok((header, whole)),
            Err(error) => copy
                .map_or(Err(error.clone()), Self::decode_one)
                .map_or(Err(error), |header| Ok((header, false))),
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
        if u32_at(bytes, CRC_AT)? != checksum(0, bytes.get(..CRC_AT)?) {
            return None;
        }
        let count = u32_at(bytes, 56)? as usize;
        let seals = bytes
            .get(SEALS_AT..CRC_AT)?
            .chunks_exact(16)
            .take(count)
            .map(|slot| Some(Seal { epoch: u64_at(slot, 0)?, last_batch: u64_at(slot, 8)? }))
            .collect::<Option<Vec<_>>>()?;
        Some(FileHeader {
            store: bytes.get(16..32)?.try_into().ok()?,
            epoch: u64_at(bytes, 32)?,
            file: u32_at(bytes, 40)?,
            flags: u32_at(bytes, 44)?,
            size_bytes: u64_at(bytes, 48)?,
            seals,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> FileHeader {
        let seals = vec![Seal { epoch: 3, last_batch: 70 }, Seal { epoch: 4, last_batch: 99 }];
        FileHeader { store: [7; 16], epoch: 5, file: 9, flags: FLAG_MOVED, size_bytes: 1 << 20, seals }
    }

    #[test]
    fn headers_come_back_as_they_went_in_and_any_flipped_bit_is_noticed_and_does_no_harm() {
        let bytes = header().encode();
        assert_eq!(FileHeader::decode(&bytes), Ok((header(), true)));
        for at in 0..bytes.len() {
            let mut flipped = bytes.clone();
            flipped[at] ^= 1 << (at % 8);
            assert_eq!(FileHeader::decode(&flipped), Ok((header(), false)), "byte {at}");
            flipped[(at + COPY_LEN) % (2 * COPY_LEN)] ^= 1;
            assert!(FileHeader::decode(&flipped).is_err(), "byte {at} of both");
        }
        assert_eq!(FileHeader::decode(&bytes[..100]), Err(HeaderError::Damaged));
    }

    #[test]
    fn more_seals_than_find_room_keep_the_newest() {
        let mut header = header();
        header.seals = (0..400).map(|n| Seal { epoch: n, last_batch: n }).collect();
        let (back, _) = FileHeader::decode(&header.encode()).unwrap();
        assert_eq!(back.seals.last(), header.seals.last());
        assert_eq!(back.seals.len(), SEALS_MAX);
    }

    #[test]
    fn names_say_what_a_file_is() {
        assert_eq!(Role::of(&data_name(5, 9)), Some(Role::Data { epoch: 5, file: 9 }));
        assert_eq!(Role::of(&name("temp", 5, 9)), Some(Role::Temporary));
        assert_eq!(Role::of("lock"), Some(Role::Fixed));
        for other in ["data-5-9.sjl", "data.sjl", "letter.txt", "data-zzzzzzzzzzzzzzzz-00000001.sjl"] {
            assert_eq!(Role::of(other), None, "{other}");
        }
    }
}
