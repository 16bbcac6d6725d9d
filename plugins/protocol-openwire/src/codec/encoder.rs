// SPDX-License-Identifier: Apache-2.0
//! Commands to bytes.

use super::cache::WriteCache;
use super::command::Command;
use super::error::{Error, Place};
use super::options::Options;
use super::writer::{Content, Scratch, Writer};

const SIZE: &Place = &Place { command: "frame", field: "size" };

/// Writes the frames of one direction of a connection.
#[derive(Debug)]
pub struct Encoder {
    options: Options,
    cache: WriteCache,
    scratch: Scratch,
}

impl Encoder {
    /// An encoder with an empty cache.
    pub fn new(options: Options) -> Encoder {
        Encoder { options, cache: WriteCache::new(options.cache), scratch: Scratch::default() }
    }

    /// What is agreed.
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// From the next frame on something else is agreed; the cache is emptied.
    pub fn renegotiate(&mut self, options: Options) {
        *self = Encoder::new(options);
    }

    /// Appends a frame. Content and properties of a message must be its own, not spans.
    ///
    /// # Errors
    ///
    /// The command cannot be written, for example because a text is too long or this version does not have it. Nothing is
    /// appended then.
    pub fn encode(&mut self, command: &Command, out: &mut Vec<u8>) -> Result<(), Error> {
        self.encode_from(command, &[], out)
    }

    /// The same, where spans of the command are spans of `frame`.
    ///
    /// # Errors
    ///
    /// As for [`encode`](Encoder::encode).
    pub fn encode_from(&mut self, command: &Command, frame: &[u8], out: &mut Vec<u8>) -> Result<(), Error> {
        let content = command.message().and_then(|message| message.content.as_ref());
        let content = match content {
            None => None,
            Some(blob) => {
                const WHAT: &Place = &Place { command: "Message", field: "content" };
                Some(blob.bytes(frame).ok_or(Error::Detached { what: WHAT })?)
            }
        };
        let how = content.map_or(Content::Copy, |content| Content::Elsewhere(content.len()));
        let at = self.write(command, frame, how)?;
        let content = content.unwrap_or_default();
        self.put_head(command.code(), content.len(), out)?;
        let (before, after) = self.scratch.body.split_at(at);
        out.extend_from_slice(before);
        out.extend_from_slice(content);
        out.extend_from_slice(after);
        Ok(())
    }

    /// Appends a frame with a message in two parts, between which the caller puts the content, of `content_len` bytes. The
    /// content in the command does not count.
    ///
    /// # Errors
    ///
    /// As for [`encode`](Encoder::encode); also when there is no message in the command.
    pub fn encode_split(
        &mut self,
        command: &Command,
        content_len: usize,
        before: &mut Vec<u8>,
        after: &mut Vec<u8>,
    ) -> Result<(), Error> {
        self.encode_split_from(command, &[], content_len, before, after)
    }

    /// The same, where spans of the command (those of its properties, for example) are spans of `frame`.
    ///
    /// # Errors
    ///
    /// As for [`encode_split`](Encoder::encode_split).
    pub fn encode_split_from(
        &mut self,
        command: &Command,
        frame: &[u8],
        content_len: usize,
        before: &mut Vec<u8>,
        after: &mut Vec<u8>,
    ) -> Result<(), Error> {
        if command.message().is_none() {
            return Err(Error::NotInVersion {
                command: "split command without message",
                version: self.options.version,
            });
        }
        let at = self.write(command, frame, Content::Elsewhere(content_len))?;
        self.put_head(command.code(), content_len, before)?;
        let (front, back) = self.scratch.body.split_at(at);
        before.extend_from_slice(front);
        after.extend_from_slice(back);
        Ok(())
    }

    /// Writes everything but the content into the scratch, and says where the content belongs.
    fn write(&mut self, command: &Command, frame: &[u8], content: Content) -> Result<usize, Error> {
        self.scratch.clear();
        let written = match command {
            Command::WireFormatInfo(info) => info.write(&mut self.scratch.body).map(|()| Content::Copy),
            _ if self.options.tight => {
                let written = self.write_as::<true>(command, frame, content);
                written.and_then(|content| self.scratch.finish_bits().map(|()| content))
            }
            _ => self.write_as::<false>(command, frame, content),
        };
        match written {
            Ok(Content::At(at)) => Ok(at),
            Ok(_) => Ok(self.scratch.body.len()),
            Err(error) => {
                // The peer will never see what was put in the cache for this frame.
                self.cache.clear();
                Err(error)
            }
        }
    }

    fn write_as<const T: bool>(
        &mut self,
        command: &Command,
        frame: &[u8],
        content: Content,
    ) -> Result<Content, Error> {
        let mut writer = Writer::<'_, T> {
            scratch: &mut self.scratch,
            cache: &mut self.cache,
            version: self.options.version,
            stack_trace: self.options.stack_trace,
            frame,
            content,
            what: Place::FRAME,
        };
        command.write_command(&mut writer)?;
        Ok(writer.content)
    }

    /// What stands before the body: the length, the type, the booleans.
    fn put_head(&mut self, code: u8, content_len: usize, out: &mut Vec<u8>) -> Result<(), Error> {
        let len = 1 + self.scratch.head.len() + self.scratch.body.len() + content_len;
        let too_large = Error::TooLarge { what: SIZE, size: len as u64, limit: i32::MAX as u64 };
        let checked = i32::try_from(len).map_err(|_| too_large);
        let size = match checked.and_then(|size| self.options.check_frame(len as u64).map(|()| size)) {
            Ok(size) => size,
            Err(error) => {
                self.cache.clear();
                return Err(error);
            }
        };
        out.reserve(4 + len);
        if self.options.size_prefix || code == 1 {
            out.extend_from_slice(&size.to_be_bytes());
        }
        out.push(code);
        out.extend_from_slice(&self.scratch.head);
        Ok(())
    }
}
