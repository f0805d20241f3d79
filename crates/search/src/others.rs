//! What a question needs beside its own rows: the rows of questions in it, and kept tables.

use std::collections::HashMap;
use std::sync::Arc;

use datafusion::execution::memory_pool::MemoryReservation;
use pugmark_event::time::Micros;
use pugmark_query::eval::{Known, LookupTable, Table, Tables, no_table};
use pugmark_query::{Pipe, Plan};

/// A question inside of another, and how much earlier it is asked.
pub(crate) type Inner = (Plan, Micros);

/// The questions that `plan` needs the rows of.
pub(crate) fn inner(plan: &Plan) -> Vec<Inner> {
    let one = |(place, pipe): (usize, &Pipe)| match pipe {
        Pipe::Join(join) => Some((Plan::clone(&join.plan), 0)),
        Pipe::Union(other) => Some((Plan::clone(other), 0)),
        Pipe::Compare(compare) => {
            let pipes = plan.pipes[..place].to_vec();
            Some((Plan { filter: plan.filter.clone(), pipes }, compare.shift))
        }
        _ => None,
    };
    plan.pipes.iter().enumerate().filter_map(one).collect()
}

/// The answer to an inner question. Its memory is counted as long as it is held.
pub(crate) struct Answered {
    pub(crate) question: Inner,
    pub(crate) table: Arc<Table>,
    /// That of the table.
    pub(crate) _memory: MemoryReservation,
}

/// The answers to inner questions, and the kept tables that a plan names.
#[derive(Clone)]
pub(crate) struct Others {
    answers: Arc<[Answered]>,
    tables: HashMap<String, Arc<dyn LookupTable>>,
    names: Vec<String>,
}

impl Others {
    pub(crate) fn new(plan: &Plan, tables: &dyn Tables, answers: Vec<Answered>) -> Self {
        let named = plan.pipes.iter().filter_map(|pipe| match pipe {
            Pipe::Lookup(lookup) => Some(lookup.table.clone()),
            _ => None,
        });
        let tables_of = named.filter_map(|name| Some((name.clone(), tables.table(&name)?)));
        let answers = answers.into();
        Self { answers, tables: tables_of.collect(), names: tables.names() }
    }
}

impl Known for Others {
    fn rows(&self, plan: &Plan, shift: Micros) -> Result<Arc<Table>, String> {
        let is_it = |answered: &&Answered| {
            let (asked, by) = &answered.question;
            *by == shift && asked == plan
        };
        let found = self.answers.iter().find(is_it);
        Ok(found.ok_or("the rows of the other query were not asked for")?.table.clone())
    }

    fn table(&self, name: &str) -> Result<Arc<dyn LookupTable>, String> {
        self.tables.get(name).cloned().ok_or_else(|| no_table(name, &self.names))
    }
}
