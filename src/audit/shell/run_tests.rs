//! What the interpreter makes of scripts, apart from what is sensitive in them.

use super::*;
use crate::audit::shell::reading::Reach;

/// The lines of a script, each with its steps, as `line # step, step`.
fn lines(script: &str) -> Vec<String> {
    let reading = read_script(script);
    let told = |steps: Steps| {
        let steps: Vec<&str> = steps.iter().map(Step::as_str).collect();
        if steps.is_empty() { String::new() } else { format!(" # {}", steps.join(", ")) }
    };
    reading.lines.iter().map(|line| format!("{}{}", line.text, told(line.steps))).collect()
}

fn check(script: &str, expected: &[&str]) {
    assert_eq!(lines(script), expected, "{script}");
}

/// The paths of a script, as `reach path`.
fn check_paths(script: &str, expected: &[&str]) {
    let reading = read_script(script);
    let paths: Vec<String> = reading
        .accesses
        .iter()
        .map(|access| {
            let name = access.name.as_ref().map(|name| format!(" {name}")).unwrap_or_default();
            format!("{:?} {}{name}", access.reach, access.path).to_lowercase()
        })
        .collect();
    assert_eq!(paths, expected, "{script}");
}

#[test]
fn both_branches_of_a_condition_that_cannot_be_decided_are_read() {
    check("if test -e /x; then echo a; else echo b; fi", &["test -e /x", "echo a", "echo b"]);
    check("test -e /x && echo a || echo b", &["test -e /x", "echo a", "echo b"]);
    check("case $HOSTNAME in a) echo a;; b) echo b;; esac", &["echo a", "echo b"]);
}

#[test]
fn a_branch_that_is_certainly_not_taken_is_not_read() {
    check("if false; then echo a; else echo b; fi", &["false", "echo b"]);
    check("[ a = b ] && echo a; echo c", &["[ a = b ]", "echo c"]);
    check("true || echo a", &["true"]);
    check("case x in y) echo a;; x) echo b;; esac", &["echo b"]);
}

#[test]
fn a_variable_keeps_every_value_that_it_may_have() {
    check(
        "f=a; test -e /x && f=b; echo $f",
        &["test -e /x", "echo b # variables expanded", "echo a # variables expanded"],
    );
    check("f=a; (f=b); echo $f", &["echo a # variables expanded"]);
    check("f=a; true | f=b; echo $f", &["true", "echo a # variables expanded"]);
}

#[test]
fn assignments_before_a_command_hold_for_it_alone() {
    check(
        "a=1; a=2 eval 'echo $a'; echo $a",
        &[
            "echo 2 # quotes removed, variables expanded, text run as code",
            "echo 1 # variables expanded",
        ],
    );
}

/// The literal and patterned paths that are opened, without a word on how.
fn check_opened(script: &str, expected: &[&str]) {
    let reading = read_script(script);
    let opened = reading.accesses.iter().filter(|access| access.reach == Reach::Named);
    let paths: Vec<String> = opened.map(|access| access.path.to_string()).collect();
    assert_eq!(paths, expected, "{script}");
}

#[test]
fn a_pattern_may_be_several_words() {
    check_opened("set -- /etc/*; cat $2", &["/etc/*"]);
    check_opened("set -- /etc/*; shift; cat $1", &["/etc/*"]);
    check_opened("set -- /etc/* /a; cat $2", &["/a", "/etc/*"]);
    check_opened("a=(/etc/*); cat ${a[3]}", &["/etc/*"]);
    check_opened("cat $(ls /etc/passwd)", &["/etc/passwd", "*"]);
    check_opened("ls /a | while read f; do cat /a/$f; done", &["/a/a", "/a/*"]);
    check_opened("printf '%s\\n' /a /b /c* | while read f; do cat $f; done", &["/a", "/b", "/c*"]);
}

