//! A directory that stands for a container's root, and scripts run in it for real.
//!
//! The content of a file is a word that is found nowhere else: what a script printed tells which
//! files it opened.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use tempfile::TempDir;

use super::script::Dialect;

/// The files, below the root.
pub const FILES: [&str; 12] = [
    "etc/shadow",
    "etc/passwd",
    "etc/hosts",
    "etc/app/config.yaml",
    "run/secrets/kubernetes.io/serviceaccount/token",
    "run/secrets/kubernetes.io/serviceaccount/ca.crt",
    "root/.ssh/id_rsa",
    "root/.profile",
    "home/u/.kube/config",
    "app/f1",
    "app/f2",
    "app/data/key.pem",
];

/// Where scripts may write, below the root.
pub const SCRATCH: &str = "tmp";

/// How the shells are started, and what package has them on Debian.
pub const SHELLS: [(&[&str], &str); 3] =
    [(&["dash"], "dash"), (&["bash"], "bash"), (&["busybox", "sh"], "busybox")];

/// Programs of a container that not every system has; busybox has them all.
const PROGRAMS: [&str; 12] = [
    "rev", "xxd", "awk", "strings", "gzip", "bzip2", "xz", "hexdump", "find", "xargs", "tac", "nl",
];

const SECONDS_MAX: &str = "20";

fn word_of(file: usize) -> String {
    format!("mk{file:02}zq")
}

pub struct Tree {
    directory: TempDir,
    programs: TempDir,
    root: String,
}

/// What the shells made of a script.
#[derive(Debug, Default)]
pub struct Truth {
    /// The files that each shell opened, as bits in the order of [`FILES`].
    pub opened: [u32; SHELLS.len()],
    /// What each shell said, for whoever looks into a failure.
    pub output: [String; SHELLS.len()],
    pub timed_out: bool,
}

impl Truth {
    /// What was opened by shells that know the dialect; the others do something by accident.
    pub fn by_speakers(&self, dialect: Dialect) -> u32 {
        let [dash, bash, busybox] = self.opened;
        match dialect {
            Dialect::Posix => dash | bash | busybox,
            Dialect::Ash => bash | busybox,
            Dialect::Bash => bash,
        }
    }

    pub fn any(&self) -> u32 {
        self.opened.iter().fold(0, |all, opened| all | opened)
    }
}

impl Tree {
    pub fn new() -> Tree {
        let directory = tempfile::Builder::new().prefix("root").tempdir().unwrap();
        let programs = tempfile::Builder::new().prefix("programs").tempdir().unwrap();
        let root = directory.path().to_str().unwrap().to_owned();
        for file in FILES {
            fs::create_dir_all(directory.path().join(file).parent().unwrap()).unwrap();
        }
        fs::create_dir(directory.path().join(SCRATCH)).unwrap();
        let busybox = found("busybox");
        for program in PROGRAMS {
            std::os::unix::fs::symlink(&busybox, programs.path().join(program)).unwrap();
        }
        for (shell, _) in SHELLS {
            found(shell[0]);
        }
        let tree = Tree { directory, programs, root };
        tree.restore();
        tree
    }

    /// The absolute path of the root.
    pub fn root(&self) -> &str {
        &self.root
    }

    /// Runs the script in every shell, one after another.
    pub fn run(&self, script: &str) -> Truth {
        let mut truth = Truth::default();
        for (at, (shell, _)) in SHELLS.iter().enumerate() {
            let output = Command::new("timeout")
                .args(["-s", "KILL", SECONDS_MAX])
                .args(*shell)
                .args(["-c", script])
                .env_clear()
                // A script that means a home directory sets it.
                .env("HOME", "/nowhere")
                .env("PATH", format!("/usr/bin:/bin:{}", self.programs.path().display()))
                .current_dir(self.directory.path())
                .stdin(Stdio::null())
                .output()
                .unwrap();
            truth.timed_out |= output.status.code().is_none_or(|code| code == 137);
            let mut said = String::from_utf8_lossy(&output.stdout).into_owned();
            said.push_str(&String::from_utf8_lossy(&output.stderr));
            for file in 0..FILES.len() {
                if said.contains(&word_of(file)) {
                    truth.opened[at] |= 1 << file;
                }
            }
            truth.output[at] = said;
            self.sweep();
        }
        truth
    }

    /// Programs with too many operands write to the last one.
    fn restore(&self) {
        for (at, file) in FILES.iter().enumerate() {
            let (path, content) = (self.directory.path().join(file), word_of(at) + "\n");
            if fs::read(&path).is_ok_and(|found| found == content.as_bytes()) {
                continue;
            }
            fs::write(path, content).unwrap();
        }
    }

    /// What one script wrote is not there for the next.
    fn sweep(&self) {
        self.restore();
        let scratch = self.directory.path().join(SCRATCH);
        if fs::read_dir(&scratch).is_ok_and(|mut entries| entries.next().is_none()) {
            return;
        }
        fs::remove_dir_all(&scratch).unwrap();
        fs::create_dir(&scratch).unwrap();
    }
}

fn found(program: &str) -> std::path::PathBuf {
    let places = ["/usr/bin", "/bin"].map(|place| Path::new(place).join(program));
    let Some(place) = places.into_iter().find(|place| place.is_file()) else {
        panic!(
            "`{program}` is neither in /usr/bin nor in /bin\n\n\
             hint: the shell reader is compared with real shells; `tests/run` installs them, or \
             `apt-get install dash bash busybox`"
        );
    };
    place
}
