use super::super::read_script;
use crate::audit::shell::reading::Reading;

fn lines(reading: &Reading) -> Vec<&str> {
    reading.lines.iter().map(|line| &*line.text).collect()
}

/// A later round does what the first ones did not.
#[track_caller]
fn check_opens(script: &str, path: &str) {
    let reading = read_script(script);
    let found = reading.accesses.iter().any(|access| access.path.to_string() == path);
    assert!(found, "{script}: {:?} {:?}", reading.accesses, reading.lines);
}

#[test]
fn what_changes_in_a_later_round_is_read() {
    for script in [
        "for i in $(seq 1 9); do cat shadow; [ $i = 6 ] && cd /etc; done",
        "for i in $(seq 1 9); do cat shadow; [ $i = 6 ] && cd /etc; sleep 1; done",
        "for i in $(seq 1 9); do poll; [ $i = 6 ] && poll() { cat /etc/shadow; }; done",
        "for i in $(seq 1 9); do sleep 1; [ $i = 5 ] && alias sleep='cat /etc/shadow'; done",
        "for i in $(seq 1 9); do /tmp/x; [ $i = 4 ] && echo cat /etc/shadow > /tmp/x; done",
        "for i in $(seq 1 9); do ls /e; cat /e/shadow; [ $i = 7 ] && ln -s /etc /e; done",
        "i=0; while :; do i=$((i+1)); cat shadow; [ $i = 6 ] && cd /etc; [ $i = 9 ] && break; done",
        "for i in $(seq 1 9); do poll && break; echo $i; [ $i = 8 ] && cat /etc/shadow; done",
        "for i in 1 2 3 4 5 shadow; do poll && break; echo \"/etc/$i\"; cat /etc/$i; done",
        "cat /etc/$(for i in $(seq 1 99); do echo $i; done | sed -n s/77/shadow/p)",
        "for i in $(seq 1 99); do echo $i; done > /tmp/x; cat /etc/$(sed -n s/77/shadow/p /tmp/x)",
        "for i in $(seq 1 99); do echo x; done; [ $i = 99 ] && cat /etc/shadow",
        "for i in $(seq 1 99); do sleep 1; done; [ $i = 99 ] && cat /etc/shadow",
        "n=5; for i in $(seq 1 99); do sleep 1; n=$((n+1)); done; [ $n = 104 ] && cat /etc/shadow",
        "n=0; for i in $(seq 1 99); do n=$((n + 1)); n=$((n+1)); done; \
         [ $n = 198 ] && cat /etc/shadow",
        "n=0; for i in $(seq 1 9); do n=$((n+1)); [ $n = 6 ] && cat /etc/shadow; done",
        "n=0; for i in $(seq 1 9); do n=$((n+1)); echo $n; done; [ $n = 9 ] && cat /etc/shadow",
        "n=; for i in $(seq 1 9); do n=$((n+1)); done; [ $n = 9 ] && cat /etc/shadow",
    ] {
        check_opens(script, "/etc/shadow");
    }
}

#[test]
fn a_number_that_is_only_printed_is_told_at_both_ends() {
    let reading = read_script(
        "for i in $(seq 1 300); do pg_isready -h db && break; echo \"waiting ($i)\"; sleep 1; done",
    );
    let lines = lines(&reading);
    assert!(lines.contains(&"echo waiting (1)") && lines.contains(&"echo waiting (300)"));
    assert!(lines.len() < 12 && reading.hidden.is_empty(), "{lines:?}");
}

#[test]
fn words_and_what_reads_them_are_told_one_by_one() {
    for (script, line) in [
        ("for i in a b c d e f g h; do echo $i; done", "echo e"),
        ("for i in $(seq 1 9); do echo $i; cat /x/$i; done", "cat /x/6"),
        ("for i in $(seq 1 9); do n=$n$i; echo $n; done", "echo 123456"),
        ("for i in $(seq 1 9); do printf -v n %s $i; echo $n; done", "echo 6"),
        ("for i in $(seq 1 9); do echo -e \"\\x4$i\"; done", "echo -e \\x46"),
    ] {
        let reading = read_script(script);
        assert!(lines(&reading).contains(&line), "{script}: {:?}", reading.lines);
    }
}
