/** Text that was not saved, kept for this tab: a reload or a session that ended does not lose it. */

const key = (id: string | null) => `pugmark.rule-draft.${id === null ? 'new' : `id.${id}`}`

export function readDraft(id: string | null): string | null {
  try {
    return sessionStorage.getItem(key(id))
  } catch {
    return null
  }
}

/** Keeps a draft; null forgets it. */
export function writeDraft(id: string | null, text: string | null) {
  try {
    if (text === null) sessionStorage.removeItem(key(id))
    else sessionStorage.setItem(key(id), text)
  } catch {
    // Private mode or a full store: leaving the page asks all the same.
  }
}
