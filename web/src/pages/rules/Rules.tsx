/** What is detected: every rule that is loaded, those that are switched off, and those that cannot be used. */
import { useQuery } from '@tanstack/react-query'
import { Link, useNavigate, useSearch } from '@tanstack/react-router'
import { useVirtualizer } from '@tanstack/react-virtual'
import { useMemo, useRef, useState } from 'react'
import { rules as rulesQuery } from '@/api/queries'
import type { Rule, Throttled } from '@/api/types'
import { Icon } from '@/components/Icon'
import { LEVELS, levelWord, Severity } from '@/components/Severity'
import { Button, buttonClass, Chip, Empty, ErrorBox, Loading, PageHeader, Title } from '@/components/ui'
import { visible } from '@/lib/escape'
import { isControl, useKeys } from '@/lib/keys'
import { count, plural } from '@/lib/number'
import { BehindChip, behindOf, useThrottled } from './Behind'
import { ProblemsBanner } from './Problems'
import { tactics, techniques } from './tags'
import { logSource, ORIGIN_WORD } from './words'

const GRID = 'grid grid-cols-[5.5rem_minmax(14rem,1fr)_minmax(9rem,14rem)_minmax(8rem,13rem)_7rem_5.5rem_6rem_4rem] gap-x-3 px-4'
const ROW_PX = 30

export default function Rules() {
  const { q = '' } = useSearch({ from: '/shell/rules' })
  const navigate = useNavigate()
  const { data: answer, error, refetch } = useQuery(rulesQuery)
  const data = answer?.rules
  const throttled = useThrottled()
  const [selected, setSelected] = useState<string | null>(null)
  const scroller = useRef<HTMLDivElement>(null)
  const list = useMemo(() => filter(data ?? [], q), [data, q])
  const rows = useVirtualizer({ count: list.length, getScrollElement: () => scroller.current, estimateSize: () => ROW_PX, overscan: 10 })
  const move = (step: number) => {
    const index = list.findIndex((rule) => rule.id === selected)
    const at = Math.max(0, Math.min(list.length - 1, index < 0 ? 0 : index + step))
    const next = list[at]
    if (!next) return
    setSelected(next.id)
    rows.scrollToIndex(at, { align: 'auto' })
  }
  const open = () => selected && void navigate({ to: '/rules/$id', params: { id: selected } })
  useKeys({
    j: () => move(1),
    k: () => move(-1),
    o: open,
    Enter: (event) => {
      if (isControl(event.target)) (event.target as HTMLElement).click()
      else open()
    },
  })
  const setQuery = (next: string) => void navigate({ to: '/rules', search: next === '' ? {} : { q: next }, replace: true })
  return (
    <div className="flex h-full flex-col">
      <Title>Rules</Title>
      <PageHeader title="Rules" note={data && noteOf(data, list, q)}>
        <input
          data-searchbox
          aria-label="Find a rule"
          placeholder="Title, tag, log source, origin, off"
          className="border-line-strong bg-surface placeholder:text-muted h-7 w-72 rounded border px-2"
          value={q}
          onChange={(event) => setQuery(event.target.value)}
        />
        <Link to="/rules/new" className={buttonClass('primary')}>
          <Icon name="plus" />
          New rule
        </Link>
      </PageHeader>
      {answer && <ProblemsBanner problems={answer.problems} />}
      {error ? (
        <ErrorBox error={error} retry={() => void refetch()} />
      ) : !data ? (
        <Loading rows={12} />
      ) : list.length === 0 ? (
        <Empty title={data.length === 0 ? 'No rule is loaded' : 'No rule matches'}>
          {q !== '' && <Button onClick={() => setQuery('')}>Show all rules</Button>}
        </Empty>
      ) : (
        <div role="table" aria-label="Rules" aria-rowcount={list.length + 1} className="bg-surface flex min-h-0 flex-1 flex-col overflow-x-auto">
          <div role="rowgroup" className="border-line min-w-[67rem] shrink-0 border-t">
            <div role="row" aria-rowindex={1} className={`${GRID} border-line text-muted h-7 items-center border-b text-sm`}>
              {['Level', 'Title', 'Log source', 'Tactic', 'Technique', 'Kind', 'Origin'].map((name) => (
                <span key={name} role="columnheader">
                  {name}
                </span>
              ))}
              <span role="columnheader" className="text-right">
                Alerts
              </span>
            </div>
          </div>
          <div ref={scroller} role="rowgroup" tabIndex={0} aria-label="Rows" className="min-h-0 min-w-[67rem] flex-1 overflow-y-auto">
            <div role="presentation" className="relative" style={{ height: rows.getTotalSize() }}>
              {rows.getVirtualItems().map((item) => {
                const rule = list[item.index]
                return rule && <Row key={rule.id} rule={rule} behind={behindOf(rule, throttled)} index={item.index} top={item.start} selected={rule.id === selected} onSelect={setSelected} />
              })}
            </div>
          </div>
        </div>
      )}
    </div>
  )
}

