import { renderToStaticMarkup } from 'react-dom/server'
import { afterEach, describe, expect, it, vi } from 'vitest'
import type { ParserProposal } from '@/api/types'
import { button, fill, mount, NEVER, press } from './mount.test-util'
import NewParser from './NewParser'
import ParserPage from './ParserPage'
import Parsers from './Parsers'
import { Proposal } from './Proposal'
import { stateWords } from './StoredRecords'
import { Tried } from './Tried'

afterEach(() => vi.unstubAllGlobals())

const HOSTILE = '<img src=x onerror=alert(1)>\u202E'
const SHOWN = '<img src=x onerror=alert(1)>\\u{202e}'
const till = { name: 'shop/till', text: `# ${HOSTILE}\napplies: []\n` }
const none = { source: '', running: false, done: { segments: 0, replaced: 0, events: 0, remote: 0 }, error: null }

function html(part: React.ReactElement): HTMLElement {
  const page = document.createElement('main')
  page.innerHTML = renderToStaticMarkup(part)
  return page
}

describe('list', () => {
  const at = (answer: unknown, more = {}) => mount('/data/parsers', Parsers, '/data/parsers', { 'GET /parsers': answer, ...more })

  it('waits', async () => {
    const { page } = await at(NEVER)
    expect(page.querySelector('[aria-label=Loading]')).not.toBeNull()
  })

  it('says what to do when there is none', async () => {
    const { page } = await at({ parsers: [], problems: [] })
    expect(page.textContent).toContain('You have no parser of your own')
    expect(page.querySelector('a[href="/data/parsers/new"]')).not.toBeNull()
    expect(page.querySelector('a[href="/data"]')).not.toBeNull()
  })

  it('says what went wrong', async () => {
    const { page } = await at([403, 'you may not'])
    expect(page.querySelector('[role=alert]')?.textContent).toContain('you may not')
    expect(button(page, 'Retry')).toBeDefined()
  })

  it('lists parsers and problems as text, and removes one', async () => {
    const problems = [{ path: 'shop/old/parser.yaml', message: HOSTILE }, { path: `${HOSTILE}/parser.yaml`, message: 'x' }]
    const { page, sent } = await at({ parsers: [till], problems }, { 'DELETE /parsers/shop/old': 204 })
    expect(page.querySelector('a[href="/data/parsers/shop/till"]')?.textContent).toBe('shop/till')
    expect(page.textContent).toContain(`# ${SHOWN}`)
    expect(page.querySelector('img[src]')).toBeNull()
    expect(page.querySelectorAll('ul button')).toHaveLength(1)
    await press(page.querySelector('[aria-label="Remove shop/old"]'))
    await press(button(page, 'Remove the parser'))
    expect(sent.filter((each) => each.method === 'DELETE').map((each) => each.path)).toEqual(['/api/v1/parsers/shop/old'])
  })
})

describe('proposing', () => {
  const sources = { sources: [{ name: 'web' }] }
  const at = (answers: Record<string, unknown>, address = '/data/parsers/new') => mount('/data/parsers/new', NewParser, address, { 'GET /parsers': { parsers: [till], problems: [] }, 'GET /sources': sources, ...answers })

  it('begins with the source of the address', async () => {
    const { page } = await at({}, '/data/parsers/new?source=Web+Shop')
    expect(page.querySelector<HTMLInputElement>('[name=name]')?.value).toBe('own/web-shop')
    expect(page.querySelector<HTMLSelectElement>('[name=source]')?.value).toBe('Web Shop')
    expect(button(page, 'Propose')?.disabled).toBe(false)
  })

  it('checks the name, and asks for records', async () => {
    const { page } = await at({})
    const name = page.querySelector('[name=name]')
    expect(button(page, 'Propose')?.disabled).toBe(true)
    await fill(page.querySelector('[name=lines]'), 'one\ntwo')
    await fill(name, 'Till')
    expect(name?.getAttribute('aria-invalid')).toBe('true')
    expect(button(page, 'Propose')?.disabled).toBe(true)
    await fill(name, 'shop/till')
    expect(page.querySelector('#name-note')?.textContent).toContain('takes its place')
    expect(button(page, 'Propose')?.disabled).toBe(false)
  })

  it.each([
    [NEVER, '[aria-label=Loading]', ''],
    [[400, 'there are no records that no pack understands'], '[role=alert]', 'There are no records'],
  ])('waits, or says why there is no proposal', async (answer, selector, words) => {
    const { page, sent } = await at({ 'POST /parsers/propose': answer }, '/data/parsers/new?source=web')
    await press(button(page, 'Propose'))
    expect(page.querySelector(selector)?.textContent?.toLowerCase()).toContain(words.toLowerCase())
    expect(JSON.parse(String(sent.find((each) => each.method === 'POST')?.body))).toEqual({ name: 'own/web', source: 'web' })
  })
})

