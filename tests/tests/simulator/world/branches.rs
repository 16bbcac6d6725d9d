// SPDX-License-Identifier: Apache-2.0
//! Branches of distributed transactions, and the transaction manager that ends them: it remembers what it has decided, asks
//! after every restart what is prepared, and knows what must be there.

use super::{World, pick};
use crate::client::{Asked, Held, holder};
use crate::ledger::Tx;
use sabir_engine::{Client as Who, Input};
use sabir_model::fields::{self, flag, number};
use sabir_model::verb::{Answer, Query, Reason, Request};
use sabir_model::{Branch, BranchAct, BranchStep, SessionId, Verb};
use std::collections::BTreeSet;

/// How far a branch is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// No answer has come yet.
    PrepareAsked,
    /// None will come. It was prepared, but nobody knows whether that would outlive the broker: it can only be rolled back.
    Orphan,
    /// It may be committed or rolled back; `Some`: that was decided before a restart.
    Prepared(Option<bool>),
    /// It is being committed (true) or rolled back.
    Ending(bool),
}

/// A branch that was prepared, or is about to be.
#[derive(Clone, Debug)]
pub struct InDoubt {
    pub stage: Stage,
    /// Who has prepared it, and over which session.
    client: usize,
    session: Option<SessionId>,
    /// What that client had, and has settled in it.
    settled: Vec<Held>,
}

pub(super) fn name(tx: Tx) -> Branch {
    Branch::new(7, &tx.to_le_bytes(), b"simulated").expect("it is short")
}

pub(super) fn step(act: BranchAct, tx: Tx) -> Verb {
    Verb::Branch(Box::new(BranchStep::new(act, name(tx))))
}

fn is_read_only(answer: &Answer) -> bool {
    let Answer::Told(told) = answer else { return false };
    let mut flags = fields::iter(&told.fields).flatten().filter(|(field, _)| *field == number::FLAGS);
    flags.any(|(_, value)| value == flag::BRANCH_READ_ONLY.to_le_bytes())
}

impl World {
    /// The client's open branch is prepared, committed at once, or rolled back.
    pub(super) fn end_branch(&mut self, client: usize, tx: Tx, settled: Vec<Held>) {
        let session = self.clients[client].session;
        match self.random.below(100) {
            0..60 => {
                self.note(format!("client {client} prepares {tx}"));
                self.ledger.prepare_asked(tx);
                let in_doubt = InDoubt { stage: Stage::PrepareAsked, client, session, settled };
                self.in_doubt.insert(tx, in_doubt);
                self.ask(client, Asked::Prepare(tx), true, 0, 0, step(BranchAct::Prepare, tx));
            }
            60..85 => {
                self.note(format!("client {client} commits {tx} in one phase"));
                self.ledger.commit_asked(tx);
                self.one_phase.insert(tx, (client, session, settled));
                self.ask(client, Asked::Commit(tx), true, 0, 0, step(BranchAct::CommitOnePhase, tx));
            }
            _ => {
                self.note(format!("client {client} rolls the branch {tx} back"));
                self.ledger.rolled_back(tx);
                self.ask(client, Asked::Rollback, true, 0, 0, step(BranchAct::Rollback, tx));
                self.regain(client, session, settled);
            }
        }
    }

    /// What was settled in a branch that was rolled back is its consumers' again.
    fn regain(&mut self, client: usize, session: Option<SessionId>, settled: Vec<Held>) {
        let one = &mut self.clients[client];
        let Some(session) = session.filter(|session| one.session == Some(*session)) else { return };
        for held in settled {
            if one.subscriptions.contains_key(&held.subscription) {
                self.ledger.regained(held.id, held.place, holder(session));
                one.held.push(held);
            }
        }
    }

    /// The transaction manager ends one of the branches that are prepared, through any client.
    pub(super) fn decide(&mut self, client: usize) {
        let prepared = |one: &InDoubt| matches!(one.stage, Stage::Prepared(_) | Stage::Orphan);
        let txs: Vec<Tx> = self.in_doubt.iter().filter(|(_, one)| prepared(one)).map(|(tx, _)| *tx).collect();
        if !txs.is_empty() {
            let tx = txs[pick(&mut self.random, txs.len())];
            self.end_prepared(client, tx);
        }
    }

    pub(super) fn end_prepared(&mut self, client: usize, tx: Tx) {
        let Some(one) = self.in_doubt.get_mut(&tx) else { return };
        let decided = match one.stage {
            Stage::Prepared(decided) => decided,
            Stage::Orphan => Some(false),
            Stage::PrepareAsked | Stage::Ending(_) => return,
        };
        let commit = decided.unwrap_or_else(|| self.random.chance(60));
        one.stage = Stage::Ending(commit);
        let one = one.clone();
        self.note(format!(
            "client {client} {} the prepared {tx}",
            if commit { "commits" } else { "rolls back" }
        ));
        if commit {
            self.ledger.commit_asked(tx);
            self.ask(client, Asked::End(tx), true, 0, 0, step(BranchAct::Commit, tx));
        } else {
            self.ledger.rolled_back(tx);
            self.ask(client, Asked::End(tx), true, 0, 0, step(BranchAct::Rollback, tx));
            self.regain(one.client, one.session, one.settled);
        }
    }

