/** A menu under a button, or at any element (one shared menu per table: see Explore). */
import { Menu as Base } from '@base-ui/react/menu'
import type { ReactNode } from 'react'

export interface MenuItem {
  label: string
  onSelect: () => void
  keys?: string
}

const popupClass = 'bg-raised border-line-strong z-50 max-w-md min-w-44 rounded border py-1 shadow-lg outline-none'
const itemClass = 'flex h-7 cursor-pointer items-center gap-6 px-3 whitespace-nowrap outline-none data-[highlighted]:bg-accent-soft'

export function Menu({ trigger, items, className, label }: { trigger: ReactNode; items: MenuItem[]; className: string; label?: string }) {
  return (
    <Base.Root modal={false}>
      <Base.Trigger className={className} aria-label={label}>
        {trigger}
      </Base.Trigger>
      <Popup items={items} />
    </Base.Root>
  )
}

/** One controlled menu for many anchors: a menu per cell made scrolling three times slower. */
export function AnchoredMenu({ anchor, title, items, onClose }: { anchor: Element | null; title: ReactNode; items: MenuItem[]; onClose: () => void }) {
  return (
    <Base.Root open={anchor !== null} onOpenChange={(open) => !open && onClose()} modal={false}>
      <Popup items={items} anchor={anchor} title={title} />
    </Base.Root>
  )
}

function Popup({ items, anchor, title }: { items: MenuItem[]; anchor?: Element | null; title?: ReactNode }) {
  return (
    <Base.Portal>
      <Base.Positioner sideOffset={4} align="start" anchor={anchor ?? undefined} className="z-50">
        <Base.Popup className={popupClass}>
          {title && <div className="text-muted border-line mb-1 truncate border-b px-3 pb-1 text-sm">{title}</div>}
          {items.map((item) => (
            <Base.Item key={item.label} className={itemClass} onClick={item.onSelect}>
              <span>{item.label}</span>
              {item.keys && <span className="text-muted ml-auto font-mono text-xs">{item.keys}</span>}
            </Base.Item>
          ))}
        </Base.Popup>
      </Base.Positioner>
    </Base.Portal>
  )
}
