import type { RuleException } from '@/api/types'
import { Section } from '@/components/ui'
import { visible } from '@/lib/escape'

/** What the rule leaves out: each with why, who answers for it, and its last day. */
export function Exceptions({ list }: { list: RuleException[] }) {
  if (list.length === 0) return null
  return (
    <Section title="Exceptions" aside={String(list.length)}>
      <ul>
        {list.map((exception) => (
          <li key={exception.id} className="border-line border-b px-3 py-2 last:border-b-0">
            <p className="break-words">{visible(exception.title)}</p>
            <p className="text-muted break-words">{visible(exception.reason || 'No reason is written down.')}</p>
            <p className="text-muted text-sm break-words">
              {[exception.owner && visible(exception.owner), exception.expires ? `until ${exception.expires}` : 'without end'].filter(Boolean).join(', ')}
            </p>
          </li>
        ))}
      </ul>
    </Section>
  )
}
