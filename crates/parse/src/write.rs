//! What was found in a record, into columns: native names to the fields that they stand for, the
//! rest to the attributes.

use std::borrow::Cow;
use std::hash::{Hash, Hasher};
use std::net::IpAddr;

use hashbrown::HashMap;
use pugmark_event::value::exact_address;
use pugmark_event::{BatchBuilder, FieldId, Kind, Severity, Value, fields};

use crate::formats::{NOT_UNDERSTOOD, Place, Row, severity_field};
use crate::found::{Found, Pair, Val};
use crate::header;
use crate::pack::{Also, Alsos, Meaning, Target};

/// Kinds of records whose names are remembered.
const SENSES_MAX: usize = 256;

/// What [`Writer::write`] does for a record that no pack says anything about.
pub(crate) fn write_row(row: &Row<'_, '_>, builder: &mut BatchBuilder) {
    if let Some(level) = row.level() {
        if let Some(severity) = Severity::from_log_level(level) {
            let (id, digit) = severity_field(severity);
            put(id, id.name(), digit.value(), builder);
        }
        put(fields::LOG_LEVEL, fields::LOG_LEVEL.name(), Value::Text(level), builder);
    }
    for (place, value) in row.places() {
        match place {
            Place::Field(id) => builder.set(*id, value.value()),
            Place::Attribute(name) => builder.attribute(name, value.value()),
        }
    }
    for (name, host) in row.hosts() {
        put_envelope(fields::HOST_NAME, name, host.value(), builder);
    }
    if let Some(message) = row.message() {
        builder.set(fields::MESSAGE, Value::Text(message));
    }
}

/// Where the values of a native name go.
#[derive(Debug)]
struct Step<'p> {
    name: Box<str>,
    /// The fields that a pack has for it; it keeps its own name as well.
    also: Option<&'p Also>,
    /// The column that the registry has for it.
    column: Option<FieldId>,
}

/// What decides where native names go.
#[derive(Debug, Clone)]
struct Sense<'p> {
    /// Fields that a pack has for native names, the most specific list first.
    lists: Vec<&'p Alsos>,
    /// Sigma's product, for which the registry knows native names.
    product: &'p str,
    /// False when names can only be those of ECS.
    is_native: bool,
}

/// Puts what was found into columns. It remembers where names go, since records of one kind have
/// the same ones at the same places.
#[derive(Debug, Default)]
pub(crate) struct Writer<'p> {
    plans: HashMap<Sense<'p>, Plan<'p>>,
}

/// What is known of the records of one kind.
#[derive(Debug, Default)]
struct Plan<'p> {
    /// For the native names, in the order of the record.
    steps: Vec<Step<'p>>,
    /// The fields that formats know by themselves, with those that a pack has for their names.
    fields: Vec<(FieldId, Option<&'p Also>)>,
}

impl<'p> Plan<'p> {
    /// What a pack has for the name of a field, which is the `at`-th that the format knows.
    fn also(&mut self, at: usize, id: FieldId, sense: &Sense<'p>) -> Option<&'p Also> {
        match self.fields.get(at) {
            Some((known, also)) if *known == id => return *also,
            _ => self.fields.truncate(at),
        }
        let also = sense.also(id.name());
        self.fields.push((id, also));
        also
    }

    /// Native values: first what a pack takes them for, then its constants, then their own names.
    fn pairs(
        &mut self,
        sense: &Sense<'p>,
        pairs: &[Pair<'_>],
        defaults: &[(Target, String)],
        builder: &mut BatchBuilder,
    ) {
        let steps = &mut self.steps;
        for (at, Pair { name, value }) in pairs.iter().enumerate() {
            match steps.get_mut(at) {
                Some(step) if *step.name == **name => {}
                Some(step) => *step = sense.step(name),
                None => steps.push(sense.step(name)),
            }
            if let Some(also) = steps[at].also {
                translate(also, value, builder);
            }
        }
        for (target, value) in defaults {
            constant(target, value, builder);
        }
        for (step, Pair { name, value }) in steps.iter().zip(pairs) {
            match step {
                Step { also: Some(_), column, .. } => put_own(*column, name, value, builder),
                Step { column, .. } if sense.is_native => put_native(*column, name, value, builder),
                Step { column, .. } => builder.place_as(*column, name, value.value()),
            }
        }
    }
}

impl PartialEq for Sense<'_> {
    fn eq(&self, other: &Self) -> bool {
        let same = |(a, b): (&&Alsos, &&Alsos)| std::ptr::eq(*a, *b);
        self.lists.len() == other.lists.len()
            && self.lists.iter().zip(&other.lists).all(same)
            && (self.product, self.is_native) == (other.product, other.is_native)
    }
}

impl Eq for Sense<'_> {}

impl Hash for Sense<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.lists.iter().for_each(|list| std::ptr::from_ref(*list).addr().hash(state));
        (self.product, self.is_native).hash(state);
    }
}

impl<'p> From<&Sense<'p>> for Sense<'p> {
    fn from(sense: &Sense<'p>) -> Self {
        sense.clone()
    }
}

