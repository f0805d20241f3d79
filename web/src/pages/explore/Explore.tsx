/** What is in the logs: a question, its answer over time, its fields, its events; live on the same page. */
import { useQuery } from '@tanstack/react-query'
import { useNavigate, useSearch } from '@tanstack/react-router'
import { useCallback, useMemo, useRef, useState } from 'react'
import { get } from '@/api/client'
import { facets as facetsQuery, liveHistogram } from '@/api/queries'
import type { LogEvent } from '@/api/types'
import type { ExploreSearch } from '@/app/router'
import { EventDetail } from '@/components/EventDetail'
import { LineChart } from '@/components/LineChart'
import { Menu } from '@/components/Menu'
import { Button, buttonClass, copyText, ErrorBox, IconButton, Loading, Title } from '@/components/ui'
import { Icon } from '@/components/Icon'
import { isControl, useKeys } from '@/lib/keys'
import { count, percent, plural } from '@/lib/number'
import { getPrefs, setPrefs, usePrefs } from '@/lib/prefs'
import { addFilter, filterText, splitPipe } from '@/lib/query'
import { asCli, asCurl } from '@/lib/shell'
import { rangeLabel, resolveTime, widenRange } from '@/lib/time'
import { linesOf } from '@/lib/timechart'
import { EventTable } from './EventTable'
import { exportRows } from './exporting'
import { Facets } from './Facets'
import { Histogram } from './Histogram'
import { NoMatch } from './NoMatch'
import { Panel } from './Panel'
import { isWhole, progressOf } from './progress'
import { QueryBar } from './QueryBar'
import { ResultTable } from './ResultTable'
import { Saved } from './Saved'
import { TimePicker } from './TimePicker'
import { useLiveRows } from './useLiveRows'
import { canGoOn, type Run, useRun } from './useRun'

const COLUMNS = ['event.source', 'host.name']

