//! What stands around the commands that read: compounds, functions, other shells, code as text.

use super::print::base64;
use super::script::{Dialect, Generator};
use super::spell::Place;

impl Generator<'_> {
    pub fn wrapped(&mut self) -> String {
        match self.choices.below(5) {
            1 => self.compound(),
            2 => self.code(),
            3 => self.other_shell(),
            4 if self.choices.chance(30) => self.undecided(),
            _ => self.plain_compound(),
        }
    }

    fn plain_compound(&mut self) -> String {
        match self.choices.below(10) {
            1 => format!("( {}\n)", self.apart()),
            2 => format!("if true; then {}\nfi", self.block()),
            3 => {
                let name = self.name();
                format!("{name}() {{ {}\n}}; {name}", self.block())
            }
            4 => format!("true && {{ {}\n}}", self.block()),
            5 => format!("false || {{ {}\n}}", self.block()),
            6 => format!("{{ {}\n}} | cat", self.apart()),
            7 => format!("( {}\n) & wait", self.apart()),
            8 => {
                let block = self.apart();
                // Bash 5.2 may lose the end of a line where it keeps a here-document there.
                self.pure &= !block.contains("<<");
                format!("echo \"$( {block}\n)\"")
            }
            9 => format!("! {{ {}\n}}", self.block()),
            _ => format!("{{ {}\n}}", self.block()),
        }
    }

    fn compound(&mut self) -> String {
        let name = self.name();
        match self.choices.below(16) {
            1 => format!("for {name} in a; do {}\ndone", self.block()),
            2 => format!("case abc in a*) {}\n;; esac", self.block()),
            3 => format!("case x{name} in y) ;; *) {}\n;; esac", self.block()),
            4 => format!("if false; then :; else {}\nfi", self.block()),
            5 => format!("if [ 1 -eq 1 ]; then {}\nfi", self.block()),
            6 => format!("while true; do {}\nbreak; done", self.block()),
            7 => format!("until false; do {}\nbreak; done", self.block()),
            8 => format!("{name}=1; while [ ${name} -le 1 ]; do {name}=2; {}\ndone", self.block()),
            9 => format!("{name}() ( {}\n); {name}", self.apart()),
            10 => format!("[ x = x ] && {{ {}\n}}", self.block()),
            11 => format!("trap {} EXIT", self.quoted_block()),
            12 if self.is(Dialect::Bash) => {
                format!("function {name} {{ {}\n}}; {name}", self.block())
            }
            13 if self.is(Dialect::Bash) => {
                format!("if [[ abc == a?c ]]; then {}\nfi", self.block())
            }
            14 if self.is(Dialect::Bash) => {
                format!("for (({name}=0; {name}<1; {name}++)); do {}\ndone", self.block())
            }
            15 if self.is(Dialect::Bash) => format!("(( 2 > 1 )) && {{ {}\n}}", self.block()),
            _ => format!("if false; then :; elif true; then {}\nfi", self.block()),
        }
    }

    /// A block as a word that a shell is to read as code.
    fn quoted_block(&mut self) -> String {
        let block = self.apart();
        self.quote(&block)
    }

    fn code(&mut self) -> String {
        let name = self.name();
        let kind = self.choices.below(9);
        // Bash 5.2 may end a subshell with the last command of a file that it sources.
        self.pure &= !matches!(kind, 3 | 6 | 7);
        match kind {
            1 => format!("{name}={}; eval \"${name}\"", self.quoted_block()),
            2 => {
                let code = self.quoted_block();
                format!("eval \"$(printf %s {code})\"")
            }
            3 => {
                let (scratch, code) = (self.scratch(), self.quoted_block());
                format!("printf '%s\\n' {code} > {scratch}; . {scratch}")
            }
            4 => {
                let block = self.apart();
                format!("eval \"$(echo {} | base64 -d)\"", base64(&format!("{block}\n")))
            }
            5 => {
                // Not known before the whole compound has been read, if it stands in one.
                self.pure = false;
                let file = self.file();
                let path = self.path(file, Place::Command);
                let on = if self.is(Dialect::Bash) { "shopt -s expand_aliases\n" } else { "" };
                format!("{on}alias {name}=cat\n{name} {path}")
            }
            6 => {
                let (scratch, block) = (self.scratch(), self.apart());
                format!("cat > {scratch} <<'E{name}'\n{block}\nE{name}\n. {scratch}")
            }
            7 if self.is(Dialect::Bash) => {
                format!("source <(printf '%s\\n' {})", self.quoted_block())
            }
            8 => format!("eval eval {}", {
                let once = self.quoted_block();
                self.quote(&once)
            }),
            _ => format!("eval {}", self.quoted_block()),
        }
    }

    fn other_shell(&mut self) -> String {
        let name = self.name();
        let shell = self.choices.pick(&["sh", "bash", "busybox sh", "dash", "/bin/sh"]);
        // `sh` is dash here, which does not know what the others do.
        let shell = match self.dialect() {
            Dialect::Posix => shell,
            Dialect::Ash => "busybox sh",
            Dialect::Bash if self.extended => "bash -O extglob",
            Dialect::Bash => "bash",
        };
        let kind = self.choices.below(12);
        // Bash 5.2 may lose the end of a line when it keeps a here-document within `$(…)`.
        self.pure &= !matches!(kind, 3 | 5);
        match kind {
            1 => format!("printf '%s\\n' {} | {shell}", self.quoted_block()),
            2 => {
                let block = self.apart();
                format!("echo {} | base64 -d | {shell}", base64(&format!("{block}\n")))
            }
            3 => {
                let block = self.apart();
                format!("{shell} <<'E{name}'\n{block}\nE{name}\n")
            }
            4 => {
                let (scratch, code) = (self.scratch(), self.quoted_block());
                format!("printf '%s\\n' {code} > {scratch}; {shell} {scratch}")
            }
            5 => {
                let (scratch, block) = (self.scratch(), self.apart());
                format!(
                    "cat > {scratch} <<'E{name}'\n{block}\nE{name}\nchmod +x {scratch}; {shell} {scratch}"
                )
            }
            6 => format!("env {shell} -c {}", self.quoted_block()),
            7 => format!("(exec {shell} -c {})", self.quoted_block()),
            8 => format!("{name}={}; {shell} -c \"${name}\"", self.quoted_block()),
            9 => format!("printf '%s\\n' {} | {shell} -s a b", self.quoted_block()),
            10 => format!("echo x | xargs -I{{}} {shell} -c {}", self.quoted_block()),
            11 => format!("timeout 9 {shell} -c {} a b", self.quoted_block()),
            _ => format!("{shell} -c {}", self.quoted_block()),
        }
    }

    /// Whether it runs is not known to whoever cannot see the system.
    fn undecided(&mut self) -> String {
        self.pure = false;
        let block = self.block();
        match self.choices.below(8) {
            1 => format!("grep -q root /etc/passwd && {{ {block}\n}}"),
            2 => format!("cat /nowhere 2>/dev/null || {{ {block}\n}}"),
            3 => format!("if [ \"$(id -u)\" -ge 0 ]; then {block}\nfi"),
            4 => format!("case $(uname) in L*) {block}\n;; esac"),
            5 => format!("test -r /nowhere || {{ {block}\n}}"),
            6 => format!("if grep -q zz /etc/passwd; then :; else {block}\nfi"),
            7 => format!("[ -n \"$PATH\" ] && {{ {block}\n}}"),
            _ => format!("[ -e / ] && {{ {block}\n}}"),
        }
    }
}
