// SPDX-License-Identifier: Apache-2.0
//! Local transactions, and what branches of distributed ones have in common with them.

use super::asked::Asked;
use super::branch::Asking;
use super::problem::{Exception, Problem, class, xa};
use super::{Core, Step};
use crate::codec::{Command, ObjectId, TransactionId, TransactionInfo};
use sabir_model::verb::{Outcome, Settle, SettleRange, Transact};
use sabir_sdk::protocol::{Out, VerbMeta};
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

/// The minor version of the plugin interface that has branches.
pub const BRANCHES_SINCE: u32 = 2;

/// An acknowledgement that waits for its transaction's end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// The broker's number of the consumer.
    pub consumer: u64,
    /// First tag.
    pub first: u64,
    /// Last tag.
    pub last: u64,
    /// What becomes of the messages.
    pub outcome: Outcome,
}

/// A transaction that is open.
#[derive(Debug, Default)]
pub struct Transaction {
    /// In the order in which they came.
    pub kept: VecDeque<Kept>,
    /// Messages that the broker has not answered.
    pub waits_for: usize,
    /// Why it can only be rolled back.
    pub failed: Option<String>,
    /// What waits for the answers to messages.
    pub finishing: Option<Finish>,
    /// Of a branch: its name.
    pub branch: Option<Arc<TransactionId>>,
    /// Of a branch: what of `kept` was settled in it.
    pub settled: Vec<Kept>,
    /// The broker will tell how the branch ends.
    pub is_awaited: bool,
    /// It was prepared.
    pub is_prepared: bool,
}

/// What is done once the broker has answered all that is part of a transaction: what was refused on its way there must not
/// be missing from what counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finish {
    /// A local transaction is committed.
    Local {
        /// The number of the command, if it wants a response.
        respond: Option<i32>,
    },
    /// A client has done its part of a branch.
    Part {
        /// The number of the command, if it wants a response.
        respond: Option<i32>,
    },
    /// A branch is prepared or committed.
    Branch(Asking),
}

impl Transaction {
    /// Keeps an acknowledgement.
    pub fn keep(&mut self, kept: Kept) {
        self.kept.push_back(kept);
    }
}

/// The open transactions of a connection.
#[derive(Debug, Default)]
pub struct Transactions {
    numbers: HashMap<Arc<TransactionId>, u64>,
    open: HashMap<u64, Transaction>,
    begun: u64,
    /// Those whose end waits for nothing any more.
    ready: Vec<u64>,
    /// Branches that had nothing to prepare; the latest last.
    pub read_only: VecDeque<Arc<TransactionId>>,
}

impl Transactions {
    /// The transaction with this number.
    pub fn get_mut(&mut self, number: u64) -> Option<&mut Transaction> {
        self.open.get_mut(&number)
    }

    /// A message in a transaction has yet to be answered; 0: in none.
    pub fn waits(&mut self, number: u64) {
        if let Some(open) = self.open.get_mut(&number) {
            open.waits_for += 1;
        }
    }

    /// It was answered.
    pub fn answered(&mut self, number: u64, refused: Option<&str>) {
        let Some(open) = self.open.get_mut(&number) else { return };
        if let Some(why) = refused {
            open.failed.get_or_insert_with(|| why.to_owned());
        }
        open.waits_for = open.waits_for.saturating_sub(1);
        if open.waits_for == 0 && open.finishing.is_some() {
            self.ready.push(number);
        }
    }

    /// Whether a commit waits for something.
    pub fn is_committing(&self) -> bool {
        self.open.values().any(|open| open.finishing.is_some())
    }

    /// Whether a commit waits for room alone.
    pub fn has_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    /// A part of a transaction was refused before the broker was asked.
    pub fn fail(&mut self, id: &TransactionId, why: &str) {
        if let Some(open) = self.numbers.get(id).and_then(|number| self.open.get_mut(number)) {
            open.failed.get_or_insert_with(|| why.to_owned());
        }
    }

    /// The number of the one with this name.
    pub fn number(&self, id: &TransactionId) -> Option<u64> {
        self.numbers.get(id).copied()
    }

    /// How many are open.
    pub fn len(&self) -> usize {
        self.open.len()
    }

    /// The number of the next one.
    pub fn next_number(&self) -> u64 {
        self.begun + 1
    }

    /// One has begun, with the next number.
    pub fn insert(&mut self, id: Arc<TransactionId>, number: u64, transaction: Transaction) {
        self.begun = number;
        self.numbers.insert(id, number);
        self.open.insert(number, transaction);
    }

