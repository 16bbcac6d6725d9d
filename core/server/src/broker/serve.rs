// SPDX-License-Identifier: Apache-2.0
//! Puts a broker together, and takes it apart again in the order in which nothing is lost.

use super::Clock;
use super::committer::Committer;
use super::exporter::Exporter;
use super::failure::{Failure, Vital};
use super::figures::Figures;
use super::outbox::End;
use super::reactors::Reactors;
use super::readers;
use super::room::Room;
use crate::archive;
use crate::config::{Config, ListenerConfig};
use crate::link::accept::{CurrentContext, accept};
use crate::link::admission::Connections;
use crate::link::{ConnectionNames, LinkContext, Solo};
use sabir_engine::{Admin, Engine, Input};
use sabir_host::{Protocol, Registry, Store, Transport};
use sabir_stack::policy::FileError;
use sabir_stack::{Authentication, Extension, Metrics, Policy, Shared, SharedPolicy};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tokio::task::AbortHandle;

/// Why a broker did not start.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The operating system refused something.
    #[error("{what}: {error}")]
    System {
        /// What was tried.
        what: String,
        /// Why it failed.
        error: std::io::Error,
    },
    /// A component is not in the registry.
    #[error("the {kind} {name:?} is needed and not loaded")]
    Missing {
        /// What it is.
        kind: &'static str,
        /// How it is called.
        name: String,
    },
    /// A component refused to open.
    #[error("the {kind} {name:?} cannot be opened: {error}")]
    Open {
        /// What it is.
        kind: &'static str,
        /// How it is called.
        name: String,
        /// Why.
        error: sabir_host::Error,
    },
    /// The store does not give back what it holds.
    #[error("the store {name:?} cannot be read: {error}")]
    Recover {
        /// How it is called.
        name: String,
        /// Why.
        error: String,
    },
    /// The users cannot be read.
    #[error("{0}")]
    Users(#[from] FileError),
    /// A listener cannot be opened.
    #[error("{origin}: cannot listen on {uri}: {error}")]
    Listen {
        /// Where it was configured.
        origin: String,
        /// Where it should listen.
        uri: String,
        /// Why it does not.
        error: String,
    },
}

/// Where clients connect to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenerAddress {
    /// The transport.
    pub scheme: String,
    /// The address, with the port that the system chose where 0 was asked for.
    pub address: String,
    /// The protocols that are spoken there.
    pub protocols: Vec<String>,
}

/// A broker that runs. Dropped without [`shutdown`](Self::shutdown) it ends as after a crash: nothing confirmed is lost.
pub struct RunningBroker {
    addresses: Vec<ListenerAddress>,
    config: Mutex<Config>,
    room: Arc<Room>,
    failure: Arc<Failure>,
    reactors: Arc<Reactors>,
    committer: Option<(Arc<Committer>, JoinHandle<()>)>,
    readers: Vec<JoinHandle<()>>,
    listeners: Vec<AbortHandle>,
    context: Arc<CurrentContext>,
    connections: Arc<Connections>,
    store: Arc<Store>,
    transports: BTreeMap<String, Transport>,
    figures: Figures,
    exporter: Option<Exporter>,
    registry: Option<Registry>,
}

/// Starts a broker with the components of a registry. Blocks while the store recovers; the broker then runs on
/// threads of its own.
pub fn serve(config: Config, registry: Registry) -> Result<RunningBroker, ServeError> {
    serve_with(config, registry, Vec::new())
}

