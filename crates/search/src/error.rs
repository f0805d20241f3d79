//! DataFusion's errors in words for the person who asked.

use arrow::error::ArrowError;
use datafusion::error::DataFusionError;
use pugmark_query::SearchError;

/// In which language the question was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Asked {
    /// Our own: what is wrong in it was found while parsing.
    Plan,
    /// SQL: a wrong question shows up while planning or even while running.
    Sql,
}

pub(crate) fn search_error(error: &DataFusionError, asked: Asked) -> SearchError {
    let root = error.find_root();
    let text = shorten(&root.strip_backtrace());
    match root {
        DataFusionError::ResourcesExhausted(_) => SearchError::TooBig(text),
        DataFusionError::SQL(..)
        | DataFusionError::Plan(_)
        | DataFusionError::SchemaError(..)
        | DataFusionError::NotImplemented(_)
        | DataFusionError::Configuration(_)
        | DataFusionError::Diagnostic(..)
            if asked == Asked::Sql =>
        {
            SearchError::BadSql(text)
        }
        DataFusionError::ArrowError(arrow, _) if asked == Asked::Sql && by_values(arrow) => {
            SearchError::BadSql(text)
        }
        _ => SearchError::Failed(text),
    }
}

/// True for what a question does with values: dividing by zero, casting text to a number.
fn by_values(error: &ArrowError) -> bool {
    matches!(
        error,
        ArrowError::DivideByZero
            | ArrowError::CastError(_)
            | ArrowError::ComputeError(_)
            | ArrowError::ParseError(_)
            | ArrowError::InvalidArgumentError(_)
            | ArrowError::ArithmeticOverflow(_)
    )
}

/// The first lines, without the name of the error's kind.
fn shorten(text: &str) -> String {
    const PREFIXES: [&str; 5] = [
        "Error during planning: ",
        "SQL error: ",
        "Schema error: ",
        "Resources exhausted: ",
        "Execution error: ",
    ];
    let text = PREFIXES.iter().find_map(|p| text.strip_prefix(p)).unwrap_or(text);
    let mut short: String = text.lines().take(4).collect::<Vec<_>>().join(" ");
    if short.len() > 500 {
        let cut = (0..=500).rev().find(|i| short.is_char_boundary(*i)).unwrap_or(0);
        short.truncate(cut);
        short.push_str("...");
    }
    short
}