    /// Something is done with one once nothing of it is under way any more. `false`: there is no such one.
    pub fn finish(&mut self, number: u64, finish: Finish) -> bool {
        let Some(open) = self.open.get_mut(&number) else { return false };
        open.finishing = Some(finish);
        if open.waits_for == 0 && !self.ready.contains(&number) {
            self.ready.push(number);
        }
        true
    }

    /// Takes one out.
    pub fn take(&mut self, number: u64) -> Option<Transaction> {
        let gone = self.open.remove(&number)?;
        if let Some(id) = &gone.branch {
            self.numbers.remove(id);
        }
        self.ready.retain(|other| *other != number);
        if self.open.is_empty() {
            let read_only = std::mem::take(&mut self.read_only);
            *self = Transactions { begun: self.begun, read_only, ..Transactions::default() };
        }
        Some(gone)
    }
}

impl Core {
    /// The number of the transaction that a command is part of.
    pub fn transaction_number(&self, id: &TransactionId) -> Result<u64, Problem> {
        match (self.transactions.numbers.get(id), id) {
            (Some(number), _) => Ok(*number),
            (None, TransactionId::Xa(_)) => {
                let text = format!("Transaction '{id}' has not been started.");
                Err(Exception::xa(xa::UNKNOWN, text).refused())
            }
            (None, TransactionId::Local(_)) => {
                let text = format!("Transaction '{id}' has not been started.");
                Err(Exception::new(class::JMS, text).refused())
            }
        }
    }

    /// A step of a transaction.
    pub fn on_transaction_info(
        &mut self,
        info: &TransactionInfo,
        out: &mut Out<'_>,
    ) -> Result<Step, Problem> {
        if info.kind == TransactionInfo::RECOVER {
            return Ok(self.ask_prepared(info, out));
        }
        let missing = || Problem::missing("TransactionInfo", "transactionId");
        let id = info.transaction_id.as_ref().ok_or_else(missing)?;
        if matches!(**id, TransactionId::Xa(_)) {
            if self.shared.host.abi_minor() < BRANCHES_SINCE {
                let text = "this broker is too old to take part in distributed transactions";
                return Err(Exception::xa(xa::FAILED, text).refused());
            }
            return self.on_branch(id, info, out);
        }
        match info.kind {
            TransactionInfo::BEGIN => self.begin(id, info, out),
            TransactionInfo::COMMIT_ONE_PHASE => self.commit(id, info),
            TransactionInfo::ROLLBACK => self.roll_back(id, info, out),
            _ => Err(Problem::unsupported(
                "a local transaction is begun, committed in one phase, or rolled back",
            )),
        }
    }

    fn begin(
        &mut self,
        id: &Arc<TransactionId>,
        info: &TransactionInfo,
        out: &mut Out<'_>,
    ) -> Result<Step, Problem> {
        if self.transactions.numbers.contains_key(id) {
            return Ok(self.respond_to(info.command_id, info.response_required));
        }
        if let TransactionId::Local(local) = &**id {
            self.check_connection(local.connection_id.as_deref().map_or("", |connection| &connection.value))?;
        }
        let max = self.shared.settings.max_transactions;
        if self.transactions.open.len() >= max {
            return Err(Problem::limit("max_transactions", max));
        }
        let number = self.transactions.next_number();
        let token = Asked::token(info.command_id, info.response_required);
        let meta = VerbMeta { token, confirm: info.response_required, id: 0, transaction: number };
        out.transact(meta, Transact::Begin);
        if out.overflowed() {
            return Ok(Step::Full);
        }
        self.transactions.insert(id.clone(), number, Transaction::default());
        Ok(Step::Done)
    }

    fn commit(&mut self, id: &TransactionId, info: &TransactionInfo) -> Result<Step, Problem> {
        let number = self.transaction_number(id)?;
        self.transactions.numbers.remove(id);
        let respond = info.response_required.then_some(info.command_id);
        self.transactions.finish(number, Finish::Local { respond });
        Ok(Step::Done)
    }

    /// Whether a command would end what is being committed.
    pub fn must_wait_for_commits(&self, command: &Command) -> bool {
        let ends = match command {
            Command::ShutdownInfo(_) => true,
            Command::RemoveInfo(info) => matches!(info.object_id, Some(ObjectId::Connection(_))),
            _ => false,
        };
        ends && self.transactions.is_committing()
    }

