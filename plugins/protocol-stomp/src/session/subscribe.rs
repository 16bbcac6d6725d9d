// SPDX-License-Identifier: Apache-2.0
//! `SUBSCRIBE` and `UNSUBSCRIBE`, and which messages of a subscription are not settled yet.

use super::problem::{Problem, cut};
use super::send::{flag, number, text_of};
use super::temporary::Resolved;
use super::{Core, Step};
use crate::codec::{FrameWriter, Head, HeaderName, Version};
use crate::destination::{self, Use};
use sabir_model::destination::Destination;
use sabir_model::verb::{Delete, Subscribe};
use sabir_sdk::protocol::{Out, VerbMeta};
use std::borrow::Cow;
use std::collections::{HashMap, VecDeque};

/// How messages of a subscription are acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AckMode {
    /// Not at all: what was handed to the link is done with.
    Auto,
    /// `ACK` counts for the message and all before it.
    Client,
    /// `ACK` counts for the one message.
    Individual,
}

/// Messages that were delivered and not settled, for versions in which `ACK` names them by their ids.
#[derive(Debug, Default)]
pub struct Unsettled {
    /// Hash of the message's id to tag.
    tags: HashMap<u64, u64>,
    /// In the order of delivery: tag and hash. What is settled is left behind until it is at the front.
    order: VecDeque<(u64, u64)>,
    /// Settled in a transaction that is open: transaction, tag, hash.
    pending: Vec<(u64, u64, u64)>,
}

/// Entries of `order` that may be out of date beyond as many as are not.
const STALE_ENTRIES: usize = 64;

impl Unsettled {
    /// A message was delivered.
    pub fn delivered(&mut self, tag: u64, hash: u64) {
        self.tags.insert(hash, tag);
        self.order.push_back((tag, hash));
        if self.order.len() > self.tags.len() * 2 + STALE_ENTRIES {
            let tags = &self.tags;
            self.order.retain(|(tag, hash)| tags.get(hash) == Some(tag));
        }
    }

    /// The tag of a message that was delivered and not settled.
    pub fn tag(&self, hash: u64) -> Option<u64> {
        self.tags.get(&hash).copied()
    }

    /// A message was settled, with all before it if `cumulative`.
    pub fn settled(&mut self, tag: u64, hash: u64, cumulative: bool, transaction: u64) {
        let mut settle = |tag: u64, hash: u64, tags: &mut HashMap<u64, u64>| {
            if tags.get(&hash) == Some(&tag) {
                tags.remove(&hash);
                if transaction != 0 {
                    self.pending.push((transaction, tag, hash));
                }
            }
        };
        if !cumulative {
            settle(tag, hash, &mut self.tags);
            return;
        }
        while let Some(&(first, hash)) = self.order.front().filter(|(first, _)| *first <= tag) {
            settle(first, hash, &mut self.tags);
            self.order.pop_front();
        }
    }

    /// A transaction has ended. Unless it counts, its messages can be settled again.
    fn transaction_ended(&mut self, transaction: u64, counts: bool) {
        if self.pending.is_empty() {
            return;
        }
        let mut back: Vec<(u64, u64)> = Vec::new();
        self.pending.retain(|&(other, tag, hash)| {
            if other == transaction {
                back.push((tag, hash));
            }
            other != transaction
        });
        if counts {
            return;
        }
        for &(tag, hash) in &back {
            self.tags.entry(hash).or_insert(tag);
        }
        self.order.extend(back);
        self.order.make_contiguous().sort_unstable();
    }
}

/// A subscription.
#[derive(Debug)]
pub struct Subscription {
    /// The broker's number of it.
    pub number: u64,
    /// The client's name of it; in 1.0 it may have none.
    name: Option<Box<str>>,
    /// Its destinations in the text form.
    text: Box<str>,
    /// Header lines that all its messages have: `subscription`, and `destination` if that is always the same.
    pub lines: Box<[u8]>,
    /// Whether `lines` has the destination.
    pub names_destination: bool,
    /// How its messages are acknowledged.
    pub ack: AckMode,
    /// It only looks: what it says of messages changes nothing.
    pub browses: bool,
    /// What is not settled, for versions before 1.2.
    pub unsettled: Unsettled,
}

