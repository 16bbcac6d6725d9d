// SPDX-License-Identifier: Apache-2.0
//! Destinations: a kind and a physical name, which may hold several with commas; and the text form, where each of several
//! has its scheme.

use crate::codec::{Destination, DestinationKind};
use std::borrow::Cow;
use std::fmt::Write;

const KINDS: [DestinationKind; 4] =
    [DestinationKind::Queue, DestinationKind::Topic, DestinationKind::TempQueue, DestinationKind::TempTopic];

/// The text form is these two behind each other.
pub fn text(destination: &Destination) -> (&'static str, Cow<'_, str>) {
    let name = &*destination.physical_name;
    let is_simple = !name.bytes().any(|byte| matches!(byte, b',' | b'?' | b'/' | b' '));
    if is_simple {
        return (destination.kind.prefix(), Cow::Borrowed(name));
    }
    // Java clients read and remove options themselves; others leave them where they are.
    let names = name.split_once('?').map_or(name, |(names, _)| names);
    let mut text = String::with_capacity(names.len() + 16);
    for part in names.split(',').map(str::trim).filter(|part| !part.is_empty()) {
        let (kind, name) = split(part).unwrap_or((destination.kind, part));
        if !text.is_empty() {
            text.push(',');
        }
        text.push_str(kind.prefix());
        text.push_str(name);
    }
    ("", Cow::Owned(text))
}

/// One of several without its prefix, and its kind.
pub fn split_kind(part: &str, kind: DestinationKind) -> (DestinationKind, &str) {
    split(part).unwrap_or((kind, part))
}

fn split(text: &str) -> Option<(DestinationKind, &str)> {
    KINDS.into_iter().find_map(|kind| Some((kind, text.strip_prefix(kind.prefix())?)))
}

/// A destination from the text form. `None`: it is of a kind that OpenWire does not have.
pub fn parse(text: &str) -> Option<Destination> {
    if !text.contains(',') {
        let (kind, name) = split(text)?;
        return Some(Destination::new(kind, name));
    }
    let mut kind = None;
    let mut names = String::with_capacity(text.len());
    for part in text.split(',') {
        let (part_kind, name) = split(part)?;
        match kind {
            None => {
                kind = Some(part_kind);
                names.push_str(name);
            }
            // Those without a prefix are of the kind of the whole.
            Some(kind) if kind == part_kind => {
                names.push(',');
                names.push_str(name);
            }
            Some(_) => {
                let _ = write!(names, ",{}{name}", part_kind.prefix());
            }
        }
    }
    Some(Destination::new(kind?, &names))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn joined(kind: DestinationKind, name: &str) -> String {
        let destination = Destination::new(kind, name);
        let (scheme, rest) = text(&destination);
        format!("{scheme}{rest}")
    }

    #[test]
    fn each_of_several_has_its_scheme_in_the_text_form() {
        for (name, expected) in [
            ("A.B", "queue://A.B"),
            ("A/B", "queue://A/B"),
            ("A, topic://B,,C ", "queue://A,topic://B,queue://C"),
            ("topic://B", "topic://B"),
            ("A?consumer.exclusive=true", "queue://A"),
        ] {
            assert_eq!(joined(DestinationKind::Queue, name), expected);
        }
        assert_eq!(joined(DestinationKind::TempTopic, "ID:h:1:2"), "temp-topic://ID:h:1:2");
    }

    #[test]
    fn the_text_form_is_read_as_it_was_written() {
        for (kind, name) in [
            (DestinationKind::Queue, "A.B"),
            (DestinationKind::Topic, "A,B"),
            (DestinationKind::Queue, "A,topic://B,C"),
            (DestinationKind::TempQueue, "ID:host-1:1:1"),
        ] {
            assert_eq!(parse(&joined(kind, name)), Some(Destination::new(kind, name)));
        }
        assert_eq!(parse("exchange://E"), None);
        assert_eq!(parse("queue://A,exchange://E"), None);
        assert_eq!(parse("A"), None);
    }
}
