/** A text as YAML with line numbers; hidden characters are marked, lines with problems underlined. */
import { defaultKeymap, history, historyKeymap } from '@codemirror/commands'
import { setDiagnostics } from '@codemirror/lint'
import { EditorState } from '@codemirror/state'
import { EditorView, highlightActiveLine, highlightActiveLineGutter, highlightSpecialChars, keymap, lineNumbers } from '@codemirror/view'
import { type RefObject, useEffect, useRef } from 'react'

export interface Mark {
  line: number
  message: string
}

export interface EditorHandle {
  /** Puts the cursor at the start of a line, counted from 1. */
  goTo: (line: number) => void
}

interface Props {
  /** The text to begin with; the editor owns it from then on. */
  initial: string
  /** What the text is, for screen readers. */
  label: string
  onChange: (text: string) => void
  marks: Mark[]
  handle: RefObject<EditorHandle | null>
}

const theme = EditorView.theme({
  '&': { backgroundColor: 'transparent', color: 'var(--text)', fontSize: '0.75rem' },
  '&.cm-focused': { outline: 'none' },
  '.cm-scroller': { fontFamily: 'var(--font-mono, "JetBrains Mono", ui-monospace, monospace)', lineHeight: '1.25rem', maxHeight: 'calc(100vh - 14rem)', overflow: 'auto' },
  '.cm-content, .cm-gutter': { minHeight: '18rem' },
  '.cm-content': { padding: '6px 0', caretColor: 'var(--accent)', outline: 'none' },
  '.cm-line': { padding: '0 8px' },
  '.cm-gutters': { backgroundColor: 'var(--bg)', color: 'var(--muted)', borderRight: '1px solid var(--line)' },
  '.cm-lineNumbers .cm-gutterElement': { padding: '0 6px 0 10px' },
  '.cm-activeLine': { backgroundColor: 'transparent' },
  '&.cm-focused .cm-activeLine': { boxShadow: 'inset 2px 0 0 var(--accent)' },
  '.cm-activeLineGutter': { backgroundColor: 'transparent', color: 'var(--text)' },
  '.cm-cursor': { borderLeftColor: 'var(--accent)', borderLeftWidth: '2px' },
  '.cm-selectionBackground, &.cm-focused > .cm-scroller > .cm-selectionLayer .cm-selectionBackground': { backgroundColor: 'var(--accent-soft)' },
  '.cm-specialChar': { color: 'var(--critical)' },
  '.cm-tooltip': { backgroundColor: 'var(--raised)', border: '1px solid var(--line-strong)', borderRadius: '4px', color: 'var(--text)' },
  '.cm-diagnostic': { padding: '4px 8px', borderLeft: 'none' },
  '.cm-lintRange-error': { backgroundImage: 'none', textDecoration: 'underline wavy var(--critical) 1px', textUnderlineOffset: '3px' },
})

export function TextEditor({ initial, label, onChange, marks, handle }: Props) {
  const holder = useRef<HTMLDivElement>(null)
  const view = useRef<EditorView | null>(null)
  const change = useRef(onChange)
  change.current = onChange

  useEffect(() => {
    if (!holder.current) return
    const nonce = document.querySelector<HTMLMetaElement>('meta[property=csp-nonce]')?.nonce ?? ''
    const editor = new EditorView({
      parent: holder.current,
      state: EditorState.create({
        doc: initial,
        extensions: [
          EditorView.cspNonce.of(nonce),
          EditorView.contentAttributes.of({ 'aria-label': label, spellcheck: 'false', tabindex: '0' }),
          EditorView.updateListener.of((update) => update.docChanged && change.current(update.state.doc.toString())),
          lineNumbers(),
          highlightActiveLine(),
          highlightActiveLineGutter(),
          highlightSpecialChars(),
          history(),
          // Tab is left alone: it takes people who use the keyboard out of the editor.
          keymap.of([...defaultKeymap.filter((binding) => binding.key !== 'Mod-Enter'), ...historyKeymap]),
          theme,
        ],
      }),
    })
    view.current = editor
    handle.current = {
      goTo: (line) => {
        const { from } = editor.state.doc.line(Math.max(1, Math.min(line, editor.state.doc.lines)))
        editor.dispatch({ selection: { anchor: from }, effects: EditorView.scrollIntoView(from, { y: 'center' }) })
        editor.focus()
      },
    }
    return () => {
      editor.destroy()
      view.current = null
      handle.current = null
    }
    // The editor owns its text: a new `initial` comes with a new key.
    // oxlint-disable-next-line react/exhaustive-deps
  }, [])

  useEffect(() => {
    const editor = view.current
    if (!editor) return
    const { doc } = editor.state
    const list = marks
      .filter((mark) => mark.line >= 1 && mark.line <= doc.lines)
      .map((mark) => ({ from: doc.line(mark.line).from, to: doc.line(mark.line).to, severity: 'error' as const, message: mark.message }))
    editor.dispatch(setDiagnostics(editor.state, list))
  }, [marks])

  return <div ref={holder} data-ruletext className="focus-within:outline-accent focus-within:outline-2" />
}
