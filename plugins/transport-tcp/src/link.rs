// SPDX-License-Identifier: Apache-2.0
//! Links: accepted ones, and those on their way to a peer.

use crate::address::Target;
use crate::options::Options;
use crate::socket;
use sabir_sdk::host::Timer;
use sabir_sdk::transport::{ChunkInfo, HostSocket, Link};
use sabir_sdk::{Error, ErrorCode, Host, Interest, Result};
use std::io::IoSlice;
use std::net::{Shutdown, SocketAddr};
use std::os::fd::BorrowedFd;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker, ready};

/// A link over a connected socket.
pub(crate) struct TcpLink {
    socket: HostSocket,
    attributes: Vec<(String, String)>,
}

impl TcpLink {
    pub(crate) fn connected(socket: HostSocket, local: SocketAddr, peer: SocketAddr) -> Self {
        Self { socket, attributes: attributes(local, peer) }
    }
}

fn attributes(local: SocketAddr, peer: SocketAddr) -> Vec<(String, String)> {
    // An IPv4 client that came in through [::] is shown by its own address, not by the IPv6 one that wraps it.
    let shown =
        |address: SocketAddr| SocketAddr::new(address.ip().to_canonical(), address.port()).to_string();
    vec![
        ("scheme".to_owned(), crate::SCHEME.to_owned()),
        ("local".to_owned(), shown(local)),
        ("peer".to_owned(), shown(peer)),
    ]
}

impl Link for TcpLink {
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

    #[cfg(target_os = "linux")]
    fn sends_files(&self) -> bool {
        true
    }

    #[cfg(target_os = "linux")]
    fn poll_send_file(
        &mut self,
        cx: &mut Context<'_>,
        file: BorrowedFd<'_>,
        offset: u64,
        len: usize,
    ) -> Poll<Result<usize>> {
        let send = |link: BorrowedFd<'_>| socket::send_file(link, file, offset, len);
        self.socket.poll_op(cx, Interest::Write, send).map_err(Error::from)
    }

    fn poll_shutdown(&mut self, _: &mut Context<'_>) -> Poll<Result<()>> {
        self.socket.shutdown(Shutdown::Write)?;
        Poll::Ready(Ok(()))
    }
}

/// What a look-up has found, shared with the thread that looks.
#[derive(Default)]
struct LookUp {
    found: Option<Result<Vec<SocketAddr>>>,
    waker: Option<Waker>,
}

enum State {
    LookingUp(Arc<Mutex<LookUp>>),
    /// The socket's way began; the timer ends it.
    Connecting {
        socket: HostSocket,
        peer: SocketAddr,
        timer: Timer,
        deadline_ms: u64,
    },
    Connected(TcpLink),
    Failed,
}

/// A link on its way to one of a peer's addresses.
pub(crate) struct ConnectingLink {
    host: Host,
    options: Options,
    /// Addresses not tried yet, the next one last.
    rest: Vec<SocketAddr>,
    state: State,
}

impl ConnectingLink {
    pub(crate) fn open(host: Host, target: Target, options: Options) -> Result<Self> {
        let mut link = Self { host, options, rest: Vec::new(), state: State::Failed };
        if let Target::Address(address) = target {
            link.rest.push(address);
            link.try_next(None)?;
            return Ok(link);
        }
        let shared = Arc::new(Mutex::new(LookUp::default()));
        let result = Arc::clone(&shared);
        host.run_blocking(move || {
            let found = target.look_up();
            let mut shared = result.lock().unwrap_or_else(PoisonError::into_inner);
            shared.found = Some(found);
            if let Some(waker) = shared.waker.take() {
                waker.wake();
            }
        })?;
        link.state = State::LookingUp(shared);
        Ok(link)
    }

