// SPDX-License-Identifier: Apache-2.0
//! Branches of distributed transactions: parts of several sessions that count together, and may be prepared first.
//!
//! A part is an ordinary transaction of its session. Any session of the same user can end the branch, with all parts that
//! it has by then. Prepared, it belongs to nobody: what it publishes lies in hidden logs, what it settles is withheld from
//! everybody, and keys say all that there is to say about it (`prepared`), so that neither the end of its sessions nor that of
//! the broker changes anything. Its commit is one batch, as any other.
//!
//! Rolled back, what was settled is its consumer's again where that is still there: its client delivers from its own
//! memory then. What remains goes back to its queue.

use crate::delayed::SentBy;
use crate::duplicates::ProducerName;
use crate::engine::{Engine, State};
use crate::output::Outputs;
use crate::queue::Queue;
use crate::routing::VirtualHost;
use crate::session::{Kind, Session};
use crate::slab::Key;
use crate::subscription::Unsettled;
use crate::transaction::{Item, Settled, Transaction};
use sabir_model::fields::{self, flag, number as field};
use sabir_model::verb::{Answer, Reason, Refusal, Reply, SessionId, Told};
use sabir_model::{Branch, BranchAct, BranchStep};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A branch, and whose it is: what others have under the same name is another one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct BranchName {
    /// Name of the virtual host.
    pub host: Box<str>,
    pub branch: Branch,
    pub user: Option<Box<str>>,
}

/// A branch that was prepared.
#[derive(Debug)]
pub(crate) struct Prepared {
    /// Of its keys.
    pub number: u64,
    /// How many keys it has besides the first.
    pub chunks: u32,
    /// When, in milliseconds since 1970.
    pub since_ms: i64,
    /// The client id of the session that has prepared it.
    pub client_id: Option<String>,
    pub transaction: Transaction,
    /// Bytes of its messages that are in memory.
    pub resident: usize,
    /// Who is to be told how it ends.
    pub awaiting: Vec<(SessionId, u64)>,
}

impl Prepared {
    /// Publishes and settles.
    pub fn len(&self) -> usize {
        self.transaction.items.len() + self.transaction.settled.len()
    }

    /// Whether a transaction publishes the same messages as this one, by the counts of their producers: it is what a
    /// client sends again that does not know what became of it. What is not persistent may be gone since.
    fn is_repeated_by(&self, again: &Transaction) -> bool {
        let counts = self.transaction.counts();
        counts.is_some() && counts == again.counts()
    }
}

/// All branches.
#[derive(Debug, Default)]
pub(crate) struct Branches {
    /// The parts of those that are not prepared.
    open: BTreeMap<Arc<BranchName>, Vec<(Key<Session>, u64)>>,
    prepared: BTreeMap<Arc<BranchName>, Prepared>,
    /// Publishes and settles of all that are prepared.
    items: usize,
    /// Bytes of their messages in memory.
    resident: usize,
    /// Answers to those who wait for the end of a branch.
    ended: Vec<(SessionId, Reply)>,
}

impl Branches {
    /// How many are prepared.
    pub fn prepared(&self) -> usize {
        self.prepared.len()
    }

    /// A prepared branch is there from now on.
    pub fn keep(&mut self, name: Arc<BranchName>, prepared: Prepared) {
        self.items += prepared.len();
        self.resident += prepared.resident;
        self.prepared.insert(name, prepared);
    }

    fn take_prepared(&mut self, name: &BranchName) -> Option<Prepared> {
        let prepared = self.prepared.remove(name)?;
        self.items -= prepared.len();
        self.resident -= prepared.resident;
        Some(prepared)
    }

    /// The prepared branch that a session means.
    fn find_prepared(&self, name: &BranchName, operator: bool) -> Option<Arc<BranchName>> {
        if let Some((found, _)) = self.prepared.get_key_value(name) {
            return Some(found.clone());
        }
        let first = BranchName { user: None, ..name.clone() };
        let (found, _) = self.prepared.range(first..).next().filter(|_| operator)?;
        (found.host == name.host && found.branch == name.branch).then(|| found.clone())
    }

    fn tell(&mut self, awaiting: Vec<(SessionId, u64)>, flags: u64) {
        for (session, token) in awaiting {
            self.ended.push((session, Reply { token, answer: told(flags) }));
        }
    }
}

