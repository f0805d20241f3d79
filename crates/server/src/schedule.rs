//! Scheduled searches have a place of their own among the questions.

use std::sync::Arc;

use futures::FutureExt;
use futures::future::BoxFuture;
use pugmark_engine::schedule::Turns;

use crate::App;
use crate::turns::Class;

/// Under which scheduled searches are counted. No account can have a name with a blank.
const ACCOUNT: &str = "scheduled searches";

impl App {
    /// Runs saved searches as their schedules say, until the engine stops. To be called once,
    /// within a tokio runtime.
    pub fn run_searches(&self) {
        self.engine.schedule(Arc::new(self.clone()));
    }
}

impl Turns for App {
    fn turn(&self) -> BoxFuture<'_, Option<Box<dyn Send>>> {
        async {
            let turn = self.turns.take(ACCOUNT, Class::Scheduled).await.ok()?;
            Some(Box::new(turn) as Box<dyn Send>)
        }
        .boxed()
    }
}
