//! Our topics as they have to be: with how many partitions, with which settings, and why.
//!
//! Pure: asks nobody.

use crate::config::ObservationsConfig;
use crate::duration::format_duration;
use crate::limits;
use crate::topics::problem::Problem;

/// A partition count for alerts and dead letters where we make the topics.
const OUTPUT_PARTITIONS: i32 = 6;

/// One of our topics as it should be.
#[derive(Debug, Clone)]
pub(super) struct Wanted {
    pub(super) name: String,
    pub(super) partitions: i32,
    pub(super) settings: Vec<(&'static str, String)>,
}

impl Wanted {
    /// The observations topic, of which correctness needs most.
    pub(super) fn observations(settings: &ObservationsConfig, longest_window_ms: i64) -> Wanted {
        Wanted {
            name: settings.topic.clone(),
            partitions: settings.partitions,
            settings: vec![
                ("cleanup.policy", "compact,delete".to_owned()),
                ("message.timestamp.type", "LogAppendTime".to_owned()),
                ("min.compaction.lag.ms", limits::COMPACTION_LAG_MS.to_string()),
                ("retention.ms", limits::observation_retention_ms(longest_window_ms).to_string()),
                ("retention.bytes", "-1".to_owned()),
                ("segment.ms", limits::OBSERVATION_SEGMENT_MS.to_string()),
                ("min.cleanable.dirty.ratio", "0.1".to_owned()),
                ("compression.type", "producer".to_owned()),
                ("max.message.bytes", limits::RECORD_MAX_BYTES.to_string()),
            ],
        }
    }

    /// A topic of outputs: alerts, dead letters.
    pub(super) fn outputs(name: &str) -> Wanted {
        Wanted {
            name: name.to_owned(),
            partitions: OUTPUT_PARTITIONS,
            settings: vec![("max.message.bytes", limits::RECORD_MAX_BYTES.to_string())],
        }
    }

    /// The settings as the tools of Kafka take them.
    pub(super) fn settings_text(&self) -> String {
        self.settings
            .iter()
            .map(|(key, value)| format!("{key}={value}"))
            .collect::<Vec<_>>()
            .join(" ")
    }

    /// What is wrong with the partition count of the observations topic.
    pub(super) fn partitions_problem(&self, partitions: usize) -> Option<Problem> {
        let name = &self.name;
        (i32::try_from(partitions) != Ok(self.partitions)).then(|| Problem {
            message: format!(
                "the observations topic `{name}` has {partitions} partitions, the configuration says {}: users would move to other partitions and lose their history",
                self.partitions
            ),
            hint: format!(
                "set `observations.partitions = {partitions}`; to change the number, stop every instance, `kubetell state export --output terms.ndjson`, delete the topic, `kubetell topics create`, `kubetell state import terms.ndjson`"
            ),
        })
    }

    /// What is wrong with the settings of the observations topic; those that the brokers do not tell count
    /// as right.
    pub(super) fn settings_problems(
        &self,
        servers: &str,
        value: impl Fn(&str) -> Option<String>,
    ) -> Vec<Problem> {
        let name = &self.name;
        let mut problems = Vec::new();
        for (key, wanted_value) in &self.settings {
            let Some(actual) = value(key) else { continue };
            let (fits, why) = setting_fits(key, &actual, wanted_value);
            if !fits {
                problems.push(Problem {
                    message: format!(
                        "the observations topic `{name}` has `{key}={actual}`: {why}"
                    ),
                    hint: format!(
                        "kafka-configs.sh --bootstrap-server {servers} --alter --entity-type topics --entity-name {name} --add-config '{key}={}'",
                        if wanted_value.contains(',') { format!("[{wanted_value}]") } else { wanted_value.clone() }
                    ),
                });
            }
        }
        problems
    }
}

/// Whether a setting of the observations topic is as correctness needs it, and if not, why it
/// matters.
pub(super) fn setting_fits(key: &str, actual: &str, wanted: &str) -> (bool, String) {
    let number = |text: &str| text.parse::<i64>().ok();
    let at_least = |what: &str| {
        let (Some(is), Some(should)) = (number(actual), number(wanted)) else {
            return (false, format!("`{wanted}` is expected"));
        };
        let fits = is < 0 || is >= should;
        (fits, format!("{what}; it has to be at least {wanted} ({})", format_duration(should)))
    };
    match key {
        "cleanup.policy" => {
            let mut policies: Vec<&str> = actual.split(',').map(str::trim).collect();
            policies.sort_unstable();
            (
                policies == ["compact", "delete"],
                "the state is a fold of this log, which compaction keeps small and deletion lets expire; `compact,delete` is needed".to_owned(),
            )
        }
        "message.timestamp.type" => (
            actual == "LogAppendTime",
            "time is what the broker says it is; `LogAppendTime` is needed".to_owned(),
        ),
        "min.compaction.lag.ms" => {
            at_least("a restarting instance has to find every record since its last commit")
        }
        "retention.ms" => at_least("terms would be forgotten before their window is over"),
        "retention.bytes" => (
            number(actual).is_some_and(|bytes| bytes < 0),
            "terms would be forgotten by size; `-1` is needed".to_owned(),
        ),
        // These only decide how soon compaction runs; ours are what we make the topic with.
        _ => (true, String::new()),
    }
}
