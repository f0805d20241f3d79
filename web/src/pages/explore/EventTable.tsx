/** Events, newest first, in virtual rows; one shared field menu for all cells. */
import { useVirtualizer } from '@tanstack/react-virtual'
import { memo, type KeyboardEvent, type MouseEvent, useEffect, useRef, useState } from 'react'
import type { Level, LogEvent } from '@/api/types'
import { FieldValue } from '@/components/FieldValue'
import { AnchoredMenu, type MenuItem } from '@/components/Menu'
import { levelColour, levelOfNumber, levelWord, SeverityShape } from '@/components/Severity'
import { copyText, IconButton } from '@/components/ui'
import { textOf, visible } from '@/lib/escape'
import { usePrefs } from '@/lib/prefs'
import { filterText } from '@/lib/query'
import { formatTime, type Zone, zoneLabel } from '@/lib/time'

interface Props {
  events: LogEvent[]
  columns: string[]
  cursor: string | null
  onOpen: (id: string) => void
  onFilter: (field: string, value: unknown, negate: boolean) => void
  onColumn: (field: string) => void
  /** True while the reader looks at the newest row. */
  onTop: (top: boolean) => void
  onEnd: () => void
  foot: string
  /** Rows above this index came by the live tail. */
  liveCount: number
}

interface Target {
  element: Element
  field: string
  event: LogEvent
}

const ROW_PX = 24

export function EventTable(props: Props) {
  const { events, columns, cursor, onOpen, onTop, onEnd } = props
  const { zone, wrap } = usePrefs()
  const scroller = useRef<HTMLDivElement>(null)
  const [target, setTarget] = useState<Target | null>(null)
  const rows = useVirtualizer({
    count: events.length,
    getScrollElement: () => scroller.current,
    estimateSize: () => ROW_PX,
    overscan: 10,
    getItemKey: (index) => eventId(events[index], index),
  })
  useEffect(() => rows.measure(), [wrap, rows])
  useEffect(() => {
    const index = cursor === null ? -1 : events.findIndex((event) => String(event['event.id']) === cursor)
    if (index >= 0) rows.scrollToIndex(index, { align: 'auto' })
    // Only when the cursor moves: new rows must not push the reader around.
    // oxlint-disable-next-line react/exhaustive-deps
  }, [cursor])
  const items = rows.getVirtualItems()
  const lastShown = items.at(-1)?.index ?? 0
  useEffect(() => {
    if (events.length > 0 && lastShown >= events.length - 20) onEnd()
  }, [lastShown, events.length, onEnd])

  const find = (element: Element): Target | null => {
    const cell = element.closest('[data-f]')
    const row = element.closest('[data-row]')
    const event = events[Number(row?.getAttribute('data-row'))]
    return cell && event ? { element: cell, field: cell.getAttribute('data-f') ?? '', event } : null
  }
  const onClick = (event: MouseEvent) => {
    const row = (event.target as Element).closest('[data-row]')
    if (!row || (window.getSelection()?.toString() ?? '') !== '') return
    const found = events[Number(row.getAttribute('data-row'))]
    if (found) onOpen(String(found['event.id']))
  }
  const onContextMenu = (event: MouseEvent) => {
    const found = find(event.target as Element)
    if (!found) return
    event.preventDefault()
    setTarget(found)
  }
  const onKeyDown = (event: KeyboardEvent) => {
    if (!(event.key === 'F10' && event.shiftKey) && event.key !== 'ContextMenu') return
    const cell = scroller.current?.querySelector('[data-selected] [data-f]:last-child')
    const found = cell && find(cell)
    if (!found) return
    event.preventDefault()
    setTarget(found)
  }
  const template = { gridTemplateColumns: gridColumns(columns) }
  return (
    <>
    <div role="table" aria-label="Events" aria-rowcount={events.length + 1} className="flex min-h-0 min-w-0 flex-1 flex-col overflow-x-auto">
      <div role="rowgroup" className="shrink-0" style={{ minWidth: minWidth(columns) }}>
        <div role="row" aria-rowindex={1} className="border-line text-muted grid h-7 items-center gap-x-3 border-b pr-3 pl-3 text-sm" style={template}>
          <span role="columnheader">Time, {zoneLabel(zone)}</span>
          {columns.map((column) => (
            <span key={column} role="columnheader" className="group flex min-w-0 items-center">
              <span className="truncate">{visible(column)}</span>
              <span className="opacity-60 group-hover:opacity-100">
                <IconButton icon="close" label={`Remove column ${visible(column)}`} onClick={() => props.onColumn(column)} />
              </span>
            </span>
          ))}
          <span role="columnheader">Event</span>
        </div>
      </div>
      <div
        ref={scroller}
        role="rowgroup"
        tabIndex={0}
        aria-label="Rows: Enter opens, Shift+F10 shows the field menu"
        className="min-h-0 flex-1 overflow-y-auto"
        style={{ minWidth: minWidth(columns) }}
        onClick={onClick}
        onContextMenu={onContextMenu}
        onKeyDown={onKeyDown}
        onScroll={(event) => onTop(event.currentTarget.scrollTop < ROW_PX)}
      >
        <div role="presentation" className="relative" style={{ height: rows.getTotalSize() + ROW_PX }}>
          {items.map((item) => {
            const event = events[item.index]
            if (!event) return null
            const id = String(event['event.id'])
            return (
              <div
                key={item.key}
                ref={wrap ? rows.measureElement : undefined}
                data-index={item.index}
                data-row={item.index}
                role="row"
                aria-rowindex={item.index + 2}
                data-selected={id === cursor || undefined}
                className={`border-line/60 hover:bg-bg data-selected:bg-accent-soft data absolute inset-x-0 grid cursor-default gap-x-3 border-b pr-3 pl-3 ${wrap ? 'min-h-6 items-start py-0.5' : 'h-6 items-center'} ${item.index < props.liveCount ? 'row-new' : ''}`}
                style={{ ...template, transform: `translateY(${item.start}px)` }}
              >
                <Cells event={event} columns={columns} zone={zone} wrap={wrap} />
              </div>
            )
          })}
          <p className="text-muted absolute inset-x-0 h-6 pl-3 leading-6" style={{ transform: `translateY(${rows.getTotalSize()}px)` }}>
            {props.foot}
          </p>
        </div>
      </div>
    </div>
    <FieldMenu target={target} onClose={() => setTarget(null)} {...props} />
    </>
  )
}

