//! What is sent of an output: the whole; after its topic refused that as too large, something
//! shorter; and when nothing of it will do, a letter to the dead letters.
//!
//! Pure: a form is a function of the output, so nothing is kept for the case that hardly ever
//! comes. The forms of an output are a finite list, each smaller than the one before; only a
//! topic that refuses a record of a few hundred bytes gets to its end.

use std::borrow::Cow;

use rdkafka::types::RDKafkaErrorCode;

use crate::output::dead_letter::{self, Headers};
use crate::output::producer::{Output, OutputKind};
use crate::position::Position;

/// Sizes that shortened outputs are cut to, one after the other: below Kafka's default limit of
/// 1 MiB with room for headers, then far below what anybody sets; the last one means as small as
/// it can be.
const REDUCED_BELOW: [usize; 4] = [512 * 1024, 64 * 1024, 8 * 1024, 0];
/// Sizes that letters are cut to.
const LETTER_BELOW: [usize; 5] = [usize::MAX, 256 * 1024, 16 * 1024, 1024, 0];
/// From here on a letter also loses its key, where that is long, and the headers that are not ours.
const BARE_BELOW: usize = 1024;
const BARE_KEY_MAX_BYTES: usize = 64;

/// How the shapes of alerts and observations are known, without knowing them here.
#[derive(Clone, Copy)]
pub struct Shapes {
    /// A shorter form of a value, of that many bytes at most or as small as it can be; `None` when
    /// it has none.
    pub reduce: fn(OutputKind, &[u8], usize) -> Option<Vec<u8>>,
    /// Where the event stood that a value was made of.
    pub position: fn(OutputKind, &[u8]) -> Option<Position>,
}

/// Why an output becomes a dead letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    TooLarge,
    /// The broker found something wrong with the record itself.
    Refused(RDKafkaErrorCode),
}

impl Why {
    /// The class of the dead letter, and the label of its counter.
    pub fn class(self) -> &'static str {
        match self {
            Why::TooLarge => "output-too-large",
            Why::Refused(_) => "output-refused",
        }
    }

    fn text(self, output: &Output) -> String {
        let (kind, topic) = (output.kind.as_str(), &output.topic);
        match self {
            Why::TooLarge => format!("`{topic}` refuses the {kind}, however short, as too large"),
            Why::Refused(code) => format!("`{topic}` refuses the {kind}: {code}"),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    Whole,
    /// Shortened to that many bytes.
    Reduced(usize),
    /// To the dead letters, its value cut to that many bytes.
    Letter(Why, usize),
}

/// A form as a record.
#[derive(Debug)]
pub struct Body<'o> {
    pub topic: &'o str,
    pub partition: Option<i32>,
    pub key: Option<&'o [u8]>,
    pub payload: Option<Cow<'o, [u8]>>,
    pub headers: Cow<'o, Headers>,
    /// Something is missing: the record says so in a header.
    pub cut: bool,
}

impl Body<'_> {
    /// Bytes, as far as they are ours.
    pub fn size(&self) -> usize {
        self.key.map_or(0, <[u8]>::len)
            + self.payload.as_ref().map_or(0, |payload| payload.len())
            + headers_size(&self.headers)
    }
}

/// What a header takes beside its bytes: little on the wire, some in memory.
const HEADER_BYTES: usize = 32;

pub fn headers_size(headers: &Headers) -> usize {
    headers
        .iter()
        .map(|(name, value)| name.len() + value.as_ref().map_or(0, Vec::len) + HEADER_BYTES)
        .sum()
}

/// The record of a form; `None` when the output has no such form.
pub fn body<'o>(
    output: &'o Output,
    form: Form,
    dead_letters: &'o str,
    shapes: &Shapes,
) -> Option<Body<'o>> {
    let whole = Body {
        topic: &output.topic,
        partition: output.partition,
        key: output.key.as_deref(),
        payload: output.payload.as_deref().map(Cow::Borrowed),
        headers: Cow::Borrowed(&output.headers),
        cut: false,
    };
    match form {
        Form::Whole => Some(whole),
        Form::Reduced(below) => {
            let payload = (shapes.reduce)(output.kind, output.payload.as_deref()?, below)?;
            Some(Body { payload: Some(Cow::Owned(payload)), cut: true, ..whole })
        }
        Form::Letter(why, below) => Some(letter(output, why, below, dead_letters, shapes)),
    }
}

