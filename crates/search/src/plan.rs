//! A plan of ours as a plan of DataFusion.

use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion::common::{DataFusionError, UnnestOptions};
use datafusion::functions_aggregate::expr_fn::{
    approx_percentile_cont, array_agg, avg, count, count_distinct, first_value, max, min, stddev,
    sum,
};
use datafusion::functions_window::expr_fn::row_number;
use datafusion::logical_expr::{Expr, ExprFunctionExt, ExprSchemable, SortExpr, cast, ident, lit};
use datafusion::prelude::{DataFrame, SessionContext};
use pugmark_event::batch::schema;
use pugmark_event::fields::{EVENT_ID, EVENT_TIME, Kind, ORIGINAL};
use pugmark_event::json;
use pugmark_query::check::{Check, TextCheck};
use pugmark_query::eval::{Cell, Known, Shape};
use pugmark_query::expr::Program;
use pugmark_query::functions::SPAN;
use pugmark_query::pipes::{Join, Lookup, Matches, Stats, is_chosen};
use pugmark_query::plan::is_attribute;
use pugmark_query::scope::{Column, Place, Scope};
use pugmark_query::words::words;
use pugmark_query::{
    Aggregate, Diagnostic, Expr as Value, FieldRef, Filter, Function, Named, Pipe, Plan,
    SearchError, SortKey, Target, Test,
};

use crate::cells::data_type;
use crate::columns;
use crate::computed::{computed, items_of, list_text};
use crate::error::{Asked, search_error};
use crate::filter::Predicate;
use crate::functions::{bucket, conflict_test, number, record_test, text_test, time_literal};
use crate::table::EventsTable;

/// Values of a list that are shown.
const VALUES_MAX: usize = pugmark_query::figures::VALUES_MAX;

/// The events of `table` that the filter of `plan` passes.
///
/// # Errors
/// When the plan holds what the parser would have refused, or DataFusion cannot plan it.
pub(crate) fn events(
    context: &SessionContext,
    table: EventsTable,
    plan: &Plan,
) -> Result<Rows, SearchError> {
    // The store itself applies the filter.
    let predicate = match steps(plan) {
        Some(filter) => Predicate::new(&filter).or_else(|_| Predicate::new(&plan.filter)),
        None => Predicate::new(&plan.filter),
    };
    let table = table.only(predicate.map_err(bad_query)?);
    let frame = context.read_table(Arc::new(table)).map_err(failed)?;
    Ok(Rows {
        frame,
        scope: Scope::events(),
        values: Vec::new(),
        order: newest_first(),
        ordered: false,
        made: 0,
    })
}

/// What events pass that can be a step of a sequence: all others change nothing in its answer.
fn steps(plan: &Plan) -> Option<Filter> {
    let mut all = vec![plan.filter.clone()];
    for pipe in &plan.pipes {
        match pipe {
            Pipe::Where(filter) => all.push(filter.clone()),
            Pipe::Sequence(sequence) => {
                all.push(Filter::Or(sequence.steps.clone()));
                return Some(Filter::And(all));
            }
            _ => return None,
        }
    }
    None
}

/// What the pipes so far lead to.
pub(crate) struct Rows {
    pub(crate) frame: DataFrame,
    /// What names stand for.
    pub(crate) scope: Scope,
    /// How the columns of the scope are computed.
    values: Vec<Expr>,
    /// The order that the rows have, or would have if it mattered.
    order: Vec<SortExpr>,
    /// Whether it matters.
    ordered: bool,
    /// Columns made so far, for their names.
    made: usize,
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

    /// Does what a pipe says, if it is not one that needs all rows at once.
    pub(crate) fn pipe(self, pipe: &Pipe, known: &dyn Known) -> Result<Self, SearchError> {
        match pipe {
            Pipe::Where(filter) => self.filter(filter),
            Pipe::Extend(list) => list.iter().try_fold(self, |rows, named| {
                let value = rows.compute(&named.value)?;
                let shape = named.value.shape(&rows.scope);
                rows.put(Column::new(&named.name, shape), value)
            }),
            Pipe::Select(list) => self.select(pipe, list),
            Pipe::Stats(stats) => self.group(stats),
            Pipe::Sort(keys) => self.sort(keys),
            Pipe::Head(count) => self.first(*count),
            Pipe::Tail(count) => self.last(*count),
            Pipe::Dedup { by, rows } => self.dedup(by, *rows),
            Pipe::Expand(field) => self.expand(field),
            Pipe::Sample { share } => self.sample(*share),
            Pipe::Lookup(lookup) => self.lookup(lookup, known),
            Pipe::Join(join) => self.join(join, known),
            Pipe::Union(_)
            | Pipe::Transaction(_)
            | Pipe::Sequence(_)
            | Pipe::Patterns(_)
            | Pipe::Compare(_)
            | Pipe::Baseline(_)
            | Pipe::Outlier(_) => Err(SearchError::Failed(format!("`{pipe}` needs all rows"))),
        }
    }

