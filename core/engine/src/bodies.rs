// SPDX-License-Identifier: Apache-2.0
//! Bodies that come in pieces: each in a hidden log of its own, for as long as anything needs it.
//!
//! The pieces are appended as they come, and their log is named by the record of the message that follows them. Whatever
//! has that message, in memory or in a store's log, holds the body; once nothing does, the log is forgotten. What the store
//! alone has of a message is held by its lane (or by the delayed ones), and is written down under a key, from which
//! recovery knows it again: a log of pieces that no key names is what a crash has left of a message that never was.
//!
//! A log is never forgotten ahead of what removes the entries that name it. Knows nothing of queues.

use crate::commit::{CommitId, Commits, Pending};
use crate::engine::{Engine, State};
use crate::keys;
use crate::output::CommitNeed;
use crate::session::Session;
use crate::slab::Key;
use bytes::Bytes;
use sabir_model::Message;
use sabir_model::message::Apart;
use sabir_model::store::LogId;
use sabir_model::stored::{GivenBack, Returns, StoredAt, StoredBody};
use sabir_model::verb::{Reason, Refusal, Request, SessionId, Verb};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// All bodies that lie in the store.
#[derive(Debug, Default)]
pub(crate) struct Bodies {
    returns: Returns,
    /// Number of the last body's log.
    last: u64,
    /// Held by nothing, and not forgotten yet.
    back: Vec<GivenBack>,
    /// Batches from the first to the last number of each of these have gone as one, under the last: the store was full.
    put_off: Vec<(u64, u64)>,
    /// Found at recovery, until all keys are known: logs, and those of them that a key has named.
    found: BTreeSet<LogId>,
    named: BTreeMap<LogId, Arc<StoredBody>>,
}

/// A body that a session is sending.
#[derive(Debug)]
pub(crate) struct Upload {
    log: LogId,
    next: u64,
    len: u64,
    /// Why it cannot be taken: what still comes of it is passed over.
    refused: Option<Refusal>,
}

impl Bodies {
    /// Recovery has found the log of a body.
    pub fn recover_log(&mut self, log: LogId, number: u64) {
        self.last = self.last.max(number);
        self.found.insert(log);
    }

    /// Recovery has found an entry with this body.
    pub fn recover(&mut self, at: StoredAt) -> Arc<StoredBody> {
        self.found.remove(&at.log);
        let returns = &self.returns;
        self.named.entry(at.log).or_insert_with(|| Arc::new(StoredBody::new(at, 0, returns))).clone()
    }

    /// All keys are known: what none has named goes.
    pub fn recovered(&mut self, pending: &mut Pending) {
        for log in std::mem::take(&mut self.found) {
            pending.forget(log);
            pending.want(CommitNeed::Lazy);
        }
        self.named.clear();
    }

    fn make(&self, upload: &Upload, pending: &Pending) -> StoredBody {
        StoredBody::new(StoredAt { log: upload.log, len: upload.len }, pending.id.0, &self.returns)
    }

    /// Looks for bodies that nothing holds any more.
    pub fn look(&mut self, pending: &mut Pending) {
        self.returns.take(&mut self.back);
        if !self.back.is_empty() {
            pending.want(CommitNeed::Lazy);
        }
    }

    /// Takes out the logs that can be forgotten at any time (`settled`), since all that names them is committed, or those that
    /// must be forgotten behind the rest of the batch.
    pub fn take(&mut self, settled: bool, commits: &Commits) -> Vec<LogId> {
        if self.back.is_empty() {
            return Vec::new();
        }
        self.put_off.retain(|(_, last)| !commits.has(CommitId(*last)));
        let put_off = &self.put_off;
        let is_settled = |one: &GivenBack| {
            let as_one = put_off.iter().find(|(first, last)| (*first..=*last).contains(&one.mark));
            commits.has(CommitId(as_one.map_or(one.mark, |(_, last)| *last)))
        };
        let taken = self.back.extract_if(.., |one| is_settled(one) == settled);
        taken.map(|one| one.log).collect()
    }

