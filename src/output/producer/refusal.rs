//! What becomes of an output that did not go out: it is sent again, alone, in a smaller form or as a dead
//! letter, or the producer has come to its end.

use std::sync::Arc;
use std::time::Duration;

use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use crate::clock;
use crate::failure::{self, Class, Doing, Remedy};
use crate::ingest::kafka::HalfError;
use crate::output::client::{Attempt, Client};
use crate::output::forms::{self, Form, Why};
use crate::output::producer::outgoing::OutputKind;
use crate::output::producer::{LONE_QUEUE_MAX_MESSAGES, OutputProducer};

/// Pause before an output that a broker refused is sent again.
const RETRY_AFTER: Duration = Duration::from_millis(500);

/// The producer can't go on; the process has to start anew.
#[derive(Debug, thiserror::Error)]
pub enum ProducerFatal {
    #[error("the producer failed for good: {0}")]
    Client(String),
    #[error("the brokers refuse writing to `{topic}`: {code}")]
    Refused { topic: String, code: RDKafkaErrorCode },
    /// Nothing shorter is left to send.
    #[error("the topic `{topic}` refuses even a {kind} of {size} bytes: {code}")]
    Impossible { topic: String, kind: &'static str, size: usize, code: RDKafkaErrorCode },
}

impl ProducerFatal {
    pub fn class(&self) -> Class {
        Class::Fatal
    }
}

impl From<ProducerFatal> for HalfError {
    fn from(error: ProducerFatal) -> Self {
        match error {
            ProducerFatal::Client(reason) => HalfError::Producer(reason),
            ProducerFatal::Refused { topic, code } => {
                HalfError::Refused { doing: Doing::Producing, what: format!("to `{topic}`"), code }
            }
            ProducerFatal::Impossible { ref topic, code, .. } => HalfError::Configuration {
                message: error.to_string(),
                hint: if failure::is_too_large(code) {
                    format!("raise `max.message.bytes` of the topic `{topic}`; 1 MiB is usual")
                } else {
                    format!(
                        "the topic `{topic}` has to take any bytes, with and without a key: \
                         `cleanup.policy=delete` for dead letters, and no validation by a schema"
                    )
                },
            },
        }
    }
}

impl OutputProducer {
    /// An output did not go out: it is sent again, in another form, or nothing can help it.
    pub(super) fn refuse(
        &mut self,
        mut attempt: Attempt,
        error: &KafkaError,
    ) -> Result<(), ProducerFatal> {
        self.check_client()?;
        let code = error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Unknown);
        let class = failure::class_of(code, Doing::Producing);
        self.settings.stats.errors.add(Doing::Producing, class);
        match class {
            Class::Fatal => {
                Err(ProducerFatal::Refused { topic: self.topic_of(&attempt).to_string(), code })
            }
            Class::Poison => {
                if failure::is_too_large(code) {
                    self.send_alone_from(&attempt)?;
                }
                if !attempt.alone {
                    // Limits are ones for batches, and of a batch with several faulty records the
                    // reason is not told: it may be one that passes.
                    attempt.alone = true;
                    self.make_lone()?;
                    return self.attempt(attempt);
                }
                let why =
                    if failure::is_too_large(code) { Why::TooLarge } else { Why::Refused(code) };
                self.give_up(attempt, why, code)
            }
            Class::Retriable => {
                // Of a batch with a faulty record, the others are refused with it.
                attempt.refusals += 1;
                if attempt.refusals > 1 {
                    attempt.alone = true;
                    self.make_lone()?;
                }
                self.count_refusal(&attempt, code, error);
                self.retry_at = Some(clock::monotonic() + RETRY_AFTER);
                self.backlog.push_back(attempt);
                Ok(())
            }
        }
    }

    pub(super) fn topic_of(&self, attempt: &Attempt) -> Arc<str> {
        match attempt.form {
            Form::Whole | Form::Reduced(_) => Arc::clone(&attempt.output.topic),
            Form::Letter(..) => Arc::clone(&self.settings.dead_letters),
        }
    }

    fn make_lone(&mut self) -> Result<(), ProducerFatal> {
        if self.lone.is_none() {
            let lone = Client::lone(
                &self.properties,
                self.settings.name,
                self.sender.clone(),
                LONE_QUEUE_MAX_MESSAGES,
            );
            self.lone = Some(lone.map_err(|error| ProducerFatal::Client(error.to_string()))?);
        }
        Ok(())
    }

    /// Records of this topic and at least this size go alone from now on.
    fn send_alone_from(&mut self, attempt: &Attempt) -> Result<(), ProducerFatal> {
        let topic = self.topic_of(attempt);
        self.make_lone()?;
        if !self.alone_from.contains_key(&topic) {
            tracing::warn!(
                topic = &*topic,
                size = attempt.size,
                "the topic refused a batch as too large; its larger records go one at a time from \
                 now on"
            );
        }
        let from = self.alone_from.entry(topic).or_insert(usize::MAX);
        *from = attempt.size.min(*from);
        Ok(())
    }

    /// Sends the next smaller form of an output that is too large for its topic.
    pub(super) fn shorten(
        &mut self,
        attempt: Attempt,
        code: RDKafkaErrorCode,
    ) -> Result<(), ProducerFatal> {
        self.give_up(attempt, Why::TooLarge, code)
    }

    fn give_up(
        &mut self,
        mut attempt: Attempt,
        why: Why,
        code: RDKafkaErrorCode,
    ) -> Result<(), ProducerFatal> {
        let topic = self.topic_of(&attempt);
        let is_letter = attempt.output.kind == OutputKind::DeadLetter
            || matches!(attempt.form, Form::Letter(..));
        let next =
            if is_letter && why != Why::TooLarge { None } else { self.smaller(&attempt, why) };
        let Some(form) = next else {
            let (kind, size) = (attempt.output.kind.as_str(), attempt.size);
            return Err(ProducerFatal::Impossible { topic: topic.to_string(), kind, size, code });
        };
        tracing::debug!(
            topic = &*topic,
            size = attempt.size,
            ?form,
            "an output is sent in another form"
        );
        attempt.form = form;
        attempt.alone = false;
        self.attempt(attempt)
    }

    fn smaller(&self, attempt: &Attempt, why: Why) -> Option<Form> {
        let topic = self.topic_of(attempt);
        let dead_letters = &self.settings.dead_letters;
        forms::after(attempt.output.kind, attempt.form, why).into_iter().find(|form| {
            forms::body(&attempt.output, *form, dead_letters, &self.settings.shapes)
                .is_some_and(|body| body.topic != &*topic || body.size() < attempt.size)
        })
    }

    /// A client's own end comes with no delivery report where nothing is under way.
    pub(super) fn check_client(&self) -> Result<(), ProducerFatal> {
        let Some((code, reason)) = self.batching.fatal_error() else { return Ok(()) };
        Err(match failure::remedy_of(code, Doing::Producing).0 {
            Remedy::Configure => ProducerFatal::Refused { topic: "any topic".to_owned(), code },
            Remedy::Restart | Remedy::Brokers => ProducerFatal::Client(reason),
        })
    }
}
