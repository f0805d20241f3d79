/** What a rule would have found: how much, when, about whom, what changes, and the newest detections to look at. */
import { type ReactNode, useState } from 'react'
import type { BacktestDifference, BacktestReport, BacktestRule, BacktestSample } from '@/api/types'
import { EntityLink, EntityText } from '@/components/EntityLink'
import { EventLink } from '@/components/EventLink'
import { Icon } from '@/components/Icon'
import { Severity } from '@/components/Severity'
import { Time } from '@/components/Time'
import { WhyTable } from '@/components/WhyTable'
import { visible } from '@/lib/escape'
import { count, plural, short } from '@/lib/number'
import { usePrefs } from '@/lib/prefs'
import { zoneLabel } from '@/lib/time'
import { barLabel, barsOf } from './days'
import { ProblemList } from './Problems'
import type { Ask } from './useBacktest'

const DAYS_LISTED_MAX = 60

export function Report({ report, ask }: { report: BacktestReport; ask: Ask }) {
  return (
    <div>
      <p className="text-muted border-line border-b px-3 py-1.5 text-sm">
        {plural(report.events, 'event')} read in {seconds(report.seconds)}
        {report.seconds > 0 && `, ${short(Math.round(report.events / report.seconds))} events/s`}; {plural(report.hits, 'event')} matched.
      </p>
      {report.problems.length > 0 && <ProblemList problems={report.problems} />}
      {report.rules.length === 0 && <p className="p-3">It would have found nothing.</p>}
      <div>
        {report.rules.map((rule) => (
          <OfRule key={rule.id} rule={rule} ask={ask} named={report.rules.length > 1} />
        ))}
      </div>
    </div>
  )
}

function OfRule({ rule, ask, named }: { rule: BacktestRule; ask: Ask; named: boolean }) {
  return (
    <div className="border-line not-first:border-t pt-1 pb-3">
      {named && (
        <p className="flex items-center gap-2 px-3 pt-2">
          <Severity level={rule.level} />
          <strong className="min-w-0 font-semibold break-words">{visible(rule.title)}</strong>
        </p>
      )}
      <Totals rule={rule} from={ask.from} />
      {rule.difference && <Difference difference={rule.difference} />}
      {rule.detections > 0 && (
        <>
          <Days rule={rule} since={ask.since} />
          <Entities rule={rule} from={ask.from} />
          <Samples samples={rule.samples} />
        </>
      )}
    </div>
  )
}

function Totals({ rule, from }: { rule: BacktestRule; from: string }) {
  const days = /^now-(\d+)d$/.exec(from)?.[1]
  const perDay = days === undefined ? null : rule.alerts / Number(days)
  return (
    <dl className="grid grid-cols-3 px-3 py-1.5">
      <Total name="Detections" value={count(rule.detections)} note={rule.detections === 0 ? 'found nothing' : ''} />
      <Total name="Alerts" value={count(rule.alerts)} note={perDay === null || rule.alerts === 0 ? '' : `${perDay < 10 ? perDay.toFixed(1) : count(perDay)} a day`} />
      <Total name="Entities" value={count(rule.entities_total)} note="" />
    </dl>
  )
}

function Total({ name, value, note }: { name: string; value: string; note: string }) {
  return (
    <div className="min-w-0">
      <dt className="text-muted text-sm">{name}</dt>
      <dd className="text-xl font-semibold whitespace-nowrap">
        {value} {note !== '' && <span className="text-muted text-sm font-normal">{note}</span>}
      </dd>
    </div>
  )
}

function Part({ title, aside, children }: { title: string; aside?: string; children: ReactNode }) {
  return (
    <section aria-label={title} className="mt-2 px-3">
      <h3 className="text-muted mb-1 flex justify-between gap-2">
        {title}
        {aside && <span className="text-sm">{aside}</span>}
      </h3>
      {children}
    </section>
  )
}

function Difference({ difference }: { difference: BacktestDifference }) {
  const { both, only_now: now, only_before: before, lost_events: lost } = difference
  const same = now === 0 && before === 0
  return (
    <Part title="Against the version in force">
      <p>
        {same
          ? `The same ${plural(both, 'detection')}.`
          : `${plural(both, 'detection')} by both, ${count(now)} only now, ${count(before)} only before.`}
      </p>
      {lost.length > 0 && (
        <div className="mt-1">
          <p className="text-muted">{lost.length < before ? `Some of the ${count(before)} that are lost` : 'What is lost'}</p>
          <ul className="flex flex-wrap gap-x-3">
            {lost.map((id) => (
              <li key={id}>
                <EventLink id={id} />
              </li>
            ))}
          </ul>
        </div>
      )}
    </Part>
  )
}

