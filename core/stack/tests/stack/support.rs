// SPDX-License-Identifier: Apache-2.0
//! A session whose stack ends in an engine that only remembers what reached it.

use argon2::password_hash::PasswordHasher;
use argon2::{Algorithm, Argon2, Params, Version};
use sabir_model::message::{Field, Fixed, HeadWriter};
use sabir_model::verb::{
    Answer, Attach, Connect, Declare, Delete, Reason, Refusal, Reply, Request, Subscribe, Verb,
};
use sabir_model::{Destination, Message, Now, SessionId};
use sabir_stack::policy::{Operation, Rule, Rules, Users};
use sabir_stack::verb_kind::VerbKind;
use sabir_stack::{
    Admission, Admissions, Authentication, Batch, Blocking, Budget, Extension, Limits, Metrics, Outbound,
    Outgoing, Policy, Session, Shared, SharedPolicy, Stack, build,
};
use std::convert::Infallible;
use std::future::Future;
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use tower::Service;

/// What reached the engine, in order.
pub type Reached = Arc<Mutex<Vec<Request>>>;

struct Engine(Reached);

impl Service<Batch> for Engine {
    type Response = Admissions;
    type Error = Infallible;
    type Future = Admission;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut batch: Batch) -> Admission {
        assert!(
            batch.requests.is_empty() || batch.session.principal().is_some(),
            "a stranger reached the engine"
        );
        self.0.lock().unwrap().append(&mut batch.requests);
        Admission::ready(batch.admit())
    }
}

impl Outbound for Engine {
    fn outbound(&mut self, _: &Outgoing<'_>) -> Result<(), Refusal> {
        Ok(())
    }
}

/// A broker with one policy.
pub struct Broker {
    pub shared: Shared,
    pub limits: Limits,
}

/// One session of it.
pub struct Client {
    pub stack: Box<dyn Stack>,
    pub reached: Reached,
    pub budget: Arc<Budget>,
    pub now: Now,
    last: Option<Admissions>,
}

pub fn at_once() -> Arc<dyn Blocking> {
    Arc::new(|work: Box<dyn FnOnce() + Send>| work())
}

impl Broker {
    pub fn new(policy: Policy) -> Self {
        let limits = policy.limits.clone();
        let shared = Shared {
            policy: Arc::new(SharedPolicy::new(policy)),
            metrics: Arc::new(Metrics::new()),
            blocking: at_once(),
            extensions: Vec::new(),
        };
        Broker { shared, limits }
    }

    pub fn open() -> Self {
        Broker::new(Policy::default())
    }

    pub fn with_limits(limits: Limits) -> Self {
        Broker::new(Policy::new(Authentication::Off, Rules::default(), limits))
    }

    pub fn extended(mut self, extension: Extension) -> Self {
        self.shared.extensions.push(extension);
        self
    }

    pub fn client(&self) -> Client {
        self.client_from("")
    }

    /// A session whose peer is at this address.
    pub fn client_from(&self, peer: &str) -> Client {
        let reached = Reached::default();
        let budget = Arc::new(Budget::new(&self.limits));
        let stack = Box::new(build(&self.shared, "test", budget.clone(), Engine(reached.clone())));
        let last = Batch::first(Now::default(), Session::new(SessionId(1), "c-1").with_peer(peer)).admit();
        Client { stack, reached, budget, now: Now::default(), last: Some(last) }
    }

    /// A session that has logged in without a name.
    pub fn connected(&self) -> Client {
        let mut client = self.client();
        assert_eq!(client.ask(connect(None, None)), Vec::<Refused>::new());
        client.reached.lock().unwrap().clear();
        client
    }

    /// A session of a user whose password is the name backwards.
    pub fn logged_in(&self, user: &str) -> Client {
        let mut client = self.client();
        assert_eq!(client.ask(log_in(user)), Vec::<Refused>::new());
        client.reached.lock().unwrap().clear();
        client
    }
}

/// Token, reason, and whether the session is over.
pub type Refused = (u64, Reason, bool);

pub fn now_or_never<F: Future>(future: F) -> Option<F::Output> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => Some(output),
        Poll::Pending => None,
    }
}

impl Client {
    /// Asks one thing.
    pub fn ask(&mut self, verb: Verb) -> Vec<Refused> {
        self.ask_all(vec![request(1, 1, verb)])
    }

    /// Asks one thing and answers what it was refused with.
    pub fn refusal(&mut self, verb: Verb) -> Refusal {
        let mut refusals = self.replies(vec![request(1, 1, verb)]);
        assert_eq!(refusals.len(), 1);
        match refusals.remove(0).answer {
            Answer::Refused(refusal) => *refusal,
            other => panic!("not refused: {other:?}"),
        }
    }

    pub fn ask_all(&mut self, requests: Vec<Request>) -> Vec<Refused> {
        let refused = |reply: Reply| match reply.answer {
            Answer::Refused(refusal) => (reply.token, refusal.reason, refusal.fatal),
            other => panic!("the stack answers refusals only: {other:?}"),
        };
        self.replies(requests).into_iter().map(refused).collect()
    }

    fn replies(&mut self, mut requests: Vec<Request>) -> Vec<Reply> {
        let mut replies = Vec::new();
        loop {
            assert!(self.is_ready());
            let mut batch = Batch::next(self.now, self.last.take().unwrap());
            batch.requests.append(&mut requests);
            let Ok(mut admissions) = now_or_never(self.stack.call(batch)).unwrap();
            replies.append(&mut admissions.replies);
            let again = !admissions.remaining.is_empty();
            self.last = Some(admissions);
            if !again {
                return replies;
            }
        }
    }

