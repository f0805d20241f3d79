import { describe, expect, it } from 'vitest'
import type { Rule, RuleCheck, RuleProblem } from '@/api/types'
import { innerLine, lineOf, obstacles, placeOf, rulesWith } from './check'
import { barLabel, barsOf } from './days'
import { template, uuid } from './template'

function problem(over: Partial<RuleProblem> = {}): RuleProblem {
  return { path: 'rules/a.yaml', line: 1, rule: null, message: 'the rule has no title', hint: '', ...over }
}

describe('what keeps a text from being saved', () => {
  const known = [{ id: 'taken', title: 'Another rule' }] as Rule[]
  const text = 'title: X\nid: mine\n'
  it.each<[string, Partial<RuleCheck>, string, string | null, RegExp | null]>([
    ['nothing', { ids: ['mine'] }, text, 'mine', null],
    ['nothing, new', { ids: ['mine'] }, text, null, null],
    ['what the server says comes first', { ids: [], problems: [problem()] }, text, null, /no title/],
    ['no rule', {}, '# empty', null, /no rule yet/],
    ['two rules', { ids: ['mine', 'other'] }, text, 'mine', /2 rules/],
    ['an id that is not written', { ids: ['made-up'] }, text, null, /no id/],
    ['another id', { ids: ['mine'] }, text, 'yours', /changed to mine/],
    ['an id that is taken', { ids: ['taken'] }, 'id: taken', null, /already: Another rule/],
    ['its own id is not taken', { ids: ['taken'] }, 'id: taken', 'taken', null],
  ])('%s', (_, check, written, id, expected) => {
    const found = obstacles({ ids: [], problems: [], ...check }, written, id, known)
    if (expected === null) expect(found).toEqual([])
    else expect(found[0]?.message).toMatch(expected)
  })
})

describe('where a problem is', () => {
  it.each<[Partial<RuleProblem>, number | null, number | null, string]>([
    [{}, null, 1, 'rules/a.yaml:1'],
    [{ line: null }, null, null, 'rules/a.yaml'],
    [{ message: 'not YAML: mapping values are not allowed at line 4 column 7' }, 4, 4, 'rules/a.yaml:4'],
    [{ line: 11, message: 'bad value at line 3 column 1' }, 13, 13, 'rules/a.yaml:13'],
    [{ line: null, message: 'bad value at line 3' }, 3, 3, 'rules/a.yaml:3'],
    [{ message: 'a deadline 3 is no line' }, null, 1, 'rules/a.yaml:1'],
  ])('%j', (over, inner, line, place) => {
    expect([innerLine(problem(over)), lineOf(problem(over)), placeOf(problem(over))]).toEqual([inner, line, place])
  })

  it('counts rules, not problems', () => {
    expect(rulesWith([problem(), problem({ message: 'and this' }), problem({ line: 9 }), problem({ path: 'b.yaml', line: null })])).toBe(3)
  })
})

describe('days as bars', () => {
  const day = (text: string, alerts = 1) => ({ day: text, detections: alerts * 10, alerts })
  it('fills the days between, from the beginning of the time asked for', () => {
    const bars = barsOf([day('2026-11-22'), day('2026-11-24', 3)], '2026-11-21T15:00:00Z')
    expect(bars.map((bar) => [bar.from, bar.alerts, bar.detections])).toEqual([['2026-11-21', 0, 0], ['2026-11-22', 1, 10], ['2026-11-23', 0, 0], ['2026-11-24', 3, 30]])
    expect(barsOf([day('2026-11-22')], null)).toHaveLength(1)
    expect(barsOf([], '2026-11-21T15:00:00Z')).toEqual([])
    expect(barsOf([day('no day')], null)).toEqual([])
  })
  it('stays small whatever the times, and loses nothing', () => {
    const bars = barsOf([day('0001-01-01', 2), day('2026-11-22', 3), day('9999-12-31', 4)], null)
    expect(bars.length).toBeLessThanOrEqual(120)
    expect(bars.reduce((sum, bar) => sum + bar.alerts, 0)).toBe(9)
    expect(bars.at(-1)?.to).toBe('9999-12-31')
    expect(barLabel({ from: '2026-01-01', to: '2026-01-03', alerts: 0, detections: 0 })).toBe('2026-01-01 to 2026-01-03')
  })
})

describe('a new rule', () => {
  it('has an id of its own, in the text', () => {
    const [a, b] = [uuid(), uuid()]
    expect(a).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/)
    expect(a).not.toBe(b)
    expect(template(a, '2026-11-26')).toContain(`\nid: ${a}\n`)
  })
})
