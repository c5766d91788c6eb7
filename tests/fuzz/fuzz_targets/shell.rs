//! Commands: arguments are separated by NUL; one that stands alone is a script. Places that are
//! told exist, what is told is bounded, and the explanation is JSON.
#![no_main]

use std::sync::LazyLock;

use kubetell::audit::shell;
use kubetell::detect::explain::explain;
use kubetell::detect::finding::{ExecCommand, ExecVia};
use kubetell::limits;
use kubetell::rules::set::RuleSet;
use libfuzzer_sys::fuzz_target;

static RULES: LazyLock<RuleSet> = LazyLock::new(|| RuleSet::builtin().expect("built-in rules"));

fuzz_target!(|text: &str| {
    let mut argv: Vec<String> = text.split('\0').map(str::to_owned).collect();
    if argv.len() == 1 {
        argv.splice(0..0, ["sh".to_owned(), "-c".to_owned()]);
    }
    let text = argv.join(" ");
    let reading = shell::read(&argv);
    let mut told = 0;
    for line in &reading.lines {
        assert!(text.get(line.span.clone()).is_some());
        told += line.text.len();
    }
    for access in &reading.accesses {
        assert!(text.get(access.span.clone()).is_some());
        told += access.path.len();
    }
    for hidden in &reading.hidden {
        assert!(text.get(hidden.span.clone()).is_some());
    }
    let most = limits::SHELL_WORK_BASE + limits::SHELL_WORK_PER_BYTE * (text.len() + 1);
    assert!(told <= most);
    for via in [ExecVia::PodsExec, ExecVia::GkeLabel, ExecVia::ShellText] {
        let exec = ExecCommand::new(via, argv.clone());
        let json = serde_json::to_string(&explain(&exec, &RULES)).expect("JSON");
        assert!(json.starts_with('{'));
    }
});
