/** One event as a table of fields, as JSON, as it came, and what rules say of it. */
import { useMemo } from 'react'
import type { LogEvent } from '@/api/types'
import { textOf, visible } from '@/lib/escape'
import { EventRules } from './EventRules'
import { FieldValue } from './FieldValue'
import { Tabs } from './Tabs'
import { Copy, IconButton } from './ui'

interface Props {
  event: LogEvent
  tab?: string
  onTab?: (tab: string) => void
  onFilter?: (field: string, value: unknown, negate: boolean) => void
  columns?: string[]
  onColumn?: (field: string) => void
  /** Fields that made a rule fire are marked. */
  marked?: ReadonlySet<string>
}

const FIRST = ['@timestamp', 'event.source', 'host.name', 'message']
const LAST = ['event.original', 'event.id', 'event.ingested', 'event.attribute_kinds']

export function EventDetail({ event, tab, onTab, onFilter, columns, onColumn, marked }: Props) {
  const names = useMemo(() => sortNames(Object.keys(event)), [event])
  const json = useMemo(() => JSON.stringify(Object.fromEntries(names.map((name) => [name, event[name]])), null, 2), [event, names])
  const id = textOf(event['event.id'])
  const original = event['event.original']
  const raw = typeof original === 'string' ? original : ''
  const table = (
    <div className="min-h-0 flex-1 overflow-auto" tabIndex={0} role="region" aria-label="Fields of the event">
      <table className="w-full table-fixed border-collapse">
        <colgroup>
          <col className="w-42" />
          <col />
          <col className={onFilter ? 'w-20' : 'w-9'} />
        </colgroup>
        <thead className="sr-only">
          <tr>
            <th scope="col">Field</th>
            <th scope="col">Value</th>
            <th scope="col">Actions</th>
          </tr>
        </thead>
        <tbody>
          {names.map((name) => (
            <tr key={name} className="border-line group hover:bg-accent-soft border-b align-top">
              <th scope="row" className="data text-muted py-[3px] pl-3 text-left font-normal break-words">
                {marked?.has(name) && (
                  <span className="text-accent" title="Made the rule fire" aria-label="Made the rule fire">
                    ▸{' '}
                  </span>
                )}
                {visible(name)}
              </th>
              <td className="data py-[3px] pl-2 break-all" data-field={name}>
                <FieldValue value={event[name]} limit={2_000} />
              </td>
              <td className="py-0 pr-1 text-right whitespace-nowrap">
                <span className="inline-flex opacity-60 group-focus-within:opacity-100 group-hover:opacity-100">
                  {onFilter && (
                    <>
                      <IconButton icon="plus" label={`Filter for ${visible(name)}`} onClick={() => onFilter(name, event[name], false)} />
                      <IconButton icon="minus" label={`Filter out ${visible(name)}`} onClick={() => onFilter(name, event[name], true)} />
                    </>
                  )}
                  {onColumn && (
                    <IconButton icon="columns" label={`Column ${visible(name)}`} aria-pressed={columns?.includes(name) ?? false} onClick={() => onColumn(name)} />
                  )}
                  {!onFilter && <Copy text={String(event[name])} what={visible(name)} />}
                </span>
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  )
  const tabs = [
    { id: 'table', label: 'Table', body: table },
    { id: 'json', label: 'JSON', body: <Pre text={json} label="Event as JSON" /> },
    { id: 'raw', label: 'Raw', body: raw === '' ? <p className="text-muted p-3">This event has no original text.</p> : <Pre text={raw} label="Event as it came" /> },
    ...(id === '' ? [] : [{ id: 'rules', label: 'Rules', body: <EventRules id={id} /> }]),
  ]
  return <Tabs label="Event" tabs={tabs} {...(tab ? { value: tab } : {})} {...(onTab ? { onChange: onTab } : {})} aside={<Copy text={tab === 'raw' ? raw : json} what="the event" />} />
}

function Pre({ text, label }: { text: string; label: string }) {
  return (
    <pre tabIndex={0} role="region" aria-label={label} className="data min-h-0 flex-1 overflow-auto p-3 break-all whitespace-pre-wrap">
      <FieldValue value={text} multiline limit={100_000} />
    </pre>
  )
}

function sortNames(names: string[]): string[] {
  const rank = (name: string) => (FIRST.includes(name) ? FIRST.indexOf(name) - 100 : LAST.includes(name) ? 100 + LAST.indexOf(name) : 0)
  return names.toSorted((a, b) => rank(a) - rank(b) || a.localeCompare(b))
}
