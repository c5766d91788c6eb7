use std::io::Write;

use super::*;

/// A tool that may cost as much as it wants.
fn run(
    program: &str,
    args: &[Text],
    input: &Stream,
    files: &dyn Fn(&Text) -> Stream,
) -> Option<Stream> {
    super::run(program, args, input, files, &Allowance::new(usize::MAX))
}

/// `«*»` is a character of a pattern, `…` a hole.
fn text(notation: &str) -> Text {
    let mut text = Text::new();
    let mut characters = notation.chars();
    while let Some(character) = characters.next() {
        match character {
            '«' => {
                text.push_active(characters.next().unwrap());
                assert_eq!(characters.next(), Some('»'));
            }
            '…' => text.push_hole(),
            other => text.push(other),
        }
    }
    text
}

/// The reverse; something unknown is `UNKNOWN` or `DECODED`.
fn notation(stream: &Stream) -> String {
    let text = match stream {
        Stream::Unknown { decoded: false } => return "UNKNOWN".to_owned(),
        Stream::Unknown { decoded: true } => return "DECODED".to_owned(),
        other => other.to_text(),
    };
    let mut out = String::new();
    let mut marks = text.marks().iter().peekable();
    for (at, character) in text.as_str().char_indices() {
        let mut active = false;
        while let Some(mark) = marks.next_if(|mark| mark.at <= at) {
            match mark.kind {
                crate::audit::shell::text::MarkKind::Hole => out.push('…'),
                crate::audit::shell::text::MarkKind::Active => active = true,
            }
        }
        if active { out.push_str(&format!("«{character}»")) } else { out.push(character) }
    }
    if marks.next().is_some() {
        out.push('…');
    }
    out
}

fn args(list: &[&str]) -> Vec<Text> {
    list.iter().map(|arg| text(arg)).collect()
}

fn no_files(_: &Text) -> Stream {
    Stream::UNKNOWN
}

fn bytes(bytes: impl Into<Vec<u8>>) -> Stream {
    Stream::Bytes { bytes: bytes.into(), steps: Steps::NONE }
}

fn input(notation: &str) -> Stream {
    match notation {
        "UNKNOWN" => Stream::UNKNOWN,
        "DECODED" => Stream::Unknown { decoded: true },
        other => Stream::from_text(text(other)),
    }
}

fn ran(program: &str, list: &[&str], stdin: &Stream) -> Stream {
    run(program, &args(list), stdin, &no_files).expect("a tool that is known")
}

