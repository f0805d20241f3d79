/** One alert: what happened, to whom, why the rule fired, on which events, and what to decide. */
import { useQuery } from '@tanstack/react-query'
import { Link, useParams } from '@tanstack/react-router'
import { Fragment, type ReactNode, useState } from 'react'
import { alert as alertQuery, alerts as alertsQuery, rule as ruleQuery } from '@/api/queries'
import type { Alert, AlertDetection, LogEvent } from '@/api/types'
import { EntityLink } from '@/components/EntityLink'
import { EventDetail } from '@/components/EventDetail'
import { EventLink } from '@/components/EventLink'
import { FieldValue } from '@/components/FieldValue'
import { Icon } from '@/components/Icon'
import { Severity } from '@/components/Severity'
import { Ago, Time } from '@/components/Time'
import { WhyTable } from '@/components/WhyTable'
import { Button, buttonClass, Chip, Copy, ErrorBox, Loading, Section, Title } from '@/components/ui'
import { visible } from '@/lib/escape'
import { useKeys } from '@/lib/keys'
import { count, plural } from '@/lib/number'
import { usePrefs } from '@/lib/prefs'
import { entityQuery } from '@/lib/query'
import { duration, zoneLabel } from '@/lib/time'
import { Origin } from '../rules/Origin'
import { NextSteps } from './NextSteps'
import { References } from './References'
import { SavedLink } from './SavedLink'
import { savedName, searchOf } from './search'
import { decide, VERDICTS, verdictWord } from './verdict'
import { VerdictDialog } from './VerdictDialog'

/** Explore opens on the alert's time with this much before and after. */
const MARGIN_MS = 5 * 60_000
/** The server keeps so many detections of an alert from its beginning, and as many from its end. */
const KEPT_EACH_END = 50

export default function AlertPage() {
  const { id } = useParams({ from: '/shell/alerts/$id' })
  const { data, error, refetch } = useQuery(alertQuery(id))
  const [closing, setClosing] = useState(false)
  useKeys({ e: () => data?.alert.status === 'open' && setClosing(true), r: () => void refetch() })
  if (error) return <ErrorBox error={error} retry={() => void refetch()} />
  if (!data) return <Loading rows={10} />
  const { alert, detections, events } = data
  return (
    <div className="mx-auto max-w-[100rem] pb-6">
      <Title>{`${alert.rule.title}: ${alert.entity.value}`}</Title>
      <Header alert={alert} />
      <div className="grid grid-cols-12 gap-3 px-4">
        <div className="col-span-12 flex min-w-0 flex-col gap-3 xl:col-span-8">
          <Why alert={alert} />
          <Evidence alert={alert} events={events} />
          <Detections alert={alert} detections={detections} />
        </div>
        <div className="col-span-12 flex min-w-0 flex-col gap-3 xl:col-span-4">
          <Decision alert={alert} />
          <Facts alert={alert} />
          <Others alert={alert} />
          <RuleNotes alert={alert} />
        </div>
      </div>
      {closing && <VerdictDialog alert={alert} onClose={() => setClosing(false)} />}
    </div>
  )
}

function Header({ alert }: { alert: Alert }) {
  const range = exploreRange(alert)
  const search = searchOf(alert.why)
  return (
    <header className="flex items-start gap-4 px-4 py-3">
      <div className="min-w-0 flex-1">
        <div className="mb-1 flex flex-wrap items-center gap-2">
          <Severity level={alert.severity} />
          <Chip>{alert.status === 'open' ? 'Open' : `Closed, ${verdictWord(alert.verdict)}`}</Chip>
          <span className="text-muted">
            last seen <Ago at={alert.last_seen} />
          </span>
        </div>
        <h1 className="break-words">{visible(alert.rule.title)}</h1>
        <p className="text-lg break-words">
          <FieldValue value={alert.summary} />
        </p>
      </div>
      {search && (
        <Link to="/explore" search={search} className={buttonClass()}>
          <Icon name="search" />
          Open the search
        </Link>
      )}
      <Link to="/explore" search={{ q: entityQuery(alert.entity.kind, alert.entity.value), ...range }} className={buttonClass()}>
        <Icon name="search" />
        Explore around it
      </Link>
    </header>
  )
}

function Why({ alert }: { alert: Alert }) {
  return (
    <Section title="Why it fired" aside={alert.rule.description ? undefined : 'no description'}>
      {alert.rule.description && <p className="text-muted border-line border-b px-3 py-2 break-words">{visible(alert.rule.description)}</p>}
      {alert.why.length === 0 ? (
        <p className="text-muted p-3">The rule counts events: see the evidence below.</p>
      ) : (
        <WhyTable why={alert.why} />
      )}
    </Section>
  )
}

