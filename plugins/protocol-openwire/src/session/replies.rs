// SPDX-License-Identifier: Apache-2.0
//! What the broker answers, and what clients are told of it.

use super::asked::{Answered, Kept};
use super::problem::{Exception, class, xa};
use super::{Core, Phase};
use sabir_model::verb::Reason;
use sabir_sdk::protocol::{Out, ReplyRef};

impl Core {
    /// A verb was answered.
    pub fn on_reply(&mut self, reply: &ReplyRef<'_>, out: &mut Out<'_>) {
        if self.phase == Phase::Closed {
            return;
        }
        let answered = self.asked.answered(reply.token);
        match reply.status {
            Ok(()) => match answered {
                Answered::Respond(command_id) => self.respond(Some(command_id)),
                Answered::Kept(kept) => self.done(kept, reply),
                Answered::InTransaction(number) => self.transactions.answered(number, None),
                Answered::Silent | Answered::Ignored | Answered::Settled | Answered::Unknown => {}
            },
            Err((reason, fatal)) => {
                let exception = Exception::of(reason, reply.text);
                match answered {
                    Answered::Respond(command_id) => self.refuse(Some(command_id), &exception),
                    Answered::Silent => self.refuse(None, &exception),
                    Answered::InTransaction(number) => self.refused_in_transaction(number, &exception),
                    // Both ends may settle the same at the same time, and a consumer may go while it is settled for.
                    Answered::Settled if reason != Reason::NotFound => self.refuse(None, &exception),
                    Answered::Kept(kept) => self.refused(kept, reason, exception),
                    Answered::Settled | Answered::Ignored | Answered::Unknown => {}
                }
                if fatal {
                    self.close(out);
                }
            }
        }
    }

    /// A message in a transaction was refused; 0: in none. The client is told, and its commit will fail.
    fn refused_in_transaction(&mut self, number: u64, exception: &Exception) {
        self.transactions.answered(number, Some(exception.text()));
        self.refuse(None, exception);
    }

    /// What was kept for a verb is done, now that the verb is.
    fn done(&mut self, kept: Kept, reply: &ReplyRef<'_>) {
        match kept {
            Kept::Connect { respond, manageable } => self.connected(respond, manageable),
            Kept::Disconnect { respond } => self.left(respond),
            Kept::Attach { respond, .. } | Kept::Subscribe { respond, .. } => self.respond(respond),
            Kept::AttachDestination { number } => self.producers.allowed(number),
            Kept::FirstPublish { respond, transaction, .. } => {
                self.transactions.answered(transaction, None);
                self.respond(respond);
            }
            Kept::Windowed { producer, size, transaction } => {
                self.transactions.answered(transaction, None);
                self.acknowledge_window(producer, size);
            }
            Kept::Pull { number, serial } => self.pull_ended(number, serial),
            Kept::List { number } => self.listed(number, reply.fields),
            Kept::Branch(asking) => self.branch_done(asking, reply),
            Kept::BranchEnd { number } => self.branch_told(number, reply.fields),
            Kept::Recover { respond } => self.recovered(respond, reply.fields),
            Kept::SpeaksForOthers => self.speaks_for_others = true,
            Kept::Way { .. } => {}
        }
    }

    /// What was kept for a verb is done, now that it is clear that the verb will not be.
    fn refused(&mut self, kept: Kept, reason: Reason, exception: Exception) {
        match kept {
            Kept::Connect { respond, .. } => {
                let exception = match reason {
                    Reason::Conflict => Exception::new(class::CLIENT_ID, exception.text()),
                    _ => exception,
                };
                self.refuse(respond, &exception);
                self.not_connected();
            }
            // The client goes in any case.
            Kept::Disconnect { respond } => self.left(respond),
            Kept::Attach { producer, respond } => {
                self.producers.refused(&producer);
                self.refuse(respond, &exception);
            }
            Kept::Subscribe { number, respond } => {
                self.consumers.remove(number);
                self.lists.forget(number);
                self.refuse(respond, &exception);
            }
            Kept::AttachDestination { number } => {
                self.producers.forbidden(number);
                self.reasons.remember(number, exception);
            }
            Kept::FirstPublish { number, respond, transaction } => {
                let exception = self.reasons.of(number).cloned().unwrap_or(exception);
                self.transactions.answered(transaction, Some(exception.text()));
                self.refuse(respond, &exception);
            }
            Kept::Windowed { producer, size, transaction } => {
                // Whoever waits for room in its window would wait for ever.
                self.acknowledge_window(producer, size);
                self.refused_in_transaction(transaction, &exception);
            }
            Kept::Pull { number, serial } => self.pull_ended(number, serial),
            Kept::Branch(asking) => self.branch_refused(&asking, reason, exception.text()),
            // There is no part any more that could end.
            Kept::BranchEnd { .. } => {}
            Kept::Recover { respond } => {
                self.refuse(Some(respond), &Exception::xa(xa::code_of(reason), exception.text()));
            }
            Kept::Way { number } => self.way_refused(number, &exception),
            // It sends in its own name.
            Kept::SpeaksForOthers => {}
            Kept::List { .. } => {
                self.lists.answered();
                let what = "a listener to advisories cannot be told of what there is";
                crate::log::noted(&self.shared.host, &self.name, what, exception.text());
            }
        }
    }
}
