/** The API, drawn from the document that the server makes of itself. */
import { useQuery } from '@tanstack/react-query'
import { useMemo, useState } from 'react'
import { openapi } from '@/api/queries'
import { Button, ErrorBox, Loading, PageHeader, Title } from '@/components/ui'
import { Icon } from '@/components/Icon'
import { plural } from '@/lib/number'
import { type Operation, operations } from '@/lib/openapi'

export default function ApiDocs() {
  const { data, error, refetch } = useQuery(openapi)
  const [find, setFind] = useState('')
  const list = useMemo(() => (data ? operations(data) : []), [data])
  const shown = list.filter((each) => `${each.method} ${each.path} ${each.summary}`.toLowerCase().includes(find.toLowerCase()))
  const tags = [...new Set(shown.map((each) => each.tag))]
  return (
    <div className="mx-auto max-w-5xl pb-6">
      <Title>API</Title>
      <PageHeader title="API" note={data && plural(list.length, 'operation')}>
        <input
          data-searchbox
          aria-label="Find an operation"
          placeholder="Find an operation"
          className="border-line-strong bg-surface placeholder:text-muted h-7 w-56 rounded border px-2"
          value={find}
          onChange={(event) => setFind(event.target.value)}
        />
        <Button onClick={() => window.open('/api/v1/openapi.json', '_blank', 'noreferrer')}>openapi.json</Button>
      </PageHeader>
      <p className="text-muted px-4 pb-3">
        Send <code className="data">Authorization: Bearer TOKEN</code>. With the cookie of the browser, every call but GET also needs the header{' '}
        <code className="data">x-pugmark-request: 1</code>.
      </p>
      {error && <ErrorBox error={error} retry={() => void refetch()} />}
      {!data && !error && <Loading />}
      <div className="flex flex-col gap-4 px-4">
        {tags.map((tag) => (
          <section key={tag} aria-label={tag}>
            <h2 className="mb-1">{tag[0]?.toUpperCase() + tag.slice(1)}</h2>
            <div className="panel">
              {shown.filter((each) => each.tag === tag).map((each) => (
                <Item key={`${each.method} ${each.path}`} operation={each} />
              ))}
            </div>
          </section>
        ))}
      </div>
    </div>
  )
}

function Item({ operation }: { operation: Operation }) {
  return (
    <details className="border-line group border-b last:border-b-0">
      <summary className="hover:bg-bg flex min-h-8 list-none items-center gap-3 px-3 py-1">
        <span className="text-muted group-open:rotate-90">
          <Icon name="right" size={12} />
        </span>
        <span className="data w-14 font-semibold">{operation.method}</span>
        <span className="data shrink-0">{operation.path}</span>
        <span className="text-muted ml-auto text-right">{operation.summary}</span>
      </summary>
      <div className="flex flex-col gap-3 px-3 pt-1 pb-3 pl-9">
        {operation.description && <p className="max-w-prose whitespace-pre-line">{operation.description}</p>}
        {operation.parameters.length > 0 && (
          <table className="w-full">
            <caption className="text-muted text-left text-sm">Parameters</caption>
            <tbody>
              {operation.parameters.map((each) => (
                <tr key={`${each.place}${each.name}`} className="align-top">
                  <th scope="row" className="data w-40 py-0.5 text-left font-normal">
                    {each.name}
                    {each.required ? '' : '?'}
                  </th>
                  <td className="data text-muted w-20 py-0.5">{each.place}</td>
                  <td className="data w-32 py-0.5">{each.type}</td>
                  <td className="py-0.5">{each.description}</td>
                </tr>
              ))}
            </tbody>
          </table>
        )}
        {operation.body && <Block name={`Body, ${operation.body.type}`} text={operation.body.schema} />}
        {operation.responses.map((each) => (
          <Block key={each.status} name={`${each.status} ${each.description}`} text={each.schema} />
        ))}
      </div>
    </details>
  )
}

function Block({ name, text }: { name: string; text: string }) {
  return (
    <div>
      <p className="text-muted text-sm">{name}</p>
      {text !== '' && (
        <pre className="data bg-bg border-line mt-0.5 overflow-x-auto rounded border p-2" tabIndex={0} role="region" aria-label={name}>
          {text}
        </pre>
      )}
    </div>
  )
}
