import { describe, expect, it } from 'vitest'
import { runs, safeLink, visible } from './escape'
import { bytesAt, positionAt } from './offsets'
import { operations } from './openapi'
import { addFilter, dropLast, entityQuery, filterText, quote, splitPipe } from './query'
import { asCli, shellQuote } from './shell'
import { duration, formatTime, rangeLabel, resolveTime, shiftRange, widenRange } from './time'
import { linesOf } from './timechart'

describe('hostile text', () => {
  it.each([
    ['plain text, äöü 日本', 'plain text, äöü 日本'],
    ['<script>alert(1)</script>', '<script>alert(1)</script>'],
    ['\u001b[31mred', '\\e[31mred'],
    ['a\u202Etxt.exe', 'a\\u{202e}txt.exe'],
    ['zero\u200Bwidth\uFEFF', 'zero\\u{200b}width\\u{feff}'],
    ['line\nbreak\ttab\r\0', 'line\\nbreak\\ttab\\r\\0'],
    ['\u0085\u2028', '\\x85\\u{2028}'],
    ['\uD800 lone', '\\u{d800} lone'],
    ['\u{E0041}tag', '\\u{e0041}tag'],
  ])('%j is shown as %j', (text, expected) => {
    expect(visible(text)).toBe(expected)
    expect(runs(text).map((run) => run.text).join('')).toBe(expected)
  })

  it('keeps line breaks where a view is made of lines', () => {
    expect(runs('a\nb\u0007', true)).toEqual([
      { text: 'a\nb', escaped: false },
      { text: '\\x07', escaped: true },
    ])
  })

  it.each([
    ['https://example.com/a', 'https://example.com/a'],
    ['javascript:alert(1)', null],
    ['data:text/html,x', null],
    ['//example.com', null],
  ])('link %s', (text, expected) => expect(safeLink(text)).toBe(expected))
})

describe('query text', () => {
  it.each([
    ['root', 'root'],
    ['10.0.0.1', '10.0.0.1'],
    ['1..5', '"1..5"'],
    ['or', '"or"'],
    ['two words', '"two words"'],
    ['C:\\x "y"', '"C:\\\\x \\"y\\""'],
    ['a*', '"a*"'],
  ])('value %s is written %s', (value, expected) => expect(quote(value)).toBe(expected))

  it.each([
    ['', 'user.name:root', 'user.name:root'],
    ['*', 'user.name:root', 'user.name:root'],
    ['failed', 'user.name:root', 'failed user.name:root'],
    ['a or b', 'c:d', '(a or b) c:d'],
    ['(a or b) c', 'd:e', '(a or b) c d:e'],
    ['"x or y"', 'c:d', '"x or y" c:d'],
    ['x | stats count() by y', 'c:d', 'x c:d | stats count() by y'],
    ['"a|b" | head 5', 'c:d', '"a|b" c:d | head 5'],
    ['a c:d', 'c:d', 'a c:d'],
    ['a c:d', 'not c:d', 'a not c:d'],
    ['a not c:d', 'c:d', 'a c:d'],
  ])('%s with %s is %s', (query, filter, expected) => expect(addFilter(query, filter)).toBe(expected))

  it('names odd fields in quotes and asks for missing ones', () => {
    expect(filterText('a b"', 'x')).toBe('"a b\\"":x')
    expect(filterText('user.name', '')).toBe('not user.name:*')
    expect(filterText('user.name', 'x', true)).toBe('not user.name:x')
  })

  it('drops the last filter', () => {
    expect(dropLast('a not b:c | head 5')).toBe('a | head 5')
    expect(dropLast('')).toBeNull()
    expect(dropLast('a or b')).toBeNull()
    expect(splitPipe('a "|" | b')).toEqual(['a "|"', '| b'])
  })

  it('asks for an entity', () => expect(entityQuery('address', '::1')).toBe('(source.ip:"::1" or destination.ip:"::1")'))

  it('counts bytes as the server does', () => {
    expect(bytesAt('ä€😀x', 4)).toBe(9)
    expect(positionAt('ä€😀x', 9)).toBe(4)
    expect(positionAt('ä€😀x', 3)).toBe(1)
    expect(positionAt('ab', 99)).toBe(2)
  })
})

