// SPDX-License-Identifier: Apache-2.0
//! Bytes to commands.

use super::cache::ReadCache;
use super::command::Command;
use super::error::{Error, Place};
use super::options::Options;
use super::reader::Reader;
use super::wire_format_info::WireFormatInfo;
use std::ops::Range;

const SIZE: &Place = &Place { command: "frame", field: "size" };

/// The length in front of a frame.
const SIZE_BYTES: usize = 4;

/// What the bytes so far are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Framed {
    /// They begin with a whole frame.
    Whole {
        /// What [`Decoder::decode`] takes.
        body: Range<usize>,
        /// Where the next frame begins.
        consumed: usize,
    },
    /// This many are needed in all, at least.
    Need(usize),
}

/// Reads the frames of one direction of a connection.
#[derive(Debug, Clone)]
pub struct Decoder {
    options: Options,
    cache: ReadCache,
}

impl Decoder {
    /// A decoder with an empty cache.
    pub fn new(options: Options) -> Decoder {
        Decoder { options, cache: ReadCache::new(options.cache, options.cache_bytes) }
    }

    /// What is agreed.
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// From the next frame on something else is agreed; the cache is emptied.
    pub fn renegotiate(&mut self, options: Options) {
        *self = Decoder::new(options);
    }

    /// Looks for the end of the first frame, without touching anything.
    ///
    /// Without lengths in front of frames this reads the frame to find its end; each call begins again, so hand in more
    /// bytes only when as many are there as were asked for.
    ///
    /// # Errors
    ///
    /// The length is out of bounds, or (without lengths) the frame is wrong.
    pub fn frame(&self, bytes: &[u8]) -> Result<Framed, Error> {
        if !self.options.size_prefix {
            return self.frame_without_size(bytes);
        }
        let Some(size) = bytes.first_chunk::<SIZE_BYTES>() else { return Ok(Framed::Need(SIZE_BYTES)) };
        let size = i32::from_be_bytes(*size);
        let len = usize::try_from(size).ok().filter(|len| *len > 0);
        let len = len.ok_or(Error::BadLength { what: SIZE, length: size.into() })?;
        self.options.check_frame(len as u64)?;
        let end = SIZE_BYTES + len;
        Ok(match bytes.len() >= end {
            true => Framed::Whole { body: SIZE_BYTES..end, consumed: end },
            false => Framed::Need(end),
        })
    }

    fn frame_without_size(&self, bytes: &[u8]) -> Result<Framed, Error> {
        if bytes.is_empty() {
            return Ok(Framed::Need(1));
        }
        let mut cache = self.cache.clone();
        let read = match self.options.tight {
            true => read::<true>(bytes, &self.options, &mut cache),
            false => read::<false>(bytes, &self.options, &mut cache),
        };
        match read {
            Ok((_, _, end)) => {
                self.options.check_frame(end as u64)?;
                Ok(Framed::Whole { body: 0..end, consumed: end })
            }
            Err(Error::Truncated { needed, .. }) => {
                self.options.check_frame(needed as u64)?;
                Ok(Framed::Need(needed.max(bytes.len() + 1)))
            }
            Err(error) => Err(error),
        }
    }

    /// Reads a frame: its type and all that follows, without its length. Spans in the command are spans of this slice.
    ///
    /// # Errors
    ///
    /// The frame is wrong; the connection cannot go on.
    pub fn decode(&mut self, frame: &[u8]) -> Result<Command, Error> {
        self.options.check_frame(frame.len() as u64)?;
        if let Some((WIRE_FORMAT_INFO, body)) = frame.split_first().map(|(code, body)| (*code, body)) {
            return WireFormatInfo::read(body).map(Box::new).map(Command::WireFormatInfo);
        }
        let (command, what, end) = match self.options.tight {
            true => read::<true>(frame, &self.options, &mut self.cache)?,
            false => read::<false>(frame, &self.options, &mut self.cache)?,
        };
        match frame.len() - end {
            0 => Ok(command),
            bytes => Err(Error::Trailing { what, bytes }),
        }
    }
}

const WIRE_FORMAT_INFO: u8 = 1;

/// A command, its last field, and where it ends.
fn read<const T: bool>(
    frame: &[u8],
    options: &Options,
    cache: &mut ReadCache,
) -> Result<(Command, &'static Place, usize), Error> {
    let mut reader = Reader::<'_, T>::new(frame, options, cache);
    let code = reader.cursor.u8()?;
    if T {
        reader.boolean_stream()?;
    }
    let unknown = reader.unknown(code);
    let command = Command::read_command(code, &mut reader)?.ok_or(unknown)?;
    Ok((command, reader.what(), reader.cursor.at()))
}
