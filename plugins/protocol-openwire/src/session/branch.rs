// SPDX-License-Identifier: Apache-2.0
//! Branches of distributed transactions, as transaction managers drive them through their clients.
//!
//! Acknowledgements are kept until the client has done its part (`END`), and are then settled within the transaction: the
//! rest may be asked for over another connection. The messages stay with their consumer until the branch has ended, by
//! whomever: rolled back, their client delivers them again from its own memory, and acknowledges them anew.

use super::asked::{Asked, Kept};
use super::problem::{Exception, Problem, xa};
use super::transaction::{BRANCHES_SINCE, Finish, Transaction, Transactions};
use super::{Core, Step};
use crate::codec::{
    Command, DataArrayResponse, DataStructure, IntegerResponse, ObjectId, TransactionId, TransactionInfo,
    XaTransactionId,
};
use sabir_model::fields::{self, flag, number as field};
use sabir_model::verb::{Query, Reason};
use sabir_model::{Branch, BranchAct, BranchStep};
use sabir_sdk::protocol::{Out, ReplyRef, VerbMeta};
use std::sync::Arc;

/// `XAResource.XA_OK` and `XA_RDONLY`, as the response to `PREPARE` says them.
const PREPARED: i32 = 0;
const READ_ONLY: i32 = 3;

/// Branches that had nothing to prepare and are remembered, because a client that has lost its connection may ask for the
/// rest nevertheless.
const MAX_READ_ONLY: usize = 64;

/// A step that the broker was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asking {
    /// Which step.
    pub act: BranchAct,
    /// Which branch.
    pub id: Arc<TransactionId>,
    /// This connection's part of it; 0: it has none.
    pub number: u64,
    /// The number of the command, if it wants a response.
    pub respond: Option<i32>,
}

/// The branch's name, as the broker takes it.
pub fn branch_of(id: &TransactionId) -> Result<Branch, Problem> {
    let TransactionId::Xa(xid) = id else {
        return Err(Exception::xa(xa::INVALID, "a local transaction has no branches").refused());
    };
    Branch::new(xid.format_id, &xid.global_transaction_id, &xid.branch_qualifier).ok_or_else(|| {
        Exception::xa(xa::INVALID, "a part of the transaction's id is longer than 64 bytes").refused()
    })
}

impl Transactions {
    fn remember_read_only(&mut self, id: &Arc<TransactionId>) {
        if self.read_only.len() >= MAX_READ_ONLY {
            self.read_only.pop_front();
        }
        self.read_only.push_back(id.clone());
    }
}

impl Core {
    /// A step of a branch.
    pub fn on_branch(
        &mut self,
        id: &Arc<TransactionId>,
        info: &TransactionInfo,
        out: &mut Out<'_>,
    ) -> Result<Step, Problem> {
        let branch = branch_of(id)?;
        let respond = info.response_required.then_some(info.command_id);
        let act = match info.kind {
            TransactionInfo::BEGIN => return self.begin_branch(id, branch, info, out),
            TransactionInfo::END => return self.end_part(id, respond),
            TransactionInfo::PREPARE => BranchAct::Prepare,
            TransactionInfo::COMMIT_ONE_PHASE => BranchAct::CommitOnePhase,
            TransactionInfo::COMMIT_TWO_PHASE => BranchAct::Commit,
            TransactionInfo::ROLLBACK | TransactionInfo::FORGET => BranchAct::Rollback,
            other => {
                let text = format!("there is no step {other} of a transaction");
                return Err(Exception::xa(xa::INVALID, text).refused());
            }
        };
        let number = self.transactions.number(id).unwrap_or(0);
        let over = matches!(act, BranchAct::Commit | BranchAct::Rollback);
        if over && number == 0 && self.transactions.read_only.contains(id) {
            self.transactions.read_only.retain(|other| other != id);
            return Ok(self.respond_to(info.command_id, info.response_required));
        }
        if act == BranchAct::Rollback
            && self.transactions.get_mut(number).is_some_and(|open| open.failed.is_some())
        {
            // The broker may know nothing of it.
            let meta = VerbMeta { token: Asked::ignored(), ..VerbMeta::default() };
            out.branch(meta, &BranchStep::new(act, branch));
            if out.overflowed() {
                return Ok(Step::Full);
            }
            self.branch_ended(number, false);
            return Ok(self.respond_to(info.command_id, info.response_required));
        }
        let asking = Asking { act, id: id.clone(), number, respond };
        if matches!(act, BranchAct::Prepare | BranchAct::CommitOnePhase)
            && self.transactions.finish(number, Finish::Branch(asking.clone()))
        {
            return Ok(Step::Done);
        }
        Ok(self.ask_branch(&branch, asking, out))
    }

