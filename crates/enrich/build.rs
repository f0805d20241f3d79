//! Puts `data/geo.bin` into the crate, where `cargo xtask geo` wrote it; nothing where not.

// Cargo reads a build script's instructions from its standard output.
#![allow(clippy::print_stdout)]

use std::path::PathBuf;

fn main() -> std::io::Result<()> {
    let manifest = PathBuf::from(std::env::var("CARGO_MANIFEST_DIR").expect("cargo sets it"));
    let folder = manifest.join("data");
    // The folder, since a file that is not there would count as changed each time.
    println!("cargo::rerun-if-changed={}", folder.display());
    println!("cargo::rerun-if-env-changed=WORKSPACE_ROOT");
    let file = folder.join("geo.bin");
    let text = match file.is_file() {
        true => format!("include_bytes!({:?})", file.canonicalize()?.display().to_string()),
        false => "&[]".to_string(),
    };
    let out = PathBuf::from(std::env::var("OUT_DIR").expect("cargo sets it"));
    std::fs::write(out.join("geo.rs"), text)
}
