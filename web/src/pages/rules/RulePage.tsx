/** One rule: as it is written, what it found, what it would have found, and whether it runs. */
import { useQuery } from '@tanstack/react-query'
import { Link, useParams } from '@tanstack/react-router'
import { useMemo } from 'react'
import { alerts as alertsQuery, rule as ruleQuery } from '@/api/queries'
import type { Rule } from '@/api/types'
import { EntityText } from '@/components/EntityLink'
import { FieldValue } from '@/components/FieldValue'
import { Severity } from '@/components/Severity'
import { Ago } from '@/components/Time'
import { Chip, Copy, ErrorBox, Loading, Section, Title } from '@/components/ui'
import { visible } from '@/lib/escape'
import { count } from '@/lib/number'
import { NextSteps } from '../alerts/NextSteps'
import { References } from '../alerts/References'
import { Backtest } from './Backtest'
import { BehindChip, BehindNote, behindOf, useThrottled } from './Behind'
import { RuleActions } from './RuleActions'
import { RuleNote } from './RuleNote'
import { Exceptions } from './Exceptions'
import { Origin } from './Origin'
import { tactics, techniques } from './tags'
import { logSource, ORIGIN_WORD } from './words'

export default function RulePage() {
  const { id } = useParams({ from: '/shell/rules/$id' })
  const { data: rule, error, refetch } = useQuery(ruleQuery(id))
  const behind = behindOf(rule, useThrottled())
  // A rule that is off does not run, so its text is tried.
  const [name, text] = [rule?.id ?? '', rule?.off ? rule.source : null]
  const what = useMemo(() => (text === null ? { rule: name } : { text }), [name, text])
  if (error) return <ErrorBox error={error} retry={() => void refetch()} />
  if (!rule) return <Loading rows={10} />
  return (
    <div className="mx-auto max-w-[100rem] pb-6">
      <Title>{rule.title}</Title>
      <header className="flex flex-wrap items-start gap-x-4 gap-y-2 px-4 py-3">
        <div className="min-w-0 flex-1 basis-96">
          <div className="mb-1 flex flex-wrap items-center gap-2">
            <Severity level={rule.level} />
            <Chip>{rule.kind}</Chip>
            <Chip>{ORIGIN_WORD[rule.origin]}</Chip>
            {rule.off && <Chip className="border-line-strong font-semibold">off</Chip>}
            {behind && <BehindChip behind={behind} className="border-line-strong font-semibold" />}
            <span className="data text-muted">{logSource(rule)}</span>
            <span className="text-muted text-sm" title="Changes when what it detects may change">
              version <span className="data">{visible(rule.version)}</span>
            </span>
          </div>
          <h1 className="break-words">{visible(rule.title)}</h1>
          <p className="max-w-prose text-lg break-words">{visible(rule.description)}</p>
        </div>
        <RuleActions rule={rule} />
      </header>
      {rule.off && <OffNote off={rule.off} />}
      {behind && <BehindNote behind={behind} />}
      <div className="grid grid-cols-12 items-start gap-3 px-4">
        <div className="col-span-12 flex min-w-0 flex-col gap-3 xl:col-span-8">
          <Backtest what={what} />
          <Section title="Source" aside={<Copy text={rule.source} what="the rule" />}>
            <pre className="data max-h-[48rem] overflow-auto p-3" tabIndex={0} role="region" aria-label="Source of the rule">
              <FieldValue value={rule.source} multiline limit={300_000} />
            </pre>
          </Section>
        </div>
        <div className="col-span-12 flex min-w-0 flex-col gap-3 xl:col-span-4">
          <RuleAlerts id={rule.id} total={rule.alerts} />
          <Exceptions list={rule.exceptions} />
          <Section title="About">
            <div className="flex flex-col gap-3 p-3">
              <div className="flex flex-wrap gap-1">
                {tactics(rule.tags).map((tactic) => (
                  <Chip key={tactic}>{tactic}</Chip>
                ))}
                {techniques(rule.tags).map((technique) => (
                  <Chip key={technique} className="data">
                    {technique}
                  </Chip>
                ))}
              </div>
              <NextSteps text={rule.next_steps} />
              {rule.falsepositives.length > 0 && (
                <div>
                  <h3 className="text-muted">Known false positives</h3>
                  <ul className="list-disc pl-5">
                    {rule.falsepositives.map((text) => (
                      <li key={text}>{visible(text)}</li>
                    ))}
                  </ul>
                </div>
              )}
              <References list={rule.references} />
              <Origin author={rule.author} license={rule.license} />
              <p className="text-muted data flex items-center gap-1 break-all">
                {rule.id} <Copy text={rule.id} what="the rule id" />
              </p>
            </div>
          </Section>
        </div>
      </div>
    </div>
  )
}

function OffNote({ off }: { off: NonNullable<Rule['off']> }) {
  return (
    <RuleNote icon="pause">
      <strong className="font-semibold">Switched off</strong> by {visible(off.actor)} <Ago at={off.since} />: {visible(off.reason)}
    </RuleNote>
  )
}

function RuleAlerts({ id, total }: { id: string; total: number }) {
  const { data } = useQuery(alertsQuery({ rule: id }, 20))
  return (
    <Section
      title="Alerts of this rule"
      aside={
        <Link to="/alerts" search={{ status: 'all', rule: id }}>
          All {count(total)}
        </Link>
      }
    >
      {data?.length === 0 && <p className="text-muted p-3">It has not fired.</p>}
      <ul>
        {(data ?? []).slice(0, 8).map((alert) => (
          <li key={alert.id} className="border-line flex h-8 items-center gap-2 border-b px-3 last:border-b-0">
            <Link to="/alerts/$id" params={{ id: alert.id }} className="flex min-w-0 flex-1 items-center hover:underline">
              <EntityText entity={alert.entity} />
            </Link>
            <span className="text-muted text-sm">{count(alert.count)}</span>
            <span className="w-24 text-right text-sm">
              <Ago at={alert.last_seen} />
            </span>
          </li>
        ))}
      </ul>
    </Section>
  )
}
