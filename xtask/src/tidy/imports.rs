// SPDX-License-Identifier: Apache-2.0
//! Which crate may know which: the rules that keep a protocol from knowing a store, and the engine from knowing both.

use super::Finding;
use crate::workspace::{Metadata, Package};
use std::collections::HashSet;

/// A crate of `core/` and what its code may use. Crates not named here keep to the general rules alone.
struct Room {
    name: &'static str,
    /// Crates of this workspace.
    own: &'static [&'static str],
    /// Crates from elsewhere; `None`: any.
    foreign: Option<&'static [&'static str]>,
}

/// Pure words and data structures: nothing that opens, waits or asks the time.
const PURE: &[&str] =
    &["bytes", "thiserror", "memchr", "itoa", "slab", "smallvec", "hashbrown", "indexmap", "foldhash"];

/// The same, and inflating, which bodies of messages may need.
const PURE_AND_INFLATING: &[&str] = &[
    "bytes",
    "thiserror",
    "memchr",
    "itoa",
    "slab",
    "smallvec",
    "hashbrown",
    "indexmap",
    "foldhash",
    "flate2",
];

const ROOMS: &[Room] = &[
    Room { name: "sabir-abi", own: &[], foreign: Some(&[]) },
    Room { name: "sabir-model", own: &[], foreign: Some(PURE_AND_INFLATING) },
    Room { name: "sabir-engine", own: &["sabir-model"], foreign: Some(PURE) },
    Room { name: "sabir-boundary", own: &["sabir-abi", "sabir-model"], foreign: Some(PURE) },
    Room { name: "sabir-sdk", own: &["sabir-abi", "sabir-model", "sabir-boundary"], foreign: None },
    Room { name: "sabir-host", own: &["sabir-abi", "sabir-model", "sabir-boundary"], foreign: None },
    Room { name: "sabir-stack", own: &["sabir-model"], foreign: None },
];

/// Checks every manifest of the workspace.
pub fn check(metadata: &Metadata) -> Vec<Finding> {
    let members: Vec<&Package> = metadata.members().collect();
    let own: HashSet<&str> = members.iter().map(|package| package.name.as_str()).collect();
    let plugins: HashSet<&str> = members
        .iter()
        .filter(|package| is_plugin(&package.folder()))
        .map(|package| package.name.as_str())
        .collect();
    let mut findings = Vec::new();
    for package in &members {
        let uses = Uses::of(package, &own);
        let folder = package.folder();
        findings.extend(check_crate(&package.name, &folder, &uses, &plugins));
    }
    findings
}

/// What a crate's manifest names.
struct Uses {
    /// Crates of this workspace that its code uses.
    own: Vec<String>,
    /// Crates from elsewhere that its code uses.
    foreign: Vec<String>,
    /// Plugins of this workspace without their features: of a protocol that is its codec alone.
    codecs: Vec<String>,
    /// Crates of this workspace that only its tests or its build use.
    own_beside: Vec<String>,
}

impl Uses {
    fn of(package: &Package, workspace: &HashSet<&str>) -> Uses {
        let mut uses =
            Uses { own: Vec::new(), foreign: Vec::new(), codecs: Vec::new(), own_beside: Vec::new() };
        for dependency in &package.dependencies {
            let is_own = workspace.contains(dependency.name.as_str());
            let bare = !dependency.uses_default_features && dependency.features.is_empty();
            match (dependency.kind.as_deref(), is_own) {
                (None, true) if bare && dependency.name.starts_with("sabir-protocol-") => {
                    uses.codecs.push(dependency.name.clone());
                }
                (None, true) => uses.own.push(dependency.name.clone()),
                (None, false) => uses.foreign.push(dependency.name.clone()),
                (Some(_), true) => uses.own_beside.push(dependency.name.clone()),
                (Some(_), false) => {}
            }
        }
        uses
    }
}

/// A plugin is every crate under `plugins/` but the bundle, which links them.
fn is_plugin(folder: &str) -> bool {
    folder.starts_with("plugins/") && folder != "plugins/bundle"
}

