// SPDX-License-Identifier: Apache-2.0
//! `sabir store import-NAME`: what another broker has stored is taken over.
//!
//! The importer is a transport that the configuration names: it has one peer, which speaks as a client of the other broker
//! would. The broker runs without any other listener until that client has said all. So what becomes of a message is what
//! the protocol makes of it anyway, and nothing here knows what is imported.
//!
//! It may be killed at any time. Until all is there the importer keeps in the broker how far it has come. Only when the
//! store says by a key that all is there, a second start of the broker takes that away, and the store's keys go last.

use super::progress::Bar;
use super::subject::Subject;
use super::{Failure, StoreArguments};
use crate::archive;
use crate::broker::{RunningBroker, serve};
use crate::cli::{Exit, out};
use crate::config::{AuthenticationMode, Config, ListenerConfig};
use crate::plugins;
use bytes::Bytes;
use clap::Parser;
use sabir_host::{Registry, Store};
use sabir_model::store::{Batch, Level, Op};
use serde::Deserialize;
use serde_json::{Map, Value};
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How often it is looked how far the importer has come.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Take over what another broker has stored. The other broker must not run; nothing of its directory is changed. What was
/// interrupted goes on when it is run again.
#[derive(Debug, Parser)]
#[command(no_binary_name = true)]
struct TakeOver {
    /// Where the other broker has stored it
    directory: PathBuf,
    /// Go on without what cannot be read, or is refused
    #[arg(long)]
    accept_loss: bool,
    /// Add it to a store that holds something already
    #[arg(long)]
    add: bool,
    /// A setting of the importer; repeatable
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
    #[command(flatten)]
    store: StoreArguments,
}

/// An importer, as the configuration has it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Importer {
    transport: String,
    protocol: String,
    #[serde(default)]
    protocol_settings: Map<String, Value>,
}

/// What an importer writes into its report, a JSON object a line.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Line {
    Progress { phase: String, done: u64, total: u64 },
    Last { report: Value },
}

fn wrong(problem: String) -> Failure {
    (problem, Exit::Configuration)
}

/// Runs the command.
pub fn run(words: &[String]) -> Result<Exit, Failure> {
    let (command, rest) = words.split_first().map_or(("", words), |(first, rest)| (first.as_str(), rest));
    let Some(name) = command.strip_prefix("import-") else {
        eprintln!("error: there is no `sabir store {command}`; see sabir store --help");
        std::process::exit(2);
    };
    // A wrong command line ends the program as every other one does.
    let arguments = TakeOver::try_parse_from(rest).unwrap_or_else(|error| error.exit());
    let subject = arguments.store.subject()?;
    let Some(importer) = subject.config.importers.get(name) else {
        let known: Vec<&str> = subject.config.importers.keys().map(String::as_str).collect();
        return Err(wrong(format!(
            "there is no importer {name:?}; there is {} (importers)",
            known.join(", ")
        )));
    };
    let importer: Importer = serde_json::from_str(importer)
        .map_err(|error| wrong(format!("importers.{name} in the configuration: {error}")))?;
    let directory = std::fs::canonicalize(&arguments.directory)
        .map_err(|error| (format!("{}: {error}", arguments.directory.display()), Exit::Failure))?;
    let origin = format!("{name} {}", directory.display());
    let sent = begin(&subject, &origin, arguments.add)?;
    // A folder that nobody else can foresee or enter: others have files where temporary ones lie. It goes by itself.
    let mine = std::fs::Permissions::from_mode(0o700);
    let folder = tempfile::Builder::new().prefix("sabir-import-").permissions(mine).tempdir();
    let folder = folder.map_err(|error| (format!("a folder for the report: {error}"), Exit::Failure))?;
    let report = folder.path().join("report.jsonl");
    let step = |sent: bool| {
        import(configure(&subject.config, name, &importer, &arguments, &directory, &report, sent)?, &report)
    };
    let mut told = match sent {
        Some(told) => told,
        None => step(false)?,
    };
    if is_good(&told) {
        all_sent(&subject, &told)?;
        let ended = step(true)?;
        match is_good(&ended) {
            true => finish(&subject)?,
            false => told = ended,
        }
    }
    let good = is_good(&told);
    match arguments.store.json {
        true => out::line(&told.to_string()),
        false => out::text(&human(&subject, &told)),
    }
    Ok(if good { Exit::Success } else { Exit::Failure })
}

