/** Links of a rule: only http and https become links, everything else stays text. */
import { safeLink, visible } from '@/lib/escape'

export function References({ list }: { list: string[] }) {
  if (list.length === 0) return null
  return (
    <div>
      <h3 className="text-muted">References</h3>
      <ul>
        {list.map((text) => {
          const href = safeLink(text)
          return (
            <li key={text} className="min-h-6 break-all">
              {href ? (
                <a href={href} rel="noreferrer noopener" target="_blank" className="underline">
                  {visible(text)}
                </a>
              ) : (
                visible(text)
              )}
            </li>
          )
        })}
      </ul>
    </div>
  )
}
