//! An agent's standing as a table.

use super::standing::{IdentityStanding, Standing, Trouble};
use std::fmt::Write as _;

const HEAD: [&str; 7] = [
    "IDENTITY",
    "STATE",
    "SERIAL",
    "ISSUED",
    "EXPIRES",
    "NEXT RENEWAL",
    "STREAMS",
];

/// A row for each identity; below it what went wrong last.
pub(super) fn table(standing: &Standing) -> String {
    let rows: Vec<_> = standing.identities.iter().map(row).collect();
    let mut widths = HEAD.map(str::len);
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut text = format!("trust domain  {}\n\n", standing.trust_domain);
    line(&mut text, &HEAD.map(str::to_owned), &widths);
    for (row, one) in rows.iter().zip(&standing.identities) {
        line(&mut text, row, &widths);
        trouble(&mut text, "", one.last_error.as_ref());
        trouble(&mut text, "client: ", one.clients.last_refusal.as_ref());
    }
    text.push('\n');
    for bundle in &standing.bundles {
        let _ = writeln!(
            text,
            "bundle of {}: {} roots, {} revocation lists",
            bundle.trust_domain, bundle.roots, bundle.revocation_lists
        );
        if let Some(source) = &bundle.source {
            let heard = bundle.heard.as_deref().unwrap_or("never");
            let _ = writeln!(text, "  from {source}, last heard {heard}");
        }
        trouble(&mut text, "", bundle.last_error.as_ref());
    }
    for files in &standing.files {
        let written = files.written.as_deref().unwrap_or("never");
        let _ = writeln!(
            text,
            "files in {} of {}: written {written}",
            files.folder, files.identity
        );
        trouble(&mut text, "", files.last_error.as_ref());
        trouble(&mut text, "reload: ", files.not_told.as_ref());
    }
    for watched in &standing.watched {
        let since = |at: &str| format!("served since {at}");
        let served = watched.served.as_deref().map(since);
        let served = served.unwrap_or_else(|| "not served".to_owned());
        let ends = watched
            .expires
            .as_deref()
            .map(|at| format!(", expires {at}"));
        let _ = writeln!(
            text,
            "{}: {served}{}",
            watched.name,
            ends.unwrap_or_default()
        );
        trouble(&mut text, "", watched.last_error.as_ref());
    }
    text
}

fn row(one: &IdentityStanding) -> [String; 7] {
    let or_dash = |text: Option<&String>| text.cloned().unwrap_or_else(|| "-".to_owned());
    let next = match (&one.next_renewal, one.state.as_str()) {
        (Some(at), _) => at.clone(),
        (None, _) => "now".to_owned(),
    };
    let streams = one.clients.sds_streams + one.clients.workload_streams;
    [
        one.id.clone(),
        one.state.clone(),
        or_dash(one.serial.as_ref()),
        or_dash(one.issued.as_ref()),
        or_dash(one.expires.as_ref()),
        next,
        streams.to_string(),
    ]
}

fn line(text: &mut String, cells: &[String; 7], widths: &[usize; 7]) {
    let padded = cells
        .iter()
        .zip(widths)
        .map(|(cell, width)| format!("{cell:<width$}"));
    let line = padded.collect::<Vec<_>>().join("  ");
    let _ = writeln!(text, "{}", line.trim_end());
}

fn trouble(text: &mut String, whose: &str, trouble: Option<&Trouble>) {
    if let Some(Trouble { at, reason }) = trouble {
        let _ = writeln!(text, "  {at}  {whose}{reason}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_stand_below_their_heads_and_errors_below_their_row() {
        let one = |id: &str, state: &str, error: Option<&str>| IdentityStanding {
            id: id.to_owned(),
            state: state.to_owned(),
            last_error: error.map(|reason| Trouble {
                at: "2026-01-01T00:00:00Z".to_owned(),
                reason: reason.to_owned(),
            }),
            ..IdentityStanding::default()
        };
        let standing = Standing {
            trust_domain: "example.org".to_owned(),
            identities: vec![
                one("spiffe://example.org/a", "holding", None),
                one(
                    "spiffe://example.org/longer",
                    "refused",
                    Some("the CA refused: no"),
                ),
            ],
            ..Standing::default()
        };
        let text = table(&standing);
        let lines: Vec<_> = text.lines().skip(2).collect();
        let column = lines[0].find("STATE").unwrap();
        assert_eq!(lines[1].find("holding"), Some(column));
        assert_eq!(lines[2].find("refused"), Some(column));
        assert_eq!(lines[3], "  2026-01-01T00:00:00Z  the CA refused: no");
    }
}
