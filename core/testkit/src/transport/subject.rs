// SPDX-License-Identifier: Apache-2.0
//! The transport that is looked at, and how to reach it.

use super::end::{Check, End, Failure, ready};
use sabir_host::{Component, Error, Framing, Link, Listener, Transport, abi};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// What the suite must be told of a transport. The suite takes it that each direction of a link buffers at least 64
/// bytes, and one message.
#[derive(Clone, Debug)]
pub struct Profile {
    /// The scheme of its addresses.
    pub scheme: String,
    /// Where to listen: `{n}` becomes a number that no other listener of this process has, as in
    /// `mem://suite-{n}`; where the system chooses (port 0) it is not needed.
    pub listen: String,
    /// Where to connect: `{address}` becomes the listener's local address. A listener on what this gives must
    /// listen on that address too.
    pub connect: String,
    /// What boundaries its links have.
    pub framing: Framing,
    /// One half of a link can be shut while the other goes on.
    pub half_close: bool,
    /// Bytes that a writer may get rid of while nobody reads: what medium and plugin buffer together.
    pub max_buffered_bytes: usize,
    /// Links that are opened at once. Each takes two file descriptors where both ends are in this process.
    pub many_links: usize,
    /// Links that may wait to be accepted at once.
    pub waiting_links: usize,
    /// The longest that one contract may take. No case waits for time to pass, so only a lost wake-up or a very
    /// slow machine comes near it.
    pub case_limit: Duration,
}

impl Profile {
    /// The usual case: a stream transport with half close whose listeners are found at `scheme://{address}`.
    pub fn stream(scheme: &str, listen: &str) -> Self {
        Self {
            scheme: scheme.to_owned(),
            listen: listen.to_owned(),
            connect: format!("{scheme}://{{address}}"),
            framing: Framing::Stream,
            half_close: true,
            // Linux lets one TCP socket grow to 6 MiB for receiving and 4 MiB for sending by itself.
            max_buffered_bytes: 64 << 20,
            many_links: 300,
            waiting_links: 50,
            case_limit: Duration::from_secs(30),
        }
    }

    /// The same for a transport whose links keep the boundaries of messages.
    pub fn messages(scheme: &str, listen: &str) -> Self {
        Self { framing: Framing::Message, ..Self::stream(scheme, listen) }
    }
}

/// A transport, or one that stands on another, together with its profile.
pub struct Subject {
    profile: Profile,
    transport: Transport,
    wrapper: Option<Wrapper>,
    next: Arc<AtomicU64>,
}

struct Wrapper {
    transport: Transport,
    uri: String,
}

/// Shared by all subjects: two suites in one process must not ask for the same name.
static NEXT: AtomicU64 = AtomicU64::new(1);

impl Subject {
    /// A transport that stands by itself.
    pub fn new(profile: Profile, transport: Transport) -> Self {
        Self { profile, transport, wrapper: None, next: Arc::default() }
    }

    /// A transport that stands on another: `profile` is that of the whole, its addresses those of `inner`; the
    /// wrapper is handed `uri`.
    pub fn wrapped(profile: Profile, inner: Transport, wrapper: Transport, uri: &str) -> Self {
        Self {
            profile,
            transport: inner,
            wrapper: Some(Wrapper { transport: wrapper, uri: uri.to_owned() }),
            next: Arc::default(),
        }
    }

    /// A component of which nothing is known but what it says of itself: finds out what addresses it takes and what
    /// its links can do. `listen` is the address to listen on (see [`Profile::listen`]), where the usual forms are
    /// not the component's: a host and port, a name, a path. To be called by the closure that is handed to
    /// [`run`](super::run()), on whose reactor the links are tried.
    ///
    /// # Errors
    /// Why there is nothing to look at: it cannot be opened, does not both listen and connect by itself, or takes
    /// none of the addresses.
    pub fn discover(component: &Component, listen: Option<&str>) -> Result<Self, String> {
        let transport = component.open_transport("{}").map_err(|error| error.to_string())?;
        let needs = abi::SABIR_CAP_TRANSPORT_LISTEN | abi::SABIR_CAP_TRANSPORT_CONNECT;
        if transport.capabilities() & needs != needs {
            return Err(
                "it does not both listen and connect by itself: there is nothing to look at".to_owned()
            );
        }
        let scheme = component.name();
        let forms = match listen {
            Some(listen) => vec![listen.to_owned()],
            None => usual_forms(scheme),
        };
        let mut refusals = Vec::new();
        for form in forms {
            let mut subject = Self::new(Profile::stream(scheme, &form), transport.clone());
            subject.profile.half_close = transport.capabilities() & abi::SABIR_CAP_TRANSPORT_HALF_CLOSE != 0;
            match subject.framing() {
                Ok(framing) => {
                    subject.profile.framing = framing;
                    return Ok(subject);
                }
                Err(error) => refusals.push(format!("{form}: {error}")),
            }
        }
        Err(format!("it can be listened on at none of these addresses:\n{}", refusals.join("\n")))
    }

