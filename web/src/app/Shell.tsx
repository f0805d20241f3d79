/** The frame around every page: navigation, top bar, palette, help, live connection. */
import { useQuery } from '@tanstack/react-query'
import { Link, Outlet, useNavigate, useRouterState } from '@tanstack/react-router'
import { lazy, Suspense, useEffect, useRef, useState } from 'react'
import { post } from '@/api/client'
import { auth, queryClient, status } from '@/api/queries'
import { restartStream, startStream, useAlertEvents, useLive } from '@/api/stream'
import { Icon, Logo } from '@/components/Icon'
import { Menu } from '@/components/Menu'
import { toast, Toasts } from '@/components/toasts'
import { IconButton, Kbd } from '@/components/ui'
import { visible } from '@/lib/escape'
import { useKeys } from '@/lib/keys'
import { count, plural, rate } from '@/lib/number'
import { isDark, setPrefs, usePrefs } from '@/lib/prefs'
import { zoneLabel } from '@/lib/time'
import { GROUPS, PAGES } from './nav'

const Palette = lazy(() => import('./Palette'))
const Help = lazy(() => import('./Help'))

export default function Shell() {
  const [open, setOpen] = useState<'palette' | 'help' | null>(null)
  const navigate = useNavigate()
  const prefs = usePrefs()
  useEffect(startStream, [])
  useKeys({
    'Mod+k': () => setOpen((now) => (now === 'palette' ? null : 'palette')),
    '?': () => setOpen('help'),
    '/': () => {
      const bar = document.querySelector<HTMLElement>('[data-querybar] .cm-content, [data-searchbox]')
      if (bar) bar.focus()
      else void navigate({ to: '/explore' })
    },
    u: () => setPrefs({ zone: prefs.zone === 'utc' ? 'local' : 'utc' }),
    ...Object.fromEntries(PAGES.map((page) => [page.keys, () => void navigate({ to: page.to })])),
  })
  return (
    <div className="flex h-full">
      <a href="#main" className="bg-accent text-on-accent sr-only z-50 rounded px-3 py-1 focus:not-sr-only focus:absolute focus:top-2 focus:left-2">
        Skip to the page
      </a>
      <Nav open={prefs.navOpen} />
      <div className="flex min-w-0 flex-1 flex-col">
        <TopBar onPalette={() => setOpen('palette')} onHelp={() => setOpen('help')} />
        <Problem />
        <main id="main" tabIndex={-1} className="relative min-h-0 flex-1 overflow-auto outline-none">
          <Outlet />
        </main>
      </div>
      <Suspense>
        {open === 'palette' && <Palette onClose={() => setOpen(null)} onHelp={() => setOpen('help')} onLogout={() => void logout(navigate)} />}
        {open === 'help' && <Help onClose={() => setOpen(null)} />}
      </Suspense>
      <Toasts />
      <Announcer />
    </div>
  )
}

