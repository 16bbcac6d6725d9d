// SPDX-License-Identifier: Apache-2.0
//! Destinations as OpenWire clients write them, and what they mean here.
//!
//! ```text
//!   A.B                     of the kind that the destination's type says
//!   A,topic://B,queue://C   several; those without a prefix are of the destination's own kind
//!   A?consumer.prefetchSize=1   with options; Java clients read and remove them themselves, others leave them to us
//! ```
//! In subscriptions `*` is one word, and `>` at the end is any number of words: `A.>` matches `A` and everything below
//! it. Topics named `ActiveMQ.Advisory.` are the broker's own events.

use super::advisory;
use super::problem::{Exception, Problem, class};
use crate::codec::{Destination as WireDestination, DestinationKind as WireKind};
use sabir_model::destination::{Destination, DestinationKind};

/// What a destination is used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Use {
    /// To send to: no wildcards.
    Send,
    /// To receive from: wildcards allowed.
    Receive,
}

/// A destination's kind here.
pub fn kind_of(kind: WireKind) -> DestinationKind {
    match kind {
        WireKind::Queue => DestinationKind::Queue,
        WireKind::Topic => DestinationKind::Topic,
        WireKind::TempQueue => DestinationKind::TempQueue,
        WireKind::TempTopic => DestinationKind::TempTopic,
    }
}

/// A kind as clients have it. Exchanges look like topics to them.
pub fn wire_kind_of(kind: DestinationKind) -> WireKind {
    match kind {
        DestinationKind::Queue => WireKind::Queue,
        DestinationKind::Topic | DestinationKind::Exchange => WireKind::Topic,
        DestinationKind::TempQueue => WireKind::TempQueue,
        DestinationKind::TempTopic => WireKind::TempTopic,
    }
}

/// The destinations in one: itself, or all of a composite. Advisories of which this broker has none are left out.
pub fn resolve(
    destination: &WireDestination,
    used: Use,
    max_composite: usize,
) -> Result<Vec<Destination>, Problem> {
    let (names, _) = split_options(&destination.physical_name);
    let mut found = Vec::new();
    let mut named = false;
    for part in names.split(',').map(str::trim).filter(|part| !part.is_empty()) {
        let (kind, name) = split_kind(part, destination.kind);
        named = true;
        if used == Use::Receive && kind == WireKind::Topic && advisory::is_advisory(name) {
            found.extend(advisory::sources(name)?);
        } else if kind == WireKind::Topic && advisory::is_advisory(name) {
            let text = format!("{name:?} is told of by the broker alone");
            return Err(Exception::new(class::SECURITY, text).refused());
        } else {
            found.push(plain(kind, name, used)?);
        }
        if found.len() > max_composite {
            return Err(Problem::limit("max_composite", max_composite));
        }
    }
    if !named {
        return Err(bad("the destination has no name"));
    }
    Ok(found)
}

/// The part of a composite without its prefix, and its kind.
pub fn split_kind(part: &str, kind: WireKind) -> (WireKind, &str) {
    const KINDS: [WireKind; 4] = [WireKind::Queue, WireKind::Topic, WireKind::TempQueue, WireKind::TempTopic];
    KINDS.into_iter().find_map(|kind| Some((kind, part.strip_prefix(kind.prefix())?))).unwrap_or((kind, part))
}

fn plain(kind: WireKind, name: &str, used: Use) -> Result<Destination, Problem> {
    let kind = kind_of(kind);
    if kind.is_temporary() {
        return Destination::new(kind, name).map_err(|error| bad(error.to_string()));
    }
    let name = match used {
        Use::Send if has_wildcard(name) => {
            return Err(bad(format!("{name:?} has a wildcard: messages are sent to names")));
        }
        Use::Send => name.to_owned(),
        Use::Receive => pattern(name)?,
    };
    Destination::new(kind, &name).map_err(|error| bad(error.to_string()))
}

fn bad(text: impl AsRef<str>) -> Problem {
    Exception::new(class::DESTINATION, text).refused()
}

/// Whether a name would be a pattern in a subscription.
pub fn has_wildcard(name: &str) -> bool {
    name.split('.').any(|word| matches!(word, "*" | ">" | "#"))
}

/// A pattern of ActiveMQ in the one pattern language.
fn pattern(name: &str) -> Result<String, Problem> {
    if name.split('.').any(|word| word == "#") {
        return Err(bad(format!("{name:?} has the word #, which names cannot have")));
    }
    if !name.contains('>') {
        return Ok(name.to_owned());
    }
    let words: Vec<&str> = name.split('.').collect();
    // Several `>` at the end are one.
    let named = words.iter().rposition(|word| *word != ">").map_or(0, |at| at + 1);
    let (names, descendants) = words.split_at(named);
    if names.contains(&">") {
        return Err(bad(format!("{name:?} has > before its last word")));
    }
    let mut translated = names.join(".");
    if !descendants.is_empty() {
        if !names.is_empty() {
            translated.push('.');
        }
        translated.push('#');
    }
    Ok(translated)
}

