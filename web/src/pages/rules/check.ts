/** What stands between the text of a rule and keeping it. */
import type { Rule, RuleCheck, RuleProblem } from '@/api/types'

/**
 * What the server found wrong with a text, and whether it is one rule with an id of its own.
 * `id` is that of the rule being changed, null for a new one; `known` are the rules there are.
 */
export function obstacles(check: RuleCheck, text: string, id: string | null, known: Rule[]): RuleProblem[] {
  if (check.problems.length > 0) return check.problems
  const [found, ...more] = check.ids
  if (found === undefined) return [problem('This text is no rule yet', 'A rule has a title, an id, a log source and a detection.')]
  if (more.length > 0) return [problem(`There are ${check.ids.length} rules in this text`, 'Keep one here, and write each of the others as a new rule.')]
  // Without an id in the text the server makes one up from the title: it would change with the title.
  if (!text.includes(found)) return [problem('The rule has no id', 'Add a line such as `id: ` and a text that no other rule has.')]
  if (id !== null && found !== id) return [problem(`The id of the rule was changed to ${found}`, `Keep id: ${id}, or start a new rule with this text.`)]
  const other = id === null ? known.find((rule) => rule.id === found) : undefined
  if (other) return [problem(`There is a rule with this id already: ${other.title}`, 'Give the new rule an id of its own, or edit that rule.')]
  return []
}

/** The line a problem is on: its own if the message names one, else where its rule starts. */
export function lineOf(problem: RuleProblem): number | null {
  const inner = innerLine(problem)
  return inner ?? problem.line
}

/** The line that a message names (`at line 3 column 5`), counted in the whole text. */
export function innerLine(problem: RuleProblem): number | null {
  const within = /\bat line (\d{1,7})\b/.exec(problem.message)?.[1]
  return within === undefined ? null : (problem.line ?? 1) + Number(within) - 1
}

/** Where a problem is, as an editor or a terminal writes it: `file:line`. */
export function placeOf(problem: RuleProblem): string {
  const line = lineOf(problem)
  return line === null ? problem.path : `${problem.path}:${line}`
}

/** How many rules have problems: one rule may have several. */
export function rulesWith(problems: RuleProblem[]): number {
  return new Set(problems.map((each) => `${each.path}:${each.line}`)).size
}

function problem(message: string, hint: string): RuleProblem {
  return { path: '', line: null, rule: null, message, hint }
}