/// The subscriptions of a connection, by growing numbers.
#[derive(Debug, Default)]
pub struct Subscriptions {
    active: Vec<Subscription>,
    made: u64,
}

impl Subscriptions {
    /// The subscription with this number.
    pub fn get_mut(&mut self, number: u64) -> Option<&mut Subscription> {
        let at = self.active.binary_search_by_key(&number, |subscription| subscription.number).ok()?;
        self.active.get_mut(at)
    }

    /// The subscription that the client calls so.
    pub fn named_mut(&mut self, name: &str) -> Option<&mut Subscription> {
        self.active.iter_mut().find(|subscription| subscription.name.as_deref() == Some(name))
    }

    /// All of them.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut Subscription> {
        self.active.iter_mut()
    }

    /// A transaction has ended.
    pub fn transaction_ended(&mut self, transaction: u64, counts: bool) {
        for subscription in &mut self.active {
            subscription.unsettled.transaction_ended(transaction, counts);
        }
    }
}

impl Core {
    /// `SUBSCRIBE`.
    pub fn on_subscribe(&mut self, head: &Head<'_>, out: &mut Out<'_>) -> Result<Step, Problem> {
        let text = head
            .get(HeaderName::Destination)
            .ok_or_else(|| Problem::missing(head.command, HeaderName::Destination))?;
        let name = self.subscription_name(head)?;
        let taken = name.as_deref().is_some_and(|name| self.subscriptions.named_mut(name).is_some());
        if taken {
            let shown = name.as_deref().map(cut).unwrap_or_default();
            return Err(Problem::new("a subscription with this id is active already", format!("{shown:?}")));
        }
        if self.subscriptions.active.len() >= self.settings.max_subscriptions {
            return Err(Problem::limit("max_subscriptions", self.settings.max_subscriptions));
        }
        let addresses = destination::parse(&text, Use::Subscribe, self.settings.max_composite)?;
        let resolved = self.resolve(addresses)?;
        let ack = ack_mode(head)?;
        let subscribe = self.read_subscribe(head, &resolved, name.as_deref(), ack)?;
        let receipt = head.raw(HeaderName::Receipt);
        let number = self.subscriptions.made + 1;
        let meta = VerbMeta { id: number, ..self.meta(receipt, false) };
        self.declare(&resolved, meta, out);
        out.subscribe(meta, &subscribe);
        if out.overflowed() {
            return Ok(Step::Full);
        }
        self.expect(meta, receipt);
        let text = text_of(&resolved);
        self.keep_temporaries(resolved);
        let (lines, names_destination) = self.message_lines(name.as_deref(), &subscribe.destinations);
        self.subscriptions.made = number;
        self.subscriptions.active.push(Subscription {
            number,
            name: name.map(|name| name.into_owned().into()),
            text: text.into(),
            lines: lines.into(),
            names_destination,
            ack,
            browses: subscribe.browse,
            unsettled: Unsettled::default(),
        });
        Ok(Step::Done)
    }

