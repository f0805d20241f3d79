// A small stand-in for the server, for work on the screens alone: the HTTP contract over data in memory.
// `npm run stub`, then open the printed link. The real checks run against the real server.
import { createServer } from 'node:http'
import { existsSync, readFileSync } from 'node:fs'
import { extname, join, normalize } from 'node:path'
import { randomBytes } from 'node:crypto'
import { gunzipSync } from 'node:zlib'

const PORT = Number(process.env.PORT ?? 7701)
const DIST = new URL('../dist/', import.meta.url).pathname
const SETUP = process.env.PUGMARK_SETUP_LINK ?? 'stub-setup-token'
const EMPTY = process.env.STUB_EMPTY === '1'

// --- data -----------------------------------------------------------------------------------------------------------

let seed = 7
const random = () => ((seed = (seed * 1103515245 + 12345) % 2147483648) / 2147483648)
const pick = (list) => list[Math.floor(random() * list.length)]
const iso = (ms) => new Date(ms).toISOString()
const started = Date.now()
const users = ['ana', 'bruno', 'chidi', 'dana', 'emre', 'fatou', 'root']
const hosts = ['web-1', 'web-2', 'db-1', 'fw-1', 'dc-1']
const inside = ['10.0.4.12', '10.0.4.31', '10.0.4.77']
const outside = ['192.0.2.44', '198.51.100.7', '198.51.100.23', '203.0.113.7']

let nextId = 1
const events = []
function add(time, source, host, original, fields) {
  const event = { '@timestamp': iso(time), 'event.id': String(nextId++), 'event.source': source, 'host.name': host, 'event.severity': 1, ...fields, 'event.original': original, 'event.ingested': iso(time + 120) }
  if (!('message' in event)) event.message = original
  for (const key of Object.keys(event)) if (event[key] === undefined) delete event[key]
  events.push(event)
  return event
}
function ordinary(time) {
  const kind = random()
  const user = pick(users)
  if (kind < 0.5) {
    const [status, ip, path] = [pick([200, 200, 200, 200, 304, 404, 500]), pick(outside.slice(0, 3)), pick(['/', '/cart', '/product/1842', '/api/stock', '/login', '/static/app.css'])]
    const bytes = Math.floor(random() * 40_000)
    return add(time, 'shop-nginx', pick(['web-1', 'web-2']), `${ip} - - [${iso(time)}] "GET ${path} HTTP/1.1" ${status} ${bytes} "-" "Mozilla/5.0"`, {
      'source.ip': ip, 'http.request.method': 'GET', 'url.path': path, 'http.response.status_code': status, 'http.response.body.bytes': bytes,
      'event.severity': status >= 500 ? 4 : status >= 400 ? 2 : 1, 'event.category': 'web', 'logsource.category': 'webserver',
    })
  }
  if (kind < 0.65) {
    const text = `Accepted publickey for ${user} from ${pick(inside)} port ${50_000 + Math.floor(random() * 9_000)} ssh2`
    return add(time, 'auth', pick(hosts.slice(0, 3)), `${iso(time)} web-1 sshd[${Math.floor(random() * 9000)}]: ${text}`, { message: text, 'user.name': user, 'source.ip': pick(inside), 'event.action': 'ssh_login', 'event.outcome': 'success', 'process.name': 'sshd', 'logsource.service': 'sshd', 'logsource.product': 'linux' })
  }
  if (kind < 0.8) {
    const name = pick(['api.example.com', 'cdn.example.net', 'update.example.org', 'mail.example.com'])
    return add(time, 'dns', 'dc-1', `${iso(time)} query[A] ${name} from ${pick(inside)}`, { 'dns.question.name': name, 'dns.question.type': 'A', 'source.ip': pick(inside), 'network.transport': 'udp' })
  }
  if (kind < 0.93) {
    const [src, dst, port] = [pick(inside), pick(outside), pick([443, 443, 443, 80, 53, 22])]
    const action = random() < 0.9 ? 'allow' : 'deny'
    return add(time, 'firewall', 'fw-1', `action=${action} src=${src} dst=${dst} dport=${port} proto=tcp bytes=${Math.floor(random() * 90_000)}`, { 'source.ip': src, 'destination.ip': dst, 'destination.port': port, 'event.action': action, 'event.severity': action === 'deny' ? 3 : 1, 'network.transport': 'tcp' })
  }
  return add(time, 'windows', 'dc-1', JSON.stringify({ EventID: 4624, TargetUserName: user, LogonType: 3 }), { message: 'An account was successfully logged on.', 'event.code': '4624', 'user.target.name': user, 'winlog.logon.type': 3, 'event.provider': 'Microsoft-Windows-Security-Auditing', 'winlog.channel': 'Security', 'logsource.product': 'windows' })
}
function failed(time, user) {
  const text = `Failed password for ${user} from 203.0.113.7 port ${40_000 + Math.floor(random() * 9_000)} ssh2`
  return add(time, 'auth', 'web-1', `${iso(time)} web-1 sshd[4242]: ${text}`, { message: text, 'user.name': user, 'source.ip': '203.0.113.7', 'event.action': 'ssh_login', 'event.outcome': 'failure', 'event.severity': 3, 'process.name': 'sshd', 'logsource.service': 'sshd', 'logsource.product': 'linux' })
}

const story = {}
if (!EMPTY) {
  const day = 86_400_000
  const plan = []
  for (let i = 0; i < 14_000; i += 1) {
    const t = random()
    plan.push([started - day * t * (0.4 + 0.6 * random()), 'ordinary'])
  }
  const attack = started - 3 * 3_600_000
  for (let i = 0; i < 214; i += 1) plan.push([attack + i * 1_100, 'failed'])
  plan.push([attack + 240_000, 'success'], [attack + 300_000, 'sudo'], [attack + 360_000, 'key'], [attack + 900_000, 'dump'], [attack - 900_000, 'hostile'])
  for (let i = 0; i < 38; i += 1) plan.push([attack - 600_000 + i * 4_000, 'sqli'])
  plan.sort((a, b) => a[0] - b[0])
  for (const [time, kind] of plan) {
    if (kind === 'ordinary') ordinary(time)
    else if (kind === 'failed') (story.failed ??= []).push(failed(time, pick(['root', 'admin', 'ana', 'oracle'])))
    else (story[kind] ??= []).push(special(kind, time))
  }
}
function special(kind, time) {
  const at = iso(time)
  if (kind === 'success') return add(time, 'auth', 'web-1', `${at} web-1 sshd[4242]: Accepted password for ana from 203.0.113.7 port 50122 ssh2`, { message: 'Accepted password for ana from 203.0.113.7 port 50122 ssh2', 'user.name': 'ana', 'source.ip': '203.0.113.7', 'event.outcome': 'success', 'event.severity': 4, 'process.name': 'sshd' })
  if (kind === 'sudo') return add(time, 'auth', 'web-1', `${at} web-1 sudo: ana : TTY=pts/0 ; USER=root ; COMMAND=/bin/bash`, { 'user.name': 'ana', 'user.target.name': 'root', 'process.name': 'sudo', 'process.command_line': '/bin/bash', 'event.severity': 4 })
  if (kind === 'key') return add(time, 'auditd', 'web-1', `type=PATH msg=audit(${time}): name="/root/.ssh/authorized_keys" nametype=NORMAL`, { 'file.path': '/root/.ssh/authorized_keys', 'user.name': 'root', 'event.severity': 5 })
  if (kind === 'dump') return add(time, 'firewall', 'fw-1', 'action=allow src=10.0.4.77 dst=203.0.113.7 dport=443 proto=tcp bytes=4831838208', { 'source.ip': '10.0.4.77', 'destination.ip': '203.0.113.7', 'destination.port': 443, 'source.bytes': 4831838208, 'event.severity': 5 })
  if (kind === 'hostile') {
    const text = '<script>window.pwned=1</script><img src=x onerror="window.pwned=1"> \u001b[31mred\u001b[0m \u202Egpj.exe\u202C \u0007 =cmd|\' /C calc\'!A0'
    return add(time, 'shop-nginx', 'web-2', text, { message: text, 'user_agent.original': text, 'user.name': '=1+1', 'source.ip': '198.51.100.23', 'event.severity': 2, 'x-<b>key</b>\u202E': 'v' })
  }
  const path = `/search?q=1%27%20UNION%20SELECT%20card,cvv%20FROM%20payments--%20${Math.floor(random() * 99)}`
  return add(time, 'shop-nginx', 'web-1', `198.51.100.23 - - [${at}] "GET ${path} HTTP/1.1" 200 812 "-" "sqlmap/1.8"`, { 'source.ip': '198.51.100.23', 'url.original': path, 'url.path': '/search', 'http.response.status_code': 200, 'user_agent.original': 'sqlmap/1.8', 'event.severity': 4 })
}

