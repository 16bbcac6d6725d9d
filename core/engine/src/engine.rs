// SPDX-License-Identifier: Apache-2.0
//! The state machine: one input in, outputs out.

use crate::bodies::Bodies;
use crate::branch::Branches;
use crate::client_ids::ClientIds;
use crate::commit::{CommitId, Commits, Pending};
use crate::config::Config;
use crate::delayed::Delayed;
use crate::drain::{CreditMeta, Drain};
use crate::duplicates::Duplicates;
use crate::events::Change;
use crate::flow::{Flow, Parked};
use crate::input::{Admin, Client, Input};
use crate::output::{CommitNeed, Outputs, ReadId};
use crate::publish::PublishMeta;
use crate::query::Stats;
use crate::queue::brake::Brake;
use crate::queue::paging::merge;
use crate::queue::{Memory, Queue};
use crate::reads::{Purpose, Reads};
use crate::routing::Routing;
use crate::session::{Kind, Session};
use crate::settle::SettleMeta;
use crate::slab::{Key, Slab};
use crate::subscription::{Subscription, Unsettled};
use sabir_model::store::{Batch, Record};
use sabir_model::verb::{Answer, Reason, Refusal, Request, SessionId, Told, Transact, Verb};
use sabir_model::{BranchAct, Now};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

/// Queues that are looked at each time when memory is short.
const EVICTIONS_PER_CALL: usize = 64;
/// What a queue keeps in memory when memory is short, in bytes of each lane.
const KEPT_WHEN_SHORT_BYTES: usize = 64 << 10;

/// What the engine is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Running,
    /// No more publishes.
    Draining,
    /// No more deliveries either.
    Stopped,
    /// The store has failed: nothing more is confirmed.
    Failed(String),
}

/// Routing, queues, transactions: everything the broker knows, and nothing of the world.
#[derive(Debug)]
pub struct Engine {
    pub(crate) config: Arc<Config>,
    pub(crate) now: Now,
    pub(crate) state: State,
    pub(crate) sessions: Slab<Session>,
    pub(crate) by_session: BTreeMap<SessionId, Key<Session>>,
    pub(crate) subscriptions: Slab<Subscription>,
    pub(crate) queues: Slab<Queue>,
    /// Queues by number.
    pub(crate) numbers: BTreeMap<u64, Key<Queue>>,
    pub(crate) routing: Routing,
    pub(crate) pending: Pending,
    pub(crate) commits: Commits,
    pub(crate) memory: Memory,
    pub(crate) reads: Reads,
    pub(crate) delayed: Delayed,
    pub(crate) bodies: Bodies,
    pub(crate) flow: Flow,
    pub(crate) duplicates: Duplicates,
    pub(crate) client_ids: ClientIds,
    /// Consumers that wait for the end of what is there.
    pub(crate) drains: Vec<Drain>,
    /// Producers that are held for a moment.
    pub(crate) brakes: Vec<Brake>,
    /// Queues with groups that wait, and until when.
    pub(crate) paused: BTreeSet<(u64, Key<Queue>)>,
    /// Queues for which dispatch is due.
    pub(crate) scheduled: VecDeque<Key<Queue>>,
    /// Browsers that have no queue any more.
    pub(crate) idle_browsers: Vec<Key<Subscription>>,
    /// Consumers whose queues have gone, to be told.
    pub(crate) cancelled: Vec<(Key<Subscription>, String)>,
    /// Publishes that waited at queues that have gone.
    pub(crate) orphans: Vec<Parked>,
    /// What the store can hold in all.
    pub(crate) store_bytes: u64,
    /// Open transactions.
    pub(crate) transactions: usize,
    /// Queues to which publishes in hidden logs of open transactions were routed, and how many: they stay.
    pub(crate) promised: BTreeMap<Key<Queue>, usize>,
    pub(crate) branches: Branches,
    pub(crate) next_transaction_log: u64,
    pub(crate) number_next: u64,
    /// Numbers below are reserved.
    pub(crate) number_reserved: u64,
    pub(crate) next_sweep_ms: u64,
    pub(crate) counters: Stats,
    /// How many events there were: their ids.
    pub(crate) events_told: u64,
    /// When this engine began, in milliseconds since 1970: what was before knows other sessions.
    pub(crate) started_unix_ms: i64,
    /// Whether any lane may hold something that expires: only then there are sweeps.
    pub(crate) expiring: bool,
    /// Where the search for memory to give back goes on.
    evict_at: usize,
    /// Memory that is used again: routes of a publish, deliveries of a settle.
    pub(crate) scratch: Vec<Key<Queue>>,
    pub(crate) taken: Vec<Unsettled>,
}

