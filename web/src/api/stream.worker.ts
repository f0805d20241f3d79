/// <reference lib="webworker" />
/**
 * One server-sent-events connection for all tabs of a browser: HTTP/1.1 allows six per origin, shared by every tab,
 * so one per tab would stop the seventh tab from loading at all.
 */
import { Hub, type ToHub } from './hub'

declare const self: SharedWorkerGlobalScope

const hub = new Hub((url) => new EventSource(url), () => Date.now())

self.onconnect = (event: MessageEvent) => {
  const port = event.ports[0]
  if (!port) return
  port.onmessage = (message: MessageEvent<ToHub>) => hub.receive(port, message.data)
  port.start()
}

setInterval(() => hub.dropSilent(), 30_000)
