/** Fans one event stream out to many pages. Lives in the SharedWorker, or in the page where there is none. */

/** What a page says to the hub. */
export type ToHub =
  | { type: 'hello' }
  | { type: 'ping' }
  | { type: 'bye' }
  | { type: 'reconnect' }
  | { type: 'tail'; id: string; query: string }
  | { type: 'untail'; id: string }

/** What the hub says to a page. */
export type FromHub =
  | { type: 'live'; live: boolean }
  | { type: 'alert'; data: unknown }
  | { type: 'status'; data: unknown }
  | { type: 'events'; id: string; events: Record<string, unknown>[] }
  | { type: 'dropped'; id: string; count: number }

export interface HubPort {
  postMessage(message: FromHub): void
}

interface Page {
  tails: Map<string, string>
  seen: number
}

/** A page that said nothing for this long is gone: background tabs still ping once a minute. */
const SILENT_MS = 180_000
const RETRY_MS_MAX = 30_000

export class Hub {
  private pages = new Map<HubPort, Page>()
  private source: EventSource | null = null
  private url = ''
  private live = false
  private retryMs = 1_000
  private timer: ReturnType<typeof setTimeout> | null = null

  constructor(
    private open: (url: string) => EventSource,
    private now: () => number,
  ) {}

  receive(port: HubPort, message: ToHub) {
    if (message.type === 'bye') {
      this.pages.delete(port)
      this.plan(0)
      return
    }
    const page = this.pages.get(port) ?? { tails: new Map<string, string>(), seen: 0 }
    page.seen = this.now()
    this.pages.set(port, page)
    if (message.type === 'tail') page.tails.set(message.id, message.query)
    if (message.type === 'untail') page.tails.delete(message.id)
    if (message.type === 'hello') port.postMessage({ type: 'live', live: this.live })
    if (message.type === 'reconnect') this.close()
    if (message.type !== 'ping') this.plan(0)
  }

  /** Forgets pages that vanished without a goodbye. */
  dropSilent() {
    for (const [port, page] of this.pages) if (this.now() - page.seen > SILENT_MS) this.pages.delete(port)
    this.plan(0)
  }

  private plan(delayMs: number) {
    if (this.timer) clearTimeout(this.timer)
    this.timer = setTimeout(() => this.connect(), delayMs)
  }

  private connect() {
    this.timer = null
    if (this.pages.size === 0) return this.close()
    const url = this.wanted()
    if (this.source && url === this.url && this.source.readyState !== 2) return
    this.close()
    this.url = url
    const source = this.open(url)
    this.source = source
    source.onopen = () => {
      this.retryMs = 1_000
      this.setLive(true)
    }
    source.onerror = () => this.failed(source)
    for (const name of ['alert', 'status', 'events', 'dropped'] as const) {
      source.addEventListener(name, (event) => this.deliver(name, (event as MessageEvent<string>).data))
    }
  }

  private wanted(): string {
    const tails = [...this.pages.values()].flatMap((page) => [...page.tails])
    const params = tails.map(([id, query]) => `tail=${encodeURIComponent(`${id}:${query}`)}`)
    return `/api/v1/stream${params.length > 0 ? `?${params.join('&')}` : ''}`
  }

  private failed(source: EventSource) {
    if (source !== this.source) return
    this.setLive(false)
    // While CONNECTING the browser retries by itself; a refusal (401, 5xx) closes the source for good.
    if (source.readyState !== 2) return
    this.close()
    this.plan(this.retryMs)
    this.retryMs = Math.min(this.retryMs * 2, RETRY_MS_MAX)
  }

  private deliver(name: 'alert' | 'status' | 'events' | 'dropped', text: string) {
    let data: unknown
    try {
      data = JSON.parse(text)
    } catch {
      return
    }
    if (name === 'alert' || name === 'status') {
      for (const port of this.pages.keys()) port.postMessage({ type: name, data } as FromHub)
      return
    }
    const { id } = data as { id: string }
    for (const [port, page] of this.pages) {
      if (page.tails.has(id)) port.postMessage({ type: name, ...(data as object) } as FromHub)
    }
  }

  private close() {
    this.source?.close()
    this.source = null
    this.url = ''
    this.setLive(false)
  }

  private setLive(live: boolean) {
    if (this.live === live) return
    this.live = live
    for (const port of this.pages.keys()) port.postMessage({ type: 'live', live })
  }
}
