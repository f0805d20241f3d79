//! A run on paper: every number in raw.csv; the bars, medians and the recipe in summary.md.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::bars;

/// One number: what, in which unit, and the repetition it is of (from 1).
struct Row {
    measure: String,
    unit: &'static str,
    repetition: usize,
    value: f64,
}

/// The numbers of a run in the order in which they were taken.
#[derive(Default)]
pub(crate) struct Report {
    rows: Vec<Row>,
    notes: Vec<String>,
}

impl Report {
    /// Takes down one number; the same measure again is its next repetition.
    pub(crate) fn add(&mut self, measure: &str, unit: &'static str, value: f64) {
        println!("{measure:<52} {} {unit}", shown(value));
        self.add_quietly(measure, unit, value);
    }

    /// The same, without a line on the screen.
    pub(crate) fn add_quietly(&mut self, measure: &str, unit: &'static str, value: f64) {
        let earlier = self.rows.iter().filter(|row| row.measure == measure).count();
        let row = Row { measure: measure.to_string(), unit, repetition: earlier + 1, value };
        self.rows.push(row);
    }

    /// Takes down what a reader of the numbers must know: what was skipped, what differed.
    pub(crate) fn note(&mut self, note: String) {
        if !self.notes.contains(&note) {
            println!("note: {note}");
            self.notes.push(note);
        }
    }

    /// The median of a measure's numbers so far.
    pub(crate) fn median(&self, measure: &str) -> Option<f64> {
        let mut groups = self.grouped().into_iter();
        groups.find(|(name, _, _)| *name == measure).map(|(_, _, values)| median(&values))
    }

    /// Writes both files into `folder`; `about` is (what, text) lines on how the run was made.
    pub(crate) fn write(
        &self,
        folder: &Path,
        corpus: &str,
        about: &[(&str, String)],
    ) -> Result<()> {
        fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
        let mut csv = String::from("measure,unit,repetition,value\n");
        for row in &self.rows {
            let (measure, unit) = (&row.measure, row.unit);
            csv += &format!("\"{measure}\",{unit},{},{}\n", row.repetition, row.value);
        }
        fs::write(folder.join("raw.csv"), csv)?;

        let mut text = format!("# A benchmark run: {corpus}\n\n| | |\n| --- | --- |\n");
        for (name, value) in about {
            text += &format!("| {name} | {value} |\n");
        }
        let of = |measure: &str| self.median(measure).map(|value| (value, shown(value)));
        text += &format!("\n## Bars\n\n{}", bars::table(corpus, of));
        if !self.notes.is_empty() {
            text += "\n## Notes\n\n";
        }
        for note in &self.notes {
            text += &format!("- {note}\n");
        }
        text += "\n## Numbers\n";
        text += "\n| measure | median | least | most | unit |\n| --- | --: | --: | --: | --- |\n";
        for (measure, unit, values) in self.grouped() {
            let (least, most) = (values[0], values[values.len() - 1]);
            let spread = match values.len() {
                1 => " | ".to_string(),
                _ => format!("{} | {}", shown(least), shown(most)),
            };
            text += &format!("| {measure} | {} | {spread} | {unit} |\n", shown(median(&values)));
        }
        fs::write(folder.join("summary.md"), text)?;
        Ok(())
    }

    /// Measures in order, each with its values from least to most.
    fn grouped(&self) -> Vec<(&str, &str, Vec<f64>)> {
        let mut groups: Vec<(&str, &str, Vec<f64>)> = Vec::new();
        for row in &self.rows {
            match groups.iter_mut().find(|(measure, _, _)| *measure == row.measure) {
                Some((_, _, values)) => values.push(row.value),
                None => groups.push((&row.measure, row.unit, vec![row.value])),
            }
        }
        for (_, _, values) in &mut groups {
            values.sort_by(f64::total_cmp);
        }
        groups
    }
}

/// A folder of this name below `runs`, with a number after it when that is taken.
pub(crate) fn fresh_folder(runs: &Path, name: &str) -> PathBuf {
    let names = (1..).map(|count| match count {
        1 => name.to_string(),
        _ => format!("{name}-{count}"),
    });
    let mut folders = names.map(|name| runs.join(name));
    folders.find(|folder| !folder.exists()).expect("counting does not end")
}

/// Processor, cores, memory and system of this machine, without its name.
pub(crate) fn machine() -> String {
    let read = |path| fs::read_to_string(path).unwrap_or_default();
    let after = |text: &str, key: &str| {
        let line = text.lines().find(|line| line.starts_with(key));
        line.and_then(|line| line.split_once(':')).map_or("?".into(), |(_, v)| v.trim().to_string())
    };
    let (cpu, memory) = (read("/proc/cpuinfo"), read("/proc/meminfo"));
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let memory = after(&memory, "MemTotal").trim_end_matches(" kB").parse::<u64>().unwrap_or(0);
    let system = words("uname", &["-sr"]);
    let model = after(&cpu, "model name");
    format!("{model}, {cores} cores, {} GB memory, {system}", memory / 1_000_000)
}

/// The first line that a program prints, or `?`.
pub(crate) fn words(program: &str, args: &[&str]) -> String {
    let output = Command::new(program).args(args).output().ok();
    let text = output.and_then(|output| String::from_utf8(output.stdout).ok()).unwrap_or_default();
    text.lines().next().map_or("?".into(), |line| line.trim().to_string())
}

/// The value below which this share of the sorted values lies, by the nearest rank.
pub(crate) fn percentile(sorted: &[f64], share: f64) -> f64 {
    let rank = (sorted.len() as f64 * share).ceil() as usize;
    sorted[rank.clamp(1, sorted.len()) - 1]
}

fn median(sorted: &[f64]) -> f64 {
    let middle = sorted.len() / 2;
    match sorted.len() % 2 {
        1 => sorted[middle],
        _ => (sorted[middle - 1] + sorted[middle]) / 2.0,
    }
}

/// Three digits that count; whole numbers from a hundred on.
fn shown(value: f64) -> String {
    match value.abs() {
        0.0 => "0".to_string(),
        size if size < 1.0 => format!("{value:.3}"),
        size if size < 10.0 => format!("{value:.2}"),
        size if size < 100.0 => format!("{value:.1}"),
        _ => format!("{value:.0}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_has_every_number_and_their_medians() {
        let mut report = Report::default();
        report.add("needle, warm", "ms", 3.0);
        report.add("disk", "bytes", 1234.0);
        for value in [9.0, 1.0] {
            report.add("needle, warm", "ms", value);
        }
        let folder = std::env::temp_dir().join(format!("pugmark-report-{}", std::process::id()));
        report.write(&folder, "mixed", &[("machine", "this".into())]).expect("it is ours");
        let read = |name| fs::read_to_string(folder.join(name)).expect("it was written");
        let (csv, text) = (read("raw.csv"), read("summary.md"));
        let _ = fs::remove_dir_all(&folder);
        assert!(csv.ends_with("\"needle, warm\",ms,2,9\n\"needle, warm\",ms,3,1\n"), "{csv}");
        assert!(text.contains("| needle, warm | 3.00 | 1.00 | 9.00 | ms |\n"), "{text}");
        assert!(text.contains("| disk | 1234 |  |  | bytes |\n"), "{text}");
    }
}
