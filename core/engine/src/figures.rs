// SPDX-License-Identifier: Apache-2.0
//! Figures of single queues, for metrics: of the largest ones only, so that there are never too many of them.

use crate::engine::Engine;
use crate::queue::Queue;
use crate::queue::lane::Lane;
use crate::queue::view::PLAIN;
use crate::slab::Key;
use sabir_model::message::Message;
use sabir_model::{Destination, DestinationKind};
use std::cmp::Reverse;

/// One queue, or one durable subscription.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueFigures {
    /// Its virtual host.
    pub virtual_host: String,
    /// The queue, or the topic of a subscription.
    pub destination: Destination,
    /// Of a durable subscription: its name.
    pub subscription: Option<String>,
    /// Messages in it, those in flight included.
    pub messages: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Messages delivered and not settled.
    pub in_flight: u64,
    /// Its consumers.
    pub consumers: u64,
    /// For how long the message that waits longest has been under way, by the time that its sender gave it, in
    /// milliseconds; `None`: nothing waits, or it lies in the store and nobody has looked at it since the start.
    pub oldest_age_ms: Option<u64>,
}

impl Engine {
    /// The queues and durable subscriptions with the most messages, the largest first. Temporary ones and those that
    /// go with their consumers are left out. Takes time in proportion to the number of queues.
    pub fn largest_queues(&self, max: usize) -> Vec<QueueFigures> {
        let mut found: Vec<(Reverse<u64>, Key<Queue>)> = self
            .queues
            .iter()
            .filter(|(_, queue)| is_lasting(queue))
            .map(|(key, queue)| (Reverse(queue.messages), key))
            .collect();
        if max == 0 {
            return Vec::new();
        }
        if found.len() > max {
            found.select_nth_unstable(max - 1);
            found.truncate(max);
        }
        found.sort_unstable();
        found
            .into_iter()
            .filter_map(|(_, key)| self.queues.get(key))
            .map(|queue| self.figures(queue))
            .collect()
    }

    fn figures(&self, queue: &Queue) -> QueueFigures {
        let host = self.routing.hosts.get(queue.host).map(|host| host.name.to_string());
        let oldest_ms = (0..queue.lanes.len()).filter_map(|at| queue.oldest_sent_ms(at)).min();
        QueueFigures {
            virtual_host: host.unwrap_or_default(),
            destination: queue.destination(),
            subscription: queue.durable_subscription.as_deref().map(|one| match &one.client_id {
                Some(id) => format!("{id}/{}", one.name),
                None => one.name.to_string(),
            }),
            messages: queue.messages,
            bytes: queue.bytes,
            in_flight: queue.in_flight,
            consumers: queue.consumers.len() as u64,
            oldest_age_ms: oldest_ms
                .map(|ms| u64::try_from(self.now.unix_ms.saturating_sub(ms)).unwrap_or(0)),
        }
    }
}

fn is_lasting(queue: &Queue) -> bool {
    match queue.kind {
        DestinationKind::Queue => true,
        DestinationKind::Topic => queue.durable_subscription.is_some() && queue.traits.durable,
        _ => false,
    }
}

impl Queue {
    /// When the message of this lane was sent that waits longest, as far as that is known.
    fn oldest_sent_ms(&self, at: usize) -> Option<i64> {
        let lane = &self.lanes[at];
        let released = lane.released.values().next().and_then(|entry| sent_ms(entry.message.as_ref()));
        let ready = lane.ready.first().and_then(|seq| self.sent_ms_of(lane, at, seq));
        released.into_iter().chain(ready).min()
    }

    fn sent_ms_of(&self, lane: &Lane, at: usize, seq: u64) -> Option<i64> {
        let recent = lane.recent.get(lane.recent.partition_point(|entry| entry.seq < seq));
        let known = lane.oldest_seen.filter(|(of, _)| *of == seq).map(|(_, ms)| ms);
        self.views[PLAIN].feeds[at]
            .find(seq)
            .or(recent.filter(|entry| entry.seq == seq))
            .and_then(|entry| sent_ms(entry.message.as_ref()))
            .or(known)
    }
}

/// When a message was sent; a sender need not say.
fn sent_ms(message: Option<&Message>) -> Option<i64> {
    message.map(|message| message.head().timestamp_ms()).filter(|ms| *ms > 0)
}
