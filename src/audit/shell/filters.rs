//! What text tools print: `echo`, `base64 -d`, `tr`, `sed` and their like, of an input that is
//! known.
//!
//! Owns the programs whose output depends on nothing but arguments, stdin and files that the script
//! itself wrote. Nothing is executed and nothing is read; what other tools do is not known here.
//! Every tool is linear in its input, and what it prints is bounded.
//!
//! ```text
//! args, stdin, files ─> Call ─> Data (bytes, holes and patterns as characters of their own)
//!     codec, compress   decoders and encoders
//!     escapes           echo, printf
//!     select            parts of lines, lines of files
//!     tr, sed, awk      edit (posix: their regular expressions)
//!     words             answers that need no input
//! ─> Stream
//! ```
//!
//! Where GNU's, BusyBox's and the shells' own variants of a tool differ, the reading is that of the
//! one that does more.

mod awk;
mod codec;
mod compress;
mod data;
mod escapes;
mod options;
mod posix;
mod sed;
mod select;
mod tr;
mod words;

use std::cell::Cell;
use std::rc::Rc;

use data::Data;

use super::names::Names;
use super::text::{Step, Steps, Stream, Text};

/// Largest output of one tool.
pub const OUTPUT_MAX_BYTES: usize = 256 * 1024;

/// What the program prints to stdout, when it is a tool that is known; `None` for any other.
///
/// `program` is a base name, `args` are without it. `files` gives the content of a file operand;
/// `-` is `input`. An output that would exceed [`OUTPUT_MAX_BYTES`], or take too much work, is
/// unknown and counts as decoded: a limit never makes a command look harmless.
pub fn run(
    program: &str,
    args: &[Text],
    input: &Stream,
    files: &dyn Fn(&Text) -> Stream,
    allowance: &Allowance,
) -> Option<Stream> {
    debug_assert!(may_know(program) || tool(program).is_none(), "{program} is not listed");
    let (program, args) = module(program, args).unwrap_or((program, args));
    if compress::unpacks(program, args) {
        return Some(Unknown::Decoded.into_stream());
    }
    let tool = tool(program)?;
    if allowance.is_spent() {
        return Some(Unknown::Decoded.into_stream());
    }
    let known = input.as_bytes().map_or(0, <[u8]>::len);
    let output = tool(&Call { program, args, input, files, allowance });
    let made = match &output {
        Ok(output) => output.as_bytes().map_or(0, <[u8]>::len),
        // With an input that is known it mostly was a bound.
        Err(_) if known > 0 => OUTPUT_MAX_BYTES,
        Err(_) => 0,
    };
    allowance.take(known + made);
    Some(output.unwrap_or_else(Unknown::into_stream))
}

/// What all tools, and all code of other languages, may cost within one reading, in units of about
/// one byte that is looked at or made. Clones are one allowance.
#[derive(Debug, Clone)]
pub struct Allowance(Rc<Cell<usize>>);

impl Allowance {
    pub fn new(units: usize) -> Allowance {
        Allowance(Rc::new(Cell::new(units)))
    }

    /// Takes so much; false when there is not enough, now and from then on.
    pub fn take(&self, units: usize) -> bool {
        self.0.set(self.0.get().saturating_sub(units));
        !self.is_spent()
    }

    pub fn left(&self) -> usize {
        self.0.get()
    }

    pub fn is_spent(&self) -> bool {
        self.left() == 0
    }
}

/// What `printf FORMAT ARG…` prints; for `printf -v NAME`, whose caller keeps it. `None` when that
/// is too large or not known at all.
pub fn printf(args: &[Text]) -> Option<Text> {
    match escapes::format(args).ok()?.into_stream() {
        Stream::Unknown { .. } => None,
        known => Some(known.to_text()),
    }
}

