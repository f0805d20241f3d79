//! The health of sources on the stream: what no longer looks as it did becomes a detection.
//!
//! What is known is written down like what rules over time know, and at once when something was
//! said, so that nothing is said twice. After an end that was none in order, the events between
//! the last writing and the mark of the WAL are not counted; no other harm comes of it.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use pugmark_detect::{Detection, Reason, RuleInfo, stable_id};
use pugmark_event::entity::EntityKind;
use pugmark_event::{Batch, Entity, Severity};
use pugmark_parse::health::{Break, Health, What};
use pugmark_parse::{Parser, Readings};
use pugmark_store::{CheckpointOf, Store};

/// Writing checkpoints takes at most this share of the time.
const KEEP_SHARE: u32 = 20;
/// Reasons of one detection.
const WHY_MAX: usize = 32;

/// The health of all sources, as the pipeline and the API share it.
pub(crate) type SharedHealth = Arc<Mutex<Health>>;

/// Watches the health of sources.
pub(super) struct Sources {
    store: Arc<Store>,
    /// Names the parser that makes the events.
    parser: String,
    health: SharedHealth,
    rules: [Arc<RuleInfo>; 4],
    /// True when the last checkpoint is behind.
    unkept: bool,
    due: Instant,
    /// Time between two checkpoints at least.
    interval: Duration,
}

impl Sources {
    /// Goes on where the last process was.
    pub(super) fn start(
        store: Arc<Store>,
        parser: &Parser,
        health: SharedHealth,
        interval: Duration,
    ) -> Self {
        let parser = format!("{} {:016x}", env!("CARGO_PKG_VERSION"), parser.fingerprint());
        *health.lock() = read(&store, &parser);
        let rules = [Rule::Understood, Rule::Reader, Rule::Vanished, Rule::Type];
        let rules = rules.map(|rule| Arc::new(rule.info()));
        let due = Instant::now() + interval;
        Self { store, parser, health, rules, unkept: false, due, interval }
    }

    /// The detections of what broke with the events of a batch that it has not seen yet.
    pub(super) fn observe(&mut self, batch: &Batch, readings: &Readings) -> Vec<Detection> {
        self.unkept = true;
        let look = || self.health.lock().observe(batch, readings);
        match catch_unwind(AssertUnwindSafe(look)) {
            Ok(breaks) => self.detections(&breaks),
            Err(_) => {
                tracing::error!("BUG: the health of a source panicked; it is learnt anew");
                *self.health.lock() = Health::new(seed());
                Vec::new()
            }
        }
    }

    /// One detection for each rule and source.
    fn detections(&self, breaks: &[Break]) -> Vec<Detection> {
        let mut sorted: BTreeMap<(usize, &str), Vec<&Break>> = BTreeMap::new();
        for each in breaks {
            sorted.entry((Rule::of(&each.what) as usize, &each.source)).or_default().push(each);
        }
        let detect = |((rule, source), breaks)| detection(&self.rules[rule], source, breaks);
        sorted.into_iter().filter_map(detect).collect()
    }

    /// Writes a checkpoint if it is time.
    pub(super) fn keep_if_due(&mut self) {
        if self.unkept && Instant::now() >= self.due {
            self.keep();
        }
    }

    /// Writes a checkpoint. Without it sources are learnt anew, so a failure is only said.
    pub(super) fn keep(&mut self) {
        let begun = Instant::now();
        let bytes = self.health.lock().to_bytes(&self.parser).map_err(|error| error.to_string());
        let written = bytes.and_then(|bytes| {
            let put = self.store.put_checkpoint(CheckpointOf::Sources, &bytes);
            put.map_err(|error| error.to_string())
        });
        self.unkept = written.is_err();
        if let Err(error) = written {
            tracing::warn!(error, "cannot write the checkpoint of sources");
        }
        self.due = Instant::now() + self.interval.max(begun.elapsed() * KEEP_SHARE);
    }
}

/// The checkpoint, if there is one that fits the store.
fn read(store: &Store, parser: &str) -> Health {
    let bytes = store.checkpoint(CheckpointOf::Sources).map_err(|error| error.to_string());
    let read = bytes.and_then(|bytes| {
        let Some(bytes) = bytes else { return Ok(None) };
        let known = Health::from_bytes(&bytes, parser, seed()).map_err(|e| e.to_string())?;
        match known.next() <= store.durable_end() {
            true => Ok(Some(known)),
            false => Err("the checkpoint of sources is newer than the data".to_string()),
        }
    });
    let known = read.unwrap_or_else(|error| {
        tracing::warn!(error, "the health of sources is learnt anew");
        None
    });
    known.unwrap_or_else(|| Health::new(seed()))
}

/// A secret of this process: senders must not know how their texts are hashed.
fn seed() -> u64 {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one(0)
}

