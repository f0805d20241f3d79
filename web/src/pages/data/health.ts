import type { Source, SourceHealth } from '@/api/types'

/** A source that sent nothing for this long is called silent. */
export const SILENT_MS = 15 * 60_000

/** Events per minute over the last ten full minutes. */
export function perMinute(source: Source): number {
  const recent = source.per_minute.slice(-11, -1)
  if (recent.length === 0) return source.per_minute.at(-1)?.count ?? 0
  return Math.round(recent.reduce((sum, point) => sum + point.count, 0) / recent.length)
}

/** Share of the records that no parser read, though a format may have. */
export function unread(health: SourceHealth): number {
  return health.readers.reduce((sum, reader) => (reader.pack ? sum : sum + reader.share), 0)
}