impl Engine {
    /// An engine that knows nothing but its configuration.
    pub(crate) fn empty(config: Config, now: Now) -> Engine {
        let mut routing = Routing::default();
        routing.add_host(&config.default_virtual_host);
        for host in &config.virtual_hosts {
            routing.add_host(host);
        }
        let limit = config.limits.memory_bytes;
        let sweep = config.limits.sweep_interval_ms;
        Engine {
            config: Arc::new(config),
            now,
            state: State::Running,
            sessions: Slab::default(),
            by_session: BTreeMap::new(),
            subscriptions: Slab::default(),
            queues: Slab::default(),
            numbers: BTreeMap::new(),
            routing,
            pending: Pending::first(),
            commits: Commits::default(),
            memory: Memory { resident: 0, limit },
            reads: Reads::default(),
            delayed: Delayed::default(),
            bodies: Bodies::default(),
            flow: Flow::default(),
            duplicates: Duplicates::default(),
            client_ids: ClientIds::default(),
            drains: Vec::new(),
            brakes: Vec::new(),
            paused: BTreeSet::new(),
            scheduled: VecDeque::new(),
            idle_browsers: Vec::new(),
            cancelled: Vec::new(),
            orphans: Vec::new(),
            store_bytes: u64::MAX,
            transactions: 0,
            promised: BTreeMap::new(),
            branches: Branches::default(),
            next_transaction_log: 1,
            number_next: 1,
            number_reserved: 1,
            next_sweep_ms: now.monotonic_ms.saturating_add(sweep),
            counters: Stats::default(),
            events_told: 0,
            started_unix_ms: now.unix_ms,
            expiring: false,
            evict_at: 0,
            scratch: Vec::new(),
            taken: Vec::new(),
        }
    }

    /// Says how many bytes the store can hold in all: used ones and free ones. What could never find room there is
    /// refused instead of waiting for it. Until this is called nothing is known, and nothing refused.
    pub fn set_store_bytes(&mut self, bytes: u64) {
        self.store_bytes = bytes;
    }

    /// Takes one input. `out` may hold earlier outputs: new ones are put behind them.
    pub fn handle(&mut self, now: Now, input: Input<'_>, out: &mut Outputs) {
        self.now = now;
        match input {
            Input::Open { session, client } => self.open(session, client, out),
            Input::Close { session } => self.close(session),
            Input::Requests { session, requests } => match self.by_session.get(&session).copied() {
                Some(key) => self.requests(key, requests, out),
                None => requests.clear(),
            },
            Input::Committed { commit } => self.committed(commit, out),
            Input::StoreFull { commit, batch } => self.store_full(commit, batch),
            Input::StoreRoom => self.commits.release(),
            Input::StoreFailed { text } => self.store_failed(text, out),
            Input::Records { read, records, error } => self.records(read, records, error, out),
            Input::Tick => {}
            Input::Admin(admin) => self.administer(admin, out),
        }
        self.come_to_rest(out);
    }

    /// Closes the pending batch and gives it, if there is anything in it. `into` is overwritten; the memory that it
    /// had is used for the next batch.
    pub fn take_batch(&mut self, into: &mut Batch) -> Option<CommitId> {
        if matches!(self.state, State::Failed(_)) || self.pending.is_empty() {
            return None;
        }
        if self.commits.is_full() {
            return self.take_removals(into);
        }
        let mut marked = std::mem::take(&mut self.pending.marked);
        for (key, priority) in &marked {
            if let Some(queue) = self.queues.get_mut(*key)
                && let Some(at) = queue.find_lane(*priority)
            {
                queue.lanes[at].write_mark(&mut self.pending);
            }
        }
        marked.clear();
        self.pending.marked = marked;
        self.duplicates.write(&mut self.pending);
        for log in self.bodies.take(false, &self.commits) {
            self.pending.forget(log);
        }
        let plain_from = self.pending.begin_plain();
        let mut shrunk = std::mem::take(&mut self.pending.shrunk);
        for (key, priority) in shrunk.drain(..) {
            if let Some(queue) = self.queues.get_mut(key)
                && let Some(at) = queue.find_lane(priority)
            {
                queue.lanes[at].write_removals(&mut self.pending);
            }
        }
        self.pending.shrunk = shrunk;
        for log in self.bodies.take(true, &self.commits) {
            self.pending.forget(log);
        }
        if self.pending.is_void() {
            return None;
        }
        let mut grown = Vec::with_capacity(self.pending.grown.len());
        for (key, priority) in self.pending.grown.drain(..) {
            if let Some(queue) = self.queues.get(key)
                && let Some(at) = queue.find_lane(priority)
            {
                grown.push((key, priority, queue.lanes[at].next_seq));
            }
        }
        Some(self.commits.close(&mut self.pending, plain_from, grown, into))
    }

