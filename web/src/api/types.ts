// Wire types of /api/v1, kept in step with the server's OpenAPI document.

/** One event: flat ECS dotted keys. Every value comes from a log, so nothing in it is trusted. */
export type LogEvent = Record<string, unknown>
/** One row of a table-making query. */
export type Row = Record<string, unknown>

export type Level = 'critical' | 'high' | 'medium' | 'low' | 'informational'
export type Verdict = 'true_positive' | 'false_positive' | 'benign'
export type EntityKind = 'user' | 'host' | 'address' | 'process' | 'resource' | 'none'

export interface AuthState {
  setup_needed: boolean
  user: string | null
}

export interface Token {
  id: string
  name: string
  purpose: 'ingest' | 'read' | 'admin'
  created: string
  last_used: string | null
}

export interface NewToken {
  id: string
  name: string
  purpose: 'ingest' | 'read'
  token: string
}

export interface HistogramBucket {
  time: string
  count: number
  by?: Record<string, number> | null
}

export interface Histogram {
  from: string
  to: string
  bucket_ms: number
  /** Events in all buckets. */
  count: number
  /** From this time on buckets have all their events; equal to `from` once all are counted. */
  complete_from: string
  buckets: HistogramBucket[]
}

/** A part of the answer to a streamed search. */
export type SearchEvent =
  | { name: 'kind'; data: { kind: 'events' | 'table'; columns: string[] } }
  | { name: 'rows'; data: Row[] }
  | { name: 'progress'; data: { events: number; events_done: number } }
  | { name: 'histogram'; data: Histogram }
  /** There will be no further histogram; the rows go on. */
  | { name: 'histogram_error'; data: { error: { message: string } } }

/** What the last part of it says. */
export interface SearchEnd {
  /** No more rows match. */
  exhausted: boolean
  /** Where the next page goes on; null when there is none, or the rows have no pages. */
  cursor: string | null
}

export type FieldKind = 'text' | 'long' | 'ip' | 'time' | 'bool' | 'bytes'

export interface Facet {
  name: string
  kind: FieldKind
  coverage: number
  distinct: number
  values: { value: unknown; count: number }[]
}

export interface Facets {
  rows: number
  sampled: boolean
  fields: Facet[]
}

export interface Diagnostic {
  from: number
  to: number
  severity: string
  message: string
  fix: string | null
}

export interface Parsed {
  ok: boolean
  kind: 'events' | 'table'
  diagnostics: Diagnostic[]
}

export interface Completion {
  from: number
  to: number
  items: { label: string; kind: string; detail?: string | null }[]
}

export interface FieldInfo {
  name: string
  column: string
  kind: FieldKind
  role: EntityKind | null
  doc: string
}

export interface WhyRow {
  selection: string
  field: string
  value: unknown
  test: string
}

/** What a rule says of one event. */
export interface EventRule {
  id: string
  title: string
  level: Level
  fires: boolean
  /** How many tests hold that ask for something to be there. */
  held: number
  /** Why it fires. */
  why: WhyRow[]
  /** What would have to come out otherwise for it to fire. */
  lacks: WhyRow[]
}

export interface Alert {
  id: string
  rule: {
    id: string
    title: string
    level: Level
    description: string
    author: string
    license: string
    falsepositives: string[]
    next_steps: string
    references: string[]
    tags: string[]
  }
  severity: Level
  status: 'open' | 'closed'
  verdict: Verdict | null
  note: string
  entity: { kind: EntityKind; value: string }
  summary: string
  count: number
  first_seen: string
  last_seen: string
  attack: { tactics: string[]; techniques: string[] }
  evidence: string[]
  why: WhyRow[]
}

/** One detection of an alert. */
export interface AlertDetection {
  id: string
  time: string
  /** The event that completed it. */
  event: string
  /** Events, or different values, that the rule counted. */
  count: number
}

export interface AlertDetail {
  alert: Alert
  /** The first 50 and the last 50. */
  detections: AlertDetection[]
  events: LogEvent[]
}

export interface Rules {
  rules: Rule[]
  problems: RuleProblem[]
}

