//! `--name value` pairs and bare `--flags`; anything else is refused.

use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};

/// What a command takes.
pub(crate) struct Known {
    /// Options with a value; any may come again.
    pub(crate) options: &'static [&'static str],
    /// Options without one.
    pub(crate) flags: &'static [&'static str],
}

pub(crate) struct Args {
    pairs: Vec<(String, String)>,
    flags: Vec<String>,
}

impl Args {
    /// Reads what is `known`.
    pub(crate) fn parse(words: &[String], known: &Known) -> Result<Self> {
        let mut args = Self { pairs: Vec::new(), flags: Vec::new() };
        let mut words = words.iter();
        while let Some(word) = words.next() {
            let name = word.strip_prefix("--").unwrap_or_default().to_string();
            if known.flags.contains(&name.as_str()) {
                args.flags.push(name);
                continue;
            }
            if !known.options.contains(&name.as_str()) {
                let there = [known.options, known.flags].concat().join(", --");
                bail!("no option {word}: there are --{there}");
            }
            let value = words.next().with_context(|| format!("{word} wants a value"))?;
            args.pairs.push((name, value.clone()));
        }
        Ok(args)
    }

    pub(crate) fn flag(&self, name: &str) -> bool {
        self.flags.iter().any(|flag| flag == name)
    }

    /// Every value of an option, in order.
    pub(crate) fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        let pairs = self.pairs.iter().filter(move |(known, _)| known == name);
        pairs.map(|(_, value)| value.as_str())
    }

    pub(crate) fn text(&self, name: &str, default: &str) -> String {
        self.all(name).last().unwrap_or(default).to_string()
    }

    pub(crate) fn number(&self, name: &str, default: u64) -> Result<u64> {
        match self.all(name).last() {
            Some(text) => text.parse().with_context(|| format!("--{name} {text}: not a number")),
            None => Ok(default),
        }
    }

    pub(crate) fn path(&self, name: &str) -> Result<PathBuf> {
        self.all(name).last().map(PathBuf::from).with_context(|| format!("--{name} is missing"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: Known = Known { options: &["mb", "set"], flags: &["flame"] };

    #[track_caller]
    fn check(words: &str, expected: Result<(u64, usize, bool), &str>) {
        let words: Vec<String> = words.split_whitespace().map(str::to_string).collect();
        let read = Args::parse(&words, &KNOWN).and_then(|args| {
            Ok((args.number("mb", 7)?, args.all("set").count(), args.flag("flame")))
        });
        match (read, expected) {
            (Ok(read), Ok(expected)) => assert_eq!(read, expected),
            (Err(error), Err(part)) => assert!(format!("{error:#}").contains(part), "{error:#}"),
            (read, expected) => panic!("{read:?}, expected {expected:?}"),
        }
    }

    #[test]
    fn options_flags_and_mistakes() {
        check("", Ok((7, 0, false)));
        check("--flame --mb 9 --set a --set b", Ok((9, 2, true)));
        check("--mb", Err("--mb wants a value"));
        check("--mb x", Err("--mb x: not a number"));
        check("--size 3", Err("no option --size: there are --mb, --set, --flame"));
    }
}
