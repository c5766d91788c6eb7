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
/// Most matches of one view that an alert lists.
pub const MATCHES_LISTED_MAX: usize = 32;

/// Longest text of one pattern in a rule.
pub const PATTERN_MAX_BYTES: usize = 4 * 1024;
/// Largest compiled form of one pattern, and of all patterns of a list together.
pub const PATTERN_COMPILED_MAX_BYTES: usize = 8 * 1024 * 1024;
/// Deepest nesting of groups in a pattern.
pub const PATTERN_NESTING_MAX: u32 = 64;
/// Most patterns in one list of a rule.
pub const RULE_PATTERNS_MAX: usize = 1_000;

/// Longest outage of the first-seen half that loses nothing (L in the protocol).
pub const OUTAGE_MAX_MS: i64 = 8 * HOUR_MS;
/// How long a later stage may revise an alert (R in the protocol).
pub const REVISION_MAX_MS: i64 = HOUR_MS;
/// `min.compaction.lag.ms` of the observations topic.
pub const COMPACTION_LAG_MS: i64 = 24 * HOUR_MS;
/// Longest history window of any new-terms rule.
pub const WINDOW_MAX_MS: i64 = 90 * DAY_MS;
/// How far past its window a term's entry is kept: broker clocks can step back.
pub const WINDOW_SLACK_MS: i64 = HOUR_MS;
/// `segment.ms` of the observations topic: the active segment is never compacted.
pub const OBSERVATION_SEGMENT_MS: i64 = 4 * HOUR_MS;

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
    assert!(OBSERVATION_SEGMENT_MS < COMPACTION_LAG_MS);
    assert!(DECOMPRESSED_FREE_BYTES <= DECOMPRESSED_MAX_BYTES);
    assert!(RECORD_MAX_BYTES <= DECOMPRESSED_MAX_BYTES);
    assert!(WRAPPER_MAX_DEPTH < JSON_MAX_DEPTH);
};
