//! A quick matcher for what patterns of packs mostly are: words, numbers and text between fixed
//! texts, pinned to the start of a short message.
//!
//! It tries the ways through a pattern one after the other and goes back where one fails, as Perl
//! does, and so finds what the `regex` crate finds (the leftmost-first match) and the same groups,
//! without passes over the text for each question. Ways can be very many, so it counts its steps
//! and gives up at a bound: then, and for patterns that it does not take, the regex is asked.

use regex_syntax::hir::{Class as HirClass, Hir, HirKind, Look, Repetition};

/// Spans of a pattern, the whole match among them.
const GROUPS_MAX: usize = 24;
/// Steps of a pattern; longer ones are left to the regex.
const STEPS_MAX: usize = 4096;
/// What is tried before giving up: so much, and this much more for each byte of the text.
const TRIES_MIN: usize = 2048;
const TRIES_PER_BYTE: usize = 4;
/// Bytes that are looked at in a row in the time of one try.
const BYTES_PER_TRY: usize = 8;
/// Ways that wait to be tried.
const BACKS_MAX: usize = 48;
/// A group that took no part.
const UNSET: u32 = u32::MAX;

/// A pattern that can be matched quickly.
#[derive(Debug)]
pub(super) struct Matcher {
    steps: Vec<Step>,
}

/// What a matcher says of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Answer {
    /// It matches, and its groups stand there.
    Match(Spans),
    /// It does not.
    NoMatch,
    /// To find out would take too long.
    GaveUp,
}

/// Where the groups of a match stand: start and end of each in turn, in bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Spans([u32; 2 * GROUPS_MAX]);

impl Spans {
    /// The text of a group that took part.
    pub(super) fn get<'t>(&self, group: usize, text: &'t str) -> Option<&'t str> {
        let (start, end) = (self.0[2 * group], self.0[2 * group + 1]);
        if end == UNSET {
            return None;
        }
        text.get(start as usize..end as usize)
    }
}

#[derive(Debug)]
enum Step {
    /// This text.
    Text(Box<[u8]>),
    /// One character of a class.
    One(Class),
    /// Any number of them.
    Run(Run),
    /// Go on there; if that fails, at the other.
    Fork(usize, usize),
    Go(usize),
    /// Note the place.
    Save(usize),
    Start,
    End,
    /// Between a letter and something else, or, if false, not there.
    Border(bool),
    Done,
}

/// Any number of characters of a class.
#[derive(Debug)]
struct Run {
    class: Class,
    /// The one byte that ends it, if there is only one.
    end: Option<u8>,
    /// As many as possible first.
    greedy: bool,
    then: Then,
    /// Nothing in the class can be what follows, so there is one way only.
    sure: bool,
}

impl Run {
    /// Where the characters end that begin at `from`.
    fn end(&self, text: &[u8], from: usize) -> usize {
        let rest = &text[from..];
        let length = match self.end {
            Some(byte) => memchr::memchr(byte, rest),
            None => rest.iter().position(|byte| !self.class.has(*byte)),
        };
        from + length.unwrap_or(rest.len())
    }
}

/// What has to follow a run.
#[derive(Debug)]
enum Then {
    /// This text, which is not empty.
    Text(Box<[u8]>),
    OneOf(Class),
    Anything,
}

impl Then {
    /// True when no character of the class begins what follows.
    fn is_beside(&self, class: &Class) -> bool {
        match self {
            Then::Text(text) => !class.has(text[0]),
            Then::OneOf(other) => !class.0.iter().zip(&other.0[..]).any(|(a, b)| *a && *b),
            Then::Anything => false,
        }
    }

    /// True when it may begin at this place of the text.
    fn is_at(&self, text: &[u8], at: usize) -> bool {
        match self {
            Then::Text(wanted) => text[at..].starts_with(wanted),
            Then::OneOf(class) => text.get(at).is_some_and(|byte| class.begins(*byte)),
            Then::Anything => true,
        }
    }

    /// The first place from `from` to `to` at which it may begin.
    fn first(&self, text: &[u8], from: usize, to: usize) -> Option<usize> {
        match self {
            Then::Text(wanted) => {
                let places = memchr::memchr_iter(wanted[0], &text[from..text.len().min(to + 1)]);
                places.map(|at| from + at).find(|at| text[*at..].starts_with(wanted))
            }
            _ => (from..=to).find(|at| self.is_at(text, *at)),
        }
    }

    /// The last one.
    fn last(&self, text: &[u8], from: usize, to: usize) -> Option<usize> {
        match self {
            Then::Text(wanted) => {
                let places = memchr::memchr_iter(wanted[0], &text[from..text.len().min(to + 1)]);
                places.rev().map(|at| from + at).find(|at| text[*at..].starts_with(wanted))
            }
            _ => (from..=to).rev().find(|at| self.is_at(text, *at)),
        }
    }
}

