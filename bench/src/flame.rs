//! Where the time goes: samples of the running server as a flame graph.
//!
//! `perf` takes the stacks; the picture is drawn here. It is a pass of its own, since the sampling
//! costs the server something.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, Result, bail};

const WIDTH: f64 = 1200.0;
const ROW: usize = 16;
/// Narrower frames are not drawn.
const FRAME_WIDTH_MIN: f64 = 0.3;
const CHARACTER_WIDTH: f64 = 6.6;
/// Lines of the list of functions.
const LISTED: usize = 40;

/// A running `perf record`.
pub(crate) struct Sampling {
    perf: Child,
    data: PathBuf,
}

/// Whether this machine has perf.
pub(crate) fn available() -> bool {
    Command::new("perf").arg("--version").stdout(Stdio::null()).status().is_ok_and(|s| s.success())
}

/// Starts to sample a process.
pub(crate) fn start(pid: u32, data: &Path) -> Result<Sampling> {
    let perf = Command::new("perf")
        .args(["record", "--quiet", "--event", "cpu-clock", "--freq", "99"])
        // No frame pointers in a release build: stacks are copied and unwound afterwards.
        .args(["--call-graph", "dwarf,16384", "--pid", &pid.to_string(), "--output"])
        .arg(data)
        .stdout(Stdio::null())
        .spawn()
        .context("cannot start perf")?;
    Ok(Sampling { perf, data: data.to_path_buf() })
}

impl Sampling {
    /// Ends it and writes `flame.svg` and `flame.txt` into `out`.
    pub(crate) fn write(mut self, out: &Path) -> Result<()> {
        let pid = self.perf.id().to_string();
        Command::new("kill").args(["-INT", &pid]).status()?;
        self.perf.wait()?;
        let script = Command::new("perf")
            .args(["script", "--no-inline", "--fields", "comm,ip,sym", "--input"])
            .arg(&self.data)
            .stderr(Stdio::null())
            .output()
            .context("cannot start perf script")?;
        fs::remove_file(&self.data)?;
        let root = fold(&String::from_utf8_lossy(&script.stdout));
        if root.samples == 0 {
            bail!("perf took no samples: may this user sample other processes?");
        }
        fs::create_dir_all(out)?;
        fs::write(out.join("flame.svg"), draw(&root))?;
        fs::write(out.join("flame.txt"), list(&root))?;
        Ok(())
    }
}

/// A function under its callers.
#[derive(Default)]
struct Frame {
    samples: u64,
    callees: BTreeMap<String, Frame>,
}

impl Frame {
    fn own_samples(&self) -> u64 {
        self.samples - self.callees.values().map(|frame| frame.samples).sum::<u64>()
    }

    fn depth(&self) -> usize {
        1 + self.callees.values().map(Frame::depth).max().unwrap_or(0)
    }
}

/// Reads `perf script`: a line with the thread's name, a line per function from the innermost
/// out, an empty line.
fn fold(text: &str) -> Frame {
    let mut root = Frame::default();
    for sample in text.split("\n\n") {
        let mut lines = sample.lines().filter(|line| !line.trim().is_empty());
        let Some(thread) = lines.next() else { continue };
        let mut stack: Vec<&str> =
            lines.filter_map(|line| line.trim().split_once(' ')).map(|(_, f)| f).collect();
        stack.push(thread.trim());
        root.samples += 1;
        let mut frame = &mut root;
        for name in stack.iter().rev() {
            frame = frame.callees.entry(without_hash(name).to_string()).or_default();
            frame.samples += 1;
        }
    }
    root
}

/// `a::b` of `a::b::h0123456789abcdef`.
fn without_hash(name: &str) -> &str {
    match name.rsplit_once("::h") {
        Some((path, hash)) if hash.len() == 16 && hash.bytes().all(|b| b.is_ascii_hexdigit()) => {
            path
        }
        _ => name,
    }
}

fn draw(root: &Frame) -> String {
    let height = (root.depth() + 2) * ROW;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" \
         font-family=\"monospace\" font-size=\"11\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n\
         <text x=\"4\" y=\"12\">{} samples; point at a frame for its name and share</text>\n",
        root.samples,
    );
    let mut at = 0.0;
    for (name, frame) in &root.callees {
        at += draw_frame(&mut svg, name, frame, at, height - ROW, root.samples);
    }
    svg + "</svg>\n"
}

