// SPDX-License-Identifier: Apache-2.0
//! What travels through the stack: a batch of requests inwards, admissions back, replies and deliveries outwards.
//!
//! A batch carries its session with it, so that no layer shares anything with another and none needs a lock.

use crate::policy::{Principal, UserSlot};
use sabir_model::verb::{Answer, Reason, Refusal, Reply, Request};
use sabir_model::{Delivery, Now, SessionId};
use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tower::Service;

/// What one read of a link brought.
#[derive(Debug)]
pub struct Batch {
    /// The time.
    pub now: Now,
    /// Whose requests these are.
    pub session: Box<Session>,
    /// What is asked, in order. A layer that refuses a request takes it out.
    pub requests: Vec<Request>,
    /// How many of them, at the front, come for the second time, because a log-in came before them.
    pub seen: usize,
    /// What was refused so far.
    pub replies: Vec<Reply>,
    /// Where what was refused had stood.
    places: Vec<Place>,
    /// Where each request had stood before others were taken out; empty while none was.
    origins: Vec<u32>,
}

/// Where a refused request had stood in its batch.
#[derive(Clone, Copy, Debug)]
struct Place {
    reply: usize,
    request: usize,
}

/// What became of a batch.
#[derive(Debug)]
pub struct Admissions {
    /// Back from its way.
    pub session: Box<Session>,
    /// What was refused, layer by layer. What is not here was handed to the engine, which answers in its own time.
    pub replies: Vec<Reply>,
    /// What was not looked at, because a log-in came before it: the next batch begins with this. Otherwise empty, and
    /// the same memory as the batch's.
    pub remaining: Vec<Request>,
    places: Vec<Place>,
    origins: Vec<u32>,
}

impl Admissions {
    /// Where the request that this reply refuses had stood in its batch, if it was refused by [`Batch::check`]: layers
    /// refuse one behind the other, so that the replies themselves are in no order.
    pub fn place_of(&self, reply: usize) -> Option<usize> {
        let at = self.places.binary_search_by_key(&reply, |place| place.reply).ok()?;
        self.places.get(at).map(|place| place.request)
    }
}

impl Batch {
    /// A batch in the memory of what became of the last one, behind what that one left.
    pub fn next(now: Now, mut last: Admissions) -> Self {
        last.replies.clear();
        last.places.clear();
        last.origins.clear();
        let Admissions { session, replies, remaining: requests, places, origins } = last;
        Batch { now, session, seen: requests.len(), requests, replies, places, origins }
    }

    /// The first batch of a session.
    pub fn first(now: Now, session: Session) -> Self {
        let (requests, replies) = (Vec::new(), Vec::new());
        let (places, origins) = (Vec::new(), Vec::new());
        Batch { now, session: Box::new(session), requests, seen: 0, replies, places, origins }
    }

    /// Looks at every request and takes those out that are refused. After a fatal refusal nothing behind it is looked
    /// at or handed on: the session is over.
    pub fn check(&mut self, mut check: impl FnMut(&mut Session, &Request) -> Result<(), Refusal>) {
        let mut kept = 0;
        for at in 0..self.requests.len() {
            match check(&mut self.session, &self.requests[at]) {
                Ok(()) => {
                    if kept != at {
                        self.requests.swap(kept, at);
                        if at < self.origins.len() {
                            self.origins.swap(kept, at);
                        }
                    }
                    kept += 1;
                }
                Err(refusal) => {
                    let fatal = refusal.fatal;
                    self.answer(at, refusal);
                    if fatal {
                        self.session.is_over = true;
                        break;
                    }
                }
            }
        }
        self.requests.truncate(kept);
        self.origins.truncate(kept);
    }

    /// Notes a refusal, and where what it refuses had stood.
    fn answer(&mut self, at: usize, refusal: Refusal) {
        if self.origins.is_empty() {
            // Only once something is refused: until then every request stands where it stood.
            self.origins.extend(0..self.requests.len() as u32);
        }
        let request = self.origins.get(at).map_or(at, |origin| *origin as usize);
        self.places.push(Place { reply: self.replies.len(), request });
        let token = self.requests[at].token;
        self.replies.push(Reply { token, answer: Answer::Refused(Box::new(refusal)) });
    }

    /// Refuses the first request alone; after a fatal refusal nothing behind it is left either.
    pub(crate) fn refuse_first(&mut self, refusal: Refusal) {
        if self.requests.is_empty() {
            return;
        }
        let fatal = refusal.fatal;
        self.answer(0, refusal);
        if fatal {
            self.session.is_over = true;
            self.requests.clear();
            self.origins.clear();
        } else {
            self.requests.remove(0);
            self.origins.remove(0);
        }
    }

    /// What became of the batch, once its requests were taken out of it.
    pub fn admit(self) -> Admissions {
        let Batch { session, replies, requests: remaining, places, origins, .. } = self;
        Admissions { session, replies, remaining, places, origins }
    }
}

/// A refusal after which the session is over.
pub fn fatal(reason: Reason, text: impl Into<String>) -> Refusal {
    Refusal { reason, text: text.into(), fatal: true }
}

