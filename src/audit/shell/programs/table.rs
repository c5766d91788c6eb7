//! The programs that are known, by name.
//!
//! Options are listed as names with one character behind each that says what it does:
//!
//! ```text
//! -  takes a value that is no path     <  takes a file
//! ?  may have a value in its own word  /  takes a directory that what follows is seen from
//! !  goes into directories             *  takes a pattern for the names of files
//! #  takes the script                  %  takes a file with the script
//! 0  leaves no script to be given      $  takes a command for a shell
//! @  takes `@FILE` within its value    :  takes a command of vi
//! 2  takes two values                  3  takes a name and a file
//! &  takes a URL
//! ```
//!
//! and of wrappers also `=`, which takes `NAME=value`, and `x`, with which nothing is run.

use std::sync::LazyLock;

use crate::audit::shell::foreign::Language;
use crate::audit::shell::reading::Reach;
use crate::audit::shell::text::Text;

use super::operands::{Kind, Words};
use super::{Inner, Program, Wrapper};
use super::{archives, arguments, containers, find, shells, special, transfer, wrappers};

/// How a program's command line is read.
#[derive(Clone, Copy)]
pub(super) enum Class {
    Shell,
    Code(Language),
    /// A wrapper with that many operands before the inner command, and with these options.
    Through(usize, &'static str),
    Wraps(for<'a> fn(&'a [Text], &mut Wrapper) -> Inner<'a>),
    /// What the operands are, and the options.
    Files(Kind, &'static str),
    Special(fn(&[Text]) -> Program),
}

/// A program of which nothing is known but its name.
pub(super) const STRANGER: Class = Class::Files(LOOSE, "");
/// A program whose name is not known.
pub(super) const UNKNOWN: Class = Class::Files(NAMED, "");
pub(super) const APPLETS: Class = Class::Wraps(wrappers::applets);
/// The dynamic loader: `ld.so PROGRAM ARG…`
pub(super) const LOADER: Class = Class::Through(
    0,
    "library-path- preload- argv0- audit- glibc-hwcaps-prepend- inhibit-rpath- listx verifyx",
);

const NAMED: Kind = Kind::new(Words::Paths, Reach::Named);
const LISTED: Kind = Kind::new(Words::Paths, Reach::Listed);
const SEARCHED: Kind = Kind::new(Words::Paths, Reach::Searched);
const SCRIPT: Kind = Kind::new(Words::AfterFirst, Reach::Named);
const MODE: Kind = Kind::new(Words::AfterFirst, Reach::Listed);
const LOOSE: Kind = Kind::new(Words::Loose, Reach::Named);
const LOOSE_LISTED: Kind = Kind::new(Words::Loose, Reach::Listed);
const URLS: Kind = Kind::new(Words::Urls, Reach::Named);
const NOTHING: Kind = Kind::new(Words::Nothing, Reach::Named);

const GREP: &str = "e# regexp# f% file% r! R! recursive! dereference-recursive! include* A- B- C- \
    m- d- D- after-context- before-context- context- max-count- directories- devices- label- \
    color? colour? exclude- exclude-dir- exclude-from< binary-files-";
const SEARCHER: &str = "e# regexp# f% file% g* glob* iglob* G* file-search-regex* files0 A- B- C- \
    m- t- T- j- r- M- E- after-context- before-context- context- max-count- type- type-not- \
    threads- replace- max-columns- max-depth- depth- encoding- ignore-file< ignore- pre$ sort- \
    color- colors-";

use Class::{Files, Shell, Special, Through, Wraps};

/// Names, divided by blanks, and how programs with these names are read.
const FAMILIES: &[(&str, Class)] = &[
    ("sh bash dash ash zsh ksh ksh93 mksh lksh pdksh oksh yash posh hush msh bosh", Shell),
    ("rbash rksh rzsh csh tcsh rc es", Shell),
    ("fish nu elvish xonsh", Special(shells::with_values)),
    ("pwsh powershell", Special(shells::powershell)),
    (". source", Special(shells::sourced)),
    ("at batch", Special(shells::at)),
    // Text, shown or changed.
    (
        "cat tac rev fold expand unexpand tee pr fmt ul column look iconv dos2unix unix2dos",
        NAMED_ALL,
    ),
    (
        "ccat lolcat vis unvis mapfile readarray tsort hexyl exiftool identify readelf objdump nm",
        NAMED_ALL,
    ),
    ("bat batcat", Files(NAMED, "l- language- H- r- line-range- style- theme- pager$")),
    ("uuencode uudecode unshadow cksum sum crc32 b3sum source-highlight mbuffer", NAMED_ALL),
    ("md5sum sha1sum sha224sum sha256sum sha384sum sha512sum b2sum shasum md5", NAMED_ALL),
    ("nl", Files(NAMED, "b- d- f- h- i- l- n- s- v- w-")),
    ("head tail", Files(NAMED, "n- c- lines- bytes- pid- s- sleep-interval- max-unchanged-stats-")),
    ("less more most zless zmore view-man man", Files(NAMED, "p- P- x- j- k< o< O< t- T- z- b-")),
    ("pv", Files(NAMED, "L- s- N- i- w- H- F- B- rate-limit- size- name-")),
    ("split csplit", Files(NAMED, "a- b- C- l- n- filter$ t- suffix-length- bytes- lines- f- z")),
    (
        "sort",
        Files(
            NAMED,
            "k- t- o< T< S- key- output< buffer-size- parallel- batch-size- \
        field-separator- random-source< compress-program$ temporary-directory<",
        ),
    ),
    ("uniq", Files(NAMED, "f- s- w- skip-fields- skip-chars- check-chars-")),
    ("cut", Files(NAMED, "b- c- d- f- bytes- characters- delimiter- fields- output-delimiter-")),
    ("paste", Files(NAMED, "d- delimiters-")),
    ("join comm", Files(NAMED, "1- 2- a- e- j- o- t- v- output-delimiter-")),
    ("shuf", Files(NAMED, "i- n- o< input-range- head-count- output< random-source<")),
    ("tr seq yes expr factor numfmt", Files(NOTHING, "")),
    ("wc", Special(archives::counted)),
    ("od", Files(NAMED, "A- j- N- S- t- w? address-radix- skip-bytes- read-bytes- format- width?")),
    ("xxd", Files(NAMED, "c- g- l- s- o- n- R-")),
    ("hexdump hd", Files(NAMED, "e- f< n- s- length- skip-")),
    ("strings", Files(NAMED, "n- t- e- T- s- bytes- radix- encoding- target-")),
    ("base64 base32 basenc gbase64", Files(NAMED, "w- wrap- i< o<")),
    ("cmp", Files(NAMED, "i- n- ignore-initial- bytes-")),
    (
        "diff colordiff sdiff diff3 vimdiff delta",
        Files(
            NAMED,
            "r! recursive! U- C- I- F- W- x- X< \
        exclude- exclude-from< ignore-matching-lines- label- L- width- tabsize- line-format-",
        ),
    ),
    ("sed", Special(special::sed)),
    (
        "jq gojq jaq",
        Files(
            SCRIPT,
            "f% from-file% arg2 argjson2 slurp? slurpfile3 rawfile3 argfile3 L- \
        indent- library-path-",
        ),
    ),
    ("yq", Special(special::yq)),
    ("xmllint", Files(NAMED, "xpath- encode- schema< dtdvalid< output< o< pattern- maxmem-")),
    (
        "grep egrep fgrep zgrep zegrep zfgrep bzgrep xzgrep pcregrep pcre2grep ugrep",
        Files(SCRIPT, GREP),
    ),
    ("rgrep", Files(SEARCH_ALL, GREP)),
    ("rg ag ack ack-grep", Files(SEARCH_ALL, SEARCHER)),
    (
        "vi vim nvim view vim.tiny vim.basic ex gvim",
        Files(NAMED, "c: cmd: S< u< U< i< T- W< w< r-"),
    ),
    ("nano pico ed red emacs micro joe ne jed mcedit hexedit", Files(NAMED, "")),
    (
        "gzip gunzip zcat gzcat uncompress compress bzip2 bunzip2 bzcat xz unxz xzcat lzma unlzma",
        PACKED,
    ),
    ("lzcat lz4 unlz4 lz4cat zstd unzstd zstdcat lzop pigz pbzip2 pxz brotli lzip", PACKED),
    ("unzip unrar zipinfo funzip cabextract", Files(NAMED, "d< P- x-")),
    ("tar bsdtar star", Special(archives::tar)),
    ("cpio", Special(archives::cpio)),
    ("zip", Special(archives::zip)),
    ("7z 7za 7zr 7zz rar", Special(archives::seven_zip)),
    ("pax", Special(archives::pax)),
    ("ar ranlib", Files(SCRIPT, "")),
    // Files, listed and changed.
    (
        "ls dir vdir exa eza lsd",
        Files(
            LISTED_HERE,
            "R! recursive! w- I- T- ignore- hide- width- \
        tabsize- color? sort- time- time-style- format- block-size- quoting-style- indicator-style-",
        ),
    ),
    ("tree", Files(SEARCHED_HERE, "L- I- P* H- T- o< charset- filelimit- sort-")),
    (
        "du ncdu dust gdu",
        Files(
            SEARCHED_HERE,
            "d- t- B- X< max-depth- threshold- exclude- \
        exclude-from< block-size- files0-from<",
        ),
    ),
    (
        "stat readlink realpath namei lsattr getfacl getfattr getcap df",
        Files(
            LISTED,
            "c- format- \
        printf- B- t- x- relative-to- relative-base- n-",
        ),
    ),
    ("file", Files(LISTED, "f< files-from< m< magic-file< F- separator- P- e-")),
    (
        "basename dirname rm rmdir unlink shred mkdir touch truncate mkfifo mknod fallocate",
        Files(LISTED, "s- m- r- d- t- suffix- mode- reference- size- n- iterations- l- o-"),
    ),
    (
        "chmod chown chgrp chattr setfacl setcap chcon",
        Files(MODE, "R! recursive! reference< m- x- M<"),
    ),
    ("cd pushd popd umount mountpoint fuser lsof inotifywait", Files(LOOSE_LISTED, "")),
    ("echo printf print", Special(special::printed)),
    ("test [ [[", Special(special::test)),
    ("find gfind bfs", Wraps(find::find)),
    ("fd fdfind", Wraps(find::fd)),
    ("locate plocate mlocate slocate", Special(find::locate)),
    ("cp gcp", Special(transfer::cp)),
    ("mv", Special(transfer::mv)),
    ("scp", Special(transfer::scp)),
    ("rsync", Special(transfer::rsync)),
    ("ln link", Files(NAMED, "S- t<")),
    ("install", Files(NAMED, "g- m- o- S- t< group- mode- owner- suffix- target-directory<")),
    ("dd dcfldd", Special(transfer::dd)),
    ("mount", Files(NAMED, "t- O- L- U- types- source< target< T< options-")),
    ("sftp", Files(NAMED, "b< i< F< o- P- c- l- S$ s-")),
    // What sends or fetches.
    (
        "curl",
        Files(
            URLS,
            "d@ data@ data-ascii@ data-binary@ data-urlencode@ json@ data-raw- F@ \
        form@ form-string- T< upload-file< cacert< capath< cert< E< key< proxy-cert< proxy-key< \
        K< config< o< output< c< cookie-jar< b- cookie- H@ header@ netrc-file< trace< \
        trace-ascii< D< dump-header< etag-compare< etag-save< url& head? A- e- m- r- u- w@ write-out@ \
        x- X- Y- y- z- C- P- Q- t- U- connect-timeout- max-time- request- retry- user- \
        user-agent- proxy- resolve- connect-to- limit-rate- interface- noproxy- referer- range- \
        variable@ expand-data@ unix-socket< output-dir<",
        ),
    ),
    (
        "wget wget2",
        Files(
            URLS,
            "post-file< body-file< i< input-file< O< output-document< o< \
        output-file< a< ca-certificate< certificate< private-key< load-cookies< save-cookies< \
        config< use-askpass$ P< post-data- body-data- header- U- user-agent- T- t- e- timeout- \
        tries- method- user- password- Q- w- B- base- A- R- D- l-",
        ),
    ),
    ("http https xh httpie", Files(LOOSE, "o< output< cert< cert-key< verify< session- A- a-")),
    ("nc ncat netcat nc.openbsd nc.traditional", Special(transfer::netcat)),
    ("socat", Special(transfer::socat)),
    ("git", Special(transfer::git)),
    ("openssl", Files(SCRIPT, "")),
    ("ssh-keygen", Files(NAMED, "f< b- C- t- N- P- I- n- O- V- z- s< D- E- m- r- Y-")),
    ("ssh-add", Files(NAMED, "t- s< e< H<")),
    ("gpg gpg2 age rage minisign", Files(LOOSE, "o< output< i< identity< r- R< u- homedir<")),
    ("getent", Special(special::getent)),
    ("date", Files(NOTHING, "f< file< r< reference< d- s- date- set- I? D-")),
    (
        "gcc cc g++ c++ clang clang++ cpp tcc",
        Files(NAMED, "x- o< I- L- D- l- include< O? f? W? m? std-"),
    ),
    ("sqlite3 sqlite", Files(NAMED, "cmd- init< separator- nullvalue-")),
    ("john hashcat", Files(NAMED, "")),
    ("make gmake ninja", Files(LOOSE, "f< file< makefile< C/ directory/ I- j? o- W- eval-")),
    // What takes no paths.
    (
        ": true false sleep usleep kill killall pkill pgrep pidof ps top htop free uptime uname",
        PATHLESS,
    ),
    (
        "id whoami who w last groups users logname hostname domainname arch nproc tty stty clear",
        PATHLESS,
    ),
    (
        "reset sync which whereis type hash whatis apropos alias unalias export readonly local",
        PATHLESS,
    ),
    (
        "declare typeset unset set shift exit return break continue wait jobs bg fg disown umask",
        PATHLESS,
    ),
    ("ulimit times getopts getopt let read trap history printenv cal bc dc", PATHLESS),
    ("ifconfig ping ping6 traceroute netstat ss arp route dig nslookup host", PATHLESS),
    ("useradd adduser userdel usermod groupadd addgroup passwd chsh finger", PATHLESS),
    ("shutdown reboot halt poweroff dmesg lscpu lsblk lsmod vmstat iostat pidstat", PATHLESS),
    // What runs another command.
    ("busybox toybox coreutils sbase-box ubase-box k3s microk8s", APPLETS),
    ("env", Wraps(wrappers::env)),
    ("sudo", Wraps(wrappers::sudo)),
    ("sudoedit", Files(NAMED, "u- g- C- T- r- t-")),
    ("doas", Wraps(wrappers::doas)),
    ("su runuser", Wraps(wrappers::su)),
    ("sg", Wraps(wrappers::sg)),
    ("nsenter", Wraps(wrappers::nsenter)),
    ("unshare", Wraps(wrappers::unshare)),
    ("chroot", Wraps(wrappers::chroot)),
    ("capsh", Wraps(wrappers::capsh)),
    ("flock", Wraps(wrappers::flock)),
    ("script", Wraps(wrappers::script)),
    ("watch viddy", Wraps(wrappers::watch)),
    ("hyperfine pee", Wraps(wrappers::shell_words)),
    ("timeout", Wraps(wrappers::timeout)),
    ("perf", Wraps(wrappers::perf)),
    ("ip", Wraps(wrappers::ip)),
    ("tmux", Wraps(wrappers::tmux)),
    ("setarch", Wraps(wrappers::setarch)),
    ("start-stop-daemon", Wraps(wrappers::start_stop_daemon)),
    ("gdb", Wraps(wrappers::gdb)),
    ("bwrap", Wraps(wrappers::bwrap)),
    ("xargs gxargs", Wraps(arguments::xargs)),
    ("parallel sem", Wraps(arguments::parallel)),
    ("ssh", Wraps(containers::ssh)),
    ("kubectl oc", Wraps(containers::kubectl)),
    ("docker podman nerdctl crictl ctr runc crun lxc incus buildah", Wraps(containers::docker)),
    ("ld.so", LOADER),
    ("nice", Through(0, "n- adjustment-")),
    ("ionice", Through(0, "c- class- n- classdata- P- u- px pidx")),
    ("chrt", Through(1, "T- P- D- sched-runtime- sched-period- sched-deadline- px pidx mx maxx")),
    ("taskset", Through(1, "px pidx")),
    ("stdbuf", Through(0, "i- o- e- input- output- error-")),
    ("time", Through(0, "o< output< f- format-")),
    ("command", Through(0, "vx Vx")),
    ("exec", Through(0, "a-")),
    (
        "setpriv",
        Through(
            0,
            "reuid- regid- ruid- rgid- euid- egid- groups- inh-caps- ambient-caps- \
        bounding-set- securebits- selinux-label- apparmor-profile- pdeathsig- ptracer- dx dumpx",
        ),
    ),
    ("chpst", Through(0, "u- U- e< b- n- l< L< m- d- o- p- f- c- r- t- // C/")),
    ("softlimit s6-softlimit", Through(0, "a- c- d- f- l- m- o- p- r- s- t-")),
    ("s6-applyuidgid", Through(0, "u- g- G-")),
    ("gosu su-exec setuidgid s6-setuidgid envuidgid s6-envuidgid envdir s6-envdir", Through(1, "")),
    ("setlock s6-setlock faketime runcon", Through(1, "f- p-")),
    ("dumb-init", Through(0, "r- rewrite-")),
    ("tini tini-static docker-init catatonit", Through(0, "p- e-")),
    ("nohup setsid builtin unbuffer noglob nocorrect catchsegv eatmydata torsocks tsocks", PLAIN),
    ("torify fakechroot linux32 linux64 i386 x86_64 dbus-run-session nocache chronic ifne", PLAIN),
    ("winpty valgrind firejail with-contenv execlineb pgrphack fghack not", PLAIN),
    ("proxychains proxychains4", Through(0, "f<")),
    ("fakeroot", Through(0, "l- lib- faked- s< i< b-")),
    ("rlwrap", Through(0, "a? b- C- D- f< g- H< l< m? M- p? P- q- s- S- t- w- z-")),
    ("strace", Through(0, "e- o< p- s- u- E= a- b- I- O- P- S- U- X-")),
    ("ltrace", Through(0, "e- o< p- s- u- n- a- A- D- F< l- x-")),
    (
        "numactl",
        Through(
            0,
            "m- N- C- i- p- membind- cpunodebind- physcpubind- interleave- \
        preferred- Hx hardwarex showx",
        ),
    ),
    ("prlimit choom", Through(0, "n- px pidx")),
    ("cpulimit", Through(0, "l- limit- e- p- P-")),
    ("cgexec", Through(0, "g-")),
    ("trickle", Through(0, "u- d- w- t- l- n-")),
    ("xvfb-run", Through(0, "n- s- e< f< p- w-")),
    ("ssh-agent", Through(0, "a- t- E- O- P- kx")),
    ("sshpass", Through(0, "p- f< d- P-")),
    ("pkexec", Through(0, "user- u-")),
    (
        "systemd-run run0",
        Through(
            0,
            "p- u- E= M- H- property- unit- slice- uid- gid- nice- \
        service-type- setenv= working-directory/ D/ chdir/ description- machine- host- \
        on-active- on-boot- on-calendar- timer-property- user? group?",
        ),
    ),
    (
        "systemd-inhibit systemd-cat",
        Through(0, "what- who- why- mode- t- p- identifier- priority-"),
    ),
    ("lxc-attach", Through(0, "n- name- v- s- e- f< R- u- g-")),
    ("schroot", Through(0, "c- chroot- u- user- d/ directory/ s- n- o-")),
    ("proot", Through(0, "r- rootfs- R- S- b< bind< m< w/ cwd/ pwd/ q- k-")),
    ("screen", Through(0, "S- c< T- e- h- s- t- p- r? x? Xx lsx")),
    ("entr", Through(0, "s$")),
    ("daemonize", Through(0, "a- c/ e< o< p< l< u- E=")),
];

const NAMED_ALL: Class = Files(NAMED, "");
const PATHLESS: Class = Files(NOTHING, "");
const PLAIN: Class = Through(0, "");
const PACKED: Class = Files(NAMED, "r! recursive! S- suffix- b- M- T- o< output< D< q- p- B?");
const SEARCH_ALL: Kind = Kind::new(Words::AfterFirst, Reach::Walked).or_here();
const LISTED_HERE: Kind = LISTED.or_here();
const SEARCHED_HERE: Kind = SEARCHED.or_here();

/// Languages' interpreters that have other names than the language.
const ENGINES: &[(&str, Language)] = &[
    ("bun deno qjs ts-node tsx nodejs", Language::Node),
    ("pypy pypy3 micropython ipython", Language::Python),
    ("jruby irb", Language::Ruby),
    ("luajit texlua", Language::Lua),
];

static NAMES: LazyLock<Vec<(&'static str, Class)>> = LazyLock::new(|| {
    let mut names: Vec<(&'static str, Class)> = Vec::new();
    for (family, class) in FAMILIES {
        names.extend(family.split(' ').map(|name| (name, *class)));
    }
    for (family, language) in ENGINES {
        names.extend(family.split(' ').map(|name| (name, Class::Code(*language))));
    }
    names.sort_by_key(|(name, _)| *name);
    names
});

pub(super) fn class(name: &str) -> Option<Class> {
    let places = &*PLACES;
    let mut slot = slot(name);
    loop {
        let at = *places.get(slot % SLOTS)?;
        let (known, class) = NAMES.get(usize::from(at.checked_sub(1)?))?;
        if *known == name {
            return Some(*class);
        }
        slot += 1;
    }
}

/// More than twice as many as there are names.
const SLOTS: usize = 4096;

fn slot(name: &str) -> usize {
    let bytes = name.bytes();
    bytes.fold(name.len(), |slot, byte| slot.wrapping_mul(31).wrapping_add(usize::from(byte)))
}

/// Where each name stands in `NAMES`, plus one: in its slot, or behind others that took it.
static PLACES: LazyLock<Vec<u16>> = LazyLock::new(|| {
    let mut places = vec![0_u16; SLOTS];
    for (at, (name, _)) in (1_u16..).zip(NAMES.iter()) {
        let mut slots = slot(name)..;
        let free = slots.find(|slot| places.get(slot % SLOTS).is_none_or(|taken| *taken == 0));
        if let Some(place) = free.and_then(|slot| places.get_mut(slot % SLOTS)) {
            *place = at;
        }
    }
    places
});

/// Every name that is known.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    NAMES.iter().map(|(name, _)| *name)
}

/// What a pattern as a program's name most likely stands for, the likeliest first.
pub(super) const PREFERRED: &[&str] = &[
    "sh", "bash", "dash", "ash", "busybox", "zsh", "ksh", "cat", "tac", "nl", "head", "tail",
    "more", "less", "grep", "sed", "awk", "base64", "base32", "xxd", "od", "cp", "tar", "dd",
    "sort", "rev", "cut", "strings", "find", "ls", "python3", "perl", "curl", "env",
];

#[cfg(test)]
pub(super) fn is_sorted_without_doubles() -> bool {
    NAMES.len() * 2 < SLOTS && NAMES.windows(2).all(|pair| pair[0].0 < pair[1].0)
}
