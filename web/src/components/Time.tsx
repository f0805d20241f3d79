/** A time: absolute in the chosen zone, relative beside it on request. */
import { useSyncExternalStore } from 'react'
import { usePrefs } from '@/lib/prefs'
import { formatTime, relative, zoneLabel } from '@/lib/time'

export function Time({ at, ago = false, precision = 's' }: { at: string; ago?: boolean; precision?: 'm' | 's' | 'ms' }) {
  const { zone } = usePrefs()
  return (
    <time dateTime={at} title={`${formatTime(at, zone, 'ms')} ${zoneLabel(zone)}`} className="whitespace-nowrap">
      <span className="data">{formatTime(at, zone, precision)}</span>
      {ago && (
        <>
          {' '}
          <Ago at={at} />
        </>
      )}
    </time>
  )
}

export function Ago({ at }: { at: string }) {
  const now = useNow()
  const { zone } = usePrefs()
  return (
    <span className="text-muted whitespace-nowrap" title={`${formatTime(at, zone, 'ms')} ${zoneLabel(zone)}`}>
      {relative(at, now)}
    </span>
  )
}

let now = Date.now()
const listeners = new Set<() => void>()
let timer: ReturnType<typeof setInterval> | null = null

/** The clock of the page: one timer for all, every 5 seconds. */
export function useNow(): number {
  return useSyncExternalStore(subscribe, () => now, () => now)
}

function subscribe(listener: () => void) {
  listeners.add(listener)
  timer ??= setInterval(() => {
    now = Date.now()
    for (const each of listeners) each()
  }, 5_000)
  return () => {
    listeners.delete(listener)
    if (listeners.size === 0 && timer) {
      clearInterval(timer)
      timer = null
    }
  }
}
