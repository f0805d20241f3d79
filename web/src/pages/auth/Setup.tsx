import { useQuery } from '@tanstack/react-query'
import { Link, useLocation, useRouter } from '@tanstack/react-router'
import { type FormEvent, useState } from 'react'
import { ApiError, post } from '@/api/client'
import { auth, queryClient } from '@/api/queries'
import { Button, buttonClass, inputClass } from '@/components/ui'
import { FormError, Frame, Labeled } from './Frame'

const PASSWORD_MIN = 10

export default function Setup() {
  const router = useRouter()
  const { data } = useQuery(auth)
  const [busy, setBusy] = useState(false)
  const [error, setError] = useState<{ message: string; hint?: string | null } | null>(null)
  // Followed, not read once: the link may be pasted into a tab that shows this page already.
  const linkToken = useLocation({ select: ({ hash }) => new URLSearchParams(hash).get('token') ?? '' })
  if (data && !data.setup_needed && !busy) {
    return (
      <Frame title="Set-up is done" lead="This server has its first user already. The set-up link works once.">
        <Link to="/login" className={buttonClass('primary')}>
          Sign in
        </Link>
      </Frame>
    )
  }
  const submit = async (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault()
    const form = new FormData(event.currentTarget)
    const password = String(form.get('password'))
    if (password !== form.get('again')) return setError({ message: 'The two passwords differ', hint: 'Type the same one twice.' })
    if ([...password].length < PASSWORD_MIN) return setError({ message: 'The password is too short', hint: `Take at least ${PASSWORD_MIN} characters.` })
    setBusy(true)
    setError(null)
    try {
      await post('/auth/setup', { token: String(form.get('token')).trim(), user: form.get('user'), password })
      // The token must not stay in the address bar or the history.
      history.replaceState(null, '', '/setup')
      await queryClient.fetchQuery({ ...auth, staleTime: 0 })
      router.history.push('/start')
    } catch (cause) {
      setBusy(false)
      setError(cause instanceof ApiError ? cause : { message: String(cause) })
    }
  }
  return (
    <Frame title="Make the first user" lead="The link with the set-up token was printed in the terminal where Pugmark started.">
      <form onSubmit={(event) => void submit(event)}>
        {linkToken === '' ? (
          <Labeled label="Set-up token" note="The part after #token= in the link.">
            <input className={inputClass} name="token" required autoComplete="off" spellCheck={false} />
          </Labeled>
        ) : (
          <input type="hidden" name="token" value={linkToken} />
        )}
        <Labeled label="User">
          <input className={inputClass} name="user" required autoComplete="username" defaultValue="admin" maxLength={64} />
        </Labeled>
        <Labeled label="Password" note={`At least ${PASSWORD_MIN} characters.`}>
          <input className={inputClass} name="password" type="password" required autoComplete="new-password" autoFocus />
        </Labeled>
        <Labeled label="Password again">
          <input className={inputClass} name="again" type="password" required autoComplete="new-password" />
        </Labeled>
        <FormError error={error} />
        <Button type="submit" variant="primary" className="h-8 w-full" disabled={busy}>
          Make the user and sign in
        </Button>
      </form>
    </Frame>
  )
}
