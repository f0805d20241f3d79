//! Where imported rules came from, and under which licence they may be used.
//!
//! `pugmark rules import` leaves a file `import.yaml` in the folder that it fills. It speaks for
//! every rule below that folder:
//!
//! ```yaml
//! source: sigma_core.zip
//! license: DRL 1.1
//! ```

use serde::Deserialize;

use crate::sigma::Fault;

/// Licences by folder.
#[derive(Debug, Default)]
pub(crate) struct Origins(Vec<(String, String)>);

#[derive(Deserialize)]
struct Text {
    #[serde(rename = "source")]
    _source: String,
    #[serde(default)]
    license: String,
}

impl Origins {
    /// True for the path of such a file.
    pub(crate) fn is_file(path: &str) -> bool {
        path.rsplit(['/', '\\']).next() == Some("import.yaml")
    }

    /// Adds what a file says.
    pub(crate) fn add(&mut self, path: &str, text: &str) -> Result<(), Fault> {
        let read: Text = yaml_serde::from_str(text).map_err(|error| {
            Fault::new(format!("this is no record of an import: {error}"))
                .hint("only `pugmark rules import` writes import.yaml; give a rule another name")
        })?;
        let folder = path.strip_suffix("import.yaml").unwrap_or(path);
        self.0.push((folder.to_string(), read.license));
        Ok(())
    }

    /// The licence of a rule file: what the nearest folder above it says, else nothing.
    pub(crate) fn license(&self, path: &str) -> &str {
        let above = self.0.iter().filter(|(folder, _)| path.starts_with(folder.as_str()));
        above.max_by_key(|(folder, _)| folder.len()).map_or("", |(_, license)| license)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_folder_says_the_licence() {
        let mut origins = Origins::default();
        origins.add("r/imported/a/import.yaml", "source: a.zip\nlicense: DRL 1.1\n").unwrap();
        origins.add("r/imported/a/b/import.yaml", "source: b\nlicense: MIT\n").unwrap();
        for (path, expected) in [
            ("r/imported/a/rules/x.yml", "DRL 1.1"),
            ("r/imported/a/b/x.yml", "MIT"),
            ("r/imported/ab/x.yml", ""),
            ("r/own.yaml", ""),
        ] {
            assert_eq!(origins.license(path), expected, "{path}");
        }
        assert!(origins.add("import.yaml", "title: a rule\n").is_err());
        assert!(Origins::is_file("a/import.yaml") && !Origins::is_file("a/my-import.yaml"));
    }
}
