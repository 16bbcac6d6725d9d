// SPDX-License-Identifier: Apache-2.0
//! Questions: what there is, and why a message waits.

use crate::engine::{Engine, State};
use crate::events::is_event;
use crate::queue::Queue;
use crate::routing::VirtualHost;
use crate::session::Session;
use crate::slab::Key;
use sabir_model::fields::{self, number as field};
use sabir_model::pattern::Pattern;
use sabir_model::verb::{Query, Reason, Refusal, Told};
use sabir_model::{Destination, DestinationKind};

/// Counts since the engine began, and of what there is now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Sessions open.
    pub sessions: u64,
    /// Queues and subscriptions' queues.
    pub queues: u64,
    /// Consumers.
    pub subscriptions: u64,
    /// Messages in queues.
    pub messages: u64,
    /// Bytes of messages in queues.
    pub bytes: u64,
    /// Messages delivered and not settled.
    pub in_flight: u64,
    /// Messages put off.
    pub delayed: u64,
    /// Open transactions.
    pub transactions: u64,
    /// Branches of distributed transactions that are prepared.
    pub prepared: u64,
    /// Bytes of messages charged to memory.
    pub resident_bytes: u64,
    /// Bytes on their way to the store.
    pub uncommitted_bytes: u64,
    /// Messages published.
    pub published: u64,
    /// Messages that were sent again, and not taken again.
    pub duplicates: u64,
    /// Messages delivered.
    pub delivered: u64,
    /// Deliveries accepted.
    pub accepted: u64,
    /// Deliveries rejected.
    pub rejected: u64,
    /// Deliveries released, by consumers or by their going.
    pub released: u64,
    /// Messages that expired.
    pub expired: u64,
    /// Messages moved to dead letters.
    pub dead_lettered: u64,
    /// Of these: because a consumer said that they cannot be processed.
    pub dead_lettered_rejected: u64,
    /// Of these: because they were delivered in vain too often.
    pub dead_lettered_attempts: u64,
    /// Of these: because they expired.
    pub dead_lettered_expired: u64,
    /// Of these: because there was no way to where they go when they were due.
    pub dead_lettered_unroutable: u64,
    /// Messages removed by policy: to make room, or because they had nowhere to go and dead letters are not kept.
    pub dropped: u64,
    /// Publishes parked now.
    pub parked: u64,
    /// Reads that found a damaged record.
    pub damaged: u64,
}

impl Engine {
    /// Figures for metrics. Takes time in proportion to the number of queues.
    pub fn stats(&self) -> Stats {
        let mut stats = self.counters;
        stats.sessions = self.sessions.len() as u64;
        stats.queues = self.queues.len() as u64;
        stats.subscriptions = self.subscriptions.len() as u64;
        for (_, queue) in self.queues.iter() {
            stats.messages += queue.messages;
            stats.bytes += queue.bytes;
            stats.in_flight += queue.in_flight;
        }
        stats.delayed = self.delayed.count;
        stats.transactions = self.transactions as u64;
        stats.prepared = self.branches.prepared() as u64;
        stats.resident_bytes = self.memory.resident as u64;
        stats.uncommitted_bytes = (self.commits.bytes() + self.pending.bytes()) as u64;
        stats
    }

    /// Answers a question. A list repeats, for each destination, the field `DESTINATION` and six fields `COUNT`:
    /// messages, bytes, in flight, consumers, bytes in memory, parked publishes. Of temporary destinations, whose
    /// contents are their owners', it has the names alone. A list of a topic of events has instead the events, as fields
    /// `MESSAGE`, that would tell of the sessions, consumers and producers that there are. Its text is how many there
    /// are; it names no more than `limits.max_listed` of them.
    pub(crate) fn query(&self, key: Key<Session>, query: &Query) -> Result<Told, Refusal> {
        match query {
            Query::List(wanted) => self.list(key, wanted),
            Query::Explain(destination) => self.explain(key, destination),
            Query::Prepared { all } => Ok(self.list_prepared(key, *all)),
        }
    }