export default function Explore() {
  const page = usePage()
  const { q, from, to, live, set } = page
  const [runId, setRunId] = useState(0)
  const { run, cancel, older } = useRun(q, from, to, runId)
  const head = splitPipe(q)[0]
  const isTable = run.kind === 'table'
  const tail = useLiveRows(live && run.ready && !isTable ? q : null)
  const events = useMemo(() => merge(tail.events, isTable ? [] : run.rows), [tail.events, run.rows, isTable])
  const range = useMemo(() => ({ from: from || null, to: to || null }), [from, to])
  const refreshed = useQuery(liveHistogram(q, range, runId, live && run.state === 'done'))
  const counted = refreshed.data ?? run.histogram
  // The chart of the question before stays until the first one of this is there.
  const lastChart = useRef(counted)
  if (counted || run.state !== 'running') lastChart.current = counted
  const chart = lastChart.current
  const facets = useQuery(facetsQuery(head, range, runId))
  const readText = useRef(() => q)
  const timeTrigger = useRef<HTMLButtonElement>(null)
  const [cursor, setCursor] = useState<string | null>(page.event)
  const [showFields, setShowFields] = useState(true)
  const rerun = useCallback(() => setRunId((n) => n + 1), [])
  const submit = useCallback(
    (query: string) => {
      if (query !== '') setPrefs({ recent: [query, ...getPrefs().recent.filter((old) => old !== query)].slice(0, 30) })
      if (query === q) rerun()
      else set({ q: query, event: undefined })
    },
    [q, rerun, set],
  )
  const onFilter = useCallback((field: string, value: unknown, negate: boolean) => submit(addFilter(q, filterText(field, value, negate))), [q, submit])
  const onZoom = useCallback((nextFrom: string, nextTo: string) => set({ from: nextFrom, to: nextTo, live: undefined }), [set])
  const onWiden = useCallback(() => set(widenRange(from, to, Date.now())), [from, to, set])
  const open = useCallback(
    (id: string) => {
      setCursor(id)
      set({ event: id }, true)
    },
    [set],
  )
  const close = () => set({ event: undefined }, true)
  const move = (step: number) => {
    const index = events.findIndex((event) => String(event['event.id']) === cursor)
    const next = events[Math.max(0, Math.min(events.length - 1, index < 0 ? 0 : index + step))]
    if (!next) return
    const id = String(next['event.id'])
    setCursor(id)
    if (page.event) set({ event: id }, true)
  }
  useKeys({
    j: () => move(1),
    k: () => move(-1),
    o: () => cursor && open(cursor),
    Enter: (event) => {
      if (isControl(event.target)) (event.target as HTMLElement).click()
      else if (cursor) open(cursor)
    },
    Escape: close,
    r: rerun,
    'Mod+enter': rerun,
    l: () => set({ live: live ? undefined : true }),
    t: () => timeTrigger.current?.click(),
    w: () => setPrefs({ wrap: !getPrefs().wrap }),
    '[': () => setShowFields((shown) => !shown),
  })
  const columns = page.columns
  const onColumn = (field: string) => {
    const next = columns.includes(field) ? columns.filter((column) => column !== field) : [...columns, field]
    set({ cols: next.length === 0 ? '-' : next.join(',') }, true)
  }
  const { zone } = usePrefs()
  return (
    <div className="flex h-full flex-col">
      <Title>{q === '' ? `Explore, ${rangeLabel(from, to, zone)}` : q}</Title>
      <h1 className="sr-only">Explore</h1>
      <div className="flex items-start gap-2 px-4 pt-3 pb-2">
        <QueryBar value={q} range={{ from, to }} onRun={submit} readText={readText} />
        {run.state === 'running' ? (
          <Button icon="stop" className="!h-8 w-24" onClick={cancel}>
            Cancel
          </Button>
        ) : (
          <Button variant="primary" icon="play" className="!h-8 w-24" onClick={() => submit(readText.current())}>
            Run
          </Button>
        )}
        <TimePicker from={from} to={to} trigger={timeTrigger} onChange={(next) => set({ ...next, live: undefined })} />
        <Button aria-pressed={live} icon={live ? 'pause' : 'play'} className="aria-pressed:bg-accent-soft aria-pressed:border-accent !h-8" onClick={() => set({ live: live ? undefined : true })}>
          Live
        </Button>
      </div>
      {chart && <Histogram data={chart} onZoom={onZoom} onWiden={onWiden} onFilter={(filter) => submit(addFilter(q, filter))} />}
      <Bar run={run} page={page} shown={isTable ? run.rows.length : events.length} total={counted && isWhole(counted) ? counted.count : undefined} tail={tail} />
      <div className="border-line bg-surface flex min-h-0 flex-1 border-t">
        {!isTable && showFields && (
          <div className={`flex min-h-0 ${page.event ? 'max-[100rem]:hidden' : ''}`}>
            <Facets data={facets.data} columns={columns} onFilter={onFilter} onColumn={onColumn} />
          </div>
        )}
        <div className="flex min-h-0 min-w-0 flex-1 flex-col">
          <Results run={run} page={page} events={events} tail={tail} cursor={cursor} open={open} onFilter={onFilter} onColumn={onColumn} onZoom={onZoom} older={older} rerun={rerun} submit={submit} />
        </div>
        {page.event && !isTable && <Detail id={page.event} events={events} columns={columns} onFilter={onFilter} onColumn={onColumn} onClose={close} />}
      </div>
    </div>
  )
}

interface Page {
  q: string
  from: string
  to: string
  live: boolean
  event: string | null
  columns: string[]
  set: (change: ExploreSearch, replace?: boolean) => void
}

/** The state of the page is its address. */
function usePage(): Page {
  const search = useSearch({ from: '/shell/explore' })
  const navigate = useNavigate()
  const set = useCallback(
    (change: { [K in keyof ExploreSearch]?: ExploreSearch[K] | undefined }, replace = false) =>
      void navigate({ to: '/explore', search: (old) => ({ ...old, ...change }) as ExploreSearch, replace }),
    [navigate],
  )
  const cols = search.cols
  const columns = useMemo(() => (cols === undefined ? COLUMNS : cols === '-' ? [] : cols.split(',').filter((name) => name !== '')), [cols])
  return {
    q: search.q ?? '',
    from: search.from ?? 'now-24h',
    to: search.to ?? (search.from === undefined ? 'now' : ''),
    live: search.live === true,
    event: search.event ?? null,
    columns,
    set: set as Page['set'],
  }
}

