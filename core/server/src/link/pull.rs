// SPDX-License-Identifier: Apache-2.0
//! Long bodies, on their way out: pieces are fetched from the store one after the other, as fast as the peer takes them,
//! and handed to the session as they come. Nothing else is handed over between two of them.
//!
//! A link has at most one piece that its peer has yet to take, and one that is being fetched or waits behind it.

use super::speaker::{Ended, Speaker, Turn};
use crate::broker::Fetch;
use bytes::Bytes;
use sabir_model::delivery::{Delivery, DeliveryKind};
use sabir_model::message::{Apart, Piece};
use sabir_model::stored::StoredAt;
use sabir_model::verb::{Outcome, Settle, SettleRange};
use sabir_model::{Request, Verb};

/// How far the body at the front of the deliveries has come.
#[derive(Debug)]
pub(super) struct Pull {
    at: StoredAt,
    /// The piece that is fetched next.
    next: u64,
    /// Bytes that were handed over.
    done: u64,
    state: State,
}

#[derive(Debug)]
enum State {
    /// The next piece is to be asked for.
    Idle,
    /// It was asked for.
    Asked,
    /// It is here.
    Here(Bytes),
}

impl Pull {
    /// Whether nothing can be done before a piece comes.
    pub fn waits(&self) -> bool {
        matches!(self.state, State::Asked)
    }
}

/// What comes of a delivery whose body lies in the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pulled {
    /// It was handed over, or nobody wants it any more.
    All,
    /// It goes on when a piece comes, or when the peer has taken what it has.
    Later,
}

/// Where the body of a delivery lies, if that is in the store.
pub(super) fn stored_at(delivery: &Delivery) -> Option<StoredAt> {
    match &delivery.kind {
        DeliveryKind::Message { message, .. } => message.stored_body().map(|body| body.at()),
        _ => None,
    }
}

/// The delivery with a piece of its body.
fn with_piece(delivery: &Delivery, piece: Piece) -> Delivery {
    let mut delivery = delivery.clone();
    if let DeliveryKind::Message { message, .. } = &mut delivery.kind {
        *message = message.with_body(Apart::Piece(Box::new(piece)));
    }
    delivery
}

impl Speaker {
    /// Hands over as much of this delivery, whose body lies there, as there is room for.
    pub(super) fn pull(
        &mut self,
        turn: &mut Turn<'_, '_>,
        delivery: &Delivery,
        at: StoredAt,
    ) -> Result<Pulled, Ended> {
        if self.pull.is_none() && !self.is_wanted(delivery) {
            return Ok(Pulled::All);
        }
        while self.has_room() {
            let pull = self.pull.get_or_insert(Pull { at, next: 0, done: 0, state: State::Idle });
            let bytes = match std::mem::replace(&mut pull.state, State::Asked) {
                State::Here(bytes) => bytes,
                State::Asked => return Ok(Pulled::Later),
                State::Idle => {
                    self.context.room.fetch(Fetch { log: at.log, seq: pull.next, to: self.outbox.clone() });
                    return Ok(Pulled::Later);
                }
            };
            if self.hand_over_piece(turn, delivery, bytes)? == Pulled::All {
                return Ok(Pulled::All);
            }
        }
        Ok(Pulled::Later)
    }

    /// Whether the engine still waits for this delivery to be settled: what was taken back is not worth to be fetched.
    fn is_wanted(&self, delivery: &Delivery) -> bool {
        let (session, room) = (self.id, &self.context.room);
        room.inspect(|engine| engine.awaits(session, delivery.subscription, delivery.tag))
    }

    fn hand_over_piece(
        &mut self,
        turn: &mut Turn<'_, '_>,
        delivery: &Delivery,
        bytes: Bytes,
    ) -> Result<Pulled, Ended> {
        let Some(pull) = &mut self.pull else { return Ok(Pulled::All) };
        let total = pull.at.len;
        let done = pull.done + bytes.len() as u64;
        if bytes.is_empty() || done > total {
            return self.give_up(turn, delivery, "its pieces are not as long as they should be");
        }
        let (more, continued) = (done < total, pull.done > 0);
        let piece = Piece { bytes: bytes.clone(), total, more, continued };
        let offered = [with_piece(delivery, piece)];
        let now = turn.now;
        let count = self.tell(turn, |session, out| session.on_deliveries(now, &offered, out))?;
        if count == 0 {
            self.unstick(turn, "a piece of a body")?;
            if let Some(pull) = &mut self.pull {
                pull.state = State::Here(bytes);
            }
            return Ok(Pulled::Later);
        }
        self.after_call(turn, &offered)?;
        if !more {
            self.accepts.add(std::slice::from_ref(delivery), self.output.queued());
            self.pull = None;
            return Ok(Pulled::All);
        }
        if let Some(pull) = &mut self.pull {
            *pull = Pull { at: pull.at, next: pull.next + 1, done, state: State::Idle };
        }
        Ok(Pulled::Later)
    }

    /// A piece has come, or cannot be had.
    pub(super) fn fetched(
        &mut self,
        turn: &mut Turn<'_, '_>,
        piece: Result<Bytes, String>,
    ) -> Result<(), Ended> {
        match piece {
            Ok(bytes) => {
                if let Some(pull) = &mut self.pull {
                    pull.state = State::Here(bytes);
                }
                Ok(())
            }
            Err(text) => {
                let front = self.taken.deliveries.first().cloned();
                let Some(delivery) = front.filter(|_| self.pull.is_some()) else { return Ok(()) };
                if self.give_up(turn, &delivery, &text)? == Pulled::All {
                    self.taken.deliveries.remove(0);
                    self.taken.behind.iter_mut().for_each(|(behind, _)| *behind = behind.saturating_sub(1));
                }
                Ok(())
            }
        }
    }

    /// The body cannot be delivered: it goes to the dead letters, so that it does not come again and again. A session that
    /// has begun to write it cannot go on.
    fn give_up(&mut self, turn: &mut Turn<'_, '_>, delivery: &Delivery, why: &str) -> Result<Pulled, Ended> {
        let begun = self.pull.take().is_some_and(|pull| pull.done > 0);
        let range = SettleRange::Tags { first: delivery.tag, last: delivery.tag };
        let reason = format!("its body cannot be read: {why}");
        tracing::error!(reason, "a message cannot be delivered");
        turn.scratch.requests.push(Request {
            token: 0,
            confirm: false,
            id: delivery.subscription,
            transaction: 0,
            verb: Verb::Settle(Settle { range, outcome: Outcome::Reject { reason } }),
        });
        if begun {
            self.enter(turn);
            return Err(Ended::Failed("the rest of a message's body cannot be read".to_owned()));
        }
        Ok(Pulled::All)
    }
}
