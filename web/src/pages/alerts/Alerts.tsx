/** The queue: which alert to take next. */
import { useQuery } from '@tanstack/react-query'
import { Link, useNavigate, useSearch } from '@tanstack/react-router'
import { useVirtualizer } from '@tanstack/react-virtual'
import { useEffect, useMemo, useRef, useState } from 'react'
import { alerts as alertsQuery } from '@/api/queries'
import type { Alert, Level } from '@/api/types'
import type { AlertsSearch } from '@/app/router'
import { EntityText } from '@/components/EntityLink'
import { LEVELS, levelWord, Severity } from '@/components/Severity'
import { Ago, Time } from '@/components/Time'
import { Button, buttonClass, Empty, ErrorBox, IconButton, Loading, PageHeader, selectClass, Title } from '@/components/ui'
import { visible } from '@/lib/escape'
import { isControl, useKeys } from '@/lib/keys'
import { count, plural } from '@/lib/number'
import { usePrefs } from '@/lib/prefs'
import { zoneLabel } from '@/lib/time'
import { verdictWord } from './verdict'
import { VerdictDialog } from './VerdictDialog'

const GRID = 'grid grid-cols-[5.5rem_minmax(20rem,3fr)_minmax(9rem,1.2fr)_3.5rem_9.2rem_5rem_minmax(9rem,1fr)_6.5rem] gap-x-3 px-4'
const ROW_PX = 30
const LIMIT = 1_000

export default function Alerts() {
  const search = useSearch({ from: '/shell/alerts' })
  const navigate = useNavigate()
  const status = search.status ?? 'open'
  const { data, error, refetch } = useQuery(
    alertsQuery({ status: status === 'all' ? undefined : status, severity: search.severity, rule: search.rule, entity: search.entity }, LIMIT),
  )
  const [selected, setSelected] = useState<string | null>(null)
  const [closing, setClosing] = useState<Alert | null>(null)
  const list = useMemo(() => data ?? [], [data])
  const index = list.findIndex((alert) => alert.id === selected)
  const current = list[index]
  const move = (step: number) => {
    const next = list[Math.max(0, Math.min(list.length - 1, index < 0 ? 0 : index + step))]
    if (next) setSelected(next.id)
  }
  const open = () => current && void navigate({ to: '/alerts/$id', params: { id: current.id } })
  useKeys({
    j: () => move(1),
    k: () => move(-1),
    o: open,
    Enter: (event) => {
      if (isControl(event.target)) (event.target as HTMLElement).click()
      else open()
    },
    e: () => current?.status === 'open' && setClosing(current),
    r: () => void refetch(),
    Escape: () => setSelected(null),
  })
  const words = `${plural(list.length, `${status === 'all' ? '' : `${status} `}${search.severity ? `${levelWord(search.severity).toLowerCase()} ` : ''}alert`)}${list.length === LIMIT ? ' or more' : ''}`
  return (
    <div className="flex h-full flex-col">
      <Title>{data ? words : 'Alerts'}</Title>
      <PageHeader title="Alerts" note={data && words}>
        <Button icon="check" disabled={current?.status !== 'open'} onClick={() => current && setClosing(current)}>
          Close with verdict
        </Button>
      </PageHeader>
      <Filters search={search} />
      {error ? <ErrorBox error={error} retry={() => void refetch()} /> : !data ? <Loading rows={12} /> : list.length === 0 ? <NoAlerts search={search} /> : (
        <Table alerts={list} selected={selected} onSelect={setSelected} />
      )}
      {closing && <VerdictDialog alert={closing} onClose={() => setClosing(null)} />}
    </div>
  )
}

function Filters({ search }: { search: AlertsSearch }) {
  const navigate = useNavigate()
  const set = (change: Partial<Record<keyof AlertsSearch, string | undefined>>) =>
    void navigate({ to: '/alerts', search: { ...search, ...change } as AlertsSearch, replace: true })
  const status = search.status ?? 'open'
  return (
    <div className="border-line flex flex-wrap items-center gap-2 border-b px-4 pb-2" role="group" aria-label="Filters">
      <div className="border-line-strong flex h-7 overflow-hidden rounded border">
        {(['open', 'closed', 'all'] as const).map((each) => (
          <button
            key={each}
            type="button"
            aria-pressed={status === each}
            className="aria-pressed:bg-accent-soft border-line text-muted aria-pressed:text-text h-full border-l px-2.5 first:border-l-0 aria-pressed:font-semibold"
            onClick={() => set({ status: each === 'open' ? undefined : each })}
          >
            {each[0]?.toUpperCase() + each.slice(1)}
          </button>
        ))}
      </div>
      <select aria-label="Severity" className={selectClass} value={search.severity ?? ''} onChange={(event) => set({ severity: event.target.value || undefined })}>
        <option value="">Any severity</option>
        {LEVELS.map((level: Level) => (
          <option key={level} value={level}>
            {levelWord(level)}
          </option>
        ))}
      </select>
      <form
        className="w-64"
        onSubmit={(event) => {
          event.preventDefault()
          set({ entity: String(new FormData(event.currentTarget).get('entity')).trim() || undefined })
        }}
      >
        <input
          data-searchbox
          key={search.entity ?? ''}
          name="entity"
          aria-label="Entity"
          placeholder="Entity: user, host or address"
          defaultValue={search.entity ?? ''}
          className="border-line-strong bg-surface placeholder:text-muted h-7 w-full rounded border px-2"
        />
      </form>
      {search.rule && <FilterChip label={`rule ${search.rule}`} onRemove={() => set({ rule: undefined })} />}
      {search.entity && <FilterChip label={`entity ${search.entity}`} onRemove={() => set({ entity: undefined })} />}
      {(search.rule || search.entity || search.severity) && (
        <Link to="/alerts" search={search.status ? { status: search.status } : {}} className="ml-1">
          Clear filters
        </Link>
      )}
    </div>
  )
}

