// SPDX-License-Identifier: Apache-2.0
//! Sockets with their options, and what their failures mean in the words of the contract.

use crate::options::Options;
use sabir_sdk::{Error, ErrorCode, Result};
use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};

/// Questions that the system asks a silent peer before it ends the link.
const KEEPALIVE_PROBES: u32 = 4;

/// A non-blocking socket that listens on `address`.
pub(crate) fn listen(address: SocketAddr, options: &Options) -> Result<OwnedFd> {
    let opened = || -> io::Result<Socket> {
        let socket = unconnected(address)?;
        // Without this a restarted broker waits for minutes until the system has forgotten its old links.
        socket.set_reuse_address(true)?;
        if options.reuse_port {
            socket.set_reuse_port(true)?;
        }
        if address.is_ipv6() {
            socket.set_only_v6(options.ipv6_only)?;
        }
        // Before listen: links inherit their sizes, and the window that TCP agrees on depends on them.
        set_buffer_sizes(&socket, options)?;
        socket.bind(&address.into())?;
        socket.listen(options.backlog)?;
        Ok(socket)
    };
    opened().map(OwnedFd::from).map_err(|error| listen_error(address, &error))
}

/// A non-blocking socket on its way to `address`.
pub(crate) fn connect(address: SocketAddr, options: &Options) -> Result<OwnedFd> {
    let opened = || -> io::Result<Socket> {
        let socket = unconnected(address)?;
        set_buffer_sizes(&socket, options)?;
        set_link_options(&socket, options)?;
        match socket.connect(&address.into()) {
            Ok(()) => Ok(socket),
            Err(error) if error.raw_os_error() == Some(rustix::io::Errno::INPROGRESS.raw_os_error()) => {
                Ok(socket)
            }
            Err(error) => Err(error),
        }
    };
    opened().map(OwnedFd::from).map_err(|error| connect_error(address, &error))
}

/// Hands bytes of a file to the socket inside the system; 0: the file has nothing there.
///
/// Unlike `send`, this call cannot be told to raise no signal when the peer has gone: it leans on the process ignoring
/// SIGPIPE, as every Rust and every Python program does from its start.
#[cfg(target_os = "linux")]
pub(crate) fn send_file(
    socket: impl AsFd,
    file: impl AsFd,
    mut offset: u64,
    len: usize,
) -> io::Result<usize> {
    Ok(rustix::fs::sendfile(socket, file, Some(&mut offset), len)?)
}

/// Whether the socket has arrived: its failure, or `WouldBlock` while it is on its way.
pub(crate) fn connected(socket: impl AsFd) -> io::Result<()> {
    let fd = socket.as_fd();
    let socket = SockRef::from(&fd);
    if let Some(error) = socket.take_error()? {
        return Err(error);
    }
    match socket.peer_addr() {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotConnected => Err(io::ErrorKind::WouldBlock.into()),
        Err(error) => Err(error),
    }
}

/// Sets what concerns one link and is not inherited everywhere.
pub(crate) fn set_link_options(socket: &impl AsFd, options: &Options) -> io::Result<()> {
    let fd = socket.as_fd();
    let socket = SockRef::from(&fd);
    socket.set_tcp_nodelay(options.nodelay)?;
    if let Some(idle) = options.keepalive {
        let interval = (idle / KEEPALIVE_PROBES).max(std::time::Duration::from_secs(1));
        let keepalive =
            TcpKeepalive::new().with_time(idle).with_interval(interval).with_retries(KEEPALIVE_PROBES);
        socket.set_tcp_keepalive(&keepalive)?;
    }
    Ok(())
}

/// The address of this side.
pub(crate) fn local_address(socket: &impl AsFd) -> io::Result<SocketAddr> {
    let fd = socket.as_fd();
    SockRef::from(&fd)
        .local_addr()?
        .as_socket()
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "the socket has no internet address"))
}

fn unconnected(address: SocketAddr) -> io::Result<Socket> {
    // socket2 adds close-on-exec; a child process must not keep a port busy.
    Socket::new(Domain::for_address(address), Type::STREAM.nonblocking(), Some(Protocol::TCP))
}

fn set_buffer_sizes(socket: &Socket, options: &Options) -> io::Result<()> {
    if let Some(size) = options.recv_buffer_bytes {
        socket.set_recv_buffer_size(size)?;
    }
    if let Some(size) = options.send_buffer_bytes {
        socket.set_send_buffer_size(size)?;
    }
    Ok(())
}

