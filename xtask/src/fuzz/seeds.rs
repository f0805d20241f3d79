//! What the fuzzers begin with: samples that the repository has anyway, as inputs of each target,
//! and others' files from `../shared` where that is at hand.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use serde_json::Value;
use walkdir::WalkDir;

use crate::shell;

/// Inputs of a target.
type Seeds = Result<Vec<Vec<u8>>>;

/// Longest seeds of text: a mutation of a short one says more in the same time.
const TEXT_BYTES_MAX: usize = 4 << 10;
/// EVTX files of one chunk that are taken.
const EVTX_FILES_MAX: usize = 24;

/// A parser pack and the records of its tests.
struct Pack {
    text: String,
    records: Vec<Sample>,
}

/// A record, and what its door says of it: a format, or the header above it.
struct Sample {
    text: String,
    door: Option<String>,
}

impl Pack {
    /// The records as lines, as many as are not too long.
    fn lines(&self) -> String {
        let mut lines = String::new();
        for record in &self.records {
            if lines.len() + record.text.len() < TEXT_BYTES_MAX {
                lines += &record.text;
                lines.push('\n');
            }
        }
        lines
    }
}

/// Each record by itself, below its header if it has one, and the records of each pack as a body.
/// What the first four bytes mean stands in fuzz/fuzz_targets/parse.rs.
pub(super) fn parse() -> Seeds {
    let packs = packs()?;
    let single = |record: &Sample| match &record.door {
        Some(door) => format!("\x01\0\0\0{door}\n{}", record.text),
        None => format!("\0\0\0\0{}", record.text),
    };
    let singles = packs.iter().flat_map(|pack| &pack.records).map(single);
    let bodies = packs.iter().map(|pack| format!("\0\0\0\x01{}", pack.lines()));
    Ok(short(singles.chain(bodies)))
}

/// Bodies of lines, of a JSON array and of UTF-16; small EVTX files and compressed ones.
pub(super) fn frame() -> Seeds {
    let packs = packs()?;
    let lines = packs.iter().map(|pack| pack.lines().into_bytes());
    let objects = packs.iter().flat_map(|pack| &pack.records);
    let objects: Vec<&str> =
        objects.map(|record| record.text.as_str()).filter(|text| text.starts_with('{')).collect();
    let arrays = objects.chunks(4).map(|some| format!("[{}]", some.join(",\n")).into_bytes());
    let wide = packs.iter().step_by(8).map(|pack| {
        let units: Vec<u16> = pack.lines().encode_utf16().collect();
        [0xfeff].iter().chain(&units).flat_map(|unit| unit.to_le_bytes()).collect()
    });
    let messages = objects.chunks(4).map(|some| {
        let head = r#"{"messageType":"DATA_MESSAGE","logGroup":"g","logEvents":["#;
        format!("{head}{}]}}\nand a line", some.join(", ")).into_bytes()
    });
    let mut seeds: Vec<Vec<u8>> = lines.chain(arrays).chain(messages).chain(wide).collect();
    // A header and one chunk.
    seeds.extend(shared("evtx", 68 << 10)?.into_iter().take(EVTX_FILES_MAX));
    seeds.extend(shared("gz", TEXT_BYTES_MAX)?);
    Ok(seeds)
}

/// The beginnings of records.
pub(super) fn time() -> Seeds {
    let begin = |record: &Sample| record.text.chars().take(40).collect::<String>();
    let packs = packs()?;
    let all = packs.iter().flat_map(|pack| &pack.records).map(begin);
    Ok(all.filter(|text| text.len() <= 64).map(String::into_bytes).collect())
}

/// Packs, each with the records of its tests below it.
pub(super) fn pack() -> Seeds {
    let packs = packs()?;
    let texts = packs.iter().map(|pack| format!("{}\n---\n{}", pack.text, pack.lines()));
    Ok(short(texts))
}

/// The records of each pack.
pub(super) fn propose() -> Seeds {
    Ok(short(packs()?.iter().map(Pack::lines)))
}

/// Each record.
pub(super) fn mask() -> Seeds {
    Ok(short(packs()?.into_iter().flat_map(|pack| pack.records).map(|record| record.text)))
}

/// The records of each pack.
pub(super) fn templates() -> Seeds {
    propose()
}

/// Rules below a line of their first test.
pub(super) fn rule() -> Seeds {
    let files = files(&shell::root().join("content/rules"), "yaml");
    let with_event = |path: &PathBuf| -> Result<String> {
        let text = fs::read_to_string(path)?;
        let event = text.split_once("records: |\n").and_then(|(_, rest)| rest.lines().next());
        Ok(format!("{}\n{text}", event.unwrap_or_default().trim()))
    };
    Ok(short(files.iter().map(with_event).collect::<Result<Vec<_>>>()?))
}

/// The questions of the guide.
pub(super) fn query() -> Seeds {
    let blocks = blocks("docs/guide/query-language.md", "query")?;
    Ok(short(blocks.iter().flat_map(|block| block.lines()).map(str::to_string)))
}

