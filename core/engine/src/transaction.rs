// SPDX-License-Identifier: Apache-2.0
//! Local transactions: publishes and settles that count together or not at all.
//!
//! Nothing of a transaction is visible before its commit, which is one batch. Settled deliveries give their credit
//! back at once and are held here. Small transactions wait in memory; a large one goes on in a hidden log, from which
//! its commit links into the queues, so that memory stays flat. What a crash leaves there is removed by recovery.

use crate::commit::CommitId;
use crate::dead_letter::Cause;
use crate::delayed::{Body, Facts, SentBy};
use crate::duplicates::Sequenced;
use crate::engine::{Engine, State};
use crate::flow::Coming;
use crate::keys;
use crate::output::{CommitNeed, Outputs};
use crate::publish::{PublishMeta, limit};
use crate::queue::Queue;
use crate::queue::entry::Place;
use crate::routing::Publisher;
use crate::session::{Kind, Session};
use crate::slab::Key;
use crate::subscription::Unsettled;
use bytes::Bytes;
use sabir_model::store::TEMPORARY;
use sabir_model::verb::{Answer, Outcome, Reason, Refusal, Transact};
use sabir_model::{Destination, Message};
use std::sync::Arc;

/// A publish of a transaction.
#[derive(Debug)]
enum Item {
    /// In memory: routed by the commit.
    Held { message: Message, destinations: Arc<[Destination]> },
    /// In the hidden logs: routed when it came, because its message is no longer here.
    Spilled {
        facts: Facts,
        /// Its number in the log that stays, if any of its queues keeps it.
        durable: Option<u64>,
        /// Its number in the temporary log, if any of its queues does not.
        temporary: Option<u64>,
        routes: Vec<Key<Queue>>,
        /// It is delayed: where it goes then.
        delayed: Option<Arc<[Destination]>>,
    },
}

/// An open transaction.
#[derive(Debug, Default)]
pub(crate) struct Transaction {
    items: Vec<Item>,
    /// Places in the counts of their producers, of those items that have one, by the item's index.
    sequenced: Vec<(usize, Sequenced)>,
    settled: Vec<(Unsettled, Outcome)>,
    /// Bytes published.
    bytes: usize,
    /// Number of its hidden logs, once there are any.
    log: Option<u64>,
    durable_next: u64,
    temporary_next: u64,
    /// Something of it was refused: the rest must not count alone.
    refused: Option<String>,
}

impl Transaction {
    /// Whether it does nothing but take messages out.
    fn only_accepts(&self) -> bool {
        let accepts = |(_, outcome): &(Unsettled, Outcome)| *outcome == Outcome::Accept;
        self.items.is_empty() && self.refused.is_none() && self.settled.iter().all(accepts)
    }
}

impl Engine {
    /// Whether this transaction does nothing but take messages out.
    pub(crate) fn only_accepts(&self, key: Key<Session>, id: u64) -> bool {
        let found = self.sessions.get(key).and_then(|session| session.transactions.get(&id));
        found.is_some_and(Transaction::only_accepts)
    }

    /// Begins, commits or rolls back.
    pub(crate) fn transact(&mut self, key: Key<Session>, id: u64, what: Transact) -> Result<(), Refusal> {
        match what {
            Transact::Begin => self.begin(key, id),
            Transact::Commit => {
                let transaction = self.take_transaction(key, id)?;
                if self.state == State::Stopped {
                    self.roll_back(transaction);
                    return Err(Refusal::new(Reason::RolledBack, "the broker is stopping"));
                }
                self.commit(key, transaction)
            }
            Transact::Rollback => {
                let transaction = self.take_transaction(key, id)?;
                self.roll_back(transaction);
                Ok(())
            }
        }
    }

    fn begin(&mut self, key: Key<Session>, id: u64) -> Result<(), Refusal> {
        let limits = &self.config.limits;
        let Some(session) = self.sessions.get_mut(key) else { return Ok(()) };
        if id == 0 || session.transactions.contains_key(&id) {
            return Err(Refusal::new(Reason::Conflict, format!("the transaction {id} is open already")));
        }
        if session.transactions.len() >= limits.max_transactions_per_session {
            let max = limits.max_transactions_per_session;
            return Err(limit("open transactions", "limits.max_transactions_per_session", max));
        }
        if self.transactions >= limits.max_transactions {
            return Err(limit("open transactions", "limits.max_transactions", limits.max_transactions));
        }
        session.transactions.insert(id, Transaction::default());
        self.transactions += 1;
        Ok(())
    }

    fn take_transaction(&mut self, key: Key<Session>, id: u64) -> Result<Transaction, Refusal> {
        let found = self.sessions.get_mut(key).and_then(|session| session.transactions.remove(&id));
        let transaction = found.ok_or_else(|| unknown(id))?;
        self.transactions -= 1;
        Ok(transaction)
    }

