//! What is there, and what of it can be read.

use super::ids::Id;
use super::{Findings, Severity, is_share, of};
use crate::app::doctor::tally::request;
use crate::ingest::envelope::ReadError;
use crate::plural::several;

impl Findings<'_> {
    /// Records and what of them are events.
    pub(super) fn content(&mut self) {
        let (tally, all) = (self.tally, self.needs.all());
        if tally.lost > 0 || tally.damaged > 0 {
            let text = format!(
                "{} deleted by retention while the sample was read, {} damaged",
                several(tally.lost, "record"),
                tally.damaged
            );
            self.add(Id::LostRecords, Severity::Warning, all.clone(), text);
        }
        self.unreadable();
        if tally.records == 0 && tally.unreadable.is_empty() {
            self.add(Id::NoRecords, Severity::Error, all, "no record was read".to_owned());
            return;
        }
        if tally.events == 0 && tally.records > 0 {
            let text = format!("none of {} holds an audit event", several(tally.records, "record"));
            self.add(Id::NoEvents, Severity::Error, all, text);
        }
        let skipped: u64 = tally.skipped.values().sum();
        if skipped > 0 {
            let reasons: Vec<String> =
                tally.skipped.iter().map(|(reason, count)| format!("{count} `{reason}`")).collect();
            let text = format!(
                "{} of other kinds beside {}: {}",
                several(skipped, "item"),
                several(tally.events, "event"),
                reasons.join(", ")
            );
            self.add(Id::OtherRecords, Severity::Note, Vec::new(), text);
        }
        if tally.tombstones > 0 {
            let text = of(tally.tombstones, tally.records, "records have no value");
            self.add(Id::EmptyRecords, Severity::Note, Vec::new(), text);
        }
        if tally.without_cluster > 0 {
            let text =
                of(tally.without_cluster, tally.records, "records do not name their cluster");
            self.add(Id::UnnamedCluster, Severity::Warning, self.needs.all(), text);
        }
        if tally.events > 0 && !self.has(&[Id::UnreadableRecords, Id::CutRecords]) {
            let text = format!(
                "all of {} could be read, {} in them",
                several(tally.records, "record"),
                several(tally.events, "event")
            );
            self.add(Id::Readable, Severity::Ok, Vec::new(), text);
        }
    }

    fn unreadable(&mut self) {
        let tally = self.tally;
        let cut = ReadError::Truncated.label();
        let (mut others, mut places) = (0, Vec::new());
        for (class, unreadable) in &tally.unreadable {
            let first = format!("the first at {}: {}", unreadable.place, unreadable.reason);
            if *class == cut {
                let records = tally.records.max(unreadable.count);
                let text = of(unreadable.count, records, "records end in the middle");
                let text = format!("{text}, {first}");
                self.add(Id::CutRecords, Severity::Warning, self.needs.all(), text);
                continue;
            }
            others += unreadable.count;
            places.push(format!("{} `{class}`, {first}", unreadable.count));
        }
        if others > 0 {
            let records = tally.records.max(others);
            let grave = is_share(others, records, 50);
            let severity = if grave { Severity::Error } else { Severity::Warning };
            let text = of(others, records, "records could not be read");
            let text = format!("{text}: {}", places.join("; "));
            self.add(Id::UnreadableRecords, severity, self.needs.all(), text);
        }
    }

    /// Requests that the rules are about.
    pub(super) fn requests(&mut self) {
        self.execs();
        self.secret_reads();
        for rule in &self.needs.rules {
            let Some((resource, verbs)) = &rule.requests else { continue };
            let seen = |verb: &String| self.tally.requests.get(&request(verb, resource)) > 0;
            // What is beyond the bound of the counter may be one of them.
            if resource == "secrets" || verbs.iter().any(seen) || self.tally.requests.other() > 0 {
                continue;
            }
            let text = format!(
                "no `{}` of `{resource}` in {}",
                verbs.join("` or `"),
                several(self.tally.events, "event")
            );
            self.add(Id::NoRequests, Severity::Warning, vec![rule.id.clone()], text);
        }
    }

    fn execs(&mut self) {
        let (tally, rules) = (self.tally, self.needs.of_execs());
        let execs = &tally.execs;
        let kinds: Vec<String> =
            execs.kinds.sorted().iter().map(|(kind, count)| format!("{count} `{kind}`")).collect();
        let kinds = if kinds.is_empty() { "none".to_owned() } else { kinds.join(", ") };
        let commands = execs.all + execs.by_node;
        if commands == 0 {
            let text = format!(
                "no exec in {}; attaches, forwards, proxies: {kinds}",
                several(tally.events, "event")
            );
            self.add(Id::NoExecs, Severity::Warning, rules.clone(), text);
        }
        let unseen = execs.without_uri + execs.without_command;
        if unseen > 0 || execs.proxies_without_uri > 0 {
            let blind = commands <= unseen;
            let severity = if blind { Severity::Error } else { Severity::Warning };
            let mut text = format!(
                "{}: {} without a request URI, {} without a command in it",
                of(unseen, execs.all, "execs show no command"),
                execs.without_uri,
                execs.without_command
            );
            if execs.proxies_without_uri > 0 {
                let proxies = several(execs.proxies_without_uri, "request");
                text = format!("{text}; {proxies} through a node's proxy without a request URI");
            }
            self.add(Id::ExecsWithoutCommand, severity, rules.clone(), text);
        }
        let complete = execs.stages.get("ResponseComplete") + execs.stages.get("Panic");
        if execs.all > 0 && complete == execs.all {
            let text = of(complete, execs.all, "execs are of the stage `ResponseComplete`");
            self.add(Id::LateExecs, Severity::Note, rules.clone(), text);
        }
        if tally.cut_uris > 0 {
            let text =
                of(tally.cut_uris, tally.events, "events have a request URI that looks cut off");
            self.add(Id::CutUris, Severity::Warning, self.needs.all(), text);
        }
        if commands > 0 && !self.has(&[Id::ExecsWithoutCommand]) {
            let events = several(commands, "event");
            let text = format!("{events} of execs, each with its command; seen: {kinds}");
            self.add(Id::Execs, Severity::Ok, Vec::new(), text);
        }
    }

    fn secret_reads(&mut self) {
        let (tally, rules) = (self.tally, self.needs.of_resource("secrets"));
        let secrets = &tally.secrets;
        if secrets.all == 0 {
            let text = format!(
                "no `get` or `list` of `secrets` in {}; watches of them: {}",
                several(tally.events, "event"),
                secrets.watches
            );
            self.add(Id::NoSecretReads, Severity::Warning, rules, text);
        } else if is_share(secrets.incomplete, secrets.all, 1) {
            let blind = secrets.incomplete == secrets.all;
            let severity = if blind { Severity::Error } else { Severity::Warning };
            let text = format!(
                "{}: {} without a user, {} without a source address, {} without a user agent",
                of(secrets.incomplete, secrets.all, "reads of Secrets are incomplete"),
                secrets.without_user,
                secrets.without_source,
                secrets.without_agent
            );
            self.add(Id::IncompleteSecretReads, severity, rules, text);
        } else {
            let text = format!(
                "{} of reads of Secrets, with user, source address and user agent",
                several(secrets.all, "event")
            );
            self.add(Id::SecretReads, Severity::Ok, Vec::new(), text);
        }
    }
}