function Evidence({ alert, events }: { alert: Alert; events: LogEvent[] }) {
  const [open, setOpen] = useState<string | null>(null)
  const { zone } = usePrefs()
  const marked = new Set(alert.why.map((row) => row.field))
  const shown = events.length < alert.count ? `${plural(events.length, 'event')} of ${count(alert.count)}` : plural(events.length, 'event')
  return (
    <Section title="Evidence" aside={shown}>
      {events.length === 0 && <p className="text-muted p-3">{alert.evidence.length === 0 ? 'No single event is behind it.' : 'The events are no longer kept.'}</p>}
      {events.length > 0 && (
        <div className="max-h-[36rem] overflow-auto" tabIndex={0} role="region" aria-label="Evidence events">
          <table className="w-full table-fixed">
            <thead className="bg-surface sticky top-0 z-10">
              <tr className="text-muted h-7 text-left text-sm">
                <th scope="col" className="w-48 px-3 font-normal">Time, {zoneLabel(zone)}</th>
                <th scope="col" className="w-28 px-2 font-normal">Source</th>
                <th scope="col" className="px-2 font-normal">Event</th>
              </tr>
            </thead>
            <tbody>
              {events.map((event, index) => (
                <EvidenceRow key={String(event['event.id'] ?? index)} event={event} open={open} onOpen={setOpen} marked={marked} />
              ))}
            </tbody>
          </table>
        </div>
      )}
    </Section>
  )
}

interface RowProps {
  event: LogEvent
  open: string | null
  onOpen: (id: string | null) => void
  marked: ReadonlySet<string>
}

function EvidenceRow({ event, open, onOpen, marked }: RowProps) {
  const id = String(event['event.id'])
  const isOpen = open === id
  return (
    <>
      <tr className={`border-line border-t align-middle ${isOpen ? 'bg-accent-soft' : ''}`}>
        <td className="py-0.5 pr-2 pl-1.5 whitespace-nowrap">
          <button
            type="button"
            className="hover:text-accent inline-flex h-6 items-center gap-1"
            aria-expanded={isOpen}
            onClick={() => onOpen(isOpen ? null : id)}
          >
            <Icon name={isOpen ? 'down' : 'right'} size={12} />
            <Time at={String(event['@timestamp'])} precision="ms" />
            <span className="sr-only">, details</span>
          </button>
        </td>
        <td className="data truncate px-2 py-1">
          <FieldValue value={event['event.source']} limit={200} />
        </td>
        <td className="data truncate px-2 py-1">
          <FieldValue value={event.message || event['event.original']} limit={500} />
        </td>
      </tr>
      {isOpen && (
        <tr>
          <td colSpan={3} className="border-line border-t p-0">
            <div className="bg-bg flex h-80 flex-col">
              <EventDetail event={event} marked={marked} />
            </div>
          </td>
        </tr>
      )}
    </>
  )
}

/** Every time the rule held: the first and the last ones where there were many. */
function Detections({ alert, detections }: { alert: Alert; detections: AlertDetection[] }) {
  const { zone } = usePrefs()
  if (detections.length === 0) return null
  const left = alert.count - detections.length
  const cut = left > 0 && detections.length === 2 * KEPT_EACH_END
  const shown = cut ? `the first ${KEPT_EACH_END} and the last ${KEPT_EACH_END} of ${count(alert.count)}` : left > 0 ? `${count(detections.length)} of ${count(alert.count)}` : count(alert.count)
  return (
    <Section title="Detections" aside={shown}>
      <div className="max-h-80 overflow-auto" tabIndex={0} role="region" aria-label="Detections of this alert">
        <table className="w-full">
          <thead className="bg-surface sticky top-0 z-10">
            <tr className="text-muted h-7 text-left text-sm">
              <th scope="col" className="w-52 px-3 font-normal">Time, {zoneLabel(zone)}</th>
              <th scope="col" className="w-24 px-3 text-right font-normal">Counted</th>
              <th scope="col" className="px-3 font-normal">Event</th>
            </tr>
          </thead>
          <tbody>
            {detections.map((detection, index) => (
              <Fragment key={detection.id}>
                {cut && index === KEPT_EACH_END && (
                  <tr className="border-line bg-bg border-t">
                    <td colSpan={3} className="text-muted px-3 py-1">
                      {count(left)} more between them are not listed
                    </td>
                  </tr>
                )}
                <tr className="border-line border-t">
                  <td className="px-3">
                    <Time at={detection.time} precision="ms" />
                  </td>
                  <td className="px-3 text-right">{count(detection.count)}</td>
                  <td className="px-3">
                    <EventLink id={detection.event} at={detection.time} />
                  </td>
                </tr>
              </Fragment>
            ))}
          </tbody>
        </table>
      </div>
    </Section>
  )
}

function Decision({ alert }: { alert: Alert }) {
  const [busy, setBusy] = useState(false)
  const act = async (verdict: Alert['verdict']) => {
    setBusy(true)
    await decide(alert, verdict)
    setBusy(false)
  }
  return (
    <Section title={alert.status === 'open' ? 'Is it real?' : `Closed as ${verdictWord(alert.verdict)}`}>
      <div className="flex flex-wrap items-center gap-2 p-3">
        {alert.status === 'open' ? (
          VERDICTS.map((verdict) => (
            <Button key={verdict.id} title={verdict.hint} disabled={busy} onClick={() => void act(verdict.id)}>
              {verdict.label}
            </Button>
          ))
        ) : (
          <Button icon="refresh" disabled={busy} onClick={() => void act(null)}>
            Reopen
          </Button>
        )}
      </div>
      {alert.note && <p className="text-muted px-3 pb-3 break-words">Note: {visible(alert.note)}</p>}
    </Section>
  )
}

