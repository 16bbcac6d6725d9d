// SPDX-License-Identifier: Apache-2.0
//! Reads frames from bytes as they come, whole or in pieces, and believes nothing that they say of themselves.
//!
//! Heads are demanded whole, up to a limit. Bodies are handed on whole when the frame is small, otherwise in pieces
//! as they arrive. Nothing is copied: what is decoded borrows the input. What was scanned of an unfinished frame is
//! remembered, so that a frame that comes byte by byte is not scanned again and again.

use super::{Command, Escapes, HeaderName, Version};
use memchr::{memchr, memchr2};
use std::borrow::Cow;

/// What a decoder takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Longest head: command and headers with their line ends, in bytes.
    pub head_bytes: usize,
    /// Most headers of a frame.
    pub headers: usize,
    /// Longest header line, in bytes.
    pub header_bytes: usize,
    /// Longest frame that is demanded whole, in bytes; longer ones come in pieces. At least `head_bytes`.
    pub whole_bytes: usize,
    /// Longest body, in bytes.
    pub body_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            head_bytes: 64 * 1024,
            headers: 256,
            header_bytes: 16 * 1024,
            whole_bytes: 64 * 1024,
            body_bytes: 100 * 1024 * 1024,
        }
    }
}

/// Why bytes are no frame. Texts from the peer are cut and made printable by whoever shows them.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// The first line is no command.
    #[error("{0:?} is no STOMP command")]
    Command(String),
    /// A header line has no colon.
    #[error("the header line {0:?} has no colon")]
    Colon(String),
    /// A header has no name.
    #[error("the header line {0:?} has no name")]
    Name(String),
    /// A NUL where a head must go on.
    #[error("the frame ends inside its head: the blank line after the headers is missing")]
    HeadEnds,
    /// Bytes that are not UTF-8.
    #[error("the frame's headers are not UTF-8")]
    Utf8,
    /// A backslash that begins no escape of this version.
    #[error("the header {0:?} has an undefined escape")]
    Escape(String),
    /// `content-length` is no number.
    #[error("content-length {0:?} is no number of bytes")]
    ContentLength(String),
    /// The byte after the body is no NUL.
    #[error("the body does not end with NUL after its content-length of {0} bytes")]
    Terminator(u64),
    /// The head is too long.
    #[error("the frame's head is longer than {0} bytes (max_frame_head_bytes)")]
    HeadTooLong(usize),
    /// Too many headers.
    #[error("the frame has more than {0} headers (max_headers)")]
    TooManyHeaders(usize),
    /// A header line is too long.
    #[error("a header is longer than {0} bytes (max_header_bytes)")]
    HeaderTooLong(usize),
    /// The body is too long.
    #[error("the body is longer than {0} bytes (max_message_bytes)")]
    BodyTooLong(u64),
    /// A frame that has no body has a long one.
    #[error("a {0} frame must not have a body")]
    Body(&'static str),
}

/// What was found at the front of the input.
#[derive(Debug)]
pub enum Decoded<'d> {
    /// Nothing whole yet. So many bytes are needed in all; 0: at least one more.
    Incomplete(usize),
    /// Line ends between frames, so many bytes: a heart-beat.
    EndOfLines(usize),
    /// A frame, or the begin of one.
    Frame(Frame<'d>),
    /// The next piece of the frame's body.
    Body(Body),
}

/// A frame: all of it, or all but the rest of its body.
#[derive(Debug)]
pub struct Frame<'d> {
    /// Command and headers.
    pub head: Head<'d>,
    /// Body, or its first piece.
    pub body: Body,
}

/// Where a body or a piece of it lies in the input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Body {
    /// First byte.
    pub start: usize,
    /// Number of bytes.
    pub len: usize,
    /// The body goes on in the next piece.
    pub more: bool,
    /// Bytes of the input that are done with, once this was.
    pub end: usize,
}

/// A header, by where it lies in the head.
#[derive(Clone, Copy, Debug)]
struct Span {
    name: HeaderName,
    name_start: u32,
    value_start: u32,
    value_end: u32,
}

/// What is known of the unfinished frame at the front of the input.
#[derive(Debug, Default)]
struct Progress {
    /// Begin of the line that was not finished.
    line_start: usize,
    /// Bytes scanned: for a line's end in the head, then for the body's end.
    scanned: usize,
    command: Option<Command>,
    /// Length of the head with its blank line, once it was found.
    head_len: Option<usize>,
    content_length: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Between frames or in the head of one.
    Head,
    /// In a body of which so many bytes have yet to come, then NUL.
    Counted { left: u64, total: u64 },
    /// In a body that ends with the next NUL; so many bytes have come.
    Open { seen: u64 },
}

