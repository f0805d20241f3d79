/** Severity: a shape and the word, so that colour never stands alone. */
import type { Level } from '@/api/types'

export const LEVELS: Level[] = ['critical', 'high', 'medium', 'low', 'informational']

const WORD: Record<Level, string> = { critical: 'Critical', high: 'High', medium: 'Medium', low: 'Low', informational: 'Info' }
const COLOUR: Record<Level, string> = {
  critical: 'text-critical',
  high: 'text-high',
  medium: 'text-medium',
  low: 'text-low',
  informational: 'text-info',
}

export function levelWord(level: Level): string {
  return WORD[level] ?? String(level)
}

export function levelColour(level: Level): string {
  return COLOUR[level] ?? 'text-info'
}

/** Triangle, diamond, square, disc, ring. */
export function SeverityShape({ level, size = 10 }: { level: Level; size?: number }) {
  return (
    <svg width={size} height={size} viewBox="0 0 10 10" fill="currentColor" aria-hidden="true" className="shrink-0">
      {level === 'critical' && <path d="M5 .5 9.800 9.300H.2z" />}
      {level === 'high' && <path d="M5 0l5 5-5 5-5-5z" />}
      {level === 'medium' && <path d="M1 1h8v8H1z" />}
      {level === 'low' && <circle cx="5" cy="5" r="4.400" />}
      {(level === 'informational' || !(level in WORD)) && <circle cx="5" cy="5" r="3.600" fill="none" stroke="currentColor" strokeWidth="1.600" />}
    </svg>
  )
}

export function Severity({ level }: { level: Level }) {
  if (level === 'critical') {
    return (
      <span className="bg-critical-fill text-on-critical inline-flex h-5 items-center gap-1.5 rounded px-1.5 text-sm font-semibold whitespace-nowrap">
        <SeverityShape level={level} />
        Critical
      </span>
    )
  }
  return (
    <span className={`inline-flex h-5 items-center gap-1.5 px-1.5 text-sm whitespace-nowrap ${levelColour(level)}`}>
      <SeverityShape level={level} />
      {levelWord(level)}
    </span>
  )
}

/** OCSF numbers of `event.severity`. */
export function levelOfNumber(value: unknown): Level | null {
  const n = Number(value)
  if (value === null || value === undefined || value === '' || Number.isNaN(n)) return null
  return n >= 5 ? 'critical' : n === 4 ? 'high' : n === 3 ? 'medium' : n === 2 ? 'low' : n === 1 ? 'informational' : null
}
