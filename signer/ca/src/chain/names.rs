//! Distinguished names of somebody else's: shown to a person, and compared as name constraints need.

use crate::{
    der::{DerError, Reader, tag},
    oid,
};

/// As much of a name as a message shows, in characters.
const LONGEST_SHOWN: usize = 200;

/// PrintableString, IA5String
const PLAIN_STRINGS: [u8; 3] = [tag::UTF8_STRING, 0x13, 0x16];

/// A DER Name, for a message.
pub(super) fn show(name: &[u8]) -> String {
    let text = relative_names(name)
        .map(|names| {
            let shown: Vec<_> = names.iter().filter_map(|name| show_one(name)).collect();
            shown.join(", ")
        })
        .unwrap_or_else(|_| "a name that cannot be read".into());
    text.chars().take(LONGEST_SHOWN).collect()
}

fn show_one(relative: &[u8]) -> Option<String> {
    let (kind, value) = attribute(relative).ok()?;
    let kind = match oid::dotted(kind).as_str() {
        "2.5.4.3" => "CN".into(),
        "2.5.4.6" => "C".into(),
        "2.5.4.7" => "L".into(),
        "2.5.4.8" => "ST".into(),
        "2.5.4.10" => "O".into(),
        "2.5.4.11" => "OU".into(),
        other => other.to_owned(),
    };
    let text = String::from_utf8_lossy(value.1);
    Some(format!("{kind}={}", text.escape_debug()))
}

/// Whether a name lies in the subtree of another: begins with all of its relative names (RFC 5280 §7.1).
///
/// Strings are compared without regard to case, and to white space at their ends or repeated, if they are of the plain kinds; octet by octet otherwise.
pub(super) fn is_within(name: &[u8], subtree: &[u8]) -> Result<bool, DerError> {
    let (name, subtree) = (relative_names(name)?, relative_names(subtree)?);
    let begins = name.get(..subtree.len());
    Ok(begins.is_some_and(|begin| {
        begin
            .iter()
            .zip(&subtree)
            .all(|(one, other)| one == other || alike(one, other))
    }))
}

/// The contents of each RelativeDistinguishedName.
fn relative_names(name: &[u8]) -> Result<Vec<&[u8]>, DerError> {
    let mut list = Reader::new(crate::der::single(name, tag::SEQUENCE)?.value);
    let mut names = Vec::new();
    while !list.is_empty() {
        names.push(list.expect(tag::SET)?.value);
    }
    Ok(names)
}

type Attribute<'a> = (&'a [u8], (u8, &'a [u8]));

/// The one attribute of a relative name; one of several is compared as it stands.
fn attribute(relative: &[u8]) -> Result<Attribute<'_>, DerError> {
    let pair = crate::der::single(relative, tag::SEQUENCE)?;
    let mut fields = Reader::new(pair.value);
    let kind = fields.expect(tag::OID)?.value;
    let value = fields.any()?;
    fields.finish()?;
    Ok((kind, (value.tag, value.value)))
}

fn alike(one: &[u8], other: &[u8]) -> bool {
    let (Ok((kind, value)), Ok((other_kind, other_value))) = (attribute(one), attribute(other))
    else {
        return false;
    };
    let plain = |tag: u8| PLAIN_STRINGS.contains(&tag);
    kind == other_kind
        && plain(value.0)
        && plain(other_value.0)
        && folded(value.1).is_some_and(|text| Some(text) == folded(other_value.1))
}

fn folded(text: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(text).ok()?.to_lowercase();
    let words: Vec<_> = text.split_whitespace().collect();
    Some(words.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{der, name::DistinguishedName};

    fn name(organization: &str, common_name: &str) -> Vec<u8> {
        DistinguishedName {
            organization: organization.into(),
            common_name: common_name.into(),
        }
        .to_der()
    }

    #[test]
    fn a_name_is_shown_and_cut() {
        assert_eq!(show(&name("Corp", "a\nb")), "O=Corp, CN=a\\nb");
        assert_eq!(show(&name(&"x".repeat(500), "a")).len(), LONGEST_SHOWN);
        assert_eq!(show(&[1, 2, 3]), "a name that cannot be read");
    }

    #[test]
    fn a_subtree_is_the_beginning_of_a_name() {
        let whole = name("Corp  Ltd", "a");
        let first = |organization: &str| {
            let both = name(organization, "a");
            let mut names = Reader::new(der::single(&both, tag::SEQUENCE).unwrap().value);
            der::sequence(&[names.any().unwrap().raw])
        };
        for (subtree, within) in [
            (first("Corp  Ltd"), true),
            (first("corp ltd"), true),
            (first("Corp"), false),
            (name("Corp Ltd", "A"), true),
            (name("Corp Ltd", "b"), false),
            (crate::name::EMPTY.to_vec(), true),
        ] {
            assert_eq!(
                is_within(&whole, &subtree),
                Ok(within),
                "{}",
                show(&subtree)
            );
        }
        assert_eq!(is_within(&first("Corp Ltd"), &whole), Ok(false));
        assert!(is_within(&whole, &[1]).is_err());
    }
}
