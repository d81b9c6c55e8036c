//! Where on its host a process runs: in which systemd unit, in which container, in which pod.

use std::fmt;
use thiserror::Error;

/// The longest name of a systemd unit, in octets (`UNIT_NAME_MAX` without its final NUL).
const LONGEST_UNIT: usize = 255;
/// The kinds of units that have processes, but for slices, which have units.
const KINDS: [&str; 5] = [".service", ".scope", ".socket", ".mount", ".swap"];

/// Where a process runs. What is none is not told: not in a unit, not in a container.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Place {
    /// The unit of the system's own systemd. For a container that has one, its scope.
    pub unit: Option<Unit>,
    /// The container that root's runtime made: of containers in containers the outermost.
    pub container: Option<ContainerId>,
    /// That container's Kubernetes pod.
    pub pod: Option<PodUid>,
}

/// A systemd unit's whole name, with its escapes: `nginx.service`, `app@1.service`, `session-3.scope`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Unit(String);

/// A container's whole ID, which is what docker, containerd, CRI-O and podman have alike: 256 bits as hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ContainerId([u8; 32]);

/// A pod's UID: a UUID; of static pods, which come from a file, 128 bits as hexadecimal digits without dashes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PodUid([u8; 16]);

/// Why a text names no place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum PlaceError {
    /// Not a unit with processes.
    #[error(
        "it is not the whole name of a systemd unit that has processes, such as 'nginx.service' or 'app@1.service'"
    )]
    Unit,
    /// A name for many units.
    #[error("it is a template; name an instance, such as 'app@1.service'")]
    Template,
    /// Not systemd's way to write an octet.
    #[error(
        "it has an escape that systemd does not write: '\\' begins '\\x' and two digits of 0-9a-f"
    )]
    Escape,
    /// Not a container's ID.
    #[error("it is not a container's whole ID, 64 hexadecimal digits")]
    Container,
    /// Not a pod's UID.
    #[error("it is not a pod's UID, such as '0b5b7b0e-8d4f-4f6e-9c9b-3d8e1c2a7f60'")]
    Pod,
}

impl Unit {
    /// Reads a unit's name. It is compared octet by octet: escapes stay as they are.
    ///
    /// # Errors
    /// If systemd has no such unit, or none with processes.
    pub fn new(name: &str) -> Result<Self, PlaceError> {
        let stem = KINDS.iter().find_map(|kind| name.strip_suffix(kind));
        let stem = stem.filter(|stem| !stem.is_empty() && !stem.starts_with('@'));
        let stem = stem.ok_or(PlaceError::Unit)?;
        check_name(name)?;
        match stem.ends_with('@') {
            true => Err(PlaceError::Template),
            false => Ok(Self(name.to_owned())),
        }
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The characters of unit names (systemd.unit(5)), and its escapes.
pub(super) fn check_name(name: &str) -> Result<(), PlaceError> {
    let usual = |octet: u8| octet.is_ascii_alphanumeric() || b":-_.\\@".contains(&octet);
    if name.len() > LONGEST_UNIT || !name.bytes().all(usual) {
        return Err(PlaceError::Unit);
    }
    let mut after = name.split('\\').skip(1);
    let digit = |octet: &u8| matches!(octet, b'0'..=b'9' | b'a'..=b'f');
    let written = |rest: &str| match rest.as_bytes() {
        [b'x', a, b, ..] => digit(a) && digit(b),
        _ => false,
    };
    match after.all(written) {
        true => Ok(()),
        false => Err(PlaceError::Escape),
    }
}

impl ContainerId {
    /// Reads 64 hexadecimal digits, in either case.
    ///
    /// # Errors
    /// If it is anything else: the short form of an ID is not enough.
    pub fn new(digits: &str) -> Result<Self, PlaceError> {
        octets(digits).map(Self).ok_or(PlaceError::Container)
    }
}

impl PodUid {
    /// Reads a UUID with dashes, or 32 hexadecimal digits without; in either case.
    ///
    /// # Errors
    /// If it is anything else.
    pub fn new(text: &str) -> Result<Self, PlaceError> {
        Self::read(text, '-').ok_or(PlaceError::Pod)
    }

    /// As it is written with this between its groups.
    pub(super) fn read(text: &str, between: char) -> Option<Self> {
        let groups: Vec<_> = text.split(between).take(6).collect();
        let lengths: Vec<_> = groups.iter().map(|group| group.len()).collect();
        match lengths[..] {
            [32] | [8, 4, 4, 4, 12] => octets(&groups.concat()).map(Self),
            _ => None,
        }
    }
}

/// Hexadecimal digits, in either case, two for each octet.
pub(super) fn octets<const N: usize>(digits: &str) -> Option<[u8; N]> {
    if digits.len() != 2 * N || !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return None;
    }
    let mut octets = [0; N];
    for (at, octet) in octets.iter_mut().enumerate() {
        *octet = u8::from_str_radix(digits.get(2 * at..2 * at + 2)?, 16).ok()?;
    }
    Some(octets)
}

fn hexadecimal(octets: &[u8], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    octets.iter().try_for_each(|octet| write!(f, "{octet:02x}"))
}

impl fmt::Display for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for ContainerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        hexadecimal(&self.0, f)
    }
}

