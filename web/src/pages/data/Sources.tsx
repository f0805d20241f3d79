/** Is every source sending, and is nothing lost? */
import { useQuery } from '@tanstack/react-query'
import { Link, useSearch } from '@tanstack/react-router'
import type { ReactNode } from 'react'
import { ledger as ledgerQuery, sources as sourcesQuery, status as statusQuery } from '@/api/queries'
import type { Ledger, LedgerCounts, Source } from '@/api/types'
import { Icon } from '@/components/Icon'
import { Spark } from '@/components/Spark'
import { Ago, useNow } from '@/components/Time'
import { buttonClass, Empty, ErrorBox, Loading, PageHeader, Section, Title } from '@/components/ui'
import { visible } from '@/lib/escape'
import { bytes, count, plural, rate, short } from '@/lib/number'
import { filterText } from '@/lib/query'
import { duration } from '@/lib/time'
import { HealthPanel, HealthWord } from './SourceHealth'
import { perMinute, SILENT_MS } from './health'

export default function Sources() {
  const sources = useQuery(sourcesQuery)
  const ledger = useQuery(ledgerQuery)
  const error = sources.error ?? ledger.error
  const { source } = useSearch({ from: '/shell/data' })
  return (
    <div className="mx-auto max-w-[100rem] pb-6">
      <Title>Sources</Title>
      <PageHeader title="Sources" note={sources.data && plural(sources.data.length, 'source')}>
        <Link to="/start" className={buttonClass()}>
          Add a source
        </Link>
      </PageHeader>
      {error && <ErrorBox error={error} retry={() => void sources.refetch()} />}
      {!sources.data && !error && <Loading />}
      {sources.data?.length === 0 && (
        <Empty icon="data" title="No source has sent anything yet">
          <Link to="/start" className={buttonClass('primary')}>
            Send logs
          </Link>
        </Empty>
      )}
      {sources.data && sources.data.length > 0 && (
        <div className="flex flex-col gap-3 px-4">
          <Table sources={sources.data} ledger={ledger.data} />
          {source !== undefined && <HealthPanel key={source} source={source} />}
          {ledger.data && <Reasons reasons={ledger.data.reasons} />}
          <Storage />
        </div>
      )}
    </div>
  )
}

function Table({ sources, ledger }: { sources: Source[]; ledger: Ledger | undefined }) {
  const head = 'px-3 font-normal whitespace-nowrap'
  return (
    <Section
      title={!ledger ? 'Ledger' : ledger.balanced ? 'The ledger balances: received = stored + sampled + folded + quarantined + shed' : 'The ledger does not balance'}
      aside={ledger && <Icon name={ledger.balanced ? 'check' : 'warn'} />}
    >
      <div className="overflow-x-auto" tabIndex={0} role="region" aria-label="Sources and ledger">
        <table className="w-full">
          <thead>
            <tr className="border-line text-muted h-7 border-b text-left text-sm">
              <th scope="col" className={head}>Source</th>
              <th scope="col" className={head}>Health</th>
              <th scope="col" className={head}>Events per minute, last hour</th>
              <th scope="col" className={head}>Last event</th>
              {['Received', 'Stored', 'Sampled', 'Folded', 'Quarantined', 'Shed', 'Raw'].map((name) => (
                <th key={name} scope="col" className={`${head} text-right`}>
                  {name}
                </th>
              ))}
              <th scope="col" className={head}>Balance</th>
            </tr>
          </thead>
          <tbody>
            {sources.map((source) => (
              <SourceRow key={source.name} source={source} counts={ledger?.sources.find((each) => each.source === source.name)} />
            ))}
          </tbody>
          {ledger && (
            <tfoot>
              <tr className="h-8 font-semibold">
                <td className="px-3">All</td>
                <td />
                <td />
                <td />
                <Counts counts={ledger.total} />
                <td className="px-3 text-right">{bytes(sources.reduce((sum, source) => sum + source.raw_bytes, 0))}</td>
                <td className="px-3">
                  <Balance counts={ledger.total} />
                </td>
              </tr>
            </tfoot>
          )}
        </table>
      </div>
    </Section>
  )
}

