// SPDX-License-Identifier: Apache-2.0
//! The files of a log: `db-1.log` and so on. Each is a sequence of batches; a batch is a front with length and checksum, and
//! records. Where no batch begins though one should, the next one is looked for.
//!
//! ```text
//!   batch    i32 28, u8 2, "WRITE BATCH", i32 length of what follows, i64 Adler-32 of it (0: none), then records
//!   record   i32 its length with these five bytes, u8 1, then what it says
//!   end      "-qMa4" where the next batch would begin
//! ```
//! Numbers are big-endian.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// How a batch begins.
const BATCH: [u8; 16] = *b"\0\0\0\x1c\x02WRITE BATCH";
/// Length of a batch's front.
const FRONT_BYTES: usize = 28;
/// Length of a record's front.
const RECORD_FRONT_BYTES: usize = 5;
/// What stands where no batch follows.
const END: &[u8; 5] = b"-qMa4";
/// The type of a record that is somebody's.
const USER_RECORD: u8 = 1;
/// Bytes that are searched at a time.
const WINDOW_BYTES: usize = 1 << 20;

/// One file of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogFile {
    /// Its number: records are in the order of these.
    pub number: u32,
    /// Where it is.
    pub path: PathBuf,
}

/// Bytes that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// The file.
    pub file: PathBuf,
    /// First byte.
    pub from: u64,
    /// The byte behind them.
    pub to: u64,
    /// What is wrong.
    pub what: &'static str,
    /// Whether it is the end of the last file, which a broker that was killed leaves unfinished.
    pub at_the_end: bool,
}

/// The files of a directory, in order.
pub fn files(directory: &Path) -> io::Result<Vec<LogFile>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory)? {
        let entry = entry?;
        let name = entry.file_name();
        let number = name.to_str().and_then(|name| name.strip_prefix("db-")?.strip_suffix(".log"));
        if let Some(number) = number.and_then(|number| number.parse().ok()) {
            found.push(LogFile { number, path: entry.path() });
        }
    }
    found.sort_by_key(|file| file.number);
    Ok(found)
}

/// Where a record lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Location {
    /// The number of the file.
    pub file: u32,
    /// First byte of what it says.
    pub offset: u64,
    /// Length of what it says.
    pub len: u32,
}

/// Reads the bytes at a place.
pub fn read_at(file: &File, offset: u64, len: usize) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; len];
    file.read_exact_at(&mut bytes, offset)?;
    Ok(bytes)
}

/// Shows every record of a file, and answers what of it cannot be read. `last`: no file follows.
pub fn read(log: &LogFile, last: bool, visit: &mut dyn FnMut(Location, &[u8])) -> io::Result<Vec<Damage>> {
    let file = File::open(&log.path)?;
    let len = file.metadata()?.len();
    let mut damages = Vec::new();
    let mut at = 0;
    while at < len {
        let batch = read_batch(&file, at, len)?;
        let what = match batch {
            Batch::End => break,
            Batch::Whole(bytes) => {
                let begin = at + FRONT_BYTES as u64;
                at = begin + bytes.len() as u64;
                match records(&bytes, &mut |offset, record| {
                    let location = Location {
                        file: log.number,
                        offset: begin + offset,
                        len: u32::try_from(record.len()).unwrap_or(u32::MAX),
                    };
                    visit(location, record);
                }) {
                    Ok(()) => continue,
                    Err(offset) => {
                        let what = "a record whose length cannot be";
                        let (file, from) = (log.path.clone(), begin + offset);
                        damages.push(Damage { file, from, to: at, what, at_the_end: false });
                        continue;
                    }
                }
            }
            Batch::Damaged(what) => what,
        };
        let next = find_batch(&file, at + 1, len)?;
        let to = next.unwrap_or(len);
        // Files are made at their full length: what was never written is zero.
        if next.is_some() || !is_zero(&file, at, to)? {
            let at_the_end = last && next.is_none();
            damages.push(Damage { file: log.path.clone(), from: at, to, what, at_the_end });
        }
        at = to;
    }
    Ok(damages)
}