#[test]
fn a_pattern_may_come_from_a_value() {
    check_opened(r"a='/e*\tc/x'; cat $a", &["/e*tc/x"]);
    check_opened("a='/@(etc|x)/y'; cat $a", &["/@(etc|x)/y"]);
    check_opened("cat /etc/*()shadow", &["/etc/*()shadow"]);
    check_opened(r#"cat "${a-$'\x2fetc'}""#, &["/etc"]);
}

#[test]
fn separators_that_are_no_blanks_have_empty_fields_between_them() {
    check_opened("IFS=, read -ra a <<< x,,/y; cat ${a[2]}", &["/y"]);
}

#[test]
fn a_loop_that_may_be_left_hides_nothing() {
    let script = "while :; do i=$((i+1)); curl -s x && break; [ $i -gt 500 ] && exit; done";
    assert!(read_script(script).hidden.is_empty());
    let script = "while :; do f() { date; }; x=1; f; done";
    assert!(read_script(script).hidden.is_empty());
}

#[test]
fn loops_end() {
    check(
        "while true; do sleep 1; done; echo x",
        &["true # loop unrolled", "sleep 1 # loop unrolled", "echo x"],
    );
    check("until false; do :; done", &["false # loop unrolled", ": # loop unrolled"]);
    let reading = read_script("i=0; while [ $i -lt 5 ]; do echo $i; i=$((i+1)); done");
    assert!(reading.hidden.is_empty());
    assert_eq!(reading.lines.iter().filter(|line| line.text.starts_with("echo")).count(), 5);
    let reading = read_script("i=0; while :; do i=$((i+1)); [ $i = 3 ] && break; done; echo $i");
    assert!(reading.lines.iter().any(|line| line.text == "echo 3"), "{reading:?}");
}

#[test]
fn what_exceeds_a_bound_is_told() {
    let check = |script: &str, why: HiddenWhy| {
        let reading = read_script(script);
        assert!(reading.hidden.iter().any(|hidden| hidden.why == why), "{script:.80} {reading:?}");
    };
    check("f() { f; }; f", HiddenWhy::Depth);
    check("a=x; while :; do a=$a$a; done", HiddenWhy::Work);
    check(&"x".repeat(limits::SHELL_INPUT_MAX_BYTES + 1), HiddenWhy::Size);
    check(&format!("{}x{}", "$(".repeat(200), ")".repeat(200)), HiddenWhy::Depth);
    check("echo {1..9}{1..9}{1..9}{1..9}{1..9}{1..9}{1..9}{1..9}", HiddenWhy::Work);
    // What is put before other elements moves them.
    check("a=([9000000]=x {1..8000} [0]=y {1..8000})", HiddenWhy::Work);
    let twice = "mapfile -O 9000000 a <<< \"$y\"; mapfile -O 0 a <<< \"$y\"";
    check(&format!("y=$'{}'; {twice}", "\\n".repeat(8_000)), HiddenWhy::Work);
}

#[test]
fn directories_are_followed() {
    // Whether a directory is there is not known: the one before stays possible.
    check_paths("cd /etc; cat x", &["listed /etc", "named /etc/x", "named x"]);
    check_paths("(cd /etc); cat x", &["listed /etc", "named x"]);
    check_paths(
        "cd /a; cd b/../c; cat x",
        &["listed /a", "listed /a/c", "listed c", "named /a/c/x", "named x", "named /a/x"],
    );
    check_paths("cd /etc && cat x", &["listed /etc", "named /etc/x", "named x"]);
}

#[test]
fn files_that_the_script_writes_are_read_back() {
    check(
        "echo 'echo b' > /tmp/x; sh /tmp/x",
        &[
            "echo echo b # quotes removed",
            "sh /tmp/x",
            "echo b # quotes removed, text run as code, file written by the command read back",
        ],
    );
    check_paths("ln -s /etc /tmp/e; cat /tmp/e/x", &["named /etc", "named /tmp/e", "named /etc/x"]);
}

#[test]
fn input_flows_through_pipes_and_redirections() {
    check(
        "echo a b | { read x y; echo $y; }",
        &[
            "echo a b",
            "read x y",
            "echo b # variables expanded",
            "echo a b | read x y | echo b # variables expanded",
        ],
    );
    check(
        "read x <<< 'a b'; echo $x",
        &["read x", "echo a b # quotes removed, variables expanded, here-document read"],
    );
    check(
        "xargs echo <<E\na\nb\nE",
        &["xargs echo", "echo a b # quotes removed, here-document read"],
    );
}

#[test]
fn spans_are_those_of_the_command_as_written() {
    let argv = ["sh", "-c", "echo a; cat /x/./y"].map(str::to_owned);
    let reading = read(&argv);
    let text = argv.join(" ");
    let of = |span: &Range<usize>| text.get(span.clone()).unwrap();
    assert_eq!(
        reading.lines.iter().map(|line| of(&line.span)).collect::<Vec<_>>(),
        [text.as_str(), "echo a", "cat /x/./y",]
    );
    assert_eq!(of(&reading.accesses[0].span), "/x/./y");
    // What was computed is told where it was run.
    let reading = read(&["sh", "-c", "eval \"c\"at' /x'"].map(str::to_owned));
    let access = &reading.accesses[0];
    assert_eq!((access.path.as_str(), access.span.clone()), ("/x", 6..21));
}

#[test]
fn no_bytes_make_it_panic_and_no_depth_overflows_the_stack() {
    const TOKENS: [&str; 44] = [
        "cat ",
        "/etc/x",
        "$(",
        ")",
        "`",
        "\"",
        "'",
        "$'",
        "\\",
        "\n",
        "; ",
        "&& ",
        "|| ",
        "| ",
        "{a,b}",
        "{",
        "}",
        "${a:-",
        "${a",
        "${!a",
        "$a ",
        "*",
        "?",
        "[",
        "<<E\n",
        "E\n",
        "<<<",
        "> ",
        "< ",
        "if ",
        "then ",
        "fi ",
        "for i in ",
        "do ",
        "done ",
        "case x in ",
        ") ;; ",
        "esac ",
        "f() ",
        "eval ",
        "a=",
        "cd ",
        "sh -c ",
        "$((",
    ];
    let run = || {
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let mut next = |below: usize| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            usize::try_from(state % below as u64).unwrap()
        };
        for _ in 0..4_000 {
            let script: String = (0..=next(40)).map(|_| TOKENS[next(TOKENS.len())]).collect();
            let reading = read_script(&script);
            for line in &reading.lines {
                assert!(line.span.end <= script.len(), "{script}");
            }
        }
        // Depth through every kind of nesting that hands a script on.
        for (open, close) in
            [("eval '", "'"), ("$(", ")"), ("`", "`"), ("sh -c \"", "\""), ("( ", ")")]
        {
            read_script(&format!("{}cat x{}", open.repeat(400), close.repeat(400)));
        }
        let mut script = "cat /x".to_owned();
        for _ in 0..14 {
            script = format!("eval {}", reach::quoted_word(&Text::literal(script)));
        }
        read_script(&script);
    };
    // A worker's stack.
    std::thread::Builder::new().stack_size(2 * 1024 * 1024).spawn(run).unwrap().join().unwrap();
}

