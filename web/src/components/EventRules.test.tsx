import { renderToStaticMarkup } from 'react-dom/server'
import { expect, it } from 'vitest'
import { Lack } from './EventRules'

const HIDDEN = '\u202E'

it.each([
  ['Image', "ends with 'x.exe'", 'C:\\y.exe', "Image ends with 'x.exe' — the event has C:\\y.exe"],
  ['Image', "ends with 'x.exe'", '', "Image ends with 'x.exe' — the event has no value"],
  ['count', '>= 5', '0', 'count >= 5 — the event has 0'],
  [`a${HIDDEN}`, `is '${HIDDEN}'`, HIDDEN, "a\\u{202e} is '\\u{202e}' — the event has \\u{202e}"],
  ['a', "is '<b>'", '<img src=x>', "a is '<b>' — the event has <img src=x>"],
])('%j %j with %j in words', (field, test, value, words) => {
  const item = document.createElement('ul')
  item.innerHTML = renderToStaticMarkup(<Lack lack={{ selection: 'sel', field, test, value }} />)
  expect(item.textContent).toBe(words)
  expect(item.querySelector('img, b')).toBeNull()
})
