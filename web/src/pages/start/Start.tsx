/** How to send the first log: pick a way, copy, watch it arrive. */
import { useQuery } from '@tanstack/react-query'
import { Link } from '@tanstack/react-router'
import { useState } from 'react'
import { ApiError, post } from '@/api/client'
import { queryClient, status, tokens } from '@/api/queries'
import { useLive, useTail } from '@/api/stream'
import type { LogEvent, NewToken } from '@/api/types'
import { EventDetail } from '@/components/EventDetail'
import { FieldValue } from '@/components/FieldValue'
import { Icon } from '@/components/Icon'
import { Tabs } from '@/components/Tabs'
import { Time } from '@/components/Time'
import { toast } from '@/components/toasts'
import { Button, buttonClass, Copy, PageHeader, Section, Title } from '@/components/ui'
import { count } from '@/lib/number'
import { filterText } from '@/lib/query'
import { ways } from './snippets'

const PLACEHOLDER = 'YOUR_TOKEN'

export default function Start() {
  const { data } = useQuery(status)
  const [token, setToken] = useState<string | null>(null)
  const list = ways({
    origin: location.origin,
    token: token ?? PLACEHOLDER,
    syslogTcp: data?.listen.syslog_tcp ?? null,
    syslogUdp: data?.listen.syslog_udp ?? null,
  })
  return (
    <div className="mx-auto max-w-5xl pb-6">
      <Title>Send logs</Title>
      <PageHeader title="Send your first log" note="Copy one of these, run it where the logs are, and see the event below." />
      <div className="flex flex-col gap-3 px-4">
        <TokenStep token={token} onToken={setToken} />
        <section className="panel flex flex-col" aria-label="Ways to send">
          <Tabs
            label="Ways to send"
            tabs={list.map((way) => ({
              id: way.id,
              label: way.label,
              body: (
                <div className="flex flex-col gap-3 p-3">
                  <p className="text-muted">{way.lead}</p>
                  {way.parts.map((part) => (
                    <Snippet key={part.name} name={part.name} text={part.text} />
                  ))}
                </div>
              ),
            }))}
          />
        </section>
        <Arrivals />
      </div>
    </div>
  )
}

function TokenStep({ token, onToken }: { token: string | null; onToken: (token: string) => void }) {
  const [busy, setBusy] = useState(false)
  const make = async () => {
    setBusy(true)
    try {
      const name = `start ${new Date().toISOString().slice(0, 16)}`
      onToken((await post<NewToken>('/tokens', { name, purpose: 'ingest' })).token)
      await queryClient.invalidateQueries({ queryKey: tokens.queryKey })
    } catch (cause) {
      toast({ text: cause instanceof ApiError ? cause.message : String(cause), error: true })
    }
    setBusy(false)
  }
  return (
    <section className="panel flex min-h-12 flex-wrap items-center gap-3 px-3 py-2" aria-label="Token">
      <Icon name="key" />
      {token ? (
        <>
          <p>
            This ingest token is filled in below. It can only send, and it is <strong>shown once</strong>.
          </p>
          <code className="data bg-bg border-line rounded border px-2 py-1 break-all">{token}</code>
          <Copy text={token} what="the token" />
        </>
      ) : (
        <>
          <p>
            Sending needs a token that can do nothing else. Make one, and it is filled in below in place of <code className="data">{PLACEHOLDER}</code>.
          </p>
          <Button variant="primary" className="ml-auto" disabled={busy} onClick={() => void make()}>
            Make an ingest token
          </Button>
        </>
      )}
    </section>
  )
}

function Snippet({ name, text }: { name: string; text: string }) {
  return (
    <figure className="border-line bg-bg rounded border">
      <figcaption className="border-line flex h-7 items-center border-b pr-1 pl-2 text-sm">
        <span className="text-muted">{name}</span>
        <span className="ml-auto">
          <Copy text={text} what={name.toLowerCase()} />
        </span>
      </figcaption>
      <pre className="data overflow-x-auto p-2.5" tabIndex={0} role="region" aria-label={name}>
        {text}
      </pre>
    </figure>
  )
}

/** Counts what arrives while this page is open and shows the first event. */
function Arrivals() {
  const live = useLive()
  const [seen, setSeen] = useState<{ n: number; first: LogEvent | null; last: LogEvent | null }>({ n: 0, first: null, last: null })
  useTail('', {
    onEvents: (events) =>
      setSeen((old) => ({ n: old.n + events.length, first: old.first ?? events[0] ?? null, last: events.at(-1) ?? old.last })),
    onDropped: (n) => setSeen((old) => ({ ...old, n: old.n + n })),
  })
  const source = String(seen.first?.['event.source'] ?? '')
  return (
    <Section
      title={seen.n === 0 ? 'Waiting for the first event' : `Received ${count(seen.n)} ${seen.n === 1 ? 'event' : 'events'}`}
      aside={live ? 'live' : 'connecting'}
    >
      <div role="status" className="p-3" data-arrivals={seen.n}>
        {seen.first === null ? (
          <p className="text-muted flex items-center gap-2">
            <Icon name="clock" />
            Nothing has come in since this page was opened. It updates by itself.
          </p>
        ) : (
          <p className="flex items-center gap-2">
            <Icon name="check" />
            <span className="min-w-0 truncate">
              First event from source{' '}
              <span className="data">
                <FieldValue value={source} />
              </span>{' '}
              at <Time at={String(seen.first['@timestamp'])} />
            </span>
            <Link to="/explore" search={{ q: filterText('event.source', source), from: 'now-1h', to: 'now' }} className={buttonClass('default', 'ml-auto')}>
              See it in Explore
            </Link>
          </p>
        )}
      </div>
      {seen.first && (
        <div className="border-line flex h-72 flex-col border-t">
          <EventDetail event={seen.first} />
        </div>
      )}
    </Section>
  )
}