/// A name and the options behind it.
fn split_options(name: &str) -> (&str, &str) {
    name.split_once('?').unwrap_or((name, ""))
}

/// What the options of a destination say of its consumer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConsumerOptions {
    /// `consumer.prefetchSize`
    pub prefetch_size: Option<i32>,
    /// `consumer.priority`
    pub priority: Option<i8>,
    /// `consumer.exclusive`
    pub exclusive: Option<bool>,
    /// `consumer.noLocal`
    pub no_local: Option<bool>,
    /// `consumer.browser`
    pub browser: Option<bool>,
    /// `consumer.selector`
    pub selector: Option<String>,
}

/// The options of a destination, for clients that do not read them themselves.
pub fn consumer_options(destination: &WireDestination) -> Result<ConsumerOptions, Problem> {
    let mut options = ConsumerOptions::default();
    let (_, text) = split_options(&destination.physical_name);
    for part in text.split('&') {
        let Some((name, value)) = part.split_once('=') else { continue };
        let Some(name) = name.strip_prefix("consumer.") else { continue };
        let unreadable = || bad(format!("the option consumer.{name} cannot be {value:?}"));
        match name {
            "prefetchSize" => options.prefetch_size = Some(value.parse().map_err(|_| unreadable())?),
            "priority" => options.priority = Some(value.parse().map_err(|_| unreadable())?),
            "exclusive" => options.exclusive = Some(value.parse().map_err(|_| unreadable())?),
            "noLocal" => options.no_local = Some(value.parse().map_err(|_| unreadable())?),
            "browser" => options.browser = Some(value.parse().map_err(|_| unreadable())?),
            "selector" => options.selector = Some(percent_decoded(value).ok_or_else(unreadable)?),
            // Those that say how the broker is to go about it do not change what is delivered.
            _ => {}
        }
    }
    Ok(options)
}

fn percent_decoded(value: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(value.len());
    let mut rest = value.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let mut digit = || char::from(rest.next()?).to_digit(16);
                u8::try_from(digit()? * 16 + digit()?).ok()?
            }
            other => other,
        });
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(kind: WireKind, name: &str, used: Use) -> Result<Vec<String>, Problem> {
        let found = resolve(&WireDestination::new(kind, name), used, 4)?;
        Ok(found.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn names_composites_and_wildcards_are_translated() {
        let cases: &[(WireKind, &str, &[&str])] = &[
            (WireKind::Queue, "A.B", &["queue://A.B"]),
            (WireKind::Queue, "A, topic://B ,,C", &["queue://A", "topic://B", "queue://C"]),
            (WireKind::Topic, "A.*.>", &["topic://A.*.#"]),
            (WireKind::Topic, ">", &["topic://#"]),
            (WireKind::Topic, "A.>.>", &["topic://A.#"]),
            (WireKind::Queue, "a>b", &["queue://a>b"]),
            (WireKind::TempQueue, "ID:h-1:1:*", &["temp-queue://ID:h-1:1:*"]),
            (WireKind::Queue, "Q?consumer.prefetchSize=1", &["queue://Q"]),
        ];
        for (kind, name, expected) in cases {
            assert_eq!(shown(*kind, name, Use::Receive).as_deref(), Ok(&strings(expected)[..]), "{name}");
        }
        assert_eq!(
            shown(WireKind::Queue, "A,topic://B", Use::Send),
            Ok(strings(&["queue://A", "topic://B"]))
        );
    }

    fn strings(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|text| (*text).to_owned()).collect()
    }

    #[test]
    fn what_can_be_no_destination_is_refused() {
        for (kind, name, used) in [
            (WireKind::Queue, "", Use::Send),
            (WireKind::Queue, " , ", Use::Send),
            (WireKind::Topic, "A.>", Use::Send),
            (WireKind::Topic, "A.*", Use::Send),
            (WireKind::Topic, ">.A", Use::Receive),
            (WireKind::Topic, "A.#", Use::Receive),
            (WireKind::Queue, "a,b,c,d,e", Use::Send),
            (WireKind::Queue, "a\nb", Use::Send),
            (WireKind::Topic, "ActiveMQ.Advisory.TempQueue", Use::Send),
            (WireKind::Queue, "a,topic://ActiveMQ.Advisory.Connection", Use::Send),
        ] {
            assert!(shown(kind, name, used).is_err(), "{name:?}");
        }
    }

    #[test]
    fn options_in_names_are_those_of_the_consumer() {
        let name = "Q?consumer.prefetchSize=5&consumer.exclusive=true&x=y&consumer.selector=a%20%3D+1";
        let options = consumer_options(&WireDestination::new(WireKind::Queue, name)).unwrap();
        let expected = ConsumerOptions {
            prefetch_size: Some(5),
            exclusive: Some(true),
            selector: Some("a = 1".to_owned()),
            ..ConsumerOptions::default()
        };
        assert_eq!(options, expected);
        assert!(
            consumer_options(&WireDestination::new(WireKind::Queue, "Q?consumer.priority=many")).is_err()
        );
    }
}
