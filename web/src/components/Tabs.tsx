/** Tabs with the keyboard behaviour of the ARIA pattern. */
import { Tabs as Base } from '@base-ui/react/tabs'
import type { ReactNode } from 'react'

export interface Tab {
  id: string
  label: string
  body: ReactNode
}

interface Props {
  tabs: Tab[]
  value?: string
  onChange?: (id: string) => void
  label: string
  aside?: ReactNode
}

export function Tabs({ tabs, value, onChange, label, aside }: Props) {
  const control = value === undefined ? { defaultValue: tabs[0]?.id } : { value }
  return (
    <Base.Root {...control} onValueChange={(next) => onChange?.(String(next))} className="flex min-h-0 flex-1 flex-col">
      <div className="border-line flex h-8 items-stretch border-b pr-1">
        <Base.List aria-label={label} className="flex min-w-0 items-stretch gap-3 overflow-x-auto px-3">
          {tabs.map((tab) => (
            <Base.Tab
              key={tab.id}
              value={tab.id}
              className="text-muted hover:text-text aria-selected:text-text aria-selected:border-accent -mb-px border-b-2 border-transparent px-0.5 whitespace-nowrap aria-selected:font-semibold"
            >
              {tab.label}
            </Base.Tab>
          ))}
        </Base.List>
        <div className="ml-auto flex items-center">{aside}</div>
      </div>
      {tabs.map((tab) => (
        <Base.Panel key={tab.id} value={tab.id} className="flex min-h-0 flex-1 flex-col">
          {tab.body}
        </Base.Panel>
      ))}
    </Base.Root>
  )
}