    fn list(&self, key: Key<Session>, wanted: &Destination) -> Result<Told, Refusal> {
        let pattern =
            Pattern::parse(&wanted.name).map_err(|error| Refusal::new(Reason::Invalid, error.to_string()))?;
        let host = self.sessions.get(key).map(|session| session.virtual_host);
        if wanted.kind == DestinationKind::Topic && is_event(&wanted.name) {
            return Ok(host.map(|host| self.list_events(host, &pattern)).unwrap_or_default());
        }
        if matches!(wanted.kind, DestinationKind::TempQueue | DestinationKind::TempTopic) {
            return Ok(self.list_temporary(host, wanted.kind, &pattern));
        }
        let mut found: Vec<(Destination, [u64; 6])> = Vec::new();
        for (_, queue) in self.queues.iter() {
            if Some(queue.host) != host || queue.kind != wanted.kind || !pattern.matches(&queue.name) {
                continue;
            }
            let counts = [
                queue.messages,
                queue.bytes,
                queue.in_flight,
                queue.consumers.len() as u64,
                queue.budget.resident as u64,
                queue.parked.len() as u64,
            ];
            found.push((queue.destination(), counts));
        }
        found.sort_unstable();
        let mut told = Told { text: found.len().to_string(), fields: Vec::new() };
        for (destination, counts) in found.into_iter().take(self.config.limits.max_listed) {
            fields::put(&mut told.fields, field::DESTINATION, destination.to_string().as_bytes());
            for count in counts {
                fields::put(&mut told.fields, field::COUNT, &count.to_le_bytes());
            }
        }
        Ok(told)
    }

    /// The temporary destinations of all sessions, by name.
    fn list_temporary(
        &self,
        host: Option<Key<VirtualHost>>,
        kind: DestinationKind,
        pattern: &Pattern,
    ) -> Told {
        let mut told = Told::default();
        let Some(host) = host.and_then(|host| self.routing.hosts.get(host)) else { return told };
        let queues = host.temporary_queues.keys().filter(|_| kind == DestinationKind::TempQueue);
        let topics = host.topic_owners.keys().filter(|_| kind == DestinationKind::TempTopic);
        let mut count = 0;
        for name in queues.chain(topics).filter(|name| pattern.matches(name)) {
            count += 1;
            if count <= self.config.limits.max_listed {
                let destination = Destination { kind, name: name.clone() };
                fields::put(&mut told.fields, field::DESTINATION, destination.to_string().as_bytes());
            }
        }
        told.text = count.to_string();
        told
    }

    fn explain(&self, key: Key<Session>, destination: &Destination) -> Result<Told, Refusal> {
        let host = self.sessions.get(key).and_then(|session| self.routing.hosts.get(session.virtual_host));
        let found = host.and_then(|host| match destination.kind {
            DestinationKind::Queue => host.queues.get(&destination.name),
            DestinationKind::TempQueue => host.temporary_queues.get(&destination.name),
            _ => None,
        });
        let Some(queue) = found.and_then(|key| self.queues.get(*key)) else {
            return Err(Refusal::new(Reason::NotFound, format!("there is no {destination}")));
        };
        Ok(Told { text: self.why_waiting(queue), fields: Vec::new() })
    }

    fn why_waiting(&self, queue: &Queue) -> String {
        if let State::Failed(text) = &self.state {
            return format!("the store has failed: {text}");
        }
        if self.state == State::Stopped {
            return "the broker is stopping".to_owned();
        }
        if queue.waiting() == 0 {
            let flight = queue.in_flight;
            return format!("nothing waits; {flight} messages are in flight, not settled by their consumers");
        }
        if queue.consumers.is_empty() {
            return format!("{} messages wait, and nobody consumes", queue.waiting());
        }
        let consumers = queue.consumers.len();
        let with_credit = queue
            .consumers
            .iter()
            .filter(|key| self.subscriptions.get(**key).is_some_and(|one| one.has_credit()))
            .count();
        if with_credit == 0 {
            return format!(
                "{} messages wait; none of the {consumers} consumers has credit: {} messages are in flight",
                queue.waiting(),
                queue.in_flight
            );
        }
        let paused = queue.groups.as_ref().map_or(0, |groups| groups.paused());
        if paused > 0 {
            return format!(
                "{paused} message groups wait until one of their messages may be delivered again"
            );
        }
        let held = queue.groups.as_ref().map_or(0, |groups| groups.waiting());
        if held > 0 {
            return format!("{held} messages wait for the consumers of their groups, which have no credit");
        }
        if queue.lanes.iter().any(|lane| lane.committed < lane.next_seq && !lane.ready.is_empty()) {
            return "the first waiting messages are not committed by the store yet".to_owned();
        }
        if queue.views.iter().any(|view| view.feeds.iter().any(|feed| feed.reading.is_some())) {
            return "the first waiting messages are being read from the store".to_owned();
        }
        format!("{with_credit} consumers have credit, but no waiting message satisfies their selectors")
    }
}
