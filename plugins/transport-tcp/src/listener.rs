// SPDX-License-Identifier: Apache-2.0
//! Listening sockets.

use crate::link::TcpLink;
use crate::options::Options;
use crate::socket::{self, AcceptFailure};
use sabir_sdk::transport::{HostSocket, Link, Listener};
use sabir_sdk::{Error, ErrorCode, Host, Interest, Result};
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::task::{Context, Poll};

/// Lost connections that one call passes over before it lets others have the thread.
const MAX_SKIPPED: usize = 16;

/// A listening socket.
pub(crate) struct TcpListener {
    host: Host,
    options: Options,
    socket: HostSocket,
    address: SocketAddr,
    address_text: String,
}

/// What one try brought.
enum Accepted {
    Link(OwnedFd, SocketAddr),
    Skipped,
    NoResources(std::io::Error),
}

impl TcpListener {
    pub(crate) fn open(host: Host, address: SocketAddr, options: Options) -> Result<Self> {
        let fd = socket::listen(address, &options)?;
        let address = socket::local_address(&fd)?;
        let socket = HostSocket::new(host, fd)?;
        Ok(Self { host, options, socket, address, address_text: address.to_string() })
    }

    fn poll_one(&mut self, cx: &mut Context<'_>) -> Poll<Result<Accepted>> {
        use rustix::net::{SocketFlags, acceptfrom_with};
        let accept = self.socket.poll_op(cx, Interest::Read, |fd| {
            match acceptfrom_with(fd, SocketFlags::NONBLOCK | SocketFlags::CLOEXEC) {
                Ok((link, peer)) => match peer.and_then(|peer| SocketAddr::try_from(peer).ok()) {
                    Some(peer) => Ok(Accepted::Link(link, peer)),
                    // The peer was gone before it was accepted.
                    None => Ok(Accepted::Skipped),
                },
                Err(errno) => match socket::accept_failure(errno) {
                    AcceptFailure::Empty => Err(std::io::ErrorKind::WouldBlock.into()),
                    AcceptFailure::Skip => Ok(Accepted::Skipped),
                    AcceptFailure::NoResources => Ok(Accepted::NoResources(errno.into())),
                    AcceptFailure::Broken => Err(errno.into()),
                },
            }
        });
        accept.map_err(|error| {
            Error::new(ErrorCode::Io, format!("cannot accept on {}: {error}", self.address_text))
        })
    }

    /// The link for an accepted socket, or nothing when the peer has gone meanwhile.
    fn link(&self, fd: OwnedFd, peer: SocketAddr) -> Result<Option<TcpLink>> {
        // An unspecified address tells nothing of the link's own end.
        let local =
            if self.address.ip().is_unspecified() { socket::local_address(&fd) } else { Ok(self.address) };
        match local.and_then(|local| socket::set_link_options(&fd, &self.options).map(|()| local)) {
            Ok(local) => Ok(Some(TcpLink::connected(HostSocket::new(self.host, fd)?, local, peer))),
            Err(_) => Ok(None),
        }
    }
}

impl Listener for TcpListener {
    fn local_address(&self) -> &str {
        &self.address_text
    }

    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<Result<Box<dyn Link>>> {
        for _ in 0..MAX_SKIPPED {
            match std::task::ready!(self.poll_one(cx))? {
                Accepted::Link(fd, peer) => {
                    let link = self.link(fd, peer).map_err(|error| self.no_resources(&error.message))?;
                    if let Some(link) = link {
                        return Poll::Ready(Ok(Box::new(link)));
                    }
                }
                Accepted::Skipped => {}
                Accepted::NoResources(error) => {
                    return Poll::Ready(Err(self.no_resources(&error.to_string())));
                }
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

impl TcpListener {
    fn no_resources(&self, why: &str) -> Error {
        let text = format!("{} cannot take more links: {why}", self.address_text);
        Error::new(ErrorCode::Limit, text).retryable()
    }
}
