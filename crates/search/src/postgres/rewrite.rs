//! What clients ask in PostgreSQL's own words, in words that DataFusion understands.
//!
//! Four things, on the syntax tree of one statement:
//! - a select from a table that never has a row has no rows, whatever else it asks for;
//! - functions that have one answer here are that answer: `current_database()`, `version()`;
//! - names and operators of `pg_catalog` lose their schema;
//! - casts to types that only PostgreSQL has (`regclass`, `oid`, `name`) become plain ones.

use std::collections::HashSet;
use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    AccessExpr, ArrayElemTypeDef, BinaryOperator, DataType, Expr, Function, FunctionArg,
    FunctionArgExpr, FunctionArguments, GroupByExpr, Ident, JoinOperator, ObjectName,
    ObjectNamePart, Query, Select, SelectItem, SetExpr, Statement, Subscript, TableFactor,
    TableWithJoins, Value, ValueWithSpan, Visit, VisitMut, Visitor, VisitorMut, visit_expressions,
    visit_relations,
};
use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
use datafusion::sql::sqlparser::parser::Parser;

use super::catalog::{self, DATABASE, HIDDEN, OWNER};
use super::fault::{Fault, NO_TABLE};
use super::functions::RELATION_NAME;
use super::statement::{folded, name_of};
use super::tables::Table;
use super::types;
use super::variables::{SERVER_VERSION, Variables};
use super::{decode, parameters};

/// What a statement may ask about its session.
pub(super) struct Session<'a> {
    pub(super) user: &'a str,
    pub(super) process: u32,
    pub(super) variables: &'a Variables,
    /// Types of the parameters, as far as the client says; 0 for others.
    pub(super) types: &'a [u32],
}

/// Ends the name that a column is shown by, where another column has the same.
pub(super) const TWIN: char = '\u{1}';

/// Puts a statement into DataFusion's words.
///
/// # Errors
/// When it names a relation that is not there.
pub(super) fn rewrite(statement: &mut Statement, session: &Session<'_>) -> Result<(), Fault> {
    let mut tables = Tables::default();
    let _ = Visit::visit(statement, &mut tables);
    match VisitMut::visit(statement, &mut Rewriter { session, tables }) {
        ControlFlow::Break(fault) => Err(fault),
        ControlFlow::Continue(()) => Ok(()),
    }
}

struct Rewriter<'a> {
    session: &'a Session<'a>,
    tables: Tables,
}

