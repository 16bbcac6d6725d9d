// SPDX-License-Identifier: Apache-2.0
//! What the keys mean: from the tree to a checked [`Config`].

use super::error::{ConfigError, ConfigErrors};
use super::reader::{Errors, Reader};
use super::tree::{Node, Origin, Table, Value};
use super::{Config, policies, security, virtual_topics};
use sabir_engine::Config as EngineConfig;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// What must stand in `security.allow_unauthenticated_remote`.
pub const ANYBODY: &str = "yes, anybody may connect";
/// Longest time that a setting may name, in milliseconds: a year.
pub(super) const MAX_MS: u64 = 365 * 24 * 3600 * 1000;

/// The broker as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broker {
    /// Where the broker keeps what must survive.
    pub data_dir: PathBuf,
    /// Threads that serve links; 0: chosen from the number of processors.
    pub reactor_threads: usize,
    /// How long sessions may take to end.
    pub drain_timeout_ms: u64,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// Text on a terminal, JSON elsewhere.
    Auto,
    /// Text.
    Text,
    /// One JSON object a line.
    Json,
}

/// Logging.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Log {
    /// A level, or levels by target.
    pub level: String,
    /// How log lines look.
    pub format: LogFormat,
    /// Lines that say the same about different things, at the most; 0: no bound.
    pub max_similar_per_minute: u64,
}

/// Where metrics are written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Metrics {
    /// The file, if any.
    pub file: Option<PathBuf>,
    /// How often it is written anew.
    pub interval_ms: u64,
    /// Destinations that have figures of their own: those with the most messages.
    pub max_destinations: usize,
}

/// Where plugins come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plugins {
    /// Where they are looked for, in order.
    pub directories: Vec<PathBuf>,
    /// How the library of a component is called: `${kind}` and `${name}` stand for those.
    pub file_name: String,
    /// Further libraries.
    pub files: Vec<PathBuf>,
}

/// Where clients connect to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenerConfig {
    /// The transport's URI.
    pub uri: String,
    /// Names of protocols, or `auto`.
    pub protocols: Vec<String>,
    /// Where it was written.
    pub origin: Origin,
}

impl ListenerConfig {
    /// The part before `://`: the transport's name.
    pub fn scheme(&self) -> &str {
        self.uri.split_once("://").map_or("", |(scheme, _)| scheme)
    }

    /// Whether the URI's host is this machine alone.
    pub fn is_loopback(&self) -> bool {
        let after = self.uri.split_once("://").map_or("", |(_, rest)| rest);
        let authority = after.split(['/', '?', '#']).next().unwrap_or_default();
        let host = match authority.strip_prefix('[') {
            Some(v6) => v6.split(']').next().unwrap_or_default(),
            None => authority.rsplit_once(':').map_or(authority, |(host, _)| host),
        };
        host.eq_ignore_ascii_case("localhost")
            || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
    }
}

/// Limits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Links at the same time.
    pub max_connections: usize,
    /// Links at the same time from one address.
    pub max_connections_per_address: usize,
    /// From the first byte to the accepted log-in.
    pub handshake_timeout_ms: u64,
    /// The longest time that a peer may take nothing although there is something for it.
    pub write_stall_timeout_ms: u64,
    /// The largest message, in bytes.
    pub max_message_bytes: u64,
    /// The longest head of a frame, in bytes.
    pub max_head_bytes: u64,
    /// What one link may hold before its log-in, in bytes.
    pub max_unauthenticated_bytes: u64,
    /// Output that waits for one slow peer, in bytes.
    pub max_write_backlog_bytes: usize,
    /// Longer bodies are taken, kept and delivered in pieces of a quarter of this, in bytes.
    pub max_held_body_bytes: usize,
}

/// The store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Store {
    /// Its name.
    pub kind: String,
    /// Threads that read records.
    pub reader_threads: usize,
    /// How long what nobody waits for may take to be written.
    pub lazy_commit_ms: u64,
    /// How long a commit may wait for senders that are expected back, in microseconds; 0: not at all.
    pub commit_delay_us: u64,
    /// A session alone on the broker commits on its link's own thread.
    pub solo_commits: bool,
}

