//! Failure words: what an error means for the stream, and what the operator can do about it.
//!
//! Owns the three classes and the one table that puts librdkafka's codes into them. Every error of
//! the run path answers `class()`. It must not act: whoever meets an error retries, counts or ends
//! by its class.

use rdkafka::types::RDKafkaErrorCode as Code;

/// What an error means for the stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// Passes by itself or once somebody repairs the brokers: tried again, for as long as it
    /// takes, and said. Nothing behind it is committed meanwhile.
    Retriable,
    /// One record can't be handled and never will be: it is counted with its reason and, unless it
    /// is gone anyway, goes to the dead letters. The stream goes on.
    Poison,
    /// The process ends with a non-zero code, a message and a hint. Nothing is lost: what is not
    /// committed is read again.
    Fatal,
}

impl Class {
    pub fn as_str(self) -> &'static str {
        match self {
            Class::Retriable => "retriable",
            Class::Poison => "poison",
            Class::Fatal => "fatal",
        }
    }
}

/// What a fatal error asks for: decides the exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Remedy {
    /// Starting again may help.
    Restart,
    /// Somebody has to change the configuration, a topic or a right first.
    Configure,
    /// No broker answered at start.
    Brokers,
}

/// What the client was doing: the same code may mean different things.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Doing {
    Consuming,
    Producing,
    Committing,
}

impl Doing {
    pub const ALL: [Doing; 3] = [Doing::Consuming, Doing::Producing, Doing::Committing];

    pub fn as_str(self) -> &'static str {
        match self {
            Doing::Consuming => "reading",
            Doing::Producing => "writing",
            Doing::Committing => "committing",
        }
    }
}

/// Codes with their classes while consuming, producing and committing.
struct Row {
    codes: &'static [Code],
    classes: [Class; 3],
}

const R: Class = Class::Retriable;
const P: Class = Class::Poison;
const F: Class = Class::Fatal;

