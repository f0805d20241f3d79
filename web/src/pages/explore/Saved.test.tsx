import { act, useState } from 'react'
import { afterEach, expect, it, vi } from 'vitest'
import type { SavedSearch } from '@/api/types'
import { button, fill, mount, press } from '../data/mount.test-util'
import { SavedLink } from '../alerts/SavedLink'
import { savedName, searchOf } from '../alerts/search'
import { Saved } from './Saved'

afterEach(() => vi.unstubAllGlobals())

const HOSTILE = '<img src=x>\u202E'
const search: SavedSearch = {
  name: 'root logins',
  query: 'user.name:root',
  from: 'now-7d',
  to: 'now',
  description: HOSTILE,
  schedule: { every: '15m', level: 'high', title: '', entity: null },
  run: { done: '2026-11-23T10:00:00Z', last_run: '2026-11-23T10:01:00Z', last_rows: 0, took_us: 5, last_error: 'too slow' },
  owner: 'ana',
  created: '2026-11-23T09:00:00Z',
  changed: '2026-11-23T09:00:00Z',
}

function Page() {
  const [opened, setOpened] = useState('')
  return (
    <>
      <output>{opened}</output>
      <Saved query="event.outcome:failure" from="now-1h" to="now" onOpen={(next) => setOpened(JSON.stringify(next))} />
    </>
  )
}

const at = (searches: SavedSearch[], more = {}) => mount('/explore', Page, '/explore', { 'GET /searches': { searches }, ...more })
const dialog = () => document.querySelector('[role=dialog]')

it('says what to do when nothing is saved', async () => {
  const { page } = await at([])
  await press(button(page, 'Saved'))
  expect(dialog()?.textContent).toContain('Nothing is saved yet')
})

it('opens a search with its own range, and shows how its schedule does', async () => {
  const { page } = await at([search])
  await press(button(page, 'Saved'))
  for (const words of ['asked every 15m for high alerts', 'The last run failed: too slow', '<img src=x>\\u{202e}']) expect(dialog()?.textContent).toContain(words)
  expect(dialog()?.querySelector('img')).toBeNull()
  await press(button(page, 'root logins'))
  expect(page.querySelector('output')?.textContent).toBe('{"q":"user.name:root","from":"now-7d","to":"now"}')
  expect(dialog()).toBeNull()
})

const QUESTION = { query: 'event.outcome:failure', from: 'now-1h', to: 'now' }

it('saves the question of the page', async () => {
  const { page, sent } = await at([search], { 'PUT /searches/failures': search })
  await press(button(page, 'Save'))
  await fill(document.querySelector('[name=name]'), 'failures')
  await press(button(page, 'Save it'))
  const puts = sent.filter((each) => each.method === 'PUT')
  expect(puts.map((each) => JSON.parse(String(each.body)))).toEqual([{ ...QUESTION, description: '', schedule: null }])
  expect(dialog()).toBeNull()
})

it('keeps the schedule of the search that it replaces, unless another is chosen', async () => {
  const titled = { ...search, schedule: { every: '30m', level: 'high' as const, title: 'Root', entity: 'user.name' } }
  for (const [every, schedule] of [
    [null, titled.schedule],
    ['1h', { ...titled.schedule, every: '1h' }],
    ['', null],
  ] as const) {
    const { page, sent } = await at([titled], { 'PUT /searches/root%20logins': search })
    await press(button(page, 'Save'))
    await fill(document.querySelector('[name=name]'), 'root logins')
    expect(dialog()?.textContent).toContain('takes its place')
    expect(document.querySelector<HTMLSelectElement>('[name=every]')?.value).toBe('30m')
    if (every !== null) await choose('[name=every]', every)
    await press(button(page, 'Replace it'))
    const puts = sent.filter((each) => each.method === 'PUT')
    expect(puts.map((each) => JSON.parse(String(each.body)))).toEqual([{ ...QUESTION, description: HOSTILE, schedule }])
  }
})

async function choose(selector: string, value: string) {
  await act(async () => {
    const select = document.querySelector<HTMLSelectElement>(selector)
    Object.getOwnPropertyDescriptor(HTMLSelectElement.prototype, 'value')?.set?.call(select, value)
    select?.dispatchEvent(new Event('change', { bubbles: true }))
  })
}

it('says why a search is refused', async () => {
  const { page } = await at([], { 'PUT /searches/a%2Fb': [400, 'a name has letters'] })
  await press(button(page, 'Save'))
  await fill(document.querySelector('[name=name]'), 'a/b')
  await press(button(page, 'Save it'))
  expect(dialog()?.textContent).toContain('a name has letters')
})

it('finds the question behind an alert', () => {
  const why = { selection: 'search', field: 'root logins', value: 'user.name:root', test: 'from 2026-11-23T10:00:00Z to 2026-11-23T10:15:00Z' }
  expect(searchOf([why])).toEqual({ q: 'user.name:root', from: '2026-11-23T10:00:00Z', to: '2026-11-23T10:15:00Z' })
  expect(searchOf([{ ...why, selection: 'selection' }])).toBeNull()
  expect(searchOf([])).toBeNull()
})

it('leads from an alert to the saved search, if there still is one', async () => {
  expect([savedName('saved-search:root logins'), savedName('saved-search'), savedName('5c2f3b5e')]).toEqual(['root logins', null, null])
  const link = () => <SavedLink name="root logins" />
  const found = await mount('/alerts/a', link, '/alerts/a', { 'GET /searches': { searches: [search] } })
  expect(found.page.querySelector('a')?.getAttribute('href')).toContain('/explore?')
  const gone = await mount('/alerts/a', link, '/alerts/a', { 'GET /searches': { searches: [] } })
  expect(gone.page.textContent).toBe('It was removed')
})
