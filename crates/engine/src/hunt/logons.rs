//! Who logged on where, from where and how: of Windows' own events and of everything else that the
//! parsers call authentication.

use arrow::array::{Array, Int64Array, StringArray};
use pugmark_event::fields;
use pugmark_event::time::Micros;
use pugmark_event::{Batch, FieldId};

use super::summary::{Span, text, user};

/// Whose logons are counted together.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Logon {
    /// Who logged on, with the domain where there is one.
    pub user: String,
    /// The machine logged on to.
    pub host: String,
    /// Address, or else name, of the machine that the logon came from; empty for a local one.
    pub source: String,
    /// How: `network (3)` for Windows' logon types, else the action, such as `ssh_login`.
    pub kind: String,
}

/// How often, and how it went.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LogonCounts {
    /// Logons that succeeded.
    pub successes: u64,
    /// Logons that failed.
    pub failures: u64,
    /// Uses of other credentials than one's own (Windows 4648), and whatever says no outcome.
    pub attempts: u64,
    /// Logons that were given special privileges (Windows 4672).
    pub privileged: u64,
    /// When.
    pub span: Span,
}

impl LogonCounts {
    /// Takes in what others counted.
    pub fn add(&mut self, other: &LogonCounts) {
        self.successes += other.successes;
        self.failures += other.failures;
        self.attempts += other.attempts;
        self.privileged += other.privileged;
        self.span.add(&other.span);
    }
}

/// The columns of a batch that logons are in.
pub(super) struct Columns<'a> {
    category: &'a StringArray,
    action: Option<&'a StringArray>,
    outcome: Option<&'a StringArray>,
    code: Option<&'a StringArray>,
    product: Option<&'a StringArray>,
    user: [Option<&'a StringArray>; 2],
    target: [Option<&'a StringArray>; 2],
    host: Option<&'a StringArray>,
    source_ip: Option<&'a StringArray>,
    source_host: Option<&'a StringArray>,
    logon_type: Option<&'a Int64Array>,
}

impl<'a> Columns<'a> {
    /// `None` when no event of the batch has a category.
    pub(super) fn of(batch: &'a Batch) -> Option<Self> {
        let column = |field: FieldId| batch.text(field);
        Some(Self {
            category: column(fields::EVENT_CATEGORY)?,
            action: column(fields::EVENT_ACTION),
            outcome: column(fields::EVENT_OUTCOME),
            code: column(fields::EVENT_CODE),
            product: column(fields::PRODUCT),
            user: [column(fields::USER_NAME), column(fields::USER_DOMAIN)],
            target: [column(fields::USER_TARGET_NAME), column(fields::USER_TARGET_DOMAIN)],
            host: column(fields::HOST_NAME),
            source_ip: column(fields::SOURCE_IP),
            source_host: column(fields::SOURCE_HOST),
            logon_type: batch.long(fields::LOGON_TYPE),
        })
    }

    /// The logon that a row tells of, if it is one.
    pub(super) fn logon(&self, row: usize, time: Micros) -> Option<(Logon, LogonCounts)> {
        if text(self.category, row)? != "authentication" {
            return None;
        }
        let get = |column: Option<&'a StringArray>| column.and_then(|c| text(c, row));
        let counts = self.counts(row, time)?;
        // Windows says who was logged on to; elsewhere the one who acts is the one who logs on.
        let [name, domain] = if get(self.target[0]).is_some() { self.target } else { self.user };
        let source = get(self.source_ip).or_else(|| get(self.source_host)).unwrap_or_default();
        let logon = Logon {
            user: user(get(name).unwrap_or("-"), get(domain)),
            host: get(self.host).unwrap_or_default().to_string(),
            source: source.to_string(),
            kind: self.kind(row, &counts),
        };
        Some((logon, counts))
    }

    fn counts(&self, row: usize, time: Micros) -> Option<LogonCounts> {
        let get = |column: Option<&'a StringArray>| column.and_then(|c| text(c, row));
        let mut counts = LogonCounts { span: Span::at(time), ..LogonCounts::default() };
        let windows = get(self.product) == Some("windows");
        let counter = match (windows, get(self.code), get(self.outcome)) {
            (true, Some("4624"), _) => &mut counts.successes,
            (true, Some("4625"), _) => &mut counts.failures,
            (true, Some("4648"), _) => &mut counts.attempts,
            (true, Some("4672"), _) => &mut counts.privileged,
            // Tickets, validations and logoffs of Windows would count a logon twice.
            (true, ..) => return None,
            (false, _, outcome) => {
                if get(self.action).is_some_and(is_end) {
                    return None;
                }
                match outcome {
                    Some("success") => &mut counts.successes,
                    Some("failure") => &mut counts.failures,
                    _ => &mut counts.attempts,
                }
            }
        };
        *counter = 1;
        Some(counts)
    }

    fn kind(&self, row: usize, counts: &LogonCounts) -> String {
        if let Some(types) = self.logon_type.filter(|types| types.is_valid(row)) {
            let number = types.value(row);
            return format!("{} ({number})", logon_type(number));
        }
        match self.action.and_then(|action| text(action, row)) {
            _ if counts.privileged > 0 => "special privileges".to_string(),
            Some("explicit_login") => "other credentials".to_string(),
            Some(action) => action.to_string(),
            None => String::new(),
        }
    }
}

/// Actions that end a session rather than begin one.
fn is_end(action: &str) -> bool {
    ["logoff", "logout", "logged_out", "session_closed", "disconnected"]
        .iter()
        .any(|end| action.ends_with(end))
}

/// Windows' names for its logon types.
fn logon_type(number: i64) -> &'static str {
    match number {
        0 => "system",
        2 => "interactive",
        3 => "network",
        4 => "batch",
        5 => "service",
        7 => "unlock",
        8 => "network cleartext",
        9 => "new credentials",
        10 => "remote interactive",
        11 => "cached interactive",
        12 => "cached remote interactive",
        13 => "cached unlock",
        _ => "type",
    }
}
