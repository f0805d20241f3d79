//! The heads of application logs, after the time: level, process, thread and logger, in the orders
//! in which log4j, logback, Python's logging, Serilog, Android and others write them.
//!
//! It is asked last, when no pack knows the text. A head is believed only if it has a level.

use pugmark_event::{Severity, fields};

use super::json::severity_field;
use crate::found::{Found, Pair, Val};

/// Parts of a head.
const PARTS_MAX: usize = 8;
/// Longest thread or logger that is believed to be one, in bytes.
const PART_BYTES_MAX: usize = 128;
/// What stands between the parts of a head.
const GAPS: [char; 5] = [' ', '\t', '-', ':', '|'];

/// Reads the head of a text; returns what follows it, and the text itself if it has no head.
pub(crate) fn head<'a>(text: &'a str, found: &mut Found<'a>) -> &'a str {
    let mut head = Head { rest: text.trim_start_matches(GAPS), ..Head::default() };
    for _ in 0..PARTS_MAX {
        if !head.part() {
            break;
        }
    }
    let Some((level, severity)) = head.level else { return text };
    if !found.fields.iter().any(|(id, _)| *id == fields::LOG_LEVEL) {
        found.fields.push(severity_field(severity));
        found.field(fields::LOG_LEVEL, level);
    }
    for (name, part) in head.numbers.into_iter().chain(head.names) {
        let value = part.bytes().all(|b| b.is_ascii_digit());
        let value = if value { Val::Number(part.into()) } else { part.into() };
        found.pairs.push(Pair::new(name, value));
    }
    head.rest
}

#[derive(Default)]
struct Head<'a> {
    rest: &'a str,
    level: Option<(&'a str, Severity)>,
    numbers: Vec<(&'static str, &'a str)>,
    names: Vec<(&'static str, &'a str)>,
}

impl<'a> Head<'a> {
    /// Reads one more part; false when there is none.
    fn part(&mut self) -> bool {
        self.level() || self.number() || self.bracket() || self.logger()
    }

    fn has(&self, name: &str) -> bool {
        self.names.iter().any(|(own, _)| *own == name)
    }

    fn go_on(&mut self, rest: &'a str) -> bool {
        self.rest = rest.trim_start_matches(GAPS);
        true
    }

    /// `INFO`, `[error]`, `WARN:`, `<Info>`; a single letter after the numbers of Android's logs.
    fn level(&mut self) -> bool {
        if self.level.is_some() {
            return false;
        }
        let end = self.rest.find([' ', '\t', '|']).unwrap_or(self.rest.len());
        let word = &self.rest[..end];
        let bare = word.trim_matches(['[', ']', ':', '<', '>', '(', ')', ',']);
        let severity = match bare.len() {
            1 if self.numbers.len() == 2 => letter(bare),
            2..=16 => Severity::from_log_level(bare),
            _ => None,
        };
        let Some(severity) = severity else { return false };
        self.level = Some((bare, severity));
        self.go_on(&self.rest[end..])
    }

    /// A process or thread id, if a level follows it or the dashes of Spring Boot.
    fn number(&mut self) -> bool {
        let end = self.rest.bytes().take_while(u8::is_ascii_digit).count();
        let names = ["process.pid", "process.thread.id"];
        if !(1..=10).contains(&end) || !self.rest[end..].starts_with([' ', '\t']) {
            return false;
        }
        let Some(name) = names.get(self.numbers.len()) else { return false };
        let after = self.rest[end..].trim_start();
        let spring = self.level.is_some() && after.starts_with("--- ");
        if self.level.is_some() && !spring {
            return false;
        }
        self.numbers.push((name, &self.rest[..end]));
        self.go_on(after)
    }

    /// `[main]`: the thread. A level and its logger are around it.
    fn bracket(&mut self) -> bool {
        let name = "process.thread.name";
        let Some(inner) = self.rest.strip_prefix('[').filter(|_| !self.has(name)) else {
            return false;
        };
        // The thread of a server may name an address in brackets of its own.
        let Some(end) = closing(inner).filter(|end| *end <= PART_BYTES_MAX) else { return false };
        let after = &inner[end + 1..];
        let level_follows = self.level.is_none();
        if !after.starts_with(' ') || (level_follows && !next_is_level(after)) {
            return false;
        }
        if !inner[..end].trim().is_empty() {
            self.names.push((name, inner[..end].trim()));
        }
        self.go_on(after)
    }

