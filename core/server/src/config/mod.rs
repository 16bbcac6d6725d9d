// SPDX-License-Identifier: Apache-2.0
//! The configuration: embedded defaults, a file, environment variables and options, checked as a whole.
//!
//! ```text
//!   tree         values that know where they were written, and how layers lie over each other
//!   reader       typed values out of the tree; unknown keys
//!   sections     what the keys mean
//!   security     ... those of users and rules
//!   policies     ... those of destinations, and the engine's bounds
//!   virtual_topics  ... those that bind queues to topics by name
//!   schema       ... those of plugins, by the schema that each carries
//!   environment  SABIR_SECTION__KEY
//!   effective    the result as text, each value with where it came from
//!   error        what is wrong, and where
//! ```
//! Nothing here opens a socket, a plugin or a store.

mod effective;
mod environment;
mod error;
mod policies;
mod reader;
mod schema;
mod sections;
mod security;
mod tree;
mod virtual_topics;

pub use error::{ConfigError, ConfigErrors};
pub use reader::nearest;
pub use schema::check as check_schema;
pub use sections::{ANYBODY, Broker, Limits, ListenerConfig, Log, LogFormat, Metrics, Plugins, Store};
pub use security::{AuthenticationMode, Security};
pub use tree::Origin;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tree::{Node, Source, Value};

/// The embedded defaults, as text.
pub const DEFAULTS: &str = include_str!("../default.toml");

/// A checked configuration.
#[derive(Clone, Debug)]
pub struct Config {
    /// The broker as a whole.
    pub broker: Broker,
    /// Logging.
    pub log: Log,
    /// Where metrics are written.
    pub metrics: Metrics,
    /// Where plugins come from.
    pub plugins: Plugins,
    /// Where clients connect to.
    pub listeners: Vec<ListenerConfig>,
    /// Limits of links and sessions.
    pub limits: Limits,
    /// Policies of destinations, and the engine's own limits.
    pub engine: sabir_engine::Config,
    /// Who may connect.
    pub security: Security,
    /// The store.
    pub store: Store,
    /// What the plugin of each protocol is handed, as JSON; each one named here is loaded.
    pub protocols: BTreeMap<String, String>,
    /// What the plugin of each transport is handed, as JSON.
    pub transports: BTreeMap<String, String>,
    /// What the plugin of each store is handed, as JSON.
    pub stores: BTreeMap<String, String>,
    /// Readers of what other brokers have stored, each as JSON.
    pub importers: BTreeMap<String, String>,
    /// The broker only takes over what another has stored: it serves a store of which only a part is there. Not a setting.
    pub importing: bool,
    /// Where the settings of plugins were written, by path, as `stores.journal.sync`.
    pub origins: BTreeMap<String, Origin>,
}

/// Where a configuration comes from, lowest layer first; the embedded defaults lie below all of it.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// A file.
    pub file: Option<PathBuf>,
    /// Environment variables. Only those called `SABIR_…` count; what is no UTF-8 in them is U+FFFD, and refused.
    pub environment: Vec<(String, String)>,
    /// What options said: the option, the key's path, the value as the environment would have it.
    pub arguments: Vec<(&'static str, Vec<String>, String)>,
}

impl Sources {
    /// The process's environment, with the file that `SABIR_CONFIG` names.
    pub fn from_process() -> Self {
        let environment: Vec<(String, String)> = std::env::vars_os()
            .map(|(name, value)| (name.to_string_lossy().into_owned(), value.to_string_lossy().into_owned()))
            .filter(|(name, _)| name.starts_with(environment::PREFIX))
            .collect();
        let file = environment.iter().find(|(name, _)| name == environment::FILE).map(|(_, v)| v.into());
        Sources { file, environment, arguments: Vec::new() }
    }

    /// Variables that nobody looks at and that look as if somebody should: each with the one that was probably meant.
    pub fn doubtful_variables(&self) -> Vec<(String, String)> {
        let Ok(Node { value: Value::Table(defaults), .. }) = tree::parse(DEFAULTS, &Source::Defaults) else {
            return Vec::new();
        };
        environment::doubtful(&self.environment, defaults.keys().map(String::as_str))
    }