/// The same, with layers of the caller's in every session's stack, the outermost last.
pub fn serve_with(
    config: Config,
    registry: Registry,
    extensions: Vec<Extension>,
) -> Result<RunningBroker, ServeError> {
    let system = |what: &str| {
        let what = what.to_owned();
        move |error| ServeError::System { what, error }
    };
    let policy = config.security.policy()?.with_default_virtual_host(&config.engine.default_virtual_host);
    let reactors = Arc::new(
        Reactors::start(config.broker.reactor_threads).map_err(system("starting the reactor threads"))?,
    );
    // Plugins find their reactor through the thread that calls them.
    let _inside = reactors.first().enter();
    let clock = Clock::start();
    let store = Arc::new(open_store(&config, &registry)?);
    let engine = recover(&config, &store, clock)?;
    let (reads, requests) = mpsc::channel();
    let room = Arc::new(Room::new(engine, clock, reads));
    let failure = Arc::new(Failure::default());
    let lazy = Duration::from_millis(config.store.lazy_commit_ms);
    let delay = Duration::from_micros(config.store.commit_delay_us);
    let committer = Arc::new(Committer::new(room.clone(), store.clone(), failure.clone(), lazy, delay));
    let readers = readers::start(config.store.reader_threads, requests, &room, &store, &committer, &failure)
        .map_err(system("starting the reader threads"))?;
    let thread = start_committer(&committer, &failure).map_err(system("starting the committer's thread"))?;
    let connections = Arc::new(Connections::default());
    let metrics = Arc::new(Metrics::new());
    let context = Arc::new(CurrentContext::new(Arc::new(LinkContext {
        room: room.clone(),
        committer: committer.clone(),
        solo: Arc::new(Solo::new(config.store.solo_commits)),
        limits: config.limits.clone(),
        stack: shared(policy, config.security.password_checks, metrics.clone(), extensions),
        connections: connections.clone(),
        names: Arc::new(ConnectionNames::new().map_err(system("asking for random bytes"))?),
    })));
    reactors.first().spawn(tick(room.clone(), Vital::new(&failure, "the timer")));
    room.enter(room.now(), Input::Tick);
    let figures =
        Figures::new(&room, &store, &committer, &connections, metrics, config.metrics.max_destinations);
    let mut broker = RunningBroker {
        addresses: Vec::new(),
        figures,
        exporter: None,
        room,
        failure,
        reactors: reactors.clone(),
        committer: Some((committer, thread)),
        readers,
        listeners: Vec::new(),
        context,
        connections,
        store,
        transports: BTreeMap::new(),
        registry: Some(registry),
        config: Mutex::new(config),
    };
    match broker.listen().and_then(|()| broker.export()) {
        Ok(()) => Ok(broker),
        Err(error) => {
            broker.shutdown(Duration::ZERO);
            Err(error)
        }
    }
}

fn start_committer(committer: &Arc<Committer>, failure: &Arc<Failure>) -> std::io::Result<JoinHandle<()>> {
    let (committer, vital) = (committer.clone(), Vital::new(failure, "the committer"));
    std::thread::Builder::new().name("sabir-commit".to_owned()).spawn(move || {
        let _vital = vital;
        committer.run();
    })
}

fn open_store(config: &Config, registry: &Registry) -> Result<Store, ServeError> {
    let name = &config.store.kind;
    let component =
        registry.store(name).ok_or_else(|| ServeError::Missing { kind: "store", name: name.clone() })?;
    let settings = config.stores.get(name).map_or("{}", String::as_str);
    component.open_store(settings).map_err(|error| ServeError::Open {
        kind: "store",
        name: name.clone(),
        error,
    })
}

/// Reads what the store holds and makes an engine of it.
fn recover(config: &Config, store: &Store, clock: Clock) -> Result<Engine, ServeError> {
    let failed = |error: String| ServeError::Recover { name: config.store.kind.clone(), error };
    let logs = store.recover().map_err(|error| failed(error.to_string()))?;
    if !config.importing && archive::is_unfinished(store).map_err(|error| failed(error.to_string()))? {
        let what = "an import into it has not finished: it holds a part of what it should; import again";
        return Err(failed(what.to_owned()));
    }
    let mut keys = Vec::new();
    for (from, to) in Engine::key_ranges() {
        keys.extend(store.scan(&from, &to, 0).map_err(|error| failed(error.to_string()))?);
    }
    let mut engine = Engine::recover(config.engine.clone(), clock.now(), logs, keys)
        .map_err(|error| failed(error.to_string()))?;
    let prepared = engine.prepared_branches();
    if prepared > 0 {
        // Whoever prepared them must end them: until then they withhold what they have consumed.
        tracing::warn!(prepared, "branches of distributed transactions are prepared, and wait for their end");
    }
    let stats = store.stats().map_err(|error| failed(error.to_string()))?;
    match stats.used_bytes.saturating_add(stats.free_bytes) {
        // It does not say.
        0 => {}
        bytes => engine.set_store_bytes(bytes),
    }
    Ok(engine)
}

/// What all sessions share. `password_checks`: how many passwords are checked at the same time.
fn shared(
    policy: Policy,
    password_checks: usize,
    metrics: Arc<Metrics>,
    extensions: Vec<Extension>,
) -> Shared {
    let permits = Arc::new(tokio::sync::Semaphore::new(password_checks));
    let blocking = move |work: Box<dyn FnOnce() + Send>| {
        let permits = permits.clone();
        // Runs on the reactor of the link that asks; the work itself does not.
        drop(tokio::spawn(async move {
            let Ok(_permit) = permits.acquire().await else { return };
            let _ = tokio::task::spawn_blocking(work).await;
        }));
    };
    Shared { policy: Arc::new(SharedPolicy::new(policy)), metrics, blocking: Arc::new(blocking), extensions }
}

