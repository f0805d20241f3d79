//! A plan of ours as a plan of DataFusion.

use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion::common::DataFusionError;
use datafusion::functions_aggregate::expr_fn::{
    approx_percentile_cont, avg, count, count_distinct, first_value, max, min, sum,
};
use datafusion::logical_expr::{Expr, ExprSchemable, SortExpr, ident, lit};
use datafusion::prelude::{DataFrame, SessionContext};
use pugmark_event::batch::schema;
use pugmark_event::fields::{EVENT_ID, EVENT_TIME, Kind, ORIGINAL};
use pugmark_event::time::Micros;
use pugmark_query::check::{Check, TextCheck};
use pugmark_query::words::words;
use pugmark_query::{
    Aggregate, Diagnostic, FieldRef, Filter, Function, Pipe, Request, SearchError, SortKey, Target,
    Test, span_for,
};

use crate::columns;
use crate::error::{Asked, search_error};
use crate::filter::Predicate;
use crate::functions::{bucket, conflict_test, number, record_test, text_test, time_literal};
use crate::table::EventsTable;

/// The answer to `request` over `table`, not yet run.
///
/// # Errors
/// When the plan holds what the parser would have refused, or DataFusion cannot plan it.
pub(crate) fn frame(
    context: &SessionContext,
    table: EventsTable,
    request: &Request,
) -> Result<DataFrame, SearchError> {
    let range = table.range();
    // The store itself applies the filter.
    let table = table.only(Predicate::new(&request.plan.filter).map_err(bad_query)?);
    let frame = context.read_table(Arc::new(table)).map_err(failed)?;
    let mut rows = Rows { frame, columns: None, order: newest_first(), ordered: false, range };
    for pipe in &request.plan.pipes {
        rows = rows.pipe(pipe)?;
    }
    rows.finish(request.limit)
}

/// What the pipes so far lead to.
struct Rows {
    frame: DataFrame,
    /// Columns of a table: the name shown, and how it is computed. `None` while rows are events.
    columns: Option<Vec<(String, Expr)>>,
    /// The order that the rows have, or would have if it mattered.
    order: Vec<SortExpr>,
    /// Whether it matters.
    ordered: bool,
    /// First and last event time that may occur.
    range: Option<(Micros, Micros)>,
}

impl Rows {
    fn filter(self, filter: &Filter) -> Result<Self, SearchError> {
        if *filter == Filter::All {
            return Ok(self);
        }
        let predicate = self.predicate(filter)?;
        self.map(|frame| frame.filter(predicate))
    }

    fn map(
        mut self,
        change: impl FnOnce(DataFrame) -> Result<DataFrame, DataFusionError>,
    ) -> Result<Self, SearchError> {
        self.frame = change(self.frame).map_err(failed)?;
        Ok(self)
    }

    fn pipe(mut self, pipe: &Pipe) -> Result<Self, SearchError> {
        match pipe {
            Pipe::Where(filter) => self.filter(filter),
            Pipe::Head(count) => {
                self.ordered = true;
                let order = self.order.clone();
                self.map(|frame| frame.sort(order)?.limit(0, Some(*count)))
            }
            Pipe::Sort(keys) => self.sort(keys),
            Pipe::Fields(fields) => {
                let columns: Result<Vec<_>, SearchError> =
                    fields.iter().map(|f| Ok((f.typed.clone(), self.value(f)?))).collect();
                self.columns = Some(columns?);
                Ok(self)
            }
            Pipe::Stats { aggregates, by } => {
                let keys: Result<Vec<_>, _> = by.iter().map(|f| self.value(f)).collect();
                self.group(pipe, keys?, aggregates)
            }
            Pipe::Timechart { span, aggregates, by } => {
                let (from, to) = self.range.unwrap_or_default();
                let span = span.unwrap_or_else(|| span_for(from, to.saturating_add(1)));
                let mut keys = vec![bucket(ident(EVENT_TIME.column()), span)];
                if let Some(field) = by {
                    keys.push(self.value(field)?);
                }
                self.group(pipe, keys, aggregates)
            }
            Pipe::Top { rows, fields, rare } => self.top(pipe, *rows, fields, *rare),
        }
    }

    fn sort(mut self, keys: &[SortKey]) -> Result<Self, SearchError> {
        let mut order = Vec::new();
        for key in keys {
            let value = self.value(&key.field)?;
            order.extend(self.by(&value, key.descending)?);
        }
        // Equal rows: events stay as they were, rows of a table go by all their columns.
        match &self.columns {
            None => order.append(&mut self.order),
            Some(columns) => {
                for (_, value) in columns {
                    order.extend(self.by(value, false)?);
                }
            }
        }
        self.order = order;
        self.ordered = true;
        Ok(self)
    }

