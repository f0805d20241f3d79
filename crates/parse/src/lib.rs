//! Records to events: formats, parser packs, issues. Parsing never fails.
//!
//! A **format** is how a record is written (JSON, syslog, an access log); it is found per record,
//! from the bytes alone. A **pack** is what a product means by it. What neither understands is kept
//! with its text as the message and the issue `not_understood`.

use std::borrow::Cow;
use std::net::IpAddr;

use pugmark_event::time::Micros;
use pugmark_event::{Batch, BatchBuilder, FieldId, Kind, Records, Severity, Value, fields};

mod catalog;
mod formats;
mod found;
pub mod frame;
mod header;
pub mod health;
mod pack;
mod path;
mod reading;
pub mod templates;
mod time;

pub use catalog::Produced;
pub use header::Headers;
pub use pack::{PackError, PackSource};
pub use reading::Readings;

use formats::{Context, Fit, NOT_UNDERSTOOD, Place, Shapes, severity_field};
use found::{Found, Pair, Val};
use pack::{Also, Meaning, Packs, Subject, Target};
use time::Stamp;

/// The packs of `content/parsers`, as (path, text).
const BUILTIN: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/packs.rs"));

/// Turns records into events. Holds the compiled packs and nothing that changes.
#[derive(Debug)]
pub struct Parser {
    packs: Packs,
}

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
        let sources: Vec<PackSource> = BUILTIN
            .iter()
            .map(|(path, text)| PackSource { path: (*path).into(), text: (*text).into() })
            .collect();
        // A test compiles their patterns.
        Ok(Parser { packs: Packs::new(&sources)? })
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
        let whole = std::str::from_utf8(bytes).ok();
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
                    reader.event(&String::from_utf8_lossy(record), &mut builder);
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
        let readings = Readings::with_capacity(input.records.len());
        Self { packs: &parser.packs, source, received, format, header, serials, readings }
    }

    /// An event of a record that may look like one before it.
    fn text_event<'a>(
        &mut self,
        text: &'a str,
        shapes: &mut Shapes<'a>,
        builder: &mut BatchBuilder,
    ) {
        if !text.starts_with('{') {
            return self.event(text, builder);
        }
        if let Some(fit) = shapes.fit(text, self.received) {
            write_fit(&fit, builder);
            self.readings.push("json", None);
            return end(fit.stamp, builder);
        }
        self.event(text, builder);
        let packs = self.packs;
        shapes.learn(text, self.received, |names| packs.may_apply(self.source, "json", names));
    }

    fn event(&mut self, text: &str, builder: &mut BatchBuilder) {
        if let Some(header) = header::after(self.header.as_deref(), text) {
            self.header = Some(Cow::Owned(header));
        }
        let context = Context { header: self.header.as_deref(), ..Context::at(self.received) };
        let mut found = formats::read(text, self.format, &context);
        if found.format == formats::audit::FORMAT.name {
            self.serials.join(&mut found);
        }
        self.readings.push(found.format, found.program.as_deref());
        let message = found.message.take().unwrap_or_default();
        let subject = Subject { source: self.source, record: text, message: &message };
        let meaning = self.packs.meaning(&subject, &mut found);
        let times = meaning.as_ref().map_or(&[][..], |meaning| meaning.times);
        let matched = meaning.as_ref().and_then(|meaning| meaning.time.as_deref());
        let stamp = matched
            .and_then(|text| time::value(text, self.received))
            .or(found.stamp)
            .or_else(|| formats::json::take_time(&mut found, times, &context));
        let is_utc = meaning.as_ref().is_some_and(|meaning| meaning.utc);
        let stamp = stamp.map(|stamp| if is_utc { stamp.in_utc() } else { stamp });
        // What has no time has no head either: a text may begin with a word such as ERROR.
        let has_head = found.format == formats::PLAIN && found.stamp.is_some();
        let message = match meaning.is_none() && has_head {
            true => formats::app::head(&message, &mut found),
            false => &message,
        };
        write(found, message, meaning, builder);
        end(stamp, builder);
    }
}

fn end(stamp: Option<Stamp>, builder: &mut BatchBuilder) {
    if let Some(guess) = stamp.and_then(|s| s.guess) {
        builder.issue(guess);
    }
    builder.end(stamp.map(|s| s.time));
}

