//! Answers in the application's stead.

use credence_enforce::Refusal;

use crate::{
    host::{self, Level},
    root::Stage,
};

const TEXT: (&str, &str) = ("content-type", "text/plain; charset=utf-8");
/// Asks the Lua companion to end the connection gracefully.
const DRAIN: (&str, &str) = ("x-credence-drain", "1");

/// How something refused is answered.
pub(crate) struct Answer {
    pub(crate) refusal: Refusal,
    pub(crate) status: u32,
    pub(crate) drains: bool,
}

impl Answer {
    pub(crate) fn forbidden(refusal: Refusal) -> Self {
        Self {
            refusal,
            status: 403,
            drains: false,
        }
    }
}

/// Sends it. If even that fails what was refused stays where it is, unanswered and not let on.
pub(crate) fn send(answer: &Answer) -> Stage {
    let details = answer.refusal.details();
    let headers: &[_] = match answer.drains {
        true => &[TEXT, DRAIN],
        false => &[TEXT],
    };
    let body = answer.refusal.body();
    if host::send_local_response(answer.status, &details, headers, &body).is_err() {
        let message = format!("credence: no answer could be sent: {details}");
        host::log(Level::Error, &message);
    }
    Stage::Refused
}
