//! What JavaScript calls: [`crate::api`] with its answers and failures as JSON.
#![allow(
    unsafe_code,
    missing_docs,
    reason = "wasm-bindgen's macro writes what hands values over, and items of its own"
)]

use credence_policy::Policy;
use serde::Serialize;
use wasm_bindgen::prelude::wasm_bindgen;

use crate::api::{self, Failure};

type Answer = Result<String, String>;

fn answer(result: Result<impl Serialize, Failure>) -> Answer {
    match result {
        Ok(value) => Ok(json(&value)),
        Err(failure) => Err(json(&failure)),
    }
}

/// Types of text, numbers and lists: they can always be written.
fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

/// See [`api::check`].
#[wasm_bindgen]
#[must_use]
pub fn check(text: &str) -> String {
    json(&api::check(text))
}

/// See [`api::import_istio`].
#[wasm_bindgen(js_name = importIstio)]
pub fn import_istio(order: &str) -> Answer {
    answer(api::import_istio(order))
}

/// See [`api::policy_file`].
#[wasm_bindgen(js_name = policyFile)]
pub fn policy_file(cases: &str) -> Answer {
    answer(api::policy_file(cases))
}

/// See [`api::run_cases`].
#[wasm_bindgen(js_name = runCases)]
#[allow(
    clippy::needless_pass_by_value,
    reason = "wasm-bindgen hands a text that may be missing over so"
)]
pub fn run_cases(cases: &str, policy: Option<String>) -> Answer {
    answer(api::run_cases(cases, policy.as_deref()))
}

/// A policy, compiled once.
#[wasm_bindgen]
#[derive(Debug)]
pub struct Handle(Policy);

#[wasm_bindgen]
impl Handle {
    /// See [`api::load`].
    pub fn load(text: &str) -> Result<Handle, String> {
        api::load(text).map(Self).map_err(|failure| json(&failure))
    }

    /// See [`api::about`].
    #[must_use]
    pub fn about(&self) -> String {
        json(&api::about(&self.0))
    }

    /// See [`api::explain`].
    pub fn explain(&self, question: &str) -> Answer {
        answer(api::explain(&self.0, question))
    }
}
