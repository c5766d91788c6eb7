//! Every finding by its id, with what it means and what is to be done. The ids are stable; they,
//! and nothing else, stand in docs/doctor.md. Where files are read there is no topic and there are no
//! dead letters: what would speak of them has a text for files as well, in brackets.

/// What was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Input {
    Topic,
    Files,
}

/// Defines [`Id`] and what belongs to each.
macro_rules! ids {
    ($($name:ident $id:literal $means:literal $remedy:literal
        $([$of_files:literal $for_files:literal])?)+) => {
        /// Which finding.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Id {
            $($name),+
        }

        impl Id {
            pub const ALL: &[Id] = &[$(Id::$name),+];

            pub fn as_str(self) -> &'static str {
                match self { $(Id::$name => $id),+ }
            }

            /// What it means for the rules; empty where all is well.
            pub fn means(self, input: Input) -> &'static str {
                match (self, input) {
                    $($((Id::$name, Input::Files) => $of_files,)?
                    (Id::$name, _) => $means,)+
                }
            }

            /// What to do; empty where there is nothing to be done.
            pub fn remedy(self, input: Input) -> &'static str {
                match (self, input) {
                    $($((Id::$name, Input::Files) => $for_files,)?
                    (Id::$name, _) => $remedy,)+
                }
            }
        }
    };
}

