// SPDX-License-Identifier: Apache-2.0
//! ActiveMQ Classic with KahaDB, which syncs its journal before it confirms a persistent message.
//!
//! As delivered, one thread stores the messages of all queues one after the other, each with a sync of its own
//! (`concurrentStoreAndDispatchQueues`); without it, what several connections send shares a sync. Journal files that were
//! filled with zeros before and synced without their metadata spare the file system a second write for each sync. All
//! three are KahaDB's own settings, and none lets it confirm what is not yet on disk.

use super::super::broker::{ACKS_PER_WINDOW, Broker, folder, free_port, spawn, wait_for_stomp};
use super::super::load::Pace;
use super::{package_version, require};
use anyhow::{Context, Result};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

const JAVA: &str = "/usr/bin/java";
const SETTINGS: &str = "KahaDB, journalDiskSyncStrategy=always, concurrentStoreAndDispatchQueues=false, \
                        preallocationStrategy=zeros, skipMetadataUpdate=true";
const HOME: &str = "/usr/share/activemq";
const JAR: &str = "/usr/share/activemq/bin/activemq.jar";

/// Fails where it is not installed.
pub fn check() -> Result<()> {
    require(JAR, "activemq")?;
    require(JAVA, "default-jre-headless")
}

/// Starts it.
pub fn start(under: &Path) -> Result<Broker> {
    let folder = folder(under)?;
    let port = free_port()?;
    std::fs::write(folder.path().join("activemq.xml"), configuration(port))?;
    let mut command = Command::new(JAVA);
    command.args(["-Xms1g", "-Xmx1g", "-Djava.awt.headless=true"]);
    // fdatasync instead of fsync, as Sabir does.
    command.arg("-Dorg.apache.activemq.kahaDB.files.skipMetadataUpdate=true");
    command.arg(format!("-Dactivemq.home={HOME}"));
    for (name, value) in [("base", ""), ("conf", ""), ("data", "data")] {
        command.arg(format!("-Dactivemq.{name}={}", folder.path().join(value).display()));
    }
    command.args(["-jar", JAR, "start"]);
    command.arg(format!("xbean:file:{}", folder.path().join("activemq.xml").display()));
    command.stdout(std::process::Stdio::null()).current_dir(folder.path());
    let start = Instant::now();
    let child = spawn(&mut command, folder.path())?;
    let pid = child.id();
    let mut broker = Broker {
        name: "activemq",
        address: ([127, 0, 0, 1], port).into(),
        host: "localhost",
        login: None,
        acks_per_window: ACKS_PER_WINDOW,
        version: package_version("activemq")?,
        settings: SETTINGS,
        pid,
        ready: Duration::ZERO,
        child,
        after: None,
        folder,
    };
    let probe = broker.load("probe", Pace::Idle);
    wait_for_stomp(&probe, &mut broker.child, broker.folder.path()).context("cannot start ActiveMQ")?;
    broker.ready = start.elapsed();
    Ok(broker)
}

fn configuration(port: u16) -> String {
    format!(
        r#"<beans xmlns="http://www.springframework.org/schema/beans"
  xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"
  xsi:schemaLocation="http://www.springframework.org/schema/beans http://www.springframework.org/schema/beans/spring-beans.xsd
  http://activemq.apache.org/schema/core http://activemq.apache.org/schema/core/activemq-core.xsd">
  <broker xmlns="http://activemq.apache.org/schema/core" brokerName="localhost" dataDirectory="data" useJmx="false" schedulerSupport="false">
    <persistenceAdapter><kahaDB directory="data/kahadb" journalDiskSyncStrategy="always"
      concurrentStoreAndDispatchQueues="false" preallocationStrategy="zeros"/></persistenceAdapter>
    <systemUsage><systemUsage>
      <memoryUsage><memoryUsage percentOfJvmHeap="70"/></memoryUsage>
      <storeUsage><storeUsage limit="20 gb"/></storeUsage>
      <tempUsage><tempUsage limit="5 gb"/></tempUsage>
    </systemUsage></systemUsage>
    <transportConnectors><transportConnector name="stomp" uri="stomp://127.0.0.1:{port}"/></transportConnectors>
  </broker>
</beans>
"#
    )
}