function Nav({ open }: { open: boolean }) {
  const { data } = useQuery(status)
  const urgent = (data?.open_alerts.critical ?? 0) + (data?.open_alerts.high ?? 0)
  return (
    <nav aria-label="Main" className={`bg-surface border-line flex shrink-0 flex-col border-r ${open ? 'w-44' : 'w-12'}`}>
      <Link to="/" className="text-text flex h-11 items-center gap-2 px-3.5 no-underline" aria-label="Pugmark, Home">
        <span className="text-accent">
          <Logo />
        </span>
        {open && <span className="text-lg font-semibold tracking-tight">Pugmark</span>}
      </Link>
      <div className="flex min-h-0 flex-1 flex-col gap-2 overflow-y-auto px-2 pt-1">
        {GROUPS.map((group) => (
          <div key={group.label}>
            {open ? <p className="text-muted px-2 pb-0.5 text-xs">{group.label}</p> : <hr className="border-line mx-1 mb-1" />}
            <ul>
              {group.pages.map((page) => (
                <li key={page.to}>
                  <Link
                    to={page.to}
                    activeOptions={{ exact: page.to === '/' || page.to === '/data', includeSearch: false }}
                    title={open ? undefined : page.label}
                    aria-label={open ? undefined : page.label}
                    className="text-text hover:bg-accent-soft flex h-7 items-center gap-2.5 rounded px-2 no-underline"
                    activeProps={{ className: 'bg-accent-soft font-semibold' }}
                  >
                    <Icon name={page.icon} />
                    {open && page.label}
                    {open && page.to === '/alerts' && urgent > 0 && (
                      <span className="text-muted ml-auto text-sm font-normal" title="Open, critical or high">
                        {count(urgent)}
                        <span className="sr-only"> open, critical or high</span>
                      </span>
                    )}
                  </Link>
                </li>
              ))}
            </ul>
          </div>
        ))}
      </div>
      <div className="flex items-center p-2.5">
        <IconButton icon={open ? 'left' : 'right'} label={open ? 'Make the navigation narrow' : 'Make the navigation wide'} onClick={() => setPrefs({ navOpen: !open })} />
        {open && data && <span className="text-muted ml-auto truncate pr-1 text-xs">{data.version}</span>}
      </div>
    </nav>
  )
}

function TopBar({ onPalette, onHelp }: { onPalette: () => void; onHelp: () => void }) {
  const prefs = usePrefs()
  const { data } = useQuery(auth)
  const navigate = useNavigate()
  const dark = isDark()
  return (
    <header className="bg-surface border-line flex h-11 shrink-0 items-center gap-2 border-b px-4">
      <Breadcrumb />
      <button
        type="button"
        onClick={onPalette}
        className="border-line-strong text-muted hover:text-text mx-auto flex h-7 w-64 items-center gap-2 rounded border px-2"
      >
        <Icon name="search" size={14} />
        Find anything
        <span className="ml-auto">
          <Kbd>{/Mac/.test(navigator.platform) ? '⌘K' : 'Ctrl K'}</Kbd>
        </span>
      </button>
      <Health />
      <button
        type="button"
        className="text-muted hover:bg-accent-soft hover:text-text data h-6 rounded px-1.5"
        title="Time zone of all times shown (u)"
        onClick={() => setPrefs({ zone: prefs.zone === 'utc' ? 'local' : 'utc' })}
      >
        {zoneLabel(prefs.zone)}
      </button>
      <IconButton icon={dark ? 'sun' : 'moon'} label={dark ? 'Light theme' : 'Dark theme'} onClick={() => setPrefs({ theme: dark ? 'light' : 'dark' })} />
      <Menu
        className="text-muted hover:bg-accent-soft hover:text-text flex h-7 items-center gap-1.5 rounded px-1.5"
        label={`User menu of ${data?.user ?? 'nobody'}`}
        trigger={
          <>
            <Icon name="user" />
            <span className="max-w-24 truncate">{data?.user}</span>
          </>
        }
        items={[
          { label: 'Settings and tokens', onSelect: () => void navigate({ to: '/settings' }) },
          { label: 'Keyboard shortcuts', onSelect: onHelp, keys: '?' },
          { label: 'API', onSelect: () => void navigate({ to: '/api-docs' }) },
          { label: 'Sign out', onSelect: () => void logout(navigate) },
        ]}
      />
    </header>
  )
}

