/** Numbers with separators and units. */

const grouped = new Intl.NumberFormat('en-US', { maximumFractionDigits: 0 })

export function count(value: number): string {
  return grouped.format(value)
}

/** `12.4 M`: short, for tiles and facets. */
export function short(value: number): string {
  if (value < 10_000) return count(value)
  for (const [size, unit] of [[1e12, 'T'], [1e9, 'G'], [1e6, 'M'], [1e3, 'k']] as const) {
    if (value >= size) return `${(value / size).toFixed(value / size < 100 ? 1 : 0)} ${unit}`
  }
  return count(value)
}

export function bytes(value: number): string {
  for (const [size, unit] of [[1e12, 'TB'], [1e9, 'GB'], [1e6, 'MB'], [1e3, 'kB']] as const) {
    if (value >= size) return `${(value / size).toFixed(value / size < 10 ? 2 : 1)} ${unit}`
  }
  return `${value} B`
}

export function rate(value: number): string {
  return value < 10 ? value.toFixed(1) : short(Math.round(value))
}

export function percent(value: number): string {
  return value > 0 && value < 0.01 ? '<1 %' : `${Math.round(value * 100)} %`
}

export function plural(n: number, one: string, many = `${one}s`): string {
  return `${count(n)} ${n === 1 ? one : many}`
}