/// Reads the whole tree.
pub fn read(root: &Node) -> Result<Config, ConfigErrors> {
    let errors = Errors::default();
    let empty = Table::new();
    let table = if let Value::Table(table) = &root.value { table } else { &empty };
    let top = Reader::new(table, root.origin.clone(), String::new(), &errors);

    let (broker, default_virtual_host, virtual_hosts) = section(&top, "broker", &errors, |r| {
        (broker(r), r.text("default_virtual_host"), r.texts("virtual_hosts"))
    });
    let (limits, engine_limits, stack_limits) =
        section(&top, "limits", &errors, |r| (limits(r), policies::limits(r), security::limits(r)));
    let rules = security::rules(&top, &errors);
    let (default_policy, policies) = policies::read(&top, &errors);
    let engine = EngineConfig {
        default_virtual_host,
        virtual_hosts,
        policies,
        default_policy,
        virtual_topics: virtual_topics::read(&top, &errors),
        limits: engine_limits,
    };
    let names = Substitutions::new(&broker.data_dir);
    let mut origins = BTreeMap::new();
    let config = Config {
        log: section(&top, "log", &errors, log),
        metrics: section(&top, "metrics", &errors, |reader| metrics(reader, &names)),
        plugins: section(&top, "plugins", &errors, |reader| plugins(reader, &names)),
        listeners: listeners(&top, &errors),
        limits,
        engine,
        security: section(&top, "security", &errors, |r| security::security(r, &names, rules, stack_limits)),
        store: section(&top, "store", &errors, store),
        protocols: plugin_tables(&top, "protocols", &errors, &names, &mut origins),
        transports: plugin_tables(&top, "transports", &errors, &names, &mut origins),
        stores: plugin_tables(&top, "stores", &errors, &names, &mut origins),
        importers: plugin_tables(&top, "importers", &errors, &names, &mut origins),
        importing: false,
        broker,
        origins,
    };
    check(&top, &config);
    top.finish();
    let mut unique: Vec<ConfigError> = Vec::new();
    // A key that several parts of the broker read is wrong once.
    for error in errors.into_inner() {
        if !unique.contains(&error) {
            unique.push(error);
        }
    }
    let errors = unique;
    if errors.is_empty() { Ok(config) } else { Err(ConfigErrors(errors)) }
}

/// Reads one section and refuses what is not known there.
fn section<T>(
    top: &Reader<'_>,
    key: &'static str,
    errors: &Errors,
    read: impl FnOnce(&Reader<'_>) -> T,
) -> T {
    let ignored = Errors::default();
    // What is no table was reported; that its keys are missing is no news then.
    let (table, errors) = top.table(key).map_or((Table::new(), &ignored), |table| (table, errors));
    let reader = Reader::new(&table, top.origin_of(key), top.path_of(key), errors);
    let value = read(&reader);
    reader.finish();
    value
}

fn broker(reader: &Reader<'_>) -> Broker {
    let data_dir = substitute(&reader.text("data_dir"), &[("exe_dir", &exe_dir())]);
    if data_dir.is_empty() {
        reader.wrong("data_dir", "must not be empty");
    }
    Broker {
        data_dir: PathBuf::from(data_dir),
        reactor_threads: reader.integer("reactor_threads", 0..=1024) as usize,
        drain_timeout_ms: reader.integer("drain_timeout_ms", 0..=MAX_MS),
    }
}

fn log(reader: &Reader<'_>) -> Log {
    let level = reader.text("level");
    if let Err(problem) = crate::logging::check_level(&level) {
        reader.wrong("level", problem);
    }
    let formats = [("auto", LogFormat::Auto), ("text", LogFormat::Text), ("json", LogFormat::Json)];
    Log {
        level,
        format: reader.word("format", &formats, LogFormat::Auto),
        max_similar_per_minute: reader.integer("max_similar_per_minute", 0..=1_000_000),
    }
}

fn metrics(reader: &Reader<'_>, names: &Substitutions) -> Metrics {
    let file = names.apply(&reader.text("file"));
    let file = (!file.is_empty()).then(|| PathBuf::from(file));
    Metrics {
        file,
        interval_ms: reader.integer("interval_ms", 100..=MAX_MS),
        max_destinations: reader.integer("max_destinations", 0..=10_000) as usize,
    }
}

fn plugins(reader: &Reader<'_>, names: &Substitutions) -> Plugins {
    let paths = |key: &'static str| -> Vec<PathBuf> {
        reader.texts(key).iter().map(|text| PathBuf::from(names.apply(text))).collect()
    };
    let file_name = reader.text("file_name");
    if !file_name.contains("${name}") || file_name.contains('/') {
        reader.wrong("file_name", "must be a file's name with ${name} in it");
    }
    Plugins { directories: paths("directories"), files: paths("files"), file_name }
}

fn listeners(top: &Reader<'_>, errors: &Errors) -> Vec<ListenerConfig> {
    let mut listeners = Vec::new();
    for (table, origin, path) in top.tables("listeners") {
        let reader = Reader::new(&table, origin.clone(), path, errors);
        let listener = ListenerConfig {
            uri: reader.text("uri"),
            protocols: reader.texts_if("protocols").unwrap_or_else(|| vec!["auto".to_owned()]),
            origin,
        };
        if reader.node("uri").is_some() && listener.scheme().is_empty() {
            reader.wrong("uri", format!("{:?} does not begin with a transport, as tcp://", listener.uri));
        }
        if listener.protocols.is_empty() {
            reader.wrong("protocols", "must name at least one protocol, or \"auto\"");
        }
        reader.finish();
        listeners.push(listener);
    }
    listeners
}