impl VisitorMut for Rewriter<'_> {
    type Break = Fault;

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<Fault> {
        if self.tables.has_no_rows(&query.body)
            && let Some(nothing) = nothing_like(&query.body)
        {
            query.body = nothing;
            query.order_by = None;
        }
        ControlFlow::Continue(())
    }

    fn post_visit_select(&mut self, select: &mut Select) -> ControlFlow<Fault> {
        name_twins(&mut select.projection);
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, table: &mut TableFactor) -> ControlFlow<Fault> {
        // Some tables are functions to PostgreSQL.
        if let TableFactor::Table { name, args, .. } = table
            && args.is_some()
            && let Some(known) = self.tables.find(name)
        {
            *name = ObjectName::from(vec![Ident::new(known.name)]);
            *args = None;
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<Fault> {
        if let Some(simpler) = self.tables.without_rows(expr) {
            *expr = simpler;
        }
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<Fault> {
        let replaced = match expr {
            Expr::Function(function) => self.function(function),
            Expr::Cast { expr, data_type, .. } => match cast(expr, data_type) {
                Ok(replaced) => replaced,
                Err(fault) => return ControlFlow::Break(fault),
            },
            Expr::Like { pattern, escape_char, .. } | Expr::ILike { pattern, escape_char, .. } => {
                if let Some(plain) = escape_char.as_ref().and_then(|with| escaped(pattern, with)) {
                    (**pattern, *escape_char) = (plain, None);
                }
                None
            }
            Expr::Collate { expr, .. } => Some((**expr).clone()),
            Expr::BinaryOp { left, op, right } => operation(left, op, right),
            Expr::Value(value) => plain_text(&value.value),
            Expr::AnyOp { right, .. } => {
                if let Some(list) = list_of(right, self.session.types) {
                    **right = list;
                }
                None
            }
            _ => None,
        };
        if let Some(replaced) = replaced {
            *expr = replaced;
        }
        ControlFlow::Continue(())
    }
}

/// Reads an expression of our own.
fn expr(sql: &str) -> Option<Expr> {
    let dialect = PostgreSqlDialect {};
    Parser::new(&dialect).try_with_sql(sql).ok()?.parse_expr().ok()
}

fn text(text: &str) -> Option<Expr> {
    expr(&format!("'{}'", text.replace('\'', "''")))
}

/// Schema and name of something, without the database.
fn parts(name: &ObjectName) -> Option<(Option<String>, String)> {
    let parts: Option<Vec<&Ident>> = name.0.iter().map(ObjectNamePart::as_ident).collect();
    match parts?.as_slice() {
        [name] => Some((None, folded(name))),
        [.., schema, name] => Some((Some(folded(schema)), folded(name))),
        [] => None,
    }
}

/// The name of a function or a type without its schema, if that is one of the catalog's.
fn catalog_name(name: &ObjectName) -> Option<String> {
    let (schema, name) = parts(name)?;
    let ours = matches!(schema.as_deref(), None | Some("pg_catalog" | "information_schema"));
    ours.then_some(name)
}

/// What the names of tables mean in one statement.
#[derive(Default)]
struct Tables {
    /// Names that a WITH gives: they hide those of the catalog.
    given: HashSet<String>,
}

impl Visitor for Tables {
    type Break = ();

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
        let given = query.with.iter().flat_map(|with| &with.cte_tables);
        self.given.extend(given.map(|table| folded(&table.alias.name)));
        ControlFlow::Continue(())
    }
}

impl Tables {
    /// The table of the catalog that a name means.
    fn find(&self, name: &ObjectName) -> Option<&'static Table> {
        let (schema, name) = parts(name)?;
        if schema.is_none() && self.given.contains(&name) {
            return None;
        }
        catalog::table(schema.as_deref(), &name)
    }

    /// True for a select that reads a table that never has a row, and says nothing of no rows.
    fn has_no_rows(&self, body: &SetExpr) -> bool {
        match body {
            SetExpr::Select(select) => {
                let grouped =
                    matches!(&select.group_by, GroupByExpr::Expressions(by, _) if !by.is_empty());
                (grouped || !select.projection.iter().any(counts))
                    && select.from.iter().any(|table| self.joins_none(table))
            }
            SetExpr::Query(query) => self.has_no_rows(&query.body),
            SetExpr::SetOperation { left, right, .. } => {
                self.has_no_rows(left) && self.has_no_rows(right)
            }
            _ => false,
        }
    }

    fn joins_none(&self, table: &TableWithJoins) -> bool {
        table.joins.iter().fold(self.is_none(&table.relation), |none, join| {
            let other = self.is_none(&join.relation);
            match join.join_operator {
                JoinOperator::Join(_) | JoinOperator::Inner(_) | JoinOperator::CrossJoin(_) => {
                    none || other
                }
                JoinOperator::Left(_) | JoinOperator::LeftOuter(_) => none,
                JoinOperator::Right(_) | JoinOperator::RightOuter(_) => other,
                JoinOperator::FullOuter(_) => none && other,
                _ => false,
            }
        })
    }

    fn is_none(&self, factor: &TableFactor) -> bool {
        match factor {
            TableFactor::Table { name, args: None, .. } => {
                self.find(name).is_some_and(|table| table.empty)
            }
            TableFactor::Derived { subquery, .. } => self.has_no_rows(&subquery.body),
            TableFactor::NestedJoin { table_with_joins, .. } => self.joins_none(table_with_joins),
            _ => false,
        }
    }

    /// What an expression over a select without rows is, or over the catalog what can be planned.
    fn without_rows(&self, whole: &Expr) -> Option<Expr> {
        match whole {
            Expr::Exists { subquery, negated } if self.has_no_rows(&subquery.body) => {
                expr(if *negated { "true" } else { "false" })
            }
            Expr::Subquery(query) if self.has_no_rows(&query.body) => expr("CAST(NULL AS TEXT)"),
            Expr::InSubquery { subquery, negated, .. } if self.has_no_rows(&subquery.body) => {
                expr(if *negated { "true" } else { "false" })
            }
            // Who takes the search path apart wants what is in it.
            Expr::InSubquery { expr: name, subquery, negated }
                if subquery.to_string().contains("current_setting('search_path')") =>
            {
                let list = vec![text("public")?];
                Some(Expr::InList { expr: name.clone(), list, negated: *negated })
            }
            Expr::Subquery(query) if self.reads_catalog(query) => one_value(query),
            // Lists of the catalog are rights and options, of which there are none.
            Expr::Function(Function { args: FunctionArguments::Subquery(query), .. })
                if self.reads_catalog(query) =>
            {
                expr("CAST(NULL AS TEXT[])")
            }
            _ => None,
        }
    }

    /// True for a select from the catalog and nothing else.
    fn reads_catalog(&self, query: &Query) -> bool {
        let mut tables = 0;
        let other: ControlFlow<()> = visit_relations(query, |name| {
            tables += 1;
            // Functions of the catalog are tables too, which nobody lists:
            // `pg_catalog.unnest(...)`.
            let qualified = name.0.len() > 1 && catalog_name(name).is_some();
            match qualified || self.find(name).is_some() {
                true => ControlFlow::Continue(()),
                false => ControlFlow::Break(()),
            }
        });
        tables > 0 && other.is_continue()
    }
}

