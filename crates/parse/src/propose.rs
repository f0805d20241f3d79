//! Proposed parsers: a pack for a source that no pack knows, made from its records alone.
//!
//! Formats have read the records before. Where they found text, its templates become patterns, and
//! the words around each variable part say which field it is. Where they found native names, names
//! and the looks of values say it. Words say how something ended and what was done. A person reads
//! the pack, edits it and accepts it: it is text as anybody writes it (content/parsers/README.md),
//! with the lines that each pattern was made from.
//!
//! What is shown as covered is measured with the proposed pack itself. All text in it is the other
//! side's, so whatever goes into YAML or a pattern is quoted there.
//!
//! **Bounds.** [`RECORDS_MAX`] records and [`BYTES_MAX`] bytes are looked at, 100 patterns and 512
//! native names come of them.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use crate::formats::{self, Context};
use crate::found::Found;
use crate::pack::{PackSource, Subject};
use crate::{Input, Parser, clean, header, without_escapes};

mod named;
mod names;
mod text;
mod yaml;

#[cfg(test)]
mod tests;

use named::{Names, Telling};
pub use names::Shape;
use text::{Form, Message, identifier};

/// Records that are looked at; those after them are not.
pub const RECORDS_MAX: usize = 5000;
/// Bytes of records that are looked at.
pub const BYTES_MAX: usize = 8 << 20;

/// Formats whose records are text with a head, and no names.
const TEXTS: &[&str] = &["syslog", "plain", "klog", "cri", "cisco"];
/// Programs that are listed; a source with more is a machine, not a product.
const PROGRAMS_MAX: usize = 16;
/// Remaining lines that the pack shows.
const SHOWN_MAX: usize = 5;
/// How sure a pattern is in which no field was found.
const NO_FIELD: f64 = 0.5;
/// Two records are half of what it takes to believe.
const RECORDS_HALF: f64 = 2.0;

/// A pack for records that none knows, and what it rests on.
#[derive(Debug, Clone)]
pub struct Proposal {
    /// The pack as YAML, valid for [`Parser::new`].
    pub text: String,
    /// Records that were looked at.
    pub records: usize,
    /// The formats that read them, with the number of records.
    pub formats: BTreeMap<&'static str, usize>,
    /// The share of the records that the pack takes, 0 to 1.
    pub covered: f64,
    /// The patterns, in the order of the pack.
    pub patterns: Vec<Pattern>,
    /// The native names that stand for a field.
    pub fields: Vec<Field>,
    /// How sure all of it is, 0 to 1: the covered share, how sure the fields are, and how many
    /// records there were.
    pub confidence: f64,
    /// The places of the records that the pack does not take.
    pub remaining: Vec<usize>,
}

/// A pattern of the pack.
#[derive(Debug, Clone)]
pub struct Pattern {
    /// The regular expression.
    pub pattern: String,
    /// A message that it was made from, as it can be shown: one line, cut.
    pub example: String,
    /// The records that it is the first to match.
    pub count: usize,
    /// What its groups hold.
    pub fields: Vec<Field>,
    /// Constants that its words say: action, outcome, category.
    pub values: BTreeMap<&'static str, String>,
}

/// A value that was given a field.
#[derive(Debug, Clone, PartialEq)]
pub struct Field {
    /// The product's name for it; empty in a pattern.
    pub native: String,
    /// The field, or the name of an attribute.
    pub field: String,
    /// What its values look like.
    pub shape: Shape,
    /// How sure it is that this is the field, 0 to 1.
    pub confidence: f64,
    /// One of its values, as it can be shown.
    pub example: String,
}

/// Proposes a pack called `name` (`vendor/product`) for the records. Nothing that is in the
/// records makes it fail; of records without any sense comes a pack that takes none.
pub fn propose(input: &Input<'_>, name: &str) -> Proposal {
    let texts = looked_at(input);
    let sample = Sample::of(&texts, input, name);
    let mut draft = sample.draft();
    // Whatever is wrong with a pack that does not load is wrong with its patterns or its names.
    let checked = sample.check(&draft).or_else(|| {
        draft.forms.clear();
        sample.check(&draft)
    });
    let checked = checked.unwrap_or_else(|| {
        draft = Draft::default();
        Checked { taken_by: vec![None; texts.len()], ..Checked::default() }
    });
    sample.proposal(draft, &checked)
}

/// The first records, as the parser reads them.
fn looked_at<'a>(input: &Input<'a>) -> Vec<Cow<'a, str>> {
    let mut bytes = 0;
    let fits = |record: &&[u8]| {
        bytes += record.len();
        bytes <= BYTES_MAX
    };
    let records = input.records.iter().take(RECORDS_MAX).take_while(fits);
    let text = |record| match clean::decode(record).0 {
        Cow::Borrowed(text) => without_escapes(text),
        Cow::Owned(text) => Cow::Owned(without_escapes(&text).into_owned()),
    };
    records.map(text).collect()
}

