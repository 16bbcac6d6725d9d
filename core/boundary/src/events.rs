// SPDX-License-Identifier: Apache-2.0
//! Replies and deliveries as C arrays, in memory that is used again for every call.

use crate::error::ErrorCode;
use crate::slices;
use sabir_abi::*;
use sabir_model::delivery::{Delivery, DeliveryKind};
use sabir_model::message::Apart;
use sabir_model::verb::{Answer, Reason, Reply};
use std::marker::PhantomData;

/// The status that goes with a reason: for plugins that look at no more.
pub fn status_of(reason: Reason) -> i64 {
    let code = match reason {
        Reason::Invalid | Reason::BadMessage | Reason::BadSelector | Reason::Conflict => ErrorCode::Invalid,
        Reason::Unauthenticated | Reason::Forbidden => ErrorCode::Denied,
        Reason::NotFound => ErrorCode::NotFound,
        Reason::Limit => ErrorCode::Limit,
        Reason::Store => ErrorCode::Io,
        Reason::RolledBack => ErrorCode::Other,
        Reason::Stopping => ErrorCode::Closed,
        Reason::Unsupported => ErrorCode::Unsupported,
        Reason::Full => ErrorCode::Full,
    };
    code.status()
}

/// An array of `sabir_reply`, in memory that is used again. It borrows what it was filled from.
#[derive(Debug, Default)]
pub struct ReplyArray<'a> {
    raw: Vec<sabir_reply>,
    borrowed: PhantomData<&'a [Reply]>,
}

/// An array of `sabir_delivery`, in memory that is used again. It borrows what it was filled from.
#[derive(Debug, Default)]
pub struct DeliveryArray<'a> {
    raw: Vec<sabir_delivery>,
    borrowed: PhantomData<&'a [Delivery]>,
}

// SAFETY: the pointers are into `&'a [Reply]`, which may be sent.
unsafe impl Send for ReplyArray<'_> {}
// SAFETY: the pointers are into `&'a [Delivery]`, which may be sent.
unsafe impl Send for DeliveryArray<'_> {}

impl<'a> ReplyArray<'a> {
    /// The array of these replies.
    pub fn of(replies: &'a [Reply]) -> Self {
        ReplyArray::default().refill(replies)
    }

    /// The same memory, for other replies.
    pub fn refill<'b>(self, replies: &'b [Reply]) -> ReplyArray<'b> {
        let mut raw = self.raw;
        raw.clear();
        raw.extend(replies.iter().map(reply));
        ReplyArray { raw, borrowed: PhantomData }
    }

    /// First element, count, stride.
    pub fn raw(&self) -> (*const sabir_reply, usize, usize) {
        (self.raw.as_ptr(), self.raw.len(), size_of::<sabir_reply>())
    }
}

fn reply(reply: &Reply) -> sabir_reply {
    let mut raw = sabir_reply {
        token: reply.token,
        status: SABIR_OK,
        reason: 0,
        flags: 0,
        text: slices::EMPTY,
        fields: slices::EMPTY,
    };
    match &reply.answer {
        Answer::Done => {}
        Answer::Told(told) => {
            raw.text = slices::text(&told.text);
            raw.fields = slices::slice(&told.fields);
        }
        Answer::Refused(refusal) => {
            raw.status = status_of(refusal.reason);
            raw.reason = refusal.reason as u32;
            raw.flags = if refusal.fatal { SABIR_REPLY_FATAL } else { 0 };
            raw.text = slices::text(&refusal.text);
        }
    }
    raw
}

impl<'a> DeliveryArray<'a> {
    /// The array of these deliveries.
    pub fn of(deliveries: &'a [Delivery]) -> Self {
        DeliveryArray::default().refill(deliveries)
    }

    /// The array of these deliveries with their bodies in pieces of so many bytes, as of a host that does not hold them
    /// whole.
    pub fn in_pieces(deliveries: &'a [Delivery], piece_bytes: usize) -> Self {
        let mut raw = Vec::new();
        for one in deliveries {
            let whole = delivery(one);
            let DeliveryKind::Message { message, .. } = &one.kind else {
                raw.push(whole);
                continue;
            };
            let body = message.body();
            let last = body.len().saturating_sub(1) / piece_bytes.max(1);
            let mut pieces: Vec<&[u8]> = body.chunks(piece_bytes.max(1)).collect();
            if pieces.is_empty() {
                pieces.push(&[]);
            }
            raw.extend(pieces.into_iter().enumerate().map(|(at, piece)| {
                let mut part = whole;
                part.flags |= if at == 0 { 0 } else { SABIR_DELIVERY_CONTINUED };
                part.flags |= if at == last { 0 } else { SABIR_DELIVERY_MORE };
                part.body = slices::slice(piece);
                part
            }));
        }
        DeliveryArray { raw, borrowed: PhantomData }
    }

    /// The array without its first elements, which were taken.
    pub fn after(mut self, taken: usize) -> Self {
        self.raw.drain(..taken.min(self.raw.len()));
        self
    }

    /// The same memory, for other deliveries.
    pub fn refill<'b>(self, deliveries: &'b [Delivery]) -> DeliveryArray<'b> {
        let mut raw = self.raw;
        raw.clear();
        raw.extend(deliveries.iter().map(delivery));
        DeliveryArray { raw, borrowed: PhantomData }
    }

    /// First element, count, stride.
    pub fn raw(&self) -> (*const sabir_delivery, usize, usize) {
        (self.raw.as_ptr(), self.raw.len(), size_of::<sabir_delivery>())
    }
}

fn delivery(delivery: &Delivery) -> sabir_delivery {
    let mut raw = sabir_delivery {
        subscription: delivery.subscription,
        tag: delivery.tag,
        flags: 0,
        redelivery_count: 0,
        head: slices::EMPTY,
        label: slices::EMPTY,
        body: slices::EMPTY,
        body_total: 0,
    };
    match &delivery.kind {
        DeliveryKind::Message { message, label, redelivery_count, redelivered, group_first, .. } => {
            let body = message.body();
            raw.flags = if *redelivered { SABIR_DELIVERY_REDELIVERED } else { 0 };
            raw.flags |= if *group_first { SABIR_DELIVERY_GROUP_FIRST } else { 0 };
            raw.redelivery_count = *redelivery_count;
            raw.head = slices::slice(message.head().as_bytes());
            raw.label = slices::slice(label);
            raw.body = slices::slice(body);
            raw.body_total = body.len() as u64;
            if let Some(Apart::Piece(piece)) = message.body_apart() {
                raw.body_total = piece.total;
                raw.flags |= if piece.more { SABIR_DELIVERY_MORE } else { 0 };
                raw.flags |= if piece.continued { SABIR_DELIVERY_CONTINUED } else { 0 };
            }
        }
        DeliveryKind::EndOfBrowse => raw.flags = SABIR_DELIVERY_END_OF_BROWSE,
        DeliveryKind::Cancelled { reason } => {
            raw.flags = SABIR_DELIVERY_CANCELLED;
            raw.label = slices::text(reason);
        }
    }
    raw
}