/// Reads frames. `decode` looks, `commit` goes on: without `commit` the next `decode` finds the same again.
#[derive(Debug)]
pub struct Decoder {
    limits: Limits,
    version: Version,
    state: State,
    after: State,
    progress: Progress,
    spans: Vec<Span>,
    first: [u16; HeaderName::COUNT],
}

/// Spans kept allocated between frames.
const KEPT_SPANS: usize = 32;

impl Decoder {
    /// A decoder that has not read anything. Until told otherwise it reads version 1.0.
    pub fn new(limits: Limits) -> Self {
        Decoder {
            limits,
            version: Version::V1_0,
            state: State::Head,
            after: State::Head,
            progress: Progress::default(),
            spans: Vec::new(),
            first: [0; HeaderName::COUNT],
        }
    }

    /// Sets the version that the following frames have.
    pub fn set_version(&mut self, version: Version) {
        self.version = version;
    }

    /// Sets what is taken from the next frame on.
    pub fn set_limits(&mut self, limits: Limits) {
        self.limits = limits;
    }

    /// Whether a frame was begun: its head or body has yet to end. Line ends do not begin a frame.
    pub fn is_inside_frame(&self) -> bool {
        self.state != State::Head || self.progress.scanned > 0
    }

    /// The value of a header of the unfinished or refused frame at the front of `input`, as far as it was read: for
    /// the receipt of a frame that is no frame.
    pub fn header_so_far<'i>(&self, input: &'i [u8], name: HeaderName) -> Option<&'i str> {
        let span = self.spans.iter().find(|span| span.name == name)?;
        let value = input.get(span.value_start as usize..span.value_end as usize)?;
        std::str::from_utf8(value).ok()
    }

    /// Looks at the front of `input`, which must begin with the first byte that was not committed.
    pub fn decode<'d>(&'d mut self, input: &'d [u8]) -> Result<Decoded<'d>, FrameError> {
        match self.state {
            State::Head => self.decode_frame(input),
            State::Counted { left, total } => self.decode_counted(input, left, total),
            State::Open { seen } => self.decode_open(input, seen),
        }
    }

    /// Takes what `decode` answered last: the caller continues behind it.
    pub fn commit(&mut self) {
        self.state = self.after;
        self.progress = Progress::default();
        self.spans.clear();
        if self.spans.capacity() > KEPT_SPANS {
            self.spans.shrink_to(KEPT_SPANS);
        }
    }

    fn decode_frame<'d>(&'d mut self, input: &'d [u8]) -> Result<Decoded<'d>, FrameError> {
        self.after = State::Head;
        if self.progress.scanned == 0 {
            let ends = input.iter().take_while(|byte| matches!(byte, b'\n' | b'\r')).count();
            if ends > 0 {
                return Ok(Decoded::EndOfLines(ends));
            }
            if input.is_empty() {
                return Ok(Decoded::Incomplete(0));
            }
            self.spans.clear();
            self.first = [0; HeaderName::COUNT];
        }
        let head_len = match self.progress.head_len {
            Some(len) => len,
            None => match self.read_head(input)? {
                Some(len) => len,
                None => return Ok(Decoded::Incomplete(0)),
            },
        };
        // `read_head` has set the command before it found the head's end.
        let Some(command) = self.progress.command else { return Ok(Decoded::Incomplete(0)) };
        match self.find_body(input, command, head_len)? {
            Some(body) => {
                let text = input.get(..head_len).unwrap_or_default();
                let text = std::str::from_utf8(text).map_err(|_| FrameError::Utf8)?;
                let escapes = if command.is_unescaped() { Escapes::None } else { self.version.escapes() };
                let head = Head {
                    command,
                    text,
                    spans: &self.spans,
                    first: &self.first,
                    escapes,
                    escaped: escapes != Escapes::None && memchr(b'\\', text.as_bytes()).is_some(),
                };
                Ok(Decoded::Frame(Frame { head, body }))
            }
            None => Ok(Decoded::Incomplete(self.needed(head_len))),
        }
    }

    /// Reads lines until the blank one; the answer is the length of the head.
    fn read_head(&mut self, input: &[u8]) -> Result<Option<usize>, FrameError> {
        loop {
            let line_start = self.progress.line_start;
            let from = self.progress.scanned.max(line_start);
            let Some(found) = memchr2(b'\n', 0, input.get(from..).unwrap_or_default()) else {
                self.check_unfinished(input, line_start)?;
                self.progress.scanned = input.len();
                return Ok(None);
            };
            let end = from + found;
            if input.get(end) == Some(&0) {
                return Err(self.nul_in_head(input, line_start, end));
            }
            if end >= self.limits.head_bytes {
                return Err(FrameError::HeadTooLong(self.limits.head_bytes));
            }
            self.progress.line_start = end + 1;
            self.progress.scanned = end + 1;
            let mut line_end = end;
            if self.takes_carriage_returns()
                && line_end > line_start
                && input.get(line_end - 1) == Some(&b'\r')
            {
                line_end -= 1;
            }
            if self.progress.command.is_none() {
                self.read_command(input.get(line_start..line_end).unwrap_or_default())?;
            } else if line_start == line_end {
                self.finish_head(input, end + 1)?;
                return Ok(Some(end + 1));
            } else {
                self.read_header(input, line_start, line_end)?;
            }
        }
    }

    /// Until the version is agreed, a client of 1.2 may already end its lines with CR LF.
    fn takes_carriage_returns(&self) -> bool {
        self.version == Version::V1_2
            || matches!(
                self.progress.command,
                None | Some(Command::Connect | Command::Stomp | Command::Connected)
            )
    }

    fn check_unfinished(&self, input: &[u8], line_start: usize) -> Result<(), FrameError> {
        let line = input.get(line_start..).unwrap_or_default();
        if self.progress.command.is_none() && !Command::may_begin_with(line) {
            return Err(FrameError::Command(shown(line)));
        }
        if input.len() > self.limits.head_bytes {
            return Err(FrameError::HeadTooLong(self.limits.head_bytes));
        }
        // A carriage return may already have been read of the line's end.
        if line.strip_suffix(b"\r").unwrap_or(line).len() > self.limits.header_bytes {
            return Err(FrameError::HeaderTooLong(self.limits.header_bytes));
        }
        Ok(())
    }

    fn nul_in_head(&self, input: &[u8], line_start: usize, end: usize) -> FrameError {
        let line = input.get(line_start..end).unwrap_or_default();
        if self.progress.command.is_none() && Command::from_bytes(line).is_none() {
            return FrameError::Command(shown(input.get(line_start..=end).unwrap_or_default()));
        }
        FrameError::HeadEnds
    }

    fn read_command(&mut self, line: &[u8]) -> Result<(), FrameError> {
        // Some clients of 1.0 end the command with blanks.
        let command = Command::from_bytes(line).or_else(|| Command::from_bytes(line.trim_ascii_end()));
        self.progress.command = Some(command.ok_or_else(|| FrameError::Command(shown(line)))?);
        Ok(())
    }

    fn read_header(&mut self, input: &[u8], start: usize, end: usize) -> Result<(), FrameError> {
        let line = input.get(start..end).unwrap_or_default();
        if line.len() > self.limits.header_bytes {
            return Err(FrameError::HeaderTooLong(self.limits.header_bytes));
        }
        if self.spans.len() >= self.limits.headers {
            return Err(FrameError::TooManyHeaders(self.limits.headers));
        }
        let colon = memchr(b':', line).ok_or_else(|| FrameError::Colon(shown(line)))?;
        if colon == 0 {
            return Err(FrameError::Name(shown(line)));
        }
        let name = HeaderName::from_bytes(line.get(..colon).unwrap_or_default());
        let (mut value_start, mut value_end) = (start + colon + 1, end);
        if self.version == Version::V1_0
            && self.progress.command.is_some_and(|command| !command.is_unescaped())
        {
            // 1.0 says nothing of blanks, and its clients write `name: value`. Later versions forbid to trim.
            let value = input.get(value_start..value_end).unwrap_or_default();
            value_start += value.len() - value.trim_ascii_start().len();
            value_end = value_start + value.trim_ascii().len();
        }
        let index = self.spans.len() + 1;
        self.spans.push(Span {
            name,
            name_start: narrow(start),
            value_start: narrow(value_start),
            value_end: narrow(value_end),
        });
        // The first header of a name counts (STOMP 1.2, "Repeated Header Entries").
        if let Some(first) = self.first.get_mut(name as usize)
            && *first == 0
        {
            *first = u16::try_from(index).unwrap_or(u16::MAX);
        }
        Ok(())
    }

    /// The head is complete: checks what concerns all of it, and finds how long the body says it is.
    fn finish_head(&mut self, input: &[u8], head_len: usize) -> Result<(), FrameError> {
        let bytes = input.get(..head_len).unwrap_or_default();
        let command = self.progress.command.unwrap_or(Command::Error);
        if !command.is_unescaped() && self.version != Version::V1_0 && memchr(b'\\', bytes).is_some() {
            let escapes = self.version.escapes();
            for span in &self.spans {
                let line = bytes.get(span.name_start as usize..span.value_end as usize).unwrap_or_default();
                if !escapes.are_defined_in(line) {
                    return Err(FrameError::Escape(shown(line)));
                }
            }
        }
        let index = usize::from(self.first[HeaderName::ContentLength as usize]);
        if let Some(span) = index.checked_sub(1).and_then(|index| self.spans.get(index)) {
            let value = bytes.get(span.value_start as usize..span.value_end as usize).unwrap_or_default();
            let Some(length) = number(value.trim_ascii()) else {
                return Err(FrameError::ContentLength(shown(value)));
            };
            if length > self.limits.body_bytes {
                return Err(FrameError::BodyTooLong(self.limits.body_bytes));
            }
            self.progress.content_length = Some(length);
        }
        self.progress.head_len = Some(head_len);
        self.progress.scanned = head_len;
        Ok(())
    }

    /// Where the body lies, as far as it has come; `None`: wait for more.
    fn find_body(
        &mut self,
        input: &[u8],
        command: Command,
        head_len: usize,
    ) -> Result<Option<Body>, FrameError> {
        match self.progress.content_length {
            Some(length) => self.find_counted_body(input, command, head_len, length),
            None => self.find_open_body(input, command, head_len),
        }
    }

    fn find_counted_body(
        &mut self,
        input: &[u8],
        command: Command,
        head_len: usize,
        length: u64,
    ) -> Result<Option<Body>, FrameError> {
        let available = input.len() - head_len;
        let is_short = (head_len as u64).saturating_add(length) < self.limits.whole_bytes as u64;
        if !is_short && !command.has_body() {
            return Err(FrameError::Body(command.as_str()));
        }
        if let Ok(len) = usize::try_from(length)
            && len < available
        {
            let end = head_len + len;
            if input.get(end) != Some(&0) {
                return Err(FrameError::Terminator(length));
            }
            return Ok(Some(Body { start: head_len, len, more: false, end: end + 1 }));
        }
        if is_short {
            return Ok(None);
        }
        let taken = available.min(usize::try_from(length).unwrap_or(usize::MAX));
        self.after = State::Counted { left: length - taken as u64, total: length };
        Ok(Some(Body { start: head_len, len: taken, more: true, end: head_len + taken }))
    }

    fn find_open_body(
        &mut self,
        input: &[u8],
        command: Command,
        head_len: usize,
    ) -> Result<Option<Body>, FrameError> {
        let from = self.progress.scanned.max(head_len);
        if let Some(found) = memchr(0, input.get(from..).unwrap_or_default()) {
            let end = from + found;
            if (end - head_len) as u64 > self.limits.body_bytes {
                return Err(FrameError::BodyTooLong(self.limits.body_bytes));
            }
            if end >= self.limits.whole_bytes && !command.has_body() {
                return Err(FrameError::Body(command.as_str()));
            }
            return Ok(Some(Body { start: head_len, len: end - head_len, more: false, end: end + 1 }));
        }
        self.progress.scanned = input.len();
        let seen = (input.len() - head_len) as u64;
        if seen > self.limits.body_bytes {
            return Err(FrameError::BodyTooLong(self.limits.body_bytes));
        }
        if input.len() < self.limits.whole_bytes {
            return Ok(None);
        }
        if !command.has_body() {
            return Err(FrameError::Body(command.as_str()));
        }
        self.after = State::Open { seen };
        Ok(Some(Body { start: head_len, len: input.len() - head_len, more: true, end: input.len() }))
    }

    fn needed(&self, head_len: usize) -> usize {
        let length = self.progress.content_length.and_then(|length| usize::try_from(length).ok());
        length.map_or(0, |length| head_len.saturating_add(length).saturating_add(1))
    }

    fn decode_counted(
        &mut self,
        input: &[u8],
        left: u64,
        total: u64,
    ) -> Result<Decoded<'static>, FrameError> {
        let Some(&first) = input.first() else { return Ok(Decoded::Incomplete(0)) };
        if left == 0 {
            if first != 0 {
                return Err(FrameError::Terminator(total));
            }
            self.after = State::Head;
            return Ok(Decoded::Body(Body { start: 0, len: 0, more: false, end: 1 }));
        }
        let len = input.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        let left = left - len as u64;
        if left == 0
            && let Some(&terminator) = input.get(len)
        {
            if terminator != 0 {
                return Err(FrameError::Terminator(total));
            }
            self.after = State::Head;
            return Ok(Decoded::Body(Body { start: 0, len, more: false, end: len + 1 }));
        }
        self.after = State::Counted { left, total };
        Ok(Decoded::Body(Body { start: 0, len, more: true, end: len }))
    }

    fn decode_open(&mut self, input: &[u8], seen: u64) -> Result<Decoded<'static>, FrameError> {
        if input.is_empty() {
            return Ok(Decoded::Incomplete(0));
        }
        let end = memchr(0, input);
        let len = end.unwrap_or(input.len());
        let seen = seen + len as u64;
        if seen > self.limits.body_bytes {
            return Err(FrameError::BodyTooLong(self.limits.body_bytes));
        }
        self.after = if end.is_some() { State::Head } else { State::Open { seen } };
        let more = end.is_none();
        Ok(Decoded::Body(Body { start: 0, len, more, end: len + usize::from(!more) }))
    }
}