    fn ask_branch(&mut self, branch: &Branch, asking: Asking, out: &mut Out<'_>) -> Step {
        let meta =
            VerbMeta { token: self.asked.next_token(), confirm: true, id: 0, transaction: asking.number };
        out.branch(meta, &BranchStep::new(asking.act, branch.clone()));
        if out.overflowed() {
            return Step::Full;
        }
        self.asked.keep(Kept::Branch(asking));
        Step::Done
    }

    fn begin_branch(
        &mut self,
        id: &Arc<TransactionId>,
        branch: Branch,
        info: &TransactionInfo,
        out: &mut Out<'_>,
    ) -> Result<Step, Problem> {
        if let Some(number) = self.transactions.number(id) {
            // Taken up again, or joined by another session of the connection.
            return match self.transactions.get_mut(number) {
                Some(open) if open.is_prepared => {
                    Err(Exception::xa(xa::DUPLICATE, format!("{id} is prepared already")).refused())
                }
                _ => Ok(self.respond_to(info.command_id, info.response_required)),
            };
        }
        let max = self.shared.settings.max_transactions;
        if self.transactions.len() >= max {
            return Err(Problem::limit("max_transactions", max));
        }
        let number = self.transactions.next_number();
        let token = Asked::token(info.command_id, info.response_required);
        let meta = VerbMeta { token, confirm: info.response_required, id: 0, transaction: number };
        out.branch(meta, &BranchStep::new(BranchAct::Begin, branch));
        if out.overflowed() {
            return Ok(Step::Full);
        }
        let open = Transaction { branch: Some(id.clone()), ..Transaction::default() };
        self.transactions.insert(id.clone(), number, open);
        Ok(Step::Done)
    }

    /// The client has done its part, for now or for good.
    fn end_part(&mut self, id: &Arc<TransactionId>, respond: Option<i32>) -> Result<Step, Problem> {
        let number = self.transaction_number(id)?;
        if !self.transactions.finish(number, Finish::Part { respond }) {
            self.respond(respond);
        }
        Ok(Step::Done)
    }

    /// The prepared branches are asked for.
    pub fn ask_prepared(&mut self, info: &TransactionInfo, out: &mut Out<'_>) -> Step {
        if !info.response_required {
            return Step::Done;
        }
        if self.shared.host.abi_minor() < BRANCHES_SINCE {
            self.recovered(info.command_id, &[]);
            return Step::Done;
        }
        let meta = VerbMeta { token: self.asked.next_token(), confirm: true, ..VerbMeta::default() };
        out.query(meta, &Query::Prepared { all: false });
        if out.overflowed() {
            return Step::Full;
        }
        self.asked.keep(Kept::Recover { respond: info.command_id });
        Step::Done
    }

    /// They were listed.
    pub fn recovered(&mut self, correlation_id: i32, answer: &[u8]) {
        let branches = fields::iter(answer)
            .map_while(Result::ok)
            .filter(|(kind, _)| *kind == field::BRANCH)
            .filter_map(|(_, value)| Branch::from_bytes(value));
        let ids = branches.map(|branch| {
            DataStructure::Id(ObjectId::Transaction(Arc::new(TransactionId::Xa(XaTransactionId {
                format_id: branch.format,
                global_transaction_id: branch.global,
                branch_qualifier: branch.qualifier,
            }))))
        });
        self.output.push(Command::DataArrayResponse(DataArrayResponse {
            correlation_id,
            data: Some(ids.collect()),
            ..DataArrayResponse::default()
        }));
    }

    /// Nothing of this connection's part is under way any more: what it has kept is settled, and the rest asked for.
    pub fn finish_part(&mut self, number: u64, finish: Finish, out: &mut Out<'_>) -> Step {
        let Some(open) = self.transactions.get_mut(number) else { return Step::Done };
        let Some(id) = open.branch.clone() else { return Step::Done };
        let Ok(branch) = branch_of(&id) else { return Step::Done };
        if let Some(why) = open.failed.clone() {
            return self.fail_part(number, &branch, finish, &why, out);
        }
        if let Some(kept) = open.kept.front().cloned() {
            if !self.settle_kept(&kept, number, true, out) {
                return Step::Full;
            }
            if let Some(open) = self.transactions.get_mut(number) {
                open.kept.pop_front();
                open.settled.push(kept);
            }
            return Step::Again;
        }
        if !open.settled.is_empty() && !open.is_awaited {
            let meta = VerbMeta { token: self.asked.next_token(), confirm: true, id: 0, transaction: number };
            out.branch(meta, &BranchStep::new(BranchAct::Await, branch.clone()));
            if out.overflowed() {
                return Step::Full;
            }
            open.is_awaited = true;
            self.asked.keep(Kept::BranchEnd { number });
            return Step::Again;
        }
        match finish {
            Finish::Part { respond } => {
                self.respond(respond);
                Step::Done
            }
            Finish::Branch(asking) => self.ask_branch(&branch, asking, out),
            Finish::Local { .. } => Step::Done,
        }
    }

