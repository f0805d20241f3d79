/** Runs one search, streams its rows, can be cancelled, and can go on to older events. */
import { useCallback, useEffect, useRef, useState } from 'react'
import { isAbort, search, type SearchRequest } from '@/api/client'
import type { Row } from '@/api/types'

export interface Run {
  state: 'running' | 'done' | 'cancelled' | 'error'
  kind: 'events' | 'table'
  columns: string[]
  rows: Row[]
  ms: number
  error: unknown
  /** The server has read the question and said what it answers. */
  ready: boolean
  /** No older event matches. */
  exhausted: boolean
}

export const PAGE = 1_000
/** Rows kept in memory at most. */
export const ROWS_MAX = 50_000

const EMPTY: Run = { state: 'running', kind: 'events', columns: [], rows: [], ms: 0, error: null, ready: false, exhausted: false }

export function useRun(query: string, from: string, to: string, runId: number) {
  const [run, setRun] = useState<Run>(EMPTY)
  const abort = useRef<AbortController | null>(null)

  const start = useCallback((request: SearchRequest, before: Row[]) => {
    abort.current?.abort()
    const controller = new AbortController()
    abort.current = controller
    const started = performance.now()
    const seen = new Set(before.map((row) => row['event.id']))
    let rows = before
    let received = 0
    let head: Pick<Run, 'kind' | 'columns'> = { kind: 'events', columns: [] }
    let frame = 0
    const show = (change: Partial<Run>) => {
      if (controller !== abort.current) return
      setRun((old) => ({ ...old, ...head, rows, ms: performance.now() - started, ...change }))
    }
    const later = () => {
      frame ||= requestAnimationFrame(() => {
        frame = 0
        show({})
      })
    }
    setRun((old) => (before.length > 0 ? { ...old, state: 'running', error: null } : { ...EMPTY, kind: old.kind }))
    search(
      request,
      controller.signal,
      (next) => {
        head = next
        show({ ready: true })
      },
      (batch) => {
        received += batch.length
        const fresh = head.kind === 'events' ? batch.filter((row) => !seen.has(row['event.id'])) : batch
        for (const row of fresh) seen.add(row['event.id'])
        rows = [...rows, ...fresh]
        later()
      },
    )
      .then(() => {
        cancelAnimationFrame(frame)
        show({ state: 'done', exhausted: received < request.limit || rows.length === before.length || rows.length >= ROWS_MAX })
      })
      .catch((error: unknown) => {
        cancelAnimationFrame(frame)
        show(isAbort(error) ? { state: 'cancelled' } : { state: 'error', error })
      })
  }, [])

  useEffect(() => {
    start({ query, from: from || null, to: to || null, limit: PAGE }, [])
    return () => {
      const controller = abort.current
      abort.current = null
      controller?.abort()
    }
  }, [query, from, to, runId, start])

  const cancel = useCallback(() => abort.current?.abort(), [])

  /** The next older page: up to and with the oldest millisecond we hold, so that nothing falls between two pages. */
  const older = useCallback(() => {
    const last = run.rows.at(-1)?.['@timestamp']
    if (run.state !== 'done' || run.exhausted || run.kind !== 'events' || typeof last !== 'string') return
    const edge = Math.floor(Date.parse(last)) + 1
    const overlap = run.rows.filter((row) => Date.parse(String(row['@timestamp'])) >= edge - 1 && Date.parse(String(row['@timestamp'])) < edge).length
    start({ query, from: from || null, to: new Date(edge).toISOString(), limit: PAGE + overlap }, run.rows)
  }, [run, query, from, start])

  return { run, cancel, older }
}
