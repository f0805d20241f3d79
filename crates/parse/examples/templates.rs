//! How well and how fast log templates are found. Run it by hand:
//!
//! - `cargo run --release -p pugmark-parse --example templates [-- DIRECTORY]`: accuracy on the
//!   systems of loghub (2000 labelled messages each), by the four measures of Loghub-2.0, and the
//!   memory of a full miner. `--wrong SYSTEM` lists the templates that are not as labelled.
//! - `... -- --speed FILE`: lines a second over a file, one message a line, on one core.

// An example talks to the person who runs it.
#![allow(clippy::print_stdout)]

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::Path;
use std::sync::LazyLock;
use std::time::Instant;

use pugmark_parse::templates::{Limits, Miner, Slot, TemplateId};

/// Rules were made looking at these.
const TUNED: &[&str] = &["BGL", "Hadoop", "Linux", "OpenSSH"];
/// And not at these.
const HELD_OUT: &[&str] = &["Apache", "HDFS", "Spark", "Zookeeper"];
const DIRECTORY: &str = "../shared/data/templates";
/// Work of a speed run, in bytes.
const WORK_BYTES: usize = 400 << 20;
/// Parts of that work; the fastest counts.
const PARTS: usize = 8;

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words[..] {
        ["--speed", file] => speed(file),
        ["--wrong", system] => wrong(Path::new(DIRECTORY), system),
        [] => accuracy(Path::new(DIRECTORY)),
        [directory] => accuracy(Path::new(directory)),
        _ => println!("templates [DIRECTORY | --wrong SYSTEM | --speed FILE]"),
    }
}

/// One labelled message.
struct Labelled {
    message: String,
    template: String,
}

fn read(directory: &Path, system: &str) -> Vec<Labelled> {
    let path = directory.join(system).join(format!("{system}_2k.log_structured_corrected.csv"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let mut rows = csv(&text).into_iter();
    let head = rows.next().unwrap_or_default();
    let column = |name: &str| head.iter().position(|h| h == name).expect("a column of loghub");
    let (message, template) = (column("Content"), column("EventTemplate"));
    rows.filter(|row| row.len() == head.len())
        .map(|row| Labelled { message: row[message].clone(), template: row[template].clone() })
        .collect()
}

/// Rows of a CSV file, with `"` as RFC 4180 has it.
fn csv(text: &str) -> Vec<Vec<String>> {
    let (mut rows, mut row, mut cell, mut quoted) = (Vec::new(), Vec::new(), String::new(), false);
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            '"' if quoted && letters.peek() == Some(&'"') => {
                letters.next();
                cell.push('"');
            }
            '"' => quoted = !quoted,
            ',' if !quoted => row.push(std::mem::take(&mut cell)),
            '\r' if !quoted => {}
            '\n' if !quoted => {
                row.push(std::mem::take(&mut cell));
                rows.push(std::mem::take(&mut row));
            }
            _ => cell.push(letter),
        }
    }
    if !cell.is_empty() || !row.is_empty() {
        row.push(cell);
        rows.push(row);
    }
    rows
}

/// GA, FGA, PA and FTA, each from 0 to 1.
#[derive(Clone, Copy, Default)]
struct Scores([f64; 4]);

impl Scores {
    fn mean(all: &[Scores]) -> Scores {
        let mean = |measure: usize| {
            all.iter().map(|scores| scores.0[measure]).sum::<f64>() / all.len() as f64
        };
        Scores([mean(0), mean(1), mean(2), mean(3)])
    }

    fn print(self, name: &str) {
        let [ga, fga, pa, fta] = self.0;
        println!("{name:<22} GA {ga:.3}  FGA {fga:.3}  PA {pa:.3}  FTA {fta:.3}");
    }
}

/// What the miner said of each message, and the texts of the ids.
struct Mined {
    ids: Vec<TemplateId>,
    miner: Miner,
    /// The text of each id when it was handed out for the last time.
    texts_then: HashMap<TemplateId, String>,
}

fn mine(messages: &[Labelled]) -> Mined {
    let mut miner = Miner::new(Limits::default());
    let mut slots = Vec::new();
    let mut texts_then = HashMap::new();
    let mut ids = Vec::new();
    for labelled in messages {
        let id = miner.learn(&labelled.message, &mut slots);
        let text = miner.template(id).expect("an id that was just given").text();
        texts_then.insert(id, text);
        ids.push(id);
    }
    Mined { ids, miner, texts_then }
}