/// Characters: those of ASCII one by one, all others together.
#[derive(Debug, Clone)]
struct Class(Box<[bool; 256]>);

impl Class {
    /// `None` for classes with some characters beyond ASCII and not others.
    fn of(class: &HirClass) -> Option<Self> {
        let HirClass::Unicode(class) = class else { return None };
        let mut bytes = Box::new([false; 256]);
        let mut wide = 0;
        for range in class.ranges() {
            let (start, end) = (range.start() as u32, range.end() as u32);
            (start..=end.min(127)).for_each(|c| bytes[c as usize] = true);
            // How many beyond ASCII, of which those for UTF-16 are none.
            let start = start.max(128);
            if end >= start {
                let surrogates = if start < 0xd800 && end > 0xdfff { 0x800 } else { 0 };
                wide += end - start + 1 - surrogates;
            }
        }
        match wide {
            0 => {}
            _ if wide == 0x0011_0000 - 0x800 - 128 => bytes[128..].fill(true),
            _ => return None,
        }
        Some(Self(bytes))
    }

    fn has(&self, byte: u8) -> bool {
        self.0[usize::from(byte)]
    }

    /// True when a character of the class begins with this byte.
    fn begins(&self, byte: u8) -> bool {
        self.has(byte) && byte & 0xc0 != 0x80
    }

    /// The one byte that it does not have, if there is only one.
    fn only_without(&self) -> Option<u8> {
        let mut without = (0..=u8::MAX).filter(|byte| !self.has(*byte));
        without.next().filter(|_| without.next().is_none())
    }
}

/// Builds the steps.
struct Builder {
    steps: Vec<Step>,
}

impl Builder {
    fn push(&mut self, step: Step) -> Option<usize> {
        self.steps.push(step);
        (self.steps.len() <= STEPS_MAX).then_some(self.steps.len() - 1)
    }

    fn add(&mut self, hir: &Hir) -> Option<()> {
        match hir.kind() {
            HirKind::Empty => {}
            HirKind::Literal(literal) => drop(self.push(Step::Text(literal.0.clone()))?),
            HirKind::Class(class) => drop(self.push(Step::One(Class::of(class)?))?),
            HirKind::Look(look) => drop(self.push(of_look(*look)?)?),
            HirKind::Repetition(repetition) => self.repetition(repetition)?,
            HirKind::Capture(capture) => {
                let group = capture.index as usize;
                (group < GROUPS_MAX).then_some(())?;
                self.push(Step::Save(2 * group))?;
                self.add(&capture.sub)?;
                self.push(Step::Save(2 * group + 1))?;
            }
            HirKind::Concat(parts) => parts.iter().try_for_each(|part| self.add(part))?,
            HirKind::Alternation(parts) => self.alternation(parts)?,
        }
        Some(())
    }

    fn alternation(&mut self, parts: &[Hir]) -> Option<()> {
        let (last, others) = parts.split_last()?;
        let mut ends = Vec::new();
        for part in others {
            let fork = self.push(Step::Fork(self.steps.len() + 1, 0))?;
            self.add(part)?;
            ends.push(self.push(Step::Go(0))?);
            self.steps[fork] = Step::Fork(fork + 1, self.steps.len());
        }
        self.add(last)?;
        for end in ends {
            self.steps[end] = Step::Go(self.steps.len());
        }
        Some(())
    }

    fn repetition(&mut self, repetition: &Repetition) -> Option<()> {
        let Repetition { min, max, greedy, sub } = repetition;
        for _ in 0..*min {
            self.add(sub)?;
        }
        match (max, sub.kind()) {
            (None, HirKind::Class(class)) => {
                let class = Class::of(class)?;
                let then = Then::Anything;
                let end = class.only_without();
                let run = Run { class, end, greedy: *greedy, then, sure: false };
                self.push(Step::Run(run))?;
            }
            (None, _) => {
                // Whether an empty turn counts is a question for the regex.
                (sub.properties().minimum_len()? > 0).then_some(())?;
                let fork = self.push(Step::Fork(0, 0))?;
                self.add(sub)?;
                self.push(Step::Go(fork))?;
                self.fork(fork, *greedy);
            }
            (Some(max), _) => {
                let forks: Option<Vec<usize>> = (*min..*max)
                    .map(|_| {
                        let fork = self.push(Step::Fork(0, 0))?;
                        self.add(sub)?;
                        Some(fork)
                    })
                    .collect();
                forks?.into_iter().for_each(|fork| self.fork(fork, *greedy));
            }
        }
        Some(())
    }

