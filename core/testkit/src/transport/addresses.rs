// SPDX-License-Identifier: Apache-2.0
//! Contracts of addresses: what a listener tells, and what is refused.

use super::end::{Check, End, Failure, ensure, ready};
use super::run::{Contract, contract};
use super::subject::Subject;
use sabir_host::{Error, ErrorCode, Link};
use std::future::poll_fn;

pub(super) const CONTRACTS: &[Contract] = &[
    contract!(
        "transport.address.local",
        Nothing,
        "A listener tells the address that others connect to.",
        local
    ),
    contract!(
        "transport.address.double",
        Nothing,
        "A second listener on an address is an address error.",
        double
    ),
    contract!(
        "transport.address.freed",
        Nothing,
        "An address can be used again once its listener is dropped.",
        freed
    ),
    contract!("transport.address.nobody", Nothing, "Connecting to nobody fails, and says so.", nobody),
    contract!("transport.address.bad", Nothing, "A bad address is an error that says what is wrong.", bad),
    contract!(
        "transport.address.option",
        Nothing,
        "An unknown option is refused by its name.",
        unknown_option
    ),
    contract!(
        "transport.address.attributes",
        Nothing,
        "Links tell their scheme, local and peer.",
        attributes
    ),
];

async fn local(subject: &Subject) -> Check {
    let (listener, mut accepted, mut connected) = subject.pair().await?;
    ensure!(!listener.local_address().is_empty(), "the local address is empty");
    connected.write(b"found").await?;
    ensure!(accepted.read(5).await? == b"found", "something else arrived");
    Ok(())
}

async fn double(subject: &Subject) -> Check {
    let listener = subject.listen()?;
    let uri = subject.uri_of(listener.local_address());
    match subject.listen_at(&uri) {
        Ok(_) => Err(Failure(format!("a second listener on {uri} was opened"))),
        Err(error) => {
            ensure!(
                error.code == ErrorCode::Address,
                "expected the code Address, found {:?}: {error}",
                error.code
            );
            explains(&uri, &error)
        }
    }
}

async fn freed(subject: &Subject) -> Check {
    let listener = subject.listen()?;
    let uri = subject.uri_of(listener.local_address());
    drop(listener);
    for round in 1..=3 {
        let mut again =
            subject.listen_at(&uri).map_err(|error| Failure(format!("round {round} on {uri}: {error}")))?;
        subject.link(&mut again).await?;
    }
    Ok(())
}

/// What comes of a link to nobody: the error, wherever it shows.
async fn fails(link: Result<Link, Error>) -> Check<Error> {
    let mut link = match link {
        Ok(link) => link,
        Err(error) => return Ok(error),
    };
    match poll_fn(|cx| link.poll_ready(cx)).await {
        Ok(()) => Err(Failure("the link became ready".to_owned())),
        Err(error) => Ok(error),
    }
}

async fn nobody(subject: &Subject) -> Check {
    let listener = subject.listen()?;
    let uri = subject.uri_of(listener.local_address());
    drop(listener);
    let error = fails(subject.connect_to(&uri)).await?;
    explains(&uri, &error)
}

fn explains(uri: &str, error: &Error) -> Check {
    ensure!(!error.message.is_empty(), "{uri:?}: the error has no text");
    ensure!(!error.message.contains('\0'), "{uri:?}: the text has NUL bytes");
    Ok(())
}

async fn bad(subject: &Subject) -> Check {
    let scheme = &subject.profile().scheme;
    // So that the case has a good one too: a transport that refuses everything keeps no contract.
    let good = subject.listen()?;
    let long = format!("{scheme}://{}", "a".repeat(1 << 20));
    let addresses = [
        String::new(),
        "nonsense".to_owned(),
        "://".to_owned(),
        scheme.clone(),
        format!("{scheme}:"),
        format!("{scheme}://"),
        format!("{scheme}://?"),
        format!("{scheme}://\0"),
        format!("{scheme}://a\nb"),
        format!("not-{scheme}://{}", good.local_address()),
        long,
    ];
    for uri in &addresses {
        let shown: String = uri.chars().take(60).collect();
        let refused = match subject.listen_at(uri) {
            Ok(_) => return Err(Failure(format!("listening on {shown:?} succeeded"))),
            Err(error) => error,
        };
        for error in [refused, fails(subject.connect_to(uri)).await?] {
            explains(&shown, &error)?;
            let clear = matches!(error.code, ErrorCode::Config | ErrorCode::Invalid | ErrorCode::Address);
            ensure!(clear, "{shown:?}: the code is {:?}: {error}", error.code);
        }
    }
    subject.connect(&good).await.map(drop)
}

async fn unknown_option(subject: &Subject) -> Check {
    let uri = subject.fresh_uri();
    let joint = if uri.contains('?') { '&' } else { '?' };
    let with_option = format!("{uri}{joint}no_such_option=1");
    let good = subject.listen_at(&uri)?;
    match subject.listen_at(&with_option) {
        Ok(_) => Err(Failure(format!("listening on {with_option:?} succeeded"))),
        Err(error) => {
            ensure!(error.message.contains("no_such_option"), "the text does not name the option: {error}");
            subject.connect(&good).await.map(drop)
        }
    }
}

fn attribute(end: &End, name: &str) -> Check<String> {
    let attributes = end.link.attributes();
    match attributes.iter().find(|(found, _)| found == name) {
        Some((_, value)) if !value.is_empty() => Ok(value.clone()),
        _ => Err(Failure(format!("the attribute {name:?} is missing; there are {attributes:?}"))),
    }
}

async fn attributes(subject: &Subject) -> Check {
    let mut listener = subject.listen()?;
    let uri = subject.uri_of(listener.local_address());
    let (link, accepted) = tokio::try_join!(
        async { ready(subject.connect_to(&uri)?).await },
        super::subject::accept(&mut listener)
    )?;
    for (side, end) in [("accepted", &accepted), ("connected", &link)] {
        for name in ["local", "peer"] {
            attribute(end, name).map_err(|failure| Failure(format!("{side}: {failure}")))?;
        }
        let scheme = attribute(end, "scheme")?;
        let expected = &subject.profile().scheme;
        ensure!(scheme == *expected, "{side}: the scheme is {scheme:?}, not {expected:?}");
    }
    Ok(())
}
