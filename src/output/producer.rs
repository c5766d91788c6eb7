//! The producing end of one half: sends outputs, keeps what the queue has no room for, sends again
//! what failed, shortens what is too large, and hands back what the brokers acknowledged.
//!
//! Owns the producers and the outputs under way. Knows nothing of offsets: a ticket is the
//! caller's and comes back as it was. Correctness rests on two rules: an output comes back only
//! after it, a shorter form of it, or a dead letter in its place was acknowledged by all in-sync
//! replicas; and of what a reader of a topic keeps by its key (alerts, markers), the next one goes
//! out when the one before it was acknowledged, so that no retry puts an older one last.

use std::collections::VecDeque;
use std::collections::hash_map::{Entry, HashMap, RandomState};
use std::hash::BuildHasher as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, bounded};
use rdkafka::client::ClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use crate::clock;
use crate::failure::{self, Class, Doing, Remedy};
use crate::ingest::kafka::HalfError;
use crate::output::client::{Attempt, Client, Delivery};
use crate::output::dead_letter::Headers;
use crate::output::forms::{self, Form, Shapes, Why};
use crate::stats::{Half, Stats};

/// How many messages may stand in librdkafka's queue; as many outputs again may wait in ours.
const QUEUE_MAX_MESSAGES: usize = 50_000;
/// The same for records that go alone.
const LONE_QUEUE_MAX_MESSAGES: usize = 1_000;
/// Acknowledgements that wait for the owner. All their places are in memory from the start; behind a
/// full channel the rest waits within the client.
const ACKNOWLEDGED_MAX: usize = 4_096;
/// Pause before an output that a broker refused is sent again.
const RETRY_AFTER: Duration = Duration::from_millis(500);
/// How often something that stands is logged.
const LOG_EVERY: Duration = Duration::from_secs(10);
/// How long acknowledgements may stay away before it is said.
const QUIET_MAX: Duration = Duration::from_secs(10);

/// What an output takes of memory beside its bytes.
const OVERHEAD_BYTES: usize = 512;

/// Where in the input an output came from; opaque to the producer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Ticket {
    /// The caller's number for a topic's partition.
    pub slot: u32,
    /// The assignment under which the record was read.
    pub epoch: u64,
    pub offset: i64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutputKind {
    Alert,
    Observation,
    Marker,
    DeadLetter,
}

impl OutputKind {
    /// In the order in which their figures stand.
    pub const ALL: [OutputKind; 4] =
        [OutputKind::Alert, OutputKind::Observation, OutputKind::Marker, OutputKind::DeadLetter];

    pub fn as_str(self) -> &'static str {
        match self {
            OutputKind::Alert => "alert",
            OutputKind::Observation => "observation",
            OutputKind::Marker => "marker",
            OutputKind::DeadLetter => "dead letter",
        }
    }
}

/// One record to produce.
#[derive(Debug)]
pub struct Output {
    pub kind: OutputKind,
    pub topic: Arc<str>,
    /// `None` leaves the choice to librdkafka's partitioner (by key).
    pub partition: Option<i32>,
    pub key: Option<Vec<u8>>,
    pub payload: Option<Vec<u8>>,
    pub headers: Headers,
    /// Of no use any more.
    pub reduced: Option<Vec<u8>>,
    pub ticket: Ticket,
    /// Which one of the ticket's outputs this is; the caller's, as the ticket is.
    pub serial: u32,
}

impl Output {
    /// Bytes that this output keeps in memory: ours, and librdkafka's copy of it.
    pub fn size(&self) -> usize {
        let bytes = self.payload.as_ref().map_or(0, Vec::len)
            + self.key.as_ref().map_or(0, Vec::len)
            + forms::headers_size(&self.headers);
        2 * bytes + OVERHEAD_BYTES
    }
}

/// An output whose ticket comes back, and what became of it.
#[derive(Debug)]
pub struct Acknowledged {
    pub output: Arc<Output>,
    /// It went to the dead letters in place of its topic.
    pub diverted: bool,
}

impl std::ops::Deref for Acknowledged {
    type Target = Output;
    fn deref(&self) -> &Output {
        &self.output
    }
}

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

/// Where a producer finds what it needs of the rest of the program.
#[derive(Clone)]
pub struct Settings {
    /// Name in the log.
    pub name: &'static str,
    /// For which half it sends.
    pub half: Half,
    pub dead_letters: Arc<str>,
    pub shapes: Shapes,
    pub stats: Arc<Stats>,
}