const rules = [
  ['ssh-brute-force', 'Many failed SSH logins from one address', 'high', 'correlation', ['attack.credential-access', 'attack.t1110.001'], 'linux', null, 'sshd', 'Counts failed SSH logins of one address within five minutes.'],
  ['ssh-success-after-failures', 'SSH login after many failures', 'critical', 'correlation', ['attack.initial-access', 'attack.t1078'], 'linux', null, 'sshd', 'An address that failed many times logs in: a guessed password.'],
  ['sqli-access-log', 'SQL injection in a web request', 'high', 'event', ['attack.initial-access', 'attack.t1190'], null, 'webserver', null, 'Keywords of SQL injection in the query of a request.'],
  ['authorized-keys-changed', 'authorized_keys of root changed', 'critical', 'event', ['attack.persistence', 'attack.t1098.004'], 'linux', null, 'auditd', 'A key was added for root.'],
  ['sudo-shell', 'Shell as root by sudo', 'medium', 'event', ['attack.privilege-escalation', 'attack.t1548.003'], 'linux', null, 'sudo', 'An interactive shell was started as root.'],
  ['large-upload', 'Large upload to one address', 'high', 'event', ['attack.exfiltration', 'attack.t1048'], null, 'firewall', null, 'More than 1 GB left the network in one connection.'],
  ['port-scan', 'Many ports of one host tried', 'low', 'correlation', ['attack.discovery', 'attack.t1046'], null, 'firewall', null, 'One address tries many ports.'],
  ['script-in-agent', 'Markup in a user agent', 'informational', 'event', ['attack.initial-access', 'attack.t1190'], null, 'webserver', null, 'Markup or control characters in a header.'],
  ['win-log-cleared', 'Windows event log cleared', 'critical', 'event', ['attack.defense-evasion', 'attack.t1070.001'], 'windows', null, 'security', 'The security log was cleared.'],
  ['lsass-access', 'Access to LSASS memory', 'high', 'event', ['attack.credential-access', 'attack.t1003.001'], 'windows', 'process_access', null, 'A process opened LSASS for reading.'],
  ['new-local-account', 'New local account', 'medium', 'event', ['attack.persistence', 'attack.t1136.001'], 'windows', null, 'security', 'A local account was made.'],
].map(([id, title, level, kind, tags, product, category, service, description]) => ({ id, title, level, kind, tags, description, logsource: { product, category, service }, alerts: 0, references: [`https://attack.mitre.org/techniques/${(tags[1] ?? '').slice(7).toUpperCase().replace('.', '/')}/`, 'javascript:alert(1)'], falsepositives: ['A scanner that you run yourself', 'A job with an old password'], next_steps: 'Look at the logins of that minute.', author: 'Ines Example', license: 'DRL 1.1', exceptions: [{ id: 'e1', title: 'The backup host', reason: 'It logs in each night', owner: 'ines', expires: '2027-06-30' }] }))
const yaml = (rule) => `title: ${rule.title}\nid: ${rule.id}\nlevel: ${rule.level}\ndescription: ${rule.description}\ntags:\n${rule.tags.map((tag) => `  - ${tag}`).join('\n')}\nlogsource:\n${Object.entries(rule.logsource).filter(([, v]) => v).map(([k, v]) => `  ${k}: ${v}`).join('\n')}\ndetection:\n  selection:\n    message|contains: 'Failed password'\n  condition: selection\n`
for (const [i, rule] of rules.entries()) Object.assign(rule, { origin: rule.id === 'large-upload' ? 'folder' : rule.id === 'sudo-shell' ? 'product' : 'builtin', version: `9f2c${(i * 7919 + 4096).toString(16)}`, off: null, next_steps: 'Look at what the address or user did in the minutes around it.', source: yaml(rule) })
rules.find((rule) => rule.id === 'port-scan').off = { reason: 'The scanner of the audit runs until Friday', actor: 'ines', since: iso(started - 26 * 36e5) }
let throttled = EMPTY ? [] : [{ rule: 'ssh-brute-force', title: 'Many failed SSH logins from one address', core_percent: 34, events_behind: 120_400 }]
const problems = EMPTY ? [] : [
  { path: 'my-rules/legacy/proxy.yaml', line: 1, rule: null, message: 'collections with `action` are obsolete', hint: 'write each document in full' },
  { path: 'my-rules/vpn.yaml', line: 12, rule: 'vpn-new-country', message: 'the placeholder `office_networks` has no values', hint: 'write its values into placeholders.yaml beside the rule' },
  { path: 'product/old-rule.yaml', line: 1, rule: 'old-rule', message: 'not YAML: mapping values are not allowed in this context at line 7 column 22 <b>\u202E', hint: '' },
]
/** What a rule written here stands in for. */
const originals = new Map()

