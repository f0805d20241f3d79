//! Turns: who may ask now, and who waits for how long.
//!
//! So many questions run at once, and so many of each user; the others wait. A place that becomes
//! free goes to the next user who waits, not to the oldest question: a hundred questions of one
//! user do not hold up the one of another. [`Queue`] decides that and knows neither time nor
//! tasks; [`Turns`] waits.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use axum::http::StatusCode;
use parking_lot::Mutex;
use tokio::sync::oneshot;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::error::ApiError;

/// How long a question waits for its turn.
const TURN_TIME: Duration = Duration::from_secs(20);
/// When somebody who was refused may try again.
const RETRY_SECONDS: u64 = 5;

/// How many questions run and wait. Each field is the setting of its name in `[search]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TurnLimits {
    /// Questions that run at once, of all users; at least one does.
    pub queries_max: usize,
    /// The same of one user: a person with all their sessions, or a token.
    pub queries_per_user_max: usize,
    /// Questions that wait, of all users; more are refused.
    pub waiting_max: usize,
    /// The same of one user.
    pub waiting_per_user_max: usize,
}

impl Default for TurnLimits {
    fn default() -> Self {
        Self {
            queries_max: 16,
            queries_per_user_max: 8,
            waiting_max: 512,
            waiting_per_user_max: 64,
        }
    }
}

/// What kind of question it is, the more urgent first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Class {
    /// A few events, by their ids or the newest: counted apart from the others, under the same
    /// limits, so that the event page and completion never wait behind long questions.
    Small,
    /// A question that a person waits for.
    Question,
    /// Long work. It gets a place only when no question waits for it, and never the last one,
    /// neither of all nor of its user.
    Background,
    /// A search that is asked by itself: there is one place that only such have, so that neither
    /// people nor exports that nobody reads keep schedules from being asked.
    Scheduled,
}

/// How many questions there are, and how many were refused since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct TurnCounts {
    pub(crate) running: usize,
    pub(crate) waiting: usize,
    pub(crate) refused: u64,
}

/// The places of the questions that run, and the line of those that wait. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Turns(Arc<Lines>);

#[derive(Debug)]
struct Lines {
    small: Mutex<Line>,
    others: Mutex<Line>,
    scheduled: Mutex<Line>,
}

/// Who waits is handed a [`Turn`] and not just a word: if they are gone by then it is dropped on
/// the way, and goes to the next.
type Line = Queue<oneshot::Sender<Turn>>;

/// A place among the questions that run; dropping it hands it on.
#[derive(Debug)]
pub struct Turn {
    turns: Turns,
    user: Arc<str>,
    class: Class,
}

impl Turn {
    /// The place is given up with the guard, or after this time: whoever should take the rows of
    /// an answer may never do it.
    pub(crate) fn at_most(self, time: Duration) -> DropGuard {
        let ended = CancellationToken::new();
        let guard = ended.clone().drop_guard();
        tokio::spawn(async move {
            let _ = tokio::time::timeout(time, ended.cancelled()).await;
            drop(self);
        });
        guard
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.turns.hand_on(&self.user, self.class);
    }
}

/// Somebody in the line; dropping it leaves the line.
struct Waiting<'a> {
    turns: &'a Turns,
    user: Arc<str>,
    ticket: Ticket,
    turn: oneshot::Receiver<Turn>,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.turns.line(self.ticket.0).lock().leave(&self.user, self.ticket);
    }
}

impl Turns {
    /// Turns under `limits`.
    pub(crate) fn new(limits: TurnLimits) -> Self {
        let line = |limits| Mutex::new(Queue::new(limits));
        let one = TurnLimits { queries_max: 1, queries_per_user_max: 1, ..limits };
        Self(Arc::new(Lines { small: line(limits), others: line(limits), scheduled: line(one) }))
    }

    /// Waits for a place for a question of `user`.
    ///
    /// # Errors
    /// When too many wait already, or none became free within [`TURN_TIME`].
    pub(crate) async fn take(&self, user: &str, class: Class) -> Result<Turn, ApiError> {
        let user: Arc<str> = user.into();
        let (waiter, turn) = oneshot::channel();
        // A statement of its own, so that the lock ends before anything is awaited.
        let arrived = self.line(class).lock().arrive(&user, class, waiter);
        let ticket = match arrived.map_err(|refusal| refusal.error())? {
            Arrived::Runs => return Ok(self.turn(user, class)),
            Arrived::Waits(ticket) => ticket,
        };
        let mut waiting = Waiting { turns: self, user, ticket, turn };
        match tokio::time::timeout(TURN_TIME, &mut waiting.turn).await {
            Ok(turn) => turn.map_err(ApiError::internal),
            Err(_) => Err(self.line(class).lock().give_up(&waiting.user, class).error()),
        }
    }

