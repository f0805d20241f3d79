/** What the parts of a rule are called. */
import type { Rule, RuleOrigin } from '@/api/types'

export const ORIGIN_WORD: Record<RuleOrigin, string> = { builtin: 'built in', folder: 'folder', product: 'written here' }

export function logSource(rule: Rule): string {
  const { product, category, service } = rule.logsource
  return [product, category, service].filter(Boolean).join(' / ') || 'any'
}