    /// The order by one value: absent last, and of text the numbers first.
    fn by(&self, value: &Expr, descending: bool) -> Result<Vec<SortExpr>, SearchError> {
        let kind = value.get_type(self.frame.schema()).map_err(failed)?;
        let numbers = (kind == DataType::Utf8).then(|| number(value.clone()));
        let keys = numbers.into_iter().chain([value.clone()]);
        Ok(keys.map(|key| key.sort(!descending, false)).collect())
    }

    fn top(
        self,
        pipe: &Pipe,
        rows: usize,
        fields: &[FieldRef],
        rare: bool,
    ) -> Result<Self, SearchError> {
        let keys: Result<Vec<_>, SearchError> = fields.iter().map(|f| self.value(f)).collect();
        let keys = keys?;
        let present = balanced(keys.iter().map(|k| k.clone().is_not_null()).collect(), Expr::and);
        let count = Aggregate { function: Function::Count, field: None, alias: None };
        let mut grouped = self.map(|frame| frame.filter(present))?.group(pipe, keys, &[count])?;
        let counts = ident(inner(fields.len())).sort(rare, false);
        grouped.order.insert(0, counts);
        grouped.pipe(&Pipe::Head(rows))
    }

    /// One row per key. Keys and arguments become plain columns first, so that nothing is
    /// computed twice and no name that a person chose can be mistaken.
    fn group(
        mut self,
        pipe: &Pipe,
        keys: Vec<Expr>,
        aggregates: &[Aggregate],
    ) -> Result<Self, SearchError> {
        let mut inputs =
            vec![ident(EVENT_TIME.column()).alias("t"), ident(EVENT_ID.column()).alias("i")];
        for (i, key) in keys.iter().enumerate() {
            inputs.push(key.clone().alias(inner(i)));
        }
        let mut outputs = Vec::new();
        for (i, aggregate) in aggregates.iter().enumerate() {
            let argument = format!("a{i}");
            if let Some(field) = &aggregate.field {
                inputs.push(self.argument(aggregate.function, field)?.alias(&argument));
            }
            let input = aggregate.field.as_ref().map(|_| ident(argument));
            outputs.push(figure(aggregate.function, input)?.alias(inner(keys.len() + i)));
        }
        let groups: Vec<Expr> = (0..keys.len()).map(|i| ident(inner(i))).collect();
        self = self.map(|frame| frame.select(inputs)?.aggregate(groups.clone(), outputs))?;
        let names = pipe.columns(None).unwrap_or_default();
        self.columns =
            Some(names.into_iter().enumerate().map(|(i, n)| (n, ident(inner(i)))).collect());
        self.order = Vec::new();
        for key in &groups {
            let mut order = self.by(key, false)?;
            self.order.append(&mut order);
        }
        self.ordered = !groups.is_empty();
        Ok(self)
    }

    /// What a function is applied to: the number in a text where the function wants numbers.
    fn argument(&self, function: Function, field: &FieldRef) -> Result<Expr, SearchError> {
        let value = self.value(field)?;
        let attribute = matches!(field.target, Target::Attribute(_));
        Ok(match function {
            Function::Count | Function::Distinct | Function::First | Function::Last => value,
            Function::Min | Function::Max if !attribute => value,
            _ => number(value),
        })
    }

    /// How the value of a field is computed here.
    fn value(&self, field: &FieldRef) -> Result<Expr, SearchError> {
        let Some(columns) = &self.columns else { return Ok(event_value(&field.target)) };
        let names: Vec<String> = columns.iter().map(|(name, _)| name.clone()).collect();
        match field.find(&names) {
            Some(i) => Ok(columns[i].1.clone()),
            None => Err(bad_query(format!("the table has no column `{}`", field.typed))),
        }
    }

    fn predicate(&self, filter: &Filter) -> Result<Expr, SearchError> {
        let all = |parts: &[Filter]| -> Result<Vec<Expr>, SearchError> {
            parts.iter().map(|part| self.predicate(part)).collect()
        };
        Ok(match filter {
            Filter::All => lit(true),
            Filter::And(parts) => balanced(all(parts)?, Expr::and),
            Filter::Or(parts) => balanced(all(parts)?, Expr::or),
            // Absent values make a comparison null, and the opposite of that is true.
            Filter::Not(part) => self.predicate(part)?.is_not_true(),
            Filter::Words(pattern) => {
                let check = TextCheck::anywhere(pattern).map_err(bad_query)?;
                let words = words(pattern);
                record_test(ident(ORIGINAL.column()), check, filter.to_string(), words)
            }
            Filter::Field(field, test) => self.test(field, test, filter)?,
        })
    }

