/** What a proposed parser rests on: how much it takes, how sure it is, its patterns, and what it leaves. */
import type { ParserProposal, ProposedField, ProposedPattern } from '@/api/types'
import { FieldValue } from '@/components/FieldValue'
import { Chip, Section } from '@/components/ui'
import { textOf, visible } from '@/lib/escape'
import { percent, plural } from '@/lib/number'
import { Part, Text } from './Part'

const RECORD_CHARS = 4_000

export function Proposal({ proposal }: { proposal: ParserProposal }) {
  const { patterns, fields, remaining } = proposal
  return (
    <>
      <Section title="What it rests on">
        <dl className="flex flex-wrap gap-x-8 gap-y-1 p-3">
          <Fact name="Records looked at">{plural(proposal.records, 'record')}</Fact>
          <Fact name="Taken">{percent(proposal.covered)}</Fact>
          <Fact name="Confidence">{percent(proposal.confidence)}</Fact>
        </dl>
        <p className="text-muted max-w-prose px-3 pb-3">Confidence says how sure the meaning of the values is. Look at fields with a low one, and change the text where they are wrong.</p>
      </Section>
      {fields.length > 0 && (
        <Section title="Names of the product that stand for a field">
          <div className="p-3">
            <Fields title="Fields by name" fields={fields} named />
          </div>
        </Section>
      )}
      {patterns.length > 0 && (
        <Section title={plural(patterns.length, 'pattern')}>
          <ol>
            {patterns.map((pattern, i) => (
              <Pattern key={i} pattern={pattern} at={i + 1} />
            ))}
          </ol>
        </Section>
      )}
      {remaining.length > 0 && (
        <Section title="Not taken">
          <p className="text-muted px-3 pt-2">Some records that the proposal does not take. Add a pattern for those that matter; the others are kept as they are.</p>
          <ul aria-label="Records that are not taken" className="max-h-80 overflow-auto p-3" tabIndex={0}>
            {remaining.map((record, i) => (
              <li key={i} className="data border-line border-b py-1 break-all last:border-b-0">
                <FieldValue value={record} limit={RECORD_CHARS} />
              </li>
            ))}
          </ul>
        </Section>
      )}
    </>
  )
}

function Fact({ name, children }: { name: string; children: string }) {
  return (
    <div>
      <dt className="text-muted text-sm">{name}</dt>
      <dd className="text-lg font-semibold">{children}</dd>
    </div>
  )
}

function Pattern({ pattern, at }: { pattern: ProposedPattern; at: number }) {
  const values = Object.entries(pattern.values)
  return (
    <li className="border-line flex flex-col gap-1 border-b p-3 last:border-b-0">
      <p className="flex flex-wrap items-center gap-2">
        <span className="font-semibold">{plural(pattern.count, 'record')}</span>
        {values.map(([name, value]) => (
          <Chip key={name} className="data max-w-full overflow-hidden">
            {visible(name)}: {visible(textOf(value))}
          </Chip>
        ))}
      </p>
      <p className="data break-all">
        <FieldValue value={pattern.pattern} limit={RECORD_CHARS} />
      </p>
      <p className="text-muted break-all">
        Example: <span className="data"><FieldValue value={pattern.example} limit={RECORD_CHARS} /></span>
      </p>
      <Fields title={`Fields of pattern ${at}`} fields={pattern.fields} />
    </li>
  )
}

function Fields({ title, fields, named = false }: { title: string; fields: ProposedField[]; named?: boolean }) {
  return (
    <Part title={title} bare rows={fields} head={[...(named ? ['Name'] : []), 'Field', 'Looks like', 'Confidence', 'Example']}>
      {(field) => [...(named ? [<Text key="n">{field.native}</Text>] : []), <Text key="f">{field.field}</Text>, visible(field.shape), percent(field.confidence), <Text key="e">{field.example}</Text>]}
    </Part>
  )
}
