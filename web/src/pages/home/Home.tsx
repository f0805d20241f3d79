/** What needs me now: open alerts, whether every source is sending, whether nothing was lost. */
import { useQuery } from '@tanstack/react-query'
import { Link } from '@tanstack/react-router'
import type { ReactNode } from 'react'
import { alerts, ledger, sources, status } from '@/api/queries'
import type { Alert, Level, Source, Status } from '@/api/types'
import { EntityText } from '@/components/EntityLink'
import { FieldValue } from '@/components/FieldValue'
import { Icon } from '@/components/Icon'
import { levelColour, LEVELS, levelWord, Severity, SeverityShape } from '@/components/Severity'
import { Spark } from '@/components/Spark'
import { Ago, useNow } from '@/components/Time'
import { buttonClass, Empty, ErrorBox, Loading, PageHeader, Section, Title } from '@/components/ui'
import { bytes, count, plural, rate, short } from '@/lib/number'
import { filterText } from '@/lib/query'
import { duration } from '@/lib/time'
import { visible } from '@/lib/escape'
import { perMinute, SILENT_MS } from '../data/health'
import { Behind, OutOfRoom } from './RuleNotices'

export default function Home() {
  const state = useQuery(status)
  const open = useQuery(alerts({ status: 'open' }))
  if (state.error) return <ErrorBox error={state.error} retry={() => void state.refetch()} />
  if (!state.data) return <Loading />
  const total = LEVELS.reduce((sum, level) => sum + state.data.open_alerts[level], 0)
  if (state.data.events === 0 && total === 0) return <NoData />
  const urgent = state.data.open_alerts.critical + state.data.open_alerts.high
  const headline =
    urgent > 0 ? `${plural(urgent, 'alert')} to look at now` : total > 0 ? `Nothing urgent, ${plural(total, 'open alert')}` : 'No open alerts'
  return (
    <div className="mx-auto flex min-h-full max-w-[100rem] flex-col pb-4">
      <Title>{headline}</Title>
      <PageHeader title={headline} note={`up ${duration(state.data.uptime_seconds * 1000)}`} />
      <OutOfRoom rules={state.data.forgotten} />
      <Behind rules={state.data.throttled} />
      <div className="grid grid-cols-12 gap-3 px-4">
        <ByLevel status={state.data} />
        <Numbers status={state.data} />
        <Section title="Open alerts, the most severe first" className="col-span-12 xl:col-span-7" aside={<Link to="/alerts">All open alerts</Link>}>
          {open.error ? <ErrorBox error={open.error} /> : <Urgent alerts={open.data} />}
        </Section>
        <div className="col-span-12 flex min-w-0 flex-col gap-3 xl:col-span-5">
          <Health />
          <LedgerLine />
        </div>
      </div>
    </div>
  )
}

function ByLevel({ status }: { status: Status }) {
  return (
    <section aria-label="Open alerts by severity" className="panel col-span-12 grid grid-cols-5 xl:col-span-7">
      {LEVELS.map((level) => (
        <LevelTile key={level} level={level} n={status.open_alerts[level]} />
      ))}
    </section>
  )
}

function LevelTile({ level, n }: { level: Level; n: number }) {
  return (
    <Link
      to="/alerts"
      search={{ severity: level }}
      className="border-line hover:bg-accent-soft text-text block min-w-0 border-l px-3 py-2 no-underline first:border-l-0"
    >
      <span className={`flex items-center gap-1.5 text-sm ${n > 0 ? levelColour(level) : 'text-muted'}`}>
        <SeverityShape level={level} />
        {levelWord(level)}
      </span>
      <span className={`mt-1 block text-2xl ${n > 0 ? 'font-semibold' : 'text-muted'}`}>{count(n)}</span>
      <span className="text-muted block text-sm">open</span>
    </Link>
  )
}

function Numbers({ status }: { status: Status }) {
  const share = status.raw_bytes > 0 ? status.disk_bytes / status.raw_bytes : null
  return (
    <section aria-label="Logs taken in" className="panel col-span-12 grid grid-cols-3 xl:col-span-5">
      <Tile label="Events per second" value={rate(status.events_per_second)} note={plural(status.sources, 'source')} />
      <Tile label="Events kept" value={short(status.events)} note={count(status.events)} />
      <Tile
        label="On disk"
        value={bytes(status.disk_bytes)}
        note={share === null ? 'nothing stored yet' : `${(share * 100).toFixed(share < 0.1 ? 1 : 0)} % of ${bytes(status.raw_bytes)} raw`}
      />
    </section>
  )
}

function Tile({ label, value, note }: { label: string; value: ReactNode; note: ReactNode }) {
  return (
    <div className="border-line min-w-0 border-l px-3 py-2 first:border-l-0">
      <p className="text-muted truncate text-sm">{label}</p>
      <p className="mt-1 text-2xl font-semibold whitespace-nowrap">{value}</p>
      <p className="text-muted truncate text-sm">{note}</p>
    </div>
  )
}

