//! Decompressors, and gzip's compressor.

use std::io::Read;

use flate2::Compression;
use flate2::bufread::{GzEncoder, MultiGzDecoder, ZlibDecoder};

use super::options::{Options, Spec, options};
use super::{Call, OUTPUT_MAX_BYTES, Output, Unknown};
use crate::audit::shell::text::{Step, Stream, Text};

/// A word of options is shorter than this.
const BUNDLE_MAX: usize = 12;
/// Largest window of zstd data, as a power of two: what the decoder may allocate. 8 MiB is what a
/// decoder has to accept (RFC 8878).
const ZSTD_WINDOW_LOG_MAX: u32 = 23;

const SPEC: Spec = Spec {
    flags: "dcfknNqrtvlLzT0123456789hVaHiRe",
    values: "Spbo",
    long: &[
        ("decompress", 'd'),
        ("uncompress", 'd'),
        ("stdout", 'c'),
        ("to-stdout", 'c'),
        ("force", 'f'),
        ("keep", 'k'),
        ("quiet", 'q'),
        ("test", 't'),
        ("list", 'l'),
        ("fast", '1'),
        ("best", '9'),
        ("decrypt", 'd'),
    ],
    permute: true,
};

/// Whether the program writes what it expands, and expands at all.
fn expands(program: &str, options: &Options) -> bool {
    options.has('d')
        || program.starts_with("un")
        || program.contains("cat")
        || matches!(program, "gunzip" | "bunzip2" | "funzip")
}

/// To a file beside its operand.
fn to_file(program: &str, options: &Options) -> bool {
    let named = options.operands.iter().any(|operand| operand.as_str() != "-");
    let to_stdout = options.has('c') || program.contains("cat") || program == "funzip";
    // Into a pipe lz4 prints unless it is given a second name.
    let prints = program.contains("lz4") && options.operands.len() < 2;
    named && !to_stdout && !prints
}

pub(super) fn known(call: &Call) -> Output {
    let options = options(call.args, &SPEC);
    if call.program == "zlib-flate" {
        let expands = call.args.first().is_some_and(|arg| arg.as_str() == "-uncompress");
        let data = call.input().map_err(|why| why.max_decoded(expands))?;
        if !expands {
            return Err(Unknown::Plain);
        }
        let out = expand(ZlibDecoder::new(data.known()?))?;
        return call.changed(&data, data.with(out), Step::Decompressed);
    }
    if to_file(call.program, &options) || options.has('t') || options.has('l') {
        return Ok(Stream::Empty);
    }
    let expands = expands(call.program, &options);
    let data = call.read(&options.operands).map_err(|why| why.max_decoded(expands))?;
    let bytes = data.known()?;
    if !expands {
        if call.program.contains("zst") {
            return Err(Unknown::Plain);
        }
        let mut out = Vec::new();
        let compressed = GzEncoder::new(bytes, Compression::fast()).read_to_end(&mut out);
        compressed.map_err(|_| Unknown::Plain)?;
        return call.changed(&data, data.with(out), Step::Filter);
    }
    // Each of these tells the format by its first bytes, and `zcat -f` passes over what is none.
    let out = match bytes {
        [0x1F, 0x8B, ..] => expand(MultiGzDecoder::new(bytes))?,
        [0x28, 0xB5, 0x2F, 0xFD, ..] => {
            let mut decoder =
                zstd::stream::read::Decoder::with_buffer(bytes).map_err(|_| Unknown::Decoded)?;
            decoder.window_log_max(ZSTD_WINDOW_LOG_MAX).map_err(|_| Unknown::Decoded)?;
            expand(decoder)?
        }
        [] => Vec::new(),
        plain if options.has('f') => plain.to_vec(),
        _ => return Err(Unknown::Decoded),
    };
    call.changed(&data, data.with(out), Step::Decompressed)
}

/// All that comes out before an error, as the tools print it.
fn expand(reader: impl Read) -> Result<Vec<u8>, Unknown> {
    let mut out = Vec::new();
    let read = reader.take(OUTPUT_MAX_BYTES as u64 + 1).read_to_end(&mut out);
    if out.len() > OUTPUT_MAX_BYTES || out.is_empty() && read.is_err() {
        return Err(Unknown::Decoded);
    }
    Ok(out)
}

/// Formats that are not read here.
pub(super) fn unknown(call: &Call) -> Output {
    let options = options(call.args, &SPEC);
    if to_file(call.program, &options) {
        return Ok(Stream::Empty);
    }
    Err(Unknown::of(expands(call.program, &options)))
}

/// Whether it prints what is in an archive.
pub(super) fn unpacks(program: &str, args: &[Text]) -> bool {
    let first = args.first().map(Text::as_str).unwrap_or_default();
    let given = |options: &[&str]| args.iter().any(|arg| options.contains(&arg.as_str()));
    let letters = |wanted: char| {
        args.iter().enumerate().any(|(at, arg)| {
            let arg = arg.as_str();
            let letters = arg.strip_prefix('-').or((at == 0).then_some(arg)).unwrap_or_default();
            letters.len() < BUNDLE_MAX
                && letters.bytes().all(|letter| letter.is_ascii_alphabetic())
                && letters.contains(wanted)
        })
    };
    match program {
        "tar" | "bsdtar" | "gtar" | "star" => {
            given(&["--to-stdout"]) || letters('x') && letters('O')
        }
        "unzip" => first.starts_with('-') && (letters('p') || letters('c')),
        "7z" | "7za" | "7zr" | "7zz" => given(&["-so"]),
        "unrar" | "rar" | "ar" => first == "p" || first == "-p",
        "cpio" => given(&["--to-stdout"]),
        _ => false,
    }
}

/// What needs a key: it decodes unless it is told to encrypt.
pub(super) fn cipher(call: &Call) -> Output {
    let encrypts = call.args.iter().any(|arg| {
        let arg = arg.as_str();
        matches!(arg, "-e" | "-c" | "-s" | "--sign" | "--symmetric" | "--version" | "--export")
            || arg.starts_with("--enc")
            || arg.starts_with("--list")
    });
    Err(Unknown::of(!encrypts))
}
