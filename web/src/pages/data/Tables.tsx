/** Tables of the user's own: what is known about hosts, users and addresses, added to events. */
import { useQuery } from '@tanstack/react-query'
import { type FormEvent, useRef, useState } from 'react'
import { lookups as lookupsQuery, removeLookup, saveLookup } from '@/api/queries'
import type { Lookup, Lookups } from '@/api/types'
import { Icon } from '@/components/Icon'
import { toast } from '@/components/toasts'
import { Button, Copy, Empty, ErrorBox, inputClass, Loading, PageHeader, Section, Title } from '@/components/ui'
import { visible } from '@/lib/escape'
import { count, plural } from '@/lib/number'
import { RemoveDialog } from './RemoveDialog'
import { EXAMPLE, isTableName, nameOfFile, TABLE_NAME_RULE } from './tables'

export default function Tables() {
  const { data, error, refetch } = useQuery(lookupsQuery)
  const [name, setName] = useState('')
  const [removing, setRemoving] = useState<string | null>(null)
  const file = useRef<HTMLInputElement>(null)
  const replace = (table: string) => {
    setName(table)
    file.current?.focus()
    file.current?.click()
  }
  return (
    <div className="mx-auto max-w-[100rem] pb-6">
      <Title>Tables</Title>
      <PageHeader title="Tables" note="What you know about hosts, users and addresses, added to events as they arrive" />
      {error && !data && <ErrorBox error={error} retry={() => void refetch()} />}
      {!data && !error && <Loading />}
      {data && (
        <div className="flex flex-col gap-3 px-4">
          <Problems problems={data.problems} />
          {data.lookups.length === 0 ? (
            <Empty icon="table" title="There is no table yet">
              <p>Say who owns a host or where an address is: choose a CSV file below, and events get its columns.</p>
            </Empty>
          ) : (
            <List lookups={data.lookups} onReplace={replace} onRemove={setRemoving} />
          )}
          <Add name={name} setName={setName} file={file} known={data.lookups} />
          {data.attribution !== '' && <p className="text-muted text-sm break-words">{visible(data.attribution)}</p>}
        </div>
      )}
      {removing !== null && (
        <RemoveDialog what="table" name={removing} remove={() => removeLookup(removing)} onClose={() => setRemoving(null)}>
          <p>Its file is gone when it is removed, and new events come without its columns. Stored events stay as they are.</p>
        </RemoveDialog>
      )}
    </div>
  )
}

interface ListProps {
  lookups: Lookup[]
  onReplace: (name: string) => void
  onRemove: (name: string) => void
}

