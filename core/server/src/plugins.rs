// SPDX-License-Identifier: Apache-2.0
//! Finds and loads the libraries that a configuration needs, and only those.
//!
//! Which component is called how is data (`plugins.file_name`, `plugins.files`); where libraries may lie, too. The
//! working directory counts only where the configuration names it.

use crate::config::{Config, ConfigError, Origin, check_schema, nearest};
use sabir_host::describe::Kind;
use sabir_host::{Description, LoadError, Registry};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Why plugins could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum PluginsError {
    /// A library is not where it was looked for.
    #[error("{what}: {file} is in none of the directories it was looked for in: {} (plugins.directories)", list(.directories))]
    NotFound {
        /// What needs it.
        what: String,
        /// How it is called.
        file: String,
        /// Where it was looked for.
        directories: Vec<PathBuf>,
    },
    /// A library was refused.
    #[error("{what}: {error}")]
    Load {
        /// What needs it.
        what: String,
        /// Why.
        error: Box<LoadError>,
    },
    /// A library was refused by the child process that looked at it.
    #[error("{what}: {problem}")]
    Refused {
        /// What needs it.
        what: String,
        /// Why.
        problem: String,
    },
    /// A library does not have what its name promises.
    #[error("{what}: {} has no such component", path.display())]
    NotInside {
        /// What needs it.
        what: String,
        /// The library.
        path: PathBuf,
    },
}

fn list(directories: &[PathBuf]) -> String {
    if directories.is_empty() {
        return "none is configured".to_owned();
    }
    directories.iter().map(|directory| directory.display().to_string()).collect::<Vec<_>>().join(", ")
}

/// The components that a configuration needs: the store, the protocols that it names, its listeners' transports.
pub fn needed(config: &Config) -> Vec<(Kind, String)> {
    let schemes: BTreeSet<&str> = config.listeners.iter().map(|listener| listener.scheme()).collect();
    let transports = schemes.into_iter().map(|scheme| (Kind::Transport, scheme.to_owned()));
    let protocols = config.protocols.keys().map(|name| (Kind::Protocol, name.clone()));
    transports.chain(protocols).chain([(Kind::Store, config.store.kind.clone())]).collect()
}

/// Whoever takes libraries: a registry, which loads them, or somebody who only wants to know what is in them.
pub trait Libraries {
    /// Whether one of those taken has this component.
    fn has(&self, kind: Kind, name: &str) -> bool;
    /// Takes one. `what` needs it.
    fn take(&mut self, path: &Path, what: &str) -> Result<(), PluginsError>;
}

impl Libraries for Registry {
    fn has(&self, kind: Kind, name: &str) -> bool {
        self.component(kind, name).is_some()
    }

    fn take(&mut self, path: &Path, what: &str) -> Result<(), PluginsError> {
        match self.load(path) {
            Ok(_) => Ok(()),
            Err(error) => Err(PluginsError::Load { what: what.to_owned(), error: Box::new(error) }),
        }
    }
}

/// Takes the libraries that the configuration needs and that are not there yet.
pub fn load(config: &Config, libraries: &mut impl Libraries) -> Result<(), PluginsError> {
    take_files(config, libraries)?;
    take_all(config, libraries, needed(config))
}

/// Takes the libraries that the configuration names one by one.
fn take_files(config: &Config, libraries: &mut impl Libraries) -> Result<(), PluginsError> {
    for file in &config.plugins.files {
        let what = format!("plugins.files: {}", file.display());
        let path = find(config, file, &what)?;
        libraries.take(&path, &what)?;
    }
    Ok(())
}

/// Takes the libraries of these components alone.
pub fn load_only(
    config: &Config,
    libraries: &mut impl Libraries,
    components: &[(Kind, String)],
) -> Result<(), PluginsError> {
    take_files(config, libraries)?;
    take_all(config, libraries, components.to_vec())
}

fn take_all(
    config: &Config,
    libraries: &mut impl Libraries,
    components: Vec<(Kind, String)>,
) -> Result<(), PluginsError> {
    for (kind, name) in components {
        if libraries.has(kind, &name) {
            continue;
        }
        let what = format!("the {kind} {name:?}");
        let path = find(config, Path::new(&file_name(config, kind, &name)), &what)?;
        libraries.take(&path, &what)?;
        if !libraries.has(kind, &name) {
            return Err(PluginsError::NotInside { what, path });
        }
    }
    Ok(())
}

