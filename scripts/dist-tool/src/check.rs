//! Whether a release folder is whole.

use crate::{
    VERSION, files,
    layout::Layout,
    oci::ARTIFACT,
    release::{self, BINARY, COMPLETIONS, COPIED, FILTER, LAYOUT, PAGES, SBOMS},
    sbom, sums,
};
use anyhow::{Context, Result, ensure};
use std::{env, fs, path::Path, process};

/// Checks everything that can be known of a release folder without the sources: sums, the layout's digests and modules, bills of
/// materials, and that completions and man pages are what this very binary says. Gives what was found, in lines.
///
/// # Errors
/// The first thing that does not hold.
pub fn folder(folder: &Path) -> Result<Vec<String>> {
    let named = sums::check(folder)?;
    sums::check(&folder.join("wasm")).context("wasm")?;
    for (_, file) in COPIED {
        files::read(&folder.join(file))?;
    }
    let version = release::version(folder)?;
    ensure!(
        version.trim() == format!("credence {VERSION}"),
        "the binary is {version}"
    );
    Ok(vec![
        format!("{named} files are what SHA256SUMS says"),
        format!("bin/credence is {}", version.trim()),
        layout(folder)?,
        boms(folder)?,
        words(folder)?,
    ])
}

fn layout(folder: &Path) -> Result<String> {
    let layout = Layout::read(&folder.join(LAYOUT)).context(LAYOUT)?;
    let filter = files::read(&folder.join(FILTER))?;
    for tag in [VERSION.to_owned(), format!("{VERSION}{ARTIFACT}")] {
        let module = layout.modules.get(&tag);
        let module = module.with_context(|| format!("{LAYOUT} has no image {tag}"))?;
        ensure!(*module == filter, "{LAYOUT}: {tag} has another filter");
    }
    let tags: Vec<_> = layout.modules.keys().cloned().collect();
    Ok(format!(
        "{LAYOUT} is whole; {} have the filter",
        tags.join(" and ")
    ))
}

fn boms(folder: &Path) -> Result<String> {
    let mut told = Vec::new();
    for (file, program, what) in SBOMS {
        let document = files::read(&folder.join(file))?;
        let program = files::read(&folder.join(program))?;
        let bom = sbom::check(&document, &program).context(file)?;
        ensure!(
            bom.metadata.component.name == what.package,
            "{file} is about {}",
            bom.metadata.component.name
        );
        told.push(format!("{} of {}", bom.components.len(), what.package));
    }
    Ok(format!("bills of materials: {}", told.join(", ")))
}

fn words(folder: &Path) -> Result<String> {
    for (shell, file) in COMPLETIONS {
        let there = files::read(&folder.join(file))?;
        ensure!(
            there == release::completions(folder, shell)?,
            "{file} is not what {BINARY} prints"
        );
    }
    let scratch = env::temp_dir().join(format!("credence-pages-{}", process::id()));
    let same = pages(folder, &scratch);
    drop(fs::remove_dir_all(&scratch));
    Ok(format!("completions, and {} man pages", same?))
}

fn pages(folder: &Path, scratch: &Path) -> Result<usize> {
    release::pages(folder, scratch)?;
    let names = files::below(scratch)?;
    ensure!(
        names == files::below(&folder.join(PAGES))?,
        "{PAGES} has other pages than {BINARY} writes"
    );
    for name in &names {
        ensure!(
            files::read(&scratch.join(name))? == files::read(&folder.join(PAGES).join(name))?,
            "{} is another page than {BINARY} writes",
            name.display()
        );
    }
    Ok(names.len())
}