fn is_good(told: &Value) -> bool {
    told["good"].as_bool().unwrap_or(false)
}

/// Notes in the store that it is only a part of what it shall be; answers the report of an earlier run that has sent all.
fn begin(subject: &Subject, origin: &str, add: bool) -> Result<Option<Value>, Failure> {
    let store = subject.open_or_make()?;
    let noted = note(&store, origin, add).and_then(|allowed| Ok((allowed, value_of(&store, archive::SENT)?)));
    let closed = store.close().map_err(|error| subject.failure(&error));
    let (allowed, sent) = noted.map_err(|error| subject.failure(&error))?;
    closed?;
    match allowed {
        true => match sent.map(|told| serde_json::from_slice(&told)).transpose() {
            Ok(told) => Ok(told),
            Err(error) => Err((format!("the report in {}: {error}", subject.name()), Exit::Failure)),
        },
        false => {
            let problem = format!("the store {} is not empty; --add adds to it", subject.name());
            Err((problem, Exit::Failure))
        }
    }
}

fn note(store: &Store, origin: &str, add: bool) -> sabir_host::Result<bool> {
    if value_of(store, archive::FROM)?.is_some_and(|noted| noted[..] == *origin.as_bytes()) {
        return Ok(true);
    }
    if !archive::is_empty(store)? && (!add || archive::is_unfinished(store)?) {
        return Ok(false);
    }
    let value = Bytes::copy_from_slice(origin.as_bytes());
    put(store, vec![Op::Put { key: Bytes::from_static(archive::FROM), value }])?;
    Ok(true)
}

fn value_of(store: &Store, key: &[u8]) -> sabir_host::Result<Option<Bytes>> {
    let end = [key, &[0][..]].concat();
    Ok(store.scan(key, &end, 1)?.into_iter().next().map(|(_, value)| value))
}

fn put(store: &Store, ops: Vec<Op>) -> sabir_host::Result<()> {
    let ticket = store.submit(&Batch { ops, level: Level::Durable })?;
    store.sync(ticket).map(drop)
}

/// All is there.
fn all_sent(subject: &Subject, told: &Value) -> Result<(), Failure> {
    let value = told.to_string().into();
    change(subject, vec![Op::Put { key: Bytes::from_static(archive::SENT), value }])
}

/// The store is whole.
fn finish(subject: &Subject) -> Result<(), Failure> {
    let keys = [archive::FROM, archive::SENT];
    change(subject, keys.map(|key| Op::Delete { key: Bytes::from_static(key) }).into())
}

fn change(subject: &Subject, ops: Vec<Op>) -> Result<(), Failure> {
    let store = subject.open()?;
    let done = put(&store, ops);
    let closed = store.close().map_err(|error| subject.failure(&error));
    done.map_err(|error| subject.failure(&error))?;
    closed
}

/// The broker that takes it over: it has one listener, at which nobody is but the importer, and no policy stands between
/// what is there and what it becomes.
fn configure(
    config: &Config,
    name: &str,
    importer: &Importer,
    arguments: &TakeOver,
    directory: &Path,
    report: &Path,
    sent: bool,
) -> Result<Config, Failure> {
    let mut config = config.clone();
    let mut settings = Map::new();
    settings.insert("directory".to_owned(), directory.display().to_string().into());
    settings.insert("report".to_owned(), report.display().to_string().into());
    settings.insert("accept_loss".to_owned(), arguments.accept_loss.into());
    if sent {
        settings.insert("sent".to_owned(), true.into());
    }
    for pair in &arguments.set {
        let (key, value) =
            pair.split_once('=').ok_or_else(|| wrong(format!("--set {pair}: it is not KEY=VALUE")))?;
        settings.insert(key.to_owned(), value.into());
    }
    let text = config.protocols.get(&importer.protocol).map_or("{}", String::as_str);
    let mut protocol: Map<String, Value> = serde_json::from_str(text)
        .map_err(|error| wrong(format!("protocols.{}: {error}", importer.protocol)))?;
    protocol.extend(importer.protocol_settings.clone());
    config.protocols = [(importer.protocol.clone(), Value::from(protocol).to_string())].into();
    config.transports = [(importer.transport.clone(), Value::from(settings).to_string())].into();
    config.listeners = vec![ListenerConfig {
        uri: format!("{}://import", importer.transport),
        protocols: vec![importer.protocol.clone()],
        origin: config.origin_of(&format!("importers.{name}")),
    }];
    config.importing = true;
    config.metrics.file = None;
    config.security.authentication = AuthenticationMode::Off;
    config.security.rules = Default::default();
    config.engine.limits.max_unsettled_per_session = usize::MAX;
    // What virtual topics have copied is there already.
    config.engine.virtual_topics.clear();
    let rules = config.engine.policies.iter_mut().map(|rule| &mut rule.policy);
    for policy in rules.chain([&mut config.engine.default_policy]) {
        (policy.max_messages, policy.max_bytes, policy.max_redeliveries) = (0, 0, u32::MAX);
    }
    Ok(config)
}

