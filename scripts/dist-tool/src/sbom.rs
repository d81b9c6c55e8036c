//! A software bill of materials for a program: CycloneDX 1.5, JSON.
//!
//! Every package that the compiler was given is a component; the scope says which are in the program (`required`) and which only had
//! a part in building it (`excluded`): procedural macros, build scripts, and what they need. C libraries (SQLite, jemalloc, AWS-LC)
//! are in the `-sys` packages that carry their sources.

use crate::{
    files, sums,
    tree::{ALL, INSIDE, Package, Tree},
    workspace,
};
use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

/// The version of the format.
pub const SPEC: &str = "1.5";

/// A program of ours: its package and its target, and those that it carries inside.
#[derive(Debug, Clone, Copy)]
pub struct Program<'a> {
    /// The package.
    pub package: &'a str,
    /// The target triple.
    pub target: &'a str,
    /// Programs for other targets that were compiled into it.
    pub carries: &'a [Program<'a>],
}

/// The component that signs, for its sandbox.
pub const SIGNER: Program<'_> = Program {
    package: "credence-signer",
    target: "wasm32-wasip2",
    carries: &[],
};
/// The filter for Envoy.
pub const FILTER: Program<'_> = Program {
    package: "credence-filter",
    target: "wasm32-wasip1",
    carries: &[],
};
/// The daemon; the signer is compiled into it.
pub const CREDENCE: Program<'_> = Program {
    package: "credence",
    target: "x86_64-unknown-linux-gnu",
    carries: &[SIGNER],
};

/// The whole document.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Bom {
    /// `CycloneDX`.
    pub bom_format: String,
    /// [`SPEC`].
    pub spec_version: String,
    /// A UUID, of the content.
    pub serial_number: String,
    /// 1.
    pub version: u32,
    /// What it is about.
    pub metadata: Metadata,
    /// What the program needs, without the program.
    pub components: Vec<Component>,
    /// Who needs whom.
    pub dependencies: Vec<Dependency>,
}

/// What a document is about.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Metadata {
    /// The commit's time.
    pub timestamp: String,
    /// What wrote it.
    pub tools: Tools,
    /// The program.
    pub component: Component,
}

/// What wrote a document.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tools {
    /// This tool.
    pub components: Vec<Tool>,
}

/// A tool.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tool {
    /// `application`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
}

/// A program or a package.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Component {
    /// `application` or `library`.
    #[serde(rename = "type")]
    pub kind: String,
    /// What the dependencies call it: its purl.
    #[serde(rename = "bom-ref")]
    pub bom_ref: String,
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// `required` or `excluded`; the program has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<String>,
    /// Of the program's file, or of the package's archive as Cargo.lock has it; ours have none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hashes: Vec<Hash>,
    /// Its licences.
    pub licenses: Vec<Licence>,
    /// Its package URL.
    pub purl: String,
}

/// A hash.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hash {
    /// `SHA-256`.
    pub alg: String,
    /// Hexadecimal digits.
    pub content: String,
}

/// Licences.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Licence {
    /// An SPDX expression.
    pub expression: String,
}

/// Who needs whom.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Dependency {
    /// Whose needs they are.
    #[serde(rename = "ref")]
    pub of: String,
    /// What it needs.
    pub depends_on: Vec<String>,
}

/// Writes down what a program is made of. `file` are its octets; `time` is the commit's, in seconds since 1970.
///
/// # Errors
/// If cargo cannot tell, or a package has no licence.
pub fn of(program: Program<'_>, file: &[u8], time: u64) -> Result<Vec<u8>> {
    let all = whole(program, ALL)?;
    let inside: BTreeSet<Package> = whole(program, INSIDE)?.packages.into_keys().collect();
    let locked = checksums()?;
    let mut components: Vec<Component> = all
        .packages
        .iter()
        .filter(|(package, _)| **package != all.root)
        .map(|(package, known)| Component {
            scope: Some(scope(inside.contains(package))),
            hashes: locked.get(package).map(sha256).into_iter().collect(),
            ..component("library", package, &known.licences)
        })
        .collect();
    components.push(standard_library()?);
    let root = &all.root;
    let licences = all.packages.get(root).map(|known| known.licences.as_str());
    let subject = Component {
        hashes: vec![sha256(&sums::sha256(file))],
        ..component("application", root, licences.unwrap_or_default())
    };
    let mut bom = Bom {
        bom_format: "CycloneDX".into(),
        spec_version: SPEC.into(),
        serial_number: String::new(),
        version: 1,
        metadata: Metadata {
            timestamp: timestamp(time)?,
            tools: Tools {
                components: vec![Tool {
                    kind: "application".into(),
                    name: "credence-dist".into(),
                    version: crate::VERSION.into(),
                }],
            },
            component: subject,
        },
        components,
        dependencies: dependencies(&all),
    };
    bom.serial_number = serial(&serde_json::to_vec(&bom)?);
    Ok([serde_json::to_vec_pretty(&bom)?, b"\n".to_vec()].concat())
}

