//! Scheduled searches wait for a place among the questions like everybody else.

use std::sync::Arc;

use futures::FutureExt;
use futures::future::BoxFuture;
use pugmark_engine::schedule::Turns;

use crate::App;

impl App {
    /// Runs saved searches as their schedules say, until the engine stops. To be called once,
    /// within a tokio runtime.
    pub fn run_searches(&self) {
        self.engine.schedule(Arc::new(self.clone()));
    }
}

impl Turns for App {
    fn turn(&self) -> BoxFuture<'_, Option<Box<dyn Send>>> {
        // Places are given in the order in which they are asked for: people who wait go first.
        async { App::turn(self).await.ok().map(|turn| Box::new(turn) as Box<dyn Send>) }.boxed()
    }
}