#[test]
fn what_a_loop_counts_to_is_unknown_beyond_the_rounds_that_are_read() {
    let poll = "i=0; while [ $i -lt 300 ]; do i=$((i+1)); test -e /x && break; done; ";
    let told = lines(&format!("{poll}test $i = 300 && echo a"));
    assert_eq!(told.last().map(String::as_str), Some("echo a"));
    let hidden = |script: &str| -> Vec<HiddenWhy> {
        read_script(&format!("{poll}{script}")).hidden.iter().map(|hidden| hidden.why).collect()
    };
    assert_eq!(hidden("echo $i"), []);
    assert_eq!(hidden("eval $i"), [HiddenWhy::DecodedCode]);
    // A text that grows is more than a count.
    let grows = "p=; while :; do p=x$p; test -e /x && break; done; cat $p";
    assert_eq!(read_script(grows).hidden[0].why, HiddenWhy::Work);
    // What takes from something known ends on its own.
    let words = "a ".repeat(200);
    let told = format!(
        "set -- {words} b; while test -n \"$1\"; do c=$1; test -e /x && break; shift; done"
    );
    assert_eq!(read_script(&told).hidden, []);
}

#[test]
fn the_bound_that_a_script_has_met_is_told() {
    let whys = |script: &str| -> Vec<HiddenWhy> {
        read_script(script).hidden.iter().map(|hidden| hidden.why).collect()
    };
    assert_eq!(whys(&"echo a\n".repeat(60_000)), [HiddenWhy::Work]);
    assert_eq!(whys(&format!("{}id{}", "( ".repeat(80), ")".repeat(80))), [HiddenWhy::Depth]);
}

