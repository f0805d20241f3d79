//! Settings: `pugmark.toml`, the environment above it, flags above both.
//!
//! [`DEFAULTS`] is the documentation, the file that `pugmark config --defaults` prints, and the
//! source of the default values at once, so they cannot drift apart.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::Context;
use serde::{Deserialize, Serialize};
use toml::{Table, Value};

use crate::error::CliError;

/// Every key with its default and what it does.
pub(crate) const DEFAULTS: &str = include_str!("pugmark.toml");
/// Environment variables that start like this are settings: `PUGMARK_SERVER_LISTEN`.
const PREFIX: &str = "PUGMARK_";
/// Variables that mean something else.
const NOT_SETTINGS: &[&str] = &["PUGMARK_CONFIG", "PUGMARK_LOG", "PUGMARK_URL"];

/// All settings.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settings {
    pub(crate) retention: Vec<RetentionClass>,
    pub(crate) data: Data,
    pub(crate) server: Server,
    pub(crate) syslog: Syslog,
    pub(crate) postgres: Postgres,
    pub(crate) rules: Rules,
    pub(crate) mask: Mask,
    pub(crate) fold: Fold,
    pub(crate) parsers: Parsers,
    pub(crate) transforms: Transforms,
    pub(crate) enrich: Enrich,
    pub(crate) store: Store,
    pub(crate) search: Search,
    pub(crate) log: Log,
}

/// One `[[retention]]` table.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RetentionClass {
    pub(crate) class: String,
    #[serde(default)]
    pub(crate) sources: Vec<String>,
    #[serde(default)]
    pub(crate) query: String,
    pub(crate) days_hot: Option<u32>,
    pub(crate) days_total: Option<u32>,
    #[serde(default)]
    pub(crate) hold: bool,
}

#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Data {
    pub(crate) dir: PathBuf,
}

#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Server {
    pub(crate) listen: SocketAddr,
    pub(crate) public_hosts: Vec<String>,
    pub(crate) secure_cookies: bool,
    pub(crate) export_rows_max: usize,
}

#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Syslog {
    pub(crate) udp: String,
    pub(crate) tcp: String,
    pub(crate) source: String,
}

#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Postgres {
    pub(crate) listen: String,
    pub(crate) connections_max: usize,
    pub(crate) statement_timeout_seconds: u64,
    pub(crate) rows_max: usize,
}

#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Rules {
    pub(crate) builtin: bool,
    pub(crate) dirs: Vec<PathBuf>,
    pub(crate) reload_interval_seconds: u64,
    pub(crate) checkpoint_interval_seconds: u64,
    pub(crate) noise_budget_alerts_per_day: u64,
    pub(crate) core_share_max_percent: f64,
    pub(crate) cost_window_seconds: u64,
}

#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Mask {
    pub(crate) file: PathBuf,
}

#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Fold {
    pub(crate) sources: Vec<String>,
    pub(crate) window_seconds: u64,
}

#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Parsers {
    pub(crate) dir: PathBuf,
}

#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Enrich {
    pub(crate) dir: PathBuf,
    pub(crate) geo: bool,
    pub(crate) ranges: bool,
    pub(crate) agents: bool,
    pub(crate) domains: bool,
    pub(crate) bindings_max: usize,
}

#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Transforms {
    pub(crate) dir: PathBuf,
}

#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Store {
    pub(crate) flush_interval_seconds: u64,
    pub(crate) memtable_bytes_max: usize,
    pub(crate) queue_bytes_max: usize,
    pub(crate) disk_free_bytes_min: u64,
    pub(crate) disk_free_bytes_low: u64,
    pub(crate) compaction: bool,
    pub(crate) manifest: String,
    pub(crate) cold: Cold,
}

#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Cold {
    pub(crate) url: String,
    pub(crate) endpoint: String,
    pub(crate) allow_http: bool,
    pub(crate) region: String,
    pub(crate) cache_bytes_max: u64,
    pub(crate) request_timeout_seconds: u64,
}

#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Search {
    pub(crate) memory_bytes_max: usize,
    pub(crate) query_memory_bytes_max: usize,
    pub(crate) time_seconds_max: u64,
    pub(crate) read_bytes_max: u64,
    pub(crate) rows_read_max: u64,
    pub(crate) queries_max: usize,
    pub(crate) queries_per_user_max: usize,
    pub(crate) waiting_max: usize,
    pub(crate) waiting_per_user_max: usize,
}

#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Log {
    pub(crate) level: String,
}

