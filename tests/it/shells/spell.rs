//! Ways to spell a text: quotes, variables and their operators, arithmetic, substitutions.
//!
//! A text to be spelled holds letters, digits and `/ . _ -`; no way of spelling it depends on what
//! the file system holds.

use super::script::{Dialect, Generator};

/// Where a word stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// It may become several words.
    Command,
    /// It stays one: an assignment, a redirection.
    Single,
    /// Inside double quotes, which are around it already.
    Quoted,
}

impl Generator<'_> {
    /// Spells a text; what has to be run first goes to `before`.
    pub fn word(&mut self, text: &str, place: Place) -> String {
        if text.is_empty() {
            return if place == Place::Quoted { String::new() } else { "''".to_owned() };
        }
        let mut out = String::new();
        let mut bare = false;
        for part in self.split(text) {
            let piece = self.piece(&part, place);
            // `$a` followed by `b` is another variable, also by way of `{b,c}`.
            let goes_on = piece.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_');
            if bare && (goes_on || piece.starts_with("\\\n") || piece.starts_with('{')) {
                out.push_str("''");
            }
            bare = piece.rfind('$').is_some_and(|at| {
                let name = &piece[at + 1..];
                !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
            });
            out.push_str(&piece);
        }
        out
    }

    /// One to three parts that are not empty.
    fn split(&mut self, text: &str) -> Vec<String> {
        let mut parts = vec![text.to_owned()];
        if self.fuel == 0 {
            return parts;
        }
        for _ in 0..self.choices.below(3) {
            let last = parts.pop().unwrap();
            if last.len() < 2 {
                parts.push(last);
                break;
            }
            let at = 1 + self.choices.below(last.len() - 1);
            parts.push(last[..at].to_owned());
            parts.push(last[at..].to_owned());
        }
        parts
    }

    fn piece(&mut self, text: &str, place: Place) -> String {
        if self.fuel == 0 {
            return text.to_owned();
        }
        let kind = self.choices.below(16);
        if kind == 0 {
            return text.to_owned();
        }
        self.fuel -= 1;
        match kind {
            1..=4 if place != Place::Quoted => self.quoted_piece(text),
            1 | 5 | 6 => self.variable(text, place),
            2 | 7 => self.default_value(text, place),
            3 | 8 | 9 => self.operator(text, place),
            10 | 11 => self.substitution(text, place),
            12 => self.positional(text, place),
            4 | 13 => self.element(text, place),
            14 => self.number(text, place),
            _ if place == Place::Command && self.is(Dialect::Bash) => self.braces(text),
            _ => self.variable(text, place),
        }
    }

    fn quoted_piece(&mut self, text: &str) -> String {
        match self.choices.below(6) {
            0 => format!("'{text}'"),
            1 => format!("\"{text}\""),
            2 => text.chars().map(|c| format!("\\{c}")).collect(),
            3 => {
                // Empty quotes, and a line continuation.
                let at = self.choices.below(text.len());
                let between = self.choices.pick(&["''", "\"\"", "\\\n", "$''"]);
                let between =
                    if between == "$''" && !self.allows(Dialect::Ash) { "''" } else { between };
                format!("{}{between}{}", &text[..at], &text[at..])
            }
            4 if self.allows(Dialect::Ash) => self.ansi(text),
            4 => format!("'{text}'"),
            _ => {
                let inside = self.word(text, Place::Quoted);
                format!("\"{inside}\"")
            }
        }
    }

    /// `$'…'` with any of its escapes.
    pub fn ansi(&mut self, text: &str) -> String {
        let bash = self.is(Dialect::Bash);
        let mut out = String::from("$'");
        for character in text.chars() {
            let code = character as u32;
            match self.choices.below(if bash { 6 } else { 4 }) {
                1 if code < 128 => out.push_str(&format!("\\x{code:02x}")),
                2 if code < 128 => out.push_str(&format!("\\{code:03o}")),
                4 if code < 128 => out.push_str(&format!("\\u{code:04x}")),
                5 if code < 128 => out.push_str(&format!("\\U{code:08x}")),
                _ => match character {
                    '\n' => out.push_str("\\n"),
                    '\'' => out.push_str("\\'"),
                    '\\' => out.push_str("\\\\"),
                    other => out.push(other),
                },
            }
        }
        out.push('\'');
        out
    }

    /// Any text as one word that means it.
    pub fn quote(&mut self, text: &str) -> String {
        match self.choices.below(4) {
            1 => {
                let mut out = String::from("\"");
                for character in text.chars() {
                    if matches!(character, '\\' | '"' | '$' | '`') {
                        out.push('\\');
                    }
                    out.push(character);
                }
                out.push('"');
                out
            }
            2 if self.allows(Dialect::Ash) => self.ansi(text),
            3 if !text.contains('\n') => text
                .chars()
                .map(|c| match c {
                    c if c.is_ascii_alphanumeric() => c.to_string(),
                    c if c.is_ascii() => format!("\\{c}"),
                    c => c.to_string(),
                })
                .collect(),
            _ => format!("'{}'", text.replace('\'', r"'\''")),
        }
    }

    /// A variable that has the value, and its name.
    pub fn assigned(&mut self, value: &str) -> String {
        let name = self.name();
        let bash = self.is(Dialect::Bash);
        let statement = match self.choices.below(18) {
            1 => format!("export {name}={}", self.word(value, Place::Single)),
            2 => format!("{name}='{value}'"),
            3 => format!("{name}=$({})", self.substitutable(value)),
            4 => format!(": ${{{name}:={value}}}"),
            5 => format!("read {name} <<E{name}\n{}\nE{name}", self.word(value, Place::Quoted)),
            6 => format!("for {name} in {}; do :; done", self.word(value, Place::Single)),
            7 => {
                let assignment = format!("{name}={value}");
                format!("eval {}", self.quote(&assignment))
            }
            8 => {
                let at = self.choices.below(value.len().max(1));
                let second = self.word(&value[at..], Place::Single);
                format!("{name}={}; {name}=${{{name}}}{second}", &value[..at])
            }
            9 => {
                let other = self.name();
                let scratch = self.scratch();
                let printed = self.printed_line(value);
                format!("{printed} > {scratch}; read {other} < {scratch}; {name}=${other}")
            }
            10 => format!("IFS=: read _ {name} _ <<E{name}\nx:{value}:y\nE{name}"),
            11 => format!("case {value} in *) {name}={};; esac", self.word(value, Place::Single)),
            12 if bash => format!("printf -v {name} %s {}", self.word(value, Place::Single)),
            13 if bash => format!("{name}=; {name}+={}", self.word(value, Place::Single)),
            14 if bash => format!("declare {name}={}", self.word(value, Place::Single)),
            15 if bash => format!("read -r {name} <<< {}", self.word(value, Place::Single)),
            16 if bash => format!("read {name} < <({})", self.printed_line(value)),
            17 => {
                let function = self.name();
                format!("{function}() {{ {name}=$1; }}; {function} {value}")
            }
            _ => format!("{name}={}", self.word(value, Place::Single)),
        };
        self.before.push(statement);
        name
    }

    fn variable(&mut self, text: &str, place: Place) -> String {
        let name = self.assigned(text);
        match self.choices.below(5) {
            1 => format!("${{{name}}}"),
            2 if place != Place::Quoted => format!("\"${name}\""),
            3 if self.is(Dialect::Bash) => {
                let pointer = self.name();
                self.before.push(format!("{pointer}={name}"));
                format!("${{!{pointer}}}")
            }
            4 if self.is(Dialect::Bash) => {
                let pointer = self.name();
                self.before.push(format!("declare -n {pointer}={name}"));
                format!("${{{pointer}}}")
            }
            _ if place == Place::Quoted => format!("${{{name}}}"),
            _ => format!("${name}"),
        }
    }

    fn default_value(&mut self, text: &str, place: Place) -> String {
        let unset = self.name();
        // The word after the operator stands in the quotes that are around it.
        let quotes = place != Place::Quoted && self.choices.chance(30);
        let inside = if quotes || place == Place::Quoted { Place::Quoted } else { Place::Single };
        let inner = self.word(text, inside);
        let expansion = match self.choices.below(7) {
            1 => format!("${{{unset}-{inner}}}"),
            2 => {
                self.before.push(format!("{unset}=x"));
                format!("${{{unset}:+{inner}}}")
            }
            3 => {
                self.before.push(format!("{unset}="));
                format!("${{{unset}+{inner}}}")
            }
            4 => format!("${{{unset}={inner}}}"),
            5 => {
                let name = self.assigned(text);
                format!("${{{name}?}}")
            }
            6 => {
                let name = self.assigned(text);
                format!("${{{name}:-/dev/null}}")
            }
            _ => format!("${{{unset}:-{inner}}}"),
        };
        if quotes { format!("\"{expansion}\"") } else { expansion }
    }

    /// With quotes around it now and then.
    fn in_quotes(&mut self, expansion: String, place: Place) -> String {
        if place != Place::Quoted && self.choices.chance(30) {
            format!("\"{expansion}\"")
        } else {
            expansion
        }
    }

    fn operator(&mut self, text: &str, place: Place) -> String {
        let junk = self.choices.pick(&["zz", "Q", "x7", "zQz"]);
        let kind = self.choices.below(if self.allows(Dialect::Ash) { 20 } else { 8 });
        // Some of them take a comma for their own.
        let kind = if text.contains(',') { 1 } else { kind };
        let expansion = match kind {
            1 => {
                let name = self.assigned(&format!("{text}{junk}"));
                format!("${{{name}%{junk}}}")
            }
            2 => {
                let name = self.assigned(&format!("a,b,{text}"));
                format!("${{{name}##*,}}")
            }
            3 => {
                let name = self.assigned(&format!("{text},b,c"));
                format!("${{{name}%%,*}}")
            }
            4 => {
                let name = self.assigned(&format!("{junk}{text}"));
                format!("${{{name}#{}}}", "?".repeat(junk.len()))
            }
            5 => {
                let name = self.assigned(&format!("b,{text}"));
                format!("${{{name}#[a-c],}}")
            }
            6 => {
                let name = self.assigned(&format!("{text},,"));
                format!("${{{name}%%[!a-zA-Z0-9/._-]*}}")
            }
            7 => {
                let (name, cut) = (self.assigned(&format!("{junk}{text}")), self.assigned(junk));
                format!("${{{name}#\"${cut}\"}}")
            }
            8 => {
                let name = self.assigned(&format!("{junk}{text}{junk}"));
                format!("${{{name}:{}:{}}}", junk.len(), text.len())
            }
            9 => {
                let name = self.assigned(&format!("{junk}{text}"));
                format!("${{{name}:{}}}", junk.len())
            }
            10 => {
                let name = self.assigned(&format!("{junk}{text}"));
                format!("${{{name}: -{}}}", text.len())
            }
            11 => {
                let name = self.assigned(&format!("{text}{junk}"));
                format!("${{{name}/{junk}/}}")
            }
            12 => {
                let stuffed: String = text.chars().map(|c| format!("{c},")).collect();
                let name = self.assigned(&stuffed);
                format!("${{{name}//,/}}")
            }
            13 if !text.contains("ab") && text.contains('/') => {
                let name = self.assigned(&text.replace('/', ","));
                format!("${{{name}//,/\\/}}")
            }
            14 if self.is(Dialect::Bash) => {
                let name = self.assigned(&format!("{junk}{text}"));
                format!("${{{name}/#{junk}}}")
            }
            15 if self.is(Dialect::Bash) => {
                let name = self.assigned(&format!("{text}{junk}"));
                format!("${{{name}/%{junk}/}}")
            }
            16 if self.is(Dialect::Bash) && !text.contains(|c: char| c.is_ascii_uppercase()) => {
                let name = self.assigned(&text.to_uppercase());
                match self.choices.below(2) {
                    0 => format!("${{{name},,}}"),
                    _ => format!("${{{name}@L}}"),
                }
            }
            17 if self.is(Dialect::Bash) && !text.contains(|c: char| c.is_ascii_lowercase()) => {
                let name = self.assigned(&text.to_lowercase());
                format!("${{{name}^^}}")
            }
            18 if self.is(Dialect::Bash) => {
                let octal: String = text.chars().map(|c| format!("\\{:03o}", c as u32)).collect();
                let name = self.name();
                self.before.push(format!("{name}='{octal}'"));
                format!("${{{name}@E}}")
            }
            19 if self.is(Dialect::Bash) => {
                let name = self.assigned(&format!("{junk}{text}{junk}"));
                format!("${{{name}:{}:-{}}}", junk.len(), junk.len())
            }
            _ => {
                let name = self.assigned(&format!("{junk}{text}"));
                format!("${{{name}#{junk}}}")
            }
        };
        self.in_quotes(expansion, place)
    }

    /// A command that prints the text, to stand within `$(…)`: `$((` would begin an expression.
    pub fn substitutable(&mut self, text: &str) -> String {
        let command = self.printed(text);
        if command.starts_with('(') { format!(" {command}") } else { command }
    }

    fn substitution(&mut self, text: &str, place: Place) -> String {
        let command = self.substitutable(text);
        let backticks = self.choices.chance(30);
        let plain = !command.contains(['`', '\\', '"', '$']);
        if backticks && (plain || place != Place::Quoted) {
            let command = command.replace('\\', "\\\\").replace('`', "\\`");
            return format!("`{command}`");
        }
        let expansion = format!("$({command})");
        self.in_quotes(expansion, place)
    }

    fn positional(&mut self, text: &str, place: Place) -> String {
        let word = self.word(text, Place::Command);
        let at = match self.choices.below(3) {
            // A brace or the like in the word gives more parameters than one.
            0 | 1 => {
                self.before.push(format!("set -- x {word} y"));
                2
            }
            _ => {
                self.before.push(format!("set -- x y {word}; shift"));
                2
            }
        };
        let expansion = match self.choices.below(4) {
            1 => format!("${{{at}}}"),
            2 if self.is(Dialect::Bash) => format!("${{@:{at}:1}}"),
            3 => format!("${{{at}#q,}}"),
            _ => format!("${at}"),
        };
        // Another one among the parts would set the parameters anew.
        let name = self.name();
        self.before.push(format!("{name}={expansion}"));
        self.in_quotes(format!("${{{name}}}"), place)
    }

    fn element(&mut self, text: &str, place: Place) -> String {
        if !self.is(Dialect::Bash) {
            return self.variable(text, place);
        }
        let name = self.name();
        let word = self.word(text, Place::Single);
        let expansion = match self.choices.below(20) {
            1 => {
                self.before.push(format!("{name}=(q {word})"));
                format!("${{{name}[-1]}}")
            }
            2 => {
                self.before.push(format!("{name}[7]={word}"));
                format!("${{{name}[3+4]}}")
            }
            3 => {
                self.before.push(format!("declare -A {name}=([k]={word} [j]=q)"));
                format!("${{{name}[k]}}")
            }
            4 => {
                self.before.push(format!("{name}=(q); {name}+=({word})"));
                format!("${{{name}[@]:1:1}}")
            }
            5 => {
                let at = self.choices.below(text.len());
                self.before.push(format!("{name}=({} '{}')", &text[..at], &text[at..]));
                if at == 0 {
                    format!("${{{name}[0]}}")
                } else {
                    let joined = self.name();
                    self.before.push(format!("IFS= eval '{joined}=\"${{{name}[*]}}\"'"));
                    format!("${{{joined}}}")
                }
            }
            6 => {
                let at = self.name();
                self.before.push(format!("{at}=1; {name}=(q {word} q)"));
                format!("${{{name}[{at}]}}")
            }
            7 => {
                self.before.push(format!("IFS=, read -ra {name} <<< q,{text},q"));
                format!("${{{name}[1]}}")
            }
            8 => {
                self.before.push(format!("declare -A {name}; {name}[j]=q; {name}[k]={word}"));
                format!("${{{name}[k]}}")
            }
            9 => {
                let key = self.name();
                self.before.push(format!("typeset -A {name}; {key}='a b'; {name}[${key}]={word}"));
                format!("${{{name}[a b]}}")
            }
            10 => {
                self.before.push(format!("declare -A {name}; {name}=(j q k {word})"));
                format!("${{{name}[k]}}")
            }
            11 => {
                self.before.push(format!("declare -A {name}=([{text}]=q)"));
                format!("${{!{name}[@]}}")
            }
            12 => {
                self.before.push(format!("{name}=([2]=q [1]={word} [0]=q)"));
                format!("${{{name}[1]}}")
            }
            13 => {
                self.before.push(format!("{name}=([7]=q {word} [3]=q)"));
                format!("${{{name}[8]}}")
            }
            14 => {
                self.before.push(format!("{name}=(q q {word}); unset '{name}[0]' \"{name}[1]\""));
                format!("${{{name}[@]}}")
            }
            15 => {
                self.before.push(format!("{name}=(q {word}); {name}=x"));
                format!("${{{name}[1]}}")
            }
            16 => {
                self.before.push(format!("{name}[900]=q; {name}[5]={word}; unset {name}[900]"));
                format!("${{{name}[@]}}")
            }
            17 => {
                self.before.push(format!("mapfile -t {name} < <(printf 'q\\n%s\\nq' {word})"));
                format!("${{{name}[1]}}")
            }
            18 => {
                self.before.push(format!("readarray -t -s 1 -n1 {name} <<< $'q\\n'{word}"));
                format!("${{{name}[0]}}")
            }
            19 => {
                self.before.push(format!("printf -v '{name}[3]' %s {word}"));
                format!("${{{name}[3]}}")
            }
            _ => {
                self.before.push(format!("{name}=(q {word} q)"));
                format!("${{{name}[1]}}")
            }
        };
        self.in_quotes(expansion, place)
    }

    /// A number in it by arithmetic, or by the length of something.
    fn number(&mut self, text: &str, place: Place) -> String {
        let Some(at) = text.find(|c: char| c.is_ascii_digit() && c != '0') else {
            return self.variable(text, place);
        };
        let digit = usize::from(text.as_bytes()[at] - b'0');
        let expansion = match self.choices.below(7) {
            1 => format!("$(({} - 7))", digit + 7),
            2 => {
                let name = self.name();
                self.before.push(format!("{name}={}", digit - 1));
                format!("$(({name} + 1))")
            }
            3 => {
                let name = self.assigned(&"x".repeat(digit));
                format!("${{#{name}}}")
            }
            4 => format!("$(( (0x{:x} << 1 | 1) / 2 ))", digit),
            5 => format!("$(( 2 > 1 ? {digit} : 0 ))"),
            6 => {
                let name = self.name();
                self.before.push(format!("{name}=0; : $(({name} += {digit}))"));
                format!("${{{name}}}")
            }
            _ => format!("$(({digit} * 1))"),
        };
        let expansion = self.in_quotes(expansion, place);
        format!("{}{expansion}{}", &text[..at], &text[at + 1..])
    }

    /// Braces of which one word is the text; the others name nothing.
    fn braces(&mut self, text: &str) -> String {
        let at = self.choices.below(text.len());
        let (before, rest) = text.split_at(at);
        match self.choices.below(3) {
            1 if rest.starts_with(|c: char| c.is_ascii_alphabetic()) => {
                format!("{before}{{{0}..{0}}}{1}", &rest[..1], &rest[1..])
            }
            2 => format!("{before}{{{{{rest},zz}},xx}}"),
            _ => format!("{before}{{{rest},zz}}"),
        }
    }
}
