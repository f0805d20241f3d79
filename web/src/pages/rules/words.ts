/** What the parts of a rule are called. */
import type { Rule, RuleOrigin, Throttled } from '@/api/types'
import { percent } from '@/lib/number'

export const ORIGIN_WORD: Record<RuleOrigin, string> = { builtin: 'built in', folder: 'folder', product: 'written here' }

export function logSource(rule: Rule): string {
  const { product, category, service } = rule.logsource
  return [product, category, service].filter(Boolean).join(' / ') || 'any'
}

/** How much computing time the rule took on the stream. */
export function coreShare(throttled: Throttled): string {
  return `${percent(throttled.core_percent / 100)} of a core`
}
