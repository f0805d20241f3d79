import { useQuery } from '@tanstack/react-query'
import { Link } from '@tanstack/react-router'
import { savedSearches } from '@/api/queries'

/** Leads to the saved search of this name as it is now; says when it has gone. */
export function SavedLink({ name }: { name: string }) {
  const { data } = useQuery(savedSearches)
  if (!data) return null
  const search = data.find((each) => each.name === name)
  if (!search) return <span className="text-muted">It was removed</span>
  return (
    <Link to="/explore" search={{ q: search.query, from: search.from, to: search.to }}>
      Open
    </Link>
  )
}
