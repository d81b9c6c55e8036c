//! What is in another process' memory.

use std::{
    fs::{self, File},
    os::unix::fs::FileExt,
};

use anyhow::{Context, Result, ensure};
use base64::{Engine, engine::general_purpose::STANDARD};
use memchr::memmem;

/// The most that is read of one mapping: what is longer is reserved, not used.
const LONGEST: usize = 256 << 20;

/// All that the process can write to, a mapping each, but for its first thread's stack: the cipher of
/// encrypted keys leaves blocks there that nobody wipes.
pub(crate) fn of(process: u32) -> Result<Vec<Vec<u8>>> {
    let maps = fs::read_to_string(format!("/proc/{process}/maps"))?;
    let memory = File::open(format!("/proc/{process}/mem"))
        .context("this test reads the memory of a child of its own, which has to be allowed")?;
    let writable = maps
        .lines()
        .filter(|line| line.contains(" rw") && !line.ends_with("[stack]"));
    let mut parts = Vec::new();
    for line in writable {
        let (start, end) = range(line).with_context(|| line.to_owned())?;
        let mut part = vec![0; usize::try_from(end - start)?.min(LONGEST)];
        // some special mappings cannot be read
        if memory.read_exact_at(&mut part, start).is_ok() {
            parts.push(part);
        }
    }
    Ok(parts)
}

fn range(line: &str) -> Option<(u64, u64)> {
    let (start, end) = line.split_once(' ')?.0.split_once('-')?;
    let number = |text| u64::from_str_radix(text, 16).ok();
    Some((number(start)?, number(end)?))
}

pub(crate) fn holds(memory: &[u8], needle: &[u8]) -> bool {
    memmem::find(memory, needle).is_some()
}

/// What would show that a copy of a key's file, PEM, was left behind: the full lines of its text with
/// something private in them, and the octets that they stand for.
pub(crate) fn needles(keys: &[String]) -> Result<Vec<(String, Vec<u8>)>> {
    let mut needles = Vec::new();
    for key in keys {
        let lines: Vec<&str> = key.lines().filter(|line| line.len() == 64).collect();
        // an RSA key's file begins with its modulus, which certificates have too
        let public = if lines.len() > 7 { 7 } else { 1 };
        for line in lines.iter().skip(public) {
            needles.push((format!("the line {line}"), line.as_bytes().to_vec()));
            needles.push((format!("the octets of {line}"), STANDARD.decode(line)?));
        }
    }
    ensure!(needles.len() >= 4, "nothing to look for");
    Ok(needles)
}