    /// A commit in one phase was answered, or one of a local transaction.
    pub(super) fn one_phase_answered(&mut self, tx: Tx, yes: bool) {
        if let Some((client, session, settled)) = self.one_phase.remove(&tx).filter(|_| !yes) {
            self.regain(client, session, settled);
        }
    }

    /// A prepare was answered.
    pub(super) fn prepare_answered(&mut self, tx: Tx, answer: &Answer) {
        match answer {
            Answer::Refused(refusal) if refusal.reason == Reason::Store => {}
            Answer::Refused(_) => {
                self.ledger.rolled_back(tx);
                if let Some(one) = self.in_doubt.remove(&tx) {
                    self.regain(one.client, one.session, one.settled);
                }
            }
            answer if is_read_only(answer) => {
                self.in_doubt.remove(&tx);
                self.ledger.committed(tx);
            }
            _ => {
                self.counts.prepared += 1;
                if let Some(one) = self.in_doubt.get_mut(&tx).filter(|one| one.stage == Stage::PrepareAsked) {
                    one.stage = Stage::Prepared(None);
                    self.ledger.prepared(tx);
                }
            }
        }
    }

    /// The end of a prepared branch was answered.
    pub(super) fn end_answered(&mut self, tx: Tx, answer: &Answer) {
        match answer {
            Answer::Refused(refusal) if refusal.reason == Reason::Store => {}
            Answer::Refused(refusal) => {
                self.ledger.violations.push(format!("the prepared {tx} cannot be ended: {refusal}"));
            }
            _ => {
                if self.in_doubt.remove(&tx).is_some_and(|one| one.stage == Stage::Ending(true)) {
                    self.counts.committed += 1;
                    self.ledger.committed(tx);
                }
            }
        }
    }

    /// The answers to a client are lost: whether it has prepared something is asked anew.
    pub(super) fn prepare_unanswered(&mut self, client: usize) {
        let open = |one: &InDoubt| one.client == client && one.stage == Stage::PrepareAsked;
        let txs: Vec<Tx> = self.in_doubt.iter().filter(|(_, one)| open(one)).map(|(tx, _)| *tx).collect();
        if txs.is_empty() {
            return;
        }
        let Some(listed) = self.list_prepared() else { return };
        for tx in txs {
            if let Some(one) = self.in_doubt.get_mut(&tx).filter(|_| listed.contains(&tx)) {
                one.stage = Stage::Orphan;
            } else {
                self.in_doubt.remove(&tx);
                self.ledger.rolled_back(tx);
            }
        }
    }

    /// After a restart: what is prepared must be exactly what was said to be, and was not ended.
    pub(super) fn recover_branches(&mut self) {
        let Some(listed) = self.list_prepared() else { return };
        for tx in listed.iter().filter(|tx| !self.in_doubt.contains_key(tx)) {
            self.ledger
                .violations
                .push(format!("the branch {tx} is prepared, and nobody has asked for that"));
        }
        for (tx, mut one) in std::mem::take(&mut self.in_doubt) {
            let is_listed = listed.contains(&tx);
            self.counts.recovered += u64::from(is_listed);
            self.note(format!("after the restart {tx}, which was {:?}, is listed: {is_listed}", one.stage));
            let decided = match one.stage {
                Stage::Prepared(decided) => {
                    if !is_listed {
                        self.ledger.violations.push(format!("the prepared branch {tx} is lost"));
                    }
                    decided
                }
                Stage::PrepareAsked => None,
                Stage::Orphan => Some(false),
                Stage::Ending(commit) => Some(commit),
            };
            if is_listed {
                one.stage = Stage::Prepared(decided);
                if decided != Some(false) {
                    self.ledger.prepared(tx);
                }
                self.in_doubt.insert(tx, one);
            } else {
                match one.stage {
                    Stage::PrepareAsked | Stage::Orphan => self.ledger.rolled_back(tx),
                    Stage::Ending(true) => self.ledger.committed(tx),
                    Stage::Ending(false) | Stage::Prepared(_) => {}
                }
            }
        }
    }

    /// The numbers of the prepared branches, asked by a session of its own; nothing if the store has failed.
    pub(super) fn list_prepared(&mut self) -> Option<BTreeSet<Tx>> {
        self.next_session += 1;
        let session = SessionId(self.next_session);
        let broker = self.broker.as_mut()?;
        broker.now = self.now;
        broker.tell(Input::Open { session, client: Who::default() });
        let verb = Verb::Query(Box::new(Query::Prepared { all: true }));
        let mut requests = vec![Request { token: 1, confirm: true, id: 0, transaction: 0, verb }];
        broker.tell(Input::Requests { session, requests: &mut requests });
        let at = broker.out.replies.iter().position(|(other, _)| *other == session);
        let answer = at.map(|at| broker.out.replies.remove(at).1.answer);
        broker.tell(Input::Close { session });
        let Some(Answer::Told(told)) = answer else { return None };
        let branches = fields::iter(&told.fields).flatten().filter(|(field, _)| *field == number::BRANCH);
        let tx_of = |branch: Branch| branch.global.as_ref().try_into().ok().map(u64::from_le_bytes);
        Some(branches.filter_map(|(_, bytes)| tx_of(Branch::from_bytes(bytes)?)).collect())
    }
}
