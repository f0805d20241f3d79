/** A backtest that can be started, watched and cancelled; leaving the page cancels it too. */
import { useCallback, useEffect, useRef, useState } from 'react'
import { backtest, isAbort } from '@/api/client'
import type { BacktestProgress, BacktestReport } from '@/api/types'

/** What to try: a rule in force by its id, or a text. */
export type Tried = { rule: string } | { text: string }

export interface Ask {
  what: Tried
  /** Earliest time, such as `now-7d`; empty: everything. */
  from: string
  /** The day of that time when it was asked; null for everything. */
  since: string | null
}

export type Trial =
  | { state: 'idle' }
  | { state: 'running'; ask: Ask; progress: BacktestProgress | null; again: boolean }
  | { state: 'cancelled'; progress: BacktestProgress | null }
  | { state: 'failed'; error: unknown }
  | { state: 'done'; ask: Ask; report: BacktestReport }

export function useBacktest() {
  const [trial, setTrial] = useState<Trial>({ state: 'idle' })
  const running = useRef<AbortController | null>(null)
  useEffect(() => () => running.current?.abort(), [])
  const cancel = useCallback(() => {
    running.current?.abort()
    setTrial((now) => (now.state === 'running' ? { state: 'cancelled', progress: now.progress } : now))
  }, [])
  const start = useCallback(async (ask: Ask) => {
    running.current?.abort()
    const controller = new AbortController()
    running.current = controller
    const show = (next: Trial) => {
      if (!controller.signal.aborted) setTrial(next)
    }
    let [last, again] = [0, false]
    // A changed rule is tried first, then the version in force: the count starts anew.
    const watch = (progress: BacktestProgress) => {
      again ||= progress.done < last
      last = progress.done
      show({ state: 'running', ask, progress, again })
    }
    show({ state: 'running', ask, progress: null, again })
    try {
      const report = await backtest({ ...ask.what, from: ask.from || null }, controller.signal, watch)
      show({ state: 'done', ask, report })
    } catch (error) {
      if (!isAbort(error)) show({ state: 'failed', error })
    }
  }, [])
  return { trial, start, cancel }
}
