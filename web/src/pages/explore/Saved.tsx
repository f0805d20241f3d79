/** Searches that are kept under a name: save the one of the page, open another, see how schedules do. */
import { useQuery } from '@tanstack/react-query'
import { type FormEvent, useState } from 'react'
import { removeSearch, saveSearch, savedSearches } from '@/api/queries'
import type { Level, SavedSearch } from '@/api/types'
import { Dialog } from '@/components/Dialog'
import { toast } from '@/components/toasts'
import { Button, Empty, ErrorBox, inputClass, Loading, selectClass } from '@/components/ui'
import { visible } from '@/lib/escape'
import { usePrefs } from '@/lib/prefs'
import { rangeLabel } from '@/lib/time'
import { RemoveDialog } from '../data/RemoveDialog'

const NAME_MAX = 80
const EVERY = ['1m', '5m', '15m', '1h', '6h', '1d']
const LEVELS: Level[] = ['informational', 'low', 'medium', 'high', 'critical']

interface Question {
  query: string
  from: string
  to: string
}

/** What is typed about a search beside its name. */
interface Typed {
  description: string
  /** Empty for never. */
  every: string
  level: Level
}

interface Props extends Question {
  onOpen: (search: { q: string; from: string; to: string }) => void
}

export function Saved({ query, from, to, onOpen }: Props) {
  const [open, setOpen] = useState<'list' | 'save' | null>(null)
  const [removing, setRemoving] = useState<string | null>(null)
  const close = () => setOpen(null)
  const choose = (search: SavedSearch) => {
    close()
    onOpen({ q: search.query, from: search.from, to: search.to })
  }
  return (
    <>
      <Button variant="ghost" icon="check" onClick={() => setOpen('save')}>
        Save
      </Button>
      <Button variant="ghost" icon="menu" onClick={() => setOpen('list')}>
        Saved
      </Button>
      {open === 'list' && removing === null && (
        <Dialog open wide onClose={close} title="Saved searches">
          <List onChoose={choose} onRemove={setRemoving} />
        </Dialog>
      )}
      {open === 'save' && (
        <Dialog open onClose={close} title="Save the search">
          <Save question={{ query, from, to }} onDone={close} />
        </Dialog>
      )}
      {removing !== null && (
        <RemoveDialog what="search" name={removing} remove={() => removeSearch(removing)} onClose={() => setRemoving(null)}>
          <p>It is no longer asked by itself either. Alerts that it made stay.</p>
        </RemoveDialog>
      )}
    </>
  )
}

function List({ onChoose, onRemove }: { onChoose: (search: SavedSearch) => void; onRemove: (name: string) => void }) {
  const { data, error, refetch } = useQuery(savedSearches)
  const { zone } = usePrefs()
  if (error && !data) return <ErrorBox error={error} retry={() => void refetch()} />
  if (!data) return <Loading />
  if (data.length === 0) {
    return (
      <Empty title="Nothing is saved yet">
        <p>Ask something, then save it under a name.</p>
      </Empty>
    )
  }
  return (
    <ul aria-label="Saved searches">
      {data.map((search) => (
        <li key={search.name} className="border-line flex items-start gap-2 border-b py-2 last:border-b-0">
          <div className="min-w-0 flex-1">
            <button type="button" className="text-accent min-h-6 text-left font-semibold break-words" onClick={() => onChoose(search)}>
              {visible(search.name)}
            </button>
            {search.description !== '' && <p className="break-words">{visible(search.description)}</p>}
            <p className="data text-muted line-clamp-2 break-all">{visible(search.query)}</p>
            <p className="text-muted text-sm">
              {rangeLabel(search.from, search.to, zone)}, by {visible(search.owner)}
              {search.schedule && `, asked every ${search.schedule.every} for ${search.schedule.level} alerts`}
            </p>
            {search.run?.last_error && <p className="text-critical text-sm break-words">The last run failed: {visible(search.run.last_error)}</p>}
          </div>
          <Button aria-label={`Remove ${visible(search.name)}`} onClick={() => onRemove(search.name)}>
            Remove…
          </Button>
        </li>
      ))}
    </ul>
  )
}