describe('time', () => {
  const now = Date.UTC(2026, 10, 23, 10, 30, 15)
  it.each([
    ['now', now],
    ['now-15m', now - 900_000],
    ['now-1d/d', Date.UTC(2026, 10, 22)],
    ['now/w', Date.UTC(2026, 10, 23)],
    ['2026-11-23', Date.UTC(2026, 10, 23)],
    ['2026-11-23 10:00', Date.UTC(2026, 10, 23, 10)],
    ['2026-11-23T12:00:00+02:00', Date.UTC(2026, 10, 23, 10)],
    ['1795478399999', 1795478399999],
    ['yesterday', null],
    ['now-1y', null],
    ['2026-13-45', null],
  ])('%s', (text, expected) => expect(resolveTime(text, now)).toBe(expected))

  it('names, shifts and widens ranges', () => {
    expect(rangeLabel('now-15m', 'now', 'utc')).toBe('Last 15 minutes')
    expect(rangeLabel('2026-11-23T10:00:00Z', '', 'utc')).toBe('2026-11-23 10:00:00 → now')
    expect(shiftRange('now-1h', 'now', -1, now)).toEqual({ from: '2026-11-23T08:30:15.000Z', to: '2026-11-23T09:30:15.000Z' })
    expect(shiftRange('', '', 1, now)).toBeNull()
    expect(widenRange('now-1h', 'now', now)).toEqual({ from: '2026-11-23T07:30:15.000Z', to: '2026-11-23T10:30:15.000Z' })
    expect(widenRange('', 'now', now)).toEqual({ from: '', to: '' })
  })

  it('prints', () => {
    expect(formatTime('2026-11-23T10:00:00.123456Z', 'utc')).toBe('2026-11-23 10:00:00.123')
    expect(formatTime('not a time', 'utc')).toBe('not a time')
    expect([duration(800), duration(61_000), duration(90_000_000), duration(200_000_000)]).toEqual(['800 ms', '1 min', '25 h', '2 d'])
  })
})

describe('commands', () => {
  it('quotes for a shell', () => {
    expect(shellQuote("it's $HOME")).toBe("'it'\\''s $HOME'")
    expect(asCli('http://127.0.0.1:7700', { query: "a'; rm -rf /", from: 'now-1h', to: '' })).toContain("'a'\\''; rm -rf /'")
  })
})

describe('timechart', () => {
  it('splits lines by a text column', () => {
    const rows = [
      { t: '2026-11-23T10:00:00Z', user: 'a', n: 1 },
      { t: '2026-11-23T11:00:00Z', user: 'a', n: 2 },
      { t: '2026-11-23T11:00:00Z', user: 'b', n: 5 },
    ]
    expect(linesOf(['t', 'user', 'n'], rows)).toMatchObject({ names: ['b', 'a'], values: [[null, 5], [1, 2]] })
    expect(linesOf(['user', 'n'], rows)).toBeNull()
  })
})

describe('OpenAPI', () => {
  it('reads operations and stops at circles', () => {
    const node = { type: 'object', properties: { next: { $ref: '#/components/schemas/Node' } }, required: ['next'] }
    const doc = {
      components: { schemas: { Node: node } },
      paths: { '/api/v1/x': { post: { summary: 'X', requestBody: { content: { 'application/json': { schema: { $ref: '#/components/schemas/Node' } } } }, responses: { 200: { description: 'ok' } } } } },
    }
    const [operation] = operations(doc)
    expect(operation).toMatchObject({ method: 'POST', tag: 'x', summary: 'X' })
    expect(operation?.body?.schema).toContain('next: {')
    expect(operations({ paths: null })).toEqual([])
  })
})
