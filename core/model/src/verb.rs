// SPDX-License-Identifier: Apache-2.0
//! What a session asks of the broker, and what it is answered. Every protocol is translated into these verbs.

use crate::branch::BranchStep;
use crate::destination::Destination;
use crate::message::Message;
use bytes::Bytes;
use std::fmt;

/// A session: one connection as its protocol sees it. Never used twice while the broker runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SessionId(pub u64);

/// One verb with what goes with every verb.
#[derive(Clone, Debug)]
pub struct Request {
    /// Chosen by the session, echoed in the reply.
    pub token: u64,
    /// A reply is wanted; without it only a refusal is replied.
    pub confirm: bool,
    /// Producer or subscription, chosen by the session.
    pub id: u64,
    /// Transaction, chosen by the session; 0: none.
    pub transaction: u64,
    /// What is asked.
    pub verb: Verb,
}

/// What is asked.
#[derive(Clone, Debug)]
pub enum Verb {
    /// Log in.
    Connect(Box<Connect>),
    /// Orderly end of the session.
    Disconnect,
    /// Make the producer `Request::id`.
    Attach(Box<Attach>),
    /// End it.
    Detach,
    /// Make a destination or exchange.
    Declare(Box<Declare>),
    /// Remove one, or a durable subscription.
    Delete(Box<Delete>),
    /// Tie an exchange to a target.
    Bind(Box<Bind>),
    /// Untie it.
    Unbind(Box<Bind>),
    /// Make the subscription `Request::id`.
    Subscribe(Box<Subscribe>),
    /// End it; with `forget` the durable subscription goes too.
    Unsubscribe {
        /// Delete the durable subscription and what it has collected.
        forget: bool,
    },
    /// Ask something.
    Query(Box<Query>),
    /// Begin, commit or roll back `Request::transaction`.
    Transact(Transact),
    /// A step of a branch of a distributed transaction.
    Branch(Box<BranchStep>),
    /// Send a message through the producer `Request::id`. Its body may have come before, in pieces.
    Publish(Message),
    /// A piece of the body of the message that the session's next `Publish` sends. Wants no answer: the engine tells when
    /// the store has taken it.
    Piece {
        /// The bytes.
        bytes: Bytes,
        /// The first of its body.
        first: bool,
    },
    /// Settle deliveries.
    Settle(Settle),
    /// Allow more deliveries.
    Credit {
        /// How many.
        amount: u64,
        /// `amount` replaces the credit instead of adding to it.
        set: bool,
        /// Deliver what is there within the credit, then drop what is left of it, then reply.
        drain: bool,
    },
}

/// Log in.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Connect {
    /// User name, if one was given.
    pub user: Option<String>,
    /// Password, if one was given.
    pub password: Option<Vec<u8>>,
    /// Client id, for durable subscriptions.
    pub client_id: Option<String>,
    /// Virtual host; `None`: the default one.
    pub virtual_host: Option<String>,
    /// Protocol and version, as `stomp/1.2`.
    pub protocol: String,
    /// No other session of the virtual host may have this client id.
    pub exclusive_client_id: bool,
    /// With `exclusive_client_id`: a session of the same user that has the client id is ended, and this one takes its
    /// place.
    pub take_over: bool,
}

impl fmt::Debug for Connect {
    /// Leaves the password out: this ends up in logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connect")
            .field("user", &self.user)
            .field("client_id", &self.client_id)
            .field("virtual_host", &self.virtual_host)
            .field("protocol", &self.protocol)
            .field("exclusive_client_id", &self.exclusive_client_id)
            .field("take_over", &self.take_over)
            .finish_non_exhaustive()
    }
}

/// Make a producer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attach {
    /// Where its messages go: one destination, or all of a composite.
    pub destinations: Vec<Destination>,
    /// Name for duplicate detection.
    pub producer_name: Option<String>,
}

/// Make a destination or exchange.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Declare {
    /// What is made.
    pub destination: Destination,
    /// Of an exchange: its kind.
    pub exchange_kind: Option<ExchangeKind>,
    /// Survives a restart.
    pub durable: bool,
    /// Goes when its last consumer goes.
    pub auto_delete: bool,
    /// Only this connection may use it; it goes with the connection.
    pub exclusive: bool,
    /// Make nothing; refuse if it does not exist.
    pub passive: bool,
}

/// How an exchange routes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExchangeKind {
    /// To the bindings whose key is the message's.
    Direct,
    /// To all bindings.
    Fanout,
    /// To the bindings whose pattern matches the message's key.
    Topic,
    /// To the bindings whose selector the message satisfies.
    Headers,
}

/// Remove something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delete {
    /// A destination or exchange.
    pub destination: Option<Destination>,
    /// Or a durable subscription of this session's client id.
    pub subscription_name: Option<String>,
    /// Only if it holds no message, and none that was put off is to come to it.
    pub if_empty: bool,
    /// Only if it has no consumer.
    pub if_unused: bool,
}

/// Tie an exchange to a target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bind {
    /// The exchange.
    pub source: Destination,
    /// A queue or another exchange.
    pub target: Destination,
    /// Routing key or pattern.
    pub key: String,
    /// Condition on the message.
    pub selector: Option<String>,
}