function Breadcrumb() {
  const path = useRouterState({ select: (state) => state.location.pathname })
  const page = PAGES.findLast((each) => (each.to === '/' ? path === '/' : path === each.to || path.startsWith(`${each.to}/`)))
  const group = GROUPS.find((each) => page && each.pages.includes(page))
  const parts = page ? path.slice(page.to.length).split('/').filter(Boolean).map(decodeURIComponent) : []
  // Only rules have pages below a page of their own, /rules/ID/edit; elsewhere the rest is one name, as of a parser.
  const nested = page?.to === '/rules' && parts.length > 1
  const deeper = nested ? parts.at(-1) : parts.join('/') || undefined
  const parent = nested ? parts[0] : undefined
  return (
    <nav aria-label="Breadcrumb" className="w-64 min-w-0">
      <ol className="text-muted flex items-center gap-1.5 whitespace-nowrap">
        {group && <li>{group.label}</li>}
        {page && (
          <li className="flex items-center gap-1.5">
            <span aria-hidden="true">/</span>
            {deeper !== undefined ? (
              <Link to={page.to} className="hover:underline">
                {page.label}
              </Link>
            ) : (
              <span className="text-text" aria-current="page">
                {page.label}
              </span>
            )}
          </li>
        )}
        {parent !== undefined && (
          <li className="flex min-w-0 items-center gap-1.5">
            <span aria-hidden="true">/</span>
            <Link to="/rules/$id" params={{ id: parent }} className="data max-w-20 truncate hover:underline" title={visible(parent)}>
              {visible(parent)}
            </Link>
          </li>
        )}
        {deeper !== undefined && (
          <li className="flex min-w-0 items-center gap-1.5">
            <span aria-hidden="true">/</span>
            <span className="text-text data max-w-28 truncate" aria-current="page">
              {visible(deeper)}
            </span>
          </li>
        )}
      </ol>
    </nav>
  )
}

/** Is the stream up, and does the server take logs? In words, with a shape. */
function Health() {
  const live = useLive()
  const { data } = useQuery(status)
  const state = !live ? 'offline' : data && !data.taking_logs ? 'stopped' : 'live'
  const words = { live: 'Live', stopped: 'Not taking logs', offline: 'Reconnecting' }[state]
  return (
    <Link to="/data" className="text-muted hover:text-text flex h-6 items-center gap-1.5 rounded px-1.5 whitespace-nowrap no-underline" title={data?.problem ?? `Connection to the server: ${words}`}>
      <svg width="9" height="9" viewBox="0 0 10 10" aria-hidden="true" className={state === 'live' ? 'text-accent' : state === 'stopped' ? 'text-critical' : 'text-muted'}>
        {state === 'live' ? <circle cx="5" cy="5" r="4" fill="currentColor" /> : state === 'stopped' ? <path d="M5 .5 9.800 9.300H.2z" fill="currentColor" /> : <circle cx="5" cy="5" r="3.500" fill="none" stroke="currentColor" strokeWidth="1.500" />}
      </svg>
      {words}
      {state === 'live' && data && <span>{rate(data.events_per_second)} events/s</span>}
    </Link>
  )
}

function Problem() {
  const { data } = useQuery(status)
  if (!data?.problem) return null
  return (
    <div role="alert" className="bg-critical-fill text-on-critical flex items-center gap-2 px-4 py-1.5 font-semibold">
      <Icon name="warn" />
      {data.problem}
    </div>
  )
}

/** Says new alerts to screen readers, at most every 5 seconds. */
function Announcer() {
  const [text, setText] = useState('')
  const pending = useRef(0)
  useAlertEvents(() => {
    pending.current += 1
  })
  useEffect(() => {
    const timer = setInterval(() => {
      if (pending.current > 0) setText(`${plural(pending.current, 'alert')} new or changed`)
      pending.current = 0
    }, 5_000)
    return () => clearInterval(timer)
  }, [])
  return (
    <p className="sr-only" role="status" aria-live="polite">
      {text}
    </p>
  )
}

async function logout(navigate: ReturnType<typeof useNavigate>) {
  try {
    await post('/auth/logout', {})
  } catch {
    toast({ text: 'Signing out did not reach the server', error: true })
    return
  }
  queryClient.clear()
  queryClient.setQueryData(auth.queryKey, { setup_needed: false, user: null })
  queryClient.removeQueries({ predicate: (query) => query.queryKey[0] !== 'auth' })
  restartStream()
  await navigate({ to: '/login' })
}

