//! Code of other languages in a command: the strings it builds and the shell commands it runs.
//!
//! ```text
//! lex, quote, escape, interpolate, document    code ─> tokens, for all languages alike
//! statement, loops, define, awk                statements, and functions of the code's own
//! operators, primary, elements, postfix        expressions ─> values
//! fold, value, list                            variables, bounds, values and what they cost
//! binary, index, replace, format, codec        what is done with values that are known
//! call, functions, methods, python, perl, php  the standard libraries, by what they do to strings
//! runner, tell                                 commands that run, and what is told in the end
//! ```
//!
//! One tolerant evaluator serves all languages: nothing is an error, and what it does not know is
//! a hole. Every literal that it does not reach is told as it stands. Nothing is ever executed:
//! functions of the languages are known by what they do to strings alone.
//!
//! Pure, and bounded in time, memory and depth for every input.

mod awk;
mod binary;
mod call;
mod codec;
mod define;
mod document;
mod elements;
mod escape;
mod fold;
mod format;
mod functions;
mod index;
mod interpolate;
mod lex;
mod list;
mod loops;
mod methods;
mod operators;
mod perl;
mod php;
mod postfix;
mod primary;
mod python;
mod quote;
mod replace;
mod runner;
mod statement;
mod tell;
mod value;

use std::sync::LazyLock;

use aho_corasick::AhoCorasick;

use crate::audit::shell::filters::Allowance;
use crate::audit::shell::text::Text;

pub(super) use runner::quoted;

/// Longest code that is read; of a longer one the beginning.
pub const CODE_MAX_BYTES: usize = 256 * 1024;
/// Most bytes of all strings that are told.
pub const OUTPUT_MAX_BYTES: usize = 256 * 1024;

/// Functions that decode, by which code tells that it does.
const DECODERS: [&str; 30] = [
    "b64decode",
    "b32decode",
    "b16decode",
    "b85decode",
    "a85decode",
    "decodebytes",
    "unhexlify",
    "fromhex",
    "rot13",
    "rot_13",
    "rot-13",
    "decompress",
    "decode_base64",
    "decode64",
    "pack(",
    "pack'",
    "unpack \"",
    "unpack1",
    "base64_decode",
    "hex2bin",
    "gzinflate",
    "gzuncompress",
    "gzdecode",
    "uudecode",
    "atob(",
    "'base64')",
    "\"base64\")",
    "'hex')",
    "\"hex\")",
    "inflate",
];

static FINDER: LazyLock<Option<AhoCorasick>> = LazyLock::new(|| AhoCorasick::new(DECODERS).ok());

/// Whether the code decodes something, of what it is given or of what it reads.
pub fn decodes(code: &str) -> bool {
    FINDER.as_ref().is_none_or(|finder| finder.is_match(code))
}

/// What a unit of the evaluator's work counts among the tools'.
const UNIT_WORK: usize = 4;

/// What was found in code.
#[derive(Debug, Clone, Default)]
pub struct Foreign {
    /// Whole strings that it builds, such as paths; each once, in the order of evaluation.
    pub texts: Vec<Text>,
    /// What it gives to a shell: `os.system`, backticks and the like. A list of arguments is
    /// written as a shell would read it. A hole with the step `UnknownDecoded` stands for code,
    /// of a shell or of the language itself, that is decoded from something unknown.
    pub shells: Vec<Text>,
    /// A bound was exceeded: there may be more than is told.
    pub incomplete: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Language {
    Python,
    Perl,
    Ruby,
    /// JavaScript and TypeScript, whatever runs them.
    Node,
    Php,
    Lua,
    Awk,
}

/// The language of an interpreter by its name, with any version and suffix, without a path:
/// `python3.11` is Python.
pub fn language(name: &str) -> Option<Language> {
    let name = name.strip_suffix(".exe").unwrap_or(name);
    let name = name.trim_end_matches(|c: char| c.is_ascii_digit() || matches!(c, '.' | '-'));
    Some(match name {
        "python" | "pypy" | "python3-dbg" | "ipython" | "micropython" | "pythonw" => {
            Language::Python
        }
        "perl" => Language::Perl,
        "ruby" | "jruby" | "irb" | "mruby" => Language::Ruby,
        "node" | "nodejs" | "deno" | "bun" | "qjs" => Language::Node,
        "php" | "php-cli" | "php-cgi" => Language::Php,
        "lua" | "luajit" | "texlua" => Language::Lua,
        "awk" | "gawk" | "mawk" | "nawk" | "original-awk" => Language::Awk,
        _ => return None,
    })
}

/// Reads `code`. `arguments` are those that follow it, in order; for awk, also the `name=value`
/// of its `-v` options.
pub fn read(language: Language, code: &str, arguments: &[Text], allowance: &Allowance) -> Foreign {
    let mut end = code.len().min(CODE_MAX_BYTES);
    while !code.is_char_boundary(end) {
        end -= 1;
    }
    let mut folder = fold::Folder::new(language, arguments, allowance.left() / UNIT_WORK);
    let before = folder.work_left();
    folder.read(code.get(..end).unwrap_or(""));
    allowance.take(before.saturating_sub(folder.work_left()).saturating_mul(UNIT_WORK));
    let mut foreign = folder.finish();
    foreign.incomplete |= end < code.len();
    foreign
}

#[cfg(test)]
#[path = "foreign_tests.rs"]
mod tests;
