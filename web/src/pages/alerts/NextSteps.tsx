import { visible } from '@/lib/escape'

/** What the rule says to look at and do first; nothing where it says nothing. */
export function NextSteps({ text }: { text: string }) {
  if (text === '') return null
  return (
    <div>
      <h3 className="text-muted">Next steps</h3>
      <p className="break-words">{visible(text)}</p>
    </div>
  )
}