/// The program of the guide, pieces that others are made of, and a call of each function.
pub(super) fn transform() -> Seeds {
    const PIECES: [&str; 6] = [
        ".a = .b\ndel(.c)",
        "if exists(.n) { .n = to_int!(.n) + 1 } else { .n = 0 }",
        ". = merge!(., parse_json!(.message))",
        "a, err = parse_regex(.message, r'(?P<w>\\w+) (?P<n>\\d+)')\nif err == null { .x = a }",
        "for_each(array!(.a.b)) -> |i, v| { .list[i] = string!(v) }",
        ".\"@timestamp\" = parse_timestamp!(.t, \"%+\")",
    ];
    let guide = blocks("docs/guide/transforms.md", "yaml")?;
    let programs = guide.iter().filter_map(|block| {
        let (_, rest) = block.split_once("program: |\n")?;
        let lines = rest.lines().map_while(|line| line.strip_prefix("  "));
        Some(lines.collect::<Vec<_>>().join("\n"))
    });
    let offered = fs::read_to_string(shell::root().join("crates/transform/src/functions.rs"))?;
    let names =
        offered.lines().filter_map(|line| line.trim().strip_prefix('"')?.strip_suffix("\","));
    let calls = names.map(|name| format!(".a = {name}!(.message)"));
    Ok(short(programs.chain(PIECES.map(str::to_string)).chain(calls)))
}

/// Tables and lists of the guide, names and user agents in records, small databases of MaxMind's.
pub(super) fn enrich() -> Seeds {
    const LISTS: [&str; 5] = [
        "192.0.2.0/24 lab\n2001:db8::/32\n# a comment\n192.0.2.1\n",
        r#"{"prefixes":[{"ip_prefix":"192.0.2.0/24","service":"EC2"}]}"#,
        r#"{"values":[{"properties":{"addressPrefixes":["192.0.2.0/24"]}}]}"#,
        "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/126.0.0.0 Safari/537.36",
        "https://user@www.shop.example.co.uk:8443/a?b",
    ];
    let tables = blocks("docs/guide/enrichment.md", "csv")?;
    let mut seeds = short(tables.into_iter().chain(LISTS.map(str::to_string)));
    seeds.extend(shared("mmdb", 8 << 10)?);
    Ok(seeds)
}

fn short(texts: impl IntoIterator<Item = String>) -> Vec<Vec<u8>> {
    let all = texts.into_iter().map(String::into_bytes);
    all.filter(|text| text.len() <= TEXT_BYTES_MAX).collect()
}

/// The packs of `content/parsers`.
fn packs() -> Result<Vec<Pack>> {
    let root = shell::root().join("content/parsers");
    let packs = files(&root, "yaml");
    packs.iter().map(|path| pack_at(path).with_context(|| path.display().to_string())).collect()
}

fn pack_at(path: &Path) -> Result<Pack> {
    let mut records = Vec::new();
    for file in files(&path.with_file_name("tests"), "json") {
        let tests: Value = serde_json::from_slice(&fs::read(file)?)?;
        for test in tests.as_array().into_iter().flatten() {
            let text = |key: &str| test[key].as_str().map(str::to_string);
            let sample = |input| Sample { text: input, door: text("format") };
            records.extend(text("input").map(sample));
        }
    }
    Ok(Pack { text: fs::read_to_string(path)?, records })
}

/// The files below a folder with this ending, in the order of their paths.
fn files(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let entries = WalkDir::new(folder).sort_by_file_name().into_iter().filter_map(Result::ok);
    let paths = entries.map(walkdir::DirEntry::into_path);
    paths.filter(|path| path.extension().is_some_and(|end| end == ending)).collect()
}

/// Files of others that are not too long; none where they are not at hand.
fn shared(ending: &str, bytes_max: usize) -> Seeds {
    let mut found = Vec::new();
    for path in files(&shell::root().join("../shared/data"), ending) {
        if fs::metadata(&path)?.len() <= bytes_max as u64 {
            found.push(fs::read(path)?);
        }
    }
    Ok(found)
}

/// The fenced blocks of a document in this language.
fn blocks(document: &str, language: &str) -> Result<Vec<String>> {
    let text = fs::read_to_string(shell::root().join(document))?;
    let fence = format!("```{language}\n");
    let blocks = text.split(&fence).skip(1).filter_map(|rest| Some(rest.split_once("```")?.0));
    Ok(blocks.map(str::to_string).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_stand_behind_what_says_how_they_are_read() {
        let seeds = parse().unwrap();
        let begins = |with: &[u8]| seeds.iter().any(|seed| seed.starts_with(with));
        assert!(begins(b"\0\0\0\0Nov ") && begins(b"\0\0\0\x01"));
        assert!(begins(b"\x01\0\0\0w3c date time ") && begins(b"\x01\0\0\0zeek "));
    }

    #[test]
    fn questions_and_programs_are_found_in_the_guides() {
        let has = |seeds: Vec<Vec<u8>>, text: &[u8]| seeds.iter().any(|seed| seed == text);
        assert!(has(query().unwrap(), b"user.name:root"));
        let programs = transform().unwrap();
        assert!(programs[0].starts_with(b"parts = parse_regex!("));
        assert!(has(programs, b".a = parse_cef!(.message)"));
    }
}