fn listen_error(address: SocketAddr, error: &io::Error) -> Error {
    let (code, hint) = match error.kind() {
        io::ErrorKind::AddrInUse => (
            ErrorCode::Address,
            ": another program, or another listener of this one, has this port; choose another, or 0",
        ),
        io::ErrorKind::AddrNotAvailable => (
            ErrorCode::Address,
            ": this machine does not have this address; 0.0.0.0 or [::] means all that it has",
        ),
        io::ErrorKind::PermissionDenied => {
            (ErrorCode::Address, ": ports below 1024 need a right of their own")
        }
        _ if no_resources(error) => (ErrorCode::Limit, ""),
        _ => (ErrorCode::Io, ""),
    };
    Error::new(code, format!("cannot listen on {address}: {error}{hint}"))
}

pub(crate) fn connect_error(address: SocketAddr, error: &io::Error) -> Error {
    let code = match error.kind() {
        io::ErrorKind::TimedOut => ErrorCode::Timeout,
        io::ErrorKind::AddrNotAvailable => ErrorCode::Address,
        _ if no_resources(error) => ErrorCode::Limit,
        _ => ErrorCode::Io,
    };
    Error::new(code, format!("cannot connect to {address}: {error}")).retryable()
}

/// What a failed `accept` means for the listener.
pub(crate) enum AcceptFailure {
    /// There is nobody.
    Empty,
    /// This one connection is lost; the next is another matter. So says accept(2) of its network errors.
    Skip,
    /// No descriptors or memory: the listener waits and tries again.
    NoResources,
    /// The listener is broken.
    Broken,
}

pub(crate) fn accept_failure(error: rustix::io::Errno) -> AcceptFailure {
    use rustix::io::Errno;
    match error {
        Errno::AGAIN => AcceptFailure::Empty,
        Errno::MFILE | Errno::NFILE | Errno::NOMEM | Errno::NOBUFS => AcceptFailure::NoResources,
        Errno::CONNABORTED
        | Errno::INTR
        | Errno::PERM
        | Errno::PROTO
        | Errno::NOPROTOOPT
        | Errno::NETDOWN
        | Errno::NETUNREACH
        | Errno::HOSTDOWN
        | Errno::HOSTUNREACH
        | Errno::TIMEDOUT => AcceptFailure::Skip,
        _ => AcceptFailure::Broken,
    }
}

fn no_resources(error: &io::Error) -> bool {
    let errno = rustix::io::Errno::from_io_error(error);
    errno.is_some_and(|errno| matches!(accept_failure(errno), AcceptFailure::NoResources))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::io::Errno;

    fn defaults() -> Options {
        Options::read(&sabir_sdk::settings::Settings::new(crate::options::TABLE))
    }

    #[test]
    fn options_arrive_at_the_socket() {
        let options = Options {
            reuse_port: true,
            nodelay: true,
            keepalive: Some(std::time::Duration::from_secs(42)),
            recv_buffer_bytes: Some(20_000),
            ..defaults()
        };
        let fd = listen("127.0.0.1:0".parse().unwrap(), &options).unwrap();
        set_link_options(&fd, &options).unwrap();
        let socket = SockRef::from(&fd);
        assert!(socket.reuse_port().unwrap() && socket.tcp_nodelay().unwrap() && socket.keepalive().unwrap());
        assert_eq!(socket.tcp_keepalive_time().unwrap().as_secs(), 42);
        assert!(socket.recv_buffer_size().unwrap() >= 20_000);
        assert!(socket.nonblocking().unwrap());
        let other = listen("127.0.0.1:0".parse().unwrap(), &defaults()).unwrap();
        assert!(!SockRef::from(&other).reuse_port().unwrap());
    }

    #[test]
    fn a_port_in_use_is_an_address_error_that_names_port_and_remedy() {
        let first = listen("127.0.0.1:0".parse().unwrap(), &defaults()).unwrap();
        let address = local_address(&first).unwrap();
        let error = listen(address, &defaults()).unwrap_err();
        assert_eq!(error.code, ErrorCode::Address);
        assert!(error.message.contains(&address.to_string()), "{}", error.message);
        assert!(error.message.contains("choose another"), "{}", error.message);
    }

    #[test]
    fn an_address_that_is_not_ours_is_an_address_error() {
        // TEST-NET-1: nobody has it.
        let error = listen("192.0.2.1:0".parse().unwrap(), &defaults()).unwrap_err();
        assert_eq!(error.code, ErrorCode::Address, "{}", error.message);
    }

    #[test]
    fn accept_failures_are_told_apart() {
        assert!(matches!(accept_failure(Errno::AGAIN), AcceptFailure::Empty));
        for errno in [Errno::MFILE, Errno::NFILE, Errno::NOMEM] {
            assert!(matches!(accept_failure(errno), AcceptFailure::NoResources), "{errno}");
        }
        for errno in [Errno::CONNABORTED, Errno::INTR, Errno::NETDOWN] {
            assert!(matches!(accept_failure(errno), AcceptFailure::Skip), "{errno}");
        }
        assert!(matches!(accept_failure(Errno::INVAL), AcceptFailure::Broken));
    }
}
