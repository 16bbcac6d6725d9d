// SPDX-License-Identifier: Apache-2.0
//! What the broker was asked and has not answered.
//!
//! A token says what its answer is for. Most commands need no more than their own number, so that nothing is kept for a
//! message; what needs more is kept here. The host bounds how much a session may have asked for.

use super::branch::Asking;
use super::problem::Exception;
use crate::codec::ProducerId;
use std::collections::HashMap;
use std::sync::Arc;

const KIND_BITS: u32 = 56;
const RESPOND: u64 = 1;
const SILENT: u64 = 2;
const IGNORED: u64 = 3;
const SETTLED: u64 = 4;
const KEPT: u64 = 5;
const IN_TRANSACTION: u64 = 6;

/// What is done with an answer.
#[derive(Debug, PartialEq, Eq)]
pub enum Answered {
    /// The command with this number gets its response.
    Respond(i32),
    /// Only a refusal is told.
    Silent,
    /// Nobody wants to know.
    Ignored,
    /// Only a refusal is told, unless what was to be settled is not there any more.
    Settled,
    /// A message in the transaction with this number, which cannot be committed without it.
    InTransaction(u64),
    /// More is to be done.
    Kept(Kept),
    /// Nobody has asked.
    Unknown,
}

/// What is to be done once an answer is there.
#[derive(Debug, PartialEq, Eq)]
pub enum Kept {
    /// The client has logged in.
    Connect {
        /// The number of `ConnectionInfo`, if it wants a response.
        respond: Option<i32>,
        /// Whether the client understands `ConnectionControl`.
        manageable: bool,
    },
    /// The client has left.
    Disconnect {
        /// The number of the command, if it wants a response.
        respond: Option<i32>,
    },
    /// A producer with a destination was made.
    Attach {
        /// The client's name of it.
        producer: Arc<ProducerId>,
        /// The number of `ProducerInfo`, if it wants a response.
        respond: Option<i32>,
    },
    /// A producer without destination has sent to one for the first time.
    AttachDestination {
        /// The broker's number of it.
        number: u64,
    },
    /// A message was sent there before it was known whether that is allowed.
    FirstPublish {
        /// The broker's number of what it went through.
        number: u64,
        /// The number of the message, if it wants a response.
        respond: Option<i32>,
        /// The transaction that waits for it; 0: none.
        transaction: u64,
    },
    /// A message of a producer that counts what is under way.
    Windowed {
        /// Whose.
        producer: Arc<ProducerId>,
        /// How much it counted for.
        size: i32,
        /// The transaction that waits for it; 0: none.
        transaction: u64,
    },
    /// A subscription was made.
    Subscribe {
        /// The broker's number of it.
        number: u64,
        /// The number of `ConsumerInfo`, if it wants a response.
        respond: Option<i32>,
    },
    /// A subscription of ours was made, for the other broker of a bridge.
    Way {
        /// The broker's number of it.
        number: u64,
    },
    /// A consumer's request for a message has come to its end.
    Pull {
        /// The broker's number of the subscription.
        number: u64,
        /// The how manieth request of that consumer it was.
        serial: u64,
    },
    /// A step of a branch.
    Branch(Asking),
    /// A branch ends, by whomever.
    BranchEnd {
        /// This connection's part of it.
        number: u64,
    },
    /// The prepared branches are listed.
    Recover {
        /// The number of the command.
        respond: i32,
    },
    /// Whether a bridge may send in the names of others.
    SpeaksForOthers,
    /// What there is, for a new listener to advisories.
    List {
        /// The broker's number of the subscription.
        number: u64,
    },
}

/// What is open.
#[derive(Debug, Default)]
pub struct Asked {
    made: u64,
    kept: HashMap<u64, Kept>,
}

impl Asked {
    /// The token of a command that wants a response, or else not.
    pub fn token(command_id: i32, respond: bool) -> u64 {
        if respond { RESPOND << KIND_BITS | u64::from(command_id as u32) } else { SILENT << KIND_BITS }
    }

    /// The token of a verb whose answer nobody wants to know.
    pub fn ignored() -> u64 {
        IGNORED << KIND_BITS
    }

    /// The token of what settles something, which may be gone.
    pub fn settled() -> u64 {
        SETTLED << KIND_BITS
    }

    /// The token of a message in a transaction that wants no response.
    pub fn in_transaction(number: u64) -> u64 {
        IN_TRANSACTION << KIND_BITS | number
    }

    /// The token that the next `keep` is for.
    pub fn next_token(&self) -> u64 {
        KEPT << KIND_BITS | self.made
    }

    /// The token of the `keep` after the next one.
    pub fn token_after_next(&self) -> u64 {
        KEPT << KIND_BITS | (self.made + 1)
    }

    /// Notes what is to be done when the verb with `next_token` was answered.
    pub fn keep(&mut self, kept: Kept) {
        self.kept.insert(self.made, kept);
        self.made += 1;
    }

    /// An answer has come. What is kept for a verb is done once.
    pub fn answered(&mut self, token: u64) -> Answered {
        let number = token & ((1 << KIND_BITS) - 1);
        match token >> KIND_BITS {
            RESPOND => match u32::try_from(number) {
                Ok(command_id) => Answered::Respond(command_id as i32),
                Err(_) => Answered::Unknown,
            },
            SILENT => Answered::Silent,
            IGNORED => Answered::Ignored,
            SETTLED => Answered::Settled,
            IN_TRANSACTION => Answered::InTransaction(number),
            KEPT => match self.kept.remove(&number) {
                Some(kept) => {
                    if self.kept.is_empty() && self.kept.capacity() > 16 {
                        self.kept = HashMap::new();
                    }
                    Answered::Kept(kept)
                }
                None => Answered::Unknown,
            },
            _ => Answered::Unknown,
        }
    }
}

/// Refusals of what was asked in front of other verbs that will be refused for that reason, and with less of a reason.
#[derive(Debug, Default)]
pub struct Reasons(Vec<(u64, Exception)>);

/// How many are remembered.
const REASONS: usize = 16;

impl Reasons {
    /// Remembers why something with this number was refused.
    pub fn remember(&mut self, number: u64, why: Exception) {
        if self.0.len() >= REASONS {
            self.0.remove(0);
        }
        self.0.push((number, why));
    }

    /// Why.
    pub fn of(&self, number: u64) -> Option<&Exception> {
        self.0.iter().find(|(other, _)| *other == number).map(|(_, why)| why)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_says_what_its_answer_is_for() {
        let mut asked = Asked::default();
        for command_id in [0, 1, -1, i32::MAX, i32::MIN] {
            let token = Asked::token(command_id, true);
            assert_eq!(asked.answered(token), Answered::Respond(command_id));
        }
        assert_eq!(asked.answered(Asked::token(7, false)), Answered::Silent);
        assert_eq!(asked.answered(Asked::ignored()), Answered::Ignored);
        assert_eq!(asked.answered(Asked::in_transaction(9)), Answered::InTransaction(9));
        for token in [0, 1, u64::MAX, u64::MAX / 2, RESPOND << KIND_BITS | 1 << 40] {
            assert_eq!(asked.answered(token), Answered::Unknown);
        }
    }

    #[test]
    fn what_is_kept_is_done_once() {
        let mut asked = Asked::default();
        let token = asked.next_token();
        asked.keep(Kept::List { number: 3 });
        assert_ne!(asked.next_token(), token);
        assert_eq!(asked.answered(token), Answered::Kept(Kept::List { number: 3 }));
        assert_eq!(asked.answered(token), Answered::Unknown);
    }
}
