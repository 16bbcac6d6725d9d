// SPDX-License-Identifier: Apache-2.0
//! Users' files and rules.

use crate::support::quick_hash;
use sabir_stack::policy::{Operation, Rule, RuleError, Rules, Users, remove_user, set_user};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

/// A directory of the test's own, gone when the test ends.
struct Directory(PathBuf);

impl Directory {
    fn new(test: &str) -> Self {
        let path = std::env::temp_dir().join(format!("sabir-stack-{test}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir(&path).unwrap();
        Directory(path)
    }

    fn users(&self) -> PathBuf {
        self.0.join("users")
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn users_are_added_changed_and_removed_and_comments_stay() {
    let directory = Directory::new("changed");
    let path = directory.users();
    let (one, two) = (quick_hash("one"), quick_hash("two"));
    let groups = ["sales".to_owned(), "it".to_owned()];
    assert!(Users::load(&path).unwrap_err().is_missing());
    assert!(set_user(&path, "ann", &one, Some(&groups)).unwrap());
    fs::write(&path, format!("# ours\n\n{}", fs::read_to_string(&path).unwrap())).unwrap();
    assert!(set_user(&path, "bob", &two, None).unwrap());
    assert!(!set_user(&path, "ann", &two, None).unwrap());
    assert_eq!(fs::read_to_string(&path).unwrap(), format!("# ours\n\nann:{two}:sales,it\nbob:{two}\n"));
    assert!(!set_user(&path, "ann", &one, Some(&[])).unwrap());
    remove_user(&path, "bob").unwrap();
    assert!(remove_user(&path, "bob").is_err());
    assert_eq!(fs::read_to_string(&path).unwrap(), format!("# ours\n\nann:{one}\n"));
    assert_eq!(Users::load(&path).unwrap().names().collect::<Vec<_>>(), ["ann"]);
}

#[test]
fn only_the_owner_can_read_the_file() {
    let directory = Directory::new("private");
    let path = directory.users();
    set_user(&path, "ann", &quick_hash("x"), None).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    set_user(&path, "bob", &quick_hash("x"), None).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn a_file_that_is_wrong_is_named_and_not_touched() {
    let directory = Directory::new("wrong");
    let path = directory.users();
    fs::write(&path, "ann:secret\n").unwrap();
    let error = Users::load(&path).unwrap_err();
    assert!(!error.is_missing());
    assert!(error.to_string().contains("users: user ann: the password's hash"), "{error}");
    assert!(set_user(&path, "bob", &quick_hash("x"), None).is_err());
    assert_eq!(fs::read_to_string(&path).unwrap(), "ann:secret\n");
}

#[test]
fn bad_names_groups_and_hashes_are_refused_before_anything_is_written() {
    let directory = Directory::new("names");
    let path = directory.users();
    let hash = quick_hash("x");
    for name in ["", "a:b", "a\nb", " a", "#a", "*", "a,b"] {
        assert!(set_user(&path, name, &hash, None).is_err(), "{name:?}");
        assert!(set_user(&path, "ann", &hash, Some(&[name.to_owned()])).is_err(), "{name:?}");
    }
    assert!(set_user(&path, "ann", "x", None).is_err());
    assert!(!path.exists());
}

#[test]
fn programs_that_write_at_the_same_time_lose_nothing() {
    let directory = Directory::new("together");
    let path = directory.users();
    let hash = quick_hash("x");
    std::thread::scope(|scope| {
        for writer in 0..4 {
            let (path, hash) = (&path, &hash);
            scope.spawn(move || {
                for n in 0..5 {
                    set_user(path, &format!("user-{writer}-{n}"), hash, None).unwrap();
                }
            });
        }
    });
    assert_eq!(Users::load(&path).unwrap().len(), 20);
}

fn rule(destination: &str, allow: &[Operation], users: &[&str]) -> Rule {
    Rule {
        destination: destination.to_owned(),
        virtual_host: None,
        allow: allow.to_vec(),
        users: users.iter().map(|user| (*user).to_owned()).collect(),
        groups: Vec::new(),
    }
}

#[test]
fn a_rule_that_makes_no_sense_makes_all_rules_an_error() {
    let good = rule("queue://A", &[Operation::Read], &["ann"]);
    let all = |bad: Rule| Rules::new(vec![good.clone(), bad]);
    assert!(all(good.clone()).is_ok());
    assert!(matches!(all(rule("A", &[Operation::Read], &["ann"])), Err(RuleError::Destination(_))));
    assert!(matches!(all(rule("queue://", &[Operation::Read], &["ann"])), Err(RuleError::Destination(_))));
    let long = format!("queue://{}#", "*.".repeat(127));
    assert!(matches!(all(rule(&long, &[Operation::Read], &["ann"])), Err(RuleError::Pattern { .. })));
    assert!(matches!(
        all(rule("temp-queue://A", &[Operation::Read], &["ann"])),
        Err(RuleError::Temporary(_))
    ));
    assert!(matches!(all(rule("queue://A", &[], &["ann"])), Err(RuleError::NothingAllowed(_))));
    assert!(matches!(all(rule("queue://A", &[Operation::Read], &[])), Err(RuleError::ForNobody(_))));
}

#[test]
fn rules_are_read_from_the_configuration_and_unknown_keys_are_refused() {
    let text = "destination = \"queue://A.#\"\nallow = [\"read\", \"admin\"]\ngroups = [\"sales\"]";
    let read: Rule = toml::from_str(text).unwrap();
    assert_eq!(read.allow, [Operation::Read, Operation::Admin]);
    assert!(toml::from_str::<Rule>(&format!("{text}\nuser = [\"ann\"]")).is_err());
    assert!(toml::from_str::<Rule>(&text.replace("admin", "everything")).is_err());
}