#[test]
fn the_commands_of_a_pipeline_are_a_line_where_one_is_not_as_written() {
    check("a | b", &["a", "b"]);
    check("a x''y | b", &["a xy # quotes removed", "b", "a xy | b # quotes removed"]);
    check(
        "a | sh -c \"b 'c'd\" | e",
        &[
            "a",
            "sh -c b 'c'd # quotes removed",
            "b cd # quotes removed, text run as code",
            "e",
            "a | sh -c b 'c'd | e # quotes removed",
        ],
    );
}

#[test]
fn files_that_exec_opens_hold_what_is_printed_there() {
    let paths = |script: &str| lines(script).last().cloned().unwrap_or_default();
    let expected = "b c # text run as code, file written by the command read back";
    assert_eq!(paths("exec 3>/tmp/s; echo b c >&3; . /tmp/s"), expected);
    assert_eq!(paths("(exec >/tmp/s; echo b c); . /tmp/s"), expected);
    assert_eq!(paths("exec >/tmp/s; echo b c; exec >/dev/tty; . /tmp/s"), expected);
    // One for a single command is gone behind it.
    assert_eq!(paths("a 3>/tmp/s; echo b c >&3; . /tmp/s"), ". /tmp/s");
    check(
        "exec 3>/tmp/s; x=$(echo b); echo c$x",
        &["exec", "echo b", "echo cb # variables expanded, command substitution evaluated"],
    );
}

#[test]
fn a_file_that_may_have_been_written_is_hidden_when_it_runs() {
    let hidden = |script: &str| !read_script(script).hidden.is_empty();
    assert!(hidden("echo x | awk '{print > \"/tmp/s\"}'; sh /tmp/s"));
    assert!(hidden("echo x | /opt/tool /tmp/s; . /tmp/s"));
    assert!(!hidden("curl -o /tmp/s http://x; sh /tmp/s"));
    assert!(!hidden("echo x | /opt/tool /tmp/s; sh /tmp/t"));
}

#[test]
fn the_mounts_are_told_to_whom_asks_for_the_token() {
    check_opened(
        "cat $(mount | awk '/serviceaccount/{print $3}')/token",
        &["/run/secrets/kubernetes.io/serviceaccount/token"],
    );
    check_opened("cat $(mount | awk '/data/{print $3}')/token", &["…/token"]);
}

#[test]
fn names_that_stand_for_others_are_followed() {
    check("declare -n r=x; x=b; echo $r", &["declare -n r=x", "echo b # variables expanded"]);
    check("declare -n r; r=x; r=b; echo $x", &["declare -n r", "echo b # variables expanded"]);
    check(
        "declare -n r=x; unset -n r; r=b; echo \"$x\" $r",
        &[
            "declare -n r=x",
            "unset -n r",
            "echo  b # quotes removed, variables expanded, unset variables taken for empty",
        ],
    );
}

#[test]
fn a_quoted_substitution_is_read_and_changes_nothing() {
    check(
        "v='${x:=a}$(b $((y = 1)))'; c $x $y",
        &["b 1 # quotes removed, arithmetic evaluated, text run as code", "c"],
    );
}

#[test]
fn turning_a_text_round_twice_decodes_nothing() {
    let hidden = |script: &str| !read_script(script).hidden.is_empty();
    assert!(hidden("rev /opt/x | sh"));
    assert!(hidden("rev < /opt/x | sh; rev < /opt/y | sh"));
    assert!(hidden("base64 -d /opt/x | rev | sh"));
    assert!(!hidden("rev /opt/x | cut -d- -f1 | rev | sh"));
}

#[test]
fn what_a_computed_text_runs_is_told_where_the_command_stands_that_holds_it() {
    // Behind quotes the text is shorter than what was written.
    for script in [
        "echo é; PS4='$(cat /etc//etc/sha\"\"dow)'",
        "echo é; let 'a[$(cat /etc/sha\"\"dow)]=1'",
        "echo é; a='$(cat /etc/sha\"\"dow)'; PS1=$a",
        "echo 'é $(cat /etc/sha\"\"dow)' | envsubst",
    ] {
        let reading = read_script(script);
        let spans = reading.lines.iter().map(|line| &line.span);
        for span in spans.chain(reading.accesses.iter().map(|access| &access.span)) {
            assert!(script.get(span.clone()).is_some(), "{script}: {span:?}");
        }
    }
}

