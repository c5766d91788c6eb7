use super::*;

#[path = "parse/print.rs"]
mod print;

#[track_caller]
fn check(cases: &[(&str, &str)]) {
    let mut wrong = String::new();
    for (source, expected) in cases {
        let found = print::script(&parse(source));
        if found != *expected {
            wrong += &format!("{source:?}\n  expected {expected}\n  found    {found}\n");
        }
    }
    assert!(wrong.is_empty(), "\n{wrong}");
}

#[test]
fn quotes_are_told_from_plain_characters() {
    check(&[
        ("cat /etc/shadow", "(cat /etc/shadow)"),
        ("cat /etc/sh''adow", "(cat /etc/sh''adow)"),
        ("c'a't \"/etc\"/x", "(c'a't \"'/etc'\"/x)"),
        ("cat 'a b'\\''c'", "(cat 'a b'\\'\\'c')"),
        (r"\c\at x", r"(\ca\t x)"),
        (r"a\ b\\", r"(a\ \b\\\)"),
        (r"a \", r"(a \)"),
        ("a '' \"\"", "(a '' \"\")"),
        (r#"a "\$\`\"\\\n""#, r#"(a "'$`"\\n'")"#),
        ("a \"'b'\"", "(a \"''b''\")"),
        ("a 'b", "(a 'b')"),
        ("a \"b $c", "(a \"'b '${c}\")"),
        ("a $\"b$c\"d", "(a \"'b'${c}\"d)"),
        ("a é'ü'\\ß", "(a é'ü'\\ß\\)"),
        ("a {b,c}*?[d-f]~/=:", "(a {b,c}*?[d-f]~/=:)"),
        ("a\\", "(a\\)"),
        ("\\", "(\\)"),
        ("'\n'", "('\\n')"),
    ]);
}

#[test]
fn escapes_of_ansi_quotes_are_decoded() {
    check(&[
        (r"a $'\x2fetc\x2Fx'", "(a $'/etc/x')"),
        (r"a $'\57etc\057'", "(a $'/etc/')"),
        (r"a $'\0571'", "(a $'/1')"),
        (r"a $'\u2f\u002F1\U0000002f'", "(a $'//1/')"),
        (r"a $'\x{2f}\x{2F'", "(a $'//')"),
        (r#"a $'\n\t\\\"\?'"#, "(a $'\\n\\t\\\"?')"),
        (r"a $'\cA\c?'", "(a $'\u{1}\u{7f}')"),
        (r"a $'\a\b\e\E\f\r\v'", "(a $'\u{7}\u{8}\u{1b}\u{1b}\u{c}\r\u{b}')"),
        (r"a $'\xc3\xa9'", "(a $'é')"),
        (r"a $'\xff'", "(a $'\u{fffd}')"),
        (r"a $'\ud800'", "(a $'\u{fffd}')"),
        (r"a $'\z\x\u\8'", r"(a $'\z\x\u\8')"),
        (r"a $'b\0c'd", "(a $'b'd)"),
        (r"a $'b", "(a $'b')"),
        (r"a $'b\", r"(a $'b\')"),
        (r"a $'\é'", r"(a $'\é')"),
        ("a \"$'b'\"", "(a \"'$'b''\")"),
        ("$'cat' x", "($'cat' x)"),
    ]);
}

#[test]
fn line_continuations_vanish() {
    check(&[
        ("ca\\\nt /etc/sha\\\ndow", "(cat\\\\ /etc/shadow\\\\)"),
        ("a \\\n b", "(a b)"),
        ("a \"b\\\nc\"", "(a \"'bc'\")"),
        ("a 'b\\\nc'", "(a 'b\\\\nc')"),
        ("a &\\\n& b |\\\n| c", "(a) && (b) || (c)"),
        ("a >\\\n> b 2\\\n>c", "(a >>b 2>c)"),
        ("a $\\\n(b) $\\\n{c} $d\\\ne", "(a $((b)) ${c} ${de})"),
        ("i\\\nf a; the\\\nn b; f\\\ni", "(if (a) then (b))"),
        ("\\\n\\\na", "(a)"),
        ("a=b\\\nc", "(a=bc\\\\)"),
        ("a\\\n=b c", "(a=b c)"),
        ("cat ~\\\n", "(cat ~)"),
        ("a # b \\\nc", "(a); (c)"),
        ("a \\", "(a \\)"),
    ]);
}

#[test]
fn comments_start_at_a_word_only() {
    check(&[
        ("a # b", "(a)"),
        ("a#b", "(a#b)"),
        ("a \\# b", "(a \\#\\ b)"),
        ("a;#b\nc", "(a); (c)"),
        ("# a 'b\nc", "(c)"),
        ("a $(b # )\n) c", "(a $((b)) c)"),
        ("(a)#b\nc", "(sub (a)); (c)"),
        ("a ${#} ''#b", "(a ${#} ''#b)"),
    ]);
}

#[test]
fn lists_keep_how_their_commands_are_connected() {
    check(&[
        ("a; b\nc & d && e || f", "(a); (b); (c) &; (d) && (e) || (f)"),
        ("a && \n\n b", "(a) && (b)"),
        ("a | b |& c", "[(a) | (b 2>&1) | (c)]"),
        ("a |\n b", "[(a) | (b)]"),
        ("! a", "![(a)]"),
        ("! ! a", "(a)"),
        ("! a | b", "![(a) | (b)]"),
        ("time a; time -p b; time -- c", "(a); (b); (c)"),
        ("time -f %e cat x", "(time -f %e cat x)"),
        ("time ! a", "![(a)]"),
        ("!(a)", "![(sub (a))]"),
        ("{ a; } |& b", "[(with (group (a)) 2>&1) | (b)]"),
        ("a;;b", "(a); (b)"),
        ("", ""),
        ("\n;\n", ""),
    ]);
}

#[test]
fn redirections_keep_descriptor_and_kind() {
    check(&[
        ("< /etc/shadow", "(</etc/shadow)"),
        ("cat</etc/shadow>a", "(cat </etc/shadow >a)"),
        ("a 2>b 10<c", "(a 2>b 10<c)"),
        ("a2>b", "(a2 >b)"),
        ("a 2 >b", "(a 2 >b)"),
        ("a >>b >|c <>d 3<>e", "(a >>b >c <>d 3<>e)"),
        ("a >&2 2>&1 <&3 3<&- >&-", "(a >&2 2>&1 <&3 3<&- >&-)"),
        ("a >&b", "(a &>b)"),
        ("a >&$b 2>&c", "(a >&${b} 2>&c)"),
        ("a >& 'b c' >&1-", "(a &>'b c' >&1-)"),
        ("a &>b", "(a &>b)"),
        ("a &>>b c", "(a c &>b)"),
        ("&>b a", "(a &>b)"),
        ("a {fd}<b", "(a <b)"),
        ("a {fd} <b", "(a {fd} <b)"),
        ("a <<<b <<< \"$c\"", "(a <<<b <<<\"${c}\")"),
        ("<a cat", "(cat <a)"),
        ("a=1 >b", "(a=1 >b)"),
        ("{ a; } >b 2>&1; c", "(with (group (a)) >b 2>&1); (c)"),
        ("while a; do b; done <c", "(with (while (a) do (b)) <c)"),
        ("a > ; b", "(a); (b)"),
        ("a 99999999999>b", "(a 99999999999 >b)"),
        ("a > >(b) < <(c d)", "(a >>((b)) <<((c d)))"),
        ("a > #b\nc", "(a); (c)"),
    ]);
}

#[test]
fn here_documents_are_read_behind_the_line() {
    check(&[
        ("cat <<E\na $b\nE\nc", "(cat <<\"<a >${b}<\\n>\"); (c)"),
        ("cat <<'E'\na $b\nE\nc", "(cat <<<a $b\\n>); (c)"),
        ("cat <<E\"O\"F\n$a\nEOF", "(cat <<<$a\\n>)"),
        ("cat <<\\E\n$a\nE", "(cat <<<$a\\n>)"),
        ("cat <<E|sh\na\nE\nb", "[(cat <<\"<a\\n>\") | (sh)]; (b)"),
        ("cat <<A 3<<B; c\na\nA\nb\nB\nd", "(cat <<\"<a\\n>\" 3<<\"<b\\n>\"); (c); (d)"),
        ("cat <<-E\n\ta\n\t\tb\n\tE\nc", "(cat <<\"<a\\nb\\n>\"); (c)"),
        ("cat <<-'E'\n\ta\n E\n\tE\nc", "(cat <<<a\\n E\\n>); (c)"),
        ("cat <<E\na", "(cat <<\"<a>\")"),
        ("cat <<E", "(cat <<\"\")"),
        ("cat <<E\nE", "(cat <<\"\")"),
        ("cat <<'E'\n", "(cat <<<>)"),
        ("cat <<E\n\\$a \\b \"c\" 'd'\nE", "(cat <<\"<$a \\b \"c\" 'd'\\n>\")"),
        ("cat <<E\na\\\nE\nE\nb", "(cat <<\"<aE\\n>\"); (b)"),
        ("cat <<EOF\na\nEO\\\nF\nb", "(cat <<\"<a\\n>\"); (b)"),
        ("cat <<E\n$(cat x) `y`\nE", "(cat <<\"$((cat x))< >$((y))<\\n>\")"),
        ("cat <<E\n${a:-\"b\"}\nE", "(cat <<\"${a:-\"'b'\"}<\\n>\")"),
        ("a $(cat <<E\nb\nE\n) c", "(a $((cat <<\"<b\\n>\")) c)"),
        ("a $(cat <<E\nb\nE) c\nd", "(a $((cat <<\"<b\\n>\")) c); (d)"),
        ("a \"$(cat <<'E'\n)\nE\n)\" c", "(a \"$((cat <<<)\\n>))\" c)"),
        ("if a <<E; then\nb\nE\nc; fi", "(if (a <<\"<b\\n>\") then (c))"),
        ("f() { cat <<E\na\nE\n}; f", "(function f (group (cat <<\"<a\\n>\"))); (f)"),
        ("cat <<E\n$(cat <<F\na\nF\n)\nE\nb", "(cat <<\"$((cat <<\"<a\\n>\"))<\\n>\"); (b)"),
        ("cat <<E 'x\ny'\nb\nE\nc", "(cat 'x\\ny' <<\"<b\\n>\"); (c)"),
        ("`cat <<E\na\nE\n` b", "($((cat <<\"<a\\n>\")) b)"),
        ("cat <<$'E'\n$a\nE", "(cat <<<$a\\n>)"),
        ("[[ a ]] <<E && c\nb\nE", "(with [[ a ]] <<\"<b\\n>\") && (c)"),
    ]);
}

#[test]
fn substitutions_hold_scripts() {
    check(&[
        ("a $(b $(c d) | e)", "(a $([(b $((c d))) | (e)]))"),
        ("$(a)b\"$(c 'd')\"", "($((a))b\"$((c 'd'))\")"),
        ("a $(case b in c) d;; (e|f) g; esac) h", "(a $((case b c) (d);; e|f) (g);;)) h)"),
        ("a $(b ')' \")\" \\) ) c", "(a $((b ')' \"')'\" \\)\\)) c)"),
        ("a $( ( b ) ; ) c", "(a $((sub (b))) c)"),
        ("a $(<b)", "(a $((<b)))"),
        ("a `b c` d", "(a $((b c)) d)"),
        ("a `b \\`c d\\` e`", "(a $((b $((c d)) e)))"),
        ("a `b \\`c \\\\\\`d\\\\\\`\\``", "(a $((b $((c $((d)))))))"),
        ("a `b '\\$c' \\\\d`", "(a $((b '$c' \\d\\)))"),
        ("a \"`b \\\"c d\\\"`\"", "(a \"$((b \"'c d'\"))\")"),
        ("a `b \"c\"`", "(a $((b \"'c'\")))"),
        ("a `b", "(a $((b)))"),
        ("a $(b", "(a $((b)))"),
        ("a ${ b c; } d", "(a $((b c)) d)"),
        ("a ${|b; } d", "(a $((b)) d)"),
        ("a <(b) >(c) x<(d)", "(a <((b)) >((c)) x<((d)))"),
        ("a $() ``", "(a $() $())"),
        ("a $(b) # $(c", "(a $((b)))"),
    ]);
}

#[test]
fn parameters_have_their_operators() {
    check(&[
        ("a $b$c ${d}e $1$23 ${12} $_", "(a ${b}${c} ${d}e ${1}${2}3 ${12} ${_})"),
        ("a $@$*$#$?$-$$$!", "(a ${@}${*}${#}${?}${-}${$}${!})"),
        ("a $ $% \"$\" \"$ \"", "(a $ $% \"'$'\" \"'$ '\")"),
        ("a ${b:-c} ${b-c} ${b:=c} ${b=c}", "(a ${b:-c} ${b-c} ${b:=c} ${b=c})"),
        ("a ${b:+c} ${b+c} ${b:?c} ${b?c}", "(a ${b:+c} ${b+c} ${b:?c} ${b?c})"),
        ("a ${b:-} ${b-}", "(a ${b:-_} ${b-_})"),
        ("a ${b:-c d'e'\"$f\"}", "(a ${b:-c d'e'\"${f}\"})"),
        ("a ${b:-$(c })} d", "(a ${b:-$((c }))} d)"),
        ("a ${b:-'}'\"}\"\\}}c", "(a ${b:-'}'\"'}'\"\\}\\}c)"),
        ("a \"${b:-c d\"e\"'f'}'\"", "(a \"${b:-'c d'\"'e'\"''f''}'''\")"),
        ("a \"${b:-\\}\\\"}\"", "(a \"${b:-'}\"'}\")"),
        ("a ${b#c} ${b##*/} ${b%c} ${b%%.*}", "(a ${b#c} ${b##*/} ${b%c} ${b%%.*})"),
        ("a \"${b#'}'*}\"", "(a \"${b#'}'*}\")"),
        ("a ${b:1} ${b:1:2} ${b: -1}", "(a ${b:{1}} ${b:{1}:{2}} ${b:{ -1}})"),
        ("a ${b:(-2):1} ${b:$c:${d}}", "(a ${b:{(-2)}:{1}} ${b:${c}:${d}})"),
        ("a ${b:c?1:2:3}", "(a ${b:{c?1:2}:{3}})"),
        ("a ${@:2} ${*:1:1}", "(a ${@:{2}} ${*:{1}:{1}})"),
        ("a ${b/c/d} ${b//c/d}", "(a ${b First/c/d} ${b All/c/d})"),
        ("a ${b/#c/d} ${b/%c/d}", "(a ${b Prefix/c/d} ${b Suffix/c/d})"),
        ("a ${b/c} ${b//c}", "(a ${b First/c/_} ${b All/c/_})"),
        ("a ${b/\\//x} ${b//'/'/\"$c\"}", "(a ${b First/\\/\\/x} ${b All/'/'/\"${c}\"})"),
        ("a ${b/c/d/e}", "(a ${b First/c/d/e})"),
        ("a ${b^} ${b^^} ${b~~}", "(a ${b upper } ${b upper all } ${b upper all })"),
        ("a ${b,} ${b,,[A]}", "(a ${b lower } ${b lower all [A]})"),
        ("a ${#b} ${#} ${##} ${#b[@]}", "(a ${b length} ${#} ${# length} ${b[@] length})"),
        ("a ${#-} ${#?} ${#1}", "(a ${- length} ${? length} ${1 length})"),
        ("a ${#:-b} ${#-b} ${##b} ${#%c}", "(a ${#:-b} ${#-b} ${##b} ${#%c})"),
        ("a ${!b} ${!} ${!#} ${!b[1]}", "(a ${b indirect} ${!} ${# indirect} ${b[1] indirect})"),
        ("a ${!b*} ${!b@} ${!b[@]}", "(a ${b names} ${b names} ${b[@] names})"),
        ("a ${!b:-$(c)} ${!-x}", "(a ${!b:-$((c))} ${!-x})"),
        ("a ${!b#x} ${!b#$(c)}", "(a ${b indirect} ${!b#$((c))})"),
        ("a ${b@Q} ${b[@]@U} ${@@Q}", "(a ${b@Q} ${b[@]@U} ${@@Q})"),
        ("a ${b[1]} ${b[@]} ${b[*]} ${b[c[1]]}", "(a ${b[1]} ${b[@]} ${b[*]} ${b[c[1]]})"),
        ("a ${b[$c+1]:-d}", "(a ${b[${c}+1]:-d})"),
        ("a ${b##+(x|y)} ${b:-@(}", "(a ${b##+(x|y)} ${b:-@(})"),
        ("a ${b:-${c:-${d:-/etc}}}", "(a ${b:-${c:-${d:-/etc}}})"),
        ("a ${} b ${.} ${b c'}'} d", "(a b ${b} d)"),
        ("a ${b:-c", "(a ${b:-c})"),
        ("a ${b\nc}", "(a ${b})"),
        ("a ${b:-c\nd}", "(a ${b:-c\\nd})"),
    ]);
}

#[test]
fn arithmetic_is_told_from_nested_parentheses() {
    check(&[
        ("a $((1+2)) $(( (b+1) * $c ))", "(a $(({1+2})) $(({ (b+1) * }${c}{ })))"),
        ("a $((b ? 1 : 2)) \"$((\"1\"))\"", "(a $(({b ? 1 : 2})) \"$(({1}))\")"),
        ("a $((b); c)", "(a $((sub (b)); (c)))"),
        ("a $((b) )", "(a $((sub (b))))"),
        ("a $((b)", "(a $((sub (b))))"),
        ("a $((b)+(c))", "(a $((sub (b)); (+(c))))"),
        ("a $((1)\\\n)", "(a $(({1})))"),
        ("a $(($(b c)+1))", "(a $(($((b c)){+1})))"),
        ("a $((echo ')') )", "(a $((sub (echo ')'))))"),
        ("a $[1+b[2]] c", "(a $(({1+b[2]})) c)"),
        ("a $[ b", "(a $[ b)"),
        ("((a=1+2)); b", "(({a=1+2})); (b)"),
        ("((a++)) && b", "(({a++})) && (b)"),
        ("((a); (b))", "(sub (sub (a)); (sub (b)))"),
        ("( (a) )", "(sub (sub (a)))"),
        ("for ((i=0; i<3; i++)); do a; done", "(for (({i=0}; { i<3}; { i++})) do (a))"),
        ("for ((;;)) { a; }", "(for ((_; _; _)) do (a))"),
        ("for((i=0;;)) do a; done; b", "(for (({i=0}; _; _)) do (a)); (b)"),
    ]);
}

#[test]
fn what_a_shell_without_the_construct_reads_comes_along() {
    check(&[
        ("((cat /etc/shadow))", "(sub (sub (sub (cat /etc/shadow)))); (({cat /etc/shadow}))"),
        ("((f)); a", "(sub (sub (sub (f))); (a)); (({f})); (a)"),
        (
            "[[ a || cat /etc/shadow ]]",
            "(sub ([[ a) || (cat /etc/shadow ]])); [[ a || cat /etc/shadow ]]",
        ),
        ("[[ a\ncat x\n]]", "(sub ([[ a); (cat x); (]])); [[ a cat x ]]"),
        ("[[ a; cat x", "(sub ([[ a); (cat x)); [[ a ]]; (cat x)"),
        (r"a $'b\'; cat x #'", r"(sub (a $'b\'); (cat x)); (a $'b'; cat x #')"),
        ("a $[|cat x #]", "(sub [(a $[) | (cat x)]); (a $(({|cat x #})))"),
        ("[[ -f a && $b == c* || ! d -nt e ]]", "[[ -f a && ${b} == c* || ! d -nt e ]]"),
    ]);
}

#[test]
fn extended_patterns_are_parts() {
    check(&[
        ("cat /etc/@(shadow|passwd)", "(cat /etc/@(shadow|passwd))"),
        ("cat +(a)*(b)?(c)!(d|)x", "(cat +(a)*(b)?(c)!(d|_)x)"),
        ("cat @(a|+(b|$c)|'d e' f)", "(cat @(a|+(b|${c})|'d e' f))"),
        ("cat @(a", "(cat @(a))"),
        ("f+() { a; }", "(function f+ (group (a)))"),
        ("@(a|b) c", "(@(a|b) c)"),
        ("a=!(b)", "(a=!(b))"),
    ]);
}

#[test]
fn assignments_stand_before_the_command() {
    check(&[
        ("a=1", "(a=1)"),
        ("a=1 b='x y' cat c=d", "(a=1 b='x y' cat c=d)"),
        ("a= b", "(a=_ b)"),
        ("a=~/b:$c", "(a=~/b:${c})"),
        ("a+=b", "(a+=b)"),
        ("a=(b 'c d' $e)", "(a=(b 'c d' ${e}))"),
        ("a=(\nb # x\nc\n) d", "(a=(b c) d)"),
        ("a=([1]=b [x y]=c [$i]+=d e [2]=)", "(a=([1]=b [x y]=c [${i}]+=d e [2]=_))"),
        ("a+=(b); c", "(a+=(b)); (c)"),
        ("a[1]=b a[$i + 1]+=c", "(a[1]=b a[${i} + 1]+=c)"),
        ("a[b]", "(a[b])"),
        ("a[1] =b", "(a[1] =b)"),
        ("a[$(]=b", "(a[$()]=b)"),
        ("1a=b", "(1a=b)"),
        ("'a'=b", "('a'=b)"),
        ("a\\=b", "(a\\=\\b)"),
        ("export a=b c", "(export a=b c)"),
        ("declare -a a=(b c) d=e", "(group (a=(b c)); (declare -a a d=e))"),
        ("local a+=(b); c", "(group (a+=(b)); (local a)); (c)"),
        ("a=(b", "(a=(b))"),
        ("a=(b;c)", "(a=(b c))"),
        ("a=b>c", "(a=b >c)"),
    ]);
}

#[test]
fn compound_commands_are_trees() {
    check(&[
        ("if a; then b; elif c; then d; else e; fi", "(if (a) then (b) if (c) then (d) else (e))"),
        ("if a\nthen\nb\nfi", "(if (a) then (b))"),
        ("if (a) then (b) fi", "(if (sub (a)) then (sub (b)))"),
        ("for x in a 'b' $c; do d; done", "(for x in a 'b' ${c} do (d))"),
        ("for x\nin a\ndo b\ndone", "(for x in a do (b))"),
        ("for x; do a; done", "(for x do (a))"),
        ("for x do a; done", "(for x do (a))"),
        ("for x in; do a; done", "(for x in  do (a))"),
        ("for x in a; { b; }", "(for x in a do (b))"),
        ("select x in a b; do c; done", "(for x in a b do (c))"),
        ("while a; b; do c; done", "(while (a); (b) do (c))"),
        ("until a\ndo b\ndone &", "(until (a) do (b)) &"),
        (
            "case a in b) c;; d|'e') f;& (g) h;;& *) i; esac",
            "(case a b) (c);; d|'e') (f);; g) (h);; *) (i);;)",
        ),
        ("case $a in\n(b)\n c\n ;;\nesac; d", "(case ${a} b) (c);;); (d)"),
        ("case a in esac", "(case a)"),
        ("case a in b) ;; esac", "(case a b) ;;)"),
        ("case a in if) b;; esac", "(case a if) (b);;)"),
        ("case a in b) if c; then d; fi;; esac", "(case a b) (if (c) then (d));;)"),
        ("{ a; b; }", "(group (a); (b))"),
        ("{a;}", "({a)"),
        ("{ a }", "(group (a }))"),
        ("(a; b) | c", "[(sub (a); (b)) | (c)]"),
        ("{ (a) }", "(group (sub (a)))"),
        ("f() { a; }", "(function f (group (a)))"),
        ("f ( )\n{ a; }", "(function f (group (a)))"),
        ("f() (a)", "(function f (sub (a)))"),
        ("f() cat x; b", "(function f (cat x)); (b)"),
        ("function f { a; }; f", "(function f (group (a))); (f)"),
        ("function f() { a; } >b", "(function f (with (group (a)) >b))"),
        ("function f\n(\na\n)", "(function f (sub (a)))"),
        ("/a-b.c() { a; }", "(function /a-b.c (group (a)))"),
        ("coproc a b", "(sub (a b) &)"),
        ("coproc X { a; }", "(sub (group (a)) &)"),
        ("coproc { a; }", "(sub (group (a)) &)"),
        ("coproc while a; do b; done", "(sub (while (a) do (b)) &)"),
        ("[[ -f /etc/x ]]", "[[ -f /etc/x ]]"),
        ("[[ $a == b* && ( c < d ) ]] && e", "[[ ${a} == b* && ( c < d ) ]] && (e)"),
        ("[[ a =~ ^(b|c)$ ]]; d", "[[ a =~ ^(b|c)$ ]]; (d)"),
        ("[[ a =~ (b c)d|e ]]", "[[ a =~ (b c)d|e ]]"),
        ("[[ a =~ 'b c' ]]", "[[ a =~ 'b c' ]]"),
        ("[[ a == @(b|c) ]]", "[[ a == @(b|c) ]]"),
        ("[[ ! -e a ]] || b", "[[ ! -e a ]] || (b)"),
    ]);
}

#[test]
fn reserved_words_are_so_only_unquoted_where_a_command_starts() {
    check(&[
        ("echo if then fi { }", "(echo if then fi { })"),
        ("'if' a; \\fi", "('if' a); (\\f\\i)"),
        ("a=1 if", "(a=1 if)"),
        ("ifx; if=1", "(ifx); (if=1)"),
        ("a | if b; then c; fi | d", "[(a) | (if (b) then (c)) | (d)]"),
        ("echo done; echo }", "(echo done); (echo })"),
        ("in x", "(in x)"),
    ]);
}

#[test]
fn what_is_out_of_place_hides_nothing() {
    check(&[
        ("a; ) b", "(a); (b)"),
        ("a; } b; done c; fi d", "(a); (b); (c); (d)"),
        ("; a", "(a)"),
        ("&& a", "(a)"),
        ("| a || b", "(a) || (b)"),
        ("if a; then b; c", "(if (a) then (b); (c))"),
        ("if a; b; fi; c", "(if (a); (b) then); (c)"),
        ("while a; done; b", "(while (a) do ); (b)"),
        ("for x in a; b; c", "(for x in a do ); (b); (c)"),
        ("{ a; ) b", "(group (a); (b))"),
        ("( a; } b ) c", "(sub (a); (b)); (c)"),
        ("(a; fi; b); c", "(sub (a); (b)); (c)"),
        ("( if a; then b ); c", "(sub (if (a) then (b))); (c)"),
        ("$(if a; then b) c", "($((if (a) then (b))) c)"),
        ("echo (a b) c", "(echo); (sub (a b)); (c)"),
        ("{ a; } b c; d", "(group (a)); (b c); (d)"),
        ("f() ; a", "(function f ()); (a)"),
        ("case a b; c", "(case a b) (c);;)"),
        ("(case a in b) c ); d", "(sub (case a b) (c);;)); (d)"),
        ("a 'b; c", "(a 'b; c')"),
        ("a; esac; then b", "(a); (b)"),
        ("a ;; b ;& c", "(a); (b); (c)"),
        ("<", ""),
        ("a <(", "(a <())"),
        ("coproc", "(sub )"),
        ("function", "(function  ())"),
        ("!", ""),
    ]);
}

#[test]
fn a_document_is_as_within_double_quotes_but_for_the_quotes() {
    for (body, expected) in [
        ("a $b \"c\" 'd'", "<a >${b}< \"c\" 'd'>"),
        ("\\$a \\\"b \\`", "<$a \\\"b `>"),
        ("$(a 'b')`c \"d\"`$((1))", "$((a 'b'))$((c \"'d'\"))$(({1}))"),
        ("a\\\nb }", "<ab }>"),
        ("", ""),
    ] {
        assert_eq!(print::parts(&parse_document(body)), expected, "{body:?}");
    }
}

#[test]
fn spans_are_bytes_of_the_source() {
    let source = "é; cat  /etc/'x' >a; `b \\`c\\``";
    let script = parse(source);
    let simple = |at: usize| match &script.items[at].node {
        Node::Simple(simple) => simple,
        other => panic!("{other:?}"),
    };
    let text = |span: Span| &source[span.start..span.end];
    assert_eq!(text(simple(1).span), "cat  /etc/'x' >a");
    assert_eq!(text(simple(1).words[1].span), "/etc/'x'");
    assert_eq!(text(simple(1).redirects[0].target.span), "a");
    let Part::Command(inner) = &simple(2).words[0].parts[0] else { panic!() };
    let Node::Simple(inner) = &inner.items[0].node else { panic!() };
    assert_eq!(text(inner.span), "`b \\`c\\``");
    let Part::Command(innermost) = &inner.words[1].parts[0] else { panic!() };
    let Node::Simple(innermost) = &innermost.items[0].node else { panic!() };
    assert_eq!(text(innermost.words[0].span), "`b \\`c\\``");
}

#[test]
fn spans_of_a_here_document_are_those_of_its_body() {
    let source = "cat <<E; a\nb $(c)\nE\nd e";
    let script = parse(source);
    let Node::Simple(cat) = &script.items[0].node else { panic!() };
    let target = &cat.redirects[0].target;
    assert_eq!(&source[target.span.start..target.span.end], "b $(c)\n");
    let Part::Double(parts) = &target.parts[0] else { panic!() };
    let Part::Command(inner) = &parts[1] else { panic!() };
    let Node::Simple(inner) = &inner.items[0].node else { panic!() };
    assert_eq!(inner.span, target.span);
    let Node::Simple(last) = &script.items[2].node else { panic!() };
    assert_eq!(&source[last.span.start..last.span.end], "d e");
}

/// Pieces of which one is put before and one behind, as often as is asked for.
const NESTED: [(&str, &str); 34] = [
    ("$(", ")"),
    ("a $(b ", ")"),
    ("`", "`"),
    ("(", ")"),
    ("( ", " )"),
    ("$((", "))"),
    ("$(($(", "))"),
    ("((", "))"),
    ("((a;", "))"),
    ("{ ", "; }"),
    ("${a:-", "}"),
    ("\"${a:-", "}\""),
    ("\"$(a ", ")\""),
    ("${a#${b/", "}}"),
    ("${a[", "]}"),
    ("a[", "]=b"),
    ("a[$(", ")]=b"),
    ("a[$(]=;", ""),
    ("a=(", ")"),
    ("@(", ")"),
    ("<(", ")"),
    ("$[", "]"),
    ("[[ a ", " ]]"),
    ("[[ ( ", " ) ]]"),
    ("[[ $(", ") ]]"),
    ("if ", "; then a; fi "),
    ("while ", "; do a; done "),
    ("for x in a; do ", "; done "),
    ("for ((", ";;)); do "),
    ("case a in b) ", ";; esac "),
    ("f() { ", "; } "),
    ("f() g() ", ""),
    ("coproc ", ""),
    ("cat <<E\n$(", ")\nE\n"),
];

fn nested(opening: &str, closing: &str, bytes: usize) -> String {
    let count = bytes / (opening.len() + closing.len());
    format!("{}{}", opening.repeat(count), closing.repeat(count))
}

/// Shapes that repeat without end.
const REPEATED: [&str; 47] = [
    "'",
    "\"",
    "`",
    "\\",
    "$",
    "$'",
    "$(",
    "$((",
    "${",
    "${a:-",
    "((",
    "[[",
    "$[",
    "a[",
    "a[;",
    "a['",
    "cat <<A\n",
    "cat <<A",
    "cat <<-A\n\t",
    "cat <<A <<B\n$(",
    "\\\n",
    "a\\\n",
    "#",
    "#\n",
    "a;",
    "a|",
    "a&",
    "&&",
    ";;",
    ")",
    "} ",
    "done\n",
    "! ",
    "time ",
    "<",
    "2>",
    "{a}>",
    "<(",
    "case a in ",
    "if ",
    "`\\",
    "`\\`",
    "\"`\\\"",
    "$((\"",
    "((' ",
    "$a",
    "${a/",
];

fn on_a_small_stack<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    std::thread::Builder::new().stack_size(1024 * 1024).spawn(work).unwrap().join().unwrap()
}

#[test]
fn no_nesting_exhausts_a_small_stack() {
    on_a_small_stack(|| {
        for (opening, closing) in NESTED {
            for source in [nested(opening, closing, 20_000), nested(opening, "", 20_000)] {
                let script = parse(&source);
                let deep = print::script(&script.clone());
                assert_eq!(deep.contains("INCOMPLETE"), script.incomplete, "{opening}");
                parse_document(&source);
            }
        }
        for shape in REPEATED {
            parse(&shape.repeat(20_000 / shape.len()));
        }
    });
}

#[test]
fn what_is_nested_too_deep_is_told_and_the_rest_is_read() {
    for (opening, closing) in [("$(", ")"), ("${a:-", "}"), ("a $(b ", ")"), ("@(", ")")] {
        let fits = format!("{}{}; cat x", opening.repeat(NESTING_MAX), closing.repeat(NESTING_MAX));
        assert!(!parse(&fits).incomplete, "{opening}");
        let deep = format!("{}{}; cat x", opening.repeat(1000), closing.repeat(1000));
        let script = parse(&deep);
        assert!(script.incomplete, "{opening}");
        assert!(print::script(&script).ends_with("; (cat x) INCOMPLETE"), "{opening}");
    }
    for (opening, closing) in [("(", ")"), ("{ ", "; }"), ("if a; then ", "; fi"), ("( ", " )")] {
        let deep = format!("{}cat x{}", opening.repeat(1000), closing.repeat(1000));
        let script = parse(&deep);
        assert!(script.incomplete, "{opening}");
        assert!(print::script(&script).contains("(cat x)"), "{opening}");
    }
}

#[test]
fn too_many_nodes_are_told() {
    for shape in ["a;", "a ", "$a", "`a`", "a=b ", "@(|)"] {
        let script = parse(&shape.repeat(NODES_MAX + 1));
        assert!(script.incomplete, "{shape}");
        assert!(count(&script) <= 2 * NODES_MAX, "{shape}");
    }
}

/// Commands and words, roughly: what the printer makes of them.
fn count(script: &Script) -> usize {
    print::script(script).bytes().filter(|byte| matches!(byte, b' ' | b'$' | b'(')).count() / 2
}

struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).unwrap() % bound
    }
}

const TOKENS: [&str; 88] = [
    "a",
    "cat",
    "/etc/shadow",
    " ",
    " ",
    " ",
    "\t",
    "\n",
    "\n",
    ";",
    ";;",
    ";&",
    "&",
    "&&",
    "|",
    "||",
    "|&",
    "(",
    ")",
    "((",
    "))",
    "{",
    "}",
    "{ ",
    "; }",
    "[[",
    "]]",
    "[",
    "]",
    "!",
    "'",
    "'",
    "\"",
    "\"",
    "\\",
    "\\\n",
    "`",
    "\\`",
    "$",
    "$(",
    "$((",
    "${",
    "${a",
    "$a",
    "$'",
    "$\"",
    "$[",
    "$1",
    "$@",
    ":-",
    ":",
    "#",
    "##",
    "%",
    "/",
    "^",
    ",",
    "@",
    "@(",
    "+(",
    "?(",
    "*",
    "?",
    "~",
    "=",
    "+=",
    "a=",
    "a=(",
    "a[",
    "<",
    ">",
    ">>",
    "<<E",
    "<<-'E'",
    "\nE\n",
    "<<<",
    "<(",
    ">(",
    "2>&1",
    "&>",
    "if ",
    "then ",
    "fi",
    "for ",
    "in ",
    "do ",
    "done",
    "é",
];

const KEYWORDS: [&str; 12] = [
    "elif ",
    "else ",
    "while ",
    "until ",
    "case ",
    "esac",
    "select ",
    "function ",
    "coproc ",
    "time ",
    "f()",
    "\\x",
];

#[test]
fn random_sources_yield_bounded_trees() {
    on_a_small_stack(|| {
        let mut random = Random(0x9e37_79b9_7f4a_7c15);
        for _ in 0..20_000 {
            let mut source = String::new();
            for _ in 0..random.below(40) {
                let token = random.below(TOKENS.len() + KEYWORDS.len());
                source += TOKENS.iter().chain(&KEYWORDS).nth(token).unwrap();
            }
            let script = parse(&source);
            // Each byte makes a node or two at most, in each of two readings.
            assert!(count(&script) <= 4 * source.len() + 8, "{source:?}");
            assert!(!print::script(&script).contains("18446744073709551615"));
            parse_document(&source);
        }
    });
}

#[test]
fn every_prefix_of_a_script_is_read() {
    let source = "if [[ $a == 'b' ]]; then cat <<-E | sed \"s/${x:-`y`}/$((1+2))/\" >&2\n\tz\n\tE\n\
                  fi; for i in {1..3}; do f() { a[$i]=$'\\x41\\u00e9'; }; done; case é in (*) ;; esac";
    for end in (0..=source.len()).filter(|end| source.is_char_boundary(*end)) {
        parse(&source[..end]);
        parse_document(&source[..end]);
    }
    assert!(!parse(source).incomplete);
}

#[test]
fn shells_differ_in_what_is_a_here_document() {
    check(&[
        ("cat <<A $(cat <<B\nb\nB\n)\na\nA", "(cat $((cat <<\"<b\\n>\")) <<\"<a\\n>\")"),
        (
            "a <<E; for x in b\ndo c; done\nE\nd",
            "(sub (a <<\"\"); (for x in b do (c)); (d)); (a <<\"<do c; done\\n>\"); (for x in b do ); (d)",
        ),
        (
            "a $(b <<E)\nc\nE\nd",
            "(sub (a $((b <<_))); (c); (E); (d)); (a $((b <<\"<c\\n>\"))); (d)",
        ),
        (
            "a <<E\n$(b '\nE\n'; c)\nE\nd",
            "(sub (a <<\"$((b '\\nE\\n'); (c))<\\n>\"); (d)); (a <<\"$((b '\\n'))\"); ('; c)\\nE\\nd')",
        ),
        (
            "a <<-E\n\t`b\n\tE\n\tc`\n\tE\nd",
            "(sub (a <<\"$((b); (E); (c))<\\n>\"); (d)); (a <<\"$((b))\"); (c$((E); (d)))",
        ),
    ]);
}

#[test]
fn single_quotes_in_a_quoted_operand_hide_a_brace_from_bash_alone() {
    check(&[
        ("a \"${b:-'c'}\"", "(a \"${b:-''c''}\")"),
        ("a \"${b:-'$c'}\"", "(a \"${b:-'''${c}'''}\")"),
        ("a \"${b:-'}'}\"", "(sub (a \"${b:-'''}''}'\")); (a \"${b:-''}''}\")"),
        ("a \"${b:-it's}\"; c", "(a \"${b:-'it's'}\"); (c)"),
    ]);
}
