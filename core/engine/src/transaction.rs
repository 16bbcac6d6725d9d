// SPDX-License-Identifier: Apache-2.0
//! Transactions: publishes and settles that count together or not at all.
//!
//! Nothing of a transaction is visible before its commit, which is one batch. Settled deliveries give their credit
//! back at once and are held here. Small transactions wait in memory; a large one goes on in a hidden log, from which
//! its commit links into the queues, so that memory stays flat. What a crash leaves there is removed by recovery, unless
//! it was prepared. What is a part of something larger is `branch`'s affair.

use crate::branch::BranchName;
use crate::commit::CommitId;
use crate::dead_letter::Cause;
use crate::delayed::{Body, Facts, SentBy};
use crate::duplicates::Sequenced;
use crate::engine::{Engine, State};
use crate::flow::Coming;
use crate::keys;
use crate::output::{CommitNeed, Outputs};
use crate::publish::{PublishMeta, limit};
use crate::queue::entry::Place;
use crate::queue::{Origin, Queue};
use crate::routing::{Publisher, VirtualHost};
use crate::session::{Kind, Session};
use crate::slab::Key;
use crate::subscription::{Subscription, Unsettled};
use bytes::Bytes;
use sabir_model::store::{LogId, TEMPORARY};
use sabir_model::stored::StoredBody;
use sabir_model::verb::{Answer, Outcome, Reason, Refusal, Transact};
use sabir_model::{Destination, Message};
use std::sync::Arc;

/// A publish of a transaction.
#[derive(Debug)]
pub(crate) enum Item {
    /// In memory: routed by the commit, as the session's that has sent it.
    Held { message: Message, destinations: Arc<[Destination]>, by: Key<Session> },
    /// In the hidden logs: routed when it came or was prepared.
    Spilled(Spilled),
}

/// A publish in the hidden logs.
#[derive(Debug)]
pub(crate) struct Spilled {
    pub facts: Facts,
    /// Where it is in a log that stays, if any of its queues keeps it.
    pub durable: Option<(LogId, u64)>,
    /// Where it is in a temporary log, if any of its queues does not.
    pub temporary: Option<(LogId, u64)>,
    pub routes: Vec<Key<Queue>>,
    /// It is delayed: where it goes then.
    pub delayed: Option<Arc<[Destination]>>,
    /// Its body, if that came in pieces.
    pub body: Option<Arc<StoredBody>>,
    /// The message, where it is still at hand: then it need not be read again.
    pub message: Option<Message>,
}

/// A delivery that is settled if the transaction counts.
#[derive(Debug)]
pub(crate) struct Settled {
    pub unsettled: Unsettled,
    pub outcome: Outcome,
    /// Who had it, if one subscription was named.
    pub from: Option<Key<Subscription>>,
    /// When the message expires, while it is not at hand; 0: never.
    pub expiration_ms: i64,
}

/// A pair of hidden logs.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Hidden {
    pub number: u64,
    pub durable_next: u64,
    pub temporary_next: u64,
}

/// An open transaction.
#[derive(Debug, Default)]
pub(crate) struct Transaction {
    pub items: Vec<Item>,
    /// Places in the counts of their producers, of those items that have one, by the item's index.
    pub sequenced: Vec<(usize, Sequenced)>,
    pub settled: Vec<Settled>,
    /// Bytes published.
    pub bytes: usize,
    /// Its hidden logs, once there are any: the first ones are its own, others those of parts that joined it.
    pub hidden: Vec<Hidden>,
    /// Something of it was refused: the rest must not count alone.
    pub refused: Option<String>,
    /// The branch of which it is a part.
    pub branch: Option<Arc<BranchName>>,
    /// Who is to be told how the branch ends: the token of the question.
    pub awaited: Option<u64>,
}

