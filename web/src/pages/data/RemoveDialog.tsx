/** Asks before something of the user's own is removed. */
import { type ReactNode, useState } from 'react'
import { Dialog } from '@/components/Dialog'
import { toast } from '@/components/toasts'
import { Button, ErrorBox } from '@/components/ui'
import { visible } from '@/lib/escape'

interface Props {
  /** What it is: parser, table. */
  what: string
  name: string
  remove: () => Promise<void>
  onClose: () => void
  onGone?: (() => void) | undefined
  children: ReactNode
}

export function RemoveDialog({ what, name, remove, onClose, onGone, children }: Props) {
  const [error, setError] = useState<unknown>(null)
  const [busy, setBusy] = useState(false)
  const confirm = async () => {
    setBusy(true)
    setError(null)
    try {
      await remove()
      toast({ text: `Removed ${name}` })
      onClose()
      onGone?.()
    } catch (cause) {
      setError(cause)
      setBusy(false)
    }
  }
  return (
    <Dialog open onClose={onClose} title={`Remove the ${what}?`}>
      <p className="data mb-2 break-all">{visible(name)}</p>
      <div className="mb-4">{children}</div>
      {error !== null && (
        <div className="-mx-4">
          <ErrorBox error={error} />
        </div>
      )}
      <div className="flex justify-end gap-2">
        <Button onClick={onClose}>Keep it</Button>
        <Button variant="primary" disabled={busy} onClick={() => void confirm()}>
          Remove the {what}
        </Button>
      </div>
    </Dialog>
  )
}
