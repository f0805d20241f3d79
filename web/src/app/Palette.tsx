/** Mod+K: pages, actions, rules, or the text as a search. */
import { useQuery } from '@tanstack/react-query'
import { useNavigate } from '@tanstack/react-router'
import { type KeyboardEvent, useId, useMemo, useState } from 'react'
import { rules } from '@/api/queries'
import { Dialog } from '@/components/Dialog'
import { Icon, type IconName } from '@/components/Icon'
import { visible } from '@/lib/escape'
import { setPrefs, usePrefs } from '@/lib/prefs'
import { PAGES } from './nav'

interface Item {
  label: string
  detail: string
  icon: IconName
  run: () => void
}

interface Props {
  onClose: () => void
  onHelp: () => void
  onLogout: () => void
}

const SHOWN_MAX = 12

export default function Palette({ onClose, onHelp, onLogout }: Props) {
  const [text, setText] = useState('')
  const [at, setAt] = useState(0)
  const list = useId()
  const items = useItems(text, onHelp, onLogout)
  const active = Math.min(at, items.length - 1)
  const run = (item: Item | undefined) => {
    if (!item) return
    onClose()
    item.run()
  }
  const onKeyDown = (event: KeyboardEvent) => {
    if (event.key === 'ArrowDown') setAt(Math.min(active + 1, items.length - 1))
    else if (event.key === 'ArrowUp') setAt(Math.max(active - 1, 0))
    else if (event.key === 'Enter') run(items[active])
    else return
    event.preventDefault()
  }
  return (
    <Dialog open onClose={onClose} title="Find anything" wide bare>
      <div className="border-line flex h-11 items-center gap-2 border-b px-3">
        <Icon name="search" />
        <input
          autoFocus
          role="combobox"
          aria-expanded="true"
          aria-controls={list}
          aria-activedescendant={`${list}-${active}`}
          aria-label="Find a page, a rule, an action, or search the logs"
          placeholder="A page, a rule, an action, or words to search for"
          className="text-lg placeholder:text-muted h-full min-w-0 flex-1 bg-transparent outline-none"
          value={text}
          onKeyDown={onKeyDown}
          onChange={(event) => {
            setText(event.target.value)
            setAt(0)
          }}
        />
      </div>
      <ul id={list} role="listbox" aria-label="Results" className="min-h-0 overflow-y-auto py-1">
        {items.map((item, index) => (
          <li
            key={`${item.label}${item.detail}`}
            id={`${list}-${index}`}
            role="option"
            aria-selected={index === active}
            className="aria-selected:bg-accent-soft flex h-8 cursor-pointer items-center gap-2.5 px-3"
            onPointerMove={() => setAt(index)}
            onClick={() => run(item)}
          >
            <span className="text-muted">
              <Icon name={item.icon} />
            </span>
            <span className="truncate">{item.label}</span>
            <span className="text-muted ml-auto shrink-0 text-sm">{item.detail}</span>
          </li>
        ))}
      </ul>
    </Dialog>
  )
}

function useItems(text: string, onHelp: () => void, onLogout: () => void): Item[] {
  const navigate = useNavigate()
  const prefs = usePrefs()
  const { data } = useQuery(rules)
  return useMemo(() => {
    const pages: Item[] = PAGES.map((page) => ({ label: page.label, detail: page.keys, icon: page.icon, run: () => void navigate({ to: page.to }) }))
    const actions: Item[] = [
      { label: 'Dark theme', detail: 'action', icon: 'moon', run: () => setPrefs({ theme: 'dark' }) },
      { label: 'Light theme', detail: 'action', icon: 'sun', run: () => setPrefs({ theme: 'light' }) },
      { label: prefs.zone === 'utc' ? 'Show local time' : 'Show UTC', detail: 'u', icon: 'clock', run: () => setPrefs({ zone: prefs.zone === 'utc' ? 'local' : 'utc' }) },
      { label: 'Live tail of everything', detail: 'action', icon: 'play', run: () => void navigate({ to: '/explore', search: { live: true } }) },
      { label: 'Keyboard shortcuts', detail: '?', icon: 'menu', run: onHelp },
      { label: 'Sign out', detail: 'action', icon: 'user', run: onLogout },
    ]
    const ruleItems: Item[] = (data?.rules ?? []).map((rule) => ({
      label: visible(rule.title),
      detail: 'rule',
      icon: 'rules',
      run: () => void navigate({ to: '/rules/$id', params: { id: rule.id } }),
    }))
    const words = text.trim().toLowerCase().split(/\s+/)
    const match = (item: Item) => words.every((word) => item.label.toLowerCase().includes(word))
    const found = [...pages, ...actions, ...(text.trim() === '' ? [] : ruleItems)].filter(match).slice(0, SHOWN_MAX)
    if (text.trim() !== '') {
      found.push({ label: `Search the logs for ${visible(text.trim())}`, detail: 'Explore', icon: 'search', run: () => void navigate({ to: '/explore', search: { q: text.trim() } }) })
    }
    return found
  }, [text, data, prefs.zone, navigate, onHelp, onLogout])
}
