/** What can be done to a rule: edit, switch off and on, remove what was written here. */
import { Link, useNavigate } from '@tanstack/react-router'
import { type FormEvent, useState } from 'react'
import { removeRule, switchRule } from '@/api/queries'
import type { Rule } from '@/api/types'
import { Dialog } from '@/components/Dialog'
import { toast } from '@/components/toasts'
import { Button, buttonClass, ErrorBox, inputClass } from '@/components/ui'
import { visible } from '@/lib/escape'

export function RuleActions({ rule }: { rule: Rule }) {
  const [open, setOpen] = useState<'off' | 'remove' | null>(null)
  const [busy, setBusy] = useState(false)
  const navigate = useNavigate()
  const on = async () => {
    setBusy(true)
    try {
      await switchRule(rule.id, true, '')
      toast({ text: 'Switched on: it watches from now' })
    } catch (cause) {
      toast({ text: `Not switched on: ${cause instanceof Error ? cause.message : String(cause)}`, error: true })
    }
    setBusy(false)
  }
  const close = () => setOpen(null)
  return (
    <div className="flex shrink-0 items-center gap-2">
      <Link to="/rules/$id/edit" params={{ id: rule.id }} className={buttonClass()}>
        Edit
      </Link>
      {rule.off ? (
        <Button icon="play" disabled={busy} onClick={() => void on()}>
          Switch on
        </Button>
      ) : (
        <Button icon="pause" onClick={() => setOpen('off')}>
          Switch off…
        </Button>
      )}
      {rule.origin === 'product' && (
        <Button icon="trash" onClick={() => setOpen('remove')}>
          Remove…
        </Button>
      )}
      {open === 'off' && <SwitchOffDialog rule={rule} onClose={close} />}
      {open === 'remove' && <RemoveDialog id={rule.id} title={rule.title} onClose={close} onGone={() => void navigate({ to: '/rules' })} />}
    </div>
  )
}

function SwitchOffDialog({ rule, onClose }: { rule: Rule; onClose: () => void }) {
  const [reason, setReason] = useState('')
  const [error, setError] = useState<unknown>(null)
  const [busy, setBusy] = useState(false)
  const submit = async (event: FormEvent) => {
    event.preventDefault()
    setBusy(true)
    try {
      await switchRule(rule.id, false, reason.trim())
      toast({ text: 'Switched off', undo: () => void switchRule(rule.id, true, '').catch(() => toast({ text: 'Undo did not reach the server', error: true })) })
      onClose()
    } catch (cause) {
      setError(cause)
      setBusy(false)
    }
  }
  return (
    <Dialog open onClose={onClose} title="Switch the rule off?">
      <form onSubmit={(event) => void submit(event)}>
        <p className="mb-3 break-words">“{visible(rule.title)}” raises no alerts until it is switched on again. What it found so far stays.</p>
        <label className="block">
          <span className="mb-1 block">Why, for those who wonder later</span>
          <input className={inputClass} name="reason" value={reason} required pattern=".*\S.*" maxLength={1_000} autoFocus onChange={(event) => setReason(event.target.value)} />
        </label>
        {error !== null && (
          <div className="-mx-4">
            <ErrorBox error={error} />
          </div>
        )}
        <div className="mt-4 flex justify-end gap-2">
          <Button onClick={onClose}>Leave it on</Button>
          <Button type="submit" variant="primary" disabled={busy || reason.trim() === ''}>
            Switch off
          </Button>
        </div>
      </form>
    </Dialog>
  )
}

interface RemoveProps {
  id: string
  title: string
  onClose: () => void
  /** Called when no rule with this id is left. */
  onGone?: () => void
}

export function RemoveDialog({ id, title, onClose, onGone }: RemoveProps) {
  const [error, setError] = useState<unknown>(null)
  const [busy, setBusy] = useState(false)
  const remove = async () => {
    setBusy(true)
    try {
      const again = await removeRule(id)
      toast({ text: again ? 'Removed: the original is in force again' : 'Removed' })
      onClose()
      if (!again) onGone?.()
    } catch (cause) {
      setError(cause)
      setBusy(false)
    }
  }
  return (
    <Dialog open onClose={onClose} title="Remove the rule?">
      <p className="mb-2 break-words">“{visible(title)}” was written here. Its text is gone when it is removed.</p>
      <p className="mb-4">If Pugmark or a folder of yours has a rule with the same id, that original is in force again, switched on.</p>
      {error !== null && (
        <div className="-mx-4">
          <ErrorBox error={error} />
        </div>
      )}
      <div className="flex justify-end gap-2">
        <Button onClick={onClose}>Keep it</Button>
        <Button variant="primary" disabled={busy} onClick={() => void remove()}>
          Remove the rule
        </Button>
      </div>
    </Dialog>
  )
}