fn told(flags: u64) -> Answer {
    Answer::Told(Box::new(with_flags(flags)))
}

fn with_flags(flags: u64) -> Told {
    let mut told = Told::default();
    fields::put(&mut told.fields, field::FLAGS, &flags.to_le_bytes());
    told
}

fn unknown(branch: &Branch) -> Refusal {
    Refusal::new(Reason::NotFound, format!("there is no branch {branch}"))
}

fn rolled_back(text: impl AsRef<str>) -> Refusal {
    let text = text.as_ref();
    Refusal::new(Reason::RolledBack, format!("the transaction was rolled back: {text}"))
}

/// The parts of a branch, put together.
struct Whole {
    transaction: Transaction,
    awaiting: Vec<(SessionId, u64)>,
}

impl Transaction {
    /// The places of its persistent publishes in the counts of their producers, in order; `None`: one has none.
    fn counts(&self) -> Option<Vec<(Arc<ProducerName>, u64)>> {
        let mut sequenced = self.sequenced.iter().peekable();
        let mut counts = Vec::new();
        for (at, item) in self.items.iter().enumerate() {
            let one = sequenced.next_if(|(of, _)| *of == at).map(|(_, one)| one);
            let persistent = match item {
                Item::Held { message, .. } => message.head().persistent(),
                Item::Spilled(spilled) => spilled.facts.persistent,
            };
            if persistent {
                counts.push(one.map(|one| (one.producer.clone(), one.sequence))?);
            }
        }
        counts.sort_unstable();
        Some(counts)
    }

    /// Another part of the same branch joins this one.
    fn join(&mut self, mut other: Transaction) {
        let before = self.items.len();
        self.items.append(&mut other.items);
        self.sequenced.extend(other.sequenced.into_iter().map(|(at, one)| (before + at, one)));
        self.settled.append(&mut other.settled);
        self.bytes += other.bytes;
        self.hidden.append(&mut other.hidden);
        self.refused = self.refused.take().or(other.refused);
    }
}

impl Engine {
    /// A step of a branch. `Await` is none of these: its answer comes out of turn.
    pub(crate) fn branch_step(
        &mut self,
        key: Key<Session>,
        id: u64,
        step: &BranchStep,
    ) -> Result<Option<Told>, Refusal> {
        let Some(name) = self.branch_name(key, &step.branch) else { return Ok(None) };
        match step.act {
            BranchAct::Begin => self.begin_part(key, id, name).map(|()| None),
            BranchAct::Prepare => self.prepare(key, name),
            BranchAct::Commit => self.commit_prepared(&name, step.operator).map(|()| None),
            BranchAct::CommitOnePhase => self.commit_one_phase(key, &name, step.operator).map(|()| None),
            BranchAct::Rollback => self.roll_back_branch(&name, step.operator).map(|()| None),
            BranchAct::Await => Ok(None),
        }
    }

    fn branch_name(&self, key: Key<Session>, branch: &Branch) -> Option<BranchName> {
        let session = self.sessions.get(key)?;
        let host = self.routing.hosts.get(session.virtual_host)?;
        let user = session.client.user.as_deref().map(Into::into);
        Some(BranchName { host: host.name.clone(), branch: branch.clone(), user })
    }

    fn begin_part(&mut self, key: Key<Session>, id: u64, name: BranchName) -> Result<(), Refusal> {
        self.begin(key, id)?;
        // A name that is prepared may be begun again: a client that has lost its connection repeats all that it did.
        let name = Arc::new(name);
        let name = self.branches.open.get_key_value(&name).map_or(name.clone(), |(known, _)| known.clone());
        if let Some(part) = self.sessions.get_mut(key).and_then(|session| session.transactions.get_mut(&id)) {
            part.branch = Some(name.clone());
        }
        self.branches.open.entry(name).or_default().push((key, id));
        Ok(())
    }

