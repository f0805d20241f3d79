/** Edits the text of a query without understanding all of it: filters are added before the first pipe. */

/** A value as the query language reads it back. */
export function quote(value: unknown): string {
  const text = typeof value === 'string' ? value : String(value)
  const bare = /^[A-Za-z0-9][A-Za-z0-9_.-]*$/.test(text) && !text.includes('..') && !/^(and|or|not)$/i.test(text)
  if (bare) return text
  return `"${text.replaceAll('\\', '\\\\').replaceAll('"', '\\"')}"`
}

/** `field:value`, or its negation. An empty value means that the field is missing. */
export function filterText(field: string, value: unknown, negate = false): string {
  const name = fieldName(field)
  if (value === null || value === undefined || value === '') return negate ? `${name}:*` : `not ${name}:*`
  return `${negate ? 'not ' : ''}${name}:${quote(value)}`
}

/** A field as the language reads it: names from a log can hold anything. */
function fieldName(field: string): string {
  return /^[@A-Za-z_][\w.@-]*$/.test(field) && !/^(and|or|not)$/i.test(field) ? field : `"${field.replaceAll('\\', '\\\\').replaceAll('"', '\\"')}"`
}

/** The part before the first pipe that is not inside quotes, and the rest with its pipe. */
export function splitPipe(query: string): [string, string] {
  const at = scan(query, (char) => char === '|')
  return at < 0 ? [query.trim(), ''] : [query.slice(0, at).trim(), query.slice(at).trim()]
}

/** Adds a filter to a query. Adding one that is there already changes nothing; its opposite is replaced. */
export function addFilter(query: string, filter: string): string {
  const [head, tail] = splitPipe(query)
  const terms = topTerms(head)
  const opposite = filter.startsWith('not ') ? filter.slice(4) : `not ${filter}`
  let next: string
  if (terms && terms.includes(filter)) next = head
  else if (terms && terms.includes(opposite)) next = terms.map((term) => (term === opposite ? filter : term)).join(' ')
  else if (head === '' || head === '*') next = filter
  else next = `${hasTopOr(head) ? `(${head})` : head} ${filter}`
  return tail === '' ? next : `${next} ${tail}`
}

/** Drops the last filter: the way out of "no match". Null when there is none to drop. */
export function dropLast(query: string): string | null {
  const [head, tail] = splitPipe(query)
  const terms = topTerms(head)
  if (!terms || terms.length === 0) return null
  return `${terms.slice(0, -1).join(' ')} ${tail}`.trim()
}

/** The filters joined by a plain "and" at the top, or null when the query is more than that. */
export function topTerms(head: string): string[] | null {
  if (hasTopOr(head)) return null
  const words: string[] = []
  let rest = head.trim()
  while (rest !== '') {
    const end = scan(rest, (char, depth) => depth === 0 && /\s/.test(char))
    words.push(end < 0 ? rest : rest.slice(0, end))
    rest = end < 0 ? '' : rest.slice(end).trim()
  }
  const terms: string[] = []
  for (let i = 0; i < words.length; i += 1) {
    const word = words[i] ?? ''
    if (/^and$/i.test(word)) continue
    if (/^not$/i.test(word) && i + 1 < words.length) {
      i += 1
      terms.push(`not ${words[i]}`)
    } else terms.push(word)
  }
  return terms
}

function hasTopOr(head: string): boolean {
  let found = false
  scan(head, (char, depth, at) => {
    const before = at === 0 ? ' ' : (head[at - 1] ?? ' ')
    if (depth === 0 && /[\s)]/.test(before) && /^or[\s(]/i.test(head.slice(at))) found = true
    return char === ''
  })
  return found
}

/** First index where `stop` says so, outside quotes; -1 when it never does. */
function scan(text: string, stop: (char: string, depth: number, at: number) => boolean): number {
  let depth = 0
  for (let i = 0; i < text.length; i += 1) {
    const char = text[i] ?? ''
    if (char === '"') {
      i += 1
      while (i < text.length && text[i] !== '"') i += text[i] === '\\' ? 2 : 1
      continue
    }
    if (stop(char, depth, i)) return i
    if (char === '(' || char === '[') depth += 1
    if (char === ')' || char === ']') depth -= 1
  }
  return -1
}

/** The question that shows all events about an entity. */
export function entityQuery(kind: string, value: string): string {
  const v = quote(value)
  if (kind === 'address') return `(source.ip:${v} or destination.ip:${v})`
  if (kind === 'user') return `(user.name:${v} or user.target.name:${v})`
  if (kind === 'host') return `host.name:${v}`
  if (kind === 'process') return `(process.executable:${v} or process.name:${v})`
  return kind === 'none' ? '' : `"${value.replaceAll('\\', '\\\\').replaceAll('"', '\\"')}"`
}