    /// The store has no room: only what frees some can go, and must not take anything along that comes behind a
    /// batch which was refused.
    fn take_removals(&mut self, into: &mut Batch) -> Option<CommitId> {
        let mut shrunk = std::mem::take(&mut self.pending.shrunk);
        let queues = &mut self.queues;
        let forgotten = self.bodies.take(true, &self.commits);
        let id = self.commits.close_plain(
            &mut self.pending,
            |pending| {
                for (key, priority) in shrunk.drain(..) {
                    if let Some(queue) = queues.get_mut(key)
                        && let Some(at) = queue.find_lane(priority)
                    {
                        queue.lanes[at].write_removals(pending);
                    }
                }
                forgotten.into_iter().for_each(|log| pending.forget(log));
            },
            into,
        )?;
        let later = self.pending.id;
        if self.pending.has_ordered() {
            self.delayed.put_off(id, later);
            self.duplicates.put_off(id, later);
            self.bodies.put_off(id, later);
            for key in self.commits.last_sessions() {
                let Some(session) = self.sessions.get_mut(key) else { continue };
                if session.line.put_off(id, later) {
                    session.noted = later;
                    self.pending.sessions.push(key);
                }
            }
        }
        Some(id)
    }

    fn open(&mut self, session: SessionId, client: Client, out: &mut Outputs) {
        let name = if client.virtual_host.is_empty() {
            &self.config.default_virtual_host
        } else {
            &client.virtual_host
        };
        let refusal = match self.routing.by_name.get(name.as_str()).copied() {
            None => Refusal::new(Reason::NotFound, format!("there is no virtual host {name:?}")),
            Some(_) if matches!(self.state, State::Stopped | State::Failed(_)) => self.state_refusal(),
            Some(host) => match self.claim_client_id(host, &client, out) {
                Err(refusal) => refusal,
                Ok(()) => {
                    let key = self.sessions.insert(Session::new(session, client, host));
                    self.by_session.insert(session, key);
                    self.note_client_id(key);
                    self.tell_connection(key, Change::Added);
                    return;
                }
            },
        };
        out.closes.push((session, Refusal { fatal: true, ..refusal }));
    }

    /// A session ends: what it had comes back, what was its own goes.
    pub(crate) fn close(&mut self, session: SessionId) {
        let Some(key) = self.by_session.remove(&session) else { return };
        self.roll_back_all(key);
        self.drop_upload(key);
        let Some(found) = self.sessions.get_mut(key) else { return };
        let crashed = !found.orderly;
        let subscriptions = std::mem::take(&mut found.subscriptions);
        for consumer in subscriptions.into_values() {
            self.end_subscription(consumer, crashed, false);
        }
        self.end_producers(key);
        let Some(found) = self.sessions.get_mut(key) else { return };
        let host = found.virtual_host;
        let queues = std::mem::take(&mut found.owned_queues);
        let topics = std::mem::take(&mut found.owned_topics);
        for queue in queues {
            self.remove_queue(queue);
        }
        for topic in topics {
            self.remove_temporary_topic(host, key, &topic);
        }
        self.tell_connection(key, Change::Removed);
        self.free_client_id(key);
        self.sessions.remove(key);
    }

    fn end_producers(&mut self, key: Key<Session>) {
        let Some(session) = self.sessions.get_mut(key) else { return };
        for (id, targets) in std::mem::take(&mut session.producers) {
            self.tell_producer(key, id, &targets.destinations, Change::Removed);
        }
    }

