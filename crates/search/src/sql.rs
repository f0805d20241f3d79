//! SQL that reads the views, and does nothing else.

use std::sync::Arc;

use datafusion::catalog::{CatalogProvider, MemoryCatalogProvider};
use datafusion::error::DataFusionError;
use datafusion::execution::context::SQLOptions;
use datafusion::logical_expr::LogicalPlan;
use datafusion::prelude::{DataFrame, SessionContext};
use datafusion::sql::sqlparser::dialect::{Dialect, GenericDialect};
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan, Tokenizer};
use pugmark_query::SearchError;

use crate::error::{Asked, search_error};
use crate::functions::cidr_match;
use crate::views::Views;

/// Longest text of a statement.
pub(crate) const SQL_BYTES_MAX: usize = 64 << 10;
/// Links of a statement: what makes its tree one level deeper without parentheses, such as `+`,
/// `::`, `OR` and `UNION`. The parser counts parentheses alone, and a tree as deep as a text is
/// long overflows the stack of whoever copies, plans or drops it. A debug build, which takes
/// several times as much stack as a release build, still plans so many `+` in a task of tokio.
const LINKS_MAX: usize = 200;
/// What UNION and `->` count, which take as much stack as so many `+`.
const HEAVY_LINKS: usize = 4;

/// Plans `sql` over the views.
///
/// # Errors
/// When the SQL is wrong or does anything but read.
pub(crate) async fn frame(
    context: &SessionContext,
    views: Views,
    sql: &str,
    limit: Option<usize>,
) -> Result<DataFrame, SearchError> {
    tokens(&GenericDialect {}, sql)?;
    let wrong = |e: &DataFusionError| search_error(e, Asked::Sql);
    context.register_udf(cidr_match());
    let catalog = MemoryCatalogProvider::new();
    catalog.register_schema("public", Arc::new(views)).map_err(|e| wrong(&e))?;
    context.register_catalog("datafusion", Arc::new(catalog));
    let plan = context.state().create_logical_plan(sql).await.map_err(|e| wrong(&e))?;
    check_reads(&plan)?;
    let limited = !matches!(
        plan,
        LogicalPlan::Explain(_) | LogicalPlan::Analyze(_) | LogicalPlan::DescribeTable(_)
    );
    let frame = context.execute_logical_plan(plan).await.map_err(|e| wrong(&e))?;
    match limit.filter(|_| limited) {
        Some(rows) => frame.limit(0, Some(rows)).map_err(|e| wrong(&e)),
        None => Ok(frame),
    }
}

/// The tokens of a text that is neither too long nor makes too deep a tree.
///
/// # Errors
/// When it is, or has what is no token.
pub(crate) fn tokens(dialect: &dyn Dialect, sql: &str) -> Result<Vec<TokenWithSpan>, SearchError> {
    if sql.len() > SQL_BYTES_MAX {
        let text = format!("a statement has at most {SQL_BYTES_MAX} bytes");
        return Err(SearchError::BadSql(text));
    }
    let tokens = Tokenizer::new(dialect, sql).tokenize_with_location();
    let tokens = tokens.map_err(|error| SearchError::BadSql(error.to_string()))?;
    if links(&tokens) > LINKS_MAX {
        return Err(SearchError::BadSql(format!(
            "a statement has at most {LINKS_MAX} operators and keywords: write a list with \
             IN (...), or ask in parts"
        )));
    }
    Ok(tokens)
}

const SET_WORDS: [Keyword; 4] =
    [Keyword::UNION, Keyword::EXCEPT, Keyword::INTERSECT, Keyword::MINUS];

/// How much deeper than its parentheses the tree of a text may be.
fn links(tokens: &[TokenWithSpan]) -> usize {
    let spoken = tokens.iter().map(|token| &token.token);
    let mut before = &Token::EOF;
    let mut links = 0;
    for token in spoken.filter(|token| !matches!(token, Token::Whitespace(_))) {
        // `FROM a x, b y` is a chain too, which nothing but its aliases gives away.
        let alias = is_leaf(token) && (is_leaf(before) || *before == Token::RParen);
        links += match token {
            Token::Word(word) if SET_WORDS.contains(&word.keyword) => HEAVY_LINKS,
            Token::Arrow | Token::LongArrow => HEAVY_LINKS,
            token => usize::from(alias || !(is_leaf(token) || is_flat(token))),
        };
        before = token;
    }
    links
}