/// Every code that librdkafka 2.12 passes on in one of the three, by its sources: the actions of
/// its request handlers, what its fetcher and its group enqueue, and what a delivery report holds.
/// Most of the retriable ones it retries itself, without a word.
const TABLE: &[Row] = &[
    // Connections and brokers that come and go.
    Row {
        codes: &[
            Code::BrokerTransportFailure,
            Code::AllBrokersDown,
            Code::Resolve,
            Code::SSL,
            Code::OperationTimedOut,
            Code::TimedOutQueue,
            Code::MessageTimedOut,
            Code::RequestTimedOut,
            Code::NetworkException,
            Code::BrokerDestroy,
            Code::DestroyBroker,
            Code::UnknownBroker,
            Code::BrokerNotAvailable,
            Code::ListenerNotFound,
            Code::RebootstrapRequired,
            Code::ThrottlingQuotaExceeded,
            Code::Unknown,
            Code::Fail,
        ],
        classes: [R, R, R],
    },
    // Leaders and replicas that move.
    Row {
        codes: &[
            Code::LeaderNotAvailable,
            Code::NotLeaderForPartition,
            Code::ReplicaNotAvailable,
            Code::FencedLeaderEpoch,
            Code::UnknownLeaderEpoch,
            Code::OffsetNotAvailable,
            Code::KafkaStorageError,
            Code::NotEnoughReplicas,
            Code::NotEnoughReplicasAfterAppend,
            Code::ISRInsufficient,
            Code::FetchSessionIdNotFound,
            Code::InvalidFetchSessionEpoch,
        ],
        classes: [R, R, R],
    },
    // A topic that is gone may come back: whoever deleted it makes it anew.
    Row {
        codes: &[
            Code::UnknownTopicOrPartition,
            Code::UnknownTopic,
            Code::UnknownPartition,
            Code::UnknownTopicId,
        ],
        classes: [R, R, R],
    },
    // The group: its coordinator moves, or its members do.
    Row {
        codes: &[
            Code::CoordinatorLoadInProgress,
            Code::CoordinatorNotAvailable,
            Code::NotCoordinator,
            Code::WaitingForCoordinator,
            Code::UnstableOffsetCommit,
            Code::RebalanceInProgress,
            Code::IllegalGeneration,
            Code::UnknownMemberId,
            Code::MemberIdRequired,
            Code::FencedMemberEpoch,
            Code::StaleMemberEpoch,
            Code::UnreleasedInstanceId,
            Code::AssignmentLost,
            Code::PollExceeded,
            Code::GroupMaxSizeReached,
            Code::NoOffset,
            Code::State,
            Code::InProgress,
            Code::Outdated,
        ],
        classes: [R, R, R],
    },
    // Where reading goes on after retention or a truncation is the handler's affair.
    Row {
        codes: &[
            Code::OffsetOutOfRange,
            Code::AutoOffsetReset,
            Code::LogTruncation,
            Code::PartitionEOF,
        ],
        classes: [R, R, R],
    },
    // The brokers' own view of the credentials: they may be renewed on either side.
    Row {
        codes: &[
            Code::Authentication,
            Code::SaslAuthenticationFailed,
            Code::UnsupportedSASLMechanism,
            Code::IllegalSASLState,
        ],
        classes: [R, R, R],
    },
    // A record that the broker won't have. Smaller forms of it are tried first.
    Row { codes: &[Code::MessageSizeTooLarge, Code::MessageBatchTooLarge], classes: [R, P, R] },
    Row { codes: &[Code::InvalidRecord, Code::PolicyViolation], classes: [R, P, R] },
    // It was in a batch with such a record.
    Row { codes: &[Code::InvalidDifferentRecord], classes: [R, R, R] },
    // The next attempt carries a new time; clocks are set right some day.
    Row { codes: &[Code::InvalidTimestamp], classes: [R, R, R] },
    // Damaged on the way; asked for, or sent, again.
    Row {
        codes: &[
            Code::InvalidMessage,
            Code::InvalidMessageSize,
            Code::BadCompression,
            Code::Underflow,
            Code::InvalidRequest,
        ],
        classes: [R, R, R],
    },
    // The client passes over a batch whose checksum (with `check.crcs`) or format is wrong.
    Row { codes: &[Code::BadMessage, Code::NotImplemented], classes: [P, R, R] },
    // Of idempotent producers, which ours are not.
    Row {
        codes: &[
            Code::OutOfOrderSequenceNumber,
            Code::DuplicateSequenceNumber,
            Code::UnknownProducerId,
            Code::InvalidProducerEpoch,
            Code::InvalidProducerIdMapping,
            Code::ConcurrentTransactions,
        ],
        classes: [R, R, R],
    },
    // librdkafka's queues and housekeeping.
    Row {
        codes: &[
            Code::QueueFull,
            Code::PurgeQueue,
            Code::PurgeInflight,
            Code::Retry,
            Code::WaitCache,
            Code::PreviousInProgress,
            Code::Interrupted,
            Code::Partial,
            Code::Conflict,
            Code::FileSystem,
        ],
        classes: [R, R, R],
    },
    // Rights.
    Row {
        codes: &[
            Code::TopicAuthorizationFailed,
            Code::GroupAuthorizationFailed,
            Code::ClusterAuthorizationFailed,
            Code::TransactionalIdAuthorizationFailed,
        ],
        classes: [F, F, F],
    },
    // The group refuses this member as it is configured.
    Row {
        codes: &[
            Code::InconsistentGroupProtocol,
            Code::UnsupportedAssignor,
            Code::InvalidGroupId,
            Code::InvalidSessionTimeout,
            Code::FencedInstanceId,
        ],
        classes: [F, F, F],
    },
    // The brokers, or the topic, can't do what is needed.
    Row {
        codes: &[
            Code::UnsupportedVersion,
            Code::UnsupportedFeature,
            Code::UnsupportedForMessageFormat,
            Code::UnsupportedCompressionType,
            Code::InvalidTopic,
            Code::InvalidRequiredAcks,
        ],
        classes: [F, F, F],
    },
    Row {
        codes: &[Code::OffsetMetadataTooLarge, Code::InvalidCommitOffsetSize],
        classes: [R, R, F],
    },
    // The client is broken, or out of threads.
    Row {
        codes: &[
            Code::Fatal,
            Code::Fenced,
            Code::ProducerFenced,
            Code::Inconsistent,
            Code::GaplessGuarantee,
            Code::CriticalSystemResource,
            Code::InvalidArgument,
        ],
        classes: [F, F, F],
    },
];

fn row(code: Code) -> Option<&'static Row> {
    TABLE.iter().find(|row| row.codes.contains(&code))
}

/// The class of a code. One that is not in the table is tried again: nothing is lost by it, and
/// it is said.
pub fn class_of(code: Code, doing: Doing) -> Class {
    let column = match doing {
        Doing::Consuming => 0,
        Doing::Producing => 1,
        Doing::Committing => 2,
    };
    row(code).map_or(Class::Retriable, |row| row.classes[column])
}

