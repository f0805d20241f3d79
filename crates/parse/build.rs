//! Lists the parser packs in `content/parsers`, so that adding a pack is adding a folder.

// Cargo reads a build script's instructions from its standard output.
#![allow(clippy::print_stdout)]

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

fn main() -> std::io::Result<()> {
    let manifest = PathBuf::from(std::env::var("CARGO_MANIFEST_DIR").expect("cargo sets it"));
    let root = manifest.join("../../content/parsers");
    println!("cargo::rerun-if-changed={}", root.display());
    println!("cargo::rerun-if-env-changed=WORKSPACE_ROOT");
    let mut packs = Vec::new();
    for vendor in folders(&root)? {
        println!("cargo::rerun-if-changed={}", vendor.display());
        for product in folders(&vendor)? {
            let file = product.join("parser.yaml");
            println!("cargo::rerun-if-changed={}", file.display());
            if file.is_file() {
                packs.push(file);
            }
        }
    }
    let mut list = String::from("&[\n");
    for file in &packs {
        let name = file.strip_prefix(&root).expect("it is below the root").display();
        let full = file.canonicalize()?;
        writeln!(list, "({:?}, include_str!({:?})),", name.to_string(), full.display().to_string())
            .expect("text takes every line");
    }
    list.push(']');
    let out = PathBuf::from(std::env::var("OUT_DIR").expect("cargo sets it"));
    std::fs::write(out.join("packs.rs"), list)
}

/// The folders in `root`, sorted, so that the list is the same on every machine.
fn folders(root: &Path) -> std::io::Result<Vec<PathBuf>> {
    let Ok(entries) = std::fs::read_dir(root) else { return Ok(Vec::new()) };
    let mut folders: Vec<PathBuf> = entries
        .map(|entry| entry.map(|e| e.path()))
        .collect::<std::io::Result<Vec<_>>>()?
        .into_iter()
        .filter(|path| path.is_dir())
        .collect();
    folders.sort();
    Ok(folders)
}
