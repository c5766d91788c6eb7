use std::collections::BTreeMap;

use super::*;
use crate::audit::shell::ast::{Item, Node, Simple};
use crate::audit::shell::parse::{parse, parse_document};
use crate::audit::shell::text::{MarkKind, Steps};

/// A shell whose substitutions give what stands in `printed`, one after the other.
struct Fixture {
    variables: BTreeMap<String, Text>,
    arrays: BTreeMap<String, Vec<Text>>,
    positional: Vec<Text>,
    printed: Vec<Text>,
    budget: usize,
}

impl Fixture {
    fn new() -> Fixture {
        let variables = [
            ("IFS", " \t\n"),
            ("HOME", "/root"),
            ("OLDPWD", "/old"),
            ("PATH", "/usr/bin:/bin"),
            ("x", "/etc/shadow"),
            ("e", ""),
            ("n", "3"),
            ("sp", " a b  c "),
            ("g", "/etc/sh*[ab]"),
            ("ref", "x"),
            ("mixed", "aBc dEf"),
            ("csv", "a,b,,c,"),
            ("esc", r"\x2fetc\057shadow\t\u00e9\q"),
            ("pre1", "1"),
            ("pre2", "2"),
            ("expr", "n + 1"),
            ("a", "one"),
            ("elem", "a[1]"),
            ("all", "a[@]"),
            ("u8", "äöü"),
            ("m[key]", "value"),
        ];
        let texts = |items: &[&str]| items.iter().map(|item| Text::from(*item)).collect();
        let mut variables: BTreeMap<_, _> = variables
            .into_iter()
            .map(|(name, value)| (name.to_owned(), Text::from(value)))
            .collect();
        let mut partly = Text::literal("/etc/sh");
        partly.push_hole();
        partly.push_str("/end");
        variables.insert("unknown".to_owned(), Text::hole());
        variables.insert("partly".to_owned(), partly);
        variables.insert("tail".to_owned(), {
            let mut text = Text::literal("/etc/");
            text.push_hole();
            text.push_str("ab");
            text
        });
        Fixture {
            variables,
            arrays: [("a".to_owned(), texts(&["one", "two", "three x"]))].into(),
            positional: texts(&["sh", "/etc", "b c", "", "four"]),
            printed: Vec::new(),
            budget: 1_000_000,
        }
    }
}

impl Shell for Fixture {
    fn variable(&self, name: &str) -> Option<Text> {
        self.variables.get(name).cloned()
    }

    fn array(&self, name: &str) -> Option<Vec<Text>> {
        self.arrays.get(name).cloned().or_else(|| self.variable(name).map(|value| vec![value]))
    }

    fn named(&mut self, name: &str, key: &str) -> Option<Option<Text>> {
        self.variable(&format!("{name}[{key}]")).map(Some)
    }

    fn set_variable(&mut self, name: &str, value: Text) {
        let subscripted = name.strip_suffix(']').and_then(|name| name.split_once('['));
        let element = subscripted.and_then(|(name, index)| {
            self.arrays.get_mut(name)?.get_mut(index.parse::<usize>().ok()?)
        });
        if let Some(element) = element {
            *element = value;
            return;
        }
        self.variables.insert(name.to_owned(), value);
    }

    fn variable_names(&self, prefix: &str) -> Vec<String> {
        self.variables.keys().filter(|name| name.starts_with(prefix)).cloned().collect()
    }

    fn positional(&self) -> &[Text] {
        &self.positional
    }

    fn home(&self, user: &str) -> Text {
        match user {
            "" | "root" => Text::from("/root"),
            user => Text::literal(format!("/home/{user}")),
        }
    }

    fn working_directory(&self) -> Text {
        Text::from("/work")
    }

    fn substitute(&mut self, _: &Script) -> Text {
        self.printed.pop().unwrap_or_default()
    }

    fn process(&mut self, _: &Script, input: bool) -> Text {
        Text::from(if input { "/dev/fd/63" } else { "/dev/fd/62" })
    }

    fn spend(&mut self, work: usize) -> bool {
        let enough = self.budget >= work;
        self.budget = self.budget.saturating_sub(work);
        enough
    }
}

/// The words behind `echo`.
fn words(written: &str) -> Vec<Word> {
    let script = parse(&format!("echo {written}"));
    let [Item { node: Node::Simple(Simple { words, .. }), .. }] = &*script.items else {
        panic!("`{written}` is not a simple command: {script:?}")
    };
    words[1..].to_vec()
}

