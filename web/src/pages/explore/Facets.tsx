/** Fields of what matched: how often each is there, its top values, one click to filter for or out. */
import { useState } from 'react'
import type { Facet, Facets as Data } from '@/api/types'
import { FieldValue } from '@/components/FieldValue'
import { levelOfNumber, levelWord } from '@/components/Severity'
import { IconButton } from '@/components/ui'
import { textOf, visible } from '@/lib/escape'
import { count, percent, short } from '@/lib/number'

interface Props {
  data: Data | undefined
  columns: string[]
  onFilter: (field: string, value: unknown, negate: boolean) => void
  onColumn: (field: string) => void
}

/** Fields that an analyst asks for first; open at the start. */
const POPULAR = ['event.source', 'event.severity', 'event.action', 'event.outcome', 'source.ip', 'user.name', 'host.name']
const OPEN_FIRST = 4
const KIND: Record<string, string> = { text: 'Aa', long: '12', ip: 'IP', time: 'T', bool: '01', bytes: '0x' }
/** Different for nearly every event: top values say nothing. */
const HIDDEN = new Set(['@timestamp', 'event.id', 'event.ingested', 'event.original', 'event.attribute_kinds'])

export function Facets({ data, columns, onFilter, onColumn }: Props) {
  const [find, setFind] = useState('')
  const [toggled, setToggled] = useState<Record<string, boolean>>({})
  const fields = (data?.fields ?? []).filter((field) => !HIDDEN.has(field.name) && field.name.includes(find.trim().toLowerCase()))
  const popular = POPULAR.map((name) => fields.find((field) => field.name === name)).filter((field) => field !== undefined)
  const rest = fields.filter((field) => !POPULAR.includes(field.name))
  const openAtStart = new Set(popular.slice(0, OPEN_FIRST).map((field) => field.name))
  const item = (field: Facet) => (
    <Field
      key={field.name}
      field={field}
      open={toggled[field.name] ?? openAtStart.has(field.name)}
      onToggle={(open) => setToggled((old) => ({ ...old, [field.name]: open }))}
      column={columns.includes(field.name)}
      onFilter={onFilter}
      onColumn={onColumn}
    />
  )
  return (
    <aside aria-label="Fields" className="border-line flex w-60 shrink-0 flex-col border-r">
      <div className="border-line flex h-8 shrink-0 items-center gap-2 border-b pr-2 pl-4">
        <input
          aria-label="Find a field"
          placeholder={data ? `${data.fields.length} fields` : 'Fields'}
          value={find}
          onChange={(event) => setFind(event.target.value)}
          className="placeholder:text-muted h-6 min-w-0 flex-1 bg-transparent"
        />
        {data?.sampled && (
          <span className="text-muted text-xs whitespace-nowrap" title="Counted on the newest events only">
            newest {short(data.rows)}
          </span>
        )}
      </div>
      <div className="min-h-0 flex-1 overflow-y-auto pb-4" tabIndex={0} role="region" aria-label="Fields and values">
        {popular.length > 0 && <ul>{popular.map(item)}</ul>}
        {popular.length > 0 && rest.length > 0 && <p className="text-muted border-line mt-1 border-t px-4 pt-1.5 text-xs">All fields</p>}
        <ul>{rest.map(item)}</ul>
      </div>
    </aside>
  )
}

interface FieldProps {
  field: Facet
  open: boolean
  onToggle: (open: boolean) => void
  column: boolean
  onFilter: Props['onFilter']
  onColumn: Props['onColumn']
}

function Field({ field, open, onToggle, column, onFilter, onColumn }: FieldProps) {
  const total = field.values.reduce((sum, value) => sum + value.count, 0)
  const name = visible(field.name)
  return (
    <li className="group/field">
      <div className="flex h-6 items-center pr-2">
        <button
          type="button"
          aria-expanded={open}
          className="hover:bg-accent-soft flex h-6 min-w-0 flex-1 items-center gap-1.5 pl-4 text-left"
          title={`${name}: in ${percent(field.coverage)} of events, ${count(field.distinct)} different values`}
          onClick={() => onToggle(!open)}
        >
          <span className="text-muted w-4 shrink-0 font-mono text-xs">{KIND[field.kind] ?? 'Aa'}</span>
          <span className="data truncate">{name}</span>
          <span className="text-muted ml-auto pr-1 text-xs whitespace-nowrap">{percent(field.coverage)}</span>
        </button>
        <span className={column ? '' : 'opacity-0 group-focus-within/field:opacity-100 group-hover/field:opacity-100'}>
          <IconButton icon="columns" label={`Column ${name}`} aria-pressed={column} onClick={() => onColumn(field.name)} />
        </span>
      </div>
      {open && (
        <ul className="pb-1">
          {field.values.map((value) => (
            <Value key={textOf(value.value)} field={field.name} value={value.value} n={value.count} share={total > 0 ? value.count / total : 0} onFilter={onFilter} />
          ))}
          {field.distinct > field.values.length && <li className="text-muted pl-9 text-xs">and {short(field.distinct - field.values.length)} more</li>}
        </ul>
      )}
    </li>
  )
}

function Value({ field, value, n, share, onFilter }: { field: string; value: unknown; n: number; share: number; onFilter: Props['onFilter'] }) {
  const text = visible(textOf(value))
  const level = field === 'event.severity' ? levelOfNumber(value) : null
  return (
    <li className="group/value relative flex h-6 items-center pr-2 pl-9">
      <span className="bg-accent-soft absolute inset-y-0.5 left-8 rounded-xs" style={{ width: `calc((100% - 5.500rem) * ${share})` }} aria-hidden="true" />
      <button type="button" title={text} className="data relative min-w-0 flex-1 truncate text-left hover:underline" onClick={() => onFilter(field, value, false)}>
        {text === '' ? <span className="text-muted">empty</span> : <FieldValue value={value} limit={120} />}
        {level && <span className="text-muted"> {levelWord(level).toLowerCase()}</span>}
      </button>
      <span className="text-muted relative text-xs group-focus-within/value:hidden group-hover/value:hidden">{short(n)}</span>
      <span className="relative flex w-0 overflow-hidden group-focus-within/value:w-auto group-hover/value:w-auto">
        <IconButton icon="plus" label={`Filter for ${visible(field)} ${text}`} onClick={() => onFilter(field, value, false)} />
        <IconButton icon="minus" label={`Filter out ${visible(field)} ${text}`} onClick={() => onFilter(field, value, true)} />
      </span>
    </li>
  )
}
