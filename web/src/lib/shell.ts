/** Commands to paste into a terminal. */

/** One word for a POSIX shell, whatever is in it. */
export function shellQuote(text: string): string {
  return /^[A-Za-z0-9_./:=@%+,-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`
}

export interface Question {
  query: string
  from: string
  to: string
}

/** The same question for curl. */
export function asCurl(origin: string, { query, from, to }: Question): string {
  const body = JSON.stringify({ query, from: from || null, to: to || null, limit: 1000 })
  return [
    `curl -sS ${shellQuote(`${origin}/api/v1/search`)}`,
    `-H "Authorization: Bearer $PUGMARK_TOKEN"`,
    `-H 'Content-Type: application/json'`,
    `-d ${shellQuote(body)}`,
  ].join(' \\\n  ')
}

/** The same question for the command line. */
export function asCli(origin: string, { query, from, to }: Question): string {
  const range = [from && `--from ${shellQuote(from)}`, to && `--to ${shellQuote(to)}`].filter(Boolean).join(' ')
  return `pugmark search ${shellQuote(query === '' ? '*' : query)} --server ${shellQuote(origin)} --token-file token.txt ${range}`.trim()
}
