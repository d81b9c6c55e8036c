//! `credence-playground-build FOLDER`: the page in `FOLDER/web`, the package in `FOLDER/node`.

use credence_playground_build::{BuildError, Built, node, web};
use std::{error::Error, path::Path, process::ExitCode};

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    let (Some(folder), None) = (arguments.next(), arguments.next()) else {
        eprintln!("usage: credence-playground-build FOLDER");
        return ExitCode::from(2);
    };
    match run(Path::new(&folder)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            if let Some(cause) = error.source() {
                eprintln!("  because: {cause}");
            }
            ExitCode::FAILURE
        }
    }
}

fn run(folder: &Path) -> Result<(), BuildError> {
    tell(&web(&folder.join("web"))?);
    tell(&node(&folder.join("node"))?);
    Ok(())
}

fn tell(built: &Built) {
    println!("{}", built.folder.display());
    for (name, size) in &built.files {
        println!("{size:>9}  {name}");
    }
}
