//! Every bound of the program, in one place, with assertions on how they relate.
//!
//! Units come last in the names. Nothing here is read from the configuration; what an
//! operator may change names its default here.

/// Largest record that is looked at, before decompression. Larger ones go to the dead letters.
/// Kafka's usual `message.max.bytes` is 1 MiB; webhook batches may reach 10 MiB and more.
pub const RECORD_MAX_BYTES: usize = 32 * 1024 * 1024;
/// Largest text a compressed record may expand to.
pub const DECOMPRESSED_MAX_BYTES: usize = 64 * 1024 * 1024;
/// Largest ratio of expanded to compressed size, enforced above `DECOMPRESSED_FREE_BYTES`.
pub const DECOMPRESSED_MAX_RATIO: usize = 200;
/// Expansion up to this size is never refused for its ratio: small logs compress very well.
pub const DECOMPRESSED_FREE_BYTES: usize = 8 * 1024 * 1024;
/// Largest zstd window (as a power of two) of a compressed file: what its decoder may allocate.
/// 27 is what the zstd tool itself accepts without being told otherwise.
pub const FILE_ZSTD_WINDOW_LOG_MAX: u32 = 27;
/// How much of a file is looked at for JSON before it is called something else.
pub const FILE_PREAMBLE_MAX_LINES: usize = 64;
pub const FILE_PREAMBLE_MAX_BYTES: usize = 64 * 1024;
/// Deepest nesting of JSON within one text (serde_json's own limit).
pub const JSON_MAX_DEPTH: usize = 128;
/// How many wrappers may stand within each other (a Pub/Sub push of a LogEntry is two).
pub const WRAPPER_MAX_DEPTH: usize = 6;
/// Most events (and other items) in one record.
pub const RECORD_MAX_ITEMS: usize = 50_000;

/// Most source addresses of one event that become new-terms tuples (X-Forwarded-For is the
/// caller's to write); the others are counted.
pub const SOURCE_IPS_MAX: usize = 8;
/// What the harmless commands may take that a worker need not judge again, and the longest of them
/// that is kept, by its arguments and its text. The commands of a cluster that repeat are some
/// hundreds, of some hundred bytes.
pub const HARMLESS_COMMANDS_MAX_BYTES: usize = 1024 * 1024;
pub const HARMLESS_COMMAND_MAX_BYTES: usize = 8 * 1024;
/// Most matches of one view that an alert lists.
pub const MATCHES_LISTED_MAX: usize = 32;

/// Longest `message` of an alert. Its parts are bounded so that the whole stays below.
pub const MESSAGE_MAX_CHARS: usize = 4_096;
/// Longest command line within a message; the alert carries the whole one elsewhere.
pub const MESSAGE_COMMAND_MAX_CHARS: usize = 512;
/// Longest name (of a user, pod, client) within a message. Kubernetes object names end at 253.
pub const MESSAGE_NAME_MAX_CHARS: usize = 256;
/// Longest value that the text form of an alert shows on one line.
pub const TERMINAL_VALUE_MAX_CHARS: usize = 2_048;
/// Most matches that the text form of an alert lists; the others are counted.
pub const TERMINAL_MATCHES_MAX: usize = 4;
/// What reading a command as a shell may cost, in units of about one byte that is looked at or
/// made: a part that every command has, and one for each of its bytes.
pub const SHELL_WORK_BASE: usize = 1024 * 1024;
pub const SHELL_WORK_PER_BYTE: usize = 16;
/// Deepest nesting of what is followed: commands within each other, functions, `eval`.
pub const SHELL_DEPTH_MAX: usize = 96;
/// Largest command that is read as a shell would; a longer one is told as hidden.
pub const SHELL_INPUT_MAX_BYTES: usize = 2 * 1024 * 1024;
/// Most other values a variable may have, and most directories a script may have been in. What is
/// beyond is told as hidden.
pub const SHELL_ALTERNATIVES_MAX: usize = 16;
/// Most combinations of the values of a command's variables that are all read.
pub const SHELL_COMBINATIONS_MAX: usize = 64;
/// What text tools and code of other languages may cost within one command, in bytes that are
/// looked at or made: at least, and for each byte of the command.
pub const SHELL_TOOLS_WORK_BASE: usize = 8 * 1024 * 1024;
pub const SHELL_TOOLS_WORK_PER_BYTE: usize = 64;
/// Most rounds of a loop that something may have ended before, such as `cmd && break`: of one that
/// only counts, and of any.
pub const SHELL_COUNTED_ROUNDS_MAX: usize = 4;
pub const SHELL_LEFT_ROUNDS_MAX: usize = 128;
/// Most rounds of a loop that nothing ends.
pub const SHELL_ROUNDS_MAX: usize = 1_024;
/// Largest rule file.
pub const RULE_FILE_MAX_BYTES: usize = 1024 * 1024;
/// Most files that folders of rules may hold together.
pub const RULE_FILES_MAX: usize = 10_000;
/// Most test cases of one file, and most events of one case.
pub const CASES_MAX: usize = 10_000;
pub const CASE_EVENTS_MAX: usize = 10_000;
/// Largest file of events that a case names.
pub const CASE_FILE_MAX_BYTES: u64 = 64 * 1024 * 1024;
/// Most alerts of one case that are looked at; more are counted.
pub const CASE_ALERTS_MAX: usize = 1_000;
/// Most exceptions in force.
pub const EXCEPTIONS_MAX: usize = 4_096;
/// Most values of one condition of an exception, and the longest of them: a command.
pub const EXCEPTION_VALUES_MAX: usize = 1_000;
pub const EXCEPTION_VALUE_MAX_BYTES: usize = 64 * 1024;
/// Longest reason of an exception.
pub const EXCEPTION_REASON_MAX_BYTES: usize = 1_024;
/// Most exceptions that are counted by name; what others withhold is counted together.
pub const EXCEPTION_NAMES_MAX: usize = 100;
/// Most labels that any counter tells apart; the others are counted together.
pub const LABELS_MAX: usize = 500;
/// Longest part of a normal form that a match carries.
pub const NORMAL_FORM_SHOWN_MAX_BYTES: usize = 1_024;
/// Longest text of one pattern in a rule.
pub const PATTERN_MAX_BYTES: usize = 4 * 1024;
/// Largest compiled form of one pattern, and of all patterns of a list together.
pub const PATTERN_COMPILED_MAX_BYTES: usize = 8 * 1024 * 1024;
/// Deepest nesting of groups in a pattern.
pub const PATTERN_NESTING_MAX: u32 = 64;
/// Most patterns in one list of a rule.
pub const RULE_PATTERNS_MAX: usize = 1_000;

