// SPDX-License-Identifier: Apache-2.0
//! The program `sabir` as a process, with its plugins from shared libraries, on a port that the system chose.

use rustix::process::{Pid, Signal, kill_process};
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

/// Longer than starting, recovery included, or stopping takes on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(60);
const HINT: &str = "is not set: these tests need the program and its plugins as built by `cargo xtask test`";

/// The program under test.
pub fn program() -> PathBuf {
    std::env::var_os("SABIR_TEST_BIN").unwrap_or_else(|| panic!("SABIR_TEST_BIN {HINT}")).into()
}

/// The folder of the plugins under test.
pub fn plugins() -> PathBuf {
    std::env::var_os("SABIR_TEST_PLUGIN_DIR").unwrap_or_else(|| panic!("SABIR_TEST_PLUGIN_DIR {HINT}")).into()
}

/// Whether the long forms of tests shall run.
pub fn full() -> bool {
    std::env::var_os("SABIR_FULL").is_some()
}

/// How a broker is started.
#[derive(Clone, Debug)]
pub struct Options {
    pub data: PathBuf,
    pub plugins: PathBuf,
    /// Further arguments of `sabir run`.
    pub arguments: Vec<String>,
    /// Configuration by environment.
    pub environment: Vec<(String, String)>,
    /// Room for data in MiB: the data folder is then a small disk of its own, that is gone with the broker.
    pub disk_mib: Option<u32>,
    /// A program, with arguments, that runs the broker as its own arguments say, as `strace -f` does.
    pub under: Vec<String>,
    /// Where the broker's log goes.
    pub log: PathBuf,
}

impl Options {
    /// A broker with its data in `data`.
    pub fn new(data: &Path) -> Options {
        Options {
            data: data.to_owned(),
            plugins: plugins(),
            arguments: Vec::new(),
            environment: Vec::new(),
            disk_mib: None,
            under: Vec::new(),
            log: data.with_extension("log"),
        }
    }

    /// The same with a setting, as `limits.max_connections`.
    pub fn set(mut self, key: &str, value: &str) -> Options {
        self.environment.push((format!("SABIR_{}", key.replace('.', "__").to_uppercase()), value.to_owned()));
        self
    }

    fn command(&self) -> Command {
        let mut command = self.disk_mib.map_or_else(|| self.bare(), |size| self.on_small_disk(size));
        command.arg("run").arg("--plugins").arg(&self.plugins).arg("--data").arg(&self.data);
        command.args(["--listen", "tcp://127.0.0.1:0"]).args(&self.arguments);
        command.envs(self.environment.iter().map(|(name, value)| (name, value))).stdin(Stdio::null());
        command
    }

    fn bare(&self) -> Command {
        let mut words = self.under.iter();
        let Some(first) = words.next() else { return Command::new(program()) };
        let mut command = Command::new(first);
        command.args(words).arg(program());
        command
    }

    /// The program with a small file system mounted on its data folder, seen by itself alone.
    fn on_small_disk(&self, size_mib: u32) -> Command {
        std::fs::create_dir_all(&self.data).expect("the data folder can be made");
        let mut command = Command::new("unshare");
        command.arg("--mount");
        if !rustix::process::geteuid().is_root() {
            command.args(["--user", "--map-root-user"]);
        }
        let script = format!("mount -t tmpfs -o size={size_mib}m none \"$0\" && exec \"$@\"");
        command.args(["sh", "-c", &script]).arg(&self.data).arg(program());
        command
    }

    /// Starts a broker that is expected to end by itself, and waits for that.
    pub fn run_to_end(&self) -> Output {
        let mut child =
            self.command().stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("sabir starts");
        let deadline = Instant::now() + PATIENCE;
        while child.try_wait().expect("the child can be waited for").is_none() {
            if Instant::now() > deadline {
                child.kill().expect("the child can be killed");
                let output = child.wait_with_output().expect("the child has ended");
                panic!("sabir goes on where it should have refused: {output:?}");
            }
            std::thread::yield_now();
        }
        child.wait_with_output().expect("the child has ended")
    }

    /// Runs `sabir store` with these words on the same data, set and run as the broker would be, and waits for its end.
    pub fn store(&self, words: &[&str]) -> Output {
        let mut command = self.bare();
        command.arg("store").args(words).arg("--plugins").arg(&self.plugins).arg("--data").arg(&self.data);
        command.envs(self.environment.iter().map(|(name, value)| (name, value))).stdin(Stdio::null());
        command.output().expect("sabir starts")
    }

