/** Line icons, drawn here so that no icon font or package is loaded. */

const PATHS = {
  home: 'M3 11 12 3l9 8M5 9.500V20h5v-6h4v6h5V9.500',
  bell: 'M6 16V11a6 6 0 1 1 12 0v5l2 2H4zM10 21h4',
  search: 'M10.500 4a6.500 6.500 0 1 0 0 13 6.500 6.500 0 0 0 0-13zM15.500 15.500 21 21',
  rules: 'M4 5h10M4 12h7M4 19h7M15 15l3 3 4-6',
  data: 'M4 6c0-1.700 3.600-3 8-3s8 1.300 8 3-3.600 3-8 3-8-1.300-8-3zM4 6v12c0 1.700 3.600 3 8 3s8-1.300 8-3V6M4 12c0 1.700 3.600 3 8 3s8-1.300 8-3',
  start: 'M12 16V4M7 9l5-5 5 5M4 16v4h16v-4',
  settings: 'M4 7h9M17 7h3M4 17h3M11 17h9M15 4.500v5M9 14.500v5',
  api: 'M8 6 2 12l6 6M16 6l6 6-6 6',
  user: 'M12 4a4 4 0 1 0 0 8 4 4 0 0 0 0-8zM4 21c0-4 3.500-6.500 8-6.500s8 2.500 8 6.500',
  sun: 'M12 8a4 4 0 1 0 0 8 4 4 0 0 0 0-8zM12 2v3M12 19v3M2 12h3M19 12h3M5 5l2 2M17 17l2 2M5 19l2-2M17 7l2-2',
  moon: 'M20 14.500A8 8 0 1 1 9.500 4a6.500 6.500 0 0 0 10.500 10.500z',
  copy: 'M9 9h11v11H9zM5 15H4V4h11v1',
  check: 'M4 12.500 9.500 18 20 6.500',
  close: 'M5 5l14 14M19 5 5 19',
  plus: 'M12 5v14M5 12h14',
  minus: 'M5 12h14',
  columns: 'M4 5h16v14H4zM12 5v14',
  left: 'M15 5l-7 7 7 7',
  right: 'M9 5l7 7-7 7',
  down: 'M5 9l7 7 7-7',
  up: 'M5 15l7-7 7 7',
  clock: 'M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18zM12 7v5l3.500 2',
  play: 'M7 4.500v15L20 12z',
  pause: 'M8 5v14M16 5v14',
  stop: 'M6 6h12v12H6z',
  warn: 'M12 3 2 20h20zM12 10v4.500M12 17.500v.2',
  link: 'M10 14a4 4 0 0 0 6 0l3-3a4 4 0 0 0-6-6l-1 1M14 10a4 4 0 0 0-6 0l-3 3a4 4 0 0 0 6 6l1-1',
  download: 'M12 4v12M7 11l5 5 5-5M4 20h16',
  refresh: 'M20 12a8 8 0 1 1-2.500-5.800M20 3v5h-5',
  menu: 'M4 6h16M4 12h16M4 18h16',
  more: 'M5 12h.2M12 12h.2M19 12h.2',
  table: 'M4 5h16v14H4zM4 10h16M4 15h16M10 5v14',
  chart: 'M5 20V10M12 20V4M19 20v-7',
  shield: 'M12 3 4 6v6c0 4.500 3.500 7.500 8 9 4.500-1.500 8-4.500 8-9V6z',
  key: 'M15 4a5 5 0 1 0 0 10 5 5 0 0 0 0-10zM11.500 12.500 4 20v1h3v-2h2v-2h2l1.500-1.500',
  trash: 'M4 7h16M9 7V4h6v3M6 7l1 13h10l1-13',
  zoomOut: 'M10.500 4a6.500 6.500 0 1 0 0 13 6.500 6.500 0 0 0 0-13zM15.500 15.500 21 21M7.500 10.500h6',
  wrap: 'M4 6h16M4 12h13a3 3 0 0 1 0 6h-4M15 15l-3 3 3 3M4 18h4',
} as const

export type IconName = keyof typeof PATHS

export function Icon({ name, size = 16 }: { name: IconName; size?: number }) {
  return (
    <svg width={size} height={size} viewBox="0 0 24 24" fill="none" stroke="currentColor" strokeWidth={name === 'more' ? 3 : 1.8} strokeLinecap="round" strokeLinejoin="round" aria-hidden="true" className="shrink-0">
      <path d={PATHS[name]} />
    </svg>
  )
}

/** The mark of the product: a paw print. */
export function Logo({ size = 20 }: { size?: number }) {
  return (
    <svg width={size} height={size} viewBox="0 0 24 24" fill="currentColor" aria-hidden="true" className="shrink-0">
      <ellipse cx="5" cy="10" rx="2.300" ry="3" transform="rotate(-20 5 10)" />
      <ellipse cx="9.400" cy="5.600" rx="2.300" ry="3.200" transform="rotate(-6 9.400 5.600)" />
      <ellipse cx="14.600" cy="5.600" rx="2.300" ry="3.200" transform="rotate(6 14.600 5.600)" />
      <ellipse cx="19" cy="10" rx="2.300" ry="3" transform="rotate(20 19 10)" />
      <path d="M12 10.500c3.300 0 6.400 3.600 6.400 6.600 0 2.100-1.500 3.300-3.300 3.300-1.200 0-2-.6-3.100-.6s-1.900.6-3.100.6c-1.800 0-3.300-1.200-3.300-3.300 0-3 3.100-6.600 6.400-6.600z" />
    </svg>
  )
}
