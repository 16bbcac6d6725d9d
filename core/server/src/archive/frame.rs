// SPDX-License-Identifier: Apache-2.0
//! The frames of an exported store. Whatever is read is untrusted: cut, flipped, or somebody else's file.

use bytes::Bytes;
use std::io::{self, Read, Write};

/// First bytes of the file.
pub const MAGIC: [u8; 8] = *b"SABIREXP";
/// Version of the form that is written, and the only one that is read.
pub const VERSION: u32 = 1;

/// Longest piece of a record or value in one frame.
pub const PIECE_BYTES: usize = 1 << 20;
/// Longest label, and longest key, as the store's contract has it.
const LABEL_BYTES: usize = 65_535;
/// Numbers in front of label and piece.
const FIXED_BYTES: usize = 32;
/// Longest payload of a frame.
const PAYLOAD_BYTES: usize = FIXED_BYTES + LABEL_BYTES + PIECE_BYTES;

const LOG: u8 = 1;
const ENTRY: u8 = 2;
const LINK: u8 = 3;
const KEY: u8 = 4;
const MORE: u8 = 5;
const END: u8 = 6;

/// What a file holds, counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Totals {
    /// Logs.
    pub logs: u64,
    /// Entries with a record of their own.
    pub records: u64,
    /// Entries that share the record of another.
    pub links: u64,
    /// Keys.
    pub keys: u64,
    /// Bytes of the records, each once.
    pub record_bytes: u64,
}

/// What is found in a file, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Item {
    /// A log begins; what follows is its.
    Log {
        /// Its number.
        log: u64,
        /// One more than the highest number that it ever had.
        next_seq: u64,
    },
    /// An entry with its record.
    Entry {
        /// Its number.
        seq: u64,
        /// Numbers covered.
        span: u64,
        /// Format of the record.
        format: u32,
        /// Its label.
        label: Bytes,
        /// The record.
        record: Bytes,
    },
    /// An entry whose record came with another.
    Link {
        /// Its number.
        seq: u64,
        /// Numbers covered: those of the record.
        span: u64,
        /// The log of the other.
        from_log: u64,
        /// The number of the other.
        from_seq: u64,
        /// Its label.
        label: Bytes,
    },
    /// A key.
    Key {
        /// The key.
        key: Bytes,
        /// Its value.
        value: Bytes,
    },
}

/// Why a file cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// It cannot be read at all.
    #[error("reading failed: {0}")]
    Io(#[from] io::Error),
    /// It does not begin as an exported store does.
    #[error("this is no exported store")]
    NotAnExport,
    /// Another version.
    #[error("this was exported in version {0} of the form, and this program reads version {VERSION}")]
    Version(u32),
    /// It ends too early.
    #[error("the file ends in its midst, at byte {0}: it was cut, or the export did not finish")]
    Cut(u64),
    /// A checksum does not fit, or what stands there cannot be.
    #[error("the file is damaged near byte {at}: {what}")]
    Damaged {
        /// Where.
        at: u64,
        /// In what way.
        what: &'static str,
    },
}

/// The checksum of a frame: over its place in the order of frames too, so that none can be missing.
fn checksum(index: u64, front: &[u8], payload: &[&[u8]]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&MAGIC);
    hasher.update(&VERSION.to_le_bytes());
    hasher.update(&index.to_le_bytes());
    hasher.update(front);
    payload.iter().for_each(|part| hasher.update(part));
    hasher.finalize()
}

/// Writes a file.
#[derive(Debug)]
pub struct Writer<W> {
    to: W,
    index: u64,
    totals: Totals,
    /// Bytes of the record or value at hand that are still to come.
    missing: u64,
}

impl<W: Write> Writer<W> {
    /// Begins a file.
    pub fn new(mut to: W) -> io::Result<Self> {
        to.write_all(&MAGIC)?;
        to.write_all(&VERSION.to_le_bytes())?;
        to.write_all(&[0; 4])?;
        Ok(Writer { to, index: 0, totals: Totals::default(), missing: 0 })
    }

    fn frame(&mut self, kind: u8, payload: &[&[u8]]) -> io::Result<()> {
        let len: usize = payload.iter().map(|part| part.len()).sum();
        let len = u32::try_from(len).map_err(|_| io::Error::other("a frame that is too long"))?;
        let front = [&[kind, 0, 0, 0][..], &len.to_le_bytes()].concat();
        self.to.write_all(&front)?;
        payload.iter().try_for_each(|part| self.to.write_all(part))?;
        self.to.write_all(&checksum(self.index, &front, payload).to_le_bytes())?;
        self.index += 1;
        Ok(())
    }

