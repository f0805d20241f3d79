/** Runs one search, shows its rows and its chart as they come, can be cancelled, and can go on to older events. */
import { useCallback, useEffect, useRef, useState } from 'react'
import { isAbort, search, type SearchRequest } from '@/api/client'
import { CHART } from '@/api/queries'
import type { Histogram, Row, SearchEvent } from '@/api/types'

export interface Run {
  state: 'running' | 'done' | 'cancelled' | 'error'
  kind: 'events' | 'table'
  columns: string[]
  rows: Row[]
  ms: number
  error: unknown
  /** The server has read the question and said what it answers. */
  ready: boolean
  /** The share of the events that were looked at to find rows, 0 to 1. */
  searched: number
  /** Events over time, as far as they are counted; null before the first are. */
  histogram: Histogram | null
  /** Why the histogram stays as it is, in words; null while all is well. */
  chartError: string | null
  /** Where the next page of older events goes on; null when there is none, or the answer has no pages. */
  cursor: string | null
  /** No more rows match. */
  exhausted: boolean
}

const PAGE = 1_000
/** Rows kept in memory at most. */
const ROWS_MAX = 50_000

const EMPTY: Run = {
  state: 'running',
  kind: 'events',
  columns: [],
  rows: [],
  ms: 0,
  error: null,
  ready: false,
  searched: 0,
  histogram: null,
  chartError: null,
  cursor: null,
  exhausted: false,
}

export function useRun(query: string, from: string, to: string, runId: number) {
  const [run, setRun] = useState<Run>(EMPTY)
  const abort = useRef<AbortController | null>(null)

  const start = useCallback((request: SearchRequest, before: Run) => {
    abort.current?.abort()
    const controller = new AbortController()
    abort.current = controller
    const started = performance.now()
    let next: Run = { ...before, state: 'running', searched: 0 }
    let frame = 0
    const show = () => {
      cancelAnimationFrame(frame)
      frame = 0
      if (controller !== abort.current) return
      const now = { ...next, ms: performance.now() - started }
      // Events stay where a table would be, and a table where events would be, until it is known what comes.
      setRun((old) => (now.ready ? now : { ...now, kind: old.kind }))
    }
    const change = (part: Partial<Run>) => {
      next = { ...next, ...part }
      // A full page is all that was asked for, however little was looked at.
      if (next.rows.length - before.rows.length >= request.limit) next.searched = 1
      frame ||= requestAnimationFrame(show)
    }
    show()
    search(request, controller.signal, (event) => change(partOf(event, next.rows)))
      .then(({ cursor, exhausted }) => change({ state: 'done', cursor, exhausted }))
      .catch((error: unknown) => change(isAbort(error) ? { state: 'cancelled' } : { state: 'error', error }))
      .finally(show)
  }, [])

  useEffect(() => {
    start({ query, from: from || null, to: to || null, limit: PAGE, histogram: CHART }, EMPTY)
    return () => {
      const controller = abort.current
      abort.current = null
      controller?.abort()
    }
  }, [query, from, to, runId, start])

  const cancel = useCallback(() => abort.current?.abort(), [])

  /** The next older page. */
  const older = useCallback(() => {
    const { cursor, histogram } = run
    if (cursor === null || !canGoOn(run)) return
    // `now-1h` is another time for each page: all of them have the bounds that the server used for the first.
    const bounds = { from: from === '' ? null : (histogram?.from ?? from), to: to === '' ? null : (histogram?.to ?? to) }
    start({ query, ...bounds, limit: PAGE, cursor }, run)
  }, [run, query, from, to, start])

  return { run, cancel, older }
}

/** True when there is another page that can be shown. */
export function canGoOn({ state, cursor, rows }: Run): boolean {
  return state === 'done' && cursor !== null && rows.length < ROWS_MAX
}

/** What an event of the stream changes. */
function partOf(event: SearchEvent, rows: Row[]): Partial<Run> {
  switch (event.name) {
    case 'kind':
      return { ...event.data, ready: true }
    case 'rows':
      return { rows: [...rows, ...event.data] }
    case 'progress':
      return { searched: event.data.events > 0 ? event.data.events_done / event.data.events : 0 }
    case 'histogram':
      return { histogram: event.data }
    case 'histogram_error':
      return { chartError: event.data.error.message }
    default:
      return {}
  }
}
