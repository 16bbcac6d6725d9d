// SPDX-License-Identifier: Apache-2.0
//! `BEGIN`, `COMMIT`, `ABORT`.

use super::problem::{Problem, cut};
use super::{Core, Step};
use crate::codec::{Head, HeaderName};
use sabir_model::verb::Transact;
use sabir_sdk::protocol::{Out, VerbMeta};
use std::collections::HashMap;

/// The open transactions: the client's names, and the numbers that the broker knows.
#[derive(Debug, Default)]
pub struct Transactions {
    open: HashMap<Box<str>, u64>,
    begun: u64,
}

impl Transactions {
    /// The number of an open transaction.
    pub fn number(&self, name: &str) -> Result<u64, Problem> {
        self.open
            .get(name)
            .copied()
            .ok_or_else(|| Problem::new("no such transaction is open", format!("{:?}", cut(name))))
    }
}

impl Core {
    /// `BEGIN`.
    pub fn on_begin(&mut self, head: &Head<'_>, out: &mut Out<'_>) -> Result<Step, Problem> {
        let name = transaction_name(head)?;
        if self.transactions.open.contains_key(&*name) {
            return Err(Problem::new("the transaction is open already", format!("{:?}", cut(&name))));
        }
        if self.transactions.open.len() >= self.settings.max_transactions {
            return Err(Problem::limit("max_transactions", self.settings.max_transactions));
        }
        let receipt = head.raw(HeaderName::Receipt);
        let transaction = self.transactions.begun + 1;
        let meta = VerbMeta { transaction, ..self.meta(receipt, false) };
        out.transact(meta, Transact::Begin);
        if out.overflowed() {
            return Ok(Step::Full);
        }
        self.expect(meta, receipt);
        self.transactions.begun = transaction;
        self.transactions.open.insert(name.into(), transaction);
        Ok(Step::Done)
    }

    /// `COMMIT`. Later receipts wait for it, whether or not it has asked for one.
    pub fn on_commit(&mut self, head: &Head<'_>, out: &mut Out<'_>) -> Result<Step, Problem> {
        self.end_transaction(head, Transact::Commit, out)
    }

    /// `ABORT`.
    pub fn on_abort(&mut self, head: &Head<'_>, out: &mut Out<'_>) -> Result<Step, Problem> {
        self.end_transaction(head, Transact::Rollback, out)
    }

    fn end_transaction(
        &mut self,
        head: &Head<'_>,
        action: Transact,
        out: &mut Out<'_>,
    ) -> Result<Step, Problem> {
        let name = transaction_name(head)?;
        let transaction = self.transactions.number(&name)?;
        let receipt = head.raw(HeaderName::Receipt);
        let meta = VerbMeta { transaction, ..self.meta(receipt, true) };
        out.transact(meta, action);
        if out.overflowed() {
            return Ok(Step::Full);
        }
        self.expect(meta, receipt);
        self.transactions.open.remove(&*name);
        if self.transactions.open.is_empty() {
            self.transactions.open = HashMap::new();
        }
        self.subscriptions.transaction_ended(transaction, action == Transact::Commit);
        Ok(Step::Done)
    }
}

fn transaction_name<'d>(head: &Head<'d>) -> Result<std::borrow::Cow<'d, str>, Problem> {
    match head.get(HeaderName::Transaction) {
        Some(name) if !name.is_empty() => Ok(name),
        _ => Err(Problem::missing(head.command, HeaderName::Transaction)),
    }
}