/// Runs the broker until the importer has ended; answers its report.
fn import(config: Config, report: &Path) -> Result<Value, Failure> {
    let drain = Duration::from_millis(config.broker.drain_timeout_ms);
    std::fs::create_dir_all(&config.broker.data_dir)
        .map_err(|error| (format!("making {}: {error}", config.broker.data_dir.display()), Exit::Failure))?;
    let mut registry = Registry::new();
    plugins::load(&config, &mut registry).map_err(|error| (error.to_string(), Exit::Plugin))?;
    let errors = plugins::check_settings(&config, &registry.plugins());
    if let Some(error) = errors.first() {
        return Err(wrong(error.to_string()));
    }
    let broker =
        serve(config, registry).map_err(|error| (error.to_string(), crate::cli::run::exit_of(&error)))?;
    let told = watch(&broker, report);
    match (told, broker.shutdown(drain)) {
        (Ok(_), Some(error)) => {
            Err((format!("the store was not closed cleanly: {error}"), Exit::StoreFailed))
        }
        (told, _) => told,
    }
}

/// Reads what the importer writes until its last line.
fn watch(broker: &RunningBroker, report: &Path) -> Result<Value, Failure> {
    let cannot = |error: std::io::Error| (format!("{}: {error}", report.display()), Exit::Failure);
    let mut file = File::open(report).map_err(cannot)?;
    let mut bar = Bar::of_things();
    let mut text = String::new();
    loop {
        file.read_to_string(&mut text).map_err(cannot)?;
        // The last line may be there by half.
        let whole = text.rfind('\n').map_or(0, |end| end + 1);
        let lines: String = text.drain(..whole).collect();
        for line in lines.lines() {
            match serde_json::from_str(line) {
                Ok(Line::Progress { phase, done, total }) => bar.show(&phase, done, total),
                Ok(Line::Last { report }) => {
                    bar.end();
                    return Ok(report);
                }
                Err(error) => {
                    return Err((format!("the importer wrote {line:?}: {error}"), Exit::Failure));
                }
            }
        }
        if let Some(failure) = broker.failure() {
            return Err((failure, Exit::StoreFailed));
        }
        std::thread::sleep(LOOK_EVERY);
    }
}

/// The report, as people read it.
fn human(subject: &Subject, told: &Value) -> String {
    let mut lines = Vec::new();
    let list = |name: &str| told[name].as_array().cloned().unwrap_or_default();
    lines.extend(list("notes").iter().filter_map(Value::as_str).map(|note| format!("note: {note}")));
    lines.extend(list("lost").iter().filter_map(Value::as_str).map(|lost| format!("not taken over: {lost}")));
    for (name, value) in told.as_object().into_iter().flatten() {
        if let Some(count) = value.as_u64() {
            lines.push(format!("{:<16} {count}", name.replace('_', " ")));
        }
    }
    lines.push(match told["failed"].as_str() {
        Some(why) => format!("{} is only a part of what it should be: {why}", subject.name()),
        None => format!("{} is ready to be served", subject.name()),
    });
    lines.join("\n") + "\n"
}
