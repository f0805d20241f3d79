/** Routes: each page is a chunk of its own, and every state of a screen that matters is a checked search param. */
import { createRootRoute, createRoute, createRouter, lazyRouteComponent, Outlet, redirect } from '@tanstack/react-router'
import { auth, queryClient } from '@/api/queries'
import type { Level } from '@/api/types'
import { ErrorBox } from '@/components/ui'

export interface ExploreSearch {
  q?: string
  from?: string
  to?: string
  cols?: string
  event?: string
  live?: boolean
}

export interface AlertsSearch {
  status?: 'open' | 'closed' | 'all'
  severity?: Level
  rule?: string
  entity?: string
}

const root = createRootRoute({ component: Outlet, errorComponent: ({ error }) => <ErrorBox error={error} retry={() => location.reload()} /> })

const login = createRoute({
  getParentRoute: () => root,
  path: '/login',
  validateSearch: (search: Record<string, unknown>): { next?: string } => drop({ next: localPath(search.next) }),
  component: lazyRouteComponent(() => import('@/pages/auth/Login')),
})

const setup = createRoute({
  getParentRoute: () => root,
  path: '/setup',
  component: lazyRouteComponent(() => import('@/pages/auth/Setup')),
})

const shell = createRoute({
  getParentRoute: () => root,
  id: 'shell',
  beforeLoad: async ({ location }) => {
    const state = await queryClient.ensureQueryData(auth)
    if (state.setup_needed) throw redirect({ to: '/setup' })
    if (state.user === null) throw redirect({ to: '/login', search: location.href === '/' ? {} : { next: location.href } })
  },
  component: lazyRouteComponent(() => import('./Shell')),
})

const home = createRoute({ getParentRoute: () => shell, path: '/', component: lazyRouteComponent(() => import('@/pages/home/Home')) })

const alerts = createRoute({
  getParentRoute: () => shell,
  path: '/alerts',
  validateSearch: (search: Record<string, unknown>): AlertsSearch =>
    drop({
      status: oneOf(search.status, ['open', 'closed', 'all'] as const),
      severity: oneOf(search.severity, ['critical', 'high', 'medium', 'low', 'informational'] as const),
      rule: text(search.rule),
      entity: text(search.entity),
    }),
  component: lazyRouteComponent(() => import('@/pages/alerts/Alerts')),
})

const alert = createRoute({
  getParentRoute: () => shell,
  path: '/alerts/$id',
  component: lazyRouteComponent(() => import('@/pages/alerts/AlertPage')),
})

const explore = createRoute({
  getParentRoute: () => shell,
  path: '/explore',
  validateSearch: (search: Record<string, unknown>): ExploreSearch =>
    drop({
      q: text(search.q),
      from: search.from === '' ? '' : text(search.from),
      to: search.to === '' ? '' : text(search.to),
      cols: text(search.cols),
      event: text(search.event),
      live: String(search.live) === 'true' ? true : undefined,
    }),
  component: lazyRouteComponent(() => import('@/pages/explore/Explore')),
})

const start = createRoute({ getParentRoute: () => shell, path: '/start', component: lazyRouteComponent(() => import('@/pages/start/Start')) })
const rules = createRoute({
  getParentRoute: () => shell,
  path: '/rules',
  validateSearch: (search: Record<string, unknown>): { q?: string } => drop({ q: text(search.q) }),
  component: lazyRouteComponent(() => import('@/pages/rules/Rules')),
})
const rule = createRoute({ getParentRoute: () => shell, path: '/rules/$id', component: lazyRouteComponent(() => import('@/pages/rules/RulePage')) })
const newRule = createRoute({ getParentRoute: () => shell, path: '/rules/new', component: lazyRouteComponent(() => import('@/pages/rules/RuleEditor'), 'NewRule') })
const editRule = createRoute({ getParentRoute: () => shell, path: '/rules/$id/edit', component: lazyRouteComponent(() => import('@/pages/rules/RuleEditor'), 'EditRule') })
const data = createRoute({
  getParentRoute: () => shell,
  path: '/data',
  validateSearch: (search: Record<string, unknown>): { source?: string } => drop({ source: text(search.source) }),
  component: lazyRouteComponent(() => import('@/pages/data/Sources')),
})
const parsers = createRoute({ getParentRoute: () => shell, path: '/data/parsers', component: lazyRouteComponent(() => import('@/pages/data/Parsers')) })
const newParser = createRoute({
  getParentRoute: () => shell,
  path: '/data/parsers/new',
  validateSearch: (search: Record<string, unknown>): { source?: string } => drop({ source: text(search.source) }),
  component: lazyRouteComponent(() => import('@/pages/data/NewParser')),
})
const parser = createRoute({
  getParentRoute: () => shell,
  path: '/data/parsers/$vendor/$product',
  validateSearch: (search: Record<string, unknown>): { source?: string } => drop({ source: text(search.source) }),
  component: lazyRouteComponent(() => import('@/pages/data/ParserPage')),
})
const tables = createRoute({ getParentRoute: () => shell, path: '/data/tables', component: lazyRouteComponent(() => import('@/pages/data/Tables')) })
const settings = createRoute({ getParentRoute: () => shell, path: '/settings', component: lazyRouteComponent(() => import('@/pages/settings/Settings')) })
const apiDocs = createRoute({ getParentRoute: () => shell, path: '/api-docs', component: lazyRouteComponent(() => import('@/pages/apidocs/ApiDocs')) })

export const router = createRouter({
  routeTree: root.addChildren([login, setup, shell.addChildren([home, alerts, alert, explore, start, rules, newRule, rule, editRule, data, parsers, newParser, parser, tables, settings, apiDocs])]),
  defaultPreload: 'intent',
  scrollRestoration: false,
  // Plain text in the address, so that a link written by hand keeps its quotes: ?q="failed password".
  parseSearch: (text) => Object.fromEntries(new URLSearchParams(text)),
  stringifySearch: (search) => {
    const params = new URLSearchParams(Object.entries(search).flatMap(([key, value]) => (value === undefined ? [] : [[key, String(value)]])))
    return params.size > 0 ? `?${params}` : ''
  },
  defaultErrorComponent: ({ error, reset }) => <ErrorBox error={error} retry={reset} />,
  defaultNotFoundComponent: lazyRouteComponent(() => import('./NotFound')),
})

declare module '@tanstack/react-router' {
  interface Register {
    router: typeof router
  }
}

function text(value: unknown): string | undefined {
  if (typeof value === 'number' || typeof value === 'boolean') return String(value)
  return typeof value === 'string' && value !== '' ? value.slice(0, 8_000) : undefined
}

function oneOf<T extends string>(value: unknown, options: readonly T[]): T | undefined {
  return options.find((option) => option === value)
}

/** Only a path of this site: a link to the login page must not send anybody elsewhere. */
function localPath(value: unknown): string | undefined {
  return typeof value === 'string' && /^\/(?![/\\])/.test(value) ? value : undefined
}

function drop<T extends object>(object: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(object).filter(([, value]) => value !== undefined)) as never
}