/// `(program, arguments, stdin, stdout)`
fn check(cases: &[(&str, &[&str], &str, &str)]) {
    let mut failures = Vec::new();
    for (program, list, stdin, expected) in cases {
        let output = notation(&ran(program, list, &input(stdin)));
        if output != *expected {
            failures.push(format!("{program} {list:?} < {stdin:?}: {output:?}, not {expected:?}"));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// `cases.jsonl` holds what the tools of coreutils, GNU sed and grep, mawk, xxd, openssl, jq and
/// bash's builtins printed: program, arguments, stdin, stdout.
#[test]
fn tools_print_what_the_real_ones_print() {
    type Case = (String, Vec<String>, String, String);
    let mut failures = Vec::new();
    let mut count = 0;
    for line in include_str!("filters/cases.jsonl").lines() {
        let (program, list, stdin, expected): Case = serde_json::from_str(line).unwrap();
        let list: Vec<Text> = list.into_iter().map(Text::literal).collect();
        let stdin = Stream::from_text(Text::literal(stdin));
        let output = run(&program, &list, &stdin, &no_files);
        if output.as_ref().and_then(Stream::as_bytes) != Some(expected.as_bytes()) {
            failures.push(format!("{line}\n  {output:?}"));
        }
        count += 1;
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    assert!(count >= 400, "{count}");
}

#[test]
fn other_programs_are_not_known() {
    for program in ["curl", "python3", "bash", "numfmt", "bc", "pwd", "tar", "", "Cat"] {
        assert!(run(program, &[], &Stream::Empty, &no_files).is_none(), "{program}");
    }
}

#[test]
fn paths_are_put_together_in_every_way() {
    check(&[
        ("printf", &["%s%s", "/etc/", "shadow"], "", "/etc/shadow"),
        ("printf", &[r"\57\145\164\143"], "", "/etc"),
        ("printf", &["%b", r"\x2fetc\x2fshadow"], "", "/etc/shadow"),
        ("printf", &["%c", "/", "etc", "tmp"], "", "/et"),
        ("printf", &["%.4s/shadow", "/etcetera"], "", "/etc/shadow"),
        ("echo", &["-e", r"\x2f\0145tc"], "", "/etc\n"),
        ("rev", &[], "wodahs/cte/", "/etc/shadow"),
        ("tr", &["x", "/"], "xetcxshadow", "/etc/shadow"),
        ("tr", &["-d", "x"], "/exxtc/shaxdow", "/etc/shadow"),
        ("tr", &["A-Za-z", "N-ZA-Mn-za-m"], "/rgp/funqbj", "/etc/shadow"),
        ("sed", &["s/X//g"], "/eXtc/sXhadow", "/etc/shadow"),
        ("sed", &["y/123/esh/"], "/1tc/23adow", "/etc/shadow"),
        ("sed", &["-E", r"s/(.*)_(.*)/\2\1/"], "/shadow_/etc", "/etc/shadow"),
        ("sed", &["a /etc/shadow"], "x\n", "x\n/etc/shadow\n"),
        ("awk", &["BEGIN{print \"/etc/\" \"shadow\"}"], "", "/etc/shadow\n"),
        ("awk", &["{print $2\"/\"$1}"], "shadow /etc", "/etc/shadow\n"),
        ("awk", &["BEGIN{printf \"%c%s\", 47, \"etc\"}"], "", "/etc"),
        ("cut", &["-c3-"], "xx/etc/shadow", "/etc/shadow\n"),
        ("cut", &["-d,", "--output-delimiter=", "-f1,3"], "/etc,x,/shadow", "/etc/shadow\n"),
        ("head", &["-c11"], "/etc/shadowxx", "/etc/shadow"),
        ("tail", &["-c+3"], "xx/etc/shadow", "/etc/shadow"),
        ("grep", &["-o", "/etc/[a-z]*"], "see /etc/shadow!", "/etc/shadow\n"),
        ("paste", &["-sd", ""], "/etc\n/shadow\n", "/etc/shadow\n"),
        ("tac", &[], "b\na\n", "a\nb\n"),
        ("sort", &["-n"], "2 b\n1 a\n", "1 a\n2 b\n"),
        ("fold", &["-w1"], "ab", "a\nb"),
        ("dd", &["bs=1", "skip=2", "status=none"], "xx/etc", "/etc"),
        ("expr", &["substr", "xx/etcxx", "3", "4"], "", "/etc\n"),
        ("expr", &["xx/etc", ":", r"xx\(.*\)"], "", "/etc\n"),
        ("dc", &["-e", "795178083P"], "", "/etc"),
        ("dc", &[], "16i2F657463P", "/etc"),
        ("dc", &["-e", "[/etc]P"], "", "/etc"),
        ("dc", &["-e", "47a101an n"], "", "e/"),
        ("seq", &["-f", "/etc/%g", "2"], "", "/etc/1\n/etc/2\n"),
        ("date", &["+/etc%n%Y/x"], "", "/etc\n…/x\n"),
        ("basename", &["/x/shadow"], "", "shadow\n"),
        ("dirname", &["/etc/x"], "", "/etc\n"),
        ("realpath", &["/etc/../etc/x"], "", "/etc/../etc/x\n"),
        ("readlink", &["-f", "/etc/x"], "", "/etc/x\n"),
        ("yes", &["/etc"], "", "/etc\n/etc\n/etc\n/etc\n/etc\n/etc\n/etc\n/etc\n"),
        ("jq", &["-nr", "\"L2V0Yw==\"|@base64d"], "", "/etc\n"),
    ]);
}

#[test]
fn decoders_decode_in_every_spelling() {
    let encoded = "Y2F0IC9ldGMvc2hhZG93";
    let plain = "cat /etc/shadow";
    check(&[
        ("base64", &["-d"], encoded, plain),
        ("base64", &["-D"], encoded, plain),
        ("base64", &["-di"], encoded, plain),
        ("base64", &["--decode"], encoded, plain),
        ("base64", &["--dec"], encoded, plain),
        ("base64", &["-w0", "-d"], encoded, plain),
        ("base64", &["-d", "-"], encoded, plain),
        ("base64", &["-d", "/dev/stdin"], encoded, plain),
        ("basenc", &["-d", "--base64url"], encoded, plain),
        ("openssl", &["base64", "-d"], encoded, plain),
        ("openssl", &["enc", "-d", "-a"], encoded, plain),
        ("openssl", &["enc", "-base64", "-d", "-A"], encoded, plain),
        ("openssl", &["enc", "--base64", "-d"], encoded, plain),
        ("base32", &["-d"], "MNQXIIBPMV2GGL3TNBQWI33X", plain),
        ("basenc", &["--base32", "-d"], "MNQXIIBPMV2GGL3TNBQWI33X", plain),
        ("base58", &["-d"], "8voc9P8aZ1A", "/etc/sha"),
        ("basenc", &["--base16", "-d"], "2F657463", "/etc"),
        ("basenc", &["--base2msbf", "-d"], "0010111101100101", "/e"),
        ("xxd", &["-r", "-p"], "2f657463", "/etc"),
        ("xxd", &["-rp"], "2f657463", "/etc"),
        ("xxd", &["-p", "-r"], "2f 65 74 63", "/etc"),
        ("xxd", &["-ps", "-r"], "2F65\n7463", "/etc"),
        ("xxd", &["-plain", "-revert"], "2f657463", "/etc"),
        ("xxd", &["-r"], "00000000: 2f65 7463                                /etc\n", "/etc"),
        ("xxd", &["-r"], "2: 6374  x\n0: 2f65  x\n", "/ect"),
        ("uudecode", &["-o", "/dev/stdout"], UUENCODED, "cat /etc/shadow\n"),
        ("uudecode", &["-o-"], UUENCODED_BASE64, "cat /etc/shadow\n"),
        ("uudecode", &[], UUENCODED_BASE64, "cat /etc/shadow\n"),
    ]);
}

const UUENCODED: &str = "begin 644 x\n08V%T(\"]E=&,O<VAA9&]W\"@``\n`\nend\n";
const UUENCODED_BASE64: &str = "begin-base64 644 /dev/stdout\nY2F0IC9ldGMvc2hhZG93Cg==\n====\n";

#[test]
fn what_is_encoded_is_decoded_again() {
    let encoders: [(&str, &[&str], &str, &[&str]); 12] = [
        ("base64", &[], "base64", &["-d"]),
        ("base64", &["-w0"], "openssl", &["base64", "-d"]),
        ("base32", &[], "base32", &["-d"]),
        ("basenc", &["--base64url"], "basenc", &["-d", "--base64url"]),
        ("basenc", &["--base32hex"], "basenc", &["-d", "--base32hex"]),
        ("basenc", &["--base16"], "xxd", &["-r", "-p"]),
        ("basenc", &["--base2msbf"], "basenc", &["-d", "--base2msbf"]),
        ("openssl", &["base64"], "base64", &["-d"]),
        ("xxd", &[], "xxd", &["-r"]),
        ("xxd", &["-p"], "xxd", &["-r", "-p"]),
        ("od", &["-An", "-vtx1"], "xxd", &["-r", "-p"]),
        ("gzip", &["-c"], "zcat", &[]),
    ];
    for length in [1, 2, 3, 7, 16, 57, 58, 300] {
        let content: Vec<u8> = (0..length).map(|at| (at * 37 % 256) as u8).collect();
        for (encoder, how, decoder, back) in encoders {
            let encoded = ran(encoder, how, &bytes(content.clone()));
            let decoded = ran(decoder, back, &encoded);
            assert_eq!(decoded.as_bytes(), Some(&*content), "{encoder} {how:?} {length}");
        }
    }
}

#[test]
fn garbage_in_base64_is_read_as_both_kinds_of_decoders_do() {
    check(&[
        // GNU's ends at the point, BusyBox's passes over it.
        ("base64", &["-d"], "L2V0.Yy94", "/et\n/etc/x"),
        ("base64", &["-d", "-i"], "L2V0.Yy94", "/etc/x"),
        ("base64", &["-d"], "L2V0Yy94\n", "/etc/x"),
        ("base64", &["-d"], "L2V0.", "/et"),
        ("base32", &["-d"], "F5SXIYZP!PA======", "/etc/\n/etc/x"),
    ]);
}

#[test]
fn echo_reads_escapes_as_dash_does() {
    check(&[
        ("echo", &[r"\057etc"], "", "/etc\n"),
        ("echo", &[r"\0057etc"], "", "/etc\n"),
        ("echo", &[r"\57etc\n"], "", "/etc\n\n"),
        ("echo", &[r"a\tb"], "", "a\tb\n"),
        ("echo", &[r"a\cb"], "", "a"),
        ("echo", &[r"\x2fetc"], "", "\\x2fetc\n"),
        ("echo", &["-E", r"\057etc"], "", "\\057etc\n"),
        ("echo", &["-n", r"\\"], "", "\\"),
        ("echo", &["-e"], "", "\n"),
        ("echo", &["a", "-n"], "", "a -n\n"),
        ("echo", &["-"], "", "-\n"),
    ]);
}

#[test]
fn an_escape_that_may_be_a_plain_backslash_in_a_path_is_read_both_ways() {
    check(&[
        ("echo", &[r"cat /e\tc/shadow"], "", "cat /e\tc/shadow\ncat /e\\tc/shadow\n"),
        ("echo", &[r"cat /et\c/shadow"], "", "cat /et\ncat /et\\c/shadow"),
        // No path has the character of this one.
        ("echo", &[r"/app/f\2"], "", "/app/f\\2\n/app/f\u{2}\n"),
        ("echo", &["-e", r"cat /e\tc/shadow"], "", "cat /e\tc/shadow\n"),
        ("echo", &[r"cat\t/etc"], "", "cat\t/etc\n"),
        ("echo", &[r"cat /etc/x\n"], "", "cat /etc/x\n\n"),
    ]);
}

#[test]
fn patterns_and_holes_pass_through() {
    check(&[
        ("echo", &["/etc/sh«*»"], "", "/etc/sh«*»\n"),
        ("echo", &["-n", "/etc/…"], "", "/etc/…"),
        ("echo", &["-e", r"\x2fetc/sh«?»dow"], "", "/etc/sh«?»dow\n"),
        ("printf", &["%s\\n", "/etc/sh«*»"], "", "/etc/sh«*»\n"),
        ("printf", &["/etc/%s/x", "…"], "", "/etc/…/x"),
        ("printf", &["/etc/%d/x", "…"], "", "/etc/…/x"),
        ("printf", &["%5.2s/x", "a…"], "", "…/x"),
        ("printf", &["/etc/sh«*»"], "", "/etc/sh«*»"),
        ("printf", &["%(%Y)T/x"], "", "…/x"),
        ("printf", &["%b", r"\057…"], "", "/…"),
        ("cat", &[], "/etc/sh«*»\n", "/etc/sh«*»\n"),
        ("rev", &[], "«*»hs/cte/", "/etc/sh«*»"),
        ("tr", &[" ", "\\n"], "a «?» …", "a\n«?»\n…"),
        ("tr", &["-cd", "a"], "ab«*»", "a«*»"),
        ("head", &["-1"], "/etc/«*»\nx\n", "/etc/«*»\n"),
        ("head", &["-c3"], "ab«*»cd", "ab«*»"),
        ("cut", &["-d/", "-f3"], "/etc/sh«*»", "sh«*»\n"),
        ("cut", &["-c6-"], "/etc/sh«*»", "sh«*»\n"),
        ("sed", &["s/x/e/"], "/xtc/sh«*»", "/etc/sh«*»"),
        ("awk", &["{print $2}"], "cat /etc/«?»…", "/etc/«?»…\n"),
        // A line of which something is unknown may match.
        ("grep", &["shadow"], "/etc/sh«*»\n/etc/x\n", "/etc/sh«*»\n"),
        ("grep", &["-v", "shadow"], "/etc/sh«*»\n/etc/shadow\n", "/etc/sh«*»\n"),
        ("grep", &["-c", "x"], "…\n", "UNKNOWN"),
        ("wc", &["-c"], "…\n", "UNKNOWN"),
        ("basename", &["/etc/sh«*»"], "", "sh«*»\n"),
        ("dirname", &["/etc/…"], "", "/etc\n"),
        ("yes", &["…"], "", "…\n…\n…\n…\n…\n…\n…\n…\n"),
    ]);
}

#[test]
fn only_decoders_hide_what_they_print() {
    check(&[
        ("cat", &[], "UNKNOWN", "UNKNOWN"),
        ("cat", &["/etc/hostname"], "", "UNKNOWN"),
        ("cat", &[], "DECODED", "DECODED"),
        ("head", &["-1"], "UNKNOWN", "UNKNOWN"),
        ("head", &["-1"], "DECODED", "DECODED"),
        ("sed", &["s/a/b/"], "UNKNOWN", "UNKNOWN"),
        ("sed", &["s/a/b/"], "DECODED", "DECODED"),
        ("awk", &["{print $1}"], "UNKNOWN", "UNKNOWN"),
        ("awk", &["{system($1)}"], "UNKNOWN", "UNKNOWN"),
        ("grep", &["-oP", "(?<=x)y"], "UNKNOWN", "UNKNOWN"),
        ("tr", &["a-z", "A-Z"], "UNKNOWN", "UNKNOWN"),
        ("tr", &["A-Za-z", "N-ZA-Mn-za-m"], "UNKNOWN", "DECODED"),
        ("tr", &["-dc", "a-z"], "UNKNOWN", "UNKNOWN"),
        ("base64", &[], "UNKNOWN", "UNKNOWN"),
        ("base64", &["-d"], "UNKNOWN", "DECODED"),
        ("base64", &["-d"], "x…", "DECODED"),
        ("base64", &["…"], "L2V0Yw==", "DECODED"),
        ("base64", &["-d", "/tmp/x"], "", "DECODED"),
        ("base32", &["-d"], "UNKNOWN", "DECODED"),
        ("basenc", &["--z85", "-d"], "x", "DECODED"),
        ("xxd", &[], "UNKNOWN", "UNKNOWN"),
        ("xxd", &["-r", "-p"], "UNKNOWN", "DECODED"),
        ("openssl", &["enc", "-d", "-aes-256-cbc", "-k", "x"], "x", "DECODED"),
        ("openssl", &["aes-256-cbc", "-d", "-a"], "x", "DECODED"),
        ("openssl", &["enc", "-aes-256-cbc", "-k", "x"], "x", "UNKNOWN"),
        ("openssl", &["x509", "-text"], "x", "UNKNOWN"),
        ("openssl", &["base64", "-d", "-out", "/tmp/x"], "L2V0Yw==", ""),
        ("uudecode", &["-o", "-"], "UNKNOWN", "DECODED"),
        ("gzip", &[], "UNKNOWN", "UNKNOWN"),
        ("gzip", &["-dc"], "UNKNOWN", "DECODED"),
        ("gunzip", &[], "UNKNOWN", "DECODED"),
        ("gunzip", &["/tmp/x.gz"], "", ""),
        ("zcat", &["/tmp/x.gz"], "", "DECODED"),
        ("zcat", &["-f"], "plain", "plain"),
        ("xzcat", &[], "x", "DECODED"),
        ("xz", &["-dc"], "x", "DECODED"),
        ("xz", &["-c"], "x", "UNKNOWN"),
        ("unxz", &[], "x", "DECODED"),
        ("bzip2", &["-d"], "x", "DECODED"),
        ("bzip2", &[], "x", "UNKNOWN"),
        ("zstd", &["-d"], "x", "DECODED"),
        ("zstd", &[], "x", "UNKNOWN"),
        ("gpg", &["-d"], "x", "DECODED"),
        ("gpg", &["--encrypt"], "x", "UNKNOWN"),
        ("iconv", &["-f", "UTF-7"], "+AC8-", "DECODED"),
        ("iconv", &["-f", "UTF-8", "-t", "ASCII"], "x", "x"),
        ("jq", &["-r", ".x|@base64d"], "UNKNOWN", "DECODED"),
        ("jq", &["-r", ".keys"], "UNKNOWN", "UNKNOWN"),
        ("whoami", &[], "", "UNKNOWN"),
        ("date", &[], "", "UNKNOWN"),
        ("sleep", &["5"], "x", ""),
        ("od", &["-c"], "x", "UNKNOWN"),
        ("readlink", &["/bin/sh"], "", "UNKNOWN"),
        ("sed", &["s/…/x/"], "a", "UNKNOWN"),
        ("tr", &["…", "x"], "a", "UNKNOWN"),
    ]);
}

#[test]
fn what_is_not_followed_counts_as_hidden() {
    check(&[
        ("sed", &["s/a/b/e"], "a", "DECODED"),
        ("sed", &["1e id"], "a", "DECODED"),
        ("sed", &[r"s/\(.\)\1/x/"], "aa", "DECODED"),
        ("sed", &["s/a"], "a", "DECODED"),
        ("sed", &["r /etc/passwd"], "a", "DECODED"),
        ("awk", &["BEGIN{system(\"id\")}"], "", "DECODED"),
        ("awk", &["BEGIN{\"id\"|getline;print}"], "", "DECODED"),
        ("awk", &["function f(x){return x} BEGIN{print f(1)}"], "", "DECODED"),
        ("grep", &["-P", "(?<=a)b"], "ab", "DECODED"),
        ("sort", &["-R"], "a\nb\n", "DECODED"),
    ]);
}

#[test]
fn in_place_edits_print_nothing() {
    check(&[
        ("sed", &["-i", "s/a/b/", "/tmp/x"], "", ""),
        ("sed", &["-i.bak", "s/a/b/", "/tmp/x"], "", ""),
        ("sed", &["-ni", "p", "/tmp/x"], "", ""),
        ("sed", &["--in-place=.bak", "p", "/tmp/x"], "", ""),
        ("sed", &["-n", "s/i/x/p"], "hi\n", "hx\n"),
    ]);
}

#[test]
fn the_longest_match_wins_as_in_posix() {
    check(&[
        ("sed", &["-E", "s/X|XY//"], "/eXYtc", "/etc"),
        ("sed", &["-E", "s/X?(XY)?//"], "XYa", "a"),
        ("sed", &["-E", "s/(a|ab)(c|bcd)(d*)/[\\1|\\2|\\3]/"], "abcd", "[a|bcd|]"),
        ("grep", &["-oE", "s|sh|sha"], "shadow", "sha\n"),
        ("sed", &["-E", "s/(a|ab)$/x/"], "ab", "x"),
    ]);
}

#[test]
fn files_are_read_where_the_script_wrote_them() {
    let files = |path: &Text| match path.as_str() {
        "/tmp/a" => Stream::Bytes { bytes: b"/etc/\n".to_vec(), steps: Step::OwnFile.into() },
        "/tmp/b" => bytes(b"shadow\n".to_vec()),
        "/tmp/e" => bytes(b"L2V0Yw==".to_vec()),
        "/tmp/s" => bytes(b"s/a/b/".to_vec()),
        _ => Stream::UNKNOWN,
    };
    let cases: [(&str, &[&str], &str); 17] = [
        ("cat", &["/tmp/a", "/tmp/b"], "/etc/\nshadow\n"),
        ("cat", &["/tmp/a", "-"], "/etc/\nabc\n"),
        ("cat", &["/tmp/a", "/etc/hosts"], "/etc/\n…"),
        ("paste", &["-d", "", "/tmp/a", "/tmp/b"], "/etc/shadow\n"),
        ("base64", &["-d", "/tmp/e"], "/etc"),
        ("openssl", &["base64", "-d", "-in", "/tmp/e"], "/etc"),
        ("sed", &["s/w/W/", "/tmp/b"], "shadoW\n"),
        ("sed", &["-f", "/tmp/s"], "bbc\n"),
        ("awk", &["{print x $1}", "x=/etc/", "/tmp/b"], "/etc/shadow\n"),
        ("grep", &["sh", "/tmp/b"], "shadow\n"),
        ("head", &["-c2", "/tmp/b"], "sh"),
        ("tail", &["-n1", "/tmp/b"], "shadow\n"),
        ("cut", &["-c1", "/tmp/b"], "s\n"),
        ("rev", &["/tmp/b"], "wodahs\n"),
        ("dd", &["if=/tmp/b", "bs=2", "count=1"], "sh"),
        ("wc", &["-c", "/tmp/b"], "7 /tmp/b\n"),
        ("sort", &["/tmp/b", "/tmp/a"], "/etc/\nshadow\n"),
    ];
    for (program, list, expected) in cases {
        let output = run(program, &args(list), &bytes(b"abc\n".to_vec()), &files).unwrap();
        assert_eq!(notation(&output), expected, "{program} {list:?}");
    }
    let output = run("cat", &args(&["/tmp/a"]), &Stream::Empty, &files).unwrap();
    assert_eq!(output.steps(), Steps::of(Step::OwnFile));
}

#[test]
fn steps_tell_what_was_done() {
    let steps = |program: &str, list: &[&str], stdin: &str| {
        let words: Vec<&str> =
            ran(program, list, &input(stdin)).steps().iter().map(Step::as_str).collect();
        words.join(", ")
    };
    let cases: [(&str, &[&str], &str, &str); 20] = [
        ("base64", &["-d"], "L2V0Yw==", "base64 decoded"),
        ("basenc", &["--base32", "-d"], "F5SXIYY=", "base32 decoded"),
        ("xxd", &["-r", "-p"], "2f657463", "hexadecimal decoded"),
        ("basenc", &["--base16", "-d"], "2F657463", "hexadecimal decoded"),
        ("openssl", &["base64", "-d"], "L2V0Yw==", "base64 decoded"),
        ("printf", &[r"\x2fetc"], "", "escapes decoded"),
        ("printf", &["%s%s", "/etc", "/shadow"], "", "escapes decoded"),
        ("printf", &["%s\\n", "/etc"], "", ""),
        ("printf", &["/etc\\n"], "", ""),
        ("echo", &["-e", r"\x2fetc"], "", "escapes decoded"),
        ("echo", &["/etc"], "", ""),
        ("cat", &[], "/etc", ""),
        ("tee", &["/tmp/x"], "/etc", ""),
        ("head", &["-1"], "/etc\n", ""),
        ("head", &["-1"], "/etc\nx\n", "text filter applied"),
        ("rev", &[], "cte/", "text filter applied"),
        ("tr", &["x", "/"], "xetc", "text filter applied"),
        ("tr", &["x", "/"], "/etc", ""),
        ("sed", &["s/x/e/"], "/xtc", "text filter applied"),
        ("dc", &["-e", "795178083P"], "", "escapes decoded"),
    ];
    for (program, list, stdin, expected) in cases {
        assert_eq!(steps(program, list, stdin), expected, "{program} {list:?}");
    }
    let gzip = ran("gzip", &["-c"], &bytes(b"/etc".to_vec()));
    assert!(ran("zcat", &[], &gzip).steps().has(Step::Decompressed));
}

#[test]
fn steps_of_inputs_and_arguments_are_kept() {
    let arg = Text::literal("/etc").with_step(Step::Quotes).with_step(Step::Variable);
    let echoed = run("echo", std::slice::from_ref(&arg), &Stream::Empty, &no_files).unwrap();
    assert_eq!(echoed.steps(), Steps::of(Step::Quotes).with(Step::Variable));
    let stdin = Stream::Bytes { bytes: b"L2V0Yw==".to_vec(), steps: Step::Variable.into() };
    let decoded = run("base64", &[Text::literal("-d").with_step(Step::Quotes)], &stdin, &no_files);
    assert_eq!(decoded.unwrap().steps(), Steps::of(Step::Variable).with(Step::Base64));
}

#[test]
fn printf_into_a_variable_gives_a_text() {
    assert_eq!(printf(&args(&["%s/%s", "/etc", "…"])), Some(text("/etc/…")));
    assert_eq!(printf(&args(&[r"\x2f"])), Some(text("/")));
    assert_eq!(printf(&[]), Some(Text::new()));
    assert_eq!(printf(&args(&["%999999999s", "x"])), None);
}

fn compressed(content: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn compressed_data_is_expanded_within_the_bound() {
    let small = compressed(b"cat /etc/shadow\n");
    let bomb = compressed(&vec![b'x'; 64 * 1024 * 1024]);
    let zstd = zstd::encode_all(&b"/etc"[..], 3).unwrap();
    let zstd_bomb = zstd::encode_all(&vec![b'x'; 8 * 1024 * 1024][..], 3).unwrap();
    let mut cut = small.clone();
    cut.truncate(9);
    let mut damaged = small.clone();
    *damaged.last_mut().unwrap() ^= 1;
    for (program, list, content, expected) in [
        ("zcat", &[][..], small.clone(), "cat /etc/shadow\n"),
        ("gzip", &["-d"], small.clone(), "cat /etc/shadow\n"),
        ("gzip", &["-cd"], small.clone(), "cat /etc/shadow\n"),
        ("gzip", &["--decompress", "--stdout"], small.clone(), "cat /etc/shadow\n"),
        ("gunzip", &["-c"], [small.clone(), small].concat(), "cat /etc/shadow\ncat /etc/shadow\n"),
        ("zstd", &["-dc"], zstd.clone(), "/etc"),
        ("unzstd", &["-c"], zstd, "/etc"),
        ("zcat", &[], bomb, "DECODED"),
        ("zstdcat", &[], zstd_bomb, "DECODED"),
        ("zcat", &[], cut, "DECODED"),
        ("zcat", &[], damaged, "cat /etc/shadow\n"),
        ("zcat", &[], b"plain".to_vec(), "DECODED"),
    ] {
        assert_eq!(notation(&ran(program, list, &bytes(content))), expected, "{program} {list:?}");
    }
}

#[test]
fn an_output_beyond_the_bound_is_unknown_and_hidden() {
    let large = "x".repeat(OUTPUT_MAX_BYTES);
    for (program, list) in [
        ("echo", vec![Text::literal(large.as_str())]),
        ("printf", vec![Text::literal("%s\\n"), Text::literal(large.as_str())]),
        ("printf", args(&["%300000d", "1"])),
        ("sed", args(&["s/x/xx/g"])),
        ("sed", args(&["p"])),
        ("awk", args(&["{print $0 $0}"])),
        ("base64", args(&[])),
    ] {
        let output = run(program, &list, &bytes(large.clone()), &no_files).unwrap();
        assert_eq!(notation(&output), "DECODED", "{program}");
    }
    // A long list of numbers is no hiding place.
    check(&[("seq", &["1000000"], "", "UNKNOWN")]);
}

#[test]
fn nothing_runs_without_end() {
    let nested = format!("BEGIN{{print {}1{}}}", "(".repeat(100_000), ")".repeat(100_000));
    let sums = format!("BEGIN{{print {}1}}", "1+".repeat(100_000));
    let groups = format!("s/{}x/y/", r"\(".repeat(100_000));
    let blocks = "{".repeat(100_000);
    let states = format!("s/{}//", "[a-z]*".repeat(600));
    for (program, list) in [
        ("sed", vec![":a;ba"]),
        ("sed", vec![":a;s/^/x/;ta"]),
        ("sed", vec![":a;H;G;ba"]),
        ("sed", vec!["s/.\\{900\\}.\\{900\\}\\(.\\{900\\}\\)*//"]),
        ("sed", vec!["-E", "s/(((a{99}){99}){99}){99}//"]),
        ("sed", vec![&*groups]),
        ("sed", vec![&*blocks]),
        ("sed", vec![&*states]),
        ("awk", vec!["BEGIN{while(1)i++}"]),
        ("awk", vec!["BEGIN{for(;;)s=s \"x\"}"]),
        ("awk", vec!["BEGIN{for(;;)print 1}"]),
        ("awk", vec!["BEGIN{$99999999=1}"]),
        ("awk", vec!["BEGIN{printf \"%99999999d\",1}"]),
        ("awk", vec![&*nested]),
        ("awk", vec![&*sums]),
        ("grep", vec!["-P", "(((a{99}){99}){99}){99}"]),
    ] {
        let stdin = bytes("a".repeat(100_000));
        let output = ran(program, &list, &stdin);
        assert_eq!(notation(&output), "DECODED", "{program} {:.40}", list.concat());
    }
}

// ---- whatever is thrown at them

/// A small generator of numbers, the same every time.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % bound as u64) as usize
    }

    fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[self.below(from.len())]
    }
}

const PROGRAMS: [&str; 44] = [
    "echo", "printf", "cat", "tac", "rev", "nl", "head", "tail", "cut", "grep", "egrep", "sort",
    "uniq", "wc", "paste", "fold", "tr", "sed", "awk", "base64", "base32", "base58", "basenc",
    "xxd", "od", "openssl", "uudecode", "gzip", "zcat", "zstd", "xz", "gpg", "jq", "seq", "yes",
    "expr", "dc", "basename", "dirname", "realpath", "date", "dd", "iconv", "strings",
];

const PIECES: [&str; 96] = [
    "-",
    "--",
    "-d",
    "-n",
    "-e",
    "-f",
    "-c",
    "-r",
    "-p",
    "-s",
    "-E",
    "-o",
    "-F",
    "1",
    "2",
    "-1",
    "+2",
    "99999999999999999999",
    "0",
    "a",
    "é",
    "\u{10FFF0}",
    "\u{10FF2A}",
    "\\",
    "\\\\",
    "\\x",
    "\\0",
    "\\c",
    "\\u",
    "%",
    "%s",
    "%d",
    "%*d",
    "%.",
    "%(",
    ")T",
    "%b",
    "%q",
    "%5c",
    "/",
    "s/",
    "/g",
    "y/",
    "s/a/b/",
    ":a",
    ";",
    "N",
    "$!ba",
    "D",
    "G",
    "x",
    "{",
    "}",
    "(",
    ")",
    "[",
    "]",
    "[[:",
    ":]]",
    "[^",
    "*",
    "+",
    "?",
    "|",
    "\\(",
    "\\)",
    "\\{",
    "\\}",
    "{1,3}",
    "^",
    "$",
    "$1",
    "$NF",
    "BEGIN",
    "END",
    "print ",
    "printf ",
    "\"",
    "substr(",
    "gsub(/",
    "for(",
    "while(",
    "=",
    "==",
    ",",
    "~",
    "in",
    " ",
    "\n",
    "\t",
    "if=",
    "bs=",
    "begin 644 ",
    "i",
    "P",
    "=",
];

fn anything(random: &mut Random, most: usize) -> Text {
    let mut text = Text::new();
    for _ in 0..random.below(most) {
        match random.below(24) {
            0 => text.push_hole(),
            1 => text.push_active('*'),
            _ => text.push_str(random.pick(&PIECES)),
        }
    }
    text
}

#[test]
fn nothing_panics_on_anything() {
    let mut random = Random(0x9E37_79B9_7F4A_7C15);
    let mut known = 0;
    for round in 0..40_000 {
        let program = PROGRAMS[round % PROGRAMS.len()];
        let list: Vec<Text> = (0..random.below(5)).map(|_| anything(&mut random, 7)).collect();
        let stdin = match random.below(4) {
            0 => bytes((0..random.below(60)).map(|_| random.below(256) as u8).collect::<Vec<u8>>()),
            1 => Stream::UNKNOWN,
            _ => Stream::from_text(anything(&mut random, 20)),
        };
        let content = stdin.clone();
        let output = run(program, &list, &stdin, &|_| content.clone()).unwrap();
        known += usize::from(!matches!(output, Stream::Unknown { .. }));
        let _ = output.to_text().to_string();
    }
    assert!(known > 10_000, "{known}");
}

#[test]
fn what_is_unknown_is_decoded_by_what_makes_it_readable_alone() {
    check(&[
        ("rev", &[], "UNKNOWN", "DECODED"),
        ("tac", &[], "UNKNOWN", "UNKNOWN"),
        ("dd", &["conv=swab"], "UNKNOWN", "DECODED"),
        ("dd", &["bs=1"], "UNKNOWN", "UNKNOWN"),
        ("sed", &["y/abcdefgh/ijklmnop/"], "UNKNOWN", "DECODED"),
        ("sed", &["y/,/;/"], "UNKNOWN", "UNKNOWN"),
        ("sed", &[r"s/\(.\)\(.\)/\2\1/g"], "UNKNOWN", "DECODED"),
        ("sed", &[r"s/\(.*\)=\(.*\)/\2=\1/"], "UNKNOWN", "UNKNOWN"),
        ("sed", &["s/@HOST@/db/"], "UNKNOWN", "UNKNOWN"),
        ("iconv", &["-f", "utf-16"], "UNKNOWN", "DECODED"),
        ("unzip", &["-p", "a.zip", "x"], "UNKNOWN", "DECODED"),
        ("tar", &["xzOf", "a.tgz"], "UNKNOWN", "DECODED"),
        ("tar", &["-x", "--to-stdout", "-f", "a"], "UNKNOWN", "DECODED"),
        ("7z", &["x", "-so", "a.7z"], "UNKNOWN", "DECODED"),
        ("lz4", &["-d", "a.lz4"], "UNKNOWN", "DECODED"),
        ("lz4", &["-d", "a.lz4", "a"], "UNKNOWN", ""),
        ("python3", &["-m", "base64", "-d"], "UNKNOWN", "DECODED"),
        ("python3", &["-m", "base64", "-d"], "L2V0Yw==", "/etc"),
    ]);
    assert!(
        run("tar", &[Text::literal("xf"), Text::literal("a")], &Stream::Empty, &no_files).is_none()
    );
}

#[test]
fn jq_adds_strings() {
    check(&[
        ("jq", &["-nr", "\"sha\"+\"dow\""], "", "shadow\n"),
        ("jq", &["-nr", "[\"sha\", \"dow\"] | add"], "", "shadow\n"),
        ("jq", &["-nr", "[\"etc\",\"shadow\"]|join(\"/\")"], "", "etc/shadow\n"),
        ("jq", &["-nr", "--arg", "a", "sha", "$a+\"dow\""], "", "shadow\n"),
        ("jq", &["-nr", "\"c2hhZG93\"|@base64d"], "", "shadow\n"),
        ("jq", &["-nr", "1+\"dow\""], "", "UNKNOWN"),
        ("jq", &["-n", "\"sha\"+\"dow\""], "", "UNKNOWN"),
    ]);
}

#[test]
fn a_number_that_something_unknown_continues_is_unknown() {
    check(&[
        ("printf", &[r"a\…b"], "", "a…b"),
        ("printf", &[r"a\14…b"], "", "a…b"),
        ("printf", &[r"a\x…b"], "", "a…b"),
        ("printf", &[r"\141…b"], "", "a…b"),
    ]);
}
