// SPDX-License-Identifier: Apache-2.0
//! Writes frames: command, headers with the escapes of the version, body.

use super::{Command, Escapes};

/// Where frames are written to.
pub trait Sink {
    /// Appends bytes.
    fn put(&mut self, bytes: &[u8]);
}

impl Sink for Vec<u8> {
    #[inline]
    fn put(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }
}

/// Writes the head of one frame, then leaves the body to its caller.
///
/// ```
/// use sabir_protocol_stomp::codec::{Command, Escapes, FrameWriter};
/// let mut bytes = Vec::new();
/// FrameWriter::new(&mut bytes, Command::Send, Escapes::V1_2)
///     .header("destination", "/queue/a")
///     .header("note", "a:b")
///     .body(b"hello");
/// assert_eq!(bytes, b"SEND\ndestination:/queue/a\nnote:a\\cb\n\nhello\0");
/// ```
#[derive(Debug)]
pub struct FrameWriter<'s, S: Sink> {
    sink: &'s mut S,
    escapes: Escapes,
}

impl<'s, S: Sink> FrameWriter<'s, S> {
    /// Begins a frame. `CONNECT` and `CONNECTED` are never escaped, whatever `escapes` says.
    #[inline]
    pub fn new(sink: &'s mut S, command: Command, escapes: Escapes) -> Self {
        sink.put(command.as_str().as_bytes());
        sink.put(b"\n");
        FrameWriter { sink, escapes: if command.is_unescaped() { Escapes::None } else { escapes } }
    }

    /// Goes on with a head that was begun elsewhere.
    #[inline]
    pub fn continuing(sink: &'s mut S, escapes: Escapes) -> Self {
        FrameWriter { sink, escapes }
    }

    /// Leaves the head unfinished, for lines that are written ahead.
    #[inline]
    pub fn leave(self) {}

    /// Adds a header. Where the version has no escape for a character that would break the frame, a blank stands
    /// in its place: no text can add a header or end the frame.
    #[inline]
    #[must_use = "the frame has to be ended"]
    pub fn header(self, name: &str, value: &str) -> Self {
        put_escaped(self.sink, name, self.escapes, true);
        self.sink.put(b":");
        put_escaped(self.sink, value, self.escapes, false);
        self.sink.put(b"\n");
        self
    }

    /// Adds a header whose name and value are known to need no escape: constants, numbers, or what was escaped
    /// before under the same version.
    #[inline]
    #[must_use = "the frame has to be ended"]
    pub fn raw(self, name: &str, value: &[u8]) -> Self {
        self.sink.put(name.as_bytes());
        self.sink.put(b":");
        self.sink.put(value);
        self.sink.put(b"\n");
        self
    }

    /// Adds whole lines that were written before, each with its line end.
    #[inline]
    #[must_use = "the frame has to be ended"]
    pub fn lines(self, lines: &[u8]) -> Self {
        self.sink.put(lines);
        self
    }

    /// The same as `raw`, with the value in parts.
    #[inline]
    #[must_use = "the frame has to be ended"]
    pub fn parts(self, name: &str, parts: &[&[u8]]) -> Self {
        self.sink.put(name.as_bytes());
        self.sink.put(b":");
        for part in parts {
            self.sink.put(part);
        }
        self.sink.put(b"\n");
        self
    }

    /// Adds a header with a number, under a name that may need escapes.
    #[inline]
    #[must_use = "the frame has to be ended"]
    pub fn named_number(self, name: &str, value: impl itoa::Integer) -> Self {
        let mut buffer = itoa::Buffer::new();
        let digits = buffer.format(value);
        self.header(name, digits)
    }

    /// Adds a header with a number.
    #[inline]
    #[must_use = "the frame has to be ended"]
    pub fn number(self, name: &str, value: impl itoa::Integer) -> Self {
        let mut buffer = itoa::Buffer::new();
        let digits = buffer.format(value).as_bytes();
        self.raw(name, digits)
    }

    /// Ends the head; the caller writes the body and the NUL behind it.
    #[inline]
    pub fn end_head(self) {
        self.sink.put(b"\n");
    }

    /// Ends the frame with this body. A body with a NUL needs a header `content-length`, which the caller adds.
    #[inline]
    pub fn body(self, body: &[u8]) {
        self.sink.put(b"\n");
        self.sink.put(body);
        self.sink.put(b"\0");
    }
}

#[inline]
fn put_escaped<S: Sink>(sink: &mut S, text: &str, escapes: Escapes, is_name: bool) {
    let bytes = text.as_bytes();
    if has_special(bytes) {
        put_specials(sink, bytes, escapes, is_name);
    } else {
        sink.put(bytes);
    }
}

/// Whether a byte may need an escape or would break a frame. Other control characters are rare enough to be looked
/// at twice.
#[inline]
fn has_special(bytes: &[u8]) -> bool {
    let special = |byte: u8| (byte < b' ') | (byte == b':') | (byte == b'\\');
    // Without early exit and in runs of one length, so that eight bytes are looked at together.
    let (runs, rest) = bytes.as_chunks::<8>();
    let look = |found, bytes: &[u8]| bytes.iter().fold(found, |found: bool, byte| found | special(*byte));
    look(runs.iter().fold(false, |found, run| look(found, run)), rest)
}

#[cold]
fn put_specials<S: Sink>(sink: &mut S, bytes: &[u8], escapes: Escapes, is_name: bool) {
    let mut done = 0;
    for (at, byte) in bytes.iter().enumerate() {
        let escape = escapes.encode(*byte);
        // What breaks a frame and has no escape in this version: line feeds and NUL always, carriage returns
        // because readers may take them for the line's end, colons in names.
        let breaks = matches!(byte, b'\n' | b'\r' | 0) || (*byte == b':' && is_name);
        if escape.is_none() && !breaks {
            continue;
        }
        sink.put(bytes.get(done..at).unwrap_or_default());
        match escape {
            Some(letter) => sink.put(&[b'\\', letter]),
            None => sink.put(b" "),
        }
        done = at + 1;
    }
    sink.put(bytes.get(done..).unwrap_or_default());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(escapes: Escapes, name: &str, value: &str) -> String {
        let mut bytes = Vec::new();
        FrameWriter::new(&mut bytes, Command::Message, escapes).header(name, value).end_head();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn special_characters_are_escaped_as_the_version_says() {
        assert_eq!(header(Escapes::V1_2, "a:b", "c:d\r\n\\"), "MESSAGE\na\\cb:c\\cd\\r\\n\\\\\n\n");
        assert_eq!(header(Escapes::V1_1, "a", "c:d\n\\"), "MESSAGE\na:c\\cd\\n\\\\\n\n");
    }

    #[test]
    fn no_text_can_add_a_header_or_end_the_frame() {
        assert_eq!(header(Escapes::None, "a:b", "c:d\r\n\0\\"), "MESSAGE\na b:c:d   \\\n\n");
        assert_eq!(header(Escapes::V1_1, "a", "\r\0"), "MESSAGE\na:  \n\n");
        assert_eq!(header(Escapes::V1_2, "a", "\0"), "MESSAGE\na: \n\n");
    }
}
