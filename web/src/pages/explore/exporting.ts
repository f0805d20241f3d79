/** Exports: the server asks the question again and writes the file, of a bounded number of rows. */
import { type ExportFormat, exported } from '@/api/client'
import { toast } from '@/components/toasts'
import { download } from '@/lib/download'
import { plural } from '@/lib/number'

export async function exportRows(format: ExportFormat, query: string, from: string, to: string) {
  toast({ text: 'Exporting' })
  try {
    const { file, rowsMax } = await exported({ query, from: from || null, to: to || null, format })
    download(`pugmark-${new Date().toISOString().slice(0, 19).replaceAll(':', '')}.${format}`, file)
    toast({ text: `Exported, at most ${plural(rowsMax, 'row')}: the audit trail says how many` })
  } catch (cause) {
    toast({ text: `Export stopped: ${cause instanceof Error ? cause.message : String(cause)}`, error: true })
  }
}
