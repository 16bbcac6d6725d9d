// SPDX-License-Identifier: Apache-2.0
//! What two peers have agreed on, and what one frame may cost.

use super::error::{Error, Place};
use super::wire_format_info::WireFormatInfo;

/// The newest version that this codec speaks.
pub const NEWEST_VERSION: u8 = 12;

/// What a cache holds when both peers leave its size open.
const CACHE_SIZE_WHEN_OPEN: u16 = i16::MAX as u16 / 2;

const MAX_FRAME: &Place = &Place { command: "WireFormatInfo", field: "MaxFrameSize" };

/// How frames of one direction look, and what they may cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// 1 to 12.
    pub version: u8,
    /// Booleans gathered in front and short numbers, or everything as it comes.
    pub tight: bool,
    /// Whether each frame begins with its length.
    pub size_prefix: bool,
    /// Entries of the cache; 0: nothing is cached.
    pub cache: u16,
    /// Whether throwables carry their stacks and causes.
    pub stack_trace: bool,
    /// The longest frame, without its length.
    pub max_frame: u64,
    /// Data structures and causes within each other.
    pub depth: u16,
    /// Memory that a frame may make the decoder take beside the frame's own bytes; less for small frames.
    pub budget_bytes: usize,
    /// Memory that the values in the decoder's cache may take together.
    pub cache_bytes: usize,
}

impl Options {
    /// Before the peers have told each other what they speak: loose, without a cache, and with short frames, since only a
    /// [`WireFormatInfo`] may come.
    pub fn initial() -> Options {
        Options {
            version: NEWEST_VERSION,
            tight: false,
            size_prefix: true,
            cache: 0,
            stack_trace: false,
            max_frame: 64 * 1024,
            depth: 32,
            budget_bytes: 4 * 1024 * 1024,
            cache_bytes: 4 * 1024 * 1024,
        }
    }

    /// What follows once both have been sent: what both can do, and of each number the smaller one, where zero and less
    /// mean «open». The limits that are not spoken of are those of [`Options::initial`].
    ///
    /// # Errors
    ///
    /// [`Error::BadVersion`] and [`Error::BadProperty`].
    pub fn negotiate(ours: &WireFormatInfo, theirs: &WireFormatInfo) -> Result<Options, Error> {
        let both = |get: fn(&WireFormatInfo) -> bool| get(ours) && get(theirs);
        let version = ours.version.min(theirs.version);
        let version =
            u8::try_from(version).ok().filter(|version| (1..=NEWEST_VERSION).contains(version)).ok_or(
                // Ours is a program's constant, so it is theirs that is odd.
                Error::BadVersion(theirs.version),
            )?;
        let max_frame = match (ours.max_frame_size(), theirs.max_frame_size()) {
            (open, other) | (other, open) if open <= 0 => other,
            (ours, theirs) => ours.min(theirs),
        };
        Ok(Options {
            version,
            tight: both(WireFormatInfo::tight_encoding_enabled),
            size_prefix: !both(WireFormatInfo::size_prefix_disabled),
            cache: if both(WireFormatInfo::cache_enabled) { cache_size(ours, theirs)? } else { 0 },
            stack_trace: both(WireFormatInfo::stack_trace_enabled),
            max_frame: if max_frame <= 0 { i64::MAX as u64 } else { max_frame as u64 },
            ..Options::initial()
        })
    }

    /// Refuses a frame that is too long.
    pub(super) fn check_frame(&self, size: u64) -> Result<(), Error> {
        match size > self.max_frame {
            true => Err(Error::TooLarge { what: MAX_FRAME, size, limit: self.max_frame }),
            false => Ok(()),
        }
    }

    /// What a frame of this length may make us take.
    pub(super) fn budget_of(&self, frame_len: usize) -> usize {
        const LEAST: usize = 64 * 1024;
        self.budget_bytes.min(frame_len.saturating_mul(4).saturating_add(LEAST))
    }
}

fn cache_size(ours: &WireFormatInfo, theirs: &WireFormatInfo) -> Result<u16, Error> {
    let size = ours.cache_size().min(theirs.cache_size());
    match u16::try_from(size) {
        Ok(0) => Ok(CACHE_SIZE_WHEN_OPEN),
        Ok(size) if size <= i16::MAX as u16 => Ok(size),
        _ => Err(Error::BadProperty("CacheSize")),
    }
}
