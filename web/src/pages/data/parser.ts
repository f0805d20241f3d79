/** What the pages of parsers work out by themselves. */
import type { ParserProposal, ParserSample, ParserTried, RecordsFrom } from '@/api/types'
import { textOf } from '@/lib/escape'
import { shellQuote } from '@/lib/shell'

const WORD_MAX = 64
const LINES_MAX = 1_000
const NAME = new RegExp(`^[a-z0-9_-]{1,${WORD_MAX}}/[a-z0-9_-]{1,${WORD_MAX}}$`)

export const NAME_RULE = 'Write vendor/product, each 1 to 64 small letters, digits, dashes or underscores.'

/** The names that the server takes. */
export function isParserName(name: string): boolean {
  return NAME.test(name)
}

/** A name to begin with: own/SOURCE. */
export function suggestName(source: string): string {
  const word = source
    .toLowerCase()
    .replaceAll(/[^a-z0-9_-]+/g, '-')
    .replaceAll(/^-+|-+$/g, '')
    .slice(0, WORD_MAX)
  return word === '' ? '' : `own/${word}`
}

/** Records of a source, or with an empty source those that were pasted. */
export interface Choice {
  source: string
  lines: string
}

export function linesOf(text: string): string[] {
  return text
    .split(/\r?\n/)
    .filter((line) => line.trim() !== '')
    .slice(0, LINES_MAX)
}

/** Null when nothing is chosen. */
export function recordsOf({ source, lines }: Choice): RecordsFrom | null {
  if (source !== '') return { source }
  const list = linesOf(lines)
  return list.length > 0 ? { lines: list } : null
}

/** What every event has, and what is the record itself or the name for the time of the test. */
const LEFT_OUT = new Set(['event.id', 'event.ingested', 'event.module', 'event.original', 'event.source'])

/** The fields that a person wants to compare with the record. */
export function eventFields({ record, event }: ParserSample): [string, string][] {
  return Object.entries(event)
    .filter(([name, value]) => !LEFT_OUT.has(name) && !(name === 'message' && value === record))
    .map(([name, value]) => [name, textOf(value)])
}

/** Did a parser take the record? */
export function isTaken(event: Record<string, unknown>): boolean {
  return textOf(event['event.module']) !== ''
}

/** What a proposal says of the records it was made from, as if it had been tried on them. */
export function triedOf({ records, covered, samples }: ParserProposal): ParserTried {
  return { problem: null, records, taken: Math.round(records * covered), samples }
}

export function reparseCommand(source: string): string {
  return `pugmark reparse --source ${shellQuote(source)}`
}

export function keptWords(source: string): string {
  const again = source === '' ? 'pugmark reparse' : reparseCommand(source)
  return `Kept: new records are read with it. Stored ones are read again by “Read again” or ${again}`
}
