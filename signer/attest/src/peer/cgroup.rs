//! Where a process runs, from its control groups: `/proc/PID/cgroup` (cgroups(7)), read as an attacker might have arranged it. Pure.
//!
//! Who has a part of the tree for himself (`Delegate=yes`, a user's own manager, a container) makes folders of any name in it. So a
//! path is believed only as far as root made it. systemd's slices come first, nested as it nests them; then comes the first unit,
//! and nothing after it counts. A container is where root's runtime puts one: a scope of systemd's in a slice that is not the
//! users', or a folder of the runtime's at the root of the tree. What is anywhere else, whatever it is called, is nothing.

use super::place::{ContainerId, Place, PodUid, Unit, check_name};
use thiserror::Error;

/// The longest file, in octets.
pub(super) const LONGEST: usize = 64 << 10;
/// How many hierarchies a kernel has at most, and some.
const MOST_LINES: usize = 64;
/// The longest path that the kernel writes (`PATH_MAX` without its final NUL).
const LONGEST_PATH: usize = 4095;
/// Where users' own processes are: root's runtimes put no container there.
const USERS: &str = "user.slice";
/// Where pods are, with systemd.
const PODS: &str = "kubepods.slice";
/// What scopes of containers are called, before the ID.
const SCOPES: [&str; 5] = ["docker-", "cri-containerd-", "crio-", "libpod-", "nerdctl-"];
/// The folders of runtimes that do without systemd, and what they put before the ID: docker, podman, and containerd's namespaces.
const FOLDERS: [(&str, &str); 4] = [
    ("docker", ""),
    ("libpod_parent", "libpod-"),
    ("default", ""),
    ("k8s.io", ""),
];

/// Why control groups do not tell where a process runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum CgroupError {
    /// Not what the kernel writes.
    #[error("they are not written as the kernel writes them")]
    Form,
    /// More than is looked at.
    #[error("they are too many, or a path is too long")]
    TooLong,
    /// Not from the root on.
    #[error("a path climbs: this process is in another cgroup namespace than it")]
    Climbs,
    /// This process sees a part of the tree only, and takes its root for the host's.
    #[error(
        "this process is in a cgroup namespace of its own, where whatever is at its root can have any name; run it in the host's"
    )]
    Namespace,
    /// The group was removed.
    #[error("the group was deleted")]
    Deleted,
    /// Characters or escapes that systemd does not write.
    #[error("a name has characters or escapes that systemd does not write")]
    Name,
    /// Slices that systemd did not make.
    #[error("slices are not nested as systemd nests them")]
    Slices,
    /// Two hierarchies, two places.
    #[error("hierarchies contradict each other")]
    Contradiction,
    /// A unit where systemd does not put it alone.
    #[error("a unit is told by a controller's hierarchy, and not by systemd's own")]
    Unvouched,
    /// It was moved.
    #[error("it was moved while it was looked at; ask again")]
    Moved,
}

/// Whose hierarchy it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Hierarchy {
    /// cgroup v2.
    Unified,
    /// `name=systemd` of v1.
    Systemd,
    /// A controller's of v1, or one that others named.
    Other,
}

impl Place {
    /// Reads `/proc/PID/cgroup`, as a process in the host's cgroup namespace sees it.
    ///
    /// Hierarchies that say nothing contradict nobody: systemd and runtimes leave out controllers that they do not need.
    ///
    /// # Errors
    /// If it cannot be read, or not be believed.
    pub fn parse(octets: &[u8]) -> Result<Self, CgroupError> {
        let text = std::str::from_utf8(octets).map_err(|_| CgroupError::Name)?;
        let text = text.strip_suffix('\n').ok_or(CgroupError::Form)?;
        if octets.len() > LONGEST || text.split('\n').count() > MOST_LINES {
            return Err(CgroupError::TooLong);
        }
        let (mut seen, mut told, mut vouched) = (Vec::new(), None::<Self>, false);
        for line in text.split('\n') {
            let (hierarchy, path) = split(line)?;
            if hierarchy != Hierarchy::Other && seen.contains(&hierarchy) {
                return Err(CgroupError::Form);
            }
            seen.push(hierarchy);
            let Some(place) = place(path)? else { continue };
            vouched |= hierarchy != Hierarchy::Other;
            if told.get_or_insert_with(|| place.clone()) != &place {
                return Err(CgroupError::Contradiction);
            }
        }
        let told = told.unwrap_or_default();
        match told.unit.is_some() && !vouched {
            true => Err(CgroupError::Unvouched),
            false => Ok(told),
        }
    }
}

/// `NUMBER:CONTROLLERS:PATH`; a path can have colons.
fn split(line: &str) -> Result<(Hierarchy, &str), CgroupError> {
    let mut parts = line.splitn(3, ':');
    let (Some(number), Some(controllers), Some(path)) = (parts.next(), parts.next(), parts.next())
    else {
        return Err(CgroupError::Form);
    };
    let number: u32 = number.parse().map_err(|_| CgroupError::Form)?;
    let hierarchy = match (number, controllers) {
        (0, "") => Hierarchy::Unified,
        (0, _) | (_, "") => return Err(CgroupError::Form),
        (_, "name=systemd") => Hierarchy::Systemd,
        (_, _) => Hierarchy::Other,
    };
    Ok((hierarchy, path))
}