    fn requests(&mut self, key: Key<Session>, requests: &mut Vec<Request>, out: &mut Outputs) {
        if self.sessions.get(key).is_some_and(|session| session.upload.is_some()) {
            self.check_upload(key, requests.first());
        }
        for request in requests.drain(..) {
            self.request(key, request, out);
        }
    }

    fn request(&mut self, key: Key<Session>, request: Request, out: &mut Outputs) {
        let Request { token, confirm, id, transaction, verb } = request;
        match verb {
            Verb::Publish(message) => {
                let meta = PublishMeta { token, confirm, producer: id };
                if transaction == 0 {
                    self.publish(key, meta, message, out);
                } else {
                    self.publish_later(key, meta, transaction, message, out);
                }
            }
            Verb::Piece { bytes, first } => self.piece(key, bytes, first),
            Verb::Settle(settle) => {
                let meta = SettleMeta { token, confirm, subscription: id, transaction };
                self.settle(key, meta, settle, out);
            }
            Verb::Credit { amount, set, drain: true } => {
                self.drain(key, CreditMeta { token, confirm, subscription: id, amount, set }, out);
            }
            Verb::Branch(step) if step.act == BranchAct::Await => {
                self.await_branch(key, token, transaction, out);
            }
            rare => self.rare(key, token, confirm, id, transaction, rare, out),
        }
    }

    #[allow(clippy::too_many_arguments, reason = "the parts of one request, taken apart by the caller")]
    fn rare(
        &mut self,
        key: Key<Session>,
        token: u64,
        confirm: bool,
        id: u64,
        transaction: u64,
        verb: Verb,
        out: &mut Outputs,
    ) {
        let before = self.pending.changes();
        // A full store does not hold back whoever only makes room, in a transaction or not.
        let removes = match &verb {
            Verb::Transact(Transact::Commit) => self.only_accepts(key, transaction),
            Verb::Branch(step) if step.act == BranchAct::CommitOnePhase => {
                self.branch_only_accepts(key, &step.branch)
            }
            _ => false,
        };
        let failed = matches!(self.state, State::Failed(_));
        let result =
            if failed { Err(self.state_refusal()) } else { self.perform(key, id, transaction, verb) };
        self.tell_cancelled(out);
        let (need, answer) = match result {
            Ok(told) => {
                // Nothing that must survive is confirmed before it is durable.
                let removed = removes && !self.pending.shrunk.is_empty();
                let need = (removed || self.pending.changes() > before).then_some(self.pending.id);
                (need, told.map_or(Answer::Done, |told| Answer::Told(Box::new(told))))
            }
            Err(refusal) => (None, Answer::Refused(Box::new(refusal))),
        };
        if confirm || matches!(answer, Answer::Refused(_)) {
            if need.is_some() {
                self.pending.want_durable();
            }
            let kind = if removes { Kind::Removal } else { Kind::Other };
            self.answer(key, token, need, answer, kind, out);
        }
    }

    /// Does what a rare verb asks.
    fn perform(
        &mut self,
        key: Key<Session>,
        id: u64,
        transaction: u64,
        verb: Verb,
    ) -> Result<Option<Told>, Refusal> {
        match verb {
            Verb::Connect(_) => {
                return Err(Refusal::new(Reason::Invalid, "the session has logged in already"));
            }
            Verb::Disconnect => {
                if let Some(session) = self.sessions.get_mut(key) {
                    session.orderly = true;
                }
            }
            Verb::Attach(attach) => self.attach(key, id, *attach)?,
            Verb::Detach => {
                let gone = self.sessions.get_mut(key).and_then(|session| session.remove_producer(id));
                if let Some(targets) = gone {
                    self.tell_producer(key, id, &targets.destinations, Change::Removed);
                }
            }
            Verb::Declare(declare) => return self.declare(key, *declare),
            Verb::Delete(delete) => self.delete(key, *delete)?,
            Verb::Bind(bind) => self.bind(key, *bind)?,
            Verb::Unbind(bind) => self.unbind(key, *bind)?,
            Verb::Subscribe(subscribe) => self.subscribe(key, id, *subscribe)?,
            Verb::Unsubscribe { forget } => self.unsubscribe(key, id, forget)?,
            Verb::Query(query) => return self.query(key, &query).map(Some),
            Verb::Transact(what) => self.transact(key, transaction, what)?,
            Verb::Branch(step) => return self.branch_step(key, transaction, &step),
            Verb::Credit { amount, set, .. } => self.credit(key, id, amount, set)?,
            Verb::Publish(_) | Verb::Piece { .. } | Verb::Settle(_) => {}
        }
        Ok(None)
    }

