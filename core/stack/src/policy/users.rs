// SPDX-License-Identifier: Apache-2.0
//! Users, and the text in which they are kept: one line each, `name:hash` or `name:hash:group,group`.
//!
//! Empty lines and lines that begin with `#` are comments. Any other line that is not exactly of this form makes the
//! whole text an error: a user who was meant to be locked out must never get in by a slip of the pen.

use super::password::{PasswordError, check_hash};
use std::collections::BTreeMap;

/// Longest name of a user or group, in bytes.
pub const MAX_USER_NAME_BYTES: usize = 255;

/// A user.
#[derive(Clone, PartialEq, Eq)]
pub struct User {
    pub(crate) hash: String,
    /// The groups that the user is in.
    pub groups: Vec<String>,
}

impl std::fmt::Debug for User {
    /// Leaves the hash out: this may end up in logs.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("User").field("groups", &self.groups).finish_non_exhaustive()
    }
}

/// Users by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Users {
    users: BTreeMap<String, User>,
}

/// Why users cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UsersError {
    /// A line is not of the form.
    #[error("line {line}: this is not of the form name:hash or name:hash:group,group")]
    Form {
        /// Counted from 1.
        line: usize,
    },
    /// A name that cannot be one.
    #[error("{name:?} cannot be the name of a user or group: it {problem}")]
    Name {
        /// The name.
        name: String,
        /// What is wrong.
        problem: &'static str,
    },
    /// A hash that cannot be one.
    #[error("user {name}: {problem}")]
    Hash {
        /// The user.
        name: String,
        /// What is wrong.
        problem: PasswordError,
    },
    /// Twice the same user.
    #[error("user {0} is there twice")]
    Twice(String),
}

impl Users {
    /// Nobody.
    pub fn new() -> Self {
        Users::default()
    }

    /// Reads the text form.
    pub fn parse(text: &str) -> Result<Self, UsersError> {
        let mut users = Users::new();
        for (index, line) in text.lines().enumerate() {
            if is_comment(line) {
                continue;
            }
            let mut parts = line.split(':');
            let (Some(name), Some(hash), groups, None) =
                (parts.next(), parts.next(), parts.next(), parts.next())
            else {
                return Err(UsersError::Form { line: index + 1 });
            };
            let groups =
                groups.map_or_else(Vec::new, |groups| groups.split(',').map(str::to_owned).collect());
            users.add(name, hash, groups)?;
        }
        Ok(users)
    }

    /// Adds a user with the hash of their password, as [`super::hash_password`] makes it.
    pub fn add(&mut self, name: &str, hash: &str, groups: Vec<String>) -> Result<(), UsersError> {
        for name in groups.iter().map(String::as_str).chain([name]) {
            check_name(name)?;
        }
        check_hash(hash).map_err(|problem| UsersError::Hash { name: name.to_owned(), problem })?;
        let user = User { hash: hash.to_owned(), groups };
        match self.users.insert(name.to_owned(), user) {
            None => Ok(()),
            Some(_) => Err(UsersError::Twice(name.to_owned())),
        }
    }

    /// The user with this name.
    pub fn get(&self, name: &str) -> Option<&User> {
        self.users.get(name)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.users.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.users.is_empty()
    }

    /// All names in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.users.keys().map(String::as_str)
    }
}

pub(super) fn is_comment(line: &str) -> bool {
    line.trim().is_empty() || line.starts_with('#')
}

pub(super) fn check_name(name: &str) -> Result<(), UsersError> {
    let problem = if name.is_empty() {
        "is empty"
    } else if name.len() > MAX_USER_NAME_BYTES {
        "is longer than 255 bytes"
    } else if name.chars().any(|c| c.is_control() || c == ':' || c == ',') {
        "has a colon, a comma or a control character"
    } else if name.trim() != name || name.starts_with('#') {
        "begins or ends with a space, or begins with #"
    } else if name == super::ANYBODY {
        "stands for everybody"
    } else {
        return Ok(());
    };
    Err(UsersError::Name { name: name.to_owned(), problem })
}

#[cfg(test)]
mod tests {
    use super::*;

    const HASH: &str =
        "$argon2id$v=19$m=19456,t=2,p=1$c2FiaXItbm9ib2R5LWhlcmU$3q2+796tvu/erb7v3q2+796tvu/erb7v3q2+796tvu8";

    #[test]
    fn users_are_read_with_their_groups_and_comments_are_skipped() {
        let users = Users::parse(&format!("# who may come in\n\nann:{HASH}\nbob:{HASH}:sales,it\n")).unwrap();
        assert_eq!(users.names().collect::<Vec<_>>(), ["ann", "bob"]);
        assert_eq!(users.get("ann").unwrap().groups, Vec::<String>::new());
        assert_eq!(users.get("bob").unwrap().groups, ["sales", "it"]);
        assert!(users.get("Ann").is_none());
    }

    #[test]
    fn a_line_that_is_not_of_the_form_makes_the_whole_text_an_error() {
        let bad = [
            "ann".to_owned(),
            "ann:".to_owned(),
            "ann:secret".to_owned(),
            format!(":{HASH}"),
            format!("ann:{HASH}:"),
            format!("ann:{HASH}:a,,b"),
            format!("ann:{HASH}:a:b"),
            format!(" ann:{HASH}"),
            format!("*:{HASH}"),
            format!("ann:{HASH} "),
            format!("a\tb:{HASH}"),
            format!("{}:{HASH}", "x".repeat(256)),
            format!("ann:{HASH}\nann:{HASH}"),
            format!("ann:{HASH}:*"),
            format!("ann:{}", &HASH[..HASH.len() - 60]),
        ];
        for text in bad {
            assert!(Users::parse(&text).is_err(), "{text:?}");
            assert!(Users::parse(&format!("bob:{HASH}\n{text}\neve:{HASH}")).is_err(), "{text:?}");
        }
        assert_eq!(Users::parse("# x\nann"), Err(UsersError::Form { line: 2 }));
    }

    #[test]
    fn no_hash_is_shown_in_logs() {
        let users = Users::parse(&format!("ann:{HASH}")).unwrap();
        assert!(!format!("{users:?}").contains("argon2"));
    }
}
