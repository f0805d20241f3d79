//! What a run does: a list of actions that follows from the seed alone.

use crate::disk::Weather;
use crate::random::Random;

/// Sources of a run, some with names that are hard to keep.
pub(crate) const SOURCES: [&str; 5] =
    ["web", "firewall", "sources/with, odd \"names\" 100%_", "päivä-日本", "x"];

/// One step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Appends blocks. More than one share a single sync.
    Append(Vec<BlockPlan>),
    /// Takes so many durable blocks, parses and inserts them.
    Process(u64),
    /// Moves what is processed into segments.
    Flush,
    /// Merges small segments.
    Compact,
    /// Moves segments to object storage, and deletes those that are old.
    Age,
    /// Makes room on the disk, if it is nearly full.
    Relieve,
    /// Makes the events of a source anew from their records.
    Rewrite(usize),
    /// Makes events of so many records in quarantine.
    Replay(usize),
    /// Reads everything through a snapshot.
    Scan,
    /// Counts records that a door dropped.
    Shed(u64),
    /// Time passes, in minutes.
    Wait(u64),
    /// From now on the disk fails as often as this says.
    Weather(Weather),
    /// The disk has so many bytes left.
    Fill(u64),
    /// The process ends in the middle of what it does, and starts again.
    Kill,
    /// Power goes, and comes back.
    CutPower,
    /// Power goes in the middle of the change of the disk with this number from now.
    CutPowerIn(u64),
    /// Power goes, and again in the middle of so many changes of the disk after it came back.
    CutPowerInStart(u64),
    /// Power goes while a start takes back what the WAL holds, after so many blocks.
    CutPowerInReplay(u64),
    /// An orderly stop and a start.
    Restart,
}

/// A block to append: small enough to print, and enough to make the records of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlockPlan {
    /// Which of the sources.
    pub source: usize,
    /// Chance for the records.
    pub seed: u64,
    /// How many.
    pub rows: u64,
    /// What they look like.
    pub shape: Shape,
    /// The door sets it aside.
    pub aside: bool,
}

/// What records look like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// Lines of programs: JSON, access logs, syslog, key=value, free text.
    Lines,
    /// Bytes that mean nothing: not UTF-8, empty, zeros.
    Bytes,
    /// JSON whose keys are doubled, new each time, or deep.
    OddJson,
    /// One line of some 100 KB.
    Huge,
    /// Some lines of it the engine sets aside.
    Bad,
}

/// The actions of a run.
pub fn actions(seed: u64) -> Vec<Action> {
    let mut random = Random::of(seed, &[b"plan"]);
    let count = 8 + random.below(32);
    let mut actions = Vec::new();
    for _ in 0..count {
        actions.push(action(&mut random));
    }
    actions
}

/// Makes an action of one kind.
type Make = fn(&mut Random) -> Action;

/// One action, as often as its weight says.
fn action(random: &mut Random) -> Action {
    // The most frequent come first; numbers add up to 100.
    let at = random.below(100);
    let choices: [(u64, Make); 17] = [
        (27, |random| Action::Append(blocks(random))),
        (14, |random| Action::Process(1 + random.below(6))),
        (12, |_| Action::Flush),
        (3, |_| Action::Compact),
        (5, |_| Action::Scan),
        (2, |random| Action::Shed(1 + random.below(9))),
        (4, |random| Action::Wait(1 + random.below(6000))),
        (2, |_| Action::Age),
        (1, |_| Action::Relieve),
        (1, |random| Action::Rewrite(random.index(SOURCES.len()))),
        (1, |random| Action::Replay(1 + random.index(5))),
        (9, |random| Action::Weather(weather(random))),
        (3, |random| Action::Fill(fill(random))),
        (4, |_| Action::Kill),
        (4, |_| Action::CutPower),
        (5, |random| Action::CutPowerIn(1 + random.below(12))),
        (3, |random| match random.below(3) {
            0 => Action::CutPowerInReplay(random.below(5)),
            1 => Action::CutPowerInStart(1 + random.below(6)),
            _ => Action::Restart,
        }),
    ];
    let mut up_to = 0;
    for (weight, make) in choices {
        up_to += weight;
        if at < up_to {
            return make(random);
        }
    }
    Action::Flush
}

fn blocks(random: &mut Random) -> Vec<BlockPlan> {
    let count = if random.chance(300) { 2 + random.below(4) } else { 1 };
    (0..count).map(|_| block(random)).collect()
}