interface ResultsProps {
  run: Run
  page: Page
  events: LogEvent[]
  tail: ReturnType<typeof useLiveRows>
  cursor: string | null
  open: (id: string) => void
  onFilter: (field: string, value: unknown, negate: boolean) => void
  onColumn: (field: string) => void
  onZoom: (from: string, to: string) => void
  older: () => void
  rerun: () => void
  submit: (query: string) => void
}

function Results({ run, page, events, tail, cursor, open, onFilter, onColumn, onZoom, older, rerun, submit }: ResultsProps) {
  const lines = useMemo(() => (run.kind === 'table' ? linesOf(run.columns, run.rows) : null), [run.kind, run.columns, run.rows])
  if (run.state === 'error') return <ErrorBox error={run.error} retry={rerun} />
  const nothing = run.kind === 'table' ? run.rows.length === 0 : events.length === 0
  if (nothing) {
    if (run.state === 'running') return <Loading rows={14} />
    return <NoMatch query={page.q} from={page.from} to={page.to} live={page.live} onQuery={submit} onRange={(range) => page.set(range)} />
  }
  if (run.kind === 'table') {
    const columns = run.columns.length > 0 ? run.columns : Object.keys(run.rows[0] ?? {})
    return (
      <>
        {lines && <LineChart lines={lines} label={`${plural(lines.names.length, 'line')} over time; the table below has the numbers`} onZoom={onZoom} />}
        <ResultTable columns={columns} rows={run.rows} onFilter={(field, value) => submit(addFilter(splitPipe(page.q)[0], filterText(field, value)))} />
      </>
    )
  }
  const foot =
    run.state === 'running' ? 'Loading older events' : run.exhausted ? 'No older event matches in this time range' : run.state === 'done' && !canGoOn(run) ? 'More events match than are shown' : ''
  return (
    <EventTable
      events={events}
      columns={page.columns}
      cursor={cursor}
      onOpen={open}
      onFilter={onFilter}
      onColumn={onColumn}
      onTop={(top) => tail.setPaused(!top)}
      onEnd={older}
      foot={foot}
      liveCount={tail.events.length}
    />
  )
}