/// The head of a frame: its command and headers.
#[derive(Clone, Copy, Debug)]
pub struct Head<'d> {
    /// The first line.
    pub command: Command,
    text: &'d str,
    spans: &'d [Span],
    first: &'d [u16; HeaderName::COUNT],
    escapes: Escapes,
    escaped: bool,
}

impl<'d> Head<'d> {
    /// The value of the first header of this name, as it stands on the wire.
    pub fn raw(&self, name: HeaderName) -> Option<&'d str> {
        let index = usize::from(*self.first.get(name as usize)?).checked_sub(1)?;
        let span = self.spans.get(index)?;
        self.text.get(span.value_start as usize..span.value_end as usize)
    }

    /// The value of the first header of this name.
    #[inline]
    pub fn get(&self, name: HeaderName) -> Option<Cow<'d, str>> {
        self.raw(name).map(|raw| self.unescape(raw))
    }

    /// Whether there is a header of this name.
    pub fn has(&self, name: HeaderName) -> bool {
        self.first.get(name as usize).is_some_and(|first| *first != 0)
    }

    /// The headers that satisfy `wanted`, in order, each name once: name and value as they stand on the wire.
    pub fn raw_where(
        &self,
        wanted: fn(HeaderName) -> bool,
    ) -> impl Iterator<Item = (&'d str, &'d str)> + use<'d> {
        let Head { text, spans, first, .. } = *self;
        spans.iter().enumerate().filter(move |(_, span)| wanted(span.name)).filter_map(move |(at, span)| {
            let name = name_of(text, span)?;
            let repeated = match span.name {
                HeaderName::Other => {
                    let earlier = spans.get(..at).unwrap_or_default();
                    let from = usize::from(first[HeaderName::Other as usize]).saturating_sub(1);
                    earlier
                        .iter()
                        .skip(from)
                        .any(|other| other.name == HeaderName::Other && name_of(text, other) == Some(name))
                }
                // tidy: allow(the table has a place for every known name)
                known => usize::from(first[known as usize]) != at + 1,
            };
            let value = text.get(span.value_start as usize..span.value_end as usize)?;
            (!repeated).then_some((name, value))
        })
    }

    /// All headers in order, each name once.
    pub fn headers(&self) -> impl Iterator<Item = (Cow<'d, str>, Cow<'d, str>)> + use<'d> {
        let head = *self;
        self.raw_where(|_| true).map(move |(name, value)| (head.unescape(name), head.unescape(value)))
    }

    /// The text that something raw of this head stands for.
    #[inline]
    pub fn unescape(&self, raw: &'d str) -> Cow<'d, str> {
        if self.escaped { self.escapes.unescape(raw) } else { Cow::Borrowed(raw) }
    }
}

fn name_of<'d>(text: &'d str, span: &Span) -> Option<&'d str> {
    let line = text.get(span.name_start as usize..span.value_start as usize)?;
    // In 1.0 blanks between the colon and the value belong to neither.
    line.split_once(':').map(|(name, _)| name)
}

/// Positions in a head fit: its length is limited, and a limit beyond 4 GiB would only make headers unreadable.
fn narrow(position: usize) -> u32 {
    u32::try_from(position).unwrap_or(u32::MAX)
}

/// A number in decimal digits, without sign.
fn number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0u64, |number, digit| {
        let digit = digit.is_ascii_digit().then(|| u64::from(digit - b'0'))?;
        number.checked_mul(10)?.checked_add(digit)
    })
}

/// The begin of something from the peer, for an error.
fn shown(bytes: &[u8]) -> String {
    const SHOWN_BYTES: usize = 48;
    let cut = bytes.get(..SHOWN_BYTES).unwrap_or(bytes);
    String::from_utf8_lossy(cut).into_owned()
}
