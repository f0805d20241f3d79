import { act, useEffect } from 'react'
import { createRoot } from 'react-dom/client'
import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import type { SearchRequest } from '@/api/client'
import type { Histogram } from '@/api/types'
import { settle } from '../data/mount.test-util'
import { isWhole, progressOf } from './progress'
import { canGoOn, useRun } from './useRun'

/** An answer that the test gives bit by bit. */
interface Asked {
  body: SearchRequest
  signal: AbortSignal
  say: (name: string, data: unknown) => Promise<void>
}

let asked: Asked[] = []
let used: ReturnType<typeof useRun>
let unmount = async () => {}
const tell = (now: typeof used) => void (used = now)

beforeEach(() => {
  asked = []
  vi.stubGlobal('IS_REACT_ACT_ENVIRONMENT', true)
  vi.stubGlobal('fetch', async (_path: string, init: RequestInit) => {
    const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>()
    const writer = writable.getWriter()
    const signal = init.signal as AbortSignal
    signal.addEventListener('abort', () => void writer.abort(new DOMException('stopped', 'AbortError')).catch(() => {}))
    const say = async (name: string, data: unknown) => {
      void writer.write(new TextEncoder().encode(`event: ${name}\ndata: ${JSON.stringify(data)}\n\n`)).catch(() => {})
      if (name === 'end') void writer.close().catch(() => {})
      await settle()
      await act(() => new Promise(requestAnimationFrame))
    }
    asked.push({ body: JSON.parse(init.body as string) as SearchRequest, signal, say })
    return new Response(readable)
  })
})
afterEach(async () => {
  await unmount()
  vi.unstubAllGlobals()
})

function Page({ query, to }: { query: string; to: string }) {
  const now = useRun(query, 'now-1h', to, 0)
  useEffect(() => tell(now))
  return null
}

async function run(query = 'a', to = 'now') {
  const root = createRoot(document.createElement('div'))
  const show = (next: string) => act(async () => root.render(<Page query={next} to={to} />))
  await show(query)
  unmount = () => act(async () => root.unmount())
  return show
}

const last = () => asked.at(-1) as Asked
const page = (from: number, count: number) => Array.from({ length: count }, (_, i) => ({ 'event.id': String(from - i) }))
const kind = { kind: 'events', columns: [] }
const FROM = '2026-11-23T09:00:00.123456Z'
const TO = '2026-11-23T10:00:00.123456Z'
function histogram(completeFrom: string, count: number): Histogram {
  return { from: FROM, to: TO, bucket_ms: 60_000, count, complete_from: completeFrom, buckets: [] }
}

it('shows rows, chart and progress as they come', async () => {
  await run()
  expect(last().body).toEqual({ query: 'a', from: 'now-1h', to: 'now', limit: 1000, histogram: { buckets: 90, by: 'event.severity' } })
  expect(used.run).toMatchObject({ state: 'running', ready: false })
  await last().say('kind', kind)
  await last().say('rows', page(9, 2))
  expect(used.run).toMatchObject({ state: 'running', ready: true, histogram: null })
  expect(used.run.rows).toHaveLength(2)
  await last().say('histogram', histogram('2026-11-23T09:45:00.123456Z', 2))
  await last().say('progress', { events: 50, events_done: 21 })
  expect(progressOf(used.run)).toEqual({ doing: 'searching', share: 0.42 })
  await last().say('progress', { events: 50, events_done: 50 })
  expect(progressOf(used.run)).toEqual({ doing: 'counting', share: 0.25 })
  await last().say('histogram', histogram(FROM, 3))
  await last().say('rows', page(7, 1))
  await last().say('end', { rows: 3, exhausted: true, cursor: null })
  expect(used.run).toMatchObject({ state: 'done', exhausted: true, cursor: null, histogram: { count: 3 } })
  expect(used.run.histogram && isWhole(used.run.histogram)).toBe(true)
  expect(used.run.rows.map((row) => row['event.id'])).toEqual(['9', '8', '7'])
  act(() => used.older())
  expect(asked).toHaveLength(1)
})

