/** What the records of a source look like, and whether that is still as it was. */
import { useQuery } from '@tanstack/react-query'
import { Link } from '@tanstack/react-router'
import { sourceHealth } from '@/api/queries'
import type { HealthState, SourceField, SourceHealth, SourceStream } from '@/api/types'
import { EventLink } from '@/components/EventLink'
import { Icon } from '@/components/Icon'
import { Ago } from '@/components/Time'
import { buttonClass, Chip, ErrorBox, Loading, Section } from '@/components/ui'
import { visible } from '@/lib/escape'
import { count, percent, plural } from '@/lib/number'
import { Clock } from './Clock'
import { unread } from './health'
import { Part, Text } from './Part'

const WORDS: Record<HealthState, string> = {
  healthy: 'Its records look as they did',
  broken: 'Its records no longer look as they did',
  learning: 'Too few records came to say what is usual',
}

export function HealthWord({ state }: { state: HealthState }) {
  return (
    <span className="inline-flex items-center gap-1.5 whitespace-nowrap" title={WORDS[state]}>
      {state !== 'learning' && <Icon name={state === 'healthy' ? 'check' : 'warn'} size={14} />}
      {state === 'broken' ? <strong className="font-semibold">{state}</strong> : state}
    </span>
  )
}

export function HealthPanel({ source }: { source: string }) {
  const health = useQuery(sourceHealth(source))
  return (
    <Section
      title={`How ${visible(source)} looks`}
      aside={
        <Link to="/data" className={buttonClass('ghost')}>
          Close
        </Link>
      }
    >
      {health.error && <ErrorBox error={health.error} retry={() => void health.refetch()} />}
      {!health.data && !health.error && <Loading rows={3} />}
      {health.data && <HealthView health={health.data} />}
    </Section>
  )
}

export function HealthView({ health }: { health: SourceHealth }) {
  return (
    <div className="flex flex-col gap-4 p-3">
      <p className="flex flex-wrap items-center gap-x-4 gap-y-1">
        <HealthWord state={health.health} />
        <span>{percent(health.understood)} of the records of late understood</span>
        <span className="text-muted">{plural(health.events, 'event')} looked at</span>
        {health.last_event && (
          <span className="text-muted">
            last event <Ago at={health.last_event} />
          </span>
        )}
        {unread(health) > 0 && (
          <Link to="/data/parsers/new" search={{ source: health.name }} className={buttonClass('default', 'ml-auto')} title={`No parser reads ${percent(unread(health))} of its records`}>
            Propose a parser
          </Link>
        )}
      </p>
      <Breaks health={health} />
      <Clock source={health.name} clock={health.clock} />
      <Part title="Read by" rows={health.readers} head={['Pack or format', 'Share']}>
        {(reader) => [reader.name === '' ? 'nobody' : `${visible(reader.name)}${reader.pack ? '' : ' (format)'}`, percent(reader.share)]}
      </Part>
      <Part title="Issues" rows={health.issues} head={['Issue', 'Share']}>
        {(each) => [visible(each.issue), percent(each.share)]}
      </Part>
      <Part title="Not understood" rows={health.errors} head={['Template', 'Example', 'Records']}>
        {(each) => [<Text key="t">{each.template}</Text>, <Text key="e">{each.example}</Text>, count(each.count)]}
      </Part>
      <Part title="New kinds of messages" rows={health.new_kinds} head={['Template', 'First message', 'Event', 'When']} none={health.settled ? undefined : 'The source is not known well enough yet to tell what is new.'}>
        {(kind) => [<Text key="t">{kind.template}</Text>, <Text key="e">{kind.example}</Text>, <EventLink key="l" id={kind.event} at={kind.time} />, <Ago key="a" at={kind.time} />]}
      </Part>
      {health.streams.length > 0 && (
        <div>
          <h3 className="font-semibold">Fields</h3>
          {health.streams.map((stream, i) => (
            <Fields key={`${stream.program} ${stream.reader} ${stream.kind}`} stream={stream} open={i === 0 || stream.health === 'broken'} />
          ))}
          {health.beyond > 0 && <p className="text-muted text-sm">{plural(health.beyond, 'event')} of other programs or kinds, too many to tell apart</p>}
        </div>
      )}
    </div>
  )
}

function Breaks({ health }: { health: SourceHealth }) {
  if (health.breaks.length === 0) return null
  return (
    <ul aria-label="What changed" className="flex flex-col gap-1">
      {health.breaks.map((each) => (
        <li key={`${each.program} ${each.reader} ${each.kind} ${each.text}`} className="flex flex-wrap items-center gap-x-2">
          <Icon name="warn" size={14} />
          <strong className="font-semibold break-words">{visible(each.text)}</strong>
          <span className="text-muted">{place(each)}</span>
          {each.events[1] && <EventLink id={each.events[1]} />}
        </li>
      ))}
    </ul>
  )
}

/** Program, reader and kind, as far as there are any. */
function place({ program, reader, kind }: { program: string; reader: string; kind: string }): string {
  return [program, reader, kind].filter((part) => part !== '').map(visible).join(', ')
}

function Fields({ stream, open }: { stream: SourceStream; open: boolean }) {
  return (
    <details open={open}>
      <summary className="flex min-h-7 cursor-pointer flex-wrap items-center gap-x-2">
        <span className="break-words">{place(stream)}</span>
        <span className="text-muted">{plural(stream.events, 'event')}</span>
        {stream.health !== 'healthy' && <Chip>{stream.health}</Chip>}
      </summary>
      <Part title={`Fields of ${place(stream)}`} bare rows={stream.fields} head={['Field', 'Kind', 'Share', 'Newest', 'Change']}>
        {(field) => [<Text key="n">{field.name}</Text>, field.kind, percent(field.share), percent(field.newest), change(field)]}
      </Part>
    </details>
  )
}

/** What is not as it was with a field. */
function change(field: SourceField): string {
  if (field.vanished) return 'vanished'
  return field.changed_to === null ? '' : `now ${field.changed_to}`
}