    /// Lays the layers over each other.
    fn tree(&self) -> Result<Node, ConfigErrors> {
        let mut root = tree::parse(DEFAULTS, &Source::Defaults)?;
        if let Some(path) = &self.file {
            tree::merge(&mut root, file(path)?);
        }
        for (origin, path, value) in environment::values(&self.environment) {
            if value.contains(char::REPLACEMENT_CHARACTER) {
                return Err(ConfigError::new(origin, path.join("."), "is not valid UTF-8").into());
            }
            let path: Vec<&str> = path.iter().map(String::as_str).collect();
            tree::set(&mut root, &path, Node { value: Value::Untyped(value), origin });
        }
        for (option, path, value) in &self.arguments {
            let path: Vec<&str> = path.iter().map(String::as_str).collect();
            let node = Node { value: Value::Untyped(value.clone()), origin: Origin::Argument(option) };
            tree::set(&mut root, &path, node);
        }
        Ok(root)
    }

    /// Reads and checks all layers together.
    pub fn load(&self) -> Result<Config, ConfigErrors> {
        sections::read(&self.tree()?)
    }

    /// The configuration that results, as TOML, each value with where it was written.
    pub fn effective(&self) -> Result<String, ConfigErrors> {
        let tree = self.tree()?;
        sections::read(&tree)?;
        Ok(effective::render(&tree))
    }
}

impl Config {
    /// A text laid over the embedded defaults, without environment or options: for programs that embed the broker.
    pub fn from_toml(text: &str) -> Result<Config, ConfigErrors> {
        let mut root = tree::parse(DEFAULTS, &Source::Defaults)?;
        tree::merge(&mut root, tree::parse(text, &Source::File(Arc::from("configuration")))?);
        sections::read(&root)
    }
}

impl Config {
    /// Where the setting at `path` was written, or what it would be part of.
    pub fn origin_of(&self, path: &str) -> Origin {
        let mut path = path;
        loop {
            if let Some(origin) = self.origins.get(path) {
                return origin.clone();
            }
            match path.rfind(['.', '[']) {
                Some(end) => path = path.get(..end).unwrap_or_default(),
                None => return Origin::Argument("configuration"),
            }
        }
    }

    /// The sections in which `new` differs and that cannot change while the broker runs.
    pub fn needs_restart(&self, new: &Config) -> Vec<&'static str> {
        let sections = [
            ("broker", self.broker == new.broker),
            ("log.format", self.log.format == new.log.format),
            ("log.max_similar_per_minute", self.log.max_similar_per_minute == new.log.max_similar_per_minute),
            ("metrics", self.metrics == new.metrics),
            ("plugins", self.plugins == new.plugins),
            ("listeners", same_listeners(&self.listeners, &new.listeners)),
            ("protocols", self.protocols == new.protocols),
            ("transports", self.transports == new.transports),
            ("security.password_checks", self.security.password_checks == new.security.password_checks),
            ("store", self.store == new.store),
            ("stores", self.stores == new.stores),
        ];
        sections.into_iter().filter(|(_, same)| !same).map(|(name, _)| name).collect()
    }
}

fn same_listeners(old: &[ListenerConfig], new: &[ListenerConfig]) -> bool {
    let pairs = old.iter().zip(new);
    old.len() == new.len()
        && pairs.fold(true, |same, (a, b)| same && a.uri == b.uri && a.protocols == b.protocols)
}

fn file(path: &Path) -> Result<Node, ConfigErrors> {
    let name: Arc<str> = Arc::from(path.display().to_string());
    let text = std::fs::read_to_string(path).map_err(|error| {
        let origin = Origin::File { path: name.clone(), line: 1 };
        ConfigError::new(origin, "", format!("cannot be read: {error}"))
    })?;
    Ok(tree::parse(&text, &Source::File(name))?)
}

#[cfg(test)]
mod tests;
