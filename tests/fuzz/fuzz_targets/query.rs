//! Queries: an error names a place in the text; what is read prints as what reads the same, and
//! compiles or says why not.
#![no_main]

use kubetell::rules::query::{Mode, Program, Query};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    match Query::parse(text) {
        Err(error) => {
            assert!(text.get(error.offset..).is_some());
            assert!(!error.to_string().is_empty());
        }
        Ok(query) => {
            let printed = query.to_string();
            let again = Query::parse(&printed).expect("what is printed can be read");
            assert_eq!(again.to_string(), printed);
            for mode in [Mode::Strict, Mode::Lenient] {
                if let Err(problems) = Program::compile(&[query.clone()], &[], mode) {
                    let place = |at: usize| text.get(at..).is_some();
                    assert!(problems.iter().all(|problem| place(problem.error.offset)));
                }
            }
        }
    }
});
