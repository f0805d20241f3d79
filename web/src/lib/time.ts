/** Times as people write and read them. The URL keeps relative text; the server understands the same grammar. */

export type Zone = 'utc' | 'local'

const UNIT_MS: Record<string, number> = {
  s: 1_000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
  w: 604_800_000,
}

export interface QuickRange {
  label: string
  from: string
  to: string
}

export const QUICK: QuickRange[] = [
  { label: 'Last 15 minutes', from: 'now-15m', to: 'now' },
  { label: 'Last 1 hour', from: 'now-1h', to: 'now' },
  { label: 'Last 4 hours', from: 'now-4h', to: 'now' },
  { label: 'Last 24 hours', from: 'now-24h', to: 'now' },
  { label: 'Last 7 days', from: 'now-7d', to: 'now' },
  { label: 'Last 30 days', from: 'now-30d', to: 'now' },
  { label: 'Today', from: 'now/d', to: 'now' },
  { label: 'All time', from: '', to: '' },
]

/** `now`, `now-15m`, `now-1d/d`, RFC 3339, epoch ms -> ms since 1970; null when it is none of these. */
export function resolveTime(text: string, nowMs: number): number | null {
  const trimmed = text.trim()
  const relative = /^now((?:[+-]\d{1,6}[smhdw])*)(?:\/([smhdw]))?$/.exec(trimmed)
  if (relative) {
    let ms = nowMs
    for (const [, sign, amount, unit] of (relative[1] ?? '').matchAll(/([+-])(\d+)([smhdw])/g)) {
      ms += (sign === '-' ? -1 : 1) * Number(amount) * (UNIT_MS[unit ?? ''] ?? 0)
    }
    return relative[2] ? floorTo(ms, relative[2]) : ms
  }
  if (/^\d{10,14}$/.test(trimmed)) return Number(trimmed)
  if (!/^\d{4}-\d{2}-\d{2}/.test(trimmed)) return null
  const iso = /^\d{4}-\d{2}-\d{2}$/.test(trimmed) ? `${trimmed}T00:00:00Z` : trimmed.replace(' ', 'T')
  const zoned = /(Z|[+-]\d{2}:?\d{2})$/i.test(iso) ? iso : `${iso}Z`
  const ms = Date.parse(zoned)
  return Number.isNaN(ms) ? null : ms
}

function floorTo(ms: number, unit: string): number {
  const size = UNIT_MS[unit] ?? 1
  // Weeks start on Monday: 1970-01-05 was one.
  const shift = unit === 'w' ? 4 * 86_400_000 : 0
  return Math.floor((ms - shift) / size) * size + shift
}

/** What a range is called. */
export function rangeLabel(from: string, to: string, zone: Zone): string {
  const quick = QUICK.find((range) => range.from === from && range.to === to)
  if (quick) return quick.label
  const show = (text: string, none: string) => {
    if (text === '') return none
    const ms = text.startsWith('now') ? null : resolveTime(text, 0)
    return ms === null ? text : formatTime(ms, zone, 's')
  }
  return `${show(from, 'the beginning')} → ${show(to, 'now')}`
}

/** The range before (-1) or after (+1) this one, in absolute times. */
export function shiftRange(from: string, to: string, direction: -1 | 1, nowMs: number): { from: string; to: string } | null {
  const start = resolveTime(from, nowMs)
  const end = resolveTime(to === '' ? 'now' : to, nowMs)
  if (start === null || end === null || end <= start) return null
  const span = end - start
  return { from: new Date(start + direction * span).toISOString(), to: new Date(end + direction * span).toISOString() }
}

/** Three times as wide around the same middle, not beyond now. */
export function widenRange(from: string, to: string, nowMs: number): { from: string; to: string } {
  const start = resolveTime(from, nowMs)
  const end = resolveTime(to === '' ? 'now' : to, nowMs)
  if (start === null || end === null || end <= start) return { from: '', to: '' }
  const span = end - start
  const newEnd = Math.min(end + span, Math.max(nowMs, end))
  return { from: new Date(newEnd - 3 * span).toISOString(), to: new Date(newEnd).toISOString() }
}

/** `2026-11-23 10:00:00.123`: never a locale's order, always 24 hours. */
export function formatTime(value: string | number, zone: Zone, precision: 'm' | 's' | 'ms' = 'ms'): string {
  const date = new Date(value)
  if (Number.isNaN(date.getTime())) return String(value)
  const shifted = zone === 'utc' ? date : new Date(date.getTime() - date.getTimezoneOffset() * 60_000)
  const iso = shifted.toISOString()
  const length = { m: 16, s: 19, ms: 23 }[precision]
  return iso.slice(0, length).replace('T', ' ')
}

/** `UTC` or `UTC+02:00`. */
export function zoneLabel(zone: Zone, at = new Date()): string {
  if (zone === 'utc') return 'UTC'
  const minutes = -at.getTimezoneOffset()
  const sign = minutes < 0 ? '-' : '+'
  const abs = Math.abs(minutes)
  return `UTC${sign}${String(Math.floor(abs / 60)).padStart(2, '0')}:${String(abs % 60).padStart(2, '0')}`
}

/** `3 min ago`, `in 2 h`. */
export function relative(value: string | number, nowMs: number): string {
  const ms = nowMs - new Date(value).getTime()
  if (Number.isNaN(ms)) return ''
  const text = duration(Math.abs(ms))
  if (Math.abs(ms) < 2_000) return 'now'
  return ms < 0 ? `in ${text}` : `${text} ago`
}

/** `45 s`, `4 min`, `3 h`, `12 d`. */
export function duration(ms: number): string {
  const steps: [number, string][] = [
    [86_400_000, 'd'],
    [3_600_000, 'h'],
    [60_000, 'min'],
    [1_000, 's'],
  ]
  for (const [size, unit] of steps) if (ms >= size * (unit === 'd' ? 2 : 1)) return `${Math.floor(ms / size)} ${unit}`
  return `${Math.round(ms)} ms`
}