export interface RuleProblem {
  /** The file. */
  path: string
  /** Line where the rule starts. */
  line: number | null
  rule: string | null
  message: string
  /** What to do about it; may be empty. */
  hint: string
}

export type RuleOrigin = 'builtin' | 'folder' | 'product'

export interface Rule {
  id: string
  title: string
  level: Level
  description: string
  tags: string[]
  logsource: { product?: string | null; category?: string | null; service?: string | null }
  kind: 'event' | 'correlation'
  origin: RuleOrigin
  /** Changes when what it detects may change. */
  version: string
  /** Who switched it off and why; null while it runs. */
  off: { reason: string; actor: string; since: string } | null
  alerts: number
}

export interface RuleDetail extends Rule {
  source: string
  references: string[]
  falsepositives: string[]
  next_steps: string
  author: string
  license: string
  exceptions: RuleException[]
}

/** What a rule leaves out, and why. */
export interface RuleException {
  id: string
  title: string
  reason: string
  owner: string
  /** The last day on which it applies: 2027-06-30. */
  expires: string | null
}

/** Whether a text is a rule. */
export interface RuleCheck {
  ids: string[]
  problems: RuleProblem[]
}

export interface BacktestProgress {
  /** Events looked at or left out. */
  done: number
  events: number
  hits: number
}

export interface BacktestReport {
  events: number
  hits: number
  seconds: number
  problems: RuleProblem[]
  /** The rule with the most alerts first. */
  rules: BacktestRule[]
}

export interface BacktestRule {
  id: string
  title: string
  level: Level
  version: string
  detections: number
  alerts: number
  /** Days (UTC) with detections, in their order. */
  days: BacktestDay[]
  /** The most frequent first, at most ten. */
  entities: { entity: Alert['entity']; detections: number }[]
  entities_total: number
  /** The newest detections. */
  samples: BacktestSample[]
  /** Against the version in force; null when that is the same, or there is none. */
  difference: BacktestDifference | null
}

export interface BacktestDay {
  day: string
  detections: number
  alerts: number
}

export interface BacktestSample {
  time: string
  event: string
  entity: Alert['entity']
  count: number
  why: WhyRow[]
}

export interface BacktestDifference {
  /** The version in force. */
  before: string
  both: number
  only_now: number
  only_before: number
  /** Events of some that only the version in force found. */
  lost_events: string[]
}

/** A rule over time that ran out of room. */
export interface Forgotten {
  rule: string
  title: string
  /** Addresses, users or whatever it groups by, dropped before their time was over. */
  keys: number
}

/** A rule that took so much computing time on the stream that it now runs behind it, over stored events. */
export interface Throttled {
  rule: string
  title: string
  /** Of one core, on the stream. */
  core_percent: number
  /** Stored events that it has not looked at yet. */
  events_behind: number
}

export interface Status {
  version: string
  started: string
  uptime_seconds: number
  events: number
  events_per_second: number
  raw_bytes: number
  disk_bytes: number
  wal_bytes: number
  segments: number
  rules: number
  /** Since the start. */
  detections: number
  /** Records since the start that no format understood. */
  not_understood: number
  forgotten: Forgotten[]
  throttled: Throttled[]
  open_alerts: Record<Level, number>
  sources: number
  listen: { http: string; syslog_udp: string | null; syslog_tcp: string | null }
  taking_logs: boolean
  problem: string | null
}

export interface Source {
  name: string
  received: number
  stored: number
  folded: number
  quarantined: number
  shed: number
  raw_bytes: number
  last_received: string | null
  health: HealthState
  understood: number | null
  per_minute: { time: string; count: number }[]
}

export type HealthState = 'healthy' | 'broken' | 'learning'

export interface SourceField {
  name: string
  kind: string
  share: number
  newest: number
  vanished: boolean
  changed_to: string | null
}

export interface SourceStream {
  program: string
  reader: string
  pack: boolean
  kind: string
  health: HealthState
  events: number
  fields: SourceField[]
}