    /// A log begins.
    pub fn log(&mut self, log: u64, next_seq: u64) -> io::Result<()> {
        self.totals.logs += 1;
        self.frame(LOG, &[&log.to_le_bytes(), &next_seq.to_le_bytes()])
    }

    /// An entry with the first bytes of its record, which is `len` bytes long; the rest is given to [`Writer::more`].
    pub fn entry(
        &mut self,
        seq: u64,
        span: u64,
        format: u32,
        label: &[u8],
        len: u64,
        front: &[u8],
    ) -> io::Result<()> {
        self.totals.records += 1;
        self.totals.record_bytes += len;
        let numbers = [&seq.to_le_bytes()[..], &span.to_le_bytes(), &format.to_le_bytes()].concat();
        let label_len = (label.len() as u32).to_le_bytes();
        let piece = front.get(..PIECE_BYTES).unwrap_or(front);
        self.frame(ENTRY, &[&numbers, &label_len, &len.to_le_bytes(), label, piece])?;
        self.missing = len.saturating_sub(piece.len() as u64);
        self.more(front.get(piece.len()..).unwrap_or_default())
    }

    /// An entry whose record was written with another.
    pub fn link(
        &mut self,
        seq: u64,
        span: u64,
        (from_log, from_seq): (u64, u64),
        label: &[u8],
    ) -> io::Result<()> {
        self.totals.links += 1;
        let numbers = [seq, span, from_log, from_seq].map(u64::to_le_bytes).concat();
        self.frame(LINK, &[&numbers, label])
    }

    /// A key with its value.
    pub fn key(&mut self, key: &[u8], value: &[u8]) -> io::Result<()> {
        self.totals.keys += 1;
        let (key_len, value_len) = ((key.len() as u32).to_le_bytes(), (value.len() as u64).to_le_bytes());
        let piece = value.get(..PIECE_BYTES).unwrap_or(value);
        self.frame(KEY, &[&key_len, &value_len, key, piece])?;
        self.missing = (value.len() - piece.len()) as u64;
        self.more(value.get(piece.len()..).unwrap_or_default())
    }

    /// More bytes of the record at hand.
    pub fn more(&mut self, bytes: &[u8]) -> io::Result<()> {
        for piece in bytes.chunks(PIECE_BYTES) {
            self.missing = self
                .missing
                .checked_sub(piece.len() as u64)
                .ok_or_else(|| io::Error::other("more bytes than the record has"))?;
            self.frame(MORE, &[piece])?;
        }
        Ok(())
    }

    /// Bytes of the record at hand that are still to come.
    pub fn missing(&self) -> u64 {
        self.missing
    }

    /// Ends the file. Without this it is not whole.
    pub fn finish(mut self) -> io::Result<(W, Totals)> {
        let Totals { logs, records, links, keys, record_bytes } = self.totals;
        let numbers = [logs, records, links, keys, record_bytes].map(u64::to_le_bytes).concat();
        self.frame(END, &[&numbers])?;
        self.to.flush()?;
        Ok((self.to, self.totals))
    }
}

/// Reads a file.
#[derive(Debug)]
pub struct Reader<R> {
    from: R,
    index: u64,
    at: u64,
    totals: Totals,
    ended: bool,
    payload: Vec<u8>,
}

/// Numbers at the front of a payload.
struct Numbers<'a>(&'a [u8]);

impl<'a> Numbers<'a> {
    fn u64(&mut self) -> Option<u64> {
        let (number, rest) = self.0.split_first_chunk::<8>()?;
        self.0 = rest;
        Some(u64::from_le_bytes(*number))
    }

    fn u32(&mut self) -> Option<u32> {
        let (number, rest) = self.0.split_first_chunk::<4>()?;
        self.0 = rest;
        Some(u32::from_le_bytes(*number))
    }

    fn bytes(&mut self, len: u32) -> Option<&'a [u8]> {
        let (bytes, rest) = self.0.split_at_checked(usize::try_from(len).ok()?)?;
        self.0 = rest;
        Some(bytes)
    }
}

impl<R: Read> Reader<R> {
    /// Begins to read.
    pub fn new(mut from: R) -> Result<Self, FrameError> {
        let mut front = [0; 16];
        fill(&mut from, &mut front, 0).map_err(|error| match error {
            FrameError::Cut(_) => FrameError::NotAnExport,
            other => other,
        })?;
        let mut numbers = Numbers(front.strip_prefix(&MAGIC[..]).ok_or(FrameError::NotAnExport)?);
        match numbers.u32() {
            Some(VERSION) => {}
            Some(other) => return Err(FrameError::Version(other)),
            None => return Err(FrameError::NotAnExport),
        }
        let totals = Totals::default();
        Ok(Reader { from, index: 0, at: 16, totals, ended: false, payload: Vec::new() })
    }

