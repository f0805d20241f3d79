//! Which retention class an event belongs to, as the settings say: by source and by query.
//!
//! Classes are asked in the order of the settings; the first that wants an event has it. An event
//! is judged once, when it is written into a segment: settings that change later hold for what
//! arrives then.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{Array, BooleanArray};
use globset::{Glob, GlobSet, GlobSetBuilder};
use pugmark_event::{Batch, fields};
use pugmark_query::eval::Matcher;
use pugmark_store::{Class, ClassError, ClassId, Classes, Classify, DEFAULT_CLASS};

/// A class as the settings have it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ClassSettings {
    /// Its name.
    pub class: String,
    /// Names of sources, with `*` for any part. Empty: all sources.
    pub sources: Vec<String>,
    /// A query that an event must meet. Empty: all events.
    pub query: String,
    /// Days on the local disk. `None`: for ever.
    pub days_hot: Option<u32>,
    /// Days in all. `None`: for ever.
    pub days_total: Option<u32>,
    /// Nothing of it may be deleted.
    pub hold: bool,
}

/// Why retention classes cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RetentionError {
    /// The classes contradict each other.
    #[error(transparent)]
    Classes(#[from] ClassError),
    /// A source pattern is none.
    #[error("the retention class {class}: {pattern:?} is no pattern for sources: {message}")]
    Source {
        /// The class.
        class: String,
        /// The pattern.
        pattern: String,
        /// What is wrong with it.
        message: String,
    },
    /// A query is none, or asks for more than which events.
    #[error("the retention class {class}: the query {query:?} cannot be used: {message}")]
    Query {
        /// The class.
        class: String,
        /// The query.
        query: String,
        /// What is wrong with it.
        message: String,
    },
    /// A class that takes everything hides those after it.
    #[error(
        "the retention class {0} wants every event, so that no other class gets any: name its \
         sources or a query, or call it {DEFAULT_CLASS}"
    )]
    Everything(String),
    /// The class of the rest has conditions.
    #[error(
        "the retention class {DEFAULT_CLASS} takes what no other class wants: give it neither \
         sources nor a query"
    )]
    DefaultWithConditions,
}

/// The classes of the settings, and what tells events apart by them.
///
/// # Errors
/// When they cannot be used; see [`RetentionError`].
pub fn build(settings: &[ClassSettings]) -> Result<(Classes, Arc<dyn Classify>), RetentionError> {
    let class = |class: &ClassSettings| Class {
        name: class.class.as_str().into(),
        days_hot: class.days_hot,
        days_total: class.days_total,
        hold: class.hold,
    };
    let classes = Classes::new(settings.iter().map(class).collect())?;
    let mut tests = Vec::new();
    for class in settings {
        let everything = class.sources.is_empty() && class.query.trim().is_empty();
        match (class.class == DEFAULT_CLASS, everything) {
            (true, true) => continue,
            (true, false) => return Err(RetentionError::DefaultWithConditions),
            (false, true) => return Err(RetentionError::Everything(class.class.clone())),
            (false, false) => tests.push(Test::new(class)?),
        }
    }
    let names = classes.list().iter().map(|class| class.name.clone()).collect();
    Ok((classes, Arc::new(BySettings { names, tests })))
}

/// Asks the classes in order.
#[derive(Debug)]
struct BySettings {
    names: Vec<Arc<str>>,
    /// For every class but the last.
    tests: Vec<Test>,
}

/// What a class wants.
#[derive(Debug)]
struct Test {
    /// `None`: all sources.
    sources: Option<GlobSet>,
    /// `None`: all events.
    query: Option<Matcher>,
}

impl Test {
    fn new(class: &ClassSettings) -> Result<Self, RetentionError> {
        Ok(Self { sources: sources(class)?, query: query(class)? })
    }

    fn wants_source(&self, source: &str) -> bool {
        self.sources.as_ref().is_none_or(|sources| sources.is_match(source))
    }
}

fn sources(class: &ClassSettings) -> Result<Option<GlobSet>, RetentionError> {
    if class.sources.is_empty() {
        return Ok(None);
    }
    let failed = |pattern: &str, error: globset::Error| RetentionError::Source {
        class: class.class.clone(),
        pattern: pattern.to_string(),
        message: error.kind().to_string(),
    };
    let mut set = GlobSetBuilder::new();
    for pattern in &class.sources {
        set.add(Glob::new(pattern).map_err(|error| failed(pattern, error))?);
    }
    Ok(Some(set.build().map_err(|error| failed(&class.sources.join(", "), error))?))
}

fn query(class: &ClassSettings) -> Result<Option<Matcher>, RetentionError> {
    if class.query.trim().is_empty() {
        return Ok(None);
    }
    let failed = |message: String| RetentionError::Query {
        class: class.class.clone(),
        query: class.query.clone(),
        message,
    };
    let plan = pugmark_query::parse(&class.query).map_err(|faults| {
        failed(faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))
    })?;
    if !plan.pipes.is_empty() {
        return Err(failed("it may only say which events; leave out `|` and what follows".into()));
    }
    Ok(Some(Matcher::new(&plan.filter)))
}

impl Classify for BySettings {
    fn names(&self) -> &[Arc<str>] {
        &self.names
    }

