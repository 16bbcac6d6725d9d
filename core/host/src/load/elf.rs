// SPDX-License-Identifier: Apache-2.0
//! Whether a library's file is as long as it says.
//!
//! The system's loader maps what the file's headers announce and trusts that it is there: a library that was copied
//! only in part ends the process with a signal when it is loaded. So its headers are looked at before. Files that are
//! no libraries of this machine are left to the loader, who refuses them with words of its own.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// The header of a 64-bit file.
const HEADER_BYTES: usize = 64;
/// One entry of its table of segments.
const SEGMENT_BYTES: u16 = 56;

/// The length that the file must have, when it is shorter.
pub(super) struct CutShort {
    pub(super) expected: u64,
    pub(super) found: u64,
}

/// Looks at the file's headers.
pub(super) fn find_cut(path: &Path) -> io::Result<Option<CutShort>> {
    let file = File::open(path)?;
    let found = file.metadata()?.len();
    let mut header = [0; HEADER_BYTES];
    if found < HEADER_BYTES as u64 {
        return Ok(None);
    }
    file.read_exact_at(&mut header, 0)?;
    let Some((table, size, count)) = segments_of(&header) else { return Ok(None) };
    let mut expected = table.saturating_add(u64::from(size) * u64::from(count));
    if expected <= found {
        for index in 0..u64::from(count) {
            let mut segment = [0; SEGMENT_BYTES as usize];
            file.read_exact_at(&mut segment, table + index * u64::from(size))?;
            expected = expected.max(end_of(&segment));
        }
    }
    Ok((expected > found).then_some(CutShort { expected, found }))
}

/// Where the table of segments is, how long an entry is, and how many there are; nothing for a file of another kind.
fn segments_of(header: &[u8; HEADER_BYTES]) -> Option<(u64, u16, u16)> {
    const NATIVE: u8 = if cfg!(target_endian = "little") { 1 } else { 2 };
    // Magic, 64 bits, byte order.
    if header.get(..6)? != [0x7f, b'E', b'L', b'F', 2, NATIVE] {
        return None;
    }
    let (table, size, count) = (word(header, 32)?, half(header, 54)?, half(header, 56)?);
    (size >= SEGMENT_BYTES).then_some((table, size, count))
}

/// Where in the file a segment ends.
fn end_of(segment: &[u8]) -> u64 {
    match (word(segment, 8), word(segment, 32)) {
        (Some(offset), Some(len)) => offset.saturating_add(len),
        _ => 0,
    }
}

fn word(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_ne_bytes(bytes.get(at..at + 8)?.try_into().ok()?))
}

fn half(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}
