// SPDX-License-Identifier: Apache-2.0
//! A broker under measurement: Sabir or a peer, in a process group and a folder of its own.

use super::load::{Load, Pace, Seen};
use super::process::{self, Cpu};
use super::table::About;
use crate::workspace::Built;
use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process_group};
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Longer than the slowest peer takes to start.
const START_PATIENCE: Duration = Duration::from_secs(90);
/// How long a peer may take to stop before it is killed.
const STOP_PATIENCE: Duration = Duration::from_secs(15);

/// Acknowledgements in a window, where a broker does not do better with more or fewer.
pub const ACKS_PER_WINDOW: usize = 4;

/// A running broker.
pub struct Broker {
    pub name: &'static str,
    pub address: SocketAddr,
    /// The virtual host that clients name.
    pub host: &'static str,
    pub login: Option<(String, String)>,
    /// How often consumers acknowledge within their window, as it suits this broker best.
    pub acks_per_window: usize,
    /// What it says that it is.
    pub version: String,
    /// How it was set up, in a few words.
    pub settings: &'static str,
    /// The process whose CPU and memory count.
    pub pid: u32,
    /// From the start of the process to its word that it is ready.
    pub ready: Duration,
    pub(super) child: Child,
    /// Run when it has stopped.
    pub(super) after: Option<Command>,
    /// Removed at the end.
    pub(super) folder: TempDir,
}

/// A broker's process that has said that it is ready.
pub struct Launched {
    pub child: Child,
    pub address: SocketAddr,
    /// From the start of the process.
    pub ready: Duration,
    /// What it says that it is; empty where others know.
    pub version: String,
}

impl Broker {
    /// Starts Sabir on an empty data folder under `under`.
    pub fn sabir(built: &Built, under: &Path) -> Result<Broker> {
        let folder = folder(under)?;
        let launched = Self::launch_sabir(built, folder.path())?;
        let version = version_of(Command::new(&built.program).arg("--version"))?;
        let settings = "as delivered: journal, sync = always";
        Ok(Broker::of("sabir", "/", settings, Launched { version, ..launched }, folder))
    }

    /// Starts Sabir on the data in a folder.
    pub fn launch_sabir(built: &Built, folder: &Path) -> Result<Launched> {
        let mut command = Command::new(&built.program);
        command.arg("run").arg("--plugins").arg(&built.plugins).arg("--data").arg(folder.join("data"));
        command.args(["--listen", "tcp://127.0.0.1:0"]).stdout(Stdio::piped());
        // Settings of whoever runs this must not decide what is measured.
        for (name, _) in
            std::env::vars_os().filter(|(name, _)| name.as_encoded_bytes().starts_with(b"SABIR_"))
        {
            command.env_remove(name);
        }
        let start = Instant::now();
        let mut child = spawn(&mut command, folder)?;
        let output = child.stdout.take().context("standard output is not piped")?;
        match announced(BufReader::new(output)) {
            Ok(address) => Ok(Launched { child, address, ready: start.elapsed(), version: String::new() }),
            Err(error) => {
                stop_group(&mut child);
                Err(error.context(log_of(folder)))
            }
        }
    }

    /// What `launch` started in `folder`, which is removed with it.
    pub fn of(
        name: &'static str,
        host: &'static str,
        settings: &'static str,
        launched: Launched,
        folder: TempDir,
    ) -> Broker {
        let Launched { child, address, ready, version } = launched;
        Broker {
            name,
            address,
            host,
            login: None,
            acks_per_window: ACKS_PER_WINDOW,
            version,
            settings,
            pid: child.id(),
            ready,
            child,
            after: None,
            folder,
        }
    }

    /// Kills it as a crash would, and starts it again on what it left.
    pub fn crash_and_start(&mut self, launch: impl FnOnce(&Path) -> Result<Launched>) -> Result<()> {
        kill_group(&mut self.child);
        let Launched { child, address, ready, .. } = launch(self.folder.path())?;
        (self.pid, self.child, self.address, self.ready) = (child.id(), child, address, ready);
        Ok(())
    }

    /// A load for this broker with one connection on each side, to be adapted.
    pub fn load(&self, destination: &str, pace: Pace) -> Load {
        Load {
            address: self.address,
            host: self.host.to_owned(),
            login: self.login.clone(),
            destination: format!("/queue/{destination}"),
            producers: 1,
            consumers: 1,
            size_bytes: 1024,
            window: 256,
            acks_per_window: self.acks_per_window,
            persistent: true,
            pace,
        }
    }

    /// What the table says of it.
    pub fn about(&self) -> About {
        About { name: self.name, version: self.version.clone(), settings: self.settings }
    }

    /// CPU time so far.
    pub fn cpu(&self) -> Result<Cpu> {
        process::cpu(self.pid)
    }