/// The file that a tool is told to write what it prints to, and its arguments without that.
pub fn written(program: &str, args: &[Text]) -> Option<(Text, Vec<Text>)> {
    let option = match program {
        "openssl" => "-out",
        "sort" | "uudecode" | "gpg" | "gpg2" | "base64" | "shuf" => "-o",
        "dd" => "of=",
        _ => return None,
    };
    let at = args.iter().position(|arg| arg.as_str().starts_with(option))?;
    let arg = args.get(at)?;
    let attached = arg.slice(option.len(), arg.len());
    let (file, taken) = match attached.is_empty() {
        true => (args.get(at + 1)?.clone(), 2),
        false => (attached, 1),
    };
    let rest = args.iter().take(at).chain(args.iter().skip(at + taken)).cloned().collect();
    Some((file, rest))
}

const TOOLS: Names = Names::of(&[
    "echo printf cat pv sponge iconv col colcrt mbuffer buffer more less tee dos2unix unix2dos",
    "expand unexpand fmt strings dd tac rev nl head tail cut grep egrep fgrep rg sort uniq wc paste",
    "fold tr sed gsed awk gawk mawk nawk original-awk base64 base32 base58 basenc base16 xxd od",
    "hexdump hd openssl uudecode uuencode gzip gunzip zcat gzcat pigz unpigz zstd unzstd zstdcat",
    "zlib-flate uncompress bzip2 bunzip2 bzcat pbzip2 xz unxz xzcat lzma unlzma lzcat lz4 lz4cat",
    "unlz4 brotli lzop lzip zipcat funzip gpg gpg2 age ccrypt mcrypt ccat jq seq yes expr dc",
    "basename dirname realpath readlink true : false test [ sleep date printenv env hostname id",
    "whoami uname nproc arch tty logname groups tar bsdtar gtar star unzip 7z 7za 7zr 7zz unrar",
    "rar ar cpio shuf",
]);

/// Whether the program may be one of those that are known here; true for all that are.
pub fn may_know(program: &str) -> bool {
    TOOLS.may_hold(program) || program.starts_with("py")
}

/// Whether the tool prints something unknown whenever all that it reads is, with these arguments.
pub fn passes_on(program: &str, args: &[Text]) -> bool {
    match program {
        "cat" | "head" | "tail" | "sort" | "wc" => true,
        // Asked for nothing but its status it prints nothing.
        "grep" | "egrep" | "fgrep" => !args.iter().any(|arg| {
            let options = arg.as_str().strip_prefix('-');
            options.is_some_and(|options| options.contains('q') || options.starts_with('-'))
        }),
        _ => false,
    }
}

/// `python3 -m base64 -d` is `base64 -d`.
fn module<'a>(program: &str, args: &'a [Text]) -> Option<(&'a str, &'a [Text])> {
    let [option, name, rest @ ..] = args else { return None };
    let python = program.starts_with("python") || program.starts_with("pypy");
    let known = matches!(name.as_str(), "base64" | "gzip");
    (python && known && option.as_str() == "-m").then(|| (name.as_str(), rest))
}

type Tool = fn(&Call) -> Output;
type Output = Result<Stream, Unknown>;

