//! `--name value` pairs; anything else is refused.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};

pub(crate) struct Args(BTreeMap<String, String>);

impl Args {
    /// Reads pairs whose names are among the `known`.
    pub(crate) fn parse(words: &[String], known: &[&str]) -> Result<Self> {
        let mut pairs = BTreeMap::new();
        for pair in words.chunks(2) {
            let name = pair[0].strip_prefix("--").unwrap_or_default();
            let [_, value] = pair else { bail!("{} wants a value", pair[0]) };
            if !known.contains(&name) {
                bail!("no option {}: there are --{}", pair[0], known.join(", --"));
            }
            pairs.insert(name.to_string(), value.clone());
        }
        Ok(Self(pairs))
    }

    pub(crate) fn text(&self, name: &str, default: &str) -> String {
        self.0.get(name).map_or_else(|| default.to_string(), Clone::clone)
    }

    pub(crate) fn number(&self, name: &str, default: u64) -> Result<u64> {
        match self.0.get(name) {
            Some(text) => text.parse().with_context(|| format!("--{name} {text}: not a number")),
            None => Ok(default),
        }
    }

    pub(crate) fn path(&self, name: &str) -> Result<PathBuf> {
        self.0.get(name).map(PathBuf::from).with_context(|| format!("--{name} is missing"))
    }
}