/// True for what has a row even where there are none: `count(*)`.
fn counts(item: &SelectItem) -> bool {
    let (SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. }) = item else {
        return false;
    };
    let mut text = expr.to_string();
    // What a select within counts is its own.
    let _: ControlFlow<()> = visit_expressions(expr, |inner| {
        if let Expr::Subquery(query) = inner {
            text = text.replace(&query.to_string(), "");
        }
        ControlFlow::Continue(())
    });
    let text = text.to_ascii_lowercase();
    ["count(", "sum(", "min(", "max(", "avg(", "agg("].iter().any(|name| text.contains(name))
}

/// No rows with the same columns, each a text.
fn nothing_like(body: &SetExpr) -> Option<Box<SetExpr>> {
    let mut first = body;
    let select = loop {
        match first {
            SetExpr::Select(select) => break select,
            SetExpr::Query(query) => first = &query.body,
            SetExpr::SetOperation { left, .. } => first = left,
            _ => return None,
        }
    };
    let columns = select.projection.iter().enumerate().map(|(at, item)| match item {
        SelectItem::ExprWithAlias { alias, .. } => Some(alias.to_string()),
        SelectItem::UnnamedExpr(Expr::Identifier(name)) => Some(name.to_string()),
        SelectItem::UnnamedExpr(Expr::CompoundIdentifier(names)) => Some(names.last()?.to_string()),
        SelectItem::UnnamedExpr(_) => Some(format!("column{at}")),
        _ => None,
    });
    let columns = columns.map(|name| Some(format!("CAST(NULL AS TEXT) AS {}", name?)));
    let columns: Vec<String> = columns.collect::<Option<_>>()?;
    let sql = format!("SELECT {} WHERE false", columns.join(", "));
    let dialect = PostgreSqlDialect {};
    Some(Parser::new(&dialect).try_with_sql(&sql).ok()?.parse_query().ok()?.body)
}

/// A select in the place of a value, so that it is seen to have no more than one.
fn one_value(query: &Query) -> Option<Expr> {
    let mut query = query.clone();
    let SetExpr::Select(select) = &mut *query.body else { return None };
    if query.limit_clause.is_some() || select.projection.iter().any(counts) {
        return None;
    }
    let [SelectItem::UnnamedExpr(value) | SelectItem::ExprWithAlias { expr: value, .. }] =
        select.projection.as_mut_slice()
    else {
        return None;
    };
    *value = expr(&format!("min({value})"))?;
    query.order_by = None;
    Some(Expr::Subquery(Box::new(query)))
}

/// DataFusion wants columns to differ: one that is there twice gets a name.
fn name_twins(projection: &mut [SelectItem]) {
    let stars = |item: &SelectItem| {
        matches!(item, SelectItem::Wildcard(_) | SelectItem::QualifiedWildcard(..))
    };
    let all = projection.iter().any(stars);
    let mut seen = HashSet::new();
    for (at, item) in projection.iter_mut().enumerate() {
        let SelectItem::UnnamedExpr(expr) = item else { continue };
        let text = without_casts(expr).to_string();
        let is_column = matches!(expr, Expr::Identifier(_) | Expr::CompoundIdentifier(_));
        if seen.contains(&text) || (all && is_column) {
            let alias = Ident::with_quote('"', format!("{}{TWIN}{at}", name_of(expr)));
            *item = SelectItem::ExprWithAlias { expr: expr.clone(), alias };
        } else {
            seen.insert(text);
        }
    }
}

/// What DataFusion names a column after.
fn without_casts(expr: &Expr) -> &Expr {
    match expr {
        Expr::Cast { expr, .. } | Expr::Nested(expr) => without_casts(expr),
        expr => expr,
    }
}

