// SPDX-License-Identifier: Apache-2.0
//! What the broker that opens a duplex bridge wants of the other half: the properties of its network connector, as far as
//! they mean something here.

use crate::codec::{BrokerInfo, Destination, DestinationKind};
use crate::session::destination::{self, Use, kind_of, split_kind};
use sabir_model::destination::Destination as ModelDestination;
use sabir_model::pattern::Pattern;
use std::collections::HashMap;
use std::sync::Arc;

/// Where the other broker tells of its consumers, if its connector does not say otherwise.
const CONSUMERS: &str = "ActiveMQ.Advisory.Consumer.>";
/// Where it tells of its temporary destinations.
const TEMPORARY: &str = ",ActiveMQ.Advisory.TempQueue,ActiveMQ.Advisory.TempTopic";
const PREFETCH: i32 = 1000;
const PRIORITY: i8 = -5;

/// What a bridge is to do. Holds a password, and is never shown.
pub struct Wants {
    /// The connector's name.
    pub name: Box<str>,
    /// The other broker's name.
    pub broker_name: Box<str>,
    /// As whom it wants to be logged in to, and with which password.
    pub user: Option<Box<str>>,
    pub password: Option<Box<str>>,
    /// The advisories that tell of demand.
    pub advisories: Box<str>,
    /// How many messages may be under way of each destination.
    pub prefetch: i32,
    /// How many advisories may be under way.
    pub advisory_prefetch: i32,
    /// Of its consumers here.
    pub priority: i8,
    /// How many brokers a subscription may have passed.
    pub consumer_ttl: Option<usize>,
    /// Whether answers find their way to temporary destinations.
    temporary: bool,
    excluded: Vec<Filter>,
    included: Vec<Filter>,
    always: Vec<Filter>,
    /// What is forwarded whether anybody consumes it or not.
    pub statics: Vec<Arc<Destination>>,
}

/// Destinations of one kind whose names match.
#[derive(Debug)]
struct Filter {
    kind: DestinationKind,
    pattern: Pattern,
}

impl Filter {
    fn of(destination: &Destination) -> Option<Filter> {
        let found = destination::resolve(destination, Use::Receive, 1).ok()?.pop()?;
        Some(Filter { kind: destination.kind, pattern: Pattern::parse(&found.name).ok()? })
    }

    fn takes(&self, kind: DestinationKind, name: &str) -> bool {
        self.kind == kind && self.pattern.matches(name)
    }
}

impl Wants {
    /// Reads what a bridge says of itself. What is not said, or cannot be read, is as it is in ActiveMQ.
    pub fn read(info: &BrokerInfo) -> Wants {
        let properties = properties(info.network_properties.as_deref().unwrap_or_default());
        let text = |name: &str| properties.get(name).filter(|value| !value.is_empty());
        let number = |name: &str| text(name).and_then(|value| value.parse::<i32>().ok());
        let flag = |name: &str, default| text(name).map_or(default, |value| value == "true");
        let list = |name: &str| destinations(text(name).map(String::as_str).unwrap_or_default());
        let filters = |name: &str| list(name).iter().filter_map(|one| Filter::of(one)).collect::<Vec<_>>();
        let owned = |name: &str| text(name).map(|value| value.as_str().into());
        let remote = text("remoteUserName").is_some();
        let temporary = flag("bridgeTempDestinations", true);
        let told = text("destinationFilter").map_or(CONSUMERS, String::as_str);
        let prefetch = number("prefetchSize").filter(|size| *size > 0).unwrap_or(PREFETCH);
        let ttl = number("consumerTTL").unwrap_or(1);
        let base =
            number("consumerPriorityBase").and_then(|base| i8::try_from(base).ok()).unwrap_or(PRIORITY);
        Wants {
            name: owned("name").unwrap_or_else(|| "NC".into()),
            broker_name: info.broker_name.clone().unwrap_or_default(),
            user: owned(if remote { "remoteUserName" } else { "userName" }),
            password: owned(if remote { "remotePassword" } else { "password" }),
            advisories: format!("{told}{}", if temporary { TEMPORARY } else { "" }).into(),
            prefetch,
            advisory_prefetch: number("advisoryPrefetchSize").filter(|size| *size > 0).unwrap_or(prefetch),
            priority: if flag("decreaseNetworkConsumerPriority", true) { base } else { 0 },
            consumer_ttl: usize::try_from(ttl).ok(),
            temporary,
            excluded: filters("excludedDestinations"),
            included: filters("dynamicallyIncludedDestinations"),
            always: filters("staticallyIncludedDestinations"),
            statics: list("staticallyIncludedDestinations"),
        }
    }

