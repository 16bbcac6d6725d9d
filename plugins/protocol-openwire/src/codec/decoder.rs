// SPDX-License-Identifier: Apache-2.0
//! Bytes to commands.

use super::cache::ReadCache;
use super::command::Command;
use super::error::{Error, Place};
use super::options::Options;
use super::reader::{Content, Reader};
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

/// Where the content of a frame is of which only the front is here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Located {
    /// At this place of the frame.
    At(Range<usize>),
    /// There is none: the frame is to be read as a whole.
    Nowhere,
    /// This many bytes of the frame are needed in all, at least, to know.
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
            true => read::<true>(bytes, &self.options, &mut cache, Content::Here),
            false => read::<false>(bytes, &self.options, &mut cache, Content::Here),
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
        self.read_whole(frame, Content::Here)
    }

    /// Looks for the content in the front of a long frame (without its length), so that a message need not be in memory
    /// in one piece before it is read. Nothing is touched.
    ///
    /// # Errors
    ///
    /// The frame is wrong as far as it is here.
    pub fn locate_content(&self, front: &[u8], frame_len: usize) -> Result<Located, Error> {
        let mut cache = self.cache.clone();
        let (read, content) = match self.options.tight {
            true => locate::<true>(front, &self.options, &mut cache),
            false => locate::<false>(front, &self.options, &mut cache),
        };
        match (read, content) {
            (_, Content::Found(span)) if span.end <= frame_len => Ok(Located::At(span)),
            (Err(Error::Truncated { what, needed }), content) => {
                match needed > frame_len || matches!(content, Content::Found(_)) {
                    true => Err(Error::Truncated { what, needed }),
                    // Too little is here to know.
                    false => Ok(Located::Need(needed.max(front.len() + 1))),
                }
            }
            (Err(error), _) => Err(error),
            (Ok(()), _) => Ok(Located::Nowhere),
        }
    }

    /// Reads a frame from which the content, of `content_len` bytes, was cut out. The content of the command is then an
    /// empty span where it was, and spans behind it are spans of the shorter frame.
    ///
    /// # Errors
    ///
    /// The frame is wrong; the connection cannot go on.
    pub fn decode_around(&mut self, frame: &[u8], content_len: usize) -> Result<Command, Error> {
        self.options.check_frame((frame.len() as u64).saturating_add(content_len as u64))?;
        self.read_whole(frame, Content::Elsewhere(content_len))
    }

    fn read_whole(&mut self, frame: &[u8], content: Content) -> Result<Command, Error> {
        let (command, what, end) = match self.options.tight {
            true => read::<true>(frame, &self.options, &mut self.cache, content)?,
            false => read::<false>(frame, &self.options, &mut self.cache, content)?,
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
    content: Content,
) -> Result<(Command, &'static Place, usize), Error> {
    let mut reader = Reader::<'_, T>::new(frame, options, cache);
    reader.content = content;
    let command = read_command(&mut reader)?;
    Ok((command, reader.what(), reader.cursor.at()))
}

/// How far reading came, and whether it came to the content.
fn locate<const T: bool>(
    front: &[u8],
    options: &Options,
    cache: &mut ReadCache,
) -> (Result<(), Error>, Content) {
    let mut reader = Reader::<'_, T>::new(front, options, cache);
    reader.content = Content::Sought;
    let read = read_command(&mut reader).map(drop);
    (read, reader.content)
}

fn read_command<const T: bool>(reader: &mut Reader<'_, T>) -> Result<Command, Error> {
    let code = reader.cursor.u8()?;
    if T {
        reader.boolean_stream()?;
    }
    let unknown = reader.unknown(code);
    Command::read_command(code, reader)?.ok_or(unknown)
}
