//! What events lack, what they hold too much of, and where they come from.

use super::ids::Id;
use super::{Findings, Severity, is_share, of, percent};
use crate::alert::visible::visible;
use crate::app::doctor::needs::{SOURCES, USER_AGENTS, USERS};

/// From so many in 100 on a missing field is said: single clients send none.
const MISSING_PERCENT: u64 = 1;
/// Of all bytes bodies have to be so many in 100 to be worth a word.
const BODIES_PERCENT: u64 = 20;
/// So many people have to be seen before their addresses are judged.
const PEOPLE_MIN: usize = 5;
/// From so many in 100 on an address is shared by all.
const SHARED_PERCENT: u64 = 90;

impl Findings<'_> {
    pub(super) fn fields(&mut self) {
        let (missing, needs) = (&self.tally.missing, self.needs);
        let all = needs.all();
        for (id, count, rules, what) in [
            (Id::MissingUserAgents, missing.agents, needs.of_fields(USER_AGENTS), "user agent"),
            (Id::MissingSources, missing.sources, needs.of_fields(SOURCES), "source address"),
            (Id::MissingUsers, missing.users, needs.of_fields(USERS), "user"),
            (Id::MissingIds, missing.ids, all.clone(), "audit ID"),
            (Id::MissingTimes, missing.times, all, "time"),
        ] {
            let events = self.tally.events;
            if !is_share(count, events, MISSING_PERCENT) {
                continue;
            }
            let is_needed = !matches!(id, Id::MissingIds | Id::MissingTimes);
            let blind = count == events && is_needed && !rules.is_empty();
            let severity = if blind { Severity::Error } else { Severity::Warning };
            let text = of(count, events, &format!("events have no {what}"));
            self.add(id, severity, rules, text);
        }
        let ids = [
            Id::MissingUserAgents,
            Id::MissingSources,
            Id::MissingUsers,
            Id::MissingIds,
            Id::MissingTimes,
        ];
        if !self.has(&ids) {
            let events = self.tally.events;
            let text = format!(
                "users, source addresses, user agents, audit IDs and times are there in {events} events, but for less than {MISSING_PERCENT} in 100"
            );
            self.add(Id::Fields, Severity::Ok, Vec::new(), text);
        }
        self.bodies();
    }

    fn bodies(&mut self) {
        let (tally, rules) = (self.tally, self.needs.of_bodies());
        let bodies = &tally.bodies;
        if bodies.secret > 0 {
            let text = of(
                bodies.secret,
                tally.events,
                "events hold the body of a Secret or a token, or are at a level that holds it",
            );
            self.add(Id::SecretBodies, Severity::Warning, Vec::new(), text);
        }
        if rules.is_empty() && is_share(bodies.bytes, tally.bytes, BODIES_PERCENT) {
            let text = format!(
                "bodies are {} of the bytes, in {}",
                percent(bodies.bytes.min(tally.bytes), tally.bytes),
                of(bodies.events, tally.events, "events")
            );
            self.add(Id::UnusedBodies, Severity::Note, Vec::new(), text);
        }
        if !rules.is_empty() && bodies.events == 0 {
            let text = format!("none of {} events has a body", tally.events);
            self.add(Id::NoBodies, Severity::Error, rules.clone(), text);
        }
        if tally.truncated > 0 {
            let severity = if rules.is_empty() { Severity::Note } else { Severity::Warning };
            let text = of(tally.truncated, tally.events, "events were truncated by the API server");
            self.add(Id::TruncatedEvents, severity, rules, text);
        }
    }

    pub(super) fn sources(&mut self) {
        let (clients, rules) = (&self.tally.clients, self.needs.of_terms_over(SOURCES));
        if clients.forwarded > 0 {
            let text = of(clients.forwarded, clients.with_source, "events have several addresses");
            self.add(Id::ForwardedSources, Severity::Note, rules.clone(), text);
        }
        if clients.no_address > 0 {
            let text = of(
                clients.no_address,
                clients.with_source,
                "events have a source that is no address",
            );
            self.add(Id::NoSourceAddress, Severity::Warning, rules.clone(), text);
        }
        let people = clients.people();
        if people < PEOPLE_MIN {
            return;
        }
        if let Some(shared) = clients.busiest()
            && shared.people >= PEOPLE_MIN
            && is_share(shared.events, clients.of_people, SHARED_PERCENT)
        {
            let text = format!(
                "{} come from the address {}",
                of(shared.events, clients.of_people, &format!("events of {people} people")),
                visible(&shared.address, 100)
            );
            self.add(Id::SharedSource, Severity::Warning, rules.clone(), text);
        }
        if clients.of_people_private == clients.of_people {
            let text = format!(
                "all {} events of {people} people come from private networks",
                clients.of_people
            );
            self.add(Id::PrivateSources, Severity::Note, rules, text);
        }
    }
}
