/** The text of a parser: edited, tried on records, kept. */
import { type ReactNode, useMemo, useRef, useState } from 'react'
import { post } from '@/api/client'
import { saveParser } from '@/api/queries'
import type { ParserTried } from '@/api/types'
import { LeaveDialog, useLeaving } from '@/components/Leaving'
import { type EditorHandle, TextEditor } from '@/components/TextEditor'
import { toast } from '@/components/toasts'
import { Button, ErrorBox, Section } from '@/components/ui'
import { useKeys } from '@/lib/keys'
import { marksOf, ProblemList } from '../rules/Problems'
import { type Choice, isParserName, keptWords, NAME_RULE, recordsOf } from './parser'
import { Tried } from './Tried'

interface Props {
  name: string
  initial: string
  /** Is `initial` what is in force? */
  kept: boolean
  choice: Choice
  /** What is known of the text before it is tried. */
  tried: ParserTried | null
  onKept?: () => void
  children?: ReactNode
}

export function ParserWork({ name, initial, kept, choice, tried: first, onKept, children }: Props) {
  const [text, setText] = useState(initial)
  const [begun, setBegun] = useState(kept ? initial : null)
  const leaving = useLeaving(text !== (begun ?? initial))
  const attempt = useAttempt(initial, first)
  const [keeping, setKeeping] = useState(false)
  const [error, setError] = useState<unknown>(null)
  const handle = useRef<EditorHandle>(null)
  const problem = attempt.text === text ? (attempt.tried?.problem ?? null) : null
  const problems = useMemo(() => (problem === null ? [] : [{ path: '', line: null, rule: null, message: problem, hint: '' }]), [problem])
  const marks = useMemo(() => marksOf(problems), [problems])
  const change = (next: string) => {
    setText(next)
    setError(null)
  }
  const keep = async () => {
    if (keeping || text === begun) return
    setKeeping(true)
    setError(null)
    try {
      if (!isParserName(name)) throw new Error(`Not kept: this is no name for a parser. ${NAME_RULE}`)
      await saveParser(name, text)
      toast({ text: keptWords(choice.source) })
      setBegun(text)
      leaving.free()
      onKept?.()
    } catch (cause) {
      setError(cause)
    }
    setKeeping(false)
  }
  const attemptIt = () => void attempt.run(text, choice)
  useKeys({ 'Mod+s': () => void keep(), 'Mod+enter': attemptIt })
  return (
    <div className="grid grid-cols-12 items-start gap-3">
      <div className="col-span-12 flex min-w-0 flex-col gap-3 xl:col-span-7">
        <Section
          title="Parser, as YAML"
          aside={
            <>
              <Button onClick={attemptIt} disabled={attempt.busy} className="w-20">
                {attempt.busy ? 'Trying' : 'Try'}
              </Button>
              <Button variant="primary" onClick={() => void keep()} disabled={keeping || text === begun} className="w-20">
                {keeping ? 'Keeping' : 'Keep'}
              </Button>
            </>
          }
        >
          {error !== null && <ErrorBox error={error} />}
          <TextEditor initial={initial} label="Text of the parser" onChange={change} marks={marks} handle={handle} />
          {problems.length > 0 && <ProblemList problems={problems} goTo={(line) => handle.current?.goTo(line)} />}
        </Section>
        {children}
      </div>
      <Section title="What it makes of records" className="col-span-12 xl:col-span-5" aside={attempt.tried && attempt.text !== text && <span>The text has changed since</span>}>
        <div role="status">
          {attempt.error !== null && <ErrorBox error={attempt.error} />}
          {attempt.tried && <Tried tried={attempt.tried} />}
          {!attempt.tried && attempt.error === null && <p className="text-muted p-3">“Try” shows some records beside the fields that are read from them. Nothing is kept.</p>}
        </div>
      </Section>
      <LeaveDialog leaving={leaving} what="parser" />
    </div>
  )
}

/** The newest try and the text that was tried. */
function useAttempt(initial: string, first: ParserTried | null) {
  const [state, setState] = useState<{ text: string; tried: ParserTried | null; error: unknown }>({ text: initial, tried: first, error: null })
  const [busy, setBusy] = useState(false)
  const run = async (text: string, choice: Choice) => {
    if (busy) return
    setBusy(true)
    try {
      setState({ text, tried: await post<ParserTried>('/parsers/test', { text, ...recordsOf(choice) }), error: null })
    } catch (error) {
      setState({ text, tried: null, error })
    }
    setBusy(false)
  }
  return { ...state, busy, run }
}
