/** Proposes a parser for records that none knows; what is proposed is edited, tried and kept. */
import { useQuery } from '@tanstack/react-query'
import { Link, useNavigate, useSearch } from '@tanstack/react-router'
import { type FormEvent, useState } from 'react'
import { post } from '@/api/client'
import { parsers as parsersQuery } from '@/api/queries'
import type { ParserProposal } from '@/api/types'
import { Button, buttonClass, ErrorBox, inputClass, Loading, PageHeader, Section, Title } from '@/components/ui'
import { isParserName, NAME_RULE, recordsOf, suggestName, triedOf } from './parser'
import { ParserWork } from './ParserWork'
import { Proposal } from './Proposal'
import { RecordsChoice } from './RecordsChoice'

export default function NewParser() {
  const { source = '' } = useSearch({ from: '/shell/data/parsers/new' })
  return <Page key={source} source={source} />
}

function Page({ source }: { source: string }) {
  const navigate = useNavigate()
  const known = useQuery(parsersQuery).data?.parsers
  const [name, setName] = useState(() => suggestName(source))
  const [choice, setChoice] = useState({ source, lines: '' })
  const { proposal, round, busy, error, propose } = usePropose()
  const records = recordsOf(choice)
  const valid = isParserName(name)
  const [vendor = '', product = ''] = name.split('/')
  const submit = (event: FormEvent) => {
    event.preventDefault()
    if (valid && records) void propose({ name, ...records })
  }
  return (
    <div className="mx-auto max-w-[100rem] pb-6">
      <Title>Propose a parser</Title>
      <PageHeader title="Propose a parser" note="From records that no parser reads yet. Nothing is kept before you say so.">
        <Link to="/data/parsers" className={buttonClass()}>
          All parsers
        </Link>
      </PageHeader>
      <div className="flex flex-col gap-3 px-4">
        <Section title="What it is for">
          <form className="flex flex-wrap items-start gap-x-6 gap-y-3 p-3" onSubmit={submit}>
            <div className="w-96 max-w-full">
              <label>
                <span className="mb-1 block">Name, as vendor/product</span>
                <input
                  name="name"
                  className={`${inputClass} data`}
                  placeholder="acme/shop"
                  autoComplete="off"
                  spellCheck={false}
                  maxLength={130}
                  value={name}
                  aria-invalid={name !== '' && !valid}
                  aria-describedby="name-note"
                  onChange={(event) => setName(event.target.value.trim())}
                />
              </label>
              <p id="name-note" className={name !== '' && !valid ? 'text-critical' : 'text-muted'}>
                {valid && known?.some((parser) => parser.name === name) ? 'You have a parser of this name: keeping this one takes its place.' : NAME_RULE}
              </p>
            </div>
            <div className="min-w-80 flex-1">
              <RecordsChoice choice={choice} onChange={setChoice} />
            </div>
            <div className="flex flex-col items-end gap-1">
              <Button type="submit" variant={proposal ? 'default' : 'primary'} disabled={busy || !valid || records === null}>
                {busy ? 'Looking at the records' : proposal ? 'Propose again' : 'Propose'}
              </Button>
              {proposal && <p className="text-muted text-sm">Takes the place of the text below</p>}
            </div>
          </form>
        </Section>
        {error !== null && <ErrorBox error={error} />}
        {busy && !proposal && <Loading rows={8} />}
        {proposal && (
          <ParserWork
            key={round}
            name={name}
            initial={proposal.text}
            kept={false}
            choice={choice}
            tried={triedOf(proposal)}
            onKept={() => void navigate({ to: '/data/parsers/$vendor/$product', params: { vendor, product }, search: choice.source === '' ? {} : { source: choice.source } })}
          >
            <Proposal proposal={proposal} />
          </ParserWork>
        )}
      </div>
    </div>
  )
}

function usePropose() {
  const [state, setState] = useState<{ proposal: ParserProposal | null; round: number }>({ proposal: null, round: 0 })
  const [busy, setBusy] = useState(false)
  const [error, setError] = useState<unknown>(null)
  const propose = async (request: object) => {
    setBusy(true)
    setError(null)
    try {
      const proposal = await post<ParserProposal>('/parsers/propose', request)
      setState(({ round }) => ({ proposal, round: round + 1 }))
    } catch (cause) {
      setError(cause)
    }
    setBusy(false)
  }
  return { ...state, busy, error, propose }
}
