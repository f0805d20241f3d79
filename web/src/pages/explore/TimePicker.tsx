/** The time range: quick, relative or absolute; the URL keeps what was typed. */
import { Popover } from '@base-ui/react/popover'
import { type FormEvent, type RefObject, useState } from 'react'
import { Icon } from '@/components/Icon'
import { buttonClass, Button, IconButton, inputClass } from '@/components/ui'
import { usePrefs } from '@/lib/prefs'
import { QUICK, rangeLabel, resolveTime, shiftRange, widenRange, zoneLabel } from '@/lib/time'

interface Props {
  from: string
  to: string
  onChange: (range: { from: string; to: string }) => void
  trigger: RefObject<HTMLButtonElement | null>
}

export function TimePicker({ from, to, onChange, trigger }: Props) {
  const [open, setOpen] = useState(false)
  const { zone } = usePrefs()
  const choose = (range: { from: string; to: string }) => {
    setOpen(false)
    onChange(range)
  }
  const shift = (direction: -1 | 1) => {
    const range = shiftRange(from, to, direction, Date.now())
    if (range) onChange(range)
  }
  return (
    <div className="flex items-center" role="group" aria-label="Time range">
      <IconButton icon="left" label="Earlier" className="!size-8" disabled={from === ''} onClick={() => shift(-1)} />
      <Popover.Root open={open} onOpenChange={setOpen}>
        <Popover.Trigger ref={trigger} className={buttonClass('default', 'max-w-96 !h-8')}>
          <Icon name="clock" />
          <span className="truncate">{rangeLabel(from, to, zone)}</span>
        </Popover.Trigger>
        <Popover.Portal>
          <Popover.Positioner sideOffset={4} align="end" className="z-50">
            <Popover.Popup aria-label="Time range" className="bg-raised border-line-strong flex rounded border shadow-lg outline-none">
              <ul className="border-line w-40 border-r py-1">
                {QUICK.map((range) => (
                  <li key={range.label}>
                    <button
                      type="button"
                      aria-current={range.from === from && range.to === to}
                      className="hover:bg-accent-soft aria-[current=true]:text-accent h-7 w-full px-3 text-left aria-[current=true]:font-semibold"
                      onClick={() => choose(range)}
                    >
                      {range.label}
                    </button>
                  </li>
                ))}
              </ul>
              <Custom from={from} to={to} zone={zoneLabel('utc')} onApply={choose} />
            </Popover.Popup>
          </Popover.Positioner>
        </Popover.Portal>
      </Popover.Root>
      <IconButton icon="right" label="Later" className="!size-8" disabled={from === ''} onClick={() => shift(1)} />
      <IconButton icon="zoomOut" label="Widen the time range" className="!size-8" onClick={() => onChange(widenRange(from, to, Date.now()))} />
    </div>
  )
}

function Custom({ from, to, zone, onApply }: { from: string; to: string; zone: string; onApply: (range: { from: string; to: string }) => void }) {
  const [error, setError] = useState('')
  const submit = (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault()
    const form = new FormData(event.currentTarget)
    const range = { from: String(form.get('from')).trim(), to: String(form.get('to')).trim() }
    for (const text of [range.from, range.to]) {
      if (text !== '' && resolveTime(text, Date.now()) === null) {
        setError(`“${text}” is not a time. Use now-15m, now-1d/d or 2026-11-23 10:00.`)
        return
      }
    }
    const start = range.from === '' ? Number.NEGATIVE_INFINITY : (resolveTime(range.from, Date.now()) ?? 0)
    const end = range.to === '' ? Number.POSITIVE_INFINITY : (resolveTime(range.to, Date.now()) ?? 0)
    if (start >= end) return setError('The start must be before the end.')
    onApply({ from: absolute(range.from), to: absolute(range.to) })
  }
  return (
    <form className="w-72 p-3" onSubmit={submit}>
      <label className="mb-2 block">
        <span className="mb-1 block">From</span>
        <input className={`${inputClass} data`} name="from" defaultValue={from} placeholder="the beginning" spellCheck={false} autoComplete="off" />
      </label>
      <label className="mb-2 block">
        <span className="mb-1 block">To</span>
        <input className={`${inputClass} data`} name="to" defaultValue={to} placeholder="now" spellCheck={false} autoComplete="off" />
      </label>
      <p className="text-muted mb-2 text-sm">
        <code className="data">now-15m</code>, <code className="data">now-1d/d</code>, or a date and time in {zone}.
      </p>
      <p role="alert" className="text-sm empty:hidden">
        {error}
      </p>
      <Button type="submit" variant="primary" className="mt-2 w-full">
        Apply
      </Button>
    </form>
  )
}

/** Relative text stays; a date becomes RFC 3339, which the server understands too. */
function absolute(text: string): string {
  if (text === '' || text.startsWith('now')) return text
  const ms = resolveTime(text, 0)
  return ms === null ? text : new Date(ms).toISOString()
}
