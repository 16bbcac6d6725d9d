// SPDX-License-Identifier: Apache-2.0
//! What clients say of the messages that they were sent.
//!
//! Acknowledgements name messages by their ids; ours bear the delivery's tag, so that they are found at once. Those in a
//! transaction are kept here until it is committed: until then the messages stay with their consumer, whose client
//! delivers them again from its own memory after a roll-back.

use super::asked::Asked;
use super::problem::{Exception, Problem, class, printable};
use super::transaction::Kept;
use super::{Core, Step, hash_of};
use crate::codec::{MessageAck, MessageId, Throwable};
use sabir_model::verb::{Outcome, Settle, SettleRange};
use sabir_sdk::protocol::{Out, VerbMeta};
use std::ops::Range;

/// How long a message that a client found expired waits until the broker finds the same.
const EXPIRED_DELAY_MS: u32 = 1000;

impl Core {
    /// An acknowledgement.
    pub fn on_message_ack(&mut self, ack: &MessageAck, out: &mut Out<'_>) -> Result<Step, Problem> {
        let id = ack.consumer_id.as_ref().ok_or_else(|| Problem::missing("MessageAck", "consumerId"))?;
        let transaction = match &ack.transaction_id {
            None => 0,
            Some(id) => self.transaction_number(id)?,
        };
        let found =
            self.consumers.number_of(id).and_then(|number| Some((number, self.acked_range(number, ack)?)));
        let Some((number, range)) = found else {
            // A client that was connected elsewhere before may acknowledge what this connection did not send.
            return Ok(self.respond_to(ack.command_id, ack.response_required));
        };
        let outcome = match ack.ack_type {
            MessageAck::DELIVERED => return Ok(self.on_delivered(number, range, ack)),
            MessageAck::REDELIVERED => return Ok(self.respond_to(ack.command_id, ack.response_required)),
            MessageAck::STANDARD | MessageAck::INDIVIDUAL | MessageAck::UNMATCHED => Outcome::Accept,
            MessageAck::POISON if transaction != 0 => {
                let text = "a poison acknowledgement cannot be part of a transaction";
                return Err(Exception::new(class::JMS, text).refused());
            }
            MessageAck::POISON => Outcome::Reject { reason: cause(ack.poison_cause.as_deref()) },
            MessageAck::EXPIRED => Outcome::Release { delay_ms: Some(EXPIRED_DELAY_MS) },
            other => {
                let text = format!("there is no acknowledgement of type {other}");
                return Err(Exception::new(class::JMS, text).refused());
            }
        };
        if transaction != 0 {
            return self.keep_ack(number, range, transaction, outcome, ack);
        }
        self.settle_range(number, range, &outcome, ack, out)
    }

    /// The messages of an acknowledgement. `None`: it names none that we sent.
    fn acked_range(&mut self, number: u64, ack: &MessageAck) -> Option<Range<usize>> {
        let shared = self.shared.clone();
        let unsettled = &self.consumers.get_mut(number)?.unsettled;
        let find = |id: &MessageId| {
            let tag = u64::try_from(id.broker_sequence_id).unwrap_or_default();
            unsettled.find(tag, hash_of(&shared, id))
        };
        let last = find(ack.last_message_id.as_ref()?)?;
        let from_start = ack.ack_type == MessageAck::DELIVERED || ack.first_message_id.is_none();
        let first = match &ack.first_message_id {
            _ if ack.ack_type == MessageAck::INDIVIDUAL => last,
            Some(first) if !from_start => find(first).filter(|first| *first <= last)?,
            _ => 0,
        };
        Some(first..last + 1)
    }

    /// The messages have reached the client: it may be sent others.
    fn on_delivered(&mut self, number: u64, range: Range<usize>, ack: &MessageAck) -> Step {
        let credit = self.consumers.get_mut(number).map_or(0, |consumer| consumer.unsettled.delivered(range));
        self.consumers.give_credit(number, credit);
        self.respond_to(ack.command_id, ack.response_required)
    }

    fn settle_range(
        &mut self,
        number: u64,
        range: Range<usize>,
        outcome: &Outcome,
        ack: &MessageAck,
        out: &mut Out<'_>,
    ) -> Result<Step, Problem> {
        let Some(consumer) = self.consumers.get_mut(number) else {
            return Ok(self.respond_to(ack.command_id, ack.response_required));
        };
        let plan = consumer.unsettled.plan(range.clone());
        let count = plan.runs.len();
        for (at, (first, last)) in plan.runs.iter().copied().enumerate() {
            let confirm = ack.response_required && at + 1 == count;
            let token = if confirm { Asked::token(ack.command_id, true) } else { Asked::settled() };
            let meta = VerbMeta { token, confirm, id: number, transaction: 0 };
            let range = SettleRange::Tags { first, last };
            out.settle(meta, &Settle { range, outcome: outcome.clone() });
        }
        if out.overflowed() {
            return Ok(Step::Full);
        }
        consumer.unsettled.settled(range);
        self.consumers.give_credit(number, plan.credit);
        if count == 0 {
            return Ok(self.respond_to(ack.command_id, ack.response_required));
        }
        Ok(Step::Done)
    }

    fn keep_ack(
        &mut self,
        number: u64,
        range: Range<usize>,
        transaction: u64,
        outcome: Outcome,
        ack: &MessageAck,
    ) -> Result<Step, Problem> {
        let max = self.shared.settings.max_transaction_acks;
        let Some(consumer) = self.consumers.get_mut(number) else {
            return Ok(self.respond_to(ack.command_id, ack.response_required));
        };
        let plan = consumer.unsettled.plan(range.clone());
        if let Some(open) = self.transactions.get_mut(transaction) {
            if open.kept.len() + open.settled.len() + plan.runs.len() > max {
                return Err(Problem::limit("max_transaction_acks", max));
            }
            for (first, last) in plan.runs {
                open.keep(Kept { consumer: number, first, last, outcome: outcome.clone() });
            }
        }
        if let Some(consumer) = self.consumers.get_mut(number) {
            consumer.unsettled.keep(range, transaction);
        }
        self.consumers.give_credit(number, plan.credit);
        Ok(self.respond_to(ack.command_id, ack.response_required))
    }
}

/// Why the application could not take a message, as its client tells it.
fn cause(throwable: Option<&Throwable>) -> String {
    match throwable {
        None => "the consumer cannot take it".to_owned(),
        Some(Throwable { class, message: Some(message), .. }) => printable(&format!("{class}: {message}")),
        Some(throwable) => printable(&throwable.class),
    }
}