impl Settings {
    /// Reads the file and the environment. Without `file`, `pugmark.toml` in the current folder
    /// is read if it is there.
    pub(crate) fn load(file: Option<&Path>) -> Result<Settings, CliError> {
        let standard = Path::new("pugmark.toml");
        let file = file.or_else(|| standard.exists().then_some(standard));
        let text = match file {
            Some(path) => std::fs::read_to_string(path)
                .with_context(|| format!("cannot read settings from {}", path.display()))?,
            None => String::new(),
        };
        let place = file.map_or("pugmark.toml".to_string(), |p| p.display().to_string());
        Self::from_parts(&place, &text, std::env::vars())
    }

    fn from_parts(
        place: &str,
        text: &str,
        environment: impl Iterator<Item = (String, String)>,
    ) -> Result<Settings, CliError> {
        let mut merged = defaults();
        let given: Table = text
            .parse()
            .map_err(|error| CliError::usage(format!("cannot read {place}: {error}")))?;
        merge(&mut merged, given, place, "")?;
        for (name, value) in environment {
            if let Some(key) = name.strip_prefix(PREFIX)
                && !NOT_SETTINGS.contains(&name.as_str())
            {
                set_from_environment(&mut merged, &name, key, &value)?;
            }
        }
        Value::Table(merged)
            .try_into()
            .map_err(|error| CliError::usage(format!("a setting has the wrong form: {error}")))
    }

    /// An address of a syslog door; the empty text means that the door stays closed.
    pub(crate) fn syslog_address(text: &str) -> Result<Option<SocketAddr>, CliError> {
        if text.is_empty() {
            return Ok(None);
        }
        text.parse().map(Some).map_err(|_| {
            CliError::usage(format!("{text:?} is no address; write one such as 127.0.0.1:5514"))
        })
    }
}

fn defaults() -> Table {
    DEFAULTS.parse().expect("the defaults are TOML; a test reads them")
}

/// True when a value may stand where `known` does: it is of its type, or whole where that is a
/// number with a fraction.
fn fits(known: &Value, value: &Value) -> bool {
    known.type_str() == value.type_str() || (known.is_float() && value.is_integer())
}

fn as_number_of(known: &Value, value: Value) -> Value {
    match value {
        Value::Integer(whole) if known.is_float() => Value::Float(whole as f64),
        value => value,
    }
}

/// Lays `given` over `known`. A key that `known` lacks is refused with the nearest that it has.
fn merge(known: &mut Table, given: Table, place: &str, path: &str) -> Result<(), CliError> {
    for (key, value) in given {
        let full = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
        match (known.get_mut(&key), value) {
            (Some(Value::Table(inner)), Value::Table(value)) => merge(inner, value, place, &full)?,
            (Some(old), value) if fits(old, &value) => *old = as_number_of(old, value),
            (Some(old), value) => {
                return Err(CliError::usage(format!(
                    "{full} in {place} is a {}, but it must be a {}",
                    value.type_str(),
                    old.type_str()
                )));
            }
            (None, _) => return Err(unknown(&full, place, &keys(&defaults(), ""))),
        }
    }
    Ok(())
}

fn unknown(key: &str, place: &str, known: &[String]) -> CliError {
    let nearest = known
        .iter()
        .map(|k| (strsim::jaro_winkler(key, k), k))
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .filter(|(likeness, _)| *likeness > 0.75);
    let error = CliError::usage(format!("there is no setting {key} (in {place})"));
    match nearest {
        Some((_, k)) => error.hint(format!("did you mean {k}?")),
        None => error.hint("`pugmark config --defaults` lists every setting"),
    }
}

/// All keys with their sections: `server.listen`.
fn keys(table: &Table, path: &str) -> Vec<String> {
    let mut all = Vec::new();
    for (key, value) in table {
        let full = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
        match value {
            Value::Table(inner) => all.extend(keys(inner, &full)),
            _ => all.push(full),
        }
    }
    all
}

