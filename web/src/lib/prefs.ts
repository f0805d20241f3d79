/** What a person prefers, kept in this browser: theme, zone, shortcuts, recent queries. */
import { useSyncExternalStore } from 'react'
import type { Zone } from './time'

export interface Prefs {
  theme: 'system' | 'dark' | 'light'
  zone: Zone
  shortcuts: boolean
  wrap: boolean
  navOpen: boolean
  recent: string[]
}

const KEY = 'pugmark.prefs'
const DEFAULTS: Prefs = { theme: 'system', zone: 'utc', shortcuts: true, wrap: false, navOpen: true, recent: [] }

let prefs = load()
const listeners = new Set<() => void>()

export function getPrefs(): Prefs {
  return prefs
}

export function setPrefs(change: Partial<Prefs>) {
  prefs = { ...prefs, ...change }
  try {
    localStorage.setItem(KEY, JSON.stringify(prefs))
  } catch {
    // Private mode or a full store: the preference holds until the page is closed.
  }
  applyTheme()
  for (const listener of listeners) listener()
}

export function usePrefs(): Prefs {
  return useSyncExternalStore(subscribe, getPrefs, getPrefs)
}

/** Puts the theme on the document; `system` follows the desktop by CSS alone. */
export function applyTheme() {
  const root = document.documentElement
  if (prefs.theme === 'system') delete root.dataset.theme
  else root.dataset.theme = prefs.theme
}

/** Is the page dark right now? */
export function isDark(): boolean {
  return prefs.theme === 'dark' || (prefs.theme === 'system' && matchMedia('(prefers-color-scheme: dark)').matches)
}

function subscribe(listener: () => void) {
  listeners.add(listener)
  return () => {
    listeners.delete(listener)
  }
}

function load(): Prefs {
  try {
    const stored = JSON.parse(localStorage.getItem(KEY) ?? '{}') as Partial<Prefs>
    return { ...DEFAULTS, ...stored, recent: Array.isArray(stored.recent) ? stored.recent.slice(0, 30) : [] }
  } catch {
    return DEFAULTS
  }
}