describe('one parser', () => {
  const path = '/data/parsers/$vendor/$product'
  const at = (answer: unknown, more = {}) => mount(path, ParserPage, '/data/parsers/shop/till?source=web', { 'GET /parsers': answer, 'GET /sources': { sources: [] }, 'GET /reparse': none, ...more })

  it.each([
    ['waits', NEVER, '[aria-label=Loading]', ''],
    ['says what went wrong', [403, 'you may not'], '[role=alert]', 'you may not'],
    ['is not there', { parsers: [], problems: [] }, 'a[href="/data/parsers"]', 'All parsers'],
  ])('%s', async (_, answer, selector, words) => {
    const { page } = await at(answer)
    expect(page.querySelector(selector)?.textContent).toContain(words)
  })

  it('is tried on the records of the source, and stored ones are read again', async () => {
    const tried = { problem: null, records: 4, taken: 3, samples: [{ record: HOSTILE, event: { 'user.name': HOSTILE } }] }
    const running = { ...none, source: 'web', running: false, done: { ...none.done, events: 9, remote: 1 } }
    const { page, sent } = await at({ parsers: [till], problems: [] }, { 'POST /parsers/test': tried, 'POST /reparse': running })
    expect(button(page, 'Keep')?.disabled).toBe(true)
    await press(button(page, 'Try'))
    expect(page.textContent).toContain('3 of 4 records taken')
    expect(page.querySelector('dd')?.textContent).toBe(SHOWN)
    expect(page.querySelector('img[src]')).toBeNull()
    await press(button(page, 'Read again'))
    expect(page.textContent).toContain('Read again: 9 events of web; 1 segment on object storage left as they are')
    expect(sent.filter((each) => each.method === 'POST').map((each) => JSON.parse(String(each.body)))).toEqual([{ text: till.text, source: 'web' }, { source: 'web' }])
  })

  it('names what is wrong with the text, and its line', async () => {
    const { page } = await at({ parsers: [till], problems: [] }, { 'POST /parsers/test': { problem: `${HOSTILE} at line 2 column 1`, records: 0, taken: 0, samples: [] } })
    await press(button(page, 'Try'))
    const problem = page.querySelector('ul[aria-label="Problems of this text"] li')
    expect(problem?.textContent).toContain(SHOWN)
    expect(button(page, 'Line 2')).toBeDefined()
  })

  it('says why it cannot be tried', async () => {
    const { page } = await at({ parsers: [till], problems: [] }, { 'POST /parsers/test': [413, 'a pack has at most 512 KiB'] })
    await press(button(page, 'Try'))
    expect(page.querySelector('[role=alert]')?.textContent).toContain('at most 512 KiB')
  })
})

describe('what a proposal rests on', () => {
  const field = { native: '', field: 'user.name', shape: 'text', confidence: 0.4, example: HOSTILE }
  const proposal: ParserProposal = {
    text: '',
    records: 2_000,
    covered: 0.925,
    confidence: 0.81,
    patterns: [{ pattern: 'by (?<user.name>.*)', example: HOSTILE, count: 1_850, fields: [field], values: { 'event.action': HOSTILE } }],
    fields: [{ ...field, native: 'src' }],
    samples: [],
    remaining: [HOSTILE],
  }

  it('shows all of it, as text', () => {
    const page = html(<Proposal proposal={proposal} />)
    for (const words of ['2,000 records', '93 %', '81 %', '1 pattern', '1,850 records', 'by (?<user.name>.*)', `event.action: ${SHOWN}`, 'Not taken']) expect(page.textContent).toContain(words)
    const cells = Array.from(page.querySelectorAll('tbody tr'), (row) => Array.from(row.children, (cell) => cell.textContent).join(' | '))
    expect(cells).toEqual([`src | user.name | text | 40 % | ${SHOWN}`, `user.name | text | 40 % | ${SHOWN}`])
    expect(page.querySelector('img[src]')).toBeNull()
  })

  it('leaves out what there is none of', () => {
    const page = html(<Proposal proposal={{ ...proposal, patterns: [], fields: [], remaining: [] }} />)
    expect(Array.from(page.querySelectorAll('h2'), (each) => each.textContent)).toEqual(['What it rests on'])
  })
})

it.each([
  [{ problem: HOSTILE, records: 3, taken: 0, samples: [] }, `The text that was tried is no parser: ${SHOWN}`],
  [{ problem: null, records: 0, taken: 0, samples: [] }, 'Choose records to see'],
  [{ problem: null, records: 2, taken: 0, samples: [{ record: 'r', event: {} }] }, 'not taken'],
])('%j in words', (tried, words) => expect(html(<Tried tried={tried} />).textContent).toContain(words))

it.each([
  [none, ''],
  [{ ...none, source: 'web', running: true }, 'Reading again: 0 events of web so far'],
  [{ ...none, source: 'web', error: 'disk full' }, 'It ended early, after 0 events of web: disk full'],
])('%j: %s', (state, words) => expect(stateWords(state)).toBe(words))