/// Draws a frame and what it calls; answers its width.
fn draw_frame(svg: &mut String, name: &str, frame: &Frame, x: f64, y: usize, all: u64) -> f64 {
    let width = frame.samples as f64 / all as f64 * WIDTH;
    if width < FRAME_WIDTH_MIN {
        return width;
    }
    let percent = frame.samples as f64 / all as f64 * 100.0;
    // A colour per name: warm, and the same in every picture.
    let hash = name.bytes().fold(7u32, |hash, byte| hash.wrapping_mul(31) + u32::from(byte));
    let (green, blue) = (90 + hash % 130, hash / 130 % 60);
    let room = (width / CHARACTER_WIDTH) as usize;
    let shown: String =
        if room < 3 { String::new() } else { name.chars().take(room - 1).collect() };
    let _ = writeln!(
        svg,
        "<g><title>{} ({percent:.2} %)</title><rect x=\"{x:.1}\" y=\"{y}\" width=\"{width:.1}\" \
         height=\"{}\" fill=\"rgb(230,{green},{blue})\"/><text x=\"{:.1}\" y=\"{}\">{}</text></g>",
        escaped(name),
        ROW - 1,
        x + 2.0,
        y + 11,
        escaped(&shown),
    );
    let mut at = x;
    for (name, callee) in &frame.callees {
        at += draw_frame(svg, name, callee, at, y - ROW, all);
    }
    width
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// The shares of threads, and of functions with and without what they call.
fn list(root: &Frame) -> String {
    let (mut with, mut own) = (BTreeMap::new(), BTreeMap::new());
    count(root, &mut Vec::new(), &mut with, &mut own);
    let threads = root.callees.iter().map(|(name, frame)| (name.as_str(), frame.samples)).collect();
    let mut text = format!("{} samples\n", root.samples);
    let ours = |(name, _): &(&&str, &u64)| name.contains("pugmark");
    let with = with.iter().filter(ours).map(|(name, samples)| (*name, *samples)).collect();
    for (title, shares) in [
        ("threads", threads),
        ("functions of ours, with what they call", with),
        ("functions, without what they call", own),
    ] {
        let mut shares: Vec<(&str, u64)> = BTreeMap::into_iter(shares).collect();
        shares.sort_by_key(|(_, samples)| std::cmp::Reverse(*samples));
        let _ = writeln!(text, "\n{title}");
        for (name, samples) in shares.iter().take(LISTED) {
            let percent = *samples as f64 / root.samples as f64 * 100.0;
            let _ = writeln!(text, "{percent:6.2} %  {name}");
        }
    }
    text
}

fn count<'a>(
    frame: &'a Frame,
    above: &mut Vec<&'a str>,
    with: &mut BTreeMap<&'a str, u64>,
    own: &mut BTreeMap<&'a str, u64>,
) {
    for (name, callee) in &frame.callees {
        *own.entry(name).or_default() += callee.own_samples();
        // What calls itself counts once.
        if !above.contains(&name.as_str()) {
            *with.entry(name).or_default() += callee.samples;
        }
        above.push(name);
        count(callee, above, with, own);
        above.pop();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCRIPT: &str = "wal\n\t 55 pugmark::b<T>::h0123456789abcdef\n\t 44 main\n\n\
                          wal\n\t 44 main\n\npipeline\n\t 99 pugmark::c\n\n";

    #[test]
    fn stacks_are_folded_and_drawn() {
        let root = fold(SCRIPT);
        assert_eq!((root.samples, root.depth()), (3, 4));
        assert_eq!(root.callees["wal"].callees["main"].own_samples(), 1);
        let svg = draw(&root);
        assert!(svg.contains("<title>pugmark::b&lt;T&gt; (33.33 %)</title>"), "{svg}");
        let text = list(&root);
        assert!(text.contains(" 66.67 %  wal\n"), "{text}");
        assert!(text.contains(" 33.33 %  pugmark::b<T>\n"), "{text}");
    }
}