    /// Sets out to the next address, or fails with what the last one said.
    fn try_next(&mut self, last: Option<Error>) -> Result<()> {
        let mut last = last;
        self.state = State::Failed;
        while let Some(peer) = self.rest.pop() {
            let begun = socket::connect(peer, &self.options).and_then(|fd| HostSocket::new(self.host, fd));
            match begun {
                Ok(socket) => {
                    let deadline_ms =
                        self.host.now().monotonic_ms.saturating_add(self.options.connect_timeout_ms);
                    self.state = State::Connecting { socket, peer, timer: self.host.timer()?, deadline_ms };
                    return Ok(());
                }
                Err(error) => last = Some(error),
            }
        }
        Err(last.unwrap_or_else(|| Error::new(ErrorCode::Closed, "the link could not be opened")))
    }

    fn poll_looked_up(shared: &Mutex<LookUp>, cx: &mut Context<'_>) -> Poll<Result<Vec<SocketAddr>>> {
        let mut shared = shared.lock().unwrap_or_else(PoisonError::into_inner);
        match shared.found.take() {
            Some(found) => Poll::Ready(found),
            None => {
                shared.waker = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }

    fn poll_connected(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        let State::Connecting { socket, peer, timer, deadline_ms } = &mut self.state else {
            return Poll::Ready(Err(not_ready()));
        };
        let peer = *peer;
        let failed = match socket.poll_op(cx, Interest::Write, |fd| socket::connected(fd)) {
            Poll::Ready(Ok(())) => None,
            Poll::Ready(Err(error)) => Some(socket::connect_error(peer, &error)),
            Poll::Pending => {
                ready!(timer.poll(cx, *deadline_ms));
                let waited_ms = self.options.connect_timeout_ms;
                let text =
                    format!("cannot connect to {peer}: no answer for {waited_ms} ms (connect_timeout_ms)");
                Some(Error::new(ErrorCode::Timeout, text).retryable())
            }
        };
        if let Some(error) = failed {
            return Poll::Ready(self.try_next(Some(error)));
        }
        if let State::Connecting { socket, .. } = std::mem::replace(&mut self.state, State::Failed) {
            let local = socket::local_address(&socket)?;
            self.state = State::Connected(TcpLink::connected(socket, local, peer));
        }
        Poll::Ready(Ok(()))
    }

    fn connected(&mut self) -> Result<&mut TcpLink> {
        match &mut self.state {
            State::Connected(link) => Ok(link),
            _ => Err(not_ready()),
        }
    }
}

fn not_ready() -> Error {
    Error::new(
        ErrorCode::Invalid,
        "the link is not connected: poll_ready has not answered yet, or has failed",
    )
}

impl Link for ConnectingLink {
    fn attributes(&self) -> &[(String, String)] {
        match &self.state {
            State::Connected(link) => link.attributes(),
            _ => &[],
        }
    }

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        loop {
            match &self.state {
                State::Connected(_) => return Poll::Ready(Ok(())),
                State::LookingUp(shared) => {
                    let mut found = ready!(Self::poll_looked_up(shared, cx))?;
                    found.reverse();
                    self.rest = found;
                    self.try_next(None)?;
                }
                State::Connecting { .. } => ready!(self.poll_connected(cx))?,
                State::Failed => return Poll::Ready(Err(not_ready())),
            }
        }
    }

    fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        buf: &mut [u8],
        info: &mut ChunkInfo,
    ) -> Poll<Result<usize>> {
        self.connected()?.poll_read(cx, buf, info)
    }

    fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
        info: ChunkInfo,
    ) -> Poll<Result<usize>> {
        self.connected()?.poll_write(cx, bufs, info)
    }

    #[cfg(target_os = "linux")]
    fn sends_files(&self) -> bool {
        true
    }

    #[cfg(target_os = "linux")]
    fn poll_send_file(
        &mut self,
        cx: &mut Context<'_>,
        file: BorrowedFd<'_>,
        offset: u64,
        len: usize,
    ) -> Poll<Result<usize>> {
        self.connected()?.poll_send_file(cx, file, offset, len)
    }

    fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        self.connected()?.poll_shutdown(cx)
    }
}
