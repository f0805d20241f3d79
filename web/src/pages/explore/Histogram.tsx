/** Events over time, stacked by severity with critical at the baseline. Drag to zoom, double click to widen. */
import { useEffect, useMemo, useRef, useState } from 'react'
import uPlot from 'uplot'
import 'uplot/dist/uPlot.min.css'
import type { Histogram as Data, Level } from '@/api/types'
import { axes, tokenColour, zoneDate } from '@/components/chart'
import { LEVELS, levelOfNumber, levelWord, SeverityShape, levelColour } from '@/components/Severity'
import { IconButton } from '@/components/ui'
import { count, plural } from '@/lib/number'
import { isDark, usePrefs } from '@/lib/prefs'
import { duration, formatTime, type Zone, zoneLabel } from '@/lib/time'
import { isWhole } from './progress'

type Band = Level | 'none'

const BANDS: Band[] = [...LEVELS, 'none']
const COLOUR: Record<Band, string> = { critical: 'critical-fill', high: 'high', medium: 'medium', low: 'low', informational: 'bar', none: 'line-strong' }
/** OCSF numbers of a level, for the filter that a click on the legend adds. */
const FILTER: Record<Band, string | null> = {
  critical: 'event.severity:>=5',
  high: 'event.severity:4',
  medium: 'event.severity:3',
  low: 'event.severity:2',
  informational: 'event.severity:1',
  none: null,
}
const HEIGHT = 104
/** Events are counted in whole numbers. */
const WHOLE = [1, 2, 5].flatMap((n) => Array.from({ length: 13 }, (_, e) => n * 10 ** e)).toSorted((a, b) => a - b)

interface Props {
  data: Data
  onZoom: (from: string, to: string) => void
  onWiden: () => void
  onFilter: (filter: string) => void
}

export function Histogram({ data, onZoom, onWiden, onFilter }: Props) {
  const [asTable, setAsTable] = useState(false)
  const bands = useMemo(() => stack(data), [data])
  const { zone } = usePrefs()
  const rest = (at: Zone) => (isWhole(data) ? '' : `not counted yet before ${formatTime(data.complete_from, at, 's')}`)
  const label = [`${plural(data.count, 'event')} from ${formatTime(data.from, 'utc', 's')} to ${formatTime(data.to, 'utc', 's')} UTC`, `in steps of ${duration(data.bucket_ms)}`, rest('utc')].filter(Boolean).join(', ')
  return (
    <section aria-label="Events over time" className="px-4">
      <div className="flex h-6 items-center gap-3 text-sm">
        {bands.shown.map((band) => (
          <Legend key={band} band={band} n={bands.totals[band] ?? 0} onFilter={onFilter} />
        ))}
        <span className="text-muted ml-auto truncate">{rest(zone)}</span>
        <span className="text-muted whitespace-nowrap">bars of {duration(data.bucket_ms)}</span>
        <IconButton icon={asTable ? 'chart' : 'table'} label={asTable ? 'View as chart' : 'View as table'} onClick={() => setAsTable(!asTable)} />
      </div>
      {asTable ? <AsTable data={data} onZoom={onZoom} /> : <Plot data={data} bands={bands} label={label} onZoom={onZoom} onWiden={onWiden} />}
    </section>
  )
}

function Legend({ band, n, onFilter }: { band: Band; n: number; onFilter: (filter: string) => void }) {
  const filter = FILTER[band]
  const inner = (
    <>
      {band === 'none' ? (
        <span className="bg-line-strong size-2.5" />
      ) : (
        <span className={band === 'informational' ? 'text-bar' : levelColour(band)}>
          <SeverityShape level={band} />
        </span>
      )}
      {band === 'none' ? 'No severity' : levelWord(band)} <span className="text-muted">{count(n)}</span>
    </>
  )
  const className = 'flex h-6 items-center gap-1.5 whitespace-nowrap'
  if (!filter) return <span className={className}>{inner}</span>
  return (
    <button type="button" className={`${className} hover:underline`} title={`Filter for ${filter}`} onClick={() => onFilter(filter)}>
      {inner}
    </button>
  )
}

interface Stacked {
  times: number[]
  shown: Band[]
  /** Cumulative heights, in the order of `shown`. */
  heights: number[][]
  totals: Partial<Record<Band, number>>
}

/** Splits the buckets into bands and adds them up from the baseline. */
export function stack(data: Data): Stacked {
  const counts = data.buckets.map((bucket) => {
    const out: Partial<Record<Band, number>> = {}
    let named = 0
    for (const [key, n] of Object.entries(bucket.by ?? {})) {
      const band = levelOfNumber(key) ?? 'none'
      out[band] = (out[band] ?? 0) + n
      named += n
    }
    if (bucket.count > named) out.none = (out.none ?? 0) + bucket.count - named
    return out
  })
  const totals: Partial<Record<Band, number>> = {}
  for (const bucket of counts) for (const band of BANDS) if (bucket[band]) totals[band] = (totals[band] ?? 0) + bucket[band]
  const shown = BANDS.filter((band) => (totals[band] ?? 0) > 0)
  const base = data.buckets.map(() => 0)
  const heights = shown.map((band) => counts.map((bucket, i) => (base[i] = (base[i] ?? 0) + (bucket[band] ?? 0))))
  return { times: data.buckets.map((bucket) => Date.parse(bucket.time) / 1000), shown, heights, totals }
}

