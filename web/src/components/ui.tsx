/** Small parts that every page uses: buttons, headings, empty and error states, copy, menus. */
import { type ButtonHTMLAttributes, type ReactNode, useEffect, useRef, useState } from 'react'
import { ApiError } from '@/api/client'
import { visible } from '@/lib/escape'
import { Icon, type IconName } from './Icon'
import { toast } from './toasts'

type Variant = 'primary' | 'default' | 'ghost'

const VARIANTS: Record<Variant, string> = {
  primary: 'bg-accent text-on-accent border-accent hover:opacity-90 font-semibold',
  default: 'bg-surface text-text border-line-strong hover:bg-accent-soft',
  ghost: 'bg-transparent text-muted border-transparent hover:text-text hover:bg-accent-soft',
}

export function buttonClass(variant: Variant = 'default', extra = ''): string {
  return `inline-flex h-7 shrink-0 items-center justify-center gap-1.5 rounded border px-2.5 text-base whitespace-nowrap no-underline ${VARIANTS[variant]} ${extra}`
}

interface ButtonProps extends ButtonHTMLAttributes<HTMLButtonElement> {
  variant?: Variant
  icon?: IconName
}

export function Button({ variant = 'default', icon, className = '', children, ...rest }: ButtonProps) {
  return (
    <button type="button" {...rest} className={buttonClass(variant, className)}>
      {icon && <Icon name={icon} />}
      {children}
    </button>
  )
}

/** A square button with only an icon; `label` is what it is called. */
export function IconButton({ icon, label, className = '', ...rest }: ButtonProps & { icon: IconName; label: string }) {
  return (
    <button
      type="button"
      aria-label={label}
      title={label}
      {...rest}
      className={`inline-flex size-6 shrink-0 items-center justify-center rounded text-muted hover:bg-accent-soft hover:text-text aria-pressed:bg-accent-soft aria-pressed:text-accent ${className}`}
    >
      <Icon name={icon} />
    </button>
  )
}

/** Sets the tab title: what is shown, then where. */
export function Title({ children }: { children: string }) {
  return <title>{`${visible(children)} · Pugmark`}</title>
}

export function PageHeader({ title, children, note }: { title: ReactNode; children?: ReactNode; note?: ReactNode }) {
  return (
    <header className="flex min-h-12 flex-wrap items-center gap-x-3 gap-y-1 px-4 py-2">
      <h1 className="min-w-0">{title}</h1>
      {note && <p className="text-muted min-w-0">{note}</p>}
      <div className="ml-auto flex items-center gap-2">{children}</div>
    </header>
  )
}

export function Section({ title, aside, children, className = '' }: { title: string; aside?: ReactNode; children: ReactNode; className?: string }) {
  return (
    <section className={`panel min-w-0 ${className}`} aria-label={title}>
      <div className="border-line flex h-9 items-center gap-2 border-b px-3">
        <h2>{title}</h2>
        <div className="text-muted ml-auto flex items-center gap-2 text-sm">{aside}</div>
      </div>
      {children}
    </section>
  )
}

export function Empty({ title, children, icon = 'search' }: { title: string; children?: ReactNode; icon?: IconName }) {
  return (
    <div className="mx-auto flex max-w-lg flex-col items-center gap-2 px-4 py-10 text-center">
      <span className="text-muted">
        <Icon name={icon} size={24} />
      </span>
      <p className="text-lg font-semibold">{title}</p>
      <div className="text-muted flex flex-col items-center gap-3">{children}</div>
    </div>
  )
}

/** What happened, why, what to do next. */
export function ErrorBox({ error, retry }: { error: unknown; retry?: () => void }) {
  const message = error instanceof Error ? error.message : String(error)
  const hint = error instanceof ApiError ? error.hint : null
  return (
    <div role="alert" className="panel border-line-strong m-4 flex items-start gap-3 p-3">
      <span className="text-critical mt-0.5">
        <Icon name="warn" />
      </span>
      <div className="min-w-0 flex-1">
        <p className="font-semibold break-words first-letter:uppercase">{visible(message)}</p>
        {hint && <p className="text-muted break-words first-letter:uppercase">{visible(hint)}</p>}
        {error instanceof ApiError && error.status >= 500 && <p className="text-muted text-sm">Code {error.code}, HTTP {error.status}</p>}
      </div>
      {retry && <Button onClick={retry}>Retry</Button>}
    </div>
  )
}

/** Grey lines, only when waiting takes longer than 300 ms. */
export function Loading({ rows = 6 }: { rows?: number }) {
  return (
    <div role="status" aria-label="Loading" className="late flex flex-col gap-2 p-4">
      {Array.from({ length: rows }, (_, i) => (
        <span key={i} className="bg-line h-4 rounded" style={{ width: `${90 - ((i * 17) % 50)}%` }} />
      ))}
    </div>
  )
}

export async function copyText(text: string, what: string) {
  try {
    await navigator.clipboard.writeText(text)
  } catch {
    // Plain http on a LAN has no clipboard API.
    const area = document.createElement('textarea')
    area.value = text
    document.body.append(area)
    area.select()
    document.execCommand('copy')
    area.remove()
  }
  toast({ text: `Copied ${what}` })
}

export function Copy({ text, what, label }: { text: string; what: string; label?: string }) {
  const [done, setDone] = useState(false)
  const timer = useRef<ReturnType<typeof setTimeout>>(undefined)
  useEffect(() => () => clearTimeout(timer.current), [])
  const onClick = () => {
    void copyText(text, what)
    setDone(true)
    clearTimeout(timer.current)
    timer.current = setTimeout(() => setDone(false), 1_500)
  }
  if (label) {
    return (
      <Button icon={done ? 'check' : 'copy'} onClick={onClick}>
        {label}
      </Button>
    )
  }
  return <IconButton icon={done ? 'check' : 'copy'} label={`Copy ${what}`} onClick={onClick} />
}

export function Chip({ children, className = '' }: { children: ReactNode; className?: string }) {
  return <span className={`border-line inline-flex h-5 items-center gap-1 rounded border px-1.5 text-sm whitespace-nowrap ${className}`}>{children}</span>
}

export function Kbd({ children }: { children: ReactNode }) {
  return <kbd className="border-line bg-bg text-muted inline-flex h-5 min-w-5 items-center justify-center rounded border px-1 font-mono text-xs">{children}</kbd>
}

export const inputClass =
  'h-8 w-full min-w-0 rounded border border-line-strong bg-surface px-2 text-base text-text placeholder:text-muted'

export const selectClass = 'h-7 rounded border border-line-strong bg-surface px-1.5 text-base text-text'
