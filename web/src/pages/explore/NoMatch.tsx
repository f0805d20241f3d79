/** Nothing to show: either no log ever came, or none matches. Errors are said elsewhere. */
import { useQuery } from '@tanstack/react-query'
import { Link } from '@tanstack/react-router'
import { useState } from 'react'
import { post } from '@/api/client'
import { status } from '@/api/queries'
import type { Histogram } from '@/api/types'
import { Button, buttonClass, Empty } from '@/components/ui'
import { visible } from '@/lib/escape'
import { count } from '@/lib/number'
import { dropLast, splitPipe } from '@/lib/query'
import { widenRange } from '@/lib/time'

interface Props {
  query: string
  from: string
  to: string
  live: boolean
  onQuery: (query: string) => void
  onRange: (range: { from: string; to: string }) => void
}

export function NoMatch({ query, from, to, live, onQuery, onRange }: Props) {
  const { data } = useQuery(status)
  const [now] = useState(() => Date.now())
  const wider = widenRange(from, to, now)
  const fewer = dropLast(query)
  const inWider = useCount(query, wider.from, wider.to, from !== '')
  const inAll = useCount(query, '', '', from !== '' || to !== '')
  const withFewer = useCount(fewer ?? '', from, to, fewer !== null)
  if (data?.events === 0) {
    return (
      <Empty icon="start" title="No log has arrived yet">
        <p>There is nothing to search. One curl command sends the first event.</p>
        <Link to="/start" className={buttonClass('primary')}>
          Send logs
        </Link>
      </Empty>
    )
  }
  return (
    <Empty title={live ? 'Nothing has matched yet' : 'No event matches'}>
      <p>{live ? 'Events that match appear here as they arrive.' : 'Another time range or fewer filters may find it:'}</p>
      <div className="flex flex-wrap justify-center gap-2">
        {from !== '' && <Button onClick={() => onRange(wider)}>Three times the range{inWider}</Button>}
        {(from !== '' || to !== '') && <Button onClick={() => onRange({ from: '', to: '' })}>All time{inAll}</Button>}
        {fewer !== null && (
          <Button onClick={() => onQuery(fewer)} title={visible(fewer)}>
            Without the last filter{withFewer}
          </Button>
        )}
      </div>
    </Empty>
  )
}

/** How many events that way out would show. */
function useCount(query: string, from: string, to: string, enabled: boolean): string {
  const head = splitPipe(query)[0]
  const { data } = useQuery({
    queryKey: ['count', head, from, to],
    queryFn: ({ signal }) => post<Histogram>('/histogram', { query: head, from: from || null, to: to || null, buckets: 1, by: null }, signal),
    enabled,
    staleTime: 10_000,
  })
  return data ? `: ${count(data.buckets.reduce((sum, bucket) => sum + bucket.count, 0))}` : ''
}
