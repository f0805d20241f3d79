import { describe, expect, it, vi } from 'vitest'
import { ApiError, backtest, search, serverSent } from './client'
import { type FromHub, Hub } from './hub'
import type { SearchEvent } from './types'

class FakeSource {
  static opened: FakeSource[] = []
  readyState = 0
  onopen: (() => void) | null = null
  onerror: (() => void) | null = null
  private handlers = new Map<string, (event: unknown) => void>()
  constructor(public url: string) {
    FakeSource.opened.push(this)
  }
  addEventListener(name: string, handler: (event: unknown) => void) {
    this.handlers.set(name, handler)
  }
  emit(name: string, data: unknown) {
    this.handlers.get(name)?.({ data: typeof data === 'string' ? data : JSON.stringify(data) })
  }
  close() {
    this.readyState = 2
  }
}

function port() {
  const got: FromHub[] = []
  return { got, postMessage: (message: FromHub) => got.push(message) }
}

describe('hub', () => {
  it('holds one connection for many pages and gives tails to who asked', () => {
    vi.useFakeTimers()
    FakeSource.opened = []
    let now = 0
    const hub = new Hub((url) => new FakeSource(url) as unknown as EventSource, () => now)
    const [a, b] = [port(), port()]
    hub.receive(a, { type: 'hello' })
    hub.receive(b, { type: 'hello' })
    hub.receive(b, { type: 'tail', id: 't1', query: 'a&b:c' })
    vi.runAllTimers()
    expect(FakeSource.opened.map((each) => each.url)).toEqual(['/api/v1/stream?tail=q0%3Aa%26b%3Ac'])
    const source = FakeSource.opened[0] as FakeSource
    source.onopen?.()
    source.emit('events', { id: 'q0', events: [{ x: 1 }] })
    source.emit('alert', { id: 'a1' })
    source.emit('alert', 'not json')
    expect(a.got.map((message) => message.type)).toEqual(['live', 'live', 'alert'])
    expect(b.got.map((message) => message.type)).toEqual(['live', 'live', 'events', 'alert'])

    source.readyState = 2
    source.onerror?.()
    vi.advanceTimersByTime(1_000)
    expect(FakeSource.opened).toHaveLength(2)

    now = 200_000
    hub.receive(a, { type: 'ping' })
    hub.dropSilent()
    vi.runAllTimers()
    expect(FakeSource.opened.at(-1)?.url).toBe('/api/v1/stream')
    hub.receive(a, { type: 'bye' })
    vi.runAllTimers()
    expect(FakeSource.opened.at(-1)?.readyState).toBe(2)
    vi.useRealTimers()
  })

  it('shares equal questions, and goes on without those that the server refuses', () => {
    vi.useFakeTimers()
    FakeSource.opened = []
    const hub = new Hub((url) => new FakeSource(url) as unknown as EventSource, () => 0)
    const [a, b] = [port(), port()]
    hub.receive(a, { type: 'tail', id: 'x', query: 'bad (' })
    hub.receive(b, { type: 'tail', id: 'y', query: 'bad (' })
    vi.runAllTimers()
    const first = FakeSource.opened[0] as FakeSource
    expect(first.url).toBe('/api/v1/stream?tail=q0%3Abad%20(')
    first.readyState = 2
    first.onerror?.()
    vi.runAllTimers()
    expect(a.got).toContainEqual({ type: 'refused', id: 'x' })
    expect(b.got).toContainEqual({ type: 'refused', id: 'y' })
    expect(FakeSource.opened.at(-1)?.url).toBe('/api/v1/stream')
    vi.useRealTimers()
  })
})

function streamOf(chunks: (string | Uint8Array)[]) {
  return new ReadableStream({
    start(controller) {
      for (const chunk of chunks) controller.enqueue(typeof chunk === 'string' ? new TextEncoder().encode(chunk) : chunk)
      controller.close()
    },
  })
}