function Days({ rule, since }: { rule: BacktestRule; since: string | null }) {
  const bars = barsOf(rule.days, since)
  const most = bars.reduce((top, bar) => Math.max(top, bar.alerts), 0)
  const first = bars[0]
  const last = bars.at(-1)
  if (!first || !last) return null
  const wide = first.from !== first.to
  const listed = rule.days.slice(-DAYS_LISTED_MAX)
  return (
    <Part title={wide ? 'Alerts over time' : 'Alerts per day, UTC'} aside={`at most ${count(most)}${wide ? ' a bar' : ''}`}>
      <div role="img" aria-label={`Alerts from ${first.from} to ${last.to}, at most ${count(most)} ${wide ? `in ${barLabel(first)}` : 'a day'}. The numbers are in the table below.`} className="border-line-strong flex h-16 items-end gap-px border-b">
        {bars.map((bar) => (
          <span key={bar.from} className="flex h-full min-w-0 flex-1 items-end" title={`${barLabel(bar)}: ${plural(bar.alerts, 'alert')}, ${plural(bar.detections, 'detection')}`}>
            <span className="bg-bar block w-full" style={{ height: bar.alerts === 0 ? 0 : `max(2px, ${(bar.alerts / Math.max(1, most)) * 100}%)` }} />
          </span>
        ))}
      </div>
      <p className="text-muted flex justify-between text-sm">
        <span>{first.from}</span>
        {last.to !== first.from && <span>{last.to}</span>}
      </p>
      <details>
        <summary className="text-accent h-6">As a table</summary>
        <table className="w-full max-w-sm">
          <thead>
            <tr className="text-muted text-left text-sm">
              <th scope="col" className="font-normal">Day, UTC</th>
              <th scope="col" className="text-right font-normal">Detections</th>
              <th scope="col" className="text-right font-normal">Alerts</th>
            </tr>
          </thead>
          <tbody>
            {listed.map((day) => (
              <tr key={day.day} className="border-line border-t">
                <td className="data">{visible(day.day)}</td>
                <td className="text-right">{count(day.detections)}</td>
                <td className="text-right">{count(day.alerts)}</td>
              </tr>
            ))}
          </tbody>
        </table>
        {listed.length < rule.days.length && <p className="text-muted text-sm">The last {listed.length} of {plural(rule.days.length, 'day')} with detections.</p>}
      </details>
    </Part>
  )
}

function Entities({ rule, from }: { rule: BacktestRule; from: string }) {
  const most = Math.max(1, rule.entities[0]?.detections ?? 1)
  const shown = rule.entities.length < rule.entities_total ? `${rule.entities.length} of ${count(rule.entities_total)}` : ''
  return (
    <Part title="Most often about" aside={shown}>
      <ul>
        {rule.entities.map(({ entity, detections }) => (
          <li key={`${entity.kind} ${entity.value}`} className="grid grid-cols-[minmax(0,1fr)_minmax(6rem,45%)_4rem] items-center gap-2">
            <span className="flex h-6 min-w-0 items-center">
              <EntityLink entity={entity} from={from} to={from === '' ? '' : 'now'} />
            </span>
            <span className="bg-bg h-1.5" aria-hidden="true">
              <span className="bg-bar block h-full" style={{ width: `${(detections / most) * 100}%` }} />
            </span>
            <span className="text-right">{count(detections)}</span>
          </li>
        ))}
      </ul>
    </Part>
  )
}

function Samples({ samples }: { samples: BacktestSample[] }) {
  const [open, setOpen] = useState<number | null>(null)
  const { zone } = usePrefs()
  return (
    <Part title="The newest detections" aside={`times in ${zoneLabel(zone)}`}>
      <ul>
        {samples.map((sample, index) => (
          <li key={`${sample.event} ${index}`} className="border-line border-t">
            <div className="flex min-h-7 flex-wrap items-center gap-x-3">
              <button
                type="button"
                className="hover:text-accent inline-flex h-6 items-center gap-1"
                aria-expanded={open === index}
                onClick={() => setOpen(open === index ? null : index)}
              >
                <Icon name={open === index ? 'down' : 'right'} size={12} />
                <Time at={sample.time} />
                <span className="sr-only">, why it fired</span>
              </button>
              <span className="flex min-w-0 flex-1 basis-40 items-center">
                <EntityText entity={sample.entity} />
              </span>
              {sample.count > 1 && <span className="text-muted text-sm">{count(sample.count)} counted</span>}
              <EventLink id={sample.event} at={sample.time} />
            </div>
            {open === index && (
              <div className="border-line bg-bg mb-1 border">
                {sample.why.length > 0 ? <WhyTable why={sample.why} /> : <p className="text-muted p-2">The rule counts events: see what came before this one.</p>}
              </div>
            )}
          </li>
        ))}
      </ul>
    </Part>
  )
}

function seconds(value: number): string {
  return value < 1 ? `${Math.round(value * 1000)} ms` : `${value.toFixed(1)} s`
}
