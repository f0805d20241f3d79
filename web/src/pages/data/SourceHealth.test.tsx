import { createRootRoute, createRouter, RouterContextProvider } from '@tanstack/react-router'
import { renderToStaticMarkup } from 'react-dom/server'
import { expect, it } from 'vitest'
import type { SourceHealth } from '@/api/types'
import { HealthView } from './SourceHealth'

const router = createRouter({ routeTree: createRootRoute() })

const healthy: SourceHealth = {
  name: 'shop',
  health: 'healthy',
  events: 1200,
  beyond: 0,
  last_event: '2026-11-23T10:00:00Z',
  understood: 0.995,
  readers: [{ name: 'openssh/sshd', pack: true, share: 0.75 }, { name: 'json', pack: false, share: 0.25 }],
  issues: [],
  streams: [],
  errors: [],
  new_kinds: [],
  settled: true,
  breaks: [],
  clock: { estimate: null, correction_seconds: 0, corrections: [] },
}
const field = { name: 'basket', kind: 'text', share: 1, newest: 0, vanished: true, changed_to: null }
const broken: SourceHealth = {
  ...healthy,
  health: 'broken',
  errors: [{ template: 'oops <*>', example: 'oops <b>\u202E', count: 12 }],
  new_kinds: [{ template: 'killed <number>', example: 'killed 7', event: '99', time: '2026-11-23T10:00:00Z' }],
  streams: [{ program: '', reader: 'json', pack: false, kind: '', health: 'broken', events: 900, fields: [field, { ...field, name: 'size', newest: 1, vanished: false, changed_to: 'number' }] }],
  breaks: [{ what: 'vanished', text: '100 % of the events had basket, now none has', program: '', reader: 'json', kind: '', events: ['1', '200'] }],
}

function render(health: SourceHealth): HTMLElement {
  const page = document.createElement('main')
  page.innerHTML = renderToStaticMarkup(<RouterContextProvider router={router}><HealthView health={health} /></RouterContextProvider>)
  return page
}

const cells = (page: HTMLElement) => Array.from(page.querySelectorAll('tbody tr'), (row) => Array.from(row.children, (cell) => cell.textContent).join(' | '))

it('says who reads the records', () => {
  const page = render(healthy)
  expect(cells(page)).toEqual(['openssh/sshd | 75 %', 'json (format) | 25 %'])
  expect(page.querySelector('[aria-label="What changed"]')).toBeNull()
  expect(page.textContent).toContain('1,200 events looked at')
})

it.each([
  [healthy.readers, '/data/parsers/new?source=shop'],
  [[{ name: 'openssh/sshd', pack: true, share: 1 }], undefined],
])('a parser can be proposed when none reads some of the records: %j', (readers, link) => {
  const found = Array.from(render({ ...healthy, readers }).querySelectorAll('a'), (each) => [each.textContent, each.getAttribute('href')])
  expect(found.find(([text]) => text === 'Propose a parser')?.[1]).toBe(link)
})

it('says what changed, with examples as text', () => {
  const page = render(broken)
  expect(page.querySelector('li')?.textContent).toContain('100 % of the events had basket, now none hasjson')
  expect(cells(page)).toContain('oops <*> | oops <b>\\u{202e} | 12')
  expect(cells(page)).toContain('basket | text | 100 % | 0 % | vanished')
  expect(cells(page)).toContain('size | text | 100 % | 100 % | now number')
  expect(cells(page).some((row) => row.startsWith('killed <number> | killed 7 | 99'))).toBe(true)
})

it.each([
  [false, true],
  [true, false],
])('says when it is too early to tell new kinds: settled %s', (settled, expected) => {
  expect(render({ ...healthy, settled }).textContent?.includes('not known well enough')).toBe(expected)
})
