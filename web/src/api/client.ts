/** Every call to /api/v1 goes through here: errors in one shape, the CSRF header, answers as streams. */
import type { BacktestProgress, BacktestReport, SearchEnd, SearchEvent } from './types'

/** What the server said went wrong, in the words to show. `from` and `to` are byte offsets in a query. */
export class ApiError extends Error {
  status: number
  code: string
  hint: string | null
  from: number | null
  to: number | null

  constructor(status: number, body: ErrorBody) {
    super(body.message)
    this.status = status
    this.code = body.code
    this.hint = body.hint ?? null
    this.from = body.from ?? null
    this.to = body.to ?? null
  }
}

interface ErrorBody {
  code: string
  message: string
  hint?: string | null
  from?: number | null
  to?: number | null
}

const BASE = '/api/v1'

let onUnauthorized: () => void = () => {}

/** Called whenever the session has ended on the server. */
export function setUnauthorizedHandler(handler: () => void) {
  onUnauthorized = handler
}

export function get<T>(path: string, signal?: AbortSignal): Promise<T> {
  return call<T>('GET', path, undefined, signal)
}

export function post<T>(path: string, body: unknown, signal?: AbortSignal): Promise<T> {
  return call<T>('POST', path, body, signal)
}

export function put<T>(path: string, body: unknown): Promise<T> {
  return call<T>('PUT', path, body)
}

/** Sends a file as it is; its type says what it is. */
export function putFile(path: string, file: Blob): Promise<void> {
  return call<void>('PUT', path, file)
}

export function del(path: string): Promise<void> {
  return call<void>('DELETE', path)
}

async function call<T>(method: string, path: string, body?: unknown, signal?: AbortSignal): Promise<T> {
  const response = await send(method, path, body, signal)
  if (response.status === 204) return undefined as T
  return (await response.json()) as T
}

async function send(method: string, path: string, body: unknown, signal?: AbortSignal, accept = 'application/json, application/x-ndjson'): Promise<Response> {
  const headers: Record<string, string> = { accept }
  if (method !== 'GET') headers['x-pugmark-request'] = '1'
  if (body !== undefined) headers['content-type'] = body instanceof Blob ? body.type : 'application/json'
  let response: Response
  try {
    response = await fetch(BASE + path, {
      method,
      headers,
      body: body === undefined ? null : body instanceof Blob ? body : JSON.stringify(body),
      signal: signal ?? null,
      credentials: 'same-origin',
    })
  } catch (cause) {
    if (isAbort(cause)) throw cause
    throw new ApiError(0, {
      code: 'unreachable',
      message: 'The server does not answer',
      hint: 'Check that pugmark serve is running and that this address still reaches it, then retry.',
    })
  }
  if (!response.ok) throw await errorOf(response, path)
  return response
}

async function errorOf(response: Response, path: string): Promise<ApiError> {
  if (response.status === 401 && !path.startsWith('/auth/')) onUnauthorized()
  try {
    const body = (await response.json()) as { error?: ErrorBody }
    if (body.error) return new ApiError(response.status, body.error)
  } catch {
    // Not JSON: say the status below.
  }
  return new ApiError(response.status, {
    code: 'http',
    message: `The server answered ${response.status} to ${path}`,
    hint: 'Look at the log of the server for the reason.',
  })
}

export function isAbort(cause: unknown): boolean {
  return cause instanceof DOMException && cause.name === 'AbortError'
}

export interface SearchRequest {
  query: string
  from: string | null
  to: string | null
  limit: number
  /** Goes on after the page that ended with it. */
  cursor?: string
  /** Asks for events over time, too. */
  histogram?: { buckets: number; by: string }
}

/** Asks a search whose answer comes in parts: `onEvent` for each of them, then what is said at the end. Aborting stops the server's work. */
export async function search(request: SearchRequest, signal: AbortSignal, onEvent: (event: SearchEvent) => void): Promise<SearchEnd> {
  const response = await send('POST', '/search', request, signal, 'text/event-stream, application/json')
  for await (const { name, data } of serverSent(response)) {
    if (name === 'error') throw new ApiError(200, (JSON.parse(data) as { error: ErrorBody }).error)
    if (name === 'end') return JSON.parse(data) as SearchEnd
    onEvent({ name, data: JSON.parse(data) } as SearchEvent)
  }
  throw cut('end')
}

