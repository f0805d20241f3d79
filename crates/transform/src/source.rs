//! A transform as people write it: a YAML file that names its sources and holds a program and
//! tests.

use globset::{Glob, GlobSet, GlobSetBuilder};
use serde::Deserialize;
use serde_json::{Map, Value};
use vrl::compiler::{CompileConfig, Program, compile_with_external, state::ExternalEnv};
use vrl::diagnostic::{Diagnostic, DiagnosticList};
use vrl::path::{OwnedSegment, OwnedTargetPath, PathPrefix};

use crate::functions::{self, OFFERED};
use crate::{event, nesting};

/// Longest file in bytes.
pub const TEXT_BYTES_MAX: usize = 256 << 10;
/// Longest program in bytes.
pub const PROGRAM_BYTES_MAX: usize = 32 << 10;
/// Sources and tests that a file may name.
const LIST_MAX: usize = 1000;
/// Stack for reading and running programs, which VRL does by recursion.
pub(crate) const STACK_BYTES: usize = 32 << 20;
/// Problems of one program that are told.
const PROBLEMS_MAX: usize = 20;

/// The text of a transform and what it is called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TransformSource {
    /// Name: the file's without its ending.
    pub name: String,
    /// YAML.
    pub text: String,
}

/// What is wrong with a transform.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Problem {
    /// Name of the transform.
    pub name: String,
    /// Line in its text, from 1; none where it is about the whole.
    pub line: Option<usize>,
    /// Column in this line in characters, from 1.
    pub column: Option<usize>,
    /// What is wrong.
    pub message: String,
    /// What to do; may be empty.
    pub hint: String,
}

/// A test that stands in the file of a transform.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TransformTest {
    /// The raw record.
    pub input: String,
    /// Source that it comes from; without one, the first that the transform names.
    #[serde(default)]
    pub source: Option<String>,
    /// Fields of the event with their values; null for a field that must not be there. Others do
    /// not matter.
    pub expected: Map<String, Value>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    sources: Vec<String>,
    program: String,
    #[serde(default)]
    tests: Vec<TransformTest>,
}

/// A transform that compiles.
#[derive(Debug)]
pub struct Transform {
    pub(crate) name: String,
    pub(crate) sources: Vec<String>,
    pub(crate) globs: GlobSet,
    pub(crate) tests: Vec<TransformTest>,
    pub(crate) program: Program,
    /// The program as written, and where it stands in the file.
    text: String,
    place: Place,
}

impl Transform {
    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Names and patterns of the sources that it is for.
    pub fn sources(&self) -> &[String] {
        &self.sources
    }

    /// A source that it is for, as samples come from it: the first, without its stars.
    pub fn sample_source(&self) -> String {
        let name = self.sources.first().map_or("", String::as_str);
        let plain = name.replace('*', "");
        if self.is_for(&plain) { plain } else { name.to_string() }
    }

    /// Its tests.
    pub fn tests(&self) -> &[TransformTest] {
        &self.tests
    }

    /// What VRL says of an error, with the line of the file instead of bytes of the program.
    pub(crate) fn located(&self, message: &str) -> String {
        let place = |message: &str| {
            let (before, rest) = message.split_once(" at (")?;
            let (span, after) = rest.split_once(')')?;
            let start = span.split_once(':')?.0.parse().ok()?;
            let (line, _) = self.place.find(&self.text, start);
            Some(format!("{before} in line {line}{after}"))
        };
        place(message).unwrap_or_else(|| message.to_string())
    }

    /// True when it is for this source.
    pub fn is_for(&self, source: &str) -> bool {
        self.globs.is_match(source)
    }
}

/// Compiles the text of one transform.
pub(crate) fn compile(source: &TransformSource) -> Result<Transform, Vec<Problem>> {
    let problem = |line: Option<usize>, column, message: String, hint: &str| Problem {
        name: source.name.clone(),
        line,
        column,
        message,
        hint: hint.into(),
    };
    let whole = |message: String, hint: &str| vec![problem(None, None, message, hint)];
    if source.text.len() > TEXT_BYTES_MAX {
        return Err(whole(format!("a transform has at most {TEXT_BYTES_MAX} bytes"), ""));
    }
    let file: File = yaml_serde::from_str(&source.text).map_err(|error| {
        let place = error.location();
        let (line, column) = (place.as_ref().map(|p| p.line()), place.map(|p| p.column()));
        let hint = "a transform has `sources`, a `program` and `tests`";
        vec![problem(line, column, error.to_string(), hint)]
    })?;
    if file.sources.is_empty() || file.sources.len() > LIST_MAX || file.tests.len() > LIST_MAX {
        let message = format!("a transform has 1 to {LIST_MAX} sources, and at most as many tests");
        return Err(whole(message, "name the sources that it is for, such as `sources: [web-*]`"));
    }
    let globs = globs(&file.sources)
        .map_err(|error| whole(error.to_string(), "`*` stands for any part of a name"))?;
    let place = Place::of(&source.text);
    let program = compile_program(&file.program).map_err(|found| {
        let told = found.into_iter().take(PROBLEMS_MAX).map(|found| {
            let (line, column) = place.find(&file.program, found.at);
            problem(Some(line), Some(column), found.message, &found.hint)
        });
        told.collect::<Vec<_>>()
    })?;
    let (name, sources, tests) = (source.name.clone(), file.sources, file.tests);
    Ok(Transform { name, sources, globs, tests, program, text: file.program, place })
}