/// True for names and values, which have nothing below them.
fn is_leaf(token: &Token) -> bool {
    match token {
        Token::Word(word) => word.keyword == Keyword::NoKeyword,
        token => matches!(
            token,
            Token::Number(..)
                | Token::Placeholder(_)
                | Token::SingleQuotedString(_)
                | Token::DoubleQuotedString(_)
                | Token::EscapedStringLiteral(_)
                | Token::UnicodeStringLiteral(_)
                | Token::NationalStringLiteral(_)
                | Token::DollarQuotedString(_)
                | Token::HexStringLiteral(_)
                | Token::SingleQuotedByteStringLiteral(_)
        ),
    }
}

/// True for what stands between the items of a list, or is counted by the parser.
fn is_flat(token: &Token) -> bool {
    matches!(token, Token::Comma | Token::Period | Token::LParen | Token::RParen | Token::SemiColon)
}

/// Refuses a plan that does anything but read.
pub(crate) fn check_reads(plan: &LogicalPlan) -> Result<(), SearchError> {
    let only_reading = "only reading is allowed: SELECT, WITH and EXPLAIN";
    SQLOptions::new()
        .with_allow_ddl(false)
        .with_allow_dml(false)
        .with_allow_statements(false)
        .verify_plan(plan)
        .map_err(|_| SearchError::BadSql(only_reading.to_string()))
}

#[cfg(test)]
mod tests {
    use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
    use datafusion::sql::sqlparser::parser::Parser;

    use super::*;

    /// Reads, shows, copies and drops a statement on a stack as small as tokio's.
    fn read(sql: String) -> Result<(), String> {
        let work = move || {
            let dialect = PostgreSqlDialect {};
            let tokens = tokens(&dialect, &sql).map_err(|error| error.to_string())?;
            let mut parser = Parser::new(&dialect).with_tokens_with_locations(tokens);
            let statements = parser.parse_statements().map_err(|error| error.to_string())?;
            assert!(statements.clone()[0].to_string().len() > 1);
            Ok(())
        };
        std::thread::Builder::new().stack_size(2 << 20).spawn(work).unwrap().join().unwrap()
    }

    #[test]
    fn long_chains_are_refused_before_they_are_deep() {
        for (start, link, links) in [
            ("SELECT 1", "+1", 1),
            ("SELECT a", "::int", 2),
            ("SELECT a", "->>'x'", HEAVY_LINKS),
            ("SELECT a", " OR a", 1),
            ("SELECT a", " IS NULL", 2),
            ("SELECT a", " AT TIME ZONE 'UTC'", 3),
            ("SELECT a", " BETWEEN 1 AND 2", 2),
            ("SELECT 1", " UNION SELECT 1", HEAVY_LINKS + 1),
            ("SELECT 1 FROM t", " JOIN t ON b", 2),
            ("SELECT 1 FROM t", ", t a", 1),
        ] {
            let most = (LINKS_MAX - 4) / links;
            let sql = |count: usize| format!("{start}{}", link.repeat(count));
            assert_eq!(read(sql(most)), Ok(()), "{link}");
            for many in [LINKS_MAX, (SQL_BYTES_MAX - 20) / link.len()] {
                let refused = read(sql(many)).expect_err(link);
                assert!(refused.contains("at most 200 operators"), "{link}: {refused}");
            }
        }
    }

    #[test]
    fn long_lists_are_no_chains() {
        let list = vec!["'x'"; 10_000].join(", ");
        assert_eq!(read(format!("SELECT a, t.b, f(c) FROM t WHERE a IN ({list})")), Ok(()));
    }
}