fn letter<'o>(
    output: &'o Output,
    why: Why,
    below: usize,
    dead_letters: &'o str,
    shapes: &Shapes,
) -> Body<'o> {
    let mut headers = if output.kind == OutputKind::DeadLetter {
        Cow::Borrowed(&output.headers)
    } else {
        let position =
            output.payload.as_deref().and_then(|payload| (shapes.position)(output.kind, payload));
        let text = why.text(output);
        Cow::Owned(dead_letter::headers_of(output, why.class(), &text, position.as_ref()))
    };
    let mut key = output.key.as_deref();
    let payload = output.payload.as_deref();
    let shown = payload.map(|payload| &payload[..below.min(payload.len())]);
    if below <= BARE_BELOW {
        key = key.filter(|key| key.len() <= BARE_KEY_MAX_BYTES);
        headers = Cow::Owned(dead_letter::ours(&headers));
    }
    Body {
        topic: dead_letters,
        partition: None,
        key,
        payload: shown.map(Cow::Borrowed),
        headers,
        cut: below <= BARE_BELOW || shown.map(<[u8]>::len) != payload.map(<[u8]>::len),
    }
}

/// The forms to try after `form`, largest first.
pub fn after(kind: OutputKind, form: Form, why: Why) -> Vec<Form> {
    let letters = |why: Why, below: usize| {
        LETTER_BELOW
            .into_iter()
            .filter(move |size| *size < below)
            .map(move |size| Form::Letter(why, size))
    };
    let whole_letter = LETTER_BELOW.into_iter().map(|size| Form::Letter(why, size));
    match (kind, form) {
        // A marker says what the log rests on: nothing can stand for it.
        (OutputKind::Marker, _) => Vec::new(),
        (_, Form::Letter(first, below)) => letters(first, below).collect(),
        (OutputKind::DeadLetter, _) => letters(why, usize::MAX).collect(),
        (_, Form::Whole | Form::Reduced(_)) if why != Why::TooLarge => whole_letter.collect(),
        (_, Form::Whole) => {
            REDUCED_BELOW.into_iter().map(Form::Reduced).chain(whole_letter).collect()
        }
        (_, Form::Reduced(below)) => REDUCED_BELOW
            .into_iter()
            .filter(|size| *size < below)
            .map(Form::Reduced)
            .chain(whole_letter)
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::producer::Ticket;

    const SHAPES: Shapes = Shapes {
        // Can't be cut below 1,000 bytes.
        reduce: |kind, value, below| {
            (kind == OutputKind::Alert).then(|| value[..below.max(1_000).min(value.len())].to_vec())
        },
        position: |_, _| {
            Some(Position::Kafka { topic: "audit".to_owned(), partition: 3, offset: 7, item: 1 })
        },
    };

    fn output(kind: OutputKind, size: usize) -> Output {
        Output {
            kind,
            topic: "alerts".into(),
            partition: Some(2),
            key: Some(b"the-key".to_vec()),
            payload: Some(vec![b'x'; size]),
            headers: vec![
                ("alert-id".to_owned(), Some(b"the-key".to_vec())),
                ("large".to_owned(), Some(vec![b'h'; 2_000])),
            ],
            reduced: None,
            ticket: Ticket { slot: 0, epoch: 0, offset: 0 },
            serial: 0,
        }
    }

    /// Topic and size of each form that is smaller than the one before.
    fn ladder(output: &Output, why: Why) -> Vec<(String, usize)> {
        let mut steps = vec![];
        let mut size = body(output, Form::Whole, "dead", &SHAPES).unwrap().size();
        for form in after(output.kind, Form::Whole, why) {
            let Some(body) = body(output, form, "dead", &SHAPES) else { continue };
            if body.topic == output.topic.as_ref() && body.size() >= size {
                continue;
            }
            size = body.size();
            steps.push((body.topic.to_owned(), body.payload.map_or(0, |payload| payload.len())));
        }
        steps
    }

    fn check(kind: OutputKind, size: usize, why: Why, expected: &[(&str, usize)]) {
        let steps = ladder(&output(kind, size), why);
        let steps: Vec<(&str, usize)> = steps.iter().map(|(t, s)| (t.as_str(), *s)).collect();
        assert_eq!(steps, expected, "{kind:?} of {size} bytes");
    }

    #[test]
    fn an_output_is_shortened_and_then_a_letter() {
        let alert = OutputKind::Alert;
        let large = [
            ("alerts", 512 * 1024),
            ("alerts", 64 * 1024),
            ("alerts", 8 * 1024),
            ("alerts", 1_000),
            ("dead", 2_000_000),
            ("dead", 256 * 1024),
            ("dead", 16 * 1024),
            ("dead", 1_024),
            ("dead", 0),
        ];
        check(alert, 2_000_000, Why::TooLarge, &large);
        let letters = [("dead", 900), ("dead", 900), ("dead", 900), ("dead", 900), ("dead", 0)];
        check(alert, 900, Why::TooLarge, &letters);
        check(alert, 900, Why::Refused(RDKafkaErrorCode::InvalidRecord), &letters);
        // It has no shorter form that means the same.
        check(OutputKind::Observation, 900, Why::TooLarge, &letters);
        let cut = [("dead", 256 * 1024), ("dead", 16 * 1024), ("dead", 1_024), ("dead", 0)];
        check(OutputKind::DeadLetter, 300_000, Why::TooLarge, &cut);
        check(OutputKind::Marker, 100, Why::TooLarge, &[]);
    }

    #[test]
    fn a_letter_says_what_it_was_and_why() {
        let output = output(OutputKind::Alert, 900);
        let text = |body: &Body<'_>, name: &str| {
            let header = body.headers.iter().find(|(key, _)| key == name);
            header.map(|(_, value)| String::from_utf8(value.clone().unwrap()).unwrap())
        };
        let whole =
            body(&output, Form::Letter(Why::TooLarge, usize::MAX), "dead", &SHAPES).unwrap();
        assert_eq!((whole.key, whole.partition, whole.cut), (Some(&b"the-key"[..]), None, false));
        assert!(text(&whole, "large").is_some());
        let bare = body(&output, Form::Letter(Why::TooLarge, 0), "dead", &SHAPES).unwrap();
        assert_eq!((bare.payload.as_deref(), bare.cut), (Some(&b""[..]), true));
        assert!(bare.size() < 800, "{}", bare.size());
        assert_eq!(text(&bare, "large"), None);
        for (name, value) in [
            ("kubetell-error-class", "output-too-large"),
            ("kubetell-error", "`alerts` refuses the alert, however short, as too large"),
            ("kubetell-topic", "audit"),
            ("kubetell-partition", "3"),
            ("kubetell-offset", "7"),
            ("kubetell-item", "1"),
            ("kubetell-size", "900"),
            ("kubetell-output", "alert"),
            ("kubetell-output-topic", "alerts"),
            ("kubetell-output-partition", "2"),
            ("alert-id", "the-key"),
        ] {
            assert_eq!(text(&whole, name).as_deref(), Some(value), "{name}");
            assert_eq!(text(&bare, name).as_deref(), Some(value), "{name}");
        }
        // A long key goes with the rest.
        let keyed = Output { key: Some(vec![b'k'; 5_000]), ..output };
        assert!(
            body(&keyed, Form::Letter(Why::TooLarge, 0), "dead", &SHAPES).unwrap().key.is_none()
        );
    }

    #[test]
    fn the_forms_of_anything_come_to_an_end() {
        for kind in [OutputKind::Alert, OutputKind::Observation, OutputKind::DeadLetter] {
            let mut form = Form::Whole;
            let mut steps = 0;
            while let Some(next) = after(kind, form, Why::TooLarge).first() {
                form = *next;
                steps += 1;
                assert!(steps < 20, "{kind:?}");
            }
            assert_eq!(form, Form::Letter(Why::TooLarge, 0));
        }
    }
}