/// The paths that are opened, one of which has to be this.
fn check_opens(script: &str, path: &str) {
    let reading = read_script(script);
    let opened = reading.accesses.iter().filter(|access| access.reach == Reach::Named);
    let paths: Vec<String> = opened.map(|access| access.path.to_string()).collect();
    assert!(paths.iter().any(|opened| opened == path), "{script}: {paths:?}");
}

#[test]
fn a_list_in_the_place_of_an_element_is_expanded() {
    check_opens("a[1]=($(cat /etc/shadow))", "/etc/shadow");
    check("a[1]=(x); echo ${a[1]}", &["echo x # variables expanded"]);
    check("a=(x y); a[1]=(z); echo ${a[1]}", &["echo y # variables expanded"]);
}

#[test]
fn a_loop_that_prints_or_writes_is_not_cut_short() {
    let backwards = "s=wodahs/cte/; for i in 10 9 8 7 6 5 4 3 2 1 0; do echo -n ${s:$i:1}; done";
    for before in
        ["[ -d / ] || exit 1", "(exit)", "f(){ return 0; }; f", "x | while read l; do exit; done"]
    {
        check_opens(&format!("{before}; {backwards} | xargs cat"), "/etc/shadow");
    }
    check_opens(
        "i=11; s=wodahs/cte/; while ((i--)); do test -e /q && break; echo -n ${s:$i:1}; done | xargs cat",
        "/etc/shadow",
    );
    check_opens(
        "for i in 1 2 3 4 5 6 7; do [ -e /$i ] && break; ln -s /etc /tmp/l$i; done; cat /tmp/l6/shadow",
        "/etc/shadow",
    );
    check_opens(
        ": > /tmp/n; until [ \"$(cat /tmp/n)\" = shadow ]; do case $(cat /tmp/n) in sh) printf adow;; \
         \"\") printf sh;; esac >> /tmp/n; done; cat /etc/$(cat /tmp/n)",
        "/etc/shadow",
    );
    // What a poll prints is nobody's path.
    let poll = "while :; do i=$((i+1)); curl -s x && break; echo waiting $i; sleep 1; done";
    assert!(read_script(poll).hidden.is_empty());
    assert!(!read_script(&format!("{poll} | sh")).hidden.is_empty());
}

#[test]
fn values_of_several_variables_are_combined() {
    check_opens(
        "if [ -e /n ]; then a=tmp; else a=etc; fi; if [ -e /e ]; then b=shadow; else b=hosts; fi; \
         cat /$a/$b",
        "/etc/shadow",
    );
    check_opens("a=etc; [ -e /n ] && a=x; c=s; [ -e /e ] && c=shado; cat /$a/${c}w", "/etc/shadow");
}

#[test]
fn names_may_end_in_a_nul() {
    check_opens("find /etc -type f -print0 | xargs -0 cat", "/etc/*");
    check_opens("find /etc -type f -name 'sh*' -print0 | xargs -0 cat", "/etc/sh*");
}

#[test]
fn options_of_a_mount_are_no_source() {
    for options in ["-o bind", "-o ro,bind", "--bind", "-t none -o bind"] {
        check_opens(&format!("mount {options} /etc /q; cat /q/shadow"), "/etc/shadow");
    }
}

#[test]
fn what_is_not_kept_is_told() {
    let links: String = (0..300).map(|at| format!("ln -s /x /t{at};")).collect();
    let traps = "trap : 1;".repeat(70);
    let descriptors: String = (100..180).map(|at| format!("exec {at}</x;")).collect();
    for script in [links, traps, descriptors] {
        let hidden = read_script(&script).hidden;
        assert!(hidden.iter().any(|hidden| hidden.why == HiddenWhy::Work), "{script:.40}");
    }
}

#[test]
fn tools_and_languages_share_what_they_may_cost() {
    for (script, times) in [
        ("awk 'BEGIN{while(1)a[i++]=i}';", 64),
        ("echo a | sed ':a;s/a/aa/;ta';", 32),
        ("seq 1 99999;", 1_000),
        ("python3 -c 'for i in range(100000): x=i+i*i';", 200),
    ] {
        let hidden = read_script(&script.repeat(times)).hidden;
        assert!(hidden.iter().any(|hidden| hidden.why == HiddenWhy::Work), "{script}");
    }
}
