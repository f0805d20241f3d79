//! The line by itself, then with those who wait in it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures::poll;
use proptest::prelude::*;

use super::*;

/// A queue whose waiters are names of questions, the first letter of which is their user.
struct World {
    queue: Queue<String>,
    running: Vec<String>,
    waiting: BTreeMap<String, Ticket>,
    /// What started, in order; with a `!` what was refused.
    log: Vec<String>,
}

fn user(name: &str) -> Arc<str> {
    name[..1].into()
}

fn limits(of: [usize; 4]) -> TurnLimits {
    let [queries_max, queries_per_user_max, waiting_max, waiting_per_user_max] = of;
    TurnLimits { queries_max, queries_per_user_max, waiting_max, waiting_per_user_max }
}

impl World {
    fn new(of: [usize; 4]) -> Self {
        let queue = Queue::new(limits(of));
        Self { queue, running: Vec::new(), waiting: BTreeMap::new(), log: Vec::new() }
    }

    /// `+a1`: a question of a user; `~a1`: the same in the background; `-a1`: it ends or leaves.
    fn step(&mut self, step: &str) {
        let (what, name) = step.split_at(1);
        match what {
            "+" => self.arrive(name, Class::Question),
            "~" => self.arrive(name, Class::Background),
            _ => self.go(name),
        }
    }

    fn arrive(&mut self, name: &str, class: Class) {
        match self.queue.arrive(&user(name), class, name.to_string()) {
            Ok(Arrived::Runs) => self.start(name.to_string()),
            Ok(Arrived::Waits(ticket)) => {
                self.waiting.insert(name.to_string(), ticket);
            }
            Err(_) => self.log.push(format!("!{name}")),
        }
    }

    fn go(&mut self, name: &str) {
        if let Some(ticket) = self.waiting.remove(name) {
            return self.queue.leave(&user(name), ticket);
        }
        let Some(place) = self.running.iter().position(|running| running == name) else { return };
        self.running.remove(place);
        self.queue.end(&user(name));
        while let Some(next) = self.queue.next() {
            assert_eq!(*next.user, *user(&next.waiter));
            let (class, _) = self.waiting.remove(&next.waiter).expect("it waits");
            assert_eq!(class, next.class);
            self.start(next.waiter);
        }
    }

    fn start(&mut self, name: String) {
        self.log.push(name.clone());
        self.running.push(name);
    }

    fn running_of(&self, of: &Arc<str>) -> usize {
        self.running.iter().filter(|name| user(name) == *of).count()
    }

    /// What holds after every step.
    fn check(&self) {
        let TurnLimits { queries_max, queries_per_user_max, .. } = self.queue.limits;
        let TurnLimits { waiting_max, waiting_per_user_max, .. } = self.queue.limits;
        let TurnCounts { running, waiting, .. } = self.queue.counts;
        assert_eq!((running, waiting), (self.running.len(), self.waiting.len()));
        assert!(running <= queries_max.max(1) && waiting <= waiting_max);
        for (name, known) in &self.queue.users {
            assert_eq!(known.running, self.running_of(name));
            assert!(known.running <= queries_per_user_max.max(1), "{name}");
            assert!(known.waiting.len() <= waiting_per_user_max, "{name}");
            assert!(known.running + known.waiting.len() > 0, "{name} is not forgotten");
            let in_ring = self.queue.ring.iter().filter(|other| *other == name).count();
            assert_eq!(in_ring, usize::from(!known.waiting.is_empty()), "{name}");
        }
        for (name, (class, _)) in &self.waiting {
            assert!(self.queue.obstacle(&user(name), *class).is_some(), "{name} could run");
        }
    }
}

#[track_caller]
fn check(of: [usize; 4], steps: &str, expected: &str) {
    let mut world = World::new(of);
    for step in steps.split_whitespace() {
        world.step(step);
        world.check();
    }
    assert_eq!(world.log.join(" "), expected, "{steps}");
}

#[test]
fn places_go_to_users_in_turn() {
    check([2, 2, 9, 9], "+a1 +a2 +a3 +a4 +b1 -a1 -a2 -a3", "a1 a2 a3 b1 a4");
    check([1, 1, 9, 9], "+a1 +a2 +b1 -a1 +c1 +a3 -a2 -b1 -c1", "a1 a2 b1 c1 a3");
}

#[test]
fn a_user_with_all_their_places_holds_up_nobody() {
    check([2, 1, 9, 9], "+a1 +a2 +b1 +c1 -b1 -a1", "a1 b1 c1 a2");
}

#[test]
fn whoever_leaves_the_line_takes_nothing_along() {
    check([1, 1, 9, 9], "+a1 +b1 +c1 -b1 -a1", "a1 c1");
    check([1, 1, 9, 9], "+a1 +b1 -b1 -a1 +b2", "a1 b2");
}

#[test]
fn long_work_leaves_a_place_free_and_comes_last() {
    check([3, 2, 9, 9], "~a1 ~a2 +a3 -a3 -a1", "a1 a3 a2");
    check([2, 2, 9, 9], "~a1 ~b1 +c1 -a1 -c1", "a1 c1 b1");
    check([1, 1, 9, 9], "+a1 ~b1 +c1 -a1 -c1", "a1 c1 b1");
    check([1, 1, 9, 9], "+a1 ~a2 +a3 -a1 -a3", "a1 a3 a2");
}

#[test]
fn lines_have_an_end() {
    check([1, 1, 2, 1], "+a1 +a2 +a3 +b1 +c1", "a1 !a3 !c1");
    check([0, 0, 0, 0], "+a1 +b1 -a1 +b2", "a1 !b1 b2");
}

