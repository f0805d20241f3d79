import { useQuery } from '@tanstack/react-query'
import { Navigate, useRouter, useSearch } from '@tanstack/react-router'
import { type FormEvent, useState } from 'react'
import { ApiError, post } from '@/api/client'
import { auth, queryClient } from '@/api/queries'
import { restartStream } from '@/api/stream'
import { Button, inputClass } from '@/components/ui'
import { FormError, Frame, Labeled } from './Frame'

export default function Login() {
  const { next } = useSearch({ from: '/login' })
  const router = useRouter()
  const { data } = useQuery(auth)
  const [busy, setBusy] = useState(false)
  const [error, setError] = useState<{ message: string; hint?: string | null } | null>(null)
  if (data?.setup_needed) return <Navigate to="/setup" />
  const submit = async (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault()
    const form = new FormData(event.currentTarget)
    setBusy(true)
    setError(null)
    try {
      await post('/auth/login', { user: form.get('user'), password: form.get('password') })
      await queryClient.fetchQuery({ ...auth, staleTime: 0 })
      restartStream()
      router.history.push(next ?? '/')
    } catch (cause) {
      setError(explain(cause))
    } finally {
      setBusy(false)
    }
  }
  return (
    <Frame title="Sign in" lead="Your session ends when you sign out or close it on the server.">
      <form onSubmit={(event) => void submit(event)}>
        <Labeled label="User">
          <input className={inputClass} name="user" autoComplete="username" autoFocus required defaultValue="admin" />
        </Labeled>
        <Labeled label="Password">
          <input className={inputClass} name="password" type="password" autoComplete="current-password" required />
        </Labeled>
        <FormError error={error} />
        <Button type="submit" variant="primary" className="h-8 w-full" disabled={busy}>
          {busy ? 'Signing in' : 'Sign in'}
        </Button>
      </form>
    </Frame>
  )
}

function explain(cause: unknown) {
  if (cause instanceof ApiError && cause.status === 401) return { message: 'User or password is wrong', hint: 'Check both and try again.' }
  if (cause instanceof ApiError && cause.status === 429) return { message: 'Too many attempts', hint: cause.hint ?? 'Wait a minute, then try again.' }
  if (cause instanceof ApiError) return { message: cause.message, hint: cause.hint }
  return { message: String(cause) }
}
