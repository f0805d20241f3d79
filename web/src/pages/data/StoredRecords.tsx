/** Stored events stay as they were read, until their records are read again. */
import { useQuery } from '@tanstack/react-query'
import { useState } from 'react'
import { reparse as reparseQuery, startReparse } from '@/api/queries'
import type { Reparse } from '@/api/types'
import { Button, Copy, ErrorBox, Section } from '@/components/ui'
import { visible } from '@/lib/escape'
import { plural } from '@/lib/number'
import { reparseCommand } from './parser'

export function StoredRecords({ source }: { source: string }) {
  const { data } = useQuery(reparseQuery)
  const [error, setError] = useState<unknown>(null)
  const start = async () => {
    setError(null)
    try {
      await startReparse(source)
    } catch (cause) {
      setError(cause)
    }
  }
  return (
    <Section title="Records that are stored already">
      <div className="flex flex-col gap-2 p-3">
        <p className="max-w-prose">Events that are stored stay as they were read. Once the parser is kept, the records of a source can be read again; their ids stay.</p>
        {source === '' ? (
          <p className="text-muted">Choose a source above to read its stored records again.</p>
        ) : (
          <div className="flex flex-wrap items-center gap-x-3 gap-y-2">
            <Button onClick={() => void start()} disabled={data?.running === true}>
              Read again
            </Button>
            <span className="text-muted">all stored records of {visible(source)}, or in a terminal, also for a part of the time:</span>
            <span className="flex items-center gap-1">
              <code className="data break-all">{visible(reparseCommand(source))}</code>
              <Copy text={reparseCommand(source)} what="the command" />
            </span>
          </div>
        )}
        <p role="status">{data && stateWords(data)}</p>
      </div>
      {error !== null && <ErrorBox error={error} />}
    </Section>
  )
}

/** How the newest one is; nothing when there was none. */
export function stateWords({ running, source, done, error }: Reparse): string {
  if (source === '') return ''
  const of = `${plural(done.events, 'event')} of ${visible(source)}`
  if (error !== null) return `It ended early, after ${of}: ${visible(error)}`
  const left = done.remote > 0 ? `; ${plural(done.remote, 'segment')} on object storage left as they are` : ''
  return running ? `Reading again: ${of} so far` : `Read again: ${of}${left}`
}