const alerts = []
function makeAlert(ruleId, entity, summary, list, why, count = list.length) {
  const rule = rules.find((each) => each.id === ruleId)
  rule.alerts += 1
  const alert = {
    id: `a${alerts.length + 1}`, rule: { id: rule.id, title: rule.title, level: rule.level, description: rule.description, falsepositives: rule.falsepositives, next_steps: rule.next_steps, author: rule.author, license: rule.license, references: rule.references, tags: rule.tags },
    severity: rule.level, status: 'open', verdict: null, note: '', entity, summary, count, first_seen: list[0]['@timestamp'], last_seen: list.at(-1)['@timestamp'],
    attack: { tactics: [rule.tags[0].slice(7)], techniques: [rule.tags[1].slice(7).toUpperCase()] }, evidence: list.slice(0, 100).map((event) => event['event.id']), why,
  }
  alerts.push(alert)
  return alert
}
const why = (field, value, test) => ({ selection: 'selection', field, value, test })
if (!EMPTY) {
  makeAlert('ssh-brute-force', { kind: 'address', value: '203.0.113.7' }, '214 detections for 203.0.113.7 in 4 min', story.failed, [why('message', story.failed[0].message, "contains 'Failed password'"), why('process.name', 'sshd', "is 'sshd'")])
  makeAlert('ssh-success-after-failures', { kind: 'address', value: '203.0.113.7' }, '214 failed logins, then 1 success for ana from 203.0.113.7', [...story.failed.slice(-40), ...story.success], [why('event.outcome', 'success', "is 'success' after 214 of 'failure'")])
  makeAlert('sqli-access-log', { kind: 'address', value: '198.51.100.23' }, '38 detections for 198.51.100.23 in 2 min', story.sqli, [why('url.original', story.sqli[0]['url.original'], "contains 'UNION%20SELECT'")])
  makeAlert('authorized-keys-changed', { kind: 'host', value: 'web-1' }, '1 detection on web-1', story.key, [why('file.path', '/root/.ssh/authorized_keys', "ends with '/.ssh/authorized_keys'")])
  makeAlert('sudo-shell', { kind: 'user', value: 'ana' }, '1 detection for ana on web-1', story.sudo, [why('process.command_line', '/bin/bash', "ends with '/bash'")])
  makeAlert('large-upload', { kind: 'address', value: '10.0.4.77' }, '1 detection for 10.0.4.77, 4.8 GB to 203.0.113.7', story.dump, [why('source.bytes', 4831838208, 'is at least 1000000000')])
  makeAlert('script-in-agent', { kind: 'user', value: '<img src=x onerror=alert(1)>\u202Etxt' }, '1 detection with \u001b[31mcolour\u001b[0m and <b>markup</b>', story.hostile, [why('user_agent.original', story.hostile[0]['user_agent.original'], "contains '<script>'")])
  for (let i = 0; i < 24; i += 1) {
    const event = pick(events)
    makeAlert(pick(['port-scan', 'new-local-account', 'lsass-access', 'sudo-shell']), pick([{ kind: 'host', value: pick(hosts) }, { kind: 'user', value: pick(users) }, { kind: 'process', value: 'C:\\Windows\\System32\\rundll32.exe' }]), 'A few detections in 10 min', [event], [why('event.action', 'x', "is 'x'")], 1 + Math.floor(random() * 60))
  }
}
const tokens = []

// --- a little of the query language -----------------------------------------------------------------------------------

function lex(text) {
  const out = []
  const pattern = /\s*(?:("(?:[^"\\]|\\.)*"(?!:))|([()|])|([@\w.-]+|"(?:[^"\\]|\\.)*"(?=:))\s*:(>=|<=|>|<)?("(?:[^"\\]|\\.)*"|[^\s()|]+)|([^\s()|]+))/gy
  while (pattern.lastIndex < text.length) {
    if (/^\s*$/.test(text.slice(pattern.lastIndex))) break
    const at = pattern.lastIndex
    const m = pattern.exec(text)
    if (!m) throw problem('Cannot read the query here', at, text.length)
    if (m[1]) out.push({ kind: 'text', value: unquote(m[1]) })
    else if (m[2]) out.push({ kind: m[2], at })
    else if (m[3]) out.push({ kind: 'field', field: unquote(m[3]), op: m[4] ?? ':', value: unquote(m[5]), quoted: m[5][0] === '"' })
    else if (/^(and|or|not)$/i.test(m[6])) out.push({ kind: m[6].toLowerCase() })
    else out.push({ kind: 'text', value: m[6] })
  }
  return out
}
const unquote = (text) => (text[0] === '"' ? text.slice(1, -1).replace(/\\(.)/g, '$1') : text)
const problem = (message, from, to) => ({ status: 400, code: 'bad_query', message, hint: 'Change the marked part.', from, to })

function compile(text) {
  const pipe = text.replace(/"(?:[^"\\]|\\.)*"/g, (m) => '"'.repeat(m.length)).indexOf('|')
  const head = pipe < 0 ? text : text.slice(0, pipe)
  const list = lex(head)
  let i = 0
  const or = () => { let left = and(); while (list[i]?.kind === 'or') { i += 1; const [a, b] = [left, and()]; left = (e) => a(e) || b(e) } return left }
  const and = () => { let left = not(); while (i < list.length && list[i].kind !== 'or' && list[i].kind !== ')') { if (list[i].kind === 'and') i += 1; const [a, b] = [left, not()]; left = (e) => a(e) && b(e) } return left }
  const not = () => { if (list[i]?.kind === 'not') { i += 1; const a = not(); return (e) => !a(e) } return atom() }
  const atom = () => {
    const token = list[i++]
    if (!token) throw problem('The query ends too early', head.length, head.length)
    if (token.kind === '(') { const inner = or(); if (list[i]?.kind !== ')') throw problem('This bracket is not closed', token.at, token.at + 1); i += 1; return inner }
    if (token.kind === 'text') { if (token.value === '*') return () => true; const needle = token.value.toLowerCase(); return (e) => String(e['event.original']).toLowerCase().includes(needle) }
    if (token.kind !== 'field') throw problem('A word or field was expected', token.at ?? 0, (token.at ?? 0) + 1)
    const { field, op, value, quoted } = token
    if (op !== ':') return (e) => ({ '>': e[field] > +value, '<': e[field] < +value, '>=': e[field] >= +value, '<=': e[field] <= +value })[op]
    if (value === '*' && !quoted) return (e) => e[field] !== undefined
    if (value.includes('*') && !quoted) { const re = new RegExp(`^${value.split('*').map((s) => s.replace(/[.+?^${}()|[\]\\]/g, '\\$&')).join('.*')}$`, 'i'); return (e) => re.test(String(e[field] ?? '')) }
    return (e) => String(e[field] ?? '').toLowerCase() === value.toLowerCase()
  }
  const test = list.length === 0 ? () => true : or()
  if (i < list.length) throw problem('This closing bracket has no partner', list[i].at ?? 0, (list[i].at ?? 0) + 1)
  return { test, stages: pipe < 0 ? [] : text.slice(pipe + 1).split('|').map((each) => each.trim()) }
}
const time = (text, none) => {
  if (text === null || text === undefined || text === '') return none
  const m = /^now(?:-(\d+)([smhdw]))?(?:\/d)?$/.exec(text)
  const ms = m ? Date.now() - (m[1] ? +m[1] * { s: 1e3, m: 6e4, h: 36e5, d: 864e5, w: 6048e5 }[m[2]] : 0) : Date.parse(text)
  if (m && text.endsWith('/d')) return Math.floor(ms / 864e5) * 864e5
  return ms
}
function matching({ query = '', from, to }) {
  const { test, stages } = compile(query)
  const [a, b] = [time(from, -Infinity), time(to, Infinity)]
  return { stages, found: events.filter((event) => { const t = Date.parse(event['@timestamp']); return t >= a && t < b && test(event) }) }
}
function table(found, stages) {
  let [rows, columns] = [null, []]
  for (const stage of stages) {
    const stats = /^(stats|timechart)\s+(?:span=(\w+)\s+)?(count|dc|sum|avg|max)\(([\w.@]*)\)(?:\s+by\s+(.+))?$/.exec(stage)
    if (stats) {
      const by = (stats[5] ?? '').split(/[\s,]+/).filter(Boolean)
      const name = `${stats[3]}(${stats[4]})`
      const groups = new Map()
      for (const event of found) {
        const key = by.map((field) => event[field] ?? null)
        if (stats[1] === 'timechart') key.unshift(iso(Math.floor(Date.parse(event['@timestamp']) / 36e5) * 36e5))
        const id = JSON.stringify(key)
        groups.set(id, [...(groups.get(id) ?? []), event])
      }
      columns = [...(stats[1] === 'timechart' ? ['@timestamp'] : []), ...by, name]
      rows = [...groups].map(([id, list]) => { const key = JSON.parse(id); return Object.fromEntries(columns.map((column, i) => [column, i < key.length ? key[i] : stats[3] === 'dc' ? new Set(list.map((e) => e[stats[4]])).size : stats[3] === 'count' ? list.length : list.reduce((s, e) => s + (+e[stats[4]] || 0), 0)])) })
      if (stats[1] === 'timechart') rows.sort((a, b) => (a['@timestamp'] < b['@timestamp'] ? -1 : 1))
      continue
    }
    const sort = /^sort\s+(-?)([\w().@]+)$/.exec(stage)
    if (sort && rows) { rows.sort((a, b) => (a[sort[2]] > b[sort[2]] ? 1 : -1) * (sort[1] ? -1 : 1)); continue }
    const head = /^head\s+(\d+)$/.exec(stage)
    if (head) { if (rows) rows = rows.slice(0, +head[1]); else found = found.slice(-head[1]); continue }
    const fields = /^fields\s+(.+)$/.exec(stage)
    if (fields) { columns = fields[1].split(/[\s,]+/); rows = [...(rows ?? found.toReversed())].map((row) => Object.fromEntries(columns.map((c) => [c, row[c] ?? null]))); continue }
    throw problem(`Unknown command ${stage.split(' ')[0]}`, 0, 1)
  }
  return { rows, columns, found }
}

