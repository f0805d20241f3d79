/** Events of the tail: flushed once a frame, held back while the reader is away from the top. */
import { useCallback, useEffect, useRef, useState } from 'react'
import { useTail } from '@/api/stream'
import type { LogEvent } from '@/api/types'

const ROWS_MAX = 5_000

export interface LiveRows {
  events: LogEvent[]
  /** Arrived while paused. */
  pending: number
  /** The server could not send these in time; it said how many. */
  dropped: number
  /** The server does not follow this question. */
  refused: boolean
  setPaused: (paused: boolean) => void
}

export function useLiveRows(query: string | null): LiveRows {
  const [events, setEvents] = useState<LogEvent[]>([])
  const [pending, setPending] = useState(0)
  const [dropped, setDropped] = useState(0)
  const [refused, setRefused] = useState(false)
  const buffer = useRef<LogEvent[]>([])
  const paused = useRef(false)
  const frame = useRef(0)

  const flush = useCallback(() => {
    frame.current = 0
    if (paused.current) {
      setPending(buffer.current.length)
      return
    }
    const fresh = buffer.current
    buffer.current = []
    setPending(0)
    if (fresh.length > 0) setEvents((old) => [...fresh, ...old].slice(0, ROWS_MAX))
  }, [])

  const schedule = useCallback(() => {
    frame.current ||= requestAnimationFrame(flush)
  }, [flush])

  useEffect(() => {
    buffer.current = []
    setEvents([])
    setPending(0)
    setDropped(0)
    setRefused(false)
    return () => {
      cancelAnimationFrame(frame.current)
      frame.current = 0
    }
  }, [query])

  useTail(query, {
    onEvents: (batch) => {
      buffer.current = [...batch.toReversed(), ...buffer.current].slice(0, ROWS_MAX)
      schedule()
    },
    onDropped: (count) => setDropped((old) => old + count),
    onRefused: () => setRefused(true),
  })

  const setPaused = useCallback(
    (next: boolean) => {
      if (paused.current === next) return
      paused.current = next
      schedule()
    },
    [schedule],
  )
  return { events, pending, dropped, refused, setPaused }
}
