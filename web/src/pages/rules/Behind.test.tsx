import { renderToStaticMarkup } from 'react-dom/server'
import { expect, it } from 'vitest'
import type { Rule } from '@/api/types'
import { BehindChip, BehindNote, behindOf } from './Behind'

const behind = { rule: 'slow', title: 'Slow', core_percent: 34, events_behind: 120_400 }
const off = { reason: 'noise', actor: 'ines', since: '2026-01-01T00:00:00Z' }

it.each([
  ['a rule that is behind', { id: 'slow', off: null }, behind],
  ['another rule', { id: 'fast', off: null }, undefined],
  ['a rule that is off', { id: 'slow', off }, undefined],
])('%s', (_, rule, expected) => {
  expect(behindOf(rule as Rule, [behind])).toBe(expected)
})

it('no rule yet', () => {
  expect(behindOf(undefined, [behind])).toBeUndefined()
})

it.each([
  ['badge', BehindChip],
  ['note', BehindNote],
])('the %s says why and what to do', (_, Part) => {
  const html = renderToStaticMarkup(<Part behind={behind} />)
  expect(html).toMatch(/behind the stream/i)
  for (const words of ['34 % of a core', 'rules.core_share_max_percent', '120,400 events to go', 'Nothing is lost', 'Make the rule narrower', 'Try on history']) expect(html).toContain(words)
})
