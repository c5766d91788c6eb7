//! From where requests come, as far as the source addresses tell. Pure.
//!
//! People are users whose names do not begin with `system:`. Addresses and people are told apart up
//! to a bound.

use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, Ipv6Addr};

use super::tally::{hash, user};
use crate::audit::event::Event;

/// Most addresses, and most people of one address, that are told apart.
const ADDRESSES_MAX: usize = 2_000;
const PEOPLE_MAX: usize = 64;
/// Longest text that is kept of an address.
const ADDRESS_MAX_CHARS: usize = 64;

/// The clients of a sample.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Clients {
    /// Events with an address.
    pub with_source: u64,
    /// With several: a proxy forwarded them.
    pub forwarded: u64,
    /// With an entry that is no address.
    pub no_address: u64,
    /// Of people, with one address alone; and such whose address is of a private network.
    pub of_people: u64,
    pub of_people_private: u64,
    people: HashSet<u64>,
    addresses: HashMap<String, Address>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Address {
    events: u64,
    people: HashSet<u64>,
}

/// An address that people share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shared {
    pub address: String,
    pub events: u64,
    pub people: usize,
}

impl Clients {
    pub fn add(&mut self, event: &Event<'_>) {
        let sources: Vec<&str> = event
            .source_ips
            .iter()
            .flatten()
            .map(|source| source.as_str())
            .filter(|source| !source.is_empty())
            .take(2)
            .collect();
        let Some(first) = sources.first() else { return };
        self.with_source += 1;
        if sources.len() > 1 {
            self.forwarded += 1;
            return;
        }
        let Ok(address) = first.parse::<IpAddr>() else {
            self.no_address += 1;
            return;
        };
        let user = user(event);
        if user.is_empty() || user.starts_with("system:") {
            return;
        }
        self.of_people += 1;
        self.of_people_private += u64::from(is_private(address));
        let person = hash(&user);
        if self.people.len() < PEOPLE_MAX * ADDRESSES_MAX {
            self.people.insert(person);
        }
        let name: String = address.to_string().chars().take(ADDRESS_MAX_CHARS).collect();
        if self.addresses.len() >= ADDRESSES_MAX && !self.addresses.contains_key(&name) {
            return;
        }
        let known = self.addresses.entry(name).or_default();
        known.events += 1;
        if known.people.len() < PEOPLE_MAX {
            known.people.insert(person);
        }
    }

    /// People that were seen.
    pub fn people(&self) -> usize {
        self.people.len()
    }

    /// The address from which most events of people come.
    pub fn busiest(&self) -> Option<Shared> {
        let (address, found) =
            self.addresses.iter().max_by_key(|(name, found)| (found.events, *name))?;
        let (address, people) = (address.clone(), found.people.len());
        Some(Shared { address, events: found.events, people })
    }
}

/// Whether an address says nothing of where in the world it is: private networks, loopback,
/// link-local, and those of carriers.
fn is_private(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => {
            let [first, second, ..] = address.octets();
            address.is_private()
                || address.is_loopback()
                || address.is_link_local()
                || (first == 100 && second & 0xc0 == 64)
        }
        IpAddr::V6(address) => match address.to_ipv4_mapped() {
            Some(address) => is_private(IpAddr::V4(address)),
            None => {
                address == Ipv6Addr::LOCALHOST
                    || address.is_unique_local()
                    || address.is_unicast_link_local()
            }
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::event::User;

    fn add(clients: &mut Clients, user: &str, sources: &[&str]) {
        let sources = sources.iter().map(|source| (*source).to_owned().into()).collect();
        clients.add(&Event {
            user: Some(User { username: Some(user.to_owned().into()), ..User::default() }),
            source_ips: Some(sources),
            ..Event::default()
        });
    }

    #[test]
    fn private_networks_are_told_from_the_world() {
        for private in
            ["10.1.2.3", "172.31.0.1", "192.168.0.1", "127.0.0.1", "169.254.1.1", "100.64.0.1"]
        {
            assert!(is_private(private.parse().unwrap()), "{private}");
        }
        for private in ["::1", "fd00::1", "fe80::1", "::ffff:10.0.0.1"] {
            assert!(is_private(private.parse().unwrap()), "{private}");
        }
        for public in ["203.0.113.9", "172.32.0.1", "100.128.0.1", "2001:db8::1", "8.8.8.8"] {
            assert!(!is_private(public.parse().unwrap()), "{public}");
        }
    }

    #[test]
    fn people_are_counted_by_their_address_and_others_are_not() {
        let mut clients = Clients::default();
        add(&mut clients, "ada", &["203.0.113.9"]);
        add(&mut clients, "bob", &["203.0.113.9"]);
        add(&mut clients, "bob", &["10.0.0.1"]);
        add(&mut clients, "system:node:n1", &["10.0.0.2"]);
        add(&mut clients, "eve", &["198.51.100.1", "10.0.0.1"]);
        add(&mut clients, "eve", &["@"]);
        add(&mut clients, "eve", &[]);
        assert_eq!((clients.with_source, clients.forwarded, clients.no_address), (6, 1, 1));
        assert_eq!((clients.of_people, clients.of_people_private, clients.people()), (3, 1, 2));
        let busiest = Shared { address: "203.0.113.9".to_owned(), events: 2, people: 2 };
        assert_eq!(clients.busiest(), Some(busiest));
    }

    #[test]
    fn addresses_and_people_are_bounded() {
        let mut clients = Clients::default();
        for number in 0..u32::try_from(ADDRESSES_MAX).unwrap() + 500 {
            let address = std::net::Ipv4Addr::from(number).to_string();
            add(&mut clients, &format!("user-{number}"), &[&address]);
            add(&mut clients, &format!("user-{number}"), &["0.0.0.7"]);
        }
        assert_eq!(clients.addresses.len(), ADDRESSES_MAX);
        assert_eq!(clients.busiest().unwrap().people, PEOPLE_MAX);
    }
}
