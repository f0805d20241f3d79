/** The quiet page around login and set-up. */
import type { ReactNode } from 'react'
import { Logo } from '@/components/Icon'
import { Title } from '@/components/ui'

export function Frame({ title, lead, children }: { title: string; lead: string; children: ReactNode }) {
  return (
    <main className="flex min-h-full flex-col items-center px-4 pt-[14vh] pb-8">
      <Title>{title}</Title>
      <div className="text-accent flex items-center gap-2.5">
        <Logo size={30} />
        <span className="text-text text-2xl font-semibold tracking-tight">Pugmark</span>
      </div>
      <div className="panel mt-6 w-full max-w-sm p-6">
        <h1>{title}</h1>
        <p className="text-muted mt-1 mb-4">{lead}</p>
        {children}
      </div>
    </main>
  )
}

export function Labeled({ label, note, children }: { label: string; note?: string; children: ReactNode }) {
  return (
    <label className="mb-3 block">
      <span className="mb-1 block font-semibold">{label}</span>
      {children}
      {note && <span className="text-muted mt-1 block text-sm">{note}</span>}
    </label>
  )
}

export function FormError({ error }: { error: { message: string; hint?: string | null } | null }) {
  return (
    <div role="alert" className="min-h-0">
      {error && (
        <p className="border-line-strong mb-3 rounded border p-2">
          <span className="font-semibold">{error.message}.</span> {error.hint}
        </p>
      )}
    </div>
  )
}
