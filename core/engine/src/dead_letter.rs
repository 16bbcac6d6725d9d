// SPDX-License-Identifier: Apache-2.0
//! Messages that cannot be processed: moved, with where they come from and why, to the queue that policy names.
//!
//! A move is a link and a removal in one batch: the record is never copied, and never in two places or none.

use crate::config::DeadLetter;
use crate::engine::Engine;
use crate::events::Fate;
use crate::output::CommitNeed;
use crate::queue::entry::{Entry, Place};
use crate::queue::{Origin, Queue, Traits};
use crate::routing::VirtualHost;
use crate::slab::Key;
use bytes::Bytes;
use sabir_model::store::{LogId, TEMPORARY};
use sabir_model::verb::Refusal;
use sabir_model::{Destination, DestinationKind, Message, fields};

/// A dead letter that fails again stays where it is, and is put off for at least so long.
const DEAD_LETTER_DELAY_MS: u64 = 1_000;

/// Why a message is a dead letter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Cause<'a> {
    /// A consumer has said so.
    Rejected(&'a str),
    /// It was delivered in vain too often.
    TooManyAttempts,
    /// Its time was over.
    Expired,
    /// It was put off, and when it was due there was no way to where it was sent.
    Unroutable(&'a Refusal),
}

impl Cause<'_> {
    fn text(&self, attempts: u32) -> String {
        match self {
            Cause::Rejected("") => "rejected".to_owned(),
            Cause::Rejected(reason) => format!("rejected: {}", clipped(reason, 512)),
            Cause::TooManyAttempts => format!("delivered {attempts} times without being accepted"),
            Cause::Expired => "expired".to_owned(),
            Cause::Unroutable(why) => {
                format!("could not be delivered when it was due: {}", clipped(&why.text, 512))
            }
        }
    }
}

