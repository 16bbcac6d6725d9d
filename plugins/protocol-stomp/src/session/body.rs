// SPDX-License-Identifier: Apache-2.0
//! Bodies that another protocol left in a form of its own: they are turned into that of their kind for `MESSAGE`.
//!
//! What cannot be turned (it is damaged, or inflates beyond `max_inflated_bytes`) goes to the dead letters, with the
//! reason. Where the client does not acknowledge, and so nothing can be rejected, it gets the body as it is and a header
//! that says so.

use super::subscribe::{AckMode, Subscription};
use super::{Core, Step};
use bytes::Bytes;
use sabir_model::Head;
use sabir_model::body::{BodyError, CANONICAL, canonical};
use sabir_model::verb::{Outcome, Settle, SettleRange};
use sabir_sdk::protocol::{DeliveryRef, Out, VerbMeta};
use std::borrow::Cow;

/// After so many converted bytes in one call the host is let write first: it looks after each call how much waits.
const CONVERTED_PER_CALL_BYTES: usize = 256 * 1024;
/// Bodies from this length on are handed over instead of copied.
const HANDED_OVER_BYTES: usize = 4096;

/// The body of a `MESSAGE`.
pub enum Body<'b> {
    /// That of the delivery at this index of the call; perhaps its first piece.
    Delivered(usize),
    /// This.
    Converted(Cow<'b, [u8]>),
    /// This, because it cannot be turned into what it should be.
    Unreadable(&'b [u8], BodyError),
}

impl<'b> Body<'b> {
    /// The bytes, as far as they are there.
    pub fn bytes<'a>(&'a self, delivery: &DeliveryRef<'a>) -> &'a [u8] {
        match self {
            Body::Delivered(_) => delivery.body,
            Body::Converted(bytes) => bytes,
            Body::Unreadable(bytes, _) => bytes,
        }
    }

    /// Their number in all.
    pub fn total(&self, delivery: &DeliveryRef<'_>) -> u64 {
        match self {
            Body::Delivered(_) => delivery.body_total,
            Body::Converted(bytes) => bytes.len() as u64,
            Body::Unreadable(bytes, _) => bytes.len() as u64,
        }
    }

    /// Writes them, and the end of the frame.
    pub fn write(self, delivery: &DeliveryRef<'_>, out: &mut Out<'_>) {
        match self {
            Body::Delivered(index) if delivery.body.len() >= HANDED_OVER_BYTES => {
                out.write_body(index, 0, delivery.body.len());
            }
            Body::Delivered(_) => out.write(delivery.body),
            Body::Converted(Cow::Owned(bytes)) if bytes.len() >= HANDED_OVER_BYTES => {
                out.write_owned(Bytes::from(bytes));
            }
            Body::Converted(Cow::Borrowed(bytes)) | Body::Unreadable(bytes, _)
                if bytes.len() >= HANDED_OVER_BYTES =>
            {
                out.write_owned(Bytes::copy_from_slice(bytes));
            }
            Body::Converted(bytes) => out.write(&bytes),
            Body::Unreadable(bytes, _) => out.write(bytes),
        }
        if !delivery.more {
            out.write(b"\0");
        }
    }
}

/// A message whose body comes in pieces and can only be converted whole. The host's limit of a message's size bounds it.
#[derive(Debug)]
pub struct Gathered {
    subscription: u64,
    tag: u64,
    redelivered: bool,
    redelivery_count: u32,
    head: Vec<u8>,
    label: Vec<u8>,
    body: Vec<u8>,
}

/// What the session converts.
#[derive(Debug, Default)]
pub struct Conversion {
    gathered: Option<Box<Gathered>>,
    /// In this call so far.
    bytes: usize,
}

impl Conversion {
    /// A call begins.
    pub fn begin_call(&mut self) {
        self.bytes = 0;
    }

    /// Whether the host is to write before anything more is converted.
    pub fn is_enough(&self) -> bool {
        self.bytes >= CONVERTED_PER_CALL_BYTES
    }

    /// Whether the pieces that come are those of a body that is converted.
    pub fn is_gathering(&self) -> bool {
        self.gathered.is_some()
    }
}

/// Whether the body is in a form that not every protocol understands.
pub fn is_foreign(delivery: &DeliveryRef<'_>) -> bool {
    delivery.head.body_encoding() != CANONICAL
}

impl Core {
    /// Writes a message whose body has to be converted, or begins to gather it.
    pub fn write_foreign(
        &mut self,
        delivery: &DeliveryRef<'_>,
        scratch: &mut Vec<u8>,
        out: &mut Out<'_>,
    ) -> Step {
        if delivery.more {
            self.conversion.gathered = Some(Box::new(Gathered {
                subscription: delivery.subscription,
                tag: delivery.tag,
                redelivered: delivery.redelivered,
                redelivery_count: delivery.redelivery_count,
                head: delivery.head.as_bytes().to_vec(),
                label: delivery.label.to_vec(),
                body: delivery.body.to_vec(),
            }));
            return Step::Done;
        }
        let head = &delivery.head;
        let max_bytes = usize::try_from(self.limits.body_bytes).unwrap_or(usize::MAX);
        let max_bytes = max_bytes.min(self.settings.max_inflated_bytes);
        let body = match canonical(head.body_kind(), head.body_encoding(), delivery.body, max_bytes) {
            Ok(body) => Body::Converted(body),
            Err(error) => {
                crate::log::unreadable(&self.host, &self.connection_id, &error.to_string());
                let subscription = self.subscriptions.get_mut(delivery.subscription);
                let settles = |subscription: &mut Subscription| {
                    subscription.ack != AckMode::Auto && !subscription.browses
                };
                if subscription.is_some_and(settles) {
                    return reject(delivery, error, out);
                }
                Body::Unreadable(delivery.body, error)
            }
        };
        let len = body.bytes(delivery).len();
        let step = self.write_message(delivery, body, scratch, out);
        if step == Step::Done {
            self.conversion.bytes = self.conversion.bytes.saturating_add(len);
        }
        step
    }

    /// Takes the next piece of a body that is gathered; with the last one the message is written.
    pub fn gather(&mut self, piece: &DeliveryRef<'_>, scratch: &mut Vec<u8>, out: &mut Out<'_>) -> Step {
        let Some(mut gathered) = self.conversion.gathered.take() else { return Step::Done };
        let before = gathered.body.len();
        gathered.body.extend_from_slice(piece.body);
        if piece.more {
            self.conversion.gathered = Some(gathered);
            return Step::Done;
        }
        let Some(head) = Head::trusted(&gathered.head) else { return Step::Done };
        let whole = DeliveryRef {
            subscription: gathered.subscription,
            tag: gathered.tag,
            redelivered: gathered.redelivered,
            redelivery_count: gathered.redelivery_count,
            head,
            label: &gathered.label,
            body: &gathered.body,
            body_total: gathered.body.len() as u64,
            more: false,
            ..*piece
        };
        let step = self.write_foreign(&whole, scratch, out);
        if step == Step::Full {
            // The piece is offered again.
            gathered.body.truncate(before);
            self.conversion.gathered = Some(gathered);
        }
        step
    }
}

fn reject(delivery: &DeliveryRef<'_>, error: BodyError, out: &mut Out<'_>) -> Step {
    let meta = VerbMeta { id: delivery.subscription, ..VerbMeta::default() };
    let range = SettleRange::Tags { first: delivery.tag, last: delivery.tag };
    let setting = if matches!(error, BodyError::TooLarge { .. }) { " (max_inflated_bytes)" } else { "" };
    let reason = format!("it cannot be sent over STOMP: {error}{setting}");
    out.settle(meta, &Settle { range, outcome: Outcome::Reject { reason } });
    if out.overflowed() { Step::Full } else { Step::Done }
}