/// What [`write`] does for a record that no pack says anything about.
fn write_fit(fit: &Fit<'_, '_>, builder: &mut BatchBuilder) {
    if let Some(level) = fit.level() {
        if let Some(severity) = Severity::from_log_level(level) {
            let (id, digit) = severity_field(severity);
            put(id, id.name(), digit.value(), builder);
        }
        put(fields::LOG_LEVEL, fields::LOG_LEVEL.name(), Value::Text(level), builder);
    }
    for (place, value) in fit.places() {
        match place {
            Place::Field(id) => builder.set(*id, value.value()),
            Place::Attribute(name) => builder.attribute(name, value.value()),
        }
    }
    for (name, host) in fit.hosts() {
        put_envelope(fields::HOST_NAME, name, host.value(), builder);
    }
    if let Some(message) = fit.message() {
        builder.set(fields::MESSAGE, Value::Text(message));
    }
}

/// Puts everything into columns: the surest first, since a column takes the first value it gets.
fn write(
    found: Found<'_>,
    message: &str,
    meaning: Option<Meaning<'_>>,
    builder: &mut BatchBuilder,
) {
    let known = meaning.is_some();
    let matched = meaning.as_ref().is_some_and(|m| m.matched);
    let meaning = meaning.unwrap_or_default();
    let product = if known { meaning.product } else { found.product };
    builder.log_source(product, meaning.category, meaning.service);
    if known {
        builder.text(fields::EVENT_MODULE, meaning.module);
    }
    for (target, text) in &meaning.captures {
        capture(target, text, builder);
    }
    for (target, value) in meaning.values.iter().copied().flatten() {
        constant(target, value, builder);
    }
    for (id, value) in &found.fields {
        let also = meaning.also(id.name());
        also.iter().for_each(|also| translate(also, value, builder));
        if also.is_none() || !builder.has(*id) {
            put(*id, id.name(), value.value(), builder);
        }
    }
    for Pair { name, value } in found.inside.iter().chain(&found.pairs) {
        if let Some(also) = meaning.also(name) {
            translate(also, value, builder);
        }
    }
    for (target, value) in meaning.defaults {
        constant(target, value, builder);
    }
    // The names of the W3C are the same in every product.
    let native = known || !product.is_empty() || found.format == header::W3C;
    for Pair { name, value } in &found.pairs {
        match meaning.also(name) {
            Some(_) => put_own(name, value.value(), builder),
            None if native => put_native(product, name, value.value(), builder),
            None => builder.named(name, value.value()),
        }
    }
    for (id, name, value) in &found.envelope {
        put_envelope(*id, name, value.value(), builder);
    }
    if !message.is_empty() {
        builder.set(fields::MESSAGE, Value::Text(message));
    }
    for issue in found.issues.iter().filter(|issue| !(matched && **issue == NOT_UNDERSTOOD)) {
        builder.issue(issue);
    }
}

/// A value of the envelope yields to what the record says of itself.
fn put_envelope(id: FieldId, name: &str, value: Value<'_>, builder: &mut BatchBuilder) {
    match builder.has(id) {
        false => put(id, name, value, builder),
        true if name.is_empty() => {}
        true => builder.attribute(name, value),
    }
}

/// Text that a pattern took out of the message. Empty text says nothing.
fn capture(target: &Target, text: &str, builder: &mut BatchBuilder) {
    if text.is_empty() {
        return;
    }
    match target {
        // Where an address may stand, programs also write the name that it resolves to.
        Target::Field(id) if id.field().kind == Kind::Ip && address(text).is_none() => match *id {
            fields::SOURCE_IP => builder.set(fields::SOURCE_HOST, Value::Text(text)),
            fields::DESTINATION_IP => builder.set(fields::DESTINATION_HOST, Value::Text(text)),
            id => builder.set(id, Value::Text(text)),
        },
        Target::Field(id) if *id == fields::LOG_LEVEL => level(text, builder),
        Target::Field(id) => put(*id, id.name(), Value::Text(text), builder),
        Target::Attribute(name) => builder.attribute(name, Value::Text(text)),
    }
}

/// The level as the product wrote it, and the severity that it means.
fn level(text: &str, builder: &mut BatchBuilder) {
    if let Some(severity) = Severity::from_log_level(text) {
        builder.long(fields::SEVERITY, severity as i64);
    }
    put(fields::LOG_LEVEL, fields::LOG_LEVEL.name(), Value::Text(text), builder);
}

/// A constant of a pack; it yields to anything that the record says itself.
fn constant(target: &Target, value: &str, builder: &mut BatchBuilder) {
    match target {
        Target::Field(id) if builder.has(*id) => {}
        Target::Field(id) => builder.set(*id, Value::Text(value)),
        Target::Attribute(name) => builder.attribute(name, Value::Text(value)),
    }
}