function Bar({ run, page, shown, total, tail }: { run: Run; page: Page; shown: number; total: number | undefined; tail: ReturnType<typeof useLiveRows> }) {
  const { wrap } = usePrefs()
  const question = { query: page.q, from: page.from, to: page.to }
  const words =
    run.kind === 'table' ? plural(shown, 'row') : total !== undefined && !page.live && total > shown ? `${count(shown)} of ${plural(total, 'event')} loaded` : plural(Math.max(shown, 0), 'event')
  return (
    <div className="flex h-8 items-center gap-3 px-4">
      <p role="status" className="text-sm whitespace-nowrap">
        <span className="font-semibold">{words}</span>{' '}
        <span className="text-muted">
          {run.state === 'running' ? <Progress run={run} /> : run.state === 'cancelled' ? 'cancelled, partial' : run.state === 'done' ? `in ${Math.max(1, Math.round(run.ms))} ms` : ''}
        </span>
      </p>
      {page.live && run.kind === 'table' && <span className="text-muted text-sm">Live shows events, not tables: remove the pipe to follow them.</span>}
      {tail.pending > 0 && (
        <button
          type="button"
          className="bg-accent text-on-accent h-6 rounded px-2 text-sm font-semibold"
          onClick={() => {
            document.querySelector('[role=table][aria-label=Events] > [tabindex]')?.scrollTo({ top: 0 })
            tail.setPaused(false)
          }}
        >
          {plural(tail.pending, 'new event')}
        </button>
      )}
      {run.chartError !== null && <span className="text-sm">The chart is not complete: {run.chartError}</span>}
      {tail.refused && <span className="text-sm">Not followed live: eight other questions are live in this browser already</span>}
      {tail.dropped > 0 && <span className="text-sm">{count(tail.dropped)} arrived too fast to show; the search has them</span>}
      <div className="ml-auto flex items-center gap-1">
        <IconButton icon="wrap" label="Wrap long lines (w)" aria-pressed={wrap} onClick={() => setPrefs({ wrap: !wrap })} />
        <Saved query={page.q} from={page.from} to={page.to} onOpen={(search) => page.set({ ...search, event: undefined, live: undefined })} />
        <Menu
          className={buttonClass('ghost')}
          trigger={
            <>
              <Icon name="download" />
              Export
            </>
          }
          items={[
            { label: 'Download NDJSON', onSelect: () => void exportRows('ndjson', page.q, page.from, page.to) },
            { label: 'Download CSV', onSelect: () => void exportRows('csv', page.q, page.from, page.to) },
            { label: 'Download Parquet', onSelect: () => void exportRows('parquet', page.q, page.from, page.to) },
          ]}
        />
        <Menu
          className={buttonClass('ghost')}
          trigger={
            <>
              <Icon name="copy" />
              Copy as
            </>
          }
          items={[
            { label: 'cURL', onSelect: () => void copyText(asCurl(location.origin, question), 'the cURL command') },
            { label: 'CLI command', onSelect: () => void copyText(asCli(location.origin, question), 'the CLI command') },
            { label: 'Link to this page', onSelect: () => void copyText(location.href, 'the link') },
            { label: 'Link with fixed times', onSelect: () => void copyText(fixedLink(page), 'the link with fixed times') },
          ]}
        />
      </div>
    </div>
  )
}

/** How far a run is. The share can be read, but each step of it is not announced. */
function Progress({ run }: { run: Run }) {
  const { doing, share } = progressOf(run)
  return (
    <>
      {doing}
      <span aria-live="off">, {percent(share)}</span>
    </>
  )
}

/** The address with relative times resolved now, for a case or a colleague. */
function fixedLink(page: Page): string {
  const url = new URL(location.href)
  const now = Date.now()
  for (const key of ['from', 'to'] as const) {
    const ms = page[key] === '' ? null : resolveTime(page[key], now)
    if (ms !== null) url.searchParams.set(key, new Date(ms).toISOString())
  }
  url.searchParams.delete('live')
  return url.href
}

interface DetailProps {
  id: string
  events: LogEvent[]
  columns: string[]
  onFilter: (field: string, value: unknown, negate: boolean) => void
  onColumn: (field: string) => void
  onClose: () => void
}

function Detail({ id, events, columns, onFilter, onColumn, onClose }: DetailProps) {
  const [tab, setTab] = useState('table')
  const here = useMemo(() => events.find((event) => String(event['event.id']) === id), [events, id])
  const remote = useQuery({ queryKey: ['event', id], queryFn: ({ signal }) => get<LogEvent>(`/events/${encodeURIComponent(id)}`, signal), enabled: here === undefined })
  const event = here ?? remote.data
  return (
    <Panel label="Event detail">
      <div className="border-line flex h-7 items-center gap-2 border-b pr-1 pl-3">
        <h2>
          Event <span className="data font-normal">{id}</span>
        </h2>
        <IconButton icon="close" label="Close the detail (Esc)" className="ml-auto" onClick={onClose} />
      </div>
      {remote.error && !here ? (
        <ErrorBox error={remote.error} />
      ) : event ? (
        <EventDetail event={event} tab={tab} onTab={setTab} onFilter={onFilter} columns={columns} onColumn={onColumn} />
      ) : (
        <Loading />
      )}
    </Panel>
  )
}

/** Live rows first; an event that the search has too is shown once. */
function merge(live: LogEvent[], found: LogEvent[]): LogEvent[] {
  if (live.length === 0) return found
  const seen = new Set(live.map((event) => event['event.id']))
  return [...live, ...found.filter((event) => !seen.has(event['event.id']))]
}