// --- answers ------------------------------------------------------------------------------------------------------------

const sessions = new Set()
let account = null
const streams = new Set()

function status() {
  const open = Object.fromEntries(['critical', 'high', 'medium', 'low', 'informational'].map((level) => [level, alerts.filter((a) => a.status === 'open' && a.severity === level).length]))
  const raw = events.reduce((sum, event) => sum + event['event.original'].length, 0)
  return { version: '0.1.0', started: iso(started), uptime_seconds: Math.round((Date.now() - started) / 1000), events: events.length, events_per_second: EMPTY ? 0 : 18.4, raw_bytes: raw * 1000, disk_bytes: Math.round(raw * 62), wal_bytes: 1_482_000, segments: 41, rules: rules.length, detections: 312, not_understood: 3, forgotten: EMPTY ? [] : [{ rule: 'port-scan', title: 'Many ports of one host tried', keys: 18_204 }], throttled, open_alerts: open, sources: sources().length, listen: { http: `127.0.0.1:${PORT}`, syslog_udp: '127.0.0.1:5514', syslog_tcp: '127.0.0.1:5514' }, taking_logs: true, problem: null }
}
function sources() {
  const names = [...new Set(events.map((event) => event['event.source']))]
  const now = Math.floor(Date.now() / 60_000) * 60_000
  return names.map((name) => {
    const own = events.filter((event) => event['event.source'] === name)
    const per = new Map()
    for (const event of own) { const at = Math.floor(Date.parse(event['@timestamp']) / 60_000) * 60_000; per.set(at, (per.get(at) ?? 0) + 1) }
    const quarantined = name === 'firewall' ? 3 : 0
    return { name, received: own.length + quarantined, stored: own.length, folded: 0, quarantined, shed: 0, raw_bytes: own.length * 180_000, last_received: own.at(-1)['@timestamp'], health: name === 'firewall' ? 'broken' : 'healthy', understood: 0.998, per_minute: Array.from({ length: 60 }, (_, i) => ({ time: iso(now - (59 - i) * 60_000), count: per.get(now - (59 - i) * 60_000) ?? 0 })) }
  })
}
function sourceHealth(name) {
  const own = events.filter((event) => event['event.source'] === name)
  if (own.length === 0) return null
  const names = [...new Set(own.slice(-200).flatMap((event) => Object.keys(event)))].filter((field) => !field.startsWith('event.') && field !== '@timestamp')
  const share = (field) => own.filter((event) => field in event).length / own.length
  const broken = name === 'firewall'
  const fields = names.map((field) => ({ name: field, kind: typeof own.find((event) => field in event)[field] === 'number' ? 'number' : 'text', share: share(field), newest: share(field), vanished: false, changed_to: null }))
  if (broken) Object.assign(fields[0], { vanished: true, newest: 0 })
  const stream = { program: '', reader: 'keyvalue', pack: false, kind: '', health: broken ? 'broken' : 'healthy', events: own.length, fields }
  return { name, health: stream.health, events: own.length, beyond: 0, last_event: own.at(-1)['@timestamp'], understood: 0.998, readers: [{ name: 'keyvalue', pack: false, share: 0.998 }, { name: '', pack: false, share: 0.002 }], issues: [{ issue: 'not_understood', share: 0.002 }], streams: [stream], errors: [{ template: 'link <*> down', example: 'link 7 down', count: 3 }], new_kinds: [{ template: 'admin <user> logged in', example: 'admin bob logged in', event: own.at(-1)['event.id'], time: own.at(-1)['@timestamp'] }], settled: true, breaks: broken ? [{ what: 'vanished', text: `100 % of the events had ${fields[0].name}, now none has`, program: '', reader: 'keyvalue', kind: '', events: [own[0]['event.id'], own.at(-1)['event.id']] }] : [], clock: clockOf(name) }
}
const clocks = new Map()
function clockOf(name) {
  const corrections = clocks.get(name) ?? []
  const wrong = name === 'firewall'
  return { estimate: { cause: wrong ? 'zone' : 'none', correction_seconds: wrong ? -7200 : 0, confidence: 0.97, delay_seconds: wrong ? -7198.6 : 1.4 }, correction_seconds: corrections[0]?.seconds ?? 0, corrections }
}
function correctClock(name, seconds, reason) {
  clocks.set(name, [{ since: iso(Date.now() + 2000), seconds, actor: 'ann', reason }, ...(clocks.get(name) ?? [])])
}
function ledger() {
  const list = sources().map((s) => ({ source: s.name, received: s.received, stored: s.stored, sampled: 0, folded: s.folded, quarantined: s.quarantined, shed: s.shed, expired: 0, balanced: true }))
  const total = { balanced: true }
  for (const key of ['received', 'stored', 'sampled', 'folded', 'quarantined', 'shed', 'expired']) total[key] = list.reduce((sum, each) => sum + each[key], 0)
  return { balanced: true, sources: list, total, reasons: [] }
}
function histogram(body) {
  const { found } = matching({ ...body, query: body.query.split('|')[0] })
  const to = time(body.to, Date.now())
  const from = time(body.from, Date.parse(found[0]?.['@timestamp'] ?? iso(to - 36e5)))
  const width = Math.max(1, Math.ceil((to - from) / body.buckets))
  const buckets = Array.from({ length: body.buckets }, (_, i) => ({ time: iso(from + i * width), count: 0, by: {} }))
  for (const event of found) {
    const bucket = buckets[Math.min(buckets.length - 1, Math.floor((Date.parse(event['@timestamp']) - from) / width))]
    if (!bucket) continue
    bucket.count += 1
    const key = String(event[body.by] ?? '')
    bucket.by[key] = (bucket.by[key] ?? 0) + 1
  }
  return { from: iso(from), to: iso(to), bucket_ms: width, count: found.length, complete_from: iso(from), buckets }
}
/** The answer as events of a stream; the chart grows from the newest time on. */
function* searchEvents({ limit = 1000, ...body }, { rows, columns, found }) {
  yield ['kind', { kind: rows ? 'table' : 'events', columns }]
  const all = rows ?? found.toReversed().filter((event) => !body.cursor || +event['event.id'] < +body.cursor)
  const page = all.slice(0, limit)
  for (let i = 0; i < page.length; i += 100) yield ['rows', page.slice(i, i + 100)]
  if (body.histogram) {
    const whole = histogram({ ...body, ...body.histogram })
    for (const parts of [16, 8, 4, 2, 1]) {
      const keep = Math.ceil(whole.buckets.length / parts)
      const buckets = whole.buckets.map((bucket, i) => (i >= whole.buckets.length - keep ? bucket : { ...bucket, count: 0, by: {} }))
      yield ['progress', { events: events.length, events_done: Math.round(events.length / parts) }]
      yield ['histogram', { ...whole, buckets, count: buckets.reduce((sum, each) => sum + each.count, 0), complete_from: buckets.at(-keep).time }]
    }
  }
  const exhausted = all.length === page.length
  yield ['end', { rows: page.length, exhausted, cursor: exhausted || rows ? null : page.at(-1)['event.id'] }]
}
async function sendEvents(response, answer) {
  response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-cache' })
  for (const [name, data] of answer) {
    if (name === 'histogram') await new Promise((resolve) => setTimeout(resolve, 40))
    response.write(`event: ${name}\ndata: ${JSON.stringify(data)}\n\n`)
  }
  response.end()
}
function facets(body) {
  const { found } = matching({ ...body, query: body.query.split('|')[0] })
  const sample = found.slice(-20_000)
  const fields = new Map()
  for (const event of sample) for (const [name, value] of Object.entries(event)) { const map = fields.get(name) ?? fields.set(name, new Map()).get(name); map.set(value, (map.get(value) ?? 0) + 1) }
  const kind = (name) => (name.endsWith('.ip') ? 'ip' : /timestamp|ingested/.test(name) ? 'time' : /severity|status_code|bytes|port|type$/.test(name) ? 'long' : 'text')
  const list = [...fields].map(([name, map]) => ({ name, kind: kind(name), coverage: [...map.values()].reduce((a, b) => a + b, 0) / sample.length, distinct: map.size, values: [...map].sort((a, b) => b[1] - a[1]).slice(0, body.limit ?? 8).map(([value, count]) => ({ value, count })) }))
  return { rows: sample.length, sampled: found.length > sample.length, fields: list.sort((a, b) => b.coverage - a.coverage) }
}
function parse({ query }) {
  try {
    const { stages } = compile(query)
    const unknown = stages.find((stage) => !/^(stats|timechart|sort|head|fields)\b/.test(stage))
    if (unknown !== undefined) { const at = query.indexOf(unknown, query.indexOf('|')); const word = unknown.split(' ')[0]; return { ok: false, kind: 'events', diagnostics: [{ from: at, to: at + word.length, severity: 'error', message: `There is no command "${word}".`, fix: word.startsWith('sta') ? 'did you mean `stats`?' : 'known are stats, timechart, sort, head, fields' }] } }
    return { ok: true, kind: stages.length ? 'table' : 'events', diagnostics: [] }
  } catch (e) {
    return { ok: false, kind: 'events', diagnostics: [{ from: e.from ?? 0, to: e.to ?? query.length, severity: 'error', message: `${e.message}.`, fix: null }] }
  }
}
function complete({ query, pos }) {
  const before = query.slice(0, pos)
  const value = /([@\w.]+):([\w.-]*)$/.exec(before)
  if (value) {
    const counts = new Map()
    for (const event of events) if (event[value[1]] !== undefined) counts.set(event[value[1]], (counts.get(event[value[1]]) ?? 0) + 1)
    return { from: pos - value[2].length, to: pos, items: [...counts].filter(([v]) => String(v).startsWith(value[2])).sort((a, b) => b[1] - a[1]).slice(0, 12).map(([v, n]) => ({ label: String(v), kind: 'value', detail: `${n} events` })) }
  }
  const word = /[@\w.]*$/.exec(before)[0]
  const commands = /\|\s*\w*$/.test(before)
  const names = commands ? ['stats', 'timechart', 'sort', 'head', 'fields'] : [...new Set(events.slice(-3000).flatMap(Object.keys))]
  return { from: pos - word.length, to: pos, items: names.filter((name) => name.includes(word)).slice(0, 20).map((label) => ({ label, kind: commands ? 'command' : 'field', detail: commands ? 'command' : 'text' })) }
}
function ingest(source, text) {
  const lines = text.trim().startsWith('[') ? JSON.parse(text).map((each) => JSON.stringify(each)) : text.split('\n').filter(Boolean)
  const added = lines.map((line) => {
    let fields = {}
    try { const value = JSON.parse(line); if (typeof value === 'object') fields = value } catch { /* plain line */ }
    return add(Date.now(), source, fields['host.name'] ?? 'unknown', line, fields)
  })
  tell(added)
  return { received: lines.length, stored: lines.length, folded: 0, quarantined: 0, shed: 0 }
}
function tell(added) {
  for (const stream of streams) for (const [id, test] of stream.tails) { const list = added.filter(test); if (list.length) stream.write(`event: events\ndata: ${JSON.stringify({ id, events: list })}\n\n`) }
}
const tellAll = (name, data) => { for (const stream of streams) stream.write(`event: ${name}\ndata: ${JSON.stringify(data)}\n\n`) }
if (!EMPTY) setInterval(() => tell(Array.from({ length: 1 + Math.floor(random() * 3) }, () => ordinary(Date.now()))), 300).unref()
setInterval(() => tellAll('status', status()), 2_000).unref()