interface RowProps {
  rule: Rule
  behind: Throttled | undefined
  index: number
  top: number
  selected: boolean
  onSelect: (id: string) => void
}

function Row({ rule, behind, index, top, selected, onSelect }: RowProps) {
  return (
    <div
      role="row"
      aria-rowindex={index + 2}
      data-selected={selected || undefined}
      data-off={rule.off ? true : undefined}
      onClick={() => onSelect(rule.id)}
      className={`${GRID} ${rule.off ? 'text-muted' : ''} border-line hover:bg-bg data-selected:bg-accent-soft absolute inset-x-0 items-center border-b`}
      style={{ height: ROW_PX, transform: `translateY(${top}px)` }}
    >
      <span role="cell">
        {rule.off ? <span className="px-1.5 text-sm">{levelWord(rule.level)}</span> : <Severity level={rule.level} />}
      </span>
      <span role="cell" className="flex min-w-0 items-center gap-2">
        <Link
          to="/rules/$id"
          params={{ id: rule.id }}
          className={`truncate hover:underline ${rule.off ? 'text-muted' : 'text-text font-semibold'}`}
          title={visible(rule.off ? `Off: ${rule.off.reason}` : rule.description)}
        >
          {visible(rule.title)}
        </Link>
        {rule.off && <Chip className="shrink-0">off</Chip>}
        {behind && <BehindChip behind={behind} />}
      </span>
      <span role="cell" className="text-muted data truncate">
        {logSource(rule)}
      </span>
      <span role="cell" className="truncate text-sm">
        {tactics(rule.tags).join(', ')}
      </span>
      <span role="cell" className="data truncate">
        {techniques(rule.tags).join(' ')}
      </span>
      <span role="cell" className="text-sm">
        {rule.kind}
      </span>
      <span role="cell" className="text-sm">
        {ORIGIN_WORD[rule.origin]}
      </span>
      <span role="cell" className="text-right">
        {rule.alerts > 0 ? (
          <Link to="/alerts" search={{ status: 'all', rule: rule.id }} className="inline-block h-6 px-1 leading-6" aria-label={`${plural(rule.alerts, 'alert')} of ${visible(rule.title)}`}>
            {count(rule.alerts)}
          </Link>
        ) : (
          <span className="text-muted">0</span>
        )}
      </span>
    </div>
  )
}

function noteOf(all: Rule[], list: Rule[], query: string): string {
  const off = all.filter((rule) => rule.off).length
  if (query !== '') return `${count(list.length)} of ${plural(all.length, 'rule')}`
  return off === 0 ? plural(all.length, 'rule') : `${plural(all.length, 'rule')}, ${count(off)} off`
}

function filter(rules: Rule[], query: string): Rule[] {
  const words = query.toLowerCase().split(/\s+/).filter(Boolean)
  const text = (rule: Rule) => `${rule.title} ${rule.tags.join(' ')} ${logSource(rule)} ${rule.level} ${rule.kind} ${ORIGIN_WORD[rule.origin]} ${rule.off ? 'off' : 'on'} ${rule.id}`.toLowerCase()
  return rules
    .filter((rule) => words.every((word) => text(rule).includes(word)))
    .toSorted((a, b) => b.alerts - a.alerts || LEVELS.indexOf(a.level) - LEVELS.indexOf(b.level) || a.title.localeCompare(b.title))
}
