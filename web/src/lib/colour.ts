/** Colour measures for the token test: WCAG contrast, and OKLab distance under simulated colour-vision deficiency. */

export type Rgb = [number, number, number]
export type Vision = 'normal' | 'protan' | 'deutan' | 'tritan'

/** `#rrggbb` to linear light, 0 to 1. */
export function linear(hex: string): Rgb {
  const n = Number.parseInt(hex.slice(1), 16)
  const channel = (shift: number) => {
    const c = ((n >> shift) & 255) / 255
    return c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4
  }
  return [channel(16), channel(8), channel(0)]
}

/** WCAG 2.2 contrast ratio, 1 to 21. */
export function contrast(a: string, b: string): number {
  const luminance = (hex: string) => {
    const [r, g, bl] = linear(hex)
    return 0.2126 * r + 0.7152 * g + 0.0722 * bl
  }
  const [light, dark] = [luminance(a), luminance(b)].sort((x, y) => y - x) as [number, number]
  return (light + 0.05) / (dark + 0.05)
}

/** Machado, Oliveira and Fernandes 2009, severity 1.0, on linear RGB. */
const SIMULATION: Record<Exclude<Vision, 'normal'>, number[]> = {
  protan: [0.152286, 1.052583, -0.204868, 0.114503, 0.786281, 0.099216, -0.003882, -0.048116, 1.051998],
  deutan: [0.367322, 0.860646, -0.227968, 0.280085, 0.672501, 0.047413, -0.01182, 0.04294, 0.968881],
  tritan: [1.255528, -0.076749, -0.178779, -0.078411, 0.930809, 0.147602, 0.004733, 0.691367, 0.3039],
}

/** OKLab distance times 100 between two colours as that eye sees them. */
export function distance(a: string, b: string, vision: Vision): number {
  const [la, aa, ba] = oklab(see(linear(a), vision))
  const [lb, ab, bb] = oklab(see(linear(b), vision))
  return 100 * Math.hypot(la - lb, aa - ab, ba - bb)
}

function see(rgb: Rgb, vision: Vision): Rgb {
  if (vision === 'normal') return rgb
  const clamp = (value: number) => Math.min(1, Math.max(0, value))
  return multiply(SIMULATION[vision], rgb).map(clamp) as Rgb
}

function oklab(rgb: Rgb): Rgb {
  const lms = multiply(
    [0.4122214708, 0.5363325363, 0.0514459929, 0.2119034982, 0.6806995451, 0.1073969566, 0.0883024619, 0.2817188376, 0.6299787005],
    rgb,
  ).map(Math.cbrt) as Rgb
  return multiply(
    [0.2104542553, 0.793617785, -0.0040720468, 1.9779984951, -2.428592205, 0.4505937099, 0.0259040371, 0.7827717662, -0.808675766],
    lms,
  )
}

function multiply(m: number[], v: Rgb): Rgb {
  const row = (i: number) => (m[i] ?? 0) * v[0] + (m[i + 1] ?? 0) * v[1] + (m[i + 2] ?? 0) * v[2]
  return [row(0), row(3), row(6)]
}