function List({ lookups, onReplace, onRemove }: ListProps) {
  return (
    <Section title={plural(lookups.length, 'table')}>
      <div className="overflow-x-auto" tabIndex={0} role="region" aria-label="Tables">
        <table className="w-full">
          <thead>
            <tr className="border-line text-muted h-7 border-b text-left text-sm">
              <th scope="col" className="px-3 font-normal">Name</th>
              <th scope="col" className="px-3 font-normal">Looked up by</th>
              <th scope="col" className="px-3 font-normal">Adds</th>
              <th scope="col" className="px-3 text-right font-normal">Keys</th>
              <th scope="col" className="w-56 px-3 font-normal">
                <span className="sr-only">Actions</span>
              </th>
            </tr>
          </thead>
          <tbody>
            {lookups.map((table) => (
              <tr key={table.name} className="border-line h-9 border-b last:border-b-0">
                <th scope="row" className="data px-3 text-left font-normal break-all">
                  {visible(table.name)}
                </th>
                <td className="data px-3 break-all">{visible(table.fields.join(', '))}</td>
                <td className="data px-3 break-all">{visible(table.columns.join(', '))}</td>
                <td className="px-3 text-right">{count(table.keys)}</td>
                <td className="px-3">
                  <span className="flex justify-end gap-2">
                    <Button aria-label={`Replace ${visible(table.name)}`} onClick={() => onReplace(table.name)}>
                      Replace…
                    </Button>
                    <Button aria-label={`Remove ${visible(table.name)}`} onClick={() => onRemove(table.name)}>
                      Remove…
                    </Button>
                  </span>
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </Section>
  )
}

interface AddProps {
  name: string
  setName: (name: string) => void
  file: { current: HTMLInputElement | null }
  known: Lookup[]
}

function Add({ name, setName, file, known }: AddProps) {
  const [chosen, setChosen] = useState<File | null>(null)
  const [busy, setBusy] = useState(false)
  const [error, setError] = useState<unknown>(null)
  const valid = isTableName(name)
  const replaces = known.some((table) => table.name === name)
  const submit = async (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault()
    if (!chosen || !valid || busy) return
    const form = event.currentTarget
    setBusy(true)
    setError(null)
    try {
      await saveLookup(name, chosen)
      toast({ text: `Kept ${name}: events that arrive from now on get its columns` })
      form.reset()
      setChosen(null)
      setName('')
    } catch (cause) {
      setError(cause)
    }
    setBusy(false)
  }
  return (
    <Section title="Add or replace a table">
      <form className="flex flex-wrap items-start gap-x-6 gap-y-3 p-3" onSubmit={(event) => void submit(event)}>
        <label>
          <span className="mb-1 block">CSV file</span>
          <input
            ref={file}
            name="file"
            type="file"
            accept=".csv,text/csv"
            className="file:border-line-strong file:bg-surface file:text-text h-8 max-w-96 file:mr-2 file:h-7 file:rounded file:border file:px-2.5"
            onChange={(event) => {
              const next = event.target.files?.[0] ?? null
              setChosen(next)
              setError(null)
              if (next && name === '') setName(nameOfFile(next.name))
            }}
          />
        </label>
        <div className="w-80 max-w-full">
          <label>
            <span className="mb-1 block">Name</span>
            <input
              name="name"
              className={`${inputClass} data`}
              placeholder="hosts"
              autoComplete="off"
              spellCheck={false}
              maxLength={64}
              value={name}
              aria-invalid={name !== '' && !valid}
              aria-describedby="table-name-note"
              onChange={(event) => setName(event.target.value.trim())}
            />
          </label>
          <p id="table-name-note" className={name !== '' && !valid ? 'text-critical' : 'text-muted'}>
            {replaces ? 'There is a table of this name: the file takes its place.' : TABLE_NAME_RULE}
          </p>
        </div>
        <Button type="submit" variant="primary" className="mt-6" disabled={busy || !chosen || !valid}>
          {busy ? 'Sending' : replaces ? 'Replace the table' : 'Add the table'}
        </Button>
      </form>
      {error !== null && <ErrorBox error={error} />}
      <div className="border-line text-muted border-t p-3">
        <p className="max-w-prose">
          The first column is called like the field that is looked up, such as <code className="data">host.name</code>, or several fields with a bar between them, such as <code className="data">source.ip|destination.ip</code>. The other columns are added
          beside it: <code className="data">owner</code> becomes <code className="data">host.owner</code>. Columns called <code className="data">valid_from</code> and <code className="data">valid_to</code> say when a row holds.
        </p>
        <div className="mt-2 flex items-start gap-1">
          <pre className="data text-text">{EXAMPLE}</pre>
          <Copy text={`${EXAMPLE}\n`} what="the example" />
        </div>
      </div>
    </Section>
  )
}

function Problems({ problems }: { problems: Lookups['problems'] }) {
  if (problems.length === 0) return null
  return (
    <Section title={`${plural(problems.length, 'file')} cannot be used`} aside={<Icon name="warn" />}>
      <ul aria-label="Files that cannot be used">
        {problems.map(({ file, message }, i) => (
          <li key={i} className="border-line border-b px-3 py-1.5 last:border-b-0">
            <p className="data text-muted break-all">{visible(file)}</p>
            <p className="break-words first-letter:uppercase">{visible(message)}</p>
            <p className="text-muted">Put the file right and choose it below, or change it on the server. The other tables go on.</p>
          </li>
        ))}
      </ul>
    </Section>
  )
}
