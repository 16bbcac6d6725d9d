// SPDX-License-Identifier: Apache-2.0
//! Replies and deliveries, as a session reads them.

use crate::events::{DeliveryArray, ReplyArray};
use crate::slices;
use sabir_abi::*;

use sabir_model::Head;
use sabir_model::message::{FIXED_HEAD_BYTES, VERSION};
use sabir_model::verb::Reason;
use std::marker::PhantomData;

/// An answer to a verb.
#[derive(Clone, Copy, Debug)]
pub struct ReplyRef<'a> {
    /// Of the verb.
    pub token: u64,
    /// Done; or why it was refused, and whether the session must be ended.
    pub status: Result<(), (Reason, bool)>,
    /// With a refusal: why, for people. Otherwise what the verb asks for, as the name of a temporary destination.
    pub text: &'a str,
    /// Fields, as [`sabir_model::fields`] reads them.
    pub fields: &'a [u8],
}

/// A message on its way to a consumer.
#[derive(Clone, Copy, Debug)]
pub struct DeliveryRef<'a> {
    /// The session's subscription.
    pub subscription: u64,
    /// To settle it with; grows within the session, never 0.
    pub tag: u64,
    /// It may have been delivered before.
    pub redelivered: bool,
    /// The first message of its group for this consumer.
    pub group_first: bool,
    /// No message: the browse is at its end.
    pub end_of_browse: bool,
    /// No message: the broker has ended the subscription; `label` says why.
    pub cancelled: bool,
    /// The body goes on in the session's next delivery, which is `continued`.
    pub more: bool,
    /// Only `body` counts: the next piece of the delivery before.
    pub continued: bool,
    /// How often it was delivered before and not accepted.
    pub redelivery_count: u32,
    /// The head. An empty one where there is no message.
    pub head: Head<'a>,
    /// What belongs to this entry alone, as [`sabir_model::fields`].
    pub label: &'a [u8],
    /// Body, or a piece of it.
    pub body: &'a [u8],
    /// Length of the whole body in bytes.
    pub body_total: u64,
}

/// The head of a delivery that has none.
static NO_HEAD: [u8; FIXED_HEAD_BYTES] = {
    let mut head = [0; FIXED_HEAD_BYTES];
    head[0] = VERSION;
    head[2] = 4;
    head[4] = FIXED_HEAD_BYTES as u8;
    head[8] = FIXED_HEAD_BYTES as u8;
    head
};

macro_rules! array {
    ($(#[$doc:meta])* $name:ident of $raw:ident as $item:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug)]
        pub struct $name<'a> {
            first: *const $raw,
            count: usize,
            stride: usize,
            borrowed: PhantomData<&'a [u8]>,
        }

        impl<'a> $name<'a> {
            /// Those of the contract's array.
            ///
            /// # Safety
            /// `count` elements lie at `first`, `stride` bytes apart; they and what they point at stay during `'a`.
            pub unsafe fn from_abi(first: *const $raw, count: usize, stride: usize) -> Self {
                $name { first, count, stride, borrowed: PhantomData }
            }

            /// How many there are.
            pub fn len(&self) -> usize {
                self.count
            }

            /// Whether there are none.
            pub fn is_empty(&self) -> bool {
                self.count == 0
            }

            /// The one at `index`.
            pub fn get(&self, index: usize) -> Option<$item<'a>> {
                if index >= self.count {
                    return None;
                }
                // SAFETY: `from_abi`'s caller promised the array.
                unsafe { slices::element(self.first, index, self.stride) }.map(|raw| $item::read(raw))
            }

            /// All of them in order.
            pub fn iter(&self) -> impl Iterator<Item = $item<'a>> + use<'a> {
                let array = *self;
                (0..array.count).map_while(move |index| array.get(index))
            }
        }
    };
}

array! {
    /// Answers to verbs, in order.
    Replies of sabir_reply as ReplyRef
}

array! {
    /// Messages for the session's subscriptions, in order.
    Deliveries of sabir_delivery as DeliveryRef
}

impl<'a> ReplyRef<'a> {
    fn read(raw: &'a sabir_reply) -> Self {
        let status = if raw.status == SABIR_OK {
            Ok(())
        } else {
            // A reason that a newer host has and this side does not know says at least that it was refused.
            let reason = Reason::from_number(raw.reason).unwrap_or(Reason::Invalid);
            Err((reason, raw.flags & SABIR_REPLY_FATAL != 0))
        };
        // SAFETY: the array's owner promised what its elements point at.
        let (text, fields) = unsafe { (slices::str(raw.text), slices::bytes(raw.fields)) };
        ReplyRef { token: raw.token, status, text: text.unwrap_or(""), fields }
    }
}

impl<'a> DeliveryRef<'a> {
    fn read(raw: &'a sabir_delivery) -> Self {
        // SAFETY: the array's owner promised what its elements point at.
        let (head, label, body) =
            unsafe { (slices::bytes(raw.head), slices::bytes(raw.label), slices::bytes(raw.body)) };
        let is = |flag| raw.flags & flag != 0;
        DeliveryRef {
            subscription: raw.subscription,
            tag: raw.tag,
            redelivered: is(SABIR_DELIVERY_REDELIVERED),
            group_first: is(SABIR_DELIVERY_GROUP_FIRST),
            end_of_browse: is(SABIR_DELIVERY_END_OF_BROWSE),
            cancelled: is(SABIR_DELIVERY_CANCELLED),
            more: is(SABIR_DELIVERY_MORE),
            continued: is(SABIR_DELIVERY_CONTINUED),
            redelivery_count: raw.redelivery_count,
            head: Head::trusted(head).unwrap_or_else(no_head),
            label,
            body,
            body_total: raw.body_total,
        }
    }
}

fn no_head() -> Head<'static> {
    match Head::trusted(&NO_HEAD) {
        Some(head) => head,
        None => unreachable!("the constant is a head"),
    }
}

impl ReplyArray<'_> {
    /// Lends the replies that [`ReplyArray::of`] put in.
    pub fn lend(&self) -> Replies<'_> {
        let (first, count, stride) = self.raw();
        // SAFETY: the array, and the replies that it borrows, live while it is lent.
        unsafe { Replies::from_abi(first, count, stride) }
    }
}

impl DeliveryArray<'_> {
    /// Lends the deliveries that [`DeliveryArray::of`] put in.
    pub fn lend(&self) -> Deliveries<'_> {
        let (first, count, stride) = self.raw();
        // SAFETY: the array, and the deliveries that it borrows, live while it is lent.
        unsafe { Deliveries::from_abi(first, count, stride) }
    }
}
