import { visible } from '@/lib/escape'

/** Who wrote the rule and under which licence it is used; nothing where neither is known. */
export function Origin({ author, license }: { author: string; license: string }) {
  const parts = [author && `Rule by ${visible(author)}`, license && `licence ${visible(license)}`].filter(Boolean)
  if (parts.length === 0) return null
  return <p className="text-muted break-words">{parts.join(', ')}</p>
}
