//! Detections to alerts: a pure fold.
//!
//! Detections of one rule on one entity fold into one open alert. Detections come in the order of
//! their events' ids, and an alert remembers the last id it folded, so a replay after a crash
//! changes nothing. Where there is no such order, the detections that an alert lists are known.

use pugmark_detect::{Detection, EVIDENCE_MAX, Reason, RuleInfo, stable_id};
use pugmark_event::time::{DAY, HOUR, MINUTE, Micros, SECOND};
use pugmark_event::{Entity, Severity};
use serde::{Deserialize, Serialize};

/// A detection this far from the times of an alert opens a new one.
pub const FOLD_GAP: Micros = DAY;
/// Detections that an alert lists.
pub const DETECTIONS_MAX: usize = 100;
/// Reasons that an alert keeps.
pub const WHY_MAX: usize = 32;
/// The event ids of the detections of one answer lie less than this apart.
pub const ANSWER_IDS: i64 = MINUTE;
/// Longest note of a verdict, in bytes.
pub const NOTE_BYTES_MAX: usize = 16 * 1024;

/// What somebody should look at.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Alert {
    /// Hash of rule id, entity and first event: the same events always give the same id.
    pub id: String,
    /// The rule, as it was when the alert opened.
    pub rule: RuleRef,
    /// How bad it is.
    pub severity: Severity,
    /// Open until somebody judges it.
    pub status: Status,
    /// What somebody judged it to be.
    pub verdict: Option<Verdict>,
    /// Their words.
    pub note: String,
    /// Who or what it is about.
    pub entity: Entity,
    /// One sentence: how many, about whom, over how long.
    pub summary: String,
    /// Detections folded.
    pub count: u64,
    /// Earliest event time.
    pub first_seen: Micros,
    /// Latest event time.
    pub last_seen: Micros,
    /// ATT&CK, read from the rule's tags.
    pub attack: Attack,
    /// Event ids: the first 50 and the last 50.
    pub evidence: Vec<i64>,
    /// The detections folded: the first 50 and the last 50.
    #[serde(default)]
    pub detections: Vec<Firing>,
    /// Why it first fired.
    pub why: Vec<Reason>,
    /// The last event folded; what is not beyond it is known.
    pub last_event_id: i64,
    /// When it was judged.
    pub closed_at: Option<Micros>,
    /// True when it stands for all that the rule found beyond its noise budget: its detections are
    /// about many.
    #[serde(default)]
    pub over_budget: bool,
}

/// What an alert keeps of a detection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Firing {
    /// Its id: the same events give the same id.
    pub id: String,
    /// Event time of the event, or of the end of the window.
    pub time: Micros,
    /// The event that completed it.
    pub event_id: i64,
    /// Events (or different values) that the rule counted.
    pub count: u64,
}

/// The parts of a rule that an alert keeps.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RuleRef {
    /// Id.
    pub id: String,
    /// One line.
    pub title: String,
    /// How bad the rule says it is.
    pub level: Severity,
    /// What the rule sees.
    pub description: String,
    /// Who wrote it; may be empty.
    #[serde(default)]
    pub author: String,
    /// The licence it may be used under; may be empty.
    #[serde(default)]
    pub license: String,
    /// Harmless causes.
    pub falsepositives: Vec<String>,
    /// What to look at and do first; may be empty.
    #[serde(default)]
    pub next_steps: String,
    /// Pages to read.
    pub references: Vec<String>,
    /// Tags.
    pub tags: Vec<String>,
}

/// Whether somebody still has to look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Nobody judged it yet.
    Open,
    /// Judged.
    Closed,
}

impl Status {
    /// The lower-case word.
    pub fn name(self) -> &'static str {
        match self {
            Status::Open => "open",
            Status::Closed => "closed",
        }
    }

    /// Reads that word.
    pub fn from_name(name: &str) -> Option<Self> {
        [Status::Open, Status::Closed].into_iter().find(|s| s.name() == name)
    }
}

/// What an alert turned out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// An attack.
    TruePositive,
    /// The rule is wrong about these events.
    FalsePositive,
    /// The rule is right and it was allowed.
    Benign,
}

impl Verdict {
    /// The lower-case words, with underscores.
    pub fn name(self) -> &'static str {
        match self {
            Verdict::TruePositive => "true_positive",
            Verdict::FalsePositive => "false_positive",
            Verdict::Benign => "benign",
        }
    }
}

/// ATT&CK tactics and techniques.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attack {
    /// `credential-access`.
    pub tactics: Vec<String>,
    /// `T1110.001`.
    pub techniques: Vec<String>,
}