/// Active characters behind a backtick, holes as `…`.
fn show(text: &Text) -> String {
    let mut out = String::new();
    let mut marks = text.marks().iter().peekable();
    for (at, character) in text.as_str().char_indices() {
        while let Some(mark) = marks.next_if(|mark| mark.at == at) {
            out.push(if mark.kind == MarkKind::Hole { '…' } else { '`' });
        }
        out.push(character);
    }
    if marks.next().is_some() {
        out.push('…');
    }
    out
}

fn show_all(texts: &[Text]) -> String {
    texts.iter().map(|text| format!("<{}>", show(text))).collect()
}

fn expand_in(shell: &mut Fixture, written: &str) -> Vec<Text> {
    let mut out = Vec::new();
    words(written).iter().for_each(|word| fields(word, shell, &mut out));
    out
}

fn check(cases: &[(&str, &str)]) {
    for (written, expected) in cases {
        let texts = expand_in(&mut Fixture::new(), written);
        assert_eq!(show_all(&texts), *expected, "{written}");
    }
}

fn check_single(cases: &[(&str, &str)]) {
    for (written, expected) in cases {
        let mut shell = Fixture::new();
        let [word] = &*words(written) else { panic!("`{written}` is not one word") };
        assert_eq!(show(&single(word, &mut shell)), *expected, "{written}");
    }
}

