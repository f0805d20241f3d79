//! Which columns a question names, so that nothing else is read and planned.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use pugmark_event::FieldId;
use pugmark_event::batch::schema;
use pugmark_event::conflict::{self, CONFLICTS_PREFIX};
use pugmark_event::fields::{EVENT_ID, EVENT_TIME, ORIGINAL};
use pugmark_query::check::TextCheck;
use pugmark_query::plan::ATTRIBUTES_PREFIX;
use pugmark_query::{FieldRef, Filter, Kind, Pipe, Plan, Target, Test};

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
    let mut columns = Columns::default();
    if plan.kind() == Kind::Events {
        columns.fields = schema().fields().to_vec();
    }
    columns.add(&Target::Column(EVENT_TIME));
    columns.add(&Target::Column(EVENT_ID));
    for pipe in &plan.pipes {
        columns.pipe(pipe);
        if pipe.makes_table() {
            break;
        }
    }
    Arc::new(Schema::new(columns.fields))
}

#[derive(Default)]
struct Columns {
    fields: Vec<Arc<Field>>,
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

    fn all(&mut self, fields: &[FieldRef]) {
        fields.iter().for_each(|field| self.add(&field.target));
    }

    fn filter(&mut self, filter: &Filter) {
        match filter {
            Filter::All => {}
            Filter::And(parts) | Filter::Or(parts) => {
                parts.iter().for_each(|part| self.filter(part));
            }
            Filter::Not(part) => self.filter(part),
            Filter::Words(_) => self.add(&Target::Column(ORIGINAL)),
            Filter::Field(field, test) => {
                self.add(&field.target);
                if let Target::Column(id) = field.target
                    && let Some((column, _)) = conflicts(id, &field.target, test)
                {
                    self.push(column, conflict::data_type);
                }
            }
        }
    }

    fn pipe(&mut self, pipe: &Pipe) {
        match pipe {
            Pipe::Where(filter) => self.filter(filter),
            Pipe::Head(_) => {}
            Pipe::Sort(keys) => keys.iter().for_each(|key| self.add(&key.field.target)),
            Pipe::Fields(fields) | Pipe::Top { fields, .. } => self.all(fields),
            Pipe::Stats { aggregates, by } => {
                self.all(by);
                aggregates.iter().flat_map(|a| &a.field).for_each(|f| self.add(&f.target));
            }
            Pipe::Timechart { aggregates, by, .. } => {
                by.iter().for_each(|field| self.add(&field.target));
                aggregates.iter().flat_map(|a| &a.field).for_each(|f| self.add(&f.target));
            }
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
        let plan = pugmark_query::parse("x:1 | where y:1 source.port:22").unwrap();
        assert_eq!(of_plan(&plan).fields().len(), schema().fields().len() + 2);
    }
}