/// Reads the records as a parser does, without packs.
fn read<'t>(texts: &'t [Cow<'_, str>], input: &Input<'_>, mut each: impl FnMut(usize, Found<'t>)) {
    let (format, mut header) = match input.format {
        Some(hint) if hint.contains(' ') => (None, Some(hint.to_string())),
        format => (format, None),
    };
    for (i, text) in texts.iter().enumerate() {
        header = header::after(header.as_deref(), text).or(header);
        let context = Context { header: header.as_deref(), ..Context::at(input.received) };
        each(i, formats::read(text, format, &context));
    }
}

/// What one record is, beside its names.
#[derive(Debug, Default)]
struct Record<'t> {
    format: &'static str,
    program: Option<String>,
    message: Cow<'t, str>,
    is_timed: bool,
}

/// What is known of all records.
struct Sample<'t, 'i> {
    texts: &'t [Cow<'t, str>],
    input: &'i Input<'i>,
    /// The name of the pack.
    name: String,
    /// The product's own name, which attributes begin with.
    product: String,
    records: Vec<Record<'t>>,
    names: Names,
}

/// The parts of a pack.
#[derive(Debug, Default)]
struct Draft<'s> {
    applies: Vec<String>,
    times: Vec<&'s str>,
    fields: Vec<Field>,
    tables: Vec<(&'s str, named::Rows)>,
    forms: Vec<Form<'s>>,
}

/// What a draft made of the records.
#[derive(Debug, Default)]
struct Checked {
    /// For each record that the pack takes, the pattern that matched, if one did.
    taken_by: Vec<Option<Option<usize>>>,
    /// For each pattern, the records that it was the first to match.
    counts: Vec<usize>,
}

impl Checked {
    fn taken(&self) -> usize {
        self.taken_by.iter().flatten().count()
    }
}

