/** What the page of tables works out by itself. */

const NAME_MAX = 64
const NAME = new RegExp(`^[A-Za-z0-9_-]{1,${NAME_MAX}}$`)

export const TABLE_NAME_RULE = '1 to 64 letters, digits, dashes or underscores.'

export const EXAMPLE = `host.name,owner,site
web-1,ana,paris
db-1,bruno,lyon`

/** The names that the server takes. */
export function isTableName(name: string): boolean {
  return NAME.test(name)
}

/** A name to begin with, from that of a file. */
export function nameOfFile(file: string): string {
  return file
    .replace(/\.[^.]*$/, '')
    .replaceAll(/[^A-Za-z0-9_-]+/g, '-')
    .replaceAll(/^-+|-+$/g, '')
    .slice(0, NAME_MAX)
}
