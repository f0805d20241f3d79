/** The server counts bytes of UTF-8, the editor counts UTF-16 units. */

const encoder = new TextEncoder()

export function bytesAt(text: string, position: number): number {
  return encoder.encode(text.slice(0, position)).length
}

/** The UTF-16 position of a byte offset; inside a character it is the start of it. */
export function positionAt(text: string, byte: number): number {
  let bytes = 0
  let position = 0
  for (const char of text) {
    bytes += encoder.encode(char).length
    if (bytes > byte) return position
    position += char.length
  }
  return text.length
}