/// A value that a pack gave a field keeps its own name, unless that is the name of a field.
fn put_own(name: &str, value: Value<'_>, builder: &mut BatchBuilder) {
    match fields::by_ecs_name(name) {
        Some(id) if builder.holds(id, value.text()) => {}
        Some(_) => builder.attribute(&format!("original.{name}"), value),
        None => builder.attribute(name, value),
    }
}

/// The fields that a native value stands for, in their words, where it fits them. The value keeps
/// its own name as well.
fn translate(also: &Also, value: &Val<'_>, builder: &mut BatchBuilder) {
    let Some(text) = also.translate(value) else { return };
    for target in &also.targets {
        match target {
            Target::Field(id) if !builder.has(*id) => fit(*id, &text, builder),
            Target::Field(_) => {}
            Target::Attribute(target) => builder.attribute(target, Value::Text(&text)),
        }
    }
}

/// Sets the column only if the text fits it.
fn fit(id: FieldId, text: &str, builder: &mut BatchBuilder) {
    match id.field().kind {
        _ if text.is_empty() || text == "-" => {}
        _ if id == fields::LOG_LEVEL => level(text, builder),
        Kind::Ip => {
            if let Some(address) = address(text) {
                builder.text(id, &address.to_string());
            }
        }
        Kind::Long => {
            if let Some(number) = hex(text).or_else(|| text.parse().ok()) {
                builder.long(id, number);
            }
        }
        Kind::Text => builder.text(id, text),
        Kind::Time | Kind::Bytes => {}
    }
}

fn put_native(product: &str, name: &str, value: Value<'_>, builder: &mut BatchBuilder) {
    if !is_odd(value.text()) {
        return builder.native(product, name, value);
    }
    match fields::resolve(product, name) {
        Some(id) if !fields::SYSTEM.contains(&id) => put(id, name, value, builder),
        _ => builder.native(product, name, value),
    }
}

/// True for text that may need more than a plain look: a dash, hex, an address.
fn is_odd(text: &str) -> bool {
    text.len() <= 64 && (text == "-" || text.starts_with("0x") || text.bytes().any(|b| b == b':'))
}

/// Puts a value into its column. An address in another spelling gets the canonical one there and
/// stays in the tail as written; hex in a number column is read; a dash that would name an entity
/// says nothing and stays in the tail.
fn put(id: FieldId, name: &str, value: Value<'_>, builder: &mut BatchBuilder) {
    let text = value.text();
    let field = id.field();
    if text == "-" && (field.role.is_some() || field.kind != Kind::Text) {
        return builder.attribute(name, value);
    }
    if builder.has(id) || !matches!(value, Value::Text(_)) {
        return place(id, name, value, builder);
    }
    match field.kind {
        Kind::Ip => match address(text).map(|a| a.to_string()) {
            Some(canonical) if canonical != text => {
                builder.text(id, &canonical);
                match name == id.name() {
                    true => builder.attribute(&format!("original.{name}"), value),
                    false => builder.attribute(name, value),
                }
            }
            _ => place(id, name, value, builder),
        },
        Kind::Long => match hex(text) {
            Some(number) => builder.long(id, number),
            None => place(id, name, value, builder),
        },
        _ => place(id, name, value, builder),
    }
}

/// The builder's own placing, under a native or an ECS name.
fn place(id: FieldId, name: &str, value: Value<'_>, builder: &mut BatchBuilder) {
    if builder.has(id) && name != id.name() {
        // A second value for a column is no defect of the record where two native names share it.
        return builder.attribute(name, value);
    }
    builder.set(id, value);
}

/// An address in any spelling; IPv4 that is mapped into IPv6 is IPv4.
fn address(text: &str) -> Option<IpAddr> {
    if text.len() > 45 {
        return None;
    }
    let bare: Cow<'_, str> = match text.split_once('%') {
        // A zone belongs to the machine that wrote the record, not to the address.
        Some((bare, _)) => bare.into(),
        None => text.into(),
    };
    let address: IpAddr = bare.parse().ok()?;
    Some(match address {
        IpAddr::V6(v6) => v6.to_ipv4_mapped().map_or(address, IpAddr::V4),
        v4 => v4,
    })
}

/// `0x1a4`, as Windows writes process ids.
fn hex(text: &str) -> Option<i64> {
    i64::from_str_radix(text.strip_prefix("0x")?, 16).ok()
}
