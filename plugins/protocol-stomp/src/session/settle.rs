// SPDX-License-Identifier: Apache-2.0
//! `ACK` and `NACK`.
//!
//! In 1.2 the header `id` is what `ack` of the message said: the subscription's number and the delivery's tag, so
//! that nothing needs to be remembered. Before, messages are named by their ids.

use super::problem::{Problem, cut};
use super::send::flag;
use super::subscribe::{AckMode, Subscription};
use super::{Core, Step};
use crate::codec::{Command, Head, HeaderName, Version};
use sabir_model::verb::{Outcome, Settle, SettleRange};
use sabir_sdk::protocol::{Out, VerbMeta};
use std::hash::BuildHasher;

/// A delivery that a frame names.
struct Named {
    subscription: u64,
    tag: u64,
    /// Of the message's id, where it was named by that.
    hash: Option<u64>,
    ack: AckMode,
}

impl Core {
    /// `ACK`.
    pub fn on_ack(&mut self, head: &Head<'_>, out: &mut Out<'_>) -> Result<Step, Problem> {
        self.settle(head, Outcome::Accept, out)
    }

    /// `NACK`: to the dead letters, as ActiveMQ does; with `requeue:true` again, as RabbitMQ does.
    pub fn on_nack(&mut self, head: &Head<'_>, out: &mut Out<'_>) -> Result<Step, Problem> {
        if self.version == Version::V1_0 {
            return Err(Problem::short("STOMP 1.0 has no NACK"));
        }
        let outcome = if flag(head, HeaderName::Requeue)?.unwrap_or(false) {
            Outcome::Release { delay_ms: None }
        } else {
            Outcome::Reject { reason: "NACK from the consumer".to_owned() }
        };
        self.settle(head, outcome, out)
    }

    fn settle(&mut self, head: &Head<'_>, outcome: Outcome, out: &mut Out<'_>) -> Result<Step, Problem> {
        let transaction = self.transaction_of(head.get(HeaderName::Transaction))?;
        let named =
            if self.version == Version::V1_2 { self.named_by_ack(head)? } else { self.named_by_id(head)? };
        let cumulative = named.ack == AckMode::Client;
        let range = if cumulative {
            SettleRange::UpTo(named.tag)
        } else {
            SettleRange::Tags { first: named.tag, last: named.tag }
        };
        let receipt = head.raw(HeaderName::Receipt);
        let meta = VerbMeta { id: named.subscription, transaction, ..self.meta(receipt, false) };
        out.settle(meta, &Settle { range, outcome });
        if out.overflowed() {
            return Ok(Step::Full);
        }
        self.expect(meta, receipt);
        if let Some(hash) = named.hash
            && let Some(subscription) = self.subscriptions.get_mut(named.subscription)
        {
            subscription.unsettled.settled(named.tag, hash, cumulative, transaction);
        }
        Ok(Step::Done)
    }

    /// 1.2: by `id`.
    fn named_by_ack(&mut self, head: &Head<'_>) -> Result<Named, Problem> {
        let id = head.raw(HeaderName::Id).ok_or_else(|| Problem::missing(head.command, HeaderName::Id))?;
        let parsed = id.split_once('-').and_then(|(number, tag)| Some((decimal(number)?, decimal(tag)?)));
        let found = parsed.and_then(|(number, tag)| Some((self.subscriptions.get_mut(number)?, tag)));
        let Some((subscription, tag)) = found else { return Err(unknown(head.command, id)) };
        if subscription.ack == AckMode::Auto {
            return Err(needless(head.command));
        }
        Ok(Named { subscription: subscription.number, tag, hash: None, ack: subscription.ack })
    }

    /// 1.1: by `message-id` and `subscription`. 1.0: by `message-id` alone.
    fn named_by_id(&mut self, head: &Head<'_>) -> Result<Named, Problem> {
        let id = head
            .get(HeaderName::MessageId)
            .ok_or_else(|| Problem::missing(head.command, HeaderName::MessageId))?;
        let hash = self.hasher.hash_one(id.as_bytes());
        let named = |subscription: &mut Subscription| {
            let tag = subscription.unsettled.tag(hash)?;
            Some(Named { subscription: subscription.number, tag, hash: Some(hash), ack: subscription.ack })
        };
        let Some(name) = head.get(HeaderName::Subscription) else {
            if self.version != Version::V1_0 {
                return Err(Problem::missing(head.command, HeaderName::Subscription));
            }
            let found = self.subscriptions.iter_mut().find_map(named);
            return found.ok_or_else(|| unknown(head.command, &id));
        };
        let subscription = self
            .subscriptions
            .named_mut(&name)
            .ok_or_else(|| Problem::new("no such subscription is active", format!("{:?}", cut(&name))))?;
        if subscription.ack == AckMode::Auto {
            return Err(needless(head.command));
        }
        named(subscription).ok_or_else(|| unknown(head.command, &id))
    }
}

fn unknown(command: Command, id: &str) -> Problem {
    let short = format!("{} names no message that waits for it", command.as_str());
    Problem::new(short, format!("{:?}", cut(id)))
}

fn needless(command: Command) -> Problem {
    Problem::short(format!("{} for a subscription with ack:auto", command.as_str()))
}

/// A number without sign or leading zeros: there is one spelling of each.
fn decimal(text: &str) -> Option<u64> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits || (text.len() > 1 && text.starts_with('0')) {
        return None;
    }
    text.parse().ok()
}
