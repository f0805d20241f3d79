// Checks the size of what a browser has to load (gzip): entry, each route with all it imports, everything.
import { readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'

const limits = { entry: 130_000, route: 220_000, dist: 600_000 }
const dist = new URL('../dist/', import.meta.url).pathname
const manifest = JSON.parse(readFileSync(join(dist, '../node_modules/.pugmark-manifest.json'), 'utf8'))
const sizes = new Map()

function size(file) {
  if (!sizes.has(file)) sizes.set(file, gzipSync(readFileSync(join(dist, file)), { level: 9 }).length)
  return sizes.get(file)
}

/** All files that a chunk loads at once: itself, its static imports, their styles. */
function closure(key, into = new Set()) {
  const chunk = manifest[key]
  if (!chunk || into.has(chunk.file)) return into
  into.add(chunk.file)
  for (const css of chunk.css ?? []) into.add(css)
  for (const next of chunk.imports ?? []) closure(next, into)
  return into
}

const sum = (files) => [...files].reduce((total, file) => total + size(file), 0)
const kb = (bytes) => `${(bytes / 1000).toFixed(1)} kB`
const failures = []
function check(name, bytes, limit) {
  const over = bytes > limit
  if (over) failures.push(name)
  console.log(`${over ? 'OVER' : 'ok  '} ${name.padEnd(44)} ${kb(bytes).padStart(9)} of ${kb(limit)}`)
}

const entryKey = Object.keys(manifest).find((key) => manifest[key].isEntry)
const entry = closure(entryKey)
check('entry', sum(entry), limits.entry)
// Pages live inside the shell, so what the shell loads is not counted again for them.
const shell = closure('src/app/Shell.tsx')
for (const key of Object.keys(manifest).filter((key) => manifest[key].isDynamicEntry)) {
  const held = key.startsWith('src/pages/') && !key.includes('/auth/') ? new Set([...entry, ...shell]) : entry
  const own = [...closure(key)].filter((file) => !held.has(file))
  check(key, sum(own), limits.route)
}
let total = 0
for (const item of readdirSync(dist, { recursive: true, withFileTypes: true })) {
  const path = join(item.parentPath ?? item.path, item.name)
  if (!item.isFile() || /\.(gz|br|woff2)$/.test(item.name)) continue
  total += statSync(path).size < 256 ? statSync(path).size : gzipSync(readFileSync(path), { level: 9 }).length
}
check('dist without fonts', total, limits.dist)
if (failures.length > 0) {
  console.error(`over budget: ${failures.join(', ')}`)
  process.exit(1)
}
