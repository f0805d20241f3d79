/** Exports: the question is asked again with a larger cap, which is said. */
import { search } from '@/api/client'
import type { Row } from '@/api/types'
import { toast } from '@/components/toasts'
import { csvHeader, csvLine } from '@/lib/csv'
import { download } from '@/lib/download'
import { plural } from '@/lib/number'

const ROWS_MAX = 100_000

export async function exportRows(format: 'ndjson' | 'csv', query: string, from: string, to: string) {
  const rows: Row[] = []
  let columns: string[] = []
  toast({ text: `Exporting at most ${plural(ROWS_MAX, 'row')}` })
  try {
    await search(
      { query, from: from || null, to: to || null, limit: ROWS_MAX },
      new AbortController().signal,
      (head) => (columns = head.columns),
      (batch) => {
        for (const row of batch) rows.push(row)
      },
    )
  } catch (cause) {
    toast({ text: `Export stopped: ${cause instanceof Error ? cause.message : String(cause)}`, error: true })
    return
  }
  const name = `pugmark-${new Date().toISOString().slice(0, 19).replaceAll(':', '')}`
  if (format === 'ndjson') {
    download(`${name}.ndjson`, rows.map((row) => `${JSON.stringify(row)}\n`), 'application/x-ndjson')
  } else {
    const names = columns.length > 0 ? columns : columnsOf(rows)
    download(`${name}.csv`, [csvHeader(names), ...rows.map((row) => csvLine(names, row))], 'text/csv;charset=utf-8')
  }
  toast({ text: `Exported ${plural(rows.length, 'row')}${rows.length >= ROWS_MAX ? ', the cap: narrow the time for the rest' : ''}` })
}

/** All keys, time first, the raw record last. */
function columnsOf(rows: Row[]): string[] {
  const names = new Set<string>()
  for (const row of rows) for (const key of Object.keys(row)) names.add(key)
  names.delete('@timestamp')
  const last = names.delete('event.original') ? ['event.original'] : []
  return ['@timestamp', ...[...names].toSorted(), ...last]
}