fn detection(rule: &Arc<RuleInfo>, source: &str, breaks: Vec<&Break>) -> Option<Detection> {
    let last = breaks.iter().max_by_key(|each| each.events.1)?;
    let first = breaks.iter().map(|each| each.events.0).min()?;
    let (event_id, time) = (last.events.1, last.time);
    Some(Detection {
        id: stable_id(&[&rule.id, source, &event_id.to_string()]),
        rule: rule.clone(),
        time,
        event_id,
        entity: Entity { kind: EntityKind::Resource, value: source.to_string() },
        events: vec![first, event_id],
        count: breaks.len() as u64,
        why: breaks.iter().take(WHY_MAX).map(|each| reason(each)).collect(),
    })
}

fn reason(each: &Break) -> Reason {
    let field = match &each.what {
        What::Vanished { field, .. } | What::Type { field, .. } => field.as_str(),
        What::Understood { .. } | What::Reader { .. } => "event.module",
    };
    let parts = [("program", &each.program), ("read by", &each.reader), ("kind", &each.kind)];
    let parts = parts.iter().filter(|(_, value)| !value.is_empty());
    let place: Vec<String> = parts.map(|(name, value)| format!("{name} {value}")).collect();
    Reason {
        selection: "health".into(),
        field: field.to_string(),
        test: each.what.to_string(),
        value: if place.is_empty() { each.source.clone() } else { place.join(", ") },
    }
}

/// The rules that these alerts name.
#[derive(Debug, Clone, Copy)]
enum Rule {
    Understood,
    Reader,
    Vanished,
    Type,
}

impl Rule {
    fn of(what: &What) -> Self {
        match what {
            What::Understood { .. } => Rule::Understood,
            What::Reader { .. } => Rule::Reader,
            What::Vanished { .. } => Rule::Vanished,
            What::Type { .. } => Rule::Type,
        }
    }

    fn info(self) -> RuleInfo {
        let (id, title, description) = match self {
            Rule::Understood => (
                "pugmark.source-not-understood",
                "Records of a source are no longer understood",
                "Most records of this source were understood, and now half of them or more are \
                 not. They are stored and can be searched as text, but rules that need their \
                 fields see nothing of them.",
            ),
            Rule::Reader => (
                "pugmark.source-reader-changed",
                "Another parser reads the records of a source",
                "A pack or format read the records of this source or of one of its programs, and \
                 reads none of them now. Rules for that product no longer see them.",
            ),
            Rule::Vanished => (
                "pugmark.source-field-vanished",
                "A field of a source has vanished",
                "Nearly all events of this kind had the field, and none of the newest has it. \
                 Rules and queries that need it find nothing any more.",
            ),
            Rule::Type => (
                "pugmark.source-field-changed",
                "The values of a field are of another kind",
                "The values of this field were of one kind, and those of the newest events are of \
                 another, such as text in the place of numbers. Comparisons in rules and queries \
                 may fail.",
            ),
        };
        RuleInfo {
            id: id.into(),
            version: String::new(),
            title: title.into(),
            level: Severity::Medium,
            description: description.into(),
            author: "Pugmark".into(),
            license: String::new(),
            references: Vec::new(),
            falsepositives: vec![
                "An update or another setting of the program that writes these records".into(),
            ],
            next_steps: "Open Data > Sources and look at the source: it shows what changed and an \
                example. Compare the newest records with older ones. When the change is meant, \
                adapt the rules and queries that need the field, or add a parser pack; the new \
                shape becomes the usual one by itself. When it is not, somebody may hide \
                something: look at who changed the program or its forwarder."
                .into(),
            noise_budget: None,
            tags: Vec::new(),
            product: None,
            category: None,
            service: None,
            correlation: false,
            path: "builtin".into(),
            text: String::new(),
            silent: false,
            exceptions: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn broken(field: &str, last: i64) -> Break {
        Break {
            source: "shop".into(),
            program: String::new(),
            reader: "json".into(),
            kind: String::new(),
            what: What::Vanished { field: field.into(), share: 1.0 },
            events: (last - 199, last),
            time: 7,
        }
    }

    #[test]
    fn fields_that_vanish_together_are_one_detection() {
        let rule = Arc::new(Rule::Vanished.info());
        let (one, other) = (broken("basket", 400), broken("size", 410));
        let found = detection(&rule, "shop", vec![&one, &other]).unwrap();
        assert_eq!((found.count, found.event_id, found.events[0]), (2, 410, 201));
        assert_eq!(found.entity.value, "shop");
        assert_eq!(found.why[0].test, "100 % of the events had basket, now none has");
        assert_eq!(found.why[0].value, "read by json");
        let again = detection(&rule, "shop", vec![&one, &other]).unwrap();
        assert_eq!(again.id, found.id);
    }
}