    /// Refuses when there is no such transaction, or it has become too large.
    pub(crate) fn check_transaction(&self, key: Key<Session>, id: u64) -> Result<(), Refusal> {
        let found = self.sessions.get(key).and_then(|session| session.transactions.get(&id));
        let transaction = found.ok_or_else(|| unknown(id))?;
        let max = self.config.limits.max_transaction_items;
        if transaction.items.len() + transaction.settled.len() >= max {
            return Err(limit(
                "publishes and settles in the transaction",
                "limits.max_transaction_items",
                max,
            ));
        }
        Ok(())
    }

    /// Deliveries are settled if the transaction commits.
    pub(crate) fn settle_later(
        &mut self,
        key: Key<Session>,
        id: u64,
        taken: &mut Vec<Unsettled>,
        outcome: &Outcome,
    ) -> Result<(), Refusal> {
        let found = self.sessions.get_mut(key).and_then(|session| session.transactions.get_mut(&id));
        let transaction = found.ok_or_else(|| unknown(id))?;
        transaction.settled.extend(taken.drain(..).map(|one| (one, outcome.clone())));
        Ok(())
    }

    /// A message is published if the transaction commits.
    pub(crate) fn publish_later(
        &mut self,
        key: Key<Session>,
        meta: PublishMeta,
        id: u64,
        message: Message,
        out: &mut Outputs,
    ) {
        let sequenced = self.sequenced(key, meta.producer, &message);
        if let Some(need) = sequenced.as_ref().and_then(|one| self.repeated(one)) {
            return self.confirm_repeated(key, meta, need, out);
        }
        match self.try_publish_later(key, meta, id, message, sequenced) {
            Ok(()) if meta.confirm => self.answer(key, meta.token, None, Answer::Done, Kind::Publish, out),
            Ok(()) => {}
            Err(refusal) => {
                self.refuse_commit(key, id, &refusal);
                self.answer(key, meta.token, None, Answer::Refused(Box::new(refusal)), Kind::Publish, out);
            }
        }
    }

    /// A part of a transaction was refused, which its session may hear only after it has sent the commit: that can
    /// only roll back.
    pub(crate) fn refuse_commit(&mut self, key: Key<Session>, id: u64, refusal: &Refusal) {
        let found = self.sessions.get_mut(key).and_then(|session| session.transactions.get_mut(&id));
        if let Some(transaction) = found {
            transaction.refused.get_or_insert_with(|| refusal.text.clone());
        }
    }

    fn try_publish_later(
        &mut self,
        key: Key<Session>,
        meta: PublishMeta,
        id: u64,
        message: Message,
        sequenced: Option<Sequenced>,
    ) -> Result<(), Refusal> {
        if self.state != State::Running {
            return Err(self.state_refusal());
        }
        self.check_transaction(key, id)?;
        let limits = &self.config.limits;
        let Some(session) = self.sessions.get_mut(key) else { return Ok(()) };
        let host = session.virtual_host;
        let client_id = session.client.client_id.clone();
        let Some(targets) = session.producers.get(&meta.producer) else {
            return Err(Refusal::new(Reason::NotFound, format!("there is no producer {}", meta.producer)));
        };
        let destinations = targets.destinations.clone();
        let Some(transaction) = session.transactions.get_mut(&id) else { return Err(unknown(id)) };
        let bytes = transaction.bytes + message.size_bytes();
        if bytes > limits.max_transaction_bytes {
            let max = limits.max_transaction_bytes;
            return Err(limit("bytes in the transaction", "limits.max_transaction_bytes", max));
        }
        let spill = transaction.log.is_some() || bytes > limits.transaction_spill_bytes;
        self.check_store_bytes(bytes)?;
        // Routed now to refuse now what cannot be routed; and again by the commit where it can.
        let mut routes = Vec::new();
        let publisher =
            Publisher { head: message.head(), session: Some(key), client_id: client_id.as_deref() };
        self.find_routes(host, &destinations, &publisher, &mut routes)?;
        if let Some(Err(refusal)) = self.obstacle(&routes, &message, Coming::Together) {
            return Err(refusal);
        }
        let due_ms = message.head().deliver_at_ms();
        self.check_delay(due_ms)?;
        let item = if spill {
            self.spill(key, id, &message, routes, destinations)
        } else {
            Item::Held { message, destinations }
        };
        if let Some(one) = &sequenced {
            self.leave_open(one);
        }
        if let Some(transaction) =
            self.sessions.get_mut(key).and_then(|session| session.transactions.get_mut(&id))
        {
            transaction.bytes = bytes;
            transaction.sequenced.extend(sequenced.map(|one| (transaction.items.len(), one)));
            transaction.items.push(item);
        }
        Ok(())
    }

