//! What a program is made of, by `cargo tree`: the very packages and features of this program, which `cargo metadata` does not tell
//! apart from those of the rest of the workspace.

use crate::workspace;
use anyhow::{Context, Result, ensure};
use std::{
    collections::{BTreeMap, BTreeSet},
    env,
    ffi::OsString,
    process::Command,
};

/// Everything that the compiler is given, procedural macros and build scripts with theirs.
pub const ALL: &str = "normal,build";
/// What is in the program itself.
pub const INSIDE: &str = "normal,no-proc-macro";

/// A package, by name and version.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Package {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
}

/// What is known of a package.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Known {
    /// Its licences, an SPDX expression.
    pub licences: String,
    /// What it needs.
    pub needs: BTreeSet<Package>,
}

/// A program, and all that it needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tree {
    /// The program.
    pub root: Package,
    /// All of it, the program too.
    pub packages: BTreeMap<Package, Known>,
}

impl Tree {
    /// Asks cargo. `edges` is [`ALL`] or [`INSIDE`].
    ///
    /// # Errors
    /// If cargo cannot tell.
    pub fn of(package: &str, target: &str, edges: &str) -> Result<Self> {
        let cargo = env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"));
        let output = Command::new(cargo)
            .current_dir(workspace()?)
            .args(["tree", "--locked", "--quiet", "--package", package])
            .args(["--target", target, "--edges", edges])
            .args(["--prefix", "depth", "--format", "|{p}|{l}|"])
            .output()
            .context("cargo could not be started")?;
        ensure!(
            output.status.success(),
            "cargo tree of {package}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        Self::parse(&String::from_utf8(output.stdout)?)
    }

    /// Reads lines of `DEPTH|NAME vVERSION …|LICENCES|`.
    fn parse(text: &str) -> Result<Self> {
        let mut packages: BTreeMap<Package, Known> = BTreeMap::new();
        let mut above: Vec<Package> = Vec::new();
        for line in text.lines() {
            let (depth, package, licences) =
                parse_line(line).with_context(|| format!("cargo tree says: {line}"))?;
            above.truncate(depth);
            ensure!(above.len() == depth, "cargo tree leaves a step out: {line}");
            if let Some(parent) = above.last().and_then(|parent| packages.get_mut(parent)) {
                parent.needs.insert(package.clone());
            }
            packages.entry(package.clone()).or_default().licences = licences;
            above.push(package);
        }
        let root = above
            .into_iter()
            .next()
            .context("cargo tree says nothing")?;
        Ok(Self { root, packages })
    }

    /// Takes in another program that is carried inside this one.
    pub fn carry(&mut self, other: Self) {
        for (package, known) in other.packages {
            let here = self.packages.entry(package).or_default();
            here.licences = known.licences;
            here.needs.extend(known.needs);
        }
        if let Some(root) = self.packages.get_mut(&self.root) {
            root.needs.insert(other.root);
        }
    }
}

fn parse_line(line: &str) -> Option<(usize, Package, String)> {
    let mut parts = line.split('|');
    let depth = parts.next()?.parse().ok()?;
    let mut words = parts.next()?.split(' ');
    let package = Package {
        name: words.next()?.to_owned(),
        version: words.next()?.strip_prefix('v')?.to_owned(),
    };
    let licences = parts.next()?;
    // crates of before SPDX expressions wrote a slash
    let licences = licences.replace(" / ", " OR ").replace('/', " OR ");
    (!licences.is_empty()).then_some((depth, package, licences))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(name: &str, version: &str) -> Package {
        Package {
            name: name.into(),
            version: version.into(),
        }
    }

    #[test]
    fn depth_says_who_needs_whom() {
        let tree = Tree::parse(
            "0|a v1.0.0 (/x/a)|MIT|\n1|b v2.0.0|MIT/Apache-2.0|\n2|c v3.0.0 (proc-macro)|ISC|\n1|c v3.0.0 (proc-macro)|ISC| (*)\n",
        )
        .unwrap();
        assert_eq!(tree.root, package("a", "1.0.0"));
        let b = &tree.packages[&package("b", "2.0.0")];
        assert_eq!(b.licences, "MIT OR Apache-2.0");
        assert_eq!(b.needs, [package("c", "3.0.0")].into());
        assert_eq!(tree.packages[&tree.root].needs.len(), 2);
    }

    #[test]
    fn what_is_not_understood_stops_it() {
        for text in [
            "",
            "0|a|MIT|",
            "0|a v1||",
            "a v1",
            "1|a v1|MIT|",
            "0|a v1|MIT|\n2|b v1|MIT|",
        ] {
            assert!(Tree::parse(text).is_err(), "{text:?}");
        }
    }
}
