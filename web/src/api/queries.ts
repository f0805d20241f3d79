/** What pages ask, as TanStack Query options: one key per question. */
import { QueryClient, queryOptions } from '@tanstack/react-query'
import { ApiError, del, get, post, put, putFile } from './client'
import type * as T from './types'

export const queryClient = new QueryClient({
  defaultOptions: {
    queries: {
      staleTime: 5_000,
      refetchOnWindowFocus: false,
      retry: (count, error) => count < 1 && !(error instanceof ApiError && error.status >= 400 && error.status < 500),
    },
  },
})

export interface AlertFilter {
  status?: 'open' | 'closed' | undefined
  severity?: T.Level | undefined
  rule?: string | undefined
  entity?: string | undefined
}

export const auth = queryOptions({
  queryKey: ['auth'],
  queryFn: ({ signal }) => get<T.AuthState>('/auth/state', signal),
  staleTime: 60_000,
})

export const status = queryOptions({
  queryKey: ['status'],
  queryFn: ({ signal }) => get<T.Status>('/status', signal),
})

export const sources = queryOptions({
  queryKey: ['sources'],
  queryFn: async ({ signal }) => (await get<{ sources: T.Source[] }>('/sources', signal)).sources,
  refetchInterval: 10_000,
})

export const sourceHealth = (name: string) =>
  queryOptions({
    queryKey: ['source-health', name],
    queryFn: ({ signal }) => get<T.SourceHealth>(`/sources/${encodeURIComponent(name)}/health`, signal),
    refetchInterval: 10_000,
  })

export const ledger = queryOptions({
  queryKey: ['ledger'],
  queryFn: ({ signal }) => get<T.Ledger>('/ledger', signal),
  refetchInterval: 10_000,
})

export const tokens = queryOptions({
  queryKey: ['tokens'],
  queryFn: async ({ signal }) => (await get<{ tokens: T.Token[] }>('/tokens', signal)).tokens,
})

export const rules = queryOptions({
  queryKey: ['rules'],
  queryFn: ({ signal }) => get<T.Rules>('/rules', signal),
})

export const rule = (id: string) =>
  queryOptions({
    queryKey: ['rule', id],
    queryFn: ({ signal }) => get<T.RuleDetail>(`/rules/${encodeURIComponent(id)}`, signal),
  })

export const ruleCheck = (text: string) =>
  queryOptions({
    queryKey: ['rule-check', text],
    queryFn: ({ signal }) => post<T.RuleCheck>('/rules/check', { text }, signal),
    // What was wrong stays on the screen until the new answer is there.
    placeholderData: (before) => before,
    staleTime: 60_000,
    gcTime: 60_000,
  })

export const parsers = queryOptions({
  queryKey: ['parsers'],
  queryFn: ({ signal }) => get<T.Parsers>('/parsers', signal),
})

export const lookups = queryOptions({
  queryKey: ['lookups'],
  queryFn: ({ signal }) => get<T.Lookups>('/lookups', signal),
})

export const savedSearches = queryOptions({
  queryKey: ['searches'],
  queryFn: async ({ signal }) => (await get<{ searches: T.SavedSearch[] }>('/searches', signal)).searches,
})

const REPARSE_MS = 1_000

export const reparse = queryOptions({
  queryKey: ['reparse'],
  queryFn: ({ signal }) => get<T.Reparse>('/reparse', signal),
  refetchInterval: (query) => (query.state.data?.running ? REPARSE_MS : false),
})

export const fields = queryOptions({
  queryKey: ['fields'],
  queryFn: async ({ signal }) => (await get<{ fields: T.FieldInfo[] }>('/fields', signal)).fields,
  staleTime: 600_000,
})

export const alerts = (filter: AlertFilter, limit = 500) =>
  queryOptions({
    queryKey: ['alerts', filter, limit],
    queryFn: async ({ signal }) => (await get<{ alerts: T.Alert[] }>(`/alerts?${params({ ...filter, limit })}`, signal)).alerts,
    placeholderData: (before) => before,
    refetchInterval: 30_000,
  })

export const alert = (id: string) =>
  queryOptions({
    queryKey: ['alert', id],
    queryFn: ({ signal }) => get<T.AlertDetail>(`/alerts/${encodeURIComponent(id)}`, signal),
  })

/** Those that fire on the event, then those that nearly do, the nearest first. */
export const eventRules = (id: string) =>
  queryOptions({
    queryKey: ['event-rules', id],
    queryFn: async ({ signal }) => (await get<{ rules: T.EventRule[] }>(`/events/${encodeURIComponent(id)}/rules`, signal)).rules,
  })

export interface Range {
  from: string | null
  to: string | null
}

/** How events over time are drawn. */
export const CHART = { buckets: 90, by: 'event.severity' }
const LIVE_REFRESH_MS = 10_000

/** The chart of a run while events arrive. Before, a run has the chart of its own answer. */
export const liveHistogram = (query: string, range: Range, run: number, live: boolean) =>
  queryOptions({
    queryKey: ['histogram', query, range, run],
    queryFn: ({ signal }) => post<T.Histogram>('/histogram', { query, ...range, ...CHART }, signal),
    enabled: live,
    refetchInterval: LIVE_REFRESH_MS,
    // Going back to a question runs it again, and that chart is newer than one that was kept.
    gcTime: 0,
  })