    /// Writes a publish into the hidden logs of its transaction.
    fn spill(
        &mut self,
        key: Key<Session>,
        id: u64,
        message: &Message,
        routes: Vec<Key<Queue>>,
        destinations: Arc<[Destination]>,
    ) -> Item {
        let facts = Facts::of(message);
        let is_delayed = facts.due_ms > self.now.unix_ms;
        let kept = |key: &Key<Queue>| self.queues.get(*key).is_some_and(|queue| queue.keeps(message));
        let any_kept = routes.iter().any(kept) || (is_delayed && facts.persistent);
        let all_kept = routes.iter().all(kept) && !is_delayed && !routes.is_empty();
        let needs_temporary = !all_kept && (!routes.is_empty() || is_delayed);
        let fresh = self.next_transaction_log;
        let Some(transaction) =
            self.sessions.get_mut(key).and_then(|session| session.transactions.get_mut(&id))
        else {
            return Item::Held { message: message.clone(), destinations };
        };
        let number = *transaction.log.get_or_insert(fresh);
        if number == fresh {
            self.next_transaction_log += 1;
        }
        let log = keys::transaction_log(number);
        let durable = any_kept.then(|| {
            transaction.durable_next += 1;
            transaction.durable_next - 1
        });
        let temporary = needs_temporary.then(|| {
            transaction.temporary_next += 1;
            transaction.temporary_next - 1
        });
        if let Some(seq) = durable {
            self.pending.append(log, seq, Bytes::new(), message);
        }
        if let Some(seq) = temporary {
            self.pending.append(log | TEMPORARY, seq, Bytes::new(), message);
        }
        self.pending.want(CommitNeed::Lazy);
        for queue in &routes {
            *self.promised.entry(*queue).or_default() += 1;
        }
        Item::Spilled { facts, durable, temporary, routes, delayed: is_delayed.then_some(destinations) }
    }

    /// Makes all of it count.
    fn commit(&mut self, key: Key<Session>, mut transaction: Transaction) -> Result<(), Refusal> {
        let removes = transaction.only_accepts();
        let routed = match transaction.refused.take() {
            None => self.route_items(key, &transaction).map_err(|refusal| refusal.text),
            Some(refused) => Err(format!("a part of it was refused: {refused}")),
        };
        let routed = match routed {
            Ok(routed) => routed,
            Err(text) => {
                self.roll_back(transaction);
                let text = format!("the transaction was rolled back: {text}");
                return Err(Refusal::new(Reason::RolledBack, text));
            }
        };
        let log = transaction.log;
        let items = std::mem::take(&mut transaction.items);
        let mut sequenced = std::mem::take(&mut transaction.sequenced).into_iter().peekable();
        for (at, (item, routes)) in items.into_iter().zip(routed).enumerate() {
            let one = sequenced.next_if(|(of, _)| *of == at).map(|(_, one)| one);
            if one.as_ref().is_some_and(|one| self.repeated(one).is_some()) {
                // The same transaction was committed over another connection meanwhile.
                self.counters.duplicates += 1;
                self.give_up(item);
                continue;
            }
            let need = self.commit_item(key, log, item, &routes);
            if let Some(one) = one {
                self.remember(&one, need);
            }
        }
        for (unsettled, outcome) in std::mem::take(&mut transaction.settled) {
            if removes {
                // Removals that depend on nothing else also go together, and free room where there is none.
                self.settle_one(unsettled, &outcome);
            } else {
                self.commit_settle(unsettled, &outcome);
            }
        }
        self.drop_hidden(&transaction);
        Ok(())
    }

    /// Finds the queues of all publishes, before anything is done.
    fn route_items(
        &mut self,
        key: Key<Session>,
        transaction: &Transaction,
    ) -> Result<Vec<Vec<Key<Queue>>>, Refusal> {
        let Some(session) = self.sessions.get(key) else { return Ok(Vec::new()) };
        let host = session.virtual_host;
        let client_id = session.client.client_id.clone();
        let mut routed = Vec::with_capacity(transaction.items.len());
        for item in &transaction.items {
            let mut routes = Vec::new();
            if let Item::Held { message, destinations } = item {
                let publisher =
                    Publisher { head: message.head(), session: Some(key), client_id: client_id.as_deref() };
                self.find_routes(host, destinations, &publisher, &mut routes)?;
            }
            routed.push(routes);
        }
        Ok(routed)
    }

