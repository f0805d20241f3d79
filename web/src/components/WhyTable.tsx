/** The conditions of a rule that held, with the values that were seen; in a narrow panel without their selections. */
import type { WhyRow } from '@/api/types'
import { visible } from '@/lib/escape'
import { FieldValue } from './FieldValue'

export function WhyTable({ why, label = 'Conditions that held' }: { why: WhyRow[]; label?: string }) {
  return (
    <div className="@container overflow-x-auto" tabIndex={0} role="region" aria-label={label}>
      <table className="w-full">
        <thead>
          <tr className="border-line text-muted h-7 border-b text-left text-sm">
            <th scope="col" className="px-3 font-normal @max-lg:hidden">Selection</th>
            <th scope="col" className="px-3 font-normal">Field</th>
            <th scope="col" className="px-3 font-normal">Value seen</th>
            <th scope="col" className="px-3 font-normal">Test that held</th>
          </tr>
        </thead>
        <tbody>
          {why.map((row, index) => (
            <tr key={index} className="border-line border-b align-top last:border-b-0">
              <td className="data text-muted px-3 py-1.5 @max-lg:hidden">{visible(row.selection)}</td>
              <td className="data px-3 py-1.5 @max-lg:min-w-44 @max-lg:wrap-anywhere">{visible(row.field)}</td>
              <td className="data px-3 py-1.5 break-all @max-lg:min-w-32">
                <FieldValue value={row.value} limit={1_000} />
              </td>
              <td className="data px-3 py-1.5 break-words @max-lg:min-w-28 @max-lg:wrap-anywhere">{visible(row.test)}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  )
}
