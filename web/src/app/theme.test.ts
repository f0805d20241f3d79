import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { contrast, distance, type Vision } from '@/lib/colour'

const css = readFileSync(new URL('./theme.css', import.meta.url.startsWith('file:') ? import.meta.url : `file://${process.cwd()}/src/app/`), 'utf8')
const tokens = new Map([...css.matchAll(/--([\w-]+): light-dark\((#\w{6}), (#\w{6})\)/g)].map((m) => [m[1] as string, { light: m[2] as string, dark: m[3] as string }]))
const severities = ['critical', 'high', 'medium', 'low', 'info']
const visions: Vision[] = ['normal', 'protan', 'deutan', 'tritan']

function colour(name: string, theme: 'light' | 'dark'): string {
  const token = tokens.get(name)
  if (!token) throw new Error(`no token --${name}`)
  return token[theme]
}

describe.each(['light', 'dark'] as const)('%s tokens', (theme) => {
  it.each(['text', 'muted', 'accent', ...severities])('--%s reads on every ground', (name) => {
    for (const ground of ['bg', 'surface', 'raised', 'accent-soft']) {
      expect(contrast(colour(name, theme), colour(ground, theme)), `on --${ground}`).toBeGreaterThanOrEqual(4.5)
    }
  })

  it('text reads on fills, and control borders are seen', () => {
    expect(contrast(colour('on-accent', theme), colour('accent', theme))).toBeGreaterThanOrEqual(4.5)
    expect(contrast(colour('on-critical', theme), colour('critical-fill', theme))).toBeGreaterThanOrEqual(4.5)
    expect(contrast(colour('line-strong', theme), colour('bg', theme))).toBeGreaterThanOrEqual(3)
  })

  it.each(visions)('severities differ for %s vision', (vision) => {
    for (const [i, a] of severities.entries()) {
      for (const b of severities.slice(i + 1)) {
        expect(distance(colour(a, theme), colour(b, theme), vision), `${a} and ${b}`).toBeGreaterThanOrEqual(8)
      }
    }
  })
})
