/** What rules say of one event: those that fire on it, then those that nearly do and what they lack. */
import { useQuery } from '@tanstack/react-query'
import { Link } from '@tanstack/react-router'
import type { ReactNode } from 'react'
import { eventRules } from '@/api/queries'
import type { EventRule, WhyRow } from '@/api/types'
import { visible } from '@/lib/escape'
import { plural } from '@/lib/number'
import { useDebounced } from '@/lib/useDebounced'
import { FieldValue } from './FieldValue'
import { Severity } from './Severity'
import { ErrorBox, Loading } from './ui'
import { WhyTable } from './WhyTable'

/** Every rule is tried on the event, so the server is not asked for each one that a held key runs over. */
const SETTLE_MS = 200
/** The server answers at most so many rules. */
const RULES_MAX = 50

export function EventRules({ id }: { id: string }) {
  const settled = useDebounced(id, SETTLE_MS)
  const { data, error, refetch } = useQuery(eventRules(settled))
  if (settled !== id) return <Loading rows={3} />
  if (error && !data) return <ErrorBox error={error} retry={() => void refetch()} />
  if (!data) return <Loading rows={3} />
  return (
    <div className="min-h-0 flex-1 overflow-auto" tabIndex={0} role="region" aria-label="Rules on this event">
      <Answer rules={data} />
      <p className="text-muted px-3 py-2 text-sm">
        {data.length >= RULES_MAX && `Only the nearest ${RULES_MAX} rules are listed. `}
        Rules over time are left out: they need more than this one event.
      </p>
    </div>
  )
}

function Answer({ rules }: { rules: EventRule[] }) {
  const fire = rules.filter((rule) => rule.fires)
  const near = rules.filter((rule) => !rule.fires)
  if (rules.length === 0) {
    return <p className="px-3 pt-3">No rule fires on this event and none is near: no rule reads events like it, or those that do find nothing in it that they ask for.</p>
  }
  return (
    <>
      <Group title="Fire on this event" empty="None fires on it.">
        {fire.map((rule) => (
          <Entry key={rule.id} rule={rule}>
            {rule.why.length > 0 ? <WhyTable why={rule.why} label={`Conditions of ${visible(rule.title)} that held`} /> : <p className="text-muted px-3 pb-2">It fires because nothing that it rules out is there.</p>}
          </Entry>
        ))}
      </Group>
      <Group title="Nearly fire" empty="No other rule is near.">
        {near.map((rule) => (
          <Entry key={rule.id} rule={rule} note={`${plural(rule.lacks.length, 'test')} short, ${plural(rule.held, 'holds', 'hold')}`}>
            <ul className="px-3 pb-2" aria-label="What would have to be otherwise">
              {rule.lacks.map((lack, index) => (
                <Lack key={index} lack={lack} />
              ))}
            </ul>
          </Entry>
        ))}
      </Group>
    </>
  )
}

function Group({ title, empty, children }: { title: string; empty: string; children: ReactNode[] }) {
  return (
    <section aria-label={title}>
      <h3 className="border-line border-b px-3 pt-2 pb-1 font-semibold">{title}</h3>
      {children.length === 0 ? <p className="text-muted px-3 py-2">{empty}</p> : <ul>{children}</ul>}
    </section>
  )
}

function Entry({ rule, note, children }: { rule: EventRule; note?: string; children: ReactNode }) {
  return (
    <li className="border-line border-b" data-rule={rule.fires ? 'fires' : 'near'}>
      <div className="flex items-start gap-2 py-1.5 pr-3 pl-1.5">
        <Severity level={rule.level} />
        <Link to="/rules/$id" params={{ id: rule.id }} className="min-w-0 break-words hover:underline">
          {visible(rule.title)}
        </Link>
        {note && <span className="text-muted ml-auto shrink-0 text-sm">{note}</span>}
      </div>
      {children}
    </li>
  )
}

/** One test that would have to come out otherwise, as a sentence. */
export function Lack({ lack }: { lack: WhyRow }) {
  return (
    <li className="break-words">
      <span className="data">
        {visible(lack.field)} {visible(lack.test)}
      </span>
      <span className="text-muted"> — the event has </span>
      {lack.value === '' ? (
        <span className="text-muted">no value</span>
      ) : (
        <span className="data break-all">
          <FieldValue value={lack.value} limit={300} />
        </span>
      )}
    </li>
  )
}
