import { randomBytes } from 'node:crypto';
import type { Hono } from 'hono';
import { z } from 'zod';

/** What GitHub wants of a manifest: https://docs.github.com/en/apps/sharing-github-apps/registering-a-github-app-from-a-manifest. */
const manifestSchema = z.strictObject({
  name: z.string().min(1).max(34).optional(),
  url: z.url(),
  hook_attributes: z.strictObject({ url: z.url(), active: z.boolean().optional() }).optional(),
  redirect_url: z.url().optional(),
  callback_urls: z.array(z.url()).max(10).optional(),
  setup_url: z.url().optional(),
  description: z.string().optional(),
  public: z.boolean().optional(),
  default_events: z.array(z.string()).optional(),
  default_permissions: z.record(z.string(), z.enum(['read', 'write', 'admin'])).optional(),
  request_oauth_on_install: z.boolean().optional(),
  setup_on_update: z.boolean().optional(),
});

/** The page a manifest is posted to, as if the person agreed at once, and the code's exchange. */
export function createManifestFlow(app: {
  appId: number;
  slug: string;
  privateKey: string;
  secret: string;
  url: string;
}) {
  const codes = new Map<string, z.output<typeof manifestSchema>>();
  return {
    mount(edge: Hono): void {
      for (const path of ['/settings/apps/new', '/organizations/:org/settings/apps/new'])
        edge.post(path, async (context) => {
          const { manifest } = await context.req.parseBody();
          const parsed = manifestSchema.safeParse(JSON.parse(String(manifest)));
          if (!parsed.success) return context.text(z.prettifyError(parsed.error), 422);
          const code = randomBytes(20).toString('hex');
          codes.set(code, parsed.data);
          const back = new URL(parsed.data.redirect_url ?? app.url);
          back.searchParams.set('code', code);
          const state = context.req.query('state');
          if (state !== undefined) back.searchParams.set('state', state);
          return context.redirect(back.href, 302);
        });
      edge.post('/app-manifests/:code/conversions', (context) => {
        const manifest = codes.get(context.req.param('code'));
        // A code counts once.
        if (!codes.delete(context.req.param('code')) || !manifest)
          return context.json({ message: 'Not Found' }, 404);
        return context.json(
          {
            id: app.appId,
            slug: app.slug,
            node_id: 'PEER',
            name: manifest.name,
            owner: { login: 'ada' },
            html_url: `${app.url}/apps/${app.slug}`,
            client_id: 'Iv1.peer',
            client_secret: 'peer-client-secret',
            webhook_secret: app.secret,
            pem: app.privateKey,
            permissions: manifest.default_permissions,
            events: manifest.default_events,
          },
          201,
        );
      });
    },
  };
}