/// What one path tells; nothing if it is neither systemd's nor a runtime's.
fn place(path: &str) -> Result<Option<Place>, CgroupError> {
    let mut names = names(path)?.into_iter();
    let mut slices: Vec<&str> = Vec::new();
    let head = loop {
        let Some(name) = names.next() else {
            return Ok(None);
        };
        let Some(stem) = name.strip_suffix(".slice") else {
            break name;
        };
        check_name(name).map_err(|_| CgroupError::Name)?;
        if !is_nested(stem, slices.last().copied().unwrap_or(".slice")) {
            return Err(CgroupError::Slices);
        }
        slices.push(name);
    };
    if let Some(unit) = unit(head)? {
        return Ok(Some(in_unit(unit, &slices)));
    }
    let rest: Vec<_> = names.take(3).collect();
    Ok(match slices.is_empty() {
        true => in_folder(head, &rest),
        false => None,
    })
}

/// `a-b` is in `a.slice`, and `a` in none.
fn is_nested(stem: &str, parent: &str) -> bool {
    let above = stem.rsplit_once('-').map_or("", |(above, _)| above);
    parent.strip_suffix(".slice") == Some(above) && !stem.split('-').any(str::is_empty)
}

/// The path's names, from the root on.
fn names(path: &str) -> Result<Vec<&str>, CgroupError> {
    let relative = path.strip_prefix('/').ok_or(CgroupError::Form)?;
    if path.len() > LONGEST_PATH {
        return Err(CgroupError::TooLong);
    }
    if relative.is_empty() {
        return Ok(Vec::new());
    }
    let names: Vec<_> = relative.split('/').collect();
    if names.contains(&"..") {
        return Err(CgroupError::Climbs);
    }
    if path.ends_with(" (deleted)") {
        return Err(CgroupError::Deleted);
    }
    if path.contains(char::is_control) {
        return Err(CgroupError::Name);
    }
    if names.contains(&"") || names.contains(&".") {
        return Err(CgroupError::Form);
    }
    Ok(names)
}

/// A unit with processes. systemd puts `_` before names that the kernel has files for; such a unit is told to nobody.
fn unit(name: &str) -> Result<Option<Unit>, CgroupError> {
    match Unit::new(name) {
        Ok(_) if name.starts_with(['_', '.']) => Err(CgroupError::Name),
        Ok(unit) => Ok(Some(unit)),
        Err(_)
            if [".service", ".scope"]
                .iter()
                .any(|kind| name.ends_with(kind)) =>
        {
            Err(CgroupError::Name)
        }
        Err(_) => Ok(None),
    }
}

/// In a unit of systemd's, which is a container's where it is called like one.
fn in_unit(unit: Unit, slices: &[&str]) -> Place {
    let container = match slices.first() {
        None | Some(&USERS) => None,
        Some(_) => scope(unit.as_str()),
    };
    let pod = match slices {
        [PODS, .., last] if container.is_some() => pod_slice(last),
        _ => None,
    };
    Place {
        unit: Some(unit),
        container,
        pod,
    }
}

fn scope(unit: &str) -> Option<ContainerId> {
    let name = unit.strip_suffix(".scope")?;
    let mut ids = SCOPES
        .iter()
        .filter_map(|runtime| name.strip_prefix(runtime));
    ids.find_map(id)
}

/// `kubepods-podUID.slice`, `kubepods-burstable-podUID.slice`: systemd's slices are nested by dashes, so that a UID's become `_`.
fn pod_slice(slice: &str) -> Option<PodUid> {
    let name = slice.strip_suffix(".slice")?;
    let (_, uid) = name.rsplit_once("-pod")?;
    PodUid::read(uid, '_')
}

/// In a runtime's folder at the tree's root.
fn in_folder(head: &str, rest: &[&str]) -> Option<Place> {
    let (container, pod) = match (head, rest) {
        ("kubepods", ["besteffort" | "burstable", pod, name, ..] | [pod, name, ..]) => {
            let uid = pod.strip_prefix("pod")?;
            let digits = name.strip_prefix("crio-").unwrap_or(name);
            (id(digits)?, Some(PodUid::read(uid, '-')?))
        }
        (_, [name, ..]) => {
            let (_, before) = FOLDERS.iter().find(|(folder, _)| *folder == head)?;
            (id(name.strip_prefix(before)?)?, None)
        }
        (_, []) => return None,
    };
    Some(Place {
        unit: None,
        container: Some(container),
        pod,
    })
}

/// As runtimes write it: in small letters.
fn id(digits: &str) -> Option<ContainerId> {
    let id = ContainerId::new(digits).ok()?;
    (!digits.contains(char::is_uppercase)).then_some(id)
}

#[cfg(test)]
#[path = "cgroup_tests.rs"]
mod tests;