/// What a detection did to the alerts.
#[derive(Debug, Clone, PartialEq)]
pub enum Applied {
    /// It opened a new alert.
    Opened(Alert),
    /// It was folded into the open one, which now reads like this.
    Folded(Alert),
    /// It was folded before.
    Known,
}

/// Applies a detection to the open alert of its [`key`], if there is one.
pub fn apply(open_alert: Option<Alert>, detection: &Detection) -> Applied {
    match open_alert {
        Some(alert) if detection.event_id <= alert.last_event_id => Applied::Known,
        Some(mut alert) if belongs(&alert, detection) => {
            fold(&mut alert, detection);
            Applied::Folded(alert)
        }
        _ => Applied::Opened(open(detection)),
    }
}

/// The same for a detection that was found when stored events were looked at again: events after
/// it may have been folded already.
pub fn apply_late(newest: Option<Alert>, detection: &Detection) -> Applied {
    match newest {
        Some(alert) if lists(&alert, detection) => Applied::Known,
        Some(mut alert) if belongs(&alert, detection) => {
            add(&mut alert, detection);
            Applied::Folded(alert)
        }
        // A judged alert is of what was known then.
        Some(alert)
            if detection.event_id <= alert.last_event_id
                && !is_far((alert.first_seen, alert.last_seen), detection.time) =>
        {
            Applied::Known
        }
        _ => Applied::Opened(open(detection)),
    }
}

/// The same for a detection of a question that may be asked again about the same events, with
/// another answer: what was not among the rows before is new, wherever it stands among them.
pub fn apply_asked(newest: Option<Alert>, detection: &Detection) -> Applied {
    match newest {
        Some(alert) if lists(&alert, detection) || may_have_listed(&alert, detection) => {
            Applied::Known
        }
        Some(mut alert) if belongs(&alert, detection) => {
            add(&mut alert, detection);
            Applied::Folded(alert)
        }
        _ => Applied::Opened(open(detection)),
    }
}

/// True when the alert says that it folded this detection.
fn lists(alert: &Alert, detection: &Detection) -> bool {
    alert.detections.iter().any(|firing| firing.id == detection.id)
}

/// True when the alert folded more than it lists, and of the same answer what is beyond this
/// detection. Another answer says nothing of it: a clock that was ahead may have given its ids.
fn may_have_listed(alert: &Alert, detection: &Detection) -> bool {
    let behind = alert.last_event_id.saturating_sub(detection.event_id);
    alert.count > alert.detections.len() as u64 && (0..ANSWER_IDS).contains(&behind)
}

/// What detections must share to be one alert: the rule's id and the entity.
pub fn key(detection: &Detection) -> (&str, &Entity) {
    (&detection.rule.id, &detection.entity)
}

/// True when the detection may be folded into this alert: it is open, of the same key, and not
/// further away in time than [`FOLD_GAP`].
pub fn belongs(alert: &Alert, detection: &Detection) -> bool {
    alert.status == Status::Open
        && (alert.rule.id.as_str(), &alert.entity) == key(detection)
        && !is_far((alert.first_seen, alert.last_seen), detection.time)
}

/// True when a time is more than [`FOLD_GAP`] away from the first and last time of an alert.
pub fn is_far((first, last): (Micros, Micros), time: Micros) -> bool {
    time > last.saturating_add(FOLD_GAP) || time < first.saturating_sub(FOLD_GAP)
}

/// Opens an alert from its first detection.
pub fn open(detection: &Detection) -> Alert {
    let rule = &detection.rule;
    let entity = &detection.entity;
    let first = detection.event_id.to_string();
    let mut alert = Alert {
        id: stable_id(&["alert", &rule.id, entity.kind.name(), &entity.value, &first]),
        rule: RuleRef::from(rule.as_ref()),
        severity: rule.level,
        status: Status::Open,
        verdict: None,
        note: String::new(),
        entity: entity.clone(),
        summary: String::new(),
        count: 0,
        first_seen: detection.time,
        last_seen: detection.time,
        attack: attack(&rule.tags),
        evidence: Vec::new(),
        detections: Vec::new(),
        why: detection.why.iter().take(WHY_MAX).cloned().collect(),
        last_event_id: i64::MIN,
        closed_at: None,
        over_budget: false,
    };
    fold(&mut alert, detection);
    alert
}