fn scores(
    messages: &[Labelled],
    ids: &[TemplateId],
    text: impl Fn(TemplateId) -> String,
) -> Scores {
    let mut found: BTreeMap<TemplateId, Vec<usize>> = BTreeMap::new();
    let mut labelled: HashMap<&str, Vec<usize>> = HashMap::new();
    for (line, id) in ids.iter().enumerate() {
        found.entry(*id).or_default().push(line);
        labelled.entry(&messages[line].template).or_default().push(line);
    }
    let (mut grouped, mut groups, mut parsed, mut templates) = (0, 0, 0, 0);
    for (id, lines) in &found {
        let text = normal(&text(*id));
        let right = |line: &&usize| normal(&messages[**line].template) == text;
        parsed += lines.iter().filter(right).count();
        if labelled[messages[lines[0]].template.as_str()] == *lines {
            grouped += lines.len();
            groups += 1;
            templates += usize::from(right(&&lines[0]));
        }
    }
    let all = messages.len() as f64;
    let f1 = |right: usize| 2.0 * right as f64 / (found.len() + labelled.len()) as f64;
    Scores([grouped as f64 / all, f1(groups), parsed as f64 / all, f1(templates)])
}

/// A template as Loghub compares it: variables that touch, or that only punctuation parts, are one;
/// so is a word with a variable inside; digits and paths are variables.
fn normal(template: &str) -> String {
    const PATH: &str = " ,!;:=|\"'[](){}";
    const ALL: &str = " ,!;:=|\"'[](){}.-+@#$%&";
    let spaced = template.split_whitespace().collect::<Vec<_>>().join(" ");
    let path = |token: &str| {
        token.len() > 1 && token.starts_with('/') && !token.contains("//") && !token.ends_with('/')
    };
    let spaced = replace_tokens(&spaced, PATH, path);
    let variable = |token: &str| {
        !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_digit())
            || token.contains("<*>") && !token.contains('/')
    };
    let mut text = replace_tokens(&spaced, ALL, variable);
    loop {
        let before = text.clone();
        for (from, to) in [
            ("<*>.<*>", "<*>"),
            ("<*><*>", "<*>"),
            (" #<*># ", " <*> "),
            (" #<*> ", " <*> "),
            ("<*>:<*>", "<*>"),
            ("<*>#<*>", "<*>"),
            ("<*>/<*>", "<*>"),
            ("<*>@<*>", "<*>"),
            (" \"<*>\" ", " <*> "),
            (" '<*>' ", " <*> "),
        ] {
            text = text.replace(from, to);
        }
        if text == before {
            return text;
        }
    }
}

fn replace_tokens(text: &str, delimiters: &str, variable: impl Fn(&str) -> bool) -> String {
    text.split_inclusive(|letter| delimiters.contains(letter))
        .map(|piece| {
            let token = piece.trim_end_matches(|letter| delimiters.contains(letter));
            let end = &piece[token.len()..];
            if variable(token) { format!("<*>{end}") } else { piece.to_owned() }
        })
        .collect()
}

fn accuracy(directory: &Path) {
    let mut averages = Vec::new();
    for (name, systems) in [("tuned on", TUNED), ("held out", HELD_OUT)] {
        println!("-- {name}, online with merges");
        for system in systems {
            let (merged, strict) = run(directory, system);
            merged.print(system);
            averages.push((name, merged, strict));
        }
    }
    let pick = |wanted: &str, strict: bool| {
        let these = averages.iter().filter(|(name, ..)| name.contains(wanted));
        Scores::mean(&these.map(|(_, m, s)| if strict { *s } else { *m }).collect::<Vec<_>>())
    };
    println!("-- averages");
    for name in ["tuned on", "held out", ""] {
        let shown = if name.is_empty() { "all" } else { name };
        pick(name, false).print(&format!("{shown}, merges"));
        pick(name, true).print(&format!("{shown}, no merges"));
    }
    memory();
}

/// Scores with ids resolved at the end, and with ids and texts as they were handed out.
fn run(directory: &Path, system: &str) -> (Scores, Scores) {
    let messages = read(directory, system);
    let mined = mine(&messages);
    let ids: Vec<TemplateId> = mined.ids.iter().map(|id| mined.miner.resolve(*id)).collect();
    let text = |id| mined.miner.template(id).map(|t| t.text()).unwrap_or_default();
    let merged = scores(&messages, &ids, text);
    (merged, scores(&messages, &mined.ids, |id| mined.texts_then[&id].clone()))
}

