/** Alerts of scheduled searches: their first reason says what was asked, and over which time. */
import type { WhyRow } from '@/api/types'

/** What the ids of rules begin with that are saved searches; the name of the search follows. */
const PREFIX = 'saved-search:'

/** The saved search that an alert names as its rule; null for an alert of a rule. */
export function savedName(rule: string): string | null {
  return rule.startsWith(PREFIX) ? rule.slice(PREFIX.length) : null
}

/** The question behind an alert, for Explore; null for an alert of a rule. */
export function searchOf(why: WhyRow[]): { q: string; from: string; to: string } | null {
  const row = why.find(({ selection }) => selection === 'search')
  const [, from, to] = /^from (\S+) to (\S+)$/.exec(row?.test ?? '') ?? []
  return row && from && to ? { q: String(row.value), from, to } : null
}