    /// Batches have arrived: what waited for them counts.
    fn committed(&mut self, commit: CommitId, out: &mut Outputs) {
        self.commits.advance(commit);
        while let Some(batch) = self.commits.pop() {
            for (key, priority, upto) in batch.grown {
                let Some(queue) = self.queues.get_mut(key) else { continue };
                let Some(at) = queue.find_lane(priority) else { continue };
                queue.lanes[at].committed = queue.lanes[at].committed.max(upto);
                queue.trim_recent(at, &mut self.memory);
                self.schedule(key);
            }
            for key in batch.sessions {
                self.flush(key, out);
            }
            for (key, bytes) in batch.pieces {
                out.taken.extend(self.sessions.get(key).map(|session| (session.id, bytes)));
            }
        }
        if self.commits.is_full() {
            for key in self.commits.overtaking() {
                self.flush(key, out);
            }
        }
    }

    fn flush(&mut self, key: Key<Session>, out: &mut Outputs) {
        if let Some(session) = self.sessions.get_mut(key) {
            session.line.flush(session.id, &self.commits, out);
        }
    }

    /// The store had no room for a batch: what frees space goes ahead of the rest.
    fn store_full(&mut self, commit: CommitId, batch: &mut Batch) {
        let Some((plain_from, sessions)) = self.commits.hold(commit) else { return };
        if plain_from >= batch.ops.len() {
            return;
        }
        self.pending.adopt(batch.ops.split_off(plain_from));
        self.pending.want_durable();
        for key in sessions {
            let Some(session) = self.sessions.get_mut(key) else { continue };
            session.line.move_aside(commit, self.pending.id);
            if session.noted != self.pending.id {
                session.noted = self.pending.id;
                self.pending.sessions.push(key);
            }
        }
    }

    fn store_failed(&mut self, text: String, out: &mut Outputs) {
        if matches!(self.state, State::Failed(_)) {
            return;
        }
        self.state = State::Failed(text);
        let refusal = self.state_refusal();
        let answer = Answer::Refused(Box::new(refusal.clone()));
        for key in self.sessions.keys() {
            let Some(session) = self.sessions.get_mut(key) else { continue };
            session.line.refuse_all(session.id, &answer, out);
            out.closes.push((session.id, refusal.clone()));
        }
    }

    /// Something that was read has come.
    fn records(&mut self, read: ReadId, records: Vec<Record>, error: Option<String>, out: &mut Outputs) {
        if error.is_some() {
            self.counters.damaged += 1;
        }
        let Some((first, answered)) = self.reads.answer(read, records, error.is_some()) else { return };
        match answered.purpose {
            Purpose::Feed { queue: key, view, priority } => {
                let Some(queue) = self.queues.get_mut(key) else { return };
                let (Some(view), Some(at)) = (queue.find_view(view), queue.find_lane(priority)) else {
                    return;
                };
                if queue.views[view].feeds[at].reading != Some(first) {
                    return;
                }
                queue.views[view].feeds[at].reading = None;
                let merged = merge(&answered.page, answered.parts);
                queue.page_loaded(view, at, merged, &mut self.memory);
                self.schedule(key);
            }
            Purpose::Released { queue: key, priority } => {
                let Some(queue) = self.queues.get_mut(key) else { return };
                queue.fetching.retain(|other| *other != priority);
                let Some(at) = queue.find_lane(priority) else { return };
                let damaged = answered.parts.iter().any(|part| part.failed);
                let merged = merge(&answered.page, answered.parts);
                let lost = merged.records.is_empty();
                queue.released_loaded(at, merged, &mut self.memory);
                if lost && damaged {
                    queue.set_aside(at, answered.page.from);
                }
                self.schedule(key);
            }
            Purpose::Browse { subscription } => self.browse_loaded(subscription, answered, out),
            Purpose::Sweep { queue, priority } => self.swept(queue, priority, answered),
            Purpose::Bucket(log) => self.bucket_read(log, answered, out),
            Purpose::Due(key) => self.due_read(key, answered),
        }
    }

