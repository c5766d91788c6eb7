//! Request URIs: whatever stands in one, decoding it ends, and writing its query anew changes
//! nothing that was not asked for.
#![no_main]

use kubetell::audit::exec;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|uri: &str| {
    if let Some(exec) = exec::decode_uri(uri) {
        assert_eq!(exec.text, exec.argv.join(" "));
        assert!(exec.text.len() <= 3 * uri.len());
    }
    let same = exec::rewrite_query(uri, |_| None);
    assert!(same == uri || !uri.contains('?'));
    let asked = |uri: &str| exec::rewrite_query(uri, |_| Some("x y".to_owned()));
    let rewritten = asked(uri);
    assert_eq!(asked(&rewritten), rewritten);
});
