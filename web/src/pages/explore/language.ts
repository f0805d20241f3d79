/** Colours for the query bar; completion and diagnostics come from the server's own parser. */
import { autocompletion, type Completion as CmCompletion, type CompletionContext, type CompletionResult } from '@codemirror/autocomplete'
import { HighlightStyle, StreamLanguage, syntaxHighlighting } from '@codemirror/language'
import { type Diagnostic as CmDiagnostic, linter } from '@codemirror/lint'
import type { Extension } from '@codemirror/state'
import { tags } from '@lezer/highlight'
import { isAbort, post } from '@/api/client'
import type { Completion, Diagnostic, Parsed } from '@/api/types'
import { bytesAt, positionAt } from '@/lib/offsets'

const language = StreamLanguage.define({
  name: 'pugmark',
  startState: () => ({ command: false }),
  token(stream, state: { command: boolean }) {
    if (stream.eatSpace()) return null
    if (stream.match(/^"(?:[^"\\]|\\.)*"?/)) return 'string'
    if (stream.eat('|')) {
      state.command = true
      return 'operator'
    }
    if (state.command && stream.match(/^[a-z_]+/i)) {
      state.command = false
      return 'keyword'
    }
    if (stream.match(/^(and|or|not|by|as)\b/i)) return 'keyword'
    if (stream.match(/^[@A-Za-z_][\w.@-]*(?=\s*[:=<>])/)) return 'propertyName'
    if (stream.match(/^[a-z_]+(?=\()/i)) return 'function'
    if (stream.match(/^-?\d[\d.:/a-z]*/i)) return 'number'
    if (stream.match(/^[:=<>!()[\]{},*]+/)) return 'operator'
    if (!stream.match(/^[^\s"|:()]+/)) stream.next()
    return null
  },
  tokenTable: { function: tags.function(tags.variableName) },
})

const highlight = HighlightStyle.define([
  { tag: tags.keyword, color: 'var(--accent)', fontWeight: '600' },
  { tag: tags.propertyName, color: 'var(--low)' },
  { tag: tags.string, color: 'var(--high)' },
  { tag: tags.number, color: 'var(--high)' },
  { tag: tags.operator, color: 'var(--muted)' },
  { tag: tags.function(tags.variableName), color: 'var(--accent)' },
])

/** A range of time as the page has it; empty is no bound. */
export interface Range {
  from: string
  to: string
}

export function queryLanguage(onDiagnostics: (list: Diagnostic[]) => void, range: () => Range): Extension[] {
  return [
    language,
    syntaxHighlighting(highlight),
    autocompletion({ override: [(context) => complete(context, range())], selectOnOpen: false, activateOnTypingDelay: 80, icons: false, maxRenderedOptions: 40 }),
    linter((view) => diagnose(view.state.doc.toString(), onDiagnostics), { delay: 250 }),
  ]
}

/** A fix is advice in words; only a suggested word can be put in place of the wrong one. */
export function replacement(diagnostic: Diagnostic): string | null {
  return /^did you mean `([^`]+)`\?$/i.exec(diagnostic.fix ?? '')?.[1] ?? null
}

async function complete(context: CompletionContext, { from, to }: Range): Promise<CompletionResult | null> {
  const text = context.state.doc.toString()
  const controller = new AbortController()
  context.addEventListener('abort', () => controller.abort())
  try {
    const answer = await post<Completion>('/query/complete', { query: text, pos: bytesAt(text, context.pos), from: from || null, to: to || null }, controller.signal)
    return {
      from: positionAt(text, answer.from),
      to: positionAt(text, answer.to),
      options: answer.items.map((item, index): CmCompletion => ({ label: item.label, type: item.kind, detail: item.detail ?? item.kind, boost: -index })),
      filter: false,
    }
  } catch {
    // Completion is a help: without it the bar still works.
    return null
  }
}

async function diagnose(text: string, onDiagnostics: (list: Diagnostic[]) => void): Promise<CmDiagnostic[]> {
  try {
    const { diagnostics } = await post<Parsed>('/query/parse', { query: text })
    const list = diagnostics.map((each) => ({ ...each, from: positionAt(text, each.from), to: positionAt(text, each.to) }))
    onDiagnostics(list)
    return list.map((each) => ({
      from: each.from,
      to: Math.max(each.to, each.from),
      severity: each.severity === 'error' ? 'error' : 'warning',
      message: each.fix ? `${each.message}; ${each.fix}` : each.message,
    }))
  } catch (cause) {
    if (!isAbort(cause)) onDiagnostics([])
    return []
  }
}