function Save({ question, onDone }: { question: Question; onDone: () => void }) {
  const { data, isPending } = useQuery(savedSearches)
  const [name, setName] = useState('')
  const [typed, setTyped] = useState<Partial<Typed>>({})
  const [busy, setBusy] = useState(false)
  const [error, setError] = useState<unknown>(null)
  const known = data?.find((search) => search.name === name.trim())
  const before = known?.schedule
  // What nobody has typed stays as it is in the search that is replaced.
  const form: Typed = { description: known?.description ?? '', every: before?.every ?? '', level: before?.level ?? 'medium', ...typed }
  const { description, every, level } = form
  const type = (change: Partial<Typed>) => setTyped((old) => ({ ...old, ...change }))
  const submit = async (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault()
    const schedule = every === '' ? null : { every, level, title: before?.title ?? '', entity: before?.entity ?? null }
    setBusy(true)
    setError(null)
    try {
      await saveSearch({ ...question, name: name.trim(), description, schedule })
      toast({ text: `Saved ${name.trim()}` })
      onDone()
    } catch (cause) {
      setError(cause)
      setBusy(false)
    }
  }
  return (
    <form className="flex flex-col gap-3" onSubmit={(event) => void submit(event)}>
      <p className="data text-muted line-clamp-3 break-all">{question.query === '' ? '*' : visible(question.query)}</p>
      <div>
        <label>
          <span className="mb-1 block">Name</span>
          <input name="name" className={inputClass} required maxLength={NAME_MAX} autoComplete="off" value={name} aria-describedby="saved-name-note" onChange={(event) => setName(event.target.value)} />
        </label>
        <p id="saved-name-note" className="text-muted text-sm empty:hidden">
          {known ? 'There is a saved search of this name: this one takes its place, and keeps its schedule unless you choose another.' : ''}
        </p>
      </div>
      <label>
        <span className="mb-1 block">What it is good for</span>
        <input name="description" className={inputClass} maxLength={1_000} autoComplete="off" value={description} onChange={(event) => type({ description: event.target.value })} />
      </label>
      <div className="flex flex-wrap items-end gap-4">
        <label>
          <span className="mb-1 block">Ask it by itself</span>
          <select name="every" className={selectClass} value={every} onChange={(event) => type({ every: event.target.value })}>
            <option value="">never</option>
            {spans(before?.every).map((span) => (
              <option key={span} value={span}>
                every {span}
              </option>
            ))}
          </select>
        </label>
        {every !== '' && (
          <label>
            <span className="mb-1 block">Level of its alerts</span>
            <select name="level" className={selectClass} value={level} onChange={(event) => type({ level: LEVELS.find((word) => word === event.target.value) ?? 'medium' })}>
              {LEVELS.map((level) => (
                <option key={level}>{level}</option>
              ))}
            </select>
          </label>
        )}
      </div>
      {every !== '' && <p className="text-muted text-sm">Each time it is about the events since the time before, and every row of the answer, at most 100, becomes a detection.</p>}
      {error !== null && (
        <div className="-mx-4">
          <ErrorBox error={error} />
        </div>
      )}
      <div className="flex justify-end gap-2">
        <Button onClick={onDone}>Cancel</Button>
        <Button type="submit" variant="primary" disabled={busy || isPending || name.trim() === ''}>
          {known ? 'Replace it' : 'Save it'}
        </Button>
      </div>
    </form>
  )
}

/** The spans to choose from, with the one that was chosen elsewhere. */
function spans(chosen: string | undefined): string[] {
  return chosen === undefined || EVERY.includes(chosen) ? EVERY : [chosen, ...EVERY]
}