impl Rewriter<'_> {
    fn function(&self, function: &mut Function) -> Option<Expr> {
        let name = catalog_name(&function.name)?;
        let args = match &function.args {
            FunctionArguments::List(list) => &list.args[..],
            _ => &[],
        };
        if let Some(answer) = self.answer(&name, args) {
            return Some(answer);
        }
        if function.name.0.len() > 1 {
            function.name = ObjectName::from(vec![Ident::new(name)]);
        }
        None
    }

    /// The one answer of a function, if it has one.
    fn answer(&self, name: &str, args: &[FunctionArg]) -> Option<Expr> {
        match name {
            "current_user" | "session_user" | "user" | "current_role" => text(self.session.user),
            "current_database" | "current_catalog" => text(DATABASE),
            "current_schema" => text("public"),
            "current_schemas" => expr("ARRAY['pg_catalog', 'public']"),
            "current_setting" => {
                let name = literal(args.first()?)?;
                text(&self.session.variables.get(name).unwrap_or_default())
            }
            "version" => text(&format!("PostgreSQL {SERVER_VERSION}")),
            "pg_backend_pid" => expr(&self.session.process.to_string()),
            "pg_get_userbyid" => text(OWNER),
            "pg_encoding_to_char" => text("UTF8"),
            "parse_ident" => {
                let names = literal(args.first()?)?.replace('"', "");
                let names = names.split('.').map(|name| format!("'{}'", name.replace('\'', "''")));
                expr(&format!("ARRAY[{}]", names.collect::<Vec<_>>().join(", ")))
            }
            "pg_is_in_recovery" | "pg_relation_is_publishable" => expr("false"),
            "pg_my_temp_schema"
            | "pg_relation_size"
            | "pg_total_relation_size"
            | "pg_table_size"
            | "pg_indexes_size"
            | "pg_database_size" => expr("CAST(0 AS BIGINT)"),
            "localtimestamp" => expr("CAST(now() AS TIMESTAMP)"),
            "pg_tablespace_location" => text(""),
            "array_lower" => expr("1"),
            "array_upper" => {
                let args: Vec<String> = args.iter().map(ToString::to_string).collect();
                expr(&format!("CAST(array_length({}) AS BIGINT)", args.join(", ")))
            }
            "set_config" if literal(args.first()?)? != "statement_timeout" => match args.get(1)? {
                FunctionArg::Unnamed(FunctionArgExpr::Expr(value)) => Some(value.clone()),
                _ => None,
            },
            "pg_size_pretty" => text("0 bytes"),
            "pg_table_is_visible" => match args.first()? {
                FunctionArg::Unnamed(FunctionArgExpr::Expr(oid)) => {
                    expr(&format!("({oid} NOT BETWEEN {} AND {})", HIDDEN.start(), HIDDEN.end()))
                }
                _ => None,
            },
            _ if name.ends_with("_is_visible") => expr("true"),
            // Who is connected may read everything, and write nothing.
            _ if name.starts_with("has_") && name.ends_with("_privilege") => {
                let wanted = args.last().and_then(literal).unwrap_or("select");
                let reads = ["select", "usage", "connect"];
                let reads = reads.iter().any(|read| wanted.to_ascii_lowercase().contains(read));
                expr(if reads { "true" } else { "false" })
            }
            _ if name.starts_with("pg_stat_get_") => expr("CAST(0 AS BIGINT)"),
            _ if name.starts_with("pg_get_") || name.ends_with("_description") => {
                expr("CAST(NULL AS TEXT)")
            }
            _ => None,
        }
    }
}

fn literal(arg: &FunctionArg) -> Option<&str> {
    match arg {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(Expr::Value(value))) => match &value.value {
            Value::SingleQuotedString(text) => Some(text),
            _ => None,
        },
        _ => None,
    }
}

