// SPDX-License-Identifier: Apache-2.0
//! The program as an operator types it: users, reloading, configurations, plugins of doubtful origin.

use rustix::process::{Pid, Signal, kill_process};
use sabir_tests::process::{plugins, program};
use sabir_tests::stomp::Client;
use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, ChildStderr, Command, Output, Stdio};

fn sabir(arguments: &[&str]) -> Output {
    Command::new(program()).args(arguments).output().expect("sabir starts")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A broker whose log can be waited on.
struct Running {
    child: Child,
    address: SocketAddr,
    log: BufReader<ChildStderr>,
}

impl Running {
    fn start(config: &Path, data: &Path) -> Running {
        let mut command = Command::new(program());
        command.arg("run").arg("--config").arg(config).arg("--data").arg(data);
        command.arg("--plugins").arg(plugins()).args(["--listen", "tcp://127.0.0.1:0"]);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("sabir starts");
        let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        let first = lines.next().expect("a line for the listener").expect("text");
        assert_eq!(lines.next().expect("a second line").expect("text"), "ready");
        let words: Vec<&str> = first.split(' ').collect();
        let ["listening", "tcp", address, "stomp"] = words[..] else { panic!("{first}") };
        let address = address.parse().expect("an address");
        let log = BufReader::new(child.stderr.take().expect("piped"));
        Running { child, address, log }
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("the broker can be signalled");
    }

    /// Reads the log up to the line with these words.
    fn logged(&mut self, words: &str) {
        let mut seen = String::new();
        while !seen.contains(words) {
            assert!(self.log.read_line(&mut seen).expect("text") > 0, "{words:?} is not in {seen}");
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_user_who_was_added_must_log_in_once_the_broker_has_read_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let (config, data) = (folder.path().join("sabir.toml"), folder.path().join("data"));
    std::fs::write(&config, "[log]\nlevel = \"info\"\n").expect("written");
    let mut broker = Running::start(&config, &data);
    Client::connect(broker.address).expect("nobody must log in yet");
    let mut add = Command::new(program());
    add.args(["user", "add", "ann", "--password-stdin", "--data"]).arg(&data);
    let mut child = add.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().expect("sabir starts");
    child.stdin.take().expect("piped").write_all(b"secret\n").expect("read");
    assert!(child.wait().expect("ended").success());
    broker.signal(Signal::HUP);
    broker.logged("reloaded: users");
    assert!(Client::connect(broker.address).is_err());
    assert!(Client::connect_with(broker.address, &[("login", "ann"), ("passcode", "wrong")]).is_err());
    Client::connect_with(broker.address, &[("login", "ann"), ("passcode", "secret")])
        .expect("the right password");
    std::fs::write(&config, "[log]\nlevle = \"info\"\n").expect("written");
    broker.signal(Signal::HUP);
    broker.logged("sabir.toml:2: log.levle: unknown key; did you mean level?");
    Client::connect_with(broker.address, &[("login", "ann"), ("passcode", "secret")])
        .expect("all is as it was");
    broker.signal(Signal::TERM);
    assert_eq!(broker.child.wait().expect("ended").code(), Some(0));
}

#[test]
fn the_defaults_are_a_configuration_that_checks() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("all.toml");
    std::fs::write(&file, sabir(&["config", "default"]).stdout).expect("written");
    let checked = sabir(&["config", "check", &file.display().to_string()]);
    assert!(checked.status.success(), "{checked:?}");
}

#[test]
fn the_effective_configuration_says_where_each_value_comes_from() {
    let mut command = Command::new(program());
    command.args(["config", "show", "--effective", "--data", "/x"]).env("SABIR_LIMITS__MAX_CONNECTIONS", "7");
    let shown = text(&command.output().expect("sabir starts").stdout);
    assert!(shown.contains("max_connections = 7  # $SABIR_LIMITS__MAX_CONNECTIONS"), "{shown}");
    assert!(shown.contains("data_dir = \"/x\"  # --data"), "{shown}");
    assert!(shown.contains("kind = \"journal\"  # <defaults>:"), "{shown}");
}

#[test]
fn a_file_that_is_no_plugin_is_told_from_one() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("libnothing.so");
    std::fs::write(&file, "no library").expect("written");
    let refused = sabir(&["plugin", "inspect", &file.display().to_string()]);
    assert_eq!(refused.status.code(), Some(4), "{refused:?}");
    assert!(text(&refused.stderr).contains("libnothing.so"), "{refused:?}");
    let library = plugins().join("libsabir_store_journal_plugin.so");
    let described = sabir(&["plugin", "inspect", "--json", &library.display().to_string()]);
    assert!(described.status.success(), "{described:?}");
    assert!(text(&described.stdout).contains("\"store-journal\""), "{described:?}");
}