    /// The header `id`, which only 1.0 may leave out.
    fn subscription_name<'d>(&self, head: &Head<'d>) -> Result<Option<Cow<'d, str>>, Problem> {
        match head.get(HeaderName::Id) {
            None if self.version != Version::V1_0 => Err(Problem::missing(head.command, HeaderName::Id)),
            name => Ok(name),
        }
    }

    /// What is the same in all messages of a subscription.
    fn message_lines(&self, name: Option<&str>, destinations: &[Destination]) -> (Vec<u8>, bool) {
        let mut lines = Vec::new();
        let mut frame = FrameWriter::continuing(&mut lines, self.version.escapes());
        if let Some(name) = name {
            frame = frame.header(HeaderName::Subscription.as_str(), name);
        }
        let [only] = destinations else { return (lines, false) };
        if destination::has_wildcard(&only.name) {
            return (lines, false);
        }
        frame
            .header(HeaderName::Destination.as_str(), &self.shown_destination(only.kind, &only.name))
            .leave();
        (lines, true)
    }

    fn read_subscribe(
        &self,
        head: &Head<'_>,
        resolved: &Resolved,
        name: Option<&str>,
        ack: AckMode,
    ) -> Result<Subscribe, Problem> {
        let browse = flag(head, HeaderName::Browser)?.unwrap_or(false);
        let durable = self.read_durable(head, resolved, name)?;
        let auto_delete = flag(head, HeaderName::AutoDelete)?.unwrap_or(false);
        let no_local =
            flag(head, HeaderName::NoLocal)?.or(flag(head, HeaderName::AmqNoLocal)?).unwrap_or(false);
        let priority = match number(head, HeaderName::AmqPriority)? {
            None => 0,
            Some(priority) => i8::try_from(priority).map_err(|_| {
                let value = priority.to_string();
                Problem::bad_header(HeaderName::AmqPriority, &value, "a number from -128 to 127")
            })?,
        };
        Ok(Subscribe {
            destinations: resolved.destinations.clone(),
            selector: head.get(HeaderName::Selector).map(|selector| selector_of(&selector)),
            shared: durable.as_ref().is_some_and(|durable| durable.shared),
            durable: durable.is_some(),
            name: durable.map(|durable| durable.name),
            credit: self.read_prefetch(head)?,
            priority,
            auto_accept: ack == AckMode::Auto && !browse,
            no_local,
            exclusive: flag(head, HeaderName::AmqExclusive)?.unwrap_or(false),
            browse,
            auto_delete,
            link_credit: false,
        })
    }

    /// ActiveMQ names durable subscriptions in a header, RabbitMQ by the subscription's id. Without client id that is
    /// the name together with the destination, as in RabbitMQ: ids as `1` are many clients' first.
    fn read_durable(
        &self,
        head: &Head<'_>,
        resolved: &Resolved,
        name: Option<&str>,
    ) -> Result<Option<Durable>, Problem> {
        let only_topics = resolved.destinations.iter().all(|destination| destination.kind.is_topic());
        if let Some(durable) = durable_name(head) {
            if !only_topics {
                return Err(Problem::short("only topics can be subscribed to durably"));
            }
            if !self.has_client_id {
                return Err(Problem::short("a durable subscription needs the header client-id in CONNECT"));
            }
            return Ok(Some(Durable { name: durable.into_owned(), shared: false }));
        }
        // On queues RabbitMQ's `durable` says nothing new: they stay anyway.
        if !flag(head, HeaderName::Durable)?.unwrap_or(false) || !only_topics {
            return Ok(None);
        }
        let name = name.ok_or_else(|| Problem::missing(head.command, HeaderName::Id))?;
        let name = if self.has_client_id { name.to_owned() } else { format!("{name} {}", text_of(resolved)) };
        Ok(Some(Durable { name, shared: !self.has_client_id }))
    }

    fn read_prefetch(&self, head: &Head<'_>) -> Result<u64, Problem> {
        let name = if head.has(HeaderName::AmqPrefetchSize) {
            HeaderName::AmqPrefetchSize
        } else {
            HeaderName::PrefetchCount
        };
        match number(head, name)? {
            None => Ok(self.settings.default_prefetch),
            // RabbitMQ: without limit.
            Some(0) if name == HeaderName::PrefetchCount => Ok(self.settings.max_prefetch),
            Some(count) if count > 0 => Ok((count as u64).min(self.settings.max_prefetch)),
            Some(count) => Err(Problem::bad_header(name, &count.to_string(), "a number of messages above 0")),
        }
    }

    /// `UNSUBSCRIBE`. With the name of a durable subscription that goes too, whether or not it is active.
    pub fn on_unsubscribe(&mut self, head: &Head<'_>, out: &mut Out<'_>) -> Result<Step, Problem> {
        let name = self.subscription_name(head)?;
        let at = self.find_subscription(head, name.as_deref())?;
        let durable = match durable_name(head) {
            Some(durable) => Some(durable),
            None if flag(head, HeaderName::Durable)?.unwrap_or(false) => name.clone(),
            None => None,
        };
        let receipt = head.raw(HeaderName::Receipt);
        let meta = self.meta(receipt, false);
        match (at.and_then(|at| self.subscriptions.active.get(at)), &durable) {
            (Some(subscription), durable) => {
                out.unsubscribe(VerbMeta { id: subscription.number, ..meta }, durable.is_some());
            }
            (None, Some(durable)) => {
                let delete = Delete {
                    destination: None,
                    subscription_name: Some(durable.as_ref().to_owned()),
                    if_empty: false,
                    if_unused: false,
                };
                out.delete(meta, &delete);
            }
            (None, None) => {
                let shown = name.as_deref().map(cut).unwrap_or_default();
                return Err(Problem::new("no such subscription is active", format!("{shown:?}")));
            }
        }
        if out.overflowed() {
            return Ok(Step::Full);
        }
        self.expect(meta, receipt);
        if let Some(at) = at {
            self.subscriptions.active.remove(at);
        }
        Ok(Step::Done)
    }

    /// By its id; in 1.0 also by its destination.
    fn find_subscription(&self, head: &Head<'_>, name: Option<&str>) -> Result<Option<usize>, Problem> {
        let active = &self.subscriptions.active;
        if name.is_some() {
            return Ok(active.iter().position(|subscription| subscription.name.as_deref() == name));
        }
        let Some(text) = head.get(HeaderName::Destination) else {
            return Err(Problem::short("UNSUBSCRIBE needs the header id or destination"));
        };
        let resolved =
            self.resolve(destination::parse(&text, Use::Subscribe, self.settings.max_composite)?)?;
        let text = text_of(&resolved);
        Ok(active.iter().position(|subscription| subscription.name.is_none() && *subscription.text == *text))
    }
}