/// Longest text of a query: a list of a few thousand addresses or names.
pub const QUERY_MAX_BYTES: usize = 64 * 1024;
/// Deepest nesting of brackets in a query. What reads and compiles one recurses as deep.
pub const QUERY_DEPTH_MAX: usize = 64;
/// Most conditions and operators of one query: its text has room for more of them only if they say
/// nothing.
pub const QUERY_NODES_MAX: usize = 8_192;
/// Most queries that are compiled together, and most conditions of all of them.
pub const PROGRAM_QUERIES_MAX: usize = 4_096;
pub const PROGRAM_NODES_MAX: usize = 131_072;
/// Most names with wildcards of all queries together: each is compared with the path of every
/// value below the prefixes that are open to any name.
pub const PROGRAM_WILDCARD_NAMES_MAX: usize = 64;
/// Most values of one event that queries may ask to be kept, 24 bytes each. An event of three
/// megabytes (the most that an API server takes) has room for 1.5 million.
pub const EVENT_VALUES_MAX: usize = 4 * 1024 * 1024;
/// Most byte strings of which an event has to hold one before a query is asked. With more of them
/// hardly an event is spared.
pub const NEEDLES_MAX: usize = 64;

/// Longest outage of the first-seen half that loses nothing (L in the protocol).
pub const OUTAGE_MAX_MS: i64 = 8 * HOUR_MS;
/// How long a later stage may revise an alert (R in the protocol).
pub const REVISION_MAX_MS: i64 = HOUR_MS;
/// `min.compaction.lag.ms` of the observations topic.
pub const COMPACTION_LAG_MS: i64 = 24 * HOUR_MS;
/// Longest history window of any new-terms rule.
pub const WINDOW_MAX_MS: i64 = 90 * DAY_MS;
/// How often the owner of a partition appends its marker again. It has to stand in the log still
/// after the longest outage and a takeover as long as that; the retention of the observations topic
/// is longer than `COMPACTION_LAG_MS`, but for short windows not by much.
pub const MARKER_REPEAT_MS: i64 = 6 * HOUR_MS;
/// How far past its window a term's entry is kept: broker clocks can step back.
pub const WINDOW_SLACK_MS: i64 = HOUR_MS;
/// `segment.ms` of the observations topic: the active segment is never compacted.
pub const OBSERVATION_SEGMENT_MS: i64 = 4 * HOUR_MS;

