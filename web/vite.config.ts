import tailwindcss from '@tailwindcss/vite'
import react from '@vitejs/plugin-react'
import { fileURLToPath } from 'node:url'
import { defineConfig } from 'vite'

const server = process.env.PUGMARK_URL ?? 'http://127.0.0.1:7700'

export default defineConfig({
  plugins: [react(), tailwindcss()],
  resolve: { alias: { '@': fileURLToPath(new URL('./src', import.meta.url)) } },
  // The server replaces __NONCE__ in index.html per response.
  html: { cspNonce: '__NONCE__' },
  build: {
    target: ['chrome125', 'firefox128', 'safari17.5'],
    cssTarget: ['chrome125', 'firefox128', 'safari17.5'],
    // No data: URLs, so that the content security policy stays at 'self'.
    assetsInlineLimit: 0,
    manifest: true,
    reportCompressedSize: false,
  },
  worker: { format: 'es' },
  server: { port: 5173, proxy: { '/api': server, '/healthz': server, '/metrics': server } },
})