/// Calls the engine when it wants to be called.
async fn tick(room: Arc<Room>, _vital: Vital) {
    loop {
        let deadline_ms = room.deadline.arm();
        if deadline_ms == u64::MAX {
            room.deadline.changed().await;
            continue;
        }
        let at = tokio::time::Instant::from_std(room.clock().instant(deadline_ms));
        tokio::select! {
            () = tokio::time::sleep_until(at) => room.enter(room.now(), Input::Tick),
            () = room.deadline.changed() => {}
        }
    }
}

impl RunningBroker {
    /// Opens the configured listeners.
    fn listen(&mut self) -> Result<(), ServeError> {
        let config = self.lock_config().clone();
        let protocols = self.open_protocols(&config)?;
        for listener in &config.listeners {
            self.open_listener(&config, listener, &protocols)?;
        }
        Ok(())
    }

    /// Starts to write the metrics, if that was asked for.
    fn export(&mut self) -> Result<(), ServeError> {
        let metrics = self.lock_config().metrics.clone();
        if let Some(file) = metrics.file {
            let interval = Duration::from_millis(metrics.interval_ms);
            let started = Exporter::start(self.figures.clone(), file, interval);
            let what = "starting the thread that writes the metrics".to_owned();
            self.exporter = Some(started.map_err(|error| ServeError::System { what, error })?);
        }
        Ok(())
    }

    fn lock_config(&self) -> std::sync::MutexGuard<'_, Config> {
        self.config.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn open_protocols(&self, config: &Config) -> Result<BTreeMap<String, Protocol>, ServeError> {
        let mut protocols = BTreeMap::new();
        for (name, settings) in &config.protocols {
            let component = self.registry.as_ref().and_then(|registry| registry.protocol(name));
            let component =
                component.ok_or_else(|| ServeError::Missing { kind: "protocol", name: name.clone() })?;
            let protocol = component.open_protocol(settings).map_err(|error| ServeError::Open {
                kind: "protocol",
                name: name.clone(),
                error,
            })?;
            protocols.insert(name.clone(), protocol);
        }
        Ok(protocols)
    }

    fn open_listener(
        &mut self,
        config: &Config,
        listener: &ListenerConfig,
        protocols: &BTreeMap<String, Protocol>,
    ) -> Result<(), ServeError> {
        let failed = |error: String| ServeError::Listen {
            origin: listener.origin.to_string(),
            uri: listener.uri.clone(),
            error,
        };
        let scheme = listener.scheme().to_owned();
        let policy = self.policy();
        let transport = self.transport(config, &scheme)?;
        let local_only = transport.capabilities() & sabir_abi::SABIR_CAP_TRANSPORT_LOCAL_ONLY != 0;
        config.security.allows(listener, local_only, &policy).map_err(failed)?;
        let chosen = choose(&listener.protocols, protocols);
        let opened = transport.listen(&listener.uri).map_err(|error| failed(error.to_string()))?;
        self.addresses.push(ListenerAddress {
            scheme,
            address: opened.local_address().to_owned(),
            protocols: chosen.iter().map(|protocol| protocol.name().to_owned()).collect(),
        });
        let task = accept(opened, chosen.into(), self.context.clone(), self.reactors.clone());
        let vital = Vital::new(&self.failure, "a listener");
        let task = async move {
            let _vital = vital;
            task.await;
        };
        self.listeners.push(self.reactors.first().spawn(task).abort_handle());
        Ok(())
    }

    fn transport(&mut self, config: &Config, scheme: &str) -> Result<&Transport, ServeError> {
        if !self.transports.contains_key(scheme) {
            let component = self.registry.as_ref().and_then(|registry| registry.transport(scheme));
            let component = component
                .ok_or_else(|| ServeError::Missing { kind: "transport", name: scheme.to_owned() })?;
            let settings = config.transports.get(scheme).map_or("{}", String::as_str);
            let transport = component.open_transport(settings).map_err(|error| ServeError::Open {
                kind: "transport",
                name: scheme.to_owned(),
                error,
            })?;
            self.transports.insert(scheme.to_owned(), transport);
        }
        self.transports
            .get(scheme)
            .ok_or_else(|| ServeError::Missing { kind: "transport", name: scheme.to_owned() })
    }

    /// Where clients connect to, in the order of the configuration.
    pub fn local_addresses(&self) -> &[ListenerAddress] {
        &self.addresses
    }

