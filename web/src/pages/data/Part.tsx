/** A small table with a heading, for what is said about data. */
import type { ReactNode } from 'react'
import { visible } from '@/lib/escape'

/** Text from a log or a person, as data. */
export function Text({ children }: { children: string }) {
  return <span className="data break-all">{visible(children)}</span>
}

/** Columns that stand at the right. */
const NUMBERS = new Set(['Share', 'Records', 'Confidence'])

interface PartProps<T> {
  title: string
  rows: T[]
  head: string[]
  none?: string | undefined
  /** The heading stands elsewhere. */
  bare?: boolean
  children: (row: T) => ReactNode[]
}

/** A table with a heading; nothing where there are no rows and nothing to say of that. */
export function Part<T>({ title, rows, head, none, bare = false, children }: PartProps<T>) {
  if (rows.length === 0 && none === undefined) return null
  const right = (name: string) => (NUMBERS.has(name) ? 'text-right' : '')
  return (
    <div>
      {!bare && <h3 className="font-semibold">{title}</h3>}
      {rows.length === 0 ? (
        <p className="text-muted">{none}</p>
      ) : (
        <div className="max-h-80 overflow-auto" tabIndex={0} role="region" aria-label={title}>
          <table className="w-full">
            <thead>
              <tr className="border-line text-muted h-7 border-b text-left text-sm">
                {head.map((name) => (
                  <th key={name} scope="col" className={`px-2 font-normal ${right(name)}`}>
                    {name}
                  </th>
                ))}
              </tr>
            </thead>
            <tbody>
              {rows.map((row, i) => (
                <tr key={i} className="border-line min-h-7 border-b">
                  {children(row).map((cell, at) => (
                    <td key={head[at]} className={`px-2 py-1 align-top ${right(head[at] ?? '')}`}>
                      {cell}
                    </td>
                  ))}
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
    </div>
  )
}
