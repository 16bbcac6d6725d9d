// SPDX-License-Identifier: Apache-2.0
//! Definitions of queues, exchanges and bindings as they are kept under their keys: fields, so that more can be added.

use crate::queue::Traits;
use crate::subscription::DurableSubscription;
use bytes::Bytes;
use sabir_model::Destination;
use sabir_model::fields::{self, number as field};
use sabir_model::verb::ExchangeKind;

const FLAG_AUTO_DELETE: u64 = 1 << 0;
const FLAG_AUTO_CREATED: u64 = 1 << 1;
const FLAG_NO_LOCAL: u64 = 1 << 2;
const FLAG_SHARED: u64 = 1 << 3;

/// A durable queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct QueueDefinition {
    pub host: Box<str>,
    pub destination: Destination,
    pub traits: Traits,
    pub subscription: Option<DurableSubscription>,
}

impl QueueDefinition {
    pub fn encode(&self) -> Bytes {
        let mut out = Vec::new();
        let mut flags = 0;
        if self.traits.auto_delete {
            flags |= FLAG_AUTO_DELETE;
        }
        if self.traits.auto_created {
            flags |= FLAG_AUTO_CREATED;
        }
        fields::put(&mut out, field::VIRTUAL_HOST, self.host.as_bytes());
        fields::put(&mut out, field::DESTINATION, self.destination.to_string().as_bytes());
        if let Some(subscription) = &self.subscription {
            if subscription.no_local {
                flags |= FLAG_NO_LOCAL;
            }
            if subscription.shared {
                flags |= FLAG_SHARED;
            }
            fields::put(&mut out, field::SUBSCRIPTION_NAME, subscription.name.as_bytes());
            if let Some(id) = &subscription.client_id {
                fields::put(&mut out, field::CLIENT_ID, id.as_bytes());
            }
            if let Some(selector) = &subscription.selector {
                fields::put(&mut out, field::SELECTOR, selector.as_bytes());
            }
            for topic in &subscription.topics {
                fields::put(&mut out, field::SOURCE, topic.to_string().as_bytes());
            }
        }
        fields::put(&mut out, field::FLAGS, &flags.to_le_bytes());
        out.into()
    }

    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let (mut host, mut destination, mut flags) = (None, None, 0u64);
        let (mut name, mut client_id, mut selector, mut topics) = (None, None, None, Vec::new());
        for one in fields::iter(bytes) {
            let (number, value) = one.ok()?;
            match number {
                field::VIRTUAL_HOST => host = Some(text(value)?.into()),
                field::DESTINATION => destination = Some(Destination::parse(text(value)?).ok()?),
                field::SUBSCRIPTION_NAME => name = Some(text(value)?.into()),
                field::CLIENT_ID => client_id = Some(text(value)?.into()),
                field::SELECTOR => selector = Some(text(value)?.to_owned()),
                field::SOURCE => topics.push(Destination::parse(text(value)?).ok()?),
                field::FLAGS => flags = u64::from_le_bytes(value.try_into().ok()?),
                _ => {}
            }
        }
        let subscription = name.map(|name| DurableSubscription {
            client_id,
            name,
            topics,
            selector,
            no_local: flags & FLAG_NO_LOCAL != 0,
            shared: flags & FLAG_SHARED != 0,
        });
        Some(QueueDefinition {
            host: host?,
            destination: destination?,
            traits: Traits {
                durable: true,
                auto_delete: flags & FLAG_AUTO_DELETE != 0,
                auto_created: flags & FLAG_AUTO_CREATED != 0,
                exclusive: false,
            },
            subscription,
        })
    }
}

/// A durable exchange.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ExchangeDefinition {
    pub host: Box<str>,
    pub name: Box<str>,
    pub kind: ExchangeKind,
    pub auto_delete: bool,
}

