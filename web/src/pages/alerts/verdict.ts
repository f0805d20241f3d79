/** Closing an alert: one call, a message with undo. */
import { ApiError } from '@/api/client'
import { setVerdict } from '@/api/queries'
import type { Alert, Verdict } from '@/api/types'
import { toast } from '@/components/toasts'

export const VERDICTS: { id: Verdict; label: string; hint: string }[] = [
  { id: 'true_positive', label: 'True positive', hint: 'An attack, or an attempt at one' },
  { id: 'benign', label: 'Benign', hint: 'It happened as described, and was allowed' },
  { id: 'false_positive', label: 'False positive', hint: 'The rule was wrong about this' },
]

export function verdictWord(verdict: Verdict | null): string {
  return VERDICTS.find((each) => each.id === verdict)?.label.toLowerCase() ?? 'no verdict'
}

/** Sets a verdict (null reopens), says so, and offers the way back. */
export async function decide(alert: Alert, verdict: Verdict | null, note = alert.note): Promise<boolean> {
  const before = { verdict: alert.verdict, note: alert.note }
  try {
    await setVerdict(alert.id, verdict, note)
  } catch (cause) {
    toast({ text: `Not saved: ${cause instanceof ApiError ? cause.message : String(cause)}`, error: true })
    return false
  }
  const text = verdict === null ? 'Reopened 1 alert' : `Closed 1 alert as ${verdictWord(verdict)}`
  const undo = () => void setVerdict(alert.id, before.verdict, before.note).catch(() => toast({ text: 'Undo did not reach the server', error: true }))
  toast({ text, undo })
  return true
}
