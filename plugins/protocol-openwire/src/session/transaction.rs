// SPDX-License-Identifier: Apache-2.0
//! Local transactions, and what clients are told who ask for distributed ones.

use super::asked::Asked;
use super::problem::{Exception, Problem, class};
use super::{Core, Step};
use crate::codec::{Command, DataArrayResponse, ObjectId, TransactionId, TransactionInfo};
use sabir_model::verb::{Outcome, Settle, SettleRange, Transact};
use sabir_sdk::protocol::{Out, VerbMeta};
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

/// `XAException.XAER_RMERR`, as Java clients find it in the text.
const XA_RESOURCE_MANAGER_ERROR: &str = "xaErrorCode:-3";

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
    waits_for: usize,
    /// Why it can only be rolled back.
    failed: Option<String>,
    /// The commit waits for the answers to messages; the number of the command, if that wants a response.
    committing: Option<Option<i32>>,
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
    /// Commits that wait for nothing any more.
    ready: Vec<u64>,
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
        if open.waits_for == 0 && open.committing.is_some() {
            self.ready.push(number);
        }
    }

    /// Whether a commit waits for something.
    pub fn is_committing(&self) -> bool {
        self.open.values().any(|open| open.committing.is_some())
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

    fn end(&mut self, number: u64) {
        self.open.remove(&number);
        if self.open.is_empty() {
            *self = Transactions { begun: self.begun, ..Transactions::default() };
        }
    }
}

impl Core {
    /// The number of the transaction that a command is part of.
    pub fn transaction_number(&self, id: &TransactionId) -> Result<u64, Problem> {
        match (self.transactions.numbers.get(id), id) {
            (Some(number), _) => Ok(*number),
            (None, TransactionId::Xa(_)) => Err(no_xa()),
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
            // There are none.
            if info.response_required {
                self.output.push(Command::DataArrayResponse(DataArrayResponse {
                    correlation_id: info.command_id,
                    data: Some(Vec::new()),
                    ..DataArrayResponse::default()
                }));
            }
            return Ok(Step::Done);
        }
        let missing = || Problem::missing("TransactionInfo", "transactionId");
        let id = info.transaction_id.as_ref().ok_or_else(missing)?;
        if matches!(**id, TransactionId::Xa(_)) {
            return Err(no_xa());
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
        let number = self.transactions.begun + 1;
        let token = Asked::token(info.command_id, info.response_required);
        let meta = VerbMeta { token, confirm: info.response_required, id: 0, transaction: number };
        out.transact(meta, Transact::Begin);
        if out.overflowed() {
            return Ok(Step::Full);
        }
        self.transactions.begun = number;
        self.transactions.numbers.insert(id.clone(), number);
        self.transactions.open.insert(number, Transaction::default());
        Ok(Step::Done)
    }

    /// The commit waits until the broker has answered all that is part of it: what was refused on its way there must not
    /// be missing from what is committed.
    fn commit(&mut self, id: &TransactionId, info: &TransactionInfo) -> Result<Step, Problem> {
        let number = self.transaction_number(id)?;
        self.transactions.numbers.remove(id);
        if let Some(open) = self.transactions.get_mut(number) {
            open.committing = Some(info.response_required.then_some(info.command_id));
            if open.waits_for == 0 {
                self.transactions.ready.push(number);
            }
        }
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

    /// Commits what waits for nothing any more. `false`: there was no room for all of it.
    pub fn commit_ready(&mut self, out: &mut Out<'_>) -> bool {
        while let Some(number) = self.transactions.ready.first().copied() {
            let mark = out.mark();
            match self.commit_step(number, out) {
                Step::Again => {}
                Step::Full => {
                    out.rollback(mark);
                    return false;
                }
                Step::Done => {
                    self.transactions.ready.retain(|other| *other != number);
                    self.transactions.end(number);
                }
            }
        }
        true
    }

    fn commit_step(&mut self, number: u64, out: &mut Out<'_>) -> Step {
        let Some(open) = self.transactions.get_mut(number) else { return Step::Done };
        let respond = open.committing.flatten();
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
            if !self.settle_kept(&kept, number, out) {
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

    /// Settles what an acknowledgement in a transaction has named. `false`: there was no room.
    fn settle_kept(&mut self, kept: &Kept, transaction: u64, out: &mut Out<'_>) -> bool {
        let meta = VerbMeta { token: Asked::ignored(), confirm: false, id: kept.consumer, transaction };
        let range = SettleRange::Tags { first: kept.first, last: kept.last };
        out.settle(meta, &Settle { range, outcome: kept.outcome.clone() });
        if out.overflowed() {
            return false;
        }
        if let Some(consumer) = self.consumers.get_mut(kept.consumer) {
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
        if !self.settle_kept(&kept, transaction, out) {
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
        self.transactions.end(number);
        Ok(Step::Done)
    }
}

fn no_xa() -> Problem {
    let text =
        format!("this broker does not take part in distributed transactions. {XA_RESOURCE_MANAGER_ERROR}");
    Exception::new(class::XA, text).refused()
}
