// SPDX-License-Identifier: Apache-2.0
//! What all sessions are measured by: users, rules and limits. It can be replaced while the broker runs.

mod file;
mod password;
mod remembered;
mod rules;
mod users;

pub use file::{FileError, remove_user, set_user};
pub use password::{PasswordError, hash_password};
pub use remembered::Remember;
pub use rules::{ANYBODY, Operation, Rule, RuleError, Rules};
pub(crate) use users::MAX_USER_NAME_BYTES;
pub use users::{User, Users, UsersError};

use crate::limits::Limits;
use arc_swap::{ArcSwap, Cache};
use password::verify;
use remembered::{Fingerprint, Remembered};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Users, rules and limits.
#[derive(Clone, Debug, Default)]
pub struct Policy {
    /// Who may log in.
    pub authentication: Authentication,
    /// Who may do what with which destinations. Without any rule everybody who was let in may do everything.
    pub rules: Rules,
    /// How much of it.
    pub limits: Limits,
    /// The virtual host of sessions that name none, for rules that name one.
    pub default_virtual_host: String,
    /// How long passwords that were right are remembered.
    pub remember: Remember,
    generation: u64,
}

/// Who may log in.
#[derive(Clone, Debug, Default)]
pub enum Authentication {
    /// Everybody. Names and passwords are not looked at, and nobody has a name.
    #[default]
    Off,
    /// These users, with their passwords.
    Users {
        /// The users. With none, nobody has a password that is right.
        users: Users,
        /// Whoever gives neither name nor password is let in without a name.
        anonymous: bool,
    },
}

impl Policy {
    /// A policy; until it is shared its generation is 0.
    pub fn new(authentication: Authentication, rules: Rules, limits: Limits) -> Self {
        Policy { authentication, rules, limits, ..Policy::default() }
    }

    /// The same, where sessions that name no virtual host are in this one.
    pub fn with_default_virtual_host(self, name: &str) -> Self {
        Policy { default_virtual_host: name.to_owned(), ..self }
    }

    /// The same, where right passwords are remembered for so long.
    pub fn with_remember(self, remember: Remember) -> Self {
        Policy { remember, ..self }
    }

    /// Grows with each replacement, so that what was decided under an older policy can be told.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// Whether somebody who logged in under an older policy is still welcome, and who they are now.
    pub(crate) fn renew(&self, principal: &Principal) -> Option<Arc<Principal>> {
        match (&self.authentication, &principal.user) {
            (Authentication::Off, _) => Some(Arc::new(Principal::default())),
            (Authentication::Users { anonymous, .. }, None) => {
                anonymous.then(|| Arc::new(Principal::default()))
            }
            (Authentication::Users { users, .. }, Some(name)) => {
                users.get(name).map(|user| Arc::new(Principal::of(name, user)))
            }
        }
    }
}

/// Somebody who was let in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Principal {
    /// The name; nobody who was let in without one has one.
    pub user: Option<String>,
    /// The groups that the user is in.
    pub groups: Vec<String>,
}

impl Principal {
    pub(crate) fn of(name: &str, user: &User) -> Self {
        Principal { user: Some(name.to_owned()), groups: user.groups.clone() }
    }

    /// For people.
    pub fn name(&self) -> &str {
        self.user.as_deref().unwrap_or("anonymous")
    }
}

/// The policy in force.
#[derive(Debug)]
pub struct SharedPolicy {
    current: Arc<ArcSwap<Policy>>,
    /// Sessions of each user. A user without sessions is not in it.
    sessions: Arc<Mutex<HashMap<String, u32>>>,
    remembered: Remembered,
}

/// A session's view of the policy in force: looking costs one comparison while nothing has changed.
pub(crate) type PolicyView = Cache<Arc<ArcSwap<Policy>>, Arc<Policy>>;

impl SharedPolicy {
    /// Puts a policy in force.
    pub fn new(policy: Policy) -> Self {
        let policy = Policy { generation: 1, ..policy };
        let current = Arc::new(ArcSwap::from_pointee(policy));
        SharedPolicy { current, sessions: Arc::default(), remembered: Remembered::new() }
    }

    /// Puts another policy in force, for sessions that stand too: what each may do is decided anew, and who is no user
    /// any more is thrown out.
    pub fn replace(&self, policy: Policy) {
        self.current.rcu(|old| Policy { generation: old.generation + 1, ..policy.clone() });
        // None of it would be believed any more.
        self.remembered.clear();
    }

    /// The policy in force.
    pub fn current(&self) -> Arc<Policy> {
        self.current.load_full()
    }

    /// A password that somebody gives under a policy, to be looked up and checked.
    pub(crate) fn attempt(self: &Arc<Self>, policy: &Policy, name: &str, password: Vec<u8>) -> Attempt {
        let hash = match &policy.authentication {
            Authentication::Users { users, .. } => users.get(name).map(|user| user.hash.clone()),
            Authentication::Off => None,
        };
        let remembered = &self.remembered;
        let fingerprint = remembered.fingerprint(policy.generation, name, hash.as_deref(), &password);
        let (shared, name, remember) = (self.clone(), name.to_owned(), policy.remember);
        Attempt { shared, name, password, hash, fingerprint, remember }
    }

    pub(crate) fn view(&self) -> PolicyView {
        Cache::new(self.current.clone())
    }

    /// A place among the sessions that the user may have at a time; `None` when there is none left.
    pub(crate) fn take_slot(&self, user: &str, max: u32) -> Option<UserSlot> {
        let mut sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        let count = sessions.get(user).copied().unwrap_or(0);
        if count >= max {
            return None;
        }
        sessions.insert(user.to_owned(), count + 1);
        Some(UserSlot { user: user.to_owned(), sessions: self.sessions.clone() })
    }
}

/// A place among a user's sessions, given back when it is dropped.
#[derive(Debug)]
pub(crate) struct UserSlot {
    user: String,
    sessions: Arc<Mutex<HashMap<String, u32>>>,
}

impl Drop for UserSlot {
    fn drop(&mut self) {
        let mut sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        match sessions.get_mut(&self.user) {
            Some(count) if *count > 1 => *count -= 1,
            _ => {
                sessions.remove(&self.user);
            }
        }
    }
}

/// A password that somebody gives.
pub(crate) struct Attempt {
    shared: Arc<SharedPolicy>,
    name: String,
    password: Vec<u8>,
    /// `None`: there is no such user.
    hash: Option<String>,
    fingerprint: Option<Fingerprint>,
    remember: Remember,
}

impl Attempt {
    /// Whether it was found right a short while ago. This is cheap.
    pub(crate) fn is_known(&self, now_ms: u64) -> bool {
        let known = |print| self.shared.remembered.knows(&self.name, print, now_ms);
        self.hash.is_some() && self.fingerprint.as_ref().is_some_and(known)
    }

    /// Whether it is right: expensive, on a thread that may block. `now_ms` is when it was given, and may be long ago: what
    /// was given at the same time by others of the same name was checked meanwhile, so that is looked at first.
    pub(crate) fn check(self, now_ms: u64) -> bool {
        if self.is_known(now_ms) {
            return true;
        }
        let right = verify(&self.password, self.hash.as_deref());
        if let (true, Some(fingerprint)) = (right, self.fingerprint) {
            self.shared.remembered.remember(&self.name, fingerprint, now_ms, self.remember);
        }
        right
    }
}