fn block(random: &mut Random) -> BlockPlan {
    let shape = match random.below(20) {
        0..10 => Shape::Lines,
        10..14 => Shape::Bytes,
        14..17 => Shape::OddJson,
        17 => Shape::Huge,
        _ => Shape::Bad,
    };
    let rows = match shape {
        Shape::Huge => 1,
        _ if random.chance(60) => 1 + random.below(300),
        _ => 1 + random.below(12),
    };
    let (source, seed) = (random.index(SOURCES.len()), random.any());
    BlockPlan { source, seed, rows, shape, aside: random.chance(60) }
}

fn weather(random: &mut Random) -> Weather {
    match random.below(8) {
        0..3 => Weather::CALM,
        3..5 => Weather::ROUGH,
        5..7 => Weather::LOST,
        _ => Weather::STORM,
    }
}

fn fill(random: &mut Random) -> u64 {
    match random.below(4) {
        0 => 0,
        1 => random.below(2000),
        2 => random.below(100_000),
        _ => 1 << 30,
    }
}

impl BlockPlan {
    /// The records.
    pub fn records(&self) -> Vec<Vec<u8>> {
        let mut random = Random::new(self.seed);
        (0..self.rows).map(|_| record(self.shape, &mut random)).collect()
    }
}

/// The start of a record that the engine sets aside.
pub(crate) const BAD: &[u8] = b"!bad ";

fn record(shape: Shape, random: &mut Random) -> Vec<u8> {
    match shape {
        Shape::Lines => line(random).into_bytes(),
        Shape::Bytes => match random.below(4) {
            0 => Vec::new(),
            1 => vec![0; random.index(40)],
            _ => (0..random.index(80)).map(|_| random.any() as u8).collect(),
        },
        Shape::OddJson => odd_json(random).into_bytes(),
        Shape::Huge => {
            let words = (0..3000).map(|_| format!("word{:x}", random.any()));
            words.collect::<Vec<_>>().join(if random.chance(500) { " " } else { "\t=" }).into()
        }
        Shape::Bad if random.chance(400) => [BAD, line(random).as_bytes()].concat(),
        Shape::Bad => line(random).into_bytes(),
    }
}

fn line(random: &mut Random) -> String {
    let (host, user) = (random.below(20), random.below(50));
    let (day, second) = (1 + random.below(28), random.below(60));
    let address = format!("10.{}.{}.{}", random.below(4), random.below(256), random.below(256));
    match random.below(6) {
        0 => format!(
            "{{\"ts\":\"2026-11-{day:02}T10:00:{second:02}Z\",\"host\":\"h{host}\",\"user\":\
             \"u{user}\",\"ip\":\"{address}\",\"ms\":{},\"ok\":{}}}",
            random.below(10_000),
            random.chance(500)
        ),
        1 => format!(
            "{address} - u{user} [{day:02}/Nov/2026:10:00:{second:02} +0000] \"GET /p/{} HTTP/1.1\" \
             {} {}",
            random.below(500),
            200 + random.below(300),
            random.below(100_000)
        ),
        2 => format!(
            "Nov {day:2} 10:00:{second:02} h{host} sshd[{}]: Failed password for u{user} from \
             {address} port {} ssh2",
            random.below(30_000),
            1024 + random.below(60_000)
        ),
        3 => format!(
            "time=2026-11-{day:02}T10:00:{second:02}Z level=info src={address} dst=10.0.0.1 \
             bytes={:08} note=\"a  b\"",
            random.below(10_000)
        ),
        4 => format!("  free text {:x} with id {:032x}\t", random.any(), u128::from(random.any())),
        _ => format!("ünï {} \u{fffd} \"quoted\" \\ {address}", random.below(100)),
    }
}

fn odd_json(random: &mut Random) -> String {
    match random.below(4) {
        0 => format!("{{\"a\":{},\"a\":\"{}\",\"A\":null}}", random.below(9), random.below(9)),
        1 => format!("{{\"k{:x}\":{{\"x\":[1,2,{{}}]}},\"status\":\"{}\"}}", random.any(), "not"),
        2 => format!("{}1{}", "[".repeat(60), "]".repeat(60)),
        _ => format!("{{\"n\":{}e{},\"s\":\"\\u0000\\ud800\"", random.any(), random.below(400)),
    }
}