    fn classes(&self, batch: &Batch) -> Vec<ClassId> {
        let rest = ClassId(self.tests.len() as u16);
        let mut classes = vec![None; batch.rows()];
        let sources = SourceRows::of(batch);
        for (place, test) in self.tests.iter().enumerate() {
            let wanted = sources.wanted(test);
            // A query is asked only for rows that are still free.
            let open: BooleanArray =
                (0..batch.rows()).map(|row| Some(wanted[row] && classes[row].is_none())).collect();
            let rows: Vec<usize> = (0..batch.rows()).filter(|row| open.value(*row)).collect();
            if rows.is_empty() {
                continue;
            }
            let passed = match &test.query {
                None => None,
                Some(query) => match batch.filter(&open) {
                    Ok(open) => Some(query.matches(&open)),
                    // It cannot be: the mask has the length of the batch.
                    Err(error) => {
                        tracing::error!(%error, "BUG: events cannot be told apart by class");
                        continue;
                    }
                },
            };
            for (at, row) in rows.into_iter().enumerate() {
                if passed.as_ref().is_none_or(|passed| passed.is_valid(at) && passed.value(at)) {
                    classes[row] = Some(ClassId(place as u16));
                }
            }
        }
        classes.into_iter().map(|class| class.unwrap_or(rest)).collect()
    }
}

/// The source of each row, each different source once.
struct SourceRows<'a> {
    names: Vec<&'a str>,
    rows: Vec<usize>,
}

impl<'a> SourceRows<'a> {
    fn of(batch: &'a Batch) -> Self {
        let column = batch.text(fields::EVENT_SOURCE);
        let mut places: HashMap<&str, usize> = HashMap::new();
        let mut names = Vec::new();
        let rows = (0..batch.rows())
            .map(|row| {
                let name = column.filter(|c| c.is_valid(row)).map_or("", |c| c.value(row));
                *places.entry(name).or_insert_with(|| {
                    names.push(name);
                    names.len() - 1
                })
            })
            .collect();
        Self { names, rows }
    }

    /// For every row whether its source is one of the test's.
    fn wanted(&self, test: &Test) -> Vec<bool> {
        let wanted: Vec<bool> = self.names.iter().map(|name| test.wants_source(name)).collect();
        self.rows.iter().map(|place| wanted[*place]).collect()
    }
}

#[cfg(test)]
mod tests {
    use pugmark_event::{BatchBuilder, Value};

    use super::*;

    fn class(name: &str, sources: &[&str], query: &str) -> ClassSettings {
        ClassSettings {
            class: name.into(),
            sources: sources.iter().map(ToString::to_string).collect(),
            query: query.into(),
            ..ClassSettings::default()
        }
    }

    fn settings() -> Vec<ClassSettings> {
        vec![
            class("audit", &["auth*"], "event.outcome:failure"),
            class("web", &["web-*", "cdn"], ""),
            class("errors", &[], "http.response.status_code:>=500"),
        ]
    }

    /// Events of several sources: source, outcome, status.
    fn batch(rows: &[(&str, &str, i64)]) -> Batch {
        let batches: Vec<Batch> = rows
            .iter()
            .enumerate()
            .map(|(id, (source, outcome, status))| {
                let mut builder = BatchBuilder::new(source, 0);
                builder.begin(id as i64, b"x");
                builder.set(fields::EVENT_OUTCOME, Value::Text(outcome));
                builder.long(fields::HTTP_STATUS, *status);
                builder.end(Some(0));
                builder.finish().unwrap()
            })
            .collect();
        Batch::concat(&batches).unwrap()
    }

    #[track_caller]
    fn check(rows: &[(&str, &str, i64)], expected: &[&str]) {
        let (_, classify) = build(&settings()).unwrap();
        let classes = classify.classes(&batch(rows));
        let names: Vec<&str> =
            classes.iter().map(|id| &*classify.names()[usize::from(id.0)]).collect();
        assert_eq!(names, expected);
    }

    #[test]
    fn the_first_class_that_wants_an_event_has_it() {
        check(&[("auth-1", "failure", 500)], &["audit"]);
        check(&[("auth-1", "success", 500), ("cdn", "failure", 500)], &["errors", "web"]);
        check(
            &[("web-1", "failure", 200), ("db", "failure", 200), ("db", "failure", 503)],
            &["web", "default", "errors"],
        );
    }

    #[test]
    fn without_settings_there_is_one_class() {
        let (classes, classify) = build(&[]).unwrap();
        assert_eq!(classes, Classes::default());
        assert_eq!(classify.classes(&batch(&[("a", "", 1), ("b", "", 2)])), [ClassId(0); 2]);
    }

    #[track_caller]
    fn check_refused(class: ClassSettings, expected: &str) {
        let error = build(&[class]).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }

    #[test]
    fn mistakes_say_what_would_be_right() {
        check_refused(class("a", &[], " "), "wants every event");
        check_refused(class("default", &["a"], ""), "neither sources nor a query");
        check_refused(class("a", &["[x"], ""), "is no pattern for sources: unclosed character");
        check_refused(class("a", &[], "user.name:a | head 3"), "leave out `|`");
        check_refused(class("a", &[], "user.name:("), "the query \"user.name:(\" cannot be used");
        check_refused(class("A b", &["x"], ""), "is no name for a retention class");
    }
}
