/** Which records a parser is proposed for or tried on: the newest of a source, or some that are pasted. */
import { useQuery } from '@tanstack/react-query'
import { sources as sourcesQuery } from '@/api/queries'
import { inputClass, selectClass } from '@/components/ui'
import { visible } from '@/lib/escape'
import type { Choice } from './parser'

export function RecordsChoice({ choice, onChange }: { choice: Choice; onChange: (next: Choice) => void }) {
  const { data } = useQuery(sourcesQuery)
  const names = data?.map((source) => source.name) ?? []
  // A source of the address that sent nothing yet, or before the list is there.
  if (choice.source !== '' && !names.includes(choice.source)) names.unshift(choice.source)
  return (
    <div className="flex min-w-0 flex-col gap-2">
      <label className="flex flex-wrap items-center gap-2">
        <span>Records</span>
        <select name="source" className={`${selectClass} max-w-80`} value={choice.source} onChange={(event) => onChange({ ...choice, source: event.target.value })}>
          <option value="">that I paste</option>
          {names.map((name) => (
            <option key={name} value={name}>
              newest of {visible(name)}
            </option>
          ))}
        </select>
      </label>
      {choice.source === '' && (
        <label>
          <span className="text-muted mb-1 block">One record per line, at most 1,000</span>
          <textarea name="lines" className={`${inputClass} data h-28 py-1 break-all`} spellCheck={false} value={choice.lines} onChange={(event) => onChange({ ...choice, lines: event.target.value })} />
        </label>
      )}
    </div>
  )
}
