/** How far a search is. */
import type { Histogram } from '@/api/types'
import type { Run } from './useRun'

/** True once a histogram has all events of its time. */
export function isWhole(histogram: Histogram): boolean {
  return countedShare(histogram) === 1
}

/** The share of its time of which a histogram has all events, 0 to 1. */
function countedShare({ from, to, complete_from }: Histogram): number {
  const [start, end, at] = [Date.parse(from), Date.parse(to), Date.parse(complete_from)]
  return at > start ? (end - at) / (end - start) : 1
}

/** What a run does at the moment and the share of it that is done: first rows are found, then the rest of the events is counted for the chart. */
export function progressOf({ searched, histogram }: Pick<Run, 'searched' | 'histogram'>): { doing: string; share: number } {
  const counted = histogram ? countedShare(histogram) : 0
  return searched < 1 || counted === 1 ? { doing: 'searching', share: searched } : { doing: 'counting', share: counted }
}