impl ExchangeDefinition {
    pub fn encode(&self) -> Bytes {
        let mut out = Vec::new();
        let flags = if self.auto_delete { FLAG_AUTO_DELETE } else { 0 };
        fields::put(&mut out, field::VIRTUAL_HOST, self.host.as_bytes());
        fields::put(&mut out, field::SOURCE, self.name.as_bytes());
        fields::put(&mut out, field::EXCHANGE_KIND, self.kind.name().as_bytes());
        fields::put(&mut out, field::FLAGS, &flags.to_le_bytes());
        out.into()
    }

    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let (mut host, mut name, mut kind, mut flags) = (None, None, None, 0u64);
        for one in fields::iter(bytes) {
            let (number, value) = one.ok()?;
            match number {
                field::VIRTUAL_HOST => host = Some(text(value)?.into()),
                field::SOURCE => name = Some(text(value)?.into()),
                field::EXCHANGE_KIND => kind = Some(ExchangeKind::from_name(text(value)?)?),
                field::FLAGS => flags = u64::from_le_bytes(value.try_into().ok()?),
                _ => {}
            }
        }
        let auto_delete = flags & FLAG_AUTO_DELETE != 0;
        Some(ExchangeDefinition { host: host?, name: name?, kind: kind?, auto_delete })
    }
}

/// A durable binding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BindingDefinition {
    pub host: Box<str>,
    pub source: Destination,
    pub target: Destination,
    pub key: Box<str>,
    pub selector: Option<String>,
}

impl BindingDefinition {
    pub fn encode(&self) -> Bytes {
        let mut out = Vec::new();
        fields::put(&mut out, field::VIRTUAL_HOST, self.host.as_bytes());
        fields::put(&mut out, field::SOURCE, self.source.to_string().as_bytes());
        fields::put(&mut out, field::TARGET, self.target.to_string().as_bytes());
        fields::put(&mut out, field::KEY, self.key.as_bytes());
        if let Some(selector) = &self.selector {
            fields::put(&mut out, field::SELECTOR, selector.as_bytes());
        }
        out.into()
    }

    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let (mut host, mut source, mut target, mut key, mut selector) = (None, None, None, None, None);
        for one in fields::iter(bytes) {
            let (number, value) = one.ok()?;
            match number {
                field::VIRTUAL_HOST => host = Some(text(value)?.into()),
                field::SOURCE => source = Some(Destination::parse(text(value)?).ok()?),
                field::TARGET => target = Some(Destination::parse(text(value)?).ok()?),
                field::KEY => key = Some(text(value)?.into()),
                field::SELECTOR => selector = Some(text(value)?.to_owned()),
                _ => {}
            }
        }
        Some(BindingDefinition { host: host?, source: source?, target: target?, key: key?, selector })
    }
}

fn text(value: &[u8]) -> Option<&str> {
    std::str::from_utf8(value).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_definition_is_read_back_as_it_was_written() {
        let queue = QueueDefinition {
            host: "h".into(),
            destination: Destination::topic("a.#").unwrap(),
            traits: Traits { durable: true, auto_delete: true, auto_created: true, exclusive: false },
            subscription: Some(DurableSubscription {
                client_id: Some("c".into()),
                name: "n".into(),
                topics: vec![Destination::topic("a.#").unwrap(), Destination::topic("b").unwrap()],
                selector: Some("x = 1".into()),
                no_local: true,
                shared: false,
            }),
        };
        assert_eq!(QueueDefinition::decode(&queue.encode()), Some(queue));
        let exchange = ExchangeDefinition {
            host: "h".into(),
            name: "e".into(),
            kind: ExchangeKind::Headers,
            auto_delete: true,
        };
        assert_eq!(ExchangeDefinition::decode(&exchange.encode()), Some(exchange));
        let binding = BindingDefinition {
            host: "h".into(),
            source: Destination::parse("exchange://e").unwrap(),
            target: Destination::queue("q").unwrap(),
            key: "".into(),
            selector: None,
        };
        assert_eq!(BindingDefinition::decode(&binding.encode()), Some(binding));
        assert_eq!(BindingDefinition::decode(b""), None);
    }
}
