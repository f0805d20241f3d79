/** An entity: its kind as an icon and word, its value, and the way to all its events. */
import { Link } from '@tanstack/react-router'
import type { Alert, EntityKind } from '@/api/types'
import { visible } from '@/lib/escape'
import { entityQuery } from '@/lib/query'
import { FieldValue } from './FieldValue'

export const KIND_WORD: Record<EntityKind, string> = {
  user: 'User',
  host: 'Host',
  address: 'Address',
  process: 'Process',
  resource: 'Resource',
  none: 'No entity',
}

export function EntityText({ entity }: { entity: Alert['entity'] }) {
  if (entity.kind === 'none') return <span className="text-muted">no entity</span>
  return (
    <span className="inline-flex max-w-full min-w-0 items-baseline gap-1.5" title={`${KIND_WORD[entity.kind] ?? entity.kind}: ${visible(entity.value)}`}>
      <span className="text-muted shrink-0 text-sm">{(KIND_WORD[entity.kind] ?? entity.kind).toLowerCase()}</span>
      <span className="data truncate">
        <FieldValue value={entity.value} limit={300} />
      </span>
    </span>
  )
}

/** Opens Explore on the events of an entity around the time of an alert. */
export function EntityLink({ entity, from, to }: { entity: Alert['entity']; from: string; to: string }) {
  if (entity.kind === 'none') return <EntityText entity={entity} />
  return (
    <Link to="/explore" search={{ q: entityQuery(entity.kind, entity.value), from, to }} className="inline-flex max-w-full min-w-0 hover:underline">
      <EntityText entity={entity} />
    </Link>
  )
}
