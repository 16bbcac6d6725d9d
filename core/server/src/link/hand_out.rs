// SPDX-License-Identifier: Apache-2.0
//! Outwards: what waits in a session's outbox becomes bytes on its link, as far as the peer takes them.

use super::pull::{Pull, Pulled, stored_at};
use super::speaker::{Ended, Speaker, Turn};
use crate::broker::{End, Pieces};
use sabir_engine::FlowChange;
use sabir_host::Flow;
use sabir_model::Reply;
use sabir_model::verb::Answer;
use sabir_stack::{Outbound, Outgoing};

impl Speaker {
    /// Hands the session what waits for it.
    pub(super) fn hand_out(&mut self, turn: &mut Turn<'_, '_>) -> Result<bool, Ended> {
        let mut progress = self.take_pieces(turn)?;
        progress |= self.hand_over(turn)?;
        while self.has_room() && self.taken.is_done() {
            if !self.outbox.take(&mut self.taken, turn.cx.waker()) {
                return Ok(progress);
            }
            progress = true;
            let Self { requests, taken, .. } = self;
            let outgoing = Outgoing { now: turn.now, replies: &taken.replies, deliveries: &taken.deliveries };
            let behind: Vec<Reply> = taken.behind.iter().map(|(_, reply)| reply.clone()).collect();
            let later = Outgoing { now: turn.now, replies: &behind, deliveries: &[] };
            let passed = requests.stack.outbound(&outgoing);
            let passed = if behind.is_empty() { passed } else { passed.and(requests.stack.outbound(&later)) };
            if let Err(refusal) = passed {
                taken.replies.clear();
                taken.deliveries.clear();
                taken.behind.clear();
                self.end(turn, &refusal.text)?;
                return Ok(true);
            }
            requests.order.answered(&mut taken.replies);
            for (at, reply) in std::mem::take(&mut taken.behind) {
                let mut ordered = vec![reply];
                requests.order.answered(&mut ordered);
                taken.behind.extend(ordered.into_iter().map(|reply| (at, reply)));
            }
            if let Some(change) = self.taken.flow.take() {
                self.engine_flow(turn, &change)?;
            }
            self.hand_over(turn)?;
            if let Some(end) = self.taken.end.take() {
                self.must_end(turn, end)?;
            }
        }
        // Whoever cannot be told anything can still be told to end.
        if let Some(end) = self.outbox.watch_end(turn.cx.waker()) {
            self.must_end(turn, end)?;
            return Ok(true);
        }
        Ok(progress)
    }

    /// Takes what concerns bodies in pieces, in whichever direction.
    fn take_pieces(&mut self, turn: &mut Turn<'_, '_>) -> Result<bool, Ended> {
        if self.pull.is_none() && self.handed_on_bytes == 0 {
            return Ok(false);
        }
        let Pieces { stored_bytes, piece } = self.outbox.take_pieces();
        let progress = stored_bytes > 0 || piece.is_some();
        self.handed_on_bytes = self.handed_on_bytes.saturating_sub(stored_bytes);
        if let Some(piece) = piece {
            self.fetched(turn, piece)?;
        }
        Ok(progress)
    }

    /// The broker wants the session to end: at once, or when what it asked for was answered.
    fn must_end(&mut self, turn: &mut Turn<'_, '_>, end: End) -> Result<(), Ended> {
        match end {
            End::AtOnce(reason) if self.is_open() => self.end(turn, &reason),
            End::AtOnce(_) => Ok(()),
            End::WhenAnswered(reason) => {
                self.draining = Some(reason);
                Ok(())
            }
        }
    }

    /// Hands over what was taken out of the outbox, or answered by the stack itself.
    fn hand_over(&mut self, turn: &mut Turn<'_, '_>) -> Result<bool, Ended> {
        let waits = self.pull.as_ref().is_some_and(Pull::waits);
        if self.taken.is_done() || waits || !self.has_room() {
            return Ok(false);
        }
        self.replies(turn)?;
        self.deliveries(turn)?;
        while let Some((0, _)) = self.taken.behind.front() {
            let next = self.taken.behind.pop_front().map(|(_, reply)| reply);
            self.taken.replies.extend(next);
            self.replies(turn)?;
            self.deliveries(turn)?;
        }
        // Answers without deliveries behind them are still in the buffers.
        self.after_call(turn, &[])?;
        Ok(true)
    }