/// A cast in types that DataFusion has. Changes the type, or gives what takes the place of it all.
fn cast(value: &Expr, kind: &mut DataType) -> Result<Option<Expr>, Fault> {
    if let DataType::Array(ArrayElemTypeDef::SquareBracket(item, _)) = kind
        && let DataType::Custom(name, _) = &**item
    {
        **item = plain_type(&catalog_name(name).unwrap_or_default());
        return Ok(None);
    }
    let name = match &*kind {
        DataType::Custom(name, _) => catalog_name(name).unwrap_or_default(),
        DataType::Regclass => "regclass".to_string(),
        _ => return Ok(None),
    };
    let given = match value {
        Expr::Value(value) => match &value.value {
            Value::SingleQuotedString(text) => Some(text.as_str()),
            _ => None,
        },
        _ => None,
    };
    Ok(match (name.as_str(), given) {
        ("regclass", Some(text)) if text.parse::<u32>().is_err() => {
            let missing = || Fault::new(NO_TABLE, format!("relation {text:?} does not exist"));
            expr(&catalog::relation_oid(text).ok_or_else(missing)?.to_string())
        }
        ("regclass", None) => expr(&format!("{RELATION_NAME}({value})")),
        ("regtype", Some(text)) if text.parse::<u32>().is_err() => {
            let known = types::by_name(text.trim_start_matches("pg_catalog."));
            expr(&known.map_or(0, |known| known.oid).to_string())
        }
        ("regtype", None) => expr(&format!("format_type({value}, NULL)")),
        ("regproc", Some(text)) => self::text(text.trim_start_matches("pg_catalog.")),
        _ => {
            *kind = plain_type(&name);
            None
        }
    })
}

/// The type that stands for one of PostgreSQL's own.
fn plain_type(name: &str) -> DataType {
    if matches!(name, "oid" | "regclass" | "regtype" | "xid" | "cid") {
        return DataType::IntUnsigned(None);
    }
    match types::by_name(name).map(|known| known.oid) {
        Some(types::INT8) => DataType::BigInt(None),
        Some(types::INT4) => DataType::Int(None),
        Some(types::INT2) => DataType::SmallInt(None),
        Some(types::BOOL) => DataType::Boolean,
        _ => DataType::Text,
    }
}

/// A pattern whose own escape character becomes a backslash, the only one that DataFusion knows.
fn escaped(pattern: &Expr, with: &ValueWithSpan) -> Option<Expr> {
    let with = with.value.clone().into_string().filter(|with| with != "\\")?;
    let with = with.replace('\'', "''");
    expr(&format!(
        "replace(replace(replace(replace({pattern}, '\\', '\\\\'), '{with}{with}', '{TWIN}'), \
         '{with}', '\\'), '{TWIN}', '{with}')"
    ))
}

/// Operators with the name of their schema, and those that look into JSON.
fn operation(left: &Expr, op: &mut BinaryOperator, right: &Expr) -> Option<Expr> {
    match op {
        BinaryOperator::PGCustomBinaryOperator(parts) => {
            *op = match parts.last()?.as_str() {
                "~" => BinaryOperator::PGRegexMatch,
                "~*" => BinaryOperator::PGRegexIMatch,
                "!~" => BinaryOperator::PGRegexNotMatch,
                "!~*" => BinaryOperator::PGRegexNotIMatch,
                "=" => BinaryOperator::Eq,
                "<>" => BinaryOperator::NotEq,
                _ => return None,
            };
            None
        }
        BinaryOperator::Arrow | BinaryOperator::LongArrow => Some(Expr::CompoundFieldAccess {
            root: Box::new(left.clone()),
            access_chain: vec![AccessExpr::Subscript(Subscript::Index { index: right.clone() })],
        }),
        _ => None,
    }
}

/// Text in a form that only PostgreSQL writes.
fn plain_text(value: &Value) -> Option<Expr> {
    match value {
        Value::EscapedStringLiteral(inner) | Value::UnicodeStringLiteral(inner) => text(inner),
        Value::DollarQuotedString(inner) => text(&inner.value),
        _ => None,
    }
}