    /// Makes a publish count. Answers the batch that must be committed first, if any.
    fn commit_item(
        &mut self,
        key: Key<Session>,
        log: Option<u64>,
        item: Item,
        routes: &[Key<Queue>],
    ) -> Option<CommitId> {
        let host = self.sessions.get(key).map(|session| session.virtual_host)?;
        let sent_by = SentBy { session: key, client_id: None };
        match item {
            Item::Held { message, destinations } => {
                self.apply(host, &destinations, &message, routes, true, sent_by)
            }
            Item::Spilled { facts, durable, temporary, routes, delayed } => {
                let log = log.map(keys::transaction_log)?;
                self.counters.published += 1;
                self.keep_promises(&routes);
                let durable = durable.map(|seq| (log, seq));
                let temporary = temporary.map(|seq| (log | TEMPORARY, seq));
                if let Some(destinations) = delayed {
                    let body = Body::Stored { durable, temporary };
                    if let Ok(need) = self.delay_body(host, &destinations, &facts, body, sent_by) {
                        return need;
                    }
                    // It was allowed when it was published, and is not any more: early is better than never.
                }
                for to in routes {
                    self.link_spilled(to, &facts, durable, temporary);
                }
                durable.map(|_| self.pending.id)
            }
        }
    }

    /// A publish comes to nothing.
    fn give_up(&mut self, item: Item) {
        if let Item::Spilled { routes, .. } = item {
            self.keep_promises(&routes);
            routes.into_iter().for_each(|queue| self.collect_queue(queue));
        }
    }

    /// Publishes to these queues wait no longer in a hidden log.
    fn keep_promises(&mut self, routes: &[Key<Queue>]) {
        for queue in routes {
            if let Some(count) = self.promised.get_mut(queue) {
                *count -= 1;
                if *count == 0 {
                    self.promised.remove(queue);
                }
            }
        }
    }

    fn link_spilled(
        &mut self,
        to: Key<Queue>,
        facts: &Facts,
        durable: Option<(u64, u64)>,
        temporary: Option<(u64, u64)>,
    ) {
        let Some(queue) = self.queues.get_mut(to) else { return };
        let keeps = queue.traits.durable && facts.persistent;
        let (place, from) = if keeps { (Place::Durable, durable) } else { (Place::Temporary, temporary) };
        let Some(from) = from else { return };
        let at = queue.lane(facts.priority);
        let seq = queue.admit_stored(to, at, facts.size, place, &mut self.pending);
        let lane = &mut queue.lanes[at];
        if facts.expiration_ms != 0 {
            self.expiring = true;
            lane.earliest_expiry_ms = lane.earliest_expiry_ms.min(facts.expiration_ms);
        }
        self.pending.link(lane.log_of(place), seq, from, Bytes::new());
        self.pending.want(CommitNeed::Now);
        self.schedule(to);
    }

    /// As `settle_one`, but what is removed is removed together with the rest of the transaction.
    fn commit_settle(&mut self, unsettled: Unsettled, outcome: &Outcome) {
        if *outcome != Outcome::Accept {
            return self.settle_one(unsettled, outcome);
        }
        let Unsettled { queue: key, priority, entry: Some(entry), .. } = unsettled else { return };
        let Some(queue) = self.queues.get_mut(key) else { return };
        self.counters.accepted += 1;
        queue.finish_now(priority, &entry, &mut self.pending, &mut self.memory);
        if queue.messages == 0 {
            self.collect_queue(key);
        } else if queue.must_look_again() {
            self.schedule(key);
        }
    }

    /// Makes none of it count: what was consumed comes back, unless its time is over.
    pub(crate) fn roll_back(&mut self, mut transaction: Transaction) {
        self.drop_hidden(&transaction);
        for item in std::mem::take(&mut transaction.items) {
            self.give_up(item);
        }
        let mut settled = std::mem::take(&mut transaction.settled);
        settled.sort_unstable_by_key(|(unsettled, _)| unsettled.tag);
        for (unsettled, _) in settled {
            let Unsettled { queue, priority, entry: Some(entry), .. } = unsettled else { continue };
            if entry.expired(self.now) {
                self.dead_letter(queue, priority, entry, &Cause::Expired);
            } else {
                let again = Unsettled { entry: Some(entry), queue, priority, tag: unsettled.tag, open: true };
                self.settle_one(again, &Outcome::Release { delay_ms: None });
            }
        }
    }

    fn drop_hidden(&mut self, transaction: &Transaction) {
        let Some(log) = transaction.log.map(keys::transaction_log) else { return };
        if transaction.durable_next > 0 {
            self.pending.forget(log);
        }
        if transaction.temporary_next > 0 {
            self.pending.forget(log | TEMPORARY);
        }
        self.pending.want(CommitNeed::Lazy);
    }

    /// Rolls back all transactions of a session.
    pub(crate) fn roll_back_all(&mut self, key: Key<Session>) {
        let Some(session) = self.sessions.get_mut(key) else { return };
        let transactions = std::mem::take(&mut session.transactions);
        self.transactions -= transactions.len();
        for transaction in transactions.into_values() {
            self.roll_back(transaction);
        }
    }
}

fn unknown(id: u64) -> Refusal {
    Refusal::new(Reason::NotFound, format!("there is no open transaction {id}"))
}