function Facts({ alert }: { alert: Alert }) {
  const span = Date.parse(alert.last_seen) - Date.parse(alert.first_seen)
  return (
    <Section title="Facts">
      <dl className="grid grid-cols-[6.5rem_1fr] gap-y-1.5 p-3">
        <Fact name="Entity">
          <EntityLink entity={alert.entity} {...exploreRange(alert)} />
        </Fact>
        <Fact name="Detections">
          {count(alert.count)}
          {span > 0 && <span className="text-muted"> in {duration(span)}</span>}
        </Fact>
        <Fact name="First seen">
          <Time at={alert.first_seen} precision="ms" />
        </Fact>
        <Fact name="Last seen">
          <Time at={alert.last_seen} precision="ms" />
        </Fact>
        <Fact name="ATT&CK">
          <span className="flex flex-wrap gap-1">
            {alert.attack.tactics.map((tactic) => (
              <Chip key={tactic}>{visible(tactic).replaceAll('-', ' ')}</Chip>
            ))}
            {alert.attack.techniques.map((technique) => (
              <Chip key={technique} className="data">
                {visible(technique)}
              </Chip>
            ))}
            {alert.attack.tactics.length + alert.attack.techniques.length === 0 && <span className="text-muted">none named</span>}
          </span>
        </Fact>
        <Fact name="Alert">
          <span className="data inline-flex items-center gap-1">
            {visible(alert.id)}
            <Copy text={location.href} what="the link to this alert" />
          </span>
        </Fact>
      </dl>
    </Section>
  )
}

function Fact({ name, children }: { name: string; children: ReactNode }) {
  return (
    <>
      <dt className="text-muted">{name}</dt>
      <dd className="min-w-0">{children}</dd>
    </>
  )
}

/** Other alerts on the same entity: the first thing an analyst asks. */
function Others({ alert }: { alert: Alert }) {
  const known = alert.entity.kind !== 'none'
  const { data } = useQuery({ ...alertsQuery({ entity: alert.entity.value }, 20), enabled: known })
  const others = (data ?? []).filter((other) => other.id !== alert.id)
  if (!known) return null
  return (
    <Section title="Other alerts on this entity" aside={data ? count(others.length) : ''}>
      {others.length === 0 ? (
        <p className="text-muted p-3">None.</p>
      ) : (
        <ul>
          {others.slice(0, 6).map((other) => (
            <li key={other.id} className="border-line flex h-8 items-center gap-2 border-b px-3 last:border-b-0">
              <Severity level={other.severity} />
              <Link to="/alerts/$id" params={{ id: other.id }} className="text-text truncate hover:underline">
                {visible(other.rule.title)}
              </Link>
              <span className="ml-auto text-sm">
                <Ago at={other.last_seen} />
              </span>
            </li>
          ))}
        </ul>
      )}
    </Section>
  )
}

function RuleNotes({ alert }: { alert: Alert }) {
  const saved = savedName(alert.rule.id)
  return (
    <Section
      title={saved === null ? 'The rule' : 'The saved search'}
      aside={
        saved === null ? (
          <Link to="/rules/$id" params={{ id: alert.rule.id }}>
            Open
          </Link>
        ) : (
          <SavedLink name={saved} />
        )
      }
    >
      <div className="flex flex-col gap-2 p-3">
        <NextSteps text={alert.rule.next_steps} />
        {alert.rule.falsepositives.length > 0 && (
          <div>
            <h3 className="text-muted">Known false positives</h3>
            <ul className="list-disc pl-5">
              {alert.rule.falsepositives.map((text) => (
                <li key={text} className="break-words">
                  {visible(text)}
                </li>
              ))}
            </ul>
          </div>
        )}
        <References list={alert.rule.references} />
        <Origin author={alert.rule.author} license={alert.rule.license} />
        {saved === null && <RuleSource id={alert.rule.id} />}
      </div>
    </Section>
  )
}

function RuleSource({ id }: { id: string }) {
  const [open, setOpen] = useState(false)
  const { data, error } = useQuery({ ...ruleQuery(id), enabled: open })
  return (
    <details onToggle={(event) => setOpen(event.currentTarget.open)}>
      <summary className="text-accent h-6">Source of the rule</summary>
      {error && <ErrorBox error={error} />}
      {data && (
        <pre className="data bg-bg border-line mt-1 max-h-96 overflow-auto rounded border p-2" tabIndex={0} role="region" aria-label="Source of the rule">
          <FieldValue value={data.source} multiline limit={300_000} />
        </pre>
      )}
    </details>
  )
}

function exploreRange(alert: Alert): { from: string; to: string } {
  const at = (time: string, shift: number) => new Date(Date.parse(time) + shift).toISOString()
  return { from: at(alert.first_seen, -MARGIN_MS), to: at(alert.last_seen, MARGIN_MS) }
}