/// The detection as it counts once its rule has opened all the alerts of its noise budget: about
/// nobody in particular, so that one alert takes them all.
pub fn beyond_budget(detection: &Detection) -> Detection {
    Detection { entity: Entity::none(), ..detection.clone() }
}

/// Says of an alert that it stands for what is beyond the noise budget.
pub fn mark_over_budget(alert: &mut Alert) {
    alert.over_budget = true;
    alert.summary = summary(alert);
}

/// Adds a detection to its alert. False when it was added before, which changes nothing.
pub fn fold(alert: &mut Alert, detection: &Detection) -> bool {
    let new = detection.event_id > alert.last_event_id;
    if new {
        add(alert, detection);
    }
    new
}

fn add(alert: &mut Alert, detection: &Detection) {
    alert.last_event_id = alert.last_event_id.max(detection.event_id);
    alert.count += 1;
    alert.first_seen = alert.first_seen.min(detection.time);
    alert.last_seen = alert.last_seen.max(detection.time);
    alert.severity = alert.severity.max(detection.rule.level);
    if alert.detections.len() == DETECTIONS_MAX {
        alert.detections.remove(DETECTIONS_MAX / 2);
    }
    alert.detections.push(Firing {
        id: detection.id.clone(),
        time: detection.time,
        event_id: detection.event_id,
        count: detection.count,
    });
    for &event in &detection.events {
        // Windows overlap, so neighbouring detections name the same events.
        if alert.evidence.contains(&event) {
            continue;
        }
        if alert.evidence.len() == EVIDENCE_MAX {
            alert.evidence.remove(EVIDENCE_MAX / 2);
        }
        alert.evidence.push(event);
    }
    alert.summary = summary(alert);
}

/// Records what somebody judged at `now`. A verdict closes the alert; none opens it again.
pub fn judge(alert: &mut Alert, verdict: Option<Verdict>, note: &str, now: Micros) {
    let end = (0..=note.len().min(NOTE_BYTES_MAX)).rev().find(|&i| note.is_char_boundary(i));
    alert.note = note[..end.unwrap_or(0)].to_string();
    alert.verdict = verdict;
    alert.status = if verdict.is_some() { Status::Closed } else { Status::Open };
    alert.closed_at = verdict.map(|_| now);
}

/// ATT&CK tactics and techniques out of tags: `attack.credential-access` (or with an underscore)
/// and `attack.t1110.001`. Groups and software (`attack.g0016`) are neither.
pub fn attack(tags: &[String]) -> Attack {
    let mut attack = Attack::default();
    for tag in tags {
        let tag = tag.to_ascii_lowercase();
        let Some(name) = tag.strip_prefix("attack.") else { continue };
        let numbered = |letter: char| {
            name.strip_prefix(letter)
                .is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
        };
        let (list, name) = if numbered('t') {
            (&mut attack.techniques, name.to_ascii_uppercase())
        } else if name.is_empty() || ['g', 's', 'c', 'm', 'd'].into_iter().any(numbered) {
            continue;
        } else {
            (&mut attack.tactics, name.replace('_', "-"))
        };
        if !list.contains(&name) {
            list.push(name);
        }
    }
    attack
}

impl From<&RuleInfo> for RuleRef {
    fn from(rule: &RuleInfo) -> Self {
        Self {
            id: rule.id.clone(),
            title: rule.title.clone(),
            level: rule.level,
            description: rule.description.clone(),
            author: rule.author.clone(),
            license: rule.license.clone(),
            falsepositives: rule.falsepositives.clone(),
            next_steps: rule.next_steps.clone(),
            references: rule.references.clone(),
            tags: rule.tags.clone(),
        }
    }
}

fn summary(alert: &Alert) -> String {
    let mut text = match alert.count {
        1 => "1 detection".to_string(),
        n => format!("{n} detections"),
    };
    if alert.over_budget {
        text.push_str(" beyond the noise budget of the rule");
    } else if !alert.entity.value.is_empty() {
        text.push_str(" for ");
        text.push_str(&alert.entity.value);
    }
    if alert.count > 1 {
        text.push_str(" in ");
        text.push_str(&span(alert.last_seen.saturating_sub(alert.first_seen)));
    }
    text
}