const openapi = { openapi: '3.1.0', info: { title: 'Pugmark', version: '0.1.0' }, components: { schemas: { Search: { type: 'object', required: ['query'], properties: { query: { type: 'string' }, from: { type: ['string', 'null'] }, to: { type: ['string', 'null'] }, limit: { type: 'integer' } } } } }, paths: { '/api/v1/search': { post: { tags: ['questions'], summary: 'Search events', description: 'Answers a stream of events, newest first.', requestBody: { content: { 'application/json': { schema: { $ref: '#/components/schemas/Search' } } } }, responses: { 200: { description: 'One event or row a line' }, 400: { description: 'The query cannot be read' } } } }, '/api/v1/alerts': { get: { tags: ['alerts'], summary: 'List alerts', parameters: [{ name: 'status', in: 'query', schema: { enum: ['open', 'closed'] }, description: 'Only these' }, { name: 'limit', in: 'query', schema: { type: 'integer' } }], responses: { 200: { description: 'Newest first' } } } } } }

// --- HTTP ---------------------------------------------------------------------------------------------------------------

const types = { '.js': 'text/javascript', '.css': 'text/css', '.svg': 'image/svg+xml', '.woff2': 'font/woff2', '.html': 'text/html' }

createServer((request, response) => {
  const chunks = []
  request.on('data', (chunk) => chunks.push(chunk))
  request.on('end', () => {
    try {
      handle(request, response, Buffer.concat(chunks))
    } catch (error) {
      if (!error.status) console.error(request.url, error)
      if (response.headersSent) response.destroy()
      else fail(response, error.status ?? 500, error)
    }
  })
}).listen(PORT, '127.0.0.1', () => console.log(`stub on http://127.0.0.1:${PORT}/setup#token=${SETUP}`))

