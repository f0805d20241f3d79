/** The query editor: Enter runs, Shift+Enter breaks the line, up in an empty bar walks the history. */
import { acceptCompletion, closeCompletion, completionStatus, moveCompletionSelection } from '@codemirror/autocomplete'
import { defaultKeymap, history, historyKeymap } from '@codemirror/commands'
import { EditorState, Prec } from '@codemirror/state'
import { EditorView, keymap, placeholder } from '@codemirror/view'
import { type RefObject, useEffect, useRef, useState } from 'react'
import type { Diagnostic } from '@/api/types'
import { visible } from '@/lib/escape'
import { getPrefs } from '@/lib/prefs'
import { queryLanguage, type Range, replacement } from './language'

interface Props {
  value: string
  /** The time that is asked about: fields and values of its events are proposed. */
  range: Range
  onRun: (query: string) => void
  /** Filled with a way to read what is written now, run or not. */
  readText: RefObject<() => string>
}

const theme = EditorView.theme({
  '&': { backgroundColor: 'transparent', color: 'var(--text)', fontSize: '0.8125rem', maxHeight: '9rem' },
  '&.cm-focused': { outline: 'none' },
  '.cm-scroller': { fontFamily: 'var(--font-mono, "JetBrains Mono", ui-monospace, monospace)', lineHeight: '1.25rem', overflow: 'auto' },
  '.cm-content': { padding: '5px 0', caretColor: 'var(--accent)' },
  '.cm-line': { padding: '0 8px' },
  '.cm-cursor': { borderLeftColor: 'var(--accent)', borderLeftWidth: '2px' },
  '.cm-placeholder': { color: 'var(--muted)' },
  '.cm-selectionBackground, &.cm-focused > .cm-scroller > .cm-selectionLayer .cm-selectionBackground': { backgroundColor: 'var(--accent-soft)' },
  '.cm-tooltip': { backgroundColor: 'var(--raised)', border: '1px solid var(--line-strong)', borderRadius: '4px', color: 'var(--text)', overflow: 'hidden' },
  '.cm-tooltip.cm-tooltip-autocomplete': { marginTop: '6px' },
  '.cm-tooltip.cm-tooltip-autocomplete > ul': { fontFamily: 'inherit', maxHeight: '18rem', minWidth: '20rem' },
  '.cm-tooltip.cm-tooltip-autocomplete > ul > li': { padding: '3px 8px', display: 'flex', gap: '16px' },
  '.cm-tooltip-autocomplete ul li[aria-selected]': { backgroundColor: 'var(--accent-soft)', color: 'var(--text)' },
  '.cm-completionDetail': { marginLeft: 'auto', color: 'var(--muted)', fontStyle: 'normal' },
  '.cm-completionMatchedText': { textDecoration: 'none', fontWeight: '600' },
  '.cm-diagnostic': { padding: '4px 8px', borderLeft: 'none' },
  '.cm-lintRange-error': { backgroundImage: 'none', textDecoration: 'underline wavy var(--critical) 1px', textUnderlineOffset: '3px' },
  '.cm-lintRange-warning': { backgroundImage: 'none', textDecoration: 'underline wavy var(--medium) 1px', textUnderlineOffset: '3px' },
})

export function QueryBar({ value, range, onRun, readText }: Props) {
  const holder = useRef<HTMLDivElement>(null)
  const view = useRef<EditorView | null>(null)
  const run = useRef(onRun)
  run.current = onRun
  const asked = useRef(range)
  asked.current = range
  const [problem, setProblem] = useState<Diagnostic | null>(null)

  useEffect(() => {
    if (!holder.current) return
    const editor = new EditorView({
      parent: holder.current,
      state: EditorState.create({ doc: value, extensions: extensions(
          (text) => run.current(text),
          (list) => setProblem(list[0] ?? null),
          () => asked.current,
        ),
      }),
    })
    view.current = editor
    readText.current = () => editor.state.doc.toString().trim()
    return () => {
      editor.destroy()
      view.current = null
    }
    // The editor owns its text; later changes of `value` come in below.
    // oxlint-disable-next-line react/exhaustive-deps
  }, [])

  useEffect(() => {
    const editor = view.current
    if (editor && editor.state.doc.toString() !== value) {
      editor.dispatch({ changes: { from: 0, to: editor.state.doc.length, insert: value }, selection: { anchor: value.length } })
    }
  }, [value])

  const applyFix = (diagnostic: Diagnostic) => {
    const editor = view.current
    const insert = replacement(diagnostic)
    if (!editor || insert === null) return
    editor.dispatch({ changes: { from: diagnostic.from, to: Math.min(diagnostic.to, editor.state.doc.length), insert } })
    editor.focus()
  }
  return (
    <div className="min-w-0 flex-1">
      <div ref={holder} data-querybar className="border-line-strong bg-surface focus-within:outline-accent rounded border focus-within:outline-2" />
      <div role="status">
        {problem && (
          <p className="mt-1 flex min-h-6 items-center gap-2 text-sm">
            <span className="min-w-0 break-words">
              <span className="text-muted">Character {problem.from + 1}:</span> {visible(problem.message)}
              {problem.fix !== null && <span className="text-muted">; {visible(problem.fix)}</span>}
            </span>
            {replacement(problem) !== null && (
              <button type="button" className="text-accent h-6 shrink-0 font-semibold" onClick={() => applyFix(problem)}>
                Use it
              </button>
            )}
          </p>
        )}
      </div>
    </div>
  )
}

function extensions(run: (text: string) => void, onDiagnostics: (list: Diagnostic[]) => void, range: () => Range) {
  const nonce = document.querySelector<HTMLMetaElement>('meta[property=csp-nonce]')?.nonce ?? ''
  const submit = (editor: EditorView) => {
    closeCompletion(editor)
    run(editor.state.doc.toString().trim())
    return true
  }
  return [
    EditorView.cspNonce.of(nonce),
    EditorView.lineWrapping,
    EditorView.contentAttributes.of({ 'aria-label': 'Query', spellcheck: 'false' }),
    placeholder('Words, field:value, and or not, then | stats count() by field'),
    history(),
    ...queryLanguage(onDiagnostics, range),
    Prec.highest(
      keymap.of([
        { key: 'Tab', run: (editor) => completionStatus(editor.state) === 'active' && (acceptCompletion(editor) || (moveCompletionSelection(true)(editor) && acceptCompletion(editor))) },
        { key: 'Enter', run: (editor) => acceptCompletion(editor) || submit(editor) },
        { key: 'Mod-Enter', run: submit },
        { key: 'ArrowUp', run: (editor) => completionStatus(editor.state) === null && recall(editor, 1) },
        { key: 'ArrowDown', run: (editor) => completionStatus(editor.state) === null && recall(editor, -1) },
        { key: 'Escape', run: (editor) => closeCompletion(editor) || (editor.contentDOM.blur(), true) },
      ]),
    ),
    keymap.of([...defaultKeymap, ...historyKeymap]),
    theme,
  ]
}

/** Replaces an empty bar, or a recalled query that was not edited, by its neighbour in the history. */
function recall(editor: EditorView, step: 1 | -1): boolean {
  const { recent } = getPrefs()
  const text = editor.state.doc.toString()
  const at = text === '' ? -1 : recent.indexOf(text)
  if ((text !== '' && at < 0) || recent.length === 0) return false
  const next = at + step
  if (next >= recent.length) return true
  const insert = next < 0 ? '' : (recent[next] ?? '')
  editor.dispatch({ changes: { from: 0, to: text.length, insert }, selection: { anchor: insert.length } })
  return true
}