    /// The session waits for the end of the branch.
    pub(crate) fn await_branch(&mut self, key: Key<Session>, token: u64, id: u64, out: &mut Outputs) {
        let part = self.sessions.get_mut(key).and_then(|session| session.transactions.get_mut(&id));
        match part.filter(|part| part.branch.is_some() && part.awaited.is_none()) {
            Some(part) => part.awaited = Some(token),
            None => {
                let text = format!("the transaction {id} is no part of a branch, or is waited for already");
                let refusal = Answer::Refused(Box::new(Refusal::new(Reason::NotFound, text)));
                self.answer(key, token, None, refusal, Kind::Other, out);
            }
        }
    }

    /// Tells those who wait for it how branches have ended.
    pub(crate) fn tell_ended(&mut self, out: &mut Outputs) {
        out.drained.append(&mut self.branches.ended);
    }

    /// Takes all parts of a branch out of their sessions.
    fn take_parts(&mut self, name: &BranchName) -> Option<Whole> {
        let parts = self.branches.open.remove(name)?;
        let mut whole: Option<Transaction> = None;
        let mut awaiting = Vec::new();
        for (key, id) in parts {
            let Some(session) = self.sessions.get_mut(key) else { continue };
            let Some(mut part) = session.transactions.remove(&id) else { continue };
            self.transactions -= 1;
            awaiting.extend(part.awaited.take().map(|token| (session.id, token)));
            match &mut whole {
                None => whole = Some(part),
                Some(whole) => whole.join(part),
            }
        }
        Some(Whole { transaction: whole?, awaiting })
    }

    /// Whether a branch that is not prepared does nothing but take messages out.
    pub(crate) fn branch_only_accepts(&self, key: Key<Session>, branch: &Branch) -> bool {
        let Some(parts) = self.branch_name(key, branch).and_then(|name| self.branches.open.get(&name)) else {
            return false;
        };
        parts.iter().all(|(key, id)| self.only_accepts(*key, *id))
    }

    fn prepare(&mut self, key: Key<Session>, name: BranchName) -> Result<Option<Told>, Refusal> {
        let Some(whole) = self.take_parts(&name) else {
            // Asked again, the answer is the same.
            let known = self.branches.prepared.contains_key(&name);
            return if known { Ok(None) } else { Err(unknown(&name.branch)) };
        };
        if let Some(prepared) = self.branches.prepared.get(&name) {
            let repeated = prepared.is_repeated_by(&whole.transaction);
            self.undo(whole);
            let text = format!("the branch {} is prepared already, with other contents", name.branch);
            return if repeated { Ok(None) } else { Err(Refusal::new(Reason::Conflict, text)) };
        }
        let Whole { mut transaction, awaiting } = whole;
        let routed = match self.check_prepare(&transaction) {
            Ok(()) => self.route(&mut transaction),
            Err(text) => Err(rolled_back(text)),
        };
        let routed = match routed {
            Ok(routed) => routed,
            Err(refusal) => {
                self.undo(Whole { transaction, awaiting });
                return Err(refusal);
            }
        };
        if transaction.items.is_empty() && transaction.settled.is_empty() {
            self.branches.tell(awaiting, flag::BRANCH_COMMITTED);
            return Ok(Some(with_flags(flag::BRANCH_READ_ONLY)));
        }
        let resident = self.put_aside(&mut transaction, routed);
        let number = self.next_number();
        let client_id = self.sessions.get(key).and_then(|session| session.client.client_id.clone());
        let since_ms = self.now.unix_ms;
        let mut prepared =
            Prepared { number, chunks: 0, since_ms, client_id, transaction, resident, awaiting };
        self.write_prepared(&name, &mut prepared);
        self.branches.keep(Arc::new(name), prepared);
        Ok(None)
    }

    /// Why a branch cannot be prepared, if it cannot.
    fn check_prepare(&self, transaction: &Transaction) -> Result<(), String> {
        if self.state == State::Stopped {
            return Err("the broker is stopping".to_owned());
        }
        let limits = &self.config.limits;
        if self.branches.prepared() >= limits.max_prepared {
            let max = limits.max_prepared;
            return Err(format!("there are {max} prepared branches already (limits.max_prepared)"));
        }
        let items = self.branches.items + transaction.items.len() + transaction.settled.len();
        if items > limits.max_prepared_items {
            let max = limits.max_prepared_items;
            return Err(format!(
                "prepared branches would hold more than {max} publishes and settles (limits.max_prepared_items)"
            ));
        }
        Ok(())
    }

