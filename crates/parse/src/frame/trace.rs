//! Records of several lines: the traces that Java, Python, Go and others write below a line, and
//! lines that go on after a tab, as PostgreSQL's do.
//!
//! Only what surely belongs to the line before it is joined to it.

/// Lines of one record; what follows is a record of its own.
const LINES_MAX: usize = 2000;
/// Bytes of one record that another line is still added to.
const BYTES_MAX: usize = 256 << 10;

/// Follows lines and tells which of them go on.
#[derive(Debug, Default)]
pub(super) struct Traces {
    state: State,
    /// Lines of the open record, and their bytes.
    lines: usize,
    bytes: usize,
    /// The open record began with a tab itself.
    tab: bool,
}

/// What the lines above say of the next one.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum State {
    #[default]
    Text,
    /// In the frames of a Python traceback; the error itself follows them.
    Python,
    /// In the frames of a goroutine.
    Go,
    /// Below the head of a record of Samba.
    Samba,
}

impl Traces {
    /// True when the line goes on with the record before it.
    pub(super) fn go_on(&mut self, line: &[u8]) -> bool {
        let has_room = self.lines > 0 && self.lines < LINES_MAX && self.bytes < BYTES_MAX;
        let joins = has_room && self.belongs(line);
        if !joins {
            (self.lines, self.bytes) = (0, 0);
            self.tab = line.first() == Some(&b'\t');
        }
        self.lines += 1;
        self.bytes += line.len();
        self.state = self.next(line, joins);
        joins
    }

    fn belongs(&self, line: &[u8]) -> bool {
        let (indent, text) = indented(line);
        match self.state {
            State::Python if indent > 0 => true,
            // The error at the end of the frames.
            State::Python => is_error(text) || text.starts_with(b"Traceback "),
            State::Go if is_go_frame(line) => true,
            State::Samba if indent > 0 => true,
            _ => {
                is_java(indent, text)
                    || (line.first() == Some(&b'\t') && line.get(1) != Some(&b'\t') && !self.tab)
                    || text.starts_with(b"Traceback (most recent call last)")
                    || (text.starts_with(b"goroutine ") && text.ends_with(b"]:"))
            }
        }
    }

    fn next(&self, line: &[u8], joins: bool) -> State {
        let (indent, text) = indented(line);
        if text.ends_with(b"Traceback (most recent call last):") {
            return State::Python;
        }
        if text.starts_with(b"goroutine ") && text.ends_with(b"]:") {
            return State::Go;
        }
        if line.first() == Some(&b'[') && is_samba_head(line) {
            return State::Samba;
        }
        match self.state {
            State::Samba if joins => State::Samba,
            State::Python if joins && indent > 0 => State::Python,
            State::Go if joins => State::Go,
            _ => State::Text,
        }
    }
}

/// `[2026/11/23 10:00:00.123456,  2] ../../source3/auth/auth.c:334(auth_check)`, whose text stands
/// on the lines below it, indented.
fn is_samba_head(line: &[u8]) -> bool {
    let is_date = line.get(5) == Some(&b'/') && line.get(8) == Some(&b'/');
    let end = line.iter().take(64).position(|b| *b == b']').unwrap_or(0);
    is_date && line[..end].contains(&b',') && line.ends_with(b")")
}

/// How many blanks and tabs a line begins with, and the rest.
fn indented(line: &[u8]) -> (usize, &[u8]) {
    let text = line.trim_ascii_start();
    (line.len() - text.len(), text)
}

/// A frame or a cause as the JVM, .NET and JavaScript write them.
fn is_java(indent: usize, text: &[u8]) -> bool {
    let is_frame = indent > 0
        && (text.starts_with(b"at ")
            || text.starts_with(b"Suppressed: ")
            || text.starts_with(b"--- End of ")
            || text.starts_with(b"... "));
    is_frame || text.starts_with(b"Caused by: ")
}

