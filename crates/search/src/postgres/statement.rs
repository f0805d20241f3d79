//! Text to statements: what a client may say, and what it may not.

use datafusion::sql::sqlparser::ast::{
    DiscardObject, Expr, Ident, Reset, SelectItem, Set, SetExpr, Statement,
};
use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
use datafusion::sql::sqlparser::parser::Parser;

use super::fault::{BAD_SYNTAX, Fault, READ_ONLY, TOO_LONG};
use crate::sql;

/// Statements in one message.
const STATEMENTS_MAX: usize = 64;

/// One statement, understood.
#[derive(Debug, Clone)]
pub(super) enum Command {
    /// A question, and the names that PostgreSQL would give to its columns where they are listed.
    Ask {
        statement: Box<Statement>,
        names: Option<Vec<String>>,
    },
    Show(String),
    /// `None` is the default.
    Set(String, Option<String>),
    Reset,
    Begin,
    Commit,
    Rollback,
    RollbackTo,
    /// `None` is all.
    Deallocate(Option<String>),
    Discard,
    /// Nothing to do but to say so.
    Nothing(&'static str),
}

/// Reads the statements of a text.
///
/// # Errors
/// When it is no SQL, too long, or would do anything but read.
pub(super) fn parse(sql: &str) -> Result<Vec<Command>, Fault> {
    let dialect = PostgreSqlDialect {};
    let tokens = sql::tokens(&dialect, sql)?;
    if let Some(command) = unparsed(sql) {
        return Ok(vec![command]);
    }
    let statements = Parser::new(&dialect)
        .with_tokens_with_locations(tokens)
        .parse_statements()
        .map_err(|error| Fault::new(BAD_SYNTAX, error.to_string()))?;
    if statements.len() > STATEMENTS_MAX {
        let text = format!("at most {STATEMENTS_MAX} statements at once");
        return Err(Fault::new(TOO_LONG, text));
    }
    statements.into_iter().map(command).collect()
}

/// What clients say and the parser does not know.
fn unparsed(sql: &str) -> Option<Command> {
    let text = sql.trim().trim_end_matches(';').trim_end().to_ascii_lowercase();
    // Of several statements none is passed over: the parser says which it does not know.
    if text.contains(';') {
        return None;
    }
    let mut words = text.split_ascii_whitespace();
    match (words.next()?, words.next(), words.next()) {
        ("show", Some("all"), None) => Some(Command::Show("all".to_string())),
        ("set", Some("session"), Some("characteristics")) => Some(Command::Nothing("SET")),
        ("set", Some("local" | "session"), Some("timezone")) if !text.contains('=') => {
            Some(Command::Set("timezone".to_string(), text.rsplit(' ').next().map(unquoted)))
        }
        ("close", Some("all"), None) => Some(Command::Nothing("CLOSE CURSOR ALL")),
        ("abort", ..) => Some(Command::Rollback),
        _ => None,
    }
}

fn unquoted(text: &str) -> String {
    text.trim_matches('\'').to_string()
}

fn command(statement: Statement) -> Result<Command, Fault> {
    Ok(match statement {
        Statement::Query(query) => {
            let names = names(&query.body);
            Command::Ask { statement: Box::new(Statement::Query(query)), names }
        }
        ref explain @ Statement::Explain { ref statement, .. }
            if matches!(**statement, Statement::Query(_)) =>
        {
            Command::Ask { statement: Box::new(explain.clone()), names: None }
        }
        Statement::ShowVariable { variable } => {
            let words: Vec<String> = variable.into_iter().map(|word| word.value).collect();
            Command::Show(words.join(" "))
        }
        Statement::Set(set) => assignment(set)?,
        Statement::Reset(reset) => match reset.reset {
            Reset::ALL => Command::Reset,
            Reset::ConfigurationParameter(name) => Command::Set(name.to_string(), None),
        },
        Statement::StartTransaction { .. } => Command::Begin,
        Statement::Commit { .. } => Command::Commit,
        Statement::Rollback { savepoint: None, .. } => Command::Rollback,
        Statement::Rollback { savepoint: Some(_), .. } => Command::RollbackTo,
        Statement::Savepoint { .. } => Command::Nothing("SAVEPOINT"),
        Statement::ReleaseSavepoint { .. } => Command::Nothing("RELEASE"),
        Statement::Deallocate { name, .. } => {
            let all = name.quote_style.is_none() && name.value.eq_ignore_ascii_case("all");
            Command::Deallocate((!all).then_some(name.value))
        }
        Statement::Discard { object_type: DiscardObject::ALL } => Command::Discard,
        Statement::Discard { .. } => Command::Nothing("DISCARD"),
        Statement::UNLISTEN { .. } => Command::Nothing("UNLISTEN"),
        _ => return Err(refused()),
    })
}

fn refused() -> Fault {
    Fault::new(READ_ONLY, "only reading is allowed: SELECT, WITH, EXPLAIN, SHOW and SET")
}

fn assignment(set: Set) -> Result<Command, Fault> {
    Ok(match set {
        Set::SingleAssignment { variable, values, .. } => {
            let values: Vec<String> = values.iter().filter_map(setting).collect();
            let value = (!values.is_empty()).then(|| values.join(", "));
            Command::Set(variable.to_string().replace('"', ""), value)
        }
        Set::SetTimeZone { value, .. } => Command::Set("timezone".to_string(), setting(&value)),
        Set::SetNames { charset_name, .. } => {
            Command::Set("client_encoding".to_string(), Some(charset_name.value))
        }
        Set::SetTransaction { .. } => Command::Nothing("SET"),
        _ => return Err(refused()),
    })
}

/// The text of a value; `DEFAULT` is none.
fn setting(value: &Expr) -> Option<String> {
    match value {
        Expr::Identifier(word) if word.value.eq_ignore_ascii_case("default") => None,
        Expr::Identifier(word) => Some(word.value.clone()),
        Expr::Value(value) => match value.value.clone().into_string() {
            Some(text) => Some(text),
            None => Some(value.value.to_string()),
        },
        other => Some(other.to_string()),
    }
}

/// The names of the columns as PostgreSQL gives them, if each column is written down.
fn names(body: &SetExpr) -> Option<Vec<String>> {
    match body {
        SetExpr::Select(select) => {
            let names = select.projection.iter().map(|item| match item {
                SelectItem::UnnamedExpr(expr) => Some(name_of(expr)),
                SelectItem::ExprWithAlias { alias, .. } => Some(folded(alias)),
                _ => None,
            });
            names.collect()
        }
        SetExpr::Query(query) => names(&query.body),
        SetExpr::SetOperation { left, .. } => names(left),
        _ => None,
    }
}

/// The name of a column that has none of its own.
pub(super) fn name_of(expr: &Expr) -> String {
    match expr {
        Expr::Identifier(name) => folded(name),
        Expr::CompoundIdentifier(names) => names.last().map(folded).unwrap_or_default(),
        Expr::Function(function) => {
            let name = function.name.0.last().and_then(|part| part.as_ident());
            name.map(folded).unwrap_or_default()
        }
        Expr::Cast { expr, data_type, .. } => match name_of(expr) {
            name if name == UNNAMED => data_type.to_string().to_ascii_lowercase(),
            name => name,
        },
        Expr::Nested(expr) | Expr::Collate { expr, .. } => name_of(expr),
        Expr::CompoundFieldAccess { root, .. } => name_of(root),
        Expr::Case { .. } => "case".to_string(),
        Expr::Extract { .. } => "extract".to_string(),
        Expr::Exists { .. } => "exists".to_string(),
        Expr::Subquery(query) => {
            names(&query.body).and_then(|names| names.into_iter().next()).unwrap_or_default()
        }
        _ => UNNAMED.to_string(),
    }
}

const UNNAMED: &str = "?column?";

/// A name as it is found: in small letters unless it was quoted.
pub(super) fn folded(name: &Ident) -> String {
    match name.quote_style {
        Some(_) => name.value.clone(),
        None => name.value.to_ascii_lowercase(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql::SQL_BYTES_MAX;

    #[track_caller]
    fn check(sql: &str, expected: &str) {
        let found = match parse(sql) {
            Err(fault) => fault.code.to_string(),
            Ok(commands) => commands.iter().map(shown).collect::<Vec<_>>().join("; "),
        };
        assert_eq!(found, expected, "{sql}");
    }

    fn shown(command: &Command) -> String {
        match command {
            Command::Ask { names, .. } => {
                format!("ask {}", names.clone().unwrap_or_default().join(" "))
            }
            other => format!("{other:?}"),
        }
    }

    #[test]
    fn questions_have_the_names_of_postgresql() {
        check(
            "SELECT count(*), a.B, \"C\", 1, x::text, 1::int8 AS n FROM t a",
            "ask count b C ?column? x n",
        );
        check("SELECT * FROM t", "ask ");
        check(
            "WITH a AS (SELECT 1) SELECT attributes['k'], (1 + 2) FROM a",
            "ask attributes ?column?",
        );
        check("EXPLAIN SELECT 1", "ask ");
        check("SELECT 1; SELECT 2;", "ask ?column?; ask ?column?");
        check("", "");
        check(";", "");
    }

    #[test]
    fn settings_and_transactions_are_understood() {
        check("SET statement_timeout = 5000", "Set(\"statement_timeout\", Some(\"5000\"))");
        check("SET application_name TO 'a b'", "Set(\"application_name\", Some(\"a b\"))");
        check("SET SESSION TIME ZONE 'UTC'", "Set(\"timezone\", Some(\"UTC\"))");
        check("SET search_path TO a, b", "Set(\"search_path\", Some(\"a, b\"))");
        check("SET x TO DEFAULT", "Set(\"x\", None)");
        check("RESET ALL", "Reset");
        check("SHOW TRANSACTION ISOLATION LEVEL", "Show(\"TRANSACTION ISOLATION LEVEL\")");
        check("show all;", "Show(\"all\")");
        check("BEGIN", "Begin");
        check("START TRANSACTION READ ONLY", "Begin");
        check("COMMIT; END", "Commit; Commit");
        check("ROLLBACK TO SAVEPOINT a", "RollbackTo");
        check("DEALLOCATE ALL", "Deallocate(None)");
        check("DEALLOCATE \"_p1\"", "Deallocate(Some(\"_p1\"))");
        check("DISCARD ALL", "Discard");
        check("DISCARD PLANS", "Nothing(\"DISCARD\")");
        check("DISCARD ALL; SELECT 1", "Discard; ask ?column?");
        check("show all; SELECT 1", "Show(\"all\"); ask ?column?");
        check("SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY", "Nothing(\"SET\")");
    }

    #[test]
    fn what_writes_is_refused() {
        for sql in [
            "INSERT INTO events VALUES (1)",
            "DELETE FROM events",
            "CREATE TABLE t (a int)",
            "DROP TABLE events",
            "COPY events TO '/tmp/x'",
            "EXPLAIN DELETE FROM events",
            "SET ROLE admin",
            "PREPARE p AS SELECT 1",
        ] {
            check(sql, READ_ONLY);
        }
        check("SELEC 1", BAD_SYNTAX);
        // Nothing behind what the parser does not know is passed over.
        for sql in ["ABORT; SELECT 1", "ABORT; DROP TABLE events"] {
            check(sql, BAD_SYNTAX);
        }
        check(&format!("SELECT 1{}", "+1".repeat(20_000)), TOO_LONG);
        check(&format!("SELECT '{}'", "x".repeat(SQL_BYTES_MAX)), TOO_LONG);
        check(&"SELECT 1;".repeat(65), TOO_LONG);
    }
}
