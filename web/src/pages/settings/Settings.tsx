/** Tokens, and what this person prefers in this browser. */
import { useQuery } from '@tanstack/react-query'
import { type FormEvent, type ReactNode, useState } from 'react'
import { ApiError, del, post } from '@/api/client'
import { queryClient, tokens as tokensQuery } from '@/api/queries'
import type { NewToken, Token } from '@/api/types'
import { Dialog } from '@/components/Dialog'
import { Ago, Time } from '@/components/Time'
import { toast } from '@/components/toasts'
import { Button, Copy, ErrorBox, Loading, PageHeader, Section, selectClass, Title } from '@/components/ui'
import { visible } from '@/lib/escape'
import { setPrefs, usePrefs } from '@/lib/prefs'
import { zoneLabel } from '@/lib/time'

export default function Settings() {
  return (
    <div className="mx-auto max-w-5xl pb-6">
      <Title>Settings</Title>
      <PageHeader title="Settings" />
      <div className="flex flex-col gap-3 px-4">
        <Tokens />
        <Preferences />
      </div>
    </div>
  )
}

function Tokens() {
  const { data, error, refetch } = useQuery(tokensQuery)
  const [made, setMade] = useState<NewToken | null>(null)
  const [revoking, setRevoking] = useState<Token | null>(null)
  const create = async (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault()
    const form = event.currentTarget
    const values = new FormData(form)
    try {
      setMade(await post<NewToken>('/tokens', { name: String(values.get('name')).trim(), purpose: values.get('purpose') }))
      form.reset()
      await refetch()
    } catch (cause) {
      toast({ text: cause instanceof ApiError ? cause.message : String(cause), error: true })
    }
  }
  const revoke = async (token: Token) => {
    setRevoking(null)
    try {
      await del(`/tokens/${encodeURIComponent(token.id)}`)
      toast({ text: `Revoked ${token.name}` })
      if (made?.id === token.id) setMade(null)
      await queryClient.invalidateQueries({ queryKey: tokensQuery.queryKey })
    } catch (cause) {
      toast({ text: cause instanceof ApiError ? cause.message : String(cause), error: true })
    }
  }
  return (
    <Section title="Tokens for programs">
      <form className="border-line flex flex-wrap items-center gap-2 border-b p-3" onSubmit={(event) => void create(event)}>
        <input name="name" aria-label="Name of the token" placeholder="Name, such as web-1 vector" required maxLength={100} className="border-line-strong bg-surface placeholder:text-muted h-7 w-64 rounded border px-2" />
        <select name="purpose" aria-label="Purpose" className={selectClass}>
          <option value="ingest">ingest: may only send logs</option>
          <option value="read">read: may only ask</option>
        </select>
        <Button type="submit" variant="primary">
          Make a token
        </Button>
      </form>
      {made && (
        <div role="status" className="border-line bg-accent-soft flex flex-wrap items-center gap-2 border-b px-3 py-2">
          <span>
            Token <strong>{visible(made.name)}</strong>, shown once:
          </span>
          <code className="data break-all">{made.token}</code>
          <Copy text={made.token} what="the token" />
        </div>
      )}
      {error && <ErrorBox error={error} />}
      {!data && !error && <Loading rows={3} />}
      {data?.length === 0 && <p className="text-muted p-3">No token has been made.</p>}
      {data && data.length > 0 && (
        <table className="w-full">
          <thead>
            <tr className="border-line text-muted h-7 border-b text-left text-sm">
              <th scope="col" className="px-3 font-normal">Name</th>
              <th scope="col" className="px-3 font-normal">Purpose</th>
              <th scope="col" className="px-3 font-normal">Made</th>
              <th scope="col" className="px-3 font-normal">Last used</th>
              <th scope="col" className="w-24 px-3 font-normal">
                <span className="sr-only">Actions</span>
              </th>
            </tr>
          </thead>
          <tbody>
            {data.map((token) => (
              <tr key={token.id} className="border-line h-9 border-b last:border-b-0">
                <td className="px-3 break-words">{visible(token.name)}</td>
                <td className="px-3">{token.purpose}</td>
                <td className="px-3">
                  <Time at={token.created} precision="m" />
                </td>
                <td className="px-3">{token.last_used ? <Ago at={token.last_used} /> : <span className="text-muted">never</span>}</td>
                <td className="px-3 text-right">
                  <Button aria-label={`Revoke ${visible(token.name)}`} onClick={() => setRevoking(token)}>
                    Revoke
                  </Button>
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
      {revoking && (
        <Dialog open onClose={() => setRevoking(null)} title={`Revoke ${visible(revoking.name)}?`}>
          <p className="mb-4">Programs that use it are refused from now on. A revoked token cannot come back; make a new one instead.</p>
          <div className="flex justify-end gap-2">
            <Button onClick={() => setRevoking(null)}>Keep it</Button>
            <Button variant="primary" onClick={() => void revoke(revoking)}>
              Revoke the token
            </Button>
          </div>
        </Dialog>
      )}
    </Section>
  )
}

function Preferences() {
  const prefs = usePrefs()
  return (
    <Section title="In this browser">
      <div className="grid grid-cols-[12rem_1fr] items-center gap-y-2 p-3">
        <Choice name="Theme" id="theme">
          <select id="theme" className={selectClass} value={prefs.theme} onChange={(event) => setPrefs({ theme: event.target.value as typeof prefs.theme })}>
            <option value="system">As the system</option>
            <option value="dark">Dark</option>
            <option value="light">Light</option>
          </select>
        </Choice>
        <Choice name="Times" id="zone">
          <select id="zone" className={selectClass} value={prefs.zone} onChange={(event) => setPrefs({ zone: event.target.value as typeof prefs.zone })}>
            <option value="utc">UTC</option>
            <option value="local">Local, {zoneLabel('local')}</option>
          </select>
        </Choice>
        <Choice name="Single-key shortcuts" id="keys">
          <span className="flex items-center gap-2">
            <input id="keys" type="checkbox" className="size-4" checked={prefs.shortcuts} onChange={(event) => setPrefs({ shortcuts: event.target.checked })} />
            <span className="text-muted">j, k, e, u and the others. Ctrl or Cmd shortcuts always work.</span>
          </span>
        </Choice>
        <Choice name="Long lines in Explore" id="wrap">
          <span className="flex items-center gap-2">
            <input id="wrap" type="checkbox" className="size-4" checked={prefs.wrap} onChange={(event) => setPrefs({ wrap: event.target.checked })} />
            <span className="text-muted">Wrap them</span>
          </span>
        </Choice>
        <span>Recent queries</span>
        <span className="flex items-center gap-2">
          <Button disabled={prefs.recent.length === 0} onClick={() => setPrefs({ recent: [] })}>
            Forget {prefs.recent.length}
          </Button>
        </span>
      </div>
    </Section>
  )
}

function Choice({ name, id, children }: { name: string; id: string; children: ReactNode }) {
  return (
    <>
      <label htmlFor={id}>{name}</label>
      <div>{children}</div>
    </>
  )
}
