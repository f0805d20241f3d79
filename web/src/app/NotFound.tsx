import { Link } from '@tanstack/react-router'
import { buttonClass, Empty, Title } from '@/components/ui'

export default function NotFound() {
  return (
    <main>
      <Title>Not found</Title>
      <Empty title="There is no page at this address">
        <p>The link may be old, or typed wrong.</p>
        <Link to="/" className={buttonClass()}>
          Go to Home
        </Link>
      </Empty>
    </main>
  )
}
