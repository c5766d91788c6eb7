//! JSON of which it is known that it is UTF-8, read in one pass.
//!
//! Owns the fast way from a text to values. It takes no text that serde_json would not take, and gives
//! the same values; what it does not take, for whatever reason, it only refuses. Then serde_json reads
//! it again, and says what is wrong and where, if anything is.
//!
//! Strings take most of the bytes of an event: they are searched in blocks, and those that have
//! escapes are written once.

use std::borrow::Cow;
use std::fmt;

use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::forward_to_deserialize_any;

/// serde_json reads no more lists and objects within each other.
const MAX_DEPTH: usize = 127;
/// Whole numbers with so many digits are read here.
const DIGITS_MAX: usize = 18;
/// Bytes that a string with escapes may take beside half its length.
const ROOM: usize = 16;
const SPAN: &str = "kubetell::envelope::Span";

/// Something is not as expected, or not worth reading here.
#[derive(Debug)]
pub(super) struct Refused;

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the text was not read")
    }
}

impl std::error::Error for Refused {}

impl de::Error for Refused {
    fn custom<T: fmt::Display>(_: T) -> Self {
        Refused
    }
    fn invalid_type(_: de::Unexpected<'_>, _: &dyn de::Expected) -> Self {
        Refused
    }
}

/// A value as it stands in the text: JSON. Only [`Json`] gives it.
pub(super) struct Span<'a>(pub(super) &'a str);

impl<'de> de::Deserialize<'de> for Span<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct SpanVisitor;
        impl<'de> Visitor<'de> for SpanVisitor {
            type Value = Span<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a value")
            }
            fn visit_borrowed_str<E: de::Error>(self, json: &'de str) -> Result<Span<'de>, E> {
                Ok(Span(json))
            }
        }
        deserializer.deserialize_newtype_struct(SPAN, SpanVisitor)
    }
}

/// A place in a text. After an error it only tells how far the text was looked at.
pub(super) struct Json<'de> {
    text: &'de str,
    at: usize,
    /// So many lists and objects may still be within each other.
    depth_left: usize,
}

impl<'de> Json<'de> {
    /// From the beginning of a text, in so many lists and objects.
    pub(super) fn new(text: &'de str, depth: usize) -> Json<'de> {
        Json { text, at: 0, depth_left: MAX_DEPTH.saturating_sub(depth) }
    }

    /// How far it was read.
    pub(super) fn at(&self) -> usize {
        self.at
    }

    fn byte(&self) -> Result<u8, Refused> {
        self.text.as_bytes().get(self.at).copied().ok_or(Refused)
    }

    /// The next byte that is no blank.
    #[inline]
    fn peek(&mut self) -> Result<u8, Refused> {
        loop {
            match self.byte()? {
                b' ' | b'\n' | b'\t' | b'\r' => self.at += 1,
                byte => return Ok(byte),
            }
        }
    }

    #[inline]
    fn take(&mut self, byte: u8) -> Result<(), Refused> {
        if self.peek()? != byte {
            return Err(Refused);
        }
        self.at += 1;
        Ok(())
    }

    fn literal(&mut self, literal: &str) -> Result<(), Refused> {
        let rest = self.text.as_bytes().get(self.at..).ok_or(Refused)?;
        if !rest.starts_with(literal.as_bytes()) {
            return Err(Refused);
        }
        self.at += literal.len();
        Ok(())
    }

    /// The text from `begin` up to a byte that ends a run within a string, which is passed.
    #[inline]
    fn run(&mut self) -> Result<(&'de str, u8), Refused> {
        let begin = self.at;
        let rest = self.text.as_bytes().get(begin..).ok_or(Refused)?;
        let length = plain_run(rest);
        self.at = begin + length;
        let end = *rest.get(length).ok_or(Refused)?;
        self.at += 1;
        Ok((self.text.get(begin..begin + length).ok_or(Refused)?, end))
    }

    /// A string behind its opening quote.
    #[inline]
    fn string(&mut self) -> Result<Cow<'de, str>, Refused> {
        let (run, end) = self.run()?;
        match end {
            b'"' => Ok(Cow::Borrowed(run)),
            b'\\' => self.escaped(run).map(Cow::Owned),
            _ => Err(Refused),
        }
    }