    /// Brings all that a transaction holds into the store, as far as it is to stay. Answers the bytes of messages that
    /// are in memory nevertheless, so that a commit which comes soon need not read them.
    fn put_aside(&mut self, transaction: &mut Transaction, routed: Vec<Vec<Key<Queue>>>) -> usize {
        let mut hidden = transaction.hidden.first().copied().unwrap_or_default();
        let spare = (self.config.limits.memory_bytes / 16).saturating_sub(self.branches.resident);
        let mut resident = 0;
        let items = std::mem::take(&mut transaction.items);
        for (item, routes) in items.into_iter().zip(routed) {
            transaction.items.push(match item {
                Item::Held { message, destinations, .. } => {
                    let mut spilled = self.spill(&mut hidden, &message, routes, destinations);
                    let bytes = message.size_bytes();
                    if spilled.delayed.is_none() && resident + bytes <= spare {
                        resident += bytes;
                        spilled.message = Some(message);
                    }
                    Item::Spilled(spilled)
                }
                spilled => spilled,
            });
        }
        match transaction.hidden.first_mut() {
            Some(own) => *own = hidden,
            None if hidden.number != 0 => transaction.hidden.push(hidden),
            None => {}
        }
        for Settled { unsettled, expiration_ms, .. } in &mut transaction.settled {
            let Some(entry) = &mut unsettled.entry else { continue };
            *expiration_ms = entry.expires_ms();
            if let Some(queue) = self.queues.get_mut(unsettled.queue) {
                queue.let_go(entry, &mut self.memory);
            }
        }
        resident
    }

    fn commit_prepared(&mut self, name: &BranchName, operator: bool) -> Result<(), Refusal> {
        let Some(found) = self.branches.find_prepared(name, operator) else {
            if self.branches.open.contains_key(name) {
                let text = format!("the branch {} is not prepared", name.branch);
                return Err(Refusal::new(Reason::Invalid, text));
            }
            return Err(unknown(&name.branch));
        };
        if self.state == State::Stopped {
            return Err(self.state_refusal());
        }
        // What was begun anew under this name was a repetition.
        if let Some(repeated) = self.take_parts(&found) {
            self.undo(repeated);
        }
        let Some(prepared) = self.branches.take_prepared(&found) else { return Err(unknown(&name.branch)) };
        self.delete_prepared(&prepared);
        let Prepared { client_id, transaction, awaiting, .. } = prepared;
        let Some(host) = self.host_named(&found.host) else { return Err(unknown(&name.branch)) };
        transaction.sequenced.iter().for_each(|(_, one)| self.leave_open_below(one));
        let sent_by = SentBy { session: None, client_id: client_id.as_deref() };
        let routed = transaction.items.iter().map(|_| Vec::new()).collect();
        self.make_count(host, sent_by, transaction, routed, false);
        self.branches.tell(awaiting, flag::BRANCH_COMMITTED);
        Ok(())
    }

    fn host_named(&self, name: &str) -> Option<Key<VirtualHost>> {
        self.routing.by_name.get(name).copied()
    }

    fn commit_one_phase(
        &mut self,
        key: Key<Session>,
        name: &BranchName,
        operator: bool,
    ) -> Result<(), Refusal> {
        if self.branches.find_prepared(name, operator).is_some() {
            return self.commit_prepared(name, operator);
        }
        let Some(Whole { mut transaction, awaiting }) = self.take_parts(name) else {
            return Err(unknown(&name.branch));
        };
        let routed = match self.state {
            State::Stopped => Err(rolled_back("the broker is stopping")),
            _ => self.route(&mut transaction),
        };
        let routed = match routed {
            Ok(routed) => routed,
            Err(refusal) => {
                self.undo(Whole { transaction, awaiting });
                return Err(refusal);
            }
        };
        let Some(host) = self.host_named(&name.host) else { return Err(unknown(&name.branch)) };
        let removes = transaction.only_accepts();
        let sent_by = SentBy { session: Some(key), client_id: None };
        self.make_count(host, sent_by, transaction, routed, removes);
        self.branches.tell(awaiting, flag::BRANCH_COMMITTED);
        Ok(())
    }