/// A span in the one unit that a person would choose.
fn span(span: Micros) -> String {
    let rounded = |unit: Micros| (span + unit / 2) / unit;
    if span < SECOND {
        "under 1 s".to_string()
    } else if span < MINUTE {
        format!("{} s", rounded(SECOND))
    } else if span < HOUR {
        format!("{} min", rounded(MINUTE))
    } else if span < 2 * DAY {
        format!("{} h", rounded(HOUR))
    } else {
        format!("{} days", rounded(DAY))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;
    use pugmark_event::entity::EntityKind;

    use super::*;

    fn detection(event_id: i64, time: Micros) -> Detection {
        let rule = RuleInfo {
            id: "r1".into(),
            version: String::new(),
            title: "Password guessing".into(),
            level: Severity::High,
            description: String::new(),
            author: "Ines".into(),
            license: "DRL 1.1".into(),
            references: vec![],
            falsepositives: vec![],
            next_steps: String::new(),
            noise_budget: None,
            tags: vec!["attack.credential_access".into(), "attack.t1110.001".into()],
            product: None,
            category: None,
            service: None,
            correlation: false,
            path: "r1.yaml".into(),
            text: String::new(),
            silent: false,
            exceptions: vec![],
        };
        Detection {
            id: stable_id(&["r1", &event_id.to_string()]),
            rule: Arc::new(rule),
            time,
            event_id,
            entity: Entity { kind: EntityKind::Address, value: "203.0.113.7".into() },
            events: vec![event_id - 1, event_id],
            count: 1,
            why: vec![],
        }
    }

    /// Runs detections through the one open alert, as the engine does.
    fn run(detections: &[Detection], mut current: Option<Alert>) -> (Vec<Alert>, usize) {
        let mut opened = Vec::new();
        let mut known = 0;
        for detection in detections {
            match apply(current.clone(), detection) {
                Applied::Opened(alert) => {
                    opened.extend(current.replace(alert));
                }
                Applied::Folded(alert) => current = Some(alert),
                Applied::Known => known += 1,
            }
        }
        opened.extend(current);
        (opened, known)
    }

    #[test]
    fn detections_of_one_key_fold_and_say_so() {
        let detections: Vec<_> =
            (0..214).map(|i| detection(1000 + i, i * (4 * MINUTE / 213))).collect();
        let (alerts, _) = run(&detections, None);
        let [alert] = alerts.as_slice() else { panic!("{} alerts", alerts.len()) };
        assert_eq!(alert.summary, "214 detections for 203.0.113.7 in 4 min");
        assert_eq!(alert.evidence.len(), EVIDENCE_MAX);
        assert_eq!((alert.evidence[0], alert.evidence[49]), (999, 1048));
        assert_eq!(alert.evidence.last(), Some(&1213));
        let listed: Vec<i64> = alert.detections.iter().map(|firing| firing.event_id).collect();
        assert_eq!((listed.len(), listed[49], listed[50]), (DETECTIONS_MAX, 1049, 1164));
        assert_eq!(alert.attack.tactics, ["credential-access"]);
        assert_eq!(alert.attack.techniques, ["T1110.001"]);
    }

    #[test]
    fn a_detection_that_was_found_late_is_folded_once() {
        #[track_caller]
        fn check(newest: Option<Alert>, late: &Detection, expected: Option<(u64, i64)>) {
            let found = match apply_late(newest, late) {
                Applied::Opened(alert) | Applied::Folded(alert) => {
                    Some((alert.count, alert.last_event_id))
                }
                Applied::Known => None,
            };
            assert_eq!(found, expected);
        }
        let (first, later) = (detection(5, 0), detection(9, MINUTE));
        let mut alert = open(&first);
        fold(&mut alert, &later);
        check(Some(alert.clone()), &detection(7, 30 * SECOND), Some((3, 9)));
        check(Some(alert.clone()), &first, None);
        check(Some(alert.clone()), &detection(7, 3 * FOLD_GAP), Some((1, 7)));
        check(None, &detection(7, 0), Some((1, 7)));
        judge(&mut alert, Some(Verdict::Benign), "", 0);
        check(Some(alert), &detection(7, 0), None);
    }

    #[test]
    fn an_answer_that_changed_is_folded_once() {
        // Detections are named by their ids; each run is an answer to the same question.
        #[track_caller]
        fn check(runs: &[&[i64]], judged: bool, expected: (u64, usize)) {
            let (mut current, mut opened): (Option<Alert>, usize) = (None, 0);
            for (n, run) in runs.iter().enumerate() {
                if let Some(alert) = current.as_mut().filter(|_| judged && n > 0) {
                    judge(alert, Some(Verdict::Benign), "", 0);
                }
                for id in *run {
                    match apply_asked(current.clone(), &detection(*id, 0)) {
                        Applied::Opened(alert) => {
                            opened += 1;
                            current = Some(alert);
                        }
                        Applied::Folded(alert) => current = Some(alert),
                        Applied::Known => {}
                    }
                }
            }
            let count = current.map_or(0, |alert| alert.count);
            assert_eq!((count, opened), expected, "{runs:?}");
        }
        check(&[&[5, 9]], false, (2, 1));
        check(&[&[5, 9], &[5, 9]], false, (2, 1));
        // A row before the others, one between them, one that has gone.
        check(&[&[5, 9], &[3, 5, 7, 9]], false, (4, 1));
        check(&[&[5, 9], &[9, 11]], false, (3, 1));
        // What was judged is not opened again, and does not hold back what is new.
        check(&[&[5, 9], &[5, 9]], true, (2, 1));
        check(&[&[5, 9], &[5, 9, 11]], true, (1, 2));
        // More than an alert lists.
        let many: Vec<i64> = (0..160).collect();
        check(&[&many, &many], false, (160, 1));
        check(&[&many, &[160, 161]], false, (162, 1));
        check(&[&many, &[-2 * ANSWER_IDS]], false, (161, 1));
    }

    #[test]
    fn after_a_day_of_silence_a_new_alert_opens() {
        let detections = [detection(5, 0), detection(6, FOLD_GAP), detection(7, 3 * FOLD_GAP)];
        let (alerts, _) = run(&detections, None);
        assert_eq!(alerts.iter().map(|a| a.count).collect::<Vec<_>>(), [2, 1]);
        assert_ne!(alerts[0].id, alerts[1].id);
    }

    #[test]
    fn a_verdict_closes_and_its_absence_opens_again() {
        let mut alert = open(&detection(5, 0));
        judge(&mut alert, Some(Verdict::Benign), "our scanner", 9);
        assert_eq!((alert.status, alert.closed_at), (Status::Closed, Some(9)));
        assert!(!belongs(&alert, &detection(6, 1)));
        judge(&mut alert, None, &"é".repeat(NOTE_BYTES_MAX), 10);
        assert_eq!((alert.status, alert.closed_at), (Status::Open, None));
        assert!(alert.note.len() <= NOTE_BYTES_MAX);
    }

    #[test]
    fn what_is_beyond_the_budget_becomes_one_alert() {
        let mut other = detection(6, MINUTE);
        other.entity.value = "203.0.113.8".into();
        let mut alert = open(&beyond_budget(&detection(5, 0)));
        mark_over_budget(&mut alert);
        assert!(fold(&mut alert, &beyond_budget(&other)));
        let expected = "2 detections beyond the noise budget of the rule in 1 min";
        assert_eq!((alert.count, alert.summary.as_str()), (2, expected));
    }

    #[test]
    fn tags_become_attack_names() {
        let tags = [
            "attack.command-and-control",
            "attack.Command_and_Control",
            "attack.T1059.001",
            "attack.g0016",
            "attack.s0002",
            "attack.stealth",
            "cve.2024-1234",
            "attack.",
        ];
        let attack = attack(&tags.map(String::from));
        assert_eq!(attack.tactics, ["command-and-control", "stealth"]);
        assert_eq!(attack.techniques, ["T1059.001"]);
    }

    #[test]
    fn spans_read_well() {
        for (micros, expected) in [
            (0, "under 1 s"),
            (3 * SECOND, "3 s"),
            (4 * MINUTE + 10 * SECOND, "4 min"),
            (5 * HOUR, "5 h"),
            (3 * DAY, "3 days"),
        ] {
            assert_eq!(span(micros), expected);
        }
    }

    #[test]
    fn an_alert_survives_json() {
        let alert = open(&detection(5, 0));
        let json = serde_json::to_string(&alert).unwrap();
        assert_eq!(serde_json::from_str::<Alert>(&json).unwrap(), alert);
    }

    proptest! {
        #[test]
        fn folding_a_prefix_again_changes_nothing(
            gaps in prop::collection::vec((1i64..5, 0i64..2 * DAY), 1..60),
            cut in 0usize..60,
        ) {
            let mut id = 0;
            let mut time = 0;
            let detections: Vec<_> = gaps
                .iter()
                .map(|(step, gap)| {
                    id += step;
                    time += gap;
                    detection(id, time)
                })
                .collect();
            let (alerts, _) = run(&detections, None);
            let last = alerts.last().cloned();
            let replayed = &detections[..cut.min(detections.len())];
            let (again, known) = run(replayed, last.clone());
            prop_assert_eq!(known, replayed.len());
            prop_assert_eq!(again, Vec::from_iter(last));
        }
    }
}
