/** Short messages at the bottom, with undo for 8 seconds. */
import { useSyncExternalStore } from 'react'
import { visible } from '@/lib/escape'

export interface Toast {
  text: string
  undo?: () => void
  /** Errors stay longer and are announced at once. */
  error?: boolean
}

interface Shown extends Toast {
  id: number
}

/** Longer texts take longer to read. */
const LONG_TEXT = 60

let shown: Shown[] = []
let next = 1
const listeners = new Set<() => void>()

export function toast(item: Toast) {
  const id = next
  next += 1
  set([...shown.slice(-3), { ...item, id }])
  const long = item.undo || item.error || item.text.length > LONG_TEXT
  setTimeout(() => set(shown.filter((other) => other.id !== id)), long ? 8_000 : 3_000)
}

function set(items: Shown[]) {
  shown = items
  for (const listener of listeners) listener()
}

export function Toasts() {
  const items = useSyncExternalStore(
    (listener) => {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
    () => shown,
  )
  return (
    <div role="status" aria-live="polite" className="pointer-events-none fixed bottom-4 left-1/2 z-50 flex -translate-x-1/2 flex-col items-center gap-2">
      {items.map((item) => (
        <div key={item.id} className="bg-raised border-line-strong pointer-events-auto flex max-w-xl items-center gap-3 rounded border px-3 py-1.5 shadow-lg">
          <span className={`break-words ${item.error ? 'font-semibold' : ''}`}>{visible(item.text)}</span>
          {item.undo && (
            <button
              type="button"
              className="text-accent h-6 font-semibold"
              onClick={() => {
                set(shown.filter((other) => other.id !== item.id))
                item.undo?.()
              }}
            >
              Undo
            </button>
          )}
        </div>
      ))}
    </div>
  )
}
