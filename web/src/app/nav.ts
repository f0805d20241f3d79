/** The pages, in the groups of the left navigation; palette, help and breadcrumb read the same list. */
import type { IconName } from '@/components/Icon'

export interface Page {
  to: '/' | '/alerts' | '/explore' | '/rules' | '/data' | '/data/parsers' | '/data/tables' | '/start' | '/settings' | '/api-docs'
  label: string
  icon: IconName
  keys: string
}

export const GROUPS: { label: string; pages: Page[] }[] = [
  {
    label: 'Monitor',
    pages: [
      { to: '/', label: 'Home', icon: 'home', keys: 'g h' },
      { to: '/alerts', label: 'Alerts', icon: 'bell', keys: 'g a' },
    ],
  },
  { label: 'Investigate', pages: [{ to: '/explore', label: 'Explore', icon: 'search', keys: 'g e' }] },
  { label: 'Detect', pages: [{ to: '/rules', label: 'Rules', icon: 'rules', keys: 'g r' }] },
  {
    label: 'Data',
    pages: [
      { to: '/data', label: 'Sources', icon: 'data', keys: 'g d' },
      { to: '/data/parsers', label: 'Parsers', icon: 'wrap', keys: 'g k' },
      { to: '/data/tables', label: 'Tables', icon: 'table', keys: 'g t' },
      { to: '/start', label: 'Send logs', icon: 'start', keys: 'g s' },
    ],
  },
  {
    label: 'System',
    pages: [
      { to: '/settings', label: 'Settings', icon: 'settings', keys: 'g ,' },
      { to: '/api-docs', label: 'API', icon: 'api', keys: 'g p' },
    ],
  },
]

export const PAGES: Page[] = GROUPS.flatMap((group) => group.pages)

export const SHORTCUTS: { group: string; keys: [string, string][] }[] = [
  {
    group: 'Everywhere',
    keys: [
      ['Mod+K', 'Find a page, rule or action'],
      ['?', 'This help'],
      ['/', 'Search'],
      ['u', 'UTC or local time'],
      ['g then h a e r d k t s', 'Home, Alerts, Explore, Rules, Sources, Parsers, Tables, Send logs'],
    ],
  },
  {
    group: 'Lists',
    keys: [
      ['j  k', 'Next, previous row'],
      ['Enter  o', 'Open the row'],
      ['Esc', 'Close the detail'],
      ['e', 'Close an alert with a verdict'],
    ],
  },
  {
    group: 'Explore',
    keys: [
      ['Enter', 'Run the query (in the query bar)'],
      ['Shift+Enter', 'New line'],
      ['Mod+Enter  r', 'Run again'],
      ['l', 'Live tail on or off'],
      ['t', 'Choose a time range'],
      ['w', 'Wrap long lines'],
    ],
  },
  {
    group: 'Editor of a rule or parser',
    keys: [
      ['Mod+Enter', 'Try the text on what is stored'],
      ['Mod+S', 'Keep the text'],
    ],
  },
]
