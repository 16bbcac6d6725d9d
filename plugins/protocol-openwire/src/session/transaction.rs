// SPDX-License-Identifier: Apache-2.0
//! Local transactions, and what clients are told who ask for distributed ones.

use super::asked::Asked;
use super::problem::{Exception, Problem, class};
use super::{Core, Step};
use crate::codec::{Command, DataArrayResponse, TransactionId, TransactionInfo};
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
}

impl Transactions {
    /// The transaction with this number.
    pub fn get_mut(&mut self, number: u64) -> Option<&mut Transaction> {
        self.open.get_mut(&number)
    }

    fn end(&mut self, id: &TransactionId) {
        if let Some(number) = self.numbers.remove(id) {
            self.open.remove(&number);
        }
        if self.numbers.is_empty() {
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
            TransactionInfo::COMMIT_ONE_PHASE => self.commit(id, info, out),
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

    fn commit(
        &mut self,
        id: &TransactionId,
        info: &TransactionInfo,
        out: &mut Out<'_>,
    ) -> Result<Step, Problem> {
        let number = self.transaction_number(id)?;
        let first = self.transactions.get_mut(number).and_then(|open| open.kept.front().cloned());
        if let Some(kept) = first {
            // One at a time: they may be more than there is room for.
            if !self.settle_kept(&kept, number, out) {
                return Ok(Step::Full);
            }
            if let Some(open) = self.transactions.get_mut(number) {
                open.kept.pop_front();
            }
            return Ok(Step::Again);
        }
        let token = Asked::token(info.command_id, info.response_required);
        let meta = VerbMeta { token, confirm: info.response_required, id: 0, transaction: number };
        out.transact(meta, Transact::Commit);
        if out.overflowed() {
            return Ok(Step::Full);
        }
        self.transactions.end(id);
        Ok(Step::Done)
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
        let kept = self.transactions.get_mut(number).map(|open| std::mem::take(&mut open.kept));
        for kept in kept.unwrap_or_default() {
            if let Some(consumer) = self.consumers.get_mut(kept.consumer) {
                consumer.unsettled.transaction_ended(number, (kept.first, kept.last), false);
            }
        }
        self.transactions.end(id);
        Ok(Step::Done)
    }
}

fn no_xa() -> Problem {
    let text =
        format!("this broker does not take part in distributed transactions. {XA_RESOURCE_MANAGER_ERROR}");
    Exception::new(class::XA, text).refused()
}