    pub fn is_ready(&mut self) -> bool {
        self.stack.poll_ready(&mut Context::from_waker(Waker::noop())).is_ready()
    }

    pub fn session(&self) -> &Session {
        &self.last.as_ref().unwrap().session
    }

    /// The verbs that reached the engine since it was last asked.
    pub fn reached(&self) -> Vec<VerbKind> {
        self.reached.lock().unwrap().drain(..).map(|request| VerbKind::of(&request.verb)).collect()
    }

    /// The engine answers, and something goes out.
    pub fn answered(&mut self, replies: &[Reply]) -> Result<(), Refusal> {
        self.stack.outbound(&Outgoing { now: self.now, replies, deliveries: &[] })
    }
}

pub fn request(token: u64, id: u64, verb: Verb) -> Request {
    Request { token, confirm: true, id, transaction: 0, verb }
}

pub fn done(token: u64) -> Reply {
    Reply { token, answer: Answer::Done }
}

pub fn refused(token: u64) -> Reply {
    Reply { token, answer: Answer::Refused(Box::new(Refusal::new(Reason::Conflict, "no"))) }
}

pub fn destination(text: &str) -> Destination {
    Destination::parse(text).unwrap()
}

pub fn connect(user: Option<&str>, password: Option<&str>) -> Verb {
    Verb::Connect(Box::new(Connect {
        user: user.map(str::to_owned),
        password: password.map(|password| password.as_bytes().to_vec()),
        client_id: Some("client".to_owned()),
        ..Connect::default()
    }))
}

pub fn backwards(name: &str) -> String {
    name.chars().rev().collect()
}

pub fn log_in(user: &str) -> Verb {
    connect(Some(user), Some(&backwards(user)))
}

pub fn attach(to: &str) -> Verb {
    let destinations = to.split(',').map(destination).collect();
    Verb::Attach(Box::new(Attach { destinations, producer_name: None }))
}

pub fn subscribe_with(to: &str, change: impl FnOnce(&mut Subscribe)) -> Verb {
    let mut subscribe = Subscribe {
        destinations: to.split(',').map(destination).collect(),
        selector: None,
        name: None,
        credit: 10,
        priority: 0,
        auto_accept: false,
        no_local: false,
        exclusive: false,
        browse: false,
        durable: false,
        shared: false,
        auto_delete: false,
        link_credit: false,
    };
    change(&mut subscribe);
    Verb::Subscribe(Box::new(subscribe))
}

pub fn subscribe(to: &str) -> Verb {
    subscribe_with(to, |_| {})
}

pub fn declare(what: &str) -> Verb {
    declare_with(what, |_| {})
}

pub fn declare_with(what: &str, change: impl FnOnce(&mut Declare)) -> Verb {
    let mut declare = Declare {
        destination: destination(what),
        exchange_kind: None,
        durable: false,
        auto_delete: false,
        exclusive: false,
        passive: false,
    };
    change(&mut declare);
    Verb::Declare(Box::new(declare))
}

pub fn delete(what: &str) -> Verb {
    Verb::Delete(Box::new(Delete {
        destination: Some(destination(what)),
        subscription_name: None,
        if_empty: false,
        if_unused: false,
    }))
}

pub fn message(fixed: &Fixed, sender: Option<&str>, body_bytes: usize) -> Message {
    let mut bytes = Vec::new();
    let mut writer = HeadWriter::new(&mut bytes, fixed);
    assert!(writer.field(Field::Destination, b"queue://Q"));
    if let Some(sender) = sender {
        assert!(writer.field(Field::User, sender.as_bytes()));
    }
    writer.finish();
    bytes.resize(bytes.len() + body_bytes, b'x');
    Message::joined(bytes.into()).unwrap()
}

pub fn publish() -> Verb {
    Verb::Publish(message(&Fixed::default(), None, 100))
}

/// Cheap, so that tests are quick; real hashes are tested with the passwords.
pub fn quick_hash(password: &str) -> String {
    let params = Params::new(8, 1, 1, None).unwrap();
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    argon2.hash_password(password.as_bytes()).unwrap().to_string()
}

/// Users whose passwords are their names backwards.
pub fn users(names: &[(&str, &[&str])]) -> Authentication {
    let mut users = Users::new();
    for (name, groups) in names {
        let groups = groups.iter().map(|group| (*group).to_owned()).collect();
        users.add(name, &quick_hash(&backwards(name)), groups).unwrap();
    }
    Authentication::Users { users, anonymous: false }
}

/// `"queue://A.# read,write ann,@sales"`: destination, operations, users and groups.
pub fn rules(texts: &[&str]) -> Rules {
    let rule = |text: &&str| {
        let mut parts = text.split(' ');
        let destination = parts.next().unwrap().to_owned();
        let allow = parts.next().unwrap().split(',').map(|operation| match operation {
            "read" => Operation::Read,
            "write" => Operation::Write,
            "admin" => Operation::Admin,
            other => panic!("{other} is no operation"),
        });
        let allow = allow.collect();
        let names: Vec<&str> = parts.next().unwrap().split(',').collect();
        let (groups, users): (Vec<&str>, Vec<&str>) =
            names.into_iter().partition(|name| name.starts_with('@'));
        Rule {
            destination,
            virtual_host: None,
            allow,
            users: users.into_iter().map(str::to_owned).collect(),
            groups: groups.into_iter().map(|group| group[1..].to_owned()).collect(),
        }
    };
    Rules::new(texts.iter().map(rule).collect()).unwrap()
}