export interface SourceHealth {
  name: string
  health: HealthState
  events: number
  beyond: number
  last_event: string | null
  understood: number
  readers: { name: string; pack: boolean; share: number }[]
  issues: { issue: string; share: number }[]
  streams: SourceStream[]
  errors: { template: string; example: string; count: number }[]
  new_kinds: { template: string; example: string; event: string; time: string }[]
  settled: boolean
  breaks: { what: 'understood' | 'reader' | 'vanished' | 'type'; text: string; program: string; reader: string; kind: string; events: string[] }[]
  clock: SourceClock
}

export interface SourceClock {
  /** Null while too little came to say. */
  estimate: ClockEstimate | null
  /** What is added to the times of events; 0 for nothing. */
  correction_seconds: number
  /** The newest first. */
  corrections: ClockCorrection[]
}

export interface ClockEstimate {
  cause: 'none' | 'late' | 'zone' | 'clock'
  /** To be added to the times of events. */
  correction_seconds: number
  /** 0 to 1. */
  confidence: number
  delay_seconds: number
}

export interface ClockCorrection {
  /** Time of receipt of the first records that it is for. */
  since: string
  /** 0 where a correction was taken off. */
  seconds: number
  actor: string
  reason: string
}

export interface LedgerCounts {
  received: number
  stored: number
  sampled: number
  /** Not stored again, since equal records of the source just were. */
  folded: number
  quarantined: number
  shed: number
  /** Of those stored, how many retention has deleted since. */
  expired: number
  balanced: boolean
}

export interface Ledger {
  balanced: boolean
  sources: (LedgerCounts & { source: string })[]
  total: LedgerCounts
  /** Why records were set aside or dropped. */
  reasons: { source: string; fate: string; reason: string; count: number }[]
}

/** Parsers of the user's own, and files that are left out. */
export interface Parsers {
  parsers: OwnParser[]
  problems: { path: string; message: string }[]
}

export interface OwnParser {
  /** vendor/product */
  name: string
  /** YAML */
  text: string
}

/** Where records come from to propose or try a parser on: a source, or lines. */
export type RecordsFrom = { source: string } | { lines: string[] }

export interface ParserProposal {
  text: string
  records: number
  /** Share of the records that it takes, 0 to 1. */
  covered: number
  /** How sure all of it is, 0 to 1. */
  confidence: number
  patterns: ProposedPattern[]
  fields: ProposedField[]
  samples: ParserSample[]
  /** Some records that it does not take. */
  remaining: string[]
}

export interface ProposedPattern {
  pattern: string
  example: string
  count: number
  fields: ProposedField[]
  values: Record<string, unknown>
}

export interface ProposedField {
  /** The product's name for it; empty in a pattern. */
  native: string
  field: string
  shape: string
  confidence: number
  example: string
}

export interface ParserTried {
  /** Why the text is no parser. */
  problem: string | null
  records: number
  taken: number
  samples: ParserSample[]
}

export interface ParserSample {
  record: string
  event: Record<string, unknown>
}

/** How the reparse that was started last is. */
export interface Reparse {
  running: boolean
  source: string
  done: { segments: number; replaced: number; events: number; remote: number }
  error: string | null
}

/** Tables that events are enriched with. */
export interface Lookups {
  lookups: Lookup[]
  problems: { file: string; message: string }[]
  /** Whom to name for the built-in data. */
  attribution: string
}

export interface Lookup {
  name: string
  /** Fields whose values are its keys. */
  fields: string[]
  /** Names of its values. */
  columns: string[]
  keys: number
}

/** A question that is kept under a name. */
export interface SavedSearch {
  name: string
  query: string
  /** Empty for no bound. */
  from: string
  to: string
  description: string
  schedule: SearchSchedule | null
  /** How its schedule does; null without one. */
  run: SearchState | null
  owner: string
  created: string
  changed: string
}

/** How often a search is asked by itself; its rows become detections. */
export interface SearchSchedule {
  /** 1m to 1d */
  every: string
  level: Level
  /** Of the alerts; empty for the name. */
  title: string
  entity: string | null
}

export interface SearchState {
  /** Events before this time were asked about. */
  done: string
  last_run: string | null
  last_rows: number
  took_us: number
  last_error: string | null
}