interface PlotProps {
  data: Data
  bands: Stacked
  label: string
  onZoom: (from: string, to: string) => void
  onWiden: () => void
}

function Plot({ data, bands, label, onZoom, onWiden }: PlotProps) {
  const holder = useRef<HTMLDivElement>(null)
  const actions = useRef({ onZoom, onWiden })
  actions.current = { onZoom, onWiden }
  const [hover, setHover] = useState<number | null>(null)
  const { zone, theme } = usePrefs()
  const dark = isDark()
  useEffect(() => {
    const element = holder.current
    if (!element || bands.times.length === 0) return
    const bars = uPlot.paths.bars?.({ size: [0.9, 64], align: 1, gap: 0 })
    // The tallest stack is drawn first, the ones below it over it.
    const order = bands.shown.map((_, i) => i).reverse()
    const plot = new uPlot(
      {
        width: element.clientWidth,
        height: HEIGHT,
        tzDate: zoneDate(zone),
        padding: [6, 24, 0, 0],
        legend: { show: false },
        cursor: { drag: { x: true, y: false, dist: 4 }, points: { show: false }, y: false },
        scales: {
          x: { time: true, range: () => [Date.parse(data.from) / 1000, Math.max(Date.parse(data.to), Date.parse(data.from) + data.bucket_ms) / 1000] },
          y: { range: (_, _min, max) => [0, Math.max(1, max * 1.05)] },
        },
        axes: axes(zone).map((axis, i) => (i === 1 ? { ...axis, incrs: WHOLE } : axis)),
        series: [
          {},
          ...order.map((i): uPlot.Series => {
            const colour = tokenColour(COLOUR[bands.shown[i] ?? 'none'])
            return { fill: colour, stroke: colour, width: 0, points: { show: false }, ...(bars ? { paths: bars } : {}) }
          }),
        ],
        hooks: {
          // Shaded, so that what is not counted yet does not look like a time without events.
          drawClear: [
            (u) => {
              if (isWhole(data)) return
              const { left, top, height } = u.bbox
              u.ctx.save()
              u.ctx.globalAlpha = 0.5
              u.ctx.fillStyle = tokenColour('line')
              u.ctx.fillRect(left, top, Math.max(0, u.valToPos(Date.parse(data.complete_from) / 1000, 'x', true) - left), height)
              u.ctx.restore()
            },
          ],
          setSelect: [
            (u) => {
              if (u.select.width < 4) return
              const at = (px: number) => new Date(u.posToVal(px, 'x') * 1000).toISOString()
              const [from, to] = [at(u.select.left), at(u.select.left + u.select.width)]
              u.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false)
              actions.current.onZoom(from, to)
            },
          ],
          setCursor: [(u) => setHover(u.cursor.left !== undefined && u.cursor.left >= 0 ? bucketAt(u.posToVal(u.cursor.left, 'x'), bands.times) : null)],
          ready: [(u) => u.over.addEventListener('dblclick', () => actions.current.onWiden())],
        },
      },
      [bands.times, ...order.map((i) => bands.heights[i] ?? [])],
      element,
    )
    const observer = new ResizeObserver(() => plot.setSize({ width: element.clientWidth, height: HEIGHT }))
    observer.observe(element)
    return () => {
      observer.disconnect()
      plot.destroy()
    }
  }, [data, bands, zone, theme, dark])
  const bucket = hover === null ? undefined : data.buckets[hover]
  return (
    <div className="relative">
      <div ref={holder} role="img" aria-label={label} data-histogram className="w-full overflow-hidden" style={{ height: HEIGHT }} />
      {bucket && (
        <div className="bg-raised border-line pointer-events-none absolute top-0 right-0 rounded border px-2 py-0.5 text-sm">
          <span className="data">{formatTime(bucket.time, zone, 's')}</span> {zoneLabel(zone)} · <strong>{count(bucket.count)}</strong>
        </div>
      )}
    </div>
  )
}

function bucketAt(seconds: number, times: number[]): number | null {
  let found: number | null = null
  for (const [index, time] of times.entries()) if (time <= seconds) found = index
  return found
}

function AsTable({ data, onZoom }: { data: Data; onZoom: (from: string, to: string) => void }) {
  const { zone } = usePrefs()
  return (
    <div className="h-26 overflow-auto" tabIndex={0} role="region" aria-label="Events over time as a table">
      <table>
        <thead className="bg-bg sticky top-0">
          <tr className="text-muted text-left text-sm">
            <th scope="col" className="pr-6 font-normal">Start, {zoneLabel(zone)}</th>
            <th scope="col" className="text-right font-normal">Events</th>
          </tr>
        </thead>
        <tbody>
          {data.buckets.filter((bucket) => bucket.count > 0).map((bucket) => (
            <tr key={bucket.time}>
              <td className="data pr-6">
                <button
                  type="button"
                  className="text-accent h-6 hover:underline"
                  onClick={() => onZoom(bucket.time, new Date(Date.parse(bucket.time) + data.bucket_ms).toISOString())}
                >
                  {formatTime(bucket.time, zone, 's')}
                </button>
              </td>
              <td className="text-right">{count(bucket.count)}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  )
}
