use super::*;
#[test]
fn show() {
    for q in [
        "a:b and c:d",
        "user.name = alice",
        "a:b &&  c:d",
        "not",
        "a:b and",
        ":x",
        "(a:b or c:d",
        "a:(b or c",
        "a:b {",
        "a:x:y",
        "a:\"x",
        "code => 5",
        "a\\q:b",
        "“x” and y",
        "a:(b and c:d)",
        "f:== x",
        "a:b)",
        "not not a",
        "a:b\nand\tnot(c:d)",
        "cannot do it",
    ] {
        match parse(q) {
            Ok(n) => eprintln!("{q}\n  => {n}\n"),
            Err(e) => eprintln!("{e}\n"),
        }
    }
}
