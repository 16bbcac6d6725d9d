// SPDX-License-Identifier: Apache-2.0
//! `sabir run`: the broker as a process, from the first banner to the last signal.

use super::{Exit, RunArguments, config};
use crate::broker::{RunningBroker, ServeError, serve};
use crate::config::{Config, ConfigErrors, Sources};
use crate::logging::{self, LevelHandle};
use crate::plugins;
use sabir_host::{Description, Registry};
use std::io::{IsTerminal, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::runtime::Runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Why the broker is to end.
enum Stop {
    Signal,
    Failure(String),
}

/// Runs the broker until it is told to stop.
pub fn run(arguments: &RunArguments) -> Exit {
    let sources = match arguments.sources() {
        Ok(sources) => sources,
        Err(problem) => {
            eprintln!("error: {problem}");
            return Exit::Configuration;
        }
    };
    let settings = match sources.load() {
        Ok(settings) => settings,
        Err(errors) => return config::refuse(&errors),
    };
    let level = logging::start(&settings.log);
    logging::panics();
    for (variable, meant) in sources.doubtful_variables() {
        tracing::warn!(variable, "nobody looks at this variable; did you mean {meant}?");
    }
    let mut registry = Registry::new();
    if let Err(error) = plugins::load(&settings, &mut registry) {
        return give_up(&error, Exit::Plugin);
    }
    let plugins = registry.plugins();
    let errors = plugins::check_settings(&settings, &plugins);
    if !errors.is_empty() {
        return config::refuse(&ConfigErrors(errors));
    }
    // Before anything is opened: a request to read the configuration again must not end a broker that still starts.
    let signals = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let signals = signals.and_then(Signals::new);
    let signals = match signals {
        Ok(signals) => signals,
        Err(error) => return give_up(&error, Exit::Failure),
    };
    let drain = Duration::from_millis(settings.broker.drain_timeout_ms);
    let summary = Summary {
        data_dir: settings.broker.data_dir.display().to_string(),
        store: settings.store.kind.clone(),
        plugins: plugins.len(),
    };
    let reload = Reload { sources, level, plugins };
    match start(settings, registry).and_then(|broker| Ok((broker, signals.stoppable()?))) {
        Ok((broker, signals)) => {
            announce(&broker, &summary);
            wait(broker, signals, &reload, drain)
        }
        Err(error) => {
            let exit = exit_of(&error);
            give_up(&error, exit)
        }
    }
}

/// How the program ends when the broker does not start.
pub(super) fn exit_of(error: &ServeError) -> Exit {
    match error {
        ServeError::Listen { .. } => Exit::Listen,
        ServeError::Missing { .. } => Exit::Plugin,
        ServeError::Open { error, .. } if error.code == sabir_host::ErrorCode::Config => Exit::Configuration,
        ServeError::Open { kind: "store", .. } | ServeError::Recover { .. } => Exit::StoreOpen,
        ServeError::Users(_) => Exit::Configuration,
        ServeError::Open { .. } | ServeError::System { .. } => Exit::Failure,
    }
}

/// Says why, as people read it.
fn give_up(error: &dyn std::fmt::Display, exit: Exit) -> Exit {
    eprintln!("error: {error}");
    exit
}

/// What the banner tells beside the listeners.
struct Summary {
    data_dir: String,
    store: String,
    plugins: usize,
}

fn start(settings: Config, registry: Registry) -> Result<RunningBroker, ServeError> {
    make_lasting(&settings.broker.data_dir).map_err(|error| {
        let what = format!("making {} (broker.data_dir)", settings.broker.data_dir.display());
        ServeError::System { what, error }
    })?;
    serve(settings, registry)
}

/// Makes a folder and those above it. Each is on the medium once the one that names it was synced: what is confirmed from
/// within must not vanish with its folder.
fn make_lasting(folder: &std::path::Path) -> std::io::Result<()> {
    let new: Vec<_> =
        folder.ancestors().take_while(|at| !at.as_os_str().is_empty() && !at.is_dir()).collect();
    std::fs::create_dir_all(folder)?;
    for parent in new.iter().filter_map(|made| made.parent()) {
        let parent = if parent.as_os_str().is_empty() { std::path::Path::new(".") } else { parent };
        std::fs::File::open(parent)?.sync_all()?;
    }
    Ok(())
}

/// Lines for scripts on standard output; a banner for people on a terminal.
fn announce(broker: &RunningBroker, summary: &Summary) {
    let mut lines = String::new();
    for listener in broker.local_addresses() {
        let protocols = listener.protocols.join(",");
        lines += &format!("listening {} {} {protocols}\n", listener.scheme, listener.address);
    }
    lines += "ready\n";
    let mut stdout = std::io::stdout().lock();
    // Nobody may be listening; the broker is up all the same.
    let _ = stdout.write_all(lines.as_bytes()).and_then(|()| stdout.flush());
    if std::io::stderr().is_terminal() {
        let Summary { data_dir, store, plugins } = summary;
        eprintln!(
            "sabir {}  data={data_dir}  store={store}  plugins: {plugins} loaded (sabir plugin list)",
            env!("CARGO_PKG_VERSION")
        );
        for listener in broker.local_addresses() {
            eprintln!("  {:<20} {}://{}", listener.protocols.join(", "), listener.scheme, listener.address);
        }
    }
    for listener in broker.local_addresses() {
        let (scheme, address) = (&listener.scheme, &listener.address);
        tracing::info!(%scheme, %address, protocols = listener.protocols.join(","), "listening");
    }
}

/// Waits for signals, or a failure, and shuts the broker down.
fn wait(broker: RunningBroker, mut signals: StopSignals, reload: &Reload, drain: Duration) -> Exit {
    let hurried = Arc::new(AtomicBool::new(false));
    let stop = signals.wait(&broker, reload);
    match &stop {
        Stop::Signal => {
            tracing::info!(connections = broker.connections(), "stopping; a second signal hurries")
        }
        Stop::Failure(reason) => tracing::error!(%reason, "stopping"),
    }
    let watcher = {
        let hurried = hurried.clone();
        std::thread::spawn(move || {
            signals.stop();
            hurried.store(true, Ordering::Release);
        })
    };
    let closed = broker.shutdown_unless(drain, || hurried.load(Ordering::Acquire));
    // Left behind on purpose: it waits for a signal that may never come.
    drop(watcher);
    match (&stop, &closed) {
        (Stop::Signal, None) => tracing::info!("stopped"),
        (Stop::Signal, Some(error)) => eprintln!("error: the store was not closed cleanly: {error}"),
        (Stop::Failure(_), _) => {}
    }
    exit_after(&stop, closed.is_none())
}

/// How the program ends after it ran.
fn exit_after(stop: &Stop, closed_cleanly: bool) -> Exit {
    match (stop, closed_cleanly) {
        (Stop::Failure(_), _) => Exit::StoreFailed,
        (Stop::Signal, true) => Exit::Success,
        (Stop::Signal, false) => Exit::Failure,
    }
}

/// The signals that mean something to a broker that still starts. Those that stop it do so at once, as ever: nothing was
/// confirmed yet, and what was confirmed before is in the store.
struct Signals {
    runtime: Runtime,
    hangup: Signal,
}

/// The signals that mean something to a broker that runs.
struct StopSignals {
    runtime: Runtime,
    hangup: Signal,
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new(runtime: Runtime) -> std::io::Result<Self> {
        let hangup = {
            let _inside = runtime.enter();
            signal(SignalKind::hangup())?
        };
        Ok(Signals { runtime, hangup })
    }

    /// From now on the broker is asked to stop instead of being stopped. Comes before anybody is told that it is ready.
    fn stoppable(self) -> Result<StopSignals, ServeError> {
        let Signals { runtime, hangup } = self;
        let both = {
            let _inside = runtime.enter();
            signal(SignalKind::terminate()).and_then(|first| Ok((first, signal(SignalKind::interrupt())?)))
        };
        let what = "listening for signals".to_owned();
        let (terminate, interrupt) = both.map_err(|error| ServeError::System { what, error })?;
        Ok(StopSignals { runtime, hangup, terminate, interrupt })
    }
}

impl StopSignals {
    /// Returns when the process is asked to stop.
    fn stop(&mut self) {
        let StopSignals { runtime, terminate, interrupt, .. } = self;
        runtime.block_on(async {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
        });
    }

    fn wait(&mut self, broker: &RunningBroker, again: &Reload) -> Stop {
        let StopSignals { runtime, hangup, terminate, interrupt } = self;
        runtime.block_on(async {
            loop {
                tokio::select! {
                    _ = terminate.recv() => return Stop::Signal,
                    _ = interrupt.recv() => return Stop::Signal,
                    reason = broker.failed() => return Stop::Failure(reason),
                    _ = hangup.recv() => again.reload(broker),
                }
            }
        })
    }
}

/// What reading the configuration again needs.
struct Reload {
    sources: Sources,
    level: Option<LevelHandle>,
    plugins: Vec<Description>,
}

impl Reload {
    /// Takes over what can change; everything stays as it is when something is wrong.
    fn reload(&self, broker: &RunningBroker) {
        let settings = match self.settings() {
            Ok(settings) => settings,
            Err(errors) => {
                for error in &errors.0 {
                    tracing::error!(%error, "not reloaded: the configuration is wrong");
                }
                return;
            }
        };
        let log_level = settings.log.level.clone();
        match broker.reload(settings) {
            Ok(fixed) => {
                if let Some(Err(error)) = self.level.as_ref().map(|level| level.set(&log_level)) {
                    tracing::error!(%error, "the log level could not be changed");
                }
                if !fixed.is_empty() {
                    tracing::warn!(sections = fixed.join(", "), "changed, but only a restart takes it over");
                }
                tracing::info!("reloaded: users, authorization, limits, policies of destinations, log level");
            }
            Err(error) => tracing::error!(%error, "not reloaded"),
        }
    }

    /// The configuration as it is now; what a restart would refuse is refused here.
    fn settings(&self) -> Result<Config, ConfigErrors> {
        let settings = self.sources.load()?;
        let errors = plugins::check_settings(&settings, &self.plugins);
        if errors.is_empty() { Ok(settings) } else { Err(ConfigErrors(errors)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scripts_tell_a_store_that_failed_from_an_ordinary_end() {
        let failure = || Stop::Failure("the store has failed: no space".to_owned());
        assert_eq!(exit_after(&failure(), true) as u8, 6);
        assert_eq!(exit_after(&failure(), false) as u8, 6);
        assert_eq!(exit_after(&Stop::Signal, true) as u8, 0);
        assert_eq!(exit_after(&Stop::Signal, false) as u8, 1);
    }
}
