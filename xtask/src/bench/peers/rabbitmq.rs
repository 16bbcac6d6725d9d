// SPDX-License-Identifier: Apache-2.0
//! RabbitMQ with its STOMP plugin. Queues that STOMP clients name are durable, and a receipt for a persistent message
//! comes when it is on disk.

use super::super::broker::{ACKS_PER_WINDOW, Broker, folder, free_port, spawn, wait_for_stomp};
use super::super::load::Pace;
use super::{package_version, require};
use anyhow::{Context, Result};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

const SETTINGS: &str = "durable classic queues of version 1, which sync before they confirm";
const SERVER: &str = "/usr/lib/rabbitmq/bin/rabbitmq-server";

/// Fails where it is not installed.
pub fn check() -> Result<()> {
    require(SERVER, "rabbitmq-server")
}

/// Starts it.
pub fn start(under: &Path) -> Result<Broker> {
    let folder = folder(under)?;
    let (port, distribution, names) = (free_port()?, free_port()?, free_port()?.to_string());
    let place = |name: &str| folder.path().join(name);
    std::fs::write(
        place("rabbitmq.conf"),
        format!(
            "listeners.tcp = none\nstomp.listeners.tcp.1 = 127.0.0.1:{port}\ndisk_free_limit.absolute = 50MB\n\
             log.file.level = error\nlog.console.level = error\n"
        ),
    )?;
    std::fs::write(place("enabled_plugins"), "[rabbitmq_stomp].\n")?;
    let mut command = Command::new(SERVER);
    command
        .env("HOME", folder.path())
        .env("RABBITMQ_NODENAME", format!("sabirbench{port}@localhost"))
        .env("RABBITMQ_DIST_PORT", distribution.to_string())
        .env("ERL_EPMD_PORT", &names)
        .env("ERL_EPMD_ADDRESS", "127.0.0.1")
        .env("RABBITMQ_CONFIG_FILE", place("rabbitmq.conf"))
        .env("RABBITMQ_ENABLED_PLUGINS_FILE", place("enabled_plugins"))
        .env("RABBITMQ_MNESIA_BASE", place("mnesia"))
        .env("RABBITMQ_LOG_BASE", place("log"))
        .env("RABBITMQ_PID_FILE", place("pid"))
        .stdout(std::process::Stdio::null());
    let start = Instant::now();
    let child = spawn(&mut command, folder.path())?;
    let mut after = Command::new("epmd");
    after.args(["-port", &names, "-kill"]);
    let mut broker = Broker {
        name: "rabbitmq",
        address: ([127, 0, 0, 1], port).into(),
        host: "/",
        login: Some(("guest".to_owned(), "guest".to_owned())),
        acks_per_window: ACKS_PER_WINDOW,
        version: package_version("rabbitmq-server")?,
        settings: SETTINGS,
        pid: 0,
        ready: Duration::ZERO,
        child,
        after: Some(after),
        folder,
    };
    let probe = broker.load("probe", Pace::Idle);
    wait_for_stomp(&probe, &mut broker.child, broker.folder.path()).context("cannot start RabbitMQ")?;
    broker.ready = start.elapsed();
    let pid =
        std::fs::read_to_string(broker.folder.path().join("pid")).context("RabbitMQ wrote no pid file")?;
    broker.pid = pid.trim().parse().context("RabbitMQ's pid file holds no number")?;
    Ok(broker)
}
