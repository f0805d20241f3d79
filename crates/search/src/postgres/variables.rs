//! What a session may set and show: settings that clients send as a matter of course.
//!
//! Two of them do something: `statement_timeout` and `application_name`. The others are kept and
//! shown, or have the one value that is true here: times are always in UTC, text is always UTF-8.

use std::collections::BTreeMap;
use std::time::Duration;

use super::fault::{BAD_VALUE, Fault, NO_VARIABLE};

/// The version of PostgreSQL whose catalog and types these are.
pub(super) const SERVER_VERSION: &str = concat!("15.0 (Pugmark ", env!("CARGO_PKG_VERSION"), ")");
/// Longest value.
const VALUE_BYTES_MAX: usize = 1024;

/// Whether a client may change a setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rule {
    /// It may, and nothing but what is shown changes.
    Kept,
    /// It may say so, and the value stays.
    Fixed,
    /// It may not.
    Refused,
}

const KNOWN: &[(&str, &str, Rule)] = &[
    ("application_name", "", Rule::Kept),
    ("bytea_output", "hex", Rule::Fixed),
    ("client_encoding", "UTF8", Rule::Fixed),
    ("client_min_messages", "notice", Rule::Kept),
    ("datestyle", "ISO, MDY", Rule::Fixed),
    ("default_transaction_isolation", "read committed", Rule::Kept),
    ("default_transaction_read_only", "on", Rule::Fixed),
    ("extra_float_digits", "1", Rule::Kept),
    ("geqo", "on", Rule::Kept),
    ("idle_in_transaction_session_timeout", "0", Rule::Kept),
    ("idle_session_timeout", "0", Rule::Kept),
    ("in_hot_standby", "off", Rule::Refused),
    ("integer_datetimes", "on", Rule::Refused),
    ("intervalstyle", "postgres", Rule::Fixed),
    ("is_superuser", "off", Rule::Refused),
    ("jit", "off", Rule::Kept),
    ("lc_collate", "C", Rule::Refused),
    ("lc_ctype", "C", Rule::Refused),
    ("lc_messages", "C", Rule::Kept),
    ("lc_monetary", "C", Rule::Kept),
    ("lc_numeric", "C", Rule::Kept),
    ("lc_time", "C", Rule::Kept),
    ("lock_timeout", "0", Rule::Kept),
    ("max_identifier_length", "63", Rule::Refused),
    ("max_index_keys", "32", Rule::Refused),
    ("row_security", "on", Rule::Kept),
    ("search_path", "public", Rule::Kept),
    ("server_encoding", "UTF8", Rule::Refused),
    ("server_version", SERVER_VERSION, Rule::Refused),
    ("server_version_num", "150000", Rule::Refused),
    ("standard_conforming_strings", "on", Rule::Fixed),
    ("statement_timeout", "0", Rule::Kept),
    ("synchronize_seqscans", "on", Rule::Kept),
    ("timezone", "UTC", Rule::Fixed),
    ("transaction_isolation", "read committed", Rule::Kept),
    ("transaction_read_only", "on", Rule::Fixed),
    ("work_mem", "4MB", Rule::Kept),
];

/// The settings that a client is told when it connects, as PostgreSQL spells them.
pub(super) const REPORTED: [&str; 11] = [
    "application_name",
    "client_encoding",
    "DateStyle",
    "default_transaction_read_only",
    "in_hot_standby",
    "integer_datetimes",
    "IntervalStyle",
    "is_superuser",
    "server_encoding",
    "server_version",
    "standard_conforming_strings",
];

/// The settings of one session.
#[derive(Debug, Clone, Default)]
pub(super) struct Variables {
    changed: BTreeMap<&'static str, String>,
}

impl Variables {
    /// The value of a setting.
    pub(super) fn get(&self, name: &str) -> Result<String, Fault> {
        let (name, default, _) = known(name)?;
        Ok(self.changed.get(name).cloned().unwrap_or_else(|| default.to_string()))
    }

    /// Sets it; `None` is its default. A warning when the value stays another one.
    pub(super) fn set(&mut self, name: &str, value: Option<&str>) -> Result<Option<Fault>, Fault> {
        let (name, default, rule) = known(name)?;
        let Some(value) = value else {
            self.changed.remove(name);
            return Ok(None);
        };
        match rule {
            Rule::Refused => {
                Err(Fault::new(BAD_VALUE, format!("the setting {name} cannot be changed")))
            }
            Rule::Fixed if is_same(name, value, default) => Ok(None),
            Rule::Fixed if name == "client_encoding" => {
                Err(Fault::new(BAD_VALUE, "text is always UTF-8 here")
                    .hint("set client_encoding to UTF8"))
            }
            Rule::Fixed => {
                let text = format!("the setting {name} stays {default:?}, the only value here");
                Ok(Some(Fault::new("01000", text)))
            }
            Rule::Kept if value.len() > VALUE_BYTES_MAX => {
                let text = format!("a setting has at most {VALUE_BYTES_MAX} bytes");
                Err(Fault::new(BAD_VALUE, text))
            }
            Rule::Kept => {
                if name == "statement_timeout" {
                    timeout(value)?;
                }
                self.changed.insert(name, value.to_string());
                Ok(None)
            }
        }
    }