    /// A column computed once, beside all others.
    fn materialise(mut self, value: Expr) -> Result<(Self, Expr), SearchError> {
        let name = format!("x{}", self.made);
        self.made += 1;
        let mut all: Vec<Expr> =
            self.frame.schema().fields().iter().map(|field| ident(field.name())).collect();
        all.push(value.alias(&name));
        Ok((self.map(|frame| frame.select(all))?, ident(name)))
    }

    /// A column of the scope, in the place of one that has its name.
    pub(crate) fn put(self, column: Column, value: Expr) -> Result<Self, SearchError> {
        let (mut rows, value) = self.materialise(value)?;
        let place = rows.scope.columns.iter().position(|known| known.name == column.name);
        rows.scope.put(column);
        match place {
            Some(place) => rows.values[place] = value,
            None => rows.values.push(value),
        }
        Ok(rows)
    }

    fn select(mut self, pipe: &Pipe, list: &[Named]) -> Result<Self, SearchError> {
        let values: Result<Vec<_>, _> = list.iter().map(|n| self.compute(&n.value)).collect();
        self.values = values?;
        self.scope = pipe.scope(self.scope);
        Ok(self)
    }

    fn first(mut self, count: usize) -> Result<Self, SearchError> {
        self.ordered = true;
        let order = self.order.clone();
        self.sorted(order)?.map(|frame| frame.limit(0, Some(count)))
    }

    fn last(mut self, count: usize) -> Result<Self, SearchError> {
        self.ordered = true;
        let turned = |key: &SortExpr| SortExpr {
            asc: !key.asc,
            nulls_first: !key.nulls_first,
            ..key.clone()
        };
        let order = self.order.iter().map(turned).collect();
        self.sorted(order)?.map(|frame| frame.limit(0, Some(count)))
    }

    /// The rows in an order. Only a single row has none.
    fn sorted(self, order: Vec<SortExpr>) -> Result<Self, SearchError> {
        if order.is_empty() { Ok(self) } else { self.map(|frame| frame.sort(order)) }
    }

    fn dedup(self, by: &[FieldRef], count: usize) -> Result<Self, SearchError> {
        // Only a single row has no order.
        if self.order.is_empty() {
            return Ok(self);
        }
        let keys: Result<Vec<_>, _> = by.iter().map(|field| self.value(field)).collect();
        let number = row_number().partition_by(keys?).order_by(self.order.clone()).build();
        let (mut rows, number) = self.materialise(number.map_err(failed)?)?;
        rows.ordered = true;
        rows.map(|frame| frame.filter(number.lt_eq(lit(count as u64))))
    }

    fn expand(self, field: &FieldRef) -> Result<Self, SearchError> {
        let [values, places] = items_of(self.value(field)?);
        let (rows, values) = self.materialise(values)?;
        let (mut rows, places) = rows.materialise(places)?;
        let names = [&values, &places].map(|column| column.schema_name().to_string());
        let options = UnnestOptions::new().with_preserve_nulls(true);
        rows = rows.map(|frame| {
            frame.unnest_columns_with_options(&names.each_ref().map(String::as_str), options)
        })?;
        rows.order.push(places.sort(true, false));
        rows.ordered = true;
        let scope = Pipe::Expand(field.clone()).scope(rows.scope.clone());
        let Place::Column(place) = scope.find(field) else { return Ok(rows) };
        rows.scope = scope;
        match rows.values.get_mut(place) {
            Some(value) => *value = values,
            None => rows.values.push(values),
        }
        Ok(rows)
    }

    fn sample(self, share: f64) -> Result<Self, SearchError> {
        let identity = match self.scope.events {
            true => vec![ident(EVENT_ID.column())],
            false => self.values.clone(),
        };
        let chosen = Arc::new(move |cells: &[Cell]| Cell::Bool(is_chosen(cells, share)));
        let chosen = computed(identity, Shape::Bool, format!("sample {share}"), chosen);
        self.map(|frame| frame.filter(chosen))
    }

