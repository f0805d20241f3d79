//! What is wrong with a question, where, and what to write instead.

use serde::Serialize;

/// One fault in the text of a question.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Diagnostic {
    /// First byte of the fault.
    pub from: usize,
    /// First byte after it.
    pub to: usize,
    /// What is wrong.
    pub message: String,
    /// What to write instead.
    pub hint: Option<String>,
}

impl std::fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)?;
        match &self.hint {
            Some(hint) => write!(f, "; {hint}"),
            None => Ok(()),
        }
    }
}

impl Diagnostic {
    /// A fault at `from .. to`.
    pub(crate) fn new(from: usize, to: usize, message: impl Into<String>) -> Self {
        Self { from, to, message: message.into(), hint: None }
    }

    /// Says what to write instead.
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Suggests the nearest of `known`, else lists them.
    pub(crate) fn nearest(self, word: &str, known: &[&str]) -> Self {
        // Distance grows with the square of the length; nobody mistypes a word of hundreds.
        let word: String = word.chars().take(64).flat_map(char::to_lowercase).collect();
        let best = known
            .iter()
            .map(|k| (strsim::damerau_levenshtein(&word, &k.to_lowercase()), *k))
            .min_by_key(|(distance, _)| *distance)
            .filter(|(distance, k)| *distance <= 1 + k.len() / 4);
        match best {
            Some((_, k)) => self.hint(format!("did you mean `{k}`?")),
            None if known.is_empty() => self,
            None => self.hint(format!("known are {}", known.join(", "))),
        }
    }
}
