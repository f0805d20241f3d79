// Writes .gz and .br beside every text file of dist, so that the server never compresses at run time.
import { readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { brotliCompressSync, constants, gzipSync } from 'node:zlib'

const dist = new URL('../dist/', import.meta.url).pathname
const text = /\.(js|css|html|svg|json|txt)$/

let files = 0
for (const entry of readdirSync(dist, { recursive: true, withFileTypes: true })) {
  // index.html carries a nonce per response, so the server reads it plain.
  if (!entry.isFile() || !text.test(entry.name) || entry.name === 'index.html') continue
  const path = join(entry.parentPath ?? entry.path, entry.name)
  const raw = readFileSync(path)
  if (raw.length < 512) continue
  writeFileSync(`${path}.gz`, gzipSync(raw, { level: 9 }))
  const params = { [constants.BROTLI_PARAM_QUALITY]: 11, [constants.BROTLI_PARAM_SIZE_HINT]: raw.length }
  writeFileSync(`${path}.br`, brotliCompressSync(raw, { params }))
  files += 1
}
// The manifest is for scripts/budget.mjs only and must not be served.
rmSync(join(dist, '../node_modules/.pugmark-manifest.json'), { force: true })
renameSync(join(dist, '.vite/manifest.json'), join(dist, '../node_modules/.pugmark-manifest.json'))
rmSync(join(dist, '.vite'), { recursive: true })
console.log(`compressed ${files} files`)
