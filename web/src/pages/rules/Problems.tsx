/** Rules that cannot be used: a line that says how many, and opens the list of reasons. */
import { useState } from 'react'
import type { RuleProblem } from '@/api/types'
import { Icon } from '@/components/Icon'
import type { Mark } from '@/components/TextEditor'
import { Button } from '@/components/ui'
import { visible } from '@/lib/escape'
import { plural } from '@/lib/number'
import { innerLine, lineOf, placeOf, rulesWith } from './check'
import { RemoveDialog } from './RuleActions'

/** What the file of a rule begins with that was written here. */
const WRITTEN_HERE = /^product\/(.+)\.yaml$/

export function ProblemsBanner({ problems }: { problems: RuleProblem[] }) {
  const [open, setOpen] = useState(false)
  const [removing, setRemoving] = useState<string | null>(null)
  if (problems.length === 0) return null
  return (
    <section aria-label="Rules that cannot be used" className="border-line bg-surface border-t">
      <h2 className="flex">
        <button type="button" aria-expanded={open} className="hover:bg-accent-soft flex h-9 w-full items-center gap-2 px-4 text-left font-semibold" onClick={() => setOpen(!open)}>
          <Icon name="warn" />
          {plural(rulesWith(problems), 'rule')} cannot be used
          <span className="text-muted ml-auto flex items-center gap-1 font-normal">
            {open ? 'Hide the reasons' : 'Show the reasons'}
            <Icon name={open ? 'up' : 'down'} size={12} />
          </span>
        </button>
      </h2>
      {open && (
        <ul className="border-line max-h-72 overflow-auto border-t" tabIndex={0} aria-label="Reasons">
          {problems.map((problem, index) => {
            const id = WRITTEN_HERE.exec(problem.path)?.[1]
            return (
              <li key={index} className="border-line flex items-start gap-3 border-b px-4 py-1.5 last:border-b-0">
                <div className="min-w-0 flex-1">
                  <p className="data text-muted break-all">{visible(placeOf(problem))}</p>
                  <Words problem={problem} />
                </div>
                {id !== undefined && <Button onClick={() => setRemoving(id)}>Remove</Button>}
              </li>
            )
          })}
        </ul>
      )}
      {removing !== null && <RemoveDialog id={removing} title={removing} onClose={() => setRemoving(null)} />}
    </section>
  )
}

/** Problems of one text; those with a line can be clicked where `goTo` is given. */
export function ProblemList({ problems, goTo }: { problems: RuleProblem[]; goTo?: (line: number) => void }) {
  return (
    <ul aria-label="Problems of this text" className="max-h-64 overflow-auto" tabIndex={0}>
      {problems.map((problem, index) => {
        const line = lineOf(problem)
        return (
          <li key={index} className="border-line flex items-start gap-2 border-t px-3 py-1.5">
            <span className="text-critical mt-0.5">
              <Icon name="warn" size={14} />
            </span>
            <div className="min-w-0 flex-1">
              <Words problem={problem} />
            </div>
            {line !== null &&
              (goTo ? (
                <button type="button" className="text-accent h-6 shrink-0 px-1" onClick={() => goTo(line)}>
                  Line {line}
                </button>
              ) : (
                <span className="text-muted shrink-0">Line {line}</span>
              ))}
          </li>
        )
      })}
    </ul>
  )
}

/** Only a line that a message names is marked: where the rule starts says nothing about the fault. */
export function marksOf(problems: RuleProblem[]): Mark[] {
  return problems.flatMap((problem) => {
    const line = innerLine(problem)
    return line === null ? [] : [{ line, message: visible(problem.message) }]
  })
}

function Words({ problem }: { problem: RuleProblem }) {
  return (
    <>
      <p className="break-words first-letter:uppercase">{visible(problem.message)}</p>
      {problem.hint !== '' && <p className="text-muted break-words first-letter:uppercase">{visible(problem.hint)}</p>}
    </>
  )
}