    /// A string with escapes, behind the backslash of the first one.
    fn escaped(&mut self, run: &str) -> Result<String, Refused> {
        let mut text = String::with_capacity(run.len() + ROOM);
        text.push_str(run);
        loop {
            text.push(self.escape()?);
            // Texts of documents have them close to each other.
            let (run, end) = self.run()?;
            text.push_str(run);
            match end {
                b'"' => break,
                b'\\' => {}
                _ => return Err(Refused),
            }
        }
        // It may be one of millions, and all are kept.
        if text.capacity() > text.len() + text.len() / 2 + ROOM {
            text.shrink_to_fit();
        }
        Ok(text)
    }

    fn escape(&mut self) -> Result<char, Refused> {
        let byte = self.byte()?;
        self.at += 1;
        Ok(match byte {
            b'"' | b'\\' | b'/' => char::from(byte),
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => {
                let unit = self.unit()?;
                if !(0xd800..0xe000).contains(&unit) {
                    return char::from_u32(unit).ok_or(Refused);
                }
                self.literal("\\u")?;
                let second = self.unit()?;
                if unit >= 0xdc00 || !(0xdc00..0xe000).contains(&second) {
                    return Err(Refused);
                }
                let code = 0x1_0000 + ((unit - 0xd800) << 10) + (second - 0xdc00);
                return char::from_u32(code).ok_or(Refused);
            }
            _ => return Err(Refused),
        })
    }

    /// Four hexadecimal digits.
    fn unit(&mut self) -> Result<u32, Refused> {
        let digits = self.text.as_bytes().get(self.at..self.at + 4).ok_or(Refused)?;
        self.at += 4;
        digits.iter().try_fold(0, |unit, digit| {
            char::from(*digit).to_digit(16).map(|digit| unit << 4 | digit).ok_or(Refused)
        })
    }

    /// The rest of a string that is not kept. Of escapes only the form counts.
    fn skip_string(&mut self) -> Result<(), Refused> {
        loop {
            match self.run()?.1 {
                b'"' => return Ok(()),
                b'\\' => match self.byte()? {
                    b'u' => {
                        self.at += 1;
                        self.unit()?;
                    }
                    b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => self.at += 1,
                    _ => return Err(Refused),
                },
                _ => return Err(Refused),
            }
        }
    }

    fn digits(&mut self) -> Result<usize, Refused> {
        let rest = self.text.as_bytes().get(self.at..).ok_or(Refused)?;
        let count = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        self.at += count;
        if count == 0 { Err(Refused) } else { Ok(count) }
    }

    fn has(&mut self, any: &[u8]) -> bool {
        let has = self.byte().is_ok_and(|byte| any.contains(&byte));
        self.at += usize::from(has);
        has
    }

    /// A number, and how many digits it has if it is a whole one without a sign.
    fn number(&mut self) -> Result<(&'de str, Option<usize>), Refused> {
        let begin = self.at;
        let mut is_whole = !self.has(b"-");
        let is_zero = self.byte()? == b'0';
        let count = self.digits()?;
        if is_zero && count > 1 {
            return Err(Refused);
        }
        if self.has(b".") {
            is_whole = false;
            self.digits()?;
        }
        if self.has(b"eE") {
            is_whole = false;
            self.has(b"+-");
            self.digits()?;
        }
        let text = self.text.get(begin..self.at).ok_or(Refused)?;
        Ok((text, is_whole.then_some(count)))
    }