    /// Counts for metrics: of small questions, of scheduled searches, and of all others.
    pub(crate) fn counts(&self) -> [(&'static str, TurnCounts); 3] {
        let Lines { small, others, scheduled } = &*self.0;
        [("small", small), ("scheduled", scheduled), ("other", others)]
            .map(|(kind, line)| (kind, line.lock().counts))
    }

    fn line(&self, class: Class) -> &Mutex<Line> {
        match class {
            Class::Small => &self.0.small,
            Class::Question | Class::Background => &self.0.others,
            Class::Scheduled => &self.0.scheduled,
        }
    }

    fn turn(&self, user: Arc<str>, class: Class) -> Turn {
        Turn { turns: self.clone(), user, class }
    }

    /// Takes back a place of `user` and hands it to who is next.
    fn hand_on(&self, user: &Arc<str>, class: Class) {
        let next: Vec<_> = {
            let mut line = self.line(class).lock();
            line.end(user);
            std::iter::from_fn(|| line.next()).collect()
        };
        // Only now, without the lock: a turn that nobody takes any more is handed on here.
        for Next { user, class, waiter } in next {
            let _ = waiter.send(self.turn(user, class));
        }
    }
}

/// Class and number of a question that waits: the order among those of one user.
type Ticket = (Class, u64);

/// Places and who waits for them, of whatever kind the waiters are.
#[derive(Debug)]
struct Queue<W> {
    limits: TurnLimits,
    /// Users with questions; all others are forgotten.
    users: BTreeMap<Arc<str>, User<W>>,
    /// Users who wait, the next one first.
    ring: VecDeque<Arc<str>>,
    counts: TurnCounts,
    /// The number of the last ticket.
    last: u64,
}

/// The questions of one user.
#[derive(Debug)]
struct User<W> {
    running: usize,
    waiting: BTreeMap<Ticket, W>,
}

/// What becomes of a question that arrives.
#[derive(Debug, PartialEq, Eq)]
enum Arrived {
    /// It has a place.
    Runs,
    /// It waits.
    Waits(Ticket),
}

/// A waiting question that now has a place.
struct Next<W> {
    user: Arc<str>,
    class: Class,
    waiter: W,
}

impl<W> Queue<W> {
    fn new(limits: TurnLimits) -> Self {
        Self {
            limits,
            users: BTreeMap::new(),
            ring: VecDeque::new(),
            counts: TurnCounts::default(),
            last: 0,
        }
    }

    /// A question comes. Nobody who waits could use the place that it gets: each place was offered
    /// to all of them when it became free.
    fn arrive(&mut self, user: &Arc<str>, class: Class, waiter: W) -> Result<Arrived, Refusal> {
        if self.obstacle(user, class).is_none() {
            self.start(user);
            return Ok(Arrived::Runs);
        }
        let waiting = self.users.get(user).map_or(0, |known| known.waiting.len());
        if waiting >= self.limits.waiting_per_user_max {
            return Err(self.refuse(Limit::WaitingPerUser));
        }
        if self.counts.waiting >= self.limits.waiting_max {
            return Err(self.refuse(Limit::Waiting));
        }
        if waiting == 0 {
            self.ring.push_back(user.clone());
        }
        self.last += 1;
        let ticket = (class, self.last);
        self.counts.waiting += 1;
        self.user(user).waiting.insert(ticket, waiter);
        Ok(Arrived::Waits(ticket))
    }

    /// The question that is next, if one may run now. It has a place from now on.
    fn next(&mut self) -> Option<Next<W>> {
        let may_run = |(at, user): (usize, &Arc<str>)| {
            let ((class, _), _) = self.users.get(user)?.waiting.first_key_value()?;
            self.obstacle(user, *class).is_none().then_some((*class, at))
        };
        // The first in the ring of the most urgent class.
        let (class, at) = self.ring.iter().enumerate().filter_map(may_run).min()?;
        let user = self.ring.remove(at)?;
        let known = self.users.get_mut(&user)?;
        let (_, waiter) = known.waiting.pop_first()?;
        if !known.waiting.is_empty() {
            self.ring.push_back(user.clone());
        }
        self.counts.waiting -= 1;
        self.start(&user);
        Some(Next { user, class, waiter })
    }