/// `ValueError: no`, `requests.exceptions.Timeout`.
fn is_error(text: &[u8]) -> bool {
    let end = text.iter().position(|b| matches!(b, b':' | b' ')).unwrap_or(text.len());
    let (name, rest) = text.split_at(end);
    let last = name.rsplit(|b| *b == b'.').next().unwrap_or(name);
    !name.is_empty()
        && (rest.is_empty() || rest.starts_with(b":"))
        && name.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_'))
        && last.first().is_some_and(u8::is_ascii_uppercase)
}

/// `main.run(0x1, 0x2)`, the file below it, and who started the goroutine.
fn is_go_frame(line: &[u8]) -> bool {
    line.starts_with(b"\t/")
        || line.starts_with(b"created by ")
        || (line.ends_with(b")") && !line.contains(&b' '))
        || (line.ends_with(b")") && line.contains(&b'(') && line.contains(&b'.') && {
            let open = line.iter().position(|b| *b == b'(').unwrap_or(0);
            !line[..open].contains(&b' ')
        })
        || line.starts_with(b"exit status ")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// How many lines each record has.
    #[track_caller]
    fn check(text: &str, expected: &[usize]) {
        let mut traces = Traces::default();
        let mut records: Vec<usize> = Vec::new();
        for line in text.lines().filter(|line| !line.is_empty()) {
            match (traces.go_on(line.as_bytes()), records.last_mut()) {
                (true, Some(last)) => *last += 1,
                _ => records.push(1),
            }
        }
        assert_eq!(records, expected, "{text}");
    }

    #[test]
    fn traces_belong_to_the_line_above_them() {
        check("one\ntwo\nthree", &[1, 1, 1]);
        check("  one\n  two", &[1, 1]);
        check(
            "2026-11-23 ERROR it failed\njava.lang.X: no\n\tat a.b.C(D.java:1)\n\tat e\n\
             Caused by: f.G: h\n\t... 5 more\nnext",
            &[1, 5, 1],
        );
        check(
            "ERROR failed\nTraceback (most recent call last):\n  File \"a.py\", line 1, in f\n\
             \x20   g()\nValueError: no\nINFO next",
            &[5, 1],
        );
        check(
            "panic: no\n\ngoroutine 1 [running]:\nmain.run(0x1, 0x2)\n\t/a/b.go:12 +0x1d\n\
             created by main.main in goroutine 1\n\t/a/b.go:5 +0x1\nexit status 2\nnext line",
            &[7, 1],
        );
        check("LOG:  statement: SELECT 1,\n\t2,\n\t3\nLOG:  next", &[3, 1]);
        check("first\n\t\t 7 Query\tSELECT 1\n\t\t 7 Query\tSELECT 2", &[1, 1, 1]);
        check(
            "[2026/11/23 10:00:00.123456,  2] ../../source3/auth/auth.c:334(auth_check)\n  check_ntlm_password: \
             no\n  more\n[2026/11/23 10:00:01, 0, pid=7] a.c:1(f)\nfirst\n  second",
            &[3, 1, 1, 1],
        );
        check("[2026/11/23 10:00:00] text (a)\n  indented", &[1, 1]);
        check("\tat nothing", &[1]);
        check("\tone\n\ttwo", &[1, 1]);
    }

    proptest! {
        #[test]
        fn records_stay_bounded(lines in prop::collection::vec("(\t|  at |Traceback )?[a:(). ]{0,8}", 0..40)) {
            let mut traces = Traces::default();
            for (i, line) in lines.iter().enumerate() {
                let joins = traces.go_on(line.as_bytes());
                prop_assert!(i > 0 || !joins);
            }
        }

        #[test]
        fn a_trace_without_end_is_cut(length in 1usize..200) {
            let mut traces = Traces::default();
            traces.go_on(b"head");
            let line = [b"\tat ".to_vec(), vec![b'a'; length * 100]].concat();
            let joined = (0..LINES_MAX + 10).filter(|_| traces.go_on(&line)).count();
            prop_assert!(joined < LINES_MAX + 10);
        }
    }
}
