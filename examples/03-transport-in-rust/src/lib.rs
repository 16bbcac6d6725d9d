// SPDX-License-Identifier: Apache-2.0
//! abstract:// links over Linux's abstract Unix sockets: names that live in the kernel, without a file.
//!
//! A transport as a third party writes it in Rust: three small traits of `sabir-sdk`, and no word of the contract's C
//! types. The sockets are on the host's reactor, so this library has no runtime and no thread. README.md walks
//! through it.

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, sockopt};
use sabir_sdk::settings::{Kind, Setting, Settings};
use sabir_sdk::transport::{ChunkInfo, HostSocket, Link, Listener, Transport};
use sabir_sdk::uri::Uri;
use sabir_sdk::{Error, ErrorCode, Host, Interest, Result, abi};
use std::io::{self, IoSlice};
use std::net::Shutdown;
use std::os::fd::{AsFd, OwnedFd};
use std::task::{Context, Poll, ready};

/// The scheme of this transport's addresses.
const SCHEME: &str = "abstract";

/// What can be set, in an address or in the component's configuration: parser and checks follow from this table.
const SETTINGS: &[Setting] = &[Setting {
    name: "backlog",
    kind: Kind::Count { min: 1, max: 65535 },
    default: "1024",
    doc: "Links that wait to be accepted before further ones are refused.",
}];

const CONFIG_SCHEMA: &str = r#"{
  "$schema": "https://json-schema.org/draft/2020-12/schema",
  "type": "object",
  "additionalProperties": false,
  "properties": {
    "backlog": {
      "type": "integer", "minimum": 1, "maximum": 65535, "default": 1024,
      "description": "Links that wait to be accepted before further ones are refused."
    }
  }
}"#;

// The descriptor, and the one symbol that this library exports. The macros catch panics in every function.
sabir_sdk::plugin! {
    pub static PLUGIN: name = "transport-abstract",
    description = "abstract:// links over Linux's abstract Unix sockets",
    vendor = "an example",
    transports = [Abstract]
}
sabir_sdk::export_plugin!(PLUGIN);

struct Abstract {
    host: Host,
    defaults: Settings,
}

impl Abstract {
    /// The name, the same as a socket address, and the backlog.
    fn read(&self, uri: &str) -> Result<(String, SocketAddrUnix, i32)> {
        let uri = Uri::parse(uri, SCHEME)?;
        let mut settings = self.defaults.clone();
        settings.apply_query(uri.query)?;
        let backlog = i32::try_from(settings.count("backlog")).unwrap_or(i32::MAX);
        let address = SocketAddrUnix::new_abstract_name(uri.address.as_bytes()).map_err(|error| {
            Error::new(ErrorCode::Config, format!("{:?} is no name for a socket: {error}", uri.address))
        })?;
        Ok((uri.address.to_owned(), address, backlog))
    }
}

impl Transport for Abstract {
    const NAME: &'static str = SCHEME;
    const CAPABILITIES: u64 = abi::SABIR_CAP_TRANSPORT_LISTEN
        | abi::SABIR_CAP_TRANSPORT_CONNECT
        | abi::SABIR_CAP_TRANSPORT_HALF_CLOSE
        | abi::SABIR_CAP_TRANSPORT_LOCAL_ONLY;
    const REQUIRED_HOST_CAPABILITIES: u64 = abi::SABIR_CAP_HOST_REACTOR;
    const CONFIG_SCHEMA: &'static str = CONFIG_SCHEMA;

    fn open(host: Host, config: &str) -> Result<Self> {
        let mut defaults = Settings::new(SETTINGS);
        defaults.apply_json(config)?;
        Ok(Self { host, defaults })
    }

    fn listen(&self, uri: &str) -> Result<Box<dyn Listener>> {
        let (name, address, backlog) = self.read(uri)?;
        let opened = || -> rustix::io::Result<OwnedFd> {
            let fd = new_socket()?;
            rustix::net::bind(&fd, &address)?;
            rustix::net::listen(&fd, backlog)?;
            Ok(fd)
        };
        let fd = opened().map_err(|errno| failed("listen on", &name, errno))?;
        Ok(Box::new(AbstractListener { host: self.host, socket: HostSocket::new(self.host, fd)?, name }))
    }

