//! Ways to read one file or several, and what only looks like it.

use super::locate::relative;
use super::script::{Dialect, Generator};
use super::spell::Place;

impl Generator<'_> {
    pub fn reads(&mut self) -> String {
        if self.fuel > 1 && self.choices.chance(30) {
            self.fuel -= 1;
            return self.reads_several();
        }
        let file = self.file();
        if self.fuel == 0 {
            return format!("cat {}/{file}", self.root);
        }
        match self.choices.below(4) {
            1 => self.redirects(file),
            2 => self.hands_on(file),
            3 => self.copies(file),
            _ => self.by_program(file),
        }
    }

    fn by_program(&mut self, file: &str) -> String {
        let path = self.path(file, Place::Command);
        match self.choices.below(30) {
            1 => format!("head -n 9 {path}"),
            2 => format!("tail -n 9 {path}"),
            3 => format!("sed -n p {path}"),
            4 => format!("grep . {path}"),
            5 => format!("awk 1 {path}"),
            6 => format!("awk '{{ print $0 }}' {path}"),
            7 => format!("sort {}", self.path(file, Place::Single)),
            8 => format!("cut -c1- {path}"),
            9 => format!("tac {path}"),
            10 => format!("nl {path}"),
            11 => format!("paste {}", self.path(file, Place::Single)),
            12 => format!("fold {path}"),
            13 => format!("uniq < {}", self.path(file, Place::Single)),
            14 => format!("base64 {} | base64 -d", self.path(file, Place::Single)),
            15 => format!("gzip -c {path} | gzip -dc"),
            16 => format!("cat -- {path}"),
            17 => format!("cat -n {path} 2>&1"),
            18 => format!("/bin/cat {path}"),
            19 => format!("c''at {path}"),
            20 => {
                let program = self.assigned("cat");
                format!("${program} {path}")
            }
            21 => format!("command cat {path}"),
            22 => format!("env cat {path}"),
            23 => format!("busybox cat {path}"),
            24 => format!("timeout 9 cat {path}"),
            25 => format!("env -i PATH=/usr/bin:/bin nice -n 1 cat {path}"),
            26 => format!("$(echo cat) {path}"),
            27 => format!("/???/c?t {path}"),
            28 => format!("dd if={} 2>/dev/null", self.path(file, Place::Single)),
            29 => format!("cat {path} | cat"),
            _ => format!("cat {path}"),
        }
    }

    fn redirects(&mut self, file: &str) -> String {
        let path = self.path(file, Place::Single);
        let name = self.name();
        match self.choices.below(20) {
            1 => format!("while read -r {name}; do echo \"${name}\"; done < {path}"),
            2 => format!("read {name} < {path}; echo ${name}"),
            3 => format!("exec 3< {path}; cat <&3"),
            4 => format!("cat <> {path}"),
            5 => format!("{{ cat; }} < {path}"),
            6 => format!("(cat) < {path}"),
            7 => format!("< {path} cat"),
            8 => format!("cat 0< {path}"),
            9 => format!("cat 3< {path} <&3"),
            10 => format!("cat /dev/fd/4 4< {path}"),
            11 => format!("cat - < {path}"),
            12 => format!("tee < {path}"),
            13 => format!("cat /dev/stdin < {path}"),
            14 if self.is(Dialect::Bash) => format!("echo \"$(< {path})\""),
            15 if self.is(Dialect::Bash) => {
                format!("mapfile -t {name} < {path}; echo ${{{name}[0]}}")
            }
            16 if self.is(Dialect::Bash) => format!("cat < <(cat {path})"),
            17 if self.is(Dialect::Bash) => format!("exec {{{name}}}< {path}; cat <&${name}"),
            18 => format!("f() {{ cat; }}; f < {path}"),
            19 => format!("exec < {path}; cat"),
            _ => format!("cat < {path}"),
        }
    }

    /// Hands the name on to what reads the file.
    fn hands_on(&mut self, file: &str) -> String {
        let path = self.path(file, Place::Command);
        let name = self.name();
        match self.choices.below(21) {
            1 => format!("echo {path} | xargs cat"),
            2 => format!("echo {path} | xargs -I{{}} cat {{}}"),
            3 => format!("printf '%s\\n' {path} | while read -r {name}; do cat \"${name}\"; done"),
            4 => format!("find {path} -exec cat {{}} \\;"),
            5 => format!("cat $(echo {path})"),
            6 if !path.contains(['`', '\\']) => format!("cat `echo {path}`"),
            7 => format!("eval cat {path}"),
            8 => format!("{name}() {{ cat \"$1\"; }}; {name} {path}"),
            9 => format!("sh -c 'cat \"$1\"' {name} {path}"),
            10 => format!("sh -c 'cat \"$0\"' {path}"),
            11 => format!("set -- {path}; cat \"$@\""),
            12 => format!("for {name} in {path}; do cat ${name}; done"),
            13 => format!("{name}={path}; cat ${name}"),
            14 => format!("{name}='cat {}'; ${name}", format_args!("{}/{file}", self.root)),
            15 => format!("env {name}={} sh -c 'cat ${name}'", self.path(file, Place::Single)),
            16 => format!("echo {path} | {{ read {name}; cat ${name}; }}"),
            17 => format!("printf '%s\\0' {path} | xargs -0 cat"),
            18 => format!("ls {path} | xargs cat"),
            19 if self.is(Dialect::Bash) => format!("cat <(cat {path})"),
            20 if self.is(Dialect::Bash) => format!("{name}=({path}); cat \"${{{name}[@]}}\""),
            _ => format!("cat $(ls {path})"),
        }
    }

    fn copies(&mut self, file: &str) -> String {
        // A second word would be where it is copied to.
        let path = self.path(file, Place::Single);
        let scratch = self.scratch();
        let name = self.name();
        match self.choices.below(12) {
            1 => format!("cat {path} > {scratch}; cat {scratch}"),
            2 => format!("tar cf - {path} 2>/dev/null | tar xOf -"),
            3 => format!("sh {path}"),
            4 => format!("{name}=$(cat {path}); echo ${name}"),
            5 => format!("echo $(cat {path})"),
            6 => format!("cat <<{name}\n$(cat {path})\n{name}\n"),
            7 => {
                self.pure = false;
                format!("ln -s {}/{file} {scratch}; cat {scratch}", self.root)
            }
            8 => format!("mv {scratch} {scratch}x 2>/dev/null; cat {path}"),
            9 => {
                // A name without a slash is looked for elsewhere.
                self.pure &= self.directory.is_none();
                format!(". {path}")
            }
            10 => format!("cat {path} | tee {scratch}"),
            11 => format!("echo {path} > {scratch}; cat $(cat {scratch})"),
            _ => format!("cp {path} {scratch}; cat {scratch}"),
        }
    }

    fn reads_several(&mut self) -> String {
        let (one, two) = (self.file(), self.file());
        let name = self.name();
        if self.choices.chance(35) {
            return self.reads_directory(&name);
        }
        let first = self.path(one, Place::Command);
        let second = self.path(two, Place::Command);
        let root = self.root.clone();
        match self.choices.below(22) {
            1 => format!("for {name} in {first} {second}; do cat ${name}; done"),
            2 => format!("set -- {first} {second}; cat \"$@\""),
            3 => format!("set -- {first} {second}; cat $2"),
            4 => format!("set -- {first} {second}; shift; cat $1"),
            5 => format!("set -- {first} {second}; for {name}; do cat ${name}; done"),
            6 => format!("set -- {first} {second}; while [ $# -gt 0 ]; do cat \"$1\"; shift; done"),
            7 => format!("{name}='{root}/{one} {root}/{two}'; cat ${name}"),
            8 => format!("{name}='{root}/{one} {root}/{two}'; for f in ${name}; do cat $f; done"),
            9 => format!("(IFS=:; {name}={root}/{one}:{root}/{two}; cat ${name})"),
            10 => format!(
                "printf '%s\\n' {first} {second} | while read -r {name}; do cat ${name}; done"
            ),
            11 => format!("printf '%s\\n' {first} {second} | xargs cat"),
            12 => {
                let list = self.scratch();
                format!(
                    "printf '%s\\n' {first} {second} > {list}; while read {name}; do cat ${name}; \
                     done < {list}"
                )
            }
            13 => format!("for {name} in {one} {two}; do cat {root}/${name}; done"),
            14 => format!("{name}() {{ for f; do cat $f; done; }}; {name} {first} {second}"),
            15 => format!("{name}() {{ cat $2; }}; {name} {first} {second}"),
            16 => format!("sh -c 'cat \"$@\"' sh {first} {second}"),
            17 => format!("echo {first} {second} | tr ' ' '\\n' | xargs -n1 cat"),
            18 if self.is(Dialect::Bash) => {
                format!("{name}=({first} {second}); cat \"${{{name}[@]}}\"")
            }
            19 if self.is(Dialect::Bash) => format!(
                "{name}=({first}); {name}+=({second}); for i in \"${{!{name}[@]}}\"; do cat \
                 ${{{name}[i]}}; done"
            ),
            20 if self.is(Dialect::Bash) => format!(
                "{name}=({first} {second}); for ((i=0; i<${{#{name}[@]}}; i++)); do cat \
                 ${{{name}[$i]}}; done"
            ),
            21 => format!(
                "{name}=0; while [ ${name} -lt 2 ]; do {name}=$(({name}+1)); cat {root}/app/f${name}; done"
            ),
            _ => format!("cat {first} {second}"),
        }
    }

    /// What is in a directory, or below it.
    fn reads_directory(&mut self, name: &str) -> String {
        let file = self.file();
        let (directory, leaf) = file.rsplit_once('/').unwrap_or(("", file));
        let absolute = format!("{}/{directory}", self.root);
        let there = self.word(&absolute, Place::Single);
        let scratch = self.scratch();
        match self.choices.below(24) {
            1 => format!("cat {there}/{}*", &leaf[..leaf.len() / 2]),
            2 => format!("for {name} in {there}/*; do cat ${name}; done"),
            3 => format!("grep -rh . {there}"),
            4 => format!("tar cf - -C {there} . | tar xOf -"),
            5 => format!("find {there} -name {leaf} -exec cat {{}} +"),
            6 => format!("find {there} -type f | xargs cat"),
            7 => format!(
                "find {there} -name '{}*' | while read {name}; do cat ${name}; done",
                &leaf[..1]
            ),
            8 => format!("cp -r {there} {scratch}; cat {scratch}/*"),
            9 => format!("ls {there} | while read {name}; do cat {there}/${name}; done"),
            10 => format!("for {name} in $(ls {there}); do cat {there}/${name}; done"),
            11 => {
                self.directory = None;
                format!("cd {there}; for {name} in *; do cat ${name}; done")
            }
            12 => {
                self.directory = None;
                format!("cd {there} && ls | xargs cat")
            }
            13 => format!("set -- {there}/*; cat $2"),
            14 => format!("set -- {there}/*; cat \"$@\""),
            15 if self.is(Dialect::Bash) => format!("{name}=({there}/*); cat ${{{name}[1]}}"),
            16 => format!("for {name} in {}/*; do cat ${name}/{leaf}; done 2>/dev/null", self.root),
            17 => format!("(cd {}; cat */{leaf})", self.root),
            18 => format!("find {} -name {leaf} -print0 | xargs -0 cat", self.root),
            19 => format!("cat $(find {there} -type f -name '*')"),
            20 => {
                let up = relative(directory, "");
                self.directory = None;
                format!("cd {there}; cat {}{file}", if up == "." { "./" } else { &up })
            }
            21 => format!(
                "for {name} in {there}/*; do case ${name} in */{leaf}) cat ${name};; esac; done"
            ),
            22 => format!("for {name} in {there}/*; do cat {there}/${{{name}##*/}}; done"),
            23 => format!("find {there} -type f -exec sh -c 'cat \"$1\"' x {{}} \\;"),
            _ => format!("cat {there}/*"),
        }
    }

    /// Names a file and opens none.
    pub fn decoy(&mut self) -> String {
        let file = self.file();
        let path = format!("{}/{file}", self.root);
        let spelled = self.word(&path, Place::Command);
        let name = self.name();
        match self.choices.below(20) {
            1 => format!(": {spelled}"),
            2 => format!("echo {spelled} > /dev/null"),
            3 => format!("if false; then cat {path}; fi"),
            4 => format!("false && cat {spelled}"),
            5 => format!("true || cat {spelled}"),
            6 => format!("{name}() {{ cat {path}; }}"),
            7 => format!("case a in b) cat {path};; esac"),
            8 => format!("{name}={path}; {name}=/dev/null; cat ${name}"),
            9 => format!("{name}={path}; unset {name}; cat ${{{name}:-/dev/null}}"),
            10 => format!(": # cat {path}"),
            11 => format!("[ -e {spelled} ]"),
            12 => format!("while false; do cat {path}; done"),
            13 => format!("for {name} in; do cat {path}; done"),
            14 => format!("cat '{path}'.bak 2> /dev/null"),
            15 => format!(": <<{name}\ncat {path}\n{name}\n"),
            16 => format!("printf '%s\\n' {spelled} | grep -c zz"),
            17 => format!("if [ 1 -gt 2 ]; then cat {path}; fi"),
            18 => format!("[ a = b ] && cat {path}"),
            19 => format!("test -z \"{path}\" && cat {path}"),
            _ => format!("{name}={path}"),
        }
    }
}
