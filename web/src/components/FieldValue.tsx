/** The one way to show text that came from a log: never markup, hidden characters written out. */
import { runs, textOf } from '@/lib/escape'

interface Props {
  value: unknown
  /** Keep line breaks and tabs as they are (raw and JSON views). */
  multiline?: boolean
  /** Show at most so many characters; the rest is counted. */
  limit?: number
}

export function FieldValue({ value, multiline = false, limit = 20_000 }: Props) {
  const text = textOf(value)
  const shown = text.length > limit ? text.slice(0, limit) : text
  return (
    // <bdi> keeps right-to-left text from turning its neighbours around.
    <bdi dir="auto" className={multiline ? 'whitespace-pre-wrap' : undefined}>
      {runs(shown, multiline).map((run, index) =>
        run.escaped ? (
          <span key={index} className="text-muted bg-accent-soft rounded-xs px-px" data-escaped="">
            {run.text}
          </span>
        ) : (
          run.text
        ),
      )}
      {text.length > limit && <span className="text-muted"> … {text.length - limit} more characters</span>}
    </bdi>
  )
}
