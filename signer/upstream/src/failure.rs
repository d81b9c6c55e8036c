//! What a failed call means to the agent. The one place where a gRPC status becomes an [`UpstreamError`].

use std::error::Error;

use credence_agent::UpstreamError;
use tonic::{Code, Status};

/// The longest text of a CA's that is passed on, in characters.
const LONGEST_TEXT: usize = 256;
/// TLS alerts (RFC 8446 §6.2) that are about the certificate that was shown: to show it again helps nobody.
const ABOUT_THE_CERTIFICATE: [&str; 7] = [
    "AccessDenied",
    "BadCertificate",
    "CertificateExpired",
    "CertificateRevoked",
    "CertificateUnknown",
    "UnknownCA",
    "UnsupportedCertificate",
];

/// Clients of Istio's API ask again on Canceled, DeadlineExceeded, ResourceExhausted, Aborted, Internal and Unavailable; what has no code
/// of the CA's is a connection that failed.
pub(crate) fn told(status: &Status) -> UpstreamError {
    let text = words(status);
    match status.code() {
        Code::Cancelled
        | Code::DeadlineExceeded
        | Code::ResourceExhausted
        | Code::Aborted
        | Code::Internal
        | Code::Unavailable
        | Code::Unknown
        | Code::Ok => match ABOUT_THE_CERTIFICATE
            .iter()
            .any(|alert| text.contains(&format!("fatal alert: {alert}")))
        {
            true => UpstreamError::Refused(format!("it ended the handshake: {text}")),
            false => UpstreamError::Unavailable(text),
        },
        Code::Unauthenticated
        | Code::PermissionDenied
        | Code::InvalidArgument
        | Code::NotFound
        | Code::AlreadyExists
        | Code::FailedPrecondition
        | Code::OutOfRange
        | Code::Unimplemented
        | Code::DataLoss => UpstreamError::Refused(text),
    }
}

/// The code, the CA's words and what is below them, cut short and without control characters.
fn words(status: &Status) -> String {
    let mut text = format!("{:?}: {}", status.code(), status.message());
    let mut cause = status.source();
    while let Some(error) = cause {
        let said = error.to_string();
        if !text.contains(&said) {
            text.push_str(": ");
            text.push_str(&said);
        }
        cause = error.source();
    }
    text.chars()
        .filter(|character| !character.is_control())
        .take(LONGEST_TEXT)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waiting_helps_where_clients_ask_again_and_nowhere_else() {
        for number in 1..17 {
            let code = Code::from_i32(number);
            let waits = matches!(
                told(&Status::new(code, "why")),
                UpstreamError::Unavailable(_)
            );
            let retried = [1, 2, 4, 8, 10, 13, 14].contains(&number);
            assert_eq!(waits, retried, "{code:?}");
        }
    }

    #[test]
    fn an_alert_about_the_certificate_is_a_refusal() {
        let status = |text: &str| told(&Status::unavailable(text));
        let refused = status("received fatal alert: CertificateExpired");
        assert!(matches!(refused, UpstreamError::Refused(_)), "{refused}");
        let other = status("received fatal alert: InternalError");
        assert!(matches!(other, UpstreamError::Unavailable(_)), "{other}");
    }

    #[test]
    fn a_cas_words_are_cut_short() {
        let long = "a\n\u{1b}[31m".repeat(1_000);
        let text = told(&Status::unavailable(long)).to_string();
        assert!(
            text.len() < 400 && !text.contains(char::is_control),
            "{text}"
        );
    }
}
