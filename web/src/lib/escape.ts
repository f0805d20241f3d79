/** Makes hostile text safe to look at: what a reader cannot see is written out. */

export interface Run {
  text: string
  /** True when the text stands for a character that is not shown as itself. */
  escaped: boolean
}

const NAMED: Record<number, string> = { 0x09: '\\t', 0x0a: '\\n', 0x0d: '\\r', 0x1b: '\\e', 0x00: '\\0' }

/**
 * C0 and C1 controls, bidirectional overrides, zero-width and other format characters, line and paragraph separators,
 * tags, variation selectors used to hide text, lone surrogates, private use.
 */
const HIDDEN = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}\p{Co}\u115f\u1160\u3164\uffa0]/u

/** Splits text into runs to show as they are and runs to show as an escape. */
export function runs(text: string, keepNewlines = false): Run[] {
  const out: Run[] = []
  let plain = ''
  for (const char of text) {
    if (!HIDDEN.test(char) || (keepNewlines && (char === '\n' || char === '\t'))) {
      plain += char
      continue
    }
    if (plain !== '') out.push({ text: plain, escaped: false })
    plain = ''
    const last = out.at(-1)
    const shown = escapeChar(char)
    if (last?.escaped) last.text += shown
    else out.push({ text: shown, escaped: true })
  }
  if (plain !== '') out.push({ text: plain, escaped: false })
  return out
}

/** The same as one string, for titles, labels and toasts. */
export function visible(text: string): string {
  return HIDDEN.test(text) ? runs(text).map((run) => run.text).join('') : text
}

function escapeChar(char: string): string {
  const code = char.codePointAt(0) ?? 0
  const named = NAMED[code]
  if (named) return named
  if (code < 0x100) return `\\x${code.toString(16).padStart(2, '0')}`
  return `\\u{${code.toString(16)}}`
}

/** Text of any JSON value of an event. */
export function textOf(value: unknown): string {
  if (typeof value === 'string') return value
  if (value === null || value === undefined) return ''
  if (typeof value === 'object') return JSON.stringify(value)
  return String(value)
}

/** The link, if it is one that a person may be sent to. */
export function safeLink(text: string): string | null {
  try {
    const url = new URL(text)
    return url.protocol === 'https:' || url.protocol === 'http:' ? url.href : null
  } catch {
    return null
  }
}
