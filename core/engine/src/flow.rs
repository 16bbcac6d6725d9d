// SPDX-License-Identifier: Apache-2.0
//! Publishes that wait for room: at a full queue, or because too much is on its way to the store.
//!
//! They wait in the order of their coming, also when their session has gone: what was taken in is not dropped. A
//! session with too many of them is no longer read from.

use crate::commit::CommitId;
use crate::delayed::SentBy;
use crate::duplicates::{ProducerName, Sequenced};
use crate::engine::{Engine, State};
use crate::output::Outputs;
use crate::queue::Queue;
use crate::routing::VirtualHost;
use crate::session::{Kind, Session, Ticket};
use crate::slab::Key;
use sabir_model::verb::{Answer, Reason, Refusal};
use sabir_model::{Destination, Message};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

/// A session that sends on although it should not be read from is refused at so many times the limit.
const PATIENCE: usize = 8;

/// A publish that waits.
#[derive(Debug)]
pub(crate) struct Parked {
    /// Grows with every publish that has to wait.
    pub order: u64,
    pub session: Key<Session>,
    /// Its client id, for subscriptions that want no messages of their own.
    pub client_id: Option<String>,
    pub host: Key<VirtualHost>,
    /// Its place in the session's line, if an answer is wanted.
    pub ticket: Option<Ticket>,
    /// Of the request.
    pub token: u64,
    pub destinations: Arc<[Destination]>,
    /// Its place in the count of its producer, if that counts.
    pub sequenced: Option<Sequenced>,
    pub message: Message,
}

/// Where publishes wait.
#[derive(Debug, Default)]
pub(crate) struct Flow {
    /// The order of the publish parked last.
    pub last_order: u64,
    /// Those that wait for the store.
    pub at_store: VecDeque<Parked>,
    /// Queues at which some wait.
    pub at_queues: BTreeSet<Key<Queue>>,
    /// Those that wait for nothing but another of their session to the same destinations, by their order.
    behind: BTreeMap<u64, Parked>,
    /// Those of them that need not wait any longer.
    released: Vec<u64>,
    /// What waits of each session, by its order.
    by_session: BTreeMap<Key<Session>, BTreeMap<u64, Waiting>>,
    /// What waits of each producer that counts, by its order, and whether it waits behind another.
    by_producer: BTreeMap<Arc<ProducerName>, BTreeMap<u64, bool>>,
}

/// A publish that waits, as its session's others see it.
#[derive(Debug)]
struct Waiting {
    destinations: Arc<[Destination]>,
    behind: bool,
}

impl Flow {
    /// Whether a publish of this session to these destinations waits that came before `order`. Selectors may have
    /// them go to different queues, and yet they must not overtake each other at any. A producer that counts keeps its
    /// order wherever its messages go, so that its count has no gaps, and whichever its session is.
    pub fn is_behind(
        &self,
        session: Key<Session>,
        destinations: &[Destination],
        sequenced: Option<&Sequenced>,
        order: u64,
    ) -> bool {
        let of_producer = sequenced.and_then(|one| self.by_producer.get(&one.producer));
        of_producer.is_some_and(|waiting| waiting.range(..order).next().is_some())
            || self.by_session.get(&session).is_some_and(|waiting| {
                waiting.range(..order).rev().any(|(_, other)| *other.destinations == *destinations)
            })
    }

    fn note(&mut self, parked: &Parked, behind: bool) {
        let waiting = self.by_session.entry(parked.session).or_default();
        waiting.insert(parked.order, Waiting { destinations: parked.destinations.clone(), behind });
        if let Some(one) = &parked.sequenced {
            let waiting = self.by_producer.entry(one.producer.clone()).or_default();
            waiting.insert(parked.order, behind);
        }
    }

    /// A publish waits no longer: the next one behind it can go on.
    fn forget(&mut self, parked: &Parked) {
        if let Some(one) = &parked.sequenced
            && let Some(waiting) = self.by_producer.get_mut(&one.producer)
        {
            waiting.remove(&parked.order);
            if let Some((order, true)) = waiting.range(parked.order..).next() {
                self.released.push(*order);
            }
            if waiting.is_empty() {
                self.by_producer.remove(&one.producer);
            }
        }
        let Some(waiting) = self.by_session.get_mut(&parked.session) else { return };
        waiting.remove(&parked.order);
        let mut later = waiting.range(parked.order..);
        let next = later.find(|(_, other)| other.destinations == parked.destinations);
        if let Some((order, Waiting { behind: true, .. })) = next {
            self.released.push(*order);
        }
        if waiting.is_empty() {
            self.by_session.remove(&parked.session);
        }
    }
}

/// Where a publish has to wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Obstacle {
    /// Too much is on its way to the store, or the store is full.
    Store,
    /// This queue is full.
    Queue(Key<Queue>),
    /// Another of its session to the same destinations waits.
    Behind,
}

