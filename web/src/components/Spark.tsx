/** Bars of one series, small, with words for who cannot see them. */

export function Spark({ values, label, width = 180, height = 24 }: { values: number[]; label: string; width?: number; height?: number }) {
  const max = Math.max(1, ...values)
  const step = width / Math.max(1, values.length)
  const bars = values.map((value, i) => {
    const h = value === 0 ? 0 : Math.max(1.5, (value / max) * (height - 1))
    return h === 0 ? '' : `M${(i * step).toFixed(2)} ${height}v${-h.toFixed(2)}h${Math.max(1, step - 1).toFixed(2)}v${h.toFixed(2)}z`
  })
  return (
    <svg role="img" aria-label={label} width={width} height={height} className="block max-w-full">
      <title>{label}</title>
      <path d={`M0 ${height - 0.5}h${width}`} stroke="var(--line)" />
      <path d={bars.join('')} fill="var(--bar)" />
    </svg>
  )
}
