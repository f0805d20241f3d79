/** Tries a rule on what is stored, before it is trusted: choose a time, watch, cancel, read the report. */
import { type RefObject, useEffect, useState } from 'react'
import type { BacktestProgress } from '@/api/types'
import { Button, ErrorBox, Section, selectClass } from '@/components/ui'
import { count, plural } from '@/lib/number'
import { resolveTime } from '@/lib/time'
import { Report } from './BacktestReport'
import { type Tried, useBacktest } from './useBacktest'

const RANGES = [
  { from: 'now-1d', label: 'Last day' },
  { from: 'now-7d', label: 'Last 7 days' },
  { from: 'now-30d', label: 'Last 30 days' },
  { from: '', label: 'Everything' },
]

interface Props {
  what: Tried
  /** Filled with a way to start it from elsewhere on the page. */
  startRef?: RefObject<() => void>
}

export function Backtest({ what, startRef }: Props) {
  const [from, setFrom] = useState('now-7d')
  const { trial, start: run, cancel } = useBacktest()
  const go = () => {
    const since = resolveTime(from, Date.now())
    void run({ what, from, since: since === null ? null : new Date(since).toISOString() })
  }
  useEffect(() => {
    if (startRef) startRef.current = go
  })
  const running = trial.state === 'running'
  const changed = (trial.state === 'done' || running) && keyOf(trial.ask.what) !== keyOf(what)
  return (
    <Section
      title="Backtest"
      aside={
        <>
          <select aria-label="Time to try it on" className={selectClass} value={from} onChange={(event) => setFrom(event.target.value)}>
            {RANGES.map((range) => (
              <option key={range.from} value={range.from}>
                {range.label}
              </option>
            ))}
          </select>
          {running ? (
            <Button icon="stop" className="w-32" onClick={cancel}>
              Cancel
            </Button>
          ) : (
            <Button icon="play" className="w-32" onClick={go}>
              Try on history
            </Button>
          )}
        </>
      }
    >
      <div data-backtest={trial.state}>
        {changed && <p className="border-line bg-accent-soft border-b px-3 py-1.5">The text has changed since this was started.</p>}
        {trial.state === 'idle' && <p className="text-muted p-3">What the rule would have found in the events that are kept. Nothing is changed by trying.</p>}
        {running && <Running progress={trial.progress} again={trial.again} />}
        {trial.state === 'cancelled' && <p className="p-3">Cancelled{trial.progress ? ` after ${plural(trial.progress.done, 'event')} of ${count(trial.progress.events)}` : ''}.</p>}
        {trial.state === 'failed' && <ErrorBox error={trial.error} />}
        {trial.state === 'done' && <Report report={trial.report} ask={trial.ask} />}
      </div>
      <p className="sr-only" role="status">
        {trial.state === 'done' ? 'The backtest is done' : ''}
      </p>
    </Section>
  )
}

function Running({ progress, again }: { progress: BacktestProgress | null; again: boolean }) {
  const share = progress && progress.events > 0 ? Math.min(1, progress.done / progress.events) : 0
  return (
    <div className="p-3">
      <div
        role="progressbar"
        aria-label="Events read"
        aria-valuemin={0}
        aria-valuemax={100}
        aria-valuenow={Math.round(share * 100)}
        className="border-line-strong bg-bg h-2.5 overflow-hidden rounded border"
      >
        <div className="bg-accent h-full" style={{ width: `${share * 100}%` }} />
      </div>
      <p className="text-muted mt-1.5 flex justify-between gap-3">
        <span>{progress ? `${count(progress.done)} of ${plural(progress.events, 'event')}${again ? ', with the version in force' : ''}` : 'Starting'}</span>
        {progress && <span>{plural(progress.hits, 'event')} matched so far</span>}
      </p>
    </div>
  )
}

function keyOf(what: Tried): string {
  return 'rule' in what ? what.rule : what.text
}
