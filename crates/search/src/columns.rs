//! Which columns a question names, so that nothing else is read and planned.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use pugmark_event::FieldId;
use pugmark_event::batch::schema;
use pugmark_event::conflict::{self, CONFLICTS_PREFIX};
use pugmark_event::fields::{EVENT_ID, EVENT_TIME, ORIGINAL};
use pugmark_query::check::TextCheck;
use pugmark_query::plan::ATTRIBUTES_PREFIX;
use pugmark_query::scope::{Place, Scope};
use pugmark_query::{Aggregate, Expr, FieldRef, Filter, Kind, Named, Pipe, Plan, Target, Test};

/// The column that holds the values of a field.
pub(crate) fn name(target: &Target) -> String {
    match target {
        Target::Column(id) => id.column().to_string(),
        Target::Attribute(name) => format!("{ATTRIBUTES_PREFIX}{name}"),
    }
}

/// The column of a field's values that did not fit, and what they must pass; `None` when none can
/// pass `test`.
pub(crate) fn conflicts(id: FieldId, target: &Target, test: &Test) -> Option<(String, TextCheck)> {
    let check = TextCheck::of_conflicts(target, test)?;
    Some((format!("{CONFLICTS_PREFIX}{}", id.column()), check))
}

/// All that the answer to `plan` is made of, once the store has applied the filter.
pub(crate) fn of_plan(plan: &Plan) -> SchemaRef {
    let mut columns = Columns { fields: Vec::new(), scope: Scope::events() };
    if plan.kind() == Kind::Events {
        columns.fields = schema().fields().to_vec();
    }
    columns.add(&Target::Column(EVENT_TIME));
    columns.add(&Target::Column(EVENT_ID));
    for pipe in &plan.pipes {
        columns.pipe(pipe);
        columns.scope = pipe.scope(columns.scope);
        if !columns.scope.events {
            break;
        }
    }
    Arc::new(Schema::new(columns.fields))
}

struct Columns {
    fields: Vec<Arc<Field>>,
    /// What names stand for before the pipe.
    scope: Scope,
}

impl Columns {
    fn push(&mut self, name: String, kind: impl FnOnce() -> DataType) {
        if !self.fields.iter().any(|f| *f.name() == name) {
            self.fields.push(Arc::new(Field::new(name, kind(), true)));
        }
    }

    fn add(&mut self, target: &Target) {
        self.push(name(target), || match target {
            Target::Column(id) => id.field().kind.data_type(),
            Target::Attribute(_) => DataType::Utf8,
        });
    }

    fn field(&mut self, field: &FieldRef) {
        if let Place::Event(target) = self.scope.find(field) {
            self.add(target);
        }
    }

    fn all(&mut self, fields: &[FieldRef]) {
        fields.iter().for_each(|field| self.field(field));
    }

    fn expr(&mut self, expr: &Expr) {
        let mut fields = Vec::new();
        expr.fields(&mut fields);
        fields.into_iter().for_each(|field| self.field(field));
    }

    fn named(&mut self, list: &[Named]) {
        list.iter().for_each(|named| self.expr(&named.value));
    }

    fn figures(&mut self, figures: &[Aggregate]) {
        figures.iter().flat_map(|figure| &figure.of).for_each(|of| self.expr(of));
    }

    fn filter(&mut self, filter: &Filter) {
        match filter {
            Filter::All => {}
            Filter::And(parts) | Filter::Or(parts) => {
                parts.iter().for_each(|part| self.filter(part));
            }
            Filter::Not(part) => self.filter(part),
            Filter::Words(_) => self.field(&FieldRef::new(ORIGINAL.name())),
            Filter::Holds(expr) => self.expr(expr),
            Filter::Field(field, test) => {
                self.field(field);
                if let Place::Event(target @ Target::Column(id)) = self.scope.find(field)
                    && let Some((column, _)) = conflicts(*id, target, test)
                {
                    self.push(column, conflict::data_type);
                }
            }
        }
    }

    fn pipe(&mut self, pipe: &Pipe) {
        match pipe {
            Pipe::Where(filter) => self.filter(filter),
            Pipe::Extend(list) => {
                // Each is computed of what those before it left.
                let before = self.scope.clone();
                for named in list {
                    self.expr(&named.value);
                    let one = Pipe::Extend(vec![named.clone()]);
                    self.scope = one.scope(self.scope.clone());
                }
                self.scope = before;
            }
            Pipe::Select(list) => self.named(list),
            Pipe::Stats(stats) => {
                self.named(&stats.by);
                self.figures(&stats.figures);
            }
            Pipe::Sort(keys) => keys.iter().for_each(|key| self.field(&key.field)),
            Pipe::Dedup { by, .. } => self.all(by),
            Pipe::Expand(field) => self.field(field),
            Pipe::Lookup(lookup) => self.field(&lookup.key),
            Pipe::Join(join) => join.on.iter().for_each(|(here, _)| self.field(here)),
            Pipe::Transaction(transaction) => {
                self.all(&transaction.by);
                self.figures(&transaction.figures);
            }
            Pipe::Sequence(sequence) => {
                self.all(&sequence.by);
                sequence.steps.iter().for_each(|step| self.filter(step));
            }
            Pipe::Patterns(patterns) => self.all(&patterns.fields()),
            Pipe::Head(_)
            | Pipe::Tail(_)
            | Pipe::Sample { .. }
            | Pipe::Union(_)
            | Pipe::Compare(_)
            | Pipe::Baseline(_)
            | Pipe::Outlier(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(query: &str, expected: &str) {
        let plan = pugmark_query::parse(query).unwrap_or_else(|e| panic!("{query}: {e:?}"));
        let schema = of_plan(&plan);
        let names: Vec<&str> = schema.fields().iter().map(|f| f.name().as_str()).collect();
        assert_eq!(names.join(" "), expected, "{query}");
    }

    #[test]
    fn only_what_is_named() {
        check("* | stats count()", "event_time event_id");
        check("a user:b | stats sum(x) by host", "event_time event_id host_name attributes.x");
        check(
            "* | where not x:1 or time:* a user:b | sort -y | head 3 | fields z, user",
            "event_time event_id attributes.x event_original user_name conflicts.user_name \
             attributes.y attributes.z",
        );
        check("* | timechart max(a) by b", "event_time event_id attributes.b attributes.a");
        check(
            "* | eval a = b + 1, c = a * 2 | where c > d | stats sum(a)",
            "event_time event_id attributes.b attributes.d",
        );
        check(
            "* | transaction values(x) by y | where duration > 1 | fields y",
            "event_time event_id attributes.y attributes.x",
        );
        let plan = pugmark_query::parse("x:1 | where y:1 source.port:22").unwrap();
        assert_eq!(of_plan(&plan).fields().len(), schema().fields().len() + 2);
    }
}