fn set_from_environment(
    settings: &mut Table,
    name: &str,
    key: &str,
    value: &str,
) -> Result<(), CliError> {
    let known = keys(settings, "");
    let Some(path) = known.iter().find(|k| k.replace('.', "_").eq_ignore_ascii_case(key)) else {
        return Err(unknown(&key.to_lowercase().replacen('_', ".", 1), name, &known));
    };
    let (sections, key) = path.rsplit_once('.').unwrap_or(("", path));
    let mut table = settings;
    for section in sections.split('.').filter(|section| !section.is_empty()) {
        let Some(Value::Table(inner)) = table.get_mut(section) else { return Ok(()) };
        table = inner;
    }
    if key == "retention" {
        return Err(CliError::usage(format!("{name}: retention classes are tables"))
            .hint("write [[retention]] into the settings file"));
    }
    let Some(slot) = table.get_mut(key) else { return Ok(()) };
    *slot = match &*slot {
        Value::String(_) => Value::String(value.to_string()),
        Value::Array(_) => {
            let parts = value.split(',').map(str::trim).filter(|v| !v.is_empty());
            Value::Array(parts.map(|v| Value::String(v.to_string())).collect())
        }
        other => {
            let read: Option<Value> = format!("v = {value}")
                .parse::<Table>()
                .ok()
                .and_then(|mut t| t.remove("v"))
                .filter(|v| fits(other, v))
                .map(|v| as_number_of(other, v));
            read.ok_or_else(|| {
                CliError::usage(format!(
                    "{name} is {value:?}, but it must be a {}",
                    other.type_str()
                ))
            })?
        }
    };
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, environment: &[(&str, &str)]) -> Result<Settings, String> {
        let environment = environment.iter().map(|(k, v)| (k.to_string(), v.to_string()));
        Settings::from_parts("pugmark.toml", text, environment).map_err(|e| format!("{e:?}"))
    }

    #[test]
    fn the_defaults_are_complete() {
        let settings = read("", &[]).unwrap();
        assert_eq!(settings.server.listen.port(), 7700);
        assert!(settings.server.listen.ip().is_loopback());
        // Every key of the type stands in the file, and the file has no other.
        let written = Table::try_from(&settings).unwrap();
        let (mut of_type, mut of_file) = (keys(&written, ""), keys(&defaults(), ""));
        of_type.sort();
        of_file.sort();
        assert_eq!(of_type, of_file);
    }

    #[test]
    fn the_environment_is_above_the_file() {
        let file = "[server]\nlisten = \"127.0.0.1:1\"\n[rules]\nbuiltin = false";
        let settings = read(file, &[("PUGMARK_SERVER_LISTEN", "127.0.0.1:2")]).unwrap();
        assert_eq!((settings.server.listen.port(), settings.rules.builtin), (2, false));
        let settings = read("", &[("PUGMARK_STORE_COLD_URL", "s3://logs/a")]).unwrap();
        assert_eq!(settings.store.cold.url, "s3://logs/a");
        let settings = read("[rules]\ncore_share_max_percent = 5", &[]).unwrap();
        assert_eq!(settings.rules.core_share_max_percent, 5.0);
        let settings = read("", &[("PUGMARK_RULES_CORE_SHARE_MAX_PERCENT", "0")]).unwrap();
        assert_eq!(settings.rules.core_share_max_percent, 0.0);
        let settings = read("", &[("PUGMARK_RULES_DIRS", "a, b")]).unwrap();
        assert_eq!(settings.rules.dirs, [PathBuf::from("a"), "b".into()]);
    }

    #[test]
    fn retention_classes_are_tables_in_order() {
        let text = "[[retention]]\nclass = \"audit\"\nsources = [\"auth*\"]\ndays_total = 400\n\
                    [[retention]]\nclass = \"default\"\ndays_hot = 7\ndays_total = 30";
        let settings = read(text, &[]).unwrap();
        let names: Vec<&str> = settings.retention.iter().map(|c| c.class.as_str()).collect();
        assert_eq!(names, ["audit", "default"]);
        assert_eq!(settings.retention[1].days_hot, Some(7));
        assert!(read("[[retention]]\nclas = \"a\"", &[]).unwrap_err().contains("unknown field"));
        assert!(read("", &[("PUGMARK_RETENTION", "a")]).unwrap_err().contains("are tables"));
    }

    #[test]
    fn mistakes_are_refused_with_a_hint() {
        for (text, environment, expected) in [
            ("[server]\nlisen = \"x\"", &[][..], "did you mean server.listen?"),
            ("sever = 1", &[], "no setting sever"),
            ("[server]\nlisten = 5", &[], "must be a string"),
            ("[server", &[], "cannot read pugmark.toml"),
            ("", &[("PUGMARK_SERVER_LISTN", "x")], "did you mean server.listen?"),
            ("", &[("PUGMARK_RULES_BUILTIN", "maybe")], "must be a boolean"),
            ("[server]\nlisten = \"nonsense\"", &[], "wrong form"),
        ] {
            let error = read(text, environment).unwrap_err();
            assert!(error.contains(expected), "{text:?}: {error}");
        }
    }
}