function fail(response, status, { code = 'stub', message = 'failed', hint = 'Look again.', from, to }) {
  json(response, { error: { code, message, hint, from, to } }, status)
}
function json(response, body, status = 200) {
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body))
}

function handle(request, response, bytes) {
  const url = new URL(request.url, 'http://x')
  if (!url.pathname.startsWith('/api/')) return file(url.pathname, response)
  const path = url.pathname.replace('/api/v1', '')
  const cookie = /pugmark_session=(\w+)/.exec(request.headers.cookie ?? '')?.[1]
  const bearer = /^Bearer (.+)$/.exec(request.headers.authorization ?? '')?.[1]
  const user = sessions.has(cookie) ? account.user : null
  const raw = request.headers['content-encoding'] === 'gzip' ? gunzipSync(bytes) : bytes
  const body = request.headers['content-type'] === 'text/csv' || path.startsWith('/ingest') || raw.length === 0 ? {} : JSON.parse(raw.toString())
  if (path === '/auth/state') return json(response, { setup_needed: account === null, user })
  if (path === '/auth/setup' || path === '/auth/login') {
    if (path === '/auth/setup' && (account !== null || body.token !== SETUP)) return fail(response, 403, { code: 'bad_token', message: 'This set-up link is not valid', hint: 'Use the link from the newest start.' })
    if (path === '/auth/setup') account = { user: body.user, password: body.password }
    if (account === null || body.user !== account.user || body.password !== account.password) return fail(response, 401, { code: 'bad_login', message: 'User or password is wrong' })
    const id = randomBytes(16).toString('hex')
    sessions.add(id)
    return response.writeHead(204, { 'set-cookie': `pugmark_session=${id}; HttpOnly; SameSite=Strict; Path=/` }).end()
  }
  if (user === null && !tokens.some((token) => token.secret === bearer)) return fail(response, 401, { code: 'unauthorized', message: 'Sign in first' })
  if (cookie && !bearer && request.method !== 'GET' && request.headers['x-pugmark-request'] !== '1') return fail(response, 403, { code: 'csrf', message: 'The header x-pugmark-request is missing' })
  route(path, url, body, raw, request, response, cookie)
}

function route(path, url, body, raw, request, response, cookie) {
  const [, first, second, third] = path.split('/').map(decodeURIComponent)
  if (first === 'sources' && third === 'health') {
    const found = sourceHealth(second)
    return found ? json(response, found) : fail(response, 404, { code: 'not_found', message: 'There is no source with events' })
  }
  if (first === 'sources' && third === 'clock') {
    correctClock(second, request.method === 'PUT' ? body.correction_seconds : 0, body.reason ?? '')
    return response.writeHead(204).end()
  }
  const simple = { status, ledger, sources: () => ({ sources: sources() }), 'openapi.json': () => openapi, fields: () => ({ fields: [] }) }[first]
  if (path === '/auth/logout') { sessions.delete(cookie); return response.writeHead(204).end() }
  if (simple) return json(response, simple())
  if (first === 'ingest') return json(response, ingest(second, raw.toString()))
  if (first === 'tokens') {
    if (request.method === 'GET') return json(response, { tokens: tokens.map((token) => ({ ...token, secret: undefined })) })
    if (request.method === 'DELETE') { tokens.splice(tokens.findIndex((token) => token.id === second), 1); return response.writeHead(204).end() }
    const token = { id: `t${tokens.length + 1}`, name: body.name, purpose: body.purpose, created: iso(Date.now()), last_used: null, secret: `pgm_${randomBytes(20).toString('hex')}` }
    tokens.push(token)
    return json(response, { id: token.id, name: token.name, purpose: token.purpose, token: token.secret })
  }
  if (path === '/histogram') return json(response, histogram(body))
  if (path === '/facets') return json(response, facets(body))
  if (path === '/query/parse') return json(response, parse(body))
  if (path === '/query/complete') return json(response, complete(body))
  if (path === '/search') {
    const { found, stages } = matching(body)
    return void sendEvents(response, searchEvents(body, table(found, stages)))
  }
  if (first === 'events') {
    const event = events.find((each) => each['event.id'] === second)
    if (!event) return fail(response, 404, { message: 'No such event' })
    return json(response, third === 'rules' ? { rules: eventRules(event) } : event)
  }
  if (first === 'rules') return ruleRoute(second, third, body, request, response)
  if (first === 'parsers') return parserRoute(second, third, body, request, response)
  if (first === 'lookups') return lookupRoute(second, raw.toString(), request, response)
  if (first === 'reparse') {
    if (request.method === 'POST') reparse = { running: true, source: body.source, done: { segments: 3, replaced: 1, events: 1200, remote: 0 }, error: null }
    else if (reparse.running) reparse = { ...reparse, running: false, done: { segments: 3, replaced: 3, events: events.filter((event) => event['event.source'] === reparse.source).length, remote: 1 } }
    return json(response, reparse)
  }
  if (first === 'alerts') return alertRoute(second, third, url, body, response)
  if (first === 'stream') {
    response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-cache' })
    response.tails = url.searchParams.getAll('tail').map((each) => { const at = each.indexOf(':'); return [each.slice(0, at), compile(each.slice(at + 1)).test] })
    streams.add(response)
    response.write(`event: status\ndata: ${JSON.stringify(status())}\n\n`)
    return request.socket.on('close', () => streams.delete(response))
  }
  fail(response, 404, { code: 'not_found', message: `There is no ${path}` })
}

function ruleRoute(id, verb, body, request, response) {
  if (!id) return json(response, { rules: rules.map(({ references: _r, falsepositives: _f, source: _s, next_steps: _n, author: _a, license: _l, exceptions: _e, ...rest }) => rest), problems })
  if (id === 'check') return json(response, check(body.text))
  if (id === 'backtest') return backtest(body, response)
  const at = rules.findIndex((each) => each.id === id)
  if (request.method === 'PUT') return putRule(id, at, body, response)
  const broken = problems.findIndex((each) => each.path === `product/${id}.yaml`)
  if (request.method === 'DELETE' && broken >= 0) { problems.splice(broken, 1); return response.writeHead(204).end() }
  const rule = rules[at]
  if (!rule) return fail(response, 404, { code: 'not_found', message: 'There is no rule with this id' })
  if (request.method === 'DELETE') {
    if (rule.origin !== 'product') return fail(response, 404, { message: 'there is no rule with this id that was written here', hint: 'a rule from elsewhere can be switched off' })
    rules.splice(at, 1, ...(originals.has(id) ? [originals.get(id)] : []))
    return response.writeHead(204).end()
  }
  if (verb === 'switch') {
    if (!body.on && !body.reason?.trim()) return fail(response, 400, { message: 'a rule is switched off with a reason' })
    rule.off = body.on ? null : { reason: body.reason, actor: account?.user ?? 'a token', since: iso(Date.now()) }
    backToStream(rule.id)
    return response.writeHead(204).end()
  }
  json(response, rule)
}

