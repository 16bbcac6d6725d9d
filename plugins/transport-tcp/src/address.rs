// SPDX-License-Identifier: Apache-2.0
//! From the address in a URI to socket addresses.
//!
//! Connecting looks names up as everybody does, on a thread that may block. Listening must not block, so it takes
//! numbers, `localhost`, and the names that this machine's own hosts file gives to its addresses.

use sabir_sdk::{Error, ErrorCode, Result, uri};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, ToSocketAddrs};

/// The file in which a machine finds its own names without asking anybody.
const HOSTS_FILE: &str = "/etc/hosts";

/// What stands in the URI: an address, or a name to be looked up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    Address(SocketAddr),
    Name(String, u16),
}

impl Target {
    pub(crate) fn parse(address: &str) -> Result<Self> {
        let (host, port) = uri::host_and_port(address)?;
        if let Ok(ip) = host.parse::<IpAddr>() {
            return Ok(Self::Address(SocketAddr::new(ip, port)));
        }
        // A zone, as in fe80::1%eth0, needs the system's list of interfaces: the look-up knows it.
        let name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_' | '%' | ':');
        if !host.chars().all(name) {
            return Err(Error::new(
                ErrorCode::Config,
                format!("{host:?} is neither an address nor a host name"),
            ));
        }
        Ok(Self::Name(host.to_owned(), port))
    }

    /// The one address to listen on.
    pub(crate) fn for_listening(&self) -> Result<SocketAddr> {
        let (name, port) = match self {
            Self::Address(address) => return Ok(*address),
            Self::Name(name, port) => (name, *port),
        };
        if name.eq_ignore_ascii_case("localhost") {
            return Ok(SocketAddr::new(Ipv4Addr::LOCALHOST.into(), port));
        }
        let hosts = std::fs::read_to_string(HOSTS_FILE).unwrap_or_default();
        match in_hosts_file(&hosts, name) {
            Some(ip) => Ok(SocketAddr::new(ip, port)),
            None => Err(Error::new(
                ErrorCode::Address,
                format!(
                    "cannot listen on {name:?}: {HOSTS_FILE} gives it no address, and other name services are not \
                     asked; write an address of this machine, or 0.0.0.0 or [::] for all of them"
                ),
            )),
        }
    }

    /// Every address to try, in the system's order. Blocks.
    pub(crate) fn look_up(&self) -> Result<Vec<SocketAddr>> {
        let (name, port) = match self {
            Self::Address(address) => return Ok(vec![*address]),
            Self::Name(name, port) => (name, *port),
        };
        let unknown = |why: String| {
            Error::new(ErrorCode::NotFound, format!("cannot look up {name:?}: {why}")).retryable()
        };
        let found: Vec<SocketAddr> =
            (name.as_str(), port).to_socket_addrs().map_err(|error| unknown(error.to_string()))?.collect();
        if found.is_empty() { Err(unknown("it has no address".to_owned())) } else { Ok(found) }
    }
}

/// The first address that a hosts file gives to `name`, IPv4 before IPv6.
fn in_hosts_file(hosts: &str, name: &str) -> Option<IpAddr> {
    let addresses = hosts.lines().filter_map(|line| {
        let mut words = line.split('#').next()?.split_whitespace();
        let ip = words.next()?.parse::<IpAddr>().ok()?;
        words.any(|word| word.eq_ignore_ascii_case(name)).then_some(ip)
    });
    addresses.min_by_key(|ip| ip.is_ipv6())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_addresses_and_the_rest_are_names() {
        let address = |text: &str| Target::Address(text.parse().unwrap());
        assert_eq!(Target::parse("127.0.0.1:5").unwrap(), address("127.0.0.1:5"));
        assert_eq!(Target::parse("[::]:5").unwrap(), address("[::]:5"));
        assert_eq!(Target::parse("broker_1.example:5").unwrap(), Target::Name("broker_1.example".into(), 5));
        for bad in ["a/b:5", "user@host:5", "a,b:5", "bücher:5", "127.0.0.1", "*:5"] {
            assert_eq!(Target::parse(bad).unwrap_err().code, ErrorCode::Config, "{bad}");
        }
    }

    #[test]
    fn listening_takes_localhost_and_refuses_names_that_this_machine_does_not_call_its_own() {
        let listen = |text: &str| Target::parse(text).unwrap().for_listening();
        assert_eq!(listen("LOCALHOST:7").unwrap(), "127.0.0.1:7".parse().unwrap());
        assert_eq!(listen("[::1]:7").unwrap(), "[::1]:7".parse().unwrap());
        let error = listen("no-such-name.invalid:7").unwrap_err();
        assert_eq!(error.code, ErrorCode::Address);
        assert!(error.message.contains("no-such-name.invalid"), "{}", error.message);
    }

    #[test]
    fn the_hosts_file_is_read_as_the_system_reads_it() {
        let hosts = "# comment\n::1 box ip6-box\n\n10.0.0.7\tbox.example box # box2\nnonsense box3\n";
        assert_eq!(in_hosts_file(hosts, "BOX"), Some("10.0.0.7".parse().unwrap()));
        assert_eq!(in_hosts_file(hosts, "ip6-box"), Some("::1".parse().unwrap()));
        assert_eq!(in_hosts_file(hosts, "box2"), None);
        assert_eq!(in_hosts_file(hosts, "box3"), None);
    }

    #[test]
    fn a_name_without_address_is_an_error_that_names_it() {
        let error = Target::Name("no-such-name.invalid".into(), 7).look_up().unwrap_err();
        assert_eq!((error.code, error.retryable), (ErrorCode::NotFound, true));
        assert!(error.message.contains("no-such-name.invalid"), "{}", error.message);
    }
}
