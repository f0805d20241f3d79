// House rules that a linter does not know: colours only from tokens, no HTML from text, no other origin.
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

const src = new URL('../src/', import.meta.url).pathname
const rules = [
  { name: 'raw colour (use a token)', files: /\.tsx$/, pattern: /['"`\s[(]#[0-9a-f]{3,8}\b/i },
  { name: 'HTML from text', files: /\.tsx?$/, pattern: /dangerouslySetInnerHTML|\.innerHTML\s*=|insertAdjacentHTML/ },
  { name: 'request to another origin', files: /\.(tsx?|css)$/, pattern: /(fetch|url|import)\(\s*['"]?https?:/ },
]

let found = 0
for (const entry of readdirSync(src, { recursive: true, withFileTypes: true })) {
  if (!entry.isFile() || entry.name.includes('.test.')) continue
  const path = join(entry.parentPath ?? entry.path, entry.name)
  readFileSync(path, 'utf8').split('\n').forEach((line, index) => {
    for (const rule of rules) {
      if (!rule.files.test(entry.name) || !rule.pattern.test(line)) continue
      found += 1
      console.error(`${path}:${index + 1}: ${rule.name}: ${line.trim()}`)
    }
  })
}
if (found > 0) process.exit(1)