const PACK = `# What a till of the shop writes.
product: shop
applies:
  - format: plain
    pattern: true
patterns:
  - pattern: 'sold (?<shop.item>\\S+) to (?<user.name>\\S+) from (?<source.ip>\\S+)'
`
const parsers = EMPTY ? new Map() : new Map([['shop/till', PACK]])
const parserProblems = EMPTY ? [] : [{ path: 'shop/old<b>\u202E/parser.yaml', message: 'missing field `applies`' }, { path: 'shop/broken/parser.yaml', message: 'did not find expected node content at line 3 column 11' }]
const lookups = EMPTY ? new Map() : new Map([['hosts', { fields: ['host.name'], columns: ['owner', 'site'], keys: 4200 }], ['guests', { fields: ['source.ip', 'destination.ip'], columns: ['guest<b>\u202E'], keys: 12 }]])
const lookupProblems = EMPTY ? [] : [{ file: '/var/lib/pugmark/enrichment/lookups/leases.csv', message: 'line 2: it ends before it begins; exchange valid_from and valid_to' }]
let reparse = { running: false, source: '', done: { segments: 0, replaced: 0, events: 0, remote: 0 }, error: null }
const ownName = /^[a-z0-9_-]{1,64}\/[a-z0-9_-]{1,64}$/

function parserRoute(vendor, product, body, request, response) {
  if (!vendor) return json(response, { parsers: [...parsers].map(([name, text]) => ({ name, text })), problems: parserProblems })
  const recordsOf = () => (body.lines?.length ? body.lines : events.filter((event) => event['event.source'] === body.source).slice(-2000).map((event) => event['event.original']))
  if (vendor === 'propose') {
    if (!ownName.test(body.name)) return fail(response, 400, { message: `"${body.name}" is no name for a pack: write vendor/product` })
    const records = recordsOf()
    if (records.length === 0) return fail(response, 400, { message: 'there are no records that no pack understands', hint: 'give lines, or a source whose records are not understood' })
    return json(response, propose(records))
  }
  if (vendor === 'test') return json(response, tryParser(body.text, recordsOf()))
  const name = `${vendor}/${product}`
  if (request.method === 'DELETE') {
    const broken = parserProblems.findIndex((each) => each.path === `${name}/parser.yaml`)
    if (broken >= 0) parserProblems.splice(broken, 1)
    else if (!parsers.delete(name)) return fail(response, 404, { message: 'there is no parser pack of your own with this name' })
    return response.writeHead(204).end()
  }
  const { problem } = tryParser(body.text, [])
  if (!ownName.test(name) || problem) return fail(response, 400, { code: 'bad_request', message: problem ?? `"${name}" is no name for a pack` })
  parsers.set(name, body.text)
  response.writeHead(204).end()
}

/** The patterns of a text, with the names of their groups, or why it is none. */
function tryParser(text, records) {
  const none = (problem) => ({ problem, records: records.length, taken: 0, samples: [] })
  const open = text.split('\n').findIndex((line) => /\[\s*$/.test(line))
  if (open >= 0) return none(`did not find expected node content at line ${open + 1} column 1`)
  if (!/^applies:/m.test(text)) return none('missing field `applies`')
  const patterns = [...text.matchAll(/pattern: '(.*?)'(?:[\s}\]]|$)/g)].map(([, source]) => {
    const names = []
    return { names, test: new RegExp(source.replaceAll(/\(\?<([\w.]+)>/g, (_, name) => (names.push(name), '('))) }
  })
  const read = records.map((record) => {
    const event = { '@timestamp': iso(started), 'event.source': 'sample', 'event.original': record, message: record }
    for (const { names, test } of patterns) {
      const found = test.exec(record)
      if (found) return { record, event: { ...event, 'event.module': 'own/pack', ...Object.fromEntries(names.map((name, i) => [name, found[i + 1]])) } }
    }
    return { record, event }
  })
  return { problem: null, records: records.length, taken: read.filter((each) => each.event['event.module']).length, samples: read.slice(0, 20) }
}

/** Takes records that begin with the first word of the newest one. */
function propose(records) {
  const example = records.at(-1)
  const word = /^\w*/.exec(example)[0] || 'x'
  const text = `# Proposed from ${records.length} records.\nproduct: shop\napplies:\n  - format: plain\n    pattern: true\npatterns:\n  - pattern: '^${word}(?<shop.rest>.*)$'\n`
  const { taken, samples } = tryParser(text, records)
  const field = { native: '', field: 'shop.rest', shape: 'text', confidence: 0.42, example: `<b>bold</b>\u202E ${example.slice(word.length, 60)}` }
  return { text, records: records.length, covered: taken / records.length, confidence: 0.81, patterns: [{ pattern: `^${word}(?<shop.rest>.*)$`, example, count: taken, fields: [field], values: { 'event.action': 'sale', 'event.outcome': 'success' } }], fields: [{ ...field, native: 'src', field: 'source.ip', shape: 'ip', confidence: 0.97, example: '192.0.2.7' }], samples, remaining: samples.filter((each) => !each.event['event.module']).map((each) => each.record) }
}

function lookupRoute(name, csv, request, response) {
  if (!name) return json(response, { lookups: [...lookups].map(([key, table]) => ({ name: key, ...table })), problems: lookupProblems, attribution: 'IP Geolocation by DB-IP, https://db-ip.com' })
  if (request.method === 'DELETE') return lookups.delete(name) ? response.writeHead(204).end() : fail(response, 404, { message: 'there is no table with this name' })
  const [head = '', ...rows] = csv.trim().split(/\r?\n/)
  const [key, ...columns] = head.split(',')
  if (columns.length === 0) return fail(response, 400, { code: 'bad_request', message: 'line 1: a table has a key and at least one more column' })
  lookups.set(name, { fields: key.split('|'), columns, keys: rows.length })
  response.writeHead(204).end()
}

/** Source of events, and tests: field, words, function. */
const tests = {
  'sqli-access-log': ['shop-nginx', [['http.response.status_code', "is '200'", (v) => v === 200], ['url.original', "contains 'UNION%20SELECT'", (v) => v?.includes('UNION%20SELECT')]]],
  'script-in-agent': ['shop-nginx', [['user_agent.original', "contains '<script>'", (v) => v?.includes('<script>')]]],
  'sudo-shell': ['auth', [['host.name', "starts with 'web-'", (v) => v?.startsWith('web-')], ['process.name', "is 'sudo'", (v) => v === 'sudo'], ['process.command_line', "ends with '/bash' or ends with '/sh'", (v) => v?.endsWith('sh')]]],
  'large-upload': ['firewall', [['event.action', "not (is 'deny')", (v) => v !== 'deny'], ['destination.port', "is '443'", (v) => v === 443], ['source.bytes', '>= 1000000000', (v) => v >= 1e9]]],
}

function eventRules(event) {
  return Object.entries(tests)
    .filter(([id, [source]]) => event['event.source'] === source && rules.some((rule) => rule.id === id && !rule.off))
    .map(([id, [, list]]) => {
      const reason = ([field, test]) => ({ selection: 'selection', field, value: String(event[field] ?? ''), test })
      const hold = list.filter(([field, , holds]) => holds(event[field]))
      const lacks = list.filter((test) => !hold.includes(test)).map(reason)
      const { title, level } = rules.find((rule) => rule.id === id)
      return { id, title, level, fires: lacks.length === 0, held: hold.length, why: lacks.length === 0 ? hold.map(reason) : [], lacks }
    })
    .filter((rule) => rule.held > 0 && rule.lacks.length <= 2)
    .toSorted((a, b) => a.lacks.length - b.lacks.length || b.held - a.held)
}

