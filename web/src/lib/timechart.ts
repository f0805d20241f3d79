/** Turns rows of a table into lines over time, when they are such rows. */
import type { Row } from '@/api/types'

export interface Lines {
  times: number[]
  names: string[]
  values: (number | null)[][]
}

const NAMES_MAX = 7

/** First column with times is x, numbers are lines; one text column splits the lines by its values. */
export function linesOf(columns: string[], rows: Row[]): Lines | null {
  const first = rows[0]
  if (!first || rows.length < 2) return null
  const timeColumn = columns.find((column) => isTime(first[column]))
  if (!timeColumn) return null
  const numeric = columns.filter((column) => column !== timeColumn && rows.some((row) => typeof row[column] === 'number'))
  const text = columns.filter((column) => column !== timeColumn && !numeric.includes(column))
  if (numeric.length === 0 || text.length > 1) return null
  const split = text[0]
  const table = new Map<number, Map<string, number>>()
  const totals = new Map<string, number>()
  for (const row of rows) {
    const time = Date.parse(String(row[timeColumn]))
    if (Number.isNaN(time)) continue
    const cells = table.get(time) ?? new Map<string, number>()
    table.set(time, cells)
    for (const column of numeric) {
      const value = row[column]
      if (typeof value !== 'number') continue
      const name = split ? `${String(row[split] ?? 'none')}${numeric.length > 1 ? ` ${column}` : ''}` : column
      cells.set(name, value)
      totals.set(name, (totals.get(name) ?? 0) + Math.abs(value))
    }
  }
  const names = [...totals].sort((a, b) => b[1] - a[1]).slice(0, NAMES_MAX).map(([name]) => name)
  const times = [...table.keys()].sort((a, b) => a - b)
  if (times.length < 2) return null
  return { times, names, values: names.map((name) => times.map((time) => table.get(time)?.get(name) ?? null)) }
}

function isTime(value: unknown): boolean {
  return typeof value === 'string' && /^\d{4}-\d\d-\d\dT\d\d:\d\d/.test(value)
}
