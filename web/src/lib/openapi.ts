/** Reads an OpenAPI 3 document into what the page shows. Anything missing or odd is left out, never thrown. */

export interface Operation {
  method: string
  path: string
  tag: string
  summary: string
  description: string
  parameters: { name: string; place: string; required: boolean; type: string; description: string }[]
  body: { type: string; schema: string } | null
  responses: { status: string; description: string; schema: string }[]
}

type Json = Record<string, unknown>

const METHODS = ['get', 'post', 'put', 'patch', 'delete']
const DEPTH_MAX = 6

export function operations(doc: Json): Operation[] {
  const out: Operation[] = []
  for (const [path, item] of Object.entries(object(doc.paths))) {
    for (const method of METHODS) {
      const operation = object(object(item)[method])
      if (Object.keys(operation).length > 0) out.push(read(doc, path, method, object(item), operation))
    }
  }
  return out
}

function read(doc: Json, path: string, method: string, item: Json, operation: Json): Operation {
  const parameters = [...list(item.parameters), ...list(operation.parameters)].map((each) => deref(doc, each))
  const content = object(deref(doc, operation.requestBody).content)
  const [type] = Object.keys(content)
  return {
    method: method.toUpperCase(),
    path,
    tag: text(list(operation.tags)[0]) || path.replace(/^\/api\/v1/, '').split('/')[1] || 'other',
    summary: text(operation.summary),
    description: text(operation.description),
    parameters: parameters.map((each) => ({
      name: text(each.name),
      place: text(each.in),
      required: each.required === true,
      type: shape(doc, each.schema, 1),
      description: text(each.description),
    })),
    body: type ? { type, schema: shape(doc, object(content[type]).schema, 0) } : null,
    responses: Object.entries(object(operation.responses)).map(([status, response]) => {
      const found = deref(doc, response)
      const media = Object.values(object(found.content))[0]
      return { status, description: text(found.description), schema: media ? shape(doc, object(media).schema, 0) : '' }
    }),
  }
}

/** A schema in the notation of TypeScript types. */
export function shape(doc: Json, schema: unknown, depth: number): string {
  const found = deref(doc, schema)
  if (depth > DEPTH_MAX) return '…'
  const union = [...list(found.oneOf), ...list(found.anyOf)]
  if (union.length > 0) return union.map((each) => shape(doc, each, depth + 1)).join(' | ')
  if (list(found.allOf).length > 0) return list(found.allOf).map((each) => shape(doc, each, depth + 1)).join(' & ')
  if (Array.isArray(found.enum)) return found.enum.map((each) => JSON.stringify(each)).join(' | ')
  const types = Array.isArray(found.type) ? found.type.map(text) : [text(found.type)]
  return types.map((type) => one(doc, found, type, depth)).join(' | ')
}

function one(doc: Json, schema: Json, type: string, depth: number): string {
  if (type === 'array') return `${shape(doc, schema.items, depth + 1)}[]`
  const properties = Object.entries(object(schema.properties))
  if (properties.length > 0) {
    const required = new Set(list(schema.required))
    const pad = '  '.repeat(depth + 1)
    const lines = properties.map(([name, value]) => `${pad}${name}${required.has(name) ? '' : '?'}: ${shape(doc, value, depth + 1)}`)
    return `{\n${lines.join('\n')}\n${'  '.repeat(depth)}}`
  }
  return type === '' ? 'any' : type
}

function deref(doc: Json, value: unknown, hops = 0): Json {
  const found = object(value)
  const ref = found.$ref
  if (typeof ref !== 'string' || hops > 8) return found
  let at: unknown = doc
  for (const part of ref.replace(/^#\//, '').split('/')) at = object(at)[part.replaceAll('~1', '/').replaceAll('~0', '~')]
  return deref(doc, at, hops + 1)
}

function object(value: unknown): Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Json) : {}
}

function list(value: unknown): unknown[] {
  return Array.isArray(value) ? value : []
}

function text(value: unknown): string {
  return typeof value === 'string' ? value : ''
}
