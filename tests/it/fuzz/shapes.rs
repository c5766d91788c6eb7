//! Commands that cost most for their size.

use std::time::Duration;

/// Sizes of the scripts, each twice the one before.
pub const SIZES_KIB: [usize; 5] = [16, 32, 64, 128, 256];
/// What a reading may tell whatever the size: the part of the work that every command has.
pub const TOLD_FREE_BYTES: usize = 1024 * 1024;
/// How long the largest may take whatever the smallest does, in a debug build.
pub const FREE_TIME: Duration = Duration::from_secs(2);
/// How often a time is taken, to keep the least.
pub const MEASURED: usize = 3;

/// A script: `before`, then `unit` over and over, `after`, and `closing` as often as `unit`.
pub struct Shape {
    pub name: &'static str,
    before: &'static str,
    unit: &'static str,
    after: &'static str,
    closing: &'static str,
}

impl Shape {
    pub fn argv(&self, bytes: usize) -> Vec<String> {
        let around = self.before.len() + self.after.len();
        let times = bytes.saturating_sub(around) / (self.unit.len() + self.closing.len());
        let script = if self.unit.contains("NUMBER") {
            let numbered = |number: usize| self.unit.replace("NUMBER", &format!("{number:06}"));
            let middle: String = (0..times).map(numbered).collect();
            format!("{}{middle}{}", self.before, self.after)
        } else {
            let (opening, closing) = (self.unit.repeat(times), self.closing.repeat(times));
            format!("{}{opening}{}{closing}", self.before, self.after)
        };
        vec!["sh".to_owned(), "-c".to_owned(), script]
    }
}

const fn repeated(
    name: &'static str,
    before: &'static str,
    unit: &'static str,
    after: &'static str,
) -> Shape {
    Shape { name, before, unit, after, closing: "" }
}

const fn nested(
    name: &'static str,
    unit: &'static str,
    after: &'static str,
    closing: &'static str,
) -> Shape {
    Shape { name, before: "cat ", unit, after, closing }
}

