/** Which app a Host header names. */
export interface Hosts {
  /** The first label of a host below the domain; undefined: the service itself is meant, or somebody else. */
  labelOf(hostHeader: string | undefined): string | undefined;
  /**
   * Where people open an app; undefined when they cannot: they come from elsewhere (`publicUrl`), and the domain is a
   * name of this machine.
   */
  urlOf(label: string): string | undefined;
  /** By which apps are reached from outside: `http` or `https`. */
  readonly scheme: string;
  /** Labels that are the service's own. */
  readonly reserved: ReadonlySet<string>;
}

/**
 * Apps live one label below `domain`. The service's own name may be such a label, too; that one is never an app.
 * `publicUrl` also says how apps are reached from outside (scheme and port); without it, by HTTP at `port`.
 */
export function createHosts(options: {
  domain: string;
  publicUrl?: string | undefined;
  port: number;
}): Hosts {
  const suffix = `.${options.domain}`;
  const own = options.publicUrl === undefined ? undefined : new URL(options.publicUrl);
  const below = (host: string): string | undefined => {
    const label = host.endsWith(suffix) ? host.slice(0, -suffix.length) : '';
    return /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/.test(label) ? label : undefined;
  };
  const reserved = new Set(['www', 'api']);
  const ownLabel = own && below(own.hostname.toLowerCase());
  if (ownLabel !== undefined) reserved.add(ownLabel);
  const port = own ? own.port : String(options.port);
  const at = port === '' || port === '80' ? '' : `:${port}`;
  const isUnreachable = own !== undefined && isLocal(options.domain) && !isLocal(own.hostname);

  const scheme = own?.protocol === 'https:' ? 'https' : 'http';
  return {
    scheme,
    reserved,
    labelOf(header) {
      if (header === undefined) return undefined;
      const host = header.toLowerCase().replace(/:\d*$/, '').replace(/\.$/, '');
      if (host === own?.hostname.toLowerCase()) return undefined;
      return below(host);
    },
    urlOf: (label) => (isUnreachable ? undefined : `${scheme}://${label}${suffix}${at}`),
  };
}

const isLocal = (host: string): boolean => /(^|\.)localhost$|^127\.|^\[::1\]$/.test(host);
