//! Reads expressions: what binds less is read first.

use pugmark_event::time::{SECOND, parse_span};

use super::Expr;
use crate::cell::Cell;
use crate::check::Number;
use crate::cursor::{is_expr_name, is_expr_name_char};
use crate::diagnostic::Diagnostic;
use crate::functions;
use crate::parse::Parser;

/// Comparisons, the longer ones first.
pub(crate) const COMPARISONS: [&str; 7] = ["==", "!=", "<=", ">=", "=", "<", ">"];

impl Parser<'_> {
    /// An expression: conditions joined by `or`, `and`, `not`; comparisons; arithmetic; values.
    pub(crate) fn expr(&mut self) -> Result<Expr, Diagnostic> {
        let mut left = self.expr_and()?;
        while self.keyword("or") {
            let right = self.expr_and()?;
            left = self.call("or", vec![left, right])?;
        }
        Ok(left)
    }

    fn expr_and(&mut self) -> Result<Expr, Diagnostic> {
        let mut left = self.expr_not()?;
        while self.keyword("and") {
            let right = self.expr_not()?;
            left = self.call("and", vec![left, right])?;
        }
        Ok(left)
    }

    fn expr_not(&mut self) -> Result<Expr, Diagnostic> {
        self.cursor.blanks();
        let from = self.cursor.at;
        if !self.keyword("not") {
            return self.comparison();
        }
        self.enter(from)?;
        let inner = self.expr_not()?;
        self.leave();
        self.call("not", vec![inner])
    }

    fn comparison(&mut self) -> Result<Expr, Diagnostic> {
        let left = self.sum()?;
        match self.compared(left)? {
            Compared::Yes(expr) | Compared::No(expr) => Ok(expr),
        }
    }

    /// What follows the left side of a comparison, if it is one.
    pub(crate) fn compared(&mut self, left: Expr) -> Result<Compared, Diagnostic> {
        self.cursor.blanks();
        if let Some(sign) = COMPARISONS.iter().find(|sign| self.cursor.eat_str(sign)) {
            let right = self.sum()?;
            return Ok(Compared::Yes(self.call(sign, vec![left, right])?));
        }
        let start = self.cursor.clone();
        let negated = self.keyword("not");
        self.cursor.blanks();
        let found = if self.sees("in") {
            self.keyword("in");
            Some(self.in_list(left.clone())?)
        } else if self.keyword("like") {
            let pattern = self.sum()?;
            Some(self.call("like", vec![left.clone(), pattern])?)
        } else if self.keyword("matches") {
            let regex = self.sum()?;
            Some(self.call("matches", vec![left.clone(), regex])?)
        } else {
            None
        };
        match found {
            Some(found) if negated => Ok(Compared::Yes(self.call("not", vec![found])?)),
            Some(found) => Ok(Compared::Yes(found)),
            None => {
                self.cursor = start;
                Ok(Compared::No(left))
            }
        }
    }

    fn in_list(&mut self, left: Expr) -> Result<Expr, Diagnostic> {
        self.cursor.blanks();
        let from = self.cursor.at;
        if !self.cursor.eat('(') {
            return Err(self
                .cursor
                .fault(from, "a list in brackets is missing after `in`")
                .hint("write port in (22, 443)"));
        }
        let mut args = vec![left];
        args.extend(self.args(from)?);
        self.call("in", args)
    }

    /// Values added and subtracted.
    pub(crate) fn sum(&mut self) -> Result<Expr, Diagnostic> {
        let mut left = self.product()?;
        loop {
            self.cursor.blanks();
            let sign = if self.cursor.eat('+') {
                "+"
            } else if self.cursor.eat('-') {
                "-"
            } else {
                return Ok(left);
            };
            let right = self.product()?;
            left = self.call(sign, vec![left, right])?;
        }
    }

    fn product(&mut self) -> Result<Expr, Diagnostic> {
        let mut left = self.signed()?;
        loop {
            self.cursor.blanks();
            let signs = [('*', "*"), ('/', "/"), ('%', "%")];
            let Some((_, name)) = signs.iter().find(|(sign, _)| self.cursor.eat(*sign)) else {
                return Ok(left);
            };
            let right = self.signed()?;
            left = self.call(name, vec![left, right])?;
        }
    }

    fn signed(&mut self) -> Result<Expr, Diagnostic> {
        self.cursor.blanks();
        let from = self.cursor.at;
        if !self.cursor.eat('-') {
            return self.primary();
        }
        if self.cursor.peek().is_some_and(|c| c.is_ascii_digit()) {
            return self.number(from);
        }
        self.enter(from)?;
        let inner = self.signed()?;
        self.leave();
        let negative = match &inner {
            Expr::Literal(Cell::Long(long)) => long.checked_neg().map(Cell::Long),
            Expr::Literal(Cell::Float(float)) => Some(Cell::Float(-float)),
            _ => None,
        };
        match negative {
            Some(cell) => Ok(Expr::Literal(cell)),
            None => self.call("neg", vec![inner]),
        }
    }

    fn primary(&mut self) -> Result<Expr, Diagnostic> {
        let from = self.cursor.at;
        self.count_test(from)?;
        match self.cursor.peek() {
            Some('(') => {
                self.enter(from)?;
                self.cursor.eat('(');
                let inner = self.expr()?;
                self.close(from)?;
                self.leave();
                Ok(inner)
            }
            Some('"') => Ok(Expr::Literal(Cell::Text(self.cursor.quoted('"')?))),
            Some('\'') => {
                let name = self.cursor.quoted('\'')?;
                if name.is_empty() {
                    return Err(self.cursor.fault(from, "the name of a field is missing here"));
                }
                Ok(Expr::Field(self.field(&name, from)?))
            }
            Some('/') => match self.cursor.regex(")|,") {
                Some(regex) => {
                    self.count_regex(from)?;
                    Ok(Expr::Regex(regex))
                }
                None => Err(self
                    .cursor
                    .fault(from, "this regular expression is never closed")
                    .hint("write it between slashes, and a slash in it as \\/")),
            },
            Some(c) if c.is_ascii_digit() => self.number(from),
            _ => self.named(from),
        }
    }

    /// A number, with a unit seconds.
    fn number(&mut self, from: usize) -> Result<Expr, Diagnostic> {
        let rest = self.cursor.rest();
        let exponent = |at: usize| {
            rest[..at].ends_with(['e', 'E']) && rest.starts_with(|c: char| c.is_ascii_digit())
        };
        let end = rest
            .char_indices()
            .find(|(at, c)| {
                !(c.is_alphanumeric() || *c == '.' || "+-".contains(*c) && exponent(*at))
            })
            .map_or(rest.len(), |(at, _)| at);
        self.cursor.at += end;
        let typed = self.cursor.since(from);
        let number = match Number::parse(typed) {
            Some(Number::Long(long)) => Some(Cell::Long(long)),
            Some(Number::Float(float)) => Some(Cell::Float(float)),
            None => parse_span(typed.trim_start_matches('-')).map(|micros| {
                let micros = if typed.starts_with('-') { -micros } else { micros };
                match micros % SECOND {
                    0 => Cell::Long(micros / SECOND),
                    _ => Cell::Float(micros as f64 / SECOND as f64),
                }
            }),
        };
        number.map(Expr::Literal).ok_or_else(|| {
            self.cursor
                .fault(from, format!("`{typed}` is no number"))
                .hint("write a number such as 5, 1.5 or 30m, and a text in quotes")
        })
    }

    /// A field, a word for a value, or a function.
    fn named(&mut self, from: usize) -> Result<Expr, Diagnostic> {
        let rest = self.cursor.rest();
        let column = self.column_with_brackets();
        let end = match column {
            Some(length) => length,
            None => rest.find(|c| !is_expr_name_char(c)).unwrap_or(rest.len()),
        };
        let name = &rest[..end];
        if column.is_none()
            && let Some(constant) = constant(name)
        {
            self.cursor.at += end;
            return Ok(Expr::Literal(constant));
        }
        let is_function = rest[end..].starts_with('(') && functions::is_named(name);
        if column.is_none() && !is_expr_name(name) && !is_function {
            let fault = self.cursor.fault(from, "a value is missing here");
            return Err(fault.hint(
                "write a field, a number, a \"text\" or a function such as lower(user.name)",
            ));
        }
        self.cursor.at += end;
        if column.is_some() || self.cursor.peek() != Some('(') {
            return Ok(Expr::Field(self.field(name, from)?));
        }
        let open = self.cursor.at;
        let Some(function) = functions::named().find(|f| f.name.eq_ignore_ascii_case(name)) else {
            let known: Vec<&str> = functions::named().map(|f| f.name).collect();
            let message = format!("there is no function `{name}`");
            return Err(Diagnostic::new(from, open, message).nearest(name, &known));
        };
        self.enter(open)?;
        self.cursor.eat('(');
        let args = self.args(open)?;
        self.leave();
        self.checked_call(function, args, from)
    }

    /// Arguments up to the closing bracket.
    fn args(&mut self, open: usize) -> Result<Vec<Expr>, Diagnostic> {
        let mut args = Vec::new();
        self.cursor.blanks();
        if self.cursor.eat(')') {
            return Ok(args);
        }
        loop {
            args.push(self.expr()?);
            self.cursor.blanks();
            if !self.cursor.eat(',') {
                self.close(open)?;
                return Ok(args);
            }
        }
    }

    /// A call of a function that is known to be there.
    fn call(&self, name: &str, args: Vec<Expr>) -> Result<Expr, Diagnostic> {
        let from = self.cursor.at;
        match functions::by_name(name) {
            Some(function) => self.checked_call(function, args, from),
            None => Err(self.cursor.fault(from, format!("there is no function `{name}`"))),
        }
    }

    fn checked_call(
        &self,
        function: &'static functions::Function,
        mut args: Vec<Expr>,
        from: usize,
    ) -> Result<Expr, Diagnostic> {
        let usage = || format!("use it as `{}`", function.usage);
        if !function.args.contains(&args.len()) {
            let message = format!("`{}` cannot take {} arguments", function.name, args.len());
            return Err(self.cursor.fault(from, message).hint(usage()));
        }
        // A pattern may be written as a word of the filter is: like *.exe needs its quotes.
        if function.name == "matches"
            && let [_, Expr::Literal(Cell::Text(_))] = args.as_slice()
            && let Some(Expr::Literal(Cell::Text(text))) = args.pop()
        {
            args.push(Expr::Regex(text));
        }
        if let functions::Call::Made(make) = &function.call {
            make(&args).map_err(|message| self.cursor.fault(from, message).hint(usage()))?;
        }
        let misplaced = args.iter().any(|arg| matches!(arg, Expr::Regex(_)))
            && !matches!(function.name, "matches" | "regex_extract" | "regex_replace");
        if misplaced {
            let message = format!("`{}` takes no regular expression", function.name);
            return Err(self.cursor.fault(from, message).hint("use matches(text, /regex/)"));
        }
        Ok(Expr::Call(function, args))
    }
}

/// The value that a word stands for.
fn constant(word: &str) -> Option<Cell> {
    match word.to_ascii_lowercase().as_str() {
        "null" => Some(Cell::Null),
        "true" => Some(Cell::Bool(true)),
        "false" => Some(Cell::Bool(false)),
        _ => None,
    }
}

/// Whether something was a comparison.
pub(crate) enum Compared {
    /// It was: this.
    Yes(Expr),
    /// It was not: this alone.
    No(Expr),
}
