/** Keyboard shortcuts: single keys never fire inside inputs, and can be switched off (WCAG 2.1.4). */
import { useEffect, useRef } from 'react'
import { getPrefs } from './prefs'

export type Keymap = Record<string, (event: KeyboardEvent) => void>

/** `j`, `Enter`, `?`, `Mod+k`, chords as `g a`. */
export function useKeys(map: Keymap) {
  const latest = useRef(map)
  latest.current = map
  useEffect(() => {
    let first = ''
    let firstAt = 0
    const onKey = (event: KeyboardEvent) => {
      if (event.defaultPrevented || event.isComposing) return
      const name = keyName(event)
      const chord = first !== '' && event.timeStamp - firstAt < 1_000 ? `${first} ${name}` : ''
      first = ''
      if (!name.startsWith('Mod+') && (!getPrefs().shortcuts || isTyping(event.target) || dialogOpen())) return
      const action = (chord !== '' ? latest.current[chord] : undefined) ?? latest.current[name]
      if (action) {
        action(event)
        if (event.cancelable) event.preventDefault()
        return
      }
      if (name === 'g') {
        first = name
        firstAt = event.timeStamp
      }
    }
    window.addEventListener('keydown', onKey)
    return () => window.removeEventListener('keydown', onKey)
  }, [])
}

function keyName(event: KeyboardEvent): string {
  if (event.altKey) return `Alt+${event.key}`
  return event.metaKey || event.ctrlKey ? `Mod+${event.key.toLowerCase()}` : event.key
}

function isTyping(target: EventTarget | null): boolean {
  if (!(target instanceof HTMLElement)) return false
  return target.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName) || target.closest('[role=menu],[role=listbox]') !== null
}

function dialogOpen(): boolean {
  return document.querySelector('[role=dialog],[role=alertdialog],[role=menu]') !== null
}

/** Does Enter on this element already mean something? */
export function isControl(target: EventTarget | null): boolean {
  return target instanceof HTMLElement && target.closest('a,button,summary,[role=tab],[role=menuitem]') !== null
}