function Urgent({ alerts }: { alerts: Alert[] | undefined }) {
  if (!alerts) return <Loading rows={8} />
  if (alerts.length === 0) {
    return (
      <Empty icon="check" title="No alert is open">
        <p>Rules watch every event as it arrives. What they find shows up here by itself.</p>
      </Empty>
    )
  }
  return (
    <ul>
      {alerts.toSorted(bySeverity).slice(0, 12).map((alert) => (
        <li key={alert.id} className="border-line border-b last:border-b-0">
          <Link
            to="/alerts/$id"
            params={{ id: alert.id }}
            className="hover:bg-accent-soft text-text grid grid-cols-[5.5rem_1fr_auto] items-center gap-2 px-3 py-1.5 no-underline"
          >
            <span>
              <Severity level={alert.severity} />
            </span>
            <span className="min-w-0">
              <span className="block truncate font-semibold">{visible(alert.rule.title)}</span>
              <span className="text-muted block truncate text-sm">
                <FieldValue value={alert.summary} limit={300} />
              </span>
            </span>
            <span className="flex min-w-0 flex-col items-end text-sm">
              <span className="max-w-56 truncate">
                <EntityText entity={alert.entity} />
              </span>
              <Ago at={alert.last_seen} />
            </span>
          </Link>
        </li>
      ))}
    </ul>
  )
}

/** The list comes newest first; sorting keeps that order within a severity. */
function bySeverity(a: Alert, b: Alert): number {
  return LEVELS.indexOf(a.severity) - LEVELS.indexOf(b.severity)
}

function Health() {
  const { data, error } = useQuery(sources)
  const now = useNow()
  const silent = (data ?? []).filter((source) => isSilent(source, now)).length
  const sorted = (data ?? []).toSorted((a, b) => Number(isSilent(b, now)) - Number(isSilent(a, now)) || sum(b) - sum(a))
  return (
    <Section title={silent > 0 ? `${plural(silent, 'source')} silent` : 'Every source is sending'} aside={<Link to="/data">All sources</Link>}>
      {error && <ErrorBox error={error} />}
      {!data && !error && <Loading rows={4} />}
      {data?.length === 0 && <p className="text-muted p-3">No source has sent anything yet.</p>}
      <ul>
        {sorted.slice(0, 8).map((source) => (
          <li key={source.name} className="border-line grid h-9 grid-cols-[1fr_7.5rem_6.5rem] items-center gap-2 border-b px-3 last:border-b-0">
            <Link to="/explore" search={{ q: filterText('event.source', source.name), from: 'now-1h', to: 'now' }} className="truncate" title={visible(source.name)}>
              {visible(source.name)}
            </Link>
            <Spark values={source.per_minute.map((point) => point.count)} label={`${visible(source.name)}: events per minute, last hour`} width={120} height={20} />
            <span className="text-right text-sm whitespace-nowrap">
              {isSilent(source, now) ? (
                <span className="font-semibold">{source.last_received ? <>silent, <Ago at={source.last_received} /></> : 'never sent'}</span>
              ) : (
                <span className="text-muted">{short(perMinute(source))} /min</span>
              )}
            </span>
          </li>
        ))}
      </ul>
    </Section>
  )
}

function LedgerLine() {
  const { data } = useQuery(ledger)
  if (!data) return null
  const { total } = data
  return (
    <Section
      title={data.balanced ? 'The ledger balances' : 'The ledger does not balance'}
      aside={
        <span className="flex items-center gap-1.5">
          <Icon name={data.balanced ? 'check' : 'warn'} />
          {data.balanced ? 'nothing lost' : `${count(total.received - total.stored - total.sampled - total.folded - total.quarantined - total.shed)} events missing`}
        </span>
      }
    >
      <dl className="grid grid-cols-[1fr_1fr_1fr_1fr_auto_1fr]">
        {(['received', 'stored', 'sampled', 'folded', 'quarantined', 'shed'] as const).map((key, index) => (
          <div key={key} className="min-w-0 px-3 py-2">
            <dt className="text-muted truncate text-sm">
              {index === 1 ? '= ' : index > 1 ? '+ ' : ''}
              {key}
            </dt>
            <dd className="truncate" title={count(total[key])}>
              {short(total[key])}
            </dd>
          </div>
        ))}
      </dl>
    </Section>
  )
}

function NoData() {
  return (
    <>
      <Title>Home</Title>
      <Empty icon="start" title="No log has arrived yet">
        <p>Send the first one: a single curl command is enough. Rules start to watch at once.</p>
        <Link to="/start" className={buttonClass('primary')}>
          Send logs
        </Link>
      </Empty>
    </>
  )
}

function isSilent(source: Source, nowMs: number): boolean {
  return source.last_received === null || nowMs - Date.parse(source.last_received) > SILENT_MS
}

function sum(source: Source): number {
  return source.per_minute.reduce((total, point) => total + point.count, 0)
}
