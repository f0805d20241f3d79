import { useState } from 'react'
import type { Alert, Verdict } from '@/api/types'
import { Dialog } from '@/components/Dialog'
import { Button, inputClass } from '@/components/ui'
import { visible } from '@/lib/escape'
import { decide, VERDICTS } from './verdict'

/** Asks for the reason before an alert is closed. */
export function VerdictDialog({ alert, onClose }: { alert: Alert; onClose: () => void }) {
  const [note, setNote] = useState(alert.note)
  const [busy, setBusy] = useState(false)
  const close = async (verdict: Verdict) => {
    setBusy(true)
    if (await decide(alert, verdict, note)) onClose()
    setBusy(false)
  }
  return (
    <Dialog open onClose={onClose} title="Close the alert as">
      <p className="text-muted mb-3 truncate">{visible(alert.rule.title)}</p>
      <ul className="mb-4 flex flex-col gap-2">
        {VERDICTS.map((verdict) => (
          <li key={verdict.id}>
            <Button className="h-11 w-full flex-col !items-start !gap-0" disabled={busy} onClick={() => void close(verdict.id)}>
              <span className="font-semibold">{verdict.label}</span>
              <span className="text-muted text-sm">{verdict.hint}</span>
            </Button>
          </li>
        ))}
      </ul>
      <label className="block">
        <span className="mb-1 block">Note, for whoever looks next</span>
        <input className={inputClass} value={note} onChange={(event) => setNote(event.target.value)} maxLength={2_000} />
      </label>
    </Dialog>
  )
}