fn tool(program: &str) -> Option<Tool> {
    Some(match program {
        "echo" => escapes::echo,
        "printf" => escapes::printf,
        "cat" | "pv" | "sponge" | "iconv" | "col" | "colcrt" | "mbuffer" | "buffer" | "more"
        | "less" | "tee" | "dos2unix" | "unix2dos" | "expand" | "unexpand" | "fmt" | "strings"
        | "dd" => select::same,
        "tac" => select::tac,
        "rev" => select::rev,
        "nl" => select::nl,
        "head" => select::head,
        "tail" => select::tail,
        "cut" => select::cut,
        "grep" | "egrep" | "fgrep" | "rg" => select::grep,
        "sort" => select::sort,
        "uniq" => select::uniq,
        "wc" => select::wc,
        "paste" => select::paste,
        "fold" => select::fold,
        "tr" => tr::tr,
        "sed" | "gsed" => sed::sed,
        "awk" | "gawk" | "mawk" | "nawk" | "original-awk" => awk::awk,
        "base64" | "base32" | "base58" | "basenc" | "base16" => codec::base,
        "xxd" => codec::xxd,
        "od" | "hexdump" | "hd" => codec::dump,
        "openssl" => codec::openssl,
        "uudecode" => codec::uudecode,
        "uuencode" => codec::encoder,
        "gzip" | "gunzip" | "zcat" | "gzcat" | "pigz" | "unpigz" | "zstd" | "unzstd"
        | "zstdcat" | "zlib-flate" | "uncompress" => compress::known,
        "bzip2" | "bunzip2" | "bzcat" | "pbzip2" | "xz" | "unxz" | "xzcat" | "lzma" | "unlzma"
        | "lzcat" | "lz4" | "lz4cat" | "unlz4" | "brotli" | "lzop" | "lzip" | "zipcat"
        | "funzip" => compress::unknown,
        "gpg" | "gpg2" | "age" | "ccrypt" | "mcrypt" | "ccat" => compress::cipher,
        "jq" => codec::jq,
        "seq" => words::seq,
        "yes" => words::yes,
        "expr" => words::expr,
        "dc" => words::dc,
        "basename" => words::basename,
        "dirname" => words::dirname,
        "realpath" | "readlink" => words::realpath,
        "true" | ":" | "false" | "test" | "[" | "sleep" => words::nothing,
        "date" => words::date,
        "printenv" | "env" | "hostname" | "id" | "whoami" | "uname" | "nproc" | "arch" | "tty"
        | "logname" | "groups" => words::unknown,
        _ => return None,
    })
}

/// One run of a tool.
struct Call<'a> {
    program: &'a str,
    args: &'a [Text],
    input: &'a Stream,
    files: &'a dyn Fn(&Text) -> Stream,
    allowance: &'a Allowance,
}

/// Why a tool's output is not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unknown {
    /// Its input is not.
    Plain,
    /// Its input is not, and the tool decodes; or the output is beyond a bound.
    Decoded,
}

impl Unknown {
    fn into_stream(self) -> Stream {
        Stream::Unknown { decoded: self == Unknown::Decoded }
    }

    /// The reason for a tool that decodes, or does not.
    fn of(decodes: bool) -> Unknown {
        if decodes { Unknown::Decoded } else { Unknown::Plain }
    }

    /// The same reason behind a tool that may decode.
    fn max_decoded(self, decodes: bool) -> Unknown {
        if decodes { Unknown::Decoded } else { self }
    }
}

impl<'a> Call<'a> {
    fn input(&self) -> Result<Data, Unknown> {
        Data::of(self.input)
    }

    fn file(&self, path: &Text) -> Result<Data, Unknown> {
        match path.as_literal() {
            Some("-" | "/dev/stdin") => self.input(),
            _ => Data::of(&(self.files)(path)),
        }
    }

    /// What a tool reads that takes file operands, or else its stdin: one after the other.
    fn read(&self, operands: &[&Text]) -> Result<Data, Unknown> {
        if operands.is_empty() {
            return self.input();
        }
        let mut all = Data::default();
        for operand in operands {
            all.append(&self.file(operand)?);
            all.check_size()?;
        }
        Ok(all)
    }

    /// Steps that led to the arguments, for what comes out of a tool that they control. Quotes
    /// around a tool's arguments are no way to hide anything.
    fn argument_steps(&self) -> Steps {
        let mut steps = Steps::NONE;
        for arg in self.args {
            let told = |step: &Step| !matches!(step, Step::Quotes | Step::Backslash);
            arg.steps.iter().filter(told).for_each(|step| steps.add(step));
        }
        steps
    }

    /// What a tool made of `before`: the step is told only where it changed anything.
    fn changed(&self, before: &Data, mut after: Data, step: Step) -> Output {
        after.steps.extend(before.steps);
        if after.bytes != before.bytes {
            after.steps.extend(self.argument_steps().with(step));
        }
        after.check_size()?;
        Ok(after.into_stream())
    }
}

#[cfg(test)]
#[path = "filters_tests.rs"]
mod tests;
