// SPDX-License-Identifier: Apache-2.0
//! The program as an operator types it: users, reloading, configurations, plugins of doubtful origin.

mod store;
mod takeover;

use rustix::process::{Pid, Signal, kill_process};
use sabir_tests::process::{plugins, program};
use sabir_tests::stomp::Client;
use std::io::{BufRead, BufReader, Read, Write};
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
    /// What was read of it.
    seen: String,
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
        let ["listening", "tcp", address, protocols] = words[..] else { panic!("{first}") };
        assert!(protocols.split(',').any(|protocol| protocol == "stomp"), "{first}");
        let address = address.parse().expect("an address");
        let log = BufReader::new(child.stderr.take().expect("piped"));
        Running { child, address, log, seen: String::new() }
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("the broker can be signalled");
    }

    /// Reads the log up to the line with these words.
    fn logged(&mut self, words: &str) {
        let from = self.seen.len();
        while !self.seen[from..].contains(words) {
            let seen = &mut self.seen;
            assert!(self.log.read_line(seen).expect("text") > 0, "{words:?} is not in {seen}");
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
fn settings_of_plugins_are_checked_with_line_and_key_before_anything_is_opened() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("sabir.toml");
    let wrong = "[stores.journal]\nsynk = \"never\"\nfile_bytes = 5\n[protocols.stomp]\nmax_subscription = 5\n[stores.jurnal]\n";
    std::fs::write(&file, wrong).expect("written");
    let (config, data) = (file.display().to_string(), folder.path().join("data").display().to_string());
    let plugins = plugins().display().to_string();
    for arguments in [
        vec!["config", "check", config.as_str(), "--plugins", &plugins],
        vec!["run", "--config", &config, "--plugins", &plugins, "--data", &data],
    ] {
        let refused = sabir(&arguments);
        assert_eq!(refused.status.code(), Some(3), "{refused:?}");
        for line in [
            "sabir.toml:2: stores.journal.synk: unknown key; did you mean sync?",
            "sabir.toml:3: stores.journal.file_bytes: must be between 65536 and 1073741824, not 5",
            "sabir.toml:5: protocols.stomp.max_subscription: unknown key; did you mean max_subscriptions?",
            "sabir.toml:6: stores.jurnal: there is no store \"jurnal\"; did you mean journal?",
        ] {
            assert!(text(&refused.stderr).contains(line), "{line} is not in {refused:?}");
        }
    }
    assert!(!folder.path().join("data").exists(), "nothing was opened");
    let unseen = sabir(&["config", "check", &config, "--without-plugins", "--plugins", "/nowhere"]);
    assert!(unseen.status.success(), "{unseen:?}");
}

#[test]
fn a_check_finds_what_a_start_would_refuse_besides_keys() {
    let folder = tempfile::tempdir().expect("a folder");
    let (data, plugins) = (folder.path().display().to_string(), plugins().display().to_string());
    let check = |variables: &[(&str, &str)], plugins: &str| {
        let mut command = Command::new(program());
        command.args(["config", "check", "--data", &data, "--plugins", plugins]);
        command.envs(variables.iter().copied()).output().expect("sabir starts")
    };
    assert!(check(&[], &plugins).status.success());
    let open = check(&[("SABIR_LISTENERS", "[{ uri = \"tcp://0.0.0.0:1\" }]")], &plugins);
    assert_eq!(open.status.code(), Some(3), "{open:?}");
    assert!(text(&open.stderr).contains("$SABIR_LISTENERS: listeners[0].uri: it is reachable"), "{open:?}");
    let missing = check(&[], "/nowhere");
    assert_eq!(missing.status.code(), Some(4), "{missing:?}");
    assert!(text(&missing.stderr).contains("/nowhere"), "{missing:?}");
    let warned = check(&[("SABIR_LOG_LEVEL", "debug")], &plugins);
    assert!(warned.status.success() && text(&warned.stderr).contains("SABIR_LOG__LEVEL"), "{warned:?}");
    std::fs::write(folder.path().join("users"), "ann\n").expect("written");
    let users = check(&[], &plugins);
    assert_eq!(users.status.code(), Some(3), "{users:?}");
    assert!(text(&users.stderr).contains("users: line 1"), "{users:?}");
}

#[test]
fn a_reload_refuses_what_a_restart_would_and_a_log_of_every_level_tells_no_body() {
    let folder = tempfile::tempdir().expect("a folder");
    let (config, data) = (folder.path().join("sabir.toml"), folder.path().join("data"));
    std::fs::write(&config, "[log]\nlevel = \"trace\"\n").expect("written");
    let mut broker = Running::start(&config, &data);
    let mut client = Client::connect(broker.address).expect("nobody must log in");
    client.publish("/queue/q", b"a body that is nobody's business").expect("a receipt");
    client.subscribe("0", "/queue/q", "auto", 1).expect("a subscription");
    client.receive().expect("the message");
    std::fs::write(&config, "[log]\nlevel = \"info\"\n[stores.journal]\nsynk = \"never\"\n")
        .expect("written");
    broker.signal(Signal::HUP);
    broker.logged("sabir.toml:4: stores.journal.synk: unknown key; did you mean sync?");
    broker.signal(Signal::TERM);
    assert_eq!(broker.child.wait().expect("ended").code(), Some(0));
    let mut rest = String::new();
    broker.log.read_to_string(&mut rest).expect("text");
    let log = format!("{}{rest}", broker.seen);
    assert!(log.contains("\"level\":\"TRACE\"") && !log.contains("nobody's business"), "{log}");
    for line in log.lines() {
        assert!(line.starts_with("{\"timestamp\"") && line.ends_with('}'), "not JSON: {line}");
    }
}

#[test]
fn who_is_told_that_the_broker_is_ready_may_stop_it_at_once_and_a_second_signal_hurries() {
    let folder = tempfile::tempdir().expect("a folder");
    let (config, data) = (folder.path().join("sabir.toml"), folder.path().join("data"));
    std::fs::write(&config, "[broker]\ndrain_timeout_ms = 600_000\n").expect("written");
    let mut broker = Running::start(&config, &data);
    broker.signal(Signal::TERM);
    assert_eq!(broker.child.wait().expect("ended").code(), Some(0));
    let mut broker = Running::start(&config, &data);
    let mut client = Client::connect(broker.address).expect("nobody must log in");
    client.subscribe("0", "/queue/q", "auto", 1000).expect("a subscription");
    let mut producer = Client::connect(broker.address).expect("nobody must log in");
    // More than the sockets hold, for a consumer that takes none of it: it cannot be drained.
    for _ in 0..200 {
        producer.publish("/queue/q", &[b'x'; 64 * 1024]).expect("a receipt");
    }
    broker.signal(Signal::TERM);
    broker.logged("a second signal hurries");
    assert_eq!(broker.child.try_wait().expect("waited"), None, "it waits for the consumer");
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
