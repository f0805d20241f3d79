import { createRootRoute, createRouter, RouterContextProvider } from '@tanstack/react-router'
import type { ReactElement } from 'react'
import { renderToStaticMarkup } from 'react-dom/server'
import { expect, it } from 'vitest'
import { Behind, OutOfRoom } from './RuleNotices'

const router = createRouter({ routeTree: createRootRoute() })
const scan = { rule: 'a b', title: 'Scan \u202E<b>', core_percent: 34.4, events_behind: 120_400 }
const slow = { rule: 'slow', title: 'Slow', core_percent: 0.4, events_behind: 1 }

function render(notice: ReactElement): HTMLElement {
  const page = document.createElement('main')
  page.innerHTML = renderToStaticMarkup(<RouterContextProvider router={router}>{notice}</RouterContextProvider>)
  return page
}

it('says nothing where every rule keeps up', () => {
  expect(render(<Behind rules={[]} />).innerHTML).toBe('')
  expect(render(<OutOfRoom rules={[]} />).innerHTML).toBe('')
})

it.each([
  [[scan], '1 rule runs behind the stream', ['Scan \\u{202e}<b>34 % of a core, 120,400 events behind']],
  [[scan, slow], '2 rules run behind the stream', ['Scan \\u{202e}<b>34 % of a core, 120,400 events behind', 'Slow<1 % of a core, 1 event behind']],
])('names what runs behind the stream: %j', (rules, headline, lines) => {
  const page = render(<Behind rules={rules} />)
  expect(page.querySelector('strong')?.textContent).toBe(headline)
  expect(Array.from(page.querySelectorAll('li'), (line) => line.textContent)).toEqual(lines)
  expect(page.querySelector('a')?.getAttribute('href')).toBe('/rules/a%20b')
})

it('names what ran out of room', () => {
  const page = render(<OutOfRoom rules={[{ rule: 'scan', title: 'Scan', keys: 18_204 }]} />)
  expect(page.querySelector('strong')?.textContent).toBe('1 rule over time ran out of room')
  expect(page.querySelector('li')?.textContent).toBe('Scan18,204 keys dropped')
})
