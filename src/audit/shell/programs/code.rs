//! Interpreters of other languages: the code on their command line and what it is given.

use crate::audit::shell::foreign::Language;
use crate::audit::shell::reading::Reach;
use crate::audit::shell::text::Text;

use super::operands::loose;
use super::options::{Arg, Scan, is};
use super::shells::is_stdin;
use super::{Operand, Program};

pub(super) fn classify(language: Language, words: &[Text]) -> Program {
    let words = words.get(1..).unwrap_or(&[]);
    match language {
        Language::Python => python(words),
        Language::Perl => perl(words),
        Language::Ruby => ruby(words),
        Language::Node => node(words),
        Language::Php => php(words),
        Language::Lua => lua(words),
        Language::Awk => awk(words),
    }
}

/// Code that may be given in several pieces, each a line.
#[derive(Default)]
struct Code(Option<Text>);

impl Code {
    fn add(&mut self, piece: Option<Text>) {
        let Some(piece) = piece else { return };
        match &mut self.0 {
            Some(code) => {
                code.push('\n');
                code.append(&piece);
            }
            None => self.0 = Some(piece),
        }
    }
}

/// The code given, or else the file or stdin that the operands name.
fn program(language: Language, code: Code, operands: &[Text]) -> Program {
    match (code.0, operands.split_first()) {
        (Some(code), _) => Program::Foreign { language, code, arguments: operands.to_vec() },
        (None, None) => Program::ForeignStdin { language, arguments: Vec::new() },
        (None, Some((file, rest))) if file.as_literal().is_some_and(is_stdin) => {
            Program::ForeignStdin { language, arguments: rest.to_vec() }
        }
        (None, Some((file, rest))) => {
            Program::ForeignFile { language, file: file.clone(), arguments: rest.to_vec() }
        }
    }
}

fn python(words: &[Text]) -> Program {
    let mut scan = Scan::new(words);
    let mut code = Code::default();
    let rest = loop {
        let Some(arg) = scan.next() else { break &[][..] };
        match arg {
            Arg::Operand(_) => break scan.operand_and_rest(),
            Arg::Short('c') => {
                code.add(scan.value());
                break scan.rest();
            }
            Arg::Short('m') => {
                scan.skip_value();
                return all_loose(scan.rest());
            }
            Arg::Short('W' | 'X' | 'Q') => scan.skip_value(),
            Arg::Short('V') | Arg::Long("version" | "help") => return Program::files(Vec::new()),
            _ => {}
        }
    };
    program(Language::Python, code, rest)
}

fn all_loose(words: &[Text]) -> Program {
    let mut operands: Vec<Operand> = Vec::new();
    for word in words {
        loose(word, Reach::Named, &mut operands);
    }
    Program::files(operands)
}

fn perl(words: &[Text]) -> Program {
    let mut scan = Scan::new(words);
    let mut code = Code::default();
    let rest = loop {
        let Some(arg) = scan.next() else { break &[][..] };
        match arg {
            Arg::Operand(_) => break scan.operand_and_rest(),
            Arg::Short('e' | 'E') => code.add(scan.value()),
            Arg::Short('l') => scan.skip_while(|c| c.is_digit(8)),
            Arg::Short('0') => scan.skip_while(|c| c.is_digit(8)),
            Arg::Short('C') => scan.skip_while(|c| c.is_ascii_digit()),
            Arg::Short('i' | 'F' | 'M' | 'm' | 'x' | 'd' | 'D') => _ = scan.attached(),
            Arg::Short('I') => scan.skip_value(),
            Arg::Short('v' | 'V') => return Program::files(Vec::new()),
            _ => {}
        }
    };
    program(Language::Perl, code, rest)
}

fn ruby(words: &[Text]) -> Program {
    let mut scan = Scan::new(words);
    let mut code = Code::default();
    let rest = loop {
        let Some(arg) = scan.next() else { break &[][..] };
        match arg {
            Arg::Operand(_) => break scan.operand_and_rest(),
            Arg::Short('e') => code.add(scan.value()),
            Arg::Short('0') => scan.skip_while(|c| c.is_digit(8)),
            Arg::Short('i' | 'F' | 'K' | 'T' | 'W' | 'x') => _ = scan.attached(),
            Arg::Short('I' | 'r' | 'C' | 'E') => scan.skip_value(),
            Arg::Short('v') | Arg::Long("version") => return Program::files(Vec::new()),
            _ => {}
        }
    };
    program(Language::Ruby, code, rest)
}

