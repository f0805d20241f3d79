/** Writes a rule: checked while typing, tried on history, kept in the product. */
import { useQuery } from '@tanstack/react-query'
import { Link, useNavigate, useParams } from '@tanstack/react-router'
import { useEffect, useMemo, useRef, useState } from 'react'
import { queryClient, rule as ruleQuery, ruleCheck, rules as rulesQuery, saveRule } from '@/api/queries'
import type { RuleDetail, RuleProblem } from '@/api/types'
import { Icon } from '@/components/Icon'
import { LeaveDialog, useLeaving } from '@/components/Leaving'
import { type EditorHandle, TextEditor } from '@/components/TextEditor'
import { toast } from '@/components/toasts'
import { Button, buttonClass, ErrorBox, Loading, Section, Title } from '@/components/ui'
import { visible } from '@/lib/escape'
import { useKeys } from '@/lib/keys'
import { plural } from '@/lib/number'
import { useDebounced } from '@/lib/useDebounced'
import { Backtest } from './Backtest'
import { obstacles } from './check'
import { readDraft, writeDraft } from './draft'
import { marksOf, ProblemList } from './Problems'
import { template, uuid } from './template'

const CHECK_DELAY_MS = 300

export function NewRule() {
  const [initial] = useState(() => template(uuid(), new Date().toISOString().slice(0, 10)))
  return <Editor rule={null} initial={initial} />
}

export function EditRule() {
  const { id } = useParams({ from: '/shell/rules/$id/edit' })
  const { data, error, refetch } = useQuery(ruleQuery(id))
  if (error && !data) return <ErrorBox error={error} retry={() => void refetch()} />
  if (!data) return <Loading rows={12} />
  return <Editor key={id} rule={data} initial={data.source} />
}

function Editor({ rule, initial }: { rule: RuleDetail | null; initial: string }) {
  const id = rule?.id ?? null
  const [begun] = useState(initial)
  const { start, round, restored, startOver } = useStart(id, begun)
  const [text, setText] = useState(start)
  const [reason, setReason] = useState('')
  const { problems, state } = useCheck(text, id)
  useDraft(id, text === begun ? null : text)
  const leaving = useLeaving(text !== begun, () => writeDraft(id, null))
  const { save, busy, error, forget } = useSave(id, leaving.free)
  const handle = useRef<EditorHandle>(null)
  const tryIt = useRef(() => {})
  const marks = useMemo(() => marksOf(problems), [problems])
  const what = useMemo(() => ({ text }), [text])
  const change = (next: string) => {
    setText(next)
    forget()
  }
  const same = rule !== null && text === begun
  const submit = () => {
    if (!same) void save(text, reason)
  }
  useKeys({ 'Mod+s': submit, 'Mod+enter': () => tryIt.current() })
  const title = rule ? `Edit: ${rule.title}` : 'New rule'
  return (
    <div className="mx-auto max-w-[100rem] pb-6">
      <Title>{title}</Title>
      <header className="flex flex-wrap items-start gap-x-4 gap-y-2 px-4 py-3">
        <div className="min-w-0 flex-1 basis-96">
          <h1 className="break-words">{visible(title)}</h1>
          <p className="text-muted max-w-prose">
            <Where rule={rule} />
          </p>
        </div>
        <form
          className="flex items-center gap-2"
          onSubmit={(event) => {
            event.preventDefault()
            submit()
          }}
        >
          <input
            name="reason"
            aria-label="Why, for the audit trail"
            placeholder="Why, for the audit trail"
            className="border-line-strong bg-surface placeholder:text-muted h-7 w-64 rounded border px-2"
            maxLength={1_000}
            value={reason}
            onChange={(event) => setReason(event.target.value)}
          />
          {rule ? (
            <Link to="/rules/$id" params={{ id: rule.id }} className={buttonClass()}>
              Cancel
            </Link>
          ) : (
            <Link to="/rules" className={buttonClass()}>
              Cancel
            </Link>
          )}
          <Button type="submit" variant="primary" className="w-20" disabled={busy || same}>
            {busy ? 'Saving' : 'Save'}
          </Button>
        </form>
      </header>
      {error !== null && <ErrorBox error={error} />}
      {restored && (
        <p role="note" className="panel border-line-strong mx-4 mb-3 flex items-center gap-3 px-3 py-1.5">
          <span className="min-w-0 flex-1">This is your text from before, which was not saved.</span>
          <Button
            onClick={() => {
              startOver()
              setText(begun)
            }}
          >
            Start over
          </Button>
        </p>
      )}
      <div className="grid grid-cols-12 items-start gap-3 px-4">
        <Section title="Rule, as YAML" className="col-span-12 xl:col-span-7" aside={<CheckState state={state} problems={problems} />}>
          <TextEditor key={round} initial={start} label="Text of the rule" onChange={change} marks={marks} handle={handle} />
          {problems.length > 0 && <ProblemList problems={problems} goTo={(line) => handle.current?.goTo(line)} />}
        </Section>
        <div className="col-span-12 xl:col-span-5">
          <Backtest what={what} startRef={tryIt} />
        </div>
      </div>
      <LeaveDialog leaving={leaving} what="rule" />
    </div>
  )
}

