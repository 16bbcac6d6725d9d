// SPDX-License-Identifier: Apache-2.0
//! Why a frame cannot be read or written, and where in it.

use std::fmt;

/// A field of a command, as errors name it.
#[derive(Debug, PartialEq, Eq)]
pub struct Place {
    /// The command or data structure.
    pub command: &'static str,
    /// Its field.
    pub field: &'static str,
}

impl Place {
    /// Before any field: the frame itself.
    pub const FRAME: &'static Place = &Place { command: "frame", field: "type" };
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.command, self.field)
    }
}

/// Why a frame cannot be read or written.
///
/// After any of these the cache of that direction may differ from the peer's. What failed to be *read* ends the
/// connection; a failed *write* leaves nothing behind, and the encoder goes on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Something is larger than its limit: a frame, a text, an array, a cache entry, all that one frame makes us keep.
    #[error("{what}: {size} is more than {limit}")]
    TooLarge {
        /// Where.
        what: &'static Place,
        /// How much it is, or would be.
        size: u64,
        /// How much it may be.
        limit: u64,
    },
    /// The frame ends within a field.
    #[error("{what}: the frame ends within it")]
    Truncated {
        /// Where.
        what: &'static Place,
        /// How many bytes the frame would need at least.
        needed: usize,
    },
    /// Bytes follow the last field.
    #[error("{bytes} bytes follow the last field, {what}")]
    Trailing {
        /// The last field.
        what: &'static Place,
        /// How many bytes there are.
        bytes: usize,
    },
    /// A length that is negative.
    #[error("{what}: a length of {length}")]
    BadLength {
        /// Where.
        what: &'static Place,
        /// The length as it was read.
        length: i64,
    },
    /// A first frame that is not OpenWire.
    #[error("the magic is not ActiveMQ")]
    BadMagic,
    /// A version that nobody speaks.
    #[error("there is no version {0}")]
    BadVersion(i32),
    /// A property of the wire format that cannot be meant.
    #[error("the wire format's property {0} is out of range")]
    BadProperty(&'static str),
    /// A type of data structure that does not exist, or not in this version, or that may not stand here.
    #[error("{what}: type {code} is not known here in version {version}")]
    UnknownType {
        /// Where.
        what: &'static Place,
        /// The type.
        code: u8,
        /// The version spoken.
        version: u8,
    },
    /// A null where there must be a value.
    #[error("{what}: null")]
    Null {
        /// Where.
        what: &'static Place,
    },
    /// Data structures within data structures beyond the limit.
    #[error("{what}: nested deeper than {limit}")]
    TooDeep {
        /// Where.
        what: &'static Place,
        /// The limit.
        limit: u16,
    },
    /// A reference to what was never put in the cache, or is of another type.
    #[error("{what}: the cache has no such value at {index}")]
    Cache {
        /// Where.
        what: &'static Place,
        /// The index as it was read.
        index: i16,
    },
    /// A text that is not in Java's modified UTF-8.
    #[error("{what}: not modified UTF-8 at byte {at}")]
    Text {
        /// Where.
        what: &'static Place,
        /// The first byte that is wrong.
        at: usize,
    },
    /// A value of a primitive map, list or stream whose type does not exist or may not stand here.
    #[error("{what}: there is no value of type {code} here")]
    UnknownValue {
        /// Where.
        what: &'static Place,
        /// The type.
        code: u8,
    },
    /// A command that the version spoken does not have; only when writing.
    #[error("version {version} has no {command}")]
    NotInVersion {
        /// The command.
        command: &'static str,
        /// The version spoken.
        version: u8,
    },
    /// A span whose frame was not handed in, or that lies outside of it; only when writing.
    #[error("{what}: a span outside of its frame")]
    Detached {
        /// Where.
        what: &'static Place,
    },
}