#[test]
fn quotes_are_removed_and_hold_a_word_together() {
    check(&[
        ("/etc/sh''adow", "</etc/shadow>"),
        (r"/etc/sh\adow", "</etc/shadow>"),
        (r#""/etc/"'sha'dow"#, "</etc/shadow>"),
        ("$'\\x2fetc\\x2fshadow'", "</etc/shadow>"),
        ("''", "<>"),
        (r#""""#, "<>"),
        (r#""$e""#, "<>"),
        (r#"a"$nothing"b"#, "<ab>"),
        ("$e''", "<>"),
        (r#""$sp""#, "< a b  c >"),
        (r#"'$x' "\$x""#, "<$x><$x>"),
    ]);
}

#[test]
fn values_outside_quotes_are_split() {
    check(&[
        ("$x", "</etc/shadow>"),
        ("$e", ""),
        ("$nothing", ""),
        ("$sp", "<a><b><c>"),
        ("x$sp", "<x><a><b><c>"),
        ("${sp}y", "<a><b><c><y>"),
        ("x${sp}y", "<x><a><b><c><y>"),
        ("$sp$sp", "<a><b><c><a><b><c>"),
        ("cat$IFS/etc/shadow", "<cat></etc/shadow>"),
        ("cat${IFS}$x", "<cat></etc/shadow>"),
        ("cat\"$IFS\"x", "<cat \t\nx>"),
        ("$csv", "<a,b,,c,>"),
        ("$sp''", "<a><b><c><>"),
        ("''$sp", "<><a><b><c>"),
        ("'a'$sp\"b\"", "<a><a><b><c><b>"),
    ]);
}

#[test]
fn separators_are_those_of_the_script() {
    for (ifs, value, written, expected) in [
        (",", "a,b,,c,", "$v", "<a><b><><c>"),
        (",", ",a", "$v", "<><a>"),
        (",", "a, b", "$v", "<a>< b>"),
        (", ", " ,a, b,,c ,", "$v", "<><a><b><><c>"),
        (", ", " ,a, b,,c ,", "x$v", "<x><a><b><><c>"),
        (", ", "a , b", "$v", "<a><b>"),
        (", ", "a ,, b", "$v", "<a><><b>"),
        ("", "a b", "$v", "<a b>"),
        ("", "", "$v", ""),
        ("é", "aébéc", "$v", "<a><b><c>"),
        ("/", "/etc/shadow", "$v", "<><etc><shadow>"),
        (",", "a,b", "\"$v\"", "<a,b>"),
        (",", "a,b", "\"$*\"", "</etc,b c,,four>"),
        ("", "a,b", "\"$*\"", "</etcb cfour>"),
        ("", "", "$*", "</etcb cfour>"),
        ("", "", "$@", "</etc><b c><four>"),
        (",", "", "$@", "</etc><b c><><four>"),
        (" ,", "", "$@", "</etc><b><c><four>"),
        (",", "a,b", "${u:-1,2}", "<1><2>"),
        (",", "cat,/etc/passwd", "$v", "<cat></etc/passwd>"),
        ("0", "-", "$((101))", "<1><1>"),
    ] {
        let mut shell = Fixture::new();
        shell.variables.insert("IFS".to_owned(), Text::from(ifs));
        shell.variables.insert("v".to_owned(), Text::from(value));
        let texts = expand_in(&mut shell, written);
        assert_eq!(show_all(&texts), expected, "IFS={ifs:?} v={value:?} {written}");
    }
    let mut shell = Fixture::new();
    shell.variables.remove("IFS");
    assert_eq!(show_all(&expand_in(&mut shell, "$sp")), "<a><b><c>");
    assert_eq!(show_all(&expand_in(&mut shell, "\"$*\"")), "</etc b c  four>");
}

#[test]
fn positional_parameters_stay_apart_where_the_shell_keeps_them() {
    check(&[
        ("$1/shadow", "</etc/shadow>"),
        ("$0", "<sh>"),
        ("${10}", ""),
        ("$10", "</etc0>"),
        ("$#", "<4>"),
        ("$2", "<b><c>"),
        ("\"$2\"", "<b c>"),
        ("\"$@\"", "</etc><b c><><four>"),
        ("x\"$@\"y", "<x/etc><b c><><foury>"),
        ("$@", "</etc><b><c><four>"),
        ("$*", "</etc><b><c><four>"),
        ("\"$*\"", "</etc b c  four>"),
        ("\"$@$@\"", "</etc><b c><><four/etc><b c><><four>"),
        ("\"${@:2}\"", "<b c><><four>"),
        ("\"${@:1:2}\"", "</etc><b c>"),
        ("\"${@:0:1}\"", "<sh>"),
        ("\"${@: -1}\"", "<four>"),
        ("${@:2:1}", "<b><c>"),
        ("\"${*:1:2}\"", "</etc b c>"),
        ("\"${@:9}\"", ""),
        ("${#@}", "<4>"),
        ("${#1}", "<4>"),
        ("\"${@#/}\"", "<etc><b c><><four>"),
        ("\"${@/o/0}\"", "</etc><b c><><f0ur>"),
        ("${1+\"$@\"}", "</etc><b c><><four>"),
        ("\"${@:-none}\"", "</etc><b c><><four>"),
        ("${!#}", "<four>"),
    ]);
    let mut shell = Fixture::new();
    shell.positional.truncate(1);
    assert_eq!(show_all(&expand_in(&mut shell, "\"$@\"")), "");
    assert_eq!(show_all(&expand_in(&mut shell, "\"a$@\"")), "<a>");
    assert_eq!(show_all(&expand_in(&mut shell, "\"\"$@")), "<>");
    assert_eq!(show_all(&expand_in(&mut shell, "\"$*\"")), "<>");
    assert_eq!(show_all(&expand_in(&mut shell, "\"${@:-none}\" $#")), "<none><0>");
}

#[test]
fn arrays_are_read_by_element_and_as_a_whole() {
    check(&[
        ("${a[0]}", "<one>"),
        ("${a[1]}", "<two>"),
        ("\"${a[2]}\"", "<three x>"),
        ("${a[-2]}", "<two>"),
        ("${a[n-2]}", "<two>"),
        ("${a[$n - 2]}", "<two>"),
        ("${a[9]}", ""),
        ("${a[@]}", "<one><two><three><x>"),
        ("\"${a[@]}\"", "<one><two><three x>"),
        ("\"${a[*]}\"", "<one two three x>"),
        ("${#a[@]}", "<3>"),
        ("${#a[1]}", "<3>"),
        ("\"${!a[@]}\"", "<0><1><2>"),
        ("\"${a[@]:1:1}\"", "<two>"),
        ("\"${a[@]: -1}\"", "<three x>"),
        ("\"${a[@]^}\"", "<One><Two><Three x>"),
        ("\"${a[@]/#/p}\"", "<pone><ptwo><pthree x>"),
        ("${x[0]}", "</etc/shadow>"),
        ("${m[key]}", "<value>"),
        ("${!elem}", "<two>"),
        ("\"${!all}\"", "<one><two><three x>"),
        ("${a[$RANDOM]}", "<…>"),
    ]);
}

#[test]
fn defaults_are_taken_where_the_shell_takes_them() {
    check(&[
        ("${u-d}", "<d>"),
        ("${u:-d}", "<d>"),
        ("${e-d}", ""),
        ("${e:-d}", "<d>"),
        ("${x:-d}", "</etc/shadow>"),
        ("${x+d}", "<d>"),
        ("${e+d}", "<d>"),
        ("${e:+d}", ""),
        ("${u+d}", ""),
        ("${u:=d}${u}", "<dd>"),
        ("${x:=d}", "</etc/shadow>"),
        ("${x:?d}", "</etc/shadow>"),
        ("${u:?d}", ""),
        ("${u:-a b}", "<a><b>"),
        ("${u:-\"a b\"}", "<a b>"),
        ("${u:-'a b' c}", "<a b><c>"),
        ("\"${u:-a b}\"", "<a b>"),
        ("${u:-$x}", "</etc/shadow>"),
        ("${u:-${v:-/etc}}/shadow", "</etc/shadow>"),
        ("${u:-~/x}", "</root/x>"),
        ("${u:-$sp}", "<a><b><c>"),
        ("${u:-*}", "<`*>"),
        ("\"${u:-*}\"", "<*>"),
        ("\"${u:-}\"", "<>"),
        ("${u:-}", ""),
        ("x${u:- a }y", "<x><a><y>"),
        ("${1:-d}", "</etc>"),
        ("${3:-d}", "<d>"),
        ("${9-d}", "<d>"),
        ("${@:+yes}", "<yes>"),
        ("${unknown:-/etc/shadow}", "</etc/shadow>"),
        ("${unknown:+/etc/shadow}", "</etc/shadow>"),
        ("${unknown:?x}", "<…>"),
    ]);
}

#[test]
fn operators_change_values() {
    check(&[
        ("${#x}", "<11>"),
        ("${#u}", "<0>"),
        ("${#u8}", "<3>"),
        ("${#unknown}", "<…>"),
        ("${x#/etc}", "</shadow>"),
        ("${x#*/}", "<etc/shadow>"),
        ("${x##*/}", "<shadow>"),
        ("${x%/*}", "</etc>"),
        ("${x%%/*}", ""),
        ("${x%dow}", "</etc/sha>"),
        ("${x#nothing}", "</etc/shadow>"),
        ("${x#\"*\"}", "</etc/shadow>"),
        ("${x#'/etc/'}", "<shadow>"),
        ("${x#$1}", "</shadow>"),
        ("\"${x##*/}\"", "<shadow>"),
        ("${x%[a-w]}", "</etc/shado>"),
        ("${x/shadow/passwd}", "</etc/passwd>"),
        ("${x/a/A}", "</etc/shAdow>"),
        ("${x//[ao]/_}", "</etc/sh_d_w>"),
        ("${x//a}", "</etc/shdow>"),
        ("${x/#\\/etc/E}", "<E/shadow>"),
        ("${x/%dow/x}", "</etc/shax>"),
        ("${x/#/p}", "<p/etc/shadow>"),
        ("${x/%/-}", "</etc/shadow->"),
        ("${x//\\//.}", "<.etc.shadow>"),
        ("${x/sh*/s}", "</etc/s>"),
        ("${x/a/_&_}", "</etc/sh_a_dow>"),
        ("${x/a/\\&}", "</etc/sh&dow>"),
        ("${x/a/$n}", "</etc/sh3dow>"),
        ("${x/}", "</etc/shadow>"),
        ("${csv//,/ }", "<a><b><c>"),
        ("${x:5}", "<shadow>"),
        ("${x:0:4}", "</etc>"),
        ("${x:5:3}", "<sha>"),
        ("${x: -6}", "<shadow>"),
        ("${x: -6:3}", "<sha>"),
        ("${x:5:-3}", "<sha>"),
        ("${x:n+2}", "<shadow>"),
        ("${x:$n:2}", "<c/>"),
        ("${x:99}", ""),
        ("${x: -99}", ""),
        ("${x:(-6):2}", "<sh>"),
        ("${u8:1:1}", "<ö>"),
        ("${x:0:1}etc${x:0:1}", "</etc/>"),
        ("${mixed^^}", "<ABC><DEF>"),
        ("${mixed,,}", "<abc><def>"),
        ("\"${mixed^}\"", "<ABc dEf>"),
        ("\"${mixed^^[a-c]}\"", "<ABC dEf>"),
        ("${x^^}", "</ETC/SHADOW>"),
        ("${u8^^}", "<ÄÖÜ>"),
        ("${x@U}", "</ETC/SHADOW>"),
        ("${x@Q}", "</etc/shadow>"),
        ("\"${mixed@L}\"", "<abc def>"),
        ("\"${mixed@u}\"", "<ABc dEf>"),
        ("\"${esc@E}\"", "</etc/shadow\té\\q>"),
        ("${x@P}", "</etc/shadow>"),
        ("${x@A}", "<x=/etc/shadow>"),
        ("${!ref}", "</etc/shadow>"),
        ("${!u}", ""),
        ("${!pre*}", "<pre1><pre2>"),
        ("\"${!pre@}\"", "<pre1><pre2>"),
    ]);
}

#[test]
fn what_is_unknown_is_kept_apart_from_what_is_known() {
    check(&[
        ("$unknown", "<…>"),
        ("a${unknown}b", "<a…b>"),
        ("\"$partly\"", "</etc/sh…/end>"),
        ("${partly#/etc}", "</sh…/end>"),
        ("${partly##*/}", "<…>"),
        ("${partly%/end}", "</etc/sh…>"),
        ("${partly%d}", "</etc/sh…/en>"),
        ("${partly:0:4}", "</etc>"),
        ("${partly:5}", "<…>"),
        ("${partly/e/x}", "<…>"),
        ("${partly^^}", "</ETC/SH…/END>"),
        ("${tail%b}", "</etc/…a>"),
        ("${tail%ab}", "</etc/…>"),
        ("${x#$unknown}", "<…>"),
        ("$RANDOM", "<…>"),
        ("$$", "<…>"),
        ("$!", "<…>"),
        ("$-", "<…>"),
        ("$?", "<0>"),
        ("${!unknown}", "<…>"),
        ("$(($unknown + 1))", "<…>"),
        ("$((1 / 0))", "<…>"),
    ]);
}

#[test]
fn tildes_are_homes_where_the_shell_says_so() {
    check(&[
        ("~", "</root>"),
        ("~/.ssh/id_rsa", "</root/.ssh/id_rsa>"),
        ("~root/x", "</root/x>"),
        ("~bob/.ssh", "</home/bob/.ssh>"),
        ("~+", "</work>"),
        ("~-/x", "</old/x>"),
        ("a~", "<a~>"),
        ("'~'/x", "<~/x>"),
        ("\\~/x", "<~/x>"),
        ("\"~/x\"", "<~/x>"),
        ("~$x", "<~/etc/shadow>"),
        ("~\"\"/x", "<~/x>"),
        ("/a:~/x", "</a:~/x>"),
        ("if=~/x", "<if=/root/x>"),
        ("p=~/x:~bob/y", "<p=/root/x:/home/bob/y>"),
        ("--file=~/x", "<--file=~/x>"),
        ("~1", "<~1>"),
        ("~a*", "<~a`*>"),
        ("~/*", "</root/`*>"),
    ]);
    check_single(
        &[("~/a:~/b:~bob", "</root/a:/root/b:/home/bob>"), ("~", "</root>"), ("a~:'~'", "<a~:~>")]
            .map(|(written, expected)| (written, expected.trim_matches(['<', '>']))),
    );
}

#[test]
fn braces_make_several_words() {
    check(&[
        ("{cat,/etc/shadow}", "<cat></etc/shadow>"),
        ("{cat,\"/etc/shadow\"}", "<cat></etc/shadow>"),
        ("/etc/{passwd,shadow}", "</etc/passwd></etc/shadow>"),
        ("{a,b}{c,d}", "<ac><ad><bc><bd>"),
        ("{a,{b,c}d,e}f", "<af><bdf><cdf><ef>"),
        ("{1..5}", "<1><2><3><4><5>"),
        ("{01..10..3}", "<01><04><07><10>"),
        ("{-05..5..5}", "<-05><000><005>"),
        ("{5..1..2}", "<5><3><1>"),
        ("{1..3..0}", "<1><2><3>"),
        ("{1..9..-3}", "<1><4><7>"),
        ("{a..e}", "<a><b><c><d><e>"),
        ("{e..a..2}", "<e><c><a>"),
        ("sh{a..a}dow", "<shadow>"),
        ("{1..a}{x,y}", "<{1..a}x><{1..a}y>"),
        ("{a}", "<{a}>"),
        ("{}", "<{}>"),
        ("{},b}", "<{},b}>"),
        ("a{},b}", "<a}><ab>"),
        ("{a},b}", "<a}><b>"),
        ("{a{b,c}}", "<{ab}><{ac}>"),
        ("{a}{b,c}", "<{a}b><{a}c>"),
        ("{x{b}c,d}", "<x{b}c><d>"),
        ("{a,{b,c}", "<{a,b><{a,c>"),
        ("{a,b}}", "<a}><b}>"),
        ("{{a,b}", "<{a><{b>"),
        ("{a{b,c}..d}", "<ab..d><ac..d>"),
        ("{a..b,c}", "<a..b><c>"),
        ("{..'x,'}", "<..x,>"),
        ("{..'x'}", "<{..x}>"),
        ("{1..}{a,b}", "<{1..}a><{1..}b>"),
        ("x{,}y", "<xy><xy>"),
        ("{a,b,}", "<a><b>"),
        ("{'a,b',c}", "<a,b><c>"),
        ("{a\\,b,c}", "<a,b><c>"),
        ("\\{a,b}", "<{a,b}>"),
        ("{a,b\\}", "<{a,b}>"),
        ("'{a,b}'", "<{a,b}>"),
        ("\"{a,b}\"", "<{a,b}>"),
        ("{$x,b}", "</etc/shadow><b>"),
        ("{$sp,b}", "<a><b><c><b>"),
        ("${x}{a,b}", "</etc/shadowa></etc/shadowb>"),
        ("{~,x}/y", "</root/y><x/y>"),
        ("{1..$n}", "<{1..3}>"),
        ("/etc/{sh*,pass?d}", "</etc/sh`*></etc/pass`?d>"),
        ("a,b", "<a,b>"),
        ("}a,b{", "<}a,b{>"),
        ("{$(x),${x:5}}", "<shadow>"),
    ]);
    check_single(&[("{a,b}", "{a,b}"), ("/etc/{a,b}*", "/etc/{a,b}`*")]);
}

#[test]
fn unquoted_pattern_characters_are_active() {
    check(&[
        ("/etc/sh*", "</etc/sh`*>"),
        ("/etc/sha?ow", "</etc/sha`?ow>"),
        ("/etc/[r-t]hadow", "</etc/`[r`-t`]hadow>"),
        ("/etc/[!a]x", "</etc/`[`!a`]x>"),
        ("'/etc/sh*'", "</etc/sh*>"),
        ("\"/etc\"/sh*", "</etc/sh`*>"),
        ("/etc/sh\\*", "</etc/sh*>"),
        ("[", "<[>"),
        ("[]", "<[]>"),
        ("a]", "<a]>"),
        ("a-b!", "<a-b!>"),
        ("[a\"]\"", "<[a]>"),
        ("[a", "<[a>"),
        ("$g", "</etc/sh`*`[ab`]>"),
        ("\"$g\"", "</etc/sh*[ab]>"),
        ("[$x]", "<`[/etc/shadow`]>"),
        ("@(a|b*)c", "<`@`(a`|b`*`)c>"),
        ("/etc/!(x)", "</etc/`!`(x`)>"),
        ("@($x|'*')", "<`@`(/etc/shadow`|*`)>"),
    ]);
    check_single(&[
        ("/etc/sh*", "/etc/sh`*"),
        ("$g", "/etc/sh`*`[ab`]"),
        ("\"$g\"", "/etc/sh*[ab]"),
    ]);
}

#[test]
fn single_neither_splits_nor_drops() {
    check_single(&[
        ("$sp", " a b  c "),
        ("$@", "/etc b c  four"),
        ("\"$@\"", "/etc b c  four"),
        ("\"$*\"", "/etc b c  four"),
        ("$u", ""),
        ("\"${a[@]}\"", "one two three x"),
        ("${u:-a  b}", "a  b"),
        ("$unknown", "…"),
    ]);
    let mut shell = Fixture::new();
    shell.variables.insert("IFS".to_owned(), Text::from(":"));
    assert_eq!(show(&single(&words("$*")[0], &mut shell)), "/etc:b c::four");
    assert_eq!(show(&single(&words("$@")[0], &mut shell)), "/etc b c  four");
}

#[test]
fn substitutions_are_values() {
    for (printed, written, expected) in [
        ("/etc/shadow", "$(echo x)", "</etc/shadow>"),
        ("a b", "$(echo x)", "<a><b>"),
        ("a b", "\"$(echo x)\"", "<a b>"),
        ("a b", "`echo x`c", "<a><bc>"),
        ("", "$(echo x)", ""),
        ("", "\"$(echo x)\"", "<>"),
        ("/etc/*", "$(echo x)", "</etc/`*>"),
        ("-", "<(echo x)", "</dev/fd/63>"),
        ("-", "x=>(echo x)", "<x=/dev/fd/62>"),
        ("shadow", "${u:-/etc/$(echo x)}", "</etc/shadow>"),
        ("6", "${x: -$(echo x)}", "<shadow>"),
    ] {
        let mut shell = Fixture::new();
        shell.printed.push(Text::from(printed));
        assert_eq!(show_all(&expand_in(&mut shell, written)), expected, "{written}");
    }
}

#[test]
fn a_pattern_that_a_substitution_printed_survives_quotes() {
    let mut shell = Fixture::new();
    let mut printed = Text::literal("/etc/sh");
    printed.push_active('*');
    shell.printed = vec![printed.clone(), printed];
    assert_eq!(show_all(&expand_in(&mut shell, "\"$(x)\" $(x)")), "</etc/sh`*></etc/sh`*>");
}

#[test]
fn arithmetic_is_that_of_the_shell() {
    for (expression, expected) in [
        ("", Some(0)),
        ("1 + 2 * 3", Some(7)),
        ("(1 + 2) * 3", Some(9)),
        ("010", Some(8)),
        ("08", None),
        ("0x2F", Some(47)),
        ("0xg", None),
        ("2#101", Some(5)),
        ("36#Zz", Some(35 * 36 + 35)),
        ("64#_", Some(63)),
        ("64#A", Some(36)),
        ("65#1", None),
        ("1#0", None),
        ("3#3", None),
        ("-2 ** 2", Some(4)),
        ("2 ** 3 ** 2", Some(512)),
        ("2 ** -1", None),
        ("--5", Some(5)),
        ("5 ++3", Some(8)),
        ("7 / -2", Some(-3)),
        ("-7 % 3", Some(-1)),
        ("1 / 0", None),
        ("1 % 0", None),
        ("1 << 4 | 1", Some(17)),
        ("-16 >> 2", Some(-4)),
        ("6 & 3 ^ 1", Some(3)),
        ("~5", Some(-6)),
        ("!5 + !0", Some(1)),
        ("1 < 2 == 1", Some(1)),
        ("1 && 0 || 1", Some(1)),
        ("0 && 1 / 0", Some(0)),
        ("1 || 1 / 0", Some(1)),
        ("1 ? 2 : 3", Some(2)),
        ("0 ? 2 : 0 ? 3 : 4", Some(4)),
        ("1 ? 2 : 1 / 0", Some(2)),
        ("1, 2, 3", Some(3)),
        ("n", Some(3)),
        ("n + u", Some(3)),
        ("expr * 2", Some(8)),
        ("$n$n", Some(33)),
        ("${n}0 - 1", Some(29)),
        ("v = 5, v + 1", Some(6)),
        ("v = w = 4, v * w", Some(16)),
        ("n += 2, n", Some(5)),
        ("n <<= 2", Some(12)),
        ("n++ + n", Some(7)),
        ("++n + n", Some(8)),
        ("n-- - n", Some(1)),
        ("0 && (n = 9), n", Some(3)),
        ("v = n > 2 ? 10 : 20, v", Some(10)),
        ("a[1] = 7, a[1] + 1", Some(8)),
        ("x", None),
        ("unknown", None),
        ("RANDOM", None),
        ("1 +", None),
        ("1 2", None),
        ("5 = 3", None),
        ("(1", None),
        ("1 ? 2", None),
        ("9223372036854775807 + 1", Some(i64::MIN)),
        ("(-9223372036854775807 - 1) / -1", Some(i64::MIN)),
        ("1 << 65", Some(2)),
        ("n == 3 && n != 4", Some(1)),
        ("n<=3, n>=4", Some(0)),
        ("n/1", Some(3)),
        ("n %= 2", Some(1)),
        ("v=1,v|=6,v^=1,v&=6", Some(6)),
        ("é", None),
    ] {
        let mut shell = Fixture::new();
        let parts = parse_document(expression);
        let word = Word { parts: parts.into(), ..Word::default() };
        assert_eq!(arithmetic(&word, &mut shell), expected, "{expression}");
    }
    check(&[
        ("$((6 * 7))", "<42>"),
        ("x$((0x2f))", "<x47>"),
        ("\"$((n - 1))\"", "<2>"),
        ("$((v = 2))$v", "<22>"),
        ("$[1 + 1]", "<2>"),
    ]);
}

#[test]
fn variables_that_name_each_other_end() {
    let mut shell = Fixture::new();
    shell.set_variable("p", Text::from("q"));
    shell.set_variable("q", Text::from("p"));
    assert_eq!(evaluate("p", &mut shell), None);
    assert_eq!(shell.budget, 0, "a bound never hides anything");
    let mut shell = Fixture::new();
    shell.set_variable("p", Text::from("p"));
    assert_eq!(evaluate("p", &mut shell), None);
    assert!(shell.budget > 0);
    for (at, name) in ('a'..='z').enumerate() {
        let next = char::from(b'a' + (at as u8 + 1) % 26);
        shell.set_variable(&name.to_string(), Text::literal(format!("{next}+{next}")));
    }
    assert_eq!(evaluate("a", &mut shell), None);
}

#[test]
fn documents_are_as_within_double_quotes() {
    for (body, expected) in [
        ("cat $x *\n~ {a,b} '$n'\n", "cat /etc/shadow *\n~ {a,b} '3'\n"),
        ("$sp|", " a b  c |"),
        ("$@", "/etc b c  four"),
        ("${u:-a b}", "a b"),
        ("$unknown", "…"),
    ] {
        let mut shell = Fixture::new();
        assert_eq!(show(&document(&parse_document(body), &mut shell)), expected, "{body}");
    }
}

#[test]
fn texts_tell_the_steps_that_led_to_them() {
    for (written, expected) in [
        ("a", vec![]),
        ("/etc/sh''adow", vec![Step::Quotes]),
        ("sh\\adow", vec![Step::Backslash]),
        ("$'a'", vec![Step::AnsiQuotes]),
        ("\"$x\"", vec![Step::Quotes, Step::Variable]),
        ("$x$u", vec![Step::Variable, Step::UnsetVariable]),
        ("${x#/}", vec![Step::Variable, Step::ParameterOperator]),
        ("${u:-$n}", vec![Step::Variable, Step::ParameterOperator]),
        ("${u:-a}", vec![Step::ParameterOperator]),
        ("$1", vec![Step::Positional]),
        ("\"${*:1:1}\"", vec![Step::Quotes, Step::ParameterOperator, Step::Positional]),
        ("~/x", vec![Step::Tilde]),
        ("{a,}", vec![Step::Braces]),
        ("$((1))", vec![Step::Arithmetic]),
        ("x$(y)", vec![Step::Substitution]),
        ("@(a|'b')", vec![Step::Quotes]),
        ("${!ref}", vec![Step::Variable, Step::ParameterOperator]),
    ] {
        let texts = expand_in(&mut Fixture::new(), written);
        let steps = texts.iter().fold(Steps::NONE, |steps, text| steps.and(text.steps));
        assert_eq!(steps.iter().collect::<Vec<_>>(), expected, "{written}");
    }
    let fields = expand_in(&mut Fixture::new(), "a${sp}b ${u:-1 2}");
    for text in &fields[1..] {
        assert!(!text.steps.is_empty(), "{text}");
    }
}

#[test]
fn a_bound_exhausts_the_budget_and_leaves_a_hole() {
    let mut shell = Fixture::new();
    shell.budget = 100_000_000;
    shell.set_variable("big", Text::literal("a".repeat(40_000)));
    let texts = expand_in(&mut shell, "$big$big");
    assert!(texts[0].has_hole());
    assert!(texts[0].len() <= EXPANDED_MAX_BYTES);
    assert_eq!(shell.budget, 0);

    for written in [
        "${big//a/$big}",
        "{1..100000}",
        "{1..100}{1..100}",
        "{1..64}{1..64}{1..64}{1..64}",
        "{0..9223372036854775807}",
    ] {
        let mut shell = Fixture::new();
        shell.budget = 100_000_000;
        shell.set_variable("big", Text::literal("a".repeat(40_000)));
        let texts = expand_in(&mut shell, written);
        assert_eq!(shell.budget, 0, "{written}");
        assert!(!texts.is_empty() && texts.len() <= 4_096, "{written}: {}", texts.len());
    }
    let mut shell = Fixture::new();
    shell.budget = 3;
    assert!(expand_in(&mut shell, "$x$x").iter().all(|text| text.has_hole()));
}

#[test]
fn a_long_text_that_was_written_is_kept_whole() {
    let mut shell = Fixture::new();
    let long = "b".repeat(200_000);
    let texts = expand_in(&mut shell, &format!("'{long}' {long}"));
    assert!(texts.iter().all(|text| text.as_literal() == Some(&long)));
    assert!(shell.budget > 0);
}

/// Every shape costs a bounded amount of work, however large.
#[test]
fn hostile_words_end() {
    let many = 100_000;
    let literal = |text: String| Word {
        parts: smallvec::smallvec![Part::Literal(text.into())],
        ..Word::default()
    };
    for text in [
        "{".repeat(many),
        "{,".repeat(many),
        "{a,".repeat(many) + &"}".repeat(many),
        "{".repeat(many) + &"}".repeat(many),
        "{a,b}".repeat(many),
        "{x{a,b}".repeat(many),
        "{a..".repeat(many),
        "}".repeat(many) + &",".repeat(many),
        "{".repeat(many) + "a,b" + &"}".repeat(many),
        "a=~:~".repeat(many),
        "~".repeat(many),
        "[".repeat(many) + &"]".repeat(many),
        "*-".repeat(many),
    ] {
        let mut shell = Fixture::new();
        let mut texts = Vec::new();
        fields(&literal(text.clone()), &mut shell, &mut texts);
        assert!(texts.iter().map(Text::len).sum::<usize>() <= 4_000_000, "{:.10}", text);
        single(&literal(text), &mut shell);
    }
    for text in [
        "(".repeat(many),
        "-".repeat(many),
        "!".repeat(many),
        "1**".repeat(many),
        "1?".repeat(many),
        "1?1:".repeat(many),
        "v=".repeat(many),
        "a[".repeat(many),
        "1+".repeat(many) + "1",
        "1,".repeat(many) + "1",
        "0&&".repeat(many) + "1",
        "n++,".repeat(many) + "1",
    ] {
        evaluate(&text, &mut Fixture::new());
    }
}