    /// What was to go with the batch `from` goes with the batch `to`.
    pub fn put_off(&mut self, from: CommitId, to: CommitId) {
        match self.put_off.last_mut() {
            Some((_, last)) if *last == from.0 => *last = to.0,
            _ => self.put_off.push((from.0, to.0)),
        }
    }
}

impl Engine {
    /// Whether a session's subscription has been given this delivery and has not settled it: only then it is worth to fetch
    /// a long body for it.
    pub fn awaits(&self, session: SessionId, subscription: u64, tag: u64) -> bool {
        let session = self.by_session.get(&session).and_then(|key| self.sessions.get(*key));
        let key = session.and_then(|session| session.subscriptions.get(&subscription));
        key.and_then(|key| self.subscriptions.get(*key)).is_some_and(|one| one.awaits(tag))
    }

    /// A session sends another message than the one whose body it was sending: that was refused on its way, or given up.
    pub(crate) fn check_upload(&mut self, key: Key<Session>, next: Option<&Request>) {
        if let Some(Verb::Publish(message)) = next.map(|request| &request.verb)
            && message.body_apart().is_none()
        {
            self.drop_upload(key);
        }
    }

    /// What a session has sent of a body is given up.
    pub(crate) fn drop_upload(&mut self, key: Key<Session>) {
        let upload = self.sessions.get_mut(key).and_then(|session| session.upload.take());
        if let Some(upload) = upload {
            // Made to be dropped: that is what gives its log back.
            drop(self.bodies.make(&upload, &self.pending));
        }
    }

    /// A piece of a body.
    pub(crate) fn piece(&mut self, key: Key<Session>, bytes: Bytes, first: bool) {
        if first {
            self.drop_upload(key);
        }
        let refused = match self.state {
            State::Running => None,
            _ => Some(self.state_refusal()),
        };
        let Some(session) = self.sessions.get_mut(key) else { return };
        let upload = session.upload.get_or_insert_with(|| {
            self.bodies.last += 1;
            let log = keys::body_log(self.bodies.last);
            Upload { log, next: 0, len: 0, refused }
        });
        let (len, seq, log) = (bytes.len() as u64, upload.next, upload.log);
        upload.len += len;
        let whole = upload.len;
        let was_refused = upload.refused.is_some();
        let fits = self.check_store_bytes(usize::try_from(whole).unwrap_or(usize::MAX));
        let Some(session) = self.sessions.get_mut(key) else { return };
        if was_refused || fits.is_err() {
            if let Some(upload) = &mut session.upload {
                upload.refused = upload.refused.take().or(fits.err());
            }
        } else {
            if let Some(upload) = &mut session.upload {
                upload.next += 1;
            }
            self.pending.append_piece(log, seq, bytes);
        }
        // Also what is passed over counts as taken: the session is to come to its end.
        self.pending.note_piece(key, len);
    }

    /// The message whose body a session has sent in pieces.
    pub(crate) fn assemble(&mut self, key: Key<Session>, message: Message) -> Result<Message, Refusal> {
        let Some(Apart::Arrived(len)) = message.body_apart() else { return Ok(message) };
        let upload = self.sessions.get_mut(key).and_then(|session| session.upload.take());
        let Some(mut upload) = upload else {
            return Err(Refusal::new(Reason::Invalid, "the pieces of the message's body have not come"));
        };
        let refused = upload.refused.take();
        let body = self.bodies.make(&upload, &self.pending);
        match refused {
            Some(refusal) => Err(refusal),
            None if upload.len != *len => {
                Err(Refusal::new(Reason::Invalid, "the message's body is not as long as its pieces"))
            }
            None => Ok(message.with_body(Apart::Stored(Arc::new(body)))),
        }
    }
}
