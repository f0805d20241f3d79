//! Every record of one address that came by a few times: the second question of an investigation.

use anyhow::Result;

use super::Measure;
use super::question::{self, Question};
use crate::harness::Bench;

pub(crate) const MEASURE: Measure =
    Measure { name: "equality", about: "all records of one rare source.ip", run };

fn run(bench: &mut Bench) -> Result<()> {
    let Some(address) = bench.corpus.rare_address.clone() else {
        bench.report.note("equality skipped: no address is known to be rare in these logs".into());
        return Ok(());
    };
    let number = u32::from(address.parse::<std::net::Ipv4Addr>()?);
    let question = Question {
        name: "equality: source.ip",
        queries: vec![format!("source.ip:{address}")],
        sql: vec![
            (
                "ClickHouse",
                vec![format!("SELECT * FROM events WHERE source_ip = toIPv4('{address}')")],
            ),
            ("DuckDB", vec![format!("SELECT * FROM events WHERE source_ip = {number}")]),
        ],
        rows: None,
    };
    question::ask(bench, &question)?;
    Ok(())
}