    /// A question that ran has ended.
    fn end(&mut self, user: &Arc<str>) {
        self.counts.running -= 1;
        self.user(user).running -= 1;
        self.forget_idle(user);
    }

    /// A question stops waiting. Nothing happens when it has a place already.
    fn leave(&mut self, user: &Arc<str>, ticket: Ticket) {
        let Some(known) = self.users.get_mut(user) else { return };
        if known.waiting.remove(&ticket).is_none() {
            return;
        }
        self.counts.waiting -= 1;
        if known.waiting.is_empty() {
            self.ring.retain(|other| other != user);
        }
        self.forget_idle(user);
    }

    /// Why a question of `user` that has waited for too long got no place.
    fn give_up(&mut self, user: &Arc<str>, class: Class) -> Refusal {
        let limit = self.obstacle(user, class).unwrap_or(Limit::Running);
        self.refuse(limit)
    }

    /// What keeps a question from running now.
    fn obstacle(&self, user: &Arc<str>, class: Class) -> Option<Limit> {
        let room = |places: usize| match class {
            Class::Small | Class::Question | Class::Scheduled => places.max(1),
            Class::Background => places.saturating_sub(1).max(1),
        };
        let running = self.users.get(user).map_or(0, |known| known.running);
        if running >= room(self.limits.queries_per_user_max) {
            Some(Limit::RunningPerUser)
        } else if self.counts.running >= room(self.limits.queries_max) {
            Some(Limit::Running)
        } else {
            None
        }
    }

    fn start(&mut self, user: &Arc<str>) {
        self.counts.running += 1;
        self.user(user).running += 1;
    }

    fn refuse(&mut self, limit: Limit) -> Refusal {
        self.counts.refused += 1;
        Refusal { limit, limits: self.limits }
    }

    fn user(&mut self, user: &Arc<str>) -> &mut User<W> {
        let new = || User { running: 0, waiting: BTreeMap::new() };
        self.users.entry(user.clone()).or_insert_with(new)
    }

    fn forget_idle(&mut self, user: &Arc<str>) {
        let idle = |known: &User<W>| known.running == 0 && known.waiting.is_empty();
        if self.users.get(user).is_some_and(idle) {
            self.users.remove(user);
        }
    }
}

/// What stands in the way of a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Limit {
    Running,
    RunningPerUser,
    Waiting,
    WaitingPerUser,
}

/// A question that gets no turn, with the limits of that moment.
#[derive(Debug, PartialEq, Eq)]
struct Refusal {
    limit: Limit,
    limits: TurnLimits,
}

impl Refusal {
    /// 429 when it is up to the user, 503 when it is up to all.
    fn error(&self) -> ApiError {
        let TurnLimits { queries_max, queries_per_user_max, .. } = self.limits;
        let TurnLimits { waiting_max, waiting_per_user_max, .. } = self.limits;
        let waited = TURN_TIME.as_secs();
        let (status, message, setting) = match self.limit {
            Limit::Running => (
                StatusCode::SERVICE_UNAVAILABLE,
                format!("for {waited} s the server had as many questions as run at once"),
                format!("search.queries_max = {queries_max}"),
            ),
            Limit::RunningPerUser => (
                StatusCode::TOO_MANY_REQUESTS,
                format!("for {waited} s you had as many questions as one user may run at once"),
                format!("search.queries_per_user_max = {queries_per_user_max}"),
            ),
            Limit::Waiting => (
                StatusCode::SERVICE_UNAVAILABLE,
                "too many questions wait for their turn".to_string(),
                format!("search.waiting_max = {waiting_max}"),
            ),
            Limit::WaitingPerUser => (
                StatusCode::TOO_MANY_REQUESTS,
                "too many of your questions wait for their turn".to_string(),
                format!("search.waiting_per_user_max = {waiting_per_user_max}"),
            ),
        };
        let hint = match self.limit {
            Limit::Running | Limit::Waiting => "ask again in a moment, or raise this setting",
            Limit::RunningPerUser | Limit::WaitingPerUser => {
                "stop some of your questions or wait for their end, or raise this setting"
            }
        };
        ApiError::new(status, "busy", format!("{message} ({setting})"))
            .hint(hint)
            .retry_after(RETRY_SECONDS)
    }
}

#[cfg(test)]
mod tests;
