//! From events to records: most are bare lines, the others come in the wrappers of log pipelines.

use std::sync::LazyLock;

use jiff::Timestamp;

use kubetell::demo::event::{Request, Stage, later};
use kubetell::demo::pack::{event_list, fluent_bit_line, partition_hint, vector};
use kubetell::demo::random::Random;
use kubetell::demo::weave::Emitted;

use super::bodies;

/// When the log begins. What is new is decided by arrival, so any time will do.
static START: LazyLock<Timestamp> = LazyLock::new(|| "2026-02-03T04:05:06Z".parse().unwrap());

pub struct Packed {
    pub hint: u32,
    pub bytes: Vec<u8>,
    pub events: Vec<Emitted>,
}

pub struct Pack<I> {
    events: I,
    random: Random,
    /// See [`Plan`].
    ///
    /// [`Plan`]: super::Plan
    event_bytes: Option<usize>,
}

impl<I: Iterator<Item = Emitted>> Pack<I> {
    pub fn new(events: I, random: Random, event_bytes: Option<usize>) -> Self {
        Self { events, random, event_bytes }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Bare,
    /// Vector's file source with its JSON codec.
    Vector,
    /// Elastic Agent: the event as an object, dots in the names of annotations replaced.
    ElasticAgent,
    /// Fluent Bit without a parser: the line as a string under `log`.
    FluentBit,
    /// A batch of the webhook backend.
    EventList,
}

impl<I: Iterator<Item = Emitted>> Iterator for Pack<I> {
    type Item = Packed;

    fn next(&mut self) -> Option<Packed> {
        if let Some(bytes) = self.event_bytes {
            let event = self.events.next()?;
            let hint = partition_hint(&event.request.audit_id);
            let bytes = sized(event.json(*START, true), bytes, &mut self.random).into_bytes();
            return Some(Packed { hint, bytes, events: vec![event] });
        }
        let (form, most) = match self.random.below(100) {
            0..70 => (Form::Bare, 1),
            70..84 => (Form::Vector, 1),
            84..93 => (Form::ElasticAgent, 1),
            93..98 => (Form::FluentBit, 1),
            _ => (Form::EventList, self.random.within(2..12)),
        };
        let most = usize::try_from(most).unwrap_or(1);
        let events: Vec<Emitted> = self.events.by_ref().take(most).collect();
        let first = events.first()?;
        // As with a producer that uses the audit id as the key.
        let hint = partition_hint(&first.request.audit_id);
        Some(Packed { hint, bytes: bytes(form, &events).into_bytes(), events })
    }
}

/// The event with the object of its request, so that both are about `bytes` long.
fn sized(mut event: String, bytes: usize, random: &mut Random) -> String {
    const BEFORE: &str = "\"requestReceivedTimestamp\"";
    // The least that a pod takes, about.
    const POD: usize = 2_000;
    if let (Some(room), Some(at)) = (bytes.checked_sub(event.len()), event.find(BEFORE)) {
        let object = if room < POD {
            format!("{{\"kind\":\"Note\",\"text\":\"{}\"}}", "-".repeat(room.saturating_sub(50)))
        } else {
            bodies::pod(random, "shop", "app-1", u64::try_from(room).unwrap_or(u64::MAX))
        };
        event.insert_str(at, &format!("\"requestObject\":{object},"));
    }
    event
}

/// The first stage of a request as a bare event.
pub fn bare_first(request: &Request) -> Vec<u8> {
    request.event(Stage::Received, *START, true).into_bytes()
}

fn bytes(form: Form, events: &[Emitted]) -> String {
    let one = || events.first().map_or_else(String::new, |event| event.json(*START, true));
    let written = later(*START, events.last().map_or(0, |event| event.at_us));
    match form {
        Form::Bare => one(),
        Form::Vector => vector(&one(), later(written, 180_000)),
        Form::ElasticAgent => format!(
            r#"{{"@timestamp":"{written:.3}","@metadata":{{"beat":"filebeat","type":"_doc","version":"8.15.0"}},"agent":{{"type":"filebeat","version":"8.15.0"}},"ecs":{{"version":"8.0.0"}},"host":{{"name":"control-plane-1"}},"input":{{"type":"filestream"}},"log":{{"file":{{"path":"/var/log/kubernetes/audit.log"}},"offset":8398}},"data_stream":{{"type":"logs","dataset":"kubernetes.audit_logs","namespace":"default"}},"kubernetes":{{"audit":{}}}}}"#,
            one().replace("\"authorization.k8s.io/", "\"authorization_k8s_io/")
        ),
        Form::FluentBit => fluent_bit_line(&one(), written),
        Form::EventList => event_list(events, *START),
    }
}
