/** What Home says about rules that do not do all they should at once. */
import { Link } from '@tanstack/react-router'
import type { Forgotten, Throttled } from '@/api/types'
import { Icon } from '@/components/Icon'
import { visible } from '@/lib/escape'
import { plural } from '@/lib/number'
import { coreShare } from '../rules/words'

/** Rules over time that forgot what they were counting: what they find may be too little. */
export function OutOfRoom({ rules }: { rules: Forgotten[] }) {
  return (
    <Notice
      label="Rules that ran out of room"
      headline={`${plural(rules.length, 'rule')} over time ran out of room`}
      words="and dropped what was quiet for longest before its time was over, so detections may be missing."
      rules={rules.map((each) => ({ ...each, note: `${plural(each.keys, 'key')} dropped` }))}
    />
  )
}

/** Rules that run over stored events instead of on the stream: what they find is complete, but late. */
export function Behind({ rules }: { rules: Throttled[] }) {
  return (
    <Notice
      label="Rules behind the stream"
      headline={`${plural(rules.length, 'rule runs', 'rules run')} behind the stream`}
      words="after taking too much computing time on it. Nothing is lost, but alerts come later."
      rules={rules.map((each) => ({ ...each, note: `${coreShare(each)}, ${plural(each.events_behind, 'event')} behind` }))}
    />
  )
}

interface NoticeProps {
  label: string
  headline: string
  words: string
  rules: { rule: string; title: string; note: string }[]
}

function Notice({ label, headline, words, rules }: NoticeProps) {
  if (rules.length === 0) return null
  return (
    <section aria-label={label} className="panel border-line-strong mx-4 mb-3 flex items-start gap-2 px-3 py-2">
      <span className="mt-0.5">
        <Icon name="warn" />
      </span>
      <div className="min-w-0">
        <p>
          <strong className="font-semibold">{headline}</strong>
          <span className="text-muted"> {words}</span>
        </p>
        <ul className="max-h-32 overflow-y-auto">
          {rules.map((each) => (
            <li key={each.rule} className="flex min-h-6 flex-wrap items-center gap-x-2">
              <Link to="/rules/$id" params={{ id: each.rule }} className="inline-flex min-h-6 items-center break-words">
                {visible(each.title)}
              </Link>
              <span className="text-muted">{each.note}</span>
            </li>
          ))}
        </ul>
      </div>
    </section>
  )
}
