/** Rows of stats, timechart or fields; values of a field filter on click. */
import { useVirtualizer } from '@tanstack/react-virtual'
import { useMemo, useRef, useState } from 'react'
import type { Row } from '@/api/types'
import { FieldValue } from '@/components/FieldValue'
import { Icon } from '@/components/Icon'
import { visible } from '@/lib/escape'
import { count } from '@/lib/number'
import { usePrefs } from '@/lib/prefs'
import { formatTime } from '@/lib/time'

interface Props {
  columns: string[]
  rows: Row[]
  onFilter: (field: string, value: unknown) => void
}

const ROW_PX = 24

export function ResultTable({ columns, rows, onFilter }: Props) {
  const [sort, setSort] = useState<{ column: string; down: boolean } | null>(null)
  const { zone } = usePrefs()
  const scroller = useRef<HTMLDivElement>(null)
  const sorted = useMemo(() => (sort ? rows.toSorted((a, b) => compare(a[sort.column], b[sort.column]) * (sort.down ? -1 : 1)) : rows), [rows, sort])
  const virtual = useVirtualizer({ count: sorted.length, getScrollElement: () => scroller.current, estimateSize: () => ROW_PX, overscan: 10 })
  const numeric = useMemo(() => new Set(columns.filter((column) => rows.some((row) => typeof row[column] === 'number'))), [columns, rows])
  const max = useMemo(() => new Map([...numeric].map((column) => [column, Math.max(1, ...rows.slice(0, 5_000).map((row) => Number(row[column]) || 0))])), [numeric, rows])
  const template = { gridTemplateColumns: columns.map((column) => (numeric.has(column) ? 'minmax(7rem, 12rem)' : isTime(rows[0]?.[column]) ? '10rem' : 'minmax(10rem, 24rem)')).join(' ') }
  const width = { minWidth: `${columns.length * 9}rem` }
  return (
    <div role="table" aria-label="Result" aria-rowcount={rows.length + 1} className="flex min-h-0 flex-1 flex-col overflow-x-auto">
      <div role="rowgroup" className="shrink-0" style={width}>
        <div role="row" aria-rowindex={1} className="border-line grid h-7 items-center gap-x-4 border-b px-4" style={template}>
          {columns.map((column) => (
            <span key={column} role="columnheader" aria-sort={sort?.column === column ? (sort.down ? 'descending' : 'ascending') : 'none'} className={numeric.has(column) ? 'text-right' : ''}>
              <button
                type="button"
                className="text-muted hover:text-text inline-flex h-6 max-w-full items-center gap-1 text-sm"
                onClick={() => setSort({ column, down: sort?.column === column ? !sort.down : numeric.has(column) })}
              >
                <span className="truncate">{visible(column)}</span>
                {sort?.column === column && <Icon name={sort.down ? 'down' : 'up'} size={10} />}
              </button>
            </span>
          ))}
        </div>
      </div>
      <div ref={scroller} role="rowgroup" tabIndex={0} aria-label="Rows" className="min-h-0 flex-1 overflow-y-auto" style={width}>
        <div role="presentation" className="relative" style={{ height: virtual.getTotalSize() }}>
          {virtual.getVirtualItems().map((item) => {
            const row = sorted[item.index]
            return (
              row && (
                <div
                  key={item.key}
                  role="row"
                  aria-rowindex={item.index + 2}
                  className="border-line/60 hover:bg-bg data absolute inset-x-0 grid h-6 items-center gap-x-4 border-b px-4"
                  style={{ ...template, transform: `translateY(${item.start}px)` }}
                >
                  {columns.map((column) => (
                    <Cell key={column} column={column} value={row[column]} max={max.get(column)} time={isTime(row[column]) ? formatTime(String(row[column]), zone, 's') : null} onFilter={onFilter} />
                  ))}
                </div>
              )
            )
          })}
        </div>
      </div>
    </div>
  )
}

interface CellProps {
  column: string
  value: unknown
  max: number | undefined
  time: string | null
  onFilter: Props['onFilter']
}

function Cell({ column, value, max, time, onFilter }: CellProps) {
  if (typeof value === 'number') {
    const share = max ? Math.max(0, value / max) : 0
    return (
      <span role="cell" className="relative block text-right">
        <span className="bg-accent-soft absolute inset-y-[-2px] right-0 rounded-xs" style={{ width: `${share * 100}%` }} aria-hidden="true" />
        <span className="relative pr-1">{Number.isInteger(value) ? count(value) : value.toPrecision(6)}</span>
      </span>
    )
  }
  if (time !== null) {
    return (
      <span role="cell" className="truncate">
        {time}
      </span>
    )
  }
  return (
    <span role="cell" className="min-w-0">
      <button type="button" className="block h-6 w-full truncate text-left hover:underline" title={`Filter for ${visible(column)}`} onClick={() => onFilter(column, value)}>
        {value === null || value === undefined || value === '' ? <span className="text-muted">none</span> : <FieldValue value={value} limit={400} />}
      </button>
    </span>
  )
}

function compare(a: unknown, b: unknown): number {
  if (typeof a === 'number' && typeof b === 'number') return a - b
  return String(a ?? '').localeCompare(String(b ?? ''), 'en', { numeric: true })
}

function isTime(value: unknown): boolean {
  return typeof value === 'string' && /^\d{4}-\d\d-\d\dT\d\d:\d\d/.test(value)
}