describe('server-sent events', () => {
  async function read(chunks: (string | Uint8Array)[], charsMax?: number) {
    const events: string[] = []
    for await (const { name, data } of serverSent(new Response(streamOf(chunks)), charsMax)) events.push(`${name}=${data}`)
    return events
  }

  const long = 'event: rows\r\ndata: [{"m":"größer 🐾"}]\r\n\r\n: ping\r\n\r\ndata:a\r\ndata: b\r\n\r\n'
  it.each<[string, string[], string[]]>([
    ['a name and data', ['event: kind\ndata: {}\n\n'], ['kind={}']],
    ['no name, and no blank after the colon', ['data:x\n\n'], ['message=x']],
    ['only the first blank is none of the data', ['data:  x \n\n'], ['message= x ']],
    ['more than one line of data', ['data: a\ndata:\ndata: b\n\n'], ['message=a\n\nb']],
    ['colons in the data', ['data: a:b: c\n\n'], ['message=a:b: c']],
    ['every kind of line end', ['data: a\r\ndata: b\rdata: c\n\r\n'], ['message=a\nb\nc']],
    ['a line end in two chunks', ['event: a\r', '\ndata: b\r', '\n\r', '\n', 'data: c\r', '\r'], ['a=b', 'message=c']],
    ['comments and other fields', [': ping\n\nid: 7\nretry: 9\ndata: a\ndatas: b\n\n'], ['message=a']],
    ['a name without data', ['event: a\n\ndata: b\n\n'], ['message=b']],
    ['a field without a colon', ['data\ndata\n\n'], ['message=\n']],
    ['an end in the middle of an event', ['data: a\n\ndata: b\n'], ['message=a']],
    ['nothing', [], []],
  ])('%s', async (_, chunks, expected) => {
    expect(await read(chunks)).toEqual(expected)
  })

  it('is the same however it is cut, within a character too', async () => {
    const bytes = new TextEncoder().encode(long)
    for (let size = 1; size <= bytes.length; size += 1) {
      const chunks = Array.from({ length: Math.ceil(bytes.length / size) }, (_, i) => bytes.slice(i * size, (i + 1) * size))
      expect(await read(chunks), `chunks of ${size}`).toEqual(['rows=[{"m":"größer 🐾"}]', 'message=a\nb'])
    }
  })

  it('keeps no event without end', async () => {
    await expect(read(['data: 12345678\n', 'data: 12345678'], 20)).rejects.toThrow('too long')
    await expect(read(['data: 12345678\n\n', 'data: 12345678\n\n'], 20)).resolves.toHaveLength(2)
  })
})

describe('search', () => {
  async function ask(chunks: string[], status = 200) {
    const fetched = vi.fn(async (_path: string, _init: RequestInit) => new Response(streamOf(chunks), { status }))
    vi.stubGlobal('fetch', fetched)
    const got: SearchEvent[] = []
    const end = await search({ query: 'a', from: null, to: null, limit: 10 }, new AbortController().signal, (event) => got.push(event)).catch((error: unknown) => error)
    return { got, end, init: fetched.mock.calls[0]?.[1] }
  }
  const kind = 'event: kind\ndata: {"kind":"table","columns":["a,b"]}\n\n'

  it('tells each part, then what is said at the end', async () => {
    const { got, end, init } = await ask([kind, 'event: rows\ndata: [{"a,b":1}]\n\nevent: end\ndata: {"rows":1,"exhausted":false,"cursor":"7.1"}\n\n'])
    expect(new Headers(init?.headers).get('accept')).toContain('text/event-stream')
    expect(got).toEqual([
      { name: 'kind', data: { kind: 'table', columns: ['a,b'] } },
      { name: 'rows', data: [{ 'a,b': 1 }] },
    ])
    expect(end).toMatchObject({ exhausted: false, cursor: '7.1' })
  })

  it('throws an error of the stream as one of any other call', async () => {
    const error = { code: 'limit', message: 'read_bytes_max', hint: 'shorter', from: 2, to: 5 }
    const { got, end } = await ask([kind, `event: error\ndata: ${JSON.stringify({ error })}\n\n`])
    expect(got).toHaveLength(1)
    expect(end).toBeInstanceOf(ApiError)
    expect(end).toMatchObject(error)
    expect((await ask([JSON.stringify({ error })], 400)).end).toMatchObject({ ...error, status: 400 })
  })

  it('does not take a stream that was cut for a whole answer', async () => {
    expect((await ask([kind])).end).toMatchObject({ code: 'cut' })
  })
})

describe('backtest', () => {
  const progress = (done: number) => `${JSON.stringify({ progress: { done, events: 10, hits: 1 } })}\n`
  const report = `${JSON.stringify({ report: { events: 10, hits: 1, seconds: 0.1, problems: [], rules: [] } })}\n`
  it.each<[string, string[], number[], string]>([
    ['progress, then the report', [progress(1), progress(5), report], [1, 5], '10 events'],
    ['lines cut by chunks', [progress(1).slice(0, 9), progress(1).slice(9) + report.slice(0, 20), report.slice(20)], [1], '10 events'],
    ['only the newest progress of a chunk', [progress(1) + progress(2) + progress(3) + report], [3], '10 events'],
    ['no line break at the end', [report.trimEnd()], [], '10 events'],
    ['an error in place of the report', [progress(4), '{"error":{"code":"internal","message":"a segment cannot be read"}}\n'], [4], 'a segment cannot be read'],
    ['an end without a report', [progress(4)], [4], 'The answer ended before its report'],
    ['nothing at all', [], [], 'The answer ended before its report'],
  ])('%s', async (_, chunks, seen, end) => {
    vi.stubGlobal('fetch', async () => new Response(streamOf(chunks)))
    const done: number[] = []
    const answer = backtest({ rule: 'r', from: null }, new AbortController().signal, (next) => done.push(next.done))
    expect(await answer.then((report) => `${report.events} events`, (error: Error) => error.message)).toBe(end)
    expect(done).toEqual(seen)
  })
})
