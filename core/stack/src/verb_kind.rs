// SPDX-License-Identifier: Apache-2.0
//! The verbs by name, for logs and counters.

use sabir_model::Verb;

/// A verb without what goes with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VerbKind {
    /// Log in.
    Connect,
    /// Orderly end.
    Disconnect,
    /// Make a producer.
    Attach,
    /// End it.
    Detach,
    /// Make a destination.
    Declare,
    /// Remove one.
    Delete,
    /// Tie an exchange to a target.
    Bind,
    /// Untie it.
    Unbind,
    /// Make a subscription.
    Subscribe,
    /// End it.
    Unsubscribe,
    /// Ask something.
    Query,
    /// Begin, commit, roll back.
    Transact,
    /// A step of a branch of a distributed transaction.
    Branch,
    /// Send a message.
    Publish,
    /// Send a piece of a message's body.
    Piece,
    /// Settle deliveries.
    Settle,
    /// Allow more deliveries.
    Credit,
}

impl VerbKind {
    /// All of them, in the order of their numbers.
    pub const ALL: [VerbKind; 17] = [
        VerbKind::Connect,
        VerbKind::Disconnect,
        VerbKind::Attach,
        VerbKind::Detach,
        VerbKind::Declare,
        VerbKind::Delete,
        VerbKind::Bind,
        VerbKind::Unbind,
        VerbKind::Subscribe,
        VerbKind::Unsubscribe,
        VerbKind::Query,
        VerbKind::Transact,
        VerbKind::Branch,
        VerbKind::Publish,
        VerbKind::Piece,
        VerbKind::Settle,
        VerbKind::Credit,
    ];

    /// Of a verb.
    pub fn of(verb: &Verb) -> Self {
        match verb {
            Verb::Connect(_) => VerbKind::Connect,
            Verb::Disconnect => VerbKind::Disconnect,
            Verb::Attach(_) => VerbKind::Attach,
            Verb::Detach => VerbKind::Detach,
            Verb::Declare(_) => VerbKind::Declare,
            Verb::Delete(_) => VerbKind::Delete,
            Verb::Bind(_) => VerbKind::Bind,
            Verb::Unbind(_) => VerbKind::Unbind,
            Verb::Subscribe(_) => VerbKind::Subscribe,
            Verb::Unsubscribe { .. } => VerbKind::Unsubscribe,
            Verb::Query(_) => VerbKind::Query,
            Verb::Transact(_) => VerbKind::Transact,
            Verb::Branch(_) => VerbKind::Branch,
            Verb::Publish(_) => VerbKind::Publish,
            Verb::Piece { .. } => VerbKind::Piece,
            Verb::Settle(_) => VerbKind::Settle,
            Verb::Credit { .. } => VerbKind::Credit,
        }
    }

    /// In small letters.
    pub fn name(self) -> &'static str {
        match self {
            VerbKind::Connect => "connect",
            VerbKind::Disconnect => "disconnect",
            VerbKind::Attach => "attach",
            VerbKind::Detach => "detach",
            VerbKind::Declare => "declare",
            VerbKind::Delete => "delete",
            VerbKind::Bind => "bind",
            VerbKind::Unbind => "unbind",
            VerbKind::Subscribe => "subscribe",
            VerbKind::Unsubscribe => "unsubscribe",
            VerbKind::Query => "query",
            VerbKind::Transact => "transact",
            VerbKind::Branch => "branch",
            VerbKind::Publish => "publish",
            VerbKind::Piece => "piece",
            VerbKind::Settle => "settle",
            VerbKind::Credit => "credit",
        }
    }

    /// Whether it comes once per message, so that nothing may be written about each.
    pub fn is_hot(self) -> bool {
        matches!(
            self,
            VerbKind::Transact
                | VerbKind::Branch
                | VerbKind::Publish
                | VerbKind::Piece
                | VerbKind::Settle
                | VerbKind::Credit
        )
    }
}