pub const SHAPES: &[Shape] = &[
    nested("braces within braces", "{a,", "b", "}"),
    nested("open braces", "{a,b", "", ""),
    repeated("a product of braces", "cat ", "{a,b,c,d}", ""),
    repeated("a product of two", "cat ", "{a,b}", ""),
    repeated("a product of two beside quotes", "cat ", "{a,b}''", ""),
    repeated("a product of ranges", "cat ", "{1..9}", ""),
    repeated("a large range", "cat ", "{1..99999} ", ""),
    nested("substitutions", "$(", "echo a", ")"),
    nested("open substitutions", "$(echo ", "", ""),
    nested("backticks", "`", "", ""),
    nested("backticks that are escaped", "\\`", "", ""),
    nested("substitutions in quotes", "\"$(", "", ")\""),
    nested("defaults", "${a:-", "b", "}"),
    nested("open defaults", "${a:-x", "", ""),
    nested("defaults in quotes", "\"${a:-", "b", "}\""),
    nested("arithmetic", "$((1+", "1", "))"),
    nested("open arithmetic", "$((", "", ""),
    nested("parentheses of arithmetic", "$(((", "", ""),
    repeated("one long sum", "cat $((0", "+1", "))"),
    nested("single quotes", "'", "", ""),
    nested("double quotes", "\"", "", ""),
    nested("quotes of both kinds", "\"'", "", ""),
    nested("bash's quotes", "$'\\x41", "", ""),
    nested("backslashes", "\\", "", ""),
    repeated("a pattern", "cat /", "*a", ""),
    repeated("patterns", "cat", " /*a*a*a*b", ""),
    repeated("question marks", "cat /", "?", ""),
    repeated("open brackets", "cat ", "[", ""),
    repeated("brackets", "cat /", "[a-z]", ""),
    nested("extended patterns", "@(a|", "b", ")"),
    nested("open extended patterns", "+(", "", ""),
    repeated(
        "case with patterns",
        "case aaaaaaaaaaaaaaaaaaaaaaaaaaaa in *a",
        "*a",
        "b) cat x;; esac",
    ),
    repeated("many cases", "", "case a in a) b;; c) d;; esac;", ""),
    repeated("removal of a pattern", "a=aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa; cat ${a##*", "a*", "b}"),
    repeated(
        "removals of a pattern",
        "a=aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab; cat ",
        "${a##*a*a*c}",
        "",
    ),
    repeated("here-documents", "", "cat <<E\na\nE\n", ""),
    repeated("here-documents of one line", "cat ", "<<E ", "\na\nE\n"),
    repeated("open here-documents", "", "cat <<A\n", ""),
    repeated("here-strings", "cat ", "<<<a ", ""),
    repeated("redirections", "cat ", "<a ", ""),
    repeated("commands", "", "cat a;", ""),
    repeated("different commands", "", "cat /aNUMBER;", ""),
    repeated("a pipeline", "echo a", "|cat", ""),
    repeated("a pipeline of filters", "echo abcdefghij", "|rev|tr a b|base64", ""),
    repeated("a pipeline that decodes", "echo YQ==", "|base64 -d", "|sh"),
    repeated("variables", "", "aNUMBER=bNUMBER;", "cat $a000000"),
    repeated("a variable that doubles", "a=x;", "a=$a$a;", "cat $a"),
    repeated("a variable that grows", "a=x;", "a=$a/x;", "cat $a"),
    repeated(
        "a variable that is read often",
        "a=xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx; cat ",
        "$a",
        "",
    ),
    repeated("branches that set", "", "[ -e x ]&&a=NUMBER;", "cat $a"),
    repeated("branches that change directory", "", "[ -e x ]&&cd /NUMBER;", "cat a"),
    repeated("subshells that set", "", "(a=NUMBER;cat $a);", ""),
    repeated("a long for", "for a in ", "NUMBER ", "; do cat /$a; done"),
    repeated("for within for", "", "for a in 1 2 3;do ", "cat $a"),
    repeated(
        "a long list that is read",
        "printf '%s\\n' ",
        "NUMBER ",
        "|while read a;do cat /$a;done",
    ),
    repeated("arguments of xargs", "echo ", "NUMBER ", "|xargs -n1 cat"),
    repeated("short evals", "", "eval b;", ""),
    repeated("shells beside each other", "", "sh -c b;", ""),
    repeated("functions that are called", "f(){ cat $1;};", "f NUMBER;", ""),
    repeated("evals", "", "eval ", "cat a"),
    repeated("shells", "", "sh -c ", "a"),
    repeated("wrappers", "", "env ", "cat a"),
    repeated("functions", "", "fNUMBER(){ cat a;};", "f000000"),
    repeated("a function that calls itself", "f(){ cat ", "a ", ";f;f;};f"),
    repeated("groups", "", "{ ", "cat a"),
    repeated("open parentheses", "", "( ", "cat a"),
    repeated("conditions", "", "if a;then ", "cat b"),
    repeated("negations", "", "! ", "cat a"),
    repeated("loops without an end", "", "while :;do ", "cat a"),
    repeated("positional parameters", "set -- ", "NUMBER ", ";for a;do cat /$a;shift;done"),
    repeated("an array", "a=(", "NUMBER ", ");for b in ${!a[@]};do cat ${a[b]};done"),
    repeated("an array that grows", "", "a+=(NUMBER);", "cat ${a[@]}"),
    repeated("elements far away", "", "a[NUMBER]=b;", "cat ${a[@]}"),
    repeated("replacements", "a=", "x", ";cat ${a//x/yyyyyyyyyyyyyyyy}"),
    repeated("replacements of each other", "a=xxxxxxxx; cat ", "${a//x/xx}", ""),
    repeated("aliases", "alias a='a a'\n", "a ", ""),
    repeated("traps", "", "trap 'cat a' EXIT;", ""),
    repeated("files that grow", "", "echo a>>/t;", "cat /t|sh"),
    repeated("files", "", "echo a>/tNUMBER;", "cat /t000000|sh"),
    repeated("links", "", "ln -s /a /tNUMBER;", "cat /t000000/x"),
    repeated("dots", "cat /", "a/../", "b"),
    repeated("dots upward", "cat ", "../", "b"),
    repeated("slashes", "cat ", "/", "b"),
    repeated("tildes", "cat ", "~:", ""),
    repeated("line continuations", "cat ", "\\\n", "a"),
    repeated("comments", "", "#\n", "cat a"),
    repeated("percent signs", "curl file:///", "%2e", ""),
    repeated("strings of another language", "python3 -c '", "a=\"/NUMBER\"\n", "'"),
    repeated("sums of another language", "python3 -c 'open(\"a\"", "+\"b\"", ")'"),
    repeated("brackets of another language", "python3 -c 'open(", "(", "'"),
    repeated("an awk script", "awk 'BEGIN{", "print \"a\";", "}'"),
    repeated("a sed script", "echo abc|sed '", "s/a/aa/;", "'"),
    repeated("a translation", "echo aaaaaaaaaaaaaaaaaaaaaaaa|tr ", "a", " b"),
    repeated("operands of find", "find ", "/NUMBER ", "-name a -exec cat {} \\;"),
    repeated("conditions of find", "find / ", "-name a -o ", "-exec cat {} \\;"),
    repeated("tar's members", "tar c ", "/NUMBER ", ""),
];
