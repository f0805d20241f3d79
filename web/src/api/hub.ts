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
  /** The server does not follow this question: it is wrong, or there are too many. */
  | { type: 'refused'; id: string }

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
/** Tails that the server takes on one stream. Pages with the same question share one. */
const TAILS_MAX = 8

export class Hub {
  private pages = new Map<HubPort, Page>()
  private source: EventSource | null = null
  private url = ''
  /** Name of a tail on the wire -> its question, for the stream that is open. */
  private asked = new Map<string, string>()
  /** Questions that the server refused: asking them again would cost all pages their stream. */
  private refused = new Set<string>()
  private opened = false
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
    if (message.type === 'tail') this.tail(port, page, message.id, message.query)
    if (message.type === 'untail') page.tails.delete(message.id)
    if (message.type === 'hello') port.postMessage({ type: 'live', live: this.live })
    if (message.type === 'reconnect') {
      this.refused.clear()
      this.close()
    }
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
    const asked = this.wanted()
    const tails = [...asked].map(([name, query]) => `tail=${encodeURIComponent(`${name}:${query}`)}`)
    const url = `/api/v1/stream${tails.length > 0 ? `?${tails.join('&')}` : ''}`
    if (this.source && url === this.url && this.source.readyState !== 2) return
    this.close()
    this.url = url
    this.asked = asked
    this.opened = false
    const source = this.open(url)
    this.source = source
    source.onopen = () => {
      this.retryMs = 1_000
      this.opened = true
      this.setLive(true)
    }
    source.onerror = () => this.failed(source)
    for (const name of ['alert', 'status', 'events', 'dropped'] as const) {
      source.addEventListener(name, (event) => this.deliver(name, (event as MessageEvent<string>).data))
    }
  }

  private tail(port: HubPort, page: Page, id: string, query: string) {
    page.tails.set(id, query)
    const others = new Set([...this.pages.values()].flatMap((each) => [...each.tails.values()]))
    const known = [...others].slice(0, TAILS_MAX).includes(query)
    if (!known || this.refused.has(query)) port.postMessage({ type: 'refused', id })
  }

  private wanted(): Map<string, string> {
    const queries = new Set([...this.pages.values()].flatMap((page) => [...page.tails.values()]))
    const good = [...queries].filter((query) => !this.refused.has(query)).slice(0, TAILS_MAX)
    return new Map(good.map((query, index) => [`q${index}`, query]))
  }

  private failed(source: EventSource) {
    if (source !== this.source) return
    this.setLive(false)
    // While CONNECTING the browser retries by itself; a refusal (401, 5xx) closes the source for good.
    if (source.readyState !== 2) return
    if (!this.opened && this.asked.size > 0) this.refuse()
    this.close()
    this.plan(this.retryMs)
    this.retryMs = Math.min(this.retryMs * 2, RETRY_MS_MAX)
  }

  /** A stream with tails was refused at once: go on without them rather than lose alerts and status. */
  private refuse() {
    for (const query of this.asked.values()) this.refused.add(query)
    for (const [port, page] of this.pages) {
      for (const [id, query] of page.tails) if (this.refused.has(query)) port.postMessage({ type: 'refused', id })
    }
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
    const query = this.asked.get((data as { id: string }).id)
    if (query === undefined) return
    for (const [port, page] of this.pages) {
      for (const [id, wanted] of page.tails) if (wanted === query) port.postMessage({ ...(data as object), type: name, id } as FromHub)
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
