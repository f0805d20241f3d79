/** CSV that a spreadsheet cannot be tricked into running (RFC 4180 plus a quote before formula starts). */
import { textOf } from './escape'

export function csvCell(value: unknown): string {
  let text = textOf(value)
  // A number is a number, also a negative one; everything else that starts like a formula is defused.
  if (typeof value !== 'number' && /^[=+\-@\t\r]/.test(text)) text = `'${text}`
  return /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text
}

export function csvLine(columns: string[], row: Record<string, unknown>): string {
  return `${columns.map((column) => csvCell(row[column])).join(',')}\r\n`
}

export function csvHeader(columns: string[]): string {
  return `${columns.map(csvCell).join(',')}\r\n`
}