    /// `org.example.Class:`, `module.name -`: the logger, after the level or (Python) before it.
    fn logger(&mut self) -> bool {
        let name = "log.logger";
        let end = self.rest.find([' ', '\t', ':', '|']).unwrap_or(self.rest.len());
        let word = &self.rest[..end];
        let after = &self.rest[end..];
        let ends = after.starts_with(": ")
            || after.trim_start().starts_with(": ")
            || after.starts_with(" - ")
            || after.starts_with('|');
        let sure = match self.level {
            Some(_) => is_logger(word),
            None => after.strip_prefix(" - ").is_some_and(next_is_level),
        };
        if self.has(name) || !ends || !sure || word.is_empty() || word.len() > PART_BYTES_MAX {
            return false;
        }
        self.names.push((name, word));
        self.go_on(after)
    }
}

/// The bracket that closes the one before `text`.
fn closing(text: &str) -> Option<usize> {
    let mut depth = 0usize;
    text.bytes().take(PART_BYTES_MAX + 1).position(|b| {
        match b {
            b'[' => depth += 1,
            b']' if depth == 0 => return true,
            b']' => depth -= 1,
            _ => {}
        }
        false
    })
}

fn next_is_level(text: &str) -> bool {
    let word = text.trim_start_matches(GAPS).split([' ', '\t', '|']).next().unwrap_or("");
    let bare = word.trim_matches(['[', ']', ':', '<', '>', '(', ')', ',']);
    bare.len() > 1 && Severity::from_log_level(bare).is_some()
}

/// A dotted or nested name, or one in capitals and small letters: not a word of a sentence.
fn is_logger(word: &str) -> bool {
    let is_name = |b: u8| b.is_ascii_alphanumeric() || b"_.$@/-<>#~".contains(&b);
    word.bytes().all(is_name)
        && word.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && (word.contains(['.', '$', '_', '@'])
            || word.chars().skip(1).any(|c| c.is_ascii_uppercase()))
        && !word.contains("..")
}

/// The levels of Android's logcat.
fn letter(letter: &str) -> Option<Severity> {
    Some(match letter {
        "V" | "D" | "I" => Severity::Informational,
        "W" => Severity::Medium,
        "E" => Severity::High,
        "F" => Severity::Critical,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(text: &str, message: &str, expected: &[(&str, &str)]) {
        let mut found = Found::new("");
        assert_eq!(head(text, &mut found), message, "{text}");
        let levels = found.fields.iter().filter(|(id, _)| *id == fields::LOG_LEVEL);
        let mut shown: Vec<(&str, &str)> = levels.map(|(_, v)| ("log.level", v.text())).collect();
        shown.extend(found.pairs.iter().map(|pair| (&*pair.name, pair.value.text())));
        assert_eq!(shown, expected, "{text}");
    }

    #[test]
    fn heads_are_read_in_many_orders() {
        let (level, logger) = ("log.level", "log.logger");
        let (pid, tid, thread) = ("process.pid", "process.thread.id", "process.thread.name");
        check(
            "INFO  [main] org.example.Master: Created it",
            "Created it",
            &[(level, "INFO"), (thread, "main"), (logger, "org.example.Master")],
        );
        check(
            "[main] WARN org.example.Master - x",
            "x",
            &[(level, "WARN"), (thread, "main"), (logger, "org.example.Master")],
        );
        check(
            " - INFO  [Peer[id=1]/0:0:0:0:2181:Election@774] - Time out: 3200",
            "Time out: 3200",
            &[(level, "INFO"), (thread, "Peer[id=1]/0:0:0:0:2181:Election@774")],
        );
        check(
            "148 INFO dfs.Node$Responder: Responder 1 ends",
            "Responder 1 ends",
            &[(level, "INFO"), (pid, "148"), (logger, "dfs.Node$Responder")],
        );
        check(
            "1702  2395 D WindowManager: opening",
            "opening",
            &[(level, "D"), (pid, "1702"), (tid, "2395"), (logger, "WindowManager")],
        );
        check(
            "INFO 4711 --- [  main] o.s.b.Server  : started in 2.1 seconds",
            "started in 2.1 seconds",
            &[(level, "INFO"), (pid, "4711"), (thread, "main"), (logger, "o.s.b.Server")],
        );
        check("app.worker - ERROR - no", "no", &[(level, "ERROR"), (logger, "app.worker")]);
        check("[error] went wrong: why", "went wrong: why", &[(level, "error")]);
        check("[INF] Request took 5 ms", "Request took 5 ms", &[(level, "INF")]);
        check("WARNING: disk is full", "disk is full", &[(level, "WARNING")]);
    }

    #[test]
    fn text_without_a_level_is_no_head() {
        for text in ["", "hello there", "[main] hello", "12 monkeys", "org.example.X: hello", "- -"]
        {
            check(text, text, &[]);
        }
    }

    proptest! {
        #[test]
        fn what_follows_a_head_is_the_end_of_the_text(text in "[\\[\\] :-]{0,3}(INFO)?[a.1é \\[\\]:|-]{0,20}") {
            let mut found = Found::new("");
            prop_assert!(text.ends_with(head(&text, &mut found)));
        }
    }
}
