// SPDX-License-Identifier: Apache-2.0
//! The suite of transports is tested itself: a transport with one fault must fail the contract that the fault breaks.
//!
//! Each fault is a wrapper around mem, which without a fault keeps every contract.

use sabir_host::Registry;
use sabir_sdk::transport::{ChunkInfo, Framing, Link, Listener, Transport};
use sabir_sdk::{Error, ErrorCode, Host, Result, abi};
use sabir_testkit::report::Outcome;
use sabir_testkit::transport::{Profile, Subject, run};
use std::fs::File;
use std::io::{IoSlice, Read};
use std::os::fd::BorrowedFd;
use std::os::unix::fs::FileExt;
use std::sync::Mutex;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

/// What is wrong with a transport.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fault {
    None,
    /// Reading keeps the first waker, not the last.
    FirstWaker,
    /// A pending read wakes its own task.
    BusyRead,
    /// Writing takes everything and drops what does not fit.
    LosesBytes,
    /// Writing says that it took one byte fewer than it did.
    CountsWrong,
    /// A pending write has no waker.
    ForgetsWriter,
    /// Ending the writing half is forgotten.
    NeverEnds,
    /// Ending the writing half ends reading too.
    EndsBoth,
    /// Attributes are not passed on.
    NoAttributes,
    /// Every write is a message of its own, whatever the flags say.
    LosesBoundaries,
    /// Accepting keeps no waker.
    SleepsInAccept,
    /// Slices behind the first are forgotten, though counted.
    FirstSliceOnly,
    /// The waker of a dropped link is kept.
    KeepsWaker,
    /// Bytes of a file are taken from where the file's own position is.
    SendsFromPosition,
    /// Sending beyond the end of a file fails.
    FailsBeyondEnd,
}

const FAULTS: [(Fault, &str); 14] = [
    (Fault::FirstWaker, "transport.wake.read"),
    (Fault::BusyRead, "transport.wake.idle"),
    (Fault::LosesBytes, "transport.pressure.holds"),
    (Fault::CountsWrong, "transport.bytes.echo"),
    (Fault::ForgetsWriter, "transport.wake.write"),
    (Fault::NeverEnds, "transport.end.shutdown"),
    (Fault::EndsBoth, "transport.end.half-client"),
    (Fault::NoAttributes, "transport.address.attributes"),
    (Fault::LosesBoundaries, "transport.message.pieces"),
    (Fault::SleepsInAccept, "transport.accept.wakes"),
    (Fault::FirstSliceOnly, "transport.bytes.vectored"),
    (Fault::KeepsWaker, "transport.end.cancel"),
    (Fault::SendsFromPosition, "transport.file.bytes"),
    (Fault::FailsBeyondEnd, "transport.file.end"),
];

const NO_FAULT: &str = "faulty://none";

/// A wrapper whose URI names the fault by its place in [`FAULTS`].
struct Faulty;

sabir_sdk::plugin! {
    static PLUGIN: name = "testkit-faulty", description = "transports with one fault each", transports = [Faulty]
}

fn fault_of(uri: &str) -> Fault {
    let at = uri.trim_start_matches("faulty://").parse::<usize>();
    at.ok().and_then(|at| FAULTS.get(at)).map_or(Fault::None, |(fault, _)| *fault)
}

impl Transport for Faulty {
    const NAME: &'static str = "faulty";
    const CAPABILITIES: u64 = abi::SABIR_CAP_TRANSPORT_WRAP_LISTENER
        | abi::SABIR_CAP_TRANSPORT_WRAP_LINK
        | abi::SABIR_CAP_TRANSPORT_SEND_FILE;

    fn open(_: Host, _: &str) -> Result<Self> {
        Ok(Self)
    }

    fn wrap_listener(&self, inner: Box<dyn Listener>, uri: &str) -> Result<Box<dyn Listener>> {
        Ok(Box::new(FaultyListener { inner, fault: fault_of(uri) }))
    }

    fn wrap_link(&self, inner: Box<dyn Link>, uri: &str) -> Result<Box<dyn Link>> {
        Ok(Box::new(FaultyLink::new(inner, fault_of(uri))))
    }
}

struct FaultyListener {
    inner: Box<dyn Listener>,
    fault: Fault,
}

impl Listener for FaultyListener {
    fn local_address(&self) -> &str {
        self.inner.local_address()
    }

    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<Result<Box<dyn Link>>> {
        let mut nobody = Context::from_waker(Waker::noop());
        let cx = if self.fault == Fault::SleepsInAccept { &mut nobody } else { cx };
        let link = ready!(self.inner.poll_accept(cx))?;
        Poll::Ready(Ok(Box::new(FaultyLink::new(link, self.fault))))
    }
}

struct FaultyLink {
    inner: Box<dyn Link>,
    fault: Fault,
    attributes: Vec<(String, String)>,
    first_waker: Option<Waker>,
    ended: bool,
}

/// What [`Fault::KeepsWaker`] keeps.
static KEPT: Mutex<Vec<Waker>> = Mutex::new(Vec::new());

impl FaultyLink {
    fn new(inner: Box<dyn Link>, fault: Fault) -> Self {
        let attributes = inner.attributes().to_vec();
        Self { inner, fault, attributes, first_waker: None, ended: false }
    }
}

