//! The producing end of one half: sends outputs, keeps what the queue has no room for, sends again
//! what failed, shortens what is too large, and hands back what the brokers acknowledged.
//!
//! An output's way: `outgoing` is what it is, `lines` lets it pass or wait, here it is handed to
//! librdkafka and comes back, `refusal` has it if it was refused, `telling` counts it.
//!
//! Owns the producers and the outputs under way. Knows nothing of offsets: a ticket is the
//! caller's and comes back as it was. Correctness rests on two rules: an output comes back only
//! after it, a shorter form of it, or a dead letter in its place was acknowledged by all in-sync
//! replicas; and of what a reader of a topic keeps by its key (alerts, markers), the next one goes
//! out when the one before it was acknowledged, so that no retry puts an older one last.

mod lines;
mod outgoing;
mod refusal;
mod telling;

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, bounded};
use rdkafka::client::ClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use crate::clock;
use crate::failure;
use crate::output::client::{Attempt, Client, Delivery};
use crate::output::forms::{self, Form, Shapes};
use crate::output::producer::lines::Lines;
use crate::output::producer::telling::Said;
use crate::stats::{Half, Stats};

pub use crate::output::producer::outgoing::{Acknowledged, Output, OutputKind, Ticket};
pub use crate::output::producer::refusal::ProducerFatal;

/// How many messages may stand in librdkafka's queue; as many outputs again may wait in ours.
const QUEUE_MAX_MESSAGES: usize = 50_000;
/// The same for records that go alone.
const LONE_QUEUE_MAX_MESSAGES: usize = 1_000;
/// Acknowledgements that wait for the owner. All their places are in memory from the start; behind a
/// full channel the rest waits within the client.
const ACKNOWLEDGED_MAX: usize = 4_096;

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
}

#[cfg(test)]
#[path = "producer_tests.rs"]
mod tests;