    fn lookup(self, lookup: &Lookup, known: &dyn Known) -> Result<Self, SearchError> {
        let table = known.table(&lookup.table).map_err(bad_query)?;
        lookup.check(&*table).map_err(bad_query)?;
        let time = FieldRef::new(EVENT_TIME.name());
        let time = match self.scope.find(&time) {
            Place::Nowhere => None,
            _ => Some(self.value(&time)?),
        };
        let args: Vec<Expr> = std::iter::once(self.value(&lookup.key)?).chain(time).collect();
        let mut rows = self;
        for (column, name) in &lookup.columns {
            let (table, from) = (table.clone(), column.clone());
            let find = move |cells: &[Cell]| {
                let [key, time @ ..] = cells else { return Cell::Null };
                let time = time.first().and_then(Cell::time);
                let found = key.is_some().then(|| table.value(&key.text(), time, &from)).flatten();
                found.map_or(Cell::Null, Cell::Text)
            };
            let identity = format!("{lookup} {column}");
            let value = computed(args.clone(), Shape::Text, identity, Arc::new(find));
            rows = rows.put(Column::new(name, Shape::Text), value)?;
        }
        Ok(rows)
    }

    fn join(self, join: &Join, known: &dyn Known) -> Result<Self, SearchError> {
        let table = known.rows(&join.plan, 0).map_err(SearchError::Failed)?;
        let matches = Arc::new(Matches::new(join, table).map_err(SearchError::TooBig)?);
        let keys: Result<Vec<_>, _> = join.on.iter().map(|(here, _)| self.value(here)).collect();
        let keys = keys?;
        let mut rows = self;
        if !join.left {
            let matches = matches.clone();
            let there = Arc::new(move |key: &[Cell]| Cell::Bool(matches.find(key).is_some()));
            let there = computed(keys.clone(), Shape::Bool, format!("{join} there"), there);
            rows = rows.map(|frame| frame.filter(there))?;
        }
        for (place, (_, column)) in join.added().into_iter().enumerate() {
            let matches = matches.clone();
            let find = move |key: &[Cell]| {
                matches.find(key).and_then(|mut row| row.nth(place)).cloned().unwrap_or(Cell::Null)
            };
            let identity = format!("{join} {place}");
            let value = computed(keys.clone(), column.shape, identity, Arc::new(find));
            let (mut next, value) = rows.materialise(value)?;
            next.scope.columns.push(column);
            next.values.push(value);
            rows = next;
        }
        Ok(rows)
    }

