// SPDX-License-Identifier: Apache-2.0
//! An echo server in two forms: on tokio directly, or through the plugin interface. The difference of their CPU time is
//! what the interface costs.
//!
//! `transport-cost direct | FILE` listens on a free port of loopback, prints it as the broker does, and serves until
//! standard input ends. FILE is a plugin with a transport `tcp`.

use sabir_host::{ChunkInfo, Error, Link, Registry};
use std::future::poll_fn;
use std::io::{self, IoSlice, Read};
use std::path::Path;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const BUFFER_BYTES: usize = 4096;

fn main() -> io::Result<()> {
    let form =
        std::env::args_os().nth(1).ok_or_else(|| io::Error::other("usage: transport-cost direct | FILE"))?;
    // One thread, as the broker has one reactor per link.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    sabir_host::runtime::install(runtime.handle().clone());
    std::thread::spawn(|| {
        let mut nothing = Vec::new();
        let ended = io::stdin().lock().read_to_end(&mut nothing);
        std::process::exit(i32::from(ended.is_err()));
    });
    runtime.block_on(async {
        let local = tokio::task::LocalSet::new();
        match form.to_str() {
            Some("direct") => local.run_until(direct()).await,
            _ => local.run_until(through_plugin(Path::new(&form))).await.map_err(io::Error::other),
        }
    })
}

fn announce(address: &str) {
    println!("listening tcp {address} echo\nready");
}

async fn direct() -> io::Result<()> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    announce(&listener.local_addr()?.to_string());
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        tokio::task::spawn_local(echo_direct(stream));
    }
}

async fn echo_direct(mut stream: TcpStream) -> io::Result<()> {
    let mut buffer = [0; BUFFER_BYTES];
    loop {
        let count = stream.read(&mut buffer).await?;
        if count == 0 {
            return Ok(());
        }
        stream.write_all(&buffer[..count]).await?;
    }
}

async fn through_plugin(file: &Path) -> Result<(), Error> {
    let refused = |error: &dyn std::fmt::Display| Error::new(sabir_host::ErrorCode::Io, error.to_string());
    let mut registry = Registry::new();
    registry.load(file).map_err(|error| refused(&error))?;
    let component = registry.transport("tcp").ok_or_else(|| refused(&"it has no transport tcp"))?;
    let transport = component.open_transport("{}")?;
    let mut listener = transport.listen("tcp://127.0.0.1:0")?;
    announce(listener.local_address());
    loop {
        let link = poll_fn(|cx| listener.poll_accept(cx)).await?;
        tokio::task::spawn_local(echo_link(link));
    }
}

async fn echo_link(mut link: Link) -> Result<(), Error> {
    let mut buffer = [0; BUFFER_BYTES];
    let mut info = ChunkInfo::default();
    poll_fn(|cx| link.poll_ready(cx)).await?;
    loop {
        let count = poll_fn(|cx| link.poll_read(cx, &mut buffer, &mut info)).await?;
        if count == 0 {
            return Ok(());
        }
        let mut written = 0;
        while written < count {
            let rest = [IoSlice::new(&buffer[written..count])];
            written += poll_fn(|cx| link.poll_write(cx, &rest, ChunkInfo::default())).await?;
        }
    }
}