    /// A part of it was refused on its way to the broker, which knows nothing of that: the branch cannot count.
    fn fail_part(
        &mut self,
        number: u64,
        branch: &Branch,
        finish: Finish,
        why: &str,
        out: &mut Out<'_>,
    ) -> Step {
        let meta = VerbMeta { token: Asked::ignored(), transaction: number, ..VerbMeta::default() };
        out.branch(meta, &BranchStep::new(BranchAct::Rollback, branch.clone()));
        if out.overflowed() {
            return Step::Full;
        }
        match finish {
            // Whoever asks whether it can be committed will be told.
            Finish::Part { respond } => self.respond(respond),
            Finish::Branch(asking) => {
                if let Some(open) = self.transactions.get_mut(number) {
                    open.finishing = None;
                }
                self.branch_ended(number, false);
                let text =
                    format!("the transaction was rolled back, because a part of it was refused: {why}");
                self.refuse(asking.respond, &Exception::xa(xa::ROLLED_BACK, text));
            }
            Finish::Local { .. } => {}
        }
        Step::Done
    }

    /// A branch counts, or does not: what this connection's part has settled is gone, or is its consumers' again.
    pub fn branch_ended(&mut self, number: u64, counts: bool) {
        let Some(mut open) = self.transactions.take(number) else { return };
        // Whoever waits for a step of it still, waits for nothing any more.
        match open.finishing.take() {
            Some(Finish::Part { respond }) => self.respond(respond),
            Some(Finish::Branch(asking)) => {
                let text = format!("Transaction '{}' has ended meanwhile.", asking.id);
                self.refuse(asking.respond, &Exception::xa(xa::UNKNOWN, text));
            }
            Some(Finish::Local { .. }) | None => {}
        }
        for kept in open.kept.into_iter().chain(open.settled) {
            if let Some(consumer) = self.consumers.get_mut(kept.consumer) {
                consumer.unsettled.transaction_ended(number, (kept.first, kept.last), counts);
            }
        }
    }

    /// The broker has done what was asked for.
    pub fn branch_done(&mut self, asking: Asking, reply: &ReplyRef<'_>) {
        let Asking { act, id, number, respond } = asking;
        if act == BranchAct::Prepare {
            let read_only = flags_of(reply.fields) & flag::BRANCH_READ_ONLY != 0;
            if read_only {
                self.branch_ended(number, true);
                self.transactions.remember_read_only(&id);
            } else if let Some(open) = self.transactions.get_mut(number) {
                open.is_prepared = true;
            }
            if let Some(correlation_id) = respond {
                let result = if read_only { READ_ONLY } else { PREPARED };
                let response = IntegerResponse { correlation_id, result, ..IntegerResponse::default() };
                self.output.push(Command::IntegerResponse(response));
            }
            return;
        }
        self.branch_ended(number, act != BranchAct::Rollback);
        self.respond(respond);
    }

    /// It has not.
    pub fn branch_refused(&mut self, asking: &Asking, reason: Reason, text: &str) {
        match reason {
            Reason::RolledBack => self.branch_ended(asking.number, false),
            // What was settled in it would have been told of: the rest has never reached the broker.
            Reason::NotFound => self.branch_ended(asking.number, false),
            _ => {}
        }
        self.refuse(asking.respond, &Exception::xa(xa::code_of(reason), text));
    }

    /// A branch has ended, perhaps by the hands of others.
    pub fn branch_told(&mut self, number: u64, answer: &[u8]) {
        self.branch_ended(number, flags_of(answer) & flag::BRANCH_RESTORED == 0);
    }
}

fn flags_of(answer: &[u8]) -> u64 {
    fields::iter(answer)
        .map_while(Result::ok)
        .find(|(kind, _)| *kind == field::FLAGS)
        .and_then(|(_, value)| value.try_into().ok())
        .map_or(0, u64::from_le_bytes)
}