    /// The fork there leads into what follows it, or past the steps so far.
    fn fork(&mut self, at: usize, greedy: bool) {
        let (inside, past) = (at + 1, self.steps.len());
        self.steps[at] = if greedy { Step::Fork(inside, past) } else { Step::Fork(past, inside) };
    }

    /// Tells each run what has to follow it.
    fn finish(mut self) -> Matcher {
        for at in 0..self.steps.len() {
            let then = self.follows(at + 1);
            if let Step::Run(run) = &mut self.steps[at] {
                run.sure = then.is_beside(&run.class);
                run.then = then;
            }
        }
        Matcher { steps: self.steps }
    }

    /// What must come next for the step there to hold.
    fn follows(&self, at: usize) -> Then {
        match self.steps[at..].iter().find(|step| !matches!(step, Step::Save(_))) {
            Some(Step::Text(text)) if !text.is_empty() => Then::Text(text.clone()),
            Some(Step::One(class)) => Then::OneOf(class.clone()),
            _ => Then::Anything,
        }
    }
}

fn of_look(look: Look) -> Option<Step> {
    match look {
        Look::Start => Some(Step::Start),
        Look::End => Some(Step::End),
        Look::WordUnicode => Some(Step::Border(true)),
        Look::WordUnicodeNegate => Some(Step::Border(false)),
        _ => None,
    }
}

/// Ways that were not tried yet, and places to be forgotten on the way back. More than fit are a
/// reason to give up.
struct Backs {
    all: [Back; BACKS_MAX],
    count: usize,
}

#[derive(Debug, Clone, Copy)]
struct Back {
    what: What,
    /// The step, or the slot of a place.
    step: u16,
    at: u32,
    /// Where a run began or may end, or the place that was noted before.
    bound: u32,
}

#[derive(Debug, Clone, Copy)]
enum What {
    /// Go on with the step.
    Way,
    /// The run took the characters from `bound` up to `at`; it may take fewer.
    Fewer,
    /// The lazy run took those up to `at`; it may take more, up to `bound`.
    More,
    /// The slot held the place `bound`.
    Restore,
}

impl Backs {
    fn new() -> Self {
        let none = Back { what: What::Way, step: 0, at: 0, bound: 0 };
        Self { all: [none; BACKS_MAX], count: 0 }
    }

    fn push(&mut self, what: What, step: usize, at: usize, bound: u32) -> Option<()> {
        let place = self.all.get_mut(self.count)?;
        *place = Back { what, step: step as u16, at: at as u32, bound };
        self.count += 1;
        Some(())
    }

    fn pop(&mut self) -> Option<Back> {
        self.count = self.count.checked_sub(1)?;
        Some(self.all[self.count])
    }
}

impl Matcher {
    /// `None` for patterns that are left to the regex.
    pub(super) fn of(hir: &Hir) -> Option<Self> {
        let mut builder = Builder { steps: Vec::new() };
        builder.add(hir)?;
        builder.push(Step::Done)?;
        Some(builder.finish())
    }

    /// Matches the beginning of a text.
    pub(super) fn find(&self, text: &str) -> Answer {
        if text.len() >= UNSET as usize {
            return Answer::GaveUp;
        }
        let tries = TRIES_MIN + TRIES_PER_BYTE * text.len();
        let spans = Spans([UNSET; 2 * GROUPS_MAX]);
        let steps = &self.steps;
        let back = Backs::new();
        let mut hunt = Hunt { steps, text: text.as_bytes(), spans, back, tries };
        match hunt.go() {
            Some(true) => Answer::Match(hunt.spans),
            Some(false) => Answer::NoMatch,
            None => Answer::GaveUp,
        }
    }
}

/// One search. Its functions return `None` where it gives up.
struct Hunt<'m> {
    steps: &'m [Step],
    text: &'m [u8],
    spans: Spans,
    back: Backs,
    /// What may still be tried.
    tries: usize,
}

/// The step to go on with and the place; `None` where a way ends.
type Next = Option<(usize, usize)>;