    fn sort(mut self, keys: &[SortKey]) -> Result<Self, SearchError> {
        let mut order = Vec::new();
        for key in keys {
            let value = self.value(&key.field)?;
            order.extend(self.by(&value, key.descending)?);
        }
        // Equal rows: events stay as they were, rows of a table go by all their columns.
        if self.scope.events {
            order.append(&mut self.order);
        } else {
            for value in &self.values {
                order.extend(self.by(value, false)?);
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

    /// One row per key. Keys and arguments become plain columns first, so that nothing is
    /// computed twice and no name that a person chose can be mistaken.
    fn group(mut self, stats: &Stats) -> Result<Self, SearchError> {
        let mut inputs = Vec::new();
        let order = self.order_of_rows(&mut inputs);
        for (i, key) in stats.by.iter().enumerate() {
            inputs.push(self.compute(&key.value)?.alias(inner(i)));
        }
        let keys = stats.by.len();
        let mut outputs = Vec::new();
        for (i, figure) in stats.figures.iter().enumerate() {
            let argument = format!("a{i}");
            if let Some(of) = &figure.of {
                inputs.push(self.argument(figure.function, of)?.alias(&argument));
            }
            let input = figure.of.as_ref().map(|_| ident(argument));
            outputs.push(aggregate(figure.function, input, &order)?.alias(inner(keys + i)));
        }
        let groups: Vec<Expr> = (0..keys).map(|i| ident(inner(i))).collect();
        self = self.map(|frame| frame.select(inputs)?.aggregate(groups.clone(), outputs))?;
        let figures = stats.figures.iter().enumerate();
        let figures = figures.map(|(i, figure)| finished(figure, ident(inner(keys + i))));
        self.values = groups.iter().cloned().chain(figures).collect();
        self.scope = Pipe::Stats(stats.clone()).scope(self.scope);
        self.order = Vec::new();
        for key in &groups {
            let mut order = self.by(key, false)?;
            self.order.append(&mut order);
        }
        self.ordered = !groups.is_empty();
        Ok(self)
    }

    /// The order in which the first row is the first: of events the oldest, of a table the
    /// uppermost. What it is by becomes columns of `inputs`.
    fn order_of_rows(&self, inputs: &mut Vec<Expr>) -> Vec<SortExpr> {
        let order = match self.scope.events {
            true => [EVENT_TIME, EVENT_ID].map(|id| ident(id.column()).sort(true, false)).to_vec(),
            false => self.order.clone(),
        };
        let mut named = |(place, key): (usize, SortExpr)| {
            let name = format!("o{place}");
            inputs.push(key.expr.alias(&name));
            ident(name).sort(key.asc, key.nulls_first)
        };
        order.into_iter().enumerate().map(&mut named).collect()
    }

    /// What a function is applied to: the number in a text where the function wants numbers.
    fn argument(&self, function: Function, of: &Value) -> Result<Expr, SearchError> {
        let value = self.compute(of)?;
        Ok(match function {
            Function::Count | Function::Distinct | Function::First | Function::Last => value,
            Function::Min | Function::Max if !is_attribute(of, &self.scope) => value,
            Function::Values => {
                let text = Arc::new(|cells: &[Cell]| {
                    Shape::Text.fit(cells.first().cloned().unwrap_or(Cell::Null))
                });
                computed(vec![value], Shape::Text, "text".into(), text)
            }
            _ => number(value),
        })
    }

    /// How an expression is computed here.
    pub(crate) fn compute(&self, value: &Value) -> Result<Expr, SearchError> {
        if let Value::Field(field) = value {
            return self.value(field);
        }
        if let Some((field, span)) = span_of(value, &self.scope) {
            return Ok(bucket(self.value(field)?, span));
        }
        let program = Program::new(value, &self.scope).map_err(bad_query)?;
        let args: Result<Vec<_>, _> = program.fields().iter().map(|f| self.value(f)).collect();
        let (args, shape) = (args?, program.shape());
        let of_row = move |cells: &[Cell]| {
            program.run(&|field| cells.get(field).cloned().unwrap_or(Cell::Null))
        };
        if args.is_empty() {
            return Ok(constant(of_row(&[]), shape));
        }
        Ok(computed(args, shape, value.to_string(), Arc::new(of_row)))
    }

    /// How the value of a field is computed here.
    pub(crate) fn value(&self, field: &FieldRef) -> Result<Expr, SearchError> {
        match self.scope.find(field) {
            Place::Column(at) => Ok(self.values[at].clone()),
            Place::Event(target) => Ok(ident(columns::name(target))),
            Place::Nowhere => Err(bad_query(format!("the table has no column `{}`", field.typed))),
        }
    }

    /// Whether a filter passes a row. Never null.
    pub(crate) fn predicate(&self, filter: &Filter) -> Result<Expr, SearchError> {
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
                let record = self.value(&FieldRef::new(ORIGINAL.name()))?;
                record_test(record, check, filter.to_string(), words)
            }
            Filter::Field(field, test) => self.test(field, test, filter)?,
            Filter::Holds(value) => self.compute(value)?.is_true(),
        })
    }

    fn test(&self, field: &FieldRef, test: &Test, filter: &Filter) -> Result<Expr, SearchError> {
        let value = self.value(field)?;
        let place = self.scope.find(field);
        let check = match place {
            Place::Event(target) => Check::new(target, test),
            _ if *test == Test::Exists => Ok(Check::Exists),
            _ => TextCheck::new(test).map(Check::Text),
        };
        let fits = match check.map_err(bad_query)? {
            Check::Nothing => lit(false),
            Check::Exists => value.is_not_null(),
            Check::Range(low, high) => within(field, value, low, high),
            Check::Text(check) => text_test(value, check, filter.to_string()),
        };
        let conflicts = match place {
            Place::Event(target @ Target::Column(id)) => columns::conflicts(*id, target, test),
            _ => None,
        };
        Ok(match conflicts {
            Some((column, check)) => {
                fits.or(conflict_test(ident(column), check, filter.to_string()))
            }
            None => fits,
        })
    }

    /// The rows as they are shown, in their order, at most `limit`.
    pub(crate) fn finish(mut self, limit: Option<usize>) -> Result<DataFrame, SearchError> {
        if self.ordered || limit.is_some() && !self.order.is_empty() {
            let order = std::mem::take(&mut self.order);
            self = self.sorted(order)?;
        }
        if let Some(rows) = limit {
            self = self.map(|frame| frame.limit(0, Some(rows)))?;
        }
        let names = self.scope.names();
        let mut shown: Vec<Expr> = match self.scope.events {
            true => stored(&self.scope).into_iter().map(ident).collect(),
            false => Vec::new(),
        };
        shown.extend(self.values.into_iter().zip(&names).map(|(value, name)| value.alias(name)));
        self.frame.select(shown).map_err(failed)
    }