fn wrong(directory: &Path, system: &str) {
    let messages = read(directory, system);
    let mined = mine(&messages);
    let mut both: BTreeMap<(String, TemplateId), (usize, usize)> = BTreeMap::new();
    for (line, id) in mined.ids.iter().enumerate() {
        let key = (messages[line].template.clone(), mined.miner.resolve(*id));
        both.entry(key).or_insert((line, 0)).1 += 1;
    }
    for ((label, id), (line, count)) in &both {
        let text = mined.miner.template(*id).map(|t| t.text()).unwrap_or_default();
        let others = |(l, i): &&(String, TemplateId)| (l == label) != (i == id);
        let split = both.keys().filter(others).count() > 0;
        if split || normal(&text) != normal(label) {
            let mark = if split { "GROUP" } else { "text " };
            println!("{mark} {count:>4}  label {label}\n            found {text}");
            println!("            line  {}", messages[*line].message);
        }
    }
}

/// Memory of a miner with as many templates as it may have.
fn memory() {
    let mut miner = Miner::new(Limits::default());
    let mut slots = Vec::new();
    let before = resident();
    let start = Instant::now();
    let mut lines = 0;
    while miner.counts().templates < Limits::default().templates_max && lines < 2_000_000 {
        miner.learn(&invented(lines), &mut slots);
        lines += 1;
    }
    let counts = miner.counts();
    println!(
        "-- memory: {} templates after {lines} lines, resident {} MiB, estimated {} MiB, {:.1} s",
        counts.templates,
        (resident() - before) >> 20,
        counts.bytes >> 20,
        start.elapsed().as_secs_f64()
    );
    for extra in 0..100_000 {
        miner.learn(&invented(lines + extra), &mut slots);
    }
    println!(
        "   100000 lines more: {} templates, resident {} MiB, {:?}",
        miner.counts().templates,
        (resident() - before) >> 20,
        miner.counts()
    );
}

/// A message of ten words or so that shares its form with no other.
fn invented(number: usize) -> String {
    let mut state = number as u64;
    let mut line = String::from("service");
    for word in 0..9 + number % 4 {
        state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(word as u64 + 1);
        line.push(if word == 4 { ':' } else { ' ' });
        for letter in 0..6 {
            line.push((b'a' + (state >> (20 + 5 * letter)) as u8 % 26) as char);
        }
    }
    line + " took 12ms from 10.0.0.1"
}

/// Resident bytes of this process.
fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = statm.split(' ').nth(1).and_then(|pages| pages.parse::<usize>().ok());
    pages.unwrap_or(0) * 4096
}

/// Seconds that this thread was on a core, for other processes may be at work too; where the system
/// does not say, seconds that went by.
fn clock() -> f64 {
    static START: LazyLock<Instant> = LazyLock::new(Instant::now);
    let stat = std::fs::read_to_string("/proc/self/schedstat").unwrap_or_default();
    let nanos = stat.split(' ').next().and_then(|nanos| nanos.parse::<f64>().ok());
    nanos.map_or_else(|| START.elapsed().as_secs_f64(), |nanos| nanos / 1e9)
}

fn speed(file: &str) {
    let text = std::fs::read_to_string(file).unwrap_or_else(|e| panic!("{file}: {e}"));
    let lines: Vec<&str> = text.lines().collect();
    let bytes: usize = lines.iter().map(|line| line.len()).sum();
    let rounds = (WORK_BYTES / PARTS / bytes.max(1)).max(1);
    let mut miner = Miner::new(Limits::default());
    let mut slots: Vec<Slot> = Vec::new();
    let mut forms = HashSet::new();
    let start = clock();
    for line in &lines {
        forms.insert(miner.learn(line, &mut slots));
    }
    // The system counts in ticks.
    let first = (clock() - start).max(1e-3);
    let misses = miner.counts().misses;
    let mut captured = 0;
    let mut fastest = f64::MAX;
    for _ in 0..PARTS {
        let start = clock();
        for line in std::iter::repeat_n(&lines, rounds).flatten() {
            miner.learn(line, &mut slots);
            captured += slots.len();
        }
        fastest = fastest.min((clock() - start) / (lines.len() * rounds) as f64);
    }
    println!(
        "{file}: {} lines of {} bytes, {} templates, {misses} distinct signatures",
        lines.len(),
        bytes / lines.len().max(1),
        miner.counts().templates,
    );
    println!("  learning: {:.2} M lines/s", lines.len() as f64 / first / 1e6);
    println!(
        "  after it: {:.2} M lines/s, {:.0} MB/s, {} misses, {captured} slots",
        1.0 / fastest / 1e6,
        bytes as f64 / lines.len() as f64 / fastest / 1e6,
        miner.counts().misses - misses,
    );
}
