/** For tests: a page at an address, with the answers of a server. */
import { QueryClientProvider } from '@tanstack/react-query'
import { createMemoryHistory, createRootRoute, createRoute, createRouter, Outlet, RouterProvider } from '@tanstack/react-router'
import { act, type ReactElement } from 'react'
import { createRoot } from 'react-dom/client'
import { vi } from 'vitest'
import { queryClient } from '@/api/queries'

export interface Sent {
  method: string
  path: string
  type: string | null
  body: unknown
}

/** What a request is answered: JSON, an error as `[status, message]`, or never. */
export type Answers = Record<string, unknown>
export const NEVER = Symbol('never')

export async function mount(path: string, component: () => ReactElement, at: string, answers: Answers) {
  const sent: Sent[] = []
  vi.stubGlobal('IS_REACT_ACT_ENVIRONMENT', true)
  vi.stubGlobal('fetch', async (url: string, init: RequestInit) => {
    const method = init.method ?? 'GET'
    sent.push({ method, path: url, type: new Headers(init.headers).get('content-type'), body: init.body })
    const answer = answers[`${method} ${url.replace('/api/v1', '')}`] ?? [404, 'not in the test']
    if (answer === NEVER) return new Promise(() => {})
    if (Array.isArray(answer)) return Response.json({ error: { code: 'x', message: answer[1], hint: null } }, { status: answer[0] })
    return answer === 204 ? new Response(null, { status: 204 }) : Response.json(answer)
  })
  queryClient.clear()
  const root = createRootRoute({ component: Outlet })
  const shell = createRoute({ getParentRoute: () => root, id: 'shell', component: Outlet })
  const page = createRoute({ getParentRoute: () => shell, path, component })
  const rest = createRoute({ getParentRoute: () => root, path: '$', component: Outlet })
  const router = createRouter({ routeTree: root.addChildren([shell.addChildren([page]), rest]), history: createMemoryHistory({ initialEntries: [at] }) })
  const holder = document.createElement('div')
  document.body.replaceChildren(holder)
  const react = createRoot(holder)
  await act(async () => {
    // The router of the app is another type; the page only needs its own address.
    react.render(
      <QueryClientProvider client={queryClient}>
        <RouterProvider router={router as never} />
      </QueryClientProvider>,
    )
    await router.load()
  })
  await settle()
  return { page: holder, sent, router, unmount: () => act(async () => react.unmount()) }
}

/** Lets answers arrive. */
export async function settle() {
  for (let i = 0; i < 5; i += 1) await act(() => new Promise((resolve) => setTimeout(resolve, 5)))
}

export async function press(button: Element | null | undefined) {
  if (!button) throw new Error('there is nothing to press')
  await act(async () => (button as HTMLElement).click())
  await settle()
}

/** Types into a field as a person does: React hears of it. */
export async function fill(field: Element | null, value: string) {
  const proto = field instanceof HTMLTextAreaElement ? HTMLTextAreaElement.prototype : HTMLInputElement.prototype
  await act(async () => {
    Object.getOwnPropertyDescriptor(proto, 'value')?.set?.call(field, value)
    field?.dispatchEvent(new Event('input', { bubbles: true }))
  })
}

export function button(page: Element, text: string): HTMLButtonElement | undefined {
  return Array.from(page.ownerDocument.querySelectorAll('button')).find((each) => each.textContent === text)
}
