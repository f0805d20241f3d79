//! Records to events: formats, parser packs, issues. Parsing never fails.
//!
//! A **format** is how a record is written (JSON, syslog, an access log); it is found per record,
//! from the bytes alone. A **pack** is what a product means by it. What neither understands is kept
//! with its text as the message and the issue `not_understood`.

use std::borrow::Cow;

use pugmark_event::time::Micros;
use pugmark_event::{Batch, BatchBuilder, Records, Value};

mod catalog;
pub mod clean;
mod formats;
mod found;
pub mod frame;
mod header;
pub mod health;
pub mod mask;
mod pack;
mod path;
pub mod propose;
mod reading;
pub mod templates;
mod time;
mod write;

pub use catalog::Produced;
pub use header::{HEADER, Headers};
pub use pack::{PackError, PackSource};
pub use reading::Readings;

use clean::Encoding;
use formats::{Context, Fit, Shapes};
use found::Found;
use pack::{Packs, Subject};
use time::Stamp;
use write::{Writer, write_row};

/// The packs of `content/parsers`, as (path, text).
const BUILTIN: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/packs.rs"));

/// Turns records into events. Holds the compiled packs and nothing that changes.
#[derive(Debug)]
pub struct Parser {
    packs: Packs,
}

/// The names of the formats, as doors may give them in [`Input::format`] and packs ask for them.
/// Rows of `w3c`, `zeek` and `table` are read by the header that stands after the name.
pub fn formats() -> impl Iterator<Item = &'static str> {
    formats::names()
}

fn builtin() -> Vec<PackSource> {
    let source =
        |(path, text): &(&str, &str)| PackSource { path: (*path).into(), text: (*text).into() };
    BUILTIN.iter().map(source).collect()
}

/// The attribute that says how a record was encoded that is no UTF-8.
const ENCODING: &str = "event.encoding";
/// What terminal escapes begin with.
const ESC: u8 = 0x1b;

/// One block of records and what is known about it.
#[derive(Debug, Clone, Copy)]
pub struct Input<'a> {
    /// The source that the records came from.
    pub source: &'a str,
    /// The records.
    pub records: &'a Records,
    /// The id of the first event; the others count up from it.
    pub first_id: i64,
    /// When the records were received, in microseconds since the epoch.
    pub received: Micros,
    /// The format that the door knows, tried before the others; after a blank, the header that is
    /// in force before the first record (see [`Headers`]).
    pub format: Option<&'a str>,
}

impl Parser {
    /// A parser with the packs that come with Pugmark.
    ///
    /// # Errors
    /// When one of them does not compile, which a test rules out.
    pub fn builtin() -> Result<Parser, PackError> {
        // A test compiles their patterns.
        Ok(Parser { packs: Packs::new(&builtin())? })
    }

    /// The same with packs of the user's own, which are asked before them; one takes the place of
    /// that with the same name. Own packs that cannot be used are left out and named.
    ///
    /// # Errors
    /// When a pack that comes with Pugmark does not compile, which a test rules out.
    pub fn with_own(own: &[PackSource]) -> Result<(Parser, Vec<PackError>), PackError> {
        let (mut sources, mut problems) = (Vec::new(), Vec::new());
        for source in own {
            match Parser::new(std::slice::from_ref(source)) {
                Ok(_) => sources.push(source.clone()),
                Err(problem) => problems.push(problem),
            }
        }
        let own = sources.len();
        let others =
            builtin().into_iter().filter(|pack| !sources.iter().any(|own| own.path == pack.path));
        let others: Vec<PackSource> = others.collect();
        sources.extend(others);
        Ok((Parser { packs: Packs::with_own(&sources, own)? }, problems))
    }

    /// A parser with these packs alone.
    ///
    /// # Errors
    /// When a pack is no valid YAML, names an unknown key, or holds a pattern that is no regex or a
    /// too big one.
    pub fn new(packs: &[PackSource]) -> Result<Parser, PackError> {
        let compiled = Packs::new(packs)?;
        compiled.check(packs)?;
        Ok(Parser { packs: compiled })
    }