impl<'t, 'i> Sample<'t, 'i> {
    fn of(texts: &'t [Cow<'t, str>], input: &'i Input<'i>, name: &str) -> Self {
        let (mut records, mut names) = (Vec::new(), Names::default());
        read(texts, input, |i, mut found| {
            names.add(i, &found, input.received);
            // What holds names and a few words between them has no text of its own.
            let message = found.message.take().unwrap_or_default();
            let is_all = found.format == "keyvalue" && message.contains('=');
            records.push(Record {
                format: found.format,
                program: found.program.map(Cow::into_owned).filter(|name| !name.is_empty()),
                message: if is_all { Cow::default() } else { message },
                is_timed: found.stamp.is_some(),
            });
        });
        let product = identifier(name.rsplit('/').next().unwrap_or(name));
        let is_name = product.starts_with(|c: char| c.is_ascii_alphabetic());
        let product = if is_name { product } else { format!("product_{product}") };
        Self { texts, input, name: name.to_string(), product, records, names }
    }

    /// The programs, if all records of these name one and there are few.
    fn programs(&self, records: &[usize]) -> Option<BTreeSet<&str>> {
        let programs: Option<BTreeSet<&str>> =
            records.iter().map(|i| self.records[*i].program.as_deref()).collect();
        programs.filter(|list| (1..=PROGRAMS_MAX).contains(&list.len()))
    }

    fn by_format(&self) -> BTreeMap<&'static str, Vec<usize>> {
        let mut groups: BTreeMap<&'static str, Vec<usize>> = BTreeMap::new();
        for (i, record) in self.records.iter().enumerate() {
            groups.entry(record.format).or_default().push(i);
        }
        groups
    }

    fn draft(&self) -> Draft<'_> {
        let groups = self.by_format();
        let texts = || groups.iter().filter(|(format, _)| TEXTS.contains(format));
        let known = texts().all(|(_, records)| self.programs(records).is_some());
        let messages: Vec<Message<'_>> = self
            .records
            .iter()
            .enumerate()
            .filter(|(_, record)| !record.message.is_empty())
            .map(|(i, record)| Message {
                record: i,
                text: &record.message,
                has_program: known || !TEXTS.contains(&record.format),
                needs_time: !record.is_timed,
            })
            .collect();
        let untimed = self.records.iter().enumerate().filter(|(_, record)| !record.is_timed);
        let untimed: Vec<usize> = untimed.map(|(i, _)| i).collect();
        Draft {
            applies: groups.iter().flat_map(|(format, list)| self.applies(format, list)).collect(),
            times: self.names.times(&untimed),
            fields: self.names.fields(&self.product),
            tables: self.names.tables(),
            forms: text::forms(&messages, &self.product, self.input.received),
        }
    }

    /// The conditions for the records of one format, each as it stands in the pack.
    fn applies(&self, format: &str, records: &[usize]) -> Vec<String> {
        let programs = self.programs(records);
        if TEXTS.contains(&format) {
            let program = programs.map(|list| format!("program: {}, ", yaml::list(list)));
            let program = program.unwrap_or_default();
            return vec![format!("{{{program}format: {format}, pattern: true}}")];
        }
        let program = programs.map(|list| format!(", program: {}", yaml::list(list)));
        let has_program = program.is_some();
        let condition = |telling: Telling<'_>| {
            let mut out = format!("{{format: {format}{}", program.as_deref().unwrap_or_default());
            let is_enough = telling.is_enough() || has_program;
            let names = telling.has.len() + telling.is.len() + usize::from(has_program);
            if !telling.has.is_empty() {
                out += &format!(", has: {}", yaml::list(telling.has));
            }
            if !telling.is.is_empty() {
                out += &format!(", is: {}", yaml::map(telling.is));
            }
            match () {
                () if names == 0 && format == "json" => return None,
                () if is_enough => {}
                () if self.input.source.is_empty() => out += ", pattern: true",
                () => out += &format!(", source: {}", yaml::list([self.input.source])),
            }
            Some(out + "}")
        };
        self.names.telling(records).into_iter().filter_map(condition).collect()
    }

    /// What the pack makes of the records; `None` if it does not load.
    fn check(&self, draft: &Draft<'_>) -> Option<Checked> {
        let text = self.write(draft, None);
        let parser = Parser::new(&[PackSource { path: self.name.clone(), text }]).ok()?;
        let pack = parser.packs.packs.first()?;
        let mut checked = Checked { counts: vec![0; draft.forms.len()], ..Checked::default() };
        read(self.texts, self.input, |i, mut found| {
            let message = found.message.take().unwrap_or_default();
            let subject =
                Subject { source: self.input.source, record: &self.texts[i], message: &message };
            // It may live no longer than its message from here on.
            let mut found = found;
            let taken = parser.packs.meaning(&subject, &mut found).is_some();
            let by = taken.then(|| pack.matching(&message));
            if let Some(count) = by.flatten().and_then(|at| checked.counts.get_mut(at)) {
                *count += 1;
            }
            checked.taken_by.push(by);
        });
        Some(checked)
    }

    fn proposal(&self, mut draft: Draft<'_>, checked: &Checked) -> Proposal {
        let confidence = self.confidence(&draft, checked);
        let counts = checked.counts.iter().copied();
        let mut patterns = Vec::new();
        let mut kept = Vec::new();
        // A pattern that another goes before says nothing.
        for (form, count) in draft.forms.into_iter().zip(counts).filter(|(_, count)| *count > 0) {
            patterns.push(Pattern {
                pattern: form.pattern.clone(),
                example: yaml::shown(form.example),
                count,
                fields: form.fields.clone(),
                values: form.values.clone(),
            });
            kept.push(form);
        }
        draft.forms = kept;
        let is_left = |(i, by): (usize, &Option<Option<usize>>)| by.is_none().then_some(i);
        let remaining: Vec<usize> =
            checked.taken_by.iter().enumerate().filter_map(is_left).collect();
        let formats = self.by_format().into_iter().map(|(f, list)| (f, list.len())).collect();
        let mut proposal = Proposal {
            text: String::new(),
            records: self.texts.len(),
            formats,
            covered: checked.taken() as f64 / self.texts.len().max(1) as f64,
            patterns,
            fields: draft.fields.clone(),
            confidence,
            remaining,
        };
        proposal.text = self.write(&draft, Some(&proposal));
        proposal
    }

    /// How sure the fields are, over all records; a record that is not taken counts as nothing.
    fn confidence(&self, draft: &Draft<'_>, checked: &Checked) -> f64 {
        let mean = |fields: &[Field]| match fields.len() {
            0 => NO_FIELD,
            count => fields.iter().map(|f| f.confidence).sum::<f64>() / count as f64,
        };
        let named = mean(&draft.fields);
        let of =
            |by: &Option<usize>| by.and_then(|at| draft.forms.get(at)).map(|f| mean(&f.fields));
        let sum: f64 = checked.taken_by.iter().flatten().map(|by| of(by).unwrap_or(named)).sum();
        sum / (self.texts.len() as f64 + RECORDS_HALF)
    }

    /// The pack as text; with what it rests on, where that is known.
    fn write(&self, draft: &Draft<'_>, proposal: Option<&Proposal>) -> String {
        let mut out = String::new();
        // Writing to a string cannot fail.
        let _ = self.write_to(draft, proposal, &mut out);
        out
    }

    fn write_to(
        &self,
        draft: &Draft<'_>,
        proposal: Option<&Proposal>,
        out: &mut String,
    ) -> std::fmt::Result {
        if let Some(proposal) = proposal {
            let formats: Vec<String> =
                proposal.formats.iter().map(|(name, count)| format!("{name} {count}")).collect();
            writeln!(
                out,
                "# Proposed from {} records ({}): it takes {:.0} % of them, confidence {:.2}.\n\
                 # Nobody has looked at it yet. Read it, edit it, and give it tests.",
                proposal.records,
                formats.join(", "),
                100.0 * proposal.covered,
                proposal.confidence,
            )?;
        }
        writeln!(out, "product: {}", yaml::scalar(&self.product))?;
        if draft.applies.is_empty() {
            return writeln!(out, "applies: []");
        }
        writeln!(out, "applies:")?;
        draft.applies.iter().try_for_each(|line| writeln!(out, "  - {line}"))?;
        if !draft.times.is_empty() {
            writeln!(out, "times: {}", yaml::list(draft.times.iter().copied()))?;
        }
        write_fields(draft, out)?;
        write_tables(draft, out)?;
        write_patterns(draft, proposal, out)?;
        self.write_remaining(proposal, out)
    }

    fn write_remaining(&self, proposal: Option<&Proposal>, out: &mut String) -> std::fmt::Result {
        let Some(proposal) = proposal.filter(|p| !p.remaining.is_empty()) else { return Ok(()) };
        writeln!(out, "# {} records remain, such as:", proposal.remaining.len())?;
        let shown = proposal.remaining.iter().take(SHOWN_MAX);
        shown.copied().try_for_each(|i| writeln!(out, "#   {}", yaml::shown(&self.texts[i])))
    }
}