fn check_crate(name: &str, folder: &str, uses: &Uses, plugins: &HashSet<&str>) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut refuse = |text: String| findings.push(Finding::new(name, 0, text));
    if let Some(room) = ROOMS.iter().find(|room| room.name == name) {
        for used in uses.own.iter().filter(|used| !room.own.contains(&used.as_str())) {
            refuse(format!("must not know {used}"));
        }
        for used in
            uses.foreign.iter().filter(|used| room.foreign.is_some_and(|may| !may.contains(&used.as_str())))
        {
            refuse(format!("must not use {used}: its room does no I/O and keeps to few crates"));
        }
    }
    if folder.starts_with("core/") {
        let named = uses.own.iter().chain(&uses.codecs);
        for used in named.filter(|used| plugins.contains(used.as_str()) || *used == "sabir-bundle") {
            refuse(format!("names the plugin {used}: nothing in core/ names a plugin"));
        }
    }
    if is_plugin(folder) {
        let parent = folder.strip_suffix("/dylib").map(|_| name.trim_end_matches("-dylib"));
        for used in uses.own.iter().chain(&uses.own_beside) {
            if plugins.contains(used.as_str()) && Some(used.as_str()) != parent {
                refuse(format!("names the plugin {used}: no plugin names another"));
            }
        }
        for used in uses.own.iter().filter(|used| !plugins.contains(used.as_str())) {
            if !["sabir-abi", "sabir-model", "sabir-sdk"].contains(&used.as_str()) {
                refuse(format!("must not know {used}: plugins know the contract, the model and the sdk"));
            }
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_one(name: &str, folder: &str, own: &[&str], foreign: &[&str], beside: &[&str]) -> usize {
        let names = |list: &[&str]| list.iter().map(|name| (*name).to_owned()).collect();
        let uses =
            Uses { own: names(own), foreign: names(foreign), codecs: Vec::new(), own_beside: names(beside) };
        let plugins = HashSet::from(["sabir-store-x", "sabir-store-y", "sabir-store-x-dylib"]);
        check_crate(name, folder, &uses, &plugins).len()
    }

    #[test]
    fn a_contract_with_any_dependency_is_found() {
        assert_eq!(check_one("sabir-abi", "core/abi", &[], &["libc"], &[]), 1);
    }

    #[test]
    fn an_engine_that_knows_more_than_the_model_is_found() {
        assert_eq!(
            check_one("sabir-engine", "core/engine", &["sabir-model", "sabir-host"], &["tokio"], &[]),
            2
        );
        assert_eq!(
            check_one("sabir-engine", "core/engine", &["sabir-model"], &["bytes"], &["sabir-testkit"]),
            0
        );
    }

    #[test]
    fn a_core_crate_that_names_a_plugin_is_found_unless_it_is_for_tests() {
        assert_eq!(check_one("sabir-server", "core/server", &["sabir-store-x"], &[], &[]), 1);
        assert_eq!(
            check_one("sabir-server", "core/server", &["sabir-host"], &["tokio"], &["sabir-store-x"]),
            0
        );
    }

    #[test]
    fn a_plugin_that_names_another_plugin_is_found_even_in_its_tests() {
        assert_eq!(check_one("sabir-store-x", "plugins/store-x", &["sabir-sdk"], &[], &["sabir-store-y"]), 1);
        assert_eq!(check_one("sabir-store-x", "plugins/store-x", &["sabir-host"], &[], &[]), 1);
        assert_eq!(
            check_one("sabir-store-x", "plugins/store-x", &["sabir-sdk"], &["rustix"], &["sabir-testkit"]),
            0
        );
    }

    #[test]
    fn a_plugin_may_use_the_codec_of_a_protocol_and_core_may_not() {
        let uses = Uses {
            own: vec!["sabir-sdk".to_owned()],
            foreign: Vec::new(),
            codecs: vec!["sabir-protocol-x".to_owned()],
            own_beside: Vec::new(),
        };
        let plugins = HashSet::from(["sabir-protocol-x", "sabir-transport-y"]);
        assert_eq!(check_crate("sabir-transport-y", "plugins/transport-y", &uses, &plugins).len(), 0);
        assert_eq!(check_crate("sabir-server", "core/server", &uses, &plugins).len(), 1);
    }

    #[test]
    fn a_library_may_name_the_plugin_that_it_exports() {
        assert_eq!(
            check_one(
                "sabir-store-x-dylib",
                "plugins/store-x/dylib",
                &["sabir-store-x", "sabir-sdk"],
                &[],
                &[]
            ),
            0
        );
        assert_eq!(
            check_one("sabir-store-x-dylib", "plugins/store-x/dylib", &["sabir-store-y"], &[], &[]),
            1
        );
    }
}