export type ExportFormat = 'csv' | 'ndjson' | 'parquet'

/** A file of an answer as the server writes it, and the rows that it has at most. */
export async function exported(request: { query: string; from: string | null; to: string | null; format: ExportFormat }): Promise<{ file: Blob; rowsMax: number }> {
  const response = await send('POST', '/export', request)
  return { file: await response.blob(), rowsMax: Number(response.headers.get('x-pugmark-cap')) }
}

export interface BacktestRequest {
  /** Id of a rule in force; or `text`. */
  rule?: string
  text?: string
  from: string | null
}

/** Tries rules on what is stored: `onProgress` now and then, the report at the end. Aborting stops the server's work. */
export async function backtest(request: BacktestRequest, signal: AbortSignal, onProgress: (progress: BacktestProgress) => void): Promise<BacktestReport> {
  const response = await send('POST', '/rules/backtest', request, signal)
  const reports: BacktestReport[] = []
  await ndjson(response, (lines) => {
    const progress = lines.findLast((line) => line.progress !== undefined)?.progress
    if (progress) onProgress(progress as BacktestProgress)
    for (const line of lines) if (line.report !== undefined) reports.push(line.report as BacktestReport)
  })
  if (reports[0]) return reports[0]
  throw cut('report')
}

/** The error of an answer that ended without its last part. */
function cut(part: string): ApiError {
  return new ApiError(200, { code: 'cut', message: `The answer ended before its ${part}`, hint: 'The server may have stopped: look at its log, then try again.' })
}

/** Most characters of one server-sent event: far more than a hundred of the largest rows have. */
const EVENT_CHARS_MAX = 1 << 28

/** Reads server-sent events as they come. Comments, and fields other than `event` and `data`, are passed over. */
export async function* serverSent(response: Response, charsMax = EVENT_CHARS_MAX): AsyncGenerator<{ name: string; data: string }> {
  if (!response.body) return
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader()
  let [line, name, data] = ['', '', '']
  let afterCr = false
  try {
    for (;;) {
      const { value, done } = await reader.read()
      // An event that lacks the empty line at its end is not whole, and is dropped.
      if (done) return
      // The two characters of a line end can come in two chunks.
      const [first = '', ...others] = (afterCr && value.startsWith('\n') ? value.slice(1) : value).split(/\r\n|[\r\n]/)
      afterCr = value.endsWith('\r')
      line += first
      for (const next of others) {
        const [, field, text = ''] = /^([^:]*)(?:: ?(.*))?$/s.exec(line) ?? []
        if (field === 'event') name = text
        if (field === 'data') data += `${text}\n`
        if (line === '') {
          if (data !== '') yield { name: name || 'message', data: data.slice(0, -1) }
          name = data = ''
        }
        line = next
      }
      if (line.length + data.length > charsMax) throw new ApiError(200, { code: 'too_long', message: 'A part of the answer is too long to be read', hint: 'Ask for fewer rows, or for fewer fields of them.' })
    }
  } finally {
    reader.cancel().catch(() => {})
  }
}

async function ndjson(response: Response, onRows: (rows: Record<string, unknown>[]) => void) {
  if (!response.body) return
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader()
  let rest = ''
  for (;;) {
    const { value, done } = await reader.read()
    const lines = (rest + (value ?? '')).split('\n')
    rest = done ? '' : (lines.pop() ?? '')
    const rows = lines.filter((line) => line.trim() !== '').map((line) => JSON.parse(line))
    if (rows.length > 0) onRows(rows)
    // A stream that broke ends with a line of the error shape.
    const failed = rows.find((row) => row.error !== undefined)
    if (failed) throw new ApiError(200, failed.error as ErrorBody)
    if (done) return
  }
}
