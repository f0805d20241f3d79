/** Reads ATT&CK out of Sigma tags. */

export function techniques(tags: string[]): string[] {
  return tags.filter((tag) => /^attack\.t\d/i.test(tag)).map((tag) => tag.slice(7).toUpperCase())
}

export function tactics(tags: string[]): string[] {
  return tags.filter((tag) => /^attack\.[a-z][a-z_-]{3,}$/i.test(tag)).map((tag) => tag.slice(7).replaceAll(/[_-]/g, ' '))
}
