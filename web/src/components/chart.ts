/** What all uPlot charts share: token colours on a canvas, one zone with the tables. */
import uPlot from 'uplot'
import { formatTime, type Zone } from '@/lib/time'

/** The colour behind a token right now, as a canvas understands it. */
export function tokenColour(name: string): string {
  const probe = document.createElement('span')
  probe.style.color = `var(--${name})`
  document.body.append(probe)
  const colour = getComputedStyle(probe).color
  probe.remove()
  return colour
}

export function zoneDate(zone: Zone): (seconds: number) => Date {
  return (seconds) => (zone === 'utc' ? uPlot.tzDate(new Date(seconds * 1000), 'Etc/UTC') : new Date(seconds * 1000))
}

/** Labels of the time axis: 24 hours, the date when the day changes. */
export function timeLabels(zone: Zone): uPlot.Axis.DynamicValues {
  return (_, splits, _axis, _space, incr) => {
    let day = ''
    return splits.map((seconds) => {
      const text = formatTime(seconds * 1000, zone, 'ms')
      const [date, time] = [text.slice(5, 10), text.slice(11)]
      if (incr >= 86_400) return date
      const clock = incr >= 60 ? time.slice(0, 5) : incr >= 1 ? time.slice(0, 8) : time.slice(3)
      const shown = date === day || day === '' ? clock : `${date} ${clock}`
      day = date
      return shown
    })
  }
}

export function axes(zone: Zone): uPlot.Axis[] {
  const base: uPlot.Axis = {
    stroke: tokenColour('muted'),
    font: '11px Inter, system-ui, sans-serif',
    grid: { stroke: tokenColour('line'), width: 1 },
    ticks: { show: false },
  }
  return [
    { ...base, values: timeLabels(zone), size: 20, gap: 4, grid: { show: false }, space: 90 },
    { ...base, size: 44, gap: 6, space: 28, values: (_, values) => values.map(shortNumber) },
  ]
}

function shortNumber(value: number): string {
  if (!Number.isInteger(value) && Math.abs(value) < 10) return value.toFixed(1)
  if (Math.abs(value) >= 1e6) return `${+(value / 1e6).toFixed(1)}M`
  return Math.abs(value) >= 1e3 ? `${+(value / 1e3).toFixed(1)}k` : String(Math.round(value))
}
