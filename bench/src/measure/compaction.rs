//! What compaction takes from ingest: the same corpus with it and without it.

use anyhow::Result;

use super::Measure;
use crate::harness::Bench;
use crate::measure::ingest;
use crate::process;
use crate::send;

pub(crate) const MEASURE: Measure =
    Measure { name: "compaction", about: "ingest with compaction on and off, its cores", run };

const NAME: &str = "compaction";

fn run(bench: &mut Bench) -> Result<()> {
    bench.clear()?;
    if !bench.has_setting("store", "compaction")? {
        bench.report.note("compaction skipped: the binary has no setting store.compaction".into());
        return Ok(());
    }
    for _ in 0..bench.plan.passes {
        for on in [true, false] {
            pass(bench, on)?;
        }
    }
    let rate = |on| bench.report.median(measure(on));
    if let (Some(with), Some(without)) = (rate(true), rate(false)) {
        bench.report.add("compaction: ingest rate kept", "ratio", with / without);
    }
    Ok(())
}

fn measure(on: bool) -> &'static str {
    if on { "compaction: ingest with it" } else { "compaction: ingest without it" }
}

fn pass(bench: &mut Bench, on: bool) -> Result<()> {
    let server = bench.start(NAME, &[("store.compaction", on.to_string())])?;
    let sent = ingest::send_all(bench, &server)?;
    let during = process::compaction_seconds(server.pid());
    let mut samples = sent.samples;
    samples.extend(bench.settle(&server)?.samples);
    bench.report.add(measure(on), "MB/s", sent.bytes as f64 / 1e6 / sent.wall.as_secs_f64());
    if on {
        let all = process::compaction_seconds(server.pid());
        bench.report.add("compaction: CPU during ingest", "s", during);
        bench.report.add("compaction: CPU in all", "s", all);
        if all > 0.0 {
            let most = send::compaction_cores_max(&samples);
            bench.report.add("compaction: most cores at once", "cores", most);
        } else {
            let note = "compaction: no living thread is called so: its cores are not known";
            bench.report.note(note.into());
        }
    }
    server.stop()?;
    bench.forget(NAME)
}