/// What is known of a session. It travels with its batches.
#[derive(Debug)]
pub struct Session {
    /// Its number.
    pub id: SessionId,
    /// Its connection, for logs.
    pub connection_id: Box<str>,
    /// Where its peer is, for logs; empty where nobody knows.
    pub peer: Box<str>,
    /// Its client id, from the log-in on.
    pub client_id: Option<String>,
    pub(crate) login: Login,
    pub(crate) failed_logins: u32,
    /// Something was refused after which nothing else may come.
    pub(crate) is_over: bool,
    /// Frees the user's place among the sessions allowed when the session goes.
    pub(crate) slot: Option<UserSlot>,
}

/// How far the log-in is.
#[derive(Debug)]
pub(crate) enum Login {
    /// Not yet.
    None,
    /// The password was right; the `Connect` is on its way to the engine.
    Verified(Arc<Principal>),
    /// Done.
    Done(Arc<Principal>),
}

impl Session {
    /// A session that has not logged in.
    pub fn new(id: SessionId, connection_id: &str) -> Self {
        Session {
            id,
            connection_id: connection_id.into(),
            peer: Box::default(),
            client_id: None,
            login: Login::None,
            failed_logins: 0,
            is_over: false,
            slot: None,
        }
    }

    /// The same, with a peer at this address.
    pub fn with_peer(self, peer: &str) -> Self {
        Session { peer: peer.into(), ..self }
    }

    /// Whether something was refused after which nothing else is let through.
    pub fn is_over(&self) -> bool {
        self.is_over
    }

    /// Who it is; `None` before the log-in.
    pub fn principal(&self) -> Option<&Arc<Principal>> {
        match &self.login {
            Login::Done(principal) => Some(principal),
            _ => None,
        }
    }
}

/// The future of every layer: at once, save for a log-in, whose password is checked on another thread.
pub struct Admission(State);

enum State {
    Ready(Option<Admissions>),
    Pending(Pin<Box<dyn Future<Output = Admissions> + Send>>),
}

impl Admission {
    /// At once.
    pub fn ready(admissions: Admissions) -> Self {
        Admission(State::Ready(Some(admissions)))
    }

    /// Later. This allocates; nothing but a log-in should need it.
    pub fn pending(future: impl Future<Output = Admissions> + Send + 'static) -> Self {
        Admission(State::Pending(Box::pin(future)))
    }

    /// What is refused already, behind the first `before` refusals: those of the layers further in, for a layer that
    /// noted how many there were when it handed the batch on. Nothing while a log-in is awaited.
    pub fn refused_behind(&self, before: usize) -> &[Reply] {
        match &self.0 {
            State::Ready(Some(admissions)) => admissions.replies.get(before..).unwrap_or(&[]),
            _ => &[],
        }
    }

    /// Looks at the admissions when they are there.
    pub fn inspect(self, inspect: impl FnOnce(&Admissions) + Send + 'static) -> Self {
        match self.0 {
            State::Ready(admissions) => {
                if let Some(admissions) = &admissions {
                    inspect(admissions);
                }
                Admission(State::Ready(admissions))
            }
            State::Pending(future) => Admission::pending(async move {
                let admissions = future.await;
                inspect(&admissions);
                admissions
            }),
        }
    }
}

impl std::fmt::Debug for Admission {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let ready = matches!(self.0, State::Ready(_));
        f.debug_struct("Admission").field("ready", &ready).finish()
    }
}

impl Future for Admission {
    type Output = Result<Admissions, Infallible>;

    /// Polled again after it was ready, it stays pending for ever.
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut self.0 {
            State::Ready(admissions) => {
                admissions.take().map_or(Poll::Pending, |ready| Poll::Ready(Ok(ready)))
            }
            State::Pending(future) => future.as_mut().poll(cx).map(Ok),
        }
    }
}

/// What is on its way out to one session, in one batch.
#[derive(Clone, Copy, Debug)]
pub struct Outgoing<'a> {
    /// The time.
    pub now: Now,
    /// Answers of the engine. Those of the stack itself do not come past here.
    pub replies: &'a [Reply],
    /// Messages.
    pub deliveries: &'a [Delivery],
}

/// The hook for what goes out, once per batch.
pub trait Outbound {
    /// Looks at what goes out, and hands it to the service within. On a refusal nothing of it may be sent, and the
    /// session is over.
    fn outbound(&mut self, outgoing: &Outgoing<'_>) -> Result<(), Refusal>;
}

impl<S: Outbound + ?Sized> Outbound for Box<S> {
    fn outbound(&mut self, outgoing: &Outgoing<'_>) -> Result<(), Refusal> {
        (**self).outbound(outgoing)
    }
}

/// Everything a layer's service is: batches inwards, and the hook for what goes out.
pub trait Stack:
    Service<Batch, Response = Admissions, Error = Infallible, Future = Admission> + Outbound + Send
{
}

impl<S> Stack for S where
    S: Service<Batch, Response = Admissions, Error = Infallible, Future = Admission>
        + Outbound
        + Send
        + ?Sized
{
}