/// A record was refused for its size, or for that of the batch that it went in.
pub fn is_too_large(code: Code) -> bool {
    matches!(code, Code::MessageSizeTooLarge | Code::MessageBatchTooLarge)
}

/// The group moved on meanwhile: another member reads on from the last commit.
pub fn is_group_moved_on(code: Code) -> bool {
    matches!(
        code,
        Code::RebalanceInProgress
            | Code::IllegalGeneration
            | Code::UnknownMemberId
            | Code::FencedMemberEpoch
            | Code::AssignmentLost
    )
}

/// What to do about a code that is fatal.
pub fn remedy_of(code: Code, doing: Doing) -> (Remedy, &'static str) {
    let hint = match (code, doing) {
        (Code::TopicAuthorizationFailed, Doing::Producing) => {
            "grant the principal of `kafka.properties` the operation `Write` on the topics of \
             alerts, observations and dead letters"
        }
        (Code::TopicAuthorizationFailed | Code::GroupAuthorizationFailed, _) => {
            "grant the principal of `kafka.properties` the operation `Read` on the source and \
             observations topics and on both consumer groups"
        }
        (Code::ClusterAuthorizationFailed | Code::TransactionalIdAuthorizationFailed, _) => {
            "the brokers refuse the principal of `kafka.properties` something on the whole cluster, \
             which kubetell needs no right to: docs/security.md lists the rights that it needs"
        }
        (Code::InconsistentGroupProtocol | Code::UnsupportedAssignor, _) => {
            "another client is in the group with another assignment strategy: give kubetell a \
             `kafka.group_id` of its own, or end the other members"
        }
        (Code::InvalidGroupId, _) => "set `kafka.group_id` to a name that the brokers accept",
        (Code::InvalidSessionTimeout, _) => {
            "set `kafka.properties.session.timeout.ms` within the brokers' \
             `group.min.session.timeout.ms` and `group.max.session.timeout.ms`"
        }
        (Code::FencedInstanceId, _) => {
            "another member uses this `group.instance.id`: give each instance one of its own, or \
             leave it out of `kafka.properties`"
        }
        (Code::UnsupportedVersion | Code::UnsupportedFeature, _) => {
            "use brokers of Apache Kafka 2.1 or newer (and leave `api.version.request` alone)"
        }
        (Code::UnsupportedForMessageFormat, _) => {
            "raise `log.message.format.version` of the brokers and `message.format.version` of \
             the topic to 0.11 or newer: records carry headers"
        }
        (Code::UnsupportedCompressionType, _) => {
            "set `kafka.properties.compression.codec` to one that the brokers know, e.g. `lz4`"
        }
        (Code::InvalidTopic, _) => "see the topic names in the configuration",
        (Code::InvalidRequiredAcks, _) => "leave `acks` out of `kafka.properties`",
        (Code::OffsetMetadataTooLarge | Code::InvalidCommitOffsetSize, _) => {
            "raise `offset.metadata.max.bytes` of the brokers to 64 or more: the id of the \
             observations log is kept beside the offset"
        }
        _ => return (Remedy::Restart, RESTART),
    };
    (Remedy::Configure, hint)
}

/// For errors that nobody can foresee a cause of.
pub const RESTART: &str = "start it again: what was not committed is read again, and alerts keep \
                           their ids; if this comes back, see the log of the brokers and report it";

#[cfg(test)]
mod tests {
    use super::*;
    use rdkafka::types::RDKafkaRespErr;
    use std::collections::BTreeSet;

    /// Every code that this librdkafka has.
    fn all_codes() -> Vec<Code> {
        let codes: Vec<Code> = (-200..=200)
            .filter_map(|number| RDKafkaRespErr::try_from(number).ok())
            .map(Code::from)
            .filter(|code| !matches!(code, Code::Begin | Code::End | Code::EndAll | Code::NoError))
            .collect();
        assert!(codes.len() > 130, "{}", codes.len());
        codes
    }

