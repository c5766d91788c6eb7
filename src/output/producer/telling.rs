//! What is counted of the outputs, and what is said of them in the log, none of it too often.

use std::time::{Duration, Instant};

use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use crate::clock;
use crate::output::client::Attempt;
use crate::output::forms::Form;
use crate::output::producer::OutputProducer;
use crate::output::producer::outgoing::OutputKind;
use crate::output::producer::refusal::ProducerFatal;

/// How often something that stands is logged.
const LOG_EVERY: Duration = Duration::from_secs(10);
/// How long acknowledgements may stay away before it is said.
const QUIET_MAX: Duration = Duration::from_secs(10);

/// When each of the standing complaints was logged last.
#[derive(Default)]
pub(super) struct Said {
    refusal: Option<Instant>,
    quiet: Option<Instant>,
    shortened: Option<Instant>,
    diverted: Option<Instant>,
}

fn due(said: &mut Option<Instant>) -> bool {
    let now = clock::monotonic();
    let due = said.is_none_or(|at| now - at >= LOG_EVERY);
    if due {
        *said = Some(now);
    }
    due
}

impl OutputProducer {
    /// Counts what was acknowledged.
    pub(super) fn count(&self, attempt: &Attempt) {
        let stats = &self.settings.stats;
        let outputs = &stats.half(self.settings.half).outputs[attempt.output.kind as usize];
        outputs.acknowledged.add(self.progress - attempt.handed);
        outputs.bytes.add(attempt.size as u64);
        let Attempt { output, form, .. } = attempt;
        if output.kind == OutputKind::Alert
            && !matches!(form, Form::Letter(..))
            && let Some(document) = &output.payload
        {
            stats.newest_alerts.add(output.key.as_deref().unwrap_or_default(), document);
        }
    }

    /// Counts and says what left in another form than it was made.
    pub(super) fn count_form(&mut self, attempt: &Attempt) {
        let Attempt { output, form, size, .. } = attempt;
        let (kind, topic) = (output.kind.as_str(), &*output.topic);
        let key = output.key.as_deref().map(String::from_utf8_lossy).unwrap_or_default();
        let stats = &self.settings.stats;
        match form {
            Form::Letter(why, _) if output.kind != OutputKind::DeadLetter => {
                stats.diverted.add(why.class(), 1);
                if due(&mut self.said.diverted) {
                    tracing::error!(
                        topic,
                        kind,
                        %key,
                        size,
                        class = why.class(),
                        "an output that its topic refuses went to the dead letters"
                    );
                }
            }
            Form::Whole => {}
            Form::Letter(..) | Form::Reduced(_) => {
                stats.shortened.add(kind, 1);
                if due(&mut self.said.shortened) {
                    tracing::warn!(
                        topic,
                        kind,
                        %key,
                        size,
                        whole = output.size(),
                        "an output too large for its topic went out shortened"
                    );
                }
            }
        }
    }

    pub(super) fn count_refusal(
        &mut self,
        attempt: &Attempt,
        code: RDKafkaErrorCode,
        error: &KafkaError,
    ) {
        self.refused += 1;
        self.settings.stats.refused.add(&format!("{code:?}"), 1);
        if due(&mut self.said.refusal) {
            tracing::warn!(
                topic = &*self.topic_of(attempt),
                kind = attempt.output.kind.as_str(),
                refused = self.refused,
                %error,
                "an output was refused and will be sent again"
            );
        }
    }

    /// librdkafka retries most things by itself, without a word: somebody has to say it.
    pub(super) fn check_progress(&mut self) -> Result<(), ProducerFatal> {
        let quiet = clock::monotonic() - self.progress;
        if self.outstanding == 0 || quiet < QUIET_MAX {
            return Ok(());
        }
        self.check_client()?;
        if due(&mut self.said.quiet) {
            tracing::warn!(
                producer = self.settings.name,
                outstanding = self.outstanding,
                seconds = quiet.as_secs(),
                "no output was acknowledged for a while: brokers are away, or a topic lacks \
                 in-sync replicas or a leader"
            );
        }
        Ok(())
    }
}
