import { renderToStaticMarkup } from 'react-dom/server'
import { expect, it } from 'vitest'
import { FieldValue } from './FieldValue'

it.each([
  ['<img src=x onerror=alert(1)>', '&lt;img src=x onerror=alert(1)&gt;', '<img'],
  ['"><script>', '&quot;&gt;&lt;script&gt;', '<script'],
  ['\u001b[2Jx', '\\e', '\u001b'],
  ['\u202Eabc', '\\u{202e}', '\u202E'],
])('%j is text, not markup', (value, shown, never) => {
  const html = renderToStaticMarkup(<FieldValue value={value} />)
  expect(html).toContain(shown)
  expect(html).not.toContain(never)
})

it('cuts what is too long and says so', () => {
  expect(renderToStaticMarkup(<FieldValue value={'x'.repeat(50)} limit={10} />)).toContain('40 more characters')
})