impl<'p> Sense<'p> {
    /// What a pack has for a name; the most specific list has the say.
    fn also(&self, name: &str) -> Option<&'p Also> {
        self.lists.iter().find_map(|list| list.get(name))
    }

    fn step(&self, name: &str) -> Step<'p> {
        let also = self.also(name);
        let column = match also.is_none() && self.is_native {
            true => fields::resolve(self.product, name),
            false => fields::by_ecs_name(name),
        };
        Step { name: name.into(), also, column }
    }
}

impl<'p> Writer<'p> {
    /// The surest first, since a column takes the first value it gets.
    pub(crate) fn write(
        &mut self,
        found: &Found<'_>,
        message: &str,
        meaning: Option<Meaning<'p, '_>>,
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
        // The names of the W3C are the same in every product.
        let is_native = known || !product.is_empty() || found.format == header::W3C;
        let sense = Sense { lists: meaning.fields, product, is_native };
        let plan = self.plan(&sense);
        for (at, (id, value)) in found.fields.iter().enumerate() {
            let also = plan.also(at, *id, &sense);
            also.iter().for_each(|also| translate(also, value, builder));
            if also.is_none() || !builder.has(*id) {
                put(*id, id.name(), value.value(), builder);
            }
        }
        for Pair { name, value } in &found.inside {
            if let Some(also) = sense.also(name) {
                translate(also, value, builder);
            }
        }
        plan.pairs(&sense, &found.pairs, meaning.defaults, builder);
        for (id, name, value) in &found.envelope {
            // A name that several formats share, such as `host`, may mean another thing to a pack.
            let is_native = !name.is_empty() && !name.starts_with("syslog.");
            let also = if is_native { sense.also(name) } else { None };
            match also {
                Some(also) => {
                    translate(also, value, builder);
                    put_own(fields::by_ecs_name(name), name, value, builder);
                }
                None => put_envelope(*id, name, value.value(), builder),
            }
        }
        match builder.has(fields::MESSAGE) {
            _ if message.is_empty() => {}
            false => builder.set(fields::MESSAGE, Value::Text(message)),
            // A pack that has a better one.
            true if builder.holds(fields::MESSAGE, message) => {}
            true => builder.attribute("original.message", Value::Text(message)),
        }
        for issue in found.issues.iter().filter(|issue| !(matched && **issue == NOT_UNDERSTOOD)) {
            builder.issue(issue);
        }
    }

    fn plan(&mut self, sense: &Sense<'p>) -> &mut Plan<'p> {
        if self.plans.len() >= SENSES_MAX && !self.plans.contains_key(sense) {
            self.plans.clear();
        }
        self.plans.entry_ref(sense).or_default()
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
        Target::Field(id) if id.field().kind == Kind::Ip => address_or_host(*id, text, builder),
        Target::Field(id) if *id == fields::LOG_LEVEL => level(text, builder),
        Target::Field(id) => put(*id, id.name(), Value::Text(text), builder),
        Target::Attribute(name) => builder.attribute(name, Value::Text(text)),
    }
}

/// Where an address may stand, programs also write the name that it resolves to.
fn address_or_host(id: FieldId, text: &str, builder: &mut BatchBuilder) {
    match id {
        _ if !builder.has(id) && is_ipv4(text) => builder.text(id, text),
        _ if address(text).is_some() => put(id, id.name(), Value::Text(text), builder),
        fields::SOURCE_IP => builder.set(fields::SOURCE_HOST, Value::Text(text)),
        fields::DESTINATION_IP => builder.set(fields::DESTINATION_HOST, Value::Text(text)),
        id => builder.set(id, Value::Text(text)),
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
        Target::Field(id) if id.field().kind == Kind::Text && !value.is_empty() => {
            // Where there is a value already, that one stays.
            builder.text(*id, value);
        }
        Target::Field(id) if builder.has(*id) => {}
        Target::Field(id) => builder.set(*id, Value::Text(value)),
        Target::Attribute(name) => builder.attribute(name, Value::Text(value)),
    }
}

/// A value that a pack gave a field keeps its own name, unless that is the name of a field.
fn put_own(column: Option<FieldId>, name: &str, value: &Val<'_>, builder: &mut BatchBuilder) {
    let value = value.value();
    match column {
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
            Target::Attribute(_) if text.is_empty() || text == "-" => {}
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

fn put_native(column: Option<FieldId>, name: &str, value: &Val<'_>, builder: &mut BatchBuilder) {
    let value = value.value();
    match column {
        Some(id) if is_odd(value.text()) && !fields::SYSTEM.contains(&id) => {
            put(id, name, value, builder);
        }
        column => builder.place_as(column, name, value),
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
        Kind::Ip if is_ipv4(text) => builder.text(id, text),
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
        Kind::Text => builder.text(id, text),
        Kind::Time | Kind::Bytes => place(id, name, value, builder),
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

/// IPv4 has one spelling.
fn is_ipv4(text: &str) -> bool {
    exact_address(text).is_some_and(|address| address.is_ipv4())
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
