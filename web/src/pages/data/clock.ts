import type { ClockEstimate, SourceClock } from '@/api/types'
import { duration } from '@/lib/time'

/** A correction that differs by less from what is proposed is as good. */
const NEAR_SECONDS = 60

/** `2 h`, `5 h 30 min`, `90 s`: without a sign. */
export function span(seconds: number): string {
  const all = Math.abs(Math.round(seconds))
  const [hours, minutes, rest] = [Math.floor(all / 3600), Math.floor(all / 60) % 60, all % 60]
  if (all < 120 || (hours === 0 && rest !== 0 && all < 600)) return `${all} s`
  const parts = [hours > 0 && `${hours} h`, minutes > 0 && `${minutes} min`]
  return parts.filter((part) => part !== false).join(' ')
}

/** The same with what it does to a time: `−2 h`, `+7 min`. */
export function signed(seconds: number): string {
  return `${seconds < 0 ? '−' : '+'}${span(seconds)}`
}

/** What a source's clock is wrong by, for a person. */
export function clockWords(estimate: ClockEstimate | null): string {
  if (estimate === null) return 'Too little came to say whether its clock is right: that takes 50 events in five minutes'
  const off = `Times of this source are ${span(estimate.correction_seconds)} ${estimate.correction_seconds < 0 ? 'ahead' : 'behind'}`
  switch (estimate.cause) {
    case 'zone':
      return `${off}: it probably writes local time without a zone`
    case 'clock':
      return `${off}: its clock is probably wrong`
    case 'late':
      return `Its events come late, half of them after ${duration(Math.max(0, estimate.delay_seconds) * 1000)} or more, each by another span: their times are taken to be right`
    case 'none':
      return 'Its clock is right to the minute'
  }
}

/** Seconds that may be added to its times from now on; null when nothing better is known than what is in force. */
export function proposal({ estimate, correction_seconds }: SourceClock): number | null {
  const wanted = estimate?.correction_seconds ?? 0
  return wanted === 0 || Math.abs(wanted - correction_seconds) < NEAR_SECONDS ? null : wanted
}

/** True when a correction is in force and the source writes right times by now. */
export function isMended({ estimate, correction_seconds }: SourceClock): boolean {
  return correction_seconds !== 0 && estimate?.cause === 'none'
}
