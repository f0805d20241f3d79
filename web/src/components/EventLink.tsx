/** One event by its id: opens it in Explore, among what came before and after where its time is known. */
import { Link } from '@tanstack/react-router'
import { visible } from '@/lib/escape'
import { filterText } from '@/lib/query'

const MARGIN_MS = 5 * 60_000

export function EventLink({ id, at }: { id: string; at?: string }) {
  const ms = at === undefined ? Number.NaN : Date.parse(at)
  const shifted = (shift: number) => new Date(ms + shift).toISOString()
  const search = Number.isNaN(ms) ? { q: filterText('event.id', id), from: '', to: '' } : { from: shifted(-MARGIN_MS), to: shifted(MARGIN_MS) }
  return (
    <Link to="/explore" search={{ ...search, event: id }} preload={false} className="data inline-flex h-6 min-w-6 items-center hover:underline" aria-label={`Event ${visible(id)}`}>
      {visible(id)}
    </Link>
  )
}