    /// A value that is not kept.
    fn skip(&mut self) -> Result<(), Refused> {
        // One bit for each list or object that is open, the last one lowest; set for an object.
        let mut open = 0_u128;
        let mut depth = 0;
        loop {
            match self.peek()? {
                b'"' => {
                    self.at += 1;
                    self.skip_string()?;
                }
                begin @ (b'{' | b'[') => {
                    self.at += 1;
                    // The closing one stands two behind in ASCII.
                    if self.peek()? == begin + 2 {
                        self.at += 1;
                    } else if depth == MAX_DEPTH {
                        return Err(Refused);
                    } else {
                        depth += 1;
                        open = open << 1 | u128::from(begin == b'{');
                        if begin == b'{' {
                            self.skip_key()?;
                        }
                        continue;
                    }
                }
                b't' => self.literal("true")?,
                b'f' => self.literal("false")?,
                b'n' => self.literal("null")?,
                _ => drop(self.number()?),
            }
            loop {
                if depth == 0 {
                    return Ok(());
                }
                let is_object = open & 1 == 1;
                match (self.peek()?, is_object) {
                    (b',', _) => {
                        self.at += 1;
                        if is_object {
                            self.skip_key()?;
                        }
                        break;
                    }
                    (b'}', true) | (b']', false) => {
                        self.at += 1;
                        open >>= 1;
                        depth -= 1;
                    }
                    _ => return Err(Refused),
                }
            }
        }
    }

    fn skip_key(&mut self) -> Result<(), Refused> {
        self.take(b'"')?;
        self.skip_string()?;
        self.take(b':')
    }

    /// What is in a list or an object, behind its beginning; all of it must be asked for.
    fn within<T>(
        &mut self,
        read: impl FnOnce(&mut Elements<'_, 'de>) -> Result<T, Refused>,
    ) -> Result<T, Refused> {
        self.at += 1;
        self.depth_left = self.depth_left.checked_sub(1).ok_or(Refused)?;
        let mut elements = Elements { json: self, is_first: true, is_over: false };
        let value = read(&mut elements)?;
        if !elements.is_over {
            return Err(Refused);
        }
        self.depth_left += 1;
        Ok(value)
    }
}

