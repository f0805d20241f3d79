//! `pugmark demo`: a server on a temporary folder, and a day of a small company sent to it through
//! the same door that your own logs would take.

use std::collections::{BTreeMap, HashSet};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use pugmark_connect::{Client, ClientError};
use pugmark_engine::{Engine, Notice};
use pugmark_event::time::{self, DAY, MINUTE, SECOND};
use pugmark_server::Purpose;
use tokio::net::TcpListener;

use super::serve::{Running, bind, wait_for_signal};
use crate::demo::{self, DemoRecord, STORY};
use crate::error::{CliError, Exit};
use crate::output::{printable, say};
use crate::settings::Settings;

/// Show Pugmark on a day of a small company, with an attack in it
///
/// Everything is kept in a temporary folder that is removed at the end.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Address of the web app [default: 127.0.0.1:7700, or any free port]
    #[arg(long, value_name = "ADDR")]
    listen: Option<SocketAddr>,
    /// Seconds that the day takes; 0 sends it as fast as it can
    #[arg(long, value_name = "N", default_value_t = 60)]
    seconds: u64,
    /// Seed of the day: the same seed gives the same day
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// End when the day is over, instead of waiting for Ctrl-C
    #[arg(long)]
    once: bool,
}

/// Company time that goes out together.
const SLICE: i64 = 10 * MINUTE;

pub(crate) async fn run(args: Args, mut settings: Settings) -> Result<Exit, CliError> {
    let folder = TemporaryFolder::create()?;
    settings.data.dir = folder.path.clone();
    let listener = listen(args.listen, settings.server.listen).await?;
    let engine = crate::node::open(&settings.data.dir, &settings).await?;
    let node = Running::start(engine, listener, &settings).await?;
    let token = node.token("demo", Purpose::Ingest).await?;
    let client = Client::new(&format!("http://{}", node.address), &token)?;

    greet(&node).await?;
    let start = midnight_before(node.engine.now());
    let alerts = tokio::spawn(announce(node.engine.clone(), start));
    let replayed = tokio::select! {
        replayed = replay(&client, demo::day(args.seed, start), &args) => Some(replayed?),
        stopped = wait_for_signal() => stopped.map(|()| None)?,
    };
    if let Some(replayed) = replayed {
        node.engine.settle().await;
        guide(&node, start, replayed)?;
        if !args.once {
            wait_for_signal().await?;
        }
    }
    alerts.abort();
    node.stop().await?;
    Ok(Exit::Done)
}

/// A folder that is removed when the demo ends, also by an error.
struct TemporaryFolder {
    path: std::path::PathBuf,
}

impl TemporaryFolder {
    fn create() -> Result<Self, CliError> {
        let name = format!("pugmark-demo-{}-{:08x}", std::process::id(), rand::random::<u32>());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir(&path)
            .map_err(|e| anyhow::anyhow!("cannot make the folder {}: {e}", path.display()))?;
        Ok(Self { path })
    }
}

impl Drop for TemporaryFolder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.path);
    }
}

/// Without a wish, the usual port or any free one: a demo beside a server must just start.
async fn listen(wish: Option<SocketAddr>, usual: SocketAddr) -> Result<TcpListener, CliError> {
    match wish {
        Some(address) => bind(address).await,
        None => match TcpListener::bind(usual).await {
            Ok(listener) => Ok(listener),
            Err(_) => bind(SocketAddr::new(usual.ip(), 0)).await,
        },
    }
}

/// The day ends in the past, so that no event is ahead of its time.
fn midnight_before(now: i64) -> i64 {
    now.div_euclid(DAY) * DAY - DAY
}

async fn greet(node: &Running) -> Result<(), CliError> {
    say("Pugmark demo: a day at Northwind Tea, a small company with a web shop.\n")?;
    if let Some(link) = node.setup_link().await? {
        say(&format!("  Open {link}\n  (makes your account; the link works once)\n"))?;
    }
    say(&format!("Pugmark is at http://{}", node.address))?;
    say("The day's logs are arriving. Alerts as they are raised:\n")?;
    Ok(())
}

/// Sends the day in slices of company time, each source in a request of its own. Returns how many
/// records were sent and how long it took.
async fn replay(
    client: &Client,
    day: Vec<DemoRecord>,
    args: &Args,
) -> Result<(usize, Duration), CliError> {
    let begun = Instant::now();
    let Some(first) = day.first().map(|record| record.time_us) else {
        return Ok((0, begun.elapsed()));
    };
    let pace = Duration::from_secs(args.seconds).as_secs_f64() / DAY as f64;
    for slice in day.chunk_by(|a, b| (a.time_us - first) / SLICE == (b.time_us - first) / SLICE) {
        let mut bodies: BTreeMap<&str, Vec<u8>> = BTreeMap::new();
        for record in slice {
            let body = bodies.entry(record.source).or_default();
            body.extend_from_slice(record.line.as_bytes());
            body.push(b'\n');
        }
        for (source, body) in bodies {
            send(client, source, body).await?;
        }
        let due = Duration::from_secs_f64((slice[0].time_us - first) as f64 * pace);
        tokio::time::sleep(due.saturating_sub(begun.elapsed())).await;
    }
    Ok((day.len(), begun.elapsed()))
}

async fn send(client: &Client, source: &str, body: Vec<u8>) -> Result<(), CliError> {
    loop {
        match client.ingest(source, body.clone(), None).await {
            Ok(_) => return Ok(()),
            Err(ClientError::Full { retry_after_seconds, .. }) => {
                tokio::time::sleep(Duration::from_secs(retry_after_seconds)).await;
            }
            Err(error) => return Err(error.into()),
        }
    }
}

/// Prints every alert once, when it opens.
async fn announce(engine: Engine, start: i64) {
    let mut notices = engine.subscribe();
    let mut seen = HashSet::new();
    loop {
        let notice = match notices.recv().await {
            Ok(notice) => notice,
            Err(tokio::sync::broadcast::error::RecvError::Lagged(_)) => continue,
            Err(_) => return,
        };
        if let Notice::Alert(alert) = notice.as_ref()
            && seen.insert(alert.id.clone())
        {
            let line = format!(
                "  {}  {:13} {}  {}",
                clock(alert.first_seen - start),
                alert.severity.name(),
                alert.rule.title,
                alert.entity.value
            );
            let _ = say(&printable(&line));
        }
    }
}

/// Time of the company's day, as `03:05`.
fn clock(since_midnight: i64) -> String {
    let minutes = since_midnight.div_euclid(60 * SECOND);
    format!("{:02}:{:02}", minutes.div_euclid(60), minutes.rem_euclid(60))
}

fn guide(node: &Running, start: i64, (records, took): (usize, Duration)) -> Result<(), CliError> {
    say(&format!(
        "\n{records} records of {} were sent in {:.0} s. What happened, and a query that shows it:\n",
        &time::format(start)[..10],
        took.as_secs_f64()
    ))?;
    for step in STORY {
        say(&format!(
            "  {}  {}\n         {}",
            clock(step.after_us),
            step.title,
            step.what_to_look_at
        ))?;
    }
    say(&format!(
        "\nStart with the alerts at http://{}/alerts . Ctrl-C ends the demo and removes its data.",
        node.address
    ))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_company_clock_is_read_from_midnight() {
        assert_eq!(clock(3 * 60 * MINUTE + 5 * MINUTE), "03:05");
        assert_eq!(clock(0), "00:00");
    }
}
