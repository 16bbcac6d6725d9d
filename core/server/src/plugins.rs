// SPDX-License-Identifier: Apache-2.0
//! Finds and loads the libraries that a configuration needs, and only those.
//!
//! Which component is called how is data (`plugins.file_name`, `plugins.files`); where libraries may lie, too. The
//! working directory counts only where the configuration names it.

use crate::config::Config;
use sabir_host::describe::Kind;
use sabir_host::{LoadError, Registry};
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

/// Loads what the configuration needs and the registry does not have yet.
pub fn load(config: &Config, registry: &mut Registry) -> Result<(), PluginsError> {
    for file in &config.plugins.files {
        let what = format!("plugins.files: {}", file.display());
        let path = find(config, file, &what)?;
        load_one(registry, &path, &what)?;
    }
    for (kind, name) in needed(config) {
        if registry.component(kind, &name).is_some() {
            continue;
        }
        let what = format!("the {kind} {name:?}");
        let path = find(config, Path::new(&file_name(config, kind, &name)), &what)?;
        load_one(registry, &path, &what)?;
        if registry.component(kind, &name).is_none() {
            return Err(PluginsError::NotInside { what, path });
        }
    }
    Ok(())
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

fn load_one(registry: &mut Registry, path: &Path, what: &str) -> Result<(), PluginsError> {
    let loaded = registry.load(path);
    loaded.map(|_| ()).map_err(|error| PluginsError::Load { what: what.to_owned(), error: Box::new(error) })
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
        assert_eq!(names, ["transport tcp", "protocol stomp", "store journal"]);
        assert_eq!(file_name(&config, Kind::Store, "some-thing"), "libsabir_store_some_thing_plugin.so");
    }
}
