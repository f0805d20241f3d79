/** What a new rule starts from. */

export function template(id: string, date: string): string {
  return `# What the alert is called. Say what happened, not what was matched.
title: Shell started by a web server
# Stays the same for as long as the rule lives.
id: ${id}
status: experimental
description: A web server that starts a shell is running somebody's commands.
author: You
date: ${date}
# Tactics and techniques of ATT&CK.
tags:
  - attack.persistence
  - attack.t1505.003
# Which logs the rule reads: product, category, service. Leave out what does not matter.
logsource:
  product: linux
  category: process_creation
detection:
  # All lines of a selection must hold; of several values one is enough.
  # Fields as the product names them, or ECS: process.executable, source.ip, user.name.
  selection:
    ParentImage|endswith:
      - /nginx
      - /apache2
    Image|endswith:
      - /sh
      - /bash
  # What is known and allowed.
  filter:
    User: backup
  condition: selection and not filter
falsepositives:
  - A script that the site calls on purpose
# What the person on call looks at and does first. The alert shows it.
next_steps: Look at the requests of that minute, and at what the shell did.
# informational, low, medium, high or critical
level: high
`
}

/** A random UUID. `crypto.randomUUID` is missing where the page came over plain http. */
export function uuid(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16))
  bytes[6] = ((bytes[6] ?? 0) & 0x0f) | 0x40
  bytes[8] = ((bytes[8] ?? 0) & 0x3f) | 0x80
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('')
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-')
}