    fn connect(&self, uri: &str) -> Result<Box<dyn Link>> {
        let (name, address, _) = self.read(uri)?;
        let opened = || -> rustix::io::Result<OwnedFd> {
            let fd = new_socket()?;
            // On this medium connecting is done at once or not at all, so `poll_ready` has nothing to wait for.
            rustix::net::connect(&fd, &address)?;
            Ok(fd)
        };
        let fd = opened().map_err(|errno| failed("connect to", &name, errno))?;
        let me = format!("pid:{}", std::process::id());
        Ok(Box::new(AbstractLink::new(self.host, fd, me, Some(name))?))
    }
}

fn new_socket() -> rustix::io::Result<OwnedFd> {
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)
}

/// A failed system call in the words of the contract.
fn failed(doing: &str, name: &str, errno: Errno) -> Error {
    let (code, retryable) = match errno {
        Errno::ADDRINUSE => (ErrorCode::Address, false),
        // AGAIN: the listener's backlog is full.
        Errno::MFILE | Errno::NFILE | Errno::NOMEM | Errno::NOBUFS | Errno::AGAIN => (ErrorCode::Limit, true),
        Errno::CONNREFUSED => (ErrorCode::Io, true),
        _ => (ErrorCode::Io, false),
    };
    Error { retryable, ..Error::new(code, format!("cannot {doing} {name:?}: {errno}")) }
}

struct AbstractListener {
    host: Host,
    socket: HostSocket,
    name: String,
}

impl Listener for AbstractListener {
    fn local_address(&self) -> &str {
        &self.name
    }

    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<Result<Box<dyn Link>>> {
        // The closure runs within the reactor's readiness guard: its `WouldBlock` loses no wake-up.
        let accepted = ready!(self.socket.poll_op(cx, Interest::Read, |fd| {
            match rustix::net::accept_with(fd, SocketFlags::NONBLOCK | SocketFlags::CLOEXEC) {
                Err(Errno::AGAIN) => Err(io::ErrorKind::WouldBlock.into()),
                other => Ok(other),
            }
        }))?;
        // A `Limit` error leaves the listener usable: the host waits and tries again.
        let fd = accepted.map_err(|errno| failed("accept on", &self.name, errno))?;
        Poll::Ready(Ok(Box::new(AbstractLink::new(self.host, fd, self.name.clone(), None)?)))
    }
}

struct AbstractLink {
    socket: HostSocket,
    attributes: Vec<(String, String)>,
}

impl AbstractLink {
    /// `peer` is the other end's name; only listeners have one, so a client is named by its process.
    fn new(host: Host, fd: OwnedFd, local: String, peer: Option<String>) -> Result<Self> {
        let mut attributes = vec![("scheme".to_owned(), SCHEME.to_owned()), ("local".to_owned(), local)];
        // The kernel vouches for these.
        let credentials = sockopt::socket_peercred(fd.as_fd()).ok();
        let process = credentials.map(|peer| peer.pid.as_raw_nonzero().get().to_string());
        let named = peer.or_else(|| process.as_ref().map(|pid| format!("pid:{pid}")));
        attributes.push(("peer".to_owned(), named.unwrap_or_else(|| "unknown".to_owned())));
        if let (Some(credentials), Some(pid)) = (credentials, process) {
            attributes.push(("peer_uid".to_owned(), credentials.uid.as_raw().to_string()));
            attributes.push(("peer_pid".to_owned(), pid));
        }
        Ok(Self { socket: HostSocket::new(host, fd)?, attributes })
    }
}

impl Link for AbstractLink {
    fn attributes(&self) -> &[(String, String)] {
        &self.attributes
    }

    fn poll_read(&mut self, cx: &mut Context<'_>, buf: &mut [u8], _: &mut ChunkInfo) -> Poll<Result<usize>> {
        self.socket.poll_recv(cx, buf).map_err(Error::from)
    }

    fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
        _: ChunkInfo,
    ) -> Poll<Result<usize>> {
        self.socket.poll_sendv(cx, bufs).map_err(Error::from)
    }

    fn poll_shutdown(&mut self, _: &mut Context<'_>) -> Poll<Result<()>> {
        Poll::Ready(self.socket.shutdown(Shutdown::Write).map_err(Error::from))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_schema_says_the_same_as_the_table() {
        assert_eq!(sabir_sdk::settings::differences(CONFIG_SCHEMA, SETTINGS), Vec::<String>::new());
    }
}