    /// Codes that only other requests get (topics, ACLs, tokens, transactions, quotas, elections),
    /// or that the client keeps to itself.
    const ELSEWHERE: &[Code] = &[
        Code::NodeUpdate,
        Code::UnknownGroup,
        Code::ExistingSubscription,
        Code::AssignPartitions,
        Code::RevokePartitions,
        Code::UnknownProtocol,
        Code::KeySerialization,
        Code::ValueSerialization,
        Code::KeyDeserialization,
        Code::ValueDeserialization,
        Code::ReadOnly,
        Code::NoEnt,
        Code::InvalidType,
        Code::NotConfigured,
        Code::Application,
        Code::Noop,
        Code::StaleControllerEpoch,
        Code::TopicAlreadyExists,
        Code::InvalidPartitions,
        Code::InvalidReplicationFactor,
        Code::InvalidReplicaAssignment,
        Code::InvalidConfig,
        Code::NotController,
        Code::InvalidTransactionalState,
        Code::InvalidTransactionTimeout,
        Code::TransactionCoordinatorFenced,
        Code::SecurityDisabled,
        Code::OperationNotAttempted,
        Code::LogDirNotFound,
        Code::ReassignmentInProgress,
        Code::DelegationTokenAuthDisabled,
        Code::DelegationTokenNotFound,
        Code::DelegationTokenOwnerMismatch,
        Code::DelegationTokenRequestNotAllowed,
        Code::DelegationTokenAuthorizationFailed,
        Code::DelegationTokenExpired,
        Code::InvalidPrincipalType,
        Code::NonEmptyGroup,
        Code::GroupIdNotFound,
        Code::TopicDeletionDisabled,
        Code::StaleBrokerEpoch,
        Code::PreferredLeaderNotAvailable,
        Code::EligibleLeadersNotAvailable,
        Code::ElectionNotNeeded,
        Code::NoReassignmentInProgress,
        Code::GroupSubscribedToTopic,
        Code::ResourceNotFound,
        Code::DuplicateResource,
        Code::UnacceptableCredential,
        Code::InconsistentVoterSet,
        Code::InvalidUpdateVersion,
        Code::FeatureUpdateFailed,
        Code::PrincipalDeserializationFailure,
        Code::UnknownSubscriptionId,
        Code::TelemetryTooLarge,
    ];

    #[test]
    fn every_code_is_in_the_table_once_or_known_to_come_from_elsewhere() {
        let mut seen = BTreeSet::new();
        for code in TABLE.iter().flat_map(|row| row.codes).chain(ELSEWHERE) {
            assert!(seen.insert(*code as i32), "{code} stands twice");
        }
        for code in all_codes() {
            assert!(seen.contains(&(code as i32)), "nobody has decided about {code}");
        }
    }

    #[test]
    fn every_fatal_code_says_what_to_do() {
        for code in all_codes() {
            for doing in Doing::ALL {
                if class_of(code, doing) == Class::Fatal {
                    let (_, hint) = remedy_of(code, doing);
                    assert!(hint.len() > 20 && !hint.ends_with('.'), "{code} {doing:?}: {hint}");
                }
            }
        }
    }

    #[test]
    fn classes_are_what_the_stream_does() {
        let check = |code: Code, doing: Doing, class: Class| {
            assert_eq!(class_of(code, doing), class, "{code} while {}", doing.as_str());
        };
        for doing in Doing::ALL {
            check(Code::AllBrokersDown, doing, Class::Retriable);
            check(Code::UnknownTopicOrPartition, doing, Class::Retriable);
            check(Code::SaslAuthenticationFailed, doing, Class::Retriable);
            check(Code::TopicAuthorizationFailed, doing, Class::Fatal);
            check(Code::UnsupportedVersion, doing, Class::Fatal);
            check(Code::Fatal, doing, Class::Fatal);
            // In no table: tried again.
            check(Code::InvalidPartitions, doing, Class::Retriable);
        }
        for code in [
            Code::MessageSizeTooLarge,
            Code::MessageBatchTooLarge,
            Code::InvalidRecord,
            Code::PolicyViolation,
        ] {
            check(code, Doing::Producing, Class::Poison);
            check(code, Doing::Consuming, Class::Retriable);
        }
        check(Code::NotEnoughReplicas, Doing::Producing, Class::Retriable);
        check(Code::InvalidDifferentRecord, Doing::Producing, Class::Retriable);
        check(Code::OutOfOrderSequenceNumber, Doing::Producing, Class::Retriable);
        check(Code::BadMessage, Doing::Consuming, Class::Poison);
        check(Code::OffsetMetadataTooLarge, Doing::Committing, Class::Fatal);
        check(Code::RebalanceInProgress, Doing::Committing, Class::Retriable);
        assert_eq!(remedy_of(Code::FencedInstanceId, Doing::Consuming).0, Remedy::Configure);
        assert_eq!(remedy_of(Code::Inconsistent, Doing::Producing).0, Remedy::Restart);
    }
}