it('goes on from the cursor, within the bounds of the first page and without another chart', async () => {
  await run()
  await last().say('kind', kind)
  await last().say('rows', page(2000, 1000))
  await last().say('progress', { events: 100, events_done: 1 })
  await last().say('histogram', histogram('2026-11-23T09:30:00.123456Z', 700))
  expect(progressOf(used.run)).toEqual({ doing: 'counting', share: 0.5 })
  act(() => used.older())
  expect(asked).toHaveLength(1)
  await last().say('histogram', histogram(FROM, 1001))
  await last().say('end', { rows: 1000, exhausted: false, cursor: '17.1001' })
  expect(canGoOn(used.run)).toBe(true)
  act(() => used.older())
  expect(last().body).toEqual({ query: 'a', from: FROM, to: TO, limit: 1000, cursor: '17.1001' })
  expect(used.run).toMatchObject({ state: 'running', histogram: { count: 1001 } })
  expect(used.run.rows).toHaveLength(1000)
  await last().say('kind', kind)
  await last().say('rows', page(1000, 1))
  await last().say('end', { rows: 1, exhausted: true, cursor: null })
  expect(used.run).toMatchObject({ state: 'done', exhausted: true, histogram: { count: 1001 } })
  expect(used.run.rows).toHaveLength(1001)
})

it('leaves an open end open', async () => {
  await run('a', '')
  await last().say('kind', kind)
  await last().say('rows', page(2000, 1000))
  await last().say('histogram', histogram(FROM, 1001))
  await last().say('end', { rows: 1000, exhausted: false, cursor: '17.1001' })
  act(() => used.older())
  expect(last().body).toMatchObject({ from: FROM, to: null })
})

it('does not go on where the server cannot', async () => {
  await run('a | sort b')
  await last().say('kind', kind)
  await last().say('rows', page(2000, 1000))
  await last().say('histogram', histogram(FROM, 5000))
  await last().say('end', { rows: 1000, exhausted: false, cursor: null })
  expect(canGoOn(used.run)).toBe(false)
  act(() => used.older())
  expect(asked).toHaveLength(1)
})

it('keeps what is there when it is cancelled', async () => {
  await run()
  await last().say('kind', kind)
  await last().say('rows', page(9, 2))
  await last().say('histogram', histogram('2026-11-23T09:45:00.123456Z', 2))
  act(() => used.cancel())
  expect(last().signal.aborted).toBe(true)
  await settle()
  expect(used.run).toMatchObject({ state: 'cancelled', histogram: { count: 2 } })
  expect(used.run.rows).toHaveLength(2)
})

it('says what went wrong', async () => {
  await run()
  await last().say('kind', kind)
  await last().say('error', { error: { code: 'limit', message: 'too much to read', hint: 'shorter' } })
  expect(used.run).toMatchObject({ state: 'error', error: { code: 'limit', message: 'too much to read', hint: 'shorter' } })
})

it('shows the rows of a question whose chart fails', async () => {
  await run()
  await last().say('kind', kind)
  await last().say('histogram_error', { error: { code: 'limit', message: 'too many values' } })
  await last().say('rows', page(9, 2))
  await last().say('end', { rows: 2, exhausted: true, cursor: null })
  expect(used.run).toMatchObject({ state: 'done', chartError: 'too many values', exhausted: true })
  expect(used.run.rows).toHaveLength(2)
})

it('hears no more of the question before', async () => {
  const show = await run()
  const first = last()
  await first.say('kind', { kind: 'table', columns: ['x'] })
  await first.say('rows', [{ x: 1 }])
  await show('b')
  expect(first.signal.aborted).toBe(true)
  expect(used.run).toMatchObject({ state: 'running', kind: 'table', rows: [], ready: false })
  await last().say('kind', kind)
  await first.say('rows', [{ x: 2 }])
  expect(used.run).toMatchObject({ kind: 'events', rows: [], state: 'running' })
})