/// Where a publish comes from that is to go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Coming {
    /// From its producer: behind all that wait.
    New,
    /// From its producer, in a transaction, whose commit does not wait.
    Together,
    /// It has waited: behind those that came before it, wherever they wait.
    Parked(u64),
}

impl Coming {
    /// Whether it must stay behind what waits there.
    pub fn yields_to(self, parked: &VecDeque<Parked>) -> bool {
        match self {
            Coming::New => !parked.is_empty(),
            Coming::Together => false,
            Coming::Parked(order) => parked.front().is_some_and(|first| first.order < order),
        }
    }
}

/// Puts a publish in line, by the order of their coming: it may have waited elsewhere before.
fn stand_in_line(line: &mut VecDeque<Parked>, parked: Parked) {
    let at = line.partition_point(|other| other.order < parked.order);
    line.insert(at, parked);
}

impl Engine {
    /// Whether nothing may be added for the store now.
    pub(crate) fn store_is_busy(&self) -> bool {
        let bytes = (self.commits.bytes() + self.pending.bytes()) as u64;
        // Of many small messages no batch is made either that a small store could never take.
        let most = (self.config.limits.uncommitted_bytes as u64).min(self.store_bytes / 4);
        self.commits.is_full() || bytes > most
    }

    /// Refuses what the store could never take, however much is consumed: half of it is for one batch at the most,
    /// since the rest of the batch, and what frees room, must fit beside it.
    pub(crate) fn check_store_bytes(&self, bytes: usize) -> Result<(), Refusal> {
        let most = self.store_bytes / 2;
        if bytes as u64 > most {
            let text = format!(
                "{bytes} bytes are more than the store can ever take at once: {most}, half of the {} that it has in \
                 all, used and free",
                self.store_bytes
            );
            return Err(Refusal::new(Reason::Limit, text));
        }
        Ok(())
    }

    /// Refuses what a session sends in spite of being told to wait, once that is too much.
    pub(crate) fn check_patience(&self, key: Key<Session>) -> Result<(), Refusal> {
        let max = self.config.limits.max_parked_per_session;
        let over =
            self.sessions.get(key).is_some_and(|session| session.parked >= max.saturating_mul(PATIENCE));
        if over {
            let text =
                format!("{PATIENCE} times {max} publishes wait already (limits.max_parked_per_session)");
            return Err(Refusal::new(Reason::Limit, text));
        }
        Ok(())
    }

    /// Lets a publish wait.
    pub(crate) fn park(&mut self, parked: Parked, obstacle: Obstacle, out: &mut Outputs) {
        let bytes = parked.message.held_bytes();
        let key = parked.session;
        let reason = match obstacle {
            Obstacle::Store if self.commits.is_full() => "the store is full".to_owned(),
            Obstacle::Store => "too much is on its way to the store (limits.uncommitted_bytes)".to_owned(),
            Obstacle::Behind => "an earlier publish to the same destination waits".to_owned(),
            Obstacle::Queue(queue) => self
                .queues
                .get(queue)
                .map_or_else(String::new, |queue| format!("{} is full", queue.destination())),
        };
        self.wait_at(parked, obstacle);
        self.counters.parked += 1;
        let limits = &self.config.limits;
        let Some(session) = self.sessions.get_mut(key) else { return };
        session.parked += 1;
        session.parked_bytes += bytes;
        let pause = session.parked >= limits.max_parked_per_session
            || session.parked_bytes >= limits.max_parked_bytes_per_session;
        if session.parked == 1 || (pause && !session.paused) {
            session.paused = pause;
            session.tell_flow(|| reason, out);
        }
    }

    /// Puts a publish where it has to wait: at the store if its queue has gone meanwhile.
    pub(crate) fn wait_at(&mut self, parked: Parked, obstacle: Obstacle) {
        self.flow.note(&parked, obstacle == Obstacle::Behind);
        match obstacle {
            Obstacle::Behind => {
                self.flow.behind.insert(parked.order, parked);
            }
            Obstacle::Queue(at) if let Some(queue) = self.queues.get_mut(at) => {
                stand_in_line(&mut queue.parked, parked);
                self.flow.at_queues.insert(at);
            }
            Obstacle::Queue(_) | Obstacle::Store => stand_in_line(&mut self.flow.at_store, parked),
        }
    }

    /// A publish waits no longer: its session is told.
    fn unparked(&mut self, parked: &Parked, out: &mut Outputs) {
        self.flow.forget(parked);
        self.counters.parked -= 1;
        let limits = &self.config.limits;
        let Some(session) = self.sessions.get_mut(parked.session) else { return };
        session.parked -= 1;
        session.parked_bytes -= parked.message.held_bytes();
        let relieved = session.parked < limits.max_parked_per_session / 2 + 1
            && session.parked_bytes < limits.max_parked_bytes_per_session / 2 + 1;
        if session.parked == 0 || (session.paused && relieved) {
            session.paused = false;
            session.tell_flow(|| "some publishes still wait".to_owned(), out);
        }
    }

