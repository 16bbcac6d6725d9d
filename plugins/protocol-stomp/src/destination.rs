// SPDX-License-Identifier: Apache-2.0
//! Destinations as STOMP clients write them, and what they mean here.
//!
//! ```text
//!   /queue/X  queue://X  X                  queue X
//!   /topic/X  topic://X                     topic X
//!   /temp-queue/X  /temp-topic/X            the connection's own temporary destination
//!   /remote-temp-queue/X  temp-queue://X    another connection's, as a reply-to names it
//!   /amq/queue/X                            queue X, as RabbitMQ names queues that it did not make itself
//!   /exchange/X                             exchange X, for sending
//! ```
//! Several with commas between them are a composite. In subscriptions `*` is one word, and `>` at the end and `#`
//! are any number of words: of ActiveMQ's filters, `A.>` matches `A` and everything below it.

use sabir_model::destination::{Destination, DestinationError, DestinationKind};

/// What a destination is used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Use {
    /// To send to: no wildcards.
    Send,
    /// To receive from: wildcards allowed.
    Subscribe,
}

/// One destination as a client wrote it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// One that is what it says.
    Plain(Destination),
    /// The connection's own temporary destination of this kind and name.
    Temporary(DestinationKind, String),
}

/// Why a text is no destination.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// It begins with a slash, but not with a prefix that means something.
    #[error(
        "the destination {0:?} begins with none of /queue/, /topic/, /temp-queue/, /temp-topic/, \
         /remote-temp-queue/, /remote-temp-topic/, /amq/queue/, /exchange/"
    )]
    Prefix(String),
    /// The name cannot be.
    #[error(transparent)]
    Name(#[from] DestinationError),
    /// A wildcard where a name is needed.
    #[error("the destination {0:?} has a wildcard: messages are sent to names")]
    Wildcard(String),
    /// `>` must be last.
    #[error("the destination {0:?} has > before its last word")]
    Descendants(String),
    /// Too many in one.
    #[error("the destination names more than {0} destinations (max_composite)")]
    Composite(usize),
    /// Not for this use.
    #[error("the destination {0:?} can only be sent to")]
    SendOnly(String),
    /// Not for this use.
    #[error("the destination {0:?} has a routing key, which this broker's exchanges do not take from STOMP")]
    RoutingKey(String),
    /// A comma where it would make a composite of what must be one.
    #[error("the temporary destination {0:?} must not be a composite")]
    TemporaryComposite(String),
}

enum Prefix {
    Named(DestinationKind),
    Own(DestinationKind),
}

const PREFIXES: [(&str, Prefix); 13] = [
    ("/queue/", Prefix::Named(DestinationKind::Queue)),
    ("/topic/", Prefix::Named(DestinationKind::Topic)),
    ("/temp-queue/", Prefix::Own(DestinationKind::TempQueue)),
    ("/temp-topic/", Prefix::Own(DestinationKind::TempTopic)),
    ("/remote-temp-queue/", Prefix::Named(DestinationKind::TempQueue)),
    ("/remote-temp-topic/", Prefix::Named(DestinationKind::TempTopic)),
    ("/amq/queue/", Prefix::Named(DestinationKind::Queue)),
    ("/exchange/", Prefix::Named(DestinationKind::Exchange)),
    ("queue://", Prefix::Named(DestinationKind::Queue)),
    ("topic://", Prefix::Named(DestinationKind::Topic)),
    ("temp-queue://", Prefix::Named(DestinationKind::TempQueue)),
    ("temp-topic://", Prefix::Named(DestinationKind::TempTopic)),
    ("exchange://", Prefix::Named(DestinationKind::Exchange)),
];