    /// Starts a broker and waits until it is ready.
    pub fn start(&self) -> Broker {
        self.try_start().unwrap_or_else(|refusal| panic!("{refusal}"))
    }

    /// Starts a broker and waits until it is ready, or until it has ended.
    ///
    /// # Errors
    /// How it ended, and all that it wrote.
    pub fn try_start(&self) -> Result<Broker, Refusal> {
        let file = File::options().create(true).append(true).open(&self.log).expect("the log can be written");
        let log_begin = file.metadata().map_or(0, |meta| meta.len());
        let mut child = self.command().stdout(Stdio::piped()).stderr(file).spawn().expect("sabir starts");
        let output = child.stdout.take().expect("standard output is piped");
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines() {
                let Ok(line) = line else { return };
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        let mut broker =
            Broker { child, address: ([0, 0, 0, 0], 0).into(), log: self.log.clone(), log_begin };
        match broker.announced(&lines) {
            Some(address) => broker.address = address,
            None => {
                let status = broker.wait();
                return Err(Refusal { status, words: broker.log() });
            }
        }
        Ok(broker)
    }
}

/// A broker that ended before it was ready.
#[derive(Clone, Debug)]
pub struct Refusal {
    pub status: ExitStatus,
    /// What it logged.
    pub words: String,
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "sabir has ended ({}) before it was ready; it wrote: {}", self.status, self.words)
    }
}

/// A running broker; killed when dropped.
#[derive(Debug)]
pub struct Broker {
    child: Child,
    /// Where STOMP is spoken.
    pub address: SocketAddr,
    log: PathBuf,
    log_begin: u64,
}

impl Broker {
    /// Starts one with its data in `data`.
    pub fn start(data: &Path) -> Broker {
        Options::new(data).start()
    }

    /// Where it listens, once it is ready; `None`: it has ended.
    fn announced(&mut self, lines: &Receiver<String>) -> Option<SocketAddr> {
        let deadline = Instant::now() + PATIENCE;
        let mut address = None;
        loop {
            match lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) if line == "ready" => {
                    return Some(address.expect("a listener is announced before `ready`"));
                }
                Ok(line) => {
                    let words: Vec<&str> = line.split_whitespace().collect();
                    if let ["listening", "tcp", at, ..] = words[..] {
                        address = Some(at.parse().expect("an address and a port"));
                    }
                }
                Err(RecvTimeoutError::Timeout) => panic!("sabir is not ready; it wrote: {}", self.log()),
                Err(RecvTimeoutError::Disconnected) => return None,
            }
        }
    }

    /// What it has logged so far.
    pub fn log(&self) -> String {
        let all = std::fs::read(&self.log).unwrap_or_default();
        String::from_utf8_lossy(all.get(self.log_begin as usize..).unwrap_or_default()).into_owned()
    }

    /// Its process.
    pub fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    /// `kill -9`, and waits until it is gone.
    pub fn kill(mut self) {
        self.child.kill().expect("the broker can be killed");
        self.child.wait().expect("the broker has ended");
    }

    /// Sends SIGTERM.
    pub fn terminate(&self) {
        kill_process(self.pid(), Signal::TERM).expect("the broker can be signalled");
    }

    /// Waits for its end.
    pub fn wait(&mut self) -> ExitStatus {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().expect("the child can be waited for") {
                return status;
            }
            assert!(Instant::now() < deadline, "the broker does not end; it wrote: {}", self.log());
            std::thread::yield_now();
        }
    }

    /// Whether it still runs.
    pub fn is_alive(&mut self) -> bool {
        self.child.try_wait().expect("the child can be waited for").is_none()
    }

    /// Counts the most resident memory from now on.
    pub fn forget_peak_memory(&self) {
        let file = format!("/proc/{}/clear_refs", self.child.id());
        // 5: "reset the peak resident set size" (proc(5)).
        std::fs::write(file, "5").expect("the peak can be reset");
    }

    /// Resident memory in bytes: now, and the most so far.
    pub fn memory_bytes(&self) -> (u64, u64) {
        let status =
            std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("it is running");
        let field = |name: &str| -> u64 {
            let line = status.lines().find(|line| line.starts_with(name)).expect("the field exists");
            line.split_whitespace().nth(1).and_then(|word| word.parse().ok()).expect("a number of KiB")
        };
        (field("VmRSS:") * 1024, field("VmHWM:") * 1024)
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        // It may have ended already, which is as good.
        let _gone = self.child.kill();
        let _status = self.child.wait();
    }
}
