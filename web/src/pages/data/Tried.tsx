/** What a parser makes of records: how many it takes, and some of them beside their events. */
import type { ParserSample, ParserTried } from '@/api/types'
import { FieldValue } from '@/components/FieldValue'
import { Chip } from '@/components/ui'
import { visible } from '@/lib/escape'
import { count, percent, plural } from '@/lib/number'
import { eventFields, isTaken } from './parser'

const OPEN = 2
const RECORD_CHARS = 4_000

export function Tried({ tried }: { tried: ParserTried }) {
  if (tried.problem !== null) return <p className="p-3 break-words">The text that was tried is no parser: {visible(tried.problem)}</p>
  if (tried.records === 0) return <p className="p-3">The text can be used. Choose records to see what it makes of them.</p>
  return (
    <>
      <p className="border-line border-b px-3 py-2" data-taken={tried.taken}>
        <strong className="font-semibold">
          {count(tried.taken)} of {plural(tried.records, 'record')} taken
        </strong>
        , {percent(tried.taken / tried.records)}
      </p>
      <ul aria-label="Some records and their fields" className="max-h-[36rem] overflow-auto" tabIndex={0}>
        {tried.samples.map((sample, i) => (
          <Sample key={i} sample={sample} open={i < OPEN} />
        ))}
      </ul>
    </>
  )
}

function Sample({ sample, open }: { sample: ParserSample; open: boolean }) {
  return (
    <li className="border-line border-b last:border-b-0">
      <details open={open}>
        <summary className="flex min-h-7 cursor-pointer items-start gap-2 px-3 py-1">
          <span className="data min-w-0 flex-1 break-all">
            <FieldValue value={sample.record} limit={RECORD_CHARS} />
          </span>
          {!isTaken(sample.event) && <Chip>not taken</Chip>}
        </summary>
        <dl className="grid grid-cols-[minmax(8rem,14rem)_1fr] gap-x-3 gap-y-0.5 px-3 pb-2">
          {eventFields(sample).map(([name, value]) => (
            <div key={name} className="contents">
              <dt className="data text-muted break-all">{visible(name)}</dt>
              <dd className="data min-w-0 break-all">
                <FieldValue value={value} limit={RECORD_CHARS} />
              </dd>
            </div>
          ))}
        </dl>
      </details>
    </li>
  )
}
