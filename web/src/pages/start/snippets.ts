/** Ways to send the first log, with the address and token of this server filled in. */

export interface Way {
  id: string
  label: string
  lead: string
  parts: { name: string; text: string }[]
}

interface Place {
  origin: string
  token: string
  syslogTcp: string | null
  syslogUdp: string | null
}

const LINE = '2026-11-23T10:00:00Z web-1 sshd[4242]: Failed password for root from 203.0.113.7 port 52144 ssh2'

export function ways(place: Place): Way[] {
  return [curl(place), cli(place), rsyslog(place), vector(place), fluentBit(place), journald(place), docker(place), python(place)]
}

function curl({ origin, token }: Place): Way {
  return {
    id: 'curl',
    label: 'curl',
    lead: 'One line from any terminal. NDJSON, a JSON array or plain lines all work.',
    parts: [
      { name: 'One log line', text: `curl -sS ${origin}/api/v1/ingest/first \\\n  -H 'Authorization: Bearer ${token}' \\\n  --data-binary '${LINE}'` },
      { name: 'A whole file, compressed', text: `gzip -c /var/log/auth.log | curl -sS ${origin}/api/v1/ingest/auth \\\n  -H 'Authorization: Bearer ${token}' \\\n  -H 'Content-Encoding: gzip' --data-binary @-` },
    ],
  }
}

function cli({ origin, token }: Place): Way {
  return {
    id: 'cli',
    label: 'pugmark ingest',
    lead: 'Files, folders, globs or standard input; gz and zst are unpacked, the format is found by itself.',
    parts: [
      { name: 'Keep the token in a file', text: `umask 077 && printf %s '${token}' > pugmark-token` },
      { name: 'Send', text: `pugmark ingest /var/log --source host-logs \\\n  --server ${origin} --token-file pugmark-token` },
    ],
  }
}

function rsyslog({ syslogTcp, syslogUdp, origin }: Place): Way {
  const host = new URL(origin).hostname
  if (!syslogTcp && !syslogUdp) {
    return {
      id: 'rsyslog',
      label: 'rsyslog',
      lead: 'The syslog receiver is off. Switch it on in pugmark.toml, start Pugmark again, and this page shows the address.',
      parts: [{ name: 'pugmark.toml', text: '[syslog]\ntcp = "127.0.0.1:5514"\nudp = "127.0.0.1:5514"' }],
    }
  }
  const port = (syslogTcp ?? syslogUdp ?? '').split(':').pop()
  const action = syslogTcp
    ? `*.* action(type="omfwd" target="${host}" port="${port}" protocol="tcp"\n           TCP_Framing="octet-counted" template="RSYSLOG_SyslogProtocol23Format"\n           queue.type="LinkedList" queue.size="100000"\n           queue.filename="pugmark" queue.saveOnShutdown="on"\n           action.resumeRetryCount="-1")`
    : `*.* action(type="omfwd" target="${host}" port="${port}" protocol="udp"\n           template="RSYSLOG_SyslogProtocol23Format")`
  return {
    id: 'rsyslog',
    label: 'rsyslog',
    lead: 'RFC 5424 over TCP, with a queue on disk while the network is away.',
    parts: [
      { name: '/etc/rsyslog.d/60-pugmark.conf', text: action },
      { name: 'Load it', text: 'sudo systemctl restart rsyslog && logger "hello pugmark"' },
    ],
  }
}

function vector({ origin, token }: Place): Way {
  return {
    id: 'vector',
    label: 'Vector',
    lead: 'An HTTP sink with NDJSON. Change the source to what you have.',
    parts: [
      {
        name: 'vector.yaml',
        text: `sources:
  host_logs:
    type: file
    include: [/var/log/*.log]

sinks:
  pugmark:
    type: http
    inputs: [host_logs]
    uri: ${origin}/api/v1/ingest/vector
    method: post
    compression: zstd
    framing: { method: newline_delimited }
    encoding: { codec: json }
    auth: { strategy: bearer, token: "${token}" }`,
      },
    ],
  }
}

function fluentBit({ origin, token }: Place): Way {
  const url = new URL(origin)
  const port = url.port || (url.protocol === 'https:' ? '443' : '80')
  return {
    id: 'fluentbit',
    label: 'Fluent Bit',
    lead: 'The http output with one JSON object a line.',
    parts: [
      {
        name: 'fluent-bit.yaml',
        text: `pipeline:
  inputs:
    - name: tail
      path: /var/log/*.log
  outputs:
    - name: http
      match: '*'
      host: ${url.hostname}
      port: ${port}
      tls: ${url.protocol === 'https:' ? 'on' : 'off'}
      uri: /api/v1/ingest/fluentbit
      format: json_lines
      compress: gzip
      header: Authorization Bearer ${token}`,
      },
    ],
  }
}

function journald({ origin, token }: Place): Way {
  return {
    id: 'journald',
    label: 'journald',
    lead: 'The systemd journal as JSON, followed from now on.',
    parts: [
      {
        name: 'Follow the journal',
        text: `journalctl -f -o json | while read -r line; do
  printf '%s\\n' "$line" | curl -sS ${origin}/api/v1/ingest/journal \\
    -H 'Authorization: Bearer ${token}' --data-binary @- > /dev/null
done`,
      },
      { name: 'The last hour, at once', text: `journalctl -S -1h -o json | curl -sS ${origin}/api/v1/ingest/journal \\\n  -H 'Authorization: Bearer ${token}' --data-binary @-` },
    ],
  }
}

function docker({ origin, token, syslogUdp }: Place): Way {
  const parts = [
    {
      name: 'What a container wrote so far',
      text: `docker logs CONTAINER 2>&1 | curl -sS ${origin}/api/v1/ingest/docker \\\n  -H 'Authorization: Bearer ${token}' --data-binary @-`,
    },
  ]
  if (syslogUdp) {
    parts.unshift({
      name: 'Every line of a container',
      text: `docker run --log-driver syslog \\\n  --log-opt syslog-address=udp://${new URL(origin).hostname}:${syslogUdp.split(':').pop()} \\\n  --log-opt syslog-format=rfc5424micro IMAGE`,
    })
  }
  return { id: 'docker', label: 'Docker', lead: 'The syslog log driver, or what docker logs prints.', parts }
}

function python({ origin, token }: Place): Way {
  return {
    id: 'python',
    label: 'Python',
    lead: 'The standard library is enough.',
    parts: [
      {
        name: 'send.py',
        text: `import json, urllib.request

events = [{"message": "user logged in", "user.name": "ana", "source.ip": "192.0.2.10"}]
request = urllib.request.Request(
    "${origin}/api/v1/ingest/app",
    data="\\n".join(json.dumps(event) for event in events).encode(),
    headers={"Authorization": "Bearer ${token}"},
)
print(urllib.request.urlopen(request).read().decode())`,
      },
    ],
  }
}
