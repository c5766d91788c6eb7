//! Records: whatever they are wrapped in, there is an outcome, outcomes are counted from 0, and
//! there are no more than the bound.
#![no_main]

use kubetell::ingest::envelope;
use kubetell::limits;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|record: &[u8]| {
    let mut next = 0;
    envelope::read(record, None, &mut |index, _| {
        assert_eq!(index, next);
        next += 1;
    });
    assert!(next > 0);
    assert!(next as usize <= limits::RECORD_MAX_ITEMS + 1);
});