/// A program with those that it carries.
///
/// # Errors
/// If cargo cannot tell.
pub fn whole(program: Program<'_>, edges: &str) -> Result<Tree> {
    let mut tree = Tree::of(program.package, program.target, edges)?;
    for carried in program.carries {
        tree.carry(whole(*carried, edges)?);
    }
    Ok(tree)
}

fn dependencies(all: &Tree) -> Vec<Dependency> {
    let needs = all.packages.iter().map(|(package, known)| Dependency {
        of: purl(package),
        depends_on: known.needs.iter().map(purl).collect(),
    });
    needs.collect()
}

fn component(kind: &str, package: &Package, licences: &str) -> Component {
    let purl = purl(package);
    Component {
        kind: kind.into(),
        bom_ref: purl.clone(),
        name: package.name.clone(),
        version: package.version.clone(),
        scope: None,
        hashes: vec![],
        licenses: vec![Licence {
            expression: licences.into(),
        }],
        purl,
    }
}

/// It is in every program, and no package of cargo's.
fn standard_library() -> Result<Component> {
    let pinned = files::read(&workspace()?.join("rust-toolchain.toml"))?;
    let pinned: toml::Table = toml::from_str(std::str::from_utf8(&pinned)?)?;
    let version = pinned.get("toolchain").and_then(|t| t.get("channel"));
    let version = version
        .and_then(toml::Value::as_str)
        .context("rust-toolchain.toml names no channel")?;
    let package = Package {
        name: "rust-std".into(),
        version: version.to_owned(),
    };
    let purl = format!("pkg:generic/rust-std@{version}");
    Ok(Component {
        bom_ref: purl.clone(),
        purl,
        scope: Some(scope(true)),
        ..component("library", &package, "MIT OR Apache-2.0")
    })
}

fn scope(inside: bool) -> String {
    if inside { "required" } else { "excluded" }.to_owned()
}

#[allow(clippy::ptr_arg, reason = "it is mapped over the values of a map")]
fn sha256(hex: &String) -> Hash {
    Hash {
        alg: "SHA-256".into(),
        content: hex.clone(),
    }
}

fn purl(package: &Package) -> String {
    let version = package.version.replace('+', "%2B");
    format!("pkg:cargo/{}@{version}", package.name)
}

fn checksums() -> Result<BTreeMap<Package, String>> {
    let lock = files::read(&workspace()?.join("Cargo.lock"))?;
    let lock: Lock = toml::from_str(std::str::from_utf8(&lock)?)?;
    let locked = lock.package.into_iter().filter_map(|locked| {
        let package = Package {
            name: locked.name,
            version: locked.version,
        };
        Some((package, locked.checksum?))
    });
    Ok(locked.collect())
}

#[derive(Deserialize)]
struct Lock {
    package: Vec<Locked>,
}

#[derive(Deserialize)]
struct Locked {
    name: String,
    version: String,
    checksum: Option<String>,
}

fn timestamp(time: u64) -> Result<String> {
    let time = OffsetDateTime::from_unix_timestamp(i64::try_from(time)?)?;
    Ok(time.format(&Rfc3339)?)
}

/// A UUID of version 8 (RFC 9562 §5.8): the content's hash in the place of chance.
fn serial(content: &[u8]) -> String {
    let hash = sums::sha256(content);
    let part = |from: usize, to: usize| hash.get(from..to).unwrap_or_default();
    format!(
        "urn:uuid:{}-{}-8{}-8{}-{}",
        part(0, 8),
        part(8, 12),
        part(12, 15),
        part(15, 18),
        part(18, 30)
    )
}

/// Reads a document and checks that it is whole: of the program `file`, nothing named twice, nothing needed that is not there.
///
/// # Errors
/// If anything of that does not hold.
pub fn check(document: &[u8], file: &[u8]) -> Result<Bom> {
    let bom: Bom = serde_json::from_slice(document)?;
    ensure!(
        bom.bom_format == "CycloneDX" && bom.spec_version == SPEC,
        "not CycloneDX {SPEC}"
    );
    let subject = &bom.metadata.component;
    let is_of_file = |hash: &Hash| hash.content == sums::sha256(file);
    ensure!(
        subject.hashes.iter().any(is_of_file),
        "it is about another {}",
        subject.name
    );
    let mut known = BTreeSet::new();
    for component in bom.components.iter().chain([subject]) {
        let named = known.insert(component.bom_ref.as_str());
        ensure!(named, "{} is named twice", component.bom_ref);
        let licensed = component.licenses.iter().all(|l| !l.expression.is_empty());
        ensure!(
            licensed && !component.licenses.is_empty(),
            "{} has no licence",
            component.bom_ref
        );
    }
    for dependency in &bom.dependencies {
        for name in dependency.depends_on.iter().chain([&dependency.of]) {
            ensure!(known.contains(name.as_str()), "{name} is no component");
        }
    }
    ensure!(bom.components.len() > 1, "it names nothing");
    Ok(bom)
}