pub struct OutputProducer {
    /// Before the clients, so that it goes first: their threads may wait for room in it, and a
    /// client that goes waits for its thread.
    deliveries: Receiver<Delivery>,
    properties: ClientConfig,
    settings: Settings,
    batching: Client,
    /// Made when a topic refuses something for the first time.
    lone: Option<Client>,
    /// By topic, the size from which on records go alone: the smallest that was refused.
    alone_from: HashMap<Arc<str>, usize>,
    sender: Sender<Delivery>,
    /// Not in librdkafka's queue: it was full, or the broker refused.
    backlog: VecDeque<Attempt>,
    lines: Lines,
    /// Outputs in the backlog or in librdkafka's hands, and their bytes.
    outstanding: usize,
    outstanding_bytes: usize,
    retry_at: Option<Instant>,
    /// The last acknowledgement, or the first output after all were.
    progress: Instant,
    said: Said,
    refused: u64,
}

/// Outputs of one key, of which only the first is under way.
///
/// A line is known by the hash of its topic and key: two that share one wait for each other in
/// vain, and nothing worse.
#[derive(Default)]
struct Lines {
    hasher: RandomState,
    waiting: HashMap<u64, VecDeque<Attempt>>,
}

impl Lines {
    /// `None` for what may be appended in any order: the time that the broker gives an observation
    /// decides, and no dead letter replaces another.
    fn line_of(&self, output: &Output) -> Option<u64> {
        let key = match output.kind {
            OutputKind::Alert | OutputKind::Marker => output.key.as_ref()?,
            OutputKind::Observation | OutputKind::DeadLetter => return None,
        };
        Some(self.hasher.hash_one((&output.topic, output.partition, key)))
    }

    /// The attempt, if nothing of its line is under way; otherwise it waits.
    fn enter(&mut self, attempt: Attempt) -> Option<Attempt> {
        let Some(line) = self.line_of(&attempt.output) else { return Some(attempt) };
        match self.waiting.entry(line) {
            Entry::Vacant(place) => {
                place.insert(VecDeque::new());
                Some(attempt)
            }
            Entry::Occupied(mut place) => {
                place.get_mut().push_back(attempt);
                None
            }
        }
    }

    /// What waited for this output, which has come to its end.
    fn next_after(&mut self, output: &Output) -> Option<Attempt> {
        let line = self.line_of(output)?;
        let next = self.waiting.get_mut(&line)?.pop_front();
        if next.is_none() {
            self.waiting.remove(&line);
        }
        next
    }
}

/// When each of the standing complaints was logged last.
#[derive(Default)]
struct Said {
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
    /// `properties` are the operator's.
    pub fn new(properties: &ClientConfig, settings: Settings) -> Result<Self, KafkaError> {
        let (sender, deliveries) = bounded(ACKNOWLEDGED_MAX);
        let figures = Arc::clone(&settings.stats.half(settings.half).producer);
        let (name, queue) = (settings.name, QUEUE_MAX_MESSAGES);
        let batching = Client::batching(properties, name, sender.clone(), queue, figures)?;
        Ok(OutputProducer {
            deliveries,
            properties: properties.clone(),
            settings,
            batching,
            lone: None,
            alone_from: HashMap::new(),
            sender,
            backlog: VecDeque::new(),
            lines: Lines::default(),
            outstanding: 0,
            outstanding_bytes: 0,
            retry_at: None,
            progress: clock::monotonic(),
            said: Said::default(),
            refused: 0,
        })
    }

    /// Outputs that have not come back.
    pub fn outstanding(&self) -> usize {
        self.outstanding
    }

    /// What they keep in memory.
    pub fn outstanding_bytes(&self) -> usize {
        self.outstanding_bytes
    }

    pub fn client(&self) -> &rdkafka::client::Client<impl ClientContext> {
        self.batching.client()
    }

    pub fn send(&mut self, output: Output) -> Result<(), ProducerFatal> {
        if self.outstanding == 0 {
            self.progress = clock::monotonic();
        }
        self.outstanding += 1;
        self.outstanding_bytes += output.size();
        let attempt = Attempt {
            output: Arc::new(output),
            form: Form::Whole,
            alone: false,
            size: 0,
            refusals: 0,
            handed: clock::monotonic(),
        };
        match self.lines.enter(attempt) {
            Some(first) => self.enqueue(first),
            None => Ok(()),
        }
    }

    /// Behind what waits for room.
    fn enqueue(&mut self, attempt: Attempt) -> Result<(), ProducerFatal> {
        if self.backlog.is_empty() {
            self.attempt(attempt)
        } else {
            self.backlog.push_back(attempt);
            Ok(())
        }
    }