impl<'de> Deserializer<'de> for &mut Json<'de> {
    type Error = Refused;

    #[inline]
    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refused> {
        match self.peek()? {
            b'"' => {
                self.at += 1;
                match self.string()? {
                    Cow::Borrowed(text) => visitor.visit_borrowed_str(text),
                    Cow::Owned(text) => visitor.visit_string(text),
                }
            }
            b'{' => self.within(|members| visitor.visit_map(members)),
            b'[' => self.within(|elements| visitor.visit_seq(elements)),
            b't' => {
                self.literal("true")?;
                visitor.visit_bool(true)
            }
            b'f' => {
                self.literal("false")?;
                visitor.visit_bool(false)
            }
            b'n' => {
                self.literal("null")?;
                visitor.visit_unit()
            }
            _ => match self.number()? {
                (text, Some(..=DIGITS_MAX)) => {
                    visitor.visit_u64(text.parse().map_err(|_| Refused)?)
                }
                (text, _) => {
                    let mut number = serde_json::Deserializer::from_str(text);
                    number.deserialize_any(visitor).map_err(|_| Refused)
                }
            },
        }
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refused> {
        self.skip()?;
        visitor.visit_unit()
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refused> {
        if self.peek()? != b'n' {
            return visitor.visit_some(self);
        }
        self.literal("null")?;
        visitor.visit_none()
    }

    /// A [`Span`], or what of serde_json's knows itself by such a name.
    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Refused> {
        self.peek()?;
        let begin = self.at;
        self.skip()?;
        let json = self.text.get(begin..self.at).ok_or(Refused)?;
        if name == SPAN {
            return visitor.visit_borrowed_str(json);
        }
        let mut value = serde_json::Deserializer::from_str(json);
        value.deserialize_newtype_struct(name, visitor).map_err(|_| Refused)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit
        unit_struct seq tuple tuple_struct map struct enum identifier
    }
}

/// A list or an object that is open.
struct Elements<'j, 'de> {
    json: &'j mut Json<'de>,
    is_first: bool,
    is_over: bool,
}

impl Elements<'_, '_> {
    /// Whether there is another one, before which the text then stands.
    #[inline]
    fn has_next(&mut self, end: u8) -> Result<bool, Refused> {
        let byte = self.json.peek()?;
        if byte == end && !self.is_over {
            self.json.at += 1;
            self.is_over = true;
            return Ok(false);
        }
        if !std::mem::take(&mut self.is_first) {
            self.json.take(b',')?;
        }
        Ok(true)
    }
}

impl<'de> SeqAccess<'de> for Elements<'_, 'de> {
    type Error = Refused;
    #[inline]
    fn next_element_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, Refused> {
        if self.has_next(b']')? { seed.deserialize(&mut *self.json).map(Some) } else { Ok(None) }
    }
}

impl<'de> MapAccess<'de> for Elements<'_, 'de> {
    type Error = Refused;
    #[inline]
    fn next_key_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, Refused> {
        if self.has_next(b'}')? { seed.deserialize(Name(self.json)).map(Some) } else { Ok(None) }
    }
    #[inline]
    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Refused> {
        self.json.take(b':')?;
        seed.deserialize(&mut *self.json)
    }
}

/// The name of a member of an object, which is read whether it is kept or not.
struct Name<'j, 'de>(&'j mut Json<'de>);

impl<'de> Deserializer<'de> for Name<'_, 'de> {
    type Error = Refused;

    #[inline]
    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refused> {
        self.0.take(b'"')?;
        match self.0.string()? {
            Cow::Borrowed(text) => visitor.visit_borrowed_str(text),
            Cow::Owned(text) => visitor.visit_string(text),
        }
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option
        unit unit_struct newtype_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

/// How many bytes stand before the first one that ends a run within a string: a quote, a backslash, or
/// what may not stand there. All of them if there is none.
#[inline]
fn plain_run(text: &[u8]) -> usize {
    // Most end soon, and a block takes longer to look at.
    const WORDS_FIRST: usize = 3;
    const BLOCK: usize = 32;
    let (words, _) = text.as_chunks::<8>();
    for (nth, word) in words.iter().take(WORDS_FIRST).enumerate() {
        if let Some(at) = end_in(*word) {
            return 8 * nth + at;
        }
    }
    let mut at = 8 * words.len().min(WORDS_FIRST);
    if let Some(rest) = text.get(at..) {
        let (blocks, _) = rest.as_chunks::<BLOCK>();
        at += BLOCK * blocks.iter().take_while(|block| !has_end(block)).count();
    }
    let rest = text.get(at..).unwrap_or_default();
    let (words, _) = rest.as_chunks::<8>();
    for (nth, word) in words.iter().enumerate() {
        if let Some(found) = end_in(*word) {
            return at + 8 * nth + found;
        }
    }
    at += 8 * words.len();
    let rest = text.get(at..).unwrap_or_default();
    at + rest.iter().position(is_end).unwrap_or(rest.len())
}

fn is_end(byte: &u8) -> bool {
    matches!(byte, b'"' | b'\\' | ..b' ')
}

/// Whether any byte ends a run. No byte is passed by early, so that they are compared by vectors.
#[inline]
fn has_end<const N: usize>(block: &[u8; N]) -> bool {
    block.iter().fold(false, |any, byte| any | (*byte == b'"') | (*byte == b'\\') | (*byte < b' '))
}

/// Where the first byte stands that ends a run.
#[inline]
fn end_in(word: [u8; 8]) -> Option<usize> {
    const EACH: u64 = u64::from_le_bytes([1; 8]);
    const HIGH: u64 = EACH << 7;
    let word = u64::from_le_bytes(word);
    // Where a byte of the difference is below zero, its highest bit gets set; what is borrowed from
    // the next one only ever sets those above the first.
    let below = |word: u64, least: u8| word.wrapping_sub(EACH * u64::from(least)) & !word;
    let is = |byte: u8| below(word ^ (EACH * u64::from(byte)), 1);
    let found = (is(b'"') | is(b'\\') | below(word, b' ')) & HIGH;
    (found != 0).then(|| found.trailing_zeros() as usize / 8)
}

#[cfg(test)]
#[path = "text_tests.rs"]
mod tests;