impl Link for FaultyLink {
    fn framing(&self) -> Framing {
        self.inner.framing()
    }

    fn attributes(&self) -> &[(String, String)] {
        if self.fault == Fault::NoAttributes { &[] } else { &self.attributes }
    }

    fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        buf: &mut [u8],
        info: &mut ChunkInfo,
    ) -> Poll<Result<usize>> {
        if self.ended {
            return Poll::Ready(Ok(0));
        }
        let waker = match self.fault {
            Fault::FirstWaker => self.first_waker.get_or_insert_with(|| cx.waker().clone()).clone(),
            _ => cx.waker().clone(),
        };
        let read = self.inner.poll_read(&mut Context::from_waker(&waker), buf, info);
        match (self.fault, read.is_pending()) {
            (Fault::BusyRead, true) => cx.waker().wake_by_ref(),
            (Fault::KeepsWaker, true) => KEPT.lock().unwrap().push(waker),
            (Fault::FirstWaker, false) => self.first_waker = None,
            _ => {}
        }
        read
    }

    fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
        info: ChunkInfo,
    ) -> Poll<Result<usize>> {
        let offered: usize = bufs.iter().map(|buf| buf.len()).sum();
        let mut nobody = Context::from_waker(Waker::noop());
        match self.fault {
            Fault::LosesBytes => match self.inner.poll_write(cx, bufs, info) {
                Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
                _ => Poll::Ready(Ok(offered)),
            },
            Fault::CountsWrong => {
                self.inner.poll_write(cx, bufs, info).map_ok(|taken| taken.saturating_sub(1).max(1))
            }
            Fault::ForgetsWriter => self.inner.poll_write(&mut nobody, bufs, info),
            Fault::LosesBoundaries => {
                self.inner.poll_write(cx, bufs, ChunkInfo { begin: true, end: true, ..info })
            }
            Fault::FirstSliceOnly => {
                let first = bufs.iter().position(|buf| !buf.is_empty()).unwrap_or(0);
                let one = bufs.get(first..=first).unwrap_or_default();
                self.inner.poll_write(cx, one, info).map_ok(|_| offered)
            }
            _ => self.inner.poll_write(cx, bufs, info),
        }
    }

    fn sends_files(&self) -> bool {
        self.framing() == Framing::Stream
    }

    /// As a host would without it: reads, and writes.
    fn poll_send_file(
        &mut self,
        cx: &mut Context<'_>,
        file: BorrowedFd<'_>,
        offset: u64,
        len: usize,
    ) -> Poll<Result<usize>> {
        let mut bytes = vec![0; len.min(64 << 10)];
        let mut file = File::from(file.try_clone_to_owned()?);
        let count = match self.fault {
            Fault::SendsFromPosition => file.read(&mut bytes)?,
            _ => file.read_at(&mut bytes, offset)?,
        };
        if count == 0 && self.fault == Fault::FailsBeyondEnd {
            return Poll::Ready(Err(Error::new(ErrorCode::Io, "the file has ended")));
        }
        if count == 0 {
            return Poll::Ready(Ok(0));
        }
        self.inner.poll_write(cx, &[IoSlice::new(&bytes[..count])], ChunkInfo::default())
    }

    fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        match self.fault {
            Fault::NeverEnds => return Poll::Ready(Ok(())),
            Fault::EndsBoth => self.ended = true,
            _ => {}
        }
        self.inner.poll_shutdown(cx)
    }
}

fn subject(uri: &str, messages: bool) -> std::result::Result<Subject, String> {
    let mut registry = Registry::new();
    for plugin in [&sabir_transport_mem::PLUGIN, &PLUGIN] {
        registry.add(plugin).map_err(|error| error.to_string())?;
    }
    let open = |scheme: &str| {
        let component = registry.transport(scheme).ok_or("a transport is missing")?;
        component.open_transport("{}").map_err(|error| error.to_string())
    };
    let usual = match messages {
        true => Profile::messages("mem", "mem://fault-{n}?framing=message"),
        false => Profile::stream("mem", "mem://fault-{n}"),
    };
    // A fault often shows as a case that hangs: the suite shall not wait for it as long as for a slow machine.
    let case_limit = if uri == NO_FAULT { usual.case_limit } else { Duration::from_secs(1) };
    let profile = Profile { case_limit, many_links: 20, ..usual };
    Ok(Subject::wrapped(profile, open("mem")?, open("faulty")?, uri))
}

#[test]
fn a_wrapper_without_a_fault_keeps_every_contract() {
    for messages in [false, true] {
        let report = run(move || subject(NO_FAULT, messages));
        assert!(report.all_passed(), "{report}");
    }
}

#[test]
fn every_fault_fails_the_contract_that_it_breaks() {
    let suites: Vec<_> = FAULTS
        .iter()
        .enumerate()
        .map(|(at, (fault, id))| {
            let messages = *fault == Fault::LosesBoundaries;
            let suite = std::thread::spawn(move || run(move || subject(&format!("faulty://{at}"), messages)));
            (*id, suite)
        })
        .collect();
    for (id, suite) in suites {
        let report = suite.join().unwrap();
        let case = report.cases.iter().find(|case| case.id == id).unwrap();
        assert!(matches!(case.outcome, Outcome::Failed(_)), "{id} holds in spite of its fault\n{report}");
    }
}