    /// Gives an output to librdkafka in its present form, or finds another.
    fn attempt(&mut self, mut attempt: Attempt) -> Result<(), ProducerFatal> {
        let output = Arc::clone(&attempt.output);
        let dead_letters = Arc::clone(&self.settings.dead_letters);
        let Some(body) = forms::body(&output, attempt.form, &dead_letters, &self.settings.shapes)
        else {
            // The form is known to exist: it was looked at before it was chosen.
            return self.shorten(attempt, RDKafkaErrorCode::MessageSizeTooLarge);
        };
        attempt.size = body.size();
        let alone_from = self.alone_from.get(body.topic).copied().unwrap_or(usize::MAX);
        attempt.alone |= attempt.size >= alone_from;
        let client = match (&self.lone, attempt.alone) {
            (Some(lone), true) => lone,
            _ => &self.batching,
        };
        let Err((error, attempt)) = client.send(&body, attempt) else { return Ok(()) };
        let attempt = *attempt;
        match error.rdkafka_error_code() {
            Some(RDKafkaErrorCode::QueueFull) => {
                self.backlog.push_front(attempt);
                Ok(())
            }
            // The client's own limit, which is one for records: sending it alone changes nothing.
            Some(code) if failure::is_too_large(code) => self.shorten(attempt, code),
            _ => self.refuse(attempt, &error),
        }
    }

    /// An output did not go out: it is sent again, in another form, or nothing can help it.
    fn refuse(&mut self, mut attempt: Attempt, error: &KafkaError) -> Result<(), ProducerFatal> {
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
                self.refused += 1;
                self.settings.stats.refused.add(&format!("{code:?}"), 1);
                if due(&mut self.said.refusal) {
                    tracing::warn!(
                        topic = &*self.topic_of(&attempt),
                        kind = attempt.output.kind.as_str(),
                        refused = self.refused,
                        %error,
                        "an output was refused and will be sent again"
                    );
                }
                self.retry_at = Some(clock::monotonic() + RETRY_AFTER);
                self.backlog.push_back(attempt);
                Ok(())
            }
        }
    }

    fn topic_of(&self, attempt: &Attempt) -> Arc<str> {
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
    fn shorten(&mut self, attempt: Attempt, code: RDKafkaErrorCode) -> Result<(), ProducerFatal> {
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

    /// Collects acknowledgements into `acknowledged` and sends what waits. Waits up to `wait` for
    /// the first acknowledgement; not at all when it is zero.
    pub fn pump(
        &mut self,
        wait: Duration,
        acknowledged: &mut Vec<Acknowledged>,
    ) -> Result<(), ProducerFatal> {
        if !wait.is_zero()
            && let Ok(delivery) = self.deliveries.recv_timeout(wait)
        {
            self.delivered(delivery, acknowledged)?;
        }
        while let Ok(delivery) = self.deliveries.try_recv() {
            self.delivered(delivery, acknowledged)?;
        }
        self.send_backlog()?;
        self.check_progress()
    }

    fn delivered(
        &mut self,
        delivery: Delivery,
        acknowledged: &mut Vec<Acknowledged>,
    ) -> Result<(), ProducerFatal> {
        let Delivery { attempt, result } = delivery;
        if let Err(error) = result {
            return self.refuse(attempt, &error);
        }
        self.outstanding -= 1;
        self.outstanding_bytes -= attempt.output.size();
        self.progress = clock::monotonic();
        self.count(&attempt);
        if attempt.form != Form::Whole {
            self.count_form(&attempt);
        }
        let diverted = attempt.output.kind != OutputKind::DeadLetter
            && matches!(attempt.form, Form::Letter(..));
        let next = self.lines.next_after(&attempt.output);
        acknowledged.push(Acknowledged { output: attempt.output, diverted });
        next.map_or(Ok(()), |next| self.enqueue(next))
    }

    fn count(&self, attempt: &Attempt) {
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
    fn count_form(&mut self, attempt: &Attempt) {
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

    fn send_backlog(&mut self) -> Result<(), ProducerFatal> {
        if self.backlog.is_empty() || self.retry_at.is_some_and(|at| clock::monotonic() < at) {
            return Ok(());
        }
        self.retry_at = None;
        // One pass over what stands here now: what is refused again goes behind it or stops it.
        for _ in 0..self.backlog.len() {
            let Some(attempt) = self.backlog.pop_front() else { break };
            self.attempt(attempt)?;
            if self.retry_at.is_some() || self.queue_is_full() {
                break;
            }
        }
        Ok(())
    }

    fn queue_is_full(&self) -> bool {
        self.batching.in_flight() >= QUEUE_MAX_MESSAGES
            || self.lone.as_ref().is_some_and(|lone| lone.in_flight() >= LONE_QUEUE_MAX_MESSAGES)
    }

    /// A client's own end comes with no delivery report where nothing is under way.
    fn check_client(&self) -> Result<(), ProducerFatal> {
        let Some((code, reason)) = self.batching.fatal_error() else { return Ok(()) };
        Err(match failure::remedy_of(code, Doing::Producing).0 {
            Remedy::Configure => ProducerFatal::Refused { topic: "any topic".to_owned(), code },
            Remedy::Restart | Remedy::Brokers => ProducerFatal::Client(reason),
        })
    }

    /// librdkafka retries most things by itself, without a word: somebody has to say it.
    fn check_progress(&mut self) -> Result<(), ProducerFatal> {
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

#[cfg(test)]
#[path = "producer_tests.rs"]
mod tests;
