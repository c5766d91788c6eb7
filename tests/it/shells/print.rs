//! Commands that print a text: `echo`, `printf`, and what undoes an encoding.

use super::script::{Dialect, Generator};
use super::spell::Place;

impl Generator<'_> {
    /// A command that prints the text, with a newline behind it or without.
    pub fn printed(&mut self, text: &str) -> String {
        if self.fuel == 0 {
            return format!("printf %s {text}");
        }
        self.fuel -= 1;
        match self.choices.below(10) {
            1 => self.printf(text),
            2 => self.cut_out(text),
            3 => self.translated(text),
            4 => self.decoded(text),
            5 => self.picked_line(text),
            6 => self.by_language(text),
            7 => self.in_parts(text),
            8 if self.allows(Dialect::Ash) => {
                let octal: String = text.chars().map(|c| format!("\\x{:02x}", c as u32)).collect();
                format!("echo -e '{octal}'")
            }
            9 => {
                let name = self.name();
                format!("{name}() {{ echo {}; }}; {name}", self.word(text, Place::Single))
            }
            _ => format!("echo {}", self.word(text, Place::Single)),
        }
    }

    /// A command that prints the text as a line.
    pub fn printed_line(&mut self, text: &str) -> String {
        match self.choices.below(4) {
            1 => format!("printf '%s\\n' {}", self.word(text, Place::Single)),
            2 => {
                format!("echo $({})", self.substitutable(text))
            }
            _ => format!("echo {}", self.word(text, Place::Single)),
        }
    }

    fn printf(&mut self, text: &str) -> String {
        let octal = |text: &str| -> String {
            text.chars().map(|c| format!("\\{:03o}", c as u32)).collect()
        };
        match self.choices.below(7) {
            1 => format!("printf '{}'", octal(text)),
            2 => format!(
                "printf %b '{}'",
                text.chars().map(|c| format!("\\0{:03o}", c as u32)).collect::<String>()
            ),
            3 => {
                let at = self.choices.below(text.len());
                format!("printf %s%s '{}' \"{}\"", &text[..at], &text[at..])
            }
            4 => format!("printf '%s\\n' {}", self.word(text, Place::Single)),
            5 => {
                let letters = text.chars().map(|c| c.to_string()).collect::<Vec<_>>().join(" ");
                format!("printf %s {letters}")
            }
            6 if self.allows(Dialect::Ash) => {
                let hex: String = text.chars().map(|c| format!("\\x{:02x}", c as u32)).collect();
                format!("printf '{hex}'")
            }
            _ => format!("printf %s {}", self.word(text, Place::Single)),
        }
    }

    fn cut_out(&mut self, text: &str) -> String {
        let kind = self.choices.below(9);
        // Where a comma separates, the text has none.
        let kind = if text.contains(',') { 1 } else { kind };
        match kind {
            1 => format!("echo zz{text} | cut -c3-"),
            2 => format!("echo zz{text}zz | cut -c3-{}", text.len() + 2),
            3 => format!("echo a {text} b | awk '{{print $2}}'"),
            4 => format!("echo a,{text},b | awk -F, '{{print $2}}'"),
            5 => format!("echo {text}zz | head -c {}", text.len()),
            6 => format!("echo a b {text} | {{ read _ _ x; echo $x; }}"),
            7 => format!("echo zz{text} | sed 's/^zz//'"),
            8 => format!("echo zz{text} | tail -c {}", text.len() + 1),
            _ => format!("echo a,{text},b | cut -d, -f2"),
        }
    }

    fn translated(&mut self, text: &str) -> String {
        let reversed: String = text.chars().rev().collect();
        let rotated: String = text
            .chars()
            .map(|c| match c {
                'a'..='z' => char::from((c as u8 - b'a' + 13) % 26 + b'a'),
                'A'..='Z' => char::from((c as u8 - b'A' + 13) % 26 + b'A'),
                other => other,
            })
            .collect();
        let kind = self.choices.below(8);
        // Where a comma stands for something else, the text has none.
        let kind = if text.contains(',') { 1 } else { kind };
        match kind {
            1 => format!("echo {rotated} | tr a-zA-Z n-za-mN-ZA-M"),
            2 => format!("echo {} | tr , /", text.replace('/', ",")),
            3 => {
                let stuffed: String = text.chars().map(|c| format!("{c},")).collect();
                format!("echo {stuffed} | tr -d ,")
            }
            4 => format!("echo {} | sed 's/,/\\//g'", text.replace('/', ",")),
            5 => format!("echo {} | sed 'y|,|/|'", text.replace('/', ",")),
            6 if !text.contains(|c: char| c.is_ascii_uppercase()) => {
                format!("echo {} | tr A-Z a-z", text.to_uppercase())
            }
            7 => format!("echo {reversed} | rev | tr -d Z"),
            _ => format!("echo {reversed} | rev"),
        }
    }

    fn decoded(&mut self, text: &str) -> String {
        let hex: String = text.bytes().map(|byte| format!("{byte:02x}")).collect();
        match self.choices.below(5) {
            1 => format!("echo {hex} | xxd -r -p"),
            2 => format!("base64 -d <<E64\n{}\nE64\n", base64(text)),
            3 => {
                let twice = base64(&format!("{}\n", base64(text)));
                // busybox does not know the long option.
                let option = if self.is(Dialect::Bash) { "--decode" } else { "-d" };
                format!("echo {twice} | base64 -d | base64 {option}")
            }
            4 if self.is(Dialect::Bash) => format!("base64 -d <<< {}", base64(text)),
            _ => format!("echo {} | base64 -d", base64(text)),
        }
    }

    fn picked_line(&mut self, text: &str) -> String {
        let end = self.name();
        match self.choices.below(7) {
            1 => format!("printf 'a\\n%s\\n' {text} | tail -n1"),
            2 => format!("printf 'a\\n%s\\nb\\n' {text} | sed -n 2p"),
            3 => format!("cat <<{end}\n{}\n{end}\n", self.word(text, Place::Quoted)),
            4 => format!("cat <<'{end}'\n{text}\n{end}\n"),
            5 => format!("printf '%s\\nZZ\\n' {text} | grep -v ZZ"),
            6 => format!("cat <<-{end} | cat\n\t{text}\n\t{end}\n"),
            _ => format!("printf '%s\\nb\\n' {text} | head -n 1"),
        }
    }

    fn by_language(&mut self, text: &str) -> String {
        let at = self.choices.below(text.len());
        let (first, second) = text.split_at(at);
        let kind = self.choices.below(5);
        // Every string of another language's code is told.
        self.pure &= kind > 2;
        match kind {
            1 => format!("awk 'BEGIN {{ print \"{first}\" \"{second}\" }}'"),
            2 => format!("awk -v a={text} 'BEGIN {{ printf \"%s\", a }}'"),
            3 if !text.contains('/') => format!("basename /zz/{text}"),
            4 => format!("expr x{text} : 'x\\(.*\\)'"),
            _ => format!("awk 'BEGIN {{ print \"{text}\" }}'"),
        }
    }

    fn in_parts(&mut self, text: &str) -> String {
        let at = self.choices.below(text.len());
        let (first, second) = text.split_at(at);
        let first = if first.is_empty() { "''".to_owned() } else { first.to_owned() };
        match self.choices.below(6) {
            1 => format!("{{ printf %s {first}; printf %s {second}; }}"),
            2 => format!("(printf %s {first}; echo {second})"),
            3 => format!("printf %s {first} && printf %s {second}"),
            4 => format!("printf %s {first}; printf %s {second} | cat"),
            5 => format!("for x in {first} {second}; do printf %s $x; done"),
            _ => format!("printf %s {first}; printf %s {second}"),
        }
    }
}

/// As RFC 4648 has it.
pub fn base64(text: &str) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for chunk in text.as_bytes().chunks(3) {
        let mut group = [0; 3];
        group[..chunk.len()].copy_from_slice(chunk);
        let bits = u32::from(group[0]) << 16 | u32::from(group[1]) << 8 | u32::from(group[2]);
        for at in 0..4 {
            if at <= chunk.len() {
                out.push(char::from(ALPHABET[(bits >> (18 - 6 * at)) as usize & 63]));
            } else {
                out.push('=');
            }
        }
    }
    out
}
