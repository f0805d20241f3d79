/** What a source's clock is wrong by; a correction that is applied and taken off. */
import { useState } from 'react'
import { correctClock } from '@/api/queries'
import type { SourceClock } from '@/api/types'
import { Dialog } from '@/components/Dialog'
import { Icon } from '@/components/Icon'
import { Ago } from '@/components/Time'
import { toast } from '@/components/toasts'
import { Button, ErrorBox, inputClass } from '@/components/ui'
import { visible } from '@/lib/escape'
import { percent } from '@/lib/number'
import { clockWords, isMended, proposal, signed } from './clock'
import { Part } from './Part'

interface Props {
  source: string
  clock: SourceClock
}

export function Clock({ source, clock }: Props) {
  /** Seconds that are asked about; 0 to take the correction off. */
  const [asked, setAsked] = useState<number | null>(null)
  const proposed = proposal(clock)
  const { estimate, correction_seconds: inForce } = clock
  return (
    <div>
      <h3 className="font-semibold">Clock</h3>
      <p className="flex flex-wrap items-center gap-x-2 gap-y-1">
        {proposed !== null && <Icon name="warn" size={14} />}
        <span className={estimate === null ? 'text-muted' : ''}>{clockWords(estimate)}</span>
        {estimate !== null && estimate.cause !== 'none' && <span className="text-muted">confidence {percent(estimate.confidence)}</span>}
        {proposed !== null && (
          <Button onClick={() => setAsked(proposed)}>
            Correct the times by {signed(proposed)}
          </Button>
        )}
      </p>
      {inForce !== 0 && (
        <p className="flex flex-wrap items-center gap-x-2 gap-y-1">
          <span>
            {signed(inForce)} is added to the times of new events.{isMended(clock) && ' The source writes right times by now: take the correction off.'}
          </span>
          <Button onClick={() => setAsked(0)}>Take the correction off</Button>
        </p>
      )}
      <Part title="Corrections" rows={clock.corrections} head={['Received from', 'Added', 'By', 'Why']}>
        {(each) => [<Ago key="s" at={each.since} />, each.seconds === 0 ? 'nothing' : signed(each.seconds), visible(each.actor), visible(each.reason)]}
      </Part>
      {asked !== null && <Ask source={source} seconds={asked} onClose={() => setAsked(null)} />}
    </div>
  )
}

function Ask({ source, seconds, onClose }: { source: string; seconds: number; onClose: () => void }) {
  const [reason, setReason] = useState('')
  const [error, setError] = useState<unknown>(null)
  const [busy, setBusy] = useState(false)
  const off = seconds === 0
  const confirm = async () => {
    setBusy(true)
    setError(null)
    try {
      await correctClock(source, seconds, reason)
      toast({ text: off ? `Took the correction of ${source} off` : `Corrected the clock of ${source}` })
      onClose()
    } catch (cause) {
      setError(cause)
      setBusy(false)
    }
  }
  return (
    <Dialog open onClose={onClose} title={off ? 'Take the correction off?' : `Correct the times by ${signed(seconds)}?`}>
      <p className="data mb-2 break-all">{visible(source)}</p>
      <p className="mb-3">
        This is for records that arrive from now on. Events that are stored keep their time
        {off ? '.' : ', and an event that was moved says so in event.clock_correction, so it can be undone.'}
      </p>
      {!off && (
        <label className="mb-4 block">
          Why
          <input className={inputClass} value={reason} onChange={(event) => setReason(event.target.value)} />
        </label>
      )}
      {error !== null && (
        <div className="-mx-4">
          <ErrorBox error={error} />
        </div>
      )}
      <div className="flex justify-end gap-2">
        <Button onClick={onClose}>Leave it</Button>
        <Button variant="primary" disabled={busy} onClick={() => void confirm()}>
          {off ? 'Take it off' : 'Correct the times'}
        </Button>
      </div>
    </Dialog>
  )
}
