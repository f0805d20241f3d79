/** Days of a backtest as bars: empty days are there too, and long times are put together. */
import type { BacktestDay } from '@/api/types'

export interface Bar {
  /** First day, `2026-11-23`. */
  from: string
  /** Last day; the same for a bar of one day. */
  to: string
  detections: number
  alerts: number
}

const DAY_MS = 86_400_000
const BARS_MAX = 120

/** Bars from `first`, or the first day with detections, to the last one; at most 120. */
export function barsOf(days: BacktestDay[], first: string | null): Bar[] {
  const dated = days.map((each) => ({ ...each, at: dayNumber(each.day) })).filter((each) => !Number.isNaN(each.at))
  const ats = dated.map((each) => each.at)
  const from = first === null ? Number.NaN : dayNumber(first)
  if (!Number.isNaN(from)) ats.push(from)
  if (dated.length === 0) return []
  const start = ats.reduce((a, b) => Math.min(a, b))
  const end = ats.reduce((a, b) => Math.max(a, b))
  const width = Math.ceil((end - start + 1) / BARS_MAX)
  const bars = Array.from({ length: Math.ceil((end - start + 1) / width) }, (_, i): Bar => {
    const at = start + i * width
    return { from: dayText(at), to: dayText(Math.min(at + width - 1, end)), detections: 0, alerts: 0 }
  })
  for (const day of dated) {
    const bar = bars[Math.floor((day.at - start) / width)]
    if (!bar) continue
    bar.detections += day.detections
    bar.alerts += day.alerts
  }
  return bars
}

export function barLabel(bar: Bar): string {
  return bar.from === bar.to ? bar.from : `${bar.from} to ${bar.to}`
}

function dayNumber(day: string): number {
  return Math.floor(Date.parse(`${day.slice(0, 10)}T00:00:00Z`) / DAY_MS)
}

function dayText(number: number): string {
  return new Date(number * DAY_MS).toISOString().slice(0, 10)
}