    /// Resident memory now, and the most so far.
    pub fn memory_bytes(&self) -> Result<(u64, u64)> {
        process::memory_bytes(self.pid)
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        stop_group(&mut self.child);
        if let Some(after) = &mut self.after {
            // Nothing can be done about a clean-up that fails while things end.
            let _status = after.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
        }
    }
}

/// A folder that is gone when the broker is.
pub fn folder(under: &Path) -> Result<TempDir> {
    std::fs::create_dir_all(under)?;
    tempfile::Builder::new().prefix("bench-").tempdir_in(under).context("cannot make a folder")
}

/// Starts a broker's process in a group of its own, with its words in a file.
pub fn spawn(command: &mut Command, folder: &Path) -> Result<Child> {
    let log = File::create(folder.join("output.log"))?;
    let program = command.get_program().to_string_lossy().into_owned();
    command.process_group(0).stdin(Stdio::null()).stderr(log);
    command.spawn().with_context(|| format!("cannot start {program}"))
}

/// The last lines of what a broker wrote.
pub fn log_of(folder: &Path) -> String {
    let log = std::fs::read_to_string(folder.join("output.log")).unwrap_or_default();
    let lines: Vec<&str> = log.lines().collect();
    format!("the broker wrote:\n{}\n", lines[lines.len().saturating_sub(20)..].join("\n"))
}

/// Reads Sabir's announcement: where it listens, then `ready`.
pub fn announced(output: impl BufRead) -> Result<SocketAddr> {
    let mut address = None;
    for line in output.lines() {
        let line = line?;
        let mut words = line.split_whitespace();
        match words.next() {
            Some("listening") => address = words.nth(1).and_then(|word| word.parse().ok()).or(address),
            Some("ready") => return address.context("the broker listens nowhere"),
            _ => {}
        }
    }
    bail!("the broker ended before it was ready")
}

/// The first line that a command writes, without the name before the number.
pub fn version_of(command: &mut Command) -> Result<String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.stdin(Stdio::null()).output().with_context(|| format!("cannot start {program}"))?;
    ensure!(output.status.success(), "{program} does not tell a version: {}", output.status);
    let text = String::from_utf8_lossy(&output.stdout);
    let line = text.lines().next().unwrap_or_default();
    Ok(line.trim().trim_start_matches("sabir ").to_owned())
}

/// Asks a peer's port until STOMP is spoken there.
pub fn wait_for_stomp(load: &Load, child: &mut Child, folder: &Path) -> Result<()> {
    let deadline = Instant::now() + START_PATIENCE;
    while !super::load::answers(load) {
        ensure!(child.try_wait()?.is_none(), "it ended at once; {}", log_of(folder));
        ensure!(Instant::now() < deadline, "it does not answer; {}", log_of(folder));
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}

/// A port that nobody has now.
pub fn free_port() -> Result<u16> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}

/// Ends the group at once.
fn kill_group(child: &mut Child) {
    if let Some(group) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
        // An error means that the group is gone, which is what is wanted.
        let _gone = kill_process_group(group, Signal::KILL);
    }
    let _status = child.wait();
}

/// Asks the group to end, and ends it.
pub fn stop_group(child: &mut Child) {
    let Some(group) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) else { return };
    // An error means that the group is gone, which is what is wanted.
    let _gone = kill_process_group(group, Signal::TERM);
    let deadline = Instant::now() + STOP_PATIENCE;
    while matches!(child.try_wait(), Ok(None)) && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(20));
    }
    kill_group(child);
}

/// A load that runs in its own process.
pub struct Running {
    child: Child,
    output: BufReader<std::process::ChildStdout>,
}

impl Running {
    /// Starts it.
    pub fn start(generator: &Path, load: &Load) -> Result<Running> {
        let mut child = Command::new(generator)
            .arg("bench-load")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start {}", generator.display()))?;
        let line = serde_json::to_string(load)?;
        let input = child.stdin.as_mut().context("standard input is not piped")?;
        writeln!(input, "{line}").context("cannot tell the load what to do")?;
        let output = BufReader::new(child.stdout.take().context("standard output is not piped")?);
        Ok(Running { child, output })
    }

    /// Waits for what it saw.
    pub fn seen(&mut self) -> Result<Seen> {
        let mut line = String::new();
        self.output.read_line(&mut line)?;
        ensure!(!line.is_empty(), "the load has failed");
        serde_json::from_str(&line).context("cannot understand what the load saw")
    }

    /// Lets it end.
    pub fn end(mut self) -> Result<()> {
        drop(self.child.stdin.take());
        let status = self.child.wait()?;
        ensure!(status.success(), "the load has failed: {status}");
        Ok(())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Does nothing to a child that has ended and was waited for.
        let _gone = self.child.kill();
        let _status = self.child.wait();
    }
}

/// Runs a load to its end.
pub fn run(generator: &Path, load: &Load) -> Result<Seen> {
    let mut running = Running::start(generator, load)?;
    let seen = running.seen()?;
    running.end()?;
    Ok(seen)
}
