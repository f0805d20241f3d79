/** A modal dialog with a title, closed by Esc, the cross or a click beside it. */
import { Dialog as Base } from '@base-ui/react/dialog'
import type { ReactNode } from 'react'
import { Icon } from './Icon'

interface Props {
  open: boolean
  onClose: () => void
  title: string
  children: ReactNode
  wide?: boolean
  bare?: boolean
}

export function Dialog({ open, onClose, title, children, wide = false, bare = false }: Props) {
  return (
    <Base.Root open={open} onOpenChange={(next) => !next && onClose()}>
      <Base.Portal>
        <Base.Backdrop className="bg-bg/70 fixed inset-0 z-40" />
        <Base.Popup
          className={`bg-raised border-line-strong fixed top-[12vh] left-1/2 z-50 flex max-h-[76vh] w-[92vw] -translate-x-1/2 flex-col rounded border shadow-xl ${wide ? 'max-w-2xl' : 'max-w-md'}`}
        >
          <div className={bare ? 'sr-only' : 'border-line flex h-10 shrink-0 items-center border-b pr-2 pl-4'}>
            <Base.Title className="text-lg font-semibold">{title}</Base.Title>
            {!bare && (
              <Base.Close aria-label="Close" className="text-muted hover:text-text ml-auto inline-flex size-7 items-center justify-center">
                <Icon name="close" />
              </Base.Close>
            )}
          </div>
          <div className={bare ? 'flex min-h-0 flex-col' : 'min-h-0 overflow-y-auto p-4'}>{children}</div>
        </Base.Popup>
      </Base.Portal>
    </Base.Root>
  )
}