    /// The rows in their order with these values alone, under the names of their places.
    pub(crate) fn only(self, values: Vec<Expr>) -> Result<DataFrame, SearchError> {
        let order = self.order.clone();
        let named = values.into_iter().enumerate().map(|(i, value)| value.alias(inner(i)));
        let named: Vec<Expr> = named.collect();
        self.sorted(order)?.frame.select(named).map_err(failed)
    }
}

/// The stored columns of events that no computed one stands before.
pub(crate) fn stored(scope: &Scope) -> Vec<String> {
    let fields = schema();
    let names = fields.fields().iter().map(|field| field.name().clone());
    let is_event =
        |name: &String| matches!(scope.find(&FieldRef::new(json::name(name))), Place::Event(_));
    names.filter(is_event).collect()
}

/// The field and the width of `span(field, width)` where that is of a time and in UTC.
pub(crate) fn span_of<'v>(value: &'v Value, scope: &Scope) -> Option<(&'v FieldRef, i64)> {
    match value.args_of(SPAN)? {
        [Value::Field(field), Value::Literal(width)] if scope.shape(field) == Shape::Time => {
            let micros = width.number()? * pugmark_event::time::SECOND as f64;
            Some((field, micros.clamp(1.0, i64::MAX as f64) as i64))
        }
        _ => None,
    }
}

fn newest_first() -> Vec<SortExpr> {
    [EVENT_TIME, EVENT_ID].iter().map(|id| ident(id.column()).sort(false, false)).collect()
}

/// Name of a column inside, where names that a person chose could clash.
pub(crate) fn inner(place: usize) -> String {
    format!("c{place}")
}

fn constant(cell: Cell, shape: Shape) -> Expr {
    use datafusion::common::ScalarValue;
    let scalar = match cell {
        Cell::Text(text) => ScalarValue::Utf8(Some(text)),
        Cell::Long(long) => ScalarValue::Int64(Some(long)),
        Cell::Float(float) => ScalarValue::Float64(Some(float)),
        Cell::Bool(bool) => ScalarValue::Boolean(Some(bool)),
        Cell::Time(time) => return time_literal(time),
        Cell::Null => return cast(lit(ScalarValue::Null), data_type(shape)),
    };
    lit(scalar)
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

fn aggregate(
    function: Function,
    input: Option<Expr>,
    order: &[SortExpr],
) -> Result<Expr, SearchError> {
    let Some(input) = input else { return Ok(count(lit(1i64))) };
    // Absent values sort behind all others. A FILTER would say the same, but the builder that adds
    // one to a call drops the call's order.
    let absent_last = input.clone().is_null().sort(true, false);
    let in_order = |turned: bool| {
        let keys = order.iter().map(|key| SortExpr {
            asc: key.asc != turned,
            nulls_first: key.nulls_first != turned,
            ..key.clone()
        });
        std::iter::once(absent_last.clone()).chain(keys).collect::<Vec<_>>()
    };
    Ok(match function {
        Function::Count => count(input),
        Function::Distinct => count_distinct(input),
        Function::Sum | Function::Rate(_) => sum(input),
        Function::Avg => avg(input),
        Function::Min => min(input),
        Function::Max => max(input),
        Function::Stdev => stddev(input),
        Function::Values => array_agg(input).distinct().build().map_err(failed)?,
        Function::Percentile(percent) => {
            approx_percentile_cont(input.sort(true, false), lit(f64::from(percent) / 100.0), None)
        }
        Function::First => first_value(input, in_order(false)),
        Function::Last => first_value(input, in_order(true)),
    })
}

/// What a figure is, of what the aggregate gave.
fn finished(figure: &Aggregate, value: Expr) -> Expr {
    match figure.function {
        Function::Rate(seconds) => {
            let rate = move |cells: &[Cell]| {
                let amount = cells.first().and_then(Cell::number).unwrap_or(0.0);
                seconds.map_or(Cell::Null, |seconds| Cell::float(amount / seconds))
            };
            computed(vec![value], Shape::Float, format!("rate {seconds:?}"), Arc::new(rate))
        }
        Function::Values => list_text(value, VALUES_MAX),
        _ => value,
    }
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

pub(crate) fn bad_query(message: String) -> SearchError {
    SearchError::BadQuery(vec![Diagnostic { from: 0, to: 0, message, hint: None }])
}