/// Make a subscription.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscribe {
    /// From where: one destination, which may be a pattern, or all of a composite.
    pub destinations: Vec<Destination>,
    /// Condition on the messages.
    pub selector: Option<String>,
    /// Name of a durable subscription.
    pub name: Option<String>,
    /// Unsettled deliveries allowed, or deliveries allowed with `link_credit`.
    pub credit: u64,
    /// Consumer priority: higher is served first.
    pub priority: i8,
    /// Deliveries are accepted by the server once their bytes were handed to the link.
    pub auto_accept: bool,
    /// Not the messages that this connection sent.
    pub no_local: bool,
    /// Only one subscription of the queue is served at a time.
    pub exclusive: bool,
    /// Look without consuming.
    pub browse: bool,
    /// Keeps collecting while its consumer is away; needs a name.
    pub durable: bool,
    /// Several consumers may share it.
    pub shared: bool,
    /// Goes when its last consumer goes.
    pub auto_delete: bool,
    /// Credit is used up by deliveries and only `Credit` gives more.
    pub link_credit: bool,
}

/// Ask something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Query {
    /// Destinations that match a pattern, with their counts.
    List(Destination),
    /// Why the first waiting message of a queue is not delivered.
    Explain(Destination),
    /// The branches that are prepared.
    Prepared {
        /// Those of all users, not only the session's own. Nothing that comes from a plugin says so: it is the broker's
        /// own layers that do.
        all: bool,
    },
}

/// What to do with a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transact {
    /// Begin it.
    Begin,
    /// Make all of it count.
    Commit,
    /// Make none of it count.
    Rollback,
}

/// Settle deliveries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settle {
    /// Which.
    pub range: SettleRange,
    /// How.
    pub outcome: Outcome,
}

/// Which deliveries are settled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SettleRange {
    /// Those of the subscription with tags `first` to `last`, inclusive.
    Tags {
        /// First tag.
        first: u64,
        /// Last tag.
        last: u64,
    },
    /// All unsettled ones of the subscription up to this tag.
    UpTo(u64),
    /// All unsettled ones of the session up to this tag.
    SessionUpTo(u64),
}

/// How a delivery is settled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Done with it.
    Accept,
    /// It cannot be processed: to the dead letters, by policy.
    Reject {
        /// Why; kept with the dead letter.
        reason: String,
    },
    /// Deliver it again; counts as an attempt.
    Release {
        /// Not before so many milliseconds from now; `None`: the destination's policy decides.
        delay_ms: Option<u32>,
    },
    /// It was never looked at: deliver it again, not counted.
    Return,
}

/// Answer to a verb.
#[derive(Clone, Debug)]
pub struct Reply {
    /// Of the request.
    pub token: u64,
    /// The answer.
    pub answer: Answer,
}

/// The kinds of answer.
#[derive(Clone, Debug)]
pub enum Answer {
    /// Done, and durable where that was asked for.
    Done,
    /// Done, with something to tell: a name, or fields.
    Told(Box<Told>),
    /// Refused, without effect.
    Refused(Box<Refusal>),
}

/// What an answer can tell.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Told {
    /// As the name of a temporary destination.
    pub text: String,
    /// Fields, as [`crate::fields`] writes them.
    pub fields: Vec<u8>,
}

/// Why a verb was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct Refusal {
    /// For programs.
    pub reason: Reason,
    /// For people: what was wrong and, for limits, the setting's name.
    pub text: String,
    /// The session must be ended.
    pub fatal: bool,
}

impl Refusal {
    /// A refusal after which the session goes on.
    pub fn new(reason: Reason, text: impl Into<String>) -> Self {
        Refusal { reason, text: text.into(), fatal: false }
    }
}

/// Why a verb was refused, for programs. The numbers are those of `SABIR_REASON_*`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u32)]
pub enum Reason {
    /// It does not fit the session's state, or its fields contradict each other.
    Invalid = 1,
    /// Wrong user name or password.
    Unauthenticated = 2,
    /// The user may not do that.
    Forbidden = 3,
    /// No such destination, producer, subscription, delivery or transaction.
    NotFound = 4,
    /// It exists already, differently.
    Conflict = 5,
    /// A limit was reached.
    Limit = 6,
    /// The message is damaged or too large.
    BadMessage = 7,
    /// The selector cannot be parsed.
    BadSelector = 8,
    /// The store has failed.
    Store = 9,
    /// The transaction was rolled back.
    RolledBack = 10,
    /// The broker is stopping.
    Stopping = 11,
    /// This broker cannot do that.
    Unsupported = 12,
    /// The queue is full and its policy refuses instead of waiting.
    Full = 13,
}

impl Reason {
    /// All of them, in order of their numbers: for total mappings and their tests.
    pub const ALL: [Reason; 13] = [
        Reason::Invalid,
        Reason::Unauthenticated,
        Reason::Forbidden,
        Reason::NotFound,
        Reason::Conflict,
        Reason::Limit,
        Reason::BadMessage,
        Reason::BadSelector,
        Reason::Store,
        Reason::RolledBack,
        Reason::Stopping,
        Reason::Unsupported,
        Reason::Full,
    ];

    /// The reason with this number.
    pub fn from_number(number: u32) -> Option<Reason> {
        Reason::ALL.get(usize::try_from(number).ok()?.checked_sub(1)?).copied()
    }
}
