// SPDX-License-Identifier: Apache-2.0
//! Deliveries to `MessageDispatch`.

use super::asked::Asked;
use super::consume::nothing_for;
use super::convert::{self, ContentPlan};
use super::output::BodyOf;
use super::problem::printable;
use super::{Core, Phase, Step, hash_of};
use crate::codec::{Command, MessageDispatch};
use sabir_model::message::Head;
use sabir_model::verb::{Outcome, Settle, SettleRange};
use sabir_sdk::protocol::{DeliveryRef, Out, VerbMeta};

/// What stands in front of a body that needs nothing there.
const NOTHING: &[u8] = &[];

/// A message whose body comes in pieces.
#[derive(Debug)]
pub struct Pieces {
    subscription: u64,
    tag: u64,
    redelivered: bool,
    redelivery_count: u32,
    group_first: bool,
    head: Vec<u8>,
    label: Vec<u8>,
    body: Vec<u8>,
}

impl Core {
    /// Writes one delivery; `index` is its place in the call.
    pub fn on_delivery(&mut self, delivery: &DeliveryRef<'_>, index: usize, out: &mut Out<'_>) -> Step {
        if self.phase == Phase::Closed {
            // Not taken: what was never written must not count as delivered.
            return Step::Full;
        }
        if !self.output.flush(out) {
            return Step::Full;
        }
        if delivery.cancelled {
            let reason = String::from_utf8_lossy(delivery.label).into_owned();
            self.consumer_cancelled(delivery.subscription, &reason);
            return Step::Done;
        }
        if delivery.continued && self.output.is_in_pieces() {
            self.output.write_piece(BodyOf::Delivery(index, 0, delivery.body), delivery.more, out);
            return Step::Done;
        }
        let as_it_is = delivery.more && !delivery.continued && convert::goes_as_it_is(&delivery.head);
        if !as_it_is && (delivery.more || delivery.continued) {
            return self.on_piece(delivery, out);
        }
        let Some(consumer) = self.consumers.get_mut(delivery.subscription) else {
            // The client has ended the subscription meanwhile; the broker has taken its messages back.
            return Step::Done;
        };
        if delivery.end_of_browse {
            let nothing = nothing_for(consumer);
            self.output.push(Command::MessageDispatch(Box::new(nothing)));
            return Step::Done;
        }
        self.send(delivery, Some(index), out)
    }

    fn send(&mut self, delivery: &DeliveryRef<'_>, index: Option<usize>, out: &mut Out<'_>) -> Step {
        let Some(consumer) = self.consumers.get_mut(delivery.subscription) else { return Step::Done };
        if consumer.tells_events
            && let Some(dispatch) = self.event_message(delivery)
        {
            self.output.push(Command::MessageDispatch(Box::new(dispatch)));
            return Step::Done;
        }
        let Some(consumer) = self.consumers.get_mut(delivery.subscription) else { return Step::Done };
        let made = convert::to_message(delivery, consumer.source.as_ref(), &consumer.topics, &mut self.names);
        let (message, plan) = match made {
            Ok(made) => made,
            Err(error) => return self.undeliverable(delivery, &error.to_string(), out),
        };
        let hash = message.message_id.as_ref().map_or(0, |id| hash_of(&self.shared, id));
        let forwards = consumer.forwards;
        let dispatch = if forwards {
            let Some(forwarded) = self.make_forwarded(delivery.subscription, message) else {
                self.hold(delivery.subscription, delivery.tag, hash);
                return Step::Done;
            };
            forwarded
        } else {
            Command::MessageDispatch(Box::new(MessageDispatch {
                consumer_id: Some(consumer.id.clone()),
                destination: message.destination.clone(),
                redelivery_counter: message.redelivery_counter,
                message: Some(Box::new(message)),
                ..MessageDispatch::default()
            }))
        };
        let body = match index {
            Some(index) => BodyOf::Delivery(index, 0, delivery.body),
            None => BodyOf::Bytes(delivery.body),
        };
        let content = match &plan {
            ContentPlan::Null => None,
            ContentPlan::Body(prefix) => {
                Some((prefix.as_ref().map_or(NOTHING, |length| length.as_slice()), body))
            }
            ContentPlan::Owned(bytes) => Some((NOTHING, BodyOf::Bytes(bytes))),
        };
        let head = delivery.head.as_bytes();
        let written = match content {
            Some((prefix, body)) if delivery.more => {
                let total = usize::try_from(delivery.body_total).unwrap_or(usize::MAX);
                let len = prefix.len().saturating_add(total);
                self.output.begin_message(&dispatch, head, len, prefix, body, out)
            }
            content => self.output.write_message(&dispatch, head, content, out),
        };
        match written {
            Ok(()) => {
                if let Some(consumer) = self.consumers.get_mut(delivery.subscription) {
                    consumer.unsettled.sent(delivery.tag, hash);
                }
                self.consumers.pulled(delivery.subscription);
                if forwards {
                    self.forwarded(delivery.subscription, delivery.tag, hash);
                }
                Step::Done
            }
            Err(error) => self.undeliverable(delivery, &error.to_string(), out),
        }
    }

    /// The peer cannot be sent this message: it must not stand in the way of others.
    fn undeliverable(&mut self, delivery: &DeliveryRef<'_>, why: &str, out: &mut Out<'_>) -> Step {
        let why = printable(&format!("it cannot be sent to an OpenWire client: {why}"));
        crate::log::noted(&self.shared.host, &self.name, "a message cannot be delivered", &why);
        let range = SettleRange::Tags { first: delivery.tag, last: delivery.tag };
        let meta = VerbMeta { token: Asked::settled(), id: delivery.subscription, ..VerbMeta::default() };
        out.settle(meta, &Settle { range, outcome: Outcome::Reject { reason: why } });
        if out.overflowed() {
            return Step::Full;
        }
        self.consumers.give_credit(delivery.subscription, 1);
        Step::Done
    }

    /// A body that comes in pieces is put together first: nothing else may stand between them on the link.
    fn on_piece(&mut self, delivery: &DeliveryRef<'_>, out: &mut Out<'_>) -> Step {
        if delivery.continued {
            let Some(pieces) = &mut self.pieces else { return Step::Done };
            pieces.body.extend_from_slice(delivery.body);
        } else {
            self.pieces = Some(Box::new(Pieces {
                subscription: delivery.subscription,
                tag: delivery.tag,
                redelivered: delivery.redelivered,
                redelivery_count: delivery.redelivery_count,
                group_first: delivery.group_first,
                head: delivery.head.as_bytes().to_vec(),
                label: delivery.label.to_vec(),
                body: delivery.body.to_vec(),
            }));
        }
        if delivery.more {
            return Step::Done;
        }
        let Some(pieces) = self.pieces.take() else { return Step::Done };
        let Some(head) = Head::trusted(&pieces.head) else { return Step::Done };
        let whole = DeliveryRef {
            subscription: pieces.subscription,
            tag: pieces.tag,
            redelivered: pieces.redelivered,
            end_of_browse: false,
            cancelled: false,
            more: false,
            continued: false,
            group_first: pieces.group_first,
            redelivery_count: pieces.redelivery_count,
            head,
            label: &pieces.label,
            body: &pieces.body,
            body_total: pieces.body.len() as u64,
        };
        let step = self.send(&whole, None, out);
        if step == Step::Full {
            // The last piece is offered again.
            let mut pieces = pieces;
            pieces.body.truncate(pieces.body.len() - delivery.body.len());
            self.pieces = Some(pieces);
        }
        step
    }
}