/// Names that the registry does not know by itself; what is an address and a port at once is taken
/// apart by a pattern.
fn write_fields(draft: &Draft<'_>, out: &mut String) -> std::fmt::Result {
    let is_new = |f: &&Field| f.confidence < 1.0 && f.shape != Shape::Endpoint;
    let mut fields = draft.fields.iter().filter(is_new).peekable();
    if fields.peek().is_some() {
        writeln!(out, "fields:")?;
    }
    fields.try_for_each(|f| {
        let name = yaml::scalar(&f.native);
        let shape = f.shape.name();
        writeln!(out, "  {name}: {}  # {shape}, {:.2}: {}", f.field, f.confidence, f.example)
    })
}

fn write_tables(draft: &Draft<'_>, out: &mut String) -> std::fmt::Result {
    if !draft.tables.is_empty() {
        writeln!(out, "tables:")?;
    }
    for (name, rows) in &draft.tables {
        writeln!(out, "  - keys: {}\n    rows:", yaml::list([*name]))?;
        for (value, says) in rows {
            let outcome = says.outcome.map(|outcome| ("event.outcome", outcome));
            let category = says.category.map(|category| ("event.category", category));
            let values = yaml::map(outcome.into_iter().chain(category));
            writeln!(out, "      {}: {{values: {values}}}", yaml::scalar(value))?;
        }
    }
    Ok(())
}

fn write_patterns(
    draft: &Draft<'_>,
    proposal: Option<&Proposal>,
    out: &mut String,
) -> std::fmt::Result {
    let endpoints = || draft.fields.iter().filter(|f| f.shape == Shape::Endpoint);
    if draft.forms.is_empty() && endpoints().next().is_none() {
        return Ok(());
    }
    writeln!(out, "patterns:")?;
    for (at, form) in draft.forms.iter().enumerate() {
        if let Some(pattern) = proposal.and_then(|p| p.patterns.get(at)) {
            writeln!(out, "  # {} of the records: {}", pattern.count, pattern.example)?;
        }
        writeln!(out, "  - pattern: {}", yaml::quoted(&form.pattern))?;
        if !form.values.is_empty() {
            let values = form.values.iter().map(|(name, value)| (*name, value.as_str()));
            writeln!(out, "    values: {}", yaml::map(values))?;
        }
    }
    for field in endpoints() {
        let port = field.field.replace(".ip", ".port");
        let pattern = format!(r"\[?(?<{}>[0-9A-Fa-f.:]+?)\]?[:/](?<{port}>\d+)$", field.field);
        writeln!(out, "  # such as: {}", field.example)?;
        writeln!(out, "  - pattern: {}", yaml::quoted(&pattern))?;
        writeln!(out, "    in: {}", yaml::scalar(&field.native))?;
    }
    Ok(())
}