/// Largest configuration file that is read.
pub const CONFIG_FILE_MAX_BYTES: u64 = 1024 * 1024;
/// Largest file that holds a value of one property: certificates with their chain have room.
pub const SECRET_FILE_MAX_BYTES: u64 = 64 * 1024;
/// Largest answer of a token endpoint.
pub const TOKEN_ANSWER_MAX_BYTES: usize = 64 * 1024;
/// Most problems of one configuration that are listed; the others are counted.
pub const CONFIG_PROBLEMS_MAX: usize = 50;
/// Longest text of one problem that is repeated to the user (a key, a value).
pub const CONFIG_QUOTED_MAX_CHARS: usize = 120;
/// Longest cluster name and group id: both end up in keys, ids and metadata.
pub const NAME_MAX_BYTES: usize = 200;
/// Longest name of a Kafka topic (the broker's own limit).
pub const TOPIC_NAME_MAX_BYTES: usize = 249;
/// Most source topics.
pub const SOURCE_TOPICS_MAX: usize = 256;
/// Most partitions of the observations topic: each is a restore and a marker of its own.
pub const OBSERVATION_PARTITIONS_MAX: i64 = 1_024;
/// Most worker threads an operator may ask for.
pub const WORKERS_MAX: i64 = 1_024;
/// Default and bounds of the bytes of records that are read and not yet acknowledged. A record
/// larger than the bound passes alone.
pub const IN_FLIGHT_DEFAULT_BYTES: u64 = 64 * 1024 * 1024;
pub const IN_FLIGHT_MIN_BYTES: u64 = 1024 * 1024;
pub const IN_FLIGHT_MAX_BYTES: u64 = 16 * 1024 * 1024 * 1024;
/// Default and most of what the cache of recent observations may take. The default holds some
/// 78,000 terms.
pub const CACHE_DEFAULT_BYTES: u64 = 16 * 1024 * 1024;
pub const CACHE_MAX_BYTES: u64 = 4 * 1024 * 1024 * 1024;
/// An observation that was sent spares others of its term for this share of the window: an hour
/// of seven days.
pub const CACHE_SHARE_OF_WINDOW: i64 = 168;

pub const SECOND_MS: i64 = 1_000;
pub const HOUR_MS: i64 = 3_600 * SECOND_MS;
pub const DAY_MS: i64 = 24 * HOUR_MS;

/// `retention.ms` of the observations topic for rules whose longest window is `window_ms`.
pub const fn observation_retention_ms(window_ms: i64) -> i64 {
    window_ms + COMPACTION_LAG_MS
}

const _: () = {
    assert!(COMPACTION_LAG_MS > 2 * OUTAGE_MAX_MS + REVISION_MAX_MS);
    assert!(REVISION_MAX_MS < OUTAGE_MAX_MS);
    assert!(MARKER_REPEAT_MS + 2 * OUTAGE_MAX_MS + HOUR_MS < COMPACTION_LAG_MS);
    assert!(OBSERVATION_SEGMENT_MS < COMPACTION_LAG_MS);
    assert!(DECOMPRESSED_FREE_BYTES <= DECOMPRESSED_MAX_BYTES);
    assert!(RECORD_MAX_BYTES <= DECOMPRESSED_MAX_BYTES);
    assert!(WRAPPER_MAX_DEPTH < JSON_MAX_DEPTH);
    assert!(16 * HARMLESS_COMMAND_MAX_BYTES <= HARMLESS_COMMANDS_MAX_BYTES);
    // A command, at most eight names, and the words between them.
    assert!(MESSAGE_COMMAND_MAX_CHARS + 8 * MESSAGE_NAME_MAX_CHARS + 1_024 <= MESSAGE_MAX_CHARS);
    assert!(MESSAGE_COMMAND_MAX_CHARS <= TERMINAL_VALUE_MAX_CHARS);
    assert!(IN_FLIGHT_MIN_BYTES <= IN_FLIGHT_DEFAULT_BYTES);
    assert!(IN_FLIGHT_DEFAULT_BYTES <= IN_FLIGHT_MAX_BYTES);
    assert!(RECORD_MAX_BYTES as u64 <= IN_FLIGHT_DEFAULT_BYTES);
    assert!(CACHE_DEFAULT_BYTES <= CACHE_MAX_BYTES);
    assert!(CACHE_SHARE_OF_WINDOW > 1);
    // Each may have a query, and all of them are one program.
    assert!(EXCEPTIONS_MAX <= PROGRAM_QUERIES_MAX);
    assert!(QUERY_NODES_MAX < QUERY_MAX_BYTES && QUERY_NODES_MAX <= PROGRAM_NODES_MAX);
};

/// What sled may keep of the state in memory, by its own count, which is about half of what that
/// takes. More only spares reading from the system's page cache.
pub const STATE_CACHE_BYTES: u64 = 24 * 1024 * 1024;

/// Most fields of a new-terms rule.
pub const TERM_FIELDS_MAX: usize = 8;

/// Most tuples that one event gives a new-terms rule; events with more are counted.
pub const TUPLES_MAX: usize = 64;

/// Longest value of one new-terms field that stands in a key as it is.
pub const TERM_MAX_BYTES: usize = 8 * 1024;
/// Longest `auditID` that a finding or an observation carries as it is: a client may choose it.
pub const AUDIT_ID_MAX_BYTES: usize = 256;
/// Most entries of `sourceIPs` that a finding or an observation carries.
pub const EVENT_SOURCES_MAX: usize = 256;
