// SPDX-License-Identifier: Apache-2.0
//! How far an import has come, in the broker itself: a message in a queue of its own, sent with each batch.

use super::{Ended, said};
use crate::client::{Client, Consumer, Failure};
use sabir_protocol_openwire::codec::{
    Command, Destination, DestinationInfo, DestinationKind, Message, MessageId, TransactionId,
};
use std::sync::Arc;

/// The queue.
const QUEUE: &str = "sabir.import.kahadb";

/// The marks.
pub struct Marks {
    destination: Arc<Destination>,
    /// What tells this plan from another.
    plan: String,
    consumer: Option<Consumer>,
    /// Marks that are there: the next batch takes them.
    held: Vec<Message>,
    /// Batches so far.
    step: u64,
    /// Batches that an earlier run has sent.
    resumed: u64,
}

impl Marks {
    /// Those of a plan.
    pub fn new(plan: &str) -> Self {
        Marks {
            destination: queue(),
            plan: plan.to_owned(),
            consumer: None,
            held: Vec::new(),
            step: 0,
            resumed: 0,
        }
    }

    /// Batches that an earlier run has sent.
    pub fn resumed(&self) -> u64 {
        self.resumed
    }

    /// Looks how far an earlier run has come.
    pub fn open(&mut self, main: &mut Client) -> Result<(), Ended> {
        let consumer = main.consume(&self.destination, None, None, false).map_err(said)?;
        while let Some(mark) = main.pull(&consumer).map_err(said)? {
            let text = mark.correlation_id.as_deref().unwrap_or_default();
            let (step, plan) = text.split_once(' ').unwrap_or_default();
            if plan != self.plan {
                return Err(
                    "an earlier import of another directory, or of this one as it was then, has not \
                            finished: begin with an empty store"
                        .to_owned(),
                );
            }
            self.resumed = self.resumed.max(step.parse().unwrap_or(0));
            self.held.push(*mark);
        }
        self.consumer = Some(consumer);
        Ok(())
    }

    /// The next batch; `false`: it was sent already.
    pub fn next(&mut self) -> bool {
        self.step += 1;
        self.step > self.resumed
    }

    /// Makes the mark a part of the batch, in the place of those before it.
    pub fn send(&mut self, main: &mut Client, transaction: &Arc<TransactionId>) -> Result<(), Ended> {
        let sequence = main.next_sequence();
        let mark = Message {
            destination: Some(self.destination.clone()),
            transaction_id: Some(transaction.clone()),
            message_id: Some(MessageId {
                producer_id: Some(main.producer.clone()),
                producer_sequence_id: sequence,
                ..MessageId::default()
            }),
            correlation_id: Some(format!("{} {}", self.step, self.plan).into()),
            persistent: true,
            priority: 4,
            ..Message::default()
        };
        main.publish(mark, false).map_err(said)?;
        let Some(consumer) = &self.consumer else { return Ok(()) };
        for held in &self.held {
            main.acknowledge(consumer, held, Some(transaction)).map_err(said)?;
        }
        Ok(())
    }

    /// The batch was committed.
    pub fn sent(&mut self, main: &mut Client) -> Result<(), Ended> {
        self.held.clear();
        if let Some(consumer) = &self.consumer {
            self.held.extend(main.pull(consumer).map_err(said)?.map(|mark| *mark));
        }
        Ok(())
    }
}

/// Everything was sent, and that is noted: the marks and their queue go.
pub fn remove(main: &mut Client) -> Result<(), Ended> {
    let destination = queue();
    let consumer = main.consume(&destination, None, None, false).map_err(said)?;
    while let Some(mark) = main.pull(&consumer).map_err(said)? {
        main.acknowledge(&consumer, &mark, None).map_err(said)?;
    }
    main.end_consumer(consumer).map_err(said)?;
    let removed = main.call(|command_id| {
        Command::from(DestinationInfo {
            command_id,
            response_required: true,
            destination: Some(destination),
            operation_type: DestinationInfo::REMOVE,
            ..DestinationInfo::default()
        })
    });
    match removed {
        // An empty queue that stays is no harm.
        Ok(_) | Err(Failure::Refused(_)) => Ok(()),
        Err(other) => Err(said(other)),
    }
}

fn queue() -> Arc<Destination> {
    Arc::new(Destination::new(DestinationKind::Queue, QUEUE))
}
