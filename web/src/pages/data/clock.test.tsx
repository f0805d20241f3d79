import { expect, it } from 'vitest'
import type { ClockEstimate, SourceClock } from '@/api/types'
import { Clock } from './Clock'
import { clockWords, proposal, signed, span } from './clock'
import { button, fill, mount, press } from './mount.test-util'

const zone: ClockEstimate = { cause: 'zone', correction_seconds: -7200, confidence: 0.97, delay_seconds: -7198.6 }
const right: ClockEstimate = { cause: 'none', correction_seconds: 0, confidence: 1, delay_seconds: 1.4 }
const clock: SourceClock = { estimate: zone, correction_seconds: 0, corrections: [] }
const corrected: SourceClock = { estimate: zone, correction_seconds: -7200, corrections: [{ since: '2026-11-23T10:00:00Z', seconds: -7200, actor: 'ann', reason: 'local <b>time\u202E' }, { since: '2026-11-22T10:00:00Z', seconds: 0, actor: 'ben', reason: '' }] }

it.each([
  [7200, '2 h'],
  [-19_800, '5 h 30 min'],
  [420, '7 min'],
  [425, '425 s'],
  [90, '90 s'],
  [3725, '1 h 2 min'],
])('%s seconds are %s', (seconds, expected) => {
  expect(span(seconds)).toBe(expected)
})

it.each([
  [zone, 'Times of this source are 2 h ahead: it probably writes local time without a zone'],
  [{ ...zone, cause: 'clock' as const, correction_seconds: 420 }, 'Times of this source are 7 min behind: its clock is probably wrong'],
  [right, 'Its clock is right to the minute'],
])('says what a clock is wrong by: %j', (estimate, expected) => {
  expect(clockWords(estimate)).toBe(expected)
})

it('says what late events and too few events mean', () => {
  expect(clockWords({ ...zone, cause: 'late', correction_seconds: 0, delay_seconds: 10_800 })).toContain('after 3 h or more')
  expect(clockWords(null)).toContain('Too little came')
})

it.each([
  [clock, -7200],
  [corrected, null],
  [{ ...corrected, correction_seconds: -3600 }, -7200],
  [{ ...clock, estimate: right }, null],
  [{ ...clock, estimate: null }, null],
])('proposes what is not in force: %j', (known, expected) => {
  expect(proposal(known)).toBe(expected)
})

const shown = (known: SourceClock) => mount('/data', () => <Clock source="the till" clock={known} />, '/data', { 'PUT /sources/the%20till/clock': 204, 'DELETE /sources/the%20till/clock': 204 })

it('applies what is proposed, with a reason', async () => {
  const { page, sent, unmount } = await shown(clock)
  expect(button(page, 'Take the correction off')).toBeUndefined()
  await press(button(page, `Correct the times by ${signed(-7200)}`))
  await fill(document.querySelector('input'), 'local time')
  await press(button(page, 'Correct the times'))
  expect(sent.map(({ method, path, body }) => [method, path, body])).toEqual([['PUT', '/api/v1/sources/the%20till/clock', JSON.stringify({ correction_seconds: -7200, reason: 'local time' })]])
  expect(button(page, 'Leave it')).toBeUndefined()
  await unmount()
})

it('takes it off, and shows what was', async () => {
  const { page, sent, unmount } = await shown(corrected)
  expect(button(page, `Correct the times by ${signed(-7200)}`)).toBeUndefined()
  expect(page.textContent).toContain('−2 h is added to the times of new events.')
  const rows = Array.from(page.querySelectorAll('tbody tr'), (row) => Array.from(row.children, (cell) => cell.textContent).slice(1).join(' | '))
  expect(rows).toEqual(['−2 h | ann | local <b>time\\u{202e}', 'nothing | ben | '])
  await press(button(page, 'Take the correction off'))
  await press(button(page, 'Take it off'))
  expect(sent.map(({ method, path }) => [method, path])).toEqual([['DELETE', '/api/v1/sources/the%20till/clock']])
  await unmount()
})

it('asks to let go of a correction when the source was mended', async () => {
  const { page, unmount } = await shown({ ...corrected, estimate: right })
  expect(page.textContent).toContain('take the correction off')
  await unmount()
})
