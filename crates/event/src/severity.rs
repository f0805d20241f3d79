//! Severity, as OCSF numbers it.

use serde::{Deserialize, Serialize};

/// OCSF `severity_id`. Sigma levels and syslog severities map onto it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[repr(u8)]
pub enum Severity {
    /// 1: nothing to do.
    Informational = 1,
    /// 2: worth a look when there is time.
    Low = 2,
    /// 3: look today.
    Medium = 3,
    /// 4: look now.
    High = 4,
    /// 5: act now.
    Critical = 5,
    /// 6: the system is gone.
    Fatal = 6,
}

/// No level word is longer, in bytes.
const LEVEL_BYTES_MAX: usize = 16;

impl Severity {
    /// The lower-case word.
    pub fn name(self) -> &'static str {
        match self {
            Severity::Informational => "informational",
            Severity::Low => "low",
            Severity::Medium => "medium",
            Severity::High => "high",
            Severity::Critical => "critical",
            Severity::Fatal => "fatal",
        }
    }

    /// Reads the words that rules use.
    pub fn from_name(name: &str) -> Option<Self> {
        Some(match name.to_ascii_lowercase().as_str() {
            "informational" | "info" => Severity::Informational,
            "low" => Severity::Low,
            "medium" => Severity::Medium,
            "high" => Severity::High,
            "critical" => Severity::Critical,
            "fatal" => Severity::Fatal,
            _ => return None,
        })
    }

    /// Maps a syslog severity (RFC 5424 section 6.2.1, 0 emergency to 7 debug).
    pub fn from_syslog(severity: u8) -> Self {
        match severity {
            0 => Severity::Fatal,
            1 | 2 => Severity::Critical,
            3 => Severity::High,
            4 => Severity::Medium,
            5 => Severity::Low,
            _ => Severity::Informational,
        }
    }

    /// Maps the level words that programs write; `None` for a word that is no level.
    pub fn from_log_level(level: &str) -> Option<Self> {
        let mut lower = [0; LEVEL_BYTES_MAX];
        let lower = lower.get_mut(..level.len())?;
        lower.copy_from_slice(level.as_bytes());
        lower.make_ascii_lowercase();
        Some(match &*lower {
            b"trace" | b"debug" | b"verbose" | b"info" | b"information" | b"informational"
            | b"inf" | b"dbg" | b"fine" | b"finer" | b"finest" => Severity::Informational,
            b"notice" => Severity::Low,
            b"warn" | b"warning" | b"wrn" => Severity::Medium,
            b"error" | b"err" | b"severe" => Severity::High,
            b"crit" | b"critical" | b"alert" => Severity::Critical,
            b"fatal" | b"ftl" | b"emerg" | b"emergency" | b"panic" => Severity::Fatal,
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_map_to_numbers() {
        for (word, expected) in
            [("WARN", Some(3)), ("Error", Some(4)), ("emerg", Some(6)), ("x", None)]
        {
            assert_eq!(Severity::from_log_level(word).map(|s| s as u8), expected, "{word}");
        }
        assert_eq!(Severity::from_name("high"), Some(Severity::High));
    }
}