/// `'{a,b}'` as a list, and `$1` as one of the type that it has.
fn list_of(value: &Expr, types: &[u32]) -> Option<Expr> {
    if let Some(number) = parameters::number(value) {
        let said = types.get(number - 1).and_then(|oid| types::element_of(*oid));
        return expr(&format!("CAST(${number} AS {}[])", said.map_or("TEXT", |item| item.sql)));
    }
    let value = match value {
        Expr::Nested(inner) => inner,
        other => other,
    };
    let Expr::Value(value) = value else { return None };
    let Value::SingleQuotedString(text) = &value.value else { return None };
    let items = decode::list_items(text)?;
    let written = items.iter().map(|item| match item {
        Some(item) => format!("'{}'", item.replace('\'', "''")),
        None => "NULL".to_string(),
    });
    let list = format!("ARRAY[{}]", written.collect::<Vec<_>>().join(", "));
    // Without a text in it nothing says that it is a list of texts.
    match items.iter().any(Option::is_some) {
        true => expr(&list),
        false => expr(&format!("CAST({list} AS TEXT[])")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(sql: &str, expected: &str) {
        let variables = Variables::default();
        let session = Session { user: "ann", process: 7, variables: &variables, types: &[] };
        let mut statement = Parser::parse_sql(&PostgreSqlDialect {}, sql).unwrap().remove(0);
        let found = match rewrite(&mut statement, &session) {
            Ok(()) => statement.to_string(),
            Err(fault) => fault.to_string(),
        };
        assert_eq!(found, expected);
    }

    #[test]
    fn words_of_postgresql_become_plain_ones() {
        check("SELECT pg_catalog.current_database() AS d", "SELECT 'pugmark' AS d");
        check("SELECT current_user AS u", "SELECT 'ann' AS u");
        check(
            "SELECT a OPERATOR(pg_catalog.~) 'x' COLLATE pg_catalog.default AS m",
            "SELECT a ~ 'x' AS m",
        );
        check("SELECT E'a\\nb' AS t", "SELECT 'a\nb' AS t");
        check("SELECT 'events'::regclass::oid AS o", "SELECT 16386::INT UNSIGNED AS o");
        check("SELECT 'nothing'::regclass", "relation \"nothing\" does not exist");
        check("SELECT x::regtype::pg_catalog.text AS t", "SELECT format_type(x, NULL)::TEXT AS t");
        check("SELECT attributes->>'k' AS k", "SELECT attributes['k'] AS k");
        check("SELECT x = ANY('{a,b}') AS y", "SELECT x = ANY(ARRAY['a', 'b']) AS y");
        check(
            r#"SELECT x = ANY('{"a,b", NULL, it''s}') AS y"#,
            "SELECT x = ANY(ARRAY['a,b', NULL, 'it''s']) AS y",
        );
        check("SELECT x = ANY('{}') AS y", "SELECT x = ANY(CAST(ARRAY[] AS TEXT[])) AS y");
        check("SELECT x = ANY($1) AS y", "SELECT x = ANY(CAST($1 AS TEXT[])) AS y");
        check("SELECT 1, 1", "SELECT 1, 1 AS \"?column?\u{1}1\"");
        let hidden = "SELECT (oid NOT BETWEEN 13000 AND 13999) AS v";
        check("SELECT pg_table_is_visible(oid) AS v", hidden);
        check("SELECT pg_type_is_visible(oid) AS v", "SELECT true AS v");
        check("SELECT a::oid[] AS o", "SELECT a::INT UNSIGNED[] AS o");
        check("SELECT a::pg_catalog.text AS t", "SELECT a::TEXT AS t");
        check("SELECT has_table_privilege('events', 'INSERT') AS p", "SELECT false AS p");
    }

    #[test]
    fn nothing_comes_of_empty_tables() {
        let none = "SELECT CAST(NULL AS TEXT) AS n WHERE false";
        check("SELECT t.n FROM pg_catalog.pg_trigger t ORDER BY f(n)", none);
        check("SELECT f(x) AS n FROM pg_class c JOIN pg_index i ON c.oid = i.indrelid", none);
        check("SELECT n FROM pg_policy UNION SELECT m FROM pg_publication", none);
        check("SELECT n FROM (SELECT * FROM pg_index) i", none);
        check("SELECT (SELECT max(a) FROM t) AS n FROM pg_index", none);
        check("SELECT EXISTS (SELECT 1 FROM pg_inherits) AS e", "SELECT false AS e");
        let counted = "SELECT count(*) FROM pg_index";
        check(counted, counted);
        check("SELECT n FROM information_schema.triggers", none);
        check("SELECT n FROM pg_class RIGHT JOIN pg_index ON true", none);
        check("SELECT n FROM pg_trigger FULL JOIN pg_index ON true", none);
        for same in [
            "SELECT n FROM pg_class LEFT JOIN pg_index ON true",
            "SELECT n FROM pg_index RIGHT JOIN pg_class ON true",
            "SELECT n FROM pg_index FULL JOIN pg_class ON true",
            "SELECT n FROM pg_trigger JOIN pg_index ON true RIGHT JOIN pg_class ON true",
            // Not those of the catalog.
            "SELECT n FROM views",
            "WITH views AS (SELECT 1 AS n) SELECT n FROM views",
            "WITH pg_index AS (SELECT 1 AS n) SELECT n FROM pg_index",
            "SELECT (SELECT n FROM tables) AS a FROM t",
        ] {
            check(same, same);
        }
    }
}