    /// Goes on with what waits for nothing any more. `false`: there was no room for all of it.
    pub fn commit_ready(&mut self, out: &mut Out<'_>) -> bool {
        while let Some(number) = self.transactions.ready.first().copied() {
            let mark = out.mark();
            let finish = self.transactions.get_mut(number).and_then(|open| open.finishing.clone());
            let step = match finish {
                None => Step::Done,
                Some(Finish::Local { respond }) => self.commit_step(number, respond, out),
                Some(finish) => self.finish_part(number, finish, out),
            };
            match step {
                Step::Again => {}
                Step::Full => {
                    out.rollback(mark);
                    return false;
                }
                Step::Done => {
                    self.transactions.ready.retain(|other| *other != number);
                    match self.transactions.get_mut(number) {
                        // It ends with the branch.
                        Some(open) if open.branch.is_some() => open.finishing = None,
                        _ => drop(self.transactions.take(number)),
                    }
                }
            }
        }
        true
    }

    fn commit_step(&mut self, number: u64, respond: Option<i32>, out: &mut Out<'_>) -> Step {
        let Some(open) = self.transactions.get_mut(number) else { return Step::Done };
        if let Some(why) = open.failed.clone() {
            let meta = VerbMeta { token: Asked::ignored(), transaction: number, ..VerbMeta::default() };
            out.transact(meta, Transact::Rollback);
            if out.overflowed() {
                return Step::Full;
            }
            self.unkeep(number);
            let text = format!("the transaction was rolled back, because a part of it was refused: {why}");
            self.refuse(respond, &Exception::new(class::ROLLED_BACK, text));
            return Step::Done;
        }
        if let Some(kept) = open.kept.front().cloned() {
            // One at a time: they may be more than there is room for.
            if !self.settle_kept(&kept, number, false, out) {
                return Step::Full;
            }
            if let Some(open) = self.transactions.get_mut(number) {
                open.kept.pop_front();
            }
            return Step::Again;
        }
        let token = respond.map_or_else(|| Asked::token(0, false), |id| Asked::token(id, true));
        let meta = VerbMeta { token, confirm: respond.is_some(), id: 0, transaction: number };
        out.transact(meta, Transact::Commit);
        if out.overflowed() { Step::Full } else { Step::Done }
    }

    /// What a transaction has kept is as it was before.
    fn unkeep(&mut self, number: u64) {
        let kept = self.transactions.get_mut(number).map(|open| std::mem::take(&mut open.kept));
        for kept in kept.unwrap_or_default() {
            if let Some(consumer) = self.consumers.get_mut(kept.consumer) {
                consumer.unsettled.transaction_ended(number, (kept.first, kept.last), false);
            }
        }
    }

    /// Settles what an acknowledgement in a transaction has named; `stays`: it may be its consumer's again. `false`: there
    /// was no room.
    pub fn settle_kept(&mut self, kept: &Kept, transaction: u64, stays: bool, out: &mut Out<'_>) -> bool {
        let meta = VerbMeta { token: Asked::ignored(), confirm: false, id: kept.consumer, transaction };
        let range = SettleRange::Tags { first: kept.first, last: kept.last };
        out.settle(meta, &Settle { range, outcome: kept.outcome.clone() });
        if out.overflowed() {
            return false;
        }
        if let Some(consumer) = self.consumers.get_mut(kept.consumer)
            && !stays
        {
            consumer.unsettled.transaction_ended(transaction, (kept.first, kept.last), true);
        }
        true
    }

    /// A consumer goes: what it has acknowledged in transactions is settled in them now, one acknowledgement at a time.
    pub fn settle_kept_of(&mut self, consumer: u64, out: &mut Out<'_>) -> Step {
        let found = self.transactions.open.iter().find_map(|(number, open)| {
            let at = open.kept.iter().position(|kept| kept.consumer == consumer)?;
            Some((*number, at, open.kept.get(at)?.clone()))
        });
        let Some((transaction, at, kept)) = found else { return Step::Done };
        if !self.settle_kept(&kept, transaction, false, out) {
            return Step::Full;
        }
        if let Some(open) = self.transactions.get_mut(transaction) {
            open.kept.remove(at);
        }
        Step::Again
    }

    fn roll_back(
        &mut self,
        id: &TransactionId,
        info: &TransactionInfo,
        out: &mut Out<'_>,
    ) -> Result<Step, Problem> {
        let number = self.transaction_number(id)?;
        let token = Asked::token(info.command_id, info.response_required);
        let meta = VerbMeta { token, confirm: info.response_required, id: 0, transaction: number };
        out.transact(meta, Transact::Rollback);
        if out.overflowed() {
            return Ok(Step::Full);
        }
        self.unkeep(number);
        self.transactions.numbers.remove(id);
        self.transactions.take(number);
        Ok(Step::Done)
    }
}
