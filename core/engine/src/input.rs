// SPDX-License-Identifier: Apache-2.0
//! What the engine is told.

use crate::commit::CommitId;
use crate::config::Config;
use crate::output::ReadId;
use sabir_model::store::{Batch, Record};
use sabir_model::verb::{Request, SessionId};

/// Who a session is, once it has logged in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Client {
    /// Its client id: durable subscriptions belong to it.
    pub client_id: Option<String>,
    /// Its user, as it was authenticated.
    pub user: Option<String>,
    /// Its virtual host; empty: the default one.
    pub virtual_host: String,
    /// Its connection: what `no_local` compares.
    pub connection_id: String,
    /// No other session of the virtual host may have its client id.
    pub exclusive_client_id: bool,
    /// With that: sessions of the same user that have the client id are ended.
    pub take_over: bool,
}

/// One thing that happened.
#[derive(Debug)]
pub enum Input<'a> {
    /// A session has logged in.
    Open {
        /// Its number.
        session: SessionId,
        /// Who it is.
        client: Client,
    },
    /// A session has ended: what it had not settled is released, what it had not committed is rolled back.
    Close {
        /// Its number.
        session: SessionId,
    },
    /// A session asks for something, in this order.
    Requests {
        /// Its number.
        session: SessionId,
        /// What it asks; drained.
        requests: &'a mut Vec<Request>,
    },
    /// All batches up to this one are durable (those of level `Written`: the store has them), save those that were
    /// refused for want of space.
    Committed {
        /// The last of them.
        commit: CommitId,
    },
    /// The store had no room for this batch, which had no effect. The engine takes out of it what frees space and
    /// puts that into its next batch, holds all publishes back, and gives batches that only remove, which the server
    /// submits as usual, ahead of the refused one. The server keeps what is left in `batch` and tries it again,
    /// under the same id.
    StoreFull {
        /// The batch's id.
        commit: CommitId,
        /// The batch.
        batch: &'a mut Batch,
    },
    /// The store has taken all batches that it had refused. `Committed` tells when they are durable.
    StoreRoom,
    /// The store has failed for good.
    StoreFailed {
        /// Why, for people.
        text: String,
    },
    /// What was read; at the end of the records asked for, `error` says if that came too early.
    Records {
        /// Which read.
        read: ReadId,
        /// The records, in order.
        records: Vec<Record>,
        /// Why there are no more.
        error: Option<String>,
    },
    /// The deadline has come.
    Tick,
    /// The operator wants something.
    Admin(Admin),
}

/// What an operator can want.
#[derive(Debug)]
pub enum Admin {
    /// Other settings. Bounds that became lower hold for what comes.
    Configure(Box<Config>),
    /// No more publishes are taken; what is in the broker is still delivered and settled.
    Drain,
    /// Nothing more is delivered; all sessions are asked to end.
    Stop,
}