fn globs(sources: &[String]) -> Result<GlobSet, globset::Error> {
    let mut set = GlobSetBuilder::new();
    for source in sources {
        set.add(Glob::new(source)?);
    }
    set.build()
}

/// What is wrong with a program, and at which byte.
struct Wrong {
    at: usize,
    message: String,
    hint: String,
}

impl Wrong {
    fn at(at: usize, message: impl Into<String>, hint: impl Into<String>) -> Vec<Wrong> {
        vec![Wrong { at, message: message.into(), hint: hint.into() }]
    }
}

fn compile_program(text: &str) -> Result<Program, Vec<Wrong>> {
    if text.len() > PROGRAM_BYTES_MAX {
        return Err(Wrong::at(0, format!("a program has at most {PROGRAM_BYTES_MAX} bytes"), ""));
    }
    nesting::check(text)
        .map_err(|(at, message)| Wrong::at(at, message, "split it with variables"))?;
    if let Some(at) = text.find("timezone:").filter(|_| text.contains("local")) {
        let hint = "name a zone, such as \"Europe/Berlin\"; without one it is UTC";
        return Err(Wrong::at(at, "a transform knows no local time zone", hint));
    }
    let mut config = CompileConfig::default();
    config.disable_unused_expression_check();
    let functions = functions::offered();
    let compiled = stacker::grow(STACK_BYTES, || {
        compile_with_external(text, &functions, &ExternalEnv::default(), config)
    });
    let program = compiled.map_err(|list| told(text, list))?.program;
    for path in &program.info().target_assignments {
        if let Some(name) = read_only(path) {
            let at = text.find(&format!(".{name}")).unwrap_or(0);
            let message = format!("`.{name}` can be read, not written");
            return Err(Wrong::at(at, message, "choose a name of your own"));
        }
    }
    Ok(program)
}

/// The read-only field that a path is, or is inside of.
fn read_only(path: &OwnedTargetPath) -> Option<&'static str> {
    if path.prefix != PathPrefix::Event {
        return None;
    }
    let mut name = String::new();
    for segment in &path.path.segments {
        let OwnedSegment::Field(field) = segment else { return None };
        if !name.is_empty() {
            name.push('.');
        }
        name.push_str(field);
        let id = pugmark_event::fields::by_ecs_name(&name).filter(|id| event::read_only(*id));
        if let Some(id) = id {
            return Some(id.name());
        }
    }
    None
}

fn told(text: &str, list: DiagnosticList) -> Vec<Wrong> {
    let errors = list.into_iter().filter(Diagnostic::is_problem);
    errors.map(|diagnostic| wrong(text, &diagnostic)).collect()
}

fn wrong(text: &str, diagnostic: &Diagnostic) -> Wrong {
    let primary = diagnostic.labels.iter().find(|label| label.primary);
    let label = primary.or(diagnostic.labels.first());
    let span = label.map_or(0..0, |label| label.span.range());
    let mut message = diagnostic.message.clone();
    let said = label.map(|label| label.message.trim()).filter(|said| !said.is_empty());
    if let Some(said) = said.filter(|said| !message.contains(said)) {
        message = format!("{message}: {said}");
    }
    // The list of all that VRL has.
    let message = message.split(" (expected one of").next().unwrap_or_default().to_string();
    let called = text.get(span.clone()).unwrap_or_default();
    let called: String =
        called.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
    let hint = match functions::withheld(&called).filter(|_| !OFFERED.contains(&&*called)) {
        Some(why) => format!("{called} is not offered: {why}"),
        None => hint(diagnostic),
    };
    Wrong { at: span.start, message, hint }
}

/// What else VRL says, without links.
fn hint(diagnostic: &Diagnostic) -> String {
    let labels = diagnostic.labels.iter().filter(|label| !label.primary);
    let labels = labels.map(|label| label.message.trim().to_string());
    let notes = diagnostic.notes.iter().map(|note| note.to_string().trim().to_string());
    let all = labels.chain(notes).filter(|text| !text.is_empty() && !text.contains("http"));
    all.collect::<Vec<_>>().join("; ")
}

/// Where the program stands in its file.
#[derive(Debug)]
struct Place {
    /// Lines before its first.
    lines: usize,
    /// Characters before each of its lines.
    indent: usize,
}

impl Place {
    fn of(text: &str) -> Self {
        let lines: Vec<&str> = text.lines().collect();
        let Some(key) = lines.iter().position(|line| line.starts_with("program:")) else {
            return Self { lines: 0, indent: 0 };
        };
        if !lines[key].contains(['|', '>']) {
            return Self { lines: key, indent: "program: ".len() };
        }
        let below = lines[key + 1..].iter().find(|line| !line.trim().is_empty());
        // `|2` says it; otherwise the first line does.
        let said = lines[key].chars().find_map(|c| c.to_digit(10)).map(|digit| digit as usize);
        let indent = said.or(below.map(|line| line.len() - line.trim_start().len())).unwrap_or(0);
        Self { lines: key + 1, indent }
    }

    /// Line and column in the file, from 1, of a byte of the program.
    fn find(&self, program: &str, at: usize) -> (usize, usize) {
        let before = program.get(..at.min(program.len())).unwrap_or(program);
        let line = before.matches('\n').count();
        let start = before.rfind('\n').map_or(0, |end| end + 1);
        (self.lines + line + 1, self.indent + before[start..].chars().count() + 1)
    }
}
