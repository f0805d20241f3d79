/** The panel beside the table, as wide as the reader wants: drag its edge, or use the arrow keys on it. */
import { type KeyboardEvent, type PointerEvent, type ReactNode, useState } from 'react'

const MIN_PX = 320
const MAX_PX = 900
const STEP_PX = 32
const KEY = 'pugmark.panel'

export function Panel({ label, children }: { label: string; children: ReactNode }) {
  const [width, setWidth] = useState(() => clamp(Number(localStorage.getItem(KEY)) || 432))
  const change = (next: number) => {
    setWidth(clamp(next))
    localStorage.setItem(KEY, String(clamp(next)))
  }
  const onPointerMove = (event: PointerEvent) => {
    if (event.currentTarget.hasPointerCapture(event.pointerId)) change(window.innerWidth - event.clientX)
  }
  const onKeyDown = (event: KeyboardEvent) => {
    if (event.key === 'ArrowLeft') change(width + STEP_PX)
    else if (event.key === 'ArrowRight') change(width - STEP_PX)
    else return
    event.preventDefault()
  }
  return (
    <aside aria-label={label} className="border-line bg-surface relative flex max-w-[70%] shrink-0 flex-col border-l" style={{ width }}>
      <div
        role="separator"
        aria-orientation="vertical"
        aria-label="Width of the panel"
        aria-valuenow={width}
        aria-valuemin={MIN_PX}
        aria-valuemax={MAX_PX}
        tabIndex={0}
        className="hover:bg-accent focus-visible:bg-accent absolute inset-y-0 -left-1 z-10 w-1.5 cursor-col-resize touch-none"
        onPointerDown={(event) => event.currentTarget.setPointerCapture(event.pointerId)}
        onPointerMove={onPointerMove}
        onKeyDown={onKeyDown}
      />
      {children}
    </aside>
  )
}

function clamp(px: number): number {
  return Math.min(MAX_PX, Math.max(MIN_PX, Math.round(px)))
}
