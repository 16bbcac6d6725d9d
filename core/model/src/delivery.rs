// SPDX-License-Identifier: Apache-2.0
//! A message on its way to a consumer.

use crate::message::Message;
use bytes::Bytes;

/// What one subscription is handed.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// The session's number of the subscription.
    pub subscription: u64,
    /// To settle it with; grows within the session, never 0 for a message.
    pub tag: u64,
    /// What is delivered.
    pub kind: DeliveryKind,
}

/// The kinds of delivery.
#[derive(Clone, Debug)]
pub enum DeliveryKind {
    /// A message.
    Message {
        /// The message.
        message: Message,
        /// What belongs to this entry alone, as [`crate::fields`]: origin and cause of a dead letter. Mostly empty.
        label: Bytes,
        /// How often it was delivered before and not accepted.
        redelivery_count: u32,
        /// It may have been delivered before.
        redelivered: bool,
        /// The first of its message group for this consumer.
        group_first: bool,
        /// The server accepts it once its bytes were handed to the link.
        auto_accept: bool,
    },
    /// A browse is at its end.
    EndOfBrowse,
    /// The broker has ended the subscription.
    Cancelled {
        /// Why, for people.
        reason: String,
    },
}