/// Holds the tables of plugins against the schemas that these carry, and against the plugins that there are.
pub fn check_settings(config: &Config, plugins: &[Description]) -> Vec<ConfigError> {
    let mut errors = Vec::new();
    let sections = [
        (Kind::Transport, "transports", &config.transports),
        (Kind::Protocol, "protocols", &config.protocols),
        (Kind::Store, "stores", &config.stores),
    ];
    for (kind, section, tables) in sections {
        let components = || plugins.iter().flat_map(|p| &p.components).filter(|c| c.kind == kind);
        for (name, settings) in tables {
            let path = format!("{section}.{name}");
            let Some(component) = components().find(|component| component.name == *name) else {
                let names = components().map(|component| component.name.as_str());
                errors.extend(check_unused(config, kind, name, &path, names));
                continue;
            };
            // A schema that is no JSON is its author's mistake, which `sabir plugin verify` tells.
            let schema = serde_json::from_str(&component.config_schema).unwrap_or_default();
            let settings = serde_json::from_str(settings).unwrap_or_default();
            let wrong = check_schema(&schema, &settings, &path);
            errors.extend(
                wrong.into_iter().map(|(at, text)| ConfigError::new(config.origin_of(&at), at, text)),
            );
        }
    }
    errors
}

/// A table for a plugin that is not loaded may wait for its day, but not if there is no such plugin.
fn check_unused<'n>(
    config: &Config,
    kind: Kind,
    name: &str,
    path: &str,
    known: impl Iterator<Item = &'n str>,
) -> Option<ConfigError> {
    let origin = config.origin_of(path);
    let exists = find(config, Path::new(&file_name(config, kind, name)), "").is_ok();
    if exists || matches!(origin, Origin::Default { .. }) {
        return None;
    }
    let problem = match nearest(name, known) {
        Some(near) => format!("there is no {kind} {name:?}; did you mean {near}?"),
        None => format!("there is no {kind} {name:?}"),
    };
    Some(ConfigError::new(origin, path, problem))
}

/// How the library of a component is called.
pub fn file_name(config: &Config, kind: Kind, name: &str) -> String {
    let template = &config.plugins.file_name;
    template.replace("${kind}", &kind.to_string()).replace("${name}", &name.replace('-', "_"))
}

fn find(config: &Config, file: &Path, what: &str) -> Result<PathBuf, PluginsError> {
    if file.is_absolute() && file.is_file() {
        return Ok(file.to_owned());
    }
    let directories = &config.plugins.directories;
    let found = directories.iter().map(|directory| directory.join(file)).find(|path| path.is_file());
    found.ok_or_else(|| PluginsError::NotFound {
        what: what.to_owned(),
        file: file.display().to_string(),
        directories: directories.clone(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_plugin_is_named_with_where_it_was_looked_for() {
        let config = Config::from_toml("[plugins]\ndirectories = [\"/nowhere/a\", \"/nowhere/b\"]").unwrap();
        let error = load(&config, &mut Registry::new()).unwrap_err().to_string();
        assert_eq!(
            error,
            "the transport \"tcp\": libsabir_transport_tcp_plugin.so is in none of the directories it was looked \
             for in: /nowhere/a, /nowhere/b (plugins.directories)"
        );
    }

    #[test]
    fn only_what_the_configuration_needs_is_loaded() {
        let config = Config::from_toml("").unwrap();
        let names: Vec<String> =
            needed(&config).iter().map(|(kind, name)| format!("{kind} {name}")).collect();
        assert_eq!(names, ["transport tcp", "protocol openwire", "protocol stomp", "store journal"]);
        assert_eq!(file_name(&config, Kind::Store, "some-thing"), "libsabir_store_some_thing_plugin.so");
    }

    fn described(schema: &str) -> Vec<Description> {
        let component = serde_json::json!({
            "kind": "store", "name": "journal", "capabilities": [], "required_host_capabilities": [],
            "config_schema": schema,
        });
        vec![
            serde_json::from_value(serde_json::json!({
                "name": "store-journal", "version": "1", "license": "", "vendor": "", "description": "",
                "abi_major": 1, "abi_minor": 0, "origin": { "file": "/x.so" }, "components": [component],
                "skipped": [],
            }))
            .unwrap(),
        ]
    }

    #[test]
    fn settings_of_plugins_are_told_with_line_and_key_as_those_of_the_broker() {
        let schema = r#"{ "type": "object", "additionalProperties": false,
            "properties": { "path": { "type": "string" }, "sync": { "enum": ["always", "never"] } } }"#;
        let text = "[stores.journal]\nsynk = \"never\"\nsync = \"no\"\n[stores.jurnal]\npath = \"x\"\n";
        let config = Config::from_toml(text).unwrap();
        let told: Vec<String> =
            check_settings(&config, &described(schema)).iter().map(ToString::to_string).collect();
        assert_eq!(
            told,
            [
                "configuration:3: stores.journal.sync: must be one of \"always\", \"never\", not \"no\"",
                "configuration:2: stores.journal.synk: unknown key; did you mean sync?",
                "configuration:4: stores.jurnal: there is no store \"jurnal\"; did you mean journal?",
            ]
        );
        assert_eq!(check_settings(&Config::from_toml("").unwrap(), &described(schema)), []);
        assert_eq!(check_settings(&config, &described("no JSON")).len(), 1);
    }
}