fn limits(reader: &Reader<'_>) -> Limits {
    let count = 1..=u64::from(u32::MAX);
    let size = 1024..=(1_u64 << 40);
    Limits {
        max_connections: reader.integer("max_connections", count.clone()) as usize,
        max_connections_per_address: reader.integer("max_connections_per_address", count) as usize,
        handshake_timeout_ms: reader.integer("handshake_timeout_ms", 1..=MAX_MS),
        write_stall_timeout_ms: reader.integer("write_stall_timeout_ms", 1..=MAX_MS),
        max_message_bytes: reader.bytes("max_message", size),
        max_head_bytes: reader.bytes("max_head", 1024..=(64 << 20)),
        max_unauthenticated_bytes: reader.bytes("max_unauthenticated", 1024..=(1 << 20)),
        max_write_backlog_bytes: reader.bytes("max_write_backlog", 4096..=(1 << 30)) as usize,
        max_held_body_bytes: reader.bytes("max_held_body", 4096..=(1 << 30)) as usize,
    }
}

fn store(reader: &Reader<'_>) -> Store {
    let kind = reader.text("kind");
    if kind.is_empty() {
        reader.wrong("kind", "must name a store");
    }
    Store {
        kind,
        reader_threads: reader.integer("reader_threads", 1..=64) as usize,
        lazy_commit_ms: reader.integer("lazy_commit_ms", 1..=60_000),
        commit_delay_us: reader.integer("commit_delay_us", 0..=1_000_000),
        solo_commits: reader.boolean("solo_commits"),
    }
}

/// What belongs to more than one section.
fn check(top: &Reader<'_>, config: &Config) {
    for (index, listener) in config.listeners.iter().enumerate() {
        for protocol in listener.protocols.iter().filter(|name| *name != "auto") {
            if !config.protocols.contains_key(protocol) {
                let known = config.protocols.keys().map(String::as_str);
                let hint = super::nearest(protocol, known)
                    .map_or_else(|| format!("add [protocols.{protocol}]"), |n| format!("did you mean {n}?"));
                let problem = format!("{protocol:?} is not configured; {hint}");
                let path = format!("listeners[{index}].protocols");
                top.report(ConfigError::new(listener.origin.clone(), path, problem));
            }
        }
    }
}

/// The tables below `key`, each as the JSON text that its plugin is handed; where its parts were written is noted.
fn plugin_tables(
    top: &Reader<'_>,
    key: &'static str,
    errors: &Errors,
    names: &Substitutions,
    origins: &mut BTreeMap<String, Origin>,
) -> BTreeMap<String, String> {
    let (table, path) = (top.table(key).unwrap_or_default(), top.path_of(key));
    let mut configs = BTreeMap::new();
    for (name, node) in table {
        let path = format!("{path}.{name}");
        let Value::Table(settings) = &node.value else {
            let problem = format!("must be a table, not {}", node.value.kind());
            errors.borrow_mut().push(ConfigError::new(node.origin, path, problem));
            continue;
        };
        configs.insert(name, json_table(settings, names).to_string());
        note_origins(&node, path, origins);
    }
    configs
}

fn note_origins(node: &Node, path: String, origins: &mut BTreeMap<String, Origin>) {
    match &node.value {
        Value::Table(table) => {
            table.iter().for_each(|(key, node)| note_origins(node, format!("{path}.{key}"), origins));
        }
        Value::Array(nodes) => {
            let numbered = nodes.iter().enumerate();
            numbered.for_each(|(index, node)| note_origins(node, format!("{path}[{index}]"), origins));
        }
        _ => {}
    }
    origins.insert(path, node.origin.clone());
}

fn json_table(table: &Table, names: &Substitutions) -> serde_json::Value {
    table.iter().map(|(key, node)| (key.clone(), json(&node.value, names))).collect()
}

fn json(value: &Value, names: &Substitutions) -> serde_json::Value {
    match value {
        Value::Table(table) => json_table(table, names),
        Value::Array(nodes) => nodes.iter().map(|node| json(&node.value, names)).collect(),
        Value::Text(text) => names.apply(text).into(),
        Value::Integer(value) => (*value).into(),
        Value::Float(value) => (*value).into(),
        Value::Boolean(value) => (*value).into(),
        // A number or a boolean if it looks like one: nothing here knows what the plugin wants.
        Value::Untyped(text) => match serde_json::from_str::<serde_json::Value>(text) {
            Ok(value) if value.is_number() || value.is_boolean() => value,
            _ => names.apply(text).into(),
        },
    }
}

/// What `${…}` stands for in texts.
#[derive(Debug)]
pub(super) struct Substitutions {
    data_dir: String,
    exe_dir: String,
}

impl Substitutions {
    fn new(data_dir: &std::path::Path) -> Self {
        Substitutions { data_dir: data_dir.display().to_string(), exe_dir: exe_dir() }
    }

    pub(super) fn apply(&self, text: &str) -> String {
        substitute(text, &[("data_dir", &self.data_dir), ("exe_dir", &self.exe_dir)])
    }
}

fn substitute(text: &str, names: &[(&str, &str)]) -> String {
    names.iter().fold(text.to_owned(), |text, (name, value)| text.replace(&format!("${{{name}}}"), value))
}

fn exe_dir() -> String {
    let exe = std::env::current_exe().ok();
    exe.as_deref().and_then(|exe| exe.parent()).map_or_else(|| ".".into(), |dir| dir.display().to_string())
}