/** Says what saving does to a rule from elsewhere. */
function Where({ rule }: { rule: RuleDetail | null }) {
  if (!rule) return <>It watches from the moment it is saved.</>
  if (rule.off) return <>It is switched off and stays so when it is saved.</>
  if (rule.origin === 'product') return <>It was written here. The new text is in force from the moment it is saved.</>
  const original = rule.origin === 'builtin' ? 'the rule that comes with Pugmark' : 'the rule in the folder'
  return <>A copy is kept here under the same id and stands in for {original}. Remove the copy, and the original is in force again.</>
}

type CheckWord = 'checking' | 'checked' | 'unknown'

function CheckState({ state, problems }: { state: CheckWord; problems: RuleProblem[] }) {
  const words = state === 'checking' ? 'Checking' : state === 'unknown' ? 'Not checked' : problems.length === 0 ? 'Nothing wrong with it' : plural(problems.length, 'problem')
  return (
    <span role="status" data-check={state} className="flex items-center gap-1.5">
      {state === 'checked' && <Icon name={problems.length === 0 ? 'check' : 'warn'} size={14} />}
      {words}
    </span>
  )
}

/** What stands between the text and saving it, asked of the server a moment after the last key. */
function useCheck(text: string, id: string | null): { problems: RuleProblem[]; state: CheckWord } {
  const settled = useDebounced(text, CHECK_DELAY_MS)
  const { data, error, isPlaceholderData } = useQuery(ruleCheck(settled))
  const known = useQuery(rulesQuery).data?.rules
  const problems = useMemo(() => {
    if (error) return [{ path: '', line: null, rule: null, message: error.message, hint: 'The check was not possible; saving may still be.' }]
    return data ? obstacles(data, settled, id, known ?? []) : []
  }, [data, error, settled, id, known])
  const waiting = settled !== text || !data || isPlaceholderData
  return { problems, state: error ? 'unknown' : waiting ? 'checking' : 'checked' }
}

function useSave(id: string | null, onSaved: () => void) {
  const navigate = useNavigate()
  const [busy, setBusy] = useState(false)
  const [error, setError] = useState<unknown>(null)
  const save = async (text: string, reason: string) => {
    if (busy) return
    setBusy(true)
    setError(null)
    try {
      const check = await queryClient.fetchQuery(ruleCheck(text))
      const known = await queryClient.ensureQueryData(rulesQuery)
      const [first] = obstacles(check, text, id, known.rules)
      const target = id ?? check.ids[0]
      if (first || target === undefined) throw new Error(`Not saved: ${first?.message ?? 'the text has no id'}`)
      await saveRule(target, text, reason.trim())
      onSaved()
      toast({ text: 'Saved: it is in force' })
      await navigate({ to: '/rules/$id', params: { id: target } })
    } catch (cause) {
      setError(cause)
      setBusy(false)
    }
  }
  return { save, busy, error, forget: () => setError(null) }
}

/** What the editor begins with: a draft if there is one. */
function useStart(id: string | null, begun: string) {
  const [state, setState] = useState(() => {
    const draft = readDraft(id)
    return { start: draft ?? begun, restored: draft !== null && draft !== begun, round: 0 }
  })
  return { ...state, startOver: () => setState({ start: begun, restored: false, round: state.round + 1 }) }
}

function useDraft(id: string | null, text: string | null) {
  const settled = useDebounced(text, CHECK_DELAY_MS)
  useEffect(() => writeDraft(id, settled), [id, settled])
}
