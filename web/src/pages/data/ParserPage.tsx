/** One parser of the user's own: edited, tried, kept, removed; stored records are read again with it. */
import { useQuery } from '@tanstack/react-query'
import { Link, useNavigate, useParams, useSearch } from '@tanstack/react-router'
import { useState } from 'react'
import { parsers as parsersQuery } from '@/api/queries'
import { Button, buttonClass, Empty, ErrorBox, Loading, PageHeader, Section, Title } from '@/components/ui'
import { visible } from '@/lib/escape'
import { ParserWork } from './ParserWork'
import { RecordsChoice } from './RecordsChoice'
import { RemoveParser } from './RemoveParser'
import { StoredRecords } from './StoredRecords'

export default function ParserPage() {
  const { vendor, product } = useParams({ from: '/shell/data/parsers/$vendor/$product' })
  const { source = '' } = useSearch({ from: '/shell/data/parsers/$vendor/$product' })
  const name = `${vendor}/${product}`
  const { data, error, refetch } = useQuery(parsersQuery)
  const parser = data?.parsers.find((each) => each.name === name)
  if (error && !data) return <ErrorBox error={error} retry={() => void refetch()} />
  if (!data) return <Loading rows={12} />
  return (
    <div className="mx-auto max-w-[100rem] pb-6">
      <Title>{name}</Title>
      {parser ? (
        <Page key={name} name={name} text={parser.text} source={source} />
      ) : (
        <>
          <PageHeader title={visible(name)} />
          <Empty icon="data" title="You have no parser of this name">
            <p>It may have been removed, or it cannot be used: the list says so.</p>
            <Link to="/data/parsers" className={buttonClass('primary')}>
              All parsers
            </Link>
          </Empty>
        </>
      )}
    </div>
  )
}

function Page({ name, text, source }: { name: string; text: string; source: string }) {
  const navigate = useNavigate()
  const [choice, setChoice] = useState({ source, lines: '' })
  const [removing, setRemoving] = useState(false)
  return (
    <>
      <PageHeader title={visible(name)} note="Your own parser. New records are read with it.">
        <Button onClick={() => setRemoving(true)}>Remove…</Button>
      </PageHeader>
      <div className="flex flex-col gap-3 px-4">
        <Section title="Records to try it on">
          <div className="p-3">
            <RecordsChoice choice={choice} onChange={setChoice} />
          </div>
        </Section>
        <ParserWork name={name} initial={text} kept choice={choice} tried={null} />
        <StoredRecords source={choice.source} />
      </div>
      {removing && <RemoveParser name={name} onClose={() => setRemoving(false)} onGone={() => void navigate({ to: '/data/parsers' })} />}
    </>
  )
}