    /// Whether what is sent there is to be forwarded.
    pub fn takes(&self, destination: &Destination, model: &ModelDestination) -> bool {
        if kind_of(destination.kind).is_temporary() {
            return self.temporary;
        }
        let any = |filters: &[Filter]| filters.iter().any(|one| one.takes(destination.kind, &model.name));
        !any(&self.excluded) && (self.included.is_empty() || any(&self.always) || any(&self.included))
    }
}

/// `[queue://A, topic://B?option=1]`
fn destinations(list: &str) -> Vec<Arc<Destination>> {
    let inner = list.trim().trim_start_matches('[').trim_end_matches(']');
    let parts = inner.split(',').map(|part| part.trim().split('?').next().unwrap_or_default());
    parts
        .filter(|part| !part.is_empty())
        .map(|part| split_kind(part, DestinationKind::Queue))
        .map(|(kind, name)| Arc::new(Destination::new(kind, name)))
        .collect()
}

/// A text of `java.util.Properties`, on lines of their own each.
fn properties(text: &str) -> HashMap<String, String> {
    let lines = text.lines().map(str::trim_start).filter(|line| !line.starts_with(['#', '!']));
    lines.filter_map(property).collect()
}

fn property(line: &str) -> Option<(String, String)> {
    let (mut name, mut value, mut named) = (String::new(), String::new(), false);
    let mut characters = line.chars();
    while let Some(character) = characters.next() {
        let character = match character {
            '=' | ':' if !named => {
                named = true;
                continue;
            }
            '\\' => match characters.next()? {
                'n' => '\n',
                'r' => '\r',
                't' => '\t',
                'f' => '\u{c}',
                'u' => {
                    let digits: String = characters.by_ref().take(4).collect();
                    char::from_u32(u32::from_str_radix(&digits, 16).ok()?)?
                }
                other => other,
            },
            other => other,
        };
        if named { &mut value } else { &mut name }.push(character);
    }
    named.then_some((name, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wants(properties: &str) -> Wants {
        Wants::read(&BrokerInfo { network_properties: Some(properties.into()), ..BrokerInfo::default() })
    }

    fn takes(wants: &Wants, kind: DestinationKind, name: &str) -> bool {
        let destination = Destination::new(kind, name);
        let model = destination::resolve(&destination, Use::Receive, 1).unwrap().pop().unwrap();
        wants.takes(&destination, &model)
    }

    #[test]
    fn a_connector_says_what_it_wants_as_java_writes_it() {
        let wants = wants(
            "#\n#Mon Nov 30 12:00:00 UTC 2026\nname=NC\\:1\nprefetchSize=7\nconsumerTTL=-1\nuserName=\\u0061nn\n\
             excludedDestinations=[queue\\://private.>, topic\\://x]\nconsumerPriorityBase=-9\nbad\n",
        );
        assert_eq!((&*wants.name, wants.prefetch, wants.advisory_prefetch), ("NC:1", 7, 7));
        assert_eq!((wants.user.as_deref(), wants.consumer_ttl, wants.priority), (Some("ann"), None, -9));
        assert!(!takes(&wants, DestinationKind::Queue, "private.a"));
        assert!(!takes(&wants, DestinationKind::Queue, "private.>"));
        assert!(takes(&wants, DestinationKind::Topic, "private.a"));
        assert!(!takes(&wants, DestinationKind::Topic, "x"));
        assert!(takes(&wants, DestinationKind::TempQueue, "ID:a-1:1:1"));
    }

    #[test]
    fn what_is_included_excludes_the_rest() {
        let wants = wants(
            "dynamicallyIncludedDestinations=[queue://a.*, topic://b?durable=true]\n\
             staticallyIncludedDestinations=[queue://s]\nbridgeTempDestinations=false\n",
        );
        assert!(takes(&wants, DestinationKind::Queue, "a.1") && takes(&wants, DestinationKind::Topic, "b"));
        assert!(takes(&wants, DestinationKind::Queue, "s") && !takes(&wants, DestinationKind::Queue, "b"));
        assert!(!takes(&wants, DestinationKind::TempTopic, "ID:a-1:1:1"));
        assert_eq!(*wants.statics, [Arc::new(Destination::new(DestinationKind::Queue, "s"))]);
        assert_eq!(&*wants.advisories, CONSUMERS);
    }

    #[test]
    fn a_connector_that_says_nothing_is_one_of_activemq() {
        let wants = wants("");
        assert_eq!((wants.prefetch, wants.priority, wants.consumer_ttl), (PREFETCH, PRIORITY, Some(1)));
        assert_eq!(&*wants.advisories, format!("{CONSUMERS}{TEMPORARY}"));
        assert!(takes(&wants, DestinationKind::Queue, "a"));
    }
}
