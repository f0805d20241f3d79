import { removeParser } from '@/api/queries'
import { RemoveDialog } from './RemoveDialog'

export function RemoveParser({ name, onClose, onGone }: { name: string; onClose: () => void; onGone?: () => void }) {
  return (
    <RemoveDialog what="parser" name={name} remove={() => removeParser(name)} onClose={onClose} onGone={onGone}>
      <p>Its text is gone when it is removed, and new records are read without it. Stored events stay as they are.</p>
      <p className="mt-2">If Pugmark has a parser of the same name, that one reads again.</p>
    </RemoveDialog>
  )
}