    /// Whether the peer takes what it is sent.
    pub(super) fn has_room(&self) -> bool {
        self.output.backlog_bytes() <= self.context.limits.max_write_backlog_bytes && self.is_open()
    }

    /// Hands over answers. They share a write with the deliveries behind them.
    fn replies(&mut self, turn: &mut Turn<'_, '_>) -> Result<(), Ended> {
        let (mut replies, now) = (std::mem::take(&mut self.taken.replies), turn.now);
        let mut at = 0;
        while at < replies.len() && self.has_room() {
            let offered = &replies[at..];
            let count = self.tell(turn, |session, out| session.on_replies(now, offered, out))?;
            if count == 0 {
                self.unstick(turn, "a reply")?;
            } else {
                self.take_verbs(turn, &[])?;
            }
            if count < offered.len() {
                self.take_output(turn, &[])?;
            }
            at += count.min(offered.len());
        }
        let is_fatal = |reply: &Reply| matches!(&reply.answer, Answer::Refused(refusal) if refusal.fatal);
        if replies.iter().take(at).any(is_fatal) {
            self.take_output(turn, &[])?;
            self.close_when_written(Ended::Session);
        }
        replies.drain(..at);
        self.taken.replies = replies;
        Ok(())
    }

    /// Hands over deliveries, up to the first answer that stands behind some, and writes what the session makes of them.
    fn deliveries(&mut self, turn: &mut Turn<'_, '_>) -> Result<(), Ended> {
        let upto = self.taken.behind.front().map_or(usize::MAX, |(at, _)| *at);
        let (mut deliveries, now) = (std::mem::take(&mut self.taken.deliveries), turn.now);
        let upto = upto.min(deliveries.len());
        let mut at = 0;
        while at < upto && self.has_room() {
            if let Some(body) = stored_at(&deliveries[at]) {
                match self.pull(turn, &deliveries[at], body)? {
                    Pulled::All => at += 1,
                    Pulled::Later => break,
                }
                continue;
            }
            // Up to the next one whose body has to be fetched.
            let until = deliveries[at..upto].iter().position(|one| stored_at(one).is_some());
            let offered = &deliveries[at..until.map_or(upto, |until| at + until)];
            let count = self.tell(turn, |session, out| session.on_deliveries(now, offered, out))?;
            if count == 0 {
                self.unstick(turn, "a delivery")?;
                continue;
            }
            let count = count.min(offered.len());
            self.after_call(turn, offered)?;
            self.accepts.add(&offered[..count], self.output.queued());
            at += count;
        }
        deliveries.drain(..at);
        if at > 0 {
            // Answers without deliveries between them come by the thousand: they must not be walked for each of them.
            self.taken.behind.iter_mut().for_each(|(behind, _)| *behind -= at);
        }
        self.taken.deliveries = deliveries;
        Ok(())
    }

    /// Empties the buffers of a session that took nothing. With empty buffers there is room for any one step, so that
    /// a session which then takes nothing never will.
    pub(super) fn unstick(&mut self, turn: &mut Turn<'_, '_>, what: &str) -> Result<(), Ended> {
        let out = &turn.scratch.out;
        if out.verb_count() == 0 && out.segments().next().is_none() && !out.close() {
            return Err(super::speaker::broken(&format_args!("it takes not even one of {what}")));
        }
        self.after_call(turn, &[])
    }

    /// The engine parks publishes, or no longer does.
    fn engine_flow(&mut self, turn: &mut Turn<'_, '_>, change: &FlowChange) -> Result<(), Ended> {
        self.engine_pauses = change.pause_reading;
        self.budget.set_parked(change.parked);
        self.set_flow(turn, Flow { parked: change.parked, ..self.flow }, &change.reason)
    }

    /// Tells the session how the flow is, if that is news.
    pub(super) fn set_flow(
        &mut self,
        turn: &mut Turn<'_, '_>,
        flow: Flow,
        reason: &str,
    ) -> Result<(), Ended> {
        if flow == self.flow {
            return Ok(());
        }
        self.flow = flow;
        let now = turn.now;
        self.tell(turn, |session, out| session.on_flow(now, flow, reason, out))?;
        self.after_call(turn, &[])
    }
}
