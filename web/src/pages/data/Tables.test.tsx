import { act } from 'react'
import { afterEach, expect, it, vi } from 'vitest'
import { button, fill, mount, NEVER, press, settle } from './mount.test-util'
import Tables from './Tables'

afterEach(() => vi.unstubAllGlobals())

const HOSTILE = '<img src=x>\u202E'
const SHOWN = '<img src=x>\\u{202e}'
const at = (answer: unknown, more = {}) => mount('/data/tables', Tables, '/data/tables', { 'GET /lookups': answer, ...more })
const empty = { lookups: [], problems: [], attribution: '' }
const full = {
  lookups: [{ name: 'hosts', fields: ['host.name', 'source.ip'], columns: ['owner', HOSTILE], keys: 4_200 }],
  problems: [{ file: '/x/leases.csv', message: HOSTILE }],
  attribution: 'Data by somebody',
}

async function choose(page: HTMLElement, name: string, text: string) {
  const input = page.querySelector<HTMLInputElement>('[name=file]')
  Object.defineProperty(input, 'files', { value: [new File([text], name)], configurable: true })
  await act(async () => input?.dispatchEvent(new Event('change', { bubbles: true })))
  await settle()
}

it('waits', async () => {
  const { page } = await at(NEVER)
  expect(page.querySelector('[aria-label=Loading]')).not.toBeNull()
})

it('says what to do when there is none', async () => {
  const { page } = await at(empty)
  expect(page.textContent).toContain('There is no table yet')
  expect(page.textContent).toContain('choose a CSV file below')
  expect(button(page, 'Add the table')?.disabled).toBe(true)
})

it('says what went wrong', async () => {
  const { page } = await at([403, 'you may not'])
  expect(page.querySelector('[role=alert]')?.textContent).toContain('you may not')
})

it('lists tables, problems and whom to name, as text', async () => {
  const { page } = await at(full)
  expect(Array.from(page.querySelectorAll('tbody tr > *'), (cell) => cell.textContent).slice(0, 4)).toEqual(['hosts', 'host.name, source.ip', `owner, ${SHOWN}`, '4,200'])
  expect(page.querySelector('ul[aria-label="Files that cannot be used"]')?.textContent).toContain(`/x/leases.csv${SHOWN}`)
  expect(page.textContent).toContain('Data by somebody')
  expect(page.querySelector('img[src]')).toBeNull()
})

it('sends a file as CSV under the name that is given', async () => {
  const { page, sent } = await at(full, { 'PUT /lookups/hosts': 204 })
  await choose(page, 'My list.csv', 'host.name,owner\nweb-1,ana\n')
  const name = page.querySelector<HTMLInputElement>('[name=name]')
  expect(name?.value).toBe('My-list')
  await fill(name, 'a b')
  expect(name?.getAttribute('aria-invalid')).toBe('true')
  await fill(name, 'hosts')
  expect(page.querySelector('#table-name-note')?.textContent).toContain('takes its place')
  await press(button(page, 'Replace the table'))
  const puts = sent.filter((each) => each.method === 'PUT')
  expect(puts).toMatchObject([{ path: '/api/v1/lookups/hosts', type: 'text/csv' }])
  expect(await new Response(puts[0]?.body as Blob).text()).toBe('host.name,owner\nweb-1,ana\n')
  expect(name?.value).toBe('')
})

it('says why a file is refused, and keeps what was filled in', async () => {
  const { page } = await at(empty, { 'PUT /lookups/list': [400, 'line 2: it ends before it begins'] })
  await choose(page, 'list.csv', 'x')
  await press(button(page, 'Add the table'))
  expect(page.querySelector('[role=alert]')?.textContent).toContain('it ends before it begins')
  expect(page.querySelector<HTMLInputElement>('[name=name]')?.value).toBe('list')
})

it('removes a table', async () => {
  const { page, sent } = await at(full, { 'DELETE /lookups/hosts': 204 })
  await press(page.querySelector('[aria-label="Remove hosts"]'))
  await press(button(page, 'Remove the table'))
  expect(sent.some((each) => each.method === 'DELETE' && each.path === '/api/v1/lookups/hosts')).toBe(true)
})