#[test]
fn a_refusal_names_the_setting() {
    for (limit, status, setting) in [
        (Limit::Running, 503, "search.queries_max = 1)"),
        (Limit::RunningPerUser, 429, "search.queries_per_user_max = 2)"),
        (Limit::Waiting, 503, "search.waiting_max = 3)"),
        (Limit::WaitingPerUser, 429, "search.waiting_per_user_max = 4)"),
    ] {
        let (code, words) = Refusal { limit, limits: limits([1, 2, 3, 4]) }.error().spoken();
        assert_eq!(code.as_u16(), status, "{words}");
        assert!(words.contains(setting), "{words}");
    }
}

proptest! {
    /// Whatever comes and goes: places are never too many, none is lost, and nobody waits who
    /// could run.
    #[test]
    fn places_are_neither_lost_nor_made(
        of in [0usize..5, 0..4, 0..8, 0..5],
        steps in prop::collection::vec((0usize..3, 0usize..4, 0usize..12), 0..200),
    ) {
        let mut world = World::new(of);
        for (at, (kind, user, other)) in steps.into_iter().enumerate() {
            let here = world.running.iter().chain(world.waiting.keys());
            let here: Vec<&String> = here.collect();
            let step = match kind {
                0 => format!("+{}{at}", ["a", "b", "c", "d"][user]),
                1 => format!("~{}{at}", ["a", "b", "c", "d"][user]),
                _ if here.is_empty() => continue,
                _ => format!("-{}", here[other % here.len()]),
            };
            world.step(&step);
            world.check();
        }
        while let Some(name) = world.running.first().cloned() {
            world.go(&name);
            world.check();
        }
        prop_assert!(world.waiting.is_empty(), "{:?}", world.waiting);
        prop_assert!(world.queue.users.is_empty() && world.queue.ring.is_empty());
    }
}

fn running_and_waiting(turns: &Turns) -> (usize, usize) {
    let [.., (_, TurnCounts { running, waiting, .. })] = turns.counts();
    (running, waiting)
}

#[tokio::test]
async fn a_place_is_not_lost_on_its_way() {
    let turns = Turns::new(limits([1, 1, 9, 9]));
    let first = turns.take("a", Class::Question).await.unwrap();
    let mut second = Box::pin(turns.take("b", Class::Question));
    let mut third = Box::pin(turns.take("c", Class::Question));
    let mut fourth = Box::pin(turns.take("d", Class::Question));
    for waiting in [&mut second, &mut third, &mut fourth] {
        assert!(poll!(waiting).is_pending());
    }
    assert_eq!(running_and_waiting(&turns), (1, 3));
    drop(fourth);
    assert_eq!(running_and_waiting(&turns), (1, 2), "it left the line");
    drop(first);
    // The second has been handed the place and goes before it looks.
    drop(second);
    assert_eq!(running_and_waiting(&turns), (1, 0));
    drop(third.await.unwrap());
    assert_eq!(running_and_waiting(&turns), (0, 0));
}

#[tokio::test]
async fn small_questions_do_not_wait_for_long_ones() {
    let turns = Turns::new(limits([1, 1, 0, 0]));
    let _long = turns.take("a", Class::Question).await.unwrap();
    assert!(turns.take("a", Class::Question).await.is_err());
    let _small = turns.take("a", Class::Small).await.unwrap();
    let [(_, small), _, (_, other)] = turns.counts();
    assert_eq!((small.running, small.refused), (1, 0));
    assert_eq!((other.running, other.refused), (1, 1));
}

#[tokio::test]
async fn a_scheduled_search_has_a_place_of_its_own() {
    for of in [[1, 1, 0, 0], [3, 2, 0, 0], [0, 0, 0, 0]] {
        let turns = Turns::new(limits(of));
        let mut taken = Vec::new();
        for user in ["a", "b", "c"] {
            taken.extend(turns.take(user, Class::Background).await.ok());
            taken.extend(turns.take(user, Class::Question).await.ok());
        }
        let scheduled = turns.take("scheduled", Class::Scheduled).await.unwrap();
        assert!(turns.take("scheduled", Class::Scheduled).await.is_err(), "{of:?}");
        drop(scheduled);
        assert!(turns.take("scheduled", Class::Scheduled).await.is_ok(), "{of:?}");
        assert_eq!(running_and_waiting(&turns), (of[0].max(1), 0));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_come_and_go() {
    let turns = Turns::new(limits([3, 2, 1000, 1000]));
    let now = Arc::new(AtomicUsize::new(0));
    let tasks: Vec<_> = (0..400)
        .map(|at| {
            let (turns, now) = (turns.clone(), now.clone());
            tokio::spawn(async move {
                let user = ["a", "b", "c", "d", "e"][at % 5];
                let class = if at % 7 == 0 { Class::Background } else { Class::Question };
                let asked = async {
                    let _turn = turns.take(user, class).await.unwrap();
                    assert!(now.fetch_add(1, Ordering::SeqCst) < 3);
                    tokio::task::yield_now().await;
                    now.fetch_sub(1, Ordering::SeqCst);
                };
                match at % 3 {
                    // Some lose patience, at any moment before they have a place or after.
                    0 => {
                        let mut asked = Box::pin(turns.take(user, class));
                        let _ = poll!(&mut asked);
                        tokio::task::yield_now().await;
                    }
                    _ => asked.await,
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(running_and_waiting(&turns), (0, 0));
    assert!(turns.0.others.lock().users.is_empty());
}