    /// Asks only the pack of this name (`vendor/product`) from now on, whatever records look like.
    ///
    /// # Errors
    /// When there is no pack of this name.
    pub fn force(&mut self, name: &str) -> Result<(), PackError> {
        match self.packs.force(name) {
            true => Ok(()),
            false => {
                let message = "there is no such pack; `pugmark parse --list` shows all".into();
                Err(PackError { path: name.into(), message })
            }
        }
    }

    /// The names of the packs (`vendor/product`), in their order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.packs.packs.iter().map(|pack| pack.name.as_str())
    }

    /// What the packs can say of events: their log sources and names.
    pub fn catalog(&self) -> Vec<Produced> {
        self.packs.catalog()
    }

    /// Parses a block: as many events as there are records, in their order.
    pub fn parse(&self, input: &Input<'_>) -> Batch {
        self.parse_readings(input).0
    }

    /// The same, with how each record was read.
    pub fn parse_readings(&self, input: &Input<'_>) -> (Batch, Readings) {
        self.read(input, &mut Shapes::new(input.records.len(), input.format))
    }

    /// Names the packs as they are: another one, or one that says something else, changes it.
    pub fn fingerprint(&self) -> u64 {
        self.packs.fingerprint
    }

    fn read<'a>(&self, input: &Input<'a>, shapes: &mut Shapes<'a>) -> (Batch, Readings) {
        let (bytes, ends) = input.records.parts();
        let mut builder =
            BatchBuilder::with_capacity(input.source, input.received, ends.len(), bytes.len());
        // Looked at once for all records; one odd byte somewhere costs the others nothing but time.
        // ASCII in UTF-16 is UTF-8 as well, with zeros in it.
        let whole = std::str::from_utf8(bytes).ok().filter(|_| memchr::memchr(0, bytes).is_none());
        let mut reader = Reader::new(self, input);
        let mut start = 0;
        for (i, end) in ends.iter().map(|end| *end as usize).enumerate() {
            let id = input.first_id.saturating_add(i as i64);
            match whole.and_then(|text| text.get(start..end)) {
                Some(text) => {
                    builder.begin_text(id, text);
                    reader.text_event(text, shapes, &mut builder);
                }
                None => {
                    let record = &bytes[start..end];
                    builder.begin(id, record);
                    let (text, encoding) = clean::decode(record);
                    if !matches!(encoding, Encoding::Utf8 | Encoding::Unknown) {
                        builder.attribute(ENCODING, Value::Text(encoding.name()));
                    }
                    reader.event(&text, &mut builder);
                }
            }
            start = end;
        }
        let batch = builder.finish().expect("the builder keeps its columns in step");
        (batch, reader.readings)
    }
}

/// Reads the records of one block.
struct Reader<'p> {
    packs: &'p Packs,
    source: &'p str,
    received: Micros,
    format: Option<&'p str>,
    /// The header in force.
    header: Option<Cow<'p, str>>,
    serials: formats::audit::Serials,
    writer: Writer<'p>,
    readings: Readings,
}

impl<'p> Reader<'p> {
    fn new(parser: &'p Parser, input: &Input<'p>) -> Self {
        let (format, header) = match input.format {
            Some(hint) if hint.contains(' ') => (None, Some(Cow::Borrowed(hint))),
            format => (format, None),
        };
        let (source, received) = (input.source, input.received);
        let serials = formats::audit::Serials::default();
        let writer = Writer::default();
        let readings = Readings::with_capacity(input.records.len());
        let packs = &parser.packs;
        Self { packs, source, received, format, header, serials, writer, readings }
    }