/// At most `max` bytes of a text.
fn clipped(text: &str, max: usize) -> &str {
    let mut end = max.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// The label of a dead letter.
fn label(origin: &Destination, cause: &str) -> Bytes {
    let mut label = Vec::new();
    fields::put(&mut label, fields::LABEL_ORIGIN, origin.to_string().as_bytes());
    fields::put(&mut label, fields::LABEL_CAUSE, cause.as_bytes());
    label.into()
}

impl Engine {
    /// Moves an entry in flight to the dead letters, or removes it, by policy.
    pub(crate) fn dead_letter(&mut self, key: Key<Queue>, priority: u8, entry: Entry, cause: &Cause<'_>) {
        self.dead_letter_read(key, priority, entry, cause, None);
    }

    /// As `dead_letter`; `read` is the beginning of the entry's record, if its message is not in memory.
    pub(crate) fn dead_letter_read(
        &mut self,
        key: Key<Queue>,
        priority: u8,
        entry: Entry,
        cause: &Cause<'_>,
        read: Option<&Bytes>,
    ) {
        let subject = self.subject(key, &entry, read);
        let why = subject.as_ref().map(|_| cause.text(entry.attempts));
        if *cause == Cause::Expired {
            self.counters.expired += 1;
            if let Some(subject) = &subject {
                self.tell_fate(subject, Fate::Expired, None);
            }
        }
        let moved = self.settle_dead(key, priority, entry, cause);
        if let Some(subject) = subject.filter(|_| moved) {
            self.tell_fate(&subject, Fate::DeadLettered, why.as_deref());
        }
    }

    /// Answers whether it is a dead letter now.
    fn settle_dead(&mut self, key: Key<Queue>, priority: u8, entry: Entry, cause: &Cause<'_>) -> bool {
        let Some(queue) = self.queues.get_mut(key) else { return false };
        let policy = queue.policy.clone();
        let persistent = entry.place == Place::Durable
            || entry.message.as_ref().is_some_and(|message| message.head().persistent());
        let expired = *cause == Cause::Expired;
        let wanted =
            (persistent || policy.dead_letter_non_persistent) && (!expired || policy.dead_letter_expired);
        let name = policy.dead_letter.queue_of(&queue.name);
        let is_dead_already = queue.kind == DestinationKind::Queue
            && match &policy.dead_letter {
                DeadLetter::Individual(prefix) => queue.name.starts_with(prefix.as_str()),
                _ => name.as_deref() == Some(&*queue.name),
            };
        if is_dead_already && !expired {
            // Nothing removes a dead letter but an accept.
            let delay = policy.redelivery_delay(entry.attempts).max(DEAD_LETTER_DELAY_MS);
            self.delay_entry(key, priority, entry, delay);
            return false;
        }
        let host = queue.host;
        let target = match name {
            Some(name) if wanted && !is_dead_already => self.dead_letter_queue(host, &name).ok(),
            _ => None,
        };
        // A dead letter that is in the store alone cannot move to a queue that keeps nothing there.
        let homeless = |target: &Key<Queue>| {
            entry.message.is_none()
                && entry.place == Place::Durable
                && self.queues.get(*target).is_none_or(|queue| !queue.traits.durable)
        };
        if target.as_ref().is_some_and(homeless) {
            self.delay_entry(key, priority, entry, DEAD_LETTER_DELAY_MS);
            return false;
        }
        let Some(target) = target else {
            if let Some(queue) = self.queues.get_mut(key) {
                queue.finish(key, priority, &entry, &mut self.pending, &mut self.memory);
            }
            self.collect_queue(key);
            return false;
        };
        self.count_dead(cause);
        self.move_dead(key, target, priority, entry, cause);
        self.schedule(target);
        if self.queues.get(key).is_some_and(Queue::must_look_again) {
            self.schedule(key);
        }
        self.collect_queue(key);
        true
    }

    /// What was put off for a destination, and confirmed, cannot go there now that it is due: it goes to the dead letters
    /// by the policy of that destination. `body_at` is where its record lies, if it may be linked to.
    pub(crate) fn dead_letter_unroutable(
        &mut self,
        host: Key<VirtualHost>,
        destination: &Destination,
        message: &Message,
        body_at: &mut Option<(LogId, u64)>,
        why: &Refusal,
    ) {
        let Some(found) = self.routing.hosts.get(host) else { return };
        let policy = self.config.policy(&found.name, destination.kind, &destination.name);
        let head = message.head();
        let expired = head.expiration_ms() != 0 && head.expiration_ms() <= self.now.unix_ms;
        let wanted = (head.persistent() || policy.dead_letter_non_persistent)
            && (!expired || policy.dead_letter_expired);
        let name = policy.dead_letter.queue_of(&destination.name).filter(|_| wanted);
        let target = name.and_then(|name| self.dead_letter_queue(host, &name).ok());
        let cause = Cause::Unroutable(why);
        let label = label(destination, &cause.text(0));
        let Some((target, dead)) = target.and_then(|key| Some((key, self.queues.get_mut(key)?))) else {
            self.counters.dropped += 1;
            return;
        };
        let origin = Origin { label, ..Origin::default() };
        dead.admit(target, message, &origin, body_at, &mut self.pending, &mut self.memory);
        self.count_dead(&cause);
        self.schedule(target);
    }

    fn count_dead(&mut self, cause: &Cause<'_>) {
        self.counters.dead_lettered += 1;
        *match cause {
            Cause::Rejected(_) => &mut self.counters.dead_lettered_rejected,
            Cause::TooManyAttempts => &mut self.counters.dead_lettered_attempts,
            Cause::Expired => &mut self.counters.dead_lettered_expired,
            Cause::Unroutable(_) => &mut self.counters.dead_lettered_unroutable,
        } += 1;
    }

    /// The queue for dead letters, made if need be, whatever policy says of making queues.
    fn dead_letter_queue(&mut self, host: Key<VirtualHost>, name: &str) -> Result<Key<Queue>, Refusal> {
        let found = self.routing.hosts.get(host).and_then(|host| host.queues.get(name)).copied();
        if let Some(queue) = found {
            return Ok(queue);
        }
        let destination = Destination { kind: DestinationKind::Queue, name: name.into() };
        let traits = Traits { durable: true, ..Traits::default() };
        self.make_queue_beyond_limits(host, destination, traits, None)
    }

    fn move_dead(
        &mut self,
        key: Key<Queue>,
        target: Key<Queue>,
        priority: u8,
        entry: Entry,
        cause: &Cause<'_>,
    ) {
        let Some(queue) = self.queues.get(key) else { return };
        let Some(source) = queue.find_lane(priority).map(|at| &queue.lanes[at]) else { return };
        let source_log = source.log;
        let body = source.bodies.get(&entry.seq).cloned();
        let label = label(&queue.destination(), &cause.text(entry.attempts));
        let Some(dead) = self.queues.get_mut(target) else { return };
        let mut body_at =
            (entry.place == Place::Durable && dead.traits.durable).then_some((source_log, entry.seq));
        match (&entry.message, body_at) {
            (Some(message), _) => {
                let origin = Origin { label, ..Origin::default() };
                dead.admit(target, message, &origin, &mut body_at, &mut self.pending, &mut self.memory);
            }
            (None, Some(from)) => {
                let at = dead.lane(priority);
                let body = body.as_ref();
                let seq = dead.admit_stored(target, at, entry.size, Place::Durable, body, &mut self.pending);
                self.pending.link(dead.lanes[at].log, seq, from, label);
                self.pending.want_durable();
            }
            // Queues for dead letters are durable, so this one is not persistent and lies in the temporary log.
            (None, None) => {
                let at = dead.lane(priority);
                let body = body.as_ref();
                let seq =
                    dead.admit_stored(target, at, entry.size, Place::Temporary, body, &mut self.pending);
                let from = (source_log | TEMPORARY, entry.seq);
                self.pending.link(dead.lanes[at].log | TEMPORARY, seq, from, label);
                self.pending.want(CommitNeed::Now);
            }
        }
        if let Some(queue) = self.queues.get_mut(key) {
            queue.finish_now(priority, &entry, &mut self.pending, &mut self.memory);
        }
    }
}
