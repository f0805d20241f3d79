import { describe, expect, it } from 'vitest'
import type { SourceHealth } from '@/api/types'
import { unread } from './health'
import { eventFields, isParserName, isTaken, keptWords, linesOf, recordsOf, reparseCommand, suggestName, triedOf } from './parser'
import { isTableName, nameOfFile } from './tables'

describe('names of parsers', () => {
  it.each([
    ['shop/till', true],
    ['a-1/b_2', true],
    [`${'a'.repeat(64)}/b`, true],
    [`${'a'.repeat(65)}/b`, false],
    ['till', false],
    ['../till', false],
    ['a/b/c', false],
    ['A/b', false],
    ['a/', false],
    ['a/b\n', false],
    ['', false],
  ])('%j: %s', (name, expected) => expect(isParserName(name)).toBe(expected))

  it.each([
    ['shop-nginx', 'own/shop-nginx'],
    ['Web Shop (Paris)', 'own/web-shop-paris'],
    ['x'.repeat(80), `own/${'x'.repeat(64)}`],
    ['\u202E', ''],
    ['', ''],
  ])('%j suggests %j', (source, name) => {
    expect(suggestName(source)).toBe(name)
    expect(name === '' || isParserName(name)).toBe(true)
  })
})

describe('records', () => {
  it('takes the source, or lines that are not blank, or nothing', () => {
    expect(recordsOf({ source: 'web', lines: 'left alone' })).toEqual({ source: 'web' })
    expect(recordsOf({ source: '', lines: 'a\r\n\n  \nb' })).toEqual({ lines: ['a', 'b'] })
    expect(recordsOf({ source: '', lines: ' \n' })).toBeNull()
  })

  it('takes as many lines as the server does', () => expect(linesOf('x\n'.repeat(2_000))).toHaveLength(1_000))
})

describe('samples', () => {
  const event = { '@timestamp': 't', 'event.id': '1', 'event.module': 'own/pack', 'event.original': 'r', 'event.source': 's', 'event.ingested': 'i', message: 'r', 'source.port': 22, tags: ['a'] }

  it('shows what was read, not what every event has', () => {
    expect(eventFields({ record: 'r', event })).toEqual([['@timestamp', 't'], ['source.port', '22'], ['tags', '["a"]']])
    expect(eventFields({ record: 'another', event }).map(([name]) => name)).toContain('message')
  })

  it.each([
    [event, true],
    [{}, false],
    [{ 'event.module': '' }, false],
  ])('%j is taken: %s', (each, taken) => expect(isTaken(each)).toBe(taken))

  it('counts what a proposal takes', () => {
    const proposal = { text: '', records: 7, covered: 3 / 7, confidence: 1, patterns: [], fields: [], samples: [], remaining: [] }
    expect(triedOf(proposal)).toEqual({ problem: null, records: 7, taken: 3, samples: [] })
  })
})

it('says how stored records are read again', () => {
  expect(reparseCommand("it's")).toBe(`pugmark reparse --source 'it'\\''s'`)
  expect(keptWords('web')).toMatch(/new records are read with it\. .*pugmark reparse --source web$/)
  expect(keptWords('')).toMatch(/pugmark reparse$/)
})

it.each([
  [[{ name: 'a/b', pack: true, share: 1 }], 0],
  [[{ name: 'a/b', pack: true, share: 0.5 }, { name: 'json', pack: false, share: 0.25 }, { name: '', pack: false, share: 0.25 }], 0.5],
  [[], 0],
])('%j: no parser reads %d', (readers, share) => expect(unread({ readers } as unknown as SourceHealth)).toBe(share))

describe('names of tables', () => {
  it.each([
    ['hosts.csv', 'hosts'],
    ['My hosts (2).v1.csv', 'My-hosts-2-v1'],
    ['.csv', ''],
  ])('%j suggests %j', (file, name) => expect(nameOfFile(file)).toBe(name))

  it.each([
    ['hosts_1-A', true],
    ['a.b', false],
    ['', false],
    ['x'.repeat(65), false],
  ])('%j: %s', (name, expected) => expect(isTableName(name)).toBe(expected))
})