const Cells = memo(function Cells({ event, columns, zone, wrap }: { event: LogEvent; columns: string[]; zone: Zone; wrap: boolean }) {
  const level = notable(levelOfNumber(event['event.severity']))
  const cut = wrap ? 'break-all whitespace-pre-wrap' : 'truncate'
  const time = String(event['@timestamp'] ?? '')
  return (
    <>
      <span role="cell" className="flex items-center gap-2 whitespace-nowrap" data-f="@timestamp">
        <span className={level ? levelColour(level) : 'invisible'} title={level ? levelWord(level) : undefined}>
          <SeverityShape level={level ?? 'low'} size={8} />
          <span className="sr-only">{level ? levelWord(level) : ''}</span>
        </span>
        {formatTime(time, zone)}
      </span>
      {columns.map((column) => (
        <span key={column} role="cell" className={`min-w-0 ${cut}`} data-f={column}>
          <FieldValue value={event[column]} limit={wrap ? 2_000 : 300} />
        </span>
      ))}
      <span role="cell" className={`min-w-0 ${cut}`} data-f="message">
        <FieldValue value={summary(event)} limit={wrap ? 4_000 : 600} />
      </span>
    </>
  )
})

/** Most events are only informational: marking those too would hide the others. */
function notable(level: Level | null): Level | null {
  return level === 'informational' ? null : level
}

/** What one line says: the message, else the record as it came. */
export function summary(event: LogEvent): unknown {
  const { message } = event
  return typeof message === 'string' && message !== '' ? message : event['event.original']
}

function FieldMenu({ target, onClose, onFilter, onColumn, columns }: { target: Target | null; onClose: () => void } & Props) {
  const field = target?.field ?? ''
  const value = target?.event[field]
  const items: MenuItem[] = [
    { label: 'Filter for this value', onSelect: () => onFilter(field, value, false) },
    { label: 'Filter out this value', onSelect: () => onFilter(field, value, true) },
    { label: 'Only events with this field', onSelect: () => onFilter(field, '', true) },
    { label: columns.includes(field) ? 'Remove the column' : 'Add as a column', onSelect: () => onColumn(field) },
    { label: 'Copy the value', onSelect: () => void copyText(textOf(value), 'the value') },
    { label: 'Copy as a filter', onSelect: () => void copyText(filterText(field, value), 'the filter') },
  ]
  return <AnchoredMenu anchor={target?.element ?? null} title={<span className="data">{visible(field)}</span>} items={items} onClose={onClose} />
}

function gridColumns(columns: string[]): string {
  return `13.2rem ${columns.map((column) => (column === 'event.source' || column === 'host.name' ? '7rem' : 'minmax(6rem, 11rem)')).join(' ')} minmax(16rem, 1fr)`
}

function minWidth(columns: string[]): string {
  return `${32 + columns.length * 7.500}rem`
}

function eventId(event: LogEvent | undefined, index: number): string {
  return String(event?.['event.id'] ?? `row-${index}`)
}
