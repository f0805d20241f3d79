/** All shortcuts on one page. */
import { Dialog } from '@/components/Dialog'
import { Kbd } from '@/components/ui'
import { setPrefs, usePrefs } from '@/lib/prefs'
import { SHORTCUTS } from './nav'

export default function Help({ onClose }: { onClose: () => void }) {
  const { shortcuts } = usePrefs()
  return (
    <Dialog open onClose={onClose} title="Keyboard shortcuts" wide>
      <div className="grid grid-cols-1 gap-x-8 gap-y-4 sm:grid-cols-2">
        {SHORTCUTS.map((group) => (
          <section key={group.group}>
            <h3 className="eyebrow mb-1">{group.group}</h3>
            <dl>
              {group.keys.map(([keys, what]) => (
                <div key={keys} className="flex min-h-7 items-center gap-3">
                  <dt className="flex w-32 shrink-0 flex-wrap gap-1">
                    {keys.split('  ').map((key) => (
                      <Kbd key={key}>{key}</Kbd>
                    ))}
                  </dt>
                  <dd>{what}</dd>
                </div>
              ))}
            </dl>
          </section>
        ))}
      </div>
      <label className="border-line mt-4 flex h-8 items-center gap-2 border-t pt-3">
        <input type="checkbox" checked={shortcuts} onChange={(event) => setPrefs({ shortcuts: event.target.checked })} />
        Single-key shortcuts are on
      </label>
    </Dialog>
  )
}
