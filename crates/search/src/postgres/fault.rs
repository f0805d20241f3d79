//! What is told to a client that cannot be answered: a code that programs know, and words.

use pugmark_query::SearchError;

/// An error of the protocol. The code is PostgreSQL's (SQLSTATE): clients act on it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub(super) struct Fault {
    pub(super) code: &'static str,
    pub(super) message: String,
    pub(super) hint: Option<String>,
}

pub(super) const BAD_PROTOCOL: &str = "08P01";
pub(super) const BAD_PASSWORD: &str = "28P01";
pub(super) const NOT_ALLOWED: &str = "42501";
pub(super) const READ_ONLY: &str = "25006";
pub(super) const NO_TRANSACTION: &str = "25P01";
pub(super) const FAILED_TRANSACTION: &str = "25P02";
pub(super) const CANCELED: &str = "57014";
pub(super) const STOPPING: &str = "57P01";
pub(super) const TOO_MANY: &str = "53300";
pub(super) const TOO_LONG: &str = "54000";
pub(super) const BAD_SYNTAX: &str = "42601";
pub(super) const BAD_TEXT: &str = "22021";
pub(super) const BAD_VALUE: &str = "22023";
pub(super) const OUT_OF_RANGE: &str = "22003";
pub(super) const NO_STATEMENT: &str = "26000";
pub(super) const NO_CURSOR: &str = "34000";
pub(super) const NO_VARIABLE: &str = "42704";
pub(super) const NO_TABLE: &str = "42P01";
pub(super) const NO_COLUMN: &str = "42703";
pub(super) const NOT_THERE: &str = "0A000";
const DIVISION_BY_ZERO: &str = "22012";
const NO_MEMORY: &str = "53200";
const OVER_LIMIT: &str = "53400";
const FAILED: &str = "XX000";

impl Fault {
    pub(super) fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), hint: None }
    }

    pub(super) fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }
}

impl From<SearchError> for Fault {
    fn from(error: SearchError) -> Self {
        match error {
            SearchError::BadSql(text) => Self::new(code_of(&text), text),
            SearchError::BadQuery(_) => Self::new(BAD_SYNTAX, error.to_string()),
            SearchError::TooBig(_) => Self::new(NO_MEMORY, error.to_string()),
            SearchError::Limited { ref hint, .. } => {
                Self::new(OVER_LIMIT, error.to_string()).hint(hint)
            }
            SearchError::Failed(_) => Self::new(FAILED, error.to_string()),
        }
    }
}

/// The planner says what is wrong in words alone.
fn code_of(text: &str) -> &'static str {
    let starts = |start: &str| text.starts_with(start);
    if starts("only reading") {
        READ_ONLY
    } else if starts("a statement has at most") {
        TOO_LONG
    } else if starts("table '") || starts("Table '") {
        NO_TABLE
    } else if text.contains("Divide by zero") {
        DIVISION_BY_ZERO
    } else if text.contains("Cast error") || text.contains("Parser error: Error parsing") {
        BAD_VALUE
    } else if starts("No field named") {
        NO_COLUMN
    } else {
        BAD_SYNTAX
    }
}