enum Batch {
    End,
    Whole(Vec<u8>),
    Damaged(&'static str),
}

fn read_batch(file: &File, at: u64, len: u64) -> io::Result<Batch> {
    let here = usize::try_from(len - at).unwrap_or(usize::MAX).min(FRONT_BYTES);
    let front = read_at(file, at, here)?;
    if front.starts_with(END) {
        return Ok(Batch::End);
    }
    let numbers = front.strip_prefix(&BATCH[..]).and_then(|rest| {
        let (size, rest) = rest.split_first_chunk::<4>()?;
        let (sum, _) = rest.split_first_chunk::<8>()?;
        Some((i32::from_be_bytes(*size), i64::from_be_bytes(*sum)))
    });
    let Some((size, sum)) = numbers else { return Ok(Batch::Damaged("no batch begins here")) };
    let begin = at + FRONT_BYTES as u64;
    let Some(size) = u64::try_from(size).ok().filter(|size| *size <= len - begin) else {
        return Ok(Batch::Damaged("a batch that is longer than its file"));
    };
    let bytes = read_at(file, begin, usize::try_from(size).unwrap_or(usize::MAX))?;
    if sum != 0 && sum != i64::from(adler32(&bytes)) {
        return Ok(Batch::Damaged("a batch whose checksum does not fit"));
    }
    Ok(Batch::Whole(bytes))
}

/// Shows the records of a batch; an error says where they end too early.
fn records(bytes: &[u8], visit: &mut dyn FnMut(u64, &[u8])) -> Result<(), u64> {
    let mut at = 0;
    while at < bytes.len() {
        let rest = bytes.get(at..).unwrap_or_default();
        let front = rest.split_first_chunk::<RECORD_FRONT_BYTES>();
        let whole = front.and_then(|([a, b, c, d, kind], _)| {
            let len = usize::try_from(i32::from_be_bytes([*a, *b, *c, *d])).ok()?;
            Some((*kind, rest.get(RECORD_FRONT_BYTES..len)?, len))
        });
        let Some((kind, record, len)) = whole else { return Err(at as u64) };
        if kind == USER_RECORD {
            visit((at + RECORD_FRONT_BYTES) as u64, record);
        }
        at += len;
    }
    Ok(())
}

fn find_batch(file: &File, from: u64, len: u64) -> io::Result<Option<u64>> {
    let mut at = from;
    while at < len {
        let size = usize::try_from(len - at).unwrap_or(usize::MAX).min(WINDOW_BYTES);
        let window = read_at(file, at, size)?;
        if let Some(found) = window.windows(BATCH.len()).position(|bytes| bytes == BATCH) {
            return Ok(Some(at + found as u64));
        }
        if size < WINDOW_BYTES {
            return Ok(None);
        }
        at += (size - BATCH.len()) as u64;
    }
    Ok(None)
}

fn is_zero(file: &File, from: u64, to: u64) -> io::Result<bool> {
    let mut at = from;
    while at < to {
        let size = usize::try_from(to - at).unwrap_or(usize::MAX).min(WINDOW_BYTES);
        if read_at(file, at, size)?.iter().any(|byte| *byte != 0) {
            return Ok(false);
        }
        at += size as u64;
    }
    Ok(true)
}

/// The checksum that Java calls Adler32.
fn adler32(bytes: &[u8]) -> u32 {
    const MODULUS: u32 = 65_521;
    // So many bytes can be added before a sum of 32 bits overflows.
    const RUN: usize = 5_552;
    let (mut a, mut b) = (1_u32, 0_u32);
    for run in bytes.chunks(RUN) {
        for byte in run {
            a += u32::from(*byte);
            b += a;
        }
        a %= MODULUS;
        b %= MODULUS;
    }
    (b << 16) | a
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A batch with these records.
    fn batch(records: &[&[u8]]) -> Vec<u8> {
        let mut body = Vec::new();
        for record in records {
            body.extend_from_slice(&((record.len() + RECORD_FRONT_BYTES) as i32).to_be_bytes());
            body.push(USER_RECORD);
            body.extend_from_slice(record);
        }
        let mut bytes = BATCH.to_vec();
        bytes.extend_from_slice(&(body.len() as i32).to_be_bytes());
        bytes.extend_from_slice(&i64::from(adler32(&body)).to_be_bytes());
        bytes.extend_from_slice(&body);
        bytes
    }

    fn found(bytes: &[u8], last: bool) -> (Vec<Vec<u8>>, Vec<Damage>) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("db-3.log");
        std::fs::write(&path, bytes).unwrap();
        let logs = files(folder.path()).unwrap();
        assert_eq!(logs.len(), 1);
        let mut records = Vec::new();
        let damages = read(&logs[0], last, &mut |location, record| {
            let file = File::open(&path).unwrap();
            assert_eq!(read_at(&file, location.offset, location.len as usize).unwrap(), record);
            assert_eq!(location.file, 3);
            records.push(record.to_vec());
        });
        (records, damages.unwrap())
    }

    #[test]
    fn adler32_is_the_one_of_zlib() {
        assert_eq!(adler32(b"Wikipedia"), 0x11e6_0398);
        // Zeros leave the one sum as it is, and add it to the other each time: beyond a run, too.
        assert_eq!(adler32(&[0; 6_000]), (6_000 << 16) | 1);
    }

    #[test]
    fn records_are_shown_in_order_up_to_the_end() {
        let old = batch(&[b"what stood here before"]);
        let bytes = [batch(&[b"one", b"two"]), batch(&[b"three"]), END.to_vec(), old].concat();
        let (records, damages) = found(&bytes, true);
        assert_eq!(records, [&b"one"[..], b"two", b"three"]);
        assert_eq!(damages, []);
    }

    #[test]
    fn space_that_was_never_written_is_no_damage() {
        let (records, damages) = found(&[batch(&[b"one"]), vec![0; 5000]].concat(), true);
        assert_eq!((records.len(), damages.len()), (1, 0));
    }

    #[test]
    fn a_damaged_batch_is_named_and_what_follows_is_read() {
        let mut middle = batch(&[b"two"]);
        *middle.last_mut().unwrap() ^= 1;
        let first = batch(&[b"one"]);
        let (from, to) = (first.len() as u64, (first.len() + middle.len()) as u64);
        let (records, damages) = found(&[first, middle, batch(&[b"three"])].concat(), true);
        assert_eq!(records, [&b"one"[..], b"three"]);
        assert_eq!((damages[0].from, damages[0].to, damages[0].at_the_end), (from, to, false));
    }

    #[test]
    fn the_unfinished_end_of_the_last_file_is_told_from_damage() {
        let cut = [batch(&[b"one"]), batch(&[b"two"])[..30].to_vec()].concat();
        let (records, damages) = found(&cut, true);
        assert_eq!((records.len(), damages.len(), damages[0].at_the_end), (1, 1, true));
        assert!(!found(&cut, false).1[0].at_the_end, "in another file it is damage");
    }
}