impl Hunt<'_> {
    fn go(&mut self) -> Option<bool> {
        let (mut step, mut at) = (0, 0);
        loop {
            self.tries = self.tries.checked_sub(1)?;
            let next = match &self.steps[step] {
                Step::Text(text) => {
                    let held = self.text[at..].starts_with(text);
                    held.then_some((step + 1, at + text.len()))
                }
                Step::One(class) => self.one(class, at).map(|after| (step + 1, after)),
                Step::Run(run) => self.run(step, run, at)?,
                Step::Fork(first, other) => {
                    self.back.push(What::Way, *other, at, 0)?;
                    Some((*first, at))
                }
                Step::Go(to) => Some((*to, at)),
                Step::Save(slot) => {
                    self.save(*slot, at)?;
                    Some((step + 1, at))
                }
                Step::Start => (at == 0).then_some((step + 1, at)),
                Step::End => (at == self.text.len()).then_some((step + 1, at)),
                Step::Border(wanted) => (self.is_border(at)? == *wanted).then_some((step + 1, at)),
                Step::Done => return Some(true),
            };
            (step, at) = match next {
                Some(next) => next,
                None => match self.turn_back()? {
                    Some(next) => next,
                    None => return Some(false),
                },
            };
        }
    }

    /// The place behind one character of the class.
    fn one(&self, class: &Class, at: usize) -> Option<usize> {
        let byte = *self.text.get(at)?;
        class.has(byte).then(|| at + width(byte))
    }

    /// Past the first way to take a run.
    fn run(&mut self, step: usize, run: &Run, from: usize) -> Option<Next> {
        let end = run.end(self.text, from);
        self.looked(end - from)?;
        match (run.sure, run.greedy) {
            (true, _) => {
                let follows = run.then.is_at(self.text, end);
                Some(follows.then_some((step + 1, end)))
            }
            (false, true) => self.fewer(step, run, from, end),
            (false, false) => self.more(step, run, from, end),
        }
    }

    /// So many bytes were looked at in one go.
    fn looked(&mut self, bytes: usize) -> Option<()> {
        self.tries = self.tries.checked_sub(bytes / BYTES_PER_TRY)?;
        Some(())
    }

    /// To the last place up to `at` at which what follows may begin.
    fn fewer(&mut self, step: usize, run: &Run, from: usize, at: usize) -> Option<Next> {
        let found = run.then.last(self.text, from, at);
        self.looked(at - found.unwrap_or(from))?;
        let Some(found) = found else { return Some(None) };
        if found > from {
            let before = self.before(found);
            self.back.push(What::Fewer, step, before, from as u32)?;
        }
        Some(Some((step + 1, found)))
    }

    /// To the first place from `at` on at which what follows may begin.
    fn more(&mut self, step: usize, run: &Run, at: usize, end: usize) -> Option<Next> {
        let found = run.then.first(self.text, at, end);
        self.looked(found.unwrap_or(end) - at)?;
        let Some(found) = found else { return Some(None) };
        if found < end {
            let after = found + width(self.text[found]);
            self.back.push(What::More, step, after, end as u32)?;
        }
        Some(Some((step + 1, found)))
    }

    /// The beginning of the character before `at`.
    fn before(&self, at: usize) -> usize {
        let is_inside = |at: &usize| self.text[*at] & 0xc0 == 0x80;
        (0..at).rev().find(|at| !is_inside(at)).unwrap_or(0)
    }

    fn save(&mut self, slot: usize, at: usize) -> Option<()> {
        if self.back.count > 0 {
            self.back.push(What::Restore, slot, 0, self.spans.0[slot])?;
        }
        self.spans.0[slot] = at as u32;
        Some(())
    }

    /// To the newest way that was not tried.
    fn turn_back(&mut self) -> Option<Next> {
        let steps = self.steps;
        while let Some(Back { what, step, at, bound }) = self.back.pop() {
            let (step, at) = (usize::from(step), at as usize);
            let next = match (what, steps.get(step)) {
                (What::Way, _) => return Some(Some((step, at))),
                (What::Restore, _) => {
                    self.spans.0[step] = bound;
                    None
                }
                (What::Fewer, Some(Step::Run(run))) => self.fewer(step, run, bound as usize, at)?,
                (What::More, Some(Step::Run(run))) => self.more(step, run, at, bound as usize)?,
                _ => None,
            };
            if next.is_some() {
                return Some(next);
            }
        }
        Some(None)
    }

    /// True between a letter, digit or underscore and something else; `None` beside a character
    /// beyond ASCII.
    fn is_border(&self, at: usize) -> Option<bool> {
        let is_word = |byte: Option<&u8>| match byte {
            Some(byte) if !byte.is_ascii() => None,
            Some(byte) => Some(byte.is_ascii_alphanumeric() || *byte == b'_'),
            None => Some(false),
        };
        let before = at.checked_sub(1).and_then(|at| self.text.get(at));
        Some(is_word(before)? != is_word(self.text.get(at))?)
    }
}

/// Bytes of the character that begins with this one (RFC 3629).
fn width(byte: u8) -> usize {
    match byte {
        0..0x80 => 1,
        0x80..0xe0 => 2,
        0xe0..0xf0 => 3,
        0xf0.. => 4,
    }
}
