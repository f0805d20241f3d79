/** That a rule runs behind the stream, over stored events, and what to do about it. */
import { useQuery } from '@tanstack/react-query'
import { status } from '@/api/queries'
import type { Rule, Status, Throttled } from '@/api/types'
import { Chip } from '@/components/ui'
import { plural } from '@/lib/number'
import { RuleNote } from './RuleNote'
import { coreShare } from './words'

const NONE: Throttled[] = []
const throttledOf = (state: Status) => state.throttled

export function useThrottled(): Throttled[] {
  return useQuery({ ...status, select: throttledOf }).data ?? NONE
}

/** The status comes a moment later than the switch: a rule that is off runs nowhere. */
export function behindOf(rule: Rule | undefined, throttled: Throttled[]): Throttled | undefined {
  return rule && !rule.off ? throttled.find((each) => each.rule === rule.id) : undefined
}

export function BehindChip({ behind, className = '' }: { behind: Throttled; className?: string }) {
  return (
    <span title={`${why(behind)} ${WHAT_TO_DO}`} className="inline-flex shrink-0">
      <Chip className={className}>behind the stream</Chip>
    </span>
  )
}

export function BehindNote({ behind }: { behind: Throttled }) {
  return (
    <RuleNote icon="clock">
      <strong className="font-semibold">Behind the stream.</strong> {why(behind)} {WHAT_TO_DO}
    </RuleNote>
  )
}

const WHAT_TO_DO =
  'Make the rule narrower: “Try on history” shows how fast it is. Once it is changed, or switched off and on again, it is back on the stream.'

function why(behind: Throttled): string {
  return `It took ${coreShare(behind)} on the stream, more than the setting rules.core_share_max_percent allows, so it runs over stored events and has ${plural(behind.events_behind, 'event')} to go. Nothing is lost, but its alerts come later.`
}
