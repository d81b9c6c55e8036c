//! Whatever YAML it is, it is imported or refused, in bounded time and memory; and what is imported loads.
#![no_main]

use credence_policy::Policy;
use credence_policy_import::{Options, Source, import, yaml};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    // A policy's own text seldom comes out of random octets: fields of one are tried too.
    let spec: String = text.lines().map(|line| format!("  {line}\n")).collect();
    let whole = format!(
        "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {{name: a, namespace: b}}\nspec:\n{spec}"
    );
    for text in [text, &whole] {
        let documents = yaml::documents(text);
        let options = Options::default();
        match import(&[Source { name: "f", text }], &options) {
            Ok(imported) => {
                assert!(documents.is_ok());
                let policy = Policy::from_json(imported.json.as_bytes());
                assert!(policy.is_ok(), "{}", imported.json);
            }
            Err(problems) => assert!(!problems.is_empty()),
        }
    }
});