    fn test(&self, field: &FieldRef, test: &Test, filter: &Filter) -> Result<Expr, SearchError> {
        let value = self.value(field)?;
        let check = match &self.columns {
            Some(_) if *test == Test::Exists => Ok(Check::Exists),
            Some(_) => TextCheck::new(test).map(Check::Text),
            None => Check::new(&field.target, test),
        };
        let fits = match check.map_err(bad_query)? {
            Check::Nothing => lit(false),
            Check::Exists => value.is_not_null(),
            Check::Range(low, high) => within(field, value, low, high),
            Check::Text(check) => text_test(value, check, filter.to_string()),
        };
        let conflicts = match (&self.columns, &field.target) {
            (None, Target::Column(id)) => columns::conflicts(*id, &field.target, test),
            _ => None,
        };
        Ok(match conflicts {
            Some((column, check)) => {
                fits.or(conflict_test(ident(column), check, filter.to_string()))
            }
            None => fits,
        })
    }

    /// The rows as they are shown.
    fn finish(self, limit: Option<usize>) -> Result<DataFrame, SearchError> {
        let mut frame = self.frame;
        if self.ordered || limit.is_some() && !self.order.is_empty() {
            frame = frame.sort(self.order).map_err(failed)?;
        }
        if let Some(rows) = limit {
            frame = frame.limit(0, Some(rows)).map_err(failed)?;
        }
        let shown: Vec<Expr> = match self.columns {
            Some(columns) => columns.into_iter().map(|(name, value)| value.alias(name)).collect(),
            None => schema().fields().iter().map(|f| ident(f.name())).collect(),
        };
        frame.select(shown).map_err(failed)
    }
}

fn newest_first() -> Vec<SortExpr> {
    [EVENT_TIME, EVENT_ID].iter().map(|id| ident(id.column()).sort(false, false)).collect()
}

/// Name of a column inside, where names that a person chose could clash.
fn inner(place: usize) -> String {
    format!("c{place}")
}

fn event_value(target: &Target) -> Expr {
    ident(columns::name(target))
}

fn within(field: &FieldRef, value: Expr, low: i64, high: i64) -> Expr {
    let is_time = matches!(field.target, Target::Column(id) if id.field().kind == Kind::Time);
    let literal = |end: i64| if is_time { time_literal(end) } else { lit(end) };
    match (low, high) {
        (i64::MIN, i64::MAX) => value.is_not_null(),
        (low, high) if low == high => value.eq(literal(low)),
        (i64::MIN, high) => value.lt_eq(literal(high)),
        (low, i64::MAX) => value.gt_eq(literal(low)),
        (low, high) => value.clone().gt_eq(literal(low)).and(value.lt_eq(literal(high))),
    }
}

fn figure(function: Function, input: Option<Expr>) -> Result<Expr, SearchError> {
    let Some(input) = input else { return Ok(count(lit(1i64))) };
    // Absent values sort behind all others. A FILTER would say the same, but the builder that adds
    // one to a call drops the call's order.
    let absent_last = input.clone().is_null().sort(true, false);
    let by_time = |ascending| {
        let times = ["t", "i"].iter().map(|key| ident(*key).sort(ascending, false));
        std::iter::once(absent_last.clone()).chain(times).collect::<Vec<_>>()
    };
    Ok(match function {
        Function::Count => count(input),
        Function::Distinct => count_distinct(input),
        Function::Sum => sum(input),
        Function::Avg => avg(input),
        Function::Min => min(input),
        Function::Max => max(input),
        Function::Percentile(percent) => {
            approx_percentile_cont(input.sort(true, false), lit(f64::from(percent) / 100.0), None)
        }
        Function::First => first_value(input, by_time(true)),
        Function::Last => first_value(input, by_time(false)),
    })
}

/// Joins conditions into a tree as flat as can be: a chain of a thousand would be a thousand deep.
fn balanced(mut parts: Vec<Expr>, join: fn(Expr, Expr) -> Expr) -> Expr {
    match parts.len() {
        0 => lit(true),
        1 => parts.remove(0),
        count => {
            let rest = parts.split_off(count / 2);
            join(balanced(parts, join), balanced(rest, join))
        }
    }
}

fn failed(error: DataFusionError) -> SearchError {
    search_error(&error, Asked::Plan)
}

fn bad_query(message: String) -> SearchError {
    SearchError::BadQuery(vec![Diagnostic { from: 0, to: 0, message, hint: None }])
}
