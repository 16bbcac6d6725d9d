// SPDX-License-Identifier: Apache-2.0
//! Durable subscriptions, each with the backlog that it had.
//!
//! A subscription begins right before the first message that it has not acknowledged, and so gets none from before. What it
//! had acknowledged of the later ones it then acknowledges again.

use super::{Ended, Import, Item, Sending, said};
use crate::client::{Client, Failure};
use crate::kaha::replay::{Held, Name, Subscription, fingerprint};
use crate::message;
use sabir_protocol_openwire::codec::{Destination, SubscriptionInfo};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// A subscription that is to be made.
struct Wanted {
    client_id: String,
    name: String,
    destination: Arc<Destination>,
    selector: Option<String>,
    no_local: bool,
    /// Messages that it had acknowledged and gets all the same.
    had: BTreeSet<u128>,
}

impl Import {
    /// The subscriptions and messages of a topic.
    pub(super) fn topic(&mut self, sending: &mut Sending, name: &Name, held: &Held) -> Result<(), Ended> {
        let mut begin: BTreeMap<u64, Vec<Wanted>> = BTreeMap::new();
        for (key, subscription) in &held.subscriptions {
            let Some(wanted) = self.wanted(sending, name, key, held, subscription)? else { continue };
            let first = subscription.pending.first().copied().unwrap_or(u64::MAX);
            begin.entry(first).or_default().push(wanted);
        }
        let destination = Some(message::destination(name));
        let mut made = Vec::new();
        let mut items = Vec::new();
        for (order, stored) in &held.messages {
            if let Some(wanted) = begin.remove(order) {
                let sent = self.batches(sending, std::mem::take(&mut items))?;
                self.report.topic_messages += sent;
                for one in wanted {
                    made.extend(self.subscribe(one)?);
                }
            }
            items.push(Item { location: stored.location, destination: destination.clone(), due_ms: 0 });
        }
        let sent = self.batches(sending, items)?;
        self.report.topic_messages += sent;
        for one in begin.into_values().flatten() {
            made.extend(self.subscribe(one)?);
        }
        for one in made.iter().filter(|one| !one.had.is_empty()) {
            self.acknowledge_again(one)?;
        }
        Ok(())
    }

    fn wanted(
        &mut self,
        sending: &mut Sending,
        name: &Name,
        key: &str,
        held: &Held,
        subscription: &Subscription,
    ) -> Result<Option<Wanted>, Ended> {
        let info = sending.source.reader.subscription(&subscription.info);
        let Some((info, client_id, subscribed)) = info.and_then(named) else {
            self.cannot(format!("what is known of the subscription {key} of {} cannot be read", name.name))?;
            return Ok(None);
        };
        let destination = match &info.subscribed_destination {
            // A pattern: it is one subscription for all topics that match.
            Some(pattern) => pattern.clone(),
            None => message::destination(name),
        };
        let is_pattern = destination.physical_name.contains(['*', '>']);
        let first = match is_pattern {
            // It may be there already, for another topic.
            true => 0,
            false => subscription.pending.first().copied().unwrap_or(u64::MAX),
        };
        let had = held.messages.range(first..);
        let had = had.filter(|(order, _)| !subscription.pending.contains(order)).map(|(_, stored)| stored.id);
        Ok(Some(Wanted {
            client_id,
            name: subscribed,
            destination,
            selector: info.selector.as_deref().map(str::to_owned),
            no_local: info.no_local,
            had: had.collect(),
        }))
    }

    /// Begins a subscription; `None`: it was refused.
    fn subscribe(&mut self, wanted: Wanted) -> Result<Option<Wanted>, Ended> {
        let begun = self.client(&wanted.client_id).and_then(|mut client| {
            let consumer = consume(&mut client, &wanted)?;
            client.end_consumer(consumer)?;
            client.leave()
        });
        match begun {
            Ok(()) => {
                self.report.subscriptions += 1;
                Ok(Some(wanted))
            }
            Err(Failure::Refused(why)) => {
                let (name, client) = (&wanted.name, &wanted.client_id);
                self.cannot(format!("the subscription {name} of the client {client} was refused: {why}"))?;
                Ok(None)
            }
            Err(other) => Err(said(other)),
        }
    }

    /// Takes what a subscription had acknowledged, and leaves the rest.
    fn acknowledge_again(&mut self, wanted: &Wanted) -> Result<(), Ended> {
        let mut client = self.client(&wanted.client_id).map_err(said)?;
        let consumer = consume(&mut client, wanted).map_err(said)?;
        while let Some(message) = client.pull(&consumer).map_err(said)? {
            let known = message::key(&message).map(|key| fingerprint(&key));
            if known.is_some_and(|id| wanted.had.contains(&id)) {
                client.acknowledge(&consumer, &message, None).map_err(said)?;
            }
        }
        client.end_consumer(consumer).map_err(said)?;
        client.leave().map_err(said)
    }
}

/// Whose subscription it is, and its name.
fn named(info: SubscriptionInfo) -> Option<(SubscriptionInfo, String, String)> {
    let client_id = info.client_id.as_deref().filter(|id| !id.is_empty())?.to_owned();
    let name = info.subscription_name.as_deref().filter(|name| !name.is_empty())?.to_owned();
    Some((info, client_id, name))
}

fn consume(client: &mut Client, wanted: &Wanted) -> Result<crate::client::Consumer, Failure> {
    client.consume(&wanted.destination, Some(&wanted.name), wanted.selector.as_deref(), wanted.no_local)
}