    /// Bytes read so far.
    pub fn position(&self) -> u64 {
        self.at
    }

    /// What was read so far.
    pub fn totals(&self) -> Totals {
        self.totals
    }

    /// The next item; `None`: the file is whole, and at its end.
    pub fn next_item(&mut self) -> Result<Option<Item>, FrameError> {
        if self.ended {
            return Ok(None);
        }
        let start = self.at;
        let damaged = |what| FrameError::Damaged { at: start, what };
        let kind = self.frame()?;
        let payload = std::mem::take(&mut self.payload);
        let mut numbers = Numbers(&payload);
        let item = match kind {
            LOG => {
                self.totals.logs += 1;
                numbers.u64().zip(numbers.u64()).map(|(log, next_seq)| Item::Log { log, next_seq })
            }
            ENTRY => self.entry(&mut numbers)?,
            LINK => {
                self.totals.links += 1;
                link(&mut numbers)
            }
            KEY => self.key(&mut numbers)?,
            END => {
                let counted = end(&mut numbers).ok_or_else(|| damaged("its end is cut"))?;
                if counted != self.totals {
                    return Err(damaged("it does not hold what its end says"));
                }
                if self.from.read(&mut [0])? != 0 {
                    return Err(damaged("something follows its end"));
                }
                self.ended = true;
                return Ok(None);
            }
            _ => None,
        };
        self.payload = payload;
        item.map(Some).ok_or_else(|| damaged("what stands there is no frame of this form"))
    }

    fn entry(&mut self, numbers: &mut Numbers<'_>) -> Result<Option<Item>, FrameError> {
        let mut fields = || {
            let (seq, span, format) = (numbers.u64()?, numbers.u64()?, numbers.u32()?);
            let (label_len, len) = (numbers.u32()?, numbers.u64()?);
            let label = Bytes::copy_from_slice(numbers.bytes(label_len)?);
            Some((seq, span, format, label, len))
        };
        let Some((seq, span, format, label, len)) = fields() else { return Ok(None) };
        let record = self.joined(numbers.0, len)?;
        self.totals.records += 1;
        self.totals.record_bytes += len;
        Ok(Some(Item::Entry { seq, span, format, label, record }))
    }

    fn key(&mut self, numbers: &mut Numbers<'_>) -> Result<Option<Item>, FrameError> {
        let mut fields = || {
            let (key_len, len) = (numbers.u32()?, numbers.u64()?);
            Some((Bytes::copy_from_slice(numbers.bytes(key_len)?), len))
        };
        let Some((key, len)) = fields() else { return Ok(None) };
        let value = self.joined(numbers.0, len)?;
        self.totals.keys += 1;
        Ok(Some(Item::Key { key, value }))
    }

    /// A record or value of so many bytes, of which the first are here. Memory grows only with what is really there.
    fn joined(&mut self, front: &[u8], len: u64) -> Result<Bytes, FrameError> {
        let mut bytes = front.to_vec();
        while (bytes.len() as u64) < len {
            let at = self.at;
            match self.frame()? {
                MORE => bytes.extend_from_slice(&self.payload),
                _ => return Err(FrameError::Damaged { at, what: "a piece of a record is missing" }),
            }
        }
        match bytes.len() as u64 == len {
            true => Ok(bytes.into()),
            false => Err(FrameError::Damaged { at: self.at, what: "a record is longer than it should be" }),
        }
    }

    /// Reads a frame into `payload`; answers its kind.
    fn frame(&mut self) -> Result<u8, FrameError> {
        let start = self.at;
        let damaged = |what| Err(FrameError::Damaged { at: start, what });
        let mut front = [0; 8];
        self.fill(&mut front)?;
        let [kind, zeros @ .., a, b, c, d] = front;
        let len = usize::try_from(u32::from_le_bytes([a, b, c, d])).unwrap_or(usize::MAX);
        if zeros != [0; 3] || len > PAYLOAD_BYTES {
            return damaged("what stands there is no frame of this form");
        }
        let mut payload = std::mem::take(&mut self.payload);
        payload.resize(len, 0);
        self.fill(&mut payload)?;
        let mut crc = [0; 4];
        self.fill(&mut crc)?;
        if u32::from_le_bytes(crc) != checksum(self.index, &front, &[&payload]) {
            return damaged("a checksum does not fit");
        }
        self.payload = payload;
        self.index += 1;
        Ok(kind)
    }

