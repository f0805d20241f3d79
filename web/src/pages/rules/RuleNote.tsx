/** A line above a rule that says why it does not do what it usually does. */
import type { ReactNode } from 'react'
import { Icon, type IconName } from '@/components/Icon'

export function RuleNote({ icon, children }: { icon: IconName; children: ReactNode }) {
  return (
    <p role="note" className="panel border-line-strong mx-4 mb-3 flex items-baseline gap-2 px-3 py-2">
      <span className="relative top-0.5">
        <Icon name={icon} size={14} />
      </span>
      <span className="min-w-0 break-words">{children}</span>
    </p>
  )
}