    /// All back to what they were.
    pub(super) fn reset(&mut self) {
        self.changed.clear();
    }

    /// Every setting with its value.
    pub(super) fn all(&self) -> impl Iterator<Item = (&'static str, String)> {
        KNOWN.iter().map(|(name, default, _)| {
            (*name, self.changed.get(name).cloned().unwrap_or_else(|| (*default).to_string()))
        })
    }

    /// How long a statement may take: what the session wants, at most `longest`.
    pub(super) fn statement_timeout(&self, longest: Duration) -> Duration {
        let wanted = self.changed.get("statement_timeout").and_then(|text| timeout(text).ok());
        wanted.filter(|wanted| !wanted.is_zero()).map_or(longest, |wanted| wanted.min(longest))
    }
}

/// True for another way to write the one value of a setting.
fn is_same(name: &str, value: &str, fixed: &str) -> bool {
    let value = value.trim().to_ascii_lowercase();
    match name {
        // Who takes text as it comes takes UTF-8: so says psql where there is no locale.
        "client_encoding" => {
            matches!(value.as_str(), "utf8" | "utf-8" | "unicode" | "sql_ascii")
        }
        "datestyle" => value.split(',').next() == Some("iso"),
        "timezone" => matches!(value.as_str(), "utc" | "etc/utc" | "gmt"),
        _ if fixed == "on" => matches!(value.as_str(), "on" | "true" | "yes" | "1" | "t"),
        _ => value == fixed,
    }
}

fn known(name: &str) -> Result<(&'static str, &'static str, Rule), Fault> {
    let lower = name.to_ascii_lowercase();
    let lower = match lower.as_str() {
        "time zone" => "timezone",
        "names" => "client_encoding",
        "transaction isolation level" => "transaction_isolation",
        name => name,
    };
    let found = KNOWN.iter().find(|(known, ..)| *known == lower).copied();
    found.ok_or_else(|| {
        let name: String = name.chars().take(60).collect();
        Fault::new(NO_VARIABLE, format!("there is no setting {name:?}"))
    })
}

/// Milliseconds, or a number with a unit: `5s`.
fn timeout(text: &str) -> Result<Duration, Fault> {
    let text = text.trim();
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let factor = match text[end..].trim() {
        "" | "ms" => 1,
        "s" => 1000,
        "min" => 60_000,
        "h" => 3_600_000,
        _ => 0,
    };
    match text[..end].parse::<u64>() {
        Ok(number) if factor > 0 => Ok(Duration::from_millis(number.saturating_mul(factor))),
        _ => {
            let text: String = text.chars().take(40).collect();
            Err(Fault::new(BAD_VALUE, format!("{text:?} is no time for statement_timeout"))
                .hint("write milliseconds, or a number with ms, s, min or h"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(name: &str, value: &str, expected: Result<&str, &str>) {
        let mut variables = Variables::default();
        let set = variables.set(name, Some(value)).map_err(|fault| fault.code);
        let got = set.map(|_| variables.get(name).unwrap());
        assert_eq!(got.as_deref(), expected.as_ref().copied(), "{name}");
    }

    #[test]
    fn settings_are_kept_fixed_or_refused() {
        check("application_name", "psql", Ok("psql"));
        check("APPLICATION_NAME", "psql", Ok("psql"));
        check("TimeZone", "Europe/Berlin", Ok("UTC"));
        check("statement_timeout", "5s", Ok("5s"));
        check("statement_timeout", "soon", Err(BAD_VALUE));
        check("server_version", "9", Err(BAD_VALUE));
        check("shared_buffers", "1", Err(NO_VARIABLE));
        check("application_name", &"x".repeat(2000), Err(BAD_VALUE));
    }

    #[test]
    fn who_sets_what_is_fixed_is_told_so() {
        let mut variables = Variables::default();
        for (name, value, expected) in [
            ("client_encoding", "UNICODE", Ok(false)),
            ("client_encoding", "LATIN1", Err(BAD_VALUE)),
            ("DateStyle", "ISO", Ok(false)),
            ("DateStyle", "German", Ok(true)),
            ("timezone", "Etc/UTC", Ok(false)),
            ("timezone", "Asia/Tokyo", Ok(true)),
            ("bytea_output", "escape", Ok(true)),
            ("default_transaction_read_only", "true", Ok(false)),
            ("default_transaction_read_only", "off", Ok(true)),
            ("standard_conforming_strings", "off", Ok(true)),
            ("application_name", "x", Ok(false)),
        ] {
            let set = variables.set(name, Some(value)).map_err(|fault| fault.code);
            assert_eq!(set.map(|warning| warning.is_some()), expected, "{name} {value}");
        }
    }

    #[test]
    fn a_session_can_shorten_the_time_of_its_statements_only() {
        let longest = Duration::from_secs(60);
        for (text, seconds) in [("0", 60), ("5s", 5), ("2000", 2), ("2h", 60), ("1min", 60)] {
            let mut variables = Variables::default();
            variables.set("statement_timeout", Some(text)).unwrap();
            let timeout = variables.statement_timeout(longest);
            assert_eq!(timeout, Duration::from_secs(seconds), "{text}");
        }
    }
}
