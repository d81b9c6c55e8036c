//! The shipped bootstraps as templates: changed where a test must, and filled in.

use std::{collections::BTreeMap, fs, path::Path, time::Duration};

use anyhow::{Context, Result, bail, ensure};

use crate::{envoy::text, tools};

/// A change to a shipped file: its words, so that a file that has changed since is noticed.
#[derive(Debug, Clone)]
pub struct Edit {
    from: String,
    until: Option<String>,
    to: String,
}

impl Edit {
    /// `to` in the place of `from`, wherever it stands.
    #[must_use]
    pub fn replace(from: &str, to: &str) -> Self {
        Self {
            from: from.to_owned(),
            until: None,
            to: to.to_owned(),
        }
    }

    /// `to` in the place of everything from the first `from` to the next `until`, which stays.
    #[must_use]
    pub fn between(from: &str, until: &str, to: &str) -> Self {
        Self {
            from: from.to_owned(),
            until: Some(until.to_owned()),
            to: to.to_owned(),
        }
    }

    fn apply(&self, text: &str) -> Result<String> {
        let from = &self.from;
        ensure!(text.contains(from), "there is no '{from}' in it");
        let Some(until) = &self.until else {
            return Ok(text.replace(from, &self.to));
        };
        let (before, rest) = text.split_once(from).context("it was there")?;
        let at = rest
            .find(until)
            .with_context(|| format!("there is no '{until}' after '{from}'"))?;
        let (_, after) = rest.split_at(at);
        Ok([before, &self.to, after].concat())
    }
}

/// Reads `envoy/<name>`, makes the edits and puts values in the place of each `${NAME}`.
///
/// # Errors
/// If an edit finds nothing to change, or a name has no value.
pub fn shipped(name: &str, edits: &[Edit], values: &BTreeMap<&str, String>) -> Result<String> {
    let path = tools::workspace()?.join("envoy").join(name);
    let template = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    let changed = edits
        .iter()
        .try_fold(template, |text, edit| edit.apply(&text));
    changed
        .and_then(|text| fill(&text, values))
        .with_context(|| path.display().to_string())
}

/// What every bootstrap is filled in with alike.
///
/// # Errors
/// If a file that ships, or the filter, is not there.
pub fn common(roles: &[&str]) -> Result<BTreeMap<&'static str, String>> {
    let folder = tools::workspace()?.join("envoy");
    Ok(BTreeMap::from([
        ("ADDRESS", "127.0.0.1".to_owned()),
        ("SERVER_ADDRESS", "127.0.0.1".to_owned()),
        ("SERVER_DISCOVERY", "STATIC".to_owned()),
        ("STATS", fs::read_to_string(folder.join("stats.yaml"))?),
        ("DRAIN_LUA", text(&folder.join("drain.lua"))?),
        ("FILTER_WASM", text(&tools::filter()?)?),
        ("CAPABILITIES", capabilities(roles)?),
        (
            "CERTIFICATES_CAPABILITIES",
            capabilities(&["certificates"])?,
        ),
    ]))
}

/// What the shipped list grants a VM in which these roles run, as the map that Envoy wants.
///
/// # Errors
/// If the list cannot be read or grants nothing: an empty map would restrict nothing.
pub fn capabilities(roles: &[&str]) -> Result<String> {
    let list = fs::read_to_string(tools::workspace()?.join("filter/plugin/capabilities.txt"))?;
    let entries: Vec<String> = granted(&list, roles)
        .map(|name| format!("{name}: {{}}"))
        .collect();
    ensure!(!entries.is_empty(), "capabilities.txt grants nothing");
    Ok(format!("{{ {} }}", entries.join(", ")))
}

/// Lines of `name role role …`; a name without roles is for all.
fn granted<'a>(list: &'a str, roles: &'a [&'a str]) -> impl Iterator<Item = &'a str> {
    list.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        let name = words.next().filter(|name| !name.starts_with('#'))?;
        let mut of = words.peekable();
        (of.peek().is_none() || of.any(|role| roles.contains(&role))).then_some(name)
    })
}

/// A duration as Envoy's bootstraps write it.
#[must_use]
pub fn seconds(duration: Duration) -> String {
    format!("{:.3}s", duration.as_secs_f64())
}

/// Writes a file so that whoever watches it sees all of it or nothing.
///
/// # Errors
/// If it cannot be written.
pub fn put(path: &Path, text: &str) -> Result<()> {
    let aside = path.with_extension("new");
    fs::write(&aside, text).with_context(|| aside.display().to_string())?;
    fs::rename(&aside, path).with_context(|| path.display().to_string())
}

/// Puts values in the place of `${NAME}`; a name without a value is an error.
fn fill(template: &str, values: &BTreeMap<&str, String>) -> Result<String> {
    let mut filled = String::with_capacity(template.len());
    let mut rest = template;
    while let Some((before, after)) = rest.split_once("${") {
        let (name, after) = after.split_once('}').context("a '${' without its '}'")?;
        let Some(value) = values.get(name) else {
            bail!("nothing to put in the place of ${{{name}}}");
        };
        filled.push_str(before);
        filled.push_str(value);
        rest = after;
    }
    filled.push_str(rest);
    Ok(filled)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fills_every_name_and_refuses_one_without_a_value() {
        let values = BTreeMap::from([("A", "1".to_owned())]);
        assert_eq!(fill("x ${A}, ${A} $y", &values).unwrap(), "x 1, 1 $y");
        let error = fill("${B}", &values).unwrap_err();
        assert!(error.to_string().contains("${B}"), "{error}");
    }

    #[test]
    fn an_edit_that_finds_nothing_is_an_error() {
        let edited = Edit::replace("b", "x").apply("a b c b").unwrap();
        assert_eq!(edited, "a x c x");
        let cut = Edit::between("b", "d", "").apply("a b c d e").unwrap();
        assert_eq!(cut, "a d e");
        for edit in [Edit::replace("z", ""), Edit::between("a", "z", "")] {
            assert!(edit.apply("a b").is_err(), "{edit:?}");
        }
    }

    #[test]
    fn a_role_gets_what_it_needs_and_no_more() {
        let list = "proxy_log\n# a comment\nproxy_close_stream tcp\nproxy_on_tick tcp inbound\n";
        assert!(granted(list, &["inbound"]).eq(["proxy_log", "proxy_on_tick"]));
        assert_eq!(granted(list, &["tcp"]).count(), 3);
    }
}