export const facets = (query: string, range: Range, run: number) =>
  queryOptions({
    queryKey: ['facets', query, range, run],
    queryFn: ({ signal }) => post<T.Facets>('/facets', { query, ...range, fields: null, limit: 8 }, signal),
    placeholderData: (before) => before,
    staleTime: Infinity,
  })

export const openapi = queryOptions({
  queryKey: ['openapi'],
  queryFn: ({ signal }) => get<Record<string, unknown>>('/openapi.json', signal),
  staleTime: Infinity,
})

/** Sets the verdict of an alert and puts the answer into every cached list. `null` reopens. */
export async function setVerdict(id: string, verdict: T.Verdict | null, note: string): Promise<T.Alert> {
  const answer = await post<{ alert: T.Alert }>(`/alerts/${encodeURIComponent(id)}/verdict`, { verdict, note })
  putAlert(answer.alert)
  await queryClient.invalidateQueries({ queryKey: ['alerts'] })
  return answer.alert
}

/** Keeps a rule that was written here; it watches at once. */
export async function saveRule(id: string, text: string, reason: string) {
  await put<T.RuleCheck>(`/rules/${encodeURIComponent(id)}`, { text, reason })
  await rulesChanged(id)
}

export async function switchRule(id: string, on: boolean, reason: string) {
  await post<void>(`/rules/${encodeURIComponent(id)}/switch`, { on, reason })
  await rulesChanged(id)
}

/** Forgets a rule that was written here. True when one with its id from elsewhere is in force again. */
export async function removeRule(id: string): Promise<boolean> {
  await del(`/rules/${encodeURIComponent(id)}`)
  const left = await get<T.RuleDetail>(`/rules/${encodeURIComponent(id)}`).catch((cause: unknown) => {
    if (cause instanceof ApiError && cause.status === 404) return null
    throw cause
  })
  if (left) queryClient.setQueryData(rule(id).queryKey, left)
  await queryClient.invalidateQueries({ queryKey: rules.queryKey })
  return left !== null
}

const parserPath = (name: string) => `/parsers/${name.split('/').map(encodeURIComponent).join('/')}`

/** `name` is vendor/product. New records are read with it at once. */
export async function saveParser(name: string, text: string) {
  await put<void>(parserPath(name), { text })
  await queryClient.invalidateQueries({ queryKey: parsers.queryKey })
}

export async function removeParser(name: string) {
  await del(parserPath(name))
  await queryClient.invalidateQueries({ queryKey: parsers.queryKey })
}

/** Reads the stored records of a source again, in the background. */
export async function startReparse(source: string) {
  queryClient.setQueryData(reparse.queryKey, await post<T.Reparse>('/reparse', { source }))
}

/** Adds so many seconds to the times of events of a source, from two seconds after now on; 0 for no more. */
export async function correctClock(source: string, seconds: number, reason: string) {
  const path = `/sources/${encodeURIComponent(source)}/clock`
  if (seconds === 0) await del(path)
  else await put<void>(path, { correction_seconds: seconds, reason })
  await queryClient.invalidateQueries({ queryKey: sourceHealth(source).queryKey })
}

export async function saveLookup(name: string, file: File) {
  await putFile(`/lookups/${encodeURIComponent(name)}`, new Blob([file], { type: 'text/csv' }))
  await queryClient.invalidateQueries({ queryKey: lookups.queryKey })
}

export async function removeLookup(name: string) {
  await del(`/lookups/${encodeURIComponent(name)}`)
  await queryClient.invalidateQueries({ queryKey: lookups.queryKey })
}

/** Keeps a question under its name, in place of the one that has it. */
export async function saveSearch({ name, ...search }: Pick<T.SavedSearch, 'name' | 'query' | 'from' | 'to' | 'description' | 'schedule'>) {
  await put<T.SavedSearch>(`/searches/${encodeURIComponent(name)}`, search)
  await queryClient.invalidateQueries({ queryKey: savedSearches.queryKey })
}

export async function removeSearch(name: string) {
  await del(`/searches/${encodeURIComponent(name)}`)
  await queryClient.invalidateQueries({ queryKey: savedSearches.queryKey })
}

async function rulesChanged(id: string) {
  await Promise.all([queryClient.invalidateQueries({ queryKey: rules.queryKey }), queryClient.invalidateQueries({ queryKey: rule(id).queryKey })])
}

/** Replaces one alert wherever it is cached. */
export function putAlert(next: T.Alert) {
  queryClient.setQueriesData<T.Alert[]>({ queryKey: ['alerts'] }, (list) => list?.map((old) => (old.id === next.id ? next : old)))
  queryClient.setQueryData<T.AlertDetail>(['alert', next.id], (old) => (old ? { ...old, alert: next } : old))
}

function params(values: Record<string, string | number | undefined>): string {
  const out = new URLSearchParams()
  for (const [key, value] of Object.entries(values)) if (value !== undefined && value !== '') out.set(key, String(value))
  return out.toString()
}