fn node(words: &[Text]) -> Program {
    // `deno eval CODE`, `bun run FILE`, `deno run --allow-read FILE`
    let (words, evaluates) = match words.first().map(Text::as_str) {
        Some("eval") => (words.get(1..).unwrap_or(&[]), true),
        Some("run") => (words.get(1..).unwrap_or(&[]), false),
        _ => (words, false),
    };
    let mut scan = Scan::new(words);
    let mut code = Code::default();
    let rest = loop {
        let Some(arg) = scan.next() else { break &[][..] };
        match arg {
            Arg::Operand(word) if evaluates && code.0.is_none() => {
                code.add(Some(word.clone()));
                break scan.rest();
            }
            Arg::Operand(_) => break scan.operand_and_rest(),
            Arg::Short('p') if scan.bundle_rest().starts_with('e') => {}
            Arg::Short('e' | 'p') | Arg::Long("eval" | "print") => code.add(scan.value()),
            Arg::Short('r' | 'C')
            | Arg::Long("require" | "import" | "loader" | "conditions" | "env-file") => {
                scan.skip_value();
            }
            Arg::Short('v') | Arg::Long("version") => return Program::files(Vec::new()),
            _ => {}
        }
    };
    program(Language::Node, code, rest)
}

fn php(words: &[Text]) -> Program {
    let mut scan = Scan::new(words);
    let mut code = Code::default();
    let mut file = None;
    let rest = loop {
        let Some(arg) = scan.next() else { break &[][..] };
        match arg {
            Arg::Operand(_) => break scan.operand_and_rest(),
            _ if is(arg, "r run R process-code B process-begin E process-end") => {
                code.add(scan.value());
            }
            _ if is(arg, "f file F process-file") => file = scan.value(),
            _ if is(arg, "d define c php-ini z zend-extension t docroot S server") => {
                scan.skip_value();
            }
            Arg::Short('v' | 'm' | 'i') | Arg::Long("version" | "modules" | "info") => {
                return Program::files(Vec::new());
            }
            _ => {}
        }
    };
    match (code.0.is_some(), file) {
        (false, Some(file)) => {
            Program::ForeignFile { language: Language::Php, file, arguments: rest.to_vec() }
        }
        _ => program(Language::Php, code, rest),
    }
}

fn lua(words: &[Text]) -> Program {
    let mut scan = Scan::new(words);
    let mut code = Code::default();
    let rest = loop {
        let Some(arg) = scan.next() else { break &[][..] };
        match arg {
            Arg::Operand(_) => break scan.operand_and_rest(),
            Arg::Short('e') => code.add(scan.value()),
            Arg::Short('l') => scan.skip_value(),
            Arg::Short('j' | 'O') => _ = scan.attached(),
            Arg::Short('b') => return all_loose(scan.rest()),
            _ => {}
        }
    };
    program(Language::Lua, code, rest)
}

/// A value given with `-v` is an argument like those behind the program.
fn awk(words: &[Text]) -> Program {
    let mut scan = Scan::new(words);
    let mut code = Code::default();
    let mut file: Option<Text> = None;
    let mut arguments = Vec::new();
    let rest = loop {
        let Some(arg) = scan.next() else { break &[][..] };
        match arg {
            Arg::Operand(_) => break scan.operand_and_rest(),
            _ if is(arg, "v assign") => arguments.extend(scan.value()),
            _ if is(arg, "e source") => code.add(scan.value()),
            _ if is(arg, "f file E exec") => file = scan.value(),
            _ if is(arg, "F field-separator i include l load") => scan.skip_value(),
            _ if is(arg, "W") => _ = scan.value(),
            _ if is(arg, "d dump-variables o pretty-print p profile D debug L lint") => {
                _ = scan.attached();
            }
            Arg::Short('V') | Arg::Long("version" | "help") => return Program::files(Vec::new()),
            _ => {}
        }
    };
    let mut rest = rest;
    if code.0.is_none() && file.is_none() {
        let Some((first, behind)) = rest.split_first() else { return Program::files(Vec::new()) };
        code.add(Some(first.clone()));
        rest = behind;
    }
    arguments.extend_from_slice(rest);
    match (code.0, file) {
        (Some(code), file) => {
            arguments.extend(file);
            Program::Foreign { language: Language::Awk, code, arguments }
        }
        (None, Some(file)) if !file.as_literal().is_some_and(is_stdin) => {
            Program::ForeignFile { language: Language::Awk, file, arguments }
        }
        (None, _) => Program::ForeignStdin { language: Language::Awk, arguments },
    }
}