function FilterChip({ label, onRemove }: { label: string; onRemove: () => void }) {
  return (
    <span className="border-line bg-accent-soft inline-flex h-7 max-w-72 items-center gap-1 rounded border pl-2">
      <span className="truncate">{visible(label)}</span>
      <IconButton icon="close" label={`Remove filter ${visible(label)}`} onClick={onRemove} />
    </span>
  )
}

function Table({ alerts, selected, onSelect }: { alerts: Alert[]; selected: string | null; onSelect: (id: string) => void }) {
  const { zone } = usePrefs()
  const scroller = useRef<HTMLDivElement>(null)
  const rows = useVirtualizer({ count: alerts.length, getScrollElement: () => scroller.current, estimateSize: () => ROW_PX, overscan: 12 })
  useEffect(() => {
    const index = alerts.findIndex((alert) => alert.id === selected)
    if (index >= 0) rows.scrollToIndex(index, { align: 'auto' })
  }, [selected, alerts, rows])
  return (
    <div role="table" aria-label="Alerts" aria-rowcount={alerts.length + 1} className="bg-surface flex min-h-0 flex-1 flex-col overflow-x-auto">
      <div role="rowgroup" className="min-w-[70rem] shrink-0">
        <div role="row" aria-rowindex={1} className={`${GRID} border-line text-muted h-7 items-center border-b text-sm`}>
          {['Severity', 'What happened', 'Entity'].map((name) => (
            <span key={name} role="columnheader">
              {name}
            </span>
          ))}
          <span role="columnheader" className="text-right">
            Count
          </span>
          <span role="columnheader">First seen, {zoneLabel(zone)}</span>
          <span role="columnheader">Last seen</span>
          <span role="columnheader">Technique, tactic</span>
          <span role="columnheader">Status</span>
        </div>
      </div>
      <div ref={scroller} role="rowgroup" tabIndex={0} aria-label="Rows" className="min-h-0 min-w-[70rem] flex-1 overflow-y-auto">
        <div style={{ height: rows.getTotalSize() }} role="presentation" className="relative">
          {rows.getVirtualItems().map((item) => {
            const alert = alerts[item.index]
            return alert && <Row key={alert.id} alert={alert} index={item.index} top={item.start} selected={alert.id === selected} onSelect={onSelect} />
          })}
        </div>
      </div>
    </div>
  )
}

function Row({ alert, index, top, selected, onSelect }: { alert: Alert; index: number; top: number; selected: boolean; onSelect: (id: string) => void }) {
  return (
    <div
      role="row"
      aria-rowindex={index + 2}
      data-selected={selected || undefined}
      onClick={() => onSelect(alert.id)}
      className={`${GRID} border-line hover:bg-bg data-selected:bg-accent-soft absolute inset-x-0 items-center border-b`}
      style={{ height: ROW_PX, transform: `translateY(${top}px)` }}
    >
      <span role="cell">
        <Severity level={alert.severity} />
      </span>
      <span role="cell" className="flex min-w-0 items-baseline gap-2">
        <Link to="/alerts/$id" params={{ id: alert.id }} className="text-text max-w-3/4 shrink-0 truncate font-semibold hover:underline" title={visible(alert.rule.title)}>
          {visible(alert.rule.title)}
        </Link>
        <span className="text-muted truncate text-sm" title={visible(alert.summary)}>
          {visible(alert.summary)}
        </span>
      </span>
      <span role="cell" className="min-w-0 truncate">
        <EntityText entity={alert.entity} />
      </span>
      <span role="cell" className="text-right">
        {count(alert.count)}
      </span>
      <span role="cell">
        <Time at={alert.first_seen} />
      </span>
      <span role="cell" className="text-sm">
        <Ago at={alert.last_seen} />
      </span>
      <span role="cell" className="truncate text-sm">
        {alert.attack.techniques[0] ? visible(alert.attack.techniques[0]) : ''}{' '}
        <span className="text-muted">{alert.attack.tactics[0] ? visible(alert.attack.tactics[0]).replaceAll('-', ' ') : ''}</span>
      </span>
      <span role="cell" className="truncate text-sm">
        {alert.status === 'open' ? 'Open' : `Closed, ${verdictWord(alert.verdict)}`}
      </span>
    </div>
  )
}

function NoAlerts({ search }: { search: AlertsSearch }) {
  const filtered = search.severity || search.rule || search.entity || search.status === 'closed'
  if (filtered) {
    return (
      <Empty title="No alert matches these filters">
        <Link to="/alerts" search={{ status: 'all' }} className={buttonClass()}>
          Show all alerts
        </Link>
      </Empty>
    )
  }
  return (
    <Empty icon="check" title="No alert is open">
      <p>Every rule is checked against each event as it arrives. New alerts appear here by themselves.</p>
      <Link to="/rules" className={buttonClass()}>
        See the rules
      </Link>
    </Empty>
  )
}
