/** Lines over time with a legend that says the last value; the table beside it has all numbers. */
import { useEffect, useRef } from 'react'
import uPlot from 'uplot'
import 'uplot/dist/uPlot.min.css'
import { visible } from '@/lib/escape'
import { isDark, usePrefs } from '@/lib/prefs'
import type { Lines } from '@/lib/timechart'
import { axes, tokenColour, zoneDate } from './chart'

const HEIGHT = 200

export function LineChart({ lines, label, onZoom }: { lines: Lines; label: string; onZoom: (from: string, to: string) => void }) {
  const holder = useRef<HTMLDivElement>(null)
  const zoom = useRef(onZoom)
  zoom.current = onZoom
  const { zone, theme } = usePrefs()
  const dark = isDark()
  useEffect(() => {
    const element = holder.current
    if (!element) return
    const single = lines.names.length === 1
    const plot = new uPlot(
      {
        width: element.clientWidth,
        height: HEIGHT,
        tzDate: zoneDate(zone),
        padding: [8, 28, 0, 0],
        legend: { show: false },
        cursor: { drag: { x: true, y: false, dist: 4 }, y: false },
        scales: { y: { range: (_, min, max) => [Math.min(0, min), max === min ? max + 1 : max * 1.05] } },
        axes: axes(zone),
        series: [{}, ...lines.names.map((_, i): uPlot.Series => ({ stroke: tokenColour(single ? 'text' : colourOf(i)), width: 1.5, points: { show: lines.times.length < 40, size: 4 } }))],
        hooks: {
          setSelect: [
            (u) => {
              if (u.select.width < 4) return
              const at = (px: number) => new Date(u.posToVal(px, 'x') * 1000).toISOString()
              zoom.current(at(u.select.left), at(u.select.left + u.select.width))
            },
          ],
        },
      },
      [lines.times.map((ms) => ms / 1000), ...lines.values],
      element,
    )
    const observer = new ResizeObserver(() => plot.setSize({ width: element.clientWidth, height: HEIGHT }))
    observer.observe(element)
    return () => {
      observer.disconnect()
      plot.destroy()
    }
  }, [lines, zone, theme, dark])
  return (
    <figure className="px-4">
      {lines.names.length > 1 && (
        <figcaption className="flex flex-wrap gap-x-4 text-sm">
          {lines.names.map((name, i) => (
            <span key={name} className="flex items-center gap-1.5">
              <svg width="14" height="3" aria-hidden="true">
                <rect width="14" height="3" fill={`var(--${colourOf(i)})`} />
              </svg>
              <span className="data">{visible(name)}</span>
            </span>
          ))}
        </figcaption>
      )}
      <div ref={holder} role="img" aria-label={label} data-linechart className="w-full overflow-hidden" style={{ height: HEIGHT }} />
    </figure>
  )
}

/** Six categories, then "other" grey. */
function colourOf(index: number): string {
  return index < 6 ? `cat-${index + 1}` : 'line-strong'
}