    fn administer(&mut self, admin: Admin, out: &mut Outputs) {
        match admin {
            Admin::Configure(config) => self.configure(*config),
            Admin::Drain => {
                if self.state == State::Running {
                    self.state = State::Draining;
                }
            }
            Admin::Stop => {
                if !matches!(self.state, State::Failed(_)) {
                    self.state = State::Stopped;
                }
                let refusal = Refusal { fatal: true, ..self.state_refusal() };
                for (_, session) in self.sessions.iter() {
                    out.closes.push((session.id, refusal.clone()));
                }
            }
        }
    }

    fn configure(&mut self, config: Config) {
        for host in &config.virtual_hosts {
            self.routing.add_host(host);
        }
        self.memory.limit = config.limits.memory_bytes;
        let same_views = self.config.virtual_topics == config.virtual_topics;
        self.config = Arc::new(config);
        if !same_views {
            self.rebind_virtual();
        }
        for key in self.queues.keys() {
            let Some(queue) = self.queues.get_mut(key) else { continue };
            let Some(host) = self.routing.hosts.get(queue.host) else { continue };
            queue.policy = Arc::new(self.config.policy(&host.name, queue.kind, &queue.name).clone());
            queue.budget.limit = queue.policy.resident_bytes;
            self.schedule(key);
        }
    }

    /// Does all that the input made possible, and says what comes next.
    fn come_to_rest(&mut self, out: &mut Outputs) {
        if !matches!(self.state, State::Failed(_)) {
            self.wake_groups();
            loop {
                self.run_delayed(out);
                while let Some(key) = self.scheduled.pop_front() {
                    self.dispatch(key, out);
                }
                for browser in std::mem::take(&mut self.idle_browsers) {
                    self.browse(browser, out);
                }
                self.tell_cancelled(out);
                if !self.unpark(out) && self.scheduled.is_empty() {
                    break;
                }
            }
            self.sweep(out);
            while let Some(key) = self.scheduled.pop_front() {
                self.dispatch(key, out);
            }
            self.give_back_memory();
            self.ease_brakes(out);
        }
        self.finish_drains(out);
        self.tell_ended(out);
        self.bodies.look(&mut self.pending);
        out.commit = if matches!(self.state, State::Failed(_)) {
            CommitNeed::None
        } else {
            self.pending.need(self.commits.is_full())
        };
        out.deadline_ms = self.deadline_ms();
    }

    /// Groups go on whose messages may be delivered again.
    fn wake_groups(&mut self) {
        let now_ms = self.now.monotonic_ms;
        while let Some((_, key)) = self.paused.first().copied().filter(|(until_ms, _)| *until_ms <= now_ms) {
            self.paused.pop_first();
            if let Some(groups) = self.queues.get_mut(key).and_then(|queue| queue.groups.as_mut()) {
                groups.wake(now_ms);
                self.schedule(key);
            }
        }
    }

    fn deadline_ms(&self) -> Option<u64> {
        if matches!(self.state, State::Failed(_)) {
            return None;
        }
        let delayed = self.delayed.next_ms().map(|due_ms| {
            // The wall clock may jump: never sleep longer than a sweep over a message that is put off.
            let ahead = u64::try_from(due_ms.saturating_sub(self.now.unix_ms)).unwrap_or(0);
            let waits_for_commit = ahead == 0;
            let pause = if waits_for_commit { 1 } else { ahead };
            self.now.monotonic_ms.saturating_add(pause.min(self.config.limits.sweep_interval_ms.max(1)))
        });
        let sweep = self.expiring.then_some(self.next_sweep_ms);
        let paused = self.paused.first().map(|(until_ms, _)| *until_ms);
        [delayed, sweep, paused, self.next_brake_ms()].into_iter().flatten().min()
    }

    /// Takes memory back from queues that have more than others can spare.
    fn give_back_memory(&mut self) {
        if self.memory.resident < self.memory.limit - self.memory.limit / 16 {
            return;
        }
        for _ in 0..EVICTIONS_PER_CALL {
            let Some((key, next)) = self.queues.next_from(self.evict_at) else {
                self.evict_at = 0;
                return;
            };
            self.evict_at = next;
            if let Some(queue) = self.queues.get_mut(key) {
                queue.evict(KEPT_WHEN_SHORT_BYTES, &mut self.memory);
            }
        }
    }
}
