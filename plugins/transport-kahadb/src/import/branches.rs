// SPDX-License-Identifier: Apache-2.0
//! Branches of distributed transactions that were prepared: they are begun, filled and prepared again, and wait for their
//! transaction manager as before.

use super::{Ended, Import, Item, Sending, said};
use crate::client::{Client, Consumer, Failure};
use crate::kaha::entry::Transaction;
use crate::kaha::replay::{Name, Replay, Step, fingerprint};
use crate::message;
use sabir_protocol_openwire::codec::{
    Command, DataStructure, Message, ObjectId, TransactionId, TransactionInfo, XaTransactionId,
};
use std::collections::BTreeSet;
use std::sync::Arc;

impl Import {
    /// Prepares what was prepared.
    pub(super) fn branches(&mut self, sending: &mut Sending, replay: &Replay) -> Result<(), Ended> {
        let mut there: Option<Vec<XaTransactionId>> = None;
        // What branches before have acknowledged: ActiveMQ writes it down again for those behind, whose consumers have not
        // heard of it.
        let mut taken: BTreeSet<(Name, u128, Option<String>)> = BTreeSet::new();
        for (id, steps) in replay.prepared() {
            let Transaction::Xa { format, global, branch } = id else { continue };
            let xid = XaTransactionId {
                format_id: *format,
                global_transaction_id: global.as_slice().into(),
                branch_qualifier: branch.as_slice().into(),
            };
            let known = match &mut there {
                Some(known) => known,
                // A broker that cannot tell has none.
                None => there.insert(prepared(&mut sending.main).unwrap_or_default()),
            };
            let shown = format!("the prepared branch {}", TransactionId::Xa(xid.clone()));
            let own = |step: &&Step| match *step {
                Step::Remove { destination, id, subscription, .. } => {
                    taken.insert((destination.clone(), *id, subscription.clone()))
                }
                Step::Add { .. } => true,
            };
            let steps: Vec<Step> = steps.iter().filter(own).cloned().collect();
            let done = match known.contains(&xid) {
                true => Ok(()),
                false => self.branch(sending, replay, &Arc::new(TransactionId::Xa(xid)), &steps),
            };
            match done {
                Ok(()) => self.report.prepared += 1,
                Err(why) => self.cannot(format!("{shown} with {} steps: {why}", steps.len()))?,
            }
        }
        Ok(())
    }

    fn branch(
        &mut self,
        sending: &mut Sending,
        replay: &Replay,
        id: &Arc<TransactionId>,
        steps: &[Step],
    ) -> Result<(), String> {
        let mut client_ids: Vec<String> = Vec::new();
        for step in steps {
            if let Step::Remove { destination, subscription: Some(key), .. } = step {
                client_ids.extend(subscriber(sending, replay, destination, key).map(|(client, _)| client));
            }
        }
        client_ids.dedup();
        let client_id = match client_ids.as_slice() {
            [] => "sabir-kahadb-import-branch",
            [one] => one.as_str(),
            _ => return Err("it has acknowledgements of several clients".to_owned()),
        };
        let mut client = self.client(client_id).map_err(said)?;
        let filled = self.fill(sending, replay, &mut client, id, steps);
        if filled.is_err() {
            // Gone with the connection otherwise.
            let _ = client.step(id, TransactionInfo::ROLLBACK);
        }
        let left = client.leave().map_err(said);
        filled.and(left)
    }

    fn fill(
        &mut self,
        sending: &mut Sending,
        replay: &Replay,
        client: &mut Client,
        id: &Arc<TransactionId>,
        steps: &[Step],
    ) -> Result<(), String> {
        client.step(id, TransactionInfo::BEGIN).map_err(said)?;
        let mut consumers: Vec<Consumer> = Vec::new();
        for step in steps {
            match step {
                Step::Add { destination, location, .. } => {
                    let destination = Some(message::destination(destination));
                    let item = Item { location: *location, destination, due_ms: 0 };
                    let (message, _) = self.ready(sending, &item, id)?;
                    client.publish(message, true).map_err(said)?;
                }
                Step::Remove { destination, id: wanted, subscription, .. } => {
                    let subscription = subscription.as_deref();
                    let consumer = take(sending, replay, client, id, (destination, *wanted, subscription))?;
                    consumers.push(consumer);
                }
            }
        }
        client.step(id, TransactionInfo::END).map_err(said)?;
        client.step(id, TransactionInfo::PREPARE).map_err(said)?;
        for consumer in consumers {
            client.end_consumer(consumer).map_err(said)?;
        }
        Ok(())
    }
}

/// The branches that the broker has.
fn prepared(main: &mut Client) -> Result<Vec<XaTransactionId>, Failure> {
    let Command::DataArrayResponse(response) = main.recover()? else { return Ok(Vec::new()) };
    let ids = response.data.unwrap_or_default().into_iter().filter_map(|data| match data {
        DataStructure::Id(ObjectId::Transaction(id)) => match &*id {
            TransactionId::Xa(id) => Some(id.clone()),
            TransactionId::Local(_) => None,
        },
        _ => None,
    });
    Ok(ids.collect())
}

/// Whose subscription it is, and its name.
fn subscriber(sending: &mut Sending, replay: &Replay, topic: &Name, key: &str) -> Option<(String, String)> {
    let subscription = replay.held.get(topic)?.subscriptions.get(key)?;
    let info = sending.source.reader.subscription(&subscription.info)?;
    Some((info.client_id?.into(), info.subscription_name?.into()))
}

/// Acknowledges one message in a branch.
fn take(
    sending: &mut Sending,
    replay: &Replay,
    client: &mut Client,
    id: &Arc<TransactionId>,
    (name, wanted, subscription): (&Name, u128, Option<&str>),
) -> Result<Consumer, String> {
    let held = replay.held.get(name).ok_or("what it acknowledges is not there any more")?;
    let stored = held.order_of(wanted).and_then(|order| held.messages.get(&order));
    let stored = stored.ok_or("what it acknowledges is not there any more")?;
    let destination = message::destination(name);
    let consumer = match subscription {
        Some(key) => {
            let (_, subscribed) =
                subscriber(sending, replay, name, key).ok_or("its subscription is not there any more")?;
            client.consume(&destination, Some(&subscribed), None, false)
        }
        None => {
            let (_, text) = sending.source.message(stored.location)?;
            let selector = format!("JMSMessageID = '{}'", text.replace('\'', "''"));
            client.consume(&destination, None, Some(&selector), false)
        }
    };
    let consumer = consumer.map_err(said)?;
    while let Some(message) = client.pull(&consumer).map_err(said)? {
        if is(&message, wanted) {
            client.acknowledge(&consumer, &message, Some(id)).map_err(said)?;
            return Ok(consumer);
        }
    }
    Err("a message that it acknowledges is not found".to_owned())
}

fn is(message: &Message, wanted: u128) -> bool {
    message::key(message).is_some_and(|key| fingerprint(&key) == wanted)
}