/// How a durable subscription is called.
struct Durable {
    name: String,
    shared: bool,
}

fn durable_name<'d>(head: &Head<'d>) -> Option<Cow<'d, str>> {
    [HeaderName::AmqSubscriptionName, HeaderName::AmqSubcriptionName, HeaderName::DurableSubscriptionName]
        .into_iter()
        .find_map(|name| head.get(name))
        .filter(|name| !name.is_empty())
}

fn ack_mode(head: &Head<'_>) -> Result<AckMode, Problem> {
    match head.raw(HeaderName::Ack) {
        None | Some("auto") => Ok(AckMode::Auto),
        Some("client") => Ok(AckMode::Client),
        Some("client-individual") => Ok(AckMode::Individual),
        Some(other) => Err(Problem::bad_header(HeaderName::Ack, other, "auto, client or client-individual")),
    }
}

/// Headers are text; as in ActiveMQ a selector over them may compare numbers all the same.
fn selector_of(selector: &str) -> String {
    const CONVERT: &str = "convert_string_expressions:";
    if selector.trim_start().starts_with(CONVERT) {
        selector.to_owned()
    } else {
        format!("{CONVERT}{selector}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_found_by_their_ids_until_they_are_settled() {
        let mut unsettled = Unsettled::default();
        for tag in 1..=5 {
            unsettled.delivered(tag, tag * 100);
        }
        unsettled.settled(2, 200, false, 0);
        assert_eq!(unsettled.tag(200), None);
        assert_eq!(unsettled.tag(100), Some(1));
        unsettled.settled(4, 400, true, 0);
        assert_eq!([100, 200, 300, 400].map(|hash| unsettled.tag(hash)), [None; 4]);
        assert_eq!(unsettled.tag(500), Some(5));
    }

    #[test]
    fn what_an_aborted_transaction_settled_can_be_settled_again() {
        let mut unsettled = Unsettled::default();
        for tag in 1..=3 {
            unsettled.delivered(tag, tag * 100);
        }
        unsettled.settled(2, 200, true, 9);
        assert_eq!(unsettled.tag(100), None);
        unsettled.transaction_ended(8, false);
        assert_eq!(unsettled.tag(100), None);
        unsettled.transaction_ended(9, false);
        assert_eq!([100, 200, 300].map(|hash| unsettled.tag(hash)), [Some(1), Some(2), Some(3)]);
        unsettled.settled(3, 300, true, 10);
        unsettled.transaction_ended(10, true);
        assert_eq!([100, 200, 300].map(|hash| unsettled.tag(hash)), [None; 3]);
        assert!(unsettled.pending.is_empty());
    }

    #[test]
    fn what_was_settled_out_of_order_takes_no_room() {
        let mut unsettled = Unsettled::default();
        unsettled.delivered(1, 1);
        for tag in 2..10_000 {
            unsettled.delivered(tag, tag);
            unsettled.settled(tag, tag, false, 0);
        }
        assert!(unsettled.order.len() <= STALE_ENTRIES * 2);
        assert_eq!(unsettled.tag(1), Some(1));
    }
}