impl fmt::Debug for ContainerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for PodUid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = &self.0[..];
        for (at, length) in [4, 2, 2, 2, 6].into_iter().enumerate() {
            let (group, later) = rest.split_at_checked(length).unwrap_or((rest, &[]));
            f.write_str(if at == 0 { "" } else { "-" })?;
            hexadecimal(group, f)?;
            rest = later;
        }
        Ok(())
    }
}

impl fmt::Debug for PodUid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unit_is_a_whole_name() {
        for name in [
            "nginx.service",
            "app@1.service",
            "app@a\\x2db.service",
            "session-3.scope",
            "user@1000.service",
            "a.b.service",
        ] {
            assert_eq!(Unit::new(name).unwrap().as_str(), name);
        }
        let long = |length| format!("{}.service", "a".repeat(length));
        for (name, why) in [
            ("", PlaceError::Unit),
            ("nginx", PlaceError::Unit),
            (".service", PlaceError::Unit),
            ("system.slice", PlaceError::Unit),
            ("nginx.timer", PlaceError::Unit),
            ("a/b.service", PlaceError::Unit),
            ("a b.service", PlaceError::Unit),
            ("é.service", PlaceError::Unit),
            ("@1.service", PlaceError::Unit),
            (&long(248), PlaceError::Unit),
            ("app@.service", PlaceError::Template),
            ("a\\x2D.service", PlaceError::Escape),
            ("a\\x2.service", PlaceError::Escape),
            ("a\\.service", PlaceError::Escape),
            ("a\\\\x2d.service", PlaceError::Escape),
        ] {
            assert_eq!(Unit::new(name), Err(why), "{name}");
        }
        assert!(Unit::new(&long(247)).is_ok());
    }

    #[test]
    fn a_container_s_id_is_whole_and_prints_as_runtimes_write_it() {
        let digits = "0aFF".repeat(16);
        let id = ContainerId::new(&digits).unwrap();
        assert_eq!(id.to_string(), digits.to_lowercase());
        for bad in [
            "",
            &"0a".repeat(31),
            "0aff0aff0aff",
            &format!("{digits}0"),
            &"é".repeat(32),
        ] {
            assert_eq!(ContainerId::new(bad), Err(PlaceError::Container), "{bad}");
        }
    }

    #[test]
    fn a_pod_s_uid_has_dashes_or_none() {
        let text = "0b5b7b0e-8d4f-4f6e-9c9b-3d8e1c2a7f60";
        let uid = PodUid::new(text).unwrap();
        assert_eq!(uid.to_string(), text);
        assert_eq!(PodUid::new(&text.to_uppercase()), Ok(uid));
        assert_eq!(PodUid::new(&text.replace('-', "")), Ok(uid));
        for bad in [
            "",
            text.strip_prefix('0').unwrap(),
            &text.replace('-', "_"),
            &text.replace("e-8", "-e8"),
            &format!("{text}-"),
        ] {
            assert_eq!(PodUid::new(bad), Err(PlaceError::Pod), "{bad}");
        }
    }
}