impl Transaction {
    /// Whether it does nothing but take messages out.
    pub fn only_accepts(&self) -> bool {
        let accepts = |one: &Settled| one.outcome == Outcome::Accept;
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

    pub(crate) fn begin(&mut self, key: Key<Session>, id: u64) -> Result<(), Refusal> {
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

    /// Takes a local transaction out. A part of a branch ends with the whole of it only.
    fn take_transaction(&mut self, key: Key<Session>, id: u64) -> Result<Transaction, Refusal> {
        let session = self.sessions.get_mut(key);
        let transactions = session.map(|session| &mut session.transactions).ok_or_else(|| unknown(id))?;
        if transactions.get(&id).is_some_and(|open| open.branch.is_some()) {
            return Err(Refusal::new(Reason::Invalid, format!("the transaction {id} is a part of a branch")));
        }
        let transaction = transactions.remove(&id).ok_or_else(|| unknown(id))?;
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
        from: Option<Key<Subscription>>,
    ) -> Result<(), Refusal> {
        let found = self.sessions.get_mut(key).and_then(|session| session.transactions.get_mut(&id));
        let transaction = found.ok_or_else(|| unknown(id))?;
        transaction.settled.extend(taken.drain(..).map(|unsettled| Settled {
            unsettled,
            outcome: outcome.clone(),
            from,
            expiration_ms: 0,
        }));
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
        let message = match self.assemble(key, message) {
            Ok(message) => message,
            Err(refusal) => {
                self.refuse_commit(key, id, &refusal);
                let answer = Answer::Refused(Box::new(refusal));
                return self.answer(key, meta.token, None, answer, Kind::Publish, out);
            }
        };
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
        let bytes = transaction.bytes + message.held_bytes();
        if bytes > limits.max_transaction_bytes {
            let max = limits.max_transaction_bytes;
            return Err(limit("bytes in the transaction", "limits.max_transaction_bytes", max));
        }
        let own = transaction.hidden.first().copied();
        let spill = own.is_some() || bytes > limits.transaction_spill_bytes;
        // What lies in the store already takes no memory worth to spill.
        let spill = spill && message.stored_body().is_none();
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
        let mut hidden = own.unwrap_or_default();
        let item = if spill {
            Item::Spilled(self.spill(&mut hidden, &message, routes, destinations))
        } else {
            Item::Held { message, destinations, by: key }
        };
        if let Some(one) = &sequenced {
            self.leave_open(one);
        }
        if let Some(transaction) =
            self.sessions.get_mut(key).and_then(|session| session.transactions.get_mut(&id))
        {
            match transaction.hidden.first_mut() {
                Some(own) => *own = hidden,
                None if spill => transaction.hidden.push(hidden),
                None => {}
            }
            transaction.bytes = bytes;
            transaction.sequenced.extend(sequenced.map(|one| (transaction.items.len(), one)));
            transaction.items.push(item);
        }
        Ok(())
    }

    /// Writes a publish into hidden logs, which get a number with the first one.
    pub(crate) fn spill(
        &mut self,
        hidden: &mut Hidden,
        message: &Message,
        routes: Vec<Key<Queue>>,
        destinations: Arc<[Destination]>,
    ) -> Spilled {
        let facts = Facts::of(message);
        let is_delayed = facts.due_ms > self.now.unix_ms;
        let kept = |key: &Key<Queue>| self.queues.get(*key).is_some_and(|queue| queue.keeps(message));
        let any_kept = routes.iter().any(kept) || (is_delayed && facts.persistent);
        let all_kept = routes.iter().all(kept) && !is_delayed && !routes.is_empty();
        let needs_temporary = !all_kept && (!routes.is_empty() || is_delayed);
        if hidden.number == 0 {
            hidden.number = self.next_transaction_log;
            self.next_transaction_log += 1;
        }
        let log = keys::transaction_log(hidden.number);
        let durable = any_kept.then(|| {
            hidden.durable_next += 1;
            (log, hidden.durable_next - 1)
        });
        let temporary = needs_temporary.then(|| {
            hidden.temporary_next += 1;
            (log | TEMPORARY, hidden.temporary_next - 1)
        });
        for (log, seq) in durable.into_iter().chain(temporary) {
            self.pending.append(log, seq, Bytes::new(), message);
        }
        self.pending.want(CommitNeed::Lazy);
        for queue in &routes {
            *self.promised.entry(*queue).or_default() += 1;
        }
        let delayed = is_delayed.then_some(destinations);
        let body = message.stored_body().cloned();
        Spilled { facts, durable, temporary, routes, delayed, body, message: None }
    }

    /// Makes all of it count.
    fn commit(&mut self, key: Key<Session>, mut transaction: Transaction) -> Result<(), Refusal> {
        let routed = match self.route(&mut transaction) {
            Ok(routed) => routed,
            Err(refusal) => {
                self.roll_back(transaction);
                return Err(refusal);
            }
        };
        let Some(host) = self.sessions.get(key).map(|session| session.virtual_host) else { return Ok(()) };
        let removes = transaction.only_accepts();
        let sent_by = SentBy { session: Some(key), client_id: None };
        self.make_count(host, sent_by, transaction, routed, removes);
        Ok(())
    }

    /// Finds the queues of all publishes. Refused: it can only be rolled back.
    pub(crate) fn route(&mut self, transaction: &mut Transaction) -> Result<Vec<Vec<Key<Queue>>>, Refusal> {
        let routed = match transaction.refused.take() {
            None => self.route_items(transaction).map_err(|refusal| refusal.text),
            Some(refused) => Err(format!("a part of it was refused: {refused}")),
        };
        routed.map_err(|text| {
            Refusal::new(Reason::RolledBack, format!("the transaction was rolled back: {text}"))
        })
    }

    /// Makes all of it count, where it was routed to. `removes`: it does nothing but take messages out.
    pub(crate) fn make_count(
        &mut self,
        host: Key<VirtualHost>,
        sent_by: SentBy<'_>,
        mut transaction: Transaction,
        routed: Vec<Vec<Key<Queue>>>,
        removes: bool,
    ) {
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
            let need = self.commit_item(host, sent_by, item, &routes);
            if let Some(one) = one {
                self.remember(&one, need);
            }
        }
        for Settled { unsettled, outcome, .. } in std::mem::take(&mut transaction.settled) {
            if removes {
                // Removals that depend on nothing else also go together, and free room where there is none.
                self.settle_one(unsettled, &outcome);
            } else {
                self.commit_settle(unsettled, &outcome);
            }
        }
        self.drop_hidden(&transaction);
    }

    /// Finds the queues of all publishes, before anything is done.
    fn route_items(&mut self, transaction: &Transaction) -> Result<Vec<Vec<Key<Queue>>>, Refusal> {
        let mut routed = Vec::with_capacity(transaction.items.len());
        for item in &transaction.items {
            let mut routes = Vec::new();
            if let Item::Held { message, destinations, by } = item
                && let Some(session) = self.sessions.get(*by)
            {
                let host = session.virtual_host;
                let client_id = session.client.client_id.clone();
                let publisher =
                    Publisher { head: message.head(), session: Some(*by), client_id: client_id.as_deref() };
                self.find_routes(host, destinations, &publisher, &mut routes)?;
            }
            routed.push(routes);
        }
        Ok(routed)
    }

    /// Makes a publish count. Answers the batch that must be committed first, if any.
    fn commit_item(
        &mut self,
        host: Key<VirtualHost>,
        sent_by: SentBy<'_>,
        item: Item,
        routes: &[Key<Queue>],
    ) -> Option<CommitId> {
        match item {
            Item::Held { message, destinations, .. } => {
                self.apply(host, &destinations, &message, routes, true, sent_by)
            }
            Item::Spilled(Spilled { facts, durable, temporary, routes, delayed, body: apart, message }) => {
                let apart = apart.as_ref();
                self.counters.published += 1;
                self.keep_promises(&routes);
                if let Some(destinations) = delayed {
                    let body = Body::Stored { durable, temporary, apart };
                    if let Ok(need) = self.delay_body(host, &destinations, &facts, body, sent_by) {
                        return need;
                    }
                    // It was allowed when it was published, and is not any more: early is better than never.
                }
                match message {
                    Some(message) => {
                        let origin = Origin { together: true, ..Origin::default() };
                        let mut body_at = durable;
                        self.admit_linked(&message, &origin, &routes, &mut body_at);
                    }
                    None => {
                        for to in routes {
                            self.link_spilled(to, &facts, durable, temporary, apart);
                        }
                    }
                }
                durable.map(|_| self.pending.id)
            }
        }
    }

    /// A publish comes to nothing.
    fn give_up(&mut self, item: Item) {
        if let Item::Spilled(Spilled { routes, .. }) = item {
            self.keep_promises(&routes);
            routes.into_iter().for_each(|queue| self.collect_queue(queue));
        }
    }

    /// Publishes to these queues wait no longer in a hidden log.
    pub(crate) fn keep_promises(&mut self, routes: &[Key<Queue>]) {
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
        body: Option<&Arc<StoredBody>>,
    ) {
        let Some(queue) = self.queues.get_mut(to) else { return };
        let keeps = queue.traits.durable && facts.persistent;
        let (place, from) = if keeps { (Place::Durable, durable) } else { (Place::Temporary, temporary) };
        let Some(from) = from else { return };
        let at = queue.lane(facts.priority);
        let seq = queue.admit_stored(to, at, facts.size, place, body, &mut self.pending);
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
    pub(crate) fn commit_settle(&mut self, unsettled: Unsettled, outcome: &Outcome) {
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
        settled.sort_unstable_by_key(|one| one.unsettled.tag);
        for Settled { unsettled, expiration_ms, .. } in settled {
            let Unsettled { queue, priority, entry: Some(entry), .. } = unsettled else { continue };
            let expired = expiration_ms != 0 && expiration_ms <= self.now.unix_ms;
            if expired || entry.expired(self.now) {
                self.dead_letter(queue, priority, entry, &Cause::Expired);
            } else {
                let again = Unsettled { entry: Some(entry), queue, priority, tag: unsettled.tag, open: true };
                self.settle_one(again, &Outcome::Release { delay_ms: None });
            }
        }
    }

    /// What its hidden logs hold is not needed any more.
    pub(crate) fn drop_hidden(&mut self, transaction: &Transaction) {
        for hidden in &transaction.hidden {
            let log = keys::transaction_log(hidden.number);
            if hidden.durable_next > 0 {
                self.pending.forget(log);
            }
            if hidden.temporary_next > 0 {
                self.pending.forget(log | TEMPORARY);
            }
            self.pending.want(CommitNeed::Lazy);
        }
    }

    /// Rolls back all transactions of a session.
    pub(crate) fn roll_back_all(&mut self, key: Key<Session>) {
        let Some(session) = self.sessions.get_mut(key) else { return };
        let transactions = std::mem::take(&mut session.transactions);
        self.transactions -= transactions.len();
        for (id, transaction) in transactions {
            if let Some(transaction) = self.leave_branch(key, id, transaction) {
                self.roll_back(transaction);
            }
        }
    }
}

fn unknown(id: u64) -> Refusal {
    Refusal::new(Reason::NotFound, format!("there is no open transaction {id}"))
}