    /// Lets go on what has room now. True: something did.
    pub(crate) fn unpark(&mut self, out: &mut Outputs) -> bool {
        let mut moved = false;
        while !self.store_is_busy()
            && let Some(order) = self.flow.released.pop()
        {
            if let Some(parked) = self.flow.behind.remove(&order) {
                moved |= self.retry(parked, out);
            }
        }
        while !self.flow.at_store.is_empty() && !self.store_is_busy() {
            let Some(parked) = self.flow.at_store.pop_front() else { break };
            moved |= self.retry(parked, out);
        }
        if self.flow.at_queues.is_empty() || self.store_is_busy() {
            return moved;
        }
        let queues: Vec<Key<Queue>> = self.flow.at_queues.iter().copied().collect();
        for key in queues {
            while let Some(queue) = self.queues.get_mut(key)
                && let Some(first) = queue.parked.front()
                && !queue.is_full(first.message.size_bytes() as u64)
            {
                let Some(parked) = queue.parked.pop_front() else { break };
                moved |= self.retry(parked, out);
                if self.store_is_busy() {
                    return moved;
                }
            }
            if self.queues.get(key).is_none_or(|queue| queue.parked.is_empty()) {
                self.flow.at_queues.remove(&key);
            }
        }
        moved
    }

    /// Tries a parked publish again. It may have to wait somewhere else.
    fn retry(&mut self, parked: Parked, out: &mut Outputs) -> bool {
        if matches!(self.state, State::Failed(_)) {
            self.conclude(parked, Err(self.state_refusal()), out);
            return false;
        }
        let sequenced = parked.sequenced.as_ref();
        if self.flow.is_behind(parked.session, &parked.destinations, sequenced, parked.order) {
            self.wait_at(parked, Obstacle::Behind);
            return true;
        }
        if let Some(need) = sequenced.and_then(|one| self.repeated(one)) {
            // It was sent again while it waited, over another connection.
            self.counters.duplicates += 1;
            self.watch(parked.session, need);
            self.conclude(parked, Ok(Some(need)), out);
            return true;
        }
        let mut routes = std::mem::take(&mut self.scratch);
        routes.clear();
        let routed = self.resolve(parked.host, &parked.destinations, &parked, &mut routes);
        let result = match routed {
            Err(refusal) => Err(refusal),
            Ok(()) => match self.obstacle(&routes, &parked.message, Coming::Parked(parked.order)) {
                Some(Ok(obstacle @ Obstacle::Queue(_))) => {
                    self.scratch = routes;
                    self.wait_at(parked, obstacle);
                    return true;
                }
                Some(Err(refusal)) => Err(refusal),
                _ => {
                    let Parked { host, session, destinations, message, client_id, .. } = &parked;
                    let sent_by = SentBy { session: Some(*session), client_id: client_id.as_deref() };
                    let need = self.apply(*host, destinations, message, &routes, false, sent_by);
                    if let Some(one) = &parked.sequenced {
                        self.remember(one, need);
                    }
                    Ok(need)
                }
            },
        };
        self.scratch = routes;
        self.conclude(parked, result, out);
        true
    }

    /// Answers a parked publish.
    pub(crate) fn conclude(
        &mut self,
        parked: Parked,
        result: Result<Option<CommitId>, Refusal>,
        out: &mut Outputs,
    ) {
        self.unparked(&parked, out);
        let Some(session) = self.sessions.get_mut(parked.session) else { return };
        let (need, answer) = match result {
            Ok(need) => (need, Answer::Done),
            Err(refusal) => (None, Answer::Refused(Box::new(refusal))),
        };
        let Some(ticket) = parked.ticket else {
            if matches!(answer, Answer::Refused(_)) {
                self.answer(parked.session, parked.token, None, answer, Kind::Publish, out);
            }
            return;
        };
        let need = need.unwrap_or(CommitId(0));
        session.line.unpark(ticket, need, answer);
        if session.noted != self.pending.id {
            session.noted = self.pending.id;
            self.pending.sessions.push(parked.session);
        }
        session.line.flush(session.id, &self.commits, out);
    }

    /// Why nothing can be done any more.
    pub(crate) fn state_refusal(&self) -> Refusal {
        match &self.state {
            State::Failed(text) => {
                Refusal { reason: Reason::Store, text: format!("the store has failed: {text}"), fatal: true }
            }
            _ => Refusal::new(Reason::Stopping, "the broker is stopping"),
        }
    }
}
