// SPDX-License-Identifier: Apache-2.0
//! `sabir store import-NAME`: what another broker has stored is taken over.
//!
//! The importer is a transport that the configuration names: it has one peer, which speaks as a client of the other broker
//! would. The broker runs without any other listener until that client has said all. So what becomes of a message is what
//! the protocol makes of it anyway, and nothing here knows what is imported.
//!
//! It may be killed at any time. Until all is there the importer keeps in the broker how far it has come. Only when the
//! store says by a key that all is there, a second start of the broker takes that away, and the store's keys go last. One
//! stays, which says what was taken over: whoever is killed after that, and runs it again, adds nothing twice.

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
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

/// How often it is looked how far the importer has come.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// So many bytes of an origin's name are in a key.
const ORIGIN_IN_KEY: usize = 1_000;

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

/// From where something is taken over, and what is there.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Origin {
    /// The importer's name and the directory.
    name: String,
    /// The directory's files: how many, how long all together, and when the newest was written, in ns since 1970.
    files: u64,
    bytes: u64,
    newest: u64,
}

/// What stays in the store when all was taken over.
#[derive(Debug, Deserialize)]
struct Done {
    origin: Origin,
    report: Value,
}

/// How far an earlier run has come.
enum Earlier {
    /// Not to the end, if there was one.
    Unfinished,
    /// All was sent; what was reported of it.
    Sent(Value),
    /// All is there.
    Finished(Value),
}

impl Origin {
    fn of(importer: &str, directory: &Path) -> std::io::Result<Self> {
        let name = format!("{importer} {}", directory.display());
        let mut origin = Self { name, files: 0, bytes: 0, newest: 0 };
        for entry in std::fs::read_dir(directory)? {
            let about = entry?.metadata()?;
            let written = about.modified()?.duration_since(UNIX_EPOCH).unwrap_or_default();
            if about.is_file() {
                origin.files += 1;
                origin.bytes += about.len();
                origin.newest = origin.newest.max(written.as_nanos() as u64);
            }
        }
        Ok(origin)
    }

    /// The key under which it is kept that all was taken over. A key has at most 1,024 bytes, and of a path the end says
    /// more than the beginning.
    fn key(&self) -> Bytes {
        let name = self.name.as_bytes();
        let end = &name[name.len().saturating_sub(ORIGIN_IN_KEY)..];
        [archive::DONE, end].concat().into()
    }
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
    let unreadable = |error| (format!("{}: {error}", arguments.directory.display()), Exit::Failure);
    let directory = std::fs::canonicalize(&arguments.directory).map_err(unreadable)?;
    let origin = Origin::of(name, &directory).map_err(unreadable)?;
    let earlier = begin(&subject, &origin, arguments.add)?;
    // A folder that nobody else can foresee or enter: others have files where temporary ones lie. It goes by itself.
    let mine = std::fs::Permissions::from_mode(0o700);
    let folder = tempfile::Builder::new().prefix("sabir-import-").permissions(mine).tempdir();
    let folder = folder.map_err(|error| (format!("a folder for the report: {error}"), Exit::Failure))?;
    let report = folder.path().join("report.jsonl");
    let step = |sent: bool| {
        import(configure(&subject.config, name, &importer, &arguments, &directory, &report, sent)?, &report)
    };
    // All was sent: what says how far the importer had come goes, and then what says that it is not yet whole.
    let end = |told: Value| {
        all_sent(&subject, &told)?;
        let ended = step(true)?;
        if !is_good(&ended) {
            return Ok(ended);
        }
        finish(&subject, &origin, &told).map(|()| told)
    };
    let told = match earlier {
        Earlier::Finished(told) => again(told),
        Earlier::Sent(told) => end(told)?,
        Earlier::Unfinished => match step(false)? {
            told if is_good(&told) => end(told)?,
            told => told,
        },
    };
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

/// The report of an earlier run, with a note that says so.
fn again(mut told: Value) -> Value {
    let note =
        "all of this was taken over before, and the directory is as it was then: nothing was added now";
    match told["notes"].as_array_mut() {
        Some(notes) => notes.push(note.into()),
        None => told["notes"] = json!([note]),
    }
    told
}

/// Notes in the store that it is only a part of what it shall be, unless all is there; answers how far it has come.
fn begin(subject: &Subject, origin: &Origin, add: bool) -> Result<Earlier, Failure> {
    let store = subject.open_or_make()?;
    let earlier = earlier(subject, &store, origin, add);
    let closed = store.close().map_err(|error| subject.failure(&error));
    let earlier = earlier?;
    closed.map(|()| earlier)
}

fn earlier(subject: &Subject, store: &Store, origin: &Origin, add: bool) -> Result<Earlier, Failure> {
    let failed = |error| subject.failure(&error);
    let unreadable = |error| (format!("the report in {}: {error}", subject.name()), Exit::Failure);
    let begun = value_of(store, archive::FROM).map_err(failed)?;
    if begun.is_some_and(|from| from[..] == *origin.name.as_bytes()) {
        return match value_of(store, archive::SENT).map_err(failed)? {
            Some(told) => serde_json::from_slice(&told).map(Earlier::Sent).map_err(unreadable),
            None => Ok(Earlier::Unfinished),
        };
    }
    let done = value_of(store, &origin.key()).map_err(failed)?;
    let done: Option<Done> =
        done.map(|done| serde_json::from_slice(&done)).transpose().map_err(unreadable)?;
    let has_changed = match done.filter(|done| done.origin.name == origin.name) {
        Some(done) if done.origin == *origin => return Ok(Earlier::Finished(done.report)),
        other => other.is_some(),
    };
    let refused = |why: &str| Err((format!("the store {} {why}", subject.name()), Exit::Failure));
    if archive::is_unfinished(store).map_err(failed)? {
        return refused(
            "is only a part of what it should be: run the import that was interrupted again first",
        );
    }
    if !add && !archive::is_empty(store).map_err(failed)? {
        return refused(match has_changed {
            true => {
                "has what was there before, and the directory has changed since: --add adds all that is there now, once more"
            }
            false => "is not empty; --add adds to it",
        });
    }
    let value = Bytes::copy_from_slice(origin.name.as_bytes());
    put(store, vec![Op::Put { key: Bytes::from_static(archive::FROM), value }]).map_err(failed)?;
    Ok(Earlier::Unfinished)
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

/// The store is whole, and says what was taken over.
fn finish(subject: &Subject, origin: &Origin, told: &Value) -> Result<(), Failure> {
    let key = origin.key();
    let value = json!({ "origin": origin, "report": told }).to_string().into();
    let ended = [archive::FROM, archive::SENT].map(|key| Op::Delete { key: Bytes::from_static(key) });
    change(subject, ended.into_iter().chain([Op::Put { key, value }]).collect())
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