    /// An event of a record that may look like one before it.
    fn text_event<'a>(
        &mut self,
        text: &'a str,
        shapes: &mut Shapes<'a>,
        builder: &mut BatchBuilder,
    ) {
        let may_fit = text.starts_with('{') && self.header.is_none();
        if !may_fit || memchr::memchr(ESC, text.as_bytes()).is_some() {
            return self.event(text, builder);
        }
        match shapes.fit(text, self.received) {
            Some(Fit::Row(row)) => {
                write_row(&row, builder);
                self.readings.push("json", None);
                return end(row.stamp, builder);
            }
            Some(Fit::Found(found)) => return self.found_event(text, found, builder),
            None => self.plain_event(text, builder),
        }
        let packs = self.packs;
        shapes.learn(text, self.received, |names| packs.may_apply(self.source, "json", names));
    }

    fn event(&mut self, text: &str, builder: &mut BatchBuilder) {
        self.plain_event(&without_escapes(text), builder);
    }

    fn plain_event(&mut self, text: &str, builder: &mut BatchBuilder) {
        if let Some(header) = header::after(self.header.as_deref(), text) {
            self.header = Some(Cow::Owned(header));
        }
        let context = Context { header: self.header.as_deref(), ..Context::at(self.received) };
        let found = formats::read(text, self.format, &context);
        self.found_event(text, found, builder);
    }

    /// An event of what a format found in a record.
    fn found_event(&mut self, text: &str, mut found: Found<'_>, builder: &mut BatchBuilder) {
        let context = Context { header: self.header.as_deref(), ..Context::at(self.received) };
        if found.format == formats::audit::FORMAT.name {
            self.serials.join(&mut found);
        }
        self.readings.push(found.format, found.program.as_deref());
        let message = found.message.take().unwrap_or_default();
        // What is found in the message lives as long as that.
        let mut found = found;
        let subject = Subject { source: self.source, record: text, message: &message };
        let meaning = self.packs.meaning(&subject, &mut found);
        let times = meaning.as_ref().map_or(&[][..], |meaning| meaning.times);
        let matched = meaning.as_ref().and_then(|meaning| meaning.time.as_deref());
        let stamp = matched
            .and_then(|text| time::value(text, self.received))
            .or_else(|| head_or_named(times, &mut found, &context));
        let is_utc = meaning.as_ref().is_some_and(|meaning| meaning.utc);
        let stamp = stamp.map(|stamp| if is_utc { stamp.in_utc() } else { stamp });
        // What has no time has no head either: a text may begin with a word such as ERROR.
        let has_head = found.format == formats::PLAIN && found.stamp.is_some();
        let message = match meaning.is_none() && has_head {
            true => formats::app::head(&message, &mut found),
            false => &message,
        };
        let is_row = matches!(found.format, header::W3C | header::ZEEK | header::TABLE)
            && !found.pairs.is_empty();
        self.writer.write(&found, message, meaning, builder);
        if is_row
            && let Some(header) = self.header.as_deref()
            && header.len() <= header::ROW_HEADER_BYTES_MAX
        {
            builder.attribute(HEADER, Value::Text(header));
        }
        end(stamp, builder);
    }
}

/// The text without colours and the like, which are no part of what a record says; the raw record
/// keeps them.
fn without_escapes(text: &str) -> Cow<'_, str> {
    match memchr::memchr(ESC, text.as_bytes()) {
        None => Cow::Borrowed(text),
        Some(_) => clean::plain(text),
    }
}

/// The time of the head, unless it has no year and a native value that a pack knows has one.
fn head_or_named(times: &[String], found: &mut Found<'_>, context: &Context<'_>) -> Option<Stamp> {
    let has_year = |stamp: &Stamp| stamp.guess != Some(time::YEAR_GUESSED);
    let head = found.stamp;
    if head.is_some_and(|stamp| has_year(&stamp)) {
        return head;
    }
    let named = formats::json::take_time(found, times, context);
    named.filter(|stamp| head.is_none() || has_year(stamp)).or(head)
}

fn end(stamp: Option<Stamp>, builder: &mut BatchBuilder) {
    if let Some(guess) = stamp.and_then(|s| s.guess) {
        builder.issue(guess);
    }
    builder.end(stamp.map(|s| s.time));
}
