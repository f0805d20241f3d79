/** The parsers of the user's own, and those that cannot be used. */
import { useQuery } from '@tanstack/react-query'
import { Link } from '@tanstack/react-router'
import { useState } from 'react'
import { parsers as parsersQuery } from '@/api/queries'
import type { OwnParser, Parsers as List } from '@/api/types'
import { Icon } from '@/components/Icon'
import { Button, buttonClass, Empty, ErrorBox, Loading, PageHeader, Section, Title } from '@/components/ui'
import { visible } from '@/lib/escape'
import { plural } from '@/lib/number'
import { isParserName } from './parser'
import { RemoveParser } from './RemoveParser'

const FILE = '/parser.yaml'

export default function Parsers() {
  const { data, error, refetch } = useQuery(parsersQuery)
  const [removing, setRemoving] = useState<string | null>(null)
  return (
    <div className="mx-auto max-w-[100rem] pb-6">
      <Title>Parsers</Title>
      <PageHeader title="Parsers" note={data && `${plural(data.parsers.length, 'parser')} of your own`}>
        <Link to="/data/parsers/new" className={buttonClass('primary')}>
          <Icon name="plus" />
          Propose a parser
        </Link>
      </PageHeader>
      {error && !data && <ErrorBox error={error} retry={() => void refetch()} />}
      {!data && !error && <Loading />}
      {data && (
        <div className="flex flex-col gap-3 px-4">
          <Problems problems={data.problems} onRemove={setRemoving} />
          {data.parsers.length === 0 ? (
            <Empty icon="wrap" title="You have no parser of your own">
              <p>Pugmark reads the records of many products by itself. When it does not know those of a source, open the source under Sources and propose a parser, or begin here with some records.</p>
              <div className="flex gap-2">
                <Link to="/data" className={buttonClass()}>
                  Look at the sources
                </Link>
                <Link to="/data/parsers/new" className={buttonClass('primary')}>
                  Propose a parser
                </Link>
              </div>
            </Empty>
          ) : (
            <Table parsers={data.parsers} onRemove={setRemoving} />
          )}
        </div>
      )}
      {removing !== null && <RemoveParser name={removing} onClose={() => setRemoving(null)} />}
    </div>
  )
}

function Table({ parsers, onRemove }: { parsers: OwnParser[]; onRemove: (name: string) => void }) {
  return (
    <Section title="Your own parsers, asked before those that Pugmark comes with">
      <table className="w-full">
        <thead>
          <tr className="border-line text-muted h-7 border-b text-left text-sm">
            <th scope="col" className="px-3 font-normal">Name</th>
            <th scope="col" className="px-3 font-normal">First line</th>
            <th scope="col" className="px-3 text-right font-normal">Lines</th>
            <th scope="col" className="w-28 px-3 font-normal">
              <span className="sr-only">Actions</span>
            </th>
          </tr>
        </thead>
        <tbody>
          {parsers.map(({ name, text }) => {
            const [vendor = '', product = ''] = name.split('/')
            const lines = text.trimEnd().split('\n')
            return (
              <tr key={name} className="border-line h-9 border-b last:border-b-0">
                <th scope="row" className="data px-3 text-left font-normal break-all">
                  <Link to="/data/parsers/$vendor/$product" params={{ vendor, product }}>
                    {visible(name)}
                  </Link>
                </th>
                <td className="text-muted data max-w-96 truncate px-3">{visible(lines[0] ?? '')}</td>
                <td className="px-3 text-right">{lines.length}</td>
                <td className="px-3 text-right">
                  <Button aria-label={`Remove ${visible(name)}`} onClick={() => onRemove(name)}>
                    Remove…
                  </Button>
                </td>
              </tr>
            )
          })}
        </tbody>
      </table>
    </Section>
  )
}

/** What can be removed here is called as a file of a parser is. */
function nameOf(path: string): string | null {
  const name = path.endsWith(FILE) ? path.slice(0, -FILE.length) : ''
  return isParserName(name) ? name : null
}

function Problems({ problems, onRemove }: { problems: List['problems']; onRemove: (name: string) => void }) {
  if (problems.length === 0) return null
  return (
    <Section title={`${plural(problems.length, 'parser')} cannot be used`} aside={<Icon name="warn" />}>
      <ul aria-label="Parsers that cannot be used">
        {problems.map(({ path, message }, i) => {
          const name = nameOf(path)
          return (
            <li key={i} className="border-line flex items-start gap-3 border-b px-3 py-1.5 last:border-b-0">
              <div className="min-w-0 flex-1">
                <p className="data text-muted break-all">{visible(path)}</p>
                <p className="break-words first-letter:uppercase">{visible(message)}</p>
                <p className="text-muted">{name === null ? 'Change the file on the server.' : 'Change the file on the server, or remove it.'} The other parsers go on.</p>
              </div>
              {name !== null && (
                <Button aria-label={`Remove ${visible(name)}`} onClick={() => onRemove(name)}>
                  Remove…
                </Button>
              )}
            </li>
          )
        })}
      </ul>
    </Section>
  )
}