/** Why records are not among the events; nothing when all are. */
function Reasons({ reasons }: { reasons: Ledger['reasons'] }) {
  if (reasons.length === 0) return null
  return (
    <Section title="Why records were set aside or dropped">
      <div className="overflow-x-auto" tabIndex={0} role="region" aria-label="Reasons">
        <table className="w-full">
          <thead>
            <tr className="border-line text-muted h-7 border-b text-left text-sm">
              {['Source', 'Fate', 'Reason'].map((name) => (
                <th key={name} scope="col" className="px-3 font-normal">
                  {name}
                </th>
              ))}
              <th scope="col" className="px-3 text-right font-normal">
                Records
              </th>
            </tr>
          </thead>
          <tbody>
            {reasons.map((each) => (
              <tr key={`${each.source} ${each.fate} ${each.reason}`} className="border-line h-8 border-b">
                <th scope="row" className="px-3 text-left font-normal">
                  {visible(each.source)}
                </th>
                <td className="px-3">{each.fate}</td>
                <td className="px-3 break-words">{visible(each.reason)}</td>
                <td className="px-3 text-right">{count(each.count)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </Section>
  )
}

function SourceRow({ source, counts }: { source: Source; counts: LedgerCounts | undefined }) {
  const now = useNow()
  const silent = source.last_received === null || now - Date.parse(source.last_received) > SILENT_MS
  return (
    <tr className="border-line hover:bg-bg h-9 border-b">
      <th scope="row" className="max-w-56 truncate px-3 text-left font-normal">
        <Link to="/explore" search={{ q: filterText('event.source', source.name), from: 'now-24h', to: 'now' }}>
          {visible(source.name)}
        </Link>
      </th>
      <td className="px-3 text-sm">
        <Link to="/data" search={{ source: source.name }} className="inline-flex min-h-6 items-center hover:underline" aria-label={`How ${visible(source.name)} looks: ${source.health}`}>
          <HealthWord state={source.health} />
        </Link>
      </td>
      <td className="px-3">
        <span className="flex items-center gap-3">
          <Spark values={source.per_minute.map((point) => point.count)} label={`${visible(source.name)}: ${perMinute(source)} events per minute`} />
          <span className="text-muted w-12 text-right text-sm">{short(perMinute(source))}</span>
        </span>
      </td>
      <td className="px-3 text-sm whitespace-nowrap">
        {silent ? <strong className="font-semibold">silent </strong> : null}
        {source.last_received ? <Ago at={source.last_received} /> : 'never'}
      </td>
      <Counts counts={counts ?? { ...source, sampled: 0, expired: 0, balanced: true }} />
      <td className="px-3 text-right whitespace-nowrap">{bytes(source.raw_bytes)}</td>
      <td className="px-3 text-sm">{counts && <Balance counts={counts} />}</td>
    </tr>
  )
}

function Counts({ counts }: { counts: LedgerCounts }) {
  return (
    <>
      {(['received', 'stored', 'sampled', 'folded', 'quarantined', 'shed'] as const).map((key) => (
        <td key={key} className={`px-3 text-right ${counts[key] === 0 ? 'text-muted' : ''}`}>
          {count(counts[key])}
        </td>
      ))}
    </>
  )
}

function Balance({ counts }: { counts: LedgerCounts }) {
  const missing = counts.received - counts.stored - counts.sampled - counts.folded - counts.quarantined - counts.shed
  return (
    <span className="inline-flex items-center gap-1.5 whitespace-nowrap">
      <Icon name={counts.balanced ? 'check' : 'warn'} size={14} />
      {counts.balanced ? 'balanced' : `${count(missing)} missing`}
    </span>
  )
}

function Storage() {
  const { data } = useQuery(statusQuery)
  if (!data) return null
  const rows: [string, ReactNode][] = [
    ['Events kept', count(data.events)],
    ['Raw', bytes(data.raw_bytes)],
    ['On disk', `${bytes(data.disk_bytes)}${data.raw_bytes > 0 ? `, ${((data.disk_bytes / data.raw_bytes) * 100).toFixed(1)} % of raw` : ''}`],
    ['Not in a segment yet (WAL)', bytes(data.wal_bytes)],
    ['Segments', count(data.segments)],
    ['Rate', `${rate(data.events_per_second)} events/s`],
    ['Up', duration(data.uptime_seconds * 1000)],
  ]
  const listen: [string, ReactNode][] = [
    ['HTTP', data.listen.http],
    ['Syslog TCP', data.listen.syslog_tcp ?? 'off'],
    ['Syslog UDP', data.listen.syslog_udp ?? 'off'],
    ['Version', data.version],
  ]
  return (
    <div className="grid grid-cols-1 gap-3 lg:grid-cols-2">
      <Section title="Store">
        <Facts rows={rows} />
      </Section>
      <Section title="Listening on">
        <Facts rows={listen} />
      </Section>
    </div>
  )
}

function Facts({ rows }: { rows: [string, ReactNode][] }) {
  return (
    <dl className="grid grid-cols-[14rem_1fr] gap-y-1.5 p-3">
      {rows.map(([name, value]) => (
        <div key={name} className="contents">
          <dt className="text-muted">{name}</dt>
          <dd className="min-w-0 break-words">{value}</dd>
        </div>
      ))}
    </dl>
  )
}
