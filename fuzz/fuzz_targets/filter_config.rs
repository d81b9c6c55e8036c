//! A filter configuration is one or has faults, never both or neither; a deny list that it brings has a number,
//! and a list never gives way to one with a lower number.
#![no_main]

use credence_enforce::{Config, DenyList, Worker};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|json: &[u8]| {
    let list = match Config::from_json(json) {
        Ok(Config::Inbound(parts)) => parts.revocations,
        Ok(Config::Tcp(parts)) => parts.revocations,
        Ok(Config::Companion(parts)) => parts.revocations,
        Ok(Config::Outbound(_) | Config::Certificates(_)) => None,
        Err(faults) => {
            assert!(faults.iter().count() > 0);
            assert!(faults.iter().all(|fault| fault.to_string().len() < 10_000));
            return;
        }
    };
    let Some(list) = list else {
        return;
    };
    let number = list.number();
    assert!(number > 0);
    let mut worker = Worker::default();
    assert!(worker.offer_deny_list(list));
    let lower = format!(r#"{{"number": {}}}"#, number - 1);
    if let Ok(lower) = DenyList::from_json(lower.as_bytes()) {
        assert!(!worker.offer_deny_list(lower));
    }
    assert_eq!(worker.deny_list().number(), number);
});