    /// The framing of a link to a listener of its own.
    fn framing(&self) -> Result<Framing, Error> {
        let listener = self.listen_at(&self.fresh_uri())?;
        Ok(self.connect_to(&self.uri_of(listener.local_address()))?.framing())
    }

    /// What the suite was told.
    pub fn profile(&self) -> &Profile {
        &self.profile
    }

    /// Whether the outermost transport claims that links send files.
    pub(super) fn sends_files(&self) -> bool {
        let outermost = self.wrapper.as_ref().map_or(&self.transport, |wrapper| &wrapper.transport);
        outermost.capabilities() & abi::SABIR_CAP_TRANSPORT_SEND_FILE != 0
    }

    /// How many listeners were opened so far: a case that opened none has shown nothing.
    pub(super) fn listeners_opened(&self) -> u64 {
        self.next.load(Ordering::Relaxed)
    }

    pub(super) fn fresh_uri(&self) -> String {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        self.profile.listen.replace("{n}", &format!("{}-{number}", std::process::id()))
    }

    pub(super) fn uri_of(&self, address: &str) -> String {
        self.profile.connect.replace("{address}", address)
    }

    pub(super) fn listen_at(&self, uri: &str) -> Result<Listener, Error> {
        let inner = self.transport.listen(uri)?;
        self.next.fetch_add(1, Ordering::Relaxed);
        match &self.wrapper {
            Some(wrapper) => wrapper.transport.wrap_listener(inner, &wrapper.uri),
            None => Ok(inner),
        }
    }

    pub(super) fn listen(&self) -> Check<Listener> {
        let uri = self.fresh_uri();
        self.listen_at(&uri).map_err(|error| Failure(format!("listen on {uri}: {error}")))
    }

    pub(super) fn connect_to(&self, uri: &str) -> Result<Link, Error> {
        let inner = self.transport.connect(uri)?;
        match &self.wrapper {
            Some(wrapper) => wrapper.transport.wrap_link(inner, &wrapper.uri),
            None => Ok(inner),
        }
    }

    /// A link to `listener`, ready.
    pub(super) async fn connect(&self, listener: &Listener) -> Check<End> {
        let uri = self.uri_of(listener.local_address());
        let link = self.connect_to(&uri).map_err(|error| Failure(format!("connect to {uri}: {error}")))?;
        ready(link).await
    }

    /// Both ends of a new link: the accepted one, then the connected one. The handshake of both goes on at once.
    pub(super) async fn link(&self, listener: &mut Listener) -> Check<(End, End)> {
        let uri = self.uri_of(listener.local_address());
        let link = self.connect_to(&uri).map_err(|error| Failure(format!("connect to {uri}: {error}")))?;
        tokio::try_join!(accept(listener), ready(link))
    }

    /// A listener of its own and both ends of a link through it.
    pub(super) async fn pair(&self) -> Check<(Listener, End, End)> {
        let mut listener = self.listen()?;
        let (accepted, connected) = self.link(&mut listener).await?;
        Ok((listener, accepted, connected))
    }
}

/// What addresses of this machine look like, as far as one can guess.
fn usual_forms(scheme: &str) -> Vec<String> {
    let folder = std::env::temp_dir();
    vec![
        format!("{scheme}://127.0.0.1:0"),
        format!("{scheme}://sabir-verify-{{n}}"),
        format!("{scheme}://{}/sabir-verify-{{n}}.sock", folder.display()),
    ]
}

/// The next link of a listener, ready.
pub(super) async fn accept(listener: &mut Listener) -> Check<End> {
    let link = std::future::poll_fn(|cx| listener.poll_accept(cx)).await;
    ready(link.map_err(|error| Failure(format!("accept: {error}")))?).await
}