/** A little of what the real check says: lines that are no YAML, and the parts that a rule must have. */
function check(text) {
  const id = /^id:\s*(\S+)/m.exec(text)?.[1]
  const wrong = text.split('\n').findIndex((line) => line.trim() !== '' && !/^\s*(#|-|[^:]+:(\s|$))/.test(line))
  const problem = (message, hint) => ({ ids: [], problems: [{ path: 'product/rule.yaml', line: 1, rule: id ?? null, message, hint }] })
  if (wrong >= 0) return problem(`not YAML: could not find expected ':' at line ${wrong + 1} column 1`, 'look at the line before it too')
  for (const key of ['title', 'logsource', 'detection']) if (!new RegExp(`^${key}:`, 'm').test(text)) return problem(`the rule has no \`${key}\``, `write \`${key}\` at the left edge`)
  return { ids: [id ?? 'made-up-by-the-server'], problems: [] }
}

function putRule(id, at, { text }, response) {
  const checked = check(text)
  if (checked.problems[0]) return fail(response, 400, checked.problems[0])
  if (checked.ids[0] !== id) return fail(response, 400, { message: `the text must be one rule with the id ${id}` })
  const old = rules[at]
  if (old && old.origin !== 'product') originals.set(id, old)
  const base = old ?? { id, level: 'medium', description: '', tags: [], logsource: { product: null, category: null, service: null }, kind: 'event', alerts: 0, references: [], falsepositives: [], next_steps: '', author: '', license: '', exceptions: [], off: null }
  rules.splice(at < 0 ? rules.length : at, at < 0 ? 0 : 1, { ...base, title: /^title:\s*(.+)/m.exec(text)[1], level: /^level:\s*(\w+)/m.exec(text)?.[1] ?? base.level, origin: 'product', version: randomBytes(4).toString('hex'), source: text })
  backToStream(id)
  json(response, checked)
}

function backToStream(id) {
  throttled = throttled.filter((each) => each.rule !== id)
}

function backtest({ rule: id, text, from }, response) {
  const known = rules.find((each) => each.id === (id ?? check(text).ids[0]))
  if (text !== undefined && check(text).problems[0]) return fail(response, 400, { code: 'bad_request', message: `there is no rule to try: ${check(text).problems[0].message}` })
  const since = time(from, -Infinity)
  const read = events.filter((event) => Date.parse(event['@timestamp']) >= since)
  const hits = read.filter((event) => event['event.severity'] >= 3)
  const line = (value) => response.write(`${JSON.stringify(value)}\n`)
  response.writeHead(200, { 'content-type': 'application/x-ndjson' })
  let step = 0
  const timer = setInterval(() => {
    step += 1
    if (step <= 20) return line({ progress: { done: Math.round((read.length * step) / 20), events: read.length, hits: Math.round((hits.length * step) / 20) } })
    clearInterval(timer)
    line({ report: reportOf(known, text, read, hits) })
    response.end()
  }, 80)
  response.on('close', () => clearInterval(timer))
}

function reportOf(rule, text, read, hits) {
  const tally = (key) => [...hits.reduce((map, event) => map.set(key(event), (map.get(key(event)) ?? 0) + 1), new Map())]
  const days = tally((event) => event['@timestamp'].slice(0, 10)).map(([day, detections]) => ({ day, detections, alerts: Math.ceil(detections / 9) }))
  for (let back = 2; back < 24; back += 1) if (back % 4) days.unshift({ day: iso(started - back * 864e5).slice(0, 10), detections: 9 * ((back * 7) % 11), alerts: (back * 7) % 11 })
  const entity = (event) => (event['source.ip'] ? { kind: 'address', value: event['source.ip'] } : { kind: 'user', value: event['user.name'] ?? 'nobody' })
  const entities = tally((event) => JSON.stringify(entity(event))).sort((a, b) => b[1] - a[1]).map(([key, detections]) => ({ entity: JSON.parse(key), detections }))
  const changed = rule && text !== undefined && text !== rule.source
  const samples = hits.toReversed().slice(0, 20).map((event) => ({ time: event['@timestamp'], event: event['event.id'], entity: entity(event), count: 1, why: [{ selection: 'selection', field: 'message', value: event.message, test: "contains 'Failed password'" }] }))
  const sum = (key) => days.reduce((total, day) => total + day[key], 0)
  const found = { id: rule?.id ?? 'new', title: rule?.title ?? 'New rule', level: rule?.level ?? 'high', version: 'a11c', detections: sum('detections'), alerts: sum('alerts'), days, entities: entities.slice(0, 10), entities_total: entities.length, samples, difference: changed ? { before: rule.version, both: hits.length - 4, only_now: 31, only_before: 4, lost_events: hits.slice(0, 4).map((event) => event['event.id']) } : null }
  return { events: read.length, hits: hits.length, seconds: 1.7, problems: [], rules: [found] }
}

function alertRoute(id, verb, url, body, response) {
  if (!id) {
    const is = (key, value) => !url.searchParams.get(key) || url.searchParams.get(key) === value
    return json(response, { alerts: alerts.filter((a) => is('status', a.status) && is('severity', a.severity) && is('rule', a.rule.id) && is('entity', a.entity.value)).toSorted((a, b) => (a.last_seen < b.last_seen ? 1 : -1)).slice(0, +(url.searchParams.get('limit') ?? 200)) })
  }
  const alert = alerts.find((each) => each.id === id)
  if (!alert) return fail(response, 404, { code: 'not_found', message: 'There is no such alert', hint: 'It may have been removed.' })
  if (verb === 'verdict') {
    Object.assign(alert, { verdict: body.verdict, note: body.note ?? '', status: body.verdict ? 'closed' : 'open' })
    tellAll('alert', alert)
    return json(response, { alert })
  }
  const full = Array.from({ length: alert.count }, (_, i) => { const event = alert.evidence[Math.min(i, alert.evidence.length - 1)]; return { id: `${alert.id}-${i}`, time: iso(Date.parse(alert.first_seen) + i * 1_100), event, count: alert.rule.id.includes('brute') ? 10 + (i % 7) : 1 } })
  const detections = full.length > 100 ? [...full.slice(0, 50), ...full.slice(-50)] : full
  json(response, { alert, detections, events: alert.evidence.map((each) => events.find((event) => event['event.id'] === each)).filter(Boolean) })
}

function file(pathname, response) {
  const path = join(DIST, normalize(pathname))
  if (pathname === '/healthz') return response.end('ok')
  if (pathname !== '/' && existsSync(path) && extname(path)) return response.writeHead(200, { 'content-type': types[extname(path)] ?? 'application/octet-stream' }).end(readFileSync(path))
  if (pathname.startsWith('/assets/')) return response.writeHead(404).end()
  const nonce = randomBytes(16).toString('base64url')
  response.writeHead(200, { 'content-type': 'text/html', 'cache-control': 'no-store', 'content-security-policy': `default-src 'self'; style-src 'self' 'nonce-${nonce}'; script-src 'self' 'nonce-${nonce}'; img-src 'self'; frame-ancestors 'none'; object-src 'none'; base-uri 'none'; form-action 'self'` })
  response.end(readFileSync(join(DIST, 'index.html'), 'utf8').replaceAll('__NONCE__', nonce))
}