ids! {
    NoRecords "no-records"
        "Nothing can be said of the input, and no rule sees anything."
        "Look whether the pipeline writes to this topic, and read more with `--sample`, or an earlier time with `--from`."
        ["Nothing can be said of the input, and no rule sees anything."
        "Look whether these are the files of the audit log, and whether anything writes to them."]
    NoEvents "no-events"
        "What is there are no audit events, so no rule sees anything."
        "Name the topic with the audit log in `source.topics`; docs of the pipeline say which of its outputs holds it."
        ["What is there are no audit events, so no rule sees anything."
        "Name the files with the audit log; docs of the pipeline say which of its outputs holds it."]
    UnreadableRecords "unreadable-records"
        "What is in them is seen by no rule; `run` sends them to the dead letters."
        "Read one of them at the place that is named, and mend what writes it; `kubetell scan --unreadable FILE` keeps those of a file."
        ["What is in them is seen by no rule."
        "Look at the place that is named, and mend what writes it; `kubetell scan --unreadable FILE` keeps all of them."]
    CutRecords "cut-records"
        "Somebody on the way cuts long records, so their JSON has no end. What is behind the cut is seen by no rule, and long requests are what an intruder may choose."
        "Raise the limit of a line or a message in the pipeline (Fluent Bit: `Buffer_Max_Size`, Docker: 16 KiB a line, CloudWatch: 256 KiB)."
    LostRecords "lost-records"
        "They are missing from the figures here. A service that is as slow loses them as well."
        "Raise the retention of the topic, or look why it is so short."
    OtherRecords "other-records"
        "They are passed over: control messages, other logs. They cost reading and nothing else."
        "Where most are of other kinds, let the pipeline write the audit log to a topic of its own."
        ["They are passed over: control messages, other logs. They cost reading and nothing else."
        "Where most are of other kinds, let the pipeline keep the audit log apart."]
    EmptyRecords "empty-records"
        "Records without a value are passed over."
        "Look why the pipeline writes them; the topic should not be compacted."
    Readable "readable"
        ""
        ""
    NoExecs "no-execs"
        "Rules about commands have nothing to look at: either nobody ran any, or the audit policy or the pipeline drops them."
        "Run `kubectl exec` once and this command again with `--last 5m`. If it is still missing, give `pods/exec`, `pods/attach`, `pods/portforward` and `nodes/proxy` the level `Metadata` in the audit policy, before any rule that drops them, and let no filter of the pipeline drop them."
        ["Rules about commands have nothing to look at: either nobody ran any, or the audit policy or the pipeline drops them."
        "Run `kubectl exec` once and this command again on the log of that time. If it is still missing, give `pods/exec`, `pods/attach`, `pods/portforward` and `nodes/proxy` the level `Metadata` in the audit policy, before any rule that drops them, and let no filter of the pipeline drop them."]
    ExecsWithoutCommand "execs-without-command"
        "An exec whose command is not shown can't be judged: no path in it raises anything."
        "Keep `requestURI` whole through the pipeline: it holds the command. On GKE the label `command.gke.io/command` stands for it."
    LateExecs "late-execs"
        "Execs are told only when they have ended, so an alert comes after the session."
        "Let the audit policy keep the stage `ResponseStarted` (`omitStages` without it), and the pipeline too."
    Execs "execs"
        ""
        ""
    CutUris "cut-uris"
        "What is behind the cut of a request URI is seen by no rule: the end of a command, too."
        "Look for a limit on the length of fields in the pipeline, and take it away for `requestURI`."
    NoSecretReads "no-secret-reads"
        "Rules about reads of Secrets have nothing to look at, and learn nothing. In a cluster that is in use Secrets are read all the time."
        "Give `secrets` the level `Metadata` in the audit policy, for the verbs `get` and `list` too, before any rule that drops them."
    IncompleteSecretReads "incomplete-secret-reads"
        "A read without a user, an address or a user agent makes no term, so it never counts as new."
        "Keep `user`, `sourceIPs` and `userAgent` through the pipeline."
    SecretReads "secret-reads"
        ""
        ""
    NoRequests "no-requests"
        "The rule counts requests that the sample does not hold."
        "Look whether the audit policy logs this resource with these verbs, at the level `Metadata` at least."
    SecretBodies "secret-bodies"
        "The values of Secrets, or tokens, stand in the topic. No rule needs them, kubetell never writes them anywhere, and whoever may read the topic may read them."
        "Give `secrets`, `serviceaccounts/token` and `tokenreviews` the level `Metadata` in the audit policy, restrict who may read the topic, and renew what was written."
        ["The values of Secrets, or tokens, stand in the files. No rule needs them, kubetell never writes them anywhere, and whoever may read the files may read them."
        "Give `secrets`, `serviceaccounts/token` and `tokenreviews` the level `Metadata` in the audit policy, restrict who may read the files, and renew what was written."]
    UnusedBodies "unused-bodies"
        "Bodies of requests and responses are a large part of what is written, and no rule in force looks into them."
        "Let the audit policy log at the level `Metadata` what no other reader of the topic needs."
        ["Bodies of requests and responses are a large part of what is written, and no rule in force looks into them."
        "Let the audit policy log at the level `Metadata` what no other reader of the log needs."]
    NoBodies "no-bodies"
        "Rules that ask for fields of a body never match."
        "Give what they ask about the level `Request` or `RequestResponse` in the audit policy, but not Secrets and tokens."
    TruncatedEvents "truncated-events"
        "The API server took the bodies from events that were too large. Only rules about bodies lose something; an event that is still too large is not sent at all."
        "Raise `--audit-webhook-truncate-max-event-size`, or log at the level `Metadata`."
    MissingUserAgents "missing-user-agents"
        "A request without a user agent makes no term, and queries about it don't match."
        "Keep `userAgent` through the pipeline. Single clients send none; nothing is to be done about these."
    MissingSources "missing-source-ips"
        "A request without a source address makes no term, and queries about it don't match."
        "Keep `sourceIPs` through the pipeline, as a list."
    MissingUsers "missing-users"
        "A request without a user can't be told from those of others: it makes no term, and alerts name nobody."
        "Keep `user` through the pipeline."
    MissingIds "missing-audit-ids"
        "Nothing tells which events are stages of one request: each becomes an alert of its own, and none learns its outcome."
        "Keep `auditID` through the pipeline."
    MissingTimes "missing-times"
        "An alert of an event without a time is dated by when it is raised, and suppression withholds none of them."
        "Keep `requestReceivedTimestamp` and `stageTimestamp` through the pipeline."
    Fields "fields"
        ""
        ""
    ForwardedSources "forwarded-sources"
        "All but the last address come from the header `X-Forwarded-For`, which a client may write. Each address counts as a source."
        "Let the proxy in front of the API server replace this header, not add to it."
    SharedSource "shared-source"
        "The address is most likely that of a proxy or a load balancer, so the address of a request says nothing: a stolen credential that is used elsewhere looks as ever."
        "Let the load balancer keep the client's address (no source NAT), or forward it in `X-Forwarded-For`."
    NoSourceAddress "no-source-address"
        "An event whose source is no address makes no term."
        "Look what writes `sourceIPs`; it should hold addresses without ports."
    PrivateSources "private-sources"
        "People come from private networks alone. That is right where they work in one; else a translation of addresses hides where a request comes from."
        "Find out whether these are the clients' own addresses."
    ClockAhead "clock-ahead"
        "The clock of an API server is ahead, or that of whoever appends. Alerts are dated in the future, where searches of the last minutes miss them; delays are understated."
        "Synchronise the clocks of control plane, pipeline and brokers (NTP)."
    RecordsAhead "records-ahead"
        "Whoever writes the records dates them in the future, by which retention keeps them longer and reading by time finds them too late."
        "Synchronise the clocks of the pipeline, or set `message.timestamp.type=LogAppendTime` for the topic."
    LateArrival "late-arrival"
        "An alert can't come before its event is in the topic. New terms count by arrival."
        "Look for batches and queues on the way: flush intervals, the webhook backend's batch settings, the export interval of the cloud."
    StaleTopic "stale-topic"
        "Nothing has come for a while, so nothing is detected now; the figures are those of an earlier time."
        "Look whether the pipeline still runs."
    Clocks "clocks"
        ""
        ""
    UnnamedCluster "unnamed-cluster"
        "What does not name its cluster counts as of the one that `cluster` names: its alerts name the wrong one, and new terms of several clusters are mixed."
        "Let the pipeline write the header or the field that `source.cluster_from` names into every record, or correct the setting."
    DuplicateEvents "duplicate-events"
        "Events come more than once. Alerts of copies have the same id, so nothing is raised twice where the SIEM takes them by id; reading costs more."
        "Look whether two shippers read the same log, or whether each API server's log comes twice."
    OnlyReceived "only-request-received"
        "Every event is of the stage `RequestReceived`: no alert ever says whether the request succeeded, and rules about outcomes never match."
        "Let the audit policy and the pipeline keep `ResponseStarted` and `ResponseComplete`; `RequestReceived` is the stage to leave out."
    OldApiVersion "old-api-version"
        "Events of an API version before `v1` come from clusters older than 1.24. They are read all the same."
        "Upgrade the cluster, or set `--audit-log-version=audit.k8s.io/v1`."
    LargeRecords "large-records"
        "Records near a broker's usual limit of 1 MiB: the next larger one may be refused on the way, and its events with it."
        "Write one event a record, or smaller batches; raise `max.message.bytes` of the topic and the limits of the producers; log large bodies at the level `Metadata`."
        ["Records near a broker's usual limit of 1 MiB: in Kafka, the next larger one may be refused on the way, and its events with it."
        "Write one event a record, or smaller batches; raise the limits of what ships the log; log large bodies at the level `Metadata`."]
    Load "load"
        ""
        ""
    ShortSample "short-sample"
        "Neither the load nor how it is spread over the partitions can be judged. Everything else here holds of these records."
        "Run this command again when more has come, or read more with `--sample`."
        ["The load can't be judged. Everything else here holds of these records."
        "Run this command again on more of the log."]
    SinglePartition "single-partition"
        "Only one instance can read a topic of one partition; a second one stands by."
        "Add partitions if one instance does not keep up or is not to be alone; 6 to 12 are plenty for most clusters."
    MorePartitions "more-partitions"
        "A partition is read by one instance at a time and copied as a whole: the more it carries, the longer one takes to catch up after an outage."
        "Add partitions, and instances if one does not keep up."
    UnevenPartitions "uneven-partitions"
        "Most of the load lies on one partition, so one instance has most of the work however many there are."
        "Let the producer spread events, with no key or with the audit ID as the key."
}