    fn roll_back_branch(&mut self, name: &BranchName, operator: bool) -> Result<(), Refusal> {
        let found = self.branches.find_prepared(name, operator);
        let open = self.take_parts(found.as_deref().unwrap_or(name));
        if found.is_none() && open.is_none() {
            return Err(unknown(&name.branch));
        }
        if let Some(open) = open {
            self.undo(open);
        }
        if let Some(prepared) = found.and_then(|found| self.branches.take_prepared(&found)) {
            self.delete_prepared(&prepared);
            let Prepared { transaction, awaiting, .. } = prepared;
            self.undo(Whole { transaction, awaiting });
        }
        Ok(())
    }

    /// None of it counts. What was settled is unsettled again, where whoever had it is still there.
    fn undo(&mut self, whole: Whole) {
        let Whole { mut transaction, awaiting } = whole;
        for one in std::mem::take(&mut transaction.settled) {
            let Settled { unsettled, outcome, from, expiration_ms } = one;
            let owner = from.and_then(|from| self.subscriptions.get_mut(from));
            let session = match &owner {
                Some(owner) if unsettled.entry.is_some() => self.sessions.get_mut(owner.session),
                _ => None,
            };
            match (owner, session) {
                (Some(owner), Some(session)) => {
                    session.unsettled += 1;
                    owner.take_back(Unsettled { open: true, ..unsettled });
                }
                _ => transaction.settled.push(Settled { unsettled, outcome, from, expiration_ms }),
            }
        }
        self.roll_back(transaction);
        self.branches.tell(awaiting, flag::BRANCH_RESTORED);
    }

    /// A session goes that has this part. In good order it leaves it to the others that take part, if there are any; else
    /// nothing of the branch can count any more, and the part is given back, to be rolled back.
    pub(crate) fn leave_branch(
        &mut self,
        key: Key<Session>,
        id: u64,
        mut part: Transaction,
    ) -> Option<Transaction> {
        let Some(name) = part.branch.clone() else { return Some(part) };
        let Some(parts) = self.branches.open.get_mut(&name) else { return Some(part) };
        parts.retain(|one| *one != (key, id));
        let others = parts.clone();
        if others.is_empty() {
            self.branches.open.remove(&name);
            return Some(part);
        }
        let orderly = self.sessions.get(key).is_some_and(|session| session.orderly);
        for (other, id) in others {
            let found = self.sessions.get_mut(other).and_then(|one| one.transactions.get_mut(&id));
            let Some(found) = found else { continue };
            if orderly {
                for item in &mut part.items {
                    if let Item::Held { by, .. } = item {
                        *by = other;
                    }
                }
                found.join(part);
                return None;
            }
            found.refused.get_or_insert_with(|| "a connection that took part in it has gone".to_owned());
        }
        Some(part)
    }

    /// The prepared branches of a session's user, or of all. For each the fields `BRANCH`, `USER` if it has one, and four
    /// times `COUNT`: publishes, settles, bytes published, and since when, in milliseconds since 1970. The text is how many
    /// there are; no more than `limits.max_listed` of them are named.
    pub(crate) fn list_prepared(&self, key: Key<Session>, all: bool) -> Told {
        let mut told = Told::default();
        let mut count = 0;
        let Some(session) = self.sessions.get(key) else { return told };
        let Some(host) = self.routing.hosts.get(session.virtual_host) else { return told };
        let user = session.client.user.as_deref();
        for (name, prepared) in &self.branches.prepared {
            if name.host != host.name || !(all || name.user.as_deref() == user) {
                continue;
            }
            count += 1;
            if count > self.config.limits.max_listed {
                continue;
            }
            fields::put(&mut told.fields, field::BRANCH, &name.branch.to_bytes());
            if let Some(user) = &name.user {
                fields::put(&mut told.fields, field::USER, user.as_bytes());
            }
            let transaction = &prepared.transaction;
            let since_ms = u64::try_from(prepared.since_ms).unwrap_or(0);
            let counts = [transaction.items.len(), transaction.settled.len(), transaction.bytes];
            for count in counts.map(|count| count as u64).into_iter().chain([since_ms]) {
                fields::put(&mut told.fields, field::COUNT, &count.to_le_bytes());
            }
        }
        told.text = count.to_string();
        told
    }

    /// How many branches are prepared.
    pub fn prepared_branches(&self) -> usize {
        self.branches.prepared()
    }
}
