//! `cargo xtask web`: `web/dist`, built only when something that it is made of changed.
//!
//! What was built from what is remembered as a hash in `web/node_modules`: who deletes that folder
//! deletes the stamps too, so a stamp cannot outlive what it speaks of.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use walkdir::WalkDir;

use crate::shell;

/// Parts of `web/` that the build reads; end-to-end tests and notes are not among them.
const NOT_BUILT_FROM: [&str; 4] = ["node_modules", "dist", "e2e", "README.md"];

const INSTALL_STAMP: &str = "node_modules/.pugmark-install";
const BUILD_STAMP: &str = "node_modules/.pugmark-build";

/// The command.
pub(crate) fn web(args: &[String]) -> Result<()> {
    match args {
        [] => build(false),
        [flag] if flag == "--force" => build(true),
        _ => bail!("usage: cargo xtask web [--force]"),
    }
}

/// Builds `web/dist` when it is older than its sources, or always when `force`d.
pub(crate) fn build(force: bool) -> Result<()> {
    let web = shell::root().join("web");
    let sources = hash_of_sources(&web)?;
    let built = web.join("dist/index.html").is_file();
    if !force && built && stamp_is(&web.join(BUILD_STAMP), &sources) {
        return Ok(());
    }
    install()?;
    shell::run(&mut shell::npm(&["run", "--silent", "build"]))?;
    write_stamp(&web.join(BUILD_STAMP), &sources)
}

/// Installs what package-lock.json says, when that changed since the last time.
///
/// Not by `npm ci`: it refuses a lock without the binaries of every other platform, and such a
/// lock is what npm writes where a registry does not carry them. `--no-save` reads the lock all
/// the same and leaves it as it is.
pub(crate) fn install() -> Result<()> {
    need_node()?;
    let web = shell::root().join("web");
    let lock = web.join("package-lock.json");
    let bytes = fs::read(&lock).with_context(|| format!("cannot read {}", lock.display()))?;
    let hash = format!("{:016x}", fnv(FNV_START, &bytes));
    if stamp_is(&web.join(INSTALL_STAMP), &hash) {
        return Ok(());
    }
    shell::run(&mut shell::npm(&["install", "--no-save", "--no-audit", "--no-fund"]))?;
    write_stamp(&web.join(INSTALL_STAMP), &hash)
}

/// Node 20 or later with npm: found, installed, or asked for.
fn need_node() -> Result<()> {
    const NODE_MAJOR_MIN: u32 = 20;
    if shell::node_major().is_none() || !shell::works("npm", &["--version"]) {
        shell::install(&["nodejs", "npm"], "the web app is built with Node 20 or later")?;
    }
    match shell::node_major() {
        Some(major) if major >= NODE_MAJOR_MIN => Ok(()),
        Some(major) => bail!(
            "Node {major} is too old to build the web app: install Node {NODE_MAJOR_MIN} or later"
        ),
        None => bail!("the web app is built with Node {NODE_MAJOR_MIN} or later: install it"),
    }
}

fn hash_of_sources(web: &Path) -> Result<String> {
    if !web.is_dir() {
        bail!("{} is missing: this is not a complete checkout", web.display());
    }
    let mut hash = FNV_START;
    let wanted = |entry: &walkdir::DirEntry| {
        entry.depth() != 1 || NOT_BUILT_FROM.iter().all(|name| entry.file_name() != *name)
    };
    for entry in WalkDir::new(web).sort_by_file_name().into_iter().filter_entry(wanted) {
        let entry = entry?;
        if entry.file_type().is_file() {
            hash = fnv(hash, entry.path().as_os_str().as_encoded_bytes());
            hash = fnv(hash, &fs::read(entry.path())?);
        }
    }
    Ok(format!("{hash:016x}"))
}

fn stamp_is(path: &Path, hash: &str) -> bool {
    fs::read_to_string(path).is_ok_and(|found| found.trim() == hash)
}

fn write_stamp(path: &Path, hash: &str) -> Result<()> {
    fs::write(path, hash).with_context(|| format!("cannot write {}", path.display()))
}

const FNV_START: u64 = 0xcbf2_9ce4_8422_2325;

/// FNV-1a: enough to notice a change, and nobody attacks their own build.
fn fnv(start: u64, bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(start, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_fnv_1a() {
        assert_eq!(fnv(FNV_START, b""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(fnv(FNV_START, b"a"), 0xaf63_dc4c_8601_ec8c);
    }
}