/// Reads a destination: one, or all of a composite.
pub fn parse(text: &str, used: Use, max_composite: usize) -> Result<Vec<Address>, AddressError> {
    let mut addresses = Vec::new();
    let mut kind = DestinationKind::Queue;
    for part in text.split(',') {
        if addresses.len() >= max_composite {
            return Err(AddressError::Composite(max_composite));
        }
        let address = parse_one(part.trim_matches([' ', '\t']), kind, used)?;
        match &address {
            // Parts without a prefix are of the kind of the part before: `/topic/a,b`.
            Address::Plain(destination) => kind = destination.kind,
            Address::Temporary(..) => {}
        }
        addresses.push(address);
    }
    let temporary = |address: &Address| match address {
        Address::Plain(destination) => destination.kind.is_temporary(),
        Address::Temporary(..) => true,
    };
    if addresses.len() > 1 && addresses.iter().any(temporary) {
        return Err(AddressError::TemporaryComposite(text.to_owned()));
    }
    Ok(addresses)
}

fn parse_one(text: &str, kind: DestinationKind, used: Use) -> Result<Address, AddressError> {
    let prefixed = PREFIXES.iter().find_map(|(prefix, meaning)| Some((meaning, text.strip_prefix(prefix)?)));
    let (kind, name) = match prefixed {
        Some((Prefix::Own(kind), name)) => {
            Destination::new(*kind, name)?;
            return Ok(Address::Temporary(*kind, name.to_owned()));
        }
        Some((Prefix::Named(kind), name)) => (*kind, name),
        None if text.starts_with('/') => return Err(AddressError::Prefix(text.to_owned())),
        None => (kind, text),
    };
    if kind == DestinationKind::Exchange {
        if used == Use::Subscribe {
            return Err(AddressError::SendOnly(text.to_owned()));
        }
        if name.contains('/') {
            return Err(AddressError::RoutingKey(text.to_owned()));
        }
    }
    if kind.is_temporary() {
        return Ok(Address::Plain(Destination::new(kind, name)?));
    }
    match used {
        Use::Send if has_wildcard(name) => Err(AddressError::Wildcard(text.to_owned())),
        Use::Send => Ok(Address::Plain(Destination::new(kind, name)?)),
        Use::Subscribe => Ok(Address::Plain(Destination::new(kind, &pattern(name)?)?)),
    }
}

/// Whether a name would be a pattern in a subscription.
pub fn has_wildcard(name: &str) -> bool {
    name.split('.').any(|word| matches!(word, "*" | ">" | "#"))
}

