// SPDX-License-Identifier: Apache-2.0
//! The pattern of a LIKE: `%` for any characters, `_` for one, an escape character for themselves.
//!
//! The pattern is cut at its `%` into segments. The first and the last stand at the ends of the text; those between are
//! found one after the other, each as far left as it goes, which never has to be taken back. So the work is bounded by
//! the text's length times that of the longest segment, and by the text's length alone for segments without `_`.

/// A pattern, ready to match.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Like {
    /// As it was written.
    pub(super) pattern: Box<str>,
    /// As it was written.
    pub(super) escape: Option<char>,
    /// What stands between the `%`; one segment when there is none.
    segments: Box<[Segment]>,
}

type Segment = Box<[Piece]>;

#[derive(Clone, Debug, PartialEq)]
enum Piece {
    Literal(Box<str>),
    /// So many characters.
    Any(usize),
}

impl Like {
    /// An escape character in front of `%`, `_` or itself makes it literal; in front of anything else it is a character
    /// like others, as ActiveMQ has it.
    pub(super) fn new(pattern: &str, escape: Option<char>) -> Self {
        let mut segments = Vec::new();
        let mut open = OpenSegment::default();
        let mut chars = pattern.chars().peekable();
        while let Some(c) = chars.next() {
            let escaped = chars
                .peek()
                .copied()
                .filter(|next| escape == Some(c) && (matches!(next, '%' | '_') || escape == Some(*next)));
            match (escaped, c) {
                (Some(literal), _) => {
                    open.literal.push(literal);
                    chars.next();
                }
                (None, '%') => segments.push(std::mem::take(&mut open).close()),
                (None, '_') => open.any(),
                (None, literal) => open.literal.push(literal),
            }
        }
        segments.push(open.close());
        Like { pattern: pattern.into(), escape, segments: segments.into() }
    }

    /// Whether the whole text matches.
    pub(super) fn matches(&self, text: &str) -> bool {
        let [first, others @ ..] = &*self.segments else { return false };
        let Some(mut rest) = strip_front(text, first) else { return false };
        let [between @ .., last] = others else { return rest.is_empty() };
        rest = match strip_back(rest, last) {
            Some(rest) => rest,
            None => return false,
        };
        for segment in between {
            rest = match find(rest, segment) {
                Some(behind) => behind,
                None => return false,
            };
        }
        true
    }
}

/// A segment while its characters are collected.
#[derive(Default)]
struct OpenSegment {
    pieces: Vec<Piece>,
    literal: String,
}

impl OpenSegment {
    fn flush(&mut self) {
        if !self.literal.is_empty() {
            self.pieces.push(Piece::Literal(std::mem::take(&mut self.literal).into()));
        }
    }

    fn any(&mut self) {
        self.flush();
        match self.pieces.last_mut() {
            Some(Piece::Any(count)) => *count += 1,
            _ => self.pieces.push(Piece::Any(1)),
        }
    }

    fn close(mut self) -> Segment {
        self.flush();
        self.pieces.into()
    }
}

/// What follows the segment, if the text begins with it.
fn strip_front<'t>(text: &'t str, segment: &[Piece]) -> Option<&'t str> {
    segment.iter().try_fold(text, |rest, piece| match piece {
        Piece::Literal(literal) => rest.strip_prefix(&**literal),
        Piece::Any(count) => {
            let mut chars = rest.chars();
            chars.nth(count - 1)?;
            Some(chars.as_str())
        }
    })
}

/// What comes before the segment, if the text ends with it.
fn strip_back<'t>(text: &'t str, segment: &[Piece]) -> Option<&'t str> {
    segment.iter().rev().try_fold(text, |rest, piece| match piece {
        Piece::Literal(literal) => rest.strip_suffix(&**literal),
        Piece::Any(count) => {
            let mut chars = rest.chars();
            chars.nth_back(count - 1)?;
            Some(chars.as_str())
        }
    })
}

/// What follows the segment where it first occurs.
fn find<'t>(text: &'t str, segment: &[Piece]) -> Option<&'t str> {
    match segment {
        [] => Some(text),
        [Piece::Literal(literal)] => text.find(&**literal).and_then(|at| text.get(at + literal.len()..)),
        _ => {
            let starts = text.char_indices().map(|(at, _)| at);
            starts.filter_map(|at| text.get(at..)).find_map(|rest| strip_front(rest, segment))
        }
    }
}
