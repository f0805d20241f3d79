/** Alerts of scheduled searches: their first reason says what was asked, and over which time. */
import type { WhyRow } from '@/api/types'

/** The question behind an alert, for Explore; null for an alert of a rule. */
export function searchOf(why: WhyRow[]): { q: string; from: string; to: string } | null {
  const row = why.find(({ selection }) => selection === 'search')
  const [, from, to] = /^from (\S+) to (\S+)$/.exec(row?.test ?? '') ?? []
  return row && from && to ? { q: String(row.value), from, to } : null
}