/// A pattern of ActiveMQ or RabbitMQ in the one pattern language.
fn pattern(name: &str) -> Result<String, AddressError> {
    if !name.contains('>') {
        return Ok(name.to_owned());
    }
    let words: Vec<&str> = name.split('.').collect();
    // Several `>` at the end are one.
    let named = words.iter().rposition(|word| *word != ">").map_or(0, |at| at + 1);
    let (names, descendants) = words.split_at(named);
    if names.contains(&">") {
        return Err(AddressError::Descendants(name.to_owned()));
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

/// The prefix with which a client can send to a destination of this kind.
pub fn prefix(kind: DestinationKind) -> &'static str {
    match kind {
        DestinationKind::Queue => "/queue/",
        DestinationKind::Topic => "/topic/",
        DestinationKind::TempQueue => "/remote-temp-queue/",
        DestinationKind::TempTopic => "/remote-temp-topic/",
        DestinationKind::Exchange => "/exchange/",
    }
}

/// A destination's text form `scheme://name` as a STOMP prefix and the name; `None`: it is none.
pub fn split(text: &str) -> Option<(DestinationKind, &str)> {
    let (scheme, name) = text.split_once("://")?;
    let kind = match scheme {
        "queue" => DestinationKind::Queue,
        "topic" => DestinationKind::Topic,
        "temp-queue" => DestinationKind::TempQueue,
        "temp-topic" => DestinationKind::TempTopic,
        "exchange" => DestinationKind::Exchange,
        _ => return None,
    };
    Some((kind, name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(text: &str) -> Result<Vec<String>, AddressError> {
        shown(parse(text, Use::Send, 4)?)
    }

    fn subscribed(text: &str) -> Result<Vec<String>, AddressError> {
        shown(parse(text, Use::Subscribe, 4)?)
    }

    fn shown(addresses: Vec<Address>) -> Result<Vec<String>, AddressError> {
        Ok(addresses
            .into_iter()
            .map(|address| match address {
                Address::Plain(destination) => destination.to_string(),
                Address::Temporary(kind, name) => format!("own {} {name}", kind.scheme()),
            })
            .collect())
    }

    #[test]
    fn each_prefix_means_its_kind_and_plain_names_are_queues() {
        assert_eq!(sent("/queue/a.b/c"), Ok(vec!["queue://a.b/c".into()]));
        assert_eq!(sent("a.b"), Ok(vec!["queue://a.b".into()]));
        assert_eq!(sent(" /topic/a "), Ok(vec!["topic://a".into()]));
        assert_eq!(sent("topic://a"), Ok(vec!["topic://a".into()]));
        assert_eq!(sent("/temp-queue/a"), Ok(vec!["own temp-queue a".into()]));
        assert_eq!(sent("/remote-temp-queue/ID:x:1"), Ok(vec!["temp-queue://ID:x:1".into()]));
        assert_eq!(sent("/amq/queue/a"), Ok(vec!["queue://a".into()]));
        assert_eq!(sent("/exchange/e"), Ok(vec!["exchange://e".into()]));
        assert_eq!(sent("/exchange/e/k"), Err(AddressError::RoutingKey("/exchange/e/k".into())));
        assert_eq!(subscribed("/exchange/e"), Err(AddressError::SendOnly("/exchange/e".into())));
        assert_eq!(sent("/quue/a"), Err(AddressError::Prefix("/quue/a".into())));
        assert!(matches!(sent("/queue/"), Err(AddressError::Name(DestinationError::Empty))));
    }

    #[test]
    fn a_composite_is_a_list_of_the_kind_that_stands_before() {
        assert_eq!(
            sent("/topic/a,b,queue://c,/queue/d"),
            Ok(vec!["topic://a".into(), "topic://b".into(), "queue://c".into(), "queue://d".into()])
        );
        assert_eq!(sent("a,b,c,d,e"), Err(AddressError::Composite(4)));
        assert!(matches!(sent("/temp-queue/a,b"), Err(AddressError::TemporaryComposite(_))));
        assert!(matches!(sent("/remote-temp-queue/a,b"), Err(AddressError::TemporaryComposite(_))));
        assert!(sent("a,,b").is_err());
    }

    #[test]
    fn wildcards_are_translated_for_subscriptions_and_refused_for_sending() {
        assert_eq!(subscribed("/topic/a.*.b"), Ok(vec!["topic://a.*.b".into()]));
        assert_eq!(subscribed("/topic/a.>"), Ok(vec!["topic://a.#".into()]));
        assert_eq!(subscribed("/topic/a.>.>"), Ok(vec!["topic://a.#".into()]));
        assert_eq!(subscribed("/topic/>"), Ok(vec!["topic://#".into()]));
        assert_eq!(subscribed("/topic/a.#.b"), Ok(vec!["topic://a.#.b".into()]));
        assert_eq!(subscribed("/topic/a>b"), Ok(vec!["topic://a>b".into()]));
        assert_eq!(subscribed("/topic/a.>.b"), Err(AddressError::Descendants("a.>.b".into())));
        for text in ["/topic/>", "/queue/a.*", "#"] {
            assert!(matches!(sent(text), Err(AddressError::Wildcard(_))), "{text}");
        }
    }

    #[test]
    fn every_kind_of_destination_comes_back_as_it_can_be_sent_to() {
        for kind in DestinationKind::ALL {
            let destination = Destination::new(kind, "a.b").unwrap();
            let text = destination.to_string();
            let (found, name) = split(&text).unwrap();
            assert_eq!((found, name), (kind, "a.b"));
            let stomp = format!("{}{name}", prefix(kind));
            assert_eq!(parse(&stomp, Use::Send, 1), Ok(vec![Address::Plain(destination)]));
        }
    }
}
