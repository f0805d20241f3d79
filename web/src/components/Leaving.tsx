/** Asks before changes are lost: here for other pages, by the browser for other sites. */
import { useBlocker } from '@tanstack/react-router'
import { useRef } from 'react'
import { Dialog } from './Dialog'
import { Button } from './ui'

export interface Leaving {
  asks: boolean
  stay: () => void
  leave: () => void
  /** Nothing is lost any more. */
  free: () => void
}

/** `forget` is called when the changes are lost on purpose or kept. */
export function useLeaving(dirty: boolean, forget?: () => void): Leaving {
  const now = useRef(dirty)
  now.current = dirty
  const blocker = useBlocker({ shouldBlockFn: () => now.current, enableBeforeUnload: () => now.current, withResolver: true })
  return {
    asks: blocker.status === 'blocked',
    stay: () => blocker.reset?.(),
    leave: () => {
      forget?.()
      blocker.proceed?.()
    },
    free: () => {
      forget?.()
      now.current = false
    },
  }
}

export function LeaveDialog({ leaving, what }: { leaving: Leaving; what: string }) {
  if (!leaving.asks) return null
  return (
    <Dialog open onClose={leaving.stay} title="Leave without saving?">
      <p className="mb-4">The changes to this {what} are lost.</p>
      <div className="flex justify-end gap-2">
        <Button onClick={leaving.stay}>Stay here</Button>
        <Button variant="primary" onClick={leaving.leave}>
          Leave
        </Button>
      </div>
    </Dialog>
  )
}