    fn fill(&mut self, into: &mut [u8]) -> Result<(), FrameError> {
        fill(&mut self.from, into, self.at)?;
        self.at += into.len() as u64;
        Ok(())
    }
}

fn fill(from: &mut impl Read, into: &mut [u8], at: u64) -> Result<(), FrameError> {
    from.read_exact(into).map_err(|error| match error.kind() {
        io::ErrorKind::UnexpectedEof => FrameError::Cut(at),
        _ => FrameError::Io(error),
    })
}

fn link(numbers: &mut Numbers<'_>) -> Option<Item> {
    let (seq, span, from_log, from_seq) = (numbers.u64()?, numbers.u64()?, numbers.u64()?, numbers.u64()?);
    Some(Item::Link { seq, span, from_log, from_seq, label: Bytes::copy_from_slice(numbers.0) })
}

fn end(numbers: &mut Numbers<'_>) -> Option<Totals> {
    Some(Totals {
        logs: numbers.u64()?,
        records: numbers.u64()?,
        links: numbers.u64()?,
        keys: numbers.u64()?,
        record_bytes: numbers.u64()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Vec<u8> {
        let large = vec![7; PIECE_BYTES * 2 + 5];
        let mut writer = Writer::new(Vec::new()).unwrap();
        writer.log(3, 100).unwrap();
        writer.entry(7, 1, 0, b"label", 4, b"body").unwrap();
        writer.entry(8, 5, 9, b"", large.len() as u64, &large[..100]).unwrap();
        writer.more(&large[100..]).unwrap();
        writer.log(4, 1).unwrap();
        writer.link(0, 1, (3, 7), b"other").unwrap();
        writer.key(b"k", b"").unwrap();
        writer.finish().unwrap().0
    }

    fn items(bytes: &[u8]) -> Result<Vec<Item>, FrameError> {
        let mut reader = Reader::new(bytes)?;
        let mut found = Vec::new();
        while let Some(item) = reader.next_item()? {
            found.push(item);
        }
        Ok(found)
    }

    #[test]
    fn what_was_written_is_read_back_in_order() {
        let found = items(&sample()).unwrap();
        assert_eq!(found.len(), 6);
        assert_eq!(found[0], Item::Log { log: 3, next_seq: 100 });
        let label = Bytes::from_static(b"label");
        let record = Bytes::from_static(b"body");
        assert_eq!(found[1], Item::Entry { seq: 7, span: 1, format: 0, label, record });
        let Item::Entry { record, span: 5, format: 9, .. } = &found[2] else { panic!("{:?}", found[2]) };
        assert!(record.len() == PIECE_BYTES * 2 + 5 && record.iter().all(|byte| *byte == 7));
        let label = Bytes::from_static(b"other");
        assert_eq!(found[4], Item::Link { seq: 0, span: 1, from_log: 3, from_seq: 7, label });
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_noticed() {
        let mut writer = Writer::new(Vec::new()).unwrap();
        writer.log(3, 100).unwrap();
        writer.entry(7, 1, 0, b"label", 4, b"body").unwrap();
        writer.key(b"k", b"value").unwrap();
        let bytes = writer.finish().unwrap().0;
        // The four zeros of the head are nobody's.
        for at in (0..bytes.len()).filter(|at| !(12..16).contains(at)) {
            let mut flipped = bytes.clone();
            flipped[at] ^= 1 << (at % 8);
            assert!(items(&flipped).is_err(), "byte {at}");
            assert!(items(&bytes[..at]).is_err(), "cut at {at}");
        }
        assert!(items(&[&bytes[..], b"x"].concat()).is_err(), "and something behind it");
    }

    #[test]
    fn frames_that_change_places_are_noticed() {
        let mut writer = Writer::new(Vec::new()).unwrap();
        writer.key(b"a", b"1").unwrap();
        writer.key(b"b", b"2").unwrap();
        let bytes = writer.finish().unwrap().0;
        let len = 8 + 12 + 2 + 4;
        let [first, second] = [16..16 + len, 16 + len..16 + 2 * len].map(|range| bytes[range].to_vec());
        let swapped = [&bytes[..16], &second, &first, &bytes[16 + 2 * len..]].concat();
        assert!(matches!(items(&swapped), Err(FrameError::Damaged { at: 16, .. })));
    }

    #[test]
    fn another_version_and_other_files_are_named() {
        let mut newer = sample();
        newer[8] = 2;
        assert!(matches!(items(&newer), Err(FrameError::Version(2))));
        for other in [&b""[..], b"SABIR", b"#!/bin/sh\necho hello\n"] {
            assert!(matches!(items(other), Err(FrameError::NotAnExport)));
        }
    }
}
