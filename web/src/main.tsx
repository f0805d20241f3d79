import { QueryClientProvider } from '@tanstack/react-query'
import { RouterProvider } from '@tanstack/react-router'
import { StrictMode } from 'react'
import { createRoot } from 'react-dom/client'
import { setUnauthorizedHandler } from '@/api/client'
import { auth, queryClient } from '@/api/queries'
import { router } from '@/app/router'
import { applyTheme } from '@/lib/prefs'
import './app/theme.css'

applyTheme()

setUnauthorizedHandler(() => {
  queryClient.setQueryData(auth.queryKey, (old) => (old ? { ...old, user: null } : undefined))
  void router.invalidate()
})

createRoot(document.getElementById('root') as HTMLElement).render(
  <StrictMode>
    <QueryClientProvider client={queryClient}>
      <RouterProvider router={router} />
    </QueryClientProvider>
  </StrictMode>,
)