    /// The transport of a scheme that some listener uses, for connecting from within the process.
    pub fn opened_transport(&self, scheme: &str) -> Option<&Transport> {
        self.transports.get(scheme)
    }

    /// The policy in force.
    fn policy(&self) -> Arc<Policy> {
        self.context.get().stack.policy.current()
    }

    /// Completes when the broker cannot go on, with the reason. What is left to do is to shut it down.
    pub async fn failed(&self) -> String {
        self.failure.wait().await.to_owned()
    }

    /// Why the broker could not go on, if it could not.
    pub fn failure(&self) -> Option<String> {
        self.failure.text().map(str::to_owned)
    }

    /// Links that there are.
    pub fn connections(&self) -> usize {
        self.connections.total()
    }

    /// All metrics, in the text form of Prometheus.
    pub fn render_metrics(&self) -> String {
        self.figures.render()
    }

    /// Takes over what can change while the broker runs: users, rules, limits, policies of destinations. Answers the
    /// keys that changed and need a restart.
    pub fn reload(&self, config: Config) -> Result<Vec<&'static str>, ServeError> {
        let was_closed = !matches!(self.policy().authentication, Authentication::Off);
        let policy = config.security.policy()?.with_default_virtual_host(&config.engine.default_virtual_host);
        let is_open = matches!(policy.authentication, Authentication::Off);
        if was_closed && is_open && config.security.authentication != crate::config::AuthenticationMode::Off {
            // A users' file that has vanished is no wish to let everybody in.
            let what = format!("{} has vanished", config.security.users_file.display());
            return Err(ServeError::System {
                what,
                error: std::io::Error::other("the users stay as they were"),
            });
        }
        let old = self.context.get();
        old.stack.policy.replace(policy);
        self.context.replace(Arc::new(LinkContext {
            room: old.room.clone(),
            committer: old.committer.clone(),
            solo: old.solo.clone(),
            limits: config.limits.clone(),
            stack: old.stack.clone(),
            connections: old.connections.clone(),
            names: old.names.clone(),
        }));
        let engine = Box::new(config.engine.clone());
        self.room.enter(self.room.now(), Input::Admin(Admin::Configure(engine)));
        let mut current = self.lock_config();
        let fixed = current.needs_restart(&config);
        *current = config;
        Ok(fixed)
    }

    /// Ends the broker. For as long as `drain` sessions get the answers to what they have asked for; then all of them
    /// are ended, everything is committed, and the store is closed. Answers why the store could not be closed.
    pub fn shutdown(self, drain: Duration) -> Option<String> {
        self.shutdown_unless(drain, || false)
    }

    /// The same; `hurry` is asked again and again, and cuts the time short.
    pub fn shutdown_unless(mut self, drain: Duration, hurry: impl Fn() -> bool) -> Option<String> {
        self.listeners.iter().for_each(AbortHandle::abort);
        let reason = self.failure().unwrap_or_else(|| "the broker is stopping".to_owned());
        let end = || match self.failure.is_set() || drain.is_zero() {
            true => End::AtOnce(reason.clone()),
            false => End::WhenAnswered(reason.clone()),
        };
        self.room.for_each_outbox(|outbox| outbox.end(end()));
        let until = Instant::now() + drain;
        while self.connections.total() > 0 && Instant::now() < until && !hurry() {
            self.connections.wait_for_change(Duration::from_millis(50));
        }
        self.reactors.stop();
        let committer = self.committer.take();
        self.room.commit.stop();
        if let Some((committer, thread)) = committer {
            let _ = thread.join();
            drop(committer);
        }
        self.room.stop_reads();
        self.readers.drain(..).for_each(|thread| drop(thread.join()));
        let RunningBroker { store, context, room, transports, registry, exporter, figures, .. } = self;
        drop(exporter);
        drop((context, room, figures));
        let closed = match Arc::try_unwrap(store) {
            Ok(store) => store.close().err().map(|error| error.to_string()),
            Err(_) => Some("the store is still in use".to_owned()),
        };
        drop(transports);
        if let Some(registry) = registry {
            registry.shutdown();
        }
        closed
    }
}

/// The protocols that a listener allows; `auto` stands for all of them.
fn choose(names: &[String], protocols: &BTreeMap<String, Protocol>) -> Vec<Protocol> {
    if names.iter().any(|name| name == "auto") {
        return protocols.values().cloned().collect();
    }
    names.iter().filter_map(|name| protocols.get(name)).cloned().collect()
}
