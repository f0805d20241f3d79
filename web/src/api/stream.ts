/** The page's end of the live stream: status and alerts for everybody, tails for who asks. */
import { useEffect, useRef, useSyncExternalStore } from 'react'
import { putAlert, queryClient, status } from './queries'
import { Hub, type FromHub, type ToHub } from './hub'
import type { Alert, LogEvent, Status } from './types'

interface TailHandler {
  onEvents: (events: LogEvent[]) => void
  onDropped: (count: number) => void
  onRefused?: () => void
}

let send: ((message: ToHub) => void) | null = null
let live = false
const listeners = new Set<() => void>()
const tails = new Map<string, { query: string; handler: TailHandler }>()
const alertListeners = new Set<(alert: Alert) => void>()

/** Opens the stream once per page. Called when somebody is signed in. */
export function startStream() {
  if (send) return
  send = 'SharedWorker' in window ? viaWorker() : viaPage()
  greet()
  setInterval(() => send?.({ type: 'ping' }), 20_000)
  window.addEventListener('pagehide', () => send?.({ type: 'bye' }))
  window.addEventListener('pageshow', (event) => {
    if (event.persisted) greet()
  })
}

/** After login or logout the cookie is another one. */
export function restartStream() {
  send?.({ type: 'reconnect' })
}

/** Is the connection to the server up? */
export function useLive(): boolean {
  return useSyncExternalStore(
    (listener) => {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
    () => live,
  )
}

/** Calls back for each new or changed alert. */
export function useAlertEvents(onAlert: (alert: Alert) => void) {
  const latest = useRef(onAlert)
  latest.current = onAlert
  useEffect(() => {
    const listener = (alert: Alert) => latest.current(alert)
    alertListeners.add(listener)
    return () => {
      alertListeners.delete(listener)
    }
  }, [])
}

/** Follows a query while `query` is not null. */
export function useTail(query: string | null, handler: TailHandler) {
  const latest = useRef(handler)
  latest.current = handler
  useEffect(() => {
    if (query === null) return
    const id = `t${crypto.getRandomValues(new Uint32Array(2)).join('')}`
    tails.set(id, {
      query,
      handler: {
        onEvents: (events) => latest.current.onEvents(events),
        onDropped: (count) => latest.current.onDropped(count),
        onRefused: () => latest.current.onRefused?.(),
      },
    })
    send?.({ type: 'tail', id, query })
    return () => {
      tails.delete(id)
      send?.({ type: 'untail', id })
    }
  }, [query])
}

function greet() {
  send?.({ type: 'hello' })
  for (const [id, tail] of tails) send?.({ type: 'tail', id, query: tail.query })
}

function viaWorker(): (message: ToHub) => void {
  const worker = new SharedWorker(new URL('./stream.worker.ts', import.meta.url), { type: 'module', name: 'pugmark-stream' })
  worker.port.addEventListener('message', (event: MessageEvent<FromHub>) => receive(event.data))
  worker.port.start()
  return (message) => worker.port.postMessage(message)
}

/** Without SharedWorker a hidden page gives its connection back. */
function viaPage(): (message: ToHub) => void {
  const hub = new Hub((url) => new EventSource(url), () => Date.now())
  const port = { postMessage: (message: FromHub) => queueMicrotask(() => receive(message)) }
  document.addEventListener('visibilitychange', () => {
    if (document.hidden) hub.receive(port, { type: 'bye' })
    else greet()
  })
  return (message) => hub.receive(port, message)
}

function receive(message: FromHub) {
  if (message.type === 'live') {
    live = message.live
    for (const listener of listeners) listener()
  } else if (message.type === 'status') {
    queryClient.setQueryData<Status>(status.queryKey, message.data as Status)
  } else if (message.type === 'alert') {
    takeAlert(message.data as Alert)
  } else if (message.type === 'events') {
    tails.get(message.id)?.handler.onEvents(message.events)
  } else if (message.type === 'dropped') {
    tails.get(message.id)?.handler.onDropped(message.count)
  } else {
    tails.get(message.id)?.handler.onRefused?.()
  }
}

let refresh: ReturnType<typeof setTimeout> | null = null

function takeAlert(alert: Alert) {
  putAlert(alert)
  for (const listener of alertListeners) listener(alert)
  // Lists are asked again at most once a second, however fast alerts arrive.
  refresh ??= setTimeout(() => {
    refresh = null
    void queryClient.invalidateQueries({ queryKey: ['alerts'] })
  }, 1_000)
}
